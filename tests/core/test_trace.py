"""The current trace: restored however a transformation ends, and one a thread and task."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.trace import EVAL, current
from pullback.errors import UnexpectedTracerError

TRANSFORMATIONS: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "grad": lambda f: pb.grad(f)(1.0),
    "jvp": lambda f: pb.jvp(f, (1.0,), (1.0,)),
    "vjp": lambda f: pb.vjp(f, 1.0),
    "linearize": lambda f: pb.linearize(f, 1.0),
    "vmap": lambda f: pb.vmap(f)(jnp.ones(2)),
    "make_jaxpr": lambda f: pb.make_jaxpr(f)(1.0),
    "jacfwd": lambda f: pb.jacfwd(f)(1.0),
    "hessian": lambda f: pb.hessian(f)(1.0),
    "jit": lambda f: pb.jit(f)(1.0),
    "checkpoint": lambda f: pb.grad(pb.checkpoint(f))(1.0),
    "linear_transpose": lambda f: pb.linear_transpose(f, 1.0)(1.0),
}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_trace_is_restored_after_an_exception(name: str, error: type[BaseException]) -> None:
    def fails(x: Any) -> Any:
        assert (x + x).shape == ()
        raise error("on purpose")

    with pytest.raises(error, match="on purpose"):
        TRANSFORMATIONS[name](fails)
    assert current() is EVAL
    assert float(jnp.sin(0.0)) == 0.0


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_trace_is_restored_inside_a_trace(name: str) -> None:
    def fails(x: Any) -> Any:
        raise ValueError("on purpose")

    def outer(x: Any) -> Any:
        before = current()
        with pytest.raises(ValueError, match="on purpose"):
            TRANSFORMATIONS[name](fails)
        assert current() is before
        return x * x

    assert float(pb.grad(outer)(3.0)) == 6.0


def test_threads_do_not_see_each_others_traces() -> None:
    inside, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        inside.wait(10)
        seen.append(current())
        seen.append(float(pb.grad(lambda x: x**3)(2.0)))
        done.set()

    def function(x: Any) -> Any:
        inside.set()
        assert done.wait(10)
        return x * x

    thread = threading.Thread(target=other)
    thread.start()
    value = float(pb.grad(function)(3.0))
    thread.join()
    assert seen == [EVAL, 12.0] and value == 6.0


def test_gradients_in_many_threads() -> None:
    results: dict[int, float] = {}

    def work(i: int) -> None:
        results[i] = float(pb.grad(lambda x: jnp.sum(jnp.sin(x) * i))(jnp.zeros(3))[0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: float(i) for i in range(8)}


def test_tasks_do_not_see_each_others_options_and_traces() -> None:
    async def task(x64: bool) -> Any:
        with pb.enable_x64(x64):
            await asyncio.sleep(0)
            dtype = jnp.asarray(1.0).dtype
            await asyncio.sleep(0)
            assert current() is EVAL
            return dtype

    async def both() -> Any:
        return await asyncio.gather(task(True), task(False))

    assert asyncio.run(both()) == [np.float64, np.float32]


def test_generator_that_is_abandoned_leaves_no_trace() -> None:
    def generator() -> Any:
        yield pb.grad(lambda x: x * x)(1.0)
        yield 1

    next(generator())
    assert current() is EVAL


def leak(transform: Callable[[Callable[..., Any]], Any]) -> Any:
    """The tracer that a function hides from its transformation."""
    hidden: list[Any] = []

    def function(x: Any) -> Any:
        hidden.append(x * 1.0)
        return x

    transform(function)
    return hidden[0]


@pytest.mark.parametrize("name", ["vmap", "make_jaxpr", "grad", "jvp"])
def test_leaked_tracer_is_named(name: str) -> None:
    tracer = leak(TRANSFORMATIONS[name])
    with pytest.raises(UnexpectedTracerError, match="tracer"):
        jnp.sin(tracer)


def test_special_values_are_results_not_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(jnp.log(-1.0)) and np.isinf(1 / jnp.float32(0)) and np.isinf(jnp.exp(1000.0))


def test_numpys_own_error_state_is_neither_used_nor_changed() -> None:
    with np.errstate(all="raise"):
        before = np.geterr()
        assert np.isnan(jnp.log(-1.0))
        assert np.geterr() == before
        with pytest.raises(FloatingPointError):
            np.log(np.float32(-1.0))


def test_debug_options_name_the_operation() -> None:
    with pb.debug_nans(True), pytest.raises(FloatingPointError, match="log"):
        jnp.log(-1.0)
    with pb.debug_infs(True), pytest.raises(FloatingPointError, match="div"):
        jnp.float32(1) / 0
    assert np.isnan(jnp.log(-1.0))
