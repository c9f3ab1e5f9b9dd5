"""linear_call: a linear function with a transpose of the caller's choice.

The operation has operands (residuals, linear operands) and two programs, each the transpose of the
other. Transposed, it is itself with the programs exchanged, in every mode: the transpose of the
transpose is the function again. In the residuals it is differentiated as what it computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pullback.control.base import instantiate
from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Var, run
from pullback.core.linear import LinearTrace, LinearTracer, Node
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current, set_current
from pullback.core.tree import arrays_of, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.lax.shape import batch_first
from pullback.transforms.bodies import stage
from pullback.transforms.call import ClosedCall, LinearStep, OwnDerivative, results_of, sum_unbatched
from pullback.transforms.jvp import jvp_flat
from pullback.transforms.lifting import Bundle, Lifting, Outcome, kinds_of, leaves_of
from pullback.transforms.vmap import Batch, batch_flat, mapped, with_axis

if TYPE_CHECKING:
    from pullback.core.names import (
        AxisName,
        Cotangent,
        Function,
        Param,
        Residual,
        ResultNode,
        Tangent,
        Tree,
        Value,
        WithTangents,
    )


class LinearCall(ClosedCall, OwnDerivative):
    """See the module's text. `count` is the number of residuals.

    Example: `linear_call(f, f_transpose, residuals, x)` binds it.
    """

    name = "linear_call"
    inlined = "jaxpr"

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        return params["jaxpr"].out_avals

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        trace = current()
        if trace.__class__ is not LinearTrace:
            return run(params["jaxpr"], *args)
        n = params["count"]
        nodes = [a.node if a.__class__ is LinearTracer and a._trace is trace else None for a in args]
        if any(x is not None for x in nodes[:n]):  # linear in the residuals: as what it computes
            return run(params["jaxpr"], *args)
        try:
            set_current(trace.parent)
            found = self._nodes(args[:n], args[n:], nodes[n:], params)
        finally:
            set_current(trace)
        return [LinearTracer(trace, x) for x in found]

    def _nodes(
        self, residuals: Sequence[Residual], linear: Sequence[Value], nodes: Sequence[Node | None], params: Params
    ) -> list[ResultNode]:
        """The results' tangents, for the tangents of the linear operands."""
        count, types = len(residuals), params["jaxpr"].out_avals
        exchanged = {"jaxpr": params["transposed"], "transposed": params["jaxpr"], "count": count}

        def push(values: Sequence[Value], ts: Sequence[Tangent]) -> list[Tangent]:
            return self.bind(*values, *map(instantiate, ts, linear_types), **params)

        def pull(values: Sequence[Value], cts: Sequence[Cotangent]) -> list[Cotangent]:
            return self.bind(*values, *map(instantiate, cts, types), **exchanged)

        linear_types = [ShapedArray(x.shape, x.dtype) for x in linear]
        key = (params["jaxpr"], params["transposed"])
        node = LinearStep(self.name, residuals, nodes, push, pull, key)
        return results_of(node, types, (True,) * len(types))

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        n = params["count"]
        outs = self.bind(*primals, **params)
        total: list[Any] = [None] * len(outs)
        if any(t is not None for t in tangents[n:]):
            total = self.bind(*primals[:n], *map(instantiate, tangents[n:], primals[n:]), **params)
        if any(t is not None for t in tangents[:n]):
            only = [*tangents[:n], *[None] * (len(primals) - n)]
            _, ts = jvp_flat(lambda *xs: run(params["jaxpr"], *xs), primals, only)
            total = [b if a is None else a if b is None else a + b for a, b in zip(total, ts)]
        return outs, total

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        """Of liftings that leave values alone, and may have an account, on which the transpose does
        not depend."""
        found = how.program(params["jaxpr"], kinds_of(operands))
        count, types = params["count"], found.account_types
        transposed = params["transposed"]
        if types:
            transposed = _with_unused(transposed, count, [t.to_tangent_aval() for t in types])
        outs = self.bind(*leaves_of(operands), jaxpr=found.program, transposed=transposed, count=count)
        return how.outcome(found, outs)


@Batch.rules.of(LinearCall)
def _over_batch(how: Batch, call: LinearCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    key = (params["transposed"], params["count"], how.size, kinds_of(operands), how.axis_name)
    programs = params["jaxpr"].derived(("linear call over a batch", *key), _batched, *key)
    outs = call.bind(*leaves_of(operands), jaxpr=programs[0], transposed=programs[1], count=params["count"])
    return None, [mapped(o, 0) for o in outs]


linear_call_p = LinearCall()


def _batched(
    closed: ClosedJaxpr, transposed: ClosedJaxpr, count: int, size: int, axes: Sequence[int | None], axis_name: AxisName
) -> tuple[ClosedJaxpr, ClosedJaxpr]:
    def forward(*xs: Value) -> list[Value]:
        outs, out_axes = batch_flat(lambda *xs: run(closed, *xs), size, xs, axes, axis_name)
        return [batch_first(o, b, size) for o, b in zip(outs, out_axes)]

    def backward(*xs: Value) -> list[Value]:
        in_axes = [*axes[:count], *[0] * (len(xs) - count)]
        cts, ct_axes = batch_flat(lambda *xs: run(transposed, *xs), size, xs, in_axes, axis_name)
        return sum_unbatched(cts, ct_axes, axes[count:], size)

    types = [with_axis(t, b, size) for t, b in zip(closed.in_avals, axes)]
    cts = [with_axis(t, 0, size) for t in transposed.in_avals[count:]]
    return stage_flat(forward, types, current()), stage_flat(backward, [*types[:count], *cts], current())


def linear_call(fun: Function, fun_transpose: Function, residual_args: Tree, linear_args: Tree) -> Tree:
    """`fun(residual_args, linear_args)`, linear in the latter, with a transpose of the caller's
    choice.

    `fun_transpose(residual_args, ct)` is its transpose, and used wherever `fun` is transposed: in
    reverse mode, by `linear_transpose`, compiled and over batches; it gives what has the structure
    and types of `linear_args` (TypeError). In `residual_args` the derivative is that of `fun`.

    >>> from pullback.transforms.linearize import linear_transpose
    >>> linear_transpose(lambda x: linear_call(lambda r, x: r * x, lambda r, ct: r * ct, 2.0, x), 1.0)(3.0)
    (Array(6., dtype=float32, weak_type=True),)
    """
    residuals, residual_tree = arrays_of(residual_args, "the residuals of linear_call")
    linear, linear_tree = arrays_of(linear_args, "the linear arguments of linear_call")
    both = tree_structure((tree_unflatten(residual_tree, residuals), tree_unflatten(linear_tree, linear)))
    types = [x.aval for x in residuals]
    body = stage(fun, both, [*types, *(x.aval for x in linear)], "linear_call")
    outs = [t.update(dtype=dtypes.tangent_dtype(t.dtype)) for t in body.out_types]
    of_transpose = tree_structure((tree_unflatten(residual_tree, residuals), tree_unflatten(body.out_tree, outs)))
    back = stage(fun_transpose, of_transpose, [*types, *outs], "the transpose given to linear_call")
    found = [(t.shape, t.dtype) for t in back.out_types]
    if back.out_tree != linear_tree or found != [(x.shape, x.dtype) for x in linear]:
        raise TypeError(
            f"linear_call: fun_transpose must give what is like linear_args, {linear_tree} of types {[x.aval for x in linear]}; it gives "
            f"{back.out_tree} of types {back.out_types}"
        )
    captured = [*body.captured, *back.captured]
    n, m = len(body.captured), len(back.captured)
    results = linear_call_p.bind(
        *captured, *residuals, *linear,
        jaxpr=_with_unused(body.program, n, [x.aval for x in back.captured]),
        transposed=_with_unused(back.program, 0, [x.aval for x in body.captured]),
        count=n + m + len(residuals),
    )  # fmt: skip
    return tree_unflatten(body.out_tree, results)


def _with_unused(program: ClosedJaxpr, n: int, types: Sequence[ShapedArray]) -> ClosedJaxpr:
    """The program with arguments more, behind its first `n`, that it does not use."""
    if not types:
        return program
    return program.derived(("with unused", n, tuple(types)), _extended, n, types)


def _extended(program: ClosedJaxpr, n: int, types: Sequence[ShapedArray]) -> ClosedJaxpr:
    body = program.jaxpr
    invars = [*body.invars[:n], *map(Var, types), *body.invars[n:]]
    return ClosedJaxpr(Jaxpr(body.constvars, invars, body.outvars, body.eqns), program.consts)


__all__ = ["linear_call", "linear_call_p"]
