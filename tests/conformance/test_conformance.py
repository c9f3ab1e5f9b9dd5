"""Every primitive keeps the laws: generated from the table (`rows/`) and the checks (`checks.py`)."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import pullback
from pullback.core.primitive import BilinearPrimitive, LinearPrimitive, Primitive, registry
from pullback.transforms.call import CallPrimitive
from pullback.transforms.jvp import Forward
from pullback.transforms.vmap import Batch
from tests.conformance.suite import CHECKS, applies, run
from tests.conformance.table import Row, all_rows

ROWS = all_rows()


def known_failures() -> dict[tuple[str, str], str]:
    """The reason, by check and row."""
    found = {}
    for line in (Path(__file__).parent / "known_failures.txt").read_text().splitlines():
        entry, _, reason = line.partition("#")
        if entry.strip():
            check, row = entry.split(maxsplit=1)
            found[check, row.strip()] = reason.strip()
    return found


KNOWN_FAILURES = known_failures()


def cases() -> list[object]:
    """All pairs of a check and a row that it applies to."""
    found = []
    for check in CHECKS:
        for row in ROWS:
            if applies(check, row):
                reason = KNOWN_FAILURES.get((check, str(row)))
                marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
                found.append(pytest.param(check, row, id=f"{check}-{row}", marks=marks))
    return found


@pytest.mark.parametrize("check, row", cases())
def test_row(check: str, row: Row) -> None:
    run(check, row)


# ---- the table covers the registry ------------------------------------------------------------------------------


def all_primitives() -> list[Primitive]:
    """Every primitive of the package: importing all of it registers them."""
    for module in pkgutil.walk_packages(pullback.__path__, "pullback."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    return [p for p in registry.values() if type(p).__module__.startswith("pullback.")]


PRIMITIVES = all_primitives()


def defines(primitive: Primitive, rule: str) -> bool:
    """Whether the primitive has the rule from anywhere but the bases, which have none."""
    if rule in vars(primitive):
        return True
    owner = next(c for c in type(primitive).__mro__ if rule in vars(c))
    return owner not in (Primitive, LinearPrimitive, BilinearPrimitive)


@pytest.mark.parametrize("primitive", PRIMITIVES, ids=str)
def test_primitive_has_rows(primitive: Primitive) -> None:
    if primitive.name == "dim_as_value":  # has a value in exported functions only: tests/test_symbolic_export.py
        return
    rows = [r for r in ROWS if r.primitive == primitive.name]
    assert rows, (
        f"add rows for {primitive.name!r} to tests/conformance/rows/{type(primitive).__module__.rpartition('.')[2]}.py"
    )
    if primitive.no_derivative is None and not any(r.order for r in rows):
        assert any(r.note for r in rows), (
            f"{primitive.name!r} has a derivative, but no row checks it: add one of order 1 or 2, or say why in its `note`"
        )


@pytest.mark.parametrize("primitive", PRIMITIVES, ids=str)
def test_primitive_has_rules(primitive: Primitive) -> None:
    """A rule that is absent is absent for a reason that the primitive states."""
    if isinstance(primitive, CallPrimitive):
        assert type(primitive).apply is not CallPrimitive.apply, f"{primitive.name!r} lacks `apply`"
        lifted = type(primitive).lifted is not CallPrimitive.lifted
        assert lifted or all(how.rules.find(primitive) for how in (Forward, Batch)), (
            f"{primitive.name!r} lacks `lifted`"
        )
        return
    expanded = {"evaluate"} if primitive.expands else set()
    missing = [rule for rule in ("evaluate", "type_of", "batch") if not (defines(primitive, rule) or rule in expanded)]
    assert not missing, f"{primitive.name!r} lacks {missing}"
    if isinstance(primitive, (LinearPrimitive, BilinearPrimitive)):
        has_derivative = defines(primitive, "transpose")
    else:
        has_derivative = defines(primitive, "jvp") or defines(primitive, "linearize")
    if primitive.no_derivative is None:
        assert has_derivative, (
            f"{primitive.name!r} has neither a derivative nor a reason: write one, or set `no_derivative`"
        )
    else:
        assert primitive.no_derivative.strip(), f"{primitive.name!r}: `no_derivative` must say why"


def test_rows_are_named_once_and_name_primitives() -> None:
    names = [str(r) for r in ROWS]
    twice = sorted({n for n in names if names.count(n) > 1})
    assert not twice, f"rows of the same name: {twice}"
    unknown = sorted({r.primitive for r in ROWS} - {p.name for p in PRIMITIVES})
    assert not unknown, f"rows for primitives that do not exist: {unknown}"


def test_known_failures_name_cases_and_reasons() -> None:
    existing = {(check, str(row)) for check in CHECKS for row in ROWS if applies(check, row)}
    for entry, reason in KNOWN_FAILURES.items():
        assert entry in existing, f"known_failures.txt names {entry}, which is not a case"
        assert reason, f"known_failures.txt gives no reason for {entry}"
