"""A fusion plan for XLA on CPUs: where computed values are to be kept instead of being computed again.

XLA's own fusion pass merges a chain of elementwise operations into *each* of its consumers. For a value that flows into several of the
loops that XLA makes, everything behind it is computed as many times; along a residual stream, quadratically often. And it merges what is
computed into the loop that puts it together with other things, whose code then has all of it.

The plan finds the values for which that is expensive. Each is put behind an optimization barrier, through which XLA fuses nothing: what
leads to it becomes a loop of its own, and its consumers read it. Everything else is left to XLA. A barrier is an operation like any other,
valid for every type and wherever it stands, whatever XLA makes of its operand and of its consumers.

The cost of a value is that of computing one element of it from what is kept, in units of an addition. A value is kept if it costs more
than `THRESHOLD` and flows into more than one loop, where a loop is: an elementwise value that something other than an elementwise operation
reads, a reduction, or a kept value. Positions of extrema count as several. What a concatenation puts together is kept if its loop would
have the code of more than `LARGEST_LOOP` operations. So are keys that are computed, before many numbers are drawn from them: in the loop
that draws, LLVM takes very long over what is the same in each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core.jaxpr import Atom, Jaxpr, JaxprEqn, Var

#: A value that costs more than so many additions an element is kept.
THRESHOLD = 28.0
#: Arrays with fewer elements are not worth a plan.
SMALL = 256
#: Chains of more equations take XLA long to compile as one loop, and gain nothing.
LARGEST_GROUP = 96
#: Through more paths than this nothing is fused: LLVM's vectorizer (in jaxlib 0.11 and later) follows each of them from a conversion of types,
#: and of x = x * (1 - x), done n times, there are 2ⁿ.
MOST_PATHS = 1 << 16
#: Concatenations of pieces that take more operations in all take XLA long to compile, where each piece has its code in the one loop.
LARGEST_LOOP = 384
#: Pieces that take fewer operations are not worth a loop of their own.
SMALLEST_PIECE = 32

_COSTS = {
    "integer_pow": 2.0, "div": 4.0, "sqrt": 4.0, "rsqrt": 6.0, "rem": 8.0,
    **dict.fromkeys(
        ("exp", "exp2", "expm1", "log", "log1p", "tanh", "logistic", "sin", "cos", "tan", "cbrt", "erf", "erf_inv", "asin", "acos",
         "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "pow", "erfc", "lgamma", "digamma"), 20.0
    ),
}  # fmt: skip
#: What has no elementwise class, and is elementwise all the same.
_ELEMENTWISE = {
    "select_n", "clamp", "triangle", "square", "integer_pow", "eq", "ne", "lt", "le", "gt", "ge", "broadcast_in_dim", "convert_element_type",
    "stop_gradient", "name", "copy", "real", "imag", "complex", "conj",
}  # fmt: skip
#: What XLA computes in the loop of its consumer, element by element, from other elements of its operands.
_MOVES = {"reshape", "transpose", "rev", "pad", "slice", "split", "random_wrap", "random_unwrap"}
#: Threefry is written out: so many operations on its words. (Keys that are derived from others are stored: `lax.random_bits`.)
_DRAWS = dict.fromkeys(("random_bits", "random_uniform", "random_normal"), 130)
_CODE = {**_DRAWS, "random_seed": 1}
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"}
#: What reads its operand in several loops, or in one that XLA does not vectorize, where an expensive element takes far longer.
_REREADING = {"argmax", "argmin"}
_MANY: Any = object()


class _Kind:
    """What the plan needs to know of a primitive: whether it is elementwise, what an element of its result costs, and of how many
    operations the code for one consists (0: it has a loop of its own)."""

    __slots__ = ("elementwise", "cost", "code", "reduces", "rereads", "repeats", "moves", "joins", "draws")

    def __init__(self, primitive: Any) -> None:
        name = primitive.name
        self.reduces, self.rereads = name in _REDUCTIONS, name in _REREADING
        self.repeats = name == "broadcast_in_dim"
        self.moves, self.joins, self.draws = name in _MOVES, name == "concatenate", name in _DRAWS
        self.elementwise = not primitive.multiple_results and (
            name in _ELEMENTWISE or (primitive.broadcasts and getattr(primitive, "hlo", None) is not None)
        )
        self.cost = _COSTS.get(name, 1.0)
        self.code = 1 if self.elementwise or self.moves or self.joins else _CODE.get(name, 0)


_kinds: dict[Any, _Kind] = {}


def _kind(e: JaxprEqn) -> _Kind:
    found = _kinds.get(e.primitive)
    if found is None:
        found = _kinds[e.primitive] = _Kind(e.primitive)
    return found


def plan(jaxpr: Jaxpr) -> set[Var]:
    """The values of a program that are to be kept."""
    kinds = [_kind(e) for e in jaxpr.eqns]
    flows = _flows(jaxpr, kinds)
    # For each elementwise value: the cost of an element, and how many equations that takes.
    cost: dict[Atom, float] = {}
    members: dict[Atom, int] = {}
    paths: dict[Atom, int] = {}  # from what is kept to a value, where there is more than one
    kept: set[Var] = set()
    large = []  # what may become a loop with too much code
    for e, kind in zip(jaxpr.eqns, kinds):
        if kind.elementwise or kind.moves:
            p = 0
            for x in e.invars:
                p += paths.get(x, 1)
            if p > MOST_PATHS:
                kept.add(e.outvars[0])
            elif p > 1:
                paths[e.outvars[0]] = p
        if not kind.elementwise:
            if kind.joins or (kind.draws and e.outvars[0].aval.size >= SMALL):
                large.append((e, kind))
            continue
        v = e.outvars[0]
        c, m = kind.cost, 1
        if kind.repeats:
            # Computed before it is repeated: XLA knows not to compute an expensive element for each of its copies.
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
        producer = {v: (e, kind) for e, kind in zip(jaxpr.eqns, kinds) if kind.code for v in e.outvars}
        for e, kind in large:
            if kind.joins:
                _divide(e, producer, kept)
            else:
                key = _source(e.invars[0], producer, kept)
                if key is not None:
                    kept.add(key)
    return kept


def _flows(jaxpr: Jaxpr, kinds: Sequence[_Kind]) -> dict[Atom, Any]:
    """The loop into which each elementwise value flows, `_MANY` if into several, None if into none."""
    flows: dict[Atom, Any] = {e.outvars[0]: None for e, kind in zip(jaxpr.eqns, kinds) if kind.elementwise}
    for x in jaxpr.outvars:
        if x in flows:
            flows[x] = x
    for e, kind in zip(reversed(jaxpr.eqns), reversed(kinds)):
        if kind.elementwise:
            loop = flows[e.outvars[0]]
            if loop is None:
                continue
        else:  # what is read by something other than a reduction is stored: it is a loop of its own
            loop = e if kind.reduces else _MANY if kind.rereads else None
        for x in e.invars:
            old = flows.get(x, _MANY)  # what is not elementwise does not matter
            if old is not _MANY:
                new = x if loop is None else loop
                flows[x] = new if old is None or old is new else _MANY
    return flows


_Producers = dict[Atom, tuple[JaxprEqn, _Kind]]


def _source(x: Atom, producer: _Producers, kept: set[Var]) -> Var | None:
    """The computed value of which `x` consists; None if that is kept, or is none that XLA would compute in a loop of its consumer."""
    while x in producer and x not in kept:
        e, kind = producer[x]
        if not kind.moves:
            return x
        x = e.invars[0]
    return None


def _divide(join: JaxprEqn, producer: _Producers, kept: set[Var]) -> None:
    """Add to `kept` what a concatenation puts together, if the code for all of it would be too much for one loop."""
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
            e, kind = producer[x]
            code += kind.code
            todo += e.invars
    return code
