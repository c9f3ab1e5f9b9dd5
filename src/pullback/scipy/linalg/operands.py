"""Operands as SciPy's users write them, made into what `lax.linalg` takes."""

from __future__ import annotations

from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.types import Shape, broadcast_shapes
from pullback.lax.linalg import matrices
from pullback.lax.shape import broadcast_to, reshape_p
from pullback.numpy import conversion
from pullback.numpy.promotion import array_like, here, promote_inexact


def given(name: str, x: Any, lists: bool = False) -> Array:
    """`x` as an Array of LAPACK's types, integers made floats; with `lists`, also lists of numbers.

    Raises TypeError for what is no array, NotImplementedError for floats of 16 bits and fewer.
    """
    array = conversion.array(x) if lists and isinstance(x, (list, tuple)) else x
    return promote_inexact(f"scipy.linalg.{name}", array)[0]


def matrix(name: str, x: Any, square: bool = False, lists: bool = False) -> Array:
    """`x` as batches of matrices (..., m, n). Raises ValueError for fewer axes, or if they must be
    `square` and are not, and otherwise as `given`."""
    array = given(name, x, lists)
    if array.ndim < 2 or (square and array.shape[-1] != array.shape[-2]):
        shape = "(..., n, n)" if square else "(..., m, n)"
        raise here(ValueError, f"{name} takes matrices of shape {shape}, got shape {array.shape}")
    matrices.check(name, array)
    return array


def exact_type(name: str, x: Any) -> Array:
    """`x` as an Array that is floating already: what functions take that refuse integers."""
    array = array_like(x, f"scipy.linalg.{name}")
    if not dtypes.is_inexact(array.dtype):
        raise matrices.refused(name, array)
    return array


def system(name: str, a: Any, b: Any, lists: bool = False) -> tuple[Array, Array, bool]:
    """(a, b, vectors): square matrices (..., n, n) and right-hand sides (..., n, k) of one dtype and
    of one shape of batch axes, and whether b was vectors: of shape (n,), or of `a`'s without its
    last axis.

    Raises ValueError for shapes that do not fit.
    """
    a, b = promote_inexact(f"scipy.linalg.{name}", given(name, a, lists), given(name, b, lists))
    if a.ndim < 2 or a.shape[-1] != a.shape[-2] or not b.ndim:
        raise _misfit(name, a, b)
    matrices.check(name, a)
    vectors = b.ndim == 1 or b.shape == a.shape[:-1]
    if b.shape[-1 if vectors else -2] != a.shape[-1]:
        raise _misfit(name, a, b)
    if vectors:
        b = reshape_p.bind(b, new_sizes=(*b.shape, 1))
    try:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise _misfit(name, a, b) from None
    return over(a, batch), over(b, batch), vectors


def over(x: Array, batch: Shape) -> Array:
    """Matrices with these batch axes."""
    return broadcast_to(x, (*batch, *x.shape[-2:]))


def _misfit(name: str, a: Array, b: Array) -> Exception:
    return here(
        ValueError,
        f"{name} takes matrices of shape (..., n, n) and right-hand sides of shape (n,), (..., n) or (..., n, k), "
        f"got shapes {a.shape} and {b.shape}",
    )


def columns_or_vectors(x: Array, vectors: bool) -> Array:
    """Solutions in the form of their right-hand sides."""
    return reshape_p.bind(x, new_sizes=x.shape[:-1]) if vectors else x
