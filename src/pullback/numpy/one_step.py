"""Functions that only move elements, in one step where they can be: by NumPy's function of the same
name.

Most of them are several operations, of about a microsecond each: under a transformation, or for
large arrays, that is nothing, but in eager code with small ones it is most of the time. NumPy's
function is one operation. It stands in where it surely gives the same: for strongly typed arrays on
the host, with plain numbers for the other arguments. Whatever it refuses, the function itself gets,
and says what is wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, concrete
from pullback.core.trace import EVAL, current

F = TypeVar("F", bound=Callable[..., Any])

#: Up to so many elements NumPy is as quick as what the operations would use.
_FEW = 65536


def _are_plain(xs: Any) -> bool:
    return all([x.__class__ is int or x is None or (x.__class__ is tuple and _are_plain(x)) for x in xs])


def moves(theirs: Callable[..., Any]) -> Callable[[F], F]:
    """Have `theirs`, NumPy's, stand in for a function whose first argument is an array, whose
    others are numbers, and whose result has elements of that array, or zeros.

    Example: `@moves(np.roll)` above `def roll(a, shift, axis=None)`.
    """

    def decorate(ours: F) -> F:
        @functools.wraps(ours)
        def function(*args: Any, **kwargs: Any) -> Any:
            if (
                args
                and (x := args[0]).__class__ is ConcreteArray
                and not x.weak_type
                and (value := x._value).size <= _FEW
                and value.dtype.__class__ is not dtypes.STRUCTURED
                and current() is EVAL
                and _are_plain(args[1:])
                and (not kwargs or _are_plain(kwargs.values()))
            ):
                try:
                    moved = theirs(value, *args[1:], **kwargs)
                except (TypeError, ValueError, IndexError):
                    return ours(*args, **kwargs)  # which says what is wrong
                if moved.__class__ is list:
                    return [concrete(part, False) for part in moved]
                return concrete(moved, False)
            return ours(*args, **kwargs)

        return function  # type: ignore[return-value]

    return decorate


def joins(theirs: Callable[..., Any]) -> Callable[[F], F]:
    """Have `theirs`, NumPy's, stand in for a function that joins a list of arrays of one dtype
    along an axis.

    Example: `@joins(np.stack)` above `def stack(arrays, axis=0, out=None, dtype=None)`.
    """

    def decorate(ours: F) -> F:
        @functools.wraps(ours)
        def function(*args: Any, **kwargs: Any) -> Any:
            if (
                args
                and ((arrays := args[0]).__class__ is list or arrays.__class__ is tuple)
                and current() is EVAL
                and (values := _of_one_dtype(arrays)) is not None
                and all([x.__class__ is int for x in args[1:]])
                and (not kwargs or all([x.__class__ is int for x in kwargs.values()]))
            ):
                try:
                    return concrete(theirs(values, *args[1:], **kwargs), False)
                except (TypeError, ValueError, IndexError):
                    pass  # ours says what is wrong
            return ours(*args, **kwargs)

        return function  # type: ignore[return-value]

    return decorate


def _of_one_dtype(arrays: Any) -> list[np.ndarray[Any, Any]] | None:
    """The values of strongly typed arrays of one dtype on the host; None if they are not all that."""
    values = []
    for x in arrays:
        if x.__class__ is not ConcreteArray or x.weak_type:
            return None
        values.append(x._value)
    if not values:
        return None
    dtype = values[0].dtype
    if dtype.__class__ is dtypes.STRUCTURED or not all([v.dtype is dtype for v in values]):
        return None
    return values
