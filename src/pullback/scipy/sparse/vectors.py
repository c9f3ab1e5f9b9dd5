"""Trees as the vectors that solvers calculate with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.tree import tree_flatten, tree_leaves, tree_unflatten
from pullback.flatten_util import ravel_pytree
from pullback.lax.functions import complex as complex_of
from pullback.lax.functions import imag, real
from pullback.lax.shape import convert


def vector_of(tree: Any, as_real: bool = False) -> tuple[Array, Callable[[Any], Any]]:
    """All leaves in one vector of at least 32 bits a number, and the function that makes the tree
    of such a vector.

    Complex numbers are pairs of real ones, if `as_real` or if other leaves are real: functions of
    the tree that are linear over the reals alone (they conjugate, say, or take real parts) are then
    linear functions of the vector, and no number without an imaginary part gets one.
    """
    leaves, treedef = tree_flatten(tree)
    arrays = [as_array(x) for x in leaves]
    paired = [dtypes.is_complex(x.dtype) for x in arrays]
    if all(paired) and not as_real:
        paired = [False] * len(arrays)
    vector, unravel = ravel_pytree([(real(x), imag(x)) if pair else x for x, pair in zip(arrays, paired)])
    dtype = vector.dtype

    def restored(vector: Any) -> Any:
        parts = unravel(convert(vector, dtype))
        return tree_unflatten(treedef, [complex_of(*x) if pair else x for x, pair in zip(parts, paired)])

    return convert(vector, dtypes.promote_pair(dtype, False, np.dtype(np.float32), False)[0]), restored


def on_vectors(f: Callable[[Any], Any], unravel: Callable[[Any], Any], as_real: bool = False) -> Callable[[Any], Any]:
    """The function of trees `f` as one of the vectors that `unravel` makes trees of."""
    return lambda vector: vector_of(f(unravel(vector)), as_real)[0]


def precision_of(tree: Any) -> float:
    """The largest distance from 1 to the next number of the leaves' dtypes, to the power of 3/4:
    how small residuals can well become."""
    return max((float(dtypes.finfo(as_array(x).dtype).eps) for x in tree_leaves(tree)), default=1.0) ** 0.75


__all__ = ["on_vectors", "precision_of", "vector_of"]
