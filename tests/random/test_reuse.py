"""debug_key_reuse: keys that are used twice raise, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax, random
from pullback.errors import KeyReuseError


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    with pb.debug_key_reuse(True):
        yield


def key() -> Any:
    return random.key(0)


def keys() -> Any:
    return random.split(key(), 3)


def one_then(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[], Any]:
    def program() -> None:
        k = key()
        first(k)
        second(k)

    return program


def of(f: Callable[[Any], Any], make: Callable[[], Any] = keys) -> Callable[[], Any]:
    return lambda: f(make())


def carried(k: Any, _: Any) -> Any:
    k, now = random.split(k)
    return k, random.normal(now)


def in_a_loop(k: Any) -> Any:
    return lax.scan(lambda c, _: (c + random.normal(k), None), 0.0, jnp.arange(3))


normal, jitted = random.normal, pb.jit(random.normal)
fold = lambda k: random.fold_in(k, 1)

REUSE = {
    "two draws": one_then(normal, random.uniform),
    "draw, split": one_then(normal, random.split),
    "split, draw": one_then(random.split, normal),
    "compiled, eager": one_then(jitted, normal),
    "eager, compiled": one_then(normal, jitted),
    "twice compiled": one_then(jitted, jitted),
    "a moved key": one_then(lambda k: normal(k.reshape(1)[0]), normal),
    "gamma": one_then(lambda k: random.gamma(k, 2.0), normal),
    "choice": one_then(lambda k: random.permutation(k, 5), lambda k: random.choice(k, 5)),
    "one element": of(lambda k: (normal(k[0]), normal(k[0]))),
    "all, one": of(lambda k: (pb.vmap(normal)(k), normal(k[1]))),
    "one, all": of(lambda k: (normal(k[1]), pb.vmap(normal)(k))),
    "unpacked": of(lambda k: ([normal(x) for x in k], normal(k[2]))),
    "taken": of(lambda k: (normal(jnp.take(k, 1)), normal(k[1]))),
    "stacked": one_then(lambda k: pb.vmap(normal)(jnp.stack([k, fold(k)])), normal),
    "inside jit": of(lambda k: pb.jit(lambda k: normal(k) + random.uniform(k))(k), key),
    "inside jit, an element": of(lambda k: pb.jit(lambda k: normal(k[0]) + normal(k[0]))(k)),
    "an element of a jitted function's": of(lambda k: (pb.jit(lambda k: normal(k[1]))(k), normal(k[1]))),
    "inside grad": of(lambda k: pb.grad(lambda x: x * normal(k) + normal(k))(1.0), key),
    "inside vmap": of(lambda k: pb.vmap(lambda k: normal(k) + normal(k))(k)),
    "each step of a scan": of(in_a_loop, key),
    "each step of a compiled scan": of(pb.jit(in_a_loop), key),
    "the carry itself": of(lambda k: lax.scan(lambda k, _: (k, normal(k)), k, jnp.arange(3)), key),
    "a while": of(lambda k: lax.while_loop(lambda s: s < 3, lambda s: s + normal(k) ** 2 + 1, 0.0), key),
    "xs of a scan, and after": of(lambda k: (lax.scan(lambda c, k: (c, normal(k)), 0.0, k), normal(k[2]))),
    "a branch, and after": of(lambda k: (lax.cond(True, normal, lambda k: 0.0, k), normal(k)), key),
    "a checkpoint": of(lambda k: pb.grad(pb.checkpoint(lambda x: jnp.sin(x * normal(k)) + normal(k)))(1.0), key),
    "a key that jit gives back": of(lambda k: (normal(pb.jit(lambda k: k)(k)), normal(k)), key),
}  # fmt: skip

NO_REUSE = {
    "children": of(lambda k: [normal(x) for x in random.split(k)], key),
    "elements": of(lambda k: (normal(k[0]), normal(k[1]), pb.jit(lambda k: normal(k[2]))(k))),
    "rows": of(lambda k: (pb.vmap(normal)(k[:2]), normal(k[2]))),
    "folded": of(lambda k: [normal(random.fold_in(k, i)) for i in range(3)], key),
    "folded in a loop": of(lambda k: lax.fori_loop(0, 3, lambda i, s: s + normal(random.fold_in(k, i)), 0.0), key),
    "cloned": of(lambda k: (normal(k), normal(random.clone(k)), normal(random.clone(k))), key),
    "made twice": lambda: (normal(key()), normal(key())),
    "carried": of(lambda k: lax.scan(carried, k, jnp.arange(3)), key),
    "carried, compiled": of(lambda k: pb.jit(lambda k: lax.scan(carried, k, None, length=3))(k), key),
    "xs": of(lambda k: lax.scan(lambda c, k: (c + normal(k), None), 0.0, k)),
    "both branches": of(lambda k: pb.jit(lambda k: lax.cond(True, normal, random.uniform, k))(k), key),
    "one step": of(lambda k: lax.scan(lambda c, _: (c + normal(k), None), 0.0, jnp.arange(1)), key),
    "words": one_then(random.key_data, normal),
    "raw": lambda: [normal(k) for k in [random.PRNGKey(0)] * 2],
    "a traced place": of(lambda k: pb.jit(lambda k, i: normal(k[i]) + normal(k[i + 1]))(k, 0)),
    "a closed-over value": of(lambda k: pb.vmap(lambda x: x + normal(k))(jnp.ones(3)), key),
    "refused": one_then(lambda k: _refused(lambda: normal(k, (-1,))), normal),
}  # fmt: skip


def _refused(f: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        f()


@pytest.mark.parametrize("program", REUSE)
def test_reuse_raises(program: str) -> None:
    with pytest.raises(KeyReuseError, match=r"random key is used at .*test_reuse\.py.*\[see errors/key-reuse\]"):
        REUSE[program]()


@pytest.mark.parametrize("program", NO_REUSE)
def test_other_use_does_not(program: str) -> None:
    NO_REUSE[program]()


@pytest.mark.parametrize("program", REUSE)
def test_without_the_option_nothing_raises(program: str) -> None:
    with pb.debug_key_reuse(False):
        REUSE[program]()


SAMPLERS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(random, name) for name in ("normal", "uniform", "bits", "cauchy", "exponential", "gumbel", "laplace")},
    **{name: getattr(random, name) for name in ("logistic", "rademacher", "bernoulli", "maxwell")},
    "gamma": lambda k: random.gamma(k, jnp.array([0.5, 3.0])),
    "loggamma": lambda k: random.loggamma(k, 0.5),
    "beta": lambda k: random.beta(k, 2.0, 3.0),
    "dirichlet": lambda k: random.dirichlet(k, jnp.ones(3)),
    "t": lambda k: random.t(k, 3.0),
    "chisquare": lambda k: random.chisquare(k, 3.0),
    "f": lambda k: random.f(k, 3.0, 4.0),
    "poisson": lambda k: random.poisson(k, jnp.array([0.5, 50.0])),
    "binomial": lambda k: random.binomial(k, 30.0, 0.3),
    "geometric": lambda k: random.geometric(k, 0.3),
    "multinomial": lambda k: random.multinomial(k, 5.0, jnp.array([0.2, 0.8])),
    "categorical": lambda k: random.categorical(k, jnp.zeros(3)),
    "categorical without replacement": lambda k: random.categorical(k, jnp.zeros(4), shape=(2,), replace=False),
    "choice": lambda k: random.choice(k, 5, (3,), replace=False),
    "choice of weights": lambda k: random.choice(k, 3, (2,), p=jnp.array([0.2, 0.3, 0.5])),
    "permutation": lambda k: random.permutation(k, 7),
    "rows permuted": lambda k: random.permutation(k, jnp.zeros((3, 4)), axis=1, independent=True),
    "randint": lambda k: random.randint(k, (3,), 0, 10),
    "truncated normal": lambda k: random.truncated_normal(k, -1.0, 1.0),
    "multivariate normal": lambda k: random.multivariate_normal(k, jnp.zeros(2), jnp.eye(2)),
    "orthogonal": lambda k: random.orthogonal(k, 3),
    "ball": lambda k: random.ball(k, 3),
    "generalized normal": lambda k: random.generalized_normal(k, 1.5),
    "lognormal": random.lognormal,
    "pareto": lambda k: random.pareto(k, 2.0),
    "triangular": lambda k: random.triangular(k, 0.0, 0.5, 1.0),
    "wald": lambda k: random.wald(k, 1.0),
    "weibull": lambda k: random.weibull_min(k, 1.0, 2.0),
    "double-sided Maxwell": lambda k: random.double_sided_maxwell(k, 0.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_use_their_key_once(sampler: str) -> None:
    """Whatever a sampler does with its key inside, it consumes it, and no key twice; the numbers are those
    without the option."""
    sample = SAMPLERS[sampler]
    k = key()
    watched = np.asarray(sample(k))
    with pytest.raises(KeyReuseError):
        sample(k)
    compiled = np.asarray(pb.jit(sample)(key()))
    several = pb.vmap(sample)(keys())
    assert several.shape == (3, *watched.shape)
    with pb.debug_key_reuse(False):
        np.testing.assert_array_equal(watched, np.asarray(sample(key())))
        np.testing.assert_array_equal(compiled, np.asarray(pb.jit(sample)(key())))
