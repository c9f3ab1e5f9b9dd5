"""What programs that were written for JAX find as `jax.core`: also what is in `jax.extend.core`
today, and was here when they were written.

`pullback.core` is the package of the core's own modules, which import nothing above them, and shows
none of these names: half of them are made of what is above (see docs/architecture.md).
"""

from typing import Any

from pullback.core import jaxpr
from pullback.core.dimensions import max_dim, min_dim
from pullback.core.effects import Effects
from pullback.core.errors import ConcretizationTypeError, InconclusiveDimensionOperation, JaxprTypeError
from pullback.core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Var, eval_jaxpr
from pullback.core.types import typeof as get_aval
from pullback.extend.foreign_traces import (
    Trace,
    Tracer,
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
from pullback.extend.primitive import Primitive
from pullback.extend.program_parts import (
    AbstractValue,
    DebugInfo,
    Effect,
    Literal,
    ShapedArray,
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
from pullback.transforms.tracing import ensure_compile_time_eval

#: For annotations: what stands in an equation, what its parameters are, and any value.
Atom = Var | jaxpr.Literal
ParamDict = dict[str, Any]
Value = Any


def eval_context() -> ensure_compile_time_eval:
    """`with eval_context(): ...` evaluates at once what involves no traced value, also while a
    function is traced. See `ensure_compile_time_eval`.

    >>> import pullback as pb
    >>> def f(x):
    ...     with eval_context():
    ...         return x * int(pb.numpy.arange(4).sum())  # which is known
    >>> pb.jit(f)(2.0)
    Array(12., dtype=float32, weak_type=True)
    """
    return ensure_compile_time_eval()


def is_concrete(x: Any) -> bool:
    """Whether the value of `x` is known.

    >>> import pullback as pb
    >>> is_concrete(2.0), pb.jit(lambda x: print(is_concrete(x)))(2.0)
    False
    (True, None)
    """
    from pullback.core.trace import Tracer as TracerBase

    return not isinstance(x, TracerBase) or x.concrete() is not None


__all__ = [
    "AbstractValue",
    "Atom",
    "ClosedJaxpr",
    "ConcretizationTypeError",
    "DebugInfo",
    "DropVar",
    "Effect",
    "Effects",
    "InconclusiveDimensionOperation",
    "Jaxpr",
    "JaxprEqn",
    "JaxprTypeError",
    "Literal",
    "ParamDict",
    "Primitive",
    "ShapedArray",
    "Trace",
    "TraceTag",
    "Tracer",
    "Value",
    "Var",
    "check_jaxpr",
    "concrete_or_error",
    "ensure_compile_time_eval",
    "eval_context",
    "eval_jaxpr",
    "find_top_trace",
    "gensym",
    "get_aval",
    "get_opaque_trace_state",
    "is_concrete",
    "jaxpr_as_fun",
    "jaxprs_in_params",
    "mapped_aval",
    "max_dim",
    "min_dim",
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
