"""Polynomials, 1 - x² and logarithms to base 2."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax


def test_polynomials_and_their_derivatives():
    x, coefficients = np.linspace(-2, 2, 9), [0.5, -1.0, 2.0, 3.0]
    exact = np.polynomial.Polynomial(coefficients)
    with pb.enable_x64(True):
        f = lambda x: lax.polynomial(x, coefficients)
        for order in range(5):
            np.testing.assert_allclose(pb.vmap(f)(x), exact.deriv(order)(x) if order else exact(x), rtol=1e-14)
            f = pb.grad(f)
        by_coefficients = pb.jit(pb.jacrev(lambda c: lax.polynomial(jnp.asarray(x), list(c))))(
            jnp.asarray(coefficients)
        )
        np.testing.assert_allclose(by_coefficients, np.vander(x, 4, increasing=True))
    # A derivative is a polynomial.
    assert [
        e.primitive.name for e in pb.make_jaxpr(pb.grad(lambda x: lax.polynomial(x, [1.0, 2.0, 3.0])))(1.0).eqns
    ].count("polynomial") == 2


def test_types_of_polynomials():
    half = jnp.ones((2, 3), jnp.bfloat16)
    out = lax.polynomial(half, [1, 2.0, half[:1]])
    assert (out.dtype, out.shape, out.weak_type) == (jnp.bfloat16, (2, 3), False)
    assert lax.polynomial(3, [1, 5, 2]).tolist() == 34 and lax.polynomial(3, [1, 5, 2]).weak_type
    assert lax.polynomial(3, [1.0]).dtype == np.float32
    assert lax.polynomial(jnp.zeros(3), [7.0]).tolist() == [7.0] * 3
    for x, coefficients, error in (
        (jnp.ones(2), [], "at least one coefficient"),
        (jnp.ones(2), [np.int32(1)], "same dtypes"),
        (jnp.ones(2), [1j], "same dtypes"),
        (jnp.ones(2), [jnp.ones(3)], "equal shapes"),
        (True, [1.0], "does not accept dtype bool"),
    ):
        with pytest.raises(TypeError, match=error):
            lax.polynomial(x, coefficients)


def test_differences_from_one_are_exact_near_one():
    x = np.float32(1) - np.logspace(-7, -1, 20, dtype=np.float32)
    exact = 1 - x.astype(np.float64) ** 2
    for f in (lax.one_minus_square, pb.jit(lax.one_minus_square)):
        np.testing.assert_allclose(f(x), exact, rtol=2e-7)
    np.testing.assert_allclose(pb.vmap(pb.grad(lax.asin))(x), exact**-0.5, rtol=4e-7)
    assert lax.one_minus_square(np.int8(11)) == np.int8(1 - 121) and lax.one_minus_square(jnp.inf) == -jnp.inf


@pytest.mark.parametrize("x64", [False, True])
def test_log2_is_exact_at_powers_of_two(x64: bool):
    with pb.enable_x64(x64):
        dtype = np.float64 if x64 else np.float32
        info = np.finfo(dtype)
        n = np.arange(info.minexp, info.maxexp)
        powers = np.ldexp(dtype(1), n)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -2.0], dtype)
        x = np.random.default_rng(0).uniform(0.5, 2, 1000).astype(dtype)
        compiled = pb.jit(lambda *xs: [(lax.log2(x), jnp.log2(x)) for x in xs])(powers, special, x)
        for f in (lax.log2, jnp.log2):
            assert (f(powers) == n).all()
        for of_powers in compiled[0]:
            assert (of_powers == n).all()
        with np.errstate(all="ignore"):
            for of_special in (*compiled[1], lax.log2(special)):
                np.testing.assert_array_equal(of_special, np.log2(special))
        exact = np.log2(x.astype(np.longdouble))
        for of_x in (*compiled[2], lax.log2(x)):
            assert (np.abs(np.asarray(of_x) - exact) / np.spacing(np.abs(exact).astype(dtype))).max() <= 2.5
        np.testing.assert_allclose(pb.grad(lax.log2)(3.0), 1 / (3 * np.log(2)), rtol=2 * info.eps)
    assert lax.log2(jnp.bfloat16(8)).dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="does not accept dtype int32"):
        lax.log2(1)
