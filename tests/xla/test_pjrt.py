"""What is asked of jaxlib, and what is said where it is not there."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pullback.xla import pjrt

TOP = Path(__file__).parents[2]


def test_the_error_names_the_versions_that_are_installed() -> None:
    needed = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["dependencies"]
    assert pjrt.REQUIREMENT in needed


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("del _jax.batched_device_put", "no jaxlib._jax.batched_device_put"),
        ("del _jax.ArrayImpl.is_ready", "no jaxlib._jax.ArrayImpl.is_ready"),
        ("_jax.array_result_handler = lambda t, sharding: None", "used differently"),
        ("_jax.batched_device_put = lambda *, where: None", "used differently"),
        ("sys.modules['jaxlib.xla_client'] = None; del jaxlib.xla_client", "xla_client"),
    ],
)
def test_a_jaxlib_without_what_is_needed(change: str, what: str) -> None:
    program = f"""
    import jaxlib, sys
    from jaxlib import _jax, xla_client
    {change}
    import pullback as pb
    print(pb.grad(lambda x: x * x)(3.0))
    for _ in range(2):  # the second call says the same as the first
        try:
            pb.jit(lambda x: x + 1)(3.0)
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    gradient, *errors = done.stdout.splitlines()
    assert gradient == "6.0"
    assert len(errors) == 2
    for error in errors:
        assert what in error
        assert pjrt.REQUIREMENT in error


def test_a_program_that_is_wrong_is_not_blamed_on_jaxlib() -> None:
    target: Any = pjrt.cpu().targets[0]
    with pytest.raises(pjrt.XlaRuntimeError):
        pjrt.compile_text("module { func.func @main() -> tensor<f32> { return } }", target, ())
