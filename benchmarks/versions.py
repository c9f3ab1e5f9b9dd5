"""Two versions of Pullback beside each other: `python -m benchmarks.versions OLD NEW [--rounds N] [--only TEXT] [--smoke]`.

OLD and NEW are folders that hold the package `pullback` (the `src` of two checkouts). Each version has a process of its own, which runs the
eager problems, calls of small jitted functions, the compiled programs and the loops of the other benchmarks. The processes take turns,
round by round, in an order that alternates; a time counts only if the answers are equal. Printed are ratios of medians, NEW to OLD, the median
of the rounds, and their geometric mean.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

os.environ["PULLBACK_ENABLE_COMPILATION_CACHE"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def cases() -> dict[str, Callable[[], Callable[[], Any]]]:
    """What is measured, by name: each makes a call."""
    import pullback as pb
    import pullback.lax
    import pullback.nn
    import pullback.numpy as jnp
    import pullback.random
    from benchmarks import loops
    from benchmarks.compiled_programs import PROGRAMS, System
    from benchmarks.problems import data
    from benchmarks.with_jax_api import pullback_functions

    system = System(pb, jnp, pullback.lax, pullback.nn, pullback.random)

    def ready(call: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        return lambda: pb.block_until_ready(call(*args))

    def program(make: Any) -> Callable[[], Any]:
        fun, args = make(system)
        return ready(pb.jit(fun), *pb.tree.map(jnp.asarray, args))

    def loop(make: Any, args: Any) -> Callable[[], Any]:
        return ready(make(system), *pb.tree.map(jnp.asarray, args))

    x, params = jnp.ones((3, 4)), {f"layer {i}": jnp.ones(3) for i in range(20)}
    f, g = lambda x: x + 1.0, lambda p: pb.tree.map(lambda v: v + 1.0, p)
    small: dict[str, Callable[[], Callable[[], Any]]] = {
        "jit of an array": lambda: ready(pb.jit(f), x),
        "jit of a NumPy array": lambda: ready(pb.jit(f), np.ones((3, 4), np.float32)),
        "jit of a float": lambda: ready(pb.jit(f), 2.5),
        "jit of 20 leaves": lambda: ready(pb.jit(g), params),
        "grad of jit": lambda: (lambda h: lambda: h(x))(pb.grad(lambda x: pb.jit(f)(x).sum())),
        "tracing and lowering": lambda: lambda: pb.jit(lambda p: pb.grad(_network)(p)).lower(_layers(jnp)).as_text() and 0,
        "eager scan": lambda: lambda: pullback.lax.scan(lambda c, v: (c + v, c * v), x[0], x),
        "eager cond": lambda: lambda: pullback.lax.cond(True, lambda v: v * 2.0, lambda v: v, x),
        "eager gradient of a while": lambda: pb.grad(
            lambda v: pullback.lax.while_loop(lambda c: c.sum() < 50.0, lambda c: c * 1.5, v).sum()
        ).__get__(x),
        "eager checkpoint": lambda: pb.grad(lambda v: pb.checkpoint(lambda v: jnp.sin(jnp.sin(v)).sum())(v)).__get__(x),
        "eager vmap of cond": lambda: lambda: pb.vmap(
            lambda v: pullback.lax.cond(v > 0, lambda v: v * 2.0, lambda v: v, v)
        )(x.ravel()),
        "eager sums along both axes": lambda: (lambda big: lambda: (big.sum(0), big.sum(1), big.mean(0)))(
            jnp.ones((2000, 500))
        ),
    }  # fmt: skip
    return {
        **{f"eager {name}": (lambda call=call: call) for name, call in pullback_functions(data()).items()},
        **small,
        **{f"compiled {name}": (lambda make=make: program(make)) for name, make in PROGRAMS.items()},
        **{f"loop {name}": (lambda m=m, a=a: loop(m, a)) for name, (m, a, _) in loops.COMPILED.items()},
    }


def _layers(jnp: Any) -> Any:
    return [(jnp.ones((8, 8)), jnp.ones(8)) for _ in range(10)]


def _network(layers: Any) -> Any:
    import pullback.numpy as jnp

    h = jnp.ones((4, 8))
    for w, b in layers:
        h = jnp.tanh(h @ w + b)
    return h.sum()


def serve(source: str, pipe: Connection) -> None:
    """Answer requests: ("answer", case) and ("measure", case, seconds), until told to stop."""
    sys.path.insert(0, source)
    import pullback
    from benchmarks.worker import flat, samples

    assert str(pullback.__file__).startswith(source), pullback.__file__
    known = cases()
    made: dict[str, Callable[[], Any]] = {}
    pipe.send(list(known))
    while (request := pipe.recv()) is not None:
        kind, name, *rest = request
        try:
            if name not in made:
                made.clear()
                made[name] = known[name]()
            if kind == "answer":
                leaves = pullback.tree.leaves(made[name]())
                pipe.send(flat(leaves) if leaves else np.zeros(0))
            else:
                pipe.send(statistics.median(samples(made[name], *rest)))
        except Exception as error:  # told to the driver, which reports it
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--only", default="")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    context = get_context("spawn")
    pipes, names = [], []
    for source in (options.old, options.new):
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(os.path.abspath(source), theirs), daemon=True).start()
        names.append(ours.recv())
        pipes.append(ours)
    ratios = {}
    for name in names[0]:
        if options.only not in name or name not in names[1]:
            continue
        answers = []
        for pipe in pipes:
            pipe.send(("answer", name))
            answers.append(pipe.recv())
        wrong = next((a for a in answers if isinstance(a, Exception)), None)
        if wrong is None and not np.allclose(
            *answers, rtol=2e-3, atol=1e-3 * max(1.0, np.abs(answers[0]).max(initial=0))
        ):
            wrong = "the answers differ"
        if wrong is not None or options.smoke:
            print(f"{name}: {wrong or 'equal answers'}", flush=True)
            continue
        found = []
        times: list[list[float]] = [[], []]
        for round_ in range(options.rounds):
            for i in (0, 1) if round_ % 2 else (1, 0):
                pipes[i].send(("measure", name, options.seconds))
                times[i].append(pipes[i].recv())
            found.append(times[1][-1] / times[0][-1])
        ratios[name] = statistics.median(found)
        print(
            f"{name}: {ratios[name]:.3f} ({min(found):.2f} to {max(found):.2f}), {statistics.median(times[1]) * 1e6:,.1f} µs",
            flush=True,
        )
    for pipe in pipes:
        pipe.send(None)
    for kind in ("eager", "jit", "compiled", "loop", ""):
        chosen = [r for name, r in ratios.items() if name.startswith(kind)]
        if chosen:
            print(f"geometric mean, {kind or 'all'}: {math.exp(statistics.fmean(map(math.log, chosen))):.3f}")


if __name__ == "__main__":
    main()
