"""Linear solves and roots with the derivatives of their solutions, and the warning that there is none."""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback import lax
from pullback.control.convergence import warn_unless
from pullback.control.solves import custom_linear_solve, custom_root
from pullback.transforms.derivatives import jacfwd
from pullback.transforms.vmap import vmap
from tests.conformance.table import Row, sample


def dense(matvec: Any, b: Any) -> Any:
    return jnp.linalg.solve(vmap(matvec, out_axes=1)(jnp.eye(b.shape[0], dtype=b.dtype)), b)


def general(a: Any, b: Any) -> Any:
    return custom_linear_solve(lambda x: a @ x + 6.0 * x, b, dense, dense)


def symmetric(d: Any, b: Any) -> Any:
    return custom_linear_solve(lambda x: d * d * x + x, b, lambda _, b: b / (d * d + 1.0), symmetric=True)


def with_aux(d: Any, b: Any) -> Any:
    solve = lambda _, b: (b / (d * d + 1.0), d + b)
    x, _ = custom_linear_solve(lambda x: d * d * x + x, b, solve, solve, has_aux=True)
    return x


def tree(d: Any, b: Any) -> Any:
    solve = lambda _, b: {"x": b["x"] / (d * d + 1.0), "y": (b["y"] - b["x"] / (d * d + 1.0)) / 3.0}
    transpose = lambda _, b: {"x": (b["x"] - b["y"] / 3.0) / (d * d + 1.0), "y": b["y"] / 3.0}
    matvec = lambda v: {"x": (d * d + 1.0) * v["x"], "y": 3.0 * v["y"] + v["x"]}
    found = custom_linear_solve(matvec, {"x": b, "y": b * b}, solve, transpose)
    return [found["x"], found["y"]]


def cubic_root(a: Any) -> Any:
    def newton(f: Any, x: Any) -> Any:
        for _ in range(12):
            x = x - jnp.linalg.solve(jacfwd(f)(x), f(x))
        return x

    f = lambda x: x**3 + 2.0 * x - a + 0.1 * jnp.sum(x)
    return custom_root(f, jnp.zeros(a.shape, a.dtype), newton, dense)


def warned(x: Any) -> Any:
    warn_unless(jnp.all(x < 10.0), "x is large")
    return lax.mul(x, 2.0)


MATRIX, VECTOR = sample((3, 3)), sample((3,))
ROWS = [
    Row("custom_linear_solve", "general", general, (MATRIX, VECTOR), compiled_tol=1e-14),
    Row("custom_linear_solve", "complex", general, (MATRIX + 1j, VECTOR + 0.5j), compiled_tol=1e-14),
    Row(
        "custom_linear_solve",
        "float32",
        general,
        (sample((3, 3), "float32"), sample((3,), "float32")),
        order=0,
        compiled_tol=1e-6,
    ),
    Row("custom_linear_solve", "symmetric", symmetric, (VECTOR, sample((3,), seed=1))),
    Row("custom_linear_solve", "aux", with_aux, (VECTOR, sample((3,), seed=1))),
    Row("custom_linear_solve", "tree", tree, (VECTOR, sample((3,), seed=1))),
    Row("custom_linear_solve", "empty", symmetric, (sample((0,)), sample((0,)))),
    Row("custom_root", "cubic", cubic_root, (VECTOR,), compiled_tol=1e-13),
    Row("warn_unless", "holds", warned, (VECTOR,)),
]
