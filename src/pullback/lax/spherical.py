"""The primitive of spherical harmonics: their part that depends on the polar angle.

Sources: DLMF 14.10.3 and 14.30.1, normalized; derivatives by the ladder operators of angular momentum
(D. Varshalovich et al., "Quantum Theory of Angular Momentum", 1988, 5.8), which have no singularities
at the poles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core.errors import user_line
from pullback.lax.approximations import INFINITY, Special, by_scipy
from pullback.lax.elementwise import max_p, sqrt_p
from pullback.lax.family import add_p, like, mul_p, sub_p


def polar_part(xp: Any, n: Any, m: Any, theta: Any) -> Any:
    """Y_n^m(θ, 0): up the diagonal to (m, m), and from there up to (n, m)."""
    order = xp.abs(m)
    regular = (n >= order) & (n < INFINITY) & xp.is_number(m) & xp.is_number(theta)
    n_, m_, angle = xp.where(regular, n, 0.0), xp.where(regular, order, 0.0), xp.where(regular, theta, 0.0)
    sin, cos = xp.sin(angle), xp.cos(angle)

    def step(k: Any, value: Any, before: Any) -> Any:
        on_diagonal = k <= m_
        diagonal = value * sin * -xp.sqrt(1 + 0.5 / k + m_ * 0.0)
        square, below = k * k, (k - 1) * (k - 1)
        gap = xp.where(on_diagonal, 1.0, square - m_ * m_)
        a = xp.sqrt((4 * square - 1) / gap)
        b = xp.sqrt(xp.where(on_diagonal, 0.0, below - m_ * m_) / xp.abs(4 * below - 1))
        upward = a * (cos * value - b * before)
        going = k <= n_
        new = xp.where(on_diagonal, diagonal, upward)
        before = xp.where(going, xp.where(on_diagonal, 0.0, value), before)
        return (xp.where(going, new, value), before), regular & (k < n_)

    start = angle * 0.0 + math.sqrt(0.25 / math.pi)
    value = xp.iterate(step, (start, angle * 0.0), regular & (n_ > 0))[0]
    half = order * 0.5
    value = xp.where((m < 0) & (half > xp.floor(half)), -value, value)
    outside = xp.where((n >= 0) & (n < order) & xp.is_number(theta), 0.0, math.nan)
    return xp.where(regular, value, outside)


_scipy = by_scipy("sph_harm_y")


def _eager(n: Any, m: Any, theta: Any) -> Any:
    out = _scipy(n.astype(np.int32), m.astype(np.int32), np.asarray(theta), np.zeros_like(theta)).real
    below = np.sin(theta) < 0
    if below.any():  # SciPy takes |sin θ|; this is smooth
        out = np.where(below & (np.mod(m, 2) != 0), -out, out)
    return np.where(np.abs(m) > n, np.zeros_like(out), out).astype(theta.dtype)


def _whole(name: str) -> Any:
    def partial(*values: Any) -> Any:
        raise NotImplementedError(
            f"sph_harm_y has no derivative with respect to {name}, at {user_line()}: it is a whole number"
        )

    return partial


def _by_angle(n: Any, m: Any, theta: Any, out: Any) -> Any:
    one, zero = like(1, theta), like(0, theta)
    up, down = add_p.bind(m, one), sub_p.bind(m, one)
    # √((n - m)(n + m + 1)) and √((n + m)(n - m + 1)), which are 0 at the ends of the ladder.
    above = mul_p.bind(sub_p.bind(n, m), add_p.bind(n, up))
    below = mul_p.bind(add_p.bind(n, m), sub_p.bind(n, down))
    first = mul_p.bind(sqrt_p.bind(max_p.bind(above, zero)), polar_part_p.bind(n, up, theta))
    second = mul_p.bind(sqrt_p.bind(max_p.bind(below, zero)), polar_part_p.bind(n, down, theta))
    return mul_p.bind(like(0.5, theta), sub_p.bind(first, second))


polar_part_p = Special("sph_harm_polar", _eager, polar_part, _whole("n"), _whole("m"), _by_angle, wide=True)
