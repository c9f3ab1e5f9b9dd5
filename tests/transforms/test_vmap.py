"""vmap: axes over trees, unmapped arguments, nesting, and disagreements named."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

X = jnp.arange(6.0).reshape(2, 3)
Y = jnp.arange(3.0)


def test_axes():
    assert np.allclose(pb.vmap(jnp.dot, (0, None))(X, Y), np.asarray(X) @ np.asarray(Y))
    assert np.allclose(pb.vmap(jnp.sum, in_axes=1)(X), np.asarray(X).sum(0))
    assert np.allclose(pb.vmap(jnp.sum, in_axes=-1)(X), np.asarray(X).sum(0))
    assert pb.vmap(lambda x: jnp.outer(x, x), out_axes=2)(X).shape == (3, 3, 2)
    assert pb.vmap(lambda x: jnp.outer(x, x), out_axes=-1)(X).shape == (3, 3, 2)
    assert np.allclose(pb.vmap(lambda x: 2.0)(X), [2.0, 2.0])
    assert pb.vmap(lambda x: (x.sum(), 5.0), out_axes=(0, None))(X)[1] == 5.0
    assert pb.vmap(lambda: 1.0, axis_size=3)().shape == (3,)


def test_trees_and_keywords():
    f = lambda d, y=1.0: d["a"] * d["b"][0] + y
    out = pb.vmap(f, ({"a": 0, "b": (None,)},))({"a": X, "b": (2.0,)})
    assert np.allclose(out, 2 * np.asarray(X) + 1)
    assert np.allclose(pb.vmap(f, ({"a": 0, "b": None},))({"a": X, "b": (2.0,)}, y=jnp.ones(2)), 2 * np.asarray(X) + 1)
    out = pb.vmap(lambda x: {"s": x.sum(), "x": x}, out_axes={"s": 0, "x": 1})(X)
    assert out["x"].shape == (3, 2)


def test_nesting():
    outer = pb.vmap(pb.vmap(lambda x, y: x * y, (None, 0)), (0, None))
    assert np.allclose(outer(Y, Y), np.outer(Y, Y))
    assert np.allclose(pb.vmap(pb.grad(lambda x: (x**2).sum()))(X), 2 * np.asarray(X))


def test_python_values_are_abstract_inside():
    with pytest.raises(pb.errors.TracerBoolConversionError):
        pb.vmap(lambda x: x if x > 0 else -x)(Y)
    with pytest.raises(pb.errors.TracerArrayConversionError):
        pb.vmap(lambda x: np.asarray(x))(Y)
    with pytest.raises(pb.errors.ConcretizationTypeError):
        pb.vmap(lambda x: float(x))(Y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pb.vmap(jnp.add)(X, Y),
            r"args\[0\] of shape \(2, 3\) has size 2.*\n.*args\[1\] of shape \(3,\) has size 3",
        ),
        (lambda: pb.vmap(lambda d: d)({"k": X, "l": Y}), r"args\[0\]\['k'\]"),
        (lambda: pb.vmap(jnp.sum, in_axes=2)(X), "out of bounds for its shape"),
        (lambda: pb.vmap(jnp.sum)(1.0), "rank is 0"),
        (lambda: pb.vmap(jnp.add, in_axes=(0,))(X, X), "one entry for each positional argument"),
        (lambda: pb.vmap(lambda x: x, in_axes=({"a": 0},))((X,)), "tree prefix"),
        (lambda: pb.vmap(lambda x: x, in_axes=None)(X), "at least one mapped argument"),
        (lambda: pb.vmap(lambda x: x, axis_size=5)(X), "axis_size is 5"),
        (lambda: pb.vmap(lambda x: x, out_axes=None)(X), "out_axes is None"),
        (lambda: pb.vmap(lambda x: x, out_axes=(0, 1))(X), "out_axes"),
        (lambda: pb.vmap(lambda x: x, out_axes=5)(X), "out of bounds"),
    ],
)
def test_disagreements_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_not_mapped_may_be_anything():
    """A function, a text, a flag: it arrives as it is, and Python's numbers stay Python's."""
    x = jnp.arange(3.0)
    assert np.allclose(pb.vmap(lambda f, x: f(x), (None, 0))(jnp.sin, x), jnp.sin(x))
    assert np.allclose(pb.vmap(pb.jvp, (None, 0, 0))(jnp.sin, (x,), (x,))[1], jnp.cos(x) * x)
    assert np.allclose(
        pb.vmap(lambda d, x: d["f"](x) * d["y"], ({"f": None, "y": 0}, 0))({"f": jnp.cos, "y": x}, x), jnp.cos(x) * x
    )
    assert np.allclose(pb.vmap(pb.vmap(lambda f, x: f(x), (None, 0)), (None, 0))(jnp.sin, X), jnp.sin(X))
    assert np.allclose(
        pb.jit(pb.vmap(lambda s, x: -x if s == "minus" else x, (None, 0)), static_argnums=0)("minus", x), -x
    )
    kinds = []
    pb.vmap(lambda a, b, x: kinds.extend((type(a), type(b))), (None, None, 0), axis_size=3)(3, True, x)
    assert kinds == [int, bool]
    for call in (lambda: pb.vmap(lambda f, x: f(x))(jnp.sin, x), lambda: pb.vmap(lambda x, f: f(x))(x, f=jnp.sin)):
        with pytest.raises(TypeError, match=r"vmap: leaf at path .* of type 'function'"):
            call()


def test_wrong_kinds_of_axes():
    for axes in ("0", 1.5, {"a": "b"}):
        with pytest.raises(TypeError, match="in_axes"):
            pb.vmap(jnp.sum, in_axes=axes)
    with pytest.raises(TypeError, match="must return arrays"):
        pb.vmap(lambda x: "text")(X)
    with pytest.raises(TypeError, match=r"\['name'\]"):
        pb.vmap(lambda d: d)({"name": "text"})
