"""Linear maps and vectors: application to vectors and to batches of them, dense matrices, and SciPy's
operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.errors import filter_traceback, user_line
from pullback.core.linear import zeros
from pullback.core.trace import EVAL, under
from pullback.core.tree import tree_flatten, tree_leaves
from pullback.core.types import ShapedArray, integer
from pullback.lax.arrangement import concatenate
from pullback.lax.shape import convert, reshape_p
from pullback.transforms.map_spaces import Coordinates, bare, flattened, zero_of
from pullback.transforms.vmap import vmap

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Function, NumPyArray, Size, Tree, Value
    from pullback.transforms.map_algebra import LinearMap

    #: A `scipy.sparse.linalg.LinearOperator`.
    ScipyOperator = Any

Mode = Literal["auto", "forward", "reverse"]
MODES = ("auto", "forward", "reverse")


def on_arrays(m: LinearMap) -> Callable[..., list[Value]]:
    """A map as a function of the arrays of its inputs, with those of its outputs as results."""
    ins, outs = Coordinates(m.in_type), Coordinates(m.out_type)
    return lambda *arrays: outs.arrays(m(*ins.fill(arrays)))


# ---- vectors and batches of them -----------------------------------------------------------------


def applied(m: LinearMap, x: Tree, axis: int) -> Tree:
    """What a map makes of a vector, or of a batch of vectors along the first or last axis (see
    `LinearMap.__matmul__`)."""
    try:
        expected, tree = flattened(bare(m.in_type))
        if tree.is_leaf() and not isinstance(x, (tuple, list, dict)):
            x = as_array(x)
        leaves, structure = tree_flatten(x)
        if structure != tree:
            leaves, structure = tree_flatten(bare(x))
        if structure != tree:
            raise TypeError(
                f"a linear map of {_shown(expected)} cannot be applied to a tree of structure {structure}, expected {tree}, at {user_line()}"
            )
        arrays = [x if getattr(x, "dtype", None) == dtypes.float0 else as_array(x) for x in leaves]
        shapes = [tuple(x.shape) for x in arrays]
        if shapes == [t.shape for t in expected]:
            return _unwrapped(m(*_arguments(m, arrays)))
        sizes = {s[axis] if len(s) > len(t.shape) else None for s, t in zip(shapes, expected)}
        cut = slice(1, None) if axis == 0 else slice(None, -1)
        if len(sizes) != 1 or None in sizes or [s[cut] for s in shapes] != [t.shape for t in expected]:
            raise ValueError(
                f"a linear map of {_shown(expected)} cannot be applied to arrays of shapes {shapes}: vectors have these shapes, and "
                f"batches one axis more, the {'first' if axis == 0 else 'last'}, at {user_line()}"
            )
        return _over_batch(m, arrays, axis, *sizes)
    except Exception as error:
        filter_traceback(error)
        raise


def _arguments(m: LinearMap, arrays: Sequence[Value]) -> tuple[Tree, ...]:
    """The arguments of a map that have these arrays."""
    args: Any = flattened(m.in_type)[1].unflatten(list(arrays))
    return tuple(args)


def _over_batch(m: LinearMap, arrays: Sequence[Value], axis: int, size: Size) -> Tree:
    given = [x for x in arrays if x.dtype != dtypes.float0]
    found = iter(vmap(on_arrays(m), in_axes=axis, out_axes=axis, axis_size=size)(*given))
    types, tree = flattened(m.out_type)
    zero: Callable[[ShapedArray], Value] = lambda t: zero_of(
        t.update(shape=(size, *t.shape) if axis == 0 else (*t.shape, size))
    )
    return _unwrapped(tree.unflatten([zero(t) if t.dtype == dtypes.float0 else next(found) for t in types]))


def _unwrapped(out: Tree) -> Tree:
    return out[0] if type(out) is tuple and len(out) == 1 else out


def _shown(types: Sequence[ShapedArray]) -> str:
    return ", ".join([t.str_short() for t in types]) or "nothing"


# ---- dense matrices ------------------------------------------------------------------------------


def matrix_of(m: LinearMap, mode: Mode = "auto", batch_size: int | None = None) -> Array:
    """The dense matrix of a linear map (see `LinearMap.to_matrix`)."""
    try:
        if mode not in MODES:
            raise ValueError(f"to_matrix: mode must be one of {', '.join(map(repr, MODES))}; got {mode!r}")
        size = None if batch_size is None else integer(batch_size, "to_matrix: batch_size")
        if size is not None and size < 1:
            raise ValueError(f"to_matrix: batch_size must be a positive integer, got {size}")
        check_linear(m, "to_matrix")
        rows, columns = m.shape
        is_real_to_complex = not Coordinates(m.in_type).is_complex() and _has_complex(Coordinates(m.out_type))
        forward = mode == "forward" or (mode == "auto" and (columns <= rows or is_real_to_complex))
        return columns_of(m, size) if forward else _rows_of(m, size, is_real_to_complex)
    except Exception as error:
        filter_traceback(error)
        raise


def columns_of(m: LinearMap, batch_size: int | None = None) -> Array:
    """The matrix of the images of the basis vectors, of which `batch_size` are mapped at a time."""
    ins, outs = Coordinates(m.in_type), Coordinates(m.out_type)
    dtype = outs.dtype()
    push = vmap(on_arrays(m), out_axes=-1)
    parts: list[Array] = [zeros((outs.size, 0), dtype)]
    for start, stop in _chunks(ins.size if outs.size else 0, batch_size):
        blocks = push(*ins.basis(start, stop))
        parts.append(concatenate([_as_matrix(y, dtype, (-1, stop - start)) for y in blocks], 0))
    if ins.size and not outs.size:
        return zeros((0, ins.size), dtype)
    return parts[-1] if len(parts) == 2 else concatenate(parts, 1)


def _rows_of(m: LinearMap, batch_size: int | None, is_real_to_complex: bool) -> Array:
    """The same by the images of the outputs' basis vectors under the transpose."""
    ins, outs = Coordinates(m.in_type), Coordinates(m.out_type)
    dtype = outs.dtype()
    pull = on_arrays(m.T)

    def of_vector(*cts: Value) -> list[Value]:
        if not is_real_to_complex:
            return pull(*cts)
        # Real inputs get the real part of ct · row: that of i ct · row is minus the imaginary part.
        turned = pull(
            *[ct * as_array(np.array(-1j, ct.dtype)) if dtypes.is_complex(ct.dtype) else ct * 0 for ct in cts]
        )
        unit = as_array(np.array(1j, dtype))
        return [convert(re, dtype) + convert(im, dtype) * unit for re, im in zip(pull(*cts), turned)]

    parts: list[Array] = [zeros((0, ins.size), dtype)]
    for start, stop in _chunks(outs.size if ins.size else 0, batch_size):
        blocks = vmap(of_vector)(*outs.basis(start, stop))
        parts.append(concatenate([_as_matrix(x, dtype, (stop - start, -1)) for x in blocks], 1))
    if outs.size and not ins.size:
        return zeros((outs.size, 0), dtype)
    return parts[-1] if len(parts) == 2 else concatenate(parts, 0)


def _chunks(count: int, size: int | None) -> list[tuple[int, int]]:
    size = size or max(count, 1)
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def _as_matrix(x: Value, dtype: DType, shape: tuple[int, int]) -> Value:
    rows, columns = shape
    sizes = (x.size // columns, columns) if rows == -1 else (rows, x.size // rows)
    return convert(reshape_p.bind(x, new_sizes=sizes), dtype)


def _has_complex(space: Coordinates) -> bool:
    return any([dtypes.is_complex(t.dtype) for t in space.types])


def check_linear(m: LinearMap, what: str) -> None:
    """Raise TypeError if a map has complex inputs and is linear over the reals alone, as far as that can be
    seen: of a traced map, by its types."""
    ins, outs = Coordinates(m.in_type), Coordinates(m.out_type)
    if not ins.is_complex():
        return
    why = f"{what}: a map of complex inputs has a matrix only if it is linear over the complex numbers"
    advice = f"at {user_line()}. Make the function one of real and imaginary parts"
    if not all([dtypes.is_complex(t.dtype) for t in outs.types]):
        raise TypeError(f"{why}; the outputs are {_shown(outs.types)}, {advice}")
    if not all([isinstance(x, ConcreteArray) for x in tree_leaves(m)]):
        return
    rng = np.random.default_rng(0)
    vector = [concrete((rng.normal(size=t.shape) + 1j * rng.normal(size=t.shape)).astype(t.dtype)) for t in ins.types]
    turned = [concrete(x._value * np.array(1j, x.dtype)) for x in vector]
    # All that the map consists of is there, whatever is being traced around.
    images, of_turned = (under(EVAL, on_arrays(m), *xs) for xs in (vector, turned))
    for y, z in zip(images, of_turned):
        of_sum, expected = np.asarray(z, np.complex128), 1j * np.asarray(y, np.complex128)
        size = np.abs(expected).max(initial=0)
        if (
            np.isfinite(size)
            and np.abs(of_sum - expected).max(initial=0) > float(dtypes.finfo(y.dtype).eps) ** 0.5 * size
        ):
            raise TypeError(f"{why}; this one is not: it conjugates, or takes real parts, {advice}")


# ---- operators of SciPy --------------------------------------------------------------------------


def scipy_operator(m: LinearMap, transform: Function | None = None) -> ScipyOperator:
    """A `scipy.sparse.linalg.LinearOperator` of a linear map (see `LinearMap.to_scipy`)."""
    from scipy.sparse.linalg import LinearOperator

    check_linear(m, "to_scipy")
    dtype = np.result_type(Coordinates(m.in_type).dtype(), Coordinates(m.out_type).dtype())
    push, pull = OnColumns(m, transform), OnColumns(m.T, transform)
    is_real_to_complex = dtypes.is_complex(dtype) and not Coordinates(m.in_type).is_complex()

    def adjoint(y: NumPyArray) -> NumPyArray:
        # SciPy's adjoint is the conjugate transpose; the transpose gives real inputs real parts.
        y = np.conj(y)
        found = pull(y) + 1j * pull(-1j * y) if is_real_to_complex else pull(y)
        return np.conj(found)

    return LinearOperator(m.shape, matvec=push, rmatvec=adjoint, matmat=push, rmatmat=adjoint, dtype=dtype)


class OnColumns:
    """A map as a function of NumPy's arrays: of a flat vector, or of each column of a matrix. `transform`
    is applied to what does so.

    Example: `OnColumns(m, jit)(np.eye(3))`.
    """

    __slots__ = ("_ins", "_outs", "_one", "_several")
    _one: Callable[..., list[Value]]
    _several: Callable[..., list[Value]]

    def __init__(self, m: LinearMap, transform: Function | None) -> None:
        self._ins, self._outs = Coordinates(m.in_type), Coordinates(m.out_type)
        one = on_arrays(m)
        several = vmap(one, in_axes=-1, out_axes=-1)
        self._one, self._several = (one, several) if transform is None else (transform(one), transform(several))

    def __call__(self, x: NumPyArray) -> NumPyArray:
        x = np.asarray(x)
        if np.iscomplexobj(x) and self._ins.types and not _has_complex(self._ins):
            real, imag = self(x.real), self(x.imag)
            return real + 1j * imag
        columns = x.shape[1] if x.ndim == 2 else 1
        more = (columns,) if columns != 1 else ()
        parts, start = [], 0
        for t in self._ins.types:
            parts.append(as_array(x[start : start + t.size].reshape(*t.shape, *more).astype(t.dtype)))
            start += t.size
        if not parts or not columns:
            return np.zeros((self._outs.size, *x.shape[1:]), self._outs.dtype())
        blocks = [np.asarray(y) for y in (self._several if more else self._one)(*parts)]
        found = [y.reshape(y.size // columns, *x.shape[1:]) for y in blocks]
        return np.concatenate(found) if found else np.zeros((0, *x.shape[1:]), self._outs.dtype())


__all__ = ["Mode", "applied", "check_linear", "columns_of", "matrix_of", "on_arrays", "scipy_operator"]
