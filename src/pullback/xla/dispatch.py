"""Compiled programs in use: Arrays in, Arrays out.

`compiled(program)` is the program's executable on a device, made on first use and kept with the program. Calling it costs what
PJRT costs, and about a microsecond for each array that changes hands; nothing is copied where memory can be shared.
"""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import array, config, dtypes
from pullback.core.array import ConcreteArray, as_array, concrete
from pullback.core.config import enable_x64
from pullback.core.errors import JaxRuntimeError, user_line
from pullback.core.jaxpr import ClosedJaxpr, program_caches
from pullback.core.kept import by_identity, kept_with_owners
from pullback.core.types import intern
from pullback.xla import cache, pjrt
from pullback.xla.devices import HOST, Device, DeviceArray, buffer_on, common_device, on_host
from pullback.xla.exits import waited_for
from pullback.xla.forks import leave, prepare, resume
from pullback.xla.lowering import Module, lower
from pullback.xla.stablehlo import callback_failures

logger = logging.getLogger("pullback.jit")


def failure(what: str, error: Exception) -> JaxRuntimeError:
    """XLA's error as ours, caused by the exception of a Python callback if there was one."""
    out = JaxRuntimeError(f"{what}: {error}")
    out.__cause__ = callback_failures.pop() if callback_failures else None
    out.__suppress_context__ = True
    return out


def view_of_buffer(buffer: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """The contents of a buffer as a NumPy value; an error of the computation that was to fill it is raised here."""
    try:
        return pjrt.to_numpy(buffer, dtype)
    except pjrt.XlaRuntimeError as error:
        if buffer.is_deleted():  # by another thread, just now
            raise RuntimeError(
                f"Array has been deleted: it was donated to a compiled program; used at {user_line()}"
            ) from None
        raise failure("the computation of this array failed", error) from None


def wait(buffers: Sequence[Any]) -> None:
    """Wait until the contents of buffers are there; an error of the computation that was to fill one is raised here."""
    try:
        pjrt.wait(buffers)
    except pjrt.XlaRuntimeError as error:
        raise failure("the computation of an array failed", error) from None


array.view_of_buffer, array.wait_for_buffers = view_of_buffer, wait

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


_scalars: dict[tuple[Any, ...], ConcreteArray] = {}
#: Scalars that are what they equal, except NaN and zero: complex ones are not, whose parts may be zeros of either sign.
_FOUND_AGAIN = frozenset((bool, int, float))


def from_user(x: Any) -> ConcreteArray:
    """A user's NumPy array or Python scalar as an Array that has a buffer already.

    NumPy arrays are copied, once, by XLA's side: what the user writes into them later changes nothing here. Scalars that come again are
    found again.
    """
    if x.__class__ is np.ndarray:
        return _lent_copy(x)
    if x.__class__ not in _FOUND_AGAIN or x != x or x == 0:  # NaNs equal nothing, and zeros have signs
        return as_array(x)
    key = (x.__class__, x, enable_x64.value)
    found = _scalars.get(key)
    return _remember(key, as_array(x)) if found is None else found


def kept_scalar(x: ConcreteArray) -> ConcreteArray:
    """`x`, a weakly typed scalar, or an Array like it that has a buffer already: for calls, and not to be handed out."""
    if x._buffer is not None:
        return x
    value = x._value.item()
    if value.__class__ not in _FOUND_AGAIN or value != value or (value == 0 and value.__class__ is float):
        return x
    key = (x._value.dtype, value)
    found = _scalars.get(key)
    return _remember(key, concrete(x._value, True)) if found is None else found


def _remember(key: tuple[Any, ...], x: Any) -> Any:
    if len(_scalars) > 4096:
        _scalars.clear()
    _scalars[key] = x
    return x


#: NumPy's types that XLA shares, and what they are where 64-bit types are not enabled.
_NARROW = {d: dtypes.narrow(d) for d in map(np.dtype, "?bhilBHILefdFD")}

# Small NumPy arrays are written into memory that XLA knows already, which is lent out for one call of a compiled program: making
# a buffer takes longer than a small program.

#: Bytes up to which an array is copied into lent memory.
_LENT = 1 << 14


class Lent(ConcreteArray):
    """An Array whose memory is written again when its borrower has given it back."""

    __slots__ = ("memory", "shelf")
    memory: np.ndarray[Any, Any]
    shelf: list[Lent]


_shelves: dict[Any, list[Lent]] = {}


def _from_numpy(x: np.ndarray[Any, Any]) -> ConcreteArray:
    dtype = _NARROW.get(x.dtype)
    if dtype is None:  # no type that XLA shares
        return as_array(x)
    key: Any = (x.shape, dtype)
    if dtype is not x.dtype:  # which type it becomes is asked for each time
        x64 = enable_x64.value
        key, dtype = (x.shape, x.dtype, x64), x.dtype if x64 else dtype
    if x.nbytes > _LENT:
        return (
            ConcreteArray.of_buffer(pjrt.put_copy(x, HOST.target), intern(x.shape, dtype, False))
            if dtype is x.dtype
            else as_array(x)
        )
    if len(_shelves) > 256:
        _clear_shelves()
    shelf = _shelves.setdefault(key, [])
    try:
        lent = shelf.pop()
    except IndexError:
        lent = _new_lent(x.shape, dtype, shelf)
    lent.memory[...] = x
    return lent


def _lent_copy(x: Any) -> ConcreteArray:
    """What is on a shelf for arrays like `x`, with its contents; something new if nothing is."""
    shelf = _shelves.get((x.shape, x.dtype))
    if not shelf:
        return _from_numpy(x)
    try:
        lent = shelf.pop()
    except IndexError:  # another thread has taken the last
        return _from_numpy(x)
    lent.memory[...] = x
    return lent


_buffer_slot = ConcreteArray.__dict__["_buffer"]


def _borrowed(args: Sequence[ConcreteArray], target: pjrt.Target) -> tuple[list[Any], list[ConcreteArray]]:
    """The arrays' buffers for one call, and what is lent for it: a small array that comes for the first time gets lent memory. Most do not
    come again, and to make a buffer, and to use it for the first time, takes longer than to copy."""
    buffers, lent = [], []
    for x in args:
        if x._buffer is None:
            value = x._value
            if value.nbytes <= _LENT and _NARROW.get(value.dtype) is value.dtype:
                try:
                    _buffer_slot.__get__(x)
                except AttributeError:
                    x._buffer = None  # known by now
                    x = _lent_copy(value)
                    lent.append(x)
        buffers.append(buffer_of(x, target))
    return buffers, lent


def _new_lent(shape: Any, dtype: Any, shelf: list[Lent]) -> Lent:
    raw = np.empty(math.prod(shape) * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64  # XLA shares memory that begins at a cache line
    memory = raw[start : raw.size - 64 + start].view(dtype).reshape(shape)
    lent = Lent.of_buffer(pjrt.put(memory, HOST.target), intern(shape, dtype, False))
    lent.memory, lent.shelf = memory, shelf
    return lent


def give_back(args: Sequence[ConcreteArray], outs: Sequence[ConcreteArray]) -> None:
    """Take back what was lent for a call that gave `outs`, if the call is over."""
    if outs and outs[0].__class__ is ConcreteArray and outs[0]._buffer.is_ready():
        for x in args:
            if x.__class__ is Lent and len(x.shelf) < 16:
                x.shelf.append(x)


def _clear_shelves() -> None:
    for shelf in list(_shelves.values()):
        shelf.clear()  # what lies on it knows it
    _shelves.clear()


def forget_lent() -> None:
    """Forget the memory that is lent to calls, and the scalars that come again."""
    _clear_shelves()
    _scalars.clear()


class Compiled:
    """A module's executable on a device, with its constants there.

    `run(args)` takes all the program's arguments as ConcreteArrays and gives a list of them; it may return before they have been computed.
    """

    __slots__ = ("module", "executable", "device", "out_types", "run")

    def __init__(self, module: Module, executable: pjrt.Executable, device: Device) -> None:
        self.module, self.executable, self.device = module, executable, device
        self.out_types = [intern(t.shape, t.dtype, t.weak_type) for t in module.out_types]
        self.run = _runner(self)


def _runner(compiled: Compiled) -> Callable[[Sequence[ConcreteArray]], list[ConcreteArray]]:
    # Closures: what is looked up once is not looked up again on the way of every call.
    if compiled.device is not HOST:
        return _runner_elsewhere(compiled)
    module, target, out_types = compiled.module, compiled.executable.target, compiled.out_types
    execute, handlers = compiled.executable.loaded.execute_sharded, compiled.executable.handlers
    constants = [buffer_of(on_host(c), target) for c in module.constants]
    kept, donated = module.kept, module.donated
    takes_all = kept == list(range(len(module.in_types)))
    is_unary = len(kept) == 1
    results_as = [(t, t.weak_type) for t in out_types]

    def run(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        taken = args if takes_all else [args[i] for i in kept]
        lent: Sequence[ConcreteArray] = ()
        try:
            try:
                results = execute([*constants, *[a._buffer for a in taken]])
            except TypeError:  # an argument that is not on the device yet: its buffer is None
                if donated:  # nothing that is lent
                    results = execute([*constants, *[buffer_of(a, target) for a in taken]])
                else:
                    buffers, lent = _borrowed(taken, target)
                    results = execute([*constants, *buffers])
            buffers = results.consume_with_handlers(handlers)
        except pjrt.XlaRuntimeError as error:
            raise failure(f"jit({module.name}) failed", error)  # noqa: B904 - it says itself what caused it
        if donated:
            for i in donated:
                args[i].delete()
        outs = []
        for buffer, (t, weak) in zip(buffers, results_as):
            out = ConcreteArray()
            out._buffer, out._type, out.weak_type = buffer, t, weak
            outs.append(out)
        if lent:
            give_back(lent, outs)
        return outs

    def run_plain(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        # One result, and every argument used: what small functions are.
        lent: Sequence[ConcreteArray] = ()
        try:
            try:
                buffers = [args[0]._buffer] if is_unary else [a._buffer for a in args]
                (buffer,) = execute(buffers).consume_with_handlers(handlers)
            except TypeError:
                buffers, lent = _borrowed(args, target)
                (buffer,) = execute(buffers).consume_with_handlers(handlers)
        except pjrt.XlaRuntimeError as error:
            raise failure(f"jit({module.name}) failed", error)  # noqa: B904 - it says itself what caused it
        out = ConcreteArray()
        out._buffer, out._type, out.weak_type = buffer, only_type, only_weak
        if lent:
            give_back(lent, [out])
        return [out]

    def run_waiting(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        # What is called on the host has been called when this returns.
        try:
            results = execute([*constants, *[buffer_of(args[i], target) for i in kept]], with_tokens=True)
            token = results.consume_token()
            buffers = results.consume_with_handlers(handlers)
            token.block_until_ready()
            pjrt.wait(buffers)
        except pjrt.XlaRuntimeError as error:
            raise failure(f"jit({module.name}) failed", error)  # noqa: B904
        for i in donated:
            args[i].delete()
        return [ConcreteArray.of_buffer(b, t) for b, t in zip(buffers, out_types)]

    if module.callbacks:  # Python might keep what it is given
        return waited_for(run_waiting)
    run_plain.lets_go = run.lets_go = True  # type: ignore[attr-defined]
    if len(out_types) == 1 and not constants and not donated and takes_all:
        ((only_type, only_weak),) = results_as
        return run_plain
    return run


def _runner_elsewhere(compiled: Compiled) -> Callable[[Sequence[ConcreteArray]], list[ConcreteArray]]:
    """`run` of a program for a device other than the host."""
    module, device, out_types = compiled.module, compiled.device, compiled.out_types
    execute, handlers = compiled.executable.loaded.execute_sharded, compiled.executable.handlers
    constants = [buffer_on(c, device) for c in module.constants]
    kept, donated = module.kept, module.donated

    def run(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        try:
            results = execute(
                [*constants, *[buffer_on(args[i], device) for i in kept]], with_tokens=bool(module.callbacks)
            )
            token = results.consume_token() if module.callbacks else None
            buffers = results.consume_with_handlers(handlers)
            if token is not None:  # what is called on the host has been called when this returns
                token.block_until_ready()
                pjrt.wait(buffers)
        except pjrt.XlaRuntimeError as error:
            raise failure(f"jit({module.name}) failed", error)  # noqa: B904 - it says itself what caused it
        for i in donated:
            args[i].delete()
        committed = any([a.__class__ is DeviceArray and a.committed for a in args])
        return [DeviceArray.made(b, t, device, committed) for b, t in zip(buffers, out_types)]

    return waited_for(run) if module.callbacks else run


def compiled(
    program: ClosedJaxpr, name: str = "main", donated: Sequence[int] = (), keep_unused: bool = False,
    device: Device = HOST, options: tuple[tuple[str, Any], ...] = (),
) -> Compiled:  # fmt: skip
    """The executable of a program, compiled the first time it is asked for."""
    return program.derived(
        ("compiled", tuple(donated), keep_unused, device, options),
        compile_program,
        name,
        donated,
        keep_unused,
        device,
        options,
    )


def compile_program(
    program: ClosedJaxpr, name: str, donated: Sequence[int], keep_unused: bool, device: Device,
    options: tuple[tuple[str, Any], ...],
) -> Compiled:  # fmt: skip
    """Lower and compile."""
    return compile_module(lower(program, name, donated, keep_unused, platform=device.platform), device, options)


def compile_module(module: Module, device: Device, options: tuple[tuple[str, Any], ...]) -> Compiled:
    """The executable of a module: from the persistent cache, or compiled and kept there.

    Raises JaxRuntimeError, with the operation and the user's line, where XLA cannot compile it.
    """
    # Host functions are this process's own: programs that call them are compiled anew.
    name = cache.key(module.text_without_locations(), device, options) if not module.callbacks else None
    log = config.log_compiles.value
    payload = cache.read(name) if name is not None else None
    if payload is not None:
        try:
            executable = pjrt.deserialize(payload, device.target, module.out_types, options)
        except pjrt.XlaRuntimeError as error:
            cache.logger.warning("The compiled program %s cannot be loaded: %s", name, error)
            cache.forget(name)
        else:
            cache.logger.log(logging.WARNING if log else logging.DEBUG, "hit for jit(%s): %s", module.name, name)
            return Compiled(module, executable, device)
    start = time.perf_counter()
    try:
        executable = pjrt.compile_text(module.text, device.target, module.out_types, options, module.callbacks)
    except pjrt.XlaRuntimeError as error:
        unplanned = _compile_without_plan(module, device, options, error)
        if unplanned is None:
            where = module.operations_at(str(error))
            raise JaxRuntimeError(f"XLA could not compile jit({module.name}){where}: {error}") from None
        executable = unplanned
    logger.log(
        logging.WARNING if log else logging.DEBUG,
        "compiled jit(%s) in %.3f s",
        module.name,
        time.perf_counter() - start,
    )
    if name is not None:
        cache.logger.log(logging.WARNING if log else logging.DEBUG, "miss for jit(%s): %s", module.name, name)
        cache.write(name, executable.loaded.serialize())
    return Compiled(module, executable, device)


def _compile_without_plan(
    module: Module, device: Device, options: tuple[tuple[str, Any], ...], error: Exception
) -> pjrt.Executable | None:
    """The executable of a module that XLA has refused, compiled under XLA's own fusion plan; None if that is not what it refuses."""
    if not module.barriers:
        return None
    try:
        executable = pjrt.compile_text(
            module.without_plan(), device.target, module.out_types, options, module.callbacks
        )
    except pjrt.XlaRuntimeError:
        return None
    warnings.warn(
        f"XLA refused jit({module.name}), called at {user_line()}, with Pullback's fusion plan, and took it without: the program is right, "
        f"and may be slow. This is a fault of Pullback's: please report it, with the program. XLA said: {error}",
        RuntimeWarning,
        stacklevel=2,
    )
    return executable


def apply_primitive(
    primitive: Any, operands: Sequence[ConcreteArray], params: dict[str, Any], device: Device | None = None
) -> Any:
    """One primitive on Arrays, compiled: for operations that NumPy does not have, and arrays on other devices."""
    from pullback.core.stage import stage_flat

    owners: list[Any] = []
    key: Any = (primitive, tuple([x._type.number for x in operands]), by_identity(tuple(params.items()), owners))
    programs = kept_with_owners(owners) if owners else _primitives
    try:
        program = programs.get(key)
    except TypeError:  # parameters that are not hashable
        key, program = None, None
    if program is None:

        def flat(*xs: Any) -> Any:
            out = primitive.bind(*xs, **params)
            return out if primitive.multiple_results else [out]

        from pullback.core.trace import EVAL

        program = stage_flat(flat, [x.aval for x in operands], EVAL)
        if key is not None:
            if len(programs) > 4096:
                programs.clear()
            programs[key] = program
    device = device or common_device(operands, primitive.name)
    if device is HOST:
        operands = [on_host(x) for x in operands]
    outs = compiled(program, primitive.name, device=device).run(operands)
    return outs if primitive.multiple_results else outs[0]


_primitives: dict[Any, ClosedJaxpr] = {}
program_caches.append(_primitives)


def evaluate(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
    """The rule `evaluate` of primitives that are evaluated by compiling them: NumPy values in and out."""
    out = apply_primitive(primitive, [concrete(v) for v in values], params, HOST)
    return [o._value for o in out] if primitive.multiple_results else out._value


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=prepare, after_in_parent=resume, after_in_child=leave)

__all__ = ["Compiled", "apply_primitive", "compile_module", "compiled", "evaluate"]
