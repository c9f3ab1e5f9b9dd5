"""From a Python function to a program: a function of trees, with what is static bound, as one of
flat arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pullback.core.array import Array
from pullback.core.tree import arrays_of, as_arrays, tree_flatten

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value


class FlatFunction:
    """A call of a function `fun(*args, **kwargs)`, as a function of the arrays in its arguments,
    called `what` in messages.

    Arguments numbered in `static`, and keyword arguments in `static_names`, are passed as they are.
    `leaves` are the others' leaves, in the structure `in_tree` of a pair (positional, keyword).
    Each call leaves the structure of its result in `out_tree`.

    >>> f = FlatFunction(lambda x, n: {"power": x**n}, (2.0, 3), {}, "f", static={1})
    >>> f.leaves
    [2.0]
    >>> f(*f.leaves)
    [Array(8., dtype=float32, weak_type=True)]
    >>> f.out_tree.unflatten(["a leaf"])
    {'power': 'a leaf'}
    """

    __slots__ = ("fun", "args", "static", "fixed", "dynamic", "leaves", "in_tree", "out_tree", "what")

    def __init__(
        self,
        fun: Function,
        args: tuple[Tree, ...],
        kwargs: dict[str, Tree],
        what: str,
        static: Collection[int] = (),
        static_names: Collection[str] = (),
    ) -> None:
        self.fun, self.args, self.static, self.what = fun, args, static, what
        self.fixed = {k: v for k, v in kwargs.items() if k in static_names}
        named = {k: v for k, v in kwargs.items() if k not in static_names}
        self.dynamic = tuple([a for i, a in enumerate(args) if i not in static]), named
        self.leaves, self.in_tree = tree_flatten(self.dynamic)
        self.out_tree: Any = None

    def arrays(self, what: str) -> list[Value]:
        """The leaves as Arrays. Raises TypeError for one that is none, which is of `what`."""
        return as_arrays(self.leaves, self.dynamic, what)

    def __call__(self, *xs: Value) -> list[Array]:
        new, named = self.in_tree.unflatten(list(xs))
        rest = iter(new)
        args = [a if i in self.static else next(rest) for i, a in enumerate(self.args)]
        leaves, self.out_tree = arrays_of(self.fun(*args, **named, **self.fixed), f"the output of {self.what}")
        return leaves


__all__ = ["FlatFunction"]
