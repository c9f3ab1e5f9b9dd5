"""Triangles of matrices: what is on one side of a diagonal, zero elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.core.primitive import Fusion, LinearPrimitive
from pullback.core.types import ShapedArray
from pullback.lax.shape import move_axis


class Triangle(LinearPrimitive):
    """The elements of each matrix on and below diagonal `k` (on and above it, unless `lower`), zero
    elsewhere.

    Those on that diagonal come halved, if it `halves` it.
    """

    name = "triangle"
    fusion, operations = Fusion.ELEMENTWISE, 1

    def type_of(self, x: ShapedArray, *, lower: bool, k: int, halves: bool) -> ShapedArray:
        if x.ndim < 2:
            raise TypeError(f"triangle takes matrices, got {x}")
        return x

    def evaluate(self, x: Any, *, lower: bool, k: int, halves: bool) -> Any:
        # A select, not a product: what is dropped may be NaN.
        zero = x.dtype.type(0)
        mask = _triangle(*x.shape[-2:], k if lower else k - 1)
        out = np.where(mask, x, zero) if lower else np.where(mask, zero, x)
        return out * _half_diagonal(*x.shape[-2:], k, x.dtype) if halves else out

    def lower(self, emit: Any, x: Any, *, lower: bool, k: int, halves: bool) -> Any:
        return emit_triangle(emit, x, lower, k, halves)

    def transpose(self, ct: Any, x: Any, **params: Any) -> Sequence[Any]:
        return [self.bind(ct, **params)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(move_axis(args[0], axes[0], 0), **params), 0


triangle_p = Triangle()


@lru_cache(maxsize=32)
def _triangle(m: int, n: int, k: int) -> np.ndarray[Any, Any]:
    return np.tri(m, n, k, dtype=bool)


@lru_cache(maxsize=32)
def _half_diagonal(m: int, n: int, k: int, dtype: DType) -> np.ndarray[Any, Any]:
    return (np.ones((m, n)) - np.eye(m, n, k) / 2).astype(dtype)


def tril(x: Any, k: int = 0) -> Any:
    """The elements on and below diagonal `k`, zero elsewhere."""
    return triangle_p.bind(x, lower=True, k=k, halves=False)


def triu(x: Any, k: int = 0) -> Any:
    """The elements on and above diagonal `k`, zero elsewhere."""
    return triangle_p.bind(x, lower=False, k=k, halves=False)


def half_triangle(x: Any, lower: bool = True) -> Any:
    """Φ(x): the lower (upper) triangle with half the diagonal, so that Φ(x) + Φ(x)ᴴ = x for
    Hermitian x."""
    return triangle_p.bind(x, lower=lower, k=0, halves=True)


def emit_triangle(emit: Any, x: Any, lower: bool, k: int = 0, halves: bool = False) -> Any:
    """What `triangle_p` makes of each matrix."""
    n = x.ndim
    row, column = (emit.iota(x.shape, dtypes.int32, n - 2 + i) for i in range(2))
    if k:
        row = emit("add", row, emit.like(k, row))
    half = lambda: emit.select(emit.compare("EQ", row, column), emit("multiply", x, emit.like(0.5, x)), x)
    kept = half() if halves else x
    return emit.select(emit.compare("GE" if lower else "LE", row, column), kept, emit.like(0, x))
