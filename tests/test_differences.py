"""docs/differences.md can be read, and what it says of calls can be looked up."""

import re

from tests.differences import table


def test_tables() -> None:
    assert all(len(row) == 2 and all(row) for row in table("values"))
    assert all(len(row) == 3 and all(row) for row in table("errors"))
    for calls, differences, why in table("types of results"):
        assert re.compile(calls) and re.compile(differences) and why
