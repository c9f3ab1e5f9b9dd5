"""while: a loop that runs as long as a condition on its state holds.

The operation `while` has operands (constants of the condition, constants of the body, initial state), and two programs: the
condition (constants, state) → boolean, and the body (constants, state) → state. The number of iterations is not known before it has run, so
reverse mode keeps a bounded number of states (see `control.checkpoints`). Over a batch whose elements stop at different times, the
loop runs until all have, and those that have stopped keep their state: what the body would give for them reaches neither values nor
derivatives (`control.elements`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.control.elements import for_elements, surroundings
from pullback.control.loop import ControlPrimitive, instantiate, pruned, refuse_effects, run, simplified
from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import Node
from pullback.core.stage import stage_flat
from pullback.core.trace import Params, current
from pullback.core.types import ShapedArray
from pullback.lax.reductions import reduce_or_p
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, move_axis, reshape_p
from pullback.transforms.program import JVP, Batched, Mask


def split(operands: Sequence[Any], params: Params) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """(constants of the condition, constants of the body, state)."""
    n, m = params["cond_nconsts"], params["body_nconsts"]
    return operands[:n], operands[n : n + m], operands[n + m :]


class While(ControlPrimitive):
    """See the module's text. `checkpoints` is the number of states that reverse mode keeps; None is a number that suits most loops."""

    name = "while"

    def type_of(self, *types: ShapedArray, **params: Any) -> list[ShapedArray]:
        return params["body_jaxpr"].out_avals

    # ---- compilation --------------------------------------------------------------------------------------------

    def lower(
        self, emit: Any, *operands: Any, cond_jaxpr: ClosedJaxpr, body_jaxpr: ClosedJaxpr, **params: Any
    ) -> list[Any]:
        cond_consts, body_consts, init = split(operands, params)

        def condition(*state: Any) -> Any:
            (holds,) = emit.program(simplified(cond_jaxpr), [*cond_consts, *state])
            return holds

        def body(*state: Any) -> list[Any]:
            return list(emit.program(simplified(body_jaxpr), [*body_consts, *state]))

        if not cond_jaxpr.has_effect:
            return list(emit.while_loop(condition, body, init))

        def step(_: Any, *state: Any) -> list[Any]:
            new = body(*state)
            return [condition(*new), *new]

        # Effects belong into the body: a condition of which the compiler knows how often it holds is left out, with its effects.
        return list(emit.while_loop(lambda holds, *_: holds, step, [condition(*init), *init]))[1:]

    # ---- derivatives --------------------------------------------------------------------------------------------

    def forward_mode(self, primals: Sequence[Any], tangents: Sequence[Any], params: Params) -> Any:
        cond_consts, body_consts, init = split(primals, params)
        _, t_consts, t_init = split(tangents, params)
        count = len(body_consts)
        active = tuple(t is not None for t in (*t_consts, *t_init))
        body = params["body_jaxpr"]
        found: WhileJVP = body.derived(("while jvp", count, active), WhileJVP, count, active)
        if not any(found.carry_active):
            return self.bind(*primals, **params), [None] * len(init)
        cond = params["cond_jaxpr"]
        added = [t for t, a in zip(found.tangent_types, found.carry_active) if a]
        wider = cond.derived(("with more state", tuple(added)), _with_more_state, added)
        consts = [*body_consts, *(t for t in t_consts if t is not None)]
        state = [*init, *(instantiate(t, x) for t, x, a in zip(t_init, init, found.carry_active) if a)]
        new: Params = {"cond_jaxpr": wider, "body_jaxpr": found.program, "body_nconsts": len(consts)}
        outs = self.bind(*cond_consts, *consts, *state, **params | new)
        rest = iter(outs[len(init) :])
        return outs[: len(init)], [next(rest) if a else None for a in found.carry_active]

    def linearized(self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
        from pullback.control.checkpoints import linearized_while

        return linearized_while(self, primals, nodes, params)

    # ---- vectorization ------------------------------------------------------------------------------------------

    def batched(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], axis_name: Any, params: Params
    ) -> Any:
        n, m = params["cond_nconsts"], params["body_nconsts"]
        mapped = tuple(b is not None for b in axes)
        found = WhileBatched.of(params["body_jaxpr"], params["cond_jaxpr"], n, m, size, mapped, axis_name)
        cond_consts, body_consts, init = split(
            [x if b is None else move_axis(x, b, 0) for x, b in zip(args, axes)], params
        )
        state = [
            batch_first(x, None, size) if wanted and not has else x
            for x, has, wanted in zip(init, mapped[n + m :], found.mapped_carry)
        ]
        if found.predicate is None:
            new: Params = {"cond_jaxpr": found.condition, "body_jaxpr": found.program}
            outs = self.bind(*cond_consts, *body_consts, *state, **params | new)
        else:
            for program in (params["cond_jaxpr"], params["body_jaxpr"]):
                refuse_effects(program, "while")
            (running,) = run(found.predicate, *cond_consts, *state)
            new = {"cond_jaxpr": found.condition, "body_jaxpr": found.program, "cond_nconsts": 0, "body_nconsts": n + m}
            _, *outs = self.bind(*cond_consts, *body_consts, running, *state, **params | new)
        return outs, [0 if m else None for m in found.mapped_carry]


while_p = While()


def _with_more_state(closed: ClosedJaxpr, added: Sequence[ShapedArray]) -> ClosedJaxpr:
    """The condition on a state that has more in it."""
    count = len(closed.in_avals)
    return stage_flat(lambda *xs: run(closed, *xs[:count]), [*closed.in_avals, *added], current())


class WhileJVP:
    """The body of a while's JVP: (constants, tangents of some, state, tangents of some)."""

    __slots__ = ("carry_active", "program", "tangent_types")

    def __init__(self, closed: ClosedJaxpr, count: int, active: Mask) -> None:
        while True:
            jvp: JVP = closed.derived(("jvp", active), JVP, active)
            wider = (*active[:count], *(a or b for a, b in zip(active[count:], jvp.has_tangent)))
            if wider == active:
                break
            active = wider
        self.carry_active = active[count:]
        types = closed.in_avals
        tangents = [t.to_tangent_aval().update(weak_type=False) for t in types]
        self.tangent_types = tangents[count:]
        t_consts = [t for t, a in zip(tangents, active[:count]) if a]
        t_carry = [t for t, a in zip(self.tangent_types, self.carry_active) if a]
        sizes = (count, len(t_consts), len(types) - count, len(t_carry))

        def body(*args: Any) -> list[Any]:
            rest = iter(args)
            consts, ts_consts, state, ts = ([next(rest) for _ in range(n)] for n in sizes)
            results = iter(run(jvp.program, *consts, *state, *ts_consts, *ts))
            outs = [next(results) for _ in jvp.has_tangent]
            t_outs = [next(results) if has else None for has in jvp.has_tangent]
            return [*outs, *(instantiate(t, x) for t, x, a in zip(t_outs, outs, self.carry_active) if a)]

        self.program = pruned(stage_flat(body, [*types[:count], *t_consts, *types[count:], *t_carry], current()))


class WhileBatched:
    """Condition and body over a batch axis. If the condition differs from element to element, the state begins with which elements are
    still running: `predicate` is the original condition over the batch, which says so; otherwise it is None."""

    __slots__ = ("mapped_carry", "condition", "program", "predicate")

    @staticmethod
    def of(
        body: ClosedJaxpr, cond: ClosedJaxpr, n: int, m: int, size: int, mapped: Mask, axis_name: Any
    ) -> WhileBatched:
        """That of a loop with `n` constants of the condition and `m` of the body, for operands that are mapped as `mapped` says."""
        key = ("while batch", cond, n, m, size, mapped, axis_name, *surroundings())
        found: WhileBatched = body.derived(key, WhileBatched, cond, n, m, size, mapped, axis_name)
        return found

    def __init__(
        self, body: ClosedJaxpr, cond: ClosedJaxpr, n: int, m: int, size: int, mapped: Mask, axis_name: Any
    ) -> None:
        of_cond, of_body, carry = mapped[:n], mapped[n : n + m], mapped[n + m :]

        def over_batch(closed: ClosedJaxpr, which: Mask) -> Batched:
            axes = tuple(0 if w else None for w in which)
            found: Batched = closed.derived(("batch", size, axes, axis_name), Batched, size, axes, axis_name)
            return found

        while True:
            batched_body, batched_cond = over_batch(body, (*of_body, *carry)), over_batch(cond, (*of_cond, *carry))
            differs = batched_cond.mapped[0]
            wider = tuple(a or b or differs for a, b in zip(carry, batched_body.mapped))
            if wider == carry:
                break
            carry = wider
        self.mapped_carry = carry
        in_types = batched_body.program.in_avals
        state_types = in_types[m:]

        def in_front(outs: Sequence[Any], has_axis: Sequence[bool]) -> list[Any]:
            return [x if has or not c else batch_first(x, None, size) for x, has, c in zip(outs, has_axis, carry)]

        if not differs:
            self.predicate, self.condition = None, batched_cond.program
            advance = lambda *xs: in_front(run(batched_body.program, *xs), batched_body.mapped)
            self.program = stage_flat(advance, in_types, current())
            return

        predicate = self.predicate = batched_cond.program
        cond_types = predicate.in_avals[:n]
        running = ShapedArray((size,), dtypes.bool_)
        which = (*of_body, *carry)
        of_running = for_elements(body, size, which, axis_name, True)

        def masked(*xs: Any) -> list[Any]:
            cond_consts, body_consts, flags, state = xs[:n], xs[n : n + m], xs[n + m], xs[n + m + 1 :]
            outs = run(of_running.program, *of_running.operands(flags, [*body_consts, *state]))
            new = [
                select(reshape_p.bind(flags, new_sizes=(size, *(1,) * (len(x.shape) - 1))), y, x)
                for x, y in zip(state, in_front(outs, of_running.mapped))
            ]
            return [*run(predicate, *cond_consts, *new), *new]

        self.program = stage_flat(masked, [*cond_types, *in_types[:m], running, *state_types], current())
        self.condition = stage_flat(
            lambda flags, *_: [reduce_or_p.bind(flags, axes=(0,))], [running, *state_types], current()
        )


__all__ = ["split", "while_p"]
