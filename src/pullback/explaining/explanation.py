"""`explain`, `picture` and `memory_over_time`: what users ask for, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from pullback.core.config import enable_compilation_cache
from pullback.core.dtypes import is_inexact
from pullback.core.errors import user_api
from pullback.core.jaxpr import ClosedJaxpr
from pullback.explaining.drawing import human, memory_svg, program_svg
from pullback.explaining.kernels import Kernel, kernels
from pullback.explaining.memory import Step, steps
from pullback.explaining.operations import Account, account
from pullback.transforms.jit import jit
from pullback.transforms.residuals import Residual, saved_residuals
from pullback.transforms.tracing import make_jaxpr


@dataclass(frozen=True)
class Explanation:
    """What a function does with arguments of some types. `print` shows it; a notebook shows it as tables.

    `operations` counts operations, arithmetic and bytes; `kept` is what reverse mode would keep of the
    function for its backward pass; `kernels` is what XLA made of it, each with the operations fused in it;
    `temporary` is how many bytes XLA allocates beside arguments and results, and `program` the program.

    >>> import pullback.numpy as jnp
    >>> found = explain(lambda x: jnp.sum(x * x), jnp.ones(10))
    >>> found.operations.flops, [r.source for r in found.kept]
    (20, ['from the argument x'])
    """

    name: str
    program: ClosedJaxpr
    operations: Account
    kept: list[Residual]
    kernels: list[Kernel]
    temporary: int

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Titles, headings and rows."""
        ops, at_least = self.operations, " at least" if self.operations.open_loops else ""
        title = (
            f"{self.name}: {ops.count:,} operations, {ops.flops:,} flops{at_least}, {human(ops.bytes)} read and written"
        )
        rows = [[k.name, f"{k.count:,}", f"{k.flops:,}", human(k.bytes), _places(list(k.lines))] for k in ops.kinds]
        kept_title = (
            f"a backward pass through it keeps {human(sum(r.nbytes for r in self.kept))} in {len(self.kept)} arrays"
        )
        kept = [[r.aval.str_short(True), human(r.nbytes), _short(r.source)] for r in self.kept]
        kernels_title = (
            f"compiled it is {len(self.kernels)} kernels, with {human(self.temporary)} beside arguments and results"
        )
        made = [
            [
                k.kind,
                k.type,
                " ".join(dict.fromkeys(name for name, _ in k.operations)),
                _places([p for _, p in k.operations]),
            ]
            for k in self.kernels
        ]
        return [
            (title, ["operation", "count", "flops", "bytes", "lines"], rows),
            (kept_title, ["array", "bytes", "from"], kept),
            (kernels_title, ["kernel", "result", "operations fused", "lines"], made),
        ]

    def _lines(self) -> list[str]:
        out = []
        for title, headings, rows in self._tables():
            widths = [max(len(r[i]) for r in [headings, *rows]) for i in range(len(headings))]
            numeric = {i for i, h in enumerate(headings) if h in ("count", "flops", "bytes")}
            text = lambda row, widths=widths, numeric=numeric: "  ".join(
                cell.rjust(w) if i in numeric else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))
            )
            out += [title, *(["  " + text(r).rstrip() for r in [headings, *rows]] if rows else []), ""]
        return out[:-1]

    def _repr_html_(self) -> str:
        parts = []
        for title, headings, rows in self._tables():
            head = "".join(f"<th>{escape(h)}</th>" for h in headings)
            body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
            parts.append(f"<p><b>{escape(title)}</b></p>" + (f"<table><tr>{head}</tr>{body}</table>" if rows else ""))
        return "".join(parts)


@dataclass(frozen=True)
class Picture:
    """A drawing: a notebook shows it, `save(path)` writes it, `svg` is its text.

    >>> drawn = picture(lambda x: 2 * x + 1, 1.0)
    >>> drawn, drawn.svg[:4]
    (Picture of a program with 2 operations, '<svg')
    """

    svg: str
    text: str

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.text

    def save(self, path: Any) -> None:
        """Write the picture to a file, as SVG. Raises what `open` does.

        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     picture(lambda x: x + 1, 1.0).save(f"{folder}/program.svg")
        ...     os.listdir(folder)
        ['program.svg']
        """
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)


@user_api
def explain(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """What `f(*args, **kwargs)` does: its operations by kind with their arithmetic (flops), bytes and lines in
    the user's code; what reverse mode keeps of it for a backward pass; and what XLA makes of it, kernel by
    kernel, with the operations that each fuses.

    `f` is a function, or what transformations make of one: `explain(pb.grad(loss), w, x)` is about the
    gradient. Arguments may be `ShapeDtypeStruct`s; nothing is computed, but the function is compiled. A loop
    whose number of steps is only known when it has run counts once. Raises what tracing `f` raises.

    >>> import pullback.numpy as jnp
    >>> found = explain(lambda x, w: jnp.tanh(x @ w).sum(), jnp.ones((8, 3)), jnp.ones((3, 4)))
    >>> [(k.name, k.count, k.flops) for k in found.operations.kinds]
    [('dot_general', 1, 192), ('tanh', 1, 32), ('reduce_sum', 1, 32)]
    >>> sum(r.nbytes for r in found.kept)
    272
    """
    traced = jit(f).trace(*args, **kwargs)
    program = traced.jaxpr
    # What is kept on disk has the lines of the program that it was first compiled for.
    with enable_compilation_cache(False):
        compiled = traced.lower().compile()
    memory = compiled.memory_analysis()
    differentiable = any(is_inexact(t.dtype) for t in program.in_avals) and any(
        is_inexact(t.dtype) for t in program.out_avals
    )
    return Explanation(
        getattr(f, "__name__", type(f).__name__),
        program,
        account(program),
        saved_residuals(f, *args, **kwargs) if differentiable else [],
        kernels(compiled.as_text() or ""),
        getattr(memory, "temp_size_in_bytes", 0),
    )


@user_api
def picture(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Picture:
    """The program of `f(*args, **kwargs)` as a picture: arguments, operations with the types of their results,
    and what flows into what; the bodies of loops and branches below. `f` may be a program (`make_jaxpr`'s).

    A notebook shows it, `.save("program.svg")` writes it; the pointer on an operation shows the user's line.
    Of programs with more than 150 operations the first are drawn. Raises what tracing `f` raises.

    >>> import pullback.numpy as jnp
    >>> drawn = picture(lambda x: jnp.sin(x) * 2, 1.0)
    >>> drawn
    Picture of a program with 2 operations
    >>> drawn.svg.startswith("<svg")
    True
    """
    program = f if isinstance(f, ClosedJaxpr) else make_jaxpr(f)(*args, **kwargs)
    n = len(program.eqns)
    return Picture(program_svg(program), f"Picture of a program with {n} operation{'s' * (n != 1)}")


@dataclass(frozen=True)
class MemoryOverTime:
    """What is alive while a program runs, operation by operation. `steps` has them, `peak` the largest; a
    notebook shows the curve.

    >>> import pullback.numpy as jnp
    >>> found = memory_over_time(lambda x: jnp.sin(jnp.sin(x)), jnp.ones(1000))
    >>> [(step.operation, step.bytes) for step in found.steps]
    [('sin', 8000), ('sin', 12000)]
    """

    steps: list[Step]

    @property
    def peak(self) -> Step:
        """The step at which the most bytes are alive.

        >>> import pullback.numpy as jnp
        >>> memory_over_time(lambda x: jnp.sin(x @ x), jnp.ones((10, 10))).peak.bytes
        1200
        """
        return max(self.steps, key=lambda s: s.bytes)

    @property
    def svg(self) -> str:
        """The curve as the text of a picture.

        >>> memory_over_time(lambda x: x + 1, 1.0).svg[:4]
        '<svg'
        """
        return memory_svg(self.steps)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: Any) -> None:
        """Write the curve to a file, as SVG. Raises what `open` does.

        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     memory_over_time(lambda x: x + 1, 1.0).save(f"{folder}/memory.svg")
        ...     os.listdir(folder)
        ['memory.svg']
        """
        Picture(self.svg, "").save(path)

    def __repr__(self) -> str:
        bars, top = "▁▂▃▄▅▆▇█", max(self.peak.bytes, 1)
        thinned = self.steps[:: -(-len(self.steps) // 72)]
        curve = "".join(bars[min(7, 8 * s.bytes // top)] for s in thinned)
        return f"{curve}\nat most {human(self.peak.bytes)}, at {self.peak.operation} from {_short(self.peak.line)}"


@user_api
def memory_over_time(f: Callable[..., Any], *args: Any, **kwargs: Any) -> MemoryOverTime:
    """What is alive while `f(*args, **kwargs)` runs as eager code, operation by operation: of
    `pb.grad(loss)` one sees the residuals grow through the forward pass and go in the backward pass, and
    what a `checkpoint` does to that.

    Arguments may be `ShapeDtypeStruct`s; nothing is computed. Compiled, XLA fuses and keeps less:
    `explain(...).temporary` is what it allocates. Raises ValueError for a function without operations.

    >>> import pullback as pb, pullback.numpy as jnp
    >>> f = lambda x: jnp.sum(jnp.sin(jnp.sin(jnp.sin(x))))
    >>> memory_over_time(pb.grad(f), jnp.ones(1000)).peak.bytes
    24000
    """
    found = steps(make_jaxpr(f)(*args, **kwargs))
    if not found:
        raise ValueError("memory_over_time: the function has no operations")
    return MemoryOverTime(found)


def _short(place: str) -> str:
    """A file's place in the user's code without its folders."""
    head, slash, tail = place.rpartition("/")
    return f"{head.rpartition(' ')[0]} {tail}".lstrip() if slash else place


def _places(lines: list[str]) -> str:
    """A few lines of the user's code, each once."""
    names = list(dict.fromkeys(_short(line) for line in lines if line))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


__all__ = ["Explanation", "MemoryOverTime", "Picture", "explain", "memory_over_time", "picture"]
