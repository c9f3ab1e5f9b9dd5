"""Rows of `lax/special.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from pullback.core.array import as_array
from pullback.lax import special as lax
from pullback.lax.special import trigamma_p
from tests.conformance.table import Row, sample

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, -2.0, 0.5, -2.5, 40.0, 1e-8, np.inf, -np.inf, np.nan])
UNIT = sample((2, 3), low=-0.9, high=0.9)
POSITIVE = sample((2, 3), low=0.4, high=4.0)
SHAPES = sample((2, 3), low=0.5, high=5.0, seed=1)
INSIDE = np.array([0.2, 0.5, 0.9])
MANY_A, MANY_X = (
    v.ravel()
    for v in np.meshgrid([0.0, 0.5, 3.0, 200.0, np.inf, -1.0, np.nan], [0.0, 0.1, 3.0, 250.0, np.inf, -1.0, np.nan])
)
WHY = "the order is a whole number"


def given(function: Callable[..., Any], *first: Any) -> Callable[..., Any]:
    """`function` of its last argument, the others being constants of its dtype."""
    return lambda x: function(*(as_array(np.asarray(c).astype(x.dtype)) for c in first), x)


ROWS = []
for name, x in (
    ("erf", sample((2, 3))), ("erfc", sample((2, 3))), ("erf_inv", UNIT), ("lgamma", POSITIVE), ("digamma", POSITIVE),
    ("bessel_i0e", sample((2, 3))), ("bessel_i1e", sample((2, 3))),
):  # fmt: skip
    function = getattr(lax, name)
    ROWS += [
        Row(name, "float64", function, (x,)),
        Row(name, "scalar", function, (np.asarray(x[0, 0]),)),
        Row(name, "float32", function, (x.astype(np.float32),), tol=1e-2, order=1),
        Row(name, "float16", function, (x.astype(np.float16),), order=0),
        Row(name, "bfloat16", function, (x.astype(ml_dtypes.bfloat16),), order=0),
        Row(name, "special", function, (SPECIAL,), order=0),
        Row(name, "empty", function, (np.zeros((0, 3)),), order=1),
    ]
ROWS += [
    Row("lgamma", "negative", lax.lgamma, (np.array([-0.3, -1.6, -2.5]),)),
    Row("digamma", "negative", lax.digamma, (np.array([-0.3, -1.6, -2.5]),)),
    Row("trigamma", "both-sides", trigamma_p.bind, (np.array([-2.5, -0.3, 0.7, 1.0, 5.0]),)),
    Row("trigamma", "special", trigamma_p.bind, (SPECIAL,), order=0),
    Row("bessel_i1e", "zero", lax.bessel_i1e, (np.array([0.0, 1e-9]),), order=1),
    Row(
        "polygamma",
        "by-x",
        given(lax.polygamma, np.array([[1.0], [3.0]]) * np.ones((2, 3))),
        (POSITIVE,),
        note=WHY,
        vmap=False,
    ),
    Row(
        "polygamma",
        "special",
        lax.polygamma,
        (np.repeat([0.0, 1.0, 2.0, 1.5, np.nan], 12), np.tile(SPECIAL, 5)),
        order=0,
    ),
    Row("polygamma", "float16", lax.polygamma, (np.ones(6, np.float16), POSITIVE.ravel().astype(np.float16)), order=0),
    Row("zeta", "float64", lax.zeta, (POSITIVE + 1, POSITIVE)),
    Row(
        "zeta_by_exponent",
        "float64",
        lambda s, q: lax.zeta_by_exponent_p.bind(s, q, order=1),
        (POSITIVE[0] + 1, POSITIVE[1]),
        order=1,
    ),
    Row(
        "zeta_by_exponent",
        "special",
        lambda s, q: lax.zeta_by_exponent_p.bind(s, q, order=1),
        (np.repeat([1.0, 2.0, 0.5, 1.5, np.nan], 12), np.tile(SPECIAL, 5)),
        order=0,
    ),
    Row("zeta", "special", lax.zeta, (np.repeat([1.0, 2.0, 3.0, 1.5, np.nan], 12), np.tile(SPECIAL, 5)), order=0),
    Row("regularized_incomplete_beta", "by-x", given(lax.betainc, 1.5, 2.5), (sample((2, 3), low=0.1, high=0.9),)),
    Row("regularized_incomplete_beta", "float64", lax.betainc, (SHAPES[0], POSITIVE[0], INSIDE), vmap=False),
    Row(
        "incomplete_beta_by",
        "both",
        lambda *v: lax.incomplete_beta_by_p.bind(*v, orders=(1, 1)),
        (SHAPES[0], POSITIVE[0], INSIDE),
        order=1,
        vmap=False,
        compiled=False,
        note="third derivatives take long to compile; first ones are compared in tests/lax",
    ),
]
for name in ("igamma", "igammac"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "float64", function, (SHAPES, POSITIVE)),
        Row(name, "by-x", given(function, 1.7), (POSITIVE,)),
        Row(name, "float32", function, (SHAPES.astype(np.float32), POSITIVE.astype(np.float32)), order=1, tol=1e-2),
        Row(name, "special", function, (MANY_A, MANY_X), order=0),
    ]
for name in ("igamma_grad_a", "random_gamma_grad"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "float64", function, (SHAPES, POSITIVE), order=1),
        Row(name, "tail", given(function, 1.7), (np.array([6.0, 9.0]),)),
        Row(name, "float32", function, (SHAPES.astype(np.float32), POSITIVE.astype(np.float32)), order=0),
        Row(name, "special", function, (MANY_A, MANY_X), order=0),
    ]
A, B, C = (v.ravel() for v in np.meshgrid([0.5, 2.0, np.nan], [1.0, 30.0, -1.0], [0.0, 0.3, 1.0, 2.0, np.nan]))
ROWS += [
    Row("regularized_incomplete_beta", "special", lax.betainc, (A, B, C), order=0),
    Row("regularized_incomplete_beta", "float32", lax.betainc, tuple(v.astype(np.float32) for v in (A, B, C)), order=0),
]
