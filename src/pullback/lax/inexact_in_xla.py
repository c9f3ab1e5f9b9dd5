"""Lowerings of elementary functions of real numbers that XLA's own operations give with errors of ten
and more units of the last place.

They are formulas of `Value`s (see `lax.incomplete`, which is imported when something is compiled with
them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.core import dtypes


def lower_log1p(emit: Any, x: Any) -> Any:
    """log(1 + x). XLA's is off by 76 units in float64, about x = -0.4."""
    if x.dtype != dtypes.float64:
        return emit("log_plus_one", x)
    from pullback.lax.incomplete import Compiled, Value, _log1p

    return _log1p(Compiled(emit), Value(emit, x)).value


def lower_atanh(otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """½ log(1 + 2|x|/(1 - |x|)), with the sign of x, that of zeros, too, in float64; in other types
    `otherwise`. XLA's has the error of its log(1 + x)."""

    def lower(emit: Any, x: Any) -> Any:
        if x.dtype != dtypes.float64:
            return otherwise(emit, x)
        from pullback.lax.incomplete import Compiled, Value, _log1p

        xp, x = Compiled(emit), Value(emit, x)
        size = xp.abs(x)
        return (_log1p(xp, size * 2 / (1 - size)) * (x.apply("sign") * 0.5)).value

    return lower


def _exponentials(emit: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """What formulas use, |x|, and ½e^|x| and ½e^-|x|.

    XLA's hyperbolic functions take exponentials of x ± log 2, and are off by a third as many units as
    x is large. Here they are products, of which no factor overflows unless the product does.
    """
    from pullback.lax.incomplete import Compiled, Value

    xp = Compiled(emit)
    size = xp.abs(Value(emit, x))
    root = xp.exp(size * 0.5)
    return xp, size, root * 0.5 * root, 0.5 / root / root


def _is_regular(x: Any) -> bool:
    return x.dtype == dtypes.float32 or x.dtype == dtypes.float64


def lower_cosh(emit: Any, x: Any) -> Any:
    if not _is_regular(x):
        return emit("chlo.cosh", x)
    _, _, growing, falling = _exponentials(emit, x)
    return (growing + falling).value


def lower_sinh(emit: Any, x: Any) -> Any:
    if not _is_regular(x):
        return emit("chlo.sinh", x)
    from pullback.lax.incomplete import Value

    xp, size, growing, falling = _exponentials(emit, x)
    more = xp.expm1(size)
    near = (more + more / (more + 1)) * 0.5
    return (xp.where(size < 1, near, growing - falling) * Value(emit, x).apply("sign")).value


__all__ = ["lower_atanh", "lower_cosh", "lower_log1p", "lower_sinh"]
