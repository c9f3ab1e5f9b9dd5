"""Large arrays evaluated by XLA, which uses all cores, where that is quicker than NumPy.

Which operations, and from which size on, is measured by `benchmarks/large.py`; from these sizes on XLA takes about half of NumPy's time
or less on two cores, and the time that compiling takes is soon won back. The choice depends on type and size alone, so equal calls give
equal bits. XLA flushes subnormal numbers to zero, as it does under `jit`. The option `xla_for_large_arrays` switches all this off.

Not in the table: arithmetic and comparisons, float32 transcendental functions, logarithms, powers, sorting, cumulative sums and products of
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

#: Least number of elements, for float32 and for float64.
_SIZES: dict[str, tuple[float, float]] = {
    "select_n": (1 << 16, 1 << 16),
    "random_uniform": (1 << 16, 1 << 16),
    "random_normal": (1 << 17, 1 << 17),
    "erf": (1 << 16, 1 << 18),
    "erfc": (1 << 16, 1 << 16),
    "erf_inv": (1 << 19, math.inf),
    "logistic": (1 << 19, 1 << 20),
    "tanh": (math.inf, 1 << 18),
    "sin": (math.inf, 1 << 18),
    "cos": (math.inf, 1 << 18),
    "sqrt": (math.inf, 1 << 18),
    "exp": (math.inf, 1 << 21),
}


def hand_over(primitive: Primitive) -> None:
    """Make `primitive.evaluate` leave large arrays to XLA, if the table has it."""
    sizes = _SIZES.get(primitive.name)
    if sizes is None:
        return
    evaluate, least, by_itemsize = primitive.evaluate, min(sizes), dict(zip((4, 8), sizes))

    def is_for_xla(size: int, dtype: Any) -> bool:
        return dtype.kind == "f" and size >= by_itemsize.get(dtype.itemsize, math.inf) and xla_for_large_arrays.value

    chosen: Callable[..., Any]
    if primitive.name.startswith("random"):

        def chosen(keys: Any, **params: Any) -> Any:
            size = math.prod(params["shape"]) * keys.size
            by_xla = size >= least and is_for_xla(size, params["dtype"])
            return _evaluate_by_xla(primitive, (keys,), params) if by_xla else evaluate(keys, **params)

    elif primitive.name == "select_n":

        def chosen(which: Any, *cases: Any) -> Any:
            x = cases[0]
            by_xla = x.size >= least and is_for_xla(x.size, x.dtype)
            return _evaluate_by_xla(primitive, (which, *cases), {}) if by_xla else evaluate(which, *cases)

    else:

        def chosen(x: Any, **params: Any) -> Any:
            if x.size < least or not is_for_xla(x.size, x.dtype):
                return evaluate(x, **params)
            return _evaluate_by_xla(primitive, (x,), params)

    primitive.evaluate = chosen  # type: ignore[method-assign]


def _evaluate_by_xla(primitive: Primitive, values: tuple[Any, ...], params: dict[str, Any]) -> Any:
    from pullback.xla.dispatch import evaluate

    return evaluate(primitive, values, params)


__all__ = ["hand_over", "xla_for_large_arrays"]
