"""`numpy/manipulation.py`: values against NumPy, laws of linearity and vmap, and the errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback
import pullback.numpy as jnp
from pullback.core.errors import ConcretizationTypeError, TypePromotionError  # noqa: F401

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
V = np.array([3.0, -1.0, 4.0, 1.0, -5.0], np.float32)
I = np.array([[1, -2, 3], [4, 5, -6]], np.int32)
EMPTY = np.zeros((0, 3), np.float32)


def same(ours: Any, numpys: Any) -> None:
    """Equal in structure, shape and values."""
    if isinstance(numpys, (list, tuple)):
        assert len(ours) == len(numpys)
        for a, b in zip(ours, numpys):
            same(a, b)
    else:
        assert ours.shape == np.shape(numpys)
        np.testing.assert_array_equal(np.asarray(ours), numpys)


# Each is called with NumPy and with ours: `c(xp, a)` where `a` makes an array of that namespace.
AS_NUMPY: dict[str, Callable[[Any, Any], Any]] = {
    "reshape": lambda xp, a: xp.reshape(a(X), (4, -1)),
    "reshape_F": lambda xp, a: xp.reshape(a(X), (4, 6), order="F"),
    "reshape_empty": lambda xp, a: xp.reshape(a(EMPTY), (3, 0, 2)),
    "reshape_0d": lambda xp, a: xp.reshape(a(V[:1]), ()),
    "ravel": lambda xp, a: xp.ravel(a(X)),
    "ravel_F": lambda xp, a: xp.ravel(a(X), "F"),
    "resize": lambda xp, a: xp.resize(a(V), (3, 4)),
    "resize_smaller": lambda xp, a: xp.resize(a(X), (2, 2)),
    "resize_empty": lambda xp, a: xp.resize(a(EMPTY), (2,)),
    "expand_dims": lambda xp, a: xp.expand_dims(a(X), (0, -1)),
    "squeeze": lambda xp, a: xp.squeeze(a(X[:1, :, :1])),
    "squeeze_axis": lambda xp, a: xp.squeeze(a(X[:1, :, :1]), -1),
    "atleast_1d": lambda xp, a: xp.atleast_1d(a(V[0]), a(V)),
    "atleast_2d": lambda xp, a: xp.atleast_2d(a(V[0]), a(V), a(X)),
    "atleast_3d": lambda xp, a: xp.atleast_3d(a(V[0]), a(V), a(I), a(X)),
    "transpose": lambda xp, a: xp.transpose(a(X)),
    "transpose_axes": lambda xp, a: xp.transpose(a(X), (1, -1, 0)),
    "permute_dims": lambda xp, a: xp.permute_dims(a(X), (2, 0, 1)),
    "matrix_transpose": lambda xp, a: xp.matrix_transpose(a(X)),
    "swapaxes": lambda xp, a: xp.swapaxes(a(X), 0, -1),
    "moveaxis": lambda xp, a: xp.moveaxis(a(X), 0, -1),
    "moveaxis_several": lambda xp, a: xp.moveaxis(a(X), (0, 1), (-1, 0)),
    "rollaxis": lambda xp, a: xp.rollaxis(a(X), 2),
    "rollaxis_start": lambda xp, a: xp.rollaxis(a(X), 0, 3),
    "rollaxis_negative": lambda xp, a: xp.rollaxis(a(X), -1, -2),
    "flip": lambda xp, a: xp.flip(a(X)),
    "flip_axes": lambda xp, a: xp.flip(a(X), (0, -1)),
    "flip_0d": lambda xp, a: xp.flip(a(V[0])),
    "fliplr": lambda xp, a: xp.fliplr(a(X)),
    "flipud": lambda xp, a: xp.flipud(a(X)),
    **{f"rot90_{k}": lambda xp, a, k=k: xp.rot90(a(X), k, (0, 2)) for k in (-1, 0, 1, 2, 3, 5)},
    "rot90_reversed_plane": lambda xp, a: xp.rot90(a(I), 1, (1, 0)),
    "broadcast_to": lambda xp, a: xp.broadcast_to(a(I[:, :1]), (4, 2, 3)),
    "broadcast_arrays": lambda xp, a: list(xp.broadcast_arrays(a(V[0]), a(I), a(X[:, :1, :1]))),
    "concatenate": lambda xp, a: xp.concatenate([a(X), a(X[:, :1])], axis=1),
    "concatenate_flat": lambda xp, a: xp.concatenate([a(X), a(V)], axis=None),
    "concatenate_negative": lambda xp, a: xp.concatenate([a(X), a(X)], axis=-1),
    "concatenate_rows": lambda xp, a: xp.concatenate(a(X)),
    "concatenate_empty": lambda xp, a: xp.concatenate([a(EMPTY), a(X[0, :, :3])]),
    "stack": lambda xp, a: xp.stack([a(I), a(I)], axis=-1),
    "vstack": lambda xp, a: xp.vstack([a(V), a(V)]),
    "vstack_rows": lambda xp, a: xp.vstack([a(I), a(I[:1])]),
    "hstack": lambda xp, a: xp.hstack([a(V), a(V)]),
    "hstack_rows": lambda xp, a: xp.hstack([a(I), a(I[:, :1])]),
    "dstack": lambda xp, a: xp.dstack([a(V), a(V)]),
    "column_stack": lambda xp, a: xp.column_stack([a(V), a(V)]),
    "block": lambda xp, a: xp.block([[a(I), a(I[:, :1])], [a(I[:1]), a(I[:1, :1])]]),
    "block_vectors": lambda xp, a: xp.block([[a(V), a(V)], [a(V), a(V)]]),
    "append": lambda xp, a: xp.append(a(I), a(I[:1]), axis=0),
    "append_flat": lambda xp, a: xp.append(a(I), a(V)),
    "split": lambda xp, a: xp.split(a(X), 2, axis=-1),
    "split_indices": lambda xp, a: xp.split(a(V), [1, 3]),
    "array_split": lambda xp, a: xp.array_split(a(V), 3),
    "array_split_more_than_elements": lambda xp, a: xp.array_split(a(V), 7),
    "vsplit": lambda xp, a: xp.vsplit(a(I), 2),
    "hsplit": lambda xp, a: xp.hsplit(a(I), 3),
    "dsplit": lambda xp, a: xp.dsplit(a(X), 2),
    "unstack": lambda xp, a: list(xp.unstack(a(X), axis=1)),
    "tile": lambda xp, a: xp.tile(a(I), 2),
    "tile_axes": lambda xp, a: xp.tile(a(I), (2, 1, 3)),
    "tile_nothing": lambda xp, a: xp.tile(a(V), 0),
    "repeat": lambda xp, a: xp.repeat(a(I), 3),
    "repeat_axis": lambda xp, a: xp.repeat(a(I), 2, axis=-1),
    "repeat_each": lambda xp, a: xp.repeat(a(V), np.array([1, 0, 2, 0, 3])),
    "repeat_nothing": lambda xp, a: xp.repeat(a(V), 0),
    "roll": lambda xp, a: xp.roll(a(X), 5),
    "roll_axis": lambda xp, a: xp.roll(a(X), -1, axis=1),
    "roll_axes": lambda xp, a: xp.roll(a(X), (1, 2), axis=(0, -1)),
    "roll_one_for_all": lambda xp, a: xp.roll(a(X), 1, axis=(0, 1)),
    "roll_empty": lambda xp, a: xp.roll(a(EMPTY), 1),
    "where": lambda xp, a: xp.where(a(I > 0), a(I), a(-I)),
    "where_broadcast": lambda xp, a: xp.where(a(I > 0), a(I[:, :1]), a(I[:1])),
    "where_number_condition": lambda xp, a: xp.where(a(I - 1), a(I), a(-I)),
    "where_positions": lambda xp, a: xp.where(a(I > 0)),
    "select": lambda xp, a: xp.select([a(I > 3), a(I > 0)], [a(I), a(10 * I)], 7),
    "piecewise": lambda xp, a: xp.piecewise(a(V), [a(V < 0), a(V > 2)], [lambda x: -x, lambda x: x * 2, 9]),
    "piecewise_overlap": lambda xp, a: xp.piecewise(a(V), [a(V > -2), a(V > 2)], [1, 2]),
    "insert": lambda xp, a: xp.insert(a(V), 1, 9),
    "insert_several": lambda xp, a: xp.insert(a(V), np.array([1, 3, 1]), np.array([7, 8, 9], np.float32)),
    "insert_row": lambda xp, a: xp.insert(a(I), 1, np.array([7, 8, 9], np.int32), axis=0),
    "insert_column": lambda xp, a: xp.insert(a(I), 1, np.array([7, 8], np.int32), axis=1),
    "insert_columns": lambda xp, a: xp.insert(a(I), np.array([0, 3]), np.array([[7, 8], [9, 0]], np.int32), axis=1),
    "insert_slice": lambda xp, a: xp.insert(a(V), slice(0, 4, 2), 9),
    "insert_many_at_one": lambda xp, a: xp.insert(a(V), 2, np.array([7, 8], np.float32)),
    "delete": lambda xp, a: xp.delete(a(V), -1),
    "delete_several": lambda xp, a: xp.delete(a(V), np.array([0, 3, 0])),
    "delete_mask": lambda xp, a: xp.delete(a(V), V > 0),
    "delete_slice": lambda xp, a: xp.delete(a(X), slice(None, None, 2), axis=2),
    "delete_flat": lambda xp, a: xp.delete(a(I), 2),
    "trim_zeros": lambda xp, a: xp.trim_zeros(a(np.array([0, 0, 1, 0, 2, 0]))),
    "trim_zeros_front": lambda xp, a: xp.trim_zeros(a(np.array([0, 1, 0])), "f"),
    "trim_zeros_all": lambda xp, a: xp.trim_zeros(a(np.zeros(3))),
    "apply_along_axis": lambda xp, a: xp.apply_along_axis(lambda r: r[::-1] * 2, 1, a(X)),
    "apply_along_axis_matrix": lambda xp, a: xp.apply_along_axis(lambda r: xp.stack([r, r]), 0, a(I)),
    "apply_over_axes": lambda xp, a: xp.apply_over_axes(xp.sum, a(X), [0, 2]),
    "packbits": lambda xp, a: xp.packbits(a(I > 0)),
    "packbits_little": lambda xp, a: xp.packbits(a(I > 0), axis=1, bitorder="little"),
    "unpackbits": lambda xp, a: xp.unpackbits(a(np.array([[7, 129], [0, 255]], np.uint8))),
    "unpackbits_count": lambda xp, a: xp.unpackbits(a(np.array([[7, 129]], np.uint8)), axis=0, count=-3, bitorder="little"),
    "unpackbits_more": lambda xp, a: xp.unpackbits(a(np.array([7], np.uint8)), count=11),
}  # fmt: skip


@pytest.mark.parametrize("case", AS_NUMPY.values(), ids=AS_NUMPY)
def test_values_are_numpys(case: Callable[[Any, Any], Any]) -> None:
    same(case(jnp, jnp.asarray), case(np, np.asarray))


PAD_WIDTHS: list[Any] = [0, 3, (2, 9), ((1, 0), (0, 2))]
PAD_MODES: list[tuple[str, dict[str, Any]]] = [
    ("constant", {}), ("constant", {"constant_values": 5}), ("constant", {"constant_values": (5, 6)}),
    ("constant", {"constant_values": ((1, 2), (3, 4))}), ("edge", {}), ("linear_ramp", {"end_values": (4, -8)}),
    ("maximum", {}), ("minimum", {"stat_length": 2}), ("mean", {"stat_length": ((1, 2), (2, 1))}), ("median", {}), ("wrap", {}),
    ("reflect", {}), ("reflect", {"reflect_type": "odd"}), ("symmetric", {}), ("symmetric", {"reflect_type": "odd"}),
]  # fmt: skip


@pytest.mark.parametrize("width", PAD_WIDTHS, ids=str)
@pytest.mark.parametrize("mode, options", PAD_MODES, ids=str)
def test_pad_is_numpys(mode: str, options: dict[str, Any], width: Any) -> None:
    x = np.array([[3.0, -1.0, 4.0], [1.0, 5.0, 9.0]], np.float32)
    np.testing.assert_allclose(
        jnp.pad(jnp.asarray(x), width, mode, **options), np.pad(x, width, mode, **options), rtol=1e-6, atol=1e-6
    )


def test_pad_takes_a_function_that_returns_the_row() -> None:
    out = jnp.pad(jnp.arange(3.0), 1, mode=lambda row, widths, axis, options: row + widths[0] + options["by"], by=2)
    assert out.tolist() == [3.0, 3.0, 4.0, 5.0, 3.0]


# Functions that are linear in their argument: they must be their own derivatives, have a transpose that is their adjoint, and
# commute with vmap.
LINEAR: dict[str, Callable[[Any], Any]] = {
    "reshape_F": lambda x: jnp.reshape(x, (4, 3), order="F"),
    "moveaxis": lambda x: jnp.moveaxis(x, 0, -1),
    "flip": lambda x: jnp.flip(x, 1),
    "rot90": lambda x: jnp.rot90(x, 3),
    "broadcast_to": lambda x: jnp.broadcast_to(x[:, :1], (2, 3, 5)),
    "concatenate": lambda x: jnp.concatenate([x, 2 * x], axis=1),
    "stack": lambda x: jnp.stack([x, 3 * x], axis=-1),
    "vstack": lambda x: jnp.vstack([(row,) for row in x]),
    "block": lambda x: jnp.block([[x, x], [x, -x]]),
    "split": lambda x: jnp.split(x, [1, 2], axis=1)[1],
    "unstack": lambda x: jnp.unstack(x, axis=1)[2],
    "tile": lambda x: jnp.tile(x, (2, 2)),
    "repeat": lambda x: jnp.repeat(x, 2, axis=1),
    "repeat_each": lambda x: jnp.repeat(x, np.array([2, 0, 1]), axis=0, total_repeat_length=4),
    "resize": lambda x: jnp.resize(x, (5, 4)),
    "roll": lambda x: jnp.roll(x, (1, -1), axis=(0, 1)),
    "where": lambda x: jnp.where(np.eye(3, 4) > 0, x, 0.0),
    "select": lambda x: jnp.select([np.eye(3, 4) > 0, np.tri(3, 4) > 0], [x, 2 * x]),
    "insert": lambda x: jnp.insert(x, np.array([1, 3]), x[:, :2], axis=1),
    "delete": lambda x: jnp.delete(x, 1, axis=0),
    "pad": lambda x: jnp.pad(x, 1),
    "pad_wrap": lambda x: jnp.pad(x, ((0, 5), (2, 3)), mode="wrap"),
    "pad_odd": lambda x: jnp.pad(x, 5, mode="reflect", reflect_type="odd"),
    "pad_ramp": lambda x: jnp.pad(x, 2, mode="linear_ramp"),
    "pad_mean": lambda x: jnp.pad(x, 2, mode="mean", stat_length=2),
    "apply_along_axis": lambda x: jnp.apply_along_axis(lambda r: r[1:] - r[:-1], 1, x),
    "vectorize": lambda x: jnp.vectorize(lambda r, s: r * s[0], signature="(n),(m)->(n)")(x, np.ones((3, 2), np.float32)),
}  # fmt: skip


@pytest.mark.parametrize("f", LINEAR.values(), ids=LINEAR)
def test_linear_functions_obey_the_laws(f: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(0)
    x, t, s = (jnp.asarray(rng.normal(size=(3, 4))) for _ in range(3))
    y, f_t = pullback.jvp(f, (x,), (t,))
    np.testing.assert_allclose(f_t, f(t), rtol=1e-5, atol=1e-6)
    ct = jnp.asarray(rng.normal(size=y.shape))
    (back,) = pullback.vjp(f, x)[1](ct)
    np.testing.assert_allclose((ct * f_t).sum(), (back * t).sum(), rtol=1e-4, atol=1e-5)
    for axis in (0, 1, 2):
        mapped = pullback.vmap(f, in_axes=axis)(jnp.stack([x, t, s], axis=axis))
        np.testing.assert_allclose(mapped, jnp.stack([f(x), f(t), f(s)]), rtol=1e-5, atol=1e-6)


def test_vstack_takes_the_one_tuples_that_pullbacks_return() -> None:
    m = jnp.asarray(np.arange(6.0).reshape(3, 2))
    _, vjp_fun = pullback.vjp(lambda x: 2 * x, jnp.zeros(2))
    np.testing.assert_array_equal(jnp.vstack([vjp_fun(row) for row in m]), 2 * np.asarray(m))


def test_where_passes_no_derivative_from_the_branch_not_taken() -> None:
    grad = pullback.grad(lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0))
    assert float(grad(0.0)) == 0.0 and float(grad(4.0)) == 0.25


@pytest.mark.parametrize(
    "result, dtype, weak",
    [
        (lambda: jnp.where(True, 1, 2), "int32", True),
        (lambda: jnp.where(jnp.array([True]), 1.0, 2), "float32", True),
        (lambda: jnp.where(jnp.array([True]), jnp.ones(1), 2), "float32", False),
        (lambda: jnp.where(jnp.array([True]), jnp.arange(1), 2.5), "float32", True),
        (lambda: jnp.stack([1, 2]), "int32", True),
        (lambda: jnp.concatenate([jnp.ones(1, "float16"), np.ones(1, np.float32)]), "float32", False),
        (lambda: jnp.concatenate([jnp.ones(1), jnp.ones(1)], dtype=int), "int32", False),
        (lambda: jnp.pad(jnp.arange(2), 1, constant_values=2.7), "int32", False),
        (lambda: jnp.insert(jnp.arange(2), 0, 2.7), "int32", False),
        (lambda: jnp.select([True], [1], 2.5), "float32", True),
        (lambda: jnp.reshape(1, (1, 1)), "int32", True),
        (lambda: jnp.tile(1.0, 2), "float32", True),
    ],
)  # fmt: skip
def test_types_of_results(result: Callable[[], Any], dtype: str, weak: bool) -> None:
    out = result()
    assert (out.dtype.name, out.weak_type) == (dtype, weak)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "bool", "complex64", "float8_e4m3fn", "int4"])
def test_every_dtype_moves(dtype: str) -> None:
    x = jnp.asarray(np.array([[1, 0, 1], [0, 1, 1]]), dtype=dtype)
    for f in (
        lambda a: jnp.roll(a, 1), lambda a: jnp.pad(a, 1), lambda a: jnp.pad(a, 2, mode="wrap"), lambda a: jnp.tile(a, 2),
        lambda a: jnp.where(a == a, a, a), lambda a: jnp.concatenate([a, a]), lambda a: jnp.repeat(a, 2), lambda a: jnp.flip(a).T,
    ):  # fmt: skip
        out = f(x)
        assert out.dtype == x.dtype
        same(out.astype("complex64"), np.asarray(f(jnp.asarray(x).astype("complex64"))))


def test_traced_shifts_repeats_and_deletions() -> None:
    x = jnp.arange(5)
    shifts = jnp.array([0, 1, -2, 7])
    same(pullback.vmap(lambda s: jnp.roll(x, s))(shifts), np.stack([np.roll(np.arange(5), s) for s in (0, 1, -2, 7)]))
    counts = jnp.array([[1, 0, 2, 0, 1], [0, 0, 0, 3, 1]])
    repeated = pullback.vmap(lambda c: jnp.repeat(x, c, total_repeat_length=5))(counts)
    same(repeated, np.array([[0, 2, 2, 4, 4], [3, 3, 3, 4, 4]]))
    deleted = pullback.vmap(lambda i: jnp.delete(x, i, assume_unique_indices=True))(jnp.array([[0, 3], [4, -2]]))
    same(deleted, np.array([[1, 2, 4], [0, 1, 2]]))
    with pytest.raises(ConcretizationTypeError, match="total_repeat_length"):
        pullback.vmap(lambda c: jnp.repeat(x, c))(counts)


def test_vectorize() -> None:
    product = jnp.vectorize(jnp.dot, signature="(n,m),(m)->(n)")
    rng = np.random.default_rng(0)
    m, v = rng.normal(size=(5, 1, 2, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(product(jnp.asarray(m), jnp.asarray(v)), np.einsum("...ij,...j->...i", m, v), rtol=1e-5)
    two = jnp.vectorize(lambda x, n: (x, x * n), excluded={1}, signature="(k)->(k),(k)")
    same(two(jnp.arange(4).reshape(2, 2), 3), (np.arange(4).reshape(2, 2), 3 * np.arange(4).reshape(2, 2)))
    assert jnp.vectorize(lambda x, *, by: x * by, excluded={"by"})(jnp.arange(2), by=3).tolist() == [0, 3]
    with pytest.raises(ValueError, match="core dimension 'm': 4 vs 3"):
        product(jnp.ones((2, 3)), jnp.ones(4))
    with pytest.raises(ValueError, match="not a valid signature"):
        jnp.vectorize(jnp.dot, signature="(n->(m)")
    with pytest.raises(TypeError, match="wrong number of arguments"):
        product(jnp.ones((2, 3)))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: jnp.reshape(jnp.arange(6), (4, -1)), TypeError, "cannot reshape"),
        (lambda: jnp.reshape(jnp.arange(6), (-1, -1)), TypeError, "cannot reshape"),
        (lambda: jnp.reshape(jnp.arange(6), 6.0), TypeError, "integer"),
        (lambda: jnp.reshape([1, 2], (2, 1)), TypeError, "reshape requires"),
        (lambda: jnp.reshape(jnp.arange(6), 6, order="K"), ValueError, "order"),
        (lambda: jnp.transpose(jnp.ones((2, 3)), (0, 0)), TypeError, "permutation"),
        (lambda: jnp.transpose(jnp.ones((2, 3)), (0, 5)), ValueError, "axis 5"),
        (lambda: jnp.matrix_transpose(jnp.ones(2)), ValueError, "two dimensions"),
        (lambda: jnp.squeeze(jnp.ones((1, 2)), 1), ValueError, "not equal to one"),
        (lambda: jnp.broadcast_to(jnp.ones(2), (3,)), ValueError, r"\(2,\).*\(3,\)"),
        (lambda: jnp.concatenate([]), ValueError, "at least one"),
        (lambda: jnp.concatenate([1, 2]), ValueError, "zero-dimensional"),
        (lambda: jnp.concatenate([[1, 2]]), TypeError, "concatenate requires"),
        (lambda: jnp.concatenate(5), TypeError, "sequence"),
        (lambda: jnp.concatenate([jnp.ones((2, 2)), jnp.ones((2, 3))]), TypeError, r"\(2, 3\)"),
        (lambda: jnp.stack([jnp.ones(2), jnp.ones(3)]), ValueError, "one shape"),
        (lambda: jnp.block([[1, 2], 3]), ValueError, "depths"),
        (lambda: jnp.block((1, 2)), ValueError, "tuples"),
        (lambda: jnp.split(jnp.arange(6), 4), ValueError, "rest is 2"),
        (lambda: jnp.split(jnp.arange(6), [4, 2]), ValueError, "increase"),
        (lambda: jnp.repeat(jnp.arange(3), 1.5), TypeError, "integers"),
        (lambda: jnp.repeat(jnp.arange(3), -1), TypeError, "negative"),
        (lambda: jnp.rot90(jnp.arange(4)), ValueError, "two dimensions"),
        (lambda: jnp.roll(jnp.arange(4), 1, axis=3), ValueError, "axis 3"),
        (lambda: jnp.where(True, 1, 2, size=3), ValueError, "size"),
        (lambda: jnp.where(True, 1), TypeError, "where requires"),
        (lambda: jnp.where(jnp.ones(3), jnp.ones(2), 1), ValueError, "Incompatible"),
        (lambda: jnp.select([True], []), ValueError, "1 conditions and 0"),
        (lambda: jnp.insert(jnp.arange(4), np.array([True]), 1), ValueError, "integers"),
        (lambda: jnp.delete(jnp.arange(4), np.array([7])), IndexError, "out of bounds"),
        (lambda: jnp.pad(jnp.arange(4), -1), ValueError, "negative"),
        (lambda: jnp.pad(jnp.arange(4), 1.0), TypeError, "integers"),
        (lambda: jnp.pad(jnp.arange(4), 1, by=3), ValueError, "no option by"),
        (lambda: jnp.pad(jnp.arange(4), 1, mode="bogus"), NotImplementedError, "bogus"),
        (lambda: jnp.pad(jnp.ones((2, 2)), ((1, 2),) * 3), ValueError, r"\(3, 2\)"),
        (lambda: jnp.pad(jnp.zeros(0), 1, mode="edge"), ValueError, "empty axis"),
        (lambda: jnp.packbits(jnp.ones(3)), TypeError, "integers or booleans"),
        (lambda: jnp.unpackbits(jnp.ones(3, int)), TypeError, "uint8"),
        (lambda: jnp.piecewise(jnp.ones(3), [True], [1, 2, 3]), ValueError, "1 condition"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("at", [1, -1, 9, [2], [1, 3, 1], [4, -3, 7], []])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_inserting_at_traced_positions_is_inserting_at_known_ones(at: Any, axis: int | None) -> None:
    x, at = jnp.arange(8.0).reshape(2, 4), jnp.array(at, jnp.int32)
    n = x.size if axis is None else x.shape[axis]
    inside = np.clip(at, -n, n)  # NumPy refuses what is out of bounds
    for values in (9.0, jnp.arange(10.0, 10.0 + max(at.size, 1)).reshape((-1, 1) if axis == 0 and at.ndim else (-1,))):
        expected = np.insert(np.array(x), inside, np.array(values), axis)
        for f in (jnp.insert, pullback.jit(jnp.insert, static_argnums=3)):
            np.testing.assert_array_equal(f(x, at, values, axis), expected)
    with pytest.raises(ValueError, match="integers"):
        pullback.jit(jnp.insert)(x, 1.0, 2.0)
    if at.size:
        moved = pullback.vmap(lambda i: jnp.insert(x, i, 9.0, axis))(at.reshape(1, *at.shape))
        np.testing.assert_array_equal(moved[0], np.insert(np.array(x), inside, 9.0, axis))


def test_cases_of_a_number_are_as_many_as_there_are_conditions() -> None:
    assert jnp.piecewise(2.0, [jnp.array([True, False])], [jnp.square, 1]).tolist() == [4, 1]
    assert jnp.piecewise(jnp.array([2.0, 3.0]), [jnp.array([[True], [False]])], [jnp.square, 1]).tolist() == [
        [4, 9],
        [1, 1],
    ]


def test_rolls_along_no_axis() -> None:
    x = jnp.arange(3)
    for shift in (1, (), (1,), jnp.int32(1)):
        assert jnp.roll(x, shift, axis=()).tolist() == [0, 1, 2]
    assert jnp.roll(x, (), axis=0).tolist() == jnp.roll(x, ()).tolist() == [0, 1, 2]
    assert jnp.roll(x, 1, axis=(0, 0)).tolist() == [1, 2, 0]
    for shift, axis in [((1, 2, 3), (0, 0)), ((1, 2), (0, 0, 0)), ((1, 2), ())]:
        with pytest.raises(ValueError, match="roll"):
            jnp.roll(x, shift, axis)
    for shift in ("a", 1.5, None):
        with pytest.raises(TypeError, match="shift must be an integer"):
            jnp.roll(x, shift, 0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("n", [5, 200])
def test_roll_by_a_traced_shift_of_any_type(dtype: str, n: int) -> None:
    """Neither the negative of an unsigned shift nor a length that the type does not hold may wrap around."""
    with pullback.enable_x64(True):
        for shift in (0, 1, 4, 100, 127, -1, -100):
            if shift < 0 and dtype[0] == "u":
                continue
            s = np.array(shift, dtype)
            expected = np.roll(np.arange(n), shift)
            np.testing.assert_array_equal(pullback.jit(jnp.roll)(jnp.arange(n), s), expected)
            np.testing.assert_array_equal(jnp.roll(jnp.arange(n), s[None], axis=(0,)), expected)
            np.testing.assert_array_equal(pullback.vmap(jnp.roll)(jnp.arange(n)[None], s[None])[0], expected)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # NumPy's matrices
@pytest.mark.parametrize(
    "directive", ["r", "c", "0", "-1", "0,2", "1,2,0", "0,3,1", "1,3,0", "0,3,-2", "1,2,-3", "2,3,0"]
)
def test_directives_of_index_tricks(directive: str) -> None:
    given = ([[1, 2, 3]], [[1, 2, 3], [4, 5, 6]], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[[1, 2]], [3]])
    for arrays in given:
        for name in ("r_", "c_"):
            try:
                expected = np.asarray(getattr(np, name)[(directive, *map(np.array, arrays))])
            except (ValueError, np.exceptions.AxisError):
                with pytest.raises((ValueError, TypeError)):
                    getattr(jnp, name)[(directive, *map(jnp.array, arrays))]
                continue
            found = getattr(jnp, name)[(directive, *map(jnp.array, arrays))]
            assert found.tolist() == expected.tolist(), (name, arrays)
