"""Rows of `lax/indexing.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.lax import indexing as lax
from pullback.lax.positions import GatherDimensionNumbers, ScatterDimensionNumbers
from tests.conformance.table import Row, sample

X = sample((4, 3))
Z = sample((4, 3), np.complex128, seed=2)
INTEGERS = sample((4, 3), np.int32, low=-9, high=9)
FLAGS = sample((4, 3), np.bool_)

PICK = np.array([[2], [0], [2], [3]], np.int32)  # rows, with a repetition
OUT = np.array([[1], [7], [-1], [0]], np.int32)  # some out of bounds
ONCE = np.array([[2], [0], [3]], np.int32)
CORNERS = np.array([[[0, 1], [2, 0]], [[1, 1], [3, 2]]], np.int32)  # rows of starts, shape (2, 2, 2)
PAIRED = np.array([[[1], [0]], [[2], [2]], [[0], [0]], [[1], [2]]], np.int32)  # batched with axis 0

TAKE_ROWS = GatherDimensionNumbers((1,), (0,), (0,))
TAKE_COLUMNS = GatherDimensionNumbers((0,), (1,), (1,))
WINDOWS = GatherDimensionNumbers((0, 3), (), (0, 1))
ELEMENTS = GatherDimensionNumbers((), (0, 1), (0, 1))
CROSSED = GatherDimensionNumbers((), (0, 1), (1, 0))
ALONG = GatherDimensionNumbers((), (1,), (1,), (0,), (0,))


def gather(numbers: GatherDimensionNumbers, sizes: tuple[int, ...], **options: Any) -> Any:
    return lambda x, i: lax.gather(x, i, numbers, sizes, **options)


ROWS: list[Row] = [
    Row("gather", "rows", gather(TAKE_ROWS, (1, 3)), (X, PICK)),
    Row("gather", "columns", gather(TAKE_COLUMNS, (4, 1)), (X, PICK % 3)),
    Row("gather", "part-of-rows", gather(TAKE_ROWS, (1, 2)), (X, PICK)),
    Row("gather", "windows", gather(WINDOWS, (2, 2), mode="clip"), (X, CORNERS)),
    Row("gather", "windows-filled", gather(WINDOWS, (2, 2), mode="fill", fill_value=5), (X, CORNERS)),
    Row("gather", "elements", gather(ELEMENTS, (1, 1)), (Z, CORNERS)),
    Row("gather", "crossed", gather(CROSSED, (1, 1), mode="clip"), (X, CORNERS)),
    Row("gather", "batching", gather(ALONG, (1, 1)), (X, PAIRED)),
    Row("gather", "clipped", gather(TAKE_ROWS, (1, 3), mode="clip"), (X, OUT)),
    Row("gather", "filled", gather(TAKE_ROWS, (1, 3), mode="fill", fill_value=2.5), (X, OUT)),
    Row("gather", "filled-nan", gather(TAKE_ROWS, (1, 3), mode="fill"), (X, OUT), order=0),
    Row("gather", "filled-int32", gather(TAKE_ROWS, (1, 3), mode="fill"), (INTEGERS, OUT), order=0),
    Row("gather", "filled-bool", gather(TAKE_ROWS, (1, 3), mode="fill"), (FLAGS, OUT), order=0),
    Row("gather", "uint8-indices", gather(TAKE_ROWS, (1, 3), mode="clip"), (X, PICK.astype(np.uint8) + np.uint8(250)), order=0),
    Row("gather", "no-rows", gather(TAKE_ROWS, (1, 3)), (X, PICK[:0]), order=1),
    Row("gather", "no-columns", gather(GatherDimensionNumbers((1, 2), (), ()), (4, 3)), (X, np.zeros((2, 0), np.int32))),
    Row("gather", "float32-int64", gather(TAKE_ROWS, (1, 3)), (X.astype(np.float32), PICK.astype(np.int64)), order=0),
]  # fmt: skip


def scatter(name: str, numbers: GatherDimensionNumbers, **options: Any) -> Any:
    function = getattr(lax, name)
    return lambda x, i, u: function(x, i, u, ScatterDimensionNumbers(*numbers), **options)


for name in ("scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max"):
    updates = sample((4, 3), seed=3) + 0.05
    ROWS += [
        Row(name, "rows", scatter(name, TAKE_ROWS, unique_indices=True), (X, ONCE, updates[:3])),
        Row(name, "one-row", scatter(name, TAKE_ROWS), (X, ONCE[:1], updates[:1])),
        Row(name, "clipped", scatter(name, TAKE_COLUMNS, mode="clip", unique_indices=True), (X, OUT[1:3], sample((4, 2)))),
        Row(name, "dropped", scatter(name, TAKE_ROWS, unique_indices=True), (X, OUT, updates)),
        Row(name, "part-of-rows", scatter(name, TAKE_ROWS, unique_indices=True), (X, ONCE, updates[:3, :2])),
        Row(name, "empty", scatter(name, TAKE_ROWS), (X, ONCE[:0], updates[:0]), order=int(name != "scatter_mul")),
        Row(name, "int32", scatter(name, TAKE_ROWS), (INTEGERS, PICK, INTEGERS), order=0),
        Row(name, "int8-indices", scatter(name, TAKE_ROWS), (X, OUT.astype(np.int8), updates), order=0),
        Row(name, "float32", scatter(name, TAKE_ROWS), (X.astype(np.float32), PICK, updates.astype(np.float32)), order=0),
    ]  # fmt: skip
    # vmap of the derivative of products with repeated positions is not defined: see scatter_mul.
    vmap = name != "scatter_mul"
    note = "" if vmap else "traced positions must be unique for the derivative along the updates"
    ROWS += [
        Row(name, "repeated", scatter(name, TAKE_ROWS), (X, PICK, updates), vmap=vmap, note=note),
        Row(name, "windows", scatter(name, WINDOWS), (X, CORNERS, sample((2, 2, 2, 2))), vmap=vmap, note=note),
        Row(name, "elements", scatter(name, ELEMENTS, mode="clip"), (X, CORNERS, sample((2, 2))), vmap=vmap, note=note),
        Row(name, "batching", scatter(name, ALONG), (X, PAIRED, sample((4, 2))), vmap=vmap, note=note),
    ]  # fmt: skip
    if name not in ("scatter_min", "scatter_max"):
        ROWS.append(Row(name, "complex", scatter(name, TAKE_ROWS, unique_indices=True), (Z, ONCE, Z[:3] + 1)))

ROWS += [
    Row("scatter", "bool", scatter("scatter", TAKE_ROWS), (FLAGS, PICK, FLAGS), order=0),
    Row("scatter_mul", "repeated-vmap", scatter("scatter_mul", WINDOWS), (X, CORNERS, sample((2, 2, 2, 2))), order=0),
    Row("scatter_mul", "zeros", scatter("scatter_mul", TAKE_ROWS), (X, PICK, np.where(X > 0, 0.0, X)), vmap=False,
        note="traced positions must be unique for the derivative along the updates"),
    Row("scatter_max", "special", scatter("scatter_max", TAKE_ROWS),
        (np.array([[1.0, np.nan, -0.0]]), np.zeros((2, 1), np.int32), np.array([[np.nan, 1.0, 0.0], [2.0, 2.0, -np.inf]])), order=0),
    Row("scatter_min", "bool", scatter("scatter_min", TAKE_ROWS), (FLAGS, PICK, FLAGS), order=0),
]  # fmt: skip
