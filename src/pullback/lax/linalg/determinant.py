"""Determinants, with derivatives that are right for singular matrices too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.primitive import is_node, weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import pad_p
from pullback.lax.creation import positions
from pullback.lax.cumulative import cumprod_p
from pullback.lax.elementwise import abs_p, complex_p, eq_p, imag_p, log_p, sign_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.linalg.lu import inverse, lu_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    check,
    conj,
    diagonal,
    gufuncs,
    like_dtype,
    matmul,
    of_finite,
    real,
    rows,
    strong,
    transposed,
)
from pullback.lax.linalg.svd import svd_p
from pullback.lax.reductions import reduce_prod_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p, convert, reduce_sum_p


class Det(Decomposition):
    """The determinant of each matrix."""

    name = "det"

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> ShapedArray:
        check("det", a, square=True)
        return a.update(shape=a.shape[:-2])

    def evaluate(self, a: Any) -> Any:
        return gufuncs.det(a)

    def expand(self, a: Any) -> Any:
        diagonal, parity = _pivoted(a)
        return mul_p.bind(convert(parity, a.dtype), reduce_prod_p.bind(diagonal, axes=(len(a.shape) - 2,)))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # d det(a) = Σ cofactor(a)_ij da_ij (Jacobi's formula), whether or not a has an inverse.
        (a,), (t,) = primals, tangents
        return self.bind(a), _sum_of_products(cofactor_p.bind(a), t)


class Cofactor(Decomposition):
    """The gradient of det at `a`; or, with matrices x₁, ..., x_k, its k-th derivative in their
    directions.

    C(a, x₁, ..., x_k)_ij = ∂/∂a_ij ∂/∂t₁ ⋯ ∂/∂t_k det(a + t₁ x₁ + ⋯ + t_k x_k) at t = 0. The
    determinant is a polynomial, so this is right for every matrix, singular or not. It is linear in
    each x, and symmetric in all of x₁,
    ..., x_k and the matrix that it is contracted with; so its derivatives are of the same kind, and its transpose in an
    x is itself.
    """

    name = "cofactor"

    @weak_as_operands
    def type_of(self, a: ShapedArray, *xs: ShapedArray) -> ShapedArray:
        check("cofactor", a, square=True)
        if any(x.shape != a.shape or x.dtype != a.dtype for x in xs):
            raise TypeError(f"cofactor takes matrices of one type, got {a}, {', '.join(map(str, xs))}")
        return strong(a.shape, a.dtype)

    def evaluate(self, a: Any, *xs: Any) -> Any:
        if not a.size:
            return np.zeros(a.shape, a.dtype)
        out = _cofactor_by_inverse(a, xs) if len(xs) < 2 else None
        return _cofactor_by_svd(a, xs) if out is None else out

    def lower_elements(self, emit: Any, a: Any, *xs: Any) -> Any:
        return emit.evaluate_on_host(self, (a, *xs), {}) if xs else emit.expand(self, (a,), {})

    def expand(self, a: Any) -> Any:
        # By the singular values, which is right whether or not `a` has an inverse: see
        # `_cofactor_by_svd`.
        u, s, vh = svd_p.bind(a, full_matrices=True, compute_uv=True)
        axis = len(s.shape) - 1
        before = cumprod_p.bind(_shifted(s, axis, 1), axis=axis, reverse=False)
        after = cumprod_p.bind(_shifted(s, axis, -1), axis=axis, reverse=True)
        others = like_dtype(mul_p.bind(before, after), a.dtype)
        phase = mul_p.bind(det_p.bind(u), det_p.bind(vh))
        scaled = mul_p.bind(rows(others), conj(u))
        product = matmul(scaled, conj(vh))
        factor = broadcast_in_dim_p.bind(phase, shape=a.shape, broadcast_dimensions=tuple(range(len(phase.shape))))
        return mul_p.bind(factor, product)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0] and sum(active) == 1

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        (a, *xs), (t_a, *t_xs) = primals, tangents
        terms = [] if t_a is None else [self.bind(a, *xs, t_a)]
        for i, t in enumerate(t_xs):
            if t is not None:
                terms.append(self.bind(a, *xs[:i], t, *xs[i + 1 :]))
        total = terms[0]
        for term in terms[1:]:
            total = add_p.bind(total, term)
        return self.bind(a, *xs), total

    def transpose(self, ct: Any, a: Any, *xs: Any) -> Sequence[Any]:
        others = [x for x in xs if not is_node(x)]
        return [None, *(self.bind(a, *others, ct) if is_node(x) else None for x in xs)]


def _cofactor_by_inverse(a: Any, xs: Sequence[Any]) -> Any:
    """det(a) a⁻ᵀ, or its derivative in one direction; None if a matrix is too close to a singular
    one for that."""
    inv = gufuncs.inv(a)
    condition = np.abs(a).sum(-1).max(-1) * np.abs(inv).sum(-1).max(-1)
    if not (condition < np.finfo(a.dtype).eps ** -0.5).all():
        return None
    det, inv_t = gufuncs.det(a)[..., None, None], inv.swapaxes(-1, -2)
    if not xs:
        return det * inv_t
    ratio = inv @ xs[0]
    return det * (np.trace(ratio, axis1=-2, axis2=-1)[..., None, None] * inv_t - (ratio @ inv).swapaxes(-1, -2))


def _cofactor_by_svd(a: Any, xs: Sequence[Any]) -> Any:
    # With a = u s vᴴ, det(a + Σ t x) = det(u) det(vᴴ) det(s + Σ t y), y = uᴴ x v; and as s is
    # diagonal, the coefficient of t₁ ⋯ t_r (r = k + 1) is a sum over r different indices and over
    # their permutations σ,
    #   Σ_(i₁, ..., i_r) (Π s over all other indices) Σ_σ sign(σ) Π_j y_j[i_j, i_σ(j)].
    # Its derivative by y_r leaves out that factor.
    u, s, vh = of_finite(gufuncs.svd_f, a)
    phase = (gufuncs.det(u) * gufuncs.det(vh))[..., None, None]
    u_conj, vh_conj = u.conj(), vh.conj()
    ys = [u_conj.swapaxes(-1, -2) @ x @ vh_conj.swapaxes(-1, -2) for x in xs]
    n, r = a.shape[-1], len(xs) + 1
    rest = _products_of_others(s, r).astype(a.dtype, copy=False)
    letters = "abcdefghijklmnopqrstuvwxyz"[:r]
    total = np.zeros(a.shape, a.dtype)
    index = np.arange(n)
    for sigma in permutations(range(r)):
        sign = 1 - 2 * (sum(p > q for i, p in enumerate(sigma) for q in sigma[i + 1 :]) % 2)
        factors = ",".join(f"...{letters[j]}{letters[sigma[j]]}" for j in range(r - 1))
        last = letters[r - 1] if sigma[r - 1] == r - 1 else letters[r - 1] + letters[sigma[r - 1]]
        term = np.einsum(f"...{letters}{',' if factors else ''}{factors}->...{last}", rest, *ys)
        if len(last) == 1:
            total[..., index, index] += sign * term
        else:
            total += sign * term
    return (phase * (u_conj @ total @ vh_conj)).astype(a.dtype, copy=False)


def _products_of_others(s: Any, r: int) -> Any:
    """P[i₁, ..., i_r], the product of the s whose index is none of these; zero unless they differ."""
    n = s.shape[-1]
    grid = np.indices((n,) * r)
    out = np.ones((*s.shape[:-1], *(n,) * r), s.dtype)
    for i in range(n):
        out *= np.where((grid == i).any(0), 1, s[(..., i, *(None,) * r)])
    different = np.ones((n,) * r, bool)
    for i in range(r):
        for j in range(i):
            different &= grid[i] != grid[j]
    return np.where(different, out, 0)


class Slogdet(Decomposition):
    """The sign (the phase, if complex) of the determinant of each matrix, and the logarithm of its
    absolute value."""

    name = "slogdet"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> list[ShapedArray]:
        check("slogdet", a, square=True)
        return [strong(a.shape[:-2], a.dtype), strong(a.shape[:-2], dtypes.to_real(a.dtype))]

    def evaluate(self, a: Any) -> Any:
        sign, logabsdet = gufuncs.slogdet(a)
        if np.isnan(logabsdet).any():  # LAPACK counts row interchanges for a sign even then
            sign = np.where(np.isnan(logabsdet), logabsdet.dtype.type(np.nan), sign)
        return [sign, logabsdet]

    def expand(self, a: Any) -> Any:
        diagonal, parity = _pivoted(a)
        axes = (len(a.shape) - 2,)
        sign = mul_p.bind(convert(parity, a.dtype), reduce_prod_p.bind(sign_p.bind(diagonal), axes=axes))
        logabsdet = reduce_sum_p.bind(log_p.bind(abs_p.bind(diagonal)), axes=axes)
        return [sign, logabsdet]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # d log det(a) = tr(a⁻¹ da) (Jacobi's formula); its real part is that of log |det|, its
        # imaginary part turns the phase.
        (a,), (t,) = primals, tangents
        sign, logabsdet = self.bind(a)
        ratio = _sum_of_products(transposed(inverse(a)), t)
        if not dtypes.is_complex(a.dtype):
            return [sign, logabsdet], [None, ratio]
        turn = imag_p.bind(ratio)
        return [sign, logabsdet], [mul_p.bind(sign, complex_p.bind(like(0, turn), turn)), real(ratio)]


def _pivoted(a: Any) -> tuple[Any, Any]:
    """The diagonal of U, with a[permutation] = L U, and the sign of the permutation."""
    factors, pivots, _ = lu_p.bind(a)
    n = a.shape[-1]
    in_place = eq_p.bind(pivots, positions(n, dtypes.int32))
    signs = select(in_place, like(1, pivots), like(-1, pivots))
    return diagonal(factors), reduce_prod_p.bind(signs, axes=(len(pivots.shape) - 1,))


def _shifted(s: Any, axis: int, by: int) -> Any:
    """`s` moved along `axis`, with ones at the end that becomes free."""
    config = [(0, 0, 0)] * len(s.shape)
    config[axis] = (by, -by, 0)
    return pad_p.bind(s, like(1, s), padding_config=tuple(config))


def _sum_of_products(x: Any, y: Any) -> Any:
    n = len(x.shape)
    return reduce_sum_p.bind(mul_p.bind(x, y), axes=(n - 2, n - 1))


det_p, cofactor_p, slogdet_p = Det(), Cofactor(), Slogdet()
