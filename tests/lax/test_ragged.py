"""Contractions of groups, against products of slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.lax import RaggedDotDimensionNumbers as Numbers
from pullback.test_util import check_grads

RNG = np.random.default_rng(0)
PLAIN = ((1,), (1,)), ((), ())
ROWS = Numbers(PLAIN, (0,), (0,))
SUMS = Numbers((((0,), (0,)), ((), ())), (0,), ())
BATCH = Numbers((((2,), (1,)), ((0,), (0,))), (0,), ())


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def by_slices(x: Any, y: Any, sizes: Any, offset: int = 0) -> np.ndarray:
    """`ragged_dot` of matrices."""
    out, ends = np.zeros((x.shape[0], y.shape[2]), x.dtype), np.cumsum(np.maximum(sizes, 0))
    for i, (start, end) in enumerate(zip([0, *ends[:-1]], ends)):
        if 0 <= i - offset < len(y):
            out[start:end] = x[start:end] @ y[i - offset]
    return out


SIZES = [[0, 3, 3], [0, 0, 0], [-1, 3, 2], [40, 0, 60], [33, 3, 60], [0, 0, 97]]


def test_products_of_slices():
    with pb.enable_x64(True):
        x, y = draw(97, 3), draw(3, 3, 4)
        compiled = pb.jit(lax.ragged_dot)
        first_two = pb.jit(lambda *args: lax.ragged_dot(*args[:3], group_offset=args[3]))
        for sizes in map(np.int32, SIZES):
            for f in (lax.ragged_dot, compiled):
                np.testing.assert_allclose(f(x, y, sizes), by_slices(x, y, sizes), rtol=1e-12, atol=1e-13)
            for offset in (0, 1, 2, 7):
                for f in (lambda *args: lax.ragged_dot(*args[:3], group_offset=args[3]), first_two):
                    found = f(x, y[:2], sizes, np.int32([offset]))
                    np.testing.assert_allclose(found, by_slices(x, y[:2], sizes, offset), rtol=1e-12, atol=1e-13)


def test_rows_of_no_group_do_not_count():
    x = jnp.array([[jnp.nan], [1.0], [2.0], [jnp.inf]])
    for f in (lax.ragged_dot, pb.jit(lax.ragged_dot)):
        out = f(x[::-1], jnp.ones((2, 1, 1)), jnp.array([1, 1]))
        assert out.ravel().tolist() == [jnp.inf, 2.0, 0.0, 0.0]
    sums = lambda x, s: lax.ragged_dot_general(x, jnp.ones((4, 1)), s, SUMS)
    for f in (sums, pb.jit(sums)):
        np.testing.assert_array_equal(f(x, jnp.array([1, 2, 0])).ravel(), [np.nan, 3.0, 0.0])
    assert pb.grad(lambda x: sums(x, jnp.array([0, 2])).sum())(x).ravel().tolist() == [1.0, 1.0, 0.0, 0.0]


#: Dimension numbers, shapes of the operands, sizes: one for all, or one for each batch and outer axis.
CASES: dict[str, tuple[Numbers, tuple[int, ...], tuple[int, ...], Any]] = {
    "rows": (ROWS, (6, 3), (3, 3, 4), [1, 2, 1]),
    "sums": (SUMS, (6, 3), (6, 4), [2, 0, 3]),
    "outer": (Numbers((((3,), (1,)), ((), ())), (2,), (0,)), (2, 3, 4, 6), (2, 6, 5), [[[1, 2]] * 3, [[4, 0], [0, 1], [2, 2]]]),
    "inner": (Numbers((((3,), (1,)), ((), ())), (2,), (0,)), (2, 3, 4, 6), (2, 6, 5), [1, 2]),
    "batch": (Numbers((((2, 3), (1, 3)), ((0,), (2,))), (1,), (0,)), (2, 4, 3, 5), (3, 3, 2, 5), [1, 2, 0]),
    "batch-own": (Numbers((((2, 3), (1, 3)), ((0,), (2,))), (1,), (0,)), (2, 4, 3, 5), (3, 3, 2, 5), [[1, 2, 0], [0, 3, 1]]),
    "sums-own": (
        Numbers((((1, 2, 3), (3, 2, 0)), ((0,), (1,))), (2,), ()), (2, 4, 3, 5), (5, 2, 3, 4), [[[1, 2]] * 4, [[0, 1]] * 4],
    ),
    "sums-outer": (Numbers((((2, 1), (0, 1)), ((), ())), (1,), ()), (5, 3, 2), (2, 3, 4), [[1, 2], [0, 2]]),
}  # fmt: skip


def masked(x: Any, y: Any, sizes: Any, numbers: Numbers) -> Any:
    """The same by a mask over (groups, x), which zeros what is not of the group."""
    ((xc, _), (xb, _)) = numbers.dot_dimension_numbers
    (ragged,) = numbers.lhs_ragged_dimensions
    kind = xc if ragged in xc else [i for i in range(x.ndim) if i not in (*xc, *xb)]
    axes = (*xb, *kind[: list(kind).index(ragged)]) if np.ndim(sizes) > 1 else ()
    shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
    ends = jnp.transpose(jnp.cumsum(jnp.asarray(sizes), -1), (*np.argsort(axes), len(axes)))
    place = jnp.arange(x.shape[ragged]).reshape([-1 if i == ragged else 1 for i in range(x.ndim)])
    out = []
    for i in range(ends.shape[-1]):
        start, end = ((ends[..., i - 1] if i else 0 * ends[..., 0]).reshape(shape), ends[..., i].reshape(shape))
        part = jnp.where((place >= start) & (place < end), x, 0)
        group = y if ragged in xc else jnp.take(y, i, numbers.rhs_group_dimensions[0])
        out.append(lax.dot_general(part, group, _without_group(numbers)))
    return jnp.stack(out) if ragged in xc else sum(out)


def _without_group(numbers: Numbers) -> Any:
    (xc, yc), (xb, yb) = numbers.dot_dimension_numbers
    gone = numbers.rhs_group_dimensions
    lower = lambda axes: tuple(i - sum(g < i for g in gone) for i in axes)
    return (xc, lower(yc)), (xb, lower(yb))


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_axis_with_derivatives_and_batches(name: str):
    numbers, *shapes, sizes = CASES[name]
    sizes = np.int32(sizes)
    with pb.enable_x64(True):
        x, y = (draw(*shape) for shape in shapes)
        f = lambda x, y, sizes: lax.ragged_dot_general(x, y, sizes, numbers)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        exact = masked(x, y, sizes, numbers)
        close(f(x, y, sizes), exact)
        weights = draw(*exact.shape)
        loss = lambda g: lambda x, y, s: (g(x, y, s) ** 2 * weights).sum()
        both = pb.value_and_grad(loss(f), (0, 1))
        expected = pb.grad(loss(lambda *args: masked(*args, numbers)), (0, 1))(x, y, sizes)
        compiled = [pb.jit(both)] if name in ("rows", "batch-own", "sums-own") else []
        for g in (both, *compiled):
            got = g(x, y, sizes)[1]
            for a, b in zip(got, expected):
                close(a, b)
        check_grads(lambda x, y: f(x, y, sizes), (x, y), 2 if name in ("rows", "sums") else 1)
        xs, ys, several = np.stack([x, 2 * x + 1]), np.stack([y, y - 1]), np.stack([sizes, sizes[..., ::-1]])
        for axes in (
            (0, None, None),
            (None, 0, None),
            (None, None, 0),
            (0, 0, None),
            (0, None, 0),
            (None, 0, 0),
            (0, 0, 0),
        ):
            args = [many if a == 0 else one for a, many, one in zip(axes, (xs, ys, several), (x, y, sizes))]
            for g in (f, both):
                found = pb.vmap(g, axes)(*args)
                for i in range(2):
                    wanted = g(*[v[i] if a == 0 else v for a, v in zip(axes, args)])
                    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted)):
                        close(a[i], b)


def test_a_ragged_batch_axis():
    x, y = draw(6, 2, 3).astype(np.float32), draw(6, 3, 2).astype(np.float32)
    f = lambda sizes, **options: lax.ragged_dot_general(x, y, sizes, BATCH, **options)
    np.testing.assert_allclose(f(np.int32([2, 1, 1])), x @ y, rtol=1e-5)
    out = f(np.int32([2, 1, 1]), group_offset=np.int32([1]))
    assert not out[:2].any()
    np.testing.assert_allclose(out[2:], (x @ y)[2:], rtol=1e-5)
    sums = lax.ragged_dot_general(x[:, 0], y[:, :, 0], np.int32([2, 1, 1]), SUMS, group_offset=np.int32([2]))
    np.testing.assert_allclose(sums[0], x[3:4, 0].T @ y[3:4, :, 0], rtol=1e-5)
    assert not sums[1:].any() and sums.shape == (3, 3, 3)


def test_types():
    x, y, sizes = jnp.ones((4, 3)), jnp.ones((2, 3, 2)), jnp.array([1, 3])
    kinds = ("float32", "bfloat16", "int32", "int8", "bool", "complex64")
    for a in kinds:
        for b in kinds:
            out = lax.ragged_dot(x.astype(a), y.astype(b), sizes)
            assert out.dtype == jnp.promote_types(a, b) and not out.weak_type
    half = ml_dtypes.bfloat16
    assert lax.ragged_dot(x, y, sizes, preferred_element_type=half).dtype == half
    # Sums of narrow floats are taken in 32 bits: 1000 ones are 1000.
    many = jnp.ones((2, 1000), half), jnp.ones((2, 1000, 1), half), jnp.array([1, 1])
    wide = lambda *args: lax.ragged_dot(*args, preferred_element_type=np.float32)
    for f in (wide, pb.jit(wide)):
        assert f(*many).ravel().tolist() == [1000, 1000]
    for dtype in ("int8", "uint8", "uint32", "int64"):
        assert lax.ragged_dot(x, y, sizes.astype(dtype)).shape == (4, 2)
    # Sizes that add up to more than their dtype has.
    assert lax.ragged_dot(jnp.ones((300, 1)), jnp.arange(3.0).reshape(3, 1, 1), np.int8([100, 100, 100])).sum() == 300
    assert lax.ragged_dot(x, y[:0], sizes[:0]).shape == (4, 2) and lax.ragged_dot(x[:0], y, 0 * sizes).shape == (0, 2)
    assert hash(ROWS) == hash(Numbers([[[1], [1]], [[], []]], [0], [0]))


FAULTS: list[tuple[str, Callable[..., Any]]] = [
    ("contracting dimensions to have the same shape", lambda x, y, s: lax.ragged_dot(x[:, :2], y, s)),
    ("rhs has 3 groups, and group_sizes of shape (2,) 2", lambda x, y, s: lax.ragged_dot(x, y, s[:2])),
    ("group_sizes must be integers, got float32", lambda x, y, s: lax.ragged_dot(x, y, s * 1.0)),
    ("group_sizes must be integers, got bool", lambda x, y, s: lax.ragged_dot(x, y, s > 0)),
    ("must have shape ('g',), got (1, 3)", lambda x, y, s: lax.ragged_dot(x, y, s[None])),
    ("must have shape ('g',), got ()", lambda x, y, s: lax.ragged_dot(x, y, s[0])),
    ("group_offset must be an integer array of shape (1,), got int32[]", lambda x, y, s: lax.ragged_dot(x, y, s, group_offset=0)),
    ("exactly one ragged dimension of lhs", lambda x, y, s: lax.ragged_dot_general(x, y, s, Numbers(PLAIN, (), (0,)))),
    ("the ragged dimension 2 of lhs is out of range", lambda x, y, s: lax.ragged_dot_general(x, y, s, Numbers(PLAIN, (2,), (0,)))),
    ("exactly one group dimension of rhs", lambda x, y, s: lax.ragged_dot_general(x, y[0], s, Numbers((((1,), (0,)), ((), ())), (0,), ()))),
    ("the group dimension 1 of rhs", lambda x, y, s: lax.ragged_dot_general(x, y, s, Numbers(PLAIN, (0,), (1,)))),
    ("rhs has no group dimension", lambda x, y, s: lax.ragged_dot_general(x, x, s, Numbers(SUMS.dot_dimension_numbers, (0,), (1,)))),
]  # fmt: skip


@pytest.mark.parametrize(("message", "call"), FAULTS, ids=[m for m, _ in FAULTS])
def test_what_does_not_fit(message: str, call: Callable[..., Any]):
    with pytest.raises(TypeError) as caught:
        call(jnp.ones((6, 3)), jnp.ones((3, 3, 4)), jnp.array([2, 2, 2]))
    assert message in str(caught.value)


def test_nothing_calls_the_host():
    text = (
        pb.jit(pb.grad(lambda x: lax.ragged_dot(x, jnp.ones((3, 3, 4)), jnp.array([1, 2, 3])).sum()))
        .lower(jnp.ones((6, 3)))
        .as_text()
    )
    assert "callback" not in text and "stablehlo.while" in text
