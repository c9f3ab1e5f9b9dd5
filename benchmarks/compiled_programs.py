"""The compiled benchmark's programs in JAX's API: one text for Pullback and for JAX.

Each entry of `PROGRAMS` takes a `System` and gives a function to be jitted and its arguments, as NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

RNG = np.random.default_rng(0)


class System(NamedTuple):
    """A library: its root, and its namespaces for NumPy, lax, nn and random numbers."""

    ad: Any
    jnp: Any
    lax: Any
    nn: Any
    random: Any


def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RNG.normal(size=shape) * scale).astype(np.float32)


DENSE = [(normal(512, 512, scale=0.04), np.zeros(512, np.float32)) for _ in range(8)]
INPUTS, WANTED = normal(256, 512), normal(256, 512)
RESIDUAL = [(normal(64, 64, scale=0.12), np.zeros(64, np.float32)) for _ in range(200)]
STREAM = normal(32, 64)
IMAGES, FILTERS = normal(32, 28, 28, 8), [normal(3, 3, 8, 32, scale=0.1), normal(3, 3, 32, 32, scale=0.06)]
LABELS = RNG.integers(0, 10, 32).astype(np.int32)
HEAD = normal(32, 10, scale=0.2)
TOKENS = normal(8, 64, 128)
BLOCK = [
    normal(128, 384, scale=0.09),
    normal(128, 128, scale=0.09),
    normal(128, 512, scale=0.09),
    normal(512, 128, scale=0.04),
]
MATRIX, VECTOR = normal(128, 128), normal(128, 4)
POINTS, MEANS, SCALES, WEIGHTS = normal(2000, 5), normal(10, 5), normal(10, 5), normal(10)
KEYS, INDEX = normal(100_000), RNG.integers(0, 100_000, 100_000).astype(np.int32)
SIGNAL = normal(1 << 16)
DESIGN, COIN = normal(500, 50), (RNG.uniform(size=500) < 0.5).astype(np.float32)
START = normal(50, scale=0.1)
CELL = [normal(64, 64, scale=0.12), normal(32, 64, scale=0.15), normal(64)]
SEQUENCE = normal(50, 32, 32)
SQUARE = normal(1000, 1000)
LOGITS, CLASSES = normal(256, 1000), RNG.integers(0, 1000, 256).astype(np.int32)
SPOT, STRIKE = np.exp(normal(100_000, scale=0.2)), np.exp(normal(100_000, scale=0.2))
HEAT = normal(2000)
BODIES = normal(256, 3)
SMALL = [(normal(32, 64, scale=0.2), np.zeros(64, np.float32)), (normal(64, 1, scale=0.2), np.zeros(1, np.float32))]
EXAMPLES = normal(512, 32)


def perceptron(s: System) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def loss(layers: Any, x: Any, y: Any) -> Any:
        for w, b in layers:
            x = s.jnp.tanh(x @ w + b)
        return s.jnp.mean((x - y) ** 2)

    return s.ad.value_and_grad(loss), (DENSE, INPUTS, WANTED)


def residual(depth: int) -> Callable[[System], Any]:
    def program(s: System) -> Any:
        def loss(layers: Any, x: Any) -> Any:
            for w, b in layers:
                x = s.jnp.tanh(x @ w + b) + 0.5 * x
            return s.jnp.mean(x**2)

        return s.ad.value_and_grad(loss), (RESIDUAL[:depth], STREAM)

    return program


def convolutional(s: System) -> Any:
    def loss(filters: Any, head: Any, x: Any) -> Any:
        for k in filters:
            x = s.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = s.nn.relu(x)
            x = s.lax.reduce_window(x, 0.0, s.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        logits = s.jnp.mean(x, axis=(1, 2)) @ head
        return -s.jnp.mean(s.nn.log_softmax(logits)[np.arange(32), LABELS])

    return s.ad.value_and_grad(loss, (0, 1)), (FILTERS, HEAD, IMAGES)


def transformer(s: System) -> Any:
    def norm(x: Any) -> Any:
        centred = x - s.jnp.mean(x, -1, keepdims=True)
        return centred / s.jnp.sqrt(s.jnp.mean(centred**2, -1, keepdims=True) + 1e-5)

    def loss(weights: Any, x: Any) -> Any:
        into, out, up, down = weights
        q, k, v = s.jnp.split((norm(x) @ into).reshape(8, 64, 12, 32), 3, axis=2)
        scores = s.jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(32)
        mixed = s.jnp.einsum("bhqk,bkhd->bqhd", s.nn.softmax(scores), v)
        x = x + mixed.reshape(8, 64, 128) @ out
        x = x + s.nn.gelu(norm(x) @ up) @ down
        return s.jnp.mean(x**2)

    return s.ad.value_and_grad(loss), (BLOCK, TOKENS)


def cholesky(s: System) -> Any:
    def f(a: Any) -> Any:
        lower = s.jnp.linalg.cholesky(a @ a.T + 128 * s.jnp.eye(128))
        return s.jnp.sum(s.jnp.log(s.jnp.diagonal(lower)))

    return s.ad.grad(f), (MATRIX,)


def solve(s: System) -> Any:
    f = lambda a, b: s.jnp.sum(s.jnp.linalg.solve(a + 20 * s.jnp.eye(128), b) ** 2)
    return s.ad.grad(f, (0, 1)), (MATRIX, VECTOR)


def mixture(s: System) -> Any:
    def likelihood(means: Any, scales: Any, weights: Any) -> Any:
        z = (POINTS[:, None, :] - means) * s.jnp.exp(scales)
        parts = s.nn.log_softmax(weights) + s.jnp.sum(scales, 1) - 0.5 * s.jnp.sum(z**2, 2)
        return s.jnp.sum(s.nn.logsumexp(parts, axis=1))

    return s.ad.grad(likelihood, (0, 1, 2)), (MEANS, SCALES, WEIGHTS)


def moving(s: System) -> Any:
    def f(x: Any, i: Any) -> Any:
        y = s.jnp.sort(x)[i] * s.jnp.cos(x)
        return s.jnp.sum(s.jnp.zeros_like(x).at[i].add(y) ** 2)

    return s.ad.grad(f), (KEYS, INDEX)


def spectrum(s: System) -> Any:
    return s.ad.grad(lambda x: s.jnp.sum(s.jnp.log(1 + s.jnp.abs(s.jnp.fft.rfft(x)) ** 2))), (SIGNAL,)


def regression(s: System) -> Any:
    def loss(w: Any) -> Any:
        z = DESIGN @ w
        return s.jnp.sum(s.jnp.logaddexp(0.0, z) - COIN * z)

    return s.ad.hessian(loss), (START,)


def recurrent(s: System) -> Any:
    def loss(cell: Any, xs: Any) -> Any:
        w, u, b = cell
        h = s.jnp.zeros((32, 64))
        for i in range(50):
            h = s.jnp.tanh(h @ w + xs[i] @ u + b)
        return s.jnp.mean(h**2)

    return s.ad.grad(loss), (CELL, SEQUENCE)


def black_scholes(s: System) -> Any:
    def price(spot: Any, strike: Any) -> Any:
        d1 = (s.jnp.log(spot / strike) + 0.045) / 0.3
        cdf = lambda z: 0.5 * (1 + s.lax.erf(z / np.float32(np.sqrt(2))))
        return s.jnp.sum(spot * cdf(d1) - strike * np.float32(np.exp(-0.02)) * cdf(d1 - 0.3))

    return s.ad.value_and_grad(price, (0, 1)), (SPOT, STRIKE)


def heat(s: System) -> Any:
    def energy(u: Any) -> Any:
        for _ in range(50):
            u = u + 0.2 * (s.jnp.roll(u, 1) - 2 * u + s.jnp.roll(u, -1)) - 0.01 * u**3
        return s.jnp.sum(u**2)

    return s.ad.grad(energy), (HEAT,)


def bodies(s: System) -> Any:
    def potential(x: Any) -> Any:
        r2 = s.jnp.sum((x[:, None] - x[None]) ** 2, -1) + 0.01
        return -s.jnp.sum(1 / s.jnp.sqrt(r2)) / 2

    return s.ad.grad(potential), (BODIES,)


def per_example(s: System) -> Any:
    def loss(layers: Any, x: Any) -> Any:
        (w, b), (v, c) = layers
        return s.jnp.sum((s.jnp.tanh(x @ w + b) @ v + c) ** 2)

    return s.ad.vmap(s.ad.grad(loss), (None, 0)), (SMALL, EXAMPLES)


PROGRAMS: dict[str, Callable[[System], Any]] = {
    "perceptron 8×512, batch 256: value and gradient": perceptron,
    "residual network, 20 layers: value and gradient": residual(20),
    "residual network, 200 layers: value and gradient": residual(200),
    "convolutional network: value and gradient": convolutional,
    "transformer block: value and gradient": transformer,
    "log det by Cholesky, 128×128: gradient": cholesky,
    "linear solve, 128×128: gradient": solve,
    "Gaussian mixture, 2,000 points: gradient": mixture,
    "sort, gather and scatter of 100,000: gradient": moving,
    "log spectrum by FFT, 65,536: gradient": spectrum,
    "logistic regression, 50 weights: Hessian": regression,
    "recurrent network, 50 unrolled steps: gradient": recurrent,
    "sum(tanh(X)²), 1000×1000: gradient": lambda s: (s.ad.grad(lambda x: s.jnp.sum(s.jnp.tanh(x) ** 2)), (SQUARE,)),
    "softmax cross-entropy, 256×1000: gradient": lambda s: (
        s.ad.grad(lambda x: -s.jnp.mean(s.nn.log_softmax(x)[np.arange(256), CLASSES])), (LOGITS,)),
    "1,000,000 normal numbers": lambda s: (lambda k: s.random.normal(k, (1_000_000,)), (np.array([0, 1], np.uint32),)),
    "Black-Scholes, 100,000 options: value and gradient": black_scholes,
    "heat equation, 50 unrolled steps: gradient": heat,
    "256 bodies: gradient": bodies,
    "perceptron, 512 gradients by vmap": per_example,
    "cumulative sum of 1,000,000": lambda s: (lambda x: s.jnp.cumsum(x), (SQUARE.reshape(-1),)),
}  # fmt: skip
