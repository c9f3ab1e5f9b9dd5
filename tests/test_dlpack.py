"""`pullback.dlpack`: what NumPy exports comes in as a copy, for every dtype that is said to be supported."""

from __future__ import annotations

import numpy as np

from pullback import dlpack


def test_supported_dtypes_come_in_and_go_out() -> None:
    for name in ("bool", "int8", "uint16", "int32", "float16", "float32", "complex64"):
        assert dlpack.is_supported_dtype(name)
        x = np.ones((2, 3), name)
        y = dlpack.from_dlpack(x)
        x[0] = 0
        assert y.dtype == name
        assert np.from_dlpack(y).tolist() == np.ones((2, 3), name).tolist()
    assert not dlpack.is_supported_dtype("bfloat16")
    assert not dlpack.is_supported_dtype("float8_e4m3fn")
