"""The problems in Autograd (HIPS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.problems import Data, control_flow


def functions(data: Data) -> dict[str, Callable[[], Any]]:
    """With Autograd; it has no vmap."""
    import autograd
    import autograd.numpy as anp

    grad, make_vjp, make_jvp = autograd.grad, autograd.make_vjp, autograd.make_jvp
    x, v, inputs, W, b = (data[name] for name in ("x", "v", "inputs", "W", "b"))
    batch, wanted, scalar = data["batch"], data["wanted"], data["scalar"]

    def f(x: Any) -> Any:
        return anp.sum(anp.tanh(x) ** 2)

    def predict(W: Any) -> Any:
        return 0.5 * (anp.tanh((anp.dot(inputs, W) + b) / 2) + 1)

    def loss(layers: Any) -> Any:
        h = batch
        for w, bias in layers[:-1]:
            h = anp.tanh(anp.dot(h, w) + bias)
        w, bias = layers[-1]
        return anp.mean((anp.dot(h, w) + bias - wanted) ** 2)

    def mjp_loop() -> Any:
        pull, _ = make_vjp(predict)(W)
        return anp.vstack([pull(m) for m in data["covectors"]])

    def scalar_grad() -> Any:
        derivative = grad(lambda x: x**2 + x)
        for _ in range(1000):
            out = derivative(scalar)
        return out

    return {
        "value": lambda: f(x),
        "grad": lambda: grad(f)(x),
        "hvp_forward_reverse": lambda: make_jvp(grad(f))(x)(v)[1],
        "hvp_reverse_forward": lambda: grad(lambda x: make_jvp(f)(x)(v)[1])(x),
        "hvp_reverse_reverse": lambda: grad(lambda x: anp.sum(grad(f)(x) * v))(x),
        "full_hessian": lambda: autograd.hessian(f)(x),
        "mjp_loop": mjp_loop,
        "jmp_loop": lambda: anp.vstack([make_jvp(predict)(W)(s)[1] for s in data["vectors"]]),
        "jacrev": lambda: autograd.jacobian(predict)(W),
        "hessian": lambda: autograd.jacobian(autograd.jacobian(predict))(W),
        "mlp": lambda: autograd.value_and_grad(loss)(data["layers"]),
        "scalar_grad": scalar_grad,
        "control_flow": lambda: grad(lambda x: control_flow(x, anp.sin))(scalar),
    }
