"""checkpoint (remat): store a function's inputs instead of its residuals, and recompute them when the backward pass needs them.

Under linearization the function runs once without being recorded; its node keeps the inputs, and pull runs the function again, recorded,
at the moment its cotangent arrives. A policy (`transforms.policies`) says which operations' results are stored all the same: the first run
collects them (`_Storing`), the second takes them instead of computing them (`_Taking`, `Stored`). A scan whose steps have such operations
stacks their results in the first run, and takes them, step by step, in the second.

Three things stand on the same few traces. Values of the enclosing trace that the function closes over are inputs, too: all runs treat that
trace's tracers as their own (`_Adopting`). A checkpoint within a checkpoint is one in the second run, too. The backward pass is a
checkpointed function of inputs and cotangents itself, so derivatives of higher order store no more than the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import Cotangents, Input, Node, Tangents, is_unit, next_id, project, push_nodes, reachable
from pullback.core.primitive import LinearPrimitive, Primitive
from pullback.core.stage import is_staging, stage_flat
from pullback.core.trace import Params, Through, Trace, Tracer, current, using
from pullback.core.tree import arrays_of, tree_flatten, tree_leaves, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import OptimizationBarrier
from pullback.lax.shape import batch_first, convert, strong
from pullback.transforms.call import CallPrimitive, Flat, is_active
from pullback.transforms.jvp import JVPTrace, JVPTracer
from pullback.transforms.linearize import LinearizeTrace, LinearizeTracer
from pullback.transforms.policies import Policy, everything_saveable
from pullback.transforms.program import ProgramCall, run
from pullback.transforms.vmap import BatchTrace, BatchTracer

# ---- traces for the runs of the function ------------------------------------------------------------------------


class _Adopting(Trace):
    """Mixin: a trace to which the tracers of `alias` are its own, so that what the function closes over is treated like arguments."""

    __slots__ = ()
    alias: Trace

    def own(self, x: Any) -> Any:
        """What a tracer of `alias` is to this trace."""
        raise NotImplementedError(f"{type(self).__name__} must define own")

    def adopt(self, x: Any) -> Any:
        if isinstance(self.alias, _Adopting):
            x = self.alias.adopt(x)
        return self.own(x) if isinstance(x, Tracer) and x._trace is self.alias else x

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        return super().process(primitive, tuple(map(self.adopt, args)), params)

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        return super().process_call(call, tuple(map(self.adopt, args)), params)


class _Pushing(_Adopting, JVPTrace):
    """Forward mode."""

    __slots__ = ("alias",)

    def __init__(self, parent: Trace, alias: JVPTrace) -> None:
        super().__init__(parent)
        self.alias = alias

    def own(self, x: JVPTracer) -> Any:
        return JVPTracer(self, x.primal, x.tangent)


class _Mapping(_Adopting, BatchTrace):
    """Vectorization."""

    __slots__ = ("alias",)

    def __init__(self, parent: Trace, alias: BatchTrace) -> None:
        super().__init__(parent, alias.size, alias.axis_name)
        self.alias = alias

    def own(self, x: BatchTracer) -> Any:
        return BatchTracer(self, x.value, x.axis)


class _Evaluating(_Adopting, Through):
    """The first run, on primal values. Notes which tracers of `alias` it meets."""

    __slots__ = ("alias", "captured")

    def __init__(self, parent: Trace, alias: Trace, captured: dict[int, LinearizeTracer]) -> None:
        self.parent, self.alias, self.captured = parent, alias, captured

    def own(self, x: LinearizeTracer) -> Any:
        self.captured[x.node.id] = x
        return x.primal

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        if isinstance(call, CheckpointCall):
            fun = params["fun"]

            def evaluated(*xs: Any) -> list[Any]:
                trace = _Evaluating(current(), self.alias, self.captured)
                return [trace.adopt(o) for o in _under(trace, fun, xs)]

            params = params | {"fun": evaluated}
        return super().process_call(call, args, params)


class _Recording(_Adopting, LinearizeTrace):
    """The second run. `inputs` has what it takes for the tracers of `alias`, by the numbers of their nodes."""

    __slots__ = ("alias", "inputs")

    def __init__(self, parent: Trace, alias: Trace) -> None:
        self.parent, self.alias = parent, alias
        self.inputs: dict[int, LinearizeTracer] = {}

    def own(self, x: LinearizeTracer) -> Any:
        return self.inputs[x.node.id]


def _under(trace: Trace, fun: Flat, args: Sequence[Any]) -> Sequence[Any]:
    """`fun(*args)` under a trace."""
    with using(trace):
        return fun(*args)


# ---- policies ---------------------------------------------------------------------------------------------------


class _Asking(Through):
    """Asks the policy about each operation, those of inlined calls, of checkpointed functions and of a scan's steps included.

    What is stored is a list, in the order of the operations, with a list in the place of each checkpointed function and each scan.
    """

    __slots__ = ("policy",)
    policy: Policy

    def is_stored(self, primitive: Any, args: Sequence[Any], params: Params) -> bool:
        if primitive is stored_p or primitive is checkpoint_barrier_p:
            return False
        return bool(self.policy(primitive, *(a.aval for a in map(as_array, args)), **params))

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        if isinstance(call, CheckpointCall):
            return self.checkpointed(call, args, params)
        if isinstance(call, ProgramCall) and call.inlined is not None:
            return run(params["jaxpr"], *args)
        body = call.step_program(params)
        if body is None:
            return super().process_call(call, args, params)
        storing: _StoringProgram = body.derived(("storing", self.policy), _StoringProgram, self.policy)
        return self.steps(call, args, params, body, storing)

    def checkpointed(self, call: CheckpointCall, args: tuple[Any, ...], params: Params) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define checkpointed")

    def steps(
        self, call: Any, args: tuple[Any, ...], params: Params, body: ClosedJaxpr, storing: _StoringProgram
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define steps")


class _Storing(_Asking):
    """Collects in `saved` what the policy stores."""

    __slots__ = ("saved",)

    def __init__(self, parent: Trace, policy: Policy) -> None:
        self.parent, self.policy = parent, policy
        self.saved: list[Any] = []

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        out = super().process(primitive, args, params)
        if self.is_stored(primitive, args, params):
            self.saved.extend(out if primitive.multiple_results else [out])
        return out

    def checkpointed(self, call: CheckpointCall, args: tuple[Any, ...], params: Params) -> Any:
        found: list[Any] = []

        def storing(*xs: Any) -> list[Any]:
            trace = _Storing(current(), self.policy)
            outs = _under(trace, params["fun"], xs)
            leaves, tree = tree_flatten(trace.saved)
            found[:] = len(outs), tree
            return [*outs, *leaves]

        results = super(_Asking, self).process_call(call, args, params | {"fun": storing})
        count, tree = found
        self.saved.append(tree_unflatten(tree, results[count:]))
        return results[:count]

    def steps(
        self, call: Any, args: tuple[Any, ...], params: Params, body: ClosedJaxpr, storing: _StoringProgram
    ) -> Any:
        results = super(_Asking, self).process_call(call, args, params | {"jaxpr": storing.program})
        count = len(body.out_avals)
        self.saved.append(results[count:])
        return results[:count]


class _Taking(_Asking):
    """Takes from `saved` what the policy has stored."""

    __slots__ = ("saved",)

    def __init__(self, parent: Trace, policy: Policy, saved: Sequence[Any]) -> None:
        self.parent, self.policy, self.saved = parent, policy, iter(saved)

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        if not self.is_stored(primitive, args, params):
            return super().process(primitive, args, params)
        count = 1
        if primitive.multiple_results:
            count = len(primitive.type_of(*(a.aval for a in map(as_array, args)), **params))
        values = list(islice(self.saved, count))
        stored = {"primitive": primitive, "params": tuple(params.items()), "count": count}
        outs = super().process(stored_p, (*values, *args), stored)
        with using(self.parent):
            outs = [convert(o, o.dtype, True) if v.weak_type else o for o, v in zip(outs, values)]
        return outs if primitive.multiple_results else outs[0]

    def checkpointed(self, call: CheckpointCall, args: tuple[Any, ...], params: Params) -> Any:
        leaves, tree = tree_flatten(next(self.saved))
        count = len(args)

        def taking(*xs: Any) -> Sequence[Any]:
            return _under(_Taking(current(), self.policy, tree_unflatten(tree, xs[count:])), params["fun"], xs[:count])

        return super(_Asking, self).process_call(call, (*args, *leaves), params | {"fun": taking})

    def steps(
        self, call: Any, args: tuple[Any, ...], params: Params, body: ClosedJaxpr, storing: _StoringProgram
    ) -> Any:
        program = body.derived(("taking", self.policy), storing.taking)
        return super(_Asking, self).process_call(call, (*args, *next(self.saved)), params | {"jaxpr": program})


class _StoringProgram:
    """A program with what the policy stores after its results, a tree of structure `tree`."""

    __slots__ = ("policy", "program", "tree", "types")

    def __init__(self, closed: ClosedJaxpr, policy: Policy) -> None:
        self.policy = policy

        def storing(*xs: Any) -> list[Any]:
            trace = _Storing(current(), policy)
            with using(trace):
                outs = run(closed, *xs)
            leaves, self.tree = tree_flatten(trace.saved)
            return [*outs, *leaves]

        self.program = stage_flat(storing, closed.in_avals, current())
        self.types = self.program.out_avals[len(closed.out_avals) :]

    def taking(self, closed: ClosedJaxpr) -> ClosedJaxpr:
        """The program that takes what is stored after its own operands."""
        count = len(closed.in_avals)

        def taking(*xs: Any) -> list[Any]:
            with using(_Taking(current(), self.policy, tree_unflatten(self.tree, list(xs[count:])))):
                return run(closed, *xs[:count])

        return stage_flat(taking, [*closed.in_avals, *self.types], current())


class Stored(Primitive):
    """The results of `primitive` with `params` (as pairs), which are there: the first `count` operands. The other operands are the
    primitive's own; the derivative is made of them."""

    name = "stored"
    multiple_results = True
    weakness = "never"
    forwards = True

    def type_of(self, *types: ShapedArray, primitive: Any, params: Any, count: int) -> list[ShapedArray]:
        return [ShapedArray(t.shape, t.dtype) for t in types[:count]]

    def evaluate(self, *values: Any, primitive: Any, params: Any, count: int) -> list[Any]:
        return list(values[:count])

    def lower(self, emit: Any, *operands: Any, primitive: Any, params: Any, count: int) -> list[Any]:
        return list(operands[:count])

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, primitive: Any, params: Any, count: int) -> Any:
        args, ts = primals[count:], tangents[count:]
        outs = [strong(x) for x in primals[:count]]
        if all(t is None for t in ts):
            return outs, [None] * count
        several = primitive.multiple_results
        with using(_Substitute(current(), primitive, outs if several else outs[0])):
            _, t_out = primitive.jvp(args, ts, **dict(params))
        return outs, (t_out if several and t_out is not None else [t_out] * count)

    def batch(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, primitive: Any, params: Any, count: int
    ) -> Any:
        # The result's axes are the primitive's, which only it knows: it is applied again.
        out, axis = primitive.batch(size, args[count:], axes[count:], **dict(params))
        return (out, axis) if primitive.multiple_results else ([out], [axis])


class _Substitute(Through):
    """The parent, except that the next application of `primitive` gives the stored result."""

    __slots__ = ("primitive", "value", "used")

    def __init__(self, parent: Trace, primitive: Any, value: Any) -> None:
        self.parent, self.primitive, self.value, self.used = parent, primitive, value, False

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        if primitive is self.primitive and not self.used:
            self.used = True
            return self.value
        return super().process(primitive, args, params)


stored_p = Stored()


class CheckpointBarrier(OptimizationBarrier):
    """The operands, behind a barrier like `lax.optimization_barrier`'s, but without those whose results nobody uses."""

    name = "checkpoint_barrier"
    separable = True


checkpoint_barrier_p = CheckpointBarrier()


def _behind_barrier(values: Sequence[Any]) -> list[Any]:
    outs = checkpoint_barrier_p.bind(*values)
    return [convert(y, y.dtype, True) if x.weak_type else y for x, y in zip(values, outs)]


# ---- the call ---------------------------------------------------------------------------------------------------


class CheckpointNode(Node):
    """The linear action of a checkpointed function: it holds inputs, and what the policy stores, and recomputes.

    `params` are the call's without its function; `captured` are the tracers of `trace` that the function closes over.
    """

    several = True

    __slots__ = ("fun", "params", "primals", "nodes", "captured", "saved", "trace", "out_types")

    def __init__(
        self, fun: Flat, params: Params, primals: Sequence[Any], nodes: Sequence[Node | None], captured: Sequence[LinearizeTracer],
        saved: list[Any], trace: Trace, out_types: Sequence[ShapedArray],
    ) -> None:  # fmt: skip
        self.id, self.shape, self.dtype = next_id(), (), np.dtype(bool)
        self.fun, self.params, self.primals, self.nodes = fun, params, primals, nodes
        self.captured, self.saved, self.trace, self.out_types = captured, saved, trace, out_types

    @property
    def may_hold_more(self) -> bool:
        """What a policy stores is needed if an operation that is recorded needs it; with it, inputs may not be."""
        return self.params["policy"] is not None

    def parents(self) -> Iterable[Node]:
        return [n for n in (*self.nodes, *(c.node for c in self.captured)) if n is not None]

    def distinct(self) -> list[Node]:
        """The parents, each once."""
        return list({n.id: n for n in self.parents()}.values())

    def divided(self, residuals: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], list[Any]]:
        """(inputs, values of `captured`, what is stored)."""
        n, m = len(self.primals), len(self.captured)
        saved: list[Any] = tree_unflatten(tree_flatten(self.saved)[1], list(residuals[n + m :]))
        return residuals[:n], residuals[n : n + m], saved

    def residuals(self) -> Sequence[Any]:
        return [*self.primals, *(c.primal for c in self.captured), *tree_leaves(self.saved)]

    def rebuild(self, residuals: Sequence[Any], parents: dict[int, Node]) -> Node:
        nodes = [None if n is None else parents[n.id] for n in self.nodes]
        primals, held, saved = self.divided(residuals)
        captured = [LinearizeTracer(c._trace, x, parents[c.node.id]) for c, x in zip(self.captured, held)]
        return CheckpointNode(self.fun, self.params, primals, nodes, captured, saved, self.trace, self.out_types)

    def structure(self, numbering: dict[int, int]) -> Any:
        return ("checkpoint", id(self.fun), tuple(numbering[n.id] for n in self.parents()), tuple(self.out_types))

    # ---- the second run -----------------------------------------------------------------------------------------

    def recorded(self, residuals: Sequence[Any]) -> tuple[dict[int, Input], list[Node | None]]:
        """Run the function recorded: an Input for each parent's id, and the nodes of the results."""
        primals, held, saved = self.divided(residuals)
        inputs = {node.id: Input(node.shape, node.dtype) for node in self.parents()}
        recording = _Recording(current(), self.trace)
        for c, x in zip(self.captured, held):
            recording.inputs[c.node.id] = LinearizeTracer(recording, x, inputs[c.node.id])
        args = [recording.wrap(x, None if n is None else inputs[n.id]) for x, n in zip(primals, self.nodes)]
        policy = self.params["policy"]
        trace = recording if policy is None else _Taking(recording, policy, saved)
        outs = [recording.adopt(o) for o in _under(trace, self.fun, args)]
        return inputs, [recording.unwrap(o)[1] for o in outs]

    def again(self, apply: Callable[..., list[Any]], values: Sequence[Any]) -> list[Any]:
        """`apply(inputs, nodes of the results, values)` of a second run, checkpointed like the first. Results may be None.

        In a program that is being staged, a barrier holds the recomputation apart from the first computation, and back until there are
        the values: or else the compiler would find that it has everything already, and keep it.
        """
        residuals = self.residuals()
        every = [*residuals, *values]
        # What the first run knew the second run knows.
        moving = [i for i, x in enumerate(every) if not (is_staging() and x.__class__ is ConcreteArray)]
        has: list[bool] = []

        def flat(*xs: Any) -> list[Any]:
            behind = _behind_barrier(xs) if self.params["prevent_cse"] and is_staging() else xs
            now = list(every)
            for i, x in zip(moving, behind):
                now[i] = x
            results = apply(*self.recorded(now[: len(residuals)]), now[len(residuals) :])
            has[:] = [r is not None for r in results]
            return [r for r in results if r is not None]

        results = iter(checkpoint_p.call(flat, *(every[i] for i in moving), **self.params))
        return [next(results) if h else None for h in has]

    def push(self, tangents: Tangents) -> Any:
        active = [n for n in self.distinct() if n.id in tangents]

        def pushed(inputs: dict[int, Input], outs: list[Node | None], ts: Sequence[Any]) -> list[Any]:
            inner: Tangents = {inputs[n.id].id: t for n, t in zip(active, ts)}
            push_nodes(reachable(outs), inner)
            return [None if o is None else inner.get(o.id) for o in outs]

        return self.again(pushed, [tangents[n.id] for n in active])

    def pull(self, ct: Any, cotangents: Cotangents) -> None:
        parents, given = self.distinct(), [c is not None for c in ct]
        # A unit is recognized and not multiplied by, and both runs must see the same operations.
        cts = [ConcreteArray(c._value, c.weak_type) if is_unit(c) else c for c in ct if c is not None]

        def pulled(inputs: dict[int, Input], outs: list[Node | None], xs: Sequence[Any]) -> list[Any]:
            inner, rest = Cotangents(), iter(xs)
            for node, has in zip(outs, given):
                c = next(rest) if has else None
                if node is not None and c is not None:
                    inner.add(node, c)
            node = None
            outs.clear()  # the pass frees each node when it has been used
            inner.pull()
            return [inner.get(inputs[n.id]) for n in parents]

        for parent, found in zip(parents, self.again(pulled, cts)):
            if found is not None:
                cotangents.add(parent, found)


class CheckpointCall(CallPrimitive):
    """`fun`, to be recomputed in the backward pass except for what `policy` stores."""

    name = "checkpoint"
    captures_are_arguments = True

    def jvp_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        has_tangent: list[bool] = []

        def pushed(*xs: Any) -> list[Any]:
            inner = _Pushing(current(), trace)
            ts = iter(xs[len(args) :])
            duals = [inner.wrap(x, None if t is None else next(ts)) for x, (_, t) in zip(xs, pairs)]
            results = [inner.unwrap(inner.adopt(o)) for o in _under(inner, params["fun"], duals)]
            has_tangent[:] = [t is not None for _, t in results]
            return [*(p for p, _ in results), *(t for _, t in results if t is not None)]

        with using(trace.parent):
            flat = [*(p for p, _ in pairs), *(t for _, t in pairs if t is not None)]
            both = trace.parent.process_call(self, flat, {**params, "fun": pushed})
        outs, ts = both[: len(has_tangent)], iter(both[len(has_tangent) :])
        return [trace.wrap(o, next(ts) if has else None) for o, has in zip(outs, has_tangent)]

    def batch_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        pairs = [trace.unwrap(a) for a in args]
        out_axes: list[int | None] = []

        def mapped(*xs: Any) -> list[Any]:
            inner = _Mapping(current(), trace)
            outs = _under(inner, params["fun"], [inner.wrap(x, b) for x, (_, b) in zip(xs, pairs)])
            results = [inner.unwrap(inner.adopt(o)) for o in outs]
            out_axes[:] = [None if b is None else 0 for _, b in results]
            return [o if b is None else batch_first(o, b, trace.size) for o, b in results]

        with using(trace.parent):
            outs = trace.parent.process_call(self, [v for v, _ in pairs], {**params, "fun": mapped})
        return [trace.wrap(o, b) for o, b in zip(outs, out_axes)]

    def linearize_call(self, trace: Any, args: Sequence[Any], params: Params) -> Any:
        fun, policy = params["fun"], params["policy"]
        if policy is everything_saveable:  # a function like any other
            return list(_under(trace, fun, args))
        pairs = [trace.unwrap(a) for a in args]
        primals, nodes = [p for p, _ in pairs], [n for _, n in pairs]
        evaluating = _Evaluating(trace.parent, trace, {})
        storing = None if policy is None else _Storing(evaluating, policy)
        outs = [evaluating.adopt(o) for o in _under(storing or evaluating, fun, primals)]
        captured = list(evaluating.captured.values())
        if not is_active(nodes) and not captured:
            return outs
        types = [o.aval for o in map(as_array, outs)]
        own = {k: v for k, v in params.items() if k != "fun"}
        node = CheckpointNode(fun, own, primals, nodes, captured, storing.saved if storing else [], trace, types)
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
    if not callable(fun):
        raise TypeError(f"checkpoint takes a function, got {fun!r:.100}, at {user_line()}")
    if concrete:
        raise NotImplementedError(
            f"checkpoint: `concrete` is not supported, at {user_line()}: say with static_argnums what the function's control flow is about"
        )
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
            arrays, in_tree = arrays_of((dynamic, dynamic_kwargs), "checkpoint (use static_argnums for it)")
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
