"""Layers: shapes that are announced are those of outputs; values against NumPy; bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.example_libraries import stax
from pullback.example_libraries.stax import (
    AvgPool,
    BatchNorm,
    Conv,
    Conv1DTranspose,
    ConvTranspose,
    Dense,
    Dropout,
    FanInConcat,
    FanInSum,
    FanOut,
    Flatten,
    GeneralConv,
    GeneralConvTranspose,
    MaxPool,
    SumPool,
    elementwise,
    parallel,
    serial,
    shape_dependent,
)

KEY = pb.random.key(0)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32))


def made(layer: Any, x: Any, **kwargs: Any) -> Any:
    """The output of a layer, whose shape is what the layer announces, for a batch of unknown size too."""
    shape, params = layer[0](KEY, x.shape)
    out = layer[1](params, x, **kwargs)
    assert out.shape == shape and all(type(n) is int for n in shape)
    if x.ndim > 1:
        axis = shape.index(-1) if -1 in (shape := layer[0](KEY, (-1, *x.shape[1:]))[0]) else None
        assert axis is not None and (*shape[:axis], x.shape[0], *shape[axis + 1 :]) == out.shape
    return out


def test_shapes() -> None:
    for layer in (
        Conv(4, (3, 2), (2, 1), "SAME"), Conv(4, (3, 2)), ConvTranspose(4, (3, 2), (2, 1)), ConvTranspose(4, (2, 2), padding="SAME"),
        GeneralConv(("NHWC", "OIHW", "CNHW"), 4, (3, 2)), GeneralConvTranspose(("NHWC", "OIHW", "NHCW"), 4, (3, 2)),
        MaxPool((2, 3), (2, 1), "SAME"), SumPool((2, 3)), AvgPool((2, 2), padding=((1, 0), (0, 1))), BatchNorm((0, 1)), Flatten,
        serial(Flatten, Dense(3), stax.Tanh), serial(FanOut(2), parallel(Dense(2), stax.Identity), FanInConcat()),
        shape_dependent(lambda shape: Dense(shape[-1] + 1)), serial(), Dropout(0.5, "test"), elementwise(jnp.clip, max=0.5),
    ):  # fmt: skip
        made(layer, IMAGES)
    made(Conv1DTranspose(4, (3,), (2,)), IMAGES[0])
    assert made(Flatten, jnp.zeros((0, 3, 4))).shape == (0, 12)


def test_values() -> None:
    x = np.asarray(IMAGES)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (1, 2))
    np.testing.assert_allclose(made(MaxPool((2, 3)), IMAGES), windows.max((-1, -2)))
    np.testing.assert_allclose(made(SumPool((2, 3)), IMAGES), windows.sum((-1, -2)), atol=1e-5)
    np.testing.assert_allclose(made(AvgPool((2, 3)), IMAGES), windows.mean((-1, -2)), atol=1e-6)
    for dtype in ("int32", "uint8", "bool", "bfloat16"):
        small = jnp.asarray(x[..., :1] * 9, dtype)
        found = made(MaxPool((2, 3)), small)
        assert found.dtype == small.dtype
        assert (
            found.tolist()
            == np.lib.stride_tricks.sliding_window_view(np.asarray(small), (2, 3), (1, 2)).max((-1, -2)).tolist()
        )
    # Where the padding begins, the mean is that of fewer elements.
    np.testing.assert_allclose(
        made(AvgPool((2, 3), padding="SAME"), IMAGES)[:, -1, -1], x[:, -1, -2:].mean(1), rtol=1e-5
    )
    normal = made(BatchNorm(), IMAGES)
    np.testing.assert_allclose(normal, (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5), atol=1e-5)
    moved = BatchNorm((0, -1), scale=False)[1]((jnp.arange(30.0).reshape(6, 5), ()), IMAGES)
    np.testing.assert_allclose(moved.mean((0, 3)), np.arange(30.0).reshape(6, 5), atol=1e-5)
    W, b = np.arange(6.0).reshape(3, 2), np.ones(2)
    np.testing.assert_allclose(Dense(2)[1]((W, b), x), x @ W + b, atol=1e-5)
    assert FanInSum[1]((), [IMAGES, IMAGES, IMAGES]).tolist() == (IMAGES + IMAGES + IMAGES).tolist()
    kept = Dropout(0.75)[1]((), jnp.ones((100, 100)), rng=KEY)
    assert abs(float(kept.mean()) - 1) < 0.02 and set(np.unique(kept)) == {0, np.float32(4 / 3)}


def test_a_network_learns() -> None:
    """A perceptron with every kind of branch learns exclusive or, compiled, keys included."""
    init, apply = serial(
        FanOut(2), parallel(serial(Dense(8), stax.Tanh, Dropout(0.95)), Dense(8)), FanInSum, Dense(2), stax.LogSoftmax
    )
    x, y = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), jnp.array([0, 1, 1, 0])

    def loss(params: Any, key: Any) -> Any:
        return -jnp.mean(apply(params, x, rng=key)[jnp.arange(4), y])

    @pb.jit
    def step(params: Any, key: Any) -> Any:
        return pb.tree.map(lambda p, g: p - 0.5 * g, params, pb.grad(loss)(params, key))

    params = init(KEY, (-1, 2))[1]
    for key in pb.random.split(KEY, 300):
        params = step(params, key)
    assert float(loss(params, KEY)) < 0.1


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="rng="):
        Dropout(0.5)[1]((), IMAGES)
    with pytest.raises(ValueError, match="rng="):
        serial(Dense(2), Dropout(0.5))[1]([Dense(2)[0](KEY, (1, 3))[1], ()], IMAGES)
    with pytest.raises(ValueError, match="'train' or 'test'"):
        Dropout(0.5, "predict")
    with pytest.raises(ValueError, match="a number for each spatial axis of 'NHWC'"):
        MaxPool((2,), spec="NHWC")
    with pytest.raises(TypeError, match="contracting dimensions"):
        Dense(2)[1](Dense(2)[0](KEY, (1, 4))[1], IMAGES)
