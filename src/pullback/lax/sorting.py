"""Sorting along an axis, and the k largest elements.

`sort` orders by IEEE values: NaNs come last, 0.0 and -0.0 are equal (and keep their order), complex
numbers compare by their real, then imaginary parts. `top_k` orders by IEEE's total order, as XLA
does: NaN above infinity, -0.0 below 0.0.

Both move elements by positions that are themselves a result, so their derivatives move tangents by
the same positions: `take_along` picks elements, and `put_along`, its transpose, puts them back
among zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.primitive import Primitive
from pullback.core.types import Shape, ShapedArray, canonical_axis, integer, refuse_keys
from pullback.lax import elementwise as e
from pullback.lax.arrangement import shapes_of
from pullback.lax.bits import bitcast_convert_type
from pullback.lax.creation import broadcasted_iota
from pullback.lax.family import like, neg_p
from pullback.lax.indexing import gather_p, scatter_p
from pullback.lax.mover import IndexedMover
from pullback.lax.positions import GatherDimensionNumbers, GatherScatterMode, ScatterDimensionNumbers
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, bind_checked, convert, reshape_p, with_length, zeros_like_shape

# ---- moving elements along an axis ---------------------------------------------------------------


class TakeAlong(IndexedMover):
    """out[.., i, ..] = x[.., indices[.., i, ..], ..] along `axis`. The indices along it are
    distinct and in bounds."""

    name = "take_along"

    def type_of(self, x: ShapedArray, indices: ShapedArray, *, axis: int) -> ShapedArray:
        return x.update(shape=indices.shape)

    def evaluate(self, x: Any, indices: Any, *, axis: int) -> Any:
        return x[indices] if x.ndim == 1 else np.take_along_axis(x, indices, axis)

    def expand(self, x: Any, indices: Any, *, axis: int) -> Any:
        numbers, indices, sizes = _along(x, indices, axis)
        return gather_p.bind(
            x, indices, dimension_numbers=GatherDimensionNumbers((), *numbers), slice_sizes=sizes,
            mode=GatherScatterMode.PROMISE_IN_BOUNDS, fill_value=None, indices_are_sorted=False, unique_indices=True,
        )  # fmt: skip

    def transpose(self, ct: Any, x: Any, indices: Any, *, axis: int) -> Sequence[Any]:
        return [put_along_p.bind(ct, indices, axis=axis, length=x.shape[axis]), None]

    def batch(self, size: int, args: Any, axes: Any, *, axis: int, **params: Any) -> Any:
        return self.bind(*(batch_first(a, b, size) for a, b in zip(args, axes)), axis=axis + 1, **params), 0


class PutAlong(IndexedMover):
    """The transpose of `take_along`: zeros of length `length` along `axis`, with the operand's
    elements at `indices`."""

    name = "put_along"

    def type_of(self, x: ShapedArray, indices: ShapedArray, *, axis: int, length: int) -> ShapedArray:
        return x.update(shape=with_length(x.shape, axis, length))

    def evaluate(self, x: Any, indices: Any, *, axis: int, length: int) -> Any:
        out = np.zeros(with_length(x.shape, axis, length), x.dtype)
        if x.ndim == 1:
            out[indices] = x
        else:
            np.put_along_axis(out, indices, x, axis)
        return out

    def expand(self, x: Any, indices: Any, *, axis: int, length: int) -> Any:
        zeros = zeros_like_shape(x, with_length(x.shape, axis, length))
        numbers, indices, _ = _along(zeros, indices, axis)
        return scatter_p.bind(
            zeros, indices, x, dimension_numbers=ScatterDimensionNumbers((), *numbers),
            mode=GatherScatterMode.PROMISE_IN_BOUNDS, indices_are_sorted=False, unique_indices=True,
        )  # fmt: skip

    def transpose(self, ct: Any, x: Any, indices: Any, *, axis: int, length: int) -> Sequence[Any]:
        return [take_along_p.bind(ct, indices, axis=axis), None]

    batch = TakeAlong.batch


def _along(x: Any, indices: Any, axis: int) -> tuple[Any, Any, Shape]:
    """Dimension numbers (without those of windows), index rows and window sizes for single elements
    along `axis`."""
    others = tuple(i for i in range(x.ndim) if i != axis)
    rows = reshape_p.bind(indices, new_sizes=(*indices.shape, 1))
    return ((axis,), (axis,), others, others), rows, tuple(min(1, n) for n in x.shape)


take_along_p = TakeAlong()
put_along_p = PutAlong()


#: Arrays of fewer elements are sorted as if equal ones showed, without looking.
_SMALL = 500


# ---- sort ----------------------------------------------------------------------------------------


class Sort(Primitive):
    """Operands of one shape, all reordered along `dimension` so that the first `num_keys`, compared
    in turn, ascend."""

    name = "sort"
    makes_nan = False
    multiple_results = True
    weakness = "each"

    def type_of(self, *operands: ShapedArray, dimension: int, is_stable: bool, num_keys: int) -> list[ShapedArray]:
        if len({x.shape for x in operands}) > 1:
            raise TypeError(f"sort takes operands of one shape, got {shapes_of(operands)}")
        refuse_keys(self.name, *operands[:num_keys])
        return list(operands)

    def evaluate(self, *operands: Any, dimension: int, is_stable: bool, num_keys: int) -> list[Any]:
        keys = [part for x in operands[:num_keys] for part in _keys(x)]
        if len(operands) == len(keys) == 1 and keys[0] is operands[0]:
            return [
                np.sort(operands[0], dimension, "stable" if _order_of_equals_shows(operands[0], is_stable) else None)
            ]
        order = np.lexsort(keys[::-1], dimension) if len(keys) > 1 else np.argsort(keys[0], dimension, "stable")
        return [take_along_p.evaluate(x, order, axis=dimension) for x in operands]

    def spell(self, speller: Any, *operands: Any, dimension: int, is_stable: bool, num_keys: int) -> Any:
        aval = operands[0].aval
        params = {"dimension": dimension, "is_stable": is_stable, "num_keys": num_keys}
        if num_keys > 1 or not dtypes.is_numpys(aval.dtype) or aval.dtype.kind == "c" or aval.size >= _SMALL:
            return super().spell(speller, *operands, **params)
        if len(operands) == 1:
            stable = is_stable and aval.dtype.kind == "f"  # as in `_order_of_equals_shows`
            return [speller.call(np.sort, operands[0], dimension, "stable" if stable else None)]
        order = speller.let(f"{operands[0]}.argsort({dimension}, {'stable'!r})", aval.update(dtype=np.dtype(np.intp)))
        return [self._spell_taken(speller, x, order, dimension) for x in operands]

    def _spell_taken(self, speller: Any, x: Any, order: Any, dimension: int) -> Any:
        value = speller.value_of(x)
        if value is not None and dtypes.is_integer(value.dtype):
            shape = [1] * value.ndim
            shape[dimension] = -1
            if (value == np.arange(value.shape[dimension]).reshape(shape)).all():
                return f"{order}.astype({speller.constant(value.dtype)})"  # positions in their order: `order` itself
        return take_along_p.spell(speller, x, order, axis=dimension)

    def lower(self, emit: Any, *operands: Any, dimension: int, is_stable: bool, num_keys: int) -> list[Any]:
        def before(*pairs: Any) -> Any:
            # Lexicographic, from the last key to the first.
            result = None
            for i in reversed(range(num_keys)):
                for a, b in reversed(list(zip(*(_key_parts(emit, x) for x in pairs[2 * i : 2 * i + 2])))):
                    less = emit.compare_total(a, b)
                    if result is not None:
                        less = emit.select(emit.compare_total(a, b, "EQ"), result, less)
                    result = less
            return result

        x = operands[0]
        if x.size == 0:
            return list(operands)
        if len(operands) == 1 and dtypes.is_float(x.dtype):
            return [self._lower_floats(emit, x, dimension)]
        if len(operands) > 1 and num_keys == 1 and _fits_32_bits(x.dtype) and emit.capabilities.packs_sort_keys:
            return emit.expand(self, operands, {"dimension": dimension})  # type: ignore[no-any-return]
        operands = tuple(emit.whole_bytes(x) for x in operands)
        types = [ShapedArray((), x.dtype) for x in operands for _ in range(2)]
        results = emit(
            "sort", *operands, out=list(operands), dimension=dimension, is_stable=is_stable,
            regions=[emit.region(types, before)],
        )  # fmt: skip
        return [emit.convert(x, t.dtype) for x, t in zip(results, emit.types)]

    # XLA:CPU sorts one operand by the plain `<` with the standard library's code, and everything
    # else by calls of the comparator, which takes four times as long. So floats are sorted without
    # their NaNs, and one key of at most 32 bits together with its position.

    def _lower_floats(self, emit: Any, x: Any, dimension: int) -> Any:
        dtype, wide = x.dtype, x if x.dtype.itemsize >= 4 else emit.convert(x, dtypes.float32)
        is_nan = emit.compare("NE", wide, wide)
        scalar = ShapedArray((), wide.dtype)
        less = emit.region([scalar, scalar], lambda a, b: emit.compare("LT", a, b))
        numbers = emit.select(is_nan, emit.like(np.inf, wide), wide)
        ordered = emit("sort", numbers, out=numbers, dimension=dimension, is_stable=True, regions=[less])
        nans = emit.reduce(emit.convert(is_nan, dtypes.int32), 0, "add", (dimension,))
        nans = emit.broadcast(nans, x.shape, tuple(i for i in range(x.ndim) if i != dimension))
        from_end = emit(
            "subtract", emit.like(x.shape[dimension], nans), emit.iota(x.shape, dtypes.int32, dimension), out=nans
        )
        out = emit.select(emit.compare("LE", from_end, nans), emit.like(np.nan, wide), ordered)
        return emit.convert(out, dtype)

    def expand(self, *operands: Any, dimension: int) -> list[Any]:
        """Of several operands, the first of which is the key and has at most 32 bits."""
        key = _ordered_integers(operands[0])
        wide = lambda x: convert(x, dtypes.int64)
        position = wide(broadcasted_iota(dtypes.int32, key.shape, dimension))
        packed = e.or_p.bind(e.shift_left_p.bind(wide(key), like(32, position)), position)
        (packed,) = self.bind(packed, dimension=dimension, is_stable=False, num_keys=1)
        order = convert(e.and_p.bind(packed, like(0xFFFFFFFF, packed)), dtypes.int32)
        return [take_along_p.bind(x, order, axis=dimension) for x in operands]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        axis = params["dimension"]
        shape = primals[0].shape
        position = broadcasted_iota(dtypes.int32 if shape[axis] < 2**31 else dtypes.int64, shape, axis)
        *out, order = self.bind(*primals, position, **params)
        return out, [None if t is None else take_along_p.bind(t, order, axis=axis) for t in tangents]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> Any:
        moved = [batch_first(x, b, size) for x, b in zip(args, axes)]
        return self.bind(*moved, **{**params, "dimension": params["dimension"] + 1}), [0] * len(moved)


sort_p = Sort()


def _fits_32_bits(dtype: Any) -> bool:
    return dtypes.itemsize_bits(dtype) <= 32 and not dtypes.is_complex(dtype) and dtypes.kind(dtype) != "k"


def _ordered_integers(x: Any) -> Any:
    """32-bit integers in the order of `x`, in which zeros are one and NaNs are last."""
    if dtypes.is_float(x.dtype):
        x = convert(x, dtypes.float32)
        x = select(e.eq_p.bind(x, like(0, x)), like(0, x), x)
        x = select(e.ne_p.bind(x, x), like(np.nan, x), x)
    return _order_in_32_bits(x)


def _key_parts(emit: Any, x: Any) -> list[Any]:
    """A scalar as real scalars to be compared in turn by IEEE's total order, in which zeros are one
    and NaNs are last."""
    if dtypes.is_complex(x.dtype):
        real = ShapedArray((), dtypes.to_real(x.dtype))
        return [part for name in ("real", "imag") for part in _key_parts(emit, emit(name, x, out=real))]
    if not dtypes.is_float(x.dtype):
        return [x]
    if x.dtype.itemsize == 1:
        x = emit.convert(x, dtypes.float32)
    x = emit.select(emit.compare("EQ", x, emit.like(0, x)), emit.like(0, x), x)
    return [emit.select(emit.compare("NE", x, x), emit.like(np.nan, x), x)]


def _keys(x: Any) -> list[Any]:
    """`x` as real arrays that NumPy sorts rightly when compared in turn."""
    if x.dtype.kind == "c":
        return [x.real, x.imag]  # NumPy has its own idea where complex NaNs go
    refuse_keys("sort", x)
    if not dtypes.is_numpys(x.dtype):  # ml_dtypes do not sort NaNs last; wider types hold their values exactly
        return [x.astype(np.float32 if dtypes.is_float(x.dtype) else np.int8 if x.dtype in dtypes.SIGNED else np.uint8)]
    return [x]


def _order_of_equals_shows(x: Any, is_stable: bool) -> bool:
    """Whether a stable sort of `x` can differ from the much faster unstable one: 0.0 and -0.0 are
    equal, yet distinct."""
    if not is_stable or x.dtype.kind != "f":
        return False
    return x.size < _SMALL or bool((np.signbit(x) & (x == 0)).any())


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """`operand` sorted along `dimension`, ascending; a sequence of arrays is sorted by the first
    `num_keys` of them.

    NaNs come last, 0.0 equals -0.0, complex numbers compare by real, then imaginary parts. With
    `is_stable`, equal elements keep their order. A sequence gives a tuple. Raises TypeError if
    shapes differ, ValueError for a dimension or `num_keys` out of bounds.

    >>> import pullback.numpy as jnp
    >>> sort(jnp.array([3, 1, 2]))
    Array([1, 2, 3], dtype=int32)
    >>> sort((jnp.array([1, 0, 1]), jnp.array([5, 6, 4])), num_keys=2)
    (Array([0, 1, 1], dtype=int32), Array([6, 4, 5], dtype=int32))
    """
    if isinstance(operand, (tuple, list)):
        if not operand:
            raise TypeError("sort requires at least one operand")
        if not 1 <= num_keys <= len(operand):
            raise ValueError(
                f"sort: num_keys must be between 1 and the number of operands, {len(operand)}; got {num_keys}"
            )
        arrays = [as_array(x) for x in operand]
        axis = canonical_axis(dimension, len(arrays[0].shape), "dimension")
        return tuple(bind_checked(sort_p, *arrays, dimension=axis, is_stable=bool(is_stable), num_keys=num_keys))
    if num_keys != 1:
        raise ValueError(f"sort: num_keys must be 1 for a single operand, got {num_keys}")
    x = as_array(operand)
    axis = canonical_axis(dimension, len(x.shape), "dimension")
    return sort_p.bind(x, dimension=axis, is_stable=bool(is_stable), num_keys=1)[0]


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Array, Array]:
    """`keys` sorted along `dimension`, and `values`, of the same shape, reordered alike: a pair of
    arrays.

    Orders as `sort`; raises TypeError if the shapes differ, ValueError if there is no such axis.

    >>> sort_key_val(np.array([3, 1, 2]), np.array([30.0, 10.0, 20.0]))
    (Array([1, 2, 3], dtype=int32), Array([10., 20., 30.], dtype=float32))
    """
    k, v = sort((keys, values), dimension, is_stable, 1)
    return k, v


# ---- top_k ---------------------------------------------------------------------------------------


class TopK(Primitive):
    """The `k` largest elements along `axis`, descending, and their positions; the first of equal
    ones comes first."""

    name = "top_k"
    makes_nan = False
    multiple_results = True

    def type_of(self, x: ShapedArray, *, k: int, axis: int) -> list[ShapedArray]:
        refuse_keys(self.name, x)
        shape = with_length(x.shape, axis, k)
        return [x.update(shape=shape), ShapedArray(shape, dtypes.int32, x.weak_type)]

    def evaluate(self, x: Any, *, k: int, axis: int) -> list[Any]:
        refuse_keys(self.name, x)
        order = np.argsort(~_total_order(x), axis, "stable")
        order = order[(slice(None),) * axis + (slice(k),)]
        return [take_along_p.evaluate(x, order, axis=axis), order.astype(np.int32)]

    def lower(self, emit: Any, x: Any, *, k: int, axis: int) -> list[Any]:
        if not x.size or not k:
            return [emit.constant(0, t.dtype, t.shape) for t in emit.types]
        last = x.ndim - 1
        to_last = (*(i for i in range(x.ndim) if i != axis), axis)
        back = tuple(to_last.index(i) for i in range(x.ndim))
        keys = emit.transpose(x, to_last)
        if x.dtype != dtypes.float32 and _fits_32_bits(x.dtype) and emit.capabilities.selects_singles:
            return [emit.transpose(v, back) for v in emit.staged(lambda x: _top_k_by_singles(x, k), keys)]
        if x.dtype.itemsize == 1 and (x.dtype == dtypes.bool_ or not dtypes.is_numpys(x.dtype)):
            wide = {"f": dtypes.float32, "i": dtypes.int8, "u": dtypes.uint8, "b": dtypes.uint8}
            keys = emit.convert(keys, wide[dtypes.kind(x.dtype)])
        shape = (*keys.shape[:last], k)
        values, indices = emit(
            "chlo.top_k", keys, out=[ShapedArray(shape, keys.dtype), ShapedArray(shape, dtypes.int32)], k=k
        )
        if x.dtype == dtypes.bool_:
            values = emit.compare("NE", values, emit.like(0, values))
        values = emit.convert(values, x.dtype)
        return [emit.transpose(v, back) for v in (values, indices)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, k: int, axis: int) -> Any:
        values, indices = self.bind(*primals, k=k, axis=axis)
        return [values, indices], [take_along_p.bind(tangents[0], indices, axis=axis), None]

    def batch(self, size: int, args: Any, axes: Any, *, k: int, axis: int) -> Any:
        (b,) = axes
        return self.bind(args[0], k=k, axis=axis + (axis >= b)), [b, b]


top_k_p = TopK()


# XLA:CPU has a function for the largest of float32 numbers, which it compares as integers, by IEEE's total
# order, so that NaNs differ, too. All other types it sorts, by calls of a comparator, thirty times slower.
# So those of at most 32 bits are mapped to float32.


def _top_k_by_singles(x: Any, k: int) -> list[Any]:
    keys = bitcast_convert_type(_flipped(_order_in_32_bits(x)), dtypes.float32)
    (_, indices) = top_k_p.bind(keys, k=k, axis=x.ndim - 1)
    return [take_along_p.bind(x, indices, axis=x.ndim - 1), indices]


def _flipped(bits: Any) -> Any:
    """Signed integers, of which the negative ones have all bits but the sign flipped: what makes integers in
    order of the bits of floats, and the other way round."""
    width = dtypes.itemsize_bits(bits.dtype)
    sign = e.shift_right_arithmetic_p.bind(bits, like(width - 1, bits))
    return e.xor_p.bind(bits, e.and_p.bind(sign, like((1 << (width - 1)) - 1, bits)))


def _order_in_32_bits(x: Any) -> Any:
    """As `_total_order`, in a program: 32-bit integers, for types of at most that width."""
    if dtypes.is_float(x.dtype):
        if x.dtype.itemsize == 1:
            x = convert(x, dtypes.float32)
            x = select(e.ne_p.bind(x, x), like(np.nan, x), x)
        x = _flipped(bitcast_convert_type(x, dtypes.int16 if x.dtype.itemsize == 2 else dtypes.int32))
    elif x.dtype == dtypes.uint32:
        return bitcast_convert_type(e.xor_p.bind(x, like(1 << 31, x)), dtypes.int32)
    return convert(x, dtypes.int32)


def _total_order(x: Any) -> Any:
    """Integers in the order of `x`: for floats IEEE 754's totalOrder (-NaN < -inf < -0.0 < 0.0 <
    inf < NaN)."""
    x = np.asarray(x)
    kind = dtypes.kind(x.dtype)
    if kind == "f":
        if x.dtype.itemsize == 1:
            x = np.where(x != x, np.float32(np.nan), x.astype(np.float32))  # some have their NaN in the place of -0.0
        # Negative floats order backwards as integers: flip all their bits but the sign.
        bits = x.view(f"i{x.dtype.itemsize}")
        return bits ^ ((bits >> (8 * x.dtype.itemsize - 1)) & np.iinfo(bits.dtype).max)
    if kind == "b":
        return x.view(np.uint8)
    return x.astype(np.int8 if kind == "i" else np.uint8) if not dtypes.is_numpys(x.dtype) else x


def top_k(operand: Any, k: int, *, axis: int = -1) -> list[Array]:
    """The list of the `k` largest elements along `axis`, in descending order, and of their indices
    (int32).

    Of equal elements the first ones are taken; NaN is larger than infinity. Raises ValueError for
    complex operands, or if `k` is negative or larger than the axis.

    >>> import pullback.numpy as jnp
    >>> top_k(jnp.array([3.0, 1.0, 2.0]), 2)
    [Array([3., 2.], dtype=float32), Array([0, 2], dtype=int32)]
    """
    x = as_array(operand)
    if dtypes.is_complex(x.dtype):
        raise ValueError(f"top_k: complex numbers have no order; got {dtypes.name(x.dtype)} of shape {x.shape}")
    axis = canonical_axis(axis, len(x.shape))
    k = integer(k, "top_k: k")
    if k < 0:
        raise ValueError(f"k argument to top_k must be nonnegative, got {k}")
    if k > x.shape[axis]:
        raise ValueError(
            f"k argument to top_k must be no larger than size along axis; got {k=} with shape={x.shape} and {axis=}"
        )
    return list(top_k_p.bind(x, k=k, axis=axis))


def approx_max_k(
    operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95,
    reduction_input_size_override: int = -1, aggregate_to_topk: bool = True,
) -> list[Array]:  # fmt: skip
    """The `k` largest floats along `reduction_dimension`, descending, and their indices (int32):
    exact, whatever recall is asked for.

    The remaining arguments tune approximate hardware implementations and have no effect. Raises
    ValueError for operands that are not floating, or if `k` is negative or larger than the axis.

    >>> approx_max_k(np.array([0.5, 2.0, 1.0, 3.0]), 2)
    [Array([3., 2.], dtype=float32), Array([3, 1], dtype=int32)]
    """
    del recall_target, reduction_input_size_override, aggregate_to_topk
    return top_k(_floating("approx_max_k", operand), k, axis=reduction_dimension)


def approx_min_k(
    operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95,
    reduction_input_size_override: int = -1, aggregate_to_topk: bool = True,
) -> list[Array]:  # fmt: skip
    """The `k` smallest floats along `reduction_dimension`, ascending, and their indices (int32). As
    `approx_max_k`, exact.

    >>> approx_min_k(np.array([0.5, 2.0, 1.0, 3.0]), 2)
    [Array([0.5, 1. ], dtype=float32), Array([0, 2], dtype=int32)]
    """
    del recall_target, reduction_input_size_override, aggregate_to_topk
    values, indices = top_k(neg_p.bind(_floating("approx_min_k", operand)), k, axis=reduction_dimension)
    return [neg_p.bind(values), indices]


def _floating(name: str, operand: Any) -> Array:
    x = as_array(operand)
    if not dtypes.is_float(x.dtype):
        raise ValueError(f"{name}: operand must be floating, got {dtypes.name(x.dtype)}")
    return x


__all__ = ["approx_max_k", "approx_min_k", "sort", "sort_key_val", "sort_p", "top_k", "top_k_p"]
