"""gather and the scatters against their specification, written as loops; modes, repeated positions, errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pullback.core.array import Array, as_array
from pullback.lax import indexing as lax
from pullback.lax.positions import GatherDimensionNumbers, GatherScatterMode, ScatterDimensionNumbers
from pullback.transforms.derivatives import grad
from pullback.transforms.linearize import vjp
from pullback.transforms.vmap import vmap


def value(x: Array) -> np.ndarray[Any, Any]:
    return np.asarray(x)


# ---- the specification (StableHLO: gather, scatter), with the index vector in the last axis ---------------------


def windows_of(x_shape: Any, indices: Any, numbers: Any, sizes: Any) -> Any:
    """For each index row: its place in the row axes, and the start of its window in the operand."""
    _, _, index_map, operand_batch, index_batch = numbers
    for row in itertools.product(*map(range, indices.shape[:-1])):
        start = [0] * len(x_shape)
        for column, axis in enumerate(index_map):
            start[axis] = int(indices[row][column])
        for axis, d in zip(operand_batch, index_batch):
            start[axis] = row[d]
        yield row, start


def positions(x_shape: Any, indices: Any, numbers: Any, sizes: Any, rank: int, mode: str) -> Any:
    """Pairs of a position in result (or updates) and in the operand; the latter is None where the window is outside."""
    windows, dropped, _, operand_batch, _ = numbers
    window_axes = [a for a in range(len(x_shape)) if a not in dropped and a not in operand_batch]
    for row, start in windows_of(x_shape, indices, numbers, sizes):
        outside = any(not 0 <= s <= n - m for s, n, m in zip(start, x_shape, sizes))
        if mode == "clip":
            start, outside = [min(max(s, 0), n - m) for s, n, m in zip(start, x_shape, sizes)], False
        for offset in itertools.product(*(range(sizes[a]) for a in window_axes)):
            target = list(start)
            for a, o in zip(window_axes, offset):
                target[a] += o
            rows, offsets = iter(row), iter(offset)
            yield (
                tuple(next(offsets) if d in windows else next(rows) for d in range(rank)),
                None if outside else tuple(target),
            )


def random_case(rng: Any) -> Any:
    """A random operand, indices, dimension numbers and window sizes, some positions out of bounds."""
    rank = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.integers(1, 5, rank))
    axes = [int(a) for a in rng.permutation(rank)]
    batch = sorted(axes[: int(rng.integers(0, 2))])
    indexed = [a for a in axes if a not in batch][: int(rng.integers(0, rank + 1))]
    dropped = sorted(a for a in range(rank) if a not in batch and rng.random() < 0.5)
    sizes = tuple(1 if a in dropped or a in batch else int(rng.integers(1, shape[a] + 1)) for a in range(rank))
    rows = [int(n) for n in rng.integers(1, 4, int(rng.integers(0, 3)))]
    index_batch = []
    for a in batch:
        place = int(rng.integers(0, len(rows) + 1))
        rows.insert(place, shape[a])
        index_batch = [place]
    window_rank = rank - len(dropped) - len(batch)
    out_rank = len(rows) + window_rank
    windows = tuple(sorted(int(d) for d in rng.permutation(out_rank)[:window_rank]))
    indices = rng.integers(-1, 5, (*rows, len(indexed))).astype(rng.choice(["int32", "int8", "int64"]))
    numbers = GatherDimensionNumbers(windows, tuple(dropped), tuple(indexed), tuple(batch), tuple(index_batch))
    return rng.normal(size=shape).astype(np.float32), indices, numbers, sizes, out_rank


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("mode", ["clip", "fill"])
def test_gather_is_its_specification(seed: int, mode: str) -> None:
    x, indices, numbers, sizes, rank = random_case(np.random.default_rng(seed))
    out = value(lax.gather(x, indices, numbers, sizes, mode=mode, fill_value=7))
    seen = np.zeros(out.shape, bool)
    for target, source in positions(x.shape, indices, numbers, sizes, rank, mode):
        assert out[target] == (7 if source is None else x[source])
        seen[target] = True
    assert seen.all()


@pytest.mark.parametrize("name, combine", [
    ("scatter", lambda old, new: new), ("scatter_add", np.add), ("scatter_sub", np.subtract), ("scatter_mul", np.multiply),
    ("scatter_min", np.minimum), ("scatter_max", np.maximum),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["clip", "drop"])
def test_scatter_is_its_specification(name: str, combine: Any, mode: str) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x, indices, numbers, sizes, rank = random_case(rng)
        rows, window = (
            iter(indices.shape[:-1]),
            iter(m for a, m in enumerate(sizes) if a not in (*numbers[1], *numbers[3])),
        )
        updates = rng.normal(size=tuple(next(window) if d in numbers[0] else next(rows) for d in range(rank))).astype(
            np.float32
        )
        out = value(getattr(lax, name)(x, indices, updates, ScatterDimensionNumbers(*numbers), mode=mode))
        expected = x.copy()
        for source, target in positions(x.shape, indices, numbers, sizes, rank, mode):
            if target is not None:
                expected[target] = combine(expected[target], updates[source])
        np.testing.assert_allclose(out, expected, rtol=1e-5)
        assert out.dtype == np.float32


ROWS = GatherDimensionNumbers((1,), (0,), (0,))
INTO_ROWS = ScatterDimensionNumbers((1,), (0,), (0,))
ELEMENTS = ScatterDimensionNumbers((), (0,), (0,))


@pytest.mark.parametrize("dtype, fill", [
    ("float32", np.nan), ("int16", -(2**15)), ("uint8", 255), ("bool", True), ("complex64", np.nan),
])  # fmt: skip
def test_gather_fills_with_the_value_that_stands_out(dtype: str, fill: Any) -> None:
    x = np.ones((2, 2)).astype(dtype)
    out = value(lax.gather(x, np.array([[0], [2]]), ROWS, (1, 2), mode="fill"))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out[1], np.full(2, fill, dtype))
    np.testing.assert_array_equal(out[0], x[0])


def test_default_modes() -> None:
    x, outside = np.arange(4.0, dtype=np.float32).reshape(2, 2), np.array([[5], [-1]])
    np.testing.assert_array_equal(value(lax.gather(x, outside, ROWS, (1, 2))), x[[1, 0]])
    np.testing.assert_array_equal(value(lax.scatter(x, outside, np.ones((2, 2), np.float32), INTO_ROWS)), x)


def test_modes_by_name() -> None:
    assert GatherScatterMode.from_any("clip") is GatherScatterMode.CLIP
    assert GatherScatterMode.from_any(None) is GatherScatterMode.from_any("drop") is GatherScatterMode.FILL_OR_DROP
    with pytest.raises(ValueError, match="Unknown gather mode"):
        GatherScatterMode.from_any("wrap")


def test_last_update_stays_and_has_the_derivative() -> None:
    x, i, u = np.float32([1, 2]), np.array([[0], [0]]), np.float32([5, 6])
    y, pull = vjp(lambda x, u: lax.scatter(x, i, u, ELEMENTS), x, u)
    np.testing.assert_array_equal(value(y), [6, 2])
    ct_x, ct_u = pull(as_array(np.float32([6, 1])))
    np.testing.assert_array_equal(value(ct_x), [0, 1])
    np.testing.assert_array_equal(value(ct_u), [0, 6])


def test_ties_of_extrema_share_the_derivative() -> None:
    x, i, u = np.float32([1, 2]), np.array([[0], [0]]), np.float32([1, 1])
    _, pull = vjp(lambda x, u: lax.scatter_max(x, i, u, ELEMENTS), x, u)
    ct_x, ct_u = pull(as_array(np.float32([6, 1])))
    np.testing.assert_allclose(value(ct_x), [2, 1], rtol=1e-6)
    np.testing.assert_allclose(value(ct_u), [2, 2], rtol=1e-6)


def test_products_with_repeated_positions_have_derivatives_at_zeros() -> None:
    x, i = np.float32([2, 3]), np.array([[0], [0], [0]])
    _, pull = vjp(lambda u: lax.scatter_mul(x, i, u, ELEMENTS), np.float32([0, 4, 5]))
    np.testing.assert_allclose(value(pull(as_array(np.float32([1, 1])))[0]), [40, 0, 0])


def test_products_at_traced_positions_need_the_promise() -> None:
    x, u, i = np.float32([2, 3]), np.float32([4, 5]), np.array([[[0], [1]]])

    def total(u: Any, i: Any, unique: bool) -> Any:
        return lax.scatter_mul(x, i, u, ELEMENTS, unique_indices=unique)[0]

    with pytest.raises(NotImplementedError, match="unique_indices"):
        vmap(grad(total), in_axes=(None, 0, None))(u, i, False)
    out = vmap(lambda i: grad(lambda u: total(u, i, True))(u))(i)
    np.testing.assert_array_equal(value(out), [[2, 0]])


def test_transpose_of_clamping_gather_adds_where_it_read() -> None:
    ct = grad(lambda x: lax.gather(x, np.array([[0], [7]]), ROWS, (1, 2))[1, 0])(np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(value(ct), [[0, 0], [1, 0]])


def test_apply_repeats_for_repeated_positions() -> None:
    x = np.arange(4, dtype=np.float32)
    i = np.array([[1], [3], [1], [9]])
    out = lax.scatter_apply(x, i, lambda v: v * 3, ELEMENTS, update_shape=(4,))
    np.testing.assert_array_equal(value(out), [0, 9, 2, 9])
    traced = vmap(lambda i: lax.scatter_apply(x, i, lambda v: v * 3, ELEMENTS, update_shape=(4,)))(i[None])
    np.testing.assert_array_equal(value(traced), [[0, 9, 2, 9]])
    clipped = vmap(lambda i: lax.scatter_apply(x, i, lambda v: v * 3, ELEMENTS, update_shape=(4,), mode="clip"))(
        i[None]
    )
    np.testing.assert_array_equal(value(clipped), [[0, 9, 2, 27]])
    with pytest.raises(TypeError, match="keep the shape"):
        lax.scatter_apply(x, i, lambda v: v.sum(), ELEMENTS, update_shape=(4,))
    with pytest.raises(NotImplementedError, match="unique_indices"):
        vmap(lambda i: lax.scatter_apply(x, i, lambda v: v * 3, ELEMENTS, update_shape=(40,)))(
            np.zeros((1, 40, 1), int)
        )


def test_mistakes_are_named() -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(TypeError, match="Slice size at index 1"):
        lax.gather(x, np.array([[1]]), ROWS, (1, 5))
    with pytest.raises(TypeError, match="All components of the offset index"):
        lax.gather(x, np.array([[1]]), GatherDimensionNumbers((0, 1), (0,), (0,)), (1, 4))
    with pytest.raises(TypeError, match="last axis of the indices"):
        lax.gather(x, np.array([[1, 2]]), ROWS, (1, 4))
    with pytest.raises(ValueError, match="integer type"):
        lax.gather(x, np.array([[1.0]]), ROWS, (1, 4))
    with pytest.raises(TypeError, match="same dtypes, got float32, int32"):
        lax.scatter(x, np.array([[1]]), np.ones((1, 4), np.int32), INTO_ROWS)
    with pytest.raises(TypeError, match="scatter dimension 0"):
        lax.scatter_add(x, np.array([[1], [2]]), np.ones((3, 4), np.float32), INTO_ROWS)
    with pytest.raises(TypeError, match="bool"):
        lax.scatter_add(x > 0, np.array([[1]]), np.ones((1, 4), bool), INTO_ROWS)
