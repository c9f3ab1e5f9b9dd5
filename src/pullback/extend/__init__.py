"""For libraries that extend Pullback: primitives of their own, programs as data, random bits.

    from pullback.extend.core import Primitive

Each sub-module is loaded when it is first asked for. What rules a primitive has is said in the
tables of `pullback.interpreters`. Names and calling conventions are JAX's (see docs/extending.md).
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

_SUBMODULES = ("backend", "core", "linear_util", "random", "source_info_util")


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"pullback.extend.{name}")
    raise AttributeError(f"module 'pullback.extend' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
