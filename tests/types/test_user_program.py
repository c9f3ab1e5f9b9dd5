"""A program of a user's kind passes mypy and pyright in strict mode, and a wrong one does not."""

from __future__ import annotations

import json
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
WRONG = "import pullback.numpy as jnp\n\nx: str = jnp.zeros(3) + 1\n"


def test_the_program_runs() -> None:
    assert np.isfinite(main())
    assert (PACKAGE / "py.typed").exists()


def write_programs(folder: Path) -> None:
    (folder / "right.py").write_text((Path(__file__).parent / "user_program.py").read_text())
    (folder / "wrong.py").write_text(WRONG)


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_the_program_is_typed(tmp_path: Path) -> None:
    write_programs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", "right.py", "wrong.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(PACKAGE.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("wrong.py:3: error: Incompatible types in assignment"), done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is not installed: run `make types`")
def test_the_program_is_typed_for_pyright(tmp_path: Path) -> None:
    write_programs(tmp_path)
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(PACKAGE.parent)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    assert [(Path(f["file"]).name, f["range"]["start"]["line"], f["severity"]) for f in found] == [
        ("wrong.py", 2, "error")
    ], found
    assert "Array" in found[0]["message"] and "str" in found[0]["message"]
