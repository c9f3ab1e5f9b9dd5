"""The names of what signatures speak of, where Python has no class for it: for readers and type checkers.

Everything is generic over concrete arrays and tracers, and over the containers of users, so that
most of these are `Any` to a checker; what they are is in their names. No program loads this module:
it is imported where `TYPE_CHECKING` holds only, and costs nothing.

Example: `def sin_jvp(primals: Sequence[Value], tangents: Sequence[Tangent]) -> WithTangent: ...`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from pullback.core.linear import Node
    from pullback.core.primitive import Primitive

# ---- what users give and get ---------------------------------------------------------------------

#: Any nesting of containers (tuples, lists, dicts, registered classes) with leaves in them:
#: `{"w": x, "b": (y, None)}`.
Tree: TypeAlias = Any
#: What stands in a tree where no container does: an Array, a number, or any other object.
Leaf: TypeAlias = Any
#: A function of the user's, or one that stands for it.
Function: TypeAlias = Callable[..., Any]
#: An argument as a user gave it, which is not checked yet: `axis="x"`.
Argument: TypeAlias = Any
#: An argument that is part of the function, not traced: `static_argnums` names it.
Static: TypeAlias = Any
#: What a container has besides its children, by which it is made again: hashable.
Auxiliary: TypeAlias = Any
#: A leaf's type, or a tree of them: what has `shape` and `dtype`.
TypeTree: TypeAlias = Any
#: A size of an axis: an int, or a symbolic one (`core.dimensions.Dim`).
Size: TypeAlias = Any
#: What was asked for by name (an attribute of a module), or an object of another library.
Attribute: TypeAlias = Any

# ---- what operations compute with ----------------------------------------------------------------

#: An `Array`, concrete or a tracer, with the operators that `pullback.numpy` installs.
Value: TypeAlias = Any
#: What operations take: a `Value`, or what becomes one (a NumPy value, a Python number).
Operand: TypeAlias = Any
#: What operations give: a `Value`, or a list of them where the primitive has several results.
Result: TypeAlias = Any
#: The type of a `Result`: a `ShapedArray`, or a list of them.
ResultType: TypeAlias = Any
#: The derivative of a value along some direction, itself a `Value`; None is zero.
Tangent: TypeAlias = Any
#: The derivative of some scalar by a value: a `Value`, perhaps a scalar that stands for a constant
#: array (`core.linear.Node`); None is zero. Of a node with several results, a list of these.
Cotangent: TypeAlias = Any
#: What a linear step keeps of the values it was recorded at: a `Value`.
Residual: TypeAlias = Any
#: The axis along which the elements of a batch lie; None where a value is the same for all.
Axis: TypeAlias = "int | None"
#: What the rule `jvp` gives: the result, and its tangent (of several results, a list each).
WithTangent: TypeAlias = "tuple[Any, Any]"
#: What the rule `linearize` gives: the result, and the node of its tangent, None if zero.
WithNode: TypeAlias = "tuple[Any, Any]"
#: What the rule `batch` gives: the result, and its batch axis.
WithAxis: TypeAlias = "tuple[Any, Any]"
#: What `record` gives: a node, or a list of them where the primitive has several results.
ResultNode: TypeAlias = Any
#: Results, and the nodes of their tangents.
WithNodes: TypeAlias = "tuple[Sequence[Value], Sequence[Node | None]]"
#: Results and their tangents.
WithTangents: TypeAlias = "tuple[Sequence[Value], Sequence[Tangent]]"

# ---- what stays outside of traces ----------------------------------------------------------------

#: A parameter of a primitive: static, so no array. Its operands are the arrays.
Param: TypeAlias = Any
#: A Python number.
Scalar: TypeAlias = Any
#: An ndarray.
NumPyArray: TypeAlias = "np.ndarray[Any, Any]"
#: An ndarray or a NumPy scalar, which NumPy's functions do not tell apart.
NumPyValue: TypeAlias = Any
#: A PJRT buffer: memory of a device.
Buffer: TypeAlias = Any
#: What something is kept under: comparable and hashable.
Key: TypeAlias = Any
#: What is kept for an object as long as it lives: `core.kept` and `ClosedJaxpr.derived` have such.
Table: TypeAlias = dict[Key, Any]
#: A `CallPrimitive` of `pullback.transforms.call`, which is in a layer above.
Call: TypeAlias = Any
#: A value of a module that is being written (`pullback.xla.text.Value`), as the rule `lower` sees it.
Emitted: TypeAlias = Any
#: The name of a mapped axis: `vmap(f, axis_name="batch")`.
AxisName: TypeAlias = Hashable


class Emitter(Protocol):
    """What the default of the rule `lower` asks of `pullback.xla.stablehlo.Emitter`, which is in a
    layer above.

    Example: `emit.expand(primitive, operands, params)` writes what the rule `expand` does.
    """

    def expand(self, primitive: Primitive, operands: Sequence[Value], params: dict[str, Param]) -> Result: ...

    def evaluate_on_host(self, primitive: Primitive, operands: Sequence[Value], params: dict[str, Param]) -> Result: ...
