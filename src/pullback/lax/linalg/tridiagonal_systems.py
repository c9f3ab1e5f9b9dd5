"""Systems of equations with tridiagonal matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import pad_p
from pullback.lax.family import like, mul_p, neg_p, sub_p
from pullback.lax.linalg.matrices import (
    LAPACK_TYPES,
    OfBatches,
    columns,
    indices,
    lapack,
    lapack_call,
    one_dtype,
    or_nan,
    refused,
    strong,
)
from pullback.lax.linalg.triangular import many_right_sides
from pullback.xla.eager import evaluate_by_xla


class TridiagonalSolve(OfBatches):
    """The x with dl[i] x[i-1] + d[i] x[i] + du[i] x[i+1] = b[i], for matrices b; dl[0] and du[-1]
    are not looked at.

    Singular systems give NaN; or, with `perturb_singular`, the solution after tiny pivots have been
    moved away from zero.
    """

    name = "tridiagonal_solve"
    is_partial = True

    @weak_as_operands
    def type_of(
        self, dl: ShapedArray, d: ShapedArray, du: ShapedArray, b: ShapedArray, *, perturb_singular: bool
    ) -> ShapedArray:
        for i, x in enumerate((dl, d, du, b)):
            if not dtypes.is_inexact(x.dtype):
                raise refused(self.name, x, i)
            if x.ndim < (rank := 2 if i == 3 else 1):
                raise TypeError(
                    f"input {i} to tridiagonal_solve must have rank at least {rank}, got shape {x.shape}, at {user_line()}"
                )
        one_dtype(self.name, dl, d, du, b)
        if not dl.shape == d.shape == du.shape or b.shape[:-1] != d.shape:
            raise TypeError(
                "tridiagonal_solve takes three diagonals of one shape (..., n) and b of shape (..., n, k), got "
                f"{dl.shape}, {d.shape}, {du.shape} and {b.shape}, at {user_line()}"
            )
        if b.dtype not in LAPACK_TYPES:
            raise NotImplementedError(
                f"tridiagonal_solve of dtype {dtypes.name(b.dtype)} is not supported, at {user_line()}: convert it to float32"
            )
        return strong(b.shape, b.dtype)

    def evaluate(self, dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool) -> Any:
        out = np.array(b)
        if not out.size:
            return out
        if perturb_singular:
            return evaluate_by_xla(self, (dl, d, du, b), {"perturb_singular": True})
        gtsv = lapack("gtsv", b.dtype)
        if d.shape[-1] == 1:  # SciPy's wrapper wants the other diagonals to have elements
            dl = du = np.zeros((*d.shape[:-1], 2), d.dtype)
        for i in indices(b.shape[:-2]):
            *_, out[i], info = gtsv(dl[i][1:], d[i], du[i][:-1], b[i])
            if info:
                out[i] = np.nan
        return out

    def lower(self, emit: Any, dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool) -> Any:
        if not b.size:
            return b
        operands = [dl, d, du, b]
        if perturb_singular:
            return lapack_call(emit, "tridiagonal_solve_perturbed_ffi", operands, [b.aval], "vvvmm")[0]
        outs = [*(x.aval for x in operands), ShapedArray(b.shape[:-2], dtypes.int32)]
        *_, x, info = lapack_call(emit, "gtsv", operands, outs, "vvvmvvvmv", overwrites=(0, 1, 2, 3))
        return or_nan(emit, info, x)[0]

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not any(active[:3])

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, perturb_singular: bool) -> Any:
        # a x = b: da x + a dx = db, so dx = a⁻¹ (db - da x).
        *diagonals, b = primals
        x = self.bind(*diagonals, b, perturb_singular=perturb_singular)
        *t_diagonals, rhs = tangents
        for t, neighbour in zip(t_diagonals, (-1, 0, 1)):
            if t is not None:
                change = mul_p.bind(columns(t), shifted(x, neighbour, len(x.shape) - 2))
                rhs = neg_p.bind(change) if rhs is None else sub_p.bind(rhs, change)
        return x, None if rhs is None else self.bind(*diagonals, rhs, perturb_singular=perturb_singular)

    def transpose(self, ct: Any, dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool) -> Sequence[Any]:
        last = len(d.shape) - 1
        out = self.bind(shifted(du, -1, last), d, shifted(dl, 1, last), ct, perturb_singular=perturb_singular)
        return [None, None, None, out]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], **params: bool) -> Any:
        *diagonals, b = args
        if axes[:3] == [None, None, None]:
            assert axes[3] is not None
            return many_right_sides(lambda b: self.bind(*diagonals, b, **params), b, axes[3])
        return super().batch(size, args, axes, **params)


def shifted(x: Any, by: int, axis: int) -> Any:
    """The array of x[i + by] along an axis, zero outside."""
    if not by:
        return x
    config = [(0, 0, 0)] * len(x.shape)
    config[axis] = (-by, by, 0)
    return pad_p.bind(x, like(0, x), padding_config=tuple(config))


tridiagonal_solve_p = TridiagonalSolve()


def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool = False) -> Array:
    """The x with a x = b, for tridiagonal matrices a given by their diagonals, of shape (..., n),
    and `b` (..., n, k).

    a[i, i-1] is dl[i], a[i, i] is d[i] and a[i, i+1] is du[i]; dl[0] and du[n-1] are not used.
    Singular systems give NaN; with `perturb_singular`, tiny pivots are moved away from zero and the
    result is finite. Raises TypeError if dtypes differ or are not floating, or if shapes do not
    fit.

    >>> import pullback.numpy as jnp
    >>> dl, d, du = jnp.array([0.0, 1.0]), jnp.array([2.0, 3.0]), jnp.array([1.0, 0.0])
    >>> tridiagonal_solve(dl, d, du, jnp.array([[3.0], [4.0]]))
    Array([[1.],
           [1.]], dtype=float32)
    """
    operands = [as_array(x) for x in (dl, d, du, b)]
    tridiagonal_solve_p.type_of(*(x.aval for x in operands), perturb_singular=perturb_singular)
    return tridiagonal_solve_p.bind(*operands, perturb_singular=perturb_singular)
