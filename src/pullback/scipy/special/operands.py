"""Operands of special functions: floats of one dtype, of shapes that broadcast."""

from __future__ import annotations

from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.trace import current
from pullback.numpy.promotion import broadcast_checked, here, promote_inexact


def operand(name: str, x: Any, kinds: str = "f", weak: bool = False, error: type[Exception] = ValueError) -> Array:
    """`x` as what the primitive of a public function takes. TypeError unless it is an array or a
    number; `error` for complex numbers where `kinds` has none.

    >>> operand("dawsn", 1)
    Array(1., dtype=float32)
    """
    if not (x.__class__ is ConcreteArray and x._value.dtype.kind == "f"):
        (x,) = promote_inexact(name, x, weak=weak)
        if dtypes.kind(x.dtype) not in kinds:
            raise here(error, f"{name} takes no complex numbers, got {x.aval}", "; take the real part first")
    elif x.weak_type and not weak:
        x = concrete(x._value)
    return x  # type: ignore[no-any-return]


def operands(name: str, *args: Any, kinds: str = "f") -> list[Array]:
    """As `operand`, of several operands: of one dtype, with shapes that broadcast."""
    arrays = broadcast_checked(name, *args, inexact=True, weak=False)
    if dtypes.kind(arrays[0].dtype) not in kinds:
        raise here(ValueError, f"{name} takes no complex numbers, got {', '.join(str(a.aval) for a in arrays)}")
    return arrays


def apply(primitive: Any, *args: Array, **params: Any) -> Any:
    """The primitive of Arrays, under the current trace."""
    return current().process(primitive, args, params)
