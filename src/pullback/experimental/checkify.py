"""Run-time checks in functions of any kind: jitted, mapped, differentiated (see
`pullback.transforms.checkify`)."""

from pullback.transforms.checkify import checkify as checkify
from pullback.transforms.failures import Error as Error
from pullback.transforms.failures import ErrorCategory as ErrorCategory
from pullback.transforms.failures import JaxRuntimeError as JaxRuntimeError
from pullback.transforms.failures import all_checks as all_checks
from pullback.transforms.failures import automatic_checks as automatic_checks
from pullback.transforms.failures import check as check
from pullback.transforms.failures import check_error as check_error
from pullback.transforms.failures import debug_check as debug_check
from pullback.transforms.failures import div_checks as div_checks
from pullback.transforms.failures import float_checks as float_checks
from pullback.transforms.failures import index_checks as index_checks
from pullback.transforms.failures import init_error as init_error
from pullback.transforms.failures import nan_checks as nan_checks
from pullback.transforms.failures import user_checks as user_checks

__all__ = [
    "Error", "ErrorCategory", "JaxRuntimeError", "all_checks", "automatic_checks", "check", "check_error", "checkify",
    "debug_check", "div_checks", "float_checks", "index_checks", "init_error", "nan_checks", "user_checks",
]  # fmt: skip
