"""Large arrays evaluated by XLA, which uses all cores, where that is quicker than NumPy.

Which operations, and from which size on (`Primitive.xla_from`), is measured by `benchmarks/large.py`: XLA takes about half of NumPy's
time or less there on two cores, and the time that compiling takes is soon won back. The choice depends on type and size alone, so equal calls give
equal bits. XLA flushes subnormal numbers to zero, as it does under `jit`. The option `xla_for_large_arrays` switches all this off.

Never: arithmetic and comparisons, float32 transcendental functions, logarithms, powers, sorting, cumulative sums and products of
matrices, because NumPy is as quick or quicker; sums and float64 `erf_inv`, because NumPy's and SciPy's are more accurate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pullback.core.config import config
from pullback.core.primitive import Primitive

xla_for_large_arrays = config.define(
    "xla_for_large_arrays", True, "Evaluate operations on large arrays by XLA where that is quicker than NumPy."
)


def is_for_xla(primitive: Primitive, size: int, dtype: Any) -> bool:
    """Whether XLA evaluates results of so many elements, as `xla_from` says."""
    least = primitive.xla_from.get(dtype.itemsize, math.inf)
    return size >= least and dtype.kind == "f" and xla_for_large_arrays.value


def evaluate_by_xla(primitive: Primitive, values: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """What `primitive.evaluate(*values, **params)` is, computed by XLA."""
    from pullback.xla.dispatch import evaluate

    return evaluate(primitive, values, params)


def or_by_xla(primitive: Primitive, evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """`evaluate`, a function of one operand, which leaves large ones to XLA."""
    least = min(primitive.xla_from.values())

    def chosen(x: Any, **params: Any) -> Any:
        if x.size < least or not is_for_xla(primitive, x.size, x.dtype):
            return evaluate(x, **params)
        return evaluate_by_xla(primitive, (x,), params)

    return chosen


__all__ = ["evaluate_by_xla", "is_for_xla", "or_by_xla", "xla_for_large_arrays"]
