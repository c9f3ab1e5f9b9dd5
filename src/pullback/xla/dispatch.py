"""Compiled programs in use: Arrays in, Arrays out.

`compiled(program)` is the program's executable at a placement, made on first use and kept with the
program. Calling it costs what PJRT costs, and about a microsecond for each array that changes
hands; nothing is copied where memory can be shared.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from pullback.core import config
from pullback.core.array import ConcreteArray
from pullback.core.errors import JaxRuntimeError, user_line
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.types import intern
from pullback.xla import cache, forks, pjrt
from pullback.xla.buffers import buffer_of, failure
from pullback.xla.devices import (
    DeviceArray,
    are_ordinary,
    buffer_on,
    commit_to_host,
    common_placement,
    fetched,
    on_host,
    sent,
)
from pullback.xla.exits import waited_for
from pullback.xla.lending import borrowed, give_back
from pullback.xla.lowering import Module, lower
from pullback.xla.placement import ON_HOST, Placement

logger = logging.getLogger("pullback.jit")

Run = Callable[[Sequence[ConcreteArray]], list[ConcreteArray]]
XlaOptions = tuple[tuple[str, Any], ...]


class Runner:
    """What runs a program: `run(args)` takes all its arguments as ConcreteArrays and gives a list
    of them; it may return before they have been computed. `lets_go` says whether nothing holds on
    to the arguments when the results are there, so that memory that was lent for the call can be
    given back.

    >>> Runner(list, lets_go=True)([])
    []
    """

    __slots__ = ("run", "lets_go")

    def __init__(self, run: Run, lets_go: bool) -> None:
        self.run, self.lets_go = run, lets_go

    def __call__(self, args: Sequence[Any]) -> list[ConcreteArray]:
        return self.run(args)


class Compiled(Runner):
    """A module's executable at a placement, with its constants there."""

    __slots__ = ("module", "executable", "placement", "out_types", "__weakref__")

    def __init__(self, module: Module, executable: pjrt.Executable, placement: Placement) -> None:
        self.module, self.executable, self.placement = module, executable, placement
        self.out_types = [intern(t.shape, t.dtype, t.weak_type) for t in module.out_types]
        # What is called on the host might keep what it is given.
        super().__init__(_run_of(self), lets_go=placement is ON_HOST and not module.callbacks)
        _all.add(self)


_all: WeakSet[Compiled] = WeakSet()


@forks.in_child
def _leave() -> Any:
    left = [(x.executable, x.run) for x in _all]
    for x in _all:
        x.run = _refuse
    return left


def _refuse(args: Any) -> Any:
    return forks.check()  # which raises


def _run_of(compiled: Compiled) -> Run:
    # Closures: what is looked up once is not looked up again on the way of every call.
    # Comprehensions that use variables of `run` would make those slower, so they are in functions
    # of their own; and the case of one argument and one result, which most small functions have, is
    # written out.
    module, placement, out_types = compiled.module, compiled.placement, compiled.out_types
    executable, target, name = compiled.executable, placement.target, module.name
    execute, handlers = executable.loaded.execute_sharded, executable.handlers
    kept, donated, calls_host = module.kept, module.donated, bool(module.callbacks)
    away, takes_all = placement is not ON_HOST, kept == list(range(len(module.in_types)))
    borrows = not (away or donated or calls_host)

    def buffer_there(x: ConcreteArray) -> Any:
        return sent(x, placement) if away else buffer_of(x, target)

    constants = [buffer_on(c, placement) if away else buffer_of(on_host(c), target) for c in module.constants]
    is_unary = takes_all and len(kept) == 1 and not (away or constants)
    only = out_types[0] if len(out_types) == 1 and not (away or donated) else None

    def used(args: Sequence[ConcreteArray]) -> Sequence[ConcreteArray]:
        return args if takes_all else [args[i] for i in kept]

    def brought(args: Sequence[ConcreteArray]) -> tuple[list[Any], list[ConcreteArray]]:
        """The buffers for one call, and what is lent for it."""
        buffers, lent = constants.copy(), []
        for x in used(args):
            if borrows and (found := borrowed(x)) is not None:
                lent.append(found)
                buffers.append(found._buffer)
            else:
                buffers.append(buffer_there(x))
        return buffers, lent

    def wrapped(buffers: Sequence[Any], args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        if not away:
            outs = []
            for buffer, t in zip(buffers, out_types):  # `of_buffer`, written out
                out = ConcreteArray()
                out._buffer, out._type, out.weak_type = buffer, t, t.weak_type
                outs.append(out)
            return outs
        committed = any([x.__class__ is DeviceArray and x.committed for x in args])
        return [DeviceArray.made(b, t, placement, committed) for b, t in zip(buffers, out_types)]

    def run(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        lent: Any = ()
        try:
            if is_unary:
                buffers = [args[0]._buffer]
                if buffers[0] is None:
                    buffers, lent = brought(args)
            else:
                buffers = [*constants, *[x._buffer for x in used(args)]]
                if away or None in buffers:
                    buffers, lent = brought(args)
            if calls_host:  # what is called there has been called when this returns
                results = execute(buffers, with_tokens=True)
                token = results.consume_token()
                buffers = results.consume_with_handlers(handlers)
                token.block_until_ready()
                pjrt.wait(buffers)
            else:
                buffers = execute(buffers).consume_with_handlers(handlers)
        except pjrt.XlaRuntimeError as error:
            raise failure(f"jit({name}) failed", error)  # noqa: B904 - it says itself what caused it
        if only is not None:  # `of_buffer`, written out
            out = ConcreteArray()
            out._buffer, out._type, out.weak_type = buffers[0], only, only.weak_type
            outs = [out]
        else:
            for i in donated:
                args[i].delete()
            outs = wrapped(buffers, args)
        if lent:
            give_back(lent, outs)
        return outs

    return waited_for(run) if calls_host else run


def runner(
    program: ClosedJaxpr, name: str, args: Sequence[ConcreteArray], placement: Placement | None = None,
    donated: Sequence[int] = (), keep_unused: bool = False, options: XlaOptions = (),
) -> Runner:  # fmt: skip
    """What runs a program on arguments like these, at `placement` or where they are: those that are
    free to move are brought to the host, if it runs there, and its results are committed if an
    argument is.

    Raises ValueError if arguments are committed to different devices.
    """
    found = compiled(
        program, name, donated, keep_unused, placement or common_placement(args, f"jitted computation {name}"), options
    )
    if found.placement is not ON_HOST or are_ordinary(args):
        return found
    committed = any([x.committed for x in args])
    if not committed and all([x.__class__ is ConcreteArray for x in args]):
        return found

    def run(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        outs = found.run([fetched(x) for x in args])
        return [commit_to_host(x) for x in outs] if committed else outs

    return Runner(run, found.lets_go)


def compiled(
    program: ClosedJaxpr, name: str = "main", donated: Sequence[int] = (), keep_unused: bool = False,
    placement: Placement = ON_HOST, options: XlaOptions = (),
) -> Compiled:  # fmt: skip
    """The executable of a program, compiled the first time it is asked for."""
    how = tuple(donated), keep_unused, placement, options
    return program.derived(("compiled", *how), _lower_and_compile, name, *how)


def _lower_and_compile(
    program: ClosedJaxpr,
    name: str,
    donated: Sequence[int],
    keep_unused: bool,
    placement: Placement,
    options: XlaOptions,
) -> Compiled:
    module = lower(program, name, donated, keep_unused, platform=placement.platform, device=placement.device)
    return compile_module(module, placement, options)


def compile_module(module: Module, placement: Placement, options: XlaOptions) -> Compiled:
    """The executable of a module: from the persistent cache, or compiled and kept there.

    Raises JaxRuntimeError, with the operation and the user's line, where XLA cannot compile it.
    """
    # Host functions are this process's own: programs that call them are compiled anew.
    name = cache.key(module.text_without_locations(), placement, options) if not module.callbacks else None
    level = logging.WARNING if config.log_compiles.value else logging.DEBUG
    payload = cache.read(name) if name is not None else None
    if payload is not None:
        try:
            executable = pjrt.deserialize(payload, placement.target, module.out_types, options)
        except pjrt.XlaRuntimeError as error:
            cache.logger.warning("The compiled program %s cannot be loaded: %s", name, error)
            cache.forget(name)
        else:
            cache.logger.log(level, "hit for jit(%s): %s", module.name, name)
            return Compiled(module, executable, placement)
    start = time.perf_counter()
    try:
        executable = pjrt.compile_text(module.text, placement.target, module.out_types, options, module.callbacks)
    except pjrt.XlaRuntimeError as error:
        unplanned = _compile_without_plan(module, placement, options, error)
        if unplanned is None:
            where = module.operations_at(str(error))
            raise JaxRuntimeError(f"XLA could not compile jit({module.name}){where}: {error}") from None
        executable = unplanned
    logger.log(level, "compiled jit(%s) in %.3f s", module.name, time.perf_counter() - start)
    if name is not None:
        cache.logger.log(level, "miss for jit(%s): %s", module.name, name)
        cache.write(name, executable.loaded.serialize())
    return Compiled(module, executable, placement)


def _compile_without_plan(
    module: Module, placement: Placement, options: XlaOptions, error: Exception
) -> pjrt.Executable | None:
    """The executable of a module that XLA has refused, compiled under XLA's own fusion plan; None
    if that is not what it refuses."""
    text = module.without_plan()
    if text == module.text:
        return None
    try:
        executable = pjrt.compile_text(text, placement.target, module.out_types, options, module.callbacks)
    except pjrt.XlaRuntimeError:
        return None
    warnings.warn(
        f"XLA refused jit({module.name}), called at {user_line()}, with Pullback's fusion plan, and took it without: the program is right, "
        f"and may be slow. This is a fault of Pullback's: please report it, with the program. XLA said: {error}",
        RuntimeWarning,
        stacklevel=2,
    )
    return executable
