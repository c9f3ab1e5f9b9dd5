"""The operations that JAX has as primitives, under the names of these.

Here they are composed of gathers, scatters, sorting and `products`, and programs show these: what
stands here can be bound like a primitive, and puts what it is composed of in the place of an
equation of its own, so it needs no rules. Operands are data and positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.core.primitive import Primitive
from pullback.experimental.sparse import bcoo, bcoo_products, bcsr, matrices


class Composition(Primitive):
    """An operation that is what `fun` does: `bind(*arrays, **params)` calls it."""

    def __init__(self, name: str, fun: Callable[..., Any]) -> None:  # it is never part of a program: not registered
        self.name, self._fun = name, fun

    def bind(self, *args: Any, **params: Any) -> Any:
        return self._fun(*args, **params)

    def __reduce__(self) -> Any:
        return _named, (f"{self.name}_p",)


def _named(name: str) -> Any:
    return globals()[name]


def _bcoo(data: Any, indices: Any, shape: Any) -> bcoo.BCOO:
    return bcoo.BCOO((data, indices), shape=shape)


def _bcsr(data: Any, indices: Any, indptr: Any, shape: Any) -> bcsr.BCSR:
    return bcsr.BCSR((data, indices, indptr), shape=shape)


def _of(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda mat, **params: list(function(mat, **params)._bufs)


bcoo_todense_p = Composition("bcoo_todense", lambda d, i, *, shape: _bcoo(d, i, shape).todense())
bcoo_fromdense_p = Composition("bcoo_fromdense", _of(bcoo.bcoo_fromdense))
bcoo_extract_p = Composition(
    "bcoo_extract",
    lambda indices, x, *, assume_unique=True: (
        bcoo.bcoo_extract(_bcoo(bcoo.gathered(x, indices), indices, x.shape), x, assume_unique=assume_unique).data
    ),
)
bcoo_sort_indices_p = Composition(
    "bcoo_sort_indices", lambda d, i, *, shape: list(_bcoo(d, i, shape).sort_indices()._bufs)
)
bcoo_sum_duplicates_p = Composition(
    "bcoo_sum_duplicates", lambda d, i, *, shape, nse: list(bcoo.bcoo_sum_duplicates(_bcoo(d, i, shape), nse)._bufs)
)
bcoo_transpose_p = Composition(
    "bcoo_transpose", lambda d, i, *, permutation, shape: list(_bcoo(d, i, shape).transpose(permutation)._bufs)
)
bcoo_dot_general_p = Composition(
    "bcoo_dot_general",
    lambda d, i, y, *, dimension_numbers, shape: bcoo_products.bcoo_dot_general(
        _bcoo(d, i, shape), y, dimension_numbers=dimension_numbers
    ),
)
bcoo_spdot_general_p = Composition(
    "bcoo_spdot_general",
    lambda d, i, e, j, *, dimension_numbers, lhs_shape, rhs_shape: list(
        bcoo_products.bcoo_dot_general(
            _bcoo(d, i, lhs_shape), _bcoo(e, j, rhs_shape), dimension_numbers=dimension_numbers
        )._bufs
    ),
)
bcoo_dot_general_sampled_p = Composition("bcoo_dot_general_sampled", bcoo_products.bcoo_dot_general_sampled)
bcsr_todense_p = Composition("bcsr_todense", lambda d, i, p, *, shape: _bcsr(d, i, p, shape).todense())
bcsr_fromdense_p = Composition("bcsr_fromdense", _of(bcsr.bcsr_fromdense))
bcsr_extract_p = Composition("bcsr_extract", bcsr.bcsr_extract)
bcsr_dot_general_p = Composition(
    "bcsr_dot_general",
    lambda d, i, p, y, *, dimension_numbers, shape: bcsr.bcsr_dot_general(
        _bcsr(d, i, p, shape), y, dimension_numbers=dimension_numbers
    ),
)
coo_todense_p = Composition("coo_todense", lambda d, r, c, *, shape: matrices.COO((d, r, c), shape=shape).todense())
coo_fromdense_p = Composition("coo_fromdense", _of(matrices.coo_fromdense))
csr_todense_p = Composition("csr_todense", lambda d, i, p, *, shape: matrices.CSR((d, i, p), shape=shape).todense())
csr_fromdense_p = Composition("csr_fromdense", _of(matrices.csr_fromdense))
