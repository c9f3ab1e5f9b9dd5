"""Evaluating a primitive by the compiler."""

from __future__ import annotations

from typing import Any

from pullback.core.array import as_array
from pullback.core.trace import EVAL, evaluable, under
from pullback.xla.eager import apply_primitive as _apply

#: Classes of other people's whose values are arrays, and what makes arrays of them. Here such
#: classes have a method `__jax_array__`: what is put in is not asked for.
canonicalize_dtype_handlers: dict[type, Any] = {}


def apply_primitive(prim: Any, *args: Any, **params: Any) -> Any:
    """The results of a primitive on concrete arrays, by its lowering rule: what `def_impl` takes
    for a primitive that has no evaluation of its own.

    >>> from functools import partial
    >>> from pullback.extend.core import Primitive
    >>> from pullback.interpreters import mlir
    >>> p = Primitive("tripled")
    >>> _ = p.def_impl(partial(apply_primitive, p)), p.def_abstract_eval(lambda x: x)
    >>> _ = mlir.register_lowering(p, mlir.lower_fun(lambda x: 3 * x, multiple_results=False))
    >>> p.bind(2.0)
    Array(6., dtype=float32, weak_type=True)
    """
    return under(EVAL, _apply, prim, [evaluable(as_array(a)) for a in args], params)


__all__ = ["apply_primitive", "canonicalize_dtype_handlers"]
