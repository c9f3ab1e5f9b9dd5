"""Propagating sets of indices through a linear program: facts of values, and the tables of rules.

A `Fact` of a value is its type, perhaps itself, and the sets of its elements if it depends on tangents.
`detection_rules` says, by class of operations or by operation, what sets results have (`linear_operations`),
`detection_loops` what is known of the results of calls with programs (`through_loops`). What has
no rule is what it expands to, or depends, with all of its results, on all of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.jaxpr import Jaxpr, JaxprEqn, Literal, bind_equation
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL, Tracer, under
from pullback.core.types import ShapedArray
from pullback.derivatives.sparsity_patterns.index_sets import IndexSets
from pullback.transforms.lifting import Rules

if TYPE_CHECKING:
    from pullback.core.names import Value

    NumPyArray = np.ndarray[Any, Any]


class Known:
    """A value that does not depend on what is unknown: computed when it is asked for. One that `varies` is
    another one in each step of a loop; asking for it has the steps looked at one by one.

    Example: the indices in `x[jnp.arange(3) + 1]`.
    """

    __slots__ = ("_make", "_operands", "_value", "varies")

    def __init__(
        self, make: Callable[..., Any] | None, operands: Sequence[Known] = (), value: Any = None, varies: bool = False
    ) -> None:
        self._make, self._operands, self._value, self.varies = make, operands, value, varies

    def array(self) -> Array:
        """The value. What it is made of is made first, without recursion: programs are longer than Python's stack."""
        todo = [self]
        while todo:
            k = todo[-1]
            missing = [o for o in k._operands if o._make is not None]
            if missing and k._make is not None:
                todo += missing
                continue
            if k._make is not None:
                k._value = k._make(*[o._value for o in k._operands])
                k._make, k._operands = None, ()
            todo.pop()
        return self._value

    def numpy(self) -> NumPyArray:
        """The value as a NumPy array."""
        return np.asarray(self.array())


def known(x: Value) -> Known | None:
    """A value that is there; nothing of one that some transformation around has traced."""
    x = as_array(x)
    return None if isinstance(x, Tracer) else Known(None, value=x)


class Fact:
    """What is known of a value of a program: its type, perhaps itself, and, if it depends on tangents, the
    sets of its elements.

    Example: of x in `x * x`: its type, and the set {i} for element i.
    """

    __slots__ = ("aval", "known", "sets")

    def __init__(self, aval: ShapedArray, known: Known | None = None, sets: IndexSets | None = None) -> None:
        self.aval, self.known, self.sets = aval, known, sets

    @property
    def size(self) -> int:
        return int(self.aval.size)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def coefficient(self) -> NumPyArray | None:
        """The value, if it is known without looking at steps of loops one by one: that a coefficient is zero is worth
        no more."""
        return None if self.known is None or self.known.varies else self.known.numpy()

    def numbers(self) -> NumPyArray:
        """The numbers of the elements, in the array's shape."""
        return np.arange(self.size).reshape(self.shape)


#: The sets of an operation's results, None for what has none: `rule(equation, facts)`. At least one of
#: the operands has sets.
detection_rules = Rules()
#: The facts of the results of loops and branches: `rule(equation, facts)`.
detection_loops = Rules()


def propagate(jaxpr: Jaxpr, consts: Sequence[Value], facts: Sequence[Fact]) -> list[Fact]:
    """What is known of a program's results, of what is known of its operands."""
    env: dict[Any, Fact] = {}

    def read(x: Any) -> Fact:
        return Fact(x.aval, Known(None, value=x.val)) if isinstance(x, Literal) else env[x]

    env.update((v, Fact(v.aval, known(c))) for v, c in zip(jaxpr.constvars, consts))
    env.update(zip(jaxpr.invars, facts))
    for e in jaxpr.eqns:
        env.update(zip(e.outvars, _results(e, [read(x) for x in e.invars])))
    return [read(x) for x in jaxpr.outvars]


def _results(e: JaxprEqn, facts: list[Fact]) -> list[Fact]:
    types = [v.aval for v in e.outvars]
    if all([f.sets is None for f in facts]):
        return _without_sets(e, facts, types)
    loop = detection_loops.find(e.primitive)
    if loop is not None:
        found: list[Fact] = loop(e, facts)
        return found
    if e.primitive.inlined is not None:
        inner = e.params[e.primitive.inlined]
        return propagate(inner.jaxpr, inner.consts, facts)
    rule = detection_rules.find(e.primitive)
    if rule is None and e.primitive.expands and e.primitive.is_linear([f.sets is not None for f in facts]):
        # What it is in terms of other operations, for operands of these types.
        expanded = stage_flat(partial(_listed, e), [f.aval for f in facts], EVAL)
        return propagate(expanded.jaxpr, expanded.consts, facts)
    rule = rule or dense
    return [
        Fact(t, None, s if s is not None and s.count and dtypes.is_inexact(t.dtype) else None)
        for t, s in zip(types, rule(e, facts))
    ]


def _listed(e: JaxprEqn, *operands: Value) -> Sequence[Value]:
    out = e.primitive.expand(*operands, **e.params)
    return out if e.primitive.multiple_results else [out]


def _without_sets(e: JaxprEqn, facts: list[Fact], types: list[ShapedArray]) -> list[Fact]:
    if any([f.known is None for f in facts]) or e.effects:
        return [Fact(t) for t in types]
    operands = [f.known for f in facts if f.known is not None]
    varies = any([k.varies for k in operands])
    every = Known(lambda *xs: under(EVAL, bind_equation, e, xs), operands, varies=varies)
    return [Fact(t, Known(itemgetter(i), (every,), varies=varies)) for i, t in enumerate(types)]


def dense(e: JaxprEqn, facts: list[Fact]) -> list[IndexSets | None]:
    """Everything depends on everything: what is true of any operation."""
    union = IndexSets.stacked([f.sets for f in facts if f.sets is not None])
    (one,) = [union.of_groups(np.zeros(union.size, np.intp), 1)]
    return [one.take(np.zeros(v.aval.size, np.intp)) for v in e.outvars]
