"""The problems in PyTorch: its functional transformations (`torch.func`), and its tape (`torch.autograd`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.problems import Data, control_flow


class _Model:
    """The functions and data that both styles share."""

    def __init__(self, data: Data) -> None:
        import torch

        self.torch = torch
        names = (
            "x",
            "y",
            "v",
            "z",
            "inputs",
            "W",
            "b",
            "covectors",
            "vectors",
            "batch",
            "wanted",
            "big_x",
            "big_y",
            "a",
            "c",
        )
        self.data = {name: torch.as_tensor(data[name]) for name in names}
        self.layers = [(torch.as_tensor(w), torch.as_tensor(c)) for w, c in data["layers"]]
        self.scalar = data["scalar"]

    def f(self, x: Any) -> Any:
        return (self.torch.tanh(x) ** 2).sum()

    def predict(self, W: Any) -> Any:
        return 0.5 * (self.torch.tanh((self.data["inputs"] @ W + self.data["b"]) / 2) + 1)

    def loss(self, layers: Any) -> Any:
        h = self.data["batch"]
        for w, bias in layers[:-1]:
            h = self.torch.tanh(h @ w + bias)
        w, bias = layers[-1]
        return ((h @ w + bias - self.data["wanted"]) ** 2).mean()


def func_functions(data: Data) -> dict[str, Callable[[], Any]]:
    """With `torch.func`."""
    model = _Model(data)
    torch, f, predict = model.torch, model.f, model.predict
    grad, jvp, vjp, vmap = torch.func.grad, torch.func.jvp, torch.func.vjp, torch.func.vmap
    x, v, W = model.data["x"], model.data["v"], model.data["W"]
    covectors, vectors = model.data["covectors"], model.data["vectors"]

    def mjp_loop() -> Any:
        _, pull = vjp(predict, W)
        return torch.vstack([pull(m)[0] for m in covectors])

    def mjp_vmap() -> Any:
        _, pull = vjp(predict, W)
        return vmap(pull)(covectors)[0]

    def scalar_grad() -> Any:
        derivative = grad(lambda x: x**2 + x)
        for _ in range(1000):
            out = derivative(torch.tensor(model.scalar))
        return out

    return {
        "grad": lambda: grad(f)(x),
        "hvp_forward_reverse": lambda: jvp(grad(f), (x,), (v,))[1],
        "hvp_reverse_forward": lambda: grad(lambda x: jvp(f, (x,), (v,))[1])(x),
        "hvp_reverse_reverse": lambda: grad(lambda x: (grad(f)(x) * v).sum())(x),
        "full_hessian": lambda: torch.func.hessian(f)(x),
        "mjp_loop": mjp_loop,
        "mjp_vmap": mjp_vmap,
        "jmp_loop": lambda: torch.vstack([jvp(predict, (W,), (s,))[1] for s in vectors]),
        "jmp_vmap": lambda: vmap(lambda s: jvp(predict, (W,), (s,))[1])(vectors),
        "jacfwd": lambda: torch.func.jacfwd(predict)(W),
        "jacrev": lambda: torch.func.jacrev(predict)(W),
        "hessian": lambda: torch.func.hessian(predict)(W),
        "mlp": lambda: torch.func.grad_and_value(model.loss)(model.layers)[::-1],
        "scalar_grad": scalar_grad,
    }


def autograd_functions(data: Data) -> dict[str, Callable[[], Any]]:
    """With the tape: plain operations, `torch.autograd.grad` and `torch.autograd.functional`."""
    model = _Model(data)
    torch, f, predict = model.torch, model.f, model.predict
    grad = torch.autograd.grad
    d = model.data
    x, y, v, W = d["x"], d["y"], d["v"], d["W"]

    def gradient() -> Any:
        leaf = x.clone().requires_grad_()
        return grad(f(leaf), leaf)[0]

    def hvp_reverse_reverse() -> Any:
        leaf = x.clone().requires_grad_()
        (g,) = grad(f(leaf), leaf, create_graph=True)
        return grad((g * v).sum(), leaf)[0]

    def mjp_loop() -> Any:
        leaf = W.clone().requires_grad_()
        out = predict(leaf)
        return torch.vstack([grad(out, leaf, m, retain_graph=True)[0] for m in d["covectors"]])

    def mjp_vmap() -> Any:
        leaf = W.clone().requires_grad_()
        return grad(predict(leaf), leaf, d["covectors"], is_grads_batched=True)[0]

    def mlp() -> Any:
        leaves = [(w.clone().requires_grad_(), c.clone().requires_grad_()) for w, c in model.layers]
        value = model.loss(leaves)
        flat = grad(value, [t for pair in leaves for t in pair])
        return value.detach(), [(flat[2 * i], flat[2 * i + 1]) for i in range(len(leaves))]

    def scalar_grad() -> Any:
        for _ in range(1000):
            leaf = torch.tensor(model.scalar, requires_grad=True)
            (out,) = grad(leaf**2 + leaf, leaf)
        return out

    def through_control_flow() -> Any:
        leaf = torch.tensor(model.scalar, requires_grad=True)
        return grad(control_flow(leaf, torch.sin), leaf)[0]

    return {
        "value": lambda: f(x),
        "grad": gradient,
        "hvp_reverse_reverse": hvp_reverse_reverse,
        "full_hessian": lambda: torch.autograd.functional.hessian(f, x),
        "mjp_loop": mjp_loop,
        "mjp_vmap": mjp_vmap,
        "jacrev": lambda: torch.autograd.functional.jacobian(predict, W),
        "mlp": mlp,
        "scalar_grad": scalar_grad,
        "control_flow": through_control_flow,
        "op_add": lambda: x + y,
        "op_mul": lambda: x * y,
        "op_tanh": lambda: torch.tanh(x),
        "op_sum": lambda: torch.sum(x),
        "op_dot": lambda: x @ d["z"],
        "op_getitem": lambda: x[3],
        "op_slice": lambda: x[2:20, 5],
        "op_reshape": lambda: x.reshape(40, 30),
        "op_transpose": lambda: x.T,
        "large_mul": lambda: d["big_x"] * d["big_y"],
        "large_tanh": lambda: torch.tanh(d["big_x"]),
        "large_chain": lambda: (d["big_x"] * d["big_y"] + d["big_x"]).sum(),
        "large_dot": lambda: d["a"] @ d["c"],
    }
