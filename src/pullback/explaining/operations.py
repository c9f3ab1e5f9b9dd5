"""What a program does, counted: its operations by kind, with their arithmetic, their traffic and their lines.

Arithmetic is counted as in Golub and Van Loan, *Matrix Computations* (4th edition, 1.1.15): one for each
addition, multiplication, division or comparison of floating-point numbers; one for each value of a function
like `exp`, whatever it takes; nothing for what only moves elements. A loop counts as often as it runs; one
whose steps are only known when it has run counts once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr, JaxprEqn, Literal, subjaxprs
from pullback.core.primitive import Fusion


@dataclass
class Kind:
    """The operations of one kind: how many, their arithmetic, bytes that they read and write (if each went
    to memory), and how many come from each of the user's lines."""

    name: str
    count: int = 0
    flops: int = 0
    bytes: int = 0
    lines: dict[str, int] = field(default_factory=dict)


@dataclass
class Account:
    """Everything that a program does: its kinds of operations, the most arithmetic first; and whether it has
    loops of which it is not known how often they run."""

    kinds: list[Kind]
    open_loops: bool

    @property
    def flops(self) -> int:
        return sum(k.flops for k in self.kinds)

    @property
    def bytes(self) -> int:
        return sum(k.bytes for k in self.kinds)

    @property
    def count(self) -> int:
        return sum(k.count for k in self.kinds)


def account(closed: ClosedJaxpr) -> Account:
    """Count a program's operations, those of inner programs with it."""
    kinds: dict[str, Kind] = {}
    found = Account([], open_loops=False)

    def add(closed: ClosedJaxpr, times: int) -> None:
        for e in closed.eqns:
            inner = subjaxprs(e.params)
            if inner:
                found.open_loops |= e.primitive.name == "while"
                # Of the branches, the one with the most arithmetic.
                chosen = [max(inner, key=lambda c: account(c).flops)] if e.primitive.name == "cond" else inner
                for c in chosen:
                    add(c, times * e.params.get("length", 1))
                continue
            kind = kinds.setdefault(e.primitive.name, Kind(e.primitive.name))
            kind.count += times
            kind.flops += times * flops(e)
            kind.bytes += times * traffic(e)
            kind.lines[e.source] = kind.lines.get(e.source, 0) + times

    add(closed, 1)
    found.kinds = sorted(kinds.values(), key=lambda k: (-k.flops, -k.bytes, k.name))
    return found


def traffic(e: JaxprEqn) -> int:
    """Bytes of an operation's operands and results."""
    return sum(x.aval.nbytes for x in (*e.invars, *e.outvars) if not isinstance(x, Literal))


def flops(e: JaxprEqn) -> int:
    """The arithmetic of an operation, not of programs within it."""
    rule = _RULES.get(e.primitive.name)
    operand, result = (e.invars[0].aval if e.invars else None), e.outvars[0].aval
    if rule is not None:
        n = rule(e)
    elif e.primitive.name in ("convert_element_type", "select_n", "copy", "stop_gradient", "real", "imag"):
        n = 0
    elif e.primitive.fusion in (Fusion.ELEMENTWISE, Fusion.REPEATING) and e.primitive.name != "broadcast_in_dim":
        n = result.size
    elif e.primitive.fusion in (Fusion.REDUCING, Fusion.REREADING) and operand is not None:
        n = operand.size
    else:
        return 0
    arithmetic = any(dtypes.is_inexact(x.aval.dtype) for x in (*e.invars, *e.outvars))
    complex_ = any(dtypes.is_complex(x.aval.dtype) for x in (*e.invars, *e.outvars))
    # A product of complex numbers is four products and two sums, a sum two.
    return int(n) * (4 if complex_ else 1) if arithmetic else 0


def _contraction(e: JaxprEqn) -> int:
    (contracted, _), _ = e.params["dimension_numbers"]
    return 2 * e.outvars[0].aval.size * math.prod(e.invars[0].aval.shape[i] for i in contracted)


def _convolution(e: JaxprEqn) -> int:
    _, kernel = (x.aval for x in e.invars)
    spec = e.params["dimension_numbers"].rhs_spec
    return 2 * e.outvars[0].aval.size * kernel.size // kernel.shape[spec[0]]


def _matrix(leading: float) -> Callable[[JaxprEqn], int]:
    """leading · m·n·min(m, n) for matrices of m rows and n columns."""

    def count(e: JaxprEqn) -> int:
        *batch, m, n = e.invars[0].aval.shape
        return int(leading * math.prod(batch) * m * n * min(m, n))

    return count


def _triangular(e: JaxprEqn) -> int:
    a, b = (x.aval for x in e.invars)
    return int(a.shape[-1]) * int(b.size)


def _transform(e: JaxprEqn) -> int:
    n = math.prod(e.params["fft_lengths"])
    size = max(x.aval.size for x in (*e.invars, *e.outvars))
    return int(5 * size * math.log2(max(n, 2))) // 4


def _cumulative(e: JaxprEqn) -> int:
    return int(e.invars[0].aval.size)


_RULES: dict[str, Callable[[JaxprEqn], int]] = {
    "dot_general": _contraction,
    "conv_general_dilated": _convolution,
    "cholesky": _matrix(1 / 3),
    "lu": _matrix(2 / 3),
    "qr": _matrix(4 / 3),
    "eigh": _matrix(9),
    "svd": _matrix(14),
    "eig": _matrix(25),
    "triangular_solve": _triangular,
    "fft": _transform,
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "scatter_add"), _cumulative),
}
