"""`numpy/ufuncs.py`: values against NumPy, promotion, edges, derivatives at special points."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.dtypes import bfloat16
from pullback.core.errors import TypePromotionError
from pullback.numpy import arithmetic, reductions, ufuncs

INF, NAN = math.inf, math.nan
X = np.array([-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 7.3, 100.0], np.float32)
UNIT = np.array([-0.9, -0.3, 0.0, 0.4, 0.9], np.float32)
POSITIVE = np.array([0.1, 1.0, 2.5, 100.0], np.float32)
Z = np.array([1 + 2j, -0.5 + 0.1j, 3 - 4j], np.complex64)
I = np.array([-7, -1, 0, 2, 5], np.int32)
EDGES = np.array([0.0, -0.0, INF, -INF, NAN, 1.0], np.float32)

UNARY = {
    "abs": X, "absolute": Z, "acos": UNIT, "acosh": POSITIVE + 1, "angle": Z, "arccos": UNIT, "arccosh": POSITIVE + 1, "arcsin": UNIT,
    "arcsinh": X, "arctan": X, "arctanh": UNIT, "asin": UNIT, "asinh": X, "atan": X, "atanh": UNIT, "bitwise_count": I, "bitwise_invert": I,
    "bitwise_not": I, "cbrt": X, "ceil": X, "conj": Z, "conjugate": Z, "cos": X, "cosh": UNIT, "deg2rad": X, "degrees": X, "exp": UNIT,
    "exp2": UNIT, "expm1": UNIT, "fabs": X, "floor": X, "i0": UNIT, "imag": Z, "invert": I, "iscomplex": Z, "isfinite": EDGES,
    "isinf": EDGES, "isnan": EDGES, "isneginf": EDGES, "isposinf": EDGES, "isreal": Z, "log": POSITIVE, "log10": POSITIVE,
    "log1p": POSITIVE, "log2": POSITIVE, "logical_not": I, "nan_to_num": EDGES, "negative": X, "positive": X, "rad2deg": X, "radians": X,
    "real": Z, "reciprocal": POSITIVE, "rint": X, "round": X, "sign": X, "signbit": EDGES, "sin": X, "sinc": X[:-1], "sinh": UNIT,
    "spacing": POSITIVE, "sqrt": POSITIVE, "square": X, "tan": UNIT, "tanh": X, "trunc": X,
}  # fmt: skip
BINARY = {
    "add": (X, 1.5), "arctan2": (X, UNIT[:1]), "atan2": (X, X[::-1].copy()), "bitwise_and": (I, 3), "bitwise_left_shift": (I, 2),
    "bitwise_or": (I, 3), "bitwise_right_shift": (I, 1), "bitwise_xor": (I, 3), "copysign": (X, -1.0), "divide": (X, 4.0),
    "equal": (X, 1.0), "float_power": (POSITIVE, 1.5), "floor_divide": (X, 0.7), "fmax": (EDGES, 0.5), "fmin": (EDGES, 0.5),
    "fmod": (X, 0.7), "gcd": (I, 10), "greater": (X, 0.0), "greater_equal": (X, 0.0), "heaviside": (X, 0.5), "hypot": (X, 2.0),
    "lcm": (I, 6), "ldexp": (X, 3), "left_shift": (I, 2), "less": (X, 0.0), "less_equal": (X, 0.0), "logaddexp": (X, 0.5),
    "logaddexp2": (X, 0.5), "logical_and": (I, 1), "logical_or": (I, 0), "logical_xor": (I, 1), "maximum": (X, 0.2), "minimum": (X, 0.2),
    "mod": (X, 0.7), "multiply": (Z, 1.5j), "nextafter": (X, 8.0), "not_equal": (X, 1.0), "pow": (POSITIVE, 1.5), "power": (X, 3),
    "remainder": (I, -3), "right_shift": (I, 1), "subtract": (X, 1.5), "true_divide": (I, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions_give_numpys_values(name: str) -> None:
    x = UNARY[name]
    ours, theirs = getattr(jnp, name)(jnp.array(x)), getattr(np, name)(x)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions_give_numpys_values(name: str) -> None:
    x, y = BINARY[name]
    theirs = getattr(np, name)(x, y)
    for ours in (getattr(jnp, name)(jnp.array(x), y), getattr(jnp, name)(jnp.array(x)[:, None], jnp.array(y))[..., 0]):
        if np.ndim(y) == 0:
            np.testing.assert_allclose(np.asarray(ours), theirs, rtol=3e-6, atol=1e-7)


def required(function: Any) -> int:
    """How many operands a function needs, at least 1."""
    parameters = inspect.signature(function).parameters.values()
    return max(1, len([p for p in parameters if p.default is p.empty]))


@pytest.mark.parametrize("name", sorted({*ufuncs.__all__, *arithmetic.__all__, *reductions.__all__}))
def test_lists_are_refused(name: str) -> None:
    """By the function that was called, not by one that it is made of."""
    function = getattr(jnp, name)
    operands = [[1.0]] * required(function)
    if name in ("array_equal", "array_equiv"):  # which take them, as in NumPy
        assert function(*operands)
        return
    with pytest.raises(
        TypeError, match=rf"^{function.__name__} requires.* list|^{function.__name__}.*pullback.numpy.array"
    ):
        function(*operands)


# ---- types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, args, dtype, weak",
    [
        (jnp.add, (np.int8(1), 2), np.int8, False),
        (jnp.add, (np.int8(1), 2.5), np.float32, True),
        (jnp.add, (np.int8(1), np.uint8(1)), np.int16, False),
        (jnp.add, (True, True), np.bool_, False),
        (jnp.add, (1, 2), np.int32, True),
        (jnp.add, (np.float16(1), bfloat16.type(1)), np.float32, False),
        (jnp.multiply, (np.float16(1), 2.5), np.float16, False),
        (jnp.multiply, (np.float32(1), 2j), np.complex64, False),
        (jnp.divide, (1, 2), np.float32, True),
        (jnp.divide, (np.int8(1), np.int8(2)), np.float32, False),
        (jnp.sin, (3,), np.float32, True),
        (jnp.sin, (True,), np.float32, False),
        (jnp.sin, (np.float16(3),), np.float16, False),
        (jnp.floor, (3,), np.int32, True),
        (jnp.rint, (np.int8(3),), np.float32, False),
        (jnp.square, (True,), np.int32, False),
        (jnp.absolute, (3 + 4j,), np.float32, True),
        (jnp.power, (np.int32(2), 0.5), np.float32, True),
        (jnp.power, (np.int8(2), True), np.int8, False),
        (jnp.float_power, (np.int8(2), 3), np.float32, False),
        (jnp.floor_divide, (True, True), np.int32, False),
        (jnp.copysign, (np.int32(2), 0.5), np.float32, True),
        (jnp.bitwise_count, (7,), np.uint8, False),
        (jnp.left_shift, (True, True), np.int32, False),
        (jnp.clip, (np.int32(5), 0.5), np.float32, True),
        (jnp.less, (1, 2.0), np.bool_, None),
    ],
)
def test_result_types_follow_the_promotion_lattice(function: Any, args: Any, dtype: Any, weak: bool | None) -> None:
    out = function(*(jnp.array(a) if isinstance(a, np.generic) else a for a in args))
    assert out.dtype == dtype
    if weak is not None:
        assert bool(out.weak_type) == weak


@pytest.mark.parametrize(
    "base", [np.ones(3, bool), True, np.ones(3, np.int32), 2, 2.0, np.ones(3, np.float32), np.ones(3, np.uint8)]
)
def test_types_of_powers_are_the_same_for_known_and_traced_exponents(base: Any) -> None:
    """A power of a bool or of a weakly typed integer is strong, whatever the exponent's weak type."""
    base = jnp.asarray(base)
    for power in (jnp.power, lambda x, y: x**y):
        known, traced = power(base, jnp.asarray(2)), pb.jit(power)(base, 2)
        mapped = pb.vmap(power, (None, 0))(base, jnp.broadcast_to(2, (2,)))
        assert known.dtype == traced.dtype == mapped.dtype
        if base.dtype == bool:
            assert not (known.weak_type or traced.weak_type or mapped.weak_type)
    if base.dtype == np.int32 and base.weak_type:
        assert not pb.jit(jnp.power)(base, 2).weak_type


def test_scalars_take_the_other_operands_type_and_wrap() -> None:
    assert int(jnp.add(jnp.array(1, jnp.uint8), -1)) == 0
    assert int(jnp.add(jnp.array(1, jnp.int8), 300)) == 45
    assert float(jnp.add(jnp.array(1, jnp.float16), 1e10)) == INF
    assert float(jnp.multiply(jnp.array(1, jnp.float32), -0.0)) == 0.0
    # Straight to float, not through uint8.
    np.testing.assert_array_equal(np.asarray(jnp.divide(jnp.array([2, 4], jnp.uint8), -2)), [-1.0, -2.0])


#: What an error may call a function whose own name it does not give: another of its names, or its primitive's.
CALLED = {
    "around": "round", "bitwise_and": "and", "bitwise_invert": "not", "bitwise_left_shift": "shift_left", "bitwise_not": "not",
    "bitwise_or": "or", "bitwise_right_shift": "shift_right", "bitwise_xor": "xor", "invert": "not", "left_shift": "shift_left",
    "remainder": "mod", "right_shift": "shift_right",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({*ufuncs.__all__, *arithmetic.__all__}))
def test_what_refuses_complex_numbers_says_its_name(name: str) -> None:
    function = getattr(jnp, name)
    said = name
    try:
        function(*[1j] * required(function))
    except (TypeError, ValueError) as error:
        said = str(error)
    assert said.startswith((name, CALLED.get(name, name)))


def test_what_has_no_meaning_for_a_type_is_refused() -> None:
    for function, x in [
        (jnp.negative, True),
        (jnp.sign, True),
        (jnp.fabs, 1j),
        (jnp.invert, 1.0),
        (jnp.bitwise_count, 1.0),
        (jnp.cbrt, 1j),
    ]:
        with pytest.raises(TypeError):
            function(x)
    for function in (jnp.subtract, jnp.mod, jnp.fmod, jnp.floor_divide):
        with pytest.raises(TypeError):
            function(*((True, True) if function is jnp.subtract else (1j, 2j)))
    for function in (
        jnp.signbit,
        jnp.isposinf,
        jnp.isneginf,
        jnp.i0,
        lambda z: jnp.hypot(z, 1),
        lambda z: jnp.clip(z, 0),
        lambda z: jnp.ldexp(z, 1),
    ):
        with pytest.raises(ValueError, match="complex"):
            function(1j)
    with pytest.raises(ValueError, match="integers"):
        jnp.gcd(1.0, 2)
    with pytest.raises(TypeError, match=r"\(2,\), \(3,\)"):
        jnp.add(jnp.zeros(2), jnp.zeros(3))
    with pytest.raises(TypeError, match="negative powers"):
        jnp.power(jnp.array(2), -1)
    with pytest.raises(NotImplementedError, match="immutable"):
        jnp.round(1.0, out=1)
    with pytest.raises(NotImplementedError, match="decimals"):
        jnp.round(jnp.array(35), -1)


def test_strict_modes() -> None:
    with pb.numpy_rank_promotion("raise"):
        with pytest.raises(ValueError, match="rank_promotion"):
            jnp.add(jnp.zeros(3), jnp.zeros((2, 3)))
        assert jnp.add(1.0, jnp.zeros((2, 3))).shape == (2, 3)
    with pb.numpy_dtype_promotion("strict"):
        with pytest.raises(TypePromotionError):
            jnp.add(jnp.zeros(3, jnp.float16), jnp.zeros(3, jnp.float32))
        assert jnp.add(jnp.zeros(3, jnp.float16), 1.0).dtype == jnp.float16


# ---- edges ------------------------------------------------------------------------------------------------------


def test_division_edges() -> None:
    i = jnp.array
    assert [int(jnp.floor_divide(i(a), i(0))) for a in (5, 0, -5)] == [-2, -1, -2]
    assert int(jnp.mod(i(5), i(0))) == 0 and int(jnp.fmod(5, 0)) == 0
    assert int(jnp.floor_divide(i(5, jnp.uint8), i(0, jnp.uint8))) == 255
    assert float(jnp.floor_divide(-5.0, 0.0)) == -INF and math.isnan(float(jnp.mod(5.0, 0.0)))
    assert float(jnp.mod(-5.0, INF)) == INF and float(jnp.floor_divide(-5.0, INF)) == -1.0
    # Zeros are signed as the array API standard and NumPy have it: remainders as the divisor, quotients as x / y.
    assert [math.copysign(1, float(jnp.mod(a, b))) for a, b in ((-0.0, 3.0), (0.0, -3.0), (6.0, -3.0))] == [1, -1, -1]
    assert [math.copysign(1, float(jnp.floor_divide(a, b))) for a, b in ((-0.0, 3.0), (-0.0, -3.0))] == [-1, 1]
    quotient, remainder = jnp.divmod(i([-7, 7]), i([2, -2]))
    assert quotient.tolist() == [-4, -4] and remainder.tolist() == [1, -1]


def test_shifts_beyond_the_width() -> None:
    x = jnp.array([-100, 100], jnp.int8)
    assert jnp.right_shift(x, 20).tolist() == [-1, 0] and jnp.left_shift(x, 20).tolist() == [0, 0]
    assert int(jnp.right_shift(jnp.array(200, jnp.uint8), 1)) == 100


def test_frexp_and_ldexp_are_exact_and_inverse_down_to_subnormals() -> None:
    x = np.array([6.0, -0.7, 1e-40, 3e38, 0.0, -0.0, INF, NAN], np.float32)
    mantissa, exponent = jnp.frexp(jnp.array(x))
    theirs = np.frexp(x)
    np.testing.assert_array_equal(np.asarray(mantissa), theirs[0])
    np.testing.assert_array_equal(np.asarray(exponent)[:6], theirs[1][:6])
    np.testing.assert_array_equal(np.asarray(jnp.ldexp(mantissa, exponent)), x)
    n = np.arange(-290, 290, 7).astype(np.int32)
    for value in (np.float32(1.2345678), np.float32(1e-42), np.float32(-3e38)):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(np.asarray(jnp.ldexp(jnp.array(value), jnp.array(n))), np.ldexp(value, n))


def test_nan_to_num_clip_and_signs_of_zero() -> None:
    assert jnp.nan_to_num(jnp.array(EDGES), nan=5.0, posinf=2.0, neginf=-2.0).tolist() == [
        0.0,
        0.0,
        2.0,
        -2.0,
        5.0,
        1.0,
    ]
    assert float(jnp.clip(5.0, 3.0, 1.0)) == 1.0 and math.isnan(float(jnp.clip(NAN, 0.0, 1.0)))
    assert jnp.clip(jnp.arange(4), max=2).tolist() == [0, 1, 2, 2]
    assert float(jnp.copysign(3, -0.0)) == -3.0
    assert math.copysign(1.0, float(jnp.sign(-0.0))) == 1.0
    fraction, whole = jnp.modf(-3.5)
    assert (float(fraction), float(whole)) == (-0.5, -3.0)


def test_logaddexp_at_infinities() -> None:
    for a, b, out in [
        (INF, INF, INF),
        (-INF, -INF, -INF),
        (INF, -INF, INF),
        (0.0, -INF, 0.0),
        (1000.0, 1000.0, 1000.0 + math.log(2)),
    ]:
        assert float(jnp.logaddexp(a, b)) == np.float32(out)
    assert math.isnan(float(jnp.logaddexp(NAN, 1.0)))
    assert complex(jnp.logaddexp(1 + 3j, 2 - 3j)).imag == pytest.approx(-3.0758145, rel=1e-6)


def test_closeness() -> None:
    a = jnp.array([1.0, INF, NAN, INF])
    b = jnp.array([1.0 + 1e-7, INF, NAN, 1.0])
    assert jnp.isclose(a, b).tolist() == [True, True, False, False]
    assert jnp.isclose(a, b, equal_nan=True).tolist() == [True, True, True, False]
    assert bool(jnp.allclose(jnp.array([1, 2]), jnp.array([1, 2])))
    assert bool(jnp.array_equal([1, 2], jnp.array([1, 2]))) and not bool(jnp.array_equal(jnp.zeros(2), jnp.zeros(3)))
    assert bool(jnp.array_equal(a, a, equal_nan=True)) and not bool(jnp.array_equal(a, a))
    assert bool(jnp.array_equiv(jnp.array([1, 1]), 1)) and not bool(jnp.array_equiv(jnp.zeros(2), jnp.zeros(3)))


def test_gcd_works_where_values_are_not_known() -> None:
    a, b = np.array([12, 18, 0, -45], np.int32), np.array([8, 27, 5, 0], np.int32)
    np.testing.assert_array_equal(np.asarray(pb.vmap(jnp.gcd)(jnp.array(a), jnp.array(b))), np.gcd(a, b))
    np.testing.assert_array_equal(np.asarray(pb.vmap(jnp.lcm)(jnp.array(a), jnp.array(b))), np.lcm(a, b))


# ---- derivatives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, args, expected",
    [
        (jnp.sinc, (0.0,), (0.0,)),
        (jnp.logaddexp, (0.0, 0.0), (0.5, 0.5)),
        (jnp.logaddexp, (-INF, 0.0), (0.0, 1.0)),
        (jnp.logaddexp, (INF, 0.0), (1.0, 0.0)),
        (jnp.logaddexp2, (2.0, 2.0), (0.5, 0.5)),
        (jnp.hypot, (0.0, 0.0), (0.5, 0.5)),
        (jnp.hypot, (3.0, 4.0), (0.6, 0.8)),
        (jnp.nan_to_num, (NAN,), (0.0,)),
        (jnp.maximum, (1.0, 1.0), (0.5, 0.5)),
        (jnp.fmax, (NAN, 1.0), (0.0, 1.0)),
        (jnp.power, (0.0, 2), (0.0,)),
        (jnp.power, (2.0, 3.0), (12.0, 8 * math.log(2))),
        (jnp.power, (0.0, 2.0), (0.0, 0.0)),
        (jnp.mod, (-7.0, 3.0), (1.0, 3.0)),
        (jnp.fmod, (-7.0, 3.0), (1.0, 2.0)),
        (jnp.copysign, (1.0, -2.0), (-1.0, 0.0)),
        (jnp.i0, (0.0,), (0.0,)),
        (jnp.floor, (1.5,), (0.0,)),
        (lambda x: jnp.frexp(x)[0], (6.0,), (0.125,)),
        (lambda x: jnp.ldexp(x, 3), (6.0,), (8.0,)),
        (lambda x: jnp.modf(x)[0], (2.5,), (1.0,)),
    ],
)
def test_gradients_at_special_points(function: Any, args: Any, expected: Any) -> None:
    argnums = tuple(i for i, a in enumerate(args) if isinstance(a, float))
    gradients = pb.grad(function, argnums)(*args)
    assert [float(g) for g in gradients] == pytest.approx(expected)


def test_sinc_and_logaddexp_have_the_right_higher_derivatives() -> None:
    second = pb.grad(pb.grad(jnp.sinc))
    assert float(second(0.0)) == pytest.approx(-(math.pi**2) / 3, rel=1e-5)
    assert float(pb.grad(pb.grad(second))(0.0)) == pytest.approx(math.pi**4 / 5, rel=1e-4)
    # Continuous across the border of the power series.
    border = 0.5 / math.pi
    assert float(second(border - 1e-4)) == pytest.approx(float(second(border + 1e-4)), rel=1e-3)
    curvature = pb.hessian(jnp.logaddexp, (0, 1))(1.0, 1.0)
    assert [[float(h) for h in row] for row in curvature] == [[0.25, -0.25], [-0.25, 0.25]]


@pytest.mark.parametrize("decimals", [-400, -39, -2, -1, 0, 1, 3, 40, 400])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_rounding_to_any_decimals(dtype: str, decimals: int) -> None:
    """Parts of complex numbers are rounded by themselves; a power of ten that is infinite rounds nothing."""
    values = [2.5, -0.04, 1234.567, 0.0, np.inf, -np.inf, np.nan]
    if dtype == "complex64":
        values = [complex(a, b) for a in values for b in values]
    x = jnp.array(values, dtype)
    wide = np.asarray(x).astype("complex128" if dtype == "complex64" else "float64")
    with np.errstate(invalid="ignore"):
        expected = (
            np.round(wide, decimals) if abs(decimals) < 39 else wide if decimals > 0 else np.full_like(wide, np.nan)
        )
    for rounded in (jnp.round, pb.jit(jnp.round, static_argnums=1)):
        out = np.asarray(rounded(x, decimals))
        assert out.dtype == x.dtype
        for part in ("real", "imag"):
            ours, theirs = (np.asarray(getattr(v, part), "float64") for v in (out, expected))
            if decimals > -39:
                np.testing.assert_allclose(ours, theirs, rtol=1e-2 if x.itemsize == 2 else 1e-6)
            else:
                assert np.isnan(ours[: wide.size]).all() or (part == "imag" and dtype != "complex64")


def test_derivatives_of_neighbours() -> None:
    """The next float is the operand but for its last bit; distances of neighbours are constant between powers of two."""
    x = jnp.array([0.0, 1.0, -2.5, 1e30])
    for f in (lambda x: jnp.nextafter(x, jnp.inf), lambda x: jnp.nextafter(x, -x), lambda x: jnp.nextafter(x, x)):
        assert pb.vmap(pb.grad(f))(x).tolist() == pb.jit(pb.vmap(pb.jacfwd(f)))(x).tolist() == [1, 1, 1, 1]
    assert pb.vmap(pb.grad(lambda y: jnp.nextafter(1.0, y)))(x).tolist() == [0, 0, 0, 0]
    assert pb.vmap(pb.grad(jnp.spacing))(x).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_signs_of_complex_numbers_of_any_size(dtype: str) -> None:
    """Directions, of numbers whose size has no reciprocal as well; infinities have none."""
    with pb.enable_x64(True):
        tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
        for size in (tiny, 1, huge):
            x = np.array([size, -size, complex(0, size), complex(0, -size)], dtype)
            np.testing.assert_array_equal(jnp.sign(x), [1, -1, 1j, -1j])
        assert jnp.sign(np.zeros(2, dtype)).tolist() == [0, 0]
        assert np.isnan(jnp.sign(np.array([complex(np.inf, 0), complex(0, -np.inf)], dtype))).all()


def test_constants_keep_the_signs_of_zeros():
    from pullback.lax.family import constant, like

    for dtype in ("float16", "bfloat16", "float32"):
        x = jnp.ones(1, dtype)
        for make in (
            lambda v, x=x: like(v, x),
            lambda v, x=x: constant(v, x),
            lambda v, x=x: constant(v, np.asarray(x)),
        ):
            for value in (-0.0, 0.0, 0, np.float32(-0.0), -0.0, 0):
                assert bool(np.signbit(np.asarray(make(value)))) == bool(np.signbit(value))
