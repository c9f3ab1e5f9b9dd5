"""Shows the tour: with `rich` on a terminal, as plain aligned text otherwise."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

from pullback.tour.documents import EXACT, RELATIVE_TOLERANCE, Cell, Document, Section, number_spans
from pullback.tour.notebook import Measurement, Result

#: Longer values are shown by their first numbers.
VALUE_WIDTH = 44


class Display(Protocol):
    """What the tour tells whoever watches."""

    def introduction(self, text: str) -> None: ...

    def document(self, document: Document) -> None: ...

    def section(
        self,
        number: int,
        section: Section,
        results: Sequence[Result],
        measurements: Sequence[Measurement],
        code: Sequence[Cell],
    ) -> None: ...

    def conclusion(self, text: str, success: bool) -> None: ...


# ---- what both displays say ----------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Seconds with a unit that leaves one to three digits before the point.

    >>> duration(0.0000412), duration(0.00123), duration(2.5)
    ('41 µs', '1.2 ms', '2.5 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    raise AssertionError


def one_line(text: str, width: int) -> str:
    """A printed value without types, on one line of at most `width` characters: cut after as many
    numbers as fit."""
    text = re.sub(r"(?:Device)?Array\((.*?)(?:, (?:dtype|weak_type)=\w+)+\)", r"\1", " ".join(text.split()))
    if "[" in text:
        text = re.sub(r"\s*,\s*", " ", text)
    if len(text) <= width:
        return text
    spans, tail = number_spans(text), f" … {len(number_spans(text))} numbers"
    fitting = [end for end in spans[:-1] if end + len(tail) <= width]
    return text[: fitting[-1]] + tail if fitting else textwrap.shorten(text, width, placeholder=" …")


def value_lines(result: Result) -> tuple[str, str | None]:
    """Our value, and the documented one if its digits are others."""
    value, ours = result.value, one_line(result.text, VALUE_WIDTH)
    if result.agrees and result.difference == 0:
        return ("no error" if value.documented == "None" else ours), None
    return ours, one_line(value.documented, VALUE_WIDTH) + ("  (exact)" if value.origin == EXACT else "")


def apart(result: Result) -> str:
    """How far the values are apart."""
    if not result.agrees:
        return "differs"
    return "equal" if result.difference == 0 else f"{result.difference:.0e}" + ("*" if _needs_note(result) else "")


def _needs_note(result: Result) -> bool:
    """Whether the values agree only because of the tolerance of their own."""
    return result.agrees and result.difference > RELATIVE_TOLERANCE


def time_of(result: Result) -> str:
    return "" if result.seconds is None else duration(result.seconds)


def notes(results: Sequence[Result]) -> list[str]:
    """Explanations of the values marked *."""
    return [f"* {note}" for note in dict.fromkeys(r.value.note for r in results if _needs_note(r))]


def spread(measurement: Measurement) -> str:
    """Mean ± standard deviation, as IPython prints them."""
    if measurement.mean is None or measurement.deviation is None:
        return measurement.error
    return f"{duration(measurement.mean)} ± {duration(measurement.deviation)}"


# ---- plain text ----------------------------------------------------------------------------------


class PlainDisplay:
    """Aligned text without colours, 112 columns wide."""

    WIDTH, COMPUTED = 112, 44

    def introduction(self, text: str) -> None:
        self._write("Pullback: a tour of automatic differentiation", "")
        self._paragraph(text, "")

    def document(self, document: Document) -> None:
        self._write("=" * self.WIDTH, document.title, document.source, "=" * self.WIDTH, "")

    def section(
        self,
        number: int,
        section: Section,
        results: Sequence[Result],
        measurements: Sequence[Measurement],
        code: Sequence[Cell],
    ) -> None:
        self._write(f"{number}. {section.title}")
        self._paragraph(section.summary, "   ")
        for cell in code:
            self._write(textwrap.indent(cell.published, "   | "), "")
        if results:
            self._row("computed", "value", "apart", "time")
        for result in results:
            ours, documented = value_lines(result)
            lines = textwrap.wrap(result.value.expression, self.COMPUTED - 2, subsequent_indent="  ")
            self._row(lines[0], ours, apart(result), time_of(result))
            values = [] if documented is None else [documented]
            for i in range(max(len(lines) - 1, len(values))):
                self._row(lines[i + 1] if i + 1 < len(lines) else "", values[i] if i < len(values) else "", "", "")
        if measurements:
            self._row("measured", "Pullback, here", "", "the document, on its machine")
        for m in measurements:
            self._row(
                m.timing.statement, textwrap.shorten(spread(m), VALUE_WIDTH, placeholder=" …"), "", m.timing.documented
            )
        self._write(*("   " + line for note in notes(results) for line in textwrap.wrap(note, self.WIDTH - 3)), "")

    def conclusion(self, text: str, success: bool) -> None:
        self._write(text)

    def _row(self, computed: str, value: str, apart: str, time: str) -> None:
        row = f"   {computed:<{self.COMPUTED}}{value:<{VALUE_WIDTH}} {apart:<8}{time:>8}"
        self._write(row.rstrip())

    def _paragraph(self, text: str, indent: str) -> None:
        self._write(*textwrap.wrap(text, self.WIDTH - 10, initial_indent=indent, subsequent_indent=indent), "")

    def _write(self, *lines: str) -> None:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


# ---- a terminal ----------------------------------------------------------------------------------


class RichDisplay:
    """Panels and tables in colour."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False, width=min(Console().width, 120))

    def introduction(self, text: str) -> None:
        from rich.panel import Panel
        from rich.text import Text

        title = "[bold]Pullback[/]: a tour of automatic differentiation"
        self.console.print(Panel(Text(text), title=title, title_align="left", border_style="blue", padding=(1, 2)))

    def document(self, document: Document) -> None:
        self.console.print()
        self.console.rule(f"[bold blue]{document.title}[/]  [dim]{document.source}[/]", style="blue")
        self.console.print()

    def section(
        self,
        number: int,
        section: Section,
        results: Sequence[Result],
        measurements: Sequence[Measurement],
        code: Sequence[Cell],
    ) -> None:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        parts: list[Any] = [Text(section.summary, style="italic")]
        parts += [part for cell in code for part in (Text(), self._python(cell.published, indent=2))]
        if results:
            parts.append(self._values(results))
        if measurements:
            parts.append(self._timings(measurements))
        parts += [Text(note, style="dim") for note in notes(results)]
        good = all(r.agrees for r in results) and all(m.mean is not None for m in measurements)
        self.console.print(
            Panel(
                Group(*parts),
                title=f"[bold]{number}  {section.title}[/]",
                title_align="left",
                border_style="green" if good else "red",
                padding=(0, 1),
            )
        )

    def conclusion(self, text: str, success: bool) -> None:
        self.console.print()
        self.console.print(
            ("✓ " if success else "✗ ") + text, style="bold green" if success else "bold red", markup=False
        )

    def _values(self, results: Sequence[Result]) -> Any:
        from rich.text import Text

        table = self._table()
        table.add_column("computed", ratio=1, overflow="fold")
        table.add_column("value", no_wrap=True, overflow="ellipsis")
        table.add_column("apart")
        table.add_column("time", justify="right", no_wrap=True)
        for result in results:
            ours, documented = value_lines(result)
            value = Text(ours, style="" if result.agrees else "red")
            if documented is not None:
                value.append(f"\n{documented}", style="dim")
            mark = Text("✓ " if result.agrees else "✗ ", style="green" if result.agrees else "bold red")
            mark.append(apart(result), style="dim" if result.agrees else "red")
            table.add_row(self._python(result.value.expression), value, mark, Text(time_of(result), style="cyan"))
        return table

    def _timings(self, measurements: Sequence[Measurement]) -> Any:
        from rich.text import Text

        table = self._table()
        table.add_column("measured", ratio=1, overflow="fold")
        table.add_column("Pullback, here", justify="right", no_wrap=True)
        table.add_column("the document, on its machine", justify="right")
        for m in measurements:
            here = Text(spread(m), style="red" if m.mean is None else "cyan")
            table.add_row(self._python(m.timing.statement), here, Text(m.timing.documented, style="dim"))
        return table

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table

        return Table(box=box.SIMPLE_HEAD, expand=True, header_style="dim", pad_edge=False, padding=(0, 1))

    def _python(self, code: str, indent: int = 0) -> Any:
        from rich.padding import Padding
        from rich.syntax import Syntax

        text = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(code)
        text.rstrip()
        text.no_wrap = False
        return Padding(text, (0, 0, 0, indent)) if indent else text
