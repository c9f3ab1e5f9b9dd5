"""`numpy/sorting.py`: order, stability, searching by every method, derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

NAN = np.nan
X = np.random.default_rng(1).integers(-3, 4, size=(3, 4, 5)).astype(np.float32)
EDGES = np.array([3.0, NAN, -np.inf, 0.0, -0.0, np.inf, NAN, -1.0], np.float32)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_sort_and_argsort_give_numpys_values(axis: Any) -> None:
    np.testing.assert_array_equal(np.asarray(jnp.sort(jnp.array(X), axis=axis)), np.sort(X, axis=axis))
    np.testing.assert_array_equal(
        np.asarray(jnp.argsort(jnp.array(X), axis=axis)), np.argsort(X, axis=axis, kind="stable")
    )
    down = jnp.sort(jnp.array(X), axis=axis, descending=True)
    np.testing.assert_array_equal(np.asarray(down), -np.sort(-X, axis=axis))
    order = jnp.argsort(jnp.array(X), axis=axis, descending=True)
    np.testing.assert_array_equal(np.asarray(order), np.argsort(-X, axis=axis, kind="stable"))


def test_nans_sort_last_or_first_when_descending() -> None:
    np.testing.assert_array_equal(np.asarray(jnp.sort(jnp.array(EDGES))), np.sort(EDGES))
    down = np.asarray(jnp.sort(jnp.array(EDGES), descending=True))
    assert np.isnan(down[:2]).all() and down[2] == np.inf and down[-1] == -np.inf
    assert jnp.argsort(jnp.array([3.0, NAN, 1.0]), descending=True).tolist() == [1, 0, 2]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "bfloat16", "float16", "complex64"])
def test_every_type_sorts(dtype: str) -> None:
    x = jnp.array([1, 0, 1, 1, 0]).astype(dtype)
    assert jnp.argsort(x).tolist() == [1, 4, 0, 2, 3]
    assert jnp.sort(x).dtype == x.dtype


def test_lexsort_takes_the_last_key_first() -> None:
    a, b = np.array([1, 5, 1, 4, 3, 4, 4]), np.array([9, 4, 0, 4, 0, 2, 1])
    assert jnp.lexsort((jnp.array(b), jnp.array(a))).tolist() == np.lexsort((b, a)).tolist()
    assert jnp.lexsort(jnp.array([b, a])).tolist() == np.lexsort((b, a)).tolist()
    assert int(jnp.lexsort(jnp.array([3, 2]))) == 0
    with pytest.raises(ValueError, match="shape"):
        jnp.lexsort((jnp.zeros(2), jnp.zeros(3)))


@pytest.mark.parametrize("kth", [0, 2, -1])
@pytest.mark.parametrize("axis", [0, -1])
def test_partitions_put_the_kth_in_its_place(kth: int, axis: int) -> None:
    out = np.asarray(jnp.partition(jnp.array(X), kth, axis))
    at = np.take(np.sort(X, axis), [kth], axis)
    np.testing.assert_array_equal(np.take(out, [kth], axis), at)
    index = np.asarray(jnp.argpartition(jnp.array(X), kth, axis))
    np.testing.assert_array_equal(np.take_along_axis(X, index, axis).take([kth], axis), at)
    with pytest.raises(ValueError, match="out of bounds"):
        jnp.partition(jnp.array(X), 7)


def test_sort_complex() -> None:
    out = jnp.sort_complex(jnp.array([3j, 1, 2]))
    assert out.dtype == np.complex64 and out.tolist() == [3j, 1, 2]


def test_options_of_numpy_that_have_no_meaning_are_refused() -> None:
    with pytest.raises(TypeError, match="kind"):
        jnp.sort(jnp.array(X), kind="quicksort")
    with pytest.raises(TypeError, match="order"):
        jnp.argsort(jnp.array(X), order="f")
    with pytest.raises(TypeError, match="sort requires"):
        jnp.sort([3, 1])
    with pytest.raises(ValueError, match="axis"):
        jnp.sort(jnp.array(3))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("method", ["scan", "scan_unrolled", "sort", "compare_all"])
def test_searching_traced_arrays_finds_what_numpy_finds(side: str, method: str) -> None:
    rows = np.sort(X.reshape(12, 5), axis=1)
    rows[3, 3:] = NAN
    queries = np.array([[-4.0, -1.0, 0.0], [2.5, np.inf, NAN]], np.float32)
    found = pb.vmap(lambda a: jnp.searchsorted(a, jnp.array(queries), side, method=method))(jnp.array(rows))
    np.testing.assert_array_equal(np.asarray(found), [np.searchsorted(a, queries, side) for a in rows])
    one = pb.vmap(lambda v: jnp.searchsorted(jnp.array(rows[0]), v, side, method=method))(jnp.array(queries[0]))
    np.testing.assert_array_equal(np.asarray(one), np.searchsorted(rows[0], queries[0], side))


def test_searching_known_arrays() -> None:
    a = jnp.array([1, 2, 2, 3])
    assert jnp.searchsorted(a, jnp.array([0, 2, 9])).tolist() == [0, 1, 4]
    assert int(jnp.searchsorted(a, 2.5)) == 3
    assert int(jnp.searchsorted(jnp.array([3, 1, 2]), 2, sorter=jnp.array([1, 2, 0]))) == 1
    assert jnp.searchsorted(jnp.zeros(0), jnp.array([1.0, NAN])).tolist() == [0, 0]
    assert pb.vmap(lambda v: jnp.searchsorted(jnp.zeros(0), v))(jnp.array([1.0, NAN])).tolist() == [0, 0]
    assert jnp.searchsorted(jnp.array([1, 2], jnp.bfloat16), jnp.array(1.5, jnp.bfloat16)).tolist() == 1
    for wrong in ({"side": "middle"}, {"method": "guess"}):
        with pytest.raises(ValueError, match="invalid argument"):
            jnp.searchsorted(a, 1, **wrong)
    with pytest.raises(ValueError, match="1-dimensional"):
        jnp.searchsorted(jnp.zeros((1, 2)), 1.0)


def test_sorting_is_differentiable() -> None:
    x = jnp.array([3.0, 1.0, 2.0])
    gradient = pb.grad(lambda x: jnp.sum(jnp.sort(x, descending=True) * jnp.arange(3.0)))(x)
    assert gradient.tolist() == [0.0, 2.0, 1.0]


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float8_e4m3fn", "int8", "uint8", "uint4", "bool", "complex64"]
)
def test_top_k_is_what_sorting_gives(dtype: str):
    numbers = np.random.default_rng(0).integers(0 if dtype[0] in "ub" and dtype != "bfloat16" else -6, 7, (3, 9))
    a = np.array(jnp.asarray(numbers).astype(dtype))
    if dtype in ("float32", "complex64"):  # NaNs last, after infinities; zeros of both signs are equal
        a[0, 2] = a[1, 4] = np.nan
        a[1, 3:6:2], a[2, :2] = -np.inf, [-0.0, 0.0]
    options = [(k, axis, mode) for mode in ("largest", "smallest") for axis, k in ((0, 2), (-1, 9), (1, 0))]
    few = options[1::3] if dtype in ("float32", "uint4", "complex64") else []
    compiled = pb.jit(lambda a: [jnp.top_k(a, k, axis=axis, mode=mode) for k, axis, mode in few])(a)
    wide = a.astype(np.complex128)
    for k, axis, mode in options:
        sign = 1 if mode == "smallest" else -1
        order = np.lexsort((sign * wide.imag, sign * wide.real, np.isnan(wide)), axis=axis).take(range(k), axis)
        of_jit = [out for chosen, out in zip(few, compiled) if chosen == (k, axis, mode)]
        for values, indices in (jnp.top_k(a, k, axis=axis, mode=mode), *of_jit):
            np.testing.assert_array_equal(indices, order)
            assert np.asarray(values).tobytes() == np.take_along_axis(a, order, axis).tobytes()
            assert indices.dtype == np.int32 and values.dtype == a.dtype


def test_top_k_has_the_derivative_of_what_it_takes():
    f = lambda x: (jnp.top_k(x, 2, mode="smallest")[0] ** 2).sum()
    assert pb.grad(f)(jnp.array([3.0, 5.0, -1.0])).tolist() == [6.0, 0.0, -2.0]
    assert pb.vmap(pb.grad(f))(jnp.array([[3.0, 5.0, -1.0], [1.0, 2.0, 3.0]]))[1].tolist() == [2.0, 4.0, 0.0]
    for call in (
        lambda: jnp.top_k(jnp.ones(3), 4),
        lambda: jnp.top_k(jnp.ones(3), -1),
        lambda: jnp.top_k(jnp.ones(3), 1, mode="x"),
    ):
        with pytest.raises(ValueError, match="top_k: (k must be between 0 and 3|mode must be)"):
            call()
    with pytest.raises(ValueError, match="axis"):
        jnp.top_k(jnp.ones(3), 1, axis=1)
    with pytest.raises(TypeError, match="top_k takes numbers, got key"):
        jnp.top_k(pb.random.split(pb.random.key(0)), 1)
