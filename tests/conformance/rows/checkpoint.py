"""Rows of `transforms/checkpoint.py` (`name` is in `calls`)."""

from __future__ import annotations

from typing import Any

from pullback.lax.elementwise import sin_p
from pullback.lax.family import mul_p
from pullback.lax.linalg import qr_p
from pullback.transforms.checkpoint import checkpoint_barrier_p, stored_p
from tests.conformance.table import Row, sample


def there(primitive: Any, **params: Any) -> Any:
    """The primitive, and then its results as if they were stored."""

    def fun(*xs: Any) -> Any:
        out = primitive.bind(*xs, **params)
        outs = out if primitive.multiple_results else [out]
        return stored_p.bind(*outs, *xs, primitive=primitive, params=tuple(params.items()), count=len(outs), mapped=())

    return fun


X, Y = sample((3, 4)), sample((3, 4), seed=1)
ROWS = [
    Row("checkpoint_barrier", "two", checkpoint_barrier_p.bind, (X, Y)),
    Row("stored", "sin", there(sin_p), (X,)),
    Row("stored", "mul", there(mul_p), (X, Y)),
    Row("stored", "qr", there(qr_p, pivoting=False, full_matrices=False), (sample((4, 3)),), order=1),
]
