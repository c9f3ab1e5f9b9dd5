"""composite: the same as its decomposition everywhere, and one operation in compiled modules."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import export, lax
from pullback.core.errors import UnexpectedTracerError

tangent = lax.composite(lambda x: lax.sin(x) / lax.cos(x), "my.tangent", version=2)


def text(f: Any, *args: Any) -> str:
    return pb.jit(f).lower(*args).as_text()


def test_it_is_its_decomposition():
    x = jnp.linspace(-1.0, 1.0, 5)
    both = lambda x: (tangent(tangent(x)), lax.scan(lambda c, _: (tangent(c), c), x, None, length=2)[0])
    for g in (tangent, pb.jit(tangent), pb.vmap(pb.jit(tangent)), pb.jit(pb.vmap(tangent))):
        np.testing.assert_allclose(g(x), np.tan(x), rtol=1e-6)
    for g in (both, pb.jit(both)):
        for out in g(x):
            np.testing.assert_allclose(out, np.tan(np.tan(x)), rtol=1e-5, atol=1e-7)
    for g in (pb.grad(tangent), pb.jit(pb.grad(tangent)), pb.grad(pb.jit(tangent)), pb.jacfwd(pb.jit(tangent))):
        np.testing.assert_allclose(g(0.5), 1 + np.tan(0.5) ** 2, rtol=1e-6)
    np.testing.assert_allclose(pb.hessian(pb.jit(tangent))(0.5), 2 * np.tan(0.5) * (1 + np.tan(0.5) ** 2), rtol=1e-5)


def test_the_operation_in_modules():
    @partial(lax.composite, name="my.scaled")
    def scaled(x: Any, /, *, by: float, unused: object = None, **_: Any) -> Any:
        """x times by."""
        return x * by

    assert (scaled.__name__, scaled.__doc__) == ("scaled", "x times by.")
    attributes = {
        "note": 'a"$\n',
        "flag": True,
        "sizes": (1, 2.5),
        "kind": np.float32,
        "more": {"x": np.int8(3)},
        "table": np.arange(3),
    }
    found = text(lambda x: scaled(x, by=2.0, unused=None, **attributes), jnp.ones(3))
    assert '"stablehlo.composite"(%arg0)' in found and 'name = "my.scaled"' in found and "version = 0 : i32" in found
    for part in (
        '"by" = 2.0 : f64', '"note" = "a\\22\\24\\0A"', '"flag" = true', '"sizes" = [1 : i64, 2.5 : f64]', '"kind" = f32',
        '"more" = {"x" = 3 : i8}', '"table" = dense<[0, 1, 2]> : tensor<3xi64>',
    ):  # fmt: skip
        assert part in found
    assert "unused" not in found and text(tangent, 1.0).count("func.func private") == 1
    assert pb.jit(lambda x: scaled(x, by=2.0, **attributes))(jnp.ones(3)).tolist() == [2.0] * 3


def test_operands_results_and_constants():
    pair = lax.composite(lambda x: {"a": (x["b"] * 2, x["c"])}, "my.pair")
    assert pb.tree.map(float, pb.jit(pair)({"b": 1.0, "c": 3.0})) == {"a": (2.0, 3.0)}
    assert pb.jit(lax.composite(lambda: jnp.ones(2), "my.ones"))().tolist() == [1.0, 1.0]
    table = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    shifted = lax.composite(lambda x: x + jnp.asarray(table), "my.shifted")
    np.testing.assert_array_equal(pb.jit(shifted)(jnp.zeros(3000)), table)
    large = lax.composite(lambda x: (x + jnp.ones((6000, 6000)))[0, :2], "my.large")  # not a constant elsewhere
    assert pb.jit(large)(1.0).tolist() == [2.0, 2.0]


def test_effects_take_its_place(capfd: pytest.CaptureFixture[str]):
    @partial(lax.composite, name="my.loud")
    def loud(x: Any) -> Any:
        pb.debug.print("x = {}", x, ordered=True)
        return x + 1

    found = pb.jit(lambda x: loud(loud(x)))
    assert float(found(1.0)) == 3.0
    pb.effects_barrier()
    assert capfd.readouterr().out.split("\n")[:2] == ["x = 1.0", "x = 2.0"]
    assert "stablehlo.composite" not in found.lower(1.0).as_text()


def test_artifacts_have_it():
    blob = export.export(pb.jit(tangent))(1.0).serialize(vjp_order=1)
    loaded = export.deserialize(blob)
    assert "stablehlo.composite" in loaded.mlir_module()
    np.testing.assert_allclose(pb.jit(lambda x: loaded.call(x) + tangent(x))(1.0), 2 * np.tan(1.0), rtol=1e-6)
    np.testing.assert_allclose(pb.grad(loaded.call)(1.0), 1 + np.tan(1.0) ** 2, rtol=1e-6)


def test_what_is_refused():
    with pytest.raises(TypeError, match="the first argument must be callable"):
        lax.composite(3, "my.op")  # type: ignore[arg-type]
    for name in ("op", "my op", 3, "my."):
        with pytest.raises(ValueError, match="a name is like 'dialect.operation', got"):
            pb.jit(lax.composite(lambda x: x, name))(1.0)
    for value in (object(), 1j, len):
        with pytest.raises(TypeError, match="is no attribute"):
            pb.jit(lambda x, value=value: lax.composite(lambda x, **_: x, "my.op")(x, a=value))(1.0)
    with pytest.raises(UnexpectedTracerError, match="may not close over traced values: make it an argument"):
        pb.jit(lambda y: lax.composite(lambda x: x * y, "my.op")(1.0))(2.0)
