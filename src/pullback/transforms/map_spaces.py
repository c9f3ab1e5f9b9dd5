"""The spaces of linear maps: trees of types, when two are the same, their vectors, and their zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array, concrete
from pullback.core.errors import user_line
from pullback.core.linear import Input, zeros
from pullback.core.tree import tree_flatten, tree_leaves, tree_map
from pullback.core.types import ShapedArray
from pullback.lax.shape import convert
from pullback.xla.devices import beside

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Tree, TypeTree, Value
    from pullback.core.tree import PyTreeDef
    from pullback.core.types import Shape


def _is_type(x: object) -> bool:
    return isinstance(x, ShapedArray)


def types_in(tree: TypeTree) -> list[ShapedArray]:
    """The types in a tree of types."""
    return tree_leaves(tree, is_leaf=_is_type)


def flattened(types: TypeTree) -> tuple[list[ShapedArray], PyTreeDef]:
    """A tree of types, and its structure."""
    return tree_flatten(types, is_leaf=_is_type)


def bare(types: TypeTree) -> TypeTree:
    """A tree of types without tuples of one around it: `(x,)` and `x` are one space.

    >>> bare(((1.0,),))
    1.0
    """
    while type(types) is tuple and len(types) == 1:
        types = types[0]
    return types


def space(types: TypeTree) -> tuple[PyTreeDef, list[tuple[Any, Any]]]:
    """What two trees of types must have in common for their elements to be added."""
    leaves, tree = flattened(bare(types))
    return tree, [(t.shape, t.dtype) for t in leaves]


def difference(left: TypeTree, right: TypeTree) -> str:
    """Two spaces, for messages."""
    return f"{_shown(left)} and {_shown(right)}"


def _shown(types: TypeTree) -> str:
    return str(tree_map(lambda t: t.str_short(), bare(types), is_leaf=lambda x: isinstance(x, ShapedArray)))


class Coordinates:
    """The vectors of a space of trees: their arrays, but those of dtype float0, one after the other.

    Example: `Coordinates(m.in_type)`, of size `m.shape[1]`.
    """

    __slots__ = ("types", "tree", "_every")

    def __init__(self, types: TypeTree) -> None:
        self._every, self.tree = flattened(types)
        self.types = [t for t in self._every if t.dtype != dtypes.float0]

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return sum([t.size for t in self.types])

    def is_complex(self) -> bool:
        """Whether all arrays are complex, of which there are some. Raises TypeError if only some are."""
        kinds = {dtypes.is_complex(t.dtype) for t in self.types}
        if len(kinds) > 1:
            raise TypeError(
                f"a linear map has no matrix if its inputs are real and complex arrays, {self.types}, at {user_line()}"
            )
        return kinds == {True}

    def dtype(self) -> DType:
        """The dtype of all, promoted; float32 of nothing."""
        found = [t.dtype for t in self.types]
        return (
            reduce(lambda a, b: dtypes.promote_pair(a, False, b, False)[0], found[1:], found[0])
            if found
            else dtypes.float32
        )

    def fill(self, arrays: Sequence[Value]) -> Tree:
        """The tree of these arrays, with zeros in the places of dtype float0."""
        rest = iter(arrays)
        return self.tree.unflatten([zero_of(t) if t.dtype == dtypes.float0 else next(rest) for t in self._every])

    def arrays(self, tree: Tree) -> list[Value]:
        """The arrays of a tree of this space."""
        return [x for x in tree_leaves(tree) if x.dtype != dtypes.float0]

    def basis(self, start: int, stop: int) -> list[Value]:
        """Basis vectors number `start` to `stop`, as arrays with these along axis 0."""
        found, first = [], 0
        for t in self.types:
            block = np.zeros((stop - start, t.size), t.dtype)
            low, high = max(start, first), min(stop, first + t.size)
            numbers = np.arange(low, max(low, high))
            block[numbers - start, numbers - first] = 1
            found.append(concrete(block.reshape(stop - start, *t.shape)))
            first += t.size
        return found


# ---- arrays of a type ----------------------------------------------------------------------------


def zero_of(t: ShapedArray | Input, given: Sequence[Value] = ()) -> Value:
    """A zero of a type, where the tangents or cotangents are that were given."""
    if t.dtype == dtypes.float0:
        return np.zeros(t.shape, dtypes.float0)
    return beside(zeros(t.shape, t.dtype, t.weak_type), *given)


def checked(x: Value, shape: Shape, dtype: DType, role: str, what: str, path: Callable[[], str] = str) -> Value:
    """`x` as an array of exactly the given type; weakly typed scalars are converted."""
    x = as_array(x)
    if x.shape != shape:
        raise ValueError(f"{what}: {role}{path()} has shape {x.shape}, expected {shape}, at {user_line()}")
    if x.dtype != dtype:
        fits = dtypes.is_complex(dtype) or not dtypes.is_complex(x.dtype)
        if x.weak_type and fits and (dtypes.is_inexact(x.dtype) or dtypes.is_integer(x.dtype)):
            return convert(x, dtype)
        raise ValueError(
            f"{what}: {role}{path()} has dtype {dtypes.name(x.dtype)}, expected {dtypes.name(dtype)}, at {user_line()}"
        )
    return x


__all__ = ["Coordinates", "bare", "checked", "difference", "flattened", "space", "types_in", "zero_of"]
