"""Symbolic dimensions: sizes of axes that have names, in programs that are written once and serve every size.

    a, b = symbolic_shape("a, b")
    (2 * a + 4) // 2        a + 2
    a >= 1                  True, and for all that is not said to be otherwise
    a >= 2                  InconclusiveDimensionOperation

A `Dim` is a polynomial in named sizes, floor divisions and maxima, with integer coefficients. The
other operations are made of these: `x % y` is x - y*(x//y), the minimum of x and y is x + y - max(x, y);
so equal polynomials are equal expressions. Named sizes are at least 1, and below 2^31. Comparisons hold for every size
that the constraints of the `SymbolicScope` admit, or raise; `==` holds if two expressions are the same, and
raises for a remainder that is compared with a number (`a % 2 == 0`).

Shapes may have `Dim`s wherever types of arrays are all that is needed: in functions that are staged. What
must have a number refuses them: they have no `__index__`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pullback.core.errors import InconclusiveDimensionOperation, user_line

if TYPE_CHECKING:
    from pullback.core.array import Array
    from pullback.core.dtypes import DType
    from pullback.core.names import Argument, Size, Value
    from pullback.core.symbolic_shapes import SymbolicScope


class Atom(NamedTuple):
    """What polynomials are made of: a named size, or an operation on two sizes.

    Example: `Atom("a", ())`; `Atom("floordiv", (a, 2))`.
    """

    name: str
    operands: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name}({self.operands[0]}, {self.operands[1]})" if self.operands else self.name


#: A product of powers of atoms, in the order of their texts; the empty one is 1.
Monomial = tuple[tuple[Atom, int], ...]
Terms = dict[Monomial, int]

ONE: Monomial = ()
#: How many facts are subtracted one after the other, to find a bound.
_DEPTH = 3
#: How many values a remainder may have that is compared with a number.
_FEW = 1 << 16
#: The largest size that a name may have: positions in an axis are counted with 32 bits.
LARGEST = 2**31 - 1


def degree(m: Monomial) -> tuple[int, tuple[Any, ...]]:
    """The order of monomials in texts, and of leading terms in divisions: that of degrees first."""
    return -sum([power for _, power in m]), tuple([(str(atom), -power) for atom, power in m])


def _product(m: Monomial, n: Monomial) -> Monomial:
    powers = dict(m)
    for atom, power in n:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _quotient(m: Monomial, n: Monomial) -> Monomial | None:
    powers = dict(m)
    for atom, power in n:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    return tuple([(atom, power) for atom, power in powers.items() if power])


class Dim:
    """A symbolic dimension: see the module's text. Immutable; `symbolic_shape` makes them.

    Example: `a + 1`, where `(a,) = symbolic_shape("a")`.
    """

    __slots__ = ("scope", "terms", "_hash", "_text", "_divides")

    #: As NumPy has it: arrays leave operations with dimensions to them.
    __array_ufunc__ = None

    def __init__(self, scope: SymbolicScope, terms: Terms) -> None:
        self.scope = scope
        self.terms = tuple(sorted(terms.items(), key=lambda term: degree(term[0])))
        self._hash = hash((id(scope), frozenset(self.terms)))
        self._text: str | None = None
        #: Whether there are divisions in it, of which remainders are made.
        self._divides = any([a.name == "floordiv" and bool(a.operands) for m in terms for a, _ in m])

    # ---- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Argument) -> Size:
        terms = _terms_of(self.scope, other)
        return _as_array(self) + other if terms is None else size_of(self.scope, _sum(dict(self.terms), terms))

    def __sub__(self, other: Argument) -> Size:
        terms = _terms_of(self.scope, other)
        return _as_array(self) - other if terms is None else size_of(self.scope, _sum(dict(self.terms), terms, -1))

    def __rsub__(self, other: Argument) -> Size:
        terms = _terms_of(self.scope, other)
        return other - _as_array(self) if terms is None else size_of(self.scope, _sum(terms, dict(self.terms), -1))

    def __mul__(self, other: Argument) -> Size:
        terms = _terms_of(self.scope, other)
        return _as_array(self) * other if terms is None else size_of(self.scope, _times(dict(self.terms), terms))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Size:
        return self * -1

    def __pos__(self) -> Dim:
        return self

    def __pow__(self, power: Argument) -> Size:
        if not hasattr(type(power), "__index__") or (n := operator.index(power)) < 0:
            return _as_array(self) ** power
        return math.prod([self] * n)

    def __floordiv__(self, other: Argument) -> Size:
        return _as_array(self) // other if _terms_of(self.scope, other) is None else _floordiv(self.scope, self, other)

    def __rfloordiv__(self, other: Argument) -> Size:
        return other // _as_array(self) if _terms_of(self.scope, other) is None else _floordiv(self.scope, other, self)

    def __mod__(self, other: Argument) -> Size:
        return _as_array(self) % other if _terms_of(self.scope, other) is None else self - other * (self // other)

    def __rmod__(self, other: Argument) -> Size:
        return other % _as_array(self) if _terms_of(self.scope, other) is None else other - self * (other // self)

    def __divmod__(self, other: Argument) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Argument) -> tuple[Any, Any]:
        return other // self, other % self

    def __truediv__(self, other: Argument) -> Array:
        return _as_array(self) / other

    def __rtruediv__(self, other: Argument) -> Array:
        return other / _as_array(self)

    # ---- comparisons -----------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if other.__class__ is Dim:
            if self is other:
                return True
            if self._hash == other._hash and self.scope is other.scope and self.terms == other.terms:
                return True
        elif other.__class__ is int and self._divides and _may_be(self, other):
            raise InconclusiveDimensionOperation(
                f"whether {self} is {other} depends on the sizes that stand for the names, at {user_line()}. If all have the same, say so: "
                f'symbolic_shape(..., constraints=["{self} == {other}"]); if not, export a function for each case'
            )
        return False

    def __hash__(self) -> int:
        return self._hash

    def __ge__(self, other: Argument) -> bool:
        return self._is_at_least(other, ">=", 0)

    def __gt__(self, other: Argument) -> bool:
        return self._is_at_least(other, ">", 1)

    def __lt__(self, other: Argument) -> bool:
        return not self._is_at_least(other, "<", 0)

    def __le__(self, other: Argument) -> bool:
        return not self._is_at_least(other, "<=", 1)

    def _is_at_least(self, other: Argument, sign: str, margin: int) -> bool:
        found = at_least(self - other, margin)
        if found is None:
            bound = other + {">": 1, "<": -1}.get(sign, 0)
            raise InconclusiveDimensionOperation(
                f"whether {self} {sign} {other} depends on the sizes that stand for the names, at {user_line()}. If it holds for all that "
                f'the program is for, say so: symbolic_shape(..., constraints=["{self} {sign[0]}= {bound}"]); if not, export a function for '
                "each case"
            )
        return found

    def __bool__(self) -> bool:
        if at_least(self, 1) or at_least(-self, 1):
            return True
        raise InconclusiveDimensionOperation(
            f"whether {self} is 0 depends on the sizes that stand for the names, at {user_line()}. If it is for all that the program is for, "
            f'say so: symbolic_shape(..., constraints=["{self} == 0"]), and "{self} >= 1" if for none; if not, export a function for each case'
        )

    # ---- as other things -------------------------------------------------------------------------

    def __int__(self) -> int:
        raise InconclusiveDimensionOperation(
            f"the symbolic dimension {self} has no value while a function is traced, at {user_line()}: a number is needed here. "
            "`jnp.array(dimension)` is its value as an array"
        )

    __float__ = __complex__ = __int__

    def __jax_array__(self) -> Array:
        return _as_array(self)

    def __str__(self) -> str:
        if self._text is None:
            self._text = _text(self.scope, dict(self.terms))
        return self._text

    __repr__ = __str__


def _as_array(dim: Dim) -> Size:
    """The size that a dimension stands for, as a weakly typed integer of the program that is being
    staged."""
    return value_of(dim, None, True)


def value_of(dim: Dim, dtype: DType | None, weak_type: bool) -> Value:
    """The size that a dimension stands for, as an array of some type: the default integer, if
    `dtype` is None. `lax.creation` supplies it."""
    raise NotImplementedError("pullback.lax has not been imported")


def index(n: Argument) -> Size:
    """`operator.index`, which lets symbolic dimensions pass. Raises TypeError for what is no integer."""
    return n if n.__class__ is Dim else operator.index(n)


def is_symbolic(shape: Iterable[Any]) -> bool:
    """Whether some of the sizes of a shape are symbolic."""
    return any([n.__class__ is Dim for n in shape])


# ---- polynomials ---------------------------------------------------------------------------------


def _terms_of(scope: SymbolicScope, x: Size) -> Terms | None:
    """A size as a polynomial; None for what is no size. Raises ValueError for one of another scope."""
    if x.__class__ is Dim:
        if x.scope is not scope:
            raise ValueError(
                f"symbolic dimensions of two scopes, {x} among them, do not mix, at {user_line()}: make all with one "
                "`symbolic_shape`, or with the same `scope`"
            )
        return dict(x.terms)
    if hasattr(type(x), "__index__") and not getattr(x, "shape", ()) and type(x).__module__ in ("builtins", "numpy"):
        return {ONE: operator.index(x)}
    return None


def _sum(x: Terms, y: Terms, factor: int = 1) -> Terms:
    for m, c in y.items():
        x[m] = x.get(m, 0) + factor * c
    return x


def _times(x: Terms, y: Terms) -> Terms:
    out: Terms = {}
    for m, c in x.items():
        for n, k in y.items():
            mn = _product(m, n)
            out[mn] = out.get(mn, 0) + c * k
    return out


def dim_of(scope: SymbolicScope, atom: Atom) -> Dim:
    """The dimension that is one atom."""
    return Dim(scope, {((atom, 1),): 1})


def size_of(scope: SymbolicScope, terms: Terms) -> Size:
    """The size that a polynomial is: a number if it has no names."""
    for lead, (divisor, rest) in scope.rules.items():
        c = terms.get(lead, 0)
        if c and c % divisor == 0:
            del terms[lead]
            terms = _sum(terms, rest, c // divisor)
    terms = {m: c for m, c in terms.items() if c}
    if not terms:
        return 0
    if len(terms) == 1 and ONE in terms:
        return terms[ONE]
    return Dim(scope, terms)


def _floordiv(scope: SymbolicScope, x: Size, y: Size) -> Size:
    if y.__class__ is not Dim:
        y = operator.index(y)
        if y == 0:
            raise ZeroDivisionError(f"division of the symbolic dimension {x} by zero, at {user_line()}")
        if y < 0:
            x, y = -x, -y
    dividend, divisor = _terms_of(scope, x), _terms_of(scope, y)
    assert dividend is not None
    assert divisor is not None
    # x = q*y + r, with what of x is divisible in q: x//y = q + r//y.
    lead = min(divisor, key=degree)
    quotient: Terms = {}
    rest: Terms = {}
    left = dict(dividend)
    while left:
        m = min(left, key=degree)
        n = _quotient(m, lead)
        k = left[m] // divisor[lead] if n is not None and (y.__class__ is int or not left[m] % divisor[lead]) else 0
        if n is None or not k:
            rest[m] = left.pop(m)
            continue
        quotient[n] = quotient.get(n, 0) + k
        left = {p: c for p, c in _sum(left, _times({n: k}, divisor), -1).items() if c}
        if m in left:  # what is left of an integer coefficient
            rest[m] = left.pop(m)
    remainder = size_of(scope, rest)
    if remainder.__class__ is int and y.__class__ is int:
        return size_of(scope, _sum(quotient, {ONE: remainder // y}))
    if remainder.__class__ is int and remainder == 0:
        return size_of(scope, quotient)
    if at_least(remainder, 0) and at_least(y - remainder, 1):
        return size_of(scope, quotient)
    if at_least(-remainder, 1) and at_least(remainder + y, 0):
        return size_of(scope, _sum(quotient, {ONE: -1}))
    return size_of(scope, quotient) + dim_of(scope, Atom("floordiv", (remainder, y)))


def max_dim(d1: Size, d2: Size) -> Size:
    """The larger of two sizes, symbolic ones among them; where that depends on the sizes, a dimension
    that says so.

    >>> from pullback.core.symbolic_shapes import symbolic_shape
    >>> n, m = symbolic_shape("n, m")
    >>> max_dim(2, 3), max_dim(n, 1), max_dim(n, m)
    (3, n, max(m, n))
    """
    scope = d1.scope if d1.__class__ is Dim else d2.scope if d2.__class__ is Dim else None
    if scope is None:
        return max(d1, d2)
    if at_least(d1 - d2, 0):
        return d1
    if at_least(d2 - d1, 0):
        return d2
    return dim_of(scope, Atom("max", tuple(sorted((d1, d2), key=lambda n: (n.__class__ is int, str(n))))))


def min_dim(d1: Size, d2: Size) -> Size:
    """The smaller of two sizes, symbolic ones among them. See `max_dim`.

    >>> from pullback.core.symbolic_shapes import symbolic_shape
    >>> (n,) = symbolic_shape("n")
    >>> min_dim(2, 3), min_dim(n, n + 1)
    (2, n)
    """
    if d1.__class__ is not Dim and d2.__class__ is not Dim:
        return min(d1, d2)
    return d1 + d2 - max_dim(d1, d2)


# ---- what is known of them -----------------------------------------------------------------------


def at_least(x: Size, margin: int) -> bool | None:
    """Whether `x >= margin` for all sizes that the constraints admit; None if not for all, and not
    for none."""
    if x.__class__ is not Dim:
        return bool(x >= margin)
    if _lower(x.scope, dict(x.terms), _DEPTH) >= margin:
        return True
    return False if -_lower(x.scope, {m: -c for m, c in x.terms}, _DEPTH) < margin else None


def _may_be(x: Dim, n: Size) -> bool:
    """Whether a remainder, or something else that has few values, has the value `n` for some sizes
    and another one for others: asking for it is asking for a property of sizes, not whether two are
    the same."""
    low, high = dim_bounds(x)
    return low <= n <= high and high - low < _FEW


def dim_bounds(x: Size) -> tuple[float, float]:
    """Numbers between which a size is; -inf and inf where there are none.

    >>> from pullback.core.symbolic_shapes import symbolic_shape
    >>> n, m = symbolic_shape("n, m", constraints=["m <= 8"])
    >>> dim_bounds(m), dim_bounds(n + 2), dim_bounds(5)
    ((1, 8), (3, 2147483649), (5, 5))
    """
    if x.__class__ is not Dim:
        return x, x
    return _lower(x.scope, dict(x.terms), _DEPTH), -_lower(x.scope, {m: -c for m, c in x.terms}, _DEPTH)


def _lower(scope: SymbolicScope, terms: Terms, depth: int) -> float:
    """A lower bound: by the bounds of the monomials, and by what is known not to be negative, of
    which multiples are subtracted so that monomials cancel."""
    lows = {m: (c * _bounds_of(scope, m)[c < 0] if m else c) for m, c in terms.items()}
    best = sum(lows.values())
    if depth == 0 or not terms:
        return best
    for fact in (*scope.facts, *_facts_of(scope, terms)):
        for m, c in terms.items():
            for n, f in fact.items():
                # A multiple of the fact in which m is, by a product that is not negative: by 1, but in
                # the first step.
                factor = _quotient(m, n) if n and c * f > 0 else None
                if factor is None or lows[m] == 0 or (factor and (depth < _DEPTH or _bounds_of(scope, factor)[0] < 0)):
                    continue
                multiple = {_product(factor, p): k for p, k in fact.items()}
                left = _sum({p: k * abs(f) for p, k in terms.items()}, multiple, -abs(c))
                low = _lower(scope, {p: k for p, k in left.items() if k}, depth - 1)
                if low > -math.inf:
                    best = max(best, low if low == math.inf else -(-int(low) // abs(f)))
    return best


def _interval(x: Size) -> tuple[float, float]:
    """Numbers between which a size is, by the bounds of what it is made of alone."""
    if x.__class__ is not Dim:
        return x, x
    return _lower(x.scope, dict(x.terms), 0), -_lower(x.scope, {m: -c for m, c in x.terms}, 0)


def _bounds_of(scope: SymbolicScope, m: Monomial) -> tuple[float, float]:
    low: float = 1
    high: float = 1
    for atom, power in m:
        lo, hi = _bounds_of_atom(scope, atom)
        for _ in range(power):
            ends = [0 if 0 in (u, v) else u * v for u in (low, high) for v in (lo, hi)]
            low, high = min(ends), max(ends)
    return low, high


def _bounds_of_atom(scope: SymbolicScope, atom: Atom) -> tuple[float, float]:
    if not atom.operands:
        return scope.bounds(atom.name)
    (low, high), (y_low, y_high) = map(_interval, atom.operands)
    if atom.name == "max":
        return max(low, y_low), max(high, y_high)
    if y_low < 1:
        return -math.inf, math.inf
    ends = [_floor(x, y) for x in (low, high) for y in (y_low, y_high)]
    return min(ends), max(ends)


def _floor(x: float, y: float) -> float:
    if math.isinf(x):
        return 0 if math.isinf(y) and x > 0 else x
    return (0 if x >= 0 else -1) if math.isinf(y) else x // y


def _facts_of(scope: SymbolicScope, terms: Terms) -> list[Terms]:
    """What is never negative by the meaning of the operations in a polynomial."""
    facts = []
    for m in terms:
        for atom, _ in m:
            if not atom.operands:
                continue
            x, y = atom.operands
            it = dim_of(scope, atom)
            if atom.name == "max":
                facts += [it - x, it - y]
                least = min(_interval(x)[0], _interval(y)[0])
                if least > -math.inf:
                    facts.append(x + y - int(least) - it)
            elif _interval(y)[0] >= 1:
                facts += [x - it * y, it * y + y - 1 - x]
    return [dict(f.terms) for f in facts if f.__class__ is Dim]


# ---- values and texts ----------------------------------------------------------------------------


def evaluate(x: Size, sizes: Mapping[str, Any]) -> Size:
    """A size, where names have sizes: numbers, or dimensions of another scope."""
    if x.__class__ is not Dim:
        return x
    return sum([c * math.prod([evaluate_atom(atom, sizes) ** power for atom, power in m]) for m, c in x.terms])


def evaluate_atom(atom: Atom, sizes: Mapping[str, Any]) -> Size:
    if not atom.operands:
        return sizes[atom.name]
    x, y = [evaluate(operand, sizes) for operand in atom.operands]
    return max_dim(x, y) if atom.name == "max" else x // y


def typical(x: Size) -> int:
    """A number in the place of a size, for choices between ways of computing that all are right."""
    found: int = evaluate(x, _Typical())
    return found


class _Typical(dict[str, int]):
    """Each name has the same size.

    Example: `_Typical()["a"]` is 64.
    """

    def __missing__(self, name: str) -> int:
        return 64


def names_of(x: Size) -> set[str]:
    """The names in a size."""
    if x.__class__ is not Dim:
        return set()
    atoms = [atom for m, _ in x.terms for atom, _ in m]
    return {
        name
        for atom in atoms
        for name in (set().union(*map(names_of, atom.operands)) if atom.operands else {atom.name})
    }


def _text(scope: SymbolicScope, terms: Terms) -> str:
    terms, extra = _with_names(scope, terms)
    parts = [(c, "*".join([str(a) if p == 1 else f"{a}^{p}" for a, p in m])) for m, c in terms.items() if c]
    parts = [*extra, *parts]
    text = ""
    for c, factors in parts:
        sign = (" - " if c < 0 else " + ") if text else ("-" if c < 0 else "")
        size = abs(c)
        text += sign + (factors if size == 1 and factors else f"{size}*{factors}" if factors else str(size))
    return text or "0"


def _with_names(scope: SymbolicScope, terms: Terms) -> tuple[Terms, list[tuple[int, str]]]:
    """Without what is a remainder or a minimum; these, as texts with their coefficients."""
    extra = []
    for m in list(terms):
        for atom, power in m:
            if not atom.operands or power != 1 or m not in terms:
                continue
            x, y = atom.operands
            # x % y is x - y*(x//y), the minimum x + y - max(x, y): either is written where it is shorter.
            it = dim_of(scope, atom)
            whole = x - y * it if atom.name == "floordiv" else x + y - it
            if whole.__class__ is not Dim:
                continue
            pattern = dict(whole.terms)
            c, divisor = terms[m], pattern.get(m, 0)
            if not divisor or c % divisor:
                continue
            left = {n: k for n, k in _sum(dict(terms), pattern, -(c // divisor)).items() if k}
            if len(left) + 1 < len([k for k in terms.values() if k]):
                name = "mod" if atom.name == "floordiv" else "min"
                extra.append((c // divisor, f"{name}({x}, {y})"))
                terms = left
    return terms, extra


# ---- slices --------------------------------------------------------------------------------------


def slice_bounds(s: slice, n: Size) -> tuple[Any, Any, int]:
    """`s.indices(n)`, where start, stop and length may be symbolic dimensions."""
    if not is_symbolic((s.start, s.stop, n)):
        return s.indices(n)
    step = 1 if s.step is None else operator.index(s.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first, last = (low, high) if step > 0 else (high, low)

    def position(i: Size, default: Size) -> Size:
        if i is None:
            return default
        return min_dim(max_dim(i + n if i < 0 else i, low), high)

    return position(s.start, first), position(s.stop, last), step


def slice_length(start: Size, stop: Size, step: int) -> Size:
    """`len(range(start, stop, step))`, where start and stop may be symbolic dimensions."""
    if not is_symbolic((start, stop)):
        return len(range(start, stop, step))
    return max_dim(0, -((start - stop) // step))


def is_position(i: Size, n: Size) -> bool:
    """Whether `i` is surely one of 0, 1, ..., n - 1, or with a minus sign one of the last."""
    if i.__class__ is int and n.__class__ is int:
        return bool(-n <= i < n)
    return bool(at_least(i, 0) and at_least(n - i, 1)) or bool(at_least(-i, 1) and at_least(i + n, 0))
