"""What users hand to compiled programs, as Arrays that have buffers already.

Small NumPy arrays, and small results of eager operations that come for the first time, are written
into memory that XLA knows already, which is lent out for one call of a compiled program: making a
buffer takes longer than a small program. Who calls gives back what was lent (`give_back`), if the
program holds on to nothing (`Runner.lets_go`). Python scalars that come again are found again.

Nothing here starts XLA: until it runs, there is nothing to lend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, as_array, concrete
from pullback.core.config import enable_x64
from pullback.core.types import intern
from pullback.xla import forks
from pullback.xla.placement import ON_HOST

_scalars: dict[tuple[Any, ...], ConcreteArray] = {}
#: Scalars that are what they equal, except NaN and zero: complex ones are not, whose parts may be
#: zeros of either sign.
_FOUND_AGAIN = frozenset((bool, int, float))
#: NumPy's types that XLA shares, and what they are where 64-bit types are not enabled.
_NARROW = {d: dtypes.narrow(d) for d in map(np.dtype, "?bhilBHILefdFD")}
#: Bytes up to which an array is copied into lent memory.
_LENT = 1 << 14


class Lent(ConcreteArray):
    """An Array whose memory is written again when its borrower has given it back.

    >>> lent = from_user(np.ones(3, np.float32))    # one of these, as soon as XLA runs
    >>> give_back([lent], [])                       # of a call without results nobody knows whether it is over
    """

    __slots__ = ("memory", "shelf")
    memory: np.ndarray[Any, Any]
    #: Where it lies when nobody has it.
    shelf: list[Lent]


#: By shape and dtype; what users hand over in a wider type than arrays have, by its own type and
#: whether it stays.
_shelves: dict[Any, list[Lent]] = {}
#: The same ones by the number of an array's type; None for types of which nothing is lent.
_by_number: dict[int, list[Lent] | None] = {}


def from_user(x: Any) -> ConcreteArray:
    """A user's NumPy array or Python scalar as an Array. Raises TypeError for types that arrays do
    not have.

    NumPy arrays are copied, once, by XLA's side: what the user writes into them later changes
    nothing here.
    """
    if x.__class__ is np.ndarray:
        shelf = _shelves.get((x.shape, x.dtype))
        return _lent_copy(x, shelf) if shelf else _from_numpy(x)
    if x.__class__ not in _FOUND_AGAIN or x != x or x == 0:  # NaNs equal nothing, and zeros have signs
        return as_array(x)  # type: ignore[return-value]
    key = (x.__class__, x, enable_x64.value)
    found = _scalars.get(key)
    return _remember(key, as_array(x)) if found is None else found


def kept_scalar(x: ConcreteArray) -> ConcreteArray:
    """`x`, a weakly typed scalar, or an Array like it that has a buffer already: for calls, and not
    to be handed out."""
    if x._buffer is not None:
        return x
    value = x._value.item()
    if value.__class__ not in _FOUND_AGAIN or value != value or (value == 0 and value.__class__ is float):
        return x
    key = (x._value.dtype, value)
    found = _scalars.get(key)
    return _remember(key, concrete(x._value, True)) if found is None else found


def _remember(key: tuple[Any, ...], x: Any) -> ConcreteArray:
    if len(_scalars) > 4096:
        _scalars.clear()
    _scalars[key] = x
    return x  # type: ignore[no-any-return]


def _from_numpy(x: np.ndarray[Any, Any]) -> ConcreteArray:
    dtype = _NARROW.get(x.dtype)
    if dtype is None or not forks.running:  # no type that XLA shares, or no XLA
        return as_array(x)  # type: ignore[return-value]
    key: Any = (x.shape, dtype)
    if dtype is not x.dtype:  # which type it becomes is asked for each time
        x64 = enable_x64.value
        key, dtype = (x.shape, x.dtype, x64), x.dtype if x64 else dtype
    if x.nbytes > _LENT:
        if dtype is not x.dtype:
            return as_array(x)  # type: ignore[return-value]
        from pullback.xla import pjrt

        return ConcreteArray.of_buffer(pjrt.put_copy(x, ON_HOST.target), intern(x.shape, dtype, False))
    return _lent_copy(x, _shelf(key), dtype)


def _shelf(key: Any) -> list[Lent]:
    if len(_shelves) > 256:
        _clear()
    return _shelves.setdefault(key, [])


def _lent_copy(x: Any, shelf: list[Lent], dtype: Any = None) -> Lent:
    """Lent memory with the contents of `x`, a NumPy array or scalar."""
    try:
        lent = shelf.pop()
    except IndexError:
        lent = _new(x.shape, dtype or x.dtype, shelf)
    lent.memory[...] = x
    return lent


def _new(shape: Any, dtype: Any, shelf: list[Lent]) -> Lent:
    from pullback.xla import pjrt

    raw = np.empty(math.prod(shape) * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64  # XLA shares memory that begins at a cache line
    memory = raw[start : raw.size - 64 + start].view(dtype).reshape(shape)
    lent = Lent.of_buffer(pjrt.put(memory, ON_HOST.target), intern(shape, dtype, False))
    lent.memory, lent.shelf = memory, shelf
    return lent


_buffer_slot = ConcreteArray.__dict__["_buffer"]


def borrowed(x: ConcreteArray) -> Lent | None:
    """Lent memory with the contents of an Array, if it is small and comes for the first time: most
    do not come again, and to make a buffer, and to use it for the first time, takes longer than to
    copy. None for others."""
    try:
        _buffer_slot.__get__(x)
        return None
    except AttributeError:
        x._buffer = None  # known by now
    value, number = x._value, x._type.number
    try:
        shelf = _by_number[number]
    except KeyError:
        dtype = value.dtype
        is_lent = value.nbytes <= _LENT and _NARROW.get(dtype) is dtype
        shelf = _by_number[number] = _shelf((value.shape, dtype)) if is_lent else None
    return None if shelf is None else _lent_copy(value, shelf)


def give_back(args: Sequence[ConcreteArray], outs: Sequence[ConcreteArray]) -> None:
    """Take back what was lent for a call that gave `outs`, if the call is over."""
    if outs and outs[0].__class__ is ConcreteArray and outs[0]._buffer.is_ready():
        for x in args:
            if x.__class__ is Lent and len(x.shelf) < 16:
                x.shelf.append(x)


def _clear() -> None:
    for shelf in list(_shelves.values()):
        shelf.clear()  # what lies on it knows it
    _shelves.clear()
    _by_number.clear()


@forks.in_child
def forget() -> None:
    """Forget the memory that is lent to calls, and the scalars that come again."""
    _clear()
    _scalars.clear()
