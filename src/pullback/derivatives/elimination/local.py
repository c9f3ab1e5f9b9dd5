"""Local Jacobians: what the nodes of a linearization are, as blocks with values.

Each rule says it for the operations of one kind, in terms of the operands' elements; what has no rule (a loop, a
convolution, a solution of equations) is a `LinearOperator`, which is applied to vectors and never written out. A
complex array counts as a real one with an axis of length 2 in front, real and imaginary parts: so what is linear
over the real numbers alone (`conj`, `real`) is as good as everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, as_array, concrete
from pullback.core.linear import Cotangents, Equation, Input, Node, Projection, Sum, zeros
from pullback.core.types import Shape
from pullback.derivatives.elimination.blocks import ORIGIN, Block, Place, block, diagonal, full, reshaped
from pullback.derivatives.elimination.values import LinearOperator, Valued, moved
from pullback.lax.arrangement import concatenate
from pullback.lax.contraction import free_axes
from pullback.lax.elementwise import complex_p, eq_p, ge_p, imag_p, le_p, not_p, real_p
from pullback.lax.family import MINUS_ONE, ONE, Combination, like, neg_p
from pullback.lax.shape import convert, reshape_p

if TYPE_CHECKING:
    from pullback.core.names import Value

#: A node of which the tangent depends on another's, and how: blocks of the arrays as they are, complex or not.
Dependence = tuple[Node, Valued]
Rule = Callable[[Equation], list[tuple[int, Valued]] | None]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Makes the decorated function the rule of equations of the primitives of these names: which gives, for
    operands by number, blocks of the result's derivative."""

    def add(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return add


# ---- the parts of complex arrays -----------------------------------------------------------------


class Space(NamedTuple):
    """The shape of a vertex, in real numbers, and whether it stands for a complex array."""

    shape: Shape
    is_complex: bool

    @property
    def size(self) -> int:
        return prod(self.shape)


def space_of(node: Node) -> Space:
    """The space of a node's tangents."""
    is_complex = dtypes.is_complex(node.dtype)
    return Space((2, *node.shape) if is_complex else node.shape, is_complex)


def parts_of(x: Value) -> Value:
    """A complex array as a real one, an axis longer."""
    return _stacked(real_p.bind(x), imag_p.bind(x))


def _stacked(x: Value, y: Value) -> Value:
    shape = (1, *x.shape)
    return concatenate([reshape_p.bind(x, new_sizes=shape), reshape_p.bind(y, new_sizes=shape)], 0)


def of_parts(x: Value) -> Value:
    """A complex array, of its parts."""
    return complex_p.bind(x[0], x[1])


def in_reals(x: Valued, out_complex: bool, into_complex: bool) -> Iterator[Valued]:
    """A block that is linear over the complex numbers, as blocks of real numbers: Re and Im of the
    result as functions of Re and Im of the operand."""
    b: Any = x.piece
    if not out_complex and not into_complex:
        yield x
        return
    is_complex = x.value is not None and dtypes.is_complex(x.value.dtype)
    real = real_p.bind(x.value) if is_complex else x.value
    imag = imag_p.bind(x.value) if is_complex else None
    for row in range(1 + out_complex):
        for column in range(1 + into_complex):
            value = real if row == column else imag
            if value is None and row != column:
                continue
            sign = -1 if (row, column) == (0, 1) else 1
            yield Valued(_with_parts(b, row if out_complex else None, column if into_complex else None, sign), value)


def _with_parts(b: Block, row: int | None, column: int | None, sign: float = 1) -> Block:
    """The block of one part (0: real, 1: imaginary) of the result, or of the operand."""
    if row is not None:
        b = b._replace(out=((row, ()), *b.out), out_shape=(2, *b.out_shape))
    if column is not None:
        b = b._replace(into=((column, ()), *b.into), into_shape=(2, *b.into_shape))
    return b._replace(factor=b.factor * sign)


# ---- nodes ---------------------------------------------------------------------------------------


def dependences(node: Node) -> list[Dependence] | None:
    """What a node's tangent depends on, and how, in real numbers; None if no rule knows."""
    operands: Sequence[int] = ()
    if 0 in node.shape:
        return []
    if isinstance(node, Sum):
        found = [(n, Valued(diagonal(node.shape, valued=False), None)) for n in node.terms]
    elif isinstance(node, Combination):
        found = [(n, _scaled(node, n, c)) for n, c in node.terms]
    elif isinstance(node, Projection) and isinstance(node.source, Equation) and node.source.primitive.name == "split":
        found = [(node.source.operands[0], _split(node.source, node.index))]
    elif isinstance(node, Equation) and node.primitive.name in RULES:
        blocks = RULES[node.primitive.name](node)
        if blocks is None:
            return None
        operands = [i for i, _ in blocks]
        found = [(node.operands[i], x) for i, x in blocks]
    else:
        return None
    to = dtypes.is_complex(node.dtype)
    out: list[Dependence] = []
    for operand, (parent, x) in zip(operands or range(len(found)), found):
        if 0 in x.piece.into_shape:
            continue
        of = dtypes.is_complex(parent.dtype)
        parts = PARTS.get(node.primitive.name) if isinstance(node, Equation) else None
        if parts is None:
            out += [(parent, part) for part in in_reals(x, to, of)]
        else:
            pairs = parts(operand)
            out += [(parent, Valued(_with_parts(x.piece, *pair), None)) for pair in pairs]  # type: ignore[arg-type]
    return out


def _scaled(node: Node, parent: Node, coefficient: Value) -> Valued:
    """An elementwise coefficient times a tangent, both broadcast to the node's shape."""
    shape, rank = node.shape, len(node.shape)
    out = [full(i, n) for i, n in enumerate(shape)]
    more = rank - len(parent.shape)
    into = [ORIGIN if n == 1 else out[more + i] for i, n in enumerate(parent.shape)]
    if coefficient is ONE or coefficient is MINUS_ONE:
        b, _ = block(out, into, shape, None, shape, parent.shape, 1 if coefficient is ONE else -1)
        return Valued(b, None)
    skipped = rank - len(coefficient.shape)
    labels = [skipped + i for i, n in enumerate(coefficient.shape) if n != 1]
    b, _ = block(out, into, shape, labels, shape, parent.shape)
    return Valued(b, squeezed(coefficient))


def squeezed(x: Value) -> Value:
    """Without axes of length 1."""
    shape = tuple([n for n in x.shape if n != 1])
    return x if x.shape == shape else reshape_p.bind(x, new_sizes=shape)


def _copy(
    out: Sequence[Place], into: Sequence[Place], sizes: Sequence[int], node: Node, parent: Node | Shape
) -> Valued:
    shape = parent.shape if isinstance(parent, Node) else parent
    return Valued(block(out, into, sizes, None, node.shape, shape)[0], None)


def _parent(node: Equation, i: int = 0) -> Node:
    found: Any = node.operands[i]
    return found


# ---- rules ---------------------------------------------------------------------------------------


@rule("copy", "convert_element_type", "reduce_precision", "real", "imag", "conj")
def _same(node: Equation) -> list[tuple[int, Valued]]:
    (i,) = [i for i, x in enumerate(node.operands) if isinstance(x, Node)]
    return [(i, Valued(diagonal(node.shape, valued=False), None))]


@rule("complex")
def _complex(node: Equation) -> list[tuple[int, Valued]]:
    return [(i, _scaled(node, x, ONE)) for i, x in enumerate(node.operands) if isinstance(x, Node)]


#: Of what is linear over the real numbers alone: which part of the result the parts of an operand, by its number,
#: are, and with which sign (None: the result, or the operand, is real).
PARTS: dict[str, Callable[[int], list[tuple[int | None, int | None, int]]]] = {
    "real": lambda operand: [(None, 0, 1)],
    "imag": lambda operand: [(None, 1, 1)],
    "conj": lambda operand: [(0, 0, 1), (1, 1, -1)],
    "complex": lambda operand: [(operand, None, 1)],
}


@rule("transpose")
def _transpose(node: Equation) -> list[tuple[int, Valued]]:
    shape = _parent(node).shape
    into = [full(i, n) for i, n in enumerate(shape)]
    return [(0, _copy([into[i] for i in node.params["permutation"]], into, shape, node, shape))]


@rule("reshape")
def _reshape(node: Equation) -> list[tuple[int, Valued]] | None:
    b = reshaped(node.shape, _parent(node).shape)
    return None if b is None else [(0, Valued(b, None))]


@rule("broadcast_in_dim")
def _broadcast(node: Equation) -> list[tuple[int, Valued]]:
    shape, parent = node.shape, _parent(node).shape
    out = [full(i, n) for i, n in enumerate(shape)]
    into = [ORIGIN if n == 1 else out[d] for n, d in zip(parent, node.params["broadcast_dimensions"])]
    return [(0, _copy(out, into, shape, node, parent))]


@rule("reduce_sum")
def _reduce_sum(node: Equation) -> list[tuple[int, Valued]]:
    shape = _parent(node).shape
    into = [full(i, n) for i, n in enumerate(shape)]
    out = [p for i, p in enumerate(into) if i not in node.params["axes"]]
    return [(0, _copy(out, into, shape, node, shape))]


@rule("rev")
def _rev(node: Equation) -> list[tuple[int, Valued]]:
    shape, reversed_ = node.shape, node.params["dimensions"]
    out = [full(i, n) for i, n in enumerate(shape)]
    into = [(n - 1, ((i, -1),)) if i in reversed_ else full(i, n) for i, n in enumerate(shape)]
    return [(0, _copy(out, into, shape, node, shape))]


@rule("slice")
def _slice(node: Equation) -> list[tuple[int, Valued]]:
    starts = node.params["start_indices"]
    steps = node.params["strides"] or (1,) * len(starts)
    out = [full(i, n) for i, n in enumerate(node.shape)]
    into = [(start, ((i, step),)) for i, (start, step) in enumerate(zip(starts, steps))]
    return [(0, _copy(out, into, node.shape, node, _parent(node)))]


def _index(node: Node, index: Any, whole: Shape) -> tuple[list[Place], list[Place], Shape]:
    """The places in an array of shape `index.shape(whole)`, and in the whole."""
    slices, reversed_ = index.parts(whole)
    places: list[Place] = []
    sizes = tuple([-((a - b) // s) for a, b, s in slices])
    for i, ((start, _, step), n) in enumerate(zip(slices, sizes)):
        places.append((start + step * (n - 1), ((i, -step),)) if i in reversed_ else (start, ((i, step),)))
    longer = iter([i for i, n in enumerate(sizes) if n != 1])
    part = [ORIGIN if n == 1 else full(next(longer), n) for n in index.shape(whole)]
    return part, places, sizes


@rule("static_index")
def _static_index(node: Equation) -> list[tuple[int, Valued]]:
    parent = _parent(node)
    out, into, sizes = _index(node, node.params["index"], parent.shape)
    return [(0, _copy(out, into, sizes, node, parent))]


@rule("static_update")
def _static_update(node: Equation) -> list[tuple[int, Valued]]:
    index, found = node.params["index"], []
    x, update = node.operands
    if isinstance(x, Node):
        outside = np.ones(x.shape, np.bool_)
        outside[index.numpy] = False
        found.append((0, Valued(diagonal(x.shape, mask=True), squeezed(concrete(outside)))))
    if isinstance(update, Node) and 0 not in update.shape:
        into, out, sizes = _index(node, index, node.shape)
        found.append((1, _copy(out, into, sizes, node, update)))
    return found


def _known_starts(starts: Sequence[Value], whole: Shape, block: Shape) -> list[int] | None:
    """Where a block begins, clamped as the operation does it; None if that is not known."""
    if any([x.__class__ is not ConcreteArray for x in starts]):
        return None
    return [min(max(int(x._value), 0), n - m) for x, n, m in zip(starts, whole, block)]


@rule("dynamic_slice")
def _dynamic_slice(node: Equation) -> list[tuple[int, Valued]] | None:
    parent = _parent(node)
    starts = _known_starts(node.operands[1:], parent.shape, node.shape)
    if starts is None:
        return None
    out = [full(i, n) for i, n in enumerate(node.shape)]
    into = [(start, ((i, 1),)) for i, start in enumerate(starts)]
    return [(0, _copy(out, into, node.shape, node, parent))]


@rule("dynamic_update_slice")
def _dynamic_update_slice(node: Equation) -> list[tuple[int, Valued]] | None:
    x, update = node.operands[:2]
    starts = _known_starts(node.operands[2:], x.shape, update.shape)
    if starts is None:
        return None
    found = []
    if isinstance(x, Node):
        outside = np.ones(x.shape, np.bool_)
        outside[tuple([slice(start, start + n) for start, n in zip(starts, update.shape)])] = False
        found.append((0, Valued(diagonal(x.shape, mask=True), squeezed(concrete(outside)))))
    if isinstance(update, Node):
        into = [full(i, n) for i, n in enumerate(update.shape)]
        out = [(start, ((i, 1),)) for i, start in enumerate(starts)]
        found.append((1, _copy(out, into, update.shape, node, update)))
    return found


@rule("pad")
def _pad(node: Equation) -> list[tuple[int, Valued]] | None:
    x = node.operands[0]
    if not isinstance(x, Node) or isinstance(node.operands[1], Node):
        return None
    out, into, sizes = [], [], []
    for i, ((low, _, interior), n, m) in enumerate(zip(node.params["padding_config"], x.shape, node.shape)):
        step = interior + 1
        first = max(0, -(low // step))
        last = min(n - 1, (m - 1 - low) // step)
        if first > last:
            return []
        sizes.append(last - first + 1)
        out.append((low + step * first, ((i, step),)))
        into.append((first, ((i, 1),)))
    return [(0, _copy(out, into, sizes, node, x))]


@rule("concatenate")
def _concatenate(node: Equation) -> list[tuple[int, Valued]]:
    axis, start, found = node.params["dimension"], 0, []
    for i, x in enumerate(node.operands):
        if isinstance(x, Node):
            into = [full(k, n) for k, n in enumerate(x.shape)]
            out = [(start + at, parts) if k == axis else (at, parts) for k, (at, parts) in enumerate(into)]
            found.append((i, _copy(out, into, x.shape, node, x)))
        start += x.shape[axis]
    return found


def _split(source: Equation, number: int) -> Valued:
    (x,), axis, sizes = source.operands, source.params["axis"], source.params["sizes"]
    shape = tuple([sizes[number] if i == axis else n for i, n in enumerate(x.shape)])
    out = [full(i, n) for i, n in enumerate(shape)]
    into = [(sum(sizes[:number]) + at, parts) if i == axis else (at, parts) for i, (at, parts) in enumerate(out)]
    return Valued(block(out, into, shape, None, shape, x.shape)[0], None)


@rule("select_n")
def _select(node: Equation) -> list[tuple[int, Valued]]:
    which, *cases = node.operands
    found = []
    for i, x in enumerate(cases):
        if isinstance(x, Node):
            if len(cases) == 1:
                return [(1, Valued(diagonal(node.shape, valued=False), None))]
            mask = _is_case(which, i, len(cases))
            labels = range(len(node.shape)) if which.shape else ()
            places = [full(k, n) for k, n in enumerate(node.shape)]
            b, _ = block(places, places, node.shape, labels, node.shape, node.shape, mask=True)
            found.append((i + 1, Valued(b, squeezed(mask))))
    return found


def _is_case(which: Value, i: int, count: int) -> Value:
    """Where `select_n` takes case i."""
    if which.dtype == dtypes.bool_:
        return which if i else not_p.bind(which)
    number = like(i, which)
    return (
        le_p.bind(which, number) if i == 0 else ge_p.bind(which, number) if i == count - 1 else eq_p.bind(which, number)
    )


@rule("dot_general")
def _dot_general(node: Equation) -> list[tuple[int, Valued]] | None:
    ours = 0 if isinstance(node.operands[0], Node) else 1
    x, other = node.operands[ours], node.operands[1 - ours]
    if isinstance(other, Node):
        return None
    contracted, batch = node.params["dimension_numbers"]
    shapes = [o.shape for o in node.operands]
    free = [free_axes(len(s), c, b) for s, c, b in zip(shapes, contracted, batch)]
    n = len(node.shape)
    out = [full(i, size) for i, size in enumerate(node.shape)]
    labels: list[dict[int, int]] = [{}, {}]  # of each operand's axes
    sizes = list(node.shape)
    for i, axes in enumerate(zip(*batch)):
        for side in (0, 1):
            labels[side][axes[side]] = i
    for i, axes in enumerate(zip(*contracted)):
        for side in (0, 1):
            labels[side][axes[side]] = n + i
        sizes.append(shapes[0][axes[0]])
    position = len(batch[0])
    for side in (0, 1):
        for axis in free[side]:
            labels[side][axis] = position
            position += 1
    into = [full(labels[ours][i], size) for i, size in enumerate(shapes[ours])]
    kept = [labels[1 - ours][i] for i in range(len(shapes[1 - ours]))]
    b, named = block(out, into, sizes, kept, node.shape, x.shape)
    value = moved(squeezed(other), named, sorted(named))
    real = dtypes.is_complex(value.dtype) and not dtypes.is_complex(node.dtype)
    return [(ours, Valued(b, value if value.dtype == node.dtype or real else convert(value, node.dtype)))]


# ---- what is applied -----------------------------------------------------------------------------


def operator_of(nodes: Sequence[Node], entries: Sequence[Node], exits: Sequence[Node]) -> LinearOperator:
    """The linear function from the tangents of `entries` to those of `exits`, which `nodes` compute, in real
    numbers. Several entries, or exits, are one vector, one after the other."""
    inputs = [Input(n.shape, n.dtype) for n in entries]
    built: dict[int, Node] = {n.id: i for n, i in zip(entries, inputs)}
    for n in nodes:
        for p in n.parents():  # others have no elements
            if p.id not in built:
                built[p.id] = Input(p.shape, p.dtype)
        built[n.id] = n.rebuild(n.residuals(), built)
    inside = [built[n.id] for n in nodes]
    outputs = [built[n.id] for n in exits]

    def push(t: Value) -> Value:
        tangents: dict[int, Any] = dict(zip([i.id for i in inputs], taken_apart(t, inputs)))
        for n in inside:
            found = n.push(tangents)
            if found is not None:
                tangents[n.id] = found
        return put_together([tangents.get(n.id) for n in outputs], outputs, ct=False)

    def pull(ct: Value) -> Value:
        cotangents = Cotangents()
        for n, c in zip(outputs, taken_apart(ct, outputs, ct=True)):
            cotangents.add(n, c)
        cotangents.pull()
        return put_together([cotangents.get(i) for i in inputs], inputs, ct=True)

    return LinearOperator(push, pull)


def taken_apart(x: Value, nodes: Sequence[Node], ct: bool = False) -> list[Value]:
    """The tangents, or cotangents, of nodes that are one vector of real numbers."""
    if len(nodes) == 1:
        return [_complex_of(x, nodes[0], ct)]
    found, start = [], 0
    for n in nodes:
        space = space_of(n)
        found.append(_complex_of(x[start : start + space.size].reshape(space.shape), n, ct))
        start += space.size
    return found


def _complex_of(x: Value, node: Node, ct: bool) -> Value:
    if not dtypes.is_complex(node.dtype):
        return convert(x, node.dtype)
    x = convert(x, dtypes.to_real(node.dtype))
    # A cotangent c pairs with a tangent t to Re(c t) = Re c Re t - Im c Im t.
    return complex_p.bind(x[0], neg_p.bind(x[1]) if ct else x[1])


def put_together(xs: Sequence[Value], nodes: Sequence[Node], ct: bool) -> Value:
    """Tangents, or cotangents, of nodes (None is zero) as one vector of real numbers."""
    parts = []
    for x, n in zip(xs, nodes):
        x = zeros(n.shape, n.dtype) if x is None else as_array(x)
        if dtypes.is_complex(n.dtype):
            x = _stacked(real_p.bind(x), neg_p.bind(imag_p.bind(x)) if ct else imag_p.bind(x))
        parts.append(x)
    if len(parts) == 1:
        return parts[0]
    dtype = parts[0].dtype
    for x in parts[1:]:
        dtype = dtypes.promote_pair(dtype, False, x.dtype, False)[0]
    return concatenate([convert(x.reshape(-1), dtype) for x in parts], 0)


__all__ = ["RULES", "Dependence", "Space", "dependences", "operator_of", "space_of"]
