"""Rows of `lax/fourier.py`."""

from __future__ import annotations

from functools import partial

import numpy as np

from pullback.lax.fourier import fft
from tests.conformance.table import Row, sample

COMPLEX = np.complex128
ROWS = [
    Row("fft", "forward", partial(fft, fft_type="FFT", fft_lengths=(4,)), (sample((3, 4), COMPLEX),)),
    Row("fft", "inverse", partial(fft, fft_type="IFFT", fft_lengths=(3, 4)), (sample((2, 3, 4), COMPLEX),)),
    Row("fft", "real-even", partial(fft, fft_type="RFFT", fft_lengths=(4,)), (sample((3, 4)),)),
    Row("fft", "real-odd", partial(fft, fft_type="RFFT", fft_lengths=(3, 5)), (sample((3, 5)),)),
    Row("fft", "inverse-real-even", partial(fft, fft_type="IRFFT", fft_lengths=(6,)), (sample((2, 4), COMPLEX),)),
    Row("fft", "inverse-real-odd", partial(fft, fft_type="IRFFT", fft_lengths=(2, 5)), (sample((2, 3), COMPLEX),)),
    Row("fft", "three-axes", partial(fft, fft_type="FFT", fft_lengths=(2, 3, 2)), (sample((2, 3, 2), COMPLEX),), order=1),
    Row("fft", "complex64", partial(fft, fft_type="FFT", fft_lengths=(4,)), (sample((4,), np.complex64),), order=1, tol=1e-2),
    Row("fft", "float32", partial(fft, fft_type="RFFT", fft_lengths=(4,)), (sample((4,), np.float32),), order=1, tol=1e-2),
    Row("fft", "empty", partial(fft, fft_type="FFT", fft_lengths=(4,)), (np.zeros((0, 4), COMPLEX),), order=1),
]  # fmt: skip
