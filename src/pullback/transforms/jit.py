"""jit: functions traced once for each type of their arguments, compiled by XLA, and dispatched in
microseconds.

A `JitFunction` finds the program for a call by the static arguments, the tree structure and types
of the others, and the options on which tracing depends. Arrays go straight to the executable; under
other transformations, the call is an operation (`jit_p`) on the program, from which its derivatives
and vectorizations are derived once (see `transforms.program`).
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import numpy as np

from pullback.core import dtypes, kept
from pullback.core.array import ConcreteArray, as_array
from pullback.core.config import disable_jit, explain_cache_misses, program_state
from pullback.core.errors import UnexpectedTracerError, filter_traceback, see
from pullback.core.jaxpr import ClosedJaxpr, program_caches, run
from pullback.core.kept import by_identity, carriers, kept_with, kept_with_owners
from pullback.core.staging import close, stage_flat
from pullback.core.trace import EVAL, Params, Tracer, current, named_axes, suspended
from pullback.core.tree import leaf_error, tree_flatten
from pullback.core.types import ShapedArray, ShapeDtypeStruct, intern
from pullback.transforms.ahead_of_time import Lowered, Traced
from pullback.transforms.cache_misses import explain, leaf_names, signature
from pullback.transforms.entries import (
    Entry,
    NoArray,
    Options,
    array_of,
    compiler_settings,
    exactly,
    runner,
    take_apart,
)
from pullback.transforms.flat_function import FlatFunction
from pullback.transforms.program import ProgramCall
from pullback.xla.lending import give_back
from pullback.xla.placement import Device, Placement, devices

if TYPE_CHECKING:
    from pullback.core.names import Argument, Attribute, Function, Key, Leaf, Static, Tree, TypeTree, Value

_Argnums = int | Sequence[int] | None


class JitCall(ProgramCall):
    """Call a compiled program.

    Example: `b = jit[jaxpr=... name=f] a`.
    """

    name = "jit"

    def bind_program(self, program: ClosedJaxpr, args: Sequence[Value], params: Params, prefix: str) -> list[Value]:
        options = params["options"]
        name = f"{prefix}_{params['name']}" if prefix else params["name"]
        derived = {"jaxpr": program, "name": name, "options": options and options.without_donation()}
        return current().process_call(self, tuple(args), derived)

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        if current() is not EVAL:  # a linear function being recorded as what it computes
            return run(params["jaxpr"], *args)
        arrays = [a if a.__class__ is ConcreteArray else as_array(a) for a in args]
        return runner(params["jaxpr"], params["name"], params["options"], arrays)(arrays)


jit_p = JitCall()


class Settings(NamedTuple):
    """What `jit` was told about a function: which arguments are static and which are donated, by
    position and by name, and how it is to be compiled. `jit(f)`, made anew with equal settings, is
    one to what has been compiled.

    >>> jit(abs, static_argnums=0)._settings.static_argnums
    (0,)
    """

    static_argnums: tuple[int, ...]
    static_argnames: frozenset[str]
    donate_argnums: tuple[int, ...]
    donate_argnames: frozenset[str]
    keep_unused: bool
    inline: bool
    placement: Placement | None
    compiler_options: tuple[tuple[str, Any], ...]


class JitFunction:
    """A compiled function; call it like the original.

    >>> import pullback as pb
    >>> float(pb.jit(lambda x: x + 1)(1.0))
    2.0
    """

    def __init__(self, fun: Function, settings: Settings) -> None:
        self.__wrapped__ = fun
        self.__name__ = getattr(fun, "__name__", type(fun).__name__)
        self.__qualname__ = getattr(fun, "__qualname__", self.__name__)
        self.__doc__ = fun.__doc__
        self.__module__ = getattr(fun, "__module__", __name__)
        self._settings = settings
        self._has_static = bool(settings.static_argnums or settings.static_argnames)
        self._donates = bool(settings.donate_argnums or settings.donate_argnames)
        #: What is known of calls; `jit(f)` made anew finds it with the function.
        self._entries: dict[Any, Entry] = kept_with(fun).setdefault(("jit", settings), {})
        #: What was traced while `explain_cache_misses` was on.
        self._signatures: list[Any] = []
        _functions.add(self)

    # ---- calls -----------------------------------------------------------------------------------

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        try:
            if not kwargs and not self._has_static:
                key: Any = [id(program_state())]
                for a in args:
                    if a.__class__ is not ConcreteArray:
                        entries, key, leaves, lent = self._take_apart(args, kwargs)
                        break
                    key.append(a._type.number)
                else:  # arrays alone: nothing to take apart
                    entries, leaves, lent = self._entries, args, ()
            elif disable_jit.value:
                return self.__wrapped__(*args, **kwargs)
            else:
                entries, key, leaves, lent = self._take_apart(args, kwargs)
            key = tuple(key)
            entry = entries.get(key)
            if entry is not None and entry.run is not None and current() is EVAL:
                outs = entry.run(leaves)
                if lent and entry.lets_go:
                    give_back(lent, outs)
                return outs[0] if entry.build is None else entry.build(outs)
            return self._call(args, kwargs, leaves, key, entries)
        except Exception as error:
            filter_traceback(error)
            raise

    def _take_apart(
        self, args: tuple[Tree, ...], kwargs: dict[str, Tree]
    ) -> tuple[dict[Key, Entry], list[Key], Sequence[Leaf], Sequence[Leaf]]:
        """What is known of calls with such static arguments, the key under which it is, the arrays
        in the arguments, and arrays some of which are lent."""
        entries = self._entries
        key: list[Key] = [id(program_state())]
        dynamic, named = args, kwargs
        if self._has_static:
            (dynamic, named), static = self._split(args, kwargs)
            owners: list[Any] = []
            key.append(by_identity(static, owners))
            if owners:  # functions as static arguments: what is compiled for one goes with it
                entries = kept_with_owners([self, *owners])
        # What is kept for the next call must not be given away.
        lend = not self._donates and current() is EVAL and not suspended.get()
        try:
            leaves, lent = take_apart(dynamic, named, key, lend)
        except NoArray as found:
            raise self._no_array(args, kwargs, found.leaf) from None
        if not lend and suspended.get() and any([isinstance(x, Tracer) for x in leaves]):
            key.append("traced")  # nothing that runs is kept under this key
        return entries, key, leaves, lent

    def _call(
        self, args: tuple[Tree, ...], kwargs: dict[str, Tree], leaves: Sequence[Leaf], key: tuple[Key, ...],
        entries: dict[Key, Entry],
    ) -> Tree:  # fmt: skip
        """The call of a kind that comes for the first time, or under a transformation."""
        if disable_jit.value:
            return self.__wrapped__(*args, **kwargs)
        types = [x._type for x in leaves]
        trace = current()
        # A function is traced once for its types, whatever is made of it: only collectives see what
        # is around.
        axes = () if trace is EVAL else named_axes()
        place: Any = (key, axes) if axes else key
        entry = entries.get(place)
        if entry is None:
            if explain_cache_misses.value:
                self._explain(args, kwargs, types)
            entry = self._trace(args, kwargs, types)
            if not entry.captured:
                entries[place] = entry
        if self._settings.inline and trace is not EVAL:
            outs = run(entry.program, *entry.captured, *leaves)
        elif trace is EVAL and all([isinstance(x, ConcreteArray) for x in leaves]):
            outs = entry.runner(leaves)(leaves)
        else:
            params = {"jaxpr": entry.program, "name": entry.name, "options": entry.options}
            outs = trace.process_call(jit_p, (*entry.captured, *leaves), params)
        return outs[0] if entry.build is None else entry.build(outs)

    def _split(self, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> tuple[Static, tuple[Tree, ...]]:
        """The arguments that are traced, and a key of those that are not."""
        if not self._has_static:
            return (args, kwargs), ()
        positions = self._static_positions(args)
        dynamic, named = tuple([a for i, a in enumerate(args) if i not in positions]), kwargs
        static: list[Any] = [(i, exactly(args[i]), args[i]) for i in positions]
        if kwargs:
            named = {k: v for k, v in kwargs.items() if k not in self._settings.static_argnames}
            static += [(k, exactly(v), v) for k, v in sorted(kwargs.items()) if k not in named]
        for where, _, x in static:
            try:
                hash(x)
            except TypeError:
                raise ValueError(
                    f"Non-hashable static arguments are not supported: argument {where!r} of {self.__name__} has type {type(x).__name__}, "
                    f"value {x!r:.100}{see('static-arguments')}"
                ) from None
        return (dynamic, named), tuple(static)

    def _static_positions(self, args: tuple[Tree, ...]) -> Sequence[int]:
        return _positions(self._settings.static_argnums, len(args))

    def _traced_positions(self, args: tuple[Tree, ...]) -> list[int]:
        static = self._static_positions(args)
        return [i for i in range(len(args)) if i not in static]

    def _no_array(self, args: tuple[Tree, ...], kwargs: dict[str, Tree], x: Leaf) -> Exception:
        """The error for the leaf `x` of the arguments, which is no array."""
        named = [
            *((f"argument {i}", args[i]) for i in self._traced_positions(args)),
            *((f"argument {k!r}", v) for k, v in kwargs.items() if k not in self._settings.static_argnames),
        ]
        which, tree = next((which, a) for which, a in named if any(leaf is x for leaf in tree_flatten(a)[0]))
        return leaf_error(
            tree, x, f"{which} of jitted {self.__name__} (mark it static with static_argnums or static_argnames)"
        )

    # ---- tracing ---------------------------------------------------------------------------------

    def _trace(self, args: tuple[Tree, ...], kwargs: dict[str, Tree], types: Sequence[ShapedArray]) -> Entry:
        what, static = f"jitted {self.__name__}", self._static_positions(args)
        fun = FlatFunction(self.__wrapped__, args, kwargs, what, static, self._settings.static_argnames)
        without_tangents: dict[int, Any] = {}

        def flat(*xs: Value) -> list[Value]:
            leaves = fun(*xs)
            without_tangents.update(
                (i, np.zeros(x.shape, dtypes.float0)) for i, x in enumerate(leaves) if x.dtype == dtypes.float0
            )
            return [x for i, x in enumerate(leaves) if i not in without_tangents]

        def name_of(i: int) -> str:
            names, _ = leaf_names(self.__wrapped__, *fun.dynamic, self._traced_positions(args))
            return f"{names[i].rstrip(',')} of {what}"

        program, captured = close(stage_flat(flat, types, name_of=name_of))
        build = fun.out_tree.unflatten
        if without_tangents:
            unflatten, missing = build, sorted(without_tangents.items())

            def build(outs: list[Value]) -> Value:
                for i, zero in missing:  # in ascending order, each lands in its place
                    outs.insert(i, zero)
                return unflatten(outs)

        elif fun.out_tree.is_leaf():
            build = None
        return Entry(program, build, self.__name__, self._options(args, kwargs, len(captured)), captured)

    def _options(self, args: tuple[Tree, ...], kwargs: dict[str, Tree], offset: int) -> Options | None:
        settings, donate, count = self._settings, list[int](), offset
        if self._donates:
            (_, named), _ = self._split(args, kwargs)
            donated = _positions(settings.donate_argnums, len(args))
            parts = [(i in donated, args[i]) for i in self._traced_positions(args)]
            for is_donated, part in [*parts, *((k in settings.donate_argnames, named[k]) for k in sorted(named))]:
                size = len(tree_flatten(part)[0])
                donate += range(count, count + size) if is_donated else ()
                count += size
        options = Options(tuple(donate), settings.keep_unused, settings.placement, settings.compiler_options)
        return None if options == Options() else options

    def _explain(self, args: tuple[Tree, ...], kwargs: dict[str, Tree], types: Sequence[ShapedArray]) -> None:
        (dynamic, named), static = self._split(args, kwargs)
        positions = self._traced_positions(args)
        new = signature(self.__wrapped__, program_state(), static, dynamic, named, positions, types)
        explain(self.__wrapped__, self.__name__, new, self._signatures)
        self._signatures.append(new)

    # ---- the rest --------------------------------------------------------------------------------

    def trace(self, *args: Tree, **kwargs: Tree) -> Traced:
        """The program for arguments of these types (arrays, or `ShapeDtypeStruct`s): the first step
        of `jit`."""
        try:
            dynamic, _ = self._split(args, kwargs)
            leaves, in_tree = tree_flatten(dynamic)
            types = [
                intern(x.shape, x.dtype, x.weak_type)
                if isinstance(x, ShapeDtypeStruct)
                else array_of(x, lend=False)._type
                for x in leaves
            ]
            entry = self._trace(args, kwargs, types)
        except NoArray as found:
            error = self._no_array(args, kwargs, found.leaf)
            filter_traceback(error)
            raise error from None
        except Exception as error:
            filter_traceback(error)
            raise
        if entry.captured:
            raise UnexpectedTracerError(entry.captured[0])
        return Traced(entry, in_tree, types, tree_flatten(entry.example())[1])

    def lower(self, *args: Tree, **kwargs: Tree) -> Lowered:
        """The program for arguments of these types as StableHLO: `trace(...).lower()`.

        >>> import pullback.numpy as jnp
        >>> "stablehlo.sine" in jit(jnp.sin).lower(1.0).as_text()
        True
        """
        return self.trace(*args, **kwargs).lower()

    def eval_shape(self, *args: Tree, **kwargs: Tree) -> TypeTree:
        """The shapes and dtypes of the results, a tree of `ShapeDtypeStruct`."""
        return self.trace(*args, **kwargs).out_info

    def __get__(self, instance: object, owner: object = None) -> Attribute:
        if instance is None:
            return self
        return Bound(self, instance)

    def clear_cache(self) -> None:
        """Forget what was traced and compiled."""
        self._entries.clear()

    def __reduce__(self) -> str | tuple[object, ...]:
        # What has been traced and compiled stays here. The function of a decorator is found by its
        # name, under which pickle finds this.
        found: Any = sys.modules.get(self.__module__)
        for name in self.__qualname__.split("."):
            found = getattr(found, name, None)
        return self.__qualname__ if found is self else (JitFunction, (self.__wrapped__, self._settings))

    def __repr__(self) -> str:
        return f"<jitted {self.__wrapped__!r}>"


@functools.lru_cache
def _positions(numbers: tuple[int, ...], count: int) -> Sequence[int]:
    """The positions that are meant among `count` arguments, in ascending order; negative ones count
    from the end."""
    return sorted({n % count for n in numbers if -count <= n < count})


_functions: WeakSet[JitFunction] = WeakSet()
carriers[JitFunction] = "__dict__"


class _OfFunctions:
    """The programs of jitted functions, as one of the caches.

    Example: `clear_caches()` empties it.
    """

    @staticmethod
    def clear() -> None:
        for function in list(_functions):
            function.clear_cache()
        kept.clear()


program_caches.append(_OfFunctions)


def clear_caches() -> None:
    """Forget every traced and compiled program of this process: functions are traced again when they are
    called. What is kept on disk stays.

    >>> traces = []
    >>> f = jit(lambda x: traces.append(x.shape) or 2 * x)
    >>> y = f(1.0), f(2.0)
    >>> clear_caches()
    >>> y = f(3.0)
    >>> len(traces)
    2
    """
    for cache in program_caches:
        cache.clear()


class Bound(functools.partial):  # type: ignore[type-arg]
    """A jitted method of an instance, which is the first argument, in the steps of `jit` as well.

    Example: `model.step.lower(x)`, where step is a jitted method.
    """

    func: JitFunction

    @property
    def __name__(self) -> str:
        return self.func.__name__

    @property
    def __self__(self) -> object:
        return self.args[0]

    @property
    def __func__(self) -> JitFunction:
        return self.func

    def trace(self, *args: Tree, **kwargs: Tree) -> Traced:
        """See `JitFunction.trace`."""
        return self.func.trace(*self.args, *args, **kwargs)

    def lower(self, *args: Tree, **kwargs: Tree) -> Lowered:
        """See `JitFunction.lower`."""
        return self.func.lower(*self.args, *args, **kwargs)

    def eval_shape(self, *args: Tree, **kwargs: Tree) -> TypeTree:
        """See `JitFunction.eval_shape`."""
        return self.func.eval_shape(*self.args, *args, **kwargs)


def jit(
    fun: Function | None = None,
    /,
    *,
    in_shardings: Argument = None,
    out_shardings: Argument = None,
    static_argnums: _Argnums = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: _Argnums = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: Argument = None,
    backend: str | None = None,
    inline: bool = False,
    compiler_options: dict[str, Argument] | None = None,
) -> JitFunction:
    """`fun`, to be compiled. Works as a decorator, with or without arguments.

    The function is traced once for each structure and type of its arguments, and for the options that
    tracing depends on; what it does in Python happens then. Arguments in `static_argnums` /
    `static_argnames` must be hashable and are passed as they are; every other argument is a tree of
    arrays. The memory of those in `donate_argnums` / `donate_argnames` is used for results: they are
    deleted. The result has the steps `trace` and `lower` (see `stages`). Raises ValueError for static
    arguments that are not hashable or not there, TypeError for others that are no arrays,
    NotImplementedError for shardings.

    >>> from functools import partial
    >>> @partial(jit, static_argnames="n")
    ... def power(x, n):
    ...     print("traced for", x.aval, "and", n)
    ...     return x**n
    >>> [float(power(x, n=n)) for x, n in ((2.0, 3), (4.0, 3), (2.0, 10))]
    traced for ~float32[] and 3
    traced for ~float32[] and 10
    [8.0, 64.0, 1024.0]
    """
    if fun is None:
        settings = {name: value for name, value in locals().items() if name != "fun"}
        return lambda f: jit(f, **settings)  # type: ignore[return-value]  # what is called with a function, too
    if not callable(fun):
        raise TypeError(f"Expected a callable value, got {fun!r}")
    if inspect.isgeneratorfunction(fun):
        raise TypeError(f"Expected a function, got a generator function: {fun}")
    if in_shardings is not None or out_shardings is not None:
        raise NotImplementedError(
            "jit: in_shardings and out_shardings need several devices in one program, which is not there yet"
        )
    static = _resolve(fun, static_argnums, static_argnames, "static")
    donate = _resolve(fun, donate_argnums, donate_argnames, "donate")
    if set(static[0]) & set(donate[0]) or static[1] & donate[1]:
        raise ValueError(
            f"jitted function has static_argnums={static[0]} and donate_argnums={donate[0]} in common: only arrays can be donated"
        )
    options = compiler_settings(compiler_options)
    return JitFunction(fun, Settings(*static, *donate, keep_unused, inline, _placement(device, backend), options))


def _resolve(
    fun: Function, argnums: _Argnums, argnames: str | Iterable[str] | None, what: str
) -> tuple[tuple[int, ...], frozenset[str]]:
    """Positions and names of the arguments meant, each by both where the signature tells."""
    try:
        nums = () if argnums is None else (argnums,) if isinstance(argnums, int) else tuple(map(index, argnums))
    except TypeError:
        raise TypeError(f"jit: {what}_argnums must be an int or a sequence of ints, got {argnums!r}") from None
    try:
        names = frozenset(() if argnames is None else (argnames,) if isinstance(argnames, str) else argnames)
    except TypeError:
        names = frozenset([argnames])  # type: ignore[list-item]
    if not all(isinstance(n, str) for n in names):
        raise TypeError(f"jit: {what}_argnames must be a name or several names, got {argnames!r}")
    if not nums and not names:
        return (), names
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):  # builtins without a signature: positions and names stay as given
        return tuple(sorted(set(nums))), names
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    var_positional = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    for n in nums:
        if not var_positional and not -len(positional) <= n < len(positional):
            raise ValueError(
                f"jitted function has {what}_argnums={nums} but only {len(positional)} positional arguments"
            )
    unknown = names - {p.name for p in parameters}
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise ValueError(
            f"jitted function has invalid argname {sorted(unknown)} in {what}_argnames; its arguments: {positional}"
        )
    nums = (*nums, *(positional.index(n) for n in names if n in positional))
    names = names | {positional[n] for n in nums if -len(positional) <= n < len(positional)}
    return tuple(sorted(set(nums))), names


def _placement(device: Argument, backend: str | None) -> Placement | None:
    """Where to run; None where the arguments, or the default, decide."""
    if device is None and backend is None:
        return None
    if device is None:
        return devices(backend)[0].placement
    if backend is not None:
        raise ValueError(
            f"can't specify both a device and a backend for jit, got device={device} and backend={backend}"
        )
    if not isinstance(device, Device):
        raise ValueError(f"jit: {device!r} is not a device; `devices()` gives those there are")
    return device.placement
