"""The Dirichlet distribution of weights `alpha` over the probabilities x of K classes: the density
is Γ(Σ αᵢ) ∏ xᵢ^(αᵢ-1)/Γ(αᵢ) (Kotz, Balakrishnan and Johnson, "Continuous multivariate
distributions", chapter 49)."""

from __future__ import annotations

import math
from typing import Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.numpy.promotion import here
from pullback.scipy import special
from pullback.scipy.stats.families import instead, of_real, times_log


def _log_density(name: str, x: Any, alpha: Any) -> tuple[Any, Any]:
    """Where `x` is not in the simplex, and the logarithm of the density inside."""
    if len(alpha.shape) != 1:
        raise here(ValueError, f"{name} takes one axis of weights as alpha, got shape {alpha.shape}")
    k = alpha.shape[0]
    if len(x.shape) < 1 or x.shape[0] not in (k, k - 1):
        raise here(
            ValueError, f"{name} takes as many probabilities as weights, or one fewer, got {x.shape} and {alpha.shape}"
        )
    if x.shape[0] == k - 1:
        x = jnp.concatenate([x, 1 - jnp.sum(x, 0, keepdims=True)])
    alpha = alpha.reshape(k, *[1] * (len(x.shape) - 1))
    slack = 1e-6 + 4 * k * float(dtypes.finfo(x.dtype).eps)
    outside = jnp.any(x < 0, 0) | (jnp.abs(jnp.sum(x, 0) - 1) > slack)
    log = jnp.sum(times_log(alpha - 1, instead(outside, x, 1 / k)) - special.gammaln(alpha), 0)
    log = log + special.gammaln(jnp.sum(alpha))
    return outside, jnp.where(jnp.all(alpha > 0), log, math.nan)


@user_api
def logpdf(x: Any, alpha: Any) -> Array:
    """The logarithm of the density of the Dirichlet distribution at `x`, of shape (K, ...), for K
    weights `alpha`; of shape (...).

    The last probability may be left out of `x`. -∞ where `x` is negative or does not add up to 1,
    NaN where a weight is not positive. Integers become floats. ValueError for shapes that do not
    fit, TypeError for complex numbers and lists.

    >>> import pullback.numpy as jnp
    >>> logpdf(jnp.array([0.25, 0.25, 0.5]), jnp.array([1.0, 2.0, 3.0]))
    Array(1.3217559, dtype=float32)
    """
    x, alpha, finish = of_real("dirichlet.logpdf", x, alpha)
    outside, log = _log_density("dirichlet.logpdf", x, alpha)
    return finish(jnp.where(outside, -math.inf, log))


@user_api
def pdf(x: Any, alpha: Any) -> Array:
    """The density of the Dirichlet distribution at `x`: the exponential of `logpdf`, which see.

    >>> import pullback.numpy as jnp
    >>> pdf(jnp.array([0.25, 0.25]), jnp.array([1.0, 2.0, 3.0]))
    Array(3.7500005, dtype=float32)
    """
    x, alpha, finish = of_real("dirichlet.pdf", x, alpha)
    outside, log = _log_density("dirichlet.pdf", x, alpha)
    return finish(jnp.where(outside, 0.0, jnp.exp(log)))


__all__ = ["logpdf", "pdf"]
