"""Patterns as values: what they are made of, what they give, how they look."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import pullback.numpy as jnp
from pullback.derivatives import SparsityPattern
from pullback.derivatives.sparsity_patterns.index_sets import IndexSets


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    m, n = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    bits = draw(st.lists(st.booleans(), min_size=m * n, max_size=m * n))
    return np.array(bits, bool).reshape(m, n)


@given(matrices())
def test_every_form_is_the_same_pattern(m: np.ndarray) -> None:
    rows, columns = np.nonzero(m)
    forms = [
        m,
        m.astype(float),
        scipy.sparse.csr_array(m),
        scipy.sparse.coo_matrix(m),
        scipy.sparse.csc_array(m.astype(int)),
    ]
    patterns = [SparsityPattern(f) for f in forms] + [SparsityPattern((rows[::-1], columns[::-1]), m.shape)]
    assert all(p == patterns[0] and hash(p) == hash(patterns[0]) for p in patterns)
    p = patterns[0]
    np.testing.assert_array_equal(p.to_dense(), m)
    np.testing.assert_array_equal(p.T.to_dense(), m.T)
    assert (
        p.shape == m.shape
        and p.nnz == m.sum()
        and p.rows.tolist() == rows.tolist()
        and p.columns.tolist() == columns.tolist()
    )
    assert pickle.loads(pickle.dumps(p)) == p and SparsityPattern(p) == p
    assert p.is_symmetric() == (m.shape[0] == m.shape[1] and bool((m == m.T).all()))
    assert repr(p).startswith(f"SparsityPattern({m.shape[0]} × {m.shape[1]}, {m.sum()} place")


@given(matrices())
def test_a_picture_has_a_dot_for_each_place(m: np.ndarray) -> None:
    picture = SparsityPattern(m).picture()
    dots = sum(bin(ord(c) - 0x2800).count("1") for c in picture.replace("\n", ""))
    assert dots == m.sum()


def test_large_pictures_are_scaled() -> None:
    p = SparsityPattern(scipy.sparse.eye_array(100_000, format="csr"))
    lines = p.picture(lines=4).split("\n")
    assert len(lines) == 4 and lines[0].startswith("⠑⢄") and "<svg" in p._repr_html_()


def test_duplicates_and_stored_zeros() -> None:
    stored = scipy.sparse.csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    assert SparsityPattern(stored).nnz == 2
    assert SparsityPattern(([0, 0], [1, 1]), (1, 2)).nnz == 1
    assert SparsityPattern(jnp.eye(2)).nnz == 2


def test_union_and_containment() -> None:
    a, b = SparsityPattern(np.eye(2)), SparsityPattern(np.eye(2)[::-1])
    assert (a | b).nnz == 4 and a in (a | b) and (a | b) not in a
    with pytest.raises(ValueError, match="united"):
        a | SparsityPattern(np.eye(3))


def test_errors() -> None:
    with pytest.raises(TypeError, match="two axes"):
        SparsityPattern(np.ones(3))
    with pytest.raises(TypeError, match="dense array"):
        SparsityPattern("eye")
    with pytest.raises(ValueError, match="0 to 1"):
        SparsityPattern(([0, 2], [0, 0]), (2, 2))
    with pytest.raises(ValueError, match="as many rows"):
        SparsityPattern(([0], [0, 0]), (2, 2))
    with pytest.raises(TypeError, match="integers"):
        SparsityPattern(([0.5], [0]), (2, 2))
    with pytest.raises(ValueError, match=r"shape \(2, 2\).*\(3, 3\)"):
        SparsityPattern(np.eye(2), (3, 3))


@given(matrices(), st.data())
def test_index_sets(m: np.ndarray, data: st.DataObject) -> None:
    sets = IndexSets(scipy.sparse.csr_array(m))
    numbers = np.array(data.draw(st.lists(st.integers(-1, max(len(m) - 1, -1)), max_size=12)), np.intp)
    taken = np.where(
        (numbers >= 0)[:, None], m[numbers] if len(m) else np.zeros((len(numbers), m.shape[1]), bool), False
    )
    np.testing.assert_array_equal(sets.take(numbers).matrix.toarray(), taken)
    groups = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=len(m), max_size=len(m))), np.intp)
    expected = np.array([m[groups == g].any(0) for g in range(4)]).reshape(4, m.shape[1])
    np.testing.assert_array_equal(sets.of_groups(groups, 4).matrix.toarray(), expected)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(m), max_size=len(m))), bool)
    np.testing.assert_array_equal(sets.where(kept).matrix.toarray(), m & kept[:, None])
    np.testing.assert_array_equal((sets | sets.take(np.arange(len(m))[::-1])).matrix.toarray(), m | m[::-1])
