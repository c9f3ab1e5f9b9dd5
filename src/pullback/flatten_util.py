"""A tree of arrays as one vector, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.tree import tree_flatten
from pullback.lax.arrangement import concatenate
from pullback.lax.shape import convert, reshape


def ravel_pytree(pytree: Any) -> tuple[Array, Callable[[Any], Any]]:
    """All leaves in one vector (of their common dtype), and the function that makes the tree of
    such a vector, with the shapes and dtypes of the leaves. That one raises ValueError for another
    shape, TypeError for another dtype.

    >>> tree = {"w": np.ones((2, 2), np.float32), "b": np.arange(2)}
    >>> flat, unravel = ravel_pytree(tree)
    >>> flat
    Array([0., 1., 1., 1., 1., 1.], dtype=float32)
    >>> unravel(2 * flat)["b"]
    Array([0, 2], dtype=int32)
    """
    leaves, tree = tree_flatten(pytree)
    arrays = [as_array(x) for x in leaves]
    if not arrays:
        return concrete(np.zeros(0, dtypes.default_dtype(float))), lambda flat: tree.unflatten([])
    dtype, _ = dtypes.promotion(*arrays)
    flat = concatenate([reshape(convert(x, dtype), (x.size,)) for x in arrays], 0)
    shapes, types, sizes = [x.shape for x in arrays], [x.dtype for x in arrays], [x.size for x in arrays]
    total = sum(sizes)

    def unravel(vector: Any) -> Any:
        vector = as_array(vector)
        if vector.shape != (total,):
            raise ValueError(f"the unravel function takes a vector of shape {(total,)}, got shape {vector.shape}")
        if vector.dtype != dtype:
            raise TypeError(
                f"the unravel function takes a vector of dtype {dtypes.name(dtype)}, got {dtypes.name(vector.dtype)}"
            )
        parts, start = [], 0
        for shape, t, n in zip(shapes, types, sizes):
            parts.append(convert(reshape(vector[start : start + n], shape), t))  # type: ignore[index]
            start += n
        return tree.unflatten(parts)

    return flat, unravel


__all__ = ["ravel_pytree"]
