"""What `explain_gradient` reports: small records for programs to read, and their text and tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

#: Rows of a table that are shown.
_MOST_ROWS = 30


@dataclass(frozen=True)
class Reason:
    """Why no derivative comes through: the `operation` and its `line`, if there is one, and a `text`. `kind` is one of

    - "unused": nothing that reaches a result uses it; "branch": only a branch that is not taken does; "read": its
      value left the program, as a number of Python's or an array of NumPy's;
    - "integer" (the argument is none of real or complex numbers), "stop_gradient", "conversion" (to integers),
      "discrete" (a comparison, an index, random bits), "flat" (`round`, `sign`), "rule" (a custom rule),
      "control" (how often a loop runs): it has no derivative;
    - "zero" (the coefficient is exactly zero: saturated, masked, not chosen), "underflow", "cancel" (contributions
      add to zero): it has one, which is zero;
    - "cotangent": the result's cotangent is zero.

    >>> str(Reason("flat", "round", "/home/me/model.py:3 (loss)", "its derivative is zero wherever it has one"))
    'round at model.py:3 (loss): its derivative is zero wherever it has one'
    """

    kind: str
    operation: str
    line: str
    text: str

    def __str__(self) -> str:
        return f"{self.operation} at {short(self.line)}: {self.text}" if self.line else self.text


@dataclass(frozen=True)
class Dead:
    """An argument (or a leaf of one) whose gradient is zero as a whole, with the reasons.

    >>> str(Dead("params['b']", (Reason("unused", "", "", "no operation uses it"),)))
    "the gradient of params['b'] is zero: no operation uses it"
    """

    input: str
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return (
            f"the gradient of {self.input} is zero" + (": " if self.reasons else "") + "; ".join(map(str, self.reasons))
        )


@dataclass(frozen=True)
class Dependency:
    """How a result depends on an argument, leaf by leaf: on its `value` at all, with a `derivative`, and whether that
    is exactly zero at these arguments (`zero`; None where it has none, or is not known).

    >>> Dependency("result", "x", value=True, derivative=False, zero=None).text
    'by value only'
    """

    output: str
    input: str
    value: bool
    derivative: bool
    zero: bool | None

    @property
    def text(self) -> str:
        """In words.

        >>> Dependency("result", "x", value=True, derivative=True, zero=True).text
        'derivative is zero here'
        """
        if not self.value:
            return "does not depend"
        if not self.derivative:
            return "by value only"
        return "derivative is zero here" if self.zero else "derivative"


@dataclass(frozen=True)
class InputGradient:
    """The gradient in an argument (or a leaf of one): its `size`, how many elements are `zeros` and how many are
    not finite (`nonfinite`), and the `largest` absolute value of the others. Where some elements are zero, `reasons`
    are the operations that let nothing through for some elements. `gradient` is the gradient itself, for the cotangent
    of the report; None if nothing has a derivative in it.

    >>> InputGradient("x", "f32[3]", 3, 1, 0, 2.5, ()).text
    'up to 2.5'
    """

    name: str
    type: str
    size: int
    zeros: int
    nonfinite: int
    largest: float
    reasons: tuple[Reason, ...]
    gradient: Any = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """In words.

        >>> InputGradient("x", "f32[3]", 3, 0, 3, 0.0, ()).text
        '3 of 3 not finite'
        """
        if self.nonfinite:
            return f"{self.nonfinite} of {self.size} not finite"
        return "zero" if self.zeros == self.size else f"up to {self.largest:.3g}"


@dataclass(frozen=True)
class NonFinite:
    """Where a NaN or an infinity (`value`: "nan" or "inf") first appears, in the `phase` "forward" or "backward": at
    an `operation` (or the argument that has it), with the user's `line`; `where` are the steps of loops and the
    rules around, outermost first.

    Forwards it is in the operation's result, backwards in the cotangent of an operand, in `count` of `size`
    elements. `index` is the first of these; `operands` are the numbers there, as texts (of operands of other shapes
    their range), and `cotangent` that of the result. `because` is where in the forward pass an operand became NaN or
    infinite, if it did, even if no result is.

    >>> print(NonFinite("backward", "inf", "sqrt", "/home/me/model.py:3 (norm)", (), (), 1, 1, ("0.0",), "1.0"))
    an infinity first appears in the backward pass, at sqrt, model.py:3 (norm)
      for the operand 0.0 and the cotangent 1.0
    """

    phase: str
    value: str
    operation: str
    line: str
    where: tuple[str, ...]
    index: tuple[int, ...]
    count: int
    size: int
    operands: tuple[str, ...]
    cotangent: str
    because: NonFinite | None = None

    @property
    def place(self) -> str:
        """What appears where, in one line.

        >>> NonFinite("forward", "inf", "exp", "/home/me/model.py:3 (f)", (), (), 1, 1, ("100.0",), "").place
        'an infinity first appears in the forward pass, at exp, model.py:3 (f)'
        """
        what = "a NaN" if self.value == "nan" else "an infinity"
        at = f", {short(self.line)}" if self.line else ""
        return f"{what} first appears in the {self.phase} pass, at {self.operation}{at}"

    def __str__(self) -> str:
        lines = [self.place]
        lines += [f"in {short(w)}" if w.startswith("step") else w for w in self.where]
        numbers = []
        if self.operands:
            numbers.append(f"the operand{'s' * (len(self.operands) > 1)} {', '.join(self.operands)}")
        if self.cotangent:
            numbers.append(f"the cotangent{'s' * (' + ' in self.cotangent)} {self.cotangent}")
        if self.index:
            place = f"element {list(self.index)} is the first of {self.count}, of {self.size}"
            lines.append(f"{place}: for {' and '.join(numbers)}" if numbers else place)
        elif numbers:
            lines.append(f"for {' and '.join(numbers)}")
        if self.because is not None:
            lines.append(f"an operand is not finite already: {self.because.place}")
        if self.value == "nan" and self.cotangent in ("0.0", "-0.0"):
            lines.append(
                "nothing depends on this element, but zero times an infinite or undefined derivative is NaN: give the operation a harmless "
                "operand there (derivatives.nan_safe_where)"
            )
        return "\n  ".join(lines)


@dataclass(frozen=True)
class LoopGradient:
    """How large the cotangent of a loop's state is (absolute values) after the `first` of its `steps` and after the
    `last`; the backward pass goes from the last to the first. Steps at the ends at which it is zero do not count.

    >>> LoopGradient("scan at model.py:12 (forward)", 100, 1e9, 1.0).growth
    1000000000.0
    """

    loop: str
    steps: int
    first: float
    last: float

    @property
    def growth(self) -> float:
        """How many times larger the cotangent is at the first step than at the last one: exploding if it is large,
        vanishing if it is small.

        >>> LoopGradient("while at model.py:12 (solve)", 10, 1e-6, 1.0).growth
        1e-06
        """
        return self.first / self.last


@dataclass(frozen=True)
class GradientReport:
    """What `explain_gradient` found about the function `name`; printing shows it.

    `inputs` has the gradient in each leaf of the arguments, `dependencies` each result's dependence on each of them,
    `dead` the gradients that are zero as a whole, `first_nonfinite_forward` and `first_nonfinite_backward` where a
    NaN or infinity that reaches a result, or a gradient, comes from. `loops` says how cotangents grow along loops,
    `largest` and `smallest` are the extreme cotangents that are not zero: (absolute value, operation, line).

    >>> from pullback.derivatives.diagnosis import explain_gradient
    >>> print(explain_gradient(lambda x, y: x * y, 2.0, 3.0, argnums=(0, 1)))
    gradient of <lambda>: nothing is wrong
    <BLANKLINE>
    argument  type  gradient  zeros   result
    x         f32[]  up to 3   0 of 1  derivative
    y         f32[]  up to 2   0 of 1  derivative
    """

    name: str
    inputs: tuple[InputGradient, ...]
    dependencies: tuple[Dependency, ...]
    dead: tuple[Dead, ...]
    first_nonfinite_forward: NonFinite | None
    first_nonfinite_backward: NonFinite | None
    loops: tuple[LoopGradient, ...]
    largest: tuple[float, str, str] | None
    smallest: tuple[float, str, str] | None

    @property
    def problems(self) -> list[str]:
        """What is wrong, in sentences: NaNs, infinities, dead gradients.

        >>> from pullback.derivatives.diagnosis import explain_gradient
        >>> explain_gradient(lambda x: 2.0, 1.0).problems
        ['the gradient of x is zero: no operation uses it']
        """
        found = [self.first_nonfinite_forward, self.first_nonfinite_backward, *self.dead]
        return [str(x) for x in found if x is not None]

    @property
    def ok(self) -> bool:
        """Whether there is no problem.

        >>> from pullback.derivatives.diagnosis import explain_gradient
        >>> explain_gradient(lambda x: x * x, 1.0).ok
        True
        """
        return not self.problems

    def _headline(self) -> str:
        n = len(self.problems)
        return f"gradient of {self.name}: " + ("nothing is wrong" if not n else f"{n} problem{'s' * (n > 1)}")

    def _table(self) -> list[list[str]]:
        """Headings and rows: of each argument the gradient, and how each result depends on it."""
        outputs = list(dict.fromkeys(d.output for d in self.dependencies))
        by_pair = {(d.output, d.input): d.text for d in self.dependencies}
        shown = outputs[:3]
        more = [f"{len(outputs) - 3} more results"] if len(outputs) > 3 else []
        rows = [["argument", "type", "gradient", "zeros", *shown, *more]]
        for x in self.inputs[:_MOST_ROWS]:
            texts = [by_pair[o, x.name] for o in shown]
            rows.append([x.name, x.type, x.text, f"{x.zeros} of {x.size}", *texts, *([""] if more else [])])
        return rows

    def _notes(self) -> list[str]:
        notes = [f"... and {len(self.inputs) - _MOST_ROWS} more arguments"] if len(self.inputs) > _MOST_ROWS else []
        for x in self.inputs:
            notes += [f"{x.name}, where it is zero: {reason}" for reason in x.reasons]
        for loop in self.loops:
            if loop.steps > 1 and not 1e-3 <= loop.growth <= 1e3:
                over = f"over {loop.steps} steps of the {short(loop.loop)}"
                notes.append(f"{over} the cotangent of the state goes from {loop.last:.3g} to {loop.first:.3g}")
        for word, extreme in (("largest", self.largest), ("smallest", self.smallest)):
            if extreme is not None and (extreme[0] > 1e6 if word == "largest" else extreme[0] < 1e-6):
                size, operation, line = extreme
                notes.append(f"the {word} cotangent is {size:.3g}, at {operation}, {short(line)}")
        return notes

    def __str__(self) -> str:
        lines = [self._headline()]
        for problem in self.problems:
            lines += ["", *problem.split("\n")]
        rows = self._table()
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines += ["", *("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows)]
        notes = self._notes()
        return "\n".join([*lines, *([""] if notes else []), *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        problems = "".join(f"<li>{escape(p).replace(chr(10), '<br>')}</li>" for p in self.problems)
        parts = [f"<p><b>{escape(self._headline())}</b></p>", f"<ul>{problems}</ul>" if problems else ""]
        parts.append("<table>" + _row(head, "th") + "".join(_row(r, "td") for r in rows) + "</table>")
        parts += [f"<p>{escape(note)}</p>" for note in self._notes()]
        return "".join(parts)


def _row(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"


def short(line: str) -> str:
    """A place without the folders of its file.

    >>> short("scan at /home/me/model.py:12 (forward)")
    'scan at model.py:12 (forward)'
    """
    before, _, file = line.rpartition("/")
    if not before:
        return line
    start = before.rfind(" ") + 1 if " /" in before else 0
    return before[:start] + file


__all__ = ["Dead", "Dependency", "GradientReport", "InputGradient", "LoopGradient", "NonFinite", "Reason", "short"]
