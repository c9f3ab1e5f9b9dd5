"""Slices whose place is traced and whose size is static: `x[ds(i, 3)]`, and `x.at[ds(i, 3)]`.

The other entries of an index keep their meaning: those slices are taken first, axis by axis, and
the rest of the index is that of what they give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.tree import register_pytree_node
from pullback.core.types import count, integer
from pullback.lax.blocks import dynamic_slice_in_dim
from pullback.lax.elementwise import max_p, min_p
from pullback.lax.family import like
from pullback.numpy.index_plan import traced_positions
from pullback.numpy.promotion import here


class Slice:
    """What `ds` makes: `size` elements from `start` on, every `stride`-th. As a pytree its `start` is
    a leaf.

    >>> Slice(2, 3)
    Slice(start=2, size=3, stride=1)
    """

    __slots__ = ("start", "size", "stride")

    def __init__(self, start: Any, size: int, stride: int = 1) -> None:
        self.start, self.size, self.stride = start, size, stride

    @property
    def is_dynamic_start(self) -> bool:
        """Whether the start is an array, which may be traced."""
        return not isinstance(self.start, int)

    @property
    def is_dynamic_size(self) -> bool:
        """Never: sizes are static."""
        return False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Slice) or (self.size, self.stride) != (other.size, other.stride):
            return False
        return bool(self.start is other.start or self.start == other.start)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Slice(start={self.start!r}, size={self.size}, stride={self.stride})"


register_pytree_node(Slice, lambda s: ((s.start,), (s.size, s.stride)), lambda how, start: Slice(*start, *how))


def ds(start: Any, size: Any = None, stride: Any = None) -> Any:
    """A slice whose `start` may be traced, for `x[...]` and `x.at[...]`: `size` elements, `stride`
    apart (1 by default).

    `ds(size)` begins at 0, `ds(None)` is `:`. A negative start counts from the end. Reading moves a
    slice that does not fit (by its end) to where it does, as `lax.dynamic_slice` does; with a stride
    it reads the last element instead of those beyond. Updates drop what is out of bounds. Raises
    TypeError for a start that is no integer, sizes that are negative or traced, and slices longer than the axis;
    ValueError for strides less than 1.

    >>> import pullback as pb
    >>> x = pb.numpy.arange(10)
    >>> pb.jit(lambda i: x[ds(i, 2)])(4)
    Array([4, 5], dtype=int32)
    >>> pb.jit(lambda i: x.at[ds(i, 2)].set(0))(8)
    Array([0, 1, 2, 3, 4, 5, 6, 7, 0, 0], dtype=int32)
    """
    if start is None:
        if size is not None:
            raise here(TypeError, f"ds: a slice of size {size!r:.100} needs a start, got None")
        return slice(None)
    if size is None:
        start, size = 0, start
    if not isinstance(start, Array) and not isinstance(start, np.ndarray):
        start = integer(start, "ds: start")
    elif start.ndim or not dtypes.is_integer(start.dtype):
        raise here(
            TypeError, f"ds: start must be one integer, got an array of shape {start.shape} and dtype {start.dtype}"
        )
    step = 1 if stride is None else integer(stride, "ds: stride")
    if step < 1:
        raise here(ValueError, f"ds: stride must be 1 or more, got {step}")
    return Slice(start, count(size, "ds: size"), step)


class Windows(NamedTuple):
    """The slices in an index, each with the axis that it is for, and the index with `:` in their
    place."""

    slices: Sequence[tuple[int, Slice]]
    rest: Any


def windows_of(index: Any, ndim: int) -> Windows | None:
    """The slices that `ds` has made in an index of an array of `ndim` axes; None if there are none."""
    entries = index if index.__class__ is tuple else (index,)
    if not any([e.__class__ is Slice for e in entries]):
        return None
    used = [_axes_used(e) for e in entries]
    slices, axis = [], 0
    for e, n in zip(entries, used):
        if e.__class__ is Slice:
            if axis >= ndim:
                raise here(IndexError, f"Too many indices: array is {ndim}-dimensional, but {sum(used)} were indexed")
            slices.append((axis, e))
        axis += max(0, ndim - sum(used)) if e is Ellipsis else n
    return Windows(slices, tuple([slice(None) if e.__class__ is Slice else e for e in entries]))


def _axes_used(e: Any) -> int:
    if e is None or e is Ellipsis:
        return 0
    is_mask = isinstance(e, (Array, np.ndarray)) and e.dtype == dtypes.bool_
    return e.ndim if is_mask else 0 if isinstance(e, bool) else 1


def read(x: Any, slices: Sequence[tuple[int, Slice]], **options: Any) -> Any:
    """What the slices give, each along its axis; with `options`, those of `x.at[...].get`, element by
    element."""
    for axis, s in slices:
        if s.stride == 1 and all([v is None for v in options.values()]):
            x = dynamic_slice_in_dim(x, s.start, s.size, axis)
        else:
            x = _at(x, axis, s).get(wrap_negative_indices=False, **options)
    return x


def replaced(x: Any, slices: Sequence[tuple[int, Slice]], updated: Callable[[Any], Any]) -> Any:
    """`x` with the part that the slices give replaced by its update; what is out of bounds is
    dropped."""
    if not slices:
        return updated(x)
    (axis, s), *others = slices
    place = _at(x, axis, s)
    return place.set(
        replaced(place.get(wrap_negative_indices=False), others, updated),
        wrap_negative_indices=False,
        unique_indices=True,
    )


def _at(x: Any, axis: int, s: Slice) -> Any:
    """`x.at` the positions of a slice, those beyond the axis included."""
    n, offsets = x.shape[axis], np.arange(s.size, dtype=np.int32) * np.int32(s.stride)
    start: Any = s.start
    if s.is_dynamic_start:
        start = traced_positions(as_array(start), n, True, dtypes.int32)
        # Wherever it is beyond the axis, it is beyond; and what it is added to does not overflow.
        start = min_p.bind(max_p.bind(start, like(-s.size * s.stride, start)), like(n, start))
    else:
        start = np.int32(min(max(start + n if start < 0 else start, -s.size * s.stride), n))
    return x.at[(*[slice(None)] * axis, start + offsets)]


__all__ = ["Slice", "ds"]
