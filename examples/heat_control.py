"""Optimal control of the heat equation: a plate is given a pattern of temperatures.

Elements behind a steel plate heat it or cool it. Which powers u(t) bring the plate, in a given
time, to a prescribed temperature T* everywhere, without needless effort?

    ∂T/∂t = ∇·(a(T) ∇T) − T/τ + Σᵢ uᵢ(t) bᵢ(x),  a(T) = a₀ (1 + β T),  T(0) = 0,
    minimise ½ mean (T(t_end) − T*)² + ½ α mean u².

Its gradient runs the equation forwards and the adjoint equation backwards, which needs all states in reverse
order, because the conductivity of steel rises with temperature. `lax.scan(..., checkpoints="binomial")` keeps
log₂ of the number of steps of them, and computes the others again by the schedule that is best for so many. The
minimum is found by Newton's method whose linear systems are solved by conjugate gradients, so also the products
with the Hessian go through the checkpointed loop (`pb.argmin`).

Without β the problem is linear-quadratic: u solves (SᵀS/n + α/m I) u = Sᵀ T*/n, where the matrix S of the
plate's response is made with NumPy and the system solved densely. The same program must give the same powers.

J.-L. Lions, *Optimal Control of Systems Governed by Partial Differential Equations*, Springer 1971; A. Griewank,
A. Walther, "Algorithm 799: revolve", ACM Trans. Mathematical Software 26 (2000), 19-45.
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import COLOURS, Check, Outcome
from pullback import lax

SIDE = 0.10  # m, of the plate
DURATION = 400.0  # s
DIFFUSIVITY = 4e-6  # m²/s, of stainless steel at the temperature of the room
RISE = 1e-3  # 1/K: by how much it grows
LOSS = 1e-3  # 1/s, to the air
EFFORT = 1.0  # s²: α, what a power of 1 K/s counts beside an error of 1 K


def pattern(cells, elements):
    """The prescribed temperatures, in K above the room's, and where the elements heat, with the axes
    element, cell, cell."""
    x = (np.arange(cells) + 0.5) / cells
    across, along = np.meshgrid(x, x)
    target = 400 + 200 * np.cos(np.pi * across) * np.cos(2 * np.pi * along)
    centres = (np.arange(elements) + 0.5) / elements
    near = lambda c: np.exp(-(((x - c) / (0.4 / elements)) ** 2))
    return target, np.array([np.outer(near(cy), near(cx)) for cy in centres for cx in centres])


def flow(temperature, rise, axis):
    """What comes to each cell by the walls across an axis; none goes through the edges of the plate."""
    t = jnp.moveaxis(temperature, axis, 0)
    through = (1 + rise * (t[1:] + t[:-1]) / 2) * (t[1:] - t[:-1])
    return jnp.moveaxis(jnp.diff(jnp.pad(through, ((1, 1), (0, 0))), axis=0), 0, axis)


def final(powers, rise, steps, shapes, checkpoints="binomial"):
    """The temperature at the end, when the powers (K/s) have the axes interval, element."""
    cells = shapes.shape[-1]
    dt = DURATION / steps
    exchange = DIFFUSIVITY * dt / (SIDE / cells) ** 2

    def step(t, power):
        change = exchange * (flow(t, rise, 0) + flow(t, rise, 1)) + dt * (jnp.tensordot(power, shapes, 1) - LOSS * t)
        return t + change, None

    each = jnp.repeat(powers, steps // len(powers), axis=0)
    return lax.scan(step, jnp.zeros((cells, cells)), each, checkpoints=checkpoints)[0]


def cost(powers, rise, steps, shapes, target, checkpoints="binomial"):
    misfit = final(powers, rise, steps, shapes, checkpoints) - target
    return 0.5 * jnp.mean(misfit**2) + 0.5 * EFFORT * jnp.mean(powers**2)


def dense(intervals, steps, shapes, target):
    """The powers for a constant diffusivity, by matrices of NumPy's."""
    cells, dt, each = shapes.shape[-1], DURATION / steps, steps // intervals
    chain = np.diag(np.r_[1.0, np.full(cells - 2, 2.0), 1.0]) - np.eye(cells, k=1) - np.eye(cells, k=-1)
    laplacian = -(np.kron(chain, np.eye(cells)) + np.kron(np.eye(cells), chain)) / (SIDE / cells) ** 2
    once = np.eye(cells**2) + dt * (DIFFUSIVITY * laplacian - LOSS * np.eye(cells**2))
    # The last interval's response is Σ onceᵏ dt b, and each earlier one has passed through one more interval.
    column, response = np.zeros((cells**2, len(shapes))), []
    for _ in range(each):
        column = once @ column + dt * shapes.reshape(len(shapes), -1).T
    later = np.linalg.matrix_power(once, each)
    for _ in range(intervals):
        response.insert(0, column)
        column = later @ column
    s = np.concatenate(response, axis=1)
    n, m = s.shape
    return np.linalg.solve(s.T @ s / n + EFFORT / m * np.eye(m), s.T @ target.ravel() / n).reshape(intervals, -1)


@pb.enable_x64(True)
def main(small: bool = False) -> Outcome:
    cells, elements, intervals, steps = (16, 4, 5, 300) if small else (20, 4, 10, 500)
    target, shapes = pattern(cells, elements)
    problem = partial(cost, steps=steps, shapes=shapes, target=target)
    solve = pb.jit(lambda powers, rise: pb.argmin(problem, powers, rise, solver="newton", linear_solve="cg", tol=1e-9))
    linear = solve(jnp.zeros((intervals, elements**2)), 0.0)
    reference = dense(intervals, steps, shapes, target)
    powers = solve(linear, RISE)

    gradient = pb.jit(pb.grad(problem))
    direction = jnp.cos(jnp.arange(linear.size)).reshape(linear.shape)
    value = lambda h: float(problem(linear + h * direction, RISE))
    differences = (value(1e-4) - value(-1e-4)) / 2e-4
    bytes_of = lambda kept: (
        pb.jit(pb.grad(partial(problem, checkpoints=kept)))
        .lower(linear, RISE)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
    )
    reached = [np.asarray(final(u, RISE, steps, shapes)) for u in (linear, powers)]
    misfits = [np.sqrt(np.mean((t - target) ** 2)) for t in reached]

    def draw(figure):
        above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
        views = above.subplots(1, 3)
        for axes, t, title in zip(views, (target, *reached[::-1]), ("prescribed", "reached", "reached, as if β = 0")):
            image = axes.imshow(t, cmap="inferno", vmin=0, vmax=target.max(), extent=(0, 100 * SIDE, 0, 100 * SIDE))
            axes.set(title=title, xlabel="cm")
        above.colorbar(image, ax=views, label="K above the room")
        axes = below.subplots()
        edges = np.linspace(0, DURATION, intervals + 1)
        for i, colour in zip(range(elements), COLOURS):
            axes.stairs(powers[:, elements * (elements // 2) + i], edges, color=colour, label=f"{i + 1}", lw=1.6)
        axes.set(xlabel="time, s", ylabel="power, K/s", xlim=(0, DURATION))
        axes.legend(title="middle row", loc="upper left")

    return Outcome(
        checks=[
            Check(
                "powers for β = 0, largest difference",
                float(abs(linear - reference).max()),
                0,
                1e-5,
                "a dense solve",
                "K/s",
            ),
            Check(
                "slope of the cost for β > 0",
                float(jnp.vdot(gradient(linear, RISE), direction)),
                differences,
                1e-5,
                "finite differences",
            ),
            Check("gradient at the minimum", float(abs(gradient(powers, RISE)).max()), 0, 1e-6, "Fermat's theorem"),
        ],
        draw=draw,
        facts={
            "memory of the gradient": f"{bytes_of('binomial') / 1e6:.2f} MB with checkpoints, {bytes_of(None) / 1e6:.2f} MB without",
            "root mean square error": f"{misfits[1]:.2f} K; {misfits[0]:.2f} K with the powers for β = 0",
        },
    )
