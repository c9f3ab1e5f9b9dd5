"""Convolutions and windows against their definitions, and what they refuse."""

import itertools

import numpy as np
import pytest

import pullback as pb
import pullback.lax as lax
import pullback.numpy as jnp

RNG = np.random.default_rng(0)


def direct(x, k, stride, low, high, x_dilation, k_dilation, groups=1):
    """out[b, o, y] = Σ x[b, i, s y + r j - low] k[o, i, j], element by element."""
    n = (x.shape[2] - 1) * x_dilation + 1
    wide = np.zeros((*x.shape[:2], n))
    wide[:, :, ::x_dilation] = x
    wide = np.pad(wide, ((0, 0), (0, 0), (max(low, 0), max(high, 0))))
    wide = wide[:, :, max(-low, 0) : wide.shape[2] - max(-high, 0)]
    window = (k.shape[2] - 1) * k_dilation + 1
    size = (wide.shape[2] - window) // stride + 1
    out = np.zeros((x.shape[0], k.shape[0], size))
    per_group, features = k.shape[0] // groups, k.shape[1]
    for b, o, y in np.ndindex(*out.shape):
        first = (o // per_group) * features
        for i, j in np.ndindex(*k.shape[1:]):
            out[b, o, y] += wide[b, first + i, y * stride + j * k_dilation] * k[o, i, j]
    return out


@pytest.mark.parametrize(
    ("stride", "pads", "x_dilation", "k_dilation", "groups"),
    [*itertools.product((1, 3), ((0, 0), (2, 1), (-1, 2)), (1, 2), (1, 2), (1,)), (2, (1, 1), 2, 1, 2)],
)
def test_one_axis_by_definition(stride, pads, x_dilation, k_dilation, groups):
    with pb.enable_x64(True):
        x, k = RNG.normal(size=(2, 4, 7)), RNG.normal(size=(6, 4 // groups, 3))
        f = lambda x, k: lax.conv_general_dilated(
            x, k, (stride,), (pads,), (x_dilation,), (k_dilation,), feature_group_count=groups
        )
        expected = direct(x, k, stride, *pads, x_dilation, k_dilation, groups)
        assert np.allclose(f(x, k), expected)
        assert np.allclose(pb.jit(f)(x, k), expected)


def test_layouts_are_transpositions_of_each_other():
    x, k = RNG.normal(size=(2, 3, 5, 6)).astype(np.float32), RNG.normal(size=(4, 3, 2, 3)).astype(np.float32)
    expected = lax.conv(x, k, (1, 2), "SAME")
    got = lax.conv_general_dilated(
        x.transpose(2, 0, 3, 1), k.transpose(2, 3, 1, 0), (1, 2), "SAME", dimension_numbers=("HNWC", "HWIO", "CWHN")
    )
    assert np.allclose(got, np.asarray(expected).transpose(1, 3, 2, 0), atol=1e-5)


def test_the_transposed_convolution_is_the_gradient():
    x, k = RNG.normal(size=(1, 4, 5, 3)).astype(np.float32), RNG.normal(size=(3, 3, 2, 3)).astype(np.float32)
    forward = lambda y: lax.conv_general_dilated(y, k, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    y = jnp.zeros((1, 8, 10, 2))
    (expected,) = pb.vjp(forward, y)[1](jnp.asarray(x))
    got = lax.conv_transpose(x, k, (2, 2), "SAME", transpose_kernel=True, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert np.allclose(got, expected, atol=1e-4)


def test_patches_and_local_filters():
    x = RNG.normal(size=(2, 3, 6)).astype(np.float32)
    patches = np.asarray(lax.conv_general_dilated_patches(x, (2,), (1,), "VALID"))
    assert patches.shape == (2, 6, 5)
    assert np.allclose(patches[:, 3], x[:, 1, 1:])
    k = RNG.normal(size=(4, 6, 5)).astype(np.float32)
    got = lax.conv_general_dilated_local(x, k, (1,), "VALID", (2,))
    assert np.allclose(got, np.einsum("nky,oky->noy", patches, k), atol=1e-5)


def test_windows_by_definition():
    x = RNG.normal(size=(9,)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, 3)[::2]
    for computation, initial, expected in (
        (lax.add, 0.0, windows.sum(1)), (lax.max, -jnp.inf, windows.max(1)), (lax.min, jnp.inf, windows.min(1)),
        (lax.mul, 1.0, windows.prod(1)), (lambda a, b: a + b, 1.0, 1 + windows.sum(1)),
    ):  # fmt: skip
        f = lambda x, computation=computation, initial=initial: lax.reduce_window(x, initial, computation, (3,), (2,))
        assert np.allclose(f(x), expected, atol=1e-6)
        assert np.allclose(pb.jit(f)(x), expected, atol=1e-6)
    # Of equal elements the first one has the derivative.
    g = pb.grad(lambda x: jnp.sum(lax.reduce_window(x, -jnp.inf, lax.max, (2,), (2,))))
    assert np.array_equal(g(jnp.array([1.0, 1.0, 2.0, 3.0])), [1, 0, 0, 1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 3, 2)), (1,), "SAME"), ValueError, "features"),
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 2)), (1,), "SAME"), TypeError, "ndim"),
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 2), int), (1,), "SAME"), TypeError, "dtypes"),
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 2)), (1,), "NEARLY"), RuntimeError, "padding type"),
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 2)), (0,), "VALID"), ValueError, "positive"),
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 2)), (0,), "SAME"), ValueError, "positive"),
        (lambda: lax.conv(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 2)), (1,), [(0, 0)] * 2), TypeError, "1 entries"),
        (
            lambda: lax.conv_general_dilated(jnp.ones((1, 2, 4)), jnp.ones((1, 2, 2)), (1,), "SAME", rhs_dilation=(0,)),
            TypeError,
            "positive",
        ),
        (lambda: lax.conv_dimension_numbers((1, 2, 3), (1, 2, 3), ("NCH", "OIW", "NCW")), TypeError, "spatial axes"),
        (lambda: lax.conv_dimension_numbers((1, 2, 3), (1, 2, 3), ("NCC", "OIW", "NCW")), ValueError, "once"),
        (lambda: lax.reduce_window(jnp.ones(3), 0.0, lax.add, (2, 2)), TypeError, "one entry for each axis"),
        (lambda: lax.reduce_window(jnp.ones(3), (0.0, 0.0), lax.add, (2,)), ValueError, "structure"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_padding_takes_no_more_away_than_there_is() -> None:
    x, w = jnp.ones((1, 1, 4)), jnp.ones((1, 1, 1))
    assert lax.conv_general_dilated(x, w, (1,), [(-2, -2)]).shape == (1, 1, 0)
    np.testing.assert_array_equal(lax.conv_general_dilated(x, w, (1,), [(-5, 4)]), np.zeros((1, 1, 3)))
    assert lax.conv_general_dilated(x, w, (1,), [(-2, -3)], lhs_dilation=(2,)).shape == (1, 1, 2)
    for pads in ((-5, 0), (0, -5), (-2, -3)):
        for f in (lax.conv_general_dilated, pb.jit(lax.conv_general_dilated, static_argnums=(2, 3))):
            with pytest.raises(ValueError, match="takes away"):
                f(x, w, (1,), (pads,))


def test_sums_are_taken_in_the_type_of_the_result_or_a_wider_one():
    x, k = jnp.full((1, 1, 4), 100, "int8"), jnp.full((1, 1, 2), 100, "int8")
    for dtype, value in (("int32", 20000), ("float32", 20000), (None, 32)):
        f = lambda x, k, dtype=dtype: lax.conv_general_dilated(x, k, (1,), "VALID", preferred_element_type=dtype)
        for out in (f(x, k), pb.jit(f)(x, k)):
            assert out.dtype == (dtype or "int8") and (np.asarray(out) == value).all()


@pytest.mark.parametrize("shape", [(900,), (30, 30)])
def test_single_features_are_convolved_as_in_float64(shape):
    """By NumPy and compiled: what the sums of float64 round to."""
    x = RNG.normal(size=(1, 1, *shape)).astype(np.float32) + 1000
    k = RNG.normal(size=(1, 1, *(n // 3 for n in shape))).astype(np.float32)
    f = lambda x, k: lax.conv(x, k, (1,) * len(shape), "VALID")
    with pb.enable_x64(True):
        wide = np.asarray(f(x.astype(np.float64), k.astype(np.float64)))
    for out in (f(x, k), pb.jit(f)(x, k)):
        np.testing.assert_array_max_ulp(np.asarray(out), wide.astype(np.float32), 1)
