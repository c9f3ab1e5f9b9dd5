"""Large arrays, which XLA evaluates: the same numbers as NumPy's, whatever the transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core.primitive import registry
from pullback.xla import eager

N = 1 << 21
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "select_n": lambda x: jnp.where(x > 1, x, 2 * x), "erf": lax.erf, "erfc": lax.erfc, "erf_inv": lambda x: lax.erf_inv(x / 2),
    "logistic": lax.logistic, "tanh": jnp.tanh, "sin": jnp.sin, "cos": jnp.cos, "sqrt": jnp.sqrt, "exp": jnp.exp,
    "random_uniform": lambda x: pb.random.uniform(pb.random.key(1), x.shape, x.dtype),
    "random_normal": lambda x: pb.random.normal(pb.random.key(1), x.shape, x.dtype),
}  # fmt: skip


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that XLA has evaluated."""
    names: list[str] = []
    apply = eager.apply_primitive
    monkeypatch.setattr(eager, "apply_primitive", lambda p, *operands: names.append(p.name) or apply(p, *operands))
    return names


def test_every_operation_of_the_table_is_here() -> None:
    assert set(FUNCTIONS) == {name for name, p in registry.items() if p.xla_from}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_values_as_by_numpy(name: str, dtype: Any, handed_over: list[str]) -> None:
    f, least = FUNCTIONS[name], registry[name].xla_from.get(np.dtype(dtype).itemsize, np.inf)
    with pb.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).uniform(0.1, 1.9, N), dtype)
        got = f(x)
        assert (name in handed_over) is (least <= N)
        handed_over.clear()
        with eager.xla_for_large_arrays(False):
            expected = f(x)
        assert not handed_over
        f(x[: int(min(least, N)) - 1])
        assert not handed_over
    assert (got.shape, got.dtype, got.weak_type) == (expected.shape, expected.dtype, expected.weak_type)
    # XLA's inverse error function has 12 digits in the tails, which is plenty for random numbers.
    tol = 1e-11 if name == "random_normal" and dtype == np.float64 else 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol)
    if name in ("select_n", "random_uniform", "sqrt"):
        np.testing.assert_array_equal(got, expected)


def test_special_values(handed_over: list[str]) -> None:
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-300, 1e300]), 1 << 18)
    with pb.enable_x64(True):
        for f in (jnp.tanh, jnp.sin, jnp.sqrt, lax.erf, lambda x: jnp.where(x > 0, x, -x)):
            got = f(x)
            with eager.xla_for_large_arrays(False):
                expected = f(x)
            np.testing.assert_allclose(got[:8], expected[:8], rtol=1e-14)
            np.testing.assert_array_equal(np.signbit(got[3:5]), np.signbit(expected[3:5]))
    assert len(handed_over) == 5


def test_under_transformations(handed_over: list[str]) -> None:
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4, 1 << 17)), np.float32)
    functions = [
        pb.grad(lambda x: (lax.erf(x) * x).sum()),
        lambda x: pb.vjp(pb.vmap(lambda r: jnp.where(r > 0, r, lax.logistic(r))), x)[1](x)[0],
        lambda x: pb.jvp(pb.checkpoint(lambda x: lax.erf(x) ** 2), (x,), (x,)),
    ]
    for f in functions:
        got, compiled = f(x), pb.jit(f)(x)
        pb.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, compiled)
    assert {"erf", "select_n", "logistic"} <= set(handed_over)


def test_results_stay_on_the_host_whatever_the_default_device() -> None:
    x = jnp.ones(1 << 16)
    with pb.default_device(pb.devices("cpu")[1]):
        assert lax.erf(x).device is pb.devices("cpu")[0]
