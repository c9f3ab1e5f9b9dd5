"""Shapes and axes of arrays: reshaping, reordering, reversing, broadcasting.

Everything here moves elements by the primitives of `lax`, so it is differentiable, works under
every transformation and on every dtype. Shapes and axes must be concrete.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from pullback.core.array import Array
from pullback.core.dimensions import index
from pullback.core.errors import see, user_line
from pullback.core.types import Shape, canonical_axes, canonical_axis, integer, integers, is_sequence
from pullback.core.types import broadcast_shapes as core_broadcast_shapes
from pullback.lax import shape as lax_shape
from pullback.lax.arrangement import rev
from pullback.lax.shape import move_axis, reshape_p, transpose_p
from pullback.numpy.creation import canonical_shape
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, raised_to
from pullback.xla.devices import no_sharding

# ---- shape ---------------------------------------------------------------------------------------


@planned
def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None, out_sharding: Any = None) -> Array:
    """The elements of `a` in another shape, of which one size may be -1; read and filled in
    row-major ("C") or column-major ("F") order.

    Raises TypeError if the number of elements differs, and for sizes that are no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.reshape(jnp.arange(6), (2, -1))
    Array([[0, 1, 2],
           [3, 4, 5]], dtype=int32)
    >>> jnp.reshape(jnp.arange(6), (2, -1), order="F")
    Array([[0, 2, 4],
           [1, 3, 5]], dtype=int32)
    """
    del copy
    no_sharding("reshape", out_sharding)
    x = array_like(a, "reshape")
    if order == "C":
        return _reshape(x, shape)
    if order == "F":
        sizes = _sizes(shape)
        return transpose(_reshape(transpose(x), sizes[::-1]))
    if order == "A":
        raise NotImplementedError(
            "reshape with order='A' depends on memory order, which Arrays do not have: use 'C' or 'F'"
        )
    raise ValueError(f"reshape: order must be 'C' or 'F', got {order!r}")


def _sizes(shape: Any) -> Shape:
    """A shape in which one size may be -1."""
    try:
        if is_sequence(shape):
            return tuple([index(n) for n in shape])
        return (index(shape),)
    except TypeError as error:
        raise TypeError(
            f"a shape is an integer or a sequence of concrete integers, got {shape!r} at {user_line()} ({error}){see('static-arguments')}"
        ) from None


def _reshape(x: Array, shape: Any) -> Array:
    sizes = _sizes(shape)
    if prod(sizes) == x.size and all([n >= 0 for n in sizes]):
        return x if sizes == x.shape else reshape_p.bind(x, new_sizes=sizes)
    return lax_shape.reshape(x, sizes)


def ravel(a: Any, order: str = "C", *, out_sharding: Any = None) -> Array:
    """The elements of `a` in one row, in row-major ("C") or column-major ("F") order: an array of
    shape (a.size,).

    Raises NotImplementedError for `order="K"`, ValueError for unknown orders.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> jnp.ravel(x), jnp.ravel(x, order="F")
    (Array([1, 2, 3, 4], dtype=int32), Array([1, 3, 2, 4], dtype=int32))
    """
    no_sharding("ravel", out_sharding)
    x = array_like(a, "ravel")
    if order == "K":
        raise NotImplementedError(
            "ravel with order='K' depends on memory order, which Arrays do not have: use 'C' or 'F'"
        )
    if order != "C":
        return reshape(x, (x.size,), order)
    return x if x.ndim == 1 else reshape_p.bind(x, new_sizes=(x.size,))


@planned
def expand_dims(a: Any, axis: int | Sequence[int] = 0) -> Array:
    """`a` with new axes of length 1 at the positions `axis` of the result.

    Raises ValueError for positions that are out of bounds or twice there.

    >>> import pullback.numpy as jnp
    >>> x = jnp.ones((2, 3))
    >>> jnp.expand_dims(x, 1).shape, jnp.expand_dims(x, (0, -1)).shape
    ((2, 1, 3), (1, 2, 3, 1))
    """
    x = array_like(a, "expand_dims")
    return lax_shape.expand_dims(x, axis)


@planned
def squeeze(a: Any, axis: int | Sequence[int] | None = None) -> Array:
    """`a` without the axes `axis`, which must have length 1 (ValueError if not); by default without
    all that have.

    >>> import pullback.numpy as jnp
    >>> x = jnp.ones((1, 3, 1))
    >>> jnp.squeeze(x).shape, jnp.squeeze(x, axis=0).shape
    ((3,), (3, 1))
    """
    x = array_like(a, "squeeze")
    if axis is None:
        sizes = tuple(n for n in x.shape if n != 1)
        return x if len(sizes) == x.ndim else reshape_p.bind(x, new_sizes=sizes)
    return lax_shape.squeeze(x, axis)


def _at_least(name: str, ndim: int, arys: tuple[Any, ...]) -> Any:
    out = [raised_to(array_like(a, name), ndim) for a in arys]
    return out[0] if len(out) == 1 else out


def raised_to_3(x: Array) -> Array:
    """`x` with at least three axes: (n,) becomes (1, n, 1) and (n, m) becomes (n, m, 1)."""
    if x.ndim >= 3:
        return x
    return reshape_p.bind(x, new_sizes=(*x.shape, 1) if x.ndim == 2 else (1, x.size, 1))


def atleast_1d(*arys: Any) -> Any:
    """Each argument with at least one axis: scalars become arrays of shape (1,). A list if there
    are several.

    Raises TypeError for what is no array.

    >>> import pullback.numpy as jnp
    >>> jnp.atleast_1d(2.0, jnp.array([3, 4]))
    [Array([2.], dtype=float32, weak_type=True), Array([3, 4], dtype=int32)]
    """
    return _at_least("atleast_1d", 1, arys)


def atleast_2d(*arys: Any) -> Any:
    """Each argument with at least two axes, new ones first: (n,) becomes (1, n). A list if there
    are several.

    Raises TypeError for what is no array.

    >>> import pullback.numpy as jnp
    >>> jnp.atleast_2d(jnp.array([1, 2]))
    Array([[1, 2]], dtype=int32)
    """
    return _at_least("atleast_2d", 2, arys)


def atleast_3d(*arys: Any) -> Any:
    """Each argument with at least three axes: (n,) becomes (1, n, 1) and (n, m) becomes (n, m, 1).
    A list if there are several.

    Raises TypeError for what is no array.

    >>> import pullback.numpy as jnp
    >>> jnp.atleast_3d(jnp.ones(4)).shape, jnp.atleast_3d(jnp.ones((4, 5))).shape
    ((1, 4, 1), (4, 5, 1))
    """
    out = [raised_to_3(array_like(a, "atleast_3d")) for a in arys]
    return out[0] if len(out) == 1 else out


# ---- axes ----------------------------------------------------------------------------------------


def transpose(a: Any, axes: Sequence[int] | None = None) -> Array:
    """`a` with its axes in the order `axes`; reversed by default.

    Axis i of the result is axis `axes[i]` of `a`. Raises TypeError if `axes` is not a permutation.

    >>> import pullback.numpy as jnp
    >>> x = jnp.zeros((2, 3, 4))
    >>> jnp.transpose(x).shape, jnp.transpose(x, (1, 2, 0)).shape
    ((4, 3, 2), (3, 4, 2))
    """
    x = array_like(a, "transpose")
    ndim = len(x.shape)
    if axes is None:
        return transpose_p.bind(x, permutation=tuple(range(ndim - 1, -1, -1))) if ndim > 1 else x
    permutation = tuple(canonical_axis(i, ndim) for i in axes)
    return lax_shape.transpose(x, permutation)


def permute_dims(a: Any, /, axes: Sequence[int]) -> Array:
    """`a` with its axes in the order `axes`: `transpose` by the name of the array API standard.

    Raises TypeError if `axes` is not a permutation.

    >>> import pullback.numpy as jnp
    >>> jnp.permute_dims(jnp.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    if axes is None:
        raise here(TypeError, "permute_dims needs axes")
    return transpose(a, axes)


def matrix_transpose(x: Any, /) -> Array:
    """The transposes of the matrices in the last two axes: shape (..., m, n) becomes (..., n, m).

    Raises ValueError if there are not two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.matrix_transpose(jnp.arange(6).reshape(1, 2, 3))
    Array([[[0, 3],
            [1, 4],
            [2, 5]]], dtype=int32)
    """
    x = array_like(x, "matrix_transpose")
    if x.ndim < 2:
        raise ValueError(
            f"matrix_transpose takes an array of at least two dimensions, got shape {x.shape} at {user_line()}"
        )
    return swapaxes(x, -1, -2)


@planned
def swapaxes(a: Any, axis1: int, axis2: int) -> Array:
    """`a` with two axes exchanged.

    Raises ValueError for axes that are out of bounds.

    >>> import pullback.numpy as jnp
    >>> jnp.swapaxes(jnp.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    x = array_like(a, "swapaxes")
    order = list(range(x.ndim))
    i, j = canonical_axis(axis1, x.ndim), canonical_axis(axis2, x.ndim)
    order[i], order[j] = j, i
    return x if i == j else transpose_p.bind(x, permutation=tuple(order))


@planned
def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Array:
    """`a` with the axes `source` (one or several) moved to the positions `destination`, the others
    in order.

    Raises ValueError if there are not as many positions as axes, and for those that are out of
    bounds or twice there.

    >>> import pullback.numpy as jnp
    >>> x = jnp.zeros((2, 3, 4, 5))
    >>> jnp.moveaxis(x, 0, -1).shape, jnp.moveaxis(x, (0, 1), (-1, -2)).shape
    ((3, 4, 5, 2), (4, 5, 3, 2))
    """
    x = array_like(a, "moveaxis")
    sources, targets = integers(source, "moveaxis: source"), integers(destination, "moveaxis: destination")
    if len(sources) != len(targets):
        raise ValueError(f"moveaxis: source and destination differ in length: {len(sources)} and {len(targets)}")
    from_axes, to_axes = canonical_axes(sources, x.ndim), canonical_axes(targets, x.ndim)
    order = [i for i in range(x.ndim) if i not in from_axes]
    for target, i in sorted(zip(to_axes, from_axes)):
        order.insert(target, i)
    return x if order == list(range(x.ndim)) else transpose_p.bind(x, permutation=tuple(order))


def rollaxis(a: Any, axis: int, start: int = 0) -> Array:
    """`a` with `axis` moved before the axis now at `start`.

    `moveaxis` is clearer: `start` counts in the array before the move. Raises ValueError for
    numbers that are out of bounds.

    >>> import pullback.numpy as jnp
    >>> x = jnp.zeros((2, 3, 4, 5))
    >>> jnp.rollaxis(x, 3, 1).shape, jnp.rollaxis(x, 0, 4).shape
    ((2, 5, 3, 4), (3, 4, 5, 2))
    """
    x = array_like(a, "rollaxis")
    i, start = canonical_axis(axis, x.ndim), integer(start, "rollaxis: start")
    if not -x.ndim <= start <= x.ndim:
        raise ValueError(f"rollaxis: start={start} must be in [{-x.ndim}, {x.ndim}] for an array of shape {x.shape}")
    start = start + x.ndim if start < 0 else start
    return move_axis(x, i, start - (start > i))


@planned
def flip(m: Any, axis: int | Sequence[int] | None = None) -> Array:
    """`m` with the elements in reverse order along `axis` (one, several or, by default, all).

    Raises ValueError for axes that are out of bounds or twice there.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> jnp.flip(x)
    Array([[4, 3],
           [2, 1]], dtype=int32)
    >>> jnp.flip(x, 0)
    Array([[3, 4],
           [1, 2]], dtype=int32)
    """
    x = array_like(m, "flip")
    axes = canonical_axes(axis, x.ndim)
    return rev(x, axes) if axes else x


@planned
def fliplr(m: Any) -> Array:
    """`m` with its columns in reverse order: reversed along axis 1.

    Raises ValueError for fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.fliplr(jnp.array([[1, 2, 3], [4, 5, 6]]))
    Array([[3, 2, 1],
           [6, 5, 4]], dtype=int32)
    """
    return flip(m, 1)


@planned
def flipud(m: Any) -> Array:
    """`m` with its rows in reverse order: reversed along axis 0.

    Raises ValueError for scalars.

    >>> import pullback.numpy as jnp
    >>> jnp.flipud(jnp.array([[1, 2, 3], [4, 5, 6]]))
    Array([[4, 5, 6],
           [1, 2, 3]], dtype=int32)
    """
    return flip(m, 0)


@planned
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """`m` rotated `k` quarter turns in the plane of `axes`, from the first towards the second.

    A matrix turns anticlockwise, with negative `k` clockwise. Raises ValueError for fewer than two
    axes, and unless `axes` are two different ones.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> jnp.rot90(x)
    Array([[2, 4],
           [1, 3]], dtype=int32)
    >>> jnp.rot90(x, -1)
    Array([[3, 1],
           [4, 2]], dtype=int32)
    """
    x = array_like(m, "rot90")
    if x.ndim < 2:
        raise ValueError(f"rot90 takes an array of at least two dimensions, got shape {x.shape} at {user_line()}")
    plane = integers(axes, "rot90: axes")
    if len(plane) != 2:
        raise here(ValueError, f"rot90: axes must be two, got {axes}")
    i, j = (canonical_axis(a, x.ndim) for a in plane)
    if i == j:
        raise ValueError(f"rot90: the axes must be different, got {axes}")
    turns = integer(k, "rot90: k") % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (i, j))
    return swapaxes(flip(x, j), i, j) if turns == 1 else flip(swapaxes(x, i, j), j)


# ---- broadcasting --------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that arrays of `shapes` broadcast to. Raises ValueError naming the shapes.

    >>> broadcast_shapes((1, 2), (3, 1))
    (3, 2)
    """
    return core_broadcast_shapes(*(canonical_shape(s) for s in shapes))


@planned
def broadcast_to(array: Any, shape: Any, *, out_sharding: Any = None) -> Array:
    """`array` repeated along new and length-1 axes to `shape`: axes align at the right.

    Raises ValueError if it does not broadcast to it.

    >>> import pullback.numpy as jnp
    >>> jnp.broadcast_to(jnp.array([[1], [2]]), (2, 3))
    Array([[1, 1, 1],
           [2, 2, 2]], dtype=int32)
    """
    no_sharding("broadcast_to", out_sharding)
    x = array_like(array, "broadcast_to")
    sizes = canonical_shape(shape)
    new = len(sizes) - x.ndim
    if new < 0:
        raise here(
            ValueError, f"cannot broadcast an array of shape {x.shape} to a shape with fewer dimensions, {sizes}"
        )
    for n, m in zip(x.shape, sizes[new:]):
        if n != m and n != 1:
            raise here(ValueError, f"an array of shape {x.shape} does not broadcast to shape {sizes}")
    return lax_shape.broadcast_to(x, sizes)


def broadcast_arrays(*args: Any) -> list[Array]:
    """The arguments broadcast to their common shape, a list. Dtypes stay as they are.

    Raises ValueError if they have no common shape.

    >>> import pullback.numpy as jnp
    >>> jnp.broadcast_arrays(jnp.array([1, 2]), jnp.array([[0.5], [1.5]]))
    [Array([[1, 2],
           [1, 2]], dtype=int32), Array([[0.5, 0.5],
           [1.5, 1.5]], dtype=float32)]
    """
    arrays = [array_like(a, "broadcast_arrays") for a in args]
    shape = core_broadcast_shapes(*(a.shape for a in arrays)) if arrays else ()
    return [lax_shape.broadcast_to(a, shape) for a in arrays]


__all__ = ["atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_shapes", "broadcast_to"]
__all__ += ["expand_dims", "flip", "fliplr", "flipud", "matrix_transpose", "moveaxis", "permute_dims", "ravel"]
__all__ += ["reshape", "rollaxis", "rot90", "squeeze", "swapaxes", "transpose"]
