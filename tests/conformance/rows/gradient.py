"""Values as constants to differentiation."""

from __future__ import annotations

import numpy as np

from pullback.lax.gradient import stop_gradient, stop_gradient_unless_p
from tests.conformance.table import Row, sample

ROWS = [
    Row(
        "stop_gradient", "real", stop_gradient, (sample((2, 3)),), order=0, note="its derivative is zero by definition"
    ),
    Row("stop_gradient", "integer", stop_gradient, (sample((2,), np.int32),), order=0, note="an integer"),
    Row("stop_gradient_unless", "all", stop_gradient_unless_p.bind, (sample((3, 2)), np.ones(3, bool))),
    Row("stop_gradient_unless", "scalar", stop_gradient_unless_p.bind, (sample((3, 2), complex), np.bool_(True))),
    Row("stop_gradient_unless", "empty", stop_gradient_unless_p.bind, (sample((0, 2)), np.ones((0, 2), bool))),
    Row(
        "stop_gradient_unless",
        "some",
        stop_gradient_unless_p.bind,
        (sample((3, 2)), np.array([True, False, True])),
        order=0,
        note="the derivative of some elements is zero by definition",
    ),
    Row(
        "stop_gradient_unless",
        "integer",
        stop_gradient_unless_p.bind,
        (sample((2,), np.int32), np.ones(2, bool)),
        order=0,
        note="an integer",
    ),
]
