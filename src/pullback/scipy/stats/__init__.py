"""Distributions and statistics, with the names of `scipy.stats`.

Each distribution is a module of functions: `norm.logpdf(x, loc, scale)`. They differ from SciPy's
objects in that parameters are arguments of each function, and have derivatives.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.scipy.stats.kernel_density import gaussian_kde
from pullback.scipy.stats.samples import mode, rankdata, sem

_DISTRIBUTIONS = frozenset(
    [
        "bernoulli",
        "beta",
        "betabinom",
        "binom",
        "cauchy",
        "chi2",
        "dirichlet",
        "expon",
        "gamma",
        "gennorm",
        "geom",
        "gumbel_l",
        "gumbel_r",
        "laplace",
        "logistic",
        "multinomial",
        "multivariate_normal",
        "nbinom",
        "norm",
        "pareto",
        "poisson",
        "t",
        "truncnorm",
        "uniform",
        "vonmises",
        "wrapcauchy",
    ]
)


def __getattr__(name: str) -> _Any:
    if name in _DISTRIBUTIONS:
        return _importlib.import_module(f"pullback.scipy.stats.{name}")
    raise AttributeError(f"module 'pullback.scipy.stats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_DISTRIBUTIONS})


__all__ = ["gaussian_kde", "mode", "rankdata", "sem", *sorted(_DISTRIBUTIONS)]  # noqa: PLE0604
