"""Functions made of several operations, in eager code: their operations without what is between
them.

A function such as `einsum` decides from types, axes and options what is to be done, and then does
it. Under a transformation, and with large arrays, deciding costs nothing beside the rest; in eager
code with small arrays it is nearly everything. The decorator `planned` remembers what was done: for
arguments of the same types and the same plain values it has the function's program, and evaluates
its operations one after the other, which is what the function does.

A program is made when a kind of arguments has come a few times, so that arguments that always
change cost no more than before; and it is used if its results are then those of the function, bit
for bit. What needs the values of its arguments to decide has no program, and is called as before.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from pullback.core.array import ConcreteArray
from pullback.core.config import numpy_rank_promotion, program_state, settings_here, shared_program_state
from pullback.core.effects import NO_EFFECTS
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.spelling import function_of
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL, current, is_checking
from pullback.core.tree import tree_flatten
from pullback.core.types import intern
from pullback.transforms.call import CallPrimitive

F = TypeVar("F", bound=Callable[..., Any])
Plan = Callable[[Sequence[ConcreteArray]], Any]

#: Up to so many elements of all arguments; with more, what is decided costs nothing beside the rest.
_FEW = 16384
#: How many kinds of arguments are remembered.
_MANY = 4096
#: The how-manieth time that a kind of arguments comes its plan is made, which takes as long as some
#: hundred calls.
_OFTEN = 5

#: By kind of arguments: the plan, or None where there is none.
_plans: dict[Any, Plan | None] = {}
#: How often kinds have come that are not there yet.
_seen: dict[Any, int] = {}


def planned(ours: F) -> F:
    """Have a function evaluate its plan in eager code where there is one.

    Example: `@planned` above `def var(a, axis=None, ...)`.
    """
    find = _plans.get

    @functools.wraps(ours)
    def function(*args: Any, **kwargs: Any) -> Any:
        if current() is not EVAL or (EVAL.checking and is_checking()):
            return ours(*args, **kwargs)
        state = None if settings_here() else shared_program_state.number
        if state is None:
            state = id(program_state())
        xs: Any = args
        kind, n, place = None, 0 if kwargs else len(args), ()
        if n == 1 and args[0].__class__ is list:  # what joins arrays
            (xs,) = args
            kind, n = list, len(xs)
        arrays = xs
        # What `_take_all` gives, which is a call: written out for one array to three.
        if n == 1:
            (x,) = xs
            if x.__class__ is ConcreteArray:
                v = x._value
                place = (ours, state, kind, v.shape, v.dtype, x.weak_type)
        elif n == 2:
            x, y = xs
            if x.__class__ is y.__class__ is ConcreteArray:
                u, v = x._value, y._value
                place = (ours, state, kind, u.shape, u.dtype, x.weak_type, v.shape, v.dtype, y.weak_type)
        elif n == 3:
            x, y, z = xs
            if x.__class__ is y.__class__ is z.__class__ is ConcreteArray:
                u, v, w = x._value, y._value, z._value
                place = (
                    ours, state, kind, u.shape, u.dtype, x.weak_type, v.shape, v.dtype, y.weak_type,
                    w.shape, w.dtype, z.weak_type,
                )  # fmt: skip
        if not place:
            key: list[Any] = [ours, state, kind]
            arrays = []
            if not _take_all(xs, key, arrays):
                return ours(*args, **kwargs)
            if kwargs:
                key += kwargs
                if not _take_all(kwargs.values(), key, arrays):
                    return ours(*args, **kwargs)
            place = tuple(key)
        plan: Any = find(place, _UNKNOWN)
        if plan is None:
            return ours(*args, **kwargs)
        if plan is not _UNKNOWN:
            try:
                return plan(arrays)
            except (AttributeError, ValueError, TypeError, IndexError):
                return ours(*args, **kwargs)  # which says what is wrong
        out = ours(*args, **kwargs)
        _count(place, ours, args, kwargs, arrays, out)
        return out

    return function  # type: ignore[return-value]


def _count(place: Any, ours: Any, args: Any, kwargs: Any, arrays: Sequence[ConcreteArray], out: Any) -> None:
    """Note that a kind of arguments has come, with the result `out`, and make the plan in time."""
    for table in (_plans, _seen):
        if len(table) > _MANY:
            table.clear()
    if sum([x._value.size for x in arrays]) > _FEW:
        _plans[place] = None
    elif (times := _seen.pop(place, 0) + 1) < _OFTEN:
        _seen[place] = times
    else:
        _plans[place] = _checked_plan(ours, args, kwargs, arrays, out)


_UNKNOWN = object()
_NAMES = frozenset([int, bool, float, str])
_INTEGERS = {int}


def _take_all(xs: Iterable[Any], key: list[Any], arrays: list[ConcreteArray]) -> bool:
    """Add to `arrays` those in arguments, and to `key` what tells their types, and the numbers,
    names, NumPy types, tuples and lists in them. False if there is anything else.

    For an array, that is its shape, dtype and weakness; for anything else, a tuple that begins with
    its class, which no shape does; for other containers, class and length, and what is in them.
    """
    for x in xs:
        cls = x.__class__
        if cls is ConcreteArray:
            value = x._value
            key.append(value.shape)
            key.append(value.dtype)
            key.append(x.weak_type)
            arrays.append(x)
        elif cls is int:
            key.append((int, x))
        elif cls is tuple or cls is list:
            if x and x[0].__class__ is int and {*map(type, x)} == _INTEGERS:
                key.append((cls, *x))
            else:
                key.append(cls)
                key.append(len(x))
                if not _take_all(x, key, arrays):
                    return False
        elif cls is float:
            key.append((cls, x.hex()))
        elif cls in _NAMES or x is None or isinstance(x, (np.dtype, type)):
            key.append((cls, x))
        else:
            return False
    return True


def _with_arrays(x: Any, arrays: Iterator[Any]) -> Any:
    """An argument with others in the place of its arrays."""
    if x.__class__ is ConcreteArray:
        return next(arrays)
    return x.__class__([_with_arrays(part, arrays) for part in x]) if x.__class__ in (tuple, list) else x


def _checked_plan(
    ours: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], arrays: Sequence[ConcreteArray], out: Any
) -> Plan | None:
    """The plan of a call with these arguments, whose result was `out`; None if there is none, or it
    does not give that."""
    tree: Any = None

    def flat(*xs: Any) -> Any:
        nonlocal tree
        rest = iter(xs)
        given = [_with_arrays(x, rest) for x in args]
        leaves, tree = tree_flatten(ours(*given, **{name: _with_arrays(x, rest) for name, x in kwargs.items()}))
        return leaves

    if numpy_rank_promotion.value != "allow":  # which is seen when operands meet
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plan = _plan(stage_flat(flat, [x._type for x in arrays]), tree)
            theirs, wanted = None if plan is None else tree_flatten(plan(arrays))[0], tree_flatten(out)[0]
    except Exception:  # it needs values, gives what is no array, or has something to say each time
        return None
    if theirs is None or len(theirs) != len(wanted):
        return None
    return plan if all(map(_are_same, theirs, wanted)) else None


def _are_same(x: Any, y: Any) -> bool:
    if not x.__class__ is y.__class__ is ConcreteArray:
        return False
    a, b = x._value, y._value
    # The type of `x` is what its plan says.
    is_so = intern(a.shape, a.dtype, x.weak_type) is x._type is y._type
    return is_so and np.asarray(a).tobytes() == np.asarray(b).tobytes()


def _plan(closed: ClosedJaxpr, tree: Any) -> Plan | None:
    """What evaluates a program on arrays. None if the program calls others, has effects, or gives a
    large constant."""
    if closed.effects != NO_EFFECTS or any(isinstance(e.primitive, CallPrimitive) for e in closed.jaxpr.eqns):
        return None
    return function_of(closed, tree)
