"""Call primitives: operations whose parameters are Python functions of flat arrays (custom rules, checkpoint).

Each trace hands them to one of their methods: `evaluate_call`, `jvp_call`, `linearize_call`, `batch_call`, `stage_call`. Rules
rewrite the functions and bind again on the parent, so that the enclosing transformations still see the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.jaxpr import ClosedJaxpr, eval_jaxpr
from pullback.core.linear import Node
from pullback.core.primitive import Primitive
from pullback.core.stage import close, stage_flat
from pullback.core.trace import Params, current, reset_current, set_current
from pullback.core.types import ShapedArray
from pullback.lax.shape import batch_first, reduce_sum_p, strong
from pullback.transforms.vmap import BatchTrace, batch_flat

Flat = Callable[..., Sequence[Any]]


class CallPrimitive(Primitive):
    """Base of the call primitives. In staged programs, the parameter `call_jaxpr` holds the function."""

    multiple_results = True
    inlined: str | None = "call_jaxpr"
    #: Whether the call's derivative is another than that of its function.
    has_own_derivative = False
    #: Whether its function closes over nothing that is traced.
    is_closed = False
    #: Whether what the function closes over is as good as an argument, where it is known: there is no rule that takes the arguments only.
    captures_are_arguments = False

    def call(self, fun: Flat, *args: Any, **params: Any) -> list[Any]:
        """Apply to a Python function under the current trace."""
        return current().process_call(self, args, {"fun": fun, **params})

    def bind(self, *args: Any, **params: Any) -> Any:
        """Apply as an equation of a program: the function is the parameter `call_jaxpr`, of which the first `captured` arguments
        are what it closes over."""
        if "fun" in params:
            return current().process_call(self, args, params)
        closed: ClosedJaxpr = params.pop("call_jaxpr")
        count = params.pop("captured") or 0
        if self.captures_are_arguments:
            count = 0
        captured, args = args[:count], args[count:]

        def fun(*xs: Any) -> list[Any]:
            return eval_jaxpr(closed.jaxpr, closed.consts, *captured, *xs)

        return current().process_call(self, args, {"fun": fun, **params})

    def evaluate_call(self, args: Sequence[Any], params: Params) -> Any:
        """Without transformation, a call is just that."""
        return list(params["fun"](*args))

    # ---- rules --------------------------------------------------------------------------------------------------

    def forward_mode(
        self, primals: Sequence[Any], tangents: Sequence[Any], params: Params
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Results and their tangents (None for zero), given the operands' (None for zero; not all of them)."""
        raise self.missing("forward_mode", "differentiation")

    def linearized(
        self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params
    ) -> tuple[Sequence[Any], Sequence[Node | None]]:
        """Results and the nodes of their tangents, given the operands' (not all None)."""
        raise self.missing("linearized", "linearization")

    def batched(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], axis_name: Any, params: Params
    ) -> tuple[Sequence[Any], Sequence[int | None]]:
        """Results over a batch axis, and where they have it."""
        raise self.missing("batched", "vmap")

    # ---- what the traces do: the rules, on the parent --------------------------------------------------------------

    def jvp_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
        token = set_current(trace.parent)
        try:
            if not is_active(tangents):
                return trace.parent.process_call(self, primals, params)
            if self.is_closed:  # programs take types as they are
                tangents = [None if t is None else strong(t) for t in tangents]
            outs, t_outs = self.forward_mode(primals, tangents, params)
        finally:
            reset_current(token)
        return [trace.wrap(o, t) for o, t in zip(outs, t_outs)]

    def linearize_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        primals, nodes = [p for p, _ in pairs], [n for _, n in pairs]
        token = set_current(trace.parent)
        try:
            if not is_active(nodes):
                return trace.parent.process_call(self, primals, params)
            outs, out_nodes = self.linearized(primals, nodes, params)
        finally:
            reset_current(token)
        return [trace.wrap(o, n) for o, n in zip(outs, out_nodes)]

    def batch_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        values, axes = [v for v, _ in pairs], [b for _, b in pairs]
        token = set_current(trace.parent)
        try:
            if not is_active(axes) and trace.axis_name is None:
                return trace.parent.process_call(self, values, params)
            outs, out_axes = self.batched(trace.size, values, axes, trace.axis_name, params)
        finally:
            reset_current(token)
        return [trace.wrap(o, b) for o, b in zip(outs, out_axes)]

    def step_program(self, params: Params) -> ClosedJaxpr | None:
        """The parameter `jaxpr` of a loop that runs it once a step, and stacks along axis 0 what is added after its operands and
        results; None for everything else."""
        return None

    def type_of(self, *types: ShapedArray, **params: Any) -> Any:
        return params["call_jaxpr"].out_avals

    def stage_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        """Stage the function into a program of its own and emit one equation."""
        params = dict(params)
        atoms = [trace.atom(a) for a in args]
        closed, captured = close(stage_flat(params.pop("fun"), [a.aval for a in atoms]))
        params = {"call_jaxpr": closed, "captured": len(captured) or None, **params}
        return trace.emit(self, [*map(trace.atom, captured), *atoms], params, closed.out_avals)


class ClosedCall(CallPrimitive):
    """Base of the calls of programs, which close over nothing."""

    is_closed = True

    def bind(self, *args: Any, **params: Any) -> Any:
        return current().process_call(self, args, params)

    def stage_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        atoms = [trace.atom(a) for a in args]
        return trace.emit(self, atoms, params, self.type_of(*(a.aval for a in atoms), **params))


def batched(fun: Flat, trace: BatchTrace, axes: Sequence[int | None]) -> Flat:
    """`fun` on arguments with batch axes `axes`; results all have theirs in front."""

    def batched_fun(*args: Any) -> list[Any]:
        outs, out_axes = batch_flat(fun, trace.size, args, axes, trace.axis_name)
        return [batch_first(o, b, trace.size) for o, b in zip(outs, out_axes)]

    return batched_fun


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
