"""Eager calls of the most used functions of `pullback.numpy` on small arrays, beside NumPy's: `python -m benchmarks.numpy_calls`.

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

import pullback.numpy as jnp
from benchmarks.compiled import insert

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "## Calls of NumPy functions\n", "<!-- end of calls -->\n"
TARGET = 1.5

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


def operands() -> dict[str, Any]:
    """The arrays that the calls name: 8 × 8 float32, and smaller ones."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 8, 8)).astype(np.float32)
    return {
        "A": a,
        "B": b,
        "S": abs(a) + 1,
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


def measure(rounds: int, number: int) -> list[tuple[str, float, float]]:
    """(call, NumPy's time, Pullback's) of each call. Raises AssertionError where the answers differ."""
    theirs = {"N": np, **operands()}
    ours = {"N": jnp, **{name: jnp.asarray(x) for name, x in operands().items()}}
    found = []
    for text in (
        call.strip()
        for block in (FUNCTIONS, INDEXING)
        for line in block.strip().splitlines()
        for call in line.split(";")
    ):
        numpys, pullbacks = compiled(text, theirs), compiled(text, ours)
        for x, y in zip(np.atleast_1d(numpys()), np.atleast_1d(pullbacks())):
            np.testing.assert_allclose(np.asarray(y, np.float64), np.asarray(x, np.float64), rtol=1e-4, atol=1e-6)
        found.append((text.replace("N.", ""), *shortest([numpys, pullbacks], rounds, number)))
    return found


def updates(rounds: int, number: int) -> list[tuple[str, float, float]]:
    """(update, time of one copy, its time)."""
    names = {name: jnp.asarray(x) for name, x in operands().items()}
    copy = operands()["A"].copy
    texts = ["A.at[3].set(0.0)", "A.at[1:3, 2].set(0.0)", "A.at[I].add(1.0)"]
    return [(text, *shortest([copy, compiled(text, names)], rounds, number)) for text in texts]


def report(calls: list[tuple[str, float, float]], changes: list[tuple[str, float, float]]) -> str:
    """The section of RESULTS.md."""
    over = sorted((x for x in calls if x[2] - x[1] > TARGET), key=lambda x: x[1] - x[2])
    rows = [f"| `{text}` | {a:.2f} | {b:.2f} | {b - a:+.2f} |" for text, a, b in [*over, *changes]]
    added = [b - a for _, a, b in calls]
    head = f"""{BEGIN}
Eager calls of the {len(calls)} most used on 8 × 8 float32 arrays, microseconds; the shortest of many rounds. Target:
NumPy's time and {TARGET} µs at most; updates one copy and 3 µs. `python -m benchmarks.numpy_calls`.

Met by {len(calls) - len(over)} of {len(calls)}; added are {np.mean(added):.2f} on average,
{np.median(added):.2f} in the median. Those over it, and updates:

| call | NumPy, or a copy | Pullback | added |
|---|---:|---:|---:|
"""
    return head + "\n".join(rows) + f"\n{END}"


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--smoke", action="store_true", help="run everything once, and write nothing")
    smoke = options.parse_args().smoke
    effort = (1, 1) if smoke else (15, 300)
    section = report(measure(*effort), updates(*effort))
    if not smoke:
        insert(section, RESULTS, BEGIN, END)
    print(section)
