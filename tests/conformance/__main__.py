"""Runs single checks: `python -m tests.conformance CHECK ROW`; without a row, all rows of the check."""

from __future__ import annotations

import sys

from tests.conformance.checks import CHECKS, applies, run
from tests.conformance.table import all_rows


def main(check: str, label: str | None = None) -> int:
    """Run the check on the rows whose name starts with `label`; the number of failures."""
    failures = 0
    for row in all_rows():
        if not applies(check, row) or (label is not None and not str(row).startswith(label)):
            continue
        print(f"{check} {row}: {row.args!r}" if label else f"{check} {row}")
        if label is not None:
            run(check, row)
            continue
        try:
            run(check, row)
        except Exception as error:
            failures += 1
            print(f"    {type(error).__name__}: {error}")
    return failures


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1] not in CHECKS:
        sys.exit(f"usage: python -m tests.conformance {{{'|'.join(CHECKS)}}} [ROW]")
    sys.exit(main(*sys.argv[1:]) > 0)
