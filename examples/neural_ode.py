"""The law of a pendulum, learnt from noisy observations of its motion.

A pendulum with friction obeys θ̈ = −(g/l) sin θ − c θ̇ − k |θ̇| θ̇. Somebody who knows that there is a second-order
law θ̈ = f(θ, θ̇), but not which, puts a small network in its place and fits it to measured angles: a neural
ordinary differential equation. The law is then known at all amplitudes that were seen, and predicts swings that
were not.

The equation is solved by the pair of Runge-Kutta methods of Bogacki and Shampine, with as many steps as the
tolerance asks for: a `lax.while_loop`, which reverse mode goes through in bounded memory, keeping some states
and computing the others again. The gradient is therefore that of the numbers that were computed, not that of a
differential equation solved backwards. It is checked against finite differences, and against the adjoint
equation, which `odeint` solves.

R. T. Q. Chen et al., "Neural ordinary differential equations", NeurIPS 2018; P. Bogacki, L. F. Shampine, "A
3(2) pair of Runge-Kutta formulas", Applied Mathematics Letters 2 (1989), 321-325.
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, GREY, VERMILION, Check, Outcome, progress
from pullback import lax, nn, random
from pullback.experimental.ode import odeint

GRAVITY, LENGTH, FRICTION, DRAG = 9.81, 1.0, 0.15, 0.1  # m/s², m, 1/s, 1


def pendulum(state, _=None):
    angle, rate = state  # rad, rad/s
    return jnp.stack([rate, -GRAVITY / LENGTH * jnp.sin(angle) - FRICTION * rate - DRAG * abs(rate) * rate])


def learnt(params, state):
    """The same with a network for the acceleration, which sees sine and cosine: it knows full turns."""
    angle, rate = state
    x = jnp.stack([jnp.sin(angle), jnp.cos(angle), rate / 5])
    *hidden, (w, b) = params
    for weights, bias in hidden:
        x = jnp.tanh(x @ weights + bias)
    return jnp.stack([rate, 10 * (x @ w + b)[0]])


def initial(key, sizes):
    keys = random.split(key, len(sizes))
    draw = nn.initializers.glorot_normal()
    return [(draw(k, (m, n)), jnp.zeros(n)) for k, m, n in zip(keys, sizes, sizes[1:])]


def solve(f, y, duration, tolerance):
    """y(duration) with y′ = f(y) from `y`, by steps whose error is about `tolerance`."""

    def step(state):
        left, h, y, k1 = state
        h = jnp.minimum(h, left)
        k2 = f(y + h * k1 / 2)
        k3 = f(y + h * k2 * 3 / 4)
        new = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = f(new)
        error = jnp.linalg.norm(h * (-5 * k1 + 6 * k2 + 8 * k3 - 9 * k4)) / 72
        left, y, k1 = lax.cond(error <= tolerance, lambda: (left - h, new, k4), lambda: (left, y, k1))
        # How long steps are is the solver's affair: no derivative is wanted of it.
        longer = jnp.clip(0.9 * jnp.cbrt(tolerance / (lax.stop_gradient(error) + 1e-300)), 0.2, 5.0)
        return left, h * longer, y, k1

    return lax.while_loop(lambda state: state[0] > 0, step, (duration, duration / 2, y, f(y)))[2]


def trajectory(f, y, interval, count, tolerance):
    """The states at 0, 1, ..., `count` intervals."""

    def further(y, _):
        return solve(f, y, interval, tolerance), y

    end, states = lax.scan(further, y, None, length=count)
    return jnp.concatenate([states, end[None]])


def loss(params, measured, interval, tolerance):
    """Of the network and the first state of each window, with the axes window, time, (angle, rate)."""
    network, first = params
    run = lambda y: trajectory(partial(learnt, network), y, interval, measured.shape[1] - 1, tolerance)
    return jnp.mean((pb.vmap(run)(first) - measured) ** 2)


def loss_by_odeint(params, measured, interval):
    """The same by a solver whose gradient comes from the adjoint equation."""
    network, first = params
    times = interval * jnp.arange(measured.shape[1])
    law = lambda y, t, network: learnt(network, y)
    run = lambda y: odeint(law, y, times, network, rtol=1e-10, atol=1e-10)
    return jnp.mean((pb.vmap(run)(first) - measured) ** 2)


@pb.enable_x64(True)
def main(small: bool = False) -> Outcome:
    from scipy.optimize import minimize

    interval, window, noise = 0.1, 10, 0.02  # s, intervals, rad and rad/s
    swings, length, hidden, iterations = (4, 20, (16,), 100) if small else (8, 50, (16, 16), 400)
    key = random.key(3)
    truth = pb.jit(pb.vmap(lambda y: trajectory(pendulum, y, interval, length, 1e-9)))
    start = jnp.stack([jnp.linspace(0.8, 3.0, swings), jnp.linspace(0.0, 1.0, swings)], axis=1)
    seen = truth(start) + noise * random.normal(key, (swings, length + 1, 2))
    measured = jnp.concatenate([seen[:, i : i + window + 1] for i in range(0, length, window)])

    params, unravel = pb.flatten_util.ravel_pytree((initial(random.fold_in(key, 1), (3, *hidden, 1)), measured[:, 0]))
    value_and_slope = pb.jit(pb.value_and_grad(lambda v, tolerance: loss(unravel(v), measured, interval, tolerance)))
    steps = progress(range(iterations), "iterations")
    fit = minimize(
        value_and_slope, params, (1e-4,), jac=True, method="L-BFGS-B", callback=lambda _: next(steps, None),
        options={"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 0},
    )  # fmt: skip
    steps.close()
    network, _ = unravel(jnp.asarray(fit.x))

    direction = random.normal(random.fold_in(key, 2), params.shape)
    at = lambda h: value_and_slope(fit.x + h * direction, 1e-10)
    differences = (8 * (at(1e-3)[0] - at(-1e-3)[0]) - (at(2e-3)[0] - at(-2e-3)[0])) / 12e-3
    checks = [
        Check(
            "derivative of the loss in some direction",
            float(at(0)[1] @ direction),
            float(differences),
            1e-7,
            "finite differences",
            "rad²",
        )
    ]
    if not small:
        adjoint = pb.jit(pb.grad(lambda v: loss_by_odeint(unravel(v), measured, interval)))(fit.x)
        off = jnp.linalg.norm(at(0)[1] - adjoint) / jnp.linalg.norm(adjoint)
        checks.append(Check("gradient, relative difference", float(off), 0, 1e-5, "the adjoint equation, by odeint"))

    unseen = jnp.array([2.5, -1.0])  # rad, rad/s
    true = np.asarray(truth(unseen[None])[0])
    predicted = np.asarray(pb.jit(lambda y: trajectory(partial(learnt, network), y, interval, length, 1e-9))(unseen))
    error = abs(predicted - true)[:, 0].max()
    checks.append(
        Check(
            "error of the angle of a swing that was not seen",
            error,
            0,
            0.2 if small else 0.02,
            "the law that made the data",
            "rad",
        )
    )
    angles, rates = np.linspace(-np.pi, np.pi, 101), np.linspace(-6, 6, 101)
    acceleration = lambda law, angle, rate: np.asarray(
        pb.vmap(lambda y: law(y)[1])(jnp.stack(jnp.broadcast_arrays(angle, rate), axis=1))
    )

    def draw(figure):
        left, (above, below) = (f.subplots(n) for f, n in zip(figure.subfigures(1, 2, width_ratios=(1.3, 1)), (1, 2)))
        times = interval * np.arange(length + 1)
        for swing in np.asarray(seen):
            left.plot(times, swing[:, 0], ".", color=GREY, alpha=0.4, ms=4)
        left.plot(times, true[:, 0], color=BLUE, lw=3, alpha=0.5, label="true swing, not seen")
        left.plot(times, predicted[:, 0], "--", color=VERMILION, label="predicted")
        left.set(xlabel="time, s", ylabel="angle, rad")
        left.legend()
        for axes, x, states in ((above, angles, (angles, 0.0)), (below, rates, (0.0, rates))):
            axes.plot(x, acceleration(pendulum, *states), color=BLUE, lw=3, alpha=0.5)
            axes.plot(x, acceleration(partial(learnt, network), *states), "--", color=VERMILION)
            axes.set_ylabel("acceleration, rad/s²")
        above.set_xlabel("angle at rest, rad")
        below.set_xlabel("rate at the lowest point, rad/s")

    return Outcome(
        checks=checks,
        draw=draw,
        facts={
            "root mean square of what is not explained": f"{fit.fun**0.5:.4f} (noise: {noise}) rad, rad/s",
            "gradients computed": f"{fit.nfev}",
        },
    )
