"""Hypergeometric functions and spherical harmonics."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from scipy import special as scipy

from pullback.scipy import special
from tests.accuracy.table import Row, signed


def _harmonic(n, m, part):
    pick = (lambda w: w.real) if part == "real" else (lambda w: w.imag)
    return Row(
        f"sph_harm_y, n={n}, m={m}, {part} part",
        lambda t, p: getattr(special.sph_harm_y(np.int32(n), np.int32(m), t, p), part),
        lambda t, p: pick(mp.spherharm(n, m, t, p)),
        [[2.0**-10, 0.125, 0.75, 1.5, 2.25, 3.0], [-2.0, 0.0625, 0.75, 3.0]],
        (0, 1) if m else (0,),
        scipy=lambda t, p: getattr(scipy.sph_harm_y(n, m, t, p), part),
        conditioned=True,
    )


ROWS = [
    Row(
        "hyp1f1",
        special.hyp1f1,
        mp.hyp1f1,
        [[-2.5, 0.25, 1.0, 7.0], [0.75, 2.0, 12.0], signed([2.0**-10, 0.5, 3.0, 20.0, 60.0])],
        (0, 1, 2),
        scipy=(scipy.hyp1f1, None, None, lambda a, b, x: a / b * scipy.hyp1f1(a + 1, b + 1, x)),
        jax="scipy.special.hyp1f1",
        reference_derivatives=[None, None, lambda a, b, x: a / b * mp.hyp1f1(a + 1, b + 1, x)],
        conditioned=True,
    ),
    Row(
        "hyp2f1",
        special.hyp2f1,
        mp.hyp2f1,
        [[-1.5, 0.25], [0.75, 4.0], [0.625, 9.0], [-8.0, -1.0, -0.25, 2.0**-10, 0.5, 0.75, 0.96875]],
        (0, 1, 2, 3),
        scipy=(scipy.hyp2f1, None, None, None, lambda a, b, c, x: a * b / c * scipy.hyp2f1(a + 1, b + 1, c + 1, x)),
        jax="scipy.special.hyp2f1",
        reference_derivatives=[None, None, None, lambda a, b, c, x: a * b / c * mp.hyp2f1(a + 1, b + 1, c + 1, x)],
        conditioned=True,
    ),
    _harmonic(1, 0, "real"),
    _harmonic(2, 1, "real"),
    _harmonic(5, -3, "imag"),
    _harmonic(10, 4, "real"),
]
