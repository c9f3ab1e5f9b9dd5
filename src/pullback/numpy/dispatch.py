"""NumPy code as it is: what NumPy's functions and ufuncs, and SciPy's ufuncs, do with our arrays.

NumPy asks the classes of its operands for `__array_ufunc__` and `__array_function__` (NEP 13 and
NEP 18). Tracers always have them, Arrays with data within a transformation only: outside, NumPy's
functions go on giving NumPy arrays, and `ndarray + Array` goes on being an Array by
`__array_priority__` (`array_methods.WithinTransformations`). This module is loaded when NumPy first
asks.

- With a traced operand, a function is that of the same name in `pullback.numpy`, `pullback.numpy.
  linalg`, `pullback.numpy.fft` or `pullback.scipy.special`, which is looked up when it is first
  met. Lists that NumPy takes for arrays are made arrays. What says how memory is laid out (`order`,
  `subok`, `casting`) means nothing here, and is accepted.
- With Arrays whose values are known, and none that is traced, the same functions run at once,
  outside of the transformation: the result is known as well, also under `jit`, so that it can be a
  shape. What ours cannot do, NumPy does with the values.
- What would write into an array (`out=`, `ufunc.at`, `np.put`), depends on memory, or leaves the
  program (`np.save`) raises TypeError with traced operands, and names what to write instead.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.trace import EVAL, Tracer, under
from pullback.numpy.promotion import here

_COUNTERPARTS = {"numpy": "pullback.numpy", "numpy.linalg": "pullback.numpy.linalg", "numpy.fft": "pullback.numpy.fft"}
_OPERANDS = (Array, np.ndarray, np.generic, list, tuple, *dtypes.PYTHON_SCALARS)

# ---- what is refused -----------------------------------------------------------------------------

_AT = "Arrays are immutable: write `{}`, which gives the updated array"
_DATES = "there are no dates among traced values: compute them before"
_MEMORY = "a traced value has no memory"
_LEAVES = "a traced value has no data yet: return it from the transformed function, and write what that returns"

#: What to do instead of a function that traced values cannot be given to.
REFUSED: dict[str, str] = {
    "copyto": _AT.format("x.at[...].set(values)` or `np.where(where, values, x)"),
    "fill_diagonal": _AT.format("jnp.fill_diagonal(x, value, inplace=False)"),
    "place": _AT.format("np.where(mask, values, x)"),
    "put": _AT.format("jnp.put(x, indices, values, inplace=False)"),
    "put_along_axis": _AT.format("jnp.put_along_axis(x, indices, values, axis, inplace=False)"),
    "putmask": _AT.format("np.where(mask, values, x)"),
    "array2string": "use `repr(x)`, or `pullback.debug.print` to see the values",
    "array_repr": "use `repr(x)`, or `pullback.debug.print` to see the values",
    "array_str": "use `repr(x)`, or `pullback.debug.print` to see the values",
    "real_if_close": "whether the result is complex would depend on traced values: use `np.real(x)`",
    "may_share_memory": _MEMORY,
    "shares_memory": _MEMORY,
    **dict.fromkeys(["save", "savetxt", "savez", "savez_compressed"], _LEAVES),
    **dict.fromkeys(["busday_count", "busday_offset", "datetime_as_string", "is_busday", "isnat"], _DATES),
}


def _common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.empty(0, a.dtype) for a in arrays])


#: Functions whose counterpart has another name, or none.
_OTHERS: dict[str, Callable[..., Any]] = {
    "fix": jnp.trunc,
    "common_type": _common_type,
    "min_scalar_type": lambda a: a.dtype,
}

# ---- ufuncs --------------------------------------------------------------------------------------

_found: dict[Any, Callable[..., Any] | None] = {}
_names: dict[Any, list[str]] = {}


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """`__array_ufunc__` of tracers, and of Arrays within a transformation."""
    if not kwargs and method == "__call__" and isinstance(self, Tracer):
        function = _found.get(ufunc)
        if function is not None:
            try:
                return function(*inputs)
            except TypeError:
                if all(isinstance(x, _OPERANDS) and not isinstance(x, (list, tuple)) for x in inputs):
                    raise  # else lists are made arrays, and others are asked
    return _ufunc(self, ufunc, method, inputs, kwargs)


def _ufunc(self: Any, ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not all(isinstance(x, _OPERANDS) for x in (*inputs, *kwargs.get("out", ()))):
        return NotImplemented  # another class knows better
    if not _traced((inputs, kwargs)):
        if (method == "__call__" and not kwargs) and (function := counterpart(ufunc)) is not None:
            return under(EVAL, function, *_arrays(inputs))
        return under(EVAL, getattr(ufunc, method), *inputs, **kwargs)
    name = ufunc.__name__
    if method == "at":
        raise here(TypeError, f"np.{name}.at writes into an array", ". " + _AT.format(_update(name)))
    if "out" in kwargs:
        raise _written(f"np.{name}")
    function = counterpart(ufunc)
    if function is None:
        raise _missing(ufunc)
    inputs = _arrays(inputs)
    kwargs = {k: v for k, v in kwargs.items() if k not in ("casting", "order", "subok")}
    if method == "__call__":
        if kwargs.get("where", True) is not True:
            raise here(
                TypeError,
                f"np.{name} with where= leaves the other elements uninitialized",
                f". Write `np.where(mask, np.{name}(...), other)`",
            )
        kwargs.pop("where", None)
        if (dtype := kwargs.pop("dtype", None)) is not None:
            inputs = tuple([jnp.asarray(x).astype(dtype) for x in inputs])
        return function(*inputs, **kwargs)
    if not isinstance(function, jnp.ufunc):
        function = jnp.ufunc(function, ufunc.nin, ufunc.nout, name=name, identity=ufunc.identity, call=function)
    if kwargs.get("where", True) is True:  # which is NumPy's way to say that all elements count
        kwargs.pop("where", None)
    return getattr(function, method)(*inputs, **kwargs)


_UPDATES = {"add": "add", "subtract": "subtract", "multiply": "multiply", "divide": "divide", "power": "power"}
_UPDATES |= {"maximum": "max", "minimum": "min"}


def _update(name: str) -> str:
    update = _UPDATES.get(name)
    return f"x.at[indices].{update}(values)" if update else "x.at[indices].set(values)"


def counterpart(ufunc: Any) -> Callable[..., Any] | None:
    """Our function for a ufunc of NumPy's or SciPy's; None if there is none.

    >>> counterpart(np.sin) is jnp.sin
    True
    """
    if ufunc not in _found:
        _found[ufunc] = _look_up(ufunc)
    return _found[ufunc]


def _look_up(ufunc: Any) -> Callable[..., Any] | None:
    if getattr(np, ufunc.__name__, None) is ufunc:
        return getattr(jnp, ufunc.__name__, None)
    names = _special_names(ufunc)
    if not names:
        return None
    ours = importlib.import_module("pullback.scipy.special")
    return next((found for name in names if (found := getattr(ours, name, None)) is not None), None)


def _special_names(ufunc: Any) -> list[str]:
    """The names in `scipy.special` of one of its ufuncs, which several may stand for (psi and
    digamma)."""
    special = sys.modules.get("scipy.special")
    if special is None:
        return []
    if not _names:
        for name in dir(special):
            if isinstance(found := getattr(special, name), np.ufunc):
                _names.setdefault(found, []).append(name)
    return _names.get(ufunc, [])


def _missing(ufunc: Any) -> Exception:
    names = _special_names(ufunc)
    if names:
        what, where = f"scipy.special.{names[0]}", "pullback.scipy.special"
    else:
        what, where = f"the ufunc {ufunc.__name__!r}", "pullback.numpy or pullback.scipy.special"
    reason = REFUSED.get(ufunc.__name__, "call it by `pullback.pure_callback`, with a `custom_jvp` rule")
    return here(TypeError, f"{what} was called on a traced value, and has no counterpart in {where}", f": {reason}")


def _written(what: str) -> Exception:
    return here(
        TypeError,
        f"{what} was to write a traced value into an array (`out=`, or an operator such as `a += x` on a NumPy array)",
        ". Arrays are immutable, and a NumPy array cannot hold a traced value: write `a = a + x`, or make `a` by "
        "`pullback.numpy`",
    )


# ---- functions -----------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """How a NumPy function's arguments become those of its counterpart."""

    function: Callable[..., Any]
    #: So many positional arguments are passed on as they are; the others by name.
    positional: int
    #: NumPy's names of parameters, in order, and those that the counterpart has.
    theirs: tuple[str, ...]
    ours: frozenset[str]
    any_name: bool


_plans: dict[Any, _Plan | None] = {}
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "clip": {"a": "arr", "a_min": "min", "a_max": "max"},
    "matrix_rank": {"A": "M"},
}
#: NumPy's names of parameters that are arrays: lists there are made arrays.
_ARRAY_NAMES = {
    name
    for row in (
        "A M a a1 a2 ar ar1 ar2 arr array aweights b bins c choices condition default element f fp fweights indices initial m",
        "mean object p q rowvar sample test_elements u v values w weights x x1 x2 xp y z",
    )
    for name in row.split()
}
#: How memory is laid out, and how something is computed: nothing to us. (`order` is something to
#: those that have it: "F" is another arrangement of the elements.)
_MEANINGLESS = frozenset(["subok", "casting", "kind", "like"])


def array_function(self: Any, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`__array_function__` of tracers, and of Arrays within a transformation."""
    for t in types:
        if not issubclass(t, (Array, np.ndarray)):
            return NotImplemented
    try:
        plan = _plans[func]
    except KeyError:
        plan = _plans[func] = _plan(func)
    if isinstance(self, Tracer) or _traced((args, kwargs)):
        if plan is None:
            raise _refusal(func)
        return _call(func, plan, args, kwargs)
    if plan is None or kwargs.get("out") is not None:
        return under(EVAL, func, *args, **kwargs)
    return under(EVAL, _call, func, plan, args, kwargs)


def _refusal(func: Any) -> Exception:
    name = f"{func.__module__}.{func.__name__}"
    reason = REFUSED.get(
        func.__name__, "call it by `pullback.pure_callback`, or write it with functions of `pullback.numpy`"
    )
    return here(TypeError, f"{name} was called on a traced value", f": {reason}")


def _plan(func: Any) -> _Plan | None:
    name = func.__name__
    if name in REFUSED:
        return None
    function = _OTHERS.get(name)
    if function is None:
        ours = _COUNTERPARTS.get(func.__module__)
        function = ours and getattr(importlib.import_module(ours), name, None)
    if function is None:
        return None
    theirs = inspect.signature(func).parameters
    own = inspect.signature(function).parameters
    kinds = [p.kind for p in theirs.values()]
    names = tuple(theirs)
    if inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_POSITIONAL in [p.kind for p in own.values()]:
        positional = sys.maxsize
    else:
        renamed = _RENAMED.get(name, {})
        positional = 0
        for a, b in zip(names, own):
            if renamed.get(a, a) != b and not (positional < 2 and name == "tensordot"):
                break
            if own[b].kind is inspect.Parameter.KEYWORD_ONLY or a in _MEANINGLESS or a in ("order", "out"):
                break
            positional += 1
    any_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own.values())
    return _Plan(function, positional, names, frozenset(own), any_name)


def _call(func: Any, plan: _Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) > plan.positional:
        args, kwargs = _adapted(func, plan, args, kwargs)
    try:
        return plan.function(*args, **kwargs)
    except TypeError:
        # NumPy takes lists for arrays, ours do not: by whose names these are is looked at only then.
        again = tuple([_array_of(x, plan, i) for i, x in enumerate(args)])
        named = {
            k: jnp.asarray(v) if isinstance(v, (list, tuple)) and k in _ARRAY_NAMES else v for k, v in kwargs.items()
        }
        if all(x is y for x, y in zip(args, again)) and all(named[k] is v for k, v in kwargs.items()):
            raise
    return plan.function(*again, **named)


def _array_of(x: Any, plan: _Plan, position: int) -> Any:
    if not isinstance(x, (list, tuple)):
        return x
    name = plan.theirs[min(position, len(plan.theirs) - 1)]
    return jnp.asarray(x) if name in _ARRAY_NAMES or name in ("operands", "args", "arys") else x


def _adapted(
    func: Any, plan: _Plan, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    name = func.__name__
    kwargs = dict(zip(plan.theirs[plan.positional :], args[plan.positional :])) | kwargs
    args = args[: plan.positional]
    renamed = _RENAMED.get(name, {})
    out: dict[str, Any] = {}
    for key, value in kwargs.items():
        if key == "out":
            if value is not None:
                raise _written(f"{func.__module__}.{name}")
        elif key in _MEANINGLESS or (key == "order" and value in ("K", "A", None)):
            continue
        elif (own := renamed.get(key, key)) in plan.ours or plan.any_name:
            out[own] = value
        elif not (key == "order" or value is None or value is np._NoValue):
            raise here(TypeError, f"{func.__module__}.{name} of a traced value does not support {key}=")
    return args, out


# ---- looks ---------------------------------------------------------------------------------------


def _traced(tree: Any) -> bool:
    """Whether there is a tracer in nested lists, tuples and dicts."""
    if isinstance(tree, (list, tuple)):
        return any(_traced(x) for x in tree)
    if isinstance(tree, dict):
        return any(_traced(x) for x in tree.values())
    return isinstance(tree, Tracer)


def _arrays(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([jnp.asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs])
