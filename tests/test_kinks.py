"""The tables of docs/kinks.md say what derivatives at corners, ties and edges are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

PAGE = Path(__file__).parent.parent / "docs" / "kinks.md"
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
NAMES = {"pb": pb, "jnp": jnp, "nan": np.nan, "inf": np.inf}


def test_the_tables_are_found() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize(("function", "at", "derivative"), ROWS, ids=[f"{f} at {x}" for f, x, _ in ROWS])
def test_derivative(function: str, at: str, derivative: str) -> None:
    f = eval(f"lambda x: {function}", NAMES)
    x = jnp.array(eval(at, NAMES))
    expected = np.array(eval(derivative, NAMES), np.float32)
    for g in (pb.grad(f), pb.jacfwd(f), pb.jit(pb.grad(f)), pb.jit(pb.jacfwd(f))):
        np.testing.assert_array_equal(np.asarray(g(x)), expected)


def test_compiled_extrema_do_not_depend_on_roundings():
    """Operands are compared with each other: what is computed again may be rounded otherwise."""
    with pb.enable_x64(True):
        rng = np.random.default_rng(0)
        for _ in range(3):
            w = jnp.asarray(rng.normal(size=4) + 2)
            f = lambda w: jnp.hypot(w[0] * w.sum() * 0.1, w[0] * w.sum() * 0.1 + 1) + jnp.maximum(w * w.sum(), w).sum()
            np.testing.assert_allclose(pb.jit(pb.hessian(f))(w), pb.hessian(f)(w), rtol=1e-9, atol=1e-9)
