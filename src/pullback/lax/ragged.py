"""ragged_dot, ragged_dot_general: contractions of groups of rows, each group with a matrix of its
own.

There are two operations, each of which is a transpose of the other; rows of no group give zeros in
the one, and take no part in the other:

    ragged_dot       out[rows of group i] = x[rows of group i] @ y[i]
    ragged_sums      out[i] = x[rows of group i].T @ y[rows of group i]

Group i consists of the rows from `bounds[i]` up to `bounds[i + 1]`; bounds never decrease, and are
between 0 and the number of rows. The operands' axes are these:

    x        problems, batch, rows, others, columns      a problem has bounds of its own
    y        groups, sets, batch, columns, columns       of ragged_dot; problems in turn use a set of matrices
    y        problems, batch, rows, others, columns      of ragged_sums
    bounds   problems, groups + 1

What is computed are the rows that belong to a group, and not all rows for each group: NumPy
multiplies slices; compiled programs go from group to group in steps of a fixed number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive, is_node
from pullback.core.staging import stage_flat
from pullback.core.types import Shape, ShapedArray, integers, refuse_keys
from pullback.lax.arrangement import concatenate, pad_p, slice_in_dim
from pullback.lax.blocks import dynamic_slice, dynamic_slice_p, dynamic_update_slice_p
from pullback.lax.contraction import accumulator, contracted_axes, dot_general, dot_general_p, free_axes, of_one_type
from pullback.lax.creation import broadcasted_iota, full, iota
from pullback.lax.cumulative import cummin, cumsum
from pullback.lax.elementwise import clamp_p, lt_p, min_p
from pullback.lax.family import like
from pullback.lax.selection import select
from pullback.lax.shape import (
    batch_first,
    broadcast_in_dim_p,
    broadcast_to,
    convert,
    move_axis,
    reshape_p,
    strong,
    transpose_p,
)
from pullback.xla.devices import no_sharding


class _Ragged(Primitive):
    """Base: what both operations have in common. They are linear in x and y separately."""

    weakness = "never"
    contracts = True

    def is_linear(self, active: Sequence[bool]) -> bool:
        return list(active).count(True) == 1 and not active[2]

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        (x, y, bounds), (t_x, t_y, _) = primals, tangents
        out = self.bind(x, y, bounds, **params)
        if t_x is None and t_y is None:
            return out, None
        if t_y is None:
            return out, self.bind(t_x, y, bounds, **params)
        if t_x is None:
            return out, self.bind(x, t_y, bounds, **params)
        return out, self.bind(t_x, y, bounds, **params) + self.bind(x, t_y, bounds, **params)

    def output(self, x: ShapedArray, y: ShapedArray, shape: Shape, preferred_element_type: Any) -> ShapedArray:
        """The result's type; a weakly typed operand says nothing of it."""
        refuse_keys(self.name, x, y)
        return ShapedArray(shape, preferred_element_type or x.dtype)


class RaggedDot(_Ragged):
    """See the module's text."""

    name = "ragged_dot"

    def type_of(self, x: Any, y: Any, bounds: Any, *, preferred_element_type: Any, **_: Any) -> ShapedArray:
        return self.output(x, y, (*x.shape[:4], y.shape[4]), preferred_element_type)

    def evaluate(self, x: Any, y: Any, bounds: Any, *, precision: Any, preferred_element_type: Any) -> Any:
        problems, batch, _, others, columns = x.shape
        groups, sets = y.shape[:2]
        dtype = preferred_element_type or x.dtype
        out = np.zeros((*x.shape[:4], y.shape[4]), dtype)
        params = {"precision": precision, "preferred_element_type": preferred_element_type}
        for p in range(problems):
            for i in range(groups):
                start, end = bounds[p, i : i + 2]
                if start < end:
                    rows = x[p, :, start:end].reshape(batch, (end - start) * others, columns)
                    product = _product(rows, y[i, p * sets // problems], False, params)
                    out[p, :, start:end] = product.reshape(batch, end - start, others, -1)
        return out

    def lower(self, emit: Any, x: Any, y: Any, bounds: Any, **params: Any) -> Any:
        problems, batch, rows, others, columns = x.shape
        groups, sets = y.shape[:2]
        steps = _Steps(problems, rows, groups)

        def step(place: _Place, out: Any, x: Any, y: Any) -> Any:
            part = _block(x, (place.problem, 0, place.at, 0, 0), (1, batch, steps.length, others, columns))
            matrix = _block(y, (place.group, place.set_of(sets, problems), 0, 0, 0), (1, 1, *y.shape[2:]))
            part = reshape_p.bind(part, new_sizes=(batch, steps.length * others, columns))
            matrix = reshape_p.bind(matrix, new_sizes=tuple(matrix.shape[2:]))
            shape = (1, batch, steps.length, others, matrix.shape[2])
            product = reshape_p.bind(_matrices(part, matrix, False, params), new_sizes=shape)
            before = _block(out, (place.problem, 0, place.at, 0, 0), shape)
            inside = broadcast_in_dim_p.bind(place.inside, shape=shape, broadcast_dimensions=(2,))
            return _put(out, select(inside, product, before), (place.problem, 0, place.at, 0, 0))

        return steps.lower(emit, step, emit.type, emit.type.dtype, bounds, x, y)

    def transpose(self, ct: Any, x: Any, y: Any, bounds: Any, *, precision: Any, **_: Any) -> Sequence[Any]:
        params = {"precision": precision, "preferred_element_type": None}
        if is_node(x):
            return [self.bind(_like(ct, y), _swapped(y), bounds, **params), None, None]
        return [None, ragged_sums_p.bind(x, _like(ct, x), bounds, sets=y.shape[1], **params), None]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        (x, y, bounds), (b_x, b_y, b_bounds) = args, axes
        if b_bounds is not None:  # more problems
            x, bounds = _merged(batch_first(x, b_x, size), 0), _merged(batch_first(bounds, b_bounds, size), 0)
            if b_y is not None or y.shape[1] > 1:
                y = _merged(move_axis(batch_first(y, b_y, size), 0, 1), 1)
            return _split(self.bind(x, y, bounds, **params), 0, size), 0
        if b_x is not None and b_y is not None:
            x, y = _merged(move_axis(x, b_x, 1), 1), _merged(move_axis(y, b_y, 2), 2)
            return _split(self.bind(x, y, bounds, **params), 1, size), 1
        if b_x is not None:
            return _split(self.bind(_merged(move_axis(x, b_x, 3), 3), y, bounds, **params), 3, size), 3
        return _split(self.bind(x, _merged(move_axis(y, b_y, 4), 4), bounds, **params), 4, size), 4


class RaggedSums(_Ragged):
    """See the module's text. The result's axes are groups, `sets`, batch, columns of x, columns of
    y."""

    name = "ragged_sums"

    def type_of(self, x: Any, y: Any, bounds: Any, *, sets: int, preferred_element_type: Any, **_: Any) -> ShapedArray:
        shape = (bounds.shape[1] - 1, sets, x.shape[1], x.shape[4], y.shape[4])
        return self.output(x, y, shape, preferred_element_type)

    def evaluate(self, x: Any, y: Any, bounds: Any, *, sets: int, precision: Any, preferred_element_type: Any) -> Any:
        problems, batch = x.shape[:2]
        groups = bounds.shape[1] - 1
        dtype = preferred_element_type or x.dtype
        # Sums over several problems are rounded once.
        partial = dtype if sets == problems else accumulator(x.dtype, dtype)
        out = np.zeros((groups, sets, batch, x.shape[4], y.shape[4]), partial)
        params = {"precision": precision, "preferred_element_type": partial}
        for p in range(problems):
            for i in range(groups):
                start, end = bounds[p, i : i + 2]
                if start < end:
                    a, b = (v[p, :, start:end].reshape(batch, -1, v.shape[4]) for v in (x, y))
                    place = out[i, p * sets // problems]
                    place[...] = np.add(place, _product(a, b, True, params))
        return out if partial == dtype else out.astype(dtype)

    def lower(self, emit: Any, x: Any, y: Any, bounds: Any, *, sets: int, **params: Any) -> Any:
        problems, batch, rows, others, _ = x.shape
        steps = _Steps(problems, rows, emit.type.shape[0])
        partial = accumulator(x.dtype, emit.type.dtype)
        params = {**params, "preferred_element_type": partial}

        def step(place: _Place, out: Any, *operands: Any) -> Any:
            parts = []
            for v in operands:
                part = _block(v, (place.problem, 0, place.at, 0, 0), (1, batch, steps.length, others, v.shape[4]))
                inside = broadcast_in_dim_p.bind(place.inside, shape=part.shape, broadcast_dimensions=(2,))
                part = select(inside, part, full(part.shape, 0, part.dtype))
                parts.append(reshape_p.bind(part, new_sizes=(batch, steps.length * others, v.shape[4])))
            product = _matrices(*parts, True, params)
            where = (place.group, place.set_of(sets, problems), 0, 0, 0)
            product = reshape_p.bind(product, new_sizes=(1, 1, *product.shape))
            return _put(out, _block(out, where, product.shape) + product, where)

        return steps.lower(emit, step, emit.type, partial, bounds, x, y)

    def transpose(self, ct: Any, x: Any, y: Any, bounds: Any, *, precision: Any, **_: Any) -> Sequence[Any]:
        params = {"precision": precision, "preferred_element_type": None}
        if is_node(x):
            return [ragged_dot_p.bind(y, _swapped(_like(ct, y)), bounds, **params), None, None]
        return [None, ragged_dot_p.bind(x, _like(ct, x), bounds, **params), None]

    def batch(self, size: int, args: Any, axes: Any, *, sets: int, **params: Any) -> Any:
        (x, y, bounds), (b_x, b_y, b_bounds) = args, axes
        if b_bounds is not None:
            operands = [_merged(batch_first(v, b, size), 0) for v, b in zip(args, axes)]
            return _split(self.bind(*operands, sets=size * sets, **params), 1, size), 1
        if b_x is not None and b_y is not None:
            x, y = (_merged(move_axis(v, b, 1), 1) for v, b in ((x, b_x), (y, b_y)))
            return _split(self.bind(x, y, bounds, sets=sets, **params), 2, size), 2
        if b_x is not None:
            return _split(self.bind(_merged(move_axis(x, b_x, 4), 4), y, bounds, sets=sets, **params), 3, size), 3
        return _split(self.bind(x, _merged(move_axis(y, b_y, 4), 4), bounds, sets=sets, **params), 4, size), 4


ragged_dot_p, ragged_sums_p = RaggedDot(), RaggedSums()


def _merged(x: Any, axis: int) -> Any:
    """`x` with `axis` and the next one as one axis."""
    return reshape_p.bind(x, new_sizes=(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


def _split(x: Any, axis: int, size: int) -> Any:
    """`x` with an axis of length `size` taken out of `axis`, in front of it."""
    return reshape_p.bind(x, new_sizes=(*x.shape[:axis], size, x.shape[axis] // size, *x.shape[axis + 1 :]))


def _swapped(y: Any) -> Any:
    return transpose_p.bind(y, permutation=(0, 1, 2, 4, 3))


def _like(ct: Any, other: Any) -> Any:
    return convert(ct, other.dtype) if ct.dtype != other.dtype else ct


# ---- products of matrices ------------------------------------------------------------------------


def _numbers(batch: int, contracts_rows: bool) -> Any:
    axes = ((0,), (0,)) if contracts_rows else ((1,), (0,))
    return (axes, ((), ())) if batch == 1 else (tuple((i + 1,) for (i,) in axes), ((0,), (0,)))


def _product(x: Any, y: Any, contracts_rows: bool, params: dict[str, Any]) -> Any:
    """The products of matrices of NumPy's, of which there are `x.shape[0]`."""
    numbers = _numbers(x.shape[0], contracts_rows)
    if x.shape[0] == 1:
        return dot_general_p.evaluate(x[0], y[0], dimension_numbers=numbers, **params)[None]
    return dot_general_p.evaluate(x, y, dimension_numbers=numbers, **params)


def _matrices(x: Any, y: Any, contracts_rows: bool, params: dict[str, Any]) -> Any:
    """The same in a program."""
    if x.shape[0] > 1:
        return dot_general_p.bind(x, y, dimension_numbers=_numbers(x.shape[0], contracts_rows), **params)
    x, y = (reshape_p.bind(v, new_sizes=tuple(v.shape[1:])) for v in (x, y))
    out = dot_general_p.bind(x, y, dimension_numbers=_numbers(1, contracts_rows), **params)
    return reshape_p.bind(out, new_sizes=(1, *out.shape))


# ---- compiled ------------------------------------------------------------------------------------


def _block(x: Any, starts: Sequence[Any], sizes: Shape) -> Any:
    return dynamic_slice_p.bind(x, *map(_int32, starts), slice_sizes=tuple(sizes))


def _put(x: Any, block: Any, starts: Sequence[Any]) -> Any:
    return dynamic_update_slice_p.bind(x, block, *map(_int32, starts))


def _int32(i: Any) -> Any:
    return concrete(np.int32(i)) if isinstance(i, int) else i


@dataclass(frozen=True)
class _Place:
    """Where a step is: in which problem and group, from which row on (`at`), and which of its rows
    belong to the group and have not been done (`inside`)."""

    problem: Any
    group: Any
    at: Any
    inside: Any

    def set_of(self, sets: int, problems: int) -> Any:
        """The number of the set of matrices that the problem uses."""
        return self.problem // (problems // sets) if sets != problems else self.problem


class _Steps:
    """The loop of a program over the groups of all problems, `length` rows in a step.

    A step of a group's last rows reads rows of the next one, too, and leaves them as they are. The
    length is half of a group's, if groups are of one size: longer steps waste more, shorter ones
    are less efficient.
    """

    def __init__(self, problems: int, rows: int, groups: int) -> None:
        self.problems, self.rows, self.groups = problems, rows, groups
        usual = rows / max(groups, 1) / 2
        length = _LEAST_STEP
        while length < usual and length < _LARGEST_STEP:
            length *= 2
        self.length = min(rows, length)

    def lower(
        self, emit: Any, step: Callable[..., Any], out: ShapedArray, partial: Any, bounds: Any, *operands: Any
    ) -> Any:
        """`step(place, result so far, *operands)` for all groups, from zeros of the dtype
        `partial`."""
        count = self.problems * self.groups
        zeros = emit.constant(0, partial, out.shape)
        if not (count and self.rows and all(n for v in operands for n in v.shape)):
            return emit.convert(zeros, out.dtype)

        def prepared(bounds: Any) -> list[Any]:
            first, last = (
                reshape_p.bind(dynamic_slice(bounds, (0, i), (self.problems, self.groups)), new_sizes=(count,))
                for i in (0, 1)
            )
            # The number of the next group that has rows, from each group on.
            numbers = select(first < last, iota(dtypes.int32, count), full((count,), count, dtypes.int32))
            following = concatenate([cummin(numbers, reverse=True), full((1,), count, dtypes.int32)], 0)
            return [first, last, following, following[0], _at(first, following[0])]

        def body(first: Any, last: Any, following: Any, number: Any, start: Any, result: Any, *operands: Any) -> Any:
            end = _at(last, number)
            # The last rows that there are may have been done in part.
            at = select(start < self.rows - self.length, start, full((), self.rows - self.length, dtypes.int32))
            rows = at + iota(dtypes.int32, self.length)
            inside = (rows >= start) & (rows < end)
            place = _Place(number // self.groups, number % self.groups, at, inside)
            result = step(place, result, *operands)
            start = start + self.length
            is_done = start >= end
            next_number = select(is_done, _at(following, number + 1), number)
            return [next_number, select(is_done, _at(first, next_number), start), result]

        tables = emit.staged(prepared, bounds)
        state = [*tables[3:], zeros]
        types = [v.aval for v in (*tables[:3], *state, *operands)]
        program = stage_flat(body, types)
        results = emit.while_loop(
            lambda number, *_: emit.compare("LT", number, emit.like(count, number)),
            lambda *state: emit.program(program, [*tables[:3], *state, *operands]),
            state,
        )
        return emit.convert(results[2], out.dtype)


#: How many rows a step has at least, and at most.
_LEAST_STEP, _LARGEST_STEP = 32, 1024


def _at(table: Any, i: Any) -> Any:
    """The number at position `i`, or at the last one."""
    return reshape_p.bind(dynamic_slice_p.bind(table, i, slice_sizes=(1,)), new_sizes=())


# ---- the functions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RaggedDotDimensionNumbers:
    """Axes of a contraction of groups: `dot_dimension_numbers` as for `dot_general`, the axis of
    `lhs` that is divided into groups, and the axis of `rhs` that counts them (none, if the ragged
    axis is contracted or a batch axis), as sequences.

    >>> RaggedDotDimensionNumbers((([1], [1]), ([], [])), [0], [0]).lhs_ragged_dimensions
    (0,)
    """

    dot_dimension_numbers: Any
    lhs_ragged_dimensions: Any
    rhs_group_dimensions: Any

    def __post_init__(self) -> None:
        pairs = tuple([tuple(map(tuple, pair)) for pair in self.dot_dimension_numbers])
        object.__setattr__(self, "dot_dimension_numbers", pairs)
        object.__setattr__(self, "lhs_ragged_dimensions", tuple(self.lhs_ragged_dimensions))
        object.__setattr__(self, "rhs_group_dimensions", tuple(self.rhs_group_dimensions))


_OF_MATRICES = RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,))


def ragged_dot(
    lhs: Any, rhs: Any, group_sizes: Any, precision: Any = None, preferred_element_type: Any = None,
    group_offset: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """Products of groups of rows, each with a matrix of its own: the first `group_sizes[0]` rows of
    `lhs`, of shape (m, k), with `rhs[0]`, the next `group_sizes[1]` rows with `rhs[1]`, and so on.

    `rhs` has shape (g, k, n), the integers `group_sizes` shape (g,), the result shape (m, n). Rows
    that belong to no group, because the sizes add up to less, are zeros; of sizes that add up to
    more, what there is counts; negative ones are 0. See `ragged_dot_general` for the rest.

    >>> import pullback.numpy as jnp
    >>> x, matrices = jnp.ones((4, 2)), jnp.array([[[1.0], [1.0]], [[10.0], [10.0]]])
    >>> ragged_dot(x, matrices, jnp.array([1, 2])).ravel().tolist()
    [2.0, 20.0, 20.0, 0.0]
    """
    return ragged_dot_general(
        lhs, rhs, group_sizes, _OF_MATRICES, precision, preferred_element_type, group_offset, out_sharding
    )


def ragged_dot_general(
    lhs: Any, rhs: Any, group_sizes: Any, ragged_dot_dimension_numbers: RaggedDotDimensionNumbers, precision: Any = None,
    preferred_element_type: Any = None, group_offset: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """`dot_general` of groups: one axis of `lhs`, the ragged one, is divided into groups of
    `group_sizes` elements, in order. What that means depends on what the axis is:

    - A free one: `rhs` has an axis that counts groups (`rhs_group_dimensions`), and the elements of
      a group are multiplied with that part of `rhs`. The shape of the result is that of
      `dot_general`, without the axis of `rhs`.
    - A contracted one: sums are taken over each group, along a new first axis of the result.
    - A batch axis: the product is that of `dot_general`.

    `group_sizes` are integers of shape (g,), or of shape (batch..., outer..., g), where the outer
    axes are those of the kind of the ragged one that come before it: free axes by their place in
    `lhs`, others by their place in the dimension numbers (for a batch axis there are the outer ones
    only). Elements of no group are zeros in the result, or do not take part.

    With `group_offset`, an array of shape (1,), the first group that is computed is the one of that
    number (limited to those there are): `rhs` has the parts for groups from there on, and may have
    fewer than g; of sums, the first one is that of this group.

    Operands of two dtypes are promoted; `preferred_element_type` is the dtype to sum in and of the
    result. Derivatives are contractions of groups, too. Raises TypeError for axes that do not fit,
    for other shapes of `group_sizes`, and for sizes that are no integers.

    >>> import pullback.numpy as jnp
    >>> sums = RaggedDotDimensionNumbers((([0], [0]), ([], [])), [0], [])
    >>> ragged_dot_general(jnp.arange(4.0), jnp.ones(4), jnp.array([1, 3]), sums)
    Array([0., 6.], dtype=float32)
    """
    no_sharding("ragged_dot_general", out_sharding)
    if precision is not None:
        from pullback.lax.precision import check_precision

        check_precision("ragged_dot_general", precision)
    x, y, sizes = as_array(lhs), as_array(rhs), as_array(group_sizes)
    given: Any = ragged_dot_dimension_numbers
    numbers = contracted_axes("ragged_dot_general", x, y, given.dot_dimension_numbers)
    if len(given.lhs_ragged_dimensions) != 1:
        raise _fault(f"exactly one ragged dimension of lhs is needed, got {given.lhs_ragged_dimensions}")
    (ragged,) = integers(given.lhs_ragged_dimensions, "ragged_dot_general: lhs_ragged_dimensions")
    if not 0 <= ragged < x.ndim:
        raise _fault(f"the ragged dimension {ragged} of lhs is out of range for shape {x.shape}")
    if not dtypes.is_integer(sizes.dtype):
        raise _fault(f"group_sizes must be integers, got {dtypes.name(sizes.dtype)}")
    offset = None if group_offset is None else as_array(group_offset)
    if offset is not None and (offset.shape != (1,) or not dtypes.is_integer(offset.dtype)):
        raise _fault(f"group_offset must be an integer array of shape (1,), got {offset.aval.str_short()}")
    ((xc, _), (xb, _)) = numbers
    group = _group_axis(x, y, sizes, given, numbers, ragged, offset is not None)
    x_free = free_axes(x.ndim, xc, xb)
    of_its_kind = xb if ragged in xb else xc if ragged in xc else x_free
    outer = tuple(of_its_kind[: list(of_its_kind).index(ragged)])
    full_shape = tuple(x.shape[i] for i in (*(() if ragged in xb else xb), *outer))
    if not sizes.ndim or sizes.shape[:-1] not in ((), full_shape):
        shapes = {(*s, "g") for s in ((), full_shape)}
        raise _fault(f"group_sizes must have shape {' or '.join(map(str, sorted(shapes, key=len)))}, got {sizes.shape}")
    x, y, dtype = of_one_type(x, y)
    dtype = dtype if preferred_element_type is None else dtypes.canonicalize_dtype(preferred_element_type)
    count = y.shape[group] if group is not None else sizes.shape[-1]
    bounds = _bounds(strong(sizes), x.shape[ragged], offset, count)
    params = {"precision": precision, "preferred_element_type": dtype}
    if ragged in xb:
        out = strong(dot_general(x, y, numbers, **params))
        return out if offset is None else _without_rows_before(bounds, out, xb.index(ragged))
    if group is None:
        return _sums(x, y, bounds, numbers, ragged, outer, params)
    return _products(x, y, bounds, numbers, ragged, group, outer, params)


def _fault(text: str) -> TypeError:
    return TypeError(f"ragged_dot_general: {text}, at {user_line()}")


def _group_axis(
    x: Array, y: Array, sizes: Array, given: Any, numbers: Any, ragged: int, may_be_fewer: bool
) -> int | None:
    """The axis of `y` that counts groups, checked; None if the ragged axis is not free."""
    ((xc, yc), (xb, yb)) = numbers
    groups = integers(given.rhs_group_dimensions, "ragged_dot_general: rhs_group_dimensions")
    if ragged in (*xc, *xb):
        if groups:
            raise _fault(
                f"rhs has no group dimension if the ragged dimension is contracted or a batch one, got {groups}"
            )
        return None
    if len(groups) != 1:
        raise _fault(f"exactly one group dimension of rhs is needed if the ragged dimension is free, got {groups}")
    (group,) = groups
    if not 0 <= group < y.ndim or group in (*yc, *yb):
        raise _fault(
            f"the group dimension {group} of rhs must be one of shape {y.shape} that is neither contracted nor a batch one"
        )
    if sizes.ndim and (y.shape[group] > sizes.shape[-1] if may_be_fewer else y.shape[group] != sizes.shape[-1]):
        raise _fault(f"rhs has {y.shape[group]} groups, and group_sizes of shape {sizes.shape} {sizes.shape[-1]}")
    return group


def _bounds(sizes: Array, rows: int, offset: Array | None, count: int) -> Array:
    """Where `count` groups begin and end, from the one numbered `offset` on; without rows, if there
    are no more."""
    limits = rows if dtypes.iinfo(sizes.dtype).max >= rows else int(dtypes.iinfo(sizes.dtype).max)
    zero, most = (concrete(np.array(n, sizes.dtype)) for n in (0, limits))
    sizes = clamp_p.bind(zero, sizes, most)
    # Each is at most `rows`; only very many of them add up to more than 32 bits have.
    sizes = convert(sizes, dtypes.int32 if rows * sizes.shape[-1] < 2**31 else dtypes.int64)
    ends = convert(min_p.bind(cumsum(sizes, sizes.ndim - 1), like(rows, sizes)), dtypes.int32)
    lead = ends.shape[:-1]
    every = pad_p.bind(ends, like(0, ends), padding_config=(*[(0, 0, 0)] * len(lead), (1, 0, 0)))
    if offset is None:
        return every
    last = slice_in_dim(every, sizes.shape[-1], sizes.shape[-1] + 1, axis=len(lead))
    every = concatenate([every, broadcast_to(last, (*lead, count))], len(lead))
    start = reshape_p.bind(strong(offset), new_sizes=())
    return dynamic_slice(
        every, (*[like(0, start)] * len(lead), start), (*lead, count + 1), allow_negative_indices=False
    )


def _products(
    x: Array, y: Array, bounds: Array, numbers: Any, ragged: int, group: int, outer: Shape, params: dict[str, Any]
) -> Array:
    ((xc, yc), (xb, yb)) = numbers
    if bounds.ndim == 1:
        outer = ()
    x_free, y_free = free_axes(x.ndim, xc, xb), free_axes(y.ndim, yc, yb, (group,))
    rest = [i for i in x_free if i not in outer and i != ragged]
    order = [*outer, ragged, *rest]
    problems, sets, batch, bounds = _by_problems(x, bounds, xb, outer)
    a = _arranged(x, [*xb, *order, *xc], (problems, batch, x.shape[ragged], _size(x, rest), _size(x, xc)))
    b = _arranged(y, [group, *yb, *yc, *y_free], (y.shape[group], sets, batch, _size(x, xc), _size(y, y_free)))
    out = ragged_dot_p.bind(a, b, bounds, **params)
    sizes = [*[x.shape[i] for i in (*xb, *order)], *[y.shape[i] for i in y_free]]
    places = [*range(len(xb)), *[len(xb) + order.index(i) for i in x_free]]
    return _arranged(_reshaped(out, sizes), [*places, *range(len(places), len(sizes))])


def _sums(x: Array, y: Array, bounds: Array, numbers: Any, ragged: int, outer: Shape, params: dict[str, Any]) -> Array:
    ((xc, yc), (xb, yb)) = numbers
    if bounds.ndim == 1:
        outer = ()
    x_free, y_free, pairs = free_axes(x.ndim, xc, xb), free_axes(y.ndim, yc, yb), dict(zip(xc, yc))
    rest = [i for i in xc if i not in outer and i != ragged]
    order = [*outer, ragged, *rest]
    problems, sets, batch, bounds = _by_problems(x, bounds, xb, outer)
    shape = (problems, batch, x.shape[ragged], _size(x, rest))
    a = _arranged(x, [*xb, *order, *x_free], (*shape, _size(x, x_free)))
    b = _arranged(y, [*yb, *[pairs[i] for i in order], *y_free], (*shape, _size(y, y_free)))
    out = ragged_sums_p.bind(a, b, bounds, sets=sets, **params)
    free = [*[x.shape[i] for i in (*xb, *x_free)], *[y.shape[i] for i in y_free]]
    return _reshaped(out, [bounds.shape[1] - 1, *free])


def _by_problems(x: Array, bounds: Array, batch: Shape, outer: Shape) -> tuple[int, int, int, Array]:
    """How many problems there are, and how many sets of matrices for them; how many products have
    the same bounds; and the bounds by problems."""
    count = _size(x, batch)
    if bounds.ndim == 1:
        return 1, 1, count, _reshaped(bounds, (1, *bounds.shape))
    problems = count * _size(x, outer)
    return problems, count, 1, _reshaped(bounds, (problems, bounds.shape[-1]))


def _size(x: Array, axes: Sequence[int]) -> int:
    return prod([x.shape[i] for i in axes])


def _arranged(x: Array, axes: Sequence[int], shape: Sequence[int] | None = None) -> Array:
    if list(axes) != list(range(x.ndim)):
        x = transpose_p.bind(x, permutation=tuple(axes))
    return x if shape is None else _reshaped(x, shape)


def _reshaped(x: Array, shape: Sequence[int]) -> Array:
    return x if x.shape == tuple(shape) else reshape_p.bind(x, new_sizes=tuple(shape))


def _without_rows_before(bounds: Array, out: Array, ragged: int) -> Array:
    """`out`, zeros before the first of the groups along the batch axis `ragged`."""
    first = dynamic_slice(bounds, [0] * bounds.ndim, (*bounds.shape[:-1], 1))  # by outer axes, if there are any
    shape = out.shape[: ragged + 1]
    before = lt_p.bind(
        broadcasted_iota(dtypes.int32, shape, ragged),
        broadcast_in_dim_p.bind(first, shape=shape, broadcast_dimensions=(*range(bounds.ndim - 1), ragged)),
    )
    before = broadcast_in_dim_p.bind(before, shape=out.shape, broadcast_dimensions=tuple(range(ragged + 1)))
    return select(before, full(out.shape, 0, out.dtype), out)


__all__ = ["RaggedDotDimensionNumbers", "ragged_dot", "ragged_dot_general", "ragged_dot_p", "ragged_sums_p"]
