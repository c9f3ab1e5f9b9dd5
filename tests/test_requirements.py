"""The bounds in `pyproject.toml`, the exact versions that are tested, and what the package says of itself agree."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging.requirements")

TOP = Path(__file__).parent.parent
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
BOUNDS = [packaging.Requirement(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"])]
REQUIREMENTS = pytest.mark.parametrize("bound", BOUNDS, ids=[b.name for b in BOUNDS])


def exact(file: str) -> dict[str, str]:
    """The versions in a file of requirements."""
    lines = [line.partition("#")[0].strip() for line in (TOP / "requirements" / file).read_text().splitlines()]
    assert all("==" in line for line in lines if line)
    return dict(line.split("==") for line in lines if line)


@REQUIREMENTS
def test_the_oldest_are_the_lower_bounds(bound: packaging.Requirement) -> None:
    (lowest,) = [s.version for s in bound.specifier if s.operator == ">="]
    assert re.fullmatch(rf"{re.escape(lowest)}(\.0)*", exact("oldest.txt")[bound.name])


@REQUIREMENTS
def test_the_development_environment_is_within_the_bounds(bound: packaging.Requirement) -> None:
    assert bound.specifier.contains(exact("dev.txt")[bound.name])


@REQUIREMENTS
def test_what_is_installed_is_within_the_bounds(bound: packaging.Requirement) -> None:
    try:
        version = metadata.version(bound.name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{bound.name} is not installed")
    assert bound.specifier.contains(version)


@REQUIREMENTS
def test_there_are_bounds_at_both_ends(bound: packaging.Requirement) -> None:
    assert sorted(s.operator for s in bound.specifier) == ["<", ">="]


def test_this_python_is_one_of_those_that_are_named() -> None:
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)}
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in named
