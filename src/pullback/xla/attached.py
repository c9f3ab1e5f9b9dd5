"""What is attached to the operations of a module: the place in the user's code, the scopes around,
and names and texts for compilers and tools (`frontend_attributes`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pullback.core.errors import Location
from pullback.core.staging import Attributes, Origin
from pullback.xla.kernels import Loop
from pullback.xla.text import location_text, quoted

#: The names and texts of an operation, as they are written; texts have no quotes within (`quoted`).
_PAIR = r'([\w.]+|"[^"]*") = ("[^"]*")'
_WRITTEN = re.compile(rf" \{{mhlo\.frontend_attributes = \{{({_PAIR}(?:, {_PAIR})*)\}}\}}")


def said(location: Location | None, name: str, scopes: Sequence[Any]) -> tuple[str, str]:
    """What the operations of the equation of a primitive, from a place in the user's code and with a
    name stack, end with, and what is attached to them, as texts."""
    names, attached = [], {}
    for entry in scopes:
        if isinstance(entry, Attributes):
            attached |= dict(entry)
        elif isinstance(entry, Origin):
            location = tuple(entry)
        else:
            names.append(entry)
    return location_text(location, "/".join([*names, name])), _written(_texts(attached)) if attached else ""


def _texts(attached: Mapping[str, str]) -> dict[str, str]:
    return {k if k.isidentifier() and k.isascii() else quoted(k): quoted(v) for k, v in attached.items()}


def _written(texts: Mapping[str, str]) -> str:
    return f" {{mhlo.frontend_attributes = {{{', '.join([f'{k} = {v}' for k, v in texts.items()])}}}}}"


def attach(lines: list[str], name: str, attached: Mapping[str, str]) -> None:
    """Attach names and texts to the operation, among these lines, that gives the value called `name`;
    nothing, where an argument or a constant gives it.

    >>> lines = ['%1 = "stablehlo.sine"(%arg0) : (tensor<f32>) -> tensor<f32>']
    >>> attach(lines, "%1", {"breakpoint": "true"})
    >>> lines[0].partition(" : ")[0]
    '%1 = "stablehlo.sine"(%arg0) {mhlo.frontend_attributes = {breakpoint = "true"}}'
    """
    name, _, _ = name.partition("#")
    starts = (f"{name} = ", f"{name}:")
    first = next((i for i in reversed(range(len(lines))) if lines[i].startswith(starts)), None)
    if first is None or lines[first].startswith(f"{name} = stablehlo.constant"):
        return
    line = lines[first]
    if isinstance(line, Loop):  # of several lines itself
        loop = Loop(_within(line, name, attached))
        loop.call, loop.function = line.call, _within(line.function, name, attached)
        lines[first] = loop
        return
    depth = 0
    for i in range(first, len(lines)):  # an operation with regions ends where its last one does
        line = lines[i]
        depth += line.endswith("({") - line.startswith("})")
        if not depth:
            head, _, types = line.rpartition(" : (")
            before = _WRITTEN.search(head)
            texts = {}
            if before is not None:
                texts = dict(re.findall(_PAIR, before[1]))
                head = head[: before.start()] + head[before.end() :]
            lines[i] = f"{head}{_written(texts | _texts(attached))} : ({types}"
            return


def _within(text: str, name: str, attached: Mapping[str, str]) -> str:
    lines = text.split("\n")
    attach(lines, name, attached)
    return "\n".join(lines)


__all__ = ["attach", "said"]
