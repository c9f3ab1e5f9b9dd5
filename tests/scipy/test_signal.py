"""Convolutions, trends and spectra against SciPy's; derivatives, compiled, dtypes, refusals."""

from __future__ import annotations

import itertools
import os
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.signal as theirs

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy import signal
from pullback.test_util import check_grads

RNG = np.random.default_rng(0)
MODES = ("full", "same", "valid")


def normal(*shape: int, complex: bool = False) -> Any:
    x = RNG.normal(size=shape)
    return x + 1j * RNG.normal(size=shape) if complex else x


#: Of so many calls, one is compiled.
STEP = 1 if os.environ.get("PULLBACK_TEST_SAMPLE") == "full" else 7


def agree(calls: list[tuple[Any, ...]], atol: float = 1e-13) -> None:
    """Each (name, arrays, options): our function, eager (as called, and as planned) and compiled, against SciPy's of that
    name."""
    with pb.enable_x64(True):
        arrays = [[jnp.asarray(a) for a in args] for _, args, _ in calls]
        run = lambda arrays, step=1: [
            getattr(signal, f)(*a, **o) for (f, _, o), a in zip(calls[::step], arrays[::step])
        ]
        run(arrays)
        for step, outs in ((1, run(arrays)), (1, run(arrays)), (STEP, pb.jit(run, static_argnums=1)(arrays, STEP))):
            for (name, args, options), out in zip(calls[::step], outs):
                want = getattr(theirs, name)(*args, **options)
                for o, w in zip(out, want) if isinstance(want, tuple) else [(out, want)]:
                    where = f"{name} {[np.shape(a) for a in args]} {options}"
                    assert (o.shape, o.dtype) == (w.shape, w.dtype), where
                    np.testing.assert_allclose(o, w, rtol=1e-12, atol=atol, err_msg=where)


def test_convolutions_are_scipys() -> None:
    pairs = [
        (normal(9), normal(4)), (normal(4), normal(9)), (normal(5), normal(5)), (normal(6, complex=True), normal(3)),
        (normal(3, complex=True), normal(7, complex=True)), (normal(4, 5), normal(3, 2)), (normal(2, 3), normal(2, 6)),
        (normal(3, 4, 2, complex=True), normal(2, 2, 2)), (np.arange(6), np.arange(3)), (np.array(2.0), np.array(3.0)),
        (normal(2, 3, 2, 3), normal(2, 1, 2, 2)), (normal(1), normal(1)),
    ]  # fmt: skip
    calls: list[Any] = []
    for (a, b), mode in itertools.product(pairs, MODES):
        for name, method in itertools.product(("convolve", "correlate"), ("direct", "fft")):
            floats = [x.astype(float) if x.dtype.kind == "i" else x for x in (a, b)]  # SciPy's of integers are integers
            calls.append((name, floats, {"mode": mode, "method": method}))
    for mode, boundary in itertools.product(MODES, ("fill", "wrap", "symm")):
        for a, b in (
            (normal(5, 4), normal(2, 3)),
            (normal(2, 3), normal(4, 6)),
            (normal(3, 3), normal(3, 3)),
        ):
            for fill in (0, 1.5):
                options = {"mode": mode, "boundary": boundary, "fillvalue": fill}
                calls += [(name, (a, b), options) for name in ("convolve2d", "correlate2d")]
    for mode in MODES:
        calls.append(("fftconvolve", (normal(3, 9), normal(1, 4)), {"mode": mode, "axes": 1}))
        calls.append(("fftconvolve", (normal(5, 2, 4), normal(3, 2, 1)), {"mode": mode, "axes": (-3,)}))
        calls.append(("fftconvolve", (normal(2, 3), normal(2, 3)), {"mode": mode, "axes": [1, 0]}))
    agree(calls)


def test_trends_are_scipys() -> None:
    x = normal(7, 12) + 5 + np.arange(12)
    calls: list[Any] = [
        ("detrend", (x,), {"axis": axis, "type": t}) for axis in (0, -1) for t in ("linear", "constant")
    ]
    calls += [("detrend", (x,), {"bp": bp}) for bp in (3, [4, 9], [0, 12], [1], [2, 3, 3])]
    calls.append(("detrend", (normal(9, complex=True),), {}))
    agree(calls)
    # What is far from zero keeps its digits, and a straight line nothing.
    far = np.float32(1e6) + np.arange(256, dtype=np.float32)
    assert np.abs(signal.detrend(far)).max() < 0.5


def test_spectra_are_scipys() -> None:
    x, y, z, m = normal(60), normal(50), normal(40, complex=True), normal(3, 40, 2)
    calls: list[Any] = []
    for options in (
        {}, {"nperseg": 16}, {"nperseg": 15, "noverlap": 4}, {"nperseg": 8, "noverlap": 7}, {"nperseg": 20, "noverlap": 19},
        {"nperseg": 8, "nfft": 11, "fs": 3.0}, {"nperseg": 8, "noverlap": -3}, {"nperseg": 1}, {"window": ("kaiser", 5.0), "nperseg": 9},
        {"window": np.arange(1.0, 9), "nperseg": 8, "detrend": "linear"}, {"detrend": False, "nperseg": 13},
        {"return_onesided": False, "nperseg": 12},
    ):  # fmt: skip
        for scaling, average in itertools.product(("density", "spectrum"), ("mean", "median")):
            more = options | {"scaling": scaling, "average": average}
            calls += [("welch", (x,), more), ("csd", (x, y), more)]
        for boundary, padded in itertools.product(("zeros", "even", "odd", "constant", None), (True, False)):
            calls.append(("stft", (x,), options | {"boundary": boundary, "padded": padded}))
    two = {"nperseg": 10, "return_onesided": False}
    calls += [("welch", (z,), two), ("csd", (z, y), two), ("stft", (z,), two)]
    for axis in (0, 1, -1, -2):
        n = {"nperseg": 2 if axis in (0, -1) else 8, "axis": axis}
        calls += [("welch", (m,), n), ("csd", (m, m[:1] if axis else m[..., :1]), n), ("stft", (m,), n)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*nperseg")
        agree(calls)


def test_signals_come_back() -> None:
    x, m, z = normal(50), normal(3, 40, 2), normal(30, complex=True)
    with pb.enable_x64(True):
        for n, options in (
            (8, {}),
            (9, {}),
            (8, {"noverlap": 6}),
            (36, {"noverlap": 34}),
            (8, {"nfft": 12, "window": "hamming"}),
        ):
            back = lambda x: signal.istft(signal.stft(x, nperseg=n, **options)[2], nperseg=n, fs=2.0, **options)
            for t, out in (back(jnp.asarray(x)), pb.jit(back)(x)):
                np.testing.assert_allclose(out[:50], x, atol=1e-14)
                np.testing.assert_array_equal(t, np.arange(len(out)) / 2)
            spectrum = theirs.stft(x, nperseg=n, **options)[2]
            check_grads(lambda x: signal.stft(x, nperseg=n, **options)[2], (x,), 1, atol=1e-7, rtol=1e-7)
            np.testing.assert_allclose(pb.grad(lambda x: (back(x)[1][:50] ** 2).sum())(x), 2 * x, atol=1e-13)
            noise = spectrum + normal(*spectrum.shape) + 1j * normal(*spectrum.shape)
            for got, want in zip(
                signal.istft(noise, 2.0, nperseg=n, **options), theirs.istft(noise, 2.0, nperseg=n, **options)
            ):
                np.testing.assert_allclose(got, want, atol=1e-13)
        for boundary in (True, False):
            noise = normal(2, 9, 5, 3, complex=True)
            options = {"time_axis": 0, "freq_axis": 2, "boundary": boundary, "window": "boxcar"}
            t, got = signal.istft(noise, **options)
            np.testing.assert_allclose(got, theirs.istft(noise, **options)[1], atol=1e-13)
            assert got.shape[0] == len(t)
        two = signal.stft(z, nperseg=6, return_onesided=False)[2]
        np.testing.assert_allclose(signal.istft(two, input_onesided=False)[1], z, atol=1e-14)
        along = signal.stft(m, nperseg=8, axis=1)[2]
        np.testing.assert_allclose(signal.istft(along, time_axis=-1, freq_axis=1)[1], np.moveaxis(m, 1, -1), atol=1e-14)


def test_derivatives() -> None:
    a, b, m, k = normal(6), normal(3, complex=True), normal(3, 4), normal(2, 2)
    with pb.enable_x64(True):
        each = lambda a, b, m, k: [
            signal.convolve(a, b), signal.correlate(a, b, "same"), signal.fftconvolve(a, a[:3], "valid"), signal.fftconvolve(m, k),
            signal.correlate2d(m, k, "same", "symm"), signal.convolve2d(m, k, "full", "wrap"), signal.convolve2d(m, k, fillvalue=a[0]),
            signal.detrend(m, 0), signal.detrend(a, bp=2),
        ]  # fmt: skip
        check_grads(each, (a, b, m, k), 2, atol=1e-6, rtol=1e-6)
        w = 1 + RNG.random(4)
        spectra = lambda x, y, w, fs: [
            *signal.welch(x, fs, w), *signal.csd(x, y, fs, w, average="median"), *signal.stft(x, fs, w, 4)[:2],
            signal.stft(x, window=w, nperseg=4)[2], signal.istft(signal.stft(x, nperseg=4)[2], window=w)[1],
        ]  # fmt: skip
        check_grads(spectra, (normal(12), normal(12), w, 2.0), 2, atol=1e-5, rtol=1e-5)


def test_batches() -> None:
    x, h = normal(4, 20), normal(4, 5)
    functions: list[Any] = [
        signal.convolve, signal.fftconvolve, lambda x, h: signal.correlate(h, x, "same"), lambda x, h: signal.detrend(x * h[0]),
        lambda x, h: signal.csd(x, x * h[1], nperseg=8)[1], lambda x, h: signal.stft(x + h[0], nperseg=5)[2],
    ]  # fmt: skip
    with pb.enable_x64(True):
        for f, axes in itertools.product(functions, ((0, 0), (0, None), (None, 0))):
            args = [v if i is not None else v[0] for v, i in zip((x, h), axes)]
            want = np.stack([f(*[v[n] if i is not None else v for v, i in zip(args, axes)]) for n in range(4)])
            for batched in (pb.vmap(f, axes), pb.jit(pb.vmap(f, axes))):
                np.testing.assert_allclose(batched(*args), want, atol=1e-13)
        slopes = pb.vmap(pb.grad(lambda x, h: (signal.convolve(x, h) ** 2).sum(), (0, 1)))(x, h)
        for n in range(4):
            one = pb.grad(lambda x, h: (signal.convolve(x, h) ** 2).sum(), (0, 1))(x[n], h[n])
            for got, want in zip(slopes, one):
                np.testing.assert_allclose(got[n], want, atol=1e-12)


def test_sums_of_products_are_exact_to_float32() -> None:
    """Direct convolutions in 32 bits are those in 64, rounded; a NaN stays where its products are."""
    for shapes in (((500,), (60,)), ((40, 30), (7, 6)), ((9, 8, 7), (3, 4, 2))):
        for kind in ("float32", "complex64", "float16", "bfloat16"):
            a, b = [jnp.asarray(normal(*s, complex=kind == "complex64") + 3, kind) for s in shapes]
            wide = theirs.convolve(
                *[np.asarray(x).astype("c16" if kind[0] == "c" else "f8") for x in (a, b)], method="direct"
            )
            for out in (signal.convolve(a, b), pb.jit(signal.convolve)(a, b)):
                assert out.dtype == kind
                for part in ("real", "imag"):
                    np.testing.assert_array_equal(getattr(out, part), getattr(wide, part).astype(out.real.dtype))
    x, h = jnp.array([1, 2, jnp.nan, 4, 5, 6]), jnp.array([1.0, jnp.inf])
    for out in (signal.convolve(x, h), pb.jit(signal.convolve)(x, h), signal.convolve(h, x)):
        np.testing.assert_array_equal(out, np.convolve(x, h))


def test_fourier_transforms_are_as_exact_as_scipys() -> None:
    for n, m, kind in ((1000, 37, "float32"), (1000, 1000, "float32"), (300, 20, "complex64")):
        a, b = [np.asarray(normal(k, complex=kind[0] == "c"), kind) for k in (n, m)]
        wide = theirs.convolve(*[x.astype("c16" if kind[0] == "c" else "f8") for x in (a, b)], method="direct")
        error = lambda x: np.abs(np.asarray(x) - wide).max()
        for out in (signal.fftconvolve(a, b), pb.jit(signal.fftconvolve)(a, b)):
            assert out.dtype == kind
            assert error(out) <= 2 * error(theirs.fftconvolve(a, b))


def test_types() -> None:
    two = lambda d: (jnp.ones(4, d), jnp.ones(3, "float32" if d == "bool" else d))
    for d, result in {"bool": "float32", "uint8": "float32", "int32": "float32", "float16": "float16", "bfloat16": "bfloat16",
                      "complex64": "complex64"}.items():  # fmt: skip
        for f in (signal.convolve, signal.correlate, signal.fftconvolve):
            for out in (f(*two(d)), pb.jit(f)(*two(d))):
                assert out.dtype == result and not out.weak_type
        x = jnp.ones(8, d)
        assert signal.detrend(x).dtype == result
        real, onesided = signal.welch(x, nperseg=4, return_onesided=False)[1].dtype, d != "complex64"
        assert real == "float32"
        assert {o.dtype.name for o in signal.stft(x, nperseg=4, return_onesided=onesided)} == {"float32", "complex64"}
        assert signal.istft(jnp.ones((3, 3), d))[1].dtype == "float32"
    assert signal.convolve(2.0, 3.0).weak_type and float(signal.convolve(2.0, 3.0)) == 6
    with pb.enable_x64(True):
        assert signal.convolve(np.arange(3), np.arange(2)).dtype == "float64"
        assert signal.welch(np.arange(8), nperseg=4)[1].dtype == "float64"
        assert {o.dtype.name for o in signal.welch(np.ones(8, "float32"), nperseg=4)} == {"float32"}
    for empty in ((0,), (3, 0)):
        assert [o.shape for o in signal.stft(jnp.ones(empty))] == [empty] * 3
        assert [o.shape for o in signal.welch(jnp.ones(empty))] == [empty] * 2
    assert [(o.shape, o.dtype) for o in signal.csd(jnp.ones((2, 0)), jnp.ones((1, 3)))][1] == ((2, 0), "complex64")
    assert signal.detrend(jnp.ones((0, 2))).shape == (0, 2)
    assert signal.istft(jnp.ones((0, 3, 3)))[1].shape == (0, 4)
    np.testing.assert_array_equal(signal.fftconvolve(np.ones(0), np.ones(3)), [0, 0])
    assert signal.fftconvolve(np.ones((0, 3)), np.ones((2, 3)), "valid").shape == (0, 1)


ONE: Any = np.ones(8, np.float32)
SQUARE: Any = np.ones((3, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "says", "call"),
    [
        (ValueError, "mode must be", lambda: signal.convolve(ONE, ONE, "q")),
        (ValueError, "mode must be", lambda: signal.fftconvolve(ONE, ONE, "q")),
        (ValueError, "method must be", lambda: signal.convolve(ONE, ONE, method="q")),
        (ValueError, "precision must be", lambda: signal.convolve(ONE, ONE, precision="q")),
        (ValueError, "as many axes", lambda: signal.convolve(ONE, SQUARE)),
        (ValueError, "as large as", lambda: signal.correlate(np.ones((3, 1)), np.ones((1, 3)), "valid")),
        (ValueError, "not be empty", lambda: signal.convolve(ONE[:0], ONE)),
        (TypeError, "ndarray or scalar", lambda: signal.convolve([1.0], ONE)),
        (ValueError, "of 2 axes", lambda: signal.convolve2d(ONE, ONE)),
        (ValueError, "boundary must be", lambda: signal.convolve2d(SQUARE, SQUARE, boundary="q")),
        (TypeError, "fillvalue must be", lambda: signal.convolve2d(SQUARE, SQUARE, fillvalue=1j)),
        (ValueError, "or broadcast", lambda: signal.fftconvolve(SQUARE, SQUARE[:2], axes=1)),
        (ValueError, "duplicate", lambda: signal.fftconvolve(SQUARE, SQUARE, axes=(1, 1))),
        (ValueError, "out of bounds", lambda: signal.fftconvolve(SQUARE, SQUARE, axes=2)),
        (ValueError, "type must be", lambda: signal.detrend(ONE, type="q")),
        (ValueError, "bp must be", lambda: signal.detrend(ONE, bp=9)),
        (ValueError, "bp must be", lambda: signal.detrend(ONE, bp=-1)),
        (TypeError, "bp must be", lambda: signal.detrend(ONE, bp=2.5)),
        (NotImplementedError, "overwrite_data", lambda: signal.detrend(ONE, overwrite_data=True)),
        (ValueError, "axis 3", lambda: signal.detrend(ONE, 3)),
        (ValueError, "average must be", lambda: signal.welch(ONE, average="q")),
        (ValueError, "scaling must be", lambda: signal.welch(ONE, scaling="q")),
        (ValueError, "nfft must be", lambda: signal.welch(ONE, nperseg=4, nfft=2)),
        (ValueError, "less than nperseg", lambda: signal.welch(ONE, nperseg=4, noverlap=4)),
        (ValueError, "nperseg must be positive", lambda: signal.welch(ONE, nperseg=0)),
        (TypeError, "nperseg must be an integer", lambda: signal.welch(ONE, nperseg=4.0)),
        (ValueError, "detrend must be", lambda: signal.welch(ONE, nperseg=4, detrend=True)),
        (ValueError, "Unknown window|nowin", lambda: signal.welch(ONE, window="nowin", nperseg=4)),
        (ValueError, "window must be", lambda: signal.welch(ONE, window=SQUARE)),
        (TypeError, "window must be real", lambda: signal.welch(ONE, window=1j * ONE)),
        (ValueError, "longer than the signal", lambda: signal.welch(ONE, window=np.ones(9))),
        (ValueError, "the window has 8", lambda: signal.welch(ONE, window=ONE, nperseg=4)),
        (TypeError, "fs must be a number", lambda: signal.welch(ONE, [1.0], nperseg=4)),
        (TypeError, "fs must be a number", lambda: signal.welch(ONE, 1j, nperseg=4)),
        (TypeError, "fs must be a number", lambda: signal.welch(ONE, jnp.ones(2), nperseg=4)),
        (ZeroDivisionError, "fs is 0", lambda: signal.welch(ONE, 0, nperseg=4)),
        (ValueError, "as many axes", lambda: signal.csd(ONE, SQUARE)),
        (ValueError, "boundary must be", lambda: signal.stft(ONE, boundary="q")),
        (ValueError, "an axis of frequencies", lambda: signal.istft(ONE)),
        (ValueError, "must differ", lambda: signal.istft(SQUARE, time_axis=0, freq_axis=0)),
        (ValueError, "nfft must be", lambda: signal.istft(SQUARE, nperseg=9)),
        (ValueError, "nperseg must be positive", lambda: signal.istft(SQUARE[:1])),
        (ValueError, "no segments", lambda: signal.istft(SQUARE[:, :0])),
        (ValueError, "out of bounds", lambda: signal.istft(SQUARE, time_axis=5)),
    ],
)  # fmt: skip
def test_refusals(error: type[Exception], says: str, call: Any) -> None:
    with pytest.raises(error, match=says):
        call()


def test_warnings_name_the_line_of_the_call() -> None:
    for says, call in [
        ("nperseg=99", lambda: signal.stft(ONE, nperseg=99)),
        ("nperseg=256", lambda: signal.stft(ONE)),
        ("nperseg=9", lambda: signal.csd(ONE, ONE, nperseg=9)),
        ("complex", lambda: signal.welch(1j * ONE, nperseg=4)),
        ("complex", lambda: signal.stft(1j * ONE, nperseg=4)),
        ("nothing is known of 3 samples", lambda: signal.istft(SQUARE, noverlap=0, boundary=False)),
    ]:  # fmt: skip
        for _ in range(2):
            with pytest.warns(UserWarning, match=says) as caught:
                call()
            assert [w.filename for w in caught] == [__file__]
