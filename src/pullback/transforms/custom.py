"""Custom derivative rules: custom_jvp, custom_vjp, custom_gradient.

A function with a rule of its own is a call primitive. `custom_jvp`'s rule is linear in the tangents, so it serves forward mode
at once and reverse mode by being recorded. `custom_vjp`'s backward function is linear in the cotangents, so reverse mode calls it, and forward
mode transposes it.

What a forward rule tells its backward rule travels in the `Residual`, beside the arrays: trees, types, batch axes. Nothing is written into
closures, which a program shares among all of its linearizations.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import UnexpectedTracerError, filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr, eval_jaxpr, run
from pullback.core.kept import carriers
from pullback.core.linear import Node, Sum, recorded, zeros
from pullback.core.stage import close, stage_flat
from pullback.core.trace import EVAL, Params, Tracer, current
from pullback.core.tree import (
    keystr,
    leaf_error,
    register_pytree_node,
    tree_flatten,
    tree_flatten_with_path,
    tree_leaves,
    tree_map,
    tree_unflatten,
)
from pullback.core.types import ShapedArray, integers, typeof
from pullback.lax.shape import batch_first, convert
from pullback.transforms.call import LinearStep, OwnDerivative, is_active, results_of, sum_unbatched
from pullback.transforms.closures import (
    Closure,
    Flat,
    Replay,
    Residual,
    batch_again,
    batched,
    jvp_again,
    linearize_again,
    primal_functions,
)
from pullback.transforms.jvp import Forward, dual, primal_and_tangent
from pullback.transforms.lifting import Bundle, Lifting, Outcome, kinds_of, leaves_of
from pullback.transforms.linearize import LinearizeTrace, linearization_rules, transpose_flat
from pullback.transforms.program import spread
from pullback.transforms.vmap import Batch, mapped

if TYPE_CHECKING:
    from pullback.core.tree import PyTreeDef


class SymbolicZero:
    """A tangent or cotangent known to be zero, of type `aval`, given to rules that ask for `symbolic_zeros`."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    shape = property(lambda self: self.aval.shape)
    dtype = property(lambda self: self.aval.dtype)
    ndim = property(lambda self: self.aval.ndim)
    size = property(lambda self: self.aval.size)
    weak_type = property(lambda self: self.aval.weak_type)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolicZero) and self.aval == other.aval

    def __hash__(self) -> int:
        return hash(self.aval)

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval.str_short()})"


def zero_from_primal(val: Any, symbolic_zeros: bool = False) -> Any:
    """A zero tangent of the value `val`: an array, or with `symbolic_zeros` a `SymbolicZero`."""
    from pullback.core.types import typeof

    t = typeof(val).to_tangent_aval()
    if symbolic_zeros:
        return SymbolicZero(t)
    return np.zeros(t.shape, dtypes.float0) if t.dtype == dtypes.float0 else zeros(t.shape, t.dtype)


class CustomVJPPrimal:
    """An argument of a forward rule under `symbolic_zeros`: its `value`, and whether it is `perturbed` (being differentiated)."""

    __slots__ = ("value", "perturbed")

    def __init__(self, value: Any, perturbed: bool) -> None:
        self.value, self.perturbed = value, perturbed

    def __repr__(self) -> str:
        return f"CustomVJPPrimal(value={self.value!r}, perturbed={self.perturbed})"


def custom_vjp_primal_tree_values(tree: Any) -> Any:
    """The values of a tree of `CustomVJPPrimal`."""
    return tree_map(lambda leaf: leaf.value if isinstance(leaf, CustomVJPPrimal) else leaf, tree)


# ---- calls of Python functions ----------------------------------------------------------------------------------


class CustomCall(OwnDerivative):
    """Base of the calls of Python functions with rules, which may close over anything that is traced where they are called.

    The rule is about the arguments; derivatives in what the function closes over are those of the function. In programs, the
    parameter `call_jaxpr` is the function as it was traced, and `closure` what it closes over: the first operands.
    """

    inlined: str | None = "call_jaxpr"
    is_closed = False

    def call(self, fun: Flat, *args: Any, **params: Any) -> list[Any]:
        """Apply to a Python function under the current trace."""
        return current().process_call(self, args, {"fun": fun, **params})

    def bind(self, *args: Any, **params: Any) -> Any:
        """Apply as an equation of a program."""
        args, params = self.opened(args, params)
        return current().process_call(self, args, params)

    def opened(self, args: Sequence[Any], params: Params) -> tuple[tuple[Any, ...], Params]:
        """Operands and parameters of an equation, as those of a call of Python functions."""
        own = dict(params)
        closed, closure = own.pop("call_jaxpr"), own.pop("closure")
        count = len(closure or ())
        captured, args = args[:count], tuple(args[count:])

        def fun(*xs: Any) -> list[Any]:
            return run(closed, *captured, *xs)

        if closure is not None:
            own = self.replayed(own, closure, captured)
        return args, {"fun": fun, **self.promising(own, closed.out_avals)}

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Any]) -> Params:
        """The parameters with rules to which the tracers of `closure` are the values `captured`."""
        raise NotImplementedError(f"{type(self).__name__} must define replayed")

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        """The parameters with rules that are held to what a program says: that the results are of `types`."""
        raise NotImplementedError(f"{type(self).__name__} must define promising")

    def type_of(self, *types: ShapedArray, **params: Any) -> Any:
        return params["call_jaxpr"].out_avals

    def apply(self, args: Sequence[Any], params: Params) -> Any:
        """Without transformation, a call is just that."""
        return list(params["fun"](*args))

    def as_equation(self, types: Sequence[ShapedArray], params: Params) -> tuple[Sequence[Any], Params]:
        """With the function staged into a program of its own."""
        params = dict(params)
        closed, captured = close(stage_flat(params.pop("fun"), types))
        return captured, {"call_jaxpr": closed, "closure": Closure(captured) if captured else None, **params}

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """As what it computes: transformations that know nothing of rules forget them."""
        return how.run_program(params["call_jaxpr"], operands)

    def linearized(
        self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params
    ) -> tuple[Sequence[Any], Sequence[Node | None]]:
        return recorded(lambda tangents: self.forward_mode(primals, tangents, params), nodes)


@Forward.rules.of(CustomCall)
def _forward(how: Forward, call: CustomCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    pairs = [primal_and_tangent(x) for x in operands]
    primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
    trace = how.within
    inner, met = primal_functions(params, trace)
    t_outs: Sequence[Any]
    if is_active(tangents):
        outs, t_outs = call.forward_mode(primals, tangents, inner)
    else:
        outs = current().process_call(call, primals, inner)
        t_outs = [None] * len(outs)
    if met():
        t_outs = list(map(_sum, t_outs, jvp_again(params["fun"], trace, primals)))
    return None, list(map(dual, outs, t_outs))


@linearization_rules.of(CustomCall)
def _linearized(
    trace: LinearizeTrace, call: CustomCall, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params
) -> tuple[Sequence[Any], Sequence[Node | None]]:
    inner, met = primal_functions(params, trace)
    out_nodes: Sequence[Node | None]
    if is_active(nodes):
        outs, out_nodes = call.linearized(primals, nodes, inner)
    else:
        outs = current().process_call(call, primals, inner)
        out_nodes = [None] * len(outs)
    if met():
        found = linearize_again(params["fun"], trace, primals)
        out_nodes = [_sum(n, m, Sum) for n, m in zip(out_nodes, found)]
    return outs, out_nodes


def _sum(x: Any, y: Any, add: Callable[[Any, Any], Any] = operator.add) -> Any:
    """The sum of two tangents, or nodes; None is zero."""
    return y if x is None else x if y is None else add(x, y)


def _running(trace: Callable[[], Any], fun: Callable[..., Any]) -> Callable[..., Any]:
    """`fun`, run under a trace made when it is called."""
    return lambda *args: trace().run(fun, *args)


# ---- custom_jvp -------------------------------------------------------------------------------------------------


class CustomJVPCall(CustomCall):
    """`fun` with `rule(primals, tangents) -> (outs, t_outs)`; a tangent None is zero."""

    name = "custom_jvp_call"

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Any]) -> Params:
        return {**params, "rule": _running(lambda: Replay(current(), closure, captured), params["rule"])}

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        rule = params["rule"]

        def promised(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            outs, t_outs = rule(primals, tangents)
            return _as_promised(outs, types, f"Custom JVP rule for function {params['name']}"), t_outs

        return {**params, "rule": promised}

    def forward_mode(
        self, primals: Sequence[Any], tangents: Sequence[Any], params: Params
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        return params["rule"](primals, tangents)


@Batch.rules.of(CustomJVPCall)
def _batched_custom_jvp(how: Batch, call: CustomJVPCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    values, axes, trace = leaves_of(operands), kinds_of(operands), how.within
    fun, rule = params["fun"], params["rule"]

    def batched_rule(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        active = [t is not None for t in tangents]
        count = 0

        def flat(*xs: Any) -> Any:
            nonlocal count
            outs, t_outs = rule(xs[: len(primals)], spread(xs[len(primals) :], active))
            count = len(outs)
            inexact = [dtypes.is_inexact(o.dtype) for o in outs]
            return [
                *outs,
                *[zeros(o.shape, o.dtype) if t is None else t for o, t, i in zip(outs, t_outs, inexact) if i],
            ]

        t_axes = [b for b, a in zip(axes, active) if a]
        both = batched(flat, trace, [*axes, *t_axes])(*primals, *[t for t in tangents if t is not None])
        outs = both[:count]
        return outs, spread(both[count:], [dtypes.is_inexact(o.dtype) for o in outs])

    inner = {**params, "fun": batched(fun, trace, axes), "rule": batched_rule}
    return None, [mapped(o, 0) for o in current().process_call(call, values, inner)]


custom_jvp_call_p = CustomJVPCall()


class _Arguments:
    """How a custom-rule function's arguments split into static (`nondiff`) and flat differentiable ones."""

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: Any, nondiff_argnames: Any) -> None:
        if not callable(fun):
            raise TypeError(f"expected a function to give a custom derivative, got {fun!r}")
        self.fun = fun
        self.name = getattr(fun, "__name__", type(fun).__name__)
        argnums = integers(nondiff_argnums, "nondiff_argnums")
        names = (nondiff_argnames,) if isinstance(nondiff_argnames, str) else tuple(nondiff_argnames)
        self.signature: inspect.Signature | None
        try:
            self.signature = inspect.signature(fun)
        except (TypeError, ValueError):  # builtins without a signature: positional arguments only
            self.signature = None
        if names:
            if self.signature is None:
                raise ValueError(f"{self.name}: nondiff_argnames needs a function with a signature")
            parameters = list(self.signature.parameters)
            unknown = [n for n in names if n not in parameters]
            if unknown:
                raise ValueError(f"{self.name}: nondiff_argnames {unknown} are not among its arguments {parameters}")
            argnums = (*argnums, *(parameters.index(n) for n in names))
        self.nondiff = tuple(sorted(set(argnums)))

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults filled in."""
        if not kwargs and (self.signature is None or not _has_defaults(self.signature)):
            return args
        if self.signature is None:
            raise TypeError(f"{self.name}: keyword arguments need a function with a signature")
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"{self.name}: keyword-only arguments {sorted(bound.kwargs)} could not be resolved to positions; custom rules take "
                "positional arguments"
            )
        return bound.args

    def split(self, args: tuple[Any, ...]) -> tuple[list[Any], tuple[Any, ...]]:
        """Static arguments, and the differentiable ones."""
        if not self.nondiff:
            return [], args
        positions = {p % len(args) if p < 0 else p for p in self.nondiff}
        if any(p >= len(args) for p in positions):
            raise TypeError(f"{self.name}: nondiff_argnums {self.nondiff} out of range for {len(args)} arguments")
        return [args[p] for p in sorted(positions)], tuple(a for i, a in enumerate(args) if i not in positions)

    def refuse_tracers(self, static: list[Any]) -> None:
        """Raise UnexpectedTracerError for tracers among the static arguments, which a backward rule would have beyond their lives."""
        for leaf in tree_leaves(static):
            if isinstance(leaf, Tracer):
                raise UnexpectedTracerError(
                    leaf,
                    f"as an argument of the custom_vjp function {self.name} that nondiff_argnums {self.nondiff} says is not differentiated. "
                    "These must be known when the function is called: make it an argument like others, with a cotangent of None.",
                )

    def merge(self, static: Sequence[Any], dynamic: Any) -> list[Any]:
        """The inverse of `split`."""
        if not self.nondiff:
            return list(dynamic)
        total = len(static) + len(dynamic)
        positions = sorted({p % total if p < 0 else p for p in self.nondiff})
        rest, fixed = iter(dynamic), dict(zip(positions, static))
        return [fixed[i] if i in fixed else next(rest) for i in range(total)]

    def arrays(self, tree: Any, leaves: Iterable[Any]) -> list[Array]:
        out = []
        for x in leaves:
            try:
                out.append(as_array(x))
            except TypeError:
                raise leaf_error(
                    tree, x, f"argument of {self.name} (use nondiff_argnums for arguments that are not arrays)"
                ) from None
        return out


def _has_defaults(signature: inspect.Signature) -> bool:
    return any(p.default is not p.empty for p in signature.parameters.values())


class _Held:
    """Arguments that are passed as they are, of which the tracers are operands of the call all the same: so they are known wherever and
    whenever the function or its rule is run."""

    __slots__ = ("values", "leaves", "tree", "tracers")

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.leaves: list[Any] = []
        self.tree: PyTreeDef | None = None
        if values:
            self.leaves, self.tree = tree_flatten(values)
        self.tracers = [x for x in self.leaves if isinstance(x, Tracer)]

    def filled(self, operands: Sequence[Any]) -> list[Any]:
        """The arguments, with these operands in the places of the tracers."""
        if not operands or self.tree is None:
            return self.values
        rest = iter(operands)
        filled: Any = self.tree.unflatten([next(rest) if isinstance(x, Tracer) else x for x in self.leaves])
        return list(filled)


class custom_jvp:
    """A function with a custom derivative, given by a forward-mode rule that is linear in the tangents.

    The rule, registered with `defjvp`, takes (*nondiff arguments, primals, tangents) and returns (primal out, tangent out). It serves
    forward and reverse mode, to any order. Arguments numbered in `nondiff_argnums` (or named in `nondiff_argnames`) are passed as they are.

    >>> @custom_jvp
    ... def f(x):
    ...     return x * x
    >>> @f.defjvp
    ... def f_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return f(x), 2 * x * t
    >>> from pullback.transforms.derivatives import grad
    >>> float(grad(f)(3.0))
    6.0
    """

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: Any = (), nondiff_argnames: Any = ()) -> None:
        self._arguments = _Arguments(fun, nondiff_argnums, nondiff_argnames)
        self.fun, self.jvp, self.symbolic_zeros = fun, None, False
        self.__wrapped__ = fun
        self.__name__ = self._arguments.name
        self.__doc__ = fun.__doc__

    fun: Callable[..., Any]
    jvp: Callable[..., Any] | None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _BoundMethod(self, instance)

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Register the rule; works as a decorator. With `symbolic_zeros`, zero tangents come as `SymbolicZero`."""
        self.jvp, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Register one rule for each argument, `jvps[i](t, out, *primals)`: its contribution to the tangent; None for zero."""
        if self._arguments.nondiff:
            raise TypeError("defjvps cannot be used with nondiff_argnums: use defjvp")

        def jvp(primals: Any, tangents: Any) -> Any:
            out = self(*primals)
            terms = [rule(t, out, *primals) for rule, t in zip(jvps, tangents) if rule is not None]
            if not terms:
                return out, tree_map(lambda o: zeros(o.shape, o.dtype), out)
            total = terms[0]
            for term in terms[1:]:
                total = tree_map(lambda a, b: a + b, total, term)
            return out, total

        self.defjvp(jvp)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = self._arguments
        if self.jvp is None:
            raise AttributeError(f"No JVP defined for custom_jvp function {arguments.name} using defjvp.")
        args = arguments.positional(args, kwargs)
        static, dynamic = arguments.split(args)
        leaves, in_tree = tree_flatten(dynamic)
        leaves = arguments.arrays(dynamic, leaves)
        held = _Held(static)
        n = len(held.tracers)
        out_tree: Any = None  # that of the run that gives this call's result

        def flat_fun(*xs: Any) -> list[Any]:
            nonlocal out_tree
            out = arguments.fun(*arguments.merge(held.filled(xs[:n]), in_tree.unflatten(list(xs[n:]))))
            flat, out_tree = tree_flatten(out)
            return arguments.arrays(out, flat)

        def flat_rule(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            nonlocal out_tree
            if any([t is not None for t in tangents[:n]]):
                raise UnexpectedTracerError(  # of the tracer that was given: the rule has what is below it
                    next(x for x, t in zip(held.tracers, tangents) if t is not None),
                    f"as an argument of the custom_jvp function {arguments.name} that nondiff_argnums {arguments.nondiff} says is not "
                    "differentiated, and is: the rule has no tangent for it. Take it out of nondiff_argnums, or wrap it in lax.stop_gradient.",
                )
            outs, t_outs, out_tree = self._apply_rule(held.filled(primals[:n]), in_tree, primals[n:], tangents[n:])
            return outs, t_outs

        outs = custom_jvp_call_p.call(flat_fun, *held.tracers, *leaves, rule=flat_rule, name=arguments.name)
        return out_tree.unflatten(outs)

    def _apply_rule(
        self, static: list[Any], in_tree: PyTreeDef, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> Any:
        assert self.jvp is not None
        name = self._arguments.name
        ts = [zero_from_primal(x, self.symbolic_zeros) if t is None else t for x, t in zip(primals, tangents)]
        result = self.jvp(*static, in_tree.unflatten(list(primals)), in_tree.unflatten(ts))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(
                f"Custom JVP rule {getattr(self.jvp, '__name__', self.jvp)} for function {name} must produce a pair (list or tuple of "
                f"length two) representing primal and tangent outputs, but got {result!r:.200}"
            )
        out, t_out = result
        outs, tree = tree_flatten(out)
        t_flat, t_tree = tree_flatten(t_out)
        if tree != t_tree:
            raise TypeError(
                f"Custom JVP rule for function {name} must produce primal and tangent outputs with equal container (pytree) structures, "
                f"but got {tree} and {t_tree} respectively"
            )
        outs = self._arguments.arrays(out, outs)
        checked = []
        for i, (o, t) in enumerate(zip(outs, t_flat)):
            path = "" if len(outs) == 1 else f" at output{keystr(tree_flatten_with_path(out)[0][i][0])}"
            checked.append(_checked_tangent(o, t, name, path))
        return outs, checked, tree


def _checked_tangent(out: Array, t: Any, name: str, path: str) -> Any:
    if isinstance(t, SymbolicZero):
        return None
    expected = out.aval.to_tangent_aval()
    if expected.dtype == dtypes.float0 and not dtypes.is_inexact(as_array(t).dtype):
        return None
    t = as_array(t)
    if t.weak_type and t.dtype != expected.dtype and dtypes.is_inexact(t.dtype):
        t = convert(t, expected.dtype)
    if t.shape != expected.shape or t.dtype != expected.dtype:
        raise TypeError(
            f"Custom JVP rule for function {name} must produce primal and tangent outputs with corresponding shapes and dtypes"
            f"{path}: expected tangent {expected.str_short()} for primal {out.aval.str_short()}, but got "
            f"{t.aval.str_short()}, at {user_line()}"
        )
    return t


class _BoundMethod:
    """A custom-rule function accessed through an instance: the instance is the first argument."""

    def __init__(self, function: Any, instance: Any) -> None:
        self.function, self.instance = function, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self.instance, *args, **kwargs)


# ---- custom_vjp -------------------------------------------------------------------------------------------------


class _Layout:
    """The layout of a user's residual: its structure and the leaves that are no arrays (`_ARRAY` in the place of arrays); the structure
    and types of the output."""

    __slots__ = ("tree", "others", "out_tree", "out_types")

    def __init__(self, tree: Any, others: tuple[Any, ...], out_tree: Any, out_types: tuple[ShapedArray, ...]) -> None:
        self.tree, self.others, self.out_tree, self.out_types = tree, others, out_tree, out_types

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Layout)
            and (self.tree, self.out_tree, self.out_types) == (other.tree, other.out_tree, other.out_types)
            and all([x is y for x, y in zip(self.others, other.others)])
        )

    def __hash__(self) -> int:
        return hash((self.tree, self.out_tree, self.out_types))

    def residual(self, arrays: Sequence[Any]) -> Any:
        """The user's residual with these arrays."""
        rest = iter(arrays)
        return self.tree.unflatten([next(rest) if x is _ARRAY else x for x in self.others])


#: The place of an array among the leaves of a residual.
_ARRAY: Any = object()


def push_backward(bwd: Any, residual: Any, in_types: Any, out_types: Any, tangents: Sequence[Any]) -> list[Any]:
    """Tangents of the outputs of a function given by its backward function, which is linear: transpose it."""
    wanted = [i for i, t in enumerate(out_types) if dtypes.is_inexact(t.dtype)]

    def linear(*cts: Any) -> Any:
        full: list[Any] = [None] * len(out_types)
        for i, ct in zip(wanted, cts):
            full[i] = ct
        return bwd(residual, full)

    found = transpose_flat(linear, [out_types[i] for i in wanted], tangents)
    out: list[Any] = [None] * len(out_types)
    for i, t in zip(wanted, found):
        out[i] = t
    return out


class CustomVJPCall(CustomCall):
    """`fun` with `fwd(primals, perturbed) -> (outs, Residual)` and `bwd(residual, cts) -> ct_ins`, all flat."""

    name = "custom_vjp_call"

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Any]) -> Params:
        fwd, bwd, count = params["fwd"], params["bwd"], len(captured)

        def replayed_fwd(primals: Sequence[Any], perturbed: Sequence[bool]) -> Any:
            outs, residual = Replay(current(), closure, captured).run(fwd, primals, perturbed)
            return outs, Residual([*captured, *residual.arrays], residual.layout)

        def replayed_bwd(residual: Residual, cts: Sequence[Any]) -> Any:
            values, arrays = residual.arrays[:count], residual.arrays[count:]
            return Replay(current(), closure, values).run(bwd, Residual(arrays, residual.layout), cts)

        return {**params, "fwd": replayed_fwd, "bwd": replayed_bwd}

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        fwd = params["fwd"]

        def promised(primals: Sequence[Any], perturbed: Sequence[bool]) -> Any:
            outs, residual = fwd(primals, perturbed)
            return _as_promised(outs, types, f"Custom VJP fwd rule for function {params['name']}"), residual

        return {**params, "fwd": promised}

    def forward_mode(
        self, primals: Sequence[Any], tangents: Sequence[Any], params: Params
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        outs, residual = params["fwd"](primals, [t is not None for t in tangents])
        in_types, out_types = [p.aval for p in primals], [o.aval for o in outs]
        return outs, push_backward(params["bwd"], residual, in_types, out_types, tangents)

    def linearized(
        self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params
    ) -> tuple[Sequence[Any], Sequence[Node | None]]:
        outs, residual = params["fwd"](primals, [n is not None for n in nodes])
        in_types, out_types = [p.aval for p in primals], tuple([o.aval for o in outs])
        bwd, layout = params["bwd"], residual.layout

        def push(values: Sequence[Any], ts: Sequence[Any]) -> list[Any]:
            return push_backward(bwd, Residual(values, layout), in_types, out_types, ts)

        def pull(values: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
            found: Sequence[Any] = bwd(Residual(values, layout), cts)
            return found

        node = LinearStep(self.name, residual.arrays, nodes, push, pull, (bwd, layout, out_types))
        return outs, results_of(node, outs, tuple([dtypes.is_inexact(t.dtype) for t in out_types]))


@Batch.rules.of(CustomVJPCall)
def _batched_custom_vjp(how: Batch, call: CustomVJPCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    values, axes, trace, size = leaves_of(operands), kinds_of(operands), how.within, how.size
    fwd, bwd = params["fwd"], params["bwd"]

    def batched_fwd(primals: Sequence[Any], perturbed: Sequence[bool]) -> Any:
        count, layout = 0, None

        def flat(*xs: Any) -> Any:
            nonlocal count, layout
            outs, residual = fwd(xs, perturbed)
            count, layout = len(outs), residual.layout
            return [*outs, *residual.arrays]

        results, result_axes = batch_again(flat, trace, primals, axes)
        outs = [batch_first(o, b, size) for o, b in zip(results[:count], result_axes[:count])]
        return outs, Residual(results[count:], (layout, tuple(result_axes[count:])))

    def batched_bwd(residual: Residual, cts: Sequence[Any]) -> Any:
        layout, residual_axes = residual.layout
        given = [ct for ct in cts if ct is not None]
        count, pattern = len(residual_axes), [ct is not None for ct in cts]
        present: list[bool] = []

        def flat(*xs: Any) -> Any:
            ct_ins = bwd(Residual(xs[:count], layout), spread(xs[count:], pattern))
            present[:] = [c is not None for c in ct_ins]
            return [c for c in ct_ins if c is not None]

        found, found_axes = batch_again(flat, trace, [*residual.arrays, *given], [*residual_axes, *(0 for _ in given)])
        return sum_unbatched(spread(found, present), spread(found_axes, present), axes, size)

    inner = {**params, "fun": batched(params["fun"], trace, axes), "fwd": batched_fwd, "bwd": batched_bwd}
    return None, [mapped(o, 0) for o in current().process_call(call, values, inner)]


custom_vjp_call_p = CustomVJPCall()


class custom_vjp:
    """A function with a custom reverse-mode derivative: `f.defvjp(fwd, bwd)`.

    `fwd(*args)` returns (output, residual); `bwd(*nondiff arguments, residual, ct)` returns a tuple with a cotangent for each
    differentiable argument (None for zero), linear in `ct`. Forward mode works too: it transposes `bwd`.

    >>> @custom_vjp
    ... def f(x):
    ...     return x * x
    >>> f.defvjp(lambda x: (f(x), x), lambda x, ct: (2 * x * ct,))
    >>> from pullback.transforms.derivatives import grad
    >>> float(grad(f)(3.0))
    6.0
    """

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: Any = (), nondiff_argnames: Any = ()) -> None:
        self._arguments = _Arguments(fun, nondiff_argnums, nondiff_argnames)
        self.fun = fun
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.symbolic_zeros = False
        self.__wrapped__ = fun
        self.__name__ = self._arguments.name
        self.__doc__ = fun.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _BoundMethod(self, instance)

    def defvjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Register the forward and backward rules.

        With `symbolic_zeros`, `fwd` gets `CustomVJPPrimal`s (value, perturbed) and `bwd` gets `SymbolicZero` for zero cotangents.
        """
        del optimize_remat
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = self._arguments
        if self.fwd is None or self.bwd is None:
            raise AttributeError(f"No VJP defined for custom_vjp function {arguments.name} using defvjp.")
        args = arguments.positional(args, kwargs)
        static, dynamic = arguments.split(args)
        arguments.refuse_tracers(static)
        leaves, in_tree = tree_flatten(dynamic)
        leaves = arguments.arrays(dynamic, leaves)
        in_types = [x.aval for x in leaves]
        out_tree: Any = None  # that of the run that gives this call's result

        def flat_fun(*xs: Any) -> list[Any]:
            nonlocal out_tree
            out = arguments.fun(*arguments.merge(static, in_tree.unflatten(list(xs))))
            flat, out_tree = tree_flatten(out)
            return arguments.arrays(out, flat)

        def flat_fwd(primals: Sequence[Any], perturbed: Sequence[bool]) -> Any:
            nonlocal out_tree
            assert self.fwd is not None
            values = (
                [CustomVJPPrimal(x, p) for x, p in zip(primals, perturbed)] if self.symbolic_zeros else list(primals)
            )
            result = self.fwd(*arguments.merge(static, in_tree.unflatten(values)))
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise TypeError(
                    f"Custom VJP fwd rule {getattr(self.fwd, '__name__', self.fwd)} for function {arguments.name} must produce a pair "
                    f"(list or tuple of length two) of primal output and residual, got {result!r:.200}"
                )
            out, residual = result
            outs, out_tree = tree_flatten(out)
            outs = arguments.arrays(out, outs)
            flat, tree = tree_flatten(residual)
            others = tuple([_ARRAY if isinstance(r, Array) else r for r in flat])
            layout = _Layout(tree, others, out_tree, tuple([o.aval for o in outs]))
            return outs, Residual([r for r in flat if isinstance(r, Array)], layout)

        def flat_bwd(residual: Residual, cts: Sequence[Any]) -> list[Any]:
            assert self.bwd is not None
            layout: _Layout = residual.layout
            full = [
                (SymbolicZero(t.to_tangent_aval()) if self.symbolic_zeros else _zero_of(t)) if ct is None else ct
                for ct, t in zip(cts, layout.out_types)
            ]
            ct_ins = self.bwd(*static, layout.residual(residual.arrays), layout.out_tree.unflatten(full))
            return _checked_cotangents(ct_ins, in_tree, in_types, arguments.name)

        outs = custom_vjp_call_p.call(flat_fun, *leaves, fwd=flat_fwd, bwd=flat_bwd, name=arguments.name)
        return out_tree.unflatten(outs)


carriers[custom_jvp] = carriers[custom_vjp] = "__dict__"


def _zero_of(t: ShapedArray) -> Any:
    tangent = t.to_tangent_aval()
    return np.zeros(t.shape, dtypes.float0) if tangent.dtype == dtypes.float0 else zeros(t.shape, t.dtype)


def _as_promised(outs: Sequence[Any], types: Sequence[ShapedArray], rule: str) -> list[Any]:
    """The results of a rule in a program, where they are of the function's types. Raises TypeError naming what does not fit."""
    if len(outs) != len(types):
        raise TypeError(f"{rule} must produce the function's {len(types)} outputs, but got {len(outs)}")
    checked = []
    for o, t in zip(outs, types):
        if o.shape != t.shape or o.dtype != t.dtype:
            raise TypeError(
                f"{rule} must produce outputs of the shapes and dtypes of the function's: expected {t.str_short()}, got "
                f"{o.aval.str_short()}"
            )
        checked.append(o if o.weak_type == t.weak_type else convert(o, t.dtype, t.weak_type))
    return checked


def _checked_cotangents(ct_ins: Any, in_tree: PyTreeDef, in_types: Sequence[ShapedArray], name: str) -> list[Any]:
    """The backward rule's result, flat, with None for zeros. Raises TypeError naming what does not fit."""
    structures = in_tree.children()
    if not isinstance(ct_ins, (tuple, list)):
        raise TypeError(
            f"Custom VJP bwd rule for function {name} must produce a tuple of cotangents, one for each differentiable argument; got "
            f"{ct_ins!r:.200}"
        )
    if len(ct_ins) != len(structures):
        raise TypeError(
            f"Custom VJP bwd rule for function {name} must produce a tuple of the length of its differentiable arguments, "
            f"{len(structures)}, but got {len(ct_ins)} cotangents"
        )
    out: list[Any] = []
    start = 0
    for i, (ct, structure) in enumerate(zip(ct_ins, structures)):
        types = in_types[start : start + structure.num_leaves]
        start += structure.num_leaves
        if ct is None:
            out.extend([None] * len(types))
            continue
        flat, ct_tree = tree_flatten(ct, is_leaf=lambda v: v is None)
        if ct_tree != structure:
            flat_plain, plain_tree = tree_flatten(ct)
            if plain_tree != structure:
                raise TypeError(
                    f"Custom VJP bwd rule for function {name} must produce cotangents of the structure of its arguments: for argument "
                    f"{i} expected {structure}, got {plain_tree}"
                )
            flat = flat_plain
        for c, t in zip(flat, types):
            out.append(_checked_cotangent(c, t, name, i))
    return out


def _checked_cotangent(c: Any, t: ShapedArray, name: str, position: int) -> Any:
    if c is None or isinstance(c, SymbolicZero) or not dtypes.is_inexact(t.dtype):
        return None
    c = as_array(c)
    if c.dtype != t.dtype and c.weak_type and (dtypes.is_complex(t.dtype) or not dtypes.is_complex(c.dtype)):
        c = convert(c, t.dtype)
    if c.shape != t.shape or c.dtype != t.dtype:
        error = ValueError if c.shape != t.shape else TypeError
        raise error(
            f"Custom VJP bwd rule for function {name} must produce cotangents of the shapes and dtypes of its arguments: for argument "
            f"{position} expected {t.str_short()}, got {c.aval.str_short()}, at {user_line()}"
        )
    return c


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a custom gradient: `fun(*args)` returns (output, vjp_fun), and `vjp_fun(ct)` the arguments' cotangents.

    For one argument `vjp_fun` may return its cotangent itself, for several a tuple.

    >>> @custom_gradient
    ... def f(x):
    ...     return x * x, lambda ct: 2 * x * ct
    >>> from pullback.transforms.derivatives import grad
    >>> float(grad(f)(3.0))
    6.0
    """

    def primal(*args: Any) -> Any:
        return fun(*args)[0]

    def fwd(*args: Any) -> Any:
        out, pullback = fun(*args)

        def pulled(ct: Any) -> tuple[Any, ...]:
            cts = pullback(ct)
            return tuple(cts) if len(args) > 1 or (isinstance(cts, tuple) and len(cts) == 1) else (cts,)

        return out, _Opaque(pulled) if current() is EVAL else _staged_pullback(pulled, out)

    def bwd(residual: Any, ct: Any) -> Any:
        return residual(ct)

    wrapped = custom_vjp(primal)
    wrapped.defvjp(fwd, bwd)

    def with_gradient(*args: Any, **kwargs: Any) -> Any:
        try:
            if kwargs:
                bound = inspect.signature(fun).bind(*args, **kwargs)
                bound.apply_defaults()
                args = bound.args
            return wrapped(*args)
        except Exception as error:
            filter_traceback(error)
            raise

    with_gradient.__name__ = getattr(fun, "__name__", "custom_gradient")
    with_gradient.__doc__ = fun.__doc__
    with_gradient.__wrapped__ = fun  # type: ignore[attr-defined]
    return with_gradient


class _Opaque:
    """A pullback as a residual without leaves: what it closes over has values, and stays as it is."""

    def __init__(self, pullback: Callable[[Any], tuple[Any, ...]]) -> None:
        self.pullback = pullback

    def __call__(self, ct: Any) -> tuple[Any, ...]:
        return self.pullback(ct)


def _rebuild_opaque(pullback: Any, _: Any) -> _Opaque:
    return _Opaque(pullback)


register_pytree_node(_Opaque, lambda o: ((), o.pullback), _rebuild_opaque)


class _StagedPullback:
    """A pullback as a residual: a program, whose leaves are the traced values that it closes over."""

    def __init__(self, captured: Sequence[Any], program: ClosedJaxpr, out_tree: Any) -> None:
        self.captured, self.program, self.out_tree = captured, program, out_tree

    def __call__(self, ct: Any) -> tuple[Any, ...]:
        outs = eval_jaxpr(self.program.jaxpr, self.program.consts, *self.captured, *map(as_array, tree_leaves(ct)))
        return tuple(tree_unflatten(self.out_tree, outs))


def _rebuild_staged(auxiliary: Any, captured: Any) -> _StagedPullback:
    program, out_tree = auxiliary
    return _StagedPullback(tuple(captured), program, out_tree)


register_pytree_node(
    _StagedPullback,
    lambda p: (p.captured, (p.program, p.out_tree)),
    _rebuild_staged,
)


def _staged_pullback(pullback: Callable[[Any], tuple[Any, ...]], out: Any) -> _StagedPullback:
    leaves, in_tree = tree_flatten(out)
    out_tree: Any = None

    def flat(*cts: Any) -> list[Any]:
        nonlocal out_tree
        outs, out_tree = tree_flatten(pullback(tree_unflatten(in_tree, cts)))
        return list(map(as_array, outs))

    types = [typeof(x) for x in leaves]
    program, captured = close(stage_flat(flat, [t.update(dtype=dtypes.tangent_dtype(t.dtype)) for t in types]))
    return _StagedPullback(captured, program, out_tree)


__all__ = [
    "CustomVJPPrimal",
    "SymbolicZero",
    "current",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "zero_from_primal",
]
