"""jit as a boundary: static arguments, trees, methods, and what is refused."""

from functools import partial

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp


def test_decorator_forms():
    @pb.jit
    def plain(x):
        """Doubles."""
        return 2 * x

    @pb.jit(static_argnums=1)
    def with_arguments(x, n):
        return x * n

    @partial(pb.jit, static_argnames=("flag",))
    def named(x, flag=False):
        return -x if flag else x

    assert plain(3.0) == 6.0 and plain.__name__ == "plain" and plain.__doc__ == "Doubles."
    assert with_arguments(3.0, 2) == 6.0
    assert named(3.0, flag=True) == -3.0 and named(3.0) == 3.0


def test_it_composes_both_ways_round():
    f = lambda x: jnp.sum(jnp.sin(x) ** 2)
    x = jnp.arange(3.0)
    expected = pb.grad(f)(x)
    assert np.allclose(pb.jit(pb.grad(f))(x), expected)
    assert np.allclose(pb.grad(pb.jit(f))(x), expected)
    assert np.allclose(pb.vmap(pb.jit(jnp.sin))(x), jnp.sin(x))
    y, pullback = pb.vjp(f, x)
    assert np.allclose(pb.jit(pullback)(1.0)[0], expected)


def test_methods():
    class Model:
        def __init__(self, w):
            self.w = w

        @partial(pb.jit, static_argnums=0)
        def apply(self, x):
            return self.w * x

    assert Model(3.0).apply(2.0) == 6.0


def test_arguments_are_trees_of_arrays():
    f = pb.jit(lambda tree: tree["a"] + tree["b"][0])
    assert f({"a": 1.0, "b": (np.float32(2.0),)}) == 3.0
    with pytest.raises(TypeError, match=r"\['name'\].*static_argnums|static"):
        f({"name": "text"})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pb.jit(lambda x: x, static_argnums=0)([1]), ValueError, "Non-hashable"),
        (lambda: pb.jit(lambda x: x, static_argnums=3), ValueError, "static_argnums"),
        (lambda: pb.jit(lambda x: x, static_argnames="y"), ValueError, "static_argnames"),
        (lambda: pb.jit(3), TypeError, "callable"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
