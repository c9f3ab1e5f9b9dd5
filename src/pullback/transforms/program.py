"""Calls of programs, and what every transformation makes of a program: another program, derived
once and kept with it.

`ProgramCall` is the base of primitives whose parameter `jaxpr` is a closed program. A derivative of
such a call is a call of the derived program: of a lifted one, of its *forward* program (results,
and the residuals of its linearization), of its *pushforward* and *pullback* programs, which take
the residuals. All are staged once for each set of operands that matter, and compiled once, so that
`grad(jit(f))` in a loop neither traces nor transposes nor compiles anything again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pullback.core.array import as_array
from pullback.core.jaxpr import ClosedJaxpr, Var, run
from pullback.core.linear import Cotangents, Input, Node, Tangents, push_nodes, reachable
from pullback.core.passes import eliminate_dead_code, inline_calls
from pullback.core.staging import StagedTracer, stage_flat
from pullback.core.trace import Params, current
from pullback.core.types import ShapedArray
from pullback.transforms.call import ClosedCall, LinearStep, Mask, results_of
from pullback.transforms.lifting import Bundle, Lifting, Outcome, kinds_of, leaves_of
from pullback.transforms.linearize import linearize_flat

if TYPE_CHECKING:
    from pullback.core.names import Cotangent, Function, Param, Residual, ResultType, Tangent, Value, WithNodes

# ---- linearizations ------------------------------------------------------------------------------


class Linearization:
    """A program's derivative in the operands marked in `active`, in two parts.

    `forward(*primals)` gives the results and then residuals. `pushforward` and `pullback` are
    programs of the residuals and the tangents, or cotangents, that are not zero. `passed` says what
    the residuals are: numbers that count through the primals, the results and what `forward` gives
    beyond them; `constants` are those that the linear programs have in themselves.

    Example: of sin: x ↦ (sin(x), cos(x)), and (cos(x), t) ↦ cos(x) t.
    """

    __slots__ = (
        "forward", "passed", "residual_types", "constants", "has_tangent", "_inputs", "_outputs", "_order", "_residuals",
        "_derived",
    )  # fmt: skip

    def __init__(self, closed: ClosedJaxpr, active: Mask) -> None:
        self._derived: dict[Any, tuple[ClosedJaxpr, Mask]] = {}
        self._residuals: list[Any] = []  # of the nodes, in their order: numbers and constants
        types = closed.in_avals
        number: dict[Var, int] = {}
        beyond: list[Any] = []
        order: list[Node] = []

        def forward(*xs: Value) -> list[Value]:
            self._inputs = [Input(t.shape, t.dtype) if a else None for t, a in zip(types, active)]
            outs, nodes = linearize_flat(partial(run, closed), xs, self._inputs)
            outs = list(map(as_array, outs))
            self._outputs = nodes
            order[:] = reachable(nodes)
            trace = current()
            for i, x in enumerate((*xs, *outs)):
                if x.__class__ is StagedTracer and x._trace is trace:
                    number.setdefault(x._var, i)
            for r in (r for node in order for r in node.residuals()):
                if r.__class__ is not StagedTracer or r._trace is not trace:
                    self._residuals.append(r)
                    continue
                if r._var not in number:
                    number[r._var] = len(types) + len(outs) + len(beyond)
                    beyond.append(r)
                self._residuals.append(number[r._var])
            return [*outs, *beyond]

        self.forward = stage_flat(forward, types, current())
        self.has_tangent: Mask = tuple(n is not None for n in self._outputs)
        self._order = [(node, len(node.residuals())) for node in order]
        # A residual is passed once to the linear programs, however often their nodes need it.
        self.passed = list(dict.fromkeys(r for r in self._residuals if isinstance(r, int)))
        every = [*types, *self.forward.out_avals]
        self.residual_types = [every[r] for r in self.passed]
        self.constants = [r for r in self._residuals if not isinstance(r, int)]

    def _rebuild(self, values: Sequence[Value]) -> tuple[list[Value], list[Node | None], list[Node]]:
        """Inputs, outputs and nodes of the tape with residuals `values` (those of `passed`)."""
        by_number = dict(zip(self.passed, values))
        rest = iter([by_number[r] if isinstance(r, int) else r for r in self._residuals])
        built: dict[int, Node] = {}
        nodes = []
        for old, count in self._order:
            node = built[old.id] = old.rebuild([next(rest) for _ in range(count)], built)
            nodes.append(node)
        inputs = [None if x is None else built.get(x.id) for x in self._inputs]
        outputs = [None if n is None else built[n.id] for n in self._outputs]
        return inputs, outputs, nodes

    def pushforward(self, nonzero: Mask) -> tuple[ClosedJaxpr, Mask]:
        """The program (residuals, tangents of the operands marked in `nonzero`) → tangents of the
        results that the mask marks."""
        return self._program("push", nonzero, self._push)

    def pullback(self, nonzero: Mask) -> tuple[ClosedJaxpr, Mask]:
        """The program (residuals, cotangents of the results marked in `nonzero`) → cotangents of
        the operands that the mask marks."""
        return self._program("pull", nonzero, self._pull)

    def _program(self, kind: str, nonzero: Mask, apply: Function) -> tuple[ClosedJaxpr, Mask]:
        found = self._derived.get((kind, nonzero))
        if found is None:
            ends = self._inputs if kind == "push" else self._outputs
            linear = [ShapedArray(n.shape, n.dtype) for n, wanted in zip(ends, nonzero) if wanted and n is not None]
            mask: list[bool] = []

            def program(*xs: Value) -> list[Value]:
                count = len(self.passed)
                rest = iter(xs[count:])
                results = apply(xs[:count], [next(rest) if wanted else None for wanted in nonzero])
                mask[:] = [r is not None for r in results]
                return [r for r in results if r is not None]

            closed = stage_flat(program, [*self.residual_types, *linear], current())
            found = self._derived[kind, nonzero] = (closed, tuple(mask))
        return found

    def _push(self, residuals: Sequence[Residual], ts: Sequence[Tangent]) -> list[Tangent]:
        inputs, outputs, nodes = self._rebuild(residuals)
        tangents: Tangents = {x.id: t for x, t in zip(inputs, ts) if x is not None and t is not None}
        push_nodes(nodes, tangents)
        return [None if n is None else tangents.get(n.id) for n in outputs]

    def _pull(self, residuals: Sequence[Residual], cts: Sequence[Cotangent]) -> list[Cotangent]:
        inputs, outputs, _ = self._rebuild(residuals)
        cotangents = Cotangents()
        for node, ct in zip(outputs, cts):
            if node is not None and ct is not None:
                cotangents.add(node, ct)
        cotangents.pull()
        return [None if x is None else cotangents.get(x) for x in inputs]


def used_arguments(closed: ClosedJaxpr) -> list[bool]:
    """For each argument of a program, whether its results depend on it."""
    jaxpr = eliminate_dead_code(inline_calls(closed).jaxpr)
    used = {x for e in jaxpr.eqns for x in e.invars}.union(jaxpr.outvars)
    return [v in used for v in jaxpr.invars]


# ---- the primitives ------------------------------------------------------------------------------


class ProgramCall(ClosedCall):
    """Base of the primitives that call a closed program, their parameter `jaxpr`.

    Example: `JitCall`.
    """

    inlined: str | None = "jaxpr"

    def bind_program(self, program: ClosedJaxpr, args: Sequence[Value], params: Params, prefix: str) -> list[Value]:
        """A call of a program derived from that of a call with `params`."""
        raise NotImplementedError(f"{type(self).__name__} must define bind_program")

    def type_of(self, *types: ShapedArray, **params: Param) -> ResultType:
        return params["jaxpr"].out_avals

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        found = how.program(params["jaxpr"], kinds_of(operands))
        return how.outcome(found, self.bind_program(found.program, leaves_of(operands), params, how.name))

    def linearization(self, params: Params, active: Mask) -> Linearization:
        """The derivative of the program of a call with `params`, in the operands marked in
        `active`."""
        found: Linearization = params["jaxpr"].derived(("linearize", active), Linearization, active)
        return found

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        found = self.linearization(params, tuple([n is not None for n in nodes]))
        results = self.bind_program(found.forward, primals, params, "")
        outs = results[: len(found.has_tangent)]
        every = [*primals, *results]

        def push(values: Sequence[Value], ts: Sequence[Tangent]) -> list[Tangent]:
            program, mask = found.pushforward(tuple([t is not None for t in ts]))
            given = [*values, *[t for t in ts if t is not None]]
            return spread(self.bind_program(program, given, params, "jvp"), mask)

        def pull(values: Sequence[Value], cts: Sequence[Cotangent]) -> list[Cotangent]:
            cts = [c if has else None for c, has in zip(cts, found.has_tangent)]
            program, mask = found.pullback(tuple([c is not None for c in cts]))
            given = [*values, *[c for c in cts if c is not None]]
            return spread(self.bind_program(program, given, params, "transpose"), mask)

        values = [every[i] for i in found.passed]
        node = LinearStep(self.name, values, nodes, push, pull, found)
        return outs, results_of(node, outs, found.has_tangent)


def spread(xs: Iterable[Value], mask: Iterable[bool]) -> list[Value]:
    """What is there, at the places that `mask` marks, and None at the others."""
    rest = iter(xs)
    return [next(rest) if has else None for has in mask]


__all__ = ["Linearization", "ProgramCall", "spread", "used_arguments"]
