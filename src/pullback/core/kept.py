"""What is kept with objects: made of functions and programs, found again as long as these live, and
gone with them.

What is made of a function often refers to it: a program has the rules of custom derivatives among
its parameters, and these are closures. In a dictionary with weak keys, such an entry would keep its
own key alive for ever. So what is made of an object is kept *on* the object, where it is part of a
cycle that the garbage collector sees; what is made of several, on the one that was met last, which
is the one that dies first where functions are made anew in a loop. (One that lives on and was met
last, the first time, keeps what that first call made.)

Functions, programs and objects of our own classes can carry something. Other callables are the
user's objects, whose attributes may be looked at (trees, pickles): what is made of those is kept
for the few that were used last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

if TYPE_CHECKING:
    from pullback.core.names import Key, Table

_ATTRIBUTE = "__pullback_kept__"
_numbers = count()
_all: WeakSet[Kept] = WeakSet()
#: Classes whose objects carry what is kept with them, and the dictionary in which they do; they
#: compare by identity.
carriers: dict[type, str] = {FunctionType: "__dict__", partial: "__dict__"}


def _nobody() -> None:
    return None


class Kept:
    """What is kept with one object: a dictionary for itself, and one for each group of which it was
    met last.

    Example: the programs that `scan` has staged of a function, which go when the function goes.
    """

    __slots__ = ("owner", "number", "own", "shared", "__weakref__")

    def __init__(self, owner: object = None) -> None:
        # `functools.wraps`, copies and pickles pass attributes on to others, to which this does not
        # belong.
        self.owner: Callable[[], Any] = _nobody if owner is None else ref(owner)
        self.number = next(_numbers)
        self.own: dict[Any, Any] = {}
        self.shared: dict[tuple[int, ...], _Group] = {}
        _all.add(self)

    def __reduce__(self) -> str | tuple[object, ...]:
        return Kept, ()

    def clear(self) -> None:
        self.own.clear()
        self.shared.clear()


class _Group:
    """What is kept with several objects together.

    Example: the program of a `while_loop`, kept with its condition and its body.
    """

    __slots__ = ("members", "table", "__weakref__")
    members: list[Any]
    table: dict[Any, Any]


#: The groups there are, by the identities of their members. Who looks here has to see that these
#: are still the members.
groups: dict[tuple[int, ...], Any] = {}
#: For other objects, by identity; the ones used last.
_others: OrderedDict[int, Kept] = OrderedDict()
_FEW = 64


def _kept(x: object) -> Kept | None:
    """What is kept with `x`; None if nobody would say when it is gone."""
    found: Kept | None
    attribute = carriers.get(x.__class__)
    if attribute is not None:
        attributes = getattr(x, attribute)
        found = attributes.get(_ATTRIBUTE)
        if found is None or found.owner() is not x:
            found = attributes[_ATTRIBUTE] = Kept(x)
        return found
    found = _others.get(id(x))
    if found is not None and found.owner() is x:
        with suppress(KeyError):  # another thread was quicker
            _others.move_to_end(id(x))
        return found
    try:
        ref(x)
    except TypeError:
        return None
    if x.__class__ is MethodType:  # made anew each time that it is looked up
        return None
    found = _others[id(x)] = Kept(x)
    found.owner = ref(x, partial(_forget, _others, id(x)))
    while len(_others) > _FEW:
        _others.popitem(last=False)
    return found


def _forget(table: Table, key: Key, _: Key) -> None:
    table.pop(key, None)


def _refers(reference: Callable[[], object], x: object) -> bool:
    return reference() is x


def kept_with(*objects: object) -> Table:
    """The dictionary of what has been made of these objects together. It lives as long as all of
    them do, at most."""
    if len(objects) == 1:
        kept = _kept(objects[0])
        return {} if kept is None else kept.own
    ids = tuple([id(x) for x in objects])
    known = groups.get(ids)
    group = None if known is None else known()
    # It goes as soon as one of them does, unless that is not said (an error in the call that should
    # have).
    if group is not None and all(map(_refers, group.members, objects)):
        return group.table
    all_kept = [kept for kept in map(_kept, objects) if kept is not None]
    if len(all_kept) < max(len(objects), 1):
        return {}
    last = max(all_kept, key=lambda kept: kept.number)
    group = last.shared[ids] = _Group()
    forget = partial(_forget, last.shared, ids)
    group.members, group.table = [ref(x, forget) for x in objects], {}
    groups[ids] = ref(group, partial(_forget_group, ids))
    return group.table


def _forget_group(ids: tuple[int, ...], group: object) -> None:
    if groups.get(ids) is group:
        del groups[ids]


def by_identity(value: object, owners: list[object]) -> Key:
    """`value` for a key, in which functions, programs and other objects that carry what is made of
    them are named by their identity; they are added to `owners`, with which the entry is to be
    kept: while it is there, so are they."""
    if value.__class__ is tuple:
        return tuple([by_identity(v, owners) for v in value])
    if value.__class__ is FunctionType and value.__closure__ is None:  # which holds nothing
        return value
    if value.__class__ in carriers:
        owners.append(value)
        return _ById(id(value))
    return value


class _ById(int):
    """The identity of an object in a key, which is no number.

    Example: a list in a key: equal to itself only.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other.__class__ is _ById and int.__eq__(self, other)

    __hash__ = int.__hash__


def kept_with_owners(owners: list[object]) -> Table:
    """`kept_with` the objects that `by_identity` has found, each once."""
    return kept_with(*{id(x): x for x in owners}.values())


def clear() -> None:
    """Forget everything that is kept."""
    for kept in list(_all):
        kept.clear()
    _others.clear()
