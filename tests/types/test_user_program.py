"""A program of a user's kind passes mypy in strict mode, and a wrong one does not."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import pullback
from tests.types.user_program import main

PACKAGE = Path(pullback.__file__).parent


def test_the_program_runs() -> None:
    assert np.isfinite(main())
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_the_program_is_typed(tmp_path: Path) -> None:
    program = (Path(__file__).parent / "user_program.py").read_text()
    (tmp_path / "right.py").write_text(program)
    (tmp_path / "wrong.py").write_text(
        "import pullback as pb\nimport pullback.numpy as jnp\nx: str = jnp.zeros(3) + 1\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", "right.py", "wrong.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(PACKAGE.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("wrong.py:3: error: Incompatible types in assignment"), done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1
