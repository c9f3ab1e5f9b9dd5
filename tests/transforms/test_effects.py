"""Effects happen as often as they would without the calls, loops and transformations around them, whether or not results are used.

A function that notes that it was called stands in each kind of call, in each kind of control flow, under each transformation; eagerly and
compiled. Derivatives do not repeat what the function did: what is computed again is computed without its effects.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.experimental import io_callback

SEEN: list[float] = []


def note(x: Any) -> None:
    pb.debug.callback(lambda v: SEEN.append(float(v)), x)


def custom_jvp(f: Callable[..., Any]) -> Callable[..., Any]:
    @pb.custom_jvp
    def called(x: Any) -> Any:
        return f(x)

    called.defjvp(lambda primals, tangents: (called(*primals), tangents[0]))
    return called


def custom_vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    @pb.custom_vjp
    def called(x: Any) -> Any:
        return f(x)

    called.defvjp(lambda x: (f(x), None), lambda _, ct: (ct,))
    return called


def noting(x: Any) -> Any:
    note(x)
    return x * 1.0


#: How the function that has the effect is called.
CALLS: dict[str, Callable[..., Any]] = {
    "plain": lambda f: f,
    "jit": pb.jit,
    "checkpoint": pb.checkpoint,
    "checkpoint with a policy": lambda f: pb.checkpoint(f, policy=pb.checkpoint_policies.dots_saveable),
    "custom_jvp": custom_jvp,
    "custom_vjp": custom_vjp,
    "jit of checkpoint": lambda f: pb.jit(pb.checkpoint(f)),
    "checkpoint of jit": lambda f: pb.checkpoint(pb.jit(f)),
}

#: Functions of a number that call `f` so many times.
PLACES: dict[str, tuple[int, Callable[..., Any]]] = {
    "nowhere": (1, lambda f, x: f(x) * 2),
    "unused": (1, lambda f, x: (f(x), x * 2)[1]),
    "scan": (3, lambda f, x: lax.scan(lambda c, _: (f(c) * 2, None), x, None, length=3)[0]),
    "unused in scan": (3, lambda f, x: lax.scan(lambda c, _: ((f(c), c * 2)[1], None), x, None, length=3)[0]),
    "scan with checkpoints": (
        4,
        lambda f, x: lax.scan(lambda c, _: (f(c) * 2, None), x, None, length=4, checkpoints=2)[0],
    ),
    "fori_loop": (3, lambda f, x: lax.fori_loop(0, 3, lambda i, c: f(c) * 2, x)),
    "while_loop": (3, lambda f, x: lax.while_loop(lambda c: c < 8, lambda c: f(c) * 2, x)),
    "unused in while_loop": (3, lambda f, x: lax.while_loop(lambda c: c < 8, lambda c: (f(c), c * 2)[1], x)),
    "cond": (1, lambda f, x: lax.cond(x > 0, lambda x: f(x) * 2, lambda x: x, x)),
    "cond without results": (1, lambda f, x: (lax.cond(x > 0, lambda x: (f(x), None)[1], lambda x: None, x), x)[1]),
    "switch": (1, lambda f, x: lax.switch(1, [lambda x: x, lambda x: f(x) * 2], x)),
    "map": (3, lambda f, x: lax.map(f, x * jnp.ones(3)).sum()),
    "checkpointed scan": (
        3,
        lambda f, x: pb.checkpoint(lambda x: lax.scan(lambda c, _: (f(c) * 2, None), x, None, length=3)[0])(x),
    ),
    "scan in scan": (
        6,
        lambda f, x: lax.scan(
            lambda c, _: (lax.scan(lambda c, _: (f(c) * 2, None), c, None, length=3)[0], None), x, None, length=2
        )[0],
    ),
}

TRANSFORMATIONS: dict[str, Callable[..., Any]] = {
    "value": lambda f: f,
    "jit": pb.jit,
    "jit, result unused": lambda f: pb.jit(lambda x: (f(x), x)[1]),
    "grad": pb.grad,
    "jit of grad": lambda f: pb.jit(pb.grad(f)),
    "grad of jit": lambda f: pb.grad(pb.jit(f)),
    "jvp": lambda f: lambda x: pb.jvp(f, (x,), (1.0,)),
    "jit of jvp": lambda f: pb.jit(lambda x: pb.jvp(f, (x,), (1.0,))),
    "vjp, used twice": lambda f: lambda x: _twice(pb.vjp(f, x)[1]),
    "second derivative": lambda f: pb.grad(pb.grad(f)),
    "hessian": lambda f: pb.jit(pb.hessian(f)),
}


def _twice(pullback: Any) -> Any:
    return pullback(1.0), pullback(1.0)


def count(f: Callable[..., Any], *args: Any) -> int:
    SEEN.clear()
    f(*args)
    pb.effects_barrier()
    return len(SEEN)


#: A third of the pairs: each call in several places, each place with several calls.
PAIRS = [
    (call, place)
    for i, call in enumerate(CALLS)
    for j, place in enumerate(PLACES)
    if os.environ.get("PULLBACK_TEST_SAMPLE") == "full" or (i + j) % 3 == 0
]


@pytest.mark.parametrize(("call", "place"), PAIRS)
def test_effects_happen_as_often_as_without_calls(call: str, place: str) -> None:
    expected, enclosing = PLACES[place]
    f = CALLS[call](noting)
    wrong = {}
    for name, transformation in TRANSFORMATIONS.items():
        found = count(transformation(lambda x: enclosing(f, x)), 1.0)
        if found != expected:
            wrong[name] = f"{found} of {expected}"
    assert not wrong


def test_results_of_effects_are_not_asked_for_again() -> None:
    """What is computed again takes the results of effects that there were; where it cannot, it says so."""
    calls: list[float] = []

    def ask(x: Any) -> Any:
        x = lax.stop_gradient(x)
        return io_callback(
            lambda _: (calls.append(0.0), np.float32(len(calls)))[1], pb.ShapeDtypeStruct((), "float32"), x
        )

    inside = lambda x: lax.cond(x > 0, lambda x: x * ask(x), lambda x: x, x)
    loop = lambda x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * ask(s[1])), (0, x))[1]
    scanned = lambda x: lax.scan(lambda c, _: (c * ask(c), None), x, None, length=4, checkpoints=2)[0]
    stored = pb.checkpoint(lambda x: lax.scan(lambda c, _: (c * ask(c), None), x, None, length=3)[0])
    for f, value in ((lambda x: x * ask(x), 2), (pb.checkpoint(lambda x: x * ask(x)), 2), (stored, 12)):
        calls.clear()
        assert [float(v) for v in pb.value_and_grad(f)(2.0)] == [value, value / 2]
    for f in (pb.checkpoint(inside), loop, scanned):
        with pytest.raises(NotImplementedError, match=r"io_callback` from .*test_effects.py"):
            pb.grad(f)(2.0)
