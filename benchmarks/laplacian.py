"""The Laplacian of a network: the forward Laplacian beside the trace of the Hessian.

    python -m benchmarks.laplacian              a table
    python -m benchmarks.laplacian 256          of networks of this width alone

A network of four layers in 64 dimensions, for one point and for a batch of 256 points (by `vmap`), all
jitted. Medians of interleaved calls; the results are compared first.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback.derivatives.laplacians import laplacian

DIMENSIONS, LAYERS = 64, 4
WIDTHS, BATCHES = (64, 256), (1, 256)


def network(width: int) -> Callable[[Any], Any]:
    """A scalar function: `LAYERS` layers, tanh after all but the last."""
    rng = np.random.default_rng(0)
    sizes = [DIMENSIONS, *[width] * (LAYERS - 1), 1]
    weights = [jnp.asarray(rng.normal(size=s) / np.sqrt(s[0]), jnp.float32) for s in zip(sizes, sizes[1:])]
    biases = [jnp.asarray(rng.normal(size=n), jnp.float32) for n in sizes[1:]]

    def f(x: Any) -> Any:
        *hidden, last = zip(weights, biases)
        for w, b in hidden:
            x = jnp.tanh(x @ w + b)
        return (x @ last[0] + last[1])[0]

    return f


def forward_over_reverse(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The trace of the Hessian, as one would write it."""
    return lambda x: jnp.trace(pb.jacfwd(pb.grad(f))(x))


def products(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same of Hessian-vector products with the basis, of which only the diagonal is kept."""

    def of(x: Any) -> Any:
        _, f_hvp = pb.linearize(pb.grad(f), x)
        return jnp.sum(pb.vmap(lambda v: v @ f_hvp(v))(jnp.eye(DIMENSIONS, dtype=x.dtype)))

    return of


METHODS = {
    "forward Laplacian": laplacian, "trace of hessian": forward_over_reverse, "n products": products,
}  # fmt: skip


def of_first(g: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`g` of the first of several points."""
    return lambda x: g(x[0])


def seconds(f: Callable[[Any], Any], x: Any) -> float:
    start = time.perf_counter()
    pb.block_until_ready(f(x))
    return time.perf_counter() - start


def medians(functions: list[Callable[[Any], Any]], x: Any, rounds: int) -> list[float]:
    times = [[seconds(f, x) for f in functions] for _ in range(rounds)]
    return [statistics.median(t) for t in zip(*times)]


def main(widths: tuple[int, ...]) -> None:
    print(f"{'width':>6} {'points':>7}", *[f"{name:>20}" for name in METHODS], "   times as fast")
    for width in widths:
        f = network(width)
        for batch in BATCHES:
            x = jnp.asarray(np.random.default_rng(1).normal(size=(batch, DIMENSIONS)), jnp.float32)
            over = of_first if batch == 1 else pb.vmap
            compiled = [pb.jit(over(method(f))) for method in METHODS.values()]
            expected, *others = [np.asarray(g(x)) for g in compiled]
            for found in others:
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
            found = medians(compiled, x, 200 if batch == 1 else 9)
            row = [f"{t * 1e3:17.3f} ms" for t in found]
            print(f"{width:6} {batch:7}", *row, *[f"{t / found[0]:8.2f}x" for t in found[1:]], flush=True)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or WIDTHS)
