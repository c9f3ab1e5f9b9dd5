"""What loops and branches become: traced once, with nothing carried or stored that does not change, in programs of bounded size."""

import gc
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core import kept
from pullback.core.jaxpr import subjaxprs
from pullback.experimental import io_callback

XS = jnp.arange(1.0, 6.0)


def equations(jaxpr, name):
    """The equations of a primitive, in the program and in those within."""
    for e in jaxpr.eqns:
        if e.primitive.name == name:
            yield e
        for p in subjaxprs(e.params):
            yield from equations(p.jaxpr, name)


# ---- tracing once -----------------------------------------------------------------------------------------------


def double(x):
    return 2 * x


def calls(count):
    """Calls of control flow with functions that live on, which count how often they are traced."""

    def body(c, x):
        count()
        return jnp.sin(c) * x, c

    def one(x):
        count()
        return 1.5 * x

    def below(x):
        count()
        return x < 30

    def numbered(i, x):
        count()
        return x * 1.5 + i

    return {
        "scan": lambda x: lax.scan(body, x, XS)[0],
        "scan with checkpoints": lambda x: lax.scan(body, x, XS, checkpoints=2)[0],
        "while": lambda x: lax.while_loop(below, one, x),
        "fori": lambda x: lax.fori_loop(0, 3, numbered, x),
        "fori of a traced bound": lambda x: lax.fori_loop(jnp.int32(0), jnp.abs(jnp.int32(x > 0)) + 2, numbered, x),
        "cond": lambda x: lax.cond(x > 0, one, double, x),
        "switch": lambda x: lax.switch(jnp.int32(x > 0), [double, one], x),
        "map": lambda x: lax.map(one, x * XS)[1],
        "map in batches": lambda x: lax.map(one, x * XS, batch_size=2)[4],
    }


@pytest.mark.parametrize("mode", ["value", "grad", "vmap"])
@pytest.mark.parametrize("name", calls(None))
def test_repeated_calls_trace_nothing(name, mode):
    traced = []
    call = calls(lambda: traced.append(1))[name]
    transformed = {"value": call, "grad": pb.grad(call), "vmap": lambda x: pb.vmap(call)(x * jnp.ones(2))}[mode]
    first = transformed(jnp.float32(1.0))
    before = len(traced)
    again = [transformed(jnp.float32(1.0)) for _ in range(3)]
    assert before and len(traced) == before
    assert all(np.array_equal(first, x) for x in again)


def test_functions_and_what_they_close_over_are_forgotten():
    def count():
        gc.collect()
        return len(kept._all), sum(len(k.own) + len(k.shared) for k in kept._all)

    def use(i):
        w = jnp.ones(3) * i
        lax.cond(i > 3, double, lambda x: x * w[0], 1.0)
        lax.cond(i > 3, lambda x: x * w[0], double, 1.0)
        lax.switch(i % 2, [double, lambda x: x * w[0]], 1.0)
        lax.while_loop(lambda x: x < w[0], double, 1.0)
        lax.while_loop(lambda x: x < 3, lambda x: x + w[0] + 1, 1.0)
        lax.scan(lambda c, x: (c + w[0], None), 1.0, length=3)
        lax.map(lambda x: x + w, XS, batch_size=2)

    def use_all():
        for i in range(8):
            use(i)

    use_all()  # after which what other tests have left is gone, too
    before = count()
    use_all()
    assert count() == before


def test_equal_bodies_are_one_program_however_warm_their_code_is():
    # CPython specializes what is run often, and then names the same call by another offset.
    w = jnp.ones(3)
    programs = set()
    for _ in range(30):
        scans = list(
            equations(pb.make_jaxpr(lambda: lax.scan(lambda c, _: (c + w[0], None), 1.0, length=3))().jaxpr, "scan")
        )
        programs.add(id(scans[0].params["jaxpr"]))
    assert len(programs) == 1


def test_a_function_of_another_call_is_not_mistaken():
    for limit in (3.0, 10.0, 100.0):  # one body, with conditions that differ in what they close over
        assert lax.while_loop(lambda x, limit=limit: x < limit, double, 1.0) == 2 ** np.ceil(np.log2(limit))
    for k in (1, 2, 3):
        assert lax.cond(False, double, lambda x, k=k: x * k, 5.0) == 5 * k


# ---- what does not change ---------------------------------------------------------------------------------------


def test_carries_that_never_change_are_constants():
    def f(w, x):
        def step(carry, v):
            scale, state, shift = carry
            return (scale, jnp.sin(jnp.exp(scale) * state) * v + shift, shift), state

        (scale, state, shift), ys = lax.scan(step, (w, x, 2.0), XS)
        return jnp.sum(state * scale + ys[2]) + shift

    w, x = jnp.full(3, 0.5), jnp.arange(3.0)
    scans = list(equations(pb.make_jaxpr(pb.grad(f, (0, 1)))(w, x).jaxpr, "scan"))
    assert len(scans) == 2 and scans[0].params["num_carry"] == 1
    # Of a step: the output, cos, and sin of what is in the brackets times the exponential; not the scale or its exponential.
    assert sum(t.shape[:1] == (5,) for t in (v.aval for v in scans[0].outvars)) <= 3
    unrolled = pb.grad(lambda w, x: unrolled_sum(w, x), (0, 1))(w, x)
    for got, expected in zip(pb.grad(f, (0, 1))(w, x), unrolled, strict=True):
        assert np.allclose(got, expected, rtol=1e-5)


def unrolled_sum(w, x):
    state, ys = x, []
    for v in XS:
        ys.append(state)
        state = jnp.sin(jnp.exp(w) * state) * v + 2.0
    return jnp.sum(state * w + ys[2]) + 2.0


def test_results_that_never_change_keep_their_places():
    out = lax.while_loop(
        lambda s: s["n"] < s["limit"], lambda s: {**s, "n": s["n"] + s["step"]}, {"limit": 5, "n": 1, "step": 2}
    )
    assert out == {"limit": 5, "n": 5, "step": 2}
    assert lax.while_loop(lambda c: c < 0, lambda c: c, 3.0) == 3.0
    assert pb.grad(lambda x: lax.while_loop(lambda c: c < 0, lambda c: c, x))(3.0) == 1.0
    (a, b), ys = lax.scan(lambda c, x: (c, (x, c[0])), (1, XS), XS)
    assert a == 1 and np.array_equal(b, XS) and np.array_equal(ys[0], XS) and np.array_equal(ys[1], [1] * 5)
    for options in ({}, {"checkpoints": 2}, {"reverse": True}):
        power = lambda x, o=options: lax.scan(lambda c, _: ((c[0], c[1] * c[0]), None), (x, x), length=3, **o)[0][1]
        assert pb.grad(power)(2.0) == 32.0 and pb.grad(pb.grad(power))(2.0) == 48.0
        assert np.array_equal(pb.vmap(pb.grad(power))(jnp.array([1.0, 2.0])), [4.0, 32.0])


# ---- the size of programs ---------------------------------------------------------------------------------------


def lines(n, checkpoints):
    """The lengths of compiled programs: first and second derivatives of loops of n steps."""

    def by_scan(x):
        return jnp.sum(lax.scan(lambda c, _: (jnp.sin(c), None), x, length=n, checkpoints=checkpoints)[0])

    def by_while(x):
        body = lambda s: (s[0] + 1, jnp.sin(s[1]))
        return jnp.sum(lax.while_loop(lambda s: s[0] < n, body, (0, x), checkpoints=checkpoints)[1])

    first = [pb.grad(by_scan), pb.grad(by_while)]
    second = [pb.grad(lambda x, g=g: jnp.sum(g(x))) for g in first]
    return [pb.jit(g).lower(XS).as_text().count("\n") for g in (*first, *second)]


def test_programs_do_not_grow_with_length_or_slots():
    few = lines(100, 10)
    for n, checkpoints in ((100_000, 10), (100_000, 300)):  # whether a loop is a kernel of its own is a line or two
        assert all(abs(a - b) <= 3 for a, b in zip(few, lines(n, checkpoints), strict=True))


def test_one_schedule_for_a_batch_of_while_loops():
    """Elements stop at different times; the states of all are kept together, so that no slot is copied to mask it."""

    def f(x, w):
        return lax.while_loop(
            lambda s: (s[0] < 40) & (s[1] < 3.0), lambda s: (s[0] + 1, s[1] * 1.02 + w * jnp.cos(s[1])), (0, x)
        )[1]

    x, w = jnp.array([0.3, 1.0, 2.9]), 0.05
    for axes in ((0, None), (None, 0)):
        args = [v if b is None else v * jnp.ones(3) for v, b in zip((x if axes[0] == 0 else x[0], w), axes)]
        program = pb.make_jaxpr(pb.vmap(pb.grad(f, (0, 1)), axes))(*args).jaxpr
        recorded, transposed = equations(program, "checkpointed_loop")
        assert [v.aval.shape for v in recorded.outvars[-3:]] == [(), (), ()], "numbers of steps, of segments, of slots"
        got = pb.vmap(pb.grad(f, (0, 1)), axes)(*args)
        each = [pb.grad(f, (0, 1))(*[a if b is None else a[i] for a, b in zip(args, axes)]) for i in range(3)]
        for k in range(2):
            assert np.allclose(got[k], [e[k] for e in each], rtol=1e-5)


def test_a_batch_of_gradients_ignores_what_stopped_elements_would_do():
    def f(x):
        return lax.while_loop(lambda c: c < 1.0, lambda c: c + jnp.sqrt(1.2 - c) * 0.3 + 0.05, x)

    got = pb.vmap(pb.grad(f))(jnp.array([0.1, 0.95, 2.0]))  # of 2, the body is NaN
    assert np.array_equal(got, [pb.grad(f)(x) for x in (0.1, 0.95, 2.0)]) and got[2] == 1.0


@pytest.mark.parametrize("compiled", [False, True])
def test_collectives_in_a_batch_of_while_loops(compiled):
    def f(x):
        return lax.while_loop(lambda c: c < 2.0, lambda c: c * 1.1 + 0.01 * lax.psum(c**2, "i"), x)

    x = jnp.array([0.3, 0.5, 0.9])
    of_vmap = pb.grad(lambda x: jnp.sum(pb.vmap(f, axis_name="i")(x)))
    of_each = pb.vmap(pb.grad(f), axis_name="i")
    got, expected = (pb.jit(g)(x) if compiled else g(x) for g in (of_each, of_vmap))
    assert np.allclose(got, expected, rtol=1e-5)


# ---- effects ----------------------------------------------------------------------------------------------------


def test_ordered_effects_keep_their_order_through_loops_and_branches():
    seen = []

    def tell(what, *xs):
        io_callback(lambda *xs: seen.append((what, *map(float, xs))), None, *xs, ordered=True)

    def f(x):
        tell("start", x)

        def goes_on(s):
            tell("condition", s[0])
            return s[0] < 2

        def body(i, c):
            tell("body", i, c)
            c = lax.cond(c > 2, lambda c: (tell("large"), c - 1)[1], lambda c: (tell("small", c), c + 1.5)[1], c)
            c = lax.switch(i, [lambda c: c, lambda c: (tell("one"), c)[1]], c)
            _, c = lax.while_loop(goes_on, lambda s: (s[0] + 1, s[1] + 0.25), (0, c))
            tell("end of body")
            return c

        y = lax.fori_loop(0, 3, body, x)
        n = lax.while_loop(lambda n: n < y, lambda n: (tell("step", n), n + 1)[1], 3.0)
        y, _ = lax.scan(lambda c, v: (c + v, tell("scan", v)), y, XS[:3], unroll=2)
        tell("end")
        return y + n

    expected = [("start", 1.0)]
    c = 1.0
    for i in range(3):
        expected += [("body", i, c), ("large",) if c > 2 else ("small", c)]
        c = c - 1 if c > 2 else c + 1.5
        expected += [("one",)] * (i > 0) + [("condition", k) for k in range(3)] + [("end of body",)]
        c += 0.5
    expected += [("step", 3.0)] * (c > 3) + [("scan", v) for v in (1.0, 2.0, 3.0)] + [("end",)]
    for g in (f, pb.jit(f)):
        seen.clear()
        g(1.0)
        assert seen == expected


# ---- whose results are ------------------------------------------------------------------------------------------

CLOSED_OVER = jnp.ones(3) * 2
CONSTANTS: dict[str, Any] = {
    "a number of a branch": lambda: lax.cond(True, lambda: 3.0, lambda: 4.0),
    "a number of the only branch": lambda: lax.switch(0, [lambda: 3.0]),
    "one number twice": lambda: lax.cond(False, lambda: (1.0, 2.0), lambda: (3.0, 3.0))[0],
    "what a branch closes over": lambda: lax.cond(True, lambda: CLOSED_OVER, lambda: CLOSED_OVER * 2),
    "a number of a mapped branch": lambda: pb.vmap(lambda p: lax.cond(p, lambda: 3.0, lambda: 4.0))(jnp.ones(2, bool)),
    "a number of a compiled function": pb.jit(lambda: 3.0),
    "an array of a compiled function": pb.jit(lambda: CLOSED_OVER),
    "the gradient of a linear function": lambda: pb.grad(lambda x: 3.0 * x)(1.0),
    "the gradient of the identity": lambda: pb.grad(lambda x: x)(1.0),
    "the derivative of a constant": lambda: pb.jvp(lambda x: 3.0, (1.0,), (1.0,))[1],
    "the carry of a loop without steps": lambda: lax.fori_loop(0, 0, lambda i, c: c + 1, 3.0),
    "a carry that stays": lambda: lax.fori_loop(0, 3, lambda i, c: c, 3.0),
    "outputs of a map": lambda: lax.map(lambda x: 3.0, jnp.ones(2)),
    "a piece": lambda: jnp.piecewise(1.0, [True], [lambda v: 3.0]),
}


@pytest.mark.parametrize("how", ["donated", "deleted"])
@pytest.mark.parametrize("name", CONSTANTS)
def test_results_are_the_callers(name: str, how: str) -> None:
    """A result that has been donated or deleted comes again all the same."""
    make = CONSTANTS[name]
    expected = np.array(make())
    result = make()
    if how == "deleted":
        result.delete()
    else:
        pb.jit(lambda x: x + 1, donate_argnums=0)(result)
    np.testing.assert_array_equal(make(), expected)
    np.testing.assert_array_equal(CLOSED_OVER, [2, 2, 2])
