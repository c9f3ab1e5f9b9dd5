"""Taylor mode of a perceptron, beside nested `jvp`s: the directional derivative of order 8.

    python -m benchmarks.taylor [--smoke] [--orders 2 4 8]

Results go to benchmarks/RESULTS.md. Medians of interleaved calls, in eager code and jitted; the results are compared first.
The first jitted call (tracing and compiling, without the cache on disk) is timed once. Nested `jvp`s apply the rules 2ᵏ times
for order k. Eager code does all of that; a compiler finds that most of it is the same, because all directions are equal, and
leaves a number of products that grows like k³.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from benchmarks.compiled import insert
from benchmarks.elimination import table
from pullback.derivatives import directional_derivatives

HERE = Path(__file__).parent
BEGIN, END = "## Taylor mode\n", "<!-- end of Taylor mode -->\n"

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once, in low order, write nothing")
    parser.add_argument("--orders", type=int, nargs="+", default=[8])
    options = parser.parse_args()
    pb.config.update("enable_compilation_cache", False)
    pb.jit(jnp.sin)(1.0)  # loads the compiler
    rows = []
    for name, (sizes, points) in NETWORKS.items():
        f = perceptron(sizes)
        rng = np.random.default_rng(1)
        x, v = (jnp.asarray(rng.normal(size=(points, sizes[0])), jnp.float32) for _ in range(2))
        for order in [3] if options.smoke else options.orders:
            eager = [by_jet(f, order), by_nested_jvps(f, order)]
            jitted = [pb.jit(g) for g in eager]
            first = [seconds(g, x, v) for g in jitted]
            results = [np.asarray(g(x, v)) for g in (*jitted, *eager)]
            for other in results[1:]:
                np.testing.assert_allclose(other, results[0], rtol=1e-3, atol=1e-3 * np.abs(results[0]).max())
            rounds = (1, 1) if options.smoke else (7, 400)
            pairs = [medians(eager, (x, v), rounds[0]), medians(jitted, (x, v), rounds[1]), first]
            cells = [f"{a * 1e3:.3f} / {b * 1e3:.3f} ({b / a:.1f}×)" for a, b in pairs]
            rows.append([f"{name}, order {order}", *cells])
            print(*rows[-1], flush=True)
    if not options.smoke:
        text = (
            "A perceptron's directional derivative, by `jet` / by nested `jvp`s; milliseconds, medians of interleaved calls, results "
            "compared. Target: at least 10×. (All directions are equal, so that a compiler removes most of what nested `jvp`s repeat.)\n\n"
            + table(["network", "eager", "jitted", "first jitted call"], rows)
        )
        insert(f"{BEGIN}\n{text}\n{END}", HERE / "RESULTS.md", BEGIN, END)


if __name__ == "__main__":
    main()
