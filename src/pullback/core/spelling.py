"""Programs written as Python functions of NumPy values: a line for each operation.

`evaluate` looks at the types of its operands and at its parameters each time it is called. In a
program they are known, so its operations are written by the rule `spell`, which looks once, and
gives the text of an expression: `x.reshape((4, 16))` for `reshape`. By default that is a call of
`evaluate`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from pullback.core.array import ConcreteArray
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Literal, Var
from pullback.core.trace import IGNORED, floating_point_errors, reset_floating_point_errors
from pullback.core.types import Shape, ShapedArray, broadcast_shapes, intern

if TYPE_CHECKING:
    from pullback.core.names import Function, NumPyValue, Param, Tree

#: Up to so many elements of a result that is always the same are kept.
_SMALL = 1024


class Expression(str):
    """The text of an expression of Python, whose value has the type `aval`.

    Example: `a0`, the value of the first argument, and `x1`, that of a line before.
    """

    __slots__ = ("aval",)
    aval: ShapedArray


def _expression(text: str, aval: ShapedArray) -> Expression:
    found = Expression(text)
    found.aval = aval
    return found


class Speller:
    """The text that is being written: what the rule `spell` is given first.

    Example: `speller.call(numpy.sort, x, -1)` is the text of a call, `f0(a0, -1)`.
    """

    def __init__(self) -> None:
        #: What the names in the text stand for that it does not set itself.
        self.known: dict[str, Any] = {}
        #: Lines, and the names that each sets.
        self.lines: list[tuple[str, str]] = []
        #: Whether NumPy may have overflow and the like to report in one of the lines.
        self.signals = False

    def constant(self, value: Param) -> str:
        """The text of a constant: of numbers and tuples of them what Python has for them, else a
        name."""
        if _is_literal(value):
            return repr(value)
        name = f"k{len(self.known)}"
        self.known[name] = value
        return name

    def call(self, function: Function, *args: str | Param, **params: Param) -> str:
        """The text of a call with expressions and constants."""
        texts = [x if isinstance(x, Expression) else self.constant(x) for x in args]
        texts += [f"{name}={self.constant(x)}" for name, x in params.items()]
        return f"{self.constant(function)}({', '.join(texts)})"

    def let(self, text: str, aval: ShapedArray) -> Expression:
        """A name for the value of an expression that is used several times."""
        name = f"x{len(self.lines)}"
        self.lines.append((name, text))
        return _expression(name, aval)

    def value_of(self, x: Expression) -> NumPyValue | None:
        """The value of an operand that is always the same, else None."""
        return self.known.get(x)


def _is_literal(value: Param) -> bool:
    if value.__class__ is tuple:
        return all(map(_is_literal, value))
    return value is None or value.__class__ is int or value.__class__ is bool


def function_of(closed: ClosedJaxpr, tree: Tree) -> Callable[[Sequence[ConcreteArray]], Tree] | None:
    """A program as a function of a sequence of arrays, whose results are in the containers `tree`.
    None if a result is always the same, and large, or an operation has none.

    Each result has memory of its own, is an argument, or shares an argument's memory.
    """
    jaxpr = closed.jaxpr
    if not all([eqn.outvars for eqn in jaxpr.eqns]):
        return None
    speller = Speller()
    known = speller.known
    atoms: dict[Any, Expression] = {}
    #: What expressions repeat along axes.
    repeated: dict[str, Expression] = {}

    def constant(value: NumPyValue, aval: ShapedArray) -> Expression:
        name = f"k{len(known)}"
        known[name] = value
        return _expression(name, aval)

    def operand(atom: Var | Literal) -> Expression:
        return constant(atom.val._value, atom.aval) if isinstance(atom, Literal) else atoms[atom]

    for var, const in zip(jaxpr.constvars, closed.consts):
        if const.__class__ is not ConcreteArray:
            return None
        atoms[var] = constant(const._value, var.aval)
    for i, var in enumerate(jaxpr.invars):
        atoms[var] = _expression(f"a{i}", var.aval)
    for eqn in jaxpr.eqns:
        primitive, params, types = eqn.primitive, eqn.params, [v.aval for v in eqn.outvars]
        operands = [operand(v) for v in eqn.invars]
        if all([x in known for x in operands]):  # the same each time
            value = primitive.evaluate(*[known[x] for x in operands], **params)
            results = [constant(*pair) for pair in zip(value if primitive.multiple_results else [value], types)]
        else:
            if primitive.spelled_broadcasting:
                alone = [repeated.get(x, x) for x in operands]
                if broadcast_shapes(*[x.aval.shape for x in alone]) == types[0].shape:
                    operands = alone
            texts: Any = primitive.spell(speller, *operands, **params)
            if not primitive.multiple_results:
                texts = [texts]
            elif isinstance(texts, str):
                together = speller.let(texts, types[0])
                texts = [f"{together}[{i}]" for i in range(len(types))]
            results = [t if isinstance(t, Expression) else speller.let(t, aval) for t, aval in zip(texts, types)]
        atoms.update(zip(eqn.outvars, results))
        if primitive.name == "broadcast_in_dim" and _is_numpys(operands[0].aval.shape, **params):
            repeated[results[0]] = operands[0]
    return _compiled(speller, jaxpr, [operand(v) for v in jaxpr.outvars], tree)


def _is_numpys(before: Shape, shape: Shape, broadcast_dimensions: Shape) -> bool:
    """Whether an elementwise function would do by itself what `broadcast_in_dim` does."""
    return tuple(broadcast_dimensions) == tuple(range(len(shape) - len(before), len(shape)))


#: The names of arguments and of lines in a text.
_NAMES = re.compile(r"\b[ax][0-9]+\b")


def _compiled(
    speller: Speller, jaxpr: Jaxpr, results: Sequence[Expression], tree: Tree
) -> Callable[[Sequence[ConcreteArray]], Tree] | None:
    known = speller.known
    given, types = set(jaxpr.invars), [v.aval for v in jaxpr.outvars]
    wanted: set[str] = set()
    returned, made = [], []
    for i, (var, x, aval) in enumerate(zip(jaxpr.outvars, results, types)):
        if isinstance(var, Var) and var in given:
            returned.append(f"r{x[1:]}")
            continue
        text: str = x
        if x in known:
            if aval.size > _SMALL:
                return None
            text = f"{x}.copy()"  # whoever gets it may delete it
        else:
            wanted.add(x)
        interned = speller.constant(intern(aval.shape, aval.dtype, aval.weak_type))
        # As `concrete`, without the call; and the type is known.
        made.append(
            f"    o{i} = new(); o{i}._value = {text}; o{i}.weak_type = {aval.weak_type}; o{i}._type = {interned}"
        )
        returned.append(f"o{i}")
    body = []
    for name, text in reversed(speller.lines):
        if name in wanted:
            wanted.update(_NAMES.findall(text))
            body.append(f"    {name} = {text}")
    body.reverse()
    arguments = range(len(jaxpr.invars))
    lines = ["def plan(arrays):"]
    if arguments:
        lines.append(f"    {''.join([f'r{i}, ' for i in arguments])}= arrays")
    lines += [f"    a{i} = r{i}._value" for i in arguments if f"a{i}" in wanted]
    if body and speller.signals:
        lines += ["    token = errors[IGNORED]", "    try:", *["    " + line for line in body]]
        lines += ["    finally:", "        reset(token)"]
    else:
        lines += body
    lines += made
    if tree.is_leaf():
        lines.append(f"    return {returned[0]}")
    else:
        lines.append(f"    return unflatten([{', '.join(returned)}])")
    known |= {"new": ConcreteArray, "unflatten": tree.unflatten, "IGNORED": IGNORED}
    known |= {"errors": floating_point_errors, "reset": reset_floating_point_errors}
    exec(_code("\n".join(lines)), known)
    return known["plan"]


#: Where the text seems to be from: it is the package's, which messages do not show.
_FILE = os.path.join(os.path.dirname(__file__), "<plan>")


@lru_cache(maxsize=512)
def _code(text: str) -> CodeType:
    """Calls of a function with arrays of different shapes often have one text."""
    return compile(text, _FILE, "exec")
