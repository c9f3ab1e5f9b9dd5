"""Rows of `lax/cumulative.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import cumulative as lax
from pullback.lax.cumulative import linear_recurrence_p
from tests.conformance.table import Row, sample

X = sample((3, 4), low=-1.5, high=1.5)
Z = sample((3, 4), np.complex128, seed=1)
ZEROS = np.array([[1.5, 0.0, -0.5], [2.0, 0.0, 0.0], [-1.0, 3.0, 0.5]])
SPECIAL = np.array([[1.0, np.nan, -0.0, np.inf], [0.0, 2.0, 0.0, -np.inf]])
INTEGERS = sample((3, 4), np.int32, low=-3, high=3)
BYTES = sample((3, 4), np.uint8, low=0, high=9)
EMPTY = np.zeros((0, 2))

ROWS: list[Row] = []

for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "rows", lambda x, f=function: f(x, 1), (X,)),
        Row(name, "columns-reversed", lambda x, f=function: f(x, 0, reverse=True), (X,)),
        Row(name, "wide", lambda x, f=function: f(x, 0), (sample((3, 11)),), order=1),
        Row(name, "vector", lambda x, f=function: f(x, 0), (sample((6,)),)),
        Row(name, "complex", lambda x, f=function: f(x, 1), (Z,)),
        Row(name, "float32", lambda x, f=function: f(x, 0), (X.astype(np.float32),), tol=1e-2),
        Row(name, "special", lambda x, f=function: f(x, 0), (SPECIAL,), order=0),
        Row(name, "empty", lambda x, f=function: f(x, 0), (EMPTY,), order=1),
        Row(name, "float16", lambda x, f=function: f(x, 1), (X.astype(np.float16),), order=0),
    ]
    if name != "cumlogsumexp":
        ROWS += [
            Row(name, "int32", lambda x, f=function: f(x, 1), (INTEGERS,), order=0),
            Row(name, "uint8", lambda x, f=function: f(x, 1, reverse=True), (BYTES,), order=0),
            Row(name, "int4", lambda x, f=function: f(x, 0), (INTEGERS.astype(ml_dtypes.int4),), order=0),
        ]
ROWS += [
    Row("cumprod", "zeros", lambda x: lax.cumprod(x, 1), (ZEROS,), note="one, two and no zeros"),
    Row("cumlogsumexp", "far-apart", lambda x: lax.cumlogsumexp(x), (np.array([-800.0, 0.0, 799.0, 800.0]),), order=1),
]


def recurrence(axis: int, reverse: bool) -> object:
    return lambda a, b: linear_recurrence_p.bind(a, b, axis=axis, reverse=reverse)


ROWS += [
    Row("linear_recurrence", "rows", recurrence(1, False), (X, sample((3, 4), seed=5))),
    Row("linear_recurrence", "columns-reversed", recurrence(0, True), (X, sample((3, 4), seed=5))),
    Row("linear_recurrence", "wide", recurrence(0, False), (sample((3, 11)), sample((3, 11), seed=3)), order=1),
    Row("linear_recurrence", "complex", recurrence(1, False), (Z, sample((3, 4), np.complex128, seed=6))),
    Row("linear_recurrence", "zeros", recurrence(1, False), (ZEROS, ZEROS[::-1].copy())),
    Row("linear_recurrence", "empty", recurrence(0, False), (EMPTY, EMPTY), order=0, note="linear in all by emptiness"),
]
