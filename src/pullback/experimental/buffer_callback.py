"""Python functions that write their results into buffers."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray, broadcast_shapes, integer, typeof
from pullback.lax.callbacks import METHODS, io_callback_p, pure_callback_p


class ExecutionStage(enum.Enum):
    """When a callback is called: while the program runs (`EXECUTE`, as here always), or before it
    (`INSTANTIATE`, `PREPARE`, `INITIALIZE`).

    >>> ExecutionContext().stage is ExecutionStage.EXECUTE
    True
    """

    INSTANTIATE = enum.auto()
    PREPARE = enum.auto()
    INITIALIZE = enum.auto()
    EXECUTE = enum.auto()


class ExecutionContext:
    """The first argument of a callback: in which `stage` it is called.

    >>> ExecutionContext().stage
    <ExecutionStage.EXECUTE: 4>
    """

    __slots__ = ()

    @property
    def stage(self) -> ExecutionStage:
        """The stage: EXECUTE.

        >>> ExecutionContext().stage.name
        'EXECUTE'
        """
        return ExecutionStage.EXECUTE

    @property
    def stream(self) -> int:
        """Where an accelerator's work is queued. Raises RuntimeError: callbacks run on the host.

        >>> ExecutionContext().stream
        Traceback (most recent call last):
          ...
        RuntimeError: callbacks run on the host, which has no stream
        """
        raise RuntimeError("callbacks run on the host, which has no stream")


class Buffer:
    """The memory of an array while a callback runs. `numpy.asarray` and DLPack give it without a
    copy; what `buffer_callback` has returned does not change any more, whatever is written later.

    >>> numbers = np.zeros(3)
    >>> np.asarray(Buffer(numbers))[...] = 1
    >>> numbers
    array([1., 1., 1.])
    """

    __slots__ = ("_data",)

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self._data = data

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype.

        >>> Buffer(np.zeros(3, "int8")).dtype
        dtype('int8')
        """
        return self._data.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape.

        >>> Buffer(np.zeros((2, 3))).shape
        (2, 3)
        """
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes.

        >>> Buffer(np.zeros((2, 3))).ndim
        2
        """
        return self._data.ndim

    @property
    def writeable(self) -> bool:
        """Whether it may be written to: results may.

        >>> numbers = np.zeros(3)
        >>> numbers.flags.writeable = False
        >>> Buffer(numbers).writeable
        False
        """
        return self._data.flags.writeable

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self._data, dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def __repr__(self) -> str:
        return f"Buffer({dtypes.name(self.dtype)}{list(self.shape)}{', writeable' if self.writeable else ''})"


def buffer_callback(
    callback: Callable[..., None],
    result_shape_dtypes: Any,
    *,
    has_side_effect: bool = False,
    vmap_method: str | None = None,
    input_output_aliases: dict[int, int] | None = None,
    command_buffer_compatible: bool = False,
) -> Callable[..., Any]:
    """A function of arrays whose results `callback(ctx, out, *args, **kwargs)` writes.

    `out` is the tree `result_shape_dtypes` of `Buffer`s of those shapes and dtypes, which hold zeros
    at first, and `args` are the arguments, whose arrays are `Buffer`s to read; `ctx` is an
    `ExecutionContext`. The callback returns nothing. It runs on the host when the program runs:
    at once in eager code, in compiled programs on CPUs when they come to it. One without
    `has_side_effect` may be called any number of times, or never.

    `vmap_method` is that of `pure_callback`; one with side effects is called for each element.
    `input_output_aliases` maps numbers of arguments to
    numbers of results (in the flattened trees) that begin with what the arguments hold. Nothing here
    has command buffers. Raises TypeError for what cannot be called, ValueError for aliases that do
    not fit and, when it runs, for callbacks that return something; derivatives need `custom_jvp`
    (ValueError).

    >>> import pullback as pb
    >>> def add_one(ctx, out, x):
    ...     np.add(np.asarray(x), 1, out=np.asarray(out))
    >>> f = buffer_callback(add_one, pb.ShapeDtypeStruct((3,), "float32"))
    >>> pb.jit(f)(pb.numpy.arange(3.0))
    Array([1., 2., 3.], dtype=float32)
    """
    del command_buffer_compatible
    if not callable(callback):
        raise TypeError(f"buffer_callback: the callback must be callable, got {callback!r:.100}, at {user_line()}")
    if vmap_method is not None and vmap_method not in METHODS:
        raise ValueError(
            f"buffer_callback: vmap_method must be one of {METHODS}, got {vmap_method!r}, at {user_line()}"
        )
    types, out_tree = tree_flatten(result_shape_dtypes)
    result_types = [ShapedArray(t.shape, t.dtype) for t in map(typeof, types)]
    pairs = [
        (integer(i, "input_output_aliases: an argument"), integer(o, "input_output_aliases: a result"))
        for i, o in (input_output_aliases or {}).items()
    ]

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, in_tree = tree_flatten((args, kwargs))
        arrays = [as_array(x) for x in leaves]
        for i, o in pairs:
            if not (0 <= i < len(arrays) and 0 <= o < len(result_types)):
                raise ValueError(
                    f"buffer_callback: input_output_aliases has {i}: {o}, and there are {len(arrays)} arguments and {len(result_types)} "
                    f"results, at {user_line()}"
                )
            given, wanted = arrays[i], result_types[o]
            if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
                raise ValueError(
                    f"buffer_callback: argument {i} is {given.aval.str_short()} and cannot become result {o}, {wanted.str_short()}, at "
                    f"{user_line()}"
                )

        ranks = [a.ndim for a in arrays]

        def written(*xs: Any) -> list[Any]:
            values = [np.asarray(x) for x in xs]
            # A callback that is mapped as a whole finds the axes of the batch in front.
            lead = broadcast_shapes(*[v.shape[: v.ndim - rank] for v, rank in zip(values, ranks)])
            outs = [np.zeros((*lead, *t.shape), t.dtype) for t in result_types]
            for i, o in pairs:
                outs[o][...] = values[i]
            new_args, new_kwargs = in_tree.unflatten([Buffer(v) for v in values])
            buffers = out_tree.unflatten([Buffer(o) for o in outs])
            found = callback(ExecutionContext(), buffers, *new_args, **new_kwargs)
            if found is not None:
                raise ValueError(
                    f"the callback of buffer_callback writes its results, and returns None: got {found!r:.100}"
                )
            return outs

        if has_side_effect:
            outs = io_callback_p.bind(*arrays, callback=written, result_types=result_types, ordered=False)
        else:
            outs = pure_callback_p.bind(*arrays, callback=written, result_types=result_types, vmap_method=vmap_method)
        return out_tree.unflatten(outs)

    return call


__all__ = ["Buffer", "ExecutionContext", "ExecutionStage", "buffer_callback"]
