"""Images resampled: against values from JAX 0.10.2, SciPy's and the definition; derivatives; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import image
from pullback.test_util import check_grads

METHODS = ["linear", "cubic", "cubic-pytorch", "lanczos3", "lanczos5", "area"]


def test_names_and_known_values() -> None:
    assert [m.name for m in image.ResizeMethod] == [
        "NEAREST",
        "LINEAR",
        "LANCZOS3",
        "LANCZOS5",
        "CUBIC",
        "CUBIC_PYTORCH",
        "AREA",
    ]
    with pb.enable_x64(True):
        x = np.array([1.0, 3.0, 2.0, 8.0])
        for name in ("linear", "bilinear", "trilinear", "triangle", image.ResizeMethod.LINEAR):
            # Triangles two pixels wide: weights 3, 3, 1 and 1, 3, 3, 1 over what is inside.
            np.testing.assert_allclose(image.resize(x, (2,), name), [(3 + 9 + 2) / 7, (3 + 6 + 24) / 7], rtol=1e-15)
        np.testing.assert_array_equal(image.resize(x, (8,), "area"), np.repeat(x, 2))
        np.testing.assert_array_equal(image.resize(x, (2,), "area"), [2, 5])
        np.testing.assert_array_equal(image.resize(x, (3,), "nearest"), x[[0, 2, 3]])
        np.testing.assert_array_equal(image.resize(x, (2,), "linear", antialias=False), [2, 5])
        # Keys's kernel at the distances 1/2 and 3/2 is 9/16 and -1/16; outside of the image nothing counts.
        np.testing.assert_allclose(image.resize(x, (2,), "cubic", antialias=False)[0], (9 + 27 - 2) / 17, rtol=1e-14)
        # PyTorch's, with a = -3/4: 19/32 and -3/32, and the first pixel once more before it.
        torch = image.resize(x, (2,), "cubic-pytorch", antialias=False)
        np.testing.assert_allclose(torch[0], (19 + 57 - 3 - 6) / 32, rtol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_laws(method: str) -> None:
    """Constants stay, as floats of the image's type; a reflection commutes; axes are independent; one is translated."""
    rng = np.random.default_rng(0)
    with pb.enable_x64(True):
        x = rng.normal(size=(7, 5, 2))
        for shape in ((14, 3, 2), (3, 11, 2), (1, 1, 2), (7, 5, 2), (0, 5, 2)):
            for antialias in (True, False):
                f = lambda x: image.resize(x, shape, method, antialias)
                np.testing.assert_allclose(f(np.ones((7, 5, 2))), np.ones(shape), rtol=1e-14)
                np.testing.assert_allclose(f(x[::-1, ::-1]), f(x)[::-1, ::-1], atol=1e-14)
                scale = np.array([shape[0] / 7, shape[1] / 5])
                if shape[0]:
                    g = image.scale_and_translate(x, shape, (0, 1), scale, np.zeros(2), method, antialias)
                    np.testing.assert_allclose(g, f(x), atol=1e-13)
        moved = image.scale_and_translate(x, (9, 5, 2), (-3,), np.ones(1), np.full(1, 2.0), method)
        np.testing.assert_allclose(moved, np.concatenate([np.zeros((2, 5, 2)), x]), atol=1e-14)
    for dtype in ("bool", "uint8", "int32", "float16", "bfloat16", "float32", "complex64"):
        out = image.resize(jnp.ones((4, 3), dtype), (2, 6), method)
        assert out.dtype == (jnp.float32 if dtype in ("bool", "uint8", "int32") else jnp.dtype(dtype))
        np.testing.assert_allclose(np.asarray(out, np.complex64), np.ones((2, 6)), rtol=1e-2)
        assert image.resize(jnp.ones((4, 3), dtype), (2, 6), "nearest").dtype == jnp.dtype(dtype)


def test_derivatives_compiled_and_batched() -> None:
    x = np.random.default_rng(1).normal(size=(2, 5, 4))
    with pb.enable_x64(True):
        scale, translation = np.array([1.3, 0.45]), np.array([0.21, -0.13])

        def outputs(x: Any, scale: Any, translation: Any) -> list[Any]:
            return [
                f(x)
                for method in METHODS
                for f in (
                    lambda x: image.resize(x, (7, 2), method),
                    lambda x: image.scale_and_translate(x, (6, 3), (0, 1), scale, translation, method),
                )
            ] + [image.resize(x, (3, 9), "nearest")]

        for i, f in enumerate(outputs(x[0], scale, translation)):
            assert f.shape == ((7, 2), (6, 3), (3, 9))[2 if i == 12 else i % 2]
        for method in ("cubic", "lanczos3"):
            f = lambda x, s, t: image.scale_and_translate(x, (6, 3), (0, 1), s, t, method)
            check_grads(f, (x[0], scale, translation), 2, atol=1e-5, rtol=1e-5)
        both = lambda x, s, t: (outputs(x, s, t), pb.vjp(lambda *a: outputs(*a), x, s, t)[1](outputs(x, s, t)))
        eager, compiled = both(x[0], scale, translation), pb.jit(pb.vmap(both, (0, None, None)))(x, scale, translation)
        for a, b in zip(pb.tree.leaves(eager), pb.tree.leaves(compiled)):
            np.testing.assert_allclose(a, b[0], atol=1e-12, rtol=1e-12)


def test_bad_input() -> None:
    x, two = np.ones((4, 3), np.float32), np.ones(2)
    move = image.scale_and_translate
    for says, call in [
        ("one length for each axis", lambda: image.resize(x, (3,), "linear")),
        ('Unknown resize method "blah"', lambda: image.resize(x, (3, 3), "blah")),
        ("negative", lambda: image.resize(x, (3, -3), "linear")),
        ("nothing", lambda: image.resize(x[:0], (3, 3), "linear")),
        ("no method nearest", lambda: move(x, (4, 3), (0, 1), two, two, "nearest")),
        ("one number an axis", lambda: move(x, (4, 3), (0,), two, two, "linear")),
        ("not in spatial_dims", lambda: move(x, (4, 5), (0,), two[:1], two[:1], "linear")),
        ("distinct", lambda: move(x, (4, 3), (0, -2), two, two, "linear")),
        ("out of bounds", lambda: move(x, (4, 3), (0, 2), two, two, "linear")),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=says):
            call()
