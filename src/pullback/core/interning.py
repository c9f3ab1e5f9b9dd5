"""Equal programs as one object: everything derived from a program (its linearization, its
executables) is then found again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from pullback.core.config import program_state
from pullback.core.errors import CallersLocation, line_of
from pullback.core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, Literal, Var, program_caches
from pullback.core.kept import by_identity, kept_with_owners

if TYPE_CHECKING:
    from pullback.core.jaxpr import Atom
    from pullback.core.names import Key, Value


def lift(closed: ClosedJaxpr) -> tuple[ClosedJaxpr, list[Value]]:
    """The program with all of its constants made its first arguments, and these constants."""
    body = closed.jaxpr
    if not body.constvars:
        return closed, []
    return ClosedJaxpr(Jaxpr([], [*body.constvars, *body.invars], body.outvars, body.eqns), []), list(closed.consts)


_interned: OrderedDict[Any, ClosedJaxpr] = OrderedDict()
program_caches.append(_interned)
_KEPT = 1024


def intern(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program that stands for all programs equal to `closed`, which has no constants.

    One that refers to functions and programs by identity (rules of custom derivatives, calls) is
    kept with these.
    """
    owners: list[Any] = []
    try:
        key = structure(closed, owners)
        if owners:
            table = kept_with_owners(owners).setdefault("programs", OrderedDict())
        else:
            table = _interned
        found: ClosedJaxpr | None = table.get(key)
    except TypeError:  # a parameter that is not hashable
        return closed
    if found is None:
        found = table[key] = closed
        while len(table) > _KEPT:
            table.popitem(last=False)
    else:
        table.move_to_end(key)
    return found


def structure(closed: ClosedJaxpr, owners: list[object]) -> Key:
    """What makes two programs without constants equal: everything but the names of variables.
    `owners` gets what is compared by identity.

    The lines of the user's code, which errors name, belong to it; code that is run again, or made
    anew of the same source, is the same. Not so the line from which something of ours was called (a
    solver) that staged a body of its own: that would be compiled for each call.
    """
    numbers: dict[Var, int] = {}

    def atom(x: Atom) -> Key:
        if isinstance(x, Literal):
            return x.val._value.tobytes(), x.aval.dtype, x.aval.weak_type
        return numbers[x]

    def new(v: Var) -> Key:
        numbers[v] = len(numbers)
        return v.aval, v.aval.weak_type, v.__class__ is DropVar

    parts: list[Any] = [program_state(), *map(new, closed.jaxpr.invars)]
    for e in closed.eqns:  # not in a comprehension: what an equation reads has been numbered
        params = [(k, by_identity(v, owners)) for k, v in e.params.items()]
        location, place = e.location, None
        if location is not None and location.__class__ is not CallersLocation:
            place = location[0].co_filename, location[0], line_of(location)
        parts.append((e.primitive, *map(atom, e.invars), *params, *map(new, e.outvars), place, e.name_stack))
    parts.extend(map(atom, closed.jaxpr.outvars))
    key = tuple(parts)
    hash(key)
    return key
