"""What of JAX's public names Pullback has: `python tools/api_coverage.py` prints a table, and fails if one is lost.

    python tools/api_coverage.py            how much of each module there is, and what is missing
    python tools/api_coverage.py --used     what is missing of what libraries use, the most used first
    python tools/api_coverage.py --write    writes the list of what is missing anew, when it has become shorter

`api/surface.txt` has the names, with the parameters of what can be called; `api/usage.txt` how many of 37 repositories
use a name. A name is *present* if the package has it and, where it can be called, it takes every call that is written
for JAX's parameters: the same positional parameters in the same order, the same keywords, none more that must be
given. `api/missing.txt` has what is not, so that what is lost is noticed, and what is gained. What is left out on
purpose is in the section "Names that are left out" of docs/differences.md, with its reason, and counts as no name.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).parent
SURFACE, USAGE, MISSING = (_HERE / "api" / name for name in ("surface.txt", "usage.txt", "missing.txt"))
DIFFERENCES = _HERE.parent / "docs" / "differences.md"


class Name(NamedTuple):
    """A public name: `Name("pullback.lax", "add", ("x", "y"))`; `parameters` is None if it cannot be called."""

    module: str
    name: str
    parameters: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def surface() -> list[Name]:
    """The names of `api/surface.txt`."""
    names, module = [], ""
    for line in SURFACE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            module = line[1:-1]
        elif line and not line.startswith("#"):
            name, parenthesis, rest = line.partition("(")
            parameters = tuple(p for p in rest[:-1].split(", ") if p) if parenthesis else None
            names.append(Name(module, name, parameters))
    return names


def usage() -> dict[str, int]:
    """How many repositories use a name, under Pullback's names."""
    lines = (line for line in USAGE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    pairs = (line.rsplit(" ", 1) for line in lines)
    return {re.sub(r"^jax\b", "pullback", name): int(count) for name, count in pairs}


def left_out() -> list[str]:
    """The patterns of names, such as `pullback.profiler.*`, that docs/differences.md says are left out."""
    section = DIFFERENCES.read_text(encoding="utf-8").partition("Names that are left out\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [found for row in rows for found in re.findall(r"`([\w.*]+)`", row.split("|")[1])]


def matches(name: str, patterns: list[str]) -> bool:
    """Whether a name is one of the patterns, or below one that ends in `.*`."""
    return any(name == p or (p.endswith(".*") and (name + ".").startswith(p[:-1])) for p in patterns)


def found(path: str) -> Any:
    """The object of a dotted name. Raises AttributeError or ImportError if there is none."""
    own = re.sub(r"^pullback\.core\b", "pullback.extend.public_core", path)  # see `as_jax.ELSEWHERE`
    parts = own.split(".")
    value: Any = importlib.import_module(parts[0])
    if path.startswith("pullback.Array.") and not hasattr(value.Array, parts[2]):
        return getattr(value.numpy.zeros(()), parts[2])  # an attribute of arrays that their class does not have
    for i, part in enumerate(parts[1:], 2):
        if inspect.ismodule(value) and not hasattr(value, part):
            value = importlib.import_module(".".join(parts[:i]))
        else:
            value = getattr(value, part)
    return value


def fault(name: Name) -> str | None:
    """What a call that is written for JAX would stumble over: "missing", or a parameter; None if nothing."""
    try:
        value = found(str(name))
    except (AttributeError, ImportError):
        return "missing"
    if name.parameters is None or not callable(value):
        return None if name.parameters is None else "cannot be called"
    try:
        ours = list(inspect.signature(value).parameters.values())
    except ValueError:  # a function of C without a text of its signature
        return None
    return fault_of_parameters(name.parameters, ours)


def fault_of_parameters(wanted: tuple[str, ...], ours: list[inspect.Parameter]) -> str | None:
    """The first parameter in which a signature refuses calls that are written for another: `wanted` are texts such as
    `x`, `axis=`, `/`, `*`, `*xs`, `**named`."""
    takes_any, takes_named = (
        any(p.kind is kind for p in ours)
        for kind in (inspect._ParameterKind.VAR_POSITIONAL, inspect._ParameterKind.VAR_KEYWORD)
    )
    positional = [p for p in ours if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = {p.name for p in ours if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    only_positional = set(wanted[: wanted.index("/")]) if "/" in wanted else set()
    if wanted[:1] == ("*args",):  # says nothing of what is to be given
        return None
    place, given = 0, set()
    for text in wanted:
        name = text.rstrip("=")
        if text == "/":
            continue
        if text.startswith("**"):
            if not takes_named:
                return text
        elif text.startswith("*"):
            place = -1
            if text != "*" and not takes_any:
                return text
        elif place >= 0:
            if place < len(positional):
                p = positional[place]
                given.add(p.name)
                if text not in only_positional and not (p.name == name and name in named) and not takes_named:
                    return name
                if text.endswith("=") and p.default is p.empty:
                    return f"{name} must be given"
            elif not takes_any:
                return name
            place += 1
        else:
            given.add(name)
            if name not in named and not takes_named:
                return name
    required = [p for p in ours if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return next((f"{p.name} must be given" for p in required if p.name not in given), None)


def faults() -> Iterator[tuple[Name, str]]:
    """The names that are not present, and why; but for those that are left out on purpose."""
    without = left_out()
    for name in surface():
        if not matches(str(name), without) and (why := fault(name)) is not None:
            yield name, why


def known() -> dict[str, str]:
    """What `api/missing.txt` says is missing, and why."""
    lines = MISSING.read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def unused() -> list[tuple[str, int]]:
    """The names that libraries use and Pullback has not, the most used first; but for those that are left out."""
    without, missing = left_out(), []
    for name, count in usage().items():
        try:
            found(name)
        except (AttributeError, ImportError):
            if not matches(name, without):
                missing.append((name, count))
    return missing


def main(arguments: list[str]) -> int:
    """The program; 1 if a name is lost, or the list of what is missing is longer than what is."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--used", action="store_true", help="what is missing of what libraries use")
    options.add_argument("--write", action="store_true", help="write the list of what is missing anew")
    chosen = options.parse_args(arguments)
    if chosen.used:
        print("\n".join(f"{count:3d}  {name}" for name, count in unused()))
        return 0
    now = {str(name): why for name, why in faults()}
    _print_table(now)
    if chosen.write:
        head = "# The names of surface.txt that Pullback has not yet, or whose parameters differ, and how.\n"
        MISSING.write_text(head + "".join(f"{n}: {why}\n" for n, why in now.items()), encoding="utf-8")
        return 0
    before = known()
    lost = {n: why for n, why in now.items() if n not in before}
    gained = before.keys() - now.keys()
    for name, why in lost.items():
        print(f"lost: {name}: {why}")
    for name in sorted(gained):
        print(f"no longer missing: {name}; write the list anew with --write")
    return 1 if lost or gained else 0


def _print_table(faults: dict[str, str]) -> None:
    without = left_out()
    names = [n for n in surface() if not matches(str(n), without)]
    modules = dict.fromkeys(n.module for n in names)
    for module in modules:
        of_module = [n for n in names if n.module == module]
        missing = [
            f"{n.name} ({why})" if (why := faults[str(n)]) != "missing" else n.name
            for n in of_module
            if str(n) in faults
        ]
        present = len(of_module) - len(missing)
        print(f"{module:42s} {present:4d} of {len(of_module):4d}  {', '.join(missing)}")
    print(f"{'all':42s} {len(names) - len(faults):4d} of {len(names):4d}: {1 - len(faults) / len(names):.1%}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
