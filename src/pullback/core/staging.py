"""Staging: run a function on abstract values and write down what it does, as a jaxpr.

Every operation under a `JaxprTrace` is staged, those on constants included; arrays from outside
become constants of the program. The transformations that show or compile programs
(`transforms.tracing`, `transforms.jit`) and the compiler, which stages the operations a primitive
`expand`s to, are built on `stage_flat`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pullback.core import config, dtypes, errors
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import source_location
from pullback.core.jaxpr import Atom, ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var, check_jaxpr
from pullback.core.scopes import NOTHING, Entered, Replacement, Scope
from pullback.core.trace import EVAL, Params, Trace, Tracer, current, entered, reset_current, set_current
from pullback.core.types import ShapedArray

if TYPE_CHECKING:
    from pullback.core.names import Call, Function, Operand, Result, Value
    from pullback.core.primitive import Primitive

_name_stack: ContextVar[Entered] = ContextVar("name_stack", default=NOTHING)


class named_scope(Scope):
    """`with named_scope("encoder"): ...` names the operations staged inside, for reading programs
    and profiles. Decorates functions, too. Raises TypeError for names that are no strings.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def f(x):
    ...     with named_scope("encoder"):
    ...         return jnp.tanh(x)
    >>> "encoder/tanh" in pb.jit(f).lower(1.0).as_text(debug_info=True)
    True
    """

    variable = _name_stack

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"named_scope takes a string, got {name!r}")
        self.name = self.entry = name

    def __repr__(self) -> str:
        return f"named_scope({self.name!r})"


class Attributes(tuple[tuple[str, str], ...]):
    """Names and texts in a name stack that are attached to the operations staged inside, for
    compilers and tools: an entry beside the names of scopes.

    Example: `Attributes([("breakpoint", "true")])`.
    """

    __slots__ = ()


class Origin(tuple[Any, ...]):
    """A `Location` in a name stack from which the operations staged inside are said to come.

    Example: that of an equation in the place of which others are staged.
    """

    __slots__ = ()


def name_stack() -> Entered:
    """What the name stack has of scopes around: names, `Attributes`, `Origin`s, outermost first."""
    return _name_stack.get()


#: The name stacks whose place others have taken.
_replaced: ContextVar[Entered] = ContextVar("replaced_name_stacks", default=NOTHING)


class replaced_name_stack(Replacement):
    """`with replaced_name_stack(stack): ...` has another name stack.

    Example: that of an equation in the place of which others are staged.
    """

    variable, replaced = _replaced, _name_stack

    def __init__(self, stack: Sequence[object]) -> None:
        self.new = Entered(stack)


class stack_entry(Scope):
    """`with stack_entry(entry): ...` has an entry in the name stack that is no scope's name.

    Example: `with stack_entry(Attributes([("a", "1")])): ...`.
    """

    variable = _name_stack

    def __init__(self, entry: Attributes | Origin) -> None:
        self.entry = entry


class StagedTracer(Tracer):
    """A value of which only the type is known; `var` stands for it in the program.

    >>> import pullback as pb
    >>> pb.jit(lambda x: print(x, x.shape))(pb.numpy.ones((2, 3)))
    Traced<float32[2,3]>with<JaxprTrace> (2, 3)
    """

    __slots__ = ("_aval", "_var")

    def __init__(self, trace: Trace, var: Var) -> None:
        self._trace, self._var, self._aval = trace, var, var.aval

    aval = property(lambda self: self._aval)
    shape = property(lambda self: self._aval.shape)
    dtype = property(lambda self: self._aval.dtype)
    weak_type = property(lambda self: self._aval.weak_type)

    def origin(self) -> str:
        assert isinstance(self._trace, JaxprTrace)
        return self._trace.origin_of(self._var)

    def __repr__(self) -> str:
        return f"Traced<{self._aval.str_short()}>with<JaxprTrace>"


class JaxprTrace(Trace):
    """Collects equations.

    Example: `sin(x)` under it adds the equation `b = sin a`.
    """

    __slots__ = ("eqns", "consts", "invars", "name_of")

    def __init__(self, parent: Trace, name_of: Callable[[int], str] | None = None) -> None:
        self.parent = parent
        #: What the input of some number is called in messages.
        self.name_of = name_of or (lambda i: f"argument {i} of what is being traced")
        self.eqns: list[JaxprEqn] = []
        # Arrays from outside, and tracers of enclosing transformations that the function closes
        # over.
        self.consts: dict[int, tuple[Var, Any]] = {}  # by identity; the value is kept alive with its id
        self.invars: list[Var] = []

    def new_input(self, aval: ShapedArray) -> StagedTracer:
        var = Var(aval)
        self.invars.append(var)
        return StagedTracer(self, var)

    def origin_of(self, var: Var) -> str:
        """The input that a variable is, or the operation whose result it is, for messages."""
        for eqn in reversed(self.eqns):
            if var in eqn.outvars:
                return f"the result of `{eqn.primitive.name}` at {eqn.source}"
        return next((self.name_of(i) for i, v in enumerate(self.invars) if v is var), "")

    def atom(self, x: Operand) -> Atom:
        """The variable or literal that stands for `x`: one of our tracers, or a constant."""
        if x.__class__ is StagedTracer and x._trace is self:
            return x._var
        if not isinstance(x, Array):
            x = as_array(x)
        if x.__class__ is ConcreteArray and x.ndim == 0 and not dtypes.is_key(x.dtype):
            return Literal(x, x.aval)
        found = self.consts.get(id(x))
        if found is None:
            self.check_constant(x)
            found = self.consts[id(x)] = (Var(x.aval), x)
        return found[0]

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        if primitive.staged_expanded:  # shown as the standard operations that it is made of
            return primitive.expand(*(a if isinstance(a, Array) else as_array(a) for a in args), **params)
        if primitive.broadcasts and len(args) > 1:
            args = primitive.canonical_operands([a if isinstance(a, Array) else as_array(a) for a in args])
        atoms = [a._var if a.__class__ is StagedTracer and a._trace is self else self.atom(a) for a in args]
        out = primitive.type_of(*[a.aval for a in atoms], **params)
        if primitive.multiple_results:
            return self.emit(primitive, atoms, params, out)
        var = Var(out)
        self.eqns.append(JaxprEqn(primitive, atoms, [var], params, source_location(), _name_stack.get()))
        return StagedTracer(self, var)

    def emit(
        self, primitive: Primitive, atoms: Sequence[Atom], params: Params, out_types: Sequence[ShapedArray]
    ) -> list[StagedTracer]:
        """Append an equation with several results; these, as tracers."""
        outvars = [Var(t) for t in out_types]
        self.eqns.append(JaxprEqn(primitive, list(atoms), outvars, params, source_location(), _name_stack.get()))
        return [StagedTracer(self, v) for v in outvars]

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        atoms = [self.atom(a) for a in args]
        captured, params = call.as_equation([a.aval for a in atoms], params)
        atoms = [*map(self.atom, captured), *atoms]
        return self.emit(call, atoms, params, call.type_of(*[a.aval for a in atoms], **params))

    def finish(self, outs: Sequence[Operand]) -> ClosedJaxpr:
        """The program whose results are `outs`."""
        outvars = [self.atom(o) for o in outs]
        used = {v for e in self.eqns for v in e.invars if isinstance(v, Var)} | {
            v for v in outvars if isinstance(v, Var)
        }
        for e in self.eqns:
            if len(e.outvars) > 1:
                e.outvars = [v if v in used else DropVar(v.aval) for v in e.outvars]
        consts = list(self.consts.values())
        jaxpr = Jaxpr([v for v, _ in consts], self.invars, outvars, self.eqns)
        if config.enable_checks.value:
            check_jaxpr(jaxpr)
        return ClosedJaxpr(jaxpr, [x for _, x in consts])


class Finished(JaxprTrace):
    """A trace that is over: what `JaxprTrace`s become.

    A task or a thread that was made while it was current, with a copy of the context, still has it
    as its own: there it steps aside.

    Example: a thread that was started under `jit` and outlives the tracing.
    """

    __slots__ = ()
    finished = True

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        return self._aside().process(primitive, args, params)

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        return self._aside().process_call(call, args, params)

    def _aside(self) -> Trace:
        parent = self.parent
        while parent.finished:
            parent = parent.parent
        set_current(parent)
        return parent


def is_staging() -> bool:
    """Whether what is done now ends up in a program."""
    trace = current()
    while trace is not EVAL:
        if trace.__class__ is JaxprTrace:
            return True
        trace = trace.parent
    return False


def stage_flat(
    fun: Function,
    in_types: Sequence[ShapedArray],
    parent: Trace | None = None,
    name_of: Callable[[int], str] | None = None,
) -> ClosedJaxpr:
    """The program of `fun`, which takes and gives flat sequences of arrays.

    It may close over tracers of `parent` (the current trace, if not given) and of what encloses
    that; they become constants. `name_of(i)` is what messages call input `i`.
    """
    trace = JaxprTrace(current() if parent is None else parent, name_of)
    token = entered[trace]
    try:
        outs = fun(*map(trace.new_input, in_types))
        return trace.finish([as_array(o) for o in outs])
    finally:
        reset_current(token)
        trace.__class__ = Finished


errors.staging = stage_flat.__code__


def close(closed: ClosedJaxpr) -> tuple[ClosedJaxpr, list[Value]]:
    """The program with the tracers among its constants made its first arguments, and these tracers."""
    if not any(isinstance(c, Tracer) for c in closed.consts):
        return closed, []
    pairs = list(zip(closed.jaxpr.constvars, closed.consts))
    captured = [(v, c) for v, c in pairs if isinstance(c, Tracer)]
    kept = [(v, c) for v, c in pairs if not isinstance(c, Tracer)]
    body = closed.jaxpr
    jaxpr = Jaxpr([v for v, _ in kept], [*(v for v, _ in captured), *body.invars], body.outvars, body.eqns)
    return ClosedJaxpr(jaxpr, [c for _, c in kept]), [c for _, c in captured]
