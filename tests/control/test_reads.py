"""Bodies of loops and branches are what they are when they are called: whatever they read, a change of it is seen."""

from __future__ import annotations

import functools
import gc
import types
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.transforms.reads import Record

NUMBER = 2.0
LIST = [2.0]
DICT = {"k": 2.0}
DATA = np.array([2.0])
LARGE = np.full(100_000, 2.0)
MODULE = types.ModuleType("a_module_of_the_user")
MODULE.k = 2.0  # type: ignore[attr-defined]
MODULE.function = lambda x: x * MODULE.k  # type: ignore[attr-defined]


class Settings:
    k = 2.0


class Model:
    k = 2.0

    def __call__(self, x: Any) -> Any:
        return x * self.k

    def method(self, x: Any) -> Any:
        return x * self.k


class Pair(NamedTuple):
    a: Any
    b: Any


MODEL = Model()


def helper(x: Any) -> Any:
    return x * NUMBER


def with_default(x: Any, k: float = 2.0) -> Any:
    return x * k


def with_keyword(x: Any, *, k: float = 2.0) -> Any:
    return x * k


def with_attribute(x: Any) -> Any:
    return x * with_attribute.k  # type: ignore[attr-defined]


with_attribute.k = 2.0  # type: ignore[attr-defined]


class Number(float):
    k = 2.0


OWN = Number(1.0)


def with_cell() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    k = 2.0

    def set_k(value: float) -> None:
        nonlocal k
        k = value

    return lambda x: x * k, set_k


CELL, SET_CELL = with_cell()
PARTIAL = functools.partial(with_default, k=2.0)
BODIES: dict[str, Callable[[Any], Any]] = {
    "a global name": lambda x: x * NUMBER,
    "an item of a list": lambda x: x * LIST[0],
    "a value of a dict": lambda x: x * DICT["k"],
    "a NumPy array": lambda x: x * DATA[0],
    "a large NumPy array": lambda x: x * LARGE[0],
    "an attribute of a class": lambda x: x * Settings.k,
    "an attribute of an object": lambda x: x * MODEL.k,
    "a method": MODEL.method,
    "a callable object": MODEL,
    "a name in a module": lambda x: x * MODULE.k,
    "a function in a module": lambda x: MODULE.function(x),
    "a function that reads": lambda x: helper(x),
    "a function within": lambda x: (lambda y: y * NUMBER)(x),
    "a comprehension": lambda x: sum(x * k for k in LIST),
    "a default": with_default,
    "a keyword's default": with_keyword,
    "an attribute of its own": with_attribute,
    "an attribute of a function": lambda x: x * with_attribute.k,  # type: ignore[attr-defined]
    "a number that carries something": lambda x: x * OWN.k,
    "a partial application": PARTIAL,
    "a variable of the enclosing function": CELL,
    "a transformed function": pb.grad(lambda x: x * x * NUMBER / 2),
    "a tuple of the user's type": lambda x: Pair(x, helper(x)).b,
    "getattr": lambda x: x * getattr(MODULE, "k"),  # noqa: B009
}


def change(value: float) -> None:
    global NUMBER
    NUMBER = LIST[0] = DICT["k"] = MODULE.k = Settings.k = MODEL.k = DATA[0] = with_attribute.k = OWN.k = value  # type: ignore[attr-defined]
    LARGE[:] = value
    with_default.__defaults__ = (value,)
    with_keyword.__kwdefaults__["k"] = value
    PARTIAL.keywords["k"] = value
    SET_CELL(value)


def scanned(f: Any) -> Callable[[], Any]:
    body = lambda carry, x: (carry, f(x))
    return lambda: lax.scan(body, 0.0, jnp.ones(1))[1][0]


def fori(f: Any) -> Callable[[], Any]:
    body = lambda i, x: f(x)
    return lambda: lax.fori_loop(0, 1, body, 1.0)


def while_(f: Any) -> Callable[[], Any]:
    body, condition = lambda s: (s[0] + 1, f(s[1])), lambda s: s[0] < 1
    return lambda: lax.while_loop(condition, body, (0, 1.0))[1]


OPERATIONS: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "map": lambda f: lambda: lax.map(f, jnp.ones(1))[0],
    "map in batches": lambda f: lambda: lax.map(f, jnp.ones(1), batch_size=1)[0],
    "scan": scanned,
    "fori_loop": fori,
    "while_loop": while_,
    "cond": lambda f: lambda: lax.cond(True, f, f, 1.0),
    "traced switch": lambda f: lambda: pb.jit(lambda i: lax.switch(i, [f, f], 1.0))(1),
    "gradient of map": lambda f: lambda: pb.grad(lambda x: lax.map(f, x)[0])(jnp.ones(1))[0],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_bodies_are_what_they_are_now(operation: str) -> None:
    for name, body in BODIES.items():
        change(2.0)
        call = OPERATIONS[operation](body)
        values = [float(call()), float(call())]
        change(5.0)
        values.append(float(call()))
        change(2.0)
        assert values == [2, 2, 5], name


def test_a_record_of_a_function_that_is_gone() -> None:
    f = lambda i, c: c + 1.0
    record = Record((f,))
    assert record.holds()
    del f
    gc.collect()
    assert not record.holds()


def test_a_condition_is_read_too() -> None:
    limit = [3.0]
    condition, body = lambda x: x < limit[0], lambda x: x + 1
    assert lax.while_loop(condition, body, 0.0) == 3
    limit[0] = 5.0
    assert lax.while_loop(condition, body, 0.0) == 5


def test_what_reads_the_same_is_traced_once() -> None:
    """Appending to a list and counting up is not reading."""
    traces: list[int] = []
    count = 0
    weights = {"w": [jnp.ones(2), jnp.zeros(2)], "b": (1.0, None)}

    def body(carry: Any, x: Any) -> Any:
        nonlocal count
        count += 1
        traces.append(1)
        return jnp.sin(carry) * weights["w"][0] + helper(x) * weights["b"][0], Pair(x, np.pi)

    for _ in range(3):
        lax.scan(body, jnp.ones(2), jnp.ones(3))
    assert len(traces) == count == 1
    weights["w"][0] = jnp.ones(2) * 2  # type: ignore[index]
    lax.scan(body, jnp.ones(2), jnp.ones(3))
    assert count == 2


def test_functions_that_know_themselves_are_freed() -> None:
    def make() -> Any:
        def body(i: Any, c: Any) -> Any:
            return c + 1 if body else c

        lax.fori_loop(0, 1, body, 0.0)
        return weakref.ref(body)

    namespace: dict[str, Any] = {}
    exec(
        "from pullback import lax\ndef f(i, c): return c + g()\ndef g(): return 1.0 if f else 0.0\nlax.fori_loop(0, 1, f, 0.0)",
        namespace,
    )
    references = [make(), weakref.ref(namespace["f"])]
    namespace.clear()
    gc.collect()
    assert [r() for r in references] == [None, None]
