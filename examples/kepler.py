"""Halley's comet: where on its orbit a kick changes its return.

A comet obeys Kepler's problem, ẍ = −GM x/|x|³. It left perihelion in 1986. Which small change of its
velocity, at what point of the orbit, moves its return 75 years later the most? That is the derivative of
one number (the delay) in 200,000 (a kick of two components in each step), so one backward pass gives it:
astrodynamics calls it the primer vector.

The integrator is symplectic, of order 4: leapfrog steps of lengths w, 1 − 2w and w, with w = 1/(2 − ∛2).
The steps are one `lax.scan`, which keeps 100 checkpoints instead of 100,000 states.

What is expected is found without integration. A kick in the first step changes the period alone, so the
delay's derivative is ∂T/∂v = 3aT v/GM. Of a later one, Kepler's equation is differentiated, by the
implicit function theorem (`pb.root`).

H. Yoshida, "Construction of higher order symplectic integrators", Phys. Lett. A 150 (1990);
D. F. Lawden, *Optimal Trajectories for Space Navigation* (1963);
R. H. Battin, *An Introduction to the Mathematics and Methods of Astrodynamics* (1999), §4.3.
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, GREY, ORANGE, VERMILION, Check, Outcome
from pullback import lax

GM = 4 * np.pi**2  # AU³/year²
A, ECCENTRICITY = 17.834, 0.96714  # of 1P/Halley; AU
PERIOD = A**1.5  # years
METRE_PER_SECOND = 365.25 * 86400 / 1.495978707e11  # AU/year
# Perihelion: where it is, and how quick.
X0 = np.array([A * (1 - ECCENTRICITY), 0.0])
V0 = np.array([0.0, np.sqrt(GM / A * (1 + ECCENTRICITY) / (1 - ECCENTRICITY))])


def leapfrog(x, v, dt):
    x = x + 0.5 * dt * v
    v = v - dt * GM * x / jnp.sum(x**2) ** 1.5
    return x + 0.5 * dt * v, v


def fly(kicks, checkpoints=None):
    """Position and velocity after one period and before each kick, for kicks of shape (steps, 2)."""
    dt = PERIOD / len(kicks)
    w = 1 / (2 - 2 ** (1 / 3))

    def step(state, kick):
        x, v = state[0], state[1] + kick
        for weight in (w, 1 - 2 * w, w):
            x, v = leapfrog(x, v, weight * dt)
        return (x, v), state

    return lax.scan(step, (jnp.array(X0), jnp.array(V0)), kicks, checkpoints=checkpoints)


def lateness(x):
    """By how many days a comet comes late that is at x when it should be at X0 with velocity V0."""
    return -365.25 * (x - X0) @ V0 / (V0 @ V0)


def delay(kicks, checkpoints=None):
    (x, _), states = fly(kicks, checkpoints)
    return lateness(x), states


def position(x, v, time):
    """Where a comet is a time after it was at x with velocity v, by Kepler's equation."""
    r = jnp.linalg.norm(x)
    a = 1 / (2 / r - v @ v / GM)
    cosine, sine = 1 - r / a, x @ v / jnp.sqrt(GM * a)  # e cos E₀, e sin E₀

    def equation(E, cosine, sine, phase):  # E: eccentric anomaly since x
        return E - cosine * jnp.sin(E) + sine * (1 - jnp.cos(E)) - phase

    phase = time * jnp.sqrt(GM / a**3)
    E = pb.root(equation, phase, cosine, sine, phase)
    f, g = 1 - a / r * (1 - jnp.cos(E)), time - jnp.sqrt(a**3 / GM) * (E - jnp.sin(E))
    return f * x + g * v


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    steps = 50_000 if small else 100_000
    times = np.linspace(0, PERIOD, steps, endpoint=False)
    kicks = jnp.zeros((steps, 2))

    gradient = pb.jit(pb.value_and_grad(lambda kicks: delay(kicks, 100), has_aux=True))
    (late, (xs, vs)), slopes = gradient(kicks)
    slopes *= METRE_PER_SECOND  # days per m/s

    chosen = np.linspace(0, steps, 40, endpoint=False).astype(int)
    exact_slope = pb.grad(lambda v, x, time: lateness(position(x, v, time)))
    expected = pb.vmap(exact_slope)(vs[chosen], xs[chosen], PERIOD - times[chosen]) * METRE_PER_SECOND
    orbit = pb.vmap(lambda t: position(jnp.array(X0), jnp.array(V0), t))(times[chosen])

    programs = [pb.jit(pb.grad(partial(delay, checkpoints=n), has_aux=True)) for n in (100, None)]
    memory = [p.lower(kicks).compile().memory_analysis().temp_size_in_bytes for p in programs]
    energy = np.sum(vs**2, 1) / 2 - GM / np.linalg.norm(xs, axis=1)
    speed = np.linalg.norm(vs, axis=1)
    along = np.sum(slopes * vs, 1) / speed

    def draw(figure):
        left, right = figure.subplots(2, 1, height_ratios=(1, 1.3))
        thin = slice(None, None, steps // 2000)
        dots = left.scatter(*xs[thin].T, c=np.log10(np.abs(along[thin])), cmap="plasma", s=5)
        figure.colorbar(dots, ax=left, label="log₁₀(days per m/s)")
        for name, radius in {"Earth": 1.0, "Jupiter": 5.2}.items():
            left.plot(*radius * np.array([np.cos(turn := np.linspace(0, 7, 200)), np.sin(turn)]), color=GREY, lw=0.6)
            left.annotate(name, (radius, 0), color=GREY, fontsize=7)
        left.plot(0, 0, "o", color=ORANGE, ms=5)
        left.set(aspect="equal", xlabel="x in AU", ylabel="y in AU", ylim=(-6.5, 6.5))
        right.plot(1986.11 + times, along, color=BLUE, label="backward through the steps")
        exact_along = np.sum(expected * vs[chosen], 1) / speed[chosen]
        right.plot(1986.11 + times[chosen], exact_along, ".", color=VERMILION, label="Kepler's equation")
        right.set(yscale="symlog", xlabel="year of the kick", ylabel="days late per m/s forwards")
        right.legend(fontsize=8)

    source = "Kepler's equation, by the implicit function theorem"
    tolerance = 1e-4 if small else 1e-5
    off = np.abs(xs[chosen] - orbit).max(), np.abs(slopes[chosen] - expected).max() / np.abs(expected).max()
    by_period = 365.25 * 3 * A * PERIOD * V0[1] / GM * METRE_PER_SECOND
    return Outcome(
        checks=[
            Check("position along the orbit, largest error", off[0], 0, tolerance, source, "AU"),
            Check("derivative in 40 kicks, largest relative error", off[1], 0, tolerance, source),
            Check("delay by 1 m/s at perihelion", slopes[0, 1], by_period, 100 * tolerance, "3aTv/GM", "days"),
        ],
        draw=draw,
        facts={
            "kicks, each with its derivative": f"{steps:,}",
            "memory of the backward pass": f"{memory[0] / 1e3:.0f} kB, and {memory[1] / 1e3:.0f} kB without checkpoints",
            "energy after one period": f"changed by {abs(energy[-1] / energy[0] - 1):.1e} of it",
            "delay by 1 m/s at aphelion": f"{along[steps // 2]:.2f} days",
        },
    )
