"""Linearization and transposition: the derivative of a function at a point, as a linear map.

A `LinearizeTracer` is a primal and the node (see `core.linear`) of its tangent. Running a function on such tracers records
its derivative; what comes out is a `LinearMap`, whose transpose is the pullback. `grad` and `vjp` are built on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.errors import filter_traceback, user_line
from pullback.core.linear import (
    Cotangents,
    Input,
    LinearTrace,
    LinearTracer,
    Node,
    push_nodes,
    reachable,
    record_linear,
    zeros,
)
from pullback.core.trace import EVAL, Params, Trace, Tracer, current, set_current, under
from pullback.core.tree import (
    keystr,
    leaf_error,
    register_pytree_node,
    tree_flatten,
    tree_flatten_with_path,
    tree_leaves,
    tree_unflatten,
)
from pullback.core.types import ShapedArray
from pullback.transforms.jvp import as_weak_as, split_auxiliary

if TYPE_CHECKING:
    from pullback.core.tree import PyTreeDef


class LinearizeTracer(Tracer):
    """A value of the parent trace, with the node of its tangent."""

    __slots__ = ("primal", "node")
    primal: Any
    node: Node

    # The node knows both, and is nearer than an array at the bottom of a stack of transformations.
    @property
    def shape(self) -> Any:
        return self.node.shape

    @property
    def dtype(self) -> Any:
        return self.node.dtype

    @property
    def weak_type(self) -> Any:
        return self.primal.weak_type

    def concrete(self) -> ConcreteArray | None:
        primal = self.primal
        return primal if primal.__class__ is ConcreteArray else primal.concrete()

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<LinearizeTrace> primal={self.primal!r}"


class LinearizeTrace(Trace):
    """Evaluates on the parent and records derivatives."""

    __slots__ = ()

    def __init__(self, parent: Trace) -> None:
        self.parent = parent

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
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

    def wrap(self, primal: Any, node: Node | None) -> Any:
        if node is None:
            return primal
        tracer = LinearizeTracer()  # without an __init__, which would double its time
        tracer._trace, tracer.primal, tracer.node = self, primal, node
        return tracer

    def unwrap(self, x: Any) -> tuple[Any, Node | None]:
        """Primal and node (None where the tangent is zero) of a value of this trace."""
        if x.__class__ is LinearizeTracer and x._trace is self:
            return x.primal, x.node
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return x, None

    def new_input(self, x: Any) -> Any:
        """`x` as an input to be differentiated; integers have no tangents and stay as they are."""
        x = as_array(x)
        if not dtypes.is_inexact(x.dtype):
            return x
        return self.wrap(x, Input(x.shape, x.dtype, x.weak_type))

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        return call.linearize_call(self, args, params)


def linearize_flat(
    fun: Callable[..., Any], primals: Sequence[Any], nodes: Sequence[Node | None]
) -> tuple[list[Any], list[Node | None]]:
    """Outputs of `fun` (flat in, flat out) and the nodes of their tangents, given the nodes of the inputs' tangents."""
    trace = LinearizeTrace(current())
    outs = under(trace, fun, *map(trace.wrap, primals, nodes))
    pairs = [trace.unwrap(o) for o in outs]
    return [p for p, _ in pairs], [n for _, n in pairs]


# ---- linear maps ------------------------------------------------------------------------------------------------


class LinearMap:
    """A linear function between spaces of pytrees, recorded once and applied many times.

    Call it with one argument for each input. `.T` is the transpose (plain, not conjugated), `@` composes, `.in_type` and
    `.out_type` are trees of `ShapedArray`, `.to_matrix()` is the dense matrix and `.to_scipy()` a
    `scipy.sparse.linalg.LinearOperator`. It is a pytree whose leaves are the residual arrays.

    >>> import pullback.numpy as jnp
    >>> y, f_lin = linearize(lambda x: x**2, 3.0)
    >>> float(f_lin(1.0)), float(f_lin.T(1.0)[0])
    (6.0, 6.0)
    """

    __slots__ = ("_order", "_inputs", "_outputs", "_in_tree", "_out_tree", "_out_types", "_transposed", "_what")

    def __init__(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Node | None],
        in_tree: PyTreeDef | None,
        out_tree: PyTreeDef | None,
        out_types: Sequence[ShapedArray],
        transposed: bool = False,
        what: str = "linear map",
    ) -> None:
        # `inputs`: an Input node each, or the ShapedArray of an input without tangents. A tree None stands for one bare
        # array: the tuple of one argument, or one output.
        self._inputs, self._outputs = inputs, outputs
        self._in_tree, self._out_tree, self._out_types = in_tree, out_tree, out_types
        self._transposed, self._what = transposed, what
        self._order: list[Node] | None = None

    @property
    def _nodes(self) -> list[Node]:
        """All nodes, in evaluation order; only application forwards and inspection need it."""
        if self._order is None:
            self._order = reachable(self._outputs)
        return self._order

    # ---- application --------------------------------------------------------------------------------------------

    def __call__(self, *args: Any) -> Any:
        try:
            return self._pull(*args) if self._transposed else self._push(*args)
        except Exception as error:
            filter_traceback(error)
            raise

    def _push(self, *args: Any) -> Any:
        flat, in_tree = tree_flatten(args)
        expected = tree_flatten((0,))[1] if self._in_tree is None else self._in_tree
        if in_tree != expected:
            raise TypeError(f"{self._what}: tangent arguments have tree structure {in_tree}, expected {expected}")
        tangents = {}
        for node, t in zip(self._inputs, flat):
            if isinstance(node, Node):
                tangents[node.id] = _checked(t, node.shape, node.dtype, "tangent", self._what)
            elif getattr(t, "dtype", None) != dtypes.float0:
                raise TypeError(f"{self._what}: an input of type {node} takes tangents of dtype float0, got {t!r:.60}")
        push_nodes(self._nodes, tangents)
        outs = []
        for node, t in zip(self._outputs, self._out_types):
            out = None if node is None else tangents.get(node.id)
            outs.append(_zero(t) if out is None else as_weak_as(out, t.weak_type))
        return outs[0] if self._out_tree is None else self._out_tree.unflatten(outs)

    def _pull(self, *args: Any) -> Any:
        if len(args) != 1:
            raise TypeError(
                f"{self._what}: takes one cotangent, of the structure of the output; got {len(args)} arguments"
            )
        (ct,) = args
        cotangents = Cotangents()
        if self._out_tree is None:
            flat = [ct]
            if not isinstance(ct, Array):
                flat, tree = tree_flatten(ct)
                if len(flat) != 1 or flat[0] is not ct:
                    raise ValueError(
                        f"{self._what}: cotangent has tree structure {tree}, but the output is a single array"
                    )
        else:
            flat, tree = tree_flatten(ct)
            if tree != self._out_tree:
                raise ValueError(
                    f"{self._what}: cotangent has tree structure {tree}, expected {self._out_tree}, that of the output"
                )
        for i, (node, t, c) in enumerate(zip(self._outputs, self._out_types, flat)):
            c = _checked_cotangent(c, t, self._what, partial(self._out_path, i))
            if node is not None and c is not None:
                cotangents.add(node, c)
        cotangents.pull()
        outs = []
        for x in self._inputs:
            found = cotangents.get(x) if isinstance(x, Node) else None
            outs.append(_zero(x) if found is None else as_weak_as(found, x.weak_type))
        return tuple(outs) if self._in_tree is None else self._in_tree.unflatten(outs)

    def _out_path(self, i: int) -> str:
        if self._out_tree is None:
            return ""
        tree = tree_unflatten(self._out_tree, list(range(len(self._outputs))))
        return next(keystr(path) for path, leaf in tree_flatten_with_path(tree)[0] if leaf == i)

    # ---- algebra ------------------------------------------------------------------------------------------------

    @property
    def T(self) -> LinearMap:
        """The transpose. Of a map of several arguments it returns their cotangents in a tuple."""
        return LinearMap(
            self._inputs,
            self._outputs,
            self._in_tree,
            self._out_tree,
            self._out_types,
            not self._transposed,
            self._what,
        )

    def __matmul__(self, other: Any) -> Any:
        if not isinstance(other, LinearMap):
            return NotImplemented
        return ComposedMap((self, other))

    @property
    def in_type(self) -> Any:
        """The types of the arguments: a tuple of trees of `ShapedArray` (of one tree, for a transpose)."""
        return (self._out_tree_of(self._out_types),) if self._transposed else self._in_tree_of(self._in_types())

    @property
    def out_type(self) -> Any:
        """The type of the result: a tree of `ShapedArray`."""
        return self._in_tree_of(self._in_types()) if self._transposed else self._out_tree_of(self._out_types)

    def _in_types(self) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype, x.weak_type) if isinstance(x, Input) else x for x in self._inputs]

    def _in_tree_of(self, leaves: Sequence[Any]) -> Any:
        return tuple(leaves) if self._in_tree is None else self._in_tree.unflatten(list(leaves))

    def _out_tree_of(self, leaves: Sequence[Any]) -> Any:
        return leaves[0] if self._out_tree is None else self._out_tree.unflatten(list(leaves))

    def to_matrix(self) -> Array:
        """The dense matrix, shape (total output size, total input size): columns are images of the basis vectors.

        Raises TypeError if inputs and outputs do not all have one dtype.
        """
        return matrix_of(self)

    def to_scipy(self) -> Any:
        """A `scipy.sparse.linalg.LinearOperator` that applies the map (and, as `rmatvec`, its adjoint) to flat vectors."""
        return scipy_operator(self)

    def __repr__(self) -> str:
        arrow = " ← " if self._transposed else " → "
        inputs = ", ".join(map(str, self._in_types()))
        return f"LinearMap(({inputs}){arrow}({', '.join(map(str, self._out_types))}), {len(self._nodes)} operations)"


class ComposedMap:
    """A product of linear maps: the last is applied first."""

    __slots__ = ("factors",)

    def __init__(self, factors: tuple[Any, ...]) -> None:
        self.factors = factors

    def __call__(self, *args: Any) -> Any:
        *rest, first = self.factors
        out = first(*args)
        for factor in reversed(rest):
            out = factor(*out) if _takes_tuple(factor, out) else factor(out)
        return out

    @property
    def T(self) -> ComposedMap:
        """The transpose: the transposed factors in reverse order."""
        return ComposedMap(tuple(f.T for f in reversed(self.factors)))

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, LinearMap):
            return ComposedMap((*self.factors, other))
        return ComposedMap((*self.factors, *other.factors)) if isinstance(other, ComposedMap) else NotImplemented

    in_type = property(lambda self: self.factors[-1].in_type, doc="The types of the arguments.")
    out_type = property(lambda self: self.factors[0].out_type, doc="The type of the result.")

    def to_matrix(self) -> Array:
        """The dense matrix; see `LinearMap.to_matrix`."""
        return matrix_of(self)

    def to_scipy(self) -> Any:
        """A `scipy.sparse.linalg.LinearOperator`; see `LinearMap.to_scipy`."""
        return scipy_operator(self)

    def __repr__(self) -> str:
        return " @ ".join(map(repr, self.factors))


register_pytree_node(ComposedMap, lambda m: (m.factors, None), lambda _, factors: ComposedMap(tuple(factors)))


def _takes_tuple(factor: Any, out: Any) -> bool:
    """Whether `out`, a tuple from a transposed map, is the argument list of `factor`."""
    return (
        isinstance(out, tuple)
        and isinstance(factor, (LinearMap, ComposedMap))
        and len(factor.in_type) == len(out)
        and not (len(out) == 1 and isinstance(factor.in_type[0], tuple))
    )


class _Structure:
    """All of a LinearMap but its residuals: comparable and hashable, as a pytree's auxiliary data must be."""

    __slots__ = ("map", "counts", "key")

    def __init__(self, m: LinearMap) -> None:
        self.map = m
        nodes = m._nodes
        inputs = [x for x in m._inputs if isinstance(x, Node)]
        numbering = {n.id: i for i, n in enumerate(inputs)}
        for node in nodes:
            numbering.setdefault(node.id, len(numbering))
        self.counts = [len(n.residuals()) for n in nodes]
        self.key = (
            tuple(n.structure(numbering) for n in nodes),
            tuple(numbering[x.id] if isinstance(x, Node) else x for x in m._inputs),
            tuple(None if n is None else numbering[n.id] for n in m._outputs),
            m._in_tree, m._out_tree, tuple(m._out_types), m._transposed,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key[2:])


def _flatten_map(m: LinearMap) -> tuple[list[Any], _Structure]:
    return [r for node in m._nodes for r in node.residuals()], _Structure(m)


def _unflatten_map(structure: Any, leaves: Any) -> LinearMap:
    m, rest = structure.map, iter(leaves)
    built: dict[int, Node] = {}
    for x in m._inputs:
        if isinstance(x, Node):
            built[x.id] = x.rebuild((), built)
    for node, count in zip(m._nodes, structure.counts):
        residuals = [next(rest) for _ in range(count)]
        if node.id not in built:
            built[node.id] = node.rebuild(residuals, built)
    return LinearMap(
        [built[x.id] if isinstance(x, Node) else x for x in m._inputs],
        [None if n is None else built[n.id] for n in m._outputs],
        m._in_tree, m._out_tree, m._out_types, m._transposed, m._what,
    )  # fmt: skip


register_pytree_node(LinearMap, _flatten_map, _unflatten_map)


def _sizes(tree: Any) -> list[ShapedArray]:
    return tree_leaves(tree, is_leaf=lambda x: isinstance(x, ShapedArray))


def matrix_of(m: Any) -> Array:
    """The dense matrix of a linear map (see `LinearMap.to_matrix`)."""
    from pullback.transforms.vmap import vmap

    in_types, out_types = _sizes(m.in_type), _sizes(m.out_type)
    if len({t.dtype for t in (*in_types, *out_types)}) != 1:
        raise TypeError(f"to_matrix: inputs and outputs must have one dtype, got {in_types} and {out_types}")
    n = sum(t.size for t in in_types)
    tree = tree_flatten(m.in_type, is_leaf=lambda x: isinstance(x, ShapedArray))[1]

    def flat(v: Any) -> Any:
        out = tree_leaves(m(*tree.unflatten(_split(v, in_types))))
        return _concatenate([o.reshape(-1) for o in out])

    return vmap(flat, out_axes=1)(concrete(np.eye(n, dtype=in_types[0].dtype)))


def _split(v: Any, types: Sequence[ShapedArray]) -> list[Any]:
    parts, start = [], 0
    for t in types:
        parts.append(v[start : start + t.size].reshape(t.shape))
        start += t.size
    return parts


def _concatenate(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    from pullback.lax.arrangement import concatenate

    return concatenate(parts, 0)


def scipy_operator(m: Any) -> Any:
    """A `scipy.sparse.linalg.LinearOperator` of a linear map (see `LinearMap.to_scipy`)."""
    from scipy.sparse.linalg import LinearOperator

    in_types, out_types = _sizes(m.in_type), _sizes(m.out_type)

    def apply(f: Any, types: list[ShapedArray], v: Any) -> Any:
        tree = tree_flatten(f.in_type, is_leaf=lambda x: isinstance(x, ShapedArray))[1]
        v = np.asarray(v).reshape(-1)
        parts, start = [], 0
        for t in types:
            parts.append(as_array(v[start : start + t.size].reshape(t.shape).astype(t.dtype)))
            start += t.size
        return np.concatenate([np.asarray(o).reshape(-1) for o in tree_leaves(f(*tree.unflatten(parts)))])

    def adjoint(v: Any) -> Any:
        # SciPy's rmatvec is the conjugate transpose.
        return np.conj(apply(m.T, out_types, np.conj(v)))

    shape = (sum(t.size for t in out_types), sum(t.size for t in in_types))
    dtype = np.result_type(*(t.dtype for t in (*in_types, *out_types)))
    return LinearOperator(shape, matvec=lambda v: apply(m, in_types, v), rmatvec=adjoint, dtype=dtype)


# ---- the transformations ----------------------------------------------------------------------------------------


def _linear_map_of(
    fun: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool, what: str
) -> tuple[Any, LinearMap, Any]:
    trace = LinearizeTrace(current())
    in_tree: PyTreeDef | None = None
    if len(primals) == 1 and isinstance(primals[0], Array):
        inputs: Any = [trace.new_input(primals[0])]
        flat = inputs
        args = inputs
    else:
        leaves, in_tree = tree_flatten(primals)
        flat = [trace.new_input(_leaf(primals, x, what)) for x in leaves]
        args = in_tree.unflatten(flat)
    in_nodes = [trace.unwrap(x)[1] or ShapedArray(x.shape, dtypes.float0) for x in flat]
    out = under(trace, fun, *args)
    aux = None
    if has_aux:
        out, aux = split_auxiliary(trace, out, what)
    if isinstance(out, Array):
        y, node = trace.unwrap(out)
        return y, LinearMap(in_nodes, [node], in_tree, None, [y.aval.to_tangent_aval()], what=what), aux
    out_flat, out_tree = tree_flatten(out)
    pairs = [trace.unwrap(_leaf(out, x, f"the output of the function given to {what}")) for x in out_flat]
    ys = [y for y, _ in pairs]
    types = [y.aval.to_tangent_aval() for y in ys]
    return out_tree.unflatten(ys), LinearMap(in_nodes, [n for _, n in pairs], in_tree, out_tree, types, what=what), aux


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun(*primals)` and its derivative there, as a `LinearMap`: (y, f_lin), or (y, f_lin, aux).

    `f_lin(*tangents)` costs no evaluation of `fun`; `f_lin.T` is its pullback.

    >>> import pullback.numpy as jnp
    >>> y, f_lin = linearize(jnp.sin, 0.0)
    >>> float(f_lin(3.0))
    3.0
    """
    try:
        y, f_lin, aux = _linear_map_of(fun, primals, has_aux, "linearize")
        return (y, f_lin, aux) if has_aux else (y, f_lin)
    except Exception as error:
        filter_traceback(error)
        raise


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False, reduce_axes: Any = ()) -> Any:
    """The value of `fun(*primals)` and its pullback: (y, f_vjp), or (y, f_vjp, aux) with `has_aux`.

    `f_vjp(ct)` takes a cotangent of the structure and types of `y` and returns a tuple with a cotangent for each argument. It may be
    called any number of times. Cotangents of integer arguments have dtype `float0`.

    >>> import pullback.numpy as jnp
    >>> y, f_vjp = vjp(lambda x, z: x * z, 2.0, 3.0)
    >>> [float(ct) for ct in f_vjp(1.0)]
    [3.0, 2.0]
    """
    try:
        if reduce_axes:
            raise NotImplementedError("vjp: reduce_axes is no longer supported; sum over the axis inside the function")
        y, f_lin, aux = _linear_map_of(fun, primals, has_aux, "vjp")
        return (y, f_lin.T, aux) if has_aux else (y, f_lin.T)
    except Exception as error:
        filter_traceback(error)
        raise


def linear_transpose(fun: Callable[..., Any], *primals: Any, reduce_axes: Any = ()) -> Callable[..., Any]:
    """The transpose of a function that is linear (nothing is checked but its operations).

    `primals` are examples of the arguments: only their shapes and dtypes matter, `ShapeDtypeStruct` will do. The result takes
    a cotangent of the output and returns a tuple with one of each argument. Raises TypeError where `fun` is not linear.

    >>> t = linear_transpose(lambda x: 2 * x, 1.0)
    >>> float(t(3.0)[0])
    6.0
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
        return LinearMap(inputs, nodes, in_tree, None if bare else out_tree, out_types, True, "linear_transpose")
    except Exception as error:
        filter_traceback(error)
        raise


def transpose_flat(fun: Callable[..., Any], in_types: Sequence[ShapedArray], cts: Sequence[Any]) -> list[Any]:
    """Cotangents of the inputs of a linear `fun` (flat in, flat out) given those of its outputs (None where zero)."""
    inputs = [Input(t.shape, t.dtype) for t in in_types]
    outs = record_linear(fun, inputs)
    cotangents = Cotangents()
    for node, ct in zip(outs, cts):
        if isinstance(node, Node) and ct is not None:
            cotangents.add(node, ct)
    cotangents.pull()
    return [cotangents.get(n) for n in inputs]


# ---- checks -----------------------------------------------------------------------------------------------------


def _leaf(tree: Any, x: Any, what: str) -> Array:
    if isinstance(x, Array):
        return x
    try:
        return as_array(x)
    except TypeError:
        raise leaf_error(tree, x, what) from None


def _zero(t: ShapedArray | Input) -> Any:
    if t.dtype == dtypes.float0:
        return np.zeros(t.shape, dtypes.float0)
    return zeros(t.shape, t.dtype, t.weak_type)


def _checked(x: Any, shape: Any, dtype: Any, role: str, what: str, path: Callable[[], str] = str) -> Any:
    """`x` as an array of exactly the given type; weakly typed scalars are converted."""
    x = as_array(x)
    if x.shape != shape:
        raise ValueError(f"{what}: {role}{path()} has shape {x.shape}, expected {shape}, at {user_line()}")
    if x.dtype != dtype:
        fits = dtypes.is_complex(dtype) or not dtypes.is_complex(x.dtype)
        if x.weak_type and fits and (dtypes.is_inexact(x.dtype) or dtypes.is_integer(x.dtype)):
            from pullback.lax.shape import convert

            return convert(x, dtype)
        raise ValueError(
            f"{what}: {role}{path()} has dtype {dtypes.name(x.dtype)}, expected {dtypes.name(dtype)}, at {user_line()}"
        )
    return x


def _checked_cotangent(ct: Any, t: ShapedArray, what: str, path: Callable[[], str]) -> Any:
    if t.dtype == dtypes.float0:
        if getattr(ct, "dtype", None) != dtypes.float0:
            raise ValueError(
                f"{what}: the output{path()} is discrete, its cotangent must have dtype float0; got "
                f"{getattr(ct, 'dtype', type(ct).__name__)}"
            )
        return None
    if getattr(ct, "dtype", None) == dtypes.float0:
        raise ValueError(f"{what}: cotangent{path()} has dtype float0, expected {dtypes.name(t.dtype)}")
    return _checked(ct, t.shape, t.dtype, "cotangent", what, path)
