"""Functions as programs: how control flow traces its bodies, and keeps what was traced.

`stage(fun, ...)` gives a `Body`: a program without constants, the values that the function closes
over (which become operands), and the structure of its result. The same function on the same types
is traced once, as long as what it reads stays the same (`transforms.reads`). Equal programs are one
object however often they are traced (`intern`): everything derived from a program (its
linearization, its executables) is then found again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from pullback.core import kept
from pullback.core.array import ConcreteArray
from pullback.core.config import program_state
from pullback.core.interning import intern, lift
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Var
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL, Params, Tracer, current, named_axes
from pullback.core.tree import PyTreeDef, arrays_of, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.core.types import intern as intern_type
from pullback.lax.shape import convert
from pullback.transforms.reads import Record

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Function, Key, Table, Tree, Value

    #: A `ControlPrimitive`, which is in a layer above.
    Control = Any


class Body:
    """A traced function: its program, whose first arguments are what it closes over, these values,
    and its result's structure.

    Example: of `lambda c, x: (c + a * x, c)`, with the traced array a captured.
    """

    __slots__ = ("program", "captured", "out_tree")

    def __init__(self, program: ClosedJaxpr, captured: list[Value], out_tree: PyTreeDef) -> None:
        self.program, self.captured, self.out_tree = program, captured, out_tree

    @property
    def is_traced(self) -> bool:
        """Whether the function closes over values of a transformation, which another call would not
        have."""
        return any(isinstance(c, Tracer) for c in self.captured)

    @property
    def out_types(self) -> list[ShapedArray]:
        """The types of the results."""
        return self.program.out_avals


class Wrapped:
    """A body made of a user's function `f`, called by the loop `what`. The user's carry is the last
    of `part` in the state, or all of it (0).

    Example: the body of `while_loop(cond, f, x)`.
    """

    __slots__ = ("f",)
    what = "scan"
    part = 0

    def __init__(self, f: Function) -> None:
        self.f = f


class Called(Wrapped):
    """A function as a body that takes the tuple of its arguments, and the dictionary of its keyword
    arguments.

    Example: `f(x, scale=y)` as a body that takes `((x,), {"scale": y})`.
    """

    __slots__ = ()

    def __call__(self, args: Tree, kwargs: Tree) -> Tree:
        return self.f(*args, **kwargs)


def kept_with(*functions: Function) -> Table:
    """A dictionary of what has been made of functions together, which lives as long as all of them
    do and read what they read now.

    One of nobody's for several functions of which one has not been met before: they may have been
    made for this one call.
    """
    entry: tuple[Record, dict[Any, Any]] | None
    if len(functions) > 1:
        reference = kept.groups.get(tuple([id(f) for f in functions]))
        group = None if reference is None else reference()
        if group is not None:
            entry = group.table.get("bodies")
            if entry is not None and entry[0].holds():  # which asks whether the functions are there
                return entry[1]
        elif not all(["bodies" in kept.kept_with(f) for f in functions]):
            return {}
    found = kept.kept_with(*functions)
    entry = found.get("bodies")
    if entry is not None:
        if entry[0].holds():
            return entry[1]
        if entry[0].unknown:
            return {}
    try:
        entry = found["bodies"] = Record(functions), {}
    except TypeError:  # nobody would say when one is gone
        return {}
    return entry[1]


def surroundings() -> Key:
    """What a traced program depends on besides functions and types: options, and the mapped axes
    around."""
    return id(program_state()), None if current() is EVAL else named_axes()


def stage(
    fun: Function, in_tree: PyTreeDef, types: Sequence[ShapedArray], what: str, name_of: Callable[[int], str] = str
) -> Body:  # fmt: skip
    """The body that `fun` is on arguments (a tree of the structure `in_tree`, a tuple) of flat
    `types`. In messages, `what` names it, and `name_of` its arguments by number.

    Raises TypeError for results that are no arrays.
    """
    types = [intern_type(t.shape, t.dtype, t.weak_type) for t in types]
    key = ("body", type(fun), in_tree, tuple([t.number for t in types]), surroundings())
    cache = kept_with(fun.f if isinstance(fun, Wrapped) else fun)
    found: Body | None = cache.get(key)
    if found is not None:
        return found
    out_tree: Any = None

    def flat(*xs: Value) -> list[Value]:
        nonlocal out_tree
        out = fun(*in_tree.unflatten(list(xs)))
        leaves, out_tree = arrays_of(out, f"the output of {what}")
        return leaves

    program, captured = lift(stage_flat(flat, types, name_of=name_of))
    body = Body(intern(program), captured, out_tree)
    if not body.is_traced:
        cache[key] = body
    return body


class Call:
    """A call of control flow, ready for arguments of known types: the operation, its parameters,
    what its functions close over, the dtypes that some arguments are converted to, and the
    structure of the result.

    `unchanged` numbers the arguments that are results as they are; `order` says which of what is
    closed over and the arguments the operation takes (None: all of them).

    Example: what a second `scan(f, init, xs)` with operands of the same types runs at once.
    """

    __slots__ = (
        "primitive", "params", "captured", "dtypes", "out_tree", "unchanged", "order", "_run", "_scalars", "_kept",
    )  # fmt: skip

    def __init__(
        self, primitive: Control, params: Params, captured: list[Value], dtypes: Sequence[tuple[int, DType]], out_tree: PyTreeDef,
        unchanged: Sequence[int] = (), order: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        self.primitive, self.params, self.captured, self.dtypes = primitive, params, captured, dtypes
        self.out_tree, self.unchanged, self.order = out_tree, unchanged, order
        self._run: Any = None
        self._scalars: list[int] = []
        self._kept: Any = None

    def __call__(self, operands: list[Value]) -> Tree:
        for i, dtype in self.dtypes:
            operands[i] = convert(operands[i], dtype)
        args = [*self.captured, *operands]
        if self.order is not None:
            args = [args[i] for i in self.order]
        if current() is EVAL and all([a.__class__ is ConcreteArray for a in args]):
            if self._run is None:
                from pullback.xla.lending import kept_scalar

                self._kept = kept_scalar
                self._scalars = [i for i, a in enumerate(args) if a.weak_type and not a.shape]
                self._run = self.primitive.runner(args, self.params)
            for i in self._scalars:
                args[i] = self._kept(args[i])
            outs = self._run(args)
        else:
            outs = self.primitive.bind(*args, **self.params)
        for i in self.unchanged:
            outs.insert(i, operands[i])
        return tree_unflatten(self.out_tree, outs)


T = TypeVar("T")


def prepared(
    functions: Sequence[Function], key: Key, operands: Sequence[Value], prepare: Callable[[], tuple[T, Sequence[Value]]]
) -> T:
    """What `prepare` makes of a call of control flow with these functions, for operands of these
    types: once, unless the values that they close over, which `prepare` also gives, are traced.
    `key` is what else the call depends on."""
    key = (key, *[f.__class__ for f in functions], *[x._type.number for x in operands], surroundings())
    cache = kept_with(*[f if f.__class__ is FunctionType or not isinstance(f, Wrapped) else f.f for f in functions])
    try:
        found: T | None = cache.get(key)
    except TypeError:  # an argument that is not hashable, and so is wrong
        return prepare()[0]
    if found is None:
        found, captured = prepare()
        if not any(isinstance(c, Tracer) for c in captured):
            cache[key] = found
    return found


def unchanged_carries(body: Body, num_carry: int) -> list[int]:
    """The carries that a loop's body gives back as it gets them: constants of the loop, whatever
    transforms it."""
    n, jaxpr = len(body.captured), body.program.jaxpr
    return [i for i in range(num_carry) if jaxpr.outvars[i] is jaxpr.invars[n + i]]


def with_carries_constant(
    closed: ClosedJaxpr, num_consts: int, carries: Sequence[int], results: Sequence[int]
) -> tuple[ClosedJaxpr, list[int]]:
    """The program with some of its carries made constants, behind the others, if it uses them, and
    only the results numbered in `results`; and the carries that it uses."""
    body = closed.jaxpr
    outvars = [body.outvars[i] for i in results]
    read = {x for x in (*outvars, *(x for e in body.eqns for x in e.invars)) if isinstance(x, Var)}
    used = [i for i in carries if body.invars[num_consts + i] in read]
    rest = [i for i in range(len(body.invars) - num_consts) if i not in carries]
    invars = [*body.invars[:num_consts], *(body.invars[num_consts + i] for i in (*used, *rest))]
    return intern(ClosedJaxpr(Jaxpr([], invars, outvars, body.eqns), [])), used
