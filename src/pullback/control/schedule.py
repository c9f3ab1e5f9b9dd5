"""The schedule of checkpoints: which states of a loop reverse mode keeps, and when the others are
computed again.

The backward pass of a loop needs the state before every step, last step first. With c slots for
states, those that are not stored are computed again from the nearest one before. What that costs is
known (Griewank and Walther, "Algorithm 799: revolve", ACM TOMS 26, 2000): with β(c, r) = binomial(c
+ r, c), a loop of β(c, r-1) < l <= β(c, r) steps repeats at least r·l − β(c+1, r-1) of them, and as
many if from a state with l steps to reverse and c slots (its own counted) the next one is stored

    m = min(β(c, r-1), l − β(c-1, r-1))

steps on (`distance`). Of a `scan` the length is known: the states at these places are stored on the
way forward. Of a `while` it is not: the forward pass stores every state, and whenever the slots are
full drops every other one and doubles the stride; the backward pass goes on with the formula from
there (online checkpointing, in the manner of Stumm and Walther, SIAM J. Sci. Comput. 32, 2010).

The schedule is run by loops in the program (`sweep`): neither the length nor the number of slots
makes the program longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.loops import while_loop
from pullback.core import dtypes
from pullback.core.array import ConcreteArray, concrete
from pullback.core.types import ShapedArray
from pullback.lax.blocks import dynamic_index_in_dim, dynamic_update_index_in_dim
from pullback.lax.elementwise import div_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p, convert

if TYPE_CHECKING:
    from pullback.core.names import Cotangent, Value

# ---- the schedule --------------------------------------------------------------------------------


def distance(steps: int, slots: int) -> int:
    """How many steps on the next state is stored, with `steps` >= 2 to reverse and `slots` >= 1,
    that of this state counted.

    >>> distance(10, 3)
    4
    """
    before, last, now, r = 0, 0, 1, 0
    while now < steps:
        r += 1
        before, last, now = last, now, now * (slots + r) // r
    # β(slots-1, r-1) = β(slots, r-1) - β(slots, r-2)
    return min(last, steps - (last - before))


def repeated_steps(steps: int, slots: int) -> int:
    """The least number of forward steps with which `steps` are reversed, the first pass counted and
    each reversed step itself not.

    >>> repeated_steps(10, 3)
    15
    """
    r, bound = 0, 1
    while bound < steps:
        r += 1
        bound = math.comb(slots + r, slots)
    return r * steps - (math.comb(slots + r, slots + 1) if r else 0)


def places(steps: int, slots: int) -> list[int]:
    """Where the first pass stores states: the first of them is 0."""
    found, at = [0], 0
    while slots > 1 and steps > 1:
        m = distance(steps, slots)
        at, steps, slots = at + m, steps - m, slots - 1
        found.append(at)
    return found


def _distance(steps: Value, slots: Value) -> Value:
    """`distance` of traced numbers."""
    steps, slots = convert(steps, dtypes.int64), convert(slots, dtypes.int64)
    zero, one = (concrete(np.int64(n)) for n in (0, 1))

    def grow(state: Value) -> Value:
        r, _, last, now = state
        r = r + one
        return r, last, now, div_p.bind(now * (slots + r), r)  # exact; `//` is floor division, in the default types

    _, before, last, _ = while_loop(lambda s: s[3] < steps, grow, (zero, zero, zero, one))
    alternative = steps - (last - before)
    return convert(select(last < alternative, last, alternative), dtypes.int32)


def number(n: int) -> ConcreteArray:
    return concrete(np.int32(n))


def row_of(x: Value, i: Value) -> Value:
    return dynamic_index_in_dim(x, i, 0, keepdims=False)


def with_row(x: Value, row: Value, i: Value) -> Value:
    return dynamic_update_index_in_dim(x, row, i, 0)


Step = Callable[[Any, list[Any]], list[Any]]


def advance(step: Step, at: Value, steps: Value, state: list[Value]) -> list[Value]:
    """The state `steps` steps on from the one before step number `at`."""
    stop = at + steps
    _, state = while_loop(lambda s: s[0] < stop, lambda s: (s[0] + number(1), step(s[0], s[1])), (at, state))
    return state


def sweep(
    step: Step, back: Callable[[Value, list[Value], list[Value]], list[Value]], slots: list[Value], at: Value, used: Value, length: Value,
    adjoint: list[Cotangent]
) -> list[Value]:  # fmt: skip
    """The adjoint after `back(j, state before step j, adjoint)` for j = length-1, ..., 0.

    `slots` hold states as rows, the last row being scrap; the first `used` rows are states before
    the steps `at`, ascending from 0.
    """
    count = slots[0].shape[0] - 1 if slots else 0
    one = number(1)

    def reach(j: Value) -> Callable[[Value], Value]:
        def towards(s: Value) -> Value:
            p, top, slots, at, state = s
            steps, free = j - p, number(count - 1) - top
            m = select(free > number(0), _distance(steps + one, free + one), steps)
            state = advance(step, p, m, state)
            p = p + m
            store = (p < j) & (free > number(0))
            row = select(store, top + one, number(count))
            slots = [with_row(slot, x, row) for slot, x in zip(slots, state)]
            return p, select(store, row, top), slots, with_row(at, p, row), state

        return towards

    def reverse_one(s: Value) -> Value:
        j, top, slots, at, adjoint = s
        p, state = row_of(at, top), [row_of(slot, top) for slot in slots]
        _, top, slots, at, state = while_loop(lambda s: s[0] < j, reach(j), (p, top, slots, at, state))
        adjoint = back(j, state, adjoint)
        return j - one, select(row_of(at, top) == j, top - one, top), slots, at, adjoint

    start = (length - one, used - one, slots, at, adjoint)
    return while_loop(lambda s: s[0] >= number(0), reverse_one, start)[4]


def empty_rows(types: Sequence[ShapedArray], rows: int) -> list[Value]:
    return [
        broadcast_in_dim_p.bind(concrete(np.zeros((), t.dtype)), shape=(rows, *t.shape), broadcast_dimensions=())
        for t in types
    ]
