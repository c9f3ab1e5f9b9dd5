"""checkpoint (remat): store a function's inputs instead of its residuals, and recompute them when the backward pass needs them.

Under linearization the function runs once without being recorded; its node keeps the inputs, and pull runs the function again, recorded,
at the moment its cotangent arrives. A policy (`transforms.policies`) says which operations' results are stored all the same: the second run takes
them instead of computing them (`Stored`). Where a scan's body has such operations, the first run stacks their results, and the
second runs a scan that takes them, step by step.
Values of the enclosing trace that the function closes over are inputs, too: the runs treat that trace's tracers as their own
(`alias`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import (
    Cotangents,
    Input,
    Node,
    Tangents,
    next_id,
    project,
    push_nodes,
    reachable,
)
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.stage import is_staging, stage_flat
from pullback.core.trace import Params, Trace, current, reset_current, set_current
from pullback.core.tree import leaf_error, tree_flatten
from pullback.core.types import ShapedArray
from pullback.lax.shape import batch_first, convert
from pullback.transforms.call import CallPrimitive, is_active
from pullback.transforms.jvp import JVPTrace, JVPTracer
from pullback.transforms.linearize import LinearizeTrace, LinearizeTracer
from pullback.transforms.policies import Policy, everything_saveable
from pullback.transforms.program import ProgramCall, run
from pullback.transforms.vmap import BatchTrace, BatchTracer

# ---- traces for the runs of the function ------------------------------------------------------------------------


class _ForwardTrace(Trace):
    """The unrecorded run: evaluates on the parent, taking primals out of the tracers of `alias`, and notes which it met.

    Results that the policy wants stored are collected in the order of the operations.
    """

    __slots__ = ("alias", "captured", "policy", "saved")

    def __init__(self, parent: Trace, alias: Trace | None, policy: Policy | None) -> None:
        self.parent, self.alias, self.policy = parent, alias, policy
        self.captured: dict[int, LinearizeTracer] = {}
        self.saved: list[Any] = []

    def strip(self, x: Any) -> Any:
        if x.__class__ is LinearizeTracer and x._trace is self.alias:
            self.captured[x.node.id] = x
            return x.primal
        return x

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        args = tuple(map(self.strip, args))
        token = set_current(self.parent)
        try:
            out = self.parent.process(primitive, args, params)
        finally:
            reset_current(token)
        if self.policy is not None and _saveable(self.policy, primitive, args, params):
            self.saved.extend(out if primitive.multiple_results else [out])
        return out

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        if isinstance(call, CheckpointCall):
            return call.evaluate_call(args, params)
        if _is_transparent(call, self.policy):
            return run(params["jaxpr"], *args)
        stripped = tuple(map(self.strip, args))
        body = None if self.policy is None else call.step_program(params)
        token = set_current(self.parent)
        try:
            if body is None:
                return self.parent.process_call(call, stripped, params)
            program = body.derived(("storing", self.policy), _storing, self.policy)
            results = self.parent.process_call(call, stripped, params | {"jaxpr": program})
        finally:
            reset_current(token)
        count = len(body.out_avals)
        self.saved.extend(results[count:])
        return results[:count]


class _Substitute(Trace):
    """The parent, except that the next application of `primitive` gives the stored result."""

    __slots__ = ("primitive", "value", "used")

    def __init__(self, parent: Trace, primitive: Any, value: Any) -> None:
        self.parent, self.primitive, self.value, self.used = parent, primitive, value, False

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        if primitive is self.primitive and not self.used:
            self.used = True
            return self.value
        token = set_current(self.parent)
        try:
            return self.parent.process(primitive, args, params)
        finally:
            reset_current(token)

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        return self.parent.process_call(call, args, params)


class Stored(Primitive):
    """The results of `primitive` with `params` (as pairs), which are there: the first `count` operands. The other operands are the
    primitive's own; the derivative is made of them."""

    name = "stored"
    multiple_results = True
    weakness = "never"

    def type_of(self, *types: ShapedArray, primitive: Any, params: Any, count: int) -> list[ShapedArray]:
        return [ShapedArray(t.shape, t.dtype) for t in types[:count]]

    def evaluate(self, *values: Any, primitive: Any, params: Any, count: int) -> list[Any]:
        return list(values[:count])

    def lower(self, emit: Any, *operands: Any, primitive: Any, params: Any, count: int) -> list[Any]:
        return list(operands[:count])

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, primitive: Any, params: Any, count: int) -> Any:
        args, ts = primals[count:], tangents[count:]
        outs = [convert(x, x.dtype) if x.weak_type else x for x in primals[:count]]
        if all(t is None for t in ts):
            return outs, [None] * count
        several = primitive.multiple_results
        token = set_current(_Substitute(current(), primitive, outs if several else outs[0]))
        try:
            _, t_out = primitive.jvp(args, ts, **dict(params))
        finally:
            reset_current(token)
        return outs, (t_out if several and t_out is not None else [t_out] * count)

    def batch(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, primitive: Any, params: Any, count: int
    ) -> Any:
        # The result's axes are the primitive's, which only it knows: it is applied again.
        out, axis = primitive.batch(size, args[count:], axes[count:], **dict(params))
        return (out, axis) if primitive.multiple_results else ([out], [axis])


stored_p = Stored()


class _GivenResults:
    """Mixin for the runs in which the results that the policy stores are there: `saved` has them, in the order of the operations."""

    __slots__ = ()
    policy: Policy | None
    saved: Iterator[Any]

    def given(self, primitive: Any, args: Sequence[Any], params: Params) -> tuple[list[Any], Params] | None:
        """Operands and parameters of `stored` for an operation whose result is there, else None."""
        if self.policy is None or not _saveable(self.policy, primitive, args, params):
            return None
        count = 1
        if primitive.multiple_results:
            count = len(primitive.type_of(*(a.aval for a in map(as_array, args)), **params))
        stored = {"primitive": primitive, "params": tuple(params.items()), "count": count}
        return [*islice(self.saved, count), *args], stored

    def given_steps(self, call: Any, args: Sequence[Any], params: Params) -> tuple[Sequence[Any], Params]:
        """Operands and parameters of a loop that takes what its steps need not compute."""
        body = None if self.policy is None else call.step_program(params)
        if body is None:
            return args, params
        storing = body.derived(("storing", self.policy), _storing, self.policy)
        count = len(storing.out_avals) - len(body.out_avals)
        program = body.derived(("stored", self.policy), _with_stored, self.policy)
        return [*args, *islice(self.saved, count)], params | {"jaxpr": program}


def _storing(closed: ClosedJaxpr, policy: Policy) -> ClosedJaxpr:
    """The program with the results that the policy stores after its own."""

    def both(*xs: Any) -> list[Any]:
        trace = _ForwardTrace(current(), None, policy)
        token = set_current(trace)
        try:
            outs = run(closed, *xs)
        finally:
            reset_current(token)
        return [*outs, *trace.saved]

    return stage_flat(both, closed.in_avals, current())


def _with_stored(closed: ClosedJaxpr, policy: Policy) -> ClosedJaxpr:
    """The program that takes the results that the policy stores after its own operands."""
    storing = closed.derived(("storing", policy), _storing, policy)
    count = len(closed.in_avals)

    def given(*xs: Any) -> list[Any]:
        token = set_current(_StoredTrace(current(), policy, xs[count:]))
        try:
            return run(closed, *xs[:count])
        finally:
            reset_current(token)

    return stage_flat(given, [*closed.in_avals, *storing.out_avals[len(closed.out_avals) :]], current())


class _StoredTrace(_GivenResults, Trace):
    """The parent, except for the results that are there."""

    __slots__ = ("policy", "saved")

    def __init__(self, parent: Trace, policy: Policy, saved: Sequence[Any]) -> None:
        self.parent, self.policy, self.saved = parent, policy, iter(saved)

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        given = self.given(primitive, args, params)
        token = set_current(self.parent)
        try:
            if given is None:
                return self.parent.process(primitive, args, params)
            outs = stored_p.bind(*given[0], **given[1])
            return outs if primitive.multiple_results else outs[0]
        finally:
            reset_current(token)

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        if isinstance(call, CheckpointCall):
            return call.evaluate_call(args, params)
        if _is_transparent(call, self.policy):
            return run(params["jaxpr"], *args)
        operands, params = self.given_steps(call, args, params)
        token = set_current(self.parent)
        try:
            return self.parent.process_call(call, tuple(operands), params)
        finally:
            reset_current(token)


class _RecomputeTrace(_GivenResults, LinearizeTrace):
    """The recorded run: a linearization to which the captured tracers of `alias` are inputs, and stored results are given."""

    __slots__ = ("alias", "inputs", "policy", "saved")

    def __init__(
        self, parent: Trace, alias: Trace, inputs: dict[int, Any], policy: Policy | None, saved: Sequence[Any]
    ) -> None:
        super().__init__(parent)
        self.alias, self.inputs, self.policy = alias, inputs, policy
        self.saved = iter(saved)

    def adopt(self, x: Any) -> Any:
        return self.inputs[x.node.id] if x.__class__ is LinearizeTracer and x._trace is self.alias else x

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        args = tuple(map(self.adopt, args))
        given = self.given(primitive, args, params)
        if given is None:
            return super().process(primitive, args, params)
        operands, stored = given
        outs = operands[: stored["count"]]
        if is_active([self.unwrap(a)[1] for a in args]):
            nodes = [self.unwrap(o)[1] for o in super().process(stored_p, tuple(operands), stored)]
            outs = [self.wrap(o, n) for o, n in zip(outs, nodes)]  # of the types that they had, weak or not
        return outs if primitive.multiple_results else outs[0]

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        args = tuple(map(self.adopt, args))
        if isinstance(call, CheckpointCall):
            return call.evaluate_call(args, params)
        if _is_transparent(call, self.policy):
            return run(params["jaxpr"], *args)
        operands, params = self.given_steps(call, args, params)
        return super().process_call(call, tuple(operands), params)


class _Adopting(Trace):
    """Mixin: a trace to which the tracers of `alias` are its own (`adopt`), so that closures over them are treated like arguments."""

    __slots__ = ()
    alias: Trace

    def adopt(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define adopt")

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        return super().process(primitive, tuple(map(self.adopt, args)), params)

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        return super().process_call(call, tuple(map(self.adopt, args)), params)


class _AliasJVPTrace(_Adopting, JVPTrace):
    """Forward mode that keeps the tangents of what the function closes over."""

    __slots__ = ("alias",)

    def adopt(self, x: Any) -> Any:
        return JVPTracer(self, x.primal, x.tangent) if x.__class__ is JVPTracer and x._trace is self.alias else x


class _AliasBatchTrace(_Adopting, BatchTrace):
    """Vectorization that keeps the batch axes of what the function closes over."""

    __slots__ = ("alias",)

    def adopt(self, x: Any) -> Any:
        return BatchTracer(self, x.value, x.axis) if x.__class__ is BatchTracer and x._trace is self.alias else x


def _saveable(policy: Policy, primitive: Any, args: Sequence[Any], params: Params) -> bool:
    return bool(policy(primitive, *(a.aval for a in map(as_array, args)), **params))


def _is_transparent(call: Any, policy: Policy | None) -> bool:
    """Whether a call's program is run operation by operation, so that the policy is asked about each."""
    return policy is not None and isinstance(call, ProgramCall) and call.inlined is not None


# ---- the call ---------------------------------------------------------------------------------------------------


class CheckpointNode(Node):
    """The linear action of a checkpointed function: it holds inputs, and recomputes."""

    several = True

    __slots__ = ("fun", "policy", "prevent_cse", "primals", "nodes", "captured", "saved", "trace", "out_types")

    def __init__(
        self,
        fun: Any,
        policy: Any,
        prevent_cse: bool,
        primals: Any,
        nodes: Any,
        captured: Sequence[LinearizeTracer],
        saved: Any,
        trace: Trace,
        out_types: Any,
    ) -> None:
        self.id, self.shape, self.dtype = next_id(), (), np.dtype(bool)
        self.fun, self.policy, self.prevent_cse, self.primals, self.nodes = fun, policy, prevent_cse, primals, nodes
        self.captured, self.saved, self.trace, self.out_types = captured, saved, trace, out_types

    def parents(self) -> Iterable[Node]:
        return [n for n in (*self.nodes, *(c.node for c in self.captured)) if n is not None]

    def recompute(self, after: Sequence[Any] = ()) -> tuple[dict[int, Input], list[Node | None]]:
        """Run the function recorded: an Input for each parent's id, and the nodes of the results.

        In a program that is being staged, the recomputation is held apart from the first computation, and back until there are the
        values `after`: or else the compiler would find that it has everything already, and keep it.
        """
        primals, captured = self.primals, [c.primal for c in self.captured]
        if self.prevent_cse and is_staging():
            from pullback.lax.arrangement import optimization_barrier_p

            held = optimization_barrier_p.bind(*primals, *captured, *after)
            primals, captured = held[: len(primals)], held[len(primals) : len(primals) + len(captured)]
        inputs: dict[int, Input] = {}
        for node in self.parents():
            inputs[node.id] = Input(node.shape, node.dtype)
        adopted: dict[int, Any] = {}
        trace = _RecomputeTrace(current(), self.trace, adopted, self.policy, self.saved)
        for c, primal in zip(self.captured, captured):
            adopted[c.node.id] = LinearizeTracer(trace, primal, inputs[c.node.id])
        args = [trace.wrap(p, None if n is None else inputs[n.id]) for p, n in zip(primals, self.nodes)]
        token = set_current(trace)
        try:
            outs = self.fun(*args)
        finally:
            reset_current(token)
        outs = [adopted[o.node.id] if o.__class__ is LinearizeTracer and o._trace is self.trace else o for o in outs]
        return inputs, [trace.unwrap(o)[1] for o in outs]

    def push(self, tangents: Tangents) -> Any:
        inputs, outs = self.recompute()
        inner = {node.id: tangents[i] for i, node in inputs.items() if i in tangents}
        push_nodes(reachable(outs), inner)
        return [None if o is None else inner.get(o.id) for o in outs]

    def pull(self, ct: Any, cotangents: Cotangents) -> None:
        inputs, outs = self.recompute([c for c in ct if c is not None])
        inner = Cotangents()
        for node, c in zip(outs, ct):
            if node is not None and c is not None:
                inner.add(node, c)
        node = None
        del outs  # the pass frees each node when it has been used
        inner.pull()
        for parent in {n.id: n for n in self.parents()}.values():
            found = inner.get(inputs[parent.id])
            if found is not None:
                cotangents.add(parent, found)

    def residuals(self) -> Sequence[Any]:
        return [*self.primals, *(c.primal for c in self.captured), *self.saved]

    def rebuild(self, residuals: Sequence[Any], parents: dict[int, Node]) -> Node:
        nodes = [None if n is None else parents[n.id] for n in self.nodes]
        n, m = len(self.primals), len(self.captured)
        primals, held, saved = residuals[:n], residuals[n : n + m], residuals[n + m :]
        captured = [LinearizeTracer(c._trace, x, parents[c.node.id]) for c, x in zip(self.captured, held)]
        return CheckpointNode(
            self.fun,
            self.policy,
            self.prevent_cse,
            list(primals),
            nodes,
            captured,
            list(saved),
            self.trace,
            self.out_types,
        )

    def structure(self, numbering: dict[int, int]) -> Any:
        return ("checkpoint", id(self.fun), tuple(numbering[n.id] for n in self.parents()), tuple(self.out_types))


class CheckpointCall(CallPrimitive):
    """`fun`, to be recomputed in the backward pass except for what `policy` stores."""

    name = "checkpoint"
    captures_are_arguments = True

    def jvp_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        active = [t is not None for _, t in pairs]
        fun = params["fun"]
        with_tangent: list[bool] = []

        def pushed(*xs: Any) -> list[Any]:
            inner = _AliasJVPTrace(current())
            inner.alias = trace
            ts = iter(xs[len(args) :])
            duals = [inner.wrap(x, next(ts) if a else None) for x, a in zip(xs, active)]
            token = set_current(inner)
            try:
                outs = fun(*duals)
            finally:
                reset_current(token)
            results = [inner.unwrap(inner.adopt(o)) for o in outs]
            with_tangent[:] = [t is not None for _, t in results]
            return [*(p for p, _ in results), *(t for _, t in results if t is not None)]

        token = set_current(trace.parent)
        try:
            flat = [*(p for p, _ in pairs), *(t for _, t in pairs if t is not None)]
            both = trace.parent.process_call(self, flat, {**params, "fun": pushed})
        finally:
            reset_current(token)
        outs, ts = both[: len(with_tangent)], iter(both[len(with_tangent) :])
        return [trace.wrap(o, next(ts) if has else None) for o, has in zip(outs, with_tangent)]

    def batch_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        fun = params["fun"]
        out_axes: list[int | None] = []

        def mapped(*xs: Any) -> list[Any]:
            inner = _AliasBatchTrace(current(), trace.size, trace.axis_name)
            inner.alias = trace
            token = set_current(inner)
            try:
                outs = fun(*(inner.wrap(x, b) for x, (_, b) in zip(xs, pairs)))
            finally:
                reset_current(token)
            results = [inner.unwrap(inner.adopt(o)) for o in outs]
            out_axes[:] = [None if b is None else 0 for _, b in results]
            return [o if b is None else batch_first(o, b, trace.size) for o, b in results]

        token = set_current(trace.parent)
        try:
            outs = trace.parent.process_call(self, [v for v, _ in pairs], {**params, "fun": mapped})
        finally:
            reset_current(token)
        return [trace.wrap(o, b) for o, b in zip(outs, out_axes)]

    def linearize_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        primals, nodes = [p for p, _ in pairs], [n for _, n in pairs]
        fun, policy = params["fun"], params["policy"]
        if policy is everything_saveable:  # a function like any other
            token = set_current(trace)
            try:
                return list(fun(*args))
            finally:
                reset_current(token)
        forward = _ForwardTrace(trace.parent, trace, policy)
        token = set_current(forward)
        try:
            outs = [forward.strip(o) for o in fun(*primals)]
        finally:
            reset_current(token)
        captured = list(forward.captured.values())
        if not is_active(nodes) and not captured:
            return outs
        types = [o.aval for o in map(as_array, outs)]
        prevent_cse = params["prevent_cse"]
        node = CheckpointNode(fun, policy, prevent_cse, primals, nodes, captured, forward.saved, trace, types)
        return [
            trace.wrap(o, n if dtypes.is_inexact(t.dtype) else None)
            for o, n, t in zip(outs, project(node, types), types)
        ]


checkpoint_p = CheckpointCall()


def checkpoint(
    fun: Callable[..., Any],
    *,
    prevent_cse: bool | Sequence[bool] = True,
    policy: Policy | None = None,
    static_argnums: int | tuple[int, ...] = (),
    static_argnames: str | Iterable[str] = (),
    concrete: Any = None,
) -> Callable[..., Any]:
    """`fun`, whose intermediate values are recomputed in the backward pass instead of stored.

    `policy` (see `checkpoint_policies`) decides which results are stored all the same. Arguments in `static_argnums` and `static_argnames` are
    passed as they are. In compiled programs a barrier keeps the compiler from finding that it has everything already (`prevent_cse`); in
    the body of a loop it can be left out. Values and derivatives are those of `fun`. `ad_checkpoint.print_saved_residuals` shows what is
    stored. Raises ValueError for static arguments that are not there, TypeError for arguments that are no arrays.

    >>> import pullback.numpy as jnp
    >>> from pullback.transforms.derivatives import grad
    >>> float(grad(checkpoint(lambda x: jnp.sin(jnp.sin(x))))(0.0))
    1.0
    """
    del concrete
    if not callable(fun):
        raise TypeError(f"checkpoint takes a function, got {fun!r}")
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)

    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        try:
            if not all(-len(args) <= p < len(args) for p in static):
                raise ValueError(
                    f"checkpoint: static_argnums {static} must number some of the {len(args)} positional arguments, at {user_line()}"
                )
            positions = {p % len(args) for p in static}
            dynamic = tuple(a for i, a in enumerate(args) if i not in positions)
            dynamic_kwargs = {k: v for k, v in kwargs.items() if k not in names}
            leaves, in_tree = tree_flatten((dynamic, dynamic_kwargs))
            arrays = []
            for x in leaves:
                try:
                    arrays.append(as_array(x))
                except TypeError:
                    raise leaf_error((dynamic, dynamic_kwargs), x, "checkpoint (use static_argnums for it)") from None
            out_trees: list[Any] = []

            def flat(*xs: Any) -> list[Any]:
                new_args, new_kwargs = in_tree.unflatten(list(xs))
                rest = iter(new_args)
                merged = [a if i in positions else next(rest) for i, a in enumerate(args)]
                out = fun(*merged, **new_kwargs, **{k: v for k, v in kwargs.items() if k in names})
                out_leaves, out_tree = tree_flatten(out)
                out_trees[:] = [out_tree]
                return [x if isinstance(x, Array) else as_array(x) for x in out_leaves]

            outs = checkpoint_p.call(flat, *arrays, policy=policy, prevent_cse=bool(np.any(prevent_cse)))
            return out_trees[0].unflatten(outs)
        except Exception as error:
            filter_traceback(error)
            raise

    checkpointed.__name__ = getattr(fun, "__name__", "checkpointed")
    checkpointed.__doc__ = fun.__doc__
    checkpointed.__wrapped__ = fun  # type: ignore[attr-defined]
    return checkpointed


# ---- names -----------------------------------------------------------------------------------------


class Name(LinearPrimitive):
    """The identity, marking a value with a name that policies can refer to."""

    name = "name"

    def type_of(self, x: ShapedArray, *, label: str) -> ShapedArray:
        return x

    def evaluate(self, x: Any, *, label: str) -> Any:
        return x

    def lower(self, emit: Any, x: Any, *, label: str) -> Any:
        return x

    def transpose(self, ct: Any, x: Any, *, label: str) -> Sequence[Any]:
        return [ct]

    def batch(self, size: int, args: Any, axes: Any, *, label: str) -> Any:
        return self.bind(args[0], label=label), axes[0]


name_p = Name()


def checkpoint_name(x: Any, name: str) -> Any:
    """`x` (a tree of arrays), its leaves marked with `name` for policies such as `save_only_these_names`.

    Everywhere else, it is `x`. Raises TypeError for a name that is no string.

    >>> float(checkpoint_name(2.0, "hidden"))
    2.0
    """
    if not isinstance(name, str):
        raise TypeError(f"checkpoint_name takes a string as the name, got {name!r:.100}, at {user_line()}")
    leaves, tree = tree_flatten(x)
    return tree.unflatten([name_p.bind(as_array(v), label=name) for v in leaves])
