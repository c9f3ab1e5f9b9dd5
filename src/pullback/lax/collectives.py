"""Collectives over named mapped axes: psum, pmax, pmin, all_gather, ppermute, all_to_all,
axis_index.

They see the axis through the trace that maps it: `BatchTrace` calls `batch_collective(trace,
values, axes, **params)` of the primitive when its axis is named. `axis_name` is a tuple of names in
the primitives; axes other than the trace's are left to enclosing traces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import see, user_line
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.trace import find_axis
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import div_p, eq_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.indexing import gather
from pullback.lax.positions import GatherDimensionNumbers
from pullback.lax.reductions import reduce_max_p, reduce_min_p
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, convert, move_axis, reduce_sum_p, reshape_p, strong

AxisName = Any


def _names(axis_name: AxisName) -> tuple[Any, ...]:
    names = tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)
    for name in names:
        find_axis(name)
    return names


def _size(names: Sequence[Any]) -> int:
    return math.prod(find_axis(name).axes[name] for name in names)


class _Collective(Primitive):
    """Base: rules every collective shares. Unrelated mapped axes pass through `batch`."""

    is_collective = True

    def evaluate(self, *values: Any, axis_name: Any, **params: Any) -> Any:
        raise NameError(f"unbound axis name: {axis_name!r} in {self.name}, at {user_line()}{see('axis-names')}")

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], **params: Any) -> Any:
        x = move_axis(args[0], axes[0], 0) if axes[0] is not None else args[0]
        return self.bind(x, **self.shifted(params)), (0 if axes[0] is not None else None)

    def shifted(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters for an operand with one more axis in front."""
        return params

    def rest(self, trace: Any, axis_name: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(n for n in axis_name if n != trace.axis_name)


class _Reduction(_Collective):
    """Reduce over mapped axes; every slice gets the result."""

    def type_of(self, x: ShapedArray, *, axis_name: Any) -> ShapedArray:
        return x

    def reduce(self, x: Any, axis: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define reduce")

    def unmapped(self, x: Any, size: int) -> Any:
        """The reduction of `size` equal values."""
        return x

    def batch_collective(self, trace: Any, values: Sequence[Any], axes: Sequence[int | None], *, axis_name: Any) -> Any:
        (x,), (b,) = values, axes
        out = self.unmapped(x, trace.size) if b is None else self.reduce(x, b)
        rest = self.rest(trace, axis_name)
        return (self.bind(out, axis_name=rest) if rest else out), None


class PSum(_Reduction, LinearPrimitive):
    """Sum over the slices of a mapped axis. Its own transpose: every slice's cotangent reaches
    every slice."""

    name = "psum"

    def reduce(self, x: Any, axis: int) -> Any:
        return reduce_sum_p.bind(x, axes=(axis,))

    def unmapped(self, x: Any, size: int) -> Any:
        return mul_p.bind(x, like(size, x))

    def transpose(self, ct: Any, x: Any, *, axis_name: Any) -> Sequence[Any]:
        return [self.bind(ct, axis_name=axis_name)]


class PExtremum(_Reduction):
    """Maximum or minimum over the slices of a mapped axis.

    >>> from pullback.transforms.vmap import vmap
    >>> vmap(lambda x: pmax_p.bind(x, axis_name=("i",)), axis_name="i")(concrete(np.array([1, 3], np.int32)))
    Array([3, 3], dtype=int32)
    """

    makes_nan = False

    def __init__(self, name: str, reduction: Primitive) -> None:
        self.name, self.reduction = name, reduction
        super().__init__()

    def reduce(self, x: Any, axis: int) -> Any:
        return self.reduction.bind(x, axes=(axis,))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, axis_name: Any) -> Any:
        # The tangent is the mean of those of the slices that attain the extremum.
        (x,), (t,) = primals, tangents
        out = self.bind(x, axis_name=axis_name)
        attained = select(eq_p.bind(x, out), like(1, x), like(0, x))
        count = psum_p.bind(attained, axis_name=axis_name)
        return out, psum_p.bind(mul_p.bind(div_p.bind(attained, count), t), axis_name=axis_name)


class AxisIndex(_Collective):
    """The number of the slice along a mapped axis."""

    name = "axis_index"
    no_derivative = "it is an integer"

    def type_of(self, *, axis_name: Any) -> ShapedArray:
        return ShapedArray((), dtypes.int32)

    def batch_collective(self, trace: Any, values: Any, axes: Any, *, axis_name: Any) -> Any:
        return concrete(np.arange(trace.size, dtype=np.int32)), 0


class _Parts(_Collective, LinearPrimitive):
    """Gathering, and the sum of which each slice keeps a part: transposes of each other, along an
    axis in front of which more may come."""

    def shifted(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**params, "axis": params["axis"] + 1}

    def transpose(self, ct: Any, x: Any, **params: Any) -> Sequence[Any]:
        return [(psum_scatter_p if self is all_gather_p else all_gather_p).bind(ct, **params)]


class AllGather(_Parts):
    """All slices' values, stacked along a new axis `axis` (or joined along it, if `tiled`)."""

    name = "all_gather"
    makes_nan = False

    def type_of(self, x: ShapedArray, *, axis_name: Any, axis: int, tiled: bool, size: int) -> ShapedArray:
        shape = list(x.shape)
        shape[axis : axis + tiled] = [size * shape[axis] if tiled else size]
        return x.update(shape=tuple(shape))

    def batch_collective(
        self, trace: Any, values: Any, axes: Any, *, axis_name: Any, axis: int, tiled: bool, size: int
    ) -> Any:
        out = move_axis(batch_first(values[0], axes[0], trace.size), 0, axis)
        return _joined(out, axis) if tiled else out, None


class PSumScatter(_Parts):
    """Sum over the slices, of which each keeps its part along `axis`. The transpose of all_gather."""

    name = "psum_scatter"

    def type_of(self, x: ShapedArray, *, axis_name: Any, axis: int, tiled: bool, size: int) -> ShapedArray:
        shape = list(x.shape)
        shape[axis : axis + 1] = [shape[axis] // size] if tiled else []
        return x.update(shape=tuple(shape))

    def batch_collective(
        self, trace: Any, values: Any, axes: Any, *, axis_name: Any, axis: int, tiled: bool, size: int
    ) -> Any:
        (x,), (b,) = values, axes
        total = mul_p.bind(x, like(trace.size, x)) if b is None else reduce_sum_p.bind(x, axes=(b,))
        return move_axis(_split(total, axis, size) if tiled else total, axis, 0), 0


def _split(x: Any, axis: int, count: int) -> Any:
    """`x` with an axis of `count` parts in front of `axis`, which is as much shorter."""
    return reshape_p.bind(x, new_sizes=(*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :]))


def _joined(x: Any, axis: int) -> Any:
    """`x` with `axis` and the next one as one axis."""
    return reshape_p.bind(x, new_sizes=(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


class PPermute(_Collective, LinearPrimitive):
    """Send each slice's value to another slice, by (source, destination) pairs; slices that receive
    nothing get zeros."""

    name = "ppermute"
    makes_nan = False

    def type_of(self, x: ShapedArray, *, axis_name: Any, perm: Any) -> ShapedArray:
        return x

    def transpose(self, ct: Any, x: Any, *, axis_name: Any, perm: Any) -> Sequence[Any]:
        return [self.bind(ct, axis_name=axis_name, perm=tuple((d, s) for s, d in perm))]

    def batch_collective(self, trace: Any, values: Any, axes: Any, *, axis_name: Any, perm: Any) -> Any:
        # The row that each slice gets: one that is not there, which is filled with zeros, if it
        # gets none.
        x, n = batch_first(values[0], axes[0], trace.size), trace.size
        sources = np.full((n, 1), n, np.int32)
        for source, destination in perm:
            sources[destination] = range(n)[source]
        if not n:
            return x, 0
        numbers = GatherDimensionNumbers(tuple(range(1, x.ndim)), (0,), (0,))
        return gather(x, concrete(sources), numbers, (1, *x.shape[1:]), mode="fill", fill_value=0), 0


class AllToAll(_Collective, LinearPrimitive):
    """Exchange: slice i's part j along `split_axis` goes to slice j, which concatenates along
    `concat_axis`."""

    name = "all_to_all"
    makes_nan = False

    def type_of(self, x: ShapedArray, *, axis_name: Any, split_axis: int, concat_axis: int, size: int) -> ShapedArray:
        shape = list(x.shape)
        shape[split_axis] //= size
        shape[concat_axis] *= size
        return x.update(shape=tuple(shape))

    def shifted(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**params, "split_axis": params["split_axis"] + 1, "concat_axis": params["concat_axis"] + 1}

    def transpose(
        self, ct: Any, x: Any, *, axis_name: Any, split_axis: int, concat_axis: int, size: int
    ) -> Sequence[Any]:
        return [self.bind(ct, axis_name=axis_name, split_axis=concat_axis, concat_axis=split_axis, size=size)]

    def batch_collective(
        self, trace: Any, values: Any, axes: Any, *, axis_name: Any, split_axis: int, concat_axis: int, size: int
    ) -> Any:
        x = _split(batch_first(values[0], axes[0], trace.size), split_axis + 1, size)
        x = move_axis(x, split_axis + 1, 0)  # (receiver, sender, ...)
        return _joined(move_axis(x, 1, concat_axis + 1), concat_axis + 1), 0


psum_p, pmax_p, pmin_p = PSum(), PExtremum("pmax", reduce_max_p), PExtremum("pmin", reduce_min_p)
axis_index_p, all_gather_p, psum_scatter_p = AxisIndex(), AllGather(), PSumScatter()
ppermute_p, all_to_all_p = PPermute(), AllToAll()


# ---- public functions ----------------------------------------------------------------------------


def _over_leaves(x: Any, operation: Callable[[Array], Any]) -> Any:
    leaves, tree = tree_flatten(x)
    return tree.unflatten([operation(as_array(leaf)) for leaf in leaves])


def psum(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """Sum of a tree of arrays over the mapped axis (or axes) `axis_name`, on every slice. Booleans are
    summed as integers.

    Raises NameError if the axis is not mapped, NotImplementedError for `axis_index_groups`.

    >>> from pullback import vmap
    >>> vmap(lambda x: x / psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([0.25, 0.75], dtype=float32)
    """
    _no_groups(axis_index_groups)
    names = _names(axis_name)
    if isinstance(x, dtypes.PYTHON_SCALARS):
        return x * _size(names)  # a constant: known without communication
    return _over_leaves(
        x, lambda v: psum_p.bind(convert(v, dtypes.int32) if v.dtype == dtypes.bool_ else strong(v), axis_name=names)
    )


def pmean(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """Mean of a tree of arrays over the mapped axis (or axes) `axis_name`; integers become floats.

    Raises NameError if the axis is not mapped, NotImplementedError for `axis_index_groups`.

    >>> from pullback import vmap
    >>> vmap(lambda x: x - pmean(x, "i"), axis_name="i")(np.array([1.0, 2.0, 6.0]))
    Array([-2., -1.,  3.], dtype=float32)
    """
    _no_groups(axis_index_groups)
    names = _names(axis_name)

    def mean(v: Array) -> Any:
        total = psum_p.bind(convert(v, dtypes.to_inexact(v.dtype)), axis_name=names)
        return div_p.bind(total, like(_size(names), total))

    return _over_leaves(x, mean)


def pmax(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """Maximum of a tree of arrays over the mapped axis (or axes) `axis_name`: NaN if one is. Raises
    NameError if the axis is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: x / pmax(x, "i"), axis_name="i")(np.array([1.0, 2.0, 4.0]))
    Array([0.25, 0.5 , 1.  ], dtype=float32)
    """
    _no_groups(axis_index_groups)
    names = _names(axis_name)
    return _over_leaves(x, lambda v: pmax_p.bind(strong(v), axis_name=names))


def pmin(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """Minimum of a tree of arrays over the mapped axis (or axes) `axis_name`: NaN if one is. Raises
    NameError if the axis is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: x - pmin(x, "i"), axis_name="i")(np.array([3, 5, 4]))
    Array([0, 2, 1], dtype=int32)
    """
    _no_groups(axis_index_groups)
    names = _names(axis_name)
    return _over_leaves(x, lambda v: pmin_p.bind(strong(v), axis_name=names))


def axis_index(axis_name: AxisName) -> Array:
    """The number of the current slice along the mapped axis `axis_name`, an int32 (row-major for a
    tuple of names). Raises NameError if it is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: 10 * x + axis_index("i"), axis_name="i")(np.array([1, 1, 1]))
    Array([10, 11, 12], dtype=int32)
    """
    names = _names(axis_name)
    index = axis_index_p.bind(axis_name=names[:1])
    for name in names[1:]:
        index = add_p.bind(mul_p.bind(index, like(_size((name,)), index)), axis_index_p.bind(axis_name=(name,)))
    return index


def axis_size(axis_name: AxisName) -> int:
    """The length of the mapped axis `axis_name` (the product, for a tuple of names): an integer, known
    while tracing. Raises NameError if it is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: x / axis_size("i"), axis_name="i")(np.ones(4))
    Array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    return _size(_names(axis_name))


def all_gather(
    x: Any, axis_name: AxisName, *, axis_index_groups: Any = None, axis: int = 0, tiled: bool = False,
    to: str = "varying",
) -> Any:  # fmt: skip
    """The values of all slices along `axis_name`, stacked along a new axis `axis`, or joined along it
    if `tiled`.

    `x` may be a tree of arrays. `to` says of what sort the result is for programs on several
    devices: "varying", "invarying" or "reduced"; over mapped axes these are the same, and others
    are a ValueError. Raises NameError if the axis is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: x @ all_gather(x, "i").T, axis_name="i")(np.array([[1, 2], [3, 4]]))  # every pair of rows
    Array([[ 5, 11],
           [11, 25]], dtype=int32)
    """
    _no_groups(axis_index_groups)
    _one_of("all_gather", to, ("varying", "invarying", "reduced"))
    names = _names(axis_name)
    if len(names) > 1:
        for name in reversed(names):
            x = all_gather(x, name, axis=axis, tiled=tiled, to=to)
        return x
    return _over_leaves(
        x,
        lambda v: all_gather_p.bind(
            v, axis_name=names, axis=axis % (v.ndim + (not tiled)), tiled=tiled, size=_size(names)
        ),
    )


def pcast(x: Any, axis_name: AxisName, *, to: str) -> Any:
    """`x`, a tree of arrays, as values of another sort over `axis_name`: "varying" from slice to
    slice, "reduced", or "unreduced" (partial sums).

    The sorts tell apart what several devices have of an array; over mapped axes they are the same,
    and so are the values. Raises ValueError for other sorts, NameError if the axis is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: pcast(x, "i", to="varying"), axis_name="i")(np.array([1.0, 2.0]))
    Array([1., 2.], dtype=float32)
    """
    _one_of("pcast", to, ("varying", "reduced", "unreduced"))
    _names(axis_name)
    return _over_leaves(x, lambda v: v)


def _one_of(function: str, to: str, allowed: Sequence[str]) -> None:
    if to not in allowed:
        raise ValueError(
            f"{function}: `to` must be one of {', '.join(map(repr, allowed))}, got {to!r}, at {user_line()}"
        )


def psum_scatter(
    x: Any, axis_name: AxisName, *, scatter_dimension: int = 0, axis_index_groups: Any = None, tiled: bool = False
) -> Any:
    """Sum over `axis_name`, of which each slice keeps its part along `scatter_dimension`: its own
    element, so that the axis goes, or a block of them if `tiled`.

    `x` may be a tree of arrays. Raises NameError if the axis is not mapped, ValueError if the
    length of `scatter_dimension` is not the axis size (if `tiled`, not a multiple of it).

    >>> from pullback import vmap
    >>> vmap(lambda x: psum_scatter(x, "i"), axis_name="i")(np.array([[1, 2], [10, 20]]))
    Array([11, 22], dtype=int32)
    """
    _no_groups(axis_index_groups)
    names = _names(axis_name)
    size = _size(names)

    def scatter(v: Array) -> Any:
        n = v.shape[scatter_dimension]
        if (n % size) if tiled else n != size:
            raise ValueError(
                f"psum_scatter: axis {scatter_dimension} of shape {v.shape} must have length {size}{' or a multiple' if tiled else ''}"
            )
        return psum_scatter_p.bind(v, axis_name=names, axis=scatter_dimension, tiled=tiled, size=size)

    return _over_leaves(x, scatter)


def ppermute(x: Any, axis_name: AxisName, perm: Any) -> Any:
    """Send values between slices by (source, destination) pairs; a slice that receives nothing gets
    zeros.

    `x` may be a tree of arrays. Raises NameError if the axis is not mapped, ValueError if a source
    or destination occurs twice.

    >>> from pullback import vmap
    >>> shifted = lambda x: ppermute(x, "i", [(i, i + 1) for i in range(3)])
    >>> vmap(shifted, axis_name="i")(np.array([1, 2, 3, 4]))
    Array([0, 1, 2, 3], dtype=int32)
    """
    names = _names(axis_name)
    pairs = tuple((int(s), int(d)) for s, d in perm)
    if len({s for s, _ in pairs}) < len(pairs) or len({d for _, d in pairs}) < len(pairs):
        raise ValueError(f"ppermute sources and destinations must be unique, got {pairs}")
    return _over_leaves(x, lambda v: ppermute_p.bind(v, axis_name=names, perm=pairs))


def pshuffle(x: Any, axis_name: AxisName, perm: Sequence[int]) -> Any:
    """Slice `i` gets the value of slice `perm[i]`, in a tree of arrays. Raises NameError if the axis
    is not mapped, ValueError unless `perm` is a permutation.

    >>> from pullback import vmap
    >>> vmap(lambda x: pshuffle(x, "i", [2, 0, 1]), axis_name="i")(np.array([10, 20, 30]))
    Array([30, 10, 20], dtype=int32)
    """
    if sorted(perm) != list(range(len(perm))):
        raise ValueError(f"`perm` does not represent a permutation: {perm}")
    return ppermute(x, axis_name, list(zip(perm, range(len(perm)))))


def all_to_all(
    x: Any,
    axis_name: AxisName,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: Any = None,
    tiled: bool = False,
) -> Any:
    """Exchange between slices: part j of `split_axis` goes to slice j. Not `tiled`, that axis
    disappears and `concat_axis`, over the senders, is new; `tiled`, parts are joined along
    `concat_axis`.

    `x` may be a tree of arrays. Raises NameError if the axis is not mapped, ValueError if the
    length of `split_axis` is not the axis size (if `tiled`, not a multiple of it).

    >>> from pullback import vmap
    >>> x = np.array([[11, 12], [21, 22]])  # slice i has one number for each slice j
    >>> vmap(lambda x: all_to_all(x, "i", 0, 0), axis_name="i")(x)
    Array([[11, 21],
           [12, 22]], dtype=int32)
    """
    _no_groups(axis_index_groups)
    names = _names(axis_name)
    size = _size(names)

    def exchange(v: Array) -> Any:
        if tiled:
            if v.shape[split_axis] % size:
                raise ValueError(
                    f"all_to_all: axis {split_axis} of shape {v.shape} is not divisible by the axis size {size}"
                )
            return all_to_all_p.bind(v, axis_name=names, split_axis=split_axis, concat_axis=concat_axis, size=size)
        if v.shape[split_axis] != size:
            raise ValueError(f"all_to_all: axis {split_axis} of shape {v.shape} must have length {size}, the axis size")
        v = move_axis(v, split_axis, concat_axis)
        return all_to_all_p.bind(v, axis_name=names, split_axis=concat_axis, concat_axis=concat_axis, size=size)

    return _over_leaves(x, exchange)


def pswapaxes(x: Any, axis_name: AxisName, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Swap the mapped axis with axis `axis` of the slices, which must have the same length (ValueError
    if not). Raises NameError if the axis is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: pswapaxes(x, "i", 0), axis_name="i")(np.array([[11, 12], [21, 22]]))
    Array([[11, 21],
           [12, 22]], dtype=int32)
    """
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


def pbroadcast(x: Any, axis_name: AxisName, source: int) -> Any:
    """The value of slice `source`, on every slice, of a tree of arrays. Raises NameError if the axis
    is not mapped.

    >>> from pullback import vmap
    >>> vmap(lambda x: x - pbroadcast(x, "i", 0), axis_name="i")(np.array([10, 12, 17]))
    Array([0, 2, 7], dtype=int32)
    """
    return _over_leaves(x, lambda v: all_gather(v, axis_name)[source])


def _no_groups(groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError("axis_index_groups is not supported over vmapped axes")


__all__ = [
    "all_gather", "all_gather_p", "all_to_all", "all_to_all_p", "axis_index", "axis_index_p", "axis_size", "pbroadcast",
    "pcast", "pmax", "pmax_p", "pmean", "pmin", "pmin_p", "ppermute", "ppermute_p", "pshuffle", "psum", "psum_p", "psum_scatter", "pswapaxes",
]  # fmt: skip
