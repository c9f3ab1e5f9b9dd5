"""Cosine transforms against SciPy's: types, norms, lengths, axes, dtypes; inverses, derivatives, compiled."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.integrate

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy import fft, integrate


def test_values_are_scipys() -> None:
    rng = np.random.default_rng(0)
    with pb.enable_x64(True):
        for kind, norm, size in itertools.product(
            (1, 2, 3, 4), (None, "backward", "forward", "ortho"), (1, 2, 3, 8, 31)
        ):
            if kind == 1 and size == 1:
                continue
            x = rng.normal(size=(size, 4))
            for name in ("dct", "idct"):
                f, g = getattr(fft, name), getattr(scipy.fft, name)
                np.testing.assert_allclose(
                    f(x, kind, axis=0, norm=norm), g(x, kind, axis=0, norm=norm), atol=1e-13, rtol=1e-13
                )
                z = x + 1j * rng.normal(size=x.shape)
                for n in (2, 4, 7):
                    np.testing.assert_allclose(
                        f(z, kind, n, norm=norm), g(z, kind, n, norm=norm), atol=1e-13, rtol=1e-13
                    )
            if size == 8:
                for options in ({}, {"s": (3, 5)}, {"axes": (0,)}, {"s": (9,), "axes": (-2,)}, {"s": (6,)}):
                    a, b = fft.dctn(x, kind, norm=norm, **options), scipy.fft.dctn(x, kind, norm=norm, **options)
                    np.testing.assert_allclose(a, b, atol=1e-12)
                    a, b = fft.idctn(x, kind, norm=norm, **options), scipy.fft.idctn(x, kind, norm=norm, **options)
                    np.testing.assert_allclose(a, b, atol=1e-12)
    for dtype in ("bool", "int32", "float16", "bfloat16", "float32", "complex64"):
        assert fft.dct(jnp.ones((2, 3), dtype)).dtype == (jnp.complex64 if dtype == "complex64" else jnp.float32)


def test_derivatives_compiled_and_batched() -> None:
    """The Jacobian is the matrix of the transform, in both modes."""
    kinds = [(kind, norm) for kind in (1, 2, 3, 4) for norm in (None, "ortho")]
    with pb.enable_x64(True):
        matrices = [scipy.fft.dct(np.eye(5), kind, axis=0, norm=norm) for kind, norm in kinds]
        functions = [lambda x, k=k, n=n: fft.dct(x, k, norm=n) for k, n in kinds]

        def everything(x: Any) -> Any:
            return [pb.jacrev(f)(x) for f in functions], [pb.jacfwd(f)(x) for f in functions]

        for reverse, forward in (everything(np.ones(5)), pb.jit(everything)(np.ones(5))):
            np.testing.assert_allclose(reverse, matrices, atol=1e-14)
            np.testing.assert_allclose(forward, matrices, atol=1e-14)


def test_bad_input() -> None:
    x = np.ones((3, 4), np.float32)
    for error, says, call in [
        (NotImplementedError, "types 1, 2, 3 and 4", lambda: fft.dct(x, 5)),
        (ValueError, "norm must be", lambda: fft.dct(x, norm="blah")),
        (ValueError, "out of bounds", lambda: fft.dct(x, axis=5)),
        (ValueError, "out of bounds", lambda: fft.dct(np.float32(1))),
        (ValueError, "too few", lambda: fft.dct(x[:, :0])),
        (ValueError, "too few", lambda: fft.dct(x[:, :1], 1)),
        (ValueError, "s has 3", lambda: fft.dctn(x, s=(2, 3, 4))),
        (ValueError, "same length", lambda: fft.dctn(x, s=(2, 3), axes=(0,))),
        (ValueError, "repeated axis", lambda: fft.idctn(x, axes=(0, -2))),
        (TypeError, "dct requires ndarray", lambda: fft.dct([1.0, 2.0])),
    ]:  # fmt: skip
        with pytest.raises(error, match=says):
            call()


def test_trapezoid() -> None:
    y, x = np.array([[1.0, 3.0, 2.0], [0.0, 1.0, 4.0]], np.float32), np.array([0.0, 0.5, 2.0], np.float32)
    for options in ({}, {"x": x}, {"dx": 0.25}, {"axis": 0}):
        np.testing.assert_allclose(
            integrate.trapezoid(y, **options), scipy.integrate.trapezoid(y, **options), rtol=1e-6
        )
