"""Collectives over vmapped axes: values, nesting, and derivatives as in the oracle."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def over(f, x, **axes):
    return np.asarray(pb.vmap(f, axis_name="i", **axes)(jnp.asarray(x)))


def test_reductions():
    assert np.allclose(over(lambda x: lax.psum(x, "i"), X), np.broadcast_to(X.sum(0), X.shape))
    assert np.allclose(over(lambda x: lax.pmean(x, "i"), X), np.broadcast_to(X.mean(0), X.shape))
    assert np.allclose(over(lambda x: lax.pmax(x, "i"), X), np.broadcast_to(X.max(0), X.shape))
    assert np.allclose(over(lambda x: lax.pmin(x, "i"), X), np.broadcast_to(X.min(0), X.shape))
    assert np.allclose(over(lambda x: x * lax.psum(1, "i"), X), 2 * X)
    assert np.allclose(over(lambda x: x - lax.axis_index("i"), X), X - np.arange(2)[:, None])
    assert pb.vmap(lambda x: lax.axis_size("i") * x, axis_name="i")(jnp.ones(4)).tolist() == [4.0] * 4


def test_exchanges():
    square = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    assert np.allclose(over(lambda x: lax.all_gather(x, "i"), X), np.broadcast_to(X, (2, 2, 3)))
    assert np.allclose(over(lambda x: lax.all_gather(x, "i", axis=1), X), np.broadcast_to(X.T, (2, 3, 2)))
    assert np.allclose(over(lambda x: lax.all_gather(x, "i", tiled=True), X), np.broadcast_to(X.reshape(-1), (2, 6)))
    assert np.allclose(over(lambda x: lax.pswapaxes(x, "i", 0), square), square.T)
    assert np.allclose(over(lambda x: lax.psum_scatter(x, "i"), square), square.sum(0))
    assert np.allclose(over(lambda x: lax.ppermute(x, "i", [(0, 1)]), X), np.stack([np.zeros(3), X[0]]))
    assert np.allclose(over(lambda x: lax.pshuffle(x, "i", [1, 0]), X), X[::-1])
    assert np.allclose(over(lambda x: lax.all_to_all(x, "i", 0, 0, tiled=True), square), square.T)


def test_ppermute_moves_values_as_they_are():
    x = np.array([np.inf, -0.0, np.nan, 2.0], np.float32)
    send = pb.vmap(lambda x: lax.ppermute(x, "i", [(0, 3), (1, 0), (2, 1)]), axis_name="i")
    for f in (send, pb.jit(send)):
        out = np.asarray(f(x))
        np.testing.assert_array_equal(out, np.array([-0.0, np.nan, 0, np.inf], np.float32))
        assert np.signbit(out).tolist() == [True, False, False, False]
    assert pb.vjp(send, jnp.asarray(x))[1](jnp.arange(4.0))[0].tolist() == [3, 0, 1, 0]
    many = 1 << 15  # a mask of all pairs would not fit
    ring = [(i, (i + 1) % many) for i in range(many)]
    out = pb.vmap(lambda x: lax.ppermute(x, "i", ring), axis_name="i")(jnp.arange(many))
    assert out[:3].tolist() == [many - 1, 0, 1]


def test_nested_axes():
    f = pb.vmap(pb.vmap(lambda x: lax.psum(x, ("i", "j")), axis_name="j"), axis_name="i")
    assert np.allclose(f(jnp.asarray(X)), X.sum())
    g = pb.vmap(pb.vmap(lambda x: lax.psum(x, "i"), axis_name="j"), axis_name="i")
    assert np.allclose(g(jnp.asarray(X)), np.broadcast_to(X.sum(0), X.shape))


def test_derivatives():
    x = jnp.array([1.0, 2.0, 3.0])
    assert np.allclose(pb.vmap(pb.grad(lambda x: lax.psum(x, "i") ** 2), axis_name="i")(x), 36.0)
    assert np.allclose(pb.grad(lambda x: pb.vmap(lambda x: lax.psum(x, "i") ** 2, axis_name="i")(x).sum())(x), 36.0)
    assert np.allclose(
        pb.grad(lambda x: pb.vmap(lambda x: lax.pmax(x, "i") ** 2, axis_name="i")(x).sum())(x), [0, 0, 18]
    )
    rows = pb.jacrev(lambda x: pb.vmap(lambda x: lax.all_gather(x, "i") * x, axis_name="i")(x))(x)
    assert np.allclose(rows, pb.jacfwd(lambda x: x[:, None] * x[None, :])(x))


def test_unbound_names():
    with pytest.raises(NameError, match="unbound axis name: 'i'"):
        lax.psum(1.0, "i")
    with pytest.raises(NameError, match="unbound axis name: 'j'"):
        pb.vmap(lambda x: lax.psum(x, "j"), axis_name="i")(jnp.ones(2))
    closed = pb.make_jaxpr(lambda x: lax.psum(x, "i"), axis_env=[("i", 4)])(1.0)
    assert [e.primitive.name for e in closed.eqns] == ["convert_element_type", "psum"]  # which is strongly typed


def test_sorts_of_values_over_mapped_axes():
    for to in ("varying", "invarying", "reduced"):
        np.testing.assert_array_equal(over(lambda x: lax.all_gather(x, "i", to=to), X)[0], X)
    for to in ("varying", "unreduced", "reduced"):
        np.testing.assert_array_equal(over(lambda x: lax.pcast({"a": x}, "i", to=to)["a"], X), X)
    for call in (lambda x: lax.all_gather(x, "i", to="unreduced"), lambda x: lax.pcast(x, "i", to="invarying")):
        with pytest.raises(ValueError, match="`to` must be one of"):
            over(call, X)
    with pytest.raises(NameError, match="unbound axis name"):
        lax.pcast(1.0, "i", to="varying")
