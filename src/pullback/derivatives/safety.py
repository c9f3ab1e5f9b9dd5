"""Derivatives without the NaNs of branches that are not taken: `nan_safe_where`.

`where(x > 0, sqrt(x), 0)` computes `sqrt` everywhere. Reverse mode multiplies its slope by 0 where it was not
taken, and 0 · ∞ is NaN; forward mode does the same. What helps is to give the function harmless arguments
there (the "double where"), which is what this function does: with an argument that was *selected*, values,
tangents and cotangents of the other elements are selected away as well, in any mode and to any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array, concrete
from pullback.core.errors import see, user_api, user_line
from pullback.core.tree import as_arrays, broadcast_prefix, keystr, tree_flatten, tree_leaves_with_path
from pullback.core.types import broadcast_shapes
from pullback.lax.shape import convert
from pullback.numpy.promotion import truth
from pullback.numpy.selecting import where

if TYPE_CHECKING:
    from pullback.core.names import Function, Operand, Tree, Value

#: It lies inside the domains of log, sqrt, division, powers, arcsin, arccos, arctanh, and of their derivatives.
_HARMLESS = 0.5


@user_api
def nan_safe_where(condition: Operand, fun: Function, *operands: Tree, fallback: Tree = 0, safe: Tree = None) -> Tree:
    """`where(condition, fun(*operands), fallback)`, whose derivatives of any order are not NaN because of elements for
    which `fun` is not taken.

    `fun` gets the operands (arrays, or trees of them) with the elements outside the condition replaced by `safe`, so
    it never sees them; each array of its result (a tree) is chosen where the condition holds, and `fallback`
    elsewhere. A `fallback` that is a function is protected in the same way, the other way round: it gets the operands
    with the elements *inside* the condition replaced. Values may be those of a tree prefix.

    `condition` is a boolean or number, or an array of them. It broadcasts with each operand by NumPy's rule, and
    must be no larger than the result of `fun`, which is otherwise as it is. For a function of whole rows (a norm)
    the condition of one row is a scalar: map it, `vmap(lambda c, r: nan_safe_where(c, jnp.linalg.norm, r))`.

    `safe` is a number or array (of a tree prefix of the operands: one of several is a tuple) in the domain of
    `fun`; by default one half, and 1 for integers; booleans and keys are not replaced. Derivatives in the operands
    are right whatever it is; a value at which `fun` is finite keeps what `fun` *closes over* free of NaNs, too, and
    `debug_nans` quiet. (A matrix to be inverted takes `safe=jnp.eye(n)`.)

    Raises TypeError for what cannot be called, for leaves that are no arrays, and without operands, ValueError for
    shapes that do not fit and for trees that are no prefix.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> x = jnp.array([-1.0, 0.0, 4.0])
    >>> pb.vmap(pb.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)))(x)
    Array([ nan,  nan, 0.25], dtype=float32)
    >>> root = lambda x: nan_safe_where(x > 0, jnp.sqrt, x)
    >>> root(x), pb.vmap(pb.grad(root))(x)
    (Array([0., 0., 2.], dtype=float32), Array([0.  , 0.  , 0.25], dtype=float32))

    The norm, with the subgradient 0 at 0:

    >>> norm = lambda v: nan_safe_where(v @ v > 0, jnp.sqrt, v @ v)
    >>> pb.grad(norm)(jnp.zeros(2)), pb.grad(norm)(jnp.array([3.0, 4.0]))
    (Array([0., 0.], dtype=float32), Array([0.6, 0.8], dtype=float32))

    References: the "double where" of the JAX FAQ, "Gradients contain NaN where using where".
    """
    if not callable(fun):
        raise TypeError(f"nan_safe_where takes a function after the condition, got {fun!r:.100}, at {user_line()}")
    if not operands:
        raise TypeError(
            f"nan_safe_where(condition, fun, *operands) needs the operands of {_name(fun)}, at {user_line()}: what a function closes over "
            "cannot be protected"
        )
    holds = truth(condition, "nan_safe_where")
    given = operands[0] if len(operands) == 1 else operands
    leaves, tree = tree_flatten(given)
    leaves = as_arrays(leaves, given, "an operand of nan_safe_where")
    harmless = [None] * len(leaves) if safe is None else _prefix(safe, given, "safe", "the operands")

    def of_some(function: Function, where_taken: Value) -> Tree:
        """The function's result on operands that are harmless where it is not taken."""
        replaced = tree.unflatten([_protected(where_taken, x, s) for x, s in zip(leaves, harmless)])
        return function(replaced) if len(operands) == 1 else function(*replaced)

    result = of_some(fun, holds)
    results, result_tree = tree_flatten(result)
    results = as_arrays(results, result, f"the result of {_name(fun)}, given to nan_safe_where")
    others = of_some(fallback, ~holds) if callable(fallback) else fallback
    otherwise = _prefix(others, result, "fallback", f"the result of {_name(fun)}")
    for (path, _), x in zip(tree_leaves_with_path(result), results):
        _check_shape(holds, x, keystr(path), fun)
    return result_tree.unflatten([where(holds, x, y) for x, y in zip(results, otherwise)])


def _protected(where_taken: Value, x: Value, safe: Any) -> Value:
    """An operand, harmless where the function is not taken."""
    if x.dtype == dtypes.bool_ or dtypes.is_key(x.dtype):
        return x
    if safe is None:
        safe = concrete(np.array(_HARMLESS if dtypes.is_inexact(x.dtype) else 1).astype(x.dtype), x.weak_type)
    else:
        safe = as_array(safe)
        if dtypes.is_complex(safe.dtype) and not dtypes.is_complex(x.dtype):
            raise TypeError(f"nan_safe_where: safe is complex, the operand {x.aval.str_short()}, at {user_line()}")
        safe = convert(safe, x.dtype, x.weak_type)
    try:
        broadcast_shapes(where_taken.shape, x.shape, safe.shape)
    except ValueError:
        raise ValueError(
            f"nan_safe_where: the condition has shape {where_taken.shape}, an operand {x.shape} and its safe value {safe.shape}, which do "
            f"not broadcast, at {user_line()}. The condition is about elements; for one about rows, map the rows with vmap{see('shapes')}"
        ) from None
    return where(where_taken, x, safe)


def _check_shape(holds: Value, x: Value, path: str, fun: Function) -> None:
    try:
        fits = broadcast_shapes(holds.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"nan_safe_where: the condition has shape {holds.shape}, and the result{path} of {_name(fun)} {x.shape}, at {user_line()}. Each "
            "element of the result is chosen by one of the condition; a function that reduces its argument takes a condition that is a "
            f"scalar: map it over the rows with vmap{see('shapes')}"
        )


def _prefix(prefix: Tree, whole: Tree, name: str, of: str) -> list[Any]:
    """The leaves of a tree prefix, one for each leaf of the whole."""
    try:
        return broadcast_prefix(prefix, whole)
    except ValueError as error:
        raise ValueError(f"nan_safe_where: {name} is no tree prefix of {of}, at {user_line()}: {error}") from None


def _name(fun: Function) -> str:
    return str(getattr(fun, "__name__", type(fun).__name__))


__all__ = ["nan_safe_where"]
