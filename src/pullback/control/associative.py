"""`associative_scan`: all prefixes of a sequence combined by an associative function, in
logarithmic depth.

Neighbours are combined in pairs; the prefixes of the pairs, found in the same way, are those of the
sequence that end at odd places; one more step gives the others. That is about 2 log n applications
to whole arrays and 2 n combinations of elements, where a loop has depth n (Blelloch 1990, "Prefix
sums and their applications"). There is nothing in it but slices, interleavings and the function, so
it has the derivatives, batches and programs that these have.

How deep the pairing goes depends on the length. Of a symbolic one, in a program for every length, the elements are
combined one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pullback.control.loops import scan
from pullback.core.dimensions import Dim
from pullback.core.errors import user_api, user_line
from pullback.core.tree import arrays_of, keystr, tree_flatten_with_path, tree_unflatten
from pullback.core.types import integer
from pullback.lax.arrangement import concatenate, rev_p, slice_along
from pullback.lax.cumulative import prefixes
from pullback.lax.shape import expand_dims, move_axis, squeeze

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Tree, Value


@user_api
def associative_scan(fn: Callable[[Tree, Tree], Tree], elems: Tree, reverse: bool = False, axis: int = 0) -> Tree:
    """All prefixes of `elems` along `axis` combined by `fn`: x0, fn(x0, x1), fn(fn(x0, x1), x2),
    ...

    `elems` is an array, or a tree of arrays of one length along `axis`. `fn(a, b)` is associative
    and works on batches: it takes and gives trees like `elems`, of any length along `axis`, and
    combines corresponding elements. With `reverse` the scan runs from the end (the results stay in
    place). Raises TypeError for what is no function or gives arrays of other types, ValueError for
    lengths that differ, an `axis` out of bounds, results of another structure.

    >>> import pullback.numpy as jnp
    >>> associative_scan(jnp.add, jnp.arange(1, 5))
    Array([ 1,  3,  6, 10], dtype=int32)

    A linear recurrence s = a s + b, of which pairs (a, b) compose:

    >>> a, b = jnp.array([0.5, 0.5, 2.0]), jnp.array([1.0, 2.0, 3.0])
    >>> associative_scan(lambda f, g: (g[0] * f[0], g[0] * f[1] + g[1]), (a, b))[1]
    Array([1. , 2.5, 8. ], dtype=float32)
    """
    return _associative_scan(fn, elems, bool(reverse), axis)


def _associative_scan(fn: Function, elems: Tree, reverse: bool, axis: int) -> Tree:
    if not callable(fn):
        raise TypeError(f"associative_scan takes a function, got {fn!r:.100} as fn, at {user_line()}")
    xs, tree = arrays_of(elems, "the elements of associative_scan")
    if not xs:
        raise ValueError(f"associative_scan needs at least one array, got {elems!r:.100}, at {user_line()}")
    axis = _axis(xs, elems, axis)

    def combine(first: Sequence[Value], then: Sequence[Value]) -> list[Value]:
        out = fn(tree_unflatten(tree, list(first)), tree_unflatten(tree, list(then)))
        ys, out_tree = arrays_of(out, "the result of associative_scan's fn")
        if out_tree != tree:
            raise ValueError(
                f"associative_scan: fn must give the structure of the elements, {tree}; it gave {out_tree}, at {user_line()}"
            )
        for i, (y, x) in enumerate(zip(ys, first)):
            if y.dtype != x.dtype or y.shape != x.shape:
                path = keystr(tree_flatten_with_path(out)[0][i][0])
                raise TypeError(
                    f"associative_scan: fn must keep the types of what it combines; at out{path} it gave {y.aval.str_short()} "
                    f"for {x.aval.str_short()}, at {user_line()}"
                )
        return ys

    if reverse:
        xs = [rev_p.bind(x, dimensions=(axis,)) for x in xs]
    if xs[0].shape[axis].__class__ is Dim:
        ys = _one_after_the_other(combine, xs, axis)
    else:
        ys = prefixes(combine, xs, axis)
    if reverse:
        ys = [rev_p.bind(y, dimensions=(axis,)) for y in ys]
    return tree_unflatten(tree, list(ys))


def _one_after_the_other(combine: Function, xs: Sequence[Value], axis: int) -> Sequence[Value]:
    """The prefixes by a loop, whose slices have length 1 along `axis`."""
    n = xs[0].shape[axis]
    if not n:  # raises what says so, if that depends on the sizes
        return xs
    first = [slice_along(x, 0, 1, axis) for x in xs]
    rows = [move_axis(slice_along(x, 1, n, axis), axis, 0) for x in xs]

    def step(before: Sequence[Value], row: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        now = combine(before, [expand_dims(r, (axis,)) for r in row])
        return now, [squeeze(y, (axis,)) for y in now]

    _, rest = scan(step, first, rows)
    return [concatenate([x, move_axis(y, 0, axis)], axis) for x, y in zip(first, rest)]


def _axis(xs: Sequence[Value], elems: Tree, axis: Argument) -> int:
    """`axis`, counted from the front, which all arrays have, of one length."""
    position = integer(axis, "associative_scan: axis")
    rank = xs[0].ndim
    if not -rank <= position < rank:
        raise ValueError(
            f"associative_scan: axis {position} is out of bounds for elements of shape {xs[0].shape}, at {user_line()}"
        )
    position %= rank
    lengths = {x.shape[position] if position < x.ndim else None for x in xs}
    if len(lengths) > 1:
        found = ", ".join(
            f"elems{keystr(path)}: {x.shape}" for (path, _), x in zip(tree_flatten_with_path(elems)[0], xs)
        )
        raise ValueError(
            f"associative_scan: the elements differ in length along axis {position}, at {user_line()}: {found}"
        )
    return int(position)


__all__ = ["associative_scan"]
