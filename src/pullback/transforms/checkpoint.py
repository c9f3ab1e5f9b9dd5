"""checkpoint (remat): store a function's inputs instead of its residuals, and recompute them when
the backward pass needs them.

The function is staged before anything is made of it, as `jit` does, so that it runs once: what it
closes over becomes an operand, and what is computed again is what was computed first. The call is
then one of a program (`transforms.program`), but for its linearization: the forward program gives
no residuals, the linear programs compute them again (`Recomputation`). Both are checkpointed calls
themselves, so derivatives of higher order store no more than the first.

A policy (`transforms.policies`) says which operations' results are stored all the same: the first
run collects them (`_Storing`), the second takes them instead of computing them (`_Taking`,
`Stored`). A scan whose steps have such operations, or a checkpointed function within, gives them
beside its results in the first run, and takes them in the second. Effects happen in the first run
only; the results of operations that have any are stored.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import as_array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.interning import intern, lift
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, run
from pullback.core.kept import kept_with
from pullback.core.linear import Node, zeros
from pullback.core.passes import drop_unused_consts, eliminate_dead_code, refuse_repeated_effects, without_effects
from pullback.core.primitive import Fusion, LinearPrimitive, Primitive
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, Through, Trace, current, under
from pullback.core.tree import arrays_of, tree_flatten
from pullback.core.types import ShapedArray, integers
from pullback.lax.creation import OptimizationBarrier
from pullback.lax.shape import batch_first, convert, strong
from pullback.transforms.call import Mask
from pullback.transforms.flat_function import FlatFunction
from pullback.transforms.linearize import linearize_flat
from pullback.transforms.policies import Policy, everything_saveable, nothing_saveable
from pullback.transforms.program import Linearization, ProgramCall, used_arguments
from pullback.transforms.vmap import batch_flat

if TYPE_CHECKING:
    from pullback.core.names import (
        Argument,
        Cotangent,
        Emitted,
        Function,
        NumPyValue,
        Operand,
        Param,
        Result,
        Tangent,
        Tree,
        Value,
        WithAxis,
        WithNodes,
        WithTangent,
    )
    from pullback.transforms.call import CallPrimitive
    from pullback.xla.stablehlo import Emitter

    #: The sizes and names of the mapped axes around a stored value, with where they lie.
    Mapped = Any

# ---- policies ------------------------------------------------------------------------------------


class _Asking(Through):
    """Asks the policy about each operation, those of inlined calls, of checkpointed functions and
    of a scan's steps included.

    What is stored is a flat list, in the order of the operations.

    Example: `dots_saveable` says yes to the product in `sin(a @ x)`.
    """

    __slots__ = ("policy", "saved")
    policy: Policy

    def is_stored(self, primitive: Primitive, args: Sequence[Operand], params: Params) -> bool:
        if primitive is stored_p or primitive is checkpoint_barrier_p or primitive.is_collective:
            return False
        return bool(
            primitive.effects_of(params) or self.policy(primitive, *(a.aval for a in map(as_array, args)), **params)
        )

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        body = call.step_program(params)
        if body is None:
            if isinstance(call, ProgramCall) and call.inlined is not None:
                return run(params["jaxpr"], *args)
            return super().process_call(call, args, params)
        storing: _StoringProgram = body.derived(("storing", self.policy), _StoringProgram, self.policy)
        return self.steps(call, args, params, body, storing)

    def steps(
        self, call: CallPrimitive, args: Sequence[Value], params: Params, body: ClosedJaxpr, storing: _StoringProgram
    ) -> Result:
        """The call, whose program `body` has a form that gives what is stored."""
        raise NotImplementedError(f"{type(self).__name__} must define steps")


class _Storing(_Asking):
    """Collects in `saved` what the policy stores.

    Example: of `sin(a @ x)` with `dots_saveable`, `saved` gets `a @ x`.
    """

    __slots__ = ()

    def __init__(self, parent: Trace, policy: Policy) -> None:
        self.parent, self.policy = parent, policy
        self.saved: list[Any] = []

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        out = super().process(primitive, args, params)
        if self.is_stored(primitive, args, params):
            self.saved.extend(out if primitive.multiple_results else [out])
        return out

    def steps(
        self, call: CallPrimitive, args: Sequence[Value], params: Params, body: ClosedJaxpr, storing: _StoringProgram
    ) -> Result:
        results = super(_Asking, self).process_call(call, args, params | {"jaxpr": storing.program})
        count = len(body.out_avals)
        self.saved += results[count:]
        return results[:count]


class _Taking(_Asking):
    """Takes from `saved` what the policy has stored.

    Example: the backward pass takes `a @ x`, and computes the sine again.
    """

    __slots__ = ()

    def __init__(self, parent: Trace, policy: Policy, saved: Sequence[Value]) -> None:
        self.parent, self.policy, self.saved = parent, policy, iter(saved)

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        if not self.is_stored(primitive, args, params):
            return super().process(primitive, args, params)
        count = 1
        if primitive.multiple_results:
            count = len(primitive.type_of(*(a.aval for a in map(as_array, args)), **params))
        values = list(islice(self.saved, count))
        if primitive.effects_of(params):  # nothing is done again, or differentiated
            return values if primitive.multiple_results else values[0]
        stored = {"primitive": primitive, "params": tuple(params.items()), "count": count, "mapped": ()}
        outs = super().process(stored_p, (*values, *args), stored)
        outs = [under(self.parent, convert, o, o.dtype, True) if v.weak_type else o for o, v in zip(outs, values)]
        return outs if primitive.multiple_results else outs[0]

    def steps(
        self, call: CallPrimitive, args: Sequence[Value], params: Params, body: ClosedJaxpr, storing: _StoringProgram
    ) -> Result:
        program = body.derived(("taking", self.policy), storing.taking)
        taken = islice(self.saved, len(storing.types))
        return super(_Asking, self).process_call(call, (*args, *taken), params | {"jaxpr": program})


class _StoringProgram:
    """A program with what the policy stores, of types `types`, after its results.

    Example: of `sin(a @ x)`: `(sin(a @ x), a @ x)`.
    """

    __slots__ = ("policy", "program", "types")

    def __init__(self, closed: ClosedJaxpr, policy: Policy) -> None:
        self.policy = policy

        def storing(*xs: Value) -> list[Value]:
            trace = _Storing(current(), policy)
            return [*under(trace, run, closed, *xs), *trace.saved]

        self.program = stage_flat(storing, closed.in_avals, current())
        self.types = self.program.out_avals[len(closed.out_avals) :]

    def taking(self, closed: ClosedJaxpr) -> ClosedJaxpr:
        """The program that takes what is stored after its own operands."""
        count = len(closed.in_avals)

        def taking(*xs: Value) -> list[Value]:
            return under(_Taking(current(), self.policy, xs[count:]), run, closed, *xs[:count])

        return stage_flat(taking, [*closed.in_avals, *self.types], current())


class Stored(Primitive):
    """The results of `primitive` with `params` (as pairs), which are there: the first `count`
    operands. The other operands are the primitive's own; the derivative is made of them. (Where it
    needs none of them, they may be anything: the results are never computed.)

    `mapped` has sizes and operands' axes of the batches around, the innermost first: all results
    have their axes in front.

    Example: `a @ x`, where it was stored: the product is not computed, but has its derivative.
    """

    name = "stored"
    multiple_results = True
    weakness = "never"
    forwards = True

    def type_of(self, *types: ShapedArray, count: int, **params: Param) -> list[ShapedArray]:
        return [ShapedArray(t.shape, t.dtype) for t in types[:count]]

    def evaluate(self, *values: NumPyValue, count: int, **params: Param) -> list[NumPyValue]:
        return list(values[:count])

    def lower(self, emit: Emitter, *operands: Emitted, count: int, **params: Param) -> list[Emitted]:
        return list(operands[:count])

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent], **params: Param) -> WithTangent:
        outs = [strong(x) for x in primals[: params["count"]]]
        if all(t is None for t in tangents[params["count"] :]):
            return outs, [None] * len(outs)
        return outs, self._tangents(outs, primals, tangents, **params)

    def _tangents(
        self, outs: list[Value], primals: Sequence[Value], tangents: Sequence[Tangent], primitive: Primitive, params: Param, count: int,
        mapped: Mapped
    ) -> Sequence[Value]:  # fmt: skip
        args, ts = primals[count:], tangents[count:]
        if not mapped:
            several = primitive.multiple_results
            trace = _Substitute(current(), primitive, args, dict(params), outs if several else outs[0])
            _, t_out = under(trace, partial(primitive.jvp, **trace.params), args, ts)
            return [None] * count if t_out is None else t_out if several else [t_out]
        *inner, (size, axes) = mapped
        found: list[Any] = []

        def of_one(*xs: Value) -> list[Value]:
            rest = iter(xs[len(primals) :])
            t_one = [None if t is None else next(rest) for t in tangents]
            found[:] = self._tangents(
                list(xs[:count]), xs[: len(primals)], t_one, primitive, params, count, tuple(inner)
            )
            return [t for t in found if t is not None]

        given = [(t, b) for t, b in zip(tangents, axes) if t is not None]
        flat, flat_axes = batch_flat(
            of_one, size, [*outs, *args, *(t for t, _ in given)], [*axes, *(b for _, b in given)], None
        )
        rest = iter([batch_first(t, b, size) for t, b in zip(flat, flat_axes)])
        return [None if t is None else next(rest) for t in found]

    def batch(
        self,
        size: int,
        args: Sequence[Value],
        axes: Sequence[int | None],
        *,
        count: int,
        mapped: Mapped,
        **params: Param,
    ) -> WithAxis:
        values = [batch_first(x, b, size) for x, b in zip(args[:count], axes)]
        axes = (*[0] * count, *axes[count:])
        outs = self.bind(*values, *args[count:], count=count, mapped=(*mapped, (size, axes)), **params)
        return outs, [0] * count


class _Substitute(Through):
    """The parent, except that the application of `primitive` with `params` to `args` gives the
    stored result. (A rule may apply it otherwise: that of a sort takes the positions along.)

    Example: the rule of `a @ x` asks for the product, and gets what was stored.
    """

    __slots__ = ("primitive", "args", "params", "value")

    def __init__(
        self, parent: Trace, primitive: Primitive, args: Sequence[Value], params: Params, value: Value
    ) -> None:
        self.parent, self.primitive, self.args, self.params, self.value = parent, primitive, args, params, value

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        if (
            primitive is self.primitive
            and len(args) == len(self.args)
            and all(map(operator.is_, args, self.args))
            and params == self.params
        ):
            return self.value
        return super().process(primitive, args, params)


stored_p = Stored()


class CheckpointBarrier(OptimizationBarrier):
    """The operands, behind a barrier like `lax.optimization_barrier`'s, but without those whose
    results nobody uses.

    Example: keeps a compiler from merging what is recomputed with what was there before.
    """

    name = "checkpoint_barrier"
    makes_nan = False
    separable = True


checkpoint_barrier_p = CheckpointBarrier()


def _behind_barrier(values: Sequence[Value]) -> list[Value]:
    outs = checkpoint_barrier_p.bind(*values)
    return [convert(y, y.dtype, True) if x.weak_type else y for x, y in zip(values, outs)]


# ---- the call ------------------------------------------------------------------------------------


class Recomputation:
    """A checkpointed program's derivative in the operands marked in `active`: a `Linearization`
    whose residuals are the operands, and what the policy stores (numbered in `passed` through
    operands, results and what `forward` gives beyond them). The linear programs compute the others
    again, without effects.

    In compiled programs a barrier (`prevent_cse`) holds that apart from the first computation, and
    back until there are the tangents or cotangents: or else the compiler would find that it has
    everything already, and keep it.

    Example: of `checkpoint(f)`: the residuals are f's arguments.
    """

    __slots__ = (
        "forward", "passed", "has_tangent", "_linearization", "_types", "_kept", "_active", "_prevent_cse", "_derived"
    )  # fmt: skip

    def __init__(self, closed: ClosedJaxpr, active: Mask, policy: Policy | None, prevent_cse: bool) -> None:
        self.forward, again = closed, closed
        if policy is not None or closed.effects:
            policy = policy or nothing_saveable
            storing: _StoringProgram = closed.derived(("storing", policy), _StoringProgram, policy)
            self.forward, again = storing.program, closed.derived(("taking", policy), storing.taking)
            refuse_repeated_effects(again, "checkpoint")
        outs, given = len(closed.out_avals), len(closed.in_avals)
        saved = len(again.in_avals) - given
        whole = (*active, *[False] * saved)
        self._linearization: Linearization = again.derived(("linearize", whole), Linearization, whole)
        self.has_tangent = self._linearization.has_tangent
        self._types, self._prevent_cse = again.in_avals, prevent_cse
        self._derived: dict[Any, tuple[ClosedJaxpr, Mask]] = {}
        self._active = active
        self._kept = list(range(len(self._types)))
        if saved:
            # What is made of stored values alone needs no operands, and not all that is stored is
            # needed.
            programs = [self.pushforward(active)[0], self.pullback(self.has_tangent)[0]]
            needed = [any(flags) for flags in zip(*(used_arguments(p)[: len(self._types)] for p in programs))]
            self._kept = [i for i in self._kept if needed[i]]
            self._derived.clear()
            wanted = [*range(outs), *(i - given + outs for i in self._kept if i >= given)]
            jaxpr = self.forward.jaxpr
            pruned = Jaxpr(jaxpr.constvars, jaxpr.invars, [jaxpr.outvars[i] for i in wanted], jaxpr.eqns)
            self.forward = drop_unused_consts(self.forward, eliminate_dead_code(pruned))
        operands = [i for i in self._kept if i < given]
        self.passed = [*operands, *range(given + outs, given + outs + len(self._kept) - len(operands))]

    def pushforward(self, nonzero: Mask) -> tuple[ClosedJaxpr, Mask]:
        """The program (residuals, tangents of the operands marked in `nonzero`) → tangents of the
        results that the mask marks."""
        return self._again("push", nonzero, self._active)

    def pullback(self, nonzero: Mask) -> tuple[ClosedJaxpr, Mask]:
        """The program (residuals, cotangents of the results marked in `nonzero`) → cotangents of
        the operands that the mask marks."""
        return self._again("pull", nonzero, self.has_tangent)

    def _again(self, kind: str, nonzero: Mask, most: Mask) -> tuple[ClosedJaxpr, Mask]:
        found = self._derived.get((kind, nonzero))
        if found is None:
            found = self._derived[kind, nonzero] = self._program(kind, nonzero, most)
        return found

    def _program(self, kind: str, nonzero: Mask, most: Mask) -> tuple[ClosedJaxpr, Mask]:
        linearization, types, kept = self._linearization, self._types, self._kept
        # Where something is not kept, that nobody needs it is known of the program for everything
        # that may be nonzero.
        given = most if len(kept) < len(types) else nonzero
        if kind == "push":
            padding = (False,) * (len(types) - len(self._active))
            linear, mask = linearization.pushforward((*given, *padding))
        else:
            linear, mask = linearization.pullback(given)
            mask = mask[: len(self._active)]
        linear_types = linear.in_avals[len(linearization.passed) :]
        present = [n for n, g in zip(nonzero, given) if g]

        def program(*xs: Value) -> list[Value]:
            behind = _behind_barrier(xs) if self._prevent_cse else xs
            operands: list[Any] = [zeros(t.shape, t.dtype) for t in types]
            for i, x in zip(kept, behind):
                operands[i] = x
            rest = iter(behind[len(kept) :])
            ends = [next(rest) if p else zeros(t.shape, t.dtype) for p, t in zip(present, linear_types)]
            every = [*operands, *run(linearization.forward, *operands)]
            return run(linear, *(every[i] for i in linearization.passed), *ends)

        inputs = [*(types[i] for i in kept), *(t for p, t in zip(present, linear_types) if p)]
        return without_effects(stage_flat(program, inputs, current())), mask


class CheckpointCall(ProgramCall):
    """`jaxpr`, to be recomputed in the backward pass except for what `policy` stores.

    Example: `checkpoint(f)(x)` binds it to x.
    """

    name = "checkpoint"

    def bind_program(self, program: ClosedJaxpr, args: Sequence[Value], params: Params, prefix: str) -> list[Value]:
        return current().process_call(self, tuple(args), {**params, "jaxpr": program})

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        return run(params["jaxpr"], *args)

    def step_program(self, params: Params) -> ClosedJaxpr:
        return params["jaxpr"]

    def linearization(self, params: Params, active: Mask) -> Recomputation:
        key = active, params["policy"], params["prevent_cse"]
        return params["jaxpr"].derived(("recompute", *key), Recomputation, *key)

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        if params["policy"] is everything_saveable:  # a function like any other
            return linearize_flat(partial(run, params["jaxpr"]), primals, nodes)
        return super().linearized(primals, nodes, params)


checkpoint_p = CheckpointCall()


def checkpoint(
    fun: Function,
    *,
    prevent_cse: bool | Sequence[bool] = True,
    policy: Policy | None = None,
    static_argnums: int | tuple[int, ...] = (),
    static_argnames: str | Iterable[str] = (),
    concrete: Argument = None,
) -> Function:
    """`fun`, whose intermediate values are recomputed in the backward pass instead of stored.

    The function is traced, as by `jit`, and so runs once: its control flow must not depend on
    values. `policy` (see `checkpoint_policies`) decides which results are stored all the same.
    Arguments in `static_argnums` and `static_argnames` are passed as they are. In compiled programs
    a barrier keeps the compiler from finding that it has everything already (`prevent_cse`); in the
    body of a loop it can be left out. Values and derivatives are those of `fun`.
    `ad_checkpoint.print_saved_residuals` shows what is stored.

    Raises ValueError for static arguments that are not there, TypeError for arguments that are no
    arrays, ConcretizationTypeError where the function asks for values.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> layers = lambda x: jnp.sin(jnp.sin(jnp.sin(x)))
    >>> x = jnp.zeros(1000)
    >>> [sum(r.nbytes for r in pb.ad_checkpoint.saved_residuals(f, x)) for f in (layers, checkpoint(layers))]
    [12000, 4000]
    >>> float(pb.grad(lambda x: checkpoint(layers)(x).sum())(x)[0])
    1.0
    """
    if not callable(fun):
        raise TypeError(f"checkpoint takes a function, got {fun!r:.100}, at {user_line()}")
    if concrete:
        raise NotImplementedError(
            f"checkpoint: `concrete` is not supported, at {user_line()}: say with static_argnums what the function's control flow is about"
        )
    static = integers(static_argnums, "checkpoint: static_argnums")
    names = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)

    name = getattr(fun, "__name__", type(fun).__name__)

    prevents_cse, what = bool(np.any(prevent_cse)), "checkpoint (use static_argnums for it)"

    def argument(i: int) -> str:
        return f"argument {i} of checkpointed {name}"

    def checkpointed(*args: Tree, **kwargs: Tree) -> Tree:
        from pullback.transforms.bodies import Body, Called, stage  # loaded when first needed

        try:
            if static or names or _is_met_first(fun):
                if not all(-len(args) <= p < len(args) for p in static):
                    raise ValueError(
                        f"checkpoint: static_argnums {static} must number some of the {len(args)} positional arguments, at {user_line()}"
                    )
                positions = {p % len(args) for p in static}
                flat = FlatFunction(fun, args, kwargs, f"checkpointed {name}", positions, names)
                arrays = flat.arrays(what)
                program, captured = lift(stage_flat(flat, [x._type for x in arrays], name_of=argument))
                body = Body(intern(program), captured, flat.out_tree)
            else:
                # A function that comes again is traced once for its types, as long as what it reads
                # stays the same. To find out what it reads takes longer than to trace it once.
                arrays, in_tree = arrays_of((args, kwargs), what)
                body = stage(Called(fun), in_tree, [x._type for x in arrays], f"checkpointed {name}", argument)
            params = {"jaxpr": body.program, "policy": policy, "prevent_cse": prevents_cse}
            return body.out_tree.unflatten(checkpoint_p.bind(*body.captured, *arrays, **params))
        except Exception as error:
            filter_traceback(error)
            raise

    checkpointed.__name__ = name
    checkpointed.__doc__ = fun.__doc__
    checkpointed.__wrapped__ = fun  # type: ignore[attr-defined]
    return checkpointed


def _is_met_first(fun: Function) -> bool:
    """Whether a function is met for the first time: it may have been made for this one call."""
    table = kept_with(fun)
    met = "checkpointed" in table
    table["checkpointed"] = True
    return not met


# ---- names ---------------------------------------------------------------------------------------


class Name(LinearPrimitive):
    """The identity, marking a value with a name that policies can refer to.

    >>> import pullback as pb
    >>> f = lambda x: checkpoint_name(pb.numpy.sin(x), "hidden")
    >>> pb.make_jaxpr(f)(1.0).eqns[1].primitive is name_p
    True
    """

    name = "name"
    fusion, operations = Fusion.ELEMENTWISE, 1
    makes_nan = False

    def type_of(self, x: ShapedArray, *, label: str) -> ShapedArray:
        return x

    def evaluate(self, x: NumPyValue, *, label: str) -> NumPyValue:
        return x

    def lower(self, emit: Emitter, x: Emitted, *, label: str) -> Emitted | Sequence[Emitted]:
        return x

    def transpose(self, ct: Cotangent, x: Node | Value, *, label: str) -> Sequence[Cotangent]:
        return [ct]

    def batch(self, size: int, args: Sequence[Value], axes: Sequence[int | None], *, label: str) -> WithAxis:
        return self.bind(args[0], label=label), axes[0]


name_p = Name()


def checkpoint_name(x: Tree, name: str) -> Tree:
    """`x` (a tree of arrays), its leaves marked with `name` for policies such as
    `save_only_these_names`.

    Everywhere else, it is `x`. Raises TypeError for a name that is no string.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def f(x, w):
    ...     return jnp.tanh(checkpoint_name(jnp.sin(x @ w), "hidden"))
    >>> policy = pb.checkpoint_policies.save_only_these_names("hidden")
    >>> x, w = jnp.ones((8, 4)), jnp.ones((4, 4))
    >>> [r.aval.shape for r in pb.ad_checkpoint.saved_residuals(pb.checkpoint(f, policy=policy), x, w)]
    [(8, 4), (4, 4), (8, 4)]
    """
    if not isinstance(name, str):
        raise TypeError(f"checkpoint_name takes a string as the name, got {name!r:.100}, at {user_line()}")
    leaves, tree = tree_flatten(x)
    return tree.unflatten([name_p.bind(as_array(v), label=name) for v in leaves])
