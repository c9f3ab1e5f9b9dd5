"""Generators with a state: the keys that they take, in every transformation."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax, random
from pullback.experimental.random import StatefulPRNG, stateful_rng


def numbers(rng: StatefulPRNG, *counts: int) -> list[float]:
    """The uniform numbers of keys number so and so."""
    return [float(random.uniform(random.fold_in(rng._base_key, n))) for n in counts]


def test_draws() -> None:
    rng = stateful_rng(7)
    key = lambda n: random.fold_in(random.key(7), n)
    draws = (
        (rng.random(3), lambda k: random.uniform(k, (3,))),
        (rng.random(dtype="float16"), lambda k: random.uniform(k, (), "float16")),
        (rng.uniform(jnp.zeros(3), 2.0, size=(2, 3)), lambda k: random.uniform(k, (2, 3), float, jnp.zeros(3), 2.0)),
        (rng.normal(1, jnp.ones(2)), lambda k: 1 + random.normal(k, (2,))),
        (rng.integers(5), lambda k: random.randint(k, (), 0, 5)),
        (rng.integers(jnp.array([1, 9]), 20, dtype="int16"), lambda k: random.randint(k, (2,), jnp.array([1, 9]), 20, "int16")),
        (rng.key(), lambda k: k),
        (rng.key((2, 3)), lambda k: random.split(k, (2, 3))),
        (rng.spawn(2)[1].random(), lambda k: random.uniform(random.fold_in(random.split(k, 2)[1], 0))),
        (rng.split(2)._base_key, lambda k: random.split(k, 2)),
    )  # fmt: skip
    for n, (found, expected) in enumerate(draws):
        value = expected(key(n))
        assert (found.shape, found.dtype) == (value.shape, value.dtype), n
        assert bool(jnp.all(found == value)), n
    assert repr(rng).endswith(f"_counter={len(draws)})") and rng.spawn(0) == []


def test_copies_count_for_themselves() -> None:
    rng = stateful_rng(1)
    rng.random()
    for other in (copy.copy(rng), copy.deepcopy(rng), pickle.loads(pickle.dumps(rng))):
        assert [float(other.random()), float(other.random())] == numbers(rng, 1, 2)
    assert float(rng.random()) == numbers(rng, 1)[0]


def test_in_programs() -> None:
    """Each run, and each step of a loop, takes the next key; a generator may be closed over or be an argument."""
    rng = stateful_rng(3)
    closed, given = pb.jit(lambda x: x + rng.random()), pb.jit(lambda rng, x: (rng, x + rng.random()))
    expected = lambda *counts: np.float32(numbers(rng, *counts))
    assert [float(closed(0.0)), float(closed(0.0))] == numbers(rng, 0, 1)
    other, found = given(rng, 0.0)
    assert [float(found), float(other.random()), float(rng.random())] == numbers(rng, 2, 3, 4)
    steps = lambda: lax.scan(lambda c, _: (c, rng.random()), 0.0, None, length=3)[1]
    np.testing.assert_array_equal(steps(), expected(5, 6, 7))
    np.testing.assert_array_equal(pb.jit(steps)(), expected(8, 9, 10))
    assert float(pb.jit(lambda p: lax.cond(p, lambda: rng.random(), lambda: 0.0))(True)) == numbers(rng, 11)[0]
    inside = pb.jit(lambda seed: [stateful_rng(seed).random(), stateful_rng(seed).random()])
    assert [float(x) for x in inside(3)] == numbers(rng, 0, 0)
    twice = pb.jit(lambda seed: (lambda rng: [rng.random(), rng.random()])(stateful_rng(seed)))
    assert [float(x) for x in twice(3)] == [float(x) for x in twice(3)] == numbers(rng, 0, 1)


def test_mapped() -> None:
    rng = stateful_rng(5)
    several = rng.split(3)
    expected = lambda n: np.array([random.uniform(random.fold_in(k, n)) for k in several._base_key])
    f = lambda rng, x: x + rng.random()
    for n, mapped in enumerate((pb.vmap(f), pb.vmap(f), pb.jit(pb.vmap(f)), pb.vmap(pb.jit(f)))):
        np.testing.assert_array_equal(mapped(several, jnp.zeros(3)), expected(n))
    assert pb.vmap(lambda x: x + rng.random())(jnp.zeros(2)).tolist() == numbers(rng, 1, 1)
    for call in (several.random, several.key, lambda: several.split(2), lambda: several.spawn(2)):
        with pytest.raises(ValueError, match=r"split stateful generator, of shape \(3,\)"):
            call()


def test_differentiated() -> None:
    rng = stateful_rng(9)
    f = lambda x: jnp.sin(x * rng.random())
    for n, g in enumerate(
        (pb.grad(f), pb.grad(pb.jit(f)), pb.grad(pb.checkpoint(f)), pb.jit(pb.grad(pb.checkpoint(f))), pb.jacfwd(f))
    ):
        (u,) = numbers(rng, n)
        np.testing.assert_allclose(g(1.0), u * np.cos(u), rtol=1e-6)
    loop = lambda x: lax.scan(lambda c, _: (c * rng.random(), None), x, None, length=3)[0]
    np.testing.assert_allclose(pb.grad(loop)(1.0), np.prod(numbers(rng, 5, 6, 7)), rtol=1e-6)


def test_bad_input() -> None:
    assert stateful_rng().random() != stateful_rng().random()
    with pytest.raises(TypeError, match="needs a seed"):
        pb.jit(lambda: stateful_rng().random())()
    with pytest.raises(TypeError, match="must be an integer"):
        stateful_rng(1.5)
    with pytest.raises(ValueError, match="threefry2x32"):
        stateful_rng(0, impl="abacus")

    def draws_elsewhere(seed: Any) -> Any:
        rng = stateful_rng(seed)
        return lax.scan(lambda c, _: (c, rng.random()), 0.0, None, length=3)[1]

    with pytest.raises(NotImplementedError, match="made in one program"):
        pb.jit(draws_elsewhere)(0)
    kept: list[StatefulPRNG] = []
    pb.jit(lambda seed: kept.append(stateful_rng(seed)))(0)
    with pytest.raises((NotImplementedError, pb.errors.UnexpectedTracerError)):
        kept[0].random()
    for wrong in (lambda rng: rng.spawn(-1), lambda rng: rng.key(1.5), lambda rng: rng.uniform([1.0], 2)):
        with pytest.raises(TypeError, match="StatefulPRNG"):
            wrong(stateful_rng(0))
