"""Matrices that are determined by a vector, or by their size alone.

Those of a vector are one reading of it at positions that are known beforehand (`_placed`), so
derivatives, batches and programs are those of indexing. Those of a size are computed in Python's
integers or in float64, and rounded once.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.types import broadcast_shapes, count, integer
from pullback.lax.arrangement import concatenate, pad
from pullback.lax.family import like
from pullback.lax.shape import broadcast_to
from pullback.lax.shape import strong as strongly
from pullback.numpy import conversion, creation
from pullback.numpy.promotion import array_like, here, promote, promote_inexact


def _vectors(name: str, x: Any) -> Array:
    """`x` as vectors along its last axis; a number is a vector of one element."""
    array = array_like(x, f"scipy.linalg.{name}")
    return array if array.ndim else array.reshape(1)


def _together(*parts: Array) -> Array:
    """Vectors of one dtype one after the other, their batch axes broadcast."""
    batch = broadcast_shapes(*(p.shape[:-1] for p in parts))
    return concatenate([broadcast_to(p, (*batch, p.shape[-1])) for p in parts], len(batch))


def _placed(x: Array, positions: Any) -> Array:
    """The matrices with x[..., positions[i, j]] at (i, j), and zero where that is negative."""
    positions = np.asarray(positions)
    inside = positions >= 0
    if not inside.all():
        x, positions = _together(creation.zeros((1,), x.dtype), x), np.where(inside, positions + 1, 0)
    if not positions.size:
        return creation.zeros((*x.shape[:-1], *positions.shape), x.dtype)
    return x[..., positions]


def _indices(m: int, n: int) -> tuple[Any, Any]:
    return np.arange(m)[:, None], np.arange(n)[None, :]


def _made(values: Any, dtype: Any = None) -> Array:
    return conversion.array(values, dtype=dtypes.default_dtype(float) if dtype is None else dtype)


# ---- of vectors ----------------------------------------------------------------------------------


def circulant(c: Any) -> Array:
    """The matrices of shape (..., n, n) with first column `c` (..., n), each column the one before
    it rotated by one. A number is a vector of one element.

    >>> circulant(np.array([1, 2, 3]))
    Array([[1, 3, 2],
           [2, 1, 3],
           [3, 2, 1]], dtype=int32)
    """
    c = _vectors("circulant", c)
    i, j = _indices(c.shape[-1], c.shape[-1])
    return _placed(c, (i - j) % max(c.shape[-1], 1))


def toeplitz(c: Any, r: Any = None) -> Array:
    """The matrices of shape (..., m, n) with first column `c` (..., m) and first row `r` (..., n),
    constant along diagonals; r[..., 0] is not used.

    `r` is the conjugate of `c` if not given. Both are of their common dtype, and batch axes
    broadcast. A number is a vector of one element.

    >>> toeplitz(np.array([1, 2, 3]), np.array([1, 4]))
    Array([[1, 4],
           [2, 1],
           [3, 2]], dtype=int32)
    """
    c = _vectors("toeplitz", c)
    r = c.conj() if r is None else _vectors("toeplitz", r)
    c, r = map(strongly, promote("scipy.linalg.toeplitz", c, r))
    i, j = _indices(c.shape[-1], r.shape[-1])
    return _placed(_together(c, r), np.where(i >= j, i - j, c.shape[-1] + j - i))


def hankel(c: Any, r: Any = None) -> Array:
    """The matrices of shape (..., m, n) with first column `c` (..., m) and last row `r` (..., n),
    constant along antidiagonals; r[..., 0] is not used.

    `r` is zero if not given, and n = m. Batch axes broadcast. Raises ValueError for numbers.

    >>> hankel(np.array([1, 2, 3]))
    Array([[1, 2, 3],
           [2, 3, 0],
           [3, 0, 0]], dtype=int32)
    """
    c = array_like(c, "scipy.linalg.hankel")
    r = creation.zeros_like(c) if r is None else array_like(r, "scipy.linalg.hankel")
    if not c.ndim or not r.ndim:
        raise here(ValueError, f"hankel takes vectors, got c of shape {c.shape} and r of shape {r.shape}")
    c, r = map(strongly, promote("scipy.linalg.hankel", c, r))
    m = c.shape[-1]
    i, j = _indices(m, r.shape[-1])
    return _placed(_together(c, r), np.where(i + j < m, i + j, i + j + 1))


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Array:
    """The matrix M with M @ v == convolve(a, v, mode) for vectors v of length `n`: shape (..., k,
    n), where k is the length of that convolution ("full", "same" or "valid").

    Raises ValueError for another mode, no elements in `a` (..., m), or `n` below 1.

    >>> convolution_matrix(np.array([1, 2]), 2)
    Array([[1, 0],
           [2, 1],
           [0, 2]], dtype=int32)
    """
    a, n = array_like(a, "scipy.linalg.convolution_matrix"), integer(n, "n")
    if not a.ndim:
        raise here(ValueError, "convolution_matrix takes vectors (..., m), got a number")
    m = a.shape[-1]
    if n < 1:
        raise here(ValueError, f"n must be a positive integer, got {n}")
    if m < 1:
        raise here(ValueError, f"convolution_matrix needs at least one element in a, got shape {a.shape}")
    if mode not in ("full", "valid", "same"):
        raise here(ValueError, f"mode must be one of 'full', 'valid', 'same', got {mode!r}")
    rows = {"full": m + n - 1, "valid": max(m, n) - min(m, n) + 1, "same": max(m, n)}[mode]
    first = {"full": 0, "valid": min(m, n) - 1, "same": (min(m, n) - 1) // 2}[mode]
    i, j = _indices(rows, n)
    at = i + first - j
    return _placed(a, np.where((at >= 0) & (at < m), at, -1))


def leslie(f: Any, s: Any) -> Array:
    """The matrices (..., n, n) of population dynamics (Leslie, "On the use of matrices in certain
    population mathematics", 1945): fecundities `f` (..., n) in the first row, survival rates `s`
    (..., n-1) below the diagonal.

    Raises ValueError if the lengths do not fit or n < 2.

    >>> leslie(np.array([1, 2]), np.array([3]))
    Array([[1, 2],
           [3, 0]], dtype=int32)
    """
    f, s = promote("scipy.linalg.leslie", _vectors("leslie", f), _vectors("leslie", s))
    n = f.shape[-1]
    if n < 2 or s.shape[-1] != n - 1:
        raise here(
            ValueError,
            "leslie takes f with at least 2 elements along the last axis and s with one less, "
            f"got shapes {f.shape} and {s.shape}",
        )
    i, j = _indices(n, n)
    return _placed(_together(f, s), np.where(i == 0, j, np.where(i == j + 1, n + j, -1)))


def companion(a: Any) -> Array:
    """The matrices (..., n-1, n-1) whose characteristic polynomials are those with coefficients `a`
    (..., n), the highest first. Integers become floats. Raises ValueError for n < 2.

    >>> companion(np.array([1.0, -10.0, 31.0, -30.0]))
    Array([[ 10., -31.,  30.],
           [  1.,   0.,   0.],
           [  0.,   1.,   0.]], dtype=float32)
    """
    (a,) = promote_inexact("scipy.linalg.companion", _vectors("companion", a))
    n = a.shape[-1] - 1
    if n < 1:
        raise here(ValueError, f"companion needs at least 2 elements along the last axis, got shape {a.shape}")
    one = creation.ones((1,), a.dtype)
    i, j = _indices(n, n)
    return _placed(_together(-a[..., 1:] / a[..., :1], one), np.where(i == 0, j, np.where(i == j + 1, n, -1)))


def fiedler(a: Any) -> Array:
    """The symmetric matrices |a[i] - a[j]| of shape (..., n, n), for `a` of shape (..., n).

    >>> fiedler(np.array([1, 4, 6]))
    Array([[0, 3, 5],
           [3, 0, 2],
           [5, 2, 0]], dtype=int32)
    """
    a = _vectors("fiedler", a)
    if a.dtype == dtypes.bool_:
        raise here(TypeError, "fiedler does not accept dtype bool: convert it to integers")
    return abs(a[..., :, None] - a[..., None, :])


def fiedler_companion(a: Any) -> Array:
    """The pentadiagonal companion matrices (..., n-1, n-1) of the polynomials with coefficients `a`
    (..., n), the highest first (Fiedler, "A note on companion matrices", 2003).

    Integers become floats. Raises ValueError if there are no coefficients.

    >>> fiedler_companion(np.array([1.0, -16.0, 86.0, -176.0, 105.0]))
    Array([[  16.,  -86.,    1.,    0.],
           [   1.,    0.,    0.,    0.],
           [   0.,  176.,    0., -105.],
           [   0.,    1.,    0.,    0.]], dtype=float32)
    """
    (a,) = promote_inexact("scipy.linalg.fiedler_companion", _vectors("fiedler_companion", a))
    n = a.shape[-1] - 1
    if n < 0:
        raise here(ValueError, f"fiedler_companion needs at least one coefficient, got shape {a.shape}")
    at = np.full((n, n), -1)  # into the n ratios and a one
    if n:
        at[0, 0] = 0
        at[1:2, 0] = n
        at[range(3, n, 2), range(1, n - 2, 2)] = n
        at[range(2, n, 2), range(1, n - 1, 2)] = range(2, n, 2)
        at[range(0, n - 2, 2), range(2, n, 2)] = n
        at[range(0, n - 1, 2), range(1, n, 2)] = range(1, n, 2)
    return _placed(_together(-a[..., 1:] / a[..., :1], creation.ones((1,), a.dtype)), at)


def block_diag(*arrs: Any) -> Array:
    """The matrix with the given matrices along its diagonal and zeros elsewhere.

    Vectors are matrices of one row, numbers of one element; none at all give shape (1, 0). The
    result has their common dtype. Raises ValueError for more than two axes.

    >>> block_diag(np.array([[1, 2]]), 3)
    Array([[1, 2, 0],
           [0, 0, 3]], dtype=int32)
    """
    if not arrs:
        return creation.zeros((1, 0))
    for i, x in enumerate(arrs):
        if isinstance(x, (list, tuple)):
            raise here(TypeError, f"block_diag takes arrays and numbers, got {type(x).__name__!r} as argument {i}")
    blocks = [strongly(x) for x in promote("scipy.linalg.block_diag", *arrs)]
    for i, x in enumerate(blocks):
        if x.ndim > 2:
            raise here(ValueError, f"block_diag takes at most 2 dimensions, got shape {x.shape} as argument {i}")
    blocks = [x.reshape((1,) * (2 - x.ndim) + x.shape) for x in blocks]
    width, left, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        rows.append(pad(x, like(0, x), ((0, 0, 0), (left, width - left - x.shape[1], 0))))
        left += x.shape[1]
    return concatenate(rows, 0)


# ---- of sizes ------------------------------------------------------------------------------------


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Array:
    """The matrix of the discrete Fourier transform, exp(-2πi jk / n), over √n if `scale` is
    "sqrtn" and over n if it is "n". Raises ValueError for other scales and real dtypes.

    >>> dft(2).real
    Array([[ 1.,  1.],
           [ 1., -1.]], dtype=float32)
    """
    n = max(integer(n, "n"), 0)
    if scale not in (None, "sqrtn", "n"):
        raise here(ValueError, f"scale must be None, 'sqrtn' or 'n', got {scale!r}")
    dtype = dtypes.default_dtype(complex) if dtype is None else dtypes.canonicalize_dtype(dtype)
    if not dtypes.is_complex(dtype):
        raise here(ValueError, f"dtype must be a complex floating-point type, got {dtypes.name(dtype)}")
    j, k = _indices(n, n)
    # Eighths of a turn are exact by symmetry: the angle is brought to within a quarter of a turn
    # of a multiple of a quarter.
    steps = j * k % max(n, 1)
    quarter = (8 * steps + n) // (2 * max(n, 1))
    angle = np.pi / 2 * ((4 * steps - quarter * n) / max(n, 1))
    values = (np.cos(angle) - 1j * np.sin(angle)) * np.array([1, -1j, -1, 1j])[quarter % 4]
    if scale is not None and n:
        values = values / (np.sqrt(n) if scale == "sqrtn" else n)
    return _made(values, dtype)


def hadamard(n: int, dtype: Any = int) -> Array:
    """Sylvester's Hadamard matrix of size `n`, a power of 2: elements ±1, orthogonal rows. Raises
    ValueError for other n, TypeError for booleans.

    >>> hadamard(2)
    Array([[ 1,  1],
           [ 1, -1]], dtype=int32)
    """
    if not hasattr(type(n), "__index__") or (n := integer(n, "n")) < 1 or n & (n - 1):
        raise here(ValueError, f"n must be a positive power of 2, got {n}")
    dtype = dtypes.canonicalize_dtype(dtype)
    if dtype == dtypes.bool_:
        raise here(TypeError, "hadamard: booleans have no -1; choose another dtype")
    out = np.ones((1, 1), int)
    while len(out) < n:
        out = np.block([[out, out], [out, -out]])
    return _made(out, dtype)


def helmert(n: int, full: bool = False) -> Array:
    """The Helmert matrix of size (n-1, n): orthonormal rows that sum to zero; with `full`, (n, n),
    the first row constant. Raises ValueError for n < 1.

    >>> helmert(2).round(4)
    Array([[ 0.7071, -0.7071]], dtype=float32)
    """
    n = integer(n, "n")
    if n < 1:
        raise here(ValueError, f"n must be a positive integer, got {n}")
    i, j = _indices(n, n)
    out = np.where(j < i, 1.0, np.where(j == i, -1.0 * i, 0.0)) / np.sqrt(np.maximum(i * (i + 1.0), 1.0))
    out[0] = 1 / np.sqrt(n)
    return _made(out if full else out[1:])


def hilbert(n: int) -> Array:
    """The Hilbert matrix 1 / (i + j + 1) of shape (n, n). Raises TypeError for negative n.

    >>> hilbert(2).tolist()[0]
    [1.0, 0.5]
    """
    n = count(n, "n")
    i, j = _indices(n, n)
    return _made(1 / (i + j + 1))


def invhilbert(n: int) -> Array:
    """The inverse of the Hilbert matrix: integers, computed exactly and rounded once (infinite
    beyond the range of the type).

    >>> invhilbert(2).astype(int)
    Array([[ 4, -6],
           [-6, 12]], dtype=int32)
    """
    n = max(integer(n, "n"), 0)

    def element(i: int, j: int) -> int:
        size = (i + j + 1) * comb(n + i, n - j - 1) * comb(n + j, n - i - 1) * comb(i + j, i) ** 2
        return -size if (i + j) % 2 else size

    return _of_integers(n, element)


def pascal(n: int, kind: str | None = None) -> Array:
    """The matrix of Pascal's triangle: binomials (i over j) if `kind` is "lower", its transpose if
    "upper", and (i+j over i), the product of both, if "symmetric" or None. ValueError for others.

    >>> pascal(3, "lower").astype(int)
    Array([[1, 0, 0],
           [1, 1, 0],
           [1, 2, 1]], dtype=int32)
    """
    n, kind = max(integer(n, "n"), 0), _kind(kind)
    if kind == "symmetric":
        return _of_integers(n, lambda i, j: comb(i + j, i))
    return _of_integers(n, comb if kind == "lower" else lambda i, j: comb(j, i))


def invpascal(n: int, kind: str | None = None) -> Array:
    """The inverse of `pascal(n, kind)`, exact integers rounded once.

    >>> invpascal(2).astype(int)
    Array([[ 2, -1],
           [-1,  1]], dtype=int32)
    """
    n, kind = max(integer(n, "n"), 0), _kind(kind)

    def lower(i: int, j: int) -> int:
        return (-1) ** (i + j) * comb(i, j)

    if kind == "symmetric":
        return _of_integers(n, lambda i, j: sum(lower(k, i) * lower(k, j) for k in range(max(i, j), n)))
    return _of_integers(n, lower if kind == "lower" else lambda i, j: lower(j, i))


def _kind(kind: str | None) -> str:
    kind = "symmetric" if kind is None else kind
    if kind not in ("symmetric", "lower", "upper"):
        raise here(ValueError, f"kind must be one of 'symmetric', 'lower', 'upper', got {kind!r}")
    return kind


def _of_integers(n: int, element: Any) -> Array:
    def rounded(x: int) -> float:
        try:
            return float(x)
        except OverflowError:
            return float("inf") if x > 0 else float("-inf")

    values = np.array([[rounded(element(i, j)) for j in range(n)] for i in range(n)]).reshape(n, n)
    target = dtypes.default_dtype(float)
    beyond = np.abs(values) > np.finfo(target).max  # said by themselves: NumPy would warn
    return _made(np.where(beyond, np.copysign(np.inf, values), values).astype(target))
