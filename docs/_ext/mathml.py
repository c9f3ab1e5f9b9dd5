"""Formulas as MathML, which browsers draw themselves: no scripts, nothing from a network.

LaTeX is translated by latex2mathml while the site is built; the mathematical font (STIX Two Math, under
the Open Font License) comes with ziamath and is copied into the site.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

FONT = "STIXTwoMath-Regular.ttf"
CSS = f"""@font-face {{ font-family: "STIX Two Math"; src: local("STIX Two Math"), url("{FONT}"); }}
math {{ font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", math; }}
"""


def mathml(latex: str, display: bool) -> str:
    """A formula as MathML, with its LaTeX as an annotation for those who copy it."""
    try:
        drawn = convert(latex, display="block" if display else "inline")
    except Exception as error:
        raise ExtensionError(f"the formula {latex!r} cannot be translated: {error}") from error
    if "\\" in re.sub(r"<[^>]*>", "", drawn):
        raise ExtensionError(f"latex2mathml does not know a command of the formula {latex!r}")
    return drawn


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    number = ""
    if node.get("number"):
        self.body.append(self.starttag(node, "div", CLASS="math-numbered"))
        number = f'<span class="eqno">({node["number"]})</span></div>'
    self.body.append(mathml(node.astext(), display=True) + number)
    raise nodes.SkipNode


def _write_font(app: Sphinx) -> None:
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (font,) = (path for path in files("ziamath").joinpath("fonts").iterdir() if path.name == FONT)
    (static / FONT).write_bytes(font.read_bytes())
    (static / "mathml.css").write_text(CSS, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    app.connect("builder-inited", _write_font)
    app.add_css_file("mathml.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
