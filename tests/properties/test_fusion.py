"""Random programs compile, with either fusion plan, to what eager mode gives; `make test-fusion` tries ten times as many."""

from __future__ import annotations

import pytest

from tests.properties.fusion_programs import failures


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_programs(first):
    found = failures(range(first, first + 50))
    assert not found, "\n".join(f"program {number}: {text}" for number, text in found.items())
