"""Primitives and the functions over them: strict about types and shapes, without promotion.

Each family has its own module; this page gathers their public names.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.lax.arrangement import *  # noqa: F403
from pullback.lax.callbacks import *  # noqa: F403
from pullback.lax.collectives import *  # noqa: F403
from pullback.lax.contraction import *  # noqa: F403
from pullback.lax.elementwise import *  # noqa: F403
from pullback.lax.functions import *  # noqa: F403
from pullback.lax.gradient import *  # noqa: F403
from pullback.lax.indexing import *  # noqa: F403
from pullback.lax.reductions import *  # noqa: F403
from pullback.lax.selection import *  # noqa: F403
from pullback.lax.shape import *  # noqa: F403
from pullback.lax.sorting import *  # noqa: F403
from pullback.lax.special import *  # noqa: F403

_LAZY = {"linalg": "pullback.lax.linalg"}


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        return _importlib.import_module(_LAZY[name])
    raise AttributeError(f"module 'pullback.lax' has no attribute {name!r}")
