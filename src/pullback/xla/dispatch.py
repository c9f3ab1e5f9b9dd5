"""Compiled programs in use: Arrays in, Arrays out.

`compiled(program)` is the program's executable on a device, made on first use and kept with the program. Calling it costs what
PJRT costs, and about a microsecond for each array that changes hands; nothing is copied where memory can be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core import array
from pullback.core.array import ConcreteArray
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.types import ShapedArray, intern
from pullback.xla import pjrt
from pullback.xla.lowering import Module, lower

of_buffer = ConcreteArray.of_buffer
array.view_of_buffer = pjrt.to_numpy

#: Arrays larger than this are held once: the NumPy value of one that has been handed to XLA is a view of XLA's buffer.
_HELD_ONCE = 1 << 16


def buffer_of(x: ConcreteArray, target: pjrt.Target) -> Any:
    """The contents of an Array on a device."""
    buffer = x._buffer
    if buffer is None:
        value = x._value
        buffer = x._buffer = pjrt.put(value, target)
        if value.nbytes > _HELD_ONCE:
            x._type  # noqa: B018 - taken before the value goes
            x._value = pjrt.to_numpy(buffer, value.dtype)
    return buffer


class Compiled:
    """A module's executable on a device, with its constants there: called with all the program's arguments as Arrays."""

    __slots__ = ("module", "executable", "target", "out_types", "_constants", "_kept", "_execute", "_handlers")

    def __init__(self, module: Module, executable: pjrt.Executable) -> None:
        self.module, self.executable, self.target = module, executable, executable.target
        self.out_types = [intern(t.shape, t.dtype, t.weak_type) for t in module.out_types]
        self._constants = [buffer_of(c, self.target) for c in module.constants]
        self._kept = module.kept
        self._execute, self._handlers = executable._execute, executable._handlers

    def __call__(self, args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        buffers = [*self._constants]
        for i in self._kept:
            x = args[i]
            buffer = x._buffer
            buffers.append(buffer_of(x, self.target) if buffer is None else buffer)
        outs = self._execute(buffers).consume_with_handlers(self._handlers)
        if self.module.donated:
            for i in self.module.donated:
                args[i].delete()
        return [of_buffer(o, t) for o, t in zip(outs, self.out_types)]


def compiled(
    program: ClosedJaxpr, name: str = "main", donated: Sequence[int] = (), keep_unused: bool = False,
    target: pjrt.Target | None = None, options: tuple[tuple[str, Any], ...] = (),
) -> Compiled:  # fmt: skip
    """The executable of a program, compiled the first time it is asked for."""
    target = target or pjrt.cpu().devices[0]
    return program.derived(
        ("compiled", tuple(donated), keep_unused, target, options), compile_program, name, donated, keep_unused, target, options
    )


def compile_program(
    program: ClosedJaxpr, name: str, donated: Sequence[int], keep_unused: bool, target: pjrt.Target,
    options: tuple[tuple[str, Any], ...],
) -> Compiled:  # fmt: skip
    """Lower and compile."""
    return compile_module(lower(program, name, donated, keep_unused), target, options)


def compile_module(module: Module, target: pjrt.Target, options: tuple[tuple[str, Any], ...]) -> Compiled:
    """Compile a module that has been lowered."""
    executable = pjrt.compile_text(module.text, target, module.out_types, options, module.callbacks)
    return Compiled(module, executable)


def apply_primitive(primitive: Any, operands: Sequence[ConcreteArray], params: dict[str, Any]) -> Any:
    """One primitive on Arrays, compiled: for operations that NumPy does not have, and arrays that NumPy does not see."""
    from pullback.core.stage import stage_flat

    key = (primitive, tuple([id(x._type) for x in operands]), tuple(params.items()))
    try:
        program = _primitives.get(key)
    except TypeError:  # parameters that are not hashable
        key, program = None, None
    if program is None:

        def flat(*xs: Any) -> Any:
            out = primitive.bind(*xs, **params)
            return out if primitive.multiple_results else [out]

        from pullback.core.trace import EVAL

        program = stage_flat(flat, [x.aval for x in operands], EVAL)
        if key is not None:
            if len(_primitives) > 4096:
                _primitives.clear()
            _primitives[key] = program
    outs = compiled(program, primitive.name)(operands)
    return outs if primitive.multiple_results else outs[0]


_primitives: dict[Any, ClosedJaxpr] = {}


def evaluate(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
    """The rule `evaluate` of primitives that are evaluated by compiling them: NumPy values in and out."""
    out = apply_primitive(primitive, [ConcreteArray(v) for v in values], params)
    return [o._value for o in out] if primitive.multiple_results else out._value


__all__ = ["Compiled", "ShapedArray", "apply_primitive", "compile_module", "compiled", "evaluate"]
