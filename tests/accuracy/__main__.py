"""Measure every row and write docs/accuracy.md and its plot: `make accuracy`, or `python -m tests.accuracy [FAMILY...]`,
which prints the tables of the families only."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.accuracy import measure
from tests.accuracy.table import DTYPES, MOST_OF_SCIPY, MOST_ULPS, Row, families

DOCS = Path(__file__).parents[2] / "docs"
SYSTEMS = ("eager", "compiled", "SciPy", "JAX")
COLORS = {"eager": "#06c", "compiled": "#3a3", "SciPy": "#999", "JAX": "#e70"}

INTRODUCTION = """# Accuracy

How far every special function and distribution is from the exact value, and its first derivatives: the largest error
over the points of the tables in `tests/accuracy/rows`, in units of the last place (the distance of neighbouring numbers
of the dtype at the exact value; a correctly rounded result is within 0.5). Exact values are mpmath's, with 50 digits, and
are kept in `tests/accuracy/references`; all arguments are numbers that float32 has, logarithmically spaced, and edges of
the domains. Where the exact value is below the normal numbers or beyond the largest one, results are right that are,
too; ∞ means a result that is infinite or NaN where the exact value is neither.

On normal numbers nothing is to be worse than {MOST_ULPS:g} units or, where SciPy is worse than that, {MOST_OF_SCIPY:g} times
SciPy's error (of derivatives, which SciPy mostly does not have, that of the value): `tests/accuracy/test_accuracy.py`
holds every row to that. Exceptions say why below their table. A row marked † is *conditioned*: near its zeros, or where
it changes fast, a function can do no better than be exact for arguments next to the given ones; there, what rounding
the arguments by half a unit changes is the unit of the bounds, where it is more than a unit of the last place. The
tables show plain units all the same; what is more than {MOST_ULPS:g} of them is given in the others below.
*By a* is the derivative by the first argument, *by b* by the second, and so on; SciPy has few derivatives. JAX is
compiled. `make accuracy` makes this page.

Measured with {versions}.

![The largest errors](accuracy.svg)
"""


WORSE = """## Worse than JAX

Where an error is more than 4 units, and more than a unit larger than JAX's. Mostly these are SciPy's values in eager
code; compiled ones differ where a formula that holds everywhere loses a little at some point.
"""


def measured(family: str, rows: Sequence[Row]) -> Iterator[tuple[Row, dict[Any, measure.Errors]]]:
    """Each row with its errors, by dtype and system."""
    compiled = {
        dtype: dict(zip([row.name for row in rows], measure.compiled(rows, family, dtype), strict=True))
        for dtype in DTYPES
    }
    for row in rows:
        found = {}
        for dtype in DTYPES:
            found[dtype, "eager"] = measure.eager(row, family, dtype)
            found[dtype, "compiled"] = compiled[dtype][row.name]
            found[dtype, "SciPy"] = measure.scipy(row, family, dtype)
            found[dtype, "JAX"] = measure.jax(row, family, dtype) if measure.has_jax() else {}
        yield row, found


def worst(found: dict[Any, measure.Errors], dtype: Any, system: str, quantity: str) -> float | None:
    each = found[dtype, system].get(quantity)
    return None if each is None or np.isnan(each).all() else float(np.nanmax(each))


def shown(error: float | None) -> str:
    """An error in the table.

    >>> shown(None), shown(0.51), shown(12345.0), shown(np.inf)
    ('', '0.5', '1.2e+04', '∞')
    """
    if error is None:
        return ""
    return "∞" if np.isinf(error) else f"{error:.1f}" if error < 1000 else f"{error:.1e}"


def label(row: Row, quantity: str) -> str:
    """The name of a quantity in the table.

    >>> row = Row("beta", None, None, [[1.0], [2.0]], derivatives=(0, 1))
    >>> [label(row, q) for q in row.quantities]
    ['beta', 'beta, by a', 'beta, by b']
    """
    mark = " †" if row.conditioned else ""
    return row.name + mark if quantity == "value" else f"{row.name}{mark}, by {'abcdefgh'[int(quantity[3:])]}"


def where(row: Row, found: dict[Any, measure.Errors], dtype: Any, quantity: str) -> str:
    """The point at which Pullback's largest error is."""
    each = max((found[dtype, s][quantity] for s in ("eager", "compiled")), key=lambda e: np.nanmax(e, initial=0.0))
    if np.isnan(each).all() or np.nanmax(each) <= 1:
        return ""
    return ", ".join(f"{x:.6g}" for x in row.points[int(np.nanargmax(each))])


def table_of(results: Sequence[tuple[Row, dict[Any, measure.Errors]]]) -> str:
    """The table of a family."""
    head = [f"{d} {s}" for d in DTYPES for s in (*SYSTEMS, "worst at")]
    lines = [f"| function | {' | '.join(head)} |", f"|---|{'---:|' * len(head)}"]
    for row, found in results:
        for quantity in row.quantities:
            cells = []
            for dtype in DTYPES:
                cells += [shown(worst(found, dtype, s, quantity)) for s in SYSTEMS]
                cells.append(where(row, found, dtype, quantity))
            lines.append(f"| {label(row, quantity)} | {' | '.join(cells)} |")
    notes = [f"- {row.name}: {row.reason}" for row, _ in results if row.reason]
    relative = [text for row, found in results if row.conditioned for text in conditioned(row, found)]
    if relative:
        notes.append(f"- †, in units of what rounding the arguments changes: {'; '.join(relative)}")
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def conditioned(row: Row, found: dict[Any, measure.Errors]) -> Iterator[str]:
    """The errors of a conditioned row that are more than MOST_ULPS units of the last place, in units of what rounding the
    arguments changes: in words."""
    for quantity in row.quantities:
        parts = []
        for dtype in DTYPES:
            each = [found[dtype, s] for s in ("eager", "compiled")]
            if any((measure.largest(e, quantity) or 0) > MOST_ULPS for e in each):
                errors = [measure.largest(e, f"{quantity} conditioned") for e in each]
                parts.append(f"{dtype} {', '.join(map(shown, errors))}")
        if parts:
            yield f"{label(row, quantity)}: {', '.join(parts)}"


def worse_than_jax(results: Sequence[tuple[Row, dict[Any, measure.Errors]]]) -> Iterator[str]:
    """Where an error is more than MOST_ULPS, and more than one unit of the last place larger than JAX's, in words."""
    for row, found in results:
        for quantity in row.quantities:
            for dtype in DTYPES:
                jax = worst(found, dtype, "JAX", quantity)
                for system in ("eager", "compiled"):
                    ours = worst(found, dtype, system, quantity)
                    if jax is not None and ours is not None and ours > MOST_ULPS and ours > jax + 1:
                        yield f"{label(row, quantity)}, {dtype} {system}: {shown(ours)}, JAX {shown(jax)}"


#: So many quantities are in the plot, those of the largest errors.
PLOTTED = 80


def _error_of(row: Row, found: dict[Any, measure.Errors], quantity: str) -> float:
    """The largest of Pullback's errors of a quantity."""
    return max(worst(found, dtype, s, quantity) or 0.0 for dtype in DTYPES for s in ("eager", "compiled"))


def plot(results: Sequence[tuple[Row, dict[Any, measure.Errors]]]) -> str:
    """The largest errors as an SVG: a line for each quantity of the worst, float32 on the left, float64 on the right."""
    lines = [(row, found, q) for row, found in results for q in row.quantities]
    lines = sorted(lines, key=lambda line: -_error_of(*line))[:PLOTTED]
    left, panel, step, top = 220, 300, 14, 50
    width, height = left + 2 * (panel + 40), top + step * len(lines) + 30
    least, decades = -1.0, 5.0

    def at(k: int, error: float) -> float:
        power = min(max(np.log10(max(error, 1e-9)), least), least + decades)
        return left + k * (panel + 40) + (power - least) / decades * panel

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for i, system in enumerate(SYSTEMS):
        parts.append(f'<circle cx="{left + 100 * i}" cy="12" r="3.5" fill="{COLORS[system]}"/>')
        parts.append(f'<text x="{left + 100 * i + 8}" y="16">{"Pullback, " if i < 2 else ""}{system}</text>')
    for k, dtype in enumerate(DTYPES):
        parts.append(f'<text x="{at(k, 1):.0f}" y="32">{dtype}: units of the last place</text>')
        for power in range(int(least), int(least + decades) + 1):
            x = at(k, 10.0**power)
            parts.append(f'<path d="M{x:.1f} {top - 4}V{height - 24}" stroke="#ddd"/>')
            name = f"{10.0**power:g}" + ("+" if power == least + decades else "")
            parts.append(f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle">{name}</text>')
        x = at(k, MOST_ULPS)
        parts.append(f'<path d="M{x:.1f} {top - 4}V{height - 24}" stroke="#c00" stroke-dasharray="3 3"/>')
    for i, (row, found, quantity) in enumerate(lines):
        y = top + step * i + 5
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{label(row, quantity)}</text>')
        for k, dtype in enumerate(DTYPES):
            for system in reversed(SYSTEMS):
                error = worst(found, dtype, system, quantity)
                if error is not None:
                    parts.append(
                        f'<circle cx="{at(k, error):.1f}" cy="{y}" r="3.5" fill="{COLORS[system]}" fill-opacity="0.8"/>'
                    )
    return "\n".join([*parts, "</svg>", ""])


def versions() -> str:
    import jaxlib
    import scipy

    names = [f"NumPy {np.__version__}", f"SciPy {scipy.__version__}", f"jaxlib {jaxlib.__version__}"]
    return ", ".join([*names, f"on {platform.machine()}"])


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    arguments.add_argument("family", nargs="*")
    options = arguments.parse_args()
    results = {}
    for family, rows in families().items():
        if not options.family or family in options.family:
            results[family] = list(measured(family, rows))
            print(section(family, results[family]), flush=True)
    if not options.family:
        write(results)


def section(family: str, results: Sequence[tuple[Row, dict[Any, measure.Errors]]]) -> str:
    return f"## {family.replace('_', ' ').capitalize()}\n\n{table_of(results)}\n"


def write(results: dict[str, list[tuple[Row, dict[Any, measure.Errors]]]]) -> None:
    """The page and its plot."""
    everything = [line for found in results.values() for line in found]
    introduction = INTRODUCTION.format(versions=versions(), MOST_ULPS=MOST_ULPS, MOST_OF_SCIPY=MOST_OF_SCIPY)
    worse = "\n".join(f"- {text}" for text in worse_than_jax(everything))
    sections = [section(family, found) for family, found in results.items()]
    (DOCS / "accuracy.md").write_text("\n".join([introduction, *sections, f"{WORSE}\n{worse}\n"]))
    (DOCS / "accuracy.svg").write_text(plot(everything))


if __name__ == "__main__":
    main()
