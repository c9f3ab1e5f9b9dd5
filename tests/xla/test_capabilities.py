"""What lowering asks of a platform, and lowerings for one platform."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.primitive import registry
from pullback.xla import capabilities, lowering
from pullback.xla.capabilities import Capabilities

X = jnp.ones((64, 64))


@pytest.fixture
def abacus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A platform that is slow at everything, and whose rules and capabilities are gone after the test."""
    monkeypatch.setattr(capabilities, "_known", dict(capabilities._known))
    monkeypatch.setattr(lowering, "_rules", {})
    capabilities.register(Capabilities("abacus", has_float64=False, packs_sort_keys=False))
    return "abacus"


def text(fun, *args, platform):
    return pb.jit(fun).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def test_a_platform_that_nobody_knows_has_what_stablehlo_has():
    assert capabilities.capabilities_of("slide rule") == Capabilities("slide rule")
    assert "stablehlo.sine" in text(jnp.sin, X, platform="slide rule")


def test_what_is_quick_somewhere_is_written_there_alone(abacus):
    sums = lambda x: jnp.cumsum(x, 0)
    assert "stablehlo.while" in text(sums, X, platform="cpu")
    assert "stablehlo.while" not in text(sums, X, platform=abacus)
    order = lambda x: jnp.argsort(x, 0)
    assert "stablehlo.shift_left" in text(order, X, platform="cpu")
    assert "stablehlo.shift_left" not in text(order, X, platform=abacus)


def test_only_a_compiler_that_keeps_barriers_gets_a_plan(abacus):
    def f(x):
        y = jnp.exp(jnp.sin(jnp.cos(x)))
        return y.sum(0), y.sum(1)

    assert "optimization_barrier" in text(f, X, platform="cpu")
    assert "optimization_barrier" not in text(f, X, platform=abacus)


@pytest.mark.parametrize(
    ("fun", "why"),
    [
        (jnp.linalg.cholesky, r"'cholesky' cannot be compiled for platform 'abacus': it calls LAPACK \(lapack_spotrf_ffi\), .* on 'cpu' only"),
        (lambda x: pb.debug.print("{}", x), "calls a Python function of this process, which is there on 'cpu' only"),
        (lambda x: x.astype("float64") * 2, "has 64-bit floating numbers, which is there on 'cpu' only"),
    ],
)  # fmt: skip
def test_what_a_platform_cannot_is_refused_by_name(abacus, fun, why):
    with pb.enable_x64(True), pytest.raises(NotImplementedError, match=why):
        text(fun, X, platform=abacus)


def test_a_primitive_has_a_lowering_for_one_platform(abacus):
    def by_table(emit, x, **params):
        return emit.custom_call("abacus_sine", x, out=emit.type)

    sine = registry["sin"]
    lowering.register_lowering(sine, by_table, abacus)
    lowering.register_lowering(sine, by_table, abacus)  # the same one again
    # In calls, in loops and in what other primitives expand to, too.
    assert '"abacus_sine"' in text(pb.vmap(pb.jit(jnp.sin)), X, platform=abacus)
    for platform in ("cpu", "slide rule"):
        assert "abacus_sine" not in text(jnp.sin, X, platform=platform)
    with pytest.raises(ValueError, match=r"lowering of 'sin' for 'abacus' already.*test_capabilities\.py"):
        lowering.register_lowering(sine, lambda emit, x, **params: x, abacus)


def test_a_rule_for_one_platform_runs_there(monkeypatch):
    monkeypatch.setattr(lowering, "_rules", {})
    tangent = registry["tan"]
    lowering.register_lowering(tangent, lambda emit, x, **params: emit("multiply", x, x), "cpu")
    assert pb.jit(lambda x: jnp.tan(x) + 1)(3.0) == 10.0
