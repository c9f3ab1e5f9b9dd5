"""No element of a Jacobian is outside the pattern that is found for it, for all arguments or for these."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.staging import stage_flat
from pullback.derivatives.sparsity_patterns.detection import dependence
from pullback.transforms.jvp import jvp, jvp_flat
from pullback.transforms.linearize import linearize
from tests.conformance.checks import arrays, differentiable, inexact, outputs
from tests.conformance.table import Row


def check_sparsity(row: Row) -> None:
    values = arrays(row)
    active, which = inexact(values), inexact(outputs(row, *values))
    if not sum([values[i].size for i in active]) or not which:
        return
    function, primals = differentiable(row, active, which), [values[i] for i in active]
    jacobian = _jacobian(function, primals)
    for local in (False, True):
        pattern = _pattern(function, primals, local).toarray()
        missing = np.argwhere((jacobian != 0) & ~pattern)
        assert not missing.size, f"the {'local' if local else 'global'} pattern lacks {missing[:5].tolist()}"


def _jacobian(function: Any, primals: list[Any]) -> Any:
    """Which elements are not zero; NaN is not."""
    columns = []
    for i, x in enumerate(primals):
        for j in range(x.size):
            column = 0
            for unit in (1, 1j) if dtypes.is_complex(x.dtype) else (1,):
                tangents = [np.zeros(p.shape, p.dtype) for p in primals]
                tangents[i].reshape(-1)[j] = unit
                out = jvp(function, primals, tangents)[1]
                column = column + np.concatenate([abs(np.asarray(t).astype(complex).reshape(-1)) for t in out])
            columns.append(column)
    return np.stack(columns, 1)


def _pattern(function: Any, primals: list[Any], local: bool) -> Any:
    if local:
        return dependence(linearize(function, *primals)[1].program(), range(len(primals)))
    types, n = [x.aval for x in primals], len(primals)

    def push(*xs: Any) -> list[Any]:
        outs, ts = jvp_flat(lambda *ys: list(function(*ys)), xs[:n], xs[n:])
        return [np.zeros(o.shape, o.dtype) if t is None else t for o, t in zip(outs, ts)]

    closed: ClosedJaxpr = stage_flat(push, [*types, *(t.to_tangent_aval() for t in types)])
    return dependence(closed, range(n, 2 * n))
