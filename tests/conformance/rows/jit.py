"""Rows of `transforms/jit.py`: calls of programs, whose derivatives and vectorizations are derived programs."""

from __future__ import annotations

import numpy as np

from pullback.lax import functions as lax
from pullback.lax.sorting import sort
from pullback.transforms.jit import jit
from tests.conformance.table import Row, sample

MATRIX, OTHER = sample((2, 3)), sample((2, 3), seed=1)

ROWS = [
    Row("jit", "two-arguments", jit(lambda x, y: lax.mul(lax.sin(x), y)), (MATRIX, OTHER)),
    Row("jit", "several-results", jit(lambda x, y: [lax.sin(x), y, lax.mul(x, x)]), (MATRIX, OTHER)),
    Row("jit", "nested", jit(lambda x: jit(lambda y: lax.mul(y, lax.cos(y)))(lax.exp(x))), (MATRIX,)),
    Row("jit", "sorted", jit(lambda x: sort(x, 0)), (MATRIX,)),
    Row("jit", "complex", jit(lambda x: lax.exp(x)), (sample((3,), np.complex128),)),
    Row("jit", "float32", jit(lambda x: lax.tanh(x)), (MATRIX.astype(np.float32),), tol=1e-2, order=1),
    Row("jit", "integers", jit(lambda x, i: [lax.mul(x, x), lax.add(i, i)]), (MATRIX, np.arange(3)), order=1),
    Row("jit", "discrete", jit(lambda i: lax.mul(i, i)), (np.arange(3),), order=0),
    Row("jit", "empty", jit(lambda x: lax.sin(x)), (np.zeros((0, 2)),), order=1),
]
