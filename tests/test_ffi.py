"""Foreign functions: kernels in C++, compiled here, called eagerly and in programs."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import ShapeDtypeStruct, errors, export, ffi, grad, jit, vmap

F = np.float32
X = np.linspace(-1, 1, 24, dtype=F).reshape(2, 3, 4)
EPS = F(1e-5)
KEPT: list[Any] = []
COMPILER = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if COMPILER is None:
        pytest.skip("there is no C++ compiler")
    built = tmp_path_factory.mktemp("kernels") / "kernels.so"
    source = Path(__file__).parent / "kernels.cc"
    command = [
        COMPILER,
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-O1",
        f"-I{ffi.include_dir()}",
        str(source),
        "-o",
        str(built),
    ]
    subprocess.run(command, check=True, capture_output=True)
    found = ctypes.cdll.LoadLibrary(str(built))
    for name in ("RmsNorm", "Attributes", "Count", "Increment", "Raw"):
        ffi.register_ffi_target(f"test_{name}", ffi.pycapsule(getattr(found, name)))
    return found


def rms_norm(x: Any, vmap_method: str | None = "broadcast_all") -> Any:
    types = [ShapeDtypeStruct(x.shape, x.dtype), ShapeDtypeStruct(x.shape[:-1], x.dtype)]
    return ffi.ffi_call("test_RmsNorm", types, vmap_method=vmap_method)(x, eps=EPS)


def expected(x: Any) -> Any:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS)


def test_eager_and_compiled() -> None:
    for fun in (rms_norm, jit(rms_norm)):
        y, factor = fun(X)
        np.testing.assert_allclose(y, expected(X), rtol=1e-6)
        assert factor.shape == (2, 3)
        assert isinstance(y, pb.Array)
    assert rms_norm(np.zeros((0, 4), F))[0].shape == (0, 4)


@pytest.mark.parametrize("method", ["sequential", "expand_dims", "broadcast_all", "legacy_vectorized"])
def test_batching(method: str) -> None:
    for fun in (vmap(lambda x: rms_norm(x, method)[0]), jit(vmap(lambda x: rms_norm(x, method)[0]))):
        np.testing.assert_allclose(fun(X), expected(X), rtol=1e-6)
    np.testing.assert_allclose(vmap(lambda x: rms_norm(x, method)[0], 1, 1)(X), expected(X), rtol=1e-6)
    with pytest.raises(NotImplementedError, match=r"vmap_method.*"):
        vmap(lambda x: rms_norm(x, None)[0])(X)


def test_derivatives_are_those_of_a_custom_rule() -> None:
    @pb.custom_vjp
    def norm(x: Any) -> Any:
        return rms_norm(x)[0]

    def backward(saved: Any, ct: Any) -> Any:
        x, factor = saved
        factor = factor[..., None]
        return (factor * ct - x * factor**3 * (x * ct).mean(-1, keepdims=True),)

    norm.defvjp(lambda x: (lambda y, factor: (y, (x, factor)))(*rms_norm(x)), backward)
    weights = np.cos(np.arange(24, dtype=F)).reshape(X.shape)
    wanted = grad(lambda x: (x / jnp.sqrt((x**2).mean(-1, keepdims=True) + EPS) * weights).sum())(X)
    for transformed in (grad(lambda x: (norm(x) * weights).sum()), jit(grad(lambda x: (norm(x) * weights).sum()))):
        np.testing.assert_allclose(transformed(X), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vmap(grad(lambda x, w: (norm(x) * w).sum()))(X, weights), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="test_RmsNorm.*custom_jvp"):
        grad(lambda x: rms_norm(x)[0].sum())(X)


def test_attributes_of_every_kind() -> None:
    attributes: dict[str, Any] = {
        "whole": -3, "real": 1.5, "narrow": np.int32(7), "flag": True, "text": 'a "quoted"\nline, €', "numbers": np.arange(5),
        "nested": {"half": F(0.5)},
    }  # fmt: skip
    with pb.enable_x64(True):
        out = ffi.ffi_call("test_Attributes", ShapeDtypeStruct((7,), np.float64))(**attributes)
    assert out.tolist() == [-3, 1.5, 7, 1, len('a "quoted"\nline, €'.encode()), 10, 0.5]
    for wrong in (1j, np.ones((2, 2)), None, jnp.ones(3)):
        with pytest.raises(TypeError, match="attribute 'eps'"):
            ffi.ffi_call("test_RmsNorm", ShapeDtypeStruct((3,), F))(X, eps=wrong)


def test_side_effects_happen_once_a_run() -> None:
    count = ffi.ffi_call("test_Count", ShapeDtypeStruct((), np.int32), has_side_effect=True)

    @jit
    def twice() -> Any:
        count()  # whose result nobody uses
        return count()

    first = int(twice())
    assert int(twice()) == first + 2


def test_memory_is_shared_where_that_is_asked_for() -> None:
    types = [ShapeDtypeStruct((4,), F), ShapeDtypeStruct((), np.bool_)]
    x = jnp.arange(4.0)

    def fun(aliases: dict[int, int] | None) -> Any:
        return jit(lambda x: ffi.ffi_call("test_Increment", types, input_output_aliases=aliases)(x * 2))(x)

    for aliases, shared in ((None, False), ({0: 0}, True)):
        y, found = fun(aliases)
        assert y.tolist() == [1, 3, 5, 7] and bool(found) is shared
    assert x.tolist() == [0, 1, 2, 3]
    y, _ = ffi.ffi_call("test_Increment", types, input_output_aliases={0: 0})(x)
    assert (x.tolist(), y.tolist()) == ([0, 1, 2, 3], [1, 2, 3, 4])
    for wrong in ({1: 0}, {0: 1}, {0: 5}):
        with pytest.raises(ValueError, match="input_output_aliases"):
            ffi.ffi_call("test_Increment", types, input_output_aliases=wrong)(x)


def test_layouts() -> None:
    x = X[0]
    for order, raw in ((None, x.ravel()), ((0, 1), x.ravel()), ((1, 0), x.T.ravel())):
        call = ffi.ffi_call("test_Raw", ShapeDtypeStruct((12,), F), input_layouts=[order])
        np.testing.assert_array_equal(call(x), raw)
        np.testing.assert_array_equal(jit(call)(x), raw)
    columns = ffi.ffi_call("test_Raw", ShapeDtypeStruct((4, 3), F), output_layouts=(1, 0))
    np.testing.assert_array_equal(jit(columns)(x), x.ravel().reshape(3, 4).T)
    for wrong in ([(0, 0)], [(0,)], []):
        with pytest.raises(ValueError, match="input_layouts"):
            ffi.ffi_call("test_Raw", ShapeDtypeStruct((12,), F), input_layouts=wrong)(x)


def test_errors_of_kernels_are_reported() -> None:
    for fun in (rms_norm, jit(rms_norm)):
        with pytest.raises(errors.JaxRuntimeError, match="RmsNorm input must be an array"):
            fun(F(1.0)) if fun is not rms_norm else ffi.ffi_call("test_RmsNorm", [ShapeDtypeStruct((), F)] * 2)(
                F(1.0), eps=EPS
            )
    assert rms_norm(X)[0].shape == X.shape  # and what comes next is as before


def test_wrong_uses() -> None:
    with pytest.raises(errors.JaxRuntimeError, match="test_missing"):
        ffi.ffi_call("test_missing", ShapeDtypeStruct((), F))()
    with pytest.raises(TypeError, match="PyCapsule"):
        ffi.register_ffi_target("test_other", lambda: None)
    with pytest.raises(ValueError, match="vmap_method"):
        ffi.ffi_call("test_Raw", ShapeDtypeStruct((), F), vmap_method="magic")
    with pytest.raises(ValueError, match="legacy_backend_config"):
        ffi.ffi_call("test_Raw", ShapeDtypeStruct((), F), legacy_backend_config="x")


def test_types_are_registered_and_wrong_registrations_refused_at_once() -> None:
    number = ctypes.c_int64(0)  # as an XLA_FFI_TypeId is; it lives as long as this test's process
    KEPT.append(number)
    ffi.register_ffi_type("test_State", {"type_id": ffi.pycapsule(ctypes.addressof(number))})
    assert jit(lambda x: x + 1)(1.0) == 2.0  # the platform has started
    assert number.value > 0
    capsule = ffi.pycapsule(ctypes.addressof(number))
    for wrong in (capsule, {}, {"type_info": capsule}, {"type_id": 1}, {"type_id": capsule, "type_info": 1}, None):
        with pytest.raises(TypeError, match="PyCapsules"):
            ffi.register_ffi_type("test_wrong", wrong)


def test_export_asks_for_a_promise() -> None:
    with pytest.raises(ValueError, match="test_RmsNorm"):
        export.export(jit(rms_norm))(X)
    e = export.export(jit(rms_norm), disabled_checks=[export.DisabledSafetyCheck.custom_call("test_RmsNorm")])(X)
    np.testing.assert_allclose(export.deserialize(e.serialize()).call(X)[0], expected(X), rtol=1e-6)


def test_in_loops_and_threads() -> None:
    def step(x: Any, _: None) -> Any:
        y = rms_norm(x)[0]
        return y, y.sum()

    end, sums = jit(lambda x: pb.lax.scan(step, x, None, length=3))(X)
    np.testing.assert_allclose(end, expected(expected(expected(X))), rtol=1e-5)
    assert sums.shape == (3,)
