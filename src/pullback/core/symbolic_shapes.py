"""Symbolic shapes: what texts say of dimensions, the scopes in which names mean sizes, and the sizes that
arrays give to names.

See `core.dimensions` for what dimensions are.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pullback.core.dimensions import (
    LARGEST,
    ONE,
    Atom,
    Dim,
    Monomial,
    Terms,
    at_least,
    degree,
    dim_of,
    evaluate,
    evaluate_atom,
    max_dim,
    min_dim,
    names_of,
    size_of,
)

if TYPE_CHECKING:
    from pullback.core.names import Size


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

    def _equate(self, difference: Size, text: str) -> None:
        if difference.__class__ is int:
            if difference:
                raise ValueError(f"the constraint {text!r} is never true")
            return
        terms = dict(difference.terms)
        for m, c in sorted(terms.items(), key=lambda term: degree(term[0])):
            if len(m) == 1 and m[0][1] == 1 and not m[0][0].operands and abs(c) == 1:  # a name: it is what the rest is
                rest = size_of(self, {n: -c * k for n, k in terms.items() if n != m})
                if rest.__class__ is int and rest < 1:
                    raise ValueError(f"the constraint {text!r} says that {m[0][0]} is {rest}: sizes are at least 1")
                if m[0][0].name not in str(rest):
                    self.replaced[m[0][0].name] = rest
                    if rest.__class__ is not int:
                        self.facts.append(dict((rest - 1).terms) if (rest - 1).__class__ is Dim else {})
                    return
        negative = {m: -c for m, c in terms.items()}
        self.facts += [terms, negative]
        lead, c = min(terms.items(), key=lambda term: (not any(a.operands for a, _ in term[0]), degree(term[0])))
        sign = 1 if c > 0 else -1
        self.rules[lead] = (abs(c), {m: -sign * k for m, k in terms.items() if m != lead})

    def _bound(self, terms: Terms) -> None:
        # A constraint of one named size is a bound.
        names = [m for m in terms if m]
        if len(names) != 1 or len(names[0]) != 1 or names[0][0][1] != 1 or names[0][0][0].operands:
            return
        name, c, k = names[0][0][0].name, terms[names[0]], terms.get(ONE, 0)
        low, high = self.bounds(name)
        self._bounds[name] = (max(low, -(k // c)), high) if c > 0 else (low, min(high, k // -c))

    def bounds(self, name: str) -> tuple[float, float]:
        """The smallest and the largest size that a name may have.

        >>> SymbolicScope(["n >= 2", "n <= 8"]).bounds("n")
        (2, 8)
        """
        return self._bounds.get(name, (1, LARGEST))

    def dim(self, name: str) -> Size:
        """The size of a name.

        >>> SymbolicScope().dim("n") + 1
        n + 1
        """
        found = self.replaced.get(name)
        return dim_of(self, Atom(name, ())) if found is None else found

    def __repr__(self) -> str:
        return f"SymbolicScope({list(self.constraints)})" if self.constraints else "SymbolicScope()"


# ---- texts ---------------------------------------------------------------------------------------


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "floordiv": operator.floordiv, "mod": operator.mod, "max": max_dim, "min": min_dim,
}  # fmt: skip


def parse_size(text: str, scope: SymbolicScope) -> Size:
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


def _read(node: ast.expr, scope: SymbolicScope, text: str) -> Size:
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
        unknown = [(a, p) for a, p in m if names_of(dim_of(dim.scope, a)) - sizes.keys()]
        rest = factor * math.prod([evaluate_atom(a, sizes) ** p for a, p in m if (a, p) not in unknown])
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
