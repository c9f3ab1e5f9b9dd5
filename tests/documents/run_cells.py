"""Runs the cells of one of the tour's documents as published, as a notebook does, and prints what they print.

A program for `python -m pullback.as_jax`; the argument is the document's number. A line `#<section>` precedes each section's output.
"""

from __future__ import annotations

import ast
import sys

from pullback.tour.contents import documents


def run(document: int) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, section in enumerate(documents()[document].sections):
        print(f"#{number}")
        for cell in section.cells:
            tree = ast.parse(cell.code)
            for statement in tree.body:
                # "single" prints the value of an expression, which only a cell's last statement may do.
                last = statement is tree.body[-1] and isinstance(statement, ast.Expr)
                part = ast.Interactive([statement]) if last else ast.Module([statement], [])
                exec(compile(part, f"<{section.title}>", "single" if last else "exec"), namespace)


if __name__ == "__main__":
    run(int(sys.argv[1]))
