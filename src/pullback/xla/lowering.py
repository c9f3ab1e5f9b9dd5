"""From a program to a StableHLO module: the passes, the constants, the arguments, one equation
after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.config import cpu_fusion
from pullback.core.dimensions import is_symbolic
from pullback.core.errors import OutOfMemoryError, describe_location, user_line
from pullback.core.jaxpr import Atom, ClosedJaxpr, JaxprEqn, Literal, Var
from pullback.core.passes import hoist_constants, simplify
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray
from pullback.xla.capabilities import CPU, capabilities_of
from pullback.xla.devices import DeviceArray, on_host
from pullback.xla.fusion import plan
from pullback.xla.kernels import without_barriers, without_kernels
from pullback.xla.stablehlo import Emitter
from pullback.xla.text import Value, is_splat, physical_dtype, quoted, tensor_type

#: Constants up to this many bytes are written into the program, where the compiler can fold them;
#: larger ones are arguments.
SMALL_CONSTANT = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A program as StableHLO.

    Its arguments are `constants` (arrays that the program closes over), then those of the program's
    own arguments that are numbered in `kept`. `callbacks` are the host functions it calls;
    `barriers` are the names of the values that the fusion plan keeps.
    """

    name: str
    text: str
    constants: list[Any]
    kept: list[int]
    in_types: Sequence[ShapedArray]
    out_types: Sequence[ShapedArray]
    callbacks: Sequence[Callable[..., Any]]
    donated: list[int]
    barriers: Collection[str]

    def without_plan(self) -> str:
        """The text in which nothing is said about what is to be kept, and what is to be a kernel."""
        return without_kernels(without_barriers(self.text, self.barriers))

    def text_without_locations(self) -> str:
        """The module's text, in which nothing says where in the user's code an operation comes
        from."""
        return _LOCATION.sub("", self.text)

    def operations_at(self, message: str) -> str:
        """The operations that an error message of XLA's is about, by the places in the user's code
        that it names."""
        found: dict[str, None] = {}
        for file, line in re.findall(r"(\S+):(\d+):0: error", message):
            found.update(dict.fromkeys(re.findall(rf'loc\("([^"]*)"\({re.escape(quoted(file))}:{line}:0\)', self.text)))
        return f" (operation {', '.join(found)})" if found else ""


_LOCATION = re.compile(r" loc\(\".*$", re.MULTILINE)


def lower(
    closed: ClosedJaxpr, name: str = "main", donated: Sequence[int] = (), keep_unused: bool = False,
    portable: bool = False, platform: str = CPU.platform, device: Any = None,
) -> Module:  # fmt: skip
    """The module of a program. `donated` numbers the arguments whose memory may be used for
    results; `device` is where the program will run, if that is known.

    A `portable` module is complete and made for no machine: it holds its constants, whatever their
    size, its arguments and results are of their own types, and nothing is fused. Raises
    NotImplementedError, naming the operation, for what is not there on `platform`.
    """
    if not portable and any([is_symbolic(t.shape) for t in closed.in_avals]):
        raise ValueError(
            f"{name!r} is to be compiled for arrays with symbolic dimensions ({', '.join([t.str_short() for t in closed.in_avals])}): "
            "export it (`export.export`), and call what was exported with arrays"
        )
    program, constants = hoist_constants(simplify(closed), (lambda value: True) if portable else _is_small)
    jaxpr = program.jaxpr
    used = {x for e in jaxpr.eqns for x in e.invars} | set(jaxpr.outvars)
    count = len(constants)
    own = jaxpr.invars[count:]
    kept = [i for i, v in enumerate(own) if keep_unused or v in used]
    emit = Emitter(lower_equations, capabilities_of(platform), portable)
    emit.device = device
    ours = cpu_fusion.value == "auto"
    emit.plans_fusion, emit.makes_kernels = ours and emit.keeps, ours and emit.makes_kernels
    arguments = [*jaxpr.invars[:count], *(own[i] for i in kept)]
    border = (lambda dtype: dtype) if portable else physical_dtype
    take = (lambda name, t: Value(name, t.shape, t.dtype)) if portable else emit.argument
    values = [take(f"%arg{i}", v.aval) for i, v in enumerate(arguments)]
    bound = dict(zip(arguments, values))
    operands = [bound.get(v) for v in jaxpr.invars]
    results = lower_equations(emit, program, operands)
    if not portable:
        results = [emit.result(x) for x in results]
    alias = set(donated)
    heads = [
        f"%arg{i}: {tensor_type(v.aval.shape, border(v.aval.dtype))}"
        f"{' {jax.buffer_donor = true}' if i >= count and kept[i - count] in alias else ''}"
        for i, v in enumerate(arguments)
    ]
    if emit.scalar_arguments:
        scalars = list(emit.scalar_arguments.values())
        heads[count:count] = [f"{name}: {tensor_type((), border(x.dtype))}" for name, x in scalars]
        constants = [*constants, *[concrete(x) for _, x in scalars]]
    out_types = ", ".join([tensor_type(r.shape, r.dtype) for r in results])
    body, functions = emit.text()
    text = (
        f"module @{_identifier(name)} {{\nfunc.func public @main({', '.join(heads)}) -> ({out_types}) {{\n{body}\n"
        f'"func.return"({", ".join([r.name for r in results])}) : ({out_types}) -> ()\n}}\n'
        f"{functions}}}\n"
    )
    donors = [i for i in donated if i in kept]
    return Module(name, text, constants, kept, closed.in_avals, closed.out_avals, emit.callbacks, donors, emit.kept)


def lower_equations(emit: Emitter, closed: ClosedJaxpr, operands: Sequence[Value | None]) -> list[Value]:
    """Write the equations of a program, given the values of its arguments (None for one that is not
    used)."""
    jaxpr = closed.jaxpr
    values: dict[Var, Value] = {v: x for v, x in zip(jaxpr.invars, operands) if x is not None}
    for v, c in zip(jaxpr.constvars, closed.consts):
        values[v] = emit.constant_array(on_host(c)._value)

    kept = plan(jaxpr) if emit.plans_fusion else ()
    for e in jaxpr.eqns:
        _lower_equation(emit, e, values)
        if kept:
            for v in e.outvars:
                if v in kept:
                    values[v] = emit.keep(values[v])
    return [_value(emit, x, values) for x in jaxpr.outvars]


def _value(emit: Emitter, x: Atom, values: dict[Var, Value]) -> Value:
    return emit.constant(x.val._value) if x.__class__ is Literal else values[x]


def _lower_equation(emit: Emitter, e: JaxprEqn, values: dict[Var, Value]) -> None:
    """Write an equation, and put its results into `values`."""
    primitive = e.primitive
    if primitive.inlined is not None:  # in what a primitive expands to
        results = emit.program(e.params[primitive.inlined], [_value(emit, x, values) for x in e.invars])
        values.update(zip(e.outvars, results))
        return
    emit.types = types = [v.aval for v in e.outvars]
    emit.at(e.location, primitive.name, e.name_stack)
    # Where scalars broadcast, they are written as what they are broadcast to.
    shape = types[0].shape if primitive.broadcasts else None
    try:
        operands = [emit.constant(x.val._value, None, shape) if x.__class__ is Literal else values[x] for x in e.invars]
        if emit.beyond_memory and not (primitive.broadcasts or primitive.name in _NEED_NO_MEMORY):
            _refuse_beyond_memory(emit, primitive.name, operands)
        if not emit.capabilities.has_float64 and any([t.dtype in _OF_FLOAT64 for t in types]):
            emit.need("has_float64", "its result has 64-bit floating numbers")
        rule = _rules.get((primitive, emit.capabilities.platform), primitive.lower)
        results = rule(emit, *operands, **e.params)
    except Exception as error:
        error.add_note(f"while compiling `{primitive.name}` from {describe_location(e.location)}")
        raise
    if primitive.multiple_results:
        values.update(zip(e.outvars, results))
    else:
        values[e.outvars[0]] = results


Rule = Callable[..., Any]
_rules: dict[tuple[Primitive, str], Rule] = {}


def register_lowering(primitive: Primitive, rule: Rule, platform: str) -> None:
    """Lower a primitive by `rule(emit, *operands, **params)` on one platform, instead of by its own
    rule `lower`.

    That is for what only this platform has: a kernel under a name of its own, an operation that is
    quicker there. The rule gives what `Primitive.lower` gives; it may call that for cases that are
    nothing special. Raises ValueError if the primitive has another rule for the platform. Programs
    that have been compiled already stay as they are.

    >>> from pullback.core.primitive import registry
    >>> sine = registry["sin"]
    >>> def by_table(emit, x, **params):
    ...     return emit.custom_call("abacus_sine", x, out=emit.type)
    >>> register_lowering(sine, by_table, "abacus")
    """
    if _rules.setdefault((primitive, platform), rule) is not rule:
        raise ValueError(f"there is a lowering of {primitive.name!r} for {platform!r} already, at {user_line()}")


_OF_FLOAT64 = (dtypes.float64, dtypes.complex128)
#: What does not need its operand in memory, besides elementwise operations.
_NEED_NO_MEMORY = {
    "select_n", "convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "slice", "transpose"
}  # fmt: skip


def _refuse_beyond_memory(emit: Emitter, name: str, operands: Sequence[Value]) -> None:
    # A constant that no machine like this could hold, eagerly or compiled, and over which a loop
    # would run for a very long time.
    for x in operands:
        if x.name in emit.beyond_memory:
            raise OutOfMemoryError(
                f"RESOURCE_EXHAUSTED: Out of memory: `{name}` of a constant of type {x.aval.str_short()}, which takes "
                f"{x.aval.nbytes} bytes"
            )


def _is_small(value: Any) -> bool:
    if isinstance(value, DeviceArray):  # which is there as an array already
        return False
    data = np.asarray(value._value)
    return data.nbytes <= SMALL_CONSTANT or is_splat(data)


def _identifier(name: str) -> str:
    text = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
    return text if text[:1].isalpha() or text[:1] == "_" else f"f_{text}"
