"""What errors say."""

import ast
import re
from pathlib import Path

import pullback

SOURCES = sorted(Path(pullback.__file__).parent.rglob("*.py"))


def messages(source: str) -> list[tuple[int, str]]:
    """The texts in the statements that raise, and in the calls that make errors, with their lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Raise) or name == "here" or name.endswith(("Error", "Warning")):
            found += [
                (part.lineno, part.value)
                for part in ast.walk(node)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
    return found


def test_errors_speak_of_this_package() -> None:
    wrong = [
        f"{path}:{line}: {text}"
        for path in SOURCES
        for line, text in messages(path.read_text(encoding="utf-8"))
        if re.search(r"\bjax\.", text) and path.name != "as_jax.py"  # which is about it
    ]
    assert not wrong
