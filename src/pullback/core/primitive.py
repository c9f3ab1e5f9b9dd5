"""Primitives: the operations everything is made of, each declared once with all its rules.

A primitive is a final class (or an instance of a family) whose methods are its rules:

- `evaluate(*values, **params)`: the result by NumPy, on NumPy values; by default what `expand`
  makes of them, one operation after the other;
- `type_of(*types, **params)`: the result's `ShapedArray`;
- `jvp(primals, tangents, **params)`: the output and its tangent, *linear* in the tangents (None
  where zero), written with other operations; it is applied at once by `jvp` and recorded by
  `linearize`, so there is no second rule for reverse mode;
- `transpose(ct, *operands, **params)`: for primitives linear in some operands, the cotangents of
  those operands (which come as nodes: `is_node(x)`), None for the others;
- `batch(size, args, axes, **params)`: the operation on batched arguments; `axes[i]` is None where
  `args[i]` is not batched; gives result and its batch axis;
- `lower(emit, *operands, **params)`: the operation in StableHLO, on the values of a program being
  compiled (see `pullback.xla.stablehlo.Emitter`); or, where the compiler has no such operation,
- `expand(*operands, **params)`: the operation written with others. A primitive with neither is
  evaluated by NumPy in compiled programs too, on the host;
- `spell(speller, *operands, **params)`: what `evaluate` does with operands of these types, as the
  text of a Python expression (see `core.spelling`); by default a call of `evaluate`.

What may be traced is positional, what is static is a keyword. Primitives with several results
(`multiple_results`) take and give lists of results in all rules. A rule that is absent says so by
name when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Any

from pullback.core.array import Array, as_array, concrete
from pullback.core.effects import NO_EFFECTS, Effects
from pullback.core.errors import user_line
from pullback.core.jaxpr import subjaxprs
from pullback.core.linear import Equation, Node, Sum, project, recorded, zeros
from pullback.core.trace import Params, Trace, current, under
from pullback.core.types import ShapedArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from pullback.core.names import (
        AxisName,
        Cotangent,
        Emitted,
        Emitter,
        NumPyValue,
        Operand,
        Param,
        Result,
        ResultNode,
        ResultType,
        Tangent,
        Value,
        WithAxis,
        WithNode,
        WithTangent,
    )
    from pullback.core.spelling import Expression, Speller

#: Every primitive by name, for the conformance suite and for readers of serialized programs.
registry: dict[str, Primitive] = {}


def weak_as_operands(type_of: Callable[..., ResultType]) -> Callable[..., ResultType]:
    """A rule `type_of` written for shapes and dtypes, with results that are weak if all operands
    are."""

    @wraps(type_of)
    def of_weak(self: Primitive, *types: ShapedArray, **params: Param) -> ResultType:
        out = type_of(self, *types, **params)
        weak = bool(types) and all([t.weak_type for t in types])
        return [t.update(weak_type=weak) for t in out] if self.multiple_results else out.update(weak_type=weak)

    return of_weak


def is_node(x: object) -> bool:
    """Whether an operand of `transpose` is one whose cotangent is wanted."""
    return isinstance(x, Node)


def _registered(name: str) -> Primitive:
    return registry[name]


class Fusion(Enum):
    """How a compiler computes an operation beside others: in one loop with its consumers, element
    by element, or in a loop of its own.

    Example: `exp_p.fusion is Fusion.ELEMENTWISE`.
    """

    #: A loop of its own, or several: a product of matrices.
    ALONE = 0
    #: An element from the elements at the same place: `exp`.
    ELEMENTWISE = 1
    #: The same, computed before it is repeated: `broadcast_in_dim`.
    REPEATING = 2
    #: An element from another element: `transpose`.
    MOVING = 3
    #: One of several pieces: `concatenate`.
    JOINING = 4
    #: Numbers from random keys: `random_bits`.
    DRAWING = 5
    #: Many elements to one, in a loop that the operand is computed in: `reduce_sum`.
    REDUCING = 6
    #: The same, but the operand is read in several loops, or in one that is not vectorized:
    #: `argmax`.
    REREADING = 7


class Primitive:
    """Base of all primitives; see the module's text for the rules.

    Example: `sin_p.bind(x)`; `docs/architecture.md`, "How to add", declares one.
    """

    name: str
    #: Example: `split`, `sort`.
    multiple_results = False
    #: Weakness of the result's type: "all" (weak if every operand is), "first" (if the first one is), "cases" (if all but the
    #: first are), "never", or "param" (the parameter `weak_type`). Of several results: "all",
    #: "each" (if the operand of the same number is), or "never". `type_of` says the same of the
    #: types of operands.
    #: Example: `add` has "all", `gather` "first", `select_n` "cases", `eq` "never",
    #: `convert_element_type` "param", and `sort` "each".
    weakness = "all"
    #: Whether it takes functions: none does, because calls have programs in their parameters.
    call_primitive = map_primitive = False
    #: Whether the parameter `axis_name` names mapped axes it communicates over, by the rule
    #: `batch_collective`.
    #: Example: `psum`.
    is_collective = False
    #: Whether eager code evaluates it by `apply`, a function of Arrays, instead of by `evaluate`, one
    #: of their NumPy values.
    #: Example: `pullback.extend.core.Primitive("mine")`, whose rules are somebody else's.
    takes_arrays = False
    #: Why there is no derivative, for primitives whose results have none (integers, booleans,
    #: steps, random bits).
    #: Example: `eq`, whose "values are discrete".
    no_derivative: str | None = None

    #: What it does besides giving its results, itself.
    #: Example: `debug_callback` shows something.
    effects: Effects = NO_EFFECTS
    #: Whether there are values for which it fails, warns or takes very long: it is not computed for
    #: elements of a batch that do not come to it.
    #: Example: `pure_callback`.
    is_partial = False

    #: How it is fused with other operations, what an element of its result costs then, in
    #: additions, and of how many operations the code for one consists (0: none in a loop of
    #: others). `xla.fusion` plans by these.
    fusion = Fusion.ALONE
    cost = 1.0
    #: Example: `exp` costs 20 and is one operation.
    operations = 0
    #: Whether a result may be NaN where no operand is; not so for what selects, moves or rounds.
    #: Example: True of `add` (inf - inf), False of `transpose`.
    makes_nan = True
    #: Whether it contracts operands with each other: products of matrices and convolutions.
    #: Example: `dot_general`.
    contracts = False
    #: From how many elements on XLA evaluates it more quickly than NumPy, by the bytes of an
    #: element, as `benchmarks/large.py` measures.
    #: Example: `{8: 2097152}` of `exp`: from 2²¹ elements of 8 bytes on, and never of 4.
    xla_from: Mapping[int, int] = {}

    #: Whether staging writes down what `expand` does instead of the primitive.
    #: Example: `static_index`, which programs show as slices.
    staged_expanded = False
    #: Whether operands of different shapes broadcast; staging then makes them alike by
    #: `canonical_operands`.
    #: Example: `add`.
    broadcasts = False
    #: Whether `spell` takes operands of different shapes, which NumPy broadcasts.
    #: Example: `select_n`, whose cases have one shape elsewhere.
    spelled_broadcasting = False

    #: For calls: the parameter that holds the program, which compilation puts in the call's place.
    #: Example: "jaxpr" of `jit`.
    inlined: str | None = None
    #: Whether two equal equations are one: False for what is there to keep things apart.
    #: Example: False of `optimization_barrier`.
    mergeable = True
    #: Whether result number i is operand number i, and an unused one is left out together with its
    #: operand.
    #: Example: `checkpoint_barrier`.
    separable = False
    #: Whether compiled programs have its first operands in the place of its results: the others are
    #: there for its derivative.
    #: Example: `stored`.
    forwards = False

    #: Whether there is also `linearize_values`, the rule `linearize` for concrete operands that
    #: applies no other primitive.
    #: Example: `mul`.
    direct = False
    #: Whether `transpose` also takes a scalar cotangent that stands for a constant array (see
    #: `core.linear.Node`).
    takes_uniform = False
    #: One result, weak if all operands are: what the evaluating trace treats first. Derived from
    #: the above.
    #: Example: `add`; not `split`.
    plain = True

    def __init__(self) -> None:
        self.plain = not self.multiple_results and self.weakness == "all"
        taken = registry.setdefault(self.name, self)
        if taken is not self:
            raise ValueError(
                f"there is a primitive {self.name!r} already, of {type(taken).__module__}, at {user_line()}: names tell primitives apart in "
                "exported programs and pickles. Put the name of your package in front (`mypackage.name`)"
            )

    def bind(self, *args: Operand, **params: Param) -> Result:
        """Apply the primitive to arrays, or what becomes one (NumPy arrays and scalars, Python's
        numbers), under the current trace."""
        return current().process(self, args, params)

    # ---- as programs of other people take it apart -----------------------------------------------

    def get_bind_params(self, params: Params) -> Params:
        """The keywords with which `bind` makes an equation with `params` again: these."""
        return dict(params)

    def bind_with_trace(
        self, trace: Trace, args: Sequence[Operand], types: Sequence[ShapedArray], params: Params
    ) -> Result:
        """What `bind` gives under another trace. The types are those of the operands, which says
        nothing new."""
        return under(trace, self.bind, *args, **params)

    def impl(self, *args: Operand, **params: Param) -> Result:
        """What it computes; of somebody else's, the function that does it in eager code."""
        return self.bind(*args, **params)

    def abstract_eval(self, *types: ShapedArray, **params: Param) -> tuple[ResultType, Effects]:
        """The results' types, and the effects of an equation."""
        return self.type_of(*types, **params), self.effects_of(params)

    # ---- rules -----------------------------------------------------------------------------------

    def evaluate(self, *values: NumPyValue, **params: Param) -> NumPyValue:
        if not self.expands:
            raise self.missing("evaluate", "evaluation")
        out: Any = self.expand(*map(concrete, values), **params)
        results: Any = map(as_array, out if self.multiple_results else (out,))
        evaluated = [x._value for x in results]
        return evaluated if self.multiple_results else evaluated[0]

    def spell(self, speller: Speller, *operands: Expression, **params: Param) -> str | Sequence[str]:
        speller.signals = True
        return speller.call(self.evaluate, *operands, **params)

    def apply(self, args: Sequence[Operand], params: Params) -> Result:
        raise self.missing("apply", "evaluation")

    def type_of(self, *types: ShapedArray, **params: Param) -> ResultType:
        raise self.missing("type_of", "typing")

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent], **params: Param) -> WithTangent:
        if self.no_derivative is not None:
            out = self.bind(*primals, **params)
            return out, ([None] * len(out) if self.multiple_results else None)
        raise self.missing("jvp", "differentiation")

    def transpose(self, ct: Cotangent, *operands: Node | Value, **params: Param) -> Sequence[Cotangent]:
        raise self.missing("transpose", "transposition")

    def batch(self, size: int, args: Sequence[Value], axes: Sequence[int | None], **params: Param) -> WithAxis:
        raise self.missing("batch", "vmap")

    def lower(self, emit: Emitter, *operands: Emitted, **params: Param) -> Emitted:
        if self.expands:
            return emit.expand(self, operands, params)
        # The compiler has nothing like it: the program calls back to NumPy.
        return emit.evaluate_on_host(self, operands, params)

    @property
    def expands(self) -> bool:
        """Whether the rule `expand` is there."""
        return type(self).expand is not Primitive.expand

    def expand(self, *operands: Value, **params: Param) -> Result:
        raise self.missing("expand", "compilation")

    def canonical_operands(self, args: Sequence[Value]) -> Result:
        raise self.missing("canonical_operands", "staging")

    def concerns(self, axis_name: AxisName, params: Params) -> bool:
        """For what `is_collective`: whether a trace that maps an axis of this name (None: of no name)
        is to apply `batch_collective`."""
        if axis_name is None:
            return False
        named = params["axis_name"]
        return axis_name in named if isinstance(named, tuple) else axis_name == named

    def batch_collective(
        self, trace: Trace, values: Sequence[Value], axes: Sequence[int | None], **params: Param
    ) -> WithAxis:
        raise self.missing("batch_collective", "communication over mapped axes")

    def linearize_values(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNode:
        raise self.missing("linearize_values", "linearization of concrete operands")

    # ---- what follows from the rules -------------------------------------------------------------

    def is_linear(self, active: Sequence[bool]) -> bool:
        """Whether the primitive is linear in the operands marked in `active`, taken together."""
        return False

    def is_recorded(self, active: Sequence[bool]) -> bool:
        """Whether it may be applied to the tangents marked in `active`, where a function that is
        linear in them is recorded: whether it is linear in them, or whoever declared it says so by
        doing it."""
        return self.is_linear(active)

    def linearize(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNode:
        """Output, and the node of its tangent (None if zero) given the nodes of the operands'
        tangents."""
        if self.multiple_results:
            return recorded(lambda ts: self.jvp(primals, ts, **params), nodes)

        def forward_mode(tangents: Sequence[Tangent]) -> tuple[list[Value], list[Tangent]]:
            out, t_out = self.jvp(primals, tangents, **params)
            return [out], [t_out]

        (out,), (node,) = recorded(forward_mode, nodes)
        return out, node

    def record(self, operands: Sequence[Node | Value], params: Params) -> ResultNode:
        """The node (or nodes) of this primitive applied to nodes and constants, in which it
        `is_linear`."""
        types = [x.aval if isinstance(x, Array) else ShapedArray(x.shape, x.dtype) for x in operands]
        out = self.type_of(*types, **params)
        if self.multiple_results:
            return project(Equation(self, operands, params, (), out[0].dtype), out)
        return Equation(self, operands, params, out.shape, out.dtype)

    def effects_of(self, params: Params) -> Effects:
        """What an equation does besides giving its results: the primitive's own effects, and those
        of the programs that it calls."""
        found = self.effects
        for program in subjaxprs(params) if params else ():
            found |= program.effects
        return found

    def missing(self, rule: str, purpose: str) -> NotImplementedError:
        return NotImplementedError(
            f"{purpose} of {self.name!r} (at {user_line()}) needs a rule: define `{type(self).__name__}.{rule}`, or build "
            f"{self.name!r} from a family that has one"
        )

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[object, ...]:
        # There is one of each name, which copies and other processes have as well.
        return _registered, (self.name,)


class LinearPrimitive(Primitive):
    """Linear in the operands numbered in `linear_in` taken together (all, if None); the others are
    constants.

    The derivative is the primitive itself; subclasses supply `transpose`.

    Example: `reduce_sum`, whose transpose broadcasts.
    """

    #: Example: `(0,)` of `gather`: in the array, not in the indices.
    linear_in: tuple[int, ...] | None = None

    def is_linear(self, active: Sequence[bool]) -> bool:
        if self.linear_in is None:
            return True
        return not any(a for i, a in enumerate(active) if i not in self.linear_in)

    def _linear(self, i: int) -> bool:
        return self.linear_in is None or i in self.linear_in

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent], **params: Param) -> WithTangent:
        out = self.bind(*primals, **params)
        operands, active = [], False
        for i, (x, t) in enumerate(zip(primals, tangents)):
            if not self._linear(i):
                operands.append(x)
            else:
                active = active or t is not None
                operands.append(zeros(x.shape, x.dtype) if t is None else t)
        if not active:
            return out, None
        return out, self.bind(*operands, **params)

    def linearize(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNode:
        out = self.bind(*primals, **params)
        operands: list[Any] = []
        active = False
        for i, (x, n) in enumerate(zip(primals, nodes)):
            if not self._linear(i):
                operands.append(x)
            elif n is not None:
                active = True
                operands.append(n)
            else:
                operands.append(zeros(x.shape, x.dtype))
        if not active:
            return out, ([None] * len(out) if self.multiple_results else None)
        if self.multiple_results:
            source = Equation(self, operands, params, (), out[0].dtype)
            return out, project(source, [o.aval for o in out])
        return out, Equation(self, operands, params, out.shape, out.dtype)


class BilinearPrimitive(Primitive):
    """Linear in each of the operands 0 and 1 while the other is constant. Subclasses supply
    `transpose`.

    Example: `dot_general`: linear in the left operand, and in the right one.
    """

    def is_linear(self, active: Sequence[bool]) -> bool:
        return sum(active) == 1

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent], **params: Param) -> WithTangent:
        x, y = primals
        t_x, t_y = tangents
        out = self.bind(x, y, **params)
        if t_y is None:
            return out, self.bind(t_x, y, **params)
        if t_x is None:
            return out, self.bind(x, t_y, **params)
        return out, self.bind(t_x, y, **params) + self.bind(x, t_y, **params)

    def linearize(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNode:
        x, y = primals
        t_x, t_y = nodes
        out = self.bind(x, y, **params)
        shape, dtype = out.shape, out.dtype
        if t_y is None:
            return out, Equation(self, (t_x, y), params, shape, dtype)
        if t_x is None:
            return out, Equation(self, (x, t_y), params, shape, dtype)
        first = Equation(self, (t_x, y), params, shape, dtype)
        return out, Sum(first, Equation(self, (x, t_y), params, shape, dtype))
