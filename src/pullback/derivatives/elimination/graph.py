"""The linearized program as a graph, and what eliminating its vertices makes of it.

Vertices are arrays; the edge from u to v is the local Jacobian ∂v/∂u, a sum of pieces (`blocks`). To eliminate a
vertex is to multiply each edge that leaves it by each that enters it, which the chain rule says, and to add the
products to the edges there are between the same vertices. When only inputs and outputs are left, the edges are the
Jacobian (Griewank and Walther, *Evaluating Derivatives*, 2nd edition, section 9.2). Orders differ in what they cost.

What edges look like, without their values, is an `Algebra`'s: what each product and each sum is and costs, found
once. A `State` is a graph of such edges, on which orders are tried; `eliminate` does with values what was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from pullback.core import dtypes
from pullback.core.errors import Location, describe_location
from pullback.core.jaxpr import program_caches
from pullback.core.linear import Equation, Node, Projection, reachable
from pullback.core.staging import stage_flat
from pullback.core.types import ShapedArray
from pullback.derivatives.elimination.blocks import (
    Block,
    Operator,
    Piece,
    Place,
    block,
    composed,
    dense,
    diagonal,
    into_sizes,
    kept_places,
    of_all,
    out_sizes,
    product,
    transposed,
    unlabelled,
)
from pullback.derivatives.elimination.local import Space, dependences, operator_of, space_of
from pullback.derivatives.elimination.values import LinearOperator, Valued, add, assembled, multiply
from pullback.explaining.operations import account

if TYPE_CHECKING:
    from pullback.core.dtypes import DType

#: From so many pieces on, an edge of which most elements are not zero is filled in.
_MANY_PIECES = 64

Edge = tuple[Piece, ...]


class Joining(NamedTuple):
    """How pieces become an edge: for each, the number of the piece that it is added to and the sum (None: it
    stays by itself), and whether all are filled in then."""

    steps: tuple[tuple[int, Block | None] | None, ...]
    filled: bool


class Algebra:
    """Edges by number, and what their products and sums are: numbers of edges, multiplications, and how it is done.

    Example: a diagonal edge times a dense one of shape (n, k) is a dense one, after n k multiplications.
    """

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self._numbers: dict[Edge, int] = {}
        self._products: dict[tuple[int, int], tuple[int | None, int, Any]] = {}
        self._sums: dict[tuple[int, int], tuple[int | None, int, Joining]] = {}

    def number(self, edge: Edge) -> int:
        """The number of an edge."""
        found = self._numbers.get(edge)
        if found is None:
            found = self._numbers[edge] = len(self.edges)
            self.edges.append(edge)
        return found

    def times(self, left: int, right: int) -> tuple[int | None, int, Any]:
        """The product ∂z/∂y · ∂y/∂x (None if it is zero), its multiplications, and which pieces are multiplied and how
        the products are joined."""
        found = self._products.get((left, right))
        if found is None:
            found = self._products[left, right] = self._multiply(self.edges[left], self.edges[right])
        return found

    def plus(self, a: int, b: int) -> tuple[int | None, int, Joining]:
        """The sum of two edges, its multiplications, and how it is made."""
        found = self._sums.get((a, b))
        if found is None:
            edge, cost, joining = join((*self.edges[a], *self.edges[b]))
            found = self._sums[a, b] = (self.number(edge) if edge else None, cost, joining)
        return found

    def _multiply(self, left: Edge, right: Edge) -> tuple[int | None, int, Any]:
        cost, pairs, pieces = 0, [], []
        for i, x in enumerate(left):
            for j, y in enumerate(right):
                found, more = product_of(x, y)
                cost += more
                if found is not None:
                    pairs.append((i, j))
                    pieces.append(found)
        if not pieces:
            return None, cost, None
        edge, more, joining = join(tuple(pieces))
        return (self.number(edge) if edge else None), cost + more, (pairs, joining)


def product_of(x: Piece, y: Piece) -> tuple[Block | None, int]:
    """What two pieces make when they are multiplied, and the multiplications."""
    if isinstance(x, Block) and isinstance(y, Block):
        found = product(x, y)
        return (None, 0) if found is None else (found.block, found.multiplications)
    if isinstance(x, Operator) and isinstance(y, Operator):
        return dense(x.out_shape, y.into_shape), min(composed(x, y))
    if isinstance(x, Operator):
        return of_all(x.out_shape, *kept_places(y), y.into_shape)[0], prod(into_sizes(y)) * x.push  # type: ignore[arg-type]
    assert isinstance(y, Operator)
    rows, _ = of_all(y.into_shape, *kept_places(transposed(x)), x.out_shape)
    return unlabelled(transposed(rows)), prod(out_sizes(x)) * y.pull


def sum_of(p: Block, q: Block) -> tuple[Block | None, int]:
    """The sum of two blocks of one pattern (None if it is zero), and its multiplications."""
    if p.values is None and q.values is None:
        factor = p.factor + q.factor
        return (p._replace(factor=factor) if factor else None), 0
    values = tuple(sorted({*(p.values or ()), *(q.values or ())}))
    cost, factor = 0, p.factor
    if abs(p.factor) != abs(q.factor):
        factor = 1
        cost = sum(
            [prod([b.sizes[k] for k in b.values]) for b in (p, q) if b.values is not None and abs(b.factor) != 1]
        )
    return p._replace(values=values, factor=factor, mask=False), cost


def join(pieces: Sequence[Piece]) -> tuple[Edge, int, Joining]:
    """Pieces as an edge, its multiplications, and how it is made."""
    kept: list[Piece | None] = []
    places: dict[Any, int] = {}
    steps: list[tuple[int, Block | None] | None] = []
    cost = 0
    for p in pieces:
        i = places.get(p.pattern) if isinstance(p, Block) else None
        if i is None:
            steps.append(None)
            if isinstance(p, Block):
                places[p.pattern] = len(kept)
            kept.append(p)
        else:
            q: Any = kept[i]
            found, more = (p, 0) if q is None else sum_of(q, p)  # type: ignore[arg-type]
            cost += more
            kept[i] = found
            steps.append((i, found))  # type: ignore[arg-type]
    edge = tuple([p for p in kept if p is not None])
    blocks = [p for p in edge if isinstance(p, Block)]
    fills = len(blocks) > 1 and _is_filled(blocks)
    if fills:
        cost += sum([scaling(b) for b in blocks])
        edge = (dense(blocks[0].out_shape, blocks[0].into_shape), *[p for p in edge if isinstance(p, Operator)])
    return edge, cost, Joining(tuple(steps), fills)


def _is_filled(blocks: list[Block]) -> bool:
    """Whether one value for each element is no more than the blocks have together."""
    whole = prod(blocks[0].out_shape) * prod(blocks[0].into_shape)
    if len(blocks) > _MANY_PIECES and 2 * sum([b.nonzeros for b in blocks]) >= whole:
        return True
    return sum([prod([b.sizes[k] for k in b.values]) for b in blocks if b.values is not None]) > whole


def scaling(b: Block) -> int:
    """The multiplications by a block's factor."""
    return prod([b.sizes[k] for k in b.values]) if b.values is not None and abs(b.factor) != 1 else 0


# ---- graphs of edges without values --------------------------------------------------------------


class State:
    """A graph of edges that an `Algebra` numbers, from which vertices are eliminated.

    Example: `eliminate(v)` gives the multiplications that it takes.
    """

    __slots__ = ("algebra", "into", "out")

    def __init__(self, algebra: Algebra, into: list[dict[int, int]], out: list[dict[int, int]]) -> None:
        self.algebra = algebra
        #: For each vertex, the edges that enter it, by the vertex they come from, and those that leave it.
        self.into, self.out = into, out

    def copy(self) -> State:
        return State(self.algebra, [dict(e) for e in self.into], [dict(e) for e in self.out])

    def cost(self, v: int) -> int:
        """The multiplications that eliminating v takes now."""
        times = self.algebra.times
        return sum([times(left, right)[1] for left in self.out[v].values() for right in self.into[v].values()])

    def eliminate(self, v: int) -> int:
        """Eliminate v; its multiplications."""
        algebra, into, out = self.algebra, self.into, self.out
        cost = 0
        for w, left in out[v].items():
            entering = into[w]
            del entering[v]
            for u, right in into[v].items():
                found, more, _ = algebra.times(left, right)
                cost += more
                if found is None:
                    continue
                old = entering.get(u)
                new: int | None = found
                if old is not None:
                    new, more, _ = algebra.plus(old, found)
                    cost += more
                if new is None:
                    del entering[u], out[u][w]
                else:
                    entering[u] = out[u][w] = new
        for u in into[v]:
            del out[u][v]
        into[v], out[v] = {}, {}
        return cost

    def is_wire(self, v: int) -> bool:
        """Whether v can be eliminated before everything else: it has one edge on one side, which only moves, repeats
        or adds elements, or leads nowhere."""
        edges = self.algebra.edges
        into, out = self.into[v], self.out[v]
        if not into or not out:
            return True
        for side, other in ((into, out), (out, into)):
            if len(side) == 1:
                (number,) = side.values()
                edge = edges[number]
                if len(edge) == 1 and edge[0].is_copy:
                    if not any([isinstance(p, Operator) for n in other.values() for p in edges[n]]):
                        return True
        return False


# ---- from nodes to a graph -----------------------------------------------------------------------


class Graph:
    """The graph of a linearization: `spaces` and `dtypes` of its vertices in the order in which they are evaluated,
    valued edges by their ends, and which vertices are inputs, outputs (None: zero) and others.

    Of complex outputs, the real part is one, unless they are wanted `whole`.

    Example: of `sin(x) * y`: inputs x and y, the vertex of the sine, that of the product, and an output.
    """

    def __init__(
        self, inputs: Sequence[Node], outputs: Sequence[Node | None], whole: bool = False,
        origins: dict[int, tuple[str, Location | None]] | None = None,
    ) -> None:  # fmt: skip
        self._origins = origins or {}
        self.spaces: list[Space] = []
        self.dtypes: list[DType] = []
        self._nodes: list[Node] = []
        self.edges: dict[tuple[int, int], list[Valued]] = {}
        self._vertex: dict[int, int] = {}
        self._operators = 0
        nodes = reachable(outputs)
        for n in inputs:
            self._of_node(n)
        self.inputs = list(range(len(inputs)))
        projections: dict[int, list[Node]] = {}
        for n in nodes:
            if isinstance(n, Projection):
                projections.setdefault(n.source.id, []).append(n)
        for n in nodes:
            if n.id not in self._vertex and not n.several:
                self._add_node(n, projections)
        self.outputs: list[int | None] = []
        middle = len(self.spaces)
        self.middle = list(range(len(inputs), middle))
        for out in outputs:
            self.outputs.append(None if out is None else self._add_output(out, whole))

    def _of_node(self, n: Node) -> int:
        dtype = dtypes.to_real(n.dtype) if dtypes.is_complex(n.dtype) else n.dtype
        v = self._vertex[n.id] = self._add_vertex(space_of(n), dtype, n)
        return v

    def _add_vertex(self, space: Space, dtype: DType, node: Node) -> int:
        self.spaces.append(space)
        self.dtypes.append(dtype)
        self._nodes.append(node)
        return len(self.spaces) - 1

    def describe(self, v: int) -> str:
        """What a vertex is: operation, type, and the user's line."""
        node = self._nodes[v]
        name, location = self._origins.get(node.id, (name_of(node), None))
        text = f"{name} {ShapedArray(self.spaces[v].shape, self.dtypes[v]).str_short(True)}"
        return text if location is None else f"{text} at {describe_location(location)}"

    def _add_node(self, n: Node, projections: dict[int, list[Node]]) -> None:
        found = dependences(n)
        if found is not None:
            v = self._of_node(n)
            for parent, x in found:
                self.edges.setdefault((self._vertex[parent.id], v), []).append(x)
            return
        inside = [n.source, *projections[n.source.id]] if isinstance(n, Projection) else [n]
        exits = inside[1:] if isinstance(n, Projection) else inside
        entries = [p for p in {p.id: p for p in inside[0].parents()}.values() if 0 not in p.shape]
        for e in exits:
            if not entries or 0 in e.shape:
                self._of_node(e)
        exits = [e for e in exits if e.id not in self._vertex]
        if not exits:
            return
        start = self._vertex[entries[0].id] if len(entries) == 1 else self._together(entries)
        if len(exits) == 1:
            end = self._of_node(exits[0])
        else:
            size = sum([space_of(e).size for e in exits])
            end = self._add_vertex(Space((size,), False), self._dtype_of(exits), inside[0])
        operator = operator_of(inside, entries, exits)
        out_shape, into_shape = self.spaces[end].shape, self.spaces[start].shape
        push, pull = _costs(operator, inside, (out_shape, self.dtypes[end]), (into_shape, self.dtypes[start]))
        piece = Operator(self._operators, out_shape, into_shape, push, pull)
        self._operators += 1
        self.edges[start, end] = [Valued(piece, operator)]
        if len(exits) > 1:
            at = 0
            for e in exits:
                v = self._of_node(e)
                self.edges[end, v] = [Valued(transposed_part(space_of(e).shape, at, out_shape), None)]
                at += space_of(e).size

    def _dtype_of(self, nodes: Sequence[Node]) -> DType:
        found = [dtypes.to_real(n.dtype) if dtypes.is_complex(n.dtype) else n.dtype for n in nodes]
        dtype = found[0]
        for d in found[1:]:
            dtype = dtypes.promote_pair(dtype, False, d, False)[0]
        return dtype

    def _together(self, entries: Sequence[Node]) -> int:
        """A vertex for all of these nodes, one after the other."""
        size = sum([space_of(e).size for e in entries])
        v = self._add_vertex(Space((size,), False), self._dtype_of(entries), entries[0])
        at = 0
        for e in entries:
            shape = space_of(e).shape
            self.edges[self._vertex[e.id], v] = [Valued(part(shape, at, (size,)), None)]
            at += space_of(e).size
        return v

    def _add_output(self, out: Node, whole: bool) -> int:
        u = self._vertex[out.id]
        space = self.spaces[u]
        halved = space.is_complex and not whole
        shape = space.shape[1:] if halved else space.shape
        v = self._add_vertex(Space(shape, space.is_complex and whole), self.dtypes[u], out)
        if 0 not in shape:
            b = diagonal(shape, valued=False)
            if halved:
                b = b._replace(into=((0, ()), *b.into), into_shape=space.shape)
            self.edges[u, v] = [Valued(b, None)]
        return v

    def numbered(self, algebra: Algebra) -> tuple[State, dict[tuple[int, int], list[Any]]]:
        """The graph as a `State`, and the values of its edges' pieces."""
        into: list[dict[int, int]] = [{} for _ in self.spaces]
        out: list[dict[int, int]] = [{} for _ in self.spaces]
        values: dict[tuple[int, int], list[Any]] = {}
        for (u, v), pieces in self.edges.items():
            edge, _, joining = join([x.piece for x in pieces])
            if edge:
                into[v][u] = out[u][v] = algebra.number(edge)
                values[u, v] = [x.value for x in joined(pieces, joining, self.dtypes[v])]
        return State(algebra, into, out), values

    def structure(self) -> Any:
        """What determines the plans for it: comparable and hashable."""
        edges = tuple([(ends, tuple([x.piece for x in pieces])) for ends, pieces in self.edges.items()])
        return edges, len(self.inputs), tuple(self.outputs), len(self.spaces)


def part(shape: tuple[int, ...], at: int, whole: tuple[int, ...]) -> Block:
    """The block that puts an array's elements one after the other into a vector, from `at` on."""
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    out: Place = (at, tuple([(i, s) for i, s in enumerate(strides)]))
    into: list[Place] = [(0, ((i, 1),)) for i in range(len(shape))]
    return block([out], into, shape, None, whole, shape)[0]


def transposed_part(shape: tuple[int, ...], at: int, whole: tuple[int, ...]) -> Block:
    """The block that takes an array's elements out of a vector."""
    return unlabelled(transposed(part(shape, at, whole)))


def name_of(n: Node) -> str:
    """What a node does, in a word."""
    if isinstance(n, Projection):
        return f"{name_of(n.source)}[{n.index}]"
    if isinstance(n, Equation):
        return str(n.primitive.name)
    return str(getattr(n, "name", type(n).__name__.lower()))


# ---- what applying an operator costs -------------------------------------------------------------

_known: dict[Any, tuple[int, int]] = {}
program_caches.append(_known)
_KEPT = 512


def _costs(operator: LinearOperator, nodes: Sequence[Node], out: Any, into: Any) -> tuple[int, int]:
    """The multiplications of pushing one tangent, and of pulling one cotangent: half of the arithmetic, and not less than
    one for each element of the result."""
    numbering: dict[int, int] = {}
    for n in nodes:
        for p in (*n.parents(), n):
            numbering.setdefault(p.id, len(numbering))
    key: Any = (
        tuple([n.structure(numbering) for n in nodes]),
        tuple([(r.shape, r.dtype) for n in nodes for r in n.residuals()]),
    )
    try:
        found = _known.get(key)
    except TypeError:  # something in it is not hashable
        key, found = None, None
    if found is None:
        counts = []
        for apply, (shape, dtype), (result, _) in ((operator.push, into, out), (operator.pull, out, into)):
            program = stage_flat(lambda t, apply=apply: [apply(t)], [ShapedArray(shape, dtype)])
            counts.append(max(account(program).flops // 2, prod(result)))
        found = counts[0], counts[1]
        if key is not None:
            if len(_known) >= _KEPT:
                _known.clear()
            _known[key] = found
    return found


# ---- elimination, with values --------------------------------------------------------------------


def joined(pieces: Sequence[Valued], joining: Joining, dtype: DType) -> list[Valued]:
    """Pieces as an edge, as was planned."""
    kept: list[Valued | None] = []
    for x, step in zip(pieces, joining.steps):
        if step is None:
            kept.append(x)
            continue
        i, result = step
        old = kept[i]
        kept[i] = x if old is None else None if result is None else add(old, x, result, dtype)
    edge = [x for x in kept if x is not None]
    if joining.filled:
        blocks = [x for x in edge if isinstance(x.piece, Block)]
        b = dense(blocks[0].piece.out_shape, blocks[0].piece.into_shape)
        value = assembled(blocks, b.out_shape, b.into_shape, dtype)
        shape = tuple([n for n in value.shape if n != 1])
        edge = [Valued(b, value.reshape(shape)), *[x for x in edge if isinstance(x.piece, Operator)]]
    return edge


def eliminate(
    graph: Graph, algebra: Algebra, order: Iterable[int], done: Callable[[int, int], None] | None = None
) -> dict[tuple[int, int], list[Valued]]:
    """Eliminate vertices in this order; the edges that are left, by their ends."""
    state, values = graph.numbered(algebra)
    into, out, edges = state.into, state.out, algebra.edges

    def valued(u: int, v: int, number: int) -> list[Valued]:
        return list(map(Valued, edges[number], values[u, v]))

    for v in order:
        for w, left in list(out[v].items()):
            leaving = valued(v, w, left)
            del into[w][v]
            for u, right in into[v].items():
                found, _, how = algebra.times(left, right)
                if found is None:
                    continue
                entering = valued(u, v, right)
                pairs, joining = how
                products = [multiply(leaving[i], entering[j], graph.dtypes[w]) for i, j in pairs]
                pieces = joined([x for x in products if x is not None], joining, graph.dtypes[w])
                old = into[w].get(u)
                new: int | None = found
                if old is not None:
                    new, _, adding = algebra.plus(old, found)
                    pieces = joined([*valued(u, w, old), *pieces], adding, graph.dtypes[w])
                if new is None:
                    del into[w][u], out[u][w], values[u, w]
                else:
                    into[w][u] = out[u][w] = new
                    values[u, w] = [x.value for x in pieces]
            del values[v, w]
        for u in into[v]:
            del out[u][v], values[u, v]
        into[v], out[v] = {}, {}
    return {(u, v): valued(u, v, number) for v, entering in enumerate(into) for u, number in entering.items()}


__all__ = ["Algebra", "Graph", "State", "eliminate", "scaling"]
