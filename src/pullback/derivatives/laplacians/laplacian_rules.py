"""What operations make of values with slopes and curvature, by class: elementwise functions, moves,
linear and bilinear operations.

`rule(coordinates, primitive, operands, params)` gives the result. What has no rule here is
differentiated twice along each direction (`forward_laplacian.along_directions`), and so are functions
of these classes with a derivative of another kind than their class has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.linear import Input, push_nodes, reachable
from pullback.core.primitive import BilinearPrimitive, Fusion, LinearPrimitive
from pullback.core.trace import Params, current, known_value, under
from pullback.derivatives.laplacians.forward_laplacian import (
    Local,
    aligned,
    along_directions,
    dense,
    is_few,
    laplacian_rules,
)
from pullback.derivatives.laplacians.laplacian_rows import Pattern, collected, is_uniform, merged, padded
from pullback.lax.contraction import DotGeneral, free_axes
from pullback.lax.elementwise import square_p
from pullback.lax.family import ONE, ZERO, Constant, Elementwise, combine, like, mul_p
from pullback.lax.mover import Mover
from pullback.lax.selection import SelectN
from pullback.lax.shape import (
    ReduceSum,
    batch_first,
    broadcast_to,
    reduce_sum_p,
    reshape_p,
    transpose_p,
)
from pullback.transforms.jvp import JVPTrace
from pullback.transforms.vmap import batch_flat

if TYPE_CHECKING:
    from pullback.core.primitive import Primitive

# ---- elementwise functions -----------------------------------------------------------------------


@laplacian_rules.of(Elementwise)
def _elementwise(coordinates: int, primitive: Elementwise, operands: Sequence[Local], params: Params) -> Any:
    values = [x.value for x in operands]
    not_holomorphic = primitive.complex_jvp is not None and dtypes.is_complex(values[0].dtype)
    if not_holomorphic or type(primitive).jvp is not Elementwise.jvp:
        return along_directions(coordinates, primitive, operands, params)
    out = primitive.bind(*values, **params)
    shape = out.shape
    active = [i for i, x in enumerate(operands) if x.slopes is not None and primitive.partials[i] is not ZERO]
    if not active:
        return Local(out)
    pattern, rows, slopes = aligned(coordinates, [operands[i] for i in active], shape)
    first = {}
    for i in active:
        partial = primitive.partials[i]
        first[i] = partial if partial.__class__ is Constant else partial(*values, out, **params)  # type: ignore[operator]
    terms = [(operands[i].curvature, first[i]) for i in active if operands[i].curvature is not None]
    curvature = combine(terms, shape) if terms else None
    for i, s in zip(active, slopes):
        for j, r in zip(active, slopes):
            if j > i or ONE.__class__ in (first[i].__class__, first[j].__class__):
                continue
            second = _second(primitive, values, out, params, i, j, first[j])
            if second is None:
                continue
            product = square_p.bind(s) if i == j else mul_p.bind(s, r)
            if i != j:
                product = product + product
            total = reduce_sum_p.bind(product, axes=(0,))
            if second is not ONE:
                total = mul_p.bind(second, total)
            total = broadcast_to(total, shape)
            curvature = total if curvature is None else curvature + total
    combined = combine(list(zip(slopes, first.values())), (rows, *shape))
    return Local(out, combined, pattern, curvature)


def _second(primitive: Elementwise, values: Sequence[Any], out: Any, params: Params, i: int, j: int, along: Any) -> Any:
    """The derivative of partial number i by operand number j, of which the result has the derivative
    `along`; None for zero, ONE for a one."""
    partial: Any = primitive.partials[i]
    trace = JVPTrace(current())
    one = broadcast_to(like(1.0, values[j]), values[j].shape)
    args = [trace.wrap(x, one) if k == j else x for k, x in enumerate(values)]

    def of_traced() -> Any:
        return partial(*args, trace.wrap(out, along), **params)

    _, t = trace.unwrap(under(trace, of_traced))
    return ONE if t is one else t


# ---- linear operations ---------------------------------------------------------------------------


@laplacian_rules.of(LinearPrimitive)
def _linear(coordinates: int, primitive: Primitive, operands: Sequence[Local], params: Params) -> Any:
    if not primitive.is_linear([x.slopes is not None for x in operands]):
        return along_directions(coordinates, primitive, operands, params)
    shapes = {x.value.shape for x in operands if x.slopes is not None}
    if primitive.fusion is Fusion.ELEMENTWISE and len(shapes) == 1:
        pattern, rows, slopes = aligned(coordinates, operands, *shapes)
        return pushed(primitive, operands, slopes, rows, pattern, params)
    slopes = [None if x.slopes is None else dense(coordinates, x) for x in operands]
    return pushed(primitive, operands, slopes, coordinates, None, params)


def pushed(
    primitive: Primitive, operands: Sequence[Local], slopes: Sequence[Any], rows: int, patterns: Any, params: Params
) -> Any:
    """The results of an operation that is linear in what has slopes: its derivative, of each row and
    of the curvatures. `patterns` is that of the results, or a list of them."""
    inputs = [None if s is None else Input(x.value.shape, x.value.dtype) for x, s in zip(operands, slopes)]
    out, node = primitive.linearize([x.value for x in operands], inputs, params)
    several = primitive.multiple_results
    outs, nodes = (out, node) if several else ([out], [node])
    steps = reachable(nodes)
    active = [x for x in inputs if x is not None]

    def push(*tangents: Any) -> list[Any]:
        found = {n.id: t for n, t in zip(active, tangents) if t is not None}
        push_nodes(steps, found)
        return [None if n is None else found.get(n.id) for n in nodes]

    pushed_rows, axes = batch_flat(push, rows, [s for s in slopes if s is not None], [0] * len(active))
    curvatures = [x.curvature for x, n in zip(operands, inputs) if n is not None]
    pushed_curvatures = push(*curvatures) if any([c is not None for c in curvatures]) else [None] * len(outs)
    if not isinstance(patterns, list):
        patterns = [patterns] * len(outs)
    results = [
        Local(o) if s is None else Local(o, batch_first(s, b, rows), p, c)
        for o, s, b, p, c in zip(outs, pushed_rows, axes, patterns, pushed_curvatures)
    ]
    return results if several else results[0]


@laplacian_rules.of(Mover)
def _mover(coordinates: int, primitive: Primitive, operands: Sequence[Local], params: Params) -> Any:
    moved = [primitive.linear_in is None or i in primitive.linear_in for i in range(len(operands))]  # type: ignore[attr-defined]
    known = [x for x in operands if x.slopes is not None]
    positions = [None if m else known_value(x.value) for x, m in zip(operands, moved)]
    if (
        any([x.pattern is None for x in known])
        or any([p is None and not m for p, m in zip(positions, moved)])
        or isinstance(primitive, SelectN)
    ):
        return _linear(coordinates, primitive, operands, params)
    rows = max([x.pattern.count for x in known if x.pattern is not None])
    numbers = []
    for r in range(rows):
        of_row = [
            p if not m else x.pattern.numbers[r] if x.pattern is not None and r < x.pattern.count
            else np.full(x.value.shape, -1, np.int32)
            for x, m, p in zip(operands, moved, positions)
        ]  # fmt: skip
        found = primitive.evaluate(*of_row, **params)
        numbers.append(found if primitive.multiple_results else [found])
    # What comes from nowhere (an index out of bounds) is of no coordinate.
    stacked = [np.stack([np.asarray(x) for x in each]) for each in zip(*numbers)]
    patterns = [Pattern(np.where(n < coordinates, n, -1)) for n in stacked]
    slopes = [None if x.slopes is None else padded(x.slopes, rows) for x in operands]
    return pushed(primitive, operands, slopes, rows, patterns, params)


@laplacian_rules.of(ReduceSum)
def _sum(coordinates: int, primitive: ReduceSum, operands: Sequence[Local], params: Params) -> Any:
    (x,) = operands
    axes = params["axes"]
    if x.pattern is None or not axes:
        return _linear(coordinates, primitive, operands, params)
    numbers = x.pattern.numbers
    along = tuple([a + 1 for a in axes])
    kept = _constant_along(numbers, along)
    if kept is not None:
        return pushed(primitive, operands, [x.slopes], x.pattern.count, Pattern(kept), params)
    order = (0, *along, *[a for a in range(1, numbers.ndim) if a not in along])
    shape = (math.prod([numbers.shape[a] for a in (0, *along)]), *[numbers.shape[a] for a in order[1 + len(along) :]])
    numbers = np.transpose(numbers, order).reshape(shape)
    pattern, places = merged(numbers)
    rows = transpose_p.bind(x.slopes, permutation=order)
    rows = reshape_p.bind(rows, new_sizes=numbers.shape)
    out = primitive.bind(x.value, **params)
    curvature = None if x.curvature is None else primitive.bind(x.curvature, **params)
    if not is_few(pattern.count, coordinates):
        return Local(out, collected(rows, numbers, coordinates), None, curvature)
    return Local(out, rows if places is None else collected(rows, places, pattern.count), pattern, curvature)


def _constant_along(numbers: Any, axes: Sequence[int]) -> Any:
    """Numbers without these axes, along which they are all the same; None if they are not."""
    if any([numbers.shape[a] == 0 for a in axes]):
        return None
    first = numbers[tuple([slice(0, 1) if a in axes else slice(None) for a in range(numbers.ndim)])]
    return np.squeeze(first, tuple(axes)) if (numbers == first).all() else None


# ---- products ------------------------------------------------------------------------------------


@laplacian_rules.of(BilinearPrimitive)
def _bilinear(coordinates: int, primitive: BilinearPrimitive, operands: Sequence[Local], params: Params) -> Any:
    x, y = operands
    slopes = [None if o.slopes is None else dense(coordinates, o) for o in operands]
    if x.slopes is None or y.slopes is None:
        return pushed(primitive, operands, slopes, coordinates, None, params)
    # The derivative is the sum of two linear ones, and the second derivative twice the product.
    of_x = pushed(primitive, (x, Local(y.value)), (slopes[0], None), coordinates, None, params)
    of_y = pushed(primitive, (Local(x.value), y), (None, slopes[1]), coordinates, None, params)
    if isinstance(primitive, DotGeneral):
        (xc, yc), (xb, yb) = params["dimension_numbers"]
        contract = ((0, *[a + 1 for a in xc]), (0, *[a + 1 for a in yc]))
        batch = (tuple([a + 1 for a in xb]), tuple([a + 1 for a in yb]))
        cross = primitive.bind(*slopes, **params | {"dimension_numbers": (contract, batch)})
    else:
        found, axes = batch_flat(lambda a, b: [primitive.bind(a, b, **params)], coordinates, slopes, [0, 0])
        cross = reduce_sum_p.bind(batch_first(found[0], axes[0], coordinates), axes=(0,))
    curvature = cross + cross
    for c in (of_x.curvature, of_y.curvature):
        curvature = curvature if c is None else curvature + c
    return Local(of_x.value, of_x.slopes + of_y.slopes, None, curvature)


@laplacian_rules.of(DotGeneral)
def _dot(coordinates: int, primitive: DotGeneral, operands: Sequence[Local], params: Params) -> Any:
    """With a constant operand, patterns are kept in two cases: of a layer that is applied to each of
    several points, whose elements depend on the same coordinates, and where the contracted axes have
    few coordinates together."""
    x, y = operands
    is_left = y.slopes is None
    local, other = (x, y.value) if is_left else (y, x.value)
    if local.pattern is None or (x.slopes is not None and y.slopes is not None):
        return _bilinear(coordinates, primitive, operands, params)
    contract, batch = params["dimension_numbers"]
    arranged = _Arranged(local.value, other, [axes if is_left else axes[::-1] for axes in (contract, batch)], is_left)
    numbers = arranged.of_local(local.pattern.numbers)
    kept = _constant_along(numbers, range(1, 1 + arranged.contracted))
    if kept is not None:
        pattern = Pattern(np.broadcast_to(kept, (kept.shape[0], *arranged.shape)))
        return pushed(primitive, operands, [x.slopes, y.slopes], kept.shape[0], pattern, params)
    rows = math.prod(numbers.shape[: 1 + arranged.contracted])
    numbers = numbers.reshape(rows, *numbers.shape[1 + arranged.contracted :])
    pattern, places = merged(numbers)
    few = is_few(pattern.count, coordinates)
    cheap = rows <= coordinates and (few or is_uniform(numbers))
    is_plain = params["precision"] is None and params["preferred_element_type"] in (None, local.value.dtype)
    if not is_plain or not cheap:
        return _bilinear(coordinates, primitive, operands, params)
    full = (numbers.shape[0], *arranged.shape)
    product = mul_p.bind(arranged.of_local(local.slopes), arranged.of_other(other))
    slopes = reshape_p.bind(product, new_sizes=full)
    if not few:
        slopes, found = collected(slopes, np.broadcast_to(numbers, full), coordinates), None
    else:
        slopes = slopes if places is None else collected(slopes, np.broadcast_to(places, full), pattern.count)
        found = Pattern(np.broadcast_to(pattern.numbers, (pattern.count, *arranged.shape)))
    out = primitive.bind(x.value, y.value, **params)
    pair = (local.curvature, other) if is_left else (other, local.curvature)
    return Local(out, slopes, found, None if local.curvature is None else primitive.bind(*pair, **params))


class _Arranged:
    """The operands of a product of arrays, arranged so that their elements' products are in the places
    of the result, of `shape`, behind an axis of rows and the `contracted` axes.

    Example: of x @ w, x with shape (1, n, 1) and w with shape (1, n, m).
    """

    def __init__(self, local: Any, other: Any, axes: Sequence[Any], is_left: bool) -> None:
        (contract, other_contract), (batch, other_batch) = axes
        free, other_free = free_axes(local.ndim, contract, batch), free_axes(other.ndim, other_contract, other_batch)
        self.contracted = len(contract)
        beside, own = [other.shape[a] for a in other_free], [local.shape[a] for a in free]
        self.shape = (*[local.shape[a] for a in batch], *(own + beside if is_left else beside + own))
        self._order = (0, *[a + 1 for a in (*contract, *batch, *free)])
        self._other_order = (*other_contract, *other_batch, *other_free)
        shared = len(contract) + len(batch)
        # Where the axes of length 1 go that stand for the other's free ones.
        self._at, self._count = (1 + shared + (len(free) if is_left else 0)), len(other_free)
        self._other_at, self._other_count = shared + (0 if is_left else len(other_free)), len(free)

    def of_local(self, rows: Any) -> Any:
        """Rows of the operand that has derivatives, arrays or numbers."""
        return _with_ones(rows, self._order, self._at, self._count)

    def of_other(self, x: Any) -> Any:
        """The other operand."""
        x = _with_ones(x, self._other_order, self._other_at, self._other_count)
        return reshape_p.bind(x, new_sizes=(1, *x.shape))


def _with_ones(x: Any, order: tuple[int, ...], at: int, count: int) -> Any:
    """`x` with its axes in this order, and `count` new ones of length 1 from `at` on."""
    shape = [x.shape[a] for a in order]
    shape[at:at] = [1] * count
    if isinstance(x, np.ndarray):
        return np.transpose(x, order).reshape(shape)
    if order != tuple(range(len(order))):
        x = transpose_p.bind(x, permutation=order)
    return reshape_p.bind(x, new_sizes=tuple(shape)) if count else x
