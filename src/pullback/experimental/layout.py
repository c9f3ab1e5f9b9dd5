"""Layouts: in which order the elements of an array lie in memory.

Arrays are row-major here; layouts are checked against the arrays that they are for, and change no
value and no order (see `pullback.xla.formats`).
"""

from __future__ import annotations

from typing import Any

from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.tree import flatten_up_to, leaf_error, tree_flatten
from pullback.xla.formats import Format, Layout


def with_layout_constraint(x: Any, layouts: Any) -> Any:
    """`x`, a tree of arrays, of which `layouts`, a `Layout` or a tree of them that is a prefix of
    `x`, say how a compiled program should lay them out. The values are what they are; XLA chooses.

    Raises ValueError for what is no layout, and for layouts that do not fit the array.

    >>> import pullback.numpy as jnp
    >>> with_layout_constraint(jnp.ones(2), Layout((0,)))
    Array([1., 1.], dtype=float32)
    """
    given, axes = tree_flatten(layouts)
    for layout in given:
        if not isinstance(layout, Layout):
            raise ValueError(
                f"with_layout_constraint: layouts must be of type Layout, got {layout!r:.100} of type {type(layout).__name__!r}, at "
                f"{user_line()}"
            )
    parts = flatten_up_to(axes, x)
    found: list[Array] = []
    for layout, part in zip(given, parts):
        for leaf in tree_flatten(part)[0]:
            try:
                found.append(as_array(leaf))
            except TypeError:
                raise leaf_error(x, leaf, "with_layout_constraint") from None
            layout.check_compatible_aval(found[-1].shape)
    return tree_flatten(x)[1].unflatten(found)


__all__ = ["Format", "Layout", "with_layout_constraint"]
