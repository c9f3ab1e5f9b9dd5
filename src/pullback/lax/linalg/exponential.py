"""The exponential of a matrix, and its Fréchet derivatives of any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.errors import user_line
from pullback.core.linear import zeros
from pullback.core.primitive import is_node, weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import concatenate
from pullback.lax.elementwise import abs_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.linalg.lu import solve
from pullback.lax.linalg.matrices import (
    Decomposition,
    check,
    identity,
    matmul,
    of_finite,
    strong,
    transposed,
)
from pullback.lax.reductions import reduce_max_p
from pullback.lax.shape import broadcast_in_dim_p, convert, reduce_sum_p

#: Coefficients of the numerators of the diagonal Padé approximants of the exponential, and the norm
#: up to which each is exact to rounding: of degree 13 in double precision, of degree 7 in single
#: (Higham, "The scaling and squaring method for the matrix exponential revisited", 2005, table 2.3).
_PADE = {
    4: (3.925724783138660, (17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0)),
    8: (
        5.371920351148152,
        (
            64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
            10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
        ),
    ),
}  # fmt: skip


class Expm(Decomposition):
    """The exponential of `a`, or with k directions its k-th Fréchet derivative along them; NaN for
    matrices that would have to be halved more than `max_squarings` times."""

    name = "expm"

    @weak_as_operands
    def type_of(self, a: ShapedArray, *directions: ShapedArray, max_squarings: int) -> ShapedArray:
        check(self.name, a, square=True)
        for e in directions:
            if e.shape != a.shape or e.dtype != a.dtype:
                raise ValueError(f"expm: the direction {e} does not fit the matrix {a}, at {user_line()}")
        return strong(a.shape, a.dtype)

    def evaluate(self, a: Any, *directions: Any, max_squarings: int) -> Any:
        if not a.size:
            return np.zeros(a.shape, a.dtype)
        from scipy.linalg import expm

        n = a.shape[-1]
        for e in directions:
            a = _doubled_values(a, e)
        (out,) = of_finite(lambda a: np.asarray(expm(a)).astype(a.dtype, copy=False), a)
        limit = _PADE[a.real.dtype.itemsize][0] * 2.0**max_squarings
        small = np.abs(a).sum(-2).max(-1) <= limit
        out = out if small.all() else np.where(small[..., None, None], out, a.dtype.type(np.nan))
        return out[..., :n, out.shape[-1] - n :]

    def lower_elements(self, emit: Any, a: Any, *directions: Any, max_squarings: int) -> Any:
        n = a.shape[-1]
        if directions:
            (a,) = emit.staged(lambda a, *es: [_block(a, es)], a, *directions)
        theta, coefficients = _PADE[dtypes.to_real(a.dtype).itemsize]
        (norm,) = emit.staged(lambda a: [_one_norm(a)], a)
        real, batch, dtype = norm.dtype, norm.shape, dtypes.int32
        # How often to halve, for each matrix; those that are too large, or not finite, never.
        ratio = emit("divide", norm, emit.constant(theta, real, batch))
        good = emit.compare("LE", ratio, emit.constant(2.0**max_squarings, real, batch))
        ratio = emit.select(good, ratio, emit.like(0, ratio))
        zero, one = emit.constant(0, dtype), emit.constant(1, dtype)
        half, unit = emit.constant(0.5, real, batch), emit.constant(1.0, real, batch)

        def more(count: Any, scale: Any, ratio: Any) -> Any:
            return emit.any(emit.compare("GT", ratio, unit))

        def halve(count: Any, scale: Any, ratio: Any) -> list[Any]:
            above = emit.compare("GT", ratio, unit)
            return [
                emit("add", count, one),
                emit.select(above, emit("multiply", scale, half), scale),
                emit.select(above, emit("multiply", ratio, half), ratio),
            ]

        count, scale, _ = emit.while_loop(more, halve, [zero, emit.constant(1.0, real, batch), ratio])
        (x,) = emit.staged(lambda a, scale: [_pade(_times(scale, a), coefficients)], a, scale)

        def squares_left(i: Any, scale: Any, x: Any) -> Any:
            return emit.compare("LT", i, count)

        def square(i: Any, scale: Any, x: Any) -> list[Any]:
            (squared,) = emit.staged(lambda x: [matmul(x, x)], x)
            if not batch:
                return [emit("add", i, one), scale, squared]
            active = emit.compare("LT", scale, unit)
            active = emit.broadcast(active, x.shape, tuple(range(len(batch))))
            doubled = emit("add", scale, scale)
            return [emit("add", i, one), doubled, emit.select(active, squared, x)]

        x = emit.while_loop(squares_left, square, [zero, scale, x])[2]
        x = emit.select(emit.broadcast(good, x.shape, tuple(range(len(batch)))), x, emit.like(np.nan, x))
        size = x.shape[-1]
        if size == n:
            return x
        return emit.slice(x, (*(0 for _ in batch), 0, size - n), (*batch, n, size))

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0] and sum(active) == 1

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: int) -> Any:
        # The derivative along a direction is one direction more; it is linear in each. The block
        # matrices are those of Higham & Relton, "Higher order Fréchet derivatives of matrix
        # functions and the level-2 condition number", 2014, theorem 3.5.
        (a, *directions), (t_a, *t_directions) = primals, tangents
        out = self.bind(a, *directions, **params)
        terms = [] if t_a is None else [self.bind(a, *directions, t_a, **params)]
        for i, t in enumerate(t_directions):
            if t is not None:
                terms.append(self.bind(a, *directions[:i], t, *directions[i + 1 :], **params))
        total = None
        for term in terms:
            total = term if total is None else add_p.bind(total, term)
        return out, total

    def transpose(self, ct: Any, a: Any, *directions: Any, **params: int) -> Sequence[Any]:
        # The derivative is a sum over orders of products f e₁ f e₂ f ... under an integral, so that
        # tr(ctᵀ D(a; e, ...)) = tr(D(aᵀ; ct, ...ᵀ)ᵀ e).
        (i,) = [i for i, e in enumerate(directions) if is_node(e)]
        others = [transposed(e) for j, e in enumerate(directions) if j != i]
        out: list[Any] = [None] * (1 + len(directions))
        out[1 + i] = self.bind(transposed(a), ct, *others, **params)
        return out


def _doubled_values(a: Any, e: Any) -> Any:
    """[[a, e'], [0, a]], e' having `e` in its diagonal blocks."""
    eye = np.eye(a.shape[-1] // e.shape[-1], dtype=e.dtype)
    wide = np.einsum("ij,...kl->...ikjl", eye, e).reshape(a.shape)
    return np.block([[a, wide], [np.zeros_like(a), a]])


def _block(a: Any, directions: Sequence[Any]) -> Any:
    rows_axis, columns_axis = len(a.shape) - 2, len(a.shape) - 1
    for e in directions:
        while e.shape[-1] < a.shape[-1]:
            none = _zeros_like(e)
            e = concatenate([concatenate([e, none], columns_axis), concatenate([none, e], columns_axis)], rows_axis)
        a = concatenate([concatenate([a, e], columns_axis), concatenate([_zeros_like(a), a], columns_axis)], rows_axis)
    return a


def _zeros_like(x: Any) -> Any:
    return zeros(x.shape, x.dtype)


def _one_norm(a: Any) -> Any:
    sums = reduce_sum_p.bind(abs_p.bind(a), axes=(len(a.shape) - 2,))
    return reduce_max_p.bind(sums, axes=(len(sums.shape) - 1,))


def _times(scale: Any, a: Any) -> Any:
    wide = broadcast_in_dim_p.bind(scale, shape=a.shape, broadcast_dimensions=tuple(range(len(scale.shape))))
    return mul_p.bind(convert(wide, a.dtype), a)


def _pade(a: Any, b: Sequence[float]) -> Any:
    """(v - u)⁻¹ (v + u), u the odd and v the even part of the polynomial with coefficients `b`."""
    eye = identity(tuple(a.shape[:-2]), a.shape[-1], a.dtype)
    a2 = matmul(a, a)

    def combination(coefficients: Sequence[float], powers: Sequence[Any]) -> Any:
        total = None
        for c, p in zip(coefficients, powers):
            term = mul_p.bind(like(c, p), p)
            total = term if total is None else add_p.bind(total, term)
        return total

    a4 = matmul(a2, a2)
    a6 = matmul(a4, a2)
    powers = (eye, a2, a4, a6)
    odd, even = combination(b[1:8:2], powers), combination(b[0:8:2], powers)
    if len(b) == 14:
        odd = add_p.bind(odd, matmul(a6, combination(b[9::2], powers[1:])))
        even = add_p.bind(even, matmul(a6, combination(b[8::2], powers[1:])))
    u = matmul(a, odd)
    return solve(sub_p.bind(even, u), add_p.bind(even, u))


expm_p = Expm()
