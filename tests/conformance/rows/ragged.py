"""Rows of `lax/ragged.py`."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from pullback.lax.ragged import ragged_dot_p, ragged_sums_p
from tests.conformance.table import Row, sample


def rows(x: Any, y: Any, bounds: Any, **options: Any) -> Any:
    return ragged_dot_p.bind(x, y, bounds, **{"precision": None, "preferred_element_type": None} | options)


def sums(x: Any, y: Any, bounds: Any, sets: int = 1, **options: Any) -> Any:
    return ragged_sums_p.bind(x, y, bounds, sets=sets, **{"precision": None, "preferred_element_type": None} | options)


def operands(dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five rows, of which the first and the last are in no group, and the second group is empty."""
    return sample((1, 1, 5, 1, 2), dtype), sample((3, 1, 1, 2, 2), dtype, seed=1), np.int32([[1, 3, 3, 4]])


#: Two problems for a set of matrices, two products with the same bounds, two axes that go with the rows.
SEVERAL = (sample((4, 2, 3, 2, 2)), sample((2, 2, 2, 2, 1)), np.int32([[0, 1, 3], [0, 3, 3], [1, 2, 2], [0, 0, 2]]))
ROWS = [
    Row("ragged_dot", "groups", rows, operands()),
    Row("ragged_dot", "several", rows, SEVERAL, vmap=False, note="`groups` has every subset"),
    Row("ragged_dot", "bfloat16", lambda *xs: rows(*xs, preferred_element_type=np.dtype(np.float32)), operands(ml_dtypes.bfloat16), order=0),
    Row("ragged_sums", "groups", sums, (operands()[0], sample((1, 1, 5, 1, 3), seed=1), operands()[2])),
    Row(
        "ragged_sums", "several", lambda *xs: sums(*xs, sets=2), (SEVERAL[0], sample((4, 2, 3, 2, 1), seed=1), SEVERAL[2]),
        vmap=False, note="`groups` has every subset",
    ),
]  # fmt: skip
