"""The product of a sparse matrix with a dense vector or matrix: the one operation of sparse arrays
that is a primitive, because SciPy has a kernel for it.

Everything else is composed of gathers and scatters, and of this. A product of arrays with more
axes, batches among them, is that of two matrices, whose rows and columns are several axes taken
together (`bcoo_products`); so is the batching rule below, where the matrices of a batch become the
blocks of one block-diagonal matrix.

    out[i, :] = Σ data[k] dense[columns[k], :]  over all k with rows[k] = i

It is linear in the data and in the dense operand; entries out of bounds count for nothing. Its
cotangents are the product with the transposed matrix and, for the data, the sampled product
ct[rows[k], :] · dense[columns[k], :], which is composed of gathers.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.dimensions import at_least
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive, is_node
from pullback.core.types import ShapedArray
from pullback.lax.contraction import accumulator
from pullback.lax.family import add_p, mul_p
from pullback.lax.indexing import gather_p, scatter_add_p
from pullback.lax.positions import FILL_OR_DROP, GatherDimensionNumbers, ScatterDimensionNumbers
from pullback.lax.shape import batch_first, convert, move_axis, reduce_sum_p, zeros_like_shape

# ---- what is known of positions ------------------------------------------------------------------

_known: dict[tuple[Any, ...], tuple[list[Any], Any]] = {}


def kept(make: Callable[..., Any], *arrays: np.ndarray[Any, Any], static: Any = ()) -> Any:
    """`make(*arrays, *static)`, remembered as long as the arrays are there.

    Nobody writes to the arrays of Arrays, so what follows from positions is found out once: a
    product with the same matrix costs its kernel. What is made must not refer to the arrays: they
    would never go.
    """
    key = (make, static, *map(id, arrays))
    found = _known.get(key)
    if found is None:
        # Bound here: a process that ends takes the module's names away first.
        forget = lambda _, known=_known, key=key: known.pop(key, None)
        value = make(*arrays, *static)
        found = _known[key] = ([weakref.ref(a, forget) for a in arrays], value)
    return found[1]


def columns_of(indices: Any) -> list[Array]:
    """The columns of positions (nse, n), each an array (nse,)."""
    if indices.__class__ is ConcreteArray and indices._value.__class__ is np.ndarray:
        return list(kept(_columns, indices._value))
    return [indices[:, i] for i in range(indices.shape[1])]


def _columns(indices: np.ndarray[Any, Any]) -> list[Array]:
    return [concrete(indices[:, i].copy()) for i in range(indices.shape[1])]


def rows_of_pointers(indptr: Any, nse: int) -> Any:
    """The row of each of `nse` elements, given where rows begin and end; beyond the last row, the
    number of rows."""
    if indptr.__class__ is ConcreteArray and indptr._value.__class__ is np.ndarray:
        return kept(_rows, indptr._value, static=(nse,))
    ends = indptr[1:]
    counts = scatter_flat(jnp.ones_like(ends), ends, nse + 1)
    return jnp.cumsum(counts, dtype=indptr.dtype)[:nse]


def _rows(indptr: np.ndarray[Any, Any], nse: int) -> Array:
    return concrete(np.searchsorted(indptr[1:], np.arange(nse), side="right").astype(indptr.dtype))


def scatter_flat(x: Any, positions: Any, length: int, **options: bool) -> Any:
    """Sums of `x` along axis 0 by position, those out of bounds left out."""
    windows = tuple(range(1, len(x.shape)))
    numbers = ScatterDimensionNumbers(windows, (0,), (0,))
    return scatter_add_p.bind(
        zeros_like_shape(x, (length, *x.shape[1:])),
        _column(positions),
        x,
        dimension_numbers=numbers,
        mode=FILL_OR_DROP,
        indices_are_sorted=options.get("is_sorted", False),
        unique_indices=False,
    )


def gather_flat(x: Any, positions: Any) -> Any:
    """The elements (or rows) of `x` along axis 0 at positions, 0 for those out of bounds."""
    windows = tuple(range(1, len(x.shape)))
    numbers = GatherDimensionNumbers(windows, (0,), (0,))
    sizes = (min(1, x.shape[0]), *x.shape[1:])
    if not x.shape[0]:
        return zeros_like_shape(x, (*positions.shape, *x.shape[1:]))
    return gather_p.bind(
        x,
        _column(positions),
        dimension_numbers=numbers,
        slice_sizes=sizes,
        mode=FILL_OR_DROP,
        fill_value=0,
        indices_are_sorted=False,
        unique_indices=False,
    )


def _column(positions: Any) -> Any:
    return positions.reshape((*positions.shape, 1))


# ---- SciPy's kernels -----------------------------------------------------------------------------


@cache
def _kernels() -> Any:
    from scipy.sparse import _sparsetools

    return _sparsetools


class _Plan:
    """What a kernel needs to know of positions: those in bounds, as SciPy has them.

    `rows` and `columns` are None where they are SciPy's already; `pointers` are there if the rows
    are `compressed`; `selected` are the numbers of the entries in bounds, None if all are.
    """

    __slots__ = ("rows", "columns", "pointers", "selected")

    def __init__(
        self, rows: np.ndarray[Any, Any], columns: np.ndarray[Any, Any], shape: tuple[int, int], compressed: bool
    ) -> None:
        m, k = shape
        given = rows, columns
        if compressed:
            rows = np.searchsorted(rows[1:], np.arange(len(columns)), side="right")
        inside = (rows >= 0) & (rows < m) & (columns >= 0) & (columns < k)
        self.selected = None if inside.all() else np.flatnonzero(inside)
        if self.selected is not None:
            rows, columns = rows[self.selected], columns[self.selected]
        index = np.int32 if max(m, k, len(rows)) < 2**31 else np.int64
        self.pointers = np.searchsorted(rows, np.arange(m + 1)).astype(index) if compressed else None
        as_scipys = lambda x, given: (
            None if x is given and x.dtype == index and x.flags.c_contiguous else x.astype(index)
        )
        self.rows = None if compressed else as_scipys(rows, given[0])
        self.columns = as_scipys(columns, given[1])


def _multiply(plan: _Plan, data: Any, rows: Any, columns: Any, x: Any, shape: tuple[int, int], transpose: bool) -> Any:
    """The product, by SciPy."""
    tools = _kernels()
    if plan.selected is not None:
        data = data[plan.selected]
    data, x = np.ascontiguousarray(data), np.ascontiguousarray(x)
    m, k = shape
    n = k if transpose else m
    out = np.zeros((n, *x.shape[1:]), data.dtype)
    rows = rows if plan.rows is None else plan.rows
    columns = columns if plan.columns is None else plan.columns
    pointers = plan.pointers
    if x.ndim == 1:
        if pointers is None:
            first, second = (columns, rows) if transpose else (rows, columns)
            tools.coo_matvec(len(data), first, second, data, x, out)
        elif transpose:
            tools.csc_matvec(k, m, pointers, columns, data, x, out)
        else:
            tools.csr_matvec(m, k, pointers, columns, data, x, out)
        return out
    count = x.shape[1]
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    if pointers is None:
        first, second = (columns, rows) if transpose else (rows, columns)
        tools.coo_matmat_dense(len(data), count, first, second, data, flat_x, flat_out)
    elif transpose:
        tools.csc_matvecs(k, m, count, pointers, columns, data, flat_x, flat_out)
    else:
        tools.csr_matvecs(m, k, count, pointers, columns, data, flat_x, flat_out)
    return out


# ---- the primitive -------------------------------------------------------------------------------


class SparseProduct(Primitive):
    """The matrix of shape `shape` with elements `data` at (rows, columns), or its transpose, times
    a vector or matrix.

    `compressed` ones take pointers instead of rows: row i has the elements from `pointers[i]` to
    `pointers[i + 1]`.
    """

    makes_nan = True
    contracts = True

    def __init__(self, name: str, compressed: bool) -> None:
        self.name, self.compressed = name, compressed
        super().__init__()

    def type_of(
        self, data: ShapedArray, rows: ShapedArray, columns: ShapedArray, x: ShapedArray, *, shape: Any, transpose: bool
    ) -> ShapedArray:
        n, k = shape[::-1] if transpose else shape
        if (
            data.ndim != 1
            or columns.shape != data.shape
            or rows.shape != ((shape[0] + 1,) if self.compressed else data.shape)
        ):
            raise TypeError(
                f"{self.name}: elements and positions of shapes {data.shape}, {rows.shape} and {columns.shape} do not make a matrix of "
                f"shape {shape}, at {user_line()}"
            )
        if not 1 <= x.ndim <= 2 or x.shape[0] != k:
            raise TypeError(
                f"{self.name}: a matrix of shape {(n, k)} cannot be multiplied with an array of shape {x.shape}, at {user_line()}"
            )
        if data.dtype != x.dtype:
            raise TypeError(f"{self.name}: the dtypes {data.dtype} and {x.dtype} differ, at {user_line()}")
        return x.update(shape=(n, *x.shape[1:]), weak_type=False)

    weakness = "never"

    def evaluate(self, data: Any, rows: Any, columns: Any, x: Any, *, shape: Any, transpose: bool) -> Any:
        # The kernels believe what they are told.
        fits = rows.shape == ((shape[0] + 1,) if self.compressed else data.shape) and columns.shape == data.shape
        if not fits or data.ndim != 1 or x.shape[:1] != (shape[not transpose],) or data.dtype != x.dtype:
            self.type_of(
                *[ShapedArray(a.shape, a.dtype) for a in (data, rows, columns, x)], shape=shape, transpose=transpose
            )
        plan = kept(_Plan, rows, columns, static=(shape, self.compressed))
        dtype = data.dtype
        if dtype.char in "fdFD":
            return _multiply(plan, data, rows, columns, x, shape, transpose)
        wide = _sums_in(dtype)
        out = _multiply(plan, data.astype(wide), rows, columns, x.astype(wide), shape, transpose)
        return out != 0 if dtype.kind == "b" else out.astype(dtype)

    def expand(self, data: Any, rows: Any, columns: Any, x: Any, *, shape: Any, transpose: bool) -> Any:
        if self.compressed:
            rows = rows_of_pointers(rows, data.shape[0])
        is_sorted, n = self.compressed and not transpose, shape[0]
        if transpose:
            rows, columns, n = columns, rows, shape[1]
        wide = _sums_in(data.dtype)
        terms = gather_flat(x, columns)
        scale = data if len(x.shape) == 1 else data.reshape((-1, 1))
        terms = mul_p.bind(convert(terms, wide), convert(scale, wide))
        out = scatter_flat(terms, rows, n, is_sorted=is_sorted)
        return out != 0 if data.dtype == dtypes.bool_ else convert(out, data.dtype)

    def lower(self, emit: Any, data: Any, rows: Any, columns: Any, x: Any, *, shape: Any, transpose: bool) -> Any:
        m, k = shape
        # A module that is made for any machine has what every machine has.
        has_kernel = emit.capabilities.has_lapack and emit.calls_host and data.dtype.char in "fdFD"
        is_plain = self.compressed and not transpose and rows.dtype == columns.dtype == dtypes.int32
        if not (has_kernel and is_plain and data.size and x.size and m):
            return emit.expand(self, (data, rows, columns, x), {"shape": shape, "transpose": transpose})
        # jaxlib's kernel reads wherever positions point to: those out of bounds become zeros.
        zero = emit.like(0, columns)
        inside = emit("and", emit.compare("GE", columns, zero), emit.compare("LT", columns, emit.like(k, columns)))
        data, columns = emit.select(inside, data, emit.like(0, data)), emit.select(inside, columns, zero)
        limits = emit.like(0, rows), emit.like(data.size, rows)
        rows = emit("clamp", limits[0], rows, limits[1], out=rows)
        # A vector is a matrix of one column.
        out = emit.type
        matrix = out.update(shape=(m, x.size // k))
        product = emit.custom_call(
            "cpu_csr_sparse_dense_ffi", data, rows, columns, emit.reshape(x, (k, x.size // k)), out=matrix
        )
        return emit.reshape(product, out.shape)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return active[0] != active[3]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        data, rows, columns, x = primals
        t_data, t_x = tangents[0], tangents[3]
        out, t_out = self.bind(*primals, **params), None
        if t_data is not None:
            t_out = self.bind(t_data, rows, columns, x, **params)
        if t_x is not None:
            t = self.bind(data, rows, columns, t_x, **params)
            t_out = t if t_out is None else add_p.bind(t_out, t)
        return out, t_out

    def transpose(
        self, ct: Any, data: Any, rows: Any, columns: Any, x: Any, *, shape: Any, transpose: bool
    ) -> Sequence[Any]:
        if is_node(x):
            return [None, None, None, self.bind(data, rows, columns, ct, shape=shape, transpose=not transpose)]
        if self.compressed:
            rows = rows_of_pointers(rows, columns.shape[0])
        if transpose:
            rows, columns = columns, rows
        return [sampled(ct, x, rows, columns), None, None, None]

    def batch(self, size: int, args: Any, axes: Any, *, shape: Any, transpose: bool) -> Any:
        data, rows, columns, x = args
        if axes[0] is None and axes[1] is None and axes[2] is None:
            # More columns of the dense operand.
            n = shape[1] if transpose else shape[0]
            flat = move_axis(x, axes[3], 1).reshape((x.shape[0] if axes[3] else x.shape[1], -1))
            out = self.matrix.bind(data, rows, columns, flat, shape=shape, transpose=transpose)
            return out.reshape((n, size, *([out.shape[1] // size] if len(x.shape) == 3 else []))), 1
        # A matrix with a block for each element of the batch.
        if self.compressed:
            nse = columns.shape[-1] if not axes[2] else columns.shape[0]
            if axes[1] is None:
                rows = rows_of_pointers(rows, nse)
            else:
                ends = move_axis(rows, axes[1], 0)[:, 1:]
                rows, axes = _batch_of_rows(ends, nse), [axes[0], 0, *axes[2:]]
        m, k = shape
        shared = axes[3] is None
        data, rows, columns = (batch_first(a, b, size) for a, b in zip((data, rows, columns), axes))
        index = dtypes.int32 if at_least(-size * max(m, k), 1 - 2**31) else dtypes.canonicalize(dtypes.int64)
        step = jnp.arange(size, dtype=index)[:, None]
        # An entry out of bounds in one dimension is out of bounds in its block, not in the next one.
        outside = (rows < 0) | (rows >= m) | (columns < 0) | (columns >= k)
        blocks = (size if not (shared and transpose) else 1, size if not (shared and not transpose) else 1)
        rows = jnp.where(outside, blocks[0] * m, rows + (step * m if blocks[0] != 1 else 0))
        columns = jnp.where(outside, blocks[1] * k, columns + (step * k if blocks[1] != 1 else 0))
        if not shared:
            x = move_axis(x, axes[3], 0)
            x = x.reshape((-1, *x.shape[2:]))
        plain = coo_matvec_p if len(x.shape) == 1 else coo_matmat_p
        whole = (blocks[0] * m, blocks[1] * k)
        out = plain.bind(*(a.reshape((-1,)) for a in (data, rows, columns)), x, shape=whole, transpose=transpose)
        return out.reshape((size, -1 if shape[transpose] else 0, *out.shape[1:])), 0

    @property
    def matrix(self) -> SparseProduct:
        """The same operation on matrices."""
        return csr_matmat_p if self.compressed else coo_matmat_p


def _batch_of_rows(ends: Any, nse: int) -> Any:
    """`rows_of_pointers` of many matrices, given where their rows end."""
    entries = jnp.arange(nse, dtype=ends.dtype)
    # Few rows end at an entry, and all of them before the next: count those that have ended.
    size = ends.shape[0]
    flat = jnp.where(ends > nse, size * (nse + 1), ends + jnp.arange(size)[:, None] * (nse + 1)).reshape((-1,))
    counts = scatter_flat(jnp.ones_like(flat), flat, size * (nse + 1)).reshape((size, nse + 1))
    return jnp.cumsum(counts, axis=1)[:, :nse].astype(entries.dtype)


def _sums_in(dtype: Any) -> Any:
    """The type in which products of elements of a type are summed."""
    return dtypes.int32 if dtype == dtypes.bool_ else accumulator(dtype, dtype)


def sampled(ct: Any, x: Any, rows: Any, columns: Any) -> Any:
    """Elements of `ct @ x.T`, of vectors or matrices with one row an index, at (rows, columns)."""
    terms = mul_p.bind(gather_flat(ct, rows), gather_flat(x, columns))
    return reduce_sum_p.bind(terms, axes=(1,)) if len(terms.shape) == 2 else terms


coo_matvec_p = SparseProduct("coo_matvec", False)
coo_matmat_p = SparseProduct("coo_matmat", False)
csr_matvec_p = SparseProduct("csr_matvec", True)
csr_matmat_p = SparseProduct("csr_matmat", True)


def product(
    data: Any,
    rows: Any,
    columns: Any,
    x: Any,
    shape: tuple[int, int],
    *,
    transpose: bool = False,
    compressed: bool = False,
) -> Any:
    """The product, in the common type of `data` and `x`. Raises TypeError if shapes do not fit."""
    if data.dtype != x.dtype:
        dtype = jnp.promote_types(data.dtype, x.dtype) if not x.weak_type else jnp.result_type(data, x)
        data, x = convert(data, dtype), convert(x, dtype)
    vector = len(x.shape) == 1
    if compressed:
        primitive = csr_matvec_p if vector else csr_matmat_p
    else:
        primitive = coo_matvec_p if vector else coo_matmat_p
    if len(x.shape) > 2 or x.shape[:1] != (shape[0 if transpose else 1],):
        raise TypeError(
            f"a sparse matrix of shape {shape[::-1] if transpose else shape} cannot be multiplied with an array of shape {x.shape}: "
            f"the contracted lengths differ, at {user_line()}"
        )
    return primitive.bind(data, rows, columns, x, shape=shape, transpose=transpose)


def raveled(columns: Sequence[Any], shape: Sequence[int], nse: int) -> tuple[Any, int]:
    """The number of a position, counted through axes in C order, and how many there are; that many
    for a position that is out of bounds."""
    count = math.prod(shape)
    if not columns:
        return jnp.zeros((nse,), dtypes.int32), 1
    if len(columns) == 1:
        return columns[0], count
    dtype = dtypes.int32 if at_least(-count, 1 - 2**31) else dtypes.canonicalize(dtypes.int64)
    if at_least(count, dtypes.iinfo(dtype).max + 1):
        raise ValueError(
            f"positions in axes of lengths {tuple(shape)} do not fit into {dtype}, at {user_line()}: enable_x64"
        )
    known = [c._value for c in columns if c.__class__ is ConcreteArray and c._value.__class__ is np.ndarray]
    if len(known) == len(columns):
        return kept(_ravel_known, *known, static=(tuple(shape), dtype)), count
    flat, inside = jnp.zeros((nse,), dtype), jnp.ones((nse,), bool)
    for column, n in zip(columns, shape):
        inside = inside & (column >= 0) & (column < n)
        flat = flat * n + column.astype(dtype)
    return jnp.where(inside, flat, jnp.asarray(count, dtype)), count


def _ravel_known(*args: Any) -> Array:
    *columns, shape, dtype = args
    flat, inside = np.zeros(columns[0].shape, np.int64), True
    for column, n in zip(columns, shape):
        inside = inside & (column >= 0) & (column < n)
        flat = flat * n + column
    return concrete(np.where(inside, flat, math.prod(shape)).astype(dtype))


__all__ = [
    "SparseProduct",
    "columns_of",
    "coo_matmat_p",
    "coo_matvec_p",
    "csr_matmat_p",
    "csr_matvec_p",
    "gather_flat",
    "kept",
    "product",
    "raveled",
    "rows_of_pointers",
    "sampled",
    "scatter_flat",
]
