"""Probabilities of the normal distribution, entropies, logarithms that have a limit, and sums of
exponentials."""

from __future__ import annotations

from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.lax import normal as p
from pullback.lax.elementwise import logistic_p
from pullback.nn.normalization import log_softmax as _log_softmax
from pullback.nn.normalization import logsumexp
from pullback.nn.normalization import softmax as _softmax
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, broadcast_checked, here
from pullback.scipy.special.gamma_functions import weak_operands
from pullback.scipy.special.operands import apply, operand


def _floats(name: str, x: Any) -> Array:
    x = array_like(x, name)
    if dtypes.kind(x.dtype) != "f":
        raise here(TypeError, f"{name} takes floats, got {x.aval}")
    return operand(name, x)


@planned
def ndtr(x: Any) -> Array:
    """The probability that a standard normal variable is at most `x`: ½ erfc(-x/√2) (DLMF 7.18.1),
    elementwise, of floats. TypeError for other types.

    >>> ndtr(-1.0)
    Array(0.15865526, dtype=float32)
    """
    return apply(p.ndtr_p, _floats("ndtr", x))


@planned
def ndtri(p: Any) -> Array:
    """The inverse of `ndtr`, elementwise, of floats: ±∞ at 1 and 0, NaN outside of [0, 1]. TypeError
    for other types.

    >>> ndtri(0.75)
    Array(0.67448974, dtype=float32)
    """
    return apply(ndtri_p, _floats("ndtri", p))


ndtri_p = p.ndtri_p


@planned
def log_ndtr(x: Any, series_order: int = 3) -> Array:
    """log(ndtr(x)), elementwise, of floats; exact also where the probability underflows. TypeError
    for other types.

    `series_order` is accepted as JAX documents it, a number from 0 to 30, and has no effect.

    >>> log_ndtr(-40.0)
    Array(-804.60846, dtype=float32)
    """
    if not isinstance(series_order, int):
        raise here(TypeError, f"log_ndtr takes an integer as series_order, got {series_order!r}")
    if not 0 <= series_order <= 30:
        raise here(ValueError, f"log_ndtr takes a series_order from 0 to 30, got {series_order}")
    return apply(p.log_ndtr_p, _floats("log_ndtr", x))


@planned
def expit(x: Any) -> Array:
    """The logistic function 1/(1 + e^-x), elementwise, of real or complex `x`; integers become floats.

    >>> expit(0.0)
    Array(0.5, dtype=float32, weak_type=True)
    """
    return apply(logistic_p, operand("expit", x, kinds="fc", weak=True))


@planned
def logit(x: Any) -> Array:
    """log(x/(1 - x)), the inverse of `expit`, elementwise, of real `x`: ±∞ at 1 and 0, NaN outside of
    [0, 1]. Integers become floats. TypeError for complex numbers.

    >>> logit(0.75)
    Array(1.0986123, dtype=float32, weak_type=True)
    """
    return apply(p.logit_p, operand("logit", x, weak=True, error=TypeError))


@planned
def entr(x: Any) -> Array:
    """-x log x, 0 at 0 and -∞ for negative `x`, elementwise; integers become floats. ValueError for
    complex numbers.

    >>> entr(0.5)
    Array(0.3465736, dtype=float32, weak_type=True)
    """
    return apply(p.entr_p, operand("entr", x, weak=True))


def _distributions(name: str, x: Any, y: Any) -> list[Array]:
    arrays: list[Array] = broadcast_checked(name, x, y, inexact=True)
    if dtypes.kind(arrays[0].dtype) != "f":
        raise here(ValueError, f"{name} takes no complex numbers, got {arrays[0].aval} and {arrays[1].aval}")
    return arrays


@planned
def rel_entr(p: Any, q: Any) -> Array:
    """p log(p/q), 0 where p = 0 and q ≥ 0, and ∞ where one is negative or only q is 0; elementwise.

    Integers become floats. ValueError for complex numbers.

    >>> rel_entr(0.5, 0.25)
    Array(0.3465736, dtype=float32, weak_type=True)
    """
    return apply(rel_entr_p, *_distributions("rel_entr", p, q))


@planned
def kl_div(p: Any, q: Any) -> Array:
    """p log(p/q) - p + q, of which sums are Kullback and Leibler's divergence; q where p = 0 and q ≥
    0, and ∞ where one is negative or only q is 0. Elementwise.

    Integers become floats. ValueError for complex numbers.

    >>> kl_div(0.5, 0.25)
    Array(0.09657359, dtype=float32, weak_type=True)
    """
    return apply(kl_div_p, *_distributions("kl_div", p, q))


rel_entr_p, kl_div_p = p.rel_entr_p, p.kl_div_p


@planned
def xlogy(x: Any, y: Any) -> Array:
    """x log y, 0 where x = 0 (unless `y` is NaN), elementwise, real or complex; integers become floats.

    >>> xlogy(0.0, 0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return apply(p.xlogy_p, *broadcast_checked("xlogy", x, y, inexact=True))


@planned
def xlog1py(x: Any, y: Any) -> Array:
    """x log(1 + y), 0 where x = 0 (unless `y` is NaN), elementwise, real or complex; integers become
    floats.

    >>> xlog1py(0.0, -1.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return apply(p.xlog1py_p, *broadcast_checked("xlog1py", x, y, inexact=True))


@planned
def boxcox(x: Any, lmbda: Any) -> Array:
    """Box and Cox's transformation (x^λ - 1)/λ (J. R. Stat. Soc. B 26, 1964), log x where λ = 0,
    elementwise, of real operands; integers become floats. TypeError for complex numbers.

    >>> boxcox(4.0, 0.5)
    Array(2., dtype=float32, weak_type=True)
    """
    return apply(p.boxcox_p, *weak_operands("boxcox", x, lmbda))


@planned
def boxcox1p(x: Any, lmbda: Any) -> Array:
    """`boxcox(1 + x, lmbda)`, exact also for tiny `x`.

    >>> boxcox1p(1e-6, 0.5)
    Array(9.999998e-07, dtype=float32, weak_type=True)
    """
    return apply(p.boxcox1p_p, *weak_operands("boxcox1p", x, lmbda))


@planned
def softmax(x: Any, /, *, axis: Any = None) -> Array:
    """exp(x) / sum(exp(x)) along `axis` (an integer, several, or None for all), without overflow.

    >>> import numpy as np
    >>> softmax(np.array([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    return _softmax(x, axis=axis)


@planned
def log_softmax(x: Any, /, *, axis: Any = None) -> Array:
    """log(softmax(x)) along `axis` (an integer, several, or None for all), without cancellation.

    >>> import numpy as np
    >>> log_softmax(np.array([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    return _log_softmax(x, axis=axis)


__all__ = [
    "boxcox", "boxcox1p", "entr", "expit", "kl_div", "log_ndtr", "log_softmax", "logit", "logsumexp", "ndtr", "ndtri", "rel_entr", "softmax",
    "xlog1py", "xlogy",
]  # fmt: skip
