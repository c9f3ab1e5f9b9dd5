"""The sets of results of linear operations, by class: elementwise, moving, reducing, contracting, ...

A rule gets the equation and the facts of its operands, of which at least one has sets, and gives sets
for each result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import concrete
from pullback.core.jaxpr import JaxprEqn
from pullback.core.primitive import registry
from pullback.core.trace import EVAL, under
from pullback.derivatives.sparsity_patterns.index_sets import IndexSets, boolean
from pullback.derivatives.sparsity_patterns.propagation import Fact, dense, detection_rules
from pullback.lax.blocks import dynamic_slice_p, dynamic_update_slice_p
from pullback.lax.contraction import dot_general_p
from pullback.lax.convolution import conv_general_dilated_p
from pullback.lax.cumulative import Cumulative, LinearRecurrence
from pullback.lax.elementwise import div_p
from pullback.lax.family import Elementwise, mul_p
from pullback.lax.fourier import Fft
from pullback.lax.indexing import ScatterBase, gather_p, scatter_p
from pullback.lax.linalg.determinant import cofactor_p
from pullback.lax.linalg.triangular import triangular_solve_p
from pullback.lax.linalg.tridiagonal_systems import tridiagonal_solve_p
from pullback.lax.mover import Mover
from pullback.lax.selection import select_n_p
from pullback.lax.shape import Reduction
from pullback.lax.triangles import Triangle
from pullback.lax.windows import Windows, windows

if TYPE_CHECKING:
    NumPyArray = np.ndarray[Any, Any]

Found = list[IndexSets | None]

#: Up to how many places a constant operand of a contraction is looked at for zeros.
_SELECTED = 1 << 26


def _union(parts: Sequence[IndexSets]) -> IndexSets:
    total = parts[0]
    for p in parts[1:]:
        total = total | p
    return total


def _broadcast(f: Fact, shape: Any) -> IndexSets:
    """The sets of an operand that is broadcast to a shape."""
    assert f.sets is not None
    return f.sets if f.shape == shape else f.sets.take(np.broadcast_to(f.numbers(), shape))


# ---- elementwise ---------------------------------------------------------------------------------


@detection_rules.of(Elementwise)
def _elementwise(e: JaxprEqn, facts: list[Fact]) -> Found:
    shape = e.outvars[0].aval.shape
    return [_union([_broadcast(f, shape) for f in facts if f.sets is not None])]


@detection_rules.of(mul_p, div_p)
def _scaled(e: JaxprEqn, facts: list[Fact]) -> Found:
    """Where a known coefficient is zero, there is nothing."""
    (out,) = _elementwise(e, facts)
    x, y = facts
    if out is not None and e.primitive is mul_p:
        for f in (x, y):
            if f.sets is None and (coefficient := f.coefficient) is not None:
                out = out.where(np.broadcast_to(coefficient != 0, e.outvars[0].aval.shape))
    return [out]


_EACH_ITS_OWN = (
    "complex", "conj", "convert_element_type", "copy", "imag", "name", "real", "reduce_precision",
    "stop_gradient_unless", "device_put", "sharding_constraint",
)  # fmt: skip
_TOGETHER = ("optimization_barrier", "checkpoint_barrier", "stored")


@detection_rules.of(*[registry[n] for n in _EACH_ITS_OWN if n in registry])
def _each_its_own(e: JaxprEqn, facts: list[Fact]) -> Found:
    return _elementwise(e, facts)


@detection_rules.of(*[registry[n] for n in _TOGETHER if n in registry])
def _passed_on(e: JaxprEqn, facts: list[Fact]) -> Found:
    return [f.sets for f, _ in zip(facts, e.outvars)]


# ---- movers --------------------------------------------------------------------------------------


@detection_rules.of(Mover)
def _moved(e: JaxprEqn, facts: list[Fact]) -> Found:
    """An operation that moves elements moves their numbers: it says where each comes from."""
    p = e.primitive
    moved = [i for i in range(len(facts)) if p.is_linear([i == j for j in range(len(facts))])]
    unknown = [f for i, f in enumerate(facts) if i not in moved and f.known is None]
    if unknown:
        return _moved_somewhere(e, facts)
    return _numbered(e, facts, moved, [f.known.numpy() if f.known else None for f in facts])


def _numbered(e: JaxprEqn, facts: list[Fact], moved: Sequence[int], values: Sequence[Any]) -> Found:
    parts, operands, start = [], list(values), 0
    for i in moved:
        f = facts[i]
        if f.sets is None:
            operands[i] = np.full(f.shape, -1)
        else:
            operands[i] = f.numbers() + start
            start += f.size
            parts.append(f.sets)
    params = e.params | {"fill_value": -1} if e.primitive is gather_p else e.params
    found = e.primitive.evaluate(*operands, **params)
    results = found if e.primitive.multiple_results else [found]
    together = IndexSets.stacked(parts)
    return [together.take(np.asarray(r)) for r in results]


def _moved_somewhere(e: JaxprEqn, facts: list[Fact]) -> Found:
    """The same for positions that are not known."""
    p = e.primitive
    if p is select_n_p:
        return [_union([f.sets for f in facts[1:] if f.sets is not None])]
    if p is gather_p:
        x, indices = facts
        numbers = e.params["dimension_numbers"]
        indexed = set(numbers.start_index_map)
        return [_from_along(e, facts, x, indexed, [np.zeros(indices.shape, indices.aval.dtype)])]
    if p is dynamic_slice_p:
        x, *starts = facts
        varies = {i for i, f in enumerate(starts) if f.known is None}
        at = [np.zeros((), f.aval.dtype) if f.known is None else f.known.numpy() for f in starts]
        return [_from_along(e, facts, x, varies, at)]
    if p.name == "take_along":
        x, indices = facts
        return [_from_along(e, facts, x, {e.params["axis"]}, [np.zeros(indices.shape, indices.aval.dtype)])]
    if p is dynamic_update_slice_p:
        x, update, *starts = facts
        varies = {i for i, f in enumerate(starts) if f.known is None}
        at = [np.zeros((), f.aval.dtype) if f.known is None else f.known.numpy() for f in starts]
        # Where the block goes if it stays at 0 in the directions that are not known: to all of there.
        hit = p.evaluate(np.full(x.shape, -1), update.numbers(), *at)
        return [_into_along(x, update, hit, varies)]
    if p is scatter_p:
        return _scattered(e, facts)
    return dense(e, facts)


def _classes(shape: Sequence[int], pooled: set[int]) -> tuple[NumPyArray, int]:
    """For each element the number of its class: of those that differ in the axes `pooled` alone."""
    sizes = [1 if i in pooled else n for i, n in enumerate(shape)]
    count = math.prod(sizes)
    return np.broadcast_to(np.arange(count).reshape(sizes), tuple(shape)).reshape(-1), count


def _from_along(e: JaxprEqn, facts: list[Fact], x: Fact, axes: set[int], positions: list[Any]) -> IndexSets | None:
    """Elements that come from somewhere along `axes`: from all of there. `positions` are some."""
    if x.sets is None:
        return None
    classes, count = _classes(x.shape, axes)
    pools = x.sets.of_groups(classes, count)
    params = e.params | {"fill_value": -1} if e.primitive is gather_p else e.params
    places = np.asarray(e.primitive.evaluate(x.numbers(), *positions, **params)).reshape(-1)
    return pools.take(np.where(places < 0, -1, classes[places]) if count else places)


def _into_along(x: Fact, update: Fact, hit: NumPyArray, axes: set[int]) -> IndexSets | None:
    """Elements of `x`, some of which are replaced by those of `update`: `hit` has the numbers of these in
    one possible place (-1 elsewhere), and they may be elsewhere along `axes`."""
    total = x.sets
    if update.sets is not None:
        classes, count = _classes(x.shape, axes)
        hit = hit.reshape(-1)
        inside = hit >= 0
        pools = update.sets.pooled(boolean(classes[inside], hit[inside], (count, update.size)))
        reached = pools.take(classes)
        total = reached if total is None else total | reached
    return total


# ---- scatters ------------------------------------------------------------------------------------


@detection_rules.of(ScatterBase)
def _scattered(e: JaxprEqn, facts: list[Fact]) -> Found:
    x, indices, updates = facts
    if e.primitive is scatter_p and indices.known is not None:
        return _numbered(e, facts, (0, 2), [None, indices.known.numpy(), None])
    numbers = e.params["dimension_numbers"]
    known = indices.known is not None
    at = indices.known.numpy() if indices.known is not None else np.zeros(indices.shape, indices.aval.dtype)
    total = x.sets
    if updates.sets is None or not updates.size or not x.size:
        return [total]
    # What a gather of the numbers of elements finds there, plus one, since it gives 0 for what is dropped.
    scatter: Any = e.primitive
    target = under(EVAL, scatter.read, concrete(x.numbers() + 1), concrete(at), updates.shape, e.params)
    places = np.asarray(target).reshape(-1).astype(np.intp) - 1
    classes, count = _classes(x.shape, set() if known else set(numbers.scatter_dims_to_operand_dims))
    inside = places >= 0
    pools = updates.sets.pooled(boolean(classes[places[inside]], np.flatnonzero(inside), (count, updates.size)))
    reached = pools.take(classes)
    return [reached if total is None else total | reached]


# ---- reductions ----------------------------------------------------------------------------------


@detection_rules.of(Reduction)
def _reduced(e: JaxprEqn, facts: list[Fact]) -> Found:
    (x,) = facts
    assert x.sets is not None
    classes, count = _classes(x.shape, set(e.params["axes"]))
    return [x.sets.of_groups(classes, count)]


def _before(f: Fact, axis: int, reverse: bool) -> IndexSets:
    """The unions along an axis of everything up to each element: in rounds, each twice as far."""
    sets, size = f.sets, f.shape[axis]
    assert sets is not None
    position = np.broadcast_to(np.arange(size).reshape([-1 if i == axis else 1 for i in range(len(f.shape))]), f.shape)
    stride = math.prod(f.shape[axis + 1 :])
    if reverse:
        position, stride = size - 1 - position, -stride
    step = 1
    while step < size:
        there = np.where(position >= step, f.numbers() - step * stride, -1)
        sets = sets | sets.take(there)
        step *= 2
    return sets


@detection_rules.of(Cumulative)
def _cumulative(e: JaxprEqn, facts: list[Fact]) -> Found:
    return [_before(facts[0], e.params["axis"], e.params["reverse"])]


@detection_rules.of(LinearRecurrence)
def _recurrence(e: JaxprEqn, facts: list[Fact]) -> Found:
    shape = e.outvars[0].aval.shape
    together = _union([_broadcast(f, shape) for f in facts if f.sets is not None])
    return [_before(Fact(e.outvars[0].aval, None, together), e.params["axis"], e.params["reverse"])]


@detection_rules.of(Windows)
def _windows(e: JaxprEqn, facts: list[Fact]) -> Found:
    (x,) = facts
    assert x.sets is not None
    return [_pooled_windows(x, _window_numbers(x.numbers(), e.params))]


def _window_numbers(numbers: NumPyArray, params: dict[str, Any]) -> NumPyArray:
    """Along a new axis 0, the numbers of the elements in each window, -1 for padding."""
    found = under(EVAL, partial(windows, **params), concrete(numbers), concrete(np.asarray(-1, numbers.dtype)))
    return np.asarray(found)


def _pooled_windows(x: Fact, numbers: NumPyArray) -> IndexSets:
    count = numbers[0].size
    inside = numbers.reshape(-1) >= 0
    rows = np.tile(np.arange(count), len(numbers))[inside]
    assert x.sets is not None
    return x.sets.pooled(boolean(rows, numbers.reshape(-1)[inside], (count, x.size)))


@detection_rules.of(Triangle)
def _triangle(e: JaxprEqn, facts: list[Fact]) -> Found:
    (x,) = facts
    assert x.sets is not None
    return [x.sets.where(np.asarray(e.primitive.evaluate(np.ones(x.shape), **e.params)) != 0)]


# ---- contractions --------------------------------------------------------------------------------


@detection_rules.of(dot_general_p)
def _contracted(e: JaxprEqn, facts: list[Fact]) -> Found:
    return [_union([_of_side(e, facts, side) for side in (0, 1) if facts[side].sets is not None])]


def _of_side(e: JaxprEqn, facts: list[Fact], side: int) -> IndexSets:
    """What results depend on through one operand of a contraction."""
    (contracted, batched) = ((d[side], d[1 - side]) for d in e.params["dimension_numbers"])
    x, other = facts[side], facts[1 - side]
    free = [i for i in range(len(x.shape)) if i not in (*contracted[0], *batched[0])]
    other_free = [i for i in range(len(other.shape)) if i not in (*contracted[1], *batched[1])]
    b, k, m, n = (
        math.prod([s[i] for i in axes])
        for s, axes in ((x.shape, batched[0]), (x.shape, contracted[0]), (x.shape, free), (other.shape, other_free))
    )
    numbers = x.numbers().transpose([*batched[0], *free, *contracted[0]]).reshape(b, m, k)
    # Results are (batch, free of the left, free of the right).
    results = np.arange(b * m * n).reshape((b, m, n) if side == 0 else (b, n, m))
    results = results if side == 0 else results.transpose(0, 2, 1)
    assert x.sets is not None
    if other.sets is None and other.size and (coefficient := other.coefficient) is not None:
        value = coefficient.transpose([*batched[1], *other_free, *contracted[1]]).reshape(b, n, k) != 0
        count = int(value.sum())
        if count < value.size and count * m <= _SELECTED:
            bs, ns, ks = np.nonzero(value)
            rows, columns = results[bs, :, ns].reshape(-1), numbers[bs, :, ks].reshape(-1)
            return x.sets.pooled(boolean(rows, columns, (b * m * n, x.size)))
    pools = x.sets.take(numbers).of_groups(np.repeat(np.arange(b * m), k), b * m)
    pool_of_result = np.empty(b * m * n, np.intp)
    pool_of_result[results.reshape(-1)] = np.repeat(np.arange(b * m), n)
    return pools.take(pool_of_result)


@detection_rules.of(conv_general_dilated_p)
def _convolved(e: JaxprEqn, facts: list[Fact]) -> Found:
    x, kernel = facts
    p, out = e.params, e.outvars[0].aval
    n = p["dimension_numbers"]
    rank, groups = len(x.shape) - 2, p["feature_group_count"]
    if p["batch_group_count"] != 1:
        return dense(e, facts)
    features = kernel.shape[n.rhs_spec[0]]
    place = np.arange(out.size).reshape(out.shape).transpose(n.out_spec)  # (batch, features, ...)
    batch, space = place.shape[0], place[0, 0].size
    result_of = np.empty(out.size, np.intp)
    parts = []
    if x.sets is not None:
        window = {
            "window_dimensions": (1, 1, *[kernel.shape[i] for i in n.rhs_spec[2:]]),
            "window_strides": (1, 1, *p["window_strides"]),
            "padding": ((0, 0), (0, 0), *p["padding"]),
            "base_dilation": (1, 1, *(p["lhs_dilation"] or (1,) * rank)),
            "window_dilation": (1, 1, *(p["rhs_dilation"] or (1,) * rank)),
        }
        numbers = _window_numbers(
            x.numbers().transpose(n.lhs_spec), window
        )  # (places in the window, batch, channels, ...)
        parts.append(_through_kernel(x, kernel, numbers, place, groups, n.rhs_spec))
    if kernel.sets is not None:
        # All of a feature's kernel.
        order = kernel.numbers().transpose(n.rhs_spec).reshape(features, -1)
        united = kernel.sets.take(order).of_groups(np.repeat(np.arange(features), order.shape[1]), features)
        result_of[place.reshape(-1)] = np.broadcast_to(np.arange(features)[:, None], (batch, features, space)).reshape(
            -1
        )
        parts.append(united.take(result_of))
    return [_union(parts)]


def _through_kernel(
    x: Fact, kernel: Fact, numbers: NumPyArray, place: NumPyArray, groups: int, rhs_spec: Sequence[int]
) -> IndexSets:
    """What the results of a convolution, numbered in `place` (batch, features, ...), depend on through its operand, whose
    elements in each window `numbers` has: (places in the window, batch, channels, ...)."""
    batch, features, space = place.shape[0], place.shape[1], place[0, 0].size
    channels = numbers.shape[2] // groups
    numbers = numbers.reshape(len(numbers), batch, groups, channels, space)
    place = place.reshape(batch, features, space)
    assert x.sets is not None
    value = kernel.coefficient
    if value is not None:
        # (features, channels, places in the window)
        value = value.transpose(rhs_spec).reshape(features, channels, -1) != 0
        count = int(value.sum()) * batch * space
        if not value.all() and count <= _SELECTED:
            f, c, k = np.nonzero(value)
            chosen = numbers[k, :, f // (features // groups), c]  # (kernel's places, batch, space)
            rows = np.broadcast_to(place.transpose(1, 0, 2)[f], chosen.shape)
            inside = chosen.reshape(-1) >= 0
            selected = boolean(rows.reshape(-1)[inside], chosen.reshape(-1)[inside], (place.size, x.size))
            return x.sets.pooled(selected)
    # One pool for each image, group and place, of all the group's channels and the window.
    pools = numbers.transpose(0, 3, 1, 2, 4).reshape(len(numbers) * channels, -1)
    united = _pooled_windows(x, pools)
    group = np.arange(features) // (features // groups)
    of_place = (np.arange(batch)[:, None, None] * groups + group[None, :, None]) * space + np.arange(space)
    result_of = np.empty(place.size, np.intp)
    result_of[place.reshape(-1)] = of_place.reshape(-1)
    return united.take(result_of)


# ---- transforms and matrices ---------------------------------------------------------------------


@detection_rules.of(Fft)
def _transformed(e: JaxprEqn, facts: list[Fact]) -> Found:
    return [_by_batches(e, facts[0], len(e.params["fft_lengths"]))]


def _by_batches(e: JaxprEqn, f: Fact, axes: int) -> IndexSets:
    """Everything along the last axes depends on everything there."""
    assert f.sets is not None
    rank, out = len(f.shape), e.outvars[0].aval
    classes, count = _classes(f.shape, set(range(rank - axes, rank)))
    chosen, _ = _classes(out.shape, set(range(len(out.shape) - axes, len(out.shape))))
    return f.sets.of_groups(classes, count).take(chosen)


@detection_rules.of(triangular_solve_p, tridiagonal_solve_p)
def _solved(e: JaxprEqn, facts: list[Fact]) -> Found:
    """A linear system for each matrix of a batch, and each column (or row) of its right-hand sides, the last operand."""
    *others, b = facts
    if b.sets is None or any([f.sets is not None for f in others]):
        return dense(e, facts)
    on_left = e.params.get("left_side", True)
    classes, count = _classes(b.shape, {len(b.shape) - (2 if on_left else 1)})
    return [b.sets.of_groups(classes, count).take(classes)]


# With directions as further operands it is not what it expands to.
detection_rules.of(cofactor_p)(dense)
