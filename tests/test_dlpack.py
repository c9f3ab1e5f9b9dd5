"""DLPack: arrays of every dtype that is said to be supported come in and go out, as copies or in the same memory."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import dlpack

NUMPYS = ("bool", "int8", "uint16", "int32", "float16", "float32", "complex64")
OTHERS = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu")


@pytest.mark.parametrize("name", NUMPYS)
def test_numpys_dtypes_come_in_and_go_out(name: str) -> None:
    assert dlpack.is_supported_dtype(name)
    x = np.ones((2, 3), name)
    y = dlpack.from_dlpack(x)
    x[0] = 0
    assert y.dtype == name
    assert np.from_dlpack(y).tolist() == np.ones((2, 3), name).tolist()


@pytest.mark.parametrize("name", OTHERS)
def test_other_dtypes_come_in_and_go_out(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    assert dlpack.is_supported_dtype(dtype)
    x = jnp.asarray(np.array([[0.5, 1, 2], [4, 8, 16]], np.float32).astype(dtype))[:, ::2]
    for copy in (None, False):
        options: dict[str, Any] = {} if copy is None else {"max_version": (1, 0), "copy": copy}
        y = jnp.from_dlpack(Foreign(x, options))
        assert y.dtype == dtype
        assert y.astype(np.float32).tolist() == [[0.5, 2], [4, 16]]


class Foreign:
    """An array of a library that has DLPack and nothing else."""

    def __init__(self, array: Any, options: dict[str, Any]) -> None:
        self.array, self.options = array, options

    def __dlpack__(self, **_: Any) -> Any:
        return self.array.__dlpack__(**self.options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_memory_is_shared_where_that_is_asked_for() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = jnp.from_dlpack(x, copy=False)
    assert np.shares_memory(np.from_dlpack(y, copy=False), x)
    assert not np.from_dlpack(y, copy=False).flags.writeable
    assert not np.shares_memory(np.from_dlpack(y), x)
    np.testing.assert_array_equal(pb.jit(lambda a: a * 2)(y), 2 * x)
    np.testing.assert_array_equal(pb.grad(lambda a: (a**2).sum())(y), 2 * x)
    tall = jnp.from_dlpack(x.T, copy=False)
    assert tall.shape == (3, 2)
    np.testing.assert_array_equal(tall, x.T)


def test_what_needs_a_copy_is_refused_without_one() -> None:
    with pytest.raises(BufferError, match="float64 becomes float32"):
        jnp.from_dlpack(np.ones(3), copy=False)
    with pb.enable_x64(True):
        assert jnp.from_dlpack(np.ones(3), copy=False).dtype == np.float64
    with pytest.raises(BufferError):
        jnp.ones(3).__dlpack__(copy=False)
    with pytest.raises(BufferError, match="int4"):
        jnp.ones(3, "int4").__dlpack__()
    with pytest.raises(TypeError, match="DLPack"):
        jnp.from_dlpack([1.0])
    for name in ("int4", "float4_e2m1fn", "datetime64[s]"):
        assert not dlpack.is_supported_dtype(getattr(ml_dtypes, name, name))


def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    t = torch.arange(6, dtype=torch.float32)
    y = jnp.from_dlpack(t, copy=False)
    t[0] = 9
    assert y[0] == 9 and jnp.from_dlpack(t).tolist() == [9, 1, 2, 3, 4, 5]
    back = torch.from_dlpack(y)
    back[0] = 5  # a copy
    assert y[0] == 9
    assert torch.from_dlpack(y, copy=False).data_ptr() == t.data_ptr()
    half = torch.tensor([1.5, 2.5], dtype=torch.bfloat16)
    assert jnp.from_dlpack(half).dtype == jnp.bfloat16 and jnp.from_dlpack(half).tolist() == [1.5, 2.5]
    assert torch.from_dlpack(jnp.asarray([1.5], jnp.bfloat16)).dtype == torch.bfloat16
