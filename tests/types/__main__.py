"""Ask JAX: `python -m tests.types` writes `answers.json` anew, where JAX is installed. It takes some twenty minutes."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import warnings
from typing import Any

from tests.types.answers import FILE, encoded
from tests.types.calls import Call, expressions, namespace, staged_outcome


def answers(jax: Any, only: list[str] | None = None) -> dict[str, dict[str, list[str]]]:
    """The outcomes of the calls (all, or `only` some) in JAX."""
    found: dict[str, dict[str, list[str]]] = {}
    for x64 in (False, True):
        with jax.enable_x64(x64):
            names = namespace("jax")
            of_calls = found["64" if x64 else "32"] = {}
            for expression in only or expressions():
                call = Call(expression)
                function = call.function(names)
                of_calls[expression] = [staged_outcome(jax, function, a) for _, a in call.arguments(names["jnp"], x64)]
    return found


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    warnings.simplefilter("ignore")
    import jax

    FILE.write_text(encoded(importlib.metadata.version("jax"), answers(jax)), encoding="utf-8")
    print(f"{FILE}: {FILE.stat().st_size >> 10} KiB", file=sys.stderr)
