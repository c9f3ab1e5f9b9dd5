"""Pullback's primitives, each under its name with `_p` behind: `primitives.sin_p`.

Names are looked up among the primitives that are loaded, and then in the modules that load the
others. A few are JAX's names for what is called otherwise here.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.core.primitive import registry as _registry

#: JAX's names for primitives that have others here.
_CALLED = {
    "add_jaxvals_p": "add",
    "call_p": "jit",
    "closed_call_p": "jit",
    "linear_solve_p": "custom_linear_solve",
    "remat_p": "checkpoint",
}
#: The modules that declare primitives and are not loaded with `pullback.lax`.
_MODULES = (
    *(
        f"pullback.lax.{name}"
        for name in (
            "special",
            "collectives",
            "convolution",
            "windows",
            "fourier",
            "bit_generators",
            "random_bits",
            "linalg",
        )
    ),
    *(f"pullback.control.{name}" for name in ("loops", "branches", "reduce", "solves")),
    "pullback.transforms.jit",
    "pullback.transforms.custom_jvp",
    "pullback.transforms.custom_vjp",
    "pullback.transforms.checkpoint",
    "pullback.random",
)


def __getattr__(name: str) -> _Any:
    if not name.startswith("_") and name.endswith("_p"):
        own = _CALLED.get(name, name[:-2])
        for module in (None, "pullback.lax", *_MODULES):
            if module is not None:
                _importlib.import_module(module)
            if own in _registry:
                return _registry[own]
    raise AttributeError(
        f"module 'pullback.extend.core.primitives' has no attribute {name!r}: Pullback has no primitive of that name"
    )


def __dir__() -> list[str]:
    for module in ("pullback.lax", *_MODULES):
        _importlib.import_module(module)
    return sorted({f"{name}_p" for name in _registry if name.isidentifier()} | {*_CALLED})
