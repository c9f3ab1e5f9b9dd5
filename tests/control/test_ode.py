"""odeint: accuracy against SciPy and closed forms, dense output, derivatives of every kind, batches, trees, bad input."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.integrate import RK45, solve_ivp

import pullback as pb
import pullback.numpy as jnp
from pullback.control import ode
from pullback.core.config import enable_x64
from pullback.experimental.ode import odeint


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    with enable_x64(True):
        yield


TIMES = np.linspace(0.0, 2.0, 5)


def decay(y: Any, t: Any, rate: Any) -> Any:
    return -rate * y


def van_der_pol(y: Any, t: Any, mu: Any) -> Any:
    return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def pendulum(state: Any, t: Any, p: Any) -> Any:
    return {"angle": state["speed"], "speed": -p["k"] * jnp.sin(state["angle"]) - 0.1 * t * state["speed"]}


def test_coefficients() -> None:
    for c, row in zip(ode._TIMES, ode._STAGES):
        assert np.isclose(sum(row), c, rtol=1e-14)
    np.testing.assert_allclose(ode._ERROR, np.array(RK45.E, dtype=float) * -1, atol=1e-15)
    middle = np.asarray(RK45.P) @ [Fraction(1, 2) ** (i + 1) for i in range(4)]
    np.testing.assert_allclose(ode._MIDDLE, np.array(middle, dtype=float), atol=1e-14)


@pytest.mark.parametrize(
    ("func", "y0", "args", "end"),
    [
        (van_der_pol, [2.0, 0.0], (5.0,), 10.0),
        (lambda y, t: jnp.stack([y[1], -y[0]]), [1.0, 0.0], (), 10.0),
        (lambda y, t: -50.0 * (y - jnp.cos(t)), [0.0], (), 3.0),
        (lambda y, t: y * (1 - y), [0.01], (), 10.0),
    ],
)
def test_against_scipy(func: Any, y0: Any, args: Any, end: float) -> None:
    times = np.linspace(0.0, end, 50)
    right = lambda t, y: np.asarray(func(jnp.asarray(y), t, *args))
    reference = solve_ivp(right, (0.0, end), y0, "DOP853", times, rtol=1e-10, atol=1e-10).y.T
    ys = odeint(func, jnp.array(y0), times, *args)
    np.testing.assert_allclose(ys, reference, atol=1e-6)
    rough = odeint(func, jnp.array(y0), times, *args, rtol=1e-3, atol=1e-3)
    assert 1e-7 < abs(np.asarray(rough) - reference).max() < 0.2


def test_tolerances_govern_the_error() -> None:
    errors = [
        abs(odeint(decay, 1.0, TIMES, 1.0, rtol=tol, atol=tol) - np.exp(-TIMES)).max() for tol in (1e-4, 1e-7, 1e-10)
    ]
    assert errors[0] > errors[1] > errors[2] and errors[0] < 1e-3 and errors[2] < 1e-9


def test_times() -> None:
    np.testing.assert_array_equal(odeint(decay, 1.0, TIMES[:1], 1.0), [1.0])
    repeated = odeint(decay, 1.0, np.array([0.0, 0.0, 1.0, 1.0]), 1.0)
    np.testing.assert_allclose(repeated, np.exp([0.0, 0.0, -1.0, -1.0]), rtol=1e-7)
    many = np.linspace(0.0, 2.0, 501)
    np.testing.assert_allclose(odeint(decay, 1.0, many, 1.0), np.exp(-many), rtol=1e-6)
    shifted = odeint(lambda y, t: jnp.cos(t), 0.0, TIMES + 3.0)
    np.testing.assert_allclose(shifted, np.sin(TIMES + 3.0) - np.sin(3.0), atol=1e-7)


def test_limits_on_steps() -> None:
    few = odeint(decay, 1.0, TIMES, 1.0, mxstep=2)
    assert few[0] == 1.0 and np.isnan(few[1:]).all()
    fine = odeint(decay, 1.0, TIMES, 1.0, rtol=1.0, atol=1.0, hmax=0.01)
    coarse = odeint(decay, 1.0, TIMES, 1.0, rtol=1.0, atol=1.0)
    assert abs(fine - np.exp(-TIMES)).max() < 1e-9 < abs(coarse - np.exp(-TIMES)).max()


def test_solutions_that_end() -> None:
    blow_up = odeint(lambda y, t: y * y, 1.0, np.array([0.0, 0.5, 2.0]))
    np.testing.assert_allclose(blow_up[:2], [1.0, 2.0], rtol=1e-6)
    assert np.isnan(blow_up[2])
    assert np.isnan(odeint(lambda y, t: y * np.nan, 1.0, TIMES)[1:]).all()
    # A step out of the domain is taken again, shorter.
    root = odeint(lambda y, t: -jnp.sqrt(y), 1.0, np.array([0.0, 1.0, 1.9]))
    np.testing.assert_allclose(root, (1 - np.array([0.0, 1.0, 1.9]) / 2) ** 2, atol=1e-6)


DERIVATIVES = {
    "grad": (pb.grad, -2.0),
    "forward": (pb.jacfwd, -2.0),
    "jit of grad": (lambda f: pb.jit(pb.grad(f)), -2.0),
    "grad of jit": (lambda f: pb.grad(pb.jit(f)), -2.0),
    "linearize": (lambda f: lambda x: pb.linearize(f, x)[1](1.0), -2.0),
    "reverse over reverse": (lambda f: pb.grad(pb.grad(f)), 4.0),
    "forward over reverse": (lambda f: pb.jacfwd(pb.grad(f)), 4.0),
    "reverse over forward": (lambda f: pb.grad(pb.jacfwd(f)), 4.0),
    "forward over forward": (lambda f: pb.jacfwd(pb.jacfwd(f)), 4.0),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_every_kind(name: str) -> None:
    transform, factor = DERIVATIVES[name]
    f = lambda rate: odeint(decay, 1.0, TIMES, rate)[-1]
    np.testing.assert_allclose(transform(f)(0.5), factor * np.exp(-1.0), rtol=1e-6)


def test_derivatives_by_times_and_closures() -> None:
    f = lambda ts: (odeint(lambda y, t: -y * t, 1.0, ts) * jnp.arange(1.0, 4.0)).sum()
    exact = lambda ts: (jnp.exp((ts[0] ** 2 - ts**2) / 2) * jnp.arange(1.0, 4.0)).sum()
    ts = jnp.array([0.5, 1.0, 1.7])
    for transform in (pb.grad, pb.jacfwd, lambda f: pb.jacfwd(pb.grad(f))):
        np.testing.assert_allclose(transform(f)(ts), transform(exact)(ts), atol=1e-6)
    closing = lambda rate: odeint(lambda y, t: -rate * y, 1.0, TIMES)[-1]
    np.testing.assert_allclose(pb.grad(closing)(0.5), -2 * np.exp(-1.0), rtol=1e-6)


def test_trees_and_sensitivities_by_differences() -> None:
    def f(p: Any) -> Any:
        start = {"angle": p["angle"], "speed": jnp.zeros(2)}
        return jnp.sum(odeint(pendulum, start, TIMES, p)["angle"] * jnp.arange(10.0).reshape(5, 2))

    p = {"k": 2.0, "angle": jnp.array([0.5, 1.5])}
    gradient = pb.grad(f)(p)
    for get, step in (
        (lambda g: g["k"], {"k": 1.0, "angle": jnp.zeros(2)}),
        (lambda g: g["angle"][1], {"k": 0.0, "angle": jnp.array([0.0, 1.0])}),
    ):
        moved = [f(pb.tree.map(lambda a, b, h=h: a + h * b, p, step)) for h in (1e-5, -1e-5)]
        np.testing.assert_allclose(get(gradient), (moved[0] - moved[1]) / 2e-5, rtol=1e-4)
        np.testing.assert_allclose(pb.jvp(f, (p,), (step,))[1], get(gradient), rtol=1e-6)


def test_complex_states() -> None:
    f = lambda w: odeint(lambda y, t, w: 1j * w * y, 1.0 + 0j, np.array([0.0, 1.0]), w)[-1]
    np.testing.assert_allclose(f(2.0), np.exp(2j), rtol=1e-7)
    np.testing.assert_allclose(pb.grad(lambda w: f(w).real)(2.0), -np.sin(2.0), rtol=1e-6)


def test_batches() -> None:
    rates, starts = jnp.array([0.5, 1.0, 30.0]), jnp.array([1.0, 2.0, 3.0])
    f = lambda y0, rate: odeint(decay, y0, TIMES, rate)
    expected = np.asarray(starts)[:, None] * np.exp(-np.asarray(rates)[:, None] * TIMES)
    np.testing.assert_allclose(pb.vmap(f)(starts, rates), expected, atol=1e-7)
    np.testing.assert_allclose(pb.jit(pb.vmap(f, (None, 0)))(1.0, rates), expected / starts[:, None], atol=1e-7)
    last = lambda y0, rate: f(y0, rate)[-1]
    shared = pb.grad(lambda y0: pb.vmap(last, (None, 0))(y0, rates).sum())(1.0)
    np.testing.assert_allclose(shared, np.exp(-2 * np.asarray(rates)).sum(), rtol=1e-6)
    each = pb.grad(lambda rates: pb.vmap(last)(starts, rates).sum())(rates)
    np.testing.assert_allclose(each, -2 * np.asarray(starts) * np.exp(-2 * np.asarray(rates)), atol=1e-6)
    np.testing.assert_allclose(pb.vmap(pb.grad(last, 1))(starts, rates), each, atol=1e-7)
    tangents = pb.jvp(lambda rates: pb.vmap(last)(starts, rates), (rates,), (jnp.ones(3),))[1]
    np.testing.assert_allclose(tangents, each, atol=1e-6)


def test_states_without_elements() -> None:
    assert odeint(lambda y, t: -y, jnp.zeros(0), TIMES).shape == (5, 0)


def test_integers_among_the_arguments() -> None:
    f = lambda y0: odeint(lambda y, t, n: -y * n, y0, TIMES, 2)[-1]
    np.testing.assert_allclose(pb.grad(f)(1.0), np.exp(-4.0), rtol=1e-6)


def test_equal_equations_are_compiled_once() -> None:
    before = None
    for _ in range(3):
        odeint(lambda y, t: -0.25 * y, 1.0, TIMES)
        programs = len(ode_programs())
        assert before is None or programs == before
        before = programs


def ode_programs() -> set[int]:
    from pullback.core.interning import _interned

    return set(map(id, _interned.values()))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: odeint(3, 1.0, TIMES), TypeError, "takes a function"),
        (lambda: odeint(lambda y, t: y, (), TIMES), ValueError, "at least one array"),
        (lambda: odeint(decay, 1, TIMES, 1.0), TypeError, "y0 is int64"),
        (lambda: odeint(decay, 1.0, TIMES, "fast"), TypeError, "fast"),
        (lambda: odeint(decay, 1.0, np.arange(3), 1.0), TypeError, "t must be a floating array"),
        (lambda: odeint(decay, 1.0, 1.0, 1.0), TypeError, "t must be a floating array"),
        (lambda: odeint(decay, 1.0, TIMES[:0], 1.0), TypeError, "at least one time"),
        (lambda: odeint(decay, 1.0, TIMES[::-1], 1.0), ValueError, "must increase"),
        (lambda: odeint(lambda y, t: (y, y), 1.0, TIMES), ValueError, "structure"),
        (lambda: odeint(lambda y, t: jnp.stack([y, y]), 1.0, TIMES), TypeError, r"y0, float64\[\], it gave float64\[2\]"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
