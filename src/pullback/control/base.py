"""What loops and branches have in common: calls of programs that are neither inlined nor closed
over anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pullback.core.array import ConcreteArray
from pullback.core.effects import Effect
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Var, subjaxprs
from pullback.core.linear import LinearTracer, zeros
from pullback.core.passes import drop_idle_barrier, drop_unused_consts, eliminate_dead_code, simplify
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL, Params, Trace, current, evaluable, set_current
from pullback.core.types import ShapedArray
from pullback.transforms.call import ClosedCall
from pullback.transforms.lifting import Rules

if TYPE_CHECKING:
    from pullback.core.names import Result, Tangent, Value

#: What reverse mode makes of loops that keep a bounded number of states: `rule(call, primals,
#: nodes, params)`, by loop. The rules are made of loops themselves: `control.reversed_scan` and
#: `control.reversed_while` supply them.
in_bounded_memory = Rules()


class ControlPrimitive(ClosedCall):
    """Base of loops and branches: primitives whose parameters hold closed programs without
    constants.

    Subclasses define `type_of`, `lower`, `lifted`, and `linearized` if reverse mode has a better
    way than to record forward mode.

    Example: `scan_p`, `while_p` and `cond_p`.
    """

    inlined: str | None = None

    def apply(self, args: Sequence[Value], params: Params) -> Result:
        trace = current()
        if trace is not EVAL:
            return self._recorded(trace, args, params)
        arrays = [a if a.__class__ is ConcreteArray else evaluable(a) for a in args]
        return self.runner(arrays, params)(arrays)

    def runner(self, arrays: Sequence[Value], params: Params) -> Callable[[Sequence[Value]], list[Value]]:
        """What runs the operation on arrays like these: its executable."""
        from pullback.transforms.entries import runner

        key = (self, "evaluate", *[a._type.number for a in arrays], *params.values())
        body = subjaxprs(params)[0]
        program = body.derived(key, self._as_program, [a._type for a in arrays], params)
        return runner(program, self.name, None, arrays)

    def _as_program(self, _: ClosedJaxpr, types: Sequence[ShapedArray], params: Params) -> ClosedJaxpr:
        return stage_flat(lambda *xs: self.bind(*xs, **params), types, EVAL)

    def _recorded(self, trace: Trace, args: Sequence[Value], params: Params) -> Result:
        """The operation in a function of tangents that is linear in them: its own derivative, at
        any point."""
        nodes = [a.node if a.__class__ is LinearTracer and a._trace is trace else None for a in args]
        primals = [a if n is None else zeros(n.shape, n.dtype) for a, n in zip(args, nodes)]
        try:
            set_current(trace.parent)
            outs, out_nodes = self.linearized(primals, nodes, params)
        finally:
            set_current(trace)
        return [o if n is None else LinearTracer(trace, n) for o, n in zip(outs, out_nodes)]


def instantiate(t: Tangent, like: Value) -> Value:
    """A tangent or cotangent of `like`: zeros if it is None."""
    if t is not None:
        return t
    t_type = like.aval.to_tangent_aval() if not isinstance(like, ShapedArray) else like.to_tangent_aval()
    return zeros(t_type.shape, t_type.dtype)


def selected(closed: ClosedJaxpr, outputs: Sequence[int]) -> ClosedJaxpr:
    """The program that gives some of the results of `closed`, in this order, and computes nothing
    else."""
    body = closed.jaxpr
    return pruned(
        ClosedJaxpr(Jaxpr(body.constvars, body.invars, [body.outvars[i] for i in outputs], body.eqns), closed.consts)
    )


def refuse_effects(closed: ClosedJaxpr, what: str) -> None:
    """Raise NotImplementedError if a program has IO callbacks: they would be called for elements
    that do not come to them."""
    for e in closed.eqns if Effect.ACTS in closed.effects else ():
        if Effect.ACTS in e.primitive.effects:
            raise NotImplementedError(
                f"IO effect not supported in vmap-of-{what}: the io_callback at {e.source} would be called for every element, also where "
                f"the {what} does not come to it. Take it out of the {what}, or of the vmap"
            )
        for p in subjaxprs(e.params):
            refuse_effects(p, what)


def pruned(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program without dead code."""
    return drop_unused_consts(closed, eliminate_dead_code(closed.jaxpr))


def simplified(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program of a loop, a branch, ... as it is compiled, simplified once."""
    return closed.derived("simplified", lambda c: drop_idle_barrier(simplify(c)))


def depends_on(closed: ClosedJaxpr, inputs: Sequence[int]) -> set[Var]:
    """The variables of a program that depend on any of its arguments numbered in `inputs`, or on
    effects."""
    found = {closed.jaxpr.invars[i] for i in inputs}
    for e in closed.eqns:
        if any(x in found for x in e.invars if isinstance(x, Var)) or e.primitive.effects_of(e.params):
            found.update(e.outvars)
    return found


__all__ = [
    "ControlPrimitive", "depends_on", "in_bounded_memory", "instantiate", "pruned", "refuse_effects", "selected", "simplified",
]  # fmt: skip
