"""A program of a user's kind: it runs, and passes the strict modes of mypy and pyright (test_user_program.py)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback import Array
from pullback.interop.scipy import minimize


class Params(NamedTuple):
    w: Array
    b: Array


def predict(p: Params, x: Array) -> Array:
    return jnp.tanh(x @ p.w + p.b)


def loss(p: Params, x: Array, y: Array) -> Array:
    return jnp.mean((predict(p, x) - y) ** 2)


@pb.jit
def step(p: Params, x: Array, y: Array) -> Params:
    g: Params = pb.grad(loss)(p, x, y)
    return Params(p.w - 0.1 * g.w, p.b - 0.1 * g.b)


def main() -> float:
    key = pb.random.key(0)
    x = pb.random.normal(key, (20, 3))
    y = jnp.sin(x).sum(1)
    p = Params(jnp.zeros(3), jnp.array(0.0))
    for _ in range(3):
        p = step(p, x, y)

    def of_weights(w: Array) -> Array:
        return predict(Params(w, p.b), x)

    value, slope = pb.value_and_grad(loss)(p, x, y)
    out, f_lin = pb.linearize(of_weights, p.w)
    matrix: Array = f_lin.to_matrix()
    rows = pb.vmap(predict, in_axes=(None, 0))(p, x)
    found = minimize(loss, p, (x, y), method="BFGS")
    numbers = value, np.asarray(matrix).sum(), found.fun, rows[0], slope.b, out[0]
    return sum(float(n) for n in numbers)
