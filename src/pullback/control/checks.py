"""Checkify through loops and branches: their programs become checked programs, and a loop carries the first error of its steps.

A loop goes on after an error as it would without checks: results are those of the function, and what `checkify` gives beside them is the
error of the first step that had one. Where nothing can fail, the operation stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.control.branches import cond_p, switch
from pullback.control.checkpoints import loop_call_p
from pullback.control.loops import scan, while_loop
from pullback.control.scan import Layout, scan_p
from pullback.control.while_loop import split, while_p
from pullback.core.jaxpr import JaxprEqn
from pullback.core.linear import zeros
from pullback.core.tree import tree_map
from pullback.lax.selection import select_n_p
from pullback.transforms.checkify import (
    Categories,
    Checked,
    Error,
    checked_program,
    register_checkify_rule,
    run_checked,
)
from pullback.transforms.program import run

Outcome = tuple[Error, Sequence[Any]]


def no_error(checked: Checked) -> Error:
    """An error of the checked program that did not occur."""
    return checked.split([zeros(t.shape, t.dtype) for t in checked.program.out_avals[: checked.count]])[0]


def first(before: Error, later: Error) -> Error:
    """The error before, or if there is none the later one; both are of one program."""
    found: Error = tree_map(lambda mine, other: select_n_p.bind(before._pred, other, mine), before, later)
    return found


def checked_call(checked: Checked, *args: Any) -> Outcome:
    """Error and results of a program."""
    return checked.split(run(checked.program, *args))


def _scan(error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Any]) -> Outcome:
    params = dict(eqn.params)
    checked = checked_program(params.pop("jaxpr"), categories)
    if not checked.count:
        return error, scan_p.bind(*args, jaxpr=checked.program, **params)
    consts, init, xs = Layout(params.pop("num_consts"), params.pop("num_carry")).split(args)
    count = len(init)

    def step(state: Any, x: Any) -> Any:
        before, carry = state
        found, outs = checked_call(checked, *consts, *carry, *x)
        return (first(before, found), list(outs[:count])), list(outs[count:])

    (found, carry), ys = scan(step, (no_error(checked), list(init)), list(xs), **params)
    return error.then(found), [*carry, *ys]


def _while(error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Any]) -> Outcome:
    params = eqn.params
    condition, body = (checked_program(params[which], categories) for which in ("cond_jaxpr", "body_jaxpr"))
    if not condition.count and not body.count:
        programs = {"cond_jaxpr": condition.program, "body_jaxpr": body.program}
        return error, while_p.bind(*args, **{**params, **programs})
    cond_consts, body_consts, init = split(args, params)

    def step(state: Any) -> Any:
        before, _, carry = state
        of_body, carry = checked_call(body, *body_consts, *carry)
        of_condition, (goes_on,) = checked_call(condition, *cond_consts, *carry)
        return first(before, of_body.then(of_condition)), goes_on, list(carry)

    at_first, (goes_on,) = checked_call(condition, *cond_consts, *init)
    start = (no_error(body).then(no_error(condition)), goes_on, list(init))
    found, _, carry = while_loop(lambda state: state[1], step, start, checkpoints=params["checkpoints"])
    return error.then(at_first).then(found), carry


def _cond(error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Any]) -> Outcome:
    parts = [checked_program(b, categories) for b in eqn.params["branches"]]
    if not any(p.count for p in parts):
        return error, cond_p.bind(*args, branches=tuple(p.program for p in parts))

    def branch(taken: Checked) -> Any:
        def function(*operands: Any) -> Any:
            own, outs = checked_call(taken, *operands)
            of_one, *of_others = [own if p is taken else no_error(p) for p in dict.fromkeys(parts)]
            for other in of_others:
                of_one = of_one.then(other)
            return of_one, list(outs)

        return function

    found, outs = switch(args[0], [branch(p) for p in parts], *args[1:])
    return error.then(found), outs


def _checkpointed(error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Any]) -> Outcome:
    """A checkpointed loop that can fail is differentiated as what it computes: its derivative's rule knows of no errors."""
    checked = checked_program(eqn.params["jaxpr"], categories)
    if not checked.count:
        return error, loop_call_p.bind(*args, **{**eqn.params, "jaxpr": checked.program})
    found, outs = run_checked(eqn.params["jaxpr"], categories, args)
    return error.then(found), outs


for _primitive, _rule in ((scan_p, _scan), (while_p, _while), (cond_p, _cond), (loop_call_p, _checkpointed)):
    register_checkify_rule(_primitive, _rule)

__all__ = ["checked_call", "first", "no_error"]
