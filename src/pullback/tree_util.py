"""Pytree functions under the names that begin with `tree_`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.tree import DictKey as DictKey
from pullback.core.tree import FlattenedIndexKey as FlattenedIndexKey
from pullback.core.tree import GetAttrKey as GetAttrKey
from pullback.core.tree import KeyEntry as KeyEntry
from pullback.core.tree import KeyPath as KeyPath
from pullback.core.tree import Partial as Partial
from pullback.core.tree import PyTreeDef as PyTreeDef
from pullback.core.tree import SequenceKey as SequenceKey
from pullback.core.tree import all_leaves as all_leaves
from pullback.core.tree import flatten_one_level as flatten_one_level
from pullback.core.tree import flatten_one_level_with_keys as flatten_one_level_with_keys
from pullback.core.tree import is_tree_node as is_tree_node
from pullback.core.tree import keystr as keystr
from pullback.core.tree import register_dataclass as register_dataclass
from pullback.core.tree import register_pytree_node as register_pytree_node
from pullback.core.tree import register_pytree_node_class as register_pytree_node_class
from pullback.core.tree import register_pytree_with_keys as register_pytree_with_keys
from pullback.core.tree import register_pytree_with_keys_class as register_pytree_with_keys_class
from pullback.core.tree import register_static as register_static
from pullback.core.tree import tree_all as tree_all
from pullback.core.tree import tree_broadcast as tree_broadcast
from pullback.core.tree import tree_flatten as tree_flatten
from pullback.core.tree import tree_flatten_with_path as tree_flatten_with_path
from pullback.core.tree import tree_leaves as tree_leaves
from pullback.core.tree import tree_leaves_with_path as tree_leaves_with_path
from pullback.core.tree import tree_map as tree_map
from pullback.core.tree import tree_map_with_path as tree_map_with_path
from pullback.core.tree import tree_reduce as tree_reduce
from pullback.core.tree import tree_reduce_associative as tree_reduce_associative
from pullback.core.tree import tree_structure as tree_structure
from pullback.core.tree import tree_transpose as tree_transpose
from pullback.core.tree import tree_unflatten as tree_unflatten
from pullback.core.tree import treedef_children as treedef_children
from pullback.core.tree import treedef_is_leaf as treedef_is_leaf
from pullback.core.tree import treedef_tuple as treedef_tuple


class PyTreeRegistry:
    """The registered containers, with the functions that depend on which these are as methods.
    There is one, `default_registry`.

    >>> default_registry.flatten({"a": 1, "b": (2, 3)})[0]
    [1, 2, 3]
    >>> default_registry.flatten_one_level({"a": 1, "b": (2, 3)})
    ([1, (2, 3)], ['a', 'b'])
    """

    def flatten(self, tree: Any, leaf_predicate: Callable[[Any], bool] | None = None) -> tuple[list[Any], Any]:
        """Leaves and structure of a tree; see `tree_flatten`.

        >>> default_registry.flatten([1, (2, 3)])[0]
        [1, 2, 3]
        """
        return tree_flatten(tree, leaf_predicate)

    def flatten_with_path(
        self, tree: Any, leaf_predicate: Callable[..., bool] | None = None
    ) -> tuple[list[tuple[Any, Any]], Any]:
        """Pairs of a path and a leaf, and the structure; the predicate takes a path and a value. See
        `tree_flatten_with_path`.

        >>> [(keystr(path), x) for path, x in default_registry.flatten_with_path({"a": [1, 2]})[0]]
        [("['a'][0]", 1), ("['a'][1]", 2)]
        """
        return tree_flatten_with_path(tree, leaf_predicate, is_leaf_takes_path=leaf_predicate is not None)

    def flatten_one_level(self, tree: Any) -> tuple[Sequence[Any], Any] | None:
        """The children of a container and its auxiliary data; None for a leaf.

        >>> default_registry.flatten_one_level([1, (2, 3)]), default_registry.flatten_one_level(1)
        (([1, (2, 3)], None), None)
        """
        return flatten_one_level(tree)

    def flatten_one_level_with_keys(self, tree: Any) -> tuple[Sequence[tuple[Any, Any]], Any] | None:
        """Pairs of a key and a child, and the auxiliary data; None for a leaf.

        >>> default_registry.flatten_one_level_with_keys([5, 6])[0]
        [(SequenceKey(idx=0), 5), (SequenceKey(idx=1), 6)]
        """
        return flatten_one_level_with_keys(tree)

    def is_node(self, type: type) -> bool:
        """Whether instances of a type are containers.

        >>> default_registry.is_node(list), default_registry.is_node(set)
        (True, False)
        """
        return is_tree_node(type)

    def register_node(
        self, type: type, to_iterable: Callable[[Any], Any], from_iterable: Callable[[Any, Any], Any],
        to_iterable_with_keys: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        """Make a type a container; see `register_pytree_node`.

        >>> class Box:
        ...     def __init__(self, content):
        ...         self.content = content
        >>> default_registry.register_node(Box, lambda b: ((b.content,), None), lambda _, children: Box(*children))
        >>> tree_leaves(Box((1, 2)))
        [1, 2]
        """
        register_pytree_node(type, to_iterable, from_iterable, to_iterable_with_keys)

    def register_dataclass_node(self, type: type, data_fields: Sequence[str], meta_fields: Sequence[str], /) -> None:
        """Make a dataclass a container; see `register_dataclass`.

        >>> import dataclasses
        >>> @dataclasses.dataclass
        ... class Line:
        ...     slope: float
        ...     label: str
        >>> default_registry.register_dataclass_node(Line, ["slope"], ["label"])
        >>> tree_map(lambda x: -x, Line(2.0, "y"))
        Line(slope=-2.0, label='y')
        """
        register_dataclass(type, data_fields, meta_fields)

    def __repr__(self) -> str:
        return "default_registry"

    def __reduce__(self) -> str:
        return "default_registry"  # there is one


default_registry = PyTreeRegistry()

__all__ = [
    "DictKey", "FlattenedIndexKey", "GetAttrKey", "KeyEntry", "KeyPath", "Partial", "PyTreeDef", "PyTreeRegistry",
    "SequenceKey", "all_leaves", "default_registry", "flatten_one_level", "flatten_one_level_with_keys", "is_tree_node",
    "keystr", "register_dataclass", "register_pytree_node", "register_pytree_node_class", "register_pytree_with_keys",
    "register_pytree_with_keys_class", "register_static", "tree_all", "tree_broadcast", "tree_flatten",
    "tree_flatten_with_path", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_with_path", "tree_reduce",
    "tree_reduce_associative", "tree_structure", "tree_transpose", "tree_unflatten", "treedef_children",
    "treedef_is_leaf", "treedef_tuple",
]  # fmt: skip
