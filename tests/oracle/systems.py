"""One expression, two systems: the names that expressions in tables may use."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest


def require_oracle() -> None:
    """Skip the calling test module where JAX is not installed."""
    if find_spec("jax") is None:
        pytest.skip("the oracle, jax, is not installed: run `make oracle`", allow_module_level=True)


def oracle() -> Any:
    """JAX, on the CPU and with the random streams that are the default here."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    jax.config.update("jax_threefry_partitionable", False)
    return jax


def namespace(system: str) -> dict[str, Any]:
    """`jax` (the system), `jnp`, `lax`, `nn`, `random`, `np`, and sample arrays."""
    if system == "jax":
        jax = oracle()
        from jax import lax, nn, random
        from jax import numpy as jnp
    else:
        import pullback as jax
        from pullback import lax, nn, random
        from pullback import numpy as jnp
    rng = np.random.default_rng(0)
    f = rng.normal(size=(3, 4)).astype(np.float32)
    return {
        "jax": jax, "jnp": jnp, "lax": lax, "nn": nn, "random": random, "np": np,
        "x": jnp.asarray(f), "y": jnp.asarray(f[::-1] * 0.5), "v": jnp.asarray(f[0]), "w": jnp.asarray(f[:, 0]),
        "m": jnp.asarray(f[:, :3]), "p": jnp.asarray(np.abs(f) + np.float32(0.1)), "u": jnp.asarray(np.tanh(f) * np.float32(0.9)),
        "h": jnp.asarray(f, jnp.bfloat16), "f16": jnp.asarray(f, jnp.float16),
        "i": jnp.asarray(rng.integers(-5, 6, (3, 4)), jnp.int32), "j": jnp.asarray(rng.integers(1, 4, (3, 4)), jnp.int32),
        "i8": jnp.asarray(rng.integers(-100, 101, (3, 4)), jnp.int8), "k": jnp.asarray(rng.integers(0, 200, (3, 4)), jnp.uint8),
        "t": jnp.asarray(f > 0), "c": jnp.asarray((f + 1j * f[::-1]).astype(np.complex64)),
        "e": jnp.zeros((0, 3), jnp.float32), "s": jnp.float32(1.5),
        "special": jnp.asarray(np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 3e38], np.float32)),
    }  # fmt: skip


def leaves(value: Any) -> list[Any]:
    """The arrays (and what else there is) in nested tuples, lists and dicts, in order."""
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in leaves(v)]
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    return [value]


def kind(value: Any) -> tuple[Any, ...]:
    """Shape, dtype and weakness of an array (that of booleans means nothing); the type of anything else."""
    if hasattr(value, "dtype"):
        weak = bool(getattr(value, "weak_type", False)) and value.dtype != bool
        return tuple(value.shape), str(value.dtype), weak
    return (type(value).__name__,)
