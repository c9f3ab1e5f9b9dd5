"""Interpolation on grids: against SciPy's, derivatives, compiled, dtypes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.interpolate as theirs

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy.interpolate import RegularGridInterpolator
from pullback.test_util import check_grads


def test_values_are_scipys() -> None:
    rng = np.random.default_rng(0)
    grid = (np.array([0.0, 1, 2.5]), np.array([4.0, 1, 0.5, -3]))
    values, xi = rng.normal(size=(3, 4, 2)), rng.uniform(-4, 5, (30, 2))
    xi[:3] = [[0, 4], [2.5, -3], [1, np.nan]]
    cases = [(method, fill) for method in ("linear", "nearest") for fill in (np.nan, 7.0, None)]
    with pb.enable_x64(True):
        every = lambda v, x: [RegularGridInterpolator(grid, v, m, False, fill)(x) for m, fill in cases]
        for outs in (every(values, xi), pb.jit(every)(values, xi)):
            for (method, fill), out in zip(cases, outs):
                expected = theirs.RegularGridInterpolator(grid, values, method, False, fill)(xi)
                np.testing.assert_allclose(out, expected, atol=1e-13, err_msg=f"{method} {fill}")
        inside = np.array([[0.3, 2.2], [2.1, -1.0]])
        at = lambda v, x, p: RegularGridInterpolator((p, grid[1]), v)(x)
        check_grads(at, (values, inside, grid[0]), 2, atol=1e-6, rtol=1e-6)


def test_types_and_refusals() -> None:
    line = (np.arange(3),)
    for dtype, result in {"int32": "float32", "bfloat16": "float32", "complex64": "complex64"}.items():
        out = RegularGridInterpolator(line, jnp.array([0, 2, 4], dtype))(np.float32([[0.5], [1.5]]))
        assert out.dtype == jnp.dtype(result)
        np.testing.assert_array_equal(np.asarray(out, np.complex64), [1, 3])
    narrow = RegularGridInterpolator((jnp.arange(3, dtype="bfloat16"),), jnp.array([0, 2, 4], "bfloat16"))
    assert narrow(jnp.array([0.5], "bfloat16")).dtype == jnp.bfloat16
    assert narrow(jnp.array([0.5]), method="nearest").dtype == jnp.bfloat16
    with pb.enable_x64(True):  # the weights' digits are kept
        out = RegularGridInterpolator(line, jnp.array([0, 1, 2], "float32"))(np.array([0.1]))
        assert out.dtype == np.float64 and out[0] == 0.1
    broadcast = RegularGridInterpolator((line[0], line[0]), np.eye(3))((0.5, np.ones((2, 2))))
    np.testing.assert_array_equal(broadcast, np.full((2, 2), 0.5))
    square = RegularGridInterpolator((line[0], line[0]), np.eye(3))
    assert square(np.ones(2)).shape == (1,)
    np.testing.assert_array_equal(pb.jit(lambda g, x: g(x))(square, np.float32([[0.5, 1], [9, 1]])), [0.5, np.nan])
    f = RegularGridInterpolator
    refusals: list[Any] = [
        (ValueError, lambda: f(line, np.ones(3), "cubic")),
        (NotImplementedError, lambda: f(line, np.ones(3), bounds_error=True)),
        (ValueError, lambda: f(line, np.ones(4))),
        (ValueError, lambda: f(line * 2, np.ones(3))),
        (ValueError, lambda: f((np.array([0, 2, 1]),), np.ones(3))),
        (ValueError, lambda: f((np.ones((3, 1)),), np.ones(3))),
        (ValueError, lambda: f(line, np.ones(3), fill_value=1j)),
        (ValueError, lambda: f(line * 2, np.ones((3, 3)))(np.ones((3, 3)))),
    ]
    for error, call in refusals:
        with pytest.raises(error):
            call()
