"""Pytrees, by optree: containers of leaves that every transformation looks through.

Tuples, lists, dicts (by sorted key), named tuples, `OrderedDict`, `defaultdict`, `deque` and
registered types are nodes; None is a node without children; everything else is a leaf.
Registrations live in a namespace of our own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import UnexpectedTracerError, see
from pullback.core.locks import new_lock
from pullback.core.trace import current

if TYPE_CHECKING:
    import optree

    from pullback.core.names import Attribute, Auxiliary, Function, Leaf, Tree, Value

    PyTreeDef = optree.PyTreeSpec

NAMESPACE = "pullback"
T = TypeVar("T")
IsLeaf = Callable[[Any], bool] | None

_loading = new_lock(2, globals(), "_loading")
_pending: list[tuple[Any, ...]] = []


class _Optree:
    """optree, imported when a tree is first taken apart (6 ms that `import pullback` need not
    spend).

    The package's own node types are registered then; it replaces this object.

    Example: `_optree.tree_flatten` imports optree.
    """

    def __getattr__(self, name: str) -> Attribute:
        with _loading:
            import optree as loaded

            register: Any = loaded.register_pytree_node  # annotated for collections only
            while _pending:
                # One that was interrupted in this place comes again.
                if register.get(_pending[-1][0], namespace=NAMESPACE) is None:
                    register(*_pending[-1], namespace=NAMESPACE)
                _pending.pop()
            globals().update(optree=loaded, PyTreeDef=loaded.PyTreeSpec)
        return getattr(loaded, name)


if not TYPE_CHECKING:
    optree = _Optree()

    def __getattr__(name: str) -> Attribute:
        if name == "PyTreeDef":
            return optree.PyTreeSpec
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# ---- key paths -----------------------------------------------------------------------------------


class _Key:
    """One step from a container to a child: `SequenceKey`, `DictKey`, `GetAttrKey` or
    `FlattenedIndexKey`. Equal keys are equal, hash alike and print as Python writes the step.

    >>> isinstance(DictKey("w"), KeyEntry), DictKey("w") == DictKey("w"), str(DictKey("w"))
    (True, True, "['w']")
    """

    __slots__ = ("_value",)

    def __init__(self, value: Hashable) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._value == self._value

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value!r})"

    def __str__(self) -> str:
        return f"[{self._value!r}]"


class SequenceKey(_Key):
    """Child `idx` of a sequence.

    >>> str(SequenceKey(0))
    '[0]'
    """

    __slots__ = ()

    @property
    def idx(self) -> Attribute:
        """The position.

        >>> SequenceKey(2).idx
        2
        """
        return self._value

    def __init__(self, idx: int) -> None:
        super().__init__(idx)

    def __repr__(self) -> str:
        return f"SequenceKey(idx={self._value!r})"


class DictKey(_Key):
    """The child under `key` of a dict.

    >>> print(DictKey("w"))
    ['w']
    """

    __slots__ = ()

    @property
    def key(self) -> Attribute:
        """The key.

        >>> DictKey("w").key
        'w'
        """
        return self._value

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)

    def __repr__(self) -> str:
        return f"DictKey(key={self._value!r})"


class GetAttrKey(_Key):
    """The child in attribute `name`.

    >>> print(GetAttrKey("weights"))
    .weights
    """

    __slots__ = ()

    @property
    def name(self) -> Attribute:
        """The name.

        >>> GetAttrKey("weights").name
        'weights'
        """
        return self._value

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def __str__(self) -> str:
        return f".{self._value}"

    def __repr__(self) -> str:
        return f"GetAttrKey(name={self._value!r})"


class FlattenedIndexKey(_Key):
    """Child number `key` of a node registered without keys.

    >>> print(FlattenedIndexKey(0))
    [<flat index 0>]
    """

    __slots__ = ()

    @property
    def key(self) -> Attribute:
        """The number.

        >>> FlattenedIndexKey(1).key
        1
        """
        return self._value

    def __init__(self, key: int) -> None:
        super().__init__(key)

    def __str__(self) -> str:
        return f"[<flat index {self._value}>]"

    def __repr__(self) -> str:
        return f"FlattenedIndexKey(key={self._value!r})"


KeyEntry = _Key
KeyPath = tuple[Any, ...]


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """A key path as text: `['a'][0].b`, or with `simple` only the bare keys.

    >>> keystr((DictKey("a"), SequenceKey(0)))
    "['a'][0]"
    """
    if simple:
        return separator.join(str(k._value) if isinstance(k, _Key) else str(k) for k in keys)
    return separator.join(map(str, keys))


# ---- registration --------------------------------------------------------------------------------

_child_keys: dict[type, Callable[[Any], Sequence[Any]]] = {}


def register_pytree_node(
    nodetype: type[T],
    flatten_func: Callable[[T], tuple[Iterable[Tree], Hashable]],
    unflatten_func: Callable[[Hashable, Iterable[Tree]], T],
    flatten_with_keys_func: Callable[[T], tuple[Iterable[tuple[object, Tree]], Hashable]] | None = None,
) -> None:
    """Make instances of `nodetype` containers.

    `flatten_func(x)` gives (children, auxiliary data), `unflatten_func(auxiliary, children)` the
    node back; the auxiliary data must be hashable and comparable. Raises ValueError if the type is
    registered already.

    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> register_pytree_node(Interval, lambda x: ((x.low, x.high), None), lambda _, ends: Interval(*ends))
    >>> shifted = tree_map(lambda x: x + 1, Interval(2, 3))
    >>> shifted.low, shifted.high
    (3, 4)
    """
    if not isinstance(nodetype, type):
        raise TypeError(f"register_pytree_node takes a type, got {nodetype!r}")

    def flatten(x: T) -> tuple[tuple[Tree, ...], Hashable]:
        children, auxiliary = flatten_func(x)
        return tuple(children), auxiliary

    if isinstance(optree, _Optree) and nodetype.__module__.startswith("pullback."):
        _pending.append((nodetype, flatten, unflatten_func))
    else:
        register: Any = optree.register_pytree_node  # annotated for collections only
        register(nodetype, flatten, unflatten_func, namespace=NAMESPACE)
    if flatten_with_keys_func is not None:
        _child_keys[nodetype] = lambda x: [k for k, _ in flatten_with_keys_func(x)[0]]


def register_pytree_with_keys(
    nodetype: type[T],
    flatten_with_keys: Callable[[T], tuple[Iterable[tuple[object, Tree]], Hashable]],
    unflatten_func: Callable[[Hashable, Iterable[Tree]], T],
    flatten_func: Callable[[T], tuple[Iterable[Tree], Hashable]] | None = None,
) -> None:
    """`register_pytree_node` for types that say the key of each child: `flatten_with_keys` gives
    ((key, child), ...).

    >>> class Pair:
    ...     def __init__(self, x, y):
    ...         self.x, self.y = x, y
    >>> with_keys = lambda p: (((GetAttrKey("x"), p.x), (GetAttrKey("y"), p.y)), None)
    >>> register_pytree_with_keys(Pair, with_keys, lambda _, children: Pair(*children))
    >>> [(keystr(path), v) for path, v in tree_leaves_with_path([Pair(1, 2)])]
    [('[0].x', 1), ('[0].y', 2)]
    """

    def flatten(x: T) -> tuple[Iterable[Tree], Hashable]:
        pairs, auxiliary = flatten_with_keys(x)
        return tuple(child for _, child in pairs), auxiliary

    register_pytree_node(nodetype, flatten_func or flatten, unflatten_func, flatten_with_keys)


def register_pytree_node_class(cls: type[T]) -> type[T]:
    """Class decorator: the class has `tree_flatten(self)`, which gives (children, auxiliary data), and a
    class method `tree_unflatten(cls, auxiliary, children)`. Raises ValueError if it is registered.

    >>> @register_pytree_node_class
    ... class Scaled:
    ...     def __init__(self, value, unit):
    ...         self.value, self.unit = value, unit
    ...     def tree_flatten(self):
    ...         return (self.value,), self.unit
    ...     @classmethod
    ...     def tree_unflatten(cls, unit, children):
    ...         return cls(*children, unit)
    >>> doubled = tree_map(lambda x: 2 * x, Scaled(1.5, "m"))
    >>> doubled.value, doubled.unit
    (3.0, 'm')
    """
    register_pytree_node(cls, lambda x: x.tree_flatten(), cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


def register_pytree_with_keys_class(cls: type[T]) -> type[T]:
    """As `register_pytree_node_class`, with `tree_flatten_with_keys(self)`, which gives
    (((key, child), ...), auxiliary data).

    >>> @register_pytree_with_keys_class
    ... class Point:
    ...     def __init__(self, x):
    ...         self.x = x
    ...     def tree_flatten_with_keys(self):
    ...         return ((GetAttrKey("x"), self.x),), None
    ...     @classmethod
    ...     def tree_unflatten(cls, _, children):
    ...         return cls(*children)
    >>> [keystr(path) for path, _ in tree_leaves_with_path({"p": Point(1)})]
    ["['p'].x"]
    """
    plain = (lambda x: x.tree_flatten()) if hasattr(cls, "tree_flatten") else None
    register_pytree_with_keys(cls, lambda x: x.tree_flatten_with_keys(), cls.tree_unflatten, plain)  # type: ignore[attr-defined]
    return cls


def register_dataclass(
    nodetype: type[T],
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> type[T]:
    """Make a dataclass a container: `data_fields` are its children, `meta_fields` static.

    Without lists, fields marked `field(metadata=dict(static=True))` are static and the others data.
    `drop_fields` are neither: they have their defaults in what transformations make. Works as a
    decorator. Raises ValueError if a field is in two lists, or if the lists do not name the fields
    of `__init__` exactly: what is `field(init=False)` would be lost, and has to be dropped in so
    many words.

    >>> import dataclasses
    >>> @register_dataclass
    ... @dataclasses.dataclass
    ... class Layer:
    ...     weight: float
    ...     size: int = dataclasses.field(default=3, metadata=dict(static=True))
    >>> tree_map(lambda x: 2 * x, Layer(1.0))
    Layer(weight=2.0, size=3)
    """
    import dataclasses

    if data_fields is None or meta_fields is None:
        if (data_fields is None) != (meta_fields is None):
            raise TypeError("register_dataclass: data_fields and meta_fields must both be given or both be None")
        if not dataclasses.is_dataclass(nodetype):
            raise TypeError("register_dataclass: data_fields and meta_fields are required for what is not a dataclass")
        fields = [f for f in dataclasses.fields(nodetype) if f.name not in drop_fields]
        meta_fields = tuple(f.name for f in fields if f.metadata.get("static", False))
        data_fields = tuple(f.name for f in fields if f.name not in meta_fields)
    data, meta = tuple(data_fields), tuple(meta_fields)
    if twice := sorted(set(data) & set(meta)):
        raise ValueError(f"register_dataclass({nodetype.__name__}): {twice} cannot be both data and static")
    if dataclasses.is_dataclass(nodetype):
        init = {f.name for f in dataclasses.fields(nodetype) if f.init} - set(drop_fields)
        if init != set(data) | set(meta):
            missing, extra = init - set(data) - set(meta), (set(data) | set(meta)) - init
            raise ValueError(
                f"register_dataclass({nodetype.__name__}): data_fields and meta_fields must name the init fields exactly; "
                f"missing {sorted(missing)}, unexpected {sorted(extra)}"
            )

    def flatten(x: T) -> tuple[tuple[Tree, ...], Hashable]:
        return tuple(getattr(x, f) for f in data), tuple(getattr(x, f) for f in meta)

    def flatten_with_keys(x: T) -> tuple[Iterable[tuple[object, Tree]], Hashable]:
        return tuple((GetAttrKey(f), getattr(x, f)) for f in data), tuple(getattr(x, f) for f in meta)

    def unflatten(auxiliary: Auxiliary, children: Iterable[Tree]) -> T:
        return nodetype(**dict(zip(data, children)), **dict(zip(meta, auxiliary)))

    register_pytree_node(nodetype, flatten, unflatten, flatten_with_keys)
    return nodetype


def register_static(cls: type[T]) -> type[T]:
    """Class decorator: instances are containers without children, kept as static (hashable,
    comparable) structure. Raises ValueError if the class is registered.

    >>> import pullback as pb
    >>> @register_static
    ... class Mode(str):
    ...     pass
    >>> pb.jit(lambda x, mode: 2 * x if mode == "double" else x)(3.0, Mode("double"))
    Array(6., dtype=float32, weak_type=True)
    """
    register_pytree_node(cls, lambda x: ((), x), lambda x, _: x)  # type: ignore[arg-type, return-value]
    return cls


# ---- the functions -------------------------------------------------------------------------------

#: For structures without registered types: the equal structure whose dicts have their keys in
#: order. Bounded.
_sorted: dict[PyTreeDef, PyTreeDef] = {}


def _with_sorted_keys(treedef: PyTreeDef) -> PyTreeDef:
    """The structure `treedef`, which makes dicts whose keys are in order.

    optree compares structures without regard to the order in which keys were inserted, and
    remembers it: what a dict that is rebuilt looks like would depend on which of several equal
    structures was met first.
    """
    own = False

    def ordered(node: PyTreeDef) -> PyTreeDef:
        nonlocal own
        kind: Any = node.kind
        if kind == optree.PyTreeKind.CUSTOM:
            own = True  # auxiliary data may be anything, and may be large: nothing keeps it
        elif kind == optree.PyTreeKind.DICT:
            children: Any = dict(zip(node.entries(), node.children()))
            return optree.treespec_dict(children, namespace=NAMESPACE)
        elif kind == optree.PyTreeKind.DEFAULTDICT:
            children = dict(zip(node.entries(), node.children()))
            example: Any = node.unflatten([None] * node.num_leaves)
            return optree.treespec_defaultdict(example.default_factory, children, namespace=NAMESPACE)
        return node

    result = treedef.transform(ordered)
    if not own:
        if len(_sorted) >= 4096:
            _sorted.clear()
        _sorted[treedef] = result
    return result


def tree_flatten(tree: Tree, is_leaf: IsLeaf = None) -> tuple[list[Leaf], PyTreeDef]:
    """The leaves of `tree`, left to right, and its structure.

    >>> tree_flatten({"b": 1, "a": (2, None)})[0]
    [2, 1]
    """
    leaves, treedef = optree.tree_flatten(tree, is_leaf, namespace=NAMESPACE)
    count = treedef.num_nodes
    if count == 1 or (
        tree.__class__ is tuple and count == len(leaves) + 1
    ):  # a leaf, or a tuple of leaves: no dict in it
        return leaves, treedef
    return leaves, _sorted.get(treedef) or _with_sorted_keys(treedef)


def tree_unflatten(treedef: PyTreeDef, leaves: Iterable[Leaf]) -> Tree:
    """The tree of structure `treedef` with the given leaves. Raises ValueError if their number is
    wrong.

    >>> leaves, treedef = tree_flatten({"a": 1, "b": (2, 3)})
    >>> tree_unflatten(treedef, [10 * x for x in leaves])
    {'a': 10, 'b': (20, 30)}
    """
    return optree.tree_unflatten(treedef, leaves)


def tree_leaves(tree: Tree, is_leaf: IsLeaf = None) -> list[Leaf]:
    """The leaves of `tree`, left to right, dicts by sorted key. Where `is_leaf(x)` is true, `x` counts as
    a leaf.

    >>> tree_leaves({"b": [3, None], "a": (1, 2)})
    [1, 2, 3]
    >>> tree_leaves({"b": [3, None], "a": (1, 2)}, is_leaf=lambda x: isinstance(x, tuple) or x is None)
    [(1, 2), 3, None]
    """
    return optree.tree_leaves(tree, is_leaf, namespace=NAMESPACE)


def tree_structure(tree: Tree, is_leaf: IsLeaf = None) -> PyTreeDef:
    """The structure of `tree`: equal for trees of the same containers, whatever their leaves.

    >>> tree_structure([1, 2]) == tree_structure(["x", "y"]), tree_structure([1, 2]) == tree_structure((1, 2))
    (True, False)
    """
    return tree_flatten(tree, is_leaf)[1]


def tree_map(f: Function, tree: Tree, *rest: Tree, is_leaf: IsLeaf = None) -> Tree:
    """`f` applied to corresponding leaves of trees; `rest` may have deeper structure. Raises
    ValueError on a mismatch.

    >>> tree_map(lambda x, y: x + y, [1, 2], [10, 20])
    [11, 22]
    """
    leaves, treedef = tree_flatten(tree, is_leaf)
    others = [flatten_up_to(treedef, r) for r in rest]
    return treedef.unflatten([f(*xs) for xs in zip(leaves, *others)])


def flatten_up_to(treedef: PyTreeDef, tree: Tree) -> list[Tree]:
    """The subtrees of `tree` at the leaves of `treedef`. Raises ValueError if `tree` does not have
    that structure."""
    return treedef.flatten_up_to(tree)


def tree_all(tree: Tree, *, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are true.

    >>> import pullback.numpy as jnp
    >>> a, b = {"w": jnp.ones(2)}, {"w": jnp.ones(2)}
    >>> tree_all(tree_map(jnp.array_equal, a, b))
    True
    """
    return all(tree_leaves(tree, is_leaf))


_NOTHING: Any = object()


def tree_reduce(
    function: Callable[[Tree, Tree], Tree], tree: Tree, initializer: Tree = _NOTHING, is_leaf: IsLeaf = None
) -> Tree:
    """`functools.reduce` over the leaves, beginning with `initializer` if it is given. Raises TypeError
    for a tree without leaves and no initializer.

    >>> tree_reduce(lambda total, x: total + x**2, {"a": 3.0, "b": (4.0, None)}, 0.0)
    25.0
    """
    leaves = tree_leaves(tree, is_leaf)
    return (
        functools.reduce(function, leaves)
        if initializer is _NOTHING
        else functools.reduce(function, leaves, initializer)
    )


def tree_reduce_associative(
    operation: Callable[[Tree, Tree], Tree], tree: Tree, *, identity: Tree = _NOTHING, is_leaf: IsLeaf = None
) -> Tree:
    """Reduce the leaves by an associative operation, pairing neighbours (log-depth). ValueError for
    an empty tree without identity.

    >>> tree_reduce_associative(lambda x, y: f"({x}{y})", ["a", "b", "c", "d"])
    '((ab)(cd))'
    """
    leaves = tree_leaves(tree, is_leaf)
    if not leaves:
        if identity is _NOTHING:
            raise ValueError("tree_reduce_associative: the tree has no leaves, and no identity was given")
        return identity
    while len(leaves) > 1:
        pairs = [operation(a, b) for a, b in zip(leaves[::2], leaves[1::2])]
        leaves = pairs + leaves[len(pairs) * 2 :]
    return leaves[0]


def tree_transpose(outer_treedef: PyTreeDef, inner_treedef: PyTreeDef | None, pytree_to_transpose: Tree) -> Tree:
    """A tree of structure outer∘inner as one of structure inner∘outer: a list of dicts as a dict of
    lists. Without `inner_treedef` it is that of the first subtree. TypeError if the tree does not have
    that structure.

    >>> examples = [{"x": 1, "y": 2}, {"x": 3, "y": 4}]
    >>> tree_transpose(tree_structure([0, 0]), tree_structure({"x": 0, "y": 0}), examples)
    {'x': [1, 3], 'y': [2, 4]}
    """
    flat, treedef = tree_flatten(pytree_to_transpose)
    if inner_treedef is None:
        subtrees = flatten_up_to(outer_treedef, pytree_to_transpose)
        inner_treedef = tree_structure(subtrees[0])
    if treedef != outer_treedef.compose(inner_treedef):
        raise TypeError(f"tree_transpose: mismatch\n{treedef}\n != \n{outer_treedef.compose(inner_treedef)}")
    n = inner_treedef.num_leaves
    columns = [flat[i::n] for i in range(n)] if n else []
    return inner_treedef.unflatten([outer_treedef.unflatten(c) for c in columns])


def tree_broadcast(prefix_tree: Tree, full_tree: Tree, is_leaf: IsLeaf = None) -> Tree:
    """`prefix_tree`, each leaf repeated over the subtree of `full_tree` it stands for. ValueError
    if it is no prefix.

    >>> tree_broadcast({"a": 0.1, "b": None}, {"a": [1, 2, 3], "b": None})
    {'a': [0.1, 0.1, 0.1], 'b': None}
    """
    return tree_unflatten(tree_structure(full_tree, is_leaf), broadcast_prefix(prefix_tree, full_tree, is_leaf))


def broadcast_prefix(prefix_tree: Tree, full_tree: Tree, is_leaf: IsLeaf = None) -> list[Tree]:
    """The leaves of `prefix_tree`, each as often as `full_tree` has leaves in its place."""
    leaves, treedef = tree_flatten(prefix_tree, is_leaf)
    subtrees = flatten_up_to(treedef, full_tree)
    return [leaf for leaf, t in zip(leaves, subtrees) for _ in range(tree_structure(t).num_leaves)]


def flatten_one_level(tree: Tree) -> tuple[list[Tree], Auxiliary] | None:
    """The children of one node and its auxiliary data; None for a leaf.

    >>> flatten_one_level([1, (2, 3)])
    ([1, (2, 3)], None)
    """
    if is_leaf(tree):
        return None
    if tree is None:
        return [], None
    children, metadata, *_ = optree.tree_flatten_one_level(tree, namespace=NAMESPACE)
    return list(children), metadata


def flatten_one_level_with_keys(tree: Tree) -> tuple[list[tuple[object, Tree]], Auxiliary] | None:
    """As `flatten_one_level`, each child with its key.

    >>> [(str(key), child) for key, child in flatten_one_level_with_keys({"a": 1, "b": (2, 3)})[0]]
    [("['a']", 1), ("['b']", (2, 3))]
    """
    flat = flatten_one_level(tree)
    if flat is None:
        return None
    return list(zip(child_keys(tree, len(flat[0])), flat[0])), flat[1]


def is_leaf(x: Tree) -> bool:
    """Whether `x` is a leaf (None is a node)."""
    return optree.tree_is_leaf(x, namespace=NAMESPACE)


def is_tree_node(typ: type) -> bool:
    """Whether instances of `typ` are containers.

    >>> is_tree_node(dict), is_tree_node(float)
    (True, False)
    """
    return optree.register_pytree_node.get(typ, namespace=NAMESPACE) is not None


def unflatten_rule(cls: type) -> Callable[[Auxiliary, Iterable[Tree]], Tree] | None:
    """What makes an instance of the container type `cls` of auxiliary data and children; None if it
    is no container."""
    entry = optree.register_pytree_node.get(cls, namespace=NAMESPACE)
    return None if entry is None else entry.unflatten_func


def all_leaves(iterable: Iterable[Leaf], is_leaf: IsLeaf = None) -> bool:
    """Whether every element is a leaf.

    >>> all_leaves([1, "a"]), all_leaves([1, (2, 3)]), all_leaves([None])
    (True, False, False)
    """
    return optree.all_leaves(iterable, is_leaf, namespace=NAMESPACE)


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The structures of a node's children.

    >>> [t.num_leaves for t in treedef_children(tree_structure((1, [2, 3])))]
    [1, 2]
    """
    return treedef.children()


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Whether the structure is that of a leaf.

    >>> treedef_is_leaf(tree_structure(1)), treedef_is_leaf(tree_structure(None))
    (True, False)
    """
    return treedef.is_leaf()


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of a tuple of trees.

    >>> treedef_tuple([tree_structure(1), tree_structure([2, 3])]) == tree_structure((1, [2, 3]))
    True
    """
    return optree.treespec_tuple(treedefs, namespace=NAMESPACE)


# ---- with paths ----------------------------------------------------------------------------------


def child_keys(node: Tree, count: int) -> Sequence[object]:
    """The keys of a container's `count` children."""
    cls = type(node)
    if cls in _child_keys:
        return _child_keys[cls](node)
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return [GetAttrKey(f) for f in node._fields]
    if isinstance(node, dict):
        tree: Any = node
        return [DictKey(k) for k in optree.tree_flatten_one_level(tree, namespace=NAMESPACE)[2]]
    if isinstance(node, (list, tuple)) or cls.__name__ == "deque":
        return [SequenceKey(i) for i in range(count)]
    return [FlattenedIndexKey(i) for i in range(count)]


def tree_flatten_with_path(
    tree: Tree, is_leaf: IsLeaf = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Leaf]], PyTreeDef]:
    """Leaves with the path to each, and the structure.

    >>> [(keystr(path), leaf) for path, leaf in tree_flatten_with_path({"a": [1, 2]})[0]]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    found: list[tuple[KeyPath, Any]] = []
    stop: set[int] = set()

    def visit(node: Tree, path: KeyPath) -> None:
        if is_leaf is not None and (is_leaf(path, node) if is_leaf_takes_path else is_leaf(node)):  # type: ignore[call-arg]
            stop.add(id(node))
            found.append((path, node))
            return
        flat = flatten_one_level(node)
        if flat is None:
            found.append((path, node))
            return
        for key, child in zip(child_keys(node, len(flat[0])), flat[0]):
            visit(child, (*path, key))

    visit(tree, ())
    structure = tree_structure(tree, (lambda x: id(x) in stop) if is_leaf is not None else None)
    return found, structure


def tree_leaves_with_path(
    tree: Tree, is_leaf: IsLeaf = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Leaf]]:
    """Leaves with the path to each, a tuple of keys. With `is_leaf_takes_path`, `is_leaf` is a function of
    path and value.

    >>> [(keystr(path), x) for path, x in tree_leaves_with_path({"layers": [{"w": 1}, {"w": 2}]})]
    [("['layers'][0]['w']", 1), ("['layers'][1]['w']", 2)]
    """
    return tree_flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def tree_map_with_path(
    f: Function, tree: Tree, *rest: Tree, is_leaf: IsLeaf = None, is_leaf_takes_path: bool = False
) -> Tree:
    """`f(path, *leaves)` over corresponding leaves, in a tree like `tree`; `rest` may have deeper
    structure. Raises ValueError on a mismatch.

    >>> decay = lambda path, w: w if path[-1] == DictKey("bias") else 0.9 * w
    >>> tree_map_with_path(decay, {"layer": {"w": 10.0, "bias": 10.0}})
    {'layer': {'bias': 10.0, 'w': 9.0}}
    """
    pairs, treedef = tree_flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    others = [flatten_up_to(treedef, r) for r in rest]
    return treedef.unflatten([f(path, leaf, *xs) for (path, leaf), *xs in zip(pairs, *others)])


# ---- partial application -------------------------------------------------------------------------


class Partial(functools.partial):  # type: ignore[type-arg]
    """`functools.partial` whose function is structure and whose arguments are children: it passes
    through transformations.

    Of a `Partial` of a `Partial`, all arguments are children; those of a plain `functools.partial`
    stay part of the function.

    >>> import math
    >>> scaled = Partial(math.ldexp, 1.5)
    >>> scaled(3), tree_leaves(scaled)
    (12.0, [1.5])
    """

    def __new__(cls, func: Function, *args: Tree, **kwargs: Tree) -> Partial:
        if isinstance(func, Partial):
            args, kwargs, func = func.args + args, {**func.keywords, **kwargs}, func.func
        if not callable(func):
            raise TypeError(f"Partial: the first argument must be callable, got {func!r:.100}")
        # Given the function, `functools.partial` would take plain partial applications apart.
        self = functools.partial.__new__(cls, len)
        self.__setstate__((func, args, kwargs, None))  # type: ignore[attr-defined]
        return self

    def __repr__(self) -> str:
        parts = [repr(self.func), *map(repr, self.args), *(f"{k}={v!r}" for k, v in self.keywords.items())]
        return f"Partial({', '.join(parts)})"


register_pytree_with_keys(
    Partial,
    lambda p: (((GetAttrKey("args"), p.args), (GetAttrKey("keywords"), p.keywords)), p.func),
    lambda func, children: Partial(func, *tuple(children)[0], **tuple(children)[1]),  # type: ignore[arg-type]
)


def arrays_of(tree: Tree, what: str) -> tuple[list[Value], PyTreeDef]:
    """The leaves as Arrays, and the structure. Raises TypeError naming the leaf for what is no
    array; `what` says whose it is."""
    leaves, treedef = tree_flatten(tree)
    return as_arrays(leaves, tree, what), treedef


def as_arrays(leaves: list[Leaf], tree: Tree, what: str) -> list[Value]:
    """The same of the leaves of a tree, which may be changed."""
    for i, x in enumerate(leaves):
        if x.__class__ is not ConcreteArray:
            try:
                leaves[i] = as_array(x)
            except TypeError:
                raise leaf_error(tree, x, what) from None
            current().check_constant(leaves[i])
    return leaves


def leaf_error(tree: Tree, leaf: Leaf, what: str, argument: str = "") -> TypeError:
    """The error for a leaf that `as_array` refuses, naming its path in `tree`."""
    if isinstance(leaf, Array):  # refused because its trace is over
        return UnexpectedTracerError(leaf)
    for path, x in tree_leaves_with_path(tree):
        if x is leaf:
            where = f" at path {argument}{keystr(path)}" if path or argument else ""
            return TypeError(
                f"{what}: leaf{where} of type {type(leaf).__name__!r} is not a valid array type: {leaf!r:.100}{see('arrays')}"
            )
    return TypeError(f"{what}: leaf of type {type(leaf).__name__!r} is not a valid array type{see('arrays')}")
