"""Which checks there are, which rows each applies to, and how one is run."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from pullback.control.base import ControlPrimitive
from pullback.core.config import enable_x64
from pullback.core.primitive import Primitive, registry
from pullback.core.trace import EVAL, current
from pullback.lax.mover import Mover
from pullback.transforms.call import CallPrimitive
from tests.conformance import checks
from tests.conformance.checks import FULL
from tests.conformance.elsewhere import check_elsewhere
from tests.conformance.sparsity import check_sparsity
from tests.conformance.symbolic import check_symbolic
from tests.conformance.table import Row

#: Check by name: the function, the order of derivatives it needs, and whether it needs `Row.vmap`.
CHECKS: dict[str, tuple[Callable[[Row], None], int, bool]] = {
    "types": (checks.check_types, 0, False),
    "staged": (checks.check_staged, 0, False),
    "spelled": (checks.check_spelled, 0, False),
    "compiled": (checks.check_compiled, 0, False),
    "constants": (checks.check_constants, 0, False),
    "elsewhere": (check_elsewhere, 0, False),
    "symbolic": (check_symbolic, 0, True),
    "operands": (checks.check_operands, 0, False),
    "purity": (checks.check_purity, 0, False),
    "jvp": (checks.check_jvp, 1, False),
    "vjp": (checks.check_vjp, 1, False),
    "second_order": (checks.check_second_order, 2, False),
    "linear_transpose": (checks.check_linear_transpose, 1, False),
    "vmap": (checks.check_vmap, 0, True),
    "small_batches": (checks.check_small_batches, 0, True),
    "moves": (checks.check_moves, 0, False),
    "sparsity": (check_sparsity, 1, False),
    "vmap_of_grad": (checks.check_vmap_of_grad, 1, True),
}


def _is_composed(primitive: Primitive) -> bool:
    """Whether it compiles into operations that have rows of their own, and takes long to."""
    return isinstance(primitive, (CallPrimitive, ControlPrimitive)) or primitive.name.startswith(("random_", "rng_"))


def applies(check: str, row: Row) -> bool:
    """Whether the row is to pass the check. What takes long to compile has a sample, if not FULL."""
    _, order, needs_vmap = CHECKS[check]
    if check == "moves" and not isinstance(registry[row.primitive], Mover):
        return False
    if not FULL and check in ("constants", "elsewhere", "symbolic") and _is_composed(registry[row.primitive]):
        return False
    if not FULL and check in ("elsewhere", "symbolic") and zlib.crc32(str(row).encode()) % 16:
        return False
    return (
        row.order >= order and (row.vmap or not needs_vmap) and (row.compiled or check not in ("compiled", "constants"))
    )


def run(check: str, row: Row) -> None:
    """Check a row in 64-bit mode. A failure carries the line that reproduces it."""
    assert current() is EVAL, f"a trace was left installed before this check: {current()!r}"
    try:
        with enable_x64(True):
            CHECKS[check][0](row)
    except BaseException as error:
        error.add_note(f"To reproduce: python -m tests.conformance {check} {str(row)!r}")
        raise
    assert current() is EVAL, f"the check left a trace installed: {current()!r}"
