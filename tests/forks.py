"""Forks while other threads run, compile and import: every child works with NumPy, and is told what does not.

python -m tests.forks [SECONDS]
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

#: One process with busy threads, which forks COUNT times.
PARENT = r"""
import os, random, signal, sys, threading, time
import numpy as np
import pullback as pb, pullback.numpy as jnp
from pullback import lax

seed, count, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng, stop = random.Random(seed), threading.Event()

def compiles():
    n = seed
    while not stop.is_set():
        n += 1
        pb.jit(lambda x: jnp.sin(x) * n + x.sum())(jnp.ones(8))

def runs():
    f, x = pb.jit(lambda x: x @ x / 100), jnp.ones((100, 100))
    while not stop.is_set():
        x = f(x).block_until_ready()

def donates():
    f = pb.jit(lambda x: x + 1, donate_argnums=0)
    x = f(jnp.ones(1000))
    while not stop.is_set():
        x = f(x).block_until_ready()

def eager():
    while not stop.is_set():
        pb.grad(lambda x: jnp.sum(jnp.sin(x) ** 2))(jnp.ones(16))
        with pb.enable_x64(True):
            jnp.ones(3) + 1

def callbacks():
    f = pb.jit(lambda x: pb.pure_callback(lambda y: np.float32(y + 1), x, x))
    while not stop.is_set():
        f(1.0)

def imports():
    names = ["lax.linalg", "nn", "numpy.fft", "numpy.linalg", "scipy.optimize", "experimental.checkify", "implicit"]
    import importlib
    while not stop.is_set():
        for name in names:
            for module in [m for m in sys.modules if m == "pullback." + name or m.startswith("pullback.tour")]:
                del sys.modules[module]
            importlib.import_module("pullback." + name)
        lax.__dict__.pop("conv_general_dilated", None)
        lax.conv_general_dilated

work = {
    "compile": [compiles, runs], "run": [runs, donates, callbacks], "eager": [eager, eager, runs], "import": [imports, eager],
    "start": [compiles, eager],
}[mode]
if mode != "start":
    kept = pb.jit(lambda x: x * 2)(jnp.arange(4.0)); kept.block_until_ready()
threads = [threading.Thread(target=w, daemon=True) for w in work]
for t in threads: t.start()
bad = 0
for i in range(count):
    time.sleep(rng.uniform(0, .01))
    child = os.fork()
    if child == 0:
        signal.alarm(50)
        status = 1
        try:
            y = float(pb.grad(lambda x: jnp.sum(jnp.sin(x) * x))(jnp.ones(3)).sum())
            assert abs(y - 4.1453) < 1e-3, y
            assert pb.tree.map(lambda x: x + 1, {"a": jnp.ones(2)})["a"].shape == (2,)
            lax.reduce_window_sum_p if hasattr(lax, "reduce_window_sum_p") else lax.sort(jnp.array([2., 1.]))
            pb.random.normal(pb.random.key(0), (5,))
            with pb.enable_x64(True): assert jnp.ones(2).dtype == "float64"
            if mode != "start": assert kept.tolist() == [0, 2, 4, 6]
            try:
                value = float(pb.jit(lambda x: x * 3.)(2.))
                assert mode == "start" and value == 6., value
            except RuntimeError as error:
                assert "forked" in str(error), error
            if i % 3 == 0: sys.exit(0)  # the way through all destructors
            status = 0
        except SystemExit: raise
        except BaseException:
            import traceback; traceback.print_exc()
        finally:
            if i % 3: os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        bad += 1
        print(f"child {i}: {code}", file=sys.stderr)
stop.set()
sys.stdout.flush(); os._exit(bad > 0)
"""
MODES = ("compile", "run", "eager", "import", "start")
#: Those of the suite: the others depend on how quickly libraries are imported and XLA starts beside other work (`make forks`).
QUICK = ("compile", "run", "eager")


def forks(mode: str, count: int, seed: int, timeout: float = 120) -> str:
    """What went wrong in the children of a process whose threads do what `mode` says; nothing, if all is well."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(seed), str(count), mode],
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"{mode}, seed {seed}: {done.returncode}\n{done.stderr[-2000:]}"


def main(arguments: list[str]) -> int:
    end, rng, bad, total = time.monotonic() + float(arguments[0] if arguments else 60), random.Random(0), 0, 0
    while time.monotonic() < end:
        for mode in MODES:
            wrong = forks(mode, 20, rng.randrange(1 << 20), 600)
            total, bad = total + 20, bad + bool(wrong)
            print(wrong or f"{mode}: right", flush=True)
    print(f"{total} forks, {bad} processes with failures")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
