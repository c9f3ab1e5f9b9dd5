"""Primitives that sample by rejection: gamma, Poisson and binomial numbers.

Operands are typed keys of shape K and parameters of shape (*K, *S): each key serves an array of
shape S. A loop draws candidates for all elements and stops, for each key, when each of its elements
has accepted one. How many numbers are drawn from which keys is part of the definition of the
streams; so are candidates of accepted elements of the Poisson and binomial samplers, which replace
the ones accepted before until the whole array is done (they have the same distribution).

What decides about integers (counts, candidates, acceptance tests of the Poisson and binomial
samplers) is evaluated in float64 whatever the type of the parameters, so that rounding neither
distorts the distribution at large rates nor makes a difference between NumPy and compiled programs.
Samplers are written once, for both, with a namespace `xp`, which is `OnNumPy` or `Staged`: NumPy
goes on with the keys that have elements left, a compiled program with all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.dtypes import DType
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray
from pullback.lax import functions as lax
from pullback.lax.creation import iota
from pullback.lax.elementwise import div_p, exp_p, lt_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.incomplete import Eager
from pullback.lax.random_bits import (
    RandomNumbers,
    check_keys,
    key_words,
    random_normal_p,
    random_split_p,
    random_uniform_p,
)
from pullback.lax.reductions import reduce_or
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, broadcast_to, convert_element_type_p, expand_dims, reshape
from pullback.lax.special import digamma_p, random_gamma_grad_p

Values = np.ndarray[Any, Any]


class _Rejection(Primitive):
    """Samples for keys of shape K and parameters of shape (*K, *S), made by the rule `sample`."""

    weakness = "never"

    def check(self, keys: ShapedArray, *parameters: ShapedArray) -> ShapedArray:
        """The type of the parameters. Raises TypeError if operands do not fit together."""
        check_keys(self.name, keys)
        first = parameters[0]
        if any(p.shape != first.shape or p.dtype != first.dtype for p in parameters) or not dtypes.is_float(
            first.dtype
        ):
            raise TypeError(
                f"{self.name} takes parameters of one shape and one float dtype, got {', '.join(map(str, parameters))}"
            )
        if first.shape[: keys.ndim] != keys.shape:
            raise TypeError(
                f"{self.name}: parameters of shape {first.shape} do not fit keys of shape {keys.shape}, which must be a prefix"
            )
        return first

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        return self.bind(*(batch_first(x, b, size) for x, b in zip(args, axes)), **params), 0

    def evaluate(self, *operands: Any, partitionable: bool, **params: Any) -> Any:
        return self._sampled(OnNumPy(partitionable), *operands, **params)

    def expand(self, *operands: Any, partitionable: bool, **params: Any) -> Any:
        return self._sampled(Staged(partitionable), *operands, **params)

    def _sampled(self, xp: Any, keys: Any, *parameters: Any, **params: Any) -> Any:
        m = keys.size
        rows = (xp.reshape(p, (m, p.size // max(m, 1))) for p in parameters)
        return xp.reshape(self.sample(xp, xp.reshape(keys, (m,)), *rows, **params), parameters[0].shape)

    def sample(self, xp: Any, keys: Any, *parameters: Any, **params: Any) -> Any:
        """Numbers for keys of shape (m,) and parameters with one row for each, computed by the
        namespace `xp`."""
        raise self.missing("sample", "evaluation")


# ---- NumPy and programs --------------------------------------------------------------------------


class OnNumPy(Eager):
    """What samplers use, on NumPy values: `OnNumPy(False).filled(x, 0)` are zeros of the shape and
    type of `x`."""

    log1p, reshape, where = np.log1p, staticmethod(np.reshape), staticmethod(np.where)

    def __init__(self, partitionable: bool) -> None:
        self.partitionable = partitionable

    @staticmethod
    def apply(primitive: Primitive, *operands: Any, **params: Any) -> Any:
        """A primitive of operands."""
        return primitive.evaluate(*operands, **params)

    def draw(self, numbers: RandomNumbers, keys: Any, like: Any) -> Any:
        """Standard numbers of the shape and type of `like`, whose leading axis is that of the
        keys."""
        size = like.size // max(len(keys), 1)
        return numbers.numbers(key_words(keys), size, like.dtype, self.partitionable).reshape(like.shape)

    @staticmethod
    def filled(like: Any, value: Any) -> Any:
        """`value` in the shape and type of `like`."""
        return np.full_like(like, value)

    @staticmethod
    def in_row(flags: Any) -> Any:
        """Where a flag of the same row is set."""
        return np.broadcast_to(flags.any(axis=1, keepdims=True), flags.shape)

    @staticmethod
    def replaced(region: Any, values: Callable[[], Any], x: Any) -> Any:
        """`x`, in a region `values()`, which is not called if the region is empty."""
        return np.where(region, values(), x) if region.any() else x

    @staticmethod
    def repeat(going: Any, body: Any, state: Sequence[Any], *constants: Any) -> Sequence[Any]:
        """The state after `body(*state, *constants)` has replaced it as long as `going(*state)` is
        true of an element.

        Rows of which it is true of no element rest.
        """
        state = [np.array(x) for x in state]
        while True:
            flags = going(*state)
            rows: Any = np.nonzero(flags if flags.ndim == 1 else flags.any(axis=1))[0]
            if not rows.size:
                return state
            if rows.size == len(flags):
                rows = slice(None)
            for x, new in zip(state, body(*[x[rows] for x in (*state, *constants)])):
                x[rows] = new


class Staged:
    """What samplers use, on Arrays: as `OnNumPy`, but everything is computed for all elements.

    `Staged(False).filled(x, 0)` are zeros of the shape and type of `x`.
    """

    log, log1p, sqrt, abs = map(staticmethod, (lax.log, lax.log1p, lax.sqrt, lax.abs))
    floor, ceil, reshape = map(staticmethod, (lax.floor, lax.ceil, reshape))

    def __init__(self, partitionable: bool) -> None:
        self.partitionable = partitionable

    @staticmethod
    def where(condition: Array, x: Any, y: Any) -> Array:
        """`x` where the condition holds, `y` elsewhere; one of them may be a number."""
        known = x if isinstance(x, Array) else y
        return select(condition, *(v if isinstance(v, Array) else like(v, known) for v in (x, y)))

    @staticmethod
    def take(table: Values, index: Array) -> Array:
        """Elements of a short table."""
        out = Staged.filled(index, table[0])
        for i, x in enumerate(table[1:], 1):
            out = Staged.where(index >= i, x, out)
        return out

    @staticmethod
    def apply(primitive: Primitive, *operands: Any, **params: Any) -> Any:
        """As `OnNumPy.apply`."""
        return primitive.bind(*operands, **params)

    def draw(self, numbers: RandomNumbers, keys: Array, like: Array) -> Array:
        """As `OnNumPy.draw`."""
        shape = like.shape[keys.ndim :]
        return numbers.bind(keys, dtype=like.dtype, shape=shape, partitionable=self.partitionable)

    @staticmethod
    def filled(like_this: Array, value: Any) -> Array:
        """As `OnNumPy.filled`."""
        return broadcast_to(like(value, like_this), like_this.shape)

    @staticmethod
    def in_row(flags: Array) -> Array:
        """As `OnNumPy.in_row`."""
        return broadcast_to(expand_dims(reduce_or(flags, (1,)), 1), flags.shape)

    @staticmethod
    def replaced(region: Array, values: Callable[[], Array], x: Array) -> Array:
        """As `OnNumPy.replaced`."""
        return select(region, values(), x)

    @staticmethod
    def repeat(going: Any, body: Any, state: Sequence[Array], *constants: Array) -> Sequence[Array]:
        """As `OnNumPy.repeat`, without rest."""
        from pullback.control.loops import while_loop

        def any_going(state: Sequence[Array]) -> Array:
            flags = going(*state)
            return reduce_or(flags, tuple(range(flags.ndim)))

        return while_loop(any_going, lambda state: tuple(body(*state, *constants)), tuple(state))  # type: ignore[no-any-return]


def _new_keys(xp: Any, keys: Any, num: int) -> Any:
    """`num` new keys for each key: shape (m, num)."""
    return xp.apply(random_split_p, keys, shape=(num,), partitionable=xp.partitionable)


def _split(xp: Any, keys: Any, num: int) -> list[Any]:
    """`num` arrays of new keys, of the shape of `keys`."""
    new = _new_keys(xp, keys, num)
    return [new[:, i] for i in range(num)]


def _converted(xp: Any, x: Any, dtype: DType) -> Any:
    return xp.apply(convert_element_type_p, x, new_dtype=dtype, weak_type=False)


def _doubled(xp: Any, x: Any) -> Any:
    return _converted(xp, x, dtypes.float64)


def _uniforms(xp: Any, keys: Any, like: Any) -> Any:
    """Uniform numbers in [0, 1), as float64, of the shape of `like`, and with the precision of its
    type."""
    return _doubled(xp, xp.draw(random_uniform_p, keys, like))


# ---- gamma ---------------------------------------------------------------------------------------


class RandomGamma(_Rejection):
    """Gamma numbers of shape parameter `a` and scale 1, or their logarithms with `log_space`.

    By rejection from a transformed normal number (Marsaglia and Tsang, "A simple method for
    generating gamma variables", ACM TOMS 2000); for a < 1, a number of parameter a + 1 times
    U^(1/a). The derivative in `a` is implicit: the sample moves so that the distribution function
    keeps its value (Figurnov, Mohamed and Mnih, NeurIPS 2018).

    >>> import pullback as pb
    >>> from pullback import random
    >>> program = pb.make_jaxpr(random.gamma)(random.key(0), 2.0)
    >>> random_gamma_p in [e.primitive for e in program.eqns]
    True
    """

    name = "random_gamma"

    def type_of(self, keys: ShapedArray, a: ShapedArray, *, log_space: bool, partitionable: bool) -> ShapedArray:
        return ShapedArray(a.shape, self.check(keys, a).dtype)

    def sample(self, xp: Any, keys: Any, a: Any, *, log_space: bool) -> Any:
        if not a.size:
            return a
        each = xp.reshape(_new_keys(xp, keys, a.shape[1]), (a.size,))
        return xp.reshape(_gamma(xp, each, xp.reshape(a, (a.size,)), log_space), a.shape)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        out, (_, a), t = self.bind(*primals, **params), primals, tangents[1]
        if t is None:
            return out, None
        if not params["log_space"]:
            return out, mul_p.bind(random_gamma_grad_p.bind(a, out), t)
        # d log x = dx/x. Where x underflows, F(x) = xᵃ/Γ(a+1) to leading order, which gives d log
        # x/da = (ψ(a+1) - log x)/a.
        x = exp_p.bind(out)
        underflows = lt_p.bind(x, like(dtypes.finfo(x.dtype).tiny, x))
        safe = select(underflows, like(1, x), x)
        regular = div_p.bind(random_gamma_grad_p.bind(a, safe), safe)
        limit = div_p.bind(sub_p.bind(digamma_p.bind(add_p.bind(a, like(1, a))), out), a)
        return out, mul_p.bind(select(underflows, limit, regular), t)


#: Elements that a compiled program works on at a time: few enough for caches, enough for many
#: cores.
_LANES = 1 << 14


def _gamma(xp: Any, keys: Any, a: Any, log_space: bool) -> Any:
    """One number for each key and each element of `a`, both of shape (n,).

    In programs each lane works on the elements i, i + lanes, ...: when it has a number for one, it
    goes on to the next.
    """
    (n,), dtype = a.shape, a.dtype
    one, third, half, squeeze = (dtype.type(x) for x in (1, 1 / 3, 0.5, 0.0331))
    small = ~(a >= 1)  # or NaN
    d = xp.where(small, a + one, a) - third
    keys, boost_keys = _split(xp, keys, 2)
    # One lane for each element of a symbolic number of them.
    lanes = min(n, _LANES) if xp.__class__ is Staged and n.__class__ is int else n

    def candidates(keys: Any, again: Any, inner: Any, d: Any) -> tuple[Any, ...]:
        """Candidates and whether they are accepted; what to draw the next ones from: the state for
        an element that is not done.

        `again` says that the last normal number gave no candidate, and that the next one of its
        sequence comes from the key `inner`.
        """
        next_keys, first, uniform = _split(xp, keys, 3)
        next_inner, normal = _split(xp, xp.where(again, inner, first), 2)
        x = xp.draw(random_normal_p, normal, d)
        v = one + x * (third / xp.sqrt(d))
        none = v <= 0
        v, u, squared = v * v * v, xp.draw(random_uniform_p, uniform, d), x * x
        # NaN parameters must not loop: rejection, not acceptance, is what has to be true.
        rejected = u >= one - squeeze * squared * squared
        rejected &= xp.log(u) >= squared * half + d * (one - v + xp.log(v))
        found = xp.log(d) + xp.log(v) if log_space else d * v
        return found, ~(none | rejected), xp.where(none, keys, next_keys), none, next_inner

    if lanes == n:

        def in_place(left: Any, keys: Any, again: Any, inner: Any, out: Any, d: Any) -> tuple[Any, ...]:
            found, accepted, *state = candidates(keys, again, inner, d)
            return left & ~accepted, *state, xp.where(left & accepted, found, out)

        every, none = (xp.filled(small, value) for value in (True, False))
        *_, out = xp.repeat(lambda left, *_: left, in_place, (every, keys, none, keys, a), d)
    else:

        def in_turn(index: Any, keys: Any, again: Any, inner: Any, d: Any, out: Any) -> tuple[Any, ...]:
            found, accepted, keys, again, inner = candidates(keys, again, inner, d)
            out = out.at[select(accepted, index, like(n, index))].set(found, mode="drop", unique_indices=True)
            index = index + select(accepted, like(lanes, index), like(0, index))
            keys, d = (
                select(accepted, new.at[index].get(mode="clip"), old) for new, old in ((all_keys, keys), (all_d, d))
            )
            return index, keys, again & ~accepted, inner, d, out

        all_keys, all_d = keys, d
        index = iota(dtypes.int32 if n < 1 << 31 else dtypes.int64, lanes)
        state = (index, keys[:lanes], small[:lanes] & False, keys[:lanes], d[:lanes], a)
        *_, out = xp.repeat(lambda index, *_: index < n, in_turn, state)

    def boosted() -> Any:
        u = one - xp.draw(random_uniform_p, boost_keys, a)
        return out + xp.log(u) / a if log_space else out * u ** (one / a)

    return xp.replaced(small, boosted, out)


# ---- factorials ----------------------------------------------------------------------------------

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_STIRLING_TAILS = np.array(
    [
        0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.0207906721037650, 0.0166446911898211,
        0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.0092554621827127, 0.0083305634333628,
    ]
)  # fmt: skip


def _stirling_tail(xp: Any, k: Any) -> Any:
    """log k! minus Stirling's approximation of it, (k + 1/2) log(k + 1) - (k + 1) + log √2π."""
    square = (k + 1) * (k + 1)
    series = (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)
    return xp.where(k <= 9, xp.take(_STIRLING_TAILS, k), series)


# ---- Poisson -------------------------------------------------------------------------------------

#: Below this mean, products of uniform numbers are counted; above, numbers are rejected.
_SMALL_MEAN = 10
#: The rate at which elements below it take part in the rejection loop of their key (their results
#: are dropped).
_IDLE_RATE = 1e5


class RandomPoisson(_Rejection):
    """Poisson numbers of a given rate, of the integer type `dtype`. NaN and negative rates give -1.

    For rates below 10 by counting uniform numbers whose product stays above exp(-rate) (Knuth,
    TAOCP 2, 3.4.1), else by the transformed rejection PTRS (Hörmann, "The transformed rejection
    method for generating Poisson random variables", 1993).
    """

    name = "random_poisson"
    no_derivative = "its values are discrete"

    def type_of(self, keys: ShapedArray, rate: ShapedArray, *, dtype: DType, partitionable: bool) -> ShapedArray:
        if not dtypes.is_integer(dtype):
            raise TypeError(f"random_poisson gives integers; dtype is {dtypes.name(dtype)}")
        return ShapedArray(self.check(keys, rate).shape, dtype)

    def sample(self, xp: Any, keys: Any, rates: Any, *, dtype: DType) -> Any:
        small = ~(rates >= _SMALL_MEAN)
        few = _doubled(xp, xp.where(small, rates, 0))

        def multiply(keys: Any, log_product: Any, count: Any, rates: Any, few: Any) -> tuple[Any, ...]:
            keys, uniform = _split(xp, keys, 2)
            going = log_product > -few
            log_u = xp.log(_uniforms(xp, uniform, rates))
            return keys, log_product + log_u, count + _doubled(xp, going)

        zeros = xp.filled(few, 0)
        *_, counted = xp.repeat(
            lambda _, log_product, __: log_product > -few, multiply, (keys, zeros, zeros), rates, few
        )

        def rejected() -> Any:
            constants = _poisson_constants(xp, _doubled(xp, xp.where(small, _IDLE_RATE, rates)))
            return _reject(xp, keys, rates, ~small, constants, _poisson_candidates)

        out = xp.replaced(~small, rejected, counted - 1)
        return _converted(xp, xp.where(rates == 0, 0.0, out), dtype)


def _poisson_constants(xp: Any, rates: Any) -> tuple[Any, ...]:
    b = 0.931 + 2.53 * xp.sqrt(rates)
    a = -0.059 + 0.02483 * b
    return rates, xp.log(rates), a, b, 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)


def _poisson_candidates(
    xp: Any, u: Any, v: Any, rate: Any, log_rate: Any, a: Any, b: Any, inverse_alpha: Any, v_r: Any
) -> tuple[Any, Any]:
    distance = 0.5 - xp.abs(u)
    k = xp.floor((2 * a / distance + b) * u + rate + 0.43)
    # log(rate^k e^-rate / k!)
    log_next = xp.log(k + 1)
    log_ratio = k * (log_rate - log_next) - 0.5 * log_next + (k + 1 - rate) - _LOG_ROOT_2PI - _stirling_tail(xp, k)
    proposal = xp.log(v * inverse_alpha / (a / (distance * distance) + b))
    surely = (distance >= 0.07) & (v <= v_r)
    never = (k < 0) | ((distance < 0.013) & (v > distance))
    return k, surely | ~never & (proposal <= log_ratio)


def _reject(xp: Any, keys: Any, rates: Any, wanted: Any, constants: Sequence[Any], candidates: Any) -> Any:
    """Candidates from pairs of uniform numbers, u in [-1/2, 1/2) and v in [0, 1), until each
    element has accepted one.

    `candidates(xp, u, v, *constants)` gives them, and whether they are accepted; the numbers have
    the precision of `rates`. Rows in which nothing is `wanted` do not count.
    """

    def draw(keys: Any, left: Any, out: Any, rates: Any, *constants: Any) -> tuple[Any, ...]:
        keys, *uniforms = _split(xp, keys, 3)
        u, v = (_uniforms(xp, k, rates) for k in uniforms)
        k, accept = candidates(xp, u - 0.5, v, *constants)
        return keys, left & ~accept, xp.where(xp.in_row(left) & accept, k, out)

    state = (keys, xp.in_row(wanted), xp.filled(constants[0], 0))
    return xp.repeat(lambda _, left, __: left, draw, state, rates, *constants)[2]


# ---- binomial ------------------------------------------------------------------------------------

#: Count and probability with which elements that need no rejection take part in the loop of their
#: key.
_IDLE_COUNT, _IDLE_PROBABILITY = 1e4, 0.5


class RandomBinomial(_Rejection):
    """Binomial numbers of `count` trials with a given success probability, of the parameters' type;
    NaN for invalid parameters.

    For means up to 10 by counting geometric numbers (Devroye, "Generating the maximum of
    independent identically distributed random variables", 1980), else by the transformed rejection
    BTRS (Hörmann, "The generation of binomial random variates", 1993).
    """

    name = "random_binomial"
    no_derivative = "its values are discrete"

    def type_of(
        self, keys: ShapedArray, count: ShapedArray, probability: ShapedArray, *, partitionable: bool
    ) -> ShapedArray:
        return ShapedArray(count.shape, self.check(keys, count, probability).dtype)

    def sample(self, xp: Any, keys: Any, counts: Any, probabilities: Any) -> Any:
        zero, flipped, endless = counts.dtype.type(0), probabilities >= 0.5, counts == np.inf
        rare = xp.where(flipped, counts.dtype.type(1) - probabilities, probabilities)
        invalid = ~((counts >= 0) & (rare >= 0))
        regular = ~(invalid | endless | (rare == 0))
        small = regular & (counts * rare <= _SMALL_MEAN)
        n, p = (_doubled(xp, xp.where(small, x, y)) for x, y in ((counts, 0), (rare, 0.5)))

        def wait(keys: Any, waited: Any, successes: Any, counts: Any, n: Any, log_failure: Any) -> tuple[Any, ...]:
            uniform, keys = _split(xp, keys, 2)
            going = waited <= n
            log_u = xp.log(_uniforms(xp, uniform, counts))
            return keys, waited + xp.ceil(log_u / log_failure), successes + _doubled(xp, going)

        zeros = xp.filled(n, 0)
        state, constants = (keys, zeros, zeros), (counts, n, xp.log1p(-p))
        *_, successes = xp.repeat(lambda _, waited, __: waited <= n, wait, state, *constants)
        large = regular & ~small

        def rejected() -> Any:
            n, p = xp.where(large, counts, _IDLE_COUNT), xp.where(large, rare, _IDLE_PROBABILITY)
            constants = _binomial_constants(xp, *(_doubled(xp, x) for x in (n, p)))
            return _reject(xp, keys, counts, large, constants, _binomial_candidates)

        out = _converted(xp, xp.replaced(large, rejected, successes - 1), counts.dtype)
        endless &= ~invalid
        out = xp.where(regular, out, xp.where(invalid, zero + np.nan, xp.where(endless, counts, zero)))
        return xp.where(flipped & ~endless, counts - out, out)


def _binomial_constants(xp: Any, n: Any, p: Any) -> tuple[Any, ...]:
    deviation = xp.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    odds, alpha = p / (1 - p), (2.83 + 5.1 / b) * deviation
    mode = xp.floor((n + 1) * p)
    at_mode = (mode + 0.5) * xp.log((mode + 1) / (odds * (n - mode + 1)))
    at_mode = at_mode + _stirling_tail(xp, mode) + _stirling_tail(xp, n - mode)
    return n, odds, mode, at_mode, a, b, n * p + 0.5, alpha, 0.92 - 4.2 / b


def _binomial_candidates(
    xp: Any, u: Any, v: Any, n: Any, odds: Any, mode: Any, at_mode: Any, a: Any, b: Any, center: Any, alpha: Any,
    v_r: Any,
) -> tuple[Any, Any]:  # fmt: skip
    distance = 0.5 - xp.abs(u)
    k = xp.floor((2 * a / distance + b) * u + center)
    inside = (k >= 0) & (k <= n)
    safe = xp.where(inside, k, 0)
    log_ratio = (
        at_mode
        + (n + 1) * xp.log((n - mode + 1) / (n - safe + 1))
        + (safe + 0.5) * xp.log(odds * (n - safe + 1) / (safe + 1))
        - _stirling_tail(xp, safe)
        - _stirling_tail(xp, n - safe)
    )
    proposal = xp.log(v * alpha / (a / (distance * distance) + b))
    return k, ((distance >= 0.07) & (v <= v_r)) | inside & (proposal <= log_ratio)


random_gamma_p, random_poisson_p, random_binomial_p = RandomGamma(), RandomPoisson(), RandomBinomial()

__all__ = ["random_gamma_p"]
