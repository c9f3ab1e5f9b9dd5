"""Signals: convolutions, correlations, trends, spectra.

>>> import pullback.numpy as jnp
>>> from pullback.scipy import signal
>>> signal.convolve(jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0])).tolist()
[1.0, 3.0, 2.0]
"""

from pullback.scipy.signal.convolution import (
    convolve as convolve,
    convolve2d as convolve2d,
    correlate as correlate,
    correlate2d as correlate2d,
    fftconvolve as fftconvolve,
)
from pullback.scipy.signal.spectra import (
    csd as csd,
    detrend as detrend,
    istft as istft,
    stft as stft,
    welch as welch,
)

__all__ = [
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "csd",
    "detrend",
    "fftconvolve",
    "istft",
    "stft",
    "welch",
]
