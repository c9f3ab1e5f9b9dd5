"""Exceptions at every place at which a signal's handler may raise, and what they leave behind.

CPython calls handlers on entry to Python functions, after calls of C functions and on jumps backwards. A profiling function is called at the
first two, and what it raises comes out there: so `at_every_place(action)` ends an action at each of them in turn. `by_signals` does it as
users do, with signals at random times.

    python -m tests.interrupts [SECONDS]      all actions, every place, and signals
"""

from __future__ import annotations

import gc
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core import config
from pullback.core.scopes import Entered
from pullback.core.staging import _name_stack
from pullback.core.trace import EVAL, current, suspended


class Interrupt(BaseException):
    """What a handler raises."""


X = jnp.arange(1.0, 7.0).reshape(2, 3)
V = jnp.arange(1.0, 4.0)


@pb.custom_jvp
def doubled(x: Any) -> Any:
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 2 * tangents[0]))


@pb.custom_vjp
def tripled(x: Any) -> Any:
    return 3 * x


tripled.defvjp(lambda x: (3 * x, None), lambda _, ct: (3 * ct,))
compiled = pb.jit(lambda x: jnp.sin(x) @ x.T)


def f(x: Any) -> Any:
    return (jnp.log(jnp.exp(x) + 1) * x.sum(0) / (x + 2)).max()


@pb.enable_x64(True)
@pb.named_scope("decorated")
def decorated(x: Any) -> Any:
    return jnp.sin(x) + 1.0


def options() -> Any:
    with pb.enable_x64(True), pb.named_scope("a"), pb.debug_nans(False):
        y = jnp.ones(3) + V
        with pb.enable_x64(False), pb.named_scope("a"):
            return y, jnp.ones(3) + decorated(V)


def at_once() -> Any:
    def g(x: Any) -> Any:
        with pb.ensure_compile_time_eval():
            n = jnp.sum(jnp.ones(3))
        return x * n

    return pb.make_jaxpr(g)(1.0).out_avals[0].shape, pb.make_jaxpr(lambda x: lax.psum(x, "i"), axis_env=[("i", 2)])(
        1.0
    ).out_avals[0].shape


def while_loop() -> Any:
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2.0), (0, 1.0))


#: Actions by name. Each gives arrays that are the same every time.
ACTIONS: dict[str, Callable[[], Any]] = {
    "operations": lambda: jnp.where(X > 2, jnp.log(X - 1), 0.0) + jnp.float32(1e38) * 10,
    "creation": lambda: (jnp.array([1.0, 2, 1e300]), jnp.array([V, V]), V * 1e39, jnp.linspace(0, 1, 5)),
    "update": lambda: V.at[1].set(5.0).at[0].add(1.0).at[-1].mul(2.0),
    "grad": lambda: pb.grad(f)(X),
    "jvp": lambda: pb.jvp(f, (X,), (X,)),
    "hessian": lambda: pb.hessian(lambda v: (v**3).sum() * jnp.sin(v[0]))(V),
    "vmap": lambda: pb.vmap(lambda v: jnp.dot(v, V) / v, axis_name="i")(X),
    "linearize": lambda: pb.linearize(f, X)[1](X),
    "transpose": lambda: pb.linear_transpose(lambda v: 2 * v + v[::-1], V)(V),
    "checkpoint": lambda: pb.grad(pb.checkpoint(f))(X),
    "rules": lambda: (pb.grad(lambda x: doubled(tripled(x)).sum())(V), pb.vmap(doubled)(X), pb.vmap(tripled)(X)),
    "compiled": lambda: (compiled(X), pb.grad(lambda x: compiled(x).sum())(X)),
    "traced": lambda: pb.make_jaxpr(lambda x: doubled(jnp.sin(x)))(V).out_avals[0].shape,
    "scan": lambda: pb.grad(lambda c: lax.scan(lambda c, x: (c * x, c), c, V)[0])(2.0),
    "while": while_loop,
    "cond": lambda: pb.vmap(lambda x: lax.cond(x.sum() > 7, jnp.sin, jnp.cos, x))(X),
    "options": options,
    "at_once": at_once,
}
#: NumPy's settings while the actions run: the user's.
SETTINGS = {"divide": "warn", "over": "warn", "under": "call", "invalid": "raise"}


def left_behind() -> list[str]:
    """What is not as it was."""
    found = []
    if np.geterr() != SETTINGS:
        found.append(f"numpy.geterr() is {np.geterr()}")
    if current() is not EVAL:
        found.append(f"the current trace is {current()}")
    if _name_stack.get():
        found.append(f"name stack {_name_stack.get()}")
    if suspended.get():
        found.append(f"suspended {suspended.get()}")
    if config._here.get():
        found.append(f"settings {config._here.get()}")
    if config.enable_x64.value:
        found.append("enable_x64")
    return found


def repair() -> None:
    np.seterr(**SETTINGS)
    from pullback.core.trace import set_current

    set_current(EVAL)
    for variable, value in ((_name_stack, Entered()), (suspended, Entered()), (config._here, config._Here())):
        variable.set(value)


def same(a: Any, b: Any) -> bool:
    """Whether two trees of results are equal, bit by bit."""
    pairs = zip(pb.tree.leaves(a), pb.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


class Injector:
    """Raises at the place with some number, counted from where it is switched on."""

    def __init__(self, number: int) -> None:
        self.left, self.where, self.thread = number, "", None

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename != __file__:
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name} ({event} {arg})"
                raise Interrupt


def run(action: Callable[[], Any], number: int) -> tuple[bool, str]:
    """Run an action that is ended at place `number`; whether there is such a place, and where it is."""
    injector = Injector(number)
    sys.setprofile(injector)
    try:
        action()
    except Interrupt:
        return True, injector.where
    except BaseException as error:  # somebody made another error of it
        sys.setprofile(None)
        if injector.left > 0:
            raise
        return True, f"{injector.where}, which became {error!r:.200}"
    finally:
        sys.setprofile(None)
    return injector.left <= 0, injector.where  # a destructor swallows what is raised in it


def at_every_place(name: str, sample: int = 0, seed: int = 0) -> tuple[int, list[str]]:
    """How many times action `name` was ended, at every place or at `sample` of them, and what was left behind where."""
    action = ACTIONS[name]
    repair()
    for _ in range(2):
        wanted = action()
    gc.disable()  # whose destructors would come at other places each time
    try:
        counter = Injector(1 << 60)
        sys.setprofile(counter)
        action()
        sys.setprofile(None)
        places = range(1, (1 << 60) - counter.left + 1)
        chosen = random.Random(seed).sample(places, sample) if 0 < sample < len(places) else places
        failures = []
        for number in chosen:
            _, where = run(action, number)
            found = left_behind()
            repair()
            if not found and not same(action(), wanted):
                found.append("the result is another one")
            failures += [f"{name}: {what}, raised at {where}" for what in found]
    finally:
        gc.enable()
        sys.setprofile(None)
    return len(chosen), failures


def by_signals(seconds: float, seed: int = 0) -> tuple[int, list[str]]:
    """Random actions ended by signals at random times: how many, and what was left behind."""

    fired: list[bool] = []

    def handler(*_: Any) -> None:
        fired.append(True)
        raise Interrupt

    rng, count, failures = random.Random(seed), 0, []
    repair()
    names = list(ACTIONS)
    wanted = {name: ACTIONS[name]() for name in names}

    def attempt(name: str) -> None:  # a function, which is left by an exception wherever in it that is raised
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 4e-3))
        while not fired:  # destructors swallow what is raised in them
            ACTIONS[name]()

    previous = signal.signal(signal.SIGALRM, handler)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            name = rng.choice(names)
            fired.clear()
            with suppress(Interrupt):
                attempt(name)
            count += 1
            found = left_behind()
            repair()
            if not found and count % 16 == 0 and not same(ACTIONS[name](), wanted[name]):
                found.append("the result is another one")
            failures += [f"{name}: {what}, after a signal" for what in found]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return count, failures


def main(arguments: list[str]) -> int:
    seconds, total, wrong = float(arguments[0]) if arguments else 60.0, 0, 0
    kept = np.geterr()
    for name in ACTIONS:
        count, failures = at_every_place(name)
        total, wrong = total + count, wrong + len(failures)
        print(f"{name}: {count} places, {len(failures)} failures", *failures[:5], sep="\n    ", flush=True)
    count, failures = by_signals(seconds)
    print(f"signals: {count}, {len(failures)} failures", *failures[:10], sep="\n    ")
    np.seterr(**kept)
    return int(wrong + len(failures) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
