"""Rows of `control/reduce.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.control.reduce import reduce, reduce_window
from pullback.lax import functions as lax
from pullback.lax.selection import select
from tests.conformance.table import Row, sample


def over(computation: Any, initial: Any, dimensions: tuple[int, ...]) -> Any:
    return lambda *xs: reduce(xs if len(xs) > 1 else xs[0], initial, computation, dimensions)


def times(a: Any, b: Any) -> Any:
    """A product that is not recognized as one."""
    return lax.mul(lax.neg(a), lax.neg(b))


def norm(a: Any, b: Any) -> Any:
    return lax.sqrt(lax.add(lax.mul(a, a), lax.mul(b, b)))


def compose(f: Any, g: Any) -> Any:
    """Affine functions one after the other: associative, not commutative."""
    return lax.mul(g[0], f[0]), lax.add(lax.mul(g[0], f[1]), g[1])


def first(a: Any, b: Any) -> Any:
    """The first of numbers that are not 0."""
    return select(a != 0, a, b)


def windows(computation: Any, initial: Any, *arguments: Any, **options: Any) -> Any:
    return lambda x: reduce_window(x, initial, computation, *arguments, **options)


X = sample((3, 4, 5))
A, B = sample((3, 4)), sample((3, 4), seed=1)
W = sample((5, 4))
ROWS = [
    Row("reduce", "product", over(times, 1.0, (1,)), (A,)),
    Row("reduce", "product-all", over(times, 1.0, (0, 1)), (A,), order=1),
    Row("reduce", "two-axes", over(norm, 0.0, (0, 2)), (X,), order=1),
    Row("reduce", "affine", over(compose, (1.0, 0.0), (0,)), (A, B)),
    Row("reduce", "affine-along-rows", over(compose, (1.0, 0.0), (1,)), (A, B), order=1),
    Row("reduce", "initial", lambda x, start: reduce(x, start, times, (1,)), (A, np.array(0.5))),
    Row("reduce", "closure", lambda x, w: reduce(x, 1.0, lambda a, b: lax.mul(lax.mul(a, b), w), (0,)),
        (sample((2, 3)), np.array(0.5))),
    Row("reduce", "one", over(norm, 0.0, (0,)), (sample((1, 3)),), order=1),
    Row("reduce", "empty", over(times, 2.0, (0,)), (np.zeros((0, 3)),), order=0),
    Row("reduce", "empty-kept", over(times, 2.0, (0,)), (np.zeros((3, 0)),), order=0),
    Row("reduce", "float32", over(times, 1.0, (0,)), (A.astype(np.float32),), order=1, tol=1e-2),
    Row("reduce", "float16", over(times, 1.0, (0,)), (A.astype(np.float16),), order=0),
    Row("reduce", "complex", over(times, 1.0, (0,)), (sample((3, 2), np.complex128),), order=1),
    Row("reduce", "integers", over(first, 0, (1,)), (sample((4, 5), np.int32),), order=0),
    Row("reduce", "booleans", over(lambda a, b: lax.bitwise_not(lax.bitwise_xor(a, b)), True, (0,)), (sample((5, 2), bool),), order=0),
    Row("reduce", "nan", over(times, 1.0, (0,)), (np.array([1.0, np.nan, np.inf, 0.0]),), order=0),
    Row("reduce_window", "product", windows(lax.mul, 1.0, (2, 2), (1, 2)), (W,)),
    Row("reduce_window", "norm", windows(norm, 0.0, (2, 2)), (W,), order=1),
    Row("reduce_window", "dilated", windows(lax.mul, 1.0, (2, 1), (1, 2), ((1, 0), (0, -1)), (1, 2), (2, 1)), (W,), order=1),
    Row("reduce_window", "initial", lambda x, start: reduce_window(x, start, lax.mul, (2, 2)), (W, np.array(0.5)), order=1),
    Row("reduce_window", "closure", lambda x, w: reduce_window(x, 1.0, lambda a, b: lax.mul(lax.mul(a, b), w), (2, 1)),
        (sample((3, 2)), np.array(0.5)), order=1),
    Row("reduce_window", "pairs",
        lambda x: list(reduce_window((x, x), (0.0, 1.0), lambda a, b: (lax.add(a[0], b[0]), lax.mul(a[1], b[1])), (2, 2))), (W,), order=1),
    Row("reduce_window", "empty", windows(lax.mul, 1.0, (2,)), (np.zeros((1,)),), order=0),
]  # fmt: skip
