"""Effects happen as often as without the calls, loops and transformations around them, used or not.

A function that notes that it was called stands in each kind of control flow, each kind of call in or around
that, each transformation around both; eagerly and compiled. Derivatives do not repeat what the
function did: what is computed again is computed without its effects.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.experimental import checkify, io_callback

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
SEEN: list[float] = []

#: How a function notes that it was called with a number.
EFFECTS: dict[str, Callable[[Any], None]] = {
    "debug.callback": lambda x: pb.debug.callback(lambda v: SEEN.append(float(v)), x),
    "debug.print": lambda x: pb.debug.print("noted {}", x),
    "io_callback": lambda x: io_callback(lambda v: SEEN.append(float(v)), None, lax.stop_gradient(x)),
}


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


def noting(effect: str) -> Callable[..., Any]:
    def f(x: Any) -> Any:
        EFFECTS[effect](x)
        return x * 1.0

    return f


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
    "vmap": lambda f: lambda x: pb.vmap(f)(x[None])[0],
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
    "linearize": lambda f: lambda x: pb.linearize(f, x),
    "vmap": lambda f: lambda x: pb.vmap(f)(x[None]),
    "jit of vmap of grad": lambda f: lambda x: pb.jit(pb.vmap(pb.grad(f)))(x[None]),
}


def _twice(pullback: Any) -> Any:
    return pullback(1.0), pullback(1.0)


def newton(f: Callable[..., Any], x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda _, z: z - f(z) / 2, x)


#: In solvers, once for each time that they look; derivatives look again, and solve another equation.
SOLVES: dict[str, tuple[int, Callable[..., Any]]] = {
    "custom_root": (
        3, lambda f, x: lax.custom_root(lambda z: z - f(x) * 2 + z**3 / 9, 0 * x, newton, lambda g, b: b / g(jnp.ones_like(b))),
    ),
    "solver of custom_root": (
        3, lambda f, x: lax.custom_root(
            lambda z: z - 2 * x, 0 * x, lambda g, z: newton(lambda z: g(f(z)), z), lambda g, b: b / g(jnp.ones_like(b))
        ),
    ),
    "custom_linear_solve": (
        1, lambda f, x: lax.custom_linear_solve(lambda z: f(x) * z, x * x, lambda g, b: b / g(jnp.ones_like(b)), symmetric=True),
    ),
    "solver of custom_linear_solve": (
        1, lambda f, x: lax.custom_linear_solve(lambda z: x * z, x * x, lambda g, b: f(b) / g(jnp.ones_like(b)), symmetric=True),
    ),
}  # fmt: skip


def count(f: Callable[..., Any], *args: Any) -> int:
    SEEN.clear()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        f(*args)
        pb.effects_barrier()
    return len(SEEN) + printed.getvalue().count("noted")


def composed(call: str, place: str, position: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a number that calls `f` in a place, with a call in the place or around it."""
    enclosing = (PLACES | SOLVES)[place][1]
    if position == "inside":
        return lambda x: enclosing(CALLS[call](f), x)
    return CALLS[call](lambda x: enclosing(f, x))


CASES = list(itertools.product(CALLS, [*PLACES, *SOLVES], ("inside", "around")))


def _sampled(case: tuple[str, ...], one_in: int) -> bool:
    return FULL or zlib.crc32(" ".join(case).encode()) % one_in == 0


@pytest.mark.parametrize(("call", "place", "position"), [c for c in CASES if _sampled(c, 8)])
def test_effects_happen_as_often_as_without_calls(call: str, place: str, position: str) -> None:
    expected = (PLACES | SOLVES)[place][0]
    wrong = {}
    for number, name in enumerate(TRANSFORMATIONS):
        effect = list(EFFECTS)[(number + len(call) + len(place)) % len(EFFECTS)]
        if not _sampled((call, place, position, name), 3):
            continue
        most = expected
        if place in SOLVES:  # derivatives look again, unless what is computed again has no effects
            plain = composed("plain", place, "inside", noting(effect))
            most = count(TRANSFORMATIONS[name](plain), jnp.float32(1.0))
        try:
            found = count(TRANSFORMATIONS[name](composed(call, place, position, noting(effect))), jnp.float32(1.0))
        except NotImplementedError as error:
            if (
                effect != "io_callback"
                or "vmap" not in f"{call} {name}"
                or "IO effect not supported in vmap" not in str(error)
            ):
                wrong[name, effect] = str(error)
        else:
            if not expected <= found <= most:
                wrong[name, effect] = f"{found}, not {expected} to {most}"
    assert not wrong


def test_solves_look_again_where_they_are_differentiated() -> None:
    """As JAX's do: at the equation's solution, and at another equation for each derivative."""
    looks = {
        name: [
            count(TRANSFORMATIONS[t](lambda x, f=f: f(noting("debug.callback"), x)), jnp.float32(1.0))
            for t in ("value", "grad", "jvp", "linearize", "vjp, used twice")
        ]
        for name, (_, f) in SOLVES.items()
    }
    assert looks == {
        "custom_root": [3, 5, 5, 5, 5],
        "solver of custom_root": [3, 3, 3, 3, 3],
        "custom_linear_solve": [1, 3, 3, 2, 4],
        "solver of custom_linear_solve": [1, 2, 2, 1, 3],
    }


@pytest.mark.parametrize(("call", "place", "position"), [c for c in CASES if _sampled(c, 10)])
def test_checks_fail_wherever_they_stand(call: str, place: str, position: str) -> None:
    def checking(limit: float) -> Callable[..., Any]:
        def f(x: Any) -> Any:
            checkify.check(x < limit, "too large")
            return x * 1.0

        return composed(call, place, position, f)

    for transformation in (lambda f: f, pb.jit, pb.grad, lambda f: lambda x: pb.vmap(f)(x[None])):
        assert checkify.checkify(transformation(checking(1e9)))(jnp.float32(1.0))[0].get() is None
        assert "too large" in checkify.checkify(transformation(checking(-1e9)))(jnp.float32(1.0))[0].get()


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


@pytest.mark.parametrize("transformation", [lambda f: f, pb.jit])
def test_a_loop_over_a_batch_that_runs_again_has_no_effects(transformation: Any) -> None:
    loop = PLACES["while_loop"][1]
    f = pb.vmap(pb.grad(pb.checkpoint(lambda x: loop(noting("debug.callback"), x))))
    assert count(transformation(f), jnp.array([1.0, 1.0, 4.0])) == 3 * 3  # until all have stopped
