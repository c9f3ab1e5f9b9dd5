"""Tangent spaces of classes: what derivatives are of arguments and results that are more than arrays.

A tree of arrays has for tangents trees of the same structure. A class that has a `Space` in `SPACES`
says otherwise: its tangents are of another type (three numbers for a rotation), or have gaps where
the class has integers. Its instances are *points*: to `grad`, `jvp`, `vjp`, `linearize` and the
Jacobians they are leaves, whose tangents are trees of their own. Each space says how the leaves of a
point move along a tangent (`embed`), and which tangent moves them so (`project`); both are linear.
So all of it happens at the border: the function that is differentiated computes with the point's
leaves, which have ordinary tangents.

`derivatives.register_differentiable` is how users declare a space.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.linear import zeros
from pullback.core.tree import flatten_up_to, tree_flatten, tree_leaves
from pullback.lax.shape import convert

if TYPE_CHECKING:
    from pullback.core.names import Leaf, Tangent, Tree, Value
    from pullback.core.tree import PyTreeDef

#: An instance of a class that has a space.
Point = Any


class Space:
    """The tangent spaces of the instances of a class. Abstract.

    Tangents are trees of arrays; where they have leaves of dtype float0, there is no derivative.

    Example: that of unit quaternions, with vectors of three numbers for tangents.
    """

    def zero(self, x: Point) -> Tree:
        """The zero tangent at `x`: its structure and types are those of all tangents there."""
        raise NotImplementedError(f"{type(self).__name__} must define zero")

    def embed(self, x: Point, tangent: Sequence[Tangent]) -> list[Tangent]:
        """The tangents of the leaves of `x` (None for zero), given the leaves of one of `x`."""
        raise NotImplementedError(f"{type(self).__name__} must define embed")

    def project(self, x: Point, tangents: Sequence[Tangent]) -> list[Tangent]:
        """The leaves of the tangent of `x` (None for zero), given the tangents of its leaves."""
        raise NotImplementedError(f"{type(self).__name__} must define project")

    def retract(self, x: Point, tangent: Tree) -> Point:
        """The point where one comes to from `x` along a tangent."""
        raise NotImplementedError(f"{type(self).__name__} must define retract")


#: The space of each class that has one.
SPACES: dict[type, Space] = {}


def is_point(x: Tree) -> bool:
    """Whether `x` is of a class that has a space."""
    return x.__class__ in SPACES


def flatten(tree: Tree) -> tuple[list[Leaf], PyTreeDef]:
    """The leaves of a tree, points among them, and its structure."""
    return tree_flatten(tree, is_point) if SPACES else tree_flatten(tree)


def has_points(leaves: Sequence[Leaf]) -> bool:
    """Whether some leaves are points."""
    return bool(SPACES) and any([x.__class__ in SPACES for x in leaves])


def zero_of(x: Leaf) -> Tree:
    """The zero tangent of an array or a point."""
    if is_point(x):
        return SPACES[x.__class__].zero(x)
    x = as_array(x)
    if not dtypes.is_inexact(x.dtype):
        return np.zeros(x.shape, dtypes.float0)
    return zeros(x.shape, x.dtype, x.weak_type)


def zero_tangent(tree: Tree) -> Tree:
    """The zero tangent of a tree of arrays and points."""
    leaves, treedef = flatten(tree)
    return treedef.unflatten([zero_of(x) for x in leaves])


def with_float0(ts: Sequence[Tangent], zeros_of: Sequence[Leaf]) -> list[Tangent]:
    """Tangents or cotangents like all of these zeros, given those that are not of float0."""
    rest = iter(ts)
    return [np.zeros(z.shape, z.dtype) if z.dtype == dtypes.float0 else next(rest) for z in zeros_of]


# ---- structs -------------------------------------------------------------------------------------


class Struct(Space):
    """The tangents of a class whose floating leaves are free: instances of the same class. At leaves
    that are no floating arrays, these have None, or arrays of float0 with `float0`; at points, the
    tangents of these.

    Example: of a mesh with coordinates of nodes and the numbers of nodes of each triangle: a mesh
    with the derivatives in the coordinates, and None.
    """

    def __init__(self, float0: bool = False) -> None:
        self.float0 = float0

    def _parts(self, x: Point) -> tuple[list[Leaf], PyTreeDef]:
        """The leaves and the points that `x` is made of."""
        return tree_flatten(x, lambda part: part is not x and is_point(part))

    def _is_marked(self, part: Leaf) -> bool:
        """Whether a part without derivative has a leaf of float0 in tangents."""
        return self.float0 and _is_array(part)

    def zero(self, x: Point) -> Tree:
        parts, tree = self._parts(x)
        return tree.unflatten([zero_of(p) if is_point(p) or _is_free(p) or self._is_marked(p) else None for p in parts])

    def embed(self, x: Point, tangent: Sequence[Tangent]) -> list[Tangent]:
        rest, moved = iter(tangent), []
        for part in self._parts(x)[0]:
            if is_point(part):
                space = SPACES[part.__class__]
                moved.extend(space.embed(part, [next(rest) for _ in tree_leaves(space.zero(part))]))
            else:
                t = next(rest) if _is_free(part) or self._is_marked(part) else None
                moved.append(t if _is_free(part) else None)
        return moved

    def project(self, x: Point, tangents: Sequence[Tangent]) -> list[Tangent]:
        rest, found = iter(tangents), []
        for part in self._parts(x)[0]:
            if is_point(part):
                found.extend(SPACES[part.__class__].project(part, [next(rest) for _ in tree_leaves(part)]))
            else:
                t = next(rest)
                if _is_free(part) or self._is_marked(part):
                    found.append(t)
        return found

    def retract(self, x: Point, tangent: Tree) -> Point:
        parts, tree = self._parts(x)
        return tree.unflatten([retracted(p, t) for p, t in zip(parts, flatten_up_to(tree, tangent))])


def _is_array(x: Leaf) -> bool:
    return isinstance(x, (Array, np.ndarray, np.generic, *dtypes.PYTHON_SCALARS)) or hasattr(x, "__jax_array__")


def _is_free(x: Leaf) -> bool:
    """Whether a leaf has tangents."""
    return _is_array(x) and dtypes.is_inexact(as_array(x).dtype)


def retracted(x: Leaf, tangent: Tree) -> Leaf:
    """An array or a point, moved along a tangent; what has no derivative stays."""
    if is_point(x):
        return SPACES[x.__class__].retract(x, tangent)
    return as_array(x) + tangent if _is_free(x) else x


# ---- charts --------------------------------------------------------------------------------------


class Chart:
    """The trees that one comes to from `tree` along tangents, as a function of a vector: all numbers of
    the tangent, one after the other.

    Example: of a rotation: what is near it, as a function of three numbers.
    """

    def __init__(self, tree: Tree) -> None:
        self._parts, self._tree = flatten(tree)
        self._zeros, self._tangent_tree = tree_flatten(zero_tangent(tree))
        self._sizes = [0 if z.dtype == dtypes.float0 else z.size for z in self._zeros]
        free = [z for z in self._zeros if z.dtype != dtypes.float0]
        if not free:
            raise TypeError(f"there is nothing to differentiate by in the arguments, at {user_line()}")
        self.size: int = sum(self._sizes)
        self.dtype: dtypes.DType = functools.reduce(np.promote_types, [z.dtype for z in free])

    def _split(self, v: Value, axis: int) -> list[Value]:
        """The parts along an axis that belong to each leaf of a tangent."""
        ends = list(itertools.accumulate(self._sizes))
        return [v[(slice(None),) * axis + (slice(end - n, end),)] for n, end in zip(self._sizes, ends)]

    def point(self, v: Value) -> Tree:
        """Where one comes to along the tangent `v`."""
        free = [
            convert(t.reshape(z.shape), z.dtype)
            for z, t in zip(self._zeros, self._split(v, 0))
            if z.dtype != dtypes.float0
        ]
        tangent = self._tangent_tree.unflatten(with_float0(free, self._zeros))
        moved = map(retracted, self._parts, flatten_up_to(self._tree, tangent))
        return self._tree.unflatten(list(moved))

    def blocks(self, h: Value, index: int | slice) -> Tree:
        """A matrix of second derivatives (its last axes) as a tangent of tangents; of a tree that is a
        tuple, the part `index`."""
        lead = h.shape[:-2]

        def block(part: Value, z: Value, w: Value) -> Value:
            shape = (*lead, *z.shape, *w.shape)
            known = dtypes.float0 not in (z.dtype, w.dtype, h.dtype)
            return part.reshape(shape) if known else np.zeros(shape, dtypes.float0)

        rows = []
        for z, row in zip(self._zeros, self._split(h, len(lead))):
            parts = zip(self._zeros, self._split(row, len(lead) + 1))
            rows.append(self._tangent_tree.unflatten([block(part, z, w) for w, part in parts])[index])
        whole: Any = self._tangent_tree.unflatten(rows)
        return whole[index]
