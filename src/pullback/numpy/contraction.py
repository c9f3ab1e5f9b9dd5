"""Products of vectors, matrices and tensors, all made of `dot_general` (and, without contraction,
of elementwise products).

Every function takes `precision` (checked; CPUs have one precision) and `preferred_element_type`,
the dtype to accumulate and return in, where NumPy's counterpart has such a thing. Products of
16-bit floats are summed in float32.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.dimensions import typical
from pullback.core.dtypes import DType
from pullback.core.errors import see, user_line
from pullback.core.trace import current
from pullback.core.types import Shape, canonical_axis
from pullback.core.types import broadcast_shapes as core_broadcast_shapes
from pullback.lax import shape as lax_shape
from pullback.lax.arrangement import concatenate, slice_in_dim
from pullback.lax.contraction import dot_general_p
from pullback.lax.elementwise import conj_p
from pullback.lax.family import mul_p, sub_p
from pullback.lax.precision import check_precision
from pullback.lax.shape import broadcast_to, convert, move_axis, reduce_sum_p, reshape_p, strong
from pullback.numpy import reductions
from pullback.numpy.creation import diagonal, zeros_like
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote
from pullback.xla.devices import no_sharding


def _preferred(dtype: Any) -> DType | None:
    return None if dtype is None else dtypes.canonicalize_dtype(dtype)


def _operands(name: str, a: Any, b: Any, precision: Any) -> tuple[Array, Array]:
    if precision is not None:
        check_precision(name, precision)
    x, y = promote(name, a, b)
    return x, y


def _contract(
    x: Array, y: Array, xc: Shape, yc: Shape, xb: Shape, yb: Shape, precision: Any, preferred: DType | None
) -> Array:
    for i, j in zip(xc, yc):
        if x.shape[i] != y.shape[j]:
            raise _mismatch(x.shape, y.shape, xc, yc)
    return dot_general_p.bind(
        *((x, y) if preferred is None else (strong(x), strong(y))),
        dimension_numbers=((xc, yc), (xb, yb)),
        precision=precision,
        preferred_element_type=preferred,
    )


def _mismatch(x: Shape, y: Shape, xc: Shape, yc: Shape) -> TypeError:
    return here(
        TypeError,
        f"contracting dimensions must have one length: got shapes {tuple(x)} and {tuple(y)} with dimensions {xc} of the first and {yc} of "
        "the second",
        see("shapes"),
    )


#: dimension_numbers of the products of vectors and matrices, by rank: the last axis of the one with
#: the first axis of the other.
_MATRIX_NUMBERS: dict[tuple[int, int], Any] = {(n, m): (((n - 1,), (0,)), ((), ())) for n in (1, 2) for m in (1, 2)}


def _matrix_product(x: Any, y: Any) -> Array | None:
    """The product of two Arrays of one type that are vectors or matrices; None if they are anything
    else."""
    if not (isinstance(x, Array) and isinstance(y, Array)):
        return None
    if x.dtype is not y.dtype or x.weak_type is not y.weak_type:
        return None
    shape_x, shape_y = x.shape, y.shape
    numbers = _MATRIX_NUMBERS.get((len(shape_x), len(shape_y)))
    if numbers is None:
        return None
    if shape_x[-1] != shape_y[0]:
        raise _mismatch(shape_x, shape_y, *numbers[0])
    return current().process(
        dot_general_p, (x, y), {"dimension_numbers": numbers, "precision": None, "preferred_element_type": None}
    )


@planned
def dot(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None
) -> Array:
    """Σ over the last axis of `a` and the last but one of `b` (its only axis, for a vector); the
    other axes side by side.

    A scalar multiplies. Shapes (..., n) and (..., n, m) give (..., ..., m). Raises TypeError if the
    lengths differ.

    >>> import pullback.numpy as jnp
    >>> a = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> jnp.dot(a, jnp.array([1.0, 10.0]))
    Array([21., 43.], dtype=float32)
    >>> jnp.dot(jnp.ones((2, 3, 4)), jnp.ones((5, 4, 6))).shape
    (2, 3, 5, 6)
    """
    if out_sharding is not None:
        no_sharding("dot", out_sharding)
    if precision is None and preferred_element_type is None:
        out = _matrix_product(a, b)
        if out is not None:
            return out
    x, y = _operands("dot", a, b, precision)
    preferred = _preferred(preferred_element_type)
    if x.ndim == 0 or y.ndim == 0:
        return _contract(x, y, (), (), (), (), precision, preferred)
    return _contract(x, y, (x.ndim - 1,), (max(0, y.ndim - 2),), (), (), precision, preferred)


@planned
def matmul(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None
) -> Array:
    """Products of the matrices in the last two axes; the leading axes broadcast. A vector is a row
    on the left, a column on the right, and its axis is not in the result.

    Shapes (..., n, k) and (..., k, m) give (..., n, m). Raises ValueError for scalars and leading
    axes that do not broadcast, TypeError if the contracted lengths differ.

    >>> import pullback.numpy as jnp
    >>> jnp.matmul(jnp.array([[1, 2], [3, 4]]), jnp.array([1, 10]))
    Array([21, 43], dtype=int32)
    >>> jnp.matmul(jnp.ones((5, 2, 3)), jnp.ones((3, 4))).shape
    (5, 2, 4)
    """
    if out_sharding is not None:
        no_sharding("matmul", out_sharding)
    if precision is None and preferred_element_type is None:
        out = _matrix_product(a, b)
        if out is not None:
            return out
    x, y = _operands("matmul", a, b, precision)
    preferred = _preferred(preferred_element_type)
    for i, operand in enumerate((x, y)):
        if operand.ndim == 0:
            raise ValueError(f"matmul: operand {i} must have at least one dimension, got a scalar at {user_line()}")
    if y.ndim <= 2:
        return _contract(x, y, (x.ndim - 1,), (0,), (), (), precision, preferred)
    # Labels as in einsum: leading axes are negative and aligned at the right, i and k are free, j
    # is contracted.
    lead = max(x.ndim, y.ndim) - 2
    labels_x = [*range(-max(0, x.ndim - 2), 0), "i", "j"][-x.ndim :] if x.ndim > 1 else ["j"]
    labels_y = [*range(-(y.ndim - 2), 0), "j", "k"]
    if x.shape[-1] != y.shape[-2]:
        raise _mismatch(x.shape, y.shape, (x.ndim - 1,), (y.ndim - 2,))
    try:
        core_broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise here(ValueError, f"matmul: leading axes of shapes {x.shape} and {y.shape} do not broadcast") from None
    output = [*range(-lead, 0), *(["i"] if x.ndim > 1 else []), "k"]
    return _einsum([x, y], [labels_x, labels_y], output, precision, preferred)


@planned
def vdot(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Σ conj(a)·b over all elements, flattened: a scalar of the promoted dtype.

    Raises TypeError if the numbers of elements differ.

    >>> import pullback.numpy as jnp
    >>> jnp.vdot(jnp.array([1 + 2j, 3j]), jnp.array([1 + 2j, 1j]))
    Array(8.+0.j, dtype=complex64)
    """
    x, y = _operands("vdot", a, b, precision)
    x, shape = _conjugate(x), x.shape
    if shape == y.shape:
        axes = tuple(range(len(shape)))
        return _contract(x, y, axes, axes, (), (), precision, _preferred(preferred_element_type))
    x, y = (v if v.ndim == 1 else reshape_p.bind(v, new_sizes=(v.size,)) for v in (x, y))
    return _contract(x, y, (0,), (0,), (), (), precision, _preferred(preferred_element_type))


def _conjugate(x: Array) -> Array:
    return conj_p.bind(x) if dtypes.is_complex(x.dtype) else x


@planned
def inner(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Σ over the last axes of `a` and `b`; the other axes side by side. A scalar multiplies.

    Shapes (..., n) and (..., n) give (..., ...): nothing broadcasts, and nothing is conjugated.
    Raises TypeError if the lengths differ.

    >>> import pullback.numpy as jnp
    >>> jnp.inner(jnp.array([[1, 2], [3, 4]]), jnp.array([[1, 0], [0, 1], [1, 1]]))
    Array([[1, 2, 3],
           [3, 4, 7]], dtype=int32)
    """
    x, y = _operands("inner", a, b, precision)
    preferred = _preferred(preferred_element_type)
    if x.ndim == 0 or y.ndim == 0:
        return _contract(x, y, (), (), (), (), precision, preferred)
    return _contract(x, y, (x.ndim - 1,), (y.ndim - 1,), (), (), precision, preferred)


@planned
def outer(a: Any, b: Any, out: None = None) -> Array:
    """Products of every element of `a` with every element of `b`: shape (a.size, b.size).

    `out` must be None (NotImplementedError). Raises TypeError for what is no array.

    >>> import pullback.numpy as jnp
    >>> jnp.outer(jnp.array([1, 2, 3]), jnp.array([1, 10]))
    Array([[ 1, 10],
           [ 2, 20],
           [ 3, 30]], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("outer: Arrays are immutable, so there is no `out`")
    x, y = promote("outer", a, b)
    return mul_p.bind(reshape_p.bind(x, new_sizes=(x.size, 1)), reshape_p.bind(y, new_sizes=(1, y.size)))


@planned
def tensordot(
    a: Any,
    b: Any,
    axes: Any = 2,
    *,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Array:
    """Σ over `axes`: a number of last axes of `a` with as many first ones of `b`, or a pair of axes
    (or sequences of axes).

    The result has the other axes of `a`, then those of `b`. Raises TypeError if the axes do not
    pair up, or differ in length.

    >>> import pullback.numpy as jnp
    >>> a, b = jnp.ones((2, 3, 4)), jnp.ones((3, 4, 5))
    >>> jnp.tensordot(a, b).shape, jnp.tensordot(a, b, 0).shape
    ((2, 5), (2, 3, 4, 3, 4, 5))
    >>> jnp.tensordot(a, b, axes=([1], [0])).shape
    (2, 4, 4, 5)
    """
    no_sharding("tensordot", out_sharding)
    x, y = _operands("tensordot", a, b, precision)
    preferred = _preferred(preferred_element_type)
    if hasattr(axes, "__index__"):
        n = operator.index(axes)
        if n > min(x.ndim, y.ndim) or n < 0:
            raise TypeError(
                f"tensordot: {n} axes are too many (or negative) for operands of shapes {x.shape} and {y.shape}"
            )
        return _contract(x, y, tuple(range(x.ndim - n, x.ndim)), tuple(range(n)), (), (), precision, preferred)
    if not isinstance(axes, (tuple, list)) or len(axes) != 2:
        raise TypeError(f"tensordot: axes must be an int, a pair of ints, or a pair of sequences of ints; got {axes!r}")
    chosen = [tuple(v) if isinstance(v, (tuple, list)) else (v,) for v in axes]
    xc, yc = (tuple(canonical_axis(i, v.ndim) for i in c) for v, c in zip((x, y), chosen))
    if len(xc) != len(yc):
        raise TypeError(f"tensordot: the sequences of axes must have one length, got {axes!r}")
    if len(set(xc)) < len(xc) or len(set(yc)) < len(yc):
        raise TypeError(f"tensordot: the axes of an operand must be distinct, got {axes!r} at {user_line()}")
    return _contract(x, y, xc, yc, (), (), precision, preferred)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Σ conj(x1)·x2 along `axis`; the other axes broadcast.

    Shapes (..., n) and (..., n) give (...). Raises ValueError if the lengths differ, and for axes
    that do not broadcast.

    >>> import pullback.numpy as jnp
    >>> jnp.vecdot(jnp.array([[1, 2], [3, 4]]), jnp.array([1, 10]))
    Array([21, 43], dtype=int32)
    >>> jnp.vecdot(jnp.array([1j, 2]), jnp.array([1j, 2]))
    Array(5.+0.j, dtype=complex64)
    """
    x, y = _operands("vecdot", x1, x2, precision)
    i, j = canonical_axis(axis, x.ndim), canonical_axis(axis, y.ndim)
    if x.shape[i] != y.shape[j]:
        raise here(ValueError, f"vecdot: axis {axis} must have one length in shapes {x.shape} and {y.shape}")
    x, y = move_axis(x, i, x.ndim - 1), move_axis(y, j, y.ndim - 1)
    return _broadcasting(_conjugate(x), y, "i", "i", "", precision, _preferred(preferred_element_type), "vecdot")


def vecmat(x1: Any, x2: Any, /) -> Array:
    """Row vectors conj(x1) times matrices x2; the other axes broadcast.

    Shapes (..., n) and (..., n, m) give (..., m). Raises ValueError if the lengths differ, and for
    axes that do not broadcast.

    >>> import pullback.numpy as jnp
    >>> jnp.vecmat(jnp.array([1, 10]), jnp.array([[1, 2], [3, 4]]))
    Array([31, 42], dtype=int32)
    """
    x, y = _operands("vecmat", x1, x2, None)
    return _broadcasting(_conjugate(x), y, "i", "ij", "j", None, None, "vecmat")


def matvec(x1: Any, x2: Any, /) -> Array:
    """Matrices x1 times column vectors x2; the other axes broadcast.

    Shapes (..., m, n) and (..., n) give (..., m). Raises ValueError if the lengths differ, and for
    axes that do not broadcast.

    >>> import pullback.numpy as jnp
    >>> vectors = jnp.array([[1, 0], [0, 1], [1, 10]])
    >>> jnp.matvec(jnp.array([[1, 2], [3, 4]]), vectors)
    Array([[ 1,  3],
           [ 2,  4],
           [21, 43]], dtype=int32)
    """
    x, y = _operands("matvec", x1, x2, None)
    return _broadcasting(x, y, "ij", "j", "i", None, None, "matvec")


def _broadcasting(
    x: Array, y: Array, core_x: str, core_y: str, core_out: str, precision: Any, preferred: DType | None, name: str
) -> Array:
    """An einsum on the last axes, over leading axes that broadcast."""
    sizes: dict[str, int] = {}
    for v, core in ((x, core_x), (y, core_y)):
        if v.ndim < len(core):
            raise here(ValueError, f"{name}: an operand of shape {v.shape} needs at least {len(core)} dimensions")
        for label, n in zip(core, v.shape[v.ndim - len(core) :]):
            if sizes.setdefault(label, n) != n:
                raise here(ValueError, f"{name}: shapes {x.shape} and {y.shape} do not fit: {sizes[label]} and {n}")
    lead_x, lead_y = x.ndim - len(core_x), y.ndim - len(core_y)
    core_broadcast_shapes(x.shape[:lead_x], y.shape[:lead_y])
    labels = [[*range(-lead_x, 0), *core_x], [*range(-lead_y, 0), *core_y]]
    return _einsum([x, y], labels, [*range(-max(lead_x, lead_y), 0), *core_out], precision, preferred)


@planned
def kron(a: Any, b: Any) -> Array:
    """Kronecker product: every element of `a` replaced by it times `b`.

    The shorter shape gets ones in front; lengths multiply, axis by axis. Raises TypeError for what
    is no array.

    >>> import pullback.numpy as jnp
    >>> jnp.kron(jnp.array([[1, 0], [0, 2]]), jnp.array([[1, 1]]))
    Array([[1, 1, 0, 0],
           [0, 0, 2, 2]], dtype=int32)
    """
    x, y = promote("kron", a, b)
    rank = max(x.ndim, y.ndim)
    sizes_x, sizes_y = (1,) * (rank - x.ndim) + tuple(x.shape), (1,) * (rank - y.ndim) + tuple(y.shape)
    x = reshape_p.bind(x, new_sizes=tuple(m for n in sizes_x for m in (n, 1)))
    y = reshape_p.bind(y, new_sizes=tuple(m for n in sizes_y for m in (1, n)))
    return reshape_p.bind(mul_p.bind(x, y), new_sizes=tuple(n * m for n, m in zip(sizes_x, sizes_y)))


@planned
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Array:
    """Cross products of the vectors, of 2 or 3 elements, along `axisa` and `axisb`; along `axisc`
    of the result.

    The third element of vectors of 2 is 0; of two such only the third element of the product is
    given, without an axis. `axis` stands for all three; the other axes broadcast. Raises ValueError
    for other lengths, and for axes that do not broadcast.

    >>> import pullback.numpy as jnp
    >>> x, y, z = jnp.eye(3)
    >>> jnp.cross(x, y), jnp.cross(jnp.array([1, 2]), jnp.array([3, 4]))
    (Array([0., 0., 1.], dtype=float32), Array(-2, dtype=int32))
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = (strong(v) for v in promote("cross", a, b))
    x, y = (move_axis(v, canonical_axis(i, v.ndim), v.ndim - 1) for v, i in ((x, axisa), (y, axisb)))
    if x.shape[-1] not in (2, 3) or y.shape[-1] not in (2, 3):
        raise ValueError(
            f"cross takes vectors of 2 or 3 elements, got {x.shape[-1]} and {y.shape[-1]} at {user_line()}"
        )
    planar = x.shape[-1] == y.shape[-1] == 2
    lead = core_broadcast_shapes(x.shape[:-1], y.shape[:-1])

    def element(v: Array, i: int) -> Array:
        if i == 2 and v.shape[-1] == 2:
            return zeros_like(v, shape=lead)
        part = slice_in_dim(v, i, i + 1, 1, v.ndim - 1)
        return broadcast_to(reshape_p.bind(part, new_sizes=tuple(v.shape[:-1])), lead)

    def minor(i: int, j: int) -> Array:
        return sub_p.bind(mul_p.bind(element(x, i), element(y, j)), mul_p.bind(element(x, j), element(y, i)))

    if planar:
        return minor(0, 1)
    parts = [reshape_p.bind(minor(i, j), new_sizes=(*lead, 1)) for i, j in ((1, 2), (2, 0), (0, 1))]
    return move_axis(concatenate(parts, len(lead)), len(lead), canonical_axis(axisc, len(lead) + 1))


@planned
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Array:
    """The sums of the diagonals of the matrices in axes `axis1` and `axis2`: the shape without
    these axes.

    Diagonal `offset` is above the main one, or below if negative. Small integers and booleans are
    summed as int32 or uint32, or as `dtype`. Raises ValueError for fewer than two axes; `out` must
    be None.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> jnp.trace(x), jnp.trace(x, offset=1)
    (Array(5, dtype=int32), Array(2, dtype=int32))
    """
    if out is not None:
        raise NotImplementedError("trace: Arrays are immutable, so there is no `out`")
    x = array_like(a, "trace")
    i, j = canonical_axis(axis1, x.ndim), canonical_axis(axis2, x.ndim)
    return reductions.sum(diagonal(x, offset, i, j), axis=-1, dtype=dtype)


# ---- einsum --------------------------------------------------------------------------------------


@planned
def einsum(
    subscripts: Any, /, *operands: Any, out: None = None, optimize: Any = "auto", precision: Any = None,
    preferred_element_type: Any = None, _dot_general: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """Einstein summation: products of `operands`, summed over the labels that the output lacks.

    `subscripts` is as in `numpy.einsum`: "ij,jk->ik", repeated labels for diagonals, "..." for axes
    that broadcast, no arrow for the labels that occur once, in alphabetical order; or operands and
    lists of labels alternate. `optimize` chooses the order of contraction of three or more operands
    (see opt_einsum). The axes of the result are those of the output's labels. Raises ValueError for
    malformed subscripts and lengths that do not fit; `out` must be None.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]])
    >>> jnp.einsum("ij->j", x), jnp.einsum("ii", x)
    (Array([4, 6], dtype=int32), Array(5, dtype=int32))
    >>> jnp.einsum("ij,j->i", x, jnp.array([1, 10]))
    Array([21, 43], dtype=int32)
    >>> jnp.einsum("...ij,...jk->...ik", jnp.ones((5, 2, 3)), jnp.ones((3, 4))).shape
    (5, 2, 4)
    """
    del _dot_general
    no_sharding("einsum", out_sharding)
    if out is not None:
        raise NotImplementedError("einsum: Arrays are immutable, so there is no `out`")
    text, given = _parse_call(subscripts, operands)
    check_precision("einsum", precision)
    arrays = promote("einsum", *given)
    inputs, output = _labels(text, tuple(a.ndim for a in arrays))
    return _einsum(
        arrays, [list(i) for i in inputs], list(output), precision, _preferred(preferred_element_type), optimize
    )


def einsum_path(subscripts: Any, /, *operands: Any, optimize: Any = "auto") -> tuple[list[tuple[int, ...]], Any]:
    """The order in which `einsum` contracts (positions of operands, step by step) and opt_einsum's
    account of its cost.

    Step (1, 2) takes operands 1 and 2 away, and puts their product at the end. `optimize` names the
    way to look for an order, as in opt_einsum. Raises ValueError for malformed subscripts.

    >>> import pullback.numpy as jnp
    >>> a, b, column = jnp.ones((9, 9)), jnp.ones((9, 9)), jnp.ones((9, 1))
    >>> jnp.einsum_path("ij,jk,kl->il", a, b, column)[0]
    [(1, 2), (0, 1)]
    """
    text, given = _parse_call(subscripts, operands)
    arrays = [array_like(a, "einsum_path") for a in given]
    inputs, output = _labels(text, tuple(a.ndim for a in arrays))
    return _path([list(i) for i in inputs], list(output), [tuple(a.shape) for a in arrays], optimize)


def _parse_call(subscripts: Any, operands: tuple[Any, ...]) -> tuple[str, Sequence[Any]]:
    """Subscripts as a text, and the operands, from either way of calling."""
    if isinstance(subscripts, str):
        if not operands:
            raise here(ValueError, f"einsum: {subscripts!r} is for one operand at least, got none")
        return subscripts, operands
    parts = [subscripts, *operands]
    output = parts.pop() if len(parts) % 2 else None
    arrays, labels = parts[::2], parts[1::2]
    names: dict[Any, str] = {}
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    # Labels in their own order, so that the implied output is ordered as they are.
    for label in sorted({x for sub in labels for x in sub if x is not Ellipsis}):
        names[label] = next(letters)

    def text(sub: Any) -> str:
        return "".join("..." if x is Ellipsis else names.get(x, "?") for x in sub)

    joined = ",".join(map(text, labels))
    return (joined if output is None else f"{joined}->{text(output)}"), arrays


@lru_cache(maxsize=1024)
def _labels(text: str, ranks: tuple[int, ...]) -> tuple[tuple[tuple[Any, ...], ...], tuple[Any, ...]]:
    """Labels of each operand and of the output. The axes of an ellipsis are labelled -1, -2, ...
    from the right."""
    spaceless = text.replace(" ", "")
    left, arrow, right = spaceless.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise here(ValueError, f"einsum: {text!r} is for {len(terms)} operand(s), got {len(ranks)}")
    inputs = []
    for number, (term, rank) in enumerate(zip(terms, ranks)):
        before, ellipsis, after = term.partition("...")
        if not all(c.isalpha() for c in before + after):
            raise here(
                ValueError, f"einsum: {term!r} in {text!r} has a character that is neither a letter nor an ellipsis"
            )
        extra = rank - len(before) - len(after)
        if extra < 0 or (extra and not ellipsis):
            raise here(
                ValueError, f"einsum: {term!r} in {text!r} does not fit operand {number}, which has {rank} dimension(s)"
            )
        inputs.append((*before, *range(-extra, 0), *after))
    hidden = tuple(range(-max((-label for i in inputs for label in i if isinstance(label, int)), default=0), 0))
    if not arrow:
        every = [label for i in inputs for label in i if isinstance(label, str)]
        return tuple(inputs), (*hidden, *sorted(c for c in set(every) if every.count(c) == 1))
    before, ellipsis, after = right.partition("...")
    output = (*before, *(hidden if ellipsis else ()), *after)
    for label in (*before, *after):
        if output.count(label) > 1:
            raise here(ValueError, f"einsum: output label {label!r} appears more than once in {text!r}")
        if not any(label in i for i in inputs):
            raise here(ValueError, f"einsum: output label {label!r} of {text!r} is in no input")
    return tuple(inputs), output


def _path(
    inputs: list[list[Any]], output: list[Any], shapes: list[Shape], optimize: Any
) -> tuple[list[tuple[int, ...]], Any]:
    import opt_einsum

    names: dict[Any, str] = {}
    for label in (x for i in inputs for x in i):
        names.setdefault(label, opt_einsum.get_symbol(len(names)))
    text = ",".join("".join(names[x] for x in i) for i in inputs) + "->" + "".join(names[x] for x in output)
    shapes = [tuple(map(typical, shape)) for shape in shapes]
    path, info = opt_einsum.contract_path(text, *shapes, shapes=True, optimize="auto" if optimize is True else optimize)
    return [tuple(step) for step in path], info


def _einsum(
    arrays: list[Array],
    inputs: list[list[Any]],
    output: list[Any],
    precision: Any,
    preferred: Any,
    optimize: Any = "auto",
) -> Array:
    """Contract `arrays`, of one type, whose axes bear the labels `inputs`."""
    dtype, weak = arrays[0].dtype, all(a.weak_type for a in arrays)
    target = preferred or dtype
    if preferred is not None and preferred != dtype:
        wide = dtypes.promote_pair(dtype, False, preferred, False)[0]
        arrays = [convert(a, wide) for a in arrays]
    weak = weak and preferred is None
    sizes: dict[Any, int] = {}
    for number, (a, labels) in enumerate(zip(arrays, inputs)):
        for label, n in zip(labels, a.shape):
            known = sizes.setdefault(label, n)
            if known == 1:
                sizes[label] = n
            elif n not in (1, known):
                raise here(
                    ValueError, f"einsum: label {label!r} of operand {number} has length {n}, before it had {known}"
                )
    work = [_without_stretched(a, labels, sizes) for a, labels in zip(arrays, inputs)]
    if len(work) > 2:
        # The path is for the operands as given: stretched axes count as what they are.
        shapes = [tuple(sizes[x] for x in labels) for _, labels in work]
        kept = [x for x in output if any(x in labels for _, labels in work)]
        steps, _ = _path([labels for _, labels in work], kept, shapes, optimize)
    else:
        steps = [tuple(range(len(work)))]
    for step in steps:
        chosen = [work.pop(i) for i in sorted(step, reverse=True)]
        needed = {*output, *(x for _, labels in work for x in labels)}
        result = _summed(*chosen.pop(), needed | {x for _, labels in chosen for x in labels})
        while chosen:
            other = chosen.pop()
            rest = needed | {x for _, labels in chosen for x in labels}
            other = _summed(*other, rest | set(result[1]))
            result = _pair(*result, *other, rest, precision)
        work.append(_summed(*result, needed))
    ((x, labels),) = work
    x = _arranged(x, labels, output, sizes)
    return convert(x, target, weak and x.weak_type)


def _without_stretched(x: Array, labels: list[Any], sizes: dict[Any, int]) -> tuple[Array, list[Any]]:
    """Without axes of length 1 that broadcast against longer ones, and with the diagonal where a
    label is repeated."""
    kept = [i for i, (label, n) in enumerate(zip(labels, x.shape)) if n == sizes[label]]
    if len(kept) < len(labels):
        x = reshape_p.bind(x, new_sizes=tuple(x.shape[i] for i in kept))
        labels = [labels[i] for i in kept]
    while len(set(labels)) < len(labels):
        label = next(c for c in labels if labels.count(c) > 1)
        i = labels.index(label)
        j = labels.index(label, i + 1)
        x = diagonal(x, 0, i, j)
        labels = [c for k, c in enumerate(labels) if k not in (i, j)] + [label]
    return x, labels


def _summed(x: Array, labels: list[Any], needed: set[Any]) -> tuple[Array, list[Any]]:
    """Summed over the axes whose labels are not needed."""
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    if not axes:
        return x, labels
    return reduce_sum_p.bind(x, axes=axes), [label for label in labels if label in needed]


def _pair(
    x: Array, labels_x: list[Any], y: Array, labels_y: list[Any], needed: set[Any], precision: Any
) -> tuple[Array, list[Any]]:
    """The product of two operands, contracted over common labels that are not needed."""
    common = [c for c in labels_x if c in labels_y]
    batch = [c for c in common if c in needed]
    contracted = [c for c in common if c not in needed]
    free_x = [c for c in labels_x if c not in common]
    free_y = [c for c in labels_y if c not in common]
    out = [*batch, *free_x, *free_y]
    if not contracted:
        sizes = {**dict(zip(labels_x, x.shape)), **dict(zip(labels_y, y.shape))}
        factors = [_spread(v, labels, out, sizes) for v, labels in ((x, labels_x), (y, labels_y))]
        return mul_p.bind(*factors), out
    index = [
        tuple(labels.index(c) for c in chosen) for chosen in (contracted, batch) for labels in (labels_x, labels_y)
    ]
    return _contract(x, y, *index, precision, None), out


def _spread(x: Array, labels: list[Any], out: list[Any], sizes: dict[Any, int]) -> Array:
    """`x` with its axes in the order of `out`, and axes of length 1 for the labels it lacks."""
    order = tuple(labels.index(c) for c in out if c in labels)
    x = x if order == tuple(range(len(order))) else lax_shape.transpose_p.bind(x, permutation=order)
    shape = tuple(sizes[c] if c in labels else 1 for c in out)
    return x if x.shape == shape else reshape_p.bind(x, new_sizes=shape)


def _arranged(x: Array, labels: list[Any], output: list[Any], sizes: dict[Any, int]) -> Array:
    """The axes in the order of `output`."""
    order = tuple(labels.index(c) for c in output if c in labels)
    if order != tuple(range(len(order))):
        x = lax_shape.transpose_p.bind(x, permutation=order)
    if len(order) == len(output):
        return x
    places = tuple(i for i, c in enumerate(output) if c in labels)
    return lax_shape.broadcast_in_dim_p.bind(x, shape=tuple(sizes[c] for c in output), broadcast_dimensions=places)


__all__ = ["cross", "dot", "einsum", "einsum_path", "inner", "kron", "matmul", "matvec", "outer", "tensordot"]
__all__ += ["trace", "vdot", "vecdot", "vecmat"]
