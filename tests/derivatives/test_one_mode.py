"""Both modes from one: of functions with a pushforward or a pullback only, by Pullback or by Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core.types import ShapeDtypeStruct
from pullback.derivatives.one_mode import differentiable_callback, jvp_from_vjp, vjp_from_jvp
from pullback.test_util import check_grads

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 3))


# ---- one function, by Pullback and by NumPy: f(x, n) = (sin(A x) * n, |x|²), n integers ------------


def value(x: Any, n: Any) -> Any:
    return {"s": jnp.sin(jnp.asarray(A) @ x) * n, "r": jnp.sum(x * x)}


def push(primals: Any, tangents: Any) -> Any:
    (x, n), (t, _) = primals, tangents
    a = jnp.asarray(A)
    return {"s": jnp.cos(a @ x) * (a @ t) * n, "r": 2 * jnp.sum(x * t)}


def pull(primals: Any, ct: Any) -> Any:
    x, n = primals
    a = jnp.asarray(A)
    return a.T @ (jnp.cos(a @ x) * n * ct["s"]) + 2 * x * ct["r"], None


class OfNumPy:
    """The same on the host, which counts its calls; of one argument, or with axes of batches in front."""

    def __init__(self) -> None:
        self.values = self.pushes = self.pulls = 0

    def value(self, x: Any, n: Any) -> Any:
        self.values += 1
        x, n = np.asarray(x), np.asarray(n)
        s = np.sin(x @ A.T) * n
        return {"s": s, "r": np.broadcast_to(np.sum(x * x, -1), s.shape[:-1])}  # of one batch, whoever has it

    def push(self, primals: Any, tangents: Any) -> Any:
        self.pushes += 1
        (x, n), (t, zero) = [[np.asarray(v) for v in vs] for vs in (primals, tangents)]
        assert zero.dtype == pb.dtypes.float0
        return {"s": np.cos(x @ A.T) * (t @ A.T) * n, "r": 2 * np.sum(x * t, -1)}

    def pull(self, primals: Any, ct: Any) -> Any:
        self.pulls += 1
        x, n = [np.asarray(v) for v in primals]
        return (np.cos(x @ A.T) * n * np.asarray(ct["s"])) @ A + 2 * x * np.asarray(ct["r"])[..., None], None


def of_host(host: OfNumPy, *, rules: str, method: str = "sequential") -> Any:
    def f(x: Any, n: Any) -> Any:
        types = {"s": ShapeDtypeStruct((4,), x.dtype), "r": ShapeDtypeStruct((), x.dtype)}
        given: Any = {name: getattr(host, {"jvp": "push", "vjp": "pull"}[name]) for name in rules.split("+")}
        return differentiable_callback(host.value, types, x, n, vmap_method=method, **given)

    return f


def kinds() -> dict[str, Any]:
    host = OfNumPy()
    return {
        "vjp": jvp_from_vjp(value, pull),
        "jvp": vjp_from_jvp(value, push),
        "own vjp": jvp_from_vjp(value),
        "own jvp": vjp_from_jvp(value),
        "host vjp": of_host(host, rules="vjp"),
        "host jvp": of_host(host, rules="jvp"),
        "host both": of_host(host, rules="jvp+vjp"),
        "host vjp in batches": of_host(host, rules="vjp", method="expand_dims"),
        "host jvp in batches": of_host(host, rules="jvp", method="broadcast_all"),
    }


N = np.arange(1, 5)


@pytest.fixture
def x64() -> Any:
    with pb.enable_x64(True):
        yield


@pytest.mark.parametrize("kind", kinds())
def test_both_modes_are_those_of_the_function_under_all_transformations(kind: str, x64: None) -> None:
    f: Any = kinds()[kind]
    x, t = jnp.array(RNG.normal(size=3)), jnp.array(RNG.normal(size=3))
    zero = np.zeros(N.shape, pb.dtypes.float0)
    ct = {"s": jnp.array(RNG.normal(size=4)), "r": jnp.array(0.3)}
    close = lambda a, b: pb.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-12), a, b)
    reference = lambda x: value(x, N)
    of_x = lambda x: f(x, N)
    close(of_x(x), reference(x))
    y, t_out = pb.jvp(f, (x, N), (t, zero))
    close((y, t_out), pb.jvp(value, (x, N), (t, zero)))
    y, f_vjp = pb.vjp(f, x, N)
    back = f_vjp(ct)
    assert back[1].dtype == pb.dtypes.float0
    close(back[0], pb.vjp(reference, x)[1](ct)[0])
    # ⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩
    assert np.isclose(sum(jnp.vdot(ct[k], t_out[k]) for k in ct), jnp.vdot(back[0], t))
    for transform in (pb.jacfwd, pb.jacrev, lambda g: pb.jit(pb.jacfwd(g)), lambda g: pb.jit(pb.jacrev(g))):
        close(transform(of_x)(x), pb.jacrev(reference)(x))
    xs = jnp.array(RNG.normal(size=(5, 3)))
    total = lambda g: lambda x: sum(jnp.sum(v) for v in pb.tree.leaves(g(x)))
    close(pb.vmap(pb.grad(total(of_x)))(xs), pb.vmap(pb.grad(total(reference)))(xs))
    close(pb.vmap(pb.jacfwd(of_x))(xs), pb.vmap(pb.jacrev(reference))(xs))
    # The primal the same for all, cotangents of a batch; and integers of a batch.
    cts = {"s": jnp.array(RNG.normal(size=(5, 4))), "r": jnp.ones(5)}
    close(pb.vmap(lambda ct: pb.vjp(of_x, x)[1](ct)[0])(cts), pb.vmap(lambda ct: pb.vjp(reference, x)[1](ct)[0])(cts))
    ns = jnp.arange(20).reshape(5, 4)
    close(pb.vmap(lambda n: pb.jacfwd(f)(x, n))(ns), pb.vmap(lambda n: pb.jacrev(value)(x, n))(ns))
    _, f_lin = pb.linearize(of_x, x)
    close(f_lin.T(ct), pb.linearize(reference, x)[1].T(ct))
    check_grads(of_x, (x,), 1)


@pytest.mark.parametrize("kind", ["vjp", "jvp", "own vjp", "host vjp", "host jvp"])
def test_loops_and_branches(kind: str, x64: None) -> None:
    f: Any = kinds()[kind]

    def steps(f: Any) -> Any:
        step = lambda x: 0.3 * f(x, N)["s"][:3] + 0.1 * f(x, N)["r"]
        by_scan = lambda x: lax.scan(lambda c, _: (step(c), c), x, None, length=3)[0]
        by_while = lambda x: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, step(c[1])), (0, x))[1]
        by_cond = lambda x: lax.cond(x[0] > 0, step, lambda x: 2 * step(x), x)
        return lambda x: (by_scan(x) + by_while(x) + by_cond(x)).sum()

    x = jnp.array([0.2, -0.4, 0.6])
    expected = pb.grad(steps(value))(x)
    np.testing.assert_allclose(pb.grad(steps(f))(x), expected, rtol=1e-8)
    np.testing.assert_allclose(pb.jit(pb.jacfwd(steps(f)))(x), expected, rtol=1e-8)


@pytest.mark.parametrize("kind", ["vjp", "jvp", "own vjp", "own jvp"])
def test_any_order_where_the_rules_can_be_differentiated(kind: str, x64: None) -> None:
    f: Any = kinds()[kind]
    x = jnp.array([0.2, -0.4, 0.6])
    check_grads(lambda x: f(x, N), (x,), 2)
    total = lambda f: lambda x: sum(jnp.sum(v) for v in pb.tree.leaves(f(x, N)))
    np.testing.assert_allclose(pb.hessian(total(f))(x), pb.hessian(total(value))(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(pb.jacrev(pb.jacfwd(total(f)))(x), pb.hessian(total(value))(x), rtol=1e-9, atol=1e-12)


def test_how_often_python_is_called(x64: None) -> None:
    x, t, zero = jnp.ones(3), jnp.ones(3), np.zeros(N.shape, pb.dtypes.float0)
    for rules, pushes, pulls in [("jvp+vjp", 1, 0), ("jvp", 1, 0), ("vjp", 0, 5)]:  # five results
        host = OfNumPy()
        pb.jvp(of_host(host, rules=rules), (x, N), (t, zero))
        assert (host.values, host.pushes, host.pulls) == (1, pushes, pulls)
    for rules, pushes, pulls in [("jvp+vjp", 0, 1), ("jvp", 3, 0), ("vjp", 0, 1)]:  # three arguments
        host = OfNumPy()
        y, f_vjp = pb.vjp(of_host(host, rules=rules), x, N)
        f_vjp(pb.tree.map(jnp.ones_like, y))
        assert (host.values, host.pushes, host.pulls) == (1, pushes, pulls)
    host = OfNumPy()
    pb.jvp(of_host(host, rules="vjp", method="expand_dims"), (x, N), (t, zero))
    assert host.pulls == 2  # a batch for each result, of four and of one


def test_basis_vectors_come_in_batches_of_bounded_size() -> None:
    sizes = []

    def pushed(primals: Any, tangents: Any) -> Any:
        sizes.append(np.shape(tangents[0])[:-1])
        return 2 * np.asarray(tangents[0])

    f = lambda x: differentiable_callback(lambda x: 2 * np.asarray(x), x, x, jvp=pushed, vmap_method="expand_dims")
    np.testing.assert_array_equal(pb.grad(lambda x: f(x).sum())(jnp.ones(300)), np.full(300, 2.0))
    assert sizes == [(128,), (128,), (44,)]
    sizes.clear()
    pb.vmap(pb.grad(lambda x: f(x).sum()))(jnp.ones((2, 3)))
    assert sizes == [(3, 1)]


def test_second_derivatives_of_host_functions_by_rules_with_rules(x64: None) -> None:
    """x³ by NumPy, and its pullback, and the pullback of that."""
    host = lambda g: lambda *xs: g(*[np.asarray(x) for x in xs])
    cube_pull = host(lambda x, ct: 3 * x**2 * ct)
    pull_pull = lambda primals, ct: host(lambda x, c, ct: (6 * x * c * ct, 3 * x**2 * ct))(*primals, ct)

    def pulled(primals: Any, ct: Any) -> Any:
        (x,) = primals
        return (differentiable_callback(cube_pull, x, x, ct, vjp=pull_pull),)

    f = jvp_from_vjp(lambda x: pb.pure_callback(host(lambda x: x**3), x, x, vmap_method="sequential"), pulled)
    x = jnp.array([0.5, -1.5])
    check_grads(f, (x,), 2)
    for second in (pb.jacfwd(pb.jacrev(f)), pb.jacrev(pb.jacfwd(f)), pb.jit(pb.jacrev(pb.jacrev(f)))):
        np.testing.assert_allclose(second(x).sum(0), np.diag(6 * x), rtol=1e-12)


def test_the_derivative_of_a_rule_without_derivative_says_what_to_do() -> None:
    f = lambda x: differentiable_callback(np.sin, x, x, jvp=lambda xs, ts: np.cos(xs[0]) * np.asarray(ts[0]))
    for second in (pb.grad(pb.grad(f)), pb.jacfwd(pb.jacfwd(f)), pb.hessian(f), pb.jit(pb.hessian(f))):
        with pytest.raises(ValueError, match=r"jvp_from_vjp.*vjp_from_jvp"):
            second(0.5)
    # In the cotangent alone it is linear, and that is known.
    _, f_vjp = pb.vjp(f, jnp.float32(0.5))
    np.testing.assert_allclose(pb.grad(lambda ct: f_vjp(ct)[0])(jnp.float32(2.0)), np.cos(0.5), rtol=1e-6)
    with pytest.raises(ValueError, match="differentiable_callback"):
        pb.grad(lambda x: pb.pure_callback(np.sin, x, x))(0.5)


def test_linear_in_the_cotangents_also_where_rules_have_no_derivative() -> None:
    callback = lambda x, ct: pb.pure_callback(lambda x, ct: 3 * np.asarray(x) ** 2 * np.asarray(ct), x, x, ct)
    f = jvp_from_vjp(lambda x: x**3, lambda primals, ct: (callback(primals[0], ct),))
    x = jnp.float32(2.0)
    _, f_vjp = pb.vjp(f, x)
    assert pb.jvp(lambda ct: f_vjp(ct)[0], (x,), (x,)) == (24.0, 24.0)
    assert pb.jit(pb.grad(lambda ct: f_vjp(ct)[0]))(x) == 12.0
    with pytest.raises(ValueError, match="Pure callbacks do not support JVP"):
        pb.grad(pb.grad(f))(x)


def test_callbacks_in_rules_of_custom_functions_are_transposed() -> None:
    """Without a `vmap_method`, too: basis vectors are given one by one."""
    types = ShapeDtypeStruct((4,), np.float32)
    a = A.astype(np.float32)

    @pb.custom_jvp
    def f(x: Any) -> Any:
        return jnp.asarray(a) @ x

    @f.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return f(*primals), pb.pure_callback(lambda t: a @ np.asarray(t), types, tangents[0])

    x, ct = jnp.ones(3), jnp.arange(4.0)
    np.testing.assert_allclose(pb.vjp(f, x)[1](ct)[0], a.T @ ct, rtol=1e-5)
    np.testing.assert_allclose(pb.jit(lambda ct: pb.vjp(f, x)[1](ct)[0])(ct), a.T @ ct, rtol=1e-5)

    @pb.custom_vjp
    def g(x: Any) -> Any:
        return jnp.asarray(a) @ x

    g.defvjp(lambda x: (g(x), None), lambda _, ct: (pb.pure_callback(lambda c: a.T @ np.asarray(c), x, ct),))
    np.testing.assert_allclose(pb.jvp(g, (x,), (x,))[1], a @ x, rtol=1e-5)
    np.testing.assert_allclose(pb.jvp(jvp_from_vjp(g), (x,), (x,))[1], a @ x, rtol=1e-5)
    np.testing.assert_allclose(
        pb.linear_transpose(lambda c: pb.pure_callback(lambda c: a.T @ np.asarray(c), x, c), ct)(x)[0], a @ x, rtol=1e-5
    )
    with pytest.raises(TypeError, match="no floating numbers"):
        pb.linear_transpose(lambda c: pb.pure_callback(lambda c: 3, jnp.int32(0), c), ct)


def test_complex_numbers_need_not_be_differentiated_as_such(x64: None) -> None:
    """f(z) = (conj(z) w, |w|²): real linear, not complex linear."""

    def value(z: Any, w: Any) -> Any:
        return np.conj(z) * w, abs(np.asarray(w)) ** 2

    def pushed(primals: Any, tangents: Any) -> Any:
        (z, w), (t, s) = [[np.asarray(v) for v in vs] for vs in (primals, tangents)]
        return np.conj(t) * w + np.conj(z) * s, 2 * (np.conj(w) * s).real

    def pulled(primals: Any, cts: Any) -> Any:
        z, w = [np.asarray(v) for v in primals]
        c, d = [np.asarray(v) for v in cts]
        return np.conj(c * w), c * np.conj(z) + 2 * d * np.conj(w)

    z, w, t, s = jnp.array(RNG.normal(size=(4, 2)) + 1j * RNG.normal(size=(4, 2)))
    reference = lambda z, w: (jnp.conj(z) * w, jnp.abs(w) ** 2)
    for rules in ({"jvp": pushed}, {"vjp": pulled}, {"jvp": pushed, "vjp": pulled}):
        for method in ("sequential", "expand_dims", "broadcast_all"):
            types = (ShapeDtypeStruct((2,), np.complex128), ShapeDtypeStruct((2,), np.float64))
            f: Any = lambda z, w: differentiable_callback(value, types, z, w, vmap_method=method, **rules)
            for got, expected in zip(pb.jvp(f, (z, w), (t, s))[1], pb.jvp(reference, (z, w), (t, s))[1]):
                np.testing.assert_allclose(got, expected, rtol=1e-12)
            y, f_vjp = pb.vjp(f, z, w)
            ct = (t, s.real)
            for got, expected in zip(f_vjp(ct), pb.vjp(reference, z, w)[1](ct)):
                np.testing.assert_allclose(got, expected, rtol=1e-12)
            check_grads(f, (z, w), 1)
    check_grads(jvp_from_vjp(reference), (z, w), 2)
    check_grads(vjp_from_jvp(reference), (z, w), 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes(dtype: str) -> None:
    x = jnp.array([0.5, 2.0], dtype)
    host = lambda g: lambda *xs: np.asarray(g(*[np.asarray(v, np.float32) for v in xs])).astype(x.dtype)
    for method in ("sequential", "expand_dims"):
        rules = {"jvp": lambda xs, ts: host(lambda x, t: 2 * x * t)(*xs, *ts)}
        f: Any = lambda x: differentiable_callback(host(lambda x: x * x), x, x, vmap_method=method, **rules)
        g = pb.grad(lambda x: f(x).sum())(x)
        assert g.dtype == x.dtype and g.astype("float32").tolist() == [1.0, 4.0]


def test_empty_arguments_and_results() -> None:
    f = lambda x: differentiable_callback(lambda x: x, x, x, jvp=lambda xs, ts: ts[0])
    empty = jnp.zeros((0,))
    assert pb.jacfwd(f)(empty).shape == pb.jacrev(f)(empty).shape == (0, 0)
    constant = lambda x: differentiable_callback(lambda x: [], [], x, jvp=lambda xs, ts: [])
    assert pb.vjp(constant, jnp.ones(2))[1]([])[0].tolist() == [0.0, 0.0]
    assert pb.vmap(pb.grad(lambda x: f(x).sum()))(jnp.zeros((0, 2))).shape == (0, 2)
    assert np.isnan(pb.grad(lambda x: f(x).sum() * jnp.nan)(jnp.ones(2))).all()


def test_integers_among_results() -> None:
    value = lambda x: (np.floor(x).astype(np.int32), 2 * np.asarray(x))
    types = ShapeDtypeStruct((), np.int32), ShapeDtypeStruct((), np.float32)
    pushed = lambda xs, ts: (None, 2 * np.asarray(ts[0]))
    zero = np.zeros((), pb.dtypes.float0)
    rules: list[Any] = [
        {"jvp": lambda xs, ts: (zero, 2 * np.asarray(ts[0]))},
        {"vjp": lambda xs, cts: (2 * np.asarray(cts[1]),) if cts[0].dtype == pb.dtypes.float0 else None},
    ]
    functions: list[Any] = [lambda x, rule=rule: differentiable_callback(value, types, x, **rule) for rule in rules]
    by_pullback = lambda x: (jnp.floor(x).astype(int), 2 * x)
    functions += [
        jvp_from_vjp(by_pullback, lambda xs, cts: (2 * cts[1],)), jvp_from_vjp(by_pullback),
        vjp_from_jvp(by_pullback, lambda xs, ts: (zero, 2 * ts[0])), vjp_from_jvp(by_pullback),
    ]  # fmt: skip
    x = jnp.float32(1.5)
    for f in functions:
        (whole, twice), (t_whole, t) = pb.jvp(f, (x,), (x,))
        assert (whole, twice, t) == (1, 3.0, 3.0) and t_whole.dtype == pb.dtypes.float0
        assert pb.vjp(f, x)[1]((zero, x))[0] == 3.0
        assert pb.jit(pb.grad(lambda x: f(x)[1] * f(x)[0]))(x) == 2.0
    only: Any = lambda x: differentiable_callback(lambda x: np.int32(3), ShapeDtypeStruct((), np.int32), x, jvp=pushed)
    assert pb.grad(lambda x: only(x) * x)(x) == 3.0 and pb.jvp(only, (x,), (x,))[0] == 3


def test_none_is_a_cotangent_of_zero() -> None:
    f = lambda x, y: differentiable_callback(lambda x, y: x, x, x, y, vjp=lambda xs, ct: (ct, None))
    assert [float(g) for g in pb.grad(f, argnums=(0, 1))(jnp.float32(1.0), {"a": jnp.float32(2.0)})[0:1]] == [1.0]
    assert pb.grad(f, argnums=1)(jnp.float32(1.0), {"a": jnp.float32(2.0)}) == {"a": 0.0}
    g = jvp_from_vjp(lambda x, y: x * 1, lambda primals, ct: (ct, None))
    assert pb.jvp(g, (1.0, 2.0), (1.0, 1.0))[1] == 1.0


def test_bad_input() -> None:
    x = jnp.float32(1.0)
    with pytest.raises(TypeError, match="jvp=, vjp= or both"):
        differentiable_callback(np.sin, x, x)
    with pytest.raises(TypeError, match="jvp must be a function"):
        differentiable_callback(np.sin, x, x, jvp=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vmap_method"):
        differentiable_callback(np.sin, x, x, jvp=lambda xs, ts: ts[0], vmap_method="often")
    with pytest.raises(TypeError, match="must be callable"):
        differentiable_callback(3, x, x, jvp=lambda xs, ts: ts[0])  # type: ignore[arg-type]
    for make in (jvp_from_vjp, vjp_from_jvp):
        with pytest.raises(TypeError, match="must be a function"):
            make(3)  # type: ignore[arg-type]
    of = lambda **rules: lambda x: differentiable_callback(np.sin, x, x, **rules)
    for rules, error, text in [
        ({"vjp": lambda xs, ct: ct}, TypeError, "a tuple with a cotangent for each of the 1 arguments"),
        ({"vjp": lambda xs, ct: ({"a": ct},)}, TypeError, "for argument 0"),
        ({"vjp": lambda xs, ct: (np.ones(3, np.float32),)}, ValueError, "shape"),
        ({"jvp": lambda xs, ts: [ts[0]]}, TypeError, "structure of the result"),
        ({"jvp": lambda xs, ts: np.ones(3, np.float32)}, ValueError, "shape"),
        ({"jvp": lambda xs, ts: np.ones((), np.complex64)}, ValueError, "dtype complex64"),
    ]:
        for differentiated in (pb.grad(of(**rules)), lambda x: pb.jvp(of(**rules), (x,), (x,))):
            with pytest.raises(error, match=text):
                differentiated(x)
    with pytest.raises(TypeError, match="must give a tuple"):
        pb.grad(jvp_from_vjp(jnp.sin, lambda primals, ct: ct))(x)
    with pytest.raises(TypeError, match="equal container"):
        pb.grad(vjp_from_jvp(jnp.sin, lambda primals, tangents: [tangents[0]]))(x)
    with pytest.raises(NotImplementedError, match="vmap_method"):
        pb.vmap(pb.grad(lambda x: differentiable_callback(np.sin, x, x, jvp=lambda xs, ts: ts[0], vmap_method=None)))(
            jnp.ones(2)
        )


def test_a_pullback_that_gives_no_tuple_is_named() -> None:
    f = jvp_from_vjp(jnp.sin, lambda primals, ct: ct)
    with pytest.raises(TypeError, match="jvp_from_vjp.*a tuple with a cotangent for each of the 1 arguments"):
        pb.grad(f)(1.0)
