"""What the tests of linear algebra share: random matrices, comparison, tolerances."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

TYPES = (np.float32, np.float64, np.complex64, np.complex128)


def sampler(rng: np.random.Generator) -> Callable[..., np.ndarray]:
    """`sample(shape, dtype=float64)`: normal numbers of a real or complex dtype."""
    return partial(_sample, rng)


def _sample(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def close(got: Any, expected: Any, tol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=tol, atol=tol)


def adjoint(x: Any) -> np.ndarray:
    return np.asarray(x).conj().swapaxes(-1, -2)


def precision(dtype: Any) -> float:
    return float(np.finfo(dtype).eps) ** 0.7
