"""A function run operation by operation, with everything that a diagnosis of its derivative asks of it.

An `Observation` is a trace. Every operation is evaluated, and linearized on its own: a `Step` has operands,
results, the line of the user's code, and the derivative of this one operation, so that cotangents can be pulled
through one step after the other and looked at in between. Calls of programs (`jit`, `checkpoint`) are run as what
they call, conditionals as the branch that is taken, loops step by step; calls with derivatives of their own
(custom rules, solvers) are one step. Steps of loops beyond a number of operations are one step each, compiled.

An `Observed` value knows two sets of arguments (bits of an integer): those that it depends on, and those that it
has a derivative in. Where a value leaves the program (`float(x)`, `if x > 0`), that is written down, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import count
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.control.branches import cond, cond_p, switch
from pullback.control.scan import Layout, scan_p
from pullback.control.while_loop import split, while_p
from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.errors import describe_location, source_location
from pullback.core.jaxpr import ClosedJaxpr, run, subjaxprs
from pullback.core.linear import Cotangents, Input, Node, reachable, zeros
from pullback.core.trace import EVAL, Params, Trace, Tracer, evaluable, under
from pullback.transforms.closures import primal_functions
from pullback.transforms.jit import jit_p
from pullback.transforms.linearize import LinearizeTrace
from pullback.transforms.program import ProgramCall, used_arguments

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Cotangent, Function, NumPyValue, Operand, Result, Value
    from pullback.core.primitive import Primitive
    from pullback.core.types import Shape, ShapedArray
    from pullback.transforms.call import CallPrimitive


#: The number of parts in which the steps of a scan are looked at that are too many to be followed one by one.
_PARTS = 64


class Turn(NamedTuple):
    """One step of a loop: the number `step` of the `loop` (its name and line), which is run number `run` of a
    loop.

    >>> str(Turn("scan at model.py:12 (forward)", 3, 0))
    'step 3 of the scan at model.py:12 (forward)'
    """

    loop: str
    step: int
    run: int

    def __str__(self) -> str:
        return f"step {self.step} of the {self.loop}"


class Observed(Tracer):
    """A value of the function: its array `primal`, its `number`, and the arguments that it depends on (`reach`)
    and has a derivative in (`active`), as bits.

    Example: `x > 0`, where x is argument 0: it reaches the argument (1) and has no derivative in it (0).
    """

    __slots__ = ("primal", "number", "reach", "active")
    primal: Any

    def __init__(self, trace: Trace, primal: Value, number: int, reach: int, active: int) -> None:
        self._trace, self.primal, self.number, self.reach, self.active = trace, primal, number, reach, active

    @property
    def shape(self) -> Shape:
        return self.primal.shape

    @property
    def dtype(self) -> DType:
        return self.primal.dtype

    @property
    def weak_type(self) -> bool:
        return self.primal.weak_type

    def concrete(self) -> ConcreteArray | None:
        # A conditional on a known value is its branch, and the others are not seen. So to conditionals it is unknown.
        if sys._getframe(2).f_code in _CHOOSING:
            return None
        return self.primal

    def _known(self, error: type[Exception]) -> ConcreteArray:
        self._left(sys._getframe(1).f_code.co_name)
        return self.primal

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._left("numpy.asarray")
        return np.array(self.primal, dtype) if copy else np.asarray(self.primal, dtype)

    def _left(self, how: str) -> None:
        if self.reach and isinstance(self._trace, Observation):
            how = {"tolist": "x.tolist()", "item": "x.item()", "tobytes": "x.tobytes()"}.get(
                how, f"{how.strip('_')}(x)"
            )
            self._trace.departures.append(Departure(how, describe_location(source_location()), self.reach))


#: The functions that make another program of it whether a value is known.
_CHOOSING = frozenset([cond.__code__, switch.__code__])


class Departure(NamedTuple):
    """Where a value that depends on the arguments `reach` became a number of Python's or an array of NumPy's.

    Example: `float(x)`, at the line where it stands.
    """

    how: str
    line: str
    reach: int


class Untaken(NamedTuple):
    """A conditional with branches that were not taken, which alone read values that depend on the arguments
    `reach`.

    Example: `cond(x > 0, f, g, x, y)` for x = 1, where y is read by g only.
    """

    line: str
    reach: int


class Step:
    """One operation: `operands` and `results` (`Observed`s, or arrays that are constants), the `turns` of the loops
    that it stands in, outermost first, and its `line`.

    `has_link` says for each operand whether a result has a derivative in it. Of a part of a scan, `first` is the
    number of its first step.

    Example: `sin` of a value, with its result.
    """

    __slots__ = ("operation", "params", "operands", "results", "line", "turns", "has_link", "first", "_nodes", "_pull")

    def __init__(
        self, operation: Primitive, params: Params, operands: Sequence[Value], line: str, turns: tuple[Turn, ...]
    ) -> None:
        self.operation, self.params, self.operands, self.line, self.turns = operation, params, operands, line, turns
        self.results: Sequence[Any] = ()
        self.has_link: Sequence[bool] = ()
        self.first: int | None = None
        #: Nodes of the operands' tangents and of the results'; or, of what only moves values, how it is transposed.
        self._nodes: tuple[Sequence[Node | None], Sequence[Node | None]] = ((), ())
        self._pull: Callable[[Sequence[Cotangent]], Sequence[Cotangent]] | None = None

    @property
    def name(self) -> str:
        """The operation's name; of a custom rule with that of its function.

        Example: "sin", or "custom_jvp_call of f".
        """
        of = self.params.get("name") if not self.operation.plain else None
        return f"{self.operation.name} of {of}" if isinstance(of, str) else self.operation.name

    @property
    def differentiates(self) -> bool:
        """Whether it has a derivative of its own, and does not only pass values on."""
        return self._pull is None

    @property
    def numbers(self) -> list[int]:
        """The numbers of the results."""
        return [r.number for r in self.results]

    def pull(self, cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
        """The cotangents of the operands, given those of the results (None is zero, both ways)."""
        if self._pull is not None:
            return self._pull(cts)
        before, after = self._nodes
        cotangents = Cotangents()
        for node, ct in zip(after, cts):
            if node is not None and ct is not None:
                cotangents.add(node, ct)
        cotangents.pull()
        return [None if n is None else cotangents.get(n) for n in before]


class Observation(Trace):
    """The trace. `steps` are the operations in their order; `detail` is the number of operations up to which the
    steps of loops are followed operation by operation.

    Example: of `sin(x) * x`: two steps, `sin` and `mul`.
    """

    __slots__ = ("steps", "departures", "untaken", "states", "detail", "_turns", "_numbers", "_runs", "_linearize")

    def __init__(self, detail: int, turns: tuple[Turn, ...] = ()) -> None:
        self.parent, self.detail = EVAL, detail
        self.steps: list[Step] = []
        self.departures: list[Departure] = []
        self.untaken: list[Untaken] = []
        #: The values, by number, that a step of a loop has made for the next one, with this step.
        self.states: dict[int, Turn] = {}
        self._turns = turns
        self._numbers, self._runs = count(), count()
        self._linearize = LinearizeTrace(EVAL)

    def new_input(self, x: Value, bit: int) -> Observed:
        """The argument that is number `bit` of those that are looked at; -1 is none."""
        own = 1 << bit if bit >= 0 else 0
        return Observed(self, x, next(self._numbers), own, own if dtypes.is_inexact(x.dtype) else 0)

    def run(self, fun: Function, *values: Value) -> tuple[list[Observed], list[Any]]:
        """The inputs and results of a function of flat arrays, all of which are looked at."""
        inputs = [self.new_input(x, i) for i, x in enumerate(values)]
        return inputs, list(under(self, fun, *inputs))

    # ---- operations

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        line = describe_location(source_location())
        outs = self._linearized(self._linearize.process, primitive, args, params, line).results
        return list(outs) if primitive.multiple_results else outs[0]

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        if isinstance(call, ProgramCall):
            return run(params["jaxpr"], *map(self._own, args))
        line = describe_location(source_location())
        if call is cond_p:
            return self._conditional(args, params, line)
        if call is scan_p:
            return self.scan(args, params, line)
        if call is while_p:
            return self._while(args, params, line)
        return self._call(call, args, params, line)

    def _call(self, call: CallPrimitive, args: Sequence[Operand], params: Params, line: str) -> list[Value]:
        """A call as one step."""
        if call.is_closed:
            return list(self._linearized(self._linearize.process_call, call, args, params, line).results)
        inner, met = primal_functions(params, self)
        results = self._linearized(self._linearize.process_call, call, args, inner, line).results
        if met():
            # It closes over values that are looked at. In a program these are operands.
            self.steps.pop()
            captured, params = call.as_equation([as_array(a).aval for a in args], params)
            replayed = lambda call, args, params: call.bind(*args, **params)
            results = self._linearized(replayed, call, [*captured, *args], params, line).results
        return list(results)

    def _own(self, x: Operand) -> Value:
        """An operand: one of this trace's values, or an array that is a constant to it."""
        if x.__class__ is Observed and x._trace is self:
            return x
        x = x if isinstance(x, Array) else as_array(x)
        self.check_constant(x)
        return x

    def _linearized(
        self, how: Function, operation: Primitive, args: Sequence[Operand], params: Params, line: str
    ) -> Step:
        operands = [self._own(a) for a in args]
        step = Step(operation, params, operands, line, self._turns)
        trace = self._linearize
        nodes = [
            Input(x.shape, x.dtype, x.weak_type) if x.__class__ is Observed and x.active else None for x in operands
        ]
        values = [trace.wrap(x.primal if x.__class__ is Observed else x, n) for x, n in zip(operands, nodes)]
        out = under(trace, how, operation, tuple(values), params)
        pairs = [trace.unwrap(o) for o in (out if operation.multiple_results else [out])]
        after = [n for _, n in pairs]
        step._nodes = nodes, after
        # Which operands a result has a derivative in; of the usual single result at once.
        met = [{n.id for n in reachable([node])} if node is not None else set() for node in after]
        active = [0] * len(pairs)
        step.has_link = [n is not None and any([n.id in ids for ids in met]) for n in nodes]
        for x, n in zip(operands, nodes):
            if n is not None:
                active = [a | x.active if n.id in ids else a for a, ids in zip(active, met)]
        self._finish(step, [v for v, _ in pairs], active)
        return step

    def _finish(self, step: Step, values: Sequence[Value], active: Sequence[int]) -> list[Observed]:
        reach = 0
        for x in step.operands:
            if x.__class__ is Observed:
                reach |= x.reach
        found = [Observed(self, v, next(self._numbers), reach, a) for v, a in zip(values, active)]
        step.results = found
        self.steps.append(step)
        return found

    def _moved(
        self,
        operation: Primitive,
        operands: Sequence[Value],
        values: Sequence[Value],
        line: str,
        pull: Callable[[Sequence[Cotangent]], Sequence[Cotangent]],
        active: Sequence[int],
        has_link: Sequence[bool],
    ) -> list[Observed]:
        """The results of a step that only passes values on: `pull` says which cotangent is whose."""
        step = Step(operation, {}, operands, line, self._turns)
        step._pull, step.has_link = pull, has_link
        return self._finish(step, values, active)

    # ---- control flow

    def _turn(self, turn: Turn, body: ClosedJaxpr, args: Sequence[Value], num_carry: int, line: str) -> list[Value]:
        """The results of a loop's body, of which the first `num_carry` are the state: operation by operation or, where
        that would be too many, as one step."""
        outside = self._turns
        try:
            self._turns = (*outside, turn)
            if len(self.steps) + body.derived("operations", _operations) <= self.detail:
                outs = run(body, *args)
            else:
                outs = self._call(jit_p, args, {"jaxpr": body, "name": "a loop's body", "options": None}, line)
        finally:
            self._turns = outside
        self._note_state(turn, outs[:num_carry])
        return outs

    def _note_state(self, turn: Turn, state: Sequence[Value]) -> None:
        self.states.update((x.number, turn) for x in state if x.__class__ is Observed)

    def _conditional(self, args: Sequence[Operand], params: Params, line: str) -> Sequence[Value]:
        index, *operands = map(self._own, args)
        branches: Sequence[ClosedJaxpr] = params["branches"]
        taken = min(max(int(_value(index)), 0), len(branches) - 1)
        reads = [used_arguments(b) for b in branches]
        reach = 0
        for i, x in enumerate(operands):
            if x.__class__ is Observed and not reads[taken][i] and any(r[i] for r in reads):
                reach |= x.reach
        if reach:
            self.untaken.append(Untaken(line, reach))
        return self._decided(cond_p, [index], run(branches[taken], *operands), line)

    def _decided(
        self, operation: Primitive, by: Sequence[Value], results: Sequence[Value], line: str
    ) -> Sequence[Value]:
        """Results of a program that was chosen by some values: they depend on these."""
        by = [x for x in by if x.__class__ is Observed and x.reach]
        if not by or not results:
            return results
        active = [x.active if x.__class__ is Observed else 0 for x in results]
        return self._moved(
            operation, [*by, *results], [primal(x) for x in results], line, lambda cts: [None] * len(by) + list(cts),
            active, [*(False for _ in by), *(a != 0 for a in active)],
        )  # fmt: skip

    def scan(self, args: Sequence[Operand], params: Params, line: str, first: int = 0) -> Sequence[Value]:
        """The results of a scan whose first step has this number: some steps in detail, and the others in parts, of
        many steps each."""
        body, length, num_carry = params["jaxpr"], params["length"], params["num_carry"]
        consts, init, xs = Layout(params["num_consts"], num_carry).split(list(map(self._own, args)))
        detailed = min(
            length, max(1, (self.detail - len(self.steps)) // max(1, body.derived("operations", _operations)))
        )
        size = -(-(length - detailed) // _PARTS)
        parts = [(k, 1) for k in range(detailed)]
        parts += [(k, min(size, length - k)) for k in range(detailed, length, size or 1)]
        places = [slice(length - k - n, length - k) if params["reverse"] else slice(k, k + n) for k, n in parts]
        of_xs = [self._taken_apart(x, places, detailed, line) for x in xs]
        of_ys: list[list[Any]] = [[] for _ in body.out_avals[num_carry:]]
        carry, run_of_loop = list(init), next(self._runs)
        for (k, n), *rows in zip(parts, *of_xs):
            operands = [*consts, *carry, *rows]
            turn = Turn(f"scan at {line}", first + k + n - 1, run_of_loop)
            if k < detailed:
                outs = self._turn(turn, body, operands, num_carry, line)
            else:
                outs = self._call(scan_p, operands, params | {"length": n}, line)
                self.steps[-1].first = first + k
                self._note_state(turn, outs[:num_carry])
            carry = list(outs[:num_carry])
            for of_y, y in zip(of_ys, outs[num_carry:]):
                of_y.append(y)
        types = scan_p.type_of(**params)[num_carry:]
        stacks = [self._put_together(y, t, places, detailed, line) for y, t in zip(of_ys, types)]
        return self._left_loop(scan_p, [*carry, *stacks], line)

    def _taken_apart(self, x: Value, places: Sequence[slice], detailed: int, line: str) -> Sequence[Value]:
        """Parts along axis 0, of which the first are single elements."""
        value = _value(x)
        rows = [value[place.start] if i < detailed else value[place] for i, place in enumerate(places)]
        elements = [concrete(row, x.weak_type) for row in rows]
        if x.__class__ is not Observed or not elements:
            return elements

        def pull(cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            whole = np.zeros(x.shape, x.dtype)
            for place, ct in zip(places, cts):
                if ct is not None:
                    whole[place] = np.asarray(ct)
            return [concrete(whole)]

        return self._moved(scan_p, [x], elements, line, pull, [x.active] * len(elements), [x.active != 0])

    def _put_together(
        self, ys: Sequence[Value], t: ShapedArray, places: Sequence[slice], detailed: int, line: str
    ) -> Value:
        """The inverse."""
        whole = np.empty(t.shape, t.dtype)
        for place, y in zip(places, ys):
            whole[place] = _value(y)
        active = [y.active if y.__class__ is Observed else 0 for y in ys]

        def pull(cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            rows = np.asarray(cts[0])
            parts = [rows[place.start] if i < detailed else rows[place] for i, place in enumerate(places)]
            return [concrete(part) if a else None for part, a in zip(parts, active)]

        of_any = reduce(or_, active, 0)
        value = concrete(whole, t.weak_type)
        return self._moved(scan_p, ys, [value], line, pull, [of_any], [a != 0 for a in active])[0]

    def _left_loop(self, loop: Primitive, results: Sequence[Value], line: str) -> Sequence[Value]:
        """The results of a loop. If any has a cotangent, all have: the backward loop starts with zeros, and what
        they are multiplied by may be infinite."""
        active = [x.active if x.__class__ is Observed else 0 for x in results]

        def pull(cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            return [zeros(x.shape, x.dtype) if ct is None and a else ct for x, ct, a in zip(results, cts, active)]

        return self._moved(loop, results, list(map(primal, results)), line, pull, active, [a != 0 for a in active])

    def _unstacked(self, x: Value, length: int, line: str) -> Sequence[Value]:
        """The elements along axis 0."""
        value = _value(x)
        elements = [concrete(value[k], x.weak_type) for k in range(length)]
        if x.__class__ is not Observed or not length:
            return elements

        def pull(cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            zero = np.zeros(x.shape[1:], x.dtype)
            return [concrete(np.stack([zero if ct is None else np.asarray(ct) for ct in cts]))]

        return self._moved(scan_p, [x], elements, line, pull, [x.active] * length, [x.active != 0])

    def _stacked(self, ys: Sequence[Value], t: Any, line: str) -> Value:
        if not ys:
            return concrete(np.zeros(t.shape, t.dtype), t.weak_type)
        value = concrete(np.stack([_value(y) for y in ys]), t.weak_type)
        active = [y.active if y.__class__ is Observed else 0 for y in ys]
        whole = 0
        for a in active:
            whole |= a

        def pull(cts: Sequence[Cotangent]) -> Sequence[Cotangent]:
            (ct,) = cts
            elements = [None] * len(ys) if ct is None else [concrete(c) for c in np.asarray(ct)]
            return [c if a else None for c, a in zip(elements, active)]

        return self._moved(scan_p, ys, [value], line, pull, [whole], [a != 0 for a in active])[0]

    def _while(self, args: Sequence[Operand], params: Params, line: str) -> Sequence[Value]:
        goes_on, body = params["cond_jaxpr"], params["body_jaxpr"]
        of_cond, of_body, state = map(list, split(list(map(self._own, args)), params))
        run_of_loop = next(self._runs)
        for number in count():
            (holds,) = under(EVAL, run, goes_on, *map(primal, [*of_cond, *state]))
            if not _value(holds):
                break
            turn = Turn(f"while at {line}", number, run_of_loop)
            state = self._turn(turn, body, [*of_body, *state], len(state), line)
        read = [x for x, used in zip([*of_cond, *state], used_arguments(goes_on)) if used]
        return self._decided(while_p, read, self._left_loop(while_p, state, line), line)


def _operations(closed: ClosedJaxpr) -> int:
    """How many operations a program has, those of programs within it counted once."""
    return sum(1 + sum(_operations(p) for p in subjaxprs(e.params)) for e in closed.eqns)


def primal(x: Value) -> Value:
    """The array that a value is, observed or not."""
    return x.primal if x.__class__ is Observed else x


def _value(x: Value) -> NumPyValue:
    return evaluable(primal(x))._value


__all__ = ["Departure", "Observation", "Observed", "Step", "Turn", "Untaken", "primal"]
