"""Rows of `lax/arrangement.py`."""

from __future__ import annotations

import numpy as np

from pullback.lax import arrangement as lax
from tests.conformance.table import Row, sample

X = sample((3, 4))
Y = sample((2, 4), seed=1)
Z = sample((3, 4), np.complex128, seed=2)
INTEGERS = sample((3, 4), np.int8)
FLAGS = sample((3, 4), np.bool_)
EMPTY = np.zeros((0, 4))
SPECIAL = np.array([[np.nan, -0.0, np.inf], [0.0, -np.inf, 1.0]])

ROWS: list[Row] = [
    Row("concatenate", "rows", lambda x, y: lax.concatenate([x, y, x], 0), (X, Y)),
    Row("concatenate", "columns", lambda x, y: lax.concatenate([x, y], 1), (X, Z.real)),
    Row("concatenate", "complex", lambda x, y: lax.concatenate([x, y], 0), (Z, Z[:1])),
    Row("concatenate", "int8", lambda x, y: lax.concatenate([x, y], 0), (INTEGERS, INTEGERS[:2]), order=0),
    Row("concatenate", "bool-empty", lambda x, y: lax.concatenate([x, y], 0), (FLAGS, FLAGS[:0]), order=0),
    Row("pad", "outside", lambda x, v: lax.pad(x, v, [(1, 2, 0), (0, 1, 0)]), (X, np.float64(0.7))),
    Row("pad", "interior", lambda x, v: lax.pad(x, v, [(1, 0, 2), (2, 1, 1)]), (X, np.float64(0.7))),
    Row("pad", "negative", lambda x, v: lax.pad(x, v, [(-1, 2, 1), (1, -4, 2)]), (X, np.float64(0.7))),
    Row("pad", "all-cut", lambda x, v: lax.pad(x, v, [(-3, 2, 0), (0, 0, 0)]), (X, np.float64(0.7))),
    Row("pad", "complex", lambda x, v: lax.pad(x, v, [(1, 1, 1), (-1, 0, 0)]), (Z, np.complex128(1 - 2j))),
    Row("pad", "empty", lambda x, v: lax.pad(x, v, [(1, 1, 3), (0, -2, 0)]), (EMPTY, np.float64(2.0))),
    Row("pad", "special", lambda x, v: lax.pad(x, v, [(0, 1, 0), (1, 0, 1)]), (SPECIAL, np.float64(np.nan)), order=0),
    Row("pad", "int8", lambda x, v: lax.pad(x, v, [(-1, 1, 1), (1, 0, 0)]), (INTEGERS, np.int8(7)), order=0),
    Row("slice", "plain", lambda x: lax.slice(x, (1, 0), (3, 3)), (X,)),
    Row("slice", "strides", lambda x: lax.slice(x, (0, 1), (3, 4), (2, 2)), (X,)),
    Row("slice", "empty", lambda x: lax.slice(x, (2, 1), (2, 4), (2, 2)), (X,)),
    Row("slice", "complex", lambda x: lax.slice(x, (1, 0), (3, 4), (1, 3)), (Z,)),
    Row("slice", "bool", lambda x: lax.slice(x, (1, 0), (3, 3)), (FLAGS,), order=0),
    Row("rev", "one", lambda x: lax.rev(x, (1,)), (X,)),
    Row("rev", "both", lambda x: lax.rev(x, (0, 1)), (Z,)),
    Row("rev", "empty-int8", lambda x: lax.rev(x, (0,)), (INTEGERS[:0],), order=0),
    Row("split", "rows", lambda x: lax.split(x, (1, 2), 0), (X,)),
    Row("split", "columns", lambda x: lax.split(x, (1, 0, 3), 1), (Z,)),
    Row("split", "bool", lambda x: lax.split(x, (1, 3), -1), (FLAGS,), order=0),
]  # fmt: skip
