"""Types, shapes and axes."""

from __future__ import annotations

import pickle

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core import dtypes, types
from pullback.core.types import ShapedArray, broadcast_shapes, canonical_axes, canonical_axis, typeof


def test_typeof() -> None:
    f32 = np.dtype(np.float32)
    assert typeof(1.0) == ShapedArray((), f32, True)
    assert typeof(np.ones((2, 3), np.float32)) == ShapedArray((2, 3), f32)
    assert typeof(np.float64(1)) == ShapedArray((), f32)
    assert typeof(pb.ShapeDtypeStruct((2,), np.float32)) == ShapedArray((2,), f32)
    with pytest.raises(TypeError, match="not a valid array type"):
        typeof("text")


def test_types_print_as_they_are_read() -> None:
    assert repr(ShapedArray((3, 4), dtypes.bfloat16)) == "ShapedArray(bfloat16[3,4])"
    assert repr(ShapedArray((), dtypes.float32, True)) == "ShapedArray(float32[], weak_type=True)"
    assert ShapedArray((3,), np.dtype(np.int8)).str_short(short_dtypes=True) == "i8[3]"
    assert ShapedArray((), dtypes.bool_).str_short(short_dtypes=True) == "bool[]"
    assert ShapedArray((), dtypes.KEY).str_short() == "key<fry>[]"


def test_types_compare_and_hash() -> None:
    a, b = ShapedArray((2,), dtypes.float32), ShapedArray((2,), dtypes.float32)
    assert a == b and hash(a) == hash(b)
    assert a != a.update(weak_type=True) and a != a.update(shape=()) and a != a.update(dtype=dtypes.int32)
    assert a.size == 2 and a.ndim == 1


def test_tangents_of_integers_are_float0() -> None:
    assert ShapedArray((2,), dtypes.int32).to_tangent_aval().dtype == pb.float0
    assert ShapedArray((2,), dtypes.complex64).to_tangent_aval().dtype == dtypes.complex64


@pytest.mark.parametrize("axis, ndim, expected", [(0, 1, 0), (-1, 3, 2), (2, 3, 2), (np.int64(-3), 3, 0)])
def test_canonical_axis(axis: int, ndim: int, expected: int) -> None:
    assert canonical_axis(axis, ndim) == expected


def test_wrong_axes_are_named() -> None:
    with pytest.raises(ValueError, match="axis 2 is out of bounds for array of dimension 2"):
        canonical_axis(2, 2)
    with pytest.raises(IndexError, match="out of bounds"):  # both, as in NumPy
        canonical_axis(-3, 2)
    with pytest.raises(TypeError, match=r"must be an integer, got 1\.0"):
        canonical_axis(1.0, 2)
    with pytest.raises(ValueError, match="duplicate value in 'axis'"):
        canonical_axes((0, -2), 2)
    assert canonical_axes(None, 3) == (0, 1, 2) and canonical_axes(-1, 3) == (2,)


def test_broadcast_shapes_names_the_shapes() -> None:
    assert broadcast_shapes((2, 1), (3,), ()) == (2, 3)
    assert broadcast_shapes((0, 1), (1, 3)) == (0, 3)
    with pytest.raises(ValueError, match=r"\(2, 3\), \(4,\)"):
        broadcast_shapes((2, 3), (4,))


def test_dtypes_in_any_spelling() -> None:
    for spelling in (float, "float32", np.float32, np.dtype("f4"), "float64", "f8"):
        assert dtypes.canonicalize_dtype(spelling) == np.float32
    assert dtypes.canonicalize_dtype("bfloat16") == ml_dtypes.bfloat16
    assert dtypes.canonicalize_dtype(int) == np.int32 and dtypes.canonicalize_dtype(complex) == np.complex64
    with pb.enable_x64(True):
        assert dtypes.canonicalize_dtype(float) == np.float64
    for wrong in ("U3", object, "M8[s]"):
        with pytest.raises(TypeError, match="not a valid array type"):
            dtypes.canonicalize_dtype(wrong)


def test_kinds_and_subtypes() -> None:
    assert [
        dtypes.kind(d) for d in (dtypes.bool_, dtypes.int4, dtypes.uint8, dtypes.bfloat16, dtypes.complex64)
    ] == list("biufc")
    assert dtypes.issubdtype(dtypes.bfloat16, np.floating) and not dtypes.issubdtype(dtypes.int4, np.floating)
    assert dtypes.issubdtype(dtypes.int4, np.signedinteger) and dtypes.issubdtype(float, np.inexact)
    assert dtypes.issubdtype(dtypes.KEY, dtypes.prng_key) and not dtypes.issubdtype(dtypes.float32, dtypes.prng_key)


def test_limits_of_narrow_types() -> None:
    assert float(dtypes.finfo(dtypes.bfloat16).eps) == 2**-7
    assert dtypes.iinfo(dtypes.int4).max == 7
    assert [dtypes.itemsize_bits(d) for d in (dtypes.int4, dtypes.uint2, dtypes.bfloat16, dtypes.complex128)] == [
        4,
        2,
        16,
        128,
    ]


def test_types_that_nothing_has_are_forgotten() -> None:
    kept = [types.intern((n, 7, 9), np.dtype("float32"), False) for n in range(100)]
    for n in range(3 * (1 << 14)):
        types.intern((n, 3, 11), np.dtype("float32"), False)
    assert len(types._interned) <= types._limit < 1 << 17
    # Those that something has are the same objects as ever; numbers never come again.
    assert all(types.intern(t.shape, t.dtype, t.weak_type) is t for t in kept)
    assert len({t.number for t in types._interned.values()}) == len(types._interned)
    again = types.intern((0, 3, 11), np.dtype("float32"), False)
    assert again.number > max(t.number for t in kept)


def test_copies_of_numpys_types_are_numpys() -> None:
    field = np.dtype([("x", np.uint32)])["x"]
    assert field == np.uint32
    for t in (field, np.dtype(np.uint32), field.newbyteorder("="), pickle.loads(pickle.dumps(field))):
        assert dtypes.is_numpys(t)
    assert not any(
        dtypes.is_numpys(np.dtype(t)) for t in (ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, dtypes.KEY, dtypes.float0)
    )
    bits = pb.random.bits(pb.random.PRNGKey(0), (50,))
    np.testing.assert_array_equal(jnp.argsort(bits), np.argsort(np.asarray(bits)))
    np.testing.assert_array_equal(jnp.sort(bits), np.sort(np.asarray(bits)))
