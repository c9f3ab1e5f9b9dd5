"""Primitives and the functions over them: strict about types and shapes, without promotion.

Each family has its own module; this page gathers their public names.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.lax.arrangement import *
from pullback.lax.bits import *
from pullback.lax.blocks import *
from pullback.lax.callbacks import *
from pullback.lax.contraction import *
from pullback.lax.creation import *
from pullback.lax.cumulative import *
from pullback.lax.elementwise import *
from pullback.lax.gradient import *
from pullback.lax.indexing import *
from pullback.lax.positions import *
from pullback.lax.reductions import *
from pullback.lax.selection import *
from pullback.lax.shape import *
from pullback.lax.sorting import *

# Families that nothing else needs to start, loaded when a name of theirs is first asked for.
_LATER = (
    *(
        f"pullback.lax.{name}"
        for name in (
            "functions",
            "special",
            "collectives",
            "convolution",
            "windows",
            "fourier",
            "polynomials",
            "precision",
            "ragged",
            "scaled",
            "bit_generators",
            "placing",
        )
    ),
    # Control flow, which is made of transformations of programs.
    *(
        f"pullback.control.{name}"
        for name in ("loops", "branches", "associative", "reduce", "solves", "composite", "platforms")
    ),
)


def __getattr__(name: str) -> _Any:
    if name == "linalg":
        return _importlib.import_module("pullback.lax.linalg")
    if not name.startswith("__"):
        for family in _LATER:
            module = _importlib.import_module(family)
            if name in module.__all__:
                found = globals()[name] = getattr(module, name)
                return found
    raise AttributeError(f"module 'pullback.lax' has no attribute {name!r}")


def __dir__() -> list[str]:
    names = {"linalg", *globals()}
    for family in _LATER:
        names.update(_importlib.import_module(family).__all__)
    return sorted(names)
