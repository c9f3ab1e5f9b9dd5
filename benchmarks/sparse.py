"""Sparse Jacobians and Hessians beside asdex (for JAX), CasADi and dense derivatives: `python -m benchmarks.sparse [--smoke] [--only TEXT]`.

All run in this process and take turns; a time counts only if the matrices are equal. Planning is finding the pattern and colouring it;
evaluation is that of a compiled function (for CasADi its virtual machine) into the values at the pattern's entries. Results go to the
section "Sparse derivatives" of benchmarks/RESULTS.md and to benchmarks/sparse.json. It needs jax, asdex and casadi.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.compiled import alternate, clock, insert
from benchmarks.sparse_problems import PROBLEMS, Problem, System

HERE = Path(__file__).parent
BEGIN, END = "## Sparse derivatives\n", "<!-- end of sparse derivatives -->\n"
#: Numbers of unknowns at which planning, and dense derivatives, are compared.
PLANNING, DENSE = 10_000, 1_000


class Pullback:
    name = "pullback"

    def __init__(self) -> None:
        import pullback
        import pullback.lax
        import pullback.numpy
        import pullback.ops

        pullback.config.update("enable_x64", True)
        self.ad, self.system = pullback, System(pullback, pullback.numpy, pullback.lax)

    def can(self, problem: Problem) -> bool:
        return True

    def planner(self, problem: Problem, n: int) -> Callable[[], Any]:
        from pullback import derivatives

        f, x = problem.make(self.system, n)
        make = derivatives.jacobian_plan if problem.derivative == "jacobian" else derivatives.hessian_plan
        options = {"local": True} if problem.name == "sort" else {}
        return lambda: make(lambda x: f(x), x, **options)  # a function anew, of which nothing is known

    def facts(self, plan: Any) -> dict[str, Any]:
        return {"nnz": plan.pattern.nnz, "products": plan.num_products, "coloring": plan.coloring}

    def evaluation(
        self, problem: Problem, n: int, plan: Any
    ) -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
        """Calls that give the values and what they are compared with, and the matrix."""
        f, point = problem.make(self.system, n)
        x = self.ad.numpy.asarray(point)
        values, base = self.ad.jit(plan.values), self.ad.jit(f if problem.derivative == "jacobian" else self.ad.grad(f))
        return lambda: values(x).block_until_ready(), lambda: base(x).block_until_ready(), lambda: plan.matrix(x)


class Asdex:
    name = "asdex"

    def __init__(self) -> None:
        import asdex
        import jax
        import jax.numpy
        import jax.ops

        jax.config.update("jax_enable_x64", True)
        self.jax, self.asdex, self.system = jax, asdex, System(jax, jax.numpy, jax.lax)
        # Its compiled colourings are loaded once.
        asdex.jacobian_coloring(lambda x: x[1:] * x[:-1], np.ones(5))
        asdex.hessian_coloring(lambda x: (x[1:] * x[:-1]).sum(), np.ones(5))

    def can(self, problem: Problem) -> bool:
        return True

    def planner(self, problem: Problem, n: int) -> Callable[[], Any]:
        f, x = problem.make(self.system, n)
        make = self.asdex.jacobian_coloring if problem.derivative == "jacobian" else self.asdex.hessian_coloring
        return lambda: make(lambda x: f(x), x)

    def facts(self, plan: Any) -> dict[str, Any]:
        return {"nnz": plan.sparsity.nnz, "products": plan.num_colors, "coloring": plan.mode}

    def evaluation(
        self, problem: Problem, n: int, plan: Any
    ) -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
        f, point = problem.make(self.system, n)
        x, is_jacobian = self.jax.numpy.asarray(point), problem.derivative == "jacobian"
        make = self.asdex.jacobian_from_coloring if is_jacobian else self.asdex.hessian_from_coloring
        values, base = self.jax.jit(make(f, plan)), self.jax.jit(f if is_jacobian else self.jax.grad(f))

        def matrix() -> Any:
            found = values(x)
            return sp.csr_array((np.asarray(found.data), np.asarray(found.indices).T), shape=found.shape)

        return lambda: values(x).data.block_until_ready(), lambda: base(x).block_until_ready(), matrix


class CasADi:
    name = "casadi"

    def __init__(self) -> None:
        import casadi

        self.ca = casadi

    def can(self, problem: Problem) -> bool:
        return problem.casadi is not None

    def planner(self, problem: Problem, n: int) -> Callable[[], Any]:
        assert problem.casadi is not None
        x, y = problem.casadi(self.ca, n)
        f = self.ca.jacobian if problem.derivative == "jacobian" else lambda y, x: self.ca.hessian(y, x)[0]
        return lambda: self.ca.Function(problem.derivative, [x], [f(y, x)])

    def facts(self, plan: Any) -> dict[str, Any]:
        pattern = plan.sparsity_out(0)
        # Which of its functions `hessian` uses, it does not say: the better one counts.
        hessian = pattern.is_symmetric() and plan.name() == "hessian"
        ways = (
            [pattern.star_coloring, pattern.star_coloring2]
            if hessian
            else [pattern.uni_coloring, pattern.T.uni_coloring]
        )
        return {"nnz": pattern.nnz(), "products": min(way().size2() for way in ways), "coloring": ""}

    def evaluation(
        self, problem: Problem, n: int, plan: Any
    ) -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
        assert problem.casadi is not None
        x, y = problem.casadi(self.ca, n)
        base = self.ca.Function("f", [x], [y if problem.derivative == "jacobian" else self.ca.gradient(y, x)])
        point = problem.make(System(None, np, None), n)[1]
        calls = [self._into_buffer(function, point) for function in (plan, base)]
        return calls[0], calls[1], lambda: sp.csr_array(plan(point).sparse())

    def _into_buffer(self, function: Any, point: np.ndarray) -> Callable[[], Any]:
        """A call without conversions."""
        buffer, evaluate = function.buffer()
        result = np.zeros(function.nnz_out(0))
        buffer.set_arg(0, memoryview(point))
        buffer.set_res(0, memoryview(result))
        return lambda: (evaluate(), result, buffer)[0]


def compare(problem: Problem, systems: list[Any], seconds: float, small: bool) -> dict[str, Any]:
    """One row: what each system finds, and how long it takes."""
    n = problem.small if small else problem.n
    row: dict[str, Any] = {
        "name": problem.name,
        "derivative": problem.derivative,
        "n": n,
        "note": problem.note,
        "systems": {},
    }
    true = _canonical(problem.pattern(n))
    row |= {"nnz": int(true.nnz), "n": int(true.shape[1])}
    able = [s for s in systems if s.can(problem)]
    repeated = min(n, PLANNING)
    planners = {s.name: s.planner(problem, repeated) for s in able}
    times: dict[str, list[float]] = {s.name: [] for s in able}
    for _ in range(1 if small else 5):
        for name, planner in planners.items():
            times[name].append(clock(planner))
    matrices, calls = {}, {}
    for s in able:
        planner = s.planner(problem, n)
        start = time.perf_counter()
        plan = planner()
        once = time.perf_counter() - start
        values, base, matrix = s.evaluation(problem, n, plan)
        start = time.perf_counter()
        values()
        first = time.perf_counter() - start
        facts = s.facts(plan) | {"plan": statistics.median(times[s.name]), "plan at n": once, "first call": first}
        row["systems"][s.name] = facts
        calls |= {s.name: values, f"{s.name} base": base}
        matrices[s.name] = _canonical(matrix())
    scale = abs(matrices["pullback"]).max()
    for name, matrix in matrices.items():
        row["systems"][name]["differs by"] = float(abs(matrix - matrices["pullback"]).max() / scale)
        assert row["systems"][name]["differs by"] < 1e-9, (problem.name, name)
    for name, median in alternate(calls, seconds).items():
        which, _, what = name.partition(" ")
        row["systems"][which][what or "run"] = median
    # JAX's own dense derivatives of convolutions in float64 end the process now and then (jaxlib 0.10.2).
    row["dense"] = {} if problem.name == "convolution" else dense(problem, systems, seconds)
    return row


def dense(problem: Problem, systems: list[Any], seconds: float) -> dict[str, float]:
    """At some 1,000 unknowns, JAX's dense derivatives beside the values of a plan."""
    n = min(problem.n, DENSE)
    pullback, jax = systems[0], systems[1].jax
    plan = pullback.planner(problem, n)()
    values, _, matrix = pullback.evaluation(problem, n, plan)
    f, x = problem.make(systems[1].system, n)
    x = jax.numpy.asarray(x)
    ways = (
        {"jacfwd": jax.jacfwd, "jacrev": jax.jacrev} if problem.derivative == "jacobian" else {"hessian": jax.hessian}
    )
    compiled = {name: jax.jit(way(f)) for name, way in ways.items()}
    wanted = matrix().toarray()
    for function in compiled.values():
        np.testing.assert_allclose(function(x), wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
    calls = {name: lambda function=function: function(x).block_until_ready() for name, function in compiled.items()}
    # Several calls a turn: the first one finds the processor's caches full of the others' matrices.
    several = {
        name: lambda call=call: [call() for _ in range(5)] for name, call in {"pullback": values, **calls}.items()
    }
    return {name: median / 5 for name, median in alternate(several, seconds / 2).items()}


def _canonical(matrix: Any) -> Any:
    csr = sp.csr_array(matrix)
    csr.sum_duplicates()
    return csr


def show(row: dict[str, Any]) -> str:
    parts = [f"{row['name']}, n = {row['n']:,}, {row['nnz']:,} entries"]
    for name, s in row["systems"].items():
        parts.append(
            f"  {name:9} {s['nnz']:,} entries, {s['products']} products {s['coloring']}, planned in {s['plan'] * 1e3:.1f} ms "
            f"({s['plan at n']:.2f} s at n), first call {s['first call']:.2f} s, run {s['run'] * 1e3:.3f} ms = {s['run'] / s['base']:.1f} of "
            f"its function's {s['base'] * 1e3:.3f} ms"
        )
    run = row["dense"]
    parts.append("  dense     " + ", ".join(f"{k} {v * 1e3:.3f} ms" for k, v in run.items()) + f": {_dense_ratio(run)}")
    return "\n".join(parts)


def _dense_ratio(run: dict[str, float]) -> str:
    return f"{min(v for k, v in run.items() if k != 'pullback') / run['pullback']:.0f}×" if run else "–"


def report(rows: list[dict[str, Any]]) -> str:
    """The section of RESULTS.md."""
    lines = [
        BEGIN,
        f"\nPullback / asdex / CasADi, all in one process and in turn; medians; matrices compared. Planning at {PLANNING:,} unknowns (or n, "
        "where n is less); CasADi's is that of the expression's derivative. The last columns: the derivative in units of one call of the "
        f"function (of the gradient, for Hessians), and how much slower the better of JAX's dense ways is at {DENSE:,} unknowns.\n",
        "\n| problem | n | entries | products | planning, ms | planning at n, s | run, ms | of f | dense |\n",
        "|---|---:|---|---|---|---|---|---:|---:|\n",
    ]
    for row in rows:
        systems, ours = row["systems"], row["systems"]["pullback"]

        def each(key: str, form: str = "{}", unit: float = 1, systems: Any = systems) -> str:
            shown = [
                form.format(systems[name][key] / unit) if name in systems else "–"
                for name in ("pullback", "asdex", "casadi")
            ]
            return " / ".join(shown)

        cells = [
            row["name"], f"{row['n']:,}", each("nnz", "{:,.0f}"), each("products", "{:.0f}"), each("plan", "{:.0f}", 1e-3),
            each("plan at n", "{:.2f}"), each("run", "{:.2f}", 1e-3), f"{ours['run'] / ours['base']:.1f}",
            _dense_ratio(row["dense"]),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |\n")
    notes = [f"{row['name']}: {row['note']}." for row in rows if row["note"]]
    return "".join([*lines, "\n", " ".join(notes), "\n\n", END])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few unknowns, once; write nothing")
    parser.add_argument("--rounds", type=float, default=3.0, help="seconds for each problem's evaluations")
    parser.add_argument("--only", default="", help="problems whose name contains this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    systems = [Pullback(), Asdex(), CasADi()]
    rows = []
    for problem in PROBLEMS:
        if options.only in problem.name:
            rows.append(compare(problem, systems, 0.1 if options.smoke else options.rounds, options.smoke))
            print(show(rows[-1]), flush=True)
    if not options.smoke and not options.only:
        (HERE / "sparse.json").write_text(json.dumps(rows, indent=1))
        insert(report(rows), HERE / "RESULTS.md", BEGIN, END)


if __name__ == "__main__":
    main()
