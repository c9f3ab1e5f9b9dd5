"""No function is less exact than docs/accuracy.md promises: on the points of the committed references."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.accuracy import measure
from tests.accuracy.references import is_current, stored
from tests.accuracy.table import DTYPES, MOST_OF_SCIPY, Row, families

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
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


def too_much(mode: str, row: Row, family: str, dtype: np.dtype, found: measure.Errors) -> list[str]:
    """What is worse than allowed, in words."""
    out = []
    scipy = measure.scipy(row, family, dtype)
    for quantity, each in found.items():
        allowed = row.allowed(mode, dtype, quantity)
        if quantity in scipy:
            allowed = max(allowed, MOST_OF_SCIPY * np.nanmax(scipy[quantity], initial=0.0))
        worst = np.nanmax(each, initial=0.0)
        if not worst <= allowed:
            where = row.points[int(np.nanargmax(each))]
            out.append(
                f"{row.name}{where}, {dtype} {quantity}: {worst:.3g} units of the last place; allowed: {allowed:.3g}"
            )
    return out


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_eager(tables, dtype):
    wrong = []
    for family, rows in tables.items():
        for row in rows:
            wrong += too_much("eager", row, family, dtype, measure.eager(row, family, dtype))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", COMPILED, ids=str)
def test_compiled(tables, dtype):
    wrong = []
    for family, rows in tables.items():
        for row, found in zip(rows, measure.compiled(rows, family, dtype)):
            wrong += too_much("compiled", row, family, dtype, found)
    assert not wrong, "\n".join(wrong)
