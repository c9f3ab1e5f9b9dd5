"""Rules of lowering: what each primitive is in a compiled program.

    register_lowering(p, lower_fun(f, multiple_results=False))

says that it is what `f` does, a function of arrays made of Pullback's. A rule may also build
operations of MLIR itself, `rule(ctx, *values, **params)`, with `ir` and the dialects of jaxlib;
what it builds becomes a function of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core import primitive as base
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.types import ShapedArray
from pullback.extend.lowering import LoweringRuleContext, ModuleContext, Traced, emit_python_callback, lowered
from pullback.xla.meshes import Mesh
from pullback.xla.text import element_type, tensor_type

#: For annotations: what a lowering rule is, and names of axes of meshes.
LoweringRule = Callable[..., Any]
MeshAxisName = Any
if TYPE_CHECKING:
    #: The module of jaxlib that builds MLIR, loaded when it is asked for.
    ir: Any


def __getattr__(name: str) -> Any:
    if name == "ir":  # loaded with the compiler
        from pullback.xla.pjrt import mlir

        return mlir().ir
    raise AttributeError(f"module 'pullback.interpreters.mlir' has no attribute {name!r}")


def lower_fun(fun: Callable[..., Any], multiple_results: bool = True) -> Traced:
    """The lowering rule of what `fun(*operands, **params)` does, a function of arrays made of
    Pullback's; a sequence of results with `multiple_results`. Raises TypeError for what cannot be
    called.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("hypotenuse")
    >>> _ = p.def_abstract_eval(lambda x, y: x)
    >>> _ = register_lowering(p, lower_fun(lambda x, y: pb.numpy.sqrt(x * x + y * y), multiple_results=False))
    >>> pb.jit(p.bind)(3.0, 4.0)
    Array(5., dtype=float32, weak_type=True)
    """
    if not callable(fun):
        raise TypeError(f"lower_fun takes a function, got {fun!r:.100}, at {user_line()}")
    return Traced(fun, multiple_results)


def register_lowering(
    prim: Any, rule: LoweringRule, platform: str | None = None, inline: bool = True, cacheable: bool = True
) -> LoweringRule:
    """Make `rule` what `prim` is in compiled programs, on one platform if it is named. Gives `rule`
    back.

    Of Pullback's own primitives, a rule for one platform can be added; raises TypeError for others,
    and for what is no primitive. Programs that have been compiled stay as they are.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("add_one")
    >>> _ = p.def_abstract_eval(lambda x: x)
    >>> _ = register_lowering(p, lower_fun(lambda x: x + 1, multiple_results=False))
    >>> pb.jit(p.bind)(2.0)
    Array(3., dtype=float32, weak_type=True)
    """
    del inline, cacheable
    if not isinstance(prim, base.Primitive):
        raise TypeError(f"register_lowering: {prim!r:.100} is no primitive, at {user_line()}")
    if not callable(rule):
        raise TypeError(f"register_lowering: the rule must be a function, got {rule!r:.100}, at {user_line()}")
    rules = prim.__dict__.get("rules")
    if rules is not None:
        if platform is None:
            rules["lowering"] = rule
        else:
            prim.lowerings[platform] = rule  # type: ignore[attr-defined]
        return rule
    if platform is None:
        raise TypeError(
            f"register_lowering: {prim.name!r} is Pullback's own, and what it is in all programs cannot be changed, at {user_line()}: name "
            "the platform for which the rule is"
        )
    from pullback.xla.lowering import register_lowering as register

    register(prim, lambda emit, *operands, **params: lowered(prim, rule, emit, operands, params), platform)
    return rule


# ---- what rules build with -----------------------------------------------------------------------


def make_ir_context() -> Any:
    """A context of MLIR that knows the dialects that programs are made of.

    >>> with make_ir_context():
    ...     dtype_to_ir_type("float32")
    F32Type(f32)
    """
    from pullback.xla.pjrt import mlir

    return mlir().new_context()


def dtype_to_ir_type(dtype: Any) -> Any:
    """The type of an element, in the current context.

    >>> with make_ir_context():
    ...     dtype_to_ir_type("bool"), dtype_to_ir_type("uint8"), dtype_to_ir_type("complex64")
    (IntegerType(i1), IntegerType(ui8), ComplexType(complex<f32>))
    """
    from pullback.xla.pjrt import mlir

    return mlir().ir.Type.parse(element_type(dtypes.canonicalize_dtype(dtype)))


def aval_to_ir_type(ctx: Any, aval: ShapedArray | None = None) -> Any:
    """The type of an array, in the current context. The context of the module may be left out.

    >>> with make_ir_context():
    ...     aval_to_ir_type(ShapedArray((2, 3), np.dtype("float32")))
    RankedTensorType(tensor<2x3xf32>)
    """
    from pullback.xla.pjrt import mlir

    aval = ctx if aval is None else aval
    return mlir().ir.Type.parse(tensor_type(tuple(aval.shape), dtypes.canonicalize_dtype(aval.dtype)))


def aval_to_ir_types(ctx: Any, aval: ShapedArray | None = None) -> tuple[Any, ...]:
    """The types of what an array is made of: its own.

    >>> with make_ir_context():
    ...     aval_to_ir_types(ShapedArray((), np.dtype("int32")))
    (RankedTensorType(tensor<i32>),)
    """
    return (aval_to_ir_type(ctx, aval),)


def ir_constant(val: Any, **options: Any) -> Any:
    """An array as a constant, in the current place: a value of MLIR. Raises TypeError for what is no
    array.

    >>> from pullback.interpreters.mlir import ir
    >>> with make_ir_context() as context, ir.Location.unknown():
    ...     module = ir.Module.create()
    ...     with ir.InsertionPoint(module.body):
    ...         x = ir_constant(np.float32([1, 2]))
    >>> print(module)
    module {
      %cst = stablehlo.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
    }
    """
    from pullback.xla.pjrt import mlir

    del options
    return mlir().stablehlo.ConstantOp(_elements(np.asarray(as_array(val)))).result


def _elements(value: np.ndarray[Any, Any]) -> Any:
    """An array as an attribute: as text where it has a dtype that NumPy, and so a buffer, does not have."""
    from pullback.xla.pjrt import mlir
    from pullback.xla.text import dense

    ir = mlir().ir
    kind = tensor_type(value.shape, value.dtype)
    if dtypes.is_numpys(value.dtype):
        return ir.DenseElementsAttr.get(np.require(value, requirements="C"), type=ir.Type.parse(kind))
    return ir.Attribute.parse(f"{dense(value)} : {kind}")


def ir_constants(val: Any, **options: Any) -> tuple[Any, ...]:
    """What an array is made of, as constants: one. See `ir_constant`.

    >>> from pullback.interpreters.mlir import ir
    >>> with make_ir_context() as context, ir.Location.unknown():
    ...     module = ir.Module.create()
    ...     with ir.InsertionPoint(module.body):
    ...         print([x.type for x in ir_constants(np.int8([1, 2]))])
    [RankedTensorType(tensor<2xi8>)]
    """
    return (ir_constant(val, **options),)


def ir_attribute(val: Any) -> Any:
    """A boolean, number, text, array, sequence or dict of these as an attribute, in the current
    context; Python's numbers have 64 bits. Raises TypeError for other things.

    >>> with make_ir_context():
    ...     print(ir_attribute({"axis": np.int32(1), "names": ["a", True], "scale": 0.5}))
    {axis = 1 : i32, names = ["a", true], scale = 5.000000e-01 : f64}
    """
    from pullback.xla.pjrt import mlir

    ir = mlir().ir
    if isinstance(val, (bool, np.bool_)):
        return ir.BoolAttr.get(bool(val))
    if isinstance(val, str):
        return ir.StringAttr.get(val)
    if isinstance(val, (list, tuple)):
        return ir.ArrayAttr.get(list(map(ir_attribute, val)))
    if isinstance(val, dict):
        return ir.DictAttr.get({k: ir_attribute(v) for k, v in val.items()})
    if isinstance(val, np.ndarray):
        return _elements(val)
    if isinstance(val, (int, float)) and not isinstance(val, np.generic):
        val = np.int64(val) if isinstance(val, int) else np.float64(val)
    if isinstance(val, np.generic) and dtypes.is_integer(val.dtype):
        # As text: the constructor does not take what is above the 64-bit integers with a sign.
        return ir.Attribute.parse(f"{int(val)} : {element_type(val.dtype)}")
    if isinstance(val, np.generic) and dtypes.is_float(val.dtype):
        return ir.FloatAttr.get(ir.Type.parse(element_type(val.dtype)), float(val), ir.Location.unknown())
    if isinstance(val, ir.Attribute):
        return val
    raise TypeError(f"ir_attribute: {val!r:.100} of type {type(val).__name__!r} is no attribute, at {user_line()}")


def i32_attr(i: int) -> Any:
    """A 32-bit integer as an attribute.

    >>> with make_ir_context():
    ...     i32_attr(7)
    IntegerAttr(7 : i32)
    """
    return ir_attribute(np.int32(i))


def i64_attr(i: int) -> Any:
    """A 64-bit integer as an attribute.

    >>> with make_ir_context():
    ...     i64_attr(7)
    IntegerAttr(7 : i64)
    """
    return ir_attribute(np.int64(i))


def dense_int_array(xs: Sequence[int]) -> Any:
    """A sequence of integers as an attribute of operations.

    >>> with make_ir_context():
    ...     dense_int_array([1, 0])
    DenseI64ArrayAttr(array<i64: 1, 0>)
    """
    from pullback.xla.pjrt import mlir

    return mlir().ir.DenseI64ArrayAttr.get(list(map(int, xs)))


def dense_int_elements(xs: Sequence[int]) -> Any:
    """A sequence of integers as an attribute, as custom calls have them.

    >>> with make_ir_context():
    ...     dense_int_elements([1, 0])
    DenseElementsAttr(dense<[1, 0]> : tensor<2xi64>)
    """
    from pullback.xla.pjrt import mlir

    return mlir().ir.DenseIntElementsAttr.get(np.asarray(xs, np.int64))


def flatten_ir_values(xs: Any) -> list[Any]:
    """Values, and sequences of values, as one list.

    >>> flatten_ir_values(["x", ("y", "z")])
    ['x', 'y', 'z']
    """
    return [y for x in xs for y in (x if isinstance(x, (list, tuple)) else (x,))]


flatten_ir_types = flatten_ir_values


def shape_tensor(ctx: Any, sizes: Sequence[int] | None = None) -> Any:
    """Lengths as a constant of 32-bit integers, in the current place. See `ir_constant`.

    >>> from pullback.interpreters.mlir import ir
    >>> with make_ir_context() as context, ir.Location.unknown():
    ...     module = ir.Module.create()
    ...     with ir.InsertionPoint(module.body):
    ...         print(shape_tensor([2, 3]).type)
    tensor<2xi32>
    """
    return ir_constant(np.asarray(ctx if sizes is None else sizes, np.int32))


__all__ = [
    "LoweringRule",
    "LoweringRuleContext",
    "Mesh",
    "MeshAxisName",
    "ModuleContext",
    "aval_to_ir_type",
    "aval_to_ir_types",
    "dense_int_array",
    "dense_int_elements",
    "dtype_to_ir_type",
    "emit_python_callback",
    "flatten_ir_types",
    "flatten_ir_values",
    "i32_attr",
    "i64_attr",
    "ir",
    "ir_attribute",
    "ir_constant",
    "ir_constants",
    "lower_fun",
    "make_ir_context",
    "register_lowering",
    "shape_tensor",
]
