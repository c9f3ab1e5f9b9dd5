"""Symbolic dimensions: arithmetic, comparisons and texts say of expressions what is true of all the sizes they stand for."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.core.dimensions import Dim, dim_bounds, evaluate, max_dim, min_dim, slice_bounds, slice_length
from pullback.core.symbolic_shapes import SymbolicScope, parse_size, solve, symbolic_shape
from pullback.errors import InconclusiveDimensionOperation

#: Scopes, and the sizes of names that their constraints admit.
SCOPES: dict[str, tuple[tuple[str, ...], Callable[[int, int], tuple[int, int]]]] = {
    "free": ((), lambda a, b: (a, b)),
    "bounds": (("a >= 3", "b <= 4"), lambda a, b: (a + 2, 1 + b % 4)),
    "order": (("a <= b",), lambda a, b: (min(a, b), max(a, b))),
    "difference": (("a >= 2*b + 1",), lambda a, b: (2 * b + a, b)),
    "equal": (("a == 2*b",), lambda a, b: (2 * b, b)),
    "even": (("mod(a, 2) == 0",), lambda a, b: (2 * a, b)),
}

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod, "max": max_dim, "min": min_dim,
}  # fmt: skip

#: A program: pushes 0 (a), 1 (b) or a number, or combines the two last.
PROGRAMS = st.lists(st.sampled_from(["a", "b", 1, 2, 3, 5, -1, *OPERATIONS]), min_size=1, max_size=9)


def run(program: list[Any], a: Any, b: Any, max_: Any = max_dim, min_: Any = min_dim) -> Any:
    """What a program makes of a and b; None where it divides by what may be 0 or less."""
    stack: list[Any] = [a]
    for step in program:
        if step not in OPERATIONS:
            stack.append({"a": a, "b": b}.get(step, step))
        elif len(stack) > 1:
            y, x = stack.pop(), stack.pop()
            if step in ("//", "%") and dim_bounds(y)[0] < 1:
                return None
            stack.append({"max": max_, "min": min_}.get(step, OPERATIONS[step])(x, y))
    return stack[-1]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SCOPES)), PROGRAMS, PROGRAMS, st.integers(1, 12), st.integers(1, 12))
def test_expressions_mean_what_they_say(scope_name: str, first: list[Any], second: list[Any], a: int, b: int) -> None:
    constraints, admitted = SCOPES[scope_name]
    scope = SymbolicScope(constraints)
    sizes = dict(zip("ab", admitted(a, b)))
    x, y = (run(program, scope.dim("a"), scope.dim("b")) for program in (first, second))
    if x is None or y is None:
        return
    for dim, program in ((x, first), (y, second)):
        value = run(program, sizes["a"], sizes["b"], max, min)
        if value is None:
            continue
        assert evaluate(dim, sizes) == value, (str(dim), sizes)
        low, high = dim_bounds(dim)
        assert low <= value <= high, (str(dim), sizes)
        assert parse_size(str(dim), scope) == dim
        for compare in (operator.lt, operator.le, operator.gt, operator.ge):
            try:
                found = compare(x, y)
            except InconclusiveDimensionOperation:
                continue
            assert found == compare(evaluate(x, sizes), evaluate(y, sizes)), (str(x), compare, str(y), sizes)
    if x.__class__ is Dim and y.__class__ is Dim and x == y:
        assert hash(x) == hash(y)
        assert evaluate(x, sizes) == evaluate(y, sizes)


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.none() | st.integers(-6, 6)] * 2), st.sampled_from([None, 1, 2, 3, -1, -2]), st.integers(1, 9))
def test_slices_are_those_of_numbers(ends: tuple[Any, Any], step: int | None, size: int) -> None:
    (a,) = symbolic_shape("a")
    s = slice(*ends, step)
    start, stop, by = slice_bounds(s, a)
    expected = range(*s.indices(size))
    assert evaluate(slice_length(start, stop, by), {"a": size}) == len(expected)
    if len(expected):
        assert (evaluate(start, {"a": size}), by) == (expected.start, expected.step)


a, b = symbolic_shape("a, b")


def test_equal_polynomials_are_equal() -> None:
    assert (a + 1) * (a - 1) == a * a - 1
    assert (4 * a + 6) // 2 == 2 * a + 3
    assert (a * b + b) // b == a + 1
    assert (a * a - b * b) // (a - b) == a + b
    assert a // 2 * 2 + a % 2 == a
    assert max_dim(a, b) + min_dim(a, b) == a + b
    assert (2 * a + 1) % 2 == 1
    assert (a - 1) // a == 0
    assert -1 // a == -1
    assert a - a == 0 and type(a - a) is int
    assert a != b and a != 3 and a != 2 * a and a != "a"
    assert {a: 1}[a * 1] == 1


def test_dimensions_are_like_numbers() -> None:
    assert a + np.int32(3) == a + 3
    assert math.prod((a, b, 2)) == 2 * a * b
    assert divmod(a, 2) == (a // 2, a % 2)
    assert +a is a and -1 * -a == a and a**2 == a * a and a**0 == 1
    assert bool(a) and bool(a + b)
    assert sum([a, b]) == b + a


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (a * a * b - 3 * a + 2, "a^2*b - 3*a + 2"), (2 - a, "-a + 2"), (a // 2, "floordiv(a, 2)"), (a % 2, "mod(a, 2)"),
        (min_dim(a, 2), "min(a, 2)"), (max_dim(a, b), "max(a, b)"), (a // b, "floordiv(a, b)"), (3 % a, "mod(3, a)"),
    ],
)  # fmt: skip
def test_texts(size: Any, text: str) -> None:
    assert str(size) == repr(size) == text


@pytest.mark.parametrize(
    "ask",
    [
        lambda: a >= 2, lambda: a < b, lambda: a - b >= 0, lambda: bool(a - 1), lambda: max(a, b), lambda: sorted([a, b]), lambda: int(a),
        lambda: float(a), lambda: a % 2 == 0, lambda: (a + b) % 3 != 1,
    ],
)  # fmt: skip
def test_what_depends_on_sizes_is_an_error(ask: Callable[[], Any]) -> None:
    with pytest.raises(InconclusiveDimensionOperation, match="test_dimensions.py"):
        ask()


def test_inconclusive_comparisons_name_the_constraint_that_decides_them() -> None:
    with pytest.raises(InconclusiveDimensionOperation, match=r'constraints=\["a >= 4"\]'):
        assert a > 3
    (c,) = symbolic_shape("c", constraints=["c >= 4"])
    assert c > 3


@pytest.mark.parametrize("use", [lambda: range(a), lambda: [1][a], lambda: np.zeros((a,)), lambda: operator.index(a)])
def test_dimensions_are_no_indices(use: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        use()


def test_constraints() -> None:
    assert symbolic_shape("a", constraints=["a == 3"]) == (3,)
    c, d = symbolic_shape("c, d", constraints=["c == 2*d"])
    assert str(c) == "2*d"
    (e,) = symbolic_shape("e", constraints=["mod(e, 2) == 0"])
    assert e // 2 * 2 == e and e % 2 == 0
    f, g = symbolic_shape("f, g", constraints=["f >= g + 2", "g >= 3"])
    assert f >= 5 and f - g >= 2 and 2 * f >= 2 * g + 4
    h, i = symbolic_shape("h, i", constraints=["floordiv(h, 2) == i"])
    assert h // 2 == i


def test_products_of_sizes_that_are_not_zero() -> None:
    h, n = symbolic_shape("h, n", constraints=["h >= 8"])
    assert bool(4 * n * (h - 2) * (h - 2)) and (h - 2) * (h - 3) * n >= 30


@pytest.mark.parametrize(
    "constraints", [["a > 3"], ["3"], ["a >= "], ["1 >= 2"], ["a == 0"], ["2 == 3"], "a >= 1", ["a == b == 2"]]
)
def test_wrong_constraints(constraints: Any) -> None:
    with pytest.raises(ValueError, match="constraint|syntax|size"):
        symbolic_shape("a, b", constraints=constraints)


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "2a",
        "a-",
        "a,,b",
        "a(3)",
        "1.5",
        "a/2",
        "max(a, b, c)",
        "...",
        "_",
        "lambda: 1",
        "a^b",
        "-1",
        "'a'",
        "a if b else c",
    ],
)
def test_wrong_shapes(text: str) -> None:
    with pytest.raises(ValueError, match=r"symbolic"):
        symbolic_shape(text)


def test_shapes_like_others() -> None:
    assert str(symbolic_shape("a, ...", like=(3, 4, 5))) == "(a, 4, 5)"
    assert str(symbolic_shape("_, b", like=(3, 4))) == "(3, b)"
    assert symbolic_shape(None, like=(3, 4)) == (3, 4)
    assert symbolic_shape("") == () == symbolic_shape("()")
    assert str(symbolic_shape("(a, 2*b,)")) == "(a, 2*b)"
    for spec, like in [("a, 3", (3, 4)), ("a", (3, 4)), ("a, b", (3,)), ("_", (None,)), (3, None)]:
        with pytest.raises(ValueError, match="symbolic"):
            symbolic_shape(spec, like=like)  # type: ignore[arg-type]


def test_scopes_do_not_mix() -> None:
    (other,) = symbolic_shape("a")
    assert other != a
    with pytest.raises(ValueError, match="scope"):
        _ = other + a
    scope = SymbolicScope(["a >= 3"])
    assert symbolic_shape("a", scope=scope) == symbolic_shape("a", scope=scope)
    with pytest.raises(ValueError, match="scope"):
        symbolic_shape("a", scope=scope, constraints=["a >= 4"])


def test_sizes_are_found_one_after_the_other() -> None:
    c, d = symbolic_shape("c, d")
    assert solve([("x", c * d + 1, 13), ("y", d, 4)]) == {"d": 4, "c": 3}
    with pytest.raises(ValueError, match="not 2\\*c for any size"):
        solve([("x", 2 * c, 5)])
    with pytest.raises(ValueError, match="c, d are not determined"):
        solve([("x", c * d, 5)])
