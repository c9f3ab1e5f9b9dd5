"""Rows of `experimental/sparse`: the operations that are primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.experimental.sparse import linalg, products, sparsification
from tests.conformance.table import Row, sample

SHAPE = (3, 4)
DATA = sample((6,))
ROWS_OF = np.array([2, 0, 3, 0, 0, -1], np.int32)  # unsorted, with a repetition and two out of bounds
COLUMNS = np.array([1, 3, 0, 3, 2, 1], np.int32)
POINTERS = np.array([0, 2, 2, 5], np.int32)  # an empty row, and an element behind the last one
V, B = sample((4,), seed=1), sample((4, 2), seed=2)
W = sample((3,), seed=3)
A = np.array([4.0, 1.0, 1.0, 3.0, 0.5, 2.0, 2.5])
A_COLUMNS, A_POINTERS = np.array([0, 1, 0, 1, 2, 1, 2], np.int32), np.array([0, 2, 5, 7], np.int32)
#: Batches of other pointers are in tests/experimental/test_sparse.py.
UNSORTED = "the table's batches of pointers are not sorted"


def product(primitive: Any, transpose: bool = False) -> Any:
    return lambda data, rows, columns, x: primitive.bind(data, rows, columns, x, shape=SHAPE, transpose=transpose)


def solve(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
    return linalg.spsolve_p.bind(data, indices, indptr, b, transposed=False)


ROWS: list[Row] = [
    Row("coo_matvec", "vector", product(products.coo_matvec_p), (DATA, ROWS_OF, COLUMNS, V)),
    Row("coo_matvec", "transposed", product(products.coo_matvec_p, True), (DATA, ROWS_OF, COLUMNS, W)),
    Row("coo_matmat", "matrix", product(products.coo_matmat_p), (DATA, ROWS_OF, COLUMNS, B)),
    Row(
        "coo_matmat", "int8", product(products.coo_matmat_p),
        (sample((6,), np.int8, low=-9, high=9), ROWS_OF, COLUMNS, sample((4, 2), np.int8, low=-9, high=9)), order=0,
    ),
    Row("coo_matvec", "complex", product(products.coo_matvec_p), (sample((6,), np.complex128), ROWS_OF, COLUMNS, V + 1j)),
    Row("coo_matvec", "nothing", product(products.coo_matvec_p), (DATA[:0], ROWS_OF[:0], COLUMNS[:0], V), order=0),
    Row("csr_matvec", "vector", product(products.csr_matvec_p), (DATA, POINTERS, COLUMNS, V), vmap=False, note=UNSORTED),
    Row("csr_matmat", "transposed", product(products.csr_matmat_p, True), (DATA, POINTERS, COLUMNS, sample((3, 2))), vmap=False, note=UNSORTED),
    Row("spsolve", "system", solve, (A, A_COLUMNS, A_POINTERS, W), vmap=False, note=UNSORTED),
    Row("todense", "vector", sparsification.todense_p.bind, (V,)),
]  # fmt: skip
