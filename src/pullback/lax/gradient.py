"""Values as constants to differentiation: `stop_gradient` everywhere, `stop_gradient_unless` for
some elements of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.linear import Equation, Node, zeros
from pullback.core.primitive import Fusion, LinearPrimitive, Primitive
from pullback.core.trace import Params
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray
from pullback.lax.selection import select_n_p
from pullback.lax.shape import batch_first, broadcast_in_dim_p


class StopGradient(Primitive):
    """The identity, with derivative zero."""

    name = "stop_gradient"
    fusion, operations = Fusion.ELEMENTWISE, 1
    makes_nan = False
    no_derivative = "that is its purpose"

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return x

    def evaluate(self, x: Any) -> Any:
        return x

    def lower(self, emit: Any, x: Any) -> Any:
        return x

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(args[0]), axes[0]


stop_gradient_p = StopGradient()


class StopGradientUnless(LinearPrimitive):
    """The identity on `x`, whose derivative is the identity where the boolean `flags` is true, and
    zero elsewhere.

    The axes of `flags` are the first of `x`. Tangents and cotangents are *selected*, not
    multiplied: of an element whose flag is false, none comes through, NaN neither, in any mode and
    order.
    """

    name = "stop_gradient_unless"
    makes_nan = False
    weakness = "first"
    linear_in = (0,)
    forwards = True

    def type_of(self, x: ShapedArray, flags: ShapedArray) -> ShapedArray:
        if flags.dtype != dtypes.bool_ or x.shape[: len(flags.shape)] != flags.shape:
            raise TypeError(
                f"stop_gradient_unless: flags of type {flags.str_short()} are not of the first axes of {x.str_short()}"
            )
        return x

    def evaluate(self, x: Any, flags: Any) -> Any:
        return x

    def lower(self, emit: Any, x: Any, flags: Any) -> Any:
        return x

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        x, flags = primals
        t = tangents[0]
        return self.bind(x, flags), None if t is None else where_flagged(flags, t)

    def linearize(self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
        x, flags = primals
        node = nodes[0]
        out = self.bind(x, flags)
        return out, None if node is None else Equation(select_n_p, _masked(flags, node), {}, node.shape, node.dtype)

    def record(self, operands: Sequence[Any], params: Params) -> Any:
        x, flags = operands
        return select_n_p.record(_masked(flags, x), {})

    def transpose(self, ct: Any, x: Any, flags: Any) -> Sequence[Any]:
        return [where_flagged(flags, ct), None]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        (x, flags), (b_x, b_flags) = args, axes
        if b_flags is None and not flags.shape:
            return self.bind(x, flags), b_x
        return self.bind(batch_first(x, b_x, size), batch_first(flags, b_flags, size)), 0


stop_gradient_unless_p = StopGradientUnless()


def _masked(flags: Any, x: Any) -> tuple[Any, Any, Any]:
    """Operands of a `select_n` that gives `x` where the flag is true, and zero elsewhere."""
    zero = broadcast_in_dim_p.bind(zeros((), x.dtype), shape=x.shape, broadcast_dimensions=())
    if flags.shape != x.shape and flags.shape:
        flags = broadcast_in_dim_p.bind(flags, shape=x.shape, broadcast_dimensions=tuple(range(flags.ndim)))
    return flags, zero, x


def where_flagged(flags: Any, x: Any) -> Any:
    """`x` where the boolean `flags`, whose axes are its first, is true; zero elsewhere."""
    return select_n_p.bind(*_masked(flags, x))


def stop_gradient(x: Any) -> Any:
    """`x` (a tree of arrays) as a constant: its derivative is zero in every mode.

    >>> from pullback import grad
    >>> grad(lambda x: x * stop_gradient(x))(3.0)  # not 2 x
    Array(3., dtype=float32, weak_type=True)
    """
    leaves, tree = tree_flatten(x)
    return tree.unflatten([stop_gradient_p.bind(as_array(leaf)) for leaf in leaves])


__all__ = ["stop_gradient", "stop_gradient_p", "stop_gradient_unless_p"]
