"""Taylor mode of a perceptron, beside nested `jvp`s: the directional derivative of order 8.

    python -m benchmarks.taylor                 a table
    python -m benchmarks.taylor 2 4 6 8 10      of these orders

Medians of interleaved calls, in eager code and jitted; the results are compared first. The first jitted call (tracing and
compiling, without the cache on disk) is timed once. Nested `jvp`s apply the rules 2ᵏ times for order k. Eager code does all
of that; a compiler finds that most of it is the same, because all directions are equal, and leaves a number of products
that grows like k³.
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
from pullback.derivatives import directional_derivatives

#: Sizes of layers, and points.
NETWORKS = {
    "64-64-64-1, 1 point": ((64, 64, 64, 1), 1),
    "64-64-64-1, 32 points": ((64, 64, 64, 1), 32),
    "2-20-20-20-1, 1000 points": ((2, 20, 20, 20, 1), 1000),
}


def perceptron(sizes: tuple[int, ...]) -> Callable[[Any], Any]:
    """Layers of tanh, the last one linear."""
    rng = np.random.default_rng(0)
    weights = [jnp.asarray(rng.normal(size=s) / np.sqrt(s[0]), jnp.float32) for s in zip(sizes, sizes[1:])]

    def f(x: Any) -> Any:
        for w in weights[:-1]:
            x = jnp.tanh(x @ w)
        return x @ weights[-1]

    return f


def by_jet(f: Callable[[Any], Any], order: int) -> Callable[[Any, Any], Any]:
    return lambda x, v: directional_derivatives(f, x, v, order)[-1]


def by_nested_jvps(f: Callable[[Any], Any], order: int) -> Callable[[Any, Any], Any]:
    def derivative(x: Any, v: Any, order: int) -> Any:
        return f(x) if not order else pb.jvp(lambda x: derivative(x, v, order - 1), (x,), (v,))[1]

    return lambda x, v: derivative(x, v, order)


def seconds(f: Callable[..., Any], *args: Any) -> float:
    start = time.perf_counter()
    pb.block_until_ready(f(*args))
    return time.perf_counter() - start


def medians(functions: list[Callable[..., Any]], args: tuple[Any, ...], rounds: int) -> list[float]:
    times = [[seconds(f, *args) for f in functions] for _ in range(rounds)]
    return [statistics.median(t) for t in zip(*times)]


def main(orders: list[int]) -> None:
    pb.config.update("enable_compilation_cache", False)
    pb.jit(jnp.sin)(1.0)  # loads the compiler
    columns = ["eager jet", "nested", "times", "jitted jet", "nested", "times", "first jet", "nested", "times"]
    print(f"{'network':>26} {'order':>5}", *[f"{c:>10}" for c in columns], "   (milliseconds)")
    for name, (sizes, points) in NETWORKS.items():
        f = perceptron(sizes)
        rng = np.random.default_rng(1)
        x, v = (jnp.asarray(rng.normal(size=(points, sizes[0])), jnp.float32) for _ in range(2))
        for order in orders:
            eager = [by_jet(f, order), by_nested_jvps(f, order)]
            jitted = [pb.jit(g) for g in eager]
            first = [seconds(g, x, v) for g in jitted]
            results = [np.asarray(g(x, v)) for g in (*jitted, *eager)]
            for other in results[1:]:
                np.testing.assert_allclose(other, results[0], rtol=1e-3, atol=1e-3 * np.abs(results[0]).max())
            pairs = [medians(eager, (x, v), 5), medians(jitted, (x, v), 200), first]
            cells = [f"{c:10.3f}" for a, b in pairs for c in (a * 1e3, b * 1e3, b / a)]
            print(f"{name:>26} {order:5}", *cells)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [8])
