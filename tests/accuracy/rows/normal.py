"""Normal probabilities, entropies, and logarithms that have a limit."""

from __future__ import annotations

import mpmath as mp
from scipy import special as scipy

from pullback.scipy import special
from tests.accuracy.table import Row, linear, signed, spaced

#: The body and both tails of the normal distribution.
NORMAL = [*signed([*spaced(1e-6, 0.03, 6), *linear(0.0625, 5, 40), *linear(5.5, 37, 20)])]
UNIT = [*spaced(1e-30, 1e-3, 12), *linear(0.015625, 0.984375, 40), *[1 - x for x in linear(2.0**-20, 2.0**-8, 8)]]
UNIT = [x for x in UNIT if float(mp.mpf(x)) == x and x < 1]
POSITIVE = [*spaced(1e-20, 1e-3, 6), *linear(0.25, 4, 12), *spaced(5, 1e10, 6)]


def _upper(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _log_ratio(p, q):
    return mp.log(p / q)


ROWS = [
    Row(
        "ndtr",
        special.ndtr,
        _upper,
        [NORMAL],
        scipy=scipy.ndtr,
        reference_derivatives=[mp.npdf],
    ),
    Row(
        "log_ndtr",
        special.log_ndtr,
        lambda x: mp.log1p(-_upper(-x)) if x > 0 else mp.log(_upper(x)),
        [NORMAL],
        scipy=scipy.log_ndtr,
        reference_derivatives=[lambda x: mp.npdf(x) / _upper(x)],
    ),
    Row(
        "logit",
        special.logit,
        lambda p: mp.log(p / (1 - p)),
        [UNIT],
        scipy=scipy.logit,
        reference_derivatives=[lambda p: 1 / (p * (1 - p))],
    ),
    Row("entr", special.entr, lambda x: -x * mp.log(x), [POSITIVE], scipy=scipy.entr),
    Row(
        "rel_entr",
        special.rel_entr,
        lambda p, q: p * _log_ratio(p, q),
        [POSITIVE, POSITIVE],
        derivatives=(0, 1),
        scipy=scipy.rel_entr,
        reference_derivatives=[lambda p, q: _log_ratio(p, q) + 1, lambda p, q: -p / q],
    ),
    Row(
        "kl_div",
        special.kl_div,
        lambda p, q: p * _log_ratio(p, q) - p + q,
        [POSITIVE, POSITIVE],
        derivatives=(0, 1),
        scipy=scipy.kl_div,
        reference_derivatives=[_log_ratio, lambda p, q: 1 - p / q],
    ),
    Row("xlogy", special.xlogy, lambda x, y: x * mp.log(y), [[0.0, *POSITIVE[::3]], POSITIVE], (0, 1), scipy.xlogy),
    Row("xlog1py", special.xlog1py, lambda x, y: x * mp.log1p(y), [POSITIVE[::3], POSITIVE], (0, 1), scipy.xlog1py),
    Row(
        "ndtri",
        special.ndtri,
        lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1),
        [UNIT],
        scipy=scipy.ndtri,
        reference_derivatives=[lambda p: mp.sqrt(2 * mp.pi) * mp.exp(mp.erfinv(2 * p - 1) ** 2)],
    ),
    Row(
        "expit",
        special.expit,
        lambda x: 1 / (1 + mp.exp(-x)),
        [NORMAL],
        scipy=scipy.expit,
        jax="scipy.special.expit",
        reference_derivatives=[lambda x: mp.exp(-x) / (1 + mp.exp(-x)) ** 2],
    ),
    Row(
        "boxcox1p",
        special.boxcox1p,
        lambda x, k: (mp.exp(k * mp.log1p(x)) - 1) / k,
        [POSITIVE[::2], [-1.5, -0.0625, 2.0**-23, 0.5, 2.0]],
        (0, 1),
        scipy.boxcox1p,
        conditioned=True,
    ),
    Row(
        "boxcox",
        special.boxcox,
        lambda x, k: (mp.exp(k * mp.log(x)) - 1) / k,
        [POSITIVE, [-1.5, -0.0625, 2.0**-23, 0.5, 2.0]],
        (0,),
        scipy.boxcox,
    ),
]
