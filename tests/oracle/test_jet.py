"""Taylor mode in both systems: values, conventions, types."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.oracle.systems import kind, leaves, namespace, require_oracle

require_oracle()

#: Functions of arrays `a` and `b`.
FUNCTIONS = [
    "lambda a, b: jnp.sin(a) * b",
    "lambda a, b: jnp.tanh(a @ jnp.exp(b)) / (2 + b)",
    "lambda a, b: {'z': jnp.log(1 + a**2) ** 3, 'y': (jnp.sqrt(3 + b), a)}",
    "lambda a, b: nn.sigmoid(a) * jnp.cos(b) + jnp.maximum(a, b)",
    "lambda a, b: jnp.arctan2(a, 2 + b) + jnp.cumsum(a) + lax.erf(b)",
    "lambda a, b: jnp.fft.fft(a * b)",
    "lambda a, b: jnp.where(a > b, a * b, jnp.sinh(a)).sum()",
    "lambda a, b: 1 / (a + 3) ** 2 + b ** -3.0 * (a - b).max()",
    "lambda a, b: jax.jit(lambda x: x * jnp.cosh(x))(a) + jnp.outer(a, b)",
]
ARGUMENTS = "(v, p[0]), ([v * 0.5, p[1], v[::-1]], [p[2], v * v, v * 0])"


def value_of(expression: str, scaled: bool, system: str) -> list[Any]:
    names = namespace(system)
    names["jet"] = import_module("jax.experimental.jet" if system == "jax" else "pullback.experimental.jet").jet
    found = eval(f"jet({expression}, {ARGUMENTS}, factorial_scaled={scaled})", names)
    assert isinstance(found, tuple)
    return leaves(found)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("expression", FUNCTIONS)
def test_values_and_terms(expression: str, scaled: bool) -> None:
    ours, theirs = (value_of(expression, scaled, system) for system in ("pullback", "jax"))
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs):
        assert kind(x)[:2] == kind(y)[:2]
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=2e-4, atol=2e-4 * np.abs(y).max())
