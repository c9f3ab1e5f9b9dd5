"""The polynomials that special functions are made of: `approximations.txt`, which
`tools/special_tables.py` computes, with shorter ones for float32."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any


@cache
def table() -> dict[str, list[float]]:
    """The polynomials by name, coefficients of t⁰, t¹, ...

    >>> len(table()["sin_pi/32"]) < len(table()["sin_pi"])
    True
    """
    text = resources.files("pullback.lax").joinpath("approximations.txt").read_text("utf-8")
    rows = (line.split() for line in text.splitlines())
    return {name: [float(c) for c in coefficients] for name, *coefficients in rows}


class Tables:
    """The polynomials as functions of a namespace for formulas. `single` says that the result has at most
    the precision of float32, whatever it is computed in."""

    single = False

    def polynomial(self, name: str, t: Any) -> Any:
        """The polynomial `name` of t in [-1, 1]."""
        coefficients = table()[name + "/32" if self.single else name]
        # Even and odd powers apart: two chains of operations that do not wait for each other.
        square = t * t
        chains = []
        for start in (0, 1):
            *rest, out = coefficients[start::2]
            for c in reversed(rest):
                out = square * out + c
            chains.append(out)
        even, odd = chains
        return t * odd + even

    def linear(self, name: str, x: Any, low: float, high: float) -> Any:
        """The polynomial `name` of `x` in [low, high]."""
        return self.polynomial(name, (x - low) * (2 / (high - low)) - 1)

    def reciprocal(self, name: str, x: Any, low: float, high: float = float("inf")) -> Any:
        """The polynomial `name` of 1/x for `x` in [low, high]."""
        above = 1 / high
        scale = 2 / (1 / low - above)
        return self.polynomial(name, scale / x - (above * scale + 1))
