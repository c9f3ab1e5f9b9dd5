"""Bessel functions."""

from __future__ import annotations

import operator
from typing import Any

from pullback.core.array import Array
from pullback.lax.bessel import bessel_i_p, bessel_ie_p, bessel_jn_p
from pullback.numpy.joining import stack
from pullback.numpy.planned import planned
from pullback.numpy.promotion import here
from pullback.scipy.special.operands import apply, operand


@planned
def i0(x: Any) -> Array:
    """The modified Bessel function I₀ (DLMF 10.25), elementwise, of real `x`.

    Integers become floats. TypeError for complex numbers.

    >>> i0(1.0)
    Array(1.2660658, dtype=float32, weak_type=True)
    """
    return apply(bessel_i_p, operand("i0", x, weak=True, error=TypeError), order=0)


@planned
def i0e(x: Any) -> Array:
    """e^-|x| I₀(x), the scaled modified Bessel function of order 0, elementwise, of real `x`.

    Integers become floats. TypeError for complex numbers.

    >>> i0e(100.0)
    Array(0.03994438, dtype=float32, weak_type=True)
    """
    return apply(bessel_ie_p, operand("i0e", x, weak=True, error=TypeError), order=0)


@planned
def i1(x: Any) -> Array:
    """The modified Bessel function I₁ (DLMF 10.25), elementwise, of real `x`.

    Integers become floats. TypeError for complex numbers.

    >>> i1(1.0)
    Array(0.5651591, dtype=float32, weak_type=True)
    """
    return apply(bessel_i_p, operand("i1", x, weak=True, error=TypeError), order=1)


@planned
def i1e(x: Any) -> Array:
    """e^-|x| I₁(x), the scaled modified Bessel function of order 1, elementwise, of real `x`.

    Integers become floats. TypeError for complex numbers.

    >>> i1e(100.0)
    Array(0.03974415, dtype=float32, weak_type=True)
    """
    return apply(bessel_ie_p, operand("i1e", x, weak=True, error=TypeError), order=1)


def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Array:
    """The Bessel functions J₀, ..., J_v (DLMF 10.2) of real `z`, stacked: shape (v + 1, *z.shape).

    Integers become floats. `v` is a whole number ≥ 0 (TypeError, ValueError). `n_iter` is accepted
    and has no meaning: the order at which the recurrence starts is chosen to be exact, also for
    z = 0 and large |z|. TypeError for complex `z`.

    >>> bessel_jn(2.0, v=2)
    Array([0.22389078, 0.5767248 , 0.35283402], dtype=float32)
    """
    try:
        v = operator.index(v)
        operator.index(n_iter)
    except TypeError:
        raise here(TypeError, f"bessel_jn needs whole numbers v and n_iter, got {v!r} and {n_iter!r}") from None
    if v < 0:
        raise here(ValueError, f"bessel_jn needs v >= 0, got {v}")
    return stack(apply(bessel_jn_p, operand("bessel_jn", z, error=TypeError), v=v))


__all__ = ["bessel_jn", "i0", "i0e", "i1", "i1e"]
