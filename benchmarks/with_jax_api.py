"""The problems in JAX's API: one text for Pullback and for JAX, without jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.problems import Data, control_flow


def functions(ad: Any, jnp: Any, data: Data) -> dict[str, Callable[[], Any]]:
    """`ad` is `pullback` or `jax`, `jnp` its NumPy namespace."""
    grad, jvp, vjp, vmap = ad.grad, ad.jvp, ad.vjp, ad.vmap
    x, y, v, z = (jnp.asarray(data[name]) for name in ("x", "y", "v", "z"))
    inputs, W, b, covectors, vectors = (jnp.asarray(data[k]) for k in ("inputs", "W", "b", "covectors", "vectors"))
    layers = [(jnp.asarray(w), jnp.asarray(c)) for w, c in data["layers"]]
    batch, wanted, scalar = jnp.asarray(data["batch"]), jnp.asarray(data["wanted"]), data["scalar"]
    big_x, big_y, a, c = (jnp.asarray(data[name]) for name in ("big_x", "big_y", "a", "c"))

    def f(x: Any) -> Any:
        return jnp.sum(jnp.tanh(x) ** 2)

    def sigmoid(x: Any) -> Any:
        return 0.5 * (jnp.tanh(x / 2) + 1)

    def predict(W: Any) -> Any:
        return sigmoid(jnp.dot(inputs, W) + b)

    def mjp_loop() -> Any:
        _, pull = vjp(predict, W)
        return jnp.vstack([pull(m)[0] for m in covectors])

    def mjp_vmap() -> Any:
        _, pull = vjp(predict, W)
        return vmap(pull)(covectors)[0]

    def loss(layers: Any) -> Any:
        h = batch
        for w, bias in layers[:-1]:
            h = jnp.tanh(jnp.dot(h, w) + bias)
        w, bias = layers[-1]
        return jnp.mean((jnp.dot(h, w) + bias - wanted) ** 2)

    def scalar_grad() -> Any:
        derivative = grad(lambda x: x**2 + x)
        for _ in range(1000):
            out = derivative(scalar)
        return out

    return {
        "value": lambda: f(x),
        "grad": lambda: grad(f)(x),
        "hvp_forward_reverse": lambda: jvp(grad(f), (x,), (v,))[1],
        "hvp_reverse_forward": lambda: grad(lambda x: jvp(f, (x,), (v,))[1])(x),
        "hvp_reverse_reverse": lambda: grad(lambda x: jnp.vdot(grad(f)(x), v))(x),
        "full_hessian": lambda: ad.hessian(f)(x),
        "mjp_loop": mjp_loop,
        "mjp_vmap": mjp_vmap,
        "jmp_loop": lambda: jnp.vstack([jvp(predict, (W,), (s,))[1] for s in vectors]),
        "jmp_vmap": lambda: vmap(lambda s: jvp(predict, (W,), (s,))[1])(vectors),
        "jacfwd": lambda: ad.jacfwd(predict)(W),
        "jacrev": lambda: ad.jacrev(predict)(W),
        "hessian": lambda: ad.hessian(predict)(W),
        "mlp": lambda: ad.value_and_grad(loss)(layers),
        "scalar_grad": scalar_grad,
        "control_flow": lambda: grad(lambda x: control_flow(x, jnp.sin))(scalar),
        "op_add": lambda: x + y,
        "op_mul": lambda: x * y,
        "op_tanh": lambda: jnp.tanh(x),
        "op_sum": lambda: jnp.sum(x),
        "op_dot": lambda: jnp.dot(x, z),
        "op_getitem": lambda: x[3],
        "op_slice": lambda: x[2:20, 5],
        "op_reshape": lambda: x.reshape(40, 30),
        "op_transpose": lambda: x.T,
        "large_mul": lambda: big_x * big_y,
        "large_tanh": lambda: jnp.tanh(big_x),
        "large_chain": lambda: jnp.sum(big_x * big_y + big_x),
        "large_dot": lambda: jnp.dot(a, c),
    }


def pullback_functions(data: Data) -> dict[str, Callable[[], Any]]:
    """With Pullback."""
    import pullback
    import pullback.numpy

    return functions(pullback, pullback.numpy, data)


def jax_functions(data: Data) -> dict[str, Callable[[], Any]]:
    """With JAX. Its operations run asynchronously: each answer is waited for."""
    import jax
    import jax.numpy

    def waiting(function: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: jax.block_until_ready(function())

    return {name: waiting(function) for name, function in functions(jax, jax.numpy, data).items()}
