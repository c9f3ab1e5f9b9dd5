"""Rows of `lax/sorting.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax.sorting import put_along_p, sort, take_along_p, top_k
from tests.conformance.table import Row, sample

X, Y = sample((3, 4)), sample((3, 4), seed=1)
Z = sample((3, 4), np.complex128)
KEYS = np.array([[1, 0, 1, 0], [2, 2, 0, 2], [0, 0, 0, 0]], np.int32)
SPECIAL = np.array([np.nan, 1.0, -0.0, 0.0, -np.inf, np.inf, -np.nan, 0.0, -0.0])
INDICES = np.array([[2, 0], [3, 1], [0, 1]])

ROWS = [
    Row("sort", "rows", lambda x: sort(x, 1), (X,)),
    Row("sort", "columns", lambda x: sort(x, 0), (X,)),
    Row("sort", "complex", lambda x: sort(x), (Z,)),
    Row("sort", "float32", lambda x: sort(x), (X.astype(np.float32),), tol=1e-2),
    Row("sort", "long", lambda x: sort(x, is_stable=False), (sample((600,)),), order=1, vmap=False, note="size"),
    Row("sort", "pair", lambda x, y: sort((x, y)), (X, Y)),
    Row("sort", "integer-keys", lambda k, x: sort((k, x), 1), (KEYS, X)),
    Row("sort", "two-keys", lambda k, x, y: sort((k, x, y), 0, num_keys=2), (KEYS, X, Y)),
    Row("sort", "special", lambda x: sort(x), (SPECIAL,), order=0),
    Row(
        "sort", "complex-nan", lambda x: sort(x), (np.array([2, complex(1, np.nan), complex(np.nan, 0), 1j]),), order=0
    ),
    Row("sort", "bfloat16-nan", lambda x: sort(x), (SPECIAL.astype(ml_dtypes.bfloat16),), order=0),
    Row("sort", "int4", lambda x: sort(x), (np.array([3, -8, 7, 0], ml_dtypes.int4),), order=0),
    Row("sort", "uint8", lambda x: sort(x), (np.array([3, 255, 0], np.uint8),), order=0),
    Row("sort", "bool", lambda x: sort(x), (np.array([True, False, True]),), order=0),
    Row("sort", "empty", lambda x: sort(x), (np.zeros((2, 0)),), order=1),
    Row("top_k", "rows", lambda x: top_k(x, 2), (X,)),
    Row("top_k", "columns", lambda x: top_k(x, 2, axis=0), (X,)),
    Row("top_k", "none", lambda x: top_k(x, 0), (X,), order=1),
    Row("top_k", "special", lambda x: top_k(x, 9), (SPECIAL,), order=0),
    Row("top_k", "bfloat16", lambda x: top_k(x, 9), (SPECIAL.astype(ml_dtypes.bfloat16),), order=0),
    Row("top_k", "int32-ties", lambda x: top_k(x, 3), (KEYS,), order=0),
    Row("top_k", "bool", lambda x: top_k(x, 2), (np.array([True, False, True]),), order=0),
    Row("take_along", "rows", lambda x, i: take_along_p.bind(x, i, axis=1), (X, INDICES)),
    Row("take_along", "vector", lambda x, i: take_along_p.bind(x, i, axis=0), (sample((5,)), np.array([4, 0, 2]))),
    Row("take_along", "int8", lambda x, i: take_along_p.bind(x, i, axis=1), (KEYS.astype(np.int8), INDICES), order=0),
    Row("put_along", "rows", lambda x, i: put_along_p.bind(x, i, axis=1, length=4), (sample((3, 2)), INDICES)),
    Row(
        "put_along",
        "vector",
        lambda x, i: put_along_p.bind(x, i, axis=0, length=6),
        (sample((3,)), np.array([4, 0, 2])),
    ),
]
