"""Blocks of blocks at any starts, in bounds or out: compiled programs, batches and gradients give what eager mode gives."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from tests.conftest import FULL


@pytest.mark.parametrize("seed", range(400 if FULL else 12))
def test_blocks_of_blocks(seed: int) -> None:
    """Starts are clamped one by one, out of bounds as well: XLA would add those of nested blocks before it clamps."""
    rng = random.Random(seed)
    n = size = rng.randint(3, 10)
    steps = []
    for _ in range(rng.randint(2, 4)):
        steps.append((rng.choice(["slice", "update", "clip", "fill", "scatter", "row"]), rng.randint(1, size)))
        if steps[-1][0] in ("slice", "clip", "fill"):
            size = steps[-1][1]

    def f(x: Any, starts: Any) -> Any:
        for (name, m), j in zip(steps, starts):
            if name == "slice":
                x = lax.dynamic_slice(x, (j,), (m,))
            elif name == "update":
                x = lax.dynamic_update_slice(x, -x[:m], (j,))
            elif name in ("clip", "fill"):
                x = lax.gather(x, j[None], lax.GatherDimensionNumbers((0,), (), (0,)), (m,), mode=name)
            elif name == "scatter":
                numbers = lax.ScatterDimensionNumbers((0,), (), (0,))
                x = lax.scatter(x, j[None], x[:m] * 2, numbers, mode="clip" if m % 2 else "drop")
            else:
                x = x + lax.dynamic_index_in_dim(x, j, 0)
        return x

    dtype = rng.choice(["int32", "int8", "uint8"])
    starts = [jnp.asarray(np.array(rng.randint(0 if dtype == "uint8" else -12, 15), dtype)) for _ in steps]
    x = jnp.arange(1.0, n + 1)
    expected = f(x, starts)
    np.testing.assert_array_equal(pb.jit(f)(x, starts), expected)
    np.testing.assert_array_equal(pb.jit(pb.vmap(f, (None, 0)))(x, [j[None] for j in starts])[0], expected)
    gradient = pb.grad(lambda x: (f(x, starts) ** 2).sum())
    np.testing.assert_array_equal(pb.jit(gradient)(x), gradient(x))
