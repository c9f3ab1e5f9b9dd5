"""Call primitives: operations whose parameters are programs, or (custom rules) Python functions of
flat arrays.

What becomes of a call is said in three ways. `lifted` says it for all transformations that are
liftings (forward mode, vectorization, checks, ...; see `transforms.lifting`): a call of the same
operation on lifted programs. `linearized` says it for reverse mode, which is none, and is by
default recorded from forward mode. `apply` says what the call is where nothing is made of it, and
`as_equation` what it is in a program. Rules of another sort for one transformation stand in that
transformation's table: a derivative of its own (`OwnDerivative`), for example.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import Cotangents, Node, Tangents, next_id, project, recorded
from pullback.core.primitive import Primitive
from pullback.core.trace import Params, current
from pullback.core.types import ShapedArray
from pullback.lax.shape import add_batch_axis, batch_first, move_axis, reduce_sum_p, strong
from pullback.transforms.jvp import Forward, dual, primal_and_tangent, pushed
from pullback.transforms.lifting import Bundle, Lifting, Outcome
from pullback.transforms.linearize import linearize_flat

if TYPE_CHECKING:
    from pullback.core.names import (
        Cotangent,
        Function,
        Key,
        Operand,
        Param,
        Residual,
        Tangent,
        Value,
        WithNodes,
        WithTangents,
    )

Mask = tuple[bool, ...]


class CallPrimitive(Primitive):
    """Base of the call primitives.

    Example: `jit_p`, whose parameter holds a program.
    """

    multiple_results = True
    #: Whether it calls a program, which closes over nothing that is traced.
    #: Example: True of `jit`, False of `custom_jvp_call`.
    is_closed = True

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """Account and results of the call of lifted programs, given lifted operands. By default of
        what it `expand`s to."""
        if not self.expands:
            raise self.missing("lifted", type(how).__name__)
        return how.run(partial(self.expand, **params), operands)

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        """Results and the nodes of their tangents, given the operands' (not all None). By default
        those of what it `expand`s to, or else recorded from forward mode."""
        if self.expands:
            return linearize_flat(partial(self.expand, **params), primals, nodes)
        return recorded(lambda tangents: pushed(self, primals, tangents, params), nodes)

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        """The results, where no transformation makes anything of the call: evaluated, or recorded
        as a linear function of tangents."""
        raise self.missing("apply", "evaluation")

    def as_equation(self, types: Sequence[ShapedArray], params: Params) -> tuple[Sequence[Value], Params]:
        """What the operands of an equation begin with, and its parameters, for a call with operands
        of these types."""
        return (), params

    def step_program(self, params: Params) -> ClosedJaxpr | None:
        """The parameter `jaxpr` of a call that runs it once, or of a loop that runs it once a step
        and stacks along axis 0 what is added after its operands and results; None for everything
        else."""
        return None


class ClosedCall(CallPrimitive):
    """Base of the calls of programs.

    Example: `scan_p`, whose body is closed.
    """

    def bind(self, *args: Operand, **params: Param) -> list[Value]:
        return current().process_call(self, args, params)


class OwnDerivative(CallPrimitive):
    """Base of the calls whose derivative is more than that of what they compute: solutions of
    equations, functions with rules.

    Example: `root_p`: the derivative is that of the solution, not of the solver's steps.
    """

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        """Results and their tangents (None for zero), given the operands' (None for zero; not all
        of them)."""
        raise self.missing("forward_mode", "differentiation")


@Forward.rules.of(OwnDerivative)
def _own_derivative(how: Forward, call: OwnDerivative, operands: Sequence[Bundle], params: Params) -> Outcome:
    pairs = [primal_and_tangent(x) for x in operands]
    outs, tangents = call.forward_mode([p for p, _ in pairs], [t for _, t in pairs], params)
    return None, list(map(dual, outs, tangents))


# ---- the derivative of a call, recorded ----------------------------------------------------------


class LinearStep(Node):
    """The tangents of a call's results as linear functions of the operands', given by two functions
    of residuals.

    `push(residuals, tangents)` gives the results' tangents and `pull(residuals, cotangents)` the
    operands' cotangents; None is zero, both ways. `key` says what the functions are, comparably.
    What one rule has to tell another, it says in the residuals, and by making functions of what is
    static in them; so a step can be applied, transposed, flattened and rebuilt by whoever meets it.

    For `outs = solve(a, b)`, a linear system: `name` "solve", `values` [a], `nodes` those of b,
    `push` solves and `pull` solves with aᵀ.

    Example: the tangent of `jit(f)(x)`: the program of f's derivative, pushed or pulled.
    """

    __slots__ = ("name", "values", "nodes", "_push", "_pull", "key")
    several = True

    def __init__(
        self, name: str, values: Sequence[Residual], nodes: Sequence[Node | None], push: Function,
        pull: Function, key: Key,
    ) -> None:  # fmt: skip
        self.id, self.shape, self.dtype = next_id(), (), np.dtype(np.float32)
        self.name, self.values, self.nodes = name, list(values), nodes
        self._push, self._pull, self.key = push, pull, key

    def parents(self) -> list[Node]:
        return [n for n in self.nodes if n is not None]

    def push(self, tangents: Tangents) -> Tangent:
        ts = [None if n is None else tangents.get(n.id) for n in self.nodes]
        return self._push(self.values, list(map(_strong, ts))) if is_active(ts) else None

    def pull(self, ct: Cotangent, cotangents: Cotangents) -> None:
        cts = self._pull(self.values, list(map(_strong, ct)))
        for node, c in zip(self.nodes, cts):
            if node is not None and c is not None:
                cotangents.add(node, c)

    def residuals(self) -> Sequence[Residual]:
        return self.values

    def rebuild(self, residuals: Sequence[Residual], parents: dict[int, Node]) -> Node:
        nodes = [None if n is None else parents[n.id] for n in self.nodes]
        return LinearStep(self.name, residuals, nodes, self._push, self._pull, self.key)

    def structure(self, numbering: dict[int, int]) -> Key:
        return (self.name, self.key, tuple([None if n is None else numbering[n.id] for n in self.nodes]))


def _strong(x: Value) -> Value:
    """A tangent or cotangent (None is zero), not weakly typed: programs take types as they are."""
    return x if x is None else strong(x)


def results_of(node: Node, outs: Sequence[Value], active: Mask) -> list[Node | None]:
    """A node for each result of a call that has a tangent."""
    return [n if has else None for n, has in zip(project(node, outs), active)]


def sum_unbatched(
    cts: Sequence[Cotangent], ct_axes: Sequence[int | None], axes: Sequence[int | None], size: int
) -> list[Cotangent]:
    """Cotangents of arguments with batch axes `axes`: what an unbatched argument gets is summed
    over the batch."""

    def of_one(ct: Cotangent, b: int | None, axis: int | None) -> Cotangent:
        if ct is None:
            return None
        if axis is not None:
            return move_axis(batch_first(ct, b, size), 0, axis)
        if b is not None:
            return reduce_sum_p.bind(ct, axes=(b,))
        return reduce_sum_p.bind(add_batch_axis(ct, size), axes=(0,))

    return list(map(of_one, cts, ct_axes, axes))


def is_active(xs: Sequence[object]) -> bool:
    """Whether any argument has a tangent, a node or a batch axis: is not None."""
    return any([x is not None for x in xs])
