"""Checkpointed loops as operations: a program that records a loop, one that reverses it, and
derivatives of any order of both."""

from __future__ import annotations

from collections.abc import Sequence
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from pullback.control.base import instantiate
from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.kept import carriers
from pullback.core.linear import Cotangents, Input, Node
from pullback.core.passes import Quiet, refuse_repeated_effects, without_effects
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current, under
from pullback.core.types import ShapedArray
from pullback.lax.shape import batch_first, convert
from pullback.transforms.call import LinearStep, Mask, OwnDerivative, results_of, sum_unbatched
from pullback.transforms.jit import JitCall
from pullback.transforms.jvp import pushed
from pullback.transforms.lifting import Bundle, Lifting, Outcome, fixed_point, kinds_of, leaves_of, plain
from pullback.transforms.linearize import linearize_flat
from pullback.transforms.program import Linearization
from pullback.transforms.vmap import Batch, batch_flat, mapped

if TYPE_CHECKING:
    from pullback.core.names import AxisName, Cotangent, Function, Residual, Tangent, Value, WithNodes, WithTangents

# ---- the linearization of a body, for one step ---------------------------------------------------


class StepLinearization:
    """The derivative of a loop's body (constants, carries, others) → (carries, outputs), one step
    at a time.

    `active` marks the operands with tangents, carries that get one from a step included.

    Example: of `lambda c, x: (c * x, c)`: at c and x, from their tangents to those of c * x and c.
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
        """Which results and which operands have cotangents, if at the end of the loop those of the
        results marked in `given` have."""
        n, first = self.num_carry, self.count

        def pulled(carry: Mask) -> Mask:
            taken = tuple(map(and_, (*carry, *given[n:]), self.body.has_tangent))
            return self.body.pullback(taken)[1]

        carry = fixed_point(given[:n], lambda carry: pulled(carry)[first : first + n], or_)
        return (*carry, *given[n:]), pulled(carry)

    def pull(self, primals: Sequence[Value], cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        """Cotangents of a step's operands at `primals`, given those of its results (None is zero)."""
        results = run(self.body.forward, *primals)
        every = [*primals, *results]
        taken = tuple(c is not None and has for c, has in zip(cotangents, self.body.has_tangent))
        program, pulled = self.body.pullback(taken)
        outs = iter(run(program, *[every[i] for i in self.body.passed], *[c for c, t in zip(cotangents, taken) if t]))
        return [next(outs) if p else None for p in pulled]


# ---- recorded loops and their transposes ---------------------------------------------------------
# Derivatives of a loop's derivatives are not derivatives of the schedule. With L the loop as a
# function of its operands x, and the residuals r made by its recording, the transpose P(x, r, c) =
# L'(x)ᵀ c does not depend on r, and Hessians are symmetric: with
#
#     Q(x, u, c) = ∂/∂x ⟨c, L'(x) u⟩,    the reverse-mode derivative of the loop's JVP, which is a loop like L,
#
# its derivative in the direction (dx, dc) is Q(x, dx, c) + P(x, r, dc), and the transpose of that
# takes u to (Q(x, u, c), L'(x) u).


class Rule:
    """The derivative of a `LoopCall`, as two linear functions at `primals` (the operands) and
    `outs` (the results); None is zero.

    Example: `Recording` and `Transposition`.
    """

    def __init_subclass__(cls) -> None:
        carriers[cls] = "__dict__"

    def push(self, primals: Sequence[Value], outs: Sequence[Value], tangents: Sequence[Tangent]) -> Sequence[Tangent]:
        """Tangents of the results, given the operands'."""
        raise NotImplementedError(f"{type(self).__name__} must define push")

    def pull(
        self, primals: Sequence[Value], outs: Sequence[Value], cotangents: Sequence[Cotangent]
    ) -> Sequence[Cotangent]:
        """Cotangents of the operands, given the results'."""
        raise NotImplementedError(f"{type(self).__name__} must define pull")

    def over_batch(
        self, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        """The program over a batch axis, and where the results have it; None if nothing better is
        known than to batch the program."""
        return None


class LoopCall(JitCall, OwnDerivative):
    """A call of a program of a checkpointed loop, whose derivative is given by the parameter
    `rule`.

    Example: the forward pass of `scan(f, init, xs, checkpoints=4)`.
    """

    name = "checkpointed_loop"

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        rule: Rule = params["rule"]
        count = len(primals)
        outs = self.bind(*primals, **params)
        node = LinearStep(
            params["name"], [*primals, *outs], nodes,
            lambda values, ts: rule.push(values[:count], values[count:], ts),
            lambda values, cts: rule.pull(values[:count], values[count:], cts), rule,
        )  # fmt: skip
        return outs, results_of(node, outs, tuple(dtypes.is_inexact(o.dtype) for o in outs))

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        outs = self.bind(*primals, **params)
        return outs, params["rule"].push(primals, outs, tangents)

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """As what it computes, where a transformation makes more of that: the rule knows nothing of
        it."""
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
    closed: ClosedJaxpr, how: Batch, rule: Rule, size: int, axes: tuple[int | None, ...], axis_name: AxisName
) -> tuple[ClosedJaxpr, BatchedRule]:
    known = rule.over_batch(size, axes, axis_name)
    if known is not None:  # of the loop itself, whose effects a program that runs again has no more
        program = known[0] if closed.effects else without_effects(known[0])
        return program, BatchedRule(rule, size, axes, known[1], axis_name)
    found = how.program(closed, axes)
    in_front = [0] * len(found.kinds)
    program = found.program
    if found.kinds != tuple(in_front):
        spread = lambda operands: leaves_of(how.wider(how.apply(found, operands)[1], in_front))
        program = how.over_bundles(spread, (axes, closed.in_avals))
    return program, BatchedRule(rule, size, axes, in_front, axis_name)


class BatchedRule(Rule):
    """The derivative over a batch axis: that of each element. Results that have derivatives have
    the axis in front.

    Example: of `vmap(grad(loss))`, where loss has such a loop.
    """

    def __init__(
        self, rule: Rule, size: int, axes: Sequence[int | None], out_axes: Sequence[int | None], axis_name: AxisName
    ) -> None:
        self.rule, self.size, self.axes, self.out_axes, self.axis_name = rule, size, axes, out_axes, axis_name

    def _apply(
        self, fun: Function, primals: Sequence[Value], outs: Sequence[Value], linear: Sequence[Tangent], axes: Sequence[int | None]
    ) -> tuple[list[Value], list[int | None]]:  # fmt: skip
        n, m = len(primals), len(primals) + len(outs)
        given = [i for i, x in enumerate(linear) if x is not None]
        present: list[bool] = []

        def flat(*xs: Value) -> list[Value]:
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

    def push(self, primals: Sequence[Value], outs: Sequence[Value], tangents: Sequence[Tangent]) -> Sequence[Tangent]:
        found, axes = self._apply(self.rule.push, primals, outs, tangents, self.axes)
        return [None if t is None else batch_first(t, b, self.size) for t, b in zip(found, axes)]

    def pull(
        self, primals: Sequence[Value], outs: Sequence[Value], cotangents: Sequence[Cotangent]
    ) -> Sequence[Cotangent]:
        found, axes = self._apply(self.rule.pull, primals, outs, cotangents, [0] * len(outs))
        return sum_unbatched(found, axes, self.axes, self.size)


class Recording(Rule):
    """Of operands → results, residuals of a loop. Residuals have no derivative: no transpose
    depends on them.

    Example: what the forward pass of `grad(loss)` runs.
    """

    def __init__(self, loop: CheckpointedLoop) -> None:
        self.loop = loop

    def push(self, primals: Sequence[Value], outs: Sequence[Value], tangents: Sequence[Tangent]) -> Sequence[Tangent]:
        return [*self.loop.push(primals, tangents), *[None] * (len(outs) - len(self.loop.has_tangent))]

    def pull(
        self, primals: Sequence[Value], outs: Sequence[Value], cotangents: Sequence[Cotangent]
    ) -> Sequence[Cotangent]:
        count = len(self.loop.has_tangent)
        return self.loop.pull([*primals, *outs[count:]], cotangents[:count])

    def over_batch(
        self, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        return self.loop.recording_over_batch(size, axes, axis_name)


class Transposition(Rule):
    """Of operands, residuals, cotangents of the results marked in `given` → cotangents of the
    operands marked in `masks`.

    Example: what the backward pass of `grad(loss)` runs.
    """

    def __init__(self, loop: CheckpointedLoop, given: Mask, masks: Mask) -> None:
        self.loop, self.given, self.masks = loop, given, masks

    def _split(self, xs: Sequence[Value]) -> tuple[Sequence[Value], Sequence[Value], list[Value]]:
        """What belongs to the operands, to the residuals, and to all the loop's results."""
        n, m = self.loop.inputs, len(xs) - sum(self.given)
        rest = iter(xs[m:])
        return xs[:n], xs[n:m], [next(rest) if g else None for g in self.given]

    def push(self, primals: Sequence[Value], outs: Sequence[Value], tangents: Sequence[Tangent]) -> Sequence[Tangent]:
        (x, residuals, cts), (t_x, _, t_cts) = self._split(primals), self._split(tangents)
        total: Sequence[Any] = [None] * self.loop.inputs
        if any(t is not None for t in t_cts):
            total = self.loop.pull([*x, *residuals], t_cts)
        if any(t is not None for t in t_x):
            total = [
                b if a is None else a if b is None else a + b for a, b in zip(total, self.loop.second(x, t_x, cts))
            ]
        return [t for t, wanted in zip(total, self.masks) if wanted]

    def pull(
        self, primals: Sequence[Value], outs: Sequence[Value], cotangents: Sequence[Cotangent]
    ) -> Sequence[Cotangent]:
        x, residuals, cts = self._split(primals)
        rest = iter(cotangents)
        u = [next(rest) if wanted else None for wanted in self.masks]
        along = self.loop.push(x, u)
        return [*self.loop.second(x, u, cts), *[None] * len(residuals), *(t for t, g in zip(along, self.given) if g)]

    def over_batch(
        self, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        return self.loop.transpose_over_batch(self.given, size, axes, axis_name)


class CheckpointedLoop:
    """The derivative of a loop in the operands marked in `active`, with a bounded number of states
    kept.

    Subclasses stage `_store` (operands → results, residuals) and `_transpose` (operands, residuals,
    cotangents → cotangents).

    Example: of a scan of 1000 steps with `checkpoints=10`: ten carries are kept.
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

    def _store(self, *operands: Value) -> list[Value]:
        raise NotImplementedError(f"{type(self).__name__} must define _store")

    def _transpose(self, values: Sequence[Value], given: Mask) -> tuple[ClosedJaxpr, Mask]:
        raise NotImplementedError(f"{type(self).__name__} must define _transpose")

    def recording_over_batch(
        self, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        """See `Rule.over_batch`, of what `_store` does."""
        return None

    def transpose_over_batch(
        self, given: Mask, size: int, axes: Sequence[int | None], axis_name: AxisName
    ) -> tuple[ClosedJaxpr, Sequence[int | None]] | None:
        """See `Rule.over_batch`, of what `_transpose` does."""
        return None

    def forward(self, primals: Sequence[Value]) -> list[Value]:
        """Results and residuals."""
        name = f"recorded_{self.operation.name}"
        outs: list[Any] = loop_call_p.bind(*primals, jaxpr=self._recording, name=name, options=None, rule=self._rule)
        types = self.closed.out_avals
        return [*(convert(o, o.dtype, t.weak_type) for o, t in zip(outs, types)), *outs[len(types) :]]

    def nodes(self, primals: Sequence[Value], outs: Sequence[Value], nodes: Sequence[Node | None]) -> list[Node | None]:
        """The nodes of the results' tangents, given all that `forward` gave."""
        count = len(self.has_tangent)
        node = LinearStep(self.operation.name, [*primals, *outs[count:]], nodes, self.push, self.pull, self)
        return results_of(node, outs[:count], self.has_tangent)

    def push(self, values: Sequence[Residual], tangents: Sequence[Tangent]) -> Sequence[Tangent]:
        """Tangents of the results: of the loop's JVP, run again."""
        return self._jvp(values[: self.inputs], tangents)

    def _jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent]) -> Sequence[Tangent]:
        """The results' tangents alone: what the loop does has been done."""
        t_outs: Sequence[Any] = under(Quiet(current()), pushed, self.operation, primals, tangents, self.params)[1]
        return t_outs

    def pull(self, values: Sequence[Residual], cotangents: Sequence[Cotangent]) -> list[Cotangent]:
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

    def second(self, x: Sequence[Value], u: Sequence[Value], cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        """Q(x, u, c): the derivative in x of ⟨c, L'(x) u⟩ (None is zero)."""
        inputs = [Input(v.shape, v.dtype) if dtypes.is_inexact(v.dtype) else None for v in x]

        def along(*xs: Value) -> list[Value]:
            ts = self._jvp(xs, u)
            return [instantiate(t, c) for t, c in zip(ts, cotangents) if c is not None]

        _, nodes = linearize_flat(along, x, inputs)
        pulled = Cotangents()
        for node, c in zip(nodes, [c for c in cotangents if c is not None]):
            if node is not None:
                pulled.add(node, c)
        pulled.pull()
        return [None if i is None else pulled.get(i) for i in inputs]
