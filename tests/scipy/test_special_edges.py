"""Every elementwise function of `scipy.special` at zeros, poles, infinities, huge and tiny numbers and NaNs: eager and compiled values
are the same, and SciPy's, but for what is listed; with the dtypes that there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from scipy import special as scipy_special

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy import special

# fmt: off
ONE = [0.0, -0.0, 0.25, 0.5, 0.999, 1.0, 1.5, 2.0, 3.0, 33.5, 100.0, 171.0, 709.5, 1e-30, 1e-8, 1e8, 1e30,
       -0.5, -1.0, -1.5, -2.0, -30.0, -171.5, -745.0, -1e-30, -1e8, -1e30, np.inf, -np.inf, np.nan]
TWO = [0.0, -0.0, 0.5, 1.0, 2.0, 3.0, 40.0, 300.0, 1e-30, 1e30, -1.0, -2.0, -2.5, np.inf, -np.inf, np.nan]
THREE = [0.0, 0.5, 1.0, 2.0, 50.0, 1e-20, -1.0, -2.5, np.inf, -np.inf, np.nan]
FUNCTIONS = {
    1: ["dawsn", "digamma", "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1", "expi", "expit", "factorial", "gamma", "gammaln",
        "gammasgn", "i0", "i0e", "i1", "i1e", "log_ndtr", "logit", "ndtr", "ndtri", "spence"],
    2: ["beta", "betaln", "boxcox", "boxcox1p", "gammainc", "gammaincc", "kl_div", "owens_t", "poch", "rel_entr", "xlog1py", "xlogy", "zeta"],
    3: ["betainc"],
}
#: What JAX takes no integers for, and what takes complex numbers.
FLOATS_ONLY, COMPLEX = ("log_ndtr", "ndtr", "ndtri"), ("erfcx", "expit", "xlog1py", "xlogy")
# fmt: on


def _pole(x: np.ndarray) -> np.ndarray:
    return (x <= 0) & (x == np.floor(x))


#: Where SciPy's value is another one: a limit that it has not, or a value although an operand is NaN.
OTHERS: dict[str, Callable[..., np.ndarray]] = {
    "digamma": _pole,
    "gammaln": np.isneginf,
    "i0": np.isinf,
    "i1": np.isinf,
    "spence": np.isposinf,
    "beta": lambda a, b: np.isnan(a + b) | (np.isposinf(a) & np.isposinf(b)) | (_pole(a) & _pole(b)),
    "betaln": lambda a, b: np.isnan(a + b) | (np.isposinf(a) & np.isposinf(b)),
    "poch": lambda z, m: np.isnan(m) | np.isinf(z) | (_pole(z) & (m != np.floor(m))),
    "zeta": lambda x, q: _pole(q) | (x > 1e6),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("count", "name"), [(n, name) for n, names in FUNCTIONS.items() for name in names])
def test_edges(count: int, name: str, dtype: Any) -> None:
    points = np.array(list(itertools.product({1: ONE, 2: TWO, 3: THREE}[count], repeat=count)), dtype)
    with pb.enable_x64(True), np.errstate(all="ignore"):
        args = [jnp.asarray(np.ascontiguousarray(column)) for column in points.T]
        function, theirs = getattr(special, name), getattr(scipy_special, name)
        expected = theirs(*map(np.float64, args)).astype(dtype)
        eager, compiled = np.asarray(function(*args)), np.asarray(pb.jit(function)(*args))
        assert eager.dtype == compiled.dtype == dtype
        near = {"rtol": 1e-11 if dtype is np.float64 else 1e-5, "atol": 2 * float(np.finfo(dtype).tiny)}
        other = OTHERS[name](*map(np.float64, args)) if name in OTHERS else np.zeros(len(points), bool)
        for got, reference, where in ((eager, expected, ~other), (compiled, eager, np.ones_like(other))):
            wrong = where & ~np.isclose(got, reference, equal_nan=True, **near)
            found = [(*map(float, points[i]), float(got[i]), float(reference[i])) for i in np.flatnonzero(wrong)]
            assert not found, f"{name}, arguments, value and reference: {found[:8]}"


@pytest.mark.parametrize(("count", "name"), [(n, name) for n, names in FUNCTIONS.items() for name in names])
def test_dtypes(count: int, name: str) -> None:
    """Narrow floats keep their dtype and round what float32 gives, integers and booleans become floats, shapes broadcast, there may be
    no elements; complex numbers are refused."""
    function, theirs = getattr(special, name), getattr(scipy_special, name)
    half = np.array([0.5, 0.25])
    expected = theirs(*[half] * count)
    for dtype in (ml_dtypes.bfloat16, np.float16, np.float32):
        out = function(*[jnp.asarray(half, dtype)] * count)
        assert out.dtype == dtype
        rtol = 4 * float(ml_dtypes.finfo(dtype).eps)
        np.testing.assert_allclose(np.asarray(out, np.float64), expected, rtol=rtol, atol=1e-7)
    for dtype in (np.bool_, np.uint8, np.int32):
        ones = np.ones(3, dtype)
        if name in FLOATS_ONLY:
            with pytest.raises(TypeError, match=name):
                function(jnp.asarray(ones))
            continue
        out = function(*[jnp.asarray(ones)] * count)
        assert out.dtype == np.float32
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(out, theirs(*[np.ones(3)] * count), rtol=1e-6)
    assert function(*[jnp.zeros((0, 3))] * count).shape == (0, 3)
    if count > 1:
        assert function(jnp.ones((2, 1)), *[jnp.ones(3)] * (count - 1)).shape == (2, 3)
    if name not in COMPLEX:
        with pytest.raises((TypeError, ValueError)):
            function(*[jnp.ones(2, np.complex64)] * count)
