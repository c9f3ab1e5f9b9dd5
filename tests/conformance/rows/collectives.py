"""Collectives, each under a vmap that names the axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.lax import collectives as c
from pullback.transforms.vmap import vmap
from tests.conformance.table import Row, sample

X, SQUARE = sample((3, 2)), sample((3, 3, 2))
Z = sample((3, 2), np.complex128)


def over(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of slices along the axis "i"."""
    return lambda x: vmap(function, axis_name="i")(x)


ROWS = [
    Row("psum", "real", over(lambda x: c.psum(x, "i")), (X,)),
    Row("psum", "complex", over(lambda x: c.psum(x, "i")), (Z,)),
    Row("psum", "integer", over(lambda x: c.psum(x, "i")), (sample((3, 2), np.int32),), order=0),
    Row("psum", "shared", over(lambda x: c.psum(np.float64(2.0), ("i",)) * x), (X,)),
    Row("pmax", "real", over(lambda x: c.pmax(x, "i")), (X,)),
    Row("pmin", "real", over(lambda x: c.pmin(x, "i")), (X,)),
    Row("axis_index", "plain", over(lambda x: c.axis_index("i")), (X,), order=0, note="an integer"),
    Row("all_gather", "stacked", over(lambda x: c.all_gather(x, "i")), (X,)),
    Row("all_gather", "last", over(lambda x: c.all_gather(x, "i", axis=-1)), (X,)),
    Row("all_gather", "tiled", over(lambda x: c.all_gather(x, "i", tiled=True)), (X,)),
    Row("psum_scatter", "plain", over(lambda x: c.psum_scatter(x, "i")), (SQUARE,)),
    Row("psum_scatter", "tiled", over(lambda x: c.psum_scatter(x, "i", tiled=True)), (sample((3, 6)),)),
    Row("ppermute", "cycle", over(lambda x: c.ppermute(x, "i", [(0, 1), (1, 2), (2, 0)])), (X,)),
    Row("ppermute", "partial", over(lambda x: c.ppermute(x, "i", [(0, 2)])), (X,)),
    Row("ppermute", "integer", over(lambda x: c.ppermute(x, "i", [(0, 2)])), (sample((3, 2), np.int32),), order=0),
    Row("all_to_all", "plain", over(lambda x: c.all_to_all(x, "i", 0, 1)), (SQUARE,)),
    Row("all_to_all", "tiled", over(lambda x: c.all_to_all(x, "i", 0, 1, tiled=True)), (sample((3, 6, 2)),)),
]
