"""Every block of code in docs/ and the README gives what is printed there, and the reference has every public name.

Blocks with prompts are run here, a page as one program. Cells (`{code-cell}`) are run while the site is built
(`make docs`), which fails if one fails; what is neither is a command line or a picture of text, marked as such.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pullback import enable_x64, errors

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WRITTEN = {DOCS / "reference", DOCS / "gallery", DOCS / "_ext"}
PAGES = sorted(p for p in DOCS.rglob("*.md") if not WRITTEN & set(p.parents))
#: Pages whose programs are in float64, as they say themselves.
WIDE = {"numpy-code"}
#: Pages that are run in a process of their own by another test, as they change what others depend on.
ELSEWHERE = {"extending", "architecture"}

FENCE = re.compile(r"^( *)(`{3,}|:{3,})(.*?)\n(.*?)^\1\2\s*$", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> list[tuple[str, str]]:
    """The blocks of code of a page: language, and text."""
    text = path.read_text(encoding="utf-8")
    return [(m[3].strip(), m[4]) for m in FENCE.finditer(text) if m[2].startswith("`")]


def name(path: Path) -> str:
    return path.relative_to(DOCS).with_suffix("").as_posix()


@pytest.mark.parametrize("path", [p for p in PAGES if name(p) not in ELSEWHERE], ids=name)
def test_page(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its programs, one after the other, give what it prints."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType(f"page_{path.stem}".replace("-", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    with enable_x64(name(path) in WIDE):
        for i, (language, text) in enumerate(blocks(path)):
            if ">>>" in text:
                test = doctest.DocTestParser().get_doctest(text, module.__dict__, f"{name(path)} {i}", str(path), 0)
                said: list[str] = []
                runner = doctest.DocTestRunner(optionflags=flags)
                # The page goes on with what its earlier programs defined.
                test.globs = module.__dict__
                runner.run(test, out=said.append, clear_globs=False)
                assert not runner.failures, "".join(said)
            elif language == "python":
                exec(compile(text, str(path), "exec"), module.__dict__)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_each_block_says_what_it_is(path: Path) -> None:
    """A block of code without a language is not run by anybody."""
    for language, text in blocks(path):
        assert language, f"{name(path)}: what is\n{text}"
        if language in ("python", "pycon") and ">>>" not in text:
            ast.parse(text)


# ---- errors -------------------------------------------------------------------------------------------

ERROR_PAGES = {p.stem: p for p in (DOCS / "errors").glob("*.md") if p.stem != "index"}


def test_every_message_names_a_page_that_is_there() -> None:
    """`see("shapes")` and `page = "shapes"` in the package, and the pages of docs/errors, are one list."""
    named = set()
    for path in (ROOT / "src" / "pullback").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"\bsee\(\\?[\"']([a-z-]+)\\?[\"']\)", text)) | set(
            re.findall(r"^    page = \"([a-z-]+)\"", text, re.MULTILINE)
        )
    assert named == set(ERROR_PAGES)


def test_every_type_of_error_has_a_page() -> None:
    """It says so on the page, and in the messages of the type."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) > 10
    for kind in kinds:
        assert f"`{kind.__name__}`" in ERROR_PAGES[kind.page].read_text(encoding="utf-8"), kind


@pytest.mark.parametrize("page", ERROR_PAGES)
def test_error_page(page: str) -> None:
    """It shows the smallest program with the message that leads to it, the usual causes, and the ways out."""
    text = ERROR_PAGES[page].read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[:3] == ["What happened", "Usual causes", "Ways out"]
    shown = "\n".join(block for _, block in blocks(ERROR_PAGES[page]))
    assert f"[see errors/{page}]" in shown


def test_the_list_of_error_pages_is_whole() -> None:
    index = (DOCS / "errors" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- \[.*?\]\(([a-z-]+)\.md\)", index, re.MULTILINE)) == set(ERROR_PAGES)


@cache
def reference() -> Any:
    """The module that writes the pages of the reference."""
    spec = importlib.util.spec_from_file_location("reference_of_documentation", DOCS / "_ext" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = [page for pages in reference().SECTIONS.values() for page in pages]


def test_the_reference_has_every_public_name() -> None:
    """What there is of JAX's public names (tools/api/surface.txt) is on the page of its module."""
    names: dict[str, set[str]] = {}
    for page in REFERENCE:
        names[page] = set(reference().public_names(importlib.import_module(page)))
    missing, module = [], ""
    for line in (ROOT / "tools" / "api" / "surface.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            module = line[1:-1]
            continue
        name = line.partition("(")[0]
        try:
            value = getattr(importlib.import_module(module), name) if name and not name.startswith("#") else importlib
        except (ImportError, AttributeError):  # what is not there is another test's
            continue
        if not isinstance(value, types.ModuleType) and name not in names.get(module, ()):
            missing.append(f"{module}.{name}")
    assert not missing


@pytest.mark.parametrize("page", REFERENCE)
def test_reference_is_in_markdown(page: str) -> None:
    """Signs outside of code are escaped, those of code are not, also where code goes on on the next line."""
    text = re.sub(r"^```.*?^```", "", reference().page(page), flags=re.MULTILINE | re.DOTALL)
    paragraphs = text.replace(":::", "\n").split("\n\n")
    code = [span for paragraph in paragraphs for span in re.findall(r"`+[^`]*`+", paragraph)]
    assert not [span for span in code if re.search(r"\\[*_<>$|{}]", span)]
    assert not re.search(r"0x[0-9a-f]{6,}", text), "an address, which is another one the next time"


def test_markdown_of_docstrings() -> None:
    markdown = reference().markdown
    assert (
        markdown("a*b, `f(x,\n*args)` and _c\n- `d`: **e\n* `f`")
        == "a\\*b, `f(x,\n*args)` and \\_c\n- `d`: \\*\\*e\n* `f`"
    )
    assert (
        markdown("a:\n\n    x*y\n\nb\n\n>>> 1*2\n2") == "a:\n\n```python\nx*y\n```\n\nb\n\n```pycon\n>>> 1*2\n2\n```\n"
    )


def test_numpys_types_are_left_to_its_manual() -> None:
    text = "\n".join(reference().entry("generic", np.generic))
    assert "NumPy's `numpy.generic`." in text
    assert "method" not in text
