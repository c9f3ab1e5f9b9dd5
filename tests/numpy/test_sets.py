"""`numpy/sets.py`: against NumPy, fixed sizes under vmap, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.errors import ConcretizationTypeError

NAN = np.nan
A = np.array([3, 1, 2, 1, 5, 3], np.int32)
B = np.array([2, 3, 7, 7], np.int32)
EMPTY = np.zeros(0, np.int32)


def same(ours: Any, theirs: Any) -> None:
    for a, b in zip(
        ours if isinstance(ours, tuple) else [ours], theirs if isinstance(theirs, tuple) else [theirs], strict=True
    ):
        np.testing.assert_array_equal(np.asarray(a), b)


@pytest.mark.parametrize(
    "x", [A, EMPTY, A.reshape(2, 3), np.array([NAN, 1.0, NAN], np.float32), A > 2, A.astype(np.complex64), A[0]]
)
def test_unique_gives_numpys_values(x: Any) -> None:
    same(jnp.unique(jnp.array(x), True, True, True), np.unique(x, True, True, True))
    same(jnp.unique(jnp.array(x), equal_nan=False), np.unique(x, equal_nan=False))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unique_subarrays(axis: int) -> None:
    x = np.array([[[1, 2], [1, 2]], [[0, 5], [0, 5]], [[1, 2], [1, 2]]], np.float32)
    same(jnp.unique(jnp.array(x), True, True, True, axis), np.unique(x, True, True, True, axis))


def test_unique_of_fixed_size_cuts_and_pads() -> None:
    x = jnp.array([3, 1, 2, 1])
    same(jnp.unique(x, True, True, True, size=5), ([1, 2, 3, 1, 1], [1, 2, 0, 1, 1], [2, 0, 1, 0], [2, 1, 1, 0, 0]))
    same(jnp.unique(x, return_counts=True, size=2), ([1, 2], [2, 1]))
    same(jnp.unique(x, size=5, fill_value=-1), [1, 2, 3, -1, -1])
    same(jnp.unique(jnp.array(EMPTY), size=2, fill_value=7), [7, 7])
    with pytest.raises(ValueError, match="fill_value"):
        jnp.unique(jnp.array(EMPTY), size=2)
    rows = jnp.array([[1, 2, 2], [3, 4, 3]])
    assert pb.vmap(lambda r: jnp.unique(r, size=3))(rows).tolist() == [[1, 2, 1], [3, 4, 3]]
    with pytest.raises(ConcretizationTypeError, match="size"):
        pb.vmap(jnp.unique)(rows)


def test_the_standards_functions_keep_nans_apart() -> None:
    x = jnp.array([NAN, 1.0, NAN])
    assert jnp.unique_counts(x).counts.tolist() == [1, 1, 1]
    assert jnp.unique_values(x).shape == (3,)
    assert jnp.unique_all(jnp.array(A)).indices.tolist() == [1, 2, 0, 4]
    assert jnp.unique_inverse(jnp.array(A.reshape(2, 3))).inverse_indices.shape == (2, 3)


@pytest.mark.parametrize("name", ["union1d", "intersect1d", "setdiff1d", "setxor1d"])
@pytest.mark.parametrize("a, b", [(A, B), (B, A), (A, EMPTY), (EMPTY, B), (EMPTY, EMPTY), (A, A), (A, A + 100)])
def test_set_operations_give_numpys_values(name: str, a: Any, b: Any) -> None:
    expected = getattr(np, name)(a, b)
    same(getattr(jnp, name)(jnp.array(a), jnp.array(b)), expected)
    if a.size and b.size:
        padded = getattr(jnp, name)(jnp.array(a), jnp.array(b), size=8, fill_value=-9)
        same(padded, np.concatenate([expected, np.full(8 - len(expected), -9)]))
        traced = pb.vmap(lambda x: getattr(jnp, name)(x, jnp.array(b), size=8, fill_value=-9))(jnp.array(a)[None])
        same(traced[0], np.asarray(padded))


def test_default_padding_is_the_smallest_element() -> None:
    assert jnp.union1d(jnp.array([2, 1]), jnp.array([2, 3]), size=5).tolist() == [1, 2, 3, 1, 1]
    assert jnp.intersect1d(jnp.array([1, 2, 2]), jnp.array([2, 3]), size=3).tolist() == [2, 2, 2]
    assert jnp.setxor1d(jnp.array([3, 1, 2, 2]), jnp.array([2, 5]), size=5).tolist() == [1, 3, 5, 1, 1]
    assert jnp.setdiff1d(jnp.array([3, 1, 2, 2]), jnp.array([2, 5]), size=4).tolist() == [1, 3, 0, 0]


def test_where_common_elements_were() -> None:
    same(jnp.intersect1d(jnp.array(A), jnp.array(B), return_indices=True), np.intersect1d(A, B, return_indices=True))
    unique = np.array([5, 2, 1]), np.array([2, 5, 3])
    same(
        jnp.intersect1d(*map(jnp.array, unique), assume_unique=True, return_indices=True),
        np.intersect1d(*unique, assume_unique=True, return_indices=True),
    )
    padded = jnp.intersect1d(jnp.array([1, 2, 2, 3]), jnp.array([2, 3]), return_indices=True, size=4)
    same(padded, ([2, 3, 2, 2], [1, 3, 4, 4], [0, 1, 2, 2]))


@pytest.mark.parametrize("method", ["auto", "compare_all", "binary_search", "sort"])
@pytest.mark.parametrize("n", [0, 2, 40])
def test_isin(method: str, n: int) -> None:
    x, tests = np.arange(12).reshape(3, 4), np.arange(0, 2 * n, 2)
    for invert in (False, True):
        same(jnp.isin(jnp.array(x), jnp.array(tests), invert=invert, method=method), np.isin(x, tests, invert=invert))
    assert jnp.isin(jnp.array([1.0, NAN]), jnp.array([NAN, 1.0])).tolist() == [True, False]
    with pytest.raises(ValueError, match="method"):
        jnp.isin(1, jnp.array(tests), method="guess")
