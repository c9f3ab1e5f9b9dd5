"""Functions of basis vectors, for all of them: at once, or so many at a time.

What sums or lists something over the coordinates of a tree of arrays (a diagonal, a trace) is written
for one basis vector, given as such a tree's arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import pullback.numpy as jnp
from pullback.control.loops import scan
from pullback.core.errors import user_line
from pullback.core.tree import tree_map
from pullback.core.types import ShapedArray, integer
from pullback.transforms.derivatives import standard_basis
from pullback.transforms.tracing import eval_shape
from pullback.transforms.vmap import vmap

if TYPE_CHECKING:
    from pullback.core.names import Tree, Value


def positive(number: Any, what: str) -> int:
    """A positive integer. Raises TypeError for what is no integer, ValueError if it is not positive."""
    n = integer(number, what)
    if n < 1:
        raise ValueError(f"{what} must be a positive integer, got {n}, at {user_line()}")
    return n


def basis_from(types: Sequence[ShapedArray], first: Value, count: int) -> list[Value]:
    """Basis vectors number `first` (which may be traced) to `first + count`, as arrays with these along
    axis 0; zeros for numbers of no coordinate.

    >>> basis_from([ShapedArray((3,), np.dtype("float32"))], 1, 2)
    [Array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)]
    """
    found, start = [], 0
    numbers = first + jnp.arange(count, dtype=np.int32)
    for t in types:
        own = jnp.arange(start, start + t.size, dtype=np.int32)
        found.append((numbers[:, None] == own).astype(t.dtype).reshape(count, *t.shape))
        start += t.size
    return found


def over_basis(fun: Callable[..., Value], types: Sequence[ShapedArray], batch_size: int | None) -> Value:
    """The results of a function of basis vectors, stacked; with `batch_size`, of so many at a time."""
    total = sum([t.size for t in types])
    if batch_size is None or batch_size >= total:
        return vmap(fun)(*standard_basis(types))
    firsts = jnp.arange(0, total, batch_size, dtype=np.int32)
    step = lambda _, first: (None, vmap(fun)(*basis_from(types, first, batch_size)))
    found: Any = scan(step, None, firsts)[1]
    return found.reshape(-1, *found.shape[2:])[:total]


def sum_over_chunks(fun: Callable[[Value], Tree], total: int, batch_size: int) -> Tree:
    """Σ fun(first) over the numbers with which so many coordinates begin, one after the other."""
    firsts = jnp.arange(0, total, batch_size, dtype=np.int32)
    zero = tree_map(lambda t: jnp.zeros(t.shape, t.dtype), eval_shape(fun, firsts[0]))
    add = lambda so_far, first: (tree_map(operator.add, so_far, fun(first)), None)
    return scan(add, zero, firsts)[0]


__all__ = ["basis_from", "over_basis", "positive", "sum_over_chunks"]
