"""Patterns against dense Jacobians: nothing is missing, and where the program says what is zero, nothing is too much."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import sparsity
from pullback.derivatives.sparsity_patterns import through_loops
from pullback.derivatives.sparsity_patterns.detection import dense_by_default, pattern_of_linear_program
from pullback.derivatives.sparsity_patterns.index_sets import TooDenseError
from pullback.experimental import sparse

N = 12
_rng = np.random.default_rng(7)
_matrix = jnp.array(_rng.normal(size=(N, N)) * (_rng.random((N, N)) < 0.3), jnp.float32)
_coo, _csr = sparse.BCOO.fromdense(_matrix), sparse.BCSR.fromdense(_matrix)
_five_points = jnp.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
_triangles = np.array([[k, k + 1, (k + 5) % N] for k in range(N - 1)])


@pb.custom_jvp
def _straight_through(x: Any) -> Any:
    return jnp.round(x)


_straight_through.defjvp(lambda primals, tangents: (_straight_through(*primals), tangents[0]))


@pb.custom_vjp
def _reversed(x: Any) -> Any:
    return jnp.sin(x)


_reversed.defvjp(lambda x: (_reversed(x), None), lambda _, ct: (ct[::-1],))


def _lstm(x: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        hidden, cell = carry
        a, b, c, d = jnp.split(_matrix[:12, :5] @ jnp.concatenate([hidden, x]), 4)
        cell = pb.nn.sigmoid(a) * cell + pb.nn.sigmoid(b) * jnp.tanh(c)
        hidden = pb.nn.sigmoid(d) * jnp.tanh(cell)
        return (hidden, cell), hidden

    return lax.scan(step, (jnp.ones(3), jnp.ones(3)), x.reshape(-1, 2))[1]


def _smoother(x: Any) -> Any:
    observed = jnp.linspace(0.0, 1.0, N // 2)

    def step(before: Any, xy: Any) -> Any:
        now, y = xy
        return now, jnp.sum((now - jnp.tanh(before)) ** 2) + y * now[0] ** 3

    states = x.reshape(-1, 2)
    return lax.scan(step, states[0], (states, observed))[1].sum()


def _counted(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.sin(c[1]) * jnp.roll(c[1], 1)), (0, x))[1]


def _assembled(u: Any) -> Any:
    nodes = u[_triangles]
    local = jnp.stack([nodes[:, 0] * nodes[:, 1], nodes[:, 1] ** 2, nodes[:, 2] * nodes[:, 0]], 1)
    return pb.ops.segment_sum(local.reshape(-1), _triangles.reshape(-1), N)


#: Functions of N numbers of which the pattern is exactly that of the Jacobian at random points.
EXACT: dict[str, Any] = {
    "elementwise": lambda x: jnp.sin(x) * 2 + x**2,
    "constant": lambda x: jnp.ones(3),
    "stopped": lambda x: lax.stop_gradient(x) * 2,
    "discrete": lambda x: jnp.floor(x) + (x > 0),
    "rolled": lambda x: jnp.roll(x, 1) * x[::-1] + x[jnp.arange(N)[::-1]],
    "differences": lambda x: jnp.diff(x) ** 2,
    "sums": jnp.cumsum,
    "products": lambda x: jnp.cumprod(x),
    "matrix": lambda x: jnp.tanh(_matrix @ x),
    "matrices": lambda x: x.reshape(3, 4) @ x.reshape(4, 3),
    "einsum": lambda x: jnp.einsum("ijk,lk->jil", x.reshape(2, 3, 2), jnp.tri(3, 2)),
    "padded": lambda x: jnp.pad(x, 2),
    "triangle": lambda x: jnp.tril(x.reshape(3, 4)),
    "pieces": lambda x: jnp.concatenate([x[:2], x * 2, x[5:]]),
    "mask": lambda x: jnp.where(jnp.arange(N) % 3 == 0, x, 1.0) * (jnp.arange(N) % 2),
    "scattered": lambda x: jnp.zeros(4).at[jnp.arange(N) % 4].add(x),
    "replaced": lambda x: x.at[jnp.array([1, 1, 3])].set(x[:3] ** 2),
    "multiplied": lambda x: x.at[jnp.array([1, 3])].multiply(x[5:7]),
    "windows": lambda x: lax.reduce_window(x, 0.0, lax.add, (3,), (2,), "SAME"),
    "convolved": lambda x: jnp.convolve(x, jnp.array([1.0, 2.0, 3.0])),
    "convolution": lambda x: lax.conv_general_dilated(
        x.reshape(1, 2, 6), jnp.ones((4, 1, 3)), (2,), [(1, 0)], rhs_dilation=(2,), feature_group_count=2
    ),
    "five points": lambda x: lax.conv(x.reshape(1, 1, 3, 4), _five_points, (1, 1), "SAME"),
    "channels": lambda x: lax.conv_general_dilated(
        x.reshape(1, 4, 3), jnp.arange(24.0).reshape(4, 2, 3) % 3, (1,), "SAME", feature_group_count=2
    ),
    "kernel": lambda k: lax.conv(jnp.ones((1, 2, 9)), k.reshape(2, 2, 3), (1,), "VALID"),
    "transform": lambda x: jnp.fft.fft(x.reshape(3, 4)),
    "complex": lambda x: jnp.abs(x[:6] + 1j * x[6:]),
    "scan": lambda x: lax.scan(lambda c, v: (jnp.sin(c * v), c), 0.5, x)[1],
    "reverse scan": lambda x: lax.scan(lambda c, v: (jnp.sin(c + v), c), 0.5, x, reverse=True)[1],
    "short memory": lambda x: lax.scan(lambda c, v: ((v, c[0]), c[1] * v), (0.5, 0.5), x)[1],
    "last": lambda x: lax.scan(lambda c, v: (c * 0.5 + v, None), x[:2], jnp.ones(3))[0],
    "map": lambda x: lax.map(jnp.sin, x),
    "map of rows": lambda x: lax.map(lambda row: row @ x[:3], x.reshape(4, 3)),
    "empty scan": lambda x: lax.scan(lambda c, v: (c * v, c), x[0], x[:0])[0],
    "lstm": _lstm,
    "steps": lambda x: lax.fori_loop(0, 3, lambda i, x: x.at[i].set(jnp.sin(x[i + 1])), x),
    "counted": _counted,
    "assembly": _assembled,
    "cond": lambda x: lax.cond(jnp.sum(x) > 1e9, lambda x: x * 2, lambda x: x**2, x),
    "known branch": lambda x: lax.switch(2, [lambda x: x, lambda x: x[::-1], lambda x: x**2], x),
    "vmap of cond": lambda x: pb.vmap(lambda a, b: lax.cond(a > 0, lambda b: b**2, lambda b: b, b))(x, jnp.roll(x, 1)),
    "jit": pb.jit(lambda x: jnp.sin(x[1:])),
    "checkpoint": pb.checkpoint(lambda x: jnp.sin(x[1:]) * x[:-1]),
    "straight through": _straight_through,
    "custom_vjp": _reversed,
    "gradient": pb.grad(lambda x: jnp.sum(x[1:] * x[:-1] ** 2)),
    "gradient of a scan": pb.grad(_smoother),
    "gradient of a checkpoint": pb.grad(pb.checkpoint(_smoother)),
    "gradient of a while": pb.grad(lambda x: _counted(x).sum()),
    "gradient of a linear function": pb.grad(lambda x: jnp.sum(x * 3)),
    "solve": lambda x: pb.vmap(lambda b: jnp.linalg.solve(2 * jnp.eye(2) + 1, b))(x.reshape(6, 2)),
    "sparse product": lambda x: jnp.sin(_coo @ x),
    "sparse rows": lambda x: jnp.sin(_csr @ x),
    "associative": lambda x: lax.associative_scan(jnp.multiply, x),
    "vmap": lambda x: pb.vmap(jnp.multiply)(x[:6], x[6:]),
    "slice": lambda x: lax.dynamic_slice(x, (jnp.int32(2),), (3,)),
    "update": lambda x: lax.dynamic_update_slice(x, x[:2] ** 2, (4,)),
    "nothing": lambda x: x[:0],
}  # fmt: skip
#: Functions of which the pattern for all arguments is larger than the Jacobian at any one.
DATA_DEPENDENT: dict[str, Any] = {
    "sort": jnp.sort,
    "maximum": lambda x: jnp.maximum(x, x[::-1]),
    "where": lambda x: jnp.where(x > 0, x, x[::-1]),
    "cond": lambda x: lax.cond(x[0] > 0, lambda x: x * 2, lambda x: x[::-1], x),
    "while": lambda x: lax.while_loop(lambda c: c[0].sum() < 3, lambda c: (c[0] + 1, jnp.roll(c[1], 1)), (x[:1], x))[1],
    "indexed": lambda x: x[jnp.argsort(x)[:4]],
    "dynamic slice": lambda x: lax.dynamic_slice(x.reshape(3, 4), (jnp.argmax(x) % 2, 0), (2, 2)),
    "dynamic update": lambda x: lax.dynamic_update_slice(x, x[:2] ** 2, (jnp.argmax(x),)),
    "set": lambda x: x.at[jnp.argmax(x)].set(x[0] ** 2),
    "added": lambda x: jnp.zeros((4, 3)).at[jnp.argsort(x)[:2]].add(x[:6].reshape(2, 3)),
    "put": lambda x: jnp.put_along_axis(x, jnp.argsort(x)[:1], x[:1] ** 2, 0, inplace=False),
    "steps": lambda x: lax.fori_loop(0, 3, lambda i, c: c.at[jnp.argmax(c)].set(c[i]), x),
    "interp": lambda x: jnp.interp(jnp.linspace(0, 9, 15), jnp.sort(x), x),
    "top": lambda x: lax.top_k(x, 3)[0],
    "cholesky": lambda x: jnp.linalg.cholesky(jnp.eye(3) * 50 + x[:9].reshape(3, 3)),
    "svd": lambda x: jnp.linalg.svd(x.reshape(3, 4), compute_uv=False),
    "solver": lambda x: pb.scipy.sparse.linalg.cg(lambda v: 2 * v, x)[0],
}  # fmt: skip


def _jacobian(f: Any, points: int) -> Any:
    total = 0
    for i in range(points):
        x = jnp.array(np.random.default_rng(i).normal(size=N), jnp.float32)
        total = total + abs(np.asarray(pb.jacfwd(f)(x)).reshape(-1, N))
    return total != 0


@pytest.mark.parametrize("name", EXACT)
def test_exact(name: str) -> None:
    pattern = sparsity(EXACT[name], jnp.ones(N))
    np.testing.assert_array_equal(pattern.to_dense(), _jacobian(EXACT[name], 4))


@pytest.mark.parametrize("name", DATA_DEPENDENT)
def test_data_dependent(name: str) -> None:
    f = DATA_DEPENDENT[name]
    everywhere = sparsity(f, jnp.ones(N)).to_dense()
    assert not (_jacobian(f, 4) & ~everywhere).any()
    for i in range(3):
        x = jnp.array(np.random.default_rng(i).normal(size=N), jnp.float32)
        here = sparsity(f, x, local=True).to_dense()
        jacobian = np.asarray(pb.jacfwd(f)(x)).reshape(-1, N) != 0
        assert not (jacobian & ~here).any()
        assert not (here & ~everywhere).any()
        if name in (
            "sort",
            "maximum",
            "where",
            "cond",
            "while",
            "indexed",
            "dynamic slice",
            "dynamic update",
            "set",
            "steps",
            "top",
        ):
            np.testing.assert_array_equal(here, jacobian)


@pytest.mark.parametrize("name", EXACT)
def test_local_is_within_global(name: str) -> None:
    x = jnp.array(np.random.default_rng(0).normal(size=N), jnp.float32)
    here, everywhere = sparsity(EXACT[name], x, local=True).to_dense(), sparsity(EXACT[name], x).to_dense()
    assert not (here & ~everywhere).any()
    assert not ((np.asarray(pb.jacfwd(EXACT[name])(x)).reshape(-1, N) != 0) & ~here).any()


def test_zeros_at_the_point_are_left_out() -> None:
    x = jnp.array([0.0, 2.0])
    assert sparsity(lambda x: x[0] * x[1], x).nnz == 2
    assert sparsity(lambda x: x[0] * x[1], x, local=True).columns.tolist() == [0]


def test_long_scans_by_rounds_and_step_by_step_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = [
        EXACT[n] for n in ("scan", "reverse scan", "short memory", "map", "map of rows", "lstm", "gradient of a scan")
    ]
    at_once = [sparsity(f, jnp.ones(N)) for f in functions]
    monkeypatch.setattr(through_loops, "_TILED", 0)
    assert [sparsity(f, jnp.ones(N)) for f in functions] == at_once


def test_steps_beyond_the_limit_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    f = EXACT["steps"]
    exact = sparsity(f, jnp.ones(N))
    monkeypatch.setattr(through_loops, "STEPS", 2)
    coarse = sparsity(f, jnp.ones(N))
    assert exact in coarse and coarse.nnz > exact.nnz


def test_patterns_hold_for_other_values_of_what_is_not_differentiated() -> None:
    f = lambda x, mask, i: jnp.where(mask, x, x[::-1])[i]
    pattern = sparsity(f, jnp.ones(4), jnp.ones(4, bool), jnp.arange(2))
    assert pattern.nnz == 8
    local = sparsity(f, jnp.ones(4), jnp.ones(4, bool), jnp.arange(2), local=True)
    np.testing.assert_array_equal(local.to_dense(), np.eye(4, dtype=bool)[:2])


def test_known_values_of_any_length_and_kind() -> None:
    def chained(x: Any) -> Any:
        i = jnp.int32(0)
        for _ in range(300):
            i = (i + 1) % 4
        return x[i] * x

    assert sparsity(chained, jnp.ones(4)).nnz == 7  # column 0, and the diagonal

    def dropped(x: Any) -> Any:
        def step(c: Any, key: Any) -> Any:
            return jnp.where(pb.random.bernoulli(key, 0.5, (4,)), c * 2, c), None

        return lax.scan(step, x, pb.random.split(pb.random.key(0), 5))[0]

    np.testing.assert_array_equal(sparsity(dropped, jnp.ones(4)).to_dense(), np.eye(4, dtype=bool))


def test_local_follows_python() -> None:
    f = lambda x: x if x[0] > 0 else x[::-1]
    assert sparsity(f, jnp.array([1.0, 2.0]), local=True).columns.tolist() == [0, 1]
    assert sparsity(f, jnp.array([-1.0, 2.0]), local=True).columns.tolist() == [1, 0]


def test_loops_of_which_the_last_state_is_asked_for() -> None:
    heat = lambda u: lax.fori_loop(0, 1000, lambda i, u: u + 0.01 * (jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1)), u)
    assert sparsity(heat, jnp.ones(300)).nnz == 90_000
    shifted = lambda u: lax.fori_loop(0, 7, lambda i, u: jnp.roll(u, 1) * 2, u)
    np.testing.assert_array_equal(sparsity(shifted, jnp.ones(9)).to_dense(), np.roll(np.eye(9), 7, 0) != 0)


def test_loops_in_loops_take_linear_time() -> None:
    def nested(depth: int, c: Any) -> Any:
        if not depth:
            return jnp.sin(c)
        again = lambda s: (s[0] < 3) & (jnp.sum(s[1] ** 2) > 0.01)
        return lax.while_loop(again, lambda s: (s[0] + 1, nested(depth - 1, s[1]) * jnp.roll(s[1], 1)), (0, c))[1]

    for f in (lambda x: nested(4, x), pb.grad(lambda x: nested(3, x).sum())):
        assert sparsity(f, jnp.ones(4)).nnz == 16


def test_arguments_that_are_no_arrays_are_constants() -> None:
    f = lambda x, n, kind: jnp.sum(x[:n]) if kind == "sum" else x
    assert sparsity(f, jnp.ones(4), 2, "sum").nnz == 2


def test_trees_give_trees_of_blocks() -> None:
    f = lambda d, y: {"a": d["x"] * y, "b": (d["x"][0], y)}
    found = sparsity(f, {"x": jnp.ones(3), "z": jnp.ones((2, 2))}, jnp.ones(3), argnums=(0, 1))
    assert found["a"][0]["x"].to_dense().tolist() == np.eye(3, dtype=bool).tolist()
    assert found["a"][0]["z"].shape == (3, 4) and not found["a"][0]["z"].nnz
    assert found["b"][0][0]["x"].columns.tolist() == [0] and found["b"][1][1].nnz == 3
    single = sparsity(f, {"x": jnp.ones(3), "z": jnp.ones((2, 2))}, jnp.ones(3))
    assert single["a"]["x"] == found["a"][0]["x"]


def test_inside_transformations() -> None:
    a = jnp.ones(3)

    def outer(x: Any) -> Any:
        assert sparsity(lambda y: y * x[::-1], a).nnz == 3
        return x.sum()

    outer(a), pb.grad(outer)(a), pb.vmap(outer)(jnp.ones((2, 3))), pb.jit(outer)(a)


def test_linear_programs() -> None:
    _, f_lin = pb.linearize(lambda x, y: jnp.cumsum(x) + y, jnp.ones(3), jnp.ones(3))
    expected = np.hstack([np.tri(3), np.eye(3)]) != 0
    np.testing.assert_array_equal(pattern_of_linear_program(f_lin.program()).to_dense(), expected)


def test_what_is_dense_by_default_is_known() -> None:
    names = {p.name for p in dense_by_default()}
    assert {"eigh", "svd", "qr"} <= names
    assert not names & {
        "sin",
        "mul",
        "gather",
        "scatter_add",
        "scan",
        "while",
        "cond",
        "dot_general",
        "conv_general_dilated",
    }


def test_errors() -> None:
    with pytest.raises(TypeError, match="floating-point.*int32"):
        sparsity(lambda x: x, jnp.arange(3))
    with pytest.raises(TypeError, match="results must be floating-point"):
        sparsity(jnp.argmax, jnp.ones(3))
    with pytest.raises(TypeError, match="takes a function"):
        sparsity(3, jnp.ones(3))  # type: ignore[arg-type]
    with pytest.raises(TooDenseError, match="more than .* places"):
        sparsity(jnp.cumsum, jnp.ones(100_000))
    with pytest.raises(TooDenseError, match="places"):
        sparsity(lambda x: x[:, None] * jnp.sum(x), jnp.ones(30_000))


def test_rules_are_there_in_a_process_of_its_own() -> None:
    program = """
import pullback as pb, pullback.numpy as jnp
print(pb.sparsity(jnp.diff, jnp.ones(5)).nnz, pb.taylor_coefficients(jnp.exp, 0.0, 1.0, 2)[2], float(pb.laplacian(lambda x: x @ x)(jnp.ones(2))))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["8", "0.5", "4.0"]


def test_loops_whose_carry_depends_on_nothing() -> None:
    stopped = lambda x: lax.scan(lambda c, _: (c + lax.stop_gradient(x).sum(), None), 0.0, None, length=3)[0] * x
    np.testing.assert_array_equal(sparsity(stopped, jnp.ones(3)).to_dense(), np.eye(3, dtype=bool))


def test_a_number_that_a_loop_has_counted_is_unknown_after_it() -> None:
    def f(x: Any) -> Any:
        i, y = lax.fori_loop(0, 3, lambda k, c: (c[0] + 1, c[1] * 2), (0, x))
        return x[i] * x + y

    pattern, dense = sparsity(f, jnp.ones(4)).to_dense(), pb.jacfwd(f)(jnp.ones(4))
    assert not ((np.asarray(dense) != 0) & ~pattern).any()
