"""Jacobians by elimination: multiplications of the orders, and times beside forward and reverse mode.

    python -m benchmarks.elimination                     all problems, into the section "Elimination" of RESULTS.md
    python -m benchmarks.elimination --smoke             everything once
    python -m benchmarks.elimination --only Roe          problems whose name contains this

All run in this process and take turns; times are medians of jitted calls, of one point and of 1024 by `vmap`, and count
only if the Jacobians are equal. With JAX installed, its two modes are there, too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.compiled import insert
from benchmarks.elimination_problems import Problem, problems

BEGIN, END = "## Elimination\n", "<!-- end of elimination -->\n"
BATCH = 1024
ORDERS = ("forward", "reverse", "markowitz", "relative", "search")

#: Problems of single numbers, whose multiplications are also counted as for graphs in the literature.
SCALAR = ("Roe flux, 1-D", "Roe flux, 3-D", "robot arm, 6 joints", "human heart dipole", "propane combustion")


# ---- multiplications ---------------------------------------------------------------------------------------


def multiplications(p: Problem, seconds: float) -> dict[str, int]:
    """Those of each order, of structured edges."""
    from pullback.derivatives.elimination import elimination_plan

    return elimination_plan(
        p.function, *p.arguments, argnums=p.argnums, order="search", search_seconds=seconds
    ).costs  # fmt: skip


class _Tuples:
    """A namespace in which the results are not put together: so that a program has scalars only."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Any:
        return (lambda parts: list(parts)) if name == "stack" else getattr(self._xp, name)


def classical(name: str, seconds: float) -> list[int] | None:
    """The counts of forward, reverse, Markowitz and search as the literature has them: one for each pair of edges of
    the program's graph, units among them."""
    import pullback as pb
    import pullback.numpy as jnp
    from pullback.core.jaxpr import Var
    from pullback.core.passes import inline_calls
    from pullback.derivatives.elimination.blocks import dense
    from pullback.derivatives.elimination.graph import Algebra, State
    from pullback.derivatives.elimination.orders import Annealing, greedy

    if name not in SCALAR:
        return None
    (x,) = (p := problems(_Tuples(jnp), pb.grad, None)[name]).arguments
    flat = [float(v) for v in x.ravel()]

    def scalars(*xs: Any) -> Any:
        rows = [xs[i : i + x.shape[-1]] for i in range(0, len(xs), x.shape[-1])]
        return p.function(rows[0] if x.ndim == 1 else rows)

    program = inline_calls(pb.make_jaxpr(scalars)(*flat)).jaxpr
    number = {v: i for i, v in enumerate([*program.invars, *[e.outvars[0] for e in program.eqns]])}
    algebra = Algebra()
    edge = algebra.number((dense((), ()),))
    state = State(algebra, [{} for _ in number], [{} for _ in number])
    for e in program.eqns:
        for u in e.invars:
            if isinstance(u, Var):
                a, b = number[u], number[e.outvars[0]]
                state.into[b][a] = state.out[a][b] = edge
    ends = {number[v] for v in program.outvars if isinstance(v, Var)}
    middle = [number[e.outvars[0]] for e in program.eqns if number[e.outvars[0]] not in ends]

    def cost(order: Any) -> int:
        end = state.copy()
        return sum(end.eliminate(v) for v in order)

    orders = [middle, middle[::-1], greedy(state.copy(), middle, lambda s, v: s.cost(v))]
    starts = sorted(orders, key=cost)
    _, found = Annealing(state, middle, Random(0)).search(starts, int(seconds * 100_000), cost)
    return [*map(cost, orders), found]


# ---- times -------------------------------------------------------------------------------------------------


def ways(name: str, seconds: float) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]]:
    """The Jacobian in each way, its arguments, and the function that compiles it."""
    import pullback as pb
    import pullback.numpy as jnp
    from pullback.derivatives.elimination import elimination_jacobian
    from pullback.scipy.special import erf

    p = problems(jnp, pb.grad, erf)[name]
    arguments = tuple(map(jnp.asarray, p.arguments))
    found = {
        "elimination": (
            elimination_jacobian(p.function, p.argnums, order="search", search_seconds=seconds), arguments, pb,
        ),
        "jacfwd": (pb.jacfwd(p.function, p.argnums), arguments, pb),
        "jacrev": (pb.jacrev(p.function, p.argnums), arguments, pb),
    }  # fmt: skip
    try:
        import jax
        import jax.scipy.special
    except ImportError:
        return found
    q = problems(jax.numpy, jax.grad, jax.scipy.special.erf)[name]
    others = tuple(map(jax.numpy.asarray, q.arguments))
    found["JAX jacfwd"] = (jax.jacfwd(q.function, q.argnums), others, jax)
    found["JAX jacrev"] = (jax.jacrev(q.function, q.argnums), others, jax)
    return found


def times(name: str, batched: bool, rounds: int, seconds: float) -> dict[str, float]:
    """Median microseconds of each way."""
    calls: dict[str, Callable[[], Any]] = {}
    expected: list[Any] | None = None
    for way, (jacobian, arguments, system) in ways(name, seconds).items():
        if batched:
            jacobian = system.vmap(jacobian)
            arguments = tuple([system.numpy.stack([a] * BATCH) for a in arguments])
        compiled = system.jit(jacobian)
        calls[way] = lambda f=compiled, a=arguments, s=system: s.block_until_ready(f(*a))
        leaves = [np.asarray(y) for y in system.tree_util.tree_leaves(calls[way]())]
        expected = expected or leaves
        for a, b in zip(leaves, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4, err_msg=f"{name}: {way}")
    measured: dict[str, list[float]] = {way: [] for way in calls}
    turns, random = list(calls.items()), Random(0)
    for _ in range(rounds):
        random.shuffle(turns)  # whoever comes after a slow one finds caches cold
        for way, call in turns:
            start = time.perf_counter()
            call()
            measured[way].append(time.perf_counter() - start)
    return {way: 1e6 * statistics.median(t) for way, t in measured.items()}


# ---- tables ------------------------------------------------------------------------------------------------


def table(headings: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(r) + " |" for r in [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once, write nothing")
    parser.add_argument("--rounds", type=int, default=1000, help="calls of each way")
    parser.add_argument("--only", default="", help="problems whose name contains this")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each search")
    options = parser.parse_args()
    rounds, seconds = (1, 0.01) if options.smoke else (options.rounds, options.seconds)

    import pullback as pb
    import pullback.numpy as jnp
    from pullback.scipy.special import erf

    chosen = {n: p for n, p in problems(jnp, pb.grad, erf).items() if options.only in n}
    counted, as_counted, timed = [], [], []
    for name, p in chosen.items():
        costs = multiplications(p, seconds)
        counted.append([name, *[f"{costs[o]:,}" for o in ORDERS]])
        plain = classical(name, seconds)
        if plain is not None:
            as_counted.append([name, *map(str, plain)])
        for batched in (False, True) if isinstance(p.argnums, int) else (False,):
            found = times(name, batched, max(1, rounds // 5) if batched else rounds, seconds)
            best = min(found["jacfwd"], found["jacrev"])
            row = [name + (f", {BATCH} points" if batched else ""), *[f"{t:.1f}" for t in found.values()]]
            timed.append([*row, f"{found['elimination'] / best:.2f}"])
            print(*timed[-1], flush=True)
            headings = ["microseconds", *found, "of the better of jacfwd and jacrev"]
    sections = [
        "Multiplications of the eliminations, of structured local Jacobians (those that are one or zero cost nothing):\n",
        table(["problem", *ORDERS], counted),
        "The same as the literature counts, one for each pair of edges, of programs of single numbers:\n",
        table(["problem", "forward", "reverse", "markowitz", "search"], as_counted),
        "Times of jitted Jacobians; elimination in the order that was searched for:\n",
        table(headings, timed),
    ]
    text = "\n".join(sections)
    sys.stdout.write(text)
    if not options.smoke and not options.only:
        insert(f"{BEGIN}\n{text}\n{END}", Path(__file__).parent / "RESULTS.md", BEGIN, END)


if __name__ == "__main__":
    main()
