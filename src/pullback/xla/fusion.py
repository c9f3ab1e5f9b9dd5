"""A fusion plan for XLA on CPUs: where computed values are to be kept instead of being computed again.

XLA's own fusion pass merges a chain of elementwise operations into *each* of its consumers. For a value that flows into several of the
loops that XLA makes, everything behind it is computed as many times; along a residual stream, quadratically often. The plan finds
the elementwise values for which that is expensive, and has each of them computed by one fusion of its own, an `mhlo.fusion` in the
program, which XLA leaves alone. Everything else is left to XLA.

The cost of a value is that of computing one element of it from what is kept, in units of an addition. A value is kept if it costs more
than `THRESHOLD` and flows into more than one loop, where a loop is: an elementwise value that something other than an elementwise operation
reads, a reduction, or a kept value. Positions of extrema count as several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pullback.core import dtypes
from pullback.core.jaxpr import Atom, Jaxpr, JaxprEqn, Var

#: A value that costs more than so many additions an element is kept.
THRESHOLD = 28.0
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
_ELEMENTWISE = {"select_n", "clamp", "triangle"}
#: Elementwise operations that are lowered to several of StableHLO's, none of which has three operands.
_SIMPLE = {
    "square", "integer_pow", "eq", "ne", "lt", "le", "gt", "ge", "broadcast_in_dim", "convert_element_type", "stop_gradient", "name", "copy",
    "real", "imag", "complex", "conj",
}  # fmt: skip
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"}
#: What reads its operand in several loops, or in one that XLA does not vectorize, where an expensive element takes far longer.
_REREADING = {"argmax", "argmin"}
_MANY: Any = object()


class _Kind:
    """What the plan needs to know of a primitive: whether it is elementwise, whether XLA takes it in a fusion that the program gives, and
    what an element of its result costs."""

    __slots__ = ("elementwise", "groupable", "cost", "reduces", "rereads", "repeats")

    def __init__(self, primitive: Any) -> None:
        name, hlo = primitive.name, getattr(primitive, "hlo", None)
        simple = name in _SIMPLE
        self.reduces, self.rereads = name in _REDUCTIONS, name in _REREADING
        self.repeats = name == "broadcast_in_dim"
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


class Group:
    """The equations that compute a kept value, in order, and the variables that they read."""

    __slots__ = ("result", "eqns", "inputs")

    def __init__(self, result: Atom, eqns: list[JaxprEqn]) -> None:
        self.result, self.eqns = result, eqns
        inside = {e.outvars[0] for e in eqns}
        self.inputs = list(dict.fromkeys([x for e in eqns for x in e.invars if x not in inside and isinstance(x, Var)]))

    def __len__(self) -> int:
        return len(self.eqns)

    def __iter__(self) -> Iterator[JaxprEqn]:
        return iter(self.eqns)


class Plan:
    """What is to be written, in order: equations, and groups of them that compute a value that is kept."""

    __slots__ = ("steps", "groups")

    def __init__(self, steps: Sequence[JaxprEqn | Group], groups: dict[Atom, Group]) -> None:
        self.steps = steps
        #: The groups by the values that they compute.
        self.groups = groups


def plan(jaxpr: Jaxpr) -> Plan:
    """The fusion plan of a program without calls."""
    kinds = [_kind(e) for e in jaxpr.eqns]
    flows = _flows(jaxpr, kinds)
    # For each elementwise value: its equation and number, the cost of an element, and how many equations that takes.
    producer: dict[Atom, tuple[int, JaxprEqn]] = {}
    cost: dict[Atom, float] = {}
    members: dict[Atom, int] = {}
    kept: set[Atom] = set()
    for i, (e, kind) in enumerate(zip(jaxpr.eqns, kinds)):
        if not kind.elementwise:
            continue
        v = e.outvars[0]
        producer[v] = (i, e)
        c, m = kind.cost, 1
        if kind.repeats:
            # Computed before it is repeated: XLA knows not to compute an expensive element for each of its copies.
            c = 0.0
        else:
            for x in e.invars:
                if x in cost:
                    c += cost[x]
                    m += members[x]
        if (c > THRESHOLD or m > LARGEST_GROUP) and flows[v] is _MANY and v.aval.size >= SMALL and _fits(e):
            kept.add(v)
        else:
            cost[v], members[v] = c, m
    if not kept:
        return Plan(jaxpr.eqns, {})
    fits: dict[Atom, bool] = {}
    groups = {v: Group(v, _members(v, producer, kept, fits)) for v in kept}
    return Plan(_steps(jaxpr, groups), groups)


def _flows(jaxpr: Jaxpr, kinds: Sequence[_Kind]) -> dict[Atom, Any]:
    """The loop into which each elementwise value flows, `_MANY` if into several, None if into none."""
    flows: dict[Atom, Any] = {e.outvars[0]: None for e, kind in zip(jaxpr.eqns, kinds) if kind.elementwise}
    for x in jaxpr.outvars:
        if x in flows:
            flows[x] = x
    for e, kind in zip(reversed(jaxpr.eqns), reversed(kinds)):
        if kind.elementwise:
            loop = flows[e.outvars[0]]
            if loop is None:
                continue
        else:  # what is read by something other than a reduction is stored: it is a loop of its own
            loop = e if kind.reduces else _MANY if kind.rereads else None
        for x in e.invars:
            old = flows.get(x, _MANY)  # what is not elementwise does not matter
            if old is not _MANY:
                new = x if loop is None else loop
                flows[x] = new if old is None or old is new else _MANY
    return flows


def _members(
    v: Atom, producer: dict[Atom, tuple[int, JaxprEqn]], kept: set[Atom], fits: dict[Atom, bool]
) -> list[JaxprEqn]:
    """The equations from kept values, and from what is not elementwise, to `v`, in order. `fits` remembers which equations may be inside."""
    found: dict[int, JaxprEqn] = {}
    todo = [v]
    while todo:  # chains are as long as programs: no recursion
        y = todo.pop()
        if y not in producer or (y in kept and y is not v):
            continue
        i, e = producer[y]
        if i in found:
            continue
        may_be_inside = fits.get(y)
        if may_be_inside is None:
            may_be_inside = fits[y] = _fits(e)
        if may_be_inside:
            found[i] = e
            if not _kind(e).repeats or not e.invars[0].aval.shape:
                todo += e.invars
    return [e for _, e in sorted(found.items())]


def _steps(jaxpr: Jaxpr, groups: dict[Atom, Group]) -> list[JaxprEqn | Group]:
    """The program's equations, without those whose results nothing outside of the groups reads, and the groups in their places."""
    grouped = {e.outvars[0] for group in groups.values() for e in group}
    needed: set[Atom] = set(jaxpr.outvars)
    steps: list[JaxprEqn | Group] = []
    for e in reversed(jaxpr.eqns):
        v = e.outvars[0] if e.outvars else None
        if v in groups:
            steps.append(groups[v])
            needed.update(groups[v].inputs)
        elif v not in grouped or v in needed:
            steps.append(e)
            needed.update(e.invars)
    steps.reverse()
    return steps
