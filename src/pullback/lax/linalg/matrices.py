"""What the rules of all decompositions share: matrix algebra in `lax` terms, checks of operands,
batching.

A *matrix* is the last two axes of an array; every axis before them is a batch axis, and a
decomposition is done for each matrix of the batch. Nothing here looks at values, so that operands
may be tracers or tangents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.dimensions import Dim, is_symbolic
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.types import Shape, ShapedArray
from pullback.lax.contraction import dot_general_p
from pullback.lax.creation import iota_p
from pullback.lax.elementwise import conj_p, eq_p, real_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.selection import select
from pullback.lax.shape import batch_first, broadcast_in_dim_p, broadcast_to, convert, reduce_sum_p, transpose_p
from pullback.lax.triangles import emit_triangle as emit_triangle
from pullback.lax.triangles import half_triangle as half_triangle
from pullback.lax.triangles import triangle_p as triangle_p
from pullback.lax.triangles import tril as tril
from pullback.lax.triangles import triu as triu
from pullback.xla.text import Value, layout_text, size_text

# ---- algebra -------------------------------------------------------------------------------------


def transposed(x: Any) -> Any:
    """Each matrix transposed."""
    n = len(x.shape)
    return transpose_p.bind(x, permutation=(*range(n - 2), n - 1, n - 2))


def conj(x: Any) -> Any:
    """The complex conjugate; real arrays are their own."""
    return conj_p.bind(x) if dtypes.is_complex(x.dtype) else x


def adjoint(x: Any) -> Any:
    """Each matrix transposed and conjugated."""
    return transposed(conj(x))


def real(x: Any) -> Any:
    """The real part; real arrays are their own."""
    return real_p.bind(x) if dtypes.is_complex(x.dtype) else x


def matmul(x: Any, y: Any) -> Any:
    """The product of corresponding matrices of two batches of one shape."""
    n = len(x.shape)
    batch = tuple(range(n - 2))
    numbers = (((n - 1,), (n - 2,)), (batch, batch))
    return dot_general_p.bind(x, y, dimension_numbers=numbers, precision=None, preferred_element_type=None)


def columns(v: Any) -> Any:
    """Vectors as matrices whose every column they scale: shape (..., n, 1)."""
    shape = v.shape
    return broadcast_in_dim_p.bind(v, shape=(*shape, 1), broadcast_dimensions=tuple(range(len(shape))))


def rows(v: Any) -> Any:
    """Vectors as one-row matrices: shape (..., 1, n)."""
    *batch, n = v.shape
    dims = (*range(len(batch)), len(batch) + 1)
    return broadcast_in_dim_p.bind(v, shape=(*batch, 1, n), broadcast_dimensions=dims)


def identity_mask(m: int, n: int) -> Array:
    """True on the diagonal."""
    if is_symbolic((m, n)):  # an operation of the program that is being staged, which is not kept
        rows, columns = (iota_p.bind(dtype=dtypes.int32, shape=(m, n), dimension=axis) for axis in (0, 1))
        return eq_p.bind(rows, columns)  # type: ignore[no-any-return]
    return _identity_mask(m, n)


@lru_cache(maxsize=256)
def _identity_mask(m: int, n: int) -> ConcreteArray:
    return concrete(np.eye(m, n, dtype=bool))


def from_triangle(x: Any, lower: bool = True) -> Any:
    """The Hermitian matrix that has the lower (upper) triangle of `x`; the diagonal's imaginary
    part is dropped."""
    half = half_triangle(x, lower)
    return add_p.bind(half, adjoint(half))


def symmetrize(x: Any) -> Any:
    """(x + xᴴ) / 2, the nearest Hermitian matrix."""
    return mul_p.bind(like(0.5, x), add_p.bind(x, adjoint(x)))


def diagonal(x: Any) -> Any:
    """The main diagonals: shape (..., min(m, n))."""
    kept = select(identity_mask(*x.shape[-2:]), x, like(0, x))
    m, n = x.shape[-2:]
    return reduce_sum_p.bind(kept, axes=(len(x.shape) - (1 if m <= n else 2),))


def diagonal_matrix(v: Any) -> Any:
    """Square matrices with the diagonals `v`."""
    n = v.shape[-1]
    full = broadcast_in_dim_p.bind(v, shape=(*v.shape, n), broadcast_dimensions=tuple(range(len(v.shape))))
    return select(identity_mask(n, n), full, like(0, v))


def off_diagonal(x: Any) -> Any:
    """Square matrices with their diagonals set to zero."""
    n = x.shape[-1]
    return select(identity_mask(n, n), like(0, x), x)


@lru_cache(maxsize=256)
def _identity(n: int, dtype: DType) -> ConcreteArray:
    return concrete(np.eye(n, dtype=dtype))


def identity(batch: Shape, n: int, dtype: DType) -> Any:
    """A batch of identity matrices."""
    if n.__class__ is Dim:
        return broadcast_to(convert(identity_mask(n, n), dtype), (*batch, n, n))
    eye = _identity(n, dtype)
    if not batch:
        return eye
    return broadcast_in_dim_p.bind(eye, shape=(*batch, n, n), broadcast_dimensions=(len(batch), len(batch) + 1))


def permutation_matrix(permutation: Any, dtype: DType) -> Any:
    """P with (P x)[i] = x[permutation[i]], for vectors of indices (..., n)."""
    n = permutation.shape[-1]
    index = concrete(np.arange(n, dtype=permutation.dtype))
    return convert(eq_p.bind(columns(permutation), index), dtype)


def like_dtype(x: Any, dtype: DType) -> Any:
    """`x` converted to `dtype`: real coefficients for complex tangents."""
    return x if x.dtype == dtype else convert(x, dtype)


# ---- operands ------------------------------------------------------------------------------------

#: The types LAPACK computes in.
LAPACK_TYPES = (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128)
_PREFIX = dict(zip(LAPACK_TYPES, "sdcz"))  # of its routines' names


def check(name: str, x: Any, square: bool = False) -> None:
    """Check that `x` (an array or a type) is a batch of matrices LAPACK can take.

    Raises TypeError for fewer than two axes and types that are not floating, ValueError for
    matrices that must be square and are not, and NotImplementedError for 8- and 16-bit floats.
    """
    if x.dtype not in LAPACK_TYPES:
        if dtypes.is_inexact(x.dtype):
            raise NotImplementedError(
                f"{name} of dtype {dtypes.name(x.dtype)} is not supported, at {user_line()}: convert it to float32"
            )
        raise refused(name, x)
    shape = x.shape
    if len(shape) < 2:
        raise TypeError(f"the input to {name} must have rank at least 2, but got shape {shape}, at {user_line()}")
    if square and shape[-1] != shape[-2]:
        raise ValueError(f"the input to {name} must be a square matrix, got shape {shape}, at {user_line()}")


def refused(name: str, x: Any, position: int = 0, accepted: str = "floating and complexfloating") -> TypeError:
    """The error of an operand of a dtype that is not `accepted`.

    >>> refused("lu", as_array(1))
    TypeError('lu does not accept dtype int32 at position 0, at ...')
    """
    return TypeError(
        f"{name} does not accept dtype {dtypes.name(x.dtype)} at position {position}, at {user_line()}. "
        f"Accepted are subtypes of {accepted}"
    )


def one_dtype(name: str, *operands: Any) -> None:
    """Check that operands are of one dtype. Raises TypeError."""
    if len({x.dtype for x in operands}) > 1:
        given = ", ".join(dtypes.name(x.dtype) for x in operands)
        raise TypeError(f"lax.{name} requires arguments to have the same dtypes, got {given}, at {user_line()}")


def real_operands(name: str, *operands: Any) -> None:
    """Check that operands are of one real floating type, 16-bit ones included. Raises TypeError."""
    for i, x in enumerate(operands):
        if not dtypes.is_float(x.dtype):
            raise refused(name, x, i, "floating")
    one_dtype(name, *operands)


def matrix(name: str, x: Any, square: bool = False) -> Array:
    """`x` as an Array that has been checked (see `check`)."""
    array = as_array(x)
    check(name, array, square)
    return array


def inexact(x: Any) -> Array:
    """`x` as an Array, integers and booleans made floating."""
    array = as_array(x)
    return array if dtypes.is_inexact(array.dtype) else convert(array, dtypes.to_inexact(array.dtype))


def strong(shape: Shape, dtype: DType) -> ShapedArray:
    return ShapedArray(shape, dtype, False)


# ---- evaluation ----------------------------------------------------------------------------------

#: NumPy's batched LAPACK calls. Used directly because the public functions raise where XLA gives
#: NaN.
gufuncs: Any = np.linalg._umath_linalg


def lapack(name: str, dtype: DType) -> Any:
    """SciPy's wrapper of a LAPACK routine for `dtype`, e.g. `dgetrf`."""
    found = _routines.get((name, dtype))
    if found is None:
        from scipy.linalg import blas, lapack

        prefix = _PREFIX[dtype]
        found = getattr(lapack, prefix + name, None) or getattr(blas, prefix + name)
        _routines[name, dtype] = found
    return found


_routines: dict[tuple[str, DType], Any] = {}


def of_finite(function: Callable[[Any], Any], a: Any, among: Callable[[Any], Any] = lambda a: a) -> list[Any]:
    """The results of an iteration on a batch of matrices, NaN for those of which not all elements
    `among` theirs are finite.

    Iterations on infinities and NaNs may not terminate. See `emit_finite`.
    """
    finite = np.isfinite(among(a)).all(axis=(-1, -2))
    everywhere = bool(finite.all())
    out = function(a if everywhere else np.where(finite[..., None, None], a, a.dtype.type(0)))
    outs = list(out) if isinstance(out, (list, tuple)) else [out]
    if everywhere:
        return outs
    masks = [finite.reshape(finite.shape + (1,) * (x.ndim - finite.ndim)) for x in outs]
    return [np.where(mask, x, x.dtype.type(np.nan)) for mask, x in zip(masks, outs)]


def column_major(shape: Shape, dtype: DType) -> np.ndarray[Any, Any]:
    """An uninitialised array whose matrices are stored by columns, as LAPACK wants them to work in
    place."""
    return np.empty((*shape[:-2], shape[-1], shape[-2]), dtype).swapaxes(-1, -2)


def column_major_copy(x: Any) -> np.ndarray[Any, Any]:
    """A copy of `x` for LAPACK to work in."""
    out = column_major(x.shape, x.dtype)
    out[...] = x
    return out


def indices(batch: Shape) -> Iterator[Any]:
    """The index of each matrix of a batch."""
    return iter(((),)) if not batch else np.ndindex(*batch)


class OfBatches(Primitive):
    """A function of batches, of matrices or vectors, with one shape of batch axes: vmap adds one in
    front.

    >>> from pullback.lax.linalg import cholesky_update_p
    >>> cholesky_update_p.batch(2, [np.ones((3, 3, 2)), np.ones(3)], [2, None])[0].shape
    (2, 3, 3)
    """

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], **params: Any) -> Any:
        out = self.bind(*[batch_first(x, b, size) for x, b in zip(args, axes)], **params)
        return (out, [0] * len(out)) if self.multiple_results else (out, 0)


class Decomposition(OfBatches):
    """A function of batches of matrices of one shape, with no common structure but this.

    Subclasses give the rule `lower` for matrices with elements, as `lower_elements`, or `expand`.
    """

    is_partial = True

    def lower(self, emit: Any, *operands: Any, **params: Any) -> Any:
        if not operands[0].size:
            return emit_evaluated(emit, self, *operands, **params)
        return self.lower_elements(emit, *operands, **params)

    def lower_elements(self, emit: Any, *operands: Any, **params: Any) -> Any:
        return super().lower(emit, *operands, **params)


# ---- compiled programs ---------------------------------------------------------------------------


class ByColumns(Value):
    """A value whose matrices a LAPACK routine has left stored by columns, unlike those that other
    operations make."""

    __slots__ = ()


def lapack_call(
    emit: Any, routine: str, operands: Sequence[Any], outs: Sequence[ShapedArray], matrices: str,
    overwrites: Sequence[int] = (), **settings: str | bool | int,
) -> list[Any]:  # fmt: skip
    """The results of a LAPACK routine on a batch of matrices: jaxlib's kernels, which XLA knows by
    name.

    `matrices` has an "m" for each operand and each result that is a matrix, to be stored by
    columns, and a "v" for the others; `overwrites` are the operands whose memory the first results
    take. Settings that are characters are LAPACK's. A `routine` whose name ends in "_ffi" is one
    kernel for all types.
    """

    def layout(x: Any, kind: str) -> str:
        axes = list(range(len(x.shape)))[::-1]
        if kind == "m":
            axes[0], axes[1] = axes[1], axes[0]
        return layout_text(axes)

    kinds = list(matrices)
    config = ", ".join(f"{k} = {_setting(v)}" for k, v in settings.items())
    count = len(operands)
    target = routine if routine.endswith("_ffi") else f"lapack_{_PREFIX[operands[0].dtype]}{routine}_ffi"
    emit.need("has_lapack", f"it calls LAPACK ({target})" if target.startswith("lapack_") else f"it calls {target}")
    results = emit.custom_call(
        target, *operands, out=list(outs), backend_config=f"{{{config}}}",
        layouts=([*map(layout, operands, kinds[:count])], [*map(layout, outs, kinds[count:])]),
        aliases=tuple(enumerate(overwrites)),
    )  # fmt: skip
    return [ByColumns(r.name, r.shape, r.dtype) if kind == "m" else r for r, kind in zip(results, kinds[count:])]


def _setting(value: str | bool | int) -> str:
    if isinstance(value, str):
        return f"{ord(value)} : ui8"
    return str(value).lower() if isinstance(value, bool) else f"{size_text(value)} : i32"


def emit_evaluated(emit: Any, primitive: Primitive, *operands: Any, **params: Any) -> Any:
    """The results of a primitive on operands without elements, as constants."""
    # All matrices of a batch are the same: of a symbolic number of them, one says what they are.
    out = primitive.evaluate(
        *(np.empty([1 if n.__class__ is Dim else n for n in x.shape], x.dtype) for x in operands), **params
    )
    outs = out if primitive.multiple_results else [out]
    values = []
    for x, t in zip(outs, emit.types):
        known = tuple([i for i, n in enumerate(t.shape) if n.__class__ is not Dim])
        one = emit.constant_array(x.reshape([t.shape[i] for i in known]))
        values.append(emit.broadcast(one, t.shape, known))
    return values if primitive.multiple_results else values[0]


def emit_finite(emit: Any, a: Any, among: Any = None) -> tuple[Any, Any]:
    """For each matrix whether all its elements (those of `among`, a matrix like it) are finite, and
    the matrices, zero if they are not.

    Iterations on infinities and NaNs may not terminate.
    """
    axes = (a.ndim - 2, a.ndim - 1)
    finite = emit("is_finite", a if among is None else among, out=ShapedArray(a.shape, dtypes.bool_))
    finite = emit.reduce(finite, True, "and", axes)
    return finite, emit.select(emit.broadcast(finite, a.shape, tuple(range(a.ndim - 2))), a, emit.like(0, a))


def info_of(a: Any) -> ShapedArray:
    """The type of the numbers that say, for each matrix, whether a routine succeeded."""
    return ShapedArray(a.shape[:-2], dtypes.int32)


def or_nan(emit: Any, info: Any, *results: Any, finite: Any = None) -> list[Any]:
    """The results, all NaN for the matrices for which `info` is not 0, or that are not `finite`."""
    if finite is not None:
        info = emit.select(finite, info, emit.like(1, info))
    succeeded = emit.compare("EQ", info, emit.like(0, info))
    return [
        emit.select(emit.broadcast(succeeded, x.shape, tuple(range(succeeded.ndim))), x, emit.like(np.nan, x))
        for x in results
    ]
