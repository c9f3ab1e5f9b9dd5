"""Runs a document's cells as a notebook does, and measures."""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import statistics
import sys
from dataclasses import dataclass
from time import perf_counter
from types import CodeType
from typing import Any

from pullback.tour.documents import Cell, Timing, Value, compare, numbers, printed_numbers, text_of

#: How long the repetitions that measure one value may take together.
BUDGET_SECONDS = 0.02


@dataclass(frozen=True)
class Result:
    """What evaluating a value's expression gave: its text, whether and how nearly it agrees, and
    seconds for one evaluation."""

    value: Value
    text: str
    agrees: bool
    difference: float
    seconds: float | None


@dataclass(frozen=True)
class Measurement:
    """Mean and standard deviation, in seconds, of one execution of a `%timeit` statement; None if
    it failed."""

    timing: Timing
    mean: float | None
    deviation: float | None
    error: str = ""


class Notebook:
    """The namespace of a document. Cells run in order, under the name `__main__`; the names they
    import are whatever is installed."""

    def __init__(self, title: str) -> None:
        self.title = title
        #: Whether a cell has failed.
        self.failed = False
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self._count = 0

    def run(self, cell: Cell) -> str:
        """Execute a cell; what it prints, and the repr of a last expression, if it has a value."""
        self._count += 1
        name = f"<{self.title}, cell {self._count}>"
        linecache.cache[name] = (len(cell.code), None, cell.code.splitlines(keepends=True), name)
        tree = ast.parse(cell.code, name)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(tree, name, "exec"), self.namespace)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), name, "eval"), self.namespace)
                if value is not None:
                    sys.stdout.write(repr(value) + "\n")
        return out.getvalue()

    def evaluate(self, value: Value, measure: bool = True) -> Result:
        """Evaluate and compare a value of the cell that has just run, and measure how long one
        evaluation takes."""
        code = compile(value.expression, f"<{value.expression}>", "eval")
        try:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                start = perf_counter()
                found = eval(code, self.namespace)
                seconds = perf_counter() - start
            if found is None and out.getvalue():
                found = out.getvalue().strip()
            if measure:
                seconds = self._repeat(code, seconds)
        except Exception as error:
            return Result(value, f"{type(error).__name__}: {error}", False, float("inf"), None)
        documented = printed_numbers(value.documented)
        text = text_of(found)
        if not documented:
            return Result(value, text, text == value.documented, 0.0, seconds)
        agrees, difference = compare(numbers(found), documented, value.tolerance)
        return Result(value, text, agrees, difference, seconds)

    def _repeat(self, code: CodeType, first: float) -> float:
        repetitions = min(int(BUDGET_SECONDS / max(first, 1e-7)), 200)
        samples = []
        with contextlib.redirect_stdout(io.StringIO()):
            for _ in range(repetitions):
                start = perf_counter()
                eval(code, self.namespace)
                samples.append(perf_counter() - start)
        return statistics.median(samples) if samples else first

    def measure(self, timing: Timing) -> Measurement:
        """What `%timeit` measures: runs of loops, and the mean over them."""
        code = compile(timing.statement, f"<{timing.statement}>", "eval")
        try:
            runs = []
            for _ in range(timing.runs):
                start = perf_counter()
                for _ in range(timing.loops):
                    eval(code, self.namespace)
                runs.append((perf_counter() - start) / timing.loops)
        except Exception as error:
            return Measurement(timing, None, None, f"{type(error).__name__}: {error}")
        return Measurement(timing, statistics.fmean(runs), statistics.pstdev(runs))
