"""What loops and branches have in common: calls of programs that are neither inlined nor closed over anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.array import ConcreteArray
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Var, subjaxprs
from pullback.core.linear import LinearTracer, Node, next_id, project, zeros
from pullback.core.passes import drop_idle_barrier, drop_unused_consts, eliminate_dead_code, simplify
from pullback.core.stage import stage_flat
from pullback.core.trace import EVAL, Params, Trace, current, evaluable, set_current
from pullback.core.types import ShapedArray
from pullback.lax.callbacks import io_callback_p
from pullback.lax.shape import strong
from pullback.transforms.call import ClosedCall
from pullback.transforms.program import Mask, run


class ControlPrimitive(ClosedCall):
    """Base of loops and branches: primitives whose parameters hold closed programs without constants.

    Subclasses define `type_of`, `lower`, `forward_mode`, `linearized` and `batched`.
    """

    inlined: str | None = None

    def evaluate_call(self, args: Sequence[Any], params: Params) -> Any:
        trace = current()
        if trace is not EVAL:
            return self._recorded(trace, args, params)
        arrays = [a if a.__class__ is ConcreteArray else evaluable(a) for a in args]
        return self.runner(arrays, params)(arrays)

    def runner(self, arrays: Sequence[Any], params: Params) -> Callable[[Sequence[Any]], list[Any]]:
        """What runs the operation on arrays like these: its executable."""
        from pullback.transforms.jit import runner

        key = (self, "evaluate", *[a._type.number for a in arrays], *params.values())
        body = subjaxprs(params)[0]
        program = body.derived(key, self._as_program, [a._type for a in arrays], params)
        return runner(program, self.name, None, arrays)

    def _as_program(self, _: ClosedJaxpr, types: Sequence[ShapedArray], params: Params) -> Any:
        return stage_flat(lambda *xs: self.bind(*xs, **params), types, EVAL)

    def _recorded(self, trace: Trace, args: Sequence[Any], params: Params) -> Any:
        """The operation in a function of tangents that is linear in them: its own derivative, at any point."""
        nodes = [a.node if a.__class__ is LinearTracer and a._trace is trace else None for a in args]
        primals = [a if n is None else zeros(n.shape, n.dtype) for a, n in zip(args, nodes)]
        try:
            set_current(trace.parent)
            outs, out_nodes = self.linearized(primals, nodes, params)
        finally:
            set_current(trace)
        return [o if n is None else LinearTracer(trace, n) for o, n in zip(outs, out_nodes)]


class LinearCallNode(Node):
    """The tangents of a call's results as linear functions of the operands', given by two functions of residuals.

    `push(residuals, tangents)` gives the results' tangents and `pull(residuals, cotangents)` the operands' cotangents; None is zero,
    both ways. `key` says what the functions are, comparably.
    """

    __slots__ = ("name", "values", "nodes", "_push", "_pull", "key")
    several = True

    def __init__(
        self, name: str, values: Sequence[Any], nodes: Sequence[Node | None], push: Callable[..., Any],
        pull: Callable[..., Any], key: Any,
    ) -> None:  # fmt: skip
        self.id, self.shape, self.dtype = next_id(), (), np.dtype(np.float32)
        self.name, self.values, self.nodes = name, list(values), nodes
        self._push, self._pull, self.key = push, pull, key

    def parents(self) -> Any:
        return [n for n in self.nodes if n is not None]

    def push(self, tangents: Any) -> Any:
        ts = [None if n is None else tangents.get(n.id) for n in self.nodes]
        return (
            None
            if all(t is None for t in ts)
            else self._push(self.values, [None if t is None else strong(t) for t in ts])
        )

    def pull(self, ct: Any, cotangents: Any) -> None:
        cts = self._pull(self.values, [None if c is None else strong(c) for c in ct])
        for node, c in zip(self.nodes, cts):
            if node is not None and c is not None:
                cotangents.add(node, c)

    def residuals(self) -> Sequence[Any]:
        return self.values

    def rebuild(self, residuals: Sequence[Any], parents: dict[int, Node]) -> Node:
        nodes = [None if n is None else parents[n.id] for n in self.nodes]
        return LinearCallNode(self.name, residuals, nodes, self._push, self._pull, self.key)

    def structure(self, numbering: dict[int, int]) -> Any:
        return (self.name, self.key, tuple(None if n is None else numbering[n.id] for n in self.nodes))


def results_of(node: Node, outs: Sequence[Any], active: Mask) -> list[Node | None]:
    """A node for each result of a call that has a tangent."""
    types = [ShapedArray(o.shape, o.dtype) for o in outs]
    return [n if has else None for n, has in zip(project(node, types), active)]


def instantiate(t: Any, like: Any) -> Any:
    """A tangent or cotangent of `like`: zeros if it is None."""
    if t is not None:
        return t
    t_type = like.aval.to_tangent_aval() if not isinstance(like, ShapedArray) else like.to_tangent_aval()
    return zeros(t_type.shape, t_type.dtype)


def derived_body(closed: ClosedJaxpr, key: Any, fun: Callable[..., Any], types: Sequence[ShapedArray]) -> ClosedJaxpr:
    """The program of `fun` on flat arguments of `types`, kept with `closed` under `key`; it has constants only if `closed` has."""
    return closed.derived(key, lambda _: stage_flat(fun, types, current()))


def selected(closed: ClosedJaxpr, outputs: Sequence[int]) -> ClosedJaxpr:
    """The program that gives some of the results of `closed`, in this order, and computes nothing else."""
    body = closed.jaxpr
    return pruned(
        ClosedJaxpr(Jaxpr(body.constvars, body.invars, [body.outvars[i] for i in outputs], body.eqns), closed.consts)
    )


def refuse_effects(closed: ClosedJaxpr, what: str) -> None:
    """Raise NotImplementedError if a program has IO callbacks: they would be called for elements that do not come to them."""
    for e in closed.eqns:
        if e.primitive is io_callback_p:
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
    """The variables of a program that depend on any of its arguments numbered in `inputs`, or on effects."""
    found = {closed.jaxpr.invars[i] for i in inputs}
    for e in closed.eqns:
        if any(x in found for x in e.invars if isinstance(x, Var)) or e.primitive.has_effect(e.params):
            found.update(e.outvars)
    return found


__all__ = [
    "ControlPrimitive", "LinearCallNode", "depends_on", "derived_body", "instantiate", "pruned", "results_of", "run", "selected",
    "simplified",
]  # fmt: skip
