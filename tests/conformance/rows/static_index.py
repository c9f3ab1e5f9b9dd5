"""Rows of `lax/static_index.py`."""

from __future__ import annotations

import numpy as np

from pullback.lax import static_index as lax
from pullback.lax.static_index import StaticIndex
from tests.conformance.table import Row, sample

X = sample((3, 4))
Y = sample((2, 4), seed=1)
Z = sample((3, 4), np.complex128, seed=2)
INTEGERS = sample((3, 4), np.int8)
FLAGS = sample((3, 4), np.bool_)
EMPTY = np.zeros((0, 4))


def static(*index: object) -> dict[str, StaticIndex]:
    return {"index": StaticIndex(index)}  # type: ignore[arg-type]


ROWS: list[Row] = [
    Row("static_index", "mixed", lambda x: lax.static_index_p.bind(x, **static(1, None, slice(0, 3, 2))), (X,)),
    Row("static_index", "reversed", lambda x: lax.static_index_p.bind(x, **static(slice(2, None, -2), slice(3, 0, -1))), (X,)),
    Row("static_index", "element", lambda x: lax.static_index_p.bind(x, **static(2, 1)), (Z,)),
    Row("static_index", "new-axis-last", lambda x: lax.static_index_p.bind(x, **static(slice(None), slice(None), None)), (X,)),
    Row("static_index", "empty", lambda x: lax.static_index_p.bind(x, **static(slice(2, 2, 1), None)), (X,)),
    Row("static_index", "bool", lambda x: lax.static_index_p.bind(x, **static(0)), (FLAGS,), order=0),
    Row("static_update", "mixed", lambda x, y: lax.static_update_p.bind(x, y, **static(1, None, slice(0, 3, 2))), (X, X[:1, :2])),
    Row(
        "static_update", "reversed", lambda x, y: lax.static_update_p.bind(x, y, **static(slice(2, None, -2), slice(3, 0, -1))),
        (X, Y[:, :3]),
    ),
    Row("static_update", "element", lambda x, y: lax.static_update_p.bind(x, y, **static(2, 1)), (Z, Z[0, 0])),
    Row("static_update", "empty", lambda x, y: lax.static_update_p.bind(x, y, **static(slice(2, 2, 1))), (X, EMPTY)),
    Row("static_update", "int8", lambda x, y: lax.static_update_p.bind(x, y, **static(slice(1, 3, 1))), (INTEGERS, INTEGERS[:2]), order=0),
]  # fmt: skip
