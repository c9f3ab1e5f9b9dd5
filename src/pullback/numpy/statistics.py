"""Covariances, histograms and counts."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_line
from pullback.core.types import count, integer
from pullback.lax.elementwise import complex_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, reshape_p
from pullback.numpy import ufuncs as u
from pullback.numpy.contraction import dot
from pullback.numpy.conversion import array
from pullback.numpy.creation import full, zeros
from pullback.numpy.joining import concatenate
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, inexact, promote_inexact, value_of
from pullback.numpy.ranges import linspace
from pullback.numpy.reductions import average, max, min, sum
from pullback.numpy.signal import diff
from pullback.numpy.sorting import searchsorted
from pullback.xla.devices import no_sharding


@planned
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None, dtype: Any = None,
) -> Array:  # fmt: skip
    """The covariance matrix of the variables in the rows of `m` (columns, without `rowvar`) and of
    `y`, if given: of shape (k, k) for k variables, or a scalar for one.

    Sums are divided by the number of observations less `ddof` (1, or 0 with `bias`). `fweights` are
    integer repeat counts of the observations, `aweights` relative importances. Integers give
    floats. Raises ValueError for more than two axes, RuntimeError for weights that do not fit,
    TypeError for those of wrong types.

    >>> import pullback.numpy as jnp
    >>> jnp.cov(jnp.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    Array([[ 1., -1.],
           [-1.,  1.]], dtype=float32)
    >>> jnp.cov(jnp.array([0.0, 1.0, 2.0]), fweights=jnp.array([1, 0, 1]))
    Array(2., dtype=float32)
    """
    operands = promote_inexact("cov", m) if y is None else promote_inexact("cov", m, y)
    if dtype is not None:
        dtype = dtypes.canonicalize_dtype(dtype)
        if not dtypes.is_inexact(dtype):
            raise ValueError(f"cov: dtype must be floating or complex, got {dtypes.name(dtype)} at {user_line()}")
        operands = [convert(x, dtype) for x in operands]
    if y is not None and len(operands[1].shape) > 2:
        raise here(ValueError, f"cov: y has more than 2 dimensions: shape {operands[1].shape}")
    if len(operands[0].shape) > 2:
        raise here(ValueError, f"cov: m has more than 2 dimensions: shape {operands[0].shape}")
    variables = []
    for x in operands:
        if len(x.shape) < 2:
            x = reshape_p.bind(x, new_sizes=(1, x.size))
        elif not rowvar and (x.shape[0] != 1 or len(operands) == 1):
            x = x.T
        variables.append(x)
    x = variables[0] if len(variables) == 1 else concatenate(variables)
    if x.shape[0] == 0:
        return zeros((0, 0), x.dtype)
    if x.shape[1] == 0:
        return full((x.shape[0],) * 2 if x.shape[0] > 1 else (), math.nan, x.dtype)
    if ddof is None:
        ddof = 0 if bias else 1
    weights, total = _observation_weights(x, fweights, aweights)
    center = average(x, 1, weights)
    x = x - center[:, None]
    if weights is None:
        weighted, factor = x, x.shape[1] - ddof
    else:
        weighted = x * weights
        if ddof == 0:
            factor = total
        elif aweights is None:
            factor = total - ddof
        else:
            factor = total - ddof * sum(weights * convert(array_like(aweights, "cov"), weights.dtype)) / total
    out = dot(weighted, u.conjugate(x).T) / convert(array_like(factor, "cov"), dtypes.to_real(x.dtype))
    return convert(out, x.dtype)[(0, 0) if out.shape == (1, 1) else ...]


def _observation_weights(x: Array, fweights: Any, aweights: Any) -> tuple[Any, Any]:
    """The weight of each observation (None for 1), and their sum."""
    weights: Any = None
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        w = array_like(given, "cov")
        if len(w.shape) > 1:
            raise here(RuntimeError, f"cannot handle multidimensional {name}: got shape {w.shape}")
        if w.shape[:1] != x.shape[1:]:
            raise here(RuntimeError, f"incompatible numbers of samples and {name}: {x.shape[1]} and shape {w.shape}")
        if name == "fweights" and not dtypes.is_integer(w.dtype):
            raise here(TypeError, f"fweights must be integer, got {w.aval}")
        if name == "aweights" and dtypes.is_complex(w.dtype):
            raise here(TypeError, f"aweights must be real, got {w.aval}")
        w = u.absolute(convert(w, dtypes.to_real(x.dtype)))
        weights = w if weights is None else weights * w
    return weights, None if weights is None else sum(weights)


@planned
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, dtype: Any = None) -> Array:
    """The matrix of Pearson correlation coefficients of the variables in the rows of `x` (columns,
    without `rowvar`) and of `y`, if given: from -1 to 1, NaN for a constant variable.

    The shape, dtype and errors are those of `cov`.

    >>> import pullback.numpy as jnp
    >>> jnp.corrcoef(jnp.array([1.0, 2.0, 3.0]), jnp.array([6.0, 4.0, 2.0])).round(3)
    Array([[ 1., -1.],
           [-1.,  1.]], dtype=float32)
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.shape:
        return u.divide(c, c)
    deviation = u.sqrt(u.real(c.diagonal()))
    c = c / convert(deviation[:, None], c.dtype) / convert(deviation[None, :], c.dtype)
    if dtypes.is_complex(c.dtype):
        return complex_p.bind(u.clip(u.real(c), -1, 1), u.clip(u.imag(c), -1, 1))
    return u.clip(c, -1, 1)


# ---- histograms ----------------------------------------------------------------------------------


def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Array:
    """The edges of the bins of a histogram of `a`: `bins` itself if it is an array, else so many
    equal bins over `range`, a pair.

    The default range is that of the values, widened by 1/2 on both sides if it has no width. The
    edges, one more than there are bins, have the dtype of `a`, made floating. Raises TypeError for
    NumPy's named rules, ValueError for fewer than two edges, and a range that is no pair.

    >>> import pullback.numpy as jnp
    >>> jnp.histogram_bin_edges(jnp.array([1.0, 2.0, 5.0]), bins=4)
    Array([1., 2., 3., 4., 5.], dtype=float32)
    """
    del weights
    if isinstance(bins, str):
        raise TypeError(
            f"histogram_bin_edges: bins must be a number or an array of edges, not the name of a rule, {bins!r}"
        )
    a = inexact(a, "histogram", weak=False)
    edges = array(bins)
    if len(edges.shape) == 1:
        if edges.shape[0] < 2:
            raise here(ValueError, f"histogram: bins must have two edges at least, got shape {edges.shape}")
        return convert(edges, a.dtype)
    ends = [min(a), max(a)] if range is None else [convert(array(b), a.dtype) for b in _pair(range)]
    low, high = ends
    flat = u.equal(low, high)
    low, high = select(flat, low - 0.5, low), select(flat, high + 0.5, high)
    return linspace(low, high, integer(bins, "histogram: bins") + 1, dtype=a.dtype)


def _pair(range: Any) -> Sequence[Any]:
    if isinstance(range, (str, bytes, dict)) or not hasattr(type(range), "__len__") or len(range) != 2:
        raise here(ValueError, f"histogram: range must be a pair (lowest, highest), got {range!r:.100}")
    return range


def histogram(
    a: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Array, Array]:
    """The number of values (or the sum of their weights) in each bin, and the bins' edges; the last
    bin includes its right edge.

    With `density`, the counts are normalized so that the integral is 1. See `histogram_bin_edges`
    for `bins` and `range`. Both results are floating. Raises ValueError for weights of another
    shape than `a`.

    >>> import pullback.numpy as jnp
    >>> counts, edges = jnp.histogram(jnp.array([1.0, 2.0, 2.0, 5.0]), bins=2)
    >>> counts, edges
    (Array([3., 1.], dtype=float32), Array([1., 3., 5.], dtype=float32))
    """
    if weights is None:
        a = inexact(a, "histogram", weak=False)
    else:
        a, weights = promote_inexact("histogram", a, weights, weak=False)
        if weights.shape != a.shape:
            raise here(ValueError, f"weights should have the same shape as a: got {weights.shape} and {a.shape}")
    edges = histogram_bin_edges(a, bins, range)
    values = reshape_p.bind(a, new_sizes=(a.size,))
    n = edges.shape[0] - 1
    if weights is None:
        amounts: Any = broadcast_to(concrete(np.array(1, a.dtype)), values.shape)
    else:
        amounts = reshape_p.bind(weights, new_sizes=(a.size,))
    counts = zeros(n, amounts.dtype).at[_bin_numbers(values, edges)].add(amounts, mode="drop")
    if density:
        counts = counts / convert(diff(edges), counts.dtype) / sum(counts)
    return counts, edges


def _bin_numbers(values: Array, edges: Array) -> Array:
    """The bin of each value; out of bounds for values in none."""
    n = edges.shape[0] - 1
    number = u.subtract(searchsorted(edges, values, side="right"), 1)
    number = select(u.equal(values, edges[-1]), concrete(np.array(n - 1, number.dtype)), number)
    # A negative index would count from the end.
    return select(u.less(number, 0), concrete(np.array(n, number.dtype)), number)


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Array, Array, Array]:
    """The histogram of points (x, y): counts of shape (bins of x, bins of y), and the edges of
    both.

    `x` and `y` have shape (n,). `bins` is a number or array of edges for both axes, or a pair of
    those. `range`, `weights`, `density` and errors are as in `histogramdd`.

    >>> import pullback.numpy as jnp
    >>> x, y = jnp.array([0.0, 0.0, 1.0]), jnp.array([0.0, 3.0, 3.0])
    >>> counts, x_edges, y_edges = jnp.histogram2d(x, y, bins=(2, 3))
    >>> counts
    Array([[1, 0, 1],
           [0, 0, 1]], dtype=int32)
    >>> y_edges
    Array([0., 1., 2., 3.], dtype=float32)
    """
    x, y = array_like(x, "histogram2d"), array_like(y, "histogram2d")
    sample = concatenate([x[:, None], y[:, None]], 1)
    is_shared = not isinstance(bins, (tuple, list, builtins.range)) and len(array(bins).shape) == 1
    counts, edges = histogramdd(sample, [bins, bins] if is_shared else bins, range, weights, density)
    return counts, edges[0], edges[1]


def histogramdd(
    sample: Any, bins: Any = 10, range: Sequence[Any] | None = None, weights: Any = None, density: bool | None = None
) -> tuple[Array, list[Array]]:
    """The histogram of points, the rows of `sample` of shape (n, d): counts with an axis for each
    coordinate, and the edges of each.

    `bins` is a number for all axes, or one number or array of edges for each; `range` a pair (or
    None) for each. `weights`, of shape (n,), are summed instead of counted, and with `density` the
    integral is 1. Raises ValueError if numbers or shapes do not match.

    >>> import pullback.numpy as jnp
    >>> points = jnp.array([[0.0, 0.0], [0.0, 3.0], [1.0, 3.0]])
    >>> counts, edges = jnp.histogramdd(points, bins=(2, 3), weights=jnp.array([1.0, 2.0, 4.0]))
    >>> counts
    Array([[1., 0., 2.],
           [0., 0., 4.]], dtype=float32)
    """
    if weights is None:
        sample = inexact(sample, "histogramdd", weak=False)
    else:
        sample, weights = promote_inexact("histogramdd", sample, weights, weak=False)
    if len(sample.shape) != 2:
        raise here(
            ValueError, f"histogramdd: sample must have a row for each point, of shape (N, D); got {sample.shape}"
        )
    n, d = sample.shape
    if not isinstance(bins, (tuple, list, builtins.range)):
        bins = [bins] * d if not getattr(bins, "shape", ()) else list(bins)
    if len(bins) != d:
        raise here(ValueError, f"histogramdd: got {len(bins)} bins for points of dimension {d}")
    if range is None:
        range = [None] * d
    elif len(range) != d:
        raise here(ValueError, f"histogramdd: got {len(range)} ranges for points of dimension {d}")
    columns = [sample[:, i] for i in _indices(d)]
    edges = [histogram_bin_edges(c, b, r) for c, b, r in zip(columns, bins, range)]
    shape = tuple(e.shape[0] - 1 for e in edges)
    numbers = tuple(_bin_numbers(c, e) for c, e in zip(columns, edges))
    if weights is None:
        amounts: Any = broadcast_to(concrete(np.array(1, dtypes.default_dtype(int))), (n,))
    else:
        amounts = weights
        if amounts.shape != (n,):
            raise here(ValueError, f"histogramdd: weights should have shape {(n,)}, got {amounts.shape}")
    counts = zeros(shape, amounts.dtype).at[numbers].add(amounts, mode="drop")
    if density:
        counts = counts / sum(counts)
        for i, e in enumerate(edges):
            counts = counts / reshape_p.bind(diff(e), new_sizes=tuple(m if j == i else 1 for j, m in enumerate(shape)))
    return counts, edges


_indices = range


def bincount(
    x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None, out_sharding: Any = None
) -> Array:
    """How often each number from 0 occurs in `x`, an integer array of one axis (or the sums of
    their weights): int32, or of the weights' dtype.

    The result has length max(x) + 1, at least `minlength`, or `length` if given, which traced
    arrays need (ConcretizationTypeError without). Negative numbers count as 0, those beyond the
    length not at all. Raises TypeError for other dtypes, ValueError for other numbers of axes.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1, 2, 2, 5])
    >>> jnp.bincount(x), jnp.bincount(x, length=3)
    (Array([0, 1, 2, 0, 0, 1], dtype=int32), Array([0, 1, 2], dtype=int32))
    >>> jnp.bincount(jnp.array([0, 1, 1]), weights=jnp.array([0.5, 1.0, 2.0]))
    Array([0.5, 3. ], dtype=float32)
    """
    no_sharding("bincount", out_sharding)
    x = array_like(x, "bincount")
    if dtypes.kind(x.dtype) not in "biu":
        raise here(TypeError, f"x argument to bincount must have an integer type; got {dtypes.name(x.dtype)}")
    if len(x.shape) != 1:
        raise here(ValueError, f"bincount takes an array of one axis, got shape {x.shape}")
    minlength = integer(minlength, "bincount: minlength")
    length = None if length is None else count(length, "bincount: length")
    if length is None:
        known = value_of(x, "The length of bincount's result is its largest value: give it by `length`.")
        largest = int(np.max(known)) if x.shape[0] else -1
        length = largest + 1 if largest >= minlength else minlength
        length = length if length > 0 else 0
    dtype = dtypes.default_dtype(int)
    index = u.maximum(convert(x, dtype), 0)
    amounts = concrete(np.array(1, dtype)) if weights is None else array_like(weights, "bincount")
    return zeros(length, amounts.dtype).at[index].add(amounts, mode="drop")


def digitize(x: Any, bins: Any, right: bool = False, *, method: str | None = None) -> Array:
    """The number of the bin each value is in: i if bins[i-1] <= x < bins[i] (or < and <=, if
    `right`); for descending bins, the reverse.

    The numbers, of the shape of `x`, are int32: 0 and len(bins) for values outside. See
    `searchsorted` for `method`. Raises ValueError unless `bins` has one axis.

    >>> import pullback.numpy as jnp
    >>> jnp.digitize(jnp.array([-1.0, 0.5, 1.0, 2.5]), jnp.array([0.0, 1.0, 2.0]))
    Array([0, 1, 2, 3], dtype=int32)
    """
    x, bins = array_like(x, "digitize"), array_like(bins, "digitize")
    if len(bins.shape) != 1:
        raise here(ValueError, f"digitize: bins must be a 1-dimensional array; got shape {bins.shape}")
    n = bins.shape[0]
    options: Any = {} if method is None else {"method": method}
    side = "left" if right else "right"
    ascending = searchsorted(bins, x, side, **options)
    if n < 2:
        return ascending
    descending = u.subtract(n, searchsorted(bins[::-1], x, side, **options))
    return select(u.greater_equal(bins[-1], bins[0]), ascending, descending)


__all__ = ["bincount", "corrcoef", "cov", "digitize", "histogram", "histogram2d", "histogram_bin_edges"]
__all__ += ["histogramdd"]
