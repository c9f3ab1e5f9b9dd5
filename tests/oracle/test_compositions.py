"""Random programs under random stacks of transformations, in both systems: values, shapes, dtypes.

A program maps an array to one of the same shape and dtype, and so does what each transformation makes of it, so that they nest; the
outermost one may give anything. Seeds determine everything. PULLBACK_TEST_SAMPLE=full takes twenty times as many.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import FULL
from tests.oracle.systems import leaves, namespace, require_oracle

require_oracle()

SHAPE = (2, 3)
_rng = np.random.default_rng(0)
MATRIX, MASK, INDEX = _rng.normal(size=(3, 3)) / 2, _rng.uniform(size=SHAPE) < 0.5, np.array([2, 0, 0])
T, CT, SCALES = _rng.normal(size=SHAPE), _rng.normal(size=SHAPE), np.array([1.0, -0.5, 0.25])
Function = Callable[[Any], Any]


class System:
    """The operations and transformations of one system; `like` gives a constant in the dtype of the sample."""

    def __init__(self, name: str, dtype: str) -> None:
        names = namespace(name)
        self.jax, self.jnp, self.lax, self.nn, self.dtype = (
            names["jax"],
            names["jnp"],
            names["lax"],
            names["nn"],
            dtype,
        )

    def like(self, x: Any) -> Any:
        return self.jnp.asarray(x, self.dtype)

    # ---- custom rules, deliberately not the derivatives of what they compute: so one sees whether they are used ------

    def custom_jvp(self, f: Function, x: Any) -> Any:
        g = self.jax.custom_jvp(f)
        g.defjvp(lambda primals, tangents: (g(*primals), 1.5 * self.jnp.cos(primals[0]) * tangents[0]))
        return g(x)

    def custom_jvp_of_two(self, f: Function, x: Any) -> Any:
        g = self.jax.custom_jvp(lambda a, n, b: f(a) * b**n, nondiff_argnums=(1,))
        g.defjvp(lambda n, p, t: (g(p[0], n, p[1]), t[0] * p[1] + 2.0 * t[1]))
        return g(x, 2, self.jnp.tanh(x))

    def custom_vjp(self, f: Function, x: Any) -> Any:
        g = self.jax.custom_vjp(lambda a, b: f(a) + b["b"])
        g.defvjp(
            lambda a, b: (f(a) + b["b"], (self.jnp.sin(a), b)),
            lambda res, ct: (ct * res[0], {"b": 0.5 * ct * self.jnp.cos(res[1]["b"])}),
        )
        return g(x, {"b": self.jnp.tanh(x)})

    def spd(self, x: Any) -> Any:
        return x.T @ x + 2 * self.jnp.eye(3, dtype=x.dtype)


UNARY: dict[str, Callable[[System, Any], Any]] = {
    "sin": lambda s, x: s.jnp.sin(x),
    "tanh": lambda s, x: s.jnp.tanh(x) ** 2,
    "exp": lambda s, x: s.jnp.exp(s.jnp.sin(x)),
    "log": lambda s, x: s.jnp.log(2.0 + s.jnp.sin(x)),
    "sqrt": lambda s, x: s.jnp.sqrt(1.5 + s.jnp.cos(x)),
    "erf": lambda s, x: s.lax.erf(x),
    "power": lambda s, x: (1.5 + s.jnp.sin(x)) ** s.jnp.cos(x),
    "integers": lambda s, x: x * s.jnp.arange(3) + s.jnp.array([1, 2, 3])[x.shape[1] - 1],
    "rounded": lambda s, x: x + s.jnp.floor(4 * x).astype(int) * s.jnp.sin(x),
    "reshape": lambda s, x: s.jnp.reshape(x, (3, 2)).T,
    "reverse": lambda s, x: x[::-1],
    "gather": lambda s, x: x[:, INDEX],
    "gather_computed": lambda s, x: s.jnp.take_along_axis(x, s.jnp.argsort(x, axis=1), axis=1),
    "dynamic": lambda s, x: s.jnp.sin(x)[s.jnp.argmax(x[:, 0])] + x,
    "update": lambda s, x: x.at[0, 1:].add(s.jnp.sin(x[1, :2])),
    "set": lambda s, x: x.at[:, 0].set(x[:, 1] * x[:, 2]),
    "scatter_mul": lambda s, x: x.at[1, INDEX].multiply(s.jnp.cos(x[0])),
    "scatter_max": lambda s, x: x.at[:, 1].max(x[:, 2]),
    "matmul": lambda s, x: x @ s.like(MATRIX),
    "einsum": lambda s, x: s.jnp.einsum("ij,kj,kl->il", x, s.jnp.sin(x), s.jnp.cos(x)),
    "mean": lambda s, x: x - s.jnp.mean(x, axis=1, keepdims=True),
    "var": lambda s, x: x / (1 + s.jnp.var(x)),
    "sum": lambda s, x: s.jnp.broadcast_to(s.jnp.sum(s.jnp.sin(x), axis=0), SHAPE),
    "prod": lambda s, x: x + s.jnp.prod(x, axis=0),
    "max": lambda s, x: x * s.jnp.max(x, axis=1, keepdims=True) + s.jnp.min(x),
    "logsumexp": lambda s, x: x - s.nn.logsumexp(x, axis=1, keepdims=True),
    "softmax": lambda s, x: s.nn.softmax(x, axis=0),
    "norm": lambda s, x: x / s.jnp.linalg.norm(x),
    "where": lambda s, x: s.jnp.where(MASK, x, s.jnp.cos(x)),
    "where_of_x": lambda s, x: s.jnp.where(x > 0.1, x * x, s.jnp.sin(x)),
    "clip": lambda s, x: s.jnp.clip(x, -0.5, 0.5) * x,
    "relu": lambda s, x: s.nn.relu(x) + s.nn.gelu(x),
    "sort": lambda s, x: s.jnp.sort(x, axis=1),
    "median": lambda s, x: x - s.jnp.median(x, axis=1, keepdims=True),
    "cumsum": lambda s, x: s.jnp.tanh(s.jnp.cumsum(x, axis=1)),
    "cumprod": lambda s, x: s.jnp.cumprod(x, axis=0),
    "cummax": lambda s, x: s.lax.cummax(x, axis=1),
    "cumlogsumexp": lambda s, x: s.lax.cumlogsumexp(x, axis=1, reverse=True),
    "concatenate": lambda s, x: s.jnp.concatenate([x[1:], s.jnp.sin(x[:1])], axis=0),
    "stack": lambda s, x: s.jnp.stack([x, x * x], axis=1)[:, 1],
    "pad": lambda s, x: s.jnp.pad(x, ((1, 0), (0, 1)))[:2, 1:],
    "roll": lambda s, x: s.jnp.roll(x, 1, axis=1) * x,
    "solve": lambda s, x: s.jnp.linalg.solve(s.spd(x), x.T).T,
    "cholesky": lambda s, x: x @ s.jnp.linalg.cholesky(s.spd(x)),
    "slogdet": lambda s, x: x * s.jnp.linalg.slogdet(s.spd(x))[1],
    "inv": lambda s, x: x @ s.jnp.linalg.inv(s.spd(x)),
    "eigvalsh": lambda s, x: x * s.jnp.linalg.eigvalsh(s.spd(x) + s.jnp.diag(s.jnp.arange(3)))[::-1],
    "complex": lambda s, x: s.jnp.real(s.jnp.exp(1j * x) * (x + 2j) / (1.5 - 1j * s.jnp.sin(x))),
    "complex_abs": lambda s, x: s.jnp.abs(s.lax.complex(x, s.jnp.cos(x))) + s.jnp.angle(3.0 + 1j * x),
    "complex_matmul": lambda s, x: s.jnp.imag((x + 1j * s.jnp.sin(x)) @ s.like(MATRIX) @ s.spd(x).conj()),
    "constant": lambda s, x: s.jnp.full(SHAPE, 0.5, x.dtype),
    "stop": lambda s, x: x * s.lax.stop_gradient(s.jnp.sin(x)),
    "custom_jvp": lambda s, x: s.custom_jvp(s.jnp.sin, x),
    "custom_jvp_of_two": lambda s, x: s.custom_jvp_of_two(s.jnp.sin, x),
    "custom_vjp": lambda s, x: s.custom_vjp(s.jnp.sin, x),
    "checkpoint": lambda s, x: s.jax.checkpoint(lambda a: s.jnp.sin(s.jnp.exp(-a * a)) * x)(x),
    "jit": lambda s, x: s.jax.jit(lambda a, n: s.jnp.sin(a) * n, static_argnums=1)(x, 2),
    "rows": lambda s, x: s.jax.vmap(lambda a, b: a * s.jnp.dot(a, b), (0, None), 0)(x, s.jnp.sin(x[0])),
    "columns": lambda s, x: s.jax.vmap(lambda a: s.jnp.sort(a) * a[0], 1, 1)(x),
    "psum": lambda s, x: s.jax.vmap(lambda a: s.jnp.sin(a) - s.lax.pmean(a, "i") * s.lax.psum(a, "i"), axis_name="i")(x),
    "pmax": lambda s, x: s.jax.vmap(lambda a: a * s.lax.axis_index("i") + s.lax.psum(a * a, "i"), 1, 1, axis_name="i")(x),
    "all_gather": lambda s, x: s.jax.vmap(lambda a: s.lax.all_gather(a, "i")[0] * a, axis_name="i")(x),
    "ppermute": lambda s, x: s.jax.vmap(lambda a: a * s.lax.ppermute(a, "i", [(0, 1), (1, 0)]), axis_name="i")(x),
    "inner_grad": lambda s, x: s.jax.grad(lambda a: s.jnp.sum(s.jnp.sin(a) * x * a))(x),
    "inner_jvp": lambda s, x: s.jax.jvp(lambda a: s.jnp.cos(a) * x, (x,), (s.jnp.sin(x),))[1],
}  # fmt: skip
BINARY: dict[str, Callable[[System, Any, Any], Any]] = {
    "add": lambda s, x, y: s.jnp.sin(x + y),
    "sub": lambda s, x, y: x - 2 * y,
    "mul": lambda s, x, y: x * s.jnp.cos(y),
    "div": lambda s, x, y: x / (1.0 + y * y),
    "maximum": lambda s, x, y: s.jnp.maximum(x, y) - s.jnp.minimum(x, 0.25),
    "arctan2": lambda s, x, y: s.jnp.arctan2(x, y),
    "hypot": lambda s, x, y: s.jnp.hypot(1 + x, y),
    "logaddexp": lambda s, x, y: s.jnp.logaddexp(x, y),
    "remainder": lambda s, x, y: x % (2 + s.jnp.cos(y)),
    "dot": lambda s, x, y: s.jnp.tanh(s.jnp.dot(x, y.T)) @ y,
    "select": lambda s, x, y: s.lax.select(x > y, x, s.jnp.sin(y)),
}


def function_of(s: System, program: list[tuple[str, int, int]]) -> Function:
    """The function of a program: each instruction takes some of the last values and adds one."""

    def function(x: Any) -> Any:
        values = [x]
        for name, i, j in program:
            a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
            values.append(UNARY[name](s, a) if name in UNARY else BINARY[name](s, a, b))
        return values[-1] + 0.125 * x

    return function


def by_aux(s: System, f: Function) -> Function:
    def with_aux(x: Any) -> Any:
        y = f(x)
        return s.jnp.sum(y * s.like(CT)), {"y": y}

    def g(x: Any) -> Any:
        (value, aux), gradient = s.jax.value_and_grad(with_aux, has_aux=True)(x)
        return gradient + value * aux["y"]

    return g


def by_custom_jvp(s: System, f: Function) -> Function:
    g = s.jax.custom_jvp(f)
    g.defjvp(lambda primals, tangents: s.jax.jvp(f, primals, tangents))
    return g


def by_custom_vjp(s: System, f: Function) -> Function:
    g = s.jax.custom_vjp(f)
    g.defvjp(lambda x: s.jax.vjp(f, x), lambda pullback, ct: pullback(ct))
    return g


#: What makes of a function on arrays of one shape another such function.
NESTING: dict[str, Callable[[System, Function], Function]] = {
    "jvp": lambda s, f: lambda x: s.jax.jvp(f, (x,), (s.like(T),))[1],
    "linearize": lambda s, f: lambda x: s.jax.linearize(f, x)[1](s.like(T)),
    "vjp": lambda s, f: lambda x: s.jax.vjp(f, x)[1](s.like(CT))[0],
    "linear_transpose": lambda s, f: lambda x: s.jax.linear_transpose(s.jax.linearize(f, x)[1], x)(s.like(CT))[0],
    "transpose_of_jvp": lambda s, f: lambda x: s.jax.linear_transpose(
        lambda t: s.jax.jvp(f, (x,), (t,))[1], x)(s.like(CT))[0],
    "grad": lambda s, f: s.jax.grad(lambda x: s.jnp.sum(f(x) * s.like(CT))),
    "grad_of_two": lambda s, f: lambda x: s.jax.grad(lambda a, n, b: s.jnp.vdot(f(a * n), b), 2)(x, 1, x),
    "aux": by_aux,
    "vmap": lambda s, f: lambda x: s.jnp.sum(s.jax.vmap(f)(x * s.like(SCALES)[:, None, None]), axis=0),
    "vmap_last": lambda s, f: lambda x: s.jnp.sum(
        s.jax.vmap(f, in_axes=-1, out_axes=1)(x[..., None] * s.like(SCALES)), axis=1),
    "vmap_partial": lambda s, f: lambda x: s.jax.vmap(
        lambda a, b: f(a * b["b"]), in_axes=(None, {"b": 0}), out_axes=2)(x, {"b": s.like(SCALES)})[:, :, 1],
    "vmap_derivatives": lambda s, f: lambda x: s.jax.vmap(lambda t: s.jax.jvp(f, (x,), (t,))[1])(
        s.jnp.stack([x, s.like(T)]))[1],
    "jacfwd": lambda s, f: lambda x: s.jnp.tensordot(s.like(CT), s.jax.jacfwd(f)(x)),
    "jacrev": lambda s, f: lambda x: s.jnp.tensordot(s.jax.jacrev(f)(x), s.like(T)),
    "hessian": lambda s, f: lambda x: s.jnp.tensordot(
        s.jax.hessian(lambda a: s.jnp.sum(f(a) * s.like(CT)))(x), s.like(T)),
    "jit": lambda s, f: s.jax.jit(f),
    "checkpoint": lambda s, f: s.jax.checkpoint(f),
    "custom_jvp": by_custom_jvp,
    "custom_vjp": by_custom_vjp,
}  # fmt: skip
#: What may come last: the results differ in shape.
LAST: dict[str, Callable[[System, Function], Function]] = {
    "jacfwd": lambda s, f: s.jax.jacfwd(f),
    "jacrev": lambda s, f: s.jax.jacrev(f),
    "value_and_grad": lambda s, f: s.jax.value_and_grad(lambda x: s.jnp.sum(f(x))),
    "hessian": lambda s, f: s.jax.hessian(lambda x: s.jnp.sum(f(x))),
    "linearize": lambda s, f: lambda x: s.jax.linearize(f, x)[0],
    "vmap": lambda s, f: lambda x: s.jax.vmap(f, out_axes=-1)(s.jnp.stack([x, 2 * x])),
    "jvp": lambda s, f: lambda x: s.jax.jvp(lambda a, b: (f(a), {"b": f(b)}), (x, x), (x, s.like(T))),
    "vjp": lambda s, f: lambda x: s.jax.vjp(lambda a, b: (f(a) * b, a), x, x)[1]((s.like(CT), x)),
    "none": lambda s, f: f,
}


def composition(seed: int) -> tuple[list[tuple[str, int, int]], list[str], str]:
    """Program, transformations (innermost first), and the last one."""
    rng = random.Random(seed)
    operations = [*UNARY, *BINARY]
    program = [(rng.choice(operations), rng.randrange(4), rng.randrange(4)) for _ in range(rng.randint(1, 4))]
    stack = [rng.choice(list(NESTING)) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]
    return program, stack, rng.choice(list(LAST))


def outcome(name: str, seed: int, dtype: str) -> list[Any] | str:
    """The arrays that the composition gives, or the type of the error."""
    s = System(name, dtype)
    program, stack, last = composition(seed)
    f = function_of(s, program)
    for transformation in stack:
        f = NESTING[transformation](s, f)
    x = s.like(np.random.default_rng(seed).uniform(-1, 1, SHAPE))
    try:
        return leaves(LAST[last](s, f)(x))
    except Exception as error:
        return type(error).__name__ + ("" if name == "jax" else f": {error}")


def check(seed: int, dtype: str) -> None:
    got, expected = outcome("pullback", seed, dtype), outcome("jax", seed, dtype)
    what = f"{composition(seed)} in {dtype}"
    # What JAX has not, we may have: gradients of `at[...].multiply`, and forward mode through custom_vjp.
    program, stack, _ = composition(seed)
    if expected == "NotImplementedError" or (
        expected == "TypeError" and "custom_vjp" in (*stack, *(name for name, _, _ in program))
    ):
        return
    if isinstance(got, str) or isinstance(expected, str):
        assert str(got).partition(":")[0] == expected, f"{what}: {got}, not {expected}"
        return
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape and str(a.dtype) == str(b.dtype), (
            f"{what}: {a.dtype}{a.shape}, not {b.dtype}{b.shape}"
        )
        if dtype == "float64":
            a, b = np.asarray(a), np.asarray(b)
            scale = 1.0 + np.abs(b[np.isfinite(b)]).max(initial=0.0)
            assert np.allclose(a, b, rtol=1e-7, atol=1e-9 * scale, equal_nan=True), f"{what}:\n{a}\nnot\n{b}"


@pytest.mark.filterwarnings("ignore")  # 32-bit mode narrows the constants
@pytest.mark.parametrize("seed", range(1200 if FULL else 60))
def test_composition(seed: int, x64: bool) -> None:
    check(seed, "float64" if x64 else "float32")
