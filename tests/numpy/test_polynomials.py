"""Polynomials: several at once, empty ones, and what is none."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit])
def test_sums_of_several_polynomials(wrap):
    square, long = np.arange(4.0).reshape(2, 2), np.ones((3, 2))
    np.testing.assert_array_equal(wrap(jnp.polyadd)(square, square), 2 * square)
    np.testing.assert_array_equal(wrap(jnp.polysub)(square, square), 0 * square)
    np.testing.assert_array_equal(wrap(jnp.polyadd)(square, long), [[1, 1], [1, 2], [3, 4]])
    np.testing.assert_array_equal(wrap(jnp.polysub)(long, square), [[1, 1], [1, 0], [-1, -2]])
    np.testing.assert_array_equal(wrap(jnp.polyadd)(np.ones(3), np.ones(1)), np.polyadd(np.ones(3), np.ones(1)))
    np.testing.assert_array_equal(
        pb.grad(lambda p: jnp.polyadd(p, long)[:, 0].sum())(jnp.asarray(square)), [[1, 0], [1, 0]]
    )


@pytest.mark.parametrize("trim", [False, True])
def test_products_with_nothing(trim):
    nothing, p = jnp.zeros(0), jnp.ones(2)
    assert jnp.polymul(nothing, p, trim_leading_zeros=trim).tolist() == [0, 0]
    assert jnp.polymul(p, nothing, trim_leading_zeros=trim).tolist() == [0, 0]
    assert jnp.polymul(nothing, nothing, trim_leading_zeros=trim).tolist() == [0]
    assert jnp.polyadd(nothing, p).tolist() == [1, 1]


def test_what_is_no_polynomial():
    p, scalar, square = jnp.ones(2), jnp.float32(1), jnp.ones((2, 2))
    for f in (jnp.polymul, jnp.polydiv, jnp.polyadd, jnp.polysub):
        for pair in ((p, scalar), (scalar, p), (scalar, scalar)):
            with pytest.raises(TypeError, match=f.__name__):
                f(*pair)
    for f in (jnp.polymul, jnp.polydiv):
        with pytest.raises(ValueError, match=f.__name__):
            f(square, p)
    for f in (jnp.polyder, jnp.polyint):
        with pytest.raises(TypeError, match=f.__name__):
            f(scalar)
        for m in (1.5, "a", None, (1,)):
            with pytest.raises(TypeError, match="m must be an integer"):
                f(p, m)
        with pytest.raises(ValueError, match="positive"):
            f(p, -1)
    with pytest.raises(ValueError, match="no coefficients"):
        jnp.polydiv(p, jnp.zeros(0))
    with pytest.raises(TypeError, match="N must be an integer"):
        jnp.vander(p, 1.5)


def test_sums_are_as_long_and_as_wide_as_the_longer_polynomial() -> None:
    column, wide = np.arange(3.0).reshape(3, 1), np.arange(24.0).reshape(4, 2, 3)
    np.testing.assert_array_equal(jnp.polyadd(column, np.ones(1)), [[0], [1], [3]])
    np.testing.assert_array_equal(jnp.polysub(np.ones(1), column), [[0], [-1], [-1]])
    out = jnp.polyadd(wide, np.float32([1, 2, 3])[:1])
    np.testing.assert_array_equal(out, wide + np.array([0, 0, 0, 1])[:, None, None])
    for a, b in ((column, np.ones(2)), (column, np.ones((2, 2))), (np.zeros((0, 2)), np.ones(1)), (wide, np.ones(2))):
        for f in (jnp.polyadd, jnp.polysub):
            for args in ((a, b), (b, a)):
                with pytest.raises(ValueError, match="coefficients"):
                    f(*args)
