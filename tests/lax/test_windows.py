"""Reductions over windows: parts of windows that lie in the padding in every position cost nothing."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import assume, given

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.lax.windows import Window, cropped, dilated, window_shape

small = st.integers(1, 3)


def sums(x: np.ndarray, k: int, s: int, low: int, high: int, d: int) -> list[float]:
    """Sums over the windows of `x`, one place after the other."""
    count = (x.size + low + high - dilated(k, d)) // s + 1
    places = [[o * s - low + j * d for j in range(k)] for o in range(count)]
    return [sum(float(x[p]) for p in window if 0 <= p < x.size) for window in places]


@given(st.integers(0, 5), st.integers(1, 9), small, st.integers(-2, 8), st.integers(-2, 8), small, small)
def test_cropped_windows_are_the_same(n: int, k: int, s: int, low: int, high: int, b: int, d: int) -> None:
    window = Window((k,), (s,), ((low, high),), (b,), (d,))._asdict()
    (count,) = window_shape((n,), **window)
    assume(count)
    (size,), _, ((before, behind),), *_ = cropped((n,), **window)
    x = np.zeros(dilated(n, b))
    x[::b] = np.arange(1.0, n + 1)
    assert size <= min(k, (x.size + (count - 1) * s) // d + 1)
    assert sums(x, size, s, before, behind, d) == sums(x, k, s, low, high, d)


def test_windows_of_any_size_end() -> None:
    x = jnp.arange(3.0)
    for f in (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2**40,), (1,), "SAME"),
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2**40,), (1,), "SAME"),
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), [(2**20, 2**20)], None, (2**20,)),
    ):
        expected = f(x)
        assert np.isfinite(expected).all()
        assert np.array_equal(pb.jit(f)(x), expected)
        assert np.array_equal(pb.jit(lambda f=f: f(x))(), expected)
