"""What custom_jvp and custom_vjp have in common: calls of Python functions with rules, and their
arguments.

A function with a rule of its own is a call primitive. `custom_jvp`'s rule is linear in the
tangents, so it serves forward mode at once and reverse mode by being recorded. `custom_vjp`'s
backward function is linear in the cotangents, so reverse mode calls it, and forward mode transposes
it.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import UnexpectedTracerError
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.linear import Node, Sum, recorded, zeros
from pullback.core.staging import close, stage_flat
from pullback.core.trace import Params, Tracer, current
from pullback.core.tree import (
    leaf_error,
    tree_flatten,
    tree_leaves,
)
from pullback.core.types import Shape, ShapedArray, integers, typeof
from pullback.lax.shape import convert
from pullback.transforms.call import OwnDerivative, is_active
from pullback.transforms.closures import (
    Closure,
    Flat,
    jvp_again,
    linearize_again,
    primal_functions,
)
from pullback.transforms.jvp import Forward, dual, primal_and_tangent
from pullback.transforms.lifting import Bundle, Lifting, Outcome
from pullback.transforms.linearize import LinearizeTrace, linearization_rules

if TYPE_CHECKING:
    from pullback.core.names import (
        Argument,
        Function,
        Leaf,
        Operand,
        Param,
        ResultType,
        Static,
        Tangent,
        Tree,
        Value,
        WithNodes,
    )


class SymbolicZero:
    """A tangent or cotangent known to be zero, of type `aval`, given to rules that ask for
    `symbolic_zeros`. Its `shape`, `dtype`, `ndim`, `size` and `weak_type` are those of `aval`.

    >>> import pullback as pb
    >>> f = pb.custom_jvp(lambda x, y: x * y)
    >>> def rule(primals, tangents):
    ...     (x, y), (t, s) = primals, tangents
    ...     terms = [a * b for a, b in ((t, y), (s, x)) if type(a) is not SymbolicZero]
    ...     print(len(terms))
    ...     return x * y, sum(terms)
    >>> _ = f.defjvp(rule, symbolic_zeros=True)
    >>> pb.jvp(lambda x: f(x, 3.0), (2.0,), (1.0,))[1]
    1
    Array(3., dtype=float32, weak_type=True)
    """

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    @property
    def shape(self) -> Shape:
        """Length of each axis.

        >>> SymbolicZero(typeof(np.ones((2, 3)))).shape
        (2, 3)
        """
        return self.aval.shape

    @property
    def dtype(self) -> dtypes.DType:
        """Element type.

        >>> SymbolicZero(typeof(1.0)).dtype
        dtype('float32')
        """
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """Number of axes.

        >>> SymbolicZero(typeof(np.ones((2, 3)))).ndim
        2
        """
        return self.aval.ndim

    @property
    def size(self) -> int:
        """Number of elements.

        >>> SymbolicZero(typeof(np.ones((2, 3)))).size
        6
        """
        return self.aval.size

    @property
    def weak_type(self) -> bool:
        """Whether it gives way to other types, as Python's numbers do.

        >>> SymbolicZero(typeof(1.0)).weak_type
        True
        """
        return self.aval.weak_type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolicZero) and self.aval == other.aval

    def __hash__(self) -> int:
        return hash(self.aval)

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval.str_short()})"


def zero_from_primal(val: Tree, symbolic_zeros: bool = False) -> Tree:
    """A zero tangent of each value in the tree `val`, of its shape and tangent dtype: an array, or with
    `symbolic_zeros` a `SymbolicZero`.

    >>> zero_from_primal({"a": 2.0}, symbolic_zeros=True)
    {'a': SymbolicZero(float32[])}
    >>> zero_from_primal(2.0).dtype, zero_from_primal(3).dtype     # tangents of integers are of float0
    (dtype('float32'), dtype([('float0', 'V')]))
    """
    if isinstance(val, Array):
        return zero_of_type(val.aval, symbolic_zeros)
    leaves, tree = tree_flatten(val)
    return tree.unflatten([zero_of_type(typeof(x), symbolic_zeros) for x in leaves])


def zero_of_type(t: ShapedArray, symbolic_zeros: bool) -> Tangent:
    """The same for a value of type `t`."""
    t = t.to_tangent_aval()
    if symbolic_zeros:
        return SymbolicZero(t)
    return np.zeros(t.shape, dtypes.float0) if t.dtype == dtypes.float0 else zeros(t.shape, t.dtype)


class Subfunction:
    """The function that a call in a program calls, for those who take programs apart: `call_wrapped`
    calls it, with the operands of the equation.

    Example: what `eqn.primitive.get_bind_params(eqn.params)["subfuns"]` has, of a `custom_jvp` function.
    """

    __slots__ = ("program",)

    def __init__(self, program: ClosedJaxpr) -> None:
        self.program = program

    def call_wrapped(self, *args: Value) -> list[Value]:
        """The results, a list."""
        return run(self.program, *args)


# ---- calls of Python functions -------------------------------------------------------------------


class CustomCall(OwnDerivative):
    """Base of the calls of Python functions with rules, which may close over anything that is
    traced where they are called.

    The rule is about the arguments; derivatives in what the function closes over are those of the
    function. In programs, the parameter `call_jaxpr` is the function as it was traced, and
    `closure` what it closes over: the first operands.

    Example: `CustomJVPCall` and `CustomVJPCall`.
    """

    inlined: str | None = "call_jaxpr"
    is_closed = False

    def call(self, fun: Flat, *args: Value, **params: Param) -> list[Value]:
        """Apply to a Python function under the current trace."""
        return current().process_call(self, args, {"fun": fun, **params})

    def get_bind_params(self, params: Params) -> Params:
        """With the function itself among `subfuns`, for those who want it without its rules."""
        return {**params, "subfuns": [Subfunction(params["call_jaxpr"])]}

    def bind(self, *args: Operand, subfuns: object = None, **params: Param) -> list[Value]:
        """Apply as an equation of a program."""
        del subfuns
        args, params = self.opened(args, params)
        return current().process_call(self, args, params)

    def opened(self, args: Sequence[Value], params: Params) -> tuple[tuple[Value, ...], Params]:
        """Operands and parameters of an equation, as those of a call of Python functions."""
        own = dict(params)
        closed, closure = own.pop("call_jaxpr"), own.pop("closure")
        count = len(closure or ())
        captured, args = args[:count], tuple(args[count:])

        def fun(*xs: Value) -> list[Value]:
            return run(closed, *captured, *xs)

        if closure is not None:
            own = self.replayed(own, closure, captured)
        return args, {"fun": fun, **self.promising(own, closed.out_avals)}

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Value]) -> Params:
        """The parameters with rules to which the tracers of `closure` are the values `captured`."""
        raise NotImplementedError(f"{type(self).__name__} must define replayed")

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        """The parameters with rules that are held to what a program says: that the results are of
        `types`."""
        raise NotImplementedError(f"{type(self).__name__} must define promising")

    def type_of(self, *types: ShapedArray, **params: Param) -> ResultType:
        return params["call_jaxpr"].out_avals

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        """Without transformation, a call is just that."""
        return list(params["fun"](*args))

    def as_equation(self, types: Sequence[ShapedArray], params: Params) -> tuple[Sequence[Value], Params]:
        """With the function staged into a program of its own."""
        params = dict(params)
        closed, captured = close(stage_flat(params.pop("fun"), types))
        return captured, {"call_jaxpr": closed, "closure": Closure(captured) if captured else None, **params}

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """As what it computes: transformations that know nothing of rules forget them."""
        return how.run_program(params["call_jaxpr"], operands)

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
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
    trace: LinearizeTrace, call: CustomCall, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params
) -> WithNodes:
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


def _sum(x: Value, y: Value, add: Callable[[Value, Value], Value] = operator.add) -> Value:
    """The sum of two tangents, or nodes; None is zero."""
    return y if x is None else x if y is None else add(x, y)


def running(trace: Function, fun: Function) -> Function:
    """`fun`, run under a trace made when it is called."""
    return lambda *args: trace().run(fun, *args)


class Arguments:
    """How a custom-rule function's arguments split into static (`nondiff`) and flat differentiable
    ones.

    Example: of `f(3, x)` with `nondiff_argnums=(0,)`: 3 is static, x is not.
    """

    def __init__(self, fun: Function, nondiff_argnums: Argument, nondiff_argnames: Argument) -> None:
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

    def positional(self, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> tuple[Tree, ...]:
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

    def split(self, args: tuple[Tree, ...]) -> tuple[list[Static], tuple[Tree, ...]]:
        """Static arguments, and the differentiable ones."""
        if not self.nondiff:
            return [], args
        positions = {p % len(args) if p < 0 else p for p in self.nondiff}
        if any(p >= len(args) for p in positions):
            raise TypeError(f"{self.name}: nondiff_argnums {self.nondiff} out of range for {len(args)} arguments")
        return [args[p] for p in sorted(positions)], tuple(a for i, a in enumerate(args) if i not in positions)

    def refuse_tracers(self, static: list[Static]) -> None:
        """Raise UnexpectedTracerError for tracers among the static arguments, which a backward rule
        would have beyond their lives."""
        for leaf in tree_leaves(static):
            if isinstance(leaf, Tracer):
                raise UnexpectedTracerError(
                    leaf,
                    f"as an argument of the custom_vjp function {self.name} that nondiff_argnums {self.nondiff} says is not differentiated. "
                    "These must be known when the function is called: make it an argument like others, with a cotangent of None.",
                )

    def merge(self, static: Sequence[Static], dynamic: Tree) -> list[Tree]:
        """The inverse of `split`."""
        if not self.nondiff:
            return list(dynamic)
        total = len(static) + len(dynamic)
        positions = sorted({p % total if p < 0 else p for p in self.nondiff})
        rest, fixed = iter(dynamic), dict(zip(positions, static))
        return [fixed[i] if i in fixed else next(rest) for i in range(total)]

    def arrays(self, tree: Tree, leaves: Iterable[Leaf]) -> list[Array]:
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


class BoundMethod:
    """A custom-rule function accessed through an instance: the instance is the first argument.

    Example: `layer.f(x)`, where f is a `custom_vjp` method.
    """

    def __init__(self, function: Function, instance: object) -> None:
        self.function, self.instance = function, instance

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        return self.function(self.instance, *args, **kwargs)


def as_promised(outs: Sequence[Value], types: Sequence[ShapedArray], rule: str) -> list[Value]:
    """The results of a rule in a program, where they are of the function's types. Raises TypeError
    naming what does not fit."""
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
