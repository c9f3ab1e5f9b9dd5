"""The tables of rules, one module for each transformation that has rules: `ad`, `batching`, `mlir`,
`partial_eval`; `pxla` and `xla` have what libraries import of them.

They are views: a rule that is put in belongs to the primitive, and what is read of Pullback's own
primitives is derived from their classes. Names and calling conventions are JAX's (see
docs/extending.md).
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

_SUBMODULES = ("ad", "batching", "mlir", "partial_eval", "pxla", "xla")


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"pullback.interpreters.{name}")
    raise AttributeError(f"module 'pullback.interpreters' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
