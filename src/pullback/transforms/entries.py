"""What jit knows of the calls of one kind: how it tells them apart, the program, and what runs it.

An `Entry` is found by a key (`take_apart`) of identities and small numbers: the options on which
tracing depends, the static arguments, the structure of the others, and the numbers of their types,
which equal types share. So no call compares shapes or reads options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import config
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import UnexpectedTracerError, user_line
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.trace import EVAL, Tracer, current, suspended
from pullback.core.tree import tree_flatten
from pullback.xla import nan_checks
from pullback.xla.lending import from_user
from pullback.xla.placement import Placement

if TYPE_CHECKING:
    from pullback.core.names import Argument, Key, Leaf, Static, Tree, Value
    from pullback.xla.dispatch import Runner


@dataclass(frozen=True, slots=True, repr=False)
class Options:
    """How a program is to be compiled and run. Equal options are compared by their contents.

    >>> Options(donate=(0,)), Options(donate=(0,)) == Options((0,)), Options((0,)).without_donation()
    ((donate=(0,)), True, None)
    """

    #: Numbers of the flat arguments whose memory may be used for the results.
    #: Example: `(0,)` for `jit(f, donate_argnums=0)` and an array.
    donate: tuple[int, ...] = ()
    keep_unused: bool = False
    #: Where to run; None if the arguments, or the default, decide.
    placement: Placement | None = None
    #: XLA's options by name.
    #: Example: `(("xla_cpu_enable_fast_math", True),)`.
    compiler: tuple[tuple[str, Any], ...] = ()

    def without_donation(self) -> Options | None:
        """The same for a program derived from this one, whose arguments are not the user's; None if
        nothing is special."""
        if self.placement is None and not self.compiler:
            return None
        return Options((), False, self.placement, self.compiler)

    def __repr__(self) -> str:
        values = self.donate, self.keep_unused, self.placement, self.compiler
        parts = zip(("donate", "keep_unused", "device", "compiler"), values)
        return f"({', '.join(f'{k}={v!r}' for k, v in parts if v)})"


def compiler_settings(options: dict[str, Argument] | None) -> tuple[tuple[str, Argument], ...]:
    """XLA's options by name, sorted. Raises TypeError for what are none; which names there are, XLA
    knows."""
    if options is None:
        return ()
    if not isinstance(options, dict):
        raise TypeError(f"compiler_options must be a dict of XLA's options by name, got {options!r}")
    for name, value in options.items():
        if not isinstance(name, str) or not isinstance(value, (bool, int, float, str)):
            raise TypeError(
                f"compiler_options are names with a bool, a number or a text each, got {name!r}: {value!r}, at {user_line()}"
            )
    return tuple(sorted(options.items()))


_DEFAULT = Options()


def runner(program: ClosedJaxpr, name: str, options: Options | None, args: Sequence[Value]) -> Runner:
    """What runs a program on arguments like these: its executable, watched if `debug_nans` or
    `debug_infs` is on."""
    from pullback.xla import dispatch

    o = options or _DEFAULT
    # What is wrong is looked for by running the program again: its arguments must still be there.
    checking = nan_checks.checking()
    donate = () if checking else o.donate
    found = dispatch.runner(program, name, args, o.placement, donate, o.keep_unused, o.compiler)
    if config.debug_key_reuse.value and watched is not None:
        found = dispatch.Runner(watched(program, found.run), False)
    return dispatch.Runner(nan_checks.checked(program, name, found.run), False) if checking else found


#: What makes of a program and what runs it something that notes which random keys it consumes:
#: `random.reuse` puts it here, once keys are watched.
watched: Callable[[ClosedJaxpr, Callable[[Sequence[Any]], list[Any]]], Callable[[Sequence[Any]], list[Any]]] | None = (
    None
)


class Entry:
    """What is known about calls of one kind: the program, and how its flat results make the
    function's result.

    `Entry(program, build, "f", None, [])` is that of a function `f` with ordinary settings which
    closes over nothing that is traced; `build` makes its result of the program's, and is None if
    there is one bare array.

    Example: what `jit(f)` keeps for arguments float32[3].
    """

    __slots__ = ("program", "build", "name", "options", "captured", "run", "lets_go")

    def __init__(
        self, program: ClosedJaxpr, build: Callable[[list[Value]], Tree] | None, name: str, options: Options | None,
        captured: list[Value],
    ) -> None:  # fmt: skip
        self.program, self.build, self.name, self.options = program, build, name, options
        #: Values of enclosing transformations that the function closes over: leading arguments of
        #: the program.
        self.captured = captured
        #: Runs the executable, once there is one.
        self.run: Callable[[Sequence[Any]], list[Any]] | None = None
        #: Whether nothing holds on to its arguments when its results are there.
        self.lets_go = False

    def runner(self, args: Sequence[Value]) -> Callable[[Sequence[Value]], list[Value]]:
        """`run`, made for arguments like these if there is none yet."""
        if self.run is None:
            found = runner(self.program, self.name, self.options, args)
            self.run, self.lets_go = found.run, found.lets_go
        return self.run

    def example(self) -> Tree:
        """A tree of the structure of the function's result."""
        leaves: list[Any] = [0] * len(self.program.out_avals)
        return leaves[0] if self.build is None else self.build(leaves)


# ---- keys ----------------------------------------------------------------------------------------

#: Classes of arguments that are leaves by themselves.
_BARE = {np.ndarray, float, int, bool, complex}


def exactly(x: Static) -> Key:
    """What tells a static value from others that it equals: its class, the signs of its zeros, and
    those of its elements."""
    cls = x.__class__
    if cls is float:
        return cls, x.hex()
    if cls is complex:
        return cls, x.real.hex(), x.imag.hex()
    if isinstance(x, np.generic):
        return cls, x.tobytes()
    if isinstance(x, tuple):
        return cls, *map(exactly, x)
    return cls


def _are_arrays(xs: Sequence[Leaf]) -> bool:
    for x in xs:  # noqa: SIM110 - a loop is faster
        if x.__class__ is not ConcreteArray:
            return False
    return True


#: From texts in the order in which they have been inserted into a dict to the same in order.
#: Bounded.
_in_order: dict[tuple[str, ...], tuple[str, ...]] = {}


def in_order(names: Iterable[Static]) -> tuple[str, ...] | None:
    """The keys of a dict in the order in which trees have its children; None if they are not all
    texts.

    >>> in_order({"b": 1, "a": 2}), in_order({1: 2})
    (('a', 'b'), None)
    """
    given = tuple(names)
    try:
        return _in_order[given]
    except KeyError:
        if not all([n.__class__ is str for n in given]):
            return None
        if len(_in_order) > 1024:
            _in_order.clear()
        _in_order[given] = found = tuple(sorted(given))
        return found


class NoArray(Exception):
    """A leaf of the arguments is none that arrays are made of: `NoArray(leaf)`. Who has the
    arguments says whose it is.

    Example: the string in `jit(f)("mean")`.
    """

    @property
    def leaf(self) -> Leaf:
        return self.args[0]


def array_of(x: Leaf, lend: bool) -> Value:
    """The array of a leaf of the arguments; if `lend`, with memory that is lent for a call. Raises
    NoArray."""
    if x.__class__ in _BARE or not isinstance(x, Array):
        try:
            return from_user(x) if lend else as_array(x)
        except TypeError:
            raise NoArray(x) from None
    if isinstance(x, Tracer) and current() is EVAL and not suspended.get():
        raise UnexpectedTracerError(x)
    return x


def take_apart(
    args: Sequence[Tree], named: dict[str, Tree], key: list[Key], lend: bool
) -> tuple[list[Leaf], Sequence[Leaf]]:
    """The arrays in the arguments `args` and `named`, to whose `key` is added what tells their
    structure and types; and arrays some of which are lent, which only happens if `lend`.

    Raises NoArray for leaves that are no arrays.
    """
    leaves: list[Any] = []
    lent: list[Any] = []
    start = len(key)
    parts = args
    if named:
        names = in_order(named) or tuple(sorted(named))  # of subclasses of str, too
        key.append(names)
        parts = [*args, *[named[n] for n in names]]
    for a in parts:
        kind = a.__class__
        if kind is ConcreteArray:
            pass
        elif kind in _BARE and lend:
            try:
                a = from_user(a)
            except TypeError:
                raise NoArray(a) from None
            if a.__class__ is not ConcreteArray:
                lent.append(a)
        elif kind in _BARE or isinstance(a, Array):
            a = array_of(a, lend)
        else:
            xs: Any = a
            if kind is list or kind is tuple:
                what: Any = len(a)
            elif kind is dict and (what := in_order(a)) is not None:
                xs = [a[n] for n in what]
            else:
                xs = None
            if xs is not None and _are_arrays(xs):
                key += (kind, what, *[x._type.number for x in xs])
                leaves += xs
                continue
            leaves, tree = tree_flatten((tuple(args), named))
            if not _are_arrays(leaves):
                lent = leaves = [x if x.__class__ is ConcreteArray else array_of(x, lend) for x in leaves]
            key[start:] = (tree, *[x._type.number for x in leaves])
            return leaves, lent
        leaves.append(a)
        key.append(a._type.number)
    return leaves, lent
