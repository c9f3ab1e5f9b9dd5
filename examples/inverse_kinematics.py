"""Inverse kinematics of a robot arm with seven joints, and its velocities by the implicit function theorem.

The tool of an arm shall go along a curve and point downwards. That is five conditions g(q, p) = 0 on seven
angles q, for a point p of the curve; among all solutions we want the one that is nearest to a restful posture r.
With multipliers λ it is a stationary point of

    L(q, λ; p) = ½ |q − r|² + λᵀ g(q, p),

so z = (q, λ) is a root of F = ∇L, which Newton's method finds (`pb.root`). The solution is an implicit function
of p: by the implicit function theorem dz/dp = −(∂F/∂z)⁻¹ ∂F/∂p, whatever the solver did, and `pb.jvp` of the
solution costs one linear solve. Along a curve p(t) this gives the joints' velocities, and a `jvp` of that their
accelerations, which is what the motors must be told.

The arm has the lengths and axes of a KUKA LBR iiwa 7. Derivatives are compared with finite differences of the
solver, the posture with the one that SciPy's programme for constrained problems finds.

J. M. Hollerbach, K. C. Suh, "Redundancy resolution of manipulators through torque optimization", IEEE J. Robotics
and Automation 3 (1987), 308-316; B. Siciliano et al., *Robotics*, Springer 2009, chapters 2 and 3.
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, COLOURS, GREY, VERMILION, Check, Outcome
from pullback import lax

X, Y, Z = np.eye(3)
AXES = np.stack([Z, Y, Z, -Y, Z, Y, Z])  # of the joints, in an arm that points upwards
LINKS = np.array([0, 0.34, 0, 0.40, 0, 0.40, 0, 0.226])  # m, before each joint; the last one from there to the tip
REST = jnp.deg2rad(jnp.array([0.0, 40.0, 10.0, -80.0, 0.0, 60.0, 0.0]))


def rotations(q):
    """The rotations of all joints, by Rodrigues' formula."""
    cross = np.cross(np.eye(3), AXES[:, None])  # cross[i] @ v = AXES[i] × v
    s, c = jnp.sin(q)[:, None, None], jnp.cos(q)[:, None, None]
    return np.eye(3) + s * cross + (1 - c) * cross @ cross


def arm(q):
    """Where the base, the joints and the tip are, in m, and where the tool points."""

    def joint(state, link):
        turn, place = state
        length, rotation = link
        place = place + length * turn[:, 2]
        return (turn @ rotation, place), place

    links = jnp.asarray(LINKS[:-1]), rotations(q)
    (turn, place), places = lax.scan(joint, (jnp.eye(3), jnp.zeros(3)), links)
    tip = place + LINKS[-1] * turn[:, 2]
    return jnp.concatenate([jnp.zeros((1, 3)), places, tip[None]]), turn[:, 2]


def conditions(q, point):
    """The tip is at the point, and the tool has no sideways direction."""
    places, direction = arm(q)
    return jnp.concatenate([places[-1] - point, direction[:2]])


def lagrangian(z, point):
    return 0.5 * jnp.sum((z["q"] - REST) ** 2) + z["force"] @ conditions(z["q"], point)


def posture(point, guess):
    """The angles that reach the point, with the multipliers of the conditions."""
    return pb.root(pb.grad(lagrangian), guess, point)


def curve(t):
    """A figure of eight on a table, in m at the time in s: one round takes 4 s."""
    phase = jnp.pi * t / 2
    return jnp.stack([0.52 + 0.12 * jnp.sin(2 * phase), 0.25 * jnp.cos(phase), jnp.full_like(t, 0.15)])


def with_derivative(f):
    return lambda t: pb.jvp(f, (t,), (jnp.ones_like(t),))


@pb.jit
def motion(times, guess):
    """Angles (rad), velocities and accelerations at each of the times, each solution the next one's guess."""

    def at(guess, t):
        solution = lambda t: posture(curve(t), guess)
        (z, velocity), (_, acceleration) = with_derivative(with_derivative(solution))(t)
        return z, (z["q"], velocity["q"], acceleration["q"])

    return lax.scan(at, guess, times)[1]


@pb.enable_x64(True)
def main(small: bool = False) -> Outcome:
    from scipy.optimize import minimize

    guess = {"q": jnp.asarray(REST, "float64"), "force": jnp.zeros(5)}
    times, h = jnp.linspace(0, 4, 41 if small else 401), 1e-3  # s
    angles, velocities, accelerations = (np.asarray(x) for x in motion(times, guess))
    before, after = (np.asarray(motion(times + step, guess)[0]) for step in (-h, h))
    speed, change = (after - before) / (2 * h), (after - 2 * angles + before) / h**2

    equations = pb.jit(lambda q: conditions(q, curve(0.0)))
    theirs = minimize(
        lambda q: 0.5 * np.sum((q - REST) ** 2), angles[0] + 0.1, method="SLSQP", options={"ftol": 1e-14},
        constraints={"type": "eq", "fun": lambda q: np.asarray(equations(q))},
    )  # fmt: skip
    tips = pb.jit(pb.vmap(lambda q: arm(q)[0][-1]))
    reached, pace = pb.jvp(tips, (jnp.asarray(angles),), (jnp.asarray(velocities),))
    wanted, wanted_pace = pb.vmap(with_derivative(curve))(times)
    places, _ = pb.vmap(arm)(angles)

    def draw(figure):
        left, right = figure.subfigures(1, 2)
        room = left.add_subplot(projection="3d")
        room.plot(*np.asarray(places[:, -1]).T, color=VERMILION)
        for i, strength in ((0, 1), (len(times) // 4, 0.5), (len(times) // 2, 0.25)):
            room.plot(*np.asarray(places[i]).T, "o-", color=BLUE, alpha=strength, lw=3, ms=5)
        room.set(xlabel="x, m", ylabel="y, m", zlabel="z, m", zlim=(0, 0.9), aspect="equal")
        room.locator_params(nbins=4)
        room.zaxis.labelpad = 8
        above, below = right.subplots(2, 1, sharex=True)
        some = slice(None, None, max(len(times) // 20, 1))
        for axes, exact, difference in ((above, velocities, speed), (below, accelerations, change)):
            for joint in range(6):  # the seventh turns the tool about itself
                axes.plot(times, exact[:, joint], color=COLOURS[joint], label=f"{joint + 1}")
                axes.plot(times[some], difference[some, joint], ".", color=GREY, ms=4)
        above.set_ylabel("velocity, rad/s")
        below.set(xlabel="time, s", ylabel="acceleration, rad/s²")
        above.legend(
            title="joint", ncols=6, loc="lower center", bbox_to_anchor=(0.5, 1), columnspacing=1, handlelength=1
        )

    return Outcome(
        checks=[
            Check("angles, largest difference", abs(angles[0] - theirs.x).max(), 0, 1e-6, "SciPy's SLSQP", "rad"),
            Check(
                "velocities, largest difference",
                abs(velocities - speed).max(),
                0,
                1e-4,
                "differences of solutions",
                "rad/s",
            ),
            Check(
                "accelerations, largest difference",
                abs(accelerations - change).max(),
                0,
                1e-3,
                "second differences",
                "rad/s²",
            ),
            Check(
                "velocity of the tip, largest difference",
                float(abs(pace - wanted_pace).max()),
                0,
                1e-9,
                "the curve's own",
                "m/s",
            ),
        ],
        draw=draw,
        facts={
            "the tip misses the curve by": f"{1e3 * abs(reached - wanted).max():.1e} mm at most",
            "fastest joint": f"{np.rad2deg(abs(velocities).max()):.0f}°/s",
        },
    )
