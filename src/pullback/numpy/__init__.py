"""The NumPy API, differentiable: NumPy's functions with JAX's types, on Arrays and tracers.

Each subject has its own module; this page only gathers them, and gives `Array` its operators and
methods.
"""

import importlib as _importlib
from typing import Any as _Any

from pullback.core.array import Array as _Array
from pullback.numpy import array_methods as _array_methods
from pullback.numpy.arithmetic import *
from pullback.numpy.contraction import *
from pullback.numpy.conversion import *
from pullback.numpy.creation import *
from pullback.numpy.joining import *
from pullback.numpy.manipulation import *
from pullback.numpy.quantiles import *
from pullback.numpy.ranges import *
from pullback.numpy.rearranging import *
from pullback.numpy.reductions import *
from pullback.numpy.selecting import *
from pullback.numpy.sorting import *
from pullback.numpy.types import *
from pullback.numpy.ufuncs import *
from pullback.numpy.universal import *

_array_methods.install(_Array)

#: The version of the array API standard that this namespace follows.
__array_api_version__ = _array_methods.API_VERSION

# Loaded when first asked for, so that importing stays quick.
_LAZY = {
    name: module
    for module, names in {
        "index_makers": "diag_indices diag_indices_from fill_diagonal index_exp ix_ mask_indices ravel_multi_index s_ tril_indices "
        "tril_indices_from triu_indices triu_indices_from",
        "fft": "fft",
        "inspection": "__array_namespace_info__",
        "linalg": "linalg",
        "padding": "pad",
        "polynomials": "poly polyadd polyder polydiv polyfit polyint polymul polysub polyval roots vander",
        "sets": "intersect1d isin setdiff1d setxor1d union1d unique unique_all unique_counts unique_inverse unique_values",
        "signal": "bartlett blackman convolve correlate diff ediff1d gradient hamming hanning interp kaiser trapezoid unwrap",
        "vectorization": "apply_along_axis apply_over_axes vectorize",
        "statistics": "bincount corrcoef cov digitize histogram histogram2d histogram_bin_edges histogramdd",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> _Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'pullback.numpy' has no attribute {name!r}")
    loaded = _importlib.import_module(f"pullback.numpy.{module}")
    found = loaded if name == module else getattr(loaded, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
