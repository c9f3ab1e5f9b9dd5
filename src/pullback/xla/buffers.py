"""Buffers: the contents of Arrays as XLA has them, and the errors of computations that were to fill
them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import array
from pullback.core.array import ConcreteArray
from pullback.core.errors import JaxRuntimeError, see, user_line
from pullback.xla import pjrt
from pullback.xla.stablehlo import callback_failures

#: Arrays larger than this are held once: the NumPy value of one that has been handed to XLA is a
#: view of XLA's buffer.
_HELD_ONCE = 1 << 16
put = pjrt.put


def failure(what: str, error: Exception) -> JaxRuntimeError:
    """XLA's error as ours, caused by the exception of a Python callback if there was one."""
    out = JaxRuntimeError(f"{what}: {error}")
    out.__cause__ = callback_failures.pop() if callback_failures else None
    out.__suppress_context__ = True
    return out


def view_of_buffer(buffer: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """The contents of a buffer as a NumPy value; an error of the computation that was to fill it is
    raised here."""
    try:
        return pjrt.to_numpy(buffer, dtype)
    except pjrt.XlaRuntimeError as error:
        if buffer.is_deleted():  # by another thread, just now
            raise RuntimeError(
                f"Array has been deleted: it was donated to a compiled program; used at {user_line()}{see('deleted-arrays')}"
            ) from None
        raise failure("the computation of this array failed", error) from None


def wait(buffers: Sequence[Any]) -> None:
    """Wait until the contents of buffers are there; an error of the computation that was to fill
    one is raised here."""
    try:
        pjrt.wait(buffers)
    except pjrt.XlaRuntimeError as error:
        raise failure("the computation of an array failed", error) from None


array.view_of_buffer, array.wait_for_buffers = view_of_buffer, wait


def buffer_of(x: ConcreteArray, target: pjrt.Target) -> Any:
    """The contents of an Array of the host's, in a buffer that it has from now on."""
    buffer = x._buffer
    if buffer is None:
        value = x._value
        buffer = x._buffer = pjrt.put(value, target)
        if value.nbytes > _HELD_ONCE:
            x._type  # noqa: B018 - taken before the value goes
            x._value = pjrt.to_numpy(buffer, value.dtype)
    return buffer
