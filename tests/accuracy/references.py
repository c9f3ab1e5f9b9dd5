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


def slope_of(function: Callable[..., Any], i: int) -> Callable[..., Any]:
    """The derivative of a function of mpmath's numbers by its argument `i`, by a central difference: of a step that is
    small beside anything, with digits enough to lose half of them."""
    import mpmath

    def slope(*p: Any) -> Any:
        with mpmath.workdps(3 * DIGITS):
            step = (abs(p[i]) or mpmath.mpf(1)) * mpmath.mpf(2) ** -160
            above, below = (function(*p[:i], p[i] + s, *p[i + 1 :]) for s in (step, -step))
            return (above - below) / (2 * step)

    return slope


def functions_of(row: Row) -> dict[str, Callable[..., Any]]:
    """The references of a row as functions of mpmath's numbers, by quantity."""
    given = tuple(row.reference_derivatives) or (None,) * len(row.derivatives)
    slopes = [f or slope_of(row.reference, i) for i, f in zip(row.derivatives, given, strict=True)]
    return dict(zip(row.quantities, [row.reference, *slopes]))


def value_at(function: Callable[..., Any], point: Sequence[float]) -> str | None:
    """What is written of the function at the point, None where it has no value."""
    import mpmath

    try:
        with mpmath.workdps(DIGITS):
            return written(function(*map(mpmath.mpf, point)))
    except (ValueError, ZeroDivisionError):
        return None


def condition_at(function: Callable[..., Any], point: Sequence[float]) -> float:
    """How fast the function changes with relative changes of its arguments, all of them together: Σ |xᵢ ∂ᵢf|, by
    differences, in two digits.

    >>> condition_at(lambda x, y: x * x - y, (3.0, 9.0))
    27.0
    """
    import mpmath

    step, total = mpmath.mpf(2) ** -50, 0.0
    with mpmath.workdps(DIGITS):
        arguments = list(map(mpmath.mpf, point))
        for i, x in enumerate(arguments):
            if not x:
                continue
            try:
                here = function(*arguments)
                # Inwards, where an argument is at the end of a domain.
                moved = function(*arguments[:i], x * (1 - step), *arguments[i + 1 :])
                total += float(abs((moved - here) / step))
            except (ValueError, ZeroDivisionError, TypeError):
                continue
    return float(f"{total:.2g}")


def table_of(row: Row, old: dict[str, list[Any]] | None = None) -> dict[str, list[Any]]:
    """The references of a row, by quantity: those of `old` that are of the same points, the others computed."""
    table: dict[str, list[Any]] = {"points": points_of(row)}
    kept = old if old is not None and old["points"] == table["points"] else {}
    for name, function in functions_of(row).items():
        table[name] = kept[name] if name in kept else [value_at(function, p) for p in row.points]
        if row.conditioned:
            key = f"{name} condition"
            table[key] = kept[key] if key in kept else [condition_at(function, p) for p in row.points]
    return table


def points_of(row: Row) -> list[str]:
    return [" ".join(x.hex() for x in p) for p in row.points]


@cache
def stored(family: str) -> dict[str, dict[str, list[str | None]]]:
    """The references of a family: by row, points and values."""
    path = FOLDER / f"{family}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def is_current(row: Row, table: dict[str, list[str | None]] | None) -> bool:
    if table is None or table["points"] != points_of(row):
        return False
    conditions = [f"{name} condition" for name in row.quantities] if row.conditioned else []
    return set(table) == {"points", *row.quantities, *conditions}


def update(family: str, rows: Sequence[Row], everything: bool = False) -> None:
    """Compute what is missing of a family's references, and write them."""
    tables = {}
    for row in rows:
        table = stored(family).get(row.name)
        if everything or not is_current(row, table):
            table = table_of(row, None if everything else table)
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
