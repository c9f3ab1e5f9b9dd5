"""Public modules say which names are theirs: the reference shows these, and `import *` takes them."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parent.parent / "docs" / "_ext" / "reference.py"


def pages() -> list[str]:
    """The modules of the reference. (Its own module needs Sphinx.)"""
    for node in ast.parse(REFERENCE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SECTIONS":
            return [m for modules in ast.literal_eval(node.value).values() for m in modules]
    raise AssertionError("docs/_ext/reference.py has no SECTIONS")


@pytest.mark.parametrize("name", pages())
def test_a_module_states_its_names(name: str) -> None:
    """Packages export what they import; of other modules nobody can tell which imported names are meant."""
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        return
    stated = getattr(module, "__all__", ())
    assert stated, f"{name} needs __all__: its page in the reference would lack what it imports for users"
    assert len(set(stated)) == len(stated)
    assert all(hasattr(module, n) for n in stated)
