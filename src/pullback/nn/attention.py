"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dimensions import Dim, is_symbolic
from pullback.lax.creation import positions
from pullback.lax.family import size_as
from pullback.lax.selection import select
from pullback.lax.shape import convert, reshape_p, transpose_p
from pullback.nn.normalization import logsumexp, softmax
from pullback.numpy import ufuncs as u
from pullback.numpy.contraction import einsum
from pullback.numpy.promotion import array_like, here, promote, raised_to


def dot_product_attention(
    query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, *, scale: float | None = None,
    is_causal: bool = False, query_seq_lengths: Any = None, key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None, implementation: str | None = None, return_residual: bool = False,
) -> Any:  # fmt: skip
    """softmax(scale·query·keyᵀ + bias)·value for each head (Vaswani et al. 2017).

    `query` has shape ([B,] T, N, H), `key` and `value` ([B,] S, K, H): N query heads share K
    key-value heads, N a multiple of K. `bias` and the boolean `mask` (true where attended)
    broadcast to (B, N, T, S). `is_causal` masks later positions, `local_window_size` all but so
    many (before, after), the sequence lengths of shape (B,) what is padding. With
    `return_residual`, also the logarithms of the softmax's denominators, of shape ([B,] T, N).
    `scale` is 1/√H by default. Raises ValueError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> x = jnp.eye(3)[:, None, :]                        # T = 3 positions, one head of 3 numbers
    >>> out = dot_product_attention(x, x, x, is_causal=True, scale=np.log(2.0))
    >>> out[:, 0].round(2)
    Array([[1.  , 0.  , 0.  ],
           [0.33, 0.67, 0.  ],
           [0.25, 0.25, 0.5 ]], dtype=float32)
    """
    if implementation not in (None, "xla"):
        raise here(
            ValueError, f"Unsupported implementation option: {implementation}; only 'xla', the default, is there"
        )
    query, key, value = promote("dot_product_attention", query, key, value)
    shape = query.shape
    if len(shape) not in (3, 4) or any(len(x.shape) != len(shape) for x in (key, value)):
        raise here(
            ValueError,
            f"dot_product_attention: query, key and value must have 3 or 4 axes each, got shapes {shape}, {key.shape}, {value.shape}",
        )
    if len(shape) == 3:
        query, key, value = (reshape_p.bind(x, new_sizes=(1, *x.shape)) for x in (query, key, value))
    (b, t, n, h), (_, s, k, _) = query.shape, key.shape
    if key.shape != (b, s, k, h) or value.shape != (b, s, k, h):
        raise here(
            ValueError,
            f"dot_product_attention: for query of shape {query.shape}, key and value shape should be {(b, s, k, h)}, but got "
            f"{key.shape} and {value.shape}",
        )
    if not k or n % k:
        raise here(ValueError, f"The number of query heads must be a multiple of key/value heads, but got {n} vs {k}")
    if mask is not None and array_like(mask, "dot_product_attention").dtype != dtypes.bool_:
        raise here(ValueError, f"mask dtype should be bool, but got {array_like(mask, 'dot_product_attention').dtype}")
    compute = query.dtype if query.dtype.itemsize >= 4 else dtypes.float32
    grouped = reshape_p.bind(query, new_sizes=(b, t, k, n // k, h))
    logits = einsum("btkgh,bskh->bkgts", grouped, key, preferred_element_type=compute)
    logits = reshape_p.bind(logits, new_sizes=(b, n, t, s))
    if scale is None:
        scale = u.divide(1.0, u.sqrt(size_as(compute, h))) if h.__class__ is Dim else 1 / math.sqrt(h)
    logits = u.multiply(logits, convert(array_like(scale, "dot_product_attention"), compute))
    if bias is not None:
        logits = u.add(logits, convert(_four_axes(bias), compute))
    visible = _visible(t, s, mask, is_causal, query_seq_lengths, key_value_seq_lengths, local_window_size)
    if visible is not None:
        # Large, not infinite: a row without any visible position is a mean over all, not NaN.
        logits = select(visible, logits, concrete(np.array(-0.7 * float(dtypes.finfo(compute).max), compute)))
    # Not exp(logits - logsumexp(logits)): beside a large maximum, the logarithm of the sum is
    # rounded away.
    weights = convert(softmax(logits), key.dtype)
    out = einsum("bkgts,bskh->btkgh", reshape_p.bind(weights, new_sizes=(b, k, n // k, t, s)), value)
    out = reshape_p.bind(out, new_sizes=(b, t, n, h))
    if query_seq_lengths is not None:
        inside = u.less(positions(t, dtypes.int32)[None, :, None, None], _lengths(query_seq_lengths))
        out = select(inside, out, concrete(np.zeros((), out.dtype)))
    out = reshape_p.bind(out, new_sizes=shape)
    if not return_residual:
        return out
    residual = convert(transpose_p.bind(logsumexp(logits, -1), permutation=(0, 2, 1)), key.dtype)
    return out, reshape_p.bind(residual, new_sizes=shape[:-1])


def _four_axes(x: Any) -> Array:
    return raised_to(array_like(x, "dot_product_attention"), 4)


def _lengths(lengths: Any) -> Array:
    lengths = array_like(lengths, "dot_product_attention")
    return reshape_p.bind(lengths, new_sizes=(lengths.size, 1, 1, 1))


def _visible(
    t: int,
    s: int,
    mask: Any,
    is_causal: bool,
    query_lengths: Any,
    key_lengths: Any,
    window: int | tuple[int, int] | None,
) -> Any:
    """Which positions (columns) each query (row) attends to, broadcasting to (B, N, T, S); None for
    all."""
    symbolic = is_symbolic((t, s))
    rows, columns = (positions(n, dtypes.int32) if symbolic else np.arange(n) for n in (t, s))
    rows, columns = rows[:, None], columns[None, :]
    static = [columns <= rows] if is_causal else []
    if window is not None:
        before, after = (window, window) if isinstance(window, int) else window
        static.append((columns >= rows - before) & (columns <= rows + after))
    conditions = [c[None, None] if symbolic else concrete(c[None, None]) for c in static if symbolic or not c.all()]
    if mask is not None:
        conditions.append(_four_axes(mask))
    if query_lengths is not None:
        conditions.append(u.less(rows[None, None], _lengths(query_lengths)))
    if key_lengths is not None:
        conditions.append(u.less(columns[None, None], _lengths(key_lengths)))
    visible: Any = None
    for condition in conditions:
        visible = condition if visible is None else u.logical_and(visible, condition)
    return visible


__all__ = ["dot_product_attention"]
