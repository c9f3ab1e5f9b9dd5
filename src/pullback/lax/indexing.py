"""Reading and writing windows of an array at computed positions: gather and scatter, with XLA's
semantics.

`gather` reads one window a row of its index array; the scatters write them, or combine them with
what is there. An index row gives the start of a window in the axes named by the dimension numbers;
its other coordinates are 0. The last axis of the indices holds the rows; batching axes pair an axis
of the operand with one of the indices.

Positions out of bounds are clamped so that the window lies inside (CLIP), or the whole window is
filled or dropped (FILL_OR_DROP). PROMISE_IN_BOUNDS is the caller's promise; a broken one clamps in
gather, and drops in the scatters. The transpose of a clamping gather adds to the clamped positions.

Gather is linear in its operand; scatter, scatter_add and scatter_sub are linear in operand and
updates together; their transposes are each other. The rules for products and extrema are beside
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dimensions import is_symbolic
from pullback.core.errors import user_line
from pullback.core.linear import Equation
from pullback.core.primitive import LinearPrimitive, Primitive, is_node
from pullback.core.trace import Params, known_value
from pullback.core.types import Shape, ShapedArray, integers
from pullback.lax import positions as at
from pullback.lax.elementwise import div_p, eq_p, max_p, min_p
from pullback.lax.family import like, mul_p, neg_p
from pullback.lax.mover import IndexedMover
from pullback.lax.positions import CLIP, FILL_OR_DROP, GatherDimensionNumbers, ScatterDimensionNumbers
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, beside, bind_checked, convert, move_axis, past, zeros_like_shape


def _batched_numbers(n: Any, kept: bool) -> Any:
    """The numbers with a new axis 0: of windows (`kept`: the indices are not batched), or of
    operand and indices together."""
    windows, dropped, index_map, operand_batch, index_batch = n
    up = [past(axes, 0) for axes in n]
    if kept:
        return type(n)((0, *up[0]), *up[1:4], index_batch)
    return type(n)(*up[:3], (0, *up[3]), (0, *up[4]))


class Gather(IndexedMover):
    """Windows of operand 0, of shape `slice_sizes`, that start at the rows of operand 1."""

    name = "gather"

    def type_of(
        self, x: ShapedArray, indices: ShapedArray, *, dimension_numbers: Any, slice_sizes: Shape, **_: Any
    ) -> ShapedArray:
        at.check_indices("gather", indices, dimension_numbers)
        n = dimension_numbers
        if len(slice_sizes) != x.ndim:
            raise TypeError(
                f"Gather op must have one slice size for every input dimension; got {slice_sizes} for operand shape {x.shape}"
            )
        for i, (m, size) in enumerate(zip(slice_sizes, x.shape)):
            if not 0 <= m <= size:
                raise TypeError(
                    f"Slice size at index {i} in gather op is out of range, must be within [0, {size} + 1), got {m}."
                )
        dropped = (*n.collapsed_slice_dims, *n.operand_batching_dims)
        for i in dropped:
            if slice_sizes[i] > 1:
                raise TypeError(
                    f"Gather op can only collapse slice dims with bound 1, but bound is {slice_sizes[i]} for index {i}."
                )
        rank = indices.ndim - 1 + len(n.offset_dims)
        at.check_numbers("gather", n, x.ndim, rank)
        window = iter(m for i, m in enumerate(slice_sizes) if i not in dropped)
        rows = iter(indices.shape[:-1])
        return x.update(shape=tuple(next(window) if d in n.offset_dims else next(rows) for d in range(rank)))

    def evaluate(
        self, x: Any, indices: Any, *, dimension_numbers: Any, slice_sizes: Shape, mode: Any, fill_value: Any, **_: Any
    ) -> Any:
        n, x = dimension_numbers, np.asarray(x)
        rows = indices.shape[:-1]
        starts = at.window_starts(np.asarray(indices), n)
        valid = at.valid_windows(x.shape, slice_sizes, starts, n.start_index_map) if mode is FILL_OR_DROP else None
        along_one = len(starts) == 1 and n.start_index_map == n.collapsed_slice_dims
        if along_one and all(m == size for i, (m, size) in enumerate(zip(slice_sizes, x.shape)) if i not in starts):
            # Plain take along one axis.
            ((axis, start),) = starts.items()
            out = x.take(start, axis, mode="clip")
            row_dims = range(axis, axis + len(rows))
        else:
            starts = at.clamped_starts(x.shape, slice_sizes, starts, n.start_index_map)
            out = at.windows_view(x, slice_sizes, list(starts))[at.window_index(starts, rows)]
            dropped = (*n.collapsed_slice_dims, *n.operand_batching_dims)
            out = out.reshape((*rows, *(m for i, m in enumerate(slice_sizes) if i not in dropped)))
            row_dims = range(len(rows))
        if valid is not None:
            before, after = row_dims.start, out.ndim - row_dims.stop
            valid = valid.reshape((*(1,) * before, *rows, *(1,) * after))
            out = np.where(valid, out, at.fill_of(x.dtype, fill_value))
        return _arranged(out, row_dims, n.offset_dims)

    def lower(
        self, emit: Any, x: Any, indices: Any, *, dimension_numbers: GatherDimensionNumbers, slice_sizes: Shape, mode: Any,
        fill_value: Any, indices_are_sorted: bool, **_: Any,
    ) -> Any:  # fmt: skip
        n, out = dimension_numbers, emit.type
        indices = _wide_indices(emit, indices)
        if not out.size or not x.size:
            fill = at.fill_of(x.dtype, fill_value if mode is FILL_OR_DROP else None)
            return emit.constant(np.asarray(fill), x.dtype, out.shape)
        bounds = tuple(x.shape[a] - slice_sizes[a] for a in n.start_index_map)
        starts = indices
        # One window is what XLA takes for a dynamic slice: see `Emitter.clamped`.
        if bounds and indices.size == len(bounds):
            starts = emit("clamp", emit.like(0, indices), indices, _bounds(emit, indices, bounds), out=indices)
        result = emit(
            "gather", x, starts, out=out, dimension_numbers=_numbers_text("gather", n, indices),
            slice_sizes=slice_sizes, indices_are_sorted=indices_are_sorted,
        )  # fmt: skip
        if mode is not FILL_OR_DROP or not n.start_index_map:
            return result
        rows = tuple(d for d in range(len(out.shape)) if d not in n.offset_dims)
        inside = emit.broadcast(_inside_bounds(emit, indices, bounds), out.shape, rows)
        return emit.select(inside, result, emit.like(at.fill_of(x.dtype, fill_value), result))

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        out = self.bind(*primals, **params)
        t = tangents[0]
        return out, None if t is None else self.bind(t, primals[1], **{**params, "fill_value": 0})

    def linearize(self, primals: Any, nodes: Any, params: Params) -> Any:
        # What recording `jvp` gives, at once: reading is frequent.
        out, node = self.bind(*primals, **params), nodes[0]
        if node is None:
            return out, None
        return out, Equation(self, (node, primals[1]), {**params, "fill_value": 0}, out.shape, out.dtype)

    def transpose(
        self, ct: Any, x: Any, indices: Any, *, dimension_numbers: Any, mode: Any, unique_indices: bool, **params: Any
    ) -> Sequence[Any]:
        ct_x = scatter_add_p.bind(
            zeros_like_shape(ct, x.shape), indices, ct, dimension_numbers=ScatterDimensionNumbers(*dimension_numbers),
            mode=mode if mode is FILL_OR_DROP else CLIP, indices_are_sorted=params["indices_are_sorted"],
            unique_indices=unique_indices and mode is not CLIP,  # distinct positions may meet when clamped
        )  # fmt: skip
        return [ct_x, None]

    def batch(
        self, size: int, args: Any, axes: Any, *, dimension_numbers: Any, slice_sizes: Shape, **params: Any
    ) -> Any:
        (x, indices), (b, b_indices), n = args, axes, dimension_numbers
        together = b_indices is not None
        if together:
            indices = move_axis(indices, b_indices, 0)
        if b is None:
            rows = past(n.start_indices_batching_dims, 0)
            n = n._replace(offset_dims=past(n.offset_dims, 0), start_indices_batching_dims=rows)
        else:
            x, n = move_axis(x, b, 0), _batched_numbers(n, kept=not together)
            # An axis of length 0 has no windows of length 1.
            slice_sizes = (min(1, size) if together else size, *slice_sizes)
        return self.bind(x, indices, dimension_numbers=n, slice_sizes=slice_sizes, **params), 0


def _wide_indices(emit: Any, indices: Any) -> Any:
    """Indices of a type that holds every bound they are compared with."""
    return emit.convert(indices, dtypes.int32) if indices.dtype.itemsize < 4 else indices


def _bounds(emit: Any, indices: Any, bounds: Shape) -> Any:
    """The largest start of a window, for each column of the indices, in their shape."""
    if is_symbolic(bounds):
        columns = [emit.reshape(emit.size(b, indices.dtype), (1,)) for b in bounds]
        row = emit("concatenate", *columns, out=ShapedArray((len(bounds),), indices.dtype), dimension=0)
        return emit.broadcast(row, indices.shape, (indices.ndim - 1,))
    limit = dtypes.iinfo(indices.dtype).max
    row = np.array([min(b, limit) for b in bounds], indices.dtype)
    if len(set(bounds)) == 1:
        return emit.like(row[0], indices)
    return emit.broadcast(emit.constant(row), indices.shape, (indices.ndim - 1,))


def _inside_bounds(emit: Any, indices: Any, bounds: Shape) -> Any:
    """Which rows of the indices are starts of windows inside the operand."""
    inside = emit.compare("LE", indices, _bounds(emit, indices, bounds))
    if dtypes.kind(indices.dtype) == "i":
        inside = emit("and", emit.compare("GE", indices, emit.like(0, indices)), inside)
    if len(bounds) == 1:
        return emit.reshape(inside, indices.shape[:-1])
    return emit.reduce(inside, True, "and", (indices.ndim - 1,))


def _numbers_text(kind: str, numbers: Any, indices: Any) -> str:
    """Dimension numbers in StableHLO, where the axes that the indices are for come last."""
    names = [name.replace("operand_b", "input_b") if kind == "scatter" else name for name in numbers._fields]
    parts = [f"{names[i]} = [{', '.join(map(str, numbers[i]))}]" for i in (0, 1, 3, 4, 2) if len(numbers[i])]
    return f"#stablehlo.{kind}<{', '.join([*parts, f'index_vector_dim = {indices.ndim - 1}'])}>"


def _arranged(out: Any, row_dims: range, offset_dims: Sequence[int]) -> Any:
    """`out`, whose axes `row_dims` run over index rows and the others through windows, with the
    latter at `offset_dims`."""
    windows = iter(i for i in range(out.ndim) if i not in row_dims)
    rows = iter(row_dims)
    order = [next(windows) if d in offset_dims else next(rows) for d in range(out.ndim)]
    return out if order == list(range(out.ndim)) else out.transpose(order)


class ScatterBase(Primitive):
    """Operand 0 with windows, which start at the rows of operand 1, combined with those of operand
    2 by `combine`.

    Windows that meet are combined one after the other, in the order of the rows.
    """

    weakness = "first"
    #: The binary ufunc that combines old elements with updates; None replaces them.
    combine: Any = None
    #: The operation that does the same in compiled programs.
    hlo: str | None = None
    kinds = "biufck"

    def type_of(
        self, x: ShapedArray, indices: ShapedArray, updates: ShapedArray, *, dimension_numbers: Any, **_: Any
    ) -> ShapedArray:
        name, n = self.name, dimension_numbers
        if x.dtype != updates.dtype:
            raise TypeError(
                f"lax.{name} requires arguments to have the same dtypes, got {dtypes.name(x.dtype)}, {dtypes.name(updates.dtype)}."
            )
        if dtypes.kind(x.dtype) not in self.kinds:
            raise TypeError(f"{name} does not accept dtype {dtypes.name(x.dtype)}")
        at.check_indices(name, indices, n)
        if updates.ndim != len(n.update_window_dims) + indices.ndim - 1:
            raise TypeError(
                f"{name}: updates of shape {updates.shape} must have the {len(n.update_window_dims)} window axes and an axis for each of "
                f"the leading axes of indices of shape {indices.shape}"
            )
        at.check_numbers(name, n, x.ndim, updates.ndim)
        dropped = (*n.inserted_window_dims, *n.operand_batching_dims)
        bounds = [m for i, m in enumerate(x.shape) if i not in dropped]
        if any(updates.shape[d] > m for d, m in zip(n.update_window_dims, bounds)):
            raise TypeError(
                f"{name}: the windows of updates of shape {updates.shape} (axes {tuple(n.update_window_dims)}) do not fit into an "
                f"operand of shape {x.shape}"
            )
        rows = tuple(m for d, m in enumerate(updates.shape) if d not in n.update_window_dims)
        for i, (m, size) in enumerate(zip(rows, indices.shape)):
            if m != size:
                raise TypeError(
                    "Bounds of the scatter dimensions of updates must be the same as the bounds of the corresponding dimensions of "
                    f"scatter indices. For scatter dimension {i}, updates bound is {m}, indices bound is {size}."
                )
        return x

    def evaluate(
        self, x: Any, indices: Any, updates: Any, *, dimension_numbers: Any, mode: Any, unique_indices: bool, **_: Any
    ) -> Any:
        n, indices, updates = dimension_numbers, np.asarray(indices), np.asarray(updates)
        out = np.array(x, order="C")
        if not out.size:
            return out
        rows = indices.shape[:-1]
        sizes = at.window_sizes(out.shape, updates.shape, n)
        row_dims = [d for d in range(updates.ndim) if d not in n.update_window_dims]
        updates = updates.transpose((*row_dims, *n.update_window_dims)).reshape((*rows, *sizes))
        starts = at.window_starts(indices, n)
        if mode is CLIP:
            starts = at.clamped_starts(out.shape, sizes, starts, n.scatter_dims_to_operand_dims)
        else:
            valid = at.valid_windows(out.shape, sizes, starts, n.scatter_dims_to_operand_dims)
            if valid is not None:
                starts = {axis: s[valid] for axis, s in starts.items()}
                updates = updates[valid]
                rows = updates.shape[:1]
        if not updates.size:
            return out
        index = at.window_index(starts, rows)
        combine = self.combine
        count = updates.size
        for size in sizes:
            count //= size
        if combine is None or unique_indices or count == 1:
            windows = at.windows_view(out, sizes, list(starts), writeable=True)
            updates = updates.reshape((*rows, *(m for m in sizes if m != 1)))
            windows[index] = updates if combine is None else combine(windows[index], updates)
        else:
            # One flat position an element, which is the case that ufunc.at is fast in.
            flat = np.zeros((1,) * updates.ndim, np.intp)
            strides = [s // out.itemsize for s in out.strides]
            for axis, start in starts.items():
                flat = flat + start.reshape((*rows, *(1,) * out.ndim)) * strides[axis]
            for axis, size in enumerate(sizes):
                if size > 1:
                    flat = flat + (np.arange(size) * strides[axis]).reshape((size, *(1,) * (out.ndim - 1 - axis)))
            flat = flat if flat.shape == updates.shape else np.broadcast_to(flat, updates.shape)
            combine.at(out.reshape(-1), flat.reshape(-1), updates.reshape(-1))
        return out

    def lower(
        self, emit: Any, x: Any, indices: Any, updates: Any, *, dimension_numbers: ScatterDimensionNumbers, mode: Any,
        unique_indices: bool, indices_are_sorted: bool, **_: Any,
    ) -> Any:  # fmt: skip
        n = dimension_numbers
        if not updates.size or not x.size:
            return x
        indices = _wide_indices(emit, indices)
        if mode is CLIP and len(n.scatter_dims_to_operand_dims):
            sizes = at.window_sizes(x.shape, updates.shape, n)
            bounds = tuple(x.shape[a] - sizes[a] for a in n.scatter_dims_to_operand_dims)
            indices = emit("clamp", emit.like(0, indices), indices, _bounds(emit, indices, bounds), out=indices)
        scalar = ShapedArray((), x.dtype)
        body = lambda old, new: new if self.hlo is None else emit(self.hlo, old, new)
        return emit(
            "scatter", x, indices, updates, out=x,
            scatter_dimension_numbers=_numbers_text("scatter", n, indices),
            indices_are_sorted=indices_are_sorted and mode is not CLIP, unique_indices=unique_indices and mode is not CLIP,
            regions=[emit.region([scalar, scalar], body)],
        )  # fmt: skip

    def batch(self, size: int, args: Any, axes: Any, *, dimension_numbers: Any, **params: Any) -> Any:
        (x, indices, updates), (b, b_indices, b_updates) = args, axes
        x, updates = batch_first(x, b, size), batch_first(updates, b_updates, size)
        together = b_indices is not None
        if together:
            indices = move_axis(indices, b_indices, 0)
        numbers = _batched_numbers(dimension_numbers, kept=not together)
        return self.bind(x, indices, updates, dimension_numbers=numbers, **params), 0

    def read(self, x: Any, indices: Any, updates_shape: Shape, params: Params) -> Any:
        """The elements of `x` that updates of `updates_shape` go to; 0 where they are dropped."""
        numbers, mode = params["dimension_numbers"], params["mode"]
        sizes = at.window_sizes(x.shape, updates_shape, numbers)
        return gather_p.bind(
            x, indices, dimension_numbers=GatherDimensionNumbers(*numbers), slice_sizes=sizes,
            mode=CLIP if mode is CLIP else FILL_OR_DROP, fill_value=0,
            indices_are_sorted=params["indices_are_sorted"], unique_indices=params["unique_indices"],
        )  # fmt: skip


def _is_unique(indices: Any, params: Params) -> bool:
    """Whether no two windows can meet: promised, or there is only one."""
    return params["unique_indices"] or math.prod(indices.shape[:-1]) <= 1


class Scatter(ScatterBase, IndexedMover):
    """Replaces windows; where several meet, the last one stays."""

    name = "scatter"
    linear_in = (0, 2)

    def transpose(self, ct: Any, x: Any, indices: Any, updates: Any, **params: Any) -> Sequence[Any]:
        ct_x = ct_updates = None
        if is_node(x):
            ct_x = self.bind(ct, indices, zeros_like_shape(ct, updates.shape), **params)
        if is_node(updates):
            ct_updates = self.read(ct, indices, updates.shape, params)
            if not _is_unique(indices, params):
                # Only the update that stays has a cotangent: number the updates, and see which
                # numbers stay.
                number = np.arange(1, math.prod(updates.shape) + 1, dtype=np.int32)
                number = concrete(number.reshape(updates.shape))
                numbers = self.bind(zeros_like_shape(number, x.shape), indices, number, **params)
                stays = eq_p.bind(self.read(numbers, indices, updates.shape, params), number)
                ct_updates = select(stays, ct_updates, zeros_like_shape(ct, updates.shape))
        return [ct_x, None, ct_updates]


class ScatterAdd(ScatterBase, LinearPrimitive):
    """Adds to windows."""

    name = "scatter_add"
    linear_in = (0, 2)
    combine: Any = np.add
    hlo = "add"
    kinds = "iufc"

    def transpose(self, ct: Any, x: Any, indices: Any, updates: Any, **params: Any) -> Sequence[Any]:
        ct_updates = self.read(ct, indices, updates.shape, params) if is_node(updates) else None
        return [ct if is_node(x) else None, None, ct_updates]


class ScatterSub(ScatterAdd):
    """Subtracts from windows."""

    name = "scatter_sub"
    combine: Any = np.subtract
    hlo = "subtract"

    def transpose(self, ct: Any, x: Any, indices: Any, updates: Any, **params: Any) -> Sequence[Any]:
        ct_x, _, ct_updates = super().transpose(ct, x, indices, updates, **params)
        return [ct_x, None, None if ct_updates is None else neg_p.bind(ct_updates)]


class ScatterMul(ScatterBase):
    """Multiplies windows."""

    name = "scatter_mul"
    combine: Any = np.multiply
    hlo = "multiply"
    kinds = "iufc"

    def is_linear(self, active: Sequence[bool]) -> bool:
        return active[0] and not any(active[1:])

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        x, indices, updates = primals
        t_x, _, t_updates = tangents
        out = self.bind(x, indices, updates, **params)
        t_out = None if t_x is None else self.bind(t_x, indices, updates, **params)
        if t_updates is not None:
            if not _is_unique(indices, params):
                return self._jvp_by_rounds(primals, tangents, params)
            # No windows meet, so that out = x · u at them, and the derivative along u is x · t_u.
            products = mul_p.bind(self.read(x, indices, updates.shape, params), t_updates)
            base = zeros_like_shape(out, x.shape) if t_out is None else t_out
            t_out = scatter_add_p.bind(base, indices, products, **params)
        return out, t_out

    def _jvp_by_rounds(self, primals: Any, tangents: Any, params: Params) -> Any:
        # Where factors meet, x·Πu is a product of as many multiplications with unique positions,
        # each differentiated for itself.
        (x, indices, updates), (t, _, t_updates) = primals, tangents
        known = known_value(indices)
        if known is None:
            raise NotImplementedError(
                "derivatives of scatter_mul with respect to the updates need unique positions or indices that are known while "
                f"tracing, at {user_line()}: pass unique_indices=True if the positions are distinct"
            )
        for masked in at.rounds(known, params["dimension_numbers"], x.shape, updates.shape, params["mode"]):
            once = {**params, "unique_indices": True, "mode": FILL_OR_DROP, "indices_are_sorted": False}
            x, t = self.jvp((x, masked, updates), (t, None, t_updates), **once)
        return x, t

    def transpose(self, ct: Any, x: Any, indices: Any, updates: Any, **params: Any) -> Sequence[Any]:
        return [self.bind(ct, indices, updates, **params), None, None]


class ScatterExtremum(ScatterBase):
    """The smaller or larger of old elements and updates. Equal ones share the derivative equally."""

    makes_nan = False

    kinds = "biufc"

    def __init__(self, name: str, combine: Any, hlo: str) -> None:
        self.name, self.combine, self.hlo = name, combine, hlo
        super().__init__()

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        x, indices, updates = primals
        t_x, _, t_updates = tangents
        out = self.bind(x, indices, updates, **params)
        if t_x is None and t_updates is None:
            return out, None
        # out at an element is the extremum of the old element and of all updates that went there.
        # With k of these equal to it, each contributes 1/k of its tangent.
        x_won = eq_p.bind(x, out)
        update_won = eq_p.bind(updates, self.read(out, indices, updates.shape, params))
        once = {**params, "unique_indices": _is_unique(indices, params)}
        count = scatter_add_p.bind(convert(x_won, x.dtype), indices, convert(update_won, x.dtype), **once)
        zeros, update_zeros = zeros_like_shape(x, x.shape), zeros_like_shape(x, updates.shape)
        t_x = zeros if t_x is None else select(x_won, t_x, zeros)
        t_updates = update_zeros if t_updates is None else select(update_won, t_updates, update_zeros)
        total = scatter_add_p.bind(t_x, indices, t_updates, **once)
        return out, mul_p.bind(div_p.bind(like(1, x), count), total)


gather_p = Gather()
scatter_p, scatter_add_p, scatter_sub_p, scatter_mul_p = Scatter(), ScatterAdd(), ScatterSub(), ScatterMul()


scatter_min_p = ScatterExtremum("scatter_min", np.minimum, "minimum")
scatter_max_p = ScatterExtremum("scatter_max", np.maximum, "maximum")


def _ints(values: Any) -> Shape:
    return integers(values, "dimension numbers and slice sizes")


def checked_fill(fill_value: Any, x: Any) -> Any:
    """`fill_value`, for reading `x` out of bounds. Raises ValueError if it is no scalar, TypeError
    if it is complex and `x` is not."""
    if getattr(fill_value, "shape", ()):
        raise ValueError(f"fill_value must be a scalar, got an array of shape {fill_value.shape}, at {user_line()}")
    if fill_value is not None and dtypes.is_complex(dtypes.typing_of(fill_value)[0]) and dtypes.kind(x.dtype) in "iuf":
        raise TypeError(f"the fill value {fill_value} is complex, and what is read is not: {x.aval}, at {user_line()}")
    return fill_value


def gather(
    operand: Any, start_indices: Any, dimension_numbers: GatherDimensionNumbers, slice_sizes: Sequence[int], *,
    unique_indices: bool = False, indices_are_sorted: bool = False, mode: Any = None, fill_value: Any = None,
) -> Array:  # fmt: skip
    """Windows of `operand`, of shape `slice_sizes`, starting at the rows of `start_indices` (XLA's
    Gather).

    `start_indices` has shape (*rows, number of indexed axes); the result has the rows' axes and, at
    `offset_dims`, the windows'. With mode None the positions are taken to be in bounds (and
    clamped). In mode "fill" windows out of bounds read `fill_value` (by default NaN, the smallest
    signed or the largest unsigned integer, True). Raises TypeError for inconsistent shapes.

    >>> x = as_array(np.arange(10, dtype=np.float32))
    >>> gather(x, np.array([[7], [2]]), GatherDimensionNumbers((1,), (), (0,)), (3,))
    Array([[7., 8., 9.],
           [2., 3., 4.]], dtype=float32)
    """
    x, indices = as_array(operand), as_array(start_indices)
    mode = at.PROMISE_IN_BOUNDS if mode is None else at.GatherScatterMode.from_any(mode)
    params: Params = {
        "dimension_numbers": GatherDimensionNumbers(*map(_ints, dimension_numbers)), "slice_sizes": _ints(slice_sizes),
        "indices_are_sorted": bool(indices_are_sorted), "unique_indices": bool(unique_indices), "mode": mode,
        "fill_value": checked_fill(fill_value, x) if mode is FILL_OR_DROP else None,
    }  # fmt: skip
    return bind_checked(gather_p, x, indices, **params)


def _function(primitive: ScatterBase, text: str | None = None) -> Callable[..., Array]:
    """The public function of a primitive."""

    def scatter(
        operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *, indices_are_sorted: bool = False,
        unique_indices: bool = False, mode: Any = None,
    ) -> Array:  # fmt: skip
        """`operand` with the windows that start at the rows of `scatter_indices` replaced by
        `updates` (XLA's Scatter).

        Windows out of bounds are dropped (clamped in mode "clip"); of several at one place the last
        stays. `unique_indices` promises that none meet. Raises TypeError for inconsistent shapes or
        dtypes.

        >>> x = as_array(np.zeros(4, np.float32))
        >>> scatter(x, np.array([[2], [0]]), np.float32([5, 6]), ScatterDimensionNumbers((), (0,), (0,)))
        Array([6., 0., 5., 0.], dtype=float32)
        """
        x, indices = as_array(operand), as_array(scatter_indices)
        params = _scatter_params(dimension_numbers, indices_are_sorted, unique_indices, mode)
        return bind_checked(primitive, x, indices, beside(x, updates), **params)

    scatter.__name__ = scatter.__qualname__ = primitive.name
    scatter.__doc__ = text or scatter.__doc__
    return scatter


def _scatter_params(numbers: Any, is_sorted: Any, unique: Any, mode: Any) -> Params:
    return {
        "dimension_numbers": ScatterDimensionNumbers(*map(_ints, numbers)), "indices_are_sorted": bool(is_sorted),
        "unique_indices": bool(unique), "mode": at.GatherScatterMode.from_any(mode),
    }  # fmt: skip


scatter = _function(scatter_p)
scatter_add = _function(
    scatter_add_p,
    """As `scatter`, adding `updates` to what is there: of several at one place, all.

    >>> each = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_add(np.zeros(3), np.array([[0], [2], [0], [9]]), np.ones(4), each)  # 9 is dropped
    Array([2., 0., 1.], dtype=float32)
    """,
)
scatter_sub = _function(
    scatter_sub_p,
    """As `scatter`, subtracting `updates` from what is there: of several at one place, all.

    >>> each = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_sub(np.array([5, 5, 5]), np.array([[0], [2]]), np.array([1, 2]), each)
    Array([4, 5, 3], dtype=int32)
    """,
)
scatter_mul = _function(
    scatter_mul_p,
    """As `scatter`, multiplying what is there by `updates`: of several at one place, by all.

    Differentiating with respect to updates whose positions may repeat needs indices that are known
    while tracing.

    >>> each = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_mul(np.array([5, 5, 5]), np.array([[0], [2], [2]]), np.array([2, 3, 3]), each)
    Array([10,  5, 45], dtype=int32)
    """,
)
scatter_min = _function(
    scatter_min_p,
    """As `scatter`, keeping the smaller of what is there and `updates` (NaN if one is).

    >>> each = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_min(np.array([5, 5, 5]), np.array([[0], [2]]), np.array([1, 9]), each)
    Array([1, 5, 5], dtype=int32)
    """,
)
scatter_max = _function(
    scatter_max_p,
    """As `scatter`, keeping the larger of what is there and `updates` (NaN if one is).

    >>> each = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_max(np.array([5, 5, 5]), np.array([[0], [2]]), np.array([1, 9]), each)
    Array([5, 5, 9], dtype=int32)
    """,
)


#: With traced indices that may repeat, each window is updated for itself; more than this many would
#: make programs too long.
_LONGEST_UNROLLED = 16


def scatter_apply(
    operand: Any, scatter_indices: Any, func: Callable[[Any], Any], dimension_numbers: ScatterDimensionNumbers, *,
    update_shape: Sequence[int] = (), indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None,
) -> Array:  # fmt: skip
    """`operand` with the elementwise function `func` applied to the windows that start at the rows of
    `scatter_indices`.

    `update_shape` is the shape that updates would have. A position that occurs k times has `func`
    applied k times. Raises TypeError if `func` changes shape or dtype, NotImplementedError for many
    traced indices that are not promised to be unique.

    >>> each = ScatterDimensionNumbers((), (0,), (0,))
    >>> scatter_apply(np.array([1, 2, 3]), np.array([[0], [2], [2]]), lambda x: 10 * x, each, update_shape=(3,))
    Array([ 10,   2, 300], dtype=int32)
    """
    x, indices, shape = as_array(operand), as_array(scatter_indices), _ints(update_shape)
    return apply_windows(x, indices, func, dimension_numbers, shape, mode, unique_indices, indices_are_sorted)


def apply_windows(
    x: Array, indices: Array, func: Any, numbers: Any, shape: Shape, mode: Any, unique: bool, is_sorted: bool
) -> Array:
    """`scatter_apply` of arrays."""
    params = _scatter_params(numbers, is_sorted, unique, mode)
    numbers, mode, steps = params["dimension_numbers"], params["mode"], [indices]
    scatter_p.type_of(x.aval, indices.aval, ShapedArray(shape, x.dtype), **params)
    if not _is_unique(indices, params):
        known = known_value(indices)
        count = math.prod(indices.shape[:-1]) if indices.shape[-1] else 1
        if known is None and count > _LONGEST_UNROLLED:
            raise NotImplementedError(
                f"applying a function at {count} traced positions that may repeat, at {user_line()}: pass unique_indices=True if they "
                "are distinct"
            )
        params = {**params, "unique_indices": True, "indices_are_sorted": False, "mode": FILL_OR_DROP}
        if known is None:
            indices = at.wide_index(indices)
            if mode is CLIP:
                sizes = at.window_sizes(x.shape, shape, numbers)
                last = [x.shape[a] - sizes[a] for a in numbers.scatter_dims_to_operand_dims]
                upper = concrete(np.broadcast_to(np.asarray(last, indices.dtype), indices.shape))
                indices = max_p.bind(min_p.bind(indices, upper), like(0, indices))
            steps = [_only(indices, i) for i in range(count)]
        else:
            steps = at.rounds(known, numbers, x.shape, shape, mode)
    for step in steps:
        old = scatter_p.read(x, step, shape, params)
        new = as_array(func(old))
        if new.shape != old.shape:
            raise TypeError(
                f"the function applied to {old.aval} must keep the shape, but gave {new.aval}, at {user_line()}"
            )
        x = scatter_p.bind(x, step, convert(new, x.dtype), **params)
    return x


def _only(indices: Array, row: int) -> Array:
    """`indices` with all rows but one moved out of bounds."""
    chosen = np.zeros(indices.shape[:-1], bool)
    chosen.reshape(-1)[row] = True
    return select(concrete(np.broadcast_to(chosen[..., None], indices.shape)), indices, like(-1, indices))


__all__ = [
    "gather", "gather_p", "scatter", "scatter_add", "scatter_add_p", "scatter_apply", "scatter_max",
    "scatter_max_p", "scatter_min", "scatter_min_p", "scatter_mul", "scatter_mul_p", "scatter_p", "scatter_sub",
    "scatter_sub_p",
]  # fmt: skip
