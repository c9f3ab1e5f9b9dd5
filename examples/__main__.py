"""Lists the programs of the gallery, runs them, checks what they found, and draws it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from examples.gallery import examples, save


def main() -> int:
    there = {example.name: example for example in examples()}
    parser = argparse.ArgumentParser(prog="python -m examples", description="Programs that solve something real.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs to run; without one, all are listed")
    parser.add_argument("--all", action="store_true", help="run all")
    parser.add_argument("--small", action="store_true", help="in sizes for a test")
    parser.add_argument("--figures", type=Path, default=Path("build/examples"), help="folder of the figures")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in there]
    if unknown:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(there)}")
    chosen = list(there) if options.all else options.names
    if not chosen:
        for example in there.values():
            print(f"{example.name:24}{example.title}")
        return 0
    wrong = []
    for name in chosen:
        print(f"{name}: {there[name].title}", flush=True)
        start = time.perf_counter()
        outcome = there[name].run(options.small)
        seconds = time.perf_counter() - start
        for what, text in outcome.facts.items():
            print(f"  {what}: {text}")
        for check in outcome.checks:
            print(f"  {check}")
        if not options.no_figures:
            path = options.figures / f"{name}.svg"
            save(outcome, path)
            print(f"  {path}")
        print(f"  {seconds:.1f} s", flush=True)
        if not outcome.checks or not all(check.holds for check in outcome.checks):
            wrong.append(name)
    print(f"{len(chosen) - len(wrong)} passed, {len(wrong)} failed" + "".join(f"\n  {name}" for name in wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
