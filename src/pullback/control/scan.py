"""scan: a loop whose length is known, with a carried state, consumed inputs and stacked outputs.

The operation `scan` has operands (constants, initial carry, inputs stacked along axis 0) and a body (constants, carry, one input) →
(carry, one output). Every transformation of it is a scan of the transformed body, in which a carry has a tangent, or a batch axis, as soon as
one step gives it one (a fixed point). In reverse mode, the residuals of a step are stacked only if they differ from step to step: constants
and what is computed of them, inputs, outputs and carries that are there anyway are not stored again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.control.loop import (
    ControlPrimitive,
    LinearCallNode,
    depends_on,
    instantiate,
    pruned,
    results_of,
    run,
    simplified,
)
from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr
from pullback.core.linear import Node
from pullback.core.stage import stage_flat
from pullback.core.trace import Params, current
from pullback.core.types import ShapedArray
from pullback.lax.shape import batch_first, move_axis
from pullback.transforms.program import JVP, Batched, Linearization, Mask


class Layout:
    """How the flat operands of a scan divide: constants, carries, inputs; and its results: carries, outputs."""

    __slots__ = ("consts", "carry", "xs")

    def __init__(self, num_consts: int, num_carry: int) -> None:
        self.consts = slice(0, num_consts)
        self.carry = slice(num_consts, num_consts + num_carry)
        self.xs = slice(num_consts + num_carry, None)

    def split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """(constants, carries, inputs)."""
        return operands[self.consts], operands[self.carry], operands[self.xs]


class Scan(ControlPrimitive):
    """See the module's text. `checkpoints` says how reverse mode keeps the carries (see `control.checkpoints`); None keeps all."""

    name = "scan"

    def type_of(self, *types: ShapedArray, **params: Any) -> list[ShapedArray]:
        outs = params["jaxpr"].out_avals
        n, length = params["num_carry"], params["length"]
        return [*outs[:n], *(t.update(shape=(length, *t.shape)) for t in outs[n:])]

    def step_program(self, params: Params) -> ClosedJaxpr | None:
        return params["jaxpr"] if params["checkpoints"] is None else None

    # ---- compilation --------------------------------------------------------------------------------------------

    def lower(self, emit: Any, *operands: Any, jaxpr: ClosedJaxpr, num_consts: int, num_carry: int, length: int, reverse: bool,
              unroll: int, checkpoints: Any) -> list[Any]:  # fmt: skip
        body = simplified(jaxpr)
        consts, init, xs = Layout(num_consts, num_carry).split(operands)
        out_types = body.out_avals[num_carry:]
        stacks = [emit.constant(0, t.dtype, (length, *t.shape)) for t in out_types]
        int32 = ShapedArray((), dtypes.int32)

        def step(i: Any, state: Sequence[Any]) -> list[Any]:
            """The state (carries, stacks) after step number `i`."""
            position = emit("subtract", emit.like(length - 1, i), i, out=int32) if reverse else i
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
        per_pass = max(1, min(unroll, length))
        passes, rest = divmod(length, per_pass)
        if passes == 1 or not length:  # straight-line code
            passes, rest = 0, length
        done = emit.constant(0, dtypes.int32)
        if passes:

            def condition(i: Any, *_: Any) -> Any:
                return emit.compare("LT", i, emit.like(passes * per_pass, i))

            def advance(i: Any, *before: Any) -> list[Any]:
                state = list(before)
                for _ in range(per_pass):
                    state = step(i, state)
                    i = emit("add", i, emit.like(1, i), out=int32)
                return [i, *state]

            done, *state = emit.while_loop(condition, advance, [done, *state])
        for k in range(rest):
            state = step(emit.constant(passes * per_pass + k, dtypes.int32), state)
        return list(state)

    # ---- derivatives --------------------------------------------------------------------------------------------

    def forward_mode(self, primals: Sequence[Any], tangents: Sequence[Any], params: Params) -> Any:
        layout = Layout(params["num_consts"], params["num_carry"])
        active = tuple(t is not None for t in tangents)
        found: ScanJVP = params["jaxpr"].derived(
            ("scan jvp", layout.carry.start, layout.carry.stop, active), ScanJVP, layout, active
        )
        consts, init, xs = layout.split(primals)
        t_consts, t_init, t_xs = layout.split(tangents)
        consts = [*consts, *_given(t_consts)]
        init = [*init, *(instantiate(t, x) for t, x, a in zip(t_init, init, found.active[layout.carry]) if a)]
        sizes = {"num_consts": len(consts), "num_carry": len(init)}
        outs = self.bind(*consts, *init, *xs, *_given(t_xs), **params | {"jaxpr": found.program, **sizes})
        return found.take_apart(outs)

    def linearized(self, primals: Sequence[Any], nodes: Sequence[Node | None], params: Params) -> Any:
        if params["checkpoints"] is not None and params["length"]:  # of no steps there is nothing to keep
            from pullback.control.checkpoints import linearized_scan

            return linearized_scan(self, primals, nodes, params)
        layout = Layout(params["num_consts"], params["num_carry"])
        active = tuple(n is not None for n in nodes)
        key = ("scan linearization", layout.carry.start, layout.carry.stop, active)
        found: ScanLinearization = params["jaxpr"].derived(key, ScanLinearization, layout, active)
        results = self.bind(*primals, **params | {"jaxpr": found.forward})
        outs, stacked = results[: found.num_results], results[found.num_results :]
        values = found.residuals(primals, outs, stacked)
        node = LinearCallNode(
            self.name, values, nodes,
            lambda residuals, ts: found.push(residuals, ts, params),
            lambda residuals, cts: found.pull(residuals, cts, params),
            (found, params["length"], params["reverse"]),
        )  # fmt: skip
        return outs, results_of(node, outs, found.has_tangent)

    # ---- vectorization ------------------------------------------------------------------------------------------

    def batched(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], axis_name: Any, params: Params
    ) -> Any:
        layout = Layout(params["num_consts"], params["num_carry"])
        mapped = tuple(b is not None for b in axes)
        key = ("scan batch", layout.carry.start, layout.carry.stop, size, mapped, axis_name)
        found: ScanBatched = params["jaxpr"].derived(key, ScanBatched, layout, size, mapped, axis_name)
        (consts, init, xs), (b_consts, b_init, b_xs) = layout.split(args), layout.split(axes)
        operands = [
            *(x if b is None else move_axis(x, b, 0) for x, b in zip(consts, b_consts)),
            *(batch_first(x, b, size) if m else x for x, b, m in zip(init, b_init, found.mapped_carry)),
            *(x if b is None else move_axis(x, b, 1) for x, b in zip(xs, b_xs)),
        ]
        outs = self.bind(*operands, **params | {"jaxpr": found.program})
        return outs, [*(0 if m else None for m in found.mapped_carry), *(1 if m else None for m in found.mapped_outs)]


scan_p = Scan()


def _given(xs: Sequence[Any]) -> list[Any]:
    return [x for x in xs if x is not None]


def _either(a: Sequence[bool], b: Sequence[bool]) -> Mask:
    return tuple(x or y for x, y in zip(a, b))


def _chosen(xs: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    return [x for x, wanted in zip(xs, mask) if wanted]


# ---- the body's JVP ---------------------------------------------------------------------------------------------


def _derivative_of_step(
    closed: ClosedJaxpr, layout: Layout, active: Mask, name: str, kind: Callable[..., Any]
) -> tuple[Any, Mask]:
    """The body's derivative of a `kind`, for carries that have tangents as soon as one step gives them some; and which operands have."""
    while True:
        found = closed.derived((name, active), kind, active)
        wider = (*active[layout.consts], *_either(active[layout.carry], found.has_tangent), *active[layout.xs])
        if wider == active:
            return found, active
        active = wider


class ScanJVP:
    """The body of a scan's JVP: (constants, tangents of some, carries, tangents of some, inputs, tangents of some)."""

    __slots__ = ("active", "program", "_num_carry", "_carry_active", "_outs_active")

    def __init__(self, closed: ClosedJaxpr, layout: Layout, active: Mask) -> None:
        n = self._num_carry = layout.carry.stop - layout.carry.start
        jvp: JVP
        jvp, active = _derivative_of_step(closed, layout, active, "jvp", JVP)
        self.active, self._carry_active, self._outs_active = active, active[layout.carry], jvp.has_tangent[n:]
        types = closed.in_avals
        tangents = [t.to_tangent_aval() if a else None for t, a in zip(types, active)]
        parts = [(list(p), _given(t)) for p, t in zip(layout.split(types), layout.split(tangents))]

        def body(*args: Any) -> list[Any]:
            rest = iter(args)
            primals, ts = [], []
            for p, t in parts:
                primals += [next(rest) for _ in p]
                ts += [next(rest) for _ in t]
            results = iter(run(jvp.program, *primals, *ts))
            outs = [next(results) for _ in jvp.has_tangent]
            t_outs = [next(results) if has else None for has in jvp.has_tangent]
            t_carry = [instantiate(t, x) for t, x, a in zip(t_outs, outs, self._carry_active) if a]
            return [*outs[:n], *t_carry, *outs[n:], *_given(t_outs[n:])]

        self.program = pruned(stage_flat(body, [x for p, t in parts for x in (*p, *t)], current()))

    def take_apart(self, results: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Results and tangents of the scan, in the order of its results."""
        rest = iter(results)
        carry = [next(rest) for _ in range(self._num_carry)]
        t_carry = [next(rest) if a else None for a in self._carry_active]
        outs = [next(rest) for _ in self._outs_active]
        t_outs = [next(rest) if a else None for a in self._outs_active]
        return [*carry, *outs], [*t_carry, *t_outs]


# ---- the body over a batch --------------------------------------------------------------------------------------


class ScanBatched:
    """The body over a batch axis, in front of everything that has it."""

    __slots__ = ("mapped_carry", "mapped_outs", "program")

    def __init__(self, closed: ClosedJaxpr, layout: Layout, size: int, mapped: Mask, axis_name: Any) -> None:
        n = layout.carry.stop - layout.carry.start
        while True:
            axes = tuple(0 if m else None for m in mapped)
            found: Batched = closed.derived(("batch", size, axes, axis_name), Batched, size, axes, axis_name)
            wider = (*mapped[layout.consts], *_either(mapped[layout.carry], found.mapped), *mapped[layout.xs])
            if wider == mapped:
                break
            mapped = wider
        self.mapped_carry, self.mapped_outs = mapped[layout.carry], tuple(found.mapped[n:])
        if self.mapped_carry == tuple(found.mapped[:n]):
            self.program = found.program
            return

        def body(*args: Any) -> list[Any]:
            outs = run(found.program, *args)
            carry = [
                batch_first(x, None, size) if wanted and not has else x
                for x, has, wanted in zip(outs, found.mapped, self.mapped_carry)
            ]
            return [*carry, *outs[n:]]

        self.program = stage_flat(body, found.program.in_avals, current())


# ---- the body's linearization -----------------------------------------------------------------------------------


class ScanLinearization:
    """The derivative of a scan in the operands marked in `active`, in two parts.

    `forward` is the body of a scan that gives the results and the residuals that differ from step to step; `push` and `pull` are scans of
    the body's linear programs over residuals.
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
        body: Linearization
        body, active = _derivative_of_step(closed, layout, active, "linearize", Linearization)
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
        without_effects = [e for e in jaxpr.eqns if not e.primitive.has_effect(e.params)]
        of_consts = pruned(
            ClosedJaxpr(Jaxpr(jaxpr.constvars, jaxpr.invars, list(invariant), without_effects), body.forward.consts)
        )
        #: The program of the constants that gives the residuals made of them alone.
        self._invariants = ClosedJaxpr(
            Jaxpr(of_consts.jaxpr.constvars, jaxpr.invars[: layout.carry.start], list(invariant), of_consts.eqns), of_consts.consts
        )  # fmt: skip

    def residuals(self, primals: Sequence[Any], outs: Sequence[Any], stacked: Sequence[Any]) -> list[Any]:
        """The body's residuals, those that differ from step to step stacked, given the scan's operands and results."""
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

    def _residuals_of_step(self, constant: Sequence[Any], varying: Sequence[Any]) -> list[Any]:
        fixed, moving = iter(constant), iter(varying)
        return [next(moving) if v else next(fixed) for v in self._varies]

    # ---- tangents

    def push(self, values: Sequence[Any], tangents: Sequence[Any], params: Params) -> list[Any]:
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

    def _push_body(self, given: Mask) -> Any:
        layout, n = self._layout, self._layout.carry.stop - self._layout.carry.start
        while True:
            program, has = self._body.pushforward(given)
            wider = (*given[layout.consts], *_either(given[layout.carry], has), *given[layout.xs])
            if wider == given:
                break
            given = wider
        tangents = [t.to_tangent_aval() if g else None for t, g in zip(self._types, given)]
        t_consts, t_carry, t_xs = (_given(part) for part in layout.split(tangents))
        constant, varying = self._residual_types()
        counts = [len(part) for part in (constant, t_consts, t_carry, varying, t_xs)]

        def body(*args: Any) -> list[Any]:
            fixed, ts_consts, ts_carry, moving, ts_xs = _parts(args, counts)
            results = iter(run(program, *self._residuals_of_step(fixed, moving), *ts_consts, *ts_carry, *ts_xs))
            outs = [next(results) if h else None for h in has]
            carry = [instantiate(t, x) for t, x, g in zip(outs, self._types[layout.carry], given[layout.carry]) if g]
            return [*carry, *_given(outs[n:])]

        staged = stage_flat(body, [*constant, *t_consts, *t_carry, *varying, *t_xs], current())
        return pruned(staged), given, has[n:]

    # ---- cotangents

    def pull(self, values: Sequence[Any], cotangents: Sequence[Any], params: Params) -> list[Any]:
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

    def _pull_body(self, given: Mask) -> Any:
        layout, n = self._layout, self._layout.carry.stop - self._layout.carry.start
        while True:
            taken = tuple(g and has for g, has in zip(given, self._body.has_tangent))
            program, pulled = self._body.pullback(taken)
            wider = (*_either(given[:n], pulled[layout.carry]), *given[n:])
            if wider == given:
                break
            given = wider
        types = self._types
        ct_carry = [t.to_tangent_aval() for t in _chosen(types[layout.carry], given[:n])]
        sums = [t.to_tangent_aval() for t in _chosen(types[layout.consts], pulled[layout.consts])]
        ct_outs = [t.to_tangent_aval() for t in _chosen(self._body.forward.out_avals[n : self.num_results], given[n:])]
        constant, varying = self._residual_types()
        counts = [len(part) for part in (constant, ct_carry, sums, varying, ct_outs)]

        def body(*args: Any) -> list[Any]:
            fixed, cts, totals, moving, cts_outs = _parts(args, counts)
            of_results = iter([*cts, *cts_outs])
            every = [next(of_results) if g else None for g in given]
            results = iter(run(program, *self._residuals_of_step(fixed, moving), *_chosen(every, taken)))
            found = [next(results) if p else None for p in pulled]
            new = [instantiate(c, t) for c, t, g in zip(found[layout.carry], types[layout.carry], given) if g]
            added = [total + c for total, c in zip(totals, _given(found[layout.consts]))]
            return [*new, *added, *_given(found[layout.xs])]

        staged = stage_flat(body, [*constant, *ct_carry, *sums, *varying, *ct_outs], current())
        return pruned(staged), given, pulled

    def _derive(self, key: Any, make: Any) -> Any:
        found = self._derived.get(key)
        if found is None:
            found = self._derived[key] = make()
        return found


def _parts(xs: Sequence[Any], counts: Sequence[int]) -> list[Sequence[Any]]:
    """`xs` in consecutive parts of these lengths."""
    out, start = [], 0
    for n in counts:
        out.append(xs[start : start + n])
        start += n
    return out
