"""The normal distribution of vectors, of mean `mean` and covariance matrix `cov`: the density is
exp(-½ (x - mean)ᵀ cov⁻¹ (x - mean)) / √det(2π cov)."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.lax.linalg.cholesky import cholesky
from pullback.lax.linalg.triangular import triangular_solve
from pullback.numpy.promotion import here
from pullback.scipy.stats.families import LOG_2PI, of_real


def _log_density(name: str, x: Any, mean: Any, cov: Any, allow_singular: Any) -> Any:
    if allow_singular is not None:
        raise here(NotImplementedError, f"{name}: allow_singular; a singular covariance gives NaN")
    x, mean, cov, finish = of_real(name, x, mean, cov)
    if not mean.shape:
        difference = x - mean
        return finish(-0.5 * difference * difference / cov - 0.5 * (LOG_2PI + jnp.log(cov)))
    n = mean.shape[-1]
    if not cov.shape:
        difference = x - mean
        square = jnp.sum(difference * difference, -1) / cov
        return finish(-0.5 * (square + n * (LOG_2PI + jnp.log(cov))))
    if len(cov.shape) < 2 or cov.shape[-2:] != (n, n) or (x.shape and x.shape[-1] not in (1, n)):
        raise here(
            ValueError,
            f"{name} takes vectors of one length and square matrices of it, got x, mean and cov of shapes {x.shape}, "
            f"{mean.shape} and {cov.shape}",
        )
    factor = cholesky(cov)
    difference = x - mean
    batch = jnp.broadcast_shapes(difference.shape[:-1], cov.shape[:-2])
    columns = jnp.broadcast_to(difference, (*batch, n))[..., None]
    whitened = triangular_solve(jnp.broadcast_to(factor, (*batch, n, n)), columns, left_side=True, lower=True)[..., 0]
    log_determinant = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), -1)
    return finish(-0.5 * (jnp.sum(whitened * whitened, -1) + n * LOG_2PI) - log_determinant)


@user_api
def logpdf(x: Any, mean: Any, cov: Any, allow_singular: Any = None) -> Array:
    """The logarithm of the normal density at vectors `x` of shape (..., n), of mean (..., n) and
    covariance (..., n, n), or of one variance `cov` for all; of shape (...).

    With a single number as `mean`, all are numbers, elementwise. NaN for covariances that are not
    positive definite; of `cov`, the symmetric part counts. ValueError for shapes that do not fit,
    TypeError for complex numbers and lists, NotImplementedError with `allow_singular`.

    >>> import pullback.numpy as jnp
    >>> logpdf(jnp.array([1.0, 2.0]), jnp.zeros(2), jnp.eye(2))
    Array(-4.3378773, dtype=float32)
    """
    return _log_density("multivariate_normal.logpdf", x, mean, cov, allow_singular)  # type: ignore[no-any-return]


@user_api
def pdf(x: Any, mean: Any, cov: Any) -> Array:
    """The normal density at vectors `x`: see `logpdf`, of which it is the exponential.

    >>> import pullback.numpy as jnp
    >>> pdf(jnp.array([1.0, 2.0]), jnp.zeros(2), 2.0)
    Array(0.02279933, dtype=float32)
    """
    return jnp.exp(_log_density("multivariate_normal.pdf", x, mean, cov, None))


__all__ = ["logpdf", "pdf"]
