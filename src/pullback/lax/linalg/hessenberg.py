"""Unitarily similar matrices with one diagonal beside their triangle: Hessenberg's form, which is
tridiagonal for Hermitian matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import pad, rev_p, slice_along
from pullback.lax.cumulative import cumsum_p
from pullback.lax.elementwise import complex_p, div_p, imag_p
from pullback.lax.family import add_p, like, neg_p, sub_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    diagonal,
    diagonal_matrix,
    from_triangle,
    identity,
    indices,
    info_of,
    lapack,
    lapack_call,
    like_dtype,
    matmul,
    matrix,
    real,
    rows,
    strong,
    transposed,
    triu,
)
from pullback.lax.linalg.qr import householder_product_p, reflections_of_tangent
from pullback.lax.linalg.schur import beside, commutator, placed, skew
from pullback.lax.linalg.triangular_sylvester import emit_by_columns, flipped
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to


class Hessenberg(Decomposition):
    """(h, taus): the Hessenberg form qᴴ a q from the first subdiagonal upwards, below it the
    reflections of q."""

    name = "hessenberg"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> list[ShapedArray]:
        check("hessenberg", a, square=True)
        return [strong(a.shape, a.dtype), strong((*a.shape[:-2], max(a.shape[-1] - 1, 0)), a.dtype)]

    def evaluate(self, a: Any) -> Any:
        out, taus = np.array(a), np.zeros((*a.shape[:-2], max(a.shape[-1] - 1, 0)), a.dtype)
        if taus.size:
            gehrd = lapack("gehrd", a.dtype)
            for i in indices(a.shape[:-2]):
                out[i], taus[i], _ = gehrd(a[i])
        return [out, taus]

    def lower(self, emit: Any, a: Any) -> Any:
        h, taus = emit.types
        if not taus.size:  # nothing to reduce
            return [a, emit.constant(0, taus.dtype, taus.shape)]
        return lapack_call(emit, "gehrd", [a], [h, taus, info_of(a)], "mmvv", overwrites=(0,), low=1, high=a.shape[-1])[
            :2
        ]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        (a,), (t_a,) = primals, tangents
        packed, taus = self.bind(a)
        if a.shape[-1] < 2:
            return [packed, taus], [t_a, None]
        q = _unpacked(packed, taus)
        t_h, omega = _tangents(triu(packed, -1), q, t_a)
        t_below, t_taus = _packed_tangents(packed, taus, matmul(q, omega))
        return [packed, taus], [add_p.bind(t_h, t_below), t_taus]


class HessenbergFactors(Decomposition):
    """(h,) or (h, q) with a = q h qᴴ: the same with q itself, which has derivatives where the
    reflections have none."""

    name = "hessenberg_factors"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, *, compute_q: bool) -> list[ShapedArray]:
        check("hessenberg", a, square=True)
        return [strong(a.shape, a.dtype)] * (2 if compute_q else 1)

    def expand(self, a: Any, *, compute_q: bool) -> list[Any]:
        packed, taus = hessenberg_p.bind(a)
        h = triu(packed, -1)
        return [h, _unpacked(packed, taus)] if compute_q else [h]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, compute_q: bool) -> Any:
        (a,), (t_a,) = primals, tangents
        h, q = self.bind(a, compute_q=True)
        t_h, omega = _tangents(h, q, t_a)
        return ([h, q], [t_h, matmul(q, omega)]) if compute_q else ([h], [t_h])


class HessenbergCommutator(Decomposition):
    """The strictly lower triangular x, zero in its first column, for which x h - h x is `f` below
    the first subdiagonal, h being the upper Hessenberg part of `h`. With `upper`, the x above the
    first superdiagonal for which it is `f` above the diagonal, but for the last column.

    Column by column: h_{k,k-1} x_k is what the other terms leave of column k-1 of f. So x is not
    finite where h has a zero on its subdiagonal.
    """

    name = "hessenberg_commutator"

    @weak_as_operands
    def type_of(self, h: ShapedArray, f: ShapedArray, *, upper: bool) -> ShapedArray:
        check(self.name, h, square=True)
        if h.shape != f.shape or h.dtype != f.dtype:
            raise ValueError(f"hessenberg_commutator: h {h} and f {f} do not fit, at {user_line()}")
        return strong(f.shape, f.dtype)

    def evaluate(self, h: Any, f: Any, *, upper: bool) -> Any:
        x, h = np.zeros_like(f), np.triu(h, -1)
        for k in range(1, f.shape[-1]):
            own = slice(0, k - 1) if upper else slice(k + 1, None)
            right = f[..., k - 1] + (h @ x[..., k - 1 : k] - x @ h[..., k - 1 : k])[..., 0]
            x[..., own, k] = right[..., own] / h[..., k, k - 1, None]
        return x

    def lower_elements(self, emit: Any, h: Any, f: Any, *, upper: bool) -> Any:
        n = f.shape[-1]
        if n < 2:
            return emit.like(0, f)

        def prepared(h: Any, f: Any) -> list[Any]:
            def moved(x: Any) -> Any:  # column k - 1 where column k was
                last = len(x.shape) - 1
                edges = [(0, 0, 0)] * last + [(1, 0, 0)]
                return pad(slice_along(x, 0, n - 1, last), like(0, x), edges)

            h = triu(h, -1)
            below = beside(h, -1)
            divisors = pad(below, like(1, below), [(0, 0, 0)] * (len(h.shape) - 2) + [(1, 0, 0)])
            mask = concrete(np.tri(n, k=-1, dtype=bool) if not upper else ~np.tri(n, k=1, dtype=bool))
            before = moved(identity(tuple(h.shape[:-2]), n, h.dtype))
            return [h, moved(f), moved(h), before, rows(divisors), broadcast_to(mask, h.shape)]

        def column(x: Any, h: Any, f_k: Any, h_k: Any, before: Any, divisor: Any, inside: Any) -> Any:
            change = sub_p.bind(matmul(h, matmul(x, before)), matmul(x, h_k))
            return select(inside, div_p.bind(add_p.bind(f_k, change), divisor), like(0, f_k))

        h, *taken = emit.staged(prepared, h, f)
        return emit_by_columns(emit, emit.like(0, f), column, [h], taken)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, upper: bool) -> Any:
        # x h - h x = f: dx h - h dx = df - (x dh - dh x), and what is not asked for in x does not
        # come in below the subdiagonal (above the diagonal), as in the equation itself.
        (h, f), (t_h, right) = primals, tangents
        x = self.bind(h, f, upper=upper)
        if t_h is not None:
            change = commutator(x, triu(t_h, -1))
            right = neg_p.bind(change) if right is None else sub_p.bind(right, change)
        return x, self.bind(h, right, upper=upper)

    def transpose(self, ct: Any, h: Any, f: Any, *, upper: bool) -> Sequence[Any]:
        # The transposed map is that of hᵀ, which is upper Hessenberg again in reverse order.
        return [None, flipped(self.bind(flipped(transposed(h)), flipped(ct), upper=not upper))]


def _tangents(h: Any, q: Any, t_a: Any) -> tuple[Any, Any]:
    """dh and Ω = qᴴ dq, for a = q h qᴴ with h of Hessenberg form."""
    # M = qᴴ da q = Ω h - h Ω + dh. The first column of q is constant, and that determines Ω (the
    # implicit q theorem, Golub & Van Loan, "Matrix Computations", 4th ed., 2013, theorem 7.4.2):
    # below the first subdiagonal, where h and dh are zero, the equation is one for what is below
    # the diagonal of Ω, and its mirror image is above. What is imaginary on its diagonal, φ, keeps
    # the subdiagonal of h real, as LAPACK makes it: (φ_{k+1} - φ_k) h_{k+1,k} is the imaginary part
    # of what is to be dh.
    m = matmul(adjoint(q), matmul(t_a, q))
    if h.shape[-1] < 2:
        return m, sub_p.bind(m, m)
    omega = skew(hessenberg_commutator_p.bind(h, m, upper=False))
    t_h = sub_p.bind(m, commutator(omega, h))
    if dtypes.is_complex(h.dtype):
        steps = div_p.bind(imag_p.bind(beside(t_h, -1)), real(beside(h, -1)))
        last = len(steps.shape) - 1
        edges = [(0, 0, 0)] * last + [(1, 0, 0)]
        angles = pad(cumsum_p.bind(steps, axis=last, reverse=False), like(0, steps), edges)
        turns = diagonal_matrix(complex_p.bind(like(0, angles), angles))
        t_h, omega = sub_p.bind(t_h, commutator(turns, h)), add_p.bind(omega, turns)
    return triu(t_h, -1), omega


def _unpacked(packed: Any, taus: Any) -> Any:
    """q, from the reflections below the first subdiagonal of `packed`."""
    n, batch = packed.shape[-1], tuple(packed.shape[:-2])
    if n < 2:
        return identity(batch, n, packed.dtype)
    block = householder_product_p.bind(_reflections(packed), taus)
    corner = identity(batch, 1, packed.dtype)
    edges = [(0, 0, 0)] * len(batch)
    zero = like(0, packed)
    return add_p.bind(
        pad(block, zero, [*edges, (1, 0, 0), (1, 0, 0)]), pad(corner, zero, [*edges, (0, n - 1, 0), (0, n - 1, 0)])
    )


def _reflections(packed: Any) -> Any:
    """What is below the first row and left of the last column."""
    n, last = packed.shape[-1], len(packed.shape) - 1
    return slice_along(slice_along(packed, 1, n, last - 1), 0, n - 1, last)


def _packed_tangents(packed: Any, taus: Any, t_q: Any) -> tuple[Any, Any]:
    """The tangents of the reflections, where `packed` has them, and of `taus`."""
    n, last = packed.shape[-1], len(packed.shape) - 1
    block = slice_along(slice_along(t_q, 1, n, last - 1), 1, n, last)
    t_below, t_taus = reflections_of_tangent(_reflections(packed), taus, block)
    return pad(t_below, like(0, t_below), [(0, 0, 0)] * (last - 1) + [(1, 0, 0), (0, 1, 0)]), t_taus


class Tridiagonal(Decomposition):
    """(packed, d, e, taus): diagonal and off-diagonal of qᴴ a q for Hermitian `a`, and the
    reflections of q."""

    name = "tridiagonal"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, *, lower: bool) -> list[ShapedArray]:
        check("tridiagonal", a, square=True)
        *batch, n = a.shape[:-1]
        real_dtype, less = dtypes.to_real(a.dtype), (*batch, max(n - 1, 0))
        return [
            strong(a.shape, a.dtype),
            strong((*batch, n), real_dtype),
            strong(less, real_dtype),
            strong(less, a.dtype),
        ]

    def evaluate(self, a: Any, *, lower: bool) -> Any:
        packed = np.array(a)
        types = self.type_of(ShapedArray(a.shape, a.dtype), lower=lower)
        d, e, taus = (np.zeros(t.shape, t.dtype) for t in types[1:])
        if a.size:
            reduce = lapack("hetrd" if a.dtype.kind == "c" else "sytrd", a.dtype)
            for i in indices(a.shape[:-2]):
                packed[i], d[i], e[i], taus[i], _ = reduce(a[i], lower=lower)
        return [packed, d, e, taus]

    def lower_elements(self, emit: Any, a: Any, *, lower: bool) -> Any:
        routine = "hetrd" if dtypes.is_complex(a.dtype) else "sytrd"
        return lapack_call(
            emit, routine, [a], [*emit.types, info_of(a)], "mmvvvv", overwrites=(0,), uplo="L" if lower else "U"
        )[:4]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool) -> Any:
        # A Hermitian matrix of Hessenberg form is tridiagonal, so the rule is that of Hessenberg's.
        # The upper triangle's reduction is the lower one's in reverse order: of rows, columns,
        # elements and reflections.
        (a,), (t_a,) = primals, tangents
        packed, d, e, taus = self.bind(a, lower=lower)
        if a.shape[-1] < 2:
            t_d = real(diagonal(t_a))
            t_packed = like_dtype(diagonal_matrix(t_d), a.dtype)
            return [packed, d, e, taus], [t_packed, t_d, None, None]
        turn = (lambda x, flip: x) if lower else (lambda x, flip: flip(x))
        reflections, scalars, t_a = turn(packed, flipped), turn(taus, _reversed), turn(t_a, flipped)
        q = _unpacked(reflections, scalars)
        off = turn(e, _reversed)
        h = add_p.bind(diagonal_matrix(turn(d, _reversed)), add_p.bind(placed(off, 1), placed(off, -1)))
        t_h, omega = _tangents(like_dtype(h, a.dtype), q, from_triangle(t_a))
        t_below, t_taus = _packed_tangents(reflections, scalars, matmul(q, omega))
        t_d, t_e = real(diagonal(t_h)), real(beside(t_h, -1))
        # The other triangle stays as it is.
        rest = add_p.bind(triu(t_a, 1), like_dtype(add_p.bind(diagonal_matrix(t_d), placed(t_e, -1)), a.dtype))
        t_packed = turn(add_p.bind(t_below, rest), flipped)
        outs = [t_packed, *(turn(x, _reversed) for x in (t_d, t_e, t_taus))]
        return [packed, d, e, taus], outs


def _reversed(v: Any) -> Any:
    return rev_p.bind(v, dimensions=(len(v.shape) - 1,))


hessenberg_p, hessenberg_factors_p, hessenberg_commutator_p = Hessenberg(), HessenbergFactors(), HessenbergCommutator()
tridiagonal_p = Tridiagonal()


def hessenberg(a: Any) -> list[Array]:
    """[h, taus]: the reduction qᴴ a q of matrices (..., n, n) to Hessenberg form, as LAPACK's `gehrd`
    packs it: h (..., n, n) and taus (..., n - 1), of their dtype.

    Below its first subdiagonal h holds the reflections whose product (`householder_product` of
    h[1:, :-1]) is q's lower right block. Derivatives exist where no reflection is the identity (a
    column that is zero below the subdiagonal already makes one), else they are NaN or infinite.
    Raises ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> from pullback.lax.linalg import householder_product
    >>> a = jnp.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [4.0, 2.0, 1.0]])
    >>> h, taus = hessenberg(a)
    >>> q = jnp.eye(3).at[1:, 1:].set(householder_product(h[1:, :-1], taus))
    >>> jnp.allclose(q.T @ a @ q, jnp.triu(h, -1), atol=1e-5)
    Array(True, dtype=bool)
    """
    return hessenberg_p.bind(matrix("hessenberg", a, square=True))


def tridiagonal(a: Any, *, lower: bool = True) -> list[Array]:
    """[packed, d, e, taus]: Hermitian matrices (..., n, n) reduced to real tridiagonal ones, as
    LAPACK's `sytrd` and `hetrd` pack them.

    d, of shape (..., n), is the diagonal and e, (..., n - 1), the one beside it; the triangle given
    by `lower` is used. Derivatives exist where those of `hessenberg` do. Raises ValueError for
    matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> packed, d, e, taus = tridiagonal(jnp.array([[1.0, 3.0, 4.0], [3.0, 2.0, 0.0], [4.0, 0.0, 2.0]]))
    >>> t = jnp.diag(d) + jnp.diag(e, 1) + jnp.diag(e, -1)  # has the same eigenvalues
    >>> jnp.allclose(jnp.linalg.eigvalsh(t), jnp.array([1.5 - 101**0.5 / 2, 2.0, 1.5 + 101**0.5 / 2]), atol=1e-5)
    Array(True, dtype=bool)
    """
    return tridiagonal_p.bind(matrix("tridiagonal", a, square=True), lower=bool(lower))
