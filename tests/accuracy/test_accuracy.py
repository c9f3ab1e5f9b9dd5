"""No function is less exact than docs/accuracy.md promises: on the points of the committed references."""

from __future__ import annotations

import os

import pytest

from tests.accuracy import measure
from tests.accuracy.references import is_current, stored
from tests.accuracy.table import DTYPES, Row, families

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
#: Of so many rows, one is compiled.
ONE_OF = 16
#: The dtype in which a family is compiled, if not in both.
COMPILED = DTYPES if FULL else DTYPES[:1]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Row]]:
    return families()


def test_references_are_those_of_the_rows(tables):
    for family, rows in tables.items():
        old = [row.name for row in rows if not is_current(row, stored(family).get(row.name))]
        assert not old, f"run `make accuracy-references`: {family}: {old}"
        assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_eager(tables, dtype):
    wrong = []
    for family, rows in tables.items():
        for row in rows:
            found, theirs = measure.eager(row, family, dtype), measure.scipy(row, family, dtype)
            wrong += measure.beyond(row, "eager", dtype, found, theirs)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", COMPILED, ids=str)
def test_compiled(tables, dtype):
    wrong, count = [], 0
    for family, rows in tables.items():
        sample = [row for i, row in enumerate(rows, count) if FULL or i % ONE_OF == 0]
        count, rows = count + len(rows), sample
        for row, found in zip(rows, measure.compiled(rows, family, dtype)):
            wrong += measure.beyond(row, "compiled", dtype, found, measure.scipy(row, family, dtype))
    assert not wrong, "\n".join(wrong)
