"""Derivatives of functions of sparse arrays: in their elements, at the positions that they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import as_array
from pullback.core.errors import user_api
from pullback.core.tree import tree_flatten, tree_unflatten
from pullback.experimental.sparse.base import JAXSparse
from pullback.experimental.sparse.bcoo import BCOO, full_batch
from pullback.experimental.sparse.sparsification import is_sparse
from pullback.transforms import derivatives as dense


class _OfData:
    """A call of `fun`, as a function of the data of sparse arrays, and of the other leaves, in the
    arguments numbered in `argnums`."""

    def __init__(self, fun: Any, argnums: Any, args: Sequence[Any], kwargs: Any) -> None:
        self.several = not hasattr(argnums, "__index__")
        numbers = tuple(argnums) if self.several else (argnums,)
        for i in numbers:
            if not -len(args) <= i < len(args):
                raise ValueError(f"argnums={argnums} names an argument that is not there: {len(args)} were given")
        self.numbers = [i % len(args) for i in numbers]
        self.fun, self.args, self.kwargs = fun, list(args), kwargs
        self.leaves, self.tree = tree_flatten([args[i] for i in self.numbers], is_leaf=is_sparse)
        self.data = [x.data if is_sparse(x) else x for x in self.leaves]

    def __call__(self, *data: Any) -> Any:
        args = list(self.args)
        for i, x in zip(self.numbers, tree_unflatten(self.tree, [_with(x, d) for x, d in zip(self.leaves, data)])):
            args[i] = x
        return self.fun(*args, **self.kwargs)

    def arranged(self, leaves: Sequence[Any]) -> Any:
        """Something for each leaf, in the structure of the arguments."""
        found = tree_unflatten(self.tree, list(leaves))
        return tuple(found) if self.several else found[0]


def _with(x: Any, data: Any) -> Any:
    """A sparse array with other data; `data`, if it is none."""
    if not is_sparse(x):
        return data
    (_, *positions), static = x.tree_flatten()
    return type(x).tree_unflatten(static, (data, *positions))


def value_and_grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: Any = False, **kwargs: Any
) -> Callable[..., tuple[Any, Any]]:
    """`pullback.value_and_grad` of a function of sparse arrays: gradients are sparse arrays with the
    positions of the arguments. `kwargs` are those of `pullback.value_and_grad`.

    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> value, g = value_and_grad(lambda m: (m @ jnp.ones(2)).sum() ** 2)(m)
    >>> float(value), g.data.tolist()
    (25.0, [10.0, 10.0])
    """
    if not callable(fun):
        raise TypeError(f"expected a callable to differentiate, got {fun!r}")

    @user_api
    def value_and_gradient(*args: Any, **call: Any) -> tuple[Any, Any]:
        flat = _OfData(fun, argnums, args, call)
        every = tuple(range(len(flat.data)))
        value, grads = dense.value_and_grad(flat, every, has_aux, **kwargs)(*flat.data)
        return value, flat.arranged([_with(x, g) for x, g in zip(flat.leaves, grads)])

    return value_and_gradient


def grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: Any = False, **kwargs: Any
) -> Callable[..., Any]:
    """`pullback.grad` of a function of sparse arrays: a sparse array with the positions of the
    argument. See `value_and_grad`.

    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> grad(lambda m: (m @ jnp.array([1.0, 10.0])).sum())(m).todense()  # zeros have none
    Array([[ 0., 10.],
           [ 1.,  0.]], dtype=float32)
    """
    with_value = value_and_grad(fun, argnums, has_aux, **kwargs)

    @user_api
    def gradient(*args: Any, **call: Any) -> Any:
        value, g = with_value(*args, **call)
        return (g, value[1]) if has_aux else g

    return gradient


def _jacobian(transform: Any, fun: Any, argnums: Any, has_aux: bool, kwargs: Any) -> Any:
    if not callable(fun):
        raise TypeError(f"expected a callable to differentiate, got {fun!r}")

    @user_api
    def jacobian(*args: Any, **call: Any) -> Any:
        flat = _OfData(fun, argnums, args, call)
        structure = None

        def outputs(*data: Any) -> Any:
            nonlocal structure
            out = flat(*data)
            out, aux = out if has_aux else (out, None)
            leaves, structure = tree_flatten(out, is_leaf=is_sparse)
            return [x.todense() if is_sparse(x) else as_array(x) for x in leaves], aux

        every = tuple(range(len(flat.data)))
        rows, aux = transform(outputs, every, has_aux=True, **kwargs)(*flat.data)
        assert structure is not None
        blocks = [flat.arranged([_block(x, j) for x, j in zip(flat.leaves, row)]) for row in rows]
        out = tree_unflatten(structure, blocks)
        return (out, aux) if has_aux else out

    return jacobian


def _block(x: Any, j: Any) -> Any:
    """The Jacobian of an output in a sparse argument, given that in its data: a batch for each
    element of the output."""
    if not isinstance(x, JAXSparse):
        return j
    mat: BCOO = x if isinstance(x, BCOO) else x.to_bcoo()
    outer = j.shape[: j.ndim - mat.data.ndim]
    _, indices = full_batch(mat)
    indices = jnp.broadcast_to(indices, (*outer, *indices.shape))
    return BCOO(
        (j, indices), shape=(*outer, *mat.shape), indices_sorted=mat.indices_sorted, unique_indices=mat.unique_indices
    )


def jacfwd(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **kwargs: Any
) -> Callable[..., Any]:
    """`pullback.jacfwd` of a function of sparse arrays: the Jacobian in a sparse array is a BCOO with
    a batch axis for each axis of the output. Outputs that are sparse are taken as dense ones.

    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> jacobian = jacfwd(lambda m: m @ jnp.array([1.0, 10.0]))(m)
    >>> jacobian, jacobian.todense()[1]  # of the second row's product
    (BCOO(float32[2, 2, 2], nse=2, n_batch=1), Array([[0., 0.],
           [1., 0.]], dtype=float32))
    """
    return _jacobian(dense.jacfwd, fun, argnums, has_aux, kwargs)


def jacrev(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **kwargs: Any
) -> Callable[..., Any]:
    """`pullback.jacrev` of a function of sparse arrays. See `jacfwd`.

    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> jacrev(lambda m: m @ jnp.array([1.0, 10.0]))(m).todense()[0]  # of the first row's product
    Array([[ 0., 10.],
           [ 0.,  0.]], dtype=float32)
    """
    return _jacobian(dense.jacrev, fun, argnums, has_aux, kwargs)


jacobian = jacrev

__all__ = ["grad", "jacfwd", "jacobian", "jacrev", "value_and_grad"]
