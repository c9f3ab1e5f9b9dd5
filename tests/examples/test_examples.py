"""The programs of the gallery: each finds what it should find, and each is a short module that says what it does."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from examples.gallery import Example, examples

PROGRAMS = examples()


def id_of(example: Example) -> str:
    return example.name


@pytest.mark.parametrize("example", PROGRAMS, ids=id_of)
@pytest.mark.parametrize("library", ["matplotlib", "sklearn"])
def test_only_functions_import_what_may_be_missing(example: Example, library: str) -> None:
    tree = ast.parse(example.path.read_text(encoding="utf-8"))
    for statement in tree.body:
        names = [a.name for a in getattr(statement, "names", [])] if isinstance(statement, ast.Import) else []
        names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
        assert library not in [name.partition(".")[0] for name in names], ast.unparse(statement)


@pytest.mark.parametrize("example", PROGRAMS, ids=id_of)
@pytest.mark.skipif(not find_spec("matplotlib"), reason="the gallery's data and figures need matplotlib")
@pytest.mark.skipif(not find_spec("sklearn"), reason="the gallery's data and checks need scikit-learn")
def test_finds_what_it_should(example: Example, tmp_path: Path) -> None:
    from examples.gallery import save

    outcome = example.run(small=True)
    assert outcome.checks
    wrong = [str(check) for check in outcome.checks if not check.holds]
    assert not wrong, "\n".join(wrong)
    save(outcome, tmp_path / "figure.png")


@pytest.mark.parametrize("example", PROGRAMS, ids=id_of)
def test_is_a_short_module_with_a_title(example: Example) -> None:
    source = example.path.read_text(encoding="utf-8")
    assert example.title, "the first line of the docstring"
    assert len(example.text.split()) >= 40, "the docstring says what the problem is, the method and its source"
    text = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.DEDENT,
    }
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in text]
    docstring = ast.parse(source).body[0]
    code = {n for t in tokens for n in range(t.start[0], t.end[0] + 1)} - set(range(1, (docstring.end_lineno or 1) + 1))
    assert 40 <= len(code) <= 150, f"{len(code)} lines of code"


def test_the_gallery_lists_all_programs() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "examples"], capture_output=True, encoding="utf-8", check=True, timeout=120
    )
    assert listed.stdout.splitlines() == [f"{e.name:24}{e.title}" for e in PROGRAMS]
    for example in PROGRAMS:
        assert callable(import_module(f"examples.{example.name}").main)
