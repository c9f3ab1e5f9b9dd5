"""Derivatives by parameters: a formula of values, computed with Taylor polynomials in their place.

Series and continued fractions that a formula sums in a loop are so differentiated term by term, to any
order, by the formula itself: `derivative` calls it with a namespace (`Polynomials`) and operands whose
arithmetic is that of polynomials in a small change of a parameter, cut off at the order that is asked
for (A. Griewank, A. Walther, "Evaluating Derivatives", 2008, chapter 13). Of several parameters, the
coefficients of one are polynomials in the other.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any


def _is_zero(x: Any) -> bool:
    return x.__class__ is float and x == 0  # type: ignore[no-any-return]


def _plus(x: Any, y: Any) -> Any:
    return y if _is_zero(x) else x if _is_zero(y) else x + y


def _times(x: Any, y: Any) -> Any:
    if _is_zero(x) or _is_zero(y):
        return 0.0
    if x.__class__ is float and x == 1:
        return y
    return x if y.__class__ is float and y == 1 else x * y


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Taylor, Any], Any]:
    return lambda x, y: compare(x.terms[0], y.terms[0] if isinstance(y, Taylor) else y)


class Taylor:
    """Σ terms[k] tᵏ, with operators; numbers stand for constants. Terms are values of a namespace, or
    Python's numbers, of which zeros cost nothing. What is compared is the value at t = 0.

    >>> x = Taylor([3.0, 1.0, 0.0])
    >>> (1 / (x * x)).terms
    [0.1111111111111111, -0.07407407407407407, 0.037037037037037035]
    """

    __slots__ = ("terms",)
    __array_ufunc__ = None

    def __init__(self, terms: list[Any]) -> None:
        self.terms = terms

    def slope(self) -> Taylor:
        """The derivative by t."""
        return Taylor([_times(float(k), c) for k, c in enumerate(self.terms)][1:])

    @staticmethod
    def of_slope(value: Any, slope: Taylor) -> Taylor:
        """What has this value at t = 0, and this derivative by t."""
        return Taylor([value, *(_times(1 / (k + 1), c) for k, c in enumerate(slope.terms))])

    def __add__(self, y: Any) -> Taylor:
        if isinstance(y, Taylor):
            return Taylor([_plus(a, b) for a, b in zip(self.terms, y.terms)])
        return Taylor([self.terms[0] + y, *self.terms[1:]])

    def __neg__(self) -> Taylor:
        return Taylor([c if _is_zero(c) else -c for c in self.terms])

    def __sub__(self, y: Any) -> Taylor:
        return self + (-y)

    def __rsub__(self, y: Any) -> Taylor:
        return -self + y

    def __mul__(self, y: Any) -> Taylor:
        if not isinstance(y, Taylor):
            return Taylor([_times(c, y) for c in self.terms])
        out = []
        for n in range(min(len(self.terms), len(y.terms))):
            total: Any = 0.0
            for k in range(n + 1):
                total = _plus(total, _times(self.terms[k], y.terms[n - k]))
            out.append(total)
        return Taylor(out)

    def __truediv__(self, y: Any) -> Taylor:
        if not isinstance(y, Taylor):
            return Taylor([c if _is_zero(c) else c / y for c in self.terms])
        out: list[Any] = []
        for n in range(min(len(self.terms), len(y.terms))):
            total = self.terms[n]
            for k in range(n):
                total = _plus(total, -_times(out[k], y.terms[n - k]))
            out.append(total if _is_zero(total) else total / y.terms[0])
        return Taylor(out)

    def __rtruediv__(self, y: Any) -> Taylor:
        return Taylor([y, *[0.0] * (len(self.terms) - 1)]) / self

    __radd__, __rmul__ = __add__, __mul__
    __lt__, __le__ = _comparison(operator.lt), _comparison(operator.le)
    __gt__, __ge__ = _comparison(operator.gt), _comparison(operator.ge)


def _composed(derivatives: Sequence[Any], x: Taylor) -> Taylor:
    """The function whose derivative of order k at the value of `x`, divided by k!, is `derivatives[k]`."""
    change = Taylor([0.0, *x.terms[1:]])
    out = Taylor([derivatives[-1], *[0.0] * (len(x.terms) - 1)])
    for d in reversed(derivatives[:-1]):
        out = out * change
        out = Taylor([d, *out.terms[1:]])
    return out


class Polynomials:
    """The functions that formulas use, on polynomials with `order` + 1 terms, which are values of the
    namespace `xp`. Values that do not depend on the parameter are polynomials, too (`constant`)."""

    def __init__(self, xp: Any, order: int) -> None:
        self.xp, self.order = xp, order

    def constant(self, x: Any) -> Taylor:
        return Taylor([x, *[0.0] * self.order])

    def variable(self, x: Any) -> Taylor:
        """The parameter of which all are polynomials."""
        return Taylor([x, 1.0, *[0.0] * (self.order - 1)])

    @property
    def single(self) -> bool:
        return self.xp.single  # type: ignore[no-any-return]

    def is_number(self, x: Taylor) -> Any:
        return self.xp.is_number(x.terms[0])

    def floor(self, x: Taylor) -> Taylor:
        return self.constant(self.xp.floor(x.terms[0]))

    def abs(self, x: Taylor) -> Taylor:
        return self.where(x < 0, -x, x)

    def where(self, condition: Any, x: Any, y: Any) -> Taylor:
        if not isinstance(x, Taylor):
            x = Taylor([x, *[0.0] * (len(y.terms) - 1 if isinstance(y, Taylor) else self.order)])
        if not isinstance(y, Taylor):
            y = Taylor([y, *[0.0] * (len(x.terms) - 1)])
        return Taylor(
            [
                a if a.__class__ is float and b.__class__ is float and a == b else self.xp.where(condition, a, b)
                for a, b in zip(x.terms, y.terms)
            ]
        )

    def exp(self, x: Taylor) -> Taylor:
        return self._exponential(x, self.xp.exp(x.terms[0]))

    def _exponential(self, x: Taylor, value: Any) -> Taylor:
        out = [value]
        for n in range(1, len(x.terms)):
            total: Any = 0.0
            for k in range(1, n + 1):
                total = _plus(total, _times(_times(k / n, x.terms[k]), out[n - k]))
            out.append(total)
        return Taylor(out)

    def expm1(self, x: Taylor) -> Taylor:
        value = self.xp.expm1(x.terms[0])
        return Taylor([value, *self._exponential(x, value + 1).terms[1:]])

    def log(self, x: Taylor) -> Taylor:
        out = [self.xp.log(x.terms[0])]
        for n in range(1, len(x.terms)):
            total = x.terms[n]
            for k in range(1, n):
                total = _plus(total, -_times(_times(k / n, out[k]), x.terms[n - k]))
            out.append(total if _is_zero(total) else total / x.terms[0])
        return Taylor(out)

    def sqrt(self, x: Taylor) -> Taylor:
        out = [self.xp.sqrt(x.terms[0])]
        for n in range(1, len(x.terms)):
            total = x.terms[n]
            for k in range(1, n):
                total = _plus(total, -_times(out[k], out[n - k]))
            out.append(total if _is_zero(total) else total / (out[0] * 2))
        return Taylor(out)

    def lgamma(self, x: Taylor) -> Taylor:
        value = x.terms[0]
        more = [self.xp.polygamma(k, value) / math.factorial(k + 1) for k in range(len(x.terms) - 1)]
        return _composed([self.xp.lgamma(value), *more], x)

    def digamma(self, x: Taylor) -> Taylor:
        return self.polygamma(0, x)

    def polygamma(self, order: int, x: Taylor) -> Taylor:
        value = x.terms[0]
        return _composed([self.xp.polygamma(order + k, value) / math.factorial(k) for k in range(len(x.terms))], x)

    def sizes(self, x: Taylor) -> Taylor:
        """|terms[k]| tᵏ"""
        return Taylor([c if c.__class__ is float else self.xp.sizes(c) for c in x.terms])

    def matters(self, x: Taylor, total: Taylor, epsilon: float) -> Any:
        """Where some term of `x` is larger than `epsilon` times that of `total`."""
        out = None
        for a, b in zip(x.terms, total.terms):
            if not _is_zero(a):
                each = self.xp.matters(a, b, epsilon)
                out = each if out is None else out | each
        return out

    def iterate(self, step: Callable[..., Any], state: Sequence[Taylor], pending: Any) -> Sequence[Taylor]:
        lengths = [len(x.terms) for x in state]

        def parts(state: Sequence[Taylor], like: Any) -> list[Any]:
            return [_full(self.xp, c, like) if c.__class__ is float else c for x in state for c in x.terms]

        def whole(parts: Sequence[Any]) -> list[Taylor]:
            rest = iter(parts)
            return [Taylor([next(rest) for _ in range(n)]) for n in lengths]

        def step_of_parts(n: Any, *args: Any) -> Any:
            out, pending = step(n if n.__class__ is float else self.constant(n), *whole(args))
            return parts(out, pending), pending

        return whole(self.xp.iterate(step_of_parts, parts(state, pending), pending))


def _full(xp: Any, x: float, like: Any) -> Any:
    """The number `x` as a value of the shape of the condition `like`."""
    return xp.constant(_full(xp.xp, x, like)) if isinstance(xp, Polynomials) else xp.where(like, x, x)


def derivative(xp: Any, formula: Callable[..., Any], operands: Sequence[Any], orders: Sequence[int]) -> Any:
    """The derivative of `formula(xp, *operands)` by each operand as often as `orders` says.

    >>> from pullback.lax.incomplete import Eager
    >>> import numpy as np
    >>> derivative(Eager, lambda xp, x, y: xp.exp(x * y) * y, [np.float64(0.0), np.float64(2.0)], [1, 1])
    np.float64(4.0)
    """
    for i, order in enumerate(orders):
        if order:
            xp = Polynomials(xp, order)
            operands = [xp.variable(v) if k == i else xp.constant(v) for k, v in enumerate(operands)]
    out = formula(xp, *operands)
    for order in reversed([n for n in orders if n]):
        out = _times(out.terms[order], float(math.factorial(order)))
    return out
