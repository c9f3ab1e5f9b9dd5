"""Checkpointing: reverse mode through loops in bounded memory.

The backward pass of a loop needs the state before every step, last step first. With c slots for states, those that are not stored are computed
again from the nearest one before. What that costs is known (Griewank and Walther, "Algorithm 799: revolve", ACM TOMS 26, 2000): with
β(c, r) = binomial(c + r, c), a loop of β(c, r-1) < l <= β(c, r) steps repeats at least r·l − β(c+1, r-1) of them, and as many if from a
state with l steps to reverse and c slots (its own counted) the next one is stored

    m = min(β(c, r-1), l − β(c-1, r-1))

steps on (`distance`). Of a `scan` the length is known: the states at these places are stored on the way forward. Of a `while` it is not:
the forward pass stores every state, and whenever the slots are full drops every other one and doubles the stride; the backward pass goes
on with the formula from there (online checkpointing, in the manner of Stumm and Walther, SIAM J. Sci. Comput. 32, 2010).

The schedule is run by loops in the program (`sweep`): neither the length nor the number of slots makes the program longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import and_, or_
from typing import Any

import numpy as np

from pullback.control.loop import instantiate, selected
from pullback.control.loops import scan, while_loop
from pullback.control.while_loop import LiftedLoop
from pullback.core import dtypes
from pullback.core.array import ConcreteArray, concrete
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.kept import carriers
from pullback.core.linear import Cotangents, Input, Node
from pullback.core.passes import Quiet, refuse_repeated_effects, without_effects
from pullback.core.stage import stage_flat
from pullback.core.trace import Params, current, under
from pullback.core.types import ShapedArray
from pullback.lax.blocks import dynamic_index_in_dim, dynamic_update_index_in_dim
from pullback.lax.creation import broadcasted_iota
from pullback.lax.elementwise import div_p
from pullback.lax.reductions import reduce_or_p
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, broadcast_in_dim_p, convert, expand_dims, move_axis
from pullback.lax.sorting import take_along_p
from pullback.transforms.call import LinearStep, Mask, OwnDerivative, results_of, sum_unbatched
from pullback.transforms.jit import JitCall
from pullback.transforms.jvp import pushed
from pullback.transforms.lifting import (
    Bundle,
    Lifting,
    Outcome,
    fixed_point,
    kinds_of,
    leaves_of,
    over_bundles,
    plain,
    wider,
)
from pullback.transforms.linearize import linearize_flat
from pullback.transforms.program import Linearization
from pullback.transforms.vmap import Batch, batch_flat, mapped, with_axis

#: Slots of a `while` for which no number is given.
DEFAULT_SLOTS = 32
#: Bytes that the states of one segment of a `while` should take.
_SEGMENT_BYTES = 1 << 16


def check_slots(checkpoints: Any, length: int | None) -> int:
    """The number of slots that `checkpoints` asks for. Raises ValueError for what is neither a positive number nor a known name."""
    if isinstance(checkpoints, str):
        if checkpoints == "sqrt" and length is not None:
            return max(1, math.isqrt(max(0, length - 1)) + 1)
        if checkpoints == "binomial" and length is not None:
            return max(1, length.bit_length())
        known = "a positive number, 'sqrt' or 'binomial'" if length is not None else "a positive number"
        raise ValueError(f"checkpoints must be {known}, got {checkpoints!r}")
    if isinstance(checkpoints, bool) or not isinstance(checkpoints, (int, np.integer)) or checkpoints < 1:
        raise ValueError(f"checkpoints must be a positive number, got {checkpoints!r}")
    return int(checkpoints) if length is None else min(int(checkpoints), max(1, length))


# ---- the schedule -----------------------------------------------------------------------------------------------


def distance(steps: int, slots: int) -> int:
    """How many steps on the next state is stored, with `steps` >= 2 to reverse and `slots` >= 1, that of this state counted.

    >>> distance(10, 3)
    4
    """
    before, last, now, r = 0, 0, 1, 0
    while now < steps:
        r += 1
        before, last, now = last, now, now * (slots + r) // r
    # β(slots-1, r-1) = β(slots, r-1) - β(slots, r-2)
    return min(last, steps - (last - before))


def repeated_steps(steps: int, slots: int) -> int:
    """The least number of forward steps with which `steps` are reversed, the first pass counted and each reversed step itself not.

    >>> repeated_steps(10, 3)
    15
    """
    r, bound = 0, 1
    while bound < steps:
        r += 1
        bound = math.comb(slots + r, slots)
    return r * steps - (math.comb(slots + r, slots + 1) if r else 0)


def places(steps: int, slots: int) -> list[int]:
    """Where the first pass stores states: the first of them is 0."""
    found, at = [0], 0
    while slots > 1 and steps > 1:
        m = distance(steps, slots)
        at, steps, slots = at + m, steps - m, slots - 1
        found.append(at)
    return found


def _distance(steps: Any, slots: Any) -> Any:
    """`distance` of traced numbers."""
    steps, slots = convert(steps, dtypes.int64), convert(slots, dtypes.int64)
    zero, one = (concrete(np.int64(n)) for n in (0, 1))

    def grow(state: Any) -> Any:
        r, _, last, now = state
        r = r + one
        return r, last, now, div_p.bind(now * (slots + r), r)  # exact; `//` is floor division, in the default types

    _, before, last, _ = while_loop(lambda s: s[3] < steps, grow, (zero, zero, zero, one))
    alternative = steps - (last - before)
    return convert(select(last < alternative, last, alternative), dtypes.int32)


def _number(n: int) -> ConcreteArray:
    return concrete(np.int32(n))


def _row(x: Any, i: Any) -> Any:
    return dynamic_index_in_dim(x, i, 0, keepdims=False)


def _with_row(x: Any, row: Any, i: Any) -> Any:
    return dynamic_update_index_in_dim(x, row, i, 0)


Step = Callable[[Any, list[Any]], list[Any]]


def _advance(step: Step, at: Any, steps: Any, state: list[Any]) -> list[Any]:
    """The state `steps` steps on from the one before step number `at`."""
    stop = at + steps
    _, state = while_loop(lambda s: s[0] < stop, lambda s: (s[0] + _number(1), step(s[0], s[1])), (at, state))
    return state


def sweep(
    step: Step, back: Callable[[Any, list[Any], list[Any]], list[Any]], slots: list[Any], at: Any, used: Any, length: Any, adjoint: list[Any]
) -> list[Any]:  # fmt: skip
    """The adjoint after `back(j, state before step j, adjoint)` for j = length-1, ..., 0.

    `slots` hold states as rows, the last row being scrap; the first `used` rows are states before the steps `at`, ascending from 0.
    """
    count = slots[0].shape[0] - 1 if slots else 0
    one = _number(1)

    def reach(j: Any) -> Callable[[Any], Any]:
        def towards(s: Any) -> Any:
            p, top, slots, at, state = s
            steps, free = j - p, _number(count - 1) - top
            m = select(free > _number(0), _distance(steps + one, free + one), steps)
            state = _advance(step, p, m, state)
            p = p + m
            store = (p < j) & (free > _number(0))
            row = select(store, top + one, _number(count))
            slots = [_with_row(slot, x, row) for slot, x in zip(slots, state)]
            return p, select(store, row, top), slots, _with_row(at, p, row), state

        return towards

    def reverse_one(s: Any) -> Any:
        j, top, slots, at, adjoint = s
        p, state = _row(at, top), [_row(slot, top) for slot in slots]
        _, top, slots, at, state = while_loop(lambda s: s[0] < j, reach(j), (p, top, slots, at, state))
        adjoint = back(j, state, adjoint)
        return j - one, select(_row(at, top) == j, top - one, top), slots, at, adjoint

    start = (length - one, used - one, slots, at, adjoint)
    return while_loop(lambda s: s[0] >= _number(0), reverse_one, start)[4]


# ---- the linearization of a body, for one step ------------------------------------------------------------------


class StepLinearization:
    """The derivative of a loop's body (constants, carries, others) → (carries, outputs), one step at a time.

    `active` marks the operands with tangents, carries that get one from a step included.
    """

    __slots__ = ("active", "body", "count", "num_carry", "types")

    def __init__(self, closed: ClosedJaxpr, count: int, num_carry: int, active: Mask) -> None:
        of_consts, init, of_others = active[:count], active[count : count + num_carry], active[count + num_carry :]

        def of_step(carry: Mask) -> Linearization:
            every = (*of_consts, *carry, *of_others)
            found: Linearization = closed.derived(("linearize", every), Linearization, every)
            return found

        carry = fixed_point(init, lambda carry: of_step(carry).has_tangent[:num_carry], or_)
        self.active, self.body = (*of_consts, *carry, *of_others), of_step(carry)
        self.count, self.num_carry, self.types = count, num_carry, closed.in_avals

    @property
    def carry_active(self) -> Mask:
        """The carries with tangents."""
        return self.active[self.count : self.count + self.num_carry]

    def cotangent_masks(self, given: Mask) -> tuple[Mask, Mask]:
        """Which results and which operands have cotangents, if at the end of the loop those of the results marked in `given` have."""
        n, first = self.num_carry, self.count

        def pulled(carry: Mask) -> Mask:
            taken = tuple(map(and_, (*carry, *given[n:]), self.body.has_tangent))
            return self.body.pullback(taken)[1]

        carry = fixed_point(given[:n], lambda carry: pulled(carry)[first : first + n], or_)
        return (*carry, *given[n:]), pulled(carry)

    def pull(self, primals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of a step's operands at `primals`, given those of its results (None is zero)."""
        results = run(self.body.forward, *primals)
        every = [*primals, *results]
        taken = tuple(c is not None and has for c, has in zip(cotangents, self.body.has_tangent))
        program, pulled = self.body.pullback(taken)
        outs = iter(run(program, *[every[i] for i in self.body.passed], *[c for c, t in zip(cotangents, taken) if t]))
        return [next(outs) if p else None for p in pulled]


# ---- recorded loops and their transposes ------------------------------------------------------------------------
# Derivatives of a loop's derivatives are not derivatives of the schedule. With L the loop as a function of its operands x, and the residuals r
# made by its recording, the transpose P(x, r, c) = L'(x)ᵀ c does not depend on r, and Hessians are symmetric: with
#
#     Q(x, u, c) = ∂/∂x ⟨c, L'(x) u⟩,    the reverse-mode derivative of the loop's JVP, which is a loop like L,
#
# its derivative in the direction (dx, dc) is Q(x, dx, c) + P(x, r, dc), and the transpose of that takes u to (Q(x, u, c), L'(x) u).


class Rule:
    """The derivative of a `LoopCall`, as two linear functions at `primals` (the operands) and `outs` (the results); None is zero."""

    def __init_subclass__(cls) -> None:
        carriers[cls] = "__dict__"

    def push(self, primals: Sequence[Any], outs: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        """Tangents of the results, given the operands'."""
        raise NotImplementedError(f"{type(self).__name__} must define push")

    def pull(self, primals: Sequence[Any], outs: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        """Cotangents of the operands, given the results'."""
        raise NotImplementedError(f"{type(self).__name__} must define pull")

    def over_batch(
        self, size: int, axes: Sequence[int | None], axis_name: Any
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        """The program over a batch axis, and where the results have it; None if nothing better is known than to batch the program."""
        return None


class LoopCall(JitCall, OwnDerivative):
    """A call of a program of a checkpointed loop, whose derivative is given by the parameter `rule`."""

    name = "checkpointed_loop"

    def linearized(
        self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params
    ) -> tuple[Sequence[Any], Sequence[Node | None]]:
        rule: Rule = params["rule"]
        count = len(primals)
        outs = self.bind(*primals, **params)
        node = LinearStep(
            params["name"], [*primals, *outs], nodes,
            lambda values, ts: rule.push(values[:count], values[count:], ts),
            lambda values, cts: rule.pull(values[:count], values[count:], cts), rule,
        )  # fmt: skip
        return outs, results_of(node, outs, tuple(dtypes.is_inexact(o.dtype) for o in outs))

    def forward_mode(
        self, primals: Sequence[Any], tangents: Sequence[Any], params: Params
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        outs = self.bind(*primals, **params)
        return outs, params["rule"].push(primals, outs, tangents)

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """As what it computes, where a transformation makes more of that: the rule knows nothing of it."""
        if how.program(params["jaxpr"], kinds_of(operands)).program is not params["jaxpr"]:
            return how.run_program(params["jaxpr"], operands)
        return None, list(map(plain, self.bind(*leaves_of(operands), **params)))


@Batch.rules.of(LoopCall)
def _over_batch(how: Batch, call: LoopCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    key = (params["rule"], how.size, kinds_of(operands), how.axis_name)
    program, rule = params["jaxpr"].derived(("batched loop call", *key), _batched_call, how, *key)
    outs = call.bind(*leaves_of(operands), **params | {"jaxpr": program, "rule": rule})
    return None, list(map(mapped, outs, rule.out_axes))


loop_call_p = LoopCall()


def _batched_call(
    closed: ClosedJaxpr, how: Batch, rule: Rule, size: int, axes: tuple[int | None, ...], axis_name: Any
) -> tuple[ClosedJaxpr, BatchedRule]:
    known = rule.over_batch(size, axes, axis_name)
    if known is not None:
        return known[0], BatchedRule(rule, size, axes, known[1], axis_name)
    found = how.program(closed, axes)
    in_front = [0] * len(found.kinds)
    program = found.program
    if found.kinds != tuple(in_front):
        spread = lambda operands: leaves_of(wider(how, how.apply(found, operands)[1], in_front))
        program = over_bundles(how, spread, (axes, closed.in_avals))
    return program, BatchedRule(rule, size, axes, in_front, axis_name)


class BatchedRule(Rule):
    """The derivative over a batch axis: that of each element. Results that have derivatives have the axis in front."""

    def __init__(
        self, rule: Rule, size: int, axes: Sequence[int | None], out_axes: Sequence[int | None], axis_name: Any
    ) -> None:
        self.rule, self.size, self.axes, self.out_axes, self.axis_name = rule, size, axes, out_axes, axis_name

    def _apply(
        self, fun: Callable[..., Any], primals: Sequence[Any], outs: Sequence[Any], linear: Sequence[Any], axes: Sequence[int | None]
    ) -> tuple[list[Any], list[int | None]]:  # fmt: skip
        n, m = len(primals), len(primals) + len(outs)
        given = [i for i, x in enumerate(linear) if x is not None]
        present: list[bool] = []

        def flat(*xs: Any) -> list[Any]:
            rest = iter(xs[m:])
            results = fun(xs[:n], xs[n:m], [next(rest) if x is not None else None for x in linear])
            present[:] = [r is not None for r in results]
            return [r for r in results if r is not None]

        every = [*self.axes, *self.out_axes, *[axes[i] for i in given]]
        found, found_axes = batch_flat(
            flat, self.size, [*primals, *outs, *[linear[i] for i in given]], every, self.axis_name
        )
        results, result_axes = iter(found), iter(found_axes)
        return [next(results) if p else None for p in present], [next(result_axes) if p else None for p in present]

    def push(self, primals: Sequence[Any], outs: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        found, axes = self._apply(self.rule.push, primals, outs, tangents, self.axes)
        return [None if t is None else batch_first(t, b, self.size) for t, b in zip(found, axes)]

    def pull(self, primals: Sequence[Any], outs: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        found, axes = self._apply(self.rule.pull, primals, outs, cotangents, [0] * len(outs))
        return sum_unbatched(found, axes, self.axes, self.size)


class Recording(Rule):
    """Of operands → results, residuals of a loop. Residuals have no derivative: no transpose depends on them."""

    def __init__(self, loop: CheckpointedLoop) -> None:
        self.loop = loop

    def push(self, primals: Sequence[Any], outs: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        return [*self.loop.push(primals, tangents), *[None] * (len(outs) - len(self.loop.has_tangent))]

    def pull(self, primals: Sequence[Any], outs: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        count = len(self.loop.has_tangent)
        return self.loop.pull([*primals, *outs[count:]], cotangents[:count])

    def over_batch(self, size: int, axes: Sequence[int | None], axis_name: Any) -> Any:
        return self.loop.recording_over_batch(size, axes, axis_name)


class Transposition(Rule):
    """Of operands, residuals, cotangents of the results marked in `given` → cotangents of the operands marked in `masks`."""

    def __init__(self, loop: CheckpointedLoop, given: Mask, masks: Mask) -> None:
        self.loop, self.given, self.masks = loop, given, masks

    def _split(self, xs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], list[Any]]:
        """What belongs to the operands, to the residuals, and to all the loop's results."""
        n, m = self.loop.inputs, len(xs) - sum(self.given)
        rest = iter(xs[m:])
        return xs[:n], xs[n:m], [next(rest) if g else None for g in self.given]

    def push(self, primals: Sequence[Any], outs: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        (x, residuals, cts), (t_x, _, t_cts) = self._split(primals), self._split(tangents)
        total: Sequence[Any] = [None] * self.loop.inputs
        if any(t is not None for t in t_cts):
            total = self.loop.pull([*x, *residuals], t_cts)
        if any(t is not None for t in t_x):
            total = [
                b if a is None else a if b is None else a + b for a, b in zip(total, self.loop.second(x, t_x, cts))
            ]
        return [t for t, wanted in zip(total, self.masks) if wanted]

    def pull(self, primals: Sequence[Any], outs: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        x, residuals, cts = self._split(primals)
        rest = iter(cotangents)
        u = [next(rest) if wanted else None for wanted in self.masks]
        along = self.loop.push(x, u)
        return [*self.loop.second(x, u, cts), *[None] * len(residuals), *(t for t, g in zip(along, self.given) if g)]

    def over_batch(self, size: int, axes: Sequence[int | None], axis_name: Any) -> Any:
        return self.loop.transpose_over_batch(self.given, size, axes, axis_name)


class CheckpointedLoop:
    """The derivative of a loop in the operands marked in `active`, with a bounded number of states kept.

    Subclasses stage `_store` (operands → results, residuals) and `_transpose` (operands, residuals, cotangents → cotangents).
    """

    operation: Any
    params: Params
    closed: ClosedJaxpr
    inputs: int
    has_tangent: Mask
    operand_types: list[ShapedArray]

    def __init__(self) -> None:
        refuse_repeated_effects(self.closed, f"reverse mode through {self.operation.name}")
        self._recording = stage_flat(self._store, self.operand_types, current())
        self._rule = Recording(self)
        self._transposes: dict[Mask, tuple[ClosedJaxpr, Transposition]] = {}

    def _store(self, *operands: Any) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define _store")

    def _transpose(self, values: Sequence[Any], given: Mask) -> tuple[ClosedJaxpr, Mask]:
        raise NotImplementedError(f"{type(self).__name__} must define _transpose")

    def recording_over_batch(self, size: int, axes: Sequence[int | None], axis_name: Any) -> Any:
        """See `Rule.over_batch`, of what `_store` does."""
        return None

    def transpose_over_batch(self, given: Mask, size: int, axes: Sequence[int | None], axis_name: Any) -> Any:
        """See `Rule.over_batch`, of what `_transpose` does."""
        return None

    def forward(self, primals: Sequence[Any]) -> list[Any]:
        """Results and residuals."""
        name = f"recorded_{self.operation.name}"
        outs: list[Any] = loop_call_p.bind(*primals, jaxpr=self._recording, name=name, options=None, rule=self._rule)
        types = self.closed.out_avals
        return [*(convert(o, o.dtype, t.weak_type) for o, t in zip(outs, types)), *outs[len(types) :]]

    def nodes(self, primals: Sequence[Any], outs: Sequence[Any], nodes: Sequence[Node | None]) -> list[Node | None]:
        """The nodes of the results' tangents, given all that `forward` gave."""
        count = len(self.has_tangent)
        node = LinearStep(self.operation.name, [*primals, *outs[count:]], nodes, self.push, self.pull, self)
        return results_of(node, outs[:count], self.has_tangent)

    def push(self, values: Sequence[Any], tangents: Sequence[Any]) -> Any:
        """Tangents of the results: of the loop's JVP, run again."""
        return self._jvp(values[: self.inputs], tangents)

    def _jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        """The results' tangents alone: what the loop does has been done."""
        t_outs: Sequence[Any] = under(Quiet(current()), pushed, self.operation, primals, tangents, self.params)[1]
        return t_outs

    def pull(self, values: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the operands."""
        given = tuple(c is not None and has for c, has in zip(cotangents, self.has_tangent))
        found = self._transposes.get(given)
        if found is None:
            program, masks = self._transpose(values, given)
            found = self._transposes[given] = program, Transposition(self, given, masks)
        program, rule = found
        cts = [c for c, g in zip(cotangents, given) if g]
        name = f"transposed_{self.operation.name}"
        outs = iter(loop_call_p.bind(*values, *cts, jaxpr=program, name=name, options=None, rule=rule))
        return [next(outs) if m else None for m in rule.masks]

    def second(self, x: Sequence[Any], u: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Q(x, u, c): the derivative in x of ⟨c, L'(x) u⟩ (None is zero)."""
        inputs = [Input(v.shape, v.dtype) if dtypes.is_inexact(v.dtype) else None for v in x]

        def along(*xs: Any) -> list[Any]:
            ts = self._jvp(xs, u)
            return [instantiate(t, c) for t, c in zip(ts, cotangents) if c is not None]

        _, nodes = linearize_flat(along, x, inputs)
        pulled = Cotangents()
        for node, c in zip(nodes, [c for c in cotangents if c is not None]):
            if node is not None:
                pulled.add(node, c)
        pulled.pull()
        return [None if i is None else pulled.get(i) for i in inputs]


def _empty(types: Sequence[ShapedArray], rows: int) -> list[Any]:
    return [
        broadcast_in_dim_p.bind(concrete(np.zeros((), t.dtype)), shape=(rows, *t.shape), broadcast_dimensions=())
        for t in types
    ]


# ---- scan -------------------------------------------------------------------------------------------------------


def linearized_scan(scan_p: Any, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
    """Results of a scan with checkpoints, and the nodes of their tangents."""
    active = tuple(n is not None for n in nodes)
    key = ("checkpointed scan", active, *[v for k, v in params.items() if k != "jaxpr"])
    found: CheckpointedScan = params["jaxpr"].derived(key, CheckpointedScan, scan_p, active, params)
    outs = found.forward(primals)
    return outs[: len(found.has_tangent)], found.nodes(primals, outs, nodes)


class CheckpointedScan(CheckpointedLoop):
    """Of a scan, whose length is known. The residuals are the slots."""

    def __init__(self, closed: ClosedJaxpr, operation: Any, active: Mask, params: Params) -> None:
        self.operation, self.params = operation, params
        self.count, self.num_carry, self.length = params["num_consts"], params["num_carry"], params["length"]
        n = self.count + self.num_carry
        self.closed, self.types = closed, closed.in_avals
        self.inputs = len(self.types)
        self.step = StepLinearization(closed, self.count, self.num_carry, active)
        self.has_tangent = (*self.step.carry_active, *self.step.body.has_tangent[self.num_carry :])
        self.places = places(self.length, params["checkpoints"])
        self.xs = slice(n, None)
        stacked = [t.update(shape=(self.length, *t.shape)) for t in self.types[n:]]
        self.operand_types = [t.update(weak_type=False) for t in (*self.types[:n], *stacked)]
        self._only_carry = selected(closed, range(self.num_carry))
        super().__init__()

    def _position(self, i: Any) -> Any:
        return _number(self.length - 1) - i if self.params["reverse"] else i

    def _primals(self, consts: Sequence[Any], xs: Sequence[Any], i: Any, state: Sequence[Any]) -> list[Any]:
        return [*consts, *state, *(_row(x, self._position(i)) for x in xs)]

    def _store(self, *operands: Any) -> list[Any]:
        """Results, and the states at `places` and in one scrap row more."""
        consts, init, xs = operands[: self.count], list(operands[self.count : self.xs.start]), operands[self.xs]
        outs = _empty(self.closed.out_avals[self.num_carry :], self.length)

        def step(i: Any, both: list[Any]) -> list[Any]:
            state, outs = both
            results = run(self.closed, *self._primals(consts, xs, i, state))
            new = [_with_row(o, y, self._position(i)) for o, y in zip(outs, results[self.num_carry :])]
            return [results[: self.num_carry], new]

        def segment(both: Any, bounds: Any) -> Any:
            start, steps = bounds
            return _advance(step, start, steps, both), both[0]

        rows = self.params["checkpoints"] + 1
        starts = np.array([*self.places, *[self.length] * (rows - len(self.places))], np.int32)
        steps = np.diff(starts, append=self.length).astype(np.int32)
        (final, outs), slots = scan(segment, [init, outs], (concrete(starts), concrete(steps)))
        return [*final, *outs, *slots]

    def _transpose(self, values: Sequence[Any], given: Mask) -> tuple[ClosedJaxpr, Mask]:
        n, first = self.num_carry, self.count
        wanted, pulled = self.step.cotangent_masks(given)
        types, closed = self.types, self.closed
        has_carry = wanted[:n]
        masks = (*pulled[:first], *has_carry, *pulled[self.xs])
        ct_types = [closed.out_avals[i].to_tangent_aval() for i in range(len(given)) if given[i]]
        ct_types = [
            t if i < sum(given[:n]) else t.update(shape=(self.length, *t.shape)) for i, t in enumerate(ct_types)
        ]

        def program(*xs: Any) -> list[Any]:
            operands, slots, cts = xs[: len(types)], list(xs[len(types) : len(types) + n]), iter(xs[len(types) + n :])
            consts, inputs = operands[:first], operands[self.xs]
            of_results = [next(cts) if g else None for g in given]
            ct_carry = [instantiate(c, t) for c, t, h in zip(of_results, types[first:], has_carry) if h]
            sums = [instantiate(None, t) for t, p in zip(types[:first], pulled) if p]
            stacks = _empty([t.to_tangent_aval() for t, p in zip(types[self.xs], pulled[self.xs]) if p], self.length)

            def step(i: Any, state: list[Any]) -> list[Any]:
                return run(self._only_carry, *self._primals(consts, inputs, i, state))

            def back(i: Any, state: list[Any], adjoint: list[Any]) -> list[Any]:
                ct_carry, sums, stacks = adjoint
                position = self._position(i)
                rest = iter(ct_carry)
                cts = [next(rest) if h else None for h in has_carry]
                cts += [None if c is None else _row(c, position) for c in of_results[n:]]
                found = self.step.pull(self._primals(consts, inputs, i, state), cts)
                new = [instantiate(c, t) for c, t, h in zip(found[first:], types[first:], has_carry) if h]
                sums = [s + c for s, c in zip(sums, [c for c in found[:first] if c is not None])]
                rows = [c for c in found[self.xs] if c is not None]
                return [new, sums, [_with_row(x, c, position) for x, c in zip(stacks, rows)]]

            at = concrete(
                np.array([*self.places, *[0] * (self.params["checkpoints"] + 1 - len(self.places))], np.int32)
            )
            length, used = _number(self.length), _number(len(self.places))
            ct_carry, sums, stacks = sweep(step, back, slots, at, used, length, [ct_carry, sums, stacks])
            return [*sums, *ct_carry, *stacks]

        slot_types = [x.aval.update(weak_type=False) for x in values[len(types) :]]
        staged = stage_flat(program, [*self.operand_types, *slot_types, *ct_types], current())
        return without_effects(staged), masks


# ---- while ------------------------------------------------------------------------------------------------------


def linearized_while(while_p: Any, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
    """Results of a while, and the nodes of their tangents."""
    active = tuple(n is not None for n in nodes)
    if True not in active[params["cond_nconsts"] :]:
        return while_p.bind(*primals, **params), [None] * len(params["body_jaxpr"].out_avals)
    key = ("checkpointed while", active, *[v for k, v in params.items() if k != "body_jaxpr"])
    found: CheckpointedWhile = params["body_jaxpr"].derived(key, CheckpointedWhile, while_p, active, params)
    outs = found.forward(primals)
    return outs[: len(found.has_tangent)], found.nodes(primals, outs, nodes)


class CheckpointedWhile(CheckpointedLoop):
    """Of a while. The residuals are the slots, and the numbers of steps, of segments between two slots, and of slots used.

    The schedule is one of segments of steps: the states within one segment are all kept while it is reversed, so that what the schedule
    itself costs is spread over its steps.
    """

    def __init__(self, closed: ClosedJaxpr, operation: Any, active: Mask, params: Params) -> None:
        self.operation, self.params = operation, params
        self.cond_count, self.count = params["cond_nconsts"], params["body_nconsts"]
        self.closed, self.types = closed, closed.in_avals
        self.inputs = self.cond_count + len(self.types)
        self.num_carry = len(self.types) - self.count
        self.step = StepLinearization(closed, self.count, self.num_carry, active[self.cond_count :])
        self.has_tangent = self.step.carry_active
        slots = DEFAULT_SLOTS if params["checkpoints"] is None else params["checkpoints"]
        self.slots = max(2, slots + slots % 2)  # pairs, of which one is dropped
        cond_types = params["cond_jaxpr"].in_avals[: self.cond_count]
        self.operand_types = [t.update(weak_type=False) for t in (*cond_types, *self.types)]
        self.state_types = self.operand_types[self.cond_count + self.count :]
        size = sum(math.prod(t.shape) * t.dtype.itemsize for t in self.state_types)
        #: Steps whose states are all kept while they are reversed: many if they are small.
        self.segment = min(256, max(8, _SEGMENT_BYTES // max(1, size)))
        super().__init__()

    def _split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], list[Any]]:
        n, m = self.cond_count, self.cond_count + self.count
        return operands[:n], operands[n:m], list(operands[m:])

    def _store(self, *operands: Any) -> list[Any]:
        cond_consts, consts, init = self._split(operands)
        return self._recorded(Steps(self, cond_consts, consts), init, self.state_types)

    def _recorded(self, steps: Steps, init: list[Any], state_types: Sequence[ShapedArray]) -> list[Any]:
        """Results; slots with the states after 0, stride, 2 stride, ... segments, and a scrap row; number of steps; stride; slots used."""
        rows, one, zero = self.slots, _number(1), _number(0)

        def one_step(s: Any) -> Any:
            state = steps.advance(s[2])
            return s[0] + one, steps.go_on(state), state

        def fill_slot(s: Any) -> Any:
            used, stride, n, goes_on, state, slots = s
            slots = [_with_row(slot, x, used) for slot, x in zip(slots, state)]
            count = stride * _number(self.segment)
            k, goes_on, state = while_loop(lambda s: (s[0] < count) & s[1], one_step, (zero, goes_on, state))
            return used + one, stride, n + k, goes_on, state, slots

        def fill_all(s: Any) -> Any:
            used, stride, n, goes_on, state, slots = while_loop(lambda s: s[3] & (s[0] < _number(rows)), fill_slot, s)
            # If the loop goes on, every other state makes room: those with odd numbers go behind those with even ones.
            as_they_are = np.arange(rows + 1, dtype=np.int32)
            even_first = np.array([*range(0, rows, 2), *range(1, rows, 2), rows], np.int32)
            order = select(goes_on, concrete(even_first), concrete(as_they_are))
            slots = [_taken(slot, order) for slot in slots]
            used, stride = select(goes_on, _number(rows // 2), used), select(goes_on, stride * _number(2), stride)
            return used, stride, n, goes_on, state, slots

        start = (zero, one, zero, steps.go_on(init), init, _empty(state_types, rows + 1))
        used, stride, n, _, state, slots = while_loop(lambda s: s[3], fill_all, start)
        return [*state, *slots, n, stride, used]

    def _transpose(self, values: Sequence[Any], given: Mask) -> tuple[ClosedJaxpr, Mask]:
        masks = self._masks(given)[1]
        types = self.types[self.count :]

        def program(*xs: Any) -> list[Any]:
            operands, residuals, cts = self._parts(xs)
            cond_consts, consts, _ = self._split(operands)
            return self._reversed(Steps(self, cond_consts, consts), residuals, cts, given, self.state_types)

        ct_types = [t.to_tangent_aval().update(weak_type=False) for t, g in zip(types, given) if g]
        value_types = [x.aval.update(weak_type=False) for x in values]
        return without_effects(stage_flat(program, [*value_types, *ct_types], current())), masks

    def _masks(self, given: Mask) -> tuple[Mask, Mask]:
        """Which carries, and which operands, get cotangents if the results marked in `given` have some."""
        has_carry, pulled = self.step.cotangent_masks(given)
        return has_carry, (*[False] * self.cond_count, *pulled[: self.count], *has_carry)

    def _parts(self, xs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Of what the transpose takes: operands, residuals (slots, and three numbers), cotangents."""
        n, m = self.inputs, self.inputs + self.num_carry + 3
        return xs[:n], xs[n:m], xs[m:]

    def _reversed(
        self, steps: Steps, residuals: Sequence[Any], cotangents: Sequence[Any], given: Mask, state_types: Sequence[ShapedArray]
    ) -> list[Any]:  # fmt: skip
        """Cotangents of the operands that `_masks` marks, given those of the results marked in `given`."""
        has_carry, masks = self._masks(given)
        of_consts = masks[self.cond_count : self.cond_count + self.count]
        *slots, length, stride, used = residuals
        one, zero, segment = _number(1), _number(0), _number(self.segment)
        cts = iter(cotangents)
        of_results = [next(cts) if g else None for g in given]
        carry_types, const_types = steps.cotangent_types[self.count :], steps.cotangent_types[: self.count]
        ct_carry = [instantiate(c, t) for c, t, h in zip(of_results, carry_types, has_carry) if h]
        sums = [instantiate(None, t) for t, p in zip(const_types, of_consts) if p]

        def cross(i: Any, state: list[Any]) -> list[Any]:
            return _advance(lambda _, state: steps.advance(state), zero, segment, state)

        def back(i: Any, state: list[Any], adjoint: list[Any]) -> list[Any]:
            done = i * segment
            count: Any = select(length - done < segment, length - done, segment)

            def keep(s: Any) -> Any:
                k, state, kept = s
                return k + one, steps.advance(state), [_with_row(x, y, k) for x, y in zip(kept, state)]

            states = while_loop(lambda s: s[0] < count, keep, (zero, state, _empty(state_types, self.segment)))[2]

            def reverse_one(s: Any) -> Any:
                k, ct_carry, sums = s
                rest = iter(ct_carry)
                found = steps.pull([_row(x, k) for x in states], [next(rest) if h else None for h in has_carry])
                new = [instantiate(c, t) for c, t, h in zip(found[self.count :], carry_types, has_carry) if h]
                return k - one, new, [s + c for s, c in zip(sums, [c for c in found[: self.count] if c is not None])]

            return list(while_loop(lambda s: s[0] >= zero, reverse_one, (count - one, *adjoint))[1:])

        at = broadcasted_iota(dtypes.int32, (self.slots + 1,), 0) * stride
        segments = div_p.bind(length + _number(self.segment - 1), segment)
        ct_carry, sums = sweep(cross, back, slots, at, used, segments, [ct_carry, sums])
        return [*sums, *ct_carry]

    # ---- over a batch: one schedule for all elements, as long as the loop of the one that takes most steps

    def recording_over_batch(self, size: int, axes: Sequence[int | None], axis_name: Any) -> Any:
        batch = LoopOverBatch(self, size, [b is not None for b in axes], axis_name)

        def program(*xs: Any) -> list[Any]:
            cond_consts, consts, init = self._split([x if b is None else move_axis(x, b, 0) for x, b in zip(xs, axes)])
            init = [
                batch_first(x, None, size) if b is None and m else x
                for x, b, m in zip(init, axes[-len(init) :], batch.mapped_carry)
            ]
            outs = self._recorded(BatchedSteps(batch, cond_consts, consts), init, batch.state_types)
            state = [x if m else batch_first(x, None, size) for x, m in zip(outs, batch.mapped_carry)]
            return [*state, *outs[len(state) :]]

        types = [with_axis(t, b, size) for t, b in zip(self.operand_types, axes)]
        out_axes = [*[0] * self.num_carry, *(1 if m else None for m in batch.mapped_carry), None, None, None]
        return stage_flat(program, types, current()), out_axes

    def transpose_over_batch(self, given: Mask, size: int, axes: Sequence[int | None], axis_name: Any) -> Any:
        of_operands, of_residuals, of_cts = self._parts(axes)
        of_slots = of_residuals[: self.num_carry]
        if any(b is not None for b in of_residuals[self.num_carry :]):  # recorded one by one: schedules differ
            return None
        mapped = [b is not None for b in of_operands]
        first = self.inputs - self.num_carry
        mapped[first:] = [m or b is not None for m, b in zip(mapped[first:], of_slots)]
        batch = LoopOverBatch(self, size, mapped, axis_name)

        def program(*xs: Any) -> list[Any]:
            operands, residuals, cts = self._parts(xs)
            cond_consts, consts, _ = self._split(
                [x if b is None else move_axis(x, b, 0) for x, b in zip(operands, of_operands)]
            )
            slots = [
                x if not m else move_axis(batch_first(x, None, size), 0, 1) if b is None else move_axis(x, b, 1)
                for x, b, m in zip(residuals, of_slots, batch.mapped_carry)
            ]
            cts = [batch_first(c, b, size) for c, b in zip(cts, of_cts)]
            steps = BatchedSteps(batch, cond_consts, consts)
            return self._reversed(steps, [*slots, *residuals[len(slots) :]], cts, given, batch.state_types)

        rows = [t.update(shape=(self.slots + 1, *t.shape)) for t in self.state_types]
        numbers = [ShapedArray((), dtypes.int32)] * 3
        ct_types = [t.to_tangent_aval().update(weak_type=False) for t, g in zip(self.types[self.count :], given) if g]
        types = [with_axis(t, b, size) for t, b in zip([*self.operand_types, *rows, *numbers, *ct_types], axes)]
        return without_effects(stage_flat(program, types, current())), [0] * sum(self._masks(given)[1])


class Steps:
    """What a while does with a state: whether there is another step, the state after it, and cotangents before from those after it."""

    def __init__(self, loop: CheckpointedWhile, cond_consts: Sequence[Any], consts: Sequence[Any]) -> None:
        self.loop, self.cond_consts, self.consts = loop, cond_consts, consts
        #: Types of the cotangents of the body's operands.
        self.cotangent_types: Sequence[ShapedArray] = [t.to_tangent_aval() for t in loop.types]

    def go_on(self, state: Sequence[Any]) -> Any:
        """Whether the condition holds."""
        return run(self.loop.params["cond_jaxpr"], *self.cond_consts, *state)[0]

    def advance(self, state: Sequence[Any]) -> list[Any]:
        """The next state."""
        return run(self.loop.closed, *self.consts, *state)

    def pull(self, state: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the body's operands, given those of the next state (None is zero)."""
        return self.loop.step.pull([*self.consts, *state], cotangents)


class LoopOverBatch:
    """Condition and body of a while over a batch, for operands of which some are mapped: see `LiftedLoop`."""

    def __init__(self, loop: CheckpointedWhile, size: int, mapped: Sequence[bool], axis_name: Any) -> None:
        n, m, cond = loop.cond_count, loop.count, loop.params["cond_jaxpr"]
        self.loop, self.size, self.axis_name = loop, size, axis_name
        kinds = tuple([0 if b else None for b in mapped])
        how = Batch(size, axis_name)
        self.body = LiftedLoop.of(loop.closed, cond, how, kinds[:n], kinds[n : n + m], kinds[n + m :])
        self.mapped_consts, self.mapped_carry = mapped[n : n + m], [k is not None for k in self.body.kinds]
        self.state_types = [with_axis(t, 0 if b else None, size) for t, b in zip(loop.state_types, self.mapped_carry)]


class BatchedSteps(Steps):
    """Of all elements of a batch: an element that has stopped keeps its state. All cotangents have the batch axis in front."""

    def __init__(self, batch: LoopOverBatch, cond_consts: Sequence[Any], consts: Sequence[Any]) -> None:
        super().__init__(batch.loop, cond_consts, consts)
        self.batch, self.body = batch, batch.body
        self.cotangent_types = [with_axis(t, 0, batch.size) for t in self.cotangent_types]

    def _running(self, state: Sequence[Any]) -> Any:
        """Which elements have not stopped; None if all stop together."""
        predicate = self.body.predicate
        return None if predicate is None else run(predicate.program, *self.cond_consts, *state)[0]

    def go_on(self, state: Sequence[Any]) -> Any:
        running = self._running(state)
        if running is None:
            return run(self.body.condition, *self.cond_consts, *state)[0]
        return reduce_or_p.bind(running, axes=(0,))

    def advance(self, state: Sequence[Any]) -> list[Any]:
        running = self._running(state)
        if running is None:
            return run(self.body.program, *self.consts, *state)
        return run(self.body.program, *self.cond_consts, *self.consts, running, *state)[1:]

    def pull(self, state: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        batch, count = self.batch, self.loop.count
        running = self._running(state)
        entering, staying = list(cotangents), list(cotangents)
        if running is not None and batch.axis_name is not None:
            # In collectives, elements that have stopped take part with their states.
            staying = [None if c is None else _where(running, None, c) for c in cotangents]
            entering = [None if c is None else _where(running, c, None) for c in cotangents]
        primals = [*self.consts, *state]
        present: list[bool] = []

        def pull(*xs: Any) -> list[Any]:
            rest = iter(xs[len(primals) :])
            found = self.loop.step.pull(xs[: len(primals)], [None if c is None else next(rest) for c in entering])
            present[:] = [c is not None for c in found]
            return [c for c in found if c is not None]

        axes = [0 if m else None for m in (*batch.mapped_consts, *batch.mapped_carry)]
        given = [c for c in entering if c is not None]
        outs, out_axes = batch_flat(pull, batch.size, [*primals, *given], [*axes, *[0] * len(given)], batch.axis_name)
        rest = iter([batch_first(c, b, batch.size) for c, b in zip(outs, out_axes)])
        found = [next(rest) if p else None for p in present]
        if running is None:
            return found
        before: list[Any] = [*[None] * count, *staying]
        if batch.axis_name is None:
            # What the body would give for an element that has stopped may be anything, NaN too.
            return [_where(running, new, old) for new, old in zip(found, before)]
        return [new if old is None else old if new is None else new + old for new, old in zip(found, before)]


def _where(flags: Any, on_true: Any, on_false: Any) -> Any:
    """The cotangents of elements whose flag is true, or of the others; None is zero."""
    like = on_true if on_true is not None else on_false
    if like is None:
        return None
    return select(expand_dims(flags, range(1, like.ndim)), *(instantiate(x, like) for x in (on_true, on_false)))


def _taken(x: Any, order: Any) -> Any:
    """Rows of `x` in another order."""
    shape = x.shape
    return take_along_p.bind(x, broadcast_in_dim_p.bind(order, shape=shape, broadcast_dimensions=(0,)), axis=0)


__all__ = ["DEFAULT_SLOTS", "check_slots", "distance", "places", "repeated_steps"]
