"""Bessel functions."""

from __future__ import annotations

import mpmath as mp
from scipy import special as scipy

from pullback.scipy import special
from tests.accuracy.table import Row, linear, signed, spaced

POSITIVE = [*spaced(1e-6, 0.2, 5), *linear(0.25, 12, 24), *spaced(13, 85, 7)]
FAR = [*POSITIVE, *spaced(100, 1e5, 6)]


def _j(n):
    return Row(
        f"bessel_jn, v={n}",
        lambda z: special.bessel_jn(z, v=n)[n],
        lambda z: mp.besselj(n, z),
        [[z for z in FAR if z > 1e-3 or n < 2]],
        scipy=(lambda z: scipy.jv(n, z), lambda z: scipy.jvp(n, z)),
        jax=lambda j: lambda z: j.scipy.special.bessel_jn(z, v=n)[n],
        reference_derivatives=[lambda z: mp.besselj(n, z, 1)],
        conditioned=True,
    )


def _i(name, n, scaled):
    scale = lambda x: mp.exp(-abs(x)) if scaled else 1
    change = lambda x: -mp.sign(x) * mp.besseli(n, x) if scaled else 0
    return Row(
        name,
        getattr(special, name),
        lambda x: mp.besseli(n, x) * scale(x),
        [signed(FAR if scaled else POSITIVE)],
        scipy=getattr(scipy, name),
        jax=f"scipy.special.{name}",
        reference_derivatives=[lambda x: (mp.besseli(n, x, 1) + change(x)) * scale(x)],
    )


ROWS = [
    _i("i0", 0, False),
    _i("i1", 1, False),
    _i("i0e", 0, True),
    _i("i1e", 1, True),
    *map(_j, (0, 1, 2, 9)),
]
