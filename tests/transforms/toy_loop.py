"""A loop in one file: `iterate(f, n, x)` is f applied n times to x. It touches no transformation, and none of them knows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.control.base import ControlPrimitive, simplified
from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.trace import Params
from pullback.core.tree import arrays_of, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.transforms.bodies import stage
from pullback.transforms.lifting import Bundle, Kind, LiftedProgram, Lifting, Outcome, fixed_point, kinds_of, leaves_of


class Iterate(ControlPrimitive):
    """Operands are what the body closes over, `num_consts` of them, and the state."""

    name = "toy_iterate"

    def type_of(self, *types: ShapedArray, jaxpr: ClosedJaxpr, **params: Any) -> list[ShapedArray]:
        return jaxpr.out_avals

    def expand(self, *operands: Any, jaxpr: ClosedJaxpr, num_consts: int, length: int) -> list[Any]:
        consts, state = operands[:num_consts], list(operands[num_consts:])
        for _ in range(length):
            state = run(jaxpr, *consts, *state)
        return state

    def lower(self, emit: Any, *operands: Any, jaxpr: ClosedJaxpr, num_consts: int, length: int) -> list[Any]:
        consts, state = operands[:num_consts], operands[num_consts:]

        def goes_on(i: Any, *_: Any) -> Any:
            return emit.compare("LT", i, emit.like(length, i))

        def advance(i: Any, *state: Any) -> list[Any]:
            next_i = emit("add", i, emit.like(1, i), out=ShapedArray((), dtypes.int32))
            return [next_i, *emit.program(simplified(jaxpr), [*consts, *state])]

        return list(emit.while_loop(goes_on, advance, [emit.constant(0, dtypes.int32), *state]))[1:]

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        n, closed = params["num_consts"], params["jaxpr"]
        operands = list(map(how.settled, operands))
        consts, state = operands[:n], operands[n:]

        def step(kinds: Sequence[Kind]) -> LiftedProgram:
            return how.program(closed, (*kinds_of(consts), *kinds))

        kinds = fixed_point(kinds_of(state), lambda kinds: step(kinds).kinds, how.join)
        found = step(kinds)
        if found.account is not None or found.kinds != kinds:  # as what it computes
            return how.run(lambda *xs: self.expand(*xs, **params), operands)
        given = leaves_of(consts)
        new = params | {"jaxpr": found.program, "num_consts": len(given)}
        return how.outcome(found, self.bind(*given, *leaves_of(how.wider(state, kinds)), **new))


iterate_p = Iterate()


def iterate(f: Callable[[Any], Any], n: int, x: Any) -> Any:
    """`f` applied `n` times to a tree of arrays; f keeps its structure and types."""
    leaves, tree = arrays_of(x, "iterate")
    body = stage(f, tree_structure((x,)), [v.aval for v in leaves], "iterate")
    params = {"jaxpr": body.program, "num_consts": len(body.captured), "length": n}
    return tree_unflatten(tree, iterate_p.bind(*body.captured, *leaves, **params))


__all__ = ["iterate", "iterate_p"]
