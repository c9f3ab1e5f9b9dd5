"""`numpy/types.py`: scalar types, abstract kinds, limits, promotion and printing."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.config import enable_x64
from pullback.core.errors import TypePromotionError

NAMES = [
    "bfloat16", "bool_", "complex128", "complex64", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "int16", "int32",
    "int4", "int64", "int8", "uint16", "uint32", "uint4", "uint64", "uint8",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_scalar_types_are_dtypes_and_make_arrays(name: str) -> None:
    scalar = getattr(jnp, name)
    dtype = scalar.dtype
    assert isinstance(scalar, type) and np.dtype(scalar) == dtype and dtype == scalar
    assert scalar == dtype.type and scalar == dtype and scalar != "float32" and hash(scalar) == hash(dtype.type)
    assert {scalar: 1}[dtype.type] == 1
    with enable_x64(True):
        for out in (scalar(1), jnp.ones((), scalar), jnp.asarray([1], scalar)[0]):
            assert out.dtype == scalar and not out.weak_type and float(out.astype("float32").real) == 1.0
    assert repr(scalar) == f"<class 'pullback.numpy.{dtype.name}'>"


def test_64_bit_types_need_the_option() -> None:
    assert jnp.float64(3).dtype == jnp.float32 and jnp.int_(3).dtype == jnp.int32
    with enable_x64(True):
        assert jnp.float64(3).dtype == jnp.float64


def test_aliases() -> None:
    assert jnp.bool is jnp.bool_ and jnp.single is jnp.float32 and jnp.double is jnp.float_ is jnp.float64
    assert jnp.int_ is jnp.int64 and jnp.uint is jnp.uint64 and jnp.csingle is jnp.complex64
    assert jnp.cdouble is jnp.complex_ is jnp.complex128
    assert jnp.floating is np.floating and jnp.newaxis is None and jnp.dtype is np.dtype
    assert isinstance(jnp.ones(2), jnp.ndarray) and not isinstance(jnp.float32(1), jnp.float32)


@pytest.mark.parametrize(
    "value, error", [((300, "int8"), OverflowError), ((-1, "uint8"), OverflowError), ((1j, "float32"), TypeError)]
)
def test_scalars_that_do_not_fit(value: tuple[Any, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(jnp, value[1])(value[0])


def test_limits() -> None:
    assert jnp.finfo(jnp.float32).max == np.finfo(np.float32).max
    assert jnp.finfo(jnp.bfloat16).eps == ml_dtypes.finfo(ml_dtypes.bfloat16).eps
    assert (
        jnp.finfo(jnp.complex64).dtype == np.float32
        and jnp.finfo(jnp.ones(2)).bits == 32
        and jnp.finfo(float).bits == 64
    )
    assert jnp.iinfo(jnp.int4).max == 7 and jnp.iinfo(int).max == 2**63 - 1 and jnp.iinfo(3).bits == 64
    with pytest.raises(ValueError):
        jnp.finfo(int)
    with pytest.raises(ValueError):
        jnp.iinfo(jnp.float32)


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ("int32", "float32", "float32"), (int, "float16", "float16"), (float, int, "float64"), (int, int, "int64"),
        ("int8", "uint8", "int16"),
        ("uint64", "int64", "float64"), (float, "bfloat16", "bfloat16"), ("bfloat16", "float16", "float32"),
        (complex, "float32", "complex64"),
        (bool, int, "int64"), ("float64", "int8", "float64"), (jnp.float8_e4m3fn, int, "float8_e4m3fn"),
    ],
)  # fmt: skip
def test_promote_types(a: Any, b: Any, expected: str) -> None:
    assert jnp.promote_types(a, b).name == jnp.promote_types(b, a).name == expected


def test_promotion_of_values() -> None:
    assert jnp.result_type(1, 2.0) == jnp.float32 and jnp.result_type(jnp.int8, 2) == jnp.int8
    assert jnp.result_type(jnp.int32(1), 1.0) == jnp.float32 and jnp.result_type("int64", "float16") == jnp.float16
    with pytest.raises(TypePromotionError):
        jnp.promote_types(jnp.int4, jnp.int8)
    with pytest.raises(ValueError, match="at least one"):
        jnp.result_type()
    assert jnp.can_cast(jnp.bfloat16, jnp.float32) and not jnp.can_cast("float32", "int32")
    assert jnp.can_cast(jnp.int8, jnp.float32, casting="unsafe")
    assert jnp.can_cast(np.int8(1), "int16") and jnp.can_cast(jnp.ones(2, "int8"), jnp.int16)
    for from_, to in [(True, "int8"), (1, "int8"), (1.5, "float64"), (1j, "int8"), (None, "int8"), ("int8", None)]:
        with pytest.raises(TypeError, match="can_cast"):
            jnp.can_cast(from_, to)


def test_kinds() -> None:
    assert jnp.issubdtype(jnp.bfloat16, jnp.floating) and jnp.issubdtype(jnp.int4, jnp.signedinteger)
    assert jnp.issubdtype(jnp.float32, jnp.float32) and not jnp.issubdtype(jnp.float32, jnp.float64)
    assert not jnp.issubdtype(jnp.bool_, jnp.integer) and jnp.issubdtype(jnp.floating, jnp.inexact)
    assert jnp.isdtype(jnp.bfloat16, "real floating") and jnp.isdtype("float32", jnp.float32)
    assert jnp.isdtype(jnp.uint4, "unsigned integer") and jnp.isdtype("complex64", ("numeric", "bool"))
    assert not jnp.isdtype("float32", ("integral", "bool"))
    with pytest.raises(ValueError, match="bogus"):
        jnp.isdtype("float32", "bogus")
    with pytest.raises(TypeError):
        jnp.isdtype("float32", jnp.floating)
    assert jnp.iscomplexobj(1j) and jnp.iscomplexobj([1j]) and jnp.isrealobj(jnp.ones(1)) and not jnp.iscomplexobj("a")


def test_printing() -> None:
    x = jnp.array([1.0, 1 / 3])
    assert jnp.array_repr(x, precision=2) == "Array([1.  , 0.33], dtype=float32)"
    assert jnp.array_str([1, 2]) == "[1 2]"
    with jnp.printoptions(precision=3):
        assert jnp.get_printoptions()["precision"] == 3 and str(x) == "[1.    0.333]"


@pytest.mark.parametrize("other", ["U2", "S3", "M8[s]", "V4"])
def test_what_does_not_combine_is_not_always_a_key(other: str) -> None:
    key = pb.random.key(0).dtype
    for a, b in ((other, "int8"), ("float32", other)):
        with pytest.raises(TypeError, match="only numbers and booleans"):
            jnp.promote_types(a, b)
    with pytest.raises(TypeError, match="typed keys are opaque"):
        jnp.result_type(key, jnp.int8)
