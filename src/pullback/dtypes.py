"""Data types and their promotion."""

import numpy as _np

from pullback.core.dtypes import ExtendedDType as ExtendedDType
from pullback.core.dtypes import bfloat16 as bfloat16
from pullback.core.dtypes import canonicalize_dtype as canonicalize_dtype
from pullback.core.dtypes import extended as extended
from pullback.core.dtypes import finfo as finfo
from pullback.core.dtypes import float0 as float0
from pullback.core.dtypes import iinfo as iinfo
from pullback.core.dtypes import issubdtype as issubdtype
from pullback.core.dtypes import itemsize_bits as itemsize_bits
from pullback.core.dtypes import prng_key as prng_key
from pullback.core.dtypes import result_type as result_type
from pullback.core.dtypes import scalar_type_of as scalar_type_of
from pullback.core.errors import TypePromotionError as TypePromotionError

#: The class of element types that NumPy has; `ExtendedDType` is that of the others.
DType = _np.dtype

__all__ = [
    "DType", "ExtendedDType", "TypePromotionError", "bfloat16", "canonicalize_dtype", "extended", "finfo", "float0",
    "iinfo", "issubdtype", "itemsize_bits", "prng_key", "result_type", "scalar_type_of",
]  # fmt: skip
