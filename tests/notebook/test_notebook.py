"""What a real notebook shows: its cells run in a kernel, and their outputs are what a browser would get.

`make test-notebook` has what this needs (requirements/notebook.txt) beside the development environment.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any
from xml.etree import ElementTree

import pytest

if find_spec("nbclient") is None or find_spec("ipykernel") is None:
    pytest.skip("nbclient and ipykernel are not installed: run `make test-notebook`", allow_module_level=True)

CELLS = [
    "import numpy as np, pullback as pb, pullback.numpy as jnp\nfrom pullback import debug",
    "jnp.array([[1.5, -np.inf], [np.nan, 1e-9]])",
    "jnp.linspace(0, 1, 40 * 50).reshape(40, 50)",
    "jnp.array(1 - 2j)",
    "pb.make_jaxpr(lambda x: jnp.sin(x) * 2 < 1)(1.0)",
    "pb.linearize(lambda x: x[1:] * x[:-1], jnp.arange(1.0, 4.0))[1]",
    "pb.jit(lambda x: (debug.print('x = {}', x), x * 2)[1])(jnp.arange(3.0))",
    "pb.random.key(0)",
    "pb.jit(lambda x: x[x > 0])(jnp.arange(3.0))",
    "async def later(x):\n    with pb.debug_nans(True):\n        return pb.grad(jnp.sin)(x)\nawait later(0.0)",
    "jnp.zeros((2, 2), 'bfloat16')",
]


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    """The outputs of the cells, each a list of outputs."""
    import nbclient
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells]


def shown(outputs: Any) -> Any:
    """The one result of a cell, by type of content."""
    (result,) = (o for o in outputs if o.output_type == "execute_result")
    return result.data


def html_of(outputs: Any) -> ElementTree.Element:
    """The result as a browser's page, which is well-formed."""
    html = re.sub(r"(<img[^>]*)>", r"\1/>", shown(outputs)["text/html"])
    return ElementTree.fromstring(f"<body>{html}</body>")


def test_nothing_is_said_beside_results(cells: list[Any]) -> None:
    for source, outputs in zip(CELLS, cells):
        for o in outputs:
            assert o.output_type != "stream" or (o.name, o.text) == ("stdout", "x = [0. 1. 2.]\n"), (source, o)
    assert not cells[0]


def test_arrays(cells: list[Any]) -> None:
    table = html_of(cells[1])
    assert [c.text for c in table.iter("td")] == ["1.5", "-inf", "nan", "1e-09"]
    assert shown(cells[1])["text/plain"].startswith("Array([[")
    assert shown(cells[1])["text/latex"].startswith(r"$\begin{bmatrix} 1.5 & -\infty")
    (image,) = html_of(cells[2]).iter("img")
    assert image.attrib["src"].startswith("data:image/png;base64,")
    assert "text/latex" not in shown(cells[2])
    assert shown(cells[3])["text/latex"] == "$1 - 2i$"
    assert [c.text for c in html_of(cells[10]).iter("td")] == ["0"] * 4
    assert list(html_of(cells[7]).iter("pre")) and "text/html" in shown(cells[7])


def test_programs_and_linear_maps(cells: list[Any]) -> None:
    program = [c.text or "" for c in html_of(cells[4]).iter("pre")]
    assert "    b:f32[] = sin a" in program
    (title,) = (e for e in html_of(cells[5]).iter() if e.tag.endswith("title"))
    assert title.text == "2×3, 4 not zero"


def test_running_programs(cells: list[Any]) -> None:
    (printed,) = (o for o in cells[6] if o.output_type == "stream")
    assert printed.text == "x = [0. 1. 2.]\n"
    assert shown(cells[6])["text/plain"].startswith("Array([0., 2., 4.]")
    assert shown(cells[9])["text/plain"] == "Array(1., dtype=float32, weak_type=True)"


def test_errors_name_the_cell(cells: list[Any]) -> None:
    (error,) = (o for o in cells[8] if o.output_type == "error")
    assert error.ename == "NonConcreteBooleanIndexError"
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    assert "pb.jit(lambda x: x[x > 0])" in plain
    assert "/pullback/" not in plain  # frames of the package are left out
