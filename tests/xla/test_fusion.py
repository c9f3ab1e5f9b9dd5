"""The fusion plan: where it keeps values, that programs mean the same, and that XLA keeps what it is told to keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.errors import JaxRuntimeError
from pullback.core.passes import simplify
from pullback.xla import pjrt
from pullback.xla.fusion import plan


def kept(f, *args):
    """The names of the operations whose values are kept."""
    program = simplify(pb.make_jaxpr(f)(*args))
    chosen = plan(program.jaxpr)
    return [e.primitive.name for e in program.eqns if chosen.intersection(e.outvars)]


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


def test_what_is_kept_stands_behind_a_barrier_that_xla_respects():
    def f(x):
        y = jnp.exp(jnp.sin(x) * 2)
        return y @ W, y + jnp.sin(x), jnp.sum(y, 0)

    lowered = pb.jit(f).lower(X)
    assert lowered.as_text().count("optimization_barrier") == len(kept(f, X)) == 1
    # What XLA makes of it in the end: the exponential is computed in one loop.
    optimized = lowered.compile().as_text()
    assert optimized.count(" opt-barrier(") == 1 and optimized.count(" exponential(") == 1
    with pb.config.option("cpu_fusion")("xla"):
        assert "optimization_barrier" not in pb.jit(f).lower(X).as_text()


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


def test_what_a_position_is_looked_for_in_is_computed_first():
    # The loop that looks is not vectorized, or there are two.
    x = jnp.ones((64, 8))
    assert kept(lambda x: jnp.argmax(jnp.log(jnp.exp(x)), 1), x) == ["log"]
    assert kept(lambda x: jnp.argmin(x * 2 + 1, 1), x) == []
    assert kept(lambda x: jnp.max(jnp.log(jnp.exp(x)), 1), x) == []


def test_what_is_concatenated_is_computed_first_if_it_is_much():
    def draws(key, p):
        images = [pb.random.bernoulli(k, p, (16, 16)) for k in pb.random.split(key, 6)]
        return jnp.vstack([jnp.hstack(images[:3]), jnp.hstack(images[3:])])

    key = pb.random.key(0)
    assert kept(draws, key, 0.5).count("lt") == 6
    check(draws, key, 0.5)
    assert kept(lambda key: jnp.concatenate([pb.random.uniform(key, (300,)), jnp.ones(3)]), key) == []
    # One value in many pieces has its code in each.
    pieces = lambda x: jnp.concatenate([(jnp.cos(x) * x + x * 2 - 3)[i] for i in range(99, -1, -1)])
    assert kept(pieces, jnp.ones((100, 4))) == ["sub"]
    assert kept(lambda x: jnp.concatenate([x[i] for i in range(99, -1, -1)]), jnp.ones((100, 4))) == []
    # What is not used of it is not computed either.
    few = lambda x: jnp.concatenate([(jnp.cos(x) * x + x * 2 - 3)[i] for i in range(99, -1, -1)])
    assert set(kept(few, jnp.ones((1000, 4)))) == {"reshape"}
    check(few, jnp.ones((1000, 4)))


def test_keys_are_computed_before_many_numbers_are_drawn():
    key = pb.random.key(0)
    assert kept(lambda i: pb.random.uniform(pb.random.key(i), (1000,)), 1) == ["random_seed"]
    assert kept(lambda i: pb.random.uniform(pb.random.key(i)), 1) == []
    assert kept(lambda key: pb.random.uniform(key, (1000,)), key) == []
    # Keys that are derived are stored anyway.
    derived = lambda key: pb.random.uniform(pb.random.fold_in(key, 1), (1000,))
    assert kept(derived, key) == []
    assert pb.jit(derived).lower(key).as_text().count("optimization_barrier") == 1
    walk = lambda key: pb.lax.fori_loop(0, 9, lambda i, x: x + pb.random.normal(pb.random.fold_in(key, i)), 0.0)
    assert "optimization_barrier" not in pb.jit(walk).lower(key).as_text()


# ---- what XLA used to refuse, or died of, when the plan gave it fusions ----------------------------------------------


def several(y):
    """Several loops read `y`."""
    return y.sum(), jnp.max(y * 2), (y + 1).mean(), (y * 0.1).prod(), jnp.cumsum(y.ravel())


def check(f, *args):
    for g in (f, pb.grad(lambda *xs: sum(jnp.sum(y) for y in pb.tree.leaves(f(*xs))))):
        if g is not f and not jnp.issubdtype(jnp.result_type(args[0]), jnp.floating):
            continue
        for a, b in zip(pb.tree.leaves(g(*args)), pb.tree.leaves(pb.jit(g)(*args)), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-3, atol=2e-3)


LINE = jnp.linspace(0.1, 1, 340)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_bias_of_a_batch(batch):
    w, v, x = jnp.full((64, 512), 0.01), jnp.ones((512, 10)), jnp.ones((batch, 64))
    check(lambda b: (pb.nn.gelu(x @ w + b) @ v).sum(), jnp.linspace(-1, 1, 512))


@pytest.mark.parametrize("shape", [(1, 340), (1, 1, 340), (1, 17, 20), (1, 20, 1, 17), (2, 340)])
def test_axes_of_size_one_in_front(shape):
    x = jnp.broadcast_to(jnp.sin(LINE).reshape(shape[1:] if shape[0] == 2 else shape), shape)
    check(lambda b: several(jnp.tanh(jnp.sin(x * b) + 1)), LINE.reshape(shape[1:]))


@pytest.mark.parametrize("move", [jnp.ravel, jnp.transpose, lambda x: x[::-1], lambda x: jnp.sort(x, 0).reshape(-1, 4)])
def test_groups_all_of_whose_operands_are_moved(move):
    x = LINE.reshape(20, 17)
    check(lambda x: several(jnp.exp(jnp.sin(move(x)))), x)
    check(lambda x: several(jnp.sin(move(x)) * jnp.cos(move(x))), x)
    check(lambda x: pb.nn.logsumexp(jnp.log(jnp.tanh(move(x)))) + jnp.log(jnp.tanh(move(x))).mean(), x)


@pytest.mark.parametrize(
    "fold", [
        lambda z: z**0, pb.grad(lambda z: (z**1).sum()), lambda z: z * 0, lambda z: z - z, lambda z: z == z, lambda z: (z > 3) | True,
        lambda z: z.astype(int) & 0, lambda z: jnp.where(True, 1, z), lambda z: z * 1 + 0, lambda z: jnp.minimum(jnp.maximum(z, 2), 2),
    ],
)  # fmt: skip
def test_operands_that_fold_away(fold):
    check(lambda x, s, z: several(jnp.exp(x) / s * (fold(z) + 1.0) / (x + 2)), LINE, LINE + 1, LINE + 2)


def test_a_power_with_a_literal():
    def f(x):
        v = pb.nn.sigmoid((x > 0) * x)
        return ((v[:1] + v + 0.5) ** 0.7).sum()

    check(f, jnp.linspace(-1, 1, 320).reshape(8, 40))


@pytest.mark.parametrize(
    "dtype",
    ["float16", "bfloat16", "float32", "float64", "complex64", "int8", "uint16", "int32", "bool", "float8_e4m3fn"],
)
def test_values_of_every_type_are_kept(dtype):
    with pb.enable_x64():
        x = (LINE * 2).astype(dtype)

        def f(x):
            y = x if dtype == "bool" else jnp.where(x > 1, x, x * x).astype(dtype)
            for _ in range(100):
                y = ~(y & x) if dtype == "bool" else y * x + x
            return y.reshape(20, 17)[::-1], y[::2], y.astype("complex64").sum()

        if dtype != "float8_e4m3fn":
            assert kept(f, x)
        for a, b in zip(f(jnp.zeros_like(x)), pb.jit(f)(jnp.zeros_like(x)), strict=True):
            assert a.dtype == b.dtype and np.asarray(a == b).all()


@pytest.mark.parametrize("size", [64, 300])
def test_kept_values_in_loops(size):
    def step(c, x):
        y = jnp.tanh(jnp.exp(c * x))
        return y / y.sum(), y.max()

    x = jnp.linspace(0.1, 1, size)
    check(lambda x: pb.lax.scan(step, x, jnp.linspace(1, 2, 5)), x)
    check(lambda x: pb.lax.fori_loop(0, 3, lambda i, c: (c + 1).astype("int8") & 3, x), jnp.ones(size, "int8"))


def test_constants_and_arguments_that_are_kept():
    """Whatever XLA makes of the operand of a barrier."""
    keep = lambda x: pb.lax.optimization_barrier(x)
    check(lambda x: (keep(x), keep(x * 0 + 1), keep(jnp.ones(300)), keep(x.reshape(1, 340))), LINE)
    donated = pb.jit(lambda x: (keep(x), keep(x).at[3].set(7.0)), donate_argnums=0)
    y, z = donated(LINE + 0)
    assert y[3] == LINE[3] and z[3] == 7


# ---- what is done if XLA refuses a program all the same --------------------------------------------------------------


def two_loops(x):
    t = jnp.tanh(jnp.exp(x))
    return t @ W, t + 1


def test_a_refused_plan_is_left_to_xla(monkeypatch):
    compile_text, texts = pjrt.compile_text, []

    def refuse(text, *args):
        texts.append(text)
        if "optimization_barrier" in text:
            raise pjrt.XlaRuntimeError("refused")
        return compile_text(text, *args)

    monkeypatch.setattr(pjrt, "compile_text", refuse)
    with pb.config.option("enable_compilation_cache")(False), pytest.warns(RuntimeWarning, match="please report"):
        got = pb.jit(two_loops)(X)
    assert len(texts) == 2
    for a, b in zip(two_loops(X), got):
        assert np.allclose(a, b, rtol=1e-5)


def test_an_error_that_is_not_the_plans_is_the_first_one(monkeypatch, recwarn):
    def refuse(text, *args):
        raise pjrt.XlaRuntimeError("barrier" if "optimization_barrier" in text else "another")

    monkeypatch.setattr(pjrt, "compile_text", refuse)
    with pb.config.option("enable_compilation_cache")(False), pytest.raises(JaxRuntimeError, match="barrier"):
        pb.jit(lambda x: two_loops(x))(X)
    assert not recwarn.list


def test_no_loop_has_very_many_paths() -> None:
    """LLVM follows each path through a loop from a conversion of types: of forty steps of x(1 - x) there are 2⁴⁰."""

    def logistic(x: Any) -> Any:
        x = x.astype("float32")
        for _ in range(40):
            x = x * (0.9 - x)
        return jnp.log(jnp.abs(x) + 1)

    x = jnp.arange(1000) % 2
    assert plan(pb.make_jaxpr(logistic)(x).jaxpr)
    np.testing.assert_allclose(pb.jit(logistic)(x), logistic(x), rtol=1e-5)
