"""The stored answers on types are JAX's; strict promotion allows the same pairs in both systems."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.oracle.systems import oracle, require_oracle
from tests.types.__main__ import answers
from tests.types.answers import read
from tests.types.calls import expressions

require_oracle()


@pytest.mark.filterwarnings("ignore")
def test_stored_answers() -> None:
    """Of a sample: `python -m tests.types` asks for all of them."""
    version, stored = read()
    jax = oracle()
    if jax.__version__ != version:
        pytest.skip(f"the answers are those of JAX {version}, and this is {jax.__version__}")
    sample = [e for e in expressions()[::40] if not e.startswith(("random.", "jnp.linalg", "lax.linalg"))]
    for bits, of_calls in answers(jax, sample).items():
        for call, outcomes in of_calls.items():
            assert outcomes == stored[bits][call], f"{bits} {call}: run `python -m tests.types`"


TYPES = ["bool", "int8", "uint8", "int32", "bfloat16", "float16", "float32", "complex64", "int*", "float*", "complex*"]
_WEAK: dict[str, Any] = {"int*": 2, "float*": 2.0, "complex*": 2j}


def test_strict_promotion() -> None:
    def allowed(jax: Any) -> list[str]:
        jnp = jax.numpy
        values = {t: jnp.asarray(_WEAK[t]) if t in _WEAK else jnp.ones(2, t) for t in TYPES} | {
            "True": True,
            "numpy": np.float32(1),
        }
        found = []
        with jax.numpy_dtype_promotion("strict"):
            for (a, x), (b, y) in itertools.product(values.items(), repeat=2):
                for name in ("add", "true_divide", "maximum", "equal", "hypot", "where"):
                    try:
                        f = getattr(jnp, name)
                        out = f(True, x, y) if name == "where" else f(x, y)
                    except Exception as error:
                        outcome = type(error).__name__
                    else:
                        outcome = str(out.dtype)
                    if outcome != "ValueError":
                        found.append(f"{name}({a}, {b}): {outcome}")
        return found

    import pullback
    import pullback.numpy

    assert allowed(pullback) == allowed(oracle())
