"""A transformation in one file: `count_multiplications(f)` also gives how many multiplications running `f` takes.

It touches no loop, branch or call, and none of them knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.array import as_array
from pullback.core.jaxpr import ClosedJaxpr, JaxprEqn, bind_equation, eval_jaxpr
from pullback.core.staging import stage_flat
from pullback.core.tree import arrays_of, tree_unflatten
from pullback.lax.family import mul_p
from pullback.transforms.call import CallPrimitive
from pullback.transforms.lifting import Bundle, Lifting, Outcome, Rules, leaves_of, plain


class Counting(Lifting):
    """Values stay what they are; the account is the number of multiplications."""

    key = "multiplications"
    rules = Rules()

    def run(self, fun: Callable[..., Any], operands: Sequence[Bundle]) -> Outcome:
        return self.run_program(stage_flat(fun, [x.aval for x in leaves_of(operands)]), operands)

    def run_program(self, closed: ClosedJaxpr, operands: Sequence[Bundle]) -> Outcome:
        total = None

        def apply(eqn: JaxprEqn, values: Sequence[Any]) -> Sequence[Any]:
            nonlocal total
            if isinstance(eqn.primitive, CallPrimitive):
                count, outs = self.call(eqn.primitive, list(map(plain, values)), eqn.params)
                total = self.then(total, count)
                return leaves_of(outs)
            if eqn.primitive is mul_p:
                total = self.then(total, as_array(np.int32(1)))
            return bind_equation(eqn, values)

        outs = eval_jaxpr(closed.jaxpr, closed.consts, *leaves_of(operands), apply=apply)
        return total, list(map(plain, outs))

    def nothing(self, structure: Any) -> Any:
        return None if structure is None else as_array(np.int32(0))

    def then(self, before: Any, later: Any) -> Any:
        return later if before is None else before if later is None else before + later


def count_multiplications(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` as a function that gives (number of multiplications, result)."""

    def counted(*args: Any) -> Any:
        arrays, in_tree = arrays_of(args, "count_multiplications")
        out_tree: Any = None

        def flat(*xs: Any) -> list[Any]:
            nonlocal out_tree
            outs, out_tree = arrays_of(f(*tree_unflatten(in_tree, xs)), "the output")
            return outs

        total, outs = Counting().run(flat, list(map(plain, arrays)))
        return as_array(np.int32(0)) if total is None else total, tree_unflatten(out_tree, leaves_of(outs))

    return counted
