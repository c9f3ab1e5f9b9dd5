"""What programs leave behind: memory while thousands of functions are jitted, and executables after the functions are gone."""

from __future__ import annotations

import gc
import os
import sys
import weakref

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.xla import lending, pjrt

X = np.ones(4, np.float32)


def executables() -> int:
    """How many executables XLA holds."""
    gc.collect()
    return len(pjrt.cpu().client.live_executables())


def buffers() -> int:
    """How many arrays XLA holds, but for the memory that is lent to calls, of which there are a few for each type."""
    lending.forget()
    return len(pjrt.cpu().client.live_buffers())


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def nothing_compiled():
    """Programs of other tests are out of the way."""
    pb.clear_caches()
    gc.collect()


# ---- thousands of functions -----------------------------------------------------------------------------------------


def use_once(i: int) -> None:
    """Jit a new function, and use it. XLA makes machine code for every eighth only, which takes most of the time."""
    n = float(i)
    if i % 8:
        assert np.asarray(pb.jit(lambda x: (x, n))(X)[1]) == n
    elif i % 16:
        assert np.asarray(pb.jit(lambda x: x + n)(X))[0] == n + 1
    else:
        assert pb.grad(pb.jit(lambda x: n * x))(1.0) == n


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_thousands_of_functions_take_no_memory():
    for i in range(320):
        use_once(i)
    gc.collect()
    memory, objects, alive, arrays = resident(), len(gc.get_objects()), executables(), buffers()
    for i in range(320, 2000):
        use_once(i)
    assert executables() <= alive and buffers() <= arrays
    assert len(gc.get_objects()) < objects + 500
    # An executable takes 40 kB or more; a traced program 2 kB, and objects.
    assert resident() < memory + (8 << 20)


def test_thousands_of_calls_take_no_memory():
    f = pb.jit(lambda t: {"a": t["a"] + 1, "b": t["b"]})
    g = pb.value_and_grad(lambda t: jnp.sum(pb.jit(jnp.sin)(t["a"])))
    tree = {"a": jnp.ones(1000), "b": 2.0}
    for _ in range(20):
        f(tree), g(tree)
    gc.collect()
    objects, alive, arrays = len(gc.get_objects()), executables(), buffers()
    for i in range(1000):
        f({"a": np.full(1000, i, np.float32), "b": float(i % 7)}), g(tree)
    assert executables() == alive
    assert buffers() <= arrays + 7
    assert len(gc.get_objects()) < objects + 100


def test_so_many_python_scalars_are_remembered_and_no_more():
    f = pb.jit(lambda x: x)
    f(0.5)
    arrays = buffers()
    for i in range(9000):
        f(float(i))
    assert buffers() < arrays + 5000


def test_results_are_freed_without_the_garbage_collector():
    """No cycle holds an array, an argument or a residual: memory comes back with the last reference."""
    f, loss = pb.jit(lambda x: x + 1), pb.jit(lambda x: jnp.sum(jnp.sin(x) ** 2))
    x = jnp.ones(1000)
    steps = (
        lambda: f(x),
        lambda: f(np.ones(1000, np.float32)),
        lambda: pb.grad(loss)(x),
        lambda: pb.vjp(loss, x)[1](1.0),
    )
    for step in 3 * steps:  # arrays that are kept get their buffers when they come again
        step()
    gc.collect()
    alive = buffers()
    gc.disable()
    try:
        for step in steps:
            for _ in range(5):
                step()
            assert buffers() <= alive + 1
    finally:
        gc.enable()


# ---- executables and their functions --------------------------------------------------------------------------------


def calls():
    """New functions of every kind, each with what calls it."""

    class Model:
        @pb.jit
        def method(self_x):
            return self_x * 2

    def nested(x):
        return pb.jit(lambda y: y * x)(x)

    f = lambda x: jnp.sum(jnp.sin(x) * 1.5)
    x = jnp.ones(3)
    return {
        "jit": lambda: pb.jit(f)(x),
        "several types": lambda: [pb.jit(f)(jnp.ones(n)) for n in range(3)],
        "grad of jit": lambda: pb.grad(pb.jit(f))(x),
        "jit of grad": lambda: pb.jit(pb.grad(f))(x),
        "vmap of jit": lambda: pb.vmap(pb.jit(f))(jnp.ones((2, 3))),
        "hessian of jit": lambda: pb.hessian(pb.jit(f))(x),
        "jvp of jit": lambda: pb.jvp(pb.jit(f), (x,), (x,)),
        "nested": lambda: pb.jit(nested)(x),
        "method": lambda: Model.method(x),
        "static": lambda: [pb.jit(lambda x, n: x * n, static_argnums=1)(x, n) for n in (2, 3)],
        "pullback": lambda: pb.jit(pb.vjp(f, x)[1])(1.0),
        "linear map": lambda: pb.jit(pb.linearize(f, x)[1])(x),
        "ahead of time": lambda: pb.jit(f).lower(x).compile()(x),
        "custom": lambda: pb.jit(pb.grad(custom()))(1.0),
        "checkpoint": lambda: pb.jit(pb.grad(pb.checkpoint(f)))(x),
        "constants": lambda: pb.jit(lambda y: y + jnp.arange(1000.0))(1.0),
        "callback": lambda: pb.jit(lambda y: pb.pure_callback(np.sin, pb.ShapeDtypeStruct((), "float32"), y))(1.0),
        "an error": lambda: fail(x),
    }


def fail(x):
    with pytest.raises(ZeroDivisionError):
        pb.jit(lambda x: x / (1 // 0))(x)


def custom():
    @pb.custom_vjp
    def g(x):
        return x

    g.defvjp(lambda x: (x, x), lambda x, ct: (ct * x,))
    return g


@pytest.mark.parametrize("kind", calls())
def test_the_executables_of_dead_functions_are_freed(kind):
    def use():
        calls()[kind]()

    for _ in range(3):  # what is made once for the process, or when it comes again
        use()
    alive, arrays = executables(), buffers()
    for _ in range(2):
        use()
    assert executables() == alive
    assert buffers() <= arrays


def test_functions_keep_their_executables_while_they_live():
    functions = [pb.jit(lambda x, n=float(n): x + n) for n in range(3)]
    before = executables()
    for f in functions:
        f(X)
    assert executables() == before + 3
    for f in functions:
        f(X), pb.jit(f.__wrapped__)(X)
    assert executables() == before + 3
    functions.pop()
    del f
    assert executables() == before + 2


def test_the_function_is_not_kept_alive():
    class Big:
        def __call__(self, x):
            return x + 1

    big = Big()
    f = pb.jit(big)
    f(X), pb.jvp(f, (jnp.ones(3),), (jnp.ones(3),)), pb.vmap(f)(jnp.ones(3))
    died = weakref.ref(big)
    del f, big
    gc.collect()
    assert died() is None


def test_clear_caches_frees_executables_that_are_in_use():
    traces = []

    def fun(x):
        traces.append(x.shape)
        return jnp.sum(jnp.sin(x))

    f, g = pb.jit(fun), pb.jit(pb.grad(fun))
    x = jnp.ones(3)
    before = executables()
    expected = np.asarray(f(x)), np.asarray(g(x)), np.asarray(pb.grad(f)(x))
    assert executables() >= before + 4  # f, g, f's forward and backward programs
    count = len(traces)
    f(x), g(x), pb.grad(f)(x)
    assert len(traces) == count
    pb.clear_caches()
    assert executables() == before
    again = np.asarray(f(x)), np.asarray(g(x)), np.asarray(pb.grad(f)(x))
    assert len(traces) == 2 * count and executables() >= before + 4
    assert all(np.array_equal(a, b) for a, b in zip(expected, again))
    f.clear_cache()
    f(x)
    assert len(traces) == 2 * count + 1


def test_clear_caches_frees_those_of_eager_operations():
    """Operations that NumPy does not have are compiled one by one."""
    x = jnp.ones((2, 3, 32, 32))
    before = executables()
    convolve = lambda: pb.lax.conv(x, x[:, :, :7, :7], (1, 1), "SAME")
    expected = np.asarray(convolve())
    assert executables() > before
    pb.clear_caches()
    assert executables() == before
    assert np.array_equal(np.asarray(convolve()), expected)


def test_clear_caches_while_a_function_is_traced_or_called():
    def fun(x):
        pb.clear_caches()
        return pb.jit(lambda y: y + 1)(x) * 2

    f = pb.jit(fun)
    assert f(1.0) == 4.0 and f(1.0) == 4.0
    compiled = pb.jit(lambda x: x - 1).lower(1.0).compile()
    _, pullback = pb.vjp(pb.jit(lambda x: x**2), 3.0)
    pb.clear_caches()
    assert compiled(3.0) == 2.0 and pullback(1.0)[0] == 6.0  # those who hold a program go on


def test_large_arrays_are_held_once():
    """An Array that was handed to XLA, its buffer and NumPy's view are one piece of memory."""
    n = 1 << 20
    x = jnp.asarray(np.arange(n, dtype=np.float32))
    pb.jit(lambda x: x[0])(x)
    assert np.asarray(x).__array_interface__["data"][0] == x._buffer.unsafe_buffer_pointer()
    y = pb.jit(lambda x: x + 1)(x)
    assert np.asarray(y).__array_interface__["data"][0] == y._buffer.unsafe_buffer_pointer()
