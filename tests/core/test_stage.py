"""Traces that are over: their tracers are refused, and tasks that were made under them compute as if there were none."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import threading

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core.trace import EVAL, current
from pullback.errors import UnexpectedTracerError
from pullback.experimental import checkify


def leaked(transformation):
    """An argument of a function that has been traced."""
    found = []
    transformation(lambda x: (found.append(x), x)[1])
    return found[0]


STAGED = {
    "jit": lambda f: pb.jit(f)(1.0),
    "make_jaxpr": lambda f: pb.make_jaxpr(f)(1.0),
    "scan": lambda f: lax.scan(lambda c, _: (f(c), None), 1.0, length=2),
}


@pb.custom_vjp
def with_rule(x):
    return x


with_rule.defvjp(lambda x: (x, None), lambda _, g: (g,))

USES = {
    "scan": lambda t: lax.scan(lambda c, _: (c, None), t, None, length=2),
    "scan of nothing": lambda t: lax.scan(lambda c, _: (c, None), t, None, length=0),
    "while_loop": lambda t: lax.while_loop(lambda c: False, lambda c: c, t),
    "fori_loop": lambda t: lax.fori_loop(0, 0, lambda i, c: c, t),
    "cond": lambda t: lax.cond(True, lambda x: x, lambda x: x, t),
    "switch": lambda t: lax.switch(0, [lambda x: x, lambda x: x], t),
    "a predicate": lambda t: lax.cond(t, lambda: 1.0, lambda: 2.0),
    "an index of switch": lambda t: lax.switch(t, [lambda: 1.0, lambda: 2.0]),
    "a bound": lambda t: lax.fori_loop(0, t, lambda i, c: c, 1.0),
    "checked": lambda t: checkify.check(t, "never"),
    "in a message": lambda t: checkify.check(False, "{}", t),
    "an argument of vmap": lambda t: pb.vmap(lambda k, x: x)(t, jnp.ones(2)),
    "an argument that vmap does not map": lambda t: pb.vmap(lambda k, x: x, (None, 0))(t, jnp.ones(2)),
    "lowered": lambda t: pb.jit(lambda x: x).lower(t),
    "a closure of cond": lambda t: lax.cond(True, lambda: t, lambda: 2.0),
    "a closure of jit": lambda t: pb.jit(lambda: t)(),
    "jit": lambda t: pb.jit(lambda x: x)(t),
    "vmap": lambda t: pb.vmap(lambda x: t)(jnp.ones(2)),
    "vmap, not mapped": lambda t: pb.vmap(lambda x: t, out_axes=None)(jnp.ones(2)),
    "grad": lambda t: pb.grad(lambda x: t)(1.0),
    "vjp": lambda t: pb.vjp(lambda x: t, 1.0),
    "jvp": lambda t: pb.jvp(lambda x: t, (1.0,), (1.0,)),
    "custom_vjp": with_rule,
    "checkpoint": lambda t: pb.checkpoint(lambda x: x)(t),
    "device_put": pb.device_put,
    "asarray": jnp.asarray,
    "array": jnp.array,
    "reshape": lambda t: jnp.reshape(t, jnp.shape(t)),
    "lax.reshape": lambda t: lax.reshape(t, jnp.shape(t)),
    "broadcast_to": lambda t: jnp.broadcast_to(t, jnp.shape(t)),
    "squeeze": jnp.squeeze,
    "transpose": jnp.transpose,
    "astype": lambda t: t.astype(t.dtype),
    "index": lambda t: t[...],
    "copy": lambda t: jnp.copy(t),
    "deepcopy": lambda t: copy.copy(t),
    "operator": lambda t: t + 1,
    "NumPy": np.asarray,
    "bool": bool,
    "float": float,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("trace", STAGED)
def test_tracers_of_traces_that_are_over(trace, use):
    tracer = leaked(STAGED[trace])
    with pytest.raises(TypeError if use in ("NumPy", "bool", "float") else UnexpectedTracerError):
        USES[use](tracer)
    assert current() is EVAL


@pytest.mark.parametrize(
    "use", ["scan", "while_loop", "fori_loop", "cond", "device_put", "vmap", "grad", "vjp", "jvp", "operator"]
)
def test_tracers_of_transformations_that_are_over(use):
    for transformation in (
        lambda f: pb.grad(f)(1.0),
        lambda f: pb.jvp(f, (1.0,), (1.0,)),
        lambda f: pb.vmap(f)(jnp.ones(2)),
    ):
        with pytest.raises(UnexpectedTracerError):
            USES[use](leaked(transformation))


TRACED = {**STAGED, "jit of grad": lambda f: pb.jit(pb.grad(f))(1.0), "jit of vmap": lambda f: pb.jit(pb.vmap(f))(jnp.ones(2)),
          "grad": lambda f: pb.grad(f)(1.0), "vmap": lambda f: pb.vmap(f)(jnp.ones(2)), "jit in jit": lambda f: pb.jit(pb.jit(f))(1.0),
          "grad of jit": lambda f: pb.grad(pb.jit(f))(1.0), "checkpoint": lambda f: pb.grad(pb.checkpoint(f))(1.0)}  # fmt: skip


def compute():
    """Operations of every kind, in a task or thread of its own."""
    results = [
        jnp.sin(1.0), pb.jit(lambda x: x * 2)(3.0), pb.grad(jnp.sin)(0.0), lax.scan(lambda c, x: (c + x, c), 0.0, jnp.ones(3))[0],
        jnp.ones(3).at[0].set(2.0).sum(), pb.vmap(lambda x: x * 2)(jnp.ones(2)).sum(), pb.jit(pb.grad(jnp.sin))(0.0),
        lax.cond(jnp.array(True), lambda: 1.0, lambda: 2.0),
    ]  # fmt: skip
    assert [round(float(r), 3) for r in results] == [0.841, 6, 1, 3, 4, 4, 1, 1]


@pytest.mark.parametrize("trace", TRACED)
def test_tasks_that_were_made_while_tracing(trace):
    async def later():
        await asyncio.sleep(0)
        compute()

    async def main():
        tasks = []
        TRACED[trace](lambda x: (tasks.append(asyncio.get_running_loop().create_task(later())), x)[1])
        await asyncio.gather(*tasks)

    asyncio.run(main())


@pytest.mark.parametrize("trace", TRACED)
def test_threads_with_the_context_of_a_trace_that_is_over(trace):
    contexts, errors = [], []
    TRACED[trace](lambda x: (contexts.append(contextvars.copy_context()), x)[1])

    def run():
        try:
            contexts[0].run(compute)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start(), thread.join()
    assert not errors, errors
