"""The steps of `jit` (see `pullback.transforms.stages`)."""

from pullback.transforms.stages import ArgInfo as ArgInfo
from pullback.transforms.stages import Compiled as Compiled
from pullback.transforms.stages import Lowered as Lowered
from pullback.transforms.stages import Traced as Traced
from pullback.transforms.stages import Wrapped as Wrapped
