"""Rows of `lax/contraction.py`."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from pullback.lax.contraction import dot_general
from tests.conformance.table import Row, sample


def contract(
    x: tuple[int, ...], y: tuple[int, ...], batch_x: tuple[int, ...] = (), batch_y: tuple[int, ...] = (), **options: Any
) -> Any:
    """dot_general as a function of its operands."""
    return lambda a, b: dot_general(a, b, ((x, y), (batch_x, batch_y)), **options)


def pair(x: tuple[int, ...], y: tuple[int, ...], dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    return sample(x, dtype), sample(y, dtype, seed=9)


ROWS = [
    Row("dot_general", "vectors", contract((0,), (0,)), pair((3,), (3,))),
    Row("dot_general", "matrix-vector", contract((1,), (0,)), pair((2, 3), (3,))),
    Row("dot_general", "vector-matrix", contract((0,), (0,)), pair((3,), (3, 2))),
    Row("dot_general", "matrices", contract((1,), (0,)), pair((2, 3), (3, 4))),
    Row("dot_general", "transposed", contract((0,), (1,)), pair((3, 2), (4, 3))),
    Row("dot_general", "outer", contract((), ()), pair((2,), (3,))),
    Row("dot_general", "scalars", contract((), ()), pair((), ())),
    Row("dot_general", "two-axes", contract((2, 0), (1, 2)), pair((2, 4, 3), (2, 3, 2))),
    Row("dot_general", "batch", contract((2,), (1,), (0,), (0,)), pair((2, 3, 4), (2, 4, 3))),
    Row("dot_general", "batch-inside", contract((0,), (2,), (2,), (1,)), pair((3, 4, 2), (4, 2, 3))),
    Row("dot_general", "two-batch-axes", contract((1,), (3,), (2, 0), (0, 1)), pair((2, 3, 4), (4, 2, 2, 3))),
    Row("dot_general", "batch-only", contract((), (), (0,), (0,)), pair((3,), (3,))),
    Row("dot_general", "complex", contract((1,), (0,)), pair((2, 3), (3, 2), np.complex128)),
    Row("dot_general", "float32", contract((1,), (0,)), pair((2, 3), (3, 2), np.float32), tol=1e-2),
    Row("dot_general", "preferred", contract((1,), (0,), preferred_element_type=np.float64), pair((2, 3), (3, 2), np.float32), tol=1e-2),
    Row("dot_general", "empty-contraction", contract((1,), (0,)), pair((2, 0), (0, 3)), order=0),
    Row("dot_general", "empty-free", contract((1,), (0,)), pair((0, 2), (2, 3)), order=0),
    Row("dot_general", "int32", contract((1,), (0,)), pair((2, 3), (3, 2), np.int32), order=0),
    Row("dot_general", "int8-into-int32", contract((1,), (0,), preferred_element_type=np.int32), pair((2, 3), (3, 2), np.int8), order=0),
    Row("dot_general", "uint8", contract((1,), (0,)), (sample((2, 3), np.uint8, low=0, high=99), sample((3, 2), np.uint8, low=0, high=99)), order=0),
    Row("dot_general", "bool", contract((1,), (0,)), pair((2, 3), (3, 2), np.bool_), order=0),
    Row("dot_general", "float16", contract((1,), (0,)), pair((2, 3), (3, 2), np.float16), order=0),
    Row("dot_general", "bfloat16", contract((1,), (0,)), pair((2, 3), (3, 2), ml_dtypes.bfloat16), order=0),
    Row(
        "dot_general", "bfloat16-into-float32", contract((1,), (0,), preferred_element_type=np.float32),
        pair((2, 3), (3, 2), ml_dtypes.bfloat16), order=0,
    ),
    Row("dot_general", "special", contract((1,), (0,)), (np.array([[np.inf, 0.0], [np.nan, 1.0]]), np.eye(2)), order=0),
    Row("dot_general", "int4", contract((1,), (0,)), tuple(x.astype(ml_dtypes.int4) for x in pair((2, 3), (3, 2), np.int8)), order=0),
    Row("dot_general", "bool-batch", contract((1,), (1,), (0,), (0,)), pair((2, 3), (2, 3), np.bool_), order=0),
]  # fmt: skip
