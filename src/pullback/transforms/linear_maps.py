"""Linear maps that were recorded: what `linearize`, `vjp` and `linear_transpose` give.

Such a map is a tape of nodes (`core.linear`), which are pushed forwards or pulled back. What can be made
of it, and of linear maps in general, is in `map_algebra`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.linear import Cotangents, Input, Node, push_nodes, reachable
from pullback.core.tree import (
    keystr,
    register_pytree_node,
    tree_flatten,
    tree_flatten_with_path,
    tree_unflatten,
)
from pullback.core.types import Shape, ShapedArray
from pullback.transforms.jvp import as_weak_as
from pullback.transforms.map_algebra import LinearMap
from pullback.transforms.map_spaces import checked, zero_of

if TYPE_CHECKING:
    from pullback.core.names import Auxiliary, Cotangent, Tree, TypeTree, Value
    from pullback.core.tree import PyTreeDef


class RecordedMap(LinearMap):
    """A map that was recorded: `nodes` are its steps (see `core.linear.Node`), for `f_lin` of
    `linearize(jnp.sin, x)` an input and its multiple.

    Example: `linearize(jnp.sin, 0.0)[1]`.
    """

    __slots__ = (
        "_order", "_inputs", "_outputs", "_in_tree", "_out_tree", "_out_types", "_transposed", "_what", "_shapes",
    )  # fmt: skip

    def __init__(
        self,
        inputs: Sequence[Value],
        outputs: Sequence[Node | None],
        in_tree: PyTreeDef | None,
        out_tree: PyTreeDef | None,
        out_types: Sequence[ShapedArray],
        transposed: bool = False,
        what: str = "linear map",
    ) -> None:
        # `inputs`: an Input node each, or the ShapedArray of an input without tangents. A tree None
        # stands for one bare array: the tuple of one argument, or one output.
        self._inputs, self._outputs = inputs, outputs
        self._in_tree, self._out_tree, self._out_types = in_tree, out_tree, out_types
        self._transposed, self._what = transposed, what
        self._order: list[Node] | None = None
        # Of a map that came through a boundary as a tree: the shapes that its residuals had.
        self._shapes: tuple[Shape | None, ...] | None = None

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in evaluation order (of the map that was recorded, if this is its transpose)."""
        if self._order is None:
            self._order = reachable(self._outputs)
        return self._order

    # ---- application -----------------------------------------------------------------------------

    def residual_shapes(self) -> tuple[Shape | None, ...]:
        """The shapes of the residuals, node by node.

        >>> import pullback as pb
        >>> pb.linearize(lambda x: x * x, pb.numpy.ones(3))[1].residual_shapes()
        ((3,), (3,))
        """
        return tuple([getattr(r, "shape", None) for node in self.nodes for r in node.residuals()])

    @property
    def is_stacked(self) -> bool:
        """Whether residuals have other shapes than they were recorded with: they are those of several maps.

        >>> import pullback as pb
        >>> pb.vmap(lambda x: pb.linearize(pb.numpy.sin, x)[1])(pb.numpy.ones(3)).is_stacked
        True
        """
        return self._shapes is not None and self._shapes != self.residual_shapes()

    def __call__(self, *args: Tree) -> Tree:
        try:
            if self._shapes is not None and self.is_stacked:
                raise ValueError(
                    f"{self._what}: these are several maps in one, as vmap and loops give them, at {user_line()}. Apply them under vmap, "
                    "vmap(lambda m, x: m(x))(maps, xs), or take one out: tree.map(lambda r: r[0], maps)"
                )
            return self._pull(*args) if self._transposed else self._push(*args)
        except Exception as error:
            filter_traceback(error)
            raise

    def _push(self, *args: Tree) -> Tree:
        flat, in_tree = tree_flatten(args)
        expected = tree_flatten((0,))[1] if self._in_tree is None else self._in_tree
        if in_tree != expected:
            raise TypeError(f"{self._what}: tangent arguments have tree structure {in_tree}, expected {expected}")
        tangents = {}
        for node, t in zip(self._inputs, flat):
            if isinstance(node, Node):
                tangents[node.id] = checked(t, node.shape, node.dtype, "tangent", self._what)
            elif getattr(t, "dtype", None) != dtypes.float0:
                raise TypeError(f"{self._what}: an input of type {node} takes tangents of dtype float0, got {t!r:.60}")
        push_nodes(self.nodes, tangents)
        outs = []
        for node, t in zip(self._outputs, self._out_types):
            out = None if node is None else tangents.get(node.id)
            outs.append(zero_of(t, flat) if out is None else as_weak_as(out, t.weak_type))
        return outs[0] if self._out_tree is None else self._out_tree.unflatten(outs)

    def _pull(self, *args: Tree) -> Tree:
        if len(args) != 1:
            raise TypeError(
                f"{self._what}: takes one cotangent, of the structure of the output; got {len(args)} arguments"
            )
        (ct,) = args
        cotangents = Cotangents()
        if self._out_tree is None:
            flat = [ct]
            if not isinstance(ct, Array):
                flat, tree = tree_flatten(ct)
                if len(flat) != 1 or flat[0] is not ct:
                    raise ValueError(
                        f"{self._what}: cotangent has tree structure {tree}, but the output is a single array"
                    )
        else:
            flat, tree = tree_flatten(ct)
            if tree != self._out_tree:
                raise ValueError(
                    f"{self._what}: cotangent has tree structure {tree}, expected {self._out_tree}, that of the output"
                )
        for i, (node, t, c) in enumerate(zip(self._outputs, self._out_types, flat)):
            c = _checked_cotangent(c, t, self._what, partial(self._out_path, i))
            if node is not None and c is not None:
                cotangents.add(node, c)
        cotangents.pull()
        outs = []
        for x in self._inputs:
            found = cotangents.get(x) if isinstance(x, Node) else None
            outs.append(zero_of(x, flat) if found is None else as_weak_as(found, x.weak_type))
        return tuple(outs) if self._in_tree is None else self._in_tree.unflatten(outs)

    def _out_path(self, i: int) -> str:
        if self._out_tree is None:
            return ""
        tree = tree_unflatten(self._out_tree, list(range(len(self._outputs))))
        return next(keystr(path) for path, leaf in tree_flatten_with_path(tree)[0] if leaf == i)

    # ---- types

    @property
    def T(self) -> RecordedMap:
        found = RecordedMap(
            self._inputs, self._outputs, self._in_tree, self._out_tree, self._out_types, not self._transposed, self._what
        )  # fmt: skip
        found._shapes = self._shapes
        return found

    @property
    def in_type(self) -> TypeTree:
        return (self._out_tree_of(self._out_types),) if self._transposed else self._in_tree_of(self._in_types())

    @property
    def out_type(self) -> TypeTree:
        return self._in_tree_of(self._in_types()) if self._transposed else self._out_tree_of(self._out_types)

    def _in_types(self) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype, x.weak_type) if isinstance(x, Input) else x for x in self._inputs]

    def _in_tree_of(self, leaves: Sequence[Value]) -> Tree:
        return tuple(leaves) if self._in_tree is None else self._in_tree.unflatten(list(leaves))

    def _out_tree_of(self, leaves: Sequence[Value]) -> Tree:
        return leaves[0] if self._out_tree is None else self._out_tree.unflatten(list(leaves))


class _Structure:
    """All of a RecordedMap but its residuals: comparable and hashable, as a pytree's auxiliary data
    must be.

    Example: two linearizations of one function at two points have equal ones.
    """

    __slots__ = ("map", "counts", "key", "shapes")

    def __init__(self, m: RecordedMap) -> None:
        self.map = m
        nodes = m.nodes
        inputs = [x for x in m._inputs if isinstance(x, Node)]
        numbering = {n.id: i for i, n in enumerate(inputs)}
        for node in nodes:
            numbering.setdefault(node.id, len(numbering))
        self.counts = [len(n.residuals()) for n in nodes]
        self.shapes = m.residual_shapes() if m._shapes is None else m._shapes
        self.key = (
            tuple(n.structure(numbering) for n in nodes),
            tuple(numbering[x.id] if isinstance(x, Node) else x for x in m._inputs),
            tuple(None if n is None else numbering[n.id] for n in m._outputs),
            m._in_tree, m._out_tree, tuple(m._out_types), m._transposed,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key[2:])


def _flatten_map(m: RecordedMap) -> tuple[list[Value], _Structure]:
    return [r for node in m.nodes for r in node.residuals()], _Structure(m)


def _unflatten_map(structure: Auxiliary, leaves: Value) -> RecordedMap:
    m, rest = structure.map, iter(leaves)
    built: dict[int, Node] = {}
    for x in m._inputs:
        if isinstance(x, Node):
            built[x.id] = x.rebuild((), built)
    for node, count in zip(m.nodes, structure.counts):
        residuals = [next(rest) for _ in range(count)]
        if node.id not in built:
            built[node.id] = node.rebuild(residuals, built)
    found = RecordedMap(
        [built[x.id] if isinstance(x, Node) else x for x in m._inputs],
        [None if n is None else built[n.id] for n in m._outputs],
        m._in_tree, m._out_tree, m._out_types, m._transposed, m._what,
    )  # fmt: skip
    found._shapes = structure.shapes
    return found


register_pytree_node(RecordedMap, _flatten_map, _unflatten_map)


def _checked_cotangent(ct: Cotangent, t: ShapedArray, what: str, path: Callable[[], str]) -> Cotangent:
    if t.dtype == dtypes.float0:
        if getattr(ct, "dtype", None) != dtypes.float0:
            raise ValueError(
                f"{what}: the output{path()} is discrete, its cotangent must have dtype float0; got "
                f"{getattr(ct, 'dtype', type(ct).__name__)}"
            )
        return None
    if getattr(ct, "dtype", None) == dtypes.float0:
        raise ValueError(f"{what}: cotangent{path()} has dtype float0, expected {dtypes.name(t.dtype)}")
    return checked(ct, t.shape, t.dtype, "cotangent", what, path)


__all__ = ["LinearMap", "RecordedMap"]
