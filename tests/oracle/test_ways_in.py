"""The programs of the ways in (docs/from-*.md) give the same with the neighbour and with Pullback."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "docs" / "programs"
NEIGHBOURS = {"jax": "jax", "autograd": "autograd", "torch": "torch", "scipy": "scipy"}

COMPARE = """
import runpy, sys
import numpy as np
one, other = (np.asarray(runpy.run_path(path)["result"]) for path in sys.argv[1:])
np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
assert one.size > 5
"""


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_both_programs_give_the_same(neighbour: str) -> None:
    if find_spec(NEIGHBOURS[neighbour]) is None:
        pytest.skip(f"{NEIGHBOURS[neighbour]} is not installed: run `make oracle`")
    paths = [str(PROGRAMS / f"{neighbour}_{side}.py") for side in ("side", "pullback")]
    # A process of their own: they set options for it.
    done = subprocess.run([sys.executable, "-c", COMPARE, *paths], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
