"""Broadcasting: values against NumPy, and derivatives that sum over what was stretched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import pullback as pb
import pullback.numpy as jnp
from pullback.core.types import broadcast_shapes

shapes = mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3)
three_shapes = mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3)
BINARY = ["add", "subtract", "multiply", "maximum", "arctan2", "less", "logaddexp", "hypot"]


def sample(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(shapes, st.sampled_from(BINARY))
def test_binary_functions_broadcast_as_numpy_does(shapes: Any, name: str) -> None:
    x, y = (sample(s, i) for i, s in enumerate(shapes.input_shapes))
    got, expected = getattr(jnp, name)(x, y), getattr(np, name)(x, y)
    assert got.shape == expected.shape == shapes.result_shape
    assert np.allclose(got, expected, rtol=1e-5, atol=1e-6)


@given(three_shapes)
def test_where_broadcasts_all_three(shapes: Any) -> None:
    x, y, z = (sample(s, i) for i, s in enumerate(shapes.input_shapes))
    assert np.array_equal(jnp.where(x > 0, y, z), np.where(x > 0, y, z))


@given(three_shapes)
def test_broadcast_shapes(shapes: Any) -> None:
    assert broadcast_shapes(*shapes.input_shapes) == shapes.result_shape
    assert jnp.broadcast_shapes(*shapes.input_shapes) == shapes.result_shape
    arrays = jnp.broadcast_arrays(*(sample(s, 0) for s in shapes.input_shapes))
    assert [a.shape for a in arrays] == [shapes.result_shape] * 3


@given(shapes)
def test_gradient_sums_over_what_was_stretched(shapes: Any) -> None:
    with pb.enable_x64(True):
        x, y = (sample(s, i).astype(np.float64) for i, s in enumerate(shapes.input_shapes))
        ct = np.random.default_rng(2).normal(size=shapes.result_shape)
        g_x, g_y = pb.grad(lambda x, y: jnp.sum(x * y * ct), argnums=(0, 1))(x, y)
    for g, other, own in ((g_x, y, x), (g_y, x, y)):
        assert g.shape == own.shape
        full = np.broadcast_to(other, shapes.result_shape) * ct
        extra = full.ndim - own.ndim
        full = full.sum(axis=tuple(range(extra)))
        full = full.sum(axis=tuple(i for i, n in enumerate(own.shape) if n == 1), keepdims=True)
        assert np.allclose(g, full.reshape(own.shape), atol=1e-12)


@given(shapes)
def test_vmap_of_a_binary_function_is_a_loop(shapes: Any) -> None:
    x, y = (sample((3, *s), i) for i, s in enumerate(shapes.input_shapes))
    expected = np.stack([x[i] + y[i] for i in range(3)])
    assert np.array_equal(pb.vmap(jnp.add)(x, y), expected)
    assert np.array_equal(pb.vmap(jnp.add, in_axes=(0, None))(x, y[0]), np.stack([x[i] + y[0] for i in range(3)]))


@given(st.lists(st.integers(0, 4), max_size=3).map(tuple), st.lists(st.integers(0, 4), max_size=3).map(tuple))
def test_shapes_that_do_not_broadcast_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ValueError, match="broadcast"):
            broadcast_shapes(a, b)
        with pytest.raises(TypeError if len(a) == len(b) else ValueError, match="broadcast"):
            jnp.add(jnp.zeros(a), jnp.zeros(b))
    else:
        assert jnp.add(jnp.zeros(a), jnp.zeros(b)).shape == expected
