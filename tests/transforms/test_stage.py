"""Staging: printed programs, constants, shapes without values, evaluation, and the check."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.jaxpr import Jaxpr, JaxprEqn, Var, check_jaxpr, eval_jaxpr, jaxpr_as_fun
from pullback.core.types import ShapedArray

X = jnp.arange(3.0)


def test_printed_form():
    assert str(pb.make_jaxpr(lambda x, y: jnp.sin(x * y))(X, 2.0)) == (
        "{ lambda ; a:f32[3] b:f32[]. let\n"
        "    c:f32[3] = convert_element_type[\n      new_dtype=float32\n      weak_type=False\n    ] b\n"
        "    d:f32[3] = mul a c\n    e:f32[3] = sin d\n  in (e,) }"
    ).replace("c:f32[3] = convert", "c:f32[] = convert")
    assert str(pb.make_jaxpr(lambda x: x)(1.0)) == "{ lambda ; a:f32[]. let in (a,) }"
    assert str(pb.make_jaxpr(jnp.sin)(X)) == "{ lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }"


def test_everything_is_staged_constants_included():
    closed = pb.make_jaxpr(lambda x: x + jnp.sin(jnp.ones(3)))(X)
    assert "sin" in [e.primitive.name for e in closed.eqns]
    with pb.ensure_compile_time_eval():
        pass
    closed = pb.make_jaxpr(lambda x: x + X)(X)
    assert len(closed.consts) == 1 and closed.consts[0] is X


def test_broadcasts_are_explicit():
    closed = pb.make_jaxpr(lambda x, y: x + y)(jnp.ones((2, 3)), X)
    assert [e.primitive.name for e in closed.eqns] == ["broadcast_in_dim", "add"]


def test_evaluation_equals_eager_under_transformations():
    f = lambda x: jnp.sum(jnp.tanh(x) ** 2 * X)
    g = lambda x: jaxpr_as_fun(pb.make_jaxpr(f)(x))(x)[0]
    for transform in (lambda f: f, pb.grad, pb.hessian, lambda f: pb.vmap(f) and pb.jacrev(f)):
        assert np.allclose(transform(f)(X), transform(g)(X), atol=1e-6)
    h = jaxpr_as_fun(pb.make_jaxpr(pb.grad(f))(X))
    assert np.allclose(h(X)[0], pb.grad(f)(X))


def test_eval_shape_of_what_is_known_by_its_type():
    t = pb.ShapeDtypeStruct((2,), "int8")
    assert pb.eval_shape(lambda: t) == t
    found = pb.eval_shape(lambda x: {"a": t, "b": (x, x * jnp.ones(3))}, pb.ShapeDtypeStruct((), "float32"))
    assert found["a"] == t and found["b"][1].shape == (3,)
    assert pb.eval_shape(lambda: pb.eval_shape(lambda: t)) == t


def test_eval_shape_computes_nothing():
    out = pb.eval_shape(lambda x: {"y": x @ x.T, "n": x.sum()}, pb.ShapeDtypeStruct((10**5, 10**5), jnp.float32))
    assert out["y"].shape == (10**5, 10**5) and out["n"].shape == ()
    _, shapes = pb.make_jaxpr(lambda x: (x, x[0]), return_shape=True)(X)
    assert [s.shape for s in shapes] == [(3,), ()]


def test_static_arguments():
    closed = pb.make_jaxpr(lambda n, x: x * n if n > 1 else x, static_argnums=0)(2, X)
    assert len(closed.in_avals) == 1 and closed.eqns


def test_named_scopes_and_sources_are_recorded():
    def f(x):
        with pb.named_scope("layer"):
            return pb.named_call(lambda v: jnp.sin(v), name="inner")(x)

    (eqn,) = pb.make_jaxpr(f)(X).eqns
    assert eqn.name_stack == ("layer", "inner") and "test_stage.py" in eqn.source


def test_unused_results_are_dropped_in_print():
    closed = pb.make_jaxpr(lambda x: jnp.linalg.eigh(x)[0])(jnp.eye(2))
    assert any("_:" in str(e) for e in closed.eqns)


def test_the_check_finds_wrong_programs():
    a, b = Var(ShapedArray((3,), np.dtype("float32"))), Var(ShapedArray((2,), np.dtype("float32")))
    from pullback.lax.elementwise import sin_p

    with pytest.raises(pb.errors.JaxprTypeError, match="type rule"):
        check_jaxpr(Jaxpr([], [a], [b], [JaxprEqn(sin_p, [a], [b], {})]))
    with pytest.raises(pb.errors.JaxprTypeError, match="before it is defined"):
        check_jaxpr(Jaxpr([], [], [a], []))
    with pytest.raises(TypeError, match="takes 1 arguments"):
        eval_jaxpr(Jaxpr([], [a], [a], []), [])


def test_functions_must_return_arrays():
    with pytest.raises(TypeError, match="str"):
        pb.make_jaxpr(lambda x: "text")(X)
    with pytest.raises(TypeError, match="not a valid array type"):
        pb.eval_shape(lambda x: x, "text")
