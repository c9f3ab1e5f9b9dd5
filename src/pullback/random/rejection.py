"""Primitives that sample by rejection: gamma, Poisson and binomial numbers.

Operands are typed keys of shape K and parameters of shape (*K, *S): each key serves an array of shape S. A loop draws candidates for all
elements and stops, for each key, when each of its elements has accepted one. How many numbers are drawn from which keys
is part of the definition of the streams; so are candidates of accepted elements of the Poisson and binomial samplers,
which replace the ones accepted before until the whole array is done (they have the same distribution).

What decides about integers (counts, candidates, acceptance tests of the Poisson and binomial samplers) is evaluated in float64 whatever
the type of the parameters, so that rounding neither distorts the distribution at large rates nor makes a difference between
NumPy and compiled programs. The formulas are written once, for both (see `pullback.lax.incomplete`): NumPy goes on with
the elements that have not accepted, a compiled program with all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.dtypes import DType
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray
from pullback.lax import functions as lax
from pullback.lax.arrangement import index_in_dim
from pullback.lax.creation import iota
from pullback.lax.elementwise import div_p, exp_p, lt_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.incomplete import Eager
from pullback.lax.indexing import gather, scatter
from pullback.lax.positions import GatherDimensionNumbers, ScatterDimensionNumbers
from pullback.lax.random_bits import check_keys, key_words, random_normal_p, random_split_p, random_uniform_p
from pullback.lax.reductions import reduce_or
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, broadcast_to, convert_element_type_p, expand_dims, reshape
from pullback.lax.special import digamma_p, random_gamma_grad_p
from pullback.lax.threefry import Words, split_keys

Values = np.ndarray[Any, Any]


class _Rejection(Primitive):
    """Samples for keys of shape K and parameters of shape (*K, *S)."""

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


def _rows(keys: Any, *parameters: Any) -> tuple[Any, ...]:
    """Key words of shape (m, 2), and parameters with one row for each key."""
    words = key_words(keys)
    return words, *(np.asarray(p).reshape(len(words), p.size // max(len(words), 1)) for p in parameters)


class Staged:
    """The functions that formulas use (those of `pullback.lax.incomplete.Eager`), on Arrays."""

    log, log1p, sqrt, abs, floor, ceil = lax.log, lax.log1p, lax.sqrt, lax.abs, lax.floor, lax.ceil

    @staticmethod
    def where(condition: Array, x: Any, y: Any) -> Array:
        """`x` where the condition holds, `y` elsewhere; one of them may be a number."""
        known = x if isinstance(x, Array) else y
        return select(condition, *(v if isinstance(v, Array) else like(v, known) for v in (x, y)))

    @staticmethod
    def take(table: Values, index: Array) -> Array:
        """Elements of a short table."""
        out: Any = None
        for i, x in enumerate(table):
            out = broadcast_to(like(x, index), index.shape) if out is None else Staged.where(index >= i, x, out)
        return out


def _doubled(x: Array) -> Array:
    return convert_element_type_p.bind(x, new_dtype=dtypes.float64, weak_type=False)


def _staged_rows(keys: Array, *parameters: Array) -> tuple[Array, ...]:
    """Keys of shape (m,), and parameters with one row for each key."""
    m = keys.size
    return reshape(keys, (m,)), *(reshape(p, (m, p.size // max(m, 1))) for p in parameters)


def _split(keys: Array, num: int, partitionable: bool) -> list[Array]:
    """`num` arrays of new keys, of the shape of `keys`."""
    new = random_split_p.bind(keys, shape=(num,), partitionable=partitionable)
    return [index_in_dim(new, i, keys.ndim, keepdims=False) for i in range(num)]


def _uniforms(keys: Array, like: Array, partitionable: bool) -> Array:
    """Uniform numbers in [0, 1): of the type of `like`, whose leading axes are those of the keys."""
    shape = like.shape[keys.ndim :]
    return random_uniform_p.bind(keys, dtype=like.dtype, shape=shape, partitionable=partitionable)


def _take(x: Array, index: Array) -> Array:
    """Elements of the vector `x`, the last one for larger indices."""
    numbers = GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,))
    return gather(x, expand_dims(index, 1), numbers, (1,), mode="clip")


def _put(x: Array, index: Array, values: Array) -> Array:
    """The vector `x` with `values` at different indices; those that it does not have are dropped."""
    numbers = ScatterDimensionNumbers(
        update_window_dims=(), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,)
    )
    return scatter(x, expand_dims(index, 1), values, numbers, mode="drop")


def _zeros(like_this: Array) -> Array:
    return broadcast_to(like(0, like_this), like_this.shape)


def _any(flags: Array) -> Array:
    return reduce_or(flags, tuple(range(flags.ndim)))


def _repeat(going: Any, body: Any, state: Sequence[Array]) -> Sequence[Array]:
    """The state after `body` has been applied as long as `going` holds."""
    from pullback.control.loops import while_loop

    return while_loop(lambda state: going(*state), lambda state: body(*state), tuple(state))  # type: ignore[no-any-return]


# ---- gamma ------------------------------------------------------------------------------------------------------


class RandomGamma(_Rejection):
    """Gamma numbers of shape parameter `a` and scale 1, or their logarithms with `log_space`.

    By rejection from a transformed normal number (Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 2000);
    for a < 1, a number of parameter a + 1 times U^(1/a). The derivative in `a` is implicit: the sample moves so that
    the distribution function keeps its value (Figurnov, Mohamed and Mnih, NeurIPS 2018).
    """

    name = "random_gamma"

    def type_of(self, keys: ShapedArray, a: ShapedArray, *, log_space: bool, partitionable: bool) -> ShapedArray:
        return ShapedArray(a.shape, self.check(keys, a).dtype)

    def evaluate(self, keys: Any, a: Any, *, log_space: bool, partitionable: bool) -> Any:
        words, rows = _rows(keys, a)
        each = split_keys(words, rows.shape[1], partitionable).reshape(-1, 2)
        return _gamma(each, rows.reshape(-1), log_space, partitionable).reshape(a.shape)

    def expand(self, keys: Any, a: Any, *, log_space: bool, partitionable: bool) -> Any:
        if not a.size:
            return a
        each = random_split_p.bind(keys, shape=a.shape[keys.ndim :], partitionable=partitionable)
        out = _staged_gamma(reshape(each, (a.size,)), reshape(a, (a.size,)), log_space, partitionable)
        return reshape(out, a.shape)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        out, (_, a), t = self.bind(*primals, **params), primals, tangents[1]
        if t is None:
            return out, None
        if not params["log_space"]:
            return out, mul_p.bind(random_gamma_grad_p.bind(a, out), t)
        # d log x = dx/x. Where x underflows, F(x) = xᵃ/Γ(a+1) to leading order, which gives d log x/da = (ψ(a+1) - log x)/a.
        x = exp_p.bind(out)
        underflows = lt_p.bind(x, like(dtypes.finfo(x.dtype).tiny, x))
        safe = select(underflows, like(1, x), x)
        regular = div_p.bind(random_gamma_grad_p.bind(a, safe), safe)
        limit = div_p.bind(sub_p.bind(digamma_p.bind(add_p.bind(a, like(1, a))), out), a)
        return out, mul_p.bind(select(underflows, limit, regular), t)


def _gamma_scale(xp: Any, a: Any) -> tuple[Any, Any]:
    """Whether `a` is small (or NaN), and d = a - 1/3 of the numbers that are drawn for it."""
    small = ~(a >= 1)
    return small, xp.where(small, a + a.dtype.type(1), a) - a.dtype.type(1 / 3)


def _gamma_slope(xp: Any, d: Any) -> Any:
    return d.dtype.type(1 / 3) / xp.sqrt(d)


def _gamma_rejected(xp: Any, x: Any, v: Any, u: Any, d: Any) -> Any:
    """Whether the candidate d v of the normal number x is rejected by the uniform number u."""
    # NaN parameters must not loop: rejection, not acceptance, is what has to be true.
    one, squared = d.dtype.type(1), x * x
    return (u >= one - d.dtype.type(0.0331) * squared * squared) & (
        xp.log(u) >= squared * d.dtype.type(0.5) + d * (one - v + xp.log(v))
    )


def _gamma(keys: Words, a: Values, log_space: bool, partitionable: bool) -> Values:
    """One number for each key and each element of `a`."""
    dtype = a.dtype
    one = dtype.type(1)
    small, d = _gamma_scale(Eager, a)
    c = _gamma_slope(Eager, d)
    pairs = split_keys(keys, 2, partitionable)
    keys, boost_keys = pairs[:, 0], pairs[:, 1]
    out = np.empty(a.shape, dtype)
    left = np.arange(a.size)
    while left.size:
        triples = split_keys(keys, 3, partitionable)
        x, v = _normal_above(triples[:, 1], c, partitionable)
        u = random_uniform_p.numbers(triples[:, 2], 1, dtype, partitionable)[:, 0]
        v = v * v * v
        rejected = _gamma_rejected(Eager, x, v, u, d)
        accepted = ~rejected
        out[left[accepted]] = (np.log(d) + np.log(v) if log_space else d * v)[accepted]
        left, keys, c, d = left[rejected], triples[rejected, 0], c[rejected], d[rejected]
    if small.any():
        u = one - random_uniform_p.numbers(boost_keys[small], 1, dtype, partitionable)[:, 0]
        if log_space:
            out[small] += np.log(u) / a[small]
        else:
            out[small] *= u ** (one / a[small])
    return out


def _normal_above(keys: Words, c: Values, partitionable: bool) -> tuple[Values, Values]:
    """For each key, the first normal number x in its sequence with v = 1 + c x > 0, and v."""
    x, v = np.empty_like(c), np.empty_like(c)
    left = np.arange(c.size)
    while left.size:
        pairs = split_keys(keys, 2, partitionable)
        x[left] = random_normal_p.numbers(pairs[:, 1], 1, c.dtype, partitionable)[:, 0]
        v[left] = c.dtype.type(1) + x[left] * c[left]
        again = v[left] <= 0
        left, keys = left[again], pairs[again, 0]
    return x, v


#: Elements that a compiled program works on at a time: few enough for caches, enough for many cores.
_LANES = 1 << 14


def _staged_gamma(keys: Array, a: Array, log_space: bool, partitionable: bool) -> Array:
    """`_gamma` in compiled programs, for keys and parameters of shape (n,).

    Each lane works on the elements i, i + lanes, ...: when it has a number for one, it goes on to the next.
    """
    (n,), dtype = a.shape, a.dtype
    small, d = _gamma_scale(Staged, a)
    keys, boost_keys = _split(keys, 2, partitionable)
    lanes = min(n, _LANES)

    def candidates(keys: Array, again: Array, inner: Array, d: Array) -> tuple[Array, ...]:
        """Candidates and whether they are accepted; what to draw the next ones from: the state for an element that is not done.

        `again` says that the last normal number gave no candidate, and that the next one of its sequence comes from the key `inner`.
        """
        next_keys, first, uniform = _split(keys, 3, partitionable)
        next_inner, normal = _split(select(again, inner, first), 2, partitionable)
        x = random_normal_p.bind(normal, dtype=dtype, shape=(), partitionable=partitionable)
        v = dtype.type(1) + x * _gamma_slope(Staged, d)
        none = v <= 0
        v = v * v * v
        rejected = _gamma_rejected(Staged, x, v, _uniforms(uniform, d, partitionable), d)
        found = lax.log(d) + lax.log(v) if log_space else d * v
        return found, ~(none | rejected), select(none, keys, next_keys), none, next_inner

    if lanes == n:

        def in_place(left: Array, keys: Array, again: Array, inner: Array, out: Array) -> tuple[Array, ...]:
            found, accepted, *state = candidates(keys, again, inner, d)
            return left & ~accepted, *state, select(left & accepted, found, out)

        every = broadcast_to(like(True, small), (n,))
        *_, out = _repeat(lambda left, *_: _any(left), in_place, (every, keys, ~every, keys, a))
    else:

        def in_turn(index: Array, keys: Array, again: Array, inner: Array, d: Array, out: Array) -> tuple[Array, ...]:
            found, accepted, keys, again, inner = candidates(keys, again, inner, d)
            out = _put(out, select(accepted, index, like(n, index)), found)
            index = index + select(accepted, like(lanes, index), like(0, index))
            keys, d = (select(accepted, _take(new, index), old) for new, old in ((all_keys, keys), (all_d, d)))
            return index, keys, again & ~accepted, inner, d, out

        all_keys, all_d = keys, d
        index = iota(dtypes.int32 if n < 1 << 31 else dtypes.int64, lanes)
        state = (index, keys[:lanes], small[:lanes] & False, keys[:lanes], d[:lanes], a)
        *_, out = _repeat(lambda index, *_: _any(index < n), in_turn, state)
    u = dtype.type(1) - _uniforms(boost_keys, a, partitionable)
    if log_space:
        return select(small, out + lax.log(u) / a, out)
    return select(small, out * u ** (dtype.type(1) / a), out)


# ---- factorials --------------------------------------------------------------------------------------------------

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


# ---- Poisson ----------------------------------------------------------------------------------------------------

#: Below this mean, products of uniform numbers are counted; above, numbers are rejected.
_SMALL_MEAN = 10
#: The rate at which elements below it take part in the rejection loop of their key (their results are dropped).
_IDLE_RATE = 1e5


class RandomPoisson(_Rejection):
    """Poisson numbers of a given rate, of the integer type `dtype`. NaN and negative rates give -1.

    For rates below 10 by counting uniform numbers whose product stays above exp(-rate) (Knuth, TAOCP 2, 3.4.1), else by
    the transformed rejection PTRS (Hörmann, "The transformed rejection method for generating Poisson random variables", 1993).
    """

    name = "random_poisson"
    no_derivative = "its values are discrete"

    def type_of(self, keys: ShapedArray, rate: ShapedArray, *, dtype: DType, partitionable: bool) -> ShapedArray:
        if not dtypes.is_integer(dtype):
            raise TypeError(f"random_poisson gives integers; dtype is {dtypes.name(dtype)}")
        return ShapedArray(self.check(keys, rate).shape, dtype)

    def evaluate(self, keys: Any, rate: Any, *, dtype: DType, partitionable: bool) -> Any:
        words, rates = _rows(keys, rate)
        small = ~(rates >= _SMALL_MEAN)
        out = np.full(rates.shape, -1, np.float64)
        if small.any():
            out = _poisson_by_products(words, np.where(small, rates, 0), rates.dtype, partitionable)
        if not small.all():
            constants = _poisson_constants(Eager, np.where(small, _IDLE_RATE, rates).astype(np.float64))
            rejected = _reject(words, rates.dtype, constants, _poisson_candidates, partitionable)
            out = np.where(small, out, rejected)
        out = np.where(rates == 0, 0.0, out)
        return convert_element_type_p.evaluate(out, new_dtype=dtype, weak_type=False).reshape(rate.shape)

    def expand(self, keys: Any, rate: Any, *, dtype: DType, partitionable: bool) -> Any:
        keys, rates = _staged_rows(keys, rate)
        small = ~(rates >= _SMALL_MEAN)
        few = _doubled(Staged.where(small, rates, 0))

        def count(keys: Array, log_product: Array, count: Array) -> tuple[Array, ...]:
            keys, uniform = _split(keys, 2, partitionable)
            going = log_product > -few
            log_u = lax.log(_doubled(_uniforms(uniform, rates, partitionable)))
            return keys, log_product + log_u, count + _doubled(going)

        state = (keys, _zeros(few), _zeros(few))
        *_, counted = _repeat(lambda _, log_product, __: _any(log_product > -few), count, state)
        constants = _poisson_constants(Staged, _doubled(Staged.where(small, _IDLE_RATE, rates)))
        rejected = _staged_reject(keys, rates, ~small, constants, _poisson_candidates, partitionable)
        out = Staged.where(rates == 0, 0.0, select(small, counted - 1, rejected))
        return reshape(convert_element_type_p.bind(out, new_dtype=dtype, weak_type=False), rate.shape)


def _poisson_by_products(keys: Words, rates: Values, dtype: DType, partitionable: bool) -> Values:
    keys, rates = keys.copy(), rates.astype(np.float64)
    log_product, count = np.zeros(rates.shape), np.zeros(rates.shape)
    while True:
        going = log_product > -rates
        rows = np.nonzero(going.any(axis=1))[0]
        if not rows.size:
            return count - 1
        pairs = split_keys(keys[rows], 2, partitionable)
        keys[rows] = pairs[:, 0]
        count[rows] += going[rows]
        u = random_uniform_p.numbers(pairs[:, 1], rates.shape[1], dtype, partitionable)
        log_product[rows] += np.log(u, dtype=np.float64)


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


def _reject(keys: Words, dtype: DType, constants: Sequence[Values], candidates: Any, partitionable: bool) -> Values:
    """Candidates from pairs of uniform numbers, u in [-1/2, 1/2) and v in [0, 1), until each element has accepted one.

    `candidates(xp, u, v, *constants)` gives them, and whether they are accepted; the numbers have the precision of `dtype`.
    """
    shape = constants[0].shape
    keys, accepted, out = keys.copy(), np.zeros(shape, bool), np.zeros(shape)
    while True:
        rows = np.nonzero(~accepted.all(axis=1))[0]
        if not rows.size:
            return out
        triples = split_keys(keys[rows], 3, partitionable)
        keys[rows] = triples[:, 0]
        u, v = (
            random_uniform_p.numbers(triples[:, i], shape[1], dtype, partitionable).astype(np.float64) for i in (1, 2)
        )
        k, accept = candidates(Eager, u - 0.5, v, *(c[rows] for c in constants))
        out[rows] = np.where(accept, k, out[rows])
        accepted[rows] |= accept


def _staged_reject(
    keys: Array, parameters: Array, wanted: Array, constants: Sequence[Array], candidates: Any, partitionable: bool
) -> Array:
    """`_reject` in compiled programs; rows in which nothing is `wanted` do not count."""

    def in_row(flags: Array) -> Array:
        return broadcast_to(expand_dims(reduce_or(flags, (1,)), 1), flags.shape)

    def body(keys: Array, left: Array, out: Array) -> tuple[Array, ...]:
        keys, *uniforms = _split(keys, 3, partitionable)
        u, v = (_doubled(_uniforms(k, parameters, partitionable)) for k in uniforms)
        k, accept = candidates(Staged, u - 0.5, v, *constants)
        return keys, left & ~accept, select(in_row(left) & accept, k, out)

    state = (keys, in_row(wanted), _zeros(constants[0]))
    return _repeat(lambda _, left, __: _any(left), body, state)[2]


# ---- binomial ---------------------------------------------------------------------------------------------------

#: Count and probability with which elements that need no rejection take part in the loop of their key.
_IDLE_COUNT, _IDLE_PROBABILITY = 1e4, 0.5


class RandomBinomial(_Rejection):
    """Binomial numbers of `count` trials with a given success probability, of the parameters' type; NaN for invalid parameters.

    For means up to 10 by counting geometric numbers (Devroye, "Generating the maximum of independent identically distributed random
    variables", 1980), else by the transformed rejection BTRS (Hörmann, "The generation of binomial random variates", 1993).
    """

    name = "random_binomial"
    no_derivative = "its values are discrete"

    def type_of(
        self, keys: ShapedArray, count: ShapedArray, probability: ShapedArray, *, partitionable: bool
    ) -> ShapedArray:
        return ShapedArray(count.shape, self.check(keys, count, probability).dtype)

    def evaluate(self, keys: Any, count: Any, probability: Any, *, partitionable: bool) -> Any:
        words, counts, probabilities = _rows(keys, count, probability)
        flipped, rare, invalid, regular, small = _binomial_cases(Eager, counts, probabilities)
        large = regular & ~small
        out = np.zeros(counts.shape)
        if small.any():
            n, p = np.where(small, counts, 0), np.where(small, rare, counts.dtype.type(0.5))
            out = _binomial_by_waiting(words, n, p, counts.dtype, partitionable)
        if large.any():
            n, p = np.where(large, counts, _IDLE_COUNT), np.where(large, rare, _IDLE_PROBABILITY)
            constants = _binomial_constants(Eager, n.astype(np.float64), p.astype(np.float64))
            rejected = _reject(words, counts.dtype, constants, _binomial_candidates, partitionable)
            out = np.where(large, rejected, out)
        out = out.astype(counts.dtype)
        return _binomial_result(Eager, counts, out, flipped, invalid, regular).reshape(count.shape)

    def expand(self, keys: Any, count: Any, probability: Any, *, partitionable: bool) -> Any:
        keys, counts, probabilities = _staged_rows(keys, count, probability)
        flipped, rare, invalid, regular, small = _binomial_cases(Staged, counts, probabilities)
        n, p = _doubled(Staged.where(small, counts, 0)), _doubled(Staged.where(small, rare, 0.5))
        log_failure = lax.log1p(-p)

        def wait(keys: Array, waited: Array, successes: Array) -> tuple[Array, ...]:
            uniform, keys = _split(keys, 2, partitionable)
            going = waited <= n
            log_u = lax.log(_doubled(_uniforms(uniform, counts, partitionable)))
            return (
                keys,
                waited + lax.ceil(log_u / log_failure),
                successes + _doubled(going),
            )

        state = (keys, _zeros(n), _zeros(n))
        *_, successes = _repeat(lambda _, waited, __: _any(waited <= n), wait, state)
        large = regular & ~small
        n, p = Staged.where(large, counts, _IDLE_COUNT), Staged.where(large, rare, _IDLE_PROBABILITY)
        constants = _binomial_constants(Staged, _doubled(n), _doubled(p))
        rejected = _staged_reject(keys, counts, large, constants, _binomial_candidates, partitionable)
        out = select(large, rejected, successes - 1)
        out = convert_element_type_p.bind(out, new_dtype=counts.dtype, weak_type=False)
        return reshape(_binomial_result(Staged, counts, out, flipped, invalid, regular), count.shape)


def _binomial_cases(xp: Any, counts: Any, probabilities: Any) -> tuple[Any, ...]:
    """Where failures are counted, the probability of what is counted, and where parameters are invalid, call for sampling, for waiting."""
    flipped = probabilities >= 0.5
    rare = xp.where(flipped, counts.dtype.type(1) - probabilities, probabilities)
    invalid = ~((counts >= 0) & (rare >= 0))
    regular = ~(invalid | (counts == np.inf) | (rare == 0))
    return flipped, rare, invalid, regular, regular & (counts * rare <= _SMALL_MEAN)


def _binomial_result(xp: Any, counts: Any, out: Any, flipped: Any, invalid: Any, regular: Any) -> Any:
    endless = ~invalid & (counts == np.inf)
    zero = counts.dtype.type(0)
    out = xp.where(regular, out, xp.where(invalid, zero + np.nan, xp.where(endless, counts, zero)))
    return xp.where(flipped & ~endless, counts - out, out)


def _binomial_by_waiting(
    keys: Words, counts: Values, probabilities: Values, dtype: DType, partitionable: bool
) -> Values:
    keys, waited, successes = keys.copy(), np.zeros(counts.shape), np.zeros(counts.shape)
    log_failure = np.log1p(-probabilities, dtype=np.float64)
    while True:
        going = waited <= counts
        rows = np.nonzero(going.any(axis=1))[0]
        if not rows.size:
            return successes - 1
        pairs = split_keys(keys[rows], 2, partitionable)
        keys[rows] = pairs[:, 1]
        successes[rows] += going[rows]
        u = random_uniform_p.numbers(pairs[:, 0], counts.shape[1], dtype, partitionable)
        waited[rows] += np.ceil(np.log(u, dtype=np.float64) / log_failure[rows])


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
        - _stirling_tail(xp, safe) - _stirling_tail(xp, n - safe)
    )  # fmt: skip
    proposal = xp.log(v * alpha / (a / (distance * distance) + b))
    return k, ((distance >= 0.07) & (v <= v_r)) | inside & (proposal <= log_ratio)


random_gamma_p, random_poisson_p, random_binomial_p = RandomGamma(), RandomPoisson(), RandomBinomial()

__all__ = ["random_gamma_p"]
