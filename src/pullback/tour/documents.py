"""What a document consists of, and when a value agrees with the one it prints.

A `Document` has `Section`s of `Cell`s: code as published (IPython's `%timeit` lines included), and
the values that it prints.

Values are compared number by number. The documents come from several releases of JAX, which differ
in the last digits: two numbers agree if they are within 5e-6 of each other, relatively, besides
what rounding to the printed digits hides. Values that rounding inside the computation moves by more
have an absolute tolerance derived from it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import numpy as np

from pullback.core.array import Array
from pullback.core.tree import tree_leaves

#: How far apart, relatively, two releases' results may be.
RELATIVE_TOLERANCE = 5e-6

# Where a documented value comes from.
OUTPUT = "printed by the document"
STATED = "stated in the document's text"
EXACT = "the exact value; the document's copy lost its output"
ASSERTED = "asserted by the cell, which prints nothing"


@dataclass(frozen=True)
class Value:
    """A value of a cell: `expression` gives it once the cell has run, `documented` is the
    document's text for it."""

    expression: str
    documented: str
    origin: str = OUTPUT
    #: Absolute tolerance for values that rounding moves by more than the relative one, and why it
    #: does.
    tolerance: float = 0.0
    note: str = ""

    @property
    def printed(self) -> bool:
        """Whether running the cell prints it."""
        return self.origin != ASSERTED


@dataclass(frozen=True)
class Timing:
    """A `%timeit` line: the statement, its numbers of loops and runs, and what the document's
    machine took."""

    statement: str
    loops: int
    runs: int
    documented: str


class Cell:
    """Code as published, the values it prints or asserts, in order, and what its `%timeit` lines
    print."""

    def __init__(self, code: str, *values: Value, timings: tuple[str, ...] = ()) -> None:
        lines = dedent(code).strip("\n").split("\n")
        self.values = values
        #: The code as published, and without its `%timeit` lines.
        self.published = "\n".join(lines)
        self.code = "\n".join(line for line in lines if not line.startswith("%timeit"))
        magics = [line for line in lines if line.startswith("%timeit")]
        self.timings = [_timing(line, text) for line, text in zip(magics, timings, strict=True)]


def _timing(line: str, documented: str) -> Timing:
    match = re.fullmatch(r"%timeit -n(\d+) -r(\d+) (.+)", line)
    assert match is not None, line
    return Timing(match[3], int(match[1]), int(match[2]), documented)


@dataclass(frozen=True)
class Section:
    """A part of a document, with a sentence or two on what it shows."""

    title: str
    summary: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Document:
    """A document: its name, where it is from, and its sections, which share one namespace."""

    title: str
    source: str
    sections: tuple[Section, ...]


# ---- numbers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A number and how far it may be from what was meant: half a unit of its last printed digit, 0
    if it is exact."""

    value: float
    uncertainty: float = 0.0


_WORDS = re.compile(r"dtype=\w+|weak_type=\w+")
_NUMBER = re.compile(
    r"[-+]?(?<![A-Za-z_\d.])(\d+)(\.\d*)?(e[-+]?\d+)?|[-+]?(?<![A-Za-z_])(?:nan|inf)(?![A-Za-z_])|\b(?:True|False)\b"
)


def printed_numbers(text: str) -> list[Number]:
    """The numbers (and truth values, as 1 and 0) in printed text; a complex number is two.

    >>> [n.value for n in printed_numbers("{'W': Array([1., -0.5], dtype=float32), 'z': 3.-4.j}")]
    [1.0, -0.5, 3.0, -4.0]
    """
    return [_number(match) for match in _NUMBER.finditer(_WORDS.sub("", text))]


def _number(match: re.Match[str]) -> Number:
    text = match[0]
    if text in ("True", "False"):
        return Number(float(text == "True"))
    if match[2] is None and match[3] is None:  # an integer, or nan or inf
        return Number(float(text))
    exponent = int(match[3][1:]) if match[3] else 0
    digits = len(match[2]) - 1 if match[2] else 0
    return Number(float(text), 0.5 * 10.0 ** (exponent - digits))


def numbers(value: Any) -> list[Number]:
    """The numbers of a value: of the leaves of a pytree of arrays and scalars, or those printed in
    a string."""
    found: list[Number] = []
    for leaf in tree_leaves(value):
        if isinstance(leaf, str):
            found.extend(printed_numbers(leaf))
            continue
        array = np.asarray(leaf)
        parts = np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array
        found.extend(Number(float(x)) for x in parts.astype(np.float64).ravel())
    return found


def compare(ours: list[Number], documented: list[Number], tolerance: float = 0.0) -> tuple[bool, float]:
    """Whether two sequences of numbers agree, within the relative tolerance or `tolerance`, and
    their largest relative difference."""
    if len(ours) != len(documented):
        return False, float("inf")
    agree, worst = True, 0.0
    for a, b in zip(ours, documented):
        if a.value == b.value or (math.isnan(a.value) and math.isnan(b.value)):
            continue
        gap = max(abs(a.value - b.value) - a.uncertainty - b.uncertainty, 0.0)
        worst = max(worst, gap / (abs(b.value) or 1.0))
        agree = agree and gap <= max(RELATIVE_TOLERANCE * abs(b.value), tolerance)
    return agree, worst


def number_spans(text: str) -> list[int]:
    """Where in `text` each of its numbers ends."""
    return [match.end() for match in _NUMBER.finditer(text)]


def text_of(value: Any) -> str:
    """A value as a document would print it: arrays as `print` does, containers and other things by
    repr."""
    return value if isinstance(value, str) else str(value) if isinstance(value, Array) else repr(value)
