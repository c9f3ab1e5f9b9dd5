"""Rows of `lax/selection.py`."""

from __future__ import annotations

import numpy as np

from pullback.lax.selection import select_n
from tests.conformance.table import Row, sample

X, Y, W = (sample((3, 4), seed=k) for k in range(3))
Z = sample((3, 4), np.complex128, seed=3)
FLAGS = sample((3, 4), np.bool_, seed=4)
WHICH = sample((3, 4), np.int32, low=0, high=2, seed=5)
NAN = np.full((3, 4), np.nan)

ROWS: list[Row] = [
    Row("select_n", "bool", select_n, (FLAGS, X, Y)),
    Row("select_n", "int32", select_n, (WHICH, X, Y, W)),
    Row("select_n", "scalar", select_n, (np.bool_(True), X, Y)),
    Row("select_n", "complex", select_n, (FLAGS, Z, Z * 2j)),
    Row("select_n", "nan-not-chosen", select_n, (np.zeros((3, 4), bool), X, NAN), order=0),
    Row("select_n", "bool-cases", select_n, (FLAGS, FLAGS, ~FLAGS), order=0),
    Row("select_n", "empty", select_n, (FLAGS[:0], X[:0], Y[:0])),
    Row("select_n", "one-case", select_n, (FLAGS, X), order=1),
]
