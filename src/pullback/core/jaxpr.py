"""Programs: jaxprs, their printed form, their evaluation and their type check.

A jaxpr is a list of equations, each one primitive applied to variables and literals. It is closed
by the arrays its constant variables stand for. Printed it reads

    { lambda ; a:f32[3] b:f32[]. let c:f32[3] = mul a b; d:f32[3] = sin c in (d,) }
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from pullback.core import dtypes, errors
from pullback.core.array import ConcreteArray, concrete
from pullback.core.effects import NO_EFFECTS, Effects
from pullback.core.errors import JaxprTypeError, Location, describe_location
from pullback.core.kept import by_identity, carriers, kept_with_owners
from pullback.core.types import ShapedArray

if TYPE_CHECKING:
    from pullback.core.names import Argument, Key, Param, Value
    from pullback.core.primitive import Primitive

    T = TypeVar("T")


class Var:
    """A variable of a program: its type `aval`, and an identity. What a program prints as `a` is one.

    >>> import pullback as pb
    >>> (a,) = pb.make_jaxpr(lambda x: 2 * x)(1.0).jaxpr.invars
    >>> a.aval, a == Var(a.aval)
    (ShapedArray(float32[], weak_type=True), False)
    """

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    def __repr__(self) -> str:
        return f"Var({self.aval})"


class DropVar(Var):
    """The place of a result that nobody uses, printed `_`.

    >>> import pullback as pb
    >>> pb.make_jaxpr(lambda x: pb.lax.top_k(x, 1)[1])(pb.numpy.ones(3))
    { lambda ; a:f32[3]. let
        _:f32[1] b:i32[1] = top_k[
          axis=0
          k=1
        ] a
      in (b,) }
    """

    __slots__ = ()


class Literal:
    """A scalar constant in the program text.

    Example: `2.0` in `b:f32[] = mul a 2.0:f32[]`.
    """

    __slots__ = ("val", "aval")

    def __init__(self, val: Value, aval: ShapedArray) -> None:
        self.val, self.aval = val, aval

    def __repr__(self) -> str:
        return f"{np.asarray(self.val._value).item()!r}:{self.aval.str_short(True)}"


Atom = Var | Literal


class NameStack(NamedTuple):
    """The scopes around, outermost first.

    >>> str(NameStack(("encoder", "layer")))
    'encoder/layer'
    """

    stack: tuple[Any, ...] = ()

    def extend(self, name: str) -> NameStack:
        """With one more scope inside.

        >>> str(NameStack(("encoder",)).extend("layer"))
        'encoder/layer'
        """
        return NameStack((*self.stack, name))

    def __str__(self) -> str:
        return "/".join([x for x in self.stack if isinstance(x, str)])


class SourceInfo(NamedTuple):
    """Where an operation comes from: `traceback`, the place in the user's code (a code object and an
    offset in it; None if nobody knows), and `name_stack`, the scopes around.

    >>> import pullback as pb
    >>> def f(x):
    ...     with pb.named_scope("doubling"):
    ...         return 2 * x
    >>> eqn = pb.make_jaxpr(f)(1.0).eqns[0]
    >>> str(eqn.source_info.name_stack)
    'doubling'
    """

    traceback: Location | None
    name_stack: NameStack

    def replace(self, **changes: Argument) -> SourceInfo:
        """A copy with some fields changed.

        >>> str(SourceInfo(None, NameStack()).replace(name_stack=NameStack(("decoder",))).name_stack)
        'decoder'
        """
        return self._replace(**changes)


class JaxprEqn:
    """An equation of a program: `outvars = primitive[params] invars`.

    `invars` are `Var`s and `Literal`s, `outvars` `Var`s; `location` is the place in the user's
    code, `name_stack` the enclosing named scopes.

    >>> import pullback as pb
    >>> eqn = pb.make_jaxpr(lambda x: x[::-1])(pb.numpy.ones(3)).eqns[-1]
    >>> eqn.primitive, eqn.params, len(eqn.invars)
    (rev, {'dimensions': (0,)}, 1)
    """

    __slots__ = ("primitive", "invars", "outvars", "params", "location", "name_stack")

    def __init__(
        self,
        primitive: Primitive,
        invars: list[Atom],
        outvars: list[Var],
        params: dict[str, Param],
        location: Location | None = None,
        name_stack: tuple[str, ...] = (),
    ) -> None:
        self.primitive, self.invars, self.outvars, self.params = primitive, invars, outvars, params
        self.location, self.name_stack = location, name_stack

    @property
    def source(self) -> str:
        """`file:line (function)` of the user's code that asked for the operation.

        >>> import pullback as pb
        >>> def doubled(x):
        ...     return 2 * x
        >>> pb.make_jaxpr(doubled)(1.0).eqns[0].source.endswith(":2 (doubled)")
        True
        """
        return describe_location(self.location)

    def on(self, invars: list[Atom]) -> JaxprEqn:
        """The same equation on other operands, with results of its own.

        >>> import pullback as pb
        >>> eqn = pb.make_jaxpr(lambda x: pb.numpy.sin(x))(1.0).eqns[0]
        >>> other = eqn.on([Var(eqn.invars[0].aval)])
        >>> other, other.outvars[0] == eqn.outvars[0]
        (a:f32[] = sin b, False)
        """
        outvars = [type(v)(v.aval) for v in self.outvars]
        return JaxprEqn(self.primitive, invars, outvars, self.params, self.location, self.name_stack)

    def replace(
        self, *, source_info: SourceInfo | None = None, effects: object = None, ctx: object = None, **changes: Argument
    ) -> JaxprEqn:
        """A copy with some fields changed: arguments of the class, or place and scopes at once.
        Effects are those of the primitive, whatever is given.

        >>> import pullback as pb
        >>> eqn = pb.make_jaxpr(lambda x: pb.numpy.sin(x))(1.0).eqns[0]
        >>> eqn.replace(primitive=pb.lax.cos_p)
        a:f32[] = cos b
        """
        del effects, ctx
        if source_info is not None:
            changes |= {"location": source_info.traceback, "name_stack": source_info.name_stack.stack}
        return JaxprEqn(**{name: getattr(self, name) for name in self.__slots__} | changes)

    @property
    def effects(self) -> Effects:
        """What it does besides giving its results.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: pb.debug.print("{}", x))(1.0).eqns[0].effects
        frozenset({<Effect.SHOWS: 'shows'>})
        """
        return self.primitive.effects_of(self.params)

    @property
    def source_info(self) -> SourceInfo:
        """Place and scopes, as those who take programs apart want them.

        >>> import pullback as pb
        >>> def f(x):
        ...     with pb.named_scope("encoder"):
        ...         return 2 * x
        >>> str(pb.make_jaxpr(f)(1.0).eqns[0].source_info.name_stack)
        'encoder'
        """
        return SourceInfo(self.location, NameStack(self.name_stack))

    #: What else is around where the equation is staged: nothing.
    ctx = None

    def __repr__(self) -> str:
        return _print_equation(self, _Names())


class Jaxpr:
    """An open program: `constvars` and `invars` are given, `eqns` are done in turn, and `outvars`
    result.

    >>> import pullback as pb
    >>> program = pb.make_jaxpr(lambda x, y: pb.numpy.sin(x) * y)(1.0, 2.0).jaxpr
    >>> program
    { lambda ; a:f32[] b:f32[]. let c:f32[] = sin a; d:f32[] = mul c b in (d,) }
    >>> program.in_avals, [e.primitive.name for e in program.eqns]
    ([ShapedArray(float32[], weak_type=True), ShapedArray(float32[], weak_type=True)], ['sin', 'mul'])
    """

    __slots__ = ("constvars", "invars", "outvars", "eqns", "debug_info")

    def __init__(
        self,
        constvars: Sequence[Var],
        invars: Sequence[Var],
        outvars: Sequence[Atom],
        eqns: Sequence[JaxprEqn],
        effects: object = None,
        debug_info: object = None,
    ) -> None:
        del effects  # they are those of the equations
        self.constvars, self.invars = list(constvars), list(invars)
        self.outvars, self.eqns = list(outvars), list(eqns)
        #: What whoever made the program has to say of the function that it was made of.
        self.debug_info = debug_info

    def replace(self, **changes: Argument) -> Jaxpr:
        """A copy with some fields changed, which are the arguments of the class.

        >>> import pullback as pb
        >>> program = pb.make_jaxpr(lambda x: (x + 1, 2 * x))(1.0).jaxpr
        >>> program.replace(eqns=program.eqns[:1], outvars=program.outvars[:1])
        { lambda ; a:f32[]. let b:f32[] = add a 1.0:f32[] in (b,) }
        """
        return Jaxpr(**{name: getattr(self, name) for name in self.__slots__} | changes)

    @property
    def effects(self) -> Effects:
        """What running it does besides giving its results.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: x > 1)(1.0).jaxpr.effects
        frozenset()
        """
        return NO_EFFECTS.union(*[e.effects for e in self.eqns])

    def pretty_print(self, **options: Argument) -> str:
        """The text that `print` shows. Options for other forms of it make no difference.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: x + 1)(1.0).jaxpr.pretty_print()
        '{ lambda ; a:f32[]. let b:f32[] = add a 1.0:f32[] in (b,) }'
        """
        del options
        return print_jaxpr(self)

    def __repr__(self) -> str:
        return print_jaxpr(self)

    def _repr_html_(self) -> str:
        from pullback.core.html import program_html

        return program_html(print_lines(self))

    @property
    def in_avals(self) -> list[ShapedArray]:
        """The types of the arguments.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: x + 1)(1.0).jaxpr.in_avals
        [ShapedArray(float32[], weak_type=True)]
        """
        return [v.aval for v in self.invars]

    @property
    def out_avals(self) -> list[ShapedArray]:
        """The types of the results.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: x > 1)(1.0).jaxpr.out_avals
        [ShapedArray(bool[])]
        """
        return [v.aval for v in self.outvars]


class ClosedJaxpr:
    """A program with the values of its constants, and everything that has been derived from it.

    A program's executables, its linearization, its transpose, its vectorizations are made once and
    live as long as it does. `make_jaxpr` gives one; `jaxpr` is the open program, `consts` are the
    values of its `constvars`.

    >>> import pullback as pb
    >>> program = pb.make_jaxpr(lambda x: x + pb.numpy.arange(3.0))(1.0)
    >>> program.out_avals, run(program, 1.0)
    ([ShapedArray(float32[3])], [Array([1., 2., 3.], dtype=float32)])
    """

    __slots__ = ("jaxpr", "consts", "_derived", "__weakref__")

    def __init__(self, jaxpr: Jaxpr, consts: Sequence[Value]) -> None:
        self.jaxpr, self.consts = jaxpr, list(consts)
        self._derived: dict[Any, Any] = {}

    def derived(self, key: Key, make: Callable[..., T], *args: object) -> T:
        """What `make(self, *args)` gave the first time it was asked for under `key`. With other
        programs in the key, it is kept as long as all of them live.

        >>> import pullback as pb
        >>> program = pb.make_jaxpr(lambda x: 2 * x)(1.0)
        >>> program.derived("length", lambda p: len(p.eqns)), program.derived("length", None)
        (1, 1)
        """
        found = self._derived.get(key)
        if found is None:
            owners: list[Any] = [self]
            key = by_identity(key, owners)
            table = self._derived if len(owners) == 1 else kept_with_owners(owners)
            found = table.get(key)
            if found is None:
                found = table[key] = make(self, *args)
        return found

    @property
    def in_avals(self) -> list[ShapedArray]:
        """The types of the arguments.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x, n: x * n)(pb.numpy.ones(2), 3).in_avals
        [ShapedArray(float32[2]), ShapedArray(int32[], weak_type=True)]
        """
        return self.jaxpr.in_avals

    @property
    def out_avals(self) -> list[ShapedArray]:
        """The types of the results.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: (x > 0, x.sum()))(pb.numpy.ones(2)).out_avals
        [ShapedArray(bool[2]), ShapedArray(float32[])]
        """
        return self.jaxpr.out_avals

    @property
    def eqns(self) -> list[JaxprEqn]:
        """The equations.

        >>> import pullback as pb
        >>> [e.primitive.name for e in pb.make_jaxpr(lambda x: pb.numpy.sin(x) + 1)(1.0).eqns]
        ['sin', 'add']
        """
        return self.jaxpr.eqns

    @property
    def constvars(self) -> list[Var]:
        """The variables of the constants.

        >>> import pullback as pb
        >>> table = pb.numpy.array([1.0, 2.0, 4.0])
        >>> pb.make_jaxpr(lambda x: x * table)(1.0).constvars
        [Var(float32[3])]
        """
        return self.jaxpr.constvars

    @property
    def invars(self) -> list[Var]:
        """The variables of the arguments.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x, y: x * y)(1.0, pb.numpy.ones(2)).invars
        [Var(~float32[]), Var(float32[2])]
        """
        return self.jaxpr.invars

    @property
    def outvars(self) -> list[Atom]:
        """What the results are: variables, or literals.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: (x, 2.0))(1.0).outvars
        [Var(~float32[]), 2.0:f32[]]
        """
        return self.jaxpr.outvars

    @property
    def literals(self) -> list[Value]:
        """The values of the constants, by their older name.

        >>> import pullback as pb
        >>> table = pb.numpy.array([1.0, 2.0, 4.0])
        >>> pb.make_jaxpr(lambda x: x * table)(1.0).literals
        [Array([1., 2., 4.], dtype=float32)]
        """
        return self.consts

    @property
    def debug_info(self) -> object:
        """That of the open program: None, unless whoever made it has said something.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: x)(1.0).debug_info is None
        True
        """
        return self.jaxpr.debug_info

    def replace(self, *, jaxpr: Jaxpr | None = None, consts: Sequence[Value] | None = None) -> ClosedJaxpr:
        """Another program with these constants, or these constants for another program.

        >>> import pullback as pb
        >>> program = pb.make_jaxpr(lambda x: x * np.float32([1, 2]))(1.0)
        >>> run(program.replace(consts=[np.float32([10, 20])]), 3.0)
        [Array([30., 60.], dtype=float32)]
        """
        return ClosedJaxpr(self.jaxpr if jaxpr is None else jaxpr, self.consts if consts is None else consts)

    def map_jaxpr(self, change: Callable[[Jaxpr], Jaxpr]) -> ClosedJaxpr:
        """The open program changed, closed by the same constants.

        >>> import pullback as pb
        >>> program = pb.make_jaxpr(lambda x: (x + 1, 2 * x))(1.0)
        >>> program.map_jaxpr(lambda jaxpr: jaxpr.replace(outvars=jaxpr.outvars[::-1]))
        { lambda ; a:f32[]. let
            b:f32[] = add a 1.0:f32[]
            c:f32[] = mul 2.0:f32[] a
          in (c, b) }
        """
        return ClosedJaxpr(change(self.jaxpr), self.consts)

    def pretty_print(self, **options: Argument) -> str:
        """The text that `print` shows. Options for other forms of it make no difference.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: 2 * x)(1.0).pretty_print(use_color=False)
        '{ lambda ; a:f32[]. let b:f32[] = mul 2.0:f32[] a in (b,) }'
        """
        return self.jaxpr.pretty_print(**options)

    @property
    def effects(self) -> Effects:
        """What running the program does besides giving its results: the effects of all its equations.

        >>> import pullback as pb
        >>> pb.make_jaxpr(lambda x: pb.debug.print("{}", x))(1.0).effects
        frozenset({<Effect.SHOWS: 'shows'>})
        """
        found: Effects = self.derived("effects", lambda closed: closed.jaxpr.effects)
        return found

    def __repr__(self) -> str:
        return print_jaxpr(self.jaxpr)

    def _repr_html_(self) -> str:
        return self.jaxpr._repr_html_()


carriers[ClosedJaxpr] = "_derived"


#: The caches of programs, by their method `clear`: `clear_caches` empties them.
program_caches: list[Any] = []


# ---- evaluation ----------------------------------------------------------------------------------


def bind_equation(eqn: JaxprEqn, args: Sequence[Value]) -> Sequence[Value]:
    """The results of an equation's primitive on `args`, under the current trace."""
    out = eqn.primitive.bind(*args, **eqn.params)
    return out if eqn.primitive.multiple_results else [out]


errors.replaying = bind_equation.__code__


def eval_jaxpr(
    jaxpr: Jaxpr,
    consts: Sequence[Value],
    *args: Value,
    apply: Callable[[JaxprEqn, Sequence[Value]], Sequence[Value]] = bind_equation,
) -> list[Value]:
    """Run a program, equation by equation, under the current trace. Values are dropped after their
    last use.

    `apply(eqn, args)` gives an equation's results, for those who make something else of equations
    than what they say. Raises TypeError for other than as many `args` as the program takes.

    >>> import pullback as pb
    >>> program = pb.make_jaxpr(lambda x: pb.numpy.sin(x) * 2)(0.0)
    >>> eval_jaxpr(program.jaxpr, program.consts, np.float32(np.pi / 2))
    [Array(2., dtype=float32)]

    A program run with another function in the place of the sine:

    >>> def with_cosines(eqn, args):
    ...     return bind_equation(eqn.replace(primitive=pb.lax.cos_p) if eqn.primitive is pb.lax.sin_p else eqn, args)
    >>> eval_jaxpr(program.jaxpr, program.consts, 0.0, apply=with_cosines)
    [Array(2., dtype=float32, weak_type=True)]
    """
    values: dict[Var, Any] = {}

    def read(atom: Atom) -> Value:
        return atom.val if isinstance(atom, Literal) else values[atom]

    if len(args) != len(jaxpr.invars):
        raise TypeError(f"eval_jaxpr: the program takes {len(jaxpr.invars)} arguments, got {len(args)}")
    values.update(zip(jaxpr.constvars, consts))
    values.update(zip(jaxpr.invars, args))
    last_use: dict[Var, int] = {}
    for i, eqn in enumerate(jaxpr.eqns):
        for v in eqn.invars:
            if isinstance(v, Var):
                last_use[v] = i
    for v in jaxpr.outvars:
        if isinstance(v, Var):
            last_use[v] = len(jaxpr.eqns)
    for i, eqn in enumerate(jaxpr.eqns):
        values.update(zip(eqn.outvars, apply(eqn, [read(v) for v in eqn.invars])))
        for v in eqn.invars:
            if isinstance(v, Var) and last_use[v] == i:
                values.pop(v, None)
    # Whoever gets a result may delete or donate it: a literal stays the program's.
    return [concrete(v.val._value, v.val.weak_type) if isinstance(v, Literal) else values[v] for v in jaxpr.outvars]


def run(closed: ClosedJaxpr, *args: Value) -> list[Value]:
    """The program's results on `args`, equation by equation, under the current trace."""
    return eval_jaxpr(closed.jaxpr, closed.consts, *args)


def jaxpr_as_fun(closed: ClosedJaxpr) -> Callable[..., list[Value]]:
    """The program as a function of flat arguments."""
    return partial(run, closed)


# ---- checking ------------------------------------------------------------------------------------


def check_jaxpr(jaxpr: Jaxpr) -> None:
    """Check scoping and types of every equation. Raises JaxprTypeError naming the equation and the
    user's line."""
    known = {*jaxpr.constvars, *jaxpr.invars}

    def check_known(atom: Atom, where: str) -> None:
        if isinstance(atom, Var) and atom not in known:
            raise JaxprTypeError(f"variable {atom} is used in {where} before it is defined")

    for eqn in jaxpr.eqns:
        where = f"equation `{eqn}` (from {eqn.source})"
        for v in eqn.invars:
            check_known(v, where)
        expected = eqn.primitive.type_of(*(v.aval for v in eqn.invars), **eqn.params)
        expected = expected if eqn.primitive.multiple_results else [expected]
        for v, t in zip(eqn.outvars, expected, strict=True):
            if (v.aval.shape, v.aval.dtype) != (t.shape, t.dtype):
                raise JaxprTypeError(f"{where}: result has type {v.aval}, but the primitive's type rule gives {t}")
        known.update(eqn.outvars)
    for v in jaxpr.outvars:
        check_known(v, "the results")


def subjaxprs(params: dict[str, Param]) -> list[ClosedJaxpr]:
    """The programs among an equation's parameters."""
    found = []  # asked of every equation of every program: written for speed
    for value in params.values():
        if value.__class__ is ClosedJaxpr:
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [v for v in value if v.__class__ is ClosedJaxpr]
    return found


# ---- printing ------------------------------------------------------------------------------------


class _Names:
    """Letters for variables, in the order in which they appear: a, b, ..., z, ba, bb, ...

    Example: the 27th variable of a program is `ba`.
    """

    def __init__(self) -> None:
        self._names: dict[Var, str] = {}
        self._next = count()

    def __call__(self, atom: Atom) -> str:
        if isinstance(atom, Literal):
            return repr(atom)
        if isinstance(atom, DropVar):
            return "_"
        if atom not in self._names:
            self._names[atom] = _letters(next(self._next))
        return self._names[atom]

    def typed(self, var: Var) -> str:
        return f"{self(var)}:{var.aval.str_short(True)}"


def _letters(i: int) -> str:
    text = ""
    while True:
        i, digit = divmod(i, 26)
        text = chr(ord("a") + digit) + text
        if not i:
            return text


def print_jaxpr(jaxpr: Jaxpr, names: _Names | None = None, indent: int = 0) -> str:
    """The text of a program, on one line if it fits in 80 columns."""
    names = names or _Names()
    pad = " " * indent
    consts = " ".join(map(names.typed, jaxpr.constvars))
    head = f"{{ lambda {consts + ' ' if consts else ''}; {' '.join(map(names.typed, jaxpr.invars))}. let"
    eqns = [_print_equation(e, names, indent + 4) for e in jaxpr.eqns]
    outs = ", ".join(map(names, jaxpr.outvars))
    tail = f"in ({outs}{',' if len(jaxpr.outvars) == 1 else ''}) }}"
    line = f"{head} {'; '.join(eqns)}{' ' if eqns else ''}{tail}"
    if len(line) + indent <= 80 and "\n" not in line:
        return line
    return "\n".join([head, *(f"{pad}    {e}" for e in eqns), f"{pad}  {tail}"])


def print_lines(jaxpr: Jaxpr) -> list[tuple[str, str]]:
    """The lines of a program's text, each with the place in the user's code that it comes from."""
    names = _Names()
    consts, ins = (" ".join(map(names.typed, given)) for given in (jaxpr.constvars, jaxpr.invars))
    lines = [(f"{{ lambda {consts + ' ' if consts else ''}; {ins}. let", "")]
    lines += [("    " + _print_equation(e, names, 4), e.source) for e in jaxpr.eqns]
    return [*lines, (f"  in ({', '.join(map(names, jaxpr.outvars))}{',' if len(jaxpr.outvars) == 1 else ''}) }}", "")]


def _print_equation(eqn: JaxprEqn, names: _Names, indent: int = 0) -> str:
    outs = " ".join(
        names.typed(v) if not isinstance(v, DropVar) else f"_:{v.aval.str_short(True)}" for v in eqn.outvars
    )
    params = [f"{k}={_print_param(v, indent + 2)}" for k, v in sorted(eqn.params.items()) if v is not None]
    text = ""
    if params:
        if len(params) == 1 and "\n" not in params[0]:
            text = f"[{params[0]}]"
        else:
            inner = "\n".join(f"{' ' * (indent + 2)}{p}" for p in params)
            text = f"[\n{inner}\n{' ' * indent}]"
    ins = " ".join(map(names, eqn.invars))
    return f"{outs} = {eqn.primitive.name}{text} {ins}".rstrip()


def _print_param(value: Param, indent: int) -> str:
    if isinstance(value, ClosedJaxpr):
        return print_jaxpr(value.jaxpr, indent=indent)
    if isinstance(value, Jaxpr):
        return print_jaxpr(value, indent=indent)
    if isinstance(value, np.dtype):
        return dtypes.name(value)
    if isinstance(value, ConcreteArray):
        return str(value)
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return str(value)
