"""Reverse mode through a scan in bounded memory. Its length is known: the states at the places of
the schedule are stored on the way forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pullback.control.base import in_bounded_memory, instantiate, selected
from pullback.control.loops import scan
from pullback.control.recorded import CheckpointedLoop, StepLinearization
from pullback.control.scan import scan_p
from pullback.control.schedule import advance, empty_rows, number, places, row_of, sweep, with_row
from pullback.core.array import concrete
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.linear import Node
from pullback.core.passes import without_effects
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current
from pullback.transforms.call import Mask

if TYPE_CHECKING:
    from pullback.core.names import Cotangent, Value
    from pullback.core.primitive import Primitive
    from pullback.transforms.call import CallPrimitive

# ---- scan ----------------------------------------------------------------------------------------


@in_bounded_memory.of(scan_p)
def linearized_scan(
    call: CallPrimitive, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params
) -> Value:
    """Results of a scan with checkpoints, and the nodes of their tangents."""
    active = tuple(n is not None for n in nodes)
    key = ("checkpointed scan", active, *[v for k, v in params.items() if k != "jaxpr"])
    found: CheckpointedScan = params["jaxpr"].derived(key, CheckpointedScan, call, active, params)
    outs = found.forward(primals)
    return outs[: len(found.has_tangent)], found.nodes(primals, outs, nodes)


class CheckpointedScan(CheckpointedLoop):
    """Of a scan, whose length is known. The residuals are the slots.

    Example: the gradient of `scan(f, init, xs, checkpoints=4)`.
    """

    def __init__(self, closed: ClosedJaxpr, operation: Primitive, active: Mask, params: Params) -> None:
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

    def _position(self, i: Value) -> Value:
        return number(self.length - 1) - i if self.params["reverse"] else i

    def _primals(self, consts: Sequence[Value], xs: Sequence[Value], i: Value, state: Sequence[Value]) -> list[Value]:
        return [*consts, *state, *(row_of(x, self._position(i)) for x in xs)]

    def _store(self, *operands: Value) -> list[Value]:
        """Results, and the states at `places` and in one scrap row more."""
        consts, init, xs = operands[: self.count], list(operands[self.count : self.xs.start]), operands[self.xs]
        outs = empty_rows(self.closed.out_avals[self.num_carry :], self.length)

        def step(i: Value, both: list[Value]) -> list[Value]:
            state, outs = both
            results = run(self.closed, *self._primals(consts, xs, i, state))
            new = [with_row(o, y, self._position(i)) for o, y in zip(outs, results[self.num_carry :])]
            return [results[: self.num_carry], new]

        def segment(both: Value, bounds: Value) -> Value:
            start, steps = bounds
            return advance(step, start, steps, both), both[0]

        rows = self.params["checkpoints"] + 1
        starts = np.array([*self.places, *[self.length] * (rows - len(self.places))], np.int32)
        steps = np.diff(starts, append=self.length).astype(np.int32)
        (final, outs), slots = scan(segment, [init, outs], (concrete(starts), concrete(steps)))
        return [*final, *outs, *slots]

    def _transpose(self, values: Sequence[Value], given: Mask) -> tuple[ClosedJaxpr, Mask]:
        n, first = self.num_carry, self.count
        wanted, pulled = self.step.cotangent_masks(given)
        types, closed = self.types, self.closed
        has_carry = wanted[:n]
        masks = (*pulled[:first], *has_carry, *pulled[self.xs])
        ct_types = [closed.out_avals[i].to_tangent_aval() for i in range(len(given)) if given[i]]
        ct_types = [
            t if i < sum(given[:n]) else t.update(shape=(self.length, *t.shape)) for i, t in enumerate(ct_types)
        ]

        def program(*xs: Value) -> list[Value]:
            operands, slots, cts = xs[: len(types)], list(xs[len(types) : len(types) + n]), iter(xs[len(types) + n :])
            consts, inputs = operands[:first], operands[self.xs]
            of_results = [next(cts) if g else None for g in given]
            ct_carry = [instantiate(c, t) for c, t, h in zip(of_results, types[first:], has_carry) if h]
            sums = [instantiate(None, t) for t, p in zip(types[:first], pulled) if p]
            stacks = empty_rows(
                [t.to_tangent_aval() for t, p in zip(types[self.xs], pulled[self.xs]) if p], self.length
            )

            def step(i: Value, state: list[Value]) -> list[Value]:
                return run(self._only_carry, *self._primals(consts, inputs, i, state))

            def back(i: Value, state: list[Value], adjoint: list[Cotangent]) -> list[Cotangent]:
                ct_carry, sums, stacks = adjoint
                position = self._position(i)
                rest = iter(ct_carry)
                cts = [next(rest) if h else None for h in has_carry]
                cts += [None if c is None else row_of(c, position) for c in of_results[n:]]
                found = self.step.pull(self._primals(consts, inputs, i, state), cts)
                new = [instantiate(c, t) for c, t, h in zip(found[first:], types[first:], has_carry) if h]
                sums = [s + c for s, c in zip(sums, [c for c in found[:first] if c is not None])]
                rows = [c for c in found[self.xs] if c is not None]
                return [new, sums, [with_row(x, c, position) for x, c in zip(stacks, rows)]]

            at = concrete(
                np.array([*self.places, *[0] * (self.params["checkpoints"] + 1 - len(self.places))], np.int32)
            )
            length, used = number(self.length), number(len(self.places))
            ct_carry, sums, stacks = sweep(step, back, slots, at, used, length, [ct_carry, sums, stacks])
            return [*sums, *ct_carry, *stacks]

        slot_types = [x.aval.update(weak_type=False) for x in values[len(types) :]]
        staged = stage_flat(program, [*self.operand_types, *slot_types, *ct_types], current())
        return without_effects(staged), masks
