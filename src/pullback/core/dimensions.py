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

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pullback.core.errors import InconclusiveDimensionOperation, user_line

if TYPE_CHECKING:
    from pullback.core.array import Array
    from pullback.core.names import Argument


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

_ONE: Monomial = ()
#: How many values a remainder may have that is compared with a number.
_FEW = 1 << 16
#: The largest size that a name may have: positions in an axis are counted with 32 bits.
LARGEST = 2**31 - 1


def _degree(m: Monomial) -> tuple[int, tuple[Any, ...]]:
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


class SymbolicScope:
    """What the names of symbolic dimensions mean: expressions of one scope have the same sizes
    under the same names.

    `constraints_str` are texts "e1 >= e2", "e1 <= e2" or "e1 == e2", which comparisons may rely on
    and calls of exported functions check. Raises ValueError for other texts.

    >>> scope = SymbolicScope(["a >= 3", "b == 2*a"])
    >>> a, b = symbolic_shape("a, b", scope=scope)
    >>> a >= 2, b
    (True, 2*a)
    """

    def __init__(self, constraints_str: Sequence[str] = ()) -> None:
        if isinstance(constraints_str, str):
            raise ValueError(
                f"SymbolicScope: constraints must be a sequence of texts, got the text {constraints_str!r}"
            )
        self.constraints = tuple(constraints_str)
        #: Expressions that are not negative.
        self.facts: list[Terms] = []
        #: Sizes that an equality replaces by others.
        self.replaced: dict[str, Any] = {}
        #: Multiples of monomials that equalities replace: {q: (2, terms)} stands for 2*q == terms.
        self.rules: dict[Monomial, tuple[int, Terms]] = {}
        self._bounds: dict[str, tuple[float, float]] = {}
        for text in self.constraints:
            self._constrain(text)

    def _constrain(self, text: str) -> None:
        found = [sign for sign in ("==", ">=", "<=") if isinstance(text, str) and sign in text]
        if len(found) != 1 or text.count(found[0]) != 1:
            raise ValueError(f"the constraint {text!r} must be one of 'e1 == e2', 'e1 >= e2' and 'e1 <= e2'")
        left, right = [parse_size(side, self) for side in text.split(found[0])]
        difference = left - right
        if found[0] == "==":
            self._equate(difference, text)
            return
        if found[0] == "<=":
            difference = -difference
        if difference.__class__ is int:
            if difference < 0:
                raise ValueError(f"the constraint {text!r} is never true")
            return
        self.facts.append(dict(difference.terms))
        self._bound(dict(difference.terms))

    def _equate(self, difference: Any, text: str) -> None:
        if difference.__class__ is int:
            if difference:
                raise ValueError(f"the constraint {text!r} is never true")
            return
        terms = dict(difference.terms)
        for m, c in sorted(terms.items(), key=lambda term: _degree(term[0])):
            if len(m) == 1 and m[0][1] == 1 and not m[0][0].operands and abs(c) == 1:  # a name: it is what the rest is
                rest = _size(self, {n: -c * k for n, k in terms.items() if n != m})
                if rest.__class__ is int and rest < 1:
                    raise ValueError(f"the constraint {text!r} says that {m[0][0]} is {rest}: sizes are at least 1")
                if m[0][0].name not in str(rest):
                    self.replaced[m[0][0].name] = rest
                    if rest.__class__ is not int:
                        self.facts.append(dict((rest - 1).terms) if (rest - 1).__class__ is Dim else {})
                    return
        negative = {m: -c for m, c in terms.items()}
        self.facts += [terms, negative]
        lead, c = min(terms.items(), key=lambda term: (not any(a.operands for a, _ in term[0]), _degree(term[0])))
        sign = 1 if c > 0 else -1
        self.rules[lead] = (abs(c), {m: -sign * k for m, k in terms.items() if m != lead})

    def _bound(self, terms: Terms) -> None:
        # A constraint of one named size is a bound.
        names = [m for m in terms if m]
        if len(names) != 1 or len(names[0]) != 1 or names[0][0][1] != 1 or names[0][0][0].operands:
            return
        name, c, k = names[0][0][0].name, terms[names[0]], terms.get(_ONE, 0)
        low, high = self.bounds(name)
        self._bounds[name] = (max(low, -(k // c)), high) if c > 0 else (low, min(high, k // -c))

    def bounds(self, name: str) -> tuple[float, float]:
        """The smallest and the largest size that a name may have."""
        return self._bounds.get(name, (1, LARGEST))

    def dim(self, name: str) -> Any:
        """The size of a name."""
        found = self.replaced.get(name)
        return Dim(self, {((Atom(name, ()), 1),): 1}) if found is None else found

    def __repr__(self) -> str:
        return f"SymbolicScope({list(self.constraints)})" if self.constraints else "SymbolicScope()"


class Dim:
    """A symbolic dimension: see the module's text. Immutable; `symbolic_shape` makes them.

    Example: `a + 1`, where `(a,) = symbolic_shape("a")`.
    """

    __slots__ = ("scope", "terms", "_hash", "_text", "_divides")

    #: As NumPy has it: arrays leave operations with dimensions to them.
    __array_ufunc__ = None

    def __init__(self, scope: SymbolicScope, terms: Terms) -> None:
        self.scope = scope
        self.terms = tuple(sorted(terms.items(), key=lambda term: _degree(term[0])))
        self._hash = hash((id(scope), frozenset(self.terms)))
        self._text: str | None = None
        #: Whether there are divisions in it, of which remainders are made.
        self._divides = any([a.name == "floordiv" and bool(a.operands) for m in terms for a, _ in m])

    # ---- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Argument) -> Any:
        terms = _terms_of(self.scope, other)
        return _as_array(self) + other if terms is None else _size(self.scope, _sum(dict(self.terms), terms))

    def __sub__(self, other: Argument) -> Any:
        terms = _terms_of(self.scope, other)
        return _as_array(self) - other if terms is None else _size(self.scope, _sum(dict(self.terms), terms, -1))

    def __rsub__(self, other: Argument) -> Any:
        terms = _terms_of(self.scope, other)
        return other - _as_array(self) if terms is None else _size(self.scope, _sum(terms, dict(self.terms), -1))

    def __mul__(self, other: Argument) -> Any:
        terms = _terms_of(self.scope, other)
        return _as_array(self) * other if terms is None else _size(self.scope, _times(dict(self.terms), terms))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Any:
        return self * -1

    def __pos__(self) -> Dim:
        return self

    def __pow__(self, power: Argument) -> Any:
        if not hasattr(type(power), "__index__") or (n := operator.index(power)) < 0:
            return _as_array(self) ** power
        return math.prod([self] * n)

    def __floordiv__(self, other: Argument) -> Any:
        return _as_array(self) // other if _terms_of(self.scope, other) is None else _floordiv(self.scope, self, other)

    def __rfloordiv__(self, other: Argument) -> Any:
        return other // _as_array(self) if _terms_of(self.scope, other) is None else _floordiv(self.scope, other, self)

    def __mod__(self, other: Argument) -> Any:
        return _as_array(self) % other if _terms_of(self.scope, other) is None else self - other * (self // other)

    def __rmod__(self, other: Argument) -> Any:
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
            f"whether {self} is 0 depends on the sizes that stand for the names, at {user_line()}"
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


def _as_array(dim: Dim) -> Any:
    """The size that a dimension stands for, as a weakly typed integer of the program that is being
    staged."""
    return value_of(dim, None, True)


def value_of(dim: Dim, dtype: Any, weak_type: bool) -> Any:
    """The size that a dimension stands for, as an array of some type: the default integer, if
    `dtype` is None. `lax.creation` supplies it."""
    raise NotImplementedError("pullback.lax has not been imported")


def is_symbolic(shape: Iterable[Any]) -> bool:
    """Whether some of the sizes of a shape are symbolic."""
    return any([n.__class__ is Dim for n in shape])


# ---- polynomials ---------------------------------------------------------------------------------


def _terms_of(scope: SymbolicScope, x: Any) -> Terms | None:
    """A size as a polynomial; None for what is no size. Raises ValueError for one of another scope."""
    if x.__class__ is Dim:
        if x.scope is not scope:
            raise ValueError(
                f"symbolic dimensions of two scopes, {x} among them, do not mix, at {user_line()}: make all with one "
                "`symbolic_shape`, or with the same `scope`"
            )
        return dict(x.terms)
    if hasattr(type(x), "__index__") and not getattr(x, "shape", ()) and type(x).__module__ in ("builtins", "numpy"):
        return {_ONE: operator.index(x)}
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


def _size(scope: SymbolicScope, terms: Terms) -> Any:
    """The size that a polynomial is: a number if it has no names."""
    for lead, (divisor, rest) in scope.rules.items():
        c = terms.get(lead, 0)
        if c and c % divisor == 0:
            del terms[lead]
            terms = _sum(terms, rest, c // divisor)
    terms = {m: c for m, c in terms.items() if c}
    if not terms:
        return 0
    if len(terms) == 1 and _ONE in terms:
        return terms[_ONE]
    return Dim(scope, terms)


def _floordiv(scope: SymbolicScope, x: Any, y: Any) -> Any:
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
    lead = min(divisor, key=_degree)
    quotient: Terms = {}
    rest: Terms = {}
    left = dict(dividend)
    while left:
        m = min(left, key=_degree)
        n = _quotient(m, lead)
        k = left[m] // divisor[lead] if n is not None and (y.__class__ is int or not left[m] % divisor[lead]) else 0
        if n is None or not k:
            rest[m] = left.pop(m)
            continue
        quotient[n] = quotient.get(n, 0) + k
        left = {p: c for p, c in _sum(left, _times({n: k}, divisor), -1).items() if c}
        if m in left:  # what is left of an integer coefficient
            rest[m] = left.pop(m)
    remainder = _size(scope, rest)
    if remainder.__class__ is int and y.__class__ is int:
        return _size(scope, _sum(quotient, {_ONE: remainder // y}))
    if remainder.__class__ is int and remainder == 0:
        return _size(scope, quotient)
    if at_least(remainder, 0) and at_least(y - remainder, 1):
        return _size(scope, quotient)
    if at_least(-remainder, 1) and at_least(remainder + y, 0):
        return _size(scope, _sum(quotient, {_ONE: -1}))
    return _size(scope, _sum(quotient, {((Atom("floordiv", (remainder, y)), 1),): 1}))


def max_dim(x: Any, y: Any) -> Any:
    """The larger of two sizes, symbolic ones among them; where that depends on the sizes, a
    dimension that says so."""
    scope = x.scope if x.__class__ is Dim else y.scope if y.__class__ is Dim else None
    if scope is None:
        return max(x, y)
    known = at_least(x - y, 0)
    if known is None:
        known = None if not at_least(y - x, 0) else False
    if known is None:
        return Dim(scope, {((Atom("max", tuple(sorted((x, y), key=lambda n: (n.__class__ is int, str(n))))), 1),): 1})
    return x if known else y


def min_dim(x: Any, y: Any) -> Any:
    """The smaller of two sizes, symbolic ones among them."""
    if x.__class__ is not Dim and y.__class__ is not Dim:
        return min(x, y)
    return x + y - max_dim(x, y)


# ---- what is known of them -----------------------------------------------------------------------


def at_least(x: Any, margin: int) -> bool | None:
    """Whether `x >= margin` for all sizes that the constraints admit; None if not for all, and not
    for none."""
    if x.__class__ is not Dim:
        return bool(x >= margin)
    if _lower(x.scope, dict(x.terms), 3) >= margin:
        return True
    return False if -_lower(x.scope, {m: -c for m, c in x.terms}, 3) < margin else None


def _may_be(x: Dim, n: Any) -> bool:
    """Whether a remainder, or something else that has few values, has the value `n` for some sizes
    and another one for others: asking for it is asking for a property of sizes, not whether two are
    the same."""
    low, high = dim_bounds(x)
    return low <= n <= high and high - low < _FEW


def dim_bounds(x: Any) -> tuple[float, float]:
    """Numbers between which a size is; -inf and inf where there are none."""
    if x.__class__ is not Dim:
        return x, x
    return _lower(x.scope, dict(x.terms), 3), -_lower(x.scope, {m: -c for m, c in x.terms}, 3)


def _lower(scope: SymbolicScope, terms: Terms, depth: int) -> float:
    """A lower bound: by the bounds of the monomials, and by what is known not to be negative, of
    which multiples are subtracted so that monomials cancel."""
    lows = {m: (c * _bounds_of(scope, m)[c < 0] if m else c) for m, c in terms.items()}
    best = sum(lows.values())
    if depth == 0 or not terms:
        return best
    for fact in (*scope.facts, *_facts_of(scope, terms)):
        for m, f in fact.items():
            c = terms.get(m, 0)
            if not m or c * f <= 0 or lows[m] == 0:
                continue
            left = _sum({n: k * abs(f) for n, k in terms.items()}, fact, -abs(c))
            low = _lower(scope, {n: k for n, k in left.items() if k}, depth - 1)
            if low > -math.inf:
                best = max(best, low if low == math.inf else -(-int(low) // abs(f)))
    return best


def _interval(x: Any) -> tuple[float, float]:
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
            it = Dim(scope, {((atom, 1),): 1})
            if atom.name == "max":
                facts += [it - x, it - y]
                least = min(_interval(x)[0], _interval(y)[0])
                if least > -math.inf:
                    facts.append(x + y - int(least) - it)
            elif _interval(y)[0] >= 1:
                facts += [x - it * y, it * y + y - 1 - x]
    return [dict(f.terms) for f in facts if f.__class__ is Dim]


# ---- values and texts ----------------------------------------------------------------------------


def evaluate(x: Any, sizes: Mapping[str, Any]) -> Any:
    """A size, where names have sizes: numbers, or dimensions of another scope."""
    if x.__class__ is not Dim:
        return x
    return sum([c * math.prod([_evaluate_atom(atom, sizes) ** power for atom, power in m]) for m, c in x.terms])


def _evaluate_atom(atom: Atom, sizes: Mapping[str, Any]) -> Any:
    if not atom.operands:
        return sizes[atom.name]
    x, y = [evaluate(operand, sizes) for operand in atom.operands]
    return max_dim(x, y) if atom.name == "max" else x // y


def typical(x: Any) -> int:
    """A number in the place of a size, for choices between ways of computing that all are right."""
    found: int = evaluate(x, _Typical())
    return found


class _Typical(dict[str, int]):
    """Each name has the same size.

    Example: `_Typical()["a"]` is 64.
    """

    def __missing__(self, name: str) -> int:
        return 64


def names_of(x: Any) -> set[str]:
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
            whole = (
                x - y * Dim(scope, {((atom, 1),): 1})
                if atom.name == "floordiv"
                else x + y - Dim(scope, {((atom, 1),): 1})
            )
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


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "floordiv": operator.floordiv, "mod": operator.mod, "max": max_dim, "min": min_dim,
}  # fmt: skip


def parse_size(text: str, scope: SymbolicScope) -> Any:
    """The size that a text such as "2*a + floordiv(b, 2)" says. Raises ValueError."""
    try:
        return _read(_syntax(text.strip()), scope, text)
    except SyntaxError as error:
        raise ValueError(f"syntax error in the symbolic dimension {text!r}: {error.msg}") from None


@lru_cache(maxsize=1024)
def _syntax(text: str) -> ast.expr:
    return ast.parse(text.replace("^", "**"), mode="eval").body


_SIGNS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}  # fmt: skip


def _read(node: ast.expr, scope: SymbolicScope, text: str) -> Any:
    if isinstance(node, ast.Constant) and node.value.__class__ is int:
        return node.value
    if isinstance(node, ast.Name):
        return scope.dim(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_read(node.operand, scope, text)
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        x, y = _read(node.left, scope, text), _read(node.right, scope, text)
        if not (isinstance(node.op, ast.Pow) and (y.__class__ is not int or y < 0)):
            return _SIGNS[type(node.op)](x, y)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 2 and not node.keywords:
        operation = _OPERATIONS.get(node.func.id)
        if operation is not None:
            return operation(*[_read(x, scope, text) for x in node.args])
    raise ValueError(
        f"syntax error in the symbolic dimension {text!r}: {ast.unparse(node)!r} is no size. There are integers, names, +, -, *, ^ with a "
        "number, floordiv(x, y), mod(x, y), max(x, y) and min(x, y)"
    )


# ---- shapes --------------------------------------------------------------------------------------


def symbolic_shape(
    shape_spec: str | None, *, constraints: Sequence[str] = (), scope: SymbolicScope | None = None,
    like: Sequence[int | None] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape that a text says, with symbolic dimensions for its names.

    "_" stands for the size of `like` at its place, "..." (and None as a whole) for all sizes that
    remain. `constraints` ("a >= 3", "a <= 2*b", "mod(a, 2) == 0") are what comparisons may rely on;
    dimensions that meet in a program belong to one `scope`, which has constraints of its own.
    Raises ValueError for texts that are no shapes, numbers other than those of `like`, and both
    `scope` and `constraints`.

    >>> a, b, four = symbolic_shape("a, 2*b, 4")
    >>> (a + 1) * b, max_dim(a, 3), four
    (2*a*b + 2*b, max(a, 3), 4)
    """
    if not (shape_spec is None or isinstance(shape_spec, str)):
        raise ValueError(f"symbolic_shape: the shape must be a text or None, got {shape_spec!r:.100}")
    if scope is not None and constraints:
        raise ValueError("symbolic_shape: a scope has its own constraints; give either `scope` or `constraints`")
    scope = SymbolicScope(constraints) if scope is None else scope
    text = "..." if shape_spec is None else shape_spec.strip()
    try:
        tree = _syntax(f"({text.rstrip(',')},)" if text and text != "()" else "()")
    except SyntaxError:
        raise ValueError(f"syntax error in the symbolic shape {text!r}") from None
    if isinstance(tree, ast.Tuple) and len(tree.elts) == 1 and isinstance(tree.elts[0], ast.Tuple):
        tree = tree.elts[0]  # with parentheses of its own
    assert isinstance(tree, ast.Tuple)
    found: list[Any] = []
    for i, node in enumerate(tree.elts):
        if isinstance(node, ast.Constant) and node.value is Ellipsis:
            if like is None or i != len(tree.elts) - 1:
                raise ValueError(
                    f"symbolic shape {text!r}: '...' stands at the end, for what remains of `like`, which is {like}"
                )
            found += like[i:]
            continue
        expected = None if like is None or i >= len(like) else like[i]
        if isinstance(node, ast.Name) and node.id == "_":
            if expected is None:
                raise ValueError(
                    f"symbolic shape {text!r}: '_' stands for the size at its place of `like`, which is {like}"
                )
            found.append(expected)
            continue
        size = _read(node, scope, text)
        if size.__class__ is int and (size < 0 or expected not in (None, size)):
            what = "is negative" if size < 0 else f"is {expected} in `like`, {like}"
            raise ValueError(f"symbolic shape {text!r}: size {size} of axis {i} {what}")
        found.append(size)
    if like is not None and len(found) != len(like):
        raise ValueError(f"symbolic shape {text!r} has {len(found)} axes, `like` has {len(like)}: {tuple(like)}")
    if any([n.__class__ is not int and n.__class__ is not Dim for n in found]):
        raise ValueError(f"symbolic shape {text!r}: no size is known for what stands for those of `like`, {like}")
    return tuple(found)


def solve(shapes: Sequence[tuple[str, Any, Any]]) -> dict[str, Any]:
    """The sizes that names have, where dimensions of arrays are given: (what it is of, the dimension, the size).

    Dimensions are used one after the other that have one name more that is not known, and are linear in it, as
    `2*a + b` is if b is known. Raises ValueError naming a dimension that has another size, or a name of which the
    size is not determined.
    """
    sizes: dict[str, Any] = {}
    left = [entry for entry in shapes if entry[1].__class__ is Dim]
    while left:
        again = []
        for entry in left:
            what, dim, size = entry
            unknown = names_of(dim) - sizes.keys()
            if not unknown:
                continue
            linear = _linear(dim, sizes) if len(unknown) == 1 else None
            if linear is None:
                again.append(entry)
                continue
            c, k = linear
            value, remainder = (size - k) // c, (size - k) % c
            if not (remainder.__class__ is int and remainder == 0):
                raise ValueError(
                    f"the size {size} of {what} is not {dim} for any size of {next(iter(unknown))} ({_known(sizes)})"
                )
            sizes[next(iter(unknown))] = value
        if len(again) == len(left):
            names = sorted(set().union(*[names_of(d) for _, d, _ in again]) - sizes.keys())
            raise ValueError(
                f"the sizes of {', '.join(names)} are not determined by the shapes of the arguments "
                f"({', '.join([f'{d} of {what}' for what, d, _ in again])}): dimensions must be linear in one name, all others known"
            )
        left = again
    return sizes


def _linear(dim: Dim, sizes: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """(c, k) for a dimension that is c*v + k, where v is the one name that is not among `sizes`."""
    c: Any = 0
    k: Any = 0
    for m, factor in dim.terms:
        unknown = [(a, p) for a, p in m if names_of(Dim(dim.scope, {((a, 1),): 1})) - sizes.keys()]
        rest = factor * math.prod([_evaluate_atom(a, sizes) ** p for a, p in m if (a, p) not in unknown])
        if not unknown:
            k += rest
        elif len(unknown) == 1 and unknown[0][1] == 1 and not unknown[0][0].operands:
            c += rest
        else:
            return None
    return None if c.__class__ is int and c == 0 else (c, k)


def _known(sizes: Mapping[str, Any]) -> str:
    return ", ".join([f"{name} = {size}" for name, size in sizes.items()]) or "no other is known"


def check_sizes(scope: SymbolicScope, shapes: Sequence[tuple[str, Any, Any]], sizes: Mapping[str, Any]) -> None:
    """Raises ValueError, naming what differs, unless dimensions have the sizes that are given, names are at least 1
    and the constraints hold."""
    for name, size in sizes.items():
        if not (at_least(size, 1) and at_least(LARGEST - size, 0)):
            raise ValueError(f"the size {name} = {size} must be at least 1 and below 2^31 ({_known(sizes)})")
    for what, dim, size in shapes:
        if evaluate(dim, sizes) != size:
            raise ValueError(f"{what} has size {size}, and must have {dim} = {evaluate(dim, sizes)} ({_known(sizes)})")
    for text in scope.constraints:
        sign = next(s for s in ("==", ">=", "<=") if s in text)
        free = SymbolicScope()
        left, right = [evaluate(parse_size(side, free), sizes) for side in text.split(sign)]
        difference = left - right if sign == ">=" else right - left
        if not (left == right if sign == "==" else at_least(difference, 0)):
            raise ValueError(f"the constraint {text} does not hold ({_known(sizes)})")


# ---- slices --------------------------------------------------------------------------------------


def slice_bounds(s: slice, n: Any) -> tuple[Any, Any, int]:
    """`s.indices(n)`, where start, stop and length may be symbolic dimensions."""
    if not is_symbolic((s.start, s.stop, n)):
        return s.indices(n)
    step = 1 if s.step is None else operator.index(s.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    low, high = (0, n) if step > 0 else (-1, n - 1)

    def position(i: Any, default: Any) -> Any:
        if i is None:
            return default
        if i < 0:
            i = i + n
        return min_dim(max_dim(i, low), high)

    return (
        *(
            (position(s.start, low), position(s.stop, high))
            if step > 0
            else (position(s.start, high), position(s.stop, low))
        ),
        step,
    )


def slice_length(start: Any, stop: Any, step: int) -> Any:
    """`len(range(start, stop, step))`, where start and stop may be symbolic dimensions."""
    if not is_symbolic((start, stop)):
        return len(range(start, stop, step))
    return max_dim(0, -((start - stop) // step))


def is_position(i: Any, n: Any) -> bool:
    """Whether `i` is surely one of 0, 1, ..., n - 1, or with a minus sign one of the last."""
    if i.__class__ is int and n.__class__ is int:
        return bool(-n <= i < n)
    return bool(at_least(i, 0) and at_least(n - i, 1)) or bool(at_least(-i, 1) and at_least(i + n, 0))
