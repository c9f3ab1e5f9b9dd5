"""Pictures as SVG (W3C, SVG 1.1), without a library: programs as layered graphs, what is alive as a curve.

A program is drawn by Sugiyama's method (Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11, 1981): operations in
the layer behind their latest operand, edges over several layers through a point in each, layers ordered by
the mean place of what they read and are read by. Colours are those of the text around the picture, so that
it can be read on dark and on light pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Literal, Var, subjaxprs
from pullback.explaining.memory import Step

_GAP, _ROW, _HEIGHT, _CHARACTER = 18.0, 58.0, 34.0, 6.7
_SWEEPS = 8
#: Operations of a picture; of longer programs the first are drawn.
MOST = 150


@dataclass(eq=False)
class Node:
    """A box: its two lines of text, and what it is ("argument", "operation", "result", or "bend", a point
    through which an edge goes)."""

    label: str
    type: str
    kind: str
    layer: int = 0
    x: float = 0.0
    above: list[Node] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)
    source: str = ""

    @property
    def width(self) -> float:
        return 4.0 if self.kind == "bend" else 16 + _CHARACTER * max(len(self.label), 0.86 * len(self.type))


def program_svg(closed: ClosedJaxpr) -> str:
    """A program as a picture; the bodies of its loops and branches below it."""
    parts: list[tuple[str, Jaxpr]] = []

    def collect(title: str, closed: ClosedJaxpr) -> None:
        parts.append((title, closed.jaxpr))
        for e in closed.eqns[:MOST]:
            programs = subjaxprs(e.params)
            for i, inner in enumerate(programs):
                collect(e.primitive.name + (f", program {i + 1}" if len(programs) > 1 else ""), inner)

    collect("", closed)
    drawn, y, width = [], 0.0, 0.0
    for title, jaxpr in parts:
        body, w, h = _graph(jaxpr)
        if title:
            y += 14
            drawn.append(f'<text x="8" y="{y:.0f}" font-weight="bold">{escape(title)}</text>')
            y += 10
        drawn.append(f'<g transform="translate(0 {y:.1f})">{body}</g>')
        y, width = y + h, max(width, w)
    return _svg("".join(drawn), width, y, "a program")


def _graph(jaxpr: Jaxpr) -> tuple[str, float, float]:
    layers = _layers(jaxpr)
    _order(layers)
    _place(layers)
    edges, boxes = [], []
    for layer in layers:
        for node in layer:
            edges += [_edge(node, n) for n in node.below]
            if node.kind != "bend":
                boxes.append(_box(node))
    width = max((n.x + n.width / 2 for layer in layers for n in layer), default=0.0) + 10
    return "".join(edges) + "".join(boxes), width, len(layers) * _ROW + 8


def _layers(jaxpr: Jaxpr) -> list[list[Node]]:
    made: dict[Var, Node] = {}
    nodes: list[Node] = []
    for v in (*jaxpr.constvars, *jaxpr.invars):
        made[v] = Node("argument" if v in jaxpr.invars else "constant", v.aval.str_short(True), "argument")
        nodes.append(made[v])
    edges: list[tuple[Node, Node]] = []
    for e in jaxpr.eqns[:MOST]:
        times = f" ×{e.params['length']}" if e.primitive.name == "scan" else ""
        constants = [str(x.val) for x in e.invars if isinstance(x, Literal)]
        name = e.primitive.name + times + (f" {', '.join(constants)}"[:24] if constants else "")
        node = Node(name, ", ".join(v.aval.str_short(True) for v in e.outvars)[:40], "operation", source=e.source)
        operands = list(dict.fromkeys(made[x] for x in e.invars if isinstance(x, Var) and x in made))
        node.layer = 1 + max((n.layer for n in operands), default=0)
        edges += [(n, node) for n in operands]
        nodes.append(node)
        made.update(dict.fromkeys(e.outvars, node))
    if len(jaxpr.eqns) > MOST:
        nodes.append(
            Node(f"... {len(jaxpr.eqns) - MOST} more operations", "", "result", layer=max(n.layer for n in nodes) + 1)
        )
    else:
        for x in jaxpr.outvars:
            result = Node("result", x.aval.str_short(True), "result")
            if isinstance(x, Var):
                result.layer = made[x].layer + 1
                edges.append((made[x], result))
            nodes.append(result)
    depth = max((n.layer for n in nodes), default=0)
    for n in nodes:
        if n.kind == "result":
            n.layer = depth
    layers: list[list[Node]] = [[] for _ in range(depth + 1)]
    for n in nodes:
        layers[n.layer].append(n)
    for start, end in edges:
        chain = [start]
        for layer in range(start.layer + 1, end.layer):
            bend = Node("", "", "bend", layer)
            layers[layer].append(bend)
            chain.append(bend)
        for a, b in pairwise([*chain, end]):
            a.below.append(b)
            b.above.append(a)
    return layers


def _order(layers: list[list[Node]]) -> None:
    """Sort each layer by the mean place of its neighbours, down and up."""
    for layer in layers:
        for i, n in enumerate(layer):
            n.x = i
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers[1:] if down else layers[-2::-1]:
            means = {n: _mean(n.above if down else n.below, n.x) for n in layer}
            layer.sort(key=means.__getitem__)
            for i, n in enumerate(layer):
                n.x = i


def _mean(nodes: Sequence[Node], otherwise: float) -> float:
    return sum(n.x for n in nodes) / len(nodes) if nodes else otherwise


def _place(layers: list[list[Node]]) -> None:
    """Coordinates: each as near to its neighbours as the boxes beside it allow."""
    for layer in layers:
        x = 10.0
        for n in layer:
            n.x = x + n.width / 2
            x += n.width + _GAP
    for sweep in range(_SWEEPS):
        for layer in layers[1:] if sweep % 2 == 0 else layers[-2::-1]:
            wanted = [_mean(n.above if sweep % 2 == 0 else n.below, n.x) for n in layer]
            for n, w in zip(layer, wanted):
                n.x = w
            for a, b in pairwise(layer):
                b.x = max(b.x, a.x + (a.width + b.width) / 2 + _GAP)
            # What was pushed to the right comes back by the mean of it.
            shift = sum(n.x - w for n, w in zip(layer, wanted)) / len(layer) if layer else 0.0
            for n in layer:
                n.x -= shift
    left = min((n.x - n.width / 2 for layer in layers for n in layer), default=0.0)
    for layer in layers:
        for n in layer:
            n.x += 10 - left


def _edge(a: Node, b: Node) -> str:
    y0 = a.layer * _ROW + (_HEIGHT if a.kind != "bend" else _HEIGHT / 2)
    y1 = b.layer * _ROW + (0 if b.kind != "bend" else _HEIGHT / 2)
    middle = (y0 + y1) / 2
    arrow = ' marker-end="url(#arrow)"' if b.kind != "bend" else ""
    path = f"M{a.x:.1f} {y0:.1f}C{a.x:.1f} {middle:.1f} {b.x:.1f} {middle:.1f} {b.x:.1f} {y1:.1f}"
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.55"{arrow}/>'


def _box(n: Node) -> str:
    y, x = n.layer * _ROW, n.x - n.width / 2
    fill = {"argument": "#0072B2", "operation": "#7F7F7F", "result": "#009E73"}[n.kind]
    title = f"<title>{escape(n.source)}</title>" if n.source else ""
    return (
        f'<g>{title}<rect x="{x:.1f}" y="{y:.1f}" width="{n.width:.1f}" height="{_HEIGHT}" rx="{6 if n.kind == "operation" else 15}" '
        f'fill="{fill}" fill-opacity="0.16" stroke="{fill}"/>'
        f'<text x="{n.x:.1f}" y="{y + 14:.1f}" text-anchor="middle" font-weight="600">{escape(n.label)}</text>'
        f'<text x="{n.x:.1f}" y="{y + 27:.1f}" text-anchor="middle" font-size="10" opacity="0.75">{escape(n.type)}</text></g>'
    )


def memory_svg(steps: Sequence[Step]) -> str:
    """What is alive at each operation, as a curve, with the peak's operation and line."""
    width, height, left, bottom = 640.0, 220.0, 64.0, 34.0
    peak = max(steps, key=lambda s: s.bytes)
    top = max(peak.bytes, 1)
    x = lambda i: left + (width - left - 12) * i / max(len(steps), 1)
    y = lambda b: 18 + (height - bottom - 18) * (1 - b / top)
    points = [f"M{x(0):.1f} {y(0):.1f}"]
    for i, s in enumerate(steps):
        points.append(f"V{y(s.bytes):.1f}H{x(i + 1):.1f}")
    points.append(f"V{y(0):.1f}Z")
    at = steps.index(peak)
    ticks = "".join(
        f'<text x="{left - 6:.0f}" y="{y(top * f) + 4:.1f}" text-anchor="end" font-size="10">{human(top * f)}</text>'
        f'<path d="M{left} {y(top * f):.1f}H{width - 12}" stroke="currentColor" stroke-opacity="0.15"/>'
        for f in (0.0, 0.5, 1.0)
    )
    anchor = "start" if at < len(steps) / 2 else "end"
    note = (
        f'<text x="{x(at + 0.5):.1f}" y="12" text-anchor="{anchor}" font-size="11">{human(peak.bytes)} at {escape(peak.operation)}, '
        f"{escape(peak.line.rsplit('/', 1)[-1])}</text>"
    )
    body = (
        f'{ticks}<path d="{"".join(points)}" fill="#0072B2" fill-opacity="0.3" stroke="#0072B2"/>{note}'
        f'<text x="{(left + width) / 2:.0f}" y="{height - 8:.0f}" text-anchor="middle" font-size="11">operations, in the order of the program</text>'
    )
    return _svg(body, width, height, "what is alive while the program runs")


def human(n: float) -> str:
    """A number of bytes as it is read: 1.5 kB, 20 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def _svg(body: str, width: float, height: float, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{label}" style="max-width:100%;height:auto" '
        'font-family="ui-monospace, monospace" font-size="11" fill="currentColor">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="currentColor" fill-opacity="0.55"/></marker></defs>{body}</svg>'
    )
