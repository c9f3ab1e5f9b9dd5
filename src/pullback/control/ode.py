"""`odeint`: initial value problems of ordinary differential equations, by an adaptive Runge–Kutta
method, with their derivatives.

The method is Dormand and Prince's of order 5 with its embedded estimate of order 4 (J. Comp. Appl.
Math. 6, 1980); the first derivative of a step is the last of the one before. Between the ends of a
step the solution is the polynomial of degree 4 that has values and derivatives of both ends and
Shampine's value in the middle (Math. Comp. 46, 1986), so that the times asked for do not limit the
steps. The error of a step is the root mean square of its estimate over `atol + rtol·|y|`; steps and
the first of them are chosen as in Hairer, Nørsett and Wanner, "Solving Ordinary Differential
Equations I", section II.4.

The operation `odeint` has operands (values that the equation's right-hand side takes besides the
state and the time, times, initial state) and a program (values, state, time) → derivative. Its
derivatives are equations, too: forward mode solves for the state and its tangent together; reverse
mode solves the adjoint equation, from the last time to the first, and takes the states at the times
asked for from the forward solution (Chen, Rubanova, Bettencourt and Duvenaud, 2018). So both are
available again of each, to any order, and none stores steps.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback import lax
from pullback.control.base import ControlPrimitive, instantiate
from pullback.control.loops import scan, while_loop
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_api, user_line
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.linear import Node
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current, known_value
from pullback.core.tree import arrays_of, keystr, tree_flatten_with_path, tree_structure, tree_unflatten
from pullback.core.types import Shape, ShapedArray
from pullback.lax.arrangement import concatenate_p
from pullback.lax.family import like
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, broadcast_in_dim_p, convert, reduce_sum_p, reshape_p, strong
from pullback.transforms.bodies import Wrapped, stage
from pullback.transforms.call import LinearStep, Mask, OwnDerivative, results_of, sum_unbatched
from pullback.transforms.jvp import DUAL, Forward, dual, primal_and_tangent
from pullback.transforms.lifting import Bundle, Lifting, Outcome, leaves_of, plain
from pullback.transforms.program import Linearization, spread
from pullback.transforms.vmap import Batch, batch_flat, mapped

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Argument, Cotangent, Function, Param, Tangent, Tree, Value, WithNodes, WithTangents

# ---- the method ----------------------------------------------------------------------------------

#: Times of the stages, and what each stage adds to the state of the derivatives before it; the last
#: stage is the end of the step.
_TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
#: The difference between the results of orders 5 and 4.
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
#: What the derivatives add to the state in the middle of the step.
_MIDDLE = (
    6025192743 / 60171106304, 0.0, 51252292925 / 130801643196, -2691868925 / 90256659456, 187940372067 / 3189068634112,
    -1776094331 / 39487288512, 11237099 / 470086768,
)  # fmt: skip

State = list[Any]
Derivative = Callable[[State, Any], State]


def _combined(ks: Sequence[State], weights: Sequence[float], dt: Value) -> State:
    """dt Σ weight·k."""
    out = []
    for each in zip(*ks):
        terms = [k * like(w, k) for k, w in zip(each, weights) if w]
        total = _sum(terms)
        out.append(total * convert(dt, total.dtype))
    return out


def _advanced(y: State, ks: Sequence[State], weights: Sequence[float], dt: Value) -> State:
    """y + dt Σ weight·k."""
    return [x + d for x, d in zip(y, _combined(ks, weights, dt))]


def _norm(errors: State, scales: State, dtype: DType) -> Value:
    """The root mean square of errors over scales."""
    count = sum(e.size for e in errors)
    total = _sum([convert(_total(_squared(e / convert(s, e.dtype))), dtype) for e, s in zip(errors, scales)])
    return lax.sqrt(total * like(1 / max(count, 1), total))


def _sum(xs: Sequence[Value]) -> Value:
    return reduce(operator.add, xs)


def _total(x: Value) -> Value:
    return reduce_sum_p.bind(x, axes=tuple(range(x.ndim)))


def _squared(x: Value) -> Value:
    """|x|²."""
    if not dtypes.is_complex(x.dtype):
        return x * x
    real, imaginary = lax.real(x), lax.imag(x)
    return real * real + imaginary * imaginary


def _scale(*states: State, rtol: float, atol: float) -> State:
    """The size of the errors that are tolerated."""
    sizes = [[lax.abs(x) for x in y] for y in states]
    return [like(atol, x) + like(rtol, x) * x for x in (reduce(lax.max, each) for each in zip(*sizes))]


def _first_step(f: Derivative, t: Value, y: State, dy: State, rtol: float, atol: float) -> Value:
    """A step whose error is about what is tolerated, from the size of the first two derivatives."""
    dtype = t.dtype
    scale = _scale(y, rtol=rtol, atol=atol)
    size, slope = _norm(y, scale, dtype), _norm(dy, scale, dtype)
    small = like(1e-5, t)
    guess: Any = select(lax.bitwise_or(size < small, slope < small), like(1e-6, t), 0.01 * size / slope)
    ahead = f(_advanced(y, [dy], [1.0], guess), t + guess)
    bend = _norm([a - b for a, b in zip(ahead, dy)], scale, dtype) / guess
    largest: Any = lax.max(slope, bend)
    flat = lax.max(like(1e-6, t), guess * like(1e-3, t))
    return lax.min(100 * guess, select(largest <= like(1e-15, t), flat, lax.pow(0.01 / largest, like(1 / 5, t))))


def _next_step(dt: Value, error: Value) -> Value:
    """The step after one of `dt` whose error was `error` times what is tolerated: a fifth of it to
    ten times as long."""
    factor = like(0.9, dt) * lax.pow(error, like(-1 / 5, dt))
    factor = lax.clamp(like(0.2, dt), factor, like(10, dt))
    # Where the right-hand side is not a number, the step has left its domain.
    return dt * select(error == error, factor, like(0.2, dt))


def _between(x: Value, dt: Value, first: State, middle: State, last: State, dfirst: State, dlast: State) -> State:
    """The polynomial of degree 4 through three points, with derivatives at both ends, at `x` in [0,
    1]."""
    out = []
    for y0, ym, y1, d0, d1 in zip(first, middle, last, dfirst, dlast):
        h, s = convert(dt, y0.dtype), convert(x, y0.dtype)
        d0, d1 = d0 * h, d1 * h
        # p = y0 + s (d0 + s (c2 + s (c3 + s c4)))
        c4 = 2 * (d1 - d0) - 8 * (y1 + y0) + 16 * ym
        c3 = 5 * d0 - 3 * d1 + 18 * y0 + 14 * y1 - 32 * ym
        c2 = d1 - 4 * d0 - 11 * y0 - 5 * y1 + 16 * ym
        out.append(y0 + s * (d0 + s * (c2 + s * (c3 + s * c4))))
    return out


def solve(f: Derivative, ts: Value, y0: State, rtol: float, atol: float, mxstep: float, hmax: float) -> State:
    """The states at the times `ts`, stacked, of the equation y' = f(y, t) with y(ts[0]) = y0; NaN
    at times that are not reached."""
    t0, dtype = ts[0], ts.dtype
    dy0 = f(y0, t0)
    limit = None if hmax == inf else like(hmax, t0)

    def limited(dt: Value) -> Value:
        return dt if limit is None else lax.min(dt, limit)

    def step(state: Value) -> Value:
        count, t, dt, y, dy, before = state
        ks = [dy]
        for c, weights in zip(_TIMES, _STAGES):
            ahead = _advanced(y, ks, weights, dt)
            ks.append(f(ahead, t + dt * like(c, dt)))
        error = _norm(_combined(ks, _ERROR, dt), _scale(y, ahead, rtol=rtol, atol=atol), dtype)
        good = error <= like(1, error)
        after = (t + dt, ahead, ks[-1], (dt, y, _advanced(y, ks, _MIDDLE, dt), dy))
        t, y, dy, before = _where(good, after, (t, y, dy, before))
        return count + 1, t, limited(_next_step(dt, error)), y, dy, before

    def to_time(state: Value, target: Value) -> Value:
        def running(loop: Value) -> Value:
            count, t, dt, *_ = loop
            ready = lax.bitwise_and(t < target, t + dt > t)
            return ready if mxstep == inf else lax.bitwise_and(ready, count < int(mxstep))

        _, *state = while_loop(running, step, (np.int32(0), *state))
        t, _, y, dy, (last, y_before, middle, dy_before) = state
        one = like(1, t)
        x = select(last > 0, one - (t - target) / select(last > 0, last, one), one)
        found = _between(x, last, y_before, middle, y, dy_before, dy)
        missed = target > t
        return tuple(state), [select(lax.broadcast(missed, v.shape), lax.full_like(v, np.nan), v) for v in found]

    start = (t0, limited(_first_step(f, t0, y0, dy0, rtol, atol)), y0, dy0, (0 * t0, y0, y0, dy0))
    _, ys = scan(to_time, start, ts[1:])
    return [concatenate_p.bind(reshape_p.bind(x, new_sizes=(1, *x.shape)), y, dimension=0) for x, y in zip(y0, ys)]


def _where(condition: Value, on_true: Value, on_false: Value) -> Value:
    """Of two nested tuples and lists of arrays, the elements of one."""
    if isinstance(on_true, (tuple, list)):
        return type(on_true)(_where(condition, a, b) for a, b in zip(on_true, on_false))
    return select(lax.broadcast(condition, on_true.shape), on_true, on_false)


# ---- the primitive -------------------------------------------------------------------------------


class Odeint(ControlPrimitive, OwnDerivative):
    """See the module's text. `batch` says over which batch axes, innermost first: (size, which
    operands have it, the axis' name); it is in front.

    Example: `odeint(f, y0, ts)` binds it.
    """

    name = "odeint"

    def split(self, operands: Sequence[Value], params: Params) -> tuple[Sequence[Value], Value, Sequence[Value]]:
        """(values, times, initial state)."""
        n = params["num_consts"]
        return operands[:n], operands[n], operands[n + 1 :]

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        leading = tuple(size for size, _, _ in reversed(params["batch"]))
        states = params["jaxpr"].in_avals[params["num_consts"] : -1]
        length = types[params["num_consts"]].shape[-1]
        return [ShapedArray((*leading, length, *t.shape), t.dtype) for t in states]

    def expand(self, *operands: Value, **params: Param) -> list[Value]:
        if params["batch"]:
            return self._over_batch(lambda inner: partial(self.expand, **inner), operands, params)
        consts, ts, y0 = self.split(operands, params)

        def f(y: State, t: Value) -> State:
            return run(params["jaxpr"], *consts, *y, t)

        how = (params["rtol"], params["atol"], params["mxstep"], params["hmax"])
        if len(y0) < 2 or len({x.dtype for x in y0}) > 1 or sum(x.size for x in y0) > _SMALL:
            return solve(f, ts, list(y0), *how)
        shapes = [x.shape for x in y0]

        def joined(y: State, t: Value) -> State:
            return [_join(f(_part(y[0], shapes), t))]

        (ys,) = solve(joined, ts, [_join(y0)], *how)
        return _part(ys, shapes)

    def _over_batch(self, rule: Callable[[Params], Function], operands: Sequence[Value], params: Params) -> list[Value]:
        """A rule of flat operands, over the outermost batch axis; results have it in front."""
        *inner, (size, mapped, axis_name) = params["batch"]
        axes = [0 if m else None for m in mapped]
        outs, out_axes = batch_flat(rule(params | {"batch": tuple(inner)}), size, operands, axes, axis_name)
        return [batch_first(o, b, size) for o, b in zip(outs, out_axes)]

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """As what it computes; as it is, if the transformation leaves the right-hand side alone."""
        closed = params["jaxpr"]
        if params["batch"] or how.program(closed, (None,) * len(closed.in_avals)).program is not closed:
            return how.run(partial(self.expand, **params), operands)
        return None, list(map(plain, self.bind(*leaves_of(operands), **params)))

    # ---- forward mode

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        active = tuple(t is not None for t in tangents)
        outs = self._pushed([*primals, *(t for t in tangents if t is not None)], active, params)
        count = len(outs) // 2
        return outs[:count], outs[count:]

    def _pushed(self, operands: Sequence[Value], active: Mask, params: Params) -> list[Tangent]:
        """Results and all of their tangents, of operands and the tangents of those in `active`."""
        if params["batch"]:
            *inner, (size, mapped, axis_name) = params["batch"]
            every = (*mapped, *(m for m, a in zip(mapped, active) if a))
            wider = params | {"batch": (*inner, (size, every, axis_name))}
            return self._over_batch(lambda p: lambda *xs: self._pushed(xs, active, p), operands, wider)
        n = len(active)
        rest = iter(operands[n:])
        tangents = [next(rest) if a else None for a in active]
        consts, ts, y0 = self.split(operands[:n], params)
        t_consts, t_ts, t_y0 = self.split(tangents, params)
        closed: ClosedJaxpr = params["jaxpr"]
        of_consts = tuple(t is not None for t in t_consts)
        program = closed.derived(("sensitivity", of_consts), _sensitivity, of_consts)
        start = [instantiate(t, x) for t, x in zip(t_y0, y0)]
        if t_ts is not None:  # starting later leaves what the state would have become in between
            slope = run(closed, *consts, *y0, ts[0])
            start = [t - d * convert(t_ts[0], d.dtype) for t, d in zip(start, slope)]
        given = [t for t in t_consts if t is not None]
        both = self.bind(
            *consts, *given, ts, *y0, *start, **params | {"jaxpr": program, "num_consts": len(consts) + len(given)}
        )
        ys, t_ys = both[: len(y0)], both[len(y0) :]
        if t_ts is not None:
            slopes = _at_each_time(closed, consts, ys, ts)
            t_ys = [t + d * _along(t_ts, d) for t, d in zip(t_ys, slopes)]
        return [*ys, *t_ys]

    # ---- reverse mode

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        outs = self.bind(*primals, **params)
        active = tuple(n is not None for n in nodes)
        count = len(primals)

        def push(values: Sequence[Value], ts: Sequence[Tangent]) -> list[Tangent]:
            given = tuple(t is not None for t in ts)
            return self._pushed([*values[:count], *(t for t in ts if t is not None)], given, params)[len(outs) :]

        def pull(values: Sequence[Value], cts: Sequence[Cotangent]) -> list[Cotangent]:
            full = [instantiate(c, y) for c, y in zip(cts, values[count:])]
            return self._pulled([*values, *full], active, params)

        node = LinearStep(self.name, [*primals, *outs], nodes, push, pull, (active, *params.values()))
        return outs, results_of(node, outs, (any(active),) * len(outs))

    def _pulled(self, operands: Sequence[Value], active: Mask, params: Params) -> list[Cotangent]:
        """Cotangents of the operands marked in `active` (None for the others), of operands, results
        and these' cotangents."""
        if not params["batch"]:
            return self._adjoint(operands, active, params)
        *inner, (size, mapped, axis_name) = params["batch"]
        axes = [0 if m else None for m in mapped]
        results = len(operands) - len(axes)

        def each(*xs: Value) -> list[Value]:
            return [c for c in self._pulled(xs, active, params | {"batch": tuple(inner)}) if c is not None]

        found, where = batch_flat(each, size, operands, [*axes, *[0] * results], axis_name)
        rest = iter(zip(found, where))
        pairs = [next(rest) if a else (None, None) for a in active]
        return sum_unbatched([c for c, _ in pairs], [b for _, b in pairs], axes, size)

    def _adjoint(self, operands: Sequence[Value], active: Mask, params: Params) -> list[Cotangent]:
        n = len(active)
        consts, ts, y0 = self.split(operands[:n], params)
        of_consts, of_ts, _ = self.split(active, params)
        k = len(y0)
        ys, cts = operands[n : n + k], operands[n + k :]
        closed: ClosedJaxpr = params["jaxpr"]
        program = closed.derived(("adjoint", of_consts), _adjoint_equation, of_consts)
        wanted = [x for x, a in zip(consts, of_consts) if a]

        def interval(carry: Value, x: Value) -> Value:
            """From one time back to the one before."""
            adjoint, sums = carry
            y, ct, t, before = x
            adjoint = [a + c for a, c in zip(adjoint, ct)]
            backwards = concatenate_p.bind(*(reshape_p.bind(-s, new_sizes=(1,)) for s in (t, before)), dimension=0)
            outs = self.bind(*consts, backwards, *y, *adjoint, *sums, **params | {"jaxpr": program})
            ends = [v[-1] for v in outs[k:]]
            return (ends[:k], ends[k:]), None

        start = ([instantiate(None, x) for x in y0], [instantiate(None, x) for x in wanted])
        each = ([y[1:] for y in ys], [c[1:] for c in cts], ts[1:], ts[:-1])
        (adjoint, sums), _ = scan(interval, start, each, reverse=True)
        ct_ts: Any = None
        if of_ts:
            slopes = _at_each_time(closed, consts, ys, ts)
            moved = [_real(c * d) for c, d in zip(cts, slopes)]
            ct_ts = _sum([convert(reduce_sum_p.bind(m, axes=tuple(range(1, m.ndim))), ts.dtype) for m in moved])
            lost = [(a + c[0]) * d[0] for a, c, d in zip(adjoint, cts, slopes)]
            first = _sum([convert(_total(_real(x)), ts.dtype) for x in lost])
            ct_ts = select(as_array(np.arange(ts.shape[0]) == 0), ct_ts - first, ct_ts)
        rest = iter(sums)
        return [
            *(next(rest) if a else None for a in of_consts),
            ct_ts,
            *(a + c[0] if wanted else None for a, c, wanted in zip(adjoint, cts, active[len(consts) + 1 :])),
        ]


@Batch.rules.of(Odeint)
def _over_batch(how: Batch, call: Odeint, operands: Sequence[Bundle], params: Params) -> Outcome:
    has_axis = tuple([x.kind is not None for x in operands])
    if not any(has_axis):
        return None, list(map(plain, call.bind(*leaves_of(operands), **params)))
    values = leaves_of(map(how.settled, operands))
    outs = call.bind(*values, **params | {"batch": (*params["batch"], (how.size, has_axis, how.axis_name))})
    return None, [mapped(o, 0) for o in outs]


odeint_p = Odeint()


#: States up to this many numbers are one vector: a few operations on it cost less than those on
#: each of their arrays.
_SMALL = 4096


def _join(xs: Sequence[Value]) -> Value:
    """Arrays as one vector."""
    return concatenate_p.bind(*(reshape_p.bind(x, new_sizes=(x.size,)) for x in xs), dimension=0)


def _part(vector: Value, shapes: Sequence[Shape]) -> State:
    """The arrays of these shapes of which a vector is made, along its last axis."""
    leading, out, start = vector.shape[:-1], [], 0
    for shape in shapes:
        stop = start + prod(shape)
        out.append(reshape_p.bind(vector[..., start:stop], new_sizes=(*leading, *shape)))
        start = stop
    return out


def _at_each_time(closed: ClosedJaxpr, consts: Sequence[Value], ys: Sequence[Value], ts: Value) -> list[Value]:
    """The right-hand side at each time of a solution."""
    count = ts.shape[0]
    axes = [*[None] * len(consts), *[0] * (len(ys) + 1)]
    outs, where = batch_flat(partial(run, closed), count, [*consts, *ys, ts], axes)
    return [batch_first(o, b, count) for o, b in zip(outs, where)]


def _real(x: Value) -> Value:
    return lax.real(x) if dtypes.is_complex(x.dtype) else x


def _along(ts: Value, like: Value) -> Value:
    """Numbers for each time, in the shape and dtype of something stacked."""
    return broadcast_in_dim_p.bind(convert(ts, like.dtype), shape=like.shape, broadcast_dimensions=(0,))


def _sensitivity(closed: ClosedJaxpr, of_consts: Mask) -> ClosedJaxpr:
    """(values, tangents of some, state, its tangent, time) → derivatives of the state and of its
    tangent."""
    *types, time = closed.in_avals
    n = len(of_consts)
    k = len(types) - n
    how = Forward()
    lifted = how.program(closed, (*(DUAL if c else None for c in of_consts), *(DUAL,) * k, None))
    tangents = [t.to_tangent_aval().update(weak_type=False) for t in types]
    given = [t for t, a in zip(tangents, of_consts) if a]

    def equation(*xs: Value) -> list[Value]:
        consts, ts_consts, rest = xs[:n], spread(xs[n : n + len(given)], of_consts), xs[n + len(given) :]
        y, t_y, t = rest[:k], rest[k : 2 * k], rest[2 * k]
        operands = [*map(dual, consts, ts_consts), *map(dual, y, t_y), plain(t)]
        pairs = [primal_and_tangent(x) for x in how.apply(lifted, operands)[1]]
        return [*[d for d, _ in pairs], *[instantiate(moved, d) for d, moved in pairs]]

    return stage_flat(equation, [*types[:n], *given, *types[n:], *tangents[n:], time], current())


def _adjoint_equation(closed: ClosedJaxpr, of_consts: Mask) -> ClosedJaxpr:
    """(values, state, adjoint, sums for the values of `of_consts`, minus the time) → their
    derivatives by minus the time."""
    *types, time = closed.in_avals
    n = len(of_consts)
    k = len(types) - n
    active = (*of_consts, *[True] * k, False)
    found: Linearization = closed.derived(("linearize", active), Linearization, active)
    pullback, has = found.pullback(found.has_tangent)
    tangents = [t.to_tangent_aval().update(weak_type=False) for t in types]
    sums = [t for t, a in zip(tangents, of_consts) if a]

    def equation(*xs: Value) -> list[Value]:
        consts, y, adjoint, t = xs[:n], xs[n : n + k], xs[n + k : n + 2 * k], -xs[-1]
        primals = [*consts, *y, t]
        results = run(found.forward, *primals)
        every = [*primals, *results]
        cts = [a for a, h in zip(adjoint, found.has_tangent) if h]
        pulled = iter(run(pullback, *(every[i] for i in found.passed), *cts))
        outs = [next(pulled) if h else None for h in has]
        of_values = [instantiate(c, x) for c, x, a in zip(outs, consts, of_consts) if a]
        of_state = [instantiate(c, x) for c, x in zip(outs[n:], y)]
        return [*(-d for d in results[:k]), *of_state, *of_values]

    return stage_flat(equation, [*types[:n], *types[n:], *tangents[n:], *sums, time], current())


# ---- the function --------------------------------------------------------------------------------


@user_api
def odeint(
    func: Function, y0: Tree, t: Value, *args: Tree, rtol: float = 1.4e-8, atol: float = 1.4e-8, mxstep: float = inf,
    hmax: float = inf,
) -> Tree:  # fmt: skip
    """The solution of dy/dt = func(y, t, *args) with y(t[0]) = y0 at the times `t`: a tree like
    `y0`, whose arrays have the times in front.

    `y0` is a tree of floating or complex arrays, and `func` gives its derivative, a tree alike. `t`
    is a floating array of one axis, with increasing times. `args` are trees of arrays; `func` may
    also close over arrays. Steps are chosen such that the error of each is about `atol + rtol·|y|`;
    they are at most `hmax` long, and at most `mxstep` between two of the times. Solutions that do
    not get to a time (too many steps; a singularity, where steps would become too small to be seen)
    are NaN from there on.

    It is differentiable in `y0`, `t`, `args` and what `func` closes over, in both modes and to any
    order: the equations of the tangents, or of the adjoint, are solved in the same way, with the
    same tolerances, in memory that does not grow with the number of steps. Raises TypeError for a
    state or times that are not inexact and for a `func` that gives other types, ValueError for
    another structure, an empty state and times that do not increase.

    >>> import pullback.numpy as jnp
    >>> ys = odeint(lambda y, t, rate: -rate * y, jnp.float32(1.0), jnp.array([0.0, 1.0, 2.0]), 0.5)
    >>> jnp.round(ys, 4)
    Array([1.    , 0.6065, 0.3679], dtype=float32)
    """
    return _odeint(func, y0, t, args, rtol, atol, mxstep, hmax)


def _odeint(
    func: Function,
    y0: Tree,
    t: Value,
    args: tuple[Tree, ...],
    rtol: Argument,
    atol: Argument,
    mxstep: Argument,
    hmax: Argument,
) -> Tree:
    if not callable(func):
        raise TypeError(f"odeint takes a function, got {func!r:.100} as func, at {user_line()}")
    state, tree = arrays_of(y0, "the initial state of odeint")
    consts, _ = arrays_of(args, "args of odeint")
    if not state:
        raise ValueError(f"odeint needs a state with at least one array, got y0 = {y0!r:.100}, at {user_line()}")
    ts = as_array(t)
    if not dtypes.is_float(ts.dtype) or ts.ndim != 1 or not ts.size:
        raise TypeError(
            f"odeint: t must be a floating array with one axis and at least one time, got {ts.aval.str_short()}, at {user_line()}"
        )
    known = known_value(ts)
    if known is not None and not np.all(known[1:] >= known[:-1]):  # NaN, too
        raise ValueError(f"odeint: the times must increase, got t = {known}, at {user_line()}")
    for path, x in tree_flatten_with_path(y0)[0]:
        if not dtypes.is_inexact(as_array(x).dtype):
            raise TypeError(
                f"odeint: the state must be floating or complex, but y0{keystr(path)} is {as_array(x).aval.str_short()}, at {user_line()}"
            )
    state, ts = [strong(x) for x in state], strong(ts)
    types = [x.aval for x in state]
    in_tree = tree_structure((y0, 0.0, args))
    body = stage(
        _Equation(func), in_tree, [*types, ts.aval.update(shape=()), *(x.aval for x in consts)], "odeint's func"
    )
    if body.out_tree != tree:
        raise ValueError(
            f"odeint: func must give the structure of the state, {tree}; it gave {body.out_tree}, at {user_line()}"
        )
    for (path, _), want, got in zip(tree_flatten_with_path(y0)[0], types, body.out_types):
        if (want.shape, want.dtype) != (got.shape, got.dtype):
            raise TypeError(
                f"odeint: func must give the derivative in the type of the state; for y0{keystr(path)}, {want.str_short()}, it gave "
                f"{got.str_short()}, at {user_line()}"
            )
    n, k, m = len(body.captured), len(state), len(consts)

    def values_first(*xs: Value) -> list[Value]:
        """The right-hand side with its operands in the order of the primitive."""
        captured, given, y, time = xs[:n], xs[n : n + m], xs[n + m : n + m + k], xs[-1]
        return [convert(o, want.dtype) for o, want in zip(run(body.program, *captured, *y, time, *given), types)]

    order = body.program.in_avals
    program = body.program.derived(
        ("values first", n, k),
        lambda _: stage_flat(values_first, [*order[:n], *order[n + k + 1 :], *order[n : n + k + 1]], current()),
    )
    outs = odeint_p.bind(
        *body.captured, *consts, ts, *state, jaxpr=program, num_consts=n + m, rtol=float(rtol), atol=float(atol), mxstep=float(mxstep),
        hmax=float(hmax), batch=(),
    )  # fmt: skip
    return tree_unflatten(tree, outs)


class _Equation(Wrapped):
    """The right-hand side as a function of a state, a time and the tuple of the other arguments.

    Example: of `func(y, t, a)`: y, t, (a,) ↦ func(y, t, a).
    """

    def __call__(self, y: Tree, t: Value, args: tuple[Tree, ...]) -> Tree:
        return self.f(y, t, *args)


__all__ = ["odeint", "odeint_p"]
