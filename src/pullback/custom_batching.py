"""Functions that say themselves what they are under `vmap`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.control.loops import call_in_loop
from pullback.core.tree import tree_flatten, tree_map
from pullback.transforms.custom_vmap import custom_vmap as custom_vmap


def sequential_vmap(f: Callable[..., Any]) -> custom_vmap:
    """`f`, which under `vmap` is called for one element after the other, in a loop (`lax.map`).

    >>> import pullback as pb
    >>> pb.vmap(sequential_vmap(lambda x: x * 2))(pb.numpy.arange(3))
    Array([0, 2, 4], dtype=int32)
    """
    found = custom_vmap(f)

    def rule(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, Any]:
        leaves, tree = tree_flatten(args)
        marks = tree_flatten(in_batched)[0]
        out = call_in_loop(lambda *xs: found(*tree.unflatten(xs)), leaves, [0 if m else None for m in marks])
        return out, tree_map(lambda _: True, out)

    found.def_vmap(rule)
    return found


__all__ = ["custom_vmap", "sequential_vmap"]
