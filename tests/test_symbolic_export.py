"""Exported functions of symbolic shapes: one artifact gives, at every size, what the function gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import pullback.numpy as jnp
from pullback import (
    ShapeDtypeStruct,
    errors,
    eval_shape,
    grad,
    hessian,
    image,
    jit,
    lax,
    make_jaxpr,
    nn,
    ops,
    random,
    tree,
    vmap,
)
from pullback import export as ex
from pullback.core.dimensions import evaluate
from pullback.scipy import fft, signal, stats

F = jnp.float32
SIZES = [{"a": 5, "b": 3, "c": 2}, {"a": 1, "b": 1, "c": 1}]


def struct(shape: str | tuple[Any, ...], scope: ex.SymbolicScope, dtype: Any = F) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(ex.symbolic_shape(shape, scope=scope) if isinstance(shape, str) else shape, dtype)


def exported(fun: Callable[..., Any], *shapes: str, constraints: tuple[str, ...] = (), dtype: Any = F) -> ex.Exported:
    scope = ex.SymbolicScope(constraints)
    return ex.export(jit(fun))(*[struct(s, scope, dtype) for s in shapes])


def arrays(e: ex.Exported, sizes: dict[str, int]) -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=[evaluate(n, sizes) for n in t.shape]).astype(t.dtype) for t in e.in_avals]


def check(e: ex.Exported, fun: Callable[..., Any], sizes: list[dict[str, int]] = SIZES) -> None:
    for at in sizes:
        args = arrays(e, at)
        got, wanted = tree.leaves(e.call(*args)), tree.leaves(jit(fun)(*args))
        assert [(x.shape, x.dtype) for x in got] == [(x.shape, x.dtype) for x in wanted]
        assert [tuple(evaluate(n, at) for n in t.shape) for t in e.out_avals] == [x.shape for x in wanted]
        for x, y in zip(got, wanted):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6, err_msg=f"{e} at {at}")


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = nn.softmax(q @ k.T / jnp.sqrt(q.shape[-1]), axis=-1)
    return nn.gelu(scores @ v).mean(0)


def normalized(x: Any) -> Any:
    y = (x - x.mean(0)) / (x.std(0) + 1e-3)
    return {"y": y, "norm": jnp.linalg.norm(y), "largest": (y.max(0), y.argmax(0))}


def recurrent(x: Any) -> Any:
    end, states = lax.scan(lambda h, row: (jnp.tanh(0.5 * h + row), h.sum()), jnp.zeros(x.shape[1:]), x)
    return end, states


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "attention": (attention, ("a, b", "2*a, b", "2*a, b")),
    "normalized": (normalized, ("a, b",)),
    "recurrent": (recurrent, ("a, b",)),
    "gradient": (grad(lambda x, y: (jnp.tanh(x @ y) ** 2).mean()), ("a, b", "b, 4")),
    "indices": (lambda x: (x[0], x[-1], x[3], x[2:], x[:2], x[1:-1], x[::2], x[::-1], x[::-2], x[x.shape[0] - 1]), ("a",)),
    "updates": (lambda x: (x.at[0].set(1.0), x.at[1:].add(2.0), x.at[-1].mul(3.0)), ("a, b",)),
    "tails": (grad(lambda x: (x[1:] ** 2).sum() + (x[2:] * x[:-2]).sum() + x[::2].sum() + jnp.diff(x).prod() + jnp.flip(x)[1::3].sum()), ("a + 2",)),
    "shapes": (
        lambda x: (x.reshape(-1), x.reshape(x.shape[1], -1), x.ravel()[None], jnp.stack([x, x]), jnp.concatenate([x, jnp.ones((2, x.shape[1]))]),
                   x.T, jnp.tile(x, 2), jnp.repeat(x, 2, 0), jnp.pad(x, 1), jnp.broadcast_to(x, (2, *x.shape)), jnp.expand_dims(x, 1)),
        ("a, b",),
    ),
    "made": (
        lambda x: (jnp.zeros(x.shape), jnp.full_like(x, 2.0), jnp.arange(x.shape[0]), jnp.arange(2, x.shape[0] + 4, 2), jnp.eye(x.shape[0]),
                   jnp.tri(x.shape[0])),
        ("a, b",),
    ),
    "sizes": (lambda x: (x.shape[0] * x, x / x.shape[0], 2.5 * x.shape[1], jnp.array(x.shape[0]) + 1, x.size, x + x.shape[1] // 2), ("a, b",)),
    "sorted": (lambda x: (jnp.sort(x), jnp.argsort(x), jnp.median(x), jnp.cumsum(x), jnp.cumsum(x[::-1]), x.min()), ("a",)),
    "reduced": (lambda x: (x.sum(), x.prod(1), jnp.any(x > 0, 0), jnp.var(x, 1), nn.logsumexp(x, 1)), ("a, b",)),
    "random": (lambda x: (random.normal(random.key(0), x.shape), random.split(random.key(1), x.shape[0]).shape[0] * x), ("a, b",)),
    "loops": (
        lambda x: (lax.fori_loop(0, x.shape[0], lambda i, c: c + x[i], jnp.zeros(x.shape[1:])), lax.map(jnp.sin, x),
                   lax.while_loop(lambda c: c[0] < x.shape[0], lambda c: (c[0] + 1, c[1] * 0.9), (0, x))[1]),
        ("a, b",),
    ),
    "mapped": (vmap(lambda row, m: jnp.outer(row, row) @ m, (0, None)), ("a, b", "b, b")),
    "fourier": (lambda x: (abs(jnp.fft.fft(x)), abs(jnp.fft.rfft(x, norm="ortho"))), ("a",)),
    "solved": (lambda x, y: jnp.linalg.solve(x @ x.T + jnp.eye(x.shape[0]), y), ("a, b", "a")),
    "convolved": (lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME"), ("a, 2, b, 5", "3, 2, 3, 3")),
    "pooled": (lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 2), (1, 2), "SAME"), ("a, 2*b",)),
    "branches": (lambda x: lax.cond(x.sum() > 0, lambda y: y * x.shape[0], jnp.negative, x), ("a, b",)),
    "causal": (lambda q: nn.dot_product_attention(q, q, q, is_causal=True, local_window_size=3), ("2, a, 2, 4",)),
    "curvature": (hessian(lambda x: (x**3).sum() + x[0] * x[-1]), ("a",)),
    "determinant": (lambda x: jnp.linalg.det(x @ x.T + jnp.eye(x.shape[0])), ("a, b",)),
    "searched": (lambda x: (jnp.searchsorted(jnp.sort(x), x), jnp.roll(x, 2)),
                 ("a",)),
    "spaced": (lambda x: (jnp.linspace(0.0, 1.0, x.shape[0]), jnp.linspace(x, 2 * x, x.shape[0] + 1, endpoint=False), jnp.logspace(0, 1, x.shape[0]),
                          jnp.linspace(0, 7, x.shape[0], dtype=int), jnp.linspace(0, 1, x.shape[0], retstep=True),
                          jnp.geomspace(1, 2, x.shape[0])), ("a",)),
    "shuffled": (lambda x: (random.permutation(random.key(0), x.shape[0]), random.permutation(random.key(1), x),
                            random.permutation(random.key(2), x, axis=1, independent=True)), ("a, b",)),
    "drawn": (lambda x: (random.choice(random.key(0), x.shape[0], (3,)), random.choice(random.key(1), x.shape[0], x.shape[:1], replace=False),
                         random.choice(random.key(2), x, (1,), False, axis=1), random.choice(random.key(3), x, (2,), p=jnp.ones(x.shape[0])),
                         random.multinomial(random.key(4), 9, abs(x))), ("a, b",)),
    "prefixes": (lambda x: (lax.associative_scan(jnp.add, x), lax.associative_scan(jnp.maximum, x, reverse=True, axis=1),
                            grad(lambda x: (lax.associative_scan(lambda f, g: (g[0] * f[0], g[0] * f[1] + g[1]), (x, x))[1] ** 2).sum())(x)),
                 ("a, b",)),
    "positions": (lambda x: (jnp.nonzero(x > 0, size=3), jnp.nonzero(x > 0, size=x.shape[1], fill_value=-1), jnp.argwhere(x < 0, size=2),
                             jnp.unravel_index(x.shape[0] // 2, x.shape), jnp.flatnonzero(x, size=x.size)), ("a, b",)),
    "repeated": (lambda x: (jnp.repeat(x, 2, axis=1, total_repeat_length=2 * x.shape[1]), jnp.repeat(x, x.shape[0], 0, total_repeat_length=4),
                            jnp.repeat(x[0], 3, total_repeat_length=x.shape[0] + 1)), ("a, b",)),
    "weights": (lambda x: [i(random.key(0), (3, *x.shape)) for i in (nn.initializers.glorot_normal(), nn.initializers.he_uniform(),
                                                                     nn.initializers.variance_scaling(1.0, "fan_geo_avg", "normal"))], ("a, b",)),
    "images": (lambda x: (image.resize(x, (4, 5), "linear"), image.resize(x, (2 * x.shape[0], 3), "nearest"), image.resize(x, (2, 3), "area"),
                          image.scale_and_translate(x, (4, 5), (0, 1), jnp.array([1.5, 0.5]), jnp.zeros(2), "lanczos3")), ("a, b",)),
    "log means": (lambda x: (nn.logmeanexp(x), nn.logmeanexp(x, 0, where=x > 0)), ("a, b",)),
    "classes": (lambda x: (nn.one_hot(x.astype(int), x.shape[0]), nn.one_hot(x.astype("int8"), x.shape[1] + 1, axis=0)), ("a, b",)),
    "heads": (lambda x: (nn.dot_product_attention(x, x, x, is_causal=True), nn.dot_product_attention(x, x, x, scale=x[0, 0, 0, 0])), ("2, a, b, c",)),
    "remainders": (lambda x: lax.scan(lambda c, e: (c + e, c * e), 0.0, x[1:], reverse=True, unroll=2), ("a",)),
    "buckets": (lambda x: [f(x, jnp.arange(x.shape[0]) // 2, 4, bucket_size=2) for f in (ops.segment_sum, ops.segment_max, ops.segment_prod)],
                ("a, b",)),
    "cosines": (lambda x: (fft.dct(x, 3), fft.dct(x, 4, axis=0), fft.idct(x), signal.detrend(x)), ("a, b",)),
    "standard errors": (lambda x: (stats.sem(x), stats.sem(x, axis=1), stats.sem(x, axis=None)), ("a, b",)),
    "einsum": (lambda x, y: jnp.einsum("ij,jk,ik->i", x, y, x @ y), ("a, b", "b, 4")),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_artifact_serves_every_size(name: str) -> None:
    fun, shapes = FUNCTIONS[name]
    e = exported(fun, *shapes)
    check(e, fun)
    if name in ("attention", "normalized"):
        check(ex.deserialize(e.serialize()), fun)


def test_named_tuples_of_the_package_need_no_name() -> None:
    def fun(x: Any) -> Any:
        return jnp.linalg.qr(x @ x.T), jnp.linalg.slogdet(x @ x.T + jnp.eye(x.shape[0])), jnp.linalg.eigh(x @ x.T)

    e = ex.deserialize(exported(fun, "a, b").serialize())
    found = e.call(np.eye(3, dtype=F))
    assert [type(r).__name__ for r in found] == ["QRResult", "SlogdetResult", "EighResult"]


def test_constraints_decide_what_depends_on_sizes() -> None:
    def fun(x: Any) -> Any:
        return x * 2 if x.shape[0] > 3 else x, lax.dynamic_slice(x, (1,), (3,)), lax.top_k(x, 2)[0]

    with pytest.raises(
        errors.InconclusiveDimensionOperation, match=r'test_symbolic_export.py:.*constraints=\["a >= 4"\]'
    ):
        exported(fun, "a")
    e = ex.deserialize(exported(fun, "a", constraints=("a >= 4",)).serialize())
    check(e, fun, [{"a": 4}, {"a": 9}])
    with pytest.raises(ValueError, match=r"the constraint a >= 4 does not hold \(a = 3\)"):
        e.call(np.ones(3, F))
    halves = exported(lambda x: x.reshape(2, -1), "a", constraints=("mod(a, 2) == 0",))
    assert halves.call(np.ones(6, F)).shape == (2, 3)
    with pytest.raises(ValueError, match="constraint"):
        halves.call(np.ones(5, F))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 5), (5,)], r"args\[0\].*float32\[a,4\].*float32\[3,5\]"),
        ([(3, 4), (3,)], "b = 0 must be at least 1"),
        ([(0, 4), (3,)], "a = 0 must be at least 1"),
        ([(3, 4, 1), (5,)], r"args\[0\]"),
    ],
)
def test_shapes_that_do_not_fit_are_value_errors(shapes: list[tuple[int, ...]], message: str) -> None:
    e = exported(lambda x, y: x + y.sum(), "a, 4", "a + b")
    with pytest.raises(ValueError, match=message):
        e.call(*[np.ones(shape, F) for shape in shapes])


def test_sizes_that_contradict_each_other_are_value_errors() -> None:
    e = exported(lambda x: x, "a, floordiv(a, 2)")
    assert e.call(np.ones((5, 2), F)).shape == (5, 2)
    with pytest.raises(ValueError, match=r"args\[0\].shape\[1\] has size 3, and must have floordiv\(a, 2\) = 2"):
        e.call(np.ones((5, 3), F))
    with pytest.raises(ValueError, match=r"5 of args\[0\].shape\[0\] is not 2\*a"):
        exported(lambda x: x, "2*a").call(np.ones(5, F))


def test_dimensions_must_be_determined_by_arguments() -> None:
    for shape in ("a*b, 3", "floordiv(a, 2), 3"):
        with pytest.raises(ValueError, match="not determined by the shapes"):
            exported(lambda x: x, shape)
    scope = ex.SymbolicScope()
    (unknown,) = ex.symbolic_shape("c", scope=scope)
    with pytest.raises(ValueError, match="dimensions c are in no shape of an argument"):
        ex.export(jit(lambda x: jnp.zeros((unknown,)) + x.sum()))(struct("a", scope))
    with pytest.raises(ValueError, match="two scopes"):
        ex.export(jit(lambda x, y: (x, y)))(struct("a", ex.SymbolicScope()), struct("a", scope))


def test_errors_of_shapes_name_dimensions() -> None:
    with pytest.raises(TypeError, match=r"\(a,\), \(3,\)"):
        exported(lambda x: x + jnp.ones(3), "a")
    with pytest.raises(errors.InconclusiveDimensionOperation, match=r"mod\(a, 2\)"):
        exported(lambda x: x.reshape(2, -1), "a")
    with pytest.raises(ValueError, match="export it"):
        jit(jnp.sin).lower(struct("a", ex.SymbolicScope()))
    with pytest.raises(ValueError, match="no value here"):
        jnp.ones(3) * ex.symbolic_shape("a")[0]


def test_types_without_values() -> None:
    x = struct("a, b", ex.SymbolicScope())
    assert str(eval_shape(lambda x: x.reshape(-1), x).shape) == "(a*b,)"
    assert "f32[a,b]" in str(make_jaxpr(lambda x: x.mean())(x))


def test_derivatives_of_artifacts() -> None:
    def fun(x: Any, n: Any) -> Any:
        return (jnp.sin(x) ** 2).mean(0), n + x.shape[0]

    scope = ex.SymbolicScope()
    loaded = ex.deserialize(ex.export(jit(fun))(struct("a, b", scope), np.int32(1)).serialize(vjp_order=2))
    x = np.linspace(-1, 1, 12, dtype=F)
    for shape in ((4, 3), (1, 12)):
        for order in (1, 2):
            f: Any = lambda call, x: call(x, np.int32(1))[0].sum()
            for _ in range(order):
                f = (lambda f: lambda call, x: grad(lambda y: f(call, y).sum())(x))(f)
            np.testing.assert_allclose(f(loaded.call, x.reshape(shape)), f(fun, x.reshape(shape)), rtol=1e-5, atol=1e-6)
    assert str(loaded.vjp().in_avals[-2].shape) == "(b,)"
    with pytest.raises(ValueError, match="vjp_order"):
        loaded.vjp().vjp().vjp()


def test_artifacts_within_programs() -> None:
    e = exported(lambda x, y: x * y.sum(), "a, 4", "a + b")
    x, y = np.ones((3, 4), F), np.ones(5, F)
    np.testing.assert_array_equal(jit(e.call)(x, y), 5 * x)
    np.testing.assert_array_equal(vmap(e.call, (None, 0))(x, np.ones((2, 5), F)), np.full((2, 3, 4), 5.0))
    np.testing.assert_array_equal(grad(lambda y: e.call(x, y).sum())(y), np.full(5, 12.0))
    outer = exported(lambda x: e.call(x[:, :4], jnp.ones(x.shape[0] + 2)) + 1, "c, 6")
    assert str(outer.out_avals[0].shape) == "(c, 4)"
    np.testing.assert_array_equal(ex.deserialize(outer.serialize()).call(np.ones((2, 6), F)), np.full((2, 4), 5.0))
    fixed = e.at({"a": 3, "b": 2})
    assert fixed.in_avals[1].shape == (5,) and ex.deserialize(fixed.serialize(1)).call(x, y).shape == (3, 4)


def test_calls_of_one_size_are_compiled_once() -> None:
    e = exported(lambda x: x + 1, "a")
    assert e.at({"a": 3}) is e.at({"a": 3})
    assert e.at({"a": 3})._apply is e.at({"a": 3})._apply


def test_specifications_of_arguments() -> None:
    args = (np.ones((3, 4), F), {"k": np.ones(2, F)})
    x, rest = ex.symbolic_args_specs(args, ("a, ...", {"k": "b"}))
    assert (str(x.shape), str(rest["k"].shape), x.dtype) == ("(a, 4)", "(b,)", F)
    assert x.shape[0].scope is rest["k"].shape[0].scope
    assert str(ex.symbolic_args_specs(args, "a, ...")[1]["k"].shape) == "(a,)"
    assert ex.symbolic_args_specs(args, None)[0].shape == (3, 4)
    assert ex.symbolic_args_specs(args, ("a, ...", None), ["a >= 3"])[0].shape[0] >= 3
    for specs in (("a",), "a, b, c"):
        with pytest.raises(ValueError, match="symbolic"):
            ex.symbolic_args_specs(args, specs)
    assert ex.is_symbolic_dim(x.shape[0]) and not ex.is_symbolic_dim(x.shape[1])
    assert ex.symbolic_dim_bounds(x.shape[0] + 1)[0] == 2


def test_several_platforms_in_one_artifact() -> None:
    def fun(x: Any) -> Any:
        return jnp.cumsum(x, 0)

    e = ex.export(jit(fun), platforms=("cuda", "cpu"))(np.ones((100, 100), F))
    loaded = ex.deserialize(e.serialize(vjp_order=1))
    assert loaded.platforms == ("cuda", "cpu") and loaded.vjp().platforms == ("cuda", "cpu")
    x = np.linspace(1, 0, 10000, dtype=F).reshape(100, 100)
    np.testing.assert_allclose(loaded.call(x), np.cumsum(x, 0), rtol=1e-5)
    np.testing.assert_array_equal(grad(lambda x: loaded.call(x)[-1].sum())(x), np.ones((100, 100)))
    assert loaded._text("cuda") != loaded._text("cpu") and loaded.mlir_module() == loaded._text("cuda")
    with pytest.raises(NotImplementedError, match="cuda"):
        ex.export(jit(jnp.linalg.cholesky), platforms=("cpu", "cuda"))(np.eye(3, dtype=F))


def test_dollars_in_names_are_no_dimensions() -> None:
    def fun(x: Any) -> Any:
        return jit(lambda y: y + y.shape[0])(x)

    fun.__name__ = "f${a}"
    assert exported(fun, "a").call(np.zeros(3, F)).tolist() == [3.0] * 3


# ---- artifacts of earlier versions ---------------------------------------------------------------

GOLDEN = Path(__file__).parent / "artifacts"


class Expected(NamedTuple):
    """What an artifact must give, as it gave when it was written."""

    name: str
    args: tuple[Any, ...]
    results: tuple[Any, ...]


PARAMS = {"w": np.linspace(-1, 1, 12, dtype=F).reshape(4, 3), "b": np.zeros(3, F)}
ROWS = np.linspace(0, 1, 20, dtype=F).reshape(5, 4)
NETWORK = ([-0.20738702, 0.14256285, 0.45120594], 1.2960835)
WALK = (
    [-0.02231321, 0.02613618, -0.0198331, -0.0304129],
    [0.31578946, -0.05308788, -0.3484096, -0.25832188],
    [1, 2, 3],
)


@pytest.mark.parametrize(
    "expected",
    [
        Expected("network-1", (PARAMS, ROWS), NETWORK), Expected("walk-1", (random.key(0), ROWS[0], 3), WALK),
        Expected("network-2", (PARAMS, ROWS), NETWORK), Expected("network-2", (PARAMS, np.tile(ROWS, (2, 1))), (NETWORK[0], 1.832939)),
    ],
    ids=lambda e: e.name,
)  # fmt: skip
def test_artifacts_of_every_version_are_loaded(expected: Expected) -> None:
    loaded = ex.deserialize((GOLDEN / f"{expected.name}.bin").read_bytes())
    for got, wanted in zip(tree.leaves(loaded.call(*expected.args)), expected.results, strict=True):
        np.testing.assert_allclose(np.asarray(got, F), wanted, rtol=1e-5, atol=1e-6)
    if expected.name.startswith("network"):
        slope = grad(grad(lambda s: loaded.call({**PARAMS, "b": s * jnp.ones(3)}, expected.args[1])["mean"].sum()))(0.1)
        bent = np.tanh(np.tile(ROWS, (len(expected.args[1]) // 5, 1)) @ PARAMS["w"] + 0.1)
        np.testing.assert_allclose(slope, (-2 * bent * (1 - bent**2)).mean(0).sum(), rtol=1e-4)
