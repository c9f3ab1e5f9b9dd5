"""Call primitives: operations whose parameters are programs, or (custom rules) Python functions of flat arrays.

Each trace hands them to one of their methods: `evaluate_call`, `jvp_call`, `linearize_call`, `batch_call`, `stage_call`. Three of these are
the same for all programs: what belongs to the trace is taken off, a rule is applied on the parent (`forward_mode`, `linearized`, `batched`),
and its results are wrapped, so that the enclosing transformations still see the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import Node, recorded
from pullback.core.primitive import Primitive
from pullback.core.trace import Params, current, set_current
from pullback.lax.shape import batch_first, reduce_sum_p, strong


class CallPrimitive(Primitive):
    """Base of the call primitives."""

    multiple_results = True
    #: Whether it calls a program, which closes over nothing that is traced.
    is_closed = True

    # ---- rules --------------------------------------------------------------------------------------------------

    def forward_mode(
        self, primals: Sequence[Any], tangents: Sequence[Any], params: Params
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Results and their tangents (None for zero), given the operands' (None for zero; not all of them)."""
        raise self.missing("forward_mode", "differentiation")

    def linearized(
        self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params
    ) -> tuple[Sequence[Any], Sequence[Node | None]]:
        """Results and the nodes of their tangents, given the operands' (not all None). By default recorded from `forward_mode`."""
        return recorded(lambda tangents: self.forward_mode(primals, tangents, params), nodes)

    def batched(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], axis_name: Any, params: Params
    ) -> tuple[Sequence[Any], Sequence[int | None]]:
        """Results over a batch axis, and where they have it."""
        raise self.missing("batched", "vmap")

    # ---- what the traces do: the rules, on the parent --------------------------------------------------------------

    def jvp_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
        try:
            set_current(trace.parent)
            if not is_active(tangents):
                return trace.parent.process_call(self, primals, params)
            tangents = [None if t is None else strong(t) for t in tangents]  # programs take types as they are
            outs, t_outs = self.forward_mode(primals, tangents, params)
        finally:
            set_current(trace)
        return [trace.wrap(o, t) for o, t in zip(outs, t_outs)]

    def linearize_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        primals, nodes = [p for p, _ in pairs], [n for _, n in pairs]
        try:
            set_current(trace.parent)
            if not is_active(nodes):
                return trace.parent.process_call(self, primals, params)
            outs, out_nodes = self.linearized(primals, nodes, params)
        finally:
            set_current(trace)
        return [trace.wrap(o, n) for o, n in zip(outs, out_nodes)]

    def batch_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        values, axes = [v for v, _ in pairs], [b for _, b in pairs]
        try:
            set_current(trace.parent)
            if not is_active(axes) and trace.axis_name is None:
                return trace.parent.process_call(self, values, params)
            outs, out_axes = self.batched(trace.size, values, axes, trace.axis_name, params)
        finally:
            set_current(trace)
        return [trace.wrap(o, b) for o, b in zip(outs, out_axes)]

    def step_program(self, params: Params) -> ClosedJaxpr | None:
        """The parameter `jaxpr` of a call that runs it once, or of a loop that runs it once a step and stacks along axis 0 what is added
        after its operands and results; None for everything else."""
        return None


class ClosedCall(CallPrimitive):
    """Base of the calls of programs."""

    def bind(self, *args: Any, **params: Any) -> Any:
        return current().process_call(self, args, params)

    def stage_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        atoms = [trace.atom(a) for a in args]
        return trace.emit(self, atoms, params, self.type_of(*(a.aval for a in atoms), **params))


def sum_unbatched(
    cts: Sequence[Any], ct_axes: Sequence[int | None], axes: Sequence[int | None], size: int
) -> list[Any]:
    """Cotangents of arguments with batch axes `axes`: what an unbatched argument gets is summed over the batch."""
    out: list[Any] = []
    for ct, b, axis in zip(cts, ct_axes, axes):
        if ct is None:
            out.append(None)
        elif axis is not None:
            ct = batch_first(ct, b, size)
            if axis:
                from pullback.lax.shape import move_axis

                ct = move_axis(ct, 0, axis)
            out.append(ct)
        elif b is not None:
            out.append(reduce_sum_p.bind(ct, axes=(b,)))
        else:
            from pullback.lax.shape import add_batch_axis

            out.append(reduce_sum_p.bind(add_batch_axis(ct, size), axes=(0,)))
    return out


def is_active(xs: Sequence[Any]) -> bool:
    """Whether any argument has a tangent, a node or a batch axis: is not None."""
    return any([x is not None for x in xs])
