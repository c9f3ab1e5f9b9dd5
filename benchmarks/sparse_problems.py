"""Functions with sparse Jacobians and Hessians, in JAX's API: one text for Pullback and for JAX, and in CasADi where that has the words.

Each entry of `PROBLEMS` has, for about n unknowns: the function of a flat array and a point (`make`), the true pattern (`pattern`),
made without differentiating, and for some the same function as a CasADi expression (`casadi`). Patterns are structural: a derivative that
happens to be zero at some points is in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp


class System(NamedTuple):
    """A library: its root, and its namespaces for NumPy and for lax."""

    ad: Any
    jnp: Any
    lax: Any


Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Problem:
    """A function whose derivative is sparse. `make(system, n)` gives it with a point; `n` may be rounded."""

    name: str
    derivative: str  # "jacobian" or "hessian"
    make: Callable[[System, int], tuple[Function, np.ndarray]]
    pattern: Callable[[int], Any]
    #: Numbers of unknowns: the one of the table, and a small one for comparisons with dense derivatives.
    n: int = 100_000
    small: int = 1_000
    casadi: Callable[[Any, int], tuple[Any, Any]] | None = None
    note: str = ""


def point(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, n)


def side(n: int, fields: int = 1, multiple: int = 1) -> int:
    """The side of a square grid with about n unknowns, so many fields a point; a multiple of something."""
    return max(round(math.sqrt(n / fields) / multiple), 2 if multiple == 1 else 1) * multiple


def line(n: int, periodic: bool = False) -> Any:
    """A point and its neighbours on a line."""
    near = sp.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tolil()
    if periodic:
        near[0, -1] = near[-1, 0] = 1
    return near.tocsr()


def five_points(n: int, periodic: bool = False) -> Any:
    one = sp.eye_array(n)
    return sp.csr_array(sp.kron(line(n, periodic), one) + sp.kron(one, line(n, periodic)))


# 1. Chains


def broyden(s: System, n: int) -> tuple[Function, np.ndarray]:
    """Broyden's tridiagonal function (Moré, Garbow & Hillstrom 1981)."""

    def f(x: Any) -> Any:
        padded = s.jnp.pad(x, 1)
        return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1

    return f, point(n)


def broyden_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    x = ca.SX.sym("x", n)
    return x, (3 - 2 * x) * x - ca.vertcat(0, x[:-1]) - 2 * ca.vertcat(x[1:], 0) + 1


def brusselator_1d(s: System, n: int) -> tuple[Function, np.ndarray]:
    """The Brusselator on a line, u and v at the ends given (Hairer & Wanner, Solving Ordinary Differential Equations II, IV.1)."""
    cells = n // 2
    diffusion = 0.02 * (cells + 1) ** 2

    def f(x: Any) -> Any:
        u, v = x[:cells], x[cells:]
        around_u, around_v = s.jnp.pad(u, 1, constant_values=1.0), s.jnp.pad(v, 1, constant_values=3.0)
        product = u * u * v
        return s.jnp.concatenate([
            1 + product - 4 * u + diffusion * (around_u[:-2] - 2 * u + around_u[2:]),
            3 * u - product + diffusion * (around_v[:-2] - 2 * v + around_v[2:]),
        ])  # fmt: skip

    return f, point(2 * cells)


def brusselator_1d_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    cells = n // 2
    diffusion = 0.02 * (cells + 1) ** 2
    x = ca.SX.sym("x", 2 * cells)
    u, v = x[:cells], x[cells:]
    product = u * u * v
    around = lambda w, end: (ca.vertcat(end, w[:-1]), ca.vertcat(w[1:], end))
    (u_left, u_right), (v_left, v_right) = around(u, 1.0), around(v, 3.0)
    return x, ca.vertcat(
        1 + product - 4 * u + diffusion * (u_left - 2 * u + u_right),
        3 * u - product + diffusion * (v_left - 2 * v + v_right),
    )


def brusselator_1d_pattern(n: int) -> Any:
    one = sp.eye_array(n // 2)
    return sp.block_array([[line(n // 2), one], [one, line(n // 2)]])


# 2, 3. Grids


def brusselator_2d(s: System, n: int) -> tuple[Function, np.ndarray]:
    """The Brusselator on a torus (Hairer & Wanner, IV.10), the unknowns u and v on a grid each."""
    k = side(n, 2, 6)
    diffusion = 0.1 * k**2 / 100

    def f(x: Any) -> Any:
        u, v = x.reshape(2, k, k)
        laplacian = lambda w: sum(s.jnp.roll(w, shift, axis) for shift in (1, -1) for axis in (0, 1)) - 4 * w
        product = u * u * v
        du = 1 + product - 4.4 * u + diffusion * laplacian(u)
        dv = 3.4 * u - product + diffusion * laplacian(v)
        return s.jnp.stack([du, dv]).reshape(-1)

    return f, point(2 * k * k)


def brusselator_2d_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    k = side(n, 2, 6)
    diffusion = 0.1 * k**2 / 100
    x = ca.SX.sym("x", 2 * k * k)
    rows = lambda w: ca.reshape(w, k, k)  # by columns, as CasADi counts: the stencil is symmetric
    u, v = rows(x[: k * k]), rows(x[k * k :])
    across = lambda w, shift: ca.horzcat(w[:, -shift:], w[:, :-shift]) if shift > 0 else ca.horzcat(w[:, 1:], w[:, :1])
    along = lambda w, shift: ca.vertcat(w[-shift:, :], w[:-shift, :]) if shift > 0 else ca.vertcat(w[1:, :], w[:1, :])
    laplacian = lambda w: across(w, 1) + across(w, -1) + along(w, 1) + along(w, -1) - 4 * w
    product = u * u * v
    du = 1 + product - 4.4 * u + diffusion * laplacian(u)
    dv = 3.4 * u - product + diffusion * laplacian(v)
    return x, ca.vertcat(ca.vec(du), ca.vec(dv))


def brusselator_2d_pattern(n: int) -> Any:
    k = side(n, 2, 6)
    one = sp.eye_array(k * k)
    return sp.block_array([[five_points(k, True), one], [one, five_points(k, True)]])


def heat(s: System, n: int) -> tuple[Function, np.ndarray]:
    """Steady heat in a square whose conductivity depends on the temperature, 0 at the boundary."""
    k = side(n)

    def f(x: Any) -> Any:
        t = s.jnp.pad(x.reshape(k, k), 1)
        conductivity = 1 + 0.1 * t**2
        # The flows from each point to the next, down and to the right.
        down = (conductivity[1:, 1:-1] + conductivity[:-1, 1:-1]) * (t[1:, 1:-1] - t[:-1, 1:-1])
        right = (conductivity[1:-1, 1:] + conductivity[1:-1, :-1]) * (t[1:-1, 1:] - t[1:-1, :-1])
        return (s.jnp.diff(down, axis=0) + s.jnp.diff(right, axis=1) + 0.01).reshape(-1)

    return f, point(k * k)


def heat_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    k = side(n)
    x = ca.SX.sym("x", k * k)
    inside = ca.reshape(x, k, k).T
    # Structural zeros of CasADi would be left out of 1 + 0.1 t²: the boundary's are numbers.
    zeros = ca.SX(ca.DM.zeros(k, 1))
    wide = ca.horzcat(zeros, inside, zeros)
    t = ca.vertcat(ca.SX(ca.DM.zeros(1, k + 2)), wide, ca.SX(ca.DM.zeros(1, k + 2)))
    conductivity = 1 + 0.1 * t**2
    down = (conductivity[1:, 1:-1] + conductivity[:-1, 1:-1]) * (t[1:, 1:-1] - t[:-1, 1:-1])
    right = (conductivity[1:-1, 1:] + conductivity[1:-1, :-1]) * (t[1:-1, 1:] - t[1:-1, :-1])
    result = down[1:, :] - down[:-1, :] + right[:, 1:] - right[:, :-1] + 0.01
    return x, ca.vec(result.T)


# 4. Convolution


def convolution(s: System, n: int) -> tuple[Function, np.ndarray]:
    """A 3×3 filter over an image and a nonlinearity, by `lax.conv`."""
    k = side(n)
    kernel = np.random.default_rng(1).normal(size=(1, 1, 3, 3))

    def f(x: Any) -> Any:
        image = x.reshape(1, 1, k, k)
        return s.jnp.tanh(s.lax.conv(image, s.jnp.asarray(kernel, x.dtype), (1, 1), "SAME")).reshape(-1)

    return f, point(k * k)


def convolution_pattern(n: int) -> Any:
    return sp.kron(line(side(n)), line(side(n)))


# 5. LSTM


def lstm_sizes(n: int) -> tuple[int, int, int]:
    inputs, hidden = 3, 4
    return n // inputs, inputs, hidden


def lstm(s: System, n: int) -> tuple[Function, np.ndarray]:
    """The hidden states of an LSTM at all times, of its inputs at all times."""
    steps, inputs, hidden = lstm_sizes(n)
    rng = np.random.default_rng(2)
    weights, bias = rng.normal(size=(inputs + hidden, 4 * hidden)) * 0.5, rng.normal(size=4 * hidden) * 0.1

    def f(x: Any) -> Any:
        w, b = s.jnp.asarray(weights, x.dtype), s.jnp.asarray(bias, x.dtype)

        def step(carry: Any, now: Any) -> Any:
            h, c = carry
            i, g, o, forget = s.jnp.split(s.jnp.concatenate([now, h]) @ w + b, 4)
            sigmoid = lambda t: 0.5 * (s.jnp.tanh(0.5 * t) + 1)
            c = sigmoid(forget) * c + sigmoid(i) * s.jnp.tanh(g)
            h = sigmoid(o) * s.jnp.tanh(c)
            return (h, c), h

        start = s.jnp.zeros(hidden, x.dtype)
        return s.lax.scan(step, (start, start), x.reshape(steps, inputs))[1].reshape(-1)

    return f, point(steps * inputs)


def lstm_pattern(n: int) -> Any:
    steps, inputs, hidden = lstm_sizes(n)
    return sp.csr_array(np.kron(np.tril(np.ones((steps, steps), bool)), np.ones((hidden, inputs), bool)))


# 6. Power flow


@cache
def network(buses: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lines between buses, each with its conductance and susceptance: a ring, and half as many lines between others nearby."""
    rng = np.random.default_rng(3)
    start, end = np.arange(buses), (np.arange(buses) + 1) % buses
    chords = rng.integers(0, buses, buses // 2)
    start, end = (
        np.concatenate([start, chords]),
        np.concatenate([end, (chords + rng.integers(2, 30, buses // 2)) % buses]),
    )
    lines = np.unique(np.sort(np.stack([start, end]), axis=0), axis=1)
    lines = lines[:, lines[0] != lines[1]]
    lines = lines[:, rng.permutation(lines.shape[1])]
    resistance, reactance = rng.uniform(0.01, 0.05, lines.shape[1]), rng.uniform(0.05, 0.2, lines.shape[1])
    size = resistance**2 + reactance**2
    return lines[0], lines[1], resistance / size, -reactance / size


def power_flow(s: System, n: int) -> tuple[Function, np.ndarray]:
    """What the buses of a network take from it, of the angles and the magnitudes of their voltages: gathers and a scatter."""
    buses = n // 2
    start, end, conductance, susceptance = network(buses)

    def f(x: Any) -> Any:
        g, b = s.jnp.asarray(conductance, x.dtype), s.jnp.asarray(susceptance, x.dtype)
        angle, magnitude = x[:buses] - 1, x[buses:]
        difference, product = angle[start] - angle[end], magnitude[start] * magnitude[end]
        cosine, sine = product * s.jnp.cos(difference), product * s.jnp.sin(difference)
        at_start, at_end = magnitude[start] ** 2, magnitude[end] ** 2
        zero = s.jnp.zeros(buses, x.dtype)
        active = zero.at[start].add(g * at_start - g * cosine - b * sine)
        active = active.at[end].add(g * at_end - g * cosine + b * sine)
        reactive = zero.at[start].add(-b * at_start - g * sine + b * cosine)
        reactive = reactive.at[end].add(-b * at_end + g * sine + b * cosine)
        return s.jnp.concatenate([active, reactive])

    return f, point(2 * buses)


def power_flow_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    buses = n // 2
    start, end, g, b = network(buses)
    x = ca.SX.sym("x", 2 * buses)
    angle, magnitude = x[:buses] - 1, x[buses:]
    first, second = start.tolist(), end.tolist()
    difference, product = angle[first] - angle[second], magnitude[first] * magnitude[second]
    cosine, sine = product * ca.cos(difference), product * ca.sin(difference)
    at_start, at_end = magnitude[first] ** 2, magnitude[second] ** 2
    g, b = ca.DM(g), ca.DM(b)
    incidence = lambda ends: ca.DM(
        sp.csc_matrix((np.ones(len(ends)), (ends, np.arange(len(ends)))), shape=(buses, len(ends)))
    )
    to_start, to_end = incidence(start), incidence(end)
    active = to_start @ (g * at_start - g * cosine - b * sine) + to_end @ (g * at_end - g * cosine + b * sine)
    reactive = to_start @ (-b * at_start - g * sine + b * cosine) + to_end @ (-b * at_end + g * sine + b * cosine)
    return x, ca.vertcat(active, reactive)


def power_flow_pattern(n: int) -> Any:
    buses = n // 2
    start, end, _, _ = network(buses)
    near = sp.coo_array((np.ones(len(start)), (start, end)), shape=(buses, buses))
    return sp.kron(np.ones((2, 2)), near + near.T + sp.eye_array(buses))


# 7. Optimal control


def optimal_control(s: System, n: int) -> tuple[Function, np.ndarray]:
    """A cart with a pole: the defects of the trapezoidal rule between times, and the state at the ends (Kelly, SIAM Review 59, 2017)."""
    times = n // 5
    return lambda z: defects(s.jnp, s.jnp.concatenate, z, times), point(5 * times)


def optimal_control_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    times = n // 5
    z = ca.SX.sym("z", 5 * times)
    return z, defects(ca, lambda parts: ca.vertcat(*parts), z, times)


def defects(np_: Any, concatenate: Callable[[list[Any]], Any], z: Any, times: int) -> Any:
    """The unknowns are positions, angles, their speeds, and forces: each at all times, one after the other."""
    position, angle, speed, turning, force = (z[k * times : (k + 1) * times] for k in range(5))
    cart, pole, length, gravity, step = 2.0, 0.5, 0.5, 9.81, 2.0 / times
    sine, cosine = np_.sin(angle), np_.cos(angle)
    below = cart + pole * (1 - cosine * cosine)
    acceleration = (length * pole * sine * turning * turning + force + pole * gravity * cosine * sine) / below
    torque = length * pole * cosine * sine * turning * turning + force * cosine + (cart + pole) * gravity * sine
    rates = (speed, turning, acceleration, -torque / (length * below))
    states = (position, angle, speed, turning)
    between = [x[1:] - x[:-1] - step / 2 * (rate[1:] + rate[:-1]) for x, rate in zip(states, rates)]
    ends = [x[:1] for x in states] + [x[-1:] - wanted for x, wanted in zip(states, (1.0, np.pi, 0.0, 0.0))]
    return concatenate([*between, *ends])


def optimal_control_pattern(n: int) -> Any:
    times = n // 5
    pair = sp.diags_array([np.ones(times - 1), np.ones(times - 1)], offsets=[0, 1], shape=(times - 1, times))
    # Rows: the four defects. Columns: position, angle, speed, turning, force.
    which = [[1, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 1], [0, 1, 0, 1, 1]]
    first = sp.csr_array(([1.0], ([0], [0])), shape=(1, times))
    last = sp.csr_array(([1.0], ([0], [times - 1])), shape=(1, times))
    ends = sp.hstack([sp.vstack([sp.kron(np.eye(4), first), sp.kron(np.eye(4), last)]), sp.csr_array((8, times))])
    return sp.vstack([sp.kron(np.array(which), pair), ends])


# 8. Finite elements


@cache
def mesh(k: int) -> tuple[np.ndarray, np.ndarray]:
    """A square cut into triangles, each little square along one diagonal or the other: corners of triangles, and places of nodes."""
    rng = np.random.default_rng(4)
    node = np.arange(k * k).reshape(k, k)
    a, b, c, d = node[:-1, :-1].ravel(), node[:-1, 1:].ravel(), node[1:, :-1].ravel(), node[1:, 1:].ravel()
    falling = rng.uniform(size=len(a)) < 0.5
    first = np.where(falling, [a, b, d], [a, b, c]).T
    second = np.where(falling, [a, d, c], [b, d, c]).T
    places = np.stack(np.meshgrid(np.linspace(0, 1, k), np.linspace(0, 1, k), indexing="ij"), -1).reshape(-1, 2)
    return np.concatenate([first, second]), places + rng.uniform(-0.2, 0.2, places.shape) / k


def finite_elements(s: System, n: int) -> tuple[Function, np.ndarray]:
    """The residual of −∇·((1 + u²) ∇u) + u³ = 1 in linear elements, put together by `segment_sum`."""
    k = side(n)
    corners, places = mesh(k)
    p = places[corners]
    edges = np.roll(p, -2, axis=1) - np.roll(p, -1, axis=1)  # opposite to each corner
    e1, e2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    area = np.abs(e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]) / 2
    stiffness = np.einsum("eid,ejd->eij", edges, edges) / (4 * area[:, None, None])

    def f(u: Any) -> Any:
        local = u[corners]
        middle = local.mean(1, keepdims=True)
        flow = (1 + middle**2) * s.jnp.einsum("eij,ej->ei", s.jnp.asarray(stiffness, u.dtype), local)
        source = s.jnp.asarray(area, u.dtype)[:, None] / 3 * (middle**3 - 1)
        return s.ad.ops.segment_sum((flow + source).reshape(-1), corners.reshape(-1), num_segments=k * k)

    return f, point(k * k)


def finite_elements_pattern(n: int) -> Any:
    k = side(n)
    corners, _ = mesh(k)
    rows, columns = np.repeat(corners, 3, axis=1).ravel(), np.tile(corners, (1, 3)).ravel()
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(k * k, k * k))


# 9. Kalman smoother


def smoother(s: System, n: int) -> tuple[Function, np.ndarray]:
    """The objective of a nonlinear Kalman smoother, of all states, added up by `scan`: its Hessian is block tridiagonal."""
    size = 4
    times = n // size
    rng = np.random.default_rng(5)
    move, observe = 0.3 * rng.normal(size=(size, size)), rng.normal(size=(2, size))
    observed = rng.normal(size=(times, 2))

    def f(x: Any) -> Any:
        a, h, y = (s.jnp.asarray(v, x.dtype) for v in (move, observe, observed))
        states = x.reshape(times, size)

        def step(carry: Any, now: Any) -> Any:
            total, before = carry
            state, seen = now
            drift, miss = state - s.jnp.tanh(a @ before), seen - h @ s.jnp.sin(state)
            return (total + drift @ drift + miss @ miss, state), None

        start = s.jnp.sum(states[0] ** 2)
        return s.lax.scan(step, (start, states[0]), (states[1:], y[1:]))[0][0]

    return f, point(times * size)


def smoother_pattern(n: int) -> Any:
    return sp.kron(line(n // 4), np.ones((4, 4)))


# 10. Network of blocks


def blocks(s: System, n: int) -> tuple[Function, np.ndarray]:
    """One small network applied to each block of the inputs."""
    size = 10
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(size, 16)) * 0.3, rng.normal(size=(16, 5)) * 0.3

    def f(x: Any) -> Any:
        inputs = x.reshape(-1, size)
        return (s.jnp.tanh(inputs @ s.jnp.asarray(first, x.dtype)) @ s.jnp.asarray(second, x.dtype)).reshape(-1)

    return f, point(n // size * size)


def blocks_pattern(n: int) -> Any:
    return sp.kron(sp.eye_array(n // 10), np.ones((5, 10)))


# 11, 12. What is not sparse, or not for all inputs


def sort_pattern(n: int) -> Any:
    """At `point(n)`; of all inputs together it is full."""
    return sp.csr_array((np.ones(n), (np.arange(n), np.argsort(point(n), kind="stable"))), shape=(n, n))


# Hessians of sums


def extended_rosenbrock(s: System, n: int) -> tuple[Function, np.ndarray]:
    """Pairs of unknowns, each with its own term (Moré, Garbow & Hillstrom 1981)."""

    def f(x: Any) -> Any:
        first, second = x[::2], x[1::2]
        return s.jnp.sum(100 * (second - first**2) ** 2 + (1 - first) ** 2)

    return f, point(n // 2 * 2)


def extended_rosenbrock_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    x = ca.SX.sym("x", n // 2 * 2)
    first, second = x[::2], x[1::2]
    return x, ca.sum1(100 * (second - first**2) ** 2 + (1 - first) ** 2)


def chained_rosenbrock(s: System, n: int) -> tuple[Function, np.ndarray]:
    """Each unknown with the next (Toint 1978)."""

    def f(x: Any) -> Any:
        return s.jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return f, point(n)


def chained_rosenbrock_casadi(ca: Any, n: int) -> tuple[Any, Any]:
    x = ca.SX.sym("x", n)
    return x, ca.sum1(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


PROBLEMS = [
    Problem("tridiagonal (Broyden)", "jacobian", broyden, line, casadi=broyden_casadi),
    Problem("Brusselator, 1-D", "jacobian", brusselator_1d, brusselator_1d_pattern, casadi=brusselator_1d_casadi),
    Problem("Brusselator, 2-D", "jacobian", brusselator_2d, brusselator_2d_pattern, casadi=brusselator_2d_casadi),
    Problem("heat, 2-D", "jacobian", heat, lambda n: five_points(side(n)), casadi=heat_casadi),
    Problem("convolution", "jacobian", convolution, convolution_pattern),
    Problem("LSTM over time", "jacobian", lstm, lstm_pattern, 900, 300, note="block lower triangular: half full"),
    Problem("power flow", "jacobian", power_flow, power_flow_pattern, casadi=power_flow_casadi),
    Problem("optimal control", "jacobian", optimal_control, optimal_control_pattern, casadi=optimal_control_casadi),
    Problem("finite elements", "jacobian", finite_elements, finite_elements_pattern),
    Problem("Kalman smoother", "hessian", smoother, smoother_pattern, 10_000),
    Problem("network of blocks", "jacobian", blocks, blocks_pattern),
    Problem("sort", "jacobian", lambda s, n: (s.jnp.sort, point(n)), sort_pattern, 1_000,
            note="full for all inputs together; at a point a permutation"),
    Problem("cumsum", "jacobian", lambda s, n: (s.jnp.cumsum, point(n)), lambda n: sp.csr_array(np.tril(np.ones((n, n)))), 1_000,
            note="lower triangle: half full"),
    Problem("Rosenbrock, extended", "hessian", extended_rosenbrock, lambda n: sp.kron(sp.eye_array(n // 2), np.ones((2, 2))),
            casadi=extended_rosenbrock_casadi),
    Problem("Rosenbrock, chained", "hessian", chained_rosenbrock, line, casadi=chained_rosenbrock_casadi),
]  # fmt: skip
