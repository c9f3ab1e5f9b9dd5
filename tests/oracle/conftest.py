"""The oracle is JAX, called and never read. Where it is not installed, the tests here are skipped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.systems import oracle


@pytest.fixture(params=[False, True], ids=["32-bit", "64-bit"])
def x64(request: Any) -> Any:
    """Each test with and without 64-bit types, in both systems."""
    import pullback

    with pullback.enable_x64(request.param), oracle().enable_x64(request.param):
        yield request.param
