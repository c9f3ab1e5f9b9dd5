"""stop_gradient: a value as a constant to differentiation."""

from __future__ import annotations

from typing import Any

from pullback.core.array import as_array
from pullback.core.primitive import Primitive
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray


class StopGradient(Primitive):
    """The identity, with derivative zero."""

    name = "stop_gradient"
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


def stop_gradient(x: Any) -> Any:
    """`x` (a tree of arrays) as a constant: its derivative is zero in every mode."""
    leaves, tree = tree_flatten(x)
    return tree.unflatten([stop_gradient_p.bind(as_array(leaf)) for leaf in leaves])


__all__ = ["stop_gradient", "stop_gradient_p"]
