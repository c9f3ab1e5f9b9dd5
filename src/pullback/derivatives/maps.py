"""Jacobians, Hessians and Gauss–Newton matrices as linear maps: linearized once, and then applied,
transposed, added, handed to a solver, or made a matrix.

    H = hessian_map(loss, params)
    direction, _ = pullback.scipy.sparse.linalg.cg(H + 1e-3 * LinearMap.identity(params), gradient)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_api, user_line
from pullback.core.tree import tree_flatten, tree_leaves, tree_map
from pullback.nn import logsumexp
from pullback.transforms.derivatives import canonical_argnums as index_of
from pullback.transforms.derivatives import check_callable, grad, of_arguments
from pullback.transforms.linear_maps import LinearMap
from pullback.transforms.linearize import linearize
from pullback.transforms.map_algebra import Product, Symmetric
from pullback.transforms.spaces import flatten, has_points

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value

    Argnums = int | Sequence[int]


@user_api
def jacobian_map(f: Function, *primals: Tree, argnums: Argnums = 0) -> LinearMap:
    """The derivative of `f` at `primals` by the arguments `argnums`, as a `LinearMap`: its matrix is the
    Jacobian.

    For a sequence of numbers the map takes so many arguments. What is differentiated has an inexact
    dtype; integers among it take tangents of dtype float0. Raises TypeError and ValueError for `argnums`
    as `grad` does.

    >>> import pullback.numpy as jnp
    >>> J = jacobian_map(lambda x: x[1:] * x[:-1], jnp.array([1.0, 2.0, 3.0]))
    >>> J.to_matrix()
    Array([[2., 1., 0.],
           [0., 3., 2.]], dtype=float32)
    >>> J.T @ jnp.array([1.0, 0.0])
    Array([2., 1., 0.], dtype=float32)
    """
    check_callable(f)
    of_chosen, chosen = of_arguments(f, index_of(argnums), primals, {})
    return linearize(of_chosen, *chosen)[1]


@user_api
def hessian_map(f: Function, *primals: Tree, argnums: Argnums = 0) -> LinearMap:
    """The Hessian of the scalar function `f` at `primals` by the argument `argnums`, as a `LinearMap`
    from its space to itself, which is its own transpose. The gradient is linearized once.

    For a sequence of numbers, vectors are tuples of so many trees. Of a complex argument it is the
    derivative of `grad`, linear over the reals. Raises TypeError for functions that have no gradient.

    >>> import pullback.numpy as jnp
    >>> H = hessian_map(lambda x: x[0] ** 2 * x[1], jnp.array([1.0, 3.0]))
    >>> H.to_matrix()
    Array([[6., 2.],
           [2., 0.]], dtype=float32)
    >>> H @ jnp.array([1.0, 1.0]), H.T is H
    (Array([8., 2.], dtype=float32), True)
    """
    chosen = index_of(argnums)
    check_callable(f)
    of_chosen, values = of_arguments(f, chosen, primals, {})
    if has_points(flatten(values)[0]):
        raise TypeError(
            f"hessian_map takes arguments whose tangents are like themselves; one has a tangent space of its own, at {user_line()}. Make "
            "the function one of the tangent, or use pullback.hessian"
        )
    if isinstance(chosen, int):
        return Symmetric(linearize(grad(of_chosen), *values)[1])
    numbers = tuple(range(len(values)))
    return Symmetric(linearize(lambda point: grad(of_chosen, numbers)(*point), values)[1])


@user_api
def gauss_newton_map(model: Function, loss: Function, params: Tree) -> LinearMap:
    """The Gauss–Newton matrix of `loss(model(params))` as a `LinearMap`, which is its own transpose:
    Jᵀ H J, with J the Jacobian of the model and H the Hessian of the loss at its output.

    It is the Hessian but for the model's second derivatives, and positive semidefinite if the loss is
    convex. Model and gradient of the loss are linearized once. `loss` takes what `model` gives, any tree
    of arrays (those of integers are constants), and gives a real scalar. Raises TypeError for other losses.

    Source: N. Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent",
    Neural Computation 14 (2002).

    >>> import pullback.numpy as jnp
    >>> model = lambda w: jnp.array([w[0] * w[1], w[0]])
    >>> G = gauss_newton_map(model, lambda y: 0.5 * jnp.sum(y**2), jnp.array([1.0, 2.0]))
    >>> G.to_matrix()
    Array([[5., 2.],
           [2., 1.]], dtype=float32)
    """
    check_callable(model)
    check_callable(loss)
    tree: Any = None
    discrete: list[bool] = []

    def floats(params: Tree) -> tuple[list[Value], list[Value]]:
        nonlocal tree
        leaves, tree = tree_flatten(model(params))
        outs = [as_array(x) for x in leaves]
        discrete[:] = [not dtypes.is_inexact(x.dtype) for x in outs]
        return [x for x, d in zip(outs, discrete) if not d], [x for x, d in zip(outs, discrete) if d]

    # What is discrete in the output (labels, counts) is constant.
    y, J, others = linearize(floats, params, has_aux=True)

    def of_floats(y: list[Value]) -> Value:
        given, rest = iter(y), iter(others)
        return loss(tree.unflatten([next(rest) if d else next(given) for d in discrete]))

    return sandwich(J, hessian_map(of_floats, y))


#: The log-partition functions of exponential families, whose Hessians in the natural parameters are the
#: Fisher information; of arrays of independent parameters.
_LOG_PARTITIONS: dict[str, Callable[[Any], Any]] = {
    "bernoulli": lambda z: jnp.logaddexp(z, 0),
    "categorical": lambda z: logsumexp(z, axis=-1),
    "gaussian": lambda z: 0.5 * z**2,
    "poisson": jnp.exp,
}


@user_api
def fisher_map(model: Function, likelihood: str | Function, params: Tree, *, empirical: bool = False) -> LinearMap:
    """The Fisher information of the distribution that `model(params)` parametrizes, as a `LinearMap` of
    `params`: Jᵀ F J, with J the Jacobian of the model and F the Fisher information in the model's output,
    summed over all that the output describes. It is its own transpose, and positive semidefinite.

    `likelihood` says what the output is, a tree of real arrays of independent entries: of "bernoulli" the
    logits, of "categorical" the logits along the last axis, of "gaussian" the means, with variance 1, of
    "poisson" the logarithms of the rates. Or it is a function `divergence(z, w)` of two outputs, the
    Kullback–Leibler divergence from the distribution with z to that with w, or another that is as close
    to second order: F is its Hessian in w at w = z.

    With `empirical`, it is what many call the empirical Fisher, Σ g gᵀ over the gradients g of the
    log-likelihoods of what was observed, another matrix than the above: `likelihood` is then a function
    of the output that gives these log-likelihoods, an array of one axis. Raises ValueError for other
    names, and for a name with `empirical`; TypeError for outputs and log-likelihoods that are not real.

    Source: J. Martens, "New insights and perspectives on the natural gradient method", JMLR 21 (2020).

    >>> import pullback.numpy as jnp
    >>> logits = lambda w: jnp.array([w[0], w[1], 0.0])                      # of three classes
    >>> fisher_map(logits, "categorical", jnp.zeros(2)).to_matrix().round(4)  # diag(p) − p pᵀ, p = 1/3
    Array([[ 0.2222, -0.1111],
           [-0.1111,  0.2222]], dtype=float32)
    """
    check_callable(model)
    if empirical:
        if not callable(likelihood):
            raise ValueError(
                f"fisher_map: with empirical=True, likelihood is a function that gives the log-likelihoods of what was observed; got "
                f"{likelihood!r}, at {user_line()}"
            )
        values, J = linearize(lambda p: likelihood(model(p)), params)
        if getattr(values, "ndim", None) != 1 or not dtypes.is_float(values.dtype):
            raise TypeError(
                f"fisher_map: log-likelihoods must be an array of one axis, one real number for each example; got "
                f"{tree_map(lambda x: as_array(x).aval.str_short(), values)}, at {user_line()}"
            )
        return Symmetric(Product([J.T, J]))
    z, J = linearize(model, params)
    if callable(likelihood):
        return sandwich(J, hessian_map(lambda w: likelihood(z, w), z))
    if likelihood not in _LOG_PARTITIONS:
        names = ", ".join(map(repr, _LOG_PARTITIONS))
        raise ValueError(
            f"fisher_map: likelihood must be one of {names}, or a divergence of two outputs; got {likelihood!r}, at {user_line()}"
        )
    partition = _LOG_PARTITIONS[likelihood]
    return sandwich(J, hessian_map(lambda z: sum([jnp.sum(partition(leaf)) for leaf in tree_leaves(z)]), z))


def sandwich(J: LinearMap, middle: LinearMap) -> LinearMap:
    """Jᵀ M J, for a symmetric M."""
    return Symmetric(Product([J.T, middle, J]))


def real_scalar(f: Function, what: str) -> Function:
    """`f`, whose result must be a real scalar. Raises TypeError if it is not."""
    check_callable(f)

    def checked(*args: Tree) -> Any:
        leaves = tree_leaves(y := f(*args))
        value = as_array(leaves[0]) if len(leaves) == 1 else None
        if value is None or value.shape != () or not dtypes.is_float(value.dtype):
            shown = "a tree" if value is None else value.aval.str_short()
            raise TypeError(f"{what} takes functions with a real scalar as result; got {shown}, at {user_line()}")
        return y

    return checked


__all__ = ["fisher_map", "gauss_newton_map", "hessian_map", "jacobian_map"]
