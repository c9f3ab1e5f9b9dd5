"""Discrete cosine transforms, by Fourier transforms of as many (types 2, 3) or twice as many points.

The types, for x of n elements, without a norm (Ahmed, Natarajan and Rao 1974; Wang 1984):

    1: y[k] = x[0] + (-1)^k x[n-1] + 2 Σ_{0<j<n-1} x[j] cos(π j k / (n - 1))
    2: y[k] = 2 Σ_j x[j] cos(π k (2j + 1) / 2n)
    3: y[k] = x[0] + 2 Σ_{j>0} x[j] cos(π j (2k + 1) / 2n)
    4: y[k] = 2 Σ_j x[j] cos(π (2j + 1) (2k + 1) / 4n)

Types 1 and 4 are their own inverses, 2 and 3 each other's, up to the factor 2n (2n - 2 for type 1):
it goes into the inverse with `norm` None or "backward", into the transform with "forward"; "ortho"
makes the transforms orthogonal matrices. Types 2 and 3 follow Makhoul, "A fast cosine transform in
one and two dimensions" (IEEE Trans. ASSP 28, 1980).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.types import canonical_axis, integer, integers
from pullback.numpy.promotion import array_like, here

_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}
_OTHER_WAY = {None: "forward", "backward": "forward", "forward": None, "ortho": "ortho"}


@user_api
def dct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The discrete cosine transform of type `type` (1 to 4) along `axis`, of the first `n` elements
    (with zeros behind them if there are fewer).

    `norm` is None or "backward", "forward" or "ortho". The result has the shape of `x`, but for
    `axis`, and its dtype; integers and narrow floats become float32, complex numbers are
    transformed as two real ones. Linear. Raises ValueError for other norms, an axis that is not
    there, and nothing to transform, NotImplementedError for other types.

    >>> import pullback.numpy as jnp
    >>> dct(jnp.array([1.0, 1.0]), norm="ortho").round(4)
    Array([1.4142, 0.    ], dtype=float32)
    """
    return _along("dct", x, type, None if n is None else (n,), (axis,), norm, False)


@user_api
def idct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `dct` with the same arguments.

    >>> import pullback.numpy as jnp
    >>> idct(dct(jnp.array([1.0, 5.0]))).round(4)
    Array([1., 5.], dtype=float32)
    """
    return _along("idct", x, type, None if n is None else (n,), (axis,), norm, True)


@user_api
def dctn(
    x: Any, type: int = 2, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> Array:
    """`dct` along `axes`: by default the last `len(s)`, or all; `s` gives the number of elements of
    each.

    >>> import pullback.numpy as jnp
    >>> dctn(jnp.ones((2, 2)), norm="ortho").round(4).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    return _along("dctn", x, type, s, axes, norm, False)


@user_api
def idctn(
    x: Any, type: int = 2, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> Array:
    """The inverse of `dctn` with the same arguments.

    >>> import pullback.numpy as jnp
    >>> idctn(dctn(jnp.array([[1.0, 5.0]]))).round(4)
    Array([[1., 5.]], dtype=float32)
    """
    return _along("idctn", x, type, s, axes, norm, True)


def _along(name: str, x: Any, type: Any, s: Any, axes: Any, norm: str | None, inverse: bool) -> Array:
    x = array_like(x, name)
    kind = integer(type, f"{name}: type")
    if kind not in _INVERSE:
        raise here(NotImplementedError, f"{name}: there are the types 1, 2, 3 and 4, got {type}")
    if norm not in _OTHER_WAY:
        raise here(ValueError, f"{name}: norm must be None, 'backward', 'forward' or 'ortho', got {norm!r:.100}")
    rank = len(x.shape)
    lengths = None if s is None else integers(s, f"{name}: s")
    if axes is None:
        if lengths is not None and len(lengths) > rank:
            raise here(ValueError, f"{name}: s has {len(lengths)} lengths, for an array of shape {x.shape}")
        axes = range(rank if lengths is None else len(lengths))
        axes = [rank - len(axes) + a for a in axes]
    axes = [canonical_axis(a, rank) for a in integers(axes, f"{name}: axes")]
    if len(set(axes)) != len(axes):
        raise here(ValueError, f"{name}: repeated axis in {tuple(axes)}")
    lengths = tuple(x.shape[a] for a in axes) if lengths is None else lengths
    if len(lengths) != len(axes):
        raise here(ValueError, f"{name}: s and axes must have the same length, got {lengths} and {tuple(axes)}")
    dtype = dtypes.to_inexact(x.dtype)
    x = x.astype(dtype if dtype.itemsize >= 4 else dtypes.float32)
    if inverse:
        kind, norm = _INVERSE[kind], _OTHER_WAY[norm]
    for axis, n in zip(axes, lengths):
        if n < (2 if kind == 1 else 1):
            raise here(
                ValueError, f"{name} of type {kind}: {n} elements along axis {axis} of shape {x.shape} are too few"
            )
        x = jnp.moveaxis(x, axis, -1)
        if n > x.shape[-1]:
            x = jnp.pad(x, [(0, 0)] * (rank - 1) + [(0, n - x.shape[-1])])
        x = x[..., :n]
        if dtypes.is_complex(x.dtype):
            x = jnp.stack([x.real, x.imag])
            x = _normed(x, kind, n, norm)
            x = x[0] + 1j * x[1]
        else:
            x = _normed(x, kind, n, norm)
        x = jnp.moveaxis(x, -1, axis)
    return x


def _normed(x: Array, kind: int, n: int, norm: str | None) -> Array:
    full = 2 * (n - 1) if kind == 1 else 2 * n
    if norm != "ortho":
        y = _plain(x, kind, n)
        return y / full if norm == "forward" else y
    # The matrices are orthogonal once the constant function (and in type 1 the last one) has the
    # norm of the others.
    ends = np.ones(n)
    ends[0] = math.sqrt(2)
    if kind == 1:
        ends[-1] = math.sqrt(2)
    if kind in (1, 3):
        x = x * ends.astype(x.dtype)
    y = _plain(x, kind, n) * np.asarray(1 / math.sqrt(full), x.dtype)
    return y / ends.astype(y.dtype) if kind in (1, 2) else y


def _plain(x: Array, kind: int, n: int) -> Array:
    """The transform of `x` along its last axis, of length n, without a norm."""
    to_complex = dtypes.to_complex(x.dtype)

    def rotation(angles: Any) -> Any:
        return xp.exp(1j * np.pi * angles).astype(to_complex)

    xp: Any = np if isinstance(n, int) else jnp  # sizes that are symbolic have their numbers in the program
    k = xp.arange(n)
    if kind == 1:
        return jnp.fft.rfft(jnp.concatenate([x, x[..., n - 2 : 0 : -1]], -1)).real
    if kind == 2:
        v = jnp.concatenate([x[..., ::2], x[..., 1::2][..., ::-1]], -1)
        return 2 * (jnp.fft.fft(v) * rotation(-k / (2 * n))).real
    if kind == 3:
        mirrored = jnp.concatenate([jnp.zeros_like(x[..., :1]), x[..., :0:-1]], -1)
        v = jnp.fft.ifft((x - 1j * mirrored) * rotation(k / (2 * n)), norm="forward").real
        place = xp.where(k % 2 == 1, n - 1 - k // 2, k // 2)
        return v[..., place]
    v = x * rotation(-k / (2 * n))
    return 2 * (jnp.fft.fft(v, 2 * n)[..., :n] * rotation(-(2 * k + 1) / (4 * n))).real


__all__ = ["dct", "dctn", "idct", "idctn"]
