"""custom_jvp: functions with a derivative of their own in forward mode, which is linear in the
tangents, and so serves reverse mode, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import UnexpectedTracerError, see, user_line
from pullback.core.kept import carriers
from pullback.core.linear import zeros
from pullback.core.trace import Params, Tracer, current
from pullback.core.tree import (
    keystr,
    tree_flatten,
    tree_flatten_with_path,
    tree_map,
)
from pullback.core.types import ShapedArray
from pullback.lax.shape import convert
from pullback.transforms.closures import (
    Closure,
    Replay,
    batched,
)
from pullback.transforms.custom_rules import (
    Arguments,
    BoundMethod,
    CustomCall,
    SymbolicZero,
    as_promised,
    running,
    zero_from_primal,
)
from pullback.transforms.lifting import Bundle, Outcome, kinds_of, leaves_of
from pullback.transforms.program import spread
from pullback.transforms.vmap import Batch, mapped

if TYPE_CHECKING:
    from pullback.core.names import (
        Argument,
        Attribute,
        Function,
        Leaf,
        Operand,
        Param,
        Static,
        Tangent,
        Tree,
        Value,
        WithTangents,
    )
    from pullback.core.tree import PyTreeDef

# ---- custom_jvp ----------------------------------------------------------------------------------


class CustomJVPCall(CustomCall):
    """`fun` with `rule(primals, tangents) -> (outs, t_outs)`; a tangent None is zero.

    >>> import pullback as pb
    >>> f = custom_jvp(lambda x: 2 * x)
    >>> f.defjvps(lambda t, out, x: 2 * t)
    >>> pb.make_jaxpr(f)(1.0).eqns[0].primitive is custom_jvp_call_p
    True
    """

    name = "custom_jvp_call"

    def bind(self, *args: Operand, subfuns: Sequence[Attribute] = (), **params: Param) -> list[Value]:
        """Apply as an equation of a program; or, without one, to two wrapped functions: one of flat
        arrays, and its rule, of primals and then tangents to results and then their tangents."""
        if "call_jaxpr" in params:
            return super().bind(*args, **params)
        fun, jvp = subfuns

        def rule(primals: Sequence[Value], tangents: Sequence[Tangent]) -> WithTangents:
            ts = [zero_from_primal(p) if t is None else t for p, t in zip(primals, tangents)]
            both = list(map(as_array, jvp.call_wrapped(*primals, *ts)))
            return both[: len(both) // 2], both[len(both) // 2 :]

        return self.call(
            lambda *xs: list(map(as_array, fun.call_wrapped(*xs))),
            *args,
            rule=rule,
            name=params.get("name", "a function"),
        )

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Value]) -> Params:
        return {**params, "rule": running(lambda: Replay(current(), closure, captured), params["rule"])}

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        rule = params["rule"]

        def promised(primals: Sequence[Value], tangents: Sequence[Tangent]) -> WithTangents:
            outs, t_outs = rule(primals, tangents)
            return as_promised(outs, types, f"Custom JVP rule for function {params['name']}"), t_outs

        return {**params, "rule": promised}

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        return params["rule"](primals, tangents)


@Batch.rules.of(CustomJVPCall)
def _batched_custom_jvp(how: Batch, call: CustomJVPCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    values, axes, trace = leaves_of(operands), kinds_of(operands), how.within
    fun, rule = params["fun"], params["rule"]

    def batched_rule(primals: Sequence[Value], tangents: Sequence[Tangent]) -> WithTangents:
        active = [t is not None for t in tangents]
        count = 0

        def flat(*xs: Value) -> Value:
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


class Held:
    """Arguments that are passed as they are, of which the tracers are operands of the call all the
    same: so they are known wherever and whenever the function or its rule is run.

    Example: a `nondiff_argnums` argument that is a dict with a tracer in it.
    """

    __slots__ = ("values", "leaves", "tree", "tracers")

    def __init__(self, values: list[Leaf]) -> None:
        self.values = values
        self.leaves: list[Any] = []
        self.tree: PyTreeDef | None = None
        if values:
            self.leaves, self.tree = tree_flatten(values)
        self.tracers = [x for x in self.leaves if isinstance(x, Tracer)]

    def filled(self, operands: Sequence[Leaf]) -> list[Leaf]:
        """The arguments, with these operands in the places of the tracers."""
        if not operands or self.tree is None:
            return self.values
        rest = iter(operands)
        filled: Any = self.tree.unflatten([next(rest) if isinstance(x, Tracer) else x for x in self.leaves])
        return list(filled)


class custom_jvp:
    """A function with a custom derivative, given by a forward-mode rule that is linear in the
    tangents.

    The rule, registered with `defjvp`, takes (*nondiff arguments, primals, tangents) and returns
    (primal out, tangent out). It serves forward and reverse mode, to any order. Arguments numbered
    in `nondiff_argnums` (or named in `nondiff_argnames`) are passed as they are.

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

    def __init__(self, fun: Function, nondiff_argnums: Argument = (), nondiff_argnames: Argument = ()) -> None:
        self._arguments = Arguments(fun, nondiff_argnums, nondiff_argnames)
        self.fun, self.jvp, self.symbolic_zeros = fun, None, False
        self.__wrapped__ = fun
        self.__name__ = self._arguments.name
        self.__doc__ = fun.__doc__

    fun: Callable[..., Any]
    jvp: Callable[..., Any] | None

    def __get__(self, instance: object, owner: object = None) -> Function:
        return self if instance is None else BoundMethod(self, instance)

    def defjvp(self, jvp: Function, symbolic_zeros: bool = False) -> Function:
        """Register the rule, `jvp(*nondiff arguments, primals, tangents) -> (out, t_out)`; works as a
        decorator. With `symbolic_zeros`, zero tangents come as `SymbolicZero`.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> @custom_jvp
        ... def log1pexp(x):
        ...     return jnp.log(1 + jnp.exp(x))
        >>> @log1pexp.defjvp
        ... def rule(primals, tangents):
        ...     (x,), (t,) = primals, tangents
        ...     return log1pexp(x), (1 - 1 / (1 + jnp.exp(x))) * t
        >>> pb.grad(log1pexp)(100.0)                              # exp(100) / (1 + exp(100)) would be NaN
        Array(1., dtype=float32, weak_type=True)
        """
        self.jvp, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Register one rule for each argument, `jvps[i](t, out, *primals)`: its contribution to the
        tangent; None for zero. Raises TypeError for functions with `nondiff_argnums`.

        >>> import pullback as pb
        >>> @custom_jvp
        ... def scaled(x, unit):
        ...     return x * unit
        >>> scaled.defjvps(lambda t, out, x, unit: t * unit, None)
        >>> [float(d) for d in pb.grad(scaled, argnums=(0, 1))(2.0, 3.0)]
        [3.0, 0.0]
        """
        if self._arguments.nondiff:
            raise TypeError("defjvps cannot be used with nondiff_argnums: use defjvp")

        def jvp(primals: Tree, tangents: Tree) -> Tree:
            out = self(*primals)
            terms = [rule(t, out, *primals) for rule, t in zip(jvps, tangents) if rule is not None]
            if not terms:
                return out, tree_map(lambda o: zeros(o.shape, o.dtype), out)
            total = terms[0]
            for term in terms[1:]:
                total = tree_map(lambda a, b: a + b, total, term)
            return out, total

        self.defjvp(jvp)

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        arguments = self._arguments
        if self.jvp is None:
            raise AttributeError(
                f"No JVP defined for custom_jvp function {arguments.name} using defjvp.{see('custom-rules')}"
            )
        args = arguments.positional(args, kwargs)
        static, dynamic = arguments.split(args)
        leaves, in_tree = tree_flatten(dynamic)
        leaves = arguments.arrays(dynamic, leaves)
        held = Held(static)
        n = len(held.tracers)
        out_tree: Any = None  # that of the run that gives this call's result

        def flat_fun(*xs: Value) -> list[Value]:
            nonlocal out_tree
            out = arguments.fun(*arguments.merge(held.filled(xs[:n]), in_tree.unflatten(list(xs[n:]))))
            flat, out_tree = tree_flatten(out)
            return arguments.arrays(out, flat)

        def flat_rule(primals: Sequence[Value], tangents: Sequence[Tangent]) -> WithTangents:
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
        self, static: list[Static], in_tree: PyTreeDef, primals: Sequence[Value], tangents: Sequence[Tangent]
    ) -> tuple[list[Array], list[Tangent], PyTreeDef]:
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


def _checked_tangent(out: Array, t: Tangent, name: str, path: str) -> Value:
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


carriers[custom_jvp] = "__dict__"
