"""LinearMap: application, transposition, composition, matrices, and its life as a pytree."""

import gc
import weakref

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)


def f(x):
    return jnp.sin(jnp.asarray(A) @ x)


X = np.array([0.1, 0.2, 0.3], np.float32)
JACOBIAN = np.cos(A @ X)[:, None] * A


def test_push_pull_and_matrix():
    y, f_lin = pb.linearize(f, X)
    assert np.allclose(y, np.sin(A @ X))
    assert np.allclose(f_lin(jnp.ones(3)), JACOBIAN.sum(1), rtol=1e-5)
    (ct,) = f_lin.T(jnp.ones(2))
    assert np.allclose(ct, JACOBIAN.sum(0), rtol=1e-5)
    assert np.allclose(f_lin.to_matrix(), JACOBIAN, rtol=1e-5)
    assert np.allclose(f_lin.T.to_matrix(), JACOBIAN.T, rtol=1e-5)
    assert np.allclose(f_lin.T.T(jnp.ones(3)), f_lin(jnp.ones(3)))


def test_types():
    _, f_lin = pb.linearize(f, X)
    assert [t.shape for t in f_lin.in_type] == [(3,)] and f_lin.out_type.shape == (2,)
    assert [t.shape for t in f_lin.T.in_type] == [(2,)] and f_lin.T.out_type[0].shape == (3,)


def test_composition():
    y, f_lin = pb.linearize(f, X)
    z, g_lin = pb.linearize(lambda y: y[0] * y, y)
    composed = g_lin @ f_lin
    expected = np.asarray(g_lin.to_matrix()) @ JACOBIAN
    assert np.allclose(composed.to_matrix(), expected, rtol=1e-5)
    assert np.allclose(composed.T.to_matrix(), expected.T, rtol=1e-5)
    assert np.allclose((composed.T)(jnp.ones(2))[0], expected.sum(0), rtol=1e-5)
    assert (composed @ pb.linearize(lambda x: 2 * x, X)[1]).out_type.shape == (2,)


def test_scipy_operator():
    _, f_lin = pb.linearize(f, X)
    operator = f_lin.to_scipy()
    assert operator.shape == (2, 3)
    assert np.allclose(operator @ np.ones(3), JACOBIAN.sum(1), rtol=1e-5)
    assert np.allclose(operator.H @ np.ones(2), JACOBIAN.sum(0), rtol=1e-5)
    z = np.array([1 + 2j, 3j], np.complex64)
    operator = pb.linearize(lambda x: jnp.asarray(z) * x, jnp.asarray(z))[1].to_scipy()
    assert np.allclose(operator.H @ np.ones(2), np.conj(z))


def test_it_is_a_pytree_of_residuals():
    _, f_lin = pb.linearize(f, X)
    leaves, tree = pb.tree_util.tree_flatten(f_lin)
    assert leaves and all(isinstance(x, pb.Array) for x in leaves)
    again = pb.tree_util.tree_unflatten(tree, leaves)
    assert np.allclose(again(jnp.ones(3)), f_lin(jnp.ones(3)))
    assert np.allclose(again.T(jnp.ones(2))[0], f_lin.T(jnp.ones(2))[0])
    assert tree == pb.tree_util.tree_structure(pb.linearize(f, 2 * X)[1])
    doubled = pb.tree_util.tree_map(lambda r: r, f_lin)
    assert np.allclose(doubled(jnp.ones(3)), f_lin(jnp.ones(3)))


def test_it_passes_vmap_as_argument_and_result():
    xs = jnp.stack([jnp.asarray(X), 2 * jnp.asarray(X)])
    maps = pb.vmap(lambda x: pb.linearize(jnp.sin, x)[1])(xs)
    assert np.allclose(pb.vmap(lambda m, t: m(t))(maps, jnp.ones((2, 3))), np.cos(np.stack([X, 2 * X])))


def test_vjp_functions_are_maps_that_may_be_called_many_times():
    y, pullback = pb.vjp(f, X)
    first, second = pullback(jnp.ones(2)), pullback(jnp.ones(2))
    assert np.array_equal(first[0], second[0])
    assert np.allclose(pb.vmap(pullback)(jnp.eye(2))[0], JACOBIAN, rtol=1e-5)
    assert np.allclose(pb.jit(pullback)(jnp.ones(2))[0], JACOBIAN.sum(0), rtol=1e-5)
    y, pullback, aux = pb.vjp(lambda x: (x * 2, x + 1), X, has_aux=True)
    assert np.allclose(aux, X + 1)


def test_several_arguments_and_integer_ones():
    y, f_lin = pb.linearize(lambda x, n, d: {"out": x * n * d["k"]}, 2.0, 3, {"k": 5.0})
    zero = np.zeros((), pb.float0)
    assert np.allclose(f_lin(1.0, zero, {"k": 0.0})["out"], 15.0)
    ct_x, ct_n, ct_d = f_lin.T({"out": jnp.ones(())})
    assert np.allclose(ct_x, 15.0) and ct_n.dtype == pb.float0 and np.allclose(ct_d["k"], 6.0)


def test_linear_transpose():
    t = pb.linear_transpose(lambda x, y: (2 * x, x - y), 1.0, 1.0)
    assert np.allclose(t((1.0, 10.0)), (12.0, -10.0))
    t = pb.linear_transpose(lambda x: x[::-1] @ jnp.asarray(A).T, pb.ShapeDtypeStruct((3,), jnp.float32))
    assert np.allclose(t(jnp.ones(2))[0], A.sum(0)[::-1])
    for wrong in (lambda x: x * x, jnp.sin):
        with pytest.raises(TypeError, match="linear"):
            pb.linear_transpose(wrong, 1.0)(1.0)


def test_residuals_nobody_needs_are_freed_while_the_function_runs():
    freed = []

    def g(x):
        unused = jnp.exp(x)
        weakref.finalize(unused, freed.append, True)
        del unused
        gc.collect()
        assert freed, "a value that no output depends on is still alive"
        return 2 * x

    pb.grad(lambda x: g(x).sum())(jnp.ones(3))


def test_the_tape_is_freed_after_grad():
    alive = []

    def g(x):
        y = jnp.exp(x)
        alive.append(weakref.ref(y))
        return (y * y).sum()

    pb.grad(g)(jnp.ones(3))
    assert alive[0]() is None


# ---- a vector space ---------------------------------------------------------------------------------------------


def test_sums_and_multiples():
    _, f = pb.linearize(lambda x, y: (jnp.sin(x) * y, x.sum()), jnp.arange(3.0), jnp.ones(3))
    _, g = pb.linearize(lambda x, y: (x * y, y.sum()), jnp.arange(3.0), jnp.ones(3))
    F, G = f.to_matrix(), g.to_matrix()
    for m, expected in (
        (f + g, F + G), (f - g, F - G), (-f, -F), (2 * f, 2 * F), (f * 3 - g / 4, 3 * F - G / 4), (f + g + f, 2 * F + G)
    ):  # fmt: skip
        np.testing.assert_allclose(m.to_matrix(), expected, rtol=1e-6)
        np.testing.assert_allclose(m.T.to_matrix(), expected.T, rtol=1e-6)
        assert m.in_type == f.in_type and m.out_type == f.out_type
        assert isinstance(m, pb.LinearMap)


def test_the_adjoint_of_complex_and_of_real_maps():
    a = jnp.array([[1 + 2j, 3.0], [0.5j, 1.0]])
    _, f = pb.linearize(lambda x: a @ x, jnp.ones(2, jnp.complex64))
    np.testing.assert_allclose(f.H.to_matrix(), jnp.conj(a).T, rtol=1e-6)
    np.testing.assert_allclose(f.H.T.to_matrix(), jnp.conj(a), rtol=1e-6)
    np.testing.assert_allclose((f.H @ f).H.to_matrix(), jnp.conj(a).T @ a, rtol=1e-5)
    np.testing.assert_allclose((2j * f).H.to_matrix(), -2j * jnp.conj(a).T, rtol=1e-6)
    _, g = pb.linearize(jnp.sin, 1.0)
    assert type(g.H) is type(g)


def test_what_is_made_of_maps_passes_through_transformations():
    x = jnp.arange(3.0)
    made = pb.jit(lambda x: 2 * pb.linearize(jnp.sin, x)[1] + pb.linearize(jnp.cos, x)[1])(x)
    np.testing.assert_allclose(made(jnp.ones(3)), 2 * jnp.cos(x) - jnp.sin(x), rtol=1e-6)
    slope = pb.grad(lambda s: (s * pb.linearize(jnp.sin, 1.0)[1])(1.0))(3.0)
    np.testing.assert_allclose(slope, jnp.cos(1.0), rtol=1e-6)


def test_maps_of_different_spaces_are_not_added_nor_multiplied_by_what_is_no_scalar():
    _, f = pb.linearize(jnp.sin, jnp.ones(3))
    _, g = pb.linearize(jnp.sum, jnp.ones(3))
    with pytest.raises(TypeError, match="different spaces"):
        f + g
    with pytest.raises(TypeError, match="multiplied by scalars"):
        f * jnp.ones(3)
    with pytest.raises(TypeError, match="multiplied by scalars"):
        1j * f
    with pytest.raises(TypeError):
        f + 1


def test_integers_have_no_part_in_it():
    _, f = pb.linearize(lambda x, n: (x * n, n), 2.0, 3)
    (t, zero) = (f + f)(1.0, np.zeros((), pb.dtypes.float0))
    assert float(t) == 6.0 and zero.dtype == pb.dtypes.float0
    assert (2 * f).T((1.0, np.zeros((), pb.dtypes.float0)))[1].dtype == pb.dtypes.float0
    assert len(f.program().in_avals) == 1


def test_printing_shows_the_linear_program():
    _, f = pb.linearize(lambda x: jnp.sin(x) * 2, jnp.ones(3))
    text = repr(f)
    assert "mul" in text and "lambda" in text and "f32[3]" in text
    assert "mul" in repr(f.T) and "mul" in repr(f + f)
