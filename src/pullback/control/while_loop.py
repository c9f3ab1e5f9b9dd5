"""while: a loop that runs as long as a condition on its state holds.

The operation `while` has operands (constants of the condition, constants of the body, initial
state), and two programs: the condition (constants, state) → boolean, and the body (constants,
state) → state. The number of iterations is not known before it has run, so reverse mode keeps a
bounded number of states (see `control.schedule`). Over a batch whose elements stop at different
times, the loop runs until all have, and those that have stopped keep their state: what the body
would give for them reaches neither values nor derivatives (`control.elements`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pullback.control.base import ControlPrimitive, in_bounded_memory, pruned, refuse_effects, simplified
from pullback.control.elements import some_elements, surroundings
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import Node
from pullback.core.trace import Params
from pullback.core.tree import tree_leaves, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.lax.reductions import reduce_or_p
from pullback.lax.selection import select
from pullback.lax.shape import reshape_p
from pullback.transforms.lifting import Bundle, Kind, LiftedProgram, Lifting, Outcome, fixed_point, kinds_of, leaves_of

if TYPE_CHECKING:
    from pullback.core.names import Emitted, Param, Value, WithNodes
    from pullback.xla.stablehlo import Emitter


def split(operands: Sequence[Value], params: Params) -> tuple[Sequence[Value], Sequence[Value], Sequence[Value]]:
    """(constants of the condition, constants of the body, state)."""
    n, m = params["cond_nconsts"], params["body_nconsts"]
    return operands[:n], operands[n : n + m], operands[n + m :]


class While(ControlPrimitive):
    """See the module's text. `checkpoints` is the number of states that reverse mode keeps; None is
    a number that suits most loops.

    Example: `while_loop(cond, body, x)` binds it.
    """

    name = "while"

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        return params["body_jaxpr"].out_avals

    # ---- compilation -----------------------------------------------------------------------------

    def lower(
        self, emit: Emitter, *operands: Emitted, cond_jaxpr: ClosedJaxpr, body_jaxpr: ClosedJaxpr, **params: Param
    ) -> list[Emitted]:
        cond_consts, body_consts, init = split(operands, params)

        def condition(*state: Emitted) -> Emitted:
            (holds,) = emit.program(simplified(cond_jaxpr), [*cond_consts, *state])
            return holds

        def body(*state: Emitted) -> list[Emitted]:
            return list(emit.program(simplified(body_jaxpr), [*body_consts, *state]))

        if not cond_jaxpr.effects:
            return list(emit.while_loop(condition, body, init))

        def step(_: Emitted, *state: Emitted) -> list[Emitted]:
            new = body(*state)
            return [condition(*new), *new]

        # Effects belong into the body: a condition of which the compiler knows how often it holds
        # is left out, with its effects.
        return list(emit.while_loop(lambda holds, *_: holds, step, [condition(*init), *init]))[1:]

    # ---- transformations -------------------------------------------------------------------------

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        cond_consts, body_consts, init = split(list(map(how.settled, operands)), params)
        of_cond, of_body, carry = map(kinds_of, (cond_consts, body_consts, init))
        found = LiftedLoop.of(params["body_jaxpr"], params["cond_jaxpr"], how, of_cond, of_body, carry)
        init = how.wider(init, found.kinds)
        of_condition, of_step, state = map(leaves_of, (cond_consts, body_consts, init))
        new: Params = {"cond_jaxpr": found.condition, "body_jaxpr": found.program}
        if found.predicate is None:
            new |= {"cond_nconsts": len(of_condition), "body_nconsts": len(of_step)}
            return how.outcome(found, self.bind(*of_condition, *of_step, *state, **params | new))
        at_first, holds = how.apply(found.predicate, [*cond_consts, *init])
        account = tree_leaves(how.nothing(found.account))
        new |= {"cond_nconsts": 0, "body_nconsts": len(of_condition) + len(of_step)}
        _, *outs = self.bind(*of_condition, *of_step, *leaves_of(holds), *account, *state, **params | new)
        account, results = how.outcome(found, outs)
        return how.then(at_first, account), results

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        return in_bounded_memory[self](self, primals, nodes, params)


while_p = While()


class LiftedLoop:
    """Condition and body of a while, lifted; `kinds` are those of the state.

    If all that the condition gives is whether the loop goes on, the loop is one of lifted condition
    and body, and `predicate` is None. Else (elements of a batch stop one by one; there is an
    account) the body evaluates the condition, too, and the state begins with what that gave and the
    account: the constants of the condition come first among the body's, and `predicate` is the
    lifted condition for the first time.

    Example: under `vmap`, until the last element has stopped.
    """

    __slots__ = ("kinds", "account", "condition", "program", "predicate")

    @staticmethod
    def of(
        body: ClosedJaxpr, cond: ClosedJaxpr, how: Lifting, of_cond: Sequence[Kind], of_body: Sequence[Kind], carry: Sequence[Kind]
    ) -> LiftedLoop:  # fmt: skip
        """That of a loop whose constants and state are of these kinds."""
        kinds = (of_cond, of_body, carry)
        key = ("while", cond, how.key, kinds, *surroundings())
        found: LiftedLoop = body.derived(key, LiftedLoop, cond, how, *kinds)
        return found

    def __init__(
        self, body: ClosedJaxpr, cond: ClosedJaxpr, how: Lifting, of_cond: Sequence[Kind], of_body: Sequence[Kind], carry: Sequence[Kind]
    ) -> None:  # fmt: skip
        def parts(carry: Sequence[Kind]) -> tuple[LiftedProgram, LiftedProgram]:
            return how.program(cond, (*of_cond, *carry)), how.program(body, (*of_body, *carry))

        def after(carry: Sequence[Kind]) -> list[Kind]:
            condition, step = parts(carry)
            (holds,) = condition.kinds
            return list(step.kinds) if holds is None else [how.join(kind, holds) for kind in step.kinds]

        self.kinds = carry = fixed_point(carry, after, how.join)
        condition, step = parts(carry)
        n, m = len(of_cond), len(of_body)
        in_state = (carry, body.in_avals[m:])
        in_body = (of_body, body.in_avals[:m])
        self.predicate, self.account = None, None
        if condition.kinds == (None,) and condition.account is None and step.account is None:
            self.condition, self.program = condition.program, pruned(step.program)
            if step.kinds != carry:
                advance = lambda consts, state: leaves_of(how.wider(how.apply(step, consts + state)[1], carry))
                self.program = pruned(how.over_bundles(advance, in_body, in_state))
            return

        self.predicate = condition
        nothing = how.then(how.nothing(step.account), how.nothing(condition.account))
        account_types, structure = [x.aval for x in tree_leaves(nothing)], tree_structure(nothing)
        self.account = structure if account_types else None
        of_holds, of_account = (condition.kinds, cond.out_avals), ((None,) * len(account_types), account_types)
        some = None
        if condition.kinds != (None,):
            for program in (cond, body):
                refuse_effects(program, "while")
            some = some_elements(how, body, (*of_body, *carry), True)

        def step_and_ask(
            cond_consts: list[Bundle], consts: list[Bundle], holds: list[Bundle], before: list[Bundle], state: list[Bundle]
        ) -> list[Value]:  # fmt: skip
            account, outs = how.apply(step, consts + state) if some is None else some.run(how, holds[0], consts + state)
            new = how.wider(outs, carry)
            if some is not None:
                (flags,) = holds[0].leaves
                new = [_where(flags, y, x) for x, y in zip(state, new)]
            later, goes_on = how.apply(condition, cond_consts + new)
            if self.account is not None:
                account = how.then(tree_unflatten(self.account, leaves_of(before)), how.then(account, later))
            return [*leaves_of(goes_on), *tree_leaves(account), *leaves_of(new)]

        def goes_on(holds: list[Bundle], *_: list[Bundle]) -> list[Value]:
            (flags,) = holds[0].leaves
            return [reduce_or_p.bind(flags, axes=(0,)) if flags.shape else flags]

        groups = (of_holds, of_account, in_state)
        self.program = how.over_bundles(step_and_ask, (of_cond, cond.in_avals[:n]), in_body, *groups)
        self.condition = how.over_bundles(goes_on, *groups)


def _where(flags: Value, new: Bundle, old: Bundle) -> Bundle:
    """The new values of the elements whose flag is true, the old ones of the others."""
    (y,), (x,) = new.leaves, old.leaves
    return Bundle(new.kind, (select(reshape_p.bind(flags, new_sizes=(*flags.shape, *(1,) * (x.ndim - 1))), y, x),))


__all__ = ["LiftedLoop", "split", "while_p"]
