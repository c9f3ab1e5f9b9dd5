"""The NumPy API, differentiable: NumPy's functions with JAX's types, on Arrays and tracers.

Each subject has its own module; this page only gathers them, and gives `Array` its operators and methods.
"""

from pullback.core.array import Array as _Array
from pullback.numpy import array_methods as _array_methods
from pullback.numpy import linalg as linalg
from pullback.numpy.contraction import *  # noqa: F403
from pullback.numpy.creation import *  # noqa: F403
from pullback.numpy.indexing import *  # noqa: F403
from pullback.numpy.manipulation import *  # noqa: F403
from pullback.numpy.reductions import *  # noqa: F403
from pullback.numpy.sets import *  # noqa: F403
from pullback.numpy.sorting import *  # noqa: F403
from pullback.numpy.types import *  # noqa: F403
from pullback.numpy.ufuncs import *  # noqa: F403

_array_methods.install(_Array)
