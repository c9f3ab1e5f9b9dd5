"""What the oracle, JAX, answers to the calls of `tests.types.calls`, as a file: so that they can be compared where it is not installed.

The file has the version of JAX, and for 32 and 64 bits, for each call, the number of a table. A table is a list of the outcomes there are and
a text that has a character for each combination of arguments, in the order in which `Call.arguments` gives them: outcome i is
chr(35 + i) (beginning at 161 from 127 on).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("answers.json")


def _character(i: int) -> str:
    code = 35 + i
    return chr(code + (code >= 92) if code < 126 else code + 35)  # no backslash, no control character


def encoded(version: str, answers: dict[str, dict[str, list[str]]]) -> str:
    """The contents of the file for `answers[bits][call]`, the outcomes in order."""
    tables: dict[str, int] = {}
    calls: dict[str, dict[str, int]] = {}
    for bits, of_calls in answers.items():
        calls[bits] = {}
        for call, outcomes in of_calls.items():
            there = list(dict.fromkeys(outcomes))
            letters = {o: _character(i) for i, o in enumerate(there)}
            table = json.dumps(
                [there, "".join(letters[o] for o in outcomes)], ensure_ascii=False, separators=(",", ":")
            )
            calls[bits][call] = tables.setdefault(table, len(tables))
    head = json.dumps({"jax": version, "calls": calls}, indent=0)
    return head[:-2] + ',\n"tables": [\n' + ",\n".join(tables) + "\n]\n}\n"


def read() -> tuple[str, dict[str, dict[str, list[str]]]]:
    """The version of JAX, and the answers."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    tables = [list(_outcomes(*table)) for table in found["tables"]]
    return found["jax"], {bits: {c: tables[i] for c, i in calls.items()} for bits, calls in found["calls"].items()}


def _outcomes(there: list[str], letters: str) -> Iterator[str]:
    number = {_character(i): o for i, o in enumerate(there)}
    return (number[letter] for letter in letters)
