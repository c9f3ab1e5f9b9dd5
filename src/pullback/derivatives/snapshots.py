"""Functions as they are now, for rules that call them again later.

A derivative rule of a function that is being staged runs when the program is differentiated, and calls the function
again. By then the variables that it closes over may be others: a loop has gone on.
"""

from __future__ import annotations

from types import CellType, FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pullback.core.names import Function


def snapshot(fun: Function) -> Function:
    """A Python function with the variables that it closes over as they are now; anything else as it is.

    >>> functions = [snapshot(f) for k in (1, 2) for f in [lambda x: k * x]]
    >>> [f(10) for f in functions]
    [10, 20]
    """
    if not isinstance(fun, FunctionType) or not fun.__closure__:
        return fun
    try:
        cells = tuple([CellType(c.cell_contents) for c in fun.__closure__])
    except ValueError:  # a variable that has no value yet
        return fun
    copy = FunctionType(fun.__code__, fun.__globals__, fun.__name__, fun.__defaults__, cells)
    copy.__kwdefaults__, copy.__dict__, copy.__doc__ = fun.__kwdefaults__, dict(fun.__dict__), fun.__doc__
    copy.__qualname__, copy.__module__ = fun.__qualname__, fun.__module__
    return copy


__all__ = ["snapshot"]
