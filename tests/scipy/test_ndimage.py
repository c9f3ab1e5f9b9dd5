"""Images between pixels: against SciPy's, derivatives, dtypes, compiled, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy.ndimage import map_coordinates
from pullback.test_util import check_grads

SCIPYS = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "wrap": "grid-wrap",
    "mirror": "mirror",
    "reflect": "reflect",
}


def test_values_are_scipys_eager_and_compiled() -> None:
    rng = np.random.default_rng(0)
    with pb.enable_x64(True):
        x, c = rng.normal(size=(4, 3)), rng.uniform(-7, 9, (2, 40))
        cases = [(mode, order) for mode in SCIPYS for order in (0, 1)]
        every = lambda x, c: [map_coordinates(x, c, order, mode, 0.3) for mode, order in cases]
        for outs in (every(x, c), pb.jit(every)(x, c), pb.vmap(every, (0, None))(x[None], c)):
            for (mode, order), out in zip(cases, outs):
                expected = scipy.ndimage.map_coordinates(x, c, order=order, mode=SCIPYS[mode], cval=0.3)
                np.testing.assert_allclose(out.reshape(40), expected, atol=1e-14, err_msg=f"{mode} {order}")
        for mode in SCIPYS:
            check_grads(lambda x, c: map_coordinates(x, c, 1, mode), (x, c), 2, atol=1e-6, rtol=1e-6)
            one = map_coordinates(x[:1], c, 1, mode)
            expected = scipy.ndimage.map_coordinates(x[:1], c, order=1, mode=SCIPYS[mode])
            np.testing.assert_allclose(one, expected, atol=1e-14)


def test_types_and_edges() -> None:
    half = [np.float32([0.5, 1.25, -0.5])]
    for dtype in ("uint8", "int32", "float16", "bfloat16", "float32", "complex64"):
        out = map_coordinates(jnp.array([1, 2, 5], dtype), half, 1)
        assert out.dtype == jnp.dtype(dtype)
        expected = [2, 3, 1] if dtype in ("uint8", "int32") else [1.5, 2.75, 0.5]
        np.testing.assert_array_equal(np.asarray(out, np.complex64), expected)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert map_coordinates(x, [np.ones((2, 1)), np.ones(3)], 1).shape == (2, 3)
    assert map_coordinates(x, [1, 2], 1) == 5 and map_coordinates(x, [1.0, 7.0], 0, cval=9) == 9
    assert np.isnan(map_coordinates(np.ones(3, np.float32), [np.float32([np.nan])], 1, "nearest"))
    ties = map_coordinates(np.arange(5.0), [np.float32([0.5, 1.5, 2.5, -0.5])], 0, cval=-1)
    assert ties.tolist() == [1, 2, 3, -1]  # away from zero


def test_bad_input() -> None:
    x: Any = np.ones((4, 3), np.float32)
    for error, says, call in [
        (ValueError, "one array an axis, got 1", lambda: map_coordinates(x, [1.0], 1)),
        (NotImplementedError, "order must be 0 or 1, got 2", lambda: map_coordinates(x, [1.0, 1.0], 2)),
        (NotImplementedError, "mode must be one of", lambda: map_coordinates(x, [1.0, 1.0], 1, "blah")),
        (TypeError, "requires ndarray", lambda: map_coordinates([1.0], [1.0], 1)),
    ]:  # fmt: skip
        with pytest.raises(error, match=says):
            call()
