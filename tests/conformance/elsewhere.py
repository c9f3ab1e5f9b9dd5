"""On a second device every row gives what it gives on the first, and what it gives stays there.

Operations on arrays of other devices are compiled one by one, in derivatives too: so this checks
all rules by the compiler, and each place at which the package makes arrays of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.array import concrete
from pullback.core.tree import tree_leaves
from pullback.transfers import device_put, devices
from pullback.transforms.derivatives import grad
from pullback.transforms.jvp import jvp
from pullback.transforms.linearize import vjp
from pullback.transforms.vmap import vmap
from tests.conformance.checks import (
    arrays,
    batch_of,
    close,
    differentiable,
    epsilon,
    generator,
    inexact,
    outputs,
    plain_sum,
    random_like,
    rounding,
    same_type,
)
from tests.conformance.table import Row


def placed(values: Sequence[Any]) -> list[Any]:
    """The arrays on the second device."""
    return [device_put(x, devices("cpu")[1]) for x in values]


def check_elsewhere(row: Row) -> None:
    """Arguments on a second device give the same values and types as on the first, on that device and committed to it.

    So do JVP and VJP, the gradient of the sum, and `vmap` over all arguments. What depends on no
    argument is free (`axis_index`, rows without arguments), and `device_put` goes where it says.
    """
    args = arrays(row)
    if not args or row.primitive in ("axis_index", "device_put"):
        return
    there = devices("cpu")[1]
    args_there = placed(args)
    expected = outputs(row, *args)
    tol = max(10 * rounding(epsilon(*args, *expected)), row.compiled_tol)

    def same(found: Any, expected: Any, tol: float, what: str) -> None:
        for i, (x, e) in enumerate(zip(tree_leaves(found), tree_leaves(expected), strict=True)):
            assert x.device is there, f"result {i} of {what} is on {x.device}, the arguments are on {there}"
            assert x.committed, f"result {i} of {what} is not committed to {there}, as the arguments are"
            same_type(x, e, f"result {i} of {what}")
            if row.compiled:
                close(x, e, tol, f"result {i} of {what}")

    same(outputs(row, *args_there), expected, tol, "the function on a device")
    active, which = inexact(args), inexact(expected)
    if row.order and active and which:
        rng = generator(row, "elsewhere")
        function, function_there = differentiable(row, active, which), differentiable(row, active, which, args_there)
        primals = [args[i] for i in active]
        tangents = [random_like(x, rng) for x in primals]
        cts = [random_like(expected[i], rng) for i in which]
        primals_there, tangents_there, cts_there = placed(primals), placed(tangents), placed(cts)
        positions = tuple(range(len(active)))
        same(
            jvp(function_there, tuple(primals_there), tuple(tangents_there)),
            jvp(function, tuple(primals), tuple(tangents)),
            10 * tol,
            "jvp on a device",
        )
        same(
            vjp(function_there, *primals_there)[1](tuple(cts_there)),
            vjp(function, *primals)[1](tuple(cts)),
            10 * tol,
            "vjp on a device",
        )
        same(
            grad(lambda *xs: plain_sum(function_there(*xs)), positions)(*primals_there),
            grad(lambda *xs: plain_sum(function(*xs)), positions)(*primals),
            10 * tol,
            "grad on a device",
        )
    if row.vmap:
        batches = [concrete(np.stack(batch_of(a._value))) for a in args]
        mapped = vmap(lambda *xs: outputs(row, *xs))
        same(mapped(*placed(batches)), mapped(*batches), tol, "vmap on a device")
