"""Peak memory of a gradient through a deep chain, relative to the residuals that it must keep."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

LAYERS, WIDTH = 200, 128


@dataclass(frozen=True)
class Memory:
    """Bytes: the peak while the gradient is computed, and the arrays that reverse mode cannot do without."""

    peak: int
    residuals: int

    @property
    def ratio(self) -> float:
        return self.peak / self.residuals


def chain_memory() -> Memory:
    """The gradient by x of sum(tanh(... tanh(x @ w_1) ... @ w_200)): one residual, the slope of tanh, a layer."""
    import numpy as np

    import pullback
    import pullback.numpy as jnp

    rng = np.random.default_rng(0)
    weights = [jnp.asarray(rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) / WIDTH**0.5) for _ in range(LAYERS)]
    x = jnp.asarray(rng.normal(size=(WIDTH, WIDTH)).astype(np.float32))

    def chain(x: pullback.Array) -> pullback.Array:
        for w in weights:
            x = jnp.tanh(jnp.dot(x, w))
        return jnp.sum(x)

    gradient = pullback.grad(chain)
    gradient(x)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        gradient(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Memory(peak - before, LAYERS * x.nbytes)
