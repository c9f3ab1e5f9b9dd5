"""Run-time checks in functions of any kind: jitted, mapped, differentiated (see `pullback.transforms.checkify`)."""

from pullback.transforms.checkify import Error as Error
from pullback.transforms.checkify import ErrorCategory as ErrorCategory
from pullback.transforms.checkify import JaxRuntimeError as JaxRuntimeError
from pullback.transforms.checkify import all_checks as all_checks
from pullback.transforms.checkify import automatic_checks as automatic_checks
from pullback.transforms.checkify import check as check
from pullback.transforms.checkify import check_error as check_error
from pullback.transforms.checkify import checkify as checkify
from pullback.transforms.checkify import debug_check as debug_check
from pullback.transforms.checkify import div_checks as div_checks
from pullback.transforms.checkify import float_checks as float_checks
from pullback.transforms.checkify import index_checks as index_checks
from pullback.transforms.checkify import init_error as init_error
from pullback.transforms.checkify import nan_checks as nan_checks
from pullback.transforms.checkify import user_checks as user_checks
