"""The tape: linear maps recorded as nodes, applied forwards (push) or transposed (pull).

A derivative rule gives a primal output and a *linear* action on tangents. Linearization records
that action as a `Node`: an output tangent as a linear function of its parents' tangents, with the
residual arrays it needs. Nodes point to their parents only, so whatever the output does not need is
freed by reference counting while the function still runs. Parents have smaller `id`s than children:
ascending `id` is an evaluation order, descending `id` the order of the backward pass.

There are few kinds of node: `Input`; `Equation`, one linear primitive applied to parents and
constants; `Sum`; `Projection`, one result of an equation with several; and the kinds that families
add (`lax.family.Combination`; `transforms.call.LinearStep`, whatever a call does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import ConcreteArray, as_array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import Params, Trace, Tracer, current, set_current, under
from pullback.core.types import Shape, ShapedArray

if TYPE_CHECKING:
    from pullback.core.names import (
        Call,
        Cotangent,
        Function,
        Key,
        Operand,
        Residual,
        Result,
        Tangent,
        Value,
        WithTangents,
    )
    from pullback.core.primitive import Primitive

next_id: Callable[[], int] = count().__next__
Tangents = dict[int, Any]


def zeros(shape: Shape, dtype: DType, weak_type: bool = False) -> ConcreteArray:
    """A zero of a tangent space."""
    try:
        return concrete(np.zeros(shape, dtype), weak_type)
    except TypeError:  # dimensions are symbolic
        return materialize(concrete(np.zeros((), dtype), weak_type), shape)


_units: dict[tuple[DType, bool], ConcreteArray] = {}
_unit_ids: set[int] = set()


def unit(dtype: DType, weak_type: bool) -> ConcreteArray:
    """The cotangent 1 that a gradient starts from: always the same object, so that nothing is ever
    multiplied by it."""
    found = _units.get((dtype, weak_type))
    if found is None:
        found = _units[dtype, weak_type] = concrete(np.ones((), dtype), weak_type)
        _unit_ids.add(id(found))
    return found


def is_unit(ct: Cotangent) -> bool:
    """Whether `ct` is a `unit`: a 1, perhaps a uniform one."""
    return id(ct) in _unit_ids


def materialize(ct: Cotangent, shape: Shape) -> Cotangent:
    """A uniform cotangent (a scalar standing for a constant array) as an array of `shape`.
    `lax.shape` supplies it."""
    raise NotImplementedError("pullback.lax.shape has not been imported")


class Node:
    """An output tangent as a linear function of parents' tangents. Abstract.

    Example: the tangent of sin(x), cos(x) times that of x.
    """

    __slots__ = ("id", "shape", "dtype", "__weakref__")
    id: int
    shape: Shape
    dtype: DType
    #: Whether `pull` also takes a *uniform* cotangent: a scalar that stands for the constant array
    #: of the node's shape. Summations make them; they save the array, and multiplications by it.
    #: Example: `Sum`: the gradient of `sum(x + y)` passes the scalar 1 on to x and y.
    takes_uniform = False
    #: Whether the node has several results; its cotangent is a list, with None for zero.
    #: Example: an `Equation` of `split`.
    several = False

    def parents(self) -> Iterable[Node]:
        """The nodes whose tangents this one depends on."""
        raise NotImplementedError(f"{type(self).__name__} must define parents")

    def push(self, tangents: Tangents) -> Tangent:
        """This node's tangent, from the parents' in `tangents` (absent: zero). None stands for
        zero."""
        raise NotImplementedError(f"{type(self).__name__} must define push")

    def pull(self, ct: Cotangent, cotangents: Cotangents) -> None:
        """Add to `cotangents` of the parents what the cotangent `ct` of this node contributes."""
        raise NotImplementedError(f"{type(self).__name__} must define pull")

    def residuals(self) -> Sequence[Residual]:
        """The arrays that push and pull need."""
        raise NotImplementedError(f"{type(self).__name__} must define residuals")

    def rebuild(self, residuals: Sequence[Residual], parents: dict[int, Node]) -> Node:
        """The same action with other residuals, on the nodes that `parents` gives for the old
        parents' ids."""
        raise NotImplementedError(f"{type(self).__name__} must define rebuild")

    def structure(self, numbering: dict[int, int]) -> Key:
        """What, besides the residuals, determines the action: comparable and hashable."""
        raise NotImplementedError(f"{type(self).__name__} must define structure")


class Cotangents:
    """The backward pass: cotangents of nodes, and the nodes still to be pulled, latest first.

    A node leaves as it is pulled, so that its residuals are freed at once unless someone else holds
    it.

    Example: for x * x, both factors add to the cotangent of x, and then x is due.
    """

    __slots__ = ("_values", "_pending")

    def __init__(self) -> None:
        self._values: dict[int, Any] = {}
        self._pending: list[tuple[int, Node]] = []

    def add(self, node: Node, ct: Cotangent) -> None:
        """Add `ct` to the cotangent of `node`."""
        i = node.id
        old = self._values.get(i)
        if old is not None:
            self._values[i] = old + ct
        else:
            self._values[i] = ct
            if node.__class__ is not Input:
                heappush(self._pending, (-i, node))

    def add_result(self, node: Node, index: int, count: int, ct: Cotangent) -> None:
        """Set the cotangent of result `index` of a node with `count` results."""
        i = node.id
        results = self._values.get(i)
        if results is None:
            results = self._values[i] = [None] * count
            heappush(self._pending, (-i, node))
        results[index] = ct

    def pull(self) -> None:
        """Propagate everything down to the inputs."""
        pending, values = self._pending, self._values
        while pending:
            i, node = heappop(pending)
            ct = values.pop(-i)
            if not (node.takes_uniform or node.several) and ct.shape != node.shape:
                ct = materialize(ct, node.shape)
            node.pull(ct, self)

    def get(self, node: Node) -> Cotangent:
        """The cotangent of an input; None is zero."""
        ct = self._values.get(node.id)
        return ct if ct is None or ct.shape == node.shape else materialize(ct, node.shape)


class Input(Node):
    """A tangent that is given; `weak_type` is that of the value it is a tangent of, and so that of
    the cotangent.

    Example: the tangent of x in `linearize(f, x)`.
    """

    __slots__ = ("weak_type",)

    def __init__(self, shape: Shape, dtype: DType, weak_type: bool = False) -> None:
        self.id, self.shape, self.dtype, self.weak_type = next_id(), shape, dtype, weak_type

    def parents(self) -> Iterable[Node]:
        return ()

    def residuals(self) -> Sequence[Residual]:
        return ()

    def rebuild(self, residuals: Sequence[Residual], parents: dict[int, Node]) -> Node:
        return Input(self.shape, self.dtype, self.weak_type)

    def structure(self, numbering: dict[int, int]) -> Key:
        return ("input", self.shape, self.dtype, self.weak_type)


class Equation(Node):
    """One linear primitive applied to operands of which some are nodes and the others constants.

    Example: the tangent of `transpose(x)`: the same transposition, of x's tangent.
    """

    __slots__ = ("primitive", "operands", "params")

    def __init__(
        self, primitive: Primitive, operands: Sequence[Node | Value], params: Params, shape: Shape, dtype: DType
    ) -> None:
        self.id = next_id()
        self.primitive, self.operands, self.params = primitive, operands, params
        self.shape, self.dtype = shape, dtype

    @property
    def several(self) -> bool:
        return bool(self.primitive.multiple_results)

    @property
    def takes_uniform(self) -> bool:
        return bool(self.primitive.takes_uniform)

    def parents(self) -> Iterable[Node]:
        return [x for x in self.operands if isinstance(x, Node)]

    def push(self, tangents: Tangents) -> Tangent:
        args, active = [], False
        for x in self.operands:
            if isinstance(x, Node):
                t = tangents.get(x.id)
                active = active or t is not None
                args.append(zeros(x.shape, x.dtype) if t is None else t)
            else:
                args.append(x)
        return self.primitive.bind(*args, **self.params) if active else None

    def pull(self, ct: Cotangent, cotangents: Cotangents) -> None:
        if self.primitive.multiple_results:
            ct = list(ct)
        for x, ct_x in zip(self.operands, self.primitive.transpose(ct, *self.operands, **self.params)):
            if ct_x is not None and isinstance(x, Node):
                cotangents.add(x, ct_x)

    def residuals(self) -> Sequence[Residual]:
        return [x for x in self.operands if not isinstance(x, Node)]

    def rebuild(self, residuals: Sequence[Residual], parents: dict[int, Node]) -> Node:
        rest = iter(residuals)
        operands = [parents[x.id] if isinstance(x, Node) else next(rest) for x in self.operands]
        return Equation(self.primitive, operands, self.params, self.shape, self.dtype)

    def structure(self, numbering: dict[int, int]) -> Key:
        operands = tuple(numbering[x.id] if isinstance(x, Node) else None for x in self.operands)
        return (self.primitive, operands, tuple(sorted(self.params.items())), self.shape, self.dtype)


class Sum(Node):
    """The sum of two tangents of one type.

    Example: the tangent of `a @ b`: that of a times b, plus a times that of b.
    """

    __slots__ = ("terms",)
    takes_uniform = True

    def __init__(self, first: Node, second: Node) -> None:
        self.id, self.shape, self.dtype = next_id(), first.shape, first.dtype
        self.terms = (first, second)

    def parents(self) -> Iterable[Node]:
        return self.terms

    def push(self, tangents: Tangents) -> Tangent:
        first, second = (tangents.get(n.id) for n in self.terms)
        return second if first is None else first if second is None else first + second

    def pull(self, ct: Cotangent, cotangents: Cotangents) -> None:
        for node in self.terms:
            cotangents.add(node, ct)

    def residuals(self) -> Sequence[Residual]:
        return ()

    def rebuild(self, residuals: Sequence[Residual], parents: dict[int, Node]) -> Node:
        return Sum(*(parents[n.id] for n in self.terms))

    def structure(self, numbering: dict[int, int]) -> Key:
        return ("sum", *(numbering[n.id] for n in self.terms))


class Projection(Node):
    """Result number `index` of a node that has several.

    Example: the tangent of the eigenvalues, the first of the two results of `eigh`.
    """

    __slots__ = ("source", "index", "count")

    def __init__(self, source: Node, index: int, count: int, shape: Shape, dtype: DType) -> None:
        self.id = next_id()
        self.source, self.index, self.count = source, index, count
        self.shape, self.dtype = shape, dtype

    def parents(self) -> Iterable[Node]:
        return (self.source,)

    def push(self, tangents: Tangents) -> Tangent:
        results = tangents.get(self.source.id)
        return None if results is None else results[self.index]

    def pull(self, ct: Cotangent, cotangents: Cotangents) -> None:
        cotangents.add_result(self.source, self.index, self.count, ct)

    def residuals(self) -> Sequence[Residual]:
        return ()

    def rebuild(self, residuals: Sequence[Residual], parents: dict[int, Node]) -> Node:
        return Projection(parents[self.source.id], self.index, self.count, self.shape, self.dtype)

    def structure(self, numbering: dict[int, int]) -> Key:
        return ("projection", numbering[self.source.id], self.index)


def project(source: Node, types: Sequence[ShapedArray]) -> list[Node]:
    """The results of a node that has several, one node each."""
    return [Projection(source, i, len(types), t.shape, t.dtype) for i, t in enumerate(types)]


# ---- programs: all nodes some outputs need -------------------------------------------------------


def reachable(outputs: Iterable[Node | None]) -> list[Node]:
    """Every node that `outputs` depend on, in evaluation order."""
    found: dict[int, Node] = {}
    todo = [n for n in outputs if n is not None]
    while todo:
        node = todo.pop()
        if node.id not in found:
            found[node.id] = node
            todo.extend(node.parents())
    return [found[i] for i in sorted(found)]


def push_nodes(nodes: Iterable[Node], tangents: Tangents) -> None:
    """Compute the tangents of `nodes` (in evaluation order) into `tangents`, which holds the
    inputs'."""
    for node in nodes:
        if node.__class__ is not Input:
            t = node.push(tangents)
            if t is not None:
                tangents[node.id] = t


# ---- recording a rule's action on tangents -------------------------------------------------------


class LinearTracer(Tracer):
    """A tangent while a derivative rule (or a function to be transposed) is being recorded: a node,
    and no value.

    Example: `t` in the rule `t * cos(x)` while `linearize` records it.
    """

    __slots__ = ("node",)

    def __init__(self, trace: Trace, node: Node) -> None:
        self._trace, self.node = trace, node

    shape = property(lambda self: self.node.shape)
    dtype = property(lambda self: self.node.dtype)
    weak_type = property(lambda self: False)

    def __repr__(self) -> str:
        return f"Tangent<{self.aval.str_short()}>"


class LinearTrace(Trace):
    """Records linear primitives applied to its tracers; everything else goes to the parent.

    Example: records `reduce_sum` of a tangent, and lets `cos(x)` be computed.
    """

    __slots__ = ()

    def __init__(self, parent: Trace) -> None:
        self.parent = parent

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        operands = [a.node if a.__class__ is LinearTracer and a._trace is self else as_array(a) for a in args]
        active = [isinstance(x, Node) for x in operands]
        if True not in active:
            try:
                set_current(self.parent)
                return self.parent.process(primitive, args, params)
            finally:
                set_current(self)
        if not primitive.is_recorded(active):
            raise TypeError(
                f"a function that must be linear in its tangents applies {primitive.name!r} to one, which is not linear, "
                f"at {user_line()}"
            )
        try:
            set_current(self.parent)
            recorded = primitive.record(operands, params)
        finally:
            set_current(self)
        if primitive.multiple_results:
            return [LinearTracer(self, n) if isinstance(n, Node) else n for n in recorded]
        return LinearTracer(self, recorded)

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        if not any([a.__class__ is LinearTracer and a._trace is self for a in args]):
            # A coefficient, which the enclosing transformations differentiate by the call's own
            # rule.
            try:
                set_current(self.parent)
                return self.parent.process_call(call, args, params)
            finally:
                set_current(self)
        # Linear functions of tangents need no rule of their own: they are recorded as what they
        # compute.
        return call.apply(args, params)


def record_linear(fun: Function, nodes: Sequence[Node | None]) -> list[Node | Value]:
    """Call `fun` with a tangent tracer for each node (None for None); the results, tracers replaced
    by nodes.

    `fun` returns a flat sequence; a result that depends on no tangent comes back as it is.
    """
    trace = LinearTrace(current())
    tangents = [None if n is None else LinearTracer(trace, n) for n in nodes]
    outs = under(trace, fun, *tangents)
    return [o.node if o.__class__ is LinearTracer and o._trace is trace else o for o in outs]


def recorded(
    forward_mode: Callable[[Sequence[Tangent]], WithTangents], nodes: Sequence[Node | None]
) -> tuple[Sequence[Value], list[Node | None]]:
    """Results, and the nodes of their tangents (None for zero), of what gives both of given
    tangents: reverse mode from forward mode."""
    outs: Sequence[Any] = ()

    def rule(*tangents: Tangent) -> Sequence[Tangent]:
        nonlocal outs
        outs, t_outs = forward_mode(tangents)
        return t_outs

    found = record_linear(rule, nodes)
    return outs, [n if isinstance(n, Node) else None for n in found]
