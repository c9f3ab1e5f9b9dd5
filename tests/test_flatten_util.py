"""ravel_pytree: a tree as one vector, differentiably, and back."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.flatten_util import ravel_pytree

TREE = {"w": jnp.arange(6.0).reshape(2, 3), "b": (jnp.ones(2), 5.0), "none": None}


def test_round_trip():
    flat, unravel = ravel_pytree(TREE)
    assert flat.shape == (9,)
    again = unravel(flat)
    assert np.array_equal(again["w"], TREE["w"]) and again["none"] is None and again["b"][1] == 5.0
    flat, unravel = ravel_pytree({"n": jnp.arange(2), "x": 0.5})
    assert flat.dtype == jnp.float32 and unravel(flat)["n"].dtype == jnp.int32
    assert ravel_pytree(())[0].shape == (0,)


def test_derivatives_and_vmap():
    flat, unravel = ravel_pytree(TREE)
    g = pb.grad(lambda v: (unravel(v)["w"] ** 2).sum())(flat)
    assert np.allclose(g, [0, 0, 0, 0, 2, 4, 6, 8, 10])
    rows = pb.vmap(lambda v: unravel(v)["w"].sum())(jnp.stack([flat, 2 * flat]))
    assert np.allclose(rows, [15, 30])


def test_refusals():
    flat, unravel = ravel_pytree(TREE)
    with pytest.raises(ValueError, match=r"\(9,\).*\(3,\)"):
        unravel(jnp.ones(3))
    with pytest.raises(TypeError, match="int32"):
        unravel(jnp.arange(9))
