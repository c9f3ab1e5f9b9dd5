"""Special functions, with the names of `scipy.special`."""

from __future__ import annotations

from pullback.scipy.special.bessel import *
from pullback.scipy.special.error_functions import *
from pullback.scipy.special.gamma_functions import *
from pullback.scipy.special.hypergeometric import *
from pullback.scipy.special.integrals import *
from pullback.scipy.special.log_gamma import *
from pullback.scipy.special.normal import *
