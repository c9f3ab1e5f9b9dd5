"""Passes over programs, each a function from a jaxpr to an equivalent one: inlining, dead-code and
common-subexpression elimination.

`simplify` is what the compiler applies. Passes never change a jaxpr in place: programs are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pullback.core.array import ConcreteArray, as_array
from pullback.core.jaxpr import Atom, ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var, subjaxprs
from pullback.core.trace import Params, Through

if TYPE_CHECKING:
    from pullback.core.names import Call, Key, Operand, Param, Result, Value
    from pullback.core.primitive import Primitive


def inline_calls(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program with the programs of its calls (jit, custom rules, checkpoint) in their place,
    and what is only forwarded."""
    if not any(e.primitive.inlined is not None or e.primitive.forwards for e in closed.eqns):
        return closed
    consts: dict[int, tuple[Var, Any]] = {id(c): (v, c) for v, c in zip(closed.jaxpr.constvars, closed.consts)}
    eqns: list[JaxprEqn] = []
    values: dict[Var, Atom] = {}

    def const(var: Var, value: Value) -> Var:
        return consts.setdefault(id(value), (Var(var.aval), value))[0]

    def expand(body: Jaxpr, read: dict[Var, Atom]) -> list[Atom]:
        def atom(x: Atom) -> Atom:
            return read.get(x, x) if isinstance(x, Var) else x

        for e in body.eqns:
            invars = [atom(x) for x in e.invars]
            if e.primitive.forwards:
                read.update(zip(e.outvars, invars))
                continue
            if e.primitive.inlined is None:
                if body is closed.jaxpr and invars == e.invars:
                    eqns.append(e)
                    continue
                copy = e.on(invars)
                read.update(zip(e.outvars, copy.outvars))
                eqns.append(copy)
                continue
            inner = e.params[e.primitive.inlined]
            inside: dict[Var, Atom] = dict(zip(inner.jaxpr.invars, invars))
            inside.update((v, const(v, c)) for v, c in zip(inner.jaxpr.constvars, inner.consts))
            read.update(zip(e.outvars, expand(inner.jaxpr, inside)))
        return [atom(x) for x in body.outvars]

    outvars = expand(closed.jaxpr, values)
    pairs = list(consts.values())
    return ClosedJaxpr(Jaxpr([v for v, _ in pairs], closed.jaxpr.invars, outvars, eqns), [c for _, c in pairs])


def eliminate_dead_code(jaxpr: Jaxpr, used_outputs: Sequence[bool] | None = None) -> Jaxpr:
    """Without equations whose results nobody uses, unless they have effects; with `used_outputs`,
    for those results only."""
    outvars = jaxpr.outvars if used_outputs is None else [v for v, used in zip(jaxpr.outvars, used_outputs) if used]
    live: set[Atom] = set(outvars)
    kept = []
    for e in reversed(jaxpr.eqns):
        if not live.isdisjoint(e.outvars) or e.primitive.effects_of(e.params):
            if e.primitive.separable:
                e = _live_part(e, live)
            live.update(e.invars)
            kept.append(e)
    kept.reverse()
    return Jaxpr([v for v in jaxpr.constvars if v in live], jaxpr.invars, outvars, kept)


def _live_part(e: JaxprEqn, live: set[Atom]) -> JaxprEqn:
    """A separable equation without the operands whose results nobody uses."""
    used = [(x, y) for x, y in zip(e.invars, e.outvars) if y in live]
    if len(used) == len(e.outvars):
        return e
    return JaxprEqn(e.primitive, [x for x, _ in used], [y for _, y in used], e.params, e.location, e.name_stack)


def without_effects(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program to be run again: without what does something and gives nothing, and without dead
    code. Operations with effects whose results are used are still there."""
    return closed.derived("without effects", _without_effects)


def _without_effects(closed: ClosedJaxpr) -> ClosedJaxpr:
    eqns = []
    for e in closed.eqns if closed.effects else ():
        if e.primitive.effects_of(e.params):
            called = any(True for _ in subjaxprs(e.params))
            if not called and not e.outvars:
                continue
            if called:
                params = with_programs(e.params, without_effects)
                e = JaxprEqn(e.primitive, e.invars, e.outvars, params, e.location, e.name_stack)
        eqns.append(e)
    jaxpr = closed.jaxpr
    if closed.effects:
        jaxpr = Jaxpr(jaxpr.constvars, jaxpr.invars, jaxpr.outvars, eqns)
    return drop_unused_consts(closed, eliminate_dead_code(jaxpr))


def refuse_repeated_effects(closed: ClosedJaxpr, what: str) -> None:
    """Raise NotImplementedError if the results of something that has effects are needed in a
    program that is to be run again."""
    repeated = without_effects(closed)
    while repeated.effects:
        e = next(e for e in repeated.eqns if e.primitive.effects_of(e.params))
        inner = next((p for p in subjaxprs(e.params) if p.effects), None)
        if inner is None:
            raise NotImplementedError(
                f"{what} computes again what its derivative needs, and would call `{e.primitive.name}` from {e.source} again, which may give "
                "other results than before. Take it out of the branch or loop that it stands in, and pass its results in"
            )
        repeated = inner


def with_programs(params: Params, change: Callable[[ClosedJaxpr], ClosedJaxpr]) -> Params:
    """An equation's parameters, with the programs among them changed."""

    def changed(value: Param) -> Param:
        if isinstance(value, ClosedJaxpr):
            return change(value)
        return type(value)(map(changed, value)) if isinstance(value, (tuple, list)) else value

    return {k: changed(v) for k, v in params.items()}


class Quiet(Through):
    """Has everything done by the parent, but what does something and gives nothing: for what has
    been done before.

    Example: a program is run once more for its types, and `debug.print` prints nothing.
    """

    __slots__ = ()

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        if (
            primitive.multiple_results
            and primitive.effects_of(params)
            and not primitive.type_of(*(as_array(a).aval for a in args), **params)
        ):
            return []
        return super().process(primitive, args, params)

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        return super().process_call(
            call, args, with_programs(params, without_effects) if call.effects_of(params) else params
        )


def drop_unused_consts(closed: ClosedJaxpr, jaxpr: Jaxpr) -> ClosedJaxpr:
    """`jaxpr`, made from that of `closed`, closed by the constants that it still has."""
    values = dict(zip(closed.jaxpr.constvars, closed.consts))
    return ClosedJaxpr(jaxpr, [values[v] for v in jaxpr.constvars])


def eliminate_common_subexpressions(jaxpr: Jaxpr) -> Jaxpr:
    """With each equation that repeats an earlier one (same primitive, operands and parameters)
    replaced by its results."""
    seen: dict[Any, list[Var]] = {}
    replaced: dict[Atom, Atom] = {}
    kept = []
    for e in jaxpr.eqns:
        if replaced and not replaced.keys().isdisjoint(e.invars):
            invars = [replaced.get(x, x) for x in e.invars]
            e = JaxprEqn(e.primitive, invars, e.outvars, e.params, e.location, e.name_stack)
        primitive = e.primitive
        if not primitive.mergeable or primitive.effects_of(e.params):
            kept.append(e)
            continue
        atoms = [_literal_key(x) if x.__class__ is Literal else x for x in e.invars]
        try:
            key = (primitive, *atoms, *e.params.items())
            earlier = seen.setdefault(key, e.outvars)
        except TypeError:  # a parameter that is not hashable
            kept.append(e)
            continue
        if earlier is e.outvars:
            kept.append(e)
        elif any([v.__class__ is DropVar for v in earlier]):
            seen[key] = e.outvars
            kept.append(e)
        else:
            replaced.update(zip(e.outvars, earlier))
    return Jaxpr(jaxpr.constvars, jaxpr.invars, [replaced.get(x, x) for x in jaxpr.outvars], kept)


def drop_idle_barrier(closed: ClosedJaxpr) -> ClosedJaxpr:
    """Without the barrier before what is computed again (a separable equation), if there is one
    only, and it has nothing to do.

    That is so if it passes on arguments that no other equation uses: nothing could be merged with
    what comes behind it. So it is in the bodies of backward loops, of which XLA makes much better
    code without barriers.
    """
    jaxpr = closed.jaxpr
    barriers = [e for e in jaxpr.eqns if e.primitive.separable]
    if len(barriers) != 1:
        return closed
    (barrier,) = barriers
    used = {x for e in jaxpr.eqns for x in e.invars if e is not barrier}.union(jaxpr.outvars)
    if not (set(jaxpr.invars) - used).issuperset(barrier.invars):
        return closed
    passed: dict[Atom, Atom] = dict(zip(barrier.outvars, barrier.invars))
    eqns = [
        JaxprEqn(e.primitive, [passed.get(x, x) for x in e.invars], e.outvars, e.params, e.location, e.name_stack)
        for e in jaxpr.eqns
        if e is not barrier
    ]
    outvars = [passed.get(x, x) for x in jaxpr.outvars]
    return ClosedJaxpr(Jaxpr(jaxpr.constvars, jaxpr.invars, outvars, eqns), closed.consts)


def _literal_key(x: Literal) -> Key:
    return x.val._value.tobytes(), x.aval.dtype, x.aval.weak_type


def hoist_constants(closed: ClosedJaxpr, is_small: Callable[[Value], bool]) -> tuple[ClosedJaxpr, list[ConcreteArray]]:
    """The program with the constants that are not small made its first arguments, and these
    constants, each once.

    Compilers choke on large constants in program text, and copies of one array need not be held for
    each program that uses it.
    """
    kept: list[tuple[Var, Any]] = []
    hoisted: dict[int, tuple[Var, Any]] = {}
    same: dict[Atom, Atom] = {}
    for var, value in zip(closed.jaxpr.constvars, closed.consts):
        if is_small(value):
            kept.append((var, value))
        else:
            first = hoisted.setdefault(id(value), (var, value))[0]
            if first is not var:
                same[var] = first
    jaxpr = closed.jaxpr
    eqns = jaxpr.eqns if not same else [
        JaxprEqn(e.primitive, [same.get(x, x) for x in e.invars], e.outvars, e.params, e.location, e.name_stack)
        for e in jaxpr.eqns
    ]  # fmt: skip
    outvars = [same.get(x, x) for x in jaxpr.outvars]
    arguments = list(hoisted.values())
    body = Jaxpr([v for v, _ in kept], [*(v for v, _ in arguments), *jaxpr.invars], outvars, eqns)
    return ClosedJaxpr(body, [c for _, c in kept]), [c for _, c in arguments]


def simplify(closed: ClosedJaxpr) -> ClosedJaxpr:
    """What is compiled: calls inlined, nothing dead, nothing computed twice."""
    closed = inline_calls(closed)
    return drop_unused_consts(closed, eliminate_dead_code(eliminate_common_subexpressions(closed.jaxpr)))
