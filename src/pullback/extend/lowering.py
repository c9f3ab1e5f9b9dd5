"""Lowering rules of other people's: functions that are traced (`lower_fun`), and functions that
build operations of MLIR.

What a rule of the second kind builds, it builds in a module of its own, with a function of the
operands' types; that module's text becomes a private function of the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.staging import stage_flat
from pullback.core.types import ShapedArray
from pullback.xla.devices import no_sharding
from pullback.xla.text import element_type, tensor_type


class Traced(NamedTuple):
    """The rule that writes what `fun(*operands, **params)` does: what `lower_fun` gives.

    Example: `Traced(lambda x: x + 1, False)`.
    """

    fun: Callable[..., Any]
    multiple_results: bool

    def __call__(self, ctx: LoweringRuleContext, *values: Any, **params: Any) -> list[Any]:
        """The operations, within those that another rule builds."""
        types = list(map(_type_of, values))
        closed = self.program(types, params)
        module = ctx.module_context
        return module.called(types, closed.out_avals, lambda *xs: module.emit.program(closed, xs), values)

    def program(self, types: Sequence[ShapedArray], params: dict[str, Any]) -> Any:
        """The program of the function on operands of these types."""

        def flat(*xs: Any) -> list[Any]:
            out = self.fun(*xs, **params)
            return list(map(as_array, out if self.multiple_results else [out]))

        return stage_flat(flat, types)


def lowered(primitive: Primitive, rule: Any, emit: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The results of an equation, written by `rule`."""
    types = list(emit.types)
    if isinstance(rule, Traced):
        results = emit.program(rule.program([x.aval for x in operands], params), operands)
    else:
        text = _module_of(primitive, rule, [x.aval for x in operands], types, params, emit)
        results = emit.call_module(text, operands, types)
    if len(results) != len(types) or any((r.shape, r.dtype) != (t.shape, t.dtype) for r, t in zip(results, types)):
        got, wanted = (", ".join(x.str_short() for x in xs) for xs in ([r.aval for r in results], types))
        raise TypeError(
            f"the lowering rule of {primitive.name!r} gives results of types {got or 'none'}, and its typing rule says {wanted}"
        )
    return results if primitive.multiple_results else results[0]


# ---- rules that build operations -----------------------------------------------------------------

#: Calls as MLIR prints them.
_SHORT_CALL = re.compile(r" call @")


class ModuleContext:
    """The module that a lowering rule builds operations in: `module`, `context`, and the `platforms`
    that it is for.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> from pullback.interpreters import mlir
    >>> p = Primitive("same")
    >>> _ = p.def_abstract_eval(lambda x: x)
    >>> def rule(ctx, x):
    ...     print(ctx.module_context.platforms)
    ...     return [x]
    >>> _ = mlir.register_lowering(p, rule)
    >>> pb.jit(p.bind)(2.0)
    ('cpu',)
    Array(2., dtype=float32, weak_type=True)
    """

    def __init__(self, context: Any, module: Any, emit: Any) -> None:
        self.context, self.module, self.emit = context, module, emit
        self.platforms = (emit.capabilities.platform,)
        #: The functions that the module declares and does not have, as text, by name.
        self.functions: dict[str, str] = {}

    def called(
        self, ins: Sequence[ShapedArray], outs: Sequence[ShapedArray], write: Callable[..., Any], values: Any
    ) -> list[Any]:
        """The results, of types `outs`, of a function on values of MLIR; `write(*values)` writes it
        by Pullback's own means."""
        from pullback.xla.pjrt import mlir

        ir, func = mlir().ir, mlir().func
        name = f"written_{len(self.functions)}"
        self.functions[name] = _function(self.emit, name, ins, write)
        with self.context, ir.Location.unknown(self.context):
            kinds = [[ir.Type.parse(tensor_type(t.shape, t.dtype)) for t in types] for types in (ins, outs)]
            with ir.InsertionPoint(self.module.body):
                func.FuncOp(name, ir.FunctionType.get(*kinds), visibility="private")
            return list(func.CallOp(kinds[1], ir.FlatSymbolRefAttr.get(name), list(values)).results)

    def add_keepalive(self, keepalive: Any) -> None:
        """Keep something as long as the program. What `emit_python_callback` gives is kept
        anyway."""
        if callable(keepalive):
            self.emit.callbacks.append(keepalive)

    def text(self) -> str:
        """The module's text, with all of its functions."""
        lines = str(self.module).splitlines()
        kept = [x for x in lines if not any(f"func.func private @{name}(" in x for name in self.functions)]
        end = max(i for i, x in enumerate(kept) if x.strip() == "}")
        return _SHORT_CALL.sub(" func.call @", "\n".join([*kept[:end], *self.functions.values(), *kept[end:]]))


def _function(emit: Any, name: str, types: Sequence[ShapedArray], body: Callable[..., Any]) -> str:
    """The text of a private function that does what `body(*arguments)` writes with an emitter, for
    arguments of these types."""
    scalars, emit.scalar_arguments = emit.scalar_arguments, None  # which are the program's own
    try:
        region = emit.region(types, body)
    finally:
        emit.scalar_arguments = scalars
    *lines, last = region.lines
    results = last[last.index(" : (") + 4 : last.rindex(") -> ()")]
    last = last.replace("stablehlo.return", "func.return", 1)
    arguments = region.arguments[5:-2] if types else ""
    return "\n".join([f"func.func private @{name}({arguments}) -> ({results}) {{", *lines, last, "}"])


class LoweringRuleContext(NamedTuple):
    """What a lowering rule that builds operations is told beside the operands: their types
    (`avals_in`), those of the results (`avals_out`), and where it is.

    A rule that builds an operation of StableHLO by jaxlib's bindings of MLIR:

    >>> import numpy as np, pullback as pb
    >>> from jaxlib.mlir.dialects import stablehlo
    >>> from pullback.extend.core import Primitive
    >>> from pullback.interpreters import mlir
    >>> p = Primitive("times_three")
    >>> _ = p.def_abstract_eval(lambda x: x)
    >>> def rule(ctx, x):
    ...     (aval,) = ctx.avals_in
    ...     return [stablehlo.multiply(x, mlir.ir_constant(np.full(aval.shape, 3, aval.dtype)))]
    >>> _ = mlir.register_lowering(p, rule)
    >>> pb.jit(p.bind)(2.0)
    Array(6., dtype=float32, weak_type=True)
    """

    module_context: ModuleContext
    primitive: Primitive
    avals_in: Sequence[ShapedArray]
    avals_out: Sequence[ShapedArray]
    name_stack: Any = ()
    traceback: Any = None
    tokens_in: Any = None
    tokens_out: Any = None

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that the program is for, as a tuple of one name.

        >>> import pullback as pb
        >>> from pullback.extend.core import Primitive
        >>> from pullback.interpreters import mlir
        >>> p = Primitive("same")
        >>> _ = p.def_abstract_eval(lambda x: x)
        >>> _ = mlir.register_lowering(p, lambda ctx, x: print(ctx.platforms) or [x])
        >>> pb.jit(p.bind)(2.0)
        ('cpu',)
        Array(2., dtype=float32, weak_type=True)
        """
        return self.module_context.platforms

    def replace(self, **changes: Any) -> LoweringRuleContext:
        """A copy with some fields changed.

        >>> LoweringRuleContext(None, None, (), ()).replace(name_stack=("encoder",)).name_stack
        ('encoder',)
        """
        return self._replace(**changes)


def _module_of(
    primitive: Primitive,
    rule: Callable[..., Any],
    ins: Sequence[ShapedArray],
    outs: Sequence[ShapedArray],
    params: dict[str, Any],
    emit: Any,
) -> str:
    from pullback.xla.pjrt import mlir

    ir, func = mlir().ir, mlir().func
    with mlir().new_context() as context, ir.Location.unknown(context):
        module = ir.Module.create()
        ir_types = [[ir.Type.parse(tensor_type(t.shape, t.dtype)) for t in types] for types in (ins, outs)]
        with ir.InsertionPoint(module.body):
            main = func.FuncOp("main", ir.FunctionType.get(*ir_types), visibility="public")
        block = main.add_entry_block()
        ctx = LoweringRuleContext(ModuleContext(context, module, emit), primitive, tuple(ins), list(outs))
        with ir.InsertionPoint(block):
            results = [_value_of(x, primitive) for x in rule(ctx, *block.arguments, **params)]
            func.ReturnOp(results)
        try:
            module.operation.verify()
        except ir.MLIRError as error:
            raise TypeError(
                f"the lowering rule of {primitive.name!r}, applied at {user_line()}, builds what is no valid program: {error}"
            ) from None
        return ctx.module_context.text()


#: dtypes that programs can have, by how MLIR writes them.
_DTYPES = {
    element_type(d): d
    for d in (dtypes.bool_, *dtypes.SIGNED, *dtypes.UNSIGNED, *dtypes.FLOATS, *dtypes.COMPLEXES)
    if not dtypes.name(d).startswith("float6_")
}


def _type_of(value: Any) -> ShapedArray:
    """The type of a value of MLIR."""
    from pullback.xla.pjrt import mlir

    kind = mlir().ir.RankedTensorType(value.type)
    return ShapedArray(tuple(kind.shape), _DTYPES[str(kind.element_type)])


def emit_python_callback(
    ctx: LoweringRuleContext,
    callback: Callable[..., Any],
    token: Any,
    operands: Sequence[Any],
    operand_avals: Sequence[ShapedArray],
    result_avals: Sequence[ShapedArray],
    *,
    has_side_effect: bool,
    returns_token: bool = True,
    partitioned: bool = False,
    sharding: Any = None,
) -> tuple[list[Any], Any, None]:
    """The results of `callback`, a function of NumPy arrays that gives a sequence of them, called on
    the host whenever the program runs; the token, as it was; and nothing to be kept. For lowering
    rules.

    Raises NotImplementedError for platforms whose programs cannot call the host.

    >>> import numpy as np, pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> from pullback.interpreters import mlir
    >>> p = Primitive("median")
    >>> _ = p.def_abstract_eval(lambda x: x.update(shape=()))
    >>> def rule(ctx, x):
    ...     median = lambda x: [np.median(x).astype(x.dtype)]
    ...     return emit_python_callback(ctx, median, None, [x], ctx.avals_in, ctx.avals_out, has_side_effect=False)[0]
    >>> _ = mlir.register_lowering(p, rule)
    >>> pb.jit(p.bind)(np.float32([5, 1, 3]))
    Array(3., dtype=float32)
    """
    del partitioned, returns_token
    no_sharding("emit_python_callback", sharding)
    outs = [ShapedArray(tuple(t.shape), t.dtype) for t in result_avals]
    emit = ctx.module_context.emit
    write = lambda *xs: emit.callback(callback, xs, outs, has_side_effect=has_side_effect)
    return ctx.module_context.called([_type_of(x) for x in operands], outs, write, operands), token, None


def _value_of(x: Any, primitive: Primitive) -> Any:
    """A result of a rule as a value: rules give values, or operations and lists of one."""
    if isinstance(x, (list, tuple)) and len(x) == 1:
        (x,) = x
    if hasattr(x, "result") and not hasattr(x, "owner"):
        x = x.result
    if not hasattr(x, "type"):
        raise TypeError(f"the lowering rule of {primitive.name!r} gives {x!r:.100}, which is no value of MLIR")
    return x


__all__ = ["LoweringRuleContext", "ModuleContext", "Traced", "emit_python_callback", "lowered"]
