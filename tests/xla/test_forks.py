"""Processes that are forked while XLA is running: they are told, and do not wait for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import forks

SCRIPT = """
import os, signal
import numpy as np
import pullback as pb, pullback.numpy as jnp

f = pb.jit(lambda x: jnp.tanh(x @ x).sum())
x = pb.jit(lambda: jnp.full((300, 300), 0.1))()
compiled = f.lower(x).compile()
_, vjp = pb.vjp(f, x)
ways = [lambda: f(x), lambda: f(np.ones((300, 300), np.float32)), lambda: f(x + 1), lambda: compiled(x), lambda: pb.jit(jnp.sin)(1.0),
        lambda: pb.jit(vjp)(1.0), lambda: pb.lax.fori_loop(0, 3, lambda i, c: c + 1, 0.0), lambda: pb.devices()]
before = [str(w()) for w in ways]
child = os.fork()
if child == 0:
    signal.alarm(30)
    refusals = 0
    for way in ways:
        try:
            way()
        except RuntimeError as error:
            refusals += "forked" in str(error)
    # What NumPy evaluates goes on: small and large arrays, and those that a compiled program made.
    eager = float((x + 1).sum()), pb.random.normal(pb.random.key(0), (300_000,)).shape, float(pb.grad(jnp.sin)(0.0))
    os._exit(0 if refusals == len(ways) and abs(eager[0] - 99000) < 1 and eager[1:] == ((300_000,), 1.0) else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert [str(w()) for w in ways] == before
raise SystemExit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_is_told_that_compiled_programs_cannot_run_in_it():
    out = subprocess.run([sys.executable, "-c", SCRIPT], timeout=100, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("mode", forks.QUICK)
def test_children_of_busy_processes(mode):
    assert not forks.forks(mode, 4, seed=1)


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import pullback as pb, pullback.numpy as jnp

x = pb.jit(lambda: jnp.arange(5.0))()

def work(n):
    return float(pb.grad(lambda y: (y * x).sum())(jnp.ones(5)).sum()) + n

with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
    assert list(pool.map(work, range(6))) == [10.0 + n for n in range(6)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(6)) == [10.0 + n for n in range(6)]
assert float(pb.jit(lambda y: y.sum(), donate_argnums=0)(x)) == 10.0
assert x.is_deleted()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_pools_of_forked_processes():
    out = subprocess.run([sys.executable, "-c", POOL], timeout=100, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr


EXIT = """
import sys, threading, time
import numpy as np
import pullback as pb

f = pb.jit(lambda x: pb.pure_callback(lambda y: (time.sleep(float(sys.argv[1])), np.float32(y + 1))[1], x, x))
f(1.0)

def work():
    while True: f(2.0)

for _ in range(2): threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
"""


@pytest.mark.parametrize("seconds", ["0.001", "0.2"])
def test_the_process_ends_while_daemon_threads_are_in_callbacks(seconds):
    command = [sys.executable, "-c", EXIT, seconds]
    out = subprocess.run(command, timeout=100, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
