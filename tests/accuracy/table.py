"""Rows of the accuracy tables, their points, and the error of a result in units of the last place."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

#: What an error may be, on normal numbers: so many units of the last place, or so many times that of SciPy.
MOST_ULPS, MOST_OF_SCIPY = 4.0, 1.5
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def spaced(low: float, high: float, count: int) -> list[float]:
    """Numbers from `low` to `high`, both positive, that float32 has, in about equal ratios."""
    return [float(x) for x in np.geomspace(low, high, count).astype(np.float32)]


def linear(low: float, high: float, count: int) -> list[float]:
    """Numbers from `low` to `high` that float32 has, at about equal distances."""
    return [float(x) for x in np.linspace(low, high, count).astype(np.float32)]


def singles(*numbers: float) -> list[float]:
    """The numbers of float32 that are nearest.

    >>> singles(0.5, 1e10, 0.1)
    [0.5, 10000000000.0, 0.10000000149011612]
    """
    return [float(np.float32(x)) for x in numbers]


def signed(numbers: Sequence[float]) -> list[float]:
    """The numbers and their negatives."""
    return [-x for x in reversed(numbers)] + list(numbers)


@dataclass(frozen=True)
class Row:
    """A function of arrays, and what it is to be.

    `reference` is the same function of numbers of mpmath, called with 50 digits. `grids` has the values of each
    argument: all combinations of them are the points (those in the `domain`, if there is one), unless `paired`: then
    the grids are of one length, and have the arguments of one point after the other. `derivatives` are the arguments
    by which the first derivatives are compared, too, with those that differences of `reference` give, unless
    `reference_derivatives` has functions (None: differences). A point at which a reference has no value (it raises
    ValueError or ZeroDivisionError, or gives NaN) is not compared.

    `scipy` is SciPy's function, or a tuple of those for the value and for each derivative. `jax` is what to compare
    with in JAX: a dotted name, or a function of the module `jax` that gives the function; by default what has the name
    of `function` there.

    `bound` has the units of the last place that are allowed instead of MOST_ULPS, by "float32 value", "float64 by 0"
    (the derivative by the first argument), or without the dtype, with "compiled " in front if they are for compiled
    programs only; `reason` says why they are.

    If the row is `conditioned`, the bounds are in units of what rounding the arguments changes, where that is more than
    one in the last place: a function that is exact for arguments next to those given can do no better near its zeros,
    or where it changes fast.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    grids: Sequence[Sequence[float]]
    derivatives: Sequence[int] = (0,)
    scipy: Callable[..., Any] | Sequence[Callable[..., Any] | None] | None = None
    jax: str | Callable[..., Any] | None = None
    reference_derivatives: Sequence[Callable[..., Any] | None] = ()
    domain: Callable[..., bool] | None = None
    paired: bool = False
    bound: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    conditioned: bool = False

    @cached_property
    def points(self) -> list[tuple[float, ...]]:
        combined = zip(*self.grids, strict=True) if self.paired else itertools.product(*self.grids)
        points = [tuple(map(float, p)) for p in combined if self.domain is None or self.domain(*p)]
        for p in points:
            assert all(x != x or float(np.float32(x)) == x for x in p), f"{self.name}{p}: float32 has not all of these"
        return points

    @property
    def quantities(self) -> list[str]:
        """What is compared: the value, and derivatives by the number of an argument.

        >>> Row("add", None, None, [[1.0], [2.0]], derivatives=(0, 1)).quantities
        ['value', 'by 0', 'by 1']
        """
        return ["value", *(f"by {i}" for i in self.derivatives)]

    def allowed(self, mode: str, dtype: Any, quantity: str) -> float:
        """The bound that does not depend on SciPy, in the mode "eager" or "compiled".

        >>> row = Row("f", None, None, [[1.0]], bound={"float32 value": 7, "compiled value": 9})
        >>> [row.allowed(mode, np.float32, "value") for mode in ("eager", "compiled")]
        [7, 9]
        """
        names = [f"{np.dtype(dtype)} {quantity}", quantity]
        for name in ([f"compiled {n}" for n in names] if mode == "compiled" else []) + names:
            if name in self.bound:
                return self.bound[name]
        return MOST_ULPS

    def in_scipy(self, quantity: str) -> Callable[..., Any] | None:
        """SciPy's function for the quantity, if it has one."""
        functions = (self.scipy,) if self.scipy is None or callable(self.scipy) else tuple(self.scipy)
        return dict(zip(self.quantities, functions)).get(quantity)

    def arguments(self, dtype: Any) -> list[np.ndarray]:
        """The points as arrays, one for each argument."""
        return list(np.array(self.points, dtype).reshape(-1, len(self.grids)).T.copy())


def families() -> dict[str, list[Row]]:
    """All rows, by the name of their module, with the bounds of `exceptions`."""
    from tests.accuracy import rows
    from tests.accuracy.exceptions import with_exceptions

    names = sorted(m.name for m in pkgutil.iter_modules(rows.__path__))
    found = {name: importlib.import_module(f"tests.accuracy.rows.{name}").ROWS for name in names}
    return with_exceptions(found)


def errors(got: Any, high: np.ndarray, low: np.ndarray, dtype: Any, condition: np.ndarray | float = 0.0) -> np.ndarray:
    """|got - exact| in units of the last place of `dtype` at the exact value, which is high + low; or, if that is more,
    in units of what rounding the arguments changes: `condition` is how fast the value changes with relative changes of
    them all.

    NaN where there is no exact value; infinite where one of the two is NaN, infinite or of another sign of infinity,
    and the other is not. Where the exact value is below the normal numbers, whatever is below them is right; beyond the
    largest number, infinity.

    >>> errors(np.float32([1 + 2**-22, 0, np.inf]), np.array([1, 1e-40, 1e39]), np.zeros(3), np.float32).tolist()
    [2.0, 0.0, 0.0]
    """
    info, got = np.finfo(dtype), np.asarray(got, np.float64)
    least, most = float(info.tiny), float(info.max)
    with np.errstate(all="ignore"):
        size = np.minimum(np.abs(high), most).astype(dtype)
        unit = np.maximum(np.spacing(size).astype(np.float64), least * float(info.eps))
        unit = np.fmax(unit, condition * (float(info.eps) / 2))
        out = np.abs((got - high) - low) / unit
        tiny = (np.abs(high) < least) & (np.abs(got) <= least)
        huge = (np.abs(high) > most) & (
            (got == np.sign(high) * np.inf) | (np.abs(got - np.sign(high) * most) <= 4 * unit)
        )
        out = np.where(tiny | huge, 0.0, np.where(np.isnan(out), np.inf, out))
    return np.where(np.isnan(high), np.nan, out)
