"""Rows of `lax/bessel.py`, `error_functions.py`, `exponential_integrals.py`, `hypergeometric.py` and `spherical.py`."""

from __future__ import annotations

import numpy as np

from pullback.lax import bessel as b
from pullback.lax import error_functions as e
from pullback.lax import exponential_integrals as i
from pullback.lax import hypergeometric as h
from pullback.lax.log_gamma import complex_polygamma_p, log_gamma_p
from pullback.lax.spherical import polar_part_p
from tests.conformance.rows.special import given
from tests.conformance.table import Row, sample

EDGES = np.array([0.0, -0.0, 0.3, -0.3, 1.5, -1.5, 40.0, -40.0, 1e-8, 1e300, 1e-300, np.inf, -np.inf, np.nan])
POSITIVE = sample((2, 3), low=0.4, high=4.0)
UNIT = sample((2, 3), low=-0.9, high=0.9)
BOTH = sample((2, 3))
MANY = tuple(v.ravel() for v in np.meshgrid(EDGES, EDGES))

ROWS = []
for primitive, x in (
    (e.erfcx_p, BOTH),
    (e.erfc_exact_p, BOTH), (e.dawsn_p, BOTH), (e.erfinv_p, UNIT), (e.erfcinv_p, UNIT + 1), (i.exp1_p, POSITIVE), (i.expi_p, POSITIVE),
    (i.sici_p, POSITIVE), (i.fresnel_p, BOTH), (i.spence_p, POSITIVE),
):  # fmt: skip
    ROWS += [
        Row(primitive.name, "float64", primitive.bind, (x,), compiled_tol=1e-14),
        Row(primitive.name, "float32", primitive.bind, (x.astype(np.float32),), order=0, compiled_tol=1e-6),
        Row(primitive.name, "edges", primitive.bind, (EDGES,), order=0, vmap=False, compiled_tol=1e-13),
    ]
ROWS += [
    Row("wofz", "complex128", e.wofz_p.bind, (BOTH[0] + 1j * BOTH[1],), compiled_tol=1e-13),
    Row(
        "wofz", "complex64", e.wofz_p.bind, ((BOTH[0] + 1j * BOTH[1]).astype(np.complex64),), order=0, compiled_tol=1e-6
    ),
    Row("owens_t", "float64", e.owens_t_p.bind, (BOTH, POSITIVE), compiled_tol=1e-13),
    Row("owens_t", "edges", e.owens_t_p.bind, MANY, order=0, vmap=False, compiled_tol=1e-12),
    Row("expn", "by-x", given(i.expn_p.bind, 3.0), (POSITIVE,), note="the order is a whole number", compiled_tol=1e-14),
    Row(
        "expn", "first", given(i.expn_p.bind, 1.0), (POSITIVE,), note="the order is a whole number", compiled_tol=1e-14
    ),
    Row(
        "expn",
        "edges",
        i.expn_p.bind,
        (np.repeat([0.0, 1.0, 2.0, 7.0, 1.5, -1.0, np.nan], len(EDGES)), np.tile(EDGES, 7)),
        order=0,
        vmap=False,
        compiled_tol=1e-13,
    ),
]
for primitive in (b.bessel_i_p, b.bessel_ie_p):
    ROWS += [
        Row(primitive.name, f"order-{n}", lambda x, p=primitive, n=n: p.bind(x, order=n), (BOTH,), compiled_tol=2e-14)
        for n in (0, 3)
    ]
    edges = lambda x, p=primitive: p.bind(x, order=1)
    ROWS += [Row(primitive.name, "edges", edges, (EDGES,), order=0, vmap=False, compiled_tol=1e-14)]
jn = lambda x: b.bessel_jn_p.bind(x, v=3)
ROWS += [
    Row("bessel_jn", "float64", jn, (4 * BOTH,), compiled_tol=1e-13),
    Row("bessel_jn", "float32", jn, (BOTH.astype(np.float32),), order=0, compiled_tol=1e-6),
    Row("bessel_jn", "edges", jn, (EDGES[np.abs(EDGES) != 1e300],), order=0, vmap=False, compiled_tol=1e-13),
]
WHOLE = np.array([[0.0, 1.0, 4.0], [4.0, 4.0, 3.0]]), np.array([[0.0, -1.0, 2.0], [4.0, -3.0, 5.0]])
for primitive, operands, orders in (
    (h.hyp1f1_by_p, (POSITIVE[0], POSITIVE[1], BOTH[0]), (1, 1)),
    (h.hyp2f1_by_p, (POSITIVE[0], BOTH[0], POSITIVE[1], UNIT[0]), (0, 1, 1)),
):
    by = lambda *v, p=primitive, orders=orders: p.bind(*v, orders=orders)
    ROWS += [Row(primitive.name, "mixed", by, operands, order=1, vmap=False, compiled_tol=1e-12)]
ROWS += [
    Row(
        "hyp1f1",
        "float64",
        h.hyp1f1_p.bind,
        (POSITIVE[0], POSITIVE[1], BOTH[0]),
        order=1,
        vmap=False,
        compiled_tol=1e-13,
    ),
    Row("hyp1f1", "by-x", given(h.hyp1f1_p.bind, 0.7, 1.6), (BOTH,), compiled_tol=1e-13),
    Row(
        "hyp2f1",
        "float64",
        h.hyp2f1_p.bind,
        (POSITIVE[0], BOTH[0], POSITIVE[1], UNIT[0]),
        order=1,
        vmap=False,
        compiled_tol=1e-13,
    ),
    Row("hyp2f1", "by-x", given(h.hyp2f1_p.bind, 0.7, 1.6, 2.1), (UNIT,), compiled_tol=1e-13),
    Row("sph_harm_polar", "by-angle", given(polar_part_p.bind, *WHOLE), (BOTH,), vmap=False, compiled_tol=1e-13),
]
COMPLEX = 2 * BOTH[0] + 1j * BOTH[1]
ROWS += [
    Row("log_gamma", "complex128", log_gamma_p.bind, (COMPLEX,), compiled_tol=1e-12),
    Row(
        "complex_polygamma",
        "trigamma",
        lambda z: complex_polygamma_p.bind(z, order=1),
        (COMPLEX,),
        order=1,
        compiled_tol=1e-12,
    ),
]
