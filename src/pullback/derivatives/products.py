"""Products of second derivatives with vectors, and the diagonal of a Hessian: each for a few evaluations'
cost, without the matrix.

For many products at one point, `derivatives.maps` has the same as linear maps, linearized once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pullback.core import dtypes
from pullback.core.errors import user_api, user_line
from pullback.core.tree import tree_flatten
from pullback.derivatives.basis import over_basis, positive
from pullback.derivatives.maps import fisher_map, gauss_newton_map, real_scalar
from pullback.transforms.derivatives import array_leaf, grad
from pullback.transforms.jvp import jvp

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value


@user_api
def hvp(f: Function, primals: Sequence[Tree], tangents: Sequence[Tree]) -> Tree:
    """The product of the Hessian of the scalar function `f` at `primals` with `tangents`, forward over
    reverse: the derivative of the gradient along the tangents.

    `primals` and `tangents` are tuples (or lists) of arguments. Of one argument the product is a tree
    like it, of several a tuple of such trees. Raises TypeError and ValueError for tangents as `jvp` does,
    TypeError for functions that have no gradient.

    >>> import pullback.numpy as jnp
    >>> f = lambda x: x[0] ** 2 * x[1]
    >>> hvp(f, (jnp.array([1.0, 3.0]),), (jnp.array([1.0, 1.0]),))
    Array([8., 2.], dtype=float32)
    """
    _check_arguments("hvp", primals, tangents)
    return jvp(grad(f, _every(primals)), primals, tangents)[1]


@user_api
def vhp(f: Function, primals: Sequence[Tree], tangents: Sequence[Tree]) -> Tree:
    """The product of `tangents` with the Hessian of the scalar function `f` at `primals`, reverse over
    forward: the gradient of the derivative along the tangents.

    The Hessian is symmetric, and so the numbers are those of `hvp`, as are arguments and errors; which is
    quicker depends on the function.

    >>> import pullback.numpy as jnp
    >>> f = lambda x: x[0] ** 2 * x[1]
    >>> vhp(f, (jnp.array([1.0, 3.0]),), (jnp.array([1.0, 1.0]),))
    Array([8., 2.], dtype=float32)
    """
    _check_arguments("vhp", primals, tangents)
    return grad(lambda *xs: jvp(f, xs, tangents)[1], _every(primals))(*primals)


def _check_arguments(what: str, primals: Any, tangents: Any) -> None:
    for name, x in (("primals", primals), ("tangents", tangents)):
        if not isinstance(x, (tuple, list)) or not x:
            raise TypeError(
                f"{what}: {name} must be a tuple or list of arguments, got {x!r:.60} of type {type(x).__name__}, at {user_line()}"
            )
    if len(primals) != len(tangents):
        raise TypeError(f"{what}: {len(primals)} primals need as many tangents, got {len(tangents)}, at {user_line()}")


def _every(primals: Sequence[Tree]) -> int | tuple[int, ...]:
    return 0 if len(primals) == 1 else tuple(range(len(primals)))


@user_api
def gauss_newton_product(model: Function, loss: Function, params: Tree, vector: Tree) -> Tree:
    """The product of the Gauss–Newton matrix of `loss(model(params))` with `vector`, a tree like `params`:
    one evaluation of the model, linearized, and one of the loss. See `gauss_newton_map`.

    >>> import pullback.numpy as jnp
    >>> model = lambda w: jnp.array([w[0] * w[1], w[0]])
    >>> gauss_newton_product(model, lambda y: 0.5 * jnp.sum(y**2), jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0]))
    Array([5., 2.], dtype=float32)
    """
    return gauss_newton_map(model, loss, params)(vector)


@user_api
def fisher_product(
    model: Function, likelihood: str | Function, params: Tree, vector: Tree, *, empirical: bool = False
) -> Tree:
    """The product of the Fisher information of the distribution that `model(params)` parametrizes with
    `vector`, a tree like `params`. See `fisher_map`, whose arguments and errors these are.

    >>> import pullback.numpy as jnp
    >>> rates = lambda w: jnp.array([w, 2 * w])                              # logarithms of them
    >>> float(fisher_product(rates, "poisson", 0.0, 1.0))                    # 1² e⁰ + 2² e⁰
    5.0
    """
    return fisher_map(model, likelihood, params, empirical=empirical)(vector)


@user_api
def hessian_diagonal(f: Function, x: Tree, *, batch_size: int | None = None) -> Tree:
    """The diagonal of the Hessian of the real scalar function `f` at `x`, exactly: a tree like `x`.

    Each element is a second derivative along a coordinate, by forward mode twice; all are computed at
    once, or `batch_size` at a time. The cost is that of about three evaluations a coordinate (without a
    Hessian's backward pass, and without its n² elements). Raises TypeError for arguments or results that
    are not real, ValueError for a `batch_size` that is not positive.

    >>> import pullback.numpy as jnp
    >>> hessian_diagonal(lambda x: x[0] ** 3 * x[1] ** 2, jnp.array([1.0, 2.0]))
    Array([24.,  2.], dtype=float32)
    """
    f = real_scalar(f, "hessian_diagonal")
    leaves, tree = tree_flatten(x)
    arrays = [_real(x, leaf) for leaf in leaves]
    size = None if batch_size is None else positive(batch_size, "hessian_diagonal: batch_size")
    of_arrays = lambda *xs: f(tree.unflatten(list(xs)))

    def second(*vector: Value) -> Value:
        return jvp(lambda *xs: jvp(of_arrays, xs, vector)[1], arrays, vector)[1]

    types = [a.aval for a in arrays]
    if not sum([t.size for t in types]):
        return tree.unflatten(arrays)
    found, parts, start = over_basis(second, types, size), [], 0
    for t in types:
        parts.append(found[start : start + t.size].reshape(t.shape).astype(t.dtype))
        start += t.size
    return tree.unflatten(parts)


def _real(tree: Tree, x: Any) -> Any:
    x = array_leaf(tree, x)
    if not dtypes.is_float(x.dtype):
        raise TypeError(
            f"hessian_diagonal takes arguments of real floating-point dtypes, got {dtypes.name(x.dtype)}, at {user_line()}"
        )
    return x


__all__ = ["fisher_product", "gauss_newton_product", "hessian_diagonal", "hvp", "vhp"]
