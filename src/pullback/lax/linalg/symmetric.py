"""Products that are symmetric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.contraction import dot_general_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.linalg.matrices import OfBatches, real_operands, strong, transposed
from pullback.lax.triangles import tril


def _times_transposed(x: Any, y: Any) -> Any:
    """x yᵀ."""
    return dot_general_p.bind(x, y, **_contraction(len(x.shape)))


def _contraction(ndim: int) -> dict[str, Any]:
    batch = tuple(range(ndim - 2))
    numbers = (((ndim - 1,), (ndim - 1,)), (batch, batch))
    return {"dimension_numbers": numbers, "precision": None, "preferred_element_type": None}


class SymmetricProduct(OfBatches):
    """alpha a aᵀ + beta c, for real matrices."""

    name = "symmetric_product"

    @weak_as_operands
    def type_of(self, a: ShapedArray, c: ShapedArray, *, alpha: float, beta: float) -> ShapedArray:
        real_operands(self.name, a, c)
        if a.ndim < 2 or c.shape != (*a.shape[:-1], a.shape[-2]):
            raise ValueError(
                "symmetric_product takes matrices of shape (..., m, n) and square ones of shape (..., m, m), got shapes "
                f"{a.shape} and {c.shape}, at {user_line()}"
            )
        return strong(c.shape, c.dtype)

    def evaluate(self, a: Any, c: Any, *, alpha: float, beta: float) -> Any:
        number = c.dtype.type
        product = dot_general_p.evaluate(a, a, **_contraction(a.ndim))
        return number(alpha) * product + number(beta) * c

    def expand(self, a: Any, c: Any, *, alpha: float, beta: float) -> Any:
        product = _times_transposed(a, a)
        return add_p.bind(mul_p.bind(like(alpha, product), product), mul_p.bind(like(beta, c), c))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, alpha: float, beta: float) -> Any:
        (a, c), (t_a, t_c) = primals, tangents
        out = self.bind(a, c, alpha=alpha, beta=beta)
        terms = []
        if t_a is not None:
            half = _times_transposed(mul_p.bind(like(alpha, t_a), t_a), a)
            terms.append(add_p.bind(half, transposed(half)))
        if t_c is not None:
            terms.append(mul_p.bind(like(beta, t_c), t_c))
        return out, add_p.bind(*terms) if len(terms) == 2 else terms[0]


symmetric_product_p = SymmetricProduct()


def symmetric_product(
    a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Array:
    """alpha a aᵀ + beta c, for real `a_matrix` of shape (..., m, n) and symmetric `c_matrix` of
    shape (..., m, m).

    With `symmetrize_output`, the upper triangle is the lower one's mirror image. Raises TypeError
    if the dtypes differ or are not real floating ones, or if the numbers of batch axes differ,
    ValueError if shapes do not fit.

    >>> import pullback.numpy as jnp
    >>> symmetric_product(jnp.array([[1.0], [2.0]]), jnp.eye(2), beta=3.0)
    Array([[4., 2.],
           [2., 7.]], dtype=float32)
    """
    a, c, alpha, beta = as_array(a_matrix), as_array(c_matrix), float(alpha), float(beta)
    if a.ndim != c.ndim:
        raise TypeError(
            "all inputs to symmetric_product must have the same number of batch axes, got shapes "
            f"{a.shape} and {c.shape}, at {user_line()}"
        )
    symmetric_product_p.type_of(a.aval, c.aval, alpha=alpha, beta=beta)
    out = symmetric_product_p.bind(a, c, alpha=alpha, beta=beta)
    return add_p.bind(tril(out), transposed(tril(out, -1))) if symmetrize_output else out
