"""The current trace is restored whatever happens, and belongs to one thread and one task."""

import asyncio
import concurrent.futures
import warnings

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.trace import EVAL, current

TRANSFORMS = {
    "grad": lambda f: pb.grad(f)(1.0),
    "jvp": lambda f: pb.jvp(f, (1.0,), (1.0,)),
    "vjp": lambda f: pb.vjp(f, 1.0),
    "linearize": lambda f: pb.linearize(f, 1.0),
    "vmap": lambda f: pb.vmap(f)(jnp.ones(2)),
    "jacfwd": lambda f: pb.jacfwd(f)(1.0),
    "make_jaxpr": lambda f: pb.make_jaxpr(f)(1.0),
    "checkpoint": lambda f: pb.grad(pb.checkpoint(f))(1.0),
    "grad of vmap of jvp": lambda f: pb.grad(lambda x: pb.vmap(lambda y: pb.jvp(f, (y,), (x,))[1])(jnp.ones(2)).sum())(
        1.0
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_failing_function_leaves_no_trace(transform, error):
    def fails(x):
        jnp.sin(x)
        raise error("user's")

    with pytest.raises(error):
        TRANSFORMS[transform](fails)
    assert current() is EVAL
    assert np.allclose(pb.grad(lambda x: x * x)(3.0), 6.0)


def test_a_failing_rule_leaves_no_trace():
    @pb.custom_jvp
    def f(x):
        return x

    @f.defjvp
    def rule(primals, tangents):
        raise KeyboardInterrupt

    for transform in TRANSFORMS.values():
        try:
            transform(f)
        except KeyboardInterrupt:
            pass
        assert current() is EVAL


def work(seed):
    x = jnp.asarray(np.random.default_rng(seed).normal(size=3).astype(np.float32))
    for _ in range(30):
        h = pb.hessian(lambda x: jnp.sum(jnp.sin(x) ** 2))(x)
        assert np.allclose(h, np.diag(2 * np.cos(2 * np.asarray(x))), atol=1e-4)
    with pb.enable_x64(seed % 2 == 0):
        return jnp.ones(1).dtype == (np.float64 if seed % 2 == 0 else np.float32)


def test_threads():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_one_pullback_in_many_threads():
    y, pullback = pb.vjp(lambda x: jnp.sin(x) * x, jnp.arange(4.0))
    expected = np.asarray(pullback(jnp.ones(4))[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: np.asarray(pullback(jnp.ones(4))[0]), range(100)):
            assert np.array_equal(result, expected)


def test_tasks_have_their_own_current_trace():
    async def inside(x):
        def f(y):
            return y * y

        await asyncio.sleep(0)
        return pb.grad(f)(x)

    async def main():
        return await asyncio.gather(*(inside(float(i)) for i in range(10)))

    assert np.allclose(asyncio.run(main()), 2 * np.arange(10.0))


def test_numpy_error_state_is_neither_used_nor_changed():
    before = np.geterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isneginf(jnp.log(jnp.zeros(())))
        assert np.isnan(pb.grad(lambda x: jnp.sqrt(x) * 0)(0.0))
    with np.errstate(all="raise"):
        assert np.isneginf(jnp.log(jnp.zeros(())))
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(()))
    assert np.geterr() == before


def test_user_arrays_may_change_afterwards():
    x = np.ones(3, np.float32)
    a = jnp.asarray(x)
    y, pullback = pb.vjp(lambda v: v * v, x)
    x[:] = 100
    assert np.array_equal(a, np.ones(3)) and np.array_equal(y, np.ones(3))
    assert np.array_equal(pullback(jnp.ones(3))[0], 2 * np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(a)[0] = 5
