"""Conditionals and loops over a batch, of functions with poles, against the same functions of one element after the other.

An element that takes another branch, or has stopped, must reach neither values nor derivatives: nests of `vmap` and derivatives give what a Python
loop over the elements gives, wherever that is finite.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from tests.conftest import FULL

Value = Callable[[dict[str, Any]], Any]


@pb.custom_jvp
def log_by_rule(a: Any) -> Any:
    return jnp.log(a)


log_by_rule.defjvp(lambda p, t: (log_by_rule(*p), t[0] / p[0]))


@pb.custom_vjp
def quotient_by_rule(a: Any, b: Any) -> Any:
    return a / b


quotient_by_rule.defvjp(lambda a, b: (a / b, (a, b)), lambda r, g: (g / r[1], -g * r[0] / r[1] ** 2))

EYE, MIXED = np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])
UNARY = [
    jnp.log, jnp.sqrt, jnp.reciprocal, jnp.cbrt, jnp.arcsin, jnp.log1p, jnp.sin, jnp.square, pb.jit(jnp.log), pb.checkpoint(jnp.sqrt),
    log_by_rule, lambda a: a**-1.5, lambda a: jnp.linalg.norm(jnp.stack([a, a])),
    lambda a: lax.fori_loop(0, 2, lambda i, c: c * jnp.log(a), a),
]  # fmt: skip
BINARY = [
    jnp.multiply, jnp.add, jnp.divide, jnp.power, jnp.arctan2, quotient_by_rule,
    lambda a, b: jnp.dot(jnp.stack([a, b]), jnp.stack([b, a * b])),
    lambda a, b: (jnp.outer(jnp.stack([a, b]), jnp.stack([a, b])) @ jnp.stack([a, a])).sum(),
    lambda a, b: jnp.linalg.inv(EYE * a + b * MIXED)[0, 1],
    lambda a, b: jnp.linalg.solve(MIXED * a, jnp.stack([a, b]))[0],
    lambda a, b: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] / b), (0, a))[1],
    lambda a, b: jnp.sort(jnp.stack([a, b, 1 / a]))[0],
    lambda a, b: lax.cond(a > b, lambda: jnp.log(a), lambda: jnp.sqrt(b)),
]  # fmt: skip


def expression(rng: random.Random, depth: int) -> Value:
    if depth == 0 or rng.random() < 0.15:
        name = rng.choice("xyz")
        return lambda env: env[name]
    if rng.random() < 0.5:
        f, a = rng.choice(UNARY), expression(rng, depth - 1)
        return lambda env: f(a(env))
    g, a, b = rng.choice(BINARY), expression(rng, depth - 1), expression(rng, depth - 1)
    return lambda env: g(a(env), b(env))


def function(rng: random.Random, kind: str) -> Callable[[Any, Any, Any], Any]:
    """A function of an element's `x` and `z`, and of `y`, which all elements share."""
    first, second, third = (expression(rng, rng.randint(1, 3)) for _ in range(3))
    env: Callable[..., Any] = lambda x, y, z: {"x": x, "y": y, "z": z}

    def choose(x: Any, y: Any, z: Any) -> Any:
        return lax.cond(x > z, lambda: first(env(x, y, z)), lambda: second(env(x, y, z)))

    def switch(x: Any, y: Any, z: Any) -> Any:
        branches = [lambda *xs, e=e: e(env(*xs)) for e in (first, second, third)]
        return lax.switch(jnp.int32(x > 0) + jnp.int32(z > 0), branches, x, y, z)

    def nested(x: Any, y: Any, z: Any) -> Any:
        inner = lambda: lax.cond(z > 0, lambda: third(env(x, y, z)), lambda: y + z)
        return lax.cond(x > z, lambda: first(env(x, y, z)) + inner(), lambda: second(env(x, y, z)))

    def loop(x: Any, y: Any, z: Any) -> Any:
        return lax.while_loop(
            lambda s: (s[0] < 3) & (s[1] > z), lambda s: (s[0] + 1, first(env(s[1], y, z))), (jnp.int32(0), x)
        )[1]

    return {"cond": choose, "switch": switch, "nested": nested, "while": loop}[kind]


BOTH = (0, 1)
MODES: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "grad": lambda f: pb.grad(f, BOTH),
    "compiled grad": lambda f: pb.jit(pb.grad(f, BOTH)),
    "forward": lambda f: pb.jacfwd(f, BOTH),
    "hessian": lambda f: pb.hessian(f, BOTH),
    "reverse twice": lambda f: pb.jacrev(pb.grad(f, BOTH), BOTH),
    "forward twice": lambda f: pb.jit(pb.jacfwd(pb.jacfwd(f, BOTH), BOTH)),
    "reverse of forward": lambda f: pb.jacrev(pb.jacfwd(f, BOTH), BOTH),
}


@pytest.mark.parametrize("kind", ["cond", "switch", "nested", "while"])
@pytest.mark.parametrize("seed", range(60 if FULL else 2))
def test_elements_of_other_branches_reach_nothing(kind: str, seed: int) -> None:
    with pb.enable_x64(True):
        _compare(kind, random.Random(f"{kind} {seed}"))


def _compare(kind: str, rng: random.Random) -> None:
    f = function(rng, kind)
    xs = jnp.array([rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0]) for _ in range(3)])
    zs = jnp.array([rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0]) for _ in range(3)])
    y = jnp.array(rng.choice([0.0, -1.0, 0.7, 2.0]))
    ways = {
        "vmap": lambda x, y: pb.vmap(f, (0, None, 0))(x, y, zs).sum(),
        "compiled vmap": lambda x, y: pb.jit(pb.vmap(f, (0, None, 0)))(x, y, zs).sum(),
        "map": lambda x, y: lax.map(lambda xz: f(xz[0], y, xz[1]), (x, zs), batch_size=2).sum(),
        "vmap of vmap": lambda x, y: pb.vmap(pb.vmap(f, (0, None, 0)), (0, None, 0))(x[None], y, zs[None]).sum(),
    }
    one_by_one = lambda x, y: sum(f(x[i], y, zs[i]) for i in range(3))
    for mode in rng.sample(list(MODES), 2):
        way = rng.choice(list(ways))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected, got = (pb.tree.leaves(MODES[mode](g)(xs, y)) for g in (one_by_one, ways[way]))
        for e, g in zip(map(np.asarray, expected), map(np.asarray, got)):
            finite = np.isfinite(e)
            np.testing.assert_allclose(g[finite], e[finite], rtol=1e-6, atol=1e-8, err_msg=f"{mode} of {way}")
