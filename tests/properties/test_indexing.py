"""Indexing against NumPy, for random indices of every kind, and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices

import pullback as pb
import pullback.numpy as jnp


@st.composite
def arrays_and_basic_indices(draw: Any) -> tuple[Any, Any]:
    shape = draw(array_shapes(min_dims=1, max_dims=3, max_side=4))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return x, draw(basic_indices(shape, allow_newaxis=True))


@st.composite
def arrays_and_integer_indices(draw: Any) -> tuple[Any, Any]:
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    count = draw(st.integers(1, len(shape)))
    index = draw(integer_array_indices(shape[:count]))
    rest = draw(st.sampled_from([(), (Ellipsis,), (slice(None, None, -1),)])) if count < len(shape) else ()
    return x, (*index, *rest)


def check(x: Any, index: Any) -> None:
    expected = x[index]
    got = jnp.asarray(x)[index]
    assert got.shape == expected.shape and got.dtype == expected.dtype
    assert np.array_equal(got, expected), (x.shape, index)


def check_derivative(x: Any, index: Any) -> None:
    """The transpose of x[index] adds each cotangent where its element came from."""
    ct = np.random.default_rng(0).normal(size=x[index].shape).astype(np.float32)
    (got,) = pb.vjp(lambda x: x[index], jnp.asarray(x))[1](jnp.asarray(ct))
    expected = np.zeros_like(x)
    np.add.at(expected, index, ct)
    assert np.allclose(got, expected, atol=1e-5), (x.shape, index)


def check_update(x: Any, index: Any) -> None:
    expected = x.copy()
    np.add.at(expected, index, np.float32(1))
    assert np.array_equal(jnp.asarray(x).at[index].add(1.0), expected), (x.shape, index)
    expected = x.copy()
    expected[index] = 7
    assert np.array_equal(jnp.asarray(x).at[index].set(7.0), expected), (x.shape, index)


def check_vmap(x: Any, index: Any) -> None:
    batch = np.stack([x, x + 100, -x], axis=-1)
    got = pb.vmap(lambda x: x[index], in_axes=-1)(jnp.asarray(batch))
    assert np.array_equal(got, np.stack([batch[..., i][index] for i in range(3)])), (x.shape, index)


@given(arrays_and_basic_indices())
def test_basic_indices(case: Any) -> None:
    for law in (check, check_derivative, check_update, check_vmap):
        law(*case)


@given(arrays_and_integer_indices())
def test_integer_arrays(case: Any) -> None:
    for law in (check, check_derivative, check_update, check_vmap):
        law(*case)


@given(st.integers(0, 1000), array_shapes(min_dims=1, max_dims=3, max_side=4))
def test_boolean_masks(seed: int, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    rng = np.random.default_rng(seed)
    for mask in (rng.uniform(size=shape) < 0.5, rng.uniform(size=shape[:1]) < 0.5):
        for law in (check, check_derivative, check_update):
            law(x, mask)
