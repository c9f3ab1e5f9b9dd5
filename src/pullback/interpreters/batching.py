"""Rules of vectorization: each primitive on operands with a batch axis.

    primitive_batchers[p] = lambda operands, axes, **params: (results, axes of the results)

An axis is a number, or None (`not_mapped`) where a value is the same for all elements.
`axis_primitive_batchers` has rules that are also told of the axis itself: `rule(axis_size,
axis_name, None, operands, axes, **params)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.extend.tables import BATCHING, BATCHING_WITH_AXIS
from pullback.lax.shape import add_batch_axis, batch_first, move_axis

#: The axis of what has none.
not_mapped = None
primitive_batchers = BATCHING
axis_primitive_batchers = BATCHING_WITH_AXIS


def moveaxis(x: Any, src: int | None, dst: int) -> Any:
    """`x` with its axis `src` moved to `dst`; as it is, if `src` is None.

    >>> import pullback.numpy as jnp
    >>> moveaxis(jnp.ones((2, 3, 4)), 0, 2).shape
    (3, 4, 2)
    """
    if src is None or src == dst:
        return x
    x = as_array(x)
    return move_axis(x, src % x.ndim, dst % x.ndim)


def broadcast(x: Any, sz: int, axis: int, mesh_axis: Any = None) -> Any:
    """`x` repeated `sz` times along a new axis.

    >>> import pullback.numpy as jnp
    >>> broadcast(jnp.arange(3), 2, 1).shape
    (3, 2)
    """
    del mesh_axis
    out = add_batch_axis(as_array(x), sz)
    return move_axis(out, 0, axis % out.ndim)


def bdim_at_front(x: Any, bdim: int | None, size: int, mesh_axis: Any = None) -> Any:
    """`x` with its batch axis in front; repeated `size` times along a new one if it has none.

    >>> import pullback.numpy as jnp
    >>> bdim_at_front(jnp.ones((2, 3)), 1, 3).shape, bdim_at_front(jnp.ones(2), None, 3).shape
    ((3, 2), (3, 2))
    """
    del mesh_axis
    return batch_first(as_array(x), bdim, size)


def defvectorized(prim: Any) -> None:
    """Say that `prim` works element by element, on operands of one shape or one operand: on batches,
    it is itself.

    Raises ValueError when it is applied to operands with different batch axes.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("doubled")
    >>> _ = p.def_impl(lambda x: 2 * x)
    >>> defvectorized(p)
    >>> pb.vmap(p.bind)(pb.numpy.arange(3))
    Array([0, 2, 4], dtype=int32)
    """

    def rule(operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any) -> Any:
        if len(set(axes)) != 1:
            raise ValueError(
                f"{prim.name!r} is declared by defvectorized, which is for operands with the same batch axis, and gets {tuple(axes)}, at "
                f"{user_line()}: use defbroadcasting, or add a rule to primitive_batchers"
            )
        out = prim.bind(*operands, **params)
        return out, [axes[0]] * len(out) if prim.multiple_results else axes[0]

    BATCHING[prim] = rule


def defbroadcasting(prim: Any) -> None:
    """Say that `prim` works element by element on operands of one shape: on batches, it is itself, of
    operands with the batch axis in front.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("sum_of_two")
    >>> _ = p.def_impl(lambda x, y: x + y)
    >>> defbroadcasting(p)
    >>> pb.vmap(p.bind, (0, None))(pb.numpy.arange(3), 10)
    Array([10, 11, 12], dtype=int32)
    """

    def rule(operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any) -> Any:
        size = next(x.shape[b] for x, b in zip(operands, axes) if b is not None)
        out = prim.bind(*[batch_first(as_array(x), b, size) for x, b in zip(operands, axes)], **params)
        return out, [0] * len(out) if prim.multiple_results else 0

    BATCHING[prim] = rule


def defreducer(prim: Any) -> None:
    """Say that `prim` reduces its only operand over those axes that its parameter `axes` numbers: on
    batches, over the corresponding ones.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("total")
    >>> _ = p.def_impl(lambda x, *, axes: x.sum(axes))
    >>> defreducer(p)
    >>> pb.vmap(lambda x: p.bind(x, axes=(0,)))(pb.numpy.arange(6).reshape(2, 3))
    Array([ 3, 12], dtype=int32)
    """

    def rule(operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any) -> Any:
        (x,), (b,) = operands, axes
        assert b is not None, "rules of batches are for operands with a batch axis"
        reduced = tuple(a + (a >= b) for a in params["axes"])
        return prim.bind(x, **params | {"axes": reduced}), b - sum(a < b for a in reduced)

    BATCHING[prim] = rule


__all__ = [
    "axis_primitive_batchers",
    "bdim_at_front",
    "broadcast",
    "defbroadcasting",
    "defreducer",
    "defvectorized",
    "moveaxis",
    "not_mapped",
    "primitive_batchers",
]
