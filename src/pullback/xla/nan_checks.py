"""debug_nans and debug_infs in compiled programs: results are looked at, and the guilty operation
found by running it again, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray
from pullback.core.config import debug_infs, debug_nans
from pullback.core.errors import see, user_line
from pullback.core.jaxpr import ClosedJaxpr, Literal
from pullback.core.passes import inline_calls

Runner = Callable[[Sequence[ConcreteArray]], list[ConcreteArray]]


def checking() -> bool:
    """Whether results are to be looked at."""
    return bool(debug_nans.value or debug_infs.value)


def checked(program: ClosedJaxpr, name: str, run: Runner) -> Runner:
    """`run`, the program's executable, raising FloatingPointError that names operation and line if
    a result is not what it should be."""

    def run_checked(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        outs = run(args)
        for out in outs:
            wrong = _wrong(out)
            if wrong:
                _locate(program, args)
                raise FloatingPointError(
                    f"invalid value ({wrong}) encountered in jit({name}); the same program, run operation by operation, has none{see('nan')}"
                )
        return outs

    return run_checked


def check_results(name: str, results: Sequence[Any]) -> None:
    """Raise FloatingPointError if a result of the operation called `name` is not what it should be."""
    for x in results:
        wrong = _wrong(x)
        if wrong:
            raise FloatingPointError(f"invalid value ({wrong}) encountered in {name} at {user_line()}{see('nan')}")


def _wrong(x: Any) -> str:
    """ "nan" or "inf", if the array has one that is looked for; an empty text if not."""
    if not dtypes.is_inexact(x.dtype):
        return ""
    value = np.asarray(x)
    value = value if dtypes.is_numpys(value.dtype) else value.astype(np.float32)
    if debug_nans.value and np.isnan(value).any():
        return "nan"
    return "inf" if debug_infs.value and np.isinf(value).any() else ""


def _locate(program: ClosedJaxpr, args: Sequence[ConcreteArray]) -> None:
    closed = inline_calls(program)
    values: dict[Any, Any] = dict(zip(closed.jaxpr.constvars, closed.consts))
    values.update(zip(closed.jaxpr.invars, args))
    with debug_nans(False), debug_infs(False):
        steps = []
        for e in closed.eqns:
            out = e.primitive.bind(*[x.val if isinstance(x, Literal) else values[x] for x in e.invars], **e.params)
            results = out if e.primitive.multiple_results else [out]
            values.update(zip(e.outvars, results))
            steps.append((e, results))
    for e, results in steps:
        for r in results:
            wrong = _wrong(r)
            if wrong:
                raise FloatingPointError(
                    f"invalid value ({wrong}) encountered in {e.primitive.name} at {e.source}{see('nan')}"
                )
