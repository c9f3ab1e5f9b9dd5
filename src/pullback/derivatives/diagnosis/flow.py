"""What flows through an observed function: where NaNs and infinities come from, forwards and backwards, and where
cotangents end.

A value is *flawed* if it has a NaN or an infinity. Its origin is the step that gave the first flawed value of those
that it was made of. Infinities among constants (masks) are no origins; a NaN that is made of them is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.jaxpr import run
from pullback.core.trace import EVAL, under
from pullback.derivatives.diagnosis.observation import Observation, Observed, Step, Turn, primal
from pullback.transforms.closures import Residual
from pullback.transforms.custom_jvp import CustomJVPCall
from pullback.transforms.custom_rules import CustomCall
from pullback.transforms.custom_vjp import CustomVJPCall
from pullback.transforms.program import ProgramCall

if TYPE_CHECKING:
    from pullback.core.names import Cotangent, Function, NumPyValue, Value


class Origin(NamedTuple):
    """The first flawed value: result number `place` of `step`; or the cotangent of its operand of that number,
    made of the results' cotangents `cts`. Without a step it is argument number `place` (or, backwards, the
    cotangent that was given). `added` says that it is a sum of cotangents that are not flawed. `order` counts the
    steps up to it, and `within` says in which rule it is.

    Example: result 0 of `log`, at x = 0.
    """

    step: Step | None
    place: int
    order: int
    value: Value
    cts: Sequence[Cotangent] = ()
    added: bool = False
    within: tuple[str, ...] = ()


def is_flawed(x: Value) -> bool:
    """Whether an array has a NaN or an infinity.

    >>> is_flawed(concrete(np.float32([1, np.inf])))
    True
    """
    return dtypes.is_inexact(x.dtype) and not np.isfinite(numbers(x)).all()


def has_nan(x: Value) -> bool:
    """Whether an array has a NaN."""
    return dtypes.is_inexact(x.dtype) and bool(np.isnan(numbers(x)).any())


def numbers(x: Value) -> NumPyValue:
    """An array's numbers, as NumPy's."""
    return np.asarray(primal(x))


def magnitude(x: Value) -> float:
    """The largest absolute value of what is finite; 0 if there is nothing."""
    values = np.abs(numbers(x).astype(np.complex128 if dtypes.is_complex(x.dtype) else np.float64))
    return float(np.max(values, initial=0.0, where=np.isfinite(values)))


# ---- forwards ------------------------------------------------------------------------------------


class Forward:
    """The origins of an observation's flawed values, by number; None is a constant.

    Example: of `log(x) + 1` at 0: `log` is the origin of its result, and of the sum.
    """

    def __init__(self, seen: Observation, inputs: Sequence[Observed]) -> None:
        self.origins: dict[int, Origin | None] = {}
        for i, x in enumerate(inputs):
            if is_flawed(x):
                self.origins[x.number] = Origin(None, i, -1, x.primal)
        for order, step in enumerate(seen.steps):
            for place, r in enumerate(step.results):
                if is_flawed(r):
                    self.origins[r.number] = self._origin(step, place, order, r)

    def _origin(self, step: Step, place: int, order: int, result: Observed) -> Origin | None:
        flawed = [x for x in step.operands if is_flawed(x)]
        known = [self.origins.get(x.number) for x in flawed if isinstance(x, Observed)]
        found = [o for o in known if o is not None]
        if found:
            return min(found, key=lambda o: o.order)
        if not flawed or (has_nan(result) and not any(map(has_nan, flawed))):
            return Origin(step, place, order, result.primal)
        return None

    def of(self, values: Iterable[Value]) -> Origin | None:
        """The first origin of some values."""
        found = [self.origins.get(x.number) for x in values if isinstance(x, Observed)]
        return min((o for o in found if o is not None), key=lambda o: o.order, default=None)


# ---- backwards -----------------------------------------------------------------------------------


@dataclass
class Block:
    """Where cotangents that are not zero give the cotangent zero: of an operand that has a derivative in the
    arguments `active`, in `killed` of `total` elements, so often; `kind` is "zero", "underflow" or "cancel".

    Example: `max(x, 0)`, for x < 0.
    """

    kind: str
    step: Step
    operand: int
    active: int
    entire: bool
    killed: int = 0
    total: int = 0
    times: int = 0


class Backward:
    """Cotangents pulled through an observation, last step first: of the inputs, in `cotangents` (by number; absent is
    zero). With `watch`, also the origins of flawed ones, where they end, and how large they are.

    Example: `Backward(seen, [(result, one)])`.
    """

    def __init__(self, seen: Observation, seeds: Iterable[tuple[Observed, Cotangent]], watch: bool = True) -> None:
        self.cotangents: dict[int, Any] = {}
        self.origins: dict[int, Origin] = {}
        self.blocks: dict[Any, Block] = {}
        #: How large the cotangents of the states of a loop are, by its run: by the step that made the state.
        self.courses: dict[int, dict[Turn, float]] = {}
        #: The largest cotangent, and the smallest that is not zero, each with its step.
        self.largest: tuple[float, Step | None] = (0.0, None)
        self.smallest: tuple[float, Step | None] = (np.inf, None)
        self._watch = watch
        under(EVAL, self._run, seen, seeds)

    def _run(self, seen: Observation, seeds: Iterable[tuple[Observed, Cotangent]]) -> None:
        for x, ct in seeds:
            if self._watch and is_flawed(ct):
                self.origins[x.number] = Origin(None, -1, -1, ct)
            old = self.cotangents.get(x.number)
            self.cotangents[x.number] = ct if old is None else old + ct
        for order, step in enumerate(reversed(seen.steps)):
            cts = [self.cotangents.pop(i, None) for i in step.numbers]
            if not any([ct is not None for ct in cts]):
                continue
            found = step.pull(cts)
            if self._watch:
                self._look(seen, step, order, cts, found)
            for i, (x, ct) in enumerate(zip(step.operands, found)):
                if ct is not None and isinstance(x, Observed):
                    self._add(step, i, order, x, ct)

    def _add(self, step: Step, i: int, order: int, x: Observed, ct: Cotangent) -> None:
        old = self.cotangents.get(x.number)
        if old is None:
            self.cotangents[x.number] = ct
            return
        both = self.cotangents[x.number] = old + ct
        if not self._watch:
            return
        if x.number not in self.origins and is_flawed(both):
            self.origins[x.number] = Origin(step, i, order, both, [old, ct], added=True)
        if not np.any(numbers(both)) and np.any(numbers(old)):
            self._block("cancel", step, i, entire=True)

    def _look(
        self, seen: Observation, step: Step, order: int, cts: Sequence[Cotangent], found: Sequence[Cotangent]
    ) -> None:
        inherited = [self.origins[n] for n in step.numbers if n in self.origins]
        alive = any([ct is not None and np.any(numbers(ct)) for ct in cts])
        for n, ct in zip(step.numbers, cts):
            turn = seen.states.get(n)
            if turn is not None and ct is not None and (size := magnitude(ct)):
                course = self.courses.setdefault(turn.run, {})
                course[turn] = max(size, course.get(turn, 0.0))
        for i, (x, ct) in enumerate(zip(step.operands, found)):
            if not isinstance(x, Observed) or not step.has_link[i]:
                continue
            if ct is not None and is_flawed(ct) and x.number not in self.origins:
                first = min(inherited, key=lambda o: o.order, default=None)
                self.origins[x.number] = first or Origin(step, i, order, ct, cts)
            if alive and step.differentiates:
                self._ends(step, i, cts, ct)
            size = 0.0 if ct is None else magnitude(ct)
            if size > self.largest[0]:
                self.largest = size, step
            if 0 < size < self.smallest[0]:
                self.smallest = size, step

    def _ends(self, step: Step, i: int, cts: Sequence[Cotangent], ct: Cotangent) -> None:
        """Write down where the cotangent of an operand is zero and those of the results are not."""
        if ct is None or not np.any(numbers(ct)):
            self._block("underflow" if _vanished(step, i, cts) else "zero", step, i, entire=True)
        elif len(cts) == 1 and cts[0].shape == ct.shape and ct.shape:
            given = numbers(cts[0]) != 0
            killed = int(np.count_nonzero(given & (numbers(ct) == 0)))
            if killed:
                self._block("zero", step, i, False, killed, int(np.count_nonzero(given)))

    def _block(self, kind: str, step: Step, i: int, entire: bool, killed: int = 0, total: int = 0) -> None:
        key = (kind, step.operation, step.line, i, entire, step.operands[i].active)
        block = self.blocks.setdefault(key, Block(kind, step, i, step.operands[i].active, entire))
        block.killed, block.total, block.times = block.killed + killed, block.total + total, block.times + 1

    def origin_of(self, values: Iterable[Observed]) -> Origin | None:
        """The first origin, in the order of the backward pass, of the cotangents of some values."""
        found = [self.origins[x.number] for x in values if x.number in self.origins]
        return min(found, key=lambda o: o.order, default=None)


def _vanished(step: Step, i: int, cts: Sequence[Cotangent]) -> bool:
    """Whether the cotangent of an operand is zero only because those of the results are so small."""
    size = max([magnitude(ct) for ct in cts if ct is not None])
    if not 0 < size < 1:
        return False
    larger = [None if ct is None else concrete(np.asarray(numbers(ct) / size, ct.dtype)) for ct in cts]
    ct = step.pull(larger)[i]
    return ct is not None and bool(np.any(numbers(ct)))


# ---- into calls ----------------------------------------------------------------------------------


def opened_forward(origin: Origin, detail: int) -> Origin:
    """The origin within the call that a step is, if it is found there."""
    step = origin.step
    if step is None:
        return origin
    call: Any = step.operation
    values: Sequence[Value] = [primal(x) for x in step.operands]
    seen = Observation(detail, step.turns)
    within: tuple[str, ...] = ()
    fun = _program_of(step, seen)
    if fun is None and isinstance(call, CustomCall):
        params = step.params
        if "call_jaxpr" in params:
            values, params = call.opened(values, params)
        fun = params["fun"]
        within = (f"in {step.name}",)
    if fun is None:
        return origin
    inputs, outs = seen.run(fun, *values)
    found = Forward(seen, inputs).of(outs)
    return _deeper(origin, found, within, opened_forward, detail)


def opened_backward(origin: Origin, detail: int) -> Origin:
    """The same of the backward pass: within a program's backward pass, or a custom rule."""
    step = origin.step
    if step is None or origin.added:
        return origin
    call: Any = step.operation
    values: Sequence[Value] = [primal(x) for x in step.operands]
    seen = Observation(detail, step.turns)
    fun = _program_of(step, seen)
    if fun is not None:
        inputs, outs = seen.run(fun, *values)
        seeds = [(x, ct) for x, ct in zip(outs, origin.cts) if isinstance(x, Observed) and x.active and ct is not None]
        found = Backward(seen, seeds).origin_of(inputs)
        return _deeper(origin, found, (), opened_backward, detail)
    if isinstance(call, CustomCall):
        params = step.params
        if "call_jaxpr" in params:
            values, params = call.opened(values, params)
        rule = _jvp_rule if isinstance(call, CustomJVPCall) else _vjp_rule if isinstance(call, CustomVJPCall) else None
        if rule is not None:
            found = rule(seen, step, params, values, origin.cts)
            return _deeper(origin, found, (f"in the rule of {step.name}",), opened_forward, detail)
    return origin


def _program_of(step: Step, seen: Observation) -> Function | None:
    """What a step does that is many operations: a loop's body, or steps of a scan."""
    if isinstance(step.operation, ProgramCall):
        return partial(run, step.params["jaxpr"])
    if step.first is not None:
        first = step.first
        return lambda *xs: seen.scan(xs, step.params, step.line, first)
    return None


def _deeper(
    outer: Origin, found: Origin | None, within: tuple[str, ...], opened: Callable[[Origin, int], Origin], detail: int
) -> Origin:
    if found is None or found.step is None:
        return outer
    found = opened(found, detail)
    return found._replace(within=(*outer.within, *within, *found.within))


def _jvp_rule(
    seen: Observation, step: Step, params: Any, values: Sequence[Value], cts: Sequence[Cotangent]
) -> Origin | None:
    """The first flawed value that a `custom_jvp` rule computes, for tangents of ones."""
    active = [dtypes.is_inexact(x.dtype) for x in values]
    ones = [concrete(np.ones(x.shape, x.dtype)) for x, a in zip(values, active) if a]

    def rule(*xs: Value) -> list[Value]:
        rest = iter(xs[len(values) :])
        outs, tangents = params["rule"](xs[: len(values)], [next(rest) if a else None for a in active])
        return [*tangents, *outs]

    inputs, outs = seen.run(rule, *values, *ones)
    return Forward(seen, inputs).of(outs)


def _vjp_rule(
    seen: Observation, step: Step, params: Any, values: Sequence[Value], cts: Sequence[Cotangent]
) -> Origin | None:
    """The first flawed value that the backward function of a `custom_vjp` computes."""
    _, residual = under(EVAL, params["fwd"], values, [dtypes.is_inexact(x.dtype) for x in values])
    count, given = len(residual.arrays), [ct for ct in cts if ct is not None]

    def backward(*xs: Value) -> list[Value]:
        rest = iter(xs[count:])
        found = params["bwd"](Residual(xs[:count], residual.layout), [None if ct is None else next(rest) for ct in cts])
        return [ct for ct in found if ct is not None]

    inputs, outs = seen.run(backward, *residual.arrays, *given)
    return Forward(seen, inputs).of(outs)


__all__ = [
    "Backward", "Block", "Forward", "Origin", "has_nan", "is_flawed", "magnitude", "numbers", "opened_backward",
    "opened_forward",
]  # fmt: skip
