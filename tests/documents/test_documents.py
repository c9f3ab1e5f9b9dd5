"""The two documents run unchanged on Pullback, through `as_jax`, and print the documented values."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from pullback.tour import __main__ as tour
from pullback.tour import notebook
from pullback.tour.contents import documents
from pullback.tour.documents import Cell, Document, Section, Value, compare, printed_numbers

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = [(d, s) for d, document in enumerate(documents()) for s in range(len(document.sections))]


def interpreter(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "PULLBACK_"))}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8", **variables}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


@cache
def printed(document: int) -> list[str]:
    """What each section of a document prints when all its cells run in one process."""
    done = interpreter("-m", "pullback.as_jax", str(Path(__file__).with_name("run_cells.py")), str(document))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return re.split(r"^#\d+\n", done.stdout, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("document, section", SECTIONS)
def test_every_printed_number_is_the_documented_one(document, section):
    values = [v for cell in documents()[document].sections[section].cells for v in cell.values if v.printed]
    numbers = printed_numbers(printed(document)[section])
    for value in values:
        documented = printed_numbers(value.documented)
        ours, numbers = numbers[: len(documented)], numbers[len(documented) :]
        agree, difference = compare(ours, documented, value.tolerance)
        assert agree, (
            f"{value.expression}: {[n.value for n in ours]} is {difference:.2g} from the documented {value.documented}"
        )
    assert not numbers, f"printed besides the documented values: {numbers}"


def shows_a_value(code: str) -> bool:
    """Whether a cell, outside of functions, prints more than fixed text, ends with an expression, or asserts."""
    statements = list(ast.parse(code).body)
    for statement in statements:
        if isinstance(statement, ast.For):
            statements.extend(statement.body)
        elif isinstance(statement, ast.Assert):
            return True
        elif isinstance(statement, ast.Expr):
            call = statement.value
            printing = isinstance(call, ast.Call) and ast.unparse(call.func) == "print"
            if not printing or not all(isinstance(argument, ast.Constant) for argument in call.args):
                return True
    return False


def test_the_data_is_complete():
    """Every cell that shows a value has it, every `%timeit` line its time, and no number of the documents' outputs is lost."""
    for document in documents():
        for cell in (cell for section in document.sections for cell in section.cells):
            assert shows_a_value(cell.code) == bool(cell.values), cell.code
            assert "%timeit" not in cell.code
            assert len(cell.timings) == cell.published.count("%timeit")
    counts = [
        sum(len(printed_numbers(v.documented)) for s in d.sections for c in s.cells for v in c.values)
        for d in documents()
    ]
    assert counts == [28, 144]


# ---- the comparison itself --------------------------------------------------------------------------------------


def test_numbers_are_read_from_every_form_of_output():
    text = "{'W1': DeviceArray([-0.5, 1e-05, 3.], dtype=float32), 'b': Array(2, dtype=int32, weak_type=True)} f64 (4, 3) nan -inf True"
    values = [n.value for n in printed_numbers(text)]
    assert values[:6] == [-0.5, 1e-5, 3.0, 2.0, 4.0, 3.0]
    assert values[6] != values[6]
    assert values[7:] == [-float("inf"), 1.0]
    assert [n.value for n in printed_numbers("6.-8.j -3.0509028 -10.940545j 1.-0.j")] == [
        6,
        -8,
        -3.0509028,
        -10.940545,
        1,
        0,
    ]


def test_a_difference_in_the_sixth_digit_is_refused():
    assert compare(printed_numbers("0.1234560"), printed_numbers("0.1234563"))[0]
    assert not compare(printed_numbers("0.1234560"), printed_numbers("0.1234570"))[0]
    assert not compare(printed_numbers("3.051940"), printed_numbers("3.051980"))[0]
    assert not compare(printed_numbers("1.0 2.0"), printed_numbers("1.0"))[0]
    assert not compare(printed_numbers("nan"), printed_numbers("1.0"))[0]
    assert not compare(printed_numbers("False"), printed_numbers("True"))[0]
    assert compare(printed_numbers("-0.2902"), printed_numbers("-0.2932"), tolerance=0.005)[0]
    assert not compare(printed_numbers("-0.2802"), printed_numbers("-0.2932"), tolerance=0.005)[0]


# ---- the tour ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch):
    """Nothing is measured more than once."""
    measure = notebook.Notebook.measure
    once = lambda self, timing: measure(self, replace(timing, loops=1, runs=1))
    monkeypatch.setattr(notebook.Notebook, "measure", once)
    monkeypatch.setattr(notebook, "BUDGET_SECONDS", 0.0)


def test_the_tour_agrees_and_says_so(hurried, capsys):
    assert tour.main([]) == 0
    shown = capsys.readouterr().out
    count = sum(len(c.values) for d in documents() for s in d.sections for c in s.cells)
    assert f"{count} values compared, {count} agree" in shown.splitlines()[-1]
    assert "\x1b" not in shown
    for document in documents():
        assert document.title in shown
        for section in document.sections:
            assert section.title in shown


def test_one_section_of_the_tour_as_a_command():
    """The options that the environment asks for do not change what the documents say."""
    arguments = ("-m", "pullback.tour", "--plain", "--code", "--section", "11")
    done = interpreter(*arguments, JAX_ENABLE_X64="1", PULLBACK_THREEFRY_PARTITIONABLE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11. Jacobians and Hessians" in done.stdout
    assert "12. " not in done.stdout
    assert "J = jacfwd(f)(W)" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("8 values compared, 8 agree")


def test_the_tour_refuses_a_disagreement(monkeypatch, capsys):
    """The tester tested: one documented digit changed, and one cell that fails."""
    cells = (Cell("x = 1.5", Value("x", "1.5"), Value("x", "1.50002")), Cell("1 / 0", Value("x", "1.5")))
    monkeypatch.setattr(
        tour, "documents", lambda: (Document("A document", "nowhere", (Section("A section", "Nothing.", cells),)),)
    )
    assert tour.main(["--plain"]) == 1
    shown = capsys.readouterr()
    assert "3 values compared, 1 agree" in shown.out
    assert "ZeroDivisionError" in shown.out
    assert 'File "<A document, cell 2>", line 1' in shown.err


def test_the_tour_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert tour.main(["--section", "3"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[" in shown
    assert "1 values compared, 1 agree" in shown
