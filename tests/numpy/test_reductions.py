"""`numpy/reductions.py`: values against NumPy over axes and options, result types, edges, derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.dtypes import bfloat16

NAN = math.nan
X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
HOLES = np.where(X > 0.9, np.float32(NAN), X)
I = np.array([[1, -2, 3], [0, 5, -6]], np.int32)
MASK = X > -0.5
AXES = [None, 0, -1, (0, 2), (-1, 1), ()]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "ptp"])
def test_reductions_give_numpys_values(name: str, axis: Any, keepdims: bool) -> None:
    ours, theirs = (
        getattr(xp, name)(X if xp is np else jnp.array(X), axis=axis, keepdims=keepdims) for xp in (jnp, np)
    )
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype and not ours.weak_type
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian"])
def test_nan_reductions_give_numpys_values(name: str, axis: Any) -> None:
    ours, theirs = getattr(jnp, name)(jnp.array(HOLES), axis=axis), getattr(np, name)(HOLES, axis=axis)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=2e-6, atol=1e-6)
    whole = getattr(jnp, name)(jnp.array(I), axis=axis if axis != (0, 2) else (0, 1))
    np.testing.assert_allclose(
        np.asarray(whole), getattr(np, name)(I, axis=axis if axis != (0, 2) else (0, 1)), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "any", "all"])
def test_where_leaves_elements_out(name: str) -> None:
    ours, theirs = (getattr(xp, name)(X if xp is np else jnp.array(X), axis=1, where=MASK) for xp in (jnp, np))
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_initial_values_join_in(name: str) -> None:
    ours, theirs = (
        getattr(xp, name)(X if xp is np else jnp.array(X), axis=1, initial=0.3, where=MASK) for xp in (jnp, np)
    )
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=2e-6)


@pytest.mark.parametrize("axis", [None, 1, -1])
@pytest.mark.parametrize(
    "name", ["argmax", "argmin", "nanargmax", "nanargmin", "cumsum", "cumprod", "nancumsum", "nancumprod"]
)
def test_positions_and_cumulative_functions_give_numpys_values(name: str, axis: Any) -> None:
    x = HOLES if name.startswith("nan") else X
    ours, theirs = getattr(jnp, name)(jnp.array(x), axis=axis), getattr(np, name)(x, axis=axis)
    assert ours.dtype == (np.int32 if "arg" in name else np.float32)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "function, dtype",
    [
        (lambda: jnp.sum(jnp.array([True, True])), np.int32),
        (lambda: jnp.sum(jnp.array([1], jnp.int8)), np.int32),
        (lambda: jnp.sum(jnp.array([1], jnp.uint8)), np.uint32),
        (lambda: jnp.sum(jnp.array([1], jnp.int8), promote_integers=False), np.int8),
        (lambda: jnp.sum(jnp.array([1.5]), dtype=int), np.int32),
        (lambda: jnp.mean(jnp.array([1, 2])), np.float32),
        (lambda: jnp.mean(jnp.array([1, 2]), dtype=jnp.int32), np.int32),
        (lambda: jnp.mean(jnp.array([1, 2], jnp.float16)), np.float16),
        (lambda: jnp.var(jnp.array([1j, 2])), np.float32),
        (lambda: jnp.std(jnp.array([1, 2], bfloat16)), bfloat16),
        (lambda: jnp.cumsum(jnp.array([True])), np.int32),
        (lambda: jnp.cumsum(jnp.array([1], jnp.int8)), np.int8),
        (lambda: jnp.count_nonzero(X), np.int32),
    ],
)
def test_result_types(function: Any, dtype: Any) -> None:
    assert function().dtype == dtype


def test_sixty_four_bits() -> None:
    with pb.enable_x64(True):
        assert jnp.sum(jnp.array([1], jnp.int32)).dtype == np.int64
        assert jnp.argmax(jnp.zeros(3)).dtype == np.int64
        assert jnp.mean(jnp.array([1, 2])).dtype == np.float64


def test_narrow_floats_accumulate_in_float32() -> None:
    assert float(jnp.mean(jnp.full(10, 60000.0, jnp.float16))) == 60000.0
    ones = jnp.ones(1000, jnp.bfloat16)
    assert float(jnp.sum(ones)) == 1000.0


def test_empty_arrays() -> None:
    empty = jnp.zeros((0, 3))
    assert float(jnp.sum(empty)) == 0.0 and jnp.prod(empty, axis=0).tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(float(jnp.mean(empty))) and bool(jnp.all(empty)) and not bool(jnp.any(empty))
    assert jnp.max(empty, axis=1).shape == (0,) and float(jnp.max(empty, initial=2)) == 2.0
    for function in (jnp.max, jnp.min, jnp.argmax, jnp.median):
        with pytest.raises(ValueError):
            function(empty)


def test_variance_options() -> None:
    x = jnp.array([1.0, 2.0, 4.0])
    assert float(jnp.var(x, ddof=1)) == float(jnp.var(x, correction=1)) == pytest.approx(7 / 3)
    assert float(jnp.var(x, mean=jnp.array([2.0]))) == pytest.approx(5 / 3)
    assert math.isnan(float(jnp.var(x, ddof=3)))
    with pytest.raises(ValueError, match="simultaneously"):
        jnp.var(x, ddof=1, correction=1)
    with pytest.raises(ValueError, match="complex"):
        jnp.var(jnp.array([1j]), dtype=jnp.float32)


def test_errors_name_the_problem() -> None:
    x = jnp.array(X)
    with pytest.raises(TypeError, match="sum requires"):
        jnp.sum([1, 2])
    with pytest.raises(ValueError, match="axis 5 is out of bounds"):
        jnp.sum(x, axis=5)
    with pytest.raises(ValueError, match="duplicate"):
        jnp.sum(x, axis=(0, -3))
    with pytest.raises(TypeError):
        jnp.sum(x, axis=1.0)
    with pytest.raises(NotImplementedError, match="out"):
        jnp.mean(x, out=x)
    with pytest.raises(ValueError, match="initial"):
        jnp.max(x, where=MASK)
    for where in (jnp.array([1, 0, 1, 1]), 1.0):
        with pytest.raises(ValueError, match="must be boolean"):
            jnp.sum(x, where=where)
    with pytest.raises(IndexError, match="axis 5 is out of bounds"):  # AxisError, as in NumPy
        jnp.var(x, axis=5)
    with pytest.raises(TypeError, match="order"):
        jnp.argmax(jnp.array([1j]))
    with pytest.raises(ValueError, match="axis"):
        jnp.cumulative_sum(x)
    with pytest.raises(ValueError, match="scalar"):
        jnp.cumulative_sum(1.0)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "nansum", "nanprod", "nanmax", "nanmin"])
def test_initial_values_are_scalars(name: str) -> None:
    for initial in (jnp.ones(4), jnp.ones(1)):
        with pytest.raises(ValueError, match="`initial` must be a scalar"):
            getattr(jnp, name)(jnp.array(X), axis=(0, 1), initial=initial)


@pytest.mark.parametrize("name", ["mean", "var", "std", "nanmean", "nanvar", "nanstd"])
def test_what_is_counted_is_what_is_summed(name: str) -> None:
    """A larger `where` would have the elements summed more often than they are counted."""
    function = getattr(jnp, name)
    for x, where in ((jnp.ones((1, 3)), jnp.ones((2, 3), bool)), (jnp.ones(3), jnp.ones((2, 3), bool))):
        for f in (function, pb.jit(function, static_argnames="axis")):
            with pytest.raises(ValueError, match="does not broadcast"):
                f(x, axis=0, where=where)
    if name not in ("mean", "nanmean"):
        for center in (jnp.zeros((2, 3)), jnp.zeros((0, 3)), jnp.zeros(2)):
            with pytest.raises(TypeError, match="`mean` of shape"):
                function(jnp.ones(3), mean=center)
    half = jnp.array([[True], [False]])
    np.testing.assert_allclose(
        function(X[0, :2], where=half), getattr(np, name)(X[0, :2], where=np.array(half)), rtol=1e-5
    )


def test_nan_positions_and_extrema_of_nothing() -> None:
    x = jnp.array([[NAN, 1.0], [NAN, NAN]])
    assert jnp.nanargmin(x, axis=1, keepdims=True).tolist() == [[1], [-1]]
    low = np.asarray(jnp.nanmin(x, axis=1))
    assert low[0] == 1.0 and math.isnan(low[1])


def test_standard_cumulative_functions() -> None:
    x = jnp.array([[1, 2, 3], [4, 5, 6]], jnp.int8)
    assert jnp.cumulative_sum(x, axis=1, include_initial=True).tolist() == [[0, 1, 3, 6], [0, 4, 9, 15]]
    assert jnp.cumulative_prod(jnp.array([2, 3]), include_initial=True).tolist() == [1, 2, 6]


def test_average() -> None:
    w = np.array([1.0, 0.0, 3.0], np.float32)
    value, total = jnp.average(jnp.array(X), axis=1, weights=jnp.array(w), returned=True)
    theirs, theirs_total = np.average(X, axis=1, weights=w, returned=True)
    np.testing.assert_allclose(np.asarray(value), theirs, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(total), theirs_total)
    with pytest.raises(ValueError, match="weights"):
        jnp.average(jnp.array(X), weights=jnp.array(w))
    with pytest.raises(ValueError, match="consistent"):
        jnp.average(jnp.array(X), axis=0, weights=jnp.array(w))
    # The axes of the weights come in the order in which they are named.
    rows = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
    expected = np.average(X, axis=(0, 2), weights=rows.T)
    for axis in ((2, 0), (-1, 0), [2, -3]):
        np.testing.assert_allclose(jnp.average(jnp.array(X), axis, jnp.array(rows)), expected, rtol=1e-5)


# ---- quantiles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf"])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_quantiles_give_numpys_values(method: str, axis: Any) -> None:
    q = np.array([0.0, 0.21, 0.52, 0.77, 1.0], np.float32)
    ours = jnp.quantile(jnp.array(X), jnp.array(q), axis=axis, method=method, keepdims=True)
    np.testing.assert_allclose(np.asarray(ours), np.quantile(X, q, axis=axis, method=method, keepdims=True), rtol=1e-5)
    if method != "inverted_cdf":
        ours = jnp.nanpercentile(jnp.array(HOLES), jnp.array(q * 100), axis=axis, method=method)
        theirs = np.nanpercentile(HOLES, q * 100, axis=axis, method=method)
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-4, atol=1e-6)


def test_quantiles_with_infinities_nans_and_weights() -> None:
    assert float(jnp.quantile(jnp.array([1.0, math.inf]), 0.0)) == 1.0
    assert math.isnan(float(jnp.median(jnp.array([1.0, NAN])))) and math.isnan(float(jnp.nanmedian(jnp.array([NAN]))))
    x, w = X[0, 0], np.array([1.0, 2.0, 0.0, 3.0], np.float32)
    ours = jnp.quantile(jnp.array(x), jnp.array([0.1, 0.4, 0.9]), weights=jnp.array(w), method="inverted_cdf")
    np.testing.assert_array_equal(np.asarray(ours), np.quantile(x, [0.1, 0.4, 0.9], weights=w, method="inverted_cdf"))


def test_quantile_errors() -> None:
    x = jnp.array(X)
    with pytest.raises(ValueError, match="method"):
        jnp.quantile(x, 0.5, method="hazen")
    with pytest.raises(NotImplementedError, match="weights"):
        jnp.quantile(x, 0.5, weights=x)
    with pytest.raises(ValueError, match="complex"):
        jnp.quantile(jnp.array([1j]), 0.5)
    with pytest.raises(ValueError, match="one axis"):
        jnp.quantile(x, jnp.zeros((2, 2)))
    with pytest.raises(TypeError, match="floating"):
        jnp.quantile(x, 1)


# ---- derivatives and vmap ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, x, expected",
    [
        (jnp.prod, [1.0, 0.0, 3.0], [0.0, 3.0, 0.0]),
        (jnp.max, [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
        (jnp.nansum, [1.0, NAN], [1.0, 0.0]),
        (jnp.nanvar, [1.0, NAN, 3.0], [-1.0, 0.0, 1.0]),
        (jnp.nanmax, [1.0, NAN, 3.0], [0.0, 0.0, 1.0]),
        (jnp.median, [1.0, 3.0, 2.0, 9.0], [0.0, 0.5, 0.5, 0.0]),
        (lambda x: jnp.sum(jnp.quantile(x, jnp.array([0.3, 0.3]))), [1.0, 3.0, 2.0, 9.0], [0.2, 0.0, 1.8, 0.0]),
        (lambda x: jnp.sum(jnp.cumprod(x)), [1.0, 0.0, 2.0], [1.0, 3.0, 0.0]),
        (lambda x: jnp.mean(x, where=jnp.array([True, False])), [1.0, NAN], [1.0, 0.0]),
    ],
)
def test_gradients(function: Any, x: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(pb.grad(function)(jnp.array(x))), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.sum(x, 0),
        lambda x: jnp.mean(x, -1, keepdims=True),
        lambda x: jnp.var(x, axis=0, ddof=1),
        lambda x: jnp.argmax(x, 1),
        lambda x: jnp.argmin(x, keepdims=True),
        lambda x: jnp.cumsum(x, 1),
        lambda x: jnp.quantile(x, jnp.array([0.3, 0.6]), axis=0),
        lambda x: jnp.nanmedian(x, axis=1),
        lambda x: jnp.max(x, axis=0, initial=0.0),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vmap_is_a_loop(function: Any, axis: int) -> None:
    looped = np.stack([np.asarray(function(jnp.array(x))) for x in np.moveaxis(X, axis, 0)])
    np.testing.assert_allclose(np.asarray(pb.vmap(function, in_axes=axis)(jnp.array(X))), looped, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("jit", [False, True])
def test_cumulative_functions_as_booleans(jit: bool) -> None:
    """Whether any, or all, so far: asked for as booleans, sums and products are booleans; sums of booleans count."""
    x = jnp.array([[-1, 0, 1], [0, 0, 0.5]])
    for f, want in (
        (jnp.cumsum, np.logical_or),
        (jnp.nancumsum, np.logical_or),
        (jnp.cumprod, np.logical_and),
        (jnp.nancumprod, np.logical_and),
    ):
        g = lambda x, f=f: f(x, 1, dtype=bool)
        y = (pb.jit(g) if jit else g)(x)
        assert y.dtype == bool
        np.testing.assert_array_equal(y, want.accumulate(np.asarray(x) != 0, 1))
        assert f(x > 0, 1).dtype == jnp.int32
    assert jnp.cumulative_sum(x[0], dtype=bool, include_initial=True).tolist() == [False, True, True, True]
    assert jnp.cumulative_prod(x[0], dtype=bool, include_initial=True).tolist() == [True, True, False, False]
    for f in (jnp.mean, jnp.var):
        with pytest.raises(TypeError, match="bool"):
            f(x, dtype=bool)


def test_sums_and_products_of_booleans_are_booleans() -> None:
    x = jnp.array([[-1, 0, 1], [1, 1, 0]])
    for f, want in (
        (lambda x: jnp.prod(x, axis=0, dtype=bool), [True, False, False]),
        (lambda x: jnp.sum(x, axis=0, dtype=bool), [True, True, True]),
        (lambda x: jnp.prod(x, axis=0, dtype=bool, where=x != 0), [True, True, True]),
        (lambda x: jnp.prod(x, dtype=bool, initial=2), False),
        (lambda x: jnp.nanprod(x, axis=0, dtype=bool), [True, False, False]),
        (lambda x: jnp.prod(x[:0], axis=0, dtype=bool), [True, True, True]),
    ):
        for out in (f(x), pb.jit(f)(x)):
            assert out.dtype == bool and out.tolist() == want


def test_minmax():
    x = jnp.array([[3.0, 1.0], [2.0, jnp.nan]])
    low, high = pb.jit(lambda x: jnp.minmax(x, axis=1, keepdims=True))(x)
    np.testing.assert_array_equal(low, [[1.0], [np.nan]])
    np.testing.assert_array_equal(high, [[3.0], [np.nan]])
    assert [float(v) for v in jnp.minmax(x, where=~jnp.isnan(x), initial=(5.0, 2.5))] == [1.0, 3.0]
    assert [float(v) for v in jnp.minmax(jnp.zeros(0), initial=7.0)] == [7.0, 7.0]
    assert pb.grad(lambda x: jnp.minmax(x)[1] - 2 * jnp.minmax(x)[0])(jnp.array([1.0, 3.0, 3.0])).tolist() == [
        -2.0,
        0.5,
        0.5,
    ]
    for options in ({}, {"initial": (1.0, 2.0, 3.0)}):
        with pytest.raises(ValueError, match="zero-size array|a pair"):
            jnp.minmax(jnp.zeros(0), **options)
