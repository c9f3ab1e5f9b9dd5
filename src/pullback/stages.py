"""The steps of `jit` (see `pullback.transforms.ahead_of_time`)."""

from pullback.transforms.ahead_of_time import ArgInfo as ArgInfo
from pullback.transforms.ahead_of_time import Compiled as Compiled
from pullback.transforms.ahead_of_time import Lowered as Lowered
from pullback.transforms.ahead_of_time import Traced as Traced
from pullback.transforms.ahead_of_time import Wrapped as Wrapped

__all__ = [
    "ArgInfo", "Compiled", "Lowered", "Traced", "Wrapped",
]  # fmt: skip
