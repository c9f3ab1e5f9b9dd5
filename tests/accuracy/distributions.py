"""Rows of distributions, made of what mpmath computes for the standardized ones."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath as mp
from scipy import stats as scipy

from pullback.scipy import stats
from tests.accuracy.references import slope_of
from tests.accuracy.table import Row, linear, signed, spaced

REAL = signed([*spaced(1e-6, 0.05, 4), *linear(0.125, 6, 13), *linear(7, 40, 5)])
POSITIVE = [*spaced(1e-6, 0.05, 5), *linear(0.125, 6, 14), *linear(7, 60, 7)]
UNIT = [*spaced(1e-20, 1e-3, 8), *linear(0.015625, 0.984375, 22), 1 - 2.0**-12, 1 - 2.0**-20]
SHAPES = [0.5, 1.0, 2.5, 30.0]
#: Locations and scales, which leave x - loc exact for most `x`.
PLACES = [(0.5, 2.0), (-1.25, 0.75)]
QUANTILES = ("ppf", "isf")

Reference = Callable[..., Any]


def log_of(part: Reference, rest: Reference) -> Reference:
    """The logarithm of a probability, of which `rest` is what it lacks to 1."""

    def log(*args: Any) -> Any:
        other = rest(*args)
        return mp.log1p(-other) if other < 0.5 else mp.log(part(*args))

    return log


def _values(given: Mapping[str, Reference]) -> dict[str, Reference]:
    """`given`, and the logarithms of what it has."""
    out = dict(given)
    if "pdf" in given:
        out.setdefault("logpdf", lambda *args: mp.log(given["pdf"](*args)))
    if "pmf" in given:
        out.setdefault("logpmf", lambda *args: mp.log(given["pmf"](*args)))
    if "cdf" in given and "sf" in given:
        out.setdefault("logcdf", log_of(given["cdf"], given["sf"]))
        out.setdefault("logsf", log_of(given["sf"], given["cdf"]))
    if "ppf" in given:
        out.setdefault("isf", lambda q, *args: given["ppf"](1 - q, *args))
    return out


def _slopes(function: str, values: Mapping[str, Reference]) -> Reference | None:
    """The derivative by the first argument, where it is a quotient of what there is."""
    pdf = values.get("pdf")
    if pdf is None:
        return None
    if function == "cdf":
        return pdf
    if function == "sf":
        return lambda *args: -pdf(*args)
    if function == "logcdf":
        return lambda *args: pdf(*args) / values["cdf"](*args)
    if function == "logsf":
        return lambda *args: -pdf(*args) / values["sf"](*args)
    return None


def by_smaller(function: str, values: Mapping[str, Reference], i: int) -> Reference | None:
    """The derivative of a probability by argument `i`, as that of the smaller of it and what it lacks to 1, of which a
    difference keeps the digits."""
    if function not in ("cdf", "sf") or not ("cdf" in values and "sf" in values):
        return None
    mine, other = (values[name] for name in ((function, "sf" if function == "cdf" else "cdf")))
    return slope_of_smaller(mine, other, i)


def slope_of_smaller(mine: Reference, other: Reference, i: int) -> Reference:
    """The derivative by argument `i` of `mine`, which is 1 - `other`."""
    by_mine, by_other = slope_of(mine, i), slope_of(other, i)
    return lambda *args: by_mine(*args) if mine(*args) < 0.5 else -by_other(*args)


def located(function: str, value: Reference) -> Reference:
    """The reference of a function of (x, parameters..., loc, scale)."""

    def at(x: Any, *rest: Any) -> Any:
        *parameters, loc, scale = rest
        if function in QUANTILES:
            return value(x, *parameters) * scale + loc
        out = value((x - loc) / scale, *parameters)
        if function == "pdf":
            return out / scale
        return out - mp.log(scale) if function == "logpdf" else out

    return at


def rows_of(
    name: str,
    x: Sequence[float],
    parameters: Sequence[Sequence[float]] = (),
    *,
    q: Sequence[float] = UNIT,
    by: Sequence[int] | None = None,
    domain: Callable[..., bool] | None = None,
    support: Callable[..., bool] = lambda z: True,
    places: Sequence[float] = (-3.5, -0.75, 0.625, 1.25, 2.75, 9.5),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **references: Reference,
) -> list[Row]:
    """Rows of all functions of the distribution `name`: over `x` (`q` for quantiles) and `parameters`, with
    derivatives `by` these arguments (all of them, by default); and, if it can be moved, at PLACES, where `support`
    holds, with the derivatives by the location and the scale.

    `references` are those of pdf, cdf, sf and so on; logarithms follow. `options` are those of rows, by the name of a
    function, or by patterns of names.
    """
    ours, theirs, values, out = getattr(stats, name), getattr(scipy, name), _values(references), []
    for function in ours.__all__:
        if function == "entropy":
            continue
        value, call = values[function], getattr(ours, function)
        names = list(inspect.signature(call).parameters)
        arguments = 1 + len(parameters)
        derivatives = tuple(range(arguments)) if by is None else tuple(by)
        slope = _slopes(function, values)
        given = [slope if i == 0 else by_smaller(function, values, i) for i in derivatives]
        kept = _options(f"{name}.{function}", options or {})
        common = {"scipy": getattr(theirs, function, None), "jax": f"scipy.stats.{name}.{function}"}
        is_quantile = function in QUANTILES
        out.append(
            Row(
                f"{name}.{function}",
                call,
                value,
                domain=None if is_quantile else domain,
                **{
                    "grids": [q if is_quantile else x, *parameters],
                    "derivatives": derivatives,
                    "reference_derivatives": given,
                    "conditioned": True,
                }
                | common
                | kept,
            )
        )
        if "loc" in names and "scale" in names:
            out.append(_located_row(name, function, call, value, parameters, q, places, support, options, common))
    return out


def _located_row(name, function, call, value, parameters, q, places, support, options, common):
    is_quantile = function in QUANTILES
    firsts = q[6::7] if is_quantile else places
    middle = [p[len(p) // 2] for p in parameters]
    points = [
        (first, *middle, loc, scale)
        for first in firsts
        for loc, scale in PLACES
        if is_quantile or support((first - loc) / scale)
    ]
    count = len(parameters)
    label = f"{name}.{function} moved"
    kept = {"conditioned": True} | _options(label, options or {})
    return Row(
        label,
        call,
        located(function, value),
        list(zip(*points)),
        (1 + count, 2 + count),
        paired=True,
        **common | kept,
    )


def _options(label: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pattern, given in options.items():
        if re.fullmatch(pattern, label.partition(".")[2]):
            out |= given
    return out
