"""Custom rules in both modes, to second order, under vmap, with static arguments, closures and wrong outputs."""

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.custom_derivatives import CustomVJPPrimal, SymbolicZero


def tripled_sine():
    @pb.custom_jvp
    def f(x):
        return jnp.sin(x)

    @f.defjvp
    def f_jvp(primals, tangents):
        (x,), (t,) = primals, tangents
        return f(x), 3 * jnp.cos(x) * t

    return f


def test_custom_jvp_serves_forward_and_reverse_mode_to_second_order():
    f = tripled_sine()
    x = 0.7
    assert np.allclose(f(x), np.sin(x))
    assert np.allclose(pb.jvp(f, (x,), (2.0,))[1], 6 * np.cos(x))
    assert np.allclose(pb.grad(f)(x), 3 * np.cos(x))
    assert np.allclose(pb.grad(pb.grad(f))(x), -3 * np.sin(x))
    assert np.allclose(pb.jvp(pb.grad(f), (x,), (1.0,))[1], -3 * np.sin(x))
    assert np.allclose(pb.grad(lambda x: pb.jvp(f, (x,), (1.0,))[1])(x), -3 * np.sin(x))


def test_custom_jvp_under_vmap_both_ways_round():
    f = tripled_sine()
    xs = jnp.arange(3.0)
    assert np.allclose(pb.vmap(pb.grad(f))(xs), 3 * np.cos(np.arange(3.0)))
    assert np.allclose(pb.grad(lambda xs: pb.vmap(f)(xs).sum())(xs), 3 * np.cos(np.arange(3.0)))
    assert np.allclose(pb.vmap(lambda x, t: pb.jvp(f, (x,), (t,))[1], (0, None))(xs, 2.0), 6 * np.cos(np.arange(3.0)))


def test_custom_jvp_is_staged_as_a_call_and_keeps_its_rule():
    f = tripled_sine()
    closed = pb.make_jaxpr(f)(1.0)
    assert [e.primitive.name for e in closed.eqns] == ["custom_jvp_call"]
    from pullback.core.jaxpr import jaxpr_as_fun

    g = jaxpr_as_fun(closed)
    assert np.allclose(pb.grad(lambda x: g(x)[0])(0.7), 3 * np.cos(0.7))


def test_defjvps_sums_the_contributions():
    @pb.custom_jvp
    def f(x, y):
        return x * y

    f.defjvps(lambda t, out, x, y: 10 * t * y, None)
    assert np.allclose(pb.grad(f, (0, 1))(2.0, 3.0), (30.0, 0.0))


def test_nondiff_argnums_and_keyword_arguments():
    calls = []

    def make():
        from functools import partial

        @partial(pb.custom_jvp, nondiff_argnums=(0,))
        def apply(fun, x, scale=1.0):
            return fun(x) * scale

        @apply.defjvp
        def apply_jvp(fun, primals, tangents):
            calls.append(fun)
            (x, scale), (t, _) = primals, tangents
            return apply(fun, x, scale), 7 * t

        return apply

    apply = make()
    assert np.allclose(pb.grad(lambda x: apply(jnp.sin, x))(1.0), 7.0)
    assert np.allclose(pb.grad(lambda x: apply(jnp.sin, x, scale=2.0))(1.0), 7.0)
    assert calls[0] is jnp.sin


def test_custom_jvp_symbolic_zeros():
    seen = []

    @pb.custom_jvp
    def f(x, y):
        return x * y

    def rule(primals, tangents):
        seen.append(tuple(type(t) is SymbolicZero for t in tangents))
        x, y = primals
        t = tangents[0]
        return x * y, (0.0 * x if type(t) is SymbolicZero else t) * y

    f.defjvp(rule, symbolic_zeros=True)
    assert np.allclose(pb.grad(f)(2.0, 3.0), 3.0)
    assert seen[-1] == (False, True)


def test_custom_jvp_over_trees():
    @pb.custom_jvp
    def f(d):
        return {"s": d["a"] * d["b"][0]}

    @f.defjvp
    def rule(primals, tangents):
        (d,), (t,) = primals, tangents
        return f(d), {"s": 2 * (t["a"] * d["b"][0] + d["a"] * t["b"][0])}

    g = pb.grad(lambda d: f(d)["s"])({"a": 2.0, "b": (3.0,)})
    assert np.allclose(g["a"], 6.0) and np.allclose(g["b"][0], 4.0)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda p, t: p[0], "pair"),
        (lambda p, t: (p[0], (t[0],)), "structures"),
        (lambda p, t: (p[0], jnp.ones(3)), "shapes and dtypes"),
        (lambda p, t: (p[0], t[0] * t[0]), "linear"),
    ],
)
def test_wrong_custom_jvp_rules_are_named(rule, message):
    @pb.custom_jvp
    def f(x):
        return x

    f.defjvp(rule)
    with pytest.raises(TypeError, match=message):
        pb.grad(f)(1.0)


def test_missing_rules_are_named():
    with pytest.raises(AttributeError, match="defjvp"):
        pb.custom_jvp(lambda x: x)(1.0)
    with pytest.raises(AttributeError, match="defvjp"):
        pb.custom_vjp(lambda x: x)(1.0)


def scaled_product():
    @pb.custom_vjp
    def f(x, y):
        return x * y

    f.defvjp(lambda x, y: (x * y, (x, y)), lambda res, ct: (10 * ct * res[1], ct * res[0]))
    return f


def test_custom_vjp_in_reverse_and_by_transposition_in_forward_mode():
    f = scaled_product()
    assert np.allclose(pb.grad(f, (0, 1))(2.0, 3.0), (30.0, 2.0))
    assert np.allclose(pb.jvp(f, (2.0, 3.0), (1.0, 1.0))[1], 32.0)
    assert np.allclose(pb.jacfwd(f)(2.0, 3.0), 30.0)
    assert np.allclose(pb.grad(pb.grad(f), 1)(2.0, 3.0), 10.0)
    assert np.allclose(pb.jvp(pb.grad(f), (2.0, 3.0), (1.0, 1.0))[1], 10.0)


def test_custom_vjp_under_vmap_sums_what_an_unmapped_argument_gets():
    f = scaled_product()
    xs = jnp.arange(3.0)
    assert np.allclose(pb.vmap(pb.grad(f), (0, None))(xs, 3.0), [30.0, 30.0, 30.0])
    assert np.allclose(pb.grad(lambda y: pb.vmap(f, (0, None))(xs, y).sum())(3.0), 3.0)
    assert np.allclose(pb.grad(lambda xs: pb.vmap(f, (0, None))(xs, 3.0).sum())(xs), [30.0, 30.0, 30.0])
    y, f_lin = pb.linearize(lambda xs: pb.vmap(f, (0, None))(xs, 3.0), xs)
    assert np.allclose(f_lin(jnp.ones(3)), 30.0)


def test_custom_vjp_symbolic_zeros():
    seen = {}

    @pb.custom_vjp
    def f(x, y):
        return x * y, x

    def fwd(x, y):
        assert isinstance(x, CustomVJPPrimal)
        seen["perturbed"] = (x.perturbed, y.perturbed)
        return (x.value * y.value, x.value), y.value

    def bwd(y, cts):
        seen["zero"] = tuple(isinstance(c, SymbolicZero) for c in cts)
        return cts[0] * y, None

    f.defvjp(fwd, bwd, symbolic_zeros=True)
    assert np.allclose(pb.grad(lambda x: f(x, 3.0)[0])(2.0), 3.0)
    assert seen == {"perturbed": (True, False), "zero": (False, True)}


@pytest.mark.parametrize(
    ("bwd", "message"),
    [
        (lambda res, ct: ct, "tuple"),
        (lambda res, ct: (ct, ct), "length"),
        (lambda res, ct: (jnp.ones(3),), "expected float32"),
        (lambda res, ct: ((ct, ct),), "structure"),
    ],
)
def test_wrong_backward_rules_are_named(bwd, message):
    @pb.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, None), bwd)
    with pytest.raises(TypeError, match=message):
        pb.grad(f)(1.0)


def test_a_backward_rule_that_is_not_linear_works_in_reverse_and_says_so_in_forward_mode():
    @pb.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, ct: (jnp.clip(ct, -1, 1),))
    assert np.allclose(pb.grad(lambda x: 5 * clipped(x))(1.0), 1.0)
    with pytest.raises(TypeError, match="linear"):
        pb.jvp(clipped, (1.0,), (1.0,))


def test_custom_gradient():
    @pb.custom_gradient
    def f(x, y):
        return x * y, lambda ct: (100 * ct * y, ct * x)

    assert np.allclose(pb.grad(f, (0, 1))(2.0, 3.0), (300.0, 2.0))
    assert np.allclose(pb.grad(pb.custom_gradient(lambda x: (x, lambda ct: 5 * ct)))(1.0), 5.0)


def test_closure_convert_hoists_what_is_differentiated():
    def solve(f, x):
        converted, consts = pb.closure_convert(f, x)
        return run(converted, x, *consts)

    from functools import partial

    @partial(pb.custom_vjp, nondiff_argnums=(0,))
    def run(f, x, *consts):
        return f(x, *consts)

    run.defvjp(
        lambda f, x, *consts: (f(x, *consts), (x, consts)),
        lambda f, res, ct: pb.vjp(f, res[0], *res[1])[1](2 * ct),
    )
    assert np.allclose(pb.grad(lambda w: solve(lambda x: x * w, 3.0))(5.0), 6.0)


def test_methods_can_have_custom_rules():
    class Model:
        scale = 4.0

        @pb.custom_jvp
        def f(self, x):
            return x

    Model.f.defjvp(lambda p, t: (p[1], p[0].scale * t[1]))
    pb.tree_util.register_pytree_node(Model, lambda m: ((), None), lambda _, __: Model())
    assert np.allclose(pb.grad(lambda x: Model().f(x))(1.0), 4.0)


def test_custom_gradient_under_every_transformation() -> None:
    @pb.custom_gradient
    def f(x: Any) -> Any:
        y = x**2
        return jnp.sin(y), lambda ct: ct * jnp.cos(y) * 2 * x

    first = lambda x: np.cos(x**2) * 2 * x
    second = lambda x: 2 * np.cos(x**2) - 4 * x**2 * np.sin(x**2)
    for g in (pb.grad(f), pb.jit(pb.grad(f)), pb.grad(pb.jit(f)), pb.grad(pb.jit(lambda x: f(x) + 0.0))):
        np.testing.assert_allclose(g(0.7), first(0.7), rtol=1e-5)
    for g in (pb.grad(pb.grad(f)), pb.grad(pb.grad(pb.jit(f))), pb.jit(pb.grad(pb.jit(pb.grad(f))))):
        np.testing.assert_allclose(g(0.7), second(0.7), rtol=1e-5)
    x = jnp.array([0.1, 0.7])
    for g in (
        pb.grad(lambda x: pb.vmap(f)(x).sum()),
        pb.vmap(pb.grad(pb.jit(f))),
        pb.grad(lambda x: pb.jit(pb.vmap(f))(x).sum()),
    ):
        np.testing.assert_allclose(g(x), first(np.array([0.1, 0.7])), rtol=1e-5)
