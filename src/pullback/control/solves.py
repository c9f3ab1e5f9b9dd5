"""custom_linear_solve and custom_root: solutions of equations, differentiated by the implicit
function theorem.

What a solver does on its way is not differentiated; what it has found is. The solution of A x = b
has

    dx = A⁻¹ (db − dA x)        and the transpose        b̄ = A⁻ᵀ x̄,

and a root of f(x, θ) = 0 has

    dx = −(∂f/∂x)⁻¹ (∂f/∂θ) dθ

(implicit function theorem: S. G. Krantz, H. R. Parks, *The Implicit Function Theorem*, Birkhäuser
2002; for automatic differentiation see M. Blondel et al., "Efficient and modular implicit
differentiation", NeurIPS 2022). So a derivative, in either mode, costs one more linear solve,
whatever the number of iterations was; as it is made of the same operations, it has derivatives
itself, to any order.

The operations `custom_linear_solve` and `custom_root` have operands (constants, right-hand side or
initial guess). Their programs take all of the constants, that is, everything that matvec, f and the
solvers close over, so that any of it may be differentiated, mapped or traced by an enclosing
transformation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, ClassVar

from pullback.control.base import ControlPrimitive, instantiate, selected
from pullback.core import dtypes
from pullback.core.errors import user_api, user_line
from pullback.core.interning import intern, lift
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Var, run
from pullback.core.linear import LinearTracer, Node, record_linear
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL, Params, Trace, current, set_current
from pullback.core.tree import PyTreeDef, arrays_of, tree_flatten, tree_leaves, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.lax.family import neg_p, sub_p
from pullback.lax.shape import convert, strong
from pullback.transforms.bodies import Body, stage
from pullback.transforms.call import LinearStep, OwnDerivative, results_of
from pullback.transforms.jvp import jvp_flat
from pullback.transforms.lifting import Bundle, Kind, LiftedProgram, Lifting, Outcome, fixed_point, kinds_of, leaves_of
from pullback.transforms.linearize import linearize, linearize_flat, transpose_flat

if TYPE_CHECKING:
    from pullback.core.names import Cotangent, Function, Param, Tangent, Tree, Value, WithNodes, WithTangents


class Solve(ControlPrimitive, OwnDerivative):
    """Base of the two operations. The parameter `solve` is the program (constants, given) →
    (solution, auxiliary results).

    Example: `LinearSolve` and `Root`.
    """

    inlined = "solve"
    #: The parameters that are programs (constants, solutions or right-hand sides) → one of these;
    #: None stands for what is not there.
    maps: ClassVar[tuple[str, ...]]

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        return params["solve"].out_avals

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        trace = current()
        if any(a.__class__ is LinearTracer and a._trace is trace for a in args):
            return self._recorded(trace, args, params)
        # Equation by equation: a solver is a few operations (its loops are compiled), or one
        # factorization.
        return run(params["solve"], *args)

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        n = params["num_consts"]
        consts, given = list(map(how.settled, operands[:n])), list(map(how.settled, operands[n:]))
        programs = {name: params[name] for name in ("solve", *self.maps) if params[name] is not None}
        key = ("solve", how.key, n, kinds_of(consts), kinds_of(given), *programs.items())
        found: LiftedSolve = params["solve"].derived(key, LiftedSolve, programs, how, kinds_of(consts), kinds_of(given))
        start = leaves_of(consts)
        unknowns = leaves_of(how.wider(given, found.unknowns))
        outs = self.bind(*start, *unknowns, **params | found.programs | {"num_consts": len(start)})
        account = outs[len(outs) - found.count :]
        return how.outcome(found, [*account, *outs])


class LiftedSolve:
    """The programs of a solve, lifted: what is solved for has the same kinds in all, `unknowns`,
    and is all that maps give.

    The program `solve` gives what is solved for, auxiliary results (`kinds` are those of all), and
    the account, of `count` leaves.

    Example: under `vmap`, x is a batch if the matrix or b is.
    """

    __slots__ = ("programs", "unknowns", "kinds", "account", "count")

    def __init__(
        self, solve: ClosedJaxpr, programs: dict[str, ClosedJaxpr], how: Lifting, consts: Sequence[Kind], unknowns: Sequence[Kind]
    ) -> None:  # fmt: skip
        n = len(unknowns)

        def part(closed: ClosedJaxpr, unknowns: Sequence[Kind]) -> LiftedProgram:
            given = len(closed.in_avals) - len(consts)  # a root's `tangent_solve` takes the root, too
            return how.program(closed, (*consts, *tuple(unknowns) * (given // n)))

        def after(unknowns: Sequence[Kind]) -> Sequence[Kind]:
            found = [part(p, unknowns).kinds[:n] for p in programs.values()]
            return [reduce(how.join, each) for each in zip(*found)]

        self.unknowns = unknowns = fixed_point(unknowns, after, how.join)
        found = part(solve, unknowns)
        self.kinds, self.account = (*unknowns, *found.kinds[n:]), found.account
        self.count = len(found.account_types)

        def widened(name: str, closed: ClosedJaxpr) -> ClosedJaxpr:
            found = part(closed, unknowns)

            def program(operands: list[Bundle]) -> list[Value]:
                account, outs = how.apply(found, operands)
                results = leaves_of(how.wider(outs, self.kinds))
                return [*results, *tree_leaves(account)] if name == "solve" else results

            if found.account is None and found.kinds == self.kinds[: len(found.kinds)]:
                return found.program
            given = len(closed.in_avals) - len(consts)
            return how.over_bundles(program, ((*consts, *unknowns * (given // n)), closed.in_avals))

        self.programs = {name: widened(name, p) for name, p in programs.items()}


# ---- linear solves -------------------------------------------------------------------------------


class LinearSolve(Solve):
    """x with matvec(x) = b, and what `solve` gives beside it. Operands are (constants, b).

    Derivatives use the program `inverse`, which gives a solution and nothing beside it. `vecmat` is
    the transpose of `matvec` and `transpose_inverse` solves with it; both are None where there is
    no reverse mode.

    Example: `custom_linear_solve(matvec, b, solve)` binds it.
    """

    name = "custom_linear_solve"
    maps = ("matvec", "inverse", "vecmat", "transpose_inverse")

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        n = params["num_consts"]
        consts, t_consts, t_b = primals[:n], tangents[:n], tangents[n:]
        outs = self.bind(*primals, **params)
        x = outs[: len(t_b)]
        _, moved = jvp_flat(partial(run, params["matvec"]), [*consts, *x], [*t_consts, *[None] * len(x)])
        right = [_minus(t, m) for t, m in zip(t_b, moved)]
        return outs, [*self._solved(params, consts, right), *[None] * (len(outs) - len(x))]

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        n = params["num_consts"]
        consts, n_consts, n_b = primals[:n], nodes[:n], nodes[n:]
        outs = self.bind(*primals, **params)
        x = outs[: len(n_b)]
        _, moved = linearize_flat(partial(run, params["matvec"]), [*consts, *x], [*n_consts, *[None] * len(x)])
        count = len(x)
        right = record_linear(lambda *ts: [_minus(t, m) for t, m in zip(ts[:count], ts[count:])], [*n_b, *moved])
        return outs, [*self._solution_nodes(params, consts, right, x), *[None] * (len(outs) - count)]

    def _solution_nodes(
        self, params: Params, consts: Sequence[Value], right: Sequence[Node | None], like: Sequence[Value]
    ) -> list[Node | None]:
        """The nodes of A⁻¹ applied to the tangents `right`."""
        if all(n is None for n in right):
            return [None] * len(right)
        push, pull = partial(self._solved, params), partial(self._solved_transpose, params)
        node = LinearStep(self.name, consts, right, push, pull, tuple(params.items()))
        return results_of(node, like, (True,) * len(like))

    def _solved(self, params: Params, consts: Sequence[Value], right: Sequence[Value]) -> list[Value]:
        """A⁻¹ applied to tangents (None for zero)."""
        if all(r is None for r in right):
            return [None] * len(right)
        right = [instantiate(r, t) for r, t in zip(right, params["inverse"].out_avals)]
        return self.bind(*consts, *right, **{**params, "solve": params["inverse"]})

    def _solved_transpose(self, params: Params, consts: Sequence[Value], cts: Sequence[Cotangent]) -> list[Value]:
        """A⁻ᵀ applied to cotangents (None for zero)."""
        inverse = params["transpose_inverse"]
        if inverse is None:
            raise TypeError(
                "transpose_solve required for backwards mode automatic differentiation of custom_linear_solve: give it, or symmetric=True, "
                f"at {user_line()}"
            )
        swapped = {
            "matvec": params["vecmat"], "solve": inverse, "inverse": inverse, "vecmat": params["matvec"],
            "transpose_inverse": params["inverse"], "num_consts": params["num_consts"],
        }  # fmt: skip
        return self._solved(swapped, consts, cts)

    def _recorded(self, trace: Trace, args: Sequence[Value], params: Params) -> Value:
        n = params["num_consts"]
        nodes = [a.node if a.__class__ is LinearTracer and a._trace is trace else None for a in args]
        body = params["matvec"].jaxpr
        used = {v for e in body.eqns for v in e.invars if isinstance(v, Var)}
        if any(node is not None and v in used for node, v in zip(nodes, body.invars[:n])):
            raise TypeError(
                f"a function that must be linear in its tangents solves a linear system whose matrix depends on one, at {user_line()}"
            )
        count = len(args) - n
        if all(node is None for node in nodes[n:]) or len(params["solve"].out_avals) > count:
            return super()._recorded(trace, args, params)
        try:
            set_current(trace.parent)
            consts = [instantiate(None, v.aval) if node else a for a, node, v in zip(args, nodes, body.invars[:n])]
            found = self._solution_nodes(params, consts, nodes[n:], params["solve"].out_avals)
        finally:
            set_current(trace)
        return [LinearTracer(trace, node) for node in found if node is not None]


linear_solve_p = LinearSolve()


def _minus(a: Value, b: Value) -> Value:
    """The difference of two tangents, of which None is zero."""
    return a if b is None else neg_p.bind(b) if a is None else sub_p.bind(a, b)


def _without_aux(solve: ClosedJaxpr, count: int) -> ClosedJaxpr:
    """The program that gives the first `count` results only."""
    if len(solve.out_avals) == count:
        return solve
    return solve.derived(("first results", count), selected, range(count))


def _transposed(matvec: ClosedJaxpr, num_consts: int) -> ClosedJaxpr:
    """The program (constants, cotangents) → cotangents of a program that is linear in the rest of
    its arguments."""
    types = matvec.in_avals[num_consts:]

    def vecmat(*xs: Value) -> list[Value]:
        consts, cts = xs[:num_consts], xs[num_consts:]
        found = transpose_flat(lambda *x: run(matvec, *consts, *x), types, cts)
        return [instantiate(c, t) for c, t in zip(found, types)]

    return stage_flat(vecmat, [*matvec.in_avals[:num_consts], *matvec.out_avals], current())


# ---- roots ---------------------------------------------------------------------------------------


class Root(Solve):
    """x with f(x) = 0, and what `solve` gives beside it. Operands are (constants, initial guess).

    The program `tangent_solve` is (constants, x, y) → v with (∂f/∂x)(x) v = y.

    Example: `custom_root(f, x0, solve, tangent_solve)` binds it.
    """

    name = "custom_root"
    maps = ("f", "tangent_solve")

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        n = params["num_consts"]
        outs = self.bind(*primals, **params)
        x = outs[: len(primals) - n]
        return outs, self._moved(params, primals[:n], x, tangents[:n], len(outs))

    def _moved(
        self, params: Params, consts: Sequence[Value], x: Sequence[Value], tangents: Sequence[Tangent], count: int
    ) -> list[Tangent]:
        """The tangents of the results, of which there are `count`, for tangents of the constants."""
        _, ts = jvp_flat(partial(run, params["f"]), [*consts, *x], [*tangents, *[None] * len(x)])
        if all(t is None for t in ts):
            return [None] * count
        right = [instantiate(t, y) for t, y in zip(ts, x)]
        moved = run(params["tangent_solve"], *consts, *x, *right)
        return [*map(neg_p.bind, moved), *[None] * (count - len(x))]

    def _recorded(self, trace: Trace, args: Sequence[Value], params: Params) -> Value:
        raise TypeError(
            f"a function that must be linear in its tangents takes the root of a function that depends on one, at {user_line()}"
        )


custom_root_p = Root()


# ---- the functions -------------------------------------------------------------------------------


@user_api
def custom_linear_solve(
    matvec: Callable[[Tree], Tree],
    b: Tree,
    solve: Callable[[Callable[[Tree], Tree], Tree], Tree],
    transpose_solve: Callable[[Callable[[Tree], Tree], Tree], Tree] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Tree:
    """The solution x of matvec(x) = b that `solve(matvec, b)` finds, with derivatives that cost one
    linear solve each.

    `matvec` is a linear function from trees of the structure and types of `b` to such trees; it may
    close over anything, and the derivative is with respect to `b` and to what it closes over.
    `solve` is not differentiated, so it may be anything; reverse mode uses `transpose_solve(vecmat,
    b)`, where `vecmat` is the transpose of `matvec`, or `solve` itself if the map is `symmetric`.
    With `has_aux`, `solve` and `transpose_solve` return (x, aux), and so does this function; `aux`
    has no derivative.

    Integers in `b` become floats. Raises ValueError if x or matvec(x) differ from `b` in shape or
    dtype (TypeError if matvec(x) does in structure), or if there is no pair with `has_aux`;
    TypeError in reverse mode if there is no `transpose_solve`.

    >>> import pullback.numpy as jnp
    >>> from pullback.transforms.derivatives import grad
    >>> a = jnp.array([[4.0, 1.0], [1.0, 3.0]])
    >>> dense = lambda matvec, b: jnp.linalg.solve(a, b)
    >>> f = lambda b: custom_linear_solve(lambda x: a @ x, b, dense, symmetric=True)
    >>> f(jnp.array([9.0, 5.0]))
    Array([2., 1.], dtype=float32)
    >>> grad(lambda b: f(b)[0])(jnp.array([9.0, 5.0])).round(4)
    Array([ 0.2727, -0.0909], dtype=float32)
    """
    if transpose_solve is None and symmetric:
        transpose_solve = solve
    for g, what in ((matvec, "matvec"), (solve, "solve"), (transpose_solve, "transpose_solve")):
        if not (callable(g) or (g is None and what == "transpose_solve")):
            raise TypeError(f"custom_linear_solve takes functions, got {g!r:.100} as {what}")
    return linear_solve(matvec, b, solve, transpose_solve, symmetric, has_aux)


def linear_solve(
    matvec: Callable[[Tree], Tree], b: Tree, solve: Function, transpose_solve: Function | None,
    symmetric: bool, has_aux: bool, inverse: Function | None = None, name: str = "custom_linear_solve",
    error: type[Exception] = ValueError, solver: str = "solve",
) -> Tree:  # fmt: skip
    """`custom_linear_solve`, where derivatives may use another solver, `inverse`: then neither that
    nor `transpose_solve` gives aux.

    For messages: the function that is called, the error raised for solutions that do not fit, and
    what its user calls `solve`.
    """
    leaves, tree = _inexact(b, f"the right-hand side of {name}")
    unknown = _Unknown(name, "b", error, tree, [x.aval for x in leaves])
    if current() is EVAL:
        return unknown.solution(solve(unknown.map(matvec, "matvec"), tree_unflatten(tree, leaves)), solver, has_aux)
    bodies = _Bodies()
    a = bodies.add("matvec", unknown.staged(unknown.map(matvec, "matvec"), "matvec"))
    bodies.add("solve", unknown.staged_solve(solve, unknown.map_of(a), solver, has_aux))
    if inverse is not None:
        bodies.add("inverse", unknown.staged_solve(inverse, unknown.map_of(a), "inverse", False))
    if transpose_solve is not None:
        transpose = a.program if symmetric else a.program.derived("transpose", _transposed, len(a.captured))
        # A transpose may have constants of its own: the zeros at which a loop that is linear starts.
        program, constants = lift(transpose)
        vecmat = bodies.add("vecmat", Body(program, [*constants, *a.captured], tree))
        pair = has_aux and inverse is None
        back = unknown.staged_solve(transpose_solve, unknown.map_of(vecmat), "transpose_solve", pair)
        bodies.add("transpose_inverse", back)
    consts, programs = bodies.shared()
    programs.setdefault("inverse", programs["solve"])
    for name in programs.keys() & {"inverse", "transpose_inverse"}:
        programs[name] = _without_aux(programs[name], len(leaves))
    params = {name: programs.get(name) for name in ("matvec", "solve", "inverse", "vecmat", "transpose_inverse")}
    outs = linear_solve_p.bind(*consts, *leaves, num_consts=len(consts), **params)
    return tree_unflatten(bodies["solve"].out_tree, outs)


@user_api
def custom_root(
    f: Callable[[Tree], Tree],
    initial_guess: Tree,
    solve: Callable[[Callable[[Tree], Tree], Tree], Tree],
    tangent_solve: Callable[[Callable[[Tree], Tree], Tree], Tree],
    has_aux: bool = False,
) -> Tree:
    """The root x of f(x) = 0 that `solve(f, initial_guess)` finds, with derivatives that cost one
    linear solve each.

    `f` takes and gives trees of the structure and types of `initial_guess`; it may close over
    anything, and the derivative is with respect to that, by the implicit function theorem. The root
    does not depend on the guess. `tangent_solve(g, y)` solves the linear system g(x) = y, of which
    g may be the derivative of `f` or its transpose. With `has_aux`, `solve` returns (x, aux), and
    so does this function; `aux` has no derivative.

    Integers in the guess become floats. Raises TypeError if x or f(x) differ from the guess in
    structure, shape or dtype, ValueError if there is no pair with `has_aux`.

    >>> from pullback.transforms.derivatives import grad
    >>> from pullback.control.loops import while_loop
    >>> newton = lambda f, x: while_loop(lambda x: abs(f(x)) > 1e-6, lambda x: x - f(x) / grad(f)(x), x)
    >>> root = lambda a: custom_root(lambda x: x**2 - a, 1.0, newton, lambda g, y: y / g(1.0))
    >>> float(root(4.0)), float(grad(root)(4.0))
    (2.0, 0.25)
    """
    for g, what in ((f, "f"), (solve, "solve"), (tangent_solve, "tangent_solve")):
        if not callable(g):
            raise TypeError(f"custom_root takes functions, got {g!r:.100} as {what}")
    leaves, tree = _inexact(initial_guess, "the initial guess of custom_root")
    unknown = _Unknown("custom_root", "initial_guess", TypeError, tree, [x.aval for x in leaves])
    if current() is EVAL:
        return unknown.solution(solve(unknown.map(f, "f"), tree_unflatten(tree, leaves)), "solve", has_aux)
    bodies = _Bodies()
    body = bodies.add("f", unknown.staged(unknown.map(f, "f"), "f"))
    bodies.add("solve", unknown.staged_solve(solve, unknown.map_of(body), "solve", has_aux))

    def tangent(x: Tree, y: Tree) -> Tree:
        _, derivative = linearize(unknown.map_of(body), x)
        return linear_solve(
            derivative, y, tangent_solve, tangent_solve, symmetric=False, has_aux=False, name="custom_root", error=TypeError,
            solver="tangent_solve",
        )  # fmt: skip

    bodies.add(
        "tangent_solve", stage(tangent, tree_structure((initial_guess,) * 2), unknown.types * 2, "tangent_solve")
    )
    consts, programs = bodies.shared()
    outs = custom_root_p.bind(*consts, *leaves, num_consts=len(consts), **programs)
    return tree_unflatten(bodies["solve"].out_tree, outs)


def _inexact(tree: Tree, what: str) -> tuple[list[Value], PyTreeDef]:
    """The leaves, of strong types in which there are solutions, and the structure."""
    leaves, treedef = arrays_of(tree, what)
    return [
        strong(x) if dtypes.is_inexact(x.dtype) else convert(x, dtypes.default_dtype(float)) for x in leaves
    ], treedef


class _Unknown:
    """What is solved for: its structure and types, which `given` of the function `name` has; and
    the functions of it, checked.

    `error` is raised for what differs in type, and for solutions that differ in structure; maps
    that do raise TypeError.

    Example: x, where `matvec(x)` must have the structure of b.
    """

    def __init__(
        self, name: str, given: str, error: type[Exception], tree: PyTreeDef, types: list[ShapedArray]
    ) -> None:
        self.name, self.given, self.error, self.tree, self.types = name, given, error, tree, types
        self.in_tree = tree_structure((tree_unflatten(tree, types),))

    def _checked(self, value: Tree, what: str, structure_error: type[Exception]) -> list[Tree]:
        """The leaves of a value of the unknown's structure and types. Raises an error for what is
        not."""
        leaves, tree = arrays_of(value, f"the output of {what}")
        if tree != self.tree:
            raise structure_error(
                f"{self.name}: the output of {what} must have the structure of {self.given}, at {user_line()}: expected {self.tree}, "
                f"got {tree}"
            )
        for i, (x, t) in enumerate(zip(leaves, self.types)):
            if x.shape != t.shape or x.dtype != t.dtype:
                where = f" (leaf {i})" if len(leaves) > 1 else ""
                raise self.error(
                    f"{self.name}: the output of {what} must have the type of {self.given}{where}, at {user_line()}: expected "
                    f"{t.str_short()}, got {x.aval.str_short()}"
                )
        return leaves

    def solution(self, result: Tree, what: str, has_aux: bool) -> Tree:
        """The result of a solver, checked: a solution, or that and auxiliary results."""
        if not has_aux:
            return tree_unflatten(self.tree, self._checked(result, what, self.error))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ValueError(
                f"{self.name}: with has_aux, {what} must return a pair (x, aux); it returned {result!r:.200}"
            )
        x, aux = result
        leaves, tree = arrays_of(aux, f"the auxiliary output of {what}")
        return tree_unflatten(self.tree, self._checked(x, what, self.error)), tree_unflatten(tree, leaves)

    def map(self, f: Callable[[Tree], Tree], what: str) -> Callable[[Tree], Tree]:
        """`f`, checked."""
        return lambda x: tree_unflatten(self.tree, self._checked(f(x), what, TypeError))

    def staged(self, f: Callable[[Tree], Tree], what: str) -> Body:
        """The body of a map from the unknown's type to itself."""
        return stage(f, self.in_tree, self.types, f"{what} of {self.name}")

    def map_of(self, body: Body) -> Callable[[Tree], Tree]:
        """The map that has been staged, as the solvers get it."""

        def apply(x: Tree) -> Tree:
            leaves, tree = tree_flatten(x)
            if tree != self.tree:
                raise TypeError(
                    f"{self.name}: the function given to a solver takes a tree of the structure {self.tree}, got {tree}, at {user_line()}"
                )
            return tree_unflatten(self.tree, run(body.program, *body.captured, *leaves))

        return apply

    def staged_solve(self, solve: Function, f: Callable[[Tree], Tree], what: str, has_aux: bool) -> Body:
        """The body of a solver, which is given the map `f`."""
        solver = lambda given: self.solution(solve(f, given), what, has_aux)
        return stage(solver, self.in_tree, self.types, f"{what} of {self.name}")


class _Bodies(dict[str, Body]):
    """The bodies of one operation.

    Example: of a linear solve: matvec, its transpose, and two solvers.
    """

    def add(self, name: str, body: Body) -> Body:
        """`body`, put in under `name`."""
        self[name] = body
        return body

    def shared(self) -> tuple[list[Value], dict[str, ClosedJaxpr]]:
        """Everything that some body closes over, and the bodies as programs that take all of it
        first."""
        consts = {id(c): c for body in self.values() for c in body.captured}

        def program_of(body: Body) -> ClosedJaxpr:
            inner = body.program.jaxpr
            own = {id(c): v for c, v in zip(body.captured, inner.invars)}
            invars = [own[i] if i in own else Var(c.aval) for i, c in consts.items()]
            rest = inner.invars[len(body.captured) :]
            return intern(ClosedJaxpr(Jaxpr([], [*invars, *rest], inner.outvars, inner.eqns), []))

        return list(consts.values()), {name: program_of(body) for name, body in self.items()}


__all__ = ["custom_linear_solve", "custom_root", "custom_root_p", "linear_solve_p"]
