"""The normal distribution and what is made of normal numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_line
from pullback.core.types import broadcast_shapes, integer
from pullback.lax import functions as lax
from pullback.lax.linalg import cholesky, eigh, qr, svd
from pullback.lax.linalg.matrices import adjoint, diagonal
from pullback.lax.reductions import reduce_sum
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, expand_dims
from pullback.lax.special import erf, erf_inv
from pullback.random.arguments import (
    array_like,
    canonical_shape,
    fitting_shape,
    float_dtype,
    inexact_dtype,
    parameters,
    sampling,
    scalar,
    single_key,
    standard_normals,
    unit_uniforms,
)
from pullback.random.basic import rademacher, uniform_between
from pullback.random.keys import split
from pullback.xla.devices import no_sharding


def normal(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Standard normal numbers, √2 erf⁻¹(u) for u uniform in (-1, 1).

    Complex types give independent real and imaginary parts of variance 1/2. Raises ValueError for
    dtypes that are neither floating nor complex.

    >>> from pullback import random
    >>> random.normal(random.PRNGKey(0), (2,))
    Array([-0.78476596,  0.85644484], dtype=float32)
    >>> z = random.normal(random.key(0), (10_000,), complex)
    >>> round(float(abs(z.mean())), 1), round(float((abs(z) ** 2).mean()), 1)
    (0.0, 1.0)
    """
    no_sharding("normal", out_sharding)
    key = single_key("normal", key)
    found = inexact_dtype("normal", dtype)
    shape = canonical_shape(shape)
    if dtypes.is_float(found):
        return standard_normals(key, shape, found)
    real_key, imaginary_key = split(key)
    part = dtypes.to_real(found)
    real, imaginary = standard_normals(real_key, shape, part), standard_normals(imaginary_key, shape, part)
    return lax.complex(real, imaginary) / concrete(found.type(math.sqrt(2)))


def lognormal(key: Any, sigma: Any = 1.0, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Exponentials of normal numbers with mean 0 and standard deviation `sigma`, whose shape is the
    default of `shape`.

    >>> from pullback import random
    >>> x = random.lognormal(random.key(0), 0.5, (10_001,))
    >>> import pullback.numpy as jnp
    >>> round(float(jnp.median(x)), 1), round(float(jnp.log(x).std()), 1)
    (1.0, 0.5)
    """
    key, dtype, shape, sigma = sampling("lognormal", out_sharding, key, dtype, shape, sigma)
    return lax.exp(standard_normals(key, shape, dtype) * sigma)


def truncated_normal(
    key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None
) -> Array:
    """Standard normal numbers conditioned to lie in (lower, upper), differentiable with respect to
    both.

    `shape` defaults to what the bounds broadcast to. By inversion of the distribution function.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> x = random.truncated_normal(random.key(0), jnp.array([-1.0, 2.0]), jnp.array([1.0, 3.0]), (1000, 2))
    >>> x.min(0) > jnp.array([-1, 2]), x.max(0) < jnp.array([1, 3])
    (Array([ True,  True], dtype=bool), Array([ True,  True], dtype=bool))
    """
    key, dtype, shape, lower, upper = sampling("truncated_normal", out_sharding, key, dtype, shape, lower, upper)
    root = math.sqrt(2)
    u = uniform_between(key, shape, erf(lower / root), erf(upper / root))
    out = erf_inv(u) * root
    # Rounding must not carry it to the bounds or beyond.
    above, below = lax.nextafter(lower, scalar(np.inf, dtype)), lax.nextafter(upper, scalar(-np.inf, dtype))
    return lax.min(lax.max(out, above), below)


def multivariate_normal(
    key: Any,
    mean: Any,
    cov: Any,
    shape: Any = None,
    dtype: Any = None,
    method: str = "cholesky",
    *,
    out_sharding: Any = None,
) -> Array:
    """Vectors of normal numbers with a given mean, of shape (..., n), and covariance, of shape
    (..., n, n).

    `shape`, by default what the leading axes of both broadcast to, is that of the result without
    its last axis. `method` says how the covariance is factored: "cholesky" (fastest), "eigh" or
    "svd" (which allow singular ones). Differentiable with respect to mean and covariance. Raises
    ValueError for shapes that do not fit and unknown methods.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> cov = jnp.array([[2.0, 1.0], [1.0, 3.0]])
    >>> x = random.multivariate_normal(random.key(0), jnp.array([5.0, 0.0]), cov, (20_000,))
    >>> jnp.cov(x, rowvar=False).round(1) + 0.0
    Array([[2., 1.],
           [1., 3.]], dtype=float32)
    """
    no_sharding("multivariate_normal", out_sharding)
    key = single_key("multivariate_normal", key)
    mean, cov = array_like("multivariate_normal", mean), array_like("multivariate_normal", cov)
    if method not in ("cholesky", "eigh", "svd"):
        raise ValueError(
            f"multivariate_normal: method must be one of 'cholesky', 'eigh' and 'svd', got {method!r} at {user_line()}"
        )
    if not mean.ndim:
        raise ValueError(f"multivariate_normal requires mean.ndim >= 1, got mean.ndim == {mean.ndim}, at {user_line()}")
    n = mean.shape[-1]
    if cov.shape[-2:] != (n, n):
        raise ValueError(
            f"multivariate_normal requires cov.shape == (..., n, n) for n={n}, but got cov.shape == {cov.shape}, at {user_line()}"
        )
    if dtype is None:
        promoted, _ = dtypes.promotion(mean, cov)
        dtype = dtypes.canonicalize(dtypes.to_inexact(promoted))
    dtype = float_dtype("multivariate_normal", dtype)
    lead = broadcast_shapes(mean.shape[:-1], cov.shape[:-2])
    what = f"multivariate_normal: mean of shape {mean.shape} and cov of shape {cov.shape}"
    shape = fitting_shape(what, shape, lead)
    mean, cov = convert(mean, dtype), convert(cov, dtype)
    if method == "cholesky":
        factor = cholesky(cov)
    else:
        vectors, values = svd(cov)[:2] if method == "svd" else eigh(cov)
        factor = vectors * expand_last_but_one(lax.sqrt(values))
    z = standard_normals(key, (*shape, n), dtype)
    # factor @ z, with the leading axes broadcast
    product = broadcast_to(factor, (*shape, n, n)) * broadcast_to(expand_last_but_one(z), (*shape, n, n))
    return reduce_sum(product, (len(shape) + 1,)) + broadcast_to(mean, (*shape, n))


def expand_last_but_one(x: Array) -> Array:
    """`x` of shape (..., n) as (..., 1, n)."""
    return expand_dims(x, x.ndim - 1)


def maxwell(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of the Maxwell distribution: lengths of vectors of three standard normal numbers, with
    mean 2 √(2/π).

    >>> from pullback import random
    >>> x = random.maxwell(random.key(0), (10_000,))
    >>> round(float(x.mean()), 1), round(float((x**2).mean()), 1)
    (1.6, 3.0)
    """
    key, dtype, shape = sampling("maxwell", out_sharding, key, dtype, shape)
    vectors = standard_normals(key, (*shape, 3), dtype)
    return lax.sqrt(reduce_sum(vectors * vectors, (len(shape),)))


def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Any = (), dtype: Any = None) -> Array:
    """loc + scale × a Maxwell number with a random sign: density ((x - loc)² / scale³) exp(-(x -
    loc)² / 2 scale²) / √(2π).

    `shape` comes before that of the parameters: there are so many numbers for each of them.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> random.double_sided_maxwell(random.key(0), jnp.zeros(3), 1.0, (5,)).shape
    (5, 3)
    >>> x = random.double_sided_maxwell(random.key(0), 10.0, 2.0, (10_000,))
    >>> round(float(x.mean())), round(float(x.var()))        # loc and 3 scale²
    (10, 12)
    """
    key, dtype = single_key("double_sided_maxwell", key), float_dtype("double_sided_maxwell", dtype)
    own, loc, scale = parameters("double_sided_maxwell", dtype, None, loc, scale)
    shape = (*canonical_shape(shape), *own)
    size_key, sign_key = split(key)
    return maxwell(size_key, shape, dtype) * rademacher(sign_key, shape, dtype) * scale + loc


def wald(key: Any, mean: Any, shape: Any = None, dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Numbers of the Wald (inverse Gaussian) distribution with a given mean and scale 1. `shape`
    defaults to that of `mean`.

    By the transformation of Michael, Schucany and Haas ("Generating random variates using
    transformations with multiple roots", 1976).

    >>> from pullback import random
    >>> x = random.wald(random.key(0), 0.5, (10_000,))
    >>> round(float(x.mean()), 2), round(float(x.var()), 2)  # mean and mean³
    (0.5, 0.13)
    """
    key, dtype, shape, mean = sampling("wald", out_sharding, key, dtype, shape, mean)
    normal_key, uniform_key = split(key)
    v, u = standard_normals(normal_key, shape, dtype), unit_uniforms(uniform_key, shape, dtype)
    # The smaller root x of (x - mean)² = x mean² v², without the cancellation of the textbook
    # formula; the other is mean²/x.
    w = mean * (v * v)
    x = broadcast_to(2 * mean, shape) / (2 + w + lax.sqrt(w * (4 + w)))
    return select(lax.le(u, mean / (mean + x)), x, mean * mean / x)


def orthogonal(
    key: Any, n: int, shape: Any = (), dtype: Any = None, m: int | None = None, *, out_sharding: Any = None
) -> Array:
    """Orthogonal matrices (unitary ones, for complex types), uniform by Haar's measure: shape
    (*shape, n, m), m = n by default.

    With m ≠ n their rows or columns, whichever are fewer, are orthonormal. Raises ValueError for
    negative sizes.

    >>> import pullback.numpy as jnp
    >>> from pullback import random
    >>> q = random.orthogonal(random.key(0), 4, m=2)
    >>> q.shape, bool(jnp.allclose(q.T @ q, jnp.eye(2), atol=1e-6))
    ((4, 2), True)
    """
    no_sharding("orthogonal", out_sharding)
    key = single_key("orthogonal", key)
    found = inexact_dtype("orthogonal", dtype)
    shape = canonical_shape(shape)
    rows = integer(n, "orthogonal: n")
    columns = rows if m is None else integer(m, "orthogonal: m")
    if rows < 0 or columns < 0:
        raise ValueError(f"orthogonal: negative dimensions are not allowed, got n={n} and m={m}, at {user_line()}")
    q, r = qr(normal(key, (*shape, max(rows, columns), min(rows, columns)), found), full_matrices=False)
    # The decomposition is unique, and q thus uniform, once the diagonal of r is made positive
    # (Mezzadri 2007).
    q = q * expand_last_but_one(lax.sign(diagonal(r)))
    return q if rows >= columns else adjoint(q)


__all__ = [
    "double_sided_maxwell", "lognormal", "maxwell", "multivariate_normal", "normal", "orthogonal", "truncated_normal", "wald",
]  # fmt: skip
