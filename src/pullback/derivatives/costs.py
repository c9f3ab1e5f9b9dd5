"""What a Jacobian costs in each of the ways to compute it, before anything is computed.

    print(derivative_cost(f, x))                 # forward, reverse, sparse and elimination, side by side
    jacobian(f, mode="auto")(x)                  # takes the one that `choose_mode` names

The arithmetic is counted on the programs that would run (`explaining.operations`): of forward mode, that of the
linear program for one tangent, as often as there are inputs, and of the function once; of reverse mode the same
for cotangents and outputs; with a sparsity pattern, as often as there are colours; of elimination, that of the whole
program. Memory is what is alive at once, in the programs' own order (`explaining.memory`): the residuals, the
tangents of all inputs together, as `vmap` computes them, and the Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_api, user_line
from pullback.core.interning import intern, lift
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.staging import close, stage_flat
from pullback.core.tree import arrays_of, tree_flatten
from pullback.core.types import typeof
from pullback.derivatives.sparsity_patterns.index_sets import TooDenseError
from pullback.explaining.drawing import human
from pullback.explaining.memory import steps
from pullback.explaining.operations import account
from pullback.transforms.derivatives import Argnums, canonical_argnums, check_callable, grad, of_arguments
from pullback.transforms.program import Linearization
from pullback.transforms.spaces import SPACES, flatten, has_points
from pullback.transforms.tracing import eval_shape

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Tree, Value

#: Graphs of more vertices, and Jacobians of more elements, are not eliminated from.
_MOST_VERTICES, _MOST_ELEMENTS = 2000, 1 << 24
#: Places of a pattern from which on a colouring takes long, and is only made where at most a quarter of the matrix is.
_MANY_PLACES = 1 << 20
#: Fewer products are not worth a sparsity pattern.
_FEW_PRODUCTS = 16
#: What another way must save to be chosen instead of forward or reverse mode, whose programs are short.
_ELIMINATION_SAVES, _SPARSITY_SAVES = 0.8, 0.5
#: Elimination keeps local Jacobians: with so many times the memory of the others, from so many bytes on, it is not chosen.
_TIMES_MEMORY, _MUCH_MEMORY = 4, 1 << 26


class Way(NamedTuple):
    """A way to compute a Jacobian: how many `products` of it with vectors there are (0 where all of it is computed at
    once), its arithmetic, and the bytes that are alive at once.

    >>> import pullback.numpy as jnp
    >>> found = derivative_cost(lambda x: jnp.sum(x**2), jnp.ones(10))
    >>> found["reverse"].products, found["forward"].products
    (1, 10)
    """

    name: str
    products: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class DerivativeCost:
    """The ways to compute a Jacobian, or Hessian, and what each costs. `print` shows them, and `chosen`, what
    `jacobian(f, mode="auto")` takes; `cost["reverse"]` is one.

    `function` is the evaluation of the function itself, `shape` that of the matrix: elements of results and of
    arguments. With `open_loops`, there are loops that count once, because it is not known how often they run.

    >>> import pullback.numpy as jnp
    >>> found = derivative_cost(jnp.diff, jnp.ones(1000))
    >>> found.shape, found["sparse"].products, found.chosen
    ((999, 1000), 2, 'sparse')
    """

    what: str
    shape: tuple[int, int]
    function: Way
    ways: tuple[Way, ...]
    chosen: str
    open_loops: bool

    def __getitem__(self, name: str) -> Way:
        for way in self.ways:
            if way.name == name:
                return way
        raise KeyError(f"{name}: the ways are {', '.join([w.name for w in self.ways])}")

    def _rows(self) -> list[list[str]]:
        rows = []
        for w in (self.function, *self.ways):
            products = f"{w.products:,}" if w.products else ""
            mark = "chosen" if w.name == self.chosen else ""
            rows.append([w.name, products, f"{w.flops:,}", human(w.bytes), mark])
        return rows

    def _title(self) -> str:
        rows, columns = self.shape
        at_least = "; loops whose steps are not known count once" if self.open_loops else ""
        return f"{self.what}, {rows:,} × {columns:,}{at_least}"

    def __str__(self) -> str:
        table = [["way", "products", "flops", "memory", ""], *self._rows()]
        widths = [max([len(row[i]) for row in table]) for i in range(5)]
        lines = []
        for name, *numbers, mark in table:
            cells = [name.ljust(widths[0]), *[n.rjust(w) for n, w in zip(numbers, widths[1:])], mark]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join([self._title(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join([f"<th>{h}</th>" for h in ("way", "products", "flops", "memory", "")])
        body = "".join(["<tr>" + "".join([f"<td>{escape(c)}</td>" for c in row]) + "</tr>" for row in self._rows()])
        return f"<p><b>{escape(self._title())}</b></p><table><tr>{head}</tr>{body}</table>"


# ---- what is counted -----------------------------------------------------------------------------


class _Programs:
    """A function of the differentiated leaves as a program, and what follows from it.

    Example: of `x ↦ sin(x)` at 3 numbers: the program, and that of a tangent through it.
    """

    def __init__(self, closed: ClosedJaxpr, active: Sequence[bool]) -> None:
        self.closed, self.active = closed, tuple(active)
        self.in_types = [t for t, a in zip(closed.in_avals, active) if a]
        self.out_types = [t for t in closed.out_avals if dtypes.is_inexact(t.dtype)]
        self.shape = sum([t.size for t in self.out_types]), sum([t.size for t in self.in_types])
        self.matrix = prod(self.shape) * max([t.dtype.itemsize for t in self.in_types], default=0)
        found = account(closed)
        self.function = Way("function", 0, found.flops, _peak(closed))
        self.open_loops = found.open_loops
        self.linear = Linearization(closed, self.active)
        self.residuals = sum([t.nbytes for t in self.linear.residual_types])
        self._forward = account(self.linear.forward).flops

    def by_products(self, name: str, forward: int, reverse: int, matrix: int) -> Way:
        """The way of so many products with tangents, and with cotangents."""
        flops, alive = self._forward, 0
        for count, kind in ((forward, "push"), (reverse, "pull")):
            if count:
                more, each = self._product(kind)
                flops, alive = flops + count * more, max(alive, count * each)
        return Way(name, forward + reverse, flops, max(self.function.bytes, self.residuals + alive + matrix))

    def _product(self, kind: str) -> tuple[int, int]:
        """The arithmetic of one product, and the bytes that are alive then beside the residuals."""
        if kind == "push":
            program, _ = self.linear.pushforward(self.active)
        else:
            program, _ = self.linear.pullback(self.linear.has_tangent)
        return account(program).flops, max(0, _peak(program) - self.residuals)

    def forward(self) -> Way:
        return self.by_products("forward", self.shape[1], 0, self.matrix)

    def reverse(self) -> Way:
        return self.by_products("reverse", 0, self.shape[0], self.matrix)

    def can_eliminate(self) -> bool:
        """Whether the graph, and the Jacobian, are small enough."""
        return len(self.closed.eqns) <= _MOST_VERTICES and prod(self.shape) <= _MOST_ELEMENTS

    def elimination(self, order: Argument, search_seconds: float, holomorphic: bool) -> Way:
        from pullback.derivatives.elimination import elimination_jacobian

        active = self.active

        def of_active(*xs: Value) -> list[Value]:
            outs = run(self.closed, *xs)
            return [o for o in outs if dtypes.is_inexact(o.dtype)]

        numbers = tuple([i for i, a in enumerate(active) if a])
        of = elimination_jacobian(
            of_active, numbers, holomorphic=holomorphic, order=order, search_seconds=search_seconds
        )  # fmt: skip
        program = stage_flat(lambda *xs: arrays_of(of(*xs), "the Jacobian")[0], self.closed.in_avals)
        name = "elimination" if order == "markowitz" else f"elimination, {order}"
        return Way(name, 0, account(program).flops, _peak(program))


def _peak(closed: ClosedJaxpr) -> int:
    arguments = sum([v.aval.nbytes for v in (*closed.invars, *closed.constvars)])
    return max([s.bytes for s in steps(closed)], default=arguments)


def _programs(fun: Function, args: tuple[Tree, ...], argnums: Argnums, hessian: bool) -> _Programs:
    """The function of all arrays in the arguments, of which some are differentiated; equal programs are counted once."""
    _, chosen = of_arguments(fun, argnums, args, {})
    positions = [i % len(args) for i in ((argnums,) if isinstance(argnums, int) else argnums)]
    leaves, tree = tree_flatten(args)
    owner = [i for i, x in enumerate(args) for _ in tree_flatten(x)[0]]
    variable = [hasattr(x, "dtype") or isinstance(x, (float, complex)) or i in positions for x, i in zip(leaves, owner)]
    types = [typeof(x) for x, v in zip(leaves, variable) if v]
    active = [i in positions and dtypes.is_inexact(typeof(x).dtype) for x, v, i in zip(leaves, variable, owner) if v]
    if not any(active):
        raise TypeError(
            f"derivative_cost: there is nothing to differentiate in argnums={argnums}, of types "
            f"{', '.join([t.str_short() for t in types])}, at {user_line()}"
        )
    del chosen

    def flat(*xs: Value) -> list[Array]:
        rest = iter(xs)
        given: Any = tree.unflatten([next(rest) if v else x for x, v in zip(leaves, variable)])
        if not hessian:
            return arrays_of(fun(*given), "the output of the function given to derivative_cost")[0]
        numbers = tuple(dict.fromkeys(positions))
        return arrays_of(grad(fun, numbers)(*given), "the gradient")[0]

    closed, captured = close(stage_flat(flat, types))
    program, constants = lift(closed)
    program = intern(program)
    fixed = len(constants) + len(captured)
    mask = (*[False] * fixed, *active)
    found: _Programs = program.derived(("derivative costs", mask), _Programs, mask)
    return found


def _plan(fun: Function, args: tuple[Tree, ...], argnums: Argnums, hessian: bool, holomorphic: bool) -> tuple[int, int]:
    """How many products with tangents and with cotangents a sparse plan has."""
    from pullback.derivatives.plans import hessian_plan, jacobian_plan
    from pullback.derivatives.sparsity_patterns.detection import Blocks, pattern_of_blocks
    from pullback.derivatives.sparsity_patterns.pattern import SparsityPattern

    def example(x: Any) -> Any:
        """An array in the place of a type, or of a traced value."""
        if not hasattr(x, "dtype") or dtypes.is_key(x.dtype):
            return x
        t = typeof(x)
        return np.zeros(t.shape, t.dtype)

    leaves, tree = tree_flatten(args)
    examples: Any = tree.unflatten(list(map(example, leaves)))
    pattern = None
    if not hessian:
        blocks = Blocks(fun, tuple(examples), argnums, "derivative_cost", holomorphic)
        pattern = SparsityPattern(pattern_of_blocks(blocks, False))
        m, n = pattern.shape
        if pattern.nnz > _MANY_PLACES and 4 * pattern.nnz > m * n:  # each product gives at most max(m, n) of them
            raise TooDenseError("products save nothing")
    make: Any = hessian_plan if hessian else jacobian_plan
    plan = make(fun, *examples, argnums=argnums, holomorphic=holomorphic, pattern=pattern)
    return (plan.num_products, 0) if hessian else (plan.num_forward, plan.num_reverse)


def _ways(
    found: _Programs, plan: Callable[[], tuple[int, int]] | None, orders: Sequence[Argument], search_seconds: float,
    holomorphic: bool,
) -> list[Way]:  # fmt: skip
    ways = [found.forward(), found.reverse()]
    if plan is not None:
        with suppress(TooDenseError):  # then it is no way
            ways.append(found.by_products("sparse", *plan(), found.matrix))
    if found.can_eliminate():
        ways += [found.elimination(o, search_seconds, holomorphic) for o in orders]
    return ways


def _choice(ways: Sequence[Way], shape: tuple[int, int]) -> str:
    """The way that `mode="auto"` takes for a matrix of this shape."""
    by_name = {w.name: w for w in ways}
    best = min(by_name["reverse"], by_name["forward"], key=lambda w: (w.flops, w.bytes))
    limit, chosen = best.flops, best.name
    sparse, elimination = by_name.get("sparse"), by_name.get("elimination")
    if sparse is not None and min(shape) > _FEW_PRODUCTS and sparse.flops < _SPARSITY_SAVES * limit:
        limit, chosen = sparse.flops, "sparse"
    if elimination is not None and elimination.flops < _ELIMINATION_SAVES * limit:
        if elimination.bytes < max(_TIMES_MEMORY * best.bytes, _MUCH_MEMORY):
            chosen = "elimination"
    return chosen


@user_api
def derivative_cost(
    fun: Function,
    *args: Tree,
    argnums: Argnums = 0,
    of: str = "jacobian",
    orders: Sequence[Argument] = ("markowitz", "search"),
    search_seconds: float = 1.0,
    holomorphic: bool = False,
) -> DerivativeCost:
    """What the Jacobian of `fun` at arguments like these costs in each way: forward and reverse mode, products with the
    colours of a sparsity pattern, and elimination of the program's vertices in some `orders` (see
    `elimination_jacobian`).

    Arguments may be arrays or `ShapeDtypeStruct`s; nothing is computed. With `of="hessian"` it is the Jacobian of the
    gradient: forward over reverse, reverse over reverse, and a sparse plan that uses symmetry. Graphs of
    more than 2,000 vertices are not eliminated from. Raises TypeError if there is nothing to differentiate, or for
    results that have no derivatives, ValueError for another `of`, and what tracing `fun` raises.

    >>> import pullback.numpy as jnp
    >>> print(derivative_cost(lambda x: jnp.sin(x) * x[::-1], jnp.ones(100), orders=["markowitz"]))
    Jacobian, 100 × 100
      way          products   flops   memory
      function                  200   1.6 kB
      forward           100  40,300   201 kB
      reverse           100  40,300   201 kB
      sparse              2   1,100  44.4 kB  chosen
      elimination            10,400   170 kB
    """
    check_callable(fun)
    if of not in ("jacobian", "hessian"):
        raise ValueError(f"derivative_cost: `of` must be 'jacobian' or 'hessian', got {of!r}, at {user_line()}")
    hessian, index = of == "hessian", canonical_argnums(argnums)
    found = _programs(fun, args, index, hessian)
    for t in found.closed.out_avals:
        if not dtypes.is_inexact(t.dtype):
            raise TypeError(
                f"derivative_cost: the results must be real or complex numbers, got {t.str_short()}, at {user_line()}. Leave out "
                "results without derivatives"
            )
    sparse = lambda: _plan(fun, args, index, hessian, holomorphic)
    ways = _ways(found, sparse, orders, search_seconds, holomorphic)
    chosen = _choice(ways, found.shape)
    return DerivativeCost(
        "Hessian" if hessian else "Jacobian", found.shape, found.function, tuple(ways), chosen, found.open_loops
    )


def _gives_arrays(fun: Function, args: tuple[Tree, ...]) -> bool:
    """Whether there are no points (see `transforms.spaces`) among the results."""
    if not SPACES:
        return True
    found = True

    def look(*args: Tree) -> list[Value]:
        nonlocal found
        out = fun(*args)
        found = not has_points(flatten(out)[0])
        return tree_flatten(out)[0]

    eval_shape(look, *args)
    return found


def choose_mode(fun: Function, *args: Tree, argnums: Argnums = 0, holomorphic: bool = False) -> str:
    """The mode that `jacobian(fun, mode="auto")` takes for arguments like these: "forward", "reverse", "sparse" or
    "elimination".

    The one with the least arithmetic: but sparse products have to save half of it, and elimination (by Markowitz
    degrees) a fifth. A sparsity pattern is only looked for where forward and reverse mode take many products.
    Raises what tracing `fun` raises.

    >>> import pullback.numpy as jnp
    >>> choose_mode(jnp.sum, jnp.ones(10)), choose_mode(lambda x: jnp.sin(jnp.cos(x)), jnp.ones(10))
    ('reverse', 'elimination')
    """
    index = canonical_argnums(argnums)
    of_chosen, chosen = of_arguments(fun, index, args, {})
    if has_points(flatten(chosen)[0]) or not _gives_arrays(of_chosen, chosen):
        return "reverse"  # which knows tangent spaces of classes
    found = _programs(fun, args, index, False)
    if len(found.out_types) < len(found.closed.out_avals):  # which `jacrev` refuses
        return "reverse"
    plan = (lambda: _plan(fun, args, index, False, holomorphic)) if min(found.shape) > _FEW_PRODUCTS else None
    return found.closed.derived(
        ("jacobian mode", found.active, holomorphic),
        lambda _: _choice(_ways(found, plan, ["markowitz"], 0.0, holomorphic), found.shape),
    )


__all__ = ["DerivativeCost", "Way", "choose_mode", "derivative_cost"]
