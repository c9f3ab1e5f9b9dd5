"""Reverse mode through a while in bounded memory, and over a batch whose elements stop at different
times.

The forward pass stores every state, and whenever the slots are full drops every other one and
doubles the stride (see `control.schedule`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.base import in_bounded_memory, instantiate
from pullback.control.loops import while_loop
from pullback.control.recorded import CheckpointedLoop, StepLinearization
from pullback.control.schedule import advance, empty_rows, number, row_of, sweep, with_row
from pullback.control.while_loop import LiftedLoop, while_p
from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.linear import Node
from pullback.core.passes import without_effects
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current
from pullback.core.types import ShapedArray
from pullback.lax.creation import broadcasted_iota
from pullback.lax.elementwise import div_p
from pullback.lax.reductions import reduce_or_p
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, broadcast_in_dim_p, expand_dims, move_axis
from pullback.lax.sorting import take_along_p
from pullback.transforms.call import Mask
from pullback.transforms.vmap import Batch, batch_flat, with_axis

if TYPE_CHECKING:
    from pullback.core.names import AxisName, Cotangent, Residual, Value
    from pullback.core.primitive import Primitive
    from pullback.transforms.call import CallPrimitive

#: Slots of a `while` for which no number is given.
DEFAULT_SLOTS = 32
#: Bytes that the states of one segment of a `while` should take.
_SEGMENT_BYTES = 1 << 16


# ---- while ---------------------------------------------------------------------------------------


@in_bounded_memory.of(while_p)
def linearized_while(
    call: CallPrimitive, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params
) -> Value:
    """Results of a while, and the nodes of their tangents."""
    active = tuple(n is not None for n in nodes)
    if True not in active[params["cond_nconsts"] :]:
        return call.bind(*primals, **params), [None] * len(params["body_jaxpr"].out_avals)
    key = ("checkpointed while", active, *[v for k, v in params.items() if k != "body_jaxpr"])
    found: CheckpointedWhile = params["body_jaxpr"].derived(key, CheckpointedWhile, call, active, params)
    outs = found.forward(primals)
    return outs[: len(found.has_tangent)], found.nodes(primals, outs, nodes)


class CheckpointedWhile(CheckpointedLoop):
    """Of a while. The residuals are the slots, and the numbers of steps, of segments between two
    slots, and of slots used.

    The schedule is one of segments of steps: the states within one segment are all kept while it is
    reversed, so that what the schedule itself costs is spread over its steps.

    Example: the gradient of `while_loop(cond, f, x, checkpoints=8)`.
    """

    def __init__(self, closed: ClosedJaxpr, operation: Primitive, active: Mask, params: Params) -> None:
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
        size = sum(t.nbytes for t in self.state_types)
        #: Steps whose states are all kept while they are reversed: many if they are small.
        self.segment = min(256, max(8, _SEGMENT_BYTES // max(1, size)))
        super().__init__()

    def _split(self, operands: Sequence[Value]) -> tuple[Sequence[Value], Sequence[Value], list[Value]]:
        n, m = self.cond_count, self.cond_count + self.count
        return operands[:n], operands[n:m], list(operands[m:])

    def _store(self, *operands: Value) -> list[Value]:
        cond_consts, consts, init = self._split(operands)
        return self._recorded(Steps(self, cond_consts, consts), init, self.state_types)

    def _recorded(self, steps: Steps, init: list[Value], state_types: Sequence[ShapedArray]) -> list[Value]:
        """Results; slots with the states after 0, stride, 2 stride, ... segments, and a scrap row;
        number of steps; stride; slots used."""
        rows, one, zero = self.slots, number(1), number(0)

        def one_step(s: Value) -> Value:
            state = steps.advance(s[2])
            return s[0] + one, steps.go_on(state), state

        def fill_slot(s: Value) -> Value:
            used, stride, n, goes_on, state, slots = s
            slots = [with_row(slot, x, used) for slot, x in zip(slots, state)]
            count = stride * number(self.segment)
            k, goes_on, state = while_loop(lambda s: (s[0] < count) & s[1], one_step, (zero, goes_on, state))
            return used + one, stride, n + k, goes_on, state, slots

        def fill_all(s: Value) -> Value:
            used, stride, n, goes_on, state, slots = while_loop(lambda s: s[3] & (s[0] < number(rows)), fill_slot, s)
            # If the loop goes on, every other state makes room: those with odd numbers go behind
            # those with even ones.
            as_they_are = np.arange(rows + 1, dtype=np.int32)
            even_first = np.array([*range(0, rows, 2), *range(1, rows, 2), rows], np.int32)
            order = select(goes_on, concrete(even_first), concrete(as_they_are))
            slots = [_taken(slot, order) for slot in slots]
            used, stride = select(goes_on, number(rows // 2), used), select(goes_on, stride * number(2), stride)
            return used, stride, n, goes_on, state, slots

        start = (zero, one, zero, steps.go_on(init), init, empty_rows(state_types, rows + 1))
        used, stride, n, _, state, slots = while_loop(lambda s: s[3], fill_all, start)
        return [*state, *slots, n, stride, used]

    def _transpose(self, values: Sequence[Value], given: Mask) -> tuple[ClosedJaxpr, Mask]:
        masks = self._masks(given)[1]
        types = self.types[self.count :]

        def program(*xs: Value) -> list[Value]:
            operands, residuals, cts = self._parts(xs)
            cond_consts, consts, _ = self._split(operands)
            return self._reversed(Steps(self, cond_consts, consts), residuals, cts, given, self.state_types)

        ct_types = [t.to_tangent_aval().update(weak_type=False) for t, g in zip(types, given) if g]
        value_types = [x.aval.update(weak_type=False) for x in values]
        return without_effects(stage_flat(program, [*value_types, *ct_types], current())), masks

    def _masks(self, given: Mask) -> tuple[Mask, Mask]:
        """Which carries, and which operands, get cotangents if the results marked in `given` have
        some."""
        has_carry, pulled = self.step.cotangent_masks(given)
        return has_carry, (*[False] * self.cond_count, *pulled[: self.count], *has_carry)

    def _parts(self, xs: Sequence[Value]) -> tuple[Sequence[Value], Sequence[Value], Sequence[Value]]:
        """Of what the transpose takes: operands, residuals (slots, and three numbers), cotangents."""
        n, m = self.inputs, self.inputs + self.num_carry + 3
        return xs[:n], xs[n:m], xs[m:]

    def _reversed(
        self, steps: Steps, residuals: Sequence[Residual], cotangents: Sequence[Cotangent], given: Mask, state_types: Sequence[ShapedArray]
    ) -> list[Value]:  # fmt: skip
        """Cotangents of the operands that `_masks` marks, given those of the results marked in
        `given`."""
        has_carry, masks = self._masks(given)
        of_consts = masks[self.cond_count : self.cond_count + self.count]
        *slots, length, stride, used = residuals
        one, zero, segment = number(1), number(0), number(self.segment)
        cts = iter(cotangents)
        of_results = [next(cts) if g else None for g in given]
        carry_types, const_types = steps.cotangent_types[self.count :], steps.cotangent_types[: self.count]
        ct_carry = [instantiate(c, t) for c, t, h in zip(of_results, carry_types, has_carry) if h]
        sums = [instantiate(None, t) for t, p in zip(const_types, of_consts) if p]

        def cross(i: Value, state: list[Value]) -> list[Value]:
            return advance(lambda _, state: steps.advance(state), zero, segment, state)

        def back(i: Value, state: list[Value], adjoint: list[Cotangent]) -> list[Cotangent]:
            done = i * segment
            count: Any = select(length - done < segment, length - done, segment)

            def keep(s: Value) -> Value:
                k, state, kept = s
                return k + one, steps.advance(state), [with_row(x, y, k) for x, y in zip(kept, state)]

            states = while_loop(lambda s: s[0] < count, keep, (zero, state, empty_rows(state_types, self.segment)))[2]

            def reverse_one(s: Value) -> Value:
                k, ct_carry, sums = s
                rest = iter(ct_carry)
                found = steps.pull([row_of(x, k) for x in states], [next(rest) if h else None for h in has_carry])
                new = [instantiate(c, t) for c, t, h in zip(found[self.count :], carry_types, has_carry) if h]
                return k - one, new, [s + c for s, c in zip(sums, [c for c in found[: self.count] if c is not None])]

            return list(while_loop(lambda s: s[0] >= zero, reverse_one, (count - one, *adjoint))[1:])

        at = broadcasted_iota(dtypes.int32, (self.slots + 1,), 0) * stride
        segments = div_p.bind(length + number(self.segment - 1), segment)
        ct_carry, sums = sweep(cross, back, slots, at, used, segments, [ct_carry, sums])
        return [*sums, *ct_carry]

    # ---- over a batch: one schedule for all elements, as long as the loop of the one that takes most steps

    def recording_over_batch(
        self, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        batch = LoopOverBatch(self, size, [b is not None for b in axes], axis_name)

        def program(*xs: Value) -> list[Value]:
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

    def transpose_over_batch(
        self, given: Mask, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        of_operands, of_residuals, of_cts = self._parts(axes)
        of_slots = of_residuals[: self.num_carry]
        if any(b is not None for b in of_residuals[self.num_carry :]):  # recorded one by one: schedules differ
            return None
        mapped = [b is not None for b in of_operands]
        first = self.inputs - self.num_carry
        mapped[first:] = [m or b is not None for m, b in zip(mapped[first:], of_slots)]
        batch = LoopOverBatch(self, size, mapped, axis_name)

        def program(*xs: Value) -> list[Value]:
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
    """What a while does with a state: whether there is another step, the state after it, and
    cotangents before from those after it.

    Example: of a while that doubles x: x ↦ 2 x, and back, ct ↦ 2 ct.
    """

    def __init__(self, loop: CheckpointedWhile, cond_consts: Sequence[Value], consts: Sequence[Value]) -> None:
        self.loop, self.cond_consts, self.consts = loop, cond_consts, consts
        #: Types of the cotangents of the body's operands.
        self.cotangent_types: Sequence[ShapedArray] = [t.to_tangent_aval() for t in loop.types]

    def go_on(self, state: Sequence[Value]) -> Value:
        """Whether the condition holds."""
        return run(self.loop.params["cond_jaxpr"], *self.cond_consts, *state)[0]

    def advance(self, state: Sequence[Value]) -> list[Value]:
        """The next state."""
        return run(self.loop.closed, *self.consts, *state)

    def pull(self, state: Sequence[Value], cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        """Cotangents of the body's operands, given those of the next state (None is zero)."""
        return self.loop.step.pull([*self.consts, *state], cotangents)


class LoopOverBatch:
    """Condition and body of a while over a batch, for operands of which some are mapped: see
    `LiftedLoop`.

    Example: `vmap(grad(loss))`, where loss has a while whose length depends on x.
    """

    def __init__(self, loop: CheckpointedWhile, size: int, mapped: Sequence[bool], axis_name: AxisName) -> None:
        n, m, cond = loop.cond_count, loop.count, loop.params["cond_jaxpr"]
        self.loop, self.size, self.axis_name = loop, size, axis_name
        kinds = tuple([0 if b else None for b in mapped])
        how = Batch(size, axis_name)
        self.body = LiftedLoop.of(loop.closed, cond, how, kinds[:n], kinds[n : n + m], kinds[n + m :])
        self.mapped_consts, self.mapped_carry = mapped[n : n + m], [k is not None for k in self.body.kinds]
        self.state_types = [with_axis(t, 0 if b else None, size) for t, b in zip(loop.state_types, self.mapped_carry)]


class BatchedSteps(Steps):
    """Of all elements of a batch: an element that has stopped keeps its state. All cotangents have
    the batch axis in front.

    Example: of two elements that take 3 and 5 steps, the first waits for two.
    """

    def __init__(self, batch: LoopOverBatch, cond_consts: Sequence[Value], consts: Sequence[Value]) -> None:
        super().__init__(batch.loop, cond_consts, consts)
        self.batch, self.body = batch, batch.body
        self.cotangent_types = [with_axis(t, 0, batch.size) for t in self.cotangent_types]

    def _running(self, state: Sequence[Value]) -> Value:
        """Which elements have not stopped; None if all stop together."""
        predicate = self.body.predicate
        return None if predicate is None else run(predicate.program, *self.cond_consts, *state)[0]

    def go_on(self, state: Sequence[Value]) -> Value:
        running = self._running(state)
        if running is None:
            return run(self.body.condition, *self.cond_consts, *state)[0]
        return reduce_or_p.bind(running, axes=(0,))

    def advance(self, state: Sequence[Value]) -> list[Value]:
        running = self._running(state)
        if running is None:
            return run(self.body.program, *self.consts, *state)
        return run(self.body.program, *self.cond_consts, *self.consts, running, *state)[1:]

    def pull(self, state: Sequence[Value], cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        batch, count = self.batch, self.loop.count
        running = self._running(state)
        entering, staying = list(cotangents), list(cotangents)
        if running is not None and batch.axis_name is not None:
            # In collectives, elements that have stopped take part with their states.
            staying = [None if c is None else _where(running, None, c) for c in cotangents]
            entering = [None if c is None else _where(running, c, None) for c in cotangents]
        primals = [*self.consts, *state]
        present: list[bool] = []

        def pull(*xs: Value) -> list[Value]:
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


def _where(flags: Value, on_true: Value, on_false: Value) -> Value:
    """The cotangents of elements whose flag is true, or of the others; None is zero."""
    like = on_true if on_true is not None else on_false
    if like is None:
        return None
    return select(expand_dims(flags, range(1, like.ndim)), *(instantiate(x, like) for x in (on_true, on_false)))


def _taken(x: Value, order: Value) -> Value:
    """Rows of `x` in another order."""
    shape = x.shape
    return take_along_p.bind(x, broadcast_in_dim_p.bind(order, shape=shape, broadcast_dimensions=(0,)), axis=0)
