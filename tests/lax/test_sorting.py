"""Orders, special values and errors of `lax.sorting`. The laws are the conformance table's."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import jit, tree
from pullback.control.loops import scan
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.lax import sorting as lax
from pullback.lax.cumulative import cummax
from pullback.transforms.derivatives import grad, jacrev
from pullback.transforms.vmap import vmap

NAN, INF = np.nan, np.inf
FLOATS = [np.float32, np.float16, ml_dtypes.bfloat16]


def array(values: object, dtype: object = np.float32) -> object:
    return as_array(np.array(values, dtype))


def same(got: object, expected: object) -> None:
    """Equal values, signs of zeros included."""
    a, b = np.asarray(got).astype(np.float64), np.asarray(expected, np.float64)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_nans_come_last_and_zeros_keep_their_order(dtype):
    x = array([NAN, 1, 0.0, -0.0, -INF, 0.0, INF, -NAN], dtype)
    same(lax.sort(x), [-INF, 0.0, -0.0, 0.0, 1, INF, NAN, NAN])


@pytest.mark.parametrize("is_stable", [True, False])
def test_long_arrays_with_negative_zeros(is_stable):
    x = np.tile(np.array([0.0, -0.0, -1.0], np.float32), 400)
    out = np.asarray(lax.sort(as_array(x), is_stable=is_stable))
    assert (out[:400] == -1).all()
    assert np.signbit(out[400:]).sum() == 400
    if is_stable:
        assert np.signbit(out[400:]).tolist() == [False, True] * 400


def test_complex_numbers_compare_part_by_part():
    x = array([complex(1, NAN), complex(NAN, 0), 2, 1, complex(1, -3), complex(NAN, NAN)], np.complex64)
    out = np.asarray(lax.sort(x))
    np.testing.assert_array_equal(out.real, np.array([1, 1, 1, 2, NAN, NAN], np.float32))
    np.testing.assert_array_equal(out.imag, np.array([-3, 0, NAN, 0, 0, NAN], np.float32))


def test_several_operands_follow_the_keys():
    k, v = array([2, 1, 2, 1], np.int32), array([4, 3, 2, 1])
    keys, values = lax.sort_key_val(k, v)
    assert (keys.tolist(), values.tolist()) == ([1, 1, 2, 2], [3, 1, 4, 2])
    _, both = lax.sort((k, v), num_keys=2)
    assert both.tolist() == [1, 3, 2, 4]
    assert isinstance(lax.sort([k, v]), tuple)


def test_derivative_moves_tangents_with_their_keys():
    k, v = array([2, 1, 3]), array([4, 5, 6])
    assert grad(lambda k: lax.sort_key_val(k, v)[0][0])(k).tolist() == [0, 1, 0]
    assert grad(lambda v: lax.sort_key_val(k, v)[1][0])(v).tolist() == [0, 1, 0]
    assert jacrev(lambda x: lax.sort(x * x))(array([3, -1])).tolist() == [[0, -2], [6, 0]]


def test_top_k():
    values, indices = lax.top_k(array([[3, 1, 3], [0, -1, 5]]), 2)
    assert values.tolist() == [[3, 3], [5, 0]]
    assert indices.tolist() == [[0, 2], [2, 0]]
    assert indices.dtype == np.int32
    values, _ = lax.top_k(array([[3, 1, 3], [0, -1, 5]]), 1, axis=0)
    assert values.tolist() == [[3, 1, 5]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_top_k_uses_the_total_order(dtype):
    x = array([-0.0, 0.0, -INF, INF, np.copysign(NAN, -1), NAN, 2], dtype)
    values, indices = lax.top_k(x, 7)
    same(values, [NAN, INF, 2, 0.0, -0.0, -INF, NAN])
    assert indices.tolist() == [5, 3, 6, 1, 0, 2, 4]


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e4m3fnuz", "int8", "int32", "uint16", "uint32", "int4", "uint4", "bool"]
)  # fmt: skip
@pytest.mark.parametrize("shape, axis", [((200,), 0), ((7, 40), 1), ((40, 3, 5), 0)])
def test_compiled_top_k_is_the_eager_one(dtype, shape, axis):
    bits = np.random.default_rng(0).integers(0, 256, (*shape, np.dtype(jnp.dtype(dtype)).itemsize), np.uint8)
    bits[bits.sum(-1) % 3 == 0] = 0  # ties
    bits &= {"bool": 1, "int4": 7, "uint4": 15}.get(dtype, 255)
    x = as_array(bits.view(jnp.dtype(dtype))[..., 0])  # every NaN that there is, and all limits
    for k in (1, 5, 40):
        top = lambda x, k=k: lax.top_k(x, k, axis=axis)
        for ours, theirs in zip(pb.jit(top)(x), top(x)):
            assert ours.dtype == theirs.dtype
            assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


def test_top_k_of_integers_at_the_limits():
    assert lax.top_k(array([-128, 127, 0], np.int8), 3)[0].tolist() == [127, 0, -128]
    assert lax.top_k(array([0, 255, 1], np.uint8), 3)[0].tolist() == [255, 1, 0]
    assert lax.top_k(array([False, True, True], np.bool_), 2)[1].tolist() == [1, 2]


def test_approximate_searches_are_exact():
    x = array(np.random.default_rng(0).normal(size=(3, 50)))
    values, indices = lax.approx_min_k(x, 4, recall_target=0.5)
    order = np.argsort(np.asarray(x), -1)[:, :4]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(np.asarray(x), order, -1))
    np.testing.assert_array_equal(lax.approx_max_k(x, 4)[0], -np.sort(-np.asarray(x), -1)[:, :4])


def test_sorting_under_vmap_leaves_slices_apart():
    x = array([[3, 1, 2], [9, 8, 7]])
    assert vmap(lax.sort)(x).tolist() == [[1, 2, 3], [7, 8, 9]]
    assert vmap(lax.sort, 1, 1)(x).tolist() == [[3, 1, 2], [9, 8, 7]]
    keys, values = vmap(lax.sort_key_val, (None, 0))(array([2, 0, 1]), x)
    assert keys.tolist() == [[0, 1, 2]] * 2
    assert values.tolist() == [[1, 2, 3], [8, 7, 9]]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: lax.sort(array(1.0)), ValueError, "dimension -1 is out of bounds"),
        (lambda: lax.sort(array([1.0]), 1), ValueError, "out of bounds"),
        (lambda: lax.sort((array([1.0]), array([1.0, 2.0]))), TypeError, r"\(1,\), \(2,\)"),
        (lambda: lax.sort((array([1.0]),), num_keys=2), ValueError, "num_keys"),
        (lambda: lax.sort(()), TypeError, "at least one"),
        (lambda: lax.top_k(array([1.0]), 2), ValueError, "no larger than size"),
        (lambda: lax.top_k(array([1.0]), -1), ValueError, "nonnegative"),
        (lambda: lax.top_k(array([1j], np.complex64), 1), ValueError, "complex64"),
        (lambda: lax.top_k(array(1.0), 1), ValueError, "out of bounds"),
        (lambda: lax.approx_max_k(array([1], np.int32), 1), ValueError, "int32"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


#: What orders numbers or looks for one among them.
ORDERING = {
    "argmax": lambda x, w: jnp.argmax(x, 1), "argmin": lambda x, w: jnp.argmin(x, 0), "sort": lambda x, w: jnp.sort(x, 1),
    "argsort": lambda x, w: jnp.argsort(x, 1, descending=True), "sort by two keys": lambda x, w: lax.sort((x, w), num_keys=2),
    "sort with values": lambda x, w: lax.sort_key_val(w, x), "top_k": lambda x, w: lax.top_k(x, 3), "max": lambda x, w: jnp.max(x, 1),
    "median place": lambda x, w: jnp.partition(x, 2, 1), "cummax": lambda x, w: cummax(x, 1), "unique": lambda x, w: jnp.unique(x, size=4),
    "searched": lambda x, w: jnp.searchsorted(jnp.sort(x[0]), x[1]), "lexsort": lambda x, w: jnp.lexsort((x, w)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["int2", "uint2", "int4", "uint4", "int8", "float8_e4m3fn", "float4_e2m1fn"])
@pytest.mark.parametrize("name", ORDERING)
def test_narrow_numbers_are_ordered_in_compiled_code(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    low = 0 if dtype.startswith("u") else -2
    x, w = (as_array(rng.integers(low, low + 4, (3, 5)).astype(dtypes.canonicalize_dtype(dtype))) for _ in range(2))
    wanted, loop = tree.leaves(ORDERING[name](x, w)), lambda c, _: (c, ORDERING[name](x, w))
    for got in (jit(ORDERING[name])(x, w), tree.map(lambda y: y[0], scan(loop, 0, None, length=1)[1])):
        for a, b in zip(tree.leaves(got), wanted, strict=True):
            assert a.dtype == b.dtype
            same(a, b)
