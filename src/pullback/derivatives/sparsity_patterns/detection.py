"""Where a Jacobian is not zero: `sparsity(f, *args)`.

What is looked at is not the function but its derivative, the program that pushes tangents forward,
which is linear in them: every value there is either known, or not, and if it depends on tangents, it
has a set of input elements for each of its elements (`index_sets`). So an operation's derivative rule
decides, not the operation: whatever has a rule `jvp`, a rule of the user's own among them, has a pattern,
and what rules are needed for is what derivatives consist of, linear operations and loops.

Values that do not depend on the inputs are known, and computed if a rule asks: positions of gathers, the
predicate of a selection, a constant coefficient that is zero at places. In a pattern that is valid for
all inputs (`local=False`) everything else is unknown: a selection then has what both cases have, a loop
what any number of steps gives. At a point (`local=True`) everything is known.

The rules stand in `linear_operations` and `through_loops`, by class or by operation. What has none
depends, with all of its results, on all of its operands: `dense_by_default()` lists it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr
from pullback.core.passes import eliminate_dead_code, inline_calls
from pullback.core.staging import stage_flat
from pullback.core.trace import current
from pullback.core.tree import tree_flatten
from pullback.core.types import Shape, ShapedArray
from pullback.derivatives.sparsity_patterns import linear_operations as linear_operations  # the rules, by class
from pullback.derivatives.sparsity_patterns import through_loops as through_loops  # and of calls
from pullback.derivatives.sparsity_patterns.index_sets import IndexSets
from pullback.derivatives.sparsity_patterns.pattern import SparsityPattern
from pullback.derivatives.sparsity_patterns.propagation import Fact, detection_loops, detection_rules, propagate
from pullback.transforms.derivatives import of_arguments
from pullback.transforms.jvp import jvp_flat
from pullback.transforms.linearize import linearize
from pullback.transforms.spaces import flatten, has_points

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value
    from pullback.core.primitive import Primitive
    from pullback.transforms.derivatives import Argnums


def dependence(closed: ClosedJaxpr, linear: Sequence[int]) -> Any:
    """The boolean matrix (a `csr_array`) of what a program's results, element by element, depend on of the
    operands numbered in `linear`, one after the other. The others are unknown."""
    closed = inline_calls(closed)
    jaxpr = eliminate_dead_code(closed.jaxpr)
    types = closed.in_avals
    width, start = sum([types[i].size for i in linear]), 0
    facts = []
    for i, t in enumerate(types):
        if i in linear:
            facts.append(Fact(t, None, IndexSets.single(t.size, start, width)))
            start += t.size
        else:
            facts.append(Fact(t))
    kept = [f for f, v in zip(facts, closed.jaxpr.invars) if v in jaxpr.invars]
    outs = propagate(jaxpr, _consts(closed, jaxpr), kept)
    return IndexSets.stacked([o.sets or IndexSets.empty(o.size, width) for o in outs]).matrix


def _consts(closed: ClosedJaxpr, jaxpr: Jaxpr) -> list[Value]:
    values = dict(zip(closed.jaxpr.constvars, closed.consts))
    return [values[v] for v in jaxpr.constvars]


def pattern_of_blocks(blocks: Blocks, local: bool, of: Callable[[Function], Function] = lambda flat: flat) -> Any:
    """The boolean matrix of the Jacobian of a function, or of what `of` makes of it as a function of flat arrays, valid
    for all arguments, those that are not differentiated among them, or for these."""
    if local:
        # As it is evaluated here: with Python's own branches, and all residuals known.
        _, f_lin = linearize(of(blocks.flat), *blocks.leaves)
        return dependence(f_lin.program(), range(len(blocks.leaves)))
    types, others = [x.aval for x in blocks.leaves], [x.aval for x in blocks.others]
    tangents = [t.to_tangent_aval().update(weak_type=False) for t in types]
    n, m = len(types), len(others)

    def push(*xs: Value) -> list[Value]:
        outs, ts = jvp_flat(of(partial(blocks.flat_with, xs[n : n + m])), xs[:n], xs[n + m :])
        zeros = [np.zeros(o.shape, dtypes.tangent_dtype(o.dtype)) for o in outs]
        return [z if t is None else t for t, z in zip(ts, zeros)]

    closed = stage_flat(push, [*types, *others, *tangents], current())
    return dependence(closed, range(n + m, 2 * n + m))


def pattern_of_linear_program(closed: ClosedJaxpr) -> SparsityPattern:
    """Where the matrix of a linear program is not zero.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> pattern_of_linear_program(pb.linearize(jnp.diff, jnp.ones(3))[1].program()).to_dense().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """
    return SparsityPattern(dependence(closed, range(len(closed.in_avals))))


def sparsity(fun: Function, *args: Tree, argnums: Argnums = 0, local: bool = False) -> Tree:
    """Where the Jacobian of `fun` at `*args` is not zero: a `SparsityPattern` of shape (elements of the result,
    elements of the argument).

    By default the pattern holds for all arguments of these shapes and dtypes; with `local`, for
    this point alone: the branches that are taken here, the order in which elements are sorted here,
    without what is multiplied by zero here. Patterns are never too small; they are too large where
    terms cancel, or where the program does not say what is zero. `argnums` as in `jacobian`. Trees of
    arguments and results give trees of patterns, as `jacobian` gives trees of blocks. Raises TypeError
    for arguments that are no floating-point arrays, and ValueError for patterns of more than 2²⁶ places.

    The pattern is propagated through the derivative's program (compare Walther 2008, "Computing sparse Hessians
    with automatic differentiation"; Hill and Dalle 2025, "Sparser, better, faster, stronger").

    >>> import pullback.numpy as jnp
    >>> sparsity(lambda x: x[1:] * x[:-1] ** 2, jnp.ones(5))
    SparsityPattern(4 × 5, 8 places)
    ⠙⢦⡀
    >>> sparsity(lambda x: jnp.where(x > 0, x, x[::-1]), jnp.array([1.0, -1.0]), local=True).to_dense().astype(int)
    array([[1, 0],
           [1, 0]])
    """
    try:
        blocks = Blocks(fun, args, argnums, "sparsity")
        matrix = pattern_of_blocks(blocks, local)
        return blocks.structure.tree_of(matrix, lambda m, _: SparsityPattern(m))
    except Exception as error:
        filter_traceback(error)
        raise


class Blocks:
    """A function of trees as one of a flat list of arrays, and its Jacobian, one matrix, as a tree of blocks.

    `leaves` are those of the arguments that are differentiated, `others` the arrays among the other arguments:
    a pattern has to hold whatever they are. All else is `static`.

    Example: of `f(x)["a"]` with x of 3 elements and a of 2: one block, of rows 0 to 1 and columns 0 to 2.
    """

    __slots__ = (
        "leaves", "others", "static", "out_types", "_fun", "_args", "_positions", "_in_tree", "_single", "_out_tree", "_what",
    )  # fmt: skip

    def __init__(
        self, fun: Function, args: tuple[Tree, ...], argnums: Argnums, what: str, holomorphic: bool = False
    ) -> None:
        if not callable(fun):
            raise TypeError(f"{what} takes a function, got {fun!r:.100}, at {user_line()}")
        self._fun, self._what = fun, what
        _, chosen = of_arguments(fun, argnums, args, {})
        if has_points(flatten(chosen)[0]):
            raise TypeError(
                f"{what} takes arrays; an argument has a tangent space of its own, at {user_line()}. Make the function one of the tangent, "
                "t ↦ fun(retract(x, t)), or use jacfwd, jacrev or hessian"
            )
        self._single = isinstance(argnums, int)
        self._positions = [i % len(args) for i in ((argnums,) if isinstance(argnums, int) else argnums)]
        leaves, self._in_tree = tree_flatten(chosen)
        self.leaves = [_differentiable(x, what, holomorphic) for x in leaves]
        if not self.leaves:
            raise ValueError(
                f"{what}: there are no arrays in the arguments that are to be differentiated, at {user_line()}"
            )
        # What is not differentiated stays in its place; its arrays can be others.
        rest, tree = tree_flatten([None if i in self._positions else x for i, x in enumerate(args)])
        places = [i for i, x in enumerate(rest) if is_variable(x)]
        self.others = [as_array(rest[i]) for i in places]
        #: What is part of the function: sizes, texts, functions.
        self.static = [x for i, x in enumerate(rest) if i not in places]
        self._args = rest, tree, places
        self._out_tree: Any = None
        self.out_types: list[ShapedArray] = []

    def flat(self, *xs: Value) -> list[Value]:
        """The function of flat arrays."""
        return self.flat_with(self.others, *xs)

    def flat_with(self, others: Sequence[Value], *xs: Value) -> list[Value]:
        """The same with other values in the place of the arrays that are not differentiated."""
        rest, tree, places = self._args
        rest = list(rest)
        for i, x in zip(places, others):
            rest[i] = x
        args: Any = tree.unflatten(rest)
        chosen: Any = self._in_tree.unflatten(list(xs))
        for i, own in zip(self._positions, chosen):
            args[i] = own
        leaves, self._out_tree = tree_flatten(self._fun(*args))
        outs = [as_array(x) for x in leaves]
        for o in outs:
            if not dtypes.is_inexact(o.dtype):
                raise TypeError(
                    f"{self._what}: the results must be floating-point arrays, got {o.aval.str_short()}, at {user_line()}. "
                    "Results without derivatives can be left out, or returned by another function"
                )
        self.out_types = [o.aval for o in outs]
        return outs

    def evaluate_types(self) -> None:
        """Find out the results' types, without computing them."""
        stage_flat(self.flat, [x.aval for x in self.leaves], current())

    @property
    def shapes(self) -> list[list[Shape]]:
        """The shapes of the arguments that are differentiated, and of the other arrays."""
        return [self.in_shapes, [x.shape for x in self.others]]

    @property
    def rows(self) -> list[int]:
        return [t.size for t in self.out_types]

    @property
    def columns(self) -> list[int]:
        return [x.size for x in self.leaves]

    @property
    def in_shapes(self) -> list[Shape]:
        return [x.shape for x in self.leaves]

    @property
    def out_shapes(self) -> list[Shape]:
        return [t.shape for t in self.out_types]

    @property
    def structure(self) -> Structure:
        """That of the Jacobian."""
        return Structure(self._out_tree, self._in_tree, self._single, self.out_shapes, self.in_shapes)

    @property
    def square_structure(self) -> Structure:
        """That of the Hessian."""
        return Structure(self._in_tree, self._in_tree, self._single, self.in_shapes, self.in_shapes, square=True)


class Structure:
    """How the blocks of a matrix make a tree: the trees of results and arguments, and the shapes of their leaves.

    Example: of a function of one array with one array as its result, one block.
    """

    __slots__ = ("_out_tree", "_in_tree", "_single", "_out_shapes", "_in_shapes", "_square")

    def __init__(
        self, out_tree: Any, in_tree: Any, single: bool, out_shapes: list[Shape], in_shapes: list[Shape], square: bool = False
    ) -> None:  # fmt: skip
        # Arguments are in a tuple, which one that is not asked for as a tuple leaves again.
        self._out_tree, self._in_tree, self._single, self._square = out_tree, in_tree, single, square
        self._out_shapes, self._in_shapes = out_shapes, in_shapes

    @property
    def is_single(self) -> bool:
        """Whether there is one block, the whole matrix."""
        return len(self._out_shapes) == len(self._in_shapes) == 1

    def tree_of(self, whole: Any, make: Callable[[Any, Shape], Any]) -> Tree:
        """The tree of what `make` makes of each block of a SciPy matrix in CSR format, and of the shape that it
        has as an array."""
        rows, columns = (_slices(map(math.prod, shapes)) for shapes in (self._out_shapes, self._in_shapes))
        out = [
            self._in_tree.unflatten(
                [make(whole if self.is_single else whole[r, c], (*m, *n)) for c, n in zip(columns, self._in_shapes)]
            )
            for r, m in zip(rows, self._out_shapes)
        ]
        found = self._out_tree.unflatten([row[0] for row in out] if self._single else out)
        return found[0] if self._square and self._single else found


def is_variable(x: Any) -> bool:
    """Whether an argument that is not differentiated is one that may be another number in another call; integers of
    Python's and NumPy's, which may be sizes or axes, are not."""
    if isinstance(x, np.generic):
        return not isinstance(x, (np.integer, np.bool_))
    return isinstance(x, (Array, np.ndarray, float, complex))


def _slices(sizes: Iterable[int]) -> list[slice]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(a, b) for a, b in zip(ends, ends[1:])]


def _differentiable(x: Any, what: str, holomorphic: bool) -> Array:
    x = as_array(x)
    if dtypes.is_complex(x.dtype) != holomorphic and dtypes.is_inexact(x.dtype) and what != "sparsity":
        raise TypeError(
            f"{what}: arguments are complex with holomorphic=True, and real without, got {x.aval.str_short()}, at {user_line()}"
        )
    if not dtypes.is_inexact(x.dtype):
        raise TypeError(
            f"{what} requires arguments of floating-point dtypes, got {x.aval.str_short()}, at {user_line()}. Convert it "
            "to floats, or choose other arguments with argnums"
        )
    return x


def dense_by_default() -> list[Primitive]:
    """The operations that no rule is needed for in derivatives, or of which all results are said to depend on all
    operands: those without a rule.

    >>> [p.name for p in dense_by_default() if p.name in ("sin", "svd")]
    ['svd']
    """
    from pullback.core.primitive import registry

    return [
        p
        for _, p in sorted(registry.items())
        if not (detection_rules.find(p) or detection_loops.find(p) or p.expands or p.inlined is not None)
        and p.no_derivative is None
    ]


__all__ = ["dense_by_default", "pattern_of_linear_program", "sparsity"]
