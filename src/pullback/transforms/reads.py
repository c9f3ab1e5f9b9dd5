"""What a function reads besides its arguments, and whether it is still the same: programs traced
from functions are kept only while it is.

A `Record` says what functions are made of: code, defaults, the cells that they close over, the
global names in their code and the attributes of modules that these stand for, and the same of the
functions and classes found there. Two objects are the same if they are one object that cannot
change (numbers, strings, Arrays, functions), or containers of such. For everything else (objects
with attributes, large NumPy arrays, iterators, clocks, files) nobody can tell whether it has
changed: the record is `unknown`, and the function is traced again each time.

Records hold no function, class or module, but weak references: they must not keep alive what they
are kept with.
"""

from __future__ import annotations

import builtins
import dis
import enum
import sys
import types
import weakref
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import Array
from pullback.core.trace import Tracer
from pullback.transforms.jit import JitFunction

if TYPE_CHECKING:
    from pullback.core.names import Leaf


class Unknown(Exception):
    """Something of which nobody can tell whether it has changed.

    Example: a function that reads an attribute of an object of the user's.
    """


#: Modules whose functions and names mean the same from call to call, with all that they contain.
_LIBRARIES = {"pullback", "numpy", "scipy", "ml_dtypes", "optree", "opt_einsum", *sys.stdlib_module_names}
#: Those that do not: they read clocks, files, generators, or the state of the program.
_CHANGING = {
    "random",
    "time",
    "datetime",
    "os",
    "io",
    "sys",
    "secrets",
    "uuid",
    "gc",
    "inspect",
    "contextvars",
    "threading",
    "numpy.random",
}
_CHANGING_BUILTINS = frozenset({"open", "input", "globals", "locals", "vars", "eval", "exec", "getattr", "__import__"})
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range, np.dtype, np.generic)
_C_FUNCTIONS = (
    types.BuiltinFunctionType,
    np.ufunc,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_MISSING: Any = object()
#: More than this takes longer to compare than to trace.
_MOST, _LARGEST = 256, 1 << 14


def _library(name: object) -> bool:
    return isinstance(name, str) and name.partition(".")[0] in _LIBRARIES and name not in _CHANGING


# ---- names in code -------------------------------------------------------------------------------

#: For code: global names, attributes and variables of enclosing functions that it reads.
_Names = tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]
_names: OrderedDict[types.CodeType, _Names] = OrderedDict()
_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")
_ENCLOSING = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
_STORES = {"LOAD_GLOBAL": "STORE_GLOBAL", "LOAD_NAME": "STORE_NAME", "LOAD_DEREF": "STORE_DEREF"}
_FILLERS = ("CACHE", "NOP", "EXTENDED_ARG", "PUSH_NULL")


def _names_in(code: types.CodeType) -> _Names:
    """The names that a function's code reads, functions within it included. Raises Unknown if it
    imports what is no library.

    A list that it only appends to, or a number that it only counts up, it does not read: so do
    functions that say how often they are traced.
    """
    found = _names.get(code)
    if found is None:
        names: dict[str, None] = {}
        attributes: dict[str, None] = {}
        enclosing: set[str] = set()
        steps = [i for i in dis.get_instructions(code) if i.opname not in _FILLERS]
        for k, step in enumerate(steps):
            name, argument = step.opname, step.argval
            if name in _GLOBAL or name in _ENCLOSING:
                if not _is_only_written(steps[k : k + 4]):
                    names.setdefault(argument) if name in _GLOBAL else enclosing.add(argument)
            elif name == "IMPORT_NAME":
                if not _library(argument):
                    raise Unknown(argument)
            elif name in _ATTRIBUTE or name == "IMPORT_FROM":
                attributes[argument] = None
        for c in code.co_consts:
            if isinstance(c, types.CodeType):
                inner = _names_in(c)
                names.update(dict.fromkeys(inner[0]))
                attributes.update(dict.fromkeys(inner[1]))
                enclosing.update(inner[2])
        found = _names[code] = tuple(names), tuple(attributes), frozenset(enclosing)
        while len(_names) > 1024:
            _names.popitem(last=False)
    return found


def _is_only_written(steps: list[dis.Instruction]) -> bool:
    """Whether what the first of these instructions loads is only appended to, or counted up."""
    first, *rest = steps
    if rest and rest[0].opname in _ATTRIBUTE and rest[0].argval in ("append", "add"):
        return True
    names = [s.opname for s in rest]
    return (
        len(names) == 3 and names[0] in ("LOAD_CONST", "LOAD_SMALL_INT") and names[1] == "BINARY_OP"
        and names[2] == _STORES.get(first.opname) and rest[2].argval == first.argval
    )  # fmt: skip


# ---- values --------------------------------------------------------------------------------------


class _Seen:
    """What has been found so far: each function, class and module once.

    Example: of `lambda x: x * scale`: the global `scale`.
    """

    def __init__(self) -> None:
        self.ids: set[Any] = set()
        self.count = 0
        self.functions: list[Any] = []
        self.names: list[tuple[Any, str, Any]] = []

    def value(self, x: Leaf, attributes: tuple[str, ...]) -> object:
        """What `x` is compared by: itself, a weak reference, or a function."""
        self.count += 1
        if self.count > _MOST:
            raise Unknown(x)
        cls = x.__class__
        # (A number of the user's own class may carry anything.)
        if cls in _ATOM_TYPES or x is _MISSING or (isinstance(x, _ATOMS) and not hasattr(x, "__dict__")):
            return x
        if isinstance(x, Array):
            if isinstance(x, Tracer):  # not kept anyway
                raise Unknown(x)
            return x
        if cls is types.FunctionType:
            self.function(x)
            self.attributes(x, attributes)
            return weakref.ref(x)
        if isinstance(x, types.ModuleType):
            self.module(x, attributes)
            return weakref.ref(x)
        if isinstance(x, type):
            self.type(x)
            return weakref.ref(x)
        if isinstance(x, _C_FUNCTIONS):
            owner = getattr(x, "__self__", None)
            if owner is None or isinstance(owner, types.ModuleType):
                if x in _CHANGING_FUNCTIONS or (owner is not None and owner.__name__ in _CHANGING):
                    raise Unknown(x)
                return x
            self.value(owner, attributes)
            return x
        if isinstance(x, (JitFunction, enum.Enum)) or _by_name(x):
            return x if isinstance(x, enum.Enum) else weakref.ref(x)
        if cls is tuple or cls is list or (isinstance(x, tuple) and hasattr(cls, "_fields")):
            return _Items(cls, [self.value(v, attributes) for v in x])
        if cls is dict:
            if not all(isinstance(k, _ATOMS) for k in x):
                raise Unknown(x)
            return _Entries(list(x), [self.value(v, attributes) for v in x.values()])
        if isinstance(x, partial):
            return _Parts(
                cls, ("func", "args", "keywords"), [self.value(v, attributes) for v in (x.func, x.args, x.keywords)]
            )
        if cls is types.MethodType:
            return _Parts(cls, ("__func__", "__self__"), [self.value(v, attributes) for v in (x.__func__, x.__self__)])
        if cls in (staticmethod, classmethod):
            return _Parts(cls, ("__func__",), [self.value(x.__func__, attributes)])
        if cls is property:
            return _Parts(cls, ("fget",), [self.value(x.fget, attributes)])
        if cls is np.ndarray and x.nbytes <= _LARGEST and not x.dtype.hasobject:
            return _Data(x)
        if cls.__module__.partition(".")[0] == "pullback" and hasattr(x, "__dict__"):  # functions with rules, options
            return _Parts(cls, ("__dict__",), [self.value(dict(vars(x)), attributes)])
        raise Unknown(x)

    def function(self, f: Leaf) -> None:
        if id(f) in self.ids:
            return
        self.ids.add(id(f))
        known = _library(f.__globals__.get("__name__"))
        if known and not f.__closure__:
            return
        variables = f.__code__.co_freevars
        names, attributes, enclosing = ((), (), frozenset(variables)) if known else _names_in(f.__code__)
        cells = []
        for i, name in enumerate(variables):
            if name in enclosing:
                try:
                    content = f.__closure__[i].cell_contents
                except ValueError:
                    raise Unknown(name) from None
                cells.append((i, self.value(content, attributes)))
        found = []
        for name in names:
            x = f.__globals__.get(name, _MISSING)
            if x is _MISSING and name in _CHANGING_BUILTINS:
                raise Unknown(name)
            found.append((name, self.value(x, attributes)))
        defaults = None if f.__defaults__ is None else self.value(f.__defaults__, attributes)
        keywords = None if f.__kwdefaults__ is None else self.value(f.__kwdefaults__, attributes)
        self.functions.append((weakref.ref(f), f.__code__, defaults, keywords, cells, found))

    def attributes(self, f: Leaf, names: tuple[str, ...]) -> None:
        """What a function carries, where code that has the function reads attributes of these
        names."""
        for a in names if f.__dict__ else ():
            if a in f.__dict__ and (id(f), a) not in self.ids:
                self.ids.add((id(f), a))
                self.names.append((weakref.ref(f), a, self.value(f.__dict__[a], names)))

    def module(self, m: types.ModuleType, attributes: tuple[str, ...]) -> None:
        name = m.__name__
        if name in _CHANGING:
            raise Unknown(m)
        known = _library(name)
        for a in attributes:
            x = m.__dict__.get(a, _MISSING)
            if known:
                if isinstance(x, types.ModuleType) and x.__name__ in _CHANGING:
                    raise Unknown(x)
            elif (id(m), a) not in self.ids:
                self.ids.add((id(m), a))
                self.names.append((weakref.ref(m), a, self.value(x, attributes)))

    def type(self, cls: type) -> None:
        if id(cls) in self.ids or _library(cls.__module__):
            return
        self.ids.add(id(cls))
        for base in cls.__mro__[1:]:
            self.type(base)
        for name, x in vars(cls).items():
            dunder = name.startswith("__") and name.endswith("__")
            if isinstance(x, _SLOTS) or type(x).__name__ == "_tuplegetter" or (dunder and not callable(x)):
                continue
            if name.startswith("__annot"):  # what makes annotations, from Python 3.14 on, when somebody asks for them
                continue
            self.names.append((weakref.ref(cls), name, self.value(x, ())))


_ATOM_TYPES = frozenset(_ATOMS)
_CHANGING_FUNCTIONS = {getattr(builtins, name) for name in _CHANGING_BUILTINS}


def _by_name(x: object) -> bool:
    """Whether an object is what a module of a library calls so."""
    module, name = getattr(x, "__module__", None), getattr(x, "__name__", None)
    return isinstance(name, str) and _library(module) and vars(sys.modules.get(str(module), builtins)).get(name) is x


def _same(seen: Leaf, x: Leaf) -> bool:
    """Whether `x` is what `_Seen.value` saw."""
    if seen is x:
        return True
    cls = seen.__class__
    if cls is weakref.ref:
        return seen() is x
    if cls in _CONTAINERS:
        same: bool = seen.same(x)
        return same
    # Equal numbers are as good; in a container that is made anew they are not the same object.
    return cls is x.__class__ and cls in _ATOM_TYPES and repr(seen) == repr(x)


class _Items:
    """Example: a tuple of settings that a function reads."""

    __slots__ = ("cls", "seen")

    def __init__(self, cls: type, seen: list[Leaf]) -> None:
        self.cls, self.seen = cls, seen

    def same(self, x: object) -> bool:
        return x.__class__ is self.cls and len(x) == len(self.seen) and all(map(_same, self.seen, x))  # type: ignore[arg-type, call-overload]


class _Entries:
    """Example: a dict of settings that it reads."""

    __slots__ = ("keys", "seen")

    def __init__(self, keys: list[Leaf], seen: list[Leaf]) -> None:
        self.keys, self.seen = keys, seen

    def same(self, x: object) -> bool:
        return x.__class__ is dict and list(x) == self.keys and all(map(_same, self.seen, x.values()))


class _Parts:
    """Example: a bound method: its function and its object."""

    __slots__ = ("cls", "names", "seen")

    def __init__(self, cls: type, names: tuple[str, ...], seen: list[Leaf]) -> None:
        self.cls, self.names, self.seen = cls, names, seen

    def same(self, x: object) -> bool:
        return x.__class__ is self.cls and all([_same(s, getattr(x, n)) for s, n in zip(self.seen, self.names)])


class _Data:
    """Example: an ndarray that it closes over, by what it contains."""

    __slots__ = ("dtype", "shape", "data")

    def __init__(self, x: np.ndarray) -> None:
        self.dtype, self.shape, self.data = x.dtype, x.shape, x.tobytes()

    def same(self, x: object) -> bool:
        return (
            x.__class__ is np.ndarray and x.dtype == self.dtype and x.shape == self.shape and x.tobytes() == self.data
        )


_CONTAINERS = frozenset({_Items, _Entries, _Parts, _Data})


# ---- records -------------------------------------------------------------------------------------


def _reads_nothing(f: Leaf) -> bool:
    """Whether a function is nothing but code that has been seen to read its arguments only, as
    small ones do that are made for one call."""
    if f.__class__ is not types.FunctionType or f.__closure__ or f.__defaults__ or f.__kwdefaults__:
        return False
    names = _names.get(f.__code__)
    return names is not None and not names[0]


class Record:
    """What functions read, when it was seen. `unknown` if nobody could tell whether that has
    changed.

    Raises TypeError for functions of which nobody would know that they are gone.

    Example: after `scale = 3`, that of `lambda x: x * scale` does not hold any more.
    """

    __slots__ = ("references", "unknown", "functions", "names", "others", "plain")

    def __init__(self, functions: tuple[Leaf, ...]) -> None:
        self.references = [weakref.ref(f) for f in functions]
        self.unknown, self.plain, self.functions, self.names, self.others = False, [], [], [], []
        if len(functions) == 1 and _reads_nothing(functions[0]):
            self.plain.append((self.references[0], functions[0].__code__))
            return
        seen = _Seen()
        try:
            for i, f in enumerate(functions):
                what = seen.value(f, ())
                if what.__class__ in _CONTAINERS:
                    self.others.append((i, what))
        except Unknown:
            self.unknown = True
            return
        for entry in seen.functions:
            ref, code, *rest = entry
            if any(rest):
                self.functions.append(entry)
            else:
                self.plain.append((ref, code))
        recorded = {id(ref()) for ref, *_ in seen.functions}
        self.plain += [(r, None) for r, f in zip(self.references, functions) if id(f) not in recorded]
        self.names = seen.names

    def holds(self) -> bool:
        """Whether all functions are there, and read what they read when it was seen."""
        if self.unknown:
            return False
        for ref, code in self.plain:
            f = ref()
            if f is None or (code is not None and f.__code__ is not code):
                return False
        if not self.functions and not self.names and not self.others:
            return True
        for ref, code, defaults, keywords, cells, names in self.functions:
            f = ref()
            if f is None or f.__code__ is not code:
                return False
            if f.__defaults__ is not defaults and not _same(defaults, f.__defaults__):
                return False
            if f.__kwdefaults__ is not keywords and not _same(keywords, f.__kwdefaults__):
                return False
            if cells:
                closure = f.__closure__
                try:
                    for i, seen in cells:
                        x = closure[i].cell_contents
                        if x is not seen and not _same(seen, x):
                            return False
                except ValueError:  # an empty cell
                    return False
            if names:
                get = f.__globals__.get
                for name, seen in names:
                    x = get(name, _MISSING)
                    if x is not seen and not _same(seen, x):
                        return False
        for ref, name, seen in self.names:
            owner = ref()
            if owner is None or not _same(seen, owner.__dict__.get(name, _MISSING)):
                return False
        return not self.others or all([_same(seen, self.references[i]()) for i, seen in self.others])


__all__ = ["Record"]
