"""Rounding errors of everything that sums: along every axis, in every layout, eager and compiled, like log n."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.lax.summation import product_over, running_products, running_sums, sum_over

EPS = float(np.finfo(np.float32).eps)

#: Name → the function, the same of float64 by NumPy. Each takes `axis`.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (jnp.sum, np.sum),
    "mean": (jnp.mean, np.mean),
    "average": (jnp.average, np.average),
    "var": (jnp.var, np.var),
    "std": (jnp.std, np.std),
    "nansum": (jnp.nansum, np.nansum),
    "norm": (jnp.linalg.norm, np.linalg.norm),
    "weighted": (lambda x, axis: jnp.sum(x, axis, where=x > 0), np.sum),
    "logsumexp": (lambda x, axis: pb.nn.logsumexp(x, axis), lambda x, axis: np.log(np.sum(np.exp(x), axis))),
    "trapezoid": (jnp.trapezoid, np.trapezoid),
    "cumsum": (jnp.cumsum, np.cumsum),
    "cumsum of suffixes": (
        lambda x, axis: lax.cumsum(x, axis=axis, reverse=True),
        lambda x, axis: np.flip(np.cumsum(np.flip(x, axis), axis), axis),
    ),
    "cumprod": (jnp.cumprod, np.cumprod),
    "prod": (jnp.prod, np.prod),
    "cumlogsumexp": (lambda x, axis: lax.cumlogsumexp(x, axis=axis), lambda x, axis: np.logaddexp.accumulate(x, axis)),
    "gradient of cumprod": (
        lambda x, axis: pb.grad(lambda y: jnp.cumprod(y, axis).sum())(x),
        lambda x, axis: np.flip(np.cumsum(np.flip(np.cumprod(x, axis), axis), axis), axis) / x,
    ),
}  # fmt: skip

#: What is reduced: a shape, an axis, and how an array of that shape lies in memory.
LAYOUTS: list[tuple[str, tuple[int, ...], int, Callable[[Any], Any]]] = [
    ("leading", (20_000, 3), 0, lambda x: x),
    ("leading, wide", (3000, 70), 0, lambda x: x),
    ("trailing", (3, 20_000), 1, lambda x: x),
    ("middle", (3, 5000, 4), 1, lambda x: x),
    ("transposed", (3, 20_000), 0, lambda x: x.T),
    ("strided", (10_000, 6), 0, lambda x: x[:, ::2]),
    ("reversed", (10_000, 2), 0, lambda x: x[::-1, ::-1]),
]


def _sample(name: str, shape: tuple[int, ...], axis: int, constant: bool) -> Any:
    if not constant:
        x = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    elif name in ("var", "std"):  # any axis has both
        x = np.where(np.indices(shape).sum(0) % 4 < 2, 0.1, 0.3)
    else:
        x = np.full(shape, 0.1)  # the worst case: all roundings go the same way
    return 1 + x / 4096 if "prod" in name else x


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rounding(name: str, compiled: bool) -> None:
    if compiled and "prod" in name:
        pytest.skip("errors of products add up in whatever order, and XLA takes fifteen times as long in float64")
    function, exact = FUNCTIONS[name]
    for constant in (True, False):
        # Compiling prefixes of long columns takes XLA ten seconds.
        layouts = LAYOUTS[1:2] if compiled and name == "cumlogsumexp" else LAYOUTS[: 3 if compiled else None]
        for what, shape, axis, layout in layouts:
            base = _sample(name, shape, axis, constant)
            x = layout(base.astype(np.float32))
            # Slices of Arrays, so that eager functions see the layout.
            value = layout(jnp.asarray(base.astype(np.float32)))
            f = partial(function, axis=axis)
            got = np.asarray((pb.jit(f) if compiled else f)(value), np.float64)
            want = exact(x.astype(np.float64), axis=axis)
            error = np.max(np.abs(got - want) / np.abs(want))
            assert error <= 4 * EPS * math.log2(x.shape[axis]), (what, constant, error / EPS)


def test_contractions_round_like_sums() -> None:
    n = 200_000
    x, y = jnp.full((n, 3), 0.1), jnp.full(n, 0.5)
    want = float(np.float32(0.1)) * 0.5 * n
    for got in (y @ x, x.T @ y, jnp.einsum("i,ij->j", y, x), jnp.dot(x[:, 0], y), jnp.vdot(y, x[:, 1]), (x.T @ x) * 5):
        assert np.max(np.abs(np.asarray(got, np.float64) / want - 1)) < 100 * EPS


def test_windows_round_like_sums() -> None:
    got = lax.reduce_window(jnp.full((100_000, 2), 0.1), 0.0, lax.add, (100_000, 1), (1, 1), "VALID")
    assert np.max(np.abs(np.asarray(got, np.float64) / (float(np.float32(0.1)) * 100_000) - 1)) < 40 * EPS


def test_dtypes() -> None:
    for dtype in ("float16", "bfloat16", "complex64"):
        x = jnp.full((8192, 3), 0.125, dtype)
        for total in (x.sum(0), jnp.cumsum(x, 0)[-1], jnp.ones(8192, dtype) @ x):
            assert total.dtype == dtype
            np.testing.assert_array_equal(np.asarray(total).astype(np.complex64), 1024)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_results_are_those_of_numpy(data: st.DataObject) -> None:
    """Any shape, axes and layout, of numbers that need no rounding."""
    shape = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 17, 300, 1100]), min_size=1, max_size=4).map(tuple))
    while math.prod(shape) > 100_000:
        shape = shape[1:]
    dtype = data.draw(st.sampled_from(["f4", "f8", "c8", "i4", "u1"]))
    x = (np.arange(math.prod(shape)) % 7).reshape(shape).astype(dtype)
    x = x.transpose(data.draw(st.permutations(range(x.ndim))))
    x = x[tuple(data.draw(st.sampled_from([slice(None), slice(None, None, -1), slice(1, None, 2)])) for _ in x.shape)]
    if data.draw(st.booleans()):
        x = np.broadcast_to(x[:1], (data.draw(st.sampled_from([1, 5, 600])), *x.shape[1:])) if x.shape[0] else x
    axes = data.draw(hnp.valid_tuple_axes(x.ndim, min_size=0))
    axes = tuple(a % x.ndim for a in axes)
    want = np.add.reduce(x, axes, x.dtype)
    got = sum_over(x, axes)
    assert got.dtype == x.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got, want)
    axis = data.draw(st.integers(0, x.ndim - 1))
    running = running_sums(x, axis)
    assert running.dtype == x.dtype
    np.testing.assert_array_equal(running, np.add.accumulate(x, axis, x.dtype))
    x = x * 0 + 1
    np.testing.assert_array_equal(product_over(x, axes), np.multiply.reduce(x, axes, x.dtype))
    np.testing.assert_array_equal(running_products(x, axis), np.multiply.accumulate(x, axis, x.dtype))


def test_what_is_not_finite_stays_where_it_is() -> None:
    for bad in (np.inf, -np.inf, np.nan):
        x = np.ones((40_000, 3), np.float32)
        x[20_001, 1] = bad
        np.testing.assert_array_equal(sum_over(x, (0,)), [40_000, bad, 40_000])
        for columns in (x, np.ascontiguousarray(np.repeat(x, 9, 1))):
            np.testing.assert_array_equal(running_sums(columns, 0), np.add.accumulate(columns.astype("d"), 0))
    assert running_products(np.array([1e-30] * 200 + [1e30] * 200, np.float32), 0)[-1] == 0
