"""Jacobians, Hessians, Gauss–Newton and Fisher matrices as linear maps, against dense ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import fisher_product, gauss_newton_map, gauss_newton_product, hessian_map, jacobian_map
from pullback.derivatives.maps import fisher_map
from pullback.flatten_util import ravel_pytree
from pullback.scipy.sparse.linalg import cg

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(6, 3))
PARAMS = {"w": RNG.normal(size=(3, 4)), "v": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}


def model(params: Any) -> Any:
    return jnp.tanh(INPUTS @ params["w"]) @ params["v"] + params["b"]


def looped(params: Any) -> Any:
    step = lambda c, x: (jnp.tanh(c + x @ params["w"] @ params["v"]), jnp.sin(c) * params["b"])
    return lax.scan(step, params["b"], jnp.asarray(INPUTS))[1]


MODELS = {"network": model, "loop": looped, "tree": lambda p: {"y": model(p), "z": (p["b"] ** 2,)}}
LOSSES = {
    "squares": lambda y: sum([jnp.sum(x**2) for x in pb.tree_util.tree_leaves(y)]),
    "not convex": lambda y: sum([jnp.prod(jnp.cos(x)) for x in pb.tree_util.tree_leaves(y)]),
    "coupled": lambda y: jnp.exp(0.1 * sum([jnp.sum(jnp.sin(x)) for x in pb.tree_util.tree_leaves(y)])),
}


def params_in_64_bits() -> Any:
    return pb.tree_util.tree_map(jnp.asarray, PARAMS)


def on_vectors(f: Any, tree: Any) -> tuple[Any, Any]:
    """A function of a tree as one between vectors, and the vector."""
    vector, unravel = ravel_pytree(tree)
    return (lambda v: ravel_pytree(f(unravel(v)))[0]), vector


def close(got: Any, expected: Any, tol: float = 1e-9) -> None:
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", MODELS)
def test_jacobians(name: str) -> None:
    with pb.enable_x64(True):
        p = params_in_64_bits()
        flat, vector = on_vectors(MODELS[name], p)
        J, expected = jacobian_map(MODELS[name], p), pb.jacfwd(flat)(vector)
        for mode in ("forward", "reverse"):
            close(J.to_matrix(mode=mode), expected)
        close(pb.jit(lambda p: jacobian_map(MODELS[name], p).to_matrix())(p), expected)


@pytest.mark.parametrize("name", MODELS)
def test_hessians(name: str) -> None:
    with pb.enable_x64(True):
        p = params_in_64_bits()
        f = lambda p: LOSSES["coupled"](MODELS[name](p))
        flat, vector = on_vectors(f, p)
        expected = pb.hessian(lambda v: flat(v)[0])(vector)
        H = hessian_map(f, p)
        assert H.T is H and H.H is H and H.shape == expected.shape
        for mode in ("forward", "reverse"):
            close(H.to_matrix(mode=mode, batch_size=7), expected)
        close(pb.jit(lambda p: hessian_map(f, p))(p).to_matrix(), expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", MODELS)
def test_gauss_newton_matrices(name: str, loss: str) -> None:
    with pb.enable_x64(True):
        p, f, g = params_in_64_bits(), MODELS[name], LOSSES[loss]
        flat, vector = on_vectors(f, p)
        y, unravel = ravel_pytree(f(p))
        J, H = pb.jacfwd(flat)(vector), pb.hessian(lambda y: g(unravel(y)))(y)
        G = gauss_newton_map(f, g, p)
        close(G.to_matrix(), J.T @ H @ J)
        assert G.T is G and G.in_type == (G.out_type,)
        v = pb.tree_util.tree_map(jnp.cos, p)
        expected = J.T @ (H @ (J @ ravel_pytree(v)[0]))
        for apply in (lambda v: G(v), lambda v: G @ v, lambda v: gauss_newton_product(f, g, p, v)):
            close(ravel_pytree(apply(v))[0], expected)
            close(ravel_pytree(pb.jit(apply)(v))[0], expected)


def test_a_gauss_newton_matrix_is_the_hessian_of_a_linear_model() -> None:
    with pb.enable_x64(True):
        f, w = (lambda w: jnp.asarray(INPUTS) @ w), jnp.asarray(RNG.normal(size=3))
        close(gauss_newton_map(f, LOSSES["coupled"], w).to_matrix(), pb.hessian(lambda w: LOSSES["coupled"](f(w)))(w))


def test_several_arguments() -> None:
    f = lambda x, n, y: jnp.sum(x**2 * n) * y["a"] ** 3
    with pb.enable_x64(True):
        x, y = jnp.array([1.0, 2.0]), {"a": jnp.array(3.0)}
        for argnums, expected in ((0, 2), (2, 1), (-1, 1), ((0, 2), 3), ([2, 0], 3)):
            H = hessian_map(f, x, 2, y, argnums=argnums)
            assert H.shape == (expected, expected)
            close(H.to_matrix(mode="forward"), H.to_matrix(mode="reverse"))
            assert jacobian_map(f, x, 2, y, argnums=argnums).shape == (1, expected)
        H = hessian_map(f, x, 2, y, argnums=(0, 2))
        flat = lambda v: jnp.sum(v[:2] ** 2 * 2) * v[2] ** 3
        expected = np.asarray(pb.hessian(flat)(jnp.array([1.0, 2.0, 3.0])))
        close(H.to_matrix(), expected)
        v = (jnp.ones(2), {"a": jnp.array(1.0)})
        got = H @ v
        assert pb.tree_util.tree_structure(got) == pb.tree_util.tree_structure(v)
        close(ravel_pytree(got)[0], expected @ np.ones(3))
        close(ravel_pytree(H(v))[0], expected @ np.ones(3))


def test_integers_have_no_tangents() -> None:
    f = lambda p: jnp.sum(p["x"] ** 2 * p["n"])
    J = jacobian_map(f, {"x": jnp.ones(2), "n": jnp.array([2, 3])})
    assert J.shape == (1, 2) and J.to_matrix().tolist() == [[4.0, 6.0]]
    assert (J.T @ J).to_matrix().tolist() == [[16.0, 24.0], [24.0, 36.0]]
    G = gauss_newton_map(lambda p: p["x"] * p["n"], lambda y: jnp.sum(y**2), {"x": jnp.ones(2), "n": jnp.array([2, 3])})
    assert G.to_matrix().tolist() == [[8.0, 0.0], [0.0, 18.0]]


def test_complex_arguments() -> None:
    with pb.enable_x64(True):
        z = jnp.array([1 + 2j, 0.5j])
        J = jacobian_map(lambda z: z**2 * z[::-1], z)
        close(J.to_matrix(), pb.jacfwd(lambda z: z**2 * z[::-1], holomorphic=True)(z))
        # The derivative of the gradient, linear over the reals, and its own transpose under Re Σ ct t.
        H = hessian_map(lambda z: jnp.sum(jnp.abs(z) ** 4), z)
        u, v = jnp.array([1j, 2.0]), jnp.array([0.3, 1 - 1j])
        close(jnp.sum((H(u) * v).real), jnp.sum((u * H(v)).real))
        with pytest.raises(TypeError, match="linear over the complex numbers"):
            H.to_matrix()


# ---- Fisher information -----------------------------------------------------------------------------------------


def scores(z: Any, y: Any, log_likelihood: Any) -> Any:
    return pb.grad(lambda z: log_likelihood(z, y))(z)


def test_fisher_information_is_the_expectation_of_squared_scores() -> None:
    """Σ p(y) s sᵀ, s the gradients of the log-likelihoods by the parameters, over all y that matter."""
    with pb.enable_x64(True):
        p = params_in_64_bits()
        flat, vector = on_vectors(model, p)
        J = np.asarray(pb.jacfwd(flat)(vector)).reshape(6, 3, -1)
        logits = np.asarray(model(p))
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        expected = 0
        for i in range(6):
            for k in range(3):
                s = J[i].T @ (np.eye(3)[k] - probability[i])
                expected = expected + probability[i, k] * np.outer(s, s)
        close(fisher_map(model, "categorical", p).to_matrix(), expected)
        p1, expected = 1 / (1 + np.exp(-logits)), 0
        for i, k in np.ndindex(6, 3):
            for y, weight in ((1, p1[i, k]), (0, 1 - p1[i, k])):
                s = J[i, k] * (y - p1[i, k])
                expected = expected + weight * np.outer(s, s)
        close(fisher_map(model, "bernoulli", p).to_matrix(), expected)
        close(fisher_map(model, "gaussian", p).to_matrix(), np.einsum("ikm,ikn->mn", J, J))
        close(fisher_map(model, "poisson", p).to_matrix(), np.einsum("ikm,ikn,ik->mn", J, J, np.exp(logits)))
        tree = lambda p: (model(p), {"more": p["b"]})
        close(
            fisher_map(tree, "poisson", p).to_matrix() - fisher_map(model, "poisson", p).to_matrix(),
            fisher_map(lambda p: p["b"], "poisson", p).to_matrix(),
        )


def test_fisher_information_of_a_divergence() -> None:
    """A Gaussian with mean and logarithm of the deviation: F = diag(1 / σ², 2)."""

    def divergence(z: Any, w: Any) -> Any:
        (m, s), (n, t) = z, w
        return jnp.sum(t - s + (jnp.exp(2 * s) + (m - n) ** 2) / (2 * jnp.exp(2 * t)) - 0.5)

    with pb.enable_x64(True):
        z = (jnp.array([1.0, 2.0]), jnp.array([0.3, -0.2]))
        F = fisher_map(lambda z: z, divergence, z)
        close(F.to_matrix(), np.diag(np.r_[np.exp(-2 * np.asarray(z[1])), 2, 2]))
        kl = lambda z, w: jnp.sum(pb.nn.softmax(z) * (pb.nn.log_softmax(z) - pb.nn.log_softmax(w)))
        p = params_in_64_bits()
        close(fisher_map(model, kl, p).to_matrix(), fisher_map(model, "categorical", p).to_matrix())


def test_empirical_fisher_information() -> None:
    with pb.enable_x64(True):
        p = params_in_64_bits()
        labels = jnp.array([0, 1, 2, 0, 1, 1])
        log_likelihoods = lambda z: pb.nn.log_softmax(z)[jnp.arange(6), labels]
        of_params, vector = on_vectors(lambda p: log_likelihoods(model(p)), p)
        gradients = np.asarray(pb.jacrev(of_params)(vector))
        F = fisher_map(model, log_likelihoods, p, empirical=True)
        close(F.to_matrix(), gradients.T @ gradients)
        v = pb.tree_util.tree_map(jnp.sin, p)
        got = pb.jit(lambda p, v: fisher_product(model, log_likelihoods, p, v, empirical=True))(p, v)
        close(ravel_pytree(got)[0], gradients.T @ (gradients @ ravel_pytree(v)[0]))


def test_a_natural_gradient() -> None:
    """Of a Bernoulli model in its logit: the ordinary gradient over p (1 − p)."""
    with pb.enable_x64(True):
        logit = jnp.array(0.7)
        p = 1 / (1 + np.exp(-0.7))
        natural, info = cg(fisher_map(lambda z: z, "bernoulli", logit), jnp.array(p - 1.0))
        close(natural, (p - 1) / (p * (1 - p)))
        assert info == 0


def test_solvers_take_them() -> None:
    with pb.enable_x64(True):
        p = params_in_64_bits()
        G = gauss_newton_map(model, LOSSES["squares"], p) + 0.1 * pb.LinearMap.identity(p)
        step, info = pb.jit(lambda G, p: cg(G, p, tol=1e-12))(G, p)
        assert info == 0
        close(ravel_pytree(step)[0], np.linalg.solve(G.to_matrix(), ravel_pytree(p)[0]), 1e-6)


# ---- in other transformations, and wrong ------------------------------------------------------------------------


def test_products_are_differentiated() -> None:
    with pb.enable_x64(True):
        p = params_in_64_bits()
        v = pb.tree_util.tree_map(jnp.cos, p)
        flat, vector = on_vectors(model, p)
        y, unravel = ravel_pytree(model(p))
        w = ravel_pytree(v)[0]

        def dense(x: Any) -> Any:
            J = pb.jacfwd(flat)(x)
            return jnp.sum(jnp.sin(J.T @ (pb.hessian(lambda y: LOSSES["coupled"](unravel(y)))(flat(x)) @ (J @ w))))

        def own(p: Any) -> Any:
            return jnp.sum(jnp.sin(ravel_pytree(gauss_newton_product(model, LOSSES["coupled"], p, v))[0]))

        close(ravel_pytree(pb.jit(pb.grad(own))(p))[0], pb.grad(dense)(vector), 1e-8)
        points = jnp.stack([vector, 2 * vector])
        of_vector = lambda x: hessian_map(lambda x: jnp.sum(flat(x) ** 2), x) @ w
        expected = [pb.hessian(lambda x: jnp.sum(flat(x) ** 2))(x) @ w for x in points]
        close(pb.vmap(of_vector)(points), np.stack(expected))


def test_bad_input() -> None:
    x = jnp.ones(3)
    for wrong, error, message in (
        (lambda: jacobian_map(3, x), TypeError, "callable"),
        (lambda: jacobian_map(jnp.sin, x, argnums=1), ValueError, "argnums=1"),
        (lambda: hessian_map(jnp.sin, x), TypeError, r"scalar-output functions.*\(3,\)"),
        (lambda: hessian_map(jnp.sum, jnp.arange(3)), TypeError, "real- or complex-valued inputs"),
        (lambda: hessian_map(3, x), TypeError, "callable"),
        (lambda: gauss_newton_map(jnp.sin, jnp.sin, x), TypeError, "scalar-output functions"),
        (lambda: gauss_newton_map(jnp.sin, 3, x), TypeError, "callable"),
        (lambda: gauss_newton_map(jnp.argmax, jnp.sum, x), TypeError, "requires real-valued outputs"),
        (lambda: gauss_newton_product(jnp.sin, jnp.sum, x, jnp.ones(2)), ValueError, "shape"),
        (lambda: gauss_newton_product(jnp.sin, jnp.sum, x, {"a": x}), TypeError, "structure"),
        (
            lambda: fisher_map(jnp.sin, "normal", x),
            ValueError,
            "one of 'bernoulli', 'categorical', 'gaussian', 'poisson'",
        ),
        (lambda: fisher_map(jnp.sin, "gaussian", x, empirical=True), ValueError, "empirical=True.*log-likelihoods"),
        (lambda: fisher_map(jnp.sin, jnp.sum, x, empirical=True), TypeError, r"one axis.*float32\[\]"),
        (lambda: fisher_map(jnp.sin, lambda z, w: z, x), TypeError, "scalar-output functions"),
    ):
        with pytest.raises(error, match=message):
            wrong()


def test_integers_in_the_output_of_a_model_are_constants() -> None:
    model = lambda w: {"y": w**2, "label": jnp.arange(3)}
    loss = lambda out: jnp.sum(out["y"] ** 2 * out["label"])
    w = jnp.array([1.0, 2.0, 3.0])
    expected = np.diag(2 * w) @ np.diag(2.0 * np.arange(3)) @ np.diag(2 * w)
    np.testing.assert_allclose(gauss_newton_map(model, loss, w).to_matrix(), expected)
    np.testing.assert_allclose(gauss_newton_product(model, loss, w, w), expected @ np.asarray(w))
