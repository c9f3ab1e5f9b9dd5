"""Rows of `lax/reductions.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import reductions as lax
from tests.conformance.table import Row, sample

X = sample((3, 4), low=-1.5, high=1.5)
Z = sample((3, 4), np.complex128, seed=1)
ZEROS = np.array([[1.5, 0.0, -0.5], [2.0, 0.0, 0.0], [-1.0, 3.0, 0.5]])
TIES = np.array([[1.0, 3.0, 3.0, -1.0], [2.0, 2.0, 2.0, 0.0]])
SPECIAL = np.array([[1.0, np.nan, -0.0, np.inf], [0.0, 2.0, 0.0, -np.inf]])
INTEGERS = sample((3, 4), np.int32, low=-3, high=3)
BYTES = sample((3, 4), np.uint8, low=0, high=9)
FLAGS = sample((3, 4), np.bool_)
EMPTY = np.zeros((0, 2))

ROWS: list[Row] = []

for name in ("reduce_prod", "reduce_max", "reduce_min"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "rows", lambda x, f=function: f(x, (1,)), (X,)),
        Row(name, "all", lambda x, f=function: f(x, (0, 1)), (X,)),
        Row(name, "none", lambda x, f=function: f(x, ()), (X,)),
        Row(name, "three-axes", lambda x, f=function: f(x, (0, 2)), (sample((2, 3, 2)),)),
        Row(name, "complex", lambda x, f=function: f(x, (0,)), (Z,)),
        Row(name, "float32", lambda x, f=function: f(x, (0,)), (X.astype(np.float32),), tol=1e-2),
        Row(name, "special", lambda x, f=function: f(x, (0,)), (SPECIAL,), order=0),
        Row(name, "empty", lambda x, f=function: f(x, (0,)), (EMPTY,), order=int(name == "reduce_prod")),
        Row(name, "int32", lambda x, f=function: f(x, (0,)), (INTEGERS,), order=0),
        Row(name, "empty-int8", lambda x, f=function: f(x, (0,)), (np.zeros((0, 3), np.int8),), order=0),
        Row(name, "bfloat16", lambda x, f=function: f(x, (1,)), (X.astype(ml_dtypes.bfloat16),), order=0),
        Row(name, "int4", lambda x, f=function: f(x, (1,)), (INTEGERS.astype(ml_dtypes.int4),), order=0),
    ]
ROWS += [
    Row("reduce_prod", "zeros", lambda x: lax.reduce_prod(x, (1,)), (ZEROS,), note="one, two and no zeros"),
    Row("reduce_max", "bool", lambda x: lax.reduce_max(x, (1,)), (FLAGS,), order=0),
    Row("reduce_min", "bool", lambda x: lax.reduce_min(x, (1,)), (FLAGS,), order=0),
    Row("reduce_max", "ties", lambda x: lax.reduce_max(x, (1,)), (TIES,), order=0, note="not differentiable there"),
]

for name in ("reduce_and", "reduce_or", "reduce_xor"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "bool", lambda x, f=function: f(x, (1,)), (FLAGS,), order=0),
        Row(name, "int32", lambda x, f=function: f(x, (0,)), (INTEGERS,), order=0),
        Row(name, "uint8", lambda x, f=function: f(x, (0, 1)), (BYTES,), order=0),
        Row(name, "empty", lambda x, f=function: f(x, (0,)), (np.zeros((0, 2), np.uint8),), order=0),
    ]

for name in ("argmax", "argmin"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "rows", lambda x, f=function: f(x, 1, np.int32), (X,), order=0),
        Row(name, "ties", lambda x, f=function: f(x, 1, np.uint8), (TIES,), order=0),
        Row(name, "nan", lambda x, f=function: f(x, 0, np.int64), (SPECIAL,), order=0),
        Row(name, "int32", lambda x, f=function: f(x, 0, np.int32), (INTEGERS,), order=0),
        Row(name, "bool", lambda x, f=function: f(x, 0, np.int32), (FLAGS,), order=0),
        Row(name, "bfloat16", lambda x, f=function: f(x, 0, np.int32), (X.astype(ml_dtypes.bfloat16),), order=0),
    ]
