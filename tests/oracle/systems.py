"""One expression, two systems: the names that expressions in tables may use, and how results are compared."""

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


def tolerance(dtype: Any) -> float:
    """A few units in the last place: both systems round, in different orders."""
    name = str(dtype)
    if "bfloat16" in name:
        return 0.02
    return {"float16": 4e-3, "float64": 1e-12, "complex128": 1e-12}.get(name, 2e-5)


def assert_equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
    """Exactly for discrete types; to rounding for others, NaN, infinities and the signs of zeros being the same."""
    if a.dtype.kind in "biu":
        assert np.array_equal(a, b), f"{a}, not {b}"
        return
    tol = tolerance(b.dtype)
    wide = np.complex128 if b.dtype.kind == "c" else np.float64
    a, b = a.astype(wide), b.astype(wide)
    scale = np.abs(b[np.isfinite(b)]).max(initial=1.0)
    assert np.allclose(a, b, rtol=tol, atol=tol * min(scale, 10.0), equal_nan=True), f"{a}, not {b}"
    if wide is np.float64:
        zeros = (a == 0) & (b == 0)
        assert np.array_equal(np.signbit(a[zeros]), np.signbit(b[zeros])), f"signs of zeros: {a}, not {b}"
