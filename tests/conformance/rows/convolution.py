"""Rows of `lax/convolution.py`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pullback.lax.convolution import conv_general_dilated
from tests.conformance.table import Row, sample


def conv(strides: tuple[int, ...], padding: Any, **options: Any) -> Any:
    return partial(conv_general_dilated, window_strides=strides, padding=padding, **options)


NHWC = ("NHWC", "HWIO", "NHWC")
X1, K1 = sample((2, 2, 6)), sample((3, 2, 3), seed=1)

ROWS = [
    Row("conv_general_dilated", "one-axis", conv((1,), "VALID"), (X1, K1)),
    Row("conv_general_dilated", "strides-same", conv((2,), "SAME"), (X1, K1)),
    Row("conv_general_dilated", "same-lower", conv((2,), "SAME_LOWER"), (X1, K1), order=1),
    Row("conv_general_dilated", "dilated", conv((2,), ((1, 2),), lhs_dilation=(2,), rhs_dilation=(3,)), (X1, K1)),
    Row("conv_general_dilated", "negative-padding", conv((1,), ((-1, 2),)), (X1, K1)),
    Row("conv_general_dilated", "stride-beyond-window", conv((4,), ((0, 1),)), (X1, K1), order=1),
    Row("conv_general_dilated", "two-axes", conv((1, 2), ((1, 0), (1, 1)), dimension_numbers=NHWC),
        (sample((2, 4, 3, 2)), sample((2, 3, 2, 3), seed=1)), order=1),
    Row("conv_general_dilated", "feature-groups", conv((1,), "VALID", feature_group_count=2),
        (sample((1, 4, 4)), sample((6, 2, 2), seed=1))),
    Row("conv_general_dilated", "batch-groups", conv((1,), "VALID", batch_group_count=2),
        (sample((4, 2, 4)), sample((6, 2, 2), seed=1))),
    Row("conv_general_dilated", "no-axes", conv((), ()), (sample((2, 3)), sample((4, 3), seed=1))),
    Row("conv_general_dilated", "complex", conv((1,), "VALID"), (sample((1, 2, 4), np.complex128), sample((2, 2, 2), np.complex128, seed=1))),
    Row("conv_general_dilated", "float32", conv((1,), "SAME"), (X1.astype(np.float32), K1.astype(np.float32)), order=1, tol=1e-2),
    Row("conv_general_dilated", "float16", conv((1,), "SAME"), (X1.astype(np.float16), K1.astype(np.float16)), order=0),
    Row("conv_general_dilated", "integers", conv((1,), "SAME"), (sample((1, 2, 4), np.int32), sample((2, 2, 2), np.int32, seed=1)), order=0),
    Row("conv_general_dilated", "wider-result", conv((1,), "SAME", preferred_element_type=np.float64),
        (X1.astype(np.float32), K1.astype(np.float32)), order=0),
    Row("conv_general_dilated", "empty-batch", conv((1,), "VALID"), (np.zeros((0, 2, 6)), K1), order=0),
    Row("conv_general_dilated", "empty-result", conv((1,), "VALID"), (sample((2, 2, 2)), K1), order=0),
]  # fmt: skip
