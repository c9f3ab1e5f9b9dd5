"""Greedy colourings: each vertex, in a given order, gets the first colour that its neighbourhood allows.

Sets of colours are Python integers, bit c for colour c: what is forbidden is an "or" of what the neighbours know, and the first
free colour is the lowest bit that is not set. So a colouring costs a few operations an entry, without walks over neighbours' neighbours.

Sources: Gebremedhin, Manne & Pothen (SIAM Review 47, 2005) for one-sided colourings; Gebremedhin, Tarafdar, Manne & Pothen, "New
acyclic and star coloring algorithms with application to computing Hessians" (SIAM J. Sci. Comput. 29, 2007) for the other two, here
in terms of sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pullback.derivatives.coloring.vertex_orders import Lists

if TYPE_CHECKING:
    from pullback.core.names import NumPyArray


def _numbers(bits: list[int]) -> NumPyArray:
    """The colour of each vertex, from its bit; -1 for those without one."""
    return np.fromiter((bit.bit_length() - 1 for bit in bits), np.int64, len(bits))


def color_columns(rows: Lists, num_rows: int, order: Sequence[int], limit: int | None = None) -> NumPyArray | None:
    """A colouring in which columns of one colour have no row in common; columns without rows have colour -1.

    None if `limit` colours or more are needed.

    >>> color_columns(Lists([0, 1, 3, 4], [0, 0, 1, 1]), 2, [0, 1, 2])
    array([0, 1, 0])
    """
    most = -1 if limit is None else 1 << limit >> 1
    starts, values = rows
    seen, bits = [0] * num_rows, [0] * (len(starts) - 1)
    for v in order:
        near = values[starts[v] : starts[v + 1]]
        if near:
            forbidden = 0
            for i in near:
                forbidden |= seen[i]
            bit = ~forbidden & (forbidden + 1)
            if bit >= most >= 0:
                return None
            bits[v] = bit
            for i in near:
                seen[i] |= bit
    return _numbers(bits)


def color_read_columns(read: Lists, others: Lists, num_rows: int, order: Sequence[int]) -> NumPyArray:
    """A colouring that is to give only some of the entries: those of column j in the rows `read`, not those in `others`.

    A column with an entry that is read in a row has a colour that no other coloured column has with any entry in this row. Columns
    without entries to read have no colour, -1.

    >>> color_read_columns(Lists([0, 1, 2, 3], [0, 1, 2]), Lists([0, 1, 2, 3], [3, 3, 3]), 4, [0, 1, 2])
    array([0, 0, 0])
    """
    seen, seen_read, bits = [0] * num_rows, [0] * num_rows, [0] * (len(read.starts) - 1)
    for v in order:
        wanted = read.values[read.starts[v] : read.starts[v + 1]]
        if wanted:
            present = others.values[others.starts[v] : others.starts[v + 1]]
            forbidden = 0
            for i in wanted:
                forbidden |= seen[i]
            for i in present:
                forbidden |= seen_read[i]
            bits[v] = bit = ~forbidden & (forbidden + 1)
            for i in wanted:
                seen[i] |= bit
                seen_read[i] |= bit
            for i in present:
                seen[i] |= bit
    return _numbers(bits)


def color_stars(neighbors: Lists, order: Sequence[int], limit: int | None = None) -> NumPyArray | None:
    """A star colouring: neighbours differ, and every path of four vertices has three colours or more.

    None if `limit` colours or more are needed.

    >>> color_stars(Lists([0, 1, 3, 5, 6], [1, 0, 2, 1, 3, 2]), [0, 1, 2, 3])
    array([0, 1, 0, 2])
    """
    starts, values = neighbors
    n = len(starts) - 1
    most = -1 if limit is None else 1 << limit >> 1
    bits = [0] * n
    # The colours of a vertex's neighbours; those which two or more neighbours have; and, of a coloured vertex w, the colours of those
    # neighbours that have two or more neighbours of w's colour: with a neighbour of that colour w would be inside a path x-w-hub-y.
    seen, twice, hubs = [0] * n, [0] * n, [0] * n
    for v in order:
        near, repeated = values[starts[v] : starts[v + 1]], twice[v]
        forbidden = seen[v]
        for w in near:
            if bits[w]:
                forbidden |= hubs[w]
                if bits[w] & repeated:  # v is the hub of w and another: it differs from w's other neighbours
                    forbidden |= seen[w]
        bit = ~forbidden & (forbidden + 1)
        if bit >= most >= 0:
            return None
        bits[v] = bit
        for x in near:
            if not seen[x] & bit:
                seen[x] |= bit
            elif twice[x] & bit:
                hubs[v] |= bits[x]
            else:
                twice[x] |= bit
                if bits[x]:
                    for y in values[starts[x] : starts[x + 1]]:
                        if bits[y] == bit:
                            hubs[y] |= bits[x]
        if repeated:
            for w in near:
                if bits[w] & repeated:
                    hubs[w] |= bit
    return _numbers(bits)


def color_acyclically(neighbors: Lists, order: Sequence[int], limit: int | None = None) -> NumPyArray | None:
    """An acyclic colouring: neighbours differ, and the vertices of any two colours induce a forest.

    None if `limit` colours or more are needed.

    >>> color_acyclically(Lists([0, 2, 4, 6, 8], [1, 3, 0, 2, 1, 3, 2, 0]), [0, 1, 2, 3])
    array([0, 1, 0, 2])
    """
    starts, values = neighbors
    n = len(starts) - 1
    most = -1 if limit is None else 1 << limit >> 1
    bits, seen, twice = [0] * n, [0] * n, [0] * n
    # The trees of two colours, by the bits of both: from each vertex up to the root of its tree.
    trees: dict[int, dict[int, int]] = {}
    for v in order:
        near, repeated, forbidden = values[starts[v] : starts[v + 1]], twice[v], seen[v]
        bit = ~forbidden & (forbidden + 1)
        if repeated:
            doubles = [w for w in near if bits[w] & repeated]
            while _closes_cycle(doubles, bit, bits, seen, trees):
                forbidden |= bit
                bit = ~forbidden & (forbidden + 1)
        if bit >= most >= 0:
            return None
        bits[v] = bit
        for w in near:
            if bits[w]:
                tree = trees.setdefault(bit | bits[w], {})
                tree[_root(tree, v)] = _root(tree, w)
            if seen[w] & bit:
                twice[w] |= bit
            else:
                seen[w] |= bit
    return _numbers(bits)


def _closes_cycle(
    doubles: list[int], bit: int, bits: list[int], seen: list[int], trees: dict[int, dict[int, int]]
) -> bool:
    """Whether two of a vertex's neighbours, of one colour, are in one tree of their colour and the vertex's colour, were it `bit`."""
    met = set()
    for w in doubles:
        if seen[w] & bit:
            tree = bits[w], _root(trees[bit | bits[w]], w)
            if tree in met:
                return True
            met.add(tree)
    return False


def _root(tree: dict[int, int], v: int) -> int:
    """The root of v's tree; all on the way then lead there at once."""
    top = v
    while (up := tree.get(top, top)) != top:
        top = up
    while v != top:
        tree[v], v = top, tree[v]
    return top
