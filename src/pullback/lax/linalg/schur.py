"""Schur's form: unitarily similar triangular matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import pad, slice_along
from pullback.lax.elementwise import and_p, div_p, eq_p, ne_p, sqrt_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    columns,
    conj,
    diagonal,
    diagonal_matrix,
    emit_finite,
    indices,
    info_of,
    lapack,
    lapack_call,
    like_dtype,
    matmul,
    matrix,
    or_nan,
    real,
    rows,
    strong,
    tril,
    triu,
)
from pullback.lax.linalg.triangular_sylvester import triangular_sylvester_p
from pullback.lax.selection import select
from pullback.lax.shape import convert


class Schur(Decomposition):
    """(t,) or (t, q) with a = q t qᴴ, q unitary and t upper triangular (block triangular for real
    `a`)."""

    name = "schur"
    multiple_results = True

    @weak_as_operands
    def type_of(
        self, a: ShapedArray, *, compute_schur_vectors: bool, sort_eig_vals: bool, select_callable: Any
    ) -> list[ShapedArray]:
        check("schur", a, square=True)
        return [strong(a.shape, a.dtype)] * (2 if compute_schur_vectors else 1)

    def evaluate(self, a: Any, *, compute_schur_vectors: bool, sort_eig_vals: bool, select_callable: Any) -> Any:
        outs = [np.full(a.shape, np.nan, a.dtype) for _ in range(2 if compute_schur_vectors else 1)]
        if a.size:
            gees = lapack("gees", a.dtype)
            choose = select_callable if sort_eig_vals else lambda *_: False
            for i in indices(a.shape[:-2]):
                if np.isfinite(a[i]).all():
                    t, *_, z, _, info = gees(choose, a[i], compute_v=compute_schur_vectors, sort_t=int(sort_eig_vals))
                    if not info:
                        for out, x in zip(outs, (t, z)):
                            out[i] = x
        return outs

    def lower_elements(self, emit: Any, a: Any, **params: Any) -> Any:
        if params["sort_eig_vals"]:  # LAPACK calls a function of the user's
            return emit.evaluate_on_host(self, (a,), params)
        finite, a = emit_finite(emit, a)
        vector, number = ShapedArray(a.shape[:-1], a.dtype), info_of(a)
        eigenvalues = [vector] if dtypes.is_complex(a.dtype) else [vector, vector]
        t, q, *_, info = lapack_call(
            emit, "gees", [a], [a.aval, a.aval, *eigenvalues, number, number], "mmm" + "v" * (len(eigenvalues) + 2),
            overwrites=(0,), mode="V" if params["compute_schur_vectors"] else "N", sort="N",
        )  # fmt: skip
        return or_nan(emit, info, *([t, q] if params["compute_schur_vectors"] else [t]), finite=finite)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        # a = q t qᴴ, so with Ω = qᴴ dq, skew-Hermitian, M = qᴴ da q = Ω t - t Ω + dt. Below the
        # diagonal, where t and dt are zero, that is an equation for what is below the diagonal of Ω,
        # and its mirror image is above; dt is the rest. For complex a the phases of q are free, and
        # Ω_ii = 0 is chosen. Where eigenvalues are equal there is no derivative: NaN.
        (a,), (t_a,) = primals, tangents
        t, q = self.bind(a, **{**params, "compute_schur_vectors": True})
        m = matmul(adjoint(q), matmul(t_a, q))
        if dtypes.is_complex(a.dtype) or a.shape[-1] < 2:
            omega = skew(_lower_part(t, m))
            t_t = triu(sub_p.bind(m, commutator(omega, t)))
        else:
            omega, t_t = _real_tangents(t, m)
        outs, t_outs = [t, q], [t_t, matmul(q, omega)]
        return (outs, t_outs) if params["compute_schur_vectors"] else (outs[:1], t_outs[:1])


def commutator(x: Any, y: Any) -> Any:
    """x y - y x."""
    return sub_p.bind(matmul(x, y), matmul(y, x))


def skew(x: Any) -> Any:
    """x - xᴴ: the skew-Hermitian matrix that is `x` below the diagonal, if `x` has nothing elsewhere."""
    return sub_p.bind(x, adjoint(x))


def _lower_part(t: Any, m: Any) -> Any:
    """The strictly lower triangular x for which x t - t x is `m` below the diagonal, for upper
    triangular t: NaN where two of its eigenvalues are equal."""
    eigenvalues = diagonal(t)
    equal = eq_p.bind(rows(eigenvalues), columns(eigenvalues))
    m = mul_p.bind(m, tril(select(equal, like(np.nan, m), like(1, m)), -1))
    return triangular_sylvester_p.bind(neg_p.bind(t), t, m, part="lower")


def _real_tangents(t: Any, m: Any) -> tuple[Any, Any]:
    """Ω and dt of a real form of two rows or more."""
    # Below the blocks on the diagonal the equation is that of the complex form, g t gᴴ with a block
    # diagonal g. In a block [[a, b], [c, a]], as LAPACK has them, Ω = ω [[0, -1], [1, 0]] is what
    # keeps the diagonal constant: Ω t - t Ω is ω (b + c) [[-1, 0], [0, 1]]. (Where b = -c rotations
    # do not change the block: q is not unique, and ω = 0 gives the derivative of one of them.)
    c = beside(t, -1)
    block = ne_p.bind(c, like(0, c))
    g, _ = rotations(t, block)
    g_adjoint, wide = adjoint(g), lambda x: like_dtype(x, g.dtype)
    form = triu(matmul(matmul(g, wide(t)), g_adjoint))
    lower = real(matmul(matmul(g_adjoint, _lower_part(form, matmul(matmul(g, wide(m)), g_adjoint))), g))
    within = placed(convert(block, t.dtype), -1)
    omega = skew(select(ne_p.bind(within, like(0, t)), like(0, t), tril(lower, -1)))
    rest = sub_p.bind(m, commutator(omega, t))
    n, main, both = t.shape[-1], diagonal(rest), add_p.bind(beside(t, 1), c)
    last = len(main.shape) - 1
    turning = and_p.bind(block, ne_p.bind(both, like(0, both)))
    factor = select(turning, div_p.bind(like(-0.5, both), select(turning, both, like(1, both))), like(0, both))
    apart = sub_p.bind(slice_along(main, 0, n - 1, last), slice_along(main, 1, n, last))
    turns = skew(placed(mul_p.bind(factor, apart), -1))
    rest = sub_p.bind(rest, commutator(turns, t))
    return add_p.bind(omega, turns), add_p.bind(triu(rest), mul_p.bind(within, rest))


def beside(t: Any, k: int) -> Any:
    """The diagonals above the main ones (k = 1) or below them (k = -1), of two rows or more: shape
    (..., n-1)."""
    n, axis = t.shape[-1], len(t.shape) - 1
    first, second = (axis, axis - 1) if k > 0 else (axis - 1, axis)
    return diagonal(slice_along(slice_along(t, 1, n, first), 0, n - 1, second))


def placed(v: Any, k: int) -> Any:
    """Square matrices with `v` beside their diagonals, and zero elsewhere: the inverse of `beside`."""
    edges = [(0, 1, 0), (1, 0, 0)] if k > 0 else [(1, 0, 0), (0, 1, 0)]
    return pad(diagonal_matrix(v), like(0, v), [(0, 0, 0)] * (len(v.shape) - 1) + edges)


def rotations(t: Any, block: Any) -> tuple[Any, Any]:
    """(g, w): g t gᴴ is triangular, and w its diagonal, for real or complex `t` with 2x2 blocks on
    the diagonal, of two rows or more. `block` (..., n-1) says in which rows they start.

    Each block is made triangular by a rotation (Golub & Van Loan, "Matrix Computations", 4th ed.,
    2013, section 7.4.1). Blocks do not overlap, so that g is one unitary matrix and no loop. Of a
    pair of eigenvalues that with the positive imaginary part comes first; w is real where no block
    is and t is real.
    """
    dtype = dtypes.to_complex(t.dtype)
    main, b, c = (like_dtype(x, dtype) for x in (diagonal(t), beside(t, 1), beside(t, -1)))
    n, last = t.shape[-1], len(main.shape) - 1
    a, d = slice_along(main, 0, n - 1, last), slice_along(main, 1, n, last)
    zero, one = like(0, a), like(1, a)
    # The eigenvalue of [[a, b], [c, d]] minus d, with the positive imaginary part of the pair.
    half = mul_p.bind(like(0.5, a), sub_p.bind(a, d))
    square = add_p.bind(mul_p.bind(half, half), mul_p.bind(b, c))
    mu = add_p.bind(half, sqrt_p.bind(select(block, square, one)))
    size = add_p.bind(mul_p.bind(mu, conj(mu)), mul_p.bind(c, conj(c)))
    r = sqrt_p.bind(real(select(block, size, one)))
    scale = like_dtype(div_p.bind(like(1, r), r), dtype)
    cosine, sine = select(block, mul_p.bind(mu, scale), one), select(block, mul_p.bind(c, scale), zero)
    # The rotation in rows i, i + 1 is [[conj(cosine), sine], [-sine, cosine]]; elsewhere 1.
    before, after = ((0, 0, 0),) * last + ((0, 1, 0),), ((0, 0, 0),) * last + ((1, 0, 0),)
    turned = mul_p.bind(pad(conj(cosine), one, before), pad(cosine, one, after))
    g = sub_p.bind(add_p.bind(diagonal_matrix(turned), placed(sine, 1)), placed(sine, -1))
    shift = select(block, sub_p.bind(add_p.bind(mu, d), a), zero)
    return g, add_p.bind(main, sub_p.bind(pad(shift, zero, before), pad(shift, zero, after)))


def triangular_form(a: Any) -> tuple[Any, Any, Any]:
    """(t, q, w) with a = q t qᴴ, t upper triangular and w its diagonal, all complex.

    That of real matrices is made of their real form, so that real eigenvalues are real: rounding
    does not choose on which side of the negative axis they are.
    """
    t, q = schur_p.bind(a, **SCHUR)
    if dtypes.is_complex(a.dtype):
        return t, q, diagonal(t)
    dtype = dtypes.to_complex(a.dtype)
    wide_t, wide_q = like_dtype(t, dtype), like_dtype(q, dtype)
    if a.shape[-1] < 2:
        return wide_t, wide_q, diagonal(wide_t)
    below = beside(t, -1)
    g, w = rotations(t, ne_p.bind(below, like(0, below)))
    g_adjoint = adjoint(g)
    upper = triu(matmul(matmul(g, wide_t), g_adjoint), 1)
    return add_p.bind(upper, diagonal_matrix(w)), matmul(wide_q, g_adjoint), w


schur_p = Schur()
#: The parameters of the plain form.
SCHUR = {"compute_schur_vectors": True, "sort_eig_vals": False, "select_callable": None}


def schur(
    x: Any,
    *,
    compute_schur_vectors: bool = True,
    sort_eig_vals: bool = False,
    select_callable: Callable[..., Any] | None = None,
) -> list[Array]:
    """[t, q] with x = q t qᴴ (or [t]) for matrices `x` of shape (..., n, n): q is unitary and t upper
    triangular.

    For real `x`, t has a 2x2 block for each pair of complex eigenvalues. With `sort_eig_vals`,
    those for which `select_callable` is true come first.

    Derivatives exist where the eigenvalues are distinct, else they are NaN. Those of a complex form
    are of the q that turns as little as it can (qᴴ dq is zero on the diagonal), as phases are free:
    use them in functions that do not depend on phases. A real form is unique up to signs, but for
    blocks that are multiples of rotations. Raises ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[2.0, 1.0], [1.0, 2.0]])
    >>> t, q = schur(x)
    >>> jnp.allclose(q @ t @ q.T, x, atol=1e-5), jnp.sort(jnp.diag(t)).round(3)
    (Array(True, dtype=bool), Array([1., 3.], dtype=float32))
    """
    if sort_eig_vals and select_callable is None:
        raise ValueError("schur with sort_eig_vals=True needs select_callable, which says what eigenvalues come first")
    return schur_p.bind(
        matrix("schur", x, square=True),
        compute_schur_vectors=compute_schur_vectors,
        sort_eig_vals=sort_eig_vals,
        select_callable=select_callable,
    )
