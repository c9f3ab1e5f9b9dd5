"""Linearization and transposition: the derivative of a function at a point, as a linear map.

A `LinearizeTracer` is a primal and the node (see `core.linear`) of its tangent. Running a function
on such tracers records its derivative; what comes out is a `LinearMap`, whose transpose is the
pullback. `grad` and `vjp` are built on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import filter_traceback
from pullback.core.linear import (
    Cotangents,
    Input,
    LinearTrace,
    LinearTracer,
    Node,
    record_linear,
    recorded,
)
from pullback.core.trace import EVAL, Params, PrimalTracer, Trace, current, set_current, under
from pullback.core.tree import (
    leaf_error,
    tree_flatten,
    tree_leaves,
    tree_structure,
)
from pullback.core.types import ShapedArray
from pullback.transforms.jvp import split_auxiliary
from pullback.transforms.lifting import Rules
from pullback.transforms.linear_maps import LinearMap, RecordedMap
from pullback.transforms.spaces import SPACES, Point, Space, flatten, has_points, is_point

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import (
        Argument,
        Cotangent,
        Function,
        Leaf,
        Operand,
        Result,
        Tangent,
        Tree,
        Value,
        WithTangents,
    )
    from pullback.core.primitive import Primitive
    from pullback.core.tree import PyTreeDef
    from pullback.core.types import Shape
    from pullback.transforms.call import CallPrimitive


class LinearizeTracer(PrimalTracer):
    """A value of the parent trace, with the node of its tangent.

    Example: `x` in f, while `grad(f)` runs it.
    """

    __slots__ = ("node",)
    node: Node

    # The node knows both, and is nearer than an array at the bottom of a stack of transformations.
    @property
    def shape(self) -> Shape:
        return self.node.shape

    @property
    def dtype(self) -> DType:
        return self.node.dtype

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<LinearizeTrace> primal={self.primal!r}"


class LinearizeTrace(Trace):
    """Evaluates on the parent and records derivatives.

    Example: `sin(x)` under it computes sin(x), and keeps cos(x).
    """

    __slots__ = ()

    def __init__(self, parent: Trace) -> None:
        self.parent = parent

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        # One and two operands are written out: this is the hot path of reverse mode.
        primals: Sequence[Any]
        nodes: Sequence[Node | None]
        if len(args) == 1:
            (x,) = args
            active = x.__class__ is LinearizeTracer and x._trace is self
            if active:
                primals, nodes = (x.primal,), (x.node,)
        elif len(args) == 2:
            x, y = args
            n = m = None
            if x.__class__ is LinearizeTracer and x._trace is self:
                n, x = x.node, x.primal
            elif not isinstance(x, Array):
                x = as_array(x)
            if y.__class__ is LinearizeTracer and y._trace is self:
                m, y = y.node, y.primal
            elif not isinstance(y, Array):
                y = as_array(y)
            active = n is not None or m is not None
            primals, nodes = (x, y), (n, m)
        else:
            pairs = [self.unwrap(a) for a in args]
            primals, nodes = [p if isinstance(p, Array) else as_array(p) for p, _ in pairs], [n for _, n in pairs]
            active = any([n is not None for n in nodes])
        parent = self.parent
        if active and parent is EVAL and primitive.direct and not EVAL.checking:
            try:
                out, node = primitive.linearize_values(primals, nodes, params)
                return self.wrap(out, node)
            except AttributeError:  # an operand that is no Array yet: the general way converts it
                pass
        try:
            set_current(parent)
            if not active:
                return parent.process(primitive, args, params)
            out, node = primitive.linearize(primals, nodes, params)
        finally:
            set_current(self)
        if primitive.multiple_results:
            return [self.wrap(o, n) for o, n in zip(out, node)]
        return self.wrap(out, node)

    def wrap(self, primal: Value, node: Node | None) -> Value:
        if node is None:
            return primal
        tracer = LinearizeTracer()  # without an __init__, which would double its time
        tracer._trace, tracer.primal, tracer.node = self, primal, node
        return tracer

    def unwrap(self, x: Value) -> tuple[Value, Node | None]:
        """Primal and node (None where the tangent is zero) of a value of this trace."""
        if x.__class__ is LinearizeTracer and x._trace is self:
            return x.primal, x.node
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return x, None

    def new_input(self, x: Value) -> Value:
        """`x` as an input to be differentiated; integers have no tangents and stay as they are."""
        x = as_array(x)
        if not dtypes.is_inexact(x.dtype):
            return x
        return self.wrap(x, Input(x.shape, x.dtype, x.weak_type))

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        pairs = [self.unwrap(a) for a in args]
        primals, nodes = [p for p, _ in pairs], [n for _, n in pairs]
        parent = self.parent
        try:
            set_current(parent)
            rule = linearization_rules.find(call)
            if rule is not None:
                outs, out_nodes = rule(self, call, primals, nodes, params)
            elif all([n is None for n in nodes]):
                return parent.process_call(call, primals, params)
            else:
                outs, out_nodes = call.linearized(primals, nodes, params)
        finally:
            set_current(self)
        return [self.wrap(o, n) for o, n in zip(outs, out_nodes)]


#: What reverse mode makes of calls, if not what their method `linearized` does: `rule(trace, call,
#: primals, nodes, params)` → results, the nodes of their tangents (None for zero).
linearization_rules = Rules()


def linearize_flat(
    fun: Function, primals: Sequence[Value], nodes: Sequence[Node | None]
) -> tuple[list[Value], list[Node | None]]:
    """Outputs of `fun` (flat in, flat out) and the nodes of their tangents, given the nodes of the
    inputs' tangents."""
    trace = LinearizeTrace(current())
    outs = under(trace, fun, *map(trace.wrap, primals, nodes))
    pairs = [trace.unwrap(o) for o in outs]
    return [p for p, _ in pairs], [n for _, n in pairs]


# ---- the transformations -------------------------------------------------------------------------


def _linear_map_of(fun: Function, primals: tuple[Tree, ...], has_aux: bool, what: str) -> tuple[Tree, LinearMap, Tree]:
    trace = LinearizeTrace(current())
    in_tree: PyTreeDef | None = None
    if len(primals) == 1 and isinstance(primals[0], Array):
        inputs: Any = [trace.new_input(primals[0])]
        flat = inputs
        args = inputs
    else:
        leaves, in_tree = flatten(primals)
        if has_points(leaves):
            return _map_of_points(trace, fun, primals, leaves, in_tree, has_aux, what)
        flat = [trace.new_input(_leaf(primals, x, what)) for x in leaves]
        args = in_tree.unflatten(flat)
    in_nodes = [trace.unwrap(x)[1] or ShapedArray(x.shape, dtypes.float0) for x in flat]
    return _recorded_map(trace, fun, args, in_nodes, in_tree, has_aux, what)


def _recorded_map(
    trace: LinearizeTrace, fun: Function, args: Sequence[Tree], in_nodes: Sequence[Node | ShapedArray],
    in_tree: PyTreeDef | None, has_aux: bool, what: str,
) -> tuple[Tree, LinearMap, Tree]:  # fmt: skip
    """The same for arguments under `trace`; `in_nodes` and `in_tree` are those of their tangents."""
    out = under(trace, fun, *args)
    aux = None
    if has_aux:
        out, aux = split_auxiliary(trace, out, what)
    if isinstance(out, Array):
        y, node = trace.unwrap(out)
        return y, RecordedMap(in_nodes, [node], in_tree, None, [y.aval.to_tangent_aval()], what=what), aux
    out_flat, out_tree = flatten(out)
    if has_points(out_flat):
        y, f_lin = _map_to_points(trace, out, out_flat, out_tree, in_nodes, in_tree, what)
        return y, f_lin, aux
    pairs = [trace.unwrap(_leaf(out, x, f"the output of the function given to {what}")) for x in out_flat]
    ys = [y for y, _ in pairs]
    types = [y.aval.to_tangent_aval() for y in ys]
    return (
        out_tree.unflatten(ys),
        RecordedMap(in_nodes, [n for _, n in pairs], in_tree, out_tree, types, what=what),
        aux,
    )


# ---- points: see `transforms.spaces` -------------------------------------------------------------


def _map_of_points(
    trace: LinearizeTrace, fun: Function, primals: Tree, leaves: Sequence[Leaf], in_tree: PyTreeDef, has_aux: bool,
    what: str,
) -> tuple[Tree, LinearMap, Tree]:  # fmt: skip
    values, tangents, in_nodes = [], [], []
    for x in leaves:
        if is_point(x):
            value, tangent, nodes = _point_input(trace, x)
        else:
            value = tangent = trace.new_input(_leaf(primals, x, what))
            nodes = [trace.unwrap(value)[1] or ShapedArray(value.shape, dtypes.float0)]
        values.append(value)
        tangents.append(tangent)
        in_nodes.extend(nodes)
    tangent_tree = tree_structure(in_tree.unflatten(tangents))
    args: Any = in_tree.unflatten(values)
    return _recorded_map(trace, fun, args, in_nodes, tangent_tree, has_aux, what)


def _point_input(trace: LinearizeTrace, x: Point) -> tuple[Point, Tree, list[Node | ShapedArray]]:
    """A point as an input to be differentiated, a tangent of it, and the nodes of such."""
    space = SPACES[x.__class__]
    zero = space.zero(x)
    in_nodes: list[Node | ShapedArray] = [
        ShapedArray(z.shape, z.dtype) if z.dtype == dtypes.float0 else Input(z.shape, z.dtype, z.weak_type)
        for z in tree_leaves(zero)
    ]
    nodes = [n if isinstance(n, Node) else None for n in in_nodes]
    _, moved = recorded(lambda ts: ((), space.embed(x, ts)), nodes)
    leaves, tree = tree_flatten(x)
    value = tree.unflatten([v if n is None else trace.wrap(as_array(v), n) for v, n in zip(leaves, moved)])
    return value, zero, in_nodes


def _projected(space: Space, y: Point, tangents: Sequence[Tangent]) -> WithTangents:
    return (), space.project(y, tangents)


def _map_to_points(
    trace: LinearizeTrace, out: Tree, out_flat: Sequence[Leaf], out_tree: PyTreeDef,
    in_nodes: Sequence[Node | ShapedArray], in_tree: PyTreeDef | None, what: str,
) -> tuple[Tree, LinearMap]:  # fmt: skip
    ys, tangents, out_nodes, types = [], [], [], []
    for o in out_flat:
        if is_point(o):
            leaves, tree = tree_flatten(o)
            pairs = [trace.unwrap(v) for v in leaves]
            y, space = tree.unflatten([v for v, _ in pairs]), SPACES[o.__class__]
            tangent = space.zero(y)
            _, nodes = recorded(partial(_projected, space, y), [n for _, n in pairs])
            types.extend([ShapedArray(z.shape, z.dtype, getattr(z, "weak_type", False)) for z in tree_leaves(tangent)])
        else:
            y, node = trace.unwrap(_leaf(out, o, f"the output of the function given to {what}"))
            tangent, nodes = y, [node]
            types.append(y.aval.to_tangent_aval())
        ys.append(y)
        tangents.append(tangent)
        out_nodes.extend(nodes)
    tangent_tree = tree_structure(out_tree.unflatten(tangents))
    return out_tree.unflatten(ys), RecordedMap(in_nodes, out_nodes, in_tree, tangent_tree, types, what=what)


def linearize(fun: Function, *primals: Tree, has_aux: bool = False) -> Tree:
    """The value of `fun(*primals)` and its derivative there, as a `LinearMap`: (y, f_lin), or (y,
    f_lin, aux).

    `f_lin(*tangents)` costs no evaluation of `fun`; `f_lin.T` is its pullback. Tangents of classes with
    a tangent space of their own (`derivatives.register_differentiable`) are of the type that these say.
    Raises TypeError for tangents of another structure or dtype than `primals`, ValueError for another
    shape.

    >>> import pullback.numpy as jnp
    >>> y, f_lin = linearize(lambda x: jnp.sum(x**2), jnp.array([1.0, 2.0]))
    >>> f_lin(jnp.array([1.0, 0.0])), f_lin(jnp.array([0.0, 1.0])), f_lin.T(1.0)[0]
    (Array(2., dtype=float32), Array(4., dtype=float32), Array([2., 4.], dtype=float32))
    """
    try:
        y, f_lin, aux = _linear_map_of(fun, primals, has_aux, "linearize")
        return (y, f_lin, aux) if has_aux else (y, f_lin)
    except Exception as error:
        filter_traceback(error)
        raise


def vjp(fun: Function, *primals: Tree, has_aux: bool = False, reduce_axes: Argument = ()) -> Tree:
    """The value of `fun(*primals)` and its pullback: (y, f_vjp), or (y, f_vjp, aux) with `has_aux`.

    `f_vjp(ct)` takes a cotangent of the structure and types of `y` and returns a tuple with a
    cotangent for each argument. It may be called any number of times. Cotangents of integer
    arguments have dtype `float0`. Raises TypeError for cotangents of another structure or dtype,
    ValueError for another shape.

    >>> import pullback.numpy as jnp
    >>> w, x = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1.0, -1.0])
    >>> y, f_vjp = vjp(jnp.matmul, w, x)
    >>> f_vjp(jnp.array([1.0, 0.0]))                           # of the first element of w @ x
    (Array([[ 1., -1.],
           [ 0.,  0.]], dtype=float32), Array([1., 2.], dtype=float32))
    """
    try:
        if reduce_axes:
            raise NotImplementedError("vjp: reduce_axes is no longer supported; sum over the axis inside the function")
        y, f_lin, aux = _linear_map_of(fun, primals, has_aux, "vjp")
        return (y, f_lin.T, aux) if has_aux else (y, f_lin.T)
    except Exception as error:
        filter_traceback(error)
        raise


def linear_transpose(fun: Function, *primals: Tree, reduce_axes: Argument = ()) -> Function:
    """The transpose of a function that is linear (nothing is checked but its operations).

    `primals` are examples of the arguments: only their shapes and dtypes matter, `ShapeDtypeStruct`
    will do. The result takes a cotangent of the output and returns a tuple with one of each
    argument. Raises TypeError where `fun` is not linear, and for arguments of integers.

    >>> import pullback.numpy as jnp
    >>> transposed = linear_transpose(jnp.cumsum, jnp.zeros(3))
    >>> transposed(jnp.array([1.0, 10.0, 100.0]))              # sums from the other end
    (Array([111., 110., 100.], dtype=float32),)
    """
    try:
        from pullback.core.types import typeof

        if reduce_axes:
            raise NotImplementedError("linear_transpose: reduce_axes is no longer supported")
        leaves, in_tree = tree_flatten(primals)
        types = [typeof(x) for x in leaves]
        for t in types:
            if not dtypes.is_inexact(t.dtype):
                raise TypeError(f"linear_transpose only supports inputs of inexact dtype, got {t}")
        inputs = [Input(t.shape, t.dtype, t.weak_type) for t in types]
        trace = LinearTrace(current())
        out = under(trace, fun, *in_tree.unflatten([LinearTracer(trace, n) for n in inputs]))
        flat, out_tree = tree_flatten(out)
        nodes, out_types = [], []
        for x in flat:
            own = x.__class__ is LinearTracer and x._trace is trace
            nodes.append(x.node if own else None)
            out_types.append(ShapedArray(x.shape, x.dtype) if own else as_array(x).aval)
        bare = out_tree.is_leaf()
        return RecordedMap(inputs, nodes, in_tree, None if bare else out_tree, out_types, True, "linear_transpose")
    except Exception as error:
        filter_traceback(error)
        raise


def transpose_flat(fun: Function, in_types: Sequence[ShapedArray], cts: Sequence[Cotangent]) -> list[Cotangent]:
    """Cotangents of the inputs of a linear `fun` (flat in, flat out) given those of its outputs
    (None where zero)."""
    inputs = [Input(t.shape, t.dtype) for t in in_types]
    outs = record_linear(fun, inputs)
    cotangents = Cotangents()
    for node, ct in zip(outs, cts):
        if isinstance(node, Node) and ct is not None:
            cotangents.add(node, ct)
    cotangents.pull()
    return [cotangents.get(n) for n in inputs]


def _leaf(tree: Tree, x: Leaf, what: str) -> Array:
    if isinstance(x, Array):
        return x
    try:
        return as_array(x)
    except TypeError:
        raise leaf_error(tree, x, what) from None
