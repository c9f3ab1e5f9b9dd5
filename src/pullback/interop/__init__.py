"""Pullback beside other libraries: SciPy's solvers, PyTorch. Each module is loaded, with its
library, when it is asked for."""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

_SUBMODULES = frozenset(["scipy", "torch"])


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"pullback.interop.{name}")
    raise AttributeError(f"module 'pullback.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
