"""Primitives that sample by rejection: gamma, Poisson and binomial numbers.

Operands are typed keys of shape K and parameters of shape (*K, *S): each key serves an array of shape S. A loop draws candidates for all
elements and stops, for each key, when each of its elements has accepted one. How many numbers are drawn from which keys
is part of the definition of the streams; so are candidates of accepted elements of the Poisson and binomial samplers,
which replace the ones accepted before until the whole array is done (they have the same distribution).

The acceptance tests of the Poisson and binomial samplers are evaluated in float64 whatever the type of the parameters, so
that rounding does not distort the distribution at large rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import div_p, exp_p, lt_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.random_bits import Words, check_keys, key_words, random_normal_p, random_uniform_p, split_keys
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, convert_element_type_p
from pullback.lax.special import digamma_p, random_gamma_grad_p

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


def _gamma(keys: Words, a: Values, log_space: bool, partitionable: bool) -> Values:
    """One number for each key and each element of `a`."""
    dtype = a.dtype
    one, third = dtype.type(1), dtype.type(1 / 3)
    small = ~(a >= 1)
    d = np.where(small, a + one, a) - third
    c = third / np.sqrt(d)
    pairs = split_keys(keys, 2, partitionable)
    keys, boost_keys = pairs[:, 0], pairs[:, 1]
    out = np.empty(a.shape, dtype)
    left = np.arange(a.size)
    while left.size:
        triples = split_keys(keys, 3, partitionable)
        x, v = _normal_above(triples[:, 1], c, partitionable)
        u = random_uniform_p.numbers(triples[:, 2], 1, dtype, partitionable)[:, 0]
        squared, v = x * x, v * v * v
        # NaN parameters must not loop: rejection, not acceptance, is what has to be true.
        rejected = (u >= one - dtype.type(0.0331) * squared * squared) & (
            np.log(u) >= squared * dtype.type(0.5) + d * (one - v + np.log(v))
        )
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
        one = rates.dtype.type
        small = ~(rates >= _SMALL_MEAN)
        out = np.full(rates.shape, -1, np.float64)
        if small.any():
            out = _poisson_by_products(words, np.where(small, rates, one(0)), partitionable)
        if not small.all():
            out = np.where(
                small, out, _poisson_by_rejection(words, np.where(small, one(_IDLE_RATE), rates), partitionable)
            )
        out = np.where(rates == 0, 0.0, out)
        return convert_element_type_p.evaluate(out, new_dtype=dtype, weak_type=False).reshape(rate.shape)


def _poisson_by_products(keys: Words, rates: Values, partitionable: bool) -> Values:
    keys, log_product, count = keys.copy(), np.zeros_like(rates), np.zeros(rates.shape, np.float64)
    while True:
        going = log_product > -rates
        rows = np.nonzero(going.any(axis=1))[0]
        if not rows.size:
            return count - 1
        pairs = split_keys(keys[rows], 2, partitionable)
        keys[rows] = pairs[:, 0]
        count[rows] += going[rows]
        log_product[rows] += np.log(random_uniform_p.numbers(pairs[:, 1], rates.shape[1], rates.dtype, partitionable))


def _poisson_by_rejection(keys: Words, rates: Values, partitionable: bool) -> Values:
    from scipy.special import gammaln

    b = 0.931 + 2.53 * np.sqrt(rates)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)

    def candidates(rows: Values, u: Values, v: Values) -> tuple[Values, Values]:
        rate, a_, b_ = rates[rows], a[rows], b[rows]
        distance = 0.5 - abs(u)
        k = np.floor((2 * a_ / distance + b_) * u + rate + 0.43)
        exact = k.astype(np.float64)
        log_ratio = exact * np.log(rate.astype(np.float64)) - rate - gammaln(exact + 1)
        proposal = np.log(v * inverse_alpha[rows] / (a_ / (distance * distance) + b_))
        surely = (distance >= 0.07) & (v <= v_r[rows])
        never = (k < 0) | ((distance < 0.013) & (v > distance))
        return k, surely | ~never & (proposal <= log_ratio)

    return _reject(keys, rates, candidates, partitionable)


def _reject(keys: Words, parameters: Values, candidates: Any, partitionable: bool) -> Values:
    """Candidates from pairs of uniform numbers, u in [-1/2, 1/2) and v in [0, 1), until each element has accepted one."""
    keys, accepted, out = keys.copy(), np.zeros(parameters.shape, bool), np.zeros_like(parameters)
    columns, dtype = parameters.shape[1], parameters.dtype
    while True:
        rows = np.nonzero(~accepted.all(axis=1))[0]
        if not rows.size:
            return out
        triples = split_keys(keys[rows], 3, partitionable)
        keys[rows] = triples[:, 0]
        u = random_uniform_p.numbers(triples[:, 1], columns, dtype, partitionable) - dtype.type(0.5)
        v = random_uniform_p.numbers(triples[:, 2], columns, dtype, partitionable)
        k, accept = candidates(rows, u, v)
        out[rows] = np.where(accept, k, out[rows])
        accepted[rows] |= accept


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
        one = counts.dtype.type
        flipped = probabilities >= 0.5  # then failures are counted
        rare = np.where(flipped, one(1) - probabilities, probabilities)
        invalid = ~((counts >= 0) & (rare >= 0))
        endless = np.isinf(counts)
        regular = ~(invalid | endless | (rare == 0))
        small = regular & (counts * rare <= _SMALL_MEAN)
        large = regular & ~small
        out = np.zeros(counts.shape, counts.dtype)
        if small.any():
            out = _binomial_by_waiting(
                words, np.where(small, counts, one(0)), np.where(small, rare, one(0.5)), partitionable
            )
        if large.any():
            n, p = np.where(large, counts, one(_IDLE_COUNT)), np.where(large, rare, one(_IDLE_PROBABILITY))
            out = np.where(large, _binomial_by_rejection(words, n, p, partitionable), out)
        out = np.where(regular, out, np.where(invalid, one(np.nan), np.where(endless, one(np.inf), one(0))))
        return np.where(flipped & ~endless, counts - out, out).reshape(count.shape)


def _binomial_by_waiting(keys: Words, counts: Values, probabilities: Values, partitionable: bool) -> Values:
    keys, waited, successes = keys.copy(), np.zeros_like(counts), np.zeros_like(counts)
    log_failure = np.log1p(-probabilities)
    while True:
        going = waited <= counts
        rows = np.nonzero(going.any(axis=1))[0]
        if not rows.size:
            return successes - counts.dtype.type(1)
        pairs = split_keys(keys[rows], 2, partitionable)
        keys[rows] = pairs[:, 1]
        successes[rows] += going[rows]
        u = random_uniform_p.numbers(pairs[:, 0], counts.shape[1], counts.dtype, partitionable)
        waited[rows] += np.ceil(np.log(u) / log_failure[rows])


def _binomial_by_rejection(keys: Words, counts: Values, probabilities: Values, partitionable: bool) -> Values:
    n, p = counts.astype(np.float64), probabilities.astype(np.float64)
    deviation = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    center = n * p + 0.5
    v_r = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = np.floor((n + 1) * p)

    def candidates(rows: Values, u: Values, v: Values) -> tuple[Values, Values]:
        u, v = u.astype(np.float64), v.astype(np.float64)
        n_, m, r, a_, b_ = n[rows], mode[rows], odds[rows], a[rows], b[rows]
        distance = 0.5 - abs(u)
        k = np.floor((2 * a_ / distance + b_) * u + center[rows])
        inside = (k >= 0) & (k <= n_)
        safe = np.where(inside, k, 0)
        log_ratio = (
            (m + 0.5) * np.log((m + 1) / (r * (n_ - m + 1)))
            + (n_ + 1) * np.log((n_ - m + 1) / (n_ - safe + 1))
            + (safe + 0.5) * np.log(r * (n_ - safe + 1) / (safe + 1))
            + _stirling_tail(m) + _stirling_tail(n_ - m) - _stirling_tail(safe) - _stirling_tail(n_ - safe)
        )  # fmt: skip
        proposal = np.log(v * alpha[rows] / (a_ / (distance * distance) + b_))
        return k, ((distance >= 0.07) & (v <= v_r[rows])) | inside & (proposal <= log_ratio)

    return _reject(keys, counts, candidates, partitionable)


_STIRLING_TAILS = np.array(
    [
        0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.0207906721037650, 0.0166446911898211,
        0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.0092554621827127, 0.0083305634333628,
    ]
)  # fmt: skip


def _stirling_tail(k: Values) -> Values:
    """log k! minus Stirling's approximation of it, (k + 1/2) log(k + 1) - (k + 1) + log √2π."""
    square = (k + 1) ** 2
    series = (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)
    return np.where(k <= 9, _STIRLING_TAILS[np.clip(k, 0, 9).astype(np.intp)], series)


random_gamma_p, random_poisson_p, random_binomial_p = RandomGamma(), RandomPoisson(), RandomBinomial()

__all__ = ["random_gamma_p"]
