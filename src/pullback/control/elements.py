"""Programs over a batch of which some elements do not come to them: these reach neither values nor
derivatives.

Over a batch of predicates a branch is computed for all elements, and a loop goes on for those that
have stopped; what that gives for elements that should not be there is not selected. Selecting does
not do for derivatives: the cotangent that such an element gets is zero, and zero times a derivative
that is infinite, or NaN, is NaN. So everything differentiable that enters the program passes
`stop_gradient_unless`, which is no operation to the compiler and whose derivative is a selection,
too: nothing comes back for such an element. What enters is `shared` by all elements or has a batch
axis. What is shared is made the elements' own where an elementwise operation combines it with
theirs, which repeats it anyway; a contraction of shared and own values (a matrix of weights) stays
one for all, and so the values of elements that are not there are zeros in it. In higher derivatives
the same holds of the derivatives' programs, which are made of these.

What cannot be computed for any values (it may not end, fail, or warn) is computed, for elements
that are not there, on the values of one that is: loops, decompositions, functions of the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.config import debug_infs, debug_nans
from pullback.core.jaxpr import ClosedJaxpr, JaxprEqn, Literal, bind_equation, eval_jaxpr, run, subjaxprs
from pullback.core.primitive import BilinearPrimitive, LinearPrimitive
from pullback.core.trace import EVAL, current, without_floating_point_errors
from pullback.core.types import ShapedArray
from pullback.lax.blocks import dynamic_index_in_dim
from pullback.lax.elementwise import div_p
from pullback.lax.family import Constant, Elementwise, mul_p
from pullback.lax.gradient import stop_gradient_p, stop_gradient_unless_p, where_flagged
from pullback.lax.reductions import argmax_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_in_dim_p
from pullback.transforms.call import CallPrimitive
from pullback.transforms.jit import JitCall
from pullback.transforms.lifting import Bundle, Kind, Outcome, kinds_of, leaves_of
from pullback.transforms.vmap import BatchTracer

if TYPE_CHECKING:
    from pullback.core.names import AxisName, Value

    #: The lifting of `vmap`: `transforms.vmap.Batch`.
    Batching = Any


def some_elements(how: Batching, closed: ClosedJaxpr, kinds: tuple[Kind, ...], lazily: bool) -> SomeElements:
    """`closed` over a batch, of which some elements come to it; `kinds` are the operands', which
    have the batch axis in front where they have one; `lazily` says that it is not run at all if
    none does."""
    found: SomeElements = closed.derived(
        ("some elements", how.key, kinds, lazily, *surroundings()), SomeElements, how, kinds, lazily, *surroundings()
    )
    return found


def surroundings() -> tuple[bool, bool]:
    """What the program depends on besides: whether there is a transformation around (else there are
    no derivatives), and whether every operation is looked at for NaNs."""
    return current() is not EVAL, debug_nans.value or debug_infs.value


class SomeElements:
    """See `some_elements`. `program` takes the operands and, if it is `guarded`, before them which
    elements there are. `substituted` says whether `substitute` is to be applied to the operands
    first.

    Example: the first branch, for the elements of a batch whose predicate is true.
    """

    __slots__ = ("program", "kinds", "account", "guarded", "substituted")

    def __init__(
        self,
        closed: ClosedJaxpr,
        how: Batching,
        kinds: tuple[Kind, ...],
        lazily: bool,
        derivatives: bool,
        watched: bool,
    ) -> None:
        apart = how.size > 0 and not communicates(closed, how.axis_name)
        self.guarded = apart and derivatives and not _is_affine(closed)
        self.substituted = apart and (watched or _is_partial(closed))
        self.account = None
        if not self.guarded:
            whole = how.program(closed, kinds)
            self.program, self.kinds = whole.program, whole.kinds
            return

        def over_elements(operands: list[Bundle]) -> list[Value]:
            _, outs = how.run(lambda present, *xs: _guarded(closed, present, xs, lazily), operands)
            self.kinds = kinds_of(outs)
            return leaves_of(outs)

        types = [ShapedArray((), dtypes.bool_), *closed.in_avals]
        self.program = how.over_bundles(over_elements, ((0, *kinds), types))

    def operands(self, present: Value, xs: Sequence[Bundle]) -> list[Value]:
        """What the program takes, for the operands `xs` of the elements of which those in `present`
        are there."""
        if self.substituted:
            values = [x.leaves[0] if x.kind is None else substitute(present, x.leaves[0]) for x in xs]
        else:
            values = leaves_of(xs)
        return [present, *values] if self.guarded else values

    def run(self, how: Batching, present: Bundle, xs: Sequence[Bundle]) -> Outcome:
        """Account and results for all elements, of which those that are not `present` may give
        anything."""
        (flags,) = present.leaves
        return how.outcome(self, run(self.program, *self.operands(flags, xs)))


def substitute(present: Value, x: Value) -> Value:
    """`x` with the values of the first element there is, in the place of those that are not."""
    row = stop_gradient_p.bind(dynamic_index_in_dim(x, argmax_p.bind(present, axes=(0,), index_dtype=dtypes.int32), 0))
    row = broadcast_in_dim_p.bind(row, shape=x.shape, broadcast_dimensions=tuple(range(x.ndim)))
    flags = broadcast_in_dim_p.bind(present, shape=x.shape, broadcast_dimensions=(0,))
    return select_n_p.bind(flags, row, x)


def _guarded(closed: ClosedJaxpr, present: Value, args: Sequence[Value], lazily: bool) -> list[Value]:
    """The results of a program for one element, which there is if `present`, under the trace that
    maps elements."""
    trace = current()

    def has_axis(x: Value) -> bool:
        return x.__class__ is BatchTracer and x._trace is trace

    def own(x: Value) -> Value:
        return stop_gradient_unless_p.bind(x, present) if dtypes.is_inexact(x.dtype) else x

    def program(closed: ClosedJaxpr, args: Sequence[Value], depends: Sequence[bool]) -> list[Value]:
        variables = {v for v, d in zip(closed.jaxpr.invars, depends) if d}

        def equation(e: JaxprEqn, xs: Sequence[Value]) -> Sequence[Value]:
            depends = [v.__class__ is not Literal and v in variables for v in e.invars]
            if True not in depends:
                return bind_equation(e, xs)
            variables.update(e.outvars)
            p = e.primitive
            if p.__class__ is JitCall:
                return program(e.params["jaxpr"], xs, depends)
            mapped = [has_axis(x) for x in xs]
            shared = [d and not m and dtypes.is_inexact(x.dtype) for x, d, m in zip(xs, depends, mapped)]
            if True not in shared:
                return bind_equation(e, xs)
            if isinstance(p, Elementwise):
                # A function of what is shared alone need not be repeated, unless nobody might be
                # there whose cotangent it gets.
                if lazily and True not in mapped:
                    return bind_equation(e, xs)
            elif True not in mapped:
                return bind_equation(e, xs)
            elif isinstance(p, BilinearPrimitive):
                xs = [where_flagged(present, x) if m else x for x, m in zip(xs, mapped)]
                return [own(bind_equation(e, xs)[0])]
            elif (isinstance(p, CallPrimitive) and p.is_closed) or p.is_linear(
                [s or (m and dtypes.is_inexact(x.dtype)) for s, m, x in zip(shared, mapped, xs)]
            ):
                return [own(x) for x in bind_equation(e, xs)]
            return bind_equation(e, [own(x) if s else x for x, s in zip(xs, shared)])

        return eval_jaxpr(closed.jaxpr, closed.consts, *args, apply=equation)

    return program(closed, [own(x) if has_axis(x) else x for x in args], [True] * len(args))


def communicates(closed: ClosedJaxpr, axis_name: AxisName) -> bool:
    """Whether elements learn of each other: then all take part with the values that they have."""
    return axis_name is not None and any(
        e.primitive.is_collective or any(communicates(p, axis_name) for p in subjaxprs(e.params)) for e in closed.eqns
    )


def _is_affine(closed: ClosedJaxpr) -> bool:
    """Whether the coefficients of a program's derivative are numbers that stand in it, and finite:
    zero times them is zero."""
    return all(map(_has_finite_coefficients, closed.eqns))


def _has_finite_coefficients(e: JaxprEqn) -> bool:
    p = e.primitive
    if p.__class__ is JitCall:
        return _is_affine(e.params["jaxpr"])
    if not any(dtypes.is_inexact(v.aval.dtype) for v in e.outvars):
        return True
    if isinstance(p, LinearPrimitive):
        return p.is_linear([dtypes.is_inexact(x.aval.dtype) for x in e.invars])
    if p is mul_p:
        return any(x.__class__ is Literal and np.isfinite(x.val._value).all() for x in e.invars)
    if p is div_p:
        divisor = e.invars[1]
        if divisor.__class__ is not Literal:
            return False
        inverse = without_floating_point_errors(np.divide, 1, divisor.val._value)
        return bool(np.isfinite(inverse).all())
    return isinstance(p, Elementwise) and all(c.__class__ is Constant for c in p.partials)


def _is_partial(closed: ClosedJaxpr) -> bool:
    """Whether a program may fail, warn or not end for values that it is not meant for."""
    return any(
        _is_partial(e.params["jaxpr"])
        if e.primitive.__class__ is JitCall
        else e.primitive.is_partial or isinstance(e.primitive, CallPrimitive)
        for e in closed.eqns
    )


__all__ = ["SomeElements", "communicates", "some_elements", "surroundings"]
