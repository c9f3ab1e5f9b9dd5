"""Rows of `transforms/checkify.py`: checks that pass; tests/transforms/test_checkify.py has those that fail."""

from __future__ import annotations

from typing import Any

from pullback.lax import functions as lax
from pullback.lax.reductions import reduce_max
from pullback.transforms.failures import check, debug_check
from tests.conformance.table import Row, sample


def positive(x: Any) -> Any:
    check(reduce_max(x, range(x.ndim)) < 10, "too large: {}", x)
    return lax.mul(x, lax.sin(x))


def debugged(x: Any) -> Any:
    debug_check(reduce_max(x, range(x.ndim)) < 0, "not negative: {}", x)
    return lax.sin(x)


ROWS = [
    Row("check", "passes", positive, (sample((2, 3)),), compiled=False, note="compiling it is an error"),
    Row("check", "debug", debugged, (sample((3,)),)),
]
