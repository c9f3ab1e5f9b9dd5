"""What the functions of all distributions share: their operands, the domains of their parameters,
their docstrings, and the formulas that several distributions need.

A module has one `Family`, which decorates the formulas of its functions. A formula gets floats of
one dtype (of at least 32 bits), and None for a `loc` or `scale` that was left at its default, so
that nothing is computed for it. Where a formula is not to be evaluated, its operands are replaced
(`instead`), not its result only: a derivative that is infinite there, times zero, would be NaN.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.errors import user_api
from pullback.lax.shape import convert
from pullback.numpy.planned import planned
from pullback.numpy.promotion import broadcast_checked, here, promote_inexact
from pullback.scipy import special

F = TypeVar("F", bound=Callable[..., Any])

LOG_2PI = math.log(2 * math.pi)

_SUMMARIES = {
    "pdf": "The probability density of {what} at `x`.",
    "logpdf": "The logarithm of the probability density of {what} at `x`, which does not underflow.",
    "pmf": "The probability of `k` under {what}.",
    "logpmf": "The logarithm of the probability of `k` under {what}, which does not underflow.",
    "cdf": "The probability of at most `{x}` under {what}.",
    "logcdf": "The logarithm of the probability of at most `{x}` under {what}.",
    "sf": "The probability of more than `{x}` under {what}: 1 - cdf, exact also where it is tiny.",
    "logsf": "The logarithm of the probability of more than `{x}` under {what}.",
    "ppf": "What is exceeded with probability 1 - `{x}` under {what}: the inverse of `cdf`.",
    "isf": "What is exceeded with probability `{x}` under {what}: the inverse of `sf`.",
    "entropy": "The entropy -Σ p log p of {what}.",
}

_DETAILS = """Elementwise, of real arrays and numbers whose shapes broadcast; the result has their common
dtype, integers become floats. NaN where a parameter is outside of its domain{domains}.
Raises TypeError for complex numbers and lists, and for shapes that do not broadcast (ValueError,
if they are of different ranks)."""

#: What a domain is called, and whether a parameter is in it.
_DOMAINS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "positive": ("> 0", lambda p: p > 0),
    "not negative": ("≥ 0", lambda p: (p >= 0) & (p == p)),  # to compilers |NaN| is ≥ 0
    "a probability": ("in [0, 1]", lambda p: (p >= 0) & (p <= 1)),
    "inside the unit": ("in (0, 1)", lambda p: (p > 0) & (p < 1)),
}


class Family:
    """A decorator for the formulas of the distribution `what`, whose parameters have `domains`.

    It makes of a formula the public function: with operands of one dtype, NaN outside of domains,
    and a docstring, of which the formula's own has only the example. Results are weakly typed if all
    operands are scalars and weakly typed; the methods `weak` and `strong` make functions in which it is
    otherwise, as it is in JAX.
    """

    def __init__(self, what: str, **domains: str) -> None:
        self.what = what
        self.domains = domains

    def __call__(self, formula: F) -> F:
        return self.function(formula, weak="scalars")

    def weak(self, formula: F) -> F:
        """As a call, of a function whose results are weakly typed if all operands are."""
        return self.function(formula, weak=True)

    def strong(self, formula: F) -> F:
        """As a call, of a function whose results are never weakly typed."""
        return self.function(formula, weak=False)

    def function(self, formula: F, weak: bool | Literal["scalars"]) -> F:
        signature = inspect.signature(formula)
        names = list(signature.parameters)
        defaults = [p.default for p in signature.parameters.values() if p.default is not p.empty]
        required = len(names) - len(defaults)
        name = f"{formula.__module__.rpartition('.')[2]}.{formula.__name__}"
        checks = [(i, _DOMAINS[self.domains[p]][1]) for i, p in enumerate(names) if p in self.domains]

        def evaluate(*args: Any) -> Any:
            given = [a for a in args if a is not None]
            arrays = iter(broadcast_checked(name, *given, inexact=True, weak=weak))
            operands = [None if a is None else next(arrays) for a in args]
            dtype, is_weak = operands[0].dtype, operands[0].weak_type
            if dtypes.kind(dtype) != "f":
                types = ", ".join(str(a.aval) for a in operands if a is not None)
                raise here(TypeError, f"{name} takes real numbers, got {types}")
            if dtype.itemsize < 4:
                operands = [None if a is None else convert(a, dtypes.float32, a.weak_type) for a in operands]
            out = formula(*operands)
            for i, check in checks:
                if operands[i] is not None:
                    out = jnp.where(check(operands[i]), out, math.nan)
            return convert(out, dtype, is_weak)

        evaluate_planned = planned(evaluate)

        @functools.wraps(formula)
        def function(*args: Any, **kwargs: Any) -> Any:
            if kwargs or not required <= len(args) <= len(names):
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                args = bound.args
            given = len(args)
            if given < len(names):
                args += (None,) * (len(names) - given)
            # What is left at its default, or set to it, costs nothing.
            for i in range(required, given):
                if args[i].__class__ is int and args[i] == defaults[i - required]:
                    args = (*args[:i], None, *args[i + 1 :])
            return evaluate_planned(*args)

        function.__doc__ = self._doc(formula, names)
        return user_api(function)  # type: ignore[return-value]

    def _doc(self, formula: Any, names: list[str]) -> str:
        summary = _SUMMARIES[formula.__name__].format(what=self.what, x=names[0])
        domains = ", ".join(f"`{p}` {_DOMAINS[self.domains[p]][0]}" for p in names if p in self.domains)
        details = _DETAILS.format(domains=f" ({domains})" if domains else "")
        return f"{summary}\n\n{details}\n\n{inspect.cleandoc(formula.__doc__ or '')}\n"


def standardized(x: Any, loc: Any, scale: Any) -> Any:
    """(x - loc)/scale, without what was left at its default."""
    z = x if loc is None else x - loc
    return z if scale is None else z / scale


def relocated(z: Any, loc: Any, scale: Any) -> Any:
    """z scale + loc, the inverse of `standardized`."""
    x = z if scale is None else z * scale
    return x if loc is None else x + loc


def less_log(out: Any, scale: Any) -> Any:
    """`out`, the logarithm of a density of standardized values, as one of values."""
    return out if scale is None else out - jnp.log(scale)


def per(out: Any, scale: Any) -> Any:
    """`out`, a density of standardized values, as one of values."""
    return out if scale is None else out / scale


def instead(condition: Any, x: Any, value: float) -> Any:
    """`x`, and `value` where the condition holds."""
    return jnp.where(condition, value, x)


def log1mexp(y: Any) -> Any:
    """log(1 - e^-y) for y ≥ 0: exact for small and for large `y` (Mächler, "Accurately computing
    log(1 - exp(-|a|))", 2012)."""
    small = y < math.log(2)
    near = jnp.log(-jnp.expm1(-jnp.where(small, y, 1.0)))
    return jnp.where(small, near, jnp.log1p(-jnp.exp(-instead(small, y, 1.0))))


def log1p_square(z: Any) -> Any:
    """log(1 + z²), also where the square overflows."""
    far = jnp.abs(z) > 1 / dtypes.finfo(z.dtype).eps
    size = jnp.log1p(jnp.where(far, jnp.abs(z), jnp.where(far, 1.0, z) * z))
    return jnp.where(far, 2 * size, size)


def times_log(x: Any, y: Any) -> Any:
    """x log y, 0 where x = 0, as its derivative by `y` is also at y = 0."""
    return special.xlogy(x, instead((x == 0) & (y == 0), y, 1.0))


def times_log1p(x: Any, y: Any) -> Any:
    """x log(1 + y), 0 where x = 0, as its derivative by `y` is also at y = -1."""
    return special.xlog1py(x, instead((x == 0) & (y == -1), y, 0.0))


def is_tiny(tail: Any) -> Any:
    """Where a probability is so small that its logarithm is better taken otherwise."""
    return tail < (1e-30 if tail.dtype.itemsize < 8 else 1e-280)


def log_of_tail(mine: Any, tail: Any, log_tail: Any) -> Any:
    """log(tail) where `mine` holds, and log(1 - tail) elsewhere: the logarithm of a probability, of
    which `tail`, at most about a half, is the smaller one of it and what it lacks to 1. Where it is
    tiny, the logarithm is `log_tail`."""
    tiny = is_tiny(tail)
    log = jnp.where(tiny, log_tail, jnp.log(jnp.where(mine & ~tiny, tail, 1.0)))
    return jnp.where(mine, log, jnp.log1p(-instead(mine, tail, 0.0)))


def refuse_quantiles(q: Any, out: Any) -> Any:
    """`out`, NaN where `q` is no probability."""
    return jnp.where((q >= 0) & (q <= 1), out, math.nan)


def of_real(name: str, *args: Any) -> list[Any]:
    """Floats of one dtype of at least 32 bits, of any shapes, and what gives a result the dtype that
    the operands have in common. TypeError for complex numbers and lists."""
    arrays = promote_inexact(name, *args)
    dtype = arrays[0].dtype
    if dtypes.kind(dtype) != "f":
        raise here(TypeError, f"{name} takes real numbers, got {', '.join(str(a.aval) for a in arrays)}")
    wide = arrays if dtype.itemsize >= 4 else [convert(a, dtypes.float32, a.weak_type) for a in arrays]
    return [*wide, lambda out: convert(out, dtype, out.weak_type)]
