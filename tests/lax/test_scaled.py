"""scaled_dot against products of what its operands stand for."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.test_util import check_grads

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 4, 64)).astype(np.float32), RNG.normal(size=(2, 64, 3)).astype(np.float32)
SA, SB = (np.exp(RNG.normal(size=shape)).astype(np.float32) for shape in ((2, 4, 2), (2, 4, 3)))


def meant(a: Any, b: Any, sa: Any, sb: Any, dtype: Any = np.float64) -> np.ndarray:
    a, b, sa, sb = (np.asarray(v).astype(dtype) for v in (a, b, sa, sb))
    left, right = a * np.repeat(sa, 32, -1), b * np.repeat(sb, 16, 1)
    return np.einsum("bmk,bkn->bmn", left.astype(np.float64), right.astype(np.float64))


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float4_e2m1fn", "int8", "float32"])
def test_elements_times_scales(dtype: str):
    a, b = (jnp.asarray(v).astype(dtype) for v in (A, B))
    f = lambda a, b, sa, sb: [
        lax.scaled_dot(a, b, lhs_scale=sa, rhs_scale=sb, preferred_element_type=t)
        for t in (None, np.float32, np.float16)
    ]
    scale = "float8_e8m0fnu" if dtype.startswith("float8") else "float32"
    sa, sb = jnp.asarray(SA).astype(scale), jnp.asarray(SB).astype(scale)
    for half, single, narrow in (f(a, b, sa, sb), pb.jit(f)(a, b, sa, sb)):
        assert (half.dtype, single.dtype, narrow.dtype) == (ml_dtypes.bfloat16, np.float32, np.float16)
        # Compiled programs need not round factors to bfloat16.
        of_half = meant(a, b, sa, sb, ml_dtypes.bfloat16)
        np.testing.assert_allclose(half.astype(np.float64), of_half, rtol=0.01, atol=0.004 * np.abs(of_half).max())
        np.testing.assert_allclose(single, meant(a, b, sa, sb), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(narrow, meant(a, b, sa, sb), rtol=2e-3, atol=2e-3)


def test_axes():
    wide = {"preferred_element_type": np.float32}
    full = lax.scaled_dot(A, B, lhs_scale=SA, rhs_scale=SB, **wide)
    numbers = (((1,), (2,)), ((2,), (1,)))
    out = lax.scaled_dot(
        A.transpose(1, 2, 0), B.transpose(2, 0, 1), lhs_scale=SA.transpose(1, 2, 0), rhs_scale=SB.transpose(2, 0, 1),
        dimension_numbers=numbers, **wide,
    )  # fmt: skip
    np.testing.assert_allclose(out, full, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        lax.scaled_dot(A[0], B[0], lhs_scale=SA[0], rhs_scale=SB[0], **wide), full[0], rtol=1e-5, atol=1e-5
    )
    mapped = pb.vmap(lambda a, b, s: lax.scaled_dot(a, b, lhs_scale=s, **wide))(A, B, SA)
    np.testing.assert_allclose(mapped, lax.scaled_dot(A, B, lhs_scale=SA, **wide), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(lax.scaled_dot(A[None], B[None], **wide)[0], A @ B, rtol=1e-4, atol=1e-4)
    both = (((1, 2), (1, 2)), ((0,), (0,)))  # two contracted axes, with blocks in both
    tiles = lax.scaled_dot(A, A, lhs_scale=SA[:, :2], dimension_numbers=both, **wide)
    np.testing.assert_allclose(tiles, (A * A * np.repeat(np.repeat(SA[:, :2], 2, 1), 32, 2)).sum((1, 2)), rtol=1e-4)


def test_derivatives():
    with pb.enable_x64(True):
        wide = [np.asarray(v, np.float64) for v in (A[:1, :2, :4], B[:1, :4, :2], SA[:1, :2, :2], SB[:1, :2, :2])]
        f = lambda a, b, sa, sb: lax.scaled_dot(a, b, lhs_scale=sa, rhs_scale=sb, preferred_element_type=np.float64)
        check_grads(f, wide, 2)


def test_what_does_not_fit():
    for message, args, options in (
        ("the operands are real numbers", (A * 1j, B), {}),
        ("at least two axes", (A[0, 0], B[0, :, 0]), {}),
        ("the same number of axes", (A, B[0]), {}),
        ("contracting dimensions to have the same shape", (A[..., :32], B), {}),
        ("lhs and its scales must have the same number of axes", (A, B), {"lhs_scale": SA[0]}),
        (
            "axis 2 of lhs is contracted, and has length 64, which is no multiple of its 3 scales",
            (A, B),
            {"lhs_scale": SA[:, :, [0] * 3]},
        ),
        ("by 2 or more", (A, B), {"lhs_scale": A}),
        ("axis 1 of lhs is not contracted, and has length 4, but 2 scales", (A, B), {"lhs_scale": SA[:, :2]}),
    ):
        with pytest.raises(TypeError, match=message):
            lax.scaled_dot(*args, **options)
