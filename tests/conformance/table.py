"""The conformance table: sample inputs for every primitive, from which the suite generates its checks.

A row is a function of arrays that applies one primitive (through its public function or `bind`), with sample arguments as NumPy
arrays. The rows of `lax/<family>.py` are the list `ROWS` of `tests/conformance/rows/<family>.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One sample: `fun(*args)` applies the primitive called `primitive` and gives an array or a list of arrays."""

    primitive: str
    label: str
    fun: Callable[..., Any]
    args: tuple[np.ndarray, ...]
    #: Highest derivative order to check (0: values, types and vmap only; for edge cases and discrete functions).
    order: int = 2
    #: Relative tolerance of derivative checks in float64.
    tol: float = 1e-5
    #: Relative tolerance between NumPy and XLA, where their algorithms differ by more than rounding.
    compiled_tol: float = 0.0
    #: Whether NumPy and XLA are compared: not where a function of complex infinities has no one value.
    compiled: bool = True
    #: Whether every subset of arguments is also vmapped (over every axis position that exists).
    vmap: bool = True
    #: Why something is not checked, for rows that restrict the above.
    note: str = ""

    def __str__(self) -> str:
        return f"{self.primitive}-{self.label}"


def all_rows() -> list[Row]:
    """The rows of every family, by file."""
    rows: list[Row] = []
    for path in sorted((Path(__file__).parent / "rows").glob("[a-z]*.py")):
        rows.extend(import_module(f"tests.conformance.rows.{path.stem}").ROWS)
    return rows


def sample(
    shape: tuple[int, ...], dtype: Any = np.float64, low: float = -2.0, high: float = 2.0, seed: int = 0
) -> np.ndarray:
    """Reproducible sample data: uniform in [low, high) (both parts, for complex; integers for integer types)."""
    rng = np.random.default_rng(seed + sum(shape))
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.uniform(size=shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(int(low), int(high) + 1, size=shape).astype(dtype)
    x = rng.uniform(low, high, size=shape)
    if dtype.kind == "c":
        x = x + 1j * rng.uniform(low, high, size=shape)
    return np.asarray(x).astype(dtype)
