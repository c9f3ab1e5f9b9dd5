"""What the programs of the gallery share: how one says what it found, shows how far it is, and is drawn.

A program is a module of this package. Its docstring's first line is its title, the rest says what the
problem is, how it is solved, and where that comes from. Its `main(small)` solves the problem, in a size
for a test if `small`, and returns an `Outcome`. `python -m examples` finds, runs and checks them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

#: Colours that people with any colour vision tell apart (Okabe and Ito, 2008), dark ones first.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
    "#7F7F7F",
)
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)

STYLE = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "figure.figsize": (8.0, 4.0),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "font.size": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",
    # The same figure is the same file.
    "svg.hashsalt": "pullback",
}


class Check(NamedTuple):
    """A number that a program found beside what it should be: `|value - expected| <= tolerance`.

    `source` says where the expected value comes from, `unit` what both are in ("" for pure numbers).
    """

    what: str
    value: float
    expected: float
    tolerance: float
    source: str
    unit: str = ""

    @property
    def holds(self) -> bool:
        # Not `>`: NaN holds nothing.
        return abs(self.value - self.expected) <= self.tolerance

    def __str__(self) -> str:
        sign = "✓" if self.holds else "✗"
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{sign} {self.what}: {self.value:.6g}{unit} "
            f"(expected {self.expected:.6g} ± {self.tolerance:.2g}: {self.source})"
        )


@dataclass(frozen=True)
class Outcome:
    """What a program found: `checks` that it is right, `draw`, which draws it in a figure, and `facts`
    that a reader wants to see (by name, as text)."""

    checks: list[Check]
    draw: Callable[[Figure], None]
    facts: dict[str, str] = field(default_factory=dict)


class Example(NamedTuple):
    """A program of the gallery."""

    name: str
    title: str
    text: str
    path: Path

    def run(self, small: bool = False) -> Outcome:
        outcome = import_module(f"examples.{self.name}").main(small)
        assert isinstance(outcome, Outcome), self.name
        return outcome


def examples() -> list[Example]:
    """All programs, by name. None is imported for it."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        if path.stem != Path(__file__).stem:
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            title, _, text = doc.partition("\n")
            found.append(Example(path.stem, title.rstrip("."), text.strip(), path))
    return found


def progress(things: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """`things`, with a bar in the terminal that says how far `what` is."""
    from rich.progress import track

    yield from track(things, description=what, total=total, transient=True)


def save(outcome: Outcome, path: Path) -> None:
    """Draws the outcome to a file, whose ending says in which format."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure()
        outcome.draw(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def bare(axes: Axes, image: Any, title: str = "", **settings: Any) -> None:
    """An image without ticks and frame."""
    axes.imshow(image, **{"cmap": "gray_r", **settings})
    axes.set_title(title)
    axes.set_axis_off()
