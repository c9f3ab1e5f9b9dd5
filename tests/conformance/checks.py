"""The checks that every row of the table passes, each a function of a row that raises AssertionError.

Derivatives are checked against each other and against differences of values, never against formulas:

- a JVP is the limit of central differences. The step is ε^⅓ for the coarsest of the row's types, where truncation and rounding
  balance, and leaves an error of about ε^⅔;
- a VJP is the transpose of the JVP: Re Σ ct · J t = Re Σ (Jᵀ ct) · t for random t and ct (plain pairing, no conjugation);
- all orders of composing two derivatives give one Hessian, which is the limit of differences of the gradient.

The default sample of combinations is bounded; PULLBACK_TEST_SAMPLE=full takes all of them.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pullback.control.base import ControlPrimitive
from pullback.core import dtypes
from pullback.core.array import ConcreteArray, as_array, concrete
from pullback.core.jaxpr import check_jaxpr, eval_jaxpr
from pullback.core.primitive import Primitive, registry
from pullback.core.spelling import function_of
from pullback.core.trace import Trace, current, set_current, under
from pullback.core.tree import tree_leaves, tree_structure
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import and_p, or_p, real_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.shape import convert, reduce_sum_p
from pullback.transforms.call import CallPrimitive
from pullback.transforms.derivatives import grad
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.linearize import linear_transpose, linearize, vjp
from pullback.transforms.tracing import make_jaxpr
from pullback.transforms.vmap import vmap
from tests.conformance.table import Row

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
#: Length of batch axes: not that of any sample's axis, so that axes cannot be confused unnoticed.
BATCH = 5
#: Combinations of batched arguments and axes a row, in the default sample.
COMBINATIONS = 60

Values = list[Any]


# ---- the row as functions ---------------------------------------------------------------------------------------


def arrays(row: Row) -> list[ConcreteArray]:
    """The row's arguments; writing into them raises."""
    return [_frozen(x) for x in row.args]


def _frozen(x: Any) -> ConcreteArray:
    value = np.array(x)
    value.flags.writeable = False
    return concrete(value)


def outputs(row: Row, *args: Any) -> Values:
    """The results as a flat list."""
    return tree_leaves(row.fun(*args))


def inexact(values: Sequence[Any]) -> list[int]:
    return [i for i, x in enumerate(values) if dtypes.is_inexact(x.dtype)]


def differentiable(
    row: Row, active: Sequence[int], which: Sequence[int], args: Sequence[Any] | None = None
) -> Callable[..., tuple[Any, ...]]:
    """The results numbered in `which` as a function of the arguments numbered in `active`; the others are constants."""
    constants = arrays(row) if args is None else args

    def function(*xs: Any) -> tuple[Any, ...]:
        merged: list[Any] = list(constants)
        for i, x in zip(active, xs):
            merged[i] = x
        outs = outputs(row, *merged)
        return tuple(outs[i] for i in which)

    return function


def epsilon(*values: Any) -> float:
    """The coarsest machine precision among the inexact values."""
    return max(
        (float(dtypes.finfo(dtypes.to_real(x.dtype)).eps) for x in values if dtypes.is_inexact(x.dtype)), default=0.0
    )


def generator(row: Row, salt: str = "") -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{row} {salt}".encode()))


def random_like(x: Any, rng: np.random.Generator) -> ConcreteArray:
    """A random element of the tangent space of `x`."""
    t = rng.normal(size=x.shape)
    if dtypes.is_complex(x.dtype):
        t = t + 1j * rng.normal(size=x.shape)
    return concrete(np.asarray(t).astype(x.dtype))


def data(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(x)


def wide(x: Any) -> np.ndarray[Any, Any]:
    """Data in float64 or complex128."""
    return data(x).astype(np.complex128 if dtypes.is_complex(x.dtype) else np.float64)


def pairing(cts: Sequence[Any], tangents: Sequence[Any]) -> tuple[float, float]:
    """Re Σ ct · t, and Σ |ct · t| to compare rounding errors with."""
    products = [wide(c).ravel() * wide(t).ravel() for c, t in zip(cts, tangents)]
    return sum(float(p.sum().real) for p in products), sum(float(np.abs(p).sum()) for p in products)


def weighted_sum(outs: Sequence[Any], weights: Sequence[Any]) -> Any:
    """Re Σ weight · out over all results: a real scalar that depends on every part of each."""
    return plain_sum([mul_p.bind(w, out) for w, out in zip(weights, outs)])


def plain_sum(outs: Sequence[Any]) -> Any:
    """Re Σ out over all results."""
    total: Any = None
    for out in outs:
        term = reduce_sum_p.bind(out, axes=tuple(range(len(out.shape))))
        if dtypes.is_complex(out.dtype):
            term = real_p.bind(term)
        term = convert(term, dtypes.float64)
        total = term if total is None else add_p.bind(total, term)
    return total


# ---- comparisons ------------------------------------------------------------------------------------------------


def same_type(got: Any, expected: Any, what: str) -> None:
    a, b = (x if isinstance(x, ShapedArray) else x.aval for x in (got, expected))
    assert a == b, f"{what}: type {a}, expected {b}"


def close(got: Any, expected: Any, tol: float, what: str) -> None:
    """Equal types up to weakness, and values within `tol` of the largest finite one; NaN and infinities in the same places."""
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert got.dtype == expected.dtype, f"{what}: dtype {got.dtype}, expected {expected.dtype}"
    if not dtypes.is_inexact(got.dtype):
        assert np.array_equal(data(got), data(expected)), f"{what}: {data(got)!r}, expected {data(expected)!r}"
        return
    a, b = wide(got), wide(expected)
    finite = np.isfinite(b)
    special = np.array_equal(a[~finite], b[~finite], equal_nan=True) or _same_specials(a[~finite], b[~finite])
    assert special, f"{what}: {a}, expected {b}: NaN or infinities in other places"
    scale = max(1.0, float(np.abs(b[finite]).max(initial=0.0)))
    error = float(np.abs(a[finite] - b[finite]).max(initial=0.0)) if np.isfinite(a[finite]).all() else np.inf
    assert error <= tol * scale, f"{what}: off by {error:.3g}, allowed {tol * scale:.3g}:\n{a}\nexpected\n{b}"


def _same_specials(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    # Complex infinities have no unique representation: what counts is that both are not finite.
    return bool(np.iscomplexobj(b) and not np.isfinite(a).any())


def rounding(eps: float) -> float:
    """The tolerance between two ways of computing the same: ε^0.6 (4e-10 in float64, 7e-5 in float32)."""
    return float(eps**0.6)


# ---- (a) types, (b) staging, (i) purity -------------------------------------------------------------------------


class TypingTrace(Trace):
    """Evaluates, and compares each result's type with the primitive's type rule."""

    def __init__(self, parent: Trace) -> None:
        self.parent = parent
        self.seen: set[str] = set()

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        values = tuple(as_array(a) for a in args)
        try:
            set_current(self.parent)
            out = self.parent.process(primitive, values, params)
            expected = primitive.type_of(*(v.aval for v in values), **params)
        finally:
            set_current(self)
        self.seen.add(primitive.name)
        what = f"{primitive.name}({', '.join(str(v.aval) for v in values)}; {params})"
        if primitive.multiple_results:
            assert isinstance(out, list), f"{what}: results come in a {type(out).__name__}, must be a list"
            assert len(out) == len(expected), f"{what}: {len(out)} results, the type rule says {len(expected)}"
            for i, (o, e) in enumerate(zip(out, expected)):
                same_type(o, e, f"{what}, result {i}")
        else:
            same_type(out, expected, what)
        return out

    def process_call(self, call: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        self.seen.add(call.name)
        return call.apply(args, params)


def check_types(row: Row) -> None:
    """Results have the types that the type rule says, whichever arguments are weakly typed, and in derivatives too."""
    given = arrays(row)
    count = len(given)
    # None, all, and each alone: a rule for weakness is a function of which operands are weak.
    patterns = {(False,) * count, (True,) * count, *(tuple(i == j for j in range(count)) for i in range(count))}
    for pattern in sorted(patterns):
        args = [concrete(a._value, weak and a.dtype != dtypes.bool_) for a, weak in zip(given, pattern)]
        trace = TypingTrace(current())
        try:
            set_current(trace)
            recorded = outputs(row, *args)
        finally:
            set_current(trace.parent)
        # A collective does not get here: the trace that maps its axis does it by other operations.
        used = row.primitive in trace.seen or registry[row.primitive].is_collective
        assert used, f"the row does not use {row.primitive!r}, only {sorted(trace.seen)}"
        for i, (a, b) in enumerate(zip(recorded, outputs(row, *args), strict=True)):
            same_type(b, a, f"result {i}, evaluated directly")
            # Under the trace, programs are evaluated equation by equation.
            compiled = row.primitive == "jit" or isinstance(registry[row.primitive], ControlPrimitive)
            close(b, a, rounding(epsilon(a)) if compiled else 0.0, f"result {i}, evaluated directly")
        if row.order or registry[row.primitive].no_derivative is not None:
            every = range(len(recorded))
            function, primals = differentiable(row, inexact(args), every, args), [args[i] for i in inexact(args)]
            for i, (a, b) in enumerate(zip(recorded, linearize(function, *primals)[0], strict=True)):
                same_type(b, a, f"result {i} of linearize")


def check_staged(row: Row) -> None:
    """The staged program is well-typed, and evaluates to what the function evaluates to."""
    args = arrays(row)
    program = make_jaxpr(lambda *xs: outputs(row, *xs))(*args)
    check_jaxpr(program.jaxpr)
    expected = outputs(row, *args)
    results = eval_jaxpr(program.jaxpr, program.consts, *args)
    for i, (out, aval, e) in enumerate(zip(results, program.out_avals, expected, strict=True)):
        same_type(aval, e, f"staged result {i}")
        close(out, e, rounding(epsilon(e)), f"staged result {i}")


def check_spelled(row: Row) -> None:
    """What the rule `spell` writes gives what `evaluate` gives, to the bit, of arrays in any layout."""
    args = arrays(row)
    program = make_jaxpr(lambda *xs: outputs(row, *xs))(*args)
    if program.effects or any(isinstance(e.primitive, CallPrimitive) for e in program.jaxpr.eqns):
        return  # which have no plans
    for given in (args, [concrete(np.asfortranarray(x._value) if x.ndim > 1 else x._value) for x in args]):
        expected = eval_jaxpr(program.jaxpr, program.consts, *given)
        function = function_of(program, tree_structure(expected))
        if function is None:  # it gives a large constant
            return
        for i, (out, e) in enumerate(zip(function(given), expected, strict=True)):
            same_type(out, e, f"spelled result {i}")
            assert (out._value.shape, out._value.dtype) == (e._value.shape, e._value.dtype), f"spelled result {i}"
            assert out.tobytes() == e.tobytes(), f"spelled result {i}: {out} is not {e}"


def check_compiled(row: Row) -> None:
    """What XLA computes is what NumPy computes, values and types; so it is for the pullback."""
    args = arrays(row)
    expected = outputs(row, *args)
    compiled = jit(lambda *xs: outputs(row, *xs))(*args)
    tol = max(10 * rounding(epsilon(*args, *expected)), row.compiled_tol)
    for i, (out, e) in enumerate(zip(compiled, expected, strict=True)):
        same_type(out, e, f"compiled result {i}")
        close(out, e, tol, f"compiled result {i}")
    if not row.order:
        return
    active, which = inexact(args), inexact(expected)
    function, primals = differentiable(row, active, which), [args[i] for i in active]
    y, pull = vjp(function, *primals)
    cts = tuple(random_like(o, generator(row, "compiled")) for o in y)

    def pulled(primals: Sequence[Any], cts: Sequence[Any]) -> Any:
        return vjp(function, *primals)[1](tuple(cts))

    for i, got, e in zip(active, jit(pulled)(primals, cts), pull(cts), strict=True):
        close(got, e, 10 * tol, f"compiled cotangent of argument {i}")


def check_constants(row: Row) -> None:
    """So it is where all arguments are constants of the program, on which XLA computes as it compiles, with code of its own.

    Integers and booleans are also such as become constants while XLA simplifies.
    """
    args = arrays(row)
    expected = outputs(row, *args)
    tol = max(10 * rounding(epsilon(*args, *expected)), row.compiled_tol)

    def hidden(x: Any, c: Any) -> Any:
        discrete = not dtypes.is_key(c.dtype) and not dtypes.is_inexact(c.dtype)
        return or_p.bind(and_p.bind(x, like(0, x)), c) if discrete else c

    programs = [jit(lambda: outputs(row, *args))]
    if any(not dtypes.is_inexact(a.dtype) and not dtypes.is_key(a.dtype) for a in args):
        programs.append(jit(lambda *xs: outputs(row, *map(hidden, xs, args))))
    for program, given in zip(programs, ([], args)):
        for i, (out, e) in enumerate(zip(program(*given), expected, strict=True)):
            same_type(out, e, f"result {i} of constants")
            close(out, e, tol, f"result {i} of constants")


def check_operands(row: Row) -> None:
    """NumPy arrays are taken like Arrays: alone, and beside an operand of each transformation."""
    args = arrays(row)
    plain = [a if dtypes.is_key(a.dtype) else data(a) for a in args]
    expected = outputs(row, *args)

    def same(found: Sequence[Any], what: str) -> None:
        for i, (out, e) in enumerate(zip(found, expected, strict=True)):
            same_type(out, e, f"result {i} of {what}")
            close(out, e, rounding(epsilon(*args, e)), f"result {i} of {what}")

    same(outputs(row, *plain), "NumPy arrays")
    for j, x in enumerate(args):
        beside = lambda *xs, j=j: outputs(row, *[xs[0] if i == j else p for i, p in enumerate(plain)])
        program = make_jaxpr(beside)(x)
        same(eval_jaxpr(program.jaxpr, program.consts, x), f"NumPy arrays beside a staged argument {j}")
        if row.vmap:
            found = vmap(beside)(concrete(x._value[None]))
            same([o[0] for o in found], f"NumPy arrays beside a mapped argument {j}")
        if row.order and j in inexact(args):
            same(linearize(beside, x)[0], f"NumPy arrays beside a linearized argument {j}")
            same(
                jvp(beside, (x,), (random_like(x, generator(row)),))[0],
                f"NumPy arrays beside a tangent of argument {j}",
            )


def check_purity(row: Row) -> None:
    """Arguments keep their bytes; what users get of the results cannot be written to."""
    args = arrays(row)
    before = [a.tobytes() for a in args]
    outs = outputs(row, *args)
    for out in outs:
        assert not data(out).flags.writeable, "a result can be written to"
    kept = [data(o).tobytes() for o in outs]
    if row.order:
        active, which = inexact(args), inexact(outs)
        y, pull = vjp(differentiable(row, active, which), *(args[i] for i in active))
        for _ in range(2):  # a pullback may be used again
            pull(tuple(random_like(o, generator(row)) for o in y))
    assert [a.tobytes() for a in args] == before, "an argument was written to"
    assert [data(o).tobytes() for o in outs] == kept, "a result changed when a derivative was computed"


# ---- (c) to (e): derivatives ------------------------------------------------------------------------------------


def _shifted(primals: Values, tangents: Values, h: float) -> Values:
    return [concrete((wide(x) + h * wide(t)).astype(x.dtype)) for x, t in zip(primals, tangents)]


def differences(
    function: Callable[..., Any], primals: Values, tangents: Values, eps: float
) -> list[np.ndarray[Any, Any]]:
    """(f(x + h t) - f(x - h t)) / 2h."""
    h = eps ** (1 / 3)
    plus, minus = (function(*_shifted(primals, tangents, s * h)) for s in (1, -1))
    return [(wide(p) - wide(m)) / (2 * h) for p, m in zip(plus, minus)]


def _against_differences(got: Any, expected: np.ndarray[Any, Any], row: Row, eps: float, what: str) -> None:
    close(wide(got), expected, max(row.tol, 100 * eps ** (2 / 3)), what)


def subsets(items: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The subsets that are not empty: all, or the single ones and the whole in the default sample if there are many."""
    sizes = range(1, len(items) + 1) if FULL or len(items) <= 3 else (1, len(items))
    for n in sizes:
        yield from itertools.combinations(items, n)


def check_jvp(row: Row) -> None:
    """The JVP in random directions is the limit of differences; the primal output is that of the function."""
    args = arrays(row)
    outs = outputs(row, *args)
    which = inexact(outs)
    eps = epsilon(*args, *outs)
    for active in subsets(inexact(args)):
        rng = generator(row, str(active))
        function = differentiable(row, active, which)
        primals = [args[i] for i in active]
        tangents = [random_like(x, rng) for x in primals]
        y, dy = jvp(function, tuple(primals), tuple(tangents))
        for i, out, t, e in zip(which, y, dy, differences(function, primals, tangents, eps), strict=True):
            what = f"jvp by arguments {active}, result {i}"
            close(out, outs[i], rounding(eps), f"{what}, primal")
            same_type(t, ShapedArray(out.shape, out.dtype, t.weak_type), what)
            _against_differences(t, e, row, eps, what)


def check_vjp(row: Row) -> None:
    """The VJP is the transpose of the JVP, and `linearize` and `jvp` agree, for every subset of arguments and single results."""
    args = arrays(row)
    outs = outputs(row, *args)
    eps = epsilon(*args, *outs)
    all_results = inexact(outs)
    for which in [all_results] + ([[i] for i in all_results] if len(all_results) > 1 else []):
        for active in subsets(inexact(args)):
            rng = generator(row, f"{active} {which}")
            what = f"by arguments {active}, results {which}"
            function = differentiable(row, active, which)
            primals = [args[i] for i in active]
            tangents = [random_like(x, rng) for x in primals]
            _, dy = jvp(function, tuple(primals), tuple(tangents))
            y, f_lin = linearize(function, *primals)
            for i, t, d, out in zip(which, f_lin(*tangents), dy, y, strict=True):
                close(out, outs[i], rounding(eps), f"linearize {what}: primal result {i}")
                close(t, d, rounding(eps), f"linearize {what}: tangent of result {i}, against jvp")
            cts = tuple(random_like(o, rng) for o in y)
            y, pull = vjp(function, *primals)
            ct_in = pull(cts)
            assert len(ct_in) == len(primals), f"vjp {what}: {len(ct_in)} cotangents"
            for i, c, x in zip(active, ct_in, primals):
                same_type(c, ShapedArray(x.shape, x.dtype, c.weak_type), f"vjp {what}: cotangent of argument {i}")
            forward, scale = pairing(cts, dy)
            backward, scale2 = pairing(ct_in, tangents)
            assert abs(forward - backward) <= rounding(eps) * max(1.0, scale, scale2), (
                f"vjp {what} is not the transpose of jvp: Re Σ ct·Jt is {forward}, Re Σ (Jᵀct)·t is {backward}"
            )

    _check_uniform_cotangents(row)


def _check_uniform_cotangents(row: Row) -> None:
    """The gradient of a plain sum, whose cotangents are constant and may be handled as scalars, is the pullback of ones."""
    args = arrays(row)
    which, active = inexact(outputs(row, *args)), inexact(args)
    function = differentiable(row, active, which)
    primals = [args[i] for i in active]
    y, pull = vjp(function, *primals)
    expected = pull(tuple(concrete(np.ones(o.shape, o.dtype)) for o in y))
    got = grad(lambda *xs: plain_sum(function(*xs)), tuple(range(len(primals))))(*primals)
    for i, g, e in zip(active, got, expected):
        close(g, e, rounding(epsilon(*args, *y)), f"gradient of the sum by argument {i}, against the pullback of ones")


def check_second_order(row: Row) -> None:
    """Forward over reverse, reverse over forward and reverse over reverse agree with each other and with differences."""
    args = arrays(row)
    outs = outputs(row, *args)
    active, which = inexact(args), inexact(outs)
    rng = generator(row, "second")
    eps = epsilon(*args, *outs)
    weights = [random_like(outs[i], rng) for i in which]
    function = differentiable(row, active, which)
    primals = tuple(args[i] for i in active)
    tangents = tuple(random_like(x, rng) for x in primals)

    def scalar(*xs: Any) -> Any:
        return weighted_sum(function(*xs), weights)

    positions = tuple(range(len(primals)))
    gradient = grad(scalar, positions)
    _, forward_reverse = jvp(gradient, primals, tangents)
    reverse_reverse = grad(lambda *xs: weighted_sum(gradient(*xs), tangents), positions)(*primals)
    reverse_forward = grad(lambda *xs: jvp(scalar, xs, tangents)[1], positions)(*primals)
    expected = differences(gradient, list(primals), list(tangents), eps)
    for i, a, b, c, e in zip(active, forward_reverse, reverse_reverse, reverse_forward, expected):
        _against_differences(a, e, row, eps, f"Hessian-vector product by argument {i}, forward over reverse")
        tol = max(rounding(eps), row.tol * 1e-3)
        close(b, a, tol, f"Hessian-vector product by argument {i}, reverse over reverse against forward over reverse")
        close(c, a, tol, f"Hessian-vector product by argument {i}, reverse over forward against forward over reverse")


# ---- (f) transposition ------------------------------------------------------------------------------------------


def declares_linearity(row: Row, active: Sequence[int]) -> bool:
    """Whether the primitive says that it is linear in the arguments `active` (or in some, if these are not its operands)."""
    primitive = registry[row.primitive]
    if getattr(row.fun, "__self__", None) is primitive:
        return primitive.is_linear([i in active for i in range(len(row.args))])
    return type(primitive).is_linear is not Primitive.is_linear or "is_linear" in vars(primitive)


def linear_subsets(row: Row) -> Iterator[tuple[int, ...]]:
    """All inexact arguments, or single ones, in which the row's function is linear, as values show."""
    args = arrays(row)
    which = inexact(outputs(row, *args))
    active = inexact(args)
    if not which or not active:
        return
    for subset in dict.fromkeys([tuple(active), *((i,) for i in active)]):
        function = differentiable(row, subset, which)
        rng = generator(row, f"linear {subset}")
        x, y = ([random_like(args[i], rng) for i in subset] for _ in range(2))
        total = [concrete(a._value + b._value) for a, b in zip(x, y)]
        eps = epsilon(*args)
        images = (function(*x), function(*y), function(*total))
        try:
            for fx, fy, f_total in zip(*images):
                close(f_total, concrete(data(fx) + data(fy)), 10 * rounding(eps), "")
        except AssertionError:
            continue
        yield subset


def check_linear_transpose(row: Row) -> None:
    """`linear_transpose` gives the pullback, for arguments in which a primitive that declares linearity is linear."""
    args = arrays(row)
    which = inexact(outputs(row, *args))
    for active in linear_subsets(row):
        if not declares_linearity(row, active):
            continue
        function = differentiable(row, active, which)
        primals = [args[i] for i in active]
        y, pull = vjp(function, *primals)
        cts = tuple(random_like(o, generator(row, f"transpose {active}")) for o in y)
        for i, got, expected in zip(active, linear_transpose(function, *primals)(cts), pull(cts), strict=True):
            close(got, expected, rounding(epsilon(*args)), f"linear_transpose by arguments {active}, cotangent {i}")


# ---- (g), (h): vectorization ------------------------------------------------------------------------------------


def batch_of(x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """`BATCH` variations of a sample that are as valid an argument: scaled if inexact, else its own elements moved round."""
    if dtypes.is_inexact(x.dtype):
        with np.errstate(invalid="ignore"):  # complex infinities
            return [(x * np.asarray(1 - 0.125 * i, x.dtype)).astype(x.dtype) for i in range(BATCH)]
    return [np.roll(x.ravel(), i).reshape(x.shape) for i in range(BATCH)]


def axis_combinations(args: Sequence[Any], rng: np.random.Generator) -> list[tuple[int | None, ...]]:
    """For each argument the batch axis or None; at least one is batched."""
    choices = [[None, *range(a.ndim + 1)] for a in args]
    every = [c for c in itertools.product(*choices) if any(b is not None for b in c)]
    if FULL or len(every) <= COMBINATIONS:
        return every
    first = [c for c in every if all(b in (None, 0) for b in c)][: COMBINATIONS // 2]
    rest = [every[i] for i in rng.permutation(len(every))[: COMBINATIONS - len(first)]]
    return list(dict.fromkeys(first + rest))


def stacked(args: Values, variations: Sequence[Any], axes: Sequence[int | None]) -> Values:
    """The arguments with their variations stacked along `axes`, where these are not None."""
    return [a if b is None else concrete(np.stack(v, axis=b)) for a, v, b in zip(args, variations, axes)]


def element(args: Values, variations: Sequence[Any], axes: Sequence[int | None], i: int) -> Values:
    """Element `i` of what `stacked` gives."""
    return [a if b is None else concrete(v[i]) for a, v, b in zip(args, variations, axes)]


def check_vmap(row: Row) -> None:
    """`vmap` equals a loop, for every subset of batched arguments and every position of the batch axis."""
    args = arrays(row)
    variations = [batch_of(a._value) for a in args]
    loops: dict[tuple[bool, ...], list[Values]] = {}
    for axes in axis_combinations(args, generator(row, "axes")):
        mapped = tuple(b is not None for b in axes)
        if mapped not in loops:
            loops[mapped] = [outputs(row, *element(args, variations, axes, i)) for i in range(BATCH)]
        got = vmap(lambda *xs: outputs(row, *xs), in_axes=axes)(*stacked(args, variations, axes))
        for i, (g, *each) in enumerate(zip(got, *loops[mapped], strict=True)):
            expected = np.stack([data(e) for e in each])
            close(g, expected, rounding(epsilon(expected)), f"vmap with in_axes={axes}, result {i}")


def check_vmap_of_grad(row: Row) -> None:
    """`vmap` of the gradient equals a loop over gradients; so does the gradient of the `vmap`ped function."""
    args = arrays(row)
    outs = outputs(row, *args)
    active, which = inexact(args), inexact(outs)
    rng = generator(row, "vmap of grad")
    weights = [random_like(outs[i], rng) for i in which]
    primals = [args[i] for i in active]
    variations = [batch_of(x._value) for x in primals]
    function = differentiable(row, active, which)
    positions = tuple(range(len(primals)))
    tol = 10 * rounding(epsilon(*args, *outs))

    def scalar(*xs: Any) -> Any:
        return weighted_sum(function(*xs), weights)

    gradient = grad(scalar, positions)
    cases = [(0,) * len(primals), tuple(x.ndim for x in primals)]
    if len(primals) > 1:
        cases += [tuple(0 if i == j else None for i in positions) for j in positions]
    for axes in cases:
        batched = stacked(primals, variations, axes)
        loop = [gradient(*element(primals, variations, axes, i)) for i in range(BATCH)]
        for i, (g, *each) in enumerate(zip(vmap(gradient, in_axes=axes)(*batched), *loop, strict=True)):
            close(g, np.stack([data(e) for e in each]), tol, f"vmap of grad with in_axes={axes}, argument {active[i]}")

        def total(*xs: Any, axes: Any = axes) -> Any:
            values = vmap(scalar, in_axes=axes)(*xs)
            return reduce_sum_p.bind(values, axes=(0,))

        for i, (g, b, *each) in enumerate(zip(grad(total, positions)(*batched), axes, *loop, strict=True)):
            values = [data(e) for e in each]
            expected = np.sum(np.stack(values), 0, dtype=values[0].dtype) if b is None else np.stack(values, b)
            close(g, expected, tol, f"grad of vmap with in_axes={axes}, argument {active[i]}")


def check_small_batches(row: Row) -> None:
    """Batches of no element and of one, of all arguments and of each, with the gradient: of the right type, and for one of the right value.

    One row in eight is compiled, too.
    """
    args = arrays(row)
    outs = outputs(row, *args)
    active, which = inexact(args), inexact(outs)
    function = lambda *xs: outputs(row, *xs)
    compiled = row.compiled and (FULL or zlib.crc32(str(row).encode()) % 8 == 0)
    every = tuple(0 for _ in args)
    cases = [every, *(tuple(0 if i == j else None for i in range(len(args))) for j in range(len(args)))]
    for axes in dict.fromkeys(cases if args else []):
        for size in (0, 1):
            batched = [x if b is None else concrete(np.repeat(x._value[None], size, 0)) for x, b in zip(args, axes)]
            mapped = vmap(function, in_axes=axes)
            for run in (mapped, jit(mapped)) if compiled and axes == every else (mapped,):
                for i, (g, o) in enumerate(zip(run(*batched), outs, strict=True)):
                    what = f"vmap over {size} with in_axes={axes}, result {i}"
                    assert g.shape == (size, *o.shape) and g.dtype == o.dtype, f"{what}: {g.aval}"
                    if size:
                        close(g, data(o)[None], rounding(epsilon(o)), what)
            if row.order and active and which:
                mapped = vmap(differentiable(row, active, which), in_axes=tuple(axes[i] for i in active))
                if any(axes[i] is not None for i in active):
                    primals = [batched[i] for i in active]
                    total = lambda *xs, mapped=mapped: plain_sum(mapped(*xs))
                    found = grad(total, tuple(range(len(active))))(*primals)
                    for g, x in zip(found, primals):
                        same_type(g, x, f"gradient over a batch of {size} with in_axes={axes}")


# ---- (j) movers -------------------------------------------------------------------------------------------------


class Applications(Trace):
    """Evaluates, and notes what one primitive is applied to."""

    def __init__(self, parent: Trace, primitive: Primitive) -> None:
        self.parent, self.primitive = parent, primitive
        self.found: list[tuple[Values, dict[str, Any]]] = []

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if primitive is self.primitive:
            self.found.append(([as_array(a) for a in args], params))
        return under(self.parent, primitive.bind, *args, **params)


def check_moves(row: Row) -> None:
    """A mover, applied to the numbers of elements, says where each one of its results comes from.

    Just there its values come from; its Jacobian has a 1 there and zeros elsewhere.
    """
    primitive = registry[row.primitive]
    trace = Applications(current(), primitive)
    under(trace, outputs, row, *arrays(row))
    assert trace.found, f"the row does not apply {row.primitive!r} itself"
    for operands, params in trace.found:
        _check_moved(primitive, operands, params, generator(row, "moves"))


def _check_moved(primitive: Primitive, operands: Values, params: dict[str, Any], rng: np.random.Generator) -> None:
    each = range(len(operands))
    moved = [i for i in each if primitive.is_linear([i == j for j in each])]
    count = sum(operands[i].size for i in moved)
    # Numbers far from everything that stands for nothing.
    numbers = _spread((1 << 40) + np.arange(count), [operands[i] for i in moved])
    merged = lambda xs: [xs[moved.index(i)] if i in moved else operands[i] for i in each]
    listed = lambda out: list(out) if primitive.multiple_results else [out]
    values = [operands[i]._value for i in each]
    numbered = primitive.evaluate(*[numbers[moved.index(i)] if i in moved else values[i] for i in each], **params)
    places = [np.asarray(n) - (1 << 40) for n in listed(numbered)]
    inside = [(p >= 0) & (p < count) for p in places]
    elements = _joined([values[i] for i in moved])
    for k, out in enumerate(listed(primitive.evaluate(*values, **params))):
        assert np.asarray(out).shape == places[k].shape, f"result {k} has another shape for numbers"
        same = np.asarray(out)[inside[k]].tobytes() == elements[places[k][inside[k]]].tobytes()
        assert same, f"result {k}: elements come from other places than their numbers"
    if not all(dtypes.is_inexact(operands[i].dtype) for i in moved):
        return
    primals = [operands[i] for i in moved]
    tangents = [random_like(x, rng) for x in primals]
    y, f_lin = linearize(lambda *xs: tuple(listed(primitive.bind(*merged(xs), **params))), *primals)
    for k, t in enumerate(f_lin(*tangents)):
        expected = np.zeros(places[k].shape, t.dtype)
        expected[inside[k]] = _joined([data(t) for t in tangents])[places[k][inside[k]]]
        assert np.array_equal(data(t), expected), f"result {k}: tangents come from other places than elements"
    cts = [random_like(o, rng) for o in y]
    expected = np.zeros(count, elements.dtype)
    for p, ok, ct in zip(places, inside, cts):
        np.add.at(expected, p[ok], data(ct)[ok])
    back = _joined([data(ct) for ct in f_lin.T(tuple(cts))])
    close(
        concrete(back),
        concrete(expected),
        rounding(epsilon(*primals)),
        "cotangents go to other places than elements come from",
    )


def _joined(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.asarray(v).reshape(-1) for v in values])


def _spread(flat: np.ndarray[Any, Any], like: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
    """Consecutive parts of `flat` in the shapes of `like`."""
    ends = np.cumsum([x.size for x in like])
    return [flat[end - x.size : end].reshape(x.shape) for x, end in zip(like, ends)]
