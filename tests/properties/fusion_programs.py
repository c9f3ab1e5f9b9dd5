"""Random programs for the fusion plan: `python -m tests.properties.fusion_programs FIRST LAST` compiles those numbered so, with both plans,
values and gradients, and compares them with eager mode.

A program is all of its number. They run in processes of their own, so that one that ends its process is known by its number, too.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = [
    (340,),
    (20, 17),
    (1, 340),
    (1, 1, 340),
    (1, 20, 17),
    (20, 1, 17),
    (340, 1),
    (1, 8, 8, 8),
    (2, 256),
    (300, 1),
    (4, 5),
]

#: The passes that know of fusions are XLA's; LLVM's take most of the time.
OPTIONS = {"xla_backend_optimization_level": 0}


def program(number: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function of floats, integers and booleans, which gives a number to differentiate and other results, and arguments for it."""
    import pullback as pb
    import pullback.numpy as jnp
    from pullback import lax

    def pick(rng: Any, things: Any) -> Any:
        return things[int(rng.integers(len(things)))]

    first = np.random.default_rng(number)
    shape = pick(first, SHAPES)
    steps = int(first.integers(3, 11))
    dtype = np.float64 if first.random() < 0.15 else np.float32
    x = first.uniform(-1.5, 1.5, shape).astype(dtype)
    y = first.uniform(0.5, 1.5, shape[first.integers(len(shape) + 1) :]).astype(dtype)
    z = first.integers(-5, 6, shape).astype(np.int32)
    state = int(first.integers(1 << 30))

    unary = [
        jnp.sin, jnp.cos, jnp.tanh, lambda v: jnp.exp(jnp.sin(v)), lambda v: jnp.sqrt(1 + v * v), lambda v: jnp.log1p(v * v), pb.nn.sigmoid,
        pb.nn.gelu, pb.nn.silu, lax.erf, lambda v: -v, lambda v: v**0, lambda v: v**1, lambda v: 0.2 * v**2, lambda v: (1.5 + jnp.sin(v)) ** 0.7,
        lambda v: jnp.clip(v, -1000, 1000), jnp.arctan, lambda v: jnp.maximum(v, -1000.0), lambda v: v.astype(jnp.float32).astype(v.dtype),
        lambda v: pb.checkpoint(lambda u: jnp.tanh(jnp.sin(u)))(v), pb.jit(lambda v: jnp.tanh(v) * v),
    ]  # fmt: skip
    binary = [
        lambda a, b: a + b, lambda a, b: a - b, lambda a, b: 0.3 * a * b, lambda a, b: a / (2 + b * b), lambda a, b: a / (2 + jnp.cos(b)),
        lambda a, b: 0.5 * jnp.logaddexp(a, b), lambda a, b: jnp.hypot(a + 9, b), lambda a, b: jnp.arctan2(a, 3 + b * b),
    ]  # fmt: skip
    whole = [
        lambda z: z * 0, lambda z: z - z, lambda z: z & 3, lambda z: z >> 1, lambda z: z * z, lambda z: jnp.minimum(z, 2), lambda z: ~z,
        lambda z: -z, lambda z: abs(z) % 3, lambda z: z & 0, lambda z: z[::-1], lambda z: jnp.zeros_like(z), jnp.sign,
    ]  # fmt: skip
    logical = [
        lambda z: z == z, lambda z: z > 1, lambda z: (z > 3) | True, lambda z: (z < 0) & (z > -2), lambda z: z != 2, lambda z: ~(z > 0),
    ]  # fmt: skip

    def moved(rng: Any, v: Any) -> Any:
        kind = int(rng.integers(9))
        if kind == 0:
            return v.ravel()
        if kind == 1:
            return v.T
        if kind == 2:
            return v.reshape(pick(rng, [s for s in SHAPES if np.prod(s) == v.size] or [(1, *v.shape)]))
        if kind == 3:
            return v[::-1]
        if kind == 4:
            return jnp.expand_dims(v, int(rng.integers(v.ndim + 1)))
        if kind == 5:
            return jnp.concatenate([v[v.shape[0] // 2 :], v[: v.shape[0] // 2]])
        if kind == 6:
            return jnp.broadcast_to(v, (int(rng.integers(1, 3)), *v.shape))[:1]
        if kind == 7:
            return jnp.squeeze(v)
        return jnp.pad(v, [(0, 1)] + [(0, 0)] * (v.ndim - 1))[:-1] if v.ndim else v

    def reduced(rng: Any, v: Any) -> Any:
        axis = int(rng.integers(v.ndim))
        kind = int(rng.integers(6))
        if kind == 0:
            return v.mean(axis, keepdims=True)
        if kind == 1:
            return v - v.mean()
        if kind == 2:
            return v / (1 + jnp.abs(v).sum(axis, keepdims=True))
        if kind == 3:
            return pb.nn.softmax(v, axis)
        if kind == 4:
            return jnp.cumsum(v, axis) / v.shape[axis]
        return v * pb.nn.logsumexp(v) / v.size

    def nested(rng: Any, v: Any) -> Any:
        kind, f = int(rng.integers(5)), pick(rng, unary)
        if v.shape[0] > 40 or kind == 0:
            return pb.vmap(lambda r: f(r) * 0.3 + jnp.cos(r).sum() / v.size)(v)
        if kind == 1:
            return lax.scan(lambda c, r: (jnp.tanh(0.5 * c + f(r)), c + r), v[0], v)[1]
        if kind == 2:
            return lax.fori_loop(0, 3, lambda i, c: jnp.tanh(jnp.sin(c) + 0.1 * v), v)
        if kind == 3:
            return pb.vmap(lambda r: lax.cond(r.mean() > -100, f, jnp.cos, r))(v)
        return pb.vmap(pb.grad(lambda r: jnp.sin(f(r)).sum()))(v)

    def fits(a: Any, b: Any) -> bool:
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return False
        return bool(np.prod(shape) <= 2000)

    def fun(x: Any, y: Any, z: Any) -> Any:
        rng = np.random.default_rng(state)
        floats, integers = [x, y], [z]
        for _ in range(steps):
            v = floats[-1] if rng.random() < 0.6 else pick(rng, floats)
            if not v.ndim:
                v = v.reshape(1)
            kind = rng.random()
            if kind < 0.3:
                w = pick(rng, unary)(v)
            elif kind < 0.5:
                w = pick(rng, binary)(v, pick(rng, [u for u in floats if fits(u, v)]))
            elif kind < 0.6:
                literal = pick(rng, [0.0, 1.0, -1.0, 0.5, 2.0])
                w = pick(
                    rng,
                    [
                        v + literal,
                        v * literal,
                        literal - v,
                        v / (literal or 1.0),
                        literal / (2 + v * v),
                        v[:1] + v + literal,
                    ],
                )
            elif kind < 0.75:
                w = moved(rng, v)
            elif kind < 0.85:
                w = reduced(rng, v)
            elif kind < 0.92:
                integers.append(pick(rng, whole)(pick(rng, integers)))
                i = pick(rng, [i for i in integers if fits(i, v)] or [jnp.arange(v.shape[-1])])
                if rng.random() < 0.5:
                    w = pick(rng, [v + 0.1 * i, v * i * 0.2, v / (9 + i)])
                else:
                    w = jnp.where(
                        pick(rng, logical)(i), v, pick(rng, [u for u in floats if fits(u, v) and fits(u, i)] or [0.5])
                    )
            else:
                w = nested(rng, v)
            floats.append(w)
        last, other = floats[-1], pick(rng, floats)
        objective = jnp.sin(last).mean() + (jnp.tanh(last) * 0.3).sum() / last.size + jnp.cos(other).mean()
        results = [
            last,
            last.mean(),
            jnp.max(last * 2),
            jnp.cumsum(last.ravel()) / last.size,
            other.ravel()[::-1],
            (jnp.atleast_1d(last) + 1).mean(0),
            integers[-1],
        ]
        return objective, results[: int(rng.integers(1, len(results) + 1))]

    return pb.value_and_grad(fun, (0, 1), has_aux=True), (x, y, z)


def check(number: int) -> None:
    """Raises where the program compiled, with either plan, gives anything but what it gives in eager mode, or a warning."""
    import pullback as pb

    fun, args = program(number)
    with warnings.catch_warnings(), pb.enable_x64(args[0].dtype == np.float64):
        warnings.simplefilter("error", RuntimeWarning)
        expected = pb.tree.leaves(fun(*args))
        traced = pb.jit(fun).trace(*args)
        programs = {}  # those that the plans make of it, which may be one and the same
        for plan in ("auto", "xla"):
            with pb.config.option("cpu_fusion")(plan):
                lowered = traced.lower()
            programs.setdefault(lowered.as_text(), (plan, lowered))
        for plan, lowered in programs.values():
            got = pb.tree.leaves(lowered.compile(OPTIONS)(*args))
            for a, b in zip(expected, got, strict=True):
                assert (a.shape, a.dtype) == (b.shape, b.dtype), (plan, a.aval, b.aval)
                a, b = np.asarray(a), np.asarray(b)
                size = float(np.max(np.abs(a), initial=0.02, where=np.isfinite(a)))
                np.testing.assert_allclose(b, a, rtol=5e-4, atol=5e-4 * size, err_msg=f"cpu_fusion={plan!r}")


def failures(numbers: Iterable[int]) -> dict[int, str]:
    """What goes wrong in which of the programs."""
    left, found = list(numbers), {}
    while left:
        command = [sys.executable, "-m", __spec__.name, "--here", *map(str, left)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        current = ""
        for line in done.stdout.splitlines():
            if line.startswith("program "):
                current = line.removeprefix("program ")
                left.remove(int(current))
            elif line != "held":
                found[int(current)] = found.get(int(current), "") + line + "\n"
        if done.returncode:
            if not current:
                raise RuntimeError(done.stderr)
            found[int(current)] = f"the process ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return found


def main() -> None:
    if sys.argv[1] == "--here":
        import pullback as pb

        pb.config.update("enable_compilation_cache", False)
        for number in map(int, sys.argv[2:]):
            print("program", number, flush=True)
            try:
                check(number)
                print("held", flush=True)
            except Exception:
                print(traceback.format_exc()[-3000:], flush=True)
        return
    first, last, wrong = int(sys.argv[1]), int(sys.argv[2]), 0
    for start in range(first, last, 50):
        for number, text in failures(range(start, min(start + 50, last))).items():
            wrong += 1
            print(f"program {number}: {text}", flush=True)
    print(f"{last - first - wrong} of {last - first} programs hold")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
