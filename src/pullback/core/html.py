"""What notebooks show: arrays as tables and images, programs with their source lines, patterns of
matrices. `_repr_html_` and `_repr_latex_` of the classes call this module; nothing else does.

Everything is self-contained: no script, no style sheet, images as data. Texts are escaped.
"""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from pullback.core import dtypes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pullback.core.array import ConcreteArray
    from pullback.core.names import NumPyArray, NumPyValue

_ROWS, _COLUMNS = 12, 10  # of a table; larger ones are shown by their edges
_IMAGE = 32  # matrices from this number of rows and columns on are pictures
_PIXELS = 256  # pictures have at most this many rows and columns
_LATEX = 10  # matrices up to this number of rows and columns are formulas
_SPY = 64  # pattern plots have at most this many cells in each direction


# ---- arrays --------------------------------------------------------------------------------------


def array_html(x: ConcreteArray) -> str:
    """An array: a table up to two axes, a picture of large matrices and of `uint8` images, text
    otherwise."""
    head = f"<div><code>{escape(x.aval.str_short(True))}</code></div>"
    if dtypes.is_key(x.dtype) or x.ndim > 3 or not x.size:
        return head + f"<pre>{escape(str(x))}</pre>"
    value = np.asarray(x)
    if value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] in (3, 4) and min(value.shape[:2]) >= 2:
        return head + _png(_thinned(value))
    if value.ndim == 2 and min(value.shape) >= _IMAGE and not dtypes.is_complex(value.dtype):
        return head + _gray(value)
    if value.ndim > 2:
        return head + f"<pre>{escape(str(x))}</pre>"
    return head + _table(np.atleast_2d(value))


def array_latex(x: ConcreteArray) -> str | None:
    """A small vector or matrix as a formula; None for others."""
    if dtypes.is_key(x.dtype) or x.ndim > 2 or not x.size or max(x.shape, default=1) > _LATEX:
        return None
    rows = [" & ".join([_number_latex(v) for v in row]) for row in np.atleast_2d(np.asarray(x))]
    if not x.ndim:
        return f"${rows[0]}$"
    return "$\\begin{bmatrix} " + " \\\\ ".join(rows) + " \\end{bmatrix}$"


def _number_latex(v: NumPyValue) -> str:
    if dtypes.is_complex(v.dtype):
        sign = "-" if np.signbit(v.imag) else "+"
        return f"{_number_latex(v.real)} {sign} {_number_latex(abs(v.imag))}i"
    text = _number(v)
    if text in ("inf", "-inf", "nan"):
        return {"inf": "\\infty", "-inf": "-\\infty", "nan": "\\mathrm{NaN}"}[text]
    if text.isalpha():  # True, False
        return f"\\mathrm{{{text}}}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa} \\times 10^{{{int(exponent)}}}" if e else text


def _number(v: NumPyValue) -> str:
    if v.dtype == bool or dtypes.is_integer(v.dtype):
        return str(v.item())
    return f"{complex(v):.6g}" if dtypes.is_complex(v.dtype) else f"{float(v):.6g}"


def _edges(n: int, most: int) -> list[int | None]:
    """The positions that are shown of n; None stands for those left out."""
    if n <= most:
        return list(range(n))
    return [*range(most // 2), None, *range(n - most // 2, n)]


def _table(value: NumPyArray) -> str:
    rows = []
    for i in _edges(value.shape[0], _ROWS):
        cells = [
            "⋯" if i is None or j is None else escape(_number(value[i, j])) for j in _edges(value.shape[1], _COLUMNS)
        ]
        rows.append("<tr>" + "".join([f'<td style="text-align:right">{c}</td>' for c in cells]) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _thinned(pixels: NumPyArray) -> NumPyArray:
    rows, columns = (-(-n // _PIXELS) for n in pixels.shape[:2])
    return pixels[::rows, ::columns]


def _gray(value: NumPyArray) -> str:
    """A matrix as a picture from its least number, black, to its greatest, white; what is not
    finite is red."""
    x = _thinned(value.astype(np.float64))
    finite = np.isfinite(x)
    whole = value.astype(np.float64)
    whole = whole[np.isfinite(whole)]
    low, high = (whole.min(), whole.max()) if whole.size else (0.0, 0.0)
    # Halves, so that the difference of the largest numbers is finite.
    span = high / 2 - low / 2
    levels = np.where(finite, (np.where(finite, x, 0.0) / 2 - low / 2) / (span if span else 1.0) * 255, 0).astype(
        np.uint8
    )
    pixels = np.repeat(levels[:, :, None], 3, 2)
    pixels[~finite] = (255, 0, 0)
    return _png(pixels) + f"<div>black {low:.6g}, white {high:.6g}</div>"


def _png(pixels: NumPyArray) -> str:
    """An `img` element of (rows, columns, 3 or 4) bytes (PNG, ISO/IEC 15948)."""
    height, width, channels = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)  # filter 0 a line

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + chunk(b"IEND", b"")
    )
    scale = max(1, 128 // max(width, height))
    return (
        f'<img width="{width * scale}" height="{height * scale}" style="image-rendering:pixelated" alt="array" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )


# ---- programs ------------------------------------------------------------------------------------


def program_html(lines: Sequence[tuple[str, str]]) -> str:
    """A program, each equation beside the line of the user's code that asked for it (see
    `jaxpr.print_lines`)."""
    rows = []
    for text, source in lines:
        cell = '<td style="text-align:left;vertical-align:top"><pre style="margin:0">'
        rows.append(f"<tr>{cell}{escape(text)}</pre></td>{cell}{escape(source)}</pre></td></tr>")
    return f"<table>{''.join(rows)}</table>"


# ---- linear maps ---------------------------------------------------------------------------------


def pattern_svg(matrix: NumPyArray) -> str:
    """Where a matrix is not zero: a plot of cells, each of one element or, of large matrices, a
    block."""
    rows, columns = matrix.shape
    filled = matrix != 0
    height, width = (-(-n // max(1, -(-n // _SPY))) for n in (rows, columns))
    i, j = np.nonzero(filled)
    block = [max(1, -(-n // _SPY)) for n in (rows, columns)]
    cells = sorted(set(zip((i // block[0]).tolist(), (j // block[1]).tolist())))
    marks = "".join([f"M{x} {y}h1v1h-1z" for y, x in cells])
    scale = max(2, 160 // max(width, height, 1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * scale}" height="{height * scale}" '
        f'viewBox="0 0 {width} {height}"><title>{rows}×{columns}, {int(filled.sum())} not zero</title>'
        f'<rect width="{width}" height="{height}" fill="#fff" stroke="#888" stroke-width="0.05"/>'
        f'<path d="{marks}" fill="#1f4e8c"/></svg>'
    )


__all__ = ["array_html", "array_latex", "pattern_svg", "program_html"]
