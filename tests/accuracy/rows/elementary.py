"""Elementary functions and activations."""

from __future__ import annotations

import mpmath as mp
import numpy as np

import pullback.lax as lax
import pullback.nn as nn
import pullback.numpy as jnp
from tests.accuracy.table import Row, linear, signed, singles, spaced

TINY = singles(2.0**-120, 1e-30)
SMALL = [*TINY, *spaced(1e-12, 1e-3, 5)]
POSITIVE = [*SMALL, *spaced(0.01, 0.5, 8), *linear(0.5625, 4, 16), *spaced(5, 80, 10)]
ALL = [*POSITIVE, *spaced(100, 1e30, 8), *singles(3e38)]
REAL = signed(POSITIVE)
UNIT = signed([*SMALL, *spaced(0.01, 0.25, 6), *linear(0.28125, 0.96875, 12), 1 - 2.0**-10, 1 - 2.0**-20])
ANGLES = signed([*SMALL, *spaced(0.01, 0.5, 6), *linear(0.5625, 13, 30), *singles(22, 355, 1e4, 1e6, 2.0**60, 1e30)])
ABOVE_ONE = [1 + 2.0**-20, 1 + 2.0**-10, *linear(1.0625, 4, 12), *spaced(5, 1e30, 10)]
PAIRS = [*spaced(1e-12, 0.1, 3), 0.5, 0.75, 1.0, 1.25, 3.0, 40.0, 1e10]


def _row(name, reference, grids, derivatives=(0,), scipy=True, **options):
    function = np if scipy is True else None
    theirs = getattr(np, name) if function else scipy or None
    return Row(name, getattr(jnp, name), reference, grids, derivatives, theirs, f"numpy.{name}", **options)


def _nn(name, reference, grids=(REAL,), **options):
    return Row(f"nn.{name}", getattr(nn, name), reference, list(grids), jax=f"nn.{name}", **options)


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _softplus(x):
    return mp.log1p(mp.exp(x)) if x < 50 else x + mp.log1p(mp.exp(-x))


def _log_add(base):
    def log(x, y):
        high, low = max(x, y), min(x, y)
        return high + mp.log1p(base ** (low - high)) / mp.log(base)

    return log


def _reciprocal_root(x):
    return 1 / mp.sqrt(x)


def _gelu(x):
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


def _gelu_by_tanh(x):
    return x * _logistic(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3))


def _selu(x):
    scale, alpha = map(mp.mpf, ("1.0507009873554804934193349852946", "1.6732632423543772848170429916717"))
    return scale * (x if x > 0 else alpha * mp.expm1(x))


ROWS = [
    _row("exp", mp.exp, [signed([*SMALL, *spaced(0.01, 0.5, 8), *linear(0.5625, 86, 40)])]),
    _row("exp2", lambda x: 2**x, [signed([*SMALL, *spaced(0.01, 0.5, 8), *linear(0.5625, 120, 40)])]),
    _row("expm1", mp.expm1, [signed([*SMALL, *spaced(0.01, 0.5, 8), *linear(0.5625, 86, 40)])]),
    _row("log", mp.log, [[*ALL, 1 - 2.0**-10, 1 + 2.0**-10, 1 - 2.0**-20, 1 + 2.0**-20]]),
    _row("log2", lambda x: mp.log(x) / mp.log(2), [[*ALL, 1 - 2.0**-10, 1 + 2.0**-10, 1 - 2.0**-20, 1 + 2.0**-20]]),
    _row("log10", lambda x: mp.log(x) / mp.log(10), [[*ALL, 1 - 2.0**-10, 1 + 2.0**-10, 1 - 2.0**-20, 1 + 2.0**-20]]),
    _row("log1p", mp.log1p, [[*[x for x in UNIT if x < 0], *ALL]]),
    _row("sqrt", mp.sqrt, [ALL]),
    Row("lax.rsqrt", lax.rsqrt, _reciprocal_root, [ALL], jax="lax.rsqrt"),
    _row("cbrt", lambda x: mp.sign(x) * mp.cbrt(abs(x)), [signed(ALL)]),
    _row("sin", mp.sin, [ANGLES]),
    _row("cos", mp.cos, [ANGLES]),
    _row("tan", mp.tan, [ANGLES]),
    _row("sinc", lambda x: mp.sinc(mp.pi * x), [signed([*SMALL, *linear(0.0625, 12.3125, 30)])]),
    _row("arcsin", mp.asin, [UNIT]),
    _row("arccos", mp.acos, [UNIT]),
    _row("arctan", mp.atan, [signed(ALL)]),
    _row("sinh", mp.sinh, [REAL]),
    _row("cosh", mp.cosh, [REAL]),
    _row("tanh", mp.tanh, [REAL]),
    _row("arcsinh", mp.asinh, [signed(ALL)]),
    _row("arccosh", mp.acosh, [ABOVE_ONE]),
    _row("arctanh", mp.atanh, [UNIT]),
    _row(
        "power",
        lambda x, y: x**y,
        [
            singles(1e-10, 0.03125, 0.75, 1 - 2.0**-12, 1 + 2.0**-12, 1.25, 3, 40, 1e10),
            singles(-3.5, -1, -1e-3, 0.5, 2, 3.25),
        ],
        (0, 1),
    ),
    Row("x ** 3", lambda x: x**3, lambda x: x**3, [signed(spaced(1e-6, 1e6, 12))], jax=lambda j: lambda x: x**3),
    Row("x ** -2", lambda x: x**-2, lambda x: x**-2, [signed(spaced(1e-6, 1e6, 12))], jax=lambda j: lambda x: x**-2),
    Row("x ** 7", lambda x: x**7, lambda x: x**7, [signed(spaced(1e-4, 1e4, 12))], jax=lambda j: lambda x: x**7),
    _row("hypot", mp.hypot, [PAIRS, signed(PAIRS[::2])], (0, 1)),
    _row("arctan2", mp.atan2, [signed(PAIRS[::2]), signed(PAIRS[1::2])], (0, 1)),
    _row("logaddexp", _log_add(mp.e), [signed(PAIRS[1::2]), signed(PAIRS[::2])], (0, 1), conditioned=True),
    _row("logaddexp2", _log_add(mp.mpf(2)), [signed(PAIRS[1::2]), signed(PAIRS[::2])], (0, 1), conditioned=True),
    _nn("sigmoid", _logistic),
    _nn("log_sigmoid", lambda x: -_softplus(-x)),
    _nn("softplus", _softplus),
    _nn("silu", lambda x: x * _logistic(x), conditioned=True),
    _nn("gelu", _gelu_by_tanh, conditioned=True),
    Row(
        "nn.gelu, exact",
        lambda x: nn.gelu(x, approximate=False),
        _gelu,
        [REAL],
        jax=lambda j: lambda x: j.nn.gelu(x, approximate=False),
        conditioned=True,
    ),
    _nn("elu", lambda x: x if x > 0 else mp.expm1(x)),
    _nn("celu", lambda x: x if x > 0 else mp.expm1(x)),
    _nn("selu", _selu),
    _nn("mish", lambda x: x * mp.tanh(_softplus(x)), conditioned=True),
    _nn("squareplus", lambda x: (x + mp.sqrt(x * x + 4)) / 2),
    _nn("soft_sign", lambda x: x / (1 + abs(x))),
    _nn("log1mexp", lambda x: mp.log(-mp.expm1(-x)), [POSITIVE]),
]
