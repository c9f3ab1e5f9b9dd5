"""Compiled programs beside JAX's: `python -m benchmarks.compiled [--smoke] [--rounds N] [--only TEXT]`.

Both libraries run in this process and take turns, call by call; a time counts only if the answers are equal. Results go to the section
"Compiled programs" of benchmarks/RESULTS.md and to benchmarks/compiled.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["PULLBACK_ENABLE_COMPILATION_CACHE"] = "0"

import numpy as np

HERE = Path(__file__).parent
BEGIN, END = "## Compiled programs\n", "<!-- end of compiled programs -->\n"


def systems() -> dict[str, Any]:
    import jax
    import jax.numpy
    import jax.random

    import pullback
    import pullback.lax
    import pullback.nn
    import pullback.numpy
    import pullback.random
    from benchmarks.compiled_programs import System

    jax.config.update("jax_threefry_partitionable", False)
    return {
        "pullback": System(pullback, pullback.numpy, pullback.lax, pullback.nn, pullback.random),
        "jax": System(jax, jax.numpy, jax.lax, jax.nn, jax.random),
    }


def clock(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def alternate(calls: dict[str, Callable[[], Any]], seconds: float, most: int = 2000) -> dict[str, float]:
    """Median seconds of each call; they take turns for about so long."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds
    while (time.perf_counter() < end or len(times["pullback"]) < 5) and len(times["pullback"]) < most:
        for name, call in calls.items():
            times[name].append(clock(call))
    return {name: statistics.median(t) for name, t in times.items()}


def run_programs(rounds: float, only: str) -> list[dict[str, Any]]:
    from benchmarks.compiled_programs import PROGRAMS

    both = systems()
    rows = []
    for name, program in PROGRAMS.items():
        if only not in name:
            continue
        calls, first, answers = {}, {}, {}
        for which, s in both.items():
            fun, args = program(s)
            jitted, args = s.ad.jit(fun), s.ad.tree.map(s.jnp.asarray, args)
            call = lambda s=s, jitted=jitted, args=args: s.ad.block_until_ready(jitted(*args))
            start = time.perf_counter()
            answers[which] = [np.asarray(x, np.float64) for x in s.ad.tree.leaves(call())]
            first[which] = time.perf_counter() - start
            calls[which] = call
        error = max(
            float(np.abs(a - b).max() / (np.abs(b).max() + 1e-12))
            for a, b in zip(answers["pullback"], answers["jax"], strict=True)
        )
        medians = alternate(calls, rounds)
        ratio = medians["pullback"] / medians["jax"]
        rows.append({"name": name, "first": first, "run": medians, "ratio": ratio, "error": error})
        print(f"{name}: {medians['pullback'] * 1e3:.3f} ms, {ratio:.2f} of JAX's; first call {first['pullback']:.2f} s of {first['jax']:.2f}; "
              f"differs by {error:.1e}", flush=True)  # fmt: skip
    return rows


def dispatch(rounds: float) -> list[dict[str, Any]]:
    """Small functions, microseconds a call."""
    both = systems()
    cases: dict[str, Callable[[Any], Callable[[], Any]]] = {}

    def case(name: str) -> Callable[[Any], None]:
        return lambda make: cases.update({name: make})

    @case("x + 1 of a 3×4 array")
    def _(s: Any) -> Any:
        f, x = s.ad.jit(lambda x: x + 1.0), s.jnp.ones((3, 4))
        return lambda: f(x)

    @case("the same of a NumPy array")
    def _(s: Any) -> Any:
        f, x = s.ad.jit(lambda x: x + 1.0), np.ones((3, 4), np.float32)
        return lambda: f(x)

    @case("the same of a Python float")
    def _(s: Any) -> Any:
        f = s.ad.jit(lambda x: x + 1.0)
        return lambda: f(2.5)

    @case("20 arrays in a list, in and out")
    def _(s: Any) -> Any:
        f, x = s.ad.jit(lambda t: [a + 1.0 for a in t]), [s.jnp.ones((3, 4)) for _ in range(20)]
        return lambda: f(x)

    @case("grad(jit(f)), f = sum((x w · 2 + 1)²)")
    def _(s: Any) -> Any:
        f, x, w = s.ad.jit(lambda x, w: s.jnp.sum((x @ w * 2.0 + 1.0) ** 2)), s.jnp.ones((3, 4)), s.jnp.ones((4, 2))
        g = s.ad.grad(f)
        return lambda: g(x, w)

    rows, many = [], 100
    for name, make in cases.items():

        def repeated(call: Callable[[], Any]) -> Callable[[], Any]:
            def loop() -> None:
                for _ in range(many):
                    call()

            return loop

        medians = {k: t / many for k, t in alternate({k: repeated(make(s)) for k, s in both.items()}, rounds).items()}
        rows.append({"name": name, "run": medians, "ratio": medians["pullback"] / medians["jax"]})
        print(f"{name}: {medians['pullback'] * 1e6:.2f} µs, {rows[-1]['ratio']:.2f} of JAX's", flush=True)
    return rows


def staging(rounds: float) -> list[dict[str, Any]]:
    """Tracing and lowering of the 200-layer network."""
    from benchmarks.compiled_programs import residual

    both = systems()
    prepared = {}
    for which, s in both.items():
        fun, args = residual(200)(s)
        prepared[which] = (s, fun, s.ad.tree.map(s.jnp.asarray, args))
    trace = {k: (lambda s=s, f=f, a=a: s.ad.jit(lambda *x: f(*x)).trace(*a)) for k, (s, f, a) in prepared.items()}
    rows = []
    # What is alive by now is not collected again and again in whichever turn it falls.
    gc.collect(), gc.freeze()
    medians = alternate(trace, rounds, 20)
    rows.append(
        {
            "name": "tracing, 200 layers: value and gradient",
            "run": medians,
            "ratio": medians["pullback"] / medians["jax"],
        }
    )
    traced = {k: call() for k, call in trace.items()}
    lower: dict[str, list[float]] = {k: [] for k in traced}
    for _ in range(7):
        for k, call in trace.items():
            step = call()
            lower[k].append(clock(step.lower))
    medians = {k: statistics.median(t) for k, t in lower.items()}
    rows.append({"name": "lowering it", "run": medians, "ratio": medians["pullback"] / medians["jax"]})
    for row in rows:
        print(f"{row['name']}: {row['run']['pullback'] * 1e3:.1f} ms, {row['ratio']:.2f} of JAX's", flush=True)
    return rows


FIRST_CALL = """
import time; start = time.perf_counter()
import sys
if sys.argv[1] == "pullback":
    import pullback as ad, pullback.numpy as jnp
    ad.config.update("compilation_cache_dir", sys.argv[3])
else:
    import jax as ad, jax.numpy as jnp
    ad.config.update("jax_compilation_cache_dir", sys.argv[3])
    ad.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    ad.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
import numpy as np
rng = np.random.default_rng(0)
loaded = time.perf_counter()
if sys.argv[2] == "small":
    f, args = ad.jit(lambda x: jnp.sum(jnp.sin(x) ** 2)), (np.ones(3, np.float32),)
else:
    args = ([(rng.normal(size=(64, 64)).astype(np.float32) / 8, np.zeros(64, np.float32)) for _ in range(200)], np.ones((32, 64), np.float32))
    def loss(layers, x):
        for w, b in layers: x = jnp.tanh(x @ w + b) + 0.5 * x
        return jnp.mean(x ** 2)
    f = ad.jit(ad.value_and_grad(loss))
begin = time.perf_counter()
ad.block_until_ready(f(*args))
print(time.perf_counter() - begin + loaded - start)
"""


def first_calls(repeats: int) -> list[dict[str, Any]]:
    """Import, trace, lower, load the cached executable and run it, in a process of its own."""
    rows = []
    environment = {**os.environ, "PULLBACK_ENABLE_COMPILATION_CACHE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for case, name in (("small", "a small function"), ("network", "the 200-layer network")):
        times: dict[str, list[float]] = {"pullback": [], "jax": []}
        with tempfile.TemporaryDirectory() as folder:
            for k in range(repeats + 1):
                for which in times:
                    cache = os.path.join(folder, which)
                    os.makedirs(cache, mode=0o700, exist_ok=True)
                    done = subprocess.run(
                        [sys.executable, "-c", FIRST_CALL, which, case, cache],
                        capture_output=True,
                        text=True,
                        check=True,
                        env=environment,
                    )
                    if k:  # the first process compiles
                        times[which].append(float(done.stdout))
        medians = {k: statistics.median(t) for k, t in times.items()}
        rows.append(
            {
                "name": f"first call of {name} in a second process",
                "run": medians,
                "ratio": medians["pullback"] / medians["jax"],
            }
        )
        print(f"{rows[-1]['name']}: {medians['pullback'] * 1e3:.0f} ms, {rows[-1]['ratio']:.2f} of JAX's", flush=True)
    return rows


def report(results: dict[str, Any]) -> str:
    """The section of RESULTS.md."""
    lines = [BEGIN, "\nBoth libraries in one process, call by call in turn; medians; answers compared.\n"]
    programs = results["programs"]
    if programs:
        mean = math.exp(statistics.fmean(math.log(r["ratio"]) for r in programs))
        lines += [
            "\n| program | Pullback, ms | JAX, ms | ratio | first call, s | JAX's | differ by |\n|---|---:|---:|---:|---:|---:|---:|\n"
        ]
        for r in programs:
            run, first = r["run"], r["first"]
            lines.append(
                f"| {r['name']} | {run['pullback'] * 1e3:.3f} | {run['jax'] * 1e3:.3f} | {r['ratio']:.2f} | {first['pullback']:.2f} | "
                f"{first['jax']:.2f} | {r['error']:.0e} |\n"
            )
        lines.append(f"\nGeometric mean of the ratios {mean:.2f} (target 0.9); target for each ≤ 1.03.\n")
    lines += ["\n| | Pullback | JAX | ratio | target |\n|---|---:|---:|---:|---:|\n"]
    targets = {
        "x + 1 of a 3×4 array": 1.15, "the same of a NumPy array": 1.0, "20 arrays in a list, in and out": 1.3,
        "grad(jit(f)), f = sum((x w · 2 + 1)²)": 0.2, "tracing, 200 layers: value and gradient": 0.4, "lowering it": 0.7,
        "first call of a small function in a second process": 0.4, "first call of the 200-layer network in a second process": 0.35,
    }  # fmt: skip
    for r in (*results["dispatch"], *results["staging"], *results["first_calls"]):
        target = targets.get(r["name"])
        lines.append(
            f"| {r['name']} | {_time(r['run']['pullback'])} | {_time(r['run']['jax'])} | {r['ratio']:.2f} | "
            f"{'' if target is None else f'≤ {target}' + (' met' if r['ratio'] <= target else ' **missed**')} |\n"
        )
    return "".join([*lines, "\n", END])


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def insert(section: str, path: Path, begin: str, end: str) -> None:
    """Put a section, from the line `begin` to the line `end`, into RESULTS.md in the place of the old one."""
    text = path.read_text() if path.exists() else "# Benchmarks\n\n"
    if begin in text and end in text:
        before, _, rest = text.partition(begin)
        text = before + rest.partition(end)[2]
    path.write_text(text.rstrip() + "\n\n" + section)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once, write nothing")
    parser.add_argument("--rounds", type=float, default=4.0, help="seconds for each program")
    parser.add_argument("--only", default="", help="programs whose name contains this")
    options = parser.parse_args()
    seconds = 0.0 if options.smoke else options.rounds
    results: dict[str, Any] = {"programs": run_programs(seconds, options.only)}
    if options.only:
        return
    results |= {
        "dispatch": dispatch(seconds / 2), "staging": staging(seconds), "first_calls": first_calls(1 if options.smoke else 7),
    }  # fmt: skip
    if not options.smoke:
        (HERE / "compiled.json").write_text(json.dumps(results, indent=1))
        insert(report(results), HERE / "RESULTS.md", BEGIN, END)


if __name__ == "__main__":
    main()
