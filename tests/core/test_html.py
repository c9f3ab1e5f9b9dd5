"""What notebooks show of arrays, programs and linear maps: well-formed, escaped, and right."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp


def html_of(x: object) -> ElementTree.Element:
    html = x._repr_html_()  # type: ignore[attr-defined]
    return ElementTree.fromstring("<body>" + re.sub(r"(<img[^>]*)>", r"\1/>", html) + "</body>")


def pixels(x: object) -> np.ndarray:
    (image,) = html_of(x).iter("img")
    data = base64.b64decode(image.attrib["src"].partition(",")[2])
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    start = data.index(b"IDAT") + 4
    lines = np.frombuffer(zlib.decompress(data[start:-16]), np.uint8).reshape(height, -1)
    return lines[:, 1:].reshape(height, width, 3 if kind == 2 else 4)


def test_small_arrays_are_tables() -> None:
    table = html_of(jnp.array([[1.5, -np.inf], [np.nan, 1e-9]]))
    assert [c.text for c in table.iter("td")] == ["1.5", "-inf", "nan", "1e-09"]
    assert [c.text for c in table.iter("code")] == ["f32[2,2]"]
    edges = [c.text for c in html_of(jnp.arange(100)).iter("td")]
    assert edges == [*map(str, range(5)), "⋯", *map(str, range(95, 100))]
    assert [c.text for c in html_of(jnp.array(True)).iter("td")] == ["True"]
    assert [c.text for c in html_of(jnp.array([1 - 2j])).iter("td")] == ["1-2j"]
    for x in (jnp.zeros((0, 3)), jnp.zeros((2, 2, 2)), pb.random.key(0), jnp.zeros((2, 2, 2, 2), "bfloat16")):
        assert list(html_of(x).iter("pre"))


def test_images_and_large_matrices_are_pictures() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    np.testing.assert_array_equal(pixels(jnp.array(image)), image)
    ramp = jnp.arange(40.0)[:, None] * jnp.ones(50)
    shown = pixels(ramp)
    assert (shown.shape, shown[0].max(), shown[-1].min()) == ((40, 50, 3), 0, 255)
    assert pixels(ramp.at[3, 2].set(jnp.nan))[3, 2].tolist() == [255, 0, 0]
    assert pixels(jnp.zeros((1000, 40))).shape == (250, 40, 3)
    huge = jnp.full((32, 32), jnp.finfo("float32").max).at[0].multiply(-1)
    assert pixels(huge)[1:].min() == 255


def test_small_arrays_are_formulas() -> None:
    assert jnp.array([[1, 2], [3, 4]])._repr_latex_() == r"$\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}$"
    assert jnp.array([1e-9, jnp.inf])._repr_latex_() == r"$\begin{bmatrix} 1 \times 10^{-9} & \infty \end{bmatrix}$"
    assert jnp.array(1 - 2j)._repr_latex_() == "$1 - 2i$"
    assert jnp.array(True)._repr_latex_() == r"$\mathrm{True}$"
    assert jnp.array([jnp.nan, 1])._repr_latex_() == r"$\begin{bmatrix} \mathrm{NaN} & 1 \end{bmatrix}$"
    assert jnp.zeros(11)._repr_latex_() is None


def test_programs_show_their_lines() -> None:
    program = pb.make_jaxpr(lambda x: jnp.sin(x) * 2 < 1)(1.0)
    cells = [c.text for c in html_of(program).iter("pre")]
    assert len(cells) == 2 * (len(program.eqns) + 2)
    assert cells[2] == "    b:f32[] = sin a"
    assert "test_html.py" in cells[3]
    assert program.jaxpr._repr_html_() == program._repr_html_()


def test_linear_maps_show_their_pattern() -> None:
    f_lin = pb.linearize(lambda x: x[1:] * x[:-1], jnp.arange(1.0, 4.0))[1]
    page = html_of(f_lin)
    (title,) = (e for e in page.iter() if e.tag.endswith("title"))
    (path,) = (e for e in page.iter() if e.tag.endswith("path"))
    assert title.text == "2×3, 4 not zero"
    assert re.findall(r"M(\d+) (\d+)", path.attrib["d"]) == [("0", "0"), ("1", "0"), ("1", "1"), ("2", "1")]
    large = pb.linearize(lambda x: 2 * x, jnp.ones(300))[1]
    (path,) = (e for e in html_of(large).iter() if e.tag.endswith("path"))
    assert len(re.findall("M", path.attrib["d"])) == 60
    mixed = pb.linearize(lambda x: x.astype("float16"), jnp.ones(3))[1]
    assert not [e for e in html_of(mixed).iter() if e.tag.endswith("svg")]


def test_traced_values_are_shown_by_their_text() -> None:
    with pytest.raises(AttributeError):
        pb.jit(lambda x: x._repr_html_())(1.0)
