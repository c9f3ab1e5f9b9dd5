"""A fusion plan for XLA on CPUs: where computed values are to be kept instead of being computed again.

XLA's own fusion pass merges a chain of elementwise operations into *each* of its consumers. For a value that flows into several of the
loops that XLA makes, everything behind it is computed as many times; along a residual stream, quadratically often. The plan finds
the elementwise values for which that is expensive, and has each of them computed by one fusion of its own, an `mhlo.fusion` in the
program, which XLA leaves alone. Everything else is left to XLA.

The cost of a value is that of computing one element of it from what is kept, in units of an addition. A value is kept if it costs more
than `THRESHOLD` and flows into more than one loop, where a loop is: an elementwise value that something other than an elementwise operation
reads, a reduction, or a kept value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core import dtypes
from pullback.core.jaxpr import Jaxpr, JaxprEqn, Literal, Var

#: A value that costs more than so many additions an element is kept.
THRESHOLD = 16.0
#: Arrays with fewer elements are not worth a plan.
SMALL = 256
#: Fusions with more equations take XLA long to compile, and gain nothing.
LARGEST_GROUP = 96

_COSTS = {
    "integer_pow": 2.0, "div": 4.0, "sqrt": 4.0, "rsqrt": 6.0, "rem": 8.0,
    **dict.fromkeys(
        ("exp", "exp2", "expm1", "log", "log1p", "tanh", "logistic", "sin", "cos", "tan", "cbrt", "erf", "erf_inv", "asin", "acos",
         "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "pow", "erfc", "lgamma", "digamma"), 20.0
    ),
}  # fmt: skip
#: What has no elementwise class, and is elementwise all the same.
_ELEMENTWISE = {"select_n", "clamp"}
#: Elementwise operations that are lowered to several of StableHLO's, none of which has three operands.
_SIMPLE = {
    "square", "integer_pow", "eq", "ne", "lt", "le", "gt", "ge", "broadcast_in_dim", "convert_element_type", "stop_gradient", "name", "copy",
    "real", "imag", "complex", "conj",
}  # fmt: skip
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin"}
_MANY: Any = object()


class _Kind:
    """What the plan needs to know of a primitive: whether it is elementwise, whether XLA takes it in a fusion that the program gives, and
    what an element of its result costs."""

    __slots__ = ("elementwise", "groupable", "cost", "reduces")

    def __init__(self, primitive: Any) -> None:
        name, hlo = primitive.name, getattr(primitive, "hlo", None)
        simple = name in _SIMPLE
        self.reduces = name in _REDUCTIONS
        self.elementwise = not primitive.multiple_results and (
            simple or name in _ELEMENTWISE or (primitive.broadcasts and hlo is not None)
        )
        # Its verifier dies on operations of three operands there (select, clamp), and CHLO's operations expand to such; what expands
        # late, as the logistic function, is not expanded there.
        self.groupable = simple or (
            isinstance(hlo, str) and not hlo.startswith("chlo.") and hlo not in ("clamp", "logistic")
        )
        self.cost = _COSTS.get(name, 1.0)


#: The types with which operations have been tried in given fusions (`tests/xla/test_fusion.py`).
_TYPES = {dtypes.float32, dtypes.float64, dtypes.int32, dtypes.bool_}


def _fits(e: JaxprEqn) -> bool:
    return _kind(e).groupable and all([x.aval.dtype in _TYPES for x in (*e.invars, *e.outvars)])


_kinds: dict[Any, _Kind] = {}


def _kind(e: JaxprEqn) -> _Kind:
    found = _kinds.get(e.primitive)
    if found is None:
        found = _kinds[e.primitive] = _Kind(e.primitive)
    return found


class Plan:
    """For each kept value, by its variable, the equations that compute it; `inner` are the equations needed nowhere else."""

    __slots__ = ("groups", "inner")

    def __init__(self, groups: dict[Var, list[JaxprEqn]], inner: set[int]) -> None:
        self.groups, self.inner = groups, inner


NO_PLAN = Plan({}, set())


def plan(jaxpr: Jaxpr) -> Plan:
    """The fusion plan of a program without calls."""
    producer = {e.outvars[0]: e for e in jaxpr.eqns if _kind(e).elementwise}
    if not producer:
        return NO_PLAN
    flows = _flows(jaxpr, producer)
    cost: dict[Var, float] = {}
    members: dict[Var, int] = {}
    kept: set[Var] = set()
    for e in jaxpr.eqns:
        v = e.outvars[0] if e.outvars else None
        if v not in producer:
            continue
        inputs = [x for x in e.invars if isinstance(x, Var) and x in cost and x not in kept]
        if e.primitive.name == "broadcast_in_dim":
            # Computed before it is repeated: XLA knows not to compute an expensive element for each of its copies.
            cost[v], members[v] = 0.0, 1
            continue
        kind = _kind(e)
        c, m = kind.cost, 1
        for x in inputs:
            c += cost[x]
            m += members[x]
        cost[v], members[v] = c, m
        if (c > THRESHOLD or m > LARGEST_GROUP) and flows[v] is _MANY and v.aval.size >= SMALL and _fits(e):
            kept.add(v)
    if not kept:
        return NO_PLAN
    groups = {v: _group(v, producer, kept) for v in kept}
    return Plan(groups, _only_inside(jaxpr, groups, kept))


def _flows(jaxpr: Jaxpr, producer: dict[Var, JaxprEqn]) -> dict[Var, Any]:
    """The loop into which each elementwise value flows, `_MANY` if into several, None if into none."""
    flows: dict[Any, Any] = {}

    def into(x: Any, loop: Any) -> None:
        if x.__class__ is Literal or x not in producer or loop is None:
            return
        old = flows.get(x)
        flows[x] = loop if old is None or old is loop else _MANY

    for x in jaxpr.outvars:
        into(x, x)
    for e in reversed(jaxpr.eqns):
        v = e.outvars[0] if e.outvars else None
        if v in producer:
            loop = flows.get(v)
            for x in e.invars:
                into(x, loop)
        elif _kind(e).reduces:
            for x in e.invars:
                into(x, e)
        else:  # what is read here is stored: it is a loop of its own
            for x in e.invars:
                into(x, x)
    return {v: flows.get(v) for v in producer}


def _group(v: Var, producer: dict[Var, JaxprEqn], kept: set[Var]) -> list[JaxprEqn]:
    """The equations from kept values, and from what is not elementwise, to `v`, in order."""
    order: list[JaxprEqn] = []
    seen: set[Var] = set()

    def visit(x: Any) -> None:
        # Chains are as long as programs: no recursion.
        todo = [(x, False)]
        while todo:
            y, done = todo.pop()
            if done:
                order.append(producer[y])
                continue
            if not isinstance(y, Var) or y in seen or y not in producer or (y in kept and y is not v):
                continue
            if not _fits(producer[y]):
                continue
            seen.add(y)
            todo.append((y, True))
            e = producer[y]
            if e.primitive.name != "broadcast_in_dim" or _is_scalar(e.invars[0]):
                todo.extend((z, False) for z in reversed(e.invars))

    visit(v)
    return order


def _is_scalar(x: Any) -> bool:
    return not x.aval.shape


def _only_inside(jaxpr: Jaxpr, groups: dict[Var, list[JaxprEqn]], kept: set[Var]) -> set[int]:
    """The equations (by identity) whose results nothing outside of the groups reads."""
    grouped = {id(e) for group in groups.values() for e in group}
    needed: set[Any] = set(jaxpr.outvars) - kept
    for e in reversed(jaxpr.eqns):
        is_root = bool(e.outvars) and e.outvars[0] in kept
        if id(e) not in grouped or (not is_root and e.outvars[0] in needed):
            needed.update(e.invars)
    for group in groups.values():  # what the groups read from outside
        inside = {e.outvars[0] for e in group}
        needed.update(x for e in group for x in e.invars if x not in inside and isinstance(x, Var))
    # A second pass: what the groups need may itself have been grouped only.
    for e in reversed(jaxpr.eqns):
        if id(e) in grouped and e.outvars[0] in needed and e.outvars[0] not in kept:
            needed.update(x for x in e.invars if isinstance(x, Var))
    return grouped - {id(e) for e in jaxpr.eqns if e.outvars and (e.outvars[0] in needed or e.outvars[0] in kept)}


def inputs_of(group: Sequence[JaxprEqn]) -> list[Var]:
    """The variables that a group reads."""
    inside = {e.outvars[0] for e in group}
    found: dict[Var, None] = {}
    for e in group:
        for x in e.invars:
            if isinstance(x, Var) and x not in inside:
                found[x] = None
    return list(found)
