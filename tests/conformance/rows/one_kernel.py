"""Rows of `derivatives/elimination/one_kernel.py`: programs that are compiled as one kernel where they are small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.array import as_array
from pullback.core.staging import stage_flat
from pullback.derivatives.elimination.one_kernel import kernel_call_p
from pullback.lax import functions as lax
from pullback.lax.contraction import dot
from tests.conformance.table import Row, sample


def kernel(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: kernel_call_p.bind(*xs, jaxpr=stage_flat(f, [as_array(x).aval for x in xs]))


def waves(x: Any, y: Any) -> Any:
    """Operations enough for a kernel."""
    for _ in range(10):
        x, y = lax.add(x, lax.sin(y)), lax.mul(y, lax.cos(x))
    return x, y


MATRIX, OTHER = sample((2, 3)), sample((2, 3), seed=1)

ROWS = [
    Row("kernel_call", "two-arguments", kernel(waves), (MATRIX, OTHER)),
    Row("kernel_call", "short", kernel(lambda x: [lax.sin(x)]), (MATRIX,)),
    Row("kernel_call", "product", kernel(lambda x: [dot(x, lax.sin(x))]), (sample((3,)),)),
    Row("kernel_call", "nested", kernel(lambda x: kernel(waves)(x, lax.exp(x))), (sample((2,)),)),
    Row("kernel_call", "large", kernel(lambda x: waves(x, x)), (sample((70,)),), order=1),
    Row("kernel_call", "complex", kernel(lambda x: [lax.exp(x)]), (sample((3,), np.complex128),)),
    Row(
        "kernel_call", "integers", kernel(lambda x, i: [lax.mul(x, x), lax.add(i, i)]), (MATRIX, np.arange(3)), order=1
    ),
    Row("kernel_call", "empty", kernel(lambda x: [lax.sin(x)]), (np.zeros((0, 2)),), order=1),
]
