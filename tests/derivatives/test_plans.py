"""Plans: sparse Jacobians and Hessians equal dense ones, in every form, under every transformation."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import hessian_plan, jacobian_plan, load_plan
from tests.derivatives.test_detection import EXACT, N, _assembled, _smoother

X = jnp.array(np.random.default_rng(3).normal(size=N), jnp.float32)


def _reaction(u: Any) -> Any:
    return u * (1 - u) + jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1)


def _arrow(x: Any) -> Any:
    return jnp.concatenate([jnp.sum(x**2)[None], x[0] * x[1:]])


def _rosenbrock(x: Any) -> Any:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


SCALAR: dict[str, Any] = {
    "rosenbrock": _rosenbrock,
    "separable": lambda x: jnp.sum(jnp.sin(x) ** 2),
    "arrow": lambda x: x[0] * jnp.sum(x**2),
    "linear": lambda x: jnp.sum(x * 2),
    "dense": lambda x: jnp.sum(x) ** 3,
    "smoother": _smoother,
    "checkpoint": pb.checkpoint(_smoother),
    "jit": pb.jit(_rosenbrock),
    "while": lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.sin(c[1]) * c[1]), (0, x))[1].sum(),
}  # fmt: skip


def _same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, np.asarray(b).reshape(np.shape(a)), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", EXACT)
def test_jacobians(name: str) -> None:
    f = EXACT[name]
    if name == "transform":
        return  # complex results, below
    dense = pb.jacfwd(f)(X)
    plan = jacobian_plan(f, X)
    _same(plan.dense(X), dense)
    plan.check(X)


@pytest.mark.parametrize("coloring", ["columns", "rows", "bidirectional", "auto"])
@pytest.mark.parametrize("order", ["natural", "largest_first", "smallest_last", "incidence_degree", "best"])
def test_colorings(coloring: Any, order: str) -> None:
    for f in (_reaction, _arrow, _assembled):
        plan = jacobian_plan(f, X, coloring=coloring, order=order)
        _same(plan.dense(X), pb.jacrev(f)(X))


@pytest.mark.parametrize("coloring", ["star", "acyclic", "columns", "auto"])
@pytest.mark.parametrize("name", SCALAR)
def test_hessians(name: str, coloring: Any) -> None:
    plan = hessian_plan(SCALAR[name], X, coloring=coloring)
    expected = np.asarray(pb.hessian(SCALAR[name])(X))
    np.testing.assert_allclose(plan.dense(X), expected, rtol=1e-4, atol=1e-3)
    plan.check(X, rtol=1e-4)


def test_known_numbers_of_products() -> None:
    assert jacobian_plan(jnp.sin, X).num_products == 1
    assert jacobian_plan(_reaction, X).num_products == 3
    assert jacobian_plan(_arrow, X).num_products == 3
    assert jacobian_plan(jnp.sum, X).num_reverse == 1
    assert jacobian_plan(lambda x: jnp.ones(2), X).num_products == 0
    assert hessian_plan(_rosenbrock, X).num_products == 3
    assert hessian_plan(_rosenbrock, X, coloring="acyclic").num_products == 2
    assert hessian_plan(SCALAR["arrow"], X).num_products == 2
    assert hessian_plan(SCALAR["linear"], X).num_products == 0


def test_every_form() -> None:
    plan, dense = jacobian_plan(_reaction, X), pb.jacrev(_reaction)(X)
    values = plan.values(X)
    assert values.shape == (plan.pattern.nnz,) and values.dtype == np.float32
    for form, kind in (
        ("csr", scipy.sparse.csr_array),
        ("csc", scipy.sparse.csc_array),
        ("coo", scipy.sparse.coo_array),
    ):
        m = plan.matrix(X, format=form)
        assert isinstance(m, kind) and m.nnz == plan.pattern.nnz
        _same(m.toarray(), dense)
    _same(plan.bcoo(X).todense(), dense)
    _same(plan.bcsr(X).todense(), dense)
    a, b = plan.matrix(X), plan.matrix(2 * X)
    a.data[:] = 0
    a.indices[:] = 0
    _same(b.toarray(), pb.jacrev(_reaction)(2 * X))


def test_under_transformations() -> None:
    plan, hplan = jacobian_plan(_reaction, X), hessian_plan(_rosenbrock, X)
    batch = jnp.stack([X, 2 * X, jnp.zeros(N)])
    _same(pb.jit(plan.values)(X), plan.values(X))
    _same(pb.vmap(plan.values)(batch), jnp.stack([plan.values(x) for x in batch]))
    _same(pb.jit(pb.vmap(lambda x: plan.bcoo(x).todense()))(batch), pb.vmap(pb.jacrev(_reaction))(batch))
    _same(pb.grad(lambda x: (plan.values(x) ** 2).sum())(X), pb.grad(lambda x: (pb.jacfwd(_reaction)(x) ** 2).sum())(X))
    third = pb.jacfwd(lambda x: hplan.dense(x))(X)
    np.testing.assert_allclose(third, pb.jacfwd(pb.hessian(_rosenbrock))(X), rtol=1e-4, atol=1e-2)
    _same(lax.scan(lambda c, x: (c, plan.values(x)), 0, batch)[1], pb.vmap(plan.values)(batch))
    made_inside = pb.jit(lambda x: jacobian_plan(_reaction, x).values(x))
    _same(made_inside(X), plan.values(X))
    scaled = pb.jit(lambda s, x: pb.jacobian(lambda y: s * _reaction(y), sparse="auto")(x).todense())
    _same(scaled(3.0, X), 3 * pb.jacrev(_reaction)(X))


def test_trees() -> None:
    def f(p: Any, scale: Any) -> Any:
        return {"a": p["x"] * scale, "b": [p["y"].sum() * p["x"][0], p["y"] ** 2]}

    p = {"x": jnp.arange(3.0), "y": jnp.ones((2, 2))}
    plan, dense = jacobian_plan(f, p, 2.0), pb.jacrev(f)(p, 3.0)
    found, arrays = plan.matrix(p, 3.0), plan.dense(p, 3.0)
    assert pb.tree.structure(arrays) == pb.tree.structure(dense)
    for a, b in zip(pb.tree.leaves(arrays), pb.tree.leaves(dense)):
        assert a.shape == b.shape
        _same(a, b)
    _same(found["b"][0]["x"].toarray(), dense["b"][0]["x"].reshape(1, 3))
    _same(found["b"][1]["y"].toarray(), dense["b"][1]["y"].reshape(4, 4))
    _same(plan.bcoo(p, 3.0)["a"]["x"].todense(), dense["a"]["x"])
    pair = jacobian_plan(lambda x, y: x * y[::-1], X, X, argnums=(0, 1)).dense(X, 2 * X)
    _same(pair[0], np.diag(2 * X[::-1])), _same(pair[1], np.diag(X)[:, ::-1])
    g = lambda p: jnp.sum(p["x"] ** 2) * p["y"][0, 0] + jnp.sum(p["y"] ** 3)
    blocks, expected = hessian_plan(g, p).dense(p), pb.hessian(g)(p)
    for a, b in zip(pb.tree.leaves(blocks), pb.tree.leaves(expected)):
        _same(a, b)


def test_complex() -> None:
    z = jnp.array([1 + 2j, 3 - 1j, 0.5j])
    f = lambda z: z * jnp.roll(z, 1)
    for coloring in ("columns", "rows"):
        plan = jacobian_plan(f, z, holomorphic=True, coloring=coloring)  # type: ignore[arg-type]
        _same(plan.matrix(z).toarray(), pb.jacfwd(f, holomorphic=True)(z))
        plan.check(z)
    half = jacobian_plan(lambda x: jnp.fft.fft(x.reshape(3, 4)), X)
    assert half.num_forward == 4
    _same(half.matrix(X).toarray(), pb.jacfwd(lambda x: jnp.fft.fft(x.reshape(3, 4)))(X))
    h = hessian_plan(lambda z: jnp.sum(z**3), z, holomorphic=True)
    _same(h.matrix(z).toarray(), np.diag(6 * z))


def test_dtypes() -> None:
    with pb.enable_x64(True):
        x = jnp.linspace(0.0, 1.0, 5)
        assert jacobian_plan(_reaction, x).matrix(x).dtype == np.float64
        mixed = jacobian_plan(lambda a, b: a * b.astype(a.dtype), x, x.astype(jnp.float32), argnums=(0, 1))
        _same(mixed.dense(x, x.astype(jnp.float32))[0], np.diag(x))
    half = jnp.ones(4, jnp.bfloat16)
    assert jacobian_plan(jnp.square, half).values(half).dtype == jnp.bfloat16


def test_patterns_by_hand() -> None:
    expected = pb.jacrev(_reaction)(X)
    true = jacobian_plan(_reaction, X).pattern
    for given in (true, true.to_dense(), true.to_scipy(), (true.rows, true.columns), true.to_scipy().tocoo()):
        plan = jacobian_plan(_reaction, X, pattern=given)
        assert plan.pattern == true
        _same(plan.matrix(X).toarray(), expected)
    larger = jacobian_plan(_reaction, X, pattern=np.ones((N, N)))
    _same(larger.matrix(X).toarray(), expected)
    _same(hessian_plan(_rosenbrock, X, pattern=np.ones((N, N))).matrix(X).toarray(), pb.hessian(_rosenbrock)(X))


def test_wrong_patterns_are_found() -> None:
    wrong = jacobian_plan(_reaction, X, pattern=np.eye(N))
    with pytest.raises(ValueError, match=r"pattern of this plan is wrong.*rows 0, 1, 2, 3, 4, \.\.\. \(12 of 12\)"):
        wrong.check(X)
    missing = jacobian_plan(_reaction, X).pattern.to_dense()
    missing[4, 5] = False
    with pytest.raises(ValueError, match=r"in row 4 \(1 of 12\)"):
        jacobian_plan(_reaction, X, pattern=missing).check(X)
    with pytest.raises(ValueError, match="wrong"):
        hessian_plan(_rosenbrock, X, pattern=np.eye(N)).check(X)
    with pytest.raises(ValueError, match=r"shape \(3, 3\).*\(12, 12\)"):
        jacobian_plan(_reaction, X, pattern=np.eye(3))
    with pytest.raises(ValueError, match="symmetric"):
        hessian_plan(_rosenbrock, X, pattern=np.tri(N))


def test_local_plans() -> None:
    x = jnp.array([3.0, 1.0, 2.0])
    here = jacobian_plan(jnp.sort, x, local=True)
    assert here.num_products == 1 and jacobian_plan(jnp.sort, x).num_products == 3
    _same(here.matrix(x).toarray(), pb.jacfwd(jnp.sort)(x))
    here.check(x)
    with pytest.raises(ValueError, match="wrong"):
        here.check(x[::-1])


def test_files_and_pickles(tmp_path: Path) -> None:
    plans = [jacobian_plan(_reaction, X), jacobian_plan(_arrow, X), hessian_plan(_rosenbrock, X, coloring="acyclic")]
    for plan, f in zip(plans, (_reaction, _arrow, _rosenbrock)):
        plan.save(tmp_path / "plan.npz")
        loaded = load_plan(tmp_path / "plan.npz", f)
        copied = pickle.loads(pickle.dumps(plan))
        for other in (loaded, copied):
            assert type(other) is type(plan) and repr(other) == repr(plan)
            np.testing.assert_array_equal(other.values(X), plan.values(X))
    assert [p.name for p in tmp_path.iterdir()] == ["plan.npz"]
    (tmp_path / "text").write_text("no plan")
    with pytest.raises(ValueError, match="no file that a plan was saved to"):
        load_plan(tmp_path / "text", _arrow)
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="no file that a plan was saved to"):
        load_plan(tmp_path / "other.npz", _arrow)
    with pytest.raises(FileNotFoundError):
        load_plan(tmp_path / "absent.npz", _arrow)


def test_pictures() -> None:
    plan = jacobian_plan(_reaction, X)
    assert repr(plan).startswith("JacobianPlan(12 × 12, 36 places, columns: 3 column colors, 3 products)\n⠻⣦")
    assert "<svg" in plan._repr_html_()
    assert "1 row color and 2 column colors, 3 products" in repr(jacobian_plan(_arrow, X))


def test_jacobian_and_hessian_with_options() -> None:
    jac = pb.jacobian(_reaction, sparse="auto")
    assert isinstance(jac(X), scipy.sparse.csr_array)
    _same(jac(X).toarray(), pb.jacobian(_reaction)(X))
    assert type(pb.jit(jac)(X)).__name__ == "BCOO"
    for form in ("csr", "csc", "coo"):
        assert pb.jacobian(_reaction, sparse=form)(X).format == form
    assert type(pb.jacobian(_reaction, sparse="bcsr")(X)).__name__ == "BCSR"
    _same(pb.hessian(_rosenbrock, sparse="auto")(X).toarray(), pb.hessian(_rosenbrock)(X))
    m, aux = pb.jacobian(lambda x: (_reaction(x), "aux"), has_aux=True, sparse="csc")(X)
    assert aux == "aux" and m.shape == (N, N)
    _same(pb.jacobian(lambda x, *, s: s * x, sparse="auto")(X, s=3.0).toarray(), 3 * np.eye(N))
    for mode in ("forward", "reverse", "sparse"):
        found = pb.jacobian(lambda x: _reaction(x).reshape(3, 4), mode=mode)(X)
        assert found.shape == (3, 4, N)
        _same(found, pb.jacrev(lambda x: _reaction(x).reshape(3, 4))(X))


def test_a_plan_is_made_once_for_types(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    jac = pb.jacobian(lambda x: calls.append(1) or _reaction(x), sparse="auto")  # type: ignore[func-returns-value]
    jac(X), jac(2 * X)
    before = len(calls)
    jac(3 * X)
    assert len(calls) == before
    assert jac(jnp.ones(5)).shape == (5, 5)


def test_threads_share_a_plan() -> None:
    plan, found = jacobian_plan(_reaction, X), {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: plan.matrix(i * X).toarray()})) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(4):
        _same(found[i], pb.jacrev(_reaction)(i * X))


def test_errors() -> None:
    plan = jacobian_plan(_reaction, X)
    with pytest.raises(ValueError, match="plan is for arguments of shapes .12,., got .5,."):
        plan.values(jnp.ones(5))
    with pytest.raises(ValueError, match="format must be one of"):
        plan.matrix(X, format="dok")
    with pytest.raises(TypeError, match="traced.*bcoo"):
        pb.jit(plan.matrix)(X)
    with pytest.raises(TypeError, match="scalar.*\\(12,\\)"):
        hessian_plan(_reaction, X)
    with pytest.raises(ValueError, match="coloring must be"):
        jacobian_plan(_reaction, X, coloring="diagonal")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="coloring must be"):
        hessian_plan(_rosenbrock, X, coloring="rows")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="floating-point"):
        jacobian_plan(_reaction, jnp.arange(4))
    with pytest.raises(TypeError, match="holomorphic"):
        jacobian_plan(_reaction, 1j * X)
    with pytest.raises(TypeError, match="complex results of real arguments"):
        jacobian_plan(lambda x: 1j * x, X, coloring="rows")
    with pytest.raises(TypeError, match="takes a function"):
        jacobian_plan(None, X)  # type: ignore[arg-type]
    for options in (
        {"sparse": "yes"},
        {"mode": "backward"},
        {"sparse": "auto", "mode": "auto"},
        {"order": "search"},
        {"pattern": np.eye(N)},
    ):
        with pytest.raises(ValueError, match="jacobian"):
            pb.jacobian(_reaction, **options)  # type: ignore[arg-type]


def test_side_effects_happen_as_in_linearize(capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(x: Any) -> Any:
        pb.debug.print("seen")
        return x**2

    plan = jacobian_plan(noisy, X)
    assert capsys.readouterr().out == ""
    plan.values(X)
    pb.effects_barrier()
    assert capsys.readouterr().out == "seen\n"


def test_what_a_plan_is_for() -> None:
    f = lambda x, scale, n, mask: jnp.where(mask, x[::-1] * scale, x) * jnp.arange(x.size)[n:][0]
    mask = jnp.arange(N) < 3
    plan = jacobian_plan(f, X, 0.0, 2, mask)
    for scale, other in ((2.0, mask), (0.5, ~mask)):  # numbers and arrays may be others
        _same(plan.matrix(X, scale, 2, other).toarray(), pb.jacfwd(f)(X, scale, 2, other))
    with pytest.raises(ValueError, match="was made with 2 among the arguments that are no arrays, got 3"):
        plan.values(X, 0.0, 3, mask)
    with pytest.raises(ValueError, match=r"shapes \(12,\) \(and others of \(\), \(12,\)\), got \(3, 4\)"):
        plan.values(X.reshape(3, 4), 0.0, 2, mask)
    copied = pickle.loads(pickle.dumps(jacobian_plan(jnp.roll, X, 1)))
    with pytest.raises(ValueError, match="was made with 1"):
        copied.values(X, 2)


def test_short_floats() -> None:
    for dtype in (jnp.float16, jnp.bfloat16):
        x = jnp.arange(1, 5, dtype=dtype)
        plan = jacobian_plan(jnp.square, x)
        assert plan.values(x).dtype == dtype and plan.matrix(x).dtype == np.float32
        plan.check(x)


def test_broken_files(tmp_path: Path) -> None:
    jacobian_plan(_reaction, X).save(tmp_path / "plan.npz")
    content = (tmp_path / "plan.npz").read_bytes()
    for broken in (content[:200], content[:100] + b"x" + content[101:], b""):
        (tmp_path / "plan.npz").write_bytes(broken)
        with pytest.raises(ValueError, match="no file that a plan was saved to"):
            load_plan(tmp_path / "plan.npz", _reaction)
    np.savez(tmp_path / "part.npz", kind="jacobian_plan", version=1)
    with pytest.raises(ValueError, match="no file"):
        load_plan(tmp_path / "part.npz", _reaction)
    np.save(tmp_path / "array.npy", np.ones(2))
    with pytest.raises(ValueError, match="no file"):
        load_plan(tmp_path / "array.npy", _reaction)


def test_nothing_to_differentiate() -> None:
    for args, argnums in (((X,), ()), (({"a": None},), 0)):
        with pytest.raises(ValueError, match="no arrays"):
            jacobian_plan(lambda *_: X, *args, argnums=argnums)


def test_keywords_and_numbers_of_other_calls() -> None:
    f = lambda x, n, *, a: a * jnp.roll(x, n) + x
    jac, dense = pb.jacobian(f, sparse="csr"), pb.jacobian(f)
    for n, a in ((1, 0.0), (1, 2.0), (np.int64(2), np.float32(3)), (2, X)):
        _same(jac(X, n, a=a).toarray(), dense(X, n, a=a))
    made = []
    counted = pb.jacobian(lambda x, *, a: made.append(1) or a * x, sparse="csr")  # type: ignore[func-returns-value]
    counted(X, a=1.0), counted(X, a=2.0)
    before = len(made)
    counted(X, a=3.0)
    assert len(made) == before


def test_one_and_true_are_not_the_same() -> None:
    f = lambda x, n: x**2 if n is True else x * 3
    _same(pb.jacobian(f, sparse="csr")(X, True).toarray(), np.diag(2 * X))
    _same(pb.jacobian(f, sparse="csr")(X, 1).toarray(), 3 * np.eye(N))


def test_columns_of_hessians_make_no_use_of_symmetry() -> None:
    @pb.custom_jvp
    def squared(x: Any) -> Any:
        return x**2

    squared.defjvp(lambda primals, tangents: (squared(*primals), jnp.roll(tangents[0], 1) * primals[0]))
    f = lambda x: jnp.sum(squared(x) ** 2)
    _same(hessian_plan(f, X, coloring="columns").dense(X), pb.hessian(f)(X))
