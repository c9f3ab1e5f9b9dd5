"""The oracle is JAX, called and never read. Where it is not installed, the tests here are skipped."""

from __future__ import annotations

import os
from typing import Any

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(params=[False, True], ids=["32-bit", "64-bit"])
def x64(request: Any) -> Any:
    """Each test with and without 64-bit types, in both systems."""
    import jax

    import pullback

    with pullback.enable_x64(request.param), jax.enable_x64(request.param):
        yield request.param
