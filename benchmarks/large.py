"""From which size on does XLA evaluate an operation on one large array quicker than NumPy? Settles the table of `pullback.xla.eager`.

    python -m benchmarks.large          every operation, float32 and float64, sizes from 2**15 to 2**21

Prints microseconds by NumPy and by XLA, interleaved medians of the time until the result is there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback import lax

SIZES = (1 << 15, 1 << 17, 1 << 19, 1 << 21)
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: x + x, "sqrt": jnp.sqrt, "exp": jnp.exp, "log": jnp.log, "tanh": jnp.tanh, "sin": jnp.sin, "cos": jnp.cos,
    "logistic": lax.logistic, "erf": lax.erf, "erfc": lax.erfc, "erf_inv": lambda x: lax.erf_inv(x - 1),
    "select": lambda x: lax.select(x > 1, x, x), "pow": lambda x: x**x, "sum": jnp.sum, "max": jnp.max, "argmax": jnp.argmax,
    "cumsum": jnp.cumsum, "sort": jnp.sort,
    "uniform": lambda x: pb.random.uniform(pb.random.key(0), x.shape, x.dtype),
    "normal": lambda x: pb.random.normal(pb.random.key(0), x.shape, x.dtype),
}  # fmt: skip


def seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    pb.block_until_ready(f())
    return time.perf_counter() - start


def compare(f: Callable[[Any], Any], x: Any, rounds: int = 9) -> tuple[float, float]:
    """Median seconds by NumPy and by XLA."""
    compiled = pb.jit(f)
    np.testing.assert_allclose(f(x), compiled(x), rtol=2e-3, atol=1e-5)
    times = [(seconds(lambda: f(x)), seconds(lambda: compiled(x))) for _ in range(rounds)]
    numpy, xla = zip(*times)
    return statistics.median(numpy), statistics.median(xla)


def main() -> None:
    print(f"{'':18}" + "".join(f"{n:>24,}" for n in SIZES))
    with pb.enable_x64(True), pb.config.option("xla_for_large_arrays")(False):
        for dtype in (np.float32, np.float64):
            for name, f in OPERATIONS.items():
                row = []
                for n in SIZES:
                    numpy, xla = compare(f, jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, n), dtype))
                    row.append(f"{numpy * 1e6:8.0f}/{xla * 1e6:7.0f} {numpy / xla:5.2f}x")
                print(f"{np.dtype(dtype).name} {name:9}", *row, sep="  ")


if __name__ == "__main__":
    main()
