"""Operations of BCOO arrays that move elements or add them up: slices, reshapes, concatenations,
sums along axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.types import Shape, integers
from pullback.experimental.sparse.base import dense
from pullback.experimental.sparse.bcoo import (
    BCOO,
    _batch_to_sparse,
    bcoo,
    bcoo_fromdense,
    bcoo_sum_duplicates,
    bcoo_transpose,
    bcoo_update_layout,
    full_batch,
    over_batch,
)
from pullback.experimental.sparse.products import raveled
from pullback.lax.blocks import dynamic_slice
from pullback.lax.convolution import conv_dimension_numbers
from pullback.lax.positions import GatherScatterMode
from pullback.xla.devices import no_sharding


def _axes(axes: Any, ndim: int, what: str) -> Shape:
    out = tuple(a + ndim if a < 0 else a for a in integers(axes, what))
    if any(not 0 <= a < ndim for a in out) or len(set(out)) != len(out):
        raise ValueError(
            f"{what}: the axes {tuple(axes)} are out of bounds or not distinct for {ndim} axes, at {user_line()}"
        )
    return out


def _moved(mat: BCOO, columns: Sequence[Any], inside: Any, shape: Shape, clears: bool = False) -> BCOO:
    """An array whose sparse axes have new positions, and padding where not `inside`: zeros, if it
    `clears`."""
    data, indices = full_batch(mat)
    nb = mat.n_batch
    sparse = shape[nb : nb + len(columns)]
    if clears or not columns:
        data = jnp.where(inside.reshape((*inside.shape, *(1,) * mat.n_dense)), data, 0)
    if columns:
        indices = jnp.stack([jnp.where(inside, c, n) for c, n in zip(columns, sparse)], -1).astype(indices.dtype)
    else:
        indices = indices[..., :0]
    return BCOO((data, indices), shape=shape)


def _inside(mat: BCOO) -> Any:
    """Which positions are in bounds."""
    _, indices = full_batch(mat)
    sparse = mat.shape[mat.n_batch : mat.n_batch + mat.n_sparse]
    out = jnp.ones(indices.shape[:-1], bool)
    for i, n in enumerate(sparse):  # not a reduction, which would be a loop of its own when compiled
        out = out & (indices[..., i] >= 0) & (indices[..., i] < jnp.asarray(n, indices.dtype))
    return out


def bcoo_reduce_sum(mat: BCOO, *, axes: Sequence[int]) -> BCOO:
    """The sums along `axes`: elements at positions that become equal are stored side by side. Raises
    TypeError for what is no BCOO, ValueError for axes that are out of bounds or repeated.

    >>> m = bcoo_reduce_sum(BCOO.fromdense(jnp.array([[1, 0], [2, 3]])), axes=[0])
    >>> m.indices.tolist(), m.data.tolist(), m.todense().tolist()
    ([[0], [0], [1]], [1, 2, 3], [3, 3])
    """
    axes = _axes(axes, bcoo(mat, "bcoo_reduce_sum").ndim, "bcoo_reduce_sum")
    nb, ns, shape = mat.n_batch, mat.n_sparse, mat.shape
    data, indices = full_batch(mat)
    kept = [i for i in range(ns) if nb + i not in axes]
    if len(kept) < ns:
        # Padding along an axis that goes must not come into bounds.
        inner = (*shape[:nb], *(shape[nb + i] for i in kept), *shape[nb + ns :])
        moved = _moved(mat, [indices[..., i] for i in kept], _inside(mat), inner)
        data, indices = moved.data, moved.indices
    tail = tuple(a - ns + 1 for a in axes if a >= nb + ns)
    if tail:
        data = data.sum(tail)
    batch = [a for a in range(nb) if a not in axes]
    gone = [a for a in range(nb) if a in axes]
    if gone:
        order = (*batch, *gone)
        flat = tuple(shape[a] for a in batch)
        data = data.transpose((*order, *range(nb, data.ndim)))
        data = data.reshape((*flat, math.prod(data.shape[len(batch) : nb + 1]), *data.shape[nb + 1 :]))
        indices = indices.transpose((*order, nb, nb + 1))
        indices = indices.reshape((*flat, math.prod(indices.shape[len(batch) : nb + 1]), len(kept)))
    return BCOO((data, indices), shape=tuple(n for i, n in enumerate(shape) if i not in axes))


def bcoo_reshape(
    mat: BCOO, *, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None, sharding: Any = None
) -> BCOO:
    """The array in another shape of as many elements, after its axes have been put in the order
    `dimensions`. Batch and dense axes are kept apart where the shapes allow it, and become sparse
    ones otherwise. Raises ValueError if the numbers of elements differ.

    >>> bcoo_reshape(BCOO.fromdense(jnp.eye(2)), new_sizes=(4,)).todense().tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    no_sharding("bcoo_reshape", sharding)
    new = integers(new_sizes, "new_sizes")
    if dimensions is not None and tuple(dimensions) != tuple(range(mat.ndim)):
        mat = bcoo_transpose(mat, permutation=dimensions)
    shape = bcoo(mat, "bcoo_reshape").shape
    if math.prod(new) != math.prod(shape):
        raise ValueError(f"bcoo_reshape: cannot reshape an array of shape {shape} into {new}, at {user_line()}")
    nb, ns, nd = mat.n_batch, mat.n_sparse, mat.n_dense
    first = _prefix(new, math.prod(shape[:nb])) if nb else 0
    last = _prefix(new[::-1], math.prod(shape[nb + ns :])) if nd else 0
    if first is None or last is None or first + last > len(new) or 0 in shape:
        if nb or nd:
            return bcoo_reshape(bcoo_update_layout(mat, n_batch=0, n_dense=0), new_sizes=new)
        first = last = 0
    batch, middle, tail = new[:first], new[first : len(new) - last], new[len(new) - last :]
    data, indices = full_batch(mat)
    columns = [indices[..., i].reshape((-1,)) for i in range(ns)]
    flat, count = raveled(columns, shape[nb : nb + ns], math.prod(indices.shape[:-1]))
    inside = (flat >= 0) & (flat < count)
    places, rest = [], flat
    for n in reversed(middle):
        places.append(jnp.where(inside, rest % max(n, 1), n))
        rest = rest // max(n, 1)
    parts = jnp.stack(places[::-1], -1) if places else jnp.zeros((*flat.shape, 0), indices.dtype)
    if not places:
        data = jnp.where(inside.reshape((*data.shape[: nb + 1], *(1,) * nd)), data, 0)
    indices = parts.astype(indices.dtype).reshape((*batch, mat.nse, len(middle)))
    return BCOO((data.reshape((*batch, mat.nse, *tail)), indices), shape=new, unique_indices=mat.unique_indices)


def _prefix(shape: Shape, size: int) -> int | None:
    """How many of the first lengths have a product of `size`."""
    product = 1
    for i, n in enumerate((*shape, 0)):
        if product == size:
            return i
        product *= n
    return None


def bcoo_squeeze(arr: BCOO, *, dimensions: Sequence[int]) -> BCOO:
    """The array without the axes `dimensions`, which have length 1. Raises ValueError for others.

    >>> bcoo_squeeze(BCOO.fromdense(jnp.ones((1, 3))), dimensions=(0,))
    BCOO(float32[3], nse=3)
    """
    axes = _axes(dimensions, bcoo(arr, "bcoo_squeeze").ndim, "bcoo_squeeze")
    if any(arr.shape[a] != 1 for a in axes):
        raise ValueError(
            f"bcoo_squeeze: the axes {axes} of shape {arr.shape} are not all of length 1, at {user_line()}"
        )
    return bcoo_reduce_sum(arr, axes=axes) if axes else arr


def bcoo_broadcast_in_dim(
    mat: BCOO, *, shape: Sequence[int], broadcast_dimensions: Sequence[int], sharding: Any = None
) -> BCOO:
    """The array repeated along new axes and along axes of length 1; axis i of `mat` is axis
    `broadcast_dimensions[i]` of the result.

    New axes are batch axes before the sparse ones, dense axes behind them, and sparse between them,
    where every element is stored as often as it is repeated. Raises ValueError for shapes that do
    not fit.

    >>> bcoo_broadcast_in_dim(BCOO.fromdense(jnp.eye(2)), shape=(3, 2, 2), broadcast_dimensions=(1, 2))
    BCOO(float32[3, 2, 2], nse=2, n_batch=1)
    """
    no_sharding("bcoo_broadcast_in_dim", sharding)
    new, dims = integers(shape, "shape"), integers(broadcast_dimensions, "broadcast_dimensions")
    nb, ns, old = bcoo(mat, "bcoo_broadcast_in_dim").n_batch, mat.n_sparse, mat.shape
    fits = len(dims) == len(old) and list(dims) == sorted(set(dims))
    if not fits or any(not 0 <= d < len(new) or n not in (1, new[d]) for d, n in zip(dims, old)):
        raise ValueError(
            f"bcoo_broadcast_in_dim: an array of shape {old} cannot be broadcast to {new} with its axes at {dims}, at {user_line()}"
        )
    data, indices = full_batch(mat)
    start = dims[nb] if ns else (dims[nb - 1] + 1 if nb else (dims[0] if dims else len(new)))
    stop = dims[nb + ns - 1] + 1 if ns else start
    source = {d: i for i, d in enumerate(dims)}
    one = lambda axes: tuple(old[source[d]] if d in source else 1 for d in axes)
    before, after = range(start), range(stop, len(new))
    data = data.reshape((*one(before), mat.nse, *one(after)))
    data = jnp.broadcast_to(data, (*new[:start], mat.nse, *new[stop:]))
    indices = jnp.broadcast_to(indices.reshape((*one(before), mat.nse, ns)), (*new[:start], mat.nse, ns))
    columns, repeats = [], 1
    for d in range(start, stop):
        if d in source and (old[source[d]] == new[d]):
            columns.append(indices[..., source[d] - nb])
            continue
        # Each element once for each position along the axis, unless it is padding there.
        n, nse = new[d], mat.nse * repeats
        repeats *= n
        axis = start
        spread = lambda x, n=n, nse=nse, axis=axis: jnp.broadcast_to(
            jnp.expand_dims(x, axis + 1), (*x.shape[: axis + 1], n, *x.shape[axis + 1 :])
        ).reshape((*x.shape[:axis], nse * n, *x.shape[axis + 1 :]))
        place = jnp.broadcast_to(jnp.arange(n, dtype=indices.dtype), (*new[:start], nse, n)).reshape((*new[:start], -1))
        if d in source:
            place = jnp.where(spread(indices[..., source[d] - nb]) == 0, place, n)
        data, indices, columns = spread(data), spread(indices), [spread(c) for c in columns]
        columns.append(place)
    indices = jnp.stack(columns, -1) if columns else indices[..., :0]
    return BCOO((data, indices), shape=new, unique_indices=mat.unique_indices and bool(ns or repeats == 1))


def bcoo_concatenate(operands: Sequence[BCOO], *, dimension: int) -> BCOO:
    """Arrays one after the other along an axis. Layouts that differ become those with the fewest batch
    and dense axes. Raises ValueError for no or dense operands, TypeError for shapes that differ
    along another axis.

    >>> m = BCOO.fromdense(jnp.array([[0, 2], [3, 0]]))
    >>> bcoo_concatenate([m, m], dimension=1).todense()
    Array([[0, 2, 0, 2],
           [3, 0, 3, 0]], dtype=int32)
    """
    operands = list(operands)
    if not operands:
        raise ValueError("concatenate requires a non-empty sequence of arrays")
    if not all(isinstance(x, BCOO) for x in operands):
        raise ValueError(f"bcoo_concatenate: expected operands to be a sequence of BCOO arrays, got {operands!r:.200}")
    (axis,) = _axes([dimension], operands[0].ndim, "bcoo_concatenate")
    shapes = [x.shape for x in operands]
    if len({(*s[:axis], *s[axis + 1 :]) for s in shapes}) > 1:
        raise TypeError(
            "Cannot concatenate arrays with shapes that differ in dimensions other than the one being concatenated: "
            f"concatenating along dimension {axis} for shapes {', '.join(map(str, shapes))}, at {user_line()}"
        )
    nd = min(x.n_dense for x in operands)
    nd = min(nd, operands[0].ndim - 1 - axis)
    nb = min(x.n_batch for x in operands)
    operands = [bcoo_update_layout(x, n_batch=nb, n_dense=nd) for x in operands]
    total = sum(s[axis] for s in shapes)
    shape = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
    dtype = jnp.result_type(*(x.data for x in operands))
    parts, offset = [], 0
    nse = max(x.nse for x in operands)
    for x in operands:
        data, indices = full_batch(x)
        if axis < nb and x.nse < nse:
            pad = [(0, 0)] * nb + [(0, nse - x.nse)]
            data = jnp.pad(data, pad + [(0, 0)] * nd)
            outside = jnp.asarray(x.shape[nb : nb + x.n_sparse], indices.dtype)
            fill = jnp.broadcast_to(outside, (*indices.shape[:nb], nse - x.nse, x.n_sparse))
            indices = jnp.concatenate([indices, fill], nb)
        if axis >= nb:
            columns = [indices[..., i] + (offset if nb + i == axis else 0) for i in range(x.n_sparse)]
            moved = _moved(x, columns, _inside(x), shape)
            data, indices = moved.data, moved.indices
        offset += x.shape[axis]
        parts.append((data.astype(dtype), indices))
    along = axis if axis < nb else nb
    index = jnp.result_type(*(i for _, i in parts))
    data = jnp.concatenate([d for d, _ in parts], along)
    return BCOO((data, jnp.concatenate([i.astype(index) for _, i in parts], along)), shape=shape)


def bcoo_slice(
    mat: BCOO, *, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> BCOO:
    """The elements from `start_indices` to `limit_indices`, every `strides`-th. Raises TypeError or
    ValueError for slices that are out of bounds.

    >>> bcoo_slice(BCOO.fromdense(jnp.eye(3)), start_indices=(1, 0), limit_indices=(3, 3)).todense()
    Array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    shape = bcoo(mat, "bcoo_slice").shape
    start, limit = integers(start_indices, "start_indices"), integers(limit_indices, "limit_indices")
    step = (1,) * len(shape) if strides is None else integers(strides, "strides")
    if not len(start) == len(limit) == len(step) == len(shape):
        raise TypeError(
            f"bcoo_slice: start {start}, limit {limit} and strides {step} do not fit shape {shape}, at {user_line()}"
        )
    if any(not 0 <= a <= b <= n or s < 1 for a, b, s, n in zip(start, limit, step, shape)):
        raise TypeError(
            f"bcoo_slice: start {start}, limit {limit}, strides {step} are out of bounds for {shape}, at {user_line()}"
        )
    return _sliced(mat, start, tuple(-(-(b - a) // s) for a, b, s in zip(start, limit, step)), step)


def _sliced(mat: BCOO, start: Sequence[Any], sizes: Shape, step: Shape) -> BCOO:
    nb, ns, shape = mat.n_batch, mat.n_sparse, mat.shape
    data, indices = full_batch(mat)
    outer = (*range(nb), *range(nb + ns, len(shape)))
    if any(sizes[a] != shape[a] for a in outer):
        data = _block(data, [(a if a < nb else a - ns + 1, start[a], sizes[a], step[a]) for a in outer])
        indices = _block(indices, [(a, start[a], sizes[a], step[a]) for a in range(nb)])
    inner_shape = (*sizes[:nb], *shape[nb : nb + ns], *sizes[nb + ns :])
    mat = BCOO((data, indices), shape=inner_shape, indices_sorted=mat.indices_sorted, unique_indices=mat.unique_indices)
    if all(sizes[nb + i] == shape[nb + i] for i in range(ns)):
        return mat
    columns, inside = [], _inside(mat)
    for i in range(ns):
        a, c = nb + i, indices[..., i]
        away = c - jnp.asarray(start[a], c.dtype)
        inside = inside & (away >= 0) & (away < sizes[a] * step[a]) & (away % step[a] == 0)
        columns.append(away // step[a])
    out = _moved(mat, columns, inside, sizes, clears=True)
    count = math.prod(sizes[nb : nb + ns])
    if count >= out.nse:
        return out
    return BCOO(bcoo_sum_duplicates(out, count)._bufs, shape=sizes)


def _block(x: Any, parts: Sequence[tuple[int, Any, int, int]]) -> Any:
    if all(isinstance(a, int) for _, a, _, _ in parts):
        index = [slice(None)] * x.ndim
        for axis, a, n, s in parts:
            index[axis] = slice(a, a + (n - 1) * s + 1 if n else a, s)
        return x[tuple(index)]
    starts, sizes = [0] * x.ndim, list(x.shape)
    for axis, a, n, _ in parts:
        starts[axis], sizes[axis] = a, n
    return dynamic_slice(x, starts, sizes)


def bcoo_dynamic_slice(mat: BCOO, start_indices: Sequence[Any], slice_sizes: Sequence[int]) -> BCOO:
    """The block of shape `slice_sizes` that starts at `start_indices`, which may be traced, and is
    moved into the array where it would reach beyond it. Raises TypeError for blocks that do not
    fit.

    >>> m = BCOO.fromdense(jnp.array([[1, 0, 2], [0, 3, 0]]))
    >>> bcoo_dynamic_slice(m, (0, 9), (2, 2)).todense()  # starts at column 1
    Array([[0, 2],
           [3, 0]], dtype=int32)
    """
    shape, sizes = bcoo(mat, "bcoo_dynamic_slice").shape, integers(slice_sizes, "slice_sizes")
    starts = [as_array(s) for s in start_indices]
    if len(starts) != len(shape) or len(sizes) != len(shape) or any(not 0 <= n <= m for n, m in zip(sizes, shape)):
        raise TypeError(
            f"bcoo_dynamic_slice: a block {sizes} at {len(starts)} positions does not fit shape {shape}, at {user_line()}"
        )
    dtype = mat.indices.dtype
    clamped = [jnp.clip(jnp.where(s < 0, s + n, s), 0, n - m).astype(dtype) for s, n, m in zip(starts, shape, sizes)]
    return _sliced(mat, clamped, sizes, (1,) * len(shape))


def bcoo_rev(operand: Any, dimensions: Sequence[int]) -> BCOO:
    """The array with the elements along the axes `dimensions` in reverse order: only positions change.
    Raises as `lax.rev`.

    >>> bcoo_rev(BCOO.fromdense(jnp.array([0, 7, 0, 0])), (0,)).todense()
    Array([0, 0, 7, 0], dtype=int32)
    """
    mat = bcoo(operand, "bcoo_rev")
    axes = _axes(dimensions, mat.ndim, "bcoo_rev")
    nb, ns, shape = mat.n_batch, mat.n_sparse, mat.shape
    data, indices = full_batch(mat)
    outer = [a for a in axes if a < nb]
    data = jnp.flip(data, outer + [a - ns + 1 for a in axes if a >= nb + ns])
    indices = jnp.flip(indices, outer)
    mat = BCOO((data, indices), shape=shape, indices_sorted=mat.indices_sorted, unique_indices=mat.unique_indices)
    if not any(nb <= a < nb + ns for a in axes):
        return mat
    columns = [shape[nb + i] - 1 - indices[..., i] if nb + i in axes else indices[..., i] for i in range(ns)]
    return BCOO(_moved(mat, columns, _inside(mat), shape)._bufs, shape=shape, unique_indices=mat.unique_indices)


def bcoo_pad(mat: BCOO, config: Sequence[tuple[int, int, int]]) -> BCOO:
    """`lax.pad` by zeros: before, behind and between elements; negative widths cut off."""
    touched = [a for a, (low, high, between) in enumerate(config) if low or high or between]
    nb, ns = mat.n_batch, mat.n_sparse
    if any(a < nb for a in touched):
        mat, nb, ns = _batch_to_sparse(mat, nb), 0, ns + nb
    if any(a >= nb + ns for a in touched):
        mat = bcoo_update_layout(mat, n_dense=0)
        ns = mat.n_sparse
    shape = tuple(low + high + n + max(n - 1, 0) * between for n, (low, high, between) in zip(mat.shape, config))
    columns, inside = [], _inside(mat)
    for i in range(ns):
        low, _, between = config[nb + i]
        place = full_batch(mat)[1][..., i] * (between + 1) + low
        inside = inside & (place >= 0) & (place < shape[nb + i])
        columns.append(place)
    return _moved(mat, columns, inside, shape)


def bcoo_gather(
    operand: BCOO,
    start_indices: Any,
    dimension_numbers: Any,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> BCOO:
    """`lax.gather` of a sparse array: a window for each row of `start_indices`.

    Windows that would reach beyond the array are moved into it (mode "clip"), or hold nothing.
    Raises NotImplementedError for batching axes of the operand.

    >>> from pullback.lax import GatherDimensionNumbers
    >>> rows = GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,))
    >>> m = BCOO.fromdense(jnp.array([[1, 0], [0, 2], [3, 4]]))
    >>> bcoo_gather(m, jnp.array([[2], [0]]), rows, (1, 2)).todense()
    Array([[3, 4],
           [1, 0]], dtype=int32)
    """
    del unique_indices, indices_are_sorted, fill_value
    mat, starts, n = bcoo(operand, "bcoo_gather"), dense(start_indices), dimension_numbers
    if n.operand_batching_dims:
        raise NotImplementedError("bcoo_gather with operand_batching_dims: use vmap")
    sizes = integers(slice_sizes, "slice_sizes")
    clip = GatherScatterMode.from_any(mode) is GatherScatterMode.CLIP
    limits = [mat.shape[a] - sizes[a] for a in n.start_index_map]

    def window(row: Any) -> Any:
        at: list[Any] = [0] * mat.ndim
        for j, a in enumerate(n.start_index_map):
            at[a] = jnp.clip(row[j], 0, limits[j])
        out = bcoo_squeeze(bcoo_dynamic_slice(mat, at, sizes), dimensions=n.collapsed_slice_dims)
        if clip or not limits:
            return out.data, out.indices
        inside = jnp.all((row >= 0) & (row <= jnp.asarray(limits, row.dtype)))
        return jnp.where(inside, out.data, 0), out.indices

    rows = starts.ndim - 1
    windows = tuple(m for a, m in enumerate(sizes) if a not in n.collapsed_slice_dims)
    out = BCOO(over_batch(window, rows, starts), shape=(*starts.shape[:-1], *windows))
    order = list(n.offset_dims)
    where = [d for d in range(out.ndim) if d not in order]
    permutation = [where.index(d) if d in where else rows + order.index(d) for d in range(out.ndim)]
    if permutation == list(range(out.ndim)):
        return out
    return bcoo_transpose(bcoo_update_layout(out, n_batch=0, n_dense=0), permutation=permutation)


def bcoo_conv_general_dilated(
    lhs: Any,
    rhs: Any,
    *,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any = None,
    rhs_dilation: Any = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> BCOO:
    """`lax.conv_general_dilated` of sparse arrays (a dense operand is taken as one) in one spatial
    dimension, of one batch and one feature, without strides and dilation (NotImplementedError
    otherwise).

    The result has room for every pair of elements; products are computed in the operands' full
    precision, the most that `precision` can ask for.

    >>> x, kernel = BCOO.fromdense(jnp.array([[[0.0, 1.0, 0.0, 0.0]]])), BCOO.fromdense(jnp.array([[[1.0, 2.0]]]))
    >>> bcoo_conv_general_dilated(x, kernel, window_strides=(1,), padding=[(1, 0)]).todense()
    Array([[[0., 2., 1., 0.]]], dtype=float32)
    """
    del precision
    no_sharding("bcoo_conv_general_dilated", out_sharding)
    x, y = (a if isinstance(a, BCOO) else bcoo_fromdense(a, nse=dense(a).size) for a in (lhs, rhs))
    numbers = conv_dimension_numbers(x.shape, y.shape, dimension_numbers)
    ones = lambda v: v is None or all(int(s) == 1 for s in v)
    plain = (
        feature_group_count == batch_group_count == 1
        and ones(window_strides)
        and ones(lhs_dilation)
        and ones(rhs_dilation)
    )
    alone = [x.shape[a] for a in numbers.lhs_spec[:2]] + [y.shape[a] for a in numbers.rhs_spec[:2]]
    if not plain or x.ndim != 3 or any(n != 1 for n in alone):
        raise NotImplementedError(
            "bcoo_conv_general_dilated takes one spatial dimension, one batch, one feature, no strides and no dilation: use todense()"
        )
    x, y = (bcoo_update_layout(a, n_batch=0, n_dense=0) for a in (x, y))
    n, k = x.shape[numbers.lhs_spec[2]], y.shape[numbers.rhs_spec[2]]
    if isinstance(padding, str):
        if padding.upper() not in ("VALID", "SAME"):
            raise ValueError(f"padding must be 'VALID', 'SAME' or pairs, got {padding!r}, at {user_line()}")
        padding = [(0, 0)] if padding.upper() == "VALID" else [((k - 1) // 2, k - 1 - (k - 1) // 2)]
    ((low, high),) = padding
    length = max(n + low + high - k + 1, 0)
    i, j = x.indices[:, numbers.lhs_spec[2]][:, None], y.indices[:, numbers.rhs_spec[2]][None, :]
    place = i - j + low
    inside = _inside(x)[:, None] & _inside(y)[None, :] & (place >= 0) & (place < length)
    dtype = preferred_element_type or jnp.result_type(x.data, y.data)
    data = jnp.where(inside, x.data[:, None] * y.data[None, :], 0).astype(dtype).reshape((-1,))
    shape = [1, 1, 1]
    shape[numbers.out_spec[2]] = length
    zero = jnp.where(inside, 0, 1)
    columns = [jnp.where(inside, place, length) if a == numbers.out_spec[2] else zero for a in range(3)]
    indices = jnp.stack([c.reshape((-1,)) for c in columns], -1).astype(x.indices.dtype)
    return BCOO((data, indices), shape=tuple(shape))


__all__ = [
    "bcoo_broadcast_in_dim",
    "bcoo_concatenate",
    "bcoo_conv_general_dilated",
    "bcoo_dynamic_slice",
    "bcoo_gather",
    "bcoo_pad",
    "bcoo_reduce_sum",
    "bcoo_reshape",
    "bcoo_rev",
    "bcoo_slice",
    "bcoo_squeeze",
]
