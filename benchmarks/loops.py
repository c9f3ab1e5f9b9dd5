"""Loops beside JAX's, and what their checkpoints cost: `python -m benchmarks.loops [--smoke] [--rounds N]`.

Both libraries run in this process and take turns; a time counts only if the answers are equal. Results go to the section "Loops" of
benchmarks/RESULTS.md and to benchmarks/loops.json, the plot of memory against time to docs/checkpoints.svg.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compiled import HERE, alternate, insert, systems
from benchmarks.compiled_programs import System, normal

BEGIN, END = "## Loops\n", "<!-- end of loops -->\n"


# ---- programs that both libraries run -----------------------------------------------------------------------------


def small_scan(s: System) -> Callable[..., Any]:
    def loop(x: Any, w: Any) -> Any:
        step = lambda c, _: ((c[0] * w + c[1] * 0.1, c[1] * 0.99 + c[0] * 0.01), None)
        return s.lax.scan(step, (x, x), None, length=10_000)[0][0]

    return loop


def recurrent(s: System) -> Callable[..., Any]:
    def loss(p: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = s.jnp.tanh(h @ p["w"] + x @ p["u"] + p["b"])
            return h, h

        hs = s.lax.scan(step, s.jnp.zeros((*xs.shape[1:-1], 64), xs.dtype), xs)[1]
        return (hs**2).mean()

    return loss


def three_bodies(s: System) -> Callable[..., Any]:
    """1,000 steps of Runge and Kutta's method for three bodies in a plane, whose force is written number by number."""

    def force(y: Any) -> Any:
        at, velocity = [(y[2 * i], y[2 * i + 1]) for i in range(3)], [y[6 + i] for i in range(6)]
        pulls = [
            sum(
                (at[j][axis] - at[i][axis]) / ((at[j][0] - at[i][0]) ** 2 + (at[j][1] - at[i][1]) ** 2 + 0.01) ** 1.5
                for j in range(3)
                if j != i
            )
            for i in range(3)
            for axis in range(2)
        ]
        return s.jnp.stack([*velocity, *pulls])

    def step(y: Any, _: Any) -> Any:
        h = 0.001
        k1 = force(y)
        k2 = force(y + h / 2 * k1)
        k3 = force(y + h / 2 * k2)
        k4 = force(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lambda y: (s.lax.scan(step, y, None, length=1000)[0] ** 2).sum()


PARAMETERS = {"w": normal(64, 64, scale=0.125), "u": normal(16, 64, scale=0.25), "b": normal(64)}
BODIES = np.array([-1, 0, 1, 0, 0, 0.5, 0.3, 0.5, 0.3, 0.5, -0.6, -1.0], np.float32)
NUMBERS = (np.float32(0.5), np.float32(0.3))
COMPILED: dict[str, tuple[Callable[[System], Any], tuple[Any, ...], float]] = {
    "scan of 10,000 steps, two numbers": (lambda s: s.ad.jit(small_scan(s)), NUMBERS, 1.05),
    "its gradient": (lambda s: s.ad.jit(s.ad.grad(small_scan(s), (0, 1))), NUMBERS, 1.05),
    "recurrent network, 1,000 steps: gradient": (
        lambda s: s.ad.jit(s.ad.value_and_grad(recurrent(s))), (PARAMETERS, normal(1000, 16)), 1.0,
    ),
    "the same, batch 32": (
        lambda s: s.ad.jit(s.ad.value_and_grad(recurrent(s))), (PARAMETERS, normal(1000, 32, 16)), 1.0,
    ),
    "three bodies, 1,000 steps of Runge–Kutta": (lambda s: s.ad.jit(three_bodies(s)), (BODIES,), 1.0),
    "its gradient with respect to where they start": (lambda s: s.ad.jit(s.ad.grad(three_bodies(s))), (BODIES,), 1.0),
}  # fmt: skip


def _step(c: Any, x: Any) -> Any:
    return c * 0.9 + x, c


def _goes_on(state: Any) -> Any:
    return state[0] < 10


def _advance(state: Any) -> Any:
    return state[0] + 1, state[1] * 0.9


def _twice(x: Any) -> Any:
    return x * 2


def _plus_one(x: Any) -> Any:
    return x + 1


TEN = np.ones(10, np.float32)
EAGER: dict[str, tuple[Callable[[System], Any], tuple[Any, ...]]] = {
    "scan of 10 steps": (lambda s: lambda x, xs: s.lax.scan(_step, x, xs), (NUMBERS[0], TEN)),
    "its gradient": (lambda s: s.ad.grad(lambda x, xs: s.lax.scan(_step, x, xs)[0]), (NUMBERS[0], TEN)),
    "while_loop of 10 steps": (lambda s: lambda x: s.lax.while_loop(_goes_on, _advance, (0, x)), NUMBERS[:1]),
    "cond": (lambda s: lambda x: s.lax.cond(x > 0, _twice, _plus_one, x), NUMBERS[:1]),
    "the gradient of cond": (lambda s: s.ad.grad(lambda x: s.lax.cond(x > 0, _twice, _plus_one, x)), NUMBERS[:1]),
}


def compare(
    make: Callable[[System], Any], args: tuple[Any, ...], both: dict[str, System], seconds: float
) -> dict[str, float]:
    calls, answers = {}, {}
    for which, s in both.items():
        f, given = make(s), s.ad.tree.map(s.jnp.asarray, args)
        calls[which] = lambda f=f, given=given, s=s: s.ad.block_until_ready(f(*given))
        answers[which] = [np.asarray(x) for x in s.ad.tree.leaves(calls[which]())]
    for a, b in zip(answers["pullback"], answers["jax"]):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)
    return alternate(calls, seconds)


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def checkpoint_table(length: int, width: int, slots: list[int | None], seconds: float) -> list[dict[str, Any]]:
    """Time and memory of a gradient through a scan, by number of checkpoints."""
    import pullback as pb
    import pullback.numpy as jnp
    from pullback import lax
    from pullback.control.schedule import repeated_steps

    x, w = jnp.ones(width), jnp.asarray(normal(width, scale=0.1))
    calls, rows = {}, []
    for n in slots:

        def loss(x: Any, w: Any, n: Any = n) -> Any:
            step = lambda c, _: (jnp.sin(c) * w + c * 0.5 + 0.1, None)
            return lax.scan(step, x, None, length=length, checkpoints=n)[0].sum()

        compiled = pb.jit(pb.grad(loss, (0, 1))).lower(x, w).compile()
        calls[str(n)] = lambda compiled=compiled: pb.block_until_ready(compiled(x, w))
        rows.append(
            {
                "slots": n,
                "temporary": compiled.memory_analysis().temp_size_in_bytes,
                "own": None if n is None else n * width * 4,
                "repeated": None if n is None else repeated_steps(length, n) / length,
                "answer": [np.asarray(v) for v in calls[str(n)]()],
            }
        )
    for row in rows:
        for a, b in zip(row.pop("answer"), calls["None"]()):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    calls["pullback"] = calls.pop("None")  # the one that is waited for
    times = alternate(calls, seconds)
    for row in rows:
        row["seconds"] = times[str(row["slots"]) if row["slots"] is not None else "pullback"]
    return rows


def while_table(lengths: list[int], width: int, seconds: float) -> list[dict[str, Any]]:
    """Time of a gradient through a while of unknown length, beside that of a scan of the same length."""
    import pullback as pb
    import pullback.numpy as jnp
    from pullback import lax

    x, w = jnp.ones(width), jnp.asarray(normal(width, scale=0.1))
    step = lambda c, w: jnp.sin(c) * w + c * 0.5 + 0.1
    ready = lambda f, *args: pb.block_until_ready(f(*args))
    rows = []
    for length in lengths:
        of_scan = pb.jit(
            pb.grad(lambda x, w, n=length: lax.scan(lambda c, _: (step(c, w), None), x, None, length=n)[0].sum())
        )

        def by_while(x: Any, w: Any, n: Any) -> Any:
            return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, step(s[1], w)), (0, x), checkpoints=50)[
                1
            ].sum()

        of_while, n = pb.jit(pb.grad(by_while)), jnp.int32(length)
        np.testing.assert_allclose(of_scan(x, w), of_while(x, w, n), rtol=1e-3, atol=1e-6)
        calls = {"pullback": partial(ready, of_while, x, w, n), "scan": partial(ready, of_scan, x, w)}
        rows.append({"length": length, "width": width, **alternate(calls, seconds)})
    return rows


# ---- report -----------------------------------------------------------------------------------------------------------


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.2f} ms"


def _verdict(ratio: float, target: float) -> str:
    return f"≤ {target:g} {'met' if ratio <= target else '**missed**'}"


def report(results: dict[str, Any]) -> str:
    lines = [BEGIN, "Both libraries in one process, call by call in turn; medians; answers compared.\n"]
    lines += ["| compiled | Pullback | JAX | ratio | target |", "|---|---:|---:|---:|---:|"]
    for name, (_, _, target) in COMPILED.items():
        t = results["compiled"][name]
        ratio = t["pullback"] / t["jax"]
        lines.append(
            f"| {name} | {_time(t['pullback'])} | {_time(t['jax'])} | {ratio:.2f} | {_verdict(ratio, target)} |"
        )
    lines += [
        "",
        "| called again and again without jit | Pullback | JAX | ratio | target |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, t in results["eager"].items():
        ratio = t["pullback"] / t["jax"]
        lines.append(f"| {name} | {_time(t['pullback'])} | {_time(t['jax'])} | {ratio:.3f} | {_verdict(ratio, 0.2)} |")
    lines += [
        "",
        "Gradient through a scan of 100,000 steps with a state of 1,000 numbers, by checkpoints. \"Repeated\" are the forward steps that the "
        "binomial optimum repeats, per step; the schedule takes exactly these.\n",
        "| checkpoints | time | to that without | target | temporary memory | to the checkpoints' own | target | repeated |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    plain = next(r for r in results["checkpoints"] if r["slots"] is None)
    for r in results["checkpoints"]:
        if r["slots"] is None:
            lines.append(f"| none | {_time(r['seconds'])} | 1 | | {r['temporary'] / 1e6:,.2f} MB | | | |")
            continue
        slower, larger = r["seconds"] / plain["seconds"], r["temporary"] / r["own"]
        target = _verdict(slower, 3.2) if r["slots"] == 100 else ""
        lines.append(
            f"| {r['slots']} | {_time(r['seconds'])} | {slower:.2f} | {target} | {r['temporary'] / 1e6:,.3f} MB | {larger:.2f} | "
            f"{_verdict(larger, 3)} | {r['repeated']:.2f} |"
        )
    lines += [
        "",
        "Gradient through a while_loop whose number of steps is not known, with 50 checkpoints, beside a scan whose length is known.\n",
        "| steps | numbers in the state | while_loop | scan | ratio | target |", "|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for r in results["while"]:
        ratio = r["pullback"] / r["scan"]
        lines.append(
            f"| {r['length']:,} | {r['width']:,} | {_time(r['pullback'])} | {_time(r['scan'])} | {ratio:.2f} | {_verdict(ratio, 3.5)} |"
        )
    return "\n".join([*lines, "", END])


def plot(rows: list[dict[str, Any]]) -> str:
    """Memory against time, both logarithmic, as SVG."""
    width, height, left, bottom = 640, 400, 80, 60
    xs = [np.log10(r["temporary"] / 1e6) for r in rows]
    ys = [np.log10(r["seconds"]) for r in rows]
    x0, x1, y0, y1 = min(xs) - 0.2, max(xs) + 0.2, min(ys) - 0.05, max(ys) + 0.05
    place = lambda x, y: (
        left + (x - x0) / (x1 - x0) * (width - left - 20),
        height - bottom - (y - y0) / (y1 - y0) * (height - bottom - 20),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<path d="M{left} 20V{height - bottom}H{width - 20}" fill="none" stroke="black"/>',
        f'<text x="{(left + width) / 2}" y="{height - 15}" text-anchor="middle">temporary memory, MB (logarithmic)</text>',
        f'<text x="20" y="{height / 2}" text-anchor="middle" transform="rotate(-90 20 {height / 2})">time, s (logarithmic)</text>',
    ]
    for decade in range(int(np.ceil(x0)), int(np.floor(x1)) + 1):
        x, _ = place(decade, y0)
        parts.append(f'<text x="{x:.0f}" y="{height - bottom + 18}" text-anchor="middle">{10.0**decade:g}</text>')
    for tick in (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5):
        if y0 <= np.log10(tick) <= y1:
            _, y = place(x0, np.log10(tick))
            parts.append(f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{tick:g}</text>')
    points = [place(x, y) for x, y in zip(xs, ys)]
    parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="#999"/>')
    for (x, y), r in zip(points, rows):
        label = "all states kept" if r["slots"] is None else f"{r['slots']} checkpoints"
        end = x > width - 150
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#06c"/>')
        parts.append(
            f'<text x="{x + (-8 if end else 8):.1f}" y="{y - 8:.1f}" text-anchor="{"end" if end else "start"}">{label}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once, briefly, and write nothing")
    parser.add_argument("--rounds", type=float, default=3, help="seconds for each comparison")
    options = parser.parse_args()
    seconds = 0.01 if options.smoke else options.rounds
    both = systems()
    length = 1_000 if options.smoke else 100_000
    lengths = [10, 100] if options.smoke else [10, 100, 1_000, 10_000, 100_000]
    results = {
        "compiled": {name: compare(make, args, both, seconds) for name, (make, args, _) in COMPILED.items()},
        "eager": {name: compare(make, args, both, seconds / 3) for name, (make, args) in EAGER.items()},
        "checkpoints": checkpoint_table(length, 1_000, [10, 30, 100, 300, None], 4 * seconds),
        "while": [row for width in (10, 1_000) for row in while_table(lengths, width, seconds)],
    }
    section = report(results)
    print(section)
    if not options.smoke:
        (HERE / "loops.json").write_text(json.dumps(results, indent=1) + "\n")
        insert(section, HERE / "RESULTS.md", BEGIN, END)
        (Path(HERE).parent / "docs" / "checkpoints.svg").write_text(plot(results["checkpoints"]))


if __name__ == "__main__":
    main()
