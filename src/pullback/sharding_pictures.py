"""Pictures of which part of an array is on which device, for `debug.visualize_sharding`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.types import integers
from pullback.xla.meshes import Sharding

#: How much higher than wide a character is, and how many lines a picture has.
_CHARACTER, _LINES = 2.5, 10
_COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")


def show(
    shape: Sequence[int], sharding: Any, use_color: bool, scale: float, min_width: int, max_width: int, color_map: Any
) -> None:
    """`debug.visualize_sharding`."""
    from rich.console import Console
    from rich.text import Text

    sizes = integers(shape, "visualize_sharding: shape")
    if len(sizes) not in (1, 2) or 0 in sizes:
        raise ValueError(
            f"visualize_sharding shows arrays of one or two axes that have elements, got the shape {sizes}"
        )
    if not isinstance(sharding, Sharding):
        raise TypeError(
            f"visualize_sharding shows a sharding, got {sharding!r:.100} of type {type(sharding).__name__!r}"
        )
    labels = _labels(sizes, sharding)
    rows, columns = len(labels), len(labels[0])
    lines = _LINES * scale if len(sizes) == 2 else 1.0
    wide = lines * sizes[-1] / sizes[0] * _CHARACTER if len(sizes) == 2 else 0.0
    height = max(1, int(lines / rows) - 1)
    longest = max([len(label) for row in labels for label in row])
    width = max(longest, min(max(int(wide / columns), min_width), max_width) - 2)
    console = Console()
    room = min(max_width, console.width)
    if columns * (width + 1) + 1 > room:
        width = max(1, (room - 1) // columns - 1)
    rule = lambda left, middle, right: Text(left + middle.join(["─" * width] * columns) + right)
    pictures = [rule("┌", "┬", "┐")]
    colored = _colored(color_map, rows * columns) if use_color else None
    for i, row in enumerate(labels):
        if i:
            pictures.append(rule("├", "┼", "┤"))
        for line in range(height):
            text = Text("│")
            for j, label in enumerate(row):
                style = colored(i * columns + j) if colored is not None else ""
                text.append((label if line == (height - 1) // 2 else "")[:width].center(width), style=style).append("│")
            pictures.append(text)
    pictures.append(rule("└", "┴", "┘"))
    for text in pictures:
        console.print(text, overflow="crop", no_wrap=True)


def _labels(shape: Sequence[int], sharding: Any) -> list[list[str]]:
    """The devices of each part, by row and column of parts."""
    parts: dict[tuple[int, int], list[Any]] = {}
    for device, where in sharding.devices_indices_map(tuple(shape)).items():
        starts = [s.indices(n)[0] for s, n in zip(where, shape)]
        parts.setdefault((starts[0] if len(starts) == 2 else 0, starts[-1]), []).append(device)
    rows, columns = (sorted({key[axis] for key in parts}) for axis in (0, 1))
    return [[_label(parts[r, c]) for c in columns] for r in rows]


def _label(devices: list[Any]) -> str:
    return f"{devices[0].platform.upper()} {','.join(map(str, sorted(d.id for d in devices)))}"


def _colored(color_map: Callable[[float], Any] | None, n: int) -> Callable[[int], Any]:
    """The style of part number i of n."""
    from rich.style import Style

    def style(i: int) -> Any:
        color = _COLORS[i % len(_COLORS)] if color_map is None else color_map(i / max(1, n - 1))
        if not isinstance(color, str) and isinstance(color, Sequence | tuple):
            color = "#" + "".join([f"{round(255 * float(c)):02x}" for c in color[:3]])
        return Style(bgcolor=color, color="white")

    return style
