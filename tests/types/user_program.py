"""A program of a user's kind: it runs, and passes the strict modes of mypy and pyright (test_user_program.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback import Array, lax
from pullback.example_libraries import optimizers
from pullback.interop.scipy import minimize


class Params(NamedTuple):
    w: Array
    b: Array


@pb.tree_util.register_dataclass
@dataclass
class Pendulum:
    angle: Array
    speed: Array

    @pb.jit
    def energy(self) -> Array:
        return 0.5 * self.speed**2 - jnp.cos(self.angle)


def predict(p: Params, x: Array) -> Array:
    return jnp.tanh(x @ p.w + p.b)


def loss(p: Params, x: Array, y: Array) -> Array:
    return jnp.mean((predict(p, x) - y) ** 2)


@pb.jit
def step(p: Params, x: Array, y: Array) -> Params:
    g: Params = pb.grad(loss)(p, x, y)
    return Params(p.w - 0.1 * g.w, p.b - 0.1 * g.b)


@pb.custom_jvp
def root(x: Array) -> Array:
    return jnp.sqrt(x)


@root.defjvp
def root_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (t,) = primals, tangents
    return root(x), jnp.where(x > 0, t / (2 * root(x)), 0.0)


def swing(s: Pendulum, dt: Array) -> tuple[Pendulum, Array]:
    speed = s.speed - dt * jnp.sin(s.angle)
    new = Pendulum(s.angle + dt * speed, speed)
    return new, new.energy()


@partial(pb.jit, static_argnames="steps")
def drift(s: Pendulum, steps: int) -> Array:
    energies: Array
    _, energies = lax.scan(swing, s, jnp.full(steps, 0.1))
    spread: Array = root(energies.max() - energies.min())
    return spread


def main() -> float:
    key = pb.random.key(0)
    x = pb.random.normal(key, (20, 3))
    y = jnp.sin(x).sum(1)
    p = Params(jnp.zeros(3), jnp.array(0.0))
    for _ in range(3):
        p = step(p, x, y)
    flops: float = step.lower(p, x, y).compile().cost_analysis()["flops"]

    def of_weights(w: Array) -> Array:
        return predict(Params(w, p.b), x)

    value, slope = pb.value_and_grad(loss)(p, x, y)
    out, f_lin = pb.linearize(of_weights, p.w)
    matrix: Array = f_lin.to_matrix()
    rows = pb.vmap(predict, in_axes=(None, 0))(p, x)
    found = minimize(loss, p, (x, y), method="BFGS")
    init, update, params = optimizers.adam(0.01)
    p = params(update(0, slope, init(p)))
    turned: Pendulum = pb.grad(drift)(Pendulum(jnp.float32(1.0), jnp.float32(0.0)), 5)
    numbers = value, np.asarray(matrix).sum(), found.fun, rows[0], out[0], turned.angle, p.w.at[0].add(1.0)[0], flops
    return sum(float(n) for n in numbers)
