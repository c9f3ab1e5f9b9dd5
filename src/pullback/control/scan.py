"""scan: a loop whose length is known, with a carried state, consumed inputs and stacked outputs.

The operation `scan` has operands (constants, initial carry, inputs stacked along axis 0) and a body
(constants, carry, one input) → (carry, one output). Every transformation of it is a scan of the
transformed body, in which a carry has a tangent, or a batch axis, as soon as one step gives it one
(a fixed point). In reverse mode, the residuals of a step are stacked only if they differ from step
to step: constants and what is computed of them, inputs, outputs and carries that are there anyway
are not stored again.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from pullback.control.base import ControlPrimitive, depends_on, in_bounded_memory, instantiate, pruned, simplified
from pullback.core import dtypes
from pullback.core.dimensions import at_least, is_symbolic
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, run
from pullback.core.linear import Node
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current
from pullback.core.tree import tree_leaves, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.transforms.call import LinearStep, Mask, results_of
from pullback.transforms.lifting import Bundle, Kind, LiftedProgram, Lifting, Outcome, fixed_point, kinds_of, leaves_of
from pullback.transforms.program import Linearization

if TYPE_CHECKING:
    from collections.abc import Callable

    from pullback.core.names import Cotangent, Emitted, Key, Param, Residual, Tangent, Value, WithNodes
    from pullback.xla.stablehlo import Emitter


class Layout:
    """How the flat operands of a scan divide: constants, carries, inputs; and its results: carries,
    outputs.

    Example: of `scan(f, c, (x, y))`, where f closes over a: one constant, one carry, two inputs.
    """

    __slots__ = ("consts", "carry", "xs")

    def __init__(self, num_consts: int, num_carry: int) -> None:
        self.consts = slice(0, num_consts)
        self.carry = slice(num_consts, num_consts + num_carry)
        self.xs = slice(num_consts + num_carry, None)

    def split(self, operands: Sequence[Value]) -> tuple[Sequence[Value], Sequence[Value], Sequence[Value]]:
        """(constants, carries, inputs)."""
        return operands[self.consts], operands[self.carry], operands[self.xs]


class Scan(ControlPrimitive):
    """See the module's text. `checkpoints` says how reverse mode keeps the carries (see
    `control.schedule`); None keeps all.

    Example: `scan(f, init, xs)` binds it.
    """

    name = "scan"

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        outs = params["jaxpr"].out_avals
        n, length = params["num_carry"], params["length"]
        return [*outs[:n], *(t.update(shape=(length, *t.shape)) for t in outs[n:])]

    def step_program(self, params: Params) -> ClosedJaxpr | None:
        return params["jaxpr"] if params["checkpoints"] is None else None

    # ---- compilation -----------------------------------------------------------------------------

    def lower(self, emit: Emitter, *operands: Emitted, jaxpr: ClosedJaxpr, num_consts: int, num_carry: int, length: int, reverse: bool,
              unroll: int, checkpoints: int | None) -> list[Emitted]:  # fmt: skip
        body = simplified(jaxpr)
        consts, init, xs = Layout(num_consts, num_carry).split(operands)
        out_types = body.out_avals[num_carry:]
        # No slice can be taken of nothing. So a symbolic length that may be 0 has a place more, which no step sees.
        symbolic = is_symbolic((length,))
        spare = symbolic and not at_least(length, 1)
        places = length + spare
        if spare:
            xs = [emit.concatenate([x, emit.constant(0, x.dtype, (1, *x.shape[1:]))], 0) for x in xs]
        stacks = [emit.constant(0, t.dtype, (places, *t.shape)) for t in out_types]
        int32 = ShapedArray((), dtypes.int32)

        def step(i: Emitted, state: Sequence[Emitted]) -> list[Emitted]:
            """The state (carries, stacks) after step number `i`."""
            # Sizes are written as such, which are never negative: length - 1 could be.
            position = emit("subtract", emit.like(places - 1, i), i, out=int32) if reverse else i
            if reverse and spare:
                position = emit("subtract", position, emit.like(1, i), out=int32)
            zero = emit.like(0, i)
            elements = []
            for x in xs:
                starts = [position, *[zero] * (x.ndim - 1)]
                row = emit(
                    "dynamic_slice",
                    x,
                    *starts,
                    out=ShapedArray((1, *x.shape[1:]), x.dtype),
                    slice_sizes=(1, *x.shape[1:]),
                )
                elements.append(emit.reshape(row, x.shape[1:]))
            outs = emit.program(body, [*consts, *state[:num_carry], *elements])
            new = list(outs[:num_carry])
            for stack, y in zip(state[num_carry:], outs[num_carry:]):
                row = emit.reshape(y, (1, *y.shape))
                new.append(emit("dynamic_update_slice", stack, row, position, *[zero] * y.ndim, out=stack.aval))
            return new

        state = [*init, *stacks]
        if symbolic:  # for every length, that of no step included
            per_pass, passes, rest = 1, length, 0
        else:
            per_pass = max(1, min(unroll, length))
            passes, rest = divmod(length, per_pass)
            if passes == 1 or not length:  # straight-line code
                passes, rest = 0, length
        done = emit.constant(0, dtypes.int32)
        if symbolic or passes:

            def condition(i: Emitted, *_: Emitted) -> Emitted:
                return emit.compare("LT", i, emit.like(passes * per_pass, i))

            def advance(i: Emitted, *before: Emitted) -> list[Emitted]:
                state = list(before)
                for _ in range(per_pass):
                    state = step(i, state)
                    i = emit("add", i, emit.like(1, i), out=int32)
                return [i, *state]

            done, *state = emit.while_loop(condition, advance, [done, *state])
        for k in range(rest):
            state = step(emit.constant(passes * per_pass + k, dtypes.int32), state)
        if spare:
            state[num_carry:] = [emit.slice(y, (0,) * y.ndim, (length, *y.shape[1:])) for y in state[num_carry:]]
        return list(state)

    # ---- derivatives -----------------------------------------------------------------------------

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        if params["checkpoints"] is not None and params["length"]:  # of no steps there is nothing to keep
            return in_bounded_memory[self](self, primals, nodes, params)
        layout = Layout(params["num_consts"], params["num_carry"])
        active = tuple(n is not None for n in nodes)
        key = ("scan linearization", layout.carry.start, layout.carry.stop, active)
        found: ScanLinearization = params["jaxpr"].derived(key, ScanLinearization, layout, active)
        results = self.bind(*primals, **params | {"jaxpr": found.forward})
        outs, stacked = results[: found.num_results], results[found.num_results :]
        values = found.residuals(primals, outs, stacked)
        node = LinearStep(
            self.name, values, nodes,
            lambda residuals, ts: found.push(residuals, ts, params),
            lambda residuals, cts: found.pull(residuals, cts, params),
            (found, params["length"], params["reverse"]),
        )  # fmt: skip
        return outs, results_of(node, outs, found.has_tangent)

    # ---- liftings

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        layout = Layout(params["num_consts"], params["num_carry"])
        consts, init, xs = layout.split(operands)
        consts, init, xs = list(map(how.settled, consts)), list(map(how.settled, init)), list(map(how.stacked, xs))
        kinds = (*kinds_of(consts), *kinds_of(init), *map(how.of_step, kinds_of(xs)))
        key = ("scan", layout.carry.start, layout.carry.stop, how.key, kinds)
        found: LiftedStep = params["jaxpr"].derived(key, LiftedStep, layout, how, kinds)
        given = leaves_of(consts)
        carry = [*tree_leaves(how.nothing(found.account)), *leaves_of(how.wider(init, found.carry))]
        new: Params = {"jaxpr": found.program, "num_consts": len(given), "num_carry": len(carry)}
        return how.outcome(found, self.bind(*given, *carry, *leaves_of(xs), **params | new))


scan_p = Scan()


def _given(xs: Sequence[Value]) -> list[Value]:
    return [x for x in xs if x is not None]


def _chosen(xs: Sequence[Value], mask: Sequence[bool]) -> list[Value]:
    return [x for x, wanted in zip(xs, mask) if wanted]


# ---- the body, lifted ----------------------------------------------------------------------------


class LiftedStep:
    """The body of a scan, lifted: (constants, account, carries, inputs) → (account, carries,
    outputs).

    `carry` are the kinds of the carries, `kinds` those of the results of the scan.

    Example: in forward mode, the carry is a pair: (c, x), (t_c, t_x).
    """

    __slots__ = ("program", "account", "carry", "kinds")

    def __init__(self, closed: ClosedJaxpr, layout: Layout, how: Lifting, kinds: Sequence[Kind]) -> None:
        consts, init, xs = layout.split(kinds)
        n = len(init)

        def step(carry: Sequence[Kind]) -> LiftedProgram:
            return how.program(closed, (*consts, *carry, *xs))

        self.carry = carry = fixed_point(init, lambda carry: step(carry).kinds[:n], how.join)
        found = step(carry)
        of_step = (*carry, *found.kinds[n:])
        self.kinds, self.account = (*carry, *map(how.of_loop, found.kinds[n:])), found.account
        if found.account is None and found.kinds == of_step:
            self.program = pruned(found.program)
            return

        def body(consts: list[Bundle], before: list[Bundle], carry: list[Bundle], xs: list[Bundle]) -> list[Value]:
            account, outs = how.apply(found, (*consts, *carry, *xs))
            if found.account is not None:
                account = how.then(tree_unflatten(found.account, leaves_of(before)), account)
            return [*tree_leaves(account), *leaves_of(how.wider(outs, of_step))]

        in_types = layout.split(closed.in_avals)
        account_types = found.account_types
        of_account = (None,) * len(account_types), account_types
        groups = (consts, in_types[0]), of_account, (carry, in_types[1]), (xs, in_types[2])
        self.program = pruned(how.over_bundles(body, *groups))


# ---- the body's linearization --------------------------------------------------------------------


class ScanLinearization:
    """The derivative of a scan in the operands marked in `active`, in two parts.

    `forward` is the body of a scan that gives the results and the residuals that differ from step
    to step; `push` and `pull` are scans of the body's linear programs over residuals.

    Example: of a scan with c * x: the forward pass stacks all c; the backward pass is a scan the
    other way.
    """

    __slots__ = (
        "forward",
        "num_results",
        "has_tangent",
        "_layout",
        "_body",
        "_active",
        "_sources",
        "_invariants",
        "_derived",
        "_types",
    )

    def __init__(self, closed: ClosedJaxpr, layout: Layout, active: Mask) -> None:
        n = layout.carry.stop - layout.carry.start
        of_consts, init, of_xs = layout.split(active)

        def of_step(carry: Mask) -> Linearization:
            every = (*of_consts, *carry, *of_xs)
            found: Linearization = closed.derived(("linearize", every), Linearization, every)
            return found

        carry = fixed_point(init, lambda carry: of_step(carry).has_tangent[:n], or_)
        body: Linearization = of_step(carry)
        active = (*of_consts, *carry, *of_xs)
        self._layout, self._body, self._active = layout, body, active
        self.num_results = len(body.has_tangent)
        self.has_tangent = (*active[layout.carry], *body.has_tangent[n:])
        self._derived: dict[Any, Any] = {}
        self._types = closed.in_avals

        jaxpr = body.forward.jaxpr
        inputs = len(jaxpr.invars)
        varying = depends_on(body.forward, range(layout.carry.start, inputs))
        stacked: dict[Any, int] = {}
        invariant: dict[Any, int] = {}
        #: Where each residual of the body comes from: (what, number).
        self._sources: list[tuple[str, int]] = []
        for r in body.passed:
            if r < layout.carry.start:
                self._sources.append(("const", r))
            elif layout.carry.stop <= r < inputs:
                self._sources.append(("input", r))
            elif inputs + n <= r < inputs + self.num_results:
                self._sources.append(("result", r - inputs))
            else:
                atom = jaxpr.invars[r] if r < inputs else jaxpr.outvars[r - inputs]
                if r >= inputs + self.num_results and atom not in varying:
                    self._sources.append(("invariant", invariant.setdefault(atom, len(invariant))))
                else:
                    self._sources.append(("stacked", stacked.setdefault(atom, len(stacked))))
        outvars = [*jaxpr.outvars[: self.num_results], *stacked]
        self.forward = pruned(
            ClosedJaxpr(Jaxpr(jaxpr.constvars, jaxpr.invars, outvars, jaxpr.eqns), body.forward.consts)
        )
        without_effects = [e for e in jaxpr.eqns if not e.primitive.effects_of(e.params)]
        from_consts = pruned(
            ClosedJaxpr(Jaxpr(jaxpr.constvars, jaxpr.invars, list(invariant), without_effects), body.forward.consts)
        )
        #: The program of the constants that gives the residuals made of them alone.
        self._invariants = ClosedJaxpr(
            Jaxpr(from_consts.jaxpr.constvars, jaxpr.invars[: layout.carry.start], list(invariant), from_consts.eqns), from_consts.consts
        )  # fmt: skip

    def residuals(self, primals: Sequence[Value], outs: Sequence[Value], stacked: Sequence[Residual]) -> list[Residual]:
        """The body's residuals, those that differ from step to step stacked, given the scan's
        operands and results."""
        invariants = run(self._invariants, *primals[self._layout.consts])
        places = {"const": primals, "input": primals, "result": outs, "invariant": invariants, "stacked": stacked}
        return [places[what][i] for what, i in self._sources]

    @property
    def _varies(self) -> Mask:
        return tuple(what in ("input", "result", "stacked") for what, _ in self._sources)

    def _residual_types(self) -> tuple[list[ShapedArray], list[ShapedArray]]:
        """Types of the residuals that are constant, and of those of one step."""
        types = self._body.residual_types
        return _chosen(types, [not v for v in self._varies]), _chosen(types, self._varies)

    def _residuals_of_step(self, constant: Sequence[Residual], varying: Sequence[Residual]) -> list[Residual]:
        fixed, moving = iter(constant), iter(varying)
        return [next(moving) if v else next(fixed) for v in self._varies]

    # ---- tangents

    def push(self, values: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> list[Tangent]:
        """Tangents of the results, given the operands' (None is zero)."""
        layout = self._layout
        n = layout.carry.stop - layout.carry.start
        given = tuple(t is not None and a for t, a in zip(tangents, self._active))
        program, given, outs_active = self._derive(("push", given), lambda: self._push_body(given))
        t_consts, t_init, t_xs = layout.split(tangents)
        init_types = self._types[layout.carry]
        carry = [instantiate(t, x) for t, x, g in zip(t_init, init_types, given[layout.carry]) if g]
        constant, varying = _chosen(values, [not v for v in self._varies]), _chosen(values, self._varies)
        consts = [*constant, *_chosen(t_consts, given[layout.consts])]
        operands = [*consts, *carry, *varying, *_chosen(t_xs, given[layout.xs])]
        results = iter(
            scan_p.bind(*operands, **params | {"jaxpr": program, "num_consts": len(consts), "num_carry": len(carry)})
        )
        t_carry = [next(results) if g else None for g in given[layout.carry]]
        return [*t_carry, *(next(results) if a else None for a in outs_active)] if n or outs_active else []

    def _push_body(self, given: Mask) -> tuple[ClosedJaxpr, Mask, Mask]:
        layout, n = self._layout, self._layout.carry.stop - self._layout.carry.start
        of_consts, init, of_xs = layout.split(given)

        def of_step(carry: Mask) -> tuple[ClosedJaxpr, Mask]:
            return self._body.pushforward((*of_consts, *carry, *of_xs))

        carry = fixed_point(init, lambda carry: of_step(carry)[1][:n], or_)
        (program, has), given = of_step(carry), (*of_consts, *carry, *of_xs)
        tangents = [t.to_tangent_aval() if g else None for t, g in zip(self._types, given)]
        t_consts, t_carry, t_xs = (_given(part) for part in layout.split(tangents))
        constant, varying = self._residual_types()
        counts = [len(part) for part in (constant, t_consts, t_carry, varying, t_xs)]

        def body(*args: Value) -> list[Value]:
            fixed, ts_consts, ts_carry, moving, ts_xs = _parts(args, counts)
            results = iter(run(program, *self._residuals_of_step(fixed, moving), *ts_consts, *ts_carry, *ts_xs))
            outs = [next(results) if h else None for h in has]
            carry = [instantiate(t, x) for t, x, g in zip(outs, self._types[layout.carry], given[layout.carry]) if g]
            return [*carry, *_given(outs[n:])]

        staged = stage_flat(body, [*constant, *t_consts, *t_carry, *varying, *t_xs], current())
        return pruned(staged), given, has[n:]

    # ---- cotangents

    def pull(self, values: Sequence[Value], cotangents: Sequence[Cotangent], params: Params) -> list[Cotangent]:
        """Cotangents of the operands, given the results' (None is zero)."""
        layout = self._layout
        n = layout.carry.stop - layout.carry.start
        given = tuple(c is not None and has for c, has in zip(cotangents, self.has_tangent))
        program, given, pulled = self._derive(("pull", given), lambda: self._pull_body(given))
        carry = [instantiate(c, t) for c, t, g in zip(cotangents, self._types[layout.carry], given) if g]
        sums = [instantiate(None, t) for t in _chosen(self._types[layout.consts], pulled[layout.consts])]
        constant, varying = _chosen(values, [not v for v in self._varies]), _chosen(values, self._varies)
        operands = [*constant, *carry, *sums, *varying, *_chosen(cotangents[n:], given[n:])]
        results = iter(
            scan_p.bind(
                *operands, **params | {"jaxpr": program, "num_consts": len(constant), "num_carry": len(carry) + len(sums),
                "reverse": not params["reverse"]},
            )
        )  # fmt: skip
        ct_init = [next(results) if g else None for g in given[:n]]
        ct_consts = [next(results) if p else None for p in pulled[layout.consts]]
        ct_xs = [next(results) if p else None for p in pulled[layout.xs]]
        return [*ct_consts, *ct_init, *ct_xs]

    def _pull_body(self, given: Mask) -> tuple[ClosedJaxpr, Mask, Mask]:
        layout, n = self._layout, self._layout.carry.stop - self._layout.carry.start
        of_outs = given[n:]

        def taken(carry: Mask) -> Mask:
            return tuple(map(and_, (*carry, *of_outs), self._body.has_tangent))

        ct_carry = fixed_point(given[:n], lambda carry: self._body.pullback(taken(carry))[1][layout.carry], or_)
        given, wanted = (*ct_carry, *of_outs), taken(ct_carry)
        program, pulled = self._body.pullback(wanted)
        types = self._types
        carry_types = [t.to_tangent_aval() for t in _chosen(types[layout.carry], given[:n])]
        sums = [t.to_tangent_aval() for t in _chosen(types[layout.consts], pulled[layout.consts])]
        ct_outs = [t.to_tangent_aval() for t in _chosen(self._body.forward.out_avals[n : self.num_results], given[n:])]
        constant, varying = self._residual_types()
        counts = [len(part) for part in (constant, carry_types, sums, varying, ct_outs)]

        def body(*args: Value) -> list[Value]:
            fixed, cts, totals, moving, cts_outs = _parts(args, counts)
            of_results = iter([*cts, *cts_outs])
            every = [next(of_results) if g else None for g in given]
            results = iter(run(program, *self._residuals_of_step(fixed, moving), *_chosen(every, wanted)))
            found = [next(results) if p else None for p in pulled]
            new = [instantiate(c, t) for c, t, g in zip(found[layout.carry], types[layout.carry], given) if g]
            added = [total + c for total, c in zip(totals, _given(found[layout.consts]))]
            return [*new, *added, *_given(found[layout.xs])]

        staged = stage_flat(body, [*constant, *carry_types, *sums, *varying, *ct_outs], current())
        return pruned(staged), given, pulled

    def _derive(self, key: Key, make: Callable[[], tuple[ClosedJaxpr, Mask, Mask]]) -> tuple[ClosedJaxpr, Mask, Mask]:
        found = self._derived.get(key)
        if found is None:
            found = self._derived[key] = make()
        return found


def _parts(xs: Sequence[Value], counts: Sequence[int]) -> list[Sequence[Value]]:
    """`xs` in consecutive parts of these lengths."""
    out, start = [], 0
    for n in counts:
        out.append(xs[start : start + n])
        start += n
    return out
