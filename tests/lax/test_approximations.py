"""Logarithms and exponentials of formulas that are computed in float64 and rounded to float32."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.lax.approximations import computed

EDGES = [
    0.0,
    -0.0,
    -1.0,
    np.inf,
    -np.inf,
    np.nan,
    1.0,
    np.nextafter(np.float32(1), 0),
    np.nextafter(np.float32(1), 2),
    2.0,
    0.5,
]


class _Emitting(pb.core.primitive.Primitive):
    """A formula of one float, which is not registered."""

    name = "formula"

    def __init__(self, formula: object) -> None:
        self.lower = lambda emit, x: computed(formula, wide=True)(emit, x)

    def type_of(self, x: object) -> object:
        return x


def compiled(formula: object, x: np.ndarray) -> np.ndarray:
    return np.asarray(pb.jit(_Emitting(formula).bind)(jnp.asarray(x)))


@pytest.mark.parametrize(
    "formula",
    [lambda xp, x: xp.log(x), lambda xp, x: xp.precise().log(x)],
    ids=["log", "precise log"],
)
def test_logarithms_are_rounded_once(formula: object) -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([EDGES, np.exp(random.uniform(-87, 88, 5000)), 1 + random.normal(size=5000) * 1e-4]).astype(
        np.float32
    )
    with np.errstate(all="ignore"):
        exact = np.log(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(compiled(formula, x), exact, rtol=1.3e-7)


def test_exponentials_are_rounded_once() -> None:
    x = np.concatenate(
        [EDGES, [88.7, 89, 1000, -87, -104, -1000], np.random.default_rng(0).uniform(-87, 88, 10000)]
    ).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.exp(x.astype(np.float64)).astype(np.float32)
    exact[np.abs(exact) < np.finfo(np.float32).tiny] = 0  # as XLA has subnormal numbers
    np.testing.assert_allclose(compiled(lambda xp, x: xp.exp(x), x), exact, rtol=1.3e-7)


def test_products_of_exponentials_do_not_overflow_before_they_are_rounded() -> None:
    x = np.array([300.0, 700.0, 720.0, -700.0], np.float32)
    out = compiled(lambda xp, x: xp.exp(x) * xp.exp(-x), x)
    np.testing.assert_allclose(out[[0, 1, 3]], 1, rtol=1e-6)
