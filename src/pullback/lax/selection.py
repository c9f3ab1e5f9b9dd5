"""Choosing between arrays: select_n."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.primitive import Fusion, is_node
from pullback.core.types import ShapedArray, broadcast_shapes
from pullback.lax.mover import Mover
from pullback.lax.shape import batch_first, broadcast_in_dim_p, broadcast_to, zeros_like_shape
from pullback.xla.eager import evaluate_by_xla, is_for_xla

#: From so many elements on XLA selects more quickly than NumPy.
_LARGE = 1 << 16


class SelectN(Mover):
    """Elementwise `cases[which]`. `which` is boolean (two cases) or an integer, a scalar or of the
    cases' shape.
    """

    name = "select_n"
    fusion = Fusion.ELEMENTWISE
    xla_from = dict.fromkeys((4, 8), _LARGE)
    linear_in = range(1, sys.maxsize)
    weakness = "cases"  # `which` has no say in it
    spelled_broadcasting = True

    def type_of(self, which: ShapedArray, *cases: ShapedArray) -> ShapedArray:
        first = cases[0]
        for c in cases[1:]:
            if c.shape != first.shape or c.dtype != first.dtype:
                raise TypeError(f"select_n cases must have one type, got {', '.join(map(str, cases))}")
        if which.shape not in ((), first.shape):
            raise TypeError(f"select_n: which has shape {which.shape}, the cases {first.shape}")
        if which.dtype != dtypes.bool_ and not dtypes.is_integer(which.dtype):
            raise TypeError(f"select_n: which must be boolean or integer, got {which.dtype}")
        return first.update(weak_type=all(c.weak_type for c in cases))

    def evaluate(self, which: Any, *cases: Any) -> Any:
        x = cases[0]
        if x.size >= _LARGE and is_for_xla(self, x.size, x.dtype):
            return evaluate_by_xla(self, (which, *cases), {})
        if which.dtype == np.bool_:
            return np.where(which, cases[1], cases[0]) if len(cases) == 2 else np.asarray(cases[0])
        out = cases[-1]  # out of range: the nearest case
        for i in range(len(cases) - 2, -1, -1):
            out = np.where(which <= i, cases[i], out)
        return np.asarray(out)

    def spell(self, speller: Any, which: Any, *cases: Any) -> Any:
        shape = broadcast_shapes(which.aval.shape, *[x.aval.shape for x in cases])
        if which.aval.dtype != dtypes.bool_ or len(cases) != 2 or math.prod(shape) >= _LARGE:
            return super().spell(speller, which, *cases)
        return speller.call(np.where, which, cases[1], cases[0])

    def lower(self, emit: Any, which: Any, *cases: Any) -> Any:
        if len(cases) == 1:
            return cases[0]
        if which.dtype == dtypes.bool_:
            return emit.select(which, cases[1], cases[0])
        out = cases[-1]  # out of range: the nearest case
        for i in range(len(cases) - 2, -1, -1):
            out = emit.select(emit.compare("LE", which, emit.like(i, which)), cases[i], out)
        return out

    def transpose(self, ct: Any, which: Any, *cases: Any) -> Sequence[Any]:
        zero = zeros_like_shape(ct, ct.shape)
        cts = [
            self.bind(which, *(ct if j == i else zero for j in range(len(cases)))) if is_node(c) else None
            for i, c in enumerate(cases)
        ]
        return [None, *cts]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        which, *cases = args
        cases = [batch_first(c, b, size) for c, b in zip(cases, axes[1:])]
        if axes[0] is not None or which.shape:  # a scalar serves all elements: no need to repeat it
            which = batch_first(which, axes[0], size)
            if which.ndim < cases[0].ndim:
                which = broadcast_in_dim_p.bind(which, shape=cases[0].shape, broadcast_dimensions=(0,))
        return self.bind(which, *cases), 0


select_n_p = SelectN()


def select(pred: Any, on_true: Any, on_false: Any) -> Array:
    """`on_true` where the boolean `pred` is true, `on_false` elsewhere; operands broadcast (those
    of `lax.select` do not). TypeError if their dtypes differ."""
    pred, on_true, on_false = as_array(pred), as_array(on_true), as_array(on_false)
    shape = broadcast_shapes(pred.shape, on_true.shape, on_false.shape)
    if on_true.dtype != on_false.dtype or pred.dtype != dtypes.bool_:
        raise TypeError(
            f"select takes a boolean and two cases of one dtype, got {pred.aval}, {on_true.aval}, {on_false.aval}"
        )
    return select_n_p.bind(broadcast_to(pred, shape), broadcast_to(on_false, shape), broadcast_to(on_true, shape))


def select_n(which: Any, *cases: Any) -> Array:
    """Elementwise `cases[which]`: for boolean `which`, the second case where it is true, the first
    where false.

    The cases are arrays of one shape and dtype, which the result has; `which` has that shape or is
    a scalar, and integers are clamped to the cases there are. Raises TypeError if the cases' types
    differ, if `which` is neither boolean nor an integer or has another shape, and for more than two
    cases with a boolean; ValueError if there is no case.

    >>> x = np.array([1, 2, 3])
    >>> select_n(np.array([True, False, True]), x, 10 * x)
    Array([10,  2, 30], dtype=int32)
    >>> select_n(np.array([0, 2, 9]), x, 10 * x, 100 * x)
    Array([  1, 200, 300], dtype=int32)
    """
    if not cases:
        raise ValueError("select_n() must have at least one case")
    which = as_array(which)
    arrays = [as_array(c) for c in cases]
    select_n_p.type_of(which.aval, *(a.aval for a in arrays))
    if which.dtype == dtypes.bool_ and len(arrays) > 2:
        raise TypeError("select_n with boolean `which` takes at most two cases")
    return select_n_p.bind(which, *arrays)


__all__ = [
    "select_n", "select_n_p",
]  # fmt: skip
