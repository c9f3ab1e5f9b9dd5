"""custom_vjp and custom_gradient: functions with a derivative of their own in reverse mode. Forward
mode transposes it.

What a forward rule tells its backward rule travels in the `Residual`, beside the arrays: trees,
types, batch axes. Nothing is written into closures, which a program shares among all of its
linearizations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import see, user_api, user_line
from pullback.core.jaxpr import ClosedJaxpr, eval_jaxpr
from pullback.core.kept import carriers
from pullback.core.linear import Node
from pullback.core.staging import close, stage_flat
from pullback.core.trace import EVAL, Params, current
from pullback.core.tree import (
    register_pytree_node,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_unflatten,
)
from pullback.core.types import ShapedArray, typeof
from pullback.lax.shape import batch_first, convert
from pullback.transforms.call import LinearStep, results_of, sum_unbatched
from pullback.transforms.closures import (
    Closure,
    Replay,
    Residual,
    batch_again,
    batched,
)
from pullback.transforms.custom_rules import Arguments, BoundMethod, CustomCall, SymbolicZero, as_promised, zero_of_type
from pullback.transforms.lifting import Bundle, Outcome, kinds_of, leaves_of
from pullback.transforms.linearize import transpose_flat
from pullback.transforms.program import spread
from pullback.transforms.vmap import Batch, mapped

if TYPE_CHECKING:
    from pullback.core.names import (
        Argument,
        Auxiliary,
        Cotangent,
        Function,
        Leaf,
        Tangent,
        Tree,
        Value,
        WithNodes,
        WithTangents,
    )
    from pullback.core.tree import PyTreeDef


class CustomVJPPrimal:
    """An argument of a forward rule under `symbolic_zeros`: its `value`, and whether it is
    `perturbed` (being differentiated).

    >>> import pullback as pb
    >>> @custom_vjp
    ... def f(x, y):
    ...     return x * y
    >>> def forward(x, y):
    ...     print(x.perturbed, y.perturbed)
    ...     return x.value * y.value, (x.value, y.value)
    >>> f.defvjp(forward, lambda xy, ct: (ct * xy[1], ct * xy[0]), symbolic_zeros=True)
    >>> pb.grad(f)(2.0, 3.0)
    True False
    Array(3., dtype=float32, weak_type=True)
    """

    __slots__ = ("value", "perturbed")

    def __init__(self, value: Value, perturbed: bool) -> None:
        self.value, self.perturbed = value, perturbed

    def __repr__(self) -> str:
        return f"CustomVJPPrimal(value={self.value!r}, perturbed={self.perturbed})"


def custom_vjp_primal_tree_values(tree: Tree) -> Tree:
    """The values of a tree of `CustomVJPPrimal`.

    >>> custom_vjp_primal_tree_values({"w": CustomVJPPrimal(2.0, True), "n": 3})
    {'n': 3, 'w': 2.0}
    """
    return tree_map(lambda leaf: leaf.value if isinstance(leaf, CustomVJPPrimal) else leaf, tree)


# ---- custom_vjp ----------------------------------------------------------------------------------


class _Layout:
    """The layout of a user's residual: its structure and the leaves that are no arrays (`_ARRAY` in
    the place of arrays); the structure and types of the output.

    Example: of the residual `(x, "mean", None)`: one array, and the leaf "mean".
    """

    __slots__ = ("tree", "others", "out_tree", "out_types")

    def __init__(
        self, tree: PyTreeDef, others: tuple[Leaf, ...], out_tree: PyTreeDef, out_types: tuple[ShapedArray, ...]
    ) -> None:
        self.tree, self.others, self.out_tree, self.out_types = tree, others, out_tree, out_types

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Layout)
            and (self.tree, self.out_tree, self.out_types) == (other.tree, other.out_tree, other.out_types)
            and all([x is y for x, y in zip(self.others, other.others)])
        )

    def __hash__(self) -> int:
        return hash((self.tree, self.out_tree, self.out_types))

    def residual(self, arrays: Sequence[Value]) -> Tree:
        """The user's residual with these arrays."""
        rest = iter(arrays)
        return self.tree.unflatten([next(rest) if x is _ARRAY else x for x in self.others])


#: The place of an array among the leaves of a residual.
_ARRAY: Any = object()


def push_backward(
    bwd: Function,
    residual: Residual,
    in_types: Sequence[ShapedArray],
    out_types: Sequence[ShapedArray],
    tangents: Sequence[Tangent],
) -> list[Tangent]:
    """Tangents of the outputs of a function given by its backward function, which is linear:
    transpose it."""
    wanted = [i for i, t in enumerate(out_types) if dtypes.is_inexact(t.dtype)]

    def linear(*cts: Cotangent) -> Cotangent:
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
    """`fun` with `fwd(primals, perturbed) -> (outs, Residual)` and `bwd(residual, cts) -> ct_ins`,
    all flat.

    >>> import pullback as pb
    >>> f = custom_vjp(lambda x: 2 * x)
    >>> f.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
    >>> pb.make_jaxpr(f)(1.0).eqns[0].primitive is custom_vjp_call_p
    True
    """

    name = "custom_vjp_call"

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Value]) -> Params:
        fwd, bwd, count = params["fwd"], params["bwd"], len(captured)

        def replayed_fwd(primals: Sequence[Value], perturbed: Sequence[bool]) -> tuple[Sequence[Value], Residual]:
            outs, residual = Replay(current(), closure, captured).run(fwd, primals, perturbed)
            return outs, Residual([*captured, *residual.arrays], residual.layout)

        def replayed_bwd(residual: Residual, cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            values, arrays = residual.arrays[:count], residual.arrays[count:]
            return Replay(current(), closure, values).run(bwd, Residual(arrays, residual.layout), cts)

        return {**params, "fwd": replayed_fwd, "bwd": replayed_bwd}

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        fwd = params["fwd"]

        def promised(primals: Sequence[Value], perturbed: Sequence[bool]) -> tuple[Sequence[Value], Residual]:
            outs, residual = fwd(primals, perturbed)
            return as_promised(outs, types, f"Custom VJP fwd rule for function {params['name']}"), residual

        return {**params, "fwd": promised}

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        outs, residual = params["fwd"](primals, [t is not None for t in tangents])
        in_types, out_types = [p.aval for p in primals], [o.aval for o in outs]
        return outs, push_backward(params["bwd"], residual, in_types, out_types, tangents)

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        outs, residual = params["fwd"](primals, [n is not None for n in nodes])
        in_types, out_types = [p.aval for p in primals], tuple([o.aval for o in outs])
        bwd, layout = params["bwd"], residual.layout

        def push(values: Sequence[Value], ts: Sequence[Tangent]) -> list[Tangent]:
            return push_backward(bwd, Residual(values, layout), in_types, out_types, ts)

        def pull(values: Sequence[Value], cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            found: Sequence[Any] = bwd(Residual(values, layout), cts)
            return found

        node = LinearStep(self.name, residual.arrays, nodes, push, pull, (bwd, layout, out_types))
        return outs, results_of(node, outs, tuple([dtypes.is_inexact(t.dtype) for t in out_types]))


@Batch.rules.of(CustomVJPCall)
def _batched_custom_vjp(how: Batch, call: CustomVJPCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    values, axes, trace, size = leaves_of(operands), kinds_of(operands), how.within, how.size
    fwd, bwd = params["fwd"], params["bwd"]

    def batched_fwd(primals: Sequence[Value], perturbed: Sequence[bool]) -> tuple[Sequence[Value], Residual]:
        count, layout = 0, None

        def flat(*xs: Value) -> Value:
            nonlocal count, layout
            outs, residual = fwd(xs, perturbed)
            count, layout = len(outs), residual.layout
            return [*outs, *residual.arrays]

        results, result_axes = batch_again(flat, trace, primals, axes)
        outs = [batch_first(o, b, size) for o, b in zip(results[:count], result_axes[:count])]
        return outs, Residual(results[count:], (layout, tuple(result_axes[count:])))

    def batched_bwd(residual: Residual, cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
        layout, residual_axes = residual.layout
        given = [ct for ct in cts if ct is not None]
        count, pattern = len(residual_axes), [ct is not None for ct in cts]
        present: list[bool] = []

        def flat(*xs: Value) -> Value:
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

    `fwd(*args)` returns (output, residual); `bwd(*nondiff arguments, residual, ct)` returns a tuple
    with a cotangent for each differentiable argument (None for zero), linear in `ct`. Forward mode
    works too: it transposes `bwd`.

    >>> @custom_vjp
    ... def f(x):
    ...     return x * x
    >>> f.defvjp(lambda x: (f(x), x), lambda x, ct: (2 * x * ct,))
    >>> from pullback.transforms.derivatives import grad
    >>> float(grad(f)(3.0))
    6.0
    """

    def __init__(self, fun: Function, nondiff_argnums: Argument = (), nondiff_argnames: Argument = ()) -> None:
        self._arguments = Arguments(fun, nondiff_argnums, nondiff_argnames)
        self.fun = fun
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.symbolic_zeros = False
        self.__wrapped__ = fun
        self.__name__ = self._arguments.name
        self.__doc__ = fun.__doc__

    def __get__(self, instance: object, owner: object = None) -> Function:
        return self if instance is None else BoundMethod(self, instance)

    def defvjp(
        self,
        fwd: Function,
        bwd: Function,
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Register the rules, `fwd(*args) -> (out, residual)` and `bwd(*nondiff arguments, residual, ct)`,
        which gives a tuple of a cotangent for each argument.

        With `symbolic_zeros`, `fwd` gets `CustomVJPPrimal`s (value, perturbed) and `bwd` gets
        `SymbolicZero` for zero cotangents.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> @custom_vjp
        ... def clipped(x):                                       # the identity, with gradients within [-1, 1]
        ...     return x
        >>> clipped.defvjp(lambda x: (x, None), lambda _, ct: (jnp.clip(ct, -1, 1),))
        >>> pb.grad(lambda x: 100 * clipped(x))(2.0)
        Array(1., dtype=float32, weak_type=True)
        """
        del optimize_remat
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        arguments = self._arguments
        if self.fwd is None or self.bwd is None:
            raise AttributeError(
                f"No VJP defined for custom_vjp function {arguments.name} using defvjp.{see('custom-rules')}"
            )
        args = arguments.positional(args, kwargs)
        static, dynamic = arguments.split(args)
        arguments.refuse_tracers(static)
        leaves, in_tree = tree_flatten(dynamic)
        leaves = arguments.arrays(dynamic, leaves)
        in_types = [x.aval for x in leaves]
        out_tree: Any = None  # that of the run that gives this call's result

        def flat_fun(*xs: Value) -> list[Value]:
            nonlocal out_tree
            out = arguments.fun(*arguments.merge(static, in_tree.unflatten(list(xs))))
            flat, out_tree = tree_flatten(out)
            return arguments.arrays(out, flat)

        def flat_fwd(primals: Sequence[Value], perturbed: Sequence[bool]) -> tuple[Sequence[Value], Residual]:
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

        def flat_bwd(residual: Residual, cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            assert self.bwd is not None
            layout: _Layout = residual.layout
            full = [zero_of_type(t, self.symbolic_zeros) if ct is None else ct for ct, t in zip(cts, layout.out_types)]
            ct_ins = self.bwd(*static, layout.residual(residual.arrays), layout.out_tree.unflatten(full))
            return _checked_cotangents(ct_ins, in_tree, in_types, arguments.name)

        outs = custom_vjp_call_p.call(flat_fun, *leaves, fwd=flat_fwd, bwd=flat_bwd, name=arguments.name)
        return out_tree.unflatten(outs)


carriers[custom_vjp] = "__dict__"


def _checked_cotangents(
    ct_ins: Tree, in_tree: PyTreeDef, in_types: Sequence[ShapedArray], name: str
) -> list[Cotangent]:
    """The backward rule's result, flat, with None for zeros. Raises TypeError naming what does not
    fit."""
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


def _checked_cotangent(c: Cotangent, t: ShapedArray, name: str, position: int) -> Cotangent:
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


def custom_gradient(fun: Function) -> Function:
    """A function with a custom gradient: `fun(*args)` returns (output, vjp_fun), and `vjp_fun(ct)`
    the arguments' cotangents.

    For one argument `vjp_fun` may return its cotangent itself, for several a tuple. Raises TypeError
    if `fun` does not return a pair.

    >>> import pullback.numpy as jnp
    >>> @custom_gradient
    ... def rounded(x):                                        # straight through: the gradient of the identity
    ...     return jnp.round(x), lambda ct: ct
    >>> from pullback.transforms.derivatives import value_and_grad
    >>> [float(v) for v in value_and_grad(lambda x: rounded(x) ** 2)(2.7)]
    [9.0, 6.0]
    """

    def primal(*args: Tree) -> Tree:
        return fun(*args)[0]

    def fwd(*args: Tree) -> tuple[Tree, Tree]:
        out, pullback = fun(*args)

        def pulled(ct: Cotangent) -> tuple[Tree, ...]:
            cts = pullback(ct)
            return tuple(cts) if len(args) > 1 or (isinstance(cts, tuple) and len(cts) == 1) else (cts,)

        return out, _Opaque(pulled) if current() is EVAL else _staged_pullback(pulled, out)

    def bwd(residual: Tree, ct: Cotangent) -> Sequence[Cotangent]:
        return residual(ct)

    wrapped = custom_vjp(primal)
    wrapped.defvjp(fwd, bwd)

    @user_api
    def with_gradient(*args: Tree, **kwargs: Tree) -> Tree:
        if kwargs:
            bound = inspect.signature(fun).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        return wrapped(*args)

    with_gradient.__name__ = getattr(fun, "__name__", "custom_gradient")
    with_gradient.__doc__ = fun.__doc__
    with_gradient.__wrapped__ = fun  # type: ignore[attr-defined]
    return with_gradient


class _Opaque:
    """A pullback as a residual without leaves: what it closes over has values, and stays as it is.

    Example: `custom_gradient` with a pullback that closes over concrete arrays only.
    """

    def __init__(self, pullback: Callable[[Tree], tuple[Tree, ...]]) -> None:
        self.pullback = pullback

    def __call__(self, ct: Cotangent) -> tuple[Tree, ...]:
        return self.pullback(ct)


def _rebuild_opaque(pullback: Tree, _: object) -> _Opaque:
    return _Opaque(pullback)


register_pytree_node(_Opaque, lambda o: ((), o.pullback), _rebuild_opaque)


class _StagedPullback:
    """A pullback as a residual: a program, whose leaves are the traced values that it closes over.

    Example: the same under `jit`: what it closes over is traced.
    """

    def __init__(self, captured: Sequence[Value], program: ClosedJaxpr, out_tree: PyTreeDef) -> None:
        self.captured, self.program, self.out_tree = captured, program, out_tree

    def __call__(self, ct: Cotangent) -> tuple[Tree, ...]:
        outs = eval_jaxpr(self.program.jaxpr, self.program.consts, *self.captured, *map(as_array, tree_leaves(ct)))
        return tuple(tree_unflatten(self.out_tree, outs))


def _rebuild_staged(auxiliary: Auxiliary, captured: Value) -> _StagedPullback:
    program, out_tree = auxiliary
    return _StagedPullback(tuple(captured), program, out_tree)


register_pytree_node(_StagedPullback, lambda p: (p.captured, (p.program, p.out_tree)), _rebuild_staged)


def _staged_pullback(pullback: Callable[[Tree], tuple[Tree, ...]], out: Tree) -> _StagedPullback:
    leaves, in_tree = tree_flatten(out)
    out_tree: Any = None

    def flat(*cts: Value) -> list[Tree]:
        nonlocal out_tree
        outs, out_tree = tree_flatten(pullback(tree_unflatten(in_tree, cts)))
        return list(map(as_array, outs))

    types = [typeof(x) for x in leaves]
    program, captured = close(stage_flat(flat, [t.update(dtype=dtypes.tangent_dtype(t.dtype)) for t in types]))
    return _StagedPullback(captured, program, out_tree)
