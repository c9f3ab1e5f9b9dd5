"""Forward mode: push tangents along with the values.

A `JVPTracer` is a primal with a tangent that is not (symbolically) zero; results whose tangent is
zero leave the trace untraced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import filter_traceback, see, user_line
from pullback.core.linear import zeros
from pullback.core.trace import Params, PrimalTracer, Trace, current, entered, reset_current, set_current, under
from pullback.core.tree import flatten_up_to, leaf_error, tree_flatten
from pullback.core.types import ShapedArray
from pullback.lax.shape import convert, strong
from pullback.transforms.lifting import Bundle, Kind, Lifting, Outcome, Rules, plain
from pullback.transforms.spaces import SPACES, Point, flatten, has_points, is_point
from pullback.xla.devices import beside

if TYPE_CHECKING:
    from pullback.core.names import Function, Leaf, Operand, Result, Tangent, Tree, Value
    from pullback.core.primitive import Primitive
    from pullback.core.tree import PyTreeDef
    from pullback.transforms.call import CallPrimitive

    #: A `JVPTrace` or a `LinearizeTrace`, which give what a tracer of theirs stands for.
    JVPOrLinearize = Any


class JVPTracer(PrimalTracer):
    """A value with its tangent, both of the parent trace.

    >>> import pullback as pb
    >>> def f(x):
    ...     print(x.primal, x.tangent)
    ...     return 3 * x
    >>> pb.jvp(f, (2.0,), (1.0,))
    2.0 1.0
    (Array(6., dtype=float32, weak_type=True), Array(3., dtype=float32, weak_type=True))
    """

    __slots__ = ("tangent",)
    tangent: Any

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<JVPTrace> primal={self.primal!r} tangent={self.tangent!r}"


class JVPTrace(Trace):
    """The trace of forward mode: values are pairs of primal and tangent, and operations on them give
    results and, by their derivative rules, tangents. Both are values of the parent.

    >>> import pullback as pb
    >>> from pullback.core.trace import current
    >>> pb.jvp(lambda x: print(type(current()).__name__) or x, (1.0,), (1.0,))
    JVPTrace
    (Array(1., dtype=float32, weak_type=True), Array(1., dtype=float32, weak_type=True))
    """

    __slots__ = ()

    def __init__(self, parent: Trace) -> None:
        self.parent = parent

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        primals, tangents, active = [], [], False
        for a in args:
            if a.__class__ is JVPTracer and a._trace is self:
                active = True
                primals.append(a.primal)
                tangents.append(a.tangent)
            else:
                primals.append(a if a.__class__ is ConcreteArray or isinstance(a, Array) else as_array(a))
                tangents.append(None)
        parent = self.parent
        try:
            set_current(parent)
            if not active:
                return parent.process(primitive, args, params)
            out, t_out = primitive.jvp(primals, tangents, **params)
        finally:
            set_current(self)
        if primitive.multiple_results:
            return [self.wrap(o, t) for o, t in zip(out, t_out)]
        return self.wrap(out, t_out)

    def wrap(self, primal: Value, tangent: Tangent) -> Value:
        if tangent is None:
            return primal
        tracer = JVPTracer()  # without an __init__, which would double its time
        tracer._trace, tracer.primal, tracer.tangent = self, primal, tangent
        return tracer

    def unwrap(self, x: Value) -> tuple[Value, Tangent]:
        """Primal and tangent (None where zero) of a value of this trace."""
        if x.__class__ is JVPTracer and x._trace is self:
            return x.primal, x.tangent
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return x, None

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        pairs = [self.unwrap(a) for a in args]
        parent = self.parent
        try:
            set_current(parent)
            if call.is_closed and all([t is None for _, t in pairs]):
                return parent.process_call(call, [p for p, _ in pairs], params)
            _, outs = Forward(self).call(call, [dual(p, t) for p, t in pairs], params)
        finally:
            set_current(self)
        return [self.wrap(*primal_and_tangent(o)) for o in outs]


# ---- as a lifting --------------------------------------------------------------------------------

#: The kind of values with a tangent, which is their second leaf.
DUAL = "dual"


def dual(primal: Value, tangent: Tangent) -> Bundle:
    """A primal and its tangent, None where it is zero."""
    # Programs take types as they are.
    return plain(primal) if tangent is None else Bundle(DUAL, (primal, strong(tangent)))


def primal_and_tangent(x: Bundle) -> tuple[Value, Tangent]:
    """What `dual` was made of."""
    return x.leaves if x.kind is DUAL else (x.leaves[0], None)  # type: ignore[return-value]


class Forward(Lifting):
    """Forward mode: values are pairs of primal and tangent. `trace` is given where one transforms a
    call.

    Example: makes a `scan` of pairs of a `scan`.
    """

    key = name = "jvp"
    rules = Rules()

    def __init__(self, trace: JVPTrace | None = None) -> None:
        self._trace = trace

    @property
    def within(self) -> JVPTrace:
        """The trace in which the call is made that is being transformed: custom rules close over
        values of it."""
        assert self._trace is not None, "calls of Python functions are made under a trace"
        return self._trace

    def run(self, fun: Function, operands: Sequence[Bundle]) -> Outcome:
        pairs = [primal_and_tangent(x) for x in operands]
        outs, tangents = jvp_flat(fun, [p for p, _ in pairs], [t for _, t in pairs])
        return None, list(map(dual, outs, tangents))

    def count(self, kind: Kind) -> int:
        return 2 if kind is DUAL else 1

    def types(self, kind: Kind, t: ShapedArray) -> list[ShapedArray]:
        return [t, t.to_tangent_aval().update(weak_type=False)] if kind is DUAL else [t]

    def widen(self, x: Bundle, kind: Kind) -> Bundle:
        (primal,) = x.leaves
        t = primal.aval.to_tangent_aval()
        return Bundle(DUAL, (primal, zeros(t.shape, t.dtype)))


def pushed(
    call: CallPrimitive, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params
) -> tuple[list[Value], list[Tangent]]:
    """Results of a call and their tangents (None for zero), given the operands' (None for zero)."""
    _, outs = Forward().call(call, list(map(dual, primals, tangents)), params)
    pairs = [primal_and_tangent(o) for o in outs]
    return [p for p, _ in pairs], [t for _, t in pairs]


def jvp_flat(fun: Function, primals: Sequence[Value], tangents: Sequence[Tangent]) -> tuple[list[Value], list[Tangent]]:
    """Outputs and their tangents (None where zero) of `fun`, which takes and gives flat sequences
    of arrays."""
    trace = JVPTrace(current())
    outs = under(trace, fun, *map(trace.wrap, primals, tangents))
    pairs = [trace.unwrap(o) for o in outs]
    return [p for p, _ in pairs], [t for _, t in pairs]


def jvp(fun: Function, primals: Tree, tangents: Tree, has_aux: bool = False) -> tuple[Tree, ...]:
    """The value of `fun(*primals)` and its derivative along `tangents`: (y, ∂f(x)·t), or (y,
    ∂f(x)·t, aux) with `has_aux`.

    `primals` and `tangents` are tuples (or lists) of arguments of one structure, shapes and dtypes;
    tangents of integer arguments have dtype `float0`, those of classes with a tangent space of their
    own (`derivatives.register_differentiable`) the type that these say. Raises TypeError for tangents
    of another structure or dtype, ValueError for another shape.

    >>> import pullback.numpy as jnp
    >>> x, t = jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])
    >>> jvp(lambda x: x[0] * x, (x,), (t,))                    # (x₀², x₀ x₁) along the first axis
    (Array([1., 2.], dtype=float32), Array([2., 2.], dtype=float32))
    """
    try:
        if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
            raise TypeError(
                "primals and tangents arguments to jvp must be tuples or lists; got "
                f"{type(primals).__name__} and {type(tangents).__name__}"
            )
        trace = JVPTrace(current())
        inputs: Any = [_dual(trace, x, t) for x, t in zip(primals, tangents)] if _bare(primals, tangents) else None
        if inputs is None:
            flat, treedef = flatten(tuple(primals))
            if has_points(flat):
                inputs = treedef.unflatten(_duals_with_points(trace, primals, flat, treedef, tangents))
            else:
                flat_t, treedef_t = tree_flatten(tuple(tangents))
                if treedef != treedef_t:
                    raise TypeError(
                        f"primals and tangents of jvp must have the same tree structure; got {treedef} and {treedef_t}"
                    )
                for x in (*flat, *flat_t):
                    _check_leaf(primals, x)
                inputs = treedef.unflatten([_dual(trace, x, t) for x, t in zip(flat, flat_t)])
        token = entered[trace]
        try:
            out = fun(*inputs)
        finally:
            reset_current(token)
        aux: tuple[Any, ...] = ()
        if has_aux:
            out, auxiliary = split_auxiliary(trace, out, "jvp")
            aux = (auxiliary,)
        if isinstance(out, Array):
            y, t = trace.unwrap(out)
            return (y, _instantiate(y, t), *aux)
        out_flat, out_def = flatten(out)
        if has_points(out_flat):
            both = [_with_tangent(trace, out, o) for o in out_flat]
            return (out_def.unflatten([y for y, _ in both]), out_def.unflatten([t for _, t in both]), *aux)
        pairs = [trace.unwrap(array_output(out, o)) for o in out_flat]
        y_tree = out_def.unflatten([y for y, _ in pairs])
        return (y_tree, out_def.unflatten([_instantiate(y, t) for y, t in pairs]), *aux)
    except Exception as error:
        filter_traceback(error)
        raise


def split_auxiliary(trace: JVPOrLinearize, out: Tree, what: str) -> tuple[Tree, Tree]:
    """The output of a function that also returns auxiliary data, and that data with the tracers of
    `trace` taken out.

    Raises TypeError if `out` is no pair.
    """
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(
            f"with has_aux, the function given to {what} must return a pair (output, aux); got {out!r:.100}"
        )
    out, aux = out
    flat, tree = tree_flatten(aux)
    return out, tree.unflatten([trace.unwrap(x)[0] for x in flat])


def _bare(primals: Tree, tangents: Tree) -> bool:
    """Whether the arguments are arrays with no containers, of equal number."""
    return (
        len(primals) == len(tangents)
        and all(isinstance(x, Array) for x in primals)
        and all(isinstance(t, Array) for t in tangents)
    )


def _check_leaf(primals: Tree, x: Leaf) -> None:
    if not isinstance(x, (Array, np.ndarray, np.generic, *dtypes.PYTHON_SCALARS)) and not hasattr(x, "__jax_array__"):
        raise leaf_error(primals, x, "jvp")


def array_output(tree: Tree, x: Leaf) -> Array:
    """A leaf of the output of a function that is differentiated, as an array. TypeError for what is none."""
    try:
        return as_array(x)
    except TypeError:
        raise leaf_error(tree, x, "the function to be differentiated must return arrays") from None


def _instantiate(primal: Value, tangent: Tangent) -> Tangent:
    if tangent is not None:
        return tangent if tangent.weak_type is primal.weak_type else as_weak_as(tangent, primal.weak_type)
    dtype = dtypes.tangent_dtype(primal.dtype)
    if dtype == dtypes.float0:
        return np.zeros(primal.shape, dtype)
    return beside(zeros(primal.shape, dtype, primal.weak_type), primal)


def as_weak_as(derivative: Tangent, weak_type: bool) -> Tangent:
    """A derivative with the weakness of what it is the derivative of: its type is that of the
    value, whatever rules made it."""
    if getattr(derivative, "weak_type", weak_type) == weak_type:
        return derivative
    return convert(derivative, derivative.dtype, weak_type)


def _dual(trace: JVPTrace, x: Value, t: Tangent) -> Value:
    """The input of a function under `trace`: `x` with tangent `t`, checked."""
    x = as_array(x)
    expected = dtypes.tangent_dtype(x.dtype)
    if expected == dtypes.float0:
        if getattr(t, "dtype", None) != dtypes.float0:
            raise TypeError(
                f"primal and tangent types of jvp do not match: an input of dtype {dtypes.name(x.dtype)} takes tangents of dtype "
                f"float0, got {getattr(t, 'dtype', type(t).__name__)}"
            )
        return x
    t = as_array(t)
    if t.shape != x.shape:
        raise ValueError(
            f"jvp called with different primal and tangent shapes: got primal {x.shape} and tangent {t.shape}, at {user_line()}"
            + see("shapes")
        )
    if t.dtype != x.dtype:
        if (
            not t.weak_type
            or not dtypes.is_inexact(t.dtype)
            or (dtypes.is_complex(t.dtype) and not dtypes.is_complex(x.dtype))
        ):
            raise TypeError(
                "primal and tangent arguments of jvp must have equal types; got primal dtype "
                f"{dtypes.name(x.dtype)} with tangent dtype {dtypes.name(t.dtype)} (expected {dtypes.name(expected)})"
            )
            t = convert(t, x.dtype)
    return trace.wrap(x, t)


# ---- points: see `transforms.spaces` -------------------------------------------------------------


def _duals_with_points(
    trace: JVPTrace, primals: Tree, flat: Sequence[Leaf], treedef: PyTreeDef, tangents: Tree
) -> list[Leaf]:
    """The inputs of a function under `trace`, arrays and points, with their tangents."""
    try:
        given = flatten_up_to(treedef, tuple(tangents))
    except ValueError as error:
        raise TypeError(
            f"primals and tangents of jvp must have the same tree structure, but for the tangents of classes with a tangent "
            f"space of their own; got primals of structure {treedef}, and tangents that do not fit: {error}"
        ) from None
    inputs = []
    for x, t in zip(flat, given):
        if is_point(x):
            inputs.append(_dual_point(trace, x, t))
        else:
            _check_leaf(primals, x)
            _check_leaf(tangents, t)
            inputs.append(_dual(trace, x, t))
    return inputs


def _dual_point(trace: JVPTrace, x: Point, tangent: Tree) -> Point:
    space = SPACES[x.__class__]
    zero = space.zero(x)
    (expected, tree), (given, found) = tree_flatten(zero), tree_flatten(tangent)
    if found != tree:
        raise TypeError(
            f"an argument of type {type(x).__name__} takes tangents of type {_type_name(zero)} (structure {tree}), got "
            f"{_type_name(tangent)} (structure {found}), at {user_line()}"
        )
    ts = []
    for z, t in zip(expected, given):
        _check_leaf(tangent, t)
        if z.dtype != dtypes.float0:
            ts.append(trace.unwrap(_dual(trace, z, t))[1])
        elif getattr(t, "dtype", None) == dtypes.float0:
            ts.append(None)
        else:
            raise TypeError(
                f"a tangent of a {type(x).__name__} has arrays of dtype float0 where that has no floating numbers, got "
                f"{getattr(t, 'dtype', type(t).__name__)}, at {user_line()}"
            )
    leaves, tree = tree_flatten(x)
    moved = space.embed(x, ts)
    return tree.unflatten([v if t is None else trace.wrap(as_array(v), t) for v, t in zip(leaves, moved)])


def _type_name(x: Tree) -> str:
    return "Array" if isinstance(x, Array) else type(x).__name__


def _with_tangent(trace: JVPTrace, out: Tree, o: Leaf) -> tuple[Leaf, Tree]:
    """An array or a point, and its tangent, of what a function under `trace` gives."""
    if not is_point(o):
        y, t = trace.unwrap(array_output(out, o))
        return y, _instantiate(y, t)
    leaves, tree = tree_flatten(o)
    pairs = [trace.unwrap(v) for v in leaves]
    y, space = tree.unflatten([v for v, _ in pairs]), SPACES[o.__class__]
    zeros_of_y, tangent_tree = tree_flatten(space.zero(y))
    ts = space.project(y, [t for _, t in pairs])
    return y, tangent_tree.unflatten([z if t is None else as_weak_as(t, z.weak_type) for z, t in zip(zeros_of_y, ts)])


__all__ = ["JVPTrace", "JVPTracer", "jvp", "jvp_flat"]
