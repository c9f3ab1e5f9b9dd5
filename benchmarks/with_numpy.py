"""The problems in NumPy, derivatives by hand where that is sensible: what no system can be expected to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.problems import Data


def functions(data: Data) -> dict[str, Callable[[], Any]]:
    """With NumPy."""
    x, y, v, z, inputs, W, b = (data[name] for name in ("x", "y", "v", "z", "inputs", "W", "b"))
    big_x, big_y, a, c = (data[name] for name in ("big_x", "big_y", "a", "c"))

    def gradient() -> Any:
        t = np.tanh(x)
        return 2 * t * (1 - t * t)

    def hessian_vector() -> Any:
        t = np.tanh(x)
        s = 1 - t * t
        return 2 * s * (s - 2 * t * t) * v

    def slopes() -> Any:
        t = np.tanh((inputs @ W + b) / 2)
        return 0.25 * (1 - t * t)

    def mlp() -> Any:
        activations = [data["batch"]]
        for w, bias in data["layers"][:-1]:
            activations.append(np.tanh(activations[-1] @ w + bias))
        w, bias = data["layers"][-1]
        residual = activations[-1] @ w + bias - data["wanted"]
        ct = residual * np.float32(2 / residual.size)
        grads = []
        for i in range(len(data["layers"]) - 1, -1, -1):
            h = activations[i]
            grads.append((h.T @ ct, ct.sum(0)))
            if i:
                ct = (ct @ data["layers"][i][0].T) * (1 - h * h)
        return np.mean(residual**2), grads[::-1]

    return {
        "value": lambda: np.sum(np.tanh(x) ** 2),
        "grad": gradient,
        "hvp_forward_reverse": hessian_vector,
        "mjp_vmap": lambda: (data["covectors"] * slopes()) @ inputs,
        "jmp_vmap": lambda: (data["vectors"] @ inputs.T) * slopes(),
        "jacrev": lambda: slopes()[:, None] * inputs,
        "mlp": mlp,
        "op_add": lambda: x + y,
        "op_mul": lambda: x * y,
        "op_tanh": lambda: np.tanh(x),
        "op_sum": lambda: np.sum(x),
        "op_dot": lambda: np.dot(x, z),
        "op_getitem": lambda: x[3],
        "op_slice": lambda: x[2:20, 5],
        "op_reshape": lambda: x.reshape(40, 30),
        "op_transpose": lambda: x.T,
        "large_mul": lambda: big_x * big_y,
        "large_tanh": lambda: np.tanh(big_x),
        "large_chain": lambda: np.sum(big_x * big_y + big_x),
        "large_dot": lambda: np.dot(a, c),
    }
