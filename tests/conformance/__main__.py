"""Runs single checks: `python -m tests.conformance CHECK ROW`; without a row, all rows of the check.

`python -m tests.conformance CHECK --apart` runs each row in a process of its own, for checks that may end or hang it.
"""

from __future__ import annotations

import os
import subprocess
import sys

os.environ.setdefault("PULLBACK_NUM_CPU_DEVICES", "2")  # before the package is imported: for the check `elsewhere`

from tests.conformance.suite import CHECKS, applies, run
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


def apart(check: str) -> int:
    """Run the check on each row in a process of its own; the number of failures."""
    failures = 0
    for row in all_rows():
        if applies(check, row):
            command = [sys.executable, "-m", "tests.conformance", check, str(row)]
            try:
                result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
                code, last = result.returncode, (result.stderr.strip().splitlines() or [""])[-1]
            except subprocess.TimeoutExpired:
                code, last = -1, "it does not end"
            if code:
                failures += 1
                print(f"{check} {row}: {code} {last}", flush=True)
    return failures


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1] not in CHECKS:
        sys.exit(f"usage: python -m tests.conformance {{{'|'.join(CHECKS)}}} [ROW | --apart]")
    sys.exit((apart(sys.argv[1]) if sys.argv[2:] == ["--apart"] else main(*sys.argv[1:])) > 0)
