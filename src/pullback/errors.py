"""The errors of tracing, for `except` clauses."""

from pullback.core.errors import ConcretizationTypeError as ConcretizationTypeError
from pullback.core.errors import InconclusiveDimensionOperation as InconclusiveDimensionOperation
from pullback.core.errors import JAXIndexError as JAXIndexError
from pullback.core.errors import JaxprTypeError as JaxprTypeError
from pullback.core.errors import JaxRuntimeError as JaxRuntimeError
from pullback.core.errors import JAXTypeError as JAXTypeError
from pullback.core.errors import KeyReuseError as KeyReuseError
from pullback.core.errors import NonConcreteBooleanIndexError as NonConcreteBooleanIndexError
from pullback.core.errors import OutOfMemoryError as OutOfMemoryError
from pullback.core.errors import TracerArrayConversionError as TracerArrayConversionError
from pullback.core.errors import TracerBoolConversionError as TracerBoolConversionError
from pullback.core.errors import TracerIntegerConversionError as TracerIntegerConversionError
from pullback.core.errors import TypePromotionError as TypePromotionError
from pullback.core.errors import UnexpectedTracerError as UnexpectedTracerError

__all__ = [
    "ConcretizationTypeError", "InconclusiveDimensionOperation", "JAXIndexError", "JAXTypeError", "JaxRuntimeError",
    "JaxprTypeError", "KeyReuseError", "NonConcreteBooleanIndexError", "OutOfMemoryError", "TracerArrayConversionError",
    "TracerBoolConversionError", "TracerIntegerConversionError", "TypePromotionError", "UnexpectedTracerError",
]  # fmt: skip
