"""Runs the benchmarks: `python -m benchmarks.run [--smoke] [--only NAME ...] [--rounds N]`.

Each library has a process of its own. All processes take turns, problem by problem and round by round: while one measures, the others wait.
A time counts only if the library's answer equals those of the others. Results go to benchmarks/RESULTS.md and benchmarks/results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Idle threads sleep instead of spinning in the way of whoever is being measured.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2"}


@dataclass
class Worker:
    """A library's process, seen from here."""

    library: str
    process: BaseProcess
    pipe: Connection
    problems: list[str] = field(default_factory=list)

    def ask(self, *request: Any) -> Any:
        """The answer to a request. Raises what the worker reports."""
        self.pipe.send(request)
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        self.pipe.send(None)
        self.process.join()


def start_workers() -> dict[str, Worker]:
    """A process for each library that is installed."""
    from benchmarks.worker import LIBRARIES, serve

    workers = {}
    context = get_context("spawn")
    for library in LIBRARIES:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(library, theirs), daemon=True)
        process.start()
        worker = Worker(library, process, ours)
        ready = ours.recv()
        if isinstance(ready, Exception):
            print(f"without {library}: {ready}")
            continue
        worker.problems = ready
        workers[library] = worker
    return workers


def equal_answers(workers: dict[str, Worker], name: str, tolerance: float) -> tuple[list[str], dict[str, str]]:
    """The libraries that have the problem and agree with Pullback on its answer; what is wrong with the others."""
    import numpy as np

    agreed, wrong = [], {}
    reference: Any = None
    for library, worker in workers.items():  # Pullback first
        if name not in worker.problems:
            continue
        try:
            answer = worker.ask("answer", name)
        except RuntimeError as error:
            wrong[library] = str(error)
            continue
        if reference is None:
            reference = answer
        scale = max(1.0, float(np.abs(reference).max(initial=0.0)))
        if answer.shape != reference.shape or not np.allclose(answer, reference, rtol=0, atol=tolerance * scale):
            wrong[library] = f"gives another answer than {next(iter(workers))}"
        else:
            agreed.append(library)
    return agreed, wrong


def measure(
    workers: dict[str, Worker], names: list[str], rounds: int, seconds: float, smoke: bool
) -> dict[str, dict[str, Any]]:
    """For each problem: the median seconds by library, and what went wrong."""
    from benchmarks.problems import BY_NAME

    results: dict[str, dict[str, Any]] = {}
    for name in names:
        problem = BY_NAME[name]
        agreed, wrong = equal_answers(workers, name, problem.tolerance)
        times: dict[str, list[float]] = {library: [] for library in agreed}
        for _ in range(0 if smoke else rounds):
            for library in agreed:
                times[library] += workers[library].ask("measure", name, seconds)
        medians = {library: statistics.median(t) / problem.repeats for library, t in times.items() if t}
        results[name] = {"seconds": medians, "wrong": wrong, "agreed": agreed}
        shown = ", ".join(f"{k} {microseconds(t)}" for k, t in medians.items()) or f"agreed: {', '.join(agreed)}"
        print(f"{name}: {shown}{''.join(f'; {k}: {v}' for k, v in wrong.items())}", flush=True)
    return results


# ---- the report -------------------------------------------------------------------------------------------------


def microseconds(seconds: float) -> str:
    """Three digits."""
    us = seconds * 1e6
    return f"{us:,.0f}" if us >= 100 else f"{us:.3g}"


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    versions = {"python": platform.python_version()}
    for package in ("pullback", "numpy", "jax", "jaxlib", "torch", "autograd", "scipy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform(), "versions": versions}


def verdict(name: str, seconds: dict[str, float]) -> str:
    """Which targets are met, and by how much those that are not are missed."""
    from benchmarks.problems import BY_NAME

    problem = BY_NAME[name]
    ours = seconds.get("pullback")
    if ours is None:
        return "no answer"
    missed = [
        f"{library} {seconds[library] / ours:.2f}× < {target:.3g}×"
        for library, target in problem.targets.items()
        if library in seconds and seconds[library] / ours < target
    ]
    if problem.overhead is not None and "numpy" in seconds:
        over = (ours - seconds["numpy"]) * 1e6
        if over > problem.overhead:
            missed.append(f"NumPy + {over:.2f} µs > {problem.overhead} µs")
    return "met" if not missed else "**missed**: " + "; ".join(missed)


def target_text(name: str) -> str:
    from benchmarks.problems import BY_NAME, FASTER_THAN_ALL

    problem = BY_NAME[name]
    if problem.overhead is not None:
        return f"≤ NumPy + {problem.overhead} µs"
    if problem.targets == FASTER_THAN_ALL:
        return "faster than every peer"
    if "numpy" in problem.targets:
        return f"≤ {1 / problem.targets['numpy']:.2f}× NumPy"
    return ", ".join(f"{library} ≥ {t:.3g}×" for library, t in problem.targets.items())


def report(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    from benchmarks.problems import BY_NAME, SECTIONS
    from benchmarks.worker import LIBRARIES

    where = results["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in where["versions"].items())
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {where['cpu']}, {where['cores']} cores, {where['system']}; {versions}.",
        "",
        "Median times of a call in microseconds, and in parentheses how many times ours they are. Nothing is compiled ahead (no `jit`, no",
        "`torch.compile`). Each library runs in a process of its own; the processes take turns, and a time counts only if the answer equals",
        "the others'. `numpy` is the operation itself, or the derivative written by hand.",
    ]
    for title, names in SECTIONS.items():
        measured = [n for n in names if n in results["problems"]]
        if not measured:
            continue
        libraries = [k for k in LIBRARIES if any(k in results["problems"][n]["seconds"] for n in measured)]
        lines += ["", f"## {title}", "", "| | " + " | ".join(libraries) + " | target | |"]
        lines.append("|---|" + "---:|" * len(libraries) + "---|---|")
        for name in measured:
            seconds = results["problems"][name]["seconds"]
            ours = seconds.get("pullback")
            cells = []
            for library in libraries:
                t = seconds.get(library)
                ratio = "" if library == "pullback" or ours is None or t is None else f" ({t / ours:.3g}×)"
                cells.append("–" if t is None else microseconds(t) + ratio)
            lines.append(
                f"| {BY_NAME[name].title} | {' | '.join(cells)} | {target_text(name)} | {verdict(name, seconds)} |"
            )
    wrong = {n: r["wrong"] for n, r in results["problems"].items() if r["wrong"]}
    if wrong:
        lines += [
            "",
            "Not counted: " + "; ".join(f"{n} with {k} ({v})" for n, w in wrong.items() for k, v in w.items()) + ".",
        ]
    imports, memory = results.get("imports"), results.get("memory")
    if imports:
        ratio = imports["pullback"] / imports["numpy"]
        lines += [
            "", "## Import", "",
            f"`import pullback` {imports['pullback'] * 1e3:.0f} ms, `import numpy` {imports['numpy'] * 1e3:.0f} ms: {ratio:.2f}×, "
            f"target ≤ 1.6×, {'met' if ratio <= 1.6 else '**missed**'} (medians of {imports['repetitions']} fresh processes each).",
        ]  # fmt: skip
    if memory:
        lines += [
            "", "## Memory", "",
            f"Gradient of 200 layers x ↦ tanh(x w): peak {memory['peak'] / 2**20:.1f} MiB, residuals "
            f"{memory['residuals'] / 2**20:.1f} MiB: {memory['ratio']:.2f}×, target ≤ 1.15×, "
            f"{'met' if memory['ratio'] <= 1.15 else '**missed**'}.",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Returns the number of problems on which Pullback failed or libraries disagreed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once, compare answers, write nothing")
    parser.add_argument("--only", nargs="+", default=None, metavar="NAME", help="only these problems; write nothing")
    parser.add_argument("--rounds", type=int, default=7, help="turns that each library has at each problem")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a turn")
    options = parser.parse_args(argv)
    os.environ.update(ENVIRONMENT)

    from benchmarks.imports import import_seconds
    from benchmarks.memory import chain_memory
    from benchmarks.problems import BY_NAME

    names = options.only or list(BY_NAME)
    unknown = [n for n in names if n not in BY_NAME]
    if unknown:
        parser.error(f"no such problem: {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    results: dict[str, Any] = {"machine": machine()}
    if not options.only:
        repetitions = 1 if options.smoke else 20
        results["imports"] = import_seconds(["numpy", "pullback"], repetitions) | {"repetitions": repetitions}
        memory = chain_memory()
        results["memory"] = {"peak": memory.peak, "residuals": memory.residuals, "ratio": memory.ratio}
    workers = start_workers()
    try:
        results["problems"] = measure(workers, names, options.rounds, options.seconds, options.smoke)
    finally:
        for worker in workers.values():
            worker.stop()
    if options.only is None and not options.smoke:
        (HERE / "RESULTS.md").write_text(report(results))
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        print(f"wrote {HERE / 'RESULTS.md'}")
    elif not options.smoke:
        print(report(results))
    if "pullback" not in workers:
        return len(names)
    return sum(bool(r["wrong"]) for r in results["problems"].values())


if __name__ == "__main__":
    sys.exit(main() > 0)
