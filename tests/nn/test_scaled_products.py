"""Products in formats of few bits, against ml_dtypes' rounding."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import nn

RNG = np.random.default_rng(0)
X, Y, CT = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 4, 80), (2, 3, 80), (2, 4, 3)))
ROWS = (((2,), (2,)), ((0,), (0,)))
FORMATS = {"mxfp8": (32, ml_dtypes.float8_e4m3fn), "nvfp4": (16, ml_dtypes.float4_e2m1fn)}


def rounded(x: np.ndarray, mode: str, factor: float = 1.0) -> np.ndarray:
    """`x` in a format, with blocks along the last axis."""
    size, kind = FORMATS[mode]
    top = float(ml_dtypes.finfo(kind).max)
    blocks = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % size)]).reshape(
        *x.shape[:-1], -1, size
    ) / np.float32(factor)
    share = np.abs(blocks).max(-1, keepdims=True) / np.float32(top)
    with np.errstate(divide="ignore", invalid="ignore"):
        if mode == "mxfp8":
            scales = np.exp2(np.clip(np.ceil(np.log2(share)), -126, 127)).astype(np.float32)
        else:
            scales = np.minimum(share, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
        data = np.clip(np.nan_to_num(blocks / scales, nan=0.0), -top, top).astype(kind).astype(np.float32)
    return (data * scales * np.float32(factor)).reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]


def of_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("bmk,bnk->bmn", x.astype(np.float64), y.astype(np.float64))


@pytest.mark.parametrize(("mode", "factor"), [("mxfp8", None), ("nvfp4", None), ("nvfp4", 0.3)])
def test_operands_and_cotangents_are_rounded(mode: str, factor: float | None):
    config = nn.get_scaled_dot_general_config(mode, None if factor is None else jnp.array([factor], jnp.float32))
    f = lambda x, y: nn.scaled_dot_general(x, y, ROWS, configs=[config] * 3)
    back = lambda x, y: pb.vjp(f, x, y)[1](CT)
    q = lambda x: rounded(x, mode, factor or 1.0)
    swap = lambda x: np.swapaxes(x, 1, 2)
    of_back = q if mode == "mxfp8" else lambda x: x
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.abs(b).max())
    # A block of zeros, one of small numbers, and one of large ones.
    x = X * np.repeat(np.float32([[[0, 1, 1e-3, 7, 100]]]), 16, -1)
    for g, h in ((f, back), (pb.jit(f), pb.jit(back))):
        close(g(x, Y), of_rows(q(x), q(Y)))
        by_x, by_y = h(x, Y)
        close(by_x, of_rows(of_back(CT), of_back(swap(Y))))
        close(by_y, of_rows(of_back(swap(CT)), of_back(swap(x))))
    tangent = pb.jvp(f, (x, Y), (x, np.zeros_like(Y)))[1]
    np.testing.assert_allclose(tangent, of_rows(x, Y), rtol=0.2, atol=0.1 * np.abs(of_rows(x, Y)).max())
    one = pb.vmap(lambda x, y: nn.scaled_dot_general(x, y, (((1,), (1,)), ((), ())), configs=[config] * 3))(x, Y)
    close(one, f(x, Y))


@pytest.mark.parametrize("mode", FORMATS)
def test_what_is_not_finite_is_not_hidden(mode: str):
    config = nn.get_scaled_dot_general_config(mode)
    x = X.copy()
    x[0, 0, 0], x[1, 1, 1] = np.nan, np.inf
    f = lambda x, y: nn.scaled_dot_general(x, y, ROWS, configs=[config] * 3)
    for out in (f(x, Y), pb.jit(f)(x, Y)):
        assert np.argwhere(np.isnan(out).all(-1)).tolist() == [[0, 0], [1, 1]] and np.isnan(out).sum() == 6


def test_axes_and_types():
    configs = [nn.get_scaled_dot_general_config("mxfp8")] * 3
    numbers = (((1, 2), (2, 1)), ((0,), (0,)))
    out = nn.scaled_dot_general(X, np.swapaxes(X, 1, 2), numbers, configs=configs, preferred_element_type=jnp.bfloat16)
    assert out.shape == (2,) and out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(float), (X * X).sum((1, 2)), rtol=0.05)
    assert nn.scaled_dot_general(X, Y, ROWS).dtype == np.float32
    np.testing.assert_allclose(nn.scaled_dot_general(X, Y, ROWS), of_rows(X, Y), rtol=1e-4, atol=1e-4)
    grad = pb.grad(lambda x: nn.scaled_dot_general(x, Y, ROWS, configs=configs).sum())(jnp.asarray(X, jnp.bfloat16))
    assert grad.dtype == jnp.bfloat16


def test_no_derivative_goes_through_the_factor():
    config = nn.get_scaled_dot_general_config
    f = lambda g: nn.scaled_dot_general(X, Y, ROWS, configs=[config("nvfp4", g)] * 3).sum()
    assert pb.jit(pb.grad(f))(jnp.ones(1)).tolist() == [0.0]


def test_scaled_matmul():
    sx, sy = (
        np.exp(RNG.normal(size=(2, 4, 5))).astype(np.float32),
        np.exp(RNG.normal(size=(2, 3, 2))).astype(np.float32),
    )
    exact = lambda x, y: of_rows(x * np.repeat(sx, 16, -1), y * np.repeat(sy, 40, -1))
    for kind in ("float8_e5m2", "float4_e2m1fn", "int8"):
        x, y = (jnp.asarray(v).astype(kind) for v in (X, Y))
        for f in (nn.scaled_matmul, pb.jit(nn.scaled_matmul)):
            out = f(x, y, sx, sy)
            assert out.dtype == np.float32
            np.testing.assert_allclose(
                out, exact(*(np.asarray(v).astype(np.float64) for v in (x, y))), rtol=1e-4, atol=1e-3
            )
    assert nn.scaled_matmul(X, Y, sx, sy, jnp.bfloat16).dtype == jnp.bfloat16
    by_scale = pb.grad(lambda s: nn.scaled_matmul(X, Y, s, sy).sum())(sx)
    np.testing.assert_allclose(
        by_scale,
        (X * (Y * np.repeat(sy, 40, -1)).sum(1, keepdims=True)).reshape(2, 4, 5, 16).sum(-1),
        rtol=1e-3,
        atol=1e-3,
    )


def test_what_does_not_fit():
    sx, sy = np.ones((2, 4, 5), np.float32), np.ones((2, 3, 5), np.float32)
    config = nn.get_scaled_dot_general_config("mxfp8")
    calls: list[tuple[type[Exception], str, Any]] = [
        (
            TypeError,
            "real numbers, got complex64",
            lambda: nn.scaled_dot_general(X * 1j, Y, ROWS, configs=[config] * 3),
        ),
        (TypeError, "real numbers, got complex64", lambda: nn.scaled_matmul(X, Y, sx * 1j, sy)),
        (ValueError, "three axes", lambda: nn.scaled_matmul(X[0], Y[0], sx[0], sy[0])),
        (ValueError, "must be alike", lambda: nn.scaled_matmul(X, Y[..., :40], sx, sy)),
        (ValueError, "scales must be those of rows", lambda: nn.scaled_matmul(X, Y, sx[:, :2], sy)),
        (ValueError, "blocks of one length", lambda: nn.scaled_matmul(X, Y, sx[..., :3], sy)),
        (ValueError, "mode must be 'mxfp8' or 'nvfp4', got 'fp4'", lambda: nn.get_scaled_dot_general_config("fp4")),
        (ValueError, "global_scale must be one number", lambda: nn.get_scaled_dot_general_config("nvfp4", jnp.ones(2))),
        (ValueError, "three formats", lambda: nn.scaled_dot_general(X, Y, ROWS, configs=[config])),
        (
            TypeError,
            "float32, bfloat16 or float16, not of int32",
            lambda: nn.scaled_dot_general(X, Y, ROWS, np.int32, [config] * 3),
        ),
        (
            TypeError,
            "contracting dimensions",
            lambda: nn.scaled_dot_general(X, Y[..., :40], ROWS, configs=[config] * 3),
        ),
    ]
    for error, message, call in calls:
        with pytest.raises(error, match=message):
            call()
