"""Eager calls of the most used functions of `pullback.numpy` on small arrays, beside NumPy's, and of some of SciPy's:
`python -m benchmarks.numpy_calls`.

Calls of both take turns in one process, and answers are compared. The shortest of many rounds counts: what is looked
for is the cost of the call itself, and everything else that a machine does only adds to it. The table goes to the
section "Calls of NumPy functions" of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import scipy.special

import pullback.numpy as jnp
import pullback.scipy.signal as our_signal
import pullback.scipy.special as our_special
from benchmarks.compiled import insert
from pullback.numpy import planned

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "## Calls of NumPy functions\n", "<!-- end of calls -->\n"
TARGET, TARGET_OF_SCIPY = 1.5, 3.0

#: Most used first, by how many of 37 repositories use them (tools/api/usage.txt). `N` is either namespace.
FUNCTIONS = """
N.array(A); N.ones((8, 8)); N.sum(A); N.zeros((8, 8)); N.arange(8); N.concatenate([A, B]); N.stack([A, B]); N.asarray(A); N.where(M, A, B)
N.zeros_like(A); N.ones_like(A); N.exp(A); N.mean(A); N.abs(A); N.sqrt(S); N.eye(8); N.all(M); N.cos(A); N.max(A); N.maximum(A, B)
N.reshape(A, (4, 16)); N.clip(A, -1, 1); N.dot(A, B); N.sin(A); N.expand_dims(A, 0); N.log(S); N.minimum(A, B); N.broadcast_to(V, (8, 8))
N.full((8, 8), 1.0); N.square(A); N.diag(V); N.logical_and(M, M); N.argmax(A); N.repeat(V, 2); N.any(M); N.isfinite(A); N.isnan(A)
N.linspace(0.0, 1.0, 8); N.split(A, 2); N.squeeze(R); N.transpose(A); N.matmul(A, B); N.allclose(A, A); N.einsum("ij,jk->ik", A, B); N.min(A)
N.power(A, 2); N.sign(A); N.argsort(V); N.pad(V, 1); N.tanh(A); N.tile(V, 2); N.swapaxes(A, 0, 1); N.roll(V, 1); N.cumsum(A)
N.logical_or(M, M); N.moveaxis(A, 0, 1); N.outer(V, V); N.sort(V); N.take(A, I, axis=0); N.prod(A); N.tril(A); N.vstack([A, B]); N.var(A)
N.std(A); N.linalg.norm(A)
"""
INDEXING = "A[3]; A[1:5, ::2]; A[I]; A[M]"
#: Those of SciPy's that take about as long as a call. `P` is its `special`, or ours, and `G` its `signal`.
SCIPY = """
P.erf(A); P.erfc(A); P.expit(A); P.logit(Q); P.gammaln(S); P.gamma(S); P.digamma(S); P.ndtr(A); P.ndtri(Q); P.log_ndtr(A); P.entr(S)
P.xlogy(S, S); P.rel_entr(S, Q); P.kl_div(S, Q); P.betaln(S, S); P.gammainc(S, S); P.i0(A); P.i0e(A); P.i1(A); P.expi(S); P.comb(S, Q)
P.logsumexp(A); P.softmax(A); P.log_softmax(A); G.convolve(V, K); G.convolve2d(A, L); G.convolve2d(A, L, "same"); G.convolve2d(A, L, "valid")
"""


def operands() -> dict[str, Any]:
    """The arrays that the calls name: 8 × 8 float32, and smaller ones."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 8, 8)).astype(np.float32)
    return {
        "A": a,
        "B": b,
        "S": abs(a) + 1,
        "Q": (1 / (1 + abs(a))).astype(np.float32),
        "K": b[0, :3].copy(),
        "L": b[:3, :3].copy(),
        "V": a[0].copy(),
        "M": a > 0,
        "I": np.array([1, 3, 5]),
        "R": a[:, None].copy(),
    }


def compiled(text: str, names: dict[str, Any]) -> Callable[[], Any]:
    """A function that does what `text` says."""
    return eval(f"lambda: {text}", names)


def shortest(functions: list[Callable[[], Any]], rounds: int, number: int) -> list[float]:
    """The shortest time of each function, in microseconds; they take turns."""
    times = [[timeit.timeit(f, number=number) / number for f in functions] for _ in range(rounds)]
    return [min(column) * 1e6 for column in zip(*times)]


def measure(rounds: int, number: int, *blocks: str) -> list[tuple[str, float, float]]:
    """(call, NumPy's or SciPy's time, Pullback's) of each call in `blocks`. Raises AssertionError where the answers
    differ."""
    theirs = {"N": np, "P": scipy.special, "G": scipy.signal, **operands()}
    ours = {"N": jnp, "P": our_special, "G": our_signal, **{name: jnp.asarray(x) for name, x in operands().items()}}
    found = []
    for text in (call.strip() for block in blocks for line in block.strip().splitlines() for call in line.split(";")):
        numpys, pullbacks = compiled(text, theirs), compiled(text, ours)
        for _ in range(planned._OFTEN):  # the call after these is as all further ones
            pullbacks()
        for x, y in zip(np.atleast_1d(numpys()), np.atleast_1d(pullbacks())):
            np.testing.assert_allclose(np.asarray(y, np.float64), np.asarray(x, np.float64), rtol=1e-4, atol=1e-5)
        found.append((text.replace("N.", ""), *shortest([numpys, pullbacks], rounds, number)))
    return found


def updates(rounds: int, number: int) -> list[tuple[str, float, float]]:
    """(update, time of one copy, its time)."""
    names = {name: jnp.asarray(x) for name, x in operands().items()}
    copy = operands()["A"].copy
    texts = ["A.at[3].set(0.0)", "A.at[1:3, 2].set(0.0)", "A.at[I].add(1.0)"]
    return [(text, *shortest([copy, compiled(text, names)], rounds, number)) for text in texts]


def over(calls: list[tuple[str, float, float]], target: float) -> str:
    """How many calls meet the target, and what is added."""
    added = [b - a for _, a, b in calls]
    met = sum(x <= target for x in added)
    return f"{met} of {len(calls)}; added are {np.mean(added):.2f} on average, {np.median(added):.2f} in the median"


def report(
    calls: list[tuple[str, float, float]],
    scipys: list[tuple[str, float, float]],
    changes: list[tuple[str, float, float]],
) -> str:
    """The section of RESULTS.md."""
    beyond = [
        x for group, target in ((calls, TARGET), (scipys, TARGET_OF_SCIPY)) for x in group if x[2] - x[1] > target
    ]
    beyond.sort(key=lambda x: x[1] - x[2])
    rows = [f"| `{text}` | {a:.2f} | {b:.2f} | {b - a:+.2f} |" for text, a, b in [*beyond, *changes]]
    head = f"""{BEGIN}
Eager calls of the {len(calls)} most used on 8 × 8 float32 arrays, and of {len(scipys)} of SciPy's, microseconds; the
shortest of many rounds. Target: NumPy's time and {TARGET} µs at most, SciPy's and {TARGET_OF_SCIPY:g} µs; updates one
copy and 3 µs. `python -m benchmarks.numpy_calls`.

NumPy's: met by {over(calls, TARGET)}.
SciPy's: met by {over(scipys, TARGET_OF_SCIPY)}.
Those over it, and updates:

| call | NumPy, SciPy, or a copy | Pullback | added |
|---|---:|---:|---:|
"""
    return head + "\n".join(rows) + f"\n{END}"


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--smoke", action="store_true", help="run everything once, and write nothing")
    smoke = options.parse_args().smoke
    effort = (1, 1) if smoke else (30, 300)
    section = report(measure(*effort, FUNCTIONS, INDEXING), measure(*effort, SCIPY), updates(*effort))
    if not smoke:
        insert(section, RESULTS, BEGIN, END)
    print(section)
