"""Random sparse arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback import random
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.experimental.sparse.base import index_type, shape_of
from pullback.experimental.sparse.bcoo import BCOO, _counts, over_batch


def random_bcoo(
    key: Array,
    shape: Sequence[int],
    *,
    dtype: Any = np.float64,
    indices_dtype: Any = None,
    nse: int | float = 0.2,
    n_batch: int = 0,
    n_dense: int = 0,
    unique_indices: bool = True,
    sorted_indices: bool = False,
    generator: Callable[..., Array] = random.uniform,
    **kwds: Any,
) -> BCOO:
    """A BCOO with elements of `generator(key, shape=, dtype=, **kwds)` at random positions.

    `nse` is the number of elements in each batch, or, below 1, a part of all; positions are
    distinct with `unique_indices`, and in order with `sorted_indices`. Raises ValueError for more
    elements than there are positions.

    >>> m = random_bcoo(random.key(0), (3, 4), nse=0.25)
    >>> m, int((m.todense() != 0).sum())
    (BCOO(float32[3, 4], nse=3), 3)
    """
    shape = shape_of(shape, "random_bcoo")
    nb, ns = _counts(len(shape), n_batch, n_dense)
    batch, sparse, tail = shape[:nb], shape[nb : nb + ns], shape[nb + ns :]
    size = math.prod(sparse)
    if not 0 <= nse <= size:
        raise ValueError(f"random_bcoo: got nse={nse}, expected to be between 0 and {size}, at {user_line()}")
    if 0 < nse < 1:
        nse = math.ceil(nse * size)
    nse, index = int(nse), index_type(indices_dtype or np.int32)
    keys = random.split(key, 1 + math.prod(batch))
    data = generator(keys[0], shape=(*batch, nse, *tail), dtype=jnp.dtype(dtype), **kwds)

    def positions(key: Any) -> Any:
        if not ns:
            return jnp.zeros((nse, 0), index)
        flat = random.choice(key, size, (nse,), replace=not unique_indices).astype(jnp.int32)
        return jnp.stack(jnp.unravel_index(flat, sparse), -1).astype(index)

    indices = over_batch(positions, nb, keys[1:].reshape((*batch, *keys.shape[1:])))
    out = BCOO((data, indices), shape=shape, unique_indices=unique_indices)
    return out.sort_indices() if sorted_indices else out


__all__ = ["random_bcoo"]
