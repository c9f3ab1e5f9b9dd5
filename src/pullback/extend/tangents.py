"""Tangents and cotangents as rules of other people see them: `Zero` where they are known to be
zero, `UndefinedPrimal` where an operand is one that a rule is linear in."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.linear import zeros
from pullback.core.types import ShapedArray, typeof


class Zero:
    """A tangent or cotangent known to be zero, of the type `aval`.

    >>> z = Zero(typeof(2.0))
    >>> z, z.instantiate()
    (Zero(float32[]), Array(0., dtype=float32, weak_type=True))
    """

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    def instantiate(self) -> Any:
        """The zero as an array; of `float0` for values that have no tangents.

        >>> Zero(typeof(np.ones(2, "float16"))).instantiate()
        Array([0., 0.], dtype=float16)
        """
        if self.aval.dtype == dtypes.float0:
            return np.zeros(self.aval.shape, dtypes.float0)
        return zeros(self.aval.shape, self.aval.dtype, self.aval.weak_type)

    def __repr__(self) -> str:
        return f"Zero({self.aval.str_short()})"


class UndefinedPrimal:
    """An operand that a rule is linear in, of which only the type is known: its cotangent is what is
    asked for.

    >>> from pullback.interpreters import ad
    >>> from pullback.lax import mul_p
    >>> ad.primitive_transposes[mul_p](1.0, UndefinedPrimal(typeof(2.0)), 3.0)  # of x in 3 x
    [Array(3., dtype=float32, weak_type=True), None]
    """

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    def __repr__(self) -> str:
        return f"UndefinedPrimal({self.aval.str_short()})"


def is_undefined_primal(x: object) -> bool:
    """Whether `x`, an operand of a transpose rule, is one whose cotangent is asked for.

    >>> is_undefined_primal(UndefinedPrimal(typeof(2.0))), is_undefined_primal(2.0)
    (True, False)
    """
    return type(x) is UndefinedPrimal


def is_zero(x: object) -> bool:
    """Whether a tangent or cotangent is known to be zero: a `Zero`, None, or (some rules return it)
    the class itself."""
    return x is None or x is Zero or isinstance(x, Zero)


def instantiate_zeros(tangent: Any) -> Any:
    """A tangent as an array, if it is a `Zero`; others as they are.

    >>> instantiate_zeros(Zero(typeof(1.0))), instantiate_zeros(3.0)
    (Array(0., dtype=float32, weak_type=True), 3.0)
    """
    return tangent.instantiate() if isinstance(tangent, Zero) else tangent


def zeros_like_aval(aval: ShapedArray) -> Any:
    """An array of zeros of a type.

    >>> zeros_like_aval(typeof(np.ones(2, "int32")))
    Array([0, 0], dtype=int32)
    """
    return zeros(aval.shape, aval.dtype, aval.weak_type)


def add_tangents(x: Any, y: Any) -> Any:
    """The sum of two tangents, either of which may be a `Zero`.

    >>> add_tangents(Zero(typeof(2.0)), 3.0), add_tangents(2.0, 3.0)
    (3.0, Array(5., dtype=float32, weak_type=True))
    """
    if is_zero(x):
        return y
    return x if is_zero(y) else add_jaxvals(x, y)


def add_jaxvals(x: Any, y: Any) -> Any:
    """The sum of two arrays of one type.

    >>> add_jaxvals(1.0, 2.0)
    Array(3., dtype=float32, weak_type=True)
    """
    from pullback.lax.family import add_p

    return add_p.bind(as_array(x), as_array(y))


# ---- from Pullback's tangents to these, and back -------------------------------------------------


def to_rule(tangent: Any, primal: Any) -> Any:
    """A tangent of `primal` (None is zero) as a rule takes it."""
    return Zero(typeof(primal).to_tangent_aval()) if tangent is None else tangent


def from_rule(tangent: Any, primal: Any, rule: str) -> Any:
    """What a rule says is a tangent of `primal`, or a cotangent of something of its type: None for
    zero. Raises TypeError if it is no array of the type of tangents of `primal`."""
    if is_zero(tangent) or getattr(tangent, "dtype", None) == dtypes.float0:
        return None
    try:
        tangent = as_array(tangent)
    except TypeError:
        raise TypeError(f"{rule} gives {tangent!r:.100}, which is no array, at {user_line()}") from None
    expected = typeof(primal).to_tangent_aval() if not isinstance(primal, ShapedArray) else primal
    if expected.dtype == dtypes.float0:
        raise TypeError(
            f"{rule} gives a tangent of type {tangent.aval.str_short()} for a value of type {typeof(primal).str_short()}, which has "
            f"none, at {user_line()}: give a Zero"
        )
    if tangent.shape != expected.shape or (tangent.dtype != expected.dtype and not tangent.weak_type):
        raise TypeError(
            f"{rule} gives a tangent of type {tangent.aval.str_short()}, where {expected.str_short()} was expected, at {user_line()}"
        )
    if tangent.dtype != expected.dtype:
        from pullback.lax.shape import convert

        return convert(tangent, expected.dtype)
    return tangent


__all__ = [
    "UndefinedPrimal",
    "Zero",
    "add_jaxvals",
    "add_tangents",
    "instantiate_zeros",
    "is_undefined_primal",
    "is_zero",
    "zeros_like_aval",
]
