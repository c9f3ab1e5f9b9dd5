"""Error functions, exponential integrals and their kin, Bessel functions."""

from __future__ import annotations

import mpmath as mp
from scipy import special as scipy

from pullback.scipy import special
from tests.accuracy.table import Row, linear, signed, spaced

POSITIVE = [*spaced(1e-4, 0.2, 8), *linear(0.25, 4, 16), *spaced(4.3, 60, 10)]
SMALL = [x for x in POSITIVE if x < 8]
UNIT = signed([*spaced(1e-6, 0.1, 6), *linear(0.2, 0.9375, 12), 0.9990234375, 0.9999847412109375])


def _dawson(x):
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


ROWS = [
    Row("erf", special.erf, mp.erf, [signed(POSITIVE)], (), scipy=scipy.erf),
    Row("erfc", special.erfc, mp.erfc, [[*signed(SMALL), 9.0]], (), scipy=scipy.erfc),
    Row("erfcx", special.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), [signed(SMALL)], (), scipy=scipy.erfcx),
    Row("erfinv", special.erfinv, mp.erfinv, [UNIT], (), scipy=scipy.erfinv),
    Row("dawsn", special.dawsn, _dawson, [signed(SMALL)], (), scipy=scipy.dawsn),
    Row("i0e", special.i0e, lambda x: mp.besseli(0, x) * mp.exp(-x), [POSITIVE], (), scipy=scipy.i0e),
    Row("i1e", special.i1e, lambda x: mp.besseli(1, x) * mp.exp(-x), [POSITIVE], (), scipy=scipy.i1e),
    Row("exp1", special.exp1, mp.e1, [POSITIVE], (), scipy=scipy.exp1),
    Row("expi", special.expi, mp.ei, [signed(POSITIVE)], (), scipy=scipy.expi),
    Row("expn", special.expn, mp.expint, [[1.0, 2.0, 5.0], POSITIVE], (), scipy=scipy.expn),
    Row("spence", special.spence, lambda x: mp.re(mp.polylog(2, 1 - x)), [POSITIVE], (), scipy=scipy.spence),
    Row(
        "fresnel S",
        lambda x: special.fresnel(x)[0],
        mp.fresnels,
        [POSITIVE],
        (),
        scipy=lambda x: scipy.fresnel(x)[0],
        jax=lambda j: lambda x: j.scipy.special.fresnel(x)[0],
    ),
    Row(
        "sici Si",
        lambda x: special.sici(x)[0],
        mp.si,
        [POSITIVE],
        (),
        scipy=lambda x: scipy.sici(x)[0],
        jax=lambda j: lambda x: j.scipy.special.sici(x)[0],
    ),
]
