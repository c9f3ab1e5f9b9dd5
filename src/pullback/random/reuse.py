"""debug_key_reuse: a random key that is consumed twice is an error.

Every key has a number: each element of an array of keys its own. What makes keys (seeds, splits,
`fold_in`, `clone`) gives new numbers; what moves keys (indices, reshapes, selections, ...) moves
their numbers along, by evaluating itself on them; what draws from keys or splits them consumes
theirs. In eager code each operation does so when it is evaluated. Through a program numbers are
followed once, equation by equation: its account says which of its arguments' keys it consumes, and
each call consumes those. Keys at a place that is not known while tracing count as new ones, so that
nothing is called reuse that is none.

`fold_in` consumes nothing: keys made from one key and different numbers are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from pullback.control.branches import Cond
from pullback.control.scan import Layout, Scan
from pullback.control.while_loop import While
from pullback.control.while_loop import split as split_while
from pullback.core import dtypes
from pullback.core.array import ConcreteArray
from pullback.core.config import debug_key_reuse
from pullback.core.errors import KeyReuseError, user_line
from pullback.core.jaxpr import ClosedJaxpr, Literal
from pullback.core.passes import inline_calls
from pullback.core.primitive import Primitive
from pullback.core.trace import EVAL, EvalTrace, Params
from pullback.lax.random_bits import (
    random_bits_p,
    random_fold_in_p,
    random_normal_p,
    random_seed_p,
    random_split_p,
    random_uniform_p,
    random_wrap_p,
)
from pullback.random.rejection import random_binomial_p, random_gamma_p, random_poisson_p
from pullback.transforms import entries

#: The numbers of an array's keys, in its shape; None of what has no keys.
Numbers = Any
#: Where the keys were consumed that were, by number.
Consumed = dict[int, str]

CONSUMING = {
    random_bits_p, random_uniform_p, random_normal_p, random_gamma_p, random_poisson_p, random_binomial_p, random_split_p,
}  # fmt: skip
MAKING = {random_seed_p, random_wrap_p, random_split_p, random_fold_in_p}


class Operand(NamedTuple):
    """What is known of an operand: its keys' numbers, or its value (None if it is not known)."""

    numbers: Numbers
    value: Any


class Follower:
    """Follows numbers of keys through operations, and notes in `consumed` which are consumed.

    `new` gives as many numbers as a shape asks for that nobody has yet.
    """

    def __init__(self, consumed: Consumed, new: Callable[[Any], Numbers]) -> None:
        self.consumed, self.new = consumed, new

    def consume(self, numbers: Numbers, place: str) -> None:
        """Note that these keys are consumed at `place`. Raises KeyReuseError if one already was."""
        chosen = {int(n) for n in np.unique(numbers)}
        for n in chosen & self.consumed.keys():
            raise KeyReuseError(
                f"A random key is used at {place} that was used up at {self.consumed[n]}. `split` it once for each use, or `fold_in` "
                "a number that differs"
            )
        self.consumed.update(dict.fromkeys(chosen, place))

    def operation(
        self, primitive: Primitive, operands: Sequence[Operand], params: Params, out_types: Sequence[Any], place: str
    ) -> list[Numbers]:
        """The numbers of an operation's results, whose types are given."""
        if isinstance(primitive, Scan):
            return self.scan(operands, place, **params)
        if isinstance(primitive, While):
            return self.while_loop(operands, params, place)
        if isinstance(primitive, Cond):
            return self.branches(operands[1:], params["branches"])
        if primitive in CONSUMING:
            self.consume(operands[0].numbers, place)
        moved = self._moved(primitive, operands, params, out_types)
        return [self._fresh(t) if n is None else n for n, t in zip(moved, out_types)]

    def _moved(
        self, primitive: Primitive, operands: Sequence[Operand], params: Params, out_types: Sequence[Any]
    ) -> list[Numbers]:
        """The numbers of results that are operands' keys moved; None of others."""
        unknown: list[Numbers] = [None] * len(out_types)
        if primitive in MAKING or not any(t.dtype == dtypes.KEY for t in out_types):
            return unknown
        values = [x.value if x.numbers is None else x.numbers for x in operands]
        if any(v is None for v in values):
            return unknown
        try:
            out = primitive.evaluate(*values, **params)
        except (AttributeError, NotImplementedError, TypeError, ValueError):
            # What does not take numbers does more than move: its keys are new.
            return unknown
        outs = out if primitive.multiple_results else [out]
        return [np.asarray(n) if t.dtype == dtypes.KEY else None for n, t in zip(outs, out_types)]

    def program(self, closed: ClosedJaxpr, inputs: Sequence[Operand], constants: Sequence[Operand]) -> list[Numbers]:
        """The numbers of a program's results."""
        known: dict[Any, Operand] = dict(zip(closed.jaxpr.invars, inputs))
        known.update(zip(closed.jaxpr.constvars, constants))
        read = lambda x: Operand(None, np.asarray(x.val)) if isinstance(x, Literal) else known[x]
        for e in closed.jaxpr.eqns:
            types = [v.aval for v in e.outvars]
            found = self.operation(e.primitive, [read(x) for x in e.invars], e.params, types, e.source)
            known.update({v: Operand(n, None) for v, n in zip(e.outvars, found)})
        return [read(x).numbers for x in closed.jaxpr.outvars]

    def inner(self, closed: ClosedJaxpr, inputs: Sequence[Operand]) -> list[Numbers]:
        """The same of a program within an equation, whose own keys among its constants are new each time."""
        flat = inline_calls(closed)
        return self.program(flat, inputs, [_operand(c, self.new) for c in flat.consts])

    # ---- control flow --------------------------------------------------------------------------------

    def branches(self, operands: Sequence[Operand], branches: Sequence[ClosedJaxpr]) -> list[Numbers]:
        """One branch runs: what any consumes is consumed."""
        before = dict(self.consumed)
        after: Consumed = {}
        outs = []
        for branch in branches:
            one = Follower(dict(before), self.new)
            outs.append(one.inner(branch, operands))
            after.update(one.consumed)
        self.consumed.update(after)
        same = lambda ns: ns[0] if all(n is not None and np.array_equal(n, ns[0]) for n in ns) else None
        agreed = map(same, zip(*outs))
        return [self._fresh(t) if n is None else n for n, t in zip(agreed, branches[0].out_avals)]

    def _fresh(self, t: Any, *stacked: int) -> Numbers:
        """The numbers of results that are new, `stacked` of each; None of what has no keys."""
        return self.new((*stacked, *t.shape)) if t.dtype == dtypes.KEY else None

    def scan(
        self, operands: Sequence[Operand], place: str, *, jaxpr: ClosedJaxpr, num_consts: int, num_carry: int,
        length: int, **params: Any,
    ) -> list[Numbers]:  # fmt: skip
        consts, carry, xs = Layout(num_consts, num_carry).split(operands)
        stacked = [self._fresh(t, length) for t in jaxpr.out_avals[num_carry:]]
        if not length:
            return [*(c.numbers for c in carry), *stacked]
        element = [Operand(None if x.numbers is None else x.numbers[0], None) for x in xs]
        outs, used = self._step(jaxpr, [*consts, *carry, *element], consts, carry, length > 1, place)
        for x, one in zip(xs, element):
            if one.numbers is not None and length > 1:
                # Each step consumes of its own element what the first consumes of its.
                mask = np.isin(one.numbers, list(used))
                self.consume(x.numbers[1:][:, mask], place)
        return [*outs[:num_carry], *stacked]

    def while_loop(self, operands: Sequence[Operand], params: Params, place: str) -> list[Numbers]:
        cond_consts, body_consts, carry = split_while(operands, params)  # type: ignore[arg-type]
        self._step(params["cond_jaxpr"], [*cond_consts, *carry], cond_consts, (), True, place, returns=False)  # type: ignore[list-item]
        outs, _ = self._step(params["body_jaxpr"], [*body_consts, *carry], body_consts, carry, True, place)  # type: ignore[list-item, arg-type]
        return outs

    def _step(
        self, body: ClosedJaxpr, inputs: Sequence[Operand], consts: Sequence[Operand], carry: Sequence[Operand],
        repeats: bool, place: str, returns: bool = True,
    ) -> tuple[list[Numbers], set[int]]:  # fmt: skip
        """What one step of a loop gives, and the numbers that it consumes. If it is repeated, it may consume no
        key that the next step has again."""
        before = set(self.consumed)
        outs = self.inner(body, inputs)
        used = set(self.consumed) - before
        again = [c.numbers for c in consts] + (outs[: len(carry)] if returns else [])
        if repeats:
            for numbers in again:
                for n in {int(n) for n in np.ravel(numbers)} & used if numbers is not None else ():
                    raise KeyReuseError(
                        f"A random key is used at {self.consumed[n]} in each step of a loop at {place}. Carry the key and `split` it in "
                        "each step, or `fold_in` the step's number"
                    )
        return outs, used


# ---- programs ------------------------------------------------------------------------------------


class Account(NamedTuple):
    """Which keys of its inputs (constants, then arguments) a program consumes, and where; and which keys its
    results are, by their position among those of the inputs (-1: new ones)."""

    consumed: Consumed
    results: list[Numbers]


def account(closed: ClosedJaxpr) -> Account:
    """The account of a program. Raises KeyReuseError if it consumes a key twice."""
    found: Account = closed.derived(("key reuse",), _account)
    return found


def _account(closed: ClosedJaxpr) -> Account:
    numbers = count()
    new = lambda shape: _some(numbers, shape)
    flat = inline_calls(closed)
    constants = [_operand(c, new) for c in flat.consts]
    inputs = [Operand(new(t.shape) if t.dtype == dtypes.KEY else None, None) for t in flat.in_avals]
    limit = next(numbers)
    follower = Follower({}, new)
    results = follower.program(flat, inputs, constants)
    consumed = {n: place for n, place in follower.consumed.items() if n < limit}
    return Account(consumed, [None if r is None else np.where(r < limit, r, -1) for r in results])


def _some(numbers: Any, shape: Any) -> Numbers:
    return np.array([next(numbers) for _ in range(int(np.prod(shape)))], np.int64).reshape(shape)


def _operand(value: Any, new: Callable[[Any], Numbers]) -> Operand:
    if getattr(value, "dtype", None) == dtypes.KEY:
        return Operand(new(value.shape), None)
    return Operand(None, getattr(value, "_value", None))


# ---- arrays --------------------------------------------------------------------------------------

_numbers = count()
_consumed: Consumed = {}
#: The numbers of arrays, by identity, as long as they live.
_of_arrays: dict[int, tuple[Any, Numbers]] = {}


def _new(shape: Any) -> Numbers:
    return _some(_numbers, shape)


def numbers_of(x: ConcreteArray) -> Numbers:
    """The numbers of an array's keys, which it keeps."""
    known = _of_arrays.get(id(x))
    if known is None:
        return _give(x, _new(x.shape))
    return known[1]


def _give(x: ConcreteArray, numbers: Numbers) -> Numbers:
    place = id(x)
    _of_arrays[place] = ref(x, lambda _: _of_arrays.pop(place, None)), numbers
    return numbers


def _is_keys(x: Any) -> bool:
    return isinstance(x, ConcreteArray) and x.dtype == dtypes.KEY


class WatchingTrace(EvalTrace):
    """The base, if keys have ever been watched.

    Example: `EVAL` after `debug_key_reuse` was switched on.
    """

    __slots__ = ()

    def process(self, primitive: Primitive, args: Any, params: Params) -> Any:
        if debug_key_reuse.value and any(map(_is_keys, args)):
            operands = [
                Operand(numbers_of(x), None) if _is_keys(x) else Operand(None, getattr(x, "_value", x)) for x in args
            ]
            # Evaluated first: what is refused consumes nothing.
            out = super().process(primitive, args, params)
            outs = out if primitive.multiple_results else [out]
            found = Follower(_consumed, _new).operation(
                primitive, operands, params, [x.aval for x in outs], user_line()
            )
            for x, numbers in zip(outs, found):
                if _is_keys(x):
                    _give(x, numbers)
            return out
        return super().process(primitive, args, params)

    def __repr__(self) -> str:
        return "EvalTrace"


def _watched(program: ClosedJaxpr, run: Any) -> Any:
    """`run`, the program's executable, consuming the keys that the program does."""
    constants = inline_calls(program).consts

    def run_watched(args: Sequence[Any]) -> list[Any]:
        found = account(program)
        inputs = [numbers_of(x).ravel() for x in (*constants, *args) if _is_keys(x)]
        numbers = np.concatenate(inputs) if inputs else np.zeros(0, np.int64)
        follower = Follower(_consumed, _new)
        for n, place in found.consumed.items():
            follower.consume(numbers[n], f"{user_line()}, in {place}")
        outs: list[Any] = run(args)
        for x, positions in zip(outs, found.results):
            if positions is not None and _is_keys(x):
                _give(x, np.where(positions < 0, _new(x.shape), numbers[positions] if numbers.size else -1))
        return outs

    return run_watched


def watch() -> None:
    """Watch keys wherever the option is on, from now on."""
    EVAL.__class__ = WatchingTrace
    EVAL.checking = True
    entries.watched = _watched
