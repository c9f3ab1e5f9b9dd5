"""grad and its relatives: arguments of every kind, auxiliary data, containers, complex numbers, integers, Python control flow."""

import collections
import dataclasses

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax


def test_argnums_and_keywords():
    f = lambda x, y, z=2.0: x * y**2 * z
    assert np.allclose(pb.grad(f)(2.0, 3.0), 18.0)
    assert np.allclose(pb.grad(f, 1)(2.0, 3.0), 24.0)
    assert np.allclose(pb.grad(f, -1)(2.0, 3.0), 24.0)
    assert np.allclose(pb.grad(f, (0, 1))(2.0, 3.0, z=1.0), (9.0, 12.0))
    assert isinstance(pb.grad(f, (0,))(2.0, 3.0), tuple)


def test_value_and_grad_and_aux():
    value, g = pb.value_and_grad(lambda x: (x**2, {"twice": 2 * x}), has_aux=True)(3.0)
    assert np.allclose(value[0], 9.0) and np.allclose(value[1]["twice"], 6.0) and np.allclose(g, 6.0)
    g, aux = pb.grad(lambda x: (x**2, "text is no array, and need not be"), has_aux=True)(3.0)
    assert np.allclose(g, 6.0) and aux.startswith("text")
    # Auxiliary values are plain arrays outside, not tracers.
    _, aux = pb.grad(lambda x: (x**2, x), has_aux=True)(3.0)
    assert np.asarray(aux) == 3.0


class Pair:
    def __init__(self, a, b):
        self.a, self.b = a, b


pb.tree_util.register_pytree_node(Pair, lambda p: ((p.a, p.b), None), lambda _, c: Pair(*c))


@pb.tree_util.register_dataclass
@dataclasses.dataclass
class Params:
    w: object
    name: str = dataclasses.field(default="net", metadata={"static": True})


def test_containers():
    Point = collections.namedtuple("Point", "x y")
    tree = {"a": [1.0, (2.0, None)], "p": Point(3.0, 4.0), "pair": Pair(5.0, 6.0), "d": Params(7.0)}
    f = lambda t: t["a"][0] * t["a"][1][0] + t["p"].x * t["p"].y + t["pair"].a * t["pair"].b + t["d"].w ** 2
    g = pb.grad(f)(tree)
    assert np.allclose(
        [g["a"][0], g["a"][1][0], g["p"].x, g["p"].y, g["pair"].a, g["pair"].b, g["d"].w], [2, 1, 4, 3, 6, 5, 14]
    )
    assert g["a"][1][1] is None and g["d"].name == "net" and isinstance(g["pair"], Pair)


def test_custom_nodes_go_through_every_transformation():
    p = Pair(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]))
    f = lambda p: Pair(p.a * p.b, p.a.sum())
    assert np.allclose(pb.vmap(lambda p: p.a * p.b)(p), [3.0, 8.0])
    y, t = pb.jvp(f, (p,), (Pair(jnp.ones(2), jnp.zeros(2)),))
    assert np.allclose(t.a, [3.0, 4.0]) and np.allclose(t.b, 2.0)
    y, pullback = pb.vjp(f, p)
    (ct,) = pullback(Pair(jnp.ones(2), jnp.ones(())))
    assert np.allclose(ct.a, [4.0, 5.0]) and np.allclose(ct.b, [1.0, 2.0])
    jac = pb.jacrev(lambda p: p.a * p.b)(p)
    assert np.allclose(jac.a, np.diag([3.0, 4.0]))
    y, f_lin = pb.linearize(f, p)
    assert np.allclose(f_lin(Pair(jnp.ones(2), jnp.zeros(2))).a, [3.0, 4.0])
    assert np.allclose(pb.jit(f)(p).b, 3.0)
    assert len(pb.make_jaxpr(f)(p).in_avals) == 2


def test_jacobians_of_containers():
    f = lambda x, d: {"y": x * d["k"], "z": jnp.sum(x)}
    x, d = jnp.array([1.0, 2.0]), {"k": jnp.array([3.0, 4.0])}
    for jac in (pb.jacfwd, pb.jacrev):
        j = jac(f, (0, 1))(x, d)
        assert np.allclose(j["y"][0], np.diag([3.0, 4.0])) and np.allclose(j["y"][1]["k"], np.diag([1.0, 2.0]))
        assert np.allclose(j["z"][0], [1.0, 1.0]) and np.allclose(j["z"][1]["k"], 0.0)
    h = pb.hessian(lambda d: (d["a"] ** 2).sum() * d["b"])({"a": x, "b": 2.0})
    assert h["a"]["a"].shape == (2, 2) and h["a"]["b"].shape == (2,) and h["b"]["b"].shape == ()
    assert np.allclose(h["a"]["b"], 2 * np.array([1.0, 2.0]))
    j, aux = pb.jacfwd(lambda x: (x**2, x.sum()), has_aux=True)(x)
    assert np.allclose(j, np.diag([2.0, 4.0])) and np.allclose(aux, 3.0)
    j, aux = pb.jacrev(lambda x: (x**2, x.sum()), has_aux=True)(x)
    assert np.allclose(j, np.diag([2.0, 4.0])) and np.allclose(aux, 3.0)


def test_integers():
    assert pb.grad(lambda n, x: x * n, 0, allow_int=True)(3, 2.0).dtype == pb.float0
    with pytest.raises(TypeError, match="int32"):
        pb.grad(lambda n: n * 1.0)(3)
    g = pb.grad(lambda t: t[0] * t[1], allow_int=True)((3, 2.0))
    assert g[0].dtype == pb.float0 and np.allclose(g[1], 3.0)


def test_complex_conventions():
    f = lambda z: jnp.real(z) ** 2 + jnp.imag(z) ** 2
    assert np.allclose(pb.grad(f)(3.0 + 4j), 6 - 8j)
    assert np.allclose(pb.grad(jnp.sin, holomorphic=True)(3.0 + 4j), np.cos(3 + 4j), rtol=1e-5)
    assert np.allclose(pb.grad(jnp.conjugate, holomorphic=True)(3.0 + 4j), 1.0)
    with pytest.raises(TypeError, match="holomorphic=True"):
        pb.grad(jnp.sin)(3.0 + 4j)
    with pytest.raises(TypeError, match="requires inputs with complex"):
        pb.grad(jnp.sin, holomorphic=True)(3.0)


def test_python_control_flow_exceptions_included():
    def f(x):
        try:
            if x < 3:
                return 2 * x**3
            raise ValueError
        except ValueError:
            return jnp.pi * x

    assert np.allclose(pb.grad(f)(2.0), 24.0)
    assert np.allclose(pb.grad(f)(4.0), np.pi)

    def newton(a):
        x = a
        while abs(x * x - a) > 1e-4:
            x = 0.5 * (x + a / x)
        return x

    assert np.allclose(pb.grad(newton)(2.0), 0.5 / np.sqrt(2.0), rtol=1e-4)


def test_closures_do_not_confuse_perturbations():
    # d/dx (x * d/dy (x + y) at 1) = 1, not 2: the classic test of Siskind and Pearlmutter (2005).
    assert np.allclose(pb.grad(lambda x: x * pb.grad(lambda y: x + y)(1.0))(1.0), 1.0)
    assert np.allclose(pb.grad(lambda x: x * pb.jvp(lambda y: x + y, (1.0,), (1.0,))[1])(1.0), 1.0)
    assert np.allclose(pb.jvp(lambda x: x * pb.jvp(lambda y: x * y, (1.0,), (1.0,))[1], (3.0,), (1.0,))[1], 6.0)
    assert np.allclose(pb.grad(lambda x: pb.vmap(lambda y: x * y)(jnp.arange(3.0)).sum())(2.0), 3.0)


@pytest.mark.parametrize("order", range(1, 6))
def test_any_order_in_any_mixture_of_modes(order):
    forward = lambda f: lambda x: pb.jvp(f, (x,), (1.0,))[1]
    expected = [np.exp(2 * 0.3) * 2.0**n for n in range(6)][order]
    for bits in range(2**order):
        f = lambda x: jnp.exp(2 * x)
        for i in range(order):
            f = pb.grad(f) if bits >> i & 1 else forward(f)
        assert np.allclose(f(0.3), expected, rtol=1e-4)


def test_outputs_that_do_not_depend_on_the_input():
    assert np.allclose(pb.grad(lambda x: 3.0)(1.0), 0.0)
    assert np.allclose(pb.grad(lambda x: jnp.floor(x) * 2.0)(1.5), 0.0)
    assert np.allclose(pb.jacfwd(lambda x: jnp.ones(2))(jnp.ones(3)), np.zeros((2, 3)))
    assert np.allclose(pb.jacrev(lambda x: jnp.ones(2))(jnp.ones(3)), np.zeros((2, 3)))
    assert np.allclose(pb.jvp(lambda x: 3.0, (1.0,), (1.0,))[1], 0.0)


def test_gradients_keep_dtype_and_weakness():
    g = pb.grad(lambda x: x**2)(3.0)
    assert g.dtype == jnp.float32 and g.weak_type
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        g = pb.grad(lambda x: (x**2).sum())(jnp.ones(3, dtype))
        assert g.dtype == dtype and not g.weak_type


def _loop(x):
    return lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=3)[0]


def _ruled(rule):
    """sin, with a derivative that is strongly typed whatever the argument."""
    if rule == "jvp":
        f = pb.custom_jvp(jnp.sin)
        f.defjvp(lambda p, t: (f(*p), t[0] * np.float32(0.5)))
    else:
        f = pb.custom_vjp(jnp.sin)
        f.defvjp(lambda x: (jnp.sin(x), x), lambda r, ct: (ct * np.float32(0.5),))
    return f


WEAK_AND_STRONG = {
    "smooth": lambda x: jnp.sin(x) * x, "powers": lambda x: x**2 + x**3, "repeated": lambda x: x + x * 2 + x,
    "relu": pb.nn.relu, "gelu": pb.nn.gelu, "sums": lambda x: jnp.sum(x * np.ones(3, "f")), "constant": lambda x: 3.0, "step": jnp.floor,
    "cast": lambda x: jnp.float32(x) * 2, "checkpoint": pb.checkpoint(lambda x: jnp.sin(x) * x), "scan": _loop,
    "cond": lambda x: lax.cond(x > 1, jnp.sin, lambda y: y * np.float32(2), x), "custom_jvp": _ruled("jvp"), "custom_vjp": _ruled("vjp"),
    "sort": lambda x: jnp.sort(jnp.stack([x, 1.0 - x]))[1],
}  # fmt: skip


@pytest.mark.parametrize("name", WEAK_AND_STRONG)
def test_a_derivative_has_the_type_of_what_it_is_a_derivative_of(name):
    """Gradients are as weakly typed as the argument, tangents as the value: in every mode, so that no dtype depends on the mode."""
    f = WEAK_AND_STRONG[name]
    reverse = [
        pb.grad(f), pb.grad(pb.jit(f)), pb.jit(pb.grad(f)), pb.jacrev(f), lambda x: pb.vjp(f, x)[1](np.float32(1))[0],
        lambda x: pb.value_and_grad(f)(x)[1], lambda x: pb.grad(lambda d: f(d["x"]))({"x": x})["x"], pb.vmap(pb.grad(f)),
        pb.grad(lambda x: f(x) * np.float32(1)),
    ]  # fmt: skip
    if name not in ("constant", "step", "relu", "cond", "sort", "cast"):
        reverse += [pb.grad(pb.grad(f)), pb.jit(pb.grad(pb.grad(pb.jit(f))))]
    for x, weak in ((2.0, True), (np.float32(2), False), (jnp.asarray(2.0), True), (jnp.float32(2), False)):
        for i, g in enumerate(reverse):
            out = g(jnp.broadcast_to(x, (2,)) if i == 7 else x)
            assert (out.dtype, out.weak_type) == (jnp.float32, weak), (i, x)
        if name == "custom_vjp":
            continue
        y = jnp.asarray(f(x))
        for tangent in (1.0, np.float32(1)):
            forward = [
                pb.jvp(f, (x,), (tangent,))[1], pb.jvp(pb.jit(f), (x,), (tangent,))[1],
                pb.jit(lambda x, t: pb.jvp(f, (x,), (t,))[1])(x, tangent), pb.linearize(f, x)[1](tangent), pb.jacfwd(f)(x),
            ]  # fmt: skip
            assert [(t.dtype, t.weak_type) for t in forward] == [(y.dtype, y.weak_type)] * 5, (x, tangent)
        assert (pb.grad(f)(x) * jnp.ones(2, jnp.bfloat16)).dtype == (jnp.bfloat16 if weak else jnp.float32)


def test_stop_gradient():
    from pullback import lax

    assert np.allclose(pb.grad(lambda x: x * lax.stop_gradient(x))(3.0), 3.0)
    assert np.allclose(pb.jvp(lambda x: x * lax.stop_gradient(x), (3.0,), (1.0,))[1], 3.0)
    assert np.allclose(pb.grad(lambda d: lax.stop_gradient(d)["a"] * d["a"])({"a": 3.0})["a"], 3.0)


@pytest.mark.parametrize("transformation", [pb.grad, pb.value_and_grad, pb.jacfwd, pb.jacrev, pb.hessian])
def test_argnums_that_are_none(transformation):
    f = lambda x, y: x * y
    for wrong in ("x", ("x",), 1.5, (0.0,), None, {"x": 0}, b"x"):
        with pytest.raises(TypeError, match="argnums must be"):
            transformation(f, argnums=wrong)(1.0, 2.0)
    with pytest.raises(ValueError, match="nothing to differentiate"):
        transformation(f, argnums=())(1.0, 2.0)
    for twice in ((0, 0), (0, -2), [1, -1]):
        with pytest.raises(TypeError, match="twice"):
            transformation(f, argnums=twice)(1.0, 2.0)
    for missing in (-3, (0, -3)):
        with pytest.raises(ValueError, match="at least 3 positional"):
            transformation(f, argnums=missing)(1.0, 2.0)
    with pytest.raises(TypeError if transformation in (pb.grad, pb.value_and_grad) else ValueError, match="at least 3"):
        transformation(f, argnums=2)(1.0, 2.0)
    for same in (1, np.int64(1), True, -1):
        np.testing.assert_array_equal(pb.grad(f, same)(3.0, 2.0), 3)


def test_forward_and_backward_passes(caplog):
    cube, cube_back = pb.fwd_and_bwd(lambda v: v**3, 0)
    f = lambda x, w, n: (jnp.tanh(x["a"] @ w) * n, {"norm": jnp.sum(w)})
    x, w = {"a": jnp.ones((2, 3))}, jnp.full((3, 2), 0.1)
    for argnums in (0, 1, -2, [1], (0, 1)):
        for jitted in (False, True)[: 1 + (argnums == (0, 1))]:
            fwd, bwd = pb.fwd_and_bwd(f, argnums, has_aux=True, jitted=jitted)
            y, residuals, aux = fwd(x, w, 2)
            expected, f_vjp, _ = pb.vjp(lambda x, w: f(x, w, 2), x, w, has_aux=True)
            np.testing.assert_allclose(y, expected, rtol=1e-6)
            np.testing.assert_allclose(aux["norm"], 0.6, rtol=1e-6)
            chosen = argnums if isinstance(argnums, int) else tuple(argnums)
            cts = (*f_vjp(y), None)
            wanted = cts[chosen] if isinstance(chosen, int) else tuple(cts[i] for i in chosen)
            pb.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), bwd(residuals, y), wanted)
    with pb.log_compiles(True):  # the backward pass is compiled once, whatever the residuals
        for scale in (1.0, 2.0, 3.0):
            y, residuals, _ = fwd(x, scale * w, 2)
            bwd(residuals, y)
    assert not [r for r in caplog.records if "compiled" in r.message]
    assert float(pb.grad(lambda s: cube_back(cube(s)[1], 1.0))(2.0)) == 12.0
    with pytest.raises(TypeError, match="callable"):
        pb.fwd_and_bwd(3, 0)
    with pytest.raises(ValueError, match="argnums=3"):
        pb.fwd_and_bwd(f, 3, jitted=False)[0](x, w, 2)
