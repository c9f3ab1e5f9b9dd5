"""Linearizations of one program live side by side: each gives what it gives alone.

One function of each kind of call is linearized in one argument, in the other, in both and at another point, and then all are
pushed and pulled, the latest first and again as they were made. What each gives alone comes from a function that is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.experimental.ode import odeint

Function = Callable[..., Any]


def plain(x: Any, y: Any) -> Any:
    return jnp.sin(x) * y + x * y * y


def partials(x: Any, y: Any) -> dict[str, Any]:
    return {"x": jnp.cos(x) * y + y * y, "y": jnp.sin(x) + 2 * x * y}


def custom_jvp(symbolic_zeros: bool) -> Function:
    f = pb.custom_jvp(plain)

    def rule(primals: Any, tangents: Any) -> Any:
        terms = [
            t * d
            for t, d in zip(tangents, partials(*primals).values())
            if not isinstance(t, pb.custom_derivatives.SymbolicZero)
        ]
        return f(*primals), sum(terms[1:], terms[0])

    f.defjvp(rule, symbolic_zeros=symbolic_zeros)
    return f


def custom_vjp(symbolic_zeros: bool) -> Function:
    """With symbolic zeros the residual has another structure for each choice of arguments."""
    f = pb.custom_vjp(plain)

    def forward(x: Any, y: Any) -> Any:
        if not symbolic_zeros:
            return plain(x, y), partials(x, y)
        found = partials(x.value, y.value)
        return plain(x.value, y.value), {n: found[n] for n, v in (("x", x), ("y", y)) if v.perturbed}

    def backward(residual: Any, ct: Any) -> Any:
        return tuple(ct * residual[n] if n in residual else None for n in "xy")

    f.defvjp(forward, backward, symbolic_zeros=symbolic_zeros)
    return f


def forgetful() -> Function:
    """Its backward rule uses what the last forward rule has left: right alone, wrong beside others."""
    f, last = pb.custom_vjp(plain), []

    def forward(x: Any, y: Any) -> Any:
        last[:] = ["x", "y"] if x.perturbed and y.perturbed else ["x"] if x.perturbed else ["y"]
        return plain(x.value, y.value), partials(x.value, y.value)

    f.defvjp(forward, lambda d, ct: tuple(ct * d[n] if n in last else 0 * ct for n in "xy"), symbolic_zeros=True)
    return f


def custom_gradient() -> Function:
    @pb.custom_gradient
    def f(x: Any, y: Any) -> Any:
        return plain(x, y), lambda ct: tuple(ct * d for d in partials(x, y).values())

    return f


def root(x: Any, y: Any) -> Any:
    """The solution of z + z³ / 9 = plain(x, y), by Newton's method."""
    equation = lambda z: z + z**3 / 9 - plain(x, y)
    step = lambda z: z - equation(z) / (1 + z**2 / 3)
    newton = lambda f, z: lax.fori_loop(0, 12, lambda _, z: step(z), z)
    return lax.custom_root(equation, jnp.zeros_like(x), newton, lambda g, b: b / g(jnp.ones_like(b)))


def linear_solve(x: Any, y: Any) -> Any:
    diagonal = 2 + jnp.sin(x)
    return lax.custom_linear_solve(lambda z: z * diagonal, y * y, lambda _, b: b / diagonal, symmetric=True)


def loop(make: Callable[[Function, Any], Any]) -> Function:
    """A loop whose step reads `y`, on `x`."""
    return lambda x, y: make(lambda c: jnp.sin(c) * y + c / 2, x)


#: Makers of functions of two arrays.
KINDS: dict[str, Callable[[], Function]] = {
    "program": lambda: plain,
    "jit": lambda: pb.jit(lambda x, y: plain(x, y)),
    "checkpoint": lambda: pb.checkpoint(lambda x, y: jnp.sin(plain(x, y))),
    "checkpoint with a policy": lambda: pb.checkpoint(
        lambda x, y: jnp.sin(plain(x, y)), policy=pb.checkpoint_policies.everything_saveable
    ),
    "custom_jvp": lambda: custom_jvp(False),
    "custom_jvp with symbolic zeros": lambda: custom_jvp(True),
    "custom_vjp": lambda: custom_vjp(False),
    "custom_vjp with symbolic zeros": lambda: custom_vjp(True),
    "custom_gradient": custom_gradient,
    "scan": lambda: loop(lambda step, x: lax.scan(lambda c, _: (step(c), c), x, None, length=4)[1].sum(0)),
    "scan with checkpoints": lambda: loop(
        lambda step, x: lax.scan(lambda c, _: (step(c), None), x, None, length=5, checkpoints=2)[0]
    ),
    "fori_loop": lambda: loop(lambda step, x: lax.fori_loop(0, 4, lambda _, c: step(c), x)),
    "while_loop": lambda: loop(
        lambda step, x: lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, step(s[1])), (0, x))[1]
    ),
    "map": lambda: lambda x, y: lax.map(lambda e: plain(*e), (x, y)),
    "cond": lambda: lambda x, y: lax.cond(x.sum() > 0, plain, lambda x, y: x * y, x, y),
    "switch": lambda: lambda x, y: lax.switch((x.sum() > 0).astype(int), [lambda x, y: x * y, plain], x, y),
    "associative_scan": lambda: lambda x, y: lax.associative_scan(lambda a, b: a * b + a + b, jnp.sin(x) * y),
    "custom_root": lambda: root,
    "custom_linear_solve": lambda: linear_solve,
    "odeint": lambda: lambda x, y: odeint(lambda z, t, y: jnp.sin(z) * y - z, x, jnp.array([0.0, 0.5]), y)[1],
}

X, Y, T = (jnp.array(v) for v in ([0.5, -0.25, 1.0], [1.5, 0.75, -0.5], [1.0, -2.0, 0.5]))


def linearization(f: Function, number: int, x: Any, y: Any) -> Any:
    """In the first argument, in the second, in both, and in the first at another point."""
    function, point = (
        (lambda z: f(z, y), x), (lambda z: f(x, z), y), (lambda z: f(z, z), x), (lambda z: f(z, y), y),
    )[number]  # fmt: skip
    return pb.linearize(function, point)[1]


def used(linear: Any, how: str, t: Any) -> Any:
    return linear(t) if how == "push" else linear.T(t)[0]


#: What is done, with which linearization: later ones first, pulls and pushes mixed, some again.
USES = [(i, how) for i in (3, 1, 2, 0) for how in ("pull", "push")] + [(0, "push"), (3, "pull"), (1, "pull")]


def interleaved(f: Function) -> Function:
    def run(x: Any, y: Any, t: Any) -> Any:
        linear = [linearization(f, i, x, y) for i in range(4)]
        return [used(linear[i], how, t) for i, how in USES]

    return run


MODES: dict[str, Callable[[Function], Function]] = {
    "eager": lambda f: interleaved(f),
    "of jit": lambda f: interleaved(pb.jit(f)),
    "in jit": lambda f: pb.jit(interleaved(f)),
    "of vmap": lambda f: lambda x, y, t: interleaved(pb.vmap(f))(*(jnp.stack([v, v[::-1]]) for v in (x, y, t))),
    "in vmap": lambda f: lambda x, y, t: pb.vmap(interleaved(f))(*(jnp.stack([v, v[::-1]]) for v in (x, y, t))),
    "in jvp": lambda f: lambda x, y, t: pb.jvp(interleaved(f), (x, y, t), (t, x, y)),
}


def wrong(make: Callable[[], Function], modes: Sequence[str]) -> list[str]:
    """What differs from what each linearization gives alone."""
    alone = {(i, how): used(linearization(make(), i, X, Y), how, T) for i in range(4) for how in ("push", "pull")}
    found = []
    for mode in modes:
        results = MODES[mode](make())(X, Y, T)
        for (i, how), result in zip(USES, results[0] if mode == "in jvp" else results, strict=True):
            result = result[0] if mode.endswith("vmap") else result
            if not np.allclose(result, alone[i, how], rtol=1e-4, atol=1e-5):
                found.append(f"{mode}, linearization {i}, {how}: {result}, alone {alone[i, how]}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_linearization_gives_what_it_gives_alone(kind: str) -> None:
    modes = ("eager", "in vmap") if kind == "odeint" else list(MODES)  # which takes long to compile
    assert not wrong(KINDS[kind], modes)


def test_a_rule_that_leaves_its_residual_elsewhere_is_caught() -> None:
    assert wrong(forgetful, ["eager"])


def test_linearizations_are_used_while_others_are_recorded() -> None:
    functions = {kind: make() for kind, make in KINDS.items() if kind != "odeint"}
    maps = {kind: pb.linearize(f, X, Y)[1] for kind, f in functions.items()}
    pulled = {kind: linear.T(T)[0] for kind, linear in maps.items()}
    pushed = {kind: linear(T, 0 * T) for kind, linear in maps.items()}
    for i, (kind, f) in enumerate(functions.items()):
        for j, (other, linear) in enumerate(maps.items()):
            if (i + j) % 3 == 0:
                pull = pb.vjp(lambda z, f=f, linear=linear: f(z, Y) + linear.T(z)[0], X)[1]
                np.testing.assert_allclose(
                    pull(T)[0], pulled[kind] + pushed[other], rtol=1e-4, atol=1e-5, err_msg=f"{kind}, {other}"
                )
