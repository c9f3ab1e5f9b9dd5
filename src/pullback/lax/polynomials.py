"""Polynomials of arrays, whose coefficients may be arrays, too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.primitive import Fusion
from pullback.core.types import ShapedArray, broadcast_shapes
from pullback.lax.family import NUMERIC, Broadcasting, add_p, in_eight_bits, like, mul_p
from pullback.lax.public import accepted, check_shapes, of_one_dtype
from pullback.lax.shape import broadcast_to, convert


def _numpys(x: Any, *coefficients: Any) -> Any:
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * x + c
    return value


_in_numpy = in_eight_bits(_numpys)


class Polynomial(Broadcasting):
    """c₀ + c₁ x + c₂ x² + ..., for operands x, c₀, c₁, c₂, ...

    The derivative is a polynomial in x as well: in x the one with coefficients n cₙ, in the
    coefficients the one that has their tangents as coefficients.
    """

    name = "polynomial"
    fusion, operations, cost = Fusion.ELEMENTWISE, 8, 8.0

    def type_of(self, *types: ShapedArray) -> ShapedArray:
        x = types[0]
        if any(t.dtype != x.dtype for t in types) or dtypes.kind(x.dtype) not in NUMERIC:
            raise TypeError(f"polynomial takes numbers of one dtype, got {', '.join(map(str, types))}")
        return ShapedArray(broadcast_shapes(*[t.shape for t in types]), x.dtype, all(t.weak_type for t in types))

    def evaluate(self, x: Any, *coefficients: Any) -> Any:
        value = _in_numpy(x, *coefficients)
        shape = broadcast_shapes(x.shape, *[c.shape for c in coefficients])
        return value if value.shape == shape else np.broadcast_to(value, shape)

    def expand(self, x: Any, *coefficients: Any) -> Any:
        shape = broadcast_shapes(x.shape, *[c.shape for c in coefficients])
        out = _horner(x, coefficients)
        return out if out.shape == shape else broadcast_to(out, shape)

    def jvp(self, primals: Any, tangents: Any) -> Any:
        (x, *coefficients), (t, *ts) = primals, tangents
        out, total = self.bind(x, *coefficients), None
        if t is not None and len(coefficients) > 1:
            slope = [mul_p.bind(like(n, c), c) for n, c in enumerate(coefficients) if n]
            total = mul_p.bind(self.bind(x, *slope), t)
        if (by_coefficients := _horner(x, ts)) is not None:
            total = by_coefficients if total is None else add_p.bind(total, by_coefficients)
        return out, total if total is None or total.shape == out.shape else broadcast_to(total, out.shape)


def _horner(x: Any, coefficients: Sequence[Any]) -> Any:
    """The value by Horner's rule; None among the coefficients is zero, and so is a result None."""
    value = None
    for c in reversed(coefficients):
        if value is not None:
            value = mul_p.bind(value, x)
        if c is not None:
            value = c if value is None else add_p.bind(value, c)
    return value


polynomial_p = Polynomial()


def _scalars_give_way(operands: Sequence[Array]) -> list[Array]:
    """The operands, the weakly typed ones in the dtype of the others, where promotion gives that."""

    def promoted(x: tuple[Any, bool], y: tuple[Any, bool]) -> tuple[Any, bool]:
        return dtypes.promote_pair(*x, *y)

    strong = [(x.dtype, False) for x in operands if not x.weak_type][:1]
    dtype, weak = reduce(promoted, strong or [(x.dtype, True) for x in operands])
    return [
        convert(x, dtype, weak) if x.weak_type and promoted((x.dtype, True), (dtype, weak))[0] == dtype else x
        for x in operands
    ]


def polynomial(x: Any, coeffs: Sequence[Any], *, unroll: int | None = None) -> Array:
    """coeffs[0] + coeffs[1] x + coeffs[2] x² + ..., elementwise, by Horner's rule: the constant
    comes first.

    `x` and the coefficients are numbers of one dtype; Python's numbers take that of the others.
    They have one shape up to scalars and axes of length 1, and the result has that shape. In
    derivatives polynomials stay polynomials, of lower degree. `unroll` is accepted and has no
    effect. Raises TypeError for other dtypes, shapes that do not fit, and for no coefficients.

    >>> polynomial(3.0, [1.0, 5.0, 2.0])
    Array(34., dtype=float32, weak_type=True)
    """
    del unroll
    operands = [accepted("polynomial", NUMERIC, x), *map(as_array, coeffs)]
    if len(operands) == 1:
        raise TypeError(f"lax.polynomial needs at least one coefficient, got none, at {user_line()}")
    arrays = of_one_dtype("polynomial", NUMERIC, *_scalars_give_way(operands))
    check_shapes("polynomial", *arrays)
    return polynomial_p.bind(*arrays)


__all__ = ["polynomial", "polynomial_p"]
