"""Passes over programs: they keep the meaning, and do what they are for."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.array import concrete
from pullback.core.errors import JaxprTypeError
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, check_jaxpr, eval_jaxpr
from pullback.core.passes import (
    drop_unused_consts,
    eliminate_common_subexpressions,
    eliminate_dead_code,
    hoist_constants,
    inline_calls,
    simplify,
)


def names(closed):
    return [e.primitive.name for e in closed.eqns]


def same(before, after, *args):
    check_jaxpr(after.jaxpr)
    for a, b in zip(
        eval_jaxpr(before.jaxpr, before.consts, *args), eval_jaxpr(after.jaxpr, after.consts, *args), strict=True
    ):
        assert np.array_equal(a, b)


def test_dead_code_goes_and_unused_constants_with_it():
    big = jnp.arange(5.0)

    def f(x):
        jnp.sum(big * 3)
        y = jnp.sin(x)
        jnp.cos(y)
        return y * 2

    closed = pb.make_jaxpr(f)(1.0)
    assert len(closed.eqns) == 5 and closed.consts
    after = drop_unused_consts(closed, eliminate_dead_code(closed.jaxpr))
    assert names(after) == ["sin", "mul"] and not after.consts
    same(closed, after, concrete(np.float32(1)))
    assert len(closed.eqns) == 5  # the original is as it was


def test_only_wanted_results_are_computed():
    closed = pb.make_jaxpr(lambda x: (jnp.sin(x), jnp.cos(x)))(1.0)
    wanted = eliminate_dead_code(closed.jaxpr, [False, True])
    assert [e.primitive.name for e in wanted.eqns] == ["cos"] and len(wanted.outvars) == 1


def test_common_subexpressions_are_computed_once():
    def f(x, y):
        a = jnp.sin(x) + jnp.exp(y) * 2
        b = jnp.sin(x) + jnp.exp(y) * 2
        return a * b, jnp.sin(x), jnp.sum(a, axis=0), jnp.sum(b, axis=0)

    args = (jnp.ones((2, 3)), jnp.ones((2, 3)))
    closed = pb.make_jaxpr(f)(*args)
    after = drop_unused_consts(closed, eliminate_common_subexpressions(closed.jaxpr))
    assert names(after) == ["sin", "exp", "mul", "add", "mul", "reduce_sum"]
    same(closed, after, *args)


def test_parameters_and_literals_tell_expressions_apart():
    f = lambda x: (x * 2.0, x * 3.0, x * 0.0, x * -0.0, jnp.sum(x, 0), jnp.sum(x, 1))
    closed = pb.make_jaxpr(f)(jnp.ones((2, 2)))
    assert len(eliminate_common_subexpressions(closed.jaxpr).eqns) == 6


def test_barriers_are_not_merged():
    f = lambda x: (pb.lax.optimization_barrier(x), pb.lax.optimization_barrier(x))
    closed = pb.make_jaxpr(f)(1.0)
    assert names(simplify(closed)).count("optimization_barrier") == 2


def test_calls_are_inlined_at_every_depth():
    @pb.custom_jvp
    def g(x):
        return jnp.sin(x)

    g.defjvp(lambda x, t: (g(*x), t[0]))
    c = jnp.arange(3.0)
    inner = pb.jit(lambda x: g(x) * c)
    f = lambda x: pb.jit(lambda x: inner(x) + inner(x + 1))(x) * c
    closed = pb.make_jaxpr(f)(jnp.ones(3))
    flat = inline_calls(closed)
    assert not {"jit", "custom_jvp_call"} & set(names(flat))
    assert len(flat.consts) == 1  # one array, however often it is closed over
    same(closed, flat, jnp.ones(3))


def test_large_constants_become_arguments_once():
    big, small = jnp.arange(1000.0), jnp.arange(2.0)
    inner = pb.jit(lambda x: x * big)
    closed = inline_calls(pb.make_jaxpr(lambda x: (inner(x) + big, small * 2))(jnp.ones(1000)))
    program, hoisted = hoist_constants(closed, lambda c: c.size < 100)
    assert len(hoisted) == 1 and hoisted[0] is big
    assert len(program.consts) == 1 and len(program.jaxpr.invars) == 2
    results = eval_jaxpr(program.jaxpr, program.consts, big, jnp.ones(1000))
    assert np.array_equal(results[0], 2 * np.arange(1000.0))


def test_the_type_check_names_equation_and_line():
    closed = pb.make_jaxpr(lambda x: jnp.sin(x) * 2)(1.0)
    closed.eqns[0].outvars[0].aval = closed.eqns[0].outvars[0].aval.update(shape=(3,))
    with pytest.raises(JaxprTypeError, match=r"sin.*test_passes\.py:\d+"):
        check_jaxpr(closed.jaxpr)
    good = pb.make_jaxpr(lambda x: jnp.sin(x) * 2)(1.0)
    with pytest.raises(JaxprTypeError, match="before it is defined"):
        check_jaxpr(Jaxpr([], good.jaxpr.invars, good.jaxpr.outvars, good.eqns[1:]))


def test_what_is_derived_from_a_program_is_made_once():
    closed = pb.make_jaxpr(jnp.sin)(1.0)
    assert isinstance(closed, ClosedJaxpr)
    assert closed.derived("key", lambda program: [program]) is closed.derived("key", lambda program: [])
