"""Strictness, values at the edges, and derivatives at special points of the elementwise functions of `lax`."""

from __future__ import annotations

import inspect
import pickle
import sys

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.array import as_array
from pullback.core.config import enable_x64
from pullback.lax import functions as lax
from pullback.transforms.derivatives import grad
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.vmap import vmap

NAN, INF = np.nan, np.inf


def array(values: object, dtype: object = np.float32) -> object:
    return as_array(np.array(values, dtype))


def derivative(function: object, x: object) -> object:
    """The derivative of an elementwise function at the elements of `x`."""
    with enable_x64(True):
        x = as_array(np.asarray(x))
        return np.asarray(jvp(function, (x,), (as_array(np.ones(x.shape, x.dtype)),))[1])


# ---- strictness -------------------------------------------------------------------------------------------------


def test_scalars_give_weak_types_and_mixed_dtypes_are_refused():
    out = lax.add(1.0, 2.0)
    assert (float(out), out.dtype, out.weak_type) == (3.0, np.float32, True)
    assert not lax.add(array(1.0), 2.0).weak_type
    assert lax.mul(np.int32(3), 4).dtype == np.int32


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: lax.add(1, 2.0), "lax.add requires arguments to have the same dtypes, got int32, float32"),
        (lambda: lax.add(array(1.0, np.float16), 1.0), "got float16, float32"),
        (lambda: lax.sin(1), "lax.sin does not accept dtype int32"),
        (lambda: lax.add(True, True), "lax.add does not accept dtype bool"),
        (lambda: lax.lt(1j, 2j), "lax.lt does not accept dtype complex64"),
        (lambda: lax.abs(array(3, np.uint8)), "uint8"),
        (lambda: lax.is_finite(1j), "complex64"),
        (lambda: lax.bitwise_not(1.0), "lax.bitwise_not does not accept dtype float32"),
        (lambda: lax.floor(2), "int32"),
        (lambda: lax.add(array([1.0]), array([[1.0]])), "the same number of dimensions"),
        (lambda: lax.add(array([1.0, 2.0]), array([1.0, 2.0, 3.0])), "equal shapes up to axes of length 1"),
        (lambda: lax.clamp(array([0.0]), 0.5, 1.0), r"min must be a scalar or have the shape \(\)"),
        (lambda: lax.clamp(0, 0.5, 1.0), "got int32, float32, float32"),
        (lambda: lax.integer_pow(2, -1), "Integers cannot be raised to negative powers"),
        (lambda: lax.integer_pow(2.0, 2.5), "must be an integer, got 2.5"),
        (lambda: lax.reciprocal(2), "lax.reciprocal does not accept dtype int32"),
        (lambda: lax.pow(2, 3), "lax.pow does not accept dtype int32"),
        (lambda: lax.pow(array(2.0, np.complex64), 2.0), "complex64 and float32"),
        (lambda: lax.complex(1, 2), "float32 or float64"),
        (lambda: lax.real(1.0), "lax.real does not accept dtype float32.*It accepts complex dtypes"),
        (lambda: lax.sin("a"), "not a valid array type"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_functions_that_are_made_are_functions_like_others():
    names = [n for n in (*lax.__all__, "erf", "igamma") if not isinstance(getattr(pb.lax, n), type)]
    for name in names:
        function = getattr(pb.lax, name)
        assert pickle.loads(pickle.dumps(function)) is function
        assert (function.__name__, function.__qualname__) == (name, name)
        assert function.__doc__ and vars(sys.modules[function.__module__])[name] is function
    assert str(inspect.signature(lax.sin)) == "(x: 'Any', *, accuracy: 'Any' = None) -> 'Array'"
    assert str(inspect.signature(lax.add)) == "(x: 'Any', y: 'Any') -> 'Array'"
    assert lax.sub(y=1.0, x=3.0).item() == 2.0
    with pytest.raises(TypeError, match=r"atan2\(\) missing 1 required positional argument: 'y'"):
        lax.atan2(1.0)


def test_accuracy_is_checked():
    assert float(lax.exp(0.0, accuracy=lax.AccuracyMode.HIGHEST)) == 1.0
    assert float(lax.exp(0.0, accuracy=lax.Tolerance(rtol=1e-3))) == 1.0
    with pytest.raises(NotImplementedError, match="accuracy"):
        lax.exp(0.0, accuracy=3)
    with pytest.raises(ValueError, match="non-negative"):
        lax.Tolerance(ulps=-1)


def test_axes_of_length_one_stretch():
    assert lax.add(array([[1.0], [2.0]]), array([[10.0, 20.0]])).tolist() == [[11, 21], [12, 22]]


def test_dtype():
    assert lax.dtype(1.0) == lax.dtype(float) == np.float32
    assert lax.dtype(array([1], np.int8)) == np.int8


# ---- integers, as XLA has them ----------------------------------------------------------------------------------


def test_integer_division():
    x, y = array([7, -7, 7, -7, 5, -(2**31), -(2**31)], np.int32), array([2, 2, -2, -2, 0, -1, 0], np.int32)
    assert lax.div(x, y).tolist() == [3, -3, -3, 3, -1, -(2**31), -1]
    assert lax.rem(x, y).tolist() == [1, -1, 1, -1, 5, 0, -(2**31)]
    assert lax.div(array([5, 200], np.uint8), array([0, 3], np.uint8)).tolist() == [255, 66]
    with enable_x64(True):
        extreme = as_array(np.array([2**63 - 1, -(2**63) + 1]))
        assert lax.div(extreme, as_array(np.array([2, 2]))).tolist() == [2**62 - 1, -(2**62) + 1]


def test_shifts_beyond_the_width():
    x, y = array([-1, -1, 5, 5, 1], np.int32), array([31, 32, -1, 100, 3], np.int32)
    assert lax.shift_left(x, y).tolist() == [-(2**31), 0, 0, 0, 8]
    assert lax.shift_right_logical(x, y).tolist() == [1, 0, 0, 0, 0]
    assert lax.shift_right_arithmetic(x, y).tolist() == [-1, -1, 0, 0, 0]
    assert lax.shift_right_arithmetic(array([255], np.uint8), array([1], np.uint8)).tolist() == [255]


def test_bits_of_narrow_integers():
    x = as_array(np.array([-8, -1, 7], ml_dtypes.int4))
    as_ints = lambda a: np.asarray(a).astype(int).tolist()
    assert lax.neg(x).dtype == ml_dtypes.int4
    assert as_ints(lax.neg(x)) == [-8, 1, -7]
    assert as_ints(lax.mul(x, x)) == [0, 1, 1]
    assert as_ints(lax.shift_right_logical(x, as_array(np.ones(3, ml_dtypes.int4)))) == [4, 7, 3]
    assert as_ints(lax.shift_right_arithmetic(x, as_array(np.ones(3, ml_dtypes.int4)))) == [-4, -1, 3]
    assert as_ints(lax.population_count(x)) == [1, 4, 3]
    assert as_ints(lax.clz(x)) == [0, 0, 1]
    assert lax.mulhi(array(2**30, np.int32), array(8, np.int32)).tolist() == 2
    assert lax.mulhi(array(2**32 - 1, np.uint32), array(2**32 - 1, np.uint32)).tolist() == 2**32 - 2


# ---- floats at the edges ----------------------------------------------------------------------------------------


def test_extrema_propagate_nan():
    assert np.isnan(lax.max(NAN, 1.0))
    assert np.isnan(lax.min(1.0, NAN))
    assert np.isnan(lax.clamp(0.0, NAN, 1.0))


def test_rounding():
    x = array([0.5, -0.5, 1.5, 2.5, -2.5, 0.49999997, -0.0, INF, 8388609.0])
    np.testing.assert_array_equal(lax.round(x), [1, -1, 2, 3, -3, 0, -0.0, INF, 8388609])
    np.testing.assert_array_equal(
        lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), [0, -0.0, 2, 2, -2, 0, -0.0, INF, 8388609]
    )


def test_integer_exponents_are_exact():
    out = lax.pow(array([-1.0, -1.0, -2.0, 0.0, 0.0, 3.0]), array([2**24 + 1, 2**31 - 1, 3, 0, -1, -2], np.int32))
    np.testing.assert_array_equal(out, np.array([-1, -1, -8, 1, INF, 1 / 9], np.float32))
    assert out.dtype == np.float32
    assert complex(lax.pow(array(1j, np.complex64), array(2, np.int32))) == -1
    np.testing.assert_array_equal(lax.integer_pow(array([2.0, 0.0, -0.0, INF]), -1), [0.5, INF, -INF, 0])


def test_complex_functions_are_accurate_near_zero():
    with enable_x64(True):
        z = as_array(np.array([1e-10 + 1e-10j, 1e-3j, 1e-3]))
        # log1p(z) = z - z²/2 + z³/3 - ..., expm1(z) = z + z²/2 + z³/6 + ...
        w = np.asarray(z)
        np.testing.assert_allclose(lax.log1p(z), w - w**2 / 2 + w**3 / 3 - w**4 / 4 + w**5 / 5, rtol=1e-14)
        np.testing.assert_allclose(lax.expm1(z), w + w**2 / 2 + w**3 / 6 + w**4 / 24 + w**5 / 120, rtol=1e-14)


def test_complex_functions_at_infinity():
    assert complex(lax.reciprocal(complex(INF, 0))) == 0
    assert complex(lax.logistic(complex(-INF, 1))) == 0
    assert complex(lax.logistic(complex(-500, 1))) == 0
    assert complex(lax.exp2(complex(INF, 0))) == complex(INF, 0)
    assert complex(lax.expm1(complex(INF, 0))) == complex(INF, 0)


# ---- derivatives at special points ------------------------------------------------------------------------------


CUTS = ["sqrt", "rsqrt", "log", "log1p", "asin", "acos", "atan", "asinh", "acosh", "atanh"]


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("wide", [False, True])
def test_signs_of_zeros_choose_the_side_of_a_branch_cut(name: str, wide: bool) -> None:
    """On a cut the values of the two sides are conjugate; eager, compiled and of constants they are those of C99."""
    reals = [-INF, -1e30, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 1e30, INF]
    z = np.array([complex(a, b) for x in reals for zero in (0.0, -0.0) for a, b in ((x, zero), (zero, x))])
    if name in ("rsqrt", "atanh", "log", "log1p", "atan"):  # poles
        z = z[~np.isin(z, {"rsqrt": [0], "log": [0], "log1p": [-1], "atanh": [1, -1], "atan": [1j, -1j]}[name])]
    reference = {"rsqrt": lambda z: 1 / np.sqrt(z), "log1p": lambda z: np.log(z + complex(1, -0.0))}
    numpys = {
        "asin": "arcsin",
        "acos": "arccos",
        "atan": "arctan",
        "asinh": "arcsinh",
        "acosh": "arccosh",
        "atanh": "arctanh",
    }
    with np.errstate(all="ignore"), enable_x64(wide):
        z = z.astype(np.complex128 if wide else np.complex64)
        want = (reference.get(name) or getattr(np, numpys.get(name, name)))(z)
        f, x = getattr(lax, name), as_array(z)
        finite = np.isfinite(want) & np.isfinite(z)
        for got in (f(x), jit(f)(x), jit(lambda: f(as_array(z)))(), jit(vmap(f))(x)):
            np.testing.assert_allclose(np.asarray(got)[finite], want[finite], rtol=1e-5, atol=1e-6)
            part = "real" if name in ("atan", "asinh") else "imag"  # of infinities, too
            known = ~np.isnan(getattr(want, part)) & (np.abs(getattr(want, part)) > 1e-3)
            assert (np.signbit(getattr(np.asarray(got), part)) == np.signbit(getattr(want, part)))[known].all()


def test_compiled_powers_of_two_at_infinity() -> None:
    z = as_array(np.array([complex(-INF, 0.0), complex(-INF, 1.0), complex(INF, 1.0)], np.complex64))
    np.testing.assert_array_equal(jit(lax.exp2)(z), lax.exp2(z))


def test_derivatives_of_powers_where_the_formula_divides_zero_by_zero():
    np.testing.assert_array_equal(derivative(lambda x: lax.pow(x, 0.0 * x + 0.0), [0.0, 2.0]), [0, 0])
    np.testing.assert_array_equal(
        derivative(lambda x: lax.pow(x, as_array(np.int32(0))), [0.0, 2.0, INF, NAN]), [0, 0, 0, 0]
    )
    np.testing.assert_array_equal(derivative(lambda x: lax.pow(x, 1.0), [0.0, -1.0]), [1, 1])
    np.testing.assert_array_equal(derivative(lambda x: lax.pow(x, 2.0), [0.0, -3.0]), [0, -6])
    np.testing.assert_array_equal(derivative(lambda y: lax.pow(0.0, y), [1.0, 2.0]), [0, 0])
    np.testing.assert_array_equal(derivative(lambda x: lax.integer_pow(x, 0), [0.0, INF]), [0, 0])


def test_mixed_derivative_of_a_power_at_exponent_zero():
    # ∂²/∂y∂x x^y = x^(y-1) (1 + y log x), which is 1/x at y = 0.
    assert float(grad(lambda y: grad(lax.pow)(2.0, y))(0.0)) == 0.5


def test_derivatives_at_kinks():
    np.testing.assert_array_equal(derivative(lax.abs, [0.0, -0.0, 2.0, -2.0]), [1, 1, 1, -1])
    np.testing.assert_array_equal(derivative(lambda x: lax.max(x, 1.0), [0.0, 1.0, 2.0]), [0, 0.5, 1])
    np.testing.assert_array_equal(
        derivative(lambda x: lax.clamp(0.0, x, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 0, 1, 0, 0]
    )
    np.testing.assert_array_equal(derivative(lax.sqrt, [0.0, 4.0]), [INF, 0.25])
    np.testing.assert_array_equal(derivative(lax.sign, [0.0, -3.0]), [0, 0])
    np.testing.assert_array_equal(derivative(lambda y: lax.rem(5.5, y), [2.0, -2.0]), [-2, 2])


def test_derivatives_of_complex_non_holomorphic_functions():
    # |z| changes by Re(conj(z/|z|) dz), z/|z| only with the angle; at 0 there is none, and 0 stands for it.
    np.testing.assert_allclose(derivative(lax.abs, [3 + 4j, 0j]), [0.6, 0], rtol=1e-15)
    z = np.array([3 + 4j])
    np.testing.assert_allclose(derivative(lax.sign, z), 1j * z / 5 * (-4 / 25), rtol=1e-14)
    assert derivative(lax.sign, [0j]) == 0


def test_derivative_of_complex_acosh_left_of_the_cut():
    z = np.array([-2 + 1e-3j, -2 + 1j])
    step = 1e-6
    differences = (np.arccosh(z + step) - np.arccosh(z - step)) / (2 * step)
    np.testing.assert_allclose(derivative(lax.acosh, z), differences, rtol=1e-8)


#: Function, point, and what its derivatives of first and second order are there: limits, where the formula alone would give inf · 0.
LIMITS = [
    (lax.cbrt, np.inf, 0, 0), (lax.cbrt, -np.inf, 0, 0), (lax.cbrt, 0.0, np.inf, -np.inf),
    (lax.atanh, np.inf, 0, 0), (lax.atanh, -np.inf, 0, 0), (lax.atanh, 0.0, 1, 0),
    (lax.sqrt, np.inf, 0, 0), (lax.rsqrt, np.inf, 0, 0), (lax.log, np.inf, 0, 0), (lax.log1p, np.inf, 0, 0), (lax.tanh, np.inf, 0, 0),
    (lax.tanh, -np.inf, 0, 0), (lax.logistic, np.inf, 0, 0), (lax.logistic, -np.inf, 0, 0), (lax.exp, -np.inf, 0, 0),
    (lax.atan, 0.0, 1, 0), (lax.reciprocal, np.inf, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("function", "x", "first", "second"), LIMITS)
def test_derivatives_have_their_limits(function, x, first, second) -> None:
    for f in (function, jit(function)):
        assert float(grad(f)(x)) == first
        assert float(grad(grad(f))(x)) == second


SPECIAL = [np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 1e30, 1e-30]


@pytest.mark.parametrize(
    "function", [lax.floor, lax.ceil, lax.round, lax.sign, jnp.trunc, jnp.rint, lambda x: jnp.modf(x)[1]]
)
def test_steps_have_the_derivative_zero_everywhere(function) -> None:
    for x in SPECIAL:
        for f in (function, jit(function)):
            assert float(grad(f)(x)) == 0


@pytest.mark.parametrize("function", [jnp.floor_divide, lambda x, y: jnp.divmod(x, y)[0], lambda x, y: x // y])
def test_quotients_rounded_down_have_the_derivative_zero_everywhere(function) -> None:
    x, y = np.meshgrid(np.float32(SPECIAL), np.float32(SPECIAL))
    for f in (function, jit(function)):
        for argnums in (0, 1):
            assert not np.asarray(vmap(grad(f, argnums))(x.ravel(), y.ravel())).any()


def test_imaginary_parts_are_not_dropped_unsaid() -> None:
    for fill in (2j, 2 + 0j):
        for dtype in ("float32", "int32"):
            like = jnp.ones(3, dtype)
            for f in (
                lambda: pb.lax.full_like(like, fill), lambda: jnp.full_like(like, fill), lambda: pb.lax.full((2,), fill, dtype),
                lambda: jnp.full(2, fill, dtype), lambda: pb.lax.convert_element_type(fill, dtype),
                lambda: like.at[jnp.array([9])].get(mode="fill", fill_value=fill), lambda: jnp.take(like, jnp.array([9]), fill_value=fill),
                lambda: pb.lax.reduce(like, fill, pb.lax.add, (0,)),
                lambda: pb.lax.reduce_window(like, fill, pb.lax.add, (1,), (1,), "VALID"),
            ):  # fmt: skip
                with pytest.raises(TypeError):
                    f()
    z = jnp.full((1, 1, 3), 1j)
    for dtype in ("float32", "int32", "bool"):
        with pytest.raises(TypeError, match="imaginary"):
            pb.lax.conv_general_dilated(z, z, (1,), "VALID", preferred_element_type=dtype)
    for f in (pb.lax.convert_element_type, lambda z, dtype: jnp.full(3, z[0, 0, 0], dtype)):
        with pytest.warns(np.exceptions.ComplexWarning):
            f(z, jnp.float32)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_false_times_infinity_is_nan_in_compiled_code(dtype: str) -> None:
    # XLA makes a selection of a converted boolean times something: of 0, whatever the other factor.
    flags, y = jnp.array([False, True]), jnp.full(2, np.inf, dtype)
    for f in (lambda b, y: b * y, lambda b, y: b.astype(dtype) * y, lambda b, y: b * jnp.inf, lambda b, y: b / (0 * b)):
        np.testing.assert_array_equal(np.isnan(jit(f)(flags, y)), np.isnan(f(flags, y)))
        np.testing.assert_array_equal(np.isnan(jit(lambda y: f(flags, y))(y)), np.isnan(f(flags, y)))
    assert np.isnan(jit(lambda x, y: (x > 0) * y)(-1.0, y)).all()


def test_cases_of_a_selection_have_one_shape() -> None:
    x = jnp.ones(3)
    np.testing.assert_array_equal(lax.select(True, x, 2 * x), x)
    np.testing.assert_array_equal(lax.select(jnp.array([True, False, True]), x, 2 * x), [1, 2, 1])
    for args in (
        (True, x, 1.0),
        (True, 1.0, x),
        (x > 0, 1.0, x),
        (x[:1] > 0, x, x),
        (x > 0, 1.0, 2.0),
        (True, x, x[:1]),
    ):
        for f in (lax.select, jit(lax.select)):
            with pytest.raises(TypeError, match="shape"):
                f(*args)
    assert pb.lax.select is lax.select
