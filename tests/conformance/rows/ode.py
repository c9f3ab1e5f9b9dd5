"""Rows of `control/ode.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.control.ode import odeint
from pullback.lax import functions as lax
from tests.conformance.table import Row, sample


def growth(y: Any, t: Any, rate: Any) -> Any:
    return lax.mul(lax.sub(rate, y), lax.cos(lax.add(y, t)))


def oscillator(state: Any, t: Any, k: Any) -> Any:
    return state[1], lax.neg(lax.mul(k, state[0]))


TIMES = np.array([0.0, 0.4, 1.0])
HOW = {"rtol": 1e-11, "atol": 1e-11}
NOTE = "steps are chosen anew for each point, tangent and batch, so results agree within the tolerances"
ROWS = [
    Row("odeint", "scalar", lambda y, rate: odeint(growth, y, TIMES, rate, **HOW), (np.array(0.3), np.array(1.2)), tol=1e-4,
        compiled_tol=1e-9, note=NOTE),
    Row("odeint", "times", lambda t: odeint(growth, np.array(0.3), TIMES * lax.exp(t), np.array(1.2), **HOW), (np.array(0.3),), order=1, tol=1e-4,
        compiled_tol=1e-9, note=NOTE),
    Row("odeint", "pair", lambda x, v: list(odeint(oscillator, (x, v), TIMES, np.array([2.0, 3.0]), **HOW)), (sample((2,)), sample((2,), seed=1)),
        order=1, tol=1e-4, compiled_tol=1e-9, note=NOTE),
    Row("odeint", "float32", lambda y: odeint(growth, y, TIMES.astype(np.float32), np.float32(1.0), rtol=1e-5, atol=1e-5),
        (np.array(0.3, np.float32),), order=0, compiled_tol=1e-4, note=NOTE),
]  # fmt: skip
