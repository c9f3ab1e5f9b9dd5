"""Optimizers and layers in both systems, step by step; and generators with a state, draw by draw."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from tests.oracle.systems import leaves, namespace, oracle, require_oracle

require_oracle()

OPTIMIZERS = [
    "sgd(0.1)",
    "sgd(exponential_decay(0.1, 10, 0.5))",
    "momentum(inverse_time_decay(0.1, 3, 0.5, staircase=True), 0.9)",
    "nesterov(polynomial_decay(0.1, 3, 0.01, power=2.0), 0.9)",
    "adagrad(piecewise_constant([1, 3], [0.1, 0.2, 0.05]))",
    "rmsprop(0.1)",
    "rmsprop_momentum(inverse_time_decay(0.1, 3, 0.5), gamma=0.8)",
    "adam(0.1)",
    "adam(0.1, b1=0.0, b2=0.5)",
    "adamax(0.1)",
    "sm3(0.1)",
]
LAYERS = [
    ("serial(Dense(4), Tanh, Dense(2), LogSoftmax)", (2, 3)),
    ("serial(Conv(5, (3, 2), (2, 1), 'SAME'), Relu, MaxPool((2, 2)), Flatten, Dense(3), Softmax)", (2, 8, 9, 3)),
    ("GeneralConv(('NCHW', 'OIHW', 'NHWC'), 5, (3, 2))", (2, 3, 8, 9)),
    ("GeneralConvTranspose(('NCHW', 'OIHW', 'NCHW'), 5, (3, 2), (2, 1))", (2, 3, 8, 9)),
    ("ConvTranspose(5, (3, 2), (2, 1), 'SAME')", (2, 8, 9, 3)),
    ("Conv1DTranspose(5, (3,), (2,))", (2, 7, 3)),
    ("serial(AvgPool((2, 3), (2, 2), 'SAME'), SumPool((1, 2)), Softplus)", (2, 8, 9, 3)),
    ("AvgPool((2, 3), (2, 2), 'SAME', spec='NCHW')", (2, 3, 8, 9)),
    ("serial(BatchNorm(), Elu, BatchNorm(axis=(0, 3), center=False), LeakyRelu, BatchNorm(scale=False), Gelu)", (2, 4, 5, 3)),
    ("serial(FanOut(2), parallel(Dense(3), serial(Dropout(0.6), Dense(3), Selu)), FanInSum, Sigmoid)", (2, 3)),
    ("serial(FanOut(2), parallel(Identity, Exp), FanInConcat(1), shape_dependent(lambda s: Dense(s[-1])))", (2, 3)),
]  # fmt: skip


def library(system: str, name: str) -> dict[str, Any]:
    return vars(importlib.import_module(f"{system}.example_libraries.{name}"))


def steps(system: str, expression: str) -> list[np.ndarray]:
    names = namespace(system)
    jnp, init_update_params = names["jnp"], eval(expression, library(system, "optimizers"))
    init, update, params = init_update_params
    tree = {"a": jnp.array([1.0, -2.0, 0.0]), "b": [jnp.ones((2, 3, 2)), jnp.array(0.5)]}
    loss = lambda p: jnp.sum(jnp.cosh(p["a"][:2])) + jnp.sum(jnp.sin(p["b"][0] * p["b"][1]) ** 2)
    state, found = init(tree), []
    for i in range(6):
        state = (names["jax"].jit(update) if i % 2 else update)(i, names["jax"].grad(loss)(params(state)), state)
        found += leaves(params(state))
    return [np.asarray(x) for x in found]


@pytest.mark.parametrize("expression", OPTIMIZERS)
def test_steps_of_optimizers(expression: str, x64: bool) -> None:
    # In 32 bits JAX subtracts 1 - b2 ** t, which has three digits at the beginning.
    tolerance = 1e-10 if x64 else 1e-4
    for ours, theirs in zip(steps("pullback", expression), steps("jax", expression), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def applied(system: str, expression: str, shape: tuple[int, ...]) -> tuple[Any, list[np.ndarray]]:
    names = namespace(system)
    jax, jnp = names["jax"], names["jnp"]
    init, apply = eval(expression, dict(library(system, "stax")))
    key = jax.random.key(3)
    out_shape, params = init(key, shape)
    x = jnp.cos(jnp.arange(float(np.prod(shape)))).reshape(shape)
    gradient = jax.grad(lambda p, x: jnp.sum(jnp.sin(apply(p, x, rng=key))), argnums=(0, 1))(params, x)
    found = [*leaves(params), apply(params, x, rng=key), *leaves(gradient)]
    return tuple(map(int, out_shape)), [np.asarray(v) for v in found]


@pytest.mark.parametrize("expression, shape", LAYERS, ids=[e for e, _ in LAYERS])
def test_layers(expression: str, shape: tuple[int, ...]) -> None:
    with oracle().threefry_partitionable(False):
        theirs = applied("jax", expression, shape)
    ours = applied("pullback", expression, shape)
    assert ours[0] == theirs[0]
    for x, y in zip(ours[1], theirs[1], strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


def draws(system: str) -> list[np.ndarray]:
    """Numbers of one generator, in eager code, programs and loops."""
    names = namespace(system)
    jax, jnp, lax = names["jax"], names["jnp"], names["lax"]
    random = importlib.import_module(f"{system}.experimental.random")
    rng = random.stateful_rng(11)
    compiled = jax.jit(lambda rng, x: x + rng.uniform())
    found = [
        rng.uniform(1, 3, size=2), rng.normal(jnp.arange(3.0), 2), rng.integers(5, 10, size=4), rng.random((2, 2)),
        jax.random.key_data(rng.key((2,))), rng.spawn(2)[1].uniform(), jax.vmap(lambda g: g.uniform())(rng.split(3)),
        compiled(rng, 0.0), compiled(rng, 0.0), lax.scan(lambda c, _: (c, rng.uniform()), 0.0, None, length=3)[1],
        jax.jit(lambda seed: random.stateful_rng(seed).normal())(5), rng.uniform(size=3, dtype="float16"),
    ]  # fmt: skip
    return [np.asarray(x) for x in found]


def test_draws_of_generators(x64: bool) -> None:
    with oracle().threefry_partitionable(False):
        theirs = draws("jax")
    for ours, expected in zip(draws("pullback"), theirs, strict=True):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
