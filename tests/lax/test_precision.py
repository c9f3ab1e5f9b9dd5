"""Precisions and algorithms of products of matrices."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.lax import DotAlgorithm, DotAlgorithmPreset
from pullback.xla import pjrt
from pullback.xla.lowering import lower

HALF = ml_dtypes.bfloat16
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 40)), RNG.normal(size=(40, 5))

#: What a CPU rounds operands to, and what to sums are.
ON_CPUS = {
    "F16_F16_F16": (np.float16, np.float16), "F16_F16_F32": (np.float16, np.float32),
    "BF16_BF16_BF16": (HALF, HALF), "BF16_BF16_F32": (HALF, np.float32),
    "BF16_BF16_F32_X3": (np.float32, np.float32), "BF16_BF16_F32_X6": (np.float32, np.float32),
    "BF16_BF16_F32_X9": (np.float32, np.float32), "F32_F32_F32": (np.float32, np.float32),
    "F64_F64_F64": (np.float64, np.float64),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int32"])
def test_algorithms_round_their_operands_and_sums(dtype: str):
    with pb.enable_x64(True):
        x, y = (np.asarray(jnp.asarray(v * 3).astype(dtype)) for v in (X, Y))
        compiled = pb.jit(lambda x, y: [lax.dot(x, y, precision=p) for p in ON_CPUS])(x, y)
        for (name, (operand, sums)), of_jit in zip(ON_CPUS.items(), compiled):
            exact = x.astype(operand).astype(np.float64) @ y.astype(operand).astype(np.float64)
            error = 40 * float(jnp.finfo(sums if np.dtype(sums).itemsize == 8 else np.float32).eps)
            step = max(float(jnp.finfo(sums).eps), float(jnp.finfo(dtype).eps) if dtype != "int32" else 0)
            for out in (lax.dot(x, y, precision=name), lax.dot(x, y, precision=DotAlgorithmPreset[name]), of_jit):
                assert out.dtype == dtype
                wanted = exact.astype(np.int32) if dtype == "int32" else exact
                slack = 1 if dtype == "int32" else error * 30
                np.testing.assert_allclose(np.asarray(out, np.float64), wanted, rtol=step, atol=slack, err_msg=name)


def test_wherever_there_is_a_precision():
    x, y = np.float32(X), np.float32(Y)
    rounded = x.astype(HALF).astype(np.float32) @ y.astype(HALF).astype(np.float32)
    p = DotAlgorithm(HALF, HALF, np.float32)
    calls: dict[str, Any] = {
        "dot_general": lambda p: lax.dot_general(x, y, (((1,), (0,)), ((), ())), p),
        "batch_matmul": lambda p: lax.batch_matmul(x[None], y[None], p)[0],
        "matmul": lambda p: jnp.matmul(x, y, precision=p),
        "dot": lambda p: jnp.dot(x, y, precision=p),
        "einsum": lambda p: jnp.einsum("ij,jk", x, y, precision=p),
        "tensordot": lambda p: jnp.tensordot(x, y, 1, precision=p),
        "method": lambda p: jnp.asarray(x).dot(y, precision=p),
        "vmap": lambda p: pb.vmap(lambda v: jnp.dot(v, y, precision=p))(x),
        "ragged": lambda p: lax.ragged_dot(x, y[None], np.int32([6]), precision=p),
    }
    for name, call in calls.items():
        for precision in (p, "BF16_BF16_F32", DotAlgorithmPreset.BF16_BF16_F32):
            np.testing.assert_allclose(call(precision), rounded, rtol=1e-4, atol=1e-5, err_msg=name)
        with pytest.raises(ValueError, match="'TF32_TF32_F32' is not supported by dot_general on CPU, at"):
            call("TF32_TF32_F32")
    lax.conv(x[None, None], y[None, None, :3, :3], (1, 1), "VALID", precision=p)  # has one way of computing


def test_derivatives_are_computed_by_the_algorithm():
    x, y = np.float32(X), np.float32(Y)
    f = lambda x, y: lax.dot(x, y, precision="BF16_BF16_F32").sum()
    for g in (pb.grad(f, (0, 1)), pb.jit(pb.grad(f, (0, 1)))):
        by_x, by_y = g(x, y)
        np.testing.assert_allclose(
            by_x, np.tile(y.astype(HALF).astype(np.float64).sum(1), (6, 1)), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(by_y[:, 0], x.astype(HALF).astype(np.float64).sum(0), rtol=1e-5, atol=1e-6)
        assert by_x.dtype == by_y.dtype == np.float32


def test_preferred_types_are_of_the_result():
    x = jnp.full((1, 4), 1.0, np.float16)
    assert lax.dot(x, x.T, precision="F16_F16_F32").dtype == np.float16
    assert lax.dot(x, x.T, precision="F16_F16_F32", preferred_element_type=np.float32).dtype == np.float32
    big = jnp.full((1, 4), 250.0, np.float16)
    assert lax.dot(big, big.T, precision="F16_F16_F32", preferred_element_type=np.float32) == 250000
    assert jnp.isinf(lax.dot(big, big.T, precision="F16_F16_F16", preferred_element_type=np.float32))


def test_what_there_is_not():
    x = jnp.ones((2, 2))
    for precision, message in (
        ("f32_f32_f32", "precision must be None, a lax.Precision"),
        (("F32_F32_F32", "F32_F32_F32"), "or a pair of these"),
        ("ANY_F8_ANY_F8_F32", "is for products of 8-bit floats, got float32 and float32"),
        (DotAlgorithm("foo", np.float32, np.float32), "'foo' is no dtype"),
        (DotAlgorithm(np.int8, np.int8, np.int32), "sums are of one of float16, bfloat16, float32, float64"),
        (DotAlgorithm(np.int8, np.int8, np.float32), "not supported by dot_general on CPU"),
        (DotAlgorithm(np.float32, np.float32, np.float32, 0), "must be at least 1"),
    ):
        for call in (lax.dot, pb.jit(lambda x, y, precision: lax.dot(x, y, precision=precision), static_argnums=2)):
            with pytest.raises(ValueError, match=message):
                call(x, x, precision=precision) if call is lax.dot else call(x, x, precision)
    with pytest.raises(ValueError, match="products of real numbers, got complex64"):
        lax.dot(x * 1j, x * 1j, precision="F32_F32_F32")
    eight = x.astype(jnp.float8_e4m3fn)
    with pytest.raises(ValueError, match="'ANY_F8_ANY_F8_F32' is not supported by dot_general on CPU"):
        lax.dot(eight, eight, precision="ANY_F8_ANY_F8_F32")


def test_other_platforms_are_told():
    """Their compilers choose among algorithms: the text says which one is asked for."""

    def text(precision: Any, dtype: str = "float32") -> str:
        program = pb.make_jaxpr(lambda x: lax.dot(x, x, precision=precision))(jnp.ones((2, 2), dtype))
        module = lower(program, "f", platform="cuda")
        pjrt.parse(module.text)  # raises for attributes that there are not
        return module.text

    assert "precision_config" not in text(None) and "algorithm" not in text("DEFAULT")
    assert "precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision DEFAULT>]" in text(
        ("highest", None)
    )
    tf32 = text("TF32_TF32_F32_X3")
    assert "lhs_precision_type = tf32" in tf32 and "num_primitive_operations = 3" in tf32
    assert "stablehlo.convert" in text("F64_F64_F64") and "tensor<2x2xf16>" in text("F16_F16_F32")
    assert "rhs_precision_type = f8E4M3FN" in text("ANY_F8_ANY_F8_F32", "float8_e4m3fn")
    for preset in DotAlgorithmPreset:
        text(preset, "float8_e4m3fn")


def test_presets_say_what_they_are():
    presets = DotAlgorithmPreset
    assert (str(presets.F32_F32_F32), repr(presets.F32_F32_F32)) == ("F32_F32_F32", "DotAlgorithmPreset.F32_F32_F32")
    assert presets.BF16_BF16_F32.supported_lhs_types == (HALF, np.float32) and presets.DEFAULT.accumulation_type is None
    assert (
        presets.TF32_TF32_F32.supported_rhs_types == (np.float32,)
        and presets.F16_F16_F16.accumulation_type == np.float16
    )
    assert presets.ANY_F8_ANY_F8_ANY.accumulation_type is None and presets.ANY_F8_ANY_F8_F32.supported_lhs_types is None
    assert DotAlgorithm(HALF, HALF, np.float32)[3:] == (1, 1, 1, False)


def test_precision_names():
    assert lax.Precision("highest") is lax.Precision.HIGHEST
    assert lax.Precision("bfloat16") is lax.Precision.DEFAULT
    assert lax.Precision("tensorfloat32") is lax.Precision.HIGH
    with pytest.raises(ValueError, match="exact"):
        lax.Precision("exact")
