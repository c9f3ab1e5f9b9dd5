"""Values of local Jacobians: blocks multiplied, added, filled in and applied, by ordinary operations.

`blocks` says what has to be done, for types alone; this does it, on arrays of whatever transformation is
around. What it does is linear in each of the values, so that it can be applied to tangents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.linear import zeros
from pullback.core.types import Shape
from pullback.derivatives.elimination.blocks import (
    Block,
    Operator,
    Piece,
    Place,
    block,
    composed,
    diagonal,
    kept_labels,
    kept_places,
    of_all,
    product,
    transposed,
)
from pullback.lax.arrangement import concatenate, pad_zeros, rev_p
from pullback.lax.contraction import dot_general
from pullback.lax.creation import iota_p
from pullback.lax.elementwise import and_p, eq_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_to, convert, reduce_sum_p, reshape_p, transpose_p
from pullback.transforms.vmap import vmap

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Value


class Valued(NamedTuple):
    """A piece of a Jacobian with its value: an array, None for a block that has none, or a
    `LinearOperator`.

    Example: of sin, the diagonal block with the value cos(x).
    """

    piece: Piece
    value: Any


class LinearOperator(NamedTuple):
    """What an `Operator` does: `push` takes tangents to tangents, `pull` cotangents to cotangents, one
    array each.

    Example: `push` runs the linear program of a loop.
    """

    push: Callable[[Any], Any]
    pull: Callable[[Any], Any]


# ---- axes ----------------------------------------------------------------------------------------


def moved(value: Value, axes: Sequence[int], order: Sequence[int]) -> Value:
    """A value with the axes called `axes`, with these in another order."""
    if list(axes) == list(order):
        return value
    return transpose_p.bind(value, permutation=tuple([list(axes).index(k) for k in order]))


def expanded(value: Value, axes: Sequence[int], order: Sequence[int]) -> Value:
    """A value with the axes called `axes`, which are in the order of `order`, with axes of length 1 for
    the others there."""
    if len(axes) == len(order) or not axes:
        return value
    sizes = dict(zip(axes, value.shape))
    return reshape_p.bind(value, new_sizes=tuple([sizes.get(k, 1) for k in order]))


def taken(value: Value, places: Sequence[Place], sizes: Sequence[int]) -> tuple[Value, list[int]]:
    """The elements of a value at places along its axes, and the labels that are now its axes, in ascending
    order."""
    labels = [k for _, parts in places for k, _ in parts]
    if len(set(labels)) < len(labels):
        return _taken_together(value, places, sizes)
    index: list[Any] = []
    split: list[int] = []
    for at, parts in places:
        if not parts:
            index.append(at)
            continue
        length, step = prod([sizes[k] for k, _ in parts]), parts[-1][1]
        if all([s == t * sizes[k] for (_, s), (k, t) in zip(parts, parts[1:])]):
            stop = at + step * length
            index.append(slice(at, stop if stop >= 0 else None, step))
        else:
            index.append(_positions((at, parts), sizes).reshape(-1))
        split += [sizes[k] for k, _ in parts]
    if any(
        [i.__class__ is not slice or (i.start, i.step) != (0, 1) or i.stop != n for i, n in zip(index, value.shape)]
    ):
        for axis, i in reversed(list(enumerate(index))):
            if i.__class__ is np.ndarray:  # one at a time: NumPy would take them together
                value = value[(slice(None),) * axis + (i,)]
                index[axis] = slice(None)
        value = value[tuple(index)]
    if value.shape != tuple(split):
        value = reshape_p.bind(value, new_sizes=tuple(split))
    order = sorted(labels)
    return moved(value, labels, order), order


def _positions(place: Place, sizes: Sequence[int]) -> Any:
    """The indices that the labels of a place point to, an axis for each."""
    at, parts = place
    out: Any = np.asarray(at)
    for k, stride in parts:
        out = out[..., None] + stride * np.arange(sizes[k])
    return out


def _taken_together(value: Value, places: Sequence[Place], sizes: Sequence[int]) -> tuple[Value, list[int]]:
    order = sorted({k for _, parts in places for k, _ in parts})
    index = []
    for at, parts in places:
        i: Any = np.full((1,) * len(order), at)
        for k, stride in parts:
            shape = [1] * len(order)
            shape[order.index(k)] = sizes[k]
            i = i + stride * np.arange(sizes[k]).reshape(shape)
        index.append(i)
    return value[tuple(index)], order


# ---- products ------------------------------------------------------------------------------------

#: Up to so many products, contracting is multiplying and adding: XLA fuses that with what is around.
_FEW_PRODUCTS = 512


def multiply(left: Valued, right: Valued, dtype: DType) -> Valued | None:
    """∂z/∂y times ∂y/∂x; None if that is zero. `dtype` is that of z."""
    if isinstance(left.piece, Operator):
        return _pushed(left, right, dtype)
    if isinstance(right.piece, Operator):
        return _pulled(left, right, dtype)
    found = product(left.piece, right.piece)
    if found is None:
        return None
    x, y = left.value, right.value
    if found.filled == 0:
        x = spread(Valued(transposed(left.piece), x), dtype).value
    elif found.filled == 1:
        y = spread(right, dtype).value
    if x is None and y is None:
        return Valued(found.block, None)
    if not found.left and not found.right:  # numbers, as most are
        if x is None or y is None:
            return Valued(found.block, y if x is None else x)
        if x.dtype == y.dtype != dtypes.bool_:
            return Valued(found.block, mul_p.bind(x, y))
    gone, sizes = found.summed, found.sizes
    x, x_axes = (None, []) if x is None else taken(x, found.left, sizes)
    y, y_axes = (None, []) if y is None else taken(y, found.right, sizes)
    both = gone.intersection(x_axes).intersection(y_axes)
    x, x_axes = _summed(x, x_axes, gone - both, dtype)
    y, y_axes = _summed(y, y_axes, gone - both, dtype)
    if x is None or y is None:
        out, axes = (y, y_axes) if x is None else (x, x_axes)
    else:
        out, axes = _times(x, x_axes, y, y_axes, both, dtype)
    return Valued(found.block, moved(out, axes, found.order))


def _summed(value: Value, axes: list[int], gone: frozenset[int], dtype: DType) -> tuple[Value, list[int]]:
    where = tuple([i for i, k in enumerate(axes) if k in gone])
    if not where:
        return value, axes
    if value.dtype == dtypes.bool_:
        value = convert(value, dtype)
    return reduce_sum_p.bind(value, axes=where), [k for k in axes if k not in gone]


def _times(
    x: Value, x_axes: list[int], y: Value, y_axes: list[int], contracted: frozenset[int], dtype: DType
) -> tuple[Value, list[int]]:
    order = sorted({*x_axes, *y_axes})
    masks = [v.dtype == dtypes.bool_ for v in (x, y)]
    if not any(masks):
        x, y = of_one_type(x, y)
    size = dict(zip((*x_axes, *y_axes), (*x.shape, *y.shape)))
    if contracted and not any(masks) and prod(size.values()) > _FEW_PRODUCTS:
        together = [k for k in x_axes if k in y_axes and k not in contracted]
        pairs = [k for k in x_axes if k in contracted]
        numbers = tuple(
            [(tuple([x_axes.index(k) for k in ks]), tuple([y_axes.index(k) for k in ks])) for ks in (pairs, together)]
        )
        out = dot_general(x, y, numbers, preferred_element_type=x.dtype)
        free = [[k for k in axes if k not in contracted and k not in together] for axes in (x_axes, y_axes)]
        return out, [*together, *free[0], *free[1]]
    shape = tuple([size[k] for k in order])
    x, y = expanded(x, x_axes, order), expanded(y, y_axes, order)
    if all(masks):
        out = and_p.bind(broadcast_to(x, shape), broadcast_to(y, shape))
    elif any(masks):
        mask, other = (x, y) if masks[0] else (y, x)
        other = broadcast_to(other, shape)
        out = select_n_p.bind(broadcast_to(mask, shape), _zero(shape, other.dtype), other)
    else:
        out = mul_p.bind(x, y)
    return _summed(out, order, contracted, dtype)


def typed(x: Value, dtype: DType) -> Value:
    """A value as one of this dtype."""
    return x if x.dtype == dtype else convert(x, dtype)


def of_one_type(x: Value, y: Value) -> tuple[Value, Value]:
    """Two values as ones of the same dtype."""
    if x.dtype == y.dtype:
        return x, y
    dtype = dtypes.promote_pair(x.dtype, False, y.dtype, False)[0]
    return typed(x, dtype), typed(y, dtype)


def _zero(shape: Shape, dtype: DType) -> Value:
    """An array of zeros, which programs make of one."""
    return broadcast_to(zeros((), dtype), shape)


def _one(dtype: DType) -> Value:
    return concrete(np.array(1, dtype))


def _pushed(left: Valued, right: Valued, dtype: DType) -> Valued | None:
    """A linear operator applied to the columns of a block."""
    operator: LinearOperator = left.value
    if isinstance(right.piece, Operator):
        return _composed(left, right, dtype)
    return _applied(operator.push, left.piece.out_shape, right.piece, right.value, dtype)


def _pulled(left: Valued, right: Valued, dtype: DType) -> Valued | None:
    """The rows of a block, through a linear operator."""
    assert isinstance(left.piece, Block)
    operator: LinearOperator = right.value
    rows = _applied(operator.pull, right.piece.into_shape, transposed(left.piece), left.value, dtype)
    return transposed_value(rows)


def _applied(apply: Callable[[Any], Any], shape: Shape, b: Block, value: Value, dtype: DType) -> Valued:
    """A linear function, which gives arrays of a shape, of the columns of a block."""
    into, sizes = kept_places(b)
    columns = times(filled(b, value, dtype), b.factor)
    batch = reshape_p.bind(columns, new_sizes=(*b.out_shape, prod(sizes)))
    found = vmap(apply, in_axes=len(b.out_shape), out_axes=-1)(batch)
    return _of_all(shape, into, sizes, b.into_shape, found)


def _of_all(
    shape: Shape, into: Sequence[Place], sizes: Sequence[int], into_shape: Shape, value: Value, factor: float = 1
) -> Valued:
    """The block `of_all`, of a value with an axis for each dimension of `shape` and for each of the labels."""
    new, named = of_all(shape, into, sizes, into_shape, factor)
    value = reshape_p.bind(value, new_sizes=tuple([n for n in (*shape, *sizes) if n != 1]))
    return Valued(new, moved(value, named, sorted(named)))


def transposed_value(x: Valued) -> Valued:
    """The transpose, as a block that can be compared with others."""
    b = transposed(x.piece)  # type: ignore[arg-type]
    new, named = block(b.out, b.into, b.sizes, b.values, b.out_shape, b.into_shape, b.factor, b.mask)
    return Valued(new, x.value if b.values is None else moved(x.value, named, sorted(named)))


def _composed(left: Valued, right: Valued, dtype: DType) -> Valued:
    """The product of two operators: pushes, or pulls, whatever is cheaper, of all basis vectors."""
    first: Any = right.piece
    last: Any = left.piece
    push, pull = composed(last, first)
    if push <= pull:
        forward = lambda t: left.value.push(right.value.push(t))
        return _applied(forward, last.out_shape, _identity(first.into_shape), None, dtype)
    backward = lambda ct: right.value.pull(left.value.pull(ct))
    return transposed_value(_applied(backward, first.into_shape, _identity(last.out_shape), None, dtype))


def _identity(shape: Shape) -> Block:
    return diagonal(shape, valued=False)


def as_block(x: Valued, dtype: DType) -> Valued:
    """An operator, filled in."""
    if isinstance(x.piece, Block):
        return x
    p, operator = x.piece, x.value
    if prod(p.into_shape) * p.push <= prod(p.out_shape) * p.pull:
        return _applied(operator.push, p.out_shape, _identity(p.into_shape), None, dtype)
    return transposed_value(_applied(operator.pull, p.into_shape, _identity(p.out_shape), None, dtype))


# ---- sums ----------------------------------------------------------------------------------------


def times(x: Value, factor: float) -> Value:
    """A value times a number that is known."""
    if factor == 1:
        return x
    return neg_p.bind(x) if factor == -1 else mul_p.bind(x, like(factor, x))


def add(a: Valued, b: Valued, result: Block, dtype: DType) -> Valued:
    """The sum of two blocks of one pattern: `result`."""
    p: Any = a.piece
    q: Any = b.piece
    if result.values is None:
        return Valued(result, None)
    x = _one(dtype) if a.value is None else a.value
    y = _one(dtype) if b.value is None else b.value
    x, y = (convert(v, dtype) if v.dtype == dtypes.bool_ else v for v in (x, y))
    x, y = of_one_type(x, y)
    labels = result.values
    x, y = expanded(x, p.values or (), labels), expanded(y, q.values or (), labels)
    if p.factor == q.factor == result.factor:
        out = add_p.bind(x, y)
    elif p.factor == -q.factor == result.factor:
        out = sub_p.bind(x, y)
    else:
        out = add_p.bind(times(x, p.factor), times(y, q.factor))
    shape = tuple([result.sizes[k] for k in labels])
    return Valued(result, broadcast_to(out, shape))


# ---- filling in ----------------------------------------------------------------------------------


def filled(b: Block, value: Value, dtype: DType) -> Value:
    """The value, without the factor, with an axis for each dimension of `out`, and then one for each label that
    `into` mentions."""
    return _spread(b, value, list(zip(b.out, b.out_shape)), kept_labels(b), dtype)


def spread(x: Valued, dtype: DType) -> Valued:
    """The block as `spread_out` has it."""
    b: Any = x.piece
    return _of_all(b.out_shape, *kept_places(b), b.into_shape, filled(b, x.value, dtype), b.factor)


def _spread(b: Block, value: Value, dims: list[tuple[Place, int]], kept: list[int], dtype: DType) -> Value:
    """An axis for each place of `dims`, of the size given with it, and one for each label in `kept`."""
    value = _one(dtype) if value is None else value
    if value.dtype == dtypes.bool_:
        value = convert(value, dtype)
    # Labels that several places mention, or that are kept as well, get an axis for each.
    sizes = list(b.sizes)
    axes: list[list[tuple[int, int]]] = []
    seen, same = set(kept), []
    for (_, parts), _ in dims:
        own = []
        for k, stride in parts:
            if k in seen:
                same.append((k, len(sizes)))
                sizes.append(sizes[k])
                k = len(sizes) - 1
            seen.add(k)
            own.append((k, stride))
        axes.append(own)
    order = [*[k for own in axes for k, _ in own], *kept]
    shape = tuple([sizes[k] for k in order])
    have = list(b.values or ())
    inside = [k for k in order if k in have]
    value = expanded(moved(value, have, inside), inside, order)
    if same:
        mask = None
        for k, copy in same:
            number = [iota_p.bind(dtype=dtypes.int32, shape=shape, dimension=order.index(a)) for a in (k, copy)]
            equal = eq_p.bind(*number)
            mask = equal if mask is None else and_p.bind(mask, equal)
        value = broadcast_to(value, shape)
        value = select_n_p.bind(mask, _zero(shape, value.dtype), value)
    else:
        value = broadcast_to(value, shape)
    for i, (((at, _), n), own) in enumerate(zip(dims, axes)):
        value = _one_axis(value, i, at, [(sizes[k], stride) for k, stride in own], n)
    return value


def _one_axis(value: Value, axis: int, at: int, parts: list[tuple[int, int]], n: int) -> Value:
    """Axes from `axis` on, of sizes and strides `parts`, as one of length n, where `at` is the first."""
    for i, (size, stride) in enumerate(parts):
        if stride < 0:
            value = rev_p.bind(value, dimensions=(axis + i,))
            at += stride * (size - 1)
            parts[i] = (size, -stride)
    while len(parts) > 1:
        (first, stride), (last, step) = parts[-2:]
        digits, rest = divmod(stride, step)
        if rest or digits < last:
            return _scattered(value, axis, at, parts, n)
        end = axis + len(parts) - 1
        if digits > last:
            value = _padded(value, end, 0, digits - last, 0)
        shape = (*value.shape[: end - 1], first * digits, *value.shape[end + 1 :])
        value = reshape_p.bind(value, new_sizes=shape)
        parts[-2:] = [(first * digits, step)]
    if not parts:
        value = reshape_p.bind(value, new_sizes=(*value.shape[:axis], 1, *value.shape[axis:]))
        parts = [(1, 1)]
    ((size, step),) = parts
    high = n - at - ((size - 1) * step + 1)
    return value if (at, high, step) == (0, 0, 1) else _padded(value, axis, at, high, step - 1)


def _padded(value: Value, axis: int, low: int, high: int, interior: int) -> Value:
    config = [(0, 0, 0)] * value.ndim
    config[axis] = (low, high, interior)
    return pad_zeros(value, config)


def _scattered(value: Value, axis: int, at: int, parts: list[tuple[int, int]], n: int) -> Value:
    index = _positions((at, tuple([(i, s) for i, (_, s) in enumerate(parts)])), [size for size, _ in parts]).reshape(-1)
    shape = (*value.shape[:axis], index.size, *value.shape[axis + len(parts) :])
    value = reshape_p.bind(value, new_sizes=shape)
    out: Any = _zero((*shape[:axis], n, *shape[axis + 1 :]), value.dtype)
    return out.at[(slice(None),) * axis + (index,)].add(value)


def assembled(pieces: Iterable[Valued], out_shape: Shape, into_shape: Shape, dtype: DType) -> Value:
    """The sum of pieces as an array of shape (*out_shape, *into_shape)."""
    dims = (*out_shape, *into_shape)
    if 0 in dims:
        return _zero(dims, dtype)
    groups: dict[tuple[bool, ...], list[tuple[tuple[Place, ...], Valued]]] = {}
    for x in pieces:
        x = as_block(x, dtype)
        places = (*x.piece.out, *x.piece.into)  # type: ignore[union-attr]
        groups.setdefault(tuple([not parts for _, parts in places]), []).append((places, x))
    total = None
    for group in groups.values():
        found = _stacked(group, dims, dtype)
        total = found if total is None else add_p.bind(total, found)
    return _zero(dims, dtype) if total is None else total


def _stacked(group: list[tuple[tuple[Place, ...], Valued]], dims: Shape, dtype: DType) -> Value:
    """Blocks that have one element along the same dimensions, side by side."""
    axis = next((i for i, (_, parts) in enumerate(group[0][0]) if not parts and dims[i] > 1), None)
    if axis is None:
        total = None
        for places, x in group:
            assert isinstance(x.piece, Block)
            value = _spread(x.piece, x.value, list(zip(places, dims)), [], dtype)
            value = typed(times(value, x.piece.factor), dtype)
            total = value if total is None else add_p.bind(total, value)
        return total
    rest = (*dims[:axis], *dims[axis + 1 :])
    parts: dict[int, list[tuple[tuple[Place, ...], Valued]]] = {}
    for places, x in group:
        parts.setdefault(places[axis][0], []).append(((*places[:axis], *places[axis + 1 :]), x))
    row = (*dims[:axis], 1, *dims[axis + 1 :])
    out, position = [], 0
    for i in sorted(parts):
        if i > position:
            out.append(_zero((*dims[:axis], i - position, *dims[axis + 1 :]), dtype))
        out.append(reshape_p.bind(_stacked(parts[i], rest, dtype), new_sizes=row))
        position = i + 1
    if position < dims[axis]:
        out.append(_zero((*dims[:axis], dims[axis] - position, *dims[axis + 1 :]), dtype))
    return out[0] if len(out) == 1 else concatenate(out, axis)


__all__ = ["LinearOperator", "Valued", "add", "as_block", "assembled", "multiply", "times", "typed"]
