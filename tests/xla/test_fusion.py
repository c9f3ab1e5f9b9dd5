"""The fusion plan: where it keeps values, that programs mean the same, and that XLA survives every group it is given."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.passes import simplify
from pullback.core.primitive import registry
from pullback.xla import fusion
from pullback.xla.fusion import plan


def planned(f, *args):
    program = simplify(pb.make_jaxpr(f)(*args))
    return program, plan(program.jaxpr)


def kept(f, *args):
    """The names of the operations whose values are kept."""
    program, chosen = planned(f, *args)
    return [e.primitive.name for e in program.eqns if e.outvars[0] in chosen.groups]


X, W = jnp.full((16, 32), 0.5), jnp.full((32, 32), 0.1)


def test_an_expensive_value_that_flows_into_several_loops_is_kept():
    def f(x):
        t = jnp.tanh(jnp.exp(x))
        return t @ W, t + 1

    assert kept(f, X) == ["tanh"]


def test_cheap_values_and_values_of_one_loop_are_left_to_xla():
    assert kept(lambda x: ((x + 1) @ W, (x + 1) * 2), X) == []
    assert kept(lambda x: (jnp.tanh(x) @ W, jnp.tanh(x) * 2), X) == []
    assert kept(lambda x: jnp.tanh(x) * (1 - jnp.tanh(x)), X) == []
    assert kept(lambda x: jnp.sum(jnp.exp(x)), X) == []
    small = jnp.ones(3)
    assert kept(lambda x: (jnp.tanh(x).reshape(3, 1), jnp.tanh(x) + 1), small) == []


def test_a_residual_stream_is_not_computed_again_in_each_layer():
    def f(x):
        for _ in range(12):
            x = 0.9 * (x @ W) + 0.5 * x
        return x

    # Adding up is cheap, but the sum of all layers before is not.
    assert 1 <= len(kept(f, X)) <= 6
    program, chosen = planned(f, X)
    for group in chosen.groups.values():
        assert len(group) <= fusion.LARGEST_GROUP
        known = set()
        for e in group:  # in order
            assert not [x for x in e.invars if x in {o.outvars[0] for o in group} and x not in known]
            known.update(e.outvars)


def test_nothing_is_written_twice_and_nothing_is_missing():
    def f(x):
        y = jnp.exp(jnp.sin(x) * 2)
        return y @ W, y + jnp.sin(x), jnp.sum(y, 0)

    text = pb.jit(f).lower(X).as_text()
    assert text.count("mhlo.fusion") >= 1
    with pb.config.option("cpu_fusion")("xla"):
        assert "mhlo.fusion" not in pb.jit(f).lower(X).as_text()


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_values_are_the_same_with_and_without(depth):
    rng = np.random.default_rng(depth)
    w = jnp.asarray(rng.normal(size=(depth, 32, 32)).astype(np.float32) / 6)

    def loss(w, x):
        for i in range(depth):
            x = jnp.tanh(x @ w[i]) + 0.5 * jnp.where(x > 0, x, jnp.exp(x)) * jax_like_norm(x)
        return jnp.mean(x**2)

    def jax_like_norm(x):
        return 1 / jnp.sqrt(jnp.mean(x**2, 1, keepdims=True) + 1)

    x = jnp.asarray(rng.normal(size=(16, 32)).astype(np.float32))
    results = {}
    for mode in ("auto", "xla"):
        with pb.config.option("cpu_fusion")(mode):
            results[mode] = pb.jit(lambda w, x: pb.value_and_grad(loss)(w, x))(w, x)
    for a, b in zip(pb.tree.leaves(results["auto"]), pb.tree.leaves(results["xla"])):
        assert np.allclose(a, b, rtol=2e-4, atol=1e-6)


GROUPABLE = sorted(
    name
    for name, p in registry.items()
    if fusion._Kind(p).elementwise and fusion._Kind(p).groupable and hasattr(p, "kinds")
)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", GROUPABLE)
def test_xla_takes_every_operation_in_a_group(name, wide):
    """Its verifier ends the process on what it does not expect there, so each is tried."""
    from pullback.core.types import ShapedArray
    from pullback.xla import pjrt
    from pullback.xla.lowering import lower_equations
    from pullback.xla.stablehlo import Emitter

    primitive = registry[name]
    dtype = np.dtype((np.float64 if wide else np.float32) if "f" in primitive.kinds else np.int32)
    if set("fi") & set(primitive.kinds) == set():
        pytest.skip("takes neither floats nor integers")
    t = ShapedArray((300,), dtype)
    params = {"y": 3} if name == "integer_pow" else {}
    out = primitive.type_of(*[t] * primitive.arity, **params)
    emit = Emitter(lower_equations)
    arguments = [emit.argument(f"%arg{i}", t) for i in range(primitive.arity)]

    def body(*xs):
        emit.types = [out]
        return primitive.lower(emit, *xs, **params)

    region = emit.region([t] * primitive.arity, body, terminator="mhlo.return")
    result = emit("mhlo.fusion", *arguments, out=out, regions=[region], fusion_kind="#mhlo<fusion_kind kLoop>")
    heads = ", ".join(f"{a.name}: {a.type_text}" for a in arguments)
    text = (
        f"module @m {{\nfunc.func public @main({heads}) -> {result.type_text} {{\n" + "\n".join(emit.lines)
        + f'\n"func.return"({result.name}) : ({result.type_text}) -> ()\n}}\n}}\n'
    )  # fmt: skip
    executable = pjrt.compile_text(text, pjrt.cpu().devices[0], [out])
    value = np.linspace(0.1, 0.9, 300).astype(dtype) if dtype.kind == "f" else np.arange(1, 301, dtype=dtype)
    buffer = pjrt.put(value, executable.target)
    (got,) = executable.loaded.execute_sharded([buffer] * primitive.arity).consume_with_handlers(executable.handlers)
    expected = primitive.evaluate(*[value] * primitive.arity, **params)
    assert np.allclose(pjrt.to_numpy(got, out.dtype), expected, rtol=1e-5, atol=1e-6)


def test_what_a_position_is_looked_for_in_is_computed_first():
    # The loop that looks is not vectorized, or there are two.
    x = jnp.ones((64, 8))
    assert kept(lambda x: jnp.argmax(jnp.log(jnp.exp(x)), 1), x) == ["log"]
    assert kept(lambda x: jnp.argmin(x * 2 + 1, 1), x) == []
    assert kept(lambda x: jnp.max(jnp.log(jnp.exp(x)), 1), x) == []
