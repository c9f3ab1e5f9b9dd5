"""Joining, cutting, padding, reversing, counting, reinterpreting: against NumPy, and the mistakes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core.array import as_array
from pullback.lax.static_index import StaticIndex, static_index_p
from pullback.transforms.derivatives import grad
from pullback.transforms.tracing import make_jaxpr
from pullback.transforms.vmap import vmap

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def same(actual: Any, expected: Any) -> None:
    actual = np.asarray(actual)
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == np.asarray(expected).dtype


def padded(x: Any, value: float, config: Any) -> Any:
    """The definition: interior padding, then elements added or removed at the ends."""
    for axis, (low, high, interior) in enumerate(config):
        x = np.moveaxis(x, axis, 0)
        n = len(x)
        wide = np.full((n + max(n - 1, 0) * interior, *x.shape[1:]), value, x.dtype)
        wide[:: interior + 1] = x
        before, after = (np.full((max(k, 0), *x.shape[1:]), value, x.dtype) for k in (low, high))
        wide = np.concatenate([before, wide, after])
        x = np.moveaxis(wide[max(0, -low) : len(wide) - max(0, -high)], 0, axis)
    return x


@pytest.mark.parametrize("config", [
    ((0, 0, 0), (0, 0, 0)), ((1, 2, 0), (0, 3, 1)), ((-1, 2, 0), (2, -1, 2)), ((-2, -2, 1), (-3, 1, 1)), ((0, -3, 0), (0, 0, 4)),
    ((1, -4, 0), (-4, 0, 0)), ((-1, 0, 3), (0, -6, 2)),
])  # fmt: skip
def test_pad(config: Any) -> None:
    same(lax.pad(X, np.float32(9), config), padded(X, 9, config))


@pytest.mark.parametrize("n", [0, 1])
def test_pad_of_short_axes(n: int) -> None:
    same(lax.pad(np.zeros(n, np.float32), 9.0, [(1, 1, 2)]), np.float32([9] + [0] * n + [9]))


def test_pad_value_has_the_derivative_of_what_it_fills() -> None:
    weights = np.float32(
        [1, np.inf, 4]
    )  # the infinity is in the operand's place: it must not reach the value's derivative
    out = grad(lambda v: (lax.pad(as_array(np.ones(1, np.float32)), v, [(1, 1, 0)]) * weights).sum())(np.float32(2))
    same(out, np.float32(5))


def test_joining_and_cutting() -> None:
    same(lax.concatenate([X, X[:1]], 0), np.concatenate([X, X[:1]]))
    same(lax.concatenate(as_array(X), 0), X.reshape(-1))
    same(lax.stack([X, X + 1], -1), np.stack([X, X + 1], -1))
    for part, expected in zip(lax.unstack(X, 1), X.T, strict=True):
        same(part, expected)
    for part, expected in zip(lax.split(X, (1, 0, 3), 1), np.split(X, [1, 1], 1), strict=True):
        same(part, expected)
    assert lax.unstack(X[:0]) == ()
    same(lax.slice(X, (1, 0), (3, 4), (1, 3)), X[1:3, ::3])
    same(lax.slice_in_dim(X, -2, None, 1, 1), X[:, -2:])
    same(lax.index_in_dim(X, -1, 1, False), X[:, -1])
    same(lax.tile(X, (2, 3)), np.tile(X, (2, 3)))
    same(lax.rev(X, (0, 1)), X[::-1, ::-1])
    assert lax.collapse(X.reshape(3, 2, 2), 1).shape == (3, 4)
    assert lax.collapse(X.reshape(3, 2, 2), -2, -1).shape == (3, 2, 2)


def test_making() -> None:
    same(lax.iota(np.int8, 200), np.arange(200).astype(np.int8))
    same(lax.broadcasted_iota(complex, (2, 3), 1), np.complex64([[0, 1, 2]] * 2))
    assert lax.full((2,), 1).weak_type
    assert not lax.full((2,), 1, int).weak_type
    assert lax.full_like(lax.full((2,), 1.0), 3).weak_type
    same(lax.full_like(X, 2, shape=(2,)), np.float32([2, 2]))
    same(lax.empty((2,), np.int8), np.zeros(2, np.int8))
    assert lax.broadcast(X, (2, 0)).shape == (2, 0, 3, 4)
    assert lax.broadcast_to_rank(X, 4).shape == (1, 1, 3, 4)
    assert lax.broadcast_like(1.0, X).shape == (3, 4)
    with pytest.raises(ValueError, match="broadcast"):
        lax.broadcast_like(X, X[0])


@pytest.mark.parametrize("old, new", [
    ("float32", "int32"), ("float32", "uint8"), ("uint8", "int16"), ("bfloat16", "uint16"), ("int64", "float16"), ("int8", "int8"),
])  # fmt: skip
def test_bitcast(old: str, new: str) -> None:
    from pullback.core.config import enable_x64

    with enable_x64(True):
        x = np.arange(16).reshape(2, 8).astype(getattr(ml_dtypes, old, old))
        target = np.dtype(getattr(ml_dtypes, new, new))
        out = np.asarray(lax.bitcast_convert_type(x[:, :2] if target.itemsize == 2 * x.itemsize else x, target))
        assert out.dtype == target
        source = x[:, :2] if target.itemsize == 2 * x.itemsize else x
        assert out.tobytes() == source.tobytes()


def test_bitcast_of_half_bytes() -> None:
    halves = lax.bitcast_convert_type(np.array([0x5A, -1], np.int8), ml_dtypes.uint4)
    same(np.asarray(halves).astype(int), [[10, 5], [15, 15]])
    same(lax.bitcast_convert_type(halves, np.int8), np.array([0x5A, -1], np.int8))


@pytest.mark.parametrize("start", [(0, 0), (1, 2), (5, -1), (-9, 9), (np.uint8(250), np.uint8(0))])
def test_dynamic_slices_clamp(start: Any) -> None:
    i, j = (min(max(int(s) + (n if s < 0 else 0), 0), n - 2) for s, n in zip(start, X.shape))
    same(lax.dynamic_slice(X, start, (2, 2)), X[i : i + 2, j : j + 2])
    expected = X.copy()
    expected[i : i + 2, j : j + 2] = -1
    same(lax.dynamic_update_slice(X, np.full((2, 2), -1, np.float32), start), expected)
    traced = vmap(lambda s: lax.dynamic_slice(X, s, (2, 2)))(np.array([start, start]).astype(np.int32))
    same(traced, np.stack([X[i : i + 2, j : j + 2]] * 2))


def test_dynamic_positions_of_one_axis() -> None:
    same(lax.dynamic_slice_in_dim(X, 2, 2, 1), X[:, 2:])
    same(lax.dynamic_slice_in_dim(X, -1, 1, 0, allow_negative_indices=np.True_), X[-1:])
    same(lax.dynamic_index_in_dim(X, -1, allow_negative_indices=1), X[-1:])
    same(lax.dynamic_index_in_dim(X, -1, 1, False), X[:, -1])
    same(lax.dynamic_update_index_in_dim(X, np.zeros(4, np.float32), 1, 0), X * np.float32([[1], [0], [1]]))
    same(lax.dynamic_update_slice_in_dim(X, np.zeros((3, 1), np.float32), 9, 1), X * np.float32([1, 1, 1, 0]))
    same(lax.index_take(X, (np.array([0, 1]), np.array([1, 5])), (0, 1)), np.float32([1, 5]))


def test_products() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32), np.ones((2, 4, 5), np.float32)
    np.testing.assert_allclose(np.asarray(lax.batch_matmul(a, b)), a @ b, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(lax.dot(a[0], b[0, :, 0])), a[0] @ b[0, :, 0], rtol=1e-5)
    with pytest.raises(ValueError, match="dimension_numbers"):
        lax.dot(a, b)


def test_typed_keys_are_moved_like_numbers() -> None:
    from pullback.core import dtypes

    keys = np.zeros(3, dtypes.KEY)
    keys["fry"] = np.arange(6, dtype=np.uint32).reshape(3, 2)
    out = lax.concatenate([lax.rev(as_array(keys), (0,)), as_array(keys[:1])], 0)
    np.testing.assert_array_equal(pb.random.key_data(out), [[4, 5], [2, 3], [0, 1], [0, 1]])
    assert static_index_p.bind(as_array(keys), index=StaticIndex((1,))).shape == ()


def test_programs_show_static_indices_as_standard_operations() -> None:
    program = str(make_jaxpr(lambda x: x[1, ::-2].at[0].set(0.0))(X))
    assert "static" not in program
    for name in ("slice", "rev", "dynamic_update_slice"):
        assert name in program


@pytest.mark.parametrize("call, error, message", [
    (lambda: lax.pad(X, 9.0, [(0, 0, 0)]), ValueError, "length of padding_config"),
    (lambda: lax.pad(X, np.int32(9), [(0, 0, 0), (1, 0, 0)]), TypeError, "same dtype"),
    (lambda: lax.pad(X, 9.0, [(0, 0, -1), (0, 0, 0)]), ValueError, "nonnegative"),
    (lambda: lax.pad(X, 9.0, [(-9, 0, 0), (0, 0, 0)]), ValueError, "at least 0"),
    (lambda: lax.concatenate([X, X], 2), TypeError, "out of bounds"),
    (lambda: lax.concatenate([], 0), ValueError, "non-empty"),
    (lambda: lax.concatenate([X, X.astype(int)], 0), TypeError, "same dtypes"),
    (lambda: lax.concatenate([X, X[:, :2]], 0), TypeError, "differ in dimensions"),
    (lambda: lax.slice(X, (0, 0), (4, 4)), TypeError, "limit_indices"),
    (lambda: lax.rev(X, (0, 0)), TypeError, "unique"),
    (lambda: lax.rev(X, (2,)), TypeError, "less than operand ndim"),
    (lambda: lax.iota(bool, 3), TypeError, "bool"),
    (lambda: lax.iota(int, -1), TypeError, "nonnegative"),
    (lambda: lax.split(X, (1, 1)), ValueError, "Sum of sizes"),
    (lambda: lax.stack([X, X[0]]), ValueError, "Cannot stack"),
    (lambda: lax.tile(X, (2,)), TypeError, "reps length"),
    (lambda: lax.full((2,), X), TypeError, "scalar fill_value"),
    (lambda: lax.bitcast_convert_type(X > 0, np.uint8), TypeError, "does not support bool"),
    (lambda: lax.bitcast_convert_type(X[:, :3], np.float64), ValueError, "last axis"),
    (lambda: lax.dynamic_slice(X, (1,), (2, 2)), ValueError, "Length of slice indices"),
    (lambda: lax.dynamic_slice(X, (1.0, 0), (2, 2)), TypeError, "must be integer"),
    (lambda: lax.dynamic_slice(X, (1, 0), (5, 2)), TypeError, "slice_sizes"),
    (lambda: lax.dynamic_update_slice(X, X[0], (0, 0)), TypeError, "same rank"),
    (lambda: lax.index_in_dim(X, 7, 1), IndexError, "out of bounds"),
    (lambda: lax.collapse(X, 1, 0), ValueError, "Invalid dimension range"),
])  # fmt: skip
def test_mistakes_are_named(call: Any, error: type[Exception], message: str) -> None:
    from pullback.core.config import enable_x64

    with enable_x64(True), pytest.raises(error, match=message):
        call()


DIMENSIONS = [
    ((2, 3), (2, 0), (3, 4, 2)),
    ((2, 3, 4), (2, 0, 3), (3, 1, 2, 4)),
    ((1, 3), (1, 0), (3, 5)),
    ((0, 3), (1, 0), (3, 0)),
]


@pytest.mark.parametrize(("shape", "dims", "target"), DIMENSIONS)
def test_broadcasts_that_permute(shape, dims, target):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), "float32")
    order = np.argsort(dims)
    placed = np.asarray(x).transpose(order)
    new = [i for i in range(len(target)) if i not in dims]
    want = np.broadcast_to(np.expand_dims(placed, tuple(new)), target)
    f = lambda x: lax.broadcast_in_dim(x, target, dims)
    for g in (f, pb.jit(f)):
        np.testing.assert_array_equal(g(x), want)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=target), "float32")
    transposed = pb.linear_transpose(f, x)
    for t in (
        lambda w: transposed(w)[0],
        pb.jit(lambda w: transposed(w)[0]),
        lambda w: pb.grad(lambda x: (f(x) * w).sum())(x),
    ):
        # <w, f(x)> = <f'(w), x>
        np.testing.assert_allclose((t(weights) * x).sum(), (weights * f(x)).sum(), rtol=1e-4, atol=1e-5)
        assert t(weights).shape == shape
    np.testing.assert_array_equal(pb.jvp(f, (x,), (x,))[1], want)
    for axis in range(len(shape) + 1):
        batch = jnp.stack([x, 2 * x], axis)
        np.testing.assert_array_equal(pb.vmap(f, axis)(batch), np.stack([want, 2 * want]))
    np.testing.assert_allclose(pb.jacrev(f)(x), pb.jacfwd(f)(x))


def test_broadcasts_that_do_not_fit():
    x = jnp.ones((2, 3))
    for dims in [(0, 0), (0, 5), (-1, 0), (0,), (0, 1, 2), (0.0, 2), "02", None, (1, 0)]:
        with pytest.raises(TypeError, match="broadcast_in_dim"):
            lax.broadcast_in_dim(x, (2, 4, 3), dims)
    with pytest.raises(TypeError, match="increasing"):
        pb.jit(lambda x: lax.broadcast_in_dim_p.bind(x, shape=(3, 2), broadcast_dimensions=(1, 0)))(x)
    with pytest.raises(TypeError, match="negative"):
        lax.broadcast_in_dim(1.0, (-3, 2), ())
