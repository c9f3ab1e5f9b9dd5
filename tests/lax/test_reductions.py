"""Values at the edges, derivatives at ties and zeros, and errors of `lax.reductions`. The laws are the conformance table's."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pullback import lax
from pullback.core.array import as_array, from_scalar
from pullback.core.config import enable_x64
from pullback.transforms.derivatives import grad, hessian, jacfwd
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.vmap import vmap

NAN, INF = np.nan, np.inf


def array(values: object, dtype: object = np.float32) -> object:
    return as_array(np.array(values, dtype))


@pytest.mark.parametrize(
    "function, dtype, expected",
    [
        (lax.reduce_sum, np.float32, 0), (lax.reduce_prod, np.int8, 1), (lax.reduce_max, np.float32, -INF),
        (lax.reduce_min, np.float16, INF), (lax.reduce_max, np.int8, -128), (lax.reduce_min, np.uint8, 255),
        (lax.reduce_max, np.bool_, False), (lax.reduce_min, np.bool_, True), (lax.reduce_max, np.complex64, -INF),
        (lax.reduce_and, np.uint8, 255), (lax.reduce_or, np.int32, 0), (lax.reduce_and, np.bool_, True),
        (lax.reduce_max, ml_dtypes.bfloat16, -INF), (lax.reduce_max, ml_dtypes.float8_e4m3fn, -448),
        (lax.reduce_min, ml_dtypes.int4, 7),
    ],
)  # fmt: skip
def test_reduction_of_nothing_is_the_identity(function, dtype, expected):
    out = function(array(np.zeros((0, 2)), dtype), (0,))
    assert out.dtype == dtype
    assert (np.asarray(out).astype(np.complex128) == expected).all()


def test_dtypes_do_not_widen():
    assert int(lax.reduce_prod(array([100, 100], np.int8), (0,))) == 16
    assert int(lax.reduce_sum(array([200, 100], np.uint8), (0,))) == 44
    assert np.asarray(lax.cumsum(array([7, 1, 1], ml_dtypes.int4))).astype(int).tolist() == [7, -8, -7]


def test_short_floats_accumulate_in_float32():
    ones = np.ones(4096)
    assert float(lax.reduce_sum(array(ones, np.float16), (0,))) == 4096
    assert float(lax.cumsum(array(ones, ml_dtypes.bfloat16))[-1]) == 4096
    assert float(lax.reduce_prod(array(ones * 1.001, np.float16), (0,))) > 50


def test_nan_wins():
    x = array([1, NAN, 3])
    for function in (lax.reduce_max, lax.reduce_min):
        assert np.isnan(function(x, (0,)))
    assert np.isnan(lax.cummax(x)[1:]).all()
    assert int(lax.argmax(array([1, NAN, 3, NAN]), 0, np.int32)) == 1
    assert int(lax.argmin(array([1, NAN, 3, NAN], ml_dtypes.bfloat16), 0, np.int32)) == 1


def test_complex_extrema_compare_real_then_imaginary_parts():
    x = array([1 + 1j, 1 + 2j, -5 + 9j], np.complex64)
    assert complex(lax.reduce_max(x, (0,))) == 1 + 2j
    assert complex(lax.reduce_min(x, (0,))) == -5 + 9j


def test_positions():
    x = array([[1, 3, 3], [0, 0, -1]])
    first = lax.argmax(x, 1, np.uint8)
    assert first.dtype == np.uint8
    assert first.tolist() == [1, 0]
    assert lax.argmin(x, 0, np.int32).tolist() == [1, 1, 1]
    assert vmap(lambda v: lax.argmax(v, 0, np.int32), 1)(x).tolist() == [0, 0, 0]


def test_weak_types_pass_through_reductions_and_not_positions():
    x = lax.cumsum(vmap(lambda v: v * 1, axis_size=3, in_axes=None)(from_scalar(2.0)))
    assert x.weak_type
    assert lax.reduce_max(x, (0,)).weak_type
    assert not lax.argmax(x, 0, np.int32).weak_type


def test_reversed_cumulation():
    x = array([1, 2, 3, 4])
    assert lax.cumsum(x, reverse=True).tolist() == [10, 9, 7, 4]
    assert lax.cumprod(x, reverse=True).tolist() == [24, 24, 12, 4]
    assert lax.cummin(array([3, 1, 2]), reverse=True).tolist() == [1, 1, 2]


def test_cumlogsumexp_neither_overflows_nor_loses_infinities():
    x = array([-INF, -INF, 1000.0, 1000.0, INF, 0.0])
    np.testing.assert_allclose(lax.cumlogsumexp(x), [-INF, -INF, 1000, 1000 + np.log(2), INF, INF], rtol=1e-6)
    z = np.array([0.3 + 2j, -1 + 1j, 700 + 3j, 700 - 3j])
    with enable_x64(True):
        expected = [np.log(np.exp(z[: i + 1] - 700).sum()) + 700 for i in range(4)]
        np.testing.assert_allclose(lax.cumlogsumexp(as_array(z)), expected)


# ---- derivatives where formulas fail ----------------------------------------------------------------------------


def test_derivative_of_a_product_with_zeros_to_third_order():
    def product(x):
        return lax.reduce_prod(x, (0,))

    for x in ([2.0, 0.0, 5.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]):
        a, b, c = x
        assert grad(product)(array(x)).tolist() == [b * c, a * c, a * b]
        assert hessian(product)(array(x)).tolist() == [[0, c, b], [c, 0, a], [b, a, 0]]
        third = np.asarray(jacfwd(hessian(product))(array(x)))
        assert third[0, 1, 2] == third[2, 1, 0] == 1
        assert third.sum() == 6


def test_ties_share_the_derivative():
    assert grad(lambda x: lax.reduce_max(x, (0,)))(array([1, 1, 0, 1])).tolist() == pytest.approx(
        [1 / 3, 1 / 3, 0, 1 / 3]
    )
    jacobian = np.asarray(jacfwd(lax.cummax)(array([1, 1, 1, 0, 2])))
    expected = [[1, 0, 0, 0, 0], [1 / 2, 1 / 2, 0, 0, 0], [1 / 3] * 3 + [0, 0], [1 / 3] * 3 + [0, 0], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(jacobian, expected, rtol=1e-6)


def test_derivative_of_nan_extremum_is_nan():
    assert np.isnan(grad(lambda x: lax.reduce_max(x, (0,)))(array([1, NAN]))).all()


def test_derivative_of_cumlogsumexp_after_nothing():
    jacobian = np.asarray(jacfwd(lax.cumlogsumexp)(array([-INF, -INF, 1, 1])))
    assert jacobian.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0.5, 0.5]]


def test_reduce_precision_rounds_tangents_too():
    y, t = jvp(lambda x: lax.reduce_precision(x, 5, 3), (1.1,), (1.1,))
    assert (float(y), float(t)) == (1.125, 1.125)


# ---- reduce_precision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("short", [np.float16, ml_dtypes.bfloat16])
def test_reduce_precision_is_a_round_trip_through_the_shorter_type(short):
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    info = ml_dtypes.finfo(short)
    out = lax.reduce_precision(as_array(x), 15 - info.nmant, info.nmant)
    np.testing.assert_array_equal(out, x.astype(short).astype(np.float32))


def test_reduce_precision_at_the_limits():
    x = array([65519, 65520, 6.1e-5, 6.11e-5, NAN, -INF, -1e-30])
    expected = np.array([65504, INF, 0, 6.109476e-05, NAN, -INF, -0.0], np.float32)
    out = np.asarray(lax.reduce_precision(x, 5, 10))
    np.testing.assert_array_equal(out, expected)
    assert np.signbit(out[-1])
    assert lax.reduce_precision(array([1.1, 1.3, 0.75, 3.0, 1.5]), 5, 0).tolist() == [1, 1, 0.5, 2, 2]


# ---- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: lax.reduce_sum(array([True], np.bool_), (0,)), TypeError, "reduce_sum does not accept dtype bool"),
        (lambda: lax.reduce_and(array([1.0]), (0,)), TypeError, "reduce_and does not accept dtype float32"),
        (lambda: lax.reduce_max(array([1.0]), (1,)), ValueError, r"out of bounds .* shape \(1,\)"),
        (lambda: lax.reduce_max(array([1.0]), (-1,)), ValueError, "from 0"),
        (lambda: lax.reduce_max(array([[1.0]]), (0, 0)), ValueError, "duplicate"),
        (lambda: lax.reduce_max([1.0], (0,)), TypeError, "not a valid array type"),
        (lambda: lax.argmax(array([]), 0, np.int32), ValueError, "non-empty"),
        (lambda: lax.argmax(array([1j], np.complex64), 0, np.int32), TypeError, "complex64"),
        (lambda: lax.argmax(array([1.0]), 0, np.float32), TypeError, "integer type"),
        (lambda: lax.cumsum(array([True], np.bool_)), TypeError, "cumsum does not accept dtype bool"),
        (lambda: lax.cumsum(array([1.0]), axis=-1), ValueError, "out of bounds"),
        (lambda: lax.cumlogsumexp(array([1], np.int32)), TypeError, "int32"),
        (lambda: lax.reduce_precision(array([1], np.int32), 5, 3), TypeError, "int32"),
        (lambda: lax.reduce_precision(1.0, 0, 3), ValueError, "exponent_bits must be positive; got 0"),
        (lambda: lax.reduce_precision(1.0, 5, -1), ValueError, "mantissa_bits must be non-negative; got -1"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"])
@pytest.mark.parametrize("reverse", [False, True])
def test_prefixes_of_wide_arrays_are_compiled_to_loops_over_rows(name: str, reverse: bool) -> None:
    x = np.random.default_rng(0).normal(size=(3, 40, 30)).astype(np.float32)
    x[1, 7, 3], x[0, 20, 5], x[2, 39, 0] = np.nan, np.inf, -np.inf
    cumulative = lambda v: getattr(lax, name)(v, axis=1, reverse=reverse)
    assert "while" in jit(cumulative).lower(x).as_text()
    np.testing.assert_allclose(jit(cumulative)(x), cumulative(x), rtol=1e-4, atol=1e-4)
    finite = np.nan_to_num(x, posinf=1, neginf=-1)
    gradient = grad(lambda v: (cumulative(v) * np.cos(finite)).sum())
    np.testing.assert_allclose(jit(gradient)(finite), gradient(finite), rtol=1e-3, atol=1e-3)
    if name != "cumlogsumexp":
        integers = finite.astype(np.int8)
        np.testing.assert_array_equal(jit(cumulative)(integers), cumulative(integers))
