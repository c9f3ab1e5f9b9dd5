"""Rows of `ffi.py`: LAPACK's Cholesky decomposition, called by its name."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.types import ShapeDtypeStruct
from pullback.ffi import ffi_call
from pullback.xla import pjrt
from tests.conformance.table import Row, sample


def factor(a: Any) -> Any:
    pjrt.register_lapack()
    types = [ShapeDtypeStruct(a.shape, a.dtype), ShapeDtypeStruct(a.shape[:-2], np.int32)]
    return ffi_call("lapack_dpotrf_ffi", types, vmap_method="broadcast_all")(a, uplo=np.uint8(ord("L")))


MATRIX = sample((3, 3))
NOTE = "derivatives of foreign functions are custom rules: tests/test_ffi.py"

ROWS = [Row("ffi_call", "cholesky", factor, (MATRIX @ MATRIX.T + np.eye(3),), order=0, note=NOTE)]
