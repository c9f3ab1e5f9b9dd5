"""Errors of rows, in Pullback (eager and compiled), SciPy, and JAX where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import pullback
from tests.accuracy.references import read, stored
from tests.accuracy.table import MOST_OF_SCIPY, Row, errors

#: By quantity, and then by point.
Errors = dict[str, np.ndarray]


def value_and_derivatives(jvp: Callable[..., Any], function: Callable[..., Any], derivatives: Iterable[int]) -> Any:
    """A function of arrays that gives the function's value, and its derivatives by the arguments of these numbers."""

    def by(i: int, args: Sequence[Any]) -> Any:
        along = lambda x: function(*args[:i], x, *args[i + 1 :])
        return jvp(along, (args[i],), (np.ones(args[i].shape, args[i].dtype),))[1]

    return lambda *args: [function(*args), *(by(i, args) for i in derivatives)]


def in_pullback(row: Row) -> Callable[..., Any]:
    """Values and derivatives of a row as a function of arrays."""
    return value_and_derivatives(pullback.jvp, row.function, row.derivatives)


def compared(row: Row, family: str, dtype: Any, results: Sequence[Any]) -> Errors:
    """The errors of results that belong to the row's quantities; those that are None have none. Of conditioned rows, the
    errors relative to conditions, too, by "value conditioned" and so on."""
    table, out = stored(family)[row.name], {}
    for name, got in zip(row.quantities, results):
        if got is not None:
            exact = read(table[name])
            out[name] = errors(got, *exact, dtype)
            if row.conditioned:
                out[f"{name} conditioned"] = errors(got, *exact, dtype, np.array(table[f"{name} condition"]))
    return out


def eager(row: Row, family: str, dtype: Any) -> Errors:
    """Errors of Pullback, operation by operation."""
    with pullback.enable_x64(True), np.errstate(all="ignore"):
        return compared(row, family, dtype, in_pullback(row)(*map(pullback.numpy.asarray, row.arguments(dtype))))


def compiled(rows: Sequence[Row], family: str, dtype: Any) -> list[Errors]:
    """Errors of Pullback compiled: of all rows in one program."""

    def program(arguments: Any) -> Any:
        return [in_pullback(row)(*args) for row, args in zip(rows, arguments)]

    with pullback.enable_x64(True):
        results = pullback.jit(program)([row.arguments(dtype) for row in rows])
        return [compared(row, family, dtype, out) for row, out in zip(rows, results)]


def scipy(row: Row, family: str, dtype: Any) -> Errors:
    """Errors of SciPy, where it has the function."""
    args = row.arguments(dtype)
    with np.errstate(all="ignore"):
        results = [None if f is None else np.asarray(f(*args)).astype(dtype) for f in map(row.in_scipy, row.quantities)]
    return compared(row, family, dtype, results)


def largest(found: Errors, quantity: str) -> float | None:
    """The largest error of a quantity, if it has been measured anywhere."""
    each = found.get(quantity)
    return None if each is None or np.isnan(each).all() else float(np.nanmax(each))


def beyond(row: Row, mode: str, dtype: Any, found: Errors, of_scipy: Errors) -> list[str]:
    """What is worse than allowed in the mode "eager" or "compiled", in words.

    Of derivatives that SciPy does not have, its errors of the value count.
    """
    out = []
    for quantity in row.quantities:
        worst = largest(found, quantity)
        allowed = row.allowed(mode, dtype, quantity)
        reached = largest(found, f"{quantity} conditioned") if row.conditioned else worst
        theirs = largest(of_scipy, quantity if quantity in of_scipy else "value")
        if worst is None or reached <= allowed or (theirs is not None and worst <= MOST_OF_SCIPY * theirs):
            continue
        kind = f"{quantity} conditioned" if row.conditioned else quantity
        where = row.points[int(np.nanargmax(found[kind]))]
        unit = "times what rounding the arguments changes" if row.conditioned else "units of the last place"
        out.append(
            f"{row.name}{where}, {mode}, {dtype} {quantity}: {reached:.3g} {unit}; allowed: {allowed:.3g}, or "
            f"{MOST_OF_SCIPY:g} times SciPy's {'' if theirs is None else f'{theirs:.3g}'}"
        )
    return out


def has_jax() -> bool:
    return importlib.util.find_spec("jax") is not None


def jax(row: Row, family: str, dtype: Any) -> Errors:
    """Errors of JAX compiled, where it is installed and has the function."""
    module = importlib.import_module("jax")
    importlib.import_module("jax.scipy.stats")
    name = row.jax if row.jax is not None else _name_in_jax(row.function)
    if callable(name):
        function = name(module)
    else:
        function = module
        for part in name.split("."):
            function = getattr(function, part, None)
    if function is None or not name:
        return {}
    with module.enable_x64(True):
        args = row.arguments(dtype)

        def call(derivatives: Sequence[int]) -> list[Any]:
            out = module.jit(value_and_derivatives(module.jvp, function, derivatives))(*args)
            return list(map(np.asarray, out))

        try:
            results = call(row.derivatives)
        except (NotImplementedError, ValueError, TypeError):
            # Some derivative is not there, or the function itself is not.
            results = []
            for derivatives in ((), *((i,) for i in row.derivatives)):
                try:
                    results.append(call(derivatives)[-1])
                except (NotImplementedError, ValueError, TypeError):
                    results.append(None)
    return compared(row, family, dtype, results)


def _name_in_jax(function: Callable[..., Any]) -> str:
    """Where JAX has what Pullback has as `function`: by its module and name, if these are public ones."""
    module = getattr(function, "__module__", "") or ""
    for prefix in ("pullback.scipy.special", "pullback.scipy.stats", "pullback.lax", "pullback.numpy", "pullback.nn"):
        if module.startswith(prefix):
            return f"{prefix.removeprefix('pullback.')}.{function.__name__}"
    return ""
