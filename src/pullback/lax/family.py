"""The elementwise family: what one line of a table needs to become a primitive.

An elementwise primitive is its NumPy function, the kinds of types it takes and its partial
derivatives. Operands have one dtype; their shapes broadcast by NumPy's rule (while staging,
broadcasts are made explicit). The linear action on tangents is the sum of each tangent times its
partial; it is recorded as one `Combination`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core import dimensions, dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.dimensions import Dim
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.linear import Cotangents, Node, Tangents, is_unit, next_id
from pullback.core.primitive import Fusion, Primitive
from pullback.core.trace import IGNORED, Params, current, floating_point_errors, reset_floating_point_errors
from pullback.core.types import Shape, ShapedArray, broadcast_shapes
from pullback.lax.shape import broadcast_to, move_axis, reshape_p, unbroadcast
from pullback.xla.eager import or_by_xla


class Constant:
    """A partial derivative that is the same everywhere. It costs no multiplication and no memory."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ZERO, ONE, MINUS_ONE = Constant("ZERO"), Constant("ONE"), Constant("MINUS_ONE")
Partial = Callable[..., Any] | Constant

REAL, INEXACT, FLOAT, COMPLEX, NUMERIC, ANY, INTEGER, BITS = "iuf", "fc", "f", "c", "iufc", "biufc", "iu", "biu"


def direct(partial: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a partial derivative written with `Elementwise.on` and `constant` alone.

    It is the same formula on Arrays and on NumPy values; where nothing but one linearization looks
    on, NumPy computes it directly.
    """
    partial.direct = True  # type: ignore[attr-defined]
    return partial


def by_type(of_type: Callable[[ShapedArray], Any]) -> Callable[[Any], Any]:
    """Mark a function of NumPy values that looks at the type of the first one: `of_type` gives the
    function that it is for values of a type, which may be itself.

    Example: `in_eight_bits(numpy.add)` is `numpy.add`, except for 2- and 4-bit integers.
    """

    def marked(function: Any) -> Any:
        function.of_type = of_type
        return function

    return marked


def of_type(function: Any, aval: ShapedArray) -> Any:
    """What a function of NumPy values is where the first one has the type `aval`."""
    while (choose := getattr(function, "of_type", None)) is not None and (found := choose(aval)) is not function:
        function = found
    return function


class Combination(Node):
    """Σ coefficient × tangent, elementwise, broadcast to one shape. A coefficient is ONE, MINUS_ONE
    or a residual array."""

    __slots__ = ("terms",)
    takes_uniform = True

    def __init__(self, terms: Sequence[tuple[Node, Any]], shape: Shape, dtype: DType) -> None:
        self.id, self.terms, self.shape, self.dtype = next_id(), terms, shape, dtype

    def parents(self) -> Iterable[Node]:
        return [node for node, _ in self.terms]

    def push(self, tangents: Tangents) -> Any:
        terms = [(tangents[node.id], c) for node, c in self.terms if node.id in tangents]
        return combine(terms, self.shape) if terms else None

    def pull(self, ct: Any, cotangents: Cotangents) -> None:
        process = current().process
        shape = self.shape
        for node, coefficient in self.terms:
            if coefficient is ONE:
                g = ct
            elif coefficient is MINUS_ONE:
                g = process(neg_p, (ct,), {})
            elif is_unit(ct):
                g = coefficient
            else:
                g = process(mul_p, (coefficient, ct), {})
            if node.shape != shape:
                g = unbroadcast(broadcast_to(g, shape), node.shape)
            elif g.shape and g.shape != shape:  # neither full nor uniform: a coefficient that broadcasts
                g = broadcast_to(g, shape)
            cotangents.add(node, g)

    def residuals(self) -> Sequence[Any]:
        return [c for _, c in self.terms if c.__class__ is not Constant]

    def rebuild(self, residuals: Sequence[Any], parents: dict[int, Node]) -> Node:
        rest = iter(residuals)
        terms = [(parents[n.id], c if c.__class__ is Constant else next(rest)) for n, c in self.terms]
        return Combination(terms, self.shape, self.dtype)

    def structure(self, numbering: dict[int, int]) -> Any:
        terms = tuple((numbering[n.id], c if c.__class__ is Constant else None) for n, c in self.terms)
        return ("combination", terms, self.shape, self.dtype)


def combine(terms: Iterable[tuple[Any, Any]], shape: Shape) -> Any:
    """Σ coefficient × tangent, broadcast to `shape`."""
    total = None
    for t, coefficient in terms:
        if coefficient is MINUS_ONE:
            t = neg_p.bind(t)
        elif coefficient is not ONE:
            t = mul_p.bind(coefficient, t)
        total = t if total is None else add_p.bind(total, t)
    assert total is not None
    return total if total.shape == shape else broadcast_to(total, shape)


class Broadcasting(Primitive):
    """A function of operands whose shapes broadcast by NumPy's rule, which is the shape of its
    results.

    >>> from pullback.lax.elementwise import complex_p  # which has two operands, but no partial derivatives
    >>> isinstance(complex_p, Broadcasting), isinstance(add_p, Broadcasting)
    (True, True)
    """

    broadcasts = spelled_broadcasting = True

    def canonical_operands(self, args: Sequence[Any]) -> list[Any]:
        """Operands of one shape, or scalars: what is staged, so that programs show their
        broadcasts."""
        shape = broadcast_shapes(*(a.shape for a in args))
        return [a if a.shape in ((), shape) else broadcast_to(a, shape) for a in args]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], **params: Any) -> Any:
        if len(args) == 1:
            return self.bind(*args, **params), axes[0]
        ranks = [len(x.shape) - (b is not None) for x, b in zip(args, axes)]
        rank = max(ranks)
        moved = []
        for x, b, r in zip(args, axes, ranks):
            if b is not None:
                x = move_axis(x, b, 0)
                if r < rank:
                    x = reshape_p.bind(x, new_sizes=(size, *(1,) * (rank - r), *x.shape[1:]))
            moved.append(x)
        out = self.bind(*moved, **params)
        return (out, [0] * len(out)) if self.multiple_results else (out, 0)


class Elementwise(Broadcasting):
    """A function of corresponding elements of operands of one dtype. See the module's text.

    `complex_jvp(primals, tangents)` is the rule `jvp` for complex operands of a function that is
    not holomorphic.
    """

    def __init__(
        self,
        name: str,
        kinds: str,
        evaluate: Callable[..., Any],
        *partials: Partial,
        linear: Callable[[Sequence[bool]], bool] | None = None,
        result: Callable[[DType], DType] | None = None,
        arity: int | None = None,
        hlo: str | Callable[..., Any] | None = None,
        cost: float = 1.0,
        makes_nan: bool = True,
        complex_jvp: Callable[..., Any] | None = None,
        xla_from: Mapping[int, int] | None = None,
    ) -> None:
        self.name, self.kinds, self.hlo = name, kinds, hlo
        self.cost, self.makes_nan, self.complex_jvp = cost, makes_nan, complex_jvp
        if hlo is not None:
            self.fusion, self.operations = Fusion.ELEMENTWISE, 1
        self.evaluate = evaluate  # type: ignore[method-assign]
        self.arity = arity if arity is not None else len(partials)
        self.partials = partials or (ZERO,) * self.arity
        self.result = result
        if linear is not None:
            self.is_linear = linear  # type: ignore[method-assign]
        if result is to_bool:
            self.weakness = "never"
        if not partials:
            self.no_derivative = "its values are discrete"
        self.direct = complex_jvp is None and all(
            p.__class__ is Constant or hasattr(p, "direct") for p in self.partials
        )
        if xla_from is not None:
            self.xla_from = xla_from
            self.evaluate = or_by_xla(self, evaluate)  # type: ignore[method-assign]
        super().__init__()

    def type_of(self, *types: ShapedArray, **params: Any) -> ShapedArray:
        dtype = types[0].dtype
        for t in types:
            if t.dtype != dtype:
                raise TypeError(f"{self.name} requires arguments of one dtype, got {', '.join(map(str, types))}")
        if dtypes.kind(dtype) not in self.kinds:
            raise TypeError(f"{self.name} does not accept dtype {dtypes.name(dtype)}, at {user_line()}")
        shape = types[0].shape if len(types) == 1 else broadcast_shapes(*(t.shape for t in types))
        weak = self.weakness == "all" and all(t.weak_type for t in types)
        return ShapedArray(shape, dtype if self.result is None else self.result(dtype), weak)

    def spell(self, speller: Any, *operands: Any, **params: Any) -> str:
        if operands[0].aval.dtype != dtypes.bool_:
            speller.signals = True
        return speller.call(of_type(self.evaluate, operands[0].aval), *operands, **params)  # type: ignore[no-any-return]

    def lower(self, emit: Any, *operands: Any, **params: Any) -> Any:
        hlo = self.hlo
        if hlo is None:
            return super().lower(emit, *operands, **params)
        out = emit.types[0]
        shape = out.shape
        for x in operands:
            if x.shape != shape:
                operands = tuple([emit.broadcast(x, shape) for x in operands])
                break
        return emit(hlo, *operands, out=out, **params) if isinstance(hlo, str) else hlo(emit, *operands, **params)

    def terms(
        self, tangents: Sequence[Any], values: Sequence[Any], out: Any, params: Params, weak: bool | None = None
    ) -> list[tuple[Any, Any]]:
        """The chain rule: each tangent (None is zero) that matters, and the coefficient it is
        multiplied by, in a sum. Of NumPy values, coefficients become Arrays, which `weak` says more
        about.

        >>> sub_p.terms([None, "the second tangent"], [3.0, 2.0], 1.0, {})
        [('the second tangent', MINUS_ONE)]
        """
        terms = []
        for t, partial in zip(tangents, self.partials):
            if t is not None:
                if partial.__class__ is not Constant:
                    c = partial(*values, out, **params)  # type: ignore[operator]
                    terms.append((t, c if weak is None else concrete(c, weak)))
                elif partial is not ZERO:
                    terms.append((t, partial))
        return terms

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        if self.complex_jvp is not None and dtypes.is_complex(primals[0].dtype):
            return self.complex_jvp(primals, tangents)
        out = self.bind(*primals, **params)
        terms = self.terms(tangents, primals, out, params)
        return out, (combine(terms, out.shape) if terms else None)

    def on(self, *operands: Any, **params: Any) -> Any:
        """Apply to Arrays or to NumPy values alike, for partials marked `direct`."""
        if isinstance(operands[-1], Array):
            return current().process(self, operands, params)
        return self.evaluate(*operands, **params)

    def linearize(self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
        if self.complex_jvp is not None and dtypes.is_complex(primals[0].dtype):
            return super().linearize(primals, nodes, params)
        out = current().process(self, primals, params)
        terms = self.terms(nodes, primals, out, params)
        return out, (Combination(terms, out.shape, out.dtype) if terms else None)

    def linearize_values(self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
        """`linearize` of concrete operands, without a trip through the evaluating trace for every
        step."""
        token = floating_point_errors[IGNORED]
        try:
            if len(primals) == 1:
                (x,), (partial,) = primals, self.partials
                value, weak = self.evaluate(x._value, **params), x.weak_type and self.weakness == "all"
                out = ConcreteArray()
                out._value, out.weak_type = value, weak
                if partial.__class__ is not Constant:
                    partial = concrete(partial(x._value, value, **params), weak)  # type: ignore[operator, assignment]
                elif partial is ZERO:
                    return out, None
                return out, Combination(((nodes[0], partial),), value.shape, value.dtype)  # type: ignore[arg-type]
            values = [x._value for x in primals]
            value = self.evaluate(*values, **params)
            weak = self.weakness == "all" and all([x.weak_type for x in primals])
            terms = self.terms(nodes, values, value, params, weak)
        finally:
            reset_floating_point_errors(token)
        out = ConcreteArray()
        out._value, out.weak_type = value, weak
        return out, (Combination(terms, value.shape, value.dtype) if terms else None)

    def record(self, operands: Sequence[Any], params: Params) -> Node:
        # The partial of a linear function does not look at the operand it is linear in.
        shape = broadcast_shapes(*(x.shape for x in operands))
        nodes, values = zip(*[(x, None) if isinstance(x, Node) else (None, x) for x in operands])
        return Combination(self.terms(nodes, values, None, params), shape, operands[0].dtype)


def to_bool(dtype: DType) -> DType:
    """The `result` of comparisons, which is never weak."""
    return dtypes.bool_


def _exactly_one(active: Sequence[bool]) -> bool:
    return sum(active) == 1


def _always(active: Sequence[bool]) -> bool:
    return True


_EIGHT_BITS: dict[DType, DType] = {
    dtypes.int2: dtypes.int8, dtypes.int4: dtypes.int8, dtypes.uint2: dtypes.uint8, dtypes.uint4: dtypes.uint8,
}  # fmt: skip


def in_eight_bits(function: Callable[..., Any], arity: int | None = None) -> Callable[..., Any]:
    """`function`, computed in 8 bits, of which the low ones are kept, on 2- and 4-bit integers:
    ml_dtypes has it for no others.

    Functions that are often called give their `arity`, which makes the detour cost less.
    """

    def narrow(x: Any, *rest: Any, **params: Any) -> Any:
        dtype = x.dtype
        if dtype.num < 256 or dtype not in _EIGHT_BITS:
            return function(x, *rest, **params)
        wide = _EIGHT_BITS[dtype]
        return function(x.astype(wide), *(y.astype(wide) for y in rest), **params).astype(dtype)

    def unary(x: Any) -> Any:
        return function(x) if x.dtype.num < 256 else narrow(x)

    def binary(x: Any, y: Any) -> Any:
        return function(x, y) if x.dtype.num < 256 else narrow(x, y)

    chosen: Any = {None: narrow, 1: unary, 2: binary}[arity]
    return by_type(lambda aval: narrow if aval.dtype in _EIGHT_BITS else function)(chosen)


# The vector-space operations that every linear action is made of; the rest of the table is in
# `lax.elementwise`.
_negative, _x, _y = in_eight_bits(np.negative, 1), direct(lambda x, y, out: x), direct(lambda x, y, out: y)
neg_p = Elementwise("neg", NUMERIC, _negative, MINUS_ONE, linear=_always, hlo="negate", makes_nan=False)
add_p = Elementwise("add", ANY, np.add, ONE, ONE, linear=_always, hlo="add")
sub_p = Elementwise("sub", NUMERIC, np.subtract, ONE, MINUS_ONE, linear=_always, hlo="subtract")
mul_p = Elementwise("mul", ANY, np.multiply, _y, _x, linear=_exactly_one, hlo="multiply")


def size_as(dtype: DType, n: Any) -> Array:
    """A size, which may be a symbolic dimension, as a scalar of an array type."""
    return dimensions.value_of(n, dtype, False) if n.__class__ is Dim else concrete(np.array(n, dtype))  # type: ignore[no-any-return]


def like(value: float, x: Array) -> ConcreteArray:
    """The constant `value`, a number or a size, as a scalar of the dtype of `x`, weak if `x` is."""
    # Zeros are equal, whatever their signs.
    key = (value if value.__class__ is int or value != 0 else str(value), x.dtype, x.weak_type)
    found = _constants.get(key)
    if found is None:
        if value.__class__ is Dim:
            return dimensions.value_of(value, x.dtype, x.weak_type)  # type: ignore[arg-type, no-any-return]
        # An array without axes: NumPy combines it with others faster than a NumPy scalar.
        found = _constants[key] = concrete(np.array(value, x.dtype), x.weak_type)
    return found


def constant(value: float, x: Any) -> Any:
    """The constant `value` of the dtype of `x`: an Array if `x` is one, a NumPy value if not."""
    if isinstance(x, Array):
        return like(value, x)
    key = (value if value.__class__ is int or value != 0 else str(value), x.dtype, False)
    found = _constants.get(key)
    if found is None:
        found = _constants[key] = concrete(np.array(value, x.dtype))
    return found._value


_constants: dict[tuple[float | str, DType, bool], ConcreteArray] = {}
