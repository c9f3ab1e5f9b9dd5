"""The tables of docs/differences.md, in which the tests look up what is meant to differ from JAX."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parent.parent / "docs" / "differences.md"


def table(section: str) -> list[tuple[str, ...]]:
    """The rows of the table in the section "Single calls: ...", as texts without their quotes."""
    text = _PAGE.read_text(encoding="utf-8").partition(f"Single calls: {section}\n\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows, f"docs/differences.md has no table of {section}"
    return [tuple(_cell(c) for c in re.split(r"(?<!\\)\|", row)[1:-1]) for row in rows]


def _cell(text: str) -> str:
    text = text.strip().replace("\\|", "|")
    return text[1:-1] if text.startswith("`") and text.endswith("`") else text
