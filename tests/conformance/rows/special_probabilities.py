"""Rows of `lax/gamma_functions.py` and `lax/normal.py`, and of densities in `lax/special.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import gamma_functions as g
from pullback.lax import normal as n
from pullback.lax import probabilities as m
from pullback.lax import special as s
from tests.conformance.table import Row, sample

POSITIVE = sample((2, 3), low=0.4, high=4.0)
OTHER = sample((2, 3), low=0.4, high=4.0, seed=1)
UNIT = sample((2, 3), low=0.1, high=0.9)
BOTH = sample((2, 3))
EDGES = np.array([0.0, -0.0, 0.3, 1.0, 2.5, 30.0, np.inf, np.nan])

ROWS = []
for primitive, x in (
    (g.gamma_p, POSITIVE), (n.ndtr_p, BOTH), (n.log_ndtr_p, 3 * BOTH), (n.ndtri_p, UNIT), (n.entr_p, POSITIVE), (n.logit_p, UNIT),
    (m.cauchy_tail_p, 3 * BOTH), (n.normal_hazard_p, 3 * BOTH),
):  # fmt: skip
    ROWS += [
        Row(primitive.name, "float64", primitive.bind, (x,), compiled_tol=1e-13),
        Row(primitive.name, "float32", primitive.bind, (x.astype(np.float32),), order=0, compiled_tol=2e-6),
        Row(primitive.name, "edges", primitive.bind, (EDGES,), order=0, vmap=False, compiled_tol=1e-13),
    ]
ROWS += [
    Row("gaussian", "float64", lambda x: s.gaussian_p.bind(x, rate=0.5), (BOTH,)),
    Row("gaussian", "bfloat16", lambda x: s.gaussian_p.bind(x, rate=1.0), (BOTH.astype(ml_dtypes.bfloat16),), order=0),
    Row("gaussian", "edges", lambda x: s.gaussian_p.bind(x, rate=0.5), (EDGES,), order=0),
    Row("gammasgn", "float64", g.gammasgn_p.bind, (np.array([-0.4, -1.5, 3.0]),)),
    Row("gammasgn", "edges", g.gammasgn_p.bind, (np.array([0.0, -0.0, -0.5, -1.5, 3.0, np.inf, np.nan]),), order=0),
]
for primitive in (
    s.psi_change_p, s.gamma_density_p, s.gamma_score_p, g.beta_p, g.betaln_p, g.poch_p, n.log_ratio_p, n.rel_entr_p, n.kl_div_p, n.xlogy_p,
    n.xlog1py_p, n.boxcox_p, n.boxcox1p_p,
):  # fmt: skip
    ROWS += [Row(primitive.name, "float64", primitive.bind, (POSITIVE, OTHER), compiled_tol=1e-12)]
A, B, X = (v.ravel() for v in np.meshgrid([0.5, 1.0, 3.0, 40.0, -1.0], [0.25, 1.0, 30.0], [0.0, 1e-3, 0.7, 1.0, 2.0]))
for primitive, operands in (
    (m.poisson_mass_p, (POSITIVE, OTHER)), (m.log_poisson_p, (POSITIVE, OTHER)), (m.log_gamma_density_p, (POSITIVE, OTHER)),
    (m.binomial_mass_p, (POSITIVE, OTHER, UNIT)), (m.log_binomial_p, (POSITIVE, OTHER, UNIT)),
    (m.log_beta_density_p, (POSITIVE, OTHER, UNIT)), (m.t_density_p, (POSITIVE, OTHER)),
    (m.log_t_density_p, (POSITIVE, OTHER)),
):  # fmt: skip
    edges = (A, B, X) if len(operands) == 3 else (A, B)
    ROWS += [
        Row(primitive.name, "float64", primitive.bind, operands, vmap=False, compiled_tol=1e-13),
        Row(primitive.name, "edges", primitive.bind, edges, order=0, vmap=False, compiled_tol=1e-13),
    ]
ROWS += [
    Row(
        "log_beta_binomial",
        "float64",
        m.log_beta_binomial_p.bind,
        (OTHER, POSITIVE + OTHER, 2 * OTHER, 1 + POSITIVE),
        vmap=False,
        compiled_tol=1e-13,
    ),
    Row(
        "log_beta_binomial",
        "edges",
        m.log_beta_binomial_p.bind,
        (X, A, B, 1 / B),
        order=0,
        vmap=False,
        compiled_tol=1e-13,
    ),
    Row("t_score", "float64", m.t_score_p.bind, (POSITIVE, OTHER), vmap=False, compiled_tol=1e-13),
    Row("beta_density", "float64", s.beta_density_p.bind, (POSITIVE, OTHER, UNIT), compiled_tol=1e-13),
    Row("beta_density", "edges", s.beta_density_p.bind, (A, B, X), order=0, vmap=False, compiled_tol=1e-13),
]
N, K = (
    v.ravel()
    for v in np.meshgrid([0.0, 0.3, 1.0, 2.0, 7.5, 40.0, 1e10, np.inf, np.nan], [0.0, 0.2, 1.0, 2.0, 7.0, np.nan])
)
inside = ((N >= K) | (N != N)) & ((np.inf > N) | (K != 0.2))  # SciPy has NaN for that
ROWS += [Row("binom", "float64", g.binom_p.bind, (POSITIVE + OTHER, OTHER), compiled_tol=1e-12)]
ROWS += [Row("binom", "edges", g.binom_p.bind, (N[inside], K[inside]), order=0, vmap=False, compiled_tol=1e-12)]
A, B = (v.ravel() for v in np.meshgrid(EDGES[:-2], EDGES[:-2]))
for primitive in (n.rel_entr_p, n.kl_div_p, n.xlogy_p, n.xlog1py_p):
    ROWS += [Row(primitive.name, "edges", primitive.bind, (A, B), order=0, vmap=False, compiled_tol=1e-12)]
