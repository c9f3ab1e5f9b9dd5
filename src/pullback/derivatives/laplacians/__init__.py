"""`laplacian`: the sum of all second derivatives, in one forward pass.

    laplacian(f)(x)                         # Σₖ ∂²f/∂xₖ²
    value_grad_and_laplacian(f)(x)          # with the value and the gradient, which the pass has anyway

The pass carries first derivatives and Laplacians along with the values (`forward_laplacian`); the rules
of operations are in `laplacian_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import pullback.derivatives.laplacians.laplacian_rules
from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_api, user_line
from pullback.core.linear import zeros
from pullback.core.trace import current, under
from pullback.core.tree import tree_flatten
from pullback.derivatives.basis import basis_from, positive, sum_over_chunks
from pullback.derivatives.laplacians.forward_laplacian import FEW, LaplacianTrace, Local, dense
from pullback.derivatives.laplacians.laplacian_rows import Pattern
from pullback.lax.family import like
from pullback.lax.shape import broadcast_to, move_axis, strong
from pullback.transforms.derivatives import canonical_argnums as index_of
from pullback.transforms.derivatives import array_leaf, check_callable, named_after, of_arguments, unravel_last
from pullback.transforms.jvp import array_output, as_weak_as, split_auxiliary
from pullback.transforms.spaces import flatten, has_points
from pullback.xla.devices import beside

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value


class LocalDerivatives(NamedTuple):
    """What `value_grad_and_laplacian` gives.

    >>> import pullback.numpy as jnp
    >>> value_grad_and_laplacian(lambda x: x @ x)(jnp.array([1.0, 2.0])).laplacian
    Array(4., dtype=float32)
    """

    value: Any
    gradient: Any
    laplacian: Any


def laplacian(
    fun: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False, *, batch_size: int | None = None
) -> Function:
    """A function returning the Laplacian of `fun`: the sum of its second derivatives by each of the
    coordinates that the arguments `argnums` have together.

    Results have the structure, shapes and dtypes of `fun`'s, which may be arrays: the Laplacian of
    each element. With `has_aux`, `fun` gives (output, aux), and (laplacian, aux) comes back. The cost
    is about that of evaluating `fun` on as many tangents as there are coordinates, and the memory so
    many times that of its values, unless elements depend on few of the coordinates; with `batch_size`,
    only so many coordinates are taken at a time, in a loop. Raises TypeError for arguments that are not
    real or results that are not inexact, ValueError for a `batch_size` that is not positive.

    Source: R. Li et al., "A computational framework for neural network-based variational Monte Carlo
    with Forward Laplacian", Nature Machine Intelligence 6 (2024).

    >>> import pullback.numpy as jnp
    >>> laplacian(lambda x: jnp.sum(x**4))(jnp.array([1.0, 2.0]))         # 12 (x₀² + x₁²)
    Array(60., dtype=float32)
    >>> laplacian(lambda r: 1 / jnp.linalg.norm(r))(jnp.array([1.0, 2.0, 2.0])).round(6)    # harmonic
    Array(0., dtype=float32)
    """
    check_callable(fun)
    chosen = index_of(argnums)
    size = None if batch_size is None else positive(batch_size, "laplacian: batch_size")

    @user_api
    def laplacian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        of_chosen, inputs = _Inputs.of(fun, chosen, args, kwargs)
        if size is not None and size < inputs.count:
            total = inputs.in_batches(of_chosen, has_aux, size)
            return (total, of_chosen(*inputs.primals)[1]) if has_aux else total
        trace, out, aux = inputs.run(of_chosen, has_aux, inputs.seeds())
        found = _each(out, trace, _curvature)
        return (found, aux) if has_aux else found

    return named_after(laplacian_fun, fun, "laplacian", "Laplacian")


def value_grad_and_laplacian(fun: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function returning (value, gradient, laplacian) of `fun`, a `LocalDerivatives`, from one pass.

    The gradient is that of a real function; of arrays it is the Jacobian, as `jacfwd` gives it. With
    `has_aux` it returns (derivatives, aux). Arguments, errors and source are those of `laplacian`. The
    local energy of quantum Monte Carlo, −½ (∇² log ψ + |∇ log ψ|²) + V, needs two of them:

    >>> import pullback.numpy as jnp
    >>> log_psi = lambda r: -jnp.linalg.norm(r)                           # hydrogen
    >>> r = jnp.array([0.5, 1.0, -1.0])
    >>> _, gradient, second = value_grad_and_laplacian(log_psi)(r)
    >>> (-0.5 * (second + gradient @ gradient) - 1 / jnp.linalg.norm(r)).round(5)
    Array(-0.5, dtype=float32)
    """
    check_callable(fun)
    chosen = index_of(argnums)

    @user_api
    def derivatives_fun(*args: Tree, **kwargs: Tree) -> Any:
        of_chosen, inputs = _Inputs.of(fun, chosen, args, kwargs)
        trace, out, aux = inputs.run(of_chosen, has_aux, inputs.seeds())

        def jacobian(x: Local) -> Any:
            shape = (inputs.count, *x.value.shape)
            rows = zeros(shape, x.value.dtype) if x.slopes is None else dense(inputs.count, x)
            rows = as_weak_as(beside(rows, x.value), x.value.weak_type)
            return unravel_last(move_axis(rows, 0, rows.ndim - 1), inputs.leaves, inputs.tree, chosen)

        parts = [_each(out, trace, part) for part in (lambda x: x.value, jacobian, _curvature)]
        found = LocalDerivatives(*parts)
        return (found, aux) if has_aux else found

    return named_after(derivatives_fun, fun, "value_grad_and_laplacian", "Value, gradient and Laplacian")


# ---- inputs and outputs --------------------------------------------------------------------------


class _Inputs:
    """The arguments that are differentiated: their arrays, whose elements are `count` coordinates."""

    __slots__ = ("leaves", "tree", "primals", "count", "_starts")

    def __init__(self, chosen: tuple[Tree, ...]) -> None:
        leaves, self.tree = tree_flatten(chosen)
        self.leaves = [_real(chosen, x) for x in leaves]
        self.primals = self.tree.unflatten(self.leaves)
        sizes = [x.size for x in self.leaves]
        self.count = sum(sizes)
        self._starts = [sum(sizes[:i]) for i in range(len(sizes))]

    @staticmethod
    def of(fun: Function, argnums: Any, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> tuple[Function, _Inputs]:
        """`fun` as a function of the arguments `argnums` alone, and these."""
        of_chosen, chosen = of_arguments(fun, argnums, args, kwargs)
        if has_points(flatten(chosen)[0]):
            raise TypeError(
                f"laplacian takes arguments whose coordinates are the elements of their arrays; one has a tangent space of its own, at "
                f"{user_line()}. Make the function one of the tangent"
            )
        return of_chosen, _Inputs(chosen)

    def seeds(self) -> list[Local]:
        """The arrays as values with derivatives: each element is a coordinate."""
        found = []
        for x, start in zip(self.leaves, self._starts):
            numbers = np.arange(start, start + x.size, dtype=np.int32).reshape(1, *x.shape)
            if self.count >= FEW:
                ones = broadcast_to(like(1.0, strong(x)), (1, *x.shape))
                found.append(Local(x, ones, Pattern(numbers)))
            else:
                rows = np.arange(self.count).reshape(-1, *(1,) * x.ndim)
                found.append(Local(x, beside(concrete((rows == numbers).astype(x.dtype)), x)))
        return found

    def run(
        self, fun: Function, has_aux: bool, seeds: list[Local], rows: int | None = None
    ) -> tuple[LaplacianTrace, Tree, Tree]:
        """The trace, and under it the output of the function and its auxiliary data."""
        trace = LaplacianTrace(current(), self.count if rows is None else rows)
        if not self.count:  # nothing is differentiated
            seeds = [Local(x) for x in self.leaves]
        out = under(trace, fun, *self.tree.unflatten([trace.wrap(x) for x in seeds]))
        return (trace, *split_auxiliary(trace, out, "laplacian")) if has_aux else (trace, out, None)

    def in_batches(self, fun: Function, has_aux: bool, size: int) -> Tree:
        """The Laplacian, summed over so many coordinates at a time."""

        def of_batch(first: Value) -> Tree:
            rows = basis_from([x.aval for x in self.leaves], first, size)
            trace, out, _ = self.run(fun, has_aux, list(map(Local, self.leaves, rows)), size)
            return _each(out, trace, _curvature)

        return sum_over_chunks(of_batch, self.count, size)


def _real(tree: Tree, x: Any) -> Array:
    x = array_leaf(tree, x)
    if not dtypes.is_float(x.dtype):
        raise TypeError(
            f"laplacian requires real-valued inputs (input dtype that is a sub-dtype of np.floating), but got {dtypes.name(x.dtype)}, at "
            f"{user_line()}. For complex coordinates, make the function one of their real and imaginary parts."
        )
    return x


def _each(out: Tree, trace: LaplacianTrace, part: Callable[[Local], Any]) -> Tree:
    """A part of each output."""
    leaves, tree = tree_flatten(out)
    found = []
    for x in leaves:
        x = array_output(out, x)
        if not dtypes.is_inexact(x.dtype):
            raise TypeError(
                f"laplacian requires outputs of an inexact dtype, but got {dtypes.name(x.dtype)}, at {user_line()}: return "
                "what is not to be differentiated as auxiliary data, with has_aux=True"
            )
        found.append(part(trace.unwrap(x)))
    return tree.unflatten(found)


def _curvature(x: Local) -> Value:
    value, c = x.value, x.curvature
    if c is None:
        return beside(zeros(value.shape, value.dtype, value.weak_type), value)
    return as_weak_as(c, value.weak_type)


__all__ = ["LocalDerivatives", "laplacian", "value_grad_and_laplacian"]
