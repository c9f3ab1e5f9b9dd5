"""What is measured: the problems, their data, and what they are to be compared with.

The data are NumPy arrays, the same for every library. Each library's file (`with_jax_api`, `with_torch`, `with_autograd`, `with_numpy`)
gives for the problems that it can express a function without arguments that computes the answer once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

PEERS = ("jax", "torch.func", "torch.autograd", "autograd")

#: Targets: the peers' time over ours is to be at least this.
FASTER_THAN_ALL = dict.fromkeys(PEERS, 1.0)
FIRST_CLASS = {"jax": 20.0, "torch.func": 2.0, "torch.autograd": 1.0, "autograd": 1.4}


@dataclass(frozen=True)
class Problem:
    """One line of the results."""

    name: str
    title: str
    #: Least ratio of a library's time to ours that meets the target, by library.
    targets: dict[str, float] = field(default_factory=lambda: FASTER_THAN_ALL)
    #: Most that we may take beyond NumPy, in microseconds (for single operations).
    overhead: float | None = None
    #: How close the answers of all libraries are to each other, relative to the largest number.
    tolerance: float = 1e-3
    #: Calls counted as one (where the problem itself repeats something): times are given per repetition.
    repeats: int = 1


F = "f(X) = sum(tanh(X)²), X 30×40 float32"
PROBLEMS = [
    Problem("value", f"{F}: value", {"jax": 20.0, "torch.autograd": 1.0, "autograd": 1.4}),
    Problem("grad", "gradient", FIRST_CLASS),
    Problem("hvp_forward_reverse", "Hessian-vector product, forward over reverse", FIRST_CLASS),
    Problem("hvp_reverse_forward", "Hessian-vector product, reverse over forward", FIRST_CLASS),
    Problem("hvp_reverse_reverse", "Hessian-vector product, reverse over reverse", FIRST_CLASS),
    Problem("full_hessian", "full Hessian (1200×1200)"),
    Problem("mjp_loop", "Cookbook's logistic model: 128 pullbacks in a loop"),
    Problem("mjp_vmap", "128 pullbacks by vmap"),
    Problem("jmp_loop", "128 pushforwards in a loop"),
    Problem("jmp_vmap", "128 pushforwards by vmap"),
    Problem("jacfwd", "jacfwd of the predictions"),
    Problem("jacrev", "jacrev of the predictions"),
    Problem("hessian", "Hessian of the predictions"),
    Problem("mlp", "value_and_grad of a perceptron (3 layers, 64 wide, batch 32)"),
    Problem("scalar_grad", "grad(lambda x: x**2 + x) of a Python float", repeats=1000),
    Problem("control_flow", "gradient through 50 iterations of Python control flow"),
    *(
        Problem(f"op_{name}", title, {}, overhead=1.5)
        for name, title in {
            "add": "x + y, 30×40 float32", "mul": "x * y", "tanh": "tanh(x)", "sum": "sum(x)", "dot": "dot(x, z), 30×40 by 40×30",
            "getitem": "x[3]", "slice": "x[2:20, 5]", "reshape": "x.reshape(40, 30)", "transpose": "x.T",
        }.items()
    ),
    *(
        Problem(f"large_{name}", title, {"numpy": 1 / 1.10})
        for name, title in {
            "mul": "x * y, 2000×2000 float32", "tanh": "tanh(x)", "chain": "sum(x * y + x)", "dot": "product of 1000×1000 float32",
        }.items()
    ),
]  # fmt: skip
BY_NAME = {p.name: p for p in PROBLEMS}
#: Sections of the report: title, and the names of its problems.
SECTIONS = {
    "Derivatives, nothing compiled": [p.name for p in PROBLEMS if not p.name.startswith(("op_", "large_"))],
    "Single operations": [p.name for p in PROBLEMS if p.name.startswith("op_")],
    "Large arrays": [p.name for p in PROBLEMS if p.name.startswith("large_")],
}

Data = dict[str, Any]


def data() -> Data:
    """The arrays of every problem, by name."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1.0) -> Any:
        return (scale * rng.normal(size=shape)).astype(np.float32)

    sizes = [(64, 64), (64, 64), (64, 64)]
    return {
        "x": normal(30, 40), "y": normal(30, 40), "v": normal(30, 40), "z": normal(40, 30),
        "inputs": np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]], np.float32),
        "W": normal(3), "b": np.float32(0.3), "covectors": normal(128, 4), "vectors": normal(128, 3),
        "layers": [(normal(*s, scale=0.1), normal(s[1], scale=0.1)) for s in sizes],
        "batch": normal(32, 64), "wanted": normal(32, 64),
        "scalar": 1.7,
        "big_x": normal(2000, 2000), "big_y": normal(2000, 2000), "a": normal(1000, 1000), "c": normal(1000, 1000),
    }  # fmt: skip


def control_flow(x: Any, sin: Any) -> Any:
    """Fifty steps of which each looks at the value: the same Python for every library."""
    y, i = x, 0
    while i < 50:
        if y > 1.0:
            y = y * 0.5 + x * 0.1
        else:
            y = y + sin(y) * 0.3 + 0.2
        i += 1
    return y
