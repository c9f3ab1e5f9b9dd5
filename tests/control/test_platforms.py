"""platform_dependent: what is evaluated here, and what programs for other platforms have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import export, lax
from pullback.core.primitive import Primitive

square = lambda x: lax.platform_dependent(x, cpu=lambda x: x * x, cuda=lambda x: x * x * x, default=lambda x: x + 1)


def test_the_function_for_this_platform():
    xs = jnp.arange(3.0)
    for f in (square, pb.jit(square)):
        assert float(f(3.0)) == 9.0 and float(pb.grad(f)(3.0)) == 6.0 and float(pb.hessian(f)(3.0)) == 2.0
        assert pb.vmap(f)(xs).tolist() == [0.0, 1.0, 4.0] and float(pb.jvp(f, (3.0,), (1.0,))[1]) == 6.0
    third = lambda x: lax.scan(lambda c, _: (square(c), None), x, None, length=3)[0]
    for g in (pb.grad(third), pb.jit(pb.grad(third))):
        np.testing.assert_allclose(g(1.1), 8 * 1.1**7, rtol=1e-6)
    other = lambda x: lax.platform_dependent(x, tpu=jnp.sin, default=jnp.cos)
    assert float(other(0.0)) == float(pb.jit(other)(0.0)) == 1.0
    text = pb.jit(square).lower(3.0).as_text()
    assert text.count("stablehlo.multiply") == 1 and "stablehlo.case" not in text


def test_trees_closures_and_no_operands():
    trees = lambda a: lax.platform_dependent(
        a, 3, cpu=lambda a, y: {"s": a[0] + y}, default=lambda a, y: {"s": a[1] * y}
    )
    assert float(trees((1.0, 2.0))["s"]) == float(pb.jit(trees)((1.0, 2.0))["s"]) == 4.0
    closure = lambda y: pb.grad(lambda x: lax.platform_dependent(x, cpu=lambda x: x * y, default=lambda x: x))(2.0)
    assert float(pb.jit(closure)(5.0)) == float(closure(5.0)) == 5.0
    nothing = lambda: lax.platform_dependent(cpu=lambda: 1.0, default=lambda: 2.0)
    assert float(nothing()) == float(pb.jit(nothing)()) == 1.0


class Negated(Primitive):
    """-x, which one other platform alone can compile."""

    name = "test.of_cuda_only"

    def type_of(self, x: Any) -> Any:
        return x

    def jvp(self, primals: Any, tangents: Any) -> Any:
        return self.bind(*primals), -tangents[0]

    def lower(self, emit: Any, x: Any) -> Any:
        if emit.capabilities.platform != "cuda":
            raise NotImplementedError(emit.capabilities.platform)
        return emit("negate", x)


negated_p = Negated()


def test_artifacts_have_for_each_platform_what_is_meant_for_it():
    f = lambda x: lax.platform_dependent(x, cpu=jnp.sin, cuda=negated_p.bind)
    twice = lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0]
    artifact = export.export(pb.jit(pb.value_and_grad(twice)), platforms=["cpu", "cuda"])(1.0)
    value, slope = artifact.call(1.0)
    np.testing.assert_allclose((value, slope), (np.sin(np.sin(1.0)), np.cos(np.sin(1.0)) * np.cos(1.0)), rtol=1e-6)
    texts = [export.export(pb.jit(f), platforms=[p])(1.0).mlir_module() for p in ("cpu", "cuda")]
    assert ["negate" in t for t in texts] == [False, True] and ["sine" in t for t in texts] == [True, False]
    with pytest.raises(NotImplementedError, match="no function for platform 'tpu'"):
        export.export(pb.jit(f), platforms=["tpu"])(1.0)


def test_what_is_refused():
    of_tpus = lambda x: lax.platform_dependent(x, tpu=lambda x: x)
    for f in (of_tpus, pb.jit(of_tpus), lax.platform_dependent, pb.jit(lax.platform_dependent)):
        with pytest.raises(
            NotImplementedError, match="no function for platform 'cpu', at .*: there are those for ('tpu'|none)"
        ):
            f(1.0)
    with pytest.raises(ValueError, match="'gpu' is no platform, use 'cuda' or 'rocm'"):
        lax.platform_dependent(1.0, gpu=lambda x: x, cpu=lambda x: x)
    with pytest.raises(TypeError, match="takes functions, got 3"):
        lax.platform_dependent(1.0, cpu=3)
    with pytest.raises(TypeError, match="must return the same structure"):
        pb.jit(lambda x: lax.platform_dependent(x, cpu=lambda x: x, default=lambda x: (x, x)))(1.0)
