"""The problems on which orders of elimination are compared: small functions of the literature.

Each is a function of arrays, written with the module that it is given (`pullback.numpy`, or JAX's), so that every
system runs the same. The equations are those of the sources; the set of problems is that of Lohoff and Neftci,
"Optimizing automatic differentiation with deep reinforcement learning" (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Problem(NamedTuple):
    """A function, and arguments in a part of its domain where it is smooth; `argnums` are those differentiated."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    argnums: int | tuple[int, ...] = 0


# ---- gas dynamics ------------------------------------------------------------------------------------------

_GAMMA = 1.4


def roe_flux_1d(xp: Any) -> Problem:
    """The flux between two states (density, momentum, energy) of a gas, in one dimension: P. L. Roe, "Approximate
    Riemann solvers, parameter vectors, and difference schemes" (1981)."""

    def flux(states: Any) -> Any:
        left, right = (_Gas1D(xp, *[states[3 * side + i] for i in range(3)]) for side in (0, 1))
        root_left, root_right = xp.sqrt(left.rho), xp.sqrt(right.rho)
        weight = root_left + root_right
        rho = root_left * root_right
        u = (root_left * left.u + root_right * right.u) / weight
        h = (root_left * left.h + root_right * right.h) / weight
        a2 = (_GAMMA - 1) * (h - 0.5 * u**2)
        a = xp.sqrt(a2)
        d_rho, d_u, d_p = right.rho - left.rho, right.u - left.u, right.p - left.p
        # Jumps along the characteristic fields, times the speeds.
        entropy = (d_rho - d_p / a2) * xp.abs(u)
        plus = (d_p + rho * a * d_u) / (2 * a2) * xp.abs(u + a)
        minus = (d_p - rho * a * d_u) / (2 * a2) * xp.abs(u - a)
        jump = (
            entropy + plus + minus,
            entropy * u + plus * (u + a) + minus * (u - a),
            entropy * 0.5 * u**2 + plus * (h + u * a) + minus * (h - u * a),
        )
        return xp.stack([0.5 * (f + g - d) for f, g, d in zip(left.flux(), right.flux(), jump)])

    return Problem(flux, (np.array([1.0, 0.75, 2.8, 0.6, 0.2, 1.9], np.float32),))


class _Gas1D:
    def __init__(self, xp: Any, rho: Any, momentum: Any, energy: Any) -> None:
        self.rho, self.momentum, self.energy = rho, momentum, energy
        self.u = momentum / rho
        self.p = (_GAMMA - 1) * (energy - 0.5 * momentum**2 / rho)
        self.h = (energy + self.p) / rho

    def flux(self) -> tuple[Any, Any, Any]:
        return self.momentum, self.p + self.momentum * self.u, self.u * (self.p + self.energy)


def roe_flux_3d(xp: Any) -> Problem:
    """The same in three dimensions, through a face normal to the first: E. F. Toro, *Riemann Solvers and Numerical
    Methods for Fluid Dynamics* (3rd edition), section 11.2.2."""

    def flux(states: Any) -> Any:
        sides = [_Gas3D(xp, states[side]) for side in (0, 1)]
        left, right = sides
        roots = [xp.sqrt(s.rho) for s in sides]
        weight = roots[0] + roots[1]

        def mean(x: Any, y: Any) -> Any:
            return (roots[0] * x + roots[1] * y) / weight

        u, v, w = (mean(x, y) for x, y in zip(left.velocity, right.velocity))
        h = mean(left.h, right.h)
        q2 = u**2 + v**2 + w**2
        a2 = (_GAMMA - 1) * (h - 0.5 * q2)
        a = xp.sqrt(a2)
        d = [y - x for x, y in zip(left.state, right.state)]
        shear_v, shear_w = d[2] - v * d[0], d[3] - w * d[0]
        energy = d[4] - shear_v * v - shear_w * w
        entropy = (_GAMMA - 1) / a2 * (d[0] * (h - u**2) + u * d[1] - energy)
        minus = (d[0] * (u + a) - d[1] - a * entropy) / (2 * a)
        plus = d[0] - (minus + entropy)
        minus, plus = minus * xp.abs(u - a), plus * xp.abs(u + a)
        entropy, shear_v, shear_w = (x * xp.abs(u) for x in (entropy, shear_v, shear_w))
        total = minus + entropy + plus
        jump = (
            total,
            minus * (u - a) + entropy * u + plus * (u + a),
            total * v + shear_v,
            total * w + shear_w,
            minus * (h - u * a) + entropy * 0.5 * q2 + shear_v * v + shear_w * w + plus * (h + u * a),
        )
        return xp.stack([0.5 * (f + g - e) for f, g, e in zip(left.flux(), right.flux(), jump)])

    return Problem(flux, (np.array([[1.0, 0.7, 0.2, -0.3, 3.0], [0.6, 0.2, -0.1, 0.25, 2.1]], np.float32),))


class _Gas3D:
    def __init__(self, xp: Any, state: Any) -> None:
        self.state = rho, mu, mv, mw, energy = [state[i] for i in range(5)]
        self.rho = rho
        self.velocity = mu / rho, mv / rho, mw / rho
        self.p = (_GAMMA - 1) * (energy - 0.5 * (mu**2 + mv**2 + mw**2) / rho)
        self.h = (energy + self.p) / rho

    def flux(self) -> tuple[Any, ...]:
        rho, mu, mv, mw, energy = self.state
        u = self.velocity[0]
        return mu, self.p + mu * u, u * mv, u * mw, u * (self.p + energy)


# ---- robotics ----------------------------------------------------------------------------------------------


def robot_arm(xp: Any) -> Problem:
    """Position and orientation (Tait-Bryan angles) of the hand of an arm with six joints, as functions of their angles.
    The transformation of each joint is that of Denavit and Hartenberg; the product of the first three and of the
    last three is written out, as in textbooks (J. J. Craig, *Introduction to Robotics*, section 3.7)."""
    a1, a2, a3, d1, d4, d6 = 0.175, 0.89, 0.05, 0.575, 1.035, 0.185

    def pose(angles: Any) -> Any:
        t1, t2, t3, t4, t5, t6 = (angles[i] for i in range(6))
        (c1, s1), (c2, s2), (c4, s4), (c5, s5), (c6, s6) = ((xp.cos(t), xp.sin(t)) for t in (t1, t2, t4, t5, t6))
        c23, s23 = xp.cos(t2 + t3), xp.sin(t2 + t3)
        # The hand's approach vector in the frame of the wrist, and in that of the base.
        across, along = c4 * s5, c23 * c5
        reach = c23 * across + s23 * c5
        ax, ay, az = c1 * reach + s1 * s4 * s5, s1 * reach - c1 * s4 * s5, s23 * across - along
        bent = c23 * s5 + s23 * c4 * c5
        nz, oz = c6 * bent - s23 * s4 * s6, -s6 * bent - s23 * s4 * c6
        radius = a1 + a2 * c2 + a3 * c23 + d4 * s23
        height = d1 + a2 * s2 + a3 * s23 - d4 * c23
        return xp.stack([
            c1 * radius + d6 * ax,
            s1 * radius + d6 * ay,
            height + d6 * az,
            xp.arctan2(ay, ax),
            xp.arctan2(xp.sqrt(1 - az**2), az),
            xp.arctan2(oz, -nz),
        ])  # fmt: skip

    return Problem(pose, (np.array([0.3, 0.5, -0.4, 0.7, 0.9, 0.2], np.float32),))


# ---- finance -----------------------------------------------------------------------------------------------


def black_scholes_greeks(xp: Any, grad: Any, erf: Any) -> Problem:
    """The first derivatives (Greeks) of the price of a European call, as functions of spot, strike, rate, volatility and
    time: their Jacobian has the second ones. F. Black and M. Scholes (1973)."""

    def normal(z: Any) -> Any:
        return 0.5 * (1 + erf(z / 2**0.5))

    def price(x: Any) -> Any:
        spot, strike, rate, volatility, time = (x[i] for i in range(5))
        deviation = volatility * xp.sqrt(time)
        d1 = (xp.log(spot / strike) + (rate + 0.5 * volatility**2) * time) / deviation
        return spot * normal(d1) - strike * xp.exp(-rate * time) * normal(d1 - deviation)

    return Problem(grad(price), (np.array([1.1, 1.0, 0.03, 0.25, 1.5], np.float32),))


# ---- learning ----------------------------------------------------------------------------------------------


def perceptron(xp: Any, hidden: int = 8) -> Problem:
    """The loss of a perceptron with a hidden layer that is normalized, by all of its parameters."""

    def loss(w1: Any, b1: Any, scale: Any, shift: Any, w2: Any, b2: Any, x: Any, target: Any) -> Any:
        z = xp.tanh(w1 @ x + b1)
        centred = z - xp.mean(z)
        normed = centred / xp.sqrt(xp.mean(centred**2) + 1e-6) * scale + shift
        scores = w2 @ normed + b2
        shifted = scores - xp.max(scores)
        return xp.log(xp.sum(xp.exp(shifted))) - xp.sum(target * shifted)

    r = np.random.RandomState(0)
    shapes = (hidden, 4), (hidden,), (hidden,), (hidden,), (4, hidden), (4,), (4,)
    arguments = [r.randn(*s).astype(np.float32) for s in shapes]
    return Problem(loss, (*arguments, np.float32([0, 1, 0, 0])), tuple(range(6)))


# ---- systems of equations ----------------------------------------------------------------------------------


def human_heart_dipole(xp: Any) -> Problem:
    """Eight equations for the moments of the heart's dipoles: MINPACK-2, B. M. Averick and others, "The MINPACK-2 test
    problem collection" (1992), 2.3."""

    def residuals(x: Any) -> Any:
        a, b, c, d, t, u, v, w = (x[i] for i in range(8))
        mx, my, m_a, m_b, m_c, m_d, m_e, m_f = 0.485, -0.0019, -0.0581, 0.015, 0.105, 0.0406, 0.167, -0.399
        tv, uw = t**2 - v**2, u**2 - w**2
        ttv, vvt = t * (t**2 - 3 * v**2), v * (v**2 - 3 * t**2)
        uuw, wwu = u * (u**2 - 3 * w**2), w * (w**2 - 3 * u**2)
        return xp.stack([
            a + b - mx,
            c + d - my,
            t * a + u * b - v * c - w * d - m_a,
            v * a + w * b + t * c + u * d - m_b,
            a * tv - 2 * c * t * v + b * uw - 2 * d * u * w - m_c,
            c * tv + 2 * a * t * v + d * uw + 2 * b * u * w - m_d,
            a * ttv + c * vvt + b * uuw + d * wwu - m_e,
            c * ttv - a * vvt + d * uuw - b * wwu - m_f,
        ])  # fmt: skip

    return Problem(residuals, (np.array([0.299, 0.186, -0.0273, 0.0254, -0.474, 0.474, -0.0892, 0.0892], np.float32),))


def propane_combustion(xp: Any) -> Problem:
    """Eleven equations for the products of burning propane in air: MINPACK-2 (1992), 2.5, full formulation."""
    pressure, ratio = 40.0, 10.0
    k5, k6, k7, k8, k9, k10 = 0.193, 2.597e-3, 3.448e-3, 1.799e-5, 2.155e-4, 3.846e-5

    def residuals(x: Any) -> Any:
        x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = (x[i] for i in range(11))
        relative = pressure / x11
        root = xp.sqrt(relative)
        return xp.stack([
            x1 + x4 - 3,
            2 * x1 + x2 + x4 + x7 + x8 + x9 + 2 * x10 - ratio,
            2 * x2 + 2 * x5 + x6 + x7 - 8,
            2 * x3 + x9 - 4 * ratio,
            k5 * x2 * x4 - x1 * x5,
            k6 * xp.sqrt(x2 * x4) - xp.sqrt(x1) * x6 * root,
            k7 * xp.sqrt(x1 * x2) - xp.sqrt(x4) * x7 * root,
            k8 * x1 - x4 * x8 * relative,
            k9 * x1 * xp.sqrt(x3) - x4 * x9 * root,
            k10 * x1**2 - x4**2 * x10 * relative,
            x11 - x1 - x2 - x3 - x4 - x5 - x6 - x7 - x8 - x9 - x10,
        ])  # fmt: skip

    start = [5.0, 2.5, 5.0, 0.1, 0.05, 0.1, 0.2, 0.1, 0.1, 0.1, 10.0]
    return Problem(residuals, (np.array(start, np.float32),))


def problems(xp: Any, grad: Any, erf: Any) -> dict[str, Problem]:
    """All of them, by name."""
    return {
        "Roe flux, 1-D": roe_flux_1d(xp),
        "Roe flux, 3-D": roe_flux_3d(xp),
        "robot arm, 6 joints": robot_arm(xp),
        "Black-Scholes, Jacobian of Greeks": black_scholes_greeks(xp, grad, erf),
        "perceptron": perceptron(xp),
        "human heart dipole": human_heart_dipole(xp),
        "propane combustion": propane_combustion(xp),
    }
