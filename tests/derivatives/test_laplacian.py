"""The forward Laplacian against dense Hessians: every primitive's rows, random functions, loops, custom rules, and itself in
other transformations."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.experimental.ode
import pullback.numpy as jnp
from pullback import lax
from pullback.core import dtypes
from pullback.core.trace import current, under
from pullback.derivatives.laplacians import LocalDerivatives, _Inputs, laplacian, value_grad_and_laplacian
from pullback.derivatives.laplacians.forward_laplacian import LaplacianTrace, LaplacianTracer
from pullback.derivatives.laplacians.laplacian_rows import Pattern, collected, merged, united
from tests.conformance import checks
from tests.conformance.table import Row, all_rows

RNG = np.random.default_rng(0)
N = 12
W, A = RNG.normal(size=(N, 7)), RNG.normal(size=(N, N))
X = 0.7 * RNG.normal(size=N) + 0.1


def second_derivatives(f: Callable[[Any], Any], x: Any) -> Any:
    """Those along each coordinate, by forward mode twice: stacked."""
    basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
    return pb.vmap(lambda v: pb.jvp(lambda y: pb.jvp(f, (y,), (v,))[1], (x,), (v,))[1])(basis)


def dense(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The Laplacian as the sum of a Hessian's diagonal."""
    return lambda x: pb.tree_util.tree_map(lambda d: d.sum(0), second_derivatives(f, x))


def assert_close(got: Any, expected: Any, tol: float = 1e-9) -> None:
    for a, b in zip(pb.tree_util.tree_leaves(got), pb.tree_util.tree_leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol * max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0.0)))


# ---- every primitive --------------------------------------------------------------------------------------------

ROWS = {
    name: list(rows)
    for name, rows in itertools.groupby(
        sorted([r for r in all_rows() if r.order >= 2], key=lambda r: r.primitive), key=lambda r: r.primitive
    )
}


def of_coordinates(row: Row) -> tuple[Callable[[Any], Any], Any]:
    """The row as a function of all real numbers in its arguments; of three directions, if these are many."""
    args = checks.arrays(row)
    active, which = checks.inexact(args), checks.inexact(checks.outputs(row, *args))
    function = checks.differentiable(row, active, which)
    primals = [args[i] for i in active]

    def of_numbers(t: Any) -> Any:
        parts, start = [], 0
        for x in primals:
            part, start = t[start : start + x.size].reshape(x.shape), start + x.size
            if dtypes.is_complex(x.dtype):
                imag, start = t[start : start + x.size].reshape(x.shape), start + x.size
                part = part + 1j * imag
            parts.append(part.astype(x.dtype))
        return function(*parts)

    numbers = [
        np.r_[np.real(x).ravel(), np.imag(x).ravel()]
        if dtypes.is_complex(x.dtype)
        else np.asarray(x, np.float64).ravel()
        for x in primals
    ]
    point = np.concatenate(numbers)
    if point.size <= 24:
        return of_numbers, jnp.asarray(point)
    directions = checks.generator(row, "laplacian").normal(size=(point.size, 3))
    return lambda t: of_numbers(point + jnp.asarray(directions) @ t), jnp.zeros(3)


@pytest.mark.parametrize("name", ROWS)
def test_primitives(name: str) -> None:
    with pb.enable_x64(True):
        for row in ROWS[name]:
            f, t = of_coordinates(row)
            got, expected = laplacian(f)(t), dense(f)(t)
            coarse = any(
                [dtypes.is_inexact(x.dtype) and x.dtype.itemsize < (16 if x.dtype.kind == "c" else 8) for x in row.args]
            )
            tol = 1e-2 if coarse else max(1e-9, row.tol * 1e-3)
            for a, b in zip(got, expected, strict=True):
                scale = max(1.0, np.abs(np.asarray(b)).max(initial=0.0))
                np.testing.assert_allclose(a, b, rtol=tol, atol=tol * scale, err_msg=str(row))


# ---- functions --------------------------------------------------------------------------------------------------


@pb.custom_jvp
def with_jvp(x):
    return jnp.sin(x)


with_jvp.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), jnp.cos(primals[0]) * tangents[0]))


@pb.custom_jvp
def with_wrong_jvp(x):  # whose derivative is what its rule says
    return x**2


with_wrong_jvp.defjvp(lambda primals, tangents: (with_wrong_jvp(*primals), jnp.cos(primals[0]) * tangents[0]))


@pb.custom_vjp
def with_vjp(x):
    return jnp.sin(x) * x


with_vjp.defvjp(lambda x: (jnp.sin(x) * x, x), lambda x, ct: (ct * (jnp.cos(x) * x + jnp.sin(x)),))


def closing_over(x):
    y = x**2

    @pb.custom_jvp
    def scaled(z):
        return jnp.sin(z) * y

    scaled.defjvp(lambda primals, tangents: (scaled(*primals), jnp.cos(primals[0]) * y * tangents[0]))

    @pb.custom_vjp
    def shifted(z):
        return z**3 + y

    shifted.defvjp(lambda z: (z**3 + y, z), lambda z, ct: (3 * z**2 * ct,))
    return scaled(3 * x).sum() + shifted(x).sum()


def distances(x):
    r = x.reshape(4, 3)
    d = r[:, None] - r[None] + jnp.eye(4)[:, :, None]
    return jnp.sum(jnp.sqrt(jnp.sum(d * d, -1)))


def network(x):
    return jnp.sum(jnp.sin(jnp.tanh(x @ W)) @ W.T)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "network": network,
    "network, matrices on the left": lambda x: jnp.tanh(W @ jnp.tanh(W.T @ x)).sum(),
    "quadratic": lambda x: x @ A @ x,
    "elementwise": lambda x: jnp.exp(x) * x / (1 + x**2),
    "polynomial": lambda x: x[0] ** 2 * x[1] ** 3 + x[2:] ** 4,
    "distances": distances,
    "a layer for each point": lambda x: jnp.sum(jnp.tanh(jnp.tanh(x.reshape(4, 3) @ W[:3]) @ W.T[:, :5])),
    "points as columns": lambda x: jnp.sum(jnp.tanh(W[:3].T @ x.reshape(4, 3).T)),
    "product": jnp.prod,
    "maximum": lambda x: jnp.max(x * x),
    "variance": lambda x: ((x - x.mean()) ** 2).sum() / x.std(),
    "softmax": lambda x: pb.nn.softmax(x * x) @ x,
    "attention": lambda x: pb.nn.softmax(x.reshape(4, 3) @ x.reshape(4, 3).T).sum(0) @ x.reshape(4, 3),
    "logarithm of a determinant": lambda x: jnp.linalg.slogdet(jnp.outer(x, x) + A)[1],
    "linear system": lambda x: jnp.linalg.solve(A + jnp.diag(x), x) @ x,
    "convolution": lambda x: jnp.convolve(x * x, jnp.sin(x)),
    "Fourier transform": lambda x: jnp.abs(jnp.fft.fft(x)) ** 2,
    "complex result": lambda x: jnp.exp(1j * x) * x[::-1],
    "sort": lambda x: (jnp.sort(x) * jnp.arange(N)) @ x,
    "cumulative product": jnp.cumprod,
    "moved products": lambda x: jnp.flip(x[1:] * x[:-1]) ** 2 * x[1:],
    "indices": lambda x: x[jnp.array([0, 3, 3, -1])] ** 2 * x[1:5],
    "updates": lambda x: x.at[2].set(x[3] ** 2).at[1].add(x[0] * x[1]),
    "selection": lambda x: jnp.where(x > 0, x**2, jnp.sin(x)) * x,
    "selection of different elements": lambda x: jnp.where(x > 0, x[::-1], x) ** 3,
    "concatenation": lambda x: jnp.concatenate([x, x[:3] * x[1], jnp.ones(2)]) ** 3,
    "padding": lambda x: jnp.pad(x, 1) ** 2 * jnp.roll(jnp.pad(x, 1), 1),
    "reduction by a program": lambda x: lax.reduce(x * x, np.float64(1.0), lambda a, b: a * b, (0,)),
    "constant": lambda x: 3.0,
    "linear": lambda x: A @ x,
    "custom_jvp": lambda x: with_jvp(x * x).sum(),
    "wrong custom_jvp": lambda x: with_wrong_jvp(x * x).sum(),
    "custom_vjp": lambda x: with_vjp(x * x).sum(),
    "closures": closing_over,
    "stop_gradient": lambda x: jnp.sum(x**2 * lax.stop_gradient(x)),
    "jit": pb.jit(lambda x: jnp.sum(jnp.tanh(x) ** 3)),
    "checkpoint": pb.checkpoint(lambda x: jnp.sum(jnp.tanh(x) ** 3)),
    "scan": lambda x: lax.scan(lambda c, a: (jnp.sin(c) * a + c, c * a), x[0] * 2, x),
    "scan of constants": lambda x: lax.scan(lambda c, a: (jnp.sin(c) * x + c, c * a + x), x, x),
    "scan of patterns": lambda x: lax.scan(lambda c, _: (jnp.sin(c) + c, x**2), x, None, length=3),
    "while": lambda x: lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, jnp.sin(c[1]) * x), (0, x))[1],
    "cond": lambda x: lax.cond(x[0] > 0, lambda x: jnp.sin(x) * x, lambda x: x**3, x),
    "branches of different patterns": lambda x: lax.cond(x[0] > 0, lambda x: x[::-1] ** 2, lambda x: x**2, x) * x,
    "map": lambda x: lax.map(lambda a: jnp.sin(a) * x[0], x),
    "vmap": lambda x: pb.vmap(lambda a, b: jnp.sin(a * b))(x, x[::-1]),
    "vmap of cond": lambda x: pb.vmap(lambda a: lax.cond(a > 0, lambda a: a**2, lambda a: a**3, a))(x),
    "conjugate gradients": lambda x: pb.scipy.sparse.linalg.cg(lambda v: (1 + x**2) * v, x, tol=1e-14)[0],
    "odeint": lambda x: pullback.experimental.ode.odeint(
        lambda y, t, c: -y * c, x[:2], jnp.array([0.0, 1.0]), x[2:4], rtol=1e-10, atol=1e-10
    )[1],
    "gradient": pb.grad(network),
    "derivative along a vector": lambda x: pb.jvp(network, (x,), (jnp.ones(N),))[1],
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    f = FUNCTIONS[name]
    tol = 1e-6 if name == "odeint" else 1e-9
    with pb.enable_x64(True):
        x = jnp.asarray(X)
        expected = dense(f)(x)
        assert_close(laplacian(f)(x), expected, tol)
        assert_close(pb.jit(laplacian(pb.jit(f)))(x), expected, tol)
        assert_close(laplacian(f, batch_size=5)(x), expected, tol)


def random_program(seed: int) -> Callable[[Any], Any]:
    """A chain of moves, elementwise functions, sums and products of an array of 16 elements, in which patterns meet."""

    def f(x: Any) -> Any:
        rng = np.random.default_rng(seed)
        y = z = x.reshape(4, 4)
        for _ in range(7):
            match rng.integers(13):
                case 0:
                    y = jnp.sin(y)
                case 1:
                    y = y * z
                case 2:
                    y = y.T
                case 3:
                    y = jnp.roll(y, int(rng.integers(1, 4)), int(rng.integers(2)))
                case 4:
                    y = y - y[::-1] * 0.5
                case 5:
                    y = jnp.tanh(y @ W[:4, :4])
                case 6:
                    y = jnp.tanh(W[4:8, :4] @ y)
                case 7:
                    y = y + jnp.sum(y, int(rng.integers(2)), keepdims=True) ** 2
                case 8:
                    y = jnp.where(z > 0, y, z)
                case 9:
                    y, z = z, y
                case 10:
                    y = jnp.concatenate([y[1:], z[:1] * y[:1]])
                case 11:
                    y = jnp.pad(y[:, :3], ((0, 0), (1, 0))) / (1 + z**2)
                case 12:
                    y = y.reshape(-1)[rng.integers(0, 16, size=16)].reshape(4, 4) * 0.7
        return y, jnp.sum(y * z)

    return f


def test_random_programs() -> None:
    with pb.enable_x64(True):
        x = jnp.asarray(0.5 * np.random.default_rng(1).normal(size=16))
        for seed in range(40):
            f = random_program(seed)
            expected = dense(f)(x)
            assert_close(laplacian(f)(x), expected)
            gradient = value_grad_and_laplacian(f)(x).gradient
            for a, b in zip(gradient, pb.jacfwd(f)(x), strict=True):
                assert_close(a, b)


@pytest.mark.parametrize("name", ["network", "distances", "custom_vjp", "scan", "a layer for each point", "closures"])
def test_in_other_transformations(name: str) -> None:
    f = FUNCTIONS[name]
    scalar = lambda g: lambda x: sum([jnp.sum(y) for y in pb.tree_util.tree_leaves(g(x))])
    with pb.enable_x64(True):
        x = jnp.asarray(X)
        own, other = scalar(laplacian(f)), scalar(dense(f))
        assert_close(pb.jit(pb.grad(own))(x), pb.jit(pb.grad(other))(x))
        assert_close(pb.jvp(own, (x,), (jnp.cos(x),))[1], pb.jvp(other, (x,), (jnp.cos(x),))[1])
        points = jnp.stack([x, 0.9 * x, x[::-1]])
        assert_close(pb.vmap(laplacian(f))(points), pb.vmap(dense(f))(points))


def test_of_a_laplacian_and_of_itself() -> None:
    with pb.enable_x64(True):
        x = jnp.asarray(X)
        assert_close(laplacian(laplacian(network))(x), dense(dense(network))(x))
        # ∇² |x|² = 2 n, and ∇² |x|⁴ = 4 (n + 2) |x|².
        assert_close(laplacian(lambda x: laplacian(lambda y: jnp.sum(x * y) ** 2)(x))(x), 2.0 * 2 * N)
        assert_close(laplacian(lambda x: jnp.sum(x**2) ** 2)(x), 4 * (N + 2) * jnp.sum(x**2))


def test_known_functions() -> None:
    r = jnp.array([1.0, -2.0, 0.5])
    assert abs(laplacian(lambda r: 1 / jnp.linalg.norm(r))(r)) < 1e-5  # harmonic
    kx = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(laplacian(lambda r: jnp.sin(kx @ r))(r), -14 * np.sin(kx @ r), rtol=1e-4)
    wave = lambda r, t: jnp.sin(kx @ r) * jnp.exp(-14 * t)  # solves the heat equation
    np.testing.assert_allclose(laplacian(wave)(r, 0.1), pb.grad(wave, 1)(r, 0.1), rtol=1e-4)


def test_gradient_of_a_physics_informed_loss() -> None:
    params = {"w": jnp.asarray(RNG.normal(size=(2, 8)), jnp.float32), "v": jnp.asarray(RNG.normal(size=8), jnp.float32)}
    points = jnp.asarray(RNG.normal(size=(5, 2)), jnp.float32)
    u = lambda params, x: params["v"] @ jnp.tanh(x @ params["w"])

    def loss(second):
        return lambda params: jnp.mean(pb.vmap(lambda x: second(lambda x: u(params, x))(x) - jnp.sum(x))(points) ** 2)

    got, expected = pb.jit(pb.grad(loss(laplacian)))(params), pb.grad(loss(dense))(params)
    for k in params:
        np.testing.assert_allclose(got[k], expected[k], rtol=1e-4, atol=1e-4)


# ---- arguments and results --------------------------------------------------------------------------------------


def test_trees_and_several_arguments() -> None:
    f = lambda p, q, s: {"out": jnp.sin(p["a"]) * q * s, "both": (q @ q) ** 2 * p["b"] ** 2}
    with pb.enable_x64(True):
        p, q = {"a": jnp.asarray(X[:4].reshape(2, 2)), "b": jnp.asarray(0.3)}, jnp.asarray(X[4:6])

        def flat(v: Any) -> Any:
            return f({"a": v[:4].reshape(2, 2), "b": v[4]}, v[5:], 2.0)

        v = jnp.concatenate([p["a"].ravel(), p["b"][None], q])
        expected = second_derivatives(flat, v)
        part = lambda of: pb.tree_util.tree_map(lambda d: d[of].sum(0), expected)
        assert_close(laplacian(f)(p, q, 2.0), part(slice(0, 5)))
        assert_close(laplacian(f, 1)(p, q, 2.0), part(slice(5, 7)))
        assert_close(laplacian(f, argnums=(0, 1))(p, q, s=2.0), part(slice(None)))
        found = value_grad_and_laplacian(f, (0, 1))(p, q, 2.0)
        assert isinstance(found, LocalDerivatives)
        assert_close(found.value, f(p, q, 2.0))
        assert_close(found.gradient, pb.jacfwd(f, (0, 1))(p, q, 2.0))
        assert_close(found.laplacian, part(slice(None)))


def test_types_of_results() -> None:
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        x = jnp.ones(9, dtype)
        out = laplacian(lambda x: jnp.sum(x**3))(x)
        assert out.dtype == dtype and out == 54
        assert laplacian(lambda x: x)(x).dtype == dtype
    assert laplacian(lambda x: x**3)(2.0).weak_type  # of Python's number, as the value
    assert not laplacian(lambda x: x**3)(jnp.float32(2.0)).weak_type
    assert laplacian(lambda x: jnp.exp(1j * x).sum())(jnp.zeros(3)).dtype == jnp.complex64
    mixed = laplacian(lambda x: jnp.sum(x["half"].astype(jnp.float32) ** 2) + jnp.sum(x["single"] ** 2))
    assert mixed({"half": jnp.ones(5, jnp.float16), "single": jnp.ones(5)}) == 20


def test_edges() -> None:
    assert laplacian(lambda x: jnp.sum(x) ** 2)(jnp.zeros(0)) == 0
    assert laplacian(lambda x: x[:0] ** 2)(jnp.ones(9)).shape == (0,)
    assert laplacian(lambda x: jnp.sum(x[:0] ** 2) + x[0] ** 2)(jnp.ones(9)) == 2
    assert np.isnan(laplacian(lambda x: jnp.sum(x**2))(jnp.array([np.nan, 1.0])) - np.nan)
    assert laplacian(lambda x: jnp.sum(x**3))(jnp.array([np.inf, 1.0])) == np.inf
    value, gradient, second = value_grad_and_laplacian(lambda x: jnp.sin(x))(0.5)
    np.testing.assert_allclose([value, gradient, second], [np.sin(0.5), np.cos(0.5), -np.sin(0.5)], rtol=1e-6)
    # Nothing flows between elements that are kept apart: no zero meets an infinite derivative.
    assert laplacian(lambda x: jnp.sqrt(x)[8])(jnp.arange(9.0)) == np.float32(-0.25 * 8**-1.5)


def test_auxiliary_data() -> None:
    f = lambda x: (jnp.sum(x**2), {"half": x / 2, "n": 3})
    out, aux = laplacian(f, has_aux=True)(jnp.ones(9))
    assert out == 18 and aux["n"] == 3 and not isinstance(aux["half"], LaplacianTracer)
    assert laplacian(f, has_aux=True, batch_size=2)(jnp.ones(9))[1]["half"].tolist() == [0.5] * 9
    found, aux = value_grad_and_laplacian(f, has_aux=True)(jnp.ones(9))
    assert found.laplacian == 18 and aux["half"].tolist() == [0.5] * 9


def test_python_control_flow_sees_values() -> None:
    f = lambda x: jnp.sum(x**2) if x[0] > 0 else jnp.sum(x**4)
    assert laplacian(f)(jnp.ones(9)) == 18 and laplacian(f)(-jnp.ones(9)) == 108
    with pytest.raises(pb.errors.ConcretizationTypeError):
        laplacian(lambda x: float(x[0]) * x)(jnp.ones(9))


def test_bad_input() -> None:
    x = jnp.ones(3)
    for wrong, error, message in (
        (lambda: laplacian(3), TypeError, "callable"),
        (lambda: laplacian(jnp.sum)(jnp.arange(3)), TypeError, "real-valued inputs.*int32"),
        (lambda: laplacian(jnp.sum)(x + 1j), TypeError, "real-valued inputs.*complex64.*real and imaginary parts"),
        (lambda: laplacian(jnp.argmax)(x), TypeError, "inexact dtype, but got int32.*has_aux"),
        (lambda: laplacian(lambda x: "text")(x), TypeError, "must return arrays"),
        (lambda: laplacian(jnp.sum)("text"), TypeError, "argument to differentiate"),
        (lambda: laplacian(jnp.sum, 1)(x), ValueError, "argnums=1 requires at least 2"),
        (lambda: laplacian(jnp.sum, batch_size=0), ValueError, "batch_size must be a positive integer, got 0"),
        (lambda: laplacian(jnp.sum, batch_size=1.5), TypeError, "batch_size must be an integer"),
        (lambda: laplacian(jnp.sum, has_aux=True)(x), TypeError, "pair"),
    ):
        with pytest.raises(error, match=message):
            wrong()


def test_what_leaks_is_told() -> None:
    kept = []
    laplacian(lambda x: kept.append(x) or jnp.sum(x))(jnp.ones(3))
    with pytest.raises(pb.errors.UnexpectedTracerError):
        kept[0] + 1
    assert "LaplacianTrace" in repr(kept[0])


def test_functions_keep_their_names() -> None:
    assert laplacian(network).__name__ == "network" and "Laplacian of network" in laplacian(network).__doc__


# ---- few rows ---------------------------------------------------------------------------------------------------


def rows_of(f: Callable[[Any], Any], x: Any) -> int | None:
    """In how many rows the result of `f` has its slopes; None if in one for each coordinate."""
    inputs = _Inputs((x,))
    trace = LaplacianTrace(current(), inputs.count)
    out = trace.unwrap(under(trace, f, *[trace.wrap(s) for s in inputs.seeds()]))
    return None if out.pattern is None else out.pattern.count


def test_rows_are_as_few_as_elements_depend_on_coordinates() -> None:
    x = jnp.asarray(RNG.normal(size=(10, 3)))
    w = jnp.asarray(RNG.normal(size=(3, 5)))
    for f, expected in (
        (lambda x: jnp.sin(x) * 2, 1),
        (lambda x: x.T.reshape(-1)[3:] ** 2, 1),
        (lambda x: x[:, None] - x[None], 2),
        (lambda x: jnp.sum((x[:, None] - x[None]) ** 2, -1), 6),
        (lambda x: jnp.tanh(x @ w), 3),
        (lambda x: jnp.tanh(jnp.tanh(x @ w) @ w.T), 3),
        (lambda x: jnp.tanh(x @ w).sum(1), 3),
        (lambda x: jnp.tanh(x @ w).sum(), None),
        (lambda x: jnp.cumsum(x), None),
        (lambda x: jnp.where(x > 0, x, jnp.flip(x)), 2),
        (lambda x: pb.jit(jnp.cos)(x), 1),
        (lambda x: lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=3)[0], 1),
        (lambda x: lax.map(lambda r: jnp.sin(r @ w), x), None),
    ):
        assert rows_of(f, x) == expected


def test_many_coordinates_of_which_elements_depend_on_few() -> None:
    x = jnp.asarray(RNG.normal(size=100_000), jnp.float32)
    rosenbrock = lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    value, gradient, second = pb.jit(value_grad_and_laplacian(rosenbrock))(x)
    a, b = np.asarray(x[:-1], np.float64), np.asarray(x[1:], np.float64)
    np.testing.assert_allclose(second, np.sum(1200 * a**2 - 400 * b + 2 + 200), rtol=1e-4)
    np.testing.assert_allclose(gradient, pb.grad(rosenbrock)(x), rtol=1e-4, atol=1e-2)


def test_rows_are_united_and_collected() -> None:
    rng = np.random.default_rng(1)
    for trial in range(40):
        count, size, n = rng.integers(1, 5), rng.integers(0, 6), int(rng.choice([3, 9, 400]))
        numbers = rng.integers(-1, n, size=(count, size)).astype(np.int32)
        if trial % 3 == 0:
            numbers[:] = np.resize(rng.permutation(n), count)[:, None]
        rows = np.where(numbers >= 0, rng.normal(size=numbers.shape), 0)
        expected = np.zeros((n, size))
        for r, e in np.ndindex(*numbers.shape):
            if numbers[r, e] >= 0:
                expected[numbers[r, e], e] += rows[r, e]
        got = collected(jnp.asarray(rows, jnp.float32), numbers, n)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
        pattern, places = merged(numbers)
        again = (
            jnp.asarray(rows, jnp.float32)
            if places is None
            else collected(jnp.asarray(rows, jnp.float32), places, pattern.count)
        )
        for e in range(size):
            own = pattern.numbers[:, e]
            assert len(set(own[own >= 0])) == (own >= 0).sum()
            assert set(own[own >= 0]) == set(numbers[numbers[:, e] >= 0, e])
        np.testing.assert_allclose(collected(again, pattern.numbers, n), expected, rtol=1e-5, atol=1e-6)


def test_united_patterns_broadcast() -> None:
    left, right = Pattern(np.arange(3).reshape(1, 3, 1)), Pattern(np.arange(4).reshape(1, 4))
    pattern, (a, b) = united((left, right))
    assert pattern.numbers.shape == (2, 3, 4)
    assert np.array_equal(np.take_along_axis(pattern.numbers, a, 0)[0], np.broadcast_to(np.arange(3)[:, None], (3, 4)))
    assert np.array_equal(np.take_along_axis(pattern.numbers, b, 0)[0], np.broadcast_to(np.arange(4), (3, 4)))
    assert united((left, Pattern(left.numbers)))[1] == [None, None]
