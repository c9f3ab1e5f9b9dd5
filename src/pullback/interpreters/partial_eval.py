"""From functions to programs: with all arguments unknown, or with some of them known, so that what
depends on these alone is computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Literal
from pullback.core.passes import eliminate_dead_code
from pullback.core.staging import JaxprTrace, StagedTracer, stage_flat
from pullback.core.trace import Params, current, set_current, under
from pullback.core.types import ShapedArray, typeof
from pullback.extend.linear_util import WrappedFun

#: The tracers of functions that become programs, under both names that JAX has for its own.
DynamicJaxprTracer = StagedTracer
JaxprTracer = StagedTracer
#: Rules that JAX needs for primitives that it cannot split, and for pruning their results. Here all
#: primitives are taken whole by these passes: what is put in is not asked for.
custom_partial_eval_rules: dict[Any, Callable[..., Any]] = {}
partial_eval_jaxpr_custom_rules: dict[Any, Callable[..., Any]] = {}
dce_rules: dict[Any, Callable[..., Any]] = {}


class PartialVal(tuple[Any, Any]):
    """A value of which either the type is known, `(type, None)`, or the value, `(None, value)`.

    >>> PartialVal.known(1.0).is_known(), PartialVal.unknown(typeof(1.0)).get_aval()
    (True, ShapedArray(float32[], weak_type=True))
    """

    __slots__ = ()

    def __new__(cls, xs: tuple[ShapedArray | None, Any]) -> PartialVal:
        aval, value = xs
        if aval is not None and value is not None:
            raise TypeError(f"PartialVal: of {xs!r:.100} either the type or the value must be None, at {user_line()}")
        return super().__new__(cls, (aval, value))

    @classmethod
    def known(cls, const: Any) -> PartialVal:
        """One of which the value is known.

        >>> PartialVal.known(3.0).get_known()
        3.0
        """
        return cls((None, const))

    @classmethod
    def unknown(cls, aval: ShapedArray) -> PartialVal:
        """One of which the type is known.

        >>> PartialVal.unknown(typeof(3.0)).is_known()
        False
        """
        return cls((aval, None))

    def is_known(self) -> bool:
        """Whether the value is known.

        >>> PartialVal.known(3.0).is_known(), PartialVal.unknown(typeof(3.0)).is_known()
        (True, False)
        """
        return self[0] is None

    def get_known(self) -> Any:
        """The value, where it is known; None elsewhere.

        >>> PartialVal.known(3.0).get_known(), PartialVal.unknown(typeof(3.0)).get_known()
        (3.0, None)
        """
        return self[1] if self[0] is None else None

    def get_aval(self) -> ShapedArray:
        """The type, also of a value that is known.

        >>> PartialVal.known(as_array(3)).get_aval()
        ShapedArray(int32[], weak_type=True)
        """
        return typeof(self[1]) if self[0] is None else self[0]


class _PartialTrace(JaxprTrace):
    """Writes down what depends on unknown values, and has the rest done by the parent."""

    __slots__ = ()

    def _knows(self, args: Sequence[Any]) -> bool:
        return not any(a.__class__ is StagedTracer and a._trace is self for a in args)

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        if not self._knows(args):
            return super().process(primitive, args, params)
        try:
            set_current(self.parent)
            return self.parent.process(primitive, args, params)
        finally:
            set_current(self)

    def process_call(self, call: Any, args: Sequence[Any], params: Params) -> Any:
        if not self._knows(args):
            return super().process_call(call, args, params)
        try:
            set_current(self.parent)
            return self.parent.process_call(call, args, params)
        finally:
            set_current(self)


def trace_to_jaxpr_nounits(
    fun: WrappedFun, pvals: Sequence[PartialVal], instantiate: bool | Sequence[bool] = False
) -> tuple[Jaxpr, list[PartialVal], list[Any]]:
    """The program of what `fun`, a wrapped function of flat arrays, does with unknown arguments,
    its results, and the values of the program's constants.

    `pvals` says what is known of each argument. The program takes the unknown ones, and gives the
    results that depend on them; the others are known, unless `instantiate` says that they are to be
    results of the program.

    >>> import pullback.numpy as jnp
    >>> from pullback.extend.linear_util import wrap_init
    >>> fun = wrap_init(lambda x, y: [x + y, y * 2])
    >>> trace_to_jaxpr_nounits(fun, [PartialVal.unknown(typeof(jnp.float32(1))), PartialVal.known(jnp.float32(3))])[:2]
    ({ lambda ; a:f32[]. let b:f32[] = add a 3.0:f32[] in (b,) }, [(ShapedArray(float32[]), None), (None, Array(6., dtype=float32))])
    """
    trace = _PartialTrace(current())

    def traced() -> tuple[list[Any], list[bool], ClosedJaxpr]:
        given = [as_array(p.get_known()) if p.is_known() else trace.new_input(p.get_aval()) for p in pvals]
        outs = [as_array(x) for x in fun.call_wrapped(*given)]
        wanted = [instantiate] * len(outs) if isinstance(instantiate, bool) else list(instantiate)
        unknown = [w or not trace._knows([x]) for x, w in zip(outs, wanted)]
        return outs, unknown, trace.finish([x for x, u in zip(outs, unknown) if u])

    try:
        outs, unknown, closed = under(trace, traced)
    finally:
        trace.__class__ = _Over  # type: ignore[assignment]
    results = [PartialVal.unknown(x.aval) if u else PartialVal.known(x) for x, u in zip(outs, unknown)]
    return closed.jaxpr.replace(debug_info=fun.debug_info), results, list(closed.consts)


class _Over(_PartialTrace):
    """A partial trace whose function has returned."""

    __slots__ = ()
    finished = True


def trace_to_jaxpr_dynamic(
    fun: WrappedFun,
    in_avals: Sequence[ShapedArray],
    *,
    keep_inputs: Sequence[bool] | None = None,
    lower: bool = False,
    auto_dce: bool = False,
) -> tuple[Jaxpr, list[ShapedArray], list[Any]]:
    """The program of `fun`, a wrapped function of flat arrays, for arguments of these types, the
    types of its results, and the values of its constants.

    >>> from pullback.extend.linear_util import wrap_init
    >>> trace_to_jaxpr_dynamic(wrap_init(lambda x: [x * x]), [typeof(2.0)])[0]
    { lambda ; a:f32[]. let b:f32[] = mul a a in (b,) }
    """
    del lower
    closed = stage_flat(lambda *xs: list(fun.call_wrapped(*xs)), list(in_avals))
    body = closed.jaxpr
    if auto_dce:
        body = eliminate_dead_code(body)
    consts = [c for v, c in zip(closed.jaxpr.constvars, closed.consts) if v in body.constvars]
    invars = [v for i, v in enumerate(body.invars) if keep_inputs is None or keep_inputs[i]]
    return body.replace(invars=invars, debug_info=fun.debug_info), body.out_avals, consts


def dce_jaxpr(
    jaxpr: Jaxpr, used_outputs: bool | Sequence[bool], instantiate: bool | Sequence[bool] = False
) -> tuple[Jaxpr, list[bool]]:
    """The program without what is not needed for the results marked in `used_outputs`, and which
    arguments it still has; those marked in `instantiate` in any case.

    >>> import pullback as pb
    >>> program = pb.make_jaxpr(lambda x, y: (x + 1, y * 2))(1.0, 2.0).jaxpr
    >>> dce_jaxpr(program, [True, False])
    ({ lambda ; a:f32[]. let b:f32[] = add a 1.0:f32[] in (b,) }, [True, False])
    """
    used = [used_outputs] * len(jaxpr.outvars) if isinstance(used_outputs, bool) else list(used_outputs)
    kept = [instantiate] * len(jaxpr.invars) if isinstance(instantiate, bool) else list(instantiate)
    found, mask, _ = _pruned(jaxpr, used, kept)
    return found, mask


def dce_jaxpr_consts(
    jaxpr: Jaxpr, used_outputs: Sequence[bool], instantiate: bool | Sequence[bool] = False
) -> tuple[Jaxpr, list[bool], list[bool]]:
    """As `dce_jaxpr`: the program, which constants it still has, and which arguments. Raises TypeError
    if `used_outputs` has another length than the results.

    >>> import pullback as pb
    >>> weights = pb.numpy.array([1.0, 2.0])
    >>> program = pb.make_jaxpr(lambda x, y: (x * weights, y * 2))(1.0, 2.0).jaxpr
    >>> dce_jaxpr_consts(program, [False, True])
    ({ lambda ; a:f32[]. let b:f32[] = mul a 2.0:f32[] in (b,) }, [False], [False, True])
    """
    kept = [instantiate] * len(jaxpr.invars) if isinstance(instantiate, bool) else list(instantiate)
    found, mask, consts = _pruned(jaxpr, list(used_outputs), kept)
    return found, consts, mask


def _pruned(jaxpr: Jaxpr, used: Sequence[bool], kept: Sequence[bool]) -> tuple[Jaxpr, list[bool], list[bool]]:
    if len(used) != len(jaxpr.outvars):
        raise TypeError(
            f"dce_jaxpr: used_outputs has {len(used)} entries for {len(jaxpr.outvars)} results, at {user_line()}"
        )
    body = eliminate_dead_code(jaxpr, used)
    live = {v for e in body.eqns for v in e.invars if not isinstance(v, Literal)}.union(
        v for v in body.outvars if not isinstance(v, Literal)
    )
    mask = [k or v in live for v, k in zip(jaxpr.invars, kept)]
    consts = [v in live for v in jaxpr.constvars]
    invars = [v for v, m in zip(jaxpr.invars, mask) if m]
    return body.replace(invars=invars, debug_info=jaxpr.debug_info), mask, consts


__all__ = [
    "DynamicJaxprTracer",
    "JaxprTracer",
    "PartialVal",
    "custom_partial_eval_rules",
    "dce_jaxpr",
    "dce_jaxpr_consts",
    "dce_rules",
    "partial_eval_jaxpr_custom_rules",
    "trace_to_jaxpr_dynamic",
    "trace_to_jaxpr_nounits",
]
