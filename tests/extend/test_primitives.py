"""Primitives of other people's: declared rule by rule, and then like all others."""

from __future__ import annotations

import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core.effects import Effect as CoreEffect
from pullback.core.primitive import registry
from pullback.extend.core import Effect, Primitive, primitives
from pullback.extend.public_core import ShapedArray
from pullback.interpreters import ad, batching, mlir, xla


def multiply_add() -> Primitive:
    """x y + z of arrays of one shape, with all rules, as a tutorial declares it."""
    p = Primitive("multiply_add")
    p.def_impl(lambda x, y, z: x * y + z)

    @p.def_abstract_eval
    def _(x, y, z):
        assert x.shape == y.shape == z.shape
        return ShapedArray(x.shape, x.dtype)

    def jvp(primals, tangents):
        x, y, z = primals
        dx, dy, dz = map(ad.instantiate_zeros, tangents)
        return p.bind(x, y, z), p.bind(dx, y, p.bind(x, dy, dz))

    def transpose(ct, x, y, z):
        if not ad.is_undefined_primal(x):
            return None, p.bind(x, ct, jnp.zeros_like(ct)) if ad.is_undefined_primal(y) else None, ct
        return p.bind(ct, y, jnp.zeros_like(ct)), None, ct

    def batch(args, axes):
        size = next(x.shape[b] for x, b in zip(args, axes) if b is not None)
        return p.bind(*[batching.bdim_at_front(x, b, size) for x, b in zip(args, axes)]), 0

    ad.primitive_jvps[p] = jvp
    ad.primitive_transposes[p] = transpose
    batching.primitive_batchers[p] = batch
    mlir.register_lowering(p, mlir.lower_fun(lambda x, y, z: x * y + z, multiple_results=False))
    return p


P = multiply_add()


def f(x, y):
    return P.bind(x, x, P.bind(x, y, jnp.sin(y)))


def g(x, y):
    return x * x + (x * y + jnp.sin(y))


def in_a_loop(h):
    return lambda x, y: lax.scan(lambda c, a: (h(c, a), c), x, jnp.stack([y, 0.5 * y]))[0]


def in_a_branch(h):
    return lambda x, y: lax.cond(x > 0, h, lambda x, y: y, x, y)


X, Y = jnp.linspace(-1.0, 2.0, 4), jnp.linspace(0.5, 1.5, 4)


@pytest.mark.parametrize("within", [lambda h: h, in_a_loop, in_a_branch, pb.checkpoint])
def test_it_is_like_others_under_every_transformation(within):
    """Against the same function of Pullback's own operations: eager, and compiled in one program."""
    simple = within is not in_a_loop  # of which each derivative takes half a second to trace and compile

    def everything(h):
        h = within(h)
        return lambda x, y: (
            h(x, y),
            pb.jvp(h, (x, y), (y, x))[1],
            pb.vmap(pb.grad(h, (0, 1)), (None, 0))(x, Y),
            (pb.hessian(h, (0, 1))(x, y), pb.jacfwd(pb.grad(h))(x, y), pb.vmap(h, (0, None))(X, y)) if simple else (),
        )

    x, y = jnp.float32(0.7), jnp.float32(0.4)
    wanted = everything(g)(x, y)
    for mode in (lambda h: h, pb.jit):
        found = mode(everything(f))(x, y)
        assert pb.tree.structure(found) == pb.tree.structure(wanted)
        for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted)):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_linear_maps_and_programs():
    y, f_lin = pb.linearize(f, 2.0, 3.0)
    np.testing.assert_allclose(y, g(2.0, 3.0), rtol=1e-6)
    np.testing.assert_allclose(f_lin.T(1.0), pb.grad(g, (0, 1))(2.0, 3.0), rtol=1e-6)
    assert [e.primitive for e in pb.make_jaxpr(f)(1.0, 2.0).eqns].count(P) == 2
    names = str(pb.make_jaxpr(P.bind)(1.0, 2.0, 3.0))
    assert names == "{ lambda ; a:f32[] b:f32[] c:f32[]. let d:f32[] = multiply_add a b c in (d,) }"
    with pb.debug_nans(True), pytest.raises(FloatingPointError, match="test_primitives.py"):
        P.bind(jnp.inf, 0.0, 1.0)


def test_results_of_several():
    p = Primitive("sum_and_difference")
    p.multiple_results = True
    p.def_impl(lambda x, y, *, scale: [scale * (x + y), scale * (x - y)])
    p.def_abstract_eval(lambda x, y, *, scale: (x, y))
    ad.deflinear2(p, lambda cts, x, y, *, scale: [scale * (cts[0] + cts[1]), scale * (cts[0] - cts[1])])
    batching.defbroadcasting(p)
    mlir.register_lowering(p, mlir.lower_fun(lambda x, y, *, scale: (scale * (x + y), scale * (x - y))))

    def h(x, y):
        a, b = p.bind(x, y, scale=2.0)
        return (a * jnp.sin(b)).sum()

    def same(x, y):
        return (2.0 * (x + y) * jnp.sin(2.0 * (x - y))).sum()

    for mode in (lambda h: h, pb.grad, pb.jacfwd, lambda h: pb.vmap(pb.grad(h)), lambda h: pb.jit(pb.vmap(pb.grad(h)))):
        np.testing.assert_allclose(mode(h)(X, Y), mode(same)(X, Y), rtol=1e-5, atol=1e-5)
    # one result only: the other's cotangent is zero
    np.testing.assert_allclose(pb.grad(lambda x: p.bind(x, x, scale=1.0)[0])(1.0), 2.0)


def test_rules_made_of_simpler_ones():
    hyp = Primitive("hyp")
    hyp.def_impl(jnp.hypot)
    hyp.def_abstract_eval(lambda x, y: x)
    ad.defjvp2(hyp, lambda t, ans, x, y: t * x / ans, lambda t, ans, x, y: t * y / ans)
    assert [float(d) for d in pb.grad(hyp.bind, (0, 1))(3.0, 4.0)] == pytest.approx([0.6, 0.8])
    ad.defjvp(hyp, None, lambda t, x, y: 7.0 * t)
    assert [float(d) for d in pb.grad(hyp.bind, (0, 1))(3.0, 4.0)] == [0.0, 7.0]
    dot = Primitive("dot")
    dot.def_impl(jnp.dot)
    dot.def_abstract_eval(lambda x, y: ShapedArray((), x.dtype))
    ad.defbilinear(dot, lambda ct, x, y: ct * y, lambda ct, x, y: x * ct)
    np.testing.assert_allclose(pb.grad(dot.bind, (0, 1))(X, Y), (Y, X))
    np.testing.assert_allclose(pb.grad(lambda x: dot.bind(x, x))(X), 2 * X)
    down = Primitive("down")
    down.def_impl(lambda x, *, axes: x.sum(axes))
    batching.defreducer(down)
    np.testing.assert_allclose(pb.vmap(lambda x: down.bind(x, axes=(0,)), 1)(jnp.ones((3, 2))), [3.0, 3.0])
    same = Primitive("same")
    same.def_impl(lambda x, y: x + y)
    batching.defvectorized(same)
    assert pb.vmap(same.bind, (0, 0))(X, X).shape == (4,)
    with pytest.raises(ValueError, match=r"'same'.*defbroadcasting"):
        pb.vmap(same.bind, (0, None))(X, 1.0)


def test_a_rule_that_knows_the_axis():
    p = Primitive("mean_over_the_batch")
    p.def_impl(lambda x: x)
    p.def_abstract_eval(lambda x: x)

    def rule(axis_size, axis_name, _, args, axes):
        (x,), (b,) = args, axes
        assert x.shape[b] == axis_size and axis_name in ("i", None)
        return x.mean(b), None

    batching.axis_primitive_batchers[p] = rule
    np.testing.assert_allclose(pb.vmap(p.bind, out_axes=None)(jnp.arange(3.0)), 1.0)
    assert pb.vmap(p.bind, axis_name="i")(jnp.arange(3.0)).tolist() == [1.0, 1.0, 1.0]
    assert p.bind(2.0) == 2.0 == pb.vmap(lambda x, y: p.bind(y), (0, None), None)(X, 2.0)


def test_lowering_rules_that_build_operations():
    from jaxlib.mlir.dialects import stablehlo as hlo

    p = Primitive("sine_of_the_sum")
    p.def_abstract_eval(lambda x, y: x)

    def rule(ctx, x, y):
        assert [t.str_short() for t in (*ctx.avals_in, *ctx.avals_out)] == ["float32[4]"] * 3 and ctx.platforms == (
            "cpu",
        )
        two = mlir.ir_constant(np.full(4, 2, np.float32))
        assert str(mlir.aval_to_ir_type(ctx.avals_in[0])) == "tensor<4xf32>"
        total = hlo.AddOp(hlo.MulOp(x, two).result, y).result
        (root,) = mlir.lower_fun(lambda u: jnp.sin(jnp.sort(u)), multiple_results=False)(ctx, total)
        return hlo.NegOp(root).results

    mlir.register_lowering(p, rule)
    twice = pb.jit(lambda x: p.bind(x, Y) + p.bind(x, x))
    wanted = -np.sin(np.sort(2 * np.asarray(X) + Y)) - np.sin(np.sort(3 * np.asarray(X)))
    np.testing.assert_allclose(twice(X), wanted, rtol=1e-5)
    p.def_impl(lambda *args: xla.apply_primitive(p, *args))
    np.testing.assert_allclose(p.bind(X, Y), -np.sin(np.sort(2 * np.asarray(X) + Y)), rtol=1e-5)

    wrong = Primitive("wrong")
    wrong.def_abstract_eval(lambda x: x)
    for bad, message in (
        (lambda ctx, x: [x, x], "gives results of types|no valid program"),
        (lambda ctx, x: [3], "no value of MLIR"),
        (
            mlir.lower_fun(lambda x: x.sum(), multiple_results=False),
            r"float32\[\], and its typing rule says float32\[4\]",
        ),
    ):
        mlir.register_lowering(wrong, bad)
        with pytest.raises((TypeError, ValueError), match=message):
            pb.jit(wrong.bind)(X)


def test_lowering_rules_that_call_the_host():
    p = Primitive("host")
    p.def_abstract_eval(lambda x: ShapedArray((2,), x.dtype))

    def rule(ctx, x):
        results, _, _ = mlir.emit_python_callback(
            ctx, lambda x: (np.stack([x, x + 1]),), None, [x], ctx.avals_in, ctx.avals_out, has_side_effect=False
        )
        return results

    mlir.register_lowering(p, rule)
    assert pb.jit(lambda x: p.bind(x) * 2)(3.0).tolist() == [6.0, 8.0]


@pytest.mark.parametrize(
    "name", ["bool", "int4", "int8", "uint32", "bfloat16", "float8_e4m3fn", "float32", "complex64"]
)
def test_arrays_of_all_dtypes_are_constants_and_attributes_of_mlir(name):
    from pullback.interpreters.mlir import ir

    dtype = np.dtype(getattr(ml_dtypes, name, name))
    with mlir.make_ir_context(), ir.Location.unknown(), ir.InsertionPoint(ir.Module.create().body):
        for shape in ((), (2,), (0,), (2, 3)):
            value = np.ones(shape, dtype)
            expected = str(mlir.aval_to_ir_type(pb.ShapeDtypeStruct(shape, dtype)))
            assert str(mlir.ir_constant(value).type) == expected
            assert str(mlir.ir_attribute(value)).endswith(f" : {expected}")


def test_numbers_are_attributes_of_mlir():
    values = {
        3: "3 : i64",
        -0.5: "-5.000000e-01 : f64",
        True: "true",
        np.int8(-1): "-1 : i8",
        np.uint64(2**63): "9223372036854775808 : ui64",
        np.float32(0.5): "5.000000e-01 : f32",
        ml_dtypes.bfloat16(2): "2.000000e+00 : bf16",
        ml_dtypes.int4(-3): "-3 : i4",
    }
    with mlir.make_ir_context():  # and no location
        assert {v: str(mlir.ir_attribute(v)) for v in values} == values
        assert str(mlir.ir_attribute([1, "a"])) == '[1, "a"]'
        with pytest.raises(OverflowError):
            mlir.ir_attribute(2**63)
        with pytest.raises(TypeError, match="is no attribute"):
            mlir.ir_attribute(1j)


def test_effects_keep_what_has_them():
    class Counts(Effect):
        """Counts."""

    p = Primitive("counted")
    seen = []
    p.def_impl(lambda x: seen.append(1) or x)
    p.def_effectful_abstract_eval(lambda x: (x, {Counts()}))
    program = pb.make_jaxpr(lambda x: (p.bind(x), p.bind(x), 1.0)[2])(2.0)
    effects = program.effects
    assert any(isinstance(e, Counts) for e in effects) and CoreEffect.ACTS in effects
    from pullback.core.passes import simplify

    assert len(simplify(program).eqns) == 2  # neither dead nor the same
    assert isinstance(CoreEffect.SHOWS, Effect)
    pure = Primitive("pure")
    pure.def_abstract_eval(lambda x: x)
    assert not simplify(pb.make_jaxpr(lambda x: (pure.bind(x), 1.0)[1])(2.0)).eqns


def test_tables_have_the_rules_of_our_own_primitives():
    """Each against what the transformation makes of it."""
    out, tangent = ad.primitive_jvps[lax.add_p]((1.0, 2.0), (3.0, ad.Zero(pb.typeof(2.0))))
    assert (float(out), float(tangent)) == (3.0, 3.0)
    out, tangent = ad.primitive_jvps[lax.floor_p]((1.5,), (3.0,))
    assert float(out) == 1.0 and isinstance(tangent, ad.Zero) and tangent.aval.str_short() == "float32[]"
    undefined = ad.UndefinedPrimal(pb.typeof(X))
    ct_x, ct_y = ad.primitive_transposes[lax.mul_p](jnp.ones(4), undefined, Y)
    assert ct_y is None and ct_x.tolist() == Y.tolist()
    (ct,) = ad.primitive_transposes[lax.neg_p](ad.Zero(pb.typeof(X)), undefined)
    assert isinstance(ct, ad.Zero)
    out, axis = batching.primitive_batchers[lax.dot_general_p](
        (jnp.ones((3, 4)), X),
        (0, None),
        dimension_numbers=(((0,), (0,)), ((), ())),
        precision=None,
        preferred_element_type=None,
    )
    assert out.shape == (3,) and axis == 0
    loop = pb.make_jaxpr(lambda x: lax.scan(lambda c, y: (c + y, c * 2), 0.0, x))(X).eqns[-1]
    outs, tangents = ad.primitive_jvps[loop.primitive]((0.0, X), (ad.Zero(pb.typeof(0.0)), X), **loop.params)
    assert float(outs[0]) == float(tangents[0]) == pytest.approx(float(X.sum()))
    batched, axes = batching.primitive_batchers[loop.primitive]((jnp.zeros(2), X), (0, None), **loop.params)
    assert [x.shape for x in batched] == [(2,), (4, 2)] and axes == [0, 1]
    for table, least in ((ad.primitive_jvps, 140), (ad.primitive_transposes, 50), (batching.primitive_batchers, 140)):
        assert least < len(table) == len(list(table)) and lax.mul_p in table and "no primitive" not in table
        with pytest.raises(TypeError, match="Pullback's own primitive 'mul' cannot be replaced"):
            table[lax.mul_p] = print
    assert P in ad.primitive_jvps and Primitive("another") not in ad.primitive_jvps
    del ad.primitive_jvps[(p := multiply_add())]
    with pytest.raises(KeyError):
        ad.primitive_jvps[p]
    with pytest.raises(NotImplementedError, match="transposition of sort"):
        ad.get_primitive_transpose(lax.sort_p)


def test_a_transpose_that_there_was_none_of():
    """A transpose may be added to a primitive of ours that has none, as libraries do; it makes it linear where it is applied
    to tangents, and nowhere else."""
    linear = lambda x: 3 * lax.stop_gradient(x)
    p = lax.stop_gradient_p
    assert p not in ad.primitive_transposes
    try:
        ad.primitive_transposes[p] = rule = lambda ct, x: (ct,)
        assert ad.primitive_transposes[p] is rule
        assert pb.linear_transpose(linear, 1.0)(2.0) == (6.0,)
        assert pb.grad(linear)(1.0) == 0.0 == pb.jit(pb.grad(linear))(1.0)
        ad.primitive_transposes[p] = lambda ct, x: (2 * ct,)
        assert pb.linear_transpose(linear, 1.0)(2.0) == (12.0,)
    finally:
        for name in ("added_transposition", "transpose", "is_recorded"):
            p.__dict__.pop(name, None)
    with pytest.raises(TypeError, match="not linear"):
        pb.linear_transpose(linear, 1.0)(2.0)


def test_lowering_of_our_own_primitives_for_one_platform():
    with pytest.raises(TypeError, match="name the platform"):
        mlir.register_lowering(lax.sin_p, mlir.lower_fun(lambda x: x))
    with pytest.raises(TypeError, match="no primitive"):
        mlir.register_lowering("sin", mlir.lower_fun(lambda x: x))


def test_primitives_by_name():
    assert primitives.sin_p is lax.sin_p and primitives.dot_general_p is lax.dot_general_p
    assert (
        primitives.jit_p.name == "jit" and primitives.cholesky_p.name == "cholesky" and primitives.scan_p.name == "scan"
    )
    assert isinstance(lax.sin_p, Primitive) and not issubclass(dict, Primitive)
    with pytest.raises(AttributeError, match="has no primitive of that name"):
        primitives.no_such_p
    assert {"add_p", "custom_vjp_call_p", "random_bits_p", "remat_p", "while_p"} <= set(dir(primitives))
    assert lax.sin_p.get_bind_params({"accuracy": None}) == {"accuracy": None}
    assert float(lax.sin_p.impl(jnp.float32(0.0))) == 0.0
    assert lax.sin_p.abstract_eval(pb.typeof(1.0))[0] == pb.typeof(1.0)


def test_names_identity_and_copies():
    a, b = Primitive("one"), Primitive("one")
    assert a != b and str(a) == "one" and "one" not in registry
    assert copy.copy(a) is copy.deepcopy(a) is a
    with pytest.raises(TypeError, match=r"'one', declared at .*test_primitives.py:\d+ .*cannot be pickled"):
        pickle.dumps(a)
    with pytest.raises(TypeError, match="takes a name"):
        Primitive(3)


def test_what_is_missing_or_wrong_says_so():
    """Names of the primitive and of the line that declared it, whatever is missing; counts and types of what rules give."""
    p = Primitive("bare")
    place = r"'bare' is not implemented, a primitive that was declared at .*test_primitives.py:\d+ \(test_what_is.*applied at .*:\d+"
    for attempt, message in (
        (lambda: p.bind(1.0), f"evaluation of {place}.*def_impl"),
        (lambda: pb.make_jaxpr(p.bind)(1.0), f"typing of {place}.*def_abstract_eval"),
        (lambda: pb.grad(p.bind)(1.0), f"differentiation of {place}.*primitive_jvps"),
        (lambda: pb.vmap(p.bind)(X), f"batching of {place}.*primitive_batchers"),
    ):
        with pytest.raises(NotImplementedError, match=message):
            attempt()
    p.def_impl(lambda x: x)
    p.def_abstract_eval(lambda x: x)
    with pytest.raises(NotImplementedError, match="lowering of 'bare'.*register_lowering"):
        pb.jit(p.bind)(1.0)
    ad.primitive_jvps[p] = lambda primals, tangents: (p.bind(*primals), p.bind(*tangents))
    assert pb.jvp(p.bind, (1.0,), (2.0,))[1] == 2.0
    with pytest.raises(NotImplementedError, match="transposition of 'bare'"):
        pb.grad(p.bind)(1.0)

    def with_jvp(rule):
        ad.primitive_jvps[p] = rule
        return pb.jvp(p.bind, (1.0,), (2.0,))

    for rule, message in (
        (lambda primals, tangents: 3.0, "must give results and tangents"),
        (lambda primals, tangents: (1.0, [1.0]), "the primitive has one result.*multiple_results"),
        (lambda primals, tangents: (1.0, jnp.ones(2)), r"float32\[2\], where float32\[\] was expected"),
        (lambda primals, tangents: (1.0, "a text"), "which is no array"),
    ):
        with pytest.raises(TypeError, match=message):
            with_jvp(rule)
    ad.deflinear(p, lambda ct: [ct, ct])
    with pytest.raises(TypeError, match="a cotangent for each of its 1 operands"):
        pb.grad(p.bind)(1.0)
    p.def_impl(lambda x: [x, x])
    with pytest.raises(TypeError, match="gives list of 2, and the primitive has one result"):
        p.bind(1.0)
    p.multiple_results = True
    p.def_abstract_eval(lambda x: x)
    with pytest.raises(TypeError, match="typing rule of 'bare' gives ShapedArray.*sequence of results"):
        pb.make_jaxpr(p.bind)(1.0)
    batching.primitive_batchers[p] = lambda args, axes: ([args[0]], [0, 0])
    with pytest.raises(TypeError, match="batching rule of 'bare' gives 2 results, and there are 1"):
        pb.vmap(p.bind)(X)
    with pytest.raises(TypeError, match="must be a function"):
        batching.primitive_batchers[p] = 3
    leaked = []
    pb.jit(lambda x: leaked.append(x) or x)(1.0)
    p.def_impl(lambda x: [x])
    with pytest.raises(pb.errors.UnexpectedTracerError):
        p.bind(leaked[0])
