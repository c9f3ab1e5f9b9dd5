"""mpmath's values, which are kept in `references/<family>.json`.

`python -m tests.accuracy.references [FAMILY...]` computes those that are missing, or whose points have changed; with
`--all`, all of them. A value is written as a float64 in hexadecimal digits and the hundredths of a unit of its last
place that are to be added; null where there is none.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.accuracy.table import Row, families

FOLDER = Path(__file__).parent / "references"
DIGITS = 50


def written(value: Any) -> str | None:
    """A number of mpmath as it is written.

    >>> import mpmath
    >>> with mpmath.workdps(50):
    ...     written(mpmath.pi), written(mpmath.inf), written(mpmath.nan)
    ('0x1.921fb54442d18p+1 28', 'inf 0', None)
    """
    import mpmath

    value = mpmath.mpmathify(value)
    if isinstance(value, mpmath.mpc):
        # A real function that mpmath computes with complex numbers, or one that is not real there.
        if abs(value.imag) > abs(value.real) * mpmath.mpf(10) ** -25:
            return None
        value = value.real
    high = float(value)
    if math.isnan(high):
        return None
    if high == 0 or math.isinf(high):
        below = value != 0 and high == 0  # of float64's range: the smallest number is as good
        return f"{(math.copysign(5e-324, value) if below else high).hex()} 0"
    return f"{high.hex()} {round(float((value - high) / math.ulp(high) * 100))}"


def read(texts: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """What has been written, as two arrays whose sum it is.

    >>> [float(x[0]) for x in read(["0x1.8p+1 25"])]
    [3.0, 1.1102230246251565e-16]
    """
    parts = [("nan", "0") if text is None else text.split() for text in texts]
    high = np.array([float.fromhex(h) for h, _ in parts])
    return high, np.array([math.ulp(h) * float(p) / 100 if math.isfinite(h) else 0.0 for h, (_, p) in zip(high, parts)])


def computed(row: Row) -> dict[str, list[str | None]]:
    """The references of a row, by quantity."""
    import mpmath

    def value_at(function: Callable[..., Any], point: Sequence[float]) -> str | None:
        try:
            with mpmath.workdps(DIGITS):
                return written(function(*map(mpmath.mpf, point)))
        except (ValueError, ZeroDivisionError):
            return None

    functions = [row.reference]
    given = tuple(row.reference_derivatives) or (None,) * len(row.derivatives)
    for i, function in zip(row.derivatives, given, strict=True):
        order = tuple(int(i == j) for j in range(len(row.grids)))
        # Steps relative to the argument, if there is something to be relative to.
        difference = lambda *p, i=i, order=order: mpmath.diff(row.reference, p, order, relative=bool(p[i]))
        functions.append(function or difference)
    return {name: [value_at(f, p) for p in row.points] for name, f in zip(row.quantities, functions)}


def points_of(row: Row) -> list[str]:
    return [" ".join(x.hex() for x in p) for p in row.points]


@cache
def stored(family: str) -> dict[str, dict[str, list[str | None]]]:
    """The references of a family: by row, points and values."""
    path = FOLDER / f"{family}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def is_current(row: Row, table: dict[str, list[str | None]] | None) -> bool:
    return table is not None and table["points"] == points_of(row) and list(table)[1:] == row.quantities


def update(family: str, rows: Sequence[Row], everything: bool = False) -> None:
    """Compute what is missing of a family's references, and write them."""
    tables = {}
    for row in rows:
        table = stored(family).get(row.name)
        if everything or not is_current(row, table):
            table = {"points": points_of(row), **computed(row)}
            none = {name: texts.count(None) for name, texts in table.items() if None in texts}
            print(f"{family}: {row.name}, {len(row.points)} points; without a value: {none}", flush=True)
        tables[row.name] = table
    lines = [
        f"{json.dumps(name)}: {{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items()) + "}"
        for name, table in tables.items()
    ]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{family}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.accuracy.references", description=__doc__)
    arguments.add_argument("family", nargs="*")
    arguments.add_argument("--all", action="store_true", help="also what is there already")
    options = arguments.parse_args()
    for family, rows in families().items():
        if not options.family or family in options.family:
            update(family, rows, options.all)


if __name__ == "__main__":
    main()
