"""dot_general: contraction over any axes, with batch axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import BilinearPrimitive, is_node
from pullback.core.types import Shape, ShapedArray, integers, refuse_keys
from pullback.lax.family import mul_p
from pullback.lax.shape import convert, move_axis, past, transpose_p
from pullback.lax.summation import wider
from pullback.xla.devices import no_sharding

DimensionNumbers = tuple[tuple[Shape, Shape], tuple[Shape, Shape]]


@lru_cache(maxsize=1024)
def _attribute(dimension_numbers: DimensionNumbers) -> str:
    """The dimension numbers in StableHLO."""
    (xc, yc), (xb, yb) = dimension_numbers
    fields = {
        "lhs_batching_dimensions": xb, "rhs_batching_dimensions": yb,
        "lhs_contracting_dimensions": xc, "rhs_contracting_dimensions": yc,
    }  # fmt: skip
    numbers = ", ".join([f"{k} = [{', '.join(map(str, v))}]" for k, v in fields.items() if v])
    return f"#stablehlo.dot<{numbers}>"


def free_axes(ndim: int, *used: Sequence[int]) -> list[int]:
    """The axes that are in none of `used`, in order."""
    taken = {i for axes in used for i in axes}
    return [i for i in range(ndim) if i not in taken]


class DotGeneral(BilinearPrimitive):
    """Σ over contracted axes of the products; the result's axes are batch, then x's free ones, then
    y's.

    `dimension_numbers` is ((x_contract, y_contract), (x_batch, y_batch)).
    """

    name = "dot_general"
    contracts = True

    def type_of(
        self, x: ShapedArray, y: ShapedArray, *, dimension_numbers: Any, preferred_element_type: Any, **_: Any
    ) -> ShapedArray:
        refuse_keys(self.name, x, y)
        (xc, yc), (xb, yb) = dimension_numbers
        sizes = (
            *(x.shape[i] for i in (*xb, *free_axes(x.ndim, xc, xb))),
            *(y.shape[i] for i in free_axes(y.ndim, yc, yb)),
        )
        return ShapedArray(sizes, preferred_element_type or x.dtype, x.weak_type and y.weak_type)

    def evaluate(
        self, x: Any, y: Any, *, dimension_numbers: Any, preferred_element_type: Any, precision: Any = None
    ) -> Any:
        if precision is not None:
            from pullback.lax.precision import rounding_of

            rounding = rounding_of(precision, x.dtype, y.dtype)
            if rounding is not None:
                out_dtype = preferred_element_type or x.dtype
                x = x.astype(rounding.lhs, copy=False).astype(rounding.wide, copy=False)
                y = y.astype(rounding.rhs, copy=False).astype(rounding.wide, copy=False)
                out = self.evaluate(x, y, dimension_numbers=dimension_numbers, preferred_element_type=None)
                return out.astype(rounding.sums, copy=False).astype(out_dtype, copy=False)
        (xc, yc), (xb, yb) = dimension_numbers
        is_plain = not xb and len(xc) == 1 and x.ndim <= 2 and y.ndim <= 2
        if is_plain and preferred_element_type is None and x.dtype is y.dtype and x.dtype.char in "fdFD":
            # Vectors and matrices of BLAS's types, the common case: numpy.dot calls BLAS at half
            # the overhead of numpy.matmul.
            if x.ndim == 2 and not xc[0]:
                x = x.T
            if yc[0]:
                y = y.T
            return np.dot(x, y) if x.shape[-1] <= _LONG else _long_product(np.dot, x, y)
        out_dtype = preferred_element_type or x.dtype
        dtype = accumulator(x.dtype, out_dtype)
        if x.dtype != dtype or y.dtype != dtype:
            x, y = x.astype(dtype, copy=False), y.astype(dtype, copy=False)
        if is_plain:
            out = _matrix_product(x, y, xc[0], yc[0])
        elif xc == yc and len(xc) == x.ndim == y.ndim:
            out = _long_product(np.dot, x.reshape(-1), y.reshape(-1))
        else:
            out = _general_product(x, y, xc, yc, xb, yb)
        return out if out.dtype == out_dtype else out.astype(out_dtype)

    def spell(
        self,
        speller: Any,
        x: Any,
        y: Any,
        *,
        dimension_numbers: Any,
        preferred_element_type: Any,
        precision: Any = None,
    ) -> Any:
        (xc, yc), (xb, _) = dimension_numbers
        a, b = x.aval, y.aval
        is_plain = not xb and len(xc) == 1 and a.ndim <= 2 and b.ndim <= 2 and a.shape[xc[0]] <= _LONG
        if not is_plain or a.dtype is not b.dtype or a.dtype.char not in "fdFD" or preferred_element_type or precision:
            options = {"preferred_element_type": preferred_element_type, "precision": precision}
            return super().spell(speller, x, y, dimension_numbers=dimension_numbers, **options)
        speller.signals = True
        left = f"{x}.T" if a.ndim == 2 and not xc[0] else x
        return f"{speller.constant(np.dot)}({left}, {y}.T)" if yc[0] else f"{speller.constant(np.dot)}({left}, {y})"

    def lower(self, emit: Any, x: Any, y: Any, *, dimension_numbers: DimensionNumbers, precision: Any, **_: Any) -> Any:
        out = emit.type
        if precision is not None and (found := _by_precision(emit, x, y, _attribute(dimension_numbers), precision)):
            return emit.convert(found, out.dtype)
        dtype = accumulator(x.dtype, out.dtype)
        x, y = emit.convert(x, dtype), emit.convert(y, dtype)
        sums = out if out.dtype == dtype else out.update(dtype=dtype)
        result = emit("dot_general", x, y, out=sums, dot_dimension_numbers=_attribute(dimension_numbers))
        return emit.convert(result, out.dtype)

    def transpose(self, ct: Any, x: Any, y: Any, *, dimension_numbers: Any, **params: Any) -> Sequence[Any]:
        (xc, yc), (xb, yb) = dimension_numbers
        if is_node(x):
            return [_contract_back(ct, x, y, xc, yc, xb, yb, True, params), None]
        return [None, _contract_back(ct, y, x, yc, xc, yb, xb, False, params)]

    def batch(self, size: int, args: Any, axes: Any, *, dimension_numbers: DimensionNumbers, **params: Any) -> Any:
        (x, y), (bx, by) = args, axes
        (xc, yc), (xb, yb) = dimension_numbers
        if bx is not None and by is not None:
            x, y = move_axis(x, bx, 0), move_axis(y, by, 0)
            numbers = ((past(xc, 0), past(yc, 0)), ((0, *past(xb, 0)), (0, *past(yb, 0))))
            return self.bind(x, y, dimension_numbers=numbers, **params), 0
        if bx is not None:
            numbers = ((past(xc, bx), yc), (past(xb, bx), yb))
            out_axis = len(xb) + free_axes(x.ndim, *(n[0] for n in numbers)).index(bx)
        else:
            numbers = ((xc, past(yc, by)), (xb, past(yb, by)))
            out_axis = x.ndim - len(xc) + free_axes(y.ndim, *(n[1] for n in numbers)).index(by)
        return self.bind(x, y, dimension_numbers=numbers, **params), out_axis


dot_general_p = DotGeneral()


def _by_precision(emit: Any, x: Any, y: Any, numbers: str, precision: Any) -> Any:
    """The product as `precision` wants it; None if the platform does nothing else for it."""
    from pullback.lax.precision import algorithm_of, precision_config, rounding_of

    attributes: dict[str, Any] = {"dot_dimension_numbers": numbers}
    out = emit.type
    if emit.capabilities.has_exact_products:
        rounding = rounding_of(precision, x.dtype, y.dtype)
        if rounding is None:
            return None
        x, y = emit.convert(x, rounding.lhs), emit.convert(y, rounding.rhs)
        x, y = emit.convert(x, rounding.wide), emit.convert(y, rounding.wide)
        result = emit("dot_general", x, y, out=out.update(dtype=rounding.wide), **attributes)
        return emit.convert(result, rounding.sums)
    algorithm = algorithm_of(precision, x.dtype, y.dtype)
    if algorithm is None:
        attributes["precision_config"] = precision_config(precision)
        dtype = accumulator(x.dtype, out.dtype)
        x, y = emit.convert(x, dtype), emit.convert(y, dtype)
        return emit("dot_general", x, y, out=out.update(dtype=dtype), **attributes)
    if algorithm.stored is not None:
        x, y = (v if v.dtype in algorithm.stored else emit.convert(v, algorithm.stored[0]) for v in (x, y))
    sums = algorithm.accumulation_type or out.dtype
    return emit(
        "dot_general", x, y, out=out.update(dtype=sums), **attributes, algorithm=algorithm.text(x.dtype, y.dtype)
    )


def accumulator(dtype: dtypes.DType, out_dtype: dtypes.DType) -> dtypes.DType:
    """The type products are summed in: 16- and 8-bit floats in float32, the rest in the wider of in
    and out."""
    if dtypes.is_float(dtype) and dtype.itemsize < 4:
        return out_dtype if out_dtype == dtypes.float64 else dtypes.float32
    return np.promote_types(dtype, out_dtype) if dtype != out_dtype else dtype


def _matrix_product(x: Any, y: Any, i: int, j: int) -> Any:
    if x.ndim == 2 and i == 0:
        x = x.T
    if y.ndim == 2 and j == 1:
        y = y.T
    return _long_product(np.matmul, x, y) if x.dtype.kind != "b" else np.matmul(x, y).astype(bool)


def _general_product(x: Any, y: Any, xc: Shape, yc: Shape, xb: Shape, yb: Shape) -> Any:
    x_free, y_free = free_axes(x.ndim, xc, xb), free_axes(y.ndim, yc, yb)
    batch, m, k = ([x.shape[i] for i in axes] for axes in (xb, x_free, xc))
    n = [y.shape[i] for i in y_free]
    count, rows, k, columns = map(math.prod, (batch, m, k, n))
    a = x.transpose((*xb, *x_free, *xc)).reshape((count, rows, k) if batch else (rows, k))
    b = y.transpose((*yb, *yc, *y_free)).reshape((count, k, columns) if batch else (k, columns))
    return _long_product(np.matmul, a, b).reshape((*batch, *m, *n))


def _long_product(multiply: Any, x: Any, y: Any) -> Any:
    """`multiply(x, y)`, `numpy.dot` or `numpy.matmul`, by parts of a long contracted axis.

    BLAS has few partial sums and adds one product after the other to them: of a million products of
    float32, two or three digits would be right. That of two matrices takes the contracted axis by
    parts itself, if large ones.
    """
    k = x.shape[-1]
    if k <= _LONG or x.dtype.kind not in "fc":
        return multiply(x, y)
    part = _LONG
    if y.ndim > 1 and x.ndim > 1 and x.shape[-2] > 4 and y.shape[-1] > 4:
        part *= 16
    elif y.ndim == 1:
        if x.ndim == 1:  # of a vector with gaps there is one partial sum only
            x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        if x.strides[-1] == x.itemsize:
            part *= 8
    if k <= part:
        return multiply(x, y)
    total = multiply(x[..., :part], y[:part] if y.ndim == 1 else y[..., :part, :])
    dtype = total.dtype
    total = total.astype(wider(dtype))
    for i in range(part, k, part):
        total += multiply(x[..., i : i + part], y[i : i + part] if y.ndim == 1 else y[..., i : i + part, :])
    return total.astype(dtype)


#: Contracted axes up to this length are BLAS's alone.
_LONG = 2048


def _contract_back(
    ct: Any, x: Any, y: Any, xc: Shape, yc: Shape, xb: Shape, yb: Shape, x_first: bool, params: Any
) -> Any:
    """The cotangent of operand `x` of a contraction with `y`: contract the cotangent with `y` over
    y's free axes."""
    x_ndim, y_ndim = len(x.shape), len(y.shape)
    if not ct.shape and xc == yc and len(xc) == y_ndim:  # an inner product: the cotangent scales the other operand
        return mul_p.bind(convert(ct, y.dtype), y)
    numbers, ct_first, permutation = _plan(xc, yc, xb, yb, x_ndim, y_ndim, x_first)
    ct = convert(ct, x.dtype) if ct.dtype != x.dtype else ct
    operands = (ct, y) if ct_first else (y, ct)
    params["preferred_element_type"] = None
    out = dot_general_p.bind(*operands, dimension_numbers=numbers, **params)
    return out if permutation is None else transpose_p.bind(out, permutation=permutation)


@cache
def _plan(
    xc: Shape, yc: Shape, xb: Shape, yb: Shape, x_ndim: int, y_ndim: int, x_first: bool
) -> tuple[DimensionNumbers, bool, Shape | None]:
    """How `_contract_back` contracts, whether the cotangent comes first in that, and how it
    transposes then; the same for every call with these axes."""
    x_free, y_free = free_axes(x_ndim, xc, xb), free_axes(y_ndim, yc, yb)
    first, second = (x_free, y_free) if x_first else (y_free, x_free)
    ct_first = tuple(range(len(xb), len(xb) + len(first)))
    ct_second = tuple(range(len(xb) + len(first), len(xb) + len(first) + len(second)))
    contracted = (ct_second if x_first else ct_first, tuple(y_free))
    batch = (tuple(range(len(xb))), tuple(yb))
    # The result's axes: batch, x_free, then y's contracted axes in their order in y; the latter two
    # exchanged, if y comes first.
    from_y = [xc[yc.index(i)] for i in sorted(yc)]
    order, in_order = [*xb, *x_free, *from_y], list(range(x_ndim))
    if order == in_order:
        return (contracted, batch), True, None
    if [*xb, *from_y, *x_free] == in_order:
        return (contracted[::-1], batch[::-1]), False, None
    return (contracted, batch), True, tuple([order.index(i) for i in in_order])


def dot_general(
    lhs: Any, rhs: Any, dimension_numbers: Any, precision: Any = None, preferred_element_type: Any = None, *,
    out_sharding: Any = None,
) -> Array:  # fmt: skip
    """Contract `lhs` with `rhs`; `dimension_numbers` is ((lhs_contract, rhs_contract), (lhs_batch,
    rhs_batch)), each a tuple of axes.

    The result's axes are the batch axes, then the free ones of `lhs`, then of `rhs`. Products of
    16-bit floats are summed in float32. `precision` is a `Precision`, its name, a pair of these, or
    an algorithm (`DotAlgorithm`). Raises TypeError if the axes do not pair up or the lengths
    differ.

    >>> x, y = np.arange(6).reshape(2, 3), np.arange(12).reshape(2, 3, 2)
    >>> dot_general(x, y, (((1,), (1,)), ((0,), (0,))))  # einsum "bk,bkn->bn"
    Array([[ 10,  13],
           [100, 112]], dtype=int32)
    """
    no_sharding("dot_general", out_sharding)
    if precision is not None:
        from pullback.lax.precision import check_precision

        check_precision("dot_general", precision)
    x, y = as_array(lhs), as_array(rhs)
    numbers = contracted_axes("dot_general", x, y, dimension_numbers)
    x, y, dtype = of_one_type(x, y)
    preferred = dtype if preferred_element_type is None else dtypes.canonicalize_dtype(preferred_element_type)
    return dot_general_p.bind(x, y, dimension_numbers=numbers, precision=precision, preferred_element_type=preferred)


def contracted_axes(name: str, x: Array, y: Array, dimension_numbers: Any) -> DimensionNumbers:
    """The dimension numbers of a contraction of `x` with `y` as tuples. Raises TypeError if they are
    none, do not pair up, or are of axes of different lengths."""
    try:
        (xc, yc), (xb, yb) = dimension_numbers
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: dimension_numbers must be ((contracting axes of lhs, of rhs), (batch axes of lhs, of rhs)), got "
            f"{dimension_numbers!r:.100}, at {user_line()}"
        ) from None
    numbers = ((_axes(name, xc, x), _axes(name, yc, y)), (_axes(name, xb, x), _axes(name, yb, y)))
    (xc, yc), (xb, yb) = numbers
    if len(xc) != len(yc) or len(xb) != len(yb):
        raise TypeError(f"{name}: dimension numbers {numbers} do not pair up")
    for which, used in (("lhs", (*xc, *xb)), ("rhs", (*yc, *yb))):
        if len(set(used)) != len(used):
            raise TypeError(
                f"{name} requires the contracting and batch dimensions of {which} to be distinct, got {numbers}, at {user_line()}"
            )
    for what, a, b in (("contracting", xc, yc), ("batch", xb, yb)):
        if [x.shape[i] for i in a] != [y.shape[i] for i in b]:
            raise TypeError(
                f"{name} requires {what} dimensions to have the same shape, got shapes {x.shape} and {y.shape} with "
                f"{what} dimensions {a} and {b}, at {user_line()}"
            )
    return numbers


def of_one_type(x: Array, y: Array) -> tuple[Array, Array, DType | None]:
    """Operands of one dtype, and the dtype of their product if it is not that of the operands as
    they were: that which promotion gives."""
    if x.dtype == y.dtype:
        return x, y, None
    dtype, _ = dtypes.promote_pair(x.dtype, x.weak_type, y.dtype, y.weak_type)
    weak = x.weak_type and y.weak_type
    return convert(x, dtype, weak), convert(y, dtype, weak), dtype


def _axes(name: str, axes: Sequence[int], x: Array) -> Shape:
    out = integers(axes, f"{name}: axes")
    if any(not 0 <= a < x.ndim for a in out):
        raise TypeError(f"{name}: axes {out} are out of range for shape {x.shape}")
    return out


def dot(
    lhs: Any, rhs: Any, *, dimension_numbers: Any = None, precision: Any = None, preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The product of vectors or matrices, along the last axis of `lhs` and the first of `rhs`; with
    `dimension_numbers`, `dot_general`.

    The result has the dtype that theirs promote to, or `preferred_element_type`. Raises ValueError
    for other numbers of axes and for lengths that differ.

    >>> a, x = np.array([[1, 2], [3, 4]]), np.array([1, 10])
    >>> dot(a, x), dot(x, x)
    (Array([21, 43], dtype=int32), Array(101, dtype=int32))
    """
    x, y = as_array(lhs), as_array(rhs)
    if dimension_numbers is None:
        if not (1 <= x.ndim <= 2 and 1 <= y.ndim <= 2 and x.shape[-1] == y.shape[0]):
            raise ValueError(
                "lax.dot: dimension_numbers must be specified when not performing simple un-batched matrix-matrix, matrix-vector, "
                f"or vector-vector products; got lhs shape {x.shape} and rhs shape {y.shape}, at {user_line()}"
            )
        dimension_numbers = (((x.ndim - 1,), (0,)), ((), ()))
    return dot_general(x, y, dimension_numbers, precision, preferred_element_type, out_sharding=out_sharding)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Array:
    """Products of the matrices in the last two axes, (..., m, k) with (..., k, n), over equal leading
    axes. Raises ValueError if the numbers of axes differ or are below two, TypeError if lengths do
    not fit.

    >>> x, y = np.array([[[1, 2]], [[3, 4]]]), np.array([[[1], [1]], [[10], [10]]])
    >>> batch_matmul(x, y).ravel()
    Array([ 3, 70], dtype=int32)
    """
    x, y = as_array(lhs), as_array(rhs)
    if min(x.ndim, y.ndim) < 2:
        raise ValueError(f"Arguments to batch_matmul must be at least 2D, got {x.ndim}, {y.ndim}")
    if x.ndim != y.ndim:
        raise ValueError(f"Arguments to batch_matmul must have same ndim, got {x.ndim}, {y.ndim}")
    leading = tuple(range(x.ndim - 2))
    return dot_general(x, y, (((x.ndim - 1,), (x.ndim - 2,)), (leading, leading)), precision=precision)


__all__ = [
    "batch_matmul", "dot", "dot_general", "dot_general_p",
]  # fmt: skip
