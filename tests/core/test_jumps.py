"""What puts back the current trace or NumPy's settings in `finally` is protected from signals at every jump back of a loop.

CPython looks for signals there, and from 3.12 on its compiler leaves some of these jumps out of the range of a `try`.
"""

from __future__ import annotations

import ast
import dis
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pullback

SETTERS = {"floating_point_errors", "entered", "set_current"}
PUT_BACK = {"reset_floating_point_errors", "reset_current", "set_current"}


def functions() -> Iterator[CodeType]:
    """The code of all functions of the package that set what is to be put back."""
    seen: set[CodeType] = set()

    def inside(code: CodeType) -> Iterator[CodeType]:
        if code not in seen:
            seen.add(code)
            yield code
            for c in code.co_consts:
                if isinstance(c, CodeType):
                    yield from inside(c)

    def of(x: Any) -> Iterator[CodeType]:
        if isinstance(x, FunctionType):
            yield from inside(x.__code__)
        elif isinstance(x, type):
            for v in vars(x).values():
                yield from of(getattr(v, "__func__", v)) if not isinstance(v, type) else ()

    for module in pkgutil.walk_packages(pullback.__path__, "pullback."):
        if not module.name.endswith("__main__"):
            for x in vars(import_module(module.name)).values():
                if str(getattr(x, "__module__", "")).startswith("pullback"):
                    yield from of(x)


@cache
def protected(file: str) -> list[tuple[int, int]]:
    """The first and last lines of the bodies of `try` behind which something is put back."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return [
        (node.body[0].lineno, (node.orelse or node.body)[-1].end_lineno or 0)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        and any(isinstance(n, ast.Name) and n.id in PUT_BACK for x in node.finalbody for n in ast.walk(x))
    ]


def unprotected(code: CodeType) -> list[int]:
    """The lines of jumps back in such bodies for which no handler is responsible."""
    ranges = [(e.start, e.end) for e in dis.Bytecode(code).exception_entries]
    lines = protected(code.co_filename)
    return [
        s.positions.lineno
        for s in dis.get_instructions(code)
        if s.opname == "JUMP_BACKWARD"
        and s.positions is not None
        and s.positions.lineno is not None
        and any(a <= s.positions.lineno <= b for a, b in lines)
        and not any(a <= s.offset < b for a, b in ranges)
    ]


def test_jumps_back_are_protected() -> None:
    codes = [c for c in functions() if SETTERS & set(c.co_names)]
    assert len(codes) > 20
    found = [f"{c.co_filename}:{line} ({c.co_qualname})" for c in codes for line in unprotected(c)]
    assert not found, found
