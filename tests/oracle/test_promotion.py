"""Promotion of every pair of types, weak ones included, is JAX's."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.oracle.systems import kind, namespace, require_oracle

require_oracle()

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bfloat16", "float16", "float32", "float64",
    "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "int4", "uint4",
]  # fmt: skip
SCALARS: dict[str, Any] = {"True": True, "2": 2, "2.0": 2.0, "2j": 2j}
OPERATIONS = ["add", "true_divide", "power", "equal", "floor_divide"]


def sample(dtype: str) -> Any:
    return np.ones((2,), getattr(ml_dtypes, dtype, None) or np.dtype(dtype))


def outcome(jnp: Any, operation: str, a: Any, b: Any) -> Any:
    """Type of the result, or that of the error."""
    try:
        return kind(getattr(jnp, operation)(*(jnp.asarray(v) if isinstance(v, np.ndarray) else v for v in (a, b))))
    except Exception as error:
        return type(error).__name__


def pairs() -> list[tuple[Any, Any]]:
    values = [sample(d) for d in DTYPES] + list(SCALARS.values())
    return list(itertools.product(values, repeat=2))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_pairs(operation: str, x64: bool) -> None:
    ours, theirs = namespace("pullback")["jnp"], namespace("jax")["jnp"]
    wrong = []
    for a, b in pairs():
        got, expected = outcome(ours, operation, a, b), outcome(theirs, operation, a, b)
        if expected == "ValueError":
            continue  # XLA has no such operation on 4-bit integers: there is nothing to compare with
        if got != expected:
            wrong.append(f"{operation}({getattr(a, 'dtype', a)}, {getattr(b, 'dtype', b)}) is {got}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_result_type_and_promote_types(x64: bool) -> None:
    ours, theirs = namespace("pullback")["jnp"], namespace("jax")["jnp"]
    wrong = []
    for a, b in pairs():
        for name, arguments in (
            ("result_type", (a, b)),
            ("promote_types", tuple(getattr(v, "dtype", type(v)) for v in (a, b))),
        ):
            results = []
            for jnp in (ours, theirs):
                try:
                    results.append(str(getattr(jnp, name)(*arguments)))
                except Exception as error:
                    results.append(type(error).__name__)
            if results[0] != results[1]:
                wrong.append(f"{name}{arguments} is {results[0]}, not {results[1]}")
    assert not wrong, "\n".join(wrong)
