"""A fusion plan for XLA on CPUs: where computed values are to be kept instead of being computed
again.

XLA's own fusion pass merges a chain of elementwise operations into *each* of its consumers. For a
value that flows into several of the loops that XLA makes, everything behind it is computed as many
times; along a residual stream, quadratically often. And it merges what is computed into the loop
that puts it together with other things, whose code then has all of it.

The plan finds the values for which that is expensive. Each is put behind an optimization barrier,
through which XLA fuses nothing: what leads to it becomes a loop of its own, and its consumers read
it. Everything else is left to XLA. A barrier is an operation like any other, valid for every type
and wherever it stands, whatever XLA makes of its operand and of its consumers.

The cost of a value is that of computing one element of it from what is kept, in units of an
addition. A value is kept if it costs more than `THRESHOLD` and flows into more than one loop, where
a loop is: an elementwise value that something other than an elementwise operation reads, a
reduction, or a kept value. Positions of extrema count as several. What a concatenation puts
together is kept if its loop would have the code of more than `LARGEST_LOOP` operations. So are keys
that are computed, before many numbers are drawn from them: in the loop that draws, LLVM takes very
long over what is the same in each round.
"""

from __future__ import annotations

from typing import Any

from pullback.core.jaxpr import Atom, Jaxpr, JaxprEqn, Var
from pullback.core.primitive import Fusion

#: A value that costs more than so many additions an element is kept.
THRESHOLD = 28.0
#: Arrays with fewer elements are not worth a plan.
SMALL = 256
#: Chains of more equations take XLA long to compile as one loop, and gain nothing.
LARGEST_GROUP = 96
#: Through more paths than this nothing is fused: LLVM's vectorizer (in jaxlib 0.11 and later)
#: follows each of them from a conversion of types, and of x = x * (1 - x), done n times, there are
#: 2ⁿ.
MOST_PATHS = 1 << 16
#: Concatenations of pieces that take more operations in all take XLA long to compile, where each
#: piece has its code in the one loop.
LARGEST_LOOP = 384
#: Pieces that take fewer operations are not worth a loop of their own.
SMALLEST_PIECE = 32

_MANY: Any = object()
#: Values of these are computed in the loops of their consumers, from values at the same place.
_ELEMENTWISE = (Fusion.ELEMENTWISE, Fusion.REPEATING)


def plan(jaxpr: Jaxpr) -> set[Var]:
    """The values of a program that are to be kept."""
    flows = _flows(jaxpr)
    # For each elementwise value: the cost of an element, and how many equations that takes.
    cost: dict[Atom, float] = {}
    members: dict[Atom, int] = {}
    paths: dict[Atom, int] = {}  # from what is kept to a value, where there is more than one
    kept: set[Var] = set()
    large = []  # what may become a loop with too much code
    for e in jaxpr.eqns:
        fusion = e.primitive.fusion
        elementwise = fusion in _ELEMENTWISE
        if elementwise or fusion is Fusion.MOVING:
            p = 0
            for x in e.invars:
                p += paths.get(x, 1)
            if p > MOST_PATHS:
                kept.add(e.outvars[0])
            elif p > 1:
                paths[e.outvars[0]] = p
        if not elementwise:
            if fusion is Fusion.JOINING or (fusion is Fusion.DRAWING and e.outvars[0].aval.size >= SMALL):
                large.append(e)
            continue
        v = e.outvars[0]
        c, m = e.primitive.cost, 1
        if fusion is Fusion.REPEATING:
            # Computed before it is repeated: XLA knows not to compute an expensive element for each
            # of its copies.
            c = 0.0
        else:
            for x in e.invars:
                if x in cost:
                    c += cost[x]
                    m += members[x]
        if v in kept:
            continue
        if (c > THRESHOLD or m > LARGEST_GROUP) and flows[v] is _MANY and v.aval.size >= SMALL:
            kept.add(v)
            paths.pop(v, None)
        else:
            cost[v], members[v] = c, m
    if large:
        producer: _Producers = {v: e for e in jaxpr.eqns if e.primitive.operations for v in e.outvars}
        for e in large:
            if e.primitive.fusion is Fusion.JOINING:
                _divide(e, producer, kept)
            else:
                key = _source(e.invars[0], producer, kept)
                if key is not None:
                    kept.add(key)
    return kept


def _flows(jaxpr: Jaxpr) -> dict[Atom, Any]:
    """The loop into which each elementwise value flows, `_MANY` if into several, None if into none."""
    flows: dict[Atom, Any] = {e.outvars[0]: None for e in jaxpr.eqns if e.primitive.fusion in _ELEMENTWISE}
    for x in jaxpr.outvars:
        if x in flows:
            flows[x] = x
    for e in reversed(jaxpr.eqns):
        fusion = e.primitive.fusion
        if fusion in _ELEMENTWISE:
            loop = flows[e.outvars[0]]
            if loop is None:
                continue
        else:  # what is read by something other than a reduction is stored: it is a loop of its own
            loop = e if fusion is Fusion.REDUCING else _MANY if fusion is Fusion.REREADING else None
        for x in e.invars:
            old = flows.get(x, _MANY)  # what is not elementwise does not matter
            if old is not _MANY:
                new = x if loop is None else loop
                flows[x] = new if old is None or old is new else _MANY
    return flows


_Producers = dict[Atom, JaxprEqn]


def _source(x: Atom, producer: _Producers, kept: set[Var]) -> Var | None:
    """The computed value of which `x` consists; None if that is kept, or is none that XLA would
    compute in a loop of its consumer."""
    while x in producer and x not in kept:
        e = producer[x]
        if e.primitive.fusion is not Fusion.MOVING:
            return x
        x = e.invars[0]
    return None


def _divide(join: JaxprEqn, producer: _Producers, kept: set[Var]) -> None:
    """Add to `kept` what a concatenation puts together, if the code for all of it would be too much
    for one loop."""
    sources: dict[Var, list[Var]] = {}  # what is computed, and the pieces of it
    for piece in join.invars:
        x = _source(piece, producer, kept)
        if x is not None:
            sources.setdefault(x, []).append(piece)
    code = {x: _code(x, producer, kept) * len(pieces) for x, pieces in sources.items()}
    if sum(code.values()) > LARGEST_LOOP:
        for x, pieces in sources.items():
            if code[x] >= SMALLEST_PIECE:
                # If but a part of it is used, that part alone is to be computed.
                whole = 2 * sum([piece.aval.size for piece in pieces]) >= x.aval.size
                kept.update([x] if whole else pieces)


def _code(v: Var, producer: _Producers, kept: set[Var]) -> int:
    """How many operations XLA puts into a loop that computes `v`, up to `LARGEST_LOOP`."""
    found: set[Any] = set()
    todo: list[Any] = [v]
    code = 0
    while todo and code < LARGEST_LOOP:  # chains are as long as programs: no recursion
        x = todo.pop()
        if x in producer and x not in found and (x not in kept or x is v):
            found.add(x)
            e = producer[x]
            code += e.primitive.operations
            todo += e.invars
    return code
