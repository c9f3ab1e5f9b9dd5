"""Reading and writing by a NumPy index made of integers, slices and `None`, in one NumPy call.

Programs show the standard operations that the rules `expand` give.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dimensions import Dim, slice_bounds, slice_length
from pullback.core.primitive import is_node
from pullback.core.types import Shape, ShapedArray
from pullback.lax.arrangement import inside_padding, pad_p, rev_p, slice_p
from pullback.lax.blocks import dynamic_update_slice_p
from pullback.lax.family import like, size_as
from pullback.lax.mover import Mover
from pullback.lax.selection import select_n_p
from pullback.lax.shape import add_batch_axis, convert, move_axis, reshape_p, zeros_like_shape

_FULL = builtins.slice(None)


class StaticIndex:
    """A NumPy index of integers, slices and `None` for the leading axes of an array: hashable, and
    printed as it is written.

    Integers must be in range and slices as `slice.indices` normalizes them. `numpy` is the index as
    NumPy takes it.
    """

    __slots__ = ("numpy",)

    def __init__(self, numpy: tuple[Any, ...]) -> None:
        self.numpy = numpy

    def key(self) -> tuple[Any, ...]:
        """The entries, hashable (slices are not before Python 3.12) and of a total order within one
        program."""
        return tuple((i.start, i.stop, i.step) if i.__class__ is builtins.slice else i for i in self.numpy)

    def shape(self, operand: Shape) -> Shape:
        """The shape of an array of shape `operand` when indexed."""
        out, axis = [], 0
        for i in self.numpy:
            if i is None:
                out.append(1)
                continue
            if axis >= len(operand):
                raise TypeError(f"index {self} has more entries than the shape {operand} has axes")
            if i.__class__ is builtins.slice:
                out.append(slice_length(*slice_bounds(i, operand[axis])))
            axis += 1
        return (*out, *operand[axis:])

    def batched(self, axis: int) -> tuple[StaticIndex, int]:
        """The index for operands with an additional axis at `axis`, and where that axis is in the
        result."""
        position = operand_axis = out_axis = 0
        for i in self.numpy:
            if operand_axis == axis:
                break
            position += 1
            operand_axis += i is not None
            out_axis += i is None or i.__class__ is builtins.slice
        missing = axis - operand_axis
        entries = (*self.numpy[:position], *(_FULL,) * (missing + 1), *self.numpy[position:])
        return StaticIndex(entries), out_axis + missing

    def parts(self, operand: Shape) -> tuple[list[tuple[int, int, int]], tuple[int, ...]]:
        """A slice (start, stop, positive step) of each axis, and the axes to reverse after it."""
        slices: list[tuple[int, int, int]] = []
        reverse: tuple[int, ...] = ()
        for i in (e for e in self.numpy if e is not None):
            n, axis = operand[len(slices)], len(slices)
            start, stop, step = slice_bounds(i, n) if i.__class__ is builtins.slice else (i % n, i % n + 1, 1)
            length = slice_length(start, stop, step)
            if step < 0:
                reverse += (axis,)
                start, step = start + step * (length - 1), -step
            slices.append((start, start + step * (length - 1) + 1, step) if length != 0 else (0, 0, 1))
        return [*slices, *((0, n, 1) for n in operand[len(slices) :])], reverse

    def __eq__(self, other: object) -> bool:
        return other.__class__ is StaticIndex and self.numpy == other.numpy

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        def text(i: Any) -> str:
            if i.__class__ is not builtins.slice:
                return str(i)
            start, stop = ("" if v is None else str(v) for v in (i.start, i.stop))
            return f"{start}:{stop}" + ("" if i.step in (None, 1) else f":{i.step}")

        return f"[{', '.join(map(text, self.numpy))}]"


class IndexStatic(Mover):
    """`x[index]` for a `StaticIndex`."""

    name = "static_index"
    staged_expanded = True

    def type_of(self, x: ShapedArray, *, index: StaticIndex) -> ShapedArray:
        return x.update(shape=index.shape(x.shape))

    def evaluate(self, x: Any, *, index: StaticIndex) -> Any:
        out = x[index.numpy]
        return np.asarray(out) if out.__class__ is np.void else out  # single elements of typed keys are `void` scalars

    def transpose(self, ct: Any, x: Any, *, index: StaticIndex) -> Sequence[Any]:
        return [static_update_p.bind(zeros_like_shape(ct, x.shape), ct, index=index)]

    def batch(self, size: int, args: Any, axes: Any, *, index: StaticIndex) -> Any:
        batched, out_axis = index.batched(axes[0])
        return self.bind(args[0], index=batched), out_axis

    def expand(self, x: Any, *, index: StaticIndex) -> Any:
        """The same by slice, rev and reshape, which is what programs show."""
        shape = index.shape(x.shape)
        slices, reverse = index.parts(x.shape)
        starts, limits, strides = zip(*slices) if slices else ((), (), ())
        if any(a.__class__ is Dim or a for a in starts) or limits != x.shape or any(s != 1 for s in strides):
            one = all(s == 1 for s in strides)
            x = slice_p.bind(x, start_indices=starts, limit_indices=limits, strides=None if one else strides)
        x = rev_p.bind(x, dimensions=reverse) if reverse else x
        return x if x.shape == shape else reshape_p.bind(x, new_sizes=shape)


class UpdateStatic(Mover):
    """Operand 0 with the elements at the `StaticIndex` replaced by operand 1."""

    name = "static_update"
    weakness = "first"
    staged_expanded = True

    def type_of(self, x: ShapedArray, update: ShapedArray, *, index: StaticIndex) -> ShapedArray:
        if update.shape != index.shape(x.shape) or update.dtype != x.dtype:
            raise TypeError(
                f"static_update of {x} at {index} takes an update of shape {index.shape(x.shape)} and that dtype, got {update}"
            )
        return x

    def evaluate(self, x: Any, update: Any, *, index: StaticIndex) -> Any:
        out = np.array(x)
        out[index.numpy] = update
        return out

    def transpose(self, ct: Any, x: Any, update: Any, *, index: StaticIndex) -> Sequence[Any]:
        return [
            self.bind(ct, zeros_like_shape(ct, update.shape), index=index) if is_node(x) else None,
            static_index_p.bind(ct, index=index) if is_node(update) else None,
        ]

    def batch(self, size: int, args: Any, axes: Any, *, index: StaticIndex) -> Any:
        (x, update), (b, b_update) = args, axes
        if b is None:
            x, b = add_batch_axis(x, size), 0
        batched, out_axis = index.batched(b)
        update = add_batch_axis(update, size) if b_update is None else update
        update = move_axis(update, b_update or 0, out_axis)
        return self.bind(x, update, index=batched), b

    def expand(self, x: Any, update: Any, *, index: StaticIndex) -> Any:
        """The same by dynamic_update_slice, or pad and select_n, which is what programs show."""
        slices, reverse = index.parts(x.shape)
        block = tuple([slice_length(*s) for s in slices])
        if update.shape != block:
            update = reshape_p.bind(update, new_sizes=block)
        update = rev_p.bind(update, dimensions=reverse) if reverse else update
        if all(step == 1 or m == 1 for (_, _, step), m in zip(slices, block)):
            out = dynamic_update_slice_p.bind(x, update, *(size_as(dtypes.int32, start) for start, _, _ in slices))
            return convert(out, x.dtype, x.weak_type)
        config = tuple((a, n - b if m != 0 else n, step - 1) for (a, b, step), n, m in zip(slices, x.shape, block))
        padded = pad_p.bind(convert(update, x.dtype, x.weak_type), like(0, x), padding_config=config)
        return select_n_p.bind(inside_padding(block, config), x, padded)


static_index_p, static_update_p = IndexStatic(), UpdateStatic()
