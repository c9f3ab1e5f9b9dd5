"""`logsumexp` and its kin, of three numbers."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from scipy import special as scipy

import pullback.numpy as jnp
from pullback.scipy import special
from tests.accuracy.table import Row

NUMBERS = [[-30.0, -1.5, 0.0, 2.0, 50.0], [-20.0, -0.375, 0.625, 3.0], [-3.5, 0.25, 80.0]]


def _stacked(function):
    return lambda module, f: lambda *xs: function(f, module.stack(xs, -1))


def _row(name, reference, function):
    call = _stacked(function)
    return Row(
        name,
        call(jnp, getattr(special, name)),
        reference,
        NUMBERS,
        (0, 1, 2),
        call(np, getattr(scipy, name)),
        lambda j: call(j.numpy, getattr(j.scipy.special, name, None) or getattr(j.nn, name)),
        conditioned=True,
    )


def _log_sum(*xs):
    return mp.log(mp.fsum(map(mp.exp, xs)))


ROWS = [
    _row("logsumexp", _log_sum, lambda f, xs: f(xs, axis=-1)),
    _row("softmax", lambda *xs: mp.exp(xs[0] - _log_sum(*xs)), lambda f, xs: f(xs, axis=-1)[..., 0]),
    _row("log_softmax", lambda *xs: xs[0] - _log_sum(*xs), lambda f, xs: f(xs, axis=-1)[..., 0]),
]
