"""stop_gradient."""

from __future__ import annotations

import numpy as np

from pullback.lax.gradient import stop_gradient
from tests.conformance.table import Row, sample

ROWS = [
    Row(
        "stop_gradient", "real", stop_gradient, (sample((2, 3)),), order=0, note="its derivative is zero by definition"
    ),
    Row("stop_gradient", "integer", stop_gradient, (sample((2,), np.int32),), order=0, note="an integer"),
]
