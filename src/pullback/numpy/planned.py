"""Functions made of several operations, in eager code: their operations without what is between
them.

A function such as `einsum` decides from types, axes and options what is to be done, and then does
it. Under a transformation, and with large arrays, deciding costs nothing beside the rest; in eager
code with small arrays it is nearly everything. The decorator `planned` remembers what was done: for
arguments of the same types and the same plain values it has the function's program, and evaluates
its operations one after the other, which is what the function does.

A program is made when a kind of arguments comes for the second time, so that arguments that always
change cost no more than before; and it is used if its results are then those of the function, bit
for bit. What needs the values of its arguments to decide has no program, and is called as before.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from pullback.core.array import ConcreteArray, concrete
from pullback.core.config import numpy_rank_promotion, program_state
from pullback.core.effects import NO_EFFECTS
from pullback.core.jaxpr import ClosedJaxpr, Literal, Var
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL, IGNORED, current, floating_point_errors, is_checking, reset_floating_point_errors
from pullback.core.tree import tree_flatten
from pullback.transforms.call import CallPrimitive

F = TypeVar("F", bound=Callable[..., Any])
Plan = Callable[[list[ConcreteArray]], Any]

#: Up to so many elements of all arguments; with more, what is decided costs nothing beside the rest.
_FEW = 16384
#: Up to so many elements of a result that is always the same are kept.
_SMALL = 1024
#: How many kinds of arguments are remembered.
_MANY = 4096

#: By kind of arguments: the plan, None where there is none, or that it has come once.
_plans: dict[Any, Plan | object | None] = {}
_SEEN_ONCE, _NEVER_SEEN = object(), object()


def planned(ours: F) -> F:
    """Have a function evaluate its plan in eager code where there is one.

    Example: `@planned` above `def var(a, axis=None, ...)`.
    """

    @functools.wraps(ours)
    def function(*args: Any, **kwargs: Any) -> Any:
        if current() is not EVAL or (EVAL.checking and is_checking()):
            return ours(*args, **kwargs)
        key: list[Any] = [ours, id(program_state())]
        arrays: list[ConcreteArray] = []
        for x in args:
            if x.__class__ is ConcreteArray:  # as in `_take`, which is a call
                key.append(x._type.number)
                arrays.append(x)
            elif not _take(x, key, arrays):
                return ours(*args, **kwargs)
        for name, x in kwargs.items():
            key.append(name)
            if not _take(x, key, arrays):
                return ours(*args, **kwargs)
        place = tuple(key)
        plan: Any = _plans.get(place, _NEVER_SEEN)
        if plan is None:
            return ours(*args, **kwargs)
        if plan.__class__ is not object:
            try:
                return plan(arrays)
            except (AttributeError, ValueError, TypeError, IndexError):
                return ours(*args, **kwargs)  # which says what is wrong
        if len(_plans) > _MANY:
            _plans.clear()
        are_few = sum([x._value.size for x in arrays]) <= _FEW
        _plans[place] = _SEEN_ONCE if plan is _NEVER_SEEN and are_few else None
        out = ours(*args, **kwargs)
        if plan is _SEEN_ONCE:
            _plans[place] = _checked_plan(ours, args, kwargs, arrays, out)
        return out

    return function  # type: ignore[return-value]


_NAMES = frozenset([int, bool, float, str])


def _take(x: Any, key: list[Any], arrays: list[ConcreteArray]) -> bool:
    """Add to `arrays` those in an argument, and to `key` what tells their types, and the numbers,
    names, NumPy types, tuples and lists in it. False if there is anything else."""
    cls = x.__class__
    if cls is ConcreteArray:
        key.append(x._type.number)
        arrays.append(x)
    elif cls is tuple or cls is list:
        key.append((cls, len(x)))
        return all([_take(part, key, arrays) for part in x])
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
    ours: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], arrays: list[ConcreteArray], out: Any
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
    except (TypeError, Warning):  # it needs values, gives what is no array, or has something to say each time
        return None
    if plan is None:
        return None
    theirs, wanted = tree_flatten(plan(arrays))[0], tree_flatten(out)[0]
    same = len(theirs) == len(wanted) and all(
        x.__class__ is y.__class__ is ConcreteArray and x._type is y._type and _bytes(x) == _bytes(y)
        for x, y in zip(theirs, wanted)
    )
    return plan if same else None


def _bytes(x: ConcreteArray) -> bytes:
    return np.asarray(x._value).tobytes()


def _plan(closed: ClosedJaxpr, tree: Any) -> Plan | None:
    """What evaluates a program on Arrays: a Python function with a line for each operation. None if
    the program calls others, has effects, or gives a large constant."""
    jaxpr = closed.jaxpr
    if closed.effects != NO_EFFECTS or any(isinstance(e.primitive, CallPrimitive) for e in jaxpr.eqns):
        return None
    known: dict[str, Any] = {"concrete": concrete}
    names: dict[Any, str] = {}

    def name(atom: Any) -> str:
        if isinstance(atom, Literal):
            known[constant := f"k{len(known)}"] = atom.val._value
            return constant
        return names[atom]

    for var, value in zip(jaxpr.constvars, closed.consts):
        if value.__class__ is not ConcreteArray:
            return None
        names[var] = f"k{len(known)}"
        known[names[var]] = value._value
    lines = ["def plan(arrays):"]
    for i, var in enumerate(jaxpr.invars):
        names[var] = f"a{i}"
        lines.append(f"    a{i} = arrays[{i}]._value")
    for i, eqn in enumerate(jaxpr.eqns):
        operands = [name(v) for v in eqn.invars]
        several = eqn.primitive.multiple_results
        if all(x in known for x in operands):  # the same each time
            value = eqn.primitive.evaluate(*[known[x] for x in operands], **eqn.params)
            for var, v in zip(eqn.outvars, value if several else [value]):
                names[var] = f"k{len(known)}"
                known[names[var]] = v
            continue
        known[f"f{i}"], known[f"p{i}"] = eqn.primitive.evaluate, eqn.params
        for j, var in enumerate(eqn.outvars):
            names[var] = f"x{i}_{j}"
        targets = ", ".join(names[v] for v in eqn.outvars) + ("," if several else "")
        lines.append(f"    {targets} = f{i}({', '.join([*operands, f'**p{i}'])})")
    results = []
    for var in jaxpr.outvars:
        if (x := name(var)) in known:
            if var.aval.size > _SMALL:
                return None
            x = f"{x}.copy()"  # whoever gets it may delete it
        is_given = isinstance(var, Var) and var in jaxpr.invars
        results.append(f"arrays[{x[1:]}]" if is_given else f"concrete({x}, {var.aval.weak_type})")
    known["unflatten"] = tree.unflatten
    is_leaf = tree.is_leaf()
    lines.append(f"    return {results[0] if is_leaf else 'unflatten([' + ', '.join(results) + '])'}")
    exec("\n".join(lines), known)
    plan = known["plan"]

    def quietly(arrays: list[ConcreteArray]) -> Any:
        token = floating_point_errors[IGNORED]
        try:
            return plan(arrays)
        finally:
            reset_floating_point_errors(token)

    return quietly
