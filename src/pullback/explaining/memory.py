"""What is alive while a program runs, operation by operation: from its first use to its last.

This is the program's own order, as eager code has it. XLA reorders and fuses, and so keeps less; what it
allocates is in `Compiled.memory_analysis()`.
"""

from __future__ import annotations

from typing import NamedTuple

from pullback.core.jaxpr import ClosedJaxpr, Var, subjaxprs
from pullback.core.passes import inline_calls
from pullback.core.trace import Params

#: What gives its operands back, and has no memory of its own.
_BARRIERS = ("checkpoint_barrier", "optimization_barrier")


class Step(NamedTuple):
    """An operation, the user's line that asked for it, and the bytes that are alive while it runs."""

    operation: str
    line: str
    bytes: int


def steps(closed: ClosedJaxpr) -> list[Step]:
    """The program's operations with what is alive at each: arguments and constants always, values until
    their last use, results to the end. What loops have inside counts with them, of one step at a time."""
    flat = inline_calls(closed)
    owner: dict[Var, Var] = {}
    for e in flat.eqns:
        if e.primitive.name in _BARRIERS:
            owner.update({v: owner.get(x, x) for v, x in zip(e.outvars, e.invars) if isinstance(x, Var)})
    last: dict[Var, int] = {}
    for i, e in enumerate(flat.eqns):
        last.update({owner.get(x, x): i for x in e.invars if isinstance(x, Var)})
    last.update({owner.get(x, x): len(flat.eqns) for x in flat.outvars if isinstance(x, Var)})
    alive = sum(v.aval.nbytes for v in (*flat.invars, *flat.constvars))
    made: list[list[Var]] = [[] for _ in range(len(flat.eqns) + 1)]
    out = []
    for i, e in enumerate(flat.eqns):
        for v in (v for v in e.outvars if v not in owner):
            alive += v.aval.nbytes
            made[last.get(v, i)].append(v)
        out.append(Step(e.primitive.name, e.source, alive + _inside(e.params)))
        alive -= sum(v.aval.nbytes for v in made[i])
    return out


def _inside(params: Params) -> int:
    """What a loop's body or the larger branch has alive at once, beside its arguments."""
    peaks = [0]
    for c in subjaxprs(params):
        arguments = sum(v.aval.nbytes for v in (*c.invars, *c.constvars))
        peaks += [s.bytes - arguments for s in steps(c)]
    return max(peaks)


__all__ = ["Step", "steps"]
