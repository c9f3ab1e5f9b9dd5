"""Densities estimated from samples by Gaussian kernels (Scott, "Multivariate density estimation",
1992; Silverman, "Density estimation", 1986)."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback import random
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.tree import register_pytree_node_class
from pullback.lax.linalg.cholesky import cholesky
from pullback.lax.linalg.triangular import triangular_solve
from pullback.numpy.promotion import array_like, here
from pullback.scipy import special
from pullback.scipy.stats.families import LOG_2PI, of_real


@register_pytree_node_class
class gaussian_kde:
    """The density that normal distributions around the points of `dataset` have on average.

    `dataset` has shape (d, n), or (n,) for d = 1; `weights` of shape (n,) say how much the points
    count. `bw_method` scales their covariance: "scott" (the default, also None): n_eff^(-1/(d+4));
    "silverman": (n_eff (d + 2)/4)^(-1/(d+4)); a number; or a function of the estimate.

    A pytree, whose leaves are `neff`, `dataset`, `weights`, `covariance` and `inv_cov`: it can be
    passed to transformed functions, and has derivatives in the points, the weights and the dataset.
    Raises ValueError for fewer than two points, weights that do not fit and unknown methods,
    NotImplementedError for complex points.

    >>> import pullback.numpy as jnp
    >>> kde = gaussian_kde(jnp.array([0.0, 1.0, 3.0]))
    >>> kde.evaluate(jnp.array([0.5, 2.0])).shape, kde.d, kde.n
    ((2,), 1, 3)
    """

    neff: Any
    dataset: Any
    weights: Any
    covariance: Any
    inv_cov: Any
    __slots__ = ("covariance", "dataset", "inv_cov", "neff", "weights")

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None) -> None:
        x = array_like(dataset, "gaussian_kde")
        if dtypes.is_complex(x.dtype):
            raise here(NotImplementedError, f"gaussian_kde of complex points, got {x.aval}", "; stack their parts")
        x = jnp.atleast_2d(x)
        if x.size <= 1 or len(x.shape) > 2:
            raise here(ValueError, f"gaussian_kde takes two points or more, of shape (d, n), got shape {x.shape}")
        d, n = x.shape
        if weights is None:
            (self.dataset,) = of_real("gaussian_kde", x)[:-1]
            self.weights = jnp.full(n, 1.0 / n, self.dataset.dtype)
        else:
            w = jnp.atleast_1d(array_like(weights, "gaussian_kde"))
            if w.shape != (n,):
                raise here(ValueError, f"gaussian_kde takes a weight for each of {n} points, got shape {w.shape}")
            self.dataset, w = of_real("gaussian_kde", x, w)[:-1]
            self.weights = w / jnp.sum(w)
        self.neff = 1 / jnp.sum(self.weights * self.weights)
        if bw_method is None or bw_method == "scott":
            factor = self.neff ** (-1 / (d + 4))
        elif isinstance(bw_method, str):
            if bw_method != "silverman":
                raise here(ValueError, f"gaussian_kde: bw_method must be scott or silverman, got {bw_method!r:.100}")
            factor = (self.neff * (d + 2) / 4) ** (-1 / (d + 4))
        elif callable(bw_method):
            factor = bw_method(self)
        else:
            factor = array_like(bw_method, "gaussian_kde")
            if factor.shape:
                raise here(ValueError, f"gaussian_kde takes one number as bw_method, got shape {factor.shape}")
        centred = self.dataset - jnp.sum(self.dataset * self.weights, -1, keepdims=True)
        sample = (centred * self.weights) @ centred.T / (1 - 1 / self.neff)
        self.covariance = sample * factor**2
        self.inv_cov = jnp.linalg.inv(sample) / factor**2

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """The leaves, in the order of the constructor of none."""
        return (self.neff, self.dataset, self.weights, self.covariance, self.inv_cov), None

    @classmethod
    def tree_unflatten(cls, aux_data: Any, children: Any) -> gaussian_kde:
        """The estimate that has these leaves."""
        del aux_data
        self = object.__new__(cls)
        self.neff, self.dataset, self.weights, self.covariance, self.inv_cov = children
        return self

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return int(self.dataset.shape[0])

    @property
    def n(self) -> int:
        """The number of points."""
        return int(self.dataset.shape[1])

    def __repr__(self) -> str:
        return f"gaussian_kde(d={self.d}, n={self.n})"

    def evaluate(self, points: Any) -> Array:
        """The density at `points` of shape (d, m), or (m,) for d = 1; of shape (m,).

        ValueError for another number of dimensions.
        """
        return jnp.exp(self._log_density("gaussian_kde.evaluate", points))

    def __call__(self, points: Any) -> Array:
        return self.evaluate(points)

    def pdf(self, x: Any) -> Array:
        """The density: `evaluate`."""
        return jnp.exp(self._log_density("gaussian_kde.pdf", x))

    def logpdf(self, x: Any) -> Array:
        """The logarithm of the density, which does not underflow."""
        return self._log_density("gaussian_kde.logpdf", x)  # type: ignore[no-any-return]

    def integrate_gaussian(self, mean: Any, cov: Any) -> Array:
        """The integral of the density times that of the normal distribution of `mean`, of shape (d,),
        and `cov`, of shape (d, d). ValueError for other shapes."""
        mean, cov = jnp.atleast_1d(jnp.squeeze(mean)), jnp.atleast_2d(cov)
        if mean.shape != (self.d,) or cov.shape != (self.d, self.d):
            raise here(
                ValueError,
                f"gaussian_kde.integrate_gaussian takes a mean of {self.d} numbers and a matrix, got {mean.shape} and "
                f"{cov.shape}",
            )
        log = _log_kernel(self.dataset, mean[:, None], self.covariance + cov)[:, 0]
        return jnp.sum(self.weights * jnp.exp(log))

    def integrate_box_1d(self, low: Any, high: Any) -> Array:
        """The integral of the density from `low` to `high`, numbers, of an estimate in one dimension
        (ValueError)."""
        if self.d != 1:
            raise here(ValueError, f"gaussian_kde.integrate_box_1d takes one dimension, there are {self.d}")
        low, high = array_like(low, "integrate_box_1d"), array_like(high, "integrate_box_1d")
        if low.shape or high.shape:
            raise here(ValueError, f"gaussian_kde.integrate_box_1d takes numbers, got {low.shape} and {high.shape}")
        deviation = jnp.sqrt(self.covariance[0, 0])
        a, b = (low - self.dataset[0]) / deviation, (high - self.dataset[0]) / deviation
        # Probabilities near 1 are not subtracted.
        right = a > 0
        mass = special.ndtr(jnp.where(right, -a, b)) - special.ndtr(jnp.where(right, -b, a))
        return jnp.sum(self.weights * mass)

    def integrate_kde(self, other: Any) -> Array:
        """The integral of the product of two densities of one number of dimensions (ValueError)."""
        if other.d != self.d:
            raise here(ValueError, f"gaussian_kde.integrate_kde: there are {self.d} and {other.d} dimensions")
        log = _log_kernel(self.dataset, other.dataset, self.covariance + other.covariance)
        return jnp.sum(self.weights[:, None] * other.weights * jnp.exp(log))

    def resample(self, key: Any, shape: Any = ()) -> Array:
        """Random points of the density, an array of shape (d, *shape)."""
        which, where = random.split(key)
        points = random.choice(which, self.dataset, shape, p=self.weights, axis=1)
        noise = random.normal(where, (self.d, *points.shape[1:]), self.dataset.dtype)
        return points + jnp.tensordot(cholesky(self.covariance), noise, 1)

    def integrate_box(self, low_bounds: Any, high_bounds: Any, maxpts: Any = None) -> Array:
        """Not there: NotImplementedError. In one dimension, `integrate_box_1d` is."""
        del low_bounds, high_bounds, maxpts
        raise here(NotImplementedError, "gaussian_kde.integrate_box", "; in one dimension, take integrate_box_1d")

    def set_bandwidth(self, bw_method: Any = None) -> None:
        """Not there, because nothing is changed in place: NotImplementedError."""
        del bw_method
        raise here(NotImplementedError, "gaussian_kde.set_bandwidth", "; make a new gaussian_kde with bw_method")

    def _log_density(self, name: str, points: Any) -> Any:
        points = jnp.atleast_2d(array_like(points, name))
        if dtypes.is_complex(points.dtype):
            raise here(TypeError, f"{name} takes real points, got {points.aval}")
        if len(points.shape) > 2 or points.shape[0] != self.d:
            if points.shape != (1, self.d):
                raise here(ValueError, f"{name} takes points of {self.d} dimensions, got shape {points.shape}")
            points = points.T
        log = _log_kernel(self.dataset, points, self.covariance)
        return special.logsumexp(log, axis=0, b=self.weights[:, None])


def _log_kernel(x: Any, y: Any, covariance: Any) -> Any:
    """The logarithms of the normal densities between points of shapes (d, n) and (d, m); (n, m)."""
    x, y, covariance = of_real("gaussian_kde", x, y, covariance)[:-1]
    factor = cholesky(covariance)
    x, y = (triangular_solve(factor, v, left_side=True, lower=True) for v in (x, y))
    log: Any = -jnp.sum(jnp.log(jnp.diagonal(factor))) - 0.5 * x.shape[0] * LOG_2PI
    for a, b in zip(x, y):
        difference = a[:, None] - b
        log = log - 0.5 * difference * difference
    return log


__all__ = ["gaussian_kde"]
