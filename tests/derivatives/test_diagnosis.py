"""`explain_gradient`: each trap is named, with the user's line, and nothing is wrong with functions that are healthy."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import explain_gradient
from pullback.derivatives.diagnosis.report import GradientReport
from pullback.experimental.ode import odeint
from tests.properties.fusion_programs import program
from tests.properties.test_programs import SHAPE, function_of, programs

X = jnp.array([-1.0, 4.0, 2.0])


def here(function, text):
    """`file:line` of the line of a function with this text."""
    lines, start = inspect.getsourcelines(function)
    (number,) = [start + i for i, line in enumerate(lines) if text in line]
    return f"{inspect.getsourcefile(function)}:{number} "


def found(at, function, text, operation=None, value=None):
    """Whether a place is the line with this text."""
    return (
        at.line.startswith(here(function, text))
        and (operation is None or at.operation == operation)
        and (value is None or at.value == value)
    )


def reasons(report, name="x"):
    (dead,) = [d for d in report.dead if d.input == name]
    return dead.reasons


# ---- NaNs and infinities -------------------------------------------------------------------------


def test_the_branch_that_is_not_taken():
    def f(x):
        root = jnp.sqrt(x)
        return jnp.where(x > 0, root, 0.0).sum()

    for g in (f, pb.jit(f), lambda x: pb.vmap(f)(x[None]).sum(), pb.checkpoint(f)):
        report = explain_gradient(g, X)
        at = report.first_nonfinite_backward
        assert found(at, f, "root = ", "sqrt", "nan")
        assert (at.phase, at.count, at.operands, at.cotangent) == ("backward", 1, ("-1.0",), "0.0")
        assert at.index[-1] == 0
        assert report.first_nonfinite_forward is None
        assert "nan_safe_where" in str(report)
        assert not report.ok
    assert explain_gradient(f, X[1:]).ok


#: Functions, arguments, what appears first forwards and backwards (value, operation); None is nothing.
TRAPS = {
    "log(0)": (jnp.log, 0.0, ("inf", "log"), ("inf", "log")),
    "log(-1)": (jnp.log, -1.0, ("nan", "log"), None),
    "sqrt(0)": (jnp.sqrt, 0.0, None, ("inf", "sqrt")),
    "cbrt(0)": (jnp.cbrt, 0.0, None, ("inf", "cbrt")),
    "0/0": (lambda x: x / x, 0.0, ("nan", "div"), ("inf", "div")),
    "1/0": (lambda x: 1 / x, 0.0, ("inf", "div"), ("inf", "div")),
    "norm(0)": (jnp.linalg.norm, jnp.zeros(3), None, ("inf", "sqrt")),
    "std": (jnp.std, jnp.ones(3), None, ("inf", "sqrt")),
    "exp(100)": (jnp.exp, 100.0, ("inf", "exp"), ("inf", "exp")),
    "inf - inf": (lambda x: jnp.exp(x) - jnp.exp(x), 100.0, ("inf", "exp"), ("inf", "exp")),
    "x**0.5": (lambda x: x**0.5, 0.0, None, None),
    "arccos(1)": (jnp.arccos, 1.0, None, None),
    "arctan2": (lambda x: jnp.arctan2(x, 0.0 * x), 0.0, None, ("nan", "atan2")),
    "softmax of nothing": (lambda x: pb.nn.softmax(jnp.where(False, x, -jnp.inf)).sum(), X, ("nan", "sub"), None),
    "product of infinities": (lambda x: (x * 1e30) * 1e30 * 0, 1.0, ("inf", "mul"), None),
    "gradient in the function": (lambda x: pb.grad(jnp.sqrt)(x), 0.0, ("inf", "div"), ("inf", "div")),
    "complex": (lambda z: jnp.log(z).real, 0j, ("inf", "log"), ("nan", "log")),
}


@pytest.mark.parametrize("name", sorted(TRAPS))
def test_traps(name):
    f, x, forward, backward = TRAPS[name]
    gradient = np.asarray(pb.grad(f)(x))
    for g in (f, pb.jit(f)):
        report = explain_gradient(g, x)
        got = [
            at and (at.value, at.operation) for at in (report.first_nonfinite_forward, report.first_nonfinite_backward)
        ]
        assert got[0] == forward
        # What `grad` gives is not finite where the report says so.
        assert (got[1] is not None) == (not np.isfinite(gradient).all())
        if backward is not None:
            assert got[1][1] == backward[1]
        for at in (report.first_nonfinite_forward, report.first_nonfinite_backward):
            assert at is None or at.line.startswith(__file__)
    if f is jnp.log and x == 0:
        assert report.inputs[0].nonfinite == 1


def test_an_argument_or_a_cotangent_that_is_not_finite():
    report = explain_gradient(lambda p: jnp.sin(p["a"]).sum(), {"a": jnp.array([1.0, np.nan])})
    assert report.first_nonfinite_forward.operation == "the argument p['a']"
    assert report.first_nonfinite_forward.index == (1,)
    assert report.first_nonfinite_backward.because == report.first_nonfinite_forward
    report = explain_gradient(jnp.sin, 1.0, cotangent=np.inf)
    assert report.first_nonfinite_forward is None
    assert report.first_nonfinite_backward.operation == "the cotangent that is given"


def test_an_infinite_sum_of_cotangents():
    f = lambda x: x * 3e38 + x * 3e38
    report = explain_gradient(f, 0.1)
    assert report.first_nonfinite_forward is None
    at = report.first_nonfinite_backward
    assert at.operation.startswith("the sum of cotangents")
    assert len(at.cotangent.split(" + ")) == 2


def test_infinite_masks_are_no_problem():
    mask = jnp.array([True, False, True])
    assert explain_gradient(lambda x: pb.nn.softmax(jnp.where(mask, x, -jnp.inf))[0], X).ok
    assert explain_gradient(lambda x: pb.nn.logsumexp(x, where=mask), X).ok
    assert explain_gradient(lambda x: jnp.max(x, initial=-jnp.inf), X).ok
    assert explain_gradient(lambda x: jnp.where(x > 0, 1 / jnp.where(x > 0, x, 1.0), 0).sum(), jnp.zeros(2)).dead


def test_a_nan_in_a_step_of_a_scan():
    def f(x):
        def step(c, u):
            root = jnp.sqrt(c - u)
            return root, c

        return lax.scan(step, x, jnp.ones(5))[1].sum()

    for detail in (20_000, 2):
        report = explain_gradient(f, 3.5, detail=detail)
        at = report.first_nonfinite_forward
        assert found(at, f, "root = ", "sqrt", "nan")
        assert len(at.where) == 1
        assert at.where[0].startswith("step 2 of the scan at " + here(f, "return lax.scan"))
        assert found(report.first_nonfinite_backward, f, "root = ", "sqrt", "nan")
        assert "in step 2 of the scan at test_diagnosis.py" in str(report)


@pytest.mark.parametrize("detail", [100_000, 400, 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_step_of_a_long_scan(detail, reverse):
    n, bad = 400, 150

    def f(x, us):
        def step(c, u):
            part = jnp.where(u > 0, jnp.log(u), 0.0)
            c = 0.5 * c + part
            return c, jnp.sin(c) * u

        c, ys = lax.scan(step, x, us, reverse=reverse)
        return c + ys.sum()

    us = np.linspace(1, 2, n).astype(np.float32)
    report = explain_gradient(f, 1.0, us, argnums=(0, 1), detail=detail)
    assert report.ok
    for got, expected in zip([x.gradient for x in report.inputs], pb.grad(f, (0, 1))(1.0, us)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    us[bad] = 0
    report = explain_gradient(f, 1.0, us, argnums=(0, 1), detail=detail)
    at = report.first_nonfinite_backward
    assert found(at, f, "part = ", "log", "nan")
    assert at.where[0].startswith(f"step {n - 1 - bad if reverse else bad} of the scan")
    assert at.operands == ("0.0",)
    assert report.first_nonfinite_forward is None


@pytest.mark.parametrize("detail", [20_000, 3])
def test_a_nan_in_a_step_of_a_while(detail):
    def f(x):
        def step(state):
            i, y = state
            y = jnp.log(y)
            return i + 1, y

        return lax.while_loop(lambda s: s[0] < 5, step, (0, x))[1]

    report = explain_gradient(f, 5.0, detail=detail)
    at = report.first_nonfinite_forward
    assert found(at, f, "y = jnp.log(y)", "log", "nan")
    assert at.where[0].startswith("step 3 of the while at " + here(f, "return lax.while_loop"))
    healthy = explain_gradient(lambda x: lax.fori_loop(0, 30, lambda i, y: jnp.sin(y) * x, x), 1.5, detail=detail)
    assert healthy.ok
    np.testing.assert_allclose(
        healthy.inputs[0].gradient,
        pb.grad(lambda x: lax.fori_loop(0, 30, lambda i, y: jnp.sin(y) * x, x))(1.5),
        rtol=1e-5,
    )


def test_loops_in_loops():
    def f(x):
        def outer(c, u):
            def inner(d, v):
                d = jnp.sqrt(d * u + v)
                return d, d

            return lax.scan(inner, c, jnp.arange(3.0))

        return lax.scan(outer, x, jnp.array([1.0, 1.0, -9.0, 1.0]))[1].sum()

    for detail in (10_000, 5):
        at = explain_gradient(f, 1.0, detail=detail).first_nonfinite_forward
        assert found(at, f, "d = jnp.sqrt", "sqrt", "nan")
        assert [w.split(" of ")[0] for w in at.where] == ["step 2", "step 0"]


def test_the_value_that_leaves_a_loop_unused():
    """The backward loop starts with zeros, and zero times an infinite derivative is NaN, as in `grad`."""

    def f(x):
        return lax.scan(lambda c, u: (jnp.sqrt(c - 1), c * u), x, jnp.arange(3.0))[1].sum()

    assert np.isnan(pb.grad(f)(3.5))
    report = explain_gradient(f, 3.5)
    assert report.first_nonfinite_forward is None
    assert report.first_nonfinite_backward.operation == "sqrt"
    assert report.first_nonfinite_backward.where[0].startswith("step 2 ")


@pb.custom_jvp
def reciprocal(x):
    return 1 / (x + 1)


@reciprocal.defjvp
def reciprocal_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    coefficient = 1 / x
    return reciprocal(x), t * coefficient


@pb.custom_vjp
def twice(x):
    return 2 * x


def twice_bwd(x, ct):
    quotient = ct / x
    return (quotient,)


twice.defvjp(lambda x: (2 * x, x), twice_bwd)


@pytest.mark.parametrize(
    "wrap", [lambda f: f, pb.jit, lambda f: lambda x: pb.vmap(f)(x[None]).sum()], ids=["eager", "jit", "vmap"]
)
def test_custom_rules(wrap):
    for f, rule, text in ((reciprocal, reciprocal_jvp, "coefficient ="), (twice, twice_bwd, "quotient =")):
        report = explain_gradient(wrap(lambda x: 3 * f(x)), jnp.array(0.0))
        at = report.first_nonfinite_backward
        assert found(at, rule, text, "div", "inf")
        assert f.__name__ in at.where[-1]
        assert explain_gradient(wrap(lambda x: 3 * f(x)), jnp.array(1.0)).ok

    @pb.custom_jvp
    def g(x):
        inside = jnp.log(x)
        return inside + 1

    g.defjvps(lambda t, out, x: t * 0)
    at = explain_gradient(wrap(g), jnp.array(0.0)).first_nonfinite_forward
    assert found(at, g.fun, "inside =", "log", "inf")


def test_rules_that_close_over_what_is_differentiated():
    def f(a, x):
        @pb.custom_jvp
        def g(x):
            return jnp.sin(a * x)

        g.defjvp(lambda p, t: (g(p[0]), t[0] * a * jnp.cos(a * p[0])))
        return g(x)

    for g in (f, pb.jit(f)):
        report = explain_gradient(g, 2.0, 3.0, argnums=(0, 1))
        assert report.ok
        np.testing.assert_allclose([x.gradient for x in report.inputs], pb.grad(f, (0, 1))(2.0, 3.0), rtol=1e-6)


def test_other_calls():
    def f(x):
        return odeint(lambda y, t: -jnp.sqrt(y), x, jnp.array([0.0, 0.5]))[-1]

    report = explain_gradient(f, 4.0)
    assert report.ok
    np.testing.assert_allclose(report.inputs[0].gradient, pb.grad(f)(4.0), rtol=1e-5)
    report = explain_gradient(lambda x: pb.nn.relu(jnp.linalg.inv(x)).sum(), jnp.zeros((2, 2)))
    assert report.first_nonfinite_forward is not None


# ---- dead gradients ------------------------------------------------------------------------------


#: Functions of x and y that have no derivative in x, and why: kind, operation.
DEAD = {
    "stop_gradient": (lambda x, y: lax.stop_gradient(x).sum() * y, "stop_gradient", "stop_gradient"),
    "argmax": (lambda x, y: jnp.argmax(x) * y, "discrete", "argmax"),
    "argsort": (lambda x, y: jnp.argsort(x).sum() * y, None, None),
    "round": (lambda x, y: jnp.round(x).sum() * y, "flat", "round"),
    "floor": (lambda x, y: jnp.floor(x).sum() * y, "flat", "floor"),
    "sign": (lambda x, y: jnp.sign(x).sum() * y, "flat", "sign"),
    "comparison": (lambda x, y: jnp.where(x > 0, y, -y).sum(), "discrete", "gt"),
    "conversion": (lambda x, y: x.astype(int).sum() * y, "conversion", "convert_element_type"),
    "truth": (lambda x, y: x.astype(bool).sum() * y, "conversion", "convert_element_type"),
    "bits": (lambda x, y: lax.bitcast_convert_type(x, jnp.int32).sum() * y, "conversion", "bitcast_convert_type"),
    "isfinite": (lambda x, y: jnp.isfinite(x).sum() * y, "discrete", "is_finite"),
    "unused": (lambda x, y: y, "unused", ""),
    "not in the result": (lambda x, y: (jnp.sin(x), y)[1], "unused", "sin"),
    "saturated relu": (lambda x, y: pb.nn.relu(x - 9).sum() + y, "zero", "select_n"),
    "maximum": (lambda x, y: jnp.maximum(x, 9.0).sum() * y, "zero", "max"),
    "clip": (lambda x, y: jnp.clip(x, 8.5, 9).sum() * y, "zero", None),
    "where": (lambda x, y: jnp.where(x > 9, x, y).sum(), "zero", "select_n"),
    "saturated tanh": (lambda x, y: jnp.tanh(100 + x).sum() * y, "zero", "tanh"),
    "times zero": (lambda x, y: (0 * x).sum() + y, "zero", "mul"),
    "times zeros": (lambda x, y: jnp.zeros(3) @ x + y, "zero", "dot_general"),
    "cancel": (lambda x, y: (x - x).sum() + y, "cancel", None),
    "underflow": (lambda x, y: (x * 1e-30 * 1e-30).sum() + y, "underflow", "mul"),
    "branch": (lambda x, y: lax.cond(y > 0, lambda x, y: y, lambda x, y: x.sum(), x, y), "branch", "cond"),
    "switch": (lambda x, y: lax.switch(1, [lambda: x.sum(), lambda: y]), None, None),
    "predicate": (lambda x, y: lax.cond(x[0] > 0, lambda y: y, lambda y: 2 * y, y), "discrete", "gt"),
    "steps": (lambda x, y: lax.while_loop(lambda s: s[1] < x[1], lambda s: (s[0] * 2, s[1] + 1), (y, 0.0))[0], "control", "while"),
    "if": (lambda x, y: y if x[0] > 0 else -y, "read", "bool(x)"),
    "float": (lambda x, y: math.sin(float(x[0])) * y, "read", "float(x)"),
    "numpy": (lambda x, y: np.asarray(x).sum() * y, "read", "numpy.asarray(x)"),
    "item": (lambda x, y: x[0].item() * y, "read", "x.item()"),
    "list": (lambda x, y: sum(x.tolist()) * y, "read", "x.tolist()"),
    "random": (lambda x, y: pb.random.poisson(pb.random.key(0), jnp.abs(x)).sum() * y, None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DEAD))
def test_dead(name):
    f, kind, operation = DEAD[name]
    for g in (f, lambda x, y: f(2 * x, y) + 1):
        report = explain_gradient(g, X, 2.0, argnums=(0, 1))
        assert [d.input for d in report.dead] == ["x"]
        assert report.inputs[0].zeros == 3
        assert report.first_nonfinite_forward is report.first_nonfinite_backward is None
        (first, *_) = reasons(report)
        assert kind is None or first.kind == kind
        assert operation is None or first.operation == operation or (kind == "unused" and g is not f)
        for reason in reasons(report):
            assert not reason.line or reason.line.startswith(__file__)
        assert "the gradient of x is zero" in str(report)
    if kind != "read":
        assert not np.any(np.asarray(pb.grad(f)(X, 2.0)))


def test_lines_of_dead_gradients():
    def f(x):
        y = jnp.sin(x)
        z = jnp.round(y)
        return z.sum()

    for g in (f, pb.jit(f), lambda x: pb.vmap(f)(x[None]).sum()):
        (reason,) = reasons(explain_gradient(g, X))
        assert reason.line.startswith(here(f, "z = "))


def test_a_rule_without_a_derivative():
    g = pb.custom_vjp(lambda x: 2 * x)
    g.defvjp(lambda x: (2 * x, None), lambda _, ct: (None,))
    (reason,) = reasons(explain_gradient(lambda x: g(x).sum(), X))
    assert reason.kind in ("rule", "zero")
    assert "custom_vjp_call" in reason.operation


def test_integer_arguments():
    report = explain_gradient(lambda n, x: n * x, 3, 2.0, argnums=(0, 1))
    assert [r.kind for r in reasons(report, "n")] == ["integer"]
    assert report.inputs[1].largest == 3
    report = explain_gradient(
        lambda p: p["x"] * p["n"], {"n": np.arange(3), "x": 1.0, "key": pb.random.key(0)}, cotangent=np.ones(3)
    )
    assert {d.input for d in report.dead} == {"p['n']", "p['key']"}
    assert report.inputs[-1].largest == 3


def test_units_that_are_dead():
    """A gradient that is zero in part: the operation that lets nothing through is named, and nothing is wrong."""

    def layer(w, x):
        return pb.nn.relu(x @ w).sum()

    w = jnp.array([[1.0, -1.0], [1.0, -1.0]])
    report = explain_gradient(layer, w, jnp.ones((4, 2)))
    assert report.ok
    (of_w,) = report.inputs
    assert (of_w.zeros, of_w.size) == (2, 4)
    (reason,) = of_w.reasons
    assert reason.line.startswith(here(layer, "pb.nn.relu"))
    assert "4 of 8 elements" in reason.text
    assert "4 of 8 elements" in str(report)


def test_a_cotangent_of_zero():
    report = explain_gradient(lambda x: (x, 2 * x), X, cotangent=(np.zeros(3), np.zeros(3)))
    assert [r.kind for r in reasons(report)] == ["cotangent"]


# ---- dependencies --------------------------------------------------------------------------------


def test_dependencies():
    def f(p, n):
        return {"a": p["x"] * p["y"], "b": jnp.argmax(p["x"]) + n, "c": (p["y"] * 0, jnp.ones(2))}

    report = explain_gradient(f, {"x": X, "y": 3.0}, 4)
    table = {(d.output, d.input): d.text for d in report.dependencies}
    assert table == {
        ("result['a']", "p['x']"): "derivative",
        ("result['a']", "p['y']"): "derivative",
        ("result['b']", "p['x']"): "by value only",
        ("result['b']", "p['y']"): "does not depend",
        ("result['c'][0]", "p['x']"): "does not depend",
        ("result['c'][0]", "p['y']"): "derivative is zero here",
        ("result['c'][1]", "p['x']"): "does not depend",
        ("result['c'][1]", "p['y']"): "does not depend",
    }
    assert report.ok
    assert "1 more result" in str(report)


def test_gradients_of_several_results_do_not_cancel():
    assert explain_gradient(pb.nn.softmax, X).ok
    assert explain_gradient(lambda x: (x, -x), 1.0).ok
    assert explain_gradient(lambda x: x - x.mean(), X).ok


def test_cotangents_that_are_given():
    f = lambda x: (jnp.sin(x), x**2)
    cts = (np.float32([1, 0, 2]), np.float32([0, 1, 1]))
    report = explain_gradient(f, X, cotangent=cts)
    np.testing.assert_allclose(report.inputs[0].gradient, pb.vjp(f, X)[1](cts)[0], rtol=1e-6)


# ---- magnitudes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [3.0, 0.1])
def test_growth_along_loops(factor):
    def f(w, x):
        return lax.scan(lambda h, _: (w @ h, None), x, None, length=20)[0].sum()

    report = explain_gradient(f, factor * jnp.eye(3), jnp.ones(3))
    (loop,) = report.loops
    assert loop.steps == 20
    np.testing.assert_allclose(loop.growth, factor**19, rtol=1e-4)
    assert "over 20 steps of the scan at test_diagnosis.py" in str(report)
    size, operation, line = report.largest if factor > 1 else report.smallest
    np.testing.assert_allclose(size, factor**19, rtol=1e-4)
    assert operation == "dot_general"
    assert line.startswith(__file__)


# ---- no false alarms -----------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(programs)
def test_healthy_programs(instructions):
    f = function_of(instructions)
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    loss = lambda x: jnp.sum(jnp.sin(f(x)))
    expected = pb.grad(loss)(x)
    for g in (loss, pb.jit(loss)):
        report = explain_gradient(g, x)
        assert report.ok
        np.testing.assert_allclose(report.inputs[0].gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", range(25))
def test_random_programs(number):
    """Gradients are those of `grad`, and those that are zero are reported, and no others."""
    fun, args = program(number)
    fun = fun.__wrapped__
    with pb.enable_x64(args[0].dtype == np.float64):
        expected = pb.grad(fun, argnums=(0, 1), has_aux=True)(*args)[0]
        report = explain_gradient(fun, *args, argnums=(0, 1), has_aux=True)
    assert report.first_nonfinite_forward is report.first_nonfinite_backward is None
    assert {d.input for d in report.dead} == {n for n, e in zip("xy", expected) if not np.any(np.asarray(e))}
    for got, e in zip(report.inputs, expected):
        value = np.zeros(e.shape) if got.gradient is None else np.asarray(got.gradient)
        np.testing.assert_allclose(
            value, e, rtol=1e-3, atol=1e-3 * max(1e-3, float(np.abs(np.asarray(e)).max(initial=0)))
        )


A = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
V, S = A[0], A @ A.T + 4 * np.eye(4, dtype=np.float32)
HEALTHY = {
    "cholesky": (lambda a: jnp.linalg.cholesky(a).sum(), S),
    "eigh": (lambda a: (jnp.linalg.eigh(a)[0] ** 2).sum(), S),
    "fft": (lambda x: jnp.abs(jnp.fft.fft(x)).sum(), V),
    "sort": (lambda x: (jnp.sort(x) * jnp.arange(1, 5)).sum(), V),
    "associative": (lambda x: lax.associative_scan(jnp.multiply, x).sum(), V),
    "solve": (lambda x: lax.custom_linear_solve(lambda v: S @ v, x, lambda f, b: jnp.linalg.solve(S, b), symmetric=True).sum(), V),
    "checkpointed scan": (lambda x: lax.scan(pb.checkpoint(lambda c, _: (jnp.sin(c * x), c)), x, None, length=3)[1].sum(), V),
    "map": (lambda x: lax.map(lambda a: jnp.sin(a) * x.sum(), x).sum(), V),
    "branches of elements": (lambda x: pb.vmap(lambda a: lax.cond(a > 0, jnp.sin, lambda b: b * 2, a))(x).sum(), V),
    "loops of elements": (lambda x: pb.vmap(lambda a: lax.while_loop(lambda s: s < 5, lambda s: s * 2 + a, abs(a) + 1))(x).sum(), V),
    "mask": (lambda x: x[x > 0].sum() + 0.1 * x.sum(), V),
    "nonzero": (lambda x: x[jnp.nonzero(x > 0)[0]].sum() + x.prod(), V),
    "NumPy's functions": (lambda x: np.sum(np.sin(x)), V),
    "random numbers": (lambda x: (pb.random.normal(pb.random.key(0), (4,)) * x).sum(), V),
    "hessian": (lambda x: pb.hessian(lambda y: jnp.sin(y).prod())(x).sum(), V),
    "forward mode": (lambda x: pb.jvp(jnp.sin, (x,), (x,))[1].sum(), V),
    "segments": (lambda x: pb.ops.segment_sum(x, jnp.array([0, 1, 0, 1]), 2).prod(), V),
    "callback": (lambda x: (pb.pure_callback(np.sin, x, lax.stop_gradient(x)) * x).sum(), V),
    "no steps": (lambda x: lax.scan(lambda c, a: (c * a, c), x.sum(), x[:0])[0], V),
    "complex": (lambda z: jnp.abs(jnp.exp(1j * z) * z).sum(), V + 1j),
    "half precision": (lambda x: jnp.sin(x).sum(), V.astype(np.float16)),
    "empty": (lambda x: jnp.sin(x).sum() + x[:0].sum(), V),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_healthy(name):
    f, x = HEALTHY[name]
    report = explain_gradient(f, x)
    assert report.problems == []
    np.testing.assert_allclose(report.inputs[0].gradient, pb.grad(f)(x), rtol=2e-3, atol=1e-4)
    assert str(report).startswith("gradient of <lambda>: nothing is wrong")


def test_wide_types():
    with pb.enable_x64(True):
        x = jnp.linspace(0.1, 1.0, 5)
        report = explain_gradient(lambda x: jnp.exp(100 * x).sum(), x)
        assert report.ok
        assert report.inputs[0].type == "f64[5]"
    assert explain_gradient(lambda x: jnp.sin(x).sum(), jnp.ones(0)).ok
    for dtype in ("bfloat16", "float8_e4m3fn"):
        assert explain_gradient(lambda x: (x * x).sum(), jnp.ones(2, dtype)).ok


# ---- how it is called ----------------------------------------------------------------------------


def test_python_runs_once():
    calls = []

    def f(x, *, scale):
        calls.append(1)
        return x * scale if x > 0 else -x

    report = explain_gradient(f, 2.0, scale=3.0)
    assert len(calls) == 1
    assert report.inputs[0].largest == 3
    assert report.name == "f"


def test_has_aux_and_argnums():
    f = lambda x, y: (x * y, {"anything": "at all"})
    report = explain_gradient(f, 2.0, 3.0, argnums=-1, has_aux=True)
    assert [x.name for x in report.inputs] == ["y"]
    assert report.inputs[0].largest == 2
    with pytest.raises(TypeError, match="pair"):
        explain_gradient(lambda x: x, 2.0, has_aux=True)


def test_what_checks_for_nans_does_not_stop_it():
    with pb.debug_nans(True), pb.debug_infs(True):
        assert explain_gradient(jnp.log, 0.0).first_nonfinite_forward.value == "inf"


def test_reports_print_and_show():
    report = explain_gradient(lambda p: jnp.sqrt(p["<b>"]) + 0 * p["a"], {"a": 1.0, "<b>": 0.0})
    assert isinstance(report, GradientReport)
    text = str(report)
    assert text.splitlines()[0] == "gradient of <lambda>: 2 problems"
    assert text == repr(report)
    assert all(len(line) < 200 for line in text.splitlines())
    html = report._repr_html_()
    assert "&lt;b&gt;" in html
    assert html.count("<tr>") == 3
    assert html.count("<li>") == 2
    many = explain_gradient(lambda p: sum(p), [1.0] * 40)
    assert "and 10 more arguments" in str(many)


@pytest.mark.parametrize(
    ("error", "call", "match"),
    [
        (TypeError, lambda: explain_gradient(3.0, 1.0), "callable"),
        (TypeError, lambda: explain_gradient(jnp.sin), "argnums"),
        (TypeError, lambda: explain_gradient(lambda n: n * 2.0, 3), "floating-point"),
        (TypeError, lambda: explain_gradient(lambda x, y: x, 1.0, 2.0, argnums=(0, 0)), "twice"),
        (TypeError, lambda: explain_gradient(jnp.sin, "text"), "text"),
        (TypeError, lambda: explain_gradient(lambda x: "text", 1.0), "output"),
        (TypeError, lambda: explain_gradient(jnp.sin, 1.0, cotangent=(1.0,)), "structure"),
        (TypeError, lambda: explain_gradient(jnp.sin, 1.0, cotangent=np.ones(2)), "shape"),
        (TypeError, lambda: pb.jit(lambda x: explain_gradient(jnp.sin, x) and x)(1.0), "outside of jit"),
        (TypeError, lambda: pb.grad(lambda x: explain_gradient(jnp.sin, x) and x)(1.0), "outside of jit"),
        (ZeroDivisionError, lambda: explain_gradient(lambda x: x * (1 // 0), 1.0), "division"),
    ],
)  # fmt: skip
def test_errors(error, call, match):
    with pytest.raises(error, match=match):
        call()
