"""Programs, primitives and traces, for libraries that take them apart or add their own.

`primitives` has every primitive of Pullback's by name.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.core.effects import Effects
from pullback.core.errors import InconclusiveDimensionOperation, JaxprTypeError
from pullback.core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Var
from pullback.extend.primitive import Primitive
from pullback.extend.program_parts import (
    DebugInfo,
    Effect,
    Literal,
    array_types,
    check_jaxpr,
    concrete_or_error,
    gensym,
    jaxpr_as_fun,
    jaxprs_in_params,
    mapped_aval,
    new_jaxpr_eqn,
    no_effects,
    primal_dtype_to_tangent_dtype,
    subjaxprs,
    unmapped_aval,
    valid_jaxtype,
)
from pullback.extend.foreign_traces import (
    TraceTag,
    find_top_trace,
    get_opaque_trace_state,
    nonempty_axis_env_DO_NOT_USE,
    set_current_trace,
    take_current_trace,
    unsafe_am_i_under_a_jit_DO_NOT_USE,
    unsafe_am_i_under_a_vmap_DO_NOT_USE,
    unsafe_get_axis_names_DO_NOT_USE,
)

__all__ = [
    "ClosedJaxpr",
    "DebugInfo",
    "DropVar",
    "Effect",
    "Effects",
    "InconclusiveDimensionOperation",
    "Jaxpr",
    "JaxprEqn",
    "JaxprTypeError",
    "Literal",
    "Primitive",
    "TraceTag",
    "Var",
    "array_types",
    "check_jaxpr",
    "concrete_or_error",
    "find_top_trace",
    "gensym",
    "get_opaque_trace_state",
    "jaxpr_as_fun",
    "jaxprs_in_params",
    "mapped_aval",
    "new_jaxpr_eqn",
    "no_effects",
    "nonempty_axis_env_DO_NOT_USE",
    "primal_dtype_to_tangent_dtype",
    "set_current_trace",
    "subjaxprs",
    "take_current_trace",
    "unmapped_aval",
    "unsafe_am_i_under_a_jit_DO_NOT_USE",
    "unsafe_am_i_under_a_vmap_DO_NOT_USE",
    "unsafe_get_axis_names_DO_NOT_USE",
    "valid_jaxtype",
]


def __getattr__(name: str) -> _Any:
    if name == "primitives":
        return _importlib.import_module("pullback.extend.core.primitives")
    raise AttributeError(f"module 'pullback.extend.core' has no attribute {name!r}")
