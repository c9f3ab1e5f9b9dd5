"""Primitives and the functions over them: strict about types and shapes, without promotion.

Each family has its own module; this page gathers their public names.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.lax.arrangement import *
from pullback.lax.callbacks import *
from pullback.lax.collectives import *
from pullback.lax.contraction import *
from pullback.lax.elementwise import *
from pullback.lax.functions import *
from pullback.lax.gradient import *
from pullback.lax.indexing import *
from pullback.lax.reductions import *
from pullback.lax.selection import *
from pullback.lax.shape import *
from pullback.lax.sorting import *
from pullback.lax.special import *

_LAZY = {"linalg": "pullback.lax.linalg"}


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        return _importlib.import_module(_LAZY[name])
    raise AttributeError(f"module 'pullback.lax' has no attribute {name!r}")
