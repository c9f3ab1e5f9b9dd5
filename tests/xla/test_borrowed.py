"""Small arrays that come to a compiled program for the first time borrow a buffer for the call: nobody sees it afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback.xla import lending


def test_results_stay_when_the_buffer_is_lent_again() -> None:
    identity, double = pb.jit(lambda x: x), pb.jit(lambda x, y: (x * 2.0, x + y))
    kept = []
    for i in range(50):
        x = jnp.ones(3) * i  # computed by NumPy: no buffer yet
        kept.append((i, [x, identity(x), *double(x, x), *double(x, x + 1.0)]))
    for i, arrays in kept:
        assert [float(a[0]) for a in arrays] == [i, i, 2 * i, 2 * i, 2 * i, 2 * i + 1]


def test_types_stay_and_nothing_lent_is_donated() -> None:
    with pb.enable_x64(True):
        wide = jnp.ones(3) + 1.0
    assert pb.jit(lambda x: x)(wide).dtype == np.float64
    for dtype in (jnp.bfloat16, jnp.int4, jnp.bool_, jnp.complex64):
        x = jnp.ones(3, dtype) & True if dtype is jnp.bool_ else jnp.ones(3, dtype) * 1
        assert np.array_equal(pb.jit(lambda x: x)(x), x)
    update = pb.jit(lambda x: x + 1.0, donate_argnums=0)
    for i in range(20):
        x = jnp.ones(3) * i
        out = update(x)
        assert x.is_deleted()
        assert float(out[0]) == i + 1


def test_nothing_is_lent_twice_at_once() -> None:
    f = pb.jit(lambda x, y: x - y)
    for i in range(20):
        # A NumPy array is lent memory by the call, and what has just been computed by the program.
        f(np.full(3, i, np.float32), jnp.ones(3) * i)
        shelves = [lent for shelf in lending._shelves.values() for lent in shelf]
        assert len(shelves) == len({id(lent) for lent in shelves})
        assert np.array_equal(f(jnp.ones(3) * i, jnp.ones(3) + i), np.full(3, -1.0))


def test_one_that_comes_again_gets_a_buffer_of_its_own() -> None:
    f = pb.jit(lambda x: x + 1.0)
    x = jnp.ones(3) * 2.0
    assert x._buffer is None
    assert [float(f(x)[0]) for _ in range(3)] == [3.0] * 3
    assert x._buffer is not None


def test_threads_do_not_borrow_from_each_other() -> None:
    f = pb.jit(lambda x: x * 2.0 + 1.0)

    def run(i: int) -> bool:
        return all(np.array_equal(f(jnp.full(5, float(i)) + k), np.full(5, 2.0 * (i + k) + 1)) for k in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(4)))
