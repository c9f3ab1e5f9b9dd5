"""Random numbers from generators with a state, as `numpy.random.default_rng` has them.

Key number n of a generator is `fold_in(base key, n)`, and each draw takes the next. The count is
Python's, also where programs are compiled: there each draw asks the host for its number, once for
each run and each step of a loop, in order. That takes time (tens of microseconds): where it counts,
take one `key()` and use `pullback.random`. See JEP 28845 of JAX.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback import random
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.staging import JaxprTrace
from pullback.core.trace import EVAL, current
from pullback.core.tree import register_pytree_node
from pullback.core.types import ShapeDtypeStruct, broadcast_shapes, count, integers
from pullback.lax.callbacks import io_callback
from pullback.random.arguments import array_like, canonical_shape


class _Counter:
    """How many keys a generator has given.

    One that was made while a program is being traced counts within that program: it begins at 0
    each time that the program runs, so its numbers are known when it is traced.
    """

    __slots__ = ("home", "value")

    def __init__(self) -> None:
        self.value, self.home = 0, _program()

    def next(self) -> Any:
        """The number of the next key: an int, or a traced integer."""
        here = _program()
        if here is self.home:
            return self._step()
        if self.home is None:
            return io_callback(self._step, ShapeDtypeStruct((), np.uint32), ordered=True)
        raise NotImplementedError(
            f"a stateful generator that was made in one program (a jitted function, the body of a loop or branch) draws in another, at "
            f"{user_line()}: give that a key, from rng.key(), or make the generator outside of programs"
        )

    def _step(self) -> Any:
        n, self.value = self.value, self.value + 1
        return np.uint32(n % 2**32)


def _program() -> Any:
    """What traces the innermost program that is being traced; None if none is."""
    trace: Any = current()
    while trace is not EVAL and not isinstance(trace, JaxprTrace):
        trace = trace.parent
    return None if trace is EVAL else trace


class StatefulPRNG:
    """A generator of random numbers that `stateful_rng` makes. Each method takes the next key.

    As a pytree it is its base key; what is made of that counts with the generator itself. So it may
    be an argument or a result of any transformation, a generator for each element (`split`) under
    `vmap`.

    >>> rng = stateful_rng(42)
    >>> rng.uniform(), rng.uniform()
    (Array(0.23566985, dtype=float32), Array(0.74211895, dtype=float32))
    """

    __slots__ = ("_base_key", "_counter")

    def __init__(self, _base_key: Any, _counter: Any = None) -> None:
        self._base_key, self._counter = _base_key, _Counter() if _counter is None else _counter

    def _next(self) -> Array:
        if self._base_key.ndim:
            raise ValueError(
                f"cannot operate on a split stateful generator, of shape {self._base_key.shape}, at {user_line()}: it is an argument for "
                "vmap; `spawn` gives a list of generators"
            )
        return random.fold_in(self._base_key, self._counter.next())

    def key(self, shape: Any = ()) -> Array:
        """A new key, or new keys of that shape.

        >>> stateful_rng(0).key((2, 3)).shape
        (2, 3)
        """
        sizes = canonical_shape(integers(shape, "StatefulPRNG.key: shape"))
        key = self._next()
        return random.split(key, sizes) if sizes else key

    def random(self, size: Any = None, dtype: Any = float) -> Array:
        """Floats, uniform in [0, 1).

        >>> stateful_rng(0).random((2, 3)).shape
        (2, 3)
        """
        return random.uniform(self._next(), () if size is None else size, dtype)

    def uniform(self, low: Any = 0, high: Any = 1, size: Any = None, *, dtype: Any = float) -> Array:
        """Floats, uniform in [low, high), which broadcast; of their shape if there is no `size`.

        >>> stateful_rng(0).uniform(np.zeros(3), 2.0).shape
        (3,)
        """
        return random.uniform(self._next(), _shape(size, low, high), dtype, low, high)

    def normal(self, loc: Any = 0, scale: Any = 1, size: Any = None, *, dtype: Any = float) -> Array:
        """Normally distributed numbers with mean `loc` and standard deviation `scale`.

        >>> stateful_rng(0).normal(np.zeros(3), 2.0).shape
        (3,)
        """
        return loc + scale * random.normal(self._next(), _shape(size, loc, scale), dtype)

    def integers(self, low: Any, high: Any = None, size: Any = None, *, dtype: Any = int) -> Array:
        """Integers in [low, high), or in [0, low) without `high`.

        >>> int(stateful_rng(0).integers(1, 2))
        1
        """
        if high is None:
            low, high = 0, low
        return random.randint(self._next(), _shape(size, low, high), low, high, dtype)

    def spawn(self, n_children: int) -> list[StatefulPRNG]:
        """A list of independent generators.

        >>> [int(child.integers(1, 2)) for child in stateful_rng(0).spawn(2)]
        [1, 1]
        """
        return [StatefulPRNG(key) for key in self.key(count(n_children, "StatefulPRNG.spawn: n_children"))]

    def split(self, num: Any) -> StatefulPRNG:
        """Independent generators as one, whose base key has the shape `num`, to be mapped by
        `vmap`.

        >>> import pullback as pb
        >>> pb.vmap(lambda rng, x: x * rng.uniform())(stateful_rng(0).split(3), np.ones(3)).shape
        (3,)
        """
        sizes = canonical_shape(integers(num, "StatefulPRNG.split: num"))
        return StatefulPRNG(random.split(self._next(), sizes))

    def __copy__(self) -> StatefulPRNG:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: Any) -> StatefulPRNG:
        new = StatefulPRNG(self._base_key)
        new._counter.value, new._counter.home = self._counter.value, self._counter.home
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._base_key, self._counter.value)

    def __repr__(self) -> str:
        return f"StatefulPRNG(_base_key={self._base_key!r}, _counter={self._counter.value})"


def _rebuilt(base_key: Any, value: int) -> StatefulPRNG:
    new = StatefulPRNG(base_key)
    new._counter.value = value
    return new


def _shape(size: Any, *parameters: Any) -> Any:
    """The shape of draws: `size`, to which parameters broadcast, or theirs."""
    return broadcast_shapes(*[array_like("StatefulPRNG", p).shape for p in parameters]) if size is None else size


register_pytree_node(
    StatefulPRNG,
    lambda rng: ((rng._base_key,), rng._counter),
    lambda counter, children: StatefulPRNG(*children, counter),
)


def stateful_rng(seed: Any = None, *, impl: Any = None) -> StatefulPRNG:
    """A generator of random numbers, with NumPy's methods: `random`, `uniform`, `normal`,
    `integers`, `spawn`; and with `key` and `split`.

    `seed` is an integer, which may be traced; outside of programs it may be left out, and is then
    the operating system's. `impl` is that of `random.key`. Under jit and in loops each run draws
    other numbers. Raises TypeError for a seed that is no integer, or for none in a program;
    NotImplementedError where a generator made in a jitted function draws in a loop's body.

    >>> import pullback as pb
    >>> rng = stateful_rng(42)
    >>> uniform = pb.jit(rng.uniform)
    >>> uniform(), uniform()
    (Array(0.23566985, dtype=float32), Array(0.74211895, dtype=float32))
    """
    if seed is None:
        if _program() is not None:
            raise TypeError(f"stateful_rng needs a seed where a program is being traced, at {user_line()}")
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    return StatefulPRNG(random.key(seed, impl=impl))


__all__ = ["StatefulPRNG", "stateful_rng"]
