"""Rows of `lax/polynomials.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax.polynomials import polynomial
from tests.conformance.table import Row, sample


def cubic(x: np.ndarray, *coefficients: np.ndarray) -> object:
    return polynomial(x, coefficients)


SCALARS = tuple(sample((), seed=i) for i in range(3))
ROWS = [
    Row("polynomial", "scalar-coefficients", cubic, (sample((2, 3)), *SCALARS)),
    Row("polynomial", "arrays", cubic, (sample((2, 3)), sample((2, 3), seed=1), sample((2, 1), seed=2), sample((1, 3), seed=3))),
    Row("polynomial", "of-a-scalar", cubic, (sample(()), sample((3,)), sample((), seed=1))),
    Row("polynomial", "constant", cubic, (sample((2,)), SCALARS[0]), order=0),
    Row("polynomial", "complex", cubic, (sample((2,), np.complex128), sample((), np.complex128), sample((2,), np.complex128, seed=1))),
    Row("polynomial", "int8", cubic, (sample((3,), np.int8, -9, 9), *(np.int8(n) for n in (1, -2, 3))), order=0),
    Row("polynomial", "bfloat16", cubic, (sample((3,), ml_dtypes.bfloat16), sample((3,), ml_dtypes.bfloat16, seed=1)), order=0),
]  # fmt: skip
