"""Every public name of the reference has a docstring with an example, every method has a docstring, and every example gives
what it says.

pytest runs the doctests that it finds in modules; those of functions that are made when a module is loaded, which it does
not find, are run here. `python -m tests.test_docstrings` lists what is lacking, a page a line.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import sys
import typing
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pullback.core.config import enable_x64
from pullback.core.primitive import Primitive

ROOT = Path(__file__).parent.parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

#: Names without an example, each with the reason. (Constants, NumPy's own types, primitives and aliases of types for annotations
#: need none: see `needs_example`.)
WITHOUT: dict[str, str] = {}

#: What is still to be written, by page. This list is to shrink: a name on it that has an example
#: fails, and `python -m tests.test_docstrings > tests/docstrings_to_write.txt` writes it anew.
UNWRITTEN = Path(__file__).parent / "docstrings_to_write.txt"


@cache
def reference() -> Any:
    """The module that writes the reference: its list of pages, and which names of a module are public."""
    path = ROOT / "docs" / "_ext" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference_for_tests", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES: list[str] = [page for pages in reference().SECTIONS.values() for page in pages]


def public(page: str) -> dict[str, Any]:
    module = importlib.import_module(page)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated names
        return {name: getattr(module, name) for name in reference().public_names(module)}


def needs_example(value: Any) -> bool:
    """Whether a value is a function or class of ours; not a constant, a primitive, a type of others or a name for a type."""
    if (
        isinstance(value, Primitive)
        or not callable(value)
        or typing.get_origin(value)
        or isinstance(value, typing.TypeVar)
    ):
        return False
    return str(getattr(value, "__module__", "")).startswith("pullback")


def methods(value: Any) -> dict[str, Any]:
    """The public methods and properties that a class of ours defines, as the reference shows them."""
    if not inspect.isclass(value) or not needs_example(value):
        return {}
    own = {n: m.__func__ if isinstance(m, (classmethod, staticmethod)) else m for n, m in vars(value).items()}
    return {n: m for n, m in own.items() if not n.startswith("_") and (inspect.isroutine(m) or isinstance(m, property))}


def lacking(page: str) -> list[str]:
    """Names whose docstring has no example, and methods without a docstring."""
    names = []
    for name, value in public(page).items():
        if needs_example(value) and ">>>" not in (inspect.getdoc(value) or ""):
            names.append(name)
        names += [f"{name}.{member}" for member, method in methods(value).items() if not inspect.getdoc(method)]
    return names


def unwritten() -> dict[str, set[str]]:
    lines = UNWRITTEN.read_text(encoding="utf-8").splitlines() if UNWRITTEN.exists() else []
    return {page: set(names.split()) for page, _, names in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("page", PAGES)
def test_every_public_name_has_an_example(page: str) -> None:
    found, later = set(lacking(page)), unwritten().get(page, set())
    excused = {name.removeprefix(f"{page}.") for name in WITHOUT if name.startswith(f"{page}.")}
    assert not found - later - excused, "a name without an example, or a method without a docstring"
    assert not (later | excused) - found, f"is written now: take it off {UNWRITTEN.name}"


# ---- examples -----------------------------------------------------------------------------------------


@cache
def found_by_pytest(module: ModuleType) -> set[str]:
    """The docstrings of a module that doctest finds."""
    return {test.docstring for test in doctest.DocTestFinder().find(module, module.__name__) if test.examples}


def home(value: Any) -> ModuleType | None:
    """The module in which a function or class is written, where pytest looks for it."""
    inner = inspect.unwrap(value) if callable(value) else value
    scope = getattr(inner, "__globals__", None)
    name = scope.get("__name__") if scope is not None else getattr(inner, "__module__", None)
    return sys.modules.get(str(name))


def others(page: str) -> dict[str, str]:
    """The docstrings with examples that pytest does not find, by name."""
    texts = {}
    for name, value in public(page).items():
        text = getattr(value, "__doc__", None)
        if not needs_example(value) or not isinstance(text, str) or ">>>" not in text:
            continue
        modules = {home(value), sys.modules.get(str(getattr(value, "__module__", ""))), importlib.import_module(page)}
        if not any(text in found_by_pytest(m) for m in modules if m is not None):
            texts[name] = text
    return texts


@pytest.mark.parametrize("page", PAGES)
def test_examples_that_pytest_does_not_find(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    seen: set[str] = set()
    with enable_x64(False):
        for name, text in others(page).items():
            if text in seen:  # another name of the same thing
                continue
            seen.add(text)
            scope = dict(vars(importlib.import_module(page)))
            test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), scope, f"{page}.{name}", None, 0)
            doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)


if __name__ == "__main__":
    for page in PAGES:
        if names := lacking(page):
            print(f"{page}: {' '.join(sorted(names))}")
