"""Rules of differentiation: the derivative of each primitive, and the transpose of those that are
linear.

    primitive_jvps[p] = lambda primals, tangents, **params: (results, tangents of the results)
    primitive_transposes[p] = lambda ct, *operands, **params: [cotangents of the operands]

Tangents and cotangents that are known to be zero are `Zero`s; the operands that a transpose is
asked for are `UndefinedPrimal`s. The tables of Pullback's own primitives can be read, and not be
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.array import as_array
from pullback.extend.linear_util import WrappedFun, transformation2
from pullback.extend.tables import (
    DIFFERENTIATION,
    TRANSPOSITION,
    defbilinear,
    defjvp,
    defjvp2,
    deflinear,
    deflinear2,
)
from pullback.extend.tangents import (
    UndefinedPrimal,
    Zero,
    add_jaxvals,
    add_tangents,
    instantiate_zeros,
    is_undefined_primal,
    is_zero,
    to_rule,
    zeros_like_aval,
)
from pullback.lax.family import add_p as add_jaxvals_p
from pullback.transforms.jvp import JVPTrace, JVPTracer, jvp_flat

primitive_jvps = DIFFERENTIATION
primitive_transposes = TRANSPOSITION


def get_primitive_transpose(p: Any) -> Callable[..., Any]:
    """The transposition rule of a primitive: `rule(ct, *operands, **params)` gives a cotangent for
    each operand that is an `UndefinedPrimal`, None for others. Raises NotImplementedError if it has
    none.

    >>> from pullback.core.types import typeof
    >>> from pullback.lax import mul_p
    >>> get_primitive_transpose(mul_p)(2.0, UndefinedPrimal(typeof(1.0)), 5.0)
    [Array(10., dtype=float32, weak_type=True), None]
    """
    try:
        return TRANSPOSITION[p]
    except KeyError:
        raise NotImplementedError(
            f"transposition of {p!r} is not implemented: add its rule to interpreters.ad.primitive_transposes"
        ) from None


@transformation2
def _jvp(fun: Callable[..., Any], instantiate: bool, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    primals = list(map(as_array, primals))
    outs, ts = jvp_flat(
        lambda *xs: list(map(as_array, fun(*xs))), primals, [None if is_zero(t) else as_array(t) for t in tangents]
    )
    found = [to_rule(t, o) for t, o in zip(ts, outs)]
    return outs, list(map(instantiate_zeros, found)) if instantiate else found


def jvp(fun: WrappedFun, has_aux: bool = False, instantiate: bool = True, transform_stack: bool = True) -> WrappedFun:
    """`fun`, a wrapped function of flat arrays, as one of `(primals, tangents)` that gives results
    and their tangents; these as arrays, or with `instantiate=False` as `Zero`s where they are zero.

    >>> from pullback.extend.linear_util import wrap_init
    >>> jvp(wrap_init(lambda x: [x * x])).call_wrapped((3.0,), (1.0,))
    ([Array(9., dtype=float32, weak_type=True)], [Array(6., dtype=float32, weak_type=True)])
    """
    del transform_stack
    if has_aux:
        raise NotImplementedError(
            "interpreters.ad.jvp: functions with auxiliary results are for pullback.jvp(..., has_aux=True)"
        )
    wrapped: WrappedFun = _jvp(fun, instantiate)
    return wrapped


__all__ = [
    "JVPTrace",
    "JVPTracer",
    "UndefinedPrimal",
    "Zero",
    "add_jaxvals",
    "add_jaxvals_p",
    "add_tangents",
    "defbilinear",
    "defjvp",
    "defjvp2",
    "deflinear",
    "deflinear2",
    "get_primitive_transpose",
    "instantiate_zeros",
    "is_undefined_primal",
    "jvp",
    "primitive_jvps",
    "primitive_transposes",
    "zeros_like_aval",
]
