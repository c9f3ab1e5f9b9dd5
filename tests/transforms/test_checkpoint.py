"""checkpoint: same derivatives as the plain function, at any nesting, with closures; recomputation only where the policy wants it."""

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import checkpoint_policies as policies
from pullback.ad_checkpoint import checkpoint_name

POLICIES = {
    "default": None,
    "nothing": policies.nothing_saveable,
    "everything": policies.everything_saveable,
    "dots": policies.dots_saveable,
    "sines": lambda prim, *_, **params: prim.name == "sin",
}


def chain(x):
    return jnp.sin(jnp.sin(x * x) @ jnp.ones((2, 2), x.dtype)).sum()


DERIVATIVES = {
    "grad": lambda f: pb.grad(f),
    "jvp": lambda f: lambda x: pb.jvp(f, (x,), (jnp.ones(2),))[1],
    "reverse over reverse": lambda f: pb.grad(lambda x: (pb.grad(f)(x) ** 2).sum()),
    "forward over reverse": lambda f: lambda x: pb.jvp(pb.grad(f), (x,), (jnp.ones(2),))[1],
    "reverse over forward": lambda f: pb.grad(lambda x: pb.jvp(f, (x,), (jnp.ones(2),))[1]),
    "vmap of grad": lambda f: lambda x: pb.vmap(pb.grad(f))(jnp.stack([x, 2 * x])),
    "grad of vmap": lambda f: lambda x: pb.grad(lambda xs: pb.vmap(f)(xs).sum())(jnp.stack([x, 2 * x])),
    "linearize": lambda f: lambda x: pb.linearize(f, x)[1](jnp.ones(2)),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_derivatives_equal_those_of_the_plain_function(policy, derivative):
    transform, x = DERIVATIVES[derivative], jnp.array([0.3, 1.2])
    expected = transform(chain)(x)
    assert np.allclose(transform(pb.checkpoint(chain, policy=POLICIES[policy]))(x), expected, atol=1e-5)
    nested = pb.checkpoint(lambda x: pb.checkpoint(chain, policy=POLICIES[policy])(x) * 1.0)
    assert np.allclose(transform(nested)(x), expected, atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES)
def test_closed_over_values_are_differentiated(policy):
    def outer(wrap):
        return lambda w, x: wrap(lambda z: jnp.sin(z * w))(x) * w

    plain, remat = outer(lambda f: f), outer(lambda f: pb.checkpoint(f, policy=POLICIES[policy]))
    for transform in (
        lambda f: pb.grad(f, (0, 1)),
        lambda f: lambda *a: pb.jvp(f, a, (1.0, 2.0)),
        lambda f: pb.grad(lambda w, x: pb.grad(f)(w, x)),
        lambda f: (
            pb.vmap(pb.grad(f), (None, 0))
            if False
            else (lambda w, x: pb.vmap(pb.grad(f), (0, None))(jnp.array([w, 2.0]), x))
        ),
    ):
        assert np.allclose(np.array(transform(remat)(1.2, 0.7)), np.array(transform(plain)(1.2, 0.7)))


def count_sines(policy):
    calls = []

    @pb.custom_jvp
    def sine(x):
        calls.append(None)
        return jnp.sin(x)

    sine.defjvp(lambda p, t: (sine(p[0]), jnp.cos(p[0]) * t[0]))
    pb.grad(pb.checkpoint(lambda x: sine(x) * x, policy=policy))(1.0)
    return len(calls)


def test_the_function_is_run_again_in_the_backward_pass():
    runs = []

    def f(x):
        runs.append(None)
        return jnp.sin(x)

    y, pullback = pb.vjp(pb.checkpoint(f), 1.0)
    assert len(runs) == 1
    pullback(1.0)
    assert len(runs) == 2


def test_a_policy_stores_named_values():
    evaluated = []

    def f(x):
        y = checkpoint_name(
            pb.pure_callback(
                lambda v: (evaluated.append(None), np.sin(v))[1],
                pb.ShapeDtypeStruct((), jnp.float32),
                pb.lax.stop_gradient(x),
            ),
            "costly",
        )
        return y * x

    pb.grad(pb.checkpoint(f, policy=policies.save_only_these_names("costly")))(1.0)
    named = len(evaluated)
    pb.grad(pb.checkpoint(f, policy=policies.save_only_these_names("other")))(1.0)
    # The name's own value is stored either way round; what feeds it runs again, for it is not named.
    assert named == 2 and len(evaluated) == 4
    pb.grad(pb.checkpoint(f, policy=policies.everything_saveable))(1.0)
    assert len(evaluated) == 5


def test_static_arguments():
    f = pb.checkpoint(lambda flag, x: jnp.sin(x) if flag else x, static_argnums=(0,))
    assert np.allclose(pb.grad(f, 1)(True, 0.5), np.cos(0.5))
    with pytest.raises(TypeError, match="static_argnums"):
        pb.checkpoint(lambda s, x: x)("name", 1.0)


@pytest.mark.parametrize("policy", [None, "dots_saveable", "everything_saveable", "nothing_saveable"])
def test_checkpoints_in_jitted_functions_that_close_over_traced_values(policy: str | None) -> None:
    weights = jnp.ones((3, 3)) * 0.3

    def f(x: Any) -> Any:
        y = jnp.sin(x)
        kept = getattr(pb.checkpoint_policies, policy) if policy else None
        return pb.checkpoint(lambda z: jnp.tanh(z @ weights) * y + jnp.cos(z @ z), policy=kept)(x).sum()

    x = jnp.arange(3.0)
    gradient, hessian = pb.grad(f)(x), pb.hessian(f)(x)
    for g in (pb.grad(pb.jit(f)), pb.jit(pb.grad(f)), pb.jit(pb.grad(pb.jit(f)))):
        np.testing.assert_allclose(g(x), gradient, rtol=1e-5)
    for h in (
        pb.hessian(pb.jit(f)),
        pb.jit(pb.hessian(f)),
        pb.jacrev(pb.grad(pb.jit(f))),
        pb.jacrev(pb.jacfwd(pb.jit(f))),
    ):
        np.testing.assert_allclose(h(x), hessian, rtol=1e-4, atol=1e-5)
    rows = jnp.stack([x, x])
    for transformed in (pb.vmap(pb.grad(pb.jit(f))), pb.grad(lambda r: pb.jit(pb.vmap(f))(r).sum())):
        np.testing.assert_allclose(transformed(rows)[1], gradient, rtol=1e-5)
