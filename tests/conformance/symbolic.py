"""Exported for a symbolic number of elements, every mapped row gives at each number what it gives for each element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pullback.core.array import concrete
from pullback.core.symbolic_shapes import symbolic_shape
from pullback.core.types import ShapeDtypeStruct
from pullback.export import export
from pullback.transforms.jit import jit
from pullback.transforms.vmap import vmap
from tests.conformance.checks import arrays, close, epsilon, outputs, rounding, same_type
from tests.conformance.table import Row


def check_symbolic(row: Row) -> None:
    """`vmap` of the row over all arguments, exported for a batch of symbolic size, at two sizes.

    What cannot be exported for given sizes either (calls of Python, and of functions whose meaning
    may change) says so.
    """
    args = arrays(row)
    if not args:
        return
    expected = outputs(row, *args)
    (batch,) = symbolic_shape("batch")
    function = jit(vmap(lambda *xs: outputs(row, *xs)))
    types = [ShapeDtypeStruct((batch, *x.shape), x.dtype, weak_type=x.weak_type) for x in args]
    try:
        exported = export(function)(*types)
    except (NotImplementedError, ValueError) as error:
        with pytest.raises(type(error)):  # it cannot be exported at all
            export(function)(*[concrete(x._value[None]) for x in args])
        return
    tol = max(10 * rounding(epsilon(*args, *expected)), row.compiled_tol)
    for size in (3, 1):
        found: list[Any] = exported.call(*[concrete(np.repeat(x._value[None], size, 0), x.weak_type) for x in args])
        for i, (got, e) in enumerate(zip(found, expected, strict=True)):
            repeated = concrete(np.repeat(np.asarray(e._value)[None], size, 0), e.weak_type)
            same_type(got, repeated, f"result {i} of a batch of {size}")
            if row.compiled:
                close(got, repeated, tol, f"result {i} of a batch of {size}")
