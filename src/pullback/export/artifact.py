"""The format of exported functions.

An artifact is a stretch of bytes, the same on every machine:

    "pullback exported 2\\n"    what this is, and the version of the format
    32 bytes                   the SHA-256 of everything after them
    8 bytes, little-endian     the length of the description
    the description            JSON, in UTF-8: a list, of the function first, then of its VJP, the VJP of that, ...
    the modules                StableHLO text compressed by zlib, one after the other, each as long as the description says

Each entry of the description is an object: the function's name, the structure of its arguments and
results, their types, the constraints of symbolic dimensions, how its modules are called, and for
each of them a list of the platforms for which it is, and its length. Structures are written as

    null                                              None
    "*"                                               an array
    {"node": "tuple", "children": [...]}              also "list", and "dict" and "OrderedDict" with "keys", which must be strings
    {"node": "registered", "name": ..., "data": ..., "children": [...]}

where the last is for types known under a name by `register_namedtuple_serialization` or
`register_pytree_node_serialization`; "data" is their static data in hexadecimal digits. Types are
lists: shape, dtype, whether the dtype is weak; symbolic dimensions are texts ("2*a + 1"). A module's
function `main` takes the arguments numbered in "kept" and gives the results, in order, each as a
tensor of its type; typed random keys are `ui64`, arrays of dtype float0 (cotangents of integers) are
neither taken nor given. Symbolic dimensions stand in a module as `${2*a + 1}`, where their values go.

Version 1 had no symbolic dimensions, and one module for all platforms, in "platforms", of
"module_bytes" bytes. A version of the format is read for at least two years after the release that
has written it last; `tests/artifacts` has artifacts of each.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pullback.core import dtypes
from pullback.core.dimensions import Dim
from pullback.core.symbolic_shapes import SymbolicScope, parse_size
from pullback.core.tree import flatten_one_level, tree_structure, tree_unflatten, unflatten_rule
from pullback.core.types import ShapedArray

if TYPE_CHECKING:
    from pullback.core.names import Auxiliary, Tree

    #: What JSON has: dicts, lists, strings, numbers, bools and None.
    Json = Any
    from pullback.core.tree import PyTreeDef

T = TypeVar("T")

_MAGIC = b"pullback exported "
#: The version of the format that is written, and those that are read.
_VERSION = b"2\n"
_READ = (b"1\n", _VERSION)
_DIGEST = hashlib.sha256().digest_size
_HEADER = len(_MAGIC) + len(_VERSION) + _DIGEST


# ---- types of containers -------------------------------------------------------------------------


class _Registration:
    """How a container is written and read: its name, and its static data as bytes.

    Example: a namedtuple under the name "my_module.Point".
    """

    __slots__ = ("nodetype", "name", "write", "read", "build")

    def __init__(
        self,
        nodetype: type,
        name: str,
        write: Callable[[Auxiliary], bytes | bytearray],
        read: Callable[[bytearray], Auxiliary],
        build: Callable[[Auxiliary, Sequence[Tree]], Tree],
    ) -> None:
        self.nodetype, self.name, self.write, self.read, self.build = nodetype, name, write, read, build


_by_type: dict[type, _Registration] = {}
_by_name: dict[str, _Registration] = {}
#: The named tuples that functions of this package give, which are registered when they are met: as
#: `pullback.QRResult`, wherever the class is.
_OURS = {
    **dict.fromkeys(("EighResult", "EigResult", "QRResult", "SVDResult", "SlogdetResult"), "pullback.numpy.linalg"),
    **dict.fromkeys(("UniqueAllResult", "UniqueCountsResult", "UniqueInverseResult"), "pullback.numpy.sets"),
    "ModeResult": "pullback.scipy.stats.samples",
    "OptimizeResults": "pullback.scipy.optimize",
    "SolveInfo": "pullback.implicit",
}


def _of_type(nodetype: type) -> _Registration | None:
    if nodetype not in _by_type and _OURS.get(nodetype.__name__) == nodetype.__module__:
        register_namedtuple_serialization(nodetype, serialized_name=f"pullback.{nodetype.__name__}")
    return _by_type.get(nodetype)


def _of_name(name: str) -> _Registration | None:
    module = _OURS.get(name.removeprefix("pullback.")) if name.startswith("pullback.") else None
    if module is not None and name not in _by_name:
        return _of_type(getattr(importlib.import_module(module), name.removeprefix("pullback.")))
    return _by_name.get(name)


def _register(registration: _Registration) -> None:
    nodetype, name = registration.nodetype, registration.name
    if nodetype in _by_type:
        raise ValueError(
            f"Duplicate serialization registration for type {nodetype}: it is registered as {_by_type[nodetype].name!r}"
        )
    if name in _by_name:
        raise ValueError(
            f"Duplicate serialization registration for serialized_name {name!r}: it stands for {_by_name[name].nodetype}"
        )
    _by_type[nodetype] = _by_name[name] = registration


def register_namedtuple_serialization(nodetype: type[T], *, serialized_name: str) -> type[T]:
    """Give a named tuple's type a name for exported functions that take or give it. Returns the
    type.

    The process that loads the artifact registers its own type under the same name. Raises
    ValueError for other types, and if type or name are registered already.

    >>> import collections
    >>> Point = collections.namedtuple("Point", "x y")
    >>> register_namedtuple_serialization(Point, serialized_name="geometry.Point") is Point
    True
    """
    if not (isinstance(nodetype, type) and issubclass(nodetype, tuple) and hasattr(nodetype, "_fields")):
        raise ValueError(
            f"register_namedtuple_serialization takes a type of named tuples, got {nodetype!r}: use "
            "register_pytree_node_serialization for other types"
        )
    _register(
        _Registration(nodetype, serialized_name, lambda _: b"", lambda _: None, lambda _, children: nodetype(*children))
    )
    return nodetype


def register_pytree_node_serialization(
    nodetype: type[T],
    *,
    serialized_name: str,
    serialize_auxdata: Callable[[Auxiliary], bytes | bytearray],
    deserialize_auxdata: Callable[[bytearray], Auxiliary],
    from_children: Callable[[Auxiliary, Sequence[Tree]], Tree] | None = None,
) -> type[T]:
    """Give a registered container a name for exported functions that take or give it. Returns the
    type.

    `serialize_auxdata` writes its auxiliary data as bytes, `deserialize_auxdata` reads them;
    `from_children(auxiliary, children)` makes the container, the function given to
    `register_pytree_node` if it is None. Raises ValueError if the type is not registered as a
    container, and if type or name are registered here already.

    >>> import pullback as pb
    >>> class Range:
    ...     def __init__(self, low, high, unit):
    ...         self.low, self.high, self.unit = low, high, unit
    >>> pb.tree_util.register_pytree_node(
    ...     Range, lambda r: ((r.low, r.high), r.unit), lambda unit, ends: Range(*ends, unit)
    ... )
    >>> _ = register_pytree_node_serialization(
    ...     Range, serialized_name="doc.Range", serialize_auxdata=str.encode, deserialize_auxdata=lambda b: b.decode()
    ... )
    >>> blob = pb.export.export(pb.jit(lambda r: r.high - r.low))(Range(1.0, 3.0, "m")).serialize()
    >>> float(pb.export.deserialize(blob).call(Range(5.0, 9.0, "m")))
    4.0
    """
    build = from_children or unflatten_rule(nodetype)
    if build is None:
        raise ValueError(
            f"register_pytree_node_serialization: {nodetype} is not a container yet: call `tree_util.register_pytree_node` first, or "
            "pass `from_children`"
        )
    _register(_Registration(nodetype, serialized_name, serialize_auxdata, deserialize_auxdata, build))
    return nodetype


# ---- structures and types ------------------------------------------------------------------------


class _Unknown(ValueError):
    """A container that is not registered in this process.

    Example: an artifact with a `Point`, read where no `Point` is registered.
    """


class _Leaf:
    """The place of an array in a tree that is there for its structure.

    Example: each leaf of the tree of arguments that an artifact describes.
    """


def _write_tree(treedef: PyTreeDef) -> Json:
    def write(node: Json) -> Json:
        if isinstance(node, _Leaf):
            return "*"
        if node is None:
            return None
        flat = flatten_one_level(node)
        assert flat is not None  # trees have no other leaves
        cls, (children, auxiliary) = type(node), flat
        written = list(map(write, children))
        if cls in (tuple, list):
            return {"node": cls.__name__, "children": written}
        if cls in (dict, OrderedDict):
            keys = list(auxiliary)
            wrong = next((k for k in keys if not isinstance(k, str)), None)
            if wrong is not None:
                raise TypeError(
                    "Serialization is supported only for dictionaries with string keys. Found key "
                    f"{wrong!r} of type {type(wrong).__name__}"
                )
            return {"node": cls.__name__, "keys": keys, "children": written}
        registration = _of_type(cls)
        if registration is None:
            raise ValueError(
                f"Cannot serialize PyTreeDef containing an unregistered type {cls}. Use `export.register_pytree_node_serialization` or "
                "`export.register_namedtuple_serialization`"
            )
        data = bytes(registration.write(auxiliary)).hex()
        return {"node": "registered", "name": registration.name, "data": data, "children": written}

    return write(tree_unflatten(treedef, [_Leaf() for _ in range(treedef.num_leaves)]))


def _read_tree(written: Json) -> PyTreeDef:
    def read(node: Json) -> Json:
        if node == "*":
            return _Leaf()
        if node is None:
            return None
        children = list(map(read, node["children"]))
        kind = node["node"]
        if kind in ("tuple", "list"):
            return tuple(children) if kind == "tuple" else children
        if kind in ("dict", "OrderedDict"):
            pairs = zip(node["keys"], children, strict=True)
            return dict(pairs) if kind == "dict" else OrderedDict(pairs)
        registration = _of_name(node["name"]) if kind == "registered" else None
        if registration is None:
            raise _Unknown(
                f"Cannot deserialize a container of type {node.get('name', kind)!r}, which is not registered in this process. Use "
                "`export.register_pytree_node_serialization` or `export.register_namedtuple_serialization`"
            )
        return registration.build(registration.read(bytearray.fromhex(node["data"])), tuple(children))

    return tree_structure(read(written))


_DTYPES = {dtypes.name(d): d for d in dtypes._KINDS}


def _write_type(t: ShapedArray) -> Json:
    return [[str(n) if n.__class__ is Dim else n for n in t.shape], dtypes.name(t.dtype), t.weak_type]


def _read_type(written: Json, scope: SymbolicScope) -> ShapedArray:
    shape, dtype, weak = written
    sizes = tuple([parse_size(n, scope) if type(n) is str else n for n in shape])
    right = all(n.__class__ is Dim or (type(n) is int and 0 <= n < 2**63) for n in sizes)
    _check(right and type(weak) is bool, f"{written} is no type")
    return ShapedArray(sizes, _DTYPES[dtype], weak)


# ---- artifacts -----------------------------------------------------------------------------------


class Signature:
    """What an artifact says of one function, and its modules.

    `in_tree` is the structure of (args, kwargs), `kept` numbers the arrays among them that a module
    takes; `scope` is that of symbolic dimensions; `disabled_checks` are the safety checks that are
    off; `texts` are the modules, by the platforms for which the function was exported.

    Example: `f(float32[3]) -> float32[]`, and its StableHLO.
    """

    FIELDS = ("fun_name", "in_tree", "in_avals", "out_tree", "out_avals", "kept", "disabled_checks")
    __slots__ = (*FIELDS, "scope", "texts")

    def __init__(
        self,
        fun_name: str,
        in_tree: PyTreeDef,
        in_avals: Sequence[ShapedArray],
        out_tree: PyTreeDef,
        out_avals: Sequence[ShapedArray],
        kept: Sequence[int],
        disabled_checks: Sequence[str],
        scope: SymbolicScope,
        texts: Mapping[str, str],
    ) -> None:
        self.fun_name, self.scope, self.texts = fun_name, scope, dict(texts)
        self.in_tree, self.in_avals = in_tree, tuple(in_avals)
        self.out_tree, self.out_avals = out_tree, tuple(out_avals)
        self.kept, self.disabled_checks = tuple(kept), tuple(disabled_checks)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms for which the function was exported."""
        return tuple(self.texts)


def pack(signatures: Sequence[Signature]) -> bytearray:
    """The artifact of a function and its VJPs. Raises ValueError for containers that have no name,
    TypeError for keys that are no strings."""
    description, modules = [], []
    for s in signatures:
        of_platforms: dict[str, list[str]] = {}
        for platform, text in s.texts.items():
            of_platforms.setdefault(text, []).append(platform)
        compressed = [_compressed(text.encode()) for text in of_platforms]
        modules += compressed
        description.append(
            {
                "fun_name": s.fun_name,
                "in_tree": _write_tree(s.in_tree),
                "in_avals": list(map(_write_type, s.in_avals)),
                "out_tree": _write_tree(s.out_tree),
                "out_avals": list(map(_write_type, s.out_avals)),
                "kept": s.kept,
                "disabled_checks": s.disabled_checks,
                "constraints": s.scope.constraints,
                "modules": list(zip(of_platforms.values(), map(len, compressed))),
            }
        )
    written = json.dumps(description, separators=(",", ":")).encode()
    body = b"".join([len(written).to_bytes(8, "little"), written, *modules])
    return bytearray(_MAGIC + _VERSION + hashlib.sha256(body).digest() + body)


#: How much longer than its compressed form a text may be, so that a short artifact cannot fill the
#: memory.
_EXPANSION, _FREE = 100, 1 << 20


def _compressed(text: bytes) -> bytes:
    short = zlib.compress(text, 1)  # hexadecimal constants halve, and more effort does not pay
    return short if len(text) <= _EXPANSION * len(short) + _FREE else zlib.compress(text, 0)


def _decompressed(data: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(data, _EXPANSION * len(data) + _FREE)
    if not reader.eof or reader.unused_data:
        raise ValueError("a module is cut short, or longer than it may be")
    return text


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _check_signature(s: Signature) -> None:
    """Raises ValueError unless structures, types and numbers fit each other."""
    _check(isinstance(s.fun_name, str), "the name is no text")
    for tree, avals in ((s.in_tree, s.in_avals), (s.out_tree, s.out_avals)):
        _check(tree.num_leaves == len(avals), f"{len(avals)} types for {tree.num_leaves} arrays")
    _check(all(type(i) is int and 0 <= i < len(s.in_avals) for i in s.kept), "there are no such arguments")
    _check(list(s.kept) == sorted(set(s.kept)), "arguments are taken twice, or in disorder")
    for names in (s.platforms, s.disabled_checks):
        _check(all(isinstance(n, str) for n in names), "names of platforms and checks are no texts")


def unpack(blob: bytes | bytearray | memoryview) -> list[Signature]:
    """What `pack` was given.

    Raises TypeError for what is not bytes; ValueError for bytes that are no artifact, are damaged
    or of another version, and for containers that are not registered here.
    """
    data = bytes(memoryview(blob))
    if not data.startswith(_MAGIC):
        raise ValueError(f"export.deserialize: these {len(data)} bytes are no exported function")
    if data[len(_MAGIC) : len(_MAGIC) + len(_VERSION)] not in _READ:
        raise ValueError(
            "export.deserialize: the artifact is of a version of the format that this version of Pullback does not know: export the function "
            "again"
        )
    body = data[_HEADER:]
    if data[_HEADER - _DIGEST : _HEADER] != hashlib.sha256(body).digest():
        raise ValueError(f"export.deserialize: the artifact ({len(data)} bytes) is damaged or cut short")
    try:
        return _read(body)
    except _Unknown as error:
        raise ValueError(str(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error) as error:
        raise ValueError(
            f"export.deserialize: the artifact ({len(data)} bytes) is damaged, though its checksum is right: {error}"
        ) from error


def _read(body: bytes) -> list[Signature]:
    start = 8 + int.from_bytes(body[:8], "little")
    _check(8 <= start <= len(body), "the description is longer than the artifact")
    signatures = []
    entries = json.loads(body[8:start])
    _check(isinstance(entries, list) and bool(entries), "there is no description")
    for entry in entries:
        if "module_bytes" in entry:  # of version 1
            entry |= {"modules": [[entry.pop("platforms"), entry.pop("module_bytes")]], "constraints": []}
        texts: dict[str, str] = {}
        for platforms, length in entry.pop("modules"):
            _check(type(length) is int and 0 <= length <= len(body) - start, "a module is longer than the artifact")
            _check(type(platforms) is list, "the platforms of a module are no list")
            text = _decompressed(body[start : start + length]).decode()
            texts |= dict.fromkeys(platforms, text)
            start += length
        _check(bool(texts), "there is no module")
        scope = SymbolicScope(entry.pop("constraints"))
        for tree in ("in_tree", "out_tree"):
            entry[tree] = _read_tree(entry[tree])
        for types in ("in_avals", "out_avals"):
            entry[types] = [_read_type(t, scope) for t in entry[types]]
        signatures.append(Signature(**entry, scope=scope, texts=texts))
        _check_signature(signatures[-1])
    _check(start == len(body), "something follows the modules")
    return signatures


__all__ = [
    "Signature",
    "pack",
    "register_namedtuple_serialization",
    "register_pytree_node_serialization",
    "unpack",
]
