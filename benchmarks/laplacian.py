"""The Laplacian of a network: the forward Laplacian beside the trace of the Hessian.

    python -m benchmarks.laplacian [--smoke]

A network of four layers in 64 dimensions, for one point and for a batch of 256 points (by `vmap`), all
jitted. Medians of interleaved calls; the results are compared first. Results go to benchmarks/RESULTS.md.
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
from pullback.derivatives import laplacian

HERE = Path(__file__).parent
BEGIN, END = "## Laplacian of a network\n", "<!-- end of Laplacian -->\n"

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once, write nothing")
    smoke = parser.parse_args().smoke
    rows = []
    for width in WIDTHS:
        f = network(width)
        for batch in BATCHES:
            x = jnp.asarray(np.random.default_rng(1).normal(size=(batch, DIMENSIONS)), jnp.float32)
            over = of_first if batch == 1 else pb.vmap
            compiled = [pb.jit(over(method(f))) for method in METHODS.values()]
            expected, *others = [np.asarray(g(x)) for g in compiled]
            for found in others:
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
            t = medians(compiled, x, 1 if smoke else 400 if batch == 1 else 41)
            rows.append(
                [
                    f"{width} wide, {batch} point{'s' * (batch > 1)}",
                    *[f"{s * 1e3:.3f}" for s in t],
                    f"{t[1] / t[0]:.2f}×",
                ]
            )
            print(*rows[-1], flush=True)
    if not smoke:
        text = (
            "Four layers in 64 dimensions, jitted; milliseconds, medians of interleaved calls, results compared. Target: at least 2× "
            "the trace of the Hessian (forward over reverse).\n\n" + table(["network", *METHODS, "times as fast"], rows)
        )
        insert(f"{BEGIN}\n{text}\n{END}", HERE / "RESULTS.md", BEGIN, END)


if __name__ == "__main__":
    main()
