"""Trends taken away, and spectra of signals by parts.

A signal of N samples is cut into segments of `nperseg` samples, which overlap in `noverlap` of
them. Each is multiplied by a window w and transformed,

    X_s[k] = Σ_j w[j] x[s (nperseg - noverlap) + j] e^(-2πi jk / nfft).

`stft` gives these, and `istft` puts a signal together again from them (D. W. Griffin and J. S. Lim,
"Signal estimation from modified short-time Fourier transform", IEEE Trans. ASSP 32, 1984); `welch`
and `csd` average |X_s|² and conj(X_s) Y_s over the segments (P. D. Welch, "The use of the fast
Fourier transform for the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15, 1967).

Windows are the names and tuples that `scipy.signal.get_window` takes, or arrays, in which the
results are differentiable, as they are in the signals and in the sampling frequency.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_api, user_frame
from pullback.core.types import broadcast_shapes, canonical_axis, integer, integers
from pullback.lax.arrangement import slice_in_dim
from pullback.lax.creation import optimization_barrier
from pullback.lax.selection import select
from pullback.lax.shape import convert
from pullback.lax.summation import is_narrow
from pullback.numpy.planned import planned
from pullback.numpy.promotion import here, inexact, promote_inexact
from pullback.scipy.signal.convolution import not_narrow
from pullback.xla.devices import placed

# ---- trends --------------------------------------------------------------------------------------


@user_api
@planned
def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: Any = None) -> Array:
    """`data` without its trend along `axis`: less its mean (`type` "constant"), or less the straight
    line of least squares ("linear"), one for each part between the positions `bp`.

    Integers become floats, 16-bit floats are computed in 32 bits. A linear function of the data.
    Raises ValueError for other types, and positions that are no elements of the axis,
    NotImplementedError for `overwrite_data`, because arrays do not change.

    >>> import pullback.numpy as jnp
    >>> detrend(jnp.array([1.0, 2.0, 3.0, 9.0, 8.0, 7.0]), bp=3).round(4) + 0
    Array([0., 0., 0., 0., 0., 0.], dtype=float32)
    """
    if overwrite_data:
        raise here(NotImplementedError, "detrend: overwrite_data is not supported", ": use the result instead")
    x = inexact(jnp.asarray(data), "detrend")
    axis = canonical_axis(axis, len(x.shape))
    n, dtype, weak = x.shape[axis], x.dtype, x.weak_type
    if type not in ("linear", "constant"):
        raise here(ValueError, f"detrend: type must be 'linear' or 'constant', got {type!r:.100}")
    if not x.size:
        return x
    if type == "constant":
        return convert(_centred(not_narrow(x), axis), dtype)
    breaks = sorted({0, n, *integers(bp, "detrend: bp")})
    if breaks[0] < 0 or breaks[-1] > n:
        raise here(ValueError, f"detrend: bp must be positions along axis {axis} of shape {x.shape}, got {bp!r:.100}")
    x = not_narrow(x)
    parts = [_straightened(slice_in_dim(x, i, j, axis=axis), axis) for i, j in zip(breaks, breaks[1:])]
    return convert(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis), dtype, weak)


def _centred(x: Array, axis: int) -> Array:
    return x - jnp.mean(x, axis, keepdims=True)


def _straightened(x: Array, axis: int) -> Array:
    """`x` less the straight line of least squares: less its mean, and then the part along what is
    left of the positions without theirs."""
    n = x.shape[axis]
    x = _centred(x, axis)
    if n == 1:
        return x
    known = isinstance(n, int)
    t: Any = (np if known else jnp).arange(n) - (n - 1) / 2
    # By the root of Σ t², which is at least 1/2 unless there is one element.
    t = t / (math.sqrt((n**3 - n) / 12) if known else jnp.sqrt(jnp.maximum(jnp.sum(t * t), 0.5)))
    t = t.astype(dtypes.to_real(x.dtype))
    slope = jnp.tensordot(t, x, ((0,), (axis,)), precision="highest")
    return x - jnp.expand_dims(slope, axis) * t.reshape([n if i == axis else 1 for i in range(len(x.shape))])


# ---- spectra -------------------------------------------------------------------------------------

_EXTENSIONS: dict[str | None, dict[str, str]] = {
    "even": {"mode": "reflect"},
    "odd": {"mode": "reflect", "reflect_type": "odd"},
    "constant": {"mode": "edge"},
    "zeros": {"mode": "constant"},
    None: {},
}


@user_api
@planned
def csd(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Array, Array]:
    """Frequencies, and the cross-spectral density of `x` and `y` by Welch's method.

    The signals are along `axis`, and broadcast along the others; the shorter one has zeros behind
    it. They are cut into segments of `nperseg` samples (256, or the length of `window`, or of
    signals that are shorter), which have `noverlap` (half of them) in common. Each is freed from
    its trend (`detrend` "constant", "linear", a function of the array of segments, or False for
    none), multiplied by `window`, and transformed, with zeros behind it if `nfft` is larger than
    `nperseg`. The result is the "mean", or the "median" without its bias, of conj(X) Y over the
    segments, divided by fs Σ w² (`scaling` "density") or (Σ w)² ("spectrum").

    `fs` is the sampling frequency. Of real signals there are the frequencies from 0 to fs / 2, each
    standing for its negative, too, unless `return_onesided` is false; of complex ones there are
    all, in the order of `numpy.fft.fft`. The frequencies take the place of `axis`. The result is
    complex, and real if `y` is None, which means `x`. Integers become floats; 16-bit floats are
    computed in float32, and so are the results.

    Raises ValueError for different numbers of axes, and parameters out of range. Warns if
    `nperseg` is greater than the signal, or a complex one is to have one side only.

    >>> import pullback.numpy as jnp
    >>> x = jnp.cos(jnp.pi / 2 * jnp.arange(16.0))
    >>> f, power = csd(x, None, window="boxcar", nperseg=8, scaling="spectrum")
    >>> f, power.round(4)
    (Array([0.   , 0.125, 0.25 , 0.375, 0.5  ], dtype=float32), Array([0. , 0. , 0.5, 0. , 0. ], dtype=float32))
    """
    return _averaged("csd", x, y, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)


@user_api
@planned
def welch(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Array, Array]:
    """Frequencies, and the power spectral density of `x` by Welch's method: `csd` of `x` with
    itself, which says what the arguments are and what is raised.

    >>> import pullback.numpy as jnp
    >>> f, power = welch(jnp.tile(jnp.array([1.0, -1.0]), 8), fs=2.0, window="boxcar", nperseg=4)
    >>> f, power.round(4)
    (Array([0. , 0.5, 1. ], dtype=float32), Array([0., 0., 2.], dtype=float32))
    """
    return _averaged(
        "welch", x, None, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average
    )


@user_api
@planned
def stft(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
) -> tuple[Array, Array, Array]:
    """Frequencies, times, and the short-time Fourier transform of `x` along `axis`.

    The signal is first continued by half a segment on both sides, as `boundary` says: "zeros", the
    last sample ("constant"), its mirror image ("even"), that through the last sample ("odd"), or
    not at all (None); and with `padded` by zeros, until the last segment is a whole one. The
    transform of a segment is divided by |Σ w|. For the other arguments, and what is raised, see
    `csd`. The frequencies take the place of `axis`, the times are the last axis; there are those of
    the middle of each segment.

    >>> import pullback.numpy as jnp
    >>> f, t, z = stft(jnp.arange(4.0), window="boxcar", nperseg=2, noverlap=0, boundary=None)
    >>> f.tolist(), t.tolist(), z.real.tolist()
    ([0.0, 0.5], [1.0, 3.0], [[0.5, 2.5], [-0.5, -0.5]])
    """
    x = inexact(x, "stft", weak=False)
    axis = canonical_axis(axis, len(x.shape))
    if boundary not in _EXTENSIONS:
        raise here(ValueError, f"stft: boundary must be one of {', '.join(map(str, _EXTENSIONS))}, got {boundary!r}")
    real, to_complex = _parts_of(x.dtype)
    if not x.size:
        return jnp.zeros(x.shape, real), jnp.zeros(x.shape, real), jnp.zeros(x.shape, to_complex)
    x = jnp.moveaxis(convert(x, to_complex if dtypes.is_complex(x.dtype) else real), axis, -1)
    w, nperseg = _window("stft", window, nperseg, x.shape[-1])
    step, nfft = _step("stft", nperseg, noverlap, nfft)
    if boundary is not None:
        half = nperseg // 2
        x = jnp.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(half, half)], **_EXTENSIONS[boundary])
    if padded:
        x = _with_zeros(x, -(x.shape[-1] - nperseg) % step % nperseg)
    onesided = _has_one_side("stft", x, return_onesided)
    w = (w / abs(w.sum())).astype(real)
    z = _transformed(x, _trend("stft", detrend, axis, len(x.shape)), w, step, nfft, onesided)
    middles = np.arange(z.shape[-2]) * step + (nperseg / 2 if boundary is None else 0.0)
    times = _at_frequency("stft", middles, fs, -1, real)
    return _frequencies("stft", nfft, fs, onesided, real), times, jnp.moveaxis(z, -1, axis)


@user_api
@planned
def istft(
    Zxx: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Array, Array]:
    """Times, and the signal with the short-time Fourier transform `Zxx`: the inverse of `stft` with
    the same arguments.

    The signal is the one whose transform is nearest to `Zxx` in the sense of least squares: the
    segments, multiplied by the window, are added where they overlap, and divided by the sum of the
    squares of the windows, where that is more than 1e-10. `nperseg` is by default the number of
    samples that `Zxx` has the frequencies of (an even one with `input_onesided`), `noverlap` half
    of it. With `boundary` the signal is without the half segments at its ends. The result is real
    with `input_onesided`, and along `time_axis`. Linear in `Zxx`.

    Raises ValueError for fewer than two axes, the same one for times and frequencies, and
    parameters out of range. Warns if nothing is known of some samples, as the windows are zero
    there.

    >>> import pullback.numpy as jnp
    >>> f, t, z = stft(jnp.arange(6.0), nperseg=4)
    >>> istft(z, nperseg=4)[1].round(4)
    Array([0., 1., 2., 3., 4., 5.], dtype=float32)
    """
    z = inexact(Zxx, "istft", weak=False)
    rank = len(z.shape)
    if rank < 2:
        raise here(ValueError, f"istft: Zxx must have an axis of frequencies and one of times, got shape {z.shape}")
    time_axis, freq_axis = canonical_axis(time_axis, rank, "time_axis"), canonical_axis(freq_axis, rank, "freq_axis")
    if time_axis == freq_axis:
        raise here(ValueError, f"istft: time_axis and freq_axis must differ, got {time_axis} for both")
    real, to_complex = _parts_of(z.dtype)
    z = jnp.moveaxis(convert(z, to_complex), (time_axis, freq_axis), (-2, -1))
    default = 2 * (z.shape[-1] - 1) if input_onesided else z.shape[-1]
    w, nperseg = _window("istft", window, default if nperseg is None else nperseg, None)
    if nfft is None:
        nfft = nperseg if input_onesided and nperseg == default + 1 else default
    step, nfft = _step("istft", nperseg, noverlap, nfft)
    if not z.shape[-2]:
        raise here(ValueError, f"istft: there are no segments in Zxx of shape {Zxx.shape}")
    if input_onesided:
        segments = jnp.fft.irfft(z, nfft)
    else:
        segments = jnp.fft.ifft(z, nfft)
    if nfft > nperseg:
        segments = segments[..., :nperseg]
    x = _added(jnp, segments * (w * w.sum()).astype(real), step)
    squares = np if isinstance(w, np.ndarray) else jnp
    total = _added(squares, squares.broadcast_to(w * w, segments.shape[-2:]), step)
    if boundary:
        ends = slice(nperseg // 2, x.shape[-1] - nperseg // 2)
        x, total = x[..., ends], total[ends]
    is_known = total > 1e-10
    if isinstance(is_known, np.ndarray):
        if not is_known.all():
            advice = "" if boundary else "; there may be fewer with boundary=True"
            _warn(f"istft: nothing is known of {np.sum(~is_known)} samples, where the windows are zero{advice}")
        x = x / np.where(is_known, total, 1).astype(real)
    else:
        x = x / select(is_known, total, jnp.ones_like(total)).astype(real)
    times = _at_frequency("istft", np.arange(x.shape[-1]), fs, -1, real)
    return times, jnp.moveaxis(x, -1, time_axis - (freq_axis < time_axis))


def _averaged(
    name: str,
    x: Any,
    y: Any,
    fs: Any,
    window: Any,
    nperseg: int | None,
    noverlap: int | None,
    nfft: int | None,
    detrend: Any,
    return_onesided: bool,
    scaling: str,
    axis: int,
    average: str,
) -> tuple[Array, Array]:
    """`csd`, in the name of the function that was called."""
    if average not in ("mean", "median"):
        raise here(ValueError, f"{name}: average must be 'mean' or 'median', got {average!r:.100}")
    if scaling not in ("density", "spectrum"):
        raise here(ValueError, f"{name}: scaling must be 'density' or 'spectrum', got {scaling!r:.100}")
    signals = promote_inexact(name, x, weak=False) if y is None else promote_inexact(name, x, y, weak=False)
    rank = len(signals[0].shape)
    if len(signals[-1].shape) != rank:
        shapes = " and ".join(str(s.shape) for s in signals)
        raise here(ValueError, f"{name}: the signals must have as many axes, got shapes {shapes}")
    axis = canonical_axis(axis, rank)
    real, to_complex = _parts_of(signals[0].dtype)
    dtype = to_complex if dtypes.is_complex(signals[0].dtype) else real
    signals = [jnp.moveaxis(convert(s, dtype), axis, -1) for s in signals]
    lengths = [s.shape[-1] for s in signals]
    outer = broadcast_shapes(*[s.shape[:-1] for s in signals])
    if 0 in (*outer, *lengths):
        shape = (*outer[:axis], min(lengths), *outer[axis:])
        return jnp.zeros(shape, real), jnp.zeros(shape, real if y is None else to_complex)
    signals = [_with_zeros(s, max(lengths) - s.shape[-1]) for s in signals]
    w, nperseg = _window(name, window, nperseg, max(lengths))
    step, nfft = _step(name, nperseg, noverlap, nfft)
    onesided = _has_one_side(name, signals[0], return_onesided)
    w = (w / ((w * w).sum() ** 0.5 if scaling == "density" else abs(w.sum()))).astype(real)
    trend = _trend(name, detrend, axis, rank)
    found = [_transformed(s, trend, w, step, nfft, onesided) for s in signals]
    if y is None:
        # With the barrier XLA makes one loop of this; else it copies both parts, to add them up.
        power = optimization_barrier(found[0].real ** 2 + found[0].imag ** 2)
    else:
        power = jnp.conj(found[0]) * found[1]
    # What a frequency counts: twice, if it stands for its negative, too.
    counts = np.ones(power.shape[-1])
    if onesided:
        counts[1 : (nfft + 1) // 2] = 2
    if average == "mean":
        power = jnp.mean(power, -2)
    else:
        counts /= _bias_of_median(power.shape[-2])
        if y is None:
            power = jnp.median(power, -2)
        else:
            power = jnp.median(power.real, -2) + 1j * jnp.median(power.imag, -2)
    scale = _at_frequency(name, counts, fs, -1, real) if scaling == "density" else counts.astype(real)
    return _frequencies(name, nfft, fs, onesided, real), jnp.moveaxis(power * scale, -1, axis)


def _parts_of(dtype: DType) -> tuple[DType, DType]:
    """The types of real and complex spectra of signals of type `dtype`."""
    real = dtypes.to_real(dtype)
    real = dtypes.float32 if is_narrow(real) else real
    return real, dtypes.to_complex(real)


def _warn(message: str) -> None:
    """A UserWarning at the line of the user's."""
    frame, level, users = sys._getframe(), 1, user_frame()
    while frame is not users and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _with_zeros(x: Array, n: int) -> Array:
    """`x` with `n` zeros behind it."""
    return jnp.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(0, n)]) if n else x


def _window(name: str, window: Any, nperseg: int | None, length: int | None) -> tuple[Any, int]:
    """The window as an array of NumPy's in float64, or one of ours if it was given as such, and its
    length. `length` is that of the signal, if there is one."""
    if nperseg is not None and (nperseg := integer(nperseg, f"{name}: nperseg")) < 1:
        raise here(ValueError, f"{name}: nperseg must be positive, got {nperseg}")
    if isinstance(window, (str, tuple)):
        from scipy.signal import get_window

        if nperseg is None:
            nperseg = 256 if length is None else min(256, length)
        elif length is not None and nperseg > length:
            _warn(f"{name}: nperseg={nperseg} is greater than the length of the signal: it is taken to be {length}")
            nperseg = length
        return np.asarray(get_window(window, nperseg), np.float64), nperseg
    w = window if isinstance(window, Array) else np.asarray(window)
    if len(w.shape) != 1:
        raise here(ValueError, f"{name}: window must be a name, a tuple or an array of one axis, got shape {w.shape}")
    if dtypes.is_complex(w.dtype):
        raise here(TypeError, f"{name}: window must be real, got {dtypes.name(w.dtype)}")
    if length is not None and w.shape[0] > length:
        raise here(ValueError, f"{name}: the window, of {w.shape[0]}, is longer than the signal, of {length}")
    if nperseg not in (None, w.shape[0]):
        raise here(ValueError, f"{name}: nperseg is {nperseg}, and the window has {w.shape[0]} elements")
    return inexact(w, name) if isinstance(w, Array) else w.astype(np.float64), w.shape[0]


def _step(name: str, nperseg: int, noverlap: int | None, nfft: int | None) -> tuple[int, int]:
    """The distance of the segments, and the length of their transforms."""
    nfft = nperseg if nfft is None else integer(nfft, f"{name}: nfft")
    if nfft < nperseg:
        raise here(ValueError, f"{name}: nfft must be at least nperseg, got {nfft} and {nperseg}")
    noverlap = nperseg // 2 if noverlap is None else integer(noverlap, f"{name}: noverlap")
    if noverlap >= nperseg:
        raise here(ValueError, f"{name}: noverlap must be less than nperseg, got {noverlap} and {nperseg}")
    return nperseg - noverlap, nfft


def _has_one_side(name: str, x: Array, return_onesided: bool) -> bool:
    if return_onesided and dtypes.is_complex(x.dtype):
        _warn(f"{name}: the signal is complex, so return_onesided is taken to be False")
        return False
    return bool(return_onesided)


def _trend(name: str, given: Any, axis: int, rank: int) -> Callable[[Array], Array]:
    """What frees segments, along the last axis, from their trend."""
    if given is None or given is False:
        return lambda segments: segments
    if not callable(given):
        if given not in ("constant", "linear"):
            raise here(
                ValueError, f"{name}: detrend must be 'constant', 'linear', a function or False, got {given!r:.100}"
            )
        return lambda segments: (_centred if given == "constant" else _straightened)(segments, len(segments.shape) - 1)
    if axis == rank - 1:
        return given
    # The function finds the samples of a segment where the signal has its samples.
    place = axis - rank
    return lambda segments: jnp.moveaxis(given(jnp.moveaxis(segments, -1, place)), place, -1)


#: Into so many pieces segments are cut at most, each of which is a part of the signal; or else
#: their samples are taken one by one.
_PIECES = 16


def _segments(x: Array, n: int, step: int) -> Array:
    """The segments of `n` samples, `step` apart: of shape (..., segments, n)."""
    outer, count, pieces = x.shape[:-1], (x.shape[-1] - n) // step + 1, -(-n // step)
    if pieces > _PIECES:
        return jnp.take(x, _places(count, n, step), -1, mode="clip")
    length = (count + pieces - 1) * step
    x = _with_zeros(x, length - x.shape[-1]) if length > x.shape[-1] else x[..., :length]
    blocks = x.reshape(*outer, count + pieces - 1, step)
    rows = [blocks[..., i : i + count, : min(step, n - i * step)] for i in range(pieces)]
    return rows[0] if pieces == 1 else jnp.concatenate(rows, -1)


def _places(count: int, n: int, step: int) -> Array:
    """Where the samples of the segments are. As an array of NumPy's it would be in the program."""
    return step * jnp.arange(count, dtype=np.int32)[:, None] + jnp.arange(n, dtype=np.int32)


def _added(xp: Any, segments: Any, step: int) -> Any:
    """The sum of segments, each at its place: the transpose of `_segments`. `xp` is NumPy, or our
    functions."""
    *outer, count, n = segments.shape
    pieces, length = -(-n // step), (count - 1) * step + n
    if pieces > _PIECES and xp is jnp:
        return jnp.zeros((*outer, length), segments.dtype).at[..., _places(count, n, step)].add(segments)
    before = [(0, 0)] * len(outer)
    rows = xp.pad(segments, [*before, (0, 0), (0, pieces * step - n)]).reshape(*outer, count, pieces, step)
    moved = [xp.pad(rows[..., i, :], [*before, (i, pieces - 1 - i), (0, 0)]) for i in range(pieces)]
    return sum(moved[1:], moved[0]).reshape(*outer, (count + pieces - 1) * step)[..., :length]


def _transformed(x: Array, trend: Callable[[Array], Array], w: Any, step: int, nfft: int, onesided: bool) -> Array:
    """The transforms of the segments of `x`: of shape (..., segments, frequencies)."""
    segments = trend(_segments(x, w.shape[0], step)) * w
    return (jnp.fft.rfft if onesided else jnp.fft.fft)(segments, nfft)


def _bias_of_median(n: int) -> float:
    """The expected median of `n` powers whose mean is 1, which are distributed as χ² with two
    degrees of freedom (B. Allen et al., "FINDCHIRP", Phys. Rev. D 85, 122006 (2012), appendix B)."""
    even = 2 * np.arange(1.0, (n - 1) // 2 + 1)
    return float(1 + np.sum(1 / (even + 1) - 1 / even))


def _frequencies(name: str, nfft: int, fs: Any, onesided: bool, dtype: DType) -> Array:
    return _at_frequency(name, (np.fft.rfftfreq if onesided else np.fft.fftfreq)(nfft), fs, 1, dtype)


def _at_frequency(name: str, values: Any, fs: Any, power: int, dtype: DType) -> Array:
    """`values` times, or divided by, the sampling frequency."""
    if isinstance(fs, Array):
        if fs.shape or dtypes.is_complex(fs.dtype):
            raise here(TypeError, f"{name}: fs must be a number, got {fs.aval}")
        numbers, fs = concrete(values.astype(dtype)), convert(fs, dtype)
        return numbers * fs if power == 1 else numbers / fs
    if isinstance(fs, (list, tuple, str, complex)) or np.ndim(fs):
        raise here(TypeError, f"{name}: fs must be a number, got {fs!r:.100}")
    if fs == 0:
        raise here(ZeroDivisionError, f"{name}: the sampling frequency fs is 0")
    return placed(concrete((values * float(fs) ** power).astype(dtype)))
