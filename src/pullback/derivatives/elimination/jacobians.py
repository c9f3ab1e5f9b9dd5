"""Jacobians by elimination, as functions, as programs, and as the derivative of a function (`preaccumulate`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array, concrete
from pullback.core.dimensions import is_symbolic
from pullback.core.errors import Location, filter_traceback, source_location, user_line
from pullback.core.jaxpr import ClosedJaxpr, program_caches, run
from pullback.core.linear import Input
from pullback.core.staging import close, is_staging, stage_flat
from pullback.core.trace import Params, Trace, current, under
from pullback.core.tree import tree_flatten
from pullback.core.types import typeof
from pullback.derivatives.elimination.blocks import column
from pullback.derivatives.elimination.graph import Graph, eliminate
from pullback.derivatives.elimination.local import of_parts, parts_of, squeezed
from pullback.derivatives.elimination.one_kernel import as_kernel
from pullback.derivatives.elimination.orders import EliminationPlan, Plan, key_of, plan, shown
from pullback.derivatives.elimination.values import Valued, as_block, assembled, multiply, typed
from pullback.derivatives.snapshots import snapshot
from pullback.lax.elementwise import complex_p, neg_p
from pullback.transforms.custom_jvp import custom_jvp
from pullback.transforms.custom_rules import SymbolicZero
from pullback.transforms.derivatives import (
    Argnums,
    array_leaf,
    canonical_argnums,
    check_callable,
    check_jacobian_inputs,
    check_jacrev_output,
    named_after,
    of_arguments,
)
from pullback.transforms.jvp import as_weak_as, split_auxiliary
from pullback.transforms.linearize import LinearizeTrace, LinearizeTracer
from pullback.transforms.program import ProgramCall
from pullback.transforms.spaces import flatten, is_point

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Operand, Result, Tree, Value
    from pullback.core.primitive import Primitive
    from pullback.core.tree import PyTreeDef


class InliningTrace(LinearizeTrace):
    """A linearization that sees what calls of programs (`jit`) compute, operation by operation, and remembers which
    operation each node is of, and where that stands in the user's code.

    Example: the vertices of `jit(f)(x)` are those of f(x).
    """

    __slots__ = ("origins",)

    def __init__(self, parent: Trace) -> None:
        super().__init__(parent)
        self.origins: dict[int, tuple[str, Location | None]] = {}

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        out = super().process(primitive, args, params)
        self._note(primitive, out if primitive.multiple_results else (out,))
        return out

    def process_call(self, call: Any, args: Sequence[Operand], params: Params) -> Result:
        if isinstance(call, ProgramCall):
            return run(params["jaxpr"], *args)
        outs = super().process_call(call, args, params)
        self._note(call, outs)
        return outs

    def _note(self, primitive: Primitive, outs: Sequence[Value]) -> None:
        for x in outs:
            if x.__class__ is LinearizeTracer and x._trace is self:
                self.origins.setdefault(x.node.id, (primitive.name, source_location()))


class Linearized:
    """A function's results at some point, and the graph of its linearization there.

    Example: of `sin`: sin(x), and the graph x → sin(x).
    """

    def __init__(
        self, fun: Function, primals: Sequence[Value], has_aux: bool = False, active: Sequence[bool] | None = None,
        whole: bool = False,
    ) -> None:  # fmt: skip
        trace = InliningTrace(current())
        chosen = [dtypes.is_inexact(x.dtype) for x in primals] if active is None else active
        self.inputs = [Input(x.shape, x.dtype, x.weak_type) if c else None for x, c in zip(primals, chosen)]
        out = under(trace, fun, *map(trace.wrap, primals, self.inputs))
        self.aux = None
        if has_aux:
            out, self.aux = split_auxiliary(trace, out, "jacobian")
        _refuse_points(out)
        leaves, self.out_tree = tree_flatten(out)
        pairs = [trace.unwrap(as_array(x)) for x in leaves]
        self.outs = [y for y, _ in pairs]
        self.graph = Graph([n for n in self.inputs if n is not None], [n for _, n in pairs], whole, trace.origins)

    def jacobian(self, made: Plan) -> dict[tuple[int, int], list[Valued]]:
        """The pieces of ∂output/∂input, by the numbers of the vertices."""
        return eliminate(self.graph, made.algebra, made.sequence)


_plans: OrderedDict[Any, Plan] = OrderedDict()
program_caches.append(_plans)
_KEPT = 256


def plan_of(graph: Graph, order: Argument, search_seconds: float, seed: int) -> Plan:
    """The plan of a graph, which graphs of one structure share."""
    key = (graph.structure(), key_of(order, search_seconds, seed))
    found = _plans.get(key)
    if found is None:
        found = _plans[key] = plan(graph, order, search_seconds, seed)
        if len(_plans) > _KEPT:
            _plans.popitem(last=False)
    return found


def elimination_jacobian(
    fun: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    order: Argument = "markowitz",
    search_seconds: float = 1.0,
    seed: int = 0,
) -> Function:
    """A function returning the Jacobian of `fun` by vertex elimination: what `jacrev` returns, and what it raises.

    The vertices of the linearized program are eliminated in the `order`

    - "forward" or "reverse": as they are evaluated, or the other way round;
    - "markowitz": the one whose elimination takes the fewest multiplications next, and of several the one that is
      evaluated last;
    - "relative": the same with the multiplications that it would take at the very end subtracted;
    - "search": by simulated annealing, never worse than any of these. It tries as many eliminations in
      `search_seconds` as take about that long, and finds the same for the same `seed` on every machine;
    - or that of a sequence of their numbers, as `elimination_plan` shows them.

    Loops, branches on traced values, functions with rules for reverse mode, and operations that are not known are one
    vertex each, through which tangents are pushed or cotangents pulled. Raises ValueError for other orders, naming
    vertices that are missing, and TypeError for arguments or results with a tangent space of their own.

    >>> import pullback.numpy as jnp
    >>> f = lambda x: jnp.stack([x[0] * jnp.sin(x[1]), x[0] * jnp.cos(x[1])])
    >>> elimination_jacobian(f, order="search")(jnp.array([2.0, 0.5])).round(3)
    Array([[ 0.479,  1.755],
           [ 0.878, -0.959]], dtype=float32)
    """
    check_callable(fun)
    argnums = canonical_argnums(argnums)

    def jacobian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            of_chosen, chosen = of_arguments(fun, argnums, args, kwargs)
            leaves, tree = tree_flatten(chosen)
            leaves = [array_leaf(chosen, x) for x in leaves]
            check_jacobian_inputs("jacobian", leaves, holomorphic, allow_int)
            _refuse_symbolic(leaves)
            _refuse_points(chosen)
            box: list[Any] = []

            def blocks(*xs: Value) -> list[Value]:
                found = Linearized(lambda *ys: of_chosen(*tree.unflatten(list(ys))), xs, has_aux)
                for y in found.outs:
                    check_jacrev_output(y.dtype, holomorphic)
                edges = found.jacobian(plan_of(found.graph, order, search_seconds, seed))
                box.append(([y.shape for y in found.outs], found.out_tree, found.aux))
                inputs = [x for x, n in zip(xs, found.inputs) if n is not None]
                return [
                    _block(found.graph, edges, y, output, x, n)
                    for y, output in zip(found.outs, found.graph.outputs)
                    for n, x in enumerate(inputs)
                ]

            if has_aux or not is_staging():
                rest = iter(blocks(*leaves))
            else:
                closed, captured = close(stage_flat(blocks, [x.aval for x in leaves]))
                rest = iter(as_kernel(closed, [*captured, *leaves]))
            shapes, out_tree, aux = box[0]
            rows = []
            for shape in shapes:
                row: Any = tree.unflatten(
                    [
                        next(rest)
                        if dtypes.is_inexact(x.dtype)
                        else concrete(np.zeros((*shape, *x.shape), dtypes.float0))
                        for x in leaves
                    ]
                )
                rows.append(row[0] if isinstance(argnums, int) else row)
            result = out_tree.unflatten(rows)
            return (result, aux) if has_aux else result
        except Exception as error:
            filter_traceback(error)
            raise

    return named_after(jacobian_fun, fun, "jacobian", "Jacobian")


def _block(graph: Graph, edges: dict[Any, list[Valued]], y: Value, output: int | None, x: Value, n: int) -> Value:
    """∂y/∂x, of the shape (*y.shape, *x.shape) and the dtype of x."""
    space = graph.spaces[n]
    pieces = [] if output is None else edges.get((n, output), [])
    value = assembled(pieces, y.shape, space.shape, graph.dtypes[n])
    if space.is_complex:  # the derivative of a real function of z is ∂f/∂x - i ∂f/∂y
        at = (slice(None),) * y.ndim
        value = complex_p.bind(value[(*at, 0)], neg_p.bind(value[(*at, 1)]))
    return as_weak_as(typed(value, x.dtype), x.weak_type)


def _refuse_symbolic(leaves: Sequence[Value]) -> None:
    for x in leaves:
        if is_symbolic(x.shape):
            raise NotImplementedError(
                f"elimination needs the sizes of all arrays, got one of shape {x.shape}, at {user_line()}. Use jacfwd or jacrev"
            )


def _refuse_points(tree: Tree) -> None:
    for x in flatten(tree)[0]:
        if is_point(x):
            raise TypeError(
                f"elimination takes functions of arrays and trees of arrays; a {type(x).__name__} has a tangent space of its own, at "
                f"{user_line()}. Use jacfwd or jacrev"
            )


def _linearized_types(fun: Function, args: tuple[Tree, ...], argnums: Argnums, make: Callable[..., Any]) -> Any:
    """What `make` gives of a linearization at arguments of the given types."""
    leaves, tree = tree_flatten(args)
    is_array = [hasattr(x, "dtype") or isinstance(x, (float, complex)) for x in leaves]
    box: list[Any] = []

    def flat(*xs: Value) -> list[Value]:
        rest = iter(xs)
        given: Any = tree.unflatten([next(rest) if a else x for x, a in zip(leaves, is_array)])
        of_chosen, chosen = of_arguments(fun, argnums, given, {})
        inputs, structure = tree_flatten(chosen)
        inputs = [array_leaf(chosen, x) for x in inputs]
        box.append(make(Linearized(lambda *ys: of_chosen(*structure.unflatten(list(ys))), inputs)))
        return []

    types = [typeof(x) for x, a in zip(leaves, is_array) if a]
    stage_flat(flat, types)
    return box[0]


def elimination_plan(
    fun: Function,
    *args: Tree,
    argnums: Argnums = 0,
    order: Argument = "markowitz",
    search_seconds: float = 1.0,
    seed: int = 0,
) -> EliminationPlan:
    """The order in which `elimination_jacobian` eliminates the vertices for arguments like these, and its
    multiplications. Nothing is computed: arguments may be `ShapeDtypeStruct`s.

    >>> import pullback.numpy as jnp
    >>> f = lambda x: jnp.sin(x[0] * x[1]) * jnp.stack([x[0], x[1], x[0] * x[1]])
    >>> found = elimination_plan(f, jnp.ones(2), order="search")
    >>> found.multiplications, found.costs["reverse"], [v.split()[0] for v in found.vertices]
    (10, 11, ['mul', 'sin', 'concatenate'])
    """
    check_callable(fun)
    return _linearized_types(
        fun,
        args,
        canonical_argnums(argnums),
        lambda found: shown(plan_of(found.graph, order, search_seconds, seed), found.graph),
    )


def jacobian_program(
    fun: Function,
    *args: Tree,
    argnums: Argnums = 0,
    order: Argument = "markowitz",
    search_seconds: float = 1.0,
    seed: int = 0,
) -> ClosedJaxpr:
    """The program of `elimination_jacobian(fun, argnums, order=order)` for arguments like these.

    >>> import pullback.numpy as jnp
    >>> jacobian_program(lambda x: jnp.sin(x), 1.0)
    { lambda ; a:f32[]. let b:f32[] = sin a; c:f32[] = cos a in (c,) }
    """
    from pullback.transforms.tracing import make_jaxpr

    fun = elimination_jacobian(fun, argnums, order=order, search_seconds=search_seconds, seed=seed)
    return make_jaxpr(fun)(*args)


def preaccumulate(
    fun: Function | None = None, *, order: Argument = "markowitz", search_seconds: float = 1.0, seed: int = 0
) -> Function:
    """`fun` with a derivative that stores its Jacobian, and nothing else.

    The Jacobian is computed when the function is, by elimination (see `elimination_jacobian` for the `order`), as soon as
    derivatives are asked for; forward and reverse mode multiply by it. So reverse mode keeps the Jacobian instead
    of every intermediate result: worthwhile where it is small, as of a function of few numbers in the step of a
    loop, or one that works on each element (its Jacobian is stored as the diagonal it is). Works with all
    transformations, and to any order of derivative. Arguments that are neither arrays nor real or complex numbers are
    passed as they are. As a decorator it may take the options first.

    "Jacobian preaccumulation": Griewank and Walther, *Evaluating Derivatives*, section 10.1.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> @preaccumulate
    ... def step(state):
    ...     x, v = state
    ...     return x + 0.1 * v, v - 0.1 * jnp.sin(x) * jnp.exp(-v**2)
    >>> [round(float(g), 3) for g in pb.grad(lambda s: step(s)[1])((1.0, 0.5))]
    [-0.042, 1.066]
    """
    if fun is None:
        return partial(preaccumulate, order=order, search_seconds=search_seconds, seed=seed)
    check_callable(fun)
    main = fun

    def call(given: _Arguments, *xs: Value) -> Tree:
        args, kwargs = given.filled(xs)
        return given.function(*args, **kwargs)

    def rule(given: _Arguments, primals: Sequence[Value], tangents: Sequence[Value]) -> tuple[Tree, Tree]:
        active = [not isinstance(t, SymbolicZero) for t in tangents]
        found = Linearized(partial(call, given), primals, False, active, True)
        edges = found.jacobian(plan_of(found.graph, order, search_seconds, seed))
        t_outs = _applied(found, edges, [t for t, a in zip(tangents, active) if a])
        return found.out_tree.unflatten(found.outs), found.out_tree.unflatten(t_outs)

    call.__name__ = getattr(fun, "__name__", "a function")
    with_rule = custom_jvp(call, nondiff_argnums=(0,))
    with_rule.defjvp(rule, symbolic_zeros=True)

    @wraps(fun)
    def accumulated(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            leaves, tree = tree_flatten((args, kwargs))
            dynamic = [hasattr(x, "dtype") or isinstance(x, (float, complex)) for x in leaves]
            static = tuple([None if d else x for x, d in zip(leaves, dynamic)])
            given = _Arguments(snapshot(main) if is_staging() else main, tree, static, tuple(dynamic))
            return with_rule(given, *[x for x, d in zip(leaves, dynamic) if d])
        except Exception as error:
            filter_traceback(error)
            raise

    return accumulated


class _Arguments:
    """The function of a call, and its arguments but for arrays and real numbers: what is part of the function.

    Example: of f(x, 3): the 3, and that x comes before it.
    """

    __slots__ = ("function", "tree", "static", "dynamic")

    def __init__(self, function: Function, tree: PyTreeDef, static: tuple[Any, ...], dynamic: tuple[bool, ...]) -> None:
        self.function, self.tree, self.static, self.dynamic = function, tree, static, dynamic

    def filled(self, xs: Sequence[Value]) -> Any:
        rest = iter(xs)
        return self.tree.unflatten([next(rest) if d else x for x, d in zip(self.static, self.dynamic)])


def _applied(found: Linearized, edges: dict[Any, list[Valued]], tangents: Sequence[Value]) -> list[Value]:
    """The tangents of a function's results: its Jacobian times those of its arguments."""
    graph = found.graph
    given = []
    for t, space in zip(tangents, graph.spaces):
        t = parts_of(t) if space.is_complex else t
        given.append(Valued(column(space.shape), squeezed(t)))
    out: list[Value] = []
    for y, output in zip(found.outs, graph.outputs):
        if output is None:
            out.append(SymbolicZero(y.aval))
            continue
        space, dtype = graph.spaces[output], graph.dtypes[output]
        products = []
        for n, t in enumerate(given):
            pieces = [as_block(x, dtype) for x in edges.get((n, output), [])]
            products += [x for piece in pieces if (x := multiply(piece, t, dtype)) is not None]
        value = typed(assembled(products, space.shape, (), dtype), dtype)
        out.append(of_parts(value) if space.is_complex else value)
    return out


__all__ = ["elimination_jacobian", "elimination_plan", "jacobian_program", "preaccumulate"]
