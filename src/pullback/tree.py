"""Pytree functions under their short names."""

from __future__ import annotations

from typing import Any

from pullback.core.tree import tree_all as all
from pullback.core.tree import tree_broadcast as broadcast
from pullback.core.tree import tree_flatten as flatten
from pullback.core.tree import tree_flatten_with_path as flatten_with_path
from pullback.core.tree import tree_leaves as leaves
from pullback.core.tree import tree_leaves_with_path as leaves_with_path
from pullback.core.tree import tree_map as map
from pullback.core.tree import tree_map_with_path as map_with_path
from pullback.core.tree import tree_reduce as reduce
from pullback.core.tree import tree_reduce_associative as reduce_associative
from pullback.core.tree import tree_structure as structure
from pullback.core.tree import tree_transpose as transpose
from pullback.core.tree import tree_unflatten as unflatten


def static(**kwargs: Any) -> Any:
    """A field of a dataclass that belongs to the structure, and is no child: `dataclasses.field`,
    whose arguments it takes, with `metadata` that says so to `tree_util.register_dataclass`.

    >>> import dataclasses
    >>> import pullback as pb
    >>> @pb.tree_util.register_dataclass
    ... @dataclasses.dataclass
    ... class Layer:
    ...     weight: float
    ...     activation: str = static(default="relu")
    >>> leaves(Layer(2.0)), map(lambda x: x + 1, Layer(2.0))
    ([2.0], Layer(weight=3.0, activation='relu'))
    """
    import dataclasses

    metadata = {**(kwargs.pop("metadata", None) or {}), "static": True}
    return dataclasses.field(**kwargs, metadata=metadata)


__all__ = [
    "all", "broadcast", "flatten", "flatten_with_path", "leaves", "leaves_with_path", "map", "map_with_path", "reduce",
    "reduce_associative", "static", "structure", "transpose", "unflatten",
]  # fmt: skip
