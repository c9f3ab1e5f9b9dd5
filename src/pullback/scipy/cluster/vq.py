"""Vector quantization."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.numpy.promotion import here, promote_inexact


@user_api
def vq(obs: Any, code_book: Any, check_finite: bool = True) -> tuple[Array, Array]:
    """For each row of `obs` the number of the row of `code_book` nearest to it, and the distance.

    `obs` has shape (m, n) and `code_book` (k, n); vectors are m and k rows of one element. Gives
    integers of shape (m,), the first of several codes at one distance, and distances in the common
    floating dtype, which are differentiable. `check_finite` is ignored. Raises ValueError for other
    shapes.

    >>> import pullback.numpy as jnp
    >>> codes, distances = vq(jnp.array([[0.0, 1.0], [6.0, 4.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0]]))
    >>> codes.tolist(), distances.tolist()
    ([0, 1], [1.0, 5.0])
    """
    del check_finite
    obs, codes = promote_inexact("scipy.cluster.vq.vq", obs, code_book)
    if len(obs.shape) != len(codes.shape):
        raise here(
            ValueError,
            f"vq: observation and code_book should have the same rank, got shapes {obs.shape}, {codes.shape}",
        )
    if len(obs.shape) == 1:
        obs, codes = obs[:, None], codes[:, None]
    if len(obs.shape) != 2 or obs.shape[1] != codes.shape[1]:
        raise here(ValueError, f"vq: rows of one length are needed, got shapes {obs.shape} and {codes.shape}")
    if not codes.shape[0]:
        raise here(ValueError, "vq: the code book is empty")
    code = jnp.argmin(jnp.linalg.norm(obs[:, None] - codes, axis=-1), -1)
    return code, jnp.linalg.norm(obs - codes[code], axis=-1)


__all__ = ["vq"]
