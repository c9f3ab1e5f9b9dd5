"""What is known of the results of loops, branches and calls, of what is known of their operands.

A loop's body is looked at once: what its results depend on of its operands is a boolean matrix, by which
sets are multiplied step by step. That needs no values. Where a rule asks for one that changes from
step to step (the number of the step, in `x.at[i].set(...)`), each step is looked at by itself, up to
`STEPS` of them; after that the value counts as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.branches import Cond
from pullback.control.platforms import PlatformDependent
from pullback.control.scan import Scan
from pullback.control.solves import Solve
from pullback.control.while_loop import While
from pullback.core.jaxpr import ClosedJaxpr, JaxprEqn
from pullback.derivatives.sparsity_patterns.index_sets import IndexSets, check_size
from pullback.derivatives.sparsity_patterns.propagation import Fact, Known, dense, detection_loops, propagate
from pullback.transforms.program import ProgramCall

if TYPE_CHECKING:
    NumPyArray = np.ndarray[Any, Any]

#: How many steps of a loop are looked at one by one.
STEPS = 10_000
#: Up to how many places the body's matrix has if there is one for each step.
_TILED = 1 << 26


class _Changes(Exception):
    """A value was asked for that is another one in each step."""


def _changing() -> Known:
    def ask() -> Any:
        raise _Changes

    return Known(ask, varies=True)


def _inside(closed: ClosedJaxpr, facts: Sequence[Fact]) -> list[Fact]:
    return propagate(closed.jaxpr, closed.consts, facts)


def _united(a: Fact, b: Fact) -> Fact:
    sets = a.sets if b.sets is None else b.sets if a.sets is None else a.sets | b.sets
    return Fact(a.aval, None, sets)


# ---- branches ------------------------------------------------------------------------------------


@detection_loops.of(Cond)
def _branches(e: JaxprEqn, facts: list[Fact]) -> list[Fact]:
    chosen, *operands = facts
    branches = e.params["branches"]
    if chosen.known is not None and not isinstance(e.primitive, PlatformDependent):
        return _inside(branches[int(chosen.known.numpy())], operands)
    results = [_inside(b, operands) for b in branches]
    united = results[0]
    for other in results[1:]:
        united = list(map(_united, united, other))
    return united


@detection_loops.of(ProgramCall)
def _called(e: JaxprEqn, facts: list[Fact]) -> list[Fact]:
    return _inside(e.params["jaxpr"], facts)


@detection_loops.of(Solve)
def _solution(e: JaxprEqn, facts: list[Fact]) -> list[Fact]:
    """Of an equation: everything depends on everything, whatever steps lead there."""
    return [Fact(v.aval, None, s) for v, s in zip(e.outvars, dense(e, facts))]


# ---- a body, once --------------------------------------------------------------------------------


class Body:
    """What a loop's body makes of sets: its results' are `matrix` times those of its operands, one after the
    other. `known` says which results are known if the operands that were given as known are.

    Example: of `lambda c, x: (c * x, c)`, one row with two places and one with one.
    """

    __slots__ = ("matrix", "known", "has_sets", "sizes", "_operands")

    def __init__(self, closed: ClosedJaxpr, facts: Sequence[Fact]) -> None:
        self._operands = [f.sets is not None for f in facts]
        width = sum([f.size for f in facts if f.sets is not None])
        start, inner = 0, []
        for f in facts:
            if f.sets is None:
                inner.append(f)
            else:
                inner.append(Fact(f.aval, None, IndexSets.single(f.size, start, width)))
                start += f.size
        outs = _inside(closed, inner)
        self.sizes = [o.size for o in outs]
        self.known = [o.known is not None for o in outs]
        self.has_sets = [o.sets is not None for o in outs]
        self.matrix = IndexSets.stacked([o.sets or IndexSets.empty(o.size, width) for o in outs]).matrix

    def __call__(self, sets: Sequence[IndexSets | None]) -> list[IndexSets | None]:
        """The results' sets, of those of the operands that had sets before."""
        given = [s for s, has in zip(sets, self._operands) if has]
        sizes = [s for s in given if s is not None]
        assert len(sizes) == len(given), "operands of a body keep their sets"
        out = IndexSets.stacked(sizes).pooled(self.matrix).matrix
        parts: list[IndexSets | None] = []
        start = 0
        for size in self.sizes:
            part = IndexSets(out[start : start + size])
            parts.append(part if part.count else None)
            start += size
        return parts

    def rows_of(self, carry: Sequence[Fact]) -> NumPyArray:
        """The rows of the matrix for those of the carry, its first results, that have sets."""
        return np.flatnonzero(np.repeat([c.sets is not None for c in carry], self.sizes[: len(carry)]))


def _settled(
    closed: ClosedJaxpr, consts: list[Fact], carry: list[Fact], elements: list[Fact], width: int
) -> tuple[Body, list[Fact]]:
    """A loop's body, and the facts of its carry as it is in every step: those that get sets in some step have (perhaps
    empty) ones, and those that are not computed of known values alone are unknown."""
    while True:
        body = _body(closed, [*consts, *carry, *elements])
        wider = []
        for c, known, gets in zip(carry, body.known, body.has_sets):
            sets = IndexSets.empty(c.size, width) if c.sets is None and gets else c.sets
            wider.append(Fact(c.aval, c.known if known and sets is None else None, sets))
        if all([(w.known is None, w.sets is None) == (c.known is None, c.sets is None) for w, c in zip(wider, carry)]):
            return body, carry
        carry = wider


def _body(closed: ClosedJaxpr, facts: list[Fact]) -> Body:
    """The body for operands of these facts; made once where nothing is known of them, or loops in loops would take
    exponential time."""
    if any([f.known is not None for f in facts]):
        return Body(closed, facts)
    key = ("dependence", tuple([f.sets is not None for f in facts]))
    return closed.derived(key, Body, facts)


# ---- scan ----------------------------------------------------------------------------------------


@detection_loops.of(Scan)
def _scan(e: JaxprEqn, facts: list[Fact]) -> list[Fact]:
    p = e.params
    n, m, length, body = p["num_consts"], p["num_carry"], p["length"], p["jaxpr"]
    consts, init, xs = facts[:n], facts[n : n + m], facts[n + m :]
    width = next(f.sets for f in facts if f.sets is not None).matrix.shape[1]
    types = body.in_avals[n + m :]
    order = range(length)[:: -1 if p["reverse"] else 1]
    if not length:
        return [*init, *(Fact(v.aval) for v in e.outvars[m:])]

    def step_facts(i: int | None) -> list[Fact]:
        """Of the elements of one step; of any, if it is None."""
        found = []
        for x, t in zip(xs, types):
            sets = None if x.sets is None else _rows(x.sets, 0 if i is None else i, t.size)
            if x.known is None:
                known = None
            else:
                known = _changing() if i is None else Known(itemgetter(i), (x.known,))
            found.append(Fact(t, known, sets))
        return found

    unknown = lambda f: Fact(f.aval, None if f.known is None else _changing(), f.sets)
    try:
        of_any = step_facts(None)
        once, carry = _settled(body, consts, list(map(unknown, init)), of_any, width)
    except _Changes:
        if length <= STEPS:
            return _step_by_step(e, consts, init, step_facts, order, width)
        forget = lambda f: Fact(f.aval, None, f.sets)
        of_any = list(map(forget, step_facts(None)))
        once, carry = _settled(body, consts, list(map(forget, init)), of_any, width)
    carried = sum(once.sizes[:m])
    if not once.matrix[carried:].nnz and all([x.sets is None for x in xs]):
        return [*_last_carry(once, consts, carry, length), *(Fact(v.aval) for v in e.outvars[m:])]
    if once.matrix.nnz * length <= _TILED:
        found = _all_at_once(e, once, consts, carry, xs, types, width)
        if found is not None:
            return found
    return _one_after_the_other(e, once, consts, carry, step_facts, order, width)


def _last_carry(once: Body, consts: list[Fact], carry: list[Fact], length: int) -> list[Fact]:
    """The facts of a scan's last carry, where all steps are alike: a power of the body's matrix, by squaring."""
    from scipy.sparse import block_array, csr_array, eye_array

    states, given = [c for c in carry if c.sets is not None], [f.sets for f in consts if f.sets is not None]
    k, m = sum([s.size for s in given]), sum([c.size for c in states])
    if not m:
        return _last_facts(carry, IndexSets.empty(0, 0), 0)
    rows = once.rows_of(carry)
    step = block_array(
        [[eye_array(k, dtype=bool), csr_array((k, m), dtype=bool)], [once.matrix[rows, :k], once.matrix[rows, k:]]]
    )
    square, total = csr_array(step), eye_array(k + m, dtype=bool, format="csr")
    while length:
        if length & 1:
            total = square @ total
        square, length = square @ square, length >> 1
    sets = IndexSets.stacked([*given, *(c.sets for c in states if c.sets is not None)]).pooled(csr_array(total[k:]))
    return _last_facts(carry, sets, 0)


def _last_facts(carry: list[Fact], sets: IndexSets, first: int) -> list[Fact]:
    """The facts of a last carry, whose sets are there from row `first` on. (What is known of a carry is another value in
    each step, and nobody has run them.)"""
    outs = []
    for c in carry:
        last = None
        if c.sets is not None:
            last = IndexSets(sets.matrix[first : first + c.size])
            first += c.size
        outs.append(Fact(c.aval, None, last if last is not None and last.count else None))
    return outs


def _one_after_the_other(
    e: JaxprEqn, once: Body, consts: list[Fact], carry: list[Fact], step_facts: Callable[[int], list[Fact]], order: range, width: int
) -> list[Fact]:  # fmt: skip
    states, stacked, m = [c.sets for c in carry], [], len(carry)
    elements = [f.sets for f in step_facts(order[0])]
    are_alike = all([x is None for x in elements])
    for n, i in enumerate(order):
        if not are_alike:
            elements = [f.sets for f in step_facts(i)]
        outs = once([*(f.sets for f in consts), *states, *elements])
        before, states = states, [
            None if c.sets is None else IndexSets.empty(c.size, width) if o is None else o
            for o, c in zip(outs[:m], carry)
        ]  # fmt: skip
        stacked.append(outs[m:])
        check_size(sum([s.count for s in outs[m:] if s is not None]) * (n + 1))
        if are_alike and all(map(_are_equal, before, states)):
            stacked += [outs[m:]] * (len(order) - n - 1)  # all steps from here on are alike
            break
    return _together(e, [Fact(c.aval, None, s) for c, s in zip(carry, states)], stacked, e.params["reverse"], width)


def _are_equal(a: IndexSets | None, b: IndexSets | None) -> bool:
    return a is b or (
        a is not None and b is not None and a.count == b.count
        and np.array_equal(a.matrix.indptr, b.matrix.indptr) and np.array_equal(a.matrix.indices, b.matrix.indices)
    )  # fmt: skip


def _rows(sets: IndexSets, i: int, size: int) -> IndexSets:
    return IndexSets(sets.matrix[i * size : (i + 1) * size])


def _together(
    e: JaxprEqn, last: list[Fact], stacked: list[list[IndexSets | None]], reverse: bool, width: int
) -> list[Fact]:
    """The facts of a scan's results, of the sets that its steps gave, first step first."""
    outs = []
    for v, of_steps in zip(e.outvars[len(last) :], zip(*stacked[:: -1 if reverse else 1])):
        if all([s is None for s in of_steps]):
            outs.append(Fact(v.aval))
            continue
        size = v.aval.size // len(of_steps)
        parts = [IndexSets.empty(size, width) if s is None else s for s in of_steps]
        outs.append(Fact(v.aval, None, IndexSets.stacked(parts)))
    return [*(Fact(f.aval, f.known, f.sets if f.sets is not None and f.sets.count else None) for f in last), *outs]


def _all_at_once(
    e: JaxprEqn, once: Body, consts: list[Fact], carry: list[Fact], xs: list[Fact], types: Sequence[Any], width: int
) -> list[Fact] | None:  # fmt: skip
    """The facts of a scan's results, of all steps together; None if there are too many sets to hold at once.

    With the carry's sets s_t after step t, s_t = B s_(t-1) | u_t, where u_t is what a step adds of constants and elements.
    So s_t is the union of B^j u_(t-j) over all j, and that over j < 2k is that over j < k, and B^k times the same,
    k steps before: log T rounds, fewer if B^k vanishes.
    """
    length, reverse = e.params["length"], e.params["reverse"]
    steps = np.arange(length)[:: -1 if reverse else 1]  # of each element along axis 0, the step that takes it
    given = [f.sets for f in consts if f.sets is not None]
    elements = [f.sets for f in xs if f.sets is not None]
    states = [c for c in carry if c.sets is not None]
    num_consts, m = sum([s.size for s in given]), sum([c.size for c in states])
    sizes = [t.size for f, t in zip(xs, types) if f.sets is not None]
    # Of each step, the rows of its operands in what is stacked: constants, elements, and then the carries before each step.
    start, columns = num_consts, [np.broadcast_to(np.arange(num_consts), (length, num_consts))]
    for size in sizes:
        columns.append(start + steps[:, None] * size + np.arange(size))
        start += length * size
    before = start + np.arange(length)[:, None] * m + np.arange(m)
    of_step = np.concatenate([columns[0], before, *columns[1:]], 1)
    starts = np.cumsum([0, *once.sizes])
    operands = [*given, *elements]
    sets = IndexSets.empty(0, width)
    if m:
        inner = np.r_[0:num_consts, num_consts + m : of_step.shape[1]]
        body = once.matrix[once.rows_of(carry)]
        added = (
            IndexSets.stacked(operands).pooled(_tiled(body[:, inner], of_step[:, inner], start))
            if inner.size
            else IndexSets.empty(length * m, width)
        )
        sets = IndexSets.stacked([*(c.sets for c in states if c.sets is not None), added])
        power, k, every = body[:, num_consts : num_consts + m], 1, np.arange((length + 1) * m).reshape(length + 1, m)
        while k <= length and power.nnz:
            if power.nnz * length > _TILED or sets.count > _TILED:
                return None
            reached = sets.pooled(_tiled(power, every[:-k], sets.size))
            sets = sets | IndexSets.stacked([IndexSets.empty(k * m, width), reached])
            power, k = power @ power, 2 * k
    outs = _last_facts(carry, sets, length * m)
    together = IndexSets.stacked([*operands, sets])
    in_order = of_step[::-1] if reverse else of_step
    for v, lo, hi in zip(e.outvars[len(carry) :], starts[len(carry) :], starts[len(carry) + 1 :]):
        own_rows = once.matrix[lo:hi]
        found = together.pooled(_tiled(own_rows, in_order, together.size)) if own_rows.nnz else None
        outs.append(Fact(v.aval, None, found))
    return outs


def _tiled(m: Any, place: NumPyArray, width: int) -> Any:
    """A boolean matrix once for each step, one below the other, with its columns at the step's `place`s."""
    from scipy.sparse import csr_array

    steps, nnz = len(place), m.nnz
    bounds = np.append((np.arange(steps)[:, None] * nnz + m.indptr[:-1]).reshape(-1), steps * nnz)
    indices = place[:, m.indices].reshape(-1)
    return csr_array((np.ones(len(indices), bool), indices, bounds), shape=(steps * m.shape[0], width))


def _step_by_step(
    e: JaxprEqn, consts: list[Fact], init: list[Fact], step_facts: Callable[[int], list[Fact]], order: range, width: int
) -> list[Fact]:
    carry, stacked, m = init, [], len(init)
    outs: list[Fact] = []
    for i in order:
        outs = _inside(e.params["jaxpr"], [*consts, *carry, *step_facts(i)])
        carry = outs[:m]
        for c in carry:
            if c.known is not None:
                c.known.array()  # now, or the last step would have to compute those of all
        stacked.append([o.sets for o in outs[m:]])
    return _together(e, carry, stacked, e.params["reverse"], width)


# ---- while ---------------------------------------------------------------------------------------


@detection_loops.of(While)
def _while(e: JaxprEqn, facts: list[Fact]) -> list[Fact]:
    p = e.params
    n, m = p["cond_nconsts"], p["body_nconsts"]
    of_cond, consts, init = facts[:n], facts[n : n + m], facts[n + m :]
    condition, body = p["cond_jaxpr"], p["body_jaxpr"]
    width = next(f.sets for f in facts if f.sets is not None).matrix.shape[1]
    counted = _while_known(condition, of_cond, body, consts, init)
    if counted is not None:
        return counted
    # Any number of steps: what they reach.
    forget = lambda f: Fact(f.aval, None, f.sets)
    once, carry = _settled(body, consts, list(map(forget, init)), [], width)
    states = [c.sets for c in carry]
    while True:
        outs = once([*(f.sets for f in consts), *states])
        wider = [s if o is None or s is None else s | o for s, o in zip(states, outs)]
        grown = any(
            [w is not s and w is not None and s is not None and w.count > s.count for w, s in zip(wider, states)]
        )
        states = wider
        if not grown:
            return [Fact(c.aval, None, s if s is not None and s.count else None) for c, s in zip(carry, states)]


def _while_known(
    condition: ClosedJaxpr, of_cond: list[Fact], body: ClosedJaxpr, consts: list[Fact], carry: list[Fact]
) -> list[Fact] | None:
    """The results if it is known how often the loop runs, and that is not too often; or else None."""
    for _ in range(STEPS):
        again = _inside(condition, [*of_cond, *carry])[0]
        if again.known is None:
            return None
        if not bool(again.known.numpy()):
            return carry
        carry = _inside(body, [*consts, *carry])
        for c in carry:
            if c.known is not None:
                c.known.array()
    return None


__all__ = ["STEPS"]
