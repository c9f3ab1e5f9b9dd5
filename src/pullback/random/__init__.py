"""Random numbers as pure functions of a key: the same key, shape and parameters always give the
same numbers.

    key = random.key(0)
    key, subkey = random.split(key)
    x = random.normal(subkey, (3,))

Samplers take a key, the `shape` of the result (a tuple of ints) and its `dtype`, by default the
default float or integer; parameters, real scalars or arrays, broadcast to the shape. They raise
TypeError for what is no key and for negative lengths; ValueError for arrays of keys (`vmap` is for
these), for dtypes of another kind and for parameters that do not fit the shape. Whether a
distribution has such parameters is not checked: what else they give is not specified.

Streams are those of Threefry-2x32; the option `threefry_partitionable` chooses between their two
layouts (see `lax.threefry`).
"""

from pullback.random.basic import bernoulli, bits, rademacher, randint, uniform
from pullback.random.continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    pareto,
    rayleigh,
    triangular,
    weibull_min,
)
from pullback.random.counts import binomial, geometric, multinomial, poisson
from pullback.random.gammas import ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, t
from pullback.random.gaussian import (
    double_sided_maxwell,
    lognormal,
    maxwell,
    multivariate_normal,
    normal,
    orthogonal,
    truncated_normal,
    wald,
)
from pullback.random.keys import Key, PRNGKey, clone, fold_in, key, key_data, key_dtype, key_impl, split, wrap_key_data
from pullback.random.rejection import random_gamma_p
from pullback.random.selection import categorical, choice, permutation

__all__ = [
    "Key", "PRNGKey", "ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chisquare", "choice", "clone",
    "dirichlet", "double_sided_maxwell", "exponential", "f", "fold_in", "gamma", "generalized_normal", "geometric", "gumbel", "key",
    "key_data", "key_dtype", "key_impl", "laplace", "loggamma", "logistic", "lognormal", "maxwell", "multinomial",
    "multivariate_normal", "normal", "orthogonal", "pareto", "permutation", "poisson", "rademacher", "randint",
    "random_gamma_p", "rayleigh", "split", "t", "triangular", "truncated_normal", "uniform", "wald", "weibull_min", "wrap_key_data",
]  # fmt: skip
