"""`x[index]`, `x.at[index]`, `take` and relatives: against NumPy on random indices, and where they differ on purpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import ConcretizationTypeError, NonConcreteBooleanIndexError
from pullback.transforms.derivatives import grad
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.linearize import vjp
from pullback.transforms.tracing import make_jaxpr
from pullback.transforms.vmap import vmap

X = np.arange(12, dtype=np.float32).reshape(3, 4)
CUBE = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)


def same(actual: Any, expected: Any) -> None:
    actual = np.asarray(actual)
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == np.asarray(expected).dtype


@st.composite
def indices(draw: Any, shape: tuple[int, ...] = CUBE.shape, masks: bool = True) -> Any:
    """A valid NumPy index: integers, slices, None, Ellipsis, index arrays that broadcast, a mask."""
    rows = draw(st.sampled_from([(), (2,), (1,), (3, 2), (0,)]))
    entries: list[Any] = []
    axis, ellipsis = 0, False
    stop = draw(st.integers(0, len(shape)))
    while axis < stop:
        n = shape[axis]
        kinds = ["int", "slice", "array", "none"] + ["mask"] * masks + ["ellipsis"] * (not ellipsis)
        kind = draw(st.sampled_from(kinds))
        if kind == "int":
            entries.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            entries.append(slice(draw(bound), draw(bound), draw(st.none() | st.sampled_from([1, 2, -1, -2]))))
        elif kind == "array":
            part = rows[draw(st.integers(0, len(rows))) :] if rows else ()
            values = draw(st.lists(st.integers(-n, n - 1), min_size=int(np.prod(part)), max_size=int(np.prod(part))))
            entries.append(np.array(values, draw(st.sampled_from([np.int32, np.int8]))).reshape(part))
        elif kind == "none":
            entries.append(None)
            continue
        elif kind == "mask":
            # A mask joins the broadcast with its count: it is alone in having more than one row.
            if any(isinstance(e, np.ndarray) for e in entries) or rows not in ((), (1,)):
                continue
            masks = False
            entries.append(np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))))
        else:
            ellipsis = True
            entries.append(Ellipsis)
            axis, stop = draw(st.integers(axis, len(shape))), len(shape)
            continue
        axis += 1
    return entries[0] if len(entries) == 1 and draw(st.booleans()) else tuple(entries)


def arrays_of(index: Any) -> Any:
    """The index with its NumPy arrays as Arrays."""
    if isinstance(index, tuple):
        return tuple(map(arrays_of, index))
    return as_array(index) if isinstance(index, np.ndarray) else index


def weights(shape: Any) -> Any:
    return np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)


@given(indices())
def test_reading_is_numpys(index: Any) -> None:
    same(as_array(CUBE)[arrays_of(index)], CUBE[index])
    same(as_array(CUBE)[index], CUBE[index])


@given(indices())
def test_derivative_of_reading(index: Any) -> None:
    expected = CUBE[index]
    y, t = jvp(lambda x: x[arrays_of(index)], (CUBE,), (CUBE * 2,))
    same(y, expected)
    same(t, expected * 2)
    w = weights(expected.shape)
    scattered = np.zeros_like(CUBE)
    np.add.at(scattered, index, w)
    _, pull = vjp(lambda x: x[arrays_of(index)], CUBE)
    np.testing.assert_allclose(np.asarray(pull(as_array(w))[0]), scattered, rtol=1e-6)


@given(indices(), st.integers(0, 3))
def test_reading_of_slices_under_vmap(index: Any, axis: int) -> None:
    stack = np.stack([CUBE, -CUBE], axis)
    same(vmap(lambda x: x[arrays_of(index)], in_axes=axis)(stack), np.stack([CUBE[index], -CUBE[index]]))


@given(indices(masks=False))
def test_reading_at_traced_positions(index: Any) -> None:
    entries = index if isinstance(index, tuple) else (index,)
    # NumPy's layout depends on which entries are arrays, so that only those are traced.
    places = [k for k, e in enumerate(entries) if isinstance(e, np.ndarray)]
    if not places:
        return

    def read(*traced: Any) -> Any:
        new = list(entries)
        for k, e in zip(places, traced):
            new[k] = e
        return as_array(CUBE)[tuple(new)]

    out = vmap(read)(*(np.stack([entries[k], entries[k]]) for k in places))
    same(out, np.stack([CUBE[tuple(entries)]] * 2))


UPDATES = {
    "set": lambda out, i, v: out.__setitem__(i, v), "add": np.add.at, "subtract": np.subtract.at, "multiply": np.multiply.at,
    "min": np.minimum.at, "max": np.maximum.at, "divide": np.divide.at,
}  # fmt: skip


@pytest.mark.parametrize("name", UPDATES)
@given(indices(), st.booleans())
def test_updating_is_numpys(name: str, index: Any, scalar: bool) -> None:
    v = np.float32(0.5) if scalar else weights(CUBE[index].shape)
    expected = CUBE.copy()
    UPDATES[name](expected, index, v)
    out = getattr(as_array(CUBE).at[arrays_of(index)], name)(v)
    np.testing.assert_allclose(np.asarray(out), expected, rtol=1e-5)
    # As a tracer it takes the long way.
    traced = vmap(lambda x: getattr(x.at[arrays_of(index)], name)(v))(np.stack([CUBE, CUBE]))
    np.testing.assert_allclose(np.asarray(traced), np.stack([expected, expected]), rtol=1e-5)


@given(indices())
def test_derivative_of_setting(index: Any) -> None:
    part = CUBE[index]
    numbers = np.full(CUBE.shape, -1)
    numbers[index] = np.arange(part.size).reshape(part.shape)
    _, pull = vjp(lambda x, v: x.at[arrays_of(index)].set(v), CUBE, weights(part.shape))
    w = weights(CUBE.shape)
    ct_x, ct_v = pull(as_array(w))
    same(ct_x, np.where(numbers < 0, w, 0))
    expected = np.zeros(part.size, np.float32)
    expected[numbers[numbers >= 0]] = w[numbers >= 0]
    same(ct_v, expected.reshape(part.shape))


# ---- where NumPy raises -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("i", [7, -9, np.int64(7), np.array(-9), np.array([0, 7, -1, -9])])
def test_out_of_bounds_reads_clamp_and_updates_drop(i: Any) -> None:
    wrapped = np.where(np.asarray(i) < 0, np.asarray(i) + 3, i)
    inside = (wrapped >= 0) & (wrapped < 3)
    x = as_array(X)
    same(x[i], X[np.clip(wrapped, 0, 2)])
    same(x.at[i].get(mode="clip"), X[np.clip(wrapped, 0, 2)])
    filled = np.where(inside[..., None], X[np.clip(wrapped, 0, 2)], np.float32(np.nan))
    same(x.at[i].get(mode="fill"), filled)
    same(x.at[i].get(mode="fill", fill_value=5), np.nan_to_num(filled, nan=5))
    expected = X.copy()
    expected[wrapped[inside]] = -1
    same(x.at[i].set(-1), expected)
    same(x.at[i].add(0.0, mode="drop"), X)
    expected[np.clip(wrapped, 0, 2)] = -1
    same(x.at[i].set(-1, mode="clip"), expected)


def test_negative_positions_may_be_out_of_bounds() -> None:
    x = as_array(X)
    same(
        x.at[np.array([0, -1])].get(wrap_negative_indices=False, mode="fill", fill_value=9),
        np.float32([[0, 1, 2, 3], [9, 9, 9, 9]]),
    )
    same(x.at[-1].get(wrap_negative_indices=False), X[0])
    same(x.at[-1].set(5, wrap_negative_indices=False), X)


@pytest.mark.parametrize("index, error, message", [
    ((0, 0, 0), IndexError, "Too many indices"), ((..., ...), IndexError, "single ellipsis"), ([0, 1], TypeError, "non-tuple sequence"),
    ([], TypeError, "non-tuple sequence"), (1.0, TypeError, "integer or boolean type"), ("a", TypeError, "string"),
    (np.array([1.0]), TypeError, "integer or boolean type"), (np.array([True, False]), IndexError, "did not match"),
    ((np.array([0, 1]), np.array([0, 1, 2])), ValueError, "broadcast"), (slice(1.0, None), TypeError, "slice indices must be integers"),
    (slice(None, None, 0), ValueError, "zero"), (np.array([None]), TypeError, "integer or boolean type"),
    (object(), IndexError, "only integers"), ({}, IndexError, "only integers"), ({0}, IndexError, "only integers"),
    (int, IndexError, "only integers"),    (np.int32, IndexError, "only integers"), ((0, len), IndexError, "only integers.*position 1"),
    (1j, TypeError, "integer or boolean type"),
])  # fmt: skip
def test_mistakes_are_named(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_array(X)[index]
    with pytest.raises(error, match=message):
        as_array(X).at[index].set(0)
    with pytest.raises(error, match=message):
        vmap(lambda x: x[index])(X[None])


def test_empty_axes() -> None:
    x = as_array(np.zeros((0, 3), np.float32))
    assert x[np.array([], int)].shape == (0, 3)
    with pytest.raises(IndexError, match="size 0"):
        x[0]
    with pytest.raises(IndexError, match="size 0"):
        x[np.array([0])]


def test_masks_and_bounds_of_slices_must_be_known() -> None:
    with pytest.raises(NonConcreteBooleanIndexError, match="where"):
        vmap(lambda m: as_array(X)[m])(np.ones((2, 3), bool))
    with pytest.raises(IndexError, match="static integers"):
        vmap(lambda i: as_array(X)[i:])(np.array([0, 1]))
    same(as_array(X)[as_array(np.array(1)) :], X[1:])


def test_lists_and_scalars_inside_a_tuple() -> None:
    x = as_array(X)
    same(x[[0, 1], 0], X[[0, 1], 0])
    same(x[[],], X[[],])
    same(x[True], X[True])
    same(x[False, 1], X[False, 1])
    same(x[np.True_, np.array([1, 2])], X[True, [1, 2]])
    same(x[as_array(np.int32(1)), as_array(np.array(2))], X[1, 2])
    traced = vmap(lambda i: x[[i, 0], 1])(np.array([1, 2]))
    same(traced, np.stack([X[[1, 0], 1], X[[2, 0], 1]]))


def test_narrow_index_types_reach_all_of_a_long_axis() -> None:
    x = np.arange(300.0, dtype=np.float32)
    i = np.array([2, -100, 100], np.int8)
    same(as_array(x)[i], x[i])
    same(vmap(lambda i: as_array(x)[i])(i), x[i])
    same(vmap(lambda i: as_array(x[:3])[i])(np.array([1, 250], np.uint8)), x[[1, 2]])


def test_weak_types_and_keys_survive() -> None:
    weak = jnp.full((3,), 1.0)
    assert concrete(np.ones(3, np.float32), True)[0].weak_type
    assert concrete(np.ones(3, np.float32), True)[np.array([0])].weak_type
    assert concrete(np.ones(3, np.float32), True)[np.array([7])].weak_type
    assert weak.at[0].set(2.0).weak_type == weak.weak_type
    keys = np.zeros(3, dtypes.KEY)
    keys["fry"] = np.arange(6, dtype=np.uint32).reshape(3, 2)
    assert as_array(keys)[1].shape == ()
    np.testing.assert_array_equal(pb.random.key_data(as_array(keys)[np.array([2, 9])]), [[4, 5], [4, 5]])
    np.testing.assert_array_equal(
        pb.random.key_data(as_array(keys).at[0].set(as_array(keys)[2])), [[4, 5], [2, 3], [4, 5]]
    )


def test_what_is_read_out_of_bounds_is_one_number() -> None:
    x = jnp.arange(3.0)
    for i in ([0, 1], [5, 6]):
        for fill in (np.ones(2), jnp.ones(1)):
            for read in (
                lambda x: x.at[jnp.array(i)].get(mode="fill", fill_value=fill),
                lambda x: jnp.take(x, jnp.array(i), fill_value=fill),
            ):
                for f in (read, jit(read)):
                    with pytest.raises(ValueError, match="fill_value must be a scalar"):
                        f(x)


def test_updates_compute_in_the_common_type_and_keep_their_own() -> None:
    x = as_array(np.arange(3, dtype=np.int32))
    same(x.at[0].set(1.5), np.int32([1, 1, 2]))
    same(x.at[np.array([2, 2])].multiply(2.5), np.int32([0, 1, 12]))
    same(x.at[np.array([2, 2])].min(-2.5), np.int32([0, 1, -2]))
    same(x.at[2].power(2.5), np.int32([0, 1, 4]))
    same(x.at[np.array([2, 2])].divide(2), np.float32([0, 1, 0.5]))
    same(x.at[np.array([2, 2])].power(3), np.int32([0, 1, 512]))
    same(x.at[np.array([2, 2, 0])].apply(lambda v: v + 3), np.int32([3, 1, 8]))
    same(x.at[1:].apply(lambda v: v + 3), np.int32([0, 4, 5]))
    same(as_array(X).at[0].set([9, 8, 7, 6]), np.concatenate([np.float32([[9, 8, 7, 6]]), X[1:]]))
    with pytest.raises(TypeError, match="bool"):
        (x > 0).at[1].add(True)
    same((x > 0).at[0].max(True), [True, True, True])


@pytest.mark.parametrize("v", [np.ones(3), np.ones((1, 1, 4))])
def test_values_must_broadcast(v: Any) -> None:
    with pytest.raises(ValueError, match="Incompatible shapes"):
        as_array(X).at[0].set(v)
    with pytest.raises(ValueError, match="Incompatible shapes"):
        vmap(lambda x: x.at[0].add(v.astype(np.float32)))(X[None])


def test_arrays_are_never_written_to() -> None:
    x = as_array(X)
    view = x[1:]
    view.at[0].set(100)
    x.at[...].multiply(0)
    same(view, X[1:])
    same(x, X)
    with pytest.raises(TypeError, match="x.at"):
        x[0] = 1  # type: ignore[index]


def test_second_derivatives_and_vmap_of_grad() -> None:
    i = np.array([0, 2, 2, 9])

    def f(x: Any) -> Any:
        return (x[i] ** 3).sum() + (x.at[1].multiply(x[0]) ** 2).sum() + x[2, 1] * x[-1, -1]

    g = np.asarray(grad(f)(X / 10))
    step = 1e-2
    numeric = np.zeros_like(X)
    for p in np.ndindex(*X.shape):
        d = np.zeros_like(X)
        d[p] = step
        numeric[p] = (float(f(as_array(X / 10 + d))) - float(f(as_array(X / 10 - d)))) / (2 * step)
    np.testing.assert_allclose(g, numeric, rtol=2e-2, atol=2e-2)
    batched = vmap(grad(f))(np.stack([X / 10, X / 5]))
    np.testing.assert_allclose(np.asarray(batched)[0], g, rtol=1e-5)
    hv = jvp(grad(f), (X / 10,), (np.ones_like(X),))[1]
    up, down = (np.asarray(grad(f)(X / 10 + s * step)) for s in (1, -1))
    np.testing.assert_allclose(np.asarray(hv), (up - down) / (2 * step), rtol=2e-2, atol=2e-2)


def test_positions_may_be_traced_in_programs() -> None:
    program = str(make_jaxpr(lambda x, i: x[i])(X, np.array([0, 1])))
    assert "gather" in program


# ---- take and put -----------------------------------------------------------------------------------------------

AROUND = np.array([0, 7, -1])


def test_take() -> None:
    same(jnp.take(X, AROUND, 0), np.stack([X[0], np.full(4, np.nan, np.float32), X[2]]))
    same(jnp.take(X, AROUND, 0, mode="clip"), X[[0, 2, 0]])
    same(jnp.take(X, AROUND, 0, mode="wrap"), X[[0, 1, 2]])
    same(jnp.take(np.arange(3, dtype=np.int32), AROUND), np.int32([0, -(2**31), 2]))
    same(jnp.take(np.arange(3, dtype=np.int32), AROUND, fill_value=-5), np.int32([0, -5, 2]))
    same(jnp.take(CUBE, np.array([[0, 1], [2, -1]]), 1), np.take(CUBE, [[0, 1], [2, -1]], 1))
    same(
        vmap(lambda i: jnp.take(X, i, -1))(np.array([[0, 1], [3, 9]])),
        np.float32([X[:, [0, 1]], np.stack([X[:, 3], [np.nan] * 3], 1)]),
    )
    same(jnp.take(X, 5), np.float32(5))
    for mistake, error in [
        (lambda: jnp.take(X, [0, 1], 0), TypeError), (lambda: jnp.take(X, np.array([0.0]), 0), ValueError),
        (lambda: jnp.take(np.zeros((0, 3)), np.array([0]), 0), IndexError), (lambda: jnp.take(X, AROUND, 2), ValueError),
        (lambda: jnp.take(X, AROUND, 0, mode="raise"), NotImplementedError), (lambda: jnp.take(X, AROUND, 0, mode="other"), ValueError),
    ]:  # fmt: skip
        with pytest.raises(error):
            mistake()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take_along_axis(axis: int) -> None:
    i = np.argsort(CUBE, axis)
    same(jnp.take_along_axis(CUBE, i, axis), np.take_along_axis(CUBE, i, axis))
    one = np.take(i, [0, 1], axis=(axis + 1) % 3)[:1] if axis else i[:, :1, :1]
    if axis:
        one = i[:1]
    same(jnp.take_along_axis(CUBE, one, axis), np.take_along_axis(CUBE, one, axis))
    narrow = CUBE[:, :1] if axis != 1 else CUBE[:1]
    same(jnp.take_along_axis(narrow, i, axis), np.take_along_axis(narrow, i, axis))
    y, pull = vjp(lambda x: jnp.take_along_axis(x, i, axis), CUBE)
    back = np.zeros_like(CUBE)
    np.put_along_axis(back, i, weights(CUBE.shape), axis)
    same(pull(as_array(weights(CUBE.shape)))[0], back)
    same(vmap(lambda x, i: jnp.take_along_axis(x, i, axis))(CUBE[None], i[None])[0], np.asarray(y))


def test_take_along_axis_fills_and_names_mistakes() -> None:
    same(jnp.take_along_axis(X, np.array([[0, -1, 7]]), 1), np.float32([[r[0], r[3], np.nan] for r in X]))
    same(jnp.take_along_axis(X, np.array([[0, -1, 7]]), 1, mode="clip"), X[:, [0, 3, 3]])
    same(jnp.take_along_axis(X, np.array([5, 1]), None), np.float32([5, 1]))
    for i, axis, error in [
        (np.array([0, 1]), 0, ValueError),
        (np.array([[0.0]]), 0, TypeError),
        (np.zeros((2, 1), int), 1, ValueError),
    ]:
        with pytest.raises(error):
            jnp.take_along_axis(X, i, axis)


def test_putting() -> None:
    i = np.array([[0], [1], [2]])
    expected = X.copy()
    np.put_along_axis(expected, i, 9, 1)
    same(jnp.put_along_axis(X, i, 9, 1, inplace=False), expected)
    same(
        jnp.put(X, np.array([0, 13, -1]), np.array([7.0, 8.0]), inplace=False).reshape(-1)[np.array([0, 1, 11])],
        np.float32([7, 1, 7]),
    )
    for mode in ("clip", "wrap"):
        expected = X.copy()
        np.put(expected, [0, 13, -1], [7, 8, 9], mode)
        same(jnp.put(X, np.array([0, 13, -1]), np.array([7, 8, 9]), mode=mode, inplace=False), expected)
    expected = X.copy()
    np.place(expected, X > 5, [1, 2])
    same(jnp.place(X, X > 5, np.array([1.0, 2.0]), inplace=False), expected)
    same(vmap(lambda m: jnp.place(X, m, np.array([1.0, 2.0]), inplace=False))((X > 5)[None])[0], expected)
    for fill in (9.0, np.array([1.0, 2.0])):
        for shape in ((4, 4), (4, 2), (2, 4), (3, 3, 3)):
            expected = np.zeros(shape, np.float32)
            np.fill_diagonal(expected, fill)
            same(jnp.fill_diagonal(np.zeros(shape, np.float32), fill, inplace=False), expected)
    for call in (lambda: jnp.put(X, 0, 1), lambda: jnp.place(X, X > 5, X), lambda: jnp.put_along_axis(X, i, 9, 1)):
        with pytest.raises(ValueError, match="immutable"):
            call()


# ---- choosing by conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 0, 2, 4, 20])
def test_nonzero(size: int | None) -> None:
    x = X * (X > 8)
    found = np.nonzero(x)
    for k, (out, expected) in enumerate(zip(jnp.nonzero(x, size=size, fill_value=(7, 8)), found, strict=True)):
        padded = expected if size is None else np.concatenate([expected[:size], np.full(max(0, size - 3), 7 + k)])
        same(out, padded.astype(np.int32))
        if size is not None:
            same(vmap(lambda x: jnp.nonzero(x, size=size, fill_value=(7, 8)))(x[None])[k][0], padded.astype(np.int32))
    assert jnp.argwhere(x, size=size).shape == (3 if size is None else size, 2)


def test_nonzero_of_scalars_tracers_and_nothing() -> None:
    with pytest.raises(ValueError, match="0d"):
        jnp.nonzero(np.float32(1))
    with pytest.raises(ConcretizationTypeError, match="size"):
        vmap(jnp.nonzero)(X)
    with pytest.raises(ValueError, match="tuple of length 2"):
        jnp.nonzero(X, size=2, fill_value=(1, 2, 3))
    same(jnp.nonzero(np.zeros((0, 2)), size=2)[1], np.int32([0, 0]))
    same(jnp.flatnonzero(X > 9, size=3, fill_value=100), np.int32([10, 11, 100]))
    # Positions and what fills up have their common type: nothing is cut off.
    for f in (jnp.flatnonzero, jit(jnp.flatnonzero, static_argnames=("size", "fill_value"))):
        for fill, dtype, weak in (
            (2.5, "float32", True),
            (math.inf, "float32", True),
            (np.float32(0.5), "float32", False),
            (-1, "int32", False),
        ):
            out = f(jnp.array([0, 1, 0]), size=2, fill_value=fill)
            assert out.tolist() == [1, fill] and out.dtype == dtype and out.weak_type == weak
    for f in (jnp.argwhere, jit(jnp.argwhere, static_argnames=("size", "fill_value"))):
        assert f(jnp.eye(2), size=3, fill_value=(2.5, 1)).tolist() == [[0, 0], [1, 1], [2.5, 1]]
    assert jnp.argwhere(np.float32(1)).shape == (1, 0)
    assert jnp.argwhere(np.float32(0)).shape == (0, 0)
    same(grad(lambda x: x[jnp.nonzero(x)].sum())(X), np.float32(X != 0))


def test_compress_extract_choose() -> None:
    c = np.array([True, False, True])
    same(jnp.compress(c, X, 0), X[c])
    same(jnp.compress(c, X), X.ravel()[:3][c])
    same(jnp.compress(c, X, 0, size=3, fill_value=7), np.concatenate([X[c], np.full((1, 4), 7, np.float32)]))
    same(jnp.compress(c, X, 0, size=1), X[:1])
    same(jnp.extract(X > 5, X), X[X > 5])
    same(
        vmap(lambda x: jnp.extract(x > 5, x, size=3, fill_value=-1))(X), np.float32([[-1] * 3, [6, 7, -1], [8, 9, 10]])
    )
    with pytest.raises(ValueError, match="out of bounds"):
        jnp.compress(np.array([True, False, True, True]), X, 0)
    choices = [np.array([1, 2, 3]), np.array([4, 5, 6])]
    same(jnp.choose(np.array([0, 1, 1]), choices), np.int32([1, 5, 6]))
    same(jnp.choose(np.array([0, -1, 2]), choices, mode="clip"), np.int32([1, 2, 6]))
    same(jnp.choose(np.array([0, 1, 2]), choices, mode="wrap"), np.int32([1, 5, 3]))
    same(jnp.choose(np.array([0, 1]), np.float32([[1, 2], [3, 4]])), np.float32([1, 4]))
    with pytest.raises(ValueError, match="invalid entry"):
        jnp.choose(np.array([0, 1, 2]), choices)
    with pytest.raises(ConcretizationTypeError):
        vmap(lambda a: jnp.choose(a, [1, 2]))(np.array([0]))


# ---- making indices ---------------------------------------------------------------------------------------------


def test_flat_positions() -> None:
    i = np.array([0, 5, 11, 12, -1, -12, -13])
    for out, expected in zip(jnp.unravel_index(i, (3, 4)), ([0, 1, 2, 2, 2, 0, 0], [0, 1, 3, 3, 3, 0, 0]), strict=True):
        same(out, np.int32(expected))
    assert jnp.unravel_index(0, ()) == ()
    pair = (np.array([0, 2]), np.array([3, 1]))
    for order in "CF":
        same(
            jnp.ravel_multi_index(pair, (3, 4), order=order),
            np.ravel_multi_index(pair, (3, 4), order=order).astype(np.int32),
        )
    beyond = (np.array([0, -1]), np.array([3, 4]))
    for mode in ("clip", "wrap"):
        same(
            jnp.ravel_multi_index(beyond, (3, 4), mode=mode),
            np.ravel_multi_index(beyond, (3, 4), mode=mode).astype(np.int32),
        )
    with pytest.raises(ValueError, match="invalid entry"):
        jnp.ravel_multi_index(beyond, (3, 4))


def test_index_makers() -> None:
    same(as_array(X)[jnp.ix_(np.array([0, 2]), np.array([1, 3]))], X[np.ix_([0, 2], [1, 3])])
    assert jnp.s_[1:2, ...] == (slice(1, 2), ...)
    assert jnp.index_exp[1] == (1,)
    for ours, numpys in [
        (jnp.diag_indices(2, 3), np.diag_indices(2, 3)), (jnp.diag_indices_from(np.eye(3)), np.diag_indices(3)),
        (jnp.tril_indices(2, 0, 3), np.tril_indices(2, 0, 3)), (jnp.triu_indices(3, 1), np.triu_indices(3, 1)),
        (jnp.tril_indices_from(X, 1), np.tril_indices_from(X, 1)), (jnp.triu_indices_from(X, -1), np.triu_indices_from(X, -1)),
        (jnp.mask_indices(3, jnp.triu, 1), np.mask_indices(3, np.triu, 1)),
    ]:  # fmt: skip
        assert all(isinstance(o, Array) for o in ours)
        for o, n in zip(ours, numpys, strict=True):
            same(o, n.astype(np.int32))
    with pytest.raises(ValueError, match="equal length"):
        jnp.diag_indices_from(X)
    with pytest.raises(ValueError, match="2-D"):
        jnp.triu_indices_from(np.zeros(3))


def test_put_clips_and_takes_nothing() -> None:
    """Without a mode positions are clipped, negative ones counting from the end; nothing is put where there are no values or elements."""
    zero = np.zeros(3, np.float32)
    for positions, expected in (([5], [0, 0, 1]), ([-1], [0, 0, 1]), ([-5], [1, 0, 0]), ([True], [0, 1, 0])):
        for put in (jnp.put, jit(lambda *args, **kw: jnp.put(*args, inplace=False), static_argnames="inplace")):
            same(put(zero, np.array(positions), 1.0, inplace=False), np.float32(expected))
    for positions, values in (([], []), ([], [1.0]), ([1], [])):
        same(jnp.put(zero, np.array(positions, int), np.array(values, np.float32), inplace=False), zero)
    same(jnp.put(zero[:0], np.array([1]), 1.0, inplace=False), zero[:0])
    far = jnp.put(np.zeros(300, np.float32), np.array([100, -1], np.int8), 1.0, inplace=False)
    assert np.flatnonzero(np.asarray(far)).tolist() == [100, 299]


# ---- axes without elements ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["set", "add", "multiply", "min", "max", "subtract"])
@pytest.mark.parametrize("options", [{}, {"mode": "drop"}, {"mode": "clip"}])
def test_updates_of_axes_without_elements_are_dropped(method, options):
    x, i = jnp.zeros((0, 3)), jnp.array([0, 1])
    update = lambda x, i: getattr(x.at[i], method)(2.0, **options)
    for f in (
        update,
        pb.jit(update),
        pb.vmap(update, (None, None), axis_size=2, out_axes=None),
        pb.jacfwd(lambda x, i: update(x, i).sum()),
    ):
        assert f(x, i).shape == (0, 3)
    assert x.at[i].apply(jnp.sin).shape == (0, 3)
    assert jnp.zeros((3, 0)).at[:, i].add(1.0).shape == (3, 0)
    for f in (lambda x, i: x[i], lambda x, i: x.at[0].add(1.0), lambda x, i: x.at[i].get(mode="fill")):
        with pytest.raises(IndexError, match="size 0"):
            f(x, i)


def test_slices_whose_start_is_traced():
    """`ds` against NumPy's slices, eager, compiled and mapped, read, updated and differentiated, beside every kind of entry."""
    texts = (
        "ds(i, 3)", "ds(i, 2, 2)", "(ds(i, 3), 1)", "(1, ds(i, 4))", "(..., ds(i, 4, 3))", "(ds(i, 2), None, ds(i + 1, 3))",
        "(ds(i, 2), np.array([0, 5, 7]))", "(np.array([0, 4]), ds(i, 2))", "(ds(i, 3), slice(None, None, -2))", "ds(i, 0)",
        "(np.arange(5) > 2, ds(i, 2))", "(ds(i - 4, 2), ds(4))", "(None, ds(None), ds(i, 3))", "(ds(i, 2), slice(1, 9), None)",
    )  # fmt: skip
    at = lambda text, i: eval(text, {"i": i, "ds": pb.ds, "np": np})
    x = np.arange(60.0, dtype=np.float32).reshape(5, 12)

    def ours(i):
        of = lambda index: lambda x: (x[index] ** 2).sum()
        y = jnp.asarray(x)
        parts = [at(text, i) for text in texts]
        return [(y[p], y.at[p].set(-1), y.at[p].add(1), pb.grad(of(p))(y)) for p in parts]

    for found in (ours(2), pb.jit(ours)(2), pb.tree.map(lambda v: v[0], pb.vmap(ours)(jnp.array([2, 1])))):
        for text, (read, changed, added, gradient) in zip(texts, found):
            entries = at(text, 2) if isinstance(at(text, 2), tuple) else (at(text, 2),)
            as_slice = lambda s: slice(s.start, s.start + s.size * s.stride or None, s.stride)
            plain = tuple(as_slice(e) if isinstance(e, type(pb.ds(1))) else e for e in entries)
            np.testing.assert_array_equal(read, x[plain], err_msg=text)
            for result, new in ((changed, -1), (added, x[plain] + 1)):
                expected = x.copy()
                expected[plain] = new
                np.testing.assert_array_equal(result, expected, err_msg=text)
            expected = np.zeros_like(x)
            expected[plain] = 2 * x[plain]
            np.testing.assert_array_equal(gradient, expected, err_msg=text)


def test_slices_whose_start_is_traced_at_the_ends():
    x = jnp.arange(10)
    for start in (8, np.uint8(8), jnp.int32(8), jnp.uint32(2**32 - 1), -1):
        assert x[pb.ds(start, 3)].tolist() == [7, 8, 9]
    for start in (-100, jnp.int32(-(2**31)), jnp.int8(-100)):
        assert x[pb.ds(start, 3)].tolist() == [0, 1, 2]
        assert x.at[pb.ds(start, 3)].set(7).tolist() == list(range(10))
    for start in (8, jnp.int32(8), jnp.uint8(8)):
        assert x[pb.ds(start, 3, 2)].tolist() == [8, 9, 9]
        assert x.at[pb.ds(start, 3)].set(0).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 0]
        assert x.astype(float).at[pb.ds(start, 3)].get(mode="fill").tolist()[:2] == [8, 9]
        assert x.at[pb.ds(start, 3)].apply(lambda v: v * 2).tolist()[7:] == [7, 16, 18]
        assert x.astype(float).at[pb.ds(start, 3)].divide(2).tolist()[7:] == [7, 4, 4.5]
    assert x.at[pb.ds(-12, 4)].set(0).tolist() == [0, 0, *range(2, 10)]  # begins before the array
    s = pb.ds(jnp.int32(2), 3)
    assert pb.jit(lambda s: x[s])(s).tolist() == [2, 3, 4] and s == pb.ds(jnp.int32(2), 3) != pb.ds(2, 4)
    assert (repr(pb.ds(4)), pb.ds(None), s.is_dynamic_start) == ("Slice(start=0, size=4, stride=1)", slice(None), True)
    with pytest.raises(TypeError, match="less than or equal"):
        x[pb.ds(0, 11)]
    for wrong in (
        lambda: pb.ds(1.5, 2),
        lambda: pb.ds(jnp.ones(2, int), 2),
        lambda: pb.ds(1, -2),
        lambda: pb.ds(None, 2),
    ):
        with pytest.raises(TypeError, match=r"ds: "):
            wrong()
    with pytest.raises(ValueError, match="stride must be 1 or more"):
        pb.ds(0, 1, 0)
    with pytest.raises(TypeError, match="used as a Python integer"):
        pb.jit(lambda n: x[pb.ds(0, n)])(3)
    with pytest.raises(IndexError, match="Too many indices"):
        x[0, pb.ds(0, 1)]


@pytest.mark.parametrize("name, ufunc", [("add", np.add), ("multiply", np.multiply), ("max", np.maximum)])
@pytest.mark.parametrize(
    "index", [[0, 2], [2, 0], [0, 0], [0, -3], [-1, 1], [1, 1, 1], [], [True, False, True], [[0, 1], [1, 2]], [7, 0]]
)
def test_positions_that_occur_twice_count_twice(name: str, ufunc: Any, index: Any) -> None:
    """Also those that have two names, and none that lies outside."""
    i = np.array(index, bool if index and index[0] is True else int)
    given, wanted = np.float32([[1, 2], [3, 4], [5, 6]]), np.float32([[1, 2], [3, 4], [5, 6]])
    ufunc.at(wanted, i if i.dtype == bool else i[i < 3], np.float32(3))
    same(getattr(as_array(given).at[as_array(i)], name)(3.0), wanted)
    same(getattr(as_array(given).at[i], name)(np.float32([3, 3])), wanted)
