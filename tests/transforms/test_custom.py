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
    with pytest.raises((TypeError, ValueError), match=message):
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


# ---- closures, and rules that are used more than once -----------------------------------------------------------


def closing_over(y, kind):
    """x -> x·y for a y that the rules close over."""
    if kind == "custom_jvp":
        h = pb.custom_jvp(lambda x: x * y)
        h.defjvp(lambda primals, tangents: (primals[0] * y, tangents[0] * y))
    else:
        h = pb.custom_vjp(lambda x: x * y)
        h.defvjp(lambda x: (x * y, y), lambda y_as_residual, ct: (ct * (y + y_as_residual) / 2,))
    return h


@pytest.mark.parametrize("kind", ["custom_jvp", "custom_vjp"])
def test_rules_close_over_traced_values(kind):
    f = lambda y, x: closing_over(y, kind)(x)
    ys = jnp.arange(3.0)
    close = lambda got, expected: np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)
    both = lambda f: pb.grad(f, (0, 1))
    for wrap in (lambda f: f, pb.jit):
        g = wrap(f)
        close(both(g)(3.0, 2.0), (2, 3))  # in what it closes over, the derivative is that of the function
        close(wrap(both(g))(3.0, 2.0), (2, 3))
        close(pb.vmap(g, (0, None))(ys, 2.0), [0, 2, 4])
        close(wrap(pb.vmap(both(g), (0, None)))(ys, 2.0), [[2, 2, 2], [0, 1, 2]])
        close(both(lambda y, x: wrap(pb.vmap(g, (0, None)))(ys * y, x).sum())(3.0, 2.0), (6, 9))
        close(pb.jvp(g, (3.0, 2.0), (1.0, 10.0)), (6, 32))
        close(pb.vmap(pb.vmap(g, (0, None)), (None, 0))(ys, ys), np.outer([0, 1, 2], [0, 1, 2]))
        close(pb.hessian(lambda v: g(v[0], v[1]))(jnp.array([3.0, 2.0])), [[0, 1], [1, 0]])
        close(pb.grad(lambda y: pb.lax.scan(lambda c, _: (g(y, c), None), 1.0, None, length=3)[0])(2.0), 12)


@pytest.mark.parametrize("kind", ["custom_jvp", "custom_vjp"])
def test_inner_rules_close_over_what_outer_ones_do(kind):
    def f(y, x):
        outer = pb.custom_vjp(lambda x: closing_over(y, kind)(x) * y)
        outer.defvjp(lambda x: (closing_over(y, kind)(x) * y, None), lambda _, ct: (closing_over(y, kind)(ct) * y,))
        return outer(x)

    for g in (f, pb.jit(f)):
        np.testing.assert_allclose(pb.grad(g, (0, 1))(3.0, 2.0), (12, 9))
        np.testing.assert_allclose(pb.vmap(pb.grad(g, (0, 1)), (0, None))(jnp.array([3.0, 1.0]), 2.0)[1], [9, 1])


def test_linearizations_of_one_program_are_independent():
    """A forward rule tells its backward rule what it found through the residual: any number of linearizations live side by side."""

    @pb.custom_vjp
    def f(x, y):
        return x * y

    def fwd(x, y):
        residual = {"x": x.value, "y": y.value} if y.perturbed else {"y": y.value, "z": 100 * x.value}
        return x.value * y.value, residual

    f.defvjp(fwd, lambda r, ct: (ct * r["y"], ct * r["x"]) if "x" in r else (ct * r["y"], None), symbolic_zeros=True)
    xs, ys = jnp.array([1.0, 2.0, 3.0]), jnp.array([4.0, 5.0, 6.0])
    for g, x, y in ((f, 3.0, 2.0), (pb.jit(f), 3.0, 2.0), (pb.vmap(f), xs, ys), (pb.jit(pb.vmap(f)), xs, ys)):
        one = jnp.ones_like(jnp.asarray(x))
        first, second = pb.vjp(lambda x: g(x, y), x)[1], pb.vjp(lambda y: g(x, y), y)[1]
        both = pb.vjp(lambda z: g(z, z), x)[1]
        for _ in range(2):
            np.testing.assert_allclose(second(one)[0], x)
            np.testing.assert_allclose(first(one)[0], y)
            np.testing.assert_allclose(both(one)[0], 2 * np.asarray(x))


def test_what_is_not_differentiated_may_be_traced():
    f = pb.custom_jvp(lambda k, x: k * x, nondiff_argnums=(0,))
    f.defjvp(lambda k, primals, tangents: (k * primals[0], k * tangents[0]))
    ks = jnp.arange(3.0)
    np.testing.assert_allclose(pb.grad(pb.jit(f), 1)(3.0, 2.0), 3)
    np.testing.assert_allclose(pb.vmap(pb.grad(f, 1), (0, None))(ks, 2.0), ks)
    np.testing.assert_allclose(pb.jit(pb.vmap(pb.grad(pb.jit(f), 1), (0, None)))(ks, 2.0), ks)
    for differentiate in (lambda: pb.grad(f)(3.0, 2.0), lambda: pb.jvp(lambda k: f(k, 2.0), (3.0,), (1.0,))):
        with pytest.raises(
            pb.errors.UnexpectedTracerError, match=r"traced value Traced<float32\[\]>.* nondiff_argnums"
        ):
            differentiate()
    g = pb.custom_vjp(lambda k, x: k * x, nondiff_argnums=(0,))
    g.defvjp(lambda k, x: (k * x, None), lambda k, _, ct: (k * ct,))
    with pytest.raises(pb.errors.UnexpectedTracerError, match="nondiff_argnums"):
        pb.jit(g)(3.0, 2.0)


def test_cotangents_of_rules_have_the_type_of_the_argument():
    """Numbers of Python take it; an error of a shape is a ValueError, of a dtype or a structure a TypeError; nothing imaginary is dropped."""

    def gradient(ct):
        f = pb.custom_vjp(lambda x: x)
        f.defvjp(lambda x: (x, None), lambda _, g: (ct(g),))
        return pb.grad(f)

    for transform in (lambda f: f, pb.jit, lambda f: lambda x: pb.vmap(f)(x[None])[0]):
        for ct in (lambda g: 3, lambda g: 3.0, lambda g: 3 * g):
            got = transform(gradient(ct))(jnp.float32(1.0))
            assert float(got) == 3.0 and got.dtype == jnp.float32
        for error, ct in ((ValueError, lambda g: jnp.stack([g, g])), (TypeError, lambda g: jnp.int32(1)), (TypeError, lambda g: 2j),
                          (TypeError, lambda g: [g])):  # fmt: skip
            with pytest.raises(error, match=r"bwd rule .* for argument 0 expected"):
                transform(gradient(ct))(jnp.float32(1.0))


def test_rules_in_programs_keep_to_the_types_of_the_function():
    f = pb.custom_vjp(lambda x: x)
    f.defvjp(lambda x: (jnp.stack([x, x]), None), lambda _, ct: (ct.sum(),))
    with pytest.raises(TypeError, match=r"fwd rule .* expected float32\[\], got float32\[2\]"):
        pb.grad(lambda x: pb.jit(f)(x).sum())(1.0)
    g = pb.custom_jvp(lambda x: x)
    g.defjvp(lambda primals, tangents: (primals[0].astype("bfloat16"), tangents[0].astype("bfloat16")))
    with pytest.raises(TypeError, match="JVP rule"):
        pb.grad(lambda x: pb.jit(g)(x).sum())(1.0)


def test_discrete_results_have_no_tangents_of_numbers():
    @pb.custom_jvp
    def rounded(x):
        return x.astype(int)

    rounded.defjvp(lambda primals, tangents: (rounded(*primals), tangents[0]))
    for derivative in (
        lambda: pb.jvp(rounded, (jnp.float32(1.5),), (jnp.float32(1.0),)),
        lambda: pb.linearize(rounded, jnp.float32(1.5)),
        lambda: pb.jit(lambda x: pb.jvp(rounded, (x,), (x,)))(jnp.float32(1.5)),
    ):
        with pytest.raises(TypeError, match=r"expected tangent float0\[\] for primal int32\[\], but got float32\[\]"):
            derivative()
