"""`python -m pullback.tour`: walk through the documents and say whether every value is theirs."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from pullback import as_jax
from pullback.core import config
from pullback.tour.contents import documents
from pullback.tour.display import Display, PlainDisplay, RichDisplay
from pullback.tour.documents import Section
from pullback.tour.notebook import Measurement, Notebook, Result

INTRODUCTION = """\
Two documents introduce automatic differentiation in JAX: a tutorial and the Autodiff Cookbook. Here their code runs unchanged, with \
`import jax` meaning Pullback, and every value they print is compared. A value is shown with the documented one below it where the \
digits differ (the documents come from releases that differ in the last ones); "apart" is the largest relative difference. Times \
are for one call (medians), without compilation, on {machine}."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tour; the exit status: 0 if every value agrees, 1 if not, 2 for wrong arguments."""
    total = sum(len(d.sections) for d in documents())
    parser = argparse.ArgumentParser(prog="python -m pullback.tour", description="A guided tour of Pullback.")
    parser.add_argument(
        "--section", type=int, metavar="N", choices=range(1, total + 1), help=f"only section N, of {total}"
    )
    parser.add_argument("--code", action="store_true", help="show the code of the documents' cells, too")
    parser.add_argument("--plain", action="store_true", help="plain text, as when the output is not a terminal")
    options = parser.parse_args(arguments)
    plain = options.plain or not sys.stdout.isatty()
    # The documents use the default types and random streams, whatever the environment asks for.
    with config.enable_x64(False), config.threefry_partitionable(False):
        as_jax.install()
        try:
            return _tour(PlainDisplay() if plain else RichDisplay(), options.section, options.code)
        finally:
            as_jax.uninstall()


def _tour(display: Display, only: int | None, show_code: bool) -> int:
    start = perf_counter()
    machine = f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} × {platform.machine()}"
    display.introduction(INTRODUCTION.format(machine=machine))
    number, results, measurements = 0, [], []
    for document in documents():
        numbers = range(number + 1, number + 1 + len(document.sections))
        number = numbers[-1]
        if only is not None and only not in numbers:
            continue
        display.document(document)
        notebook = Notebook(document.title)
        for n, section in zip(numbers, document.sections):
            if only is not None and n != only:
                if n < only:
                    for cell in section.cells:
                        notebook.run(cell)
                continue
            found, measured = _section(notebook, section)
            display.section(n, section, found, measured, section.cells if show_code else ())
            results += found
            measurements += measured
    agreeing = sum(r.agrees for r in results)
    success = agreeing == len(results) and all(m.mean is not None for m in measurements)
    display.conclusion(
        f"{len(results)} values compared, {agreeing} agree ({perf_counter() - start:.1f} s in all).", success
    )
    return 0 if success else 1


def _section(notebook: Notebook, section: Section) -> tuple[list[Result], list[Measurement]]:
    """Run a section's cells, and compare and measure after each. A cell that fails gives its error
    for each of its values."""
    results, measurements = [], []
    for cell in section.cells:
        try:
            notebook.run(cell)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if not notebook.failed:  # what fails later fails because of this, most likely
                sys.stderr.write("".join(traceback.format_exception(error)))
                notebook.failed = True
            results += [Result(v, text, False, float("inf"), None) for v in cell.values]
            measurements += [Measurement(t, None, None, text) for t in cell.timings]
            continue
        results += [notebook.evaluate(value) for value in cell.values]
        measurements += [notebook.measure(timing) for timing in cell.timings]
    return results, measurements


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
