"""XLA in eager code: operations that are compiled one by one.

Those are what NumPy does not have, operations on arrays of other devices, and operations on large
arrays, which XLA does on all cores, where that is quicker than NumPy. Which ones, and from which
size on (`Primitive.xla_from`), is measured by `benchmarks/large.py`: XLA takes about half of
NumPy's time or less there on two cores, and the time that compiling takes is soon won back. The
choice depends on type and size alone, so equal calls give equal bits. XLA flushes subnormal numbers
to zero, as it does under `jit`. The option `xla_for_large_arrays` switches all this off.

Never: arithmetic and comparisons, float32 transcendental functions, logarithms, powers, sorting,
cumulative sums and products of matrices, because NumPy is as quick or quicker; sums and float64
`erf_inv`, because NumPy's and SciPy's are more accurate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.array import ConcreteArray, concrete
from pullback.core.config import config
from pullback.core.jaxpr import ClosedJaxpr, program_caches
from pullback.core.kept import by_identity, kept_with_owners
from pullback.core.primitive import Primitive
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL
from pullback.xla import forks, nan_checks
from pullback.xla.devices import DeviceArray, common_placement, fetched
from pullback.xla.placement import ON_HOST, Placement

xla_for_large_arrays = config.define(
    "xla_for_large_arrays", True, "Evaluate operations on large arrays by XLA where that is quicker than NumPy."
)


def is_for_xla(primitive: Primitive, size: int, dtype: Any) -> bool:
    """Whether XLA evaluates results of so many elements, as `xla_from` says."""
    least = primitive.xla_from.get(dtype.itemsize, math.inf)
    return size >= least and dtype.kind == "f" and xla_for_large_arrays.value


@forks.in_child
def _leave() -> None:
    config.update("xla_for_large_arrays", False)


_programs: dict[Any, ClosedJaxpr] = {}
program_caches.append(_programs)


def apply_primitive(
    primitive: Primitive, operands: Sequence[ConcreteArray], params: dict[str, Any], placement: Placement | None = None
) -> Any:
    """One primitive on Arrays, compiled."""
    from pullback.xla.dispatch import compiled

    owners: list[Any] = []
    key: Any = (primitive, tuple([x._type.number for x in operands]), by_identity(tuple(params.items()), owners))
    programs = kept_with_owners(owners) if owners else _programs
    try:
        program = programs.get(key)
    except TypeError:  # parameters that are not hashable
        key, program = None, None
    if program is None:

        def flat(*xs: Any) -> Any:
            out = primitive.bind(*xs, **params)
            return out if primitive.multiple_results else [out]

        program = stage_flat(flat, [x.aval for x in operands], EVAL)
        if key is not None:
            if len(programs) > 4096:
                programs.clear()
            programs[key] = program
    placement = placement or common_placement(operands, primitive.name)
    if placement is ON_HOST:
        operands = [fetched(x) for x in operands]
    outs = compiled(program, primitive.name, placement=placement).run(operands)
    return outs if primitive.multiple_results else outs[0]


def _process(x: DeviceArray, primitive: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """An operation one of whose operands is on another device."""
    out = apply_primitive(primitive, args, params)
    if nan_checks.checking():
        nan_checks.check_results(primitive.name, out if primitive.multiple_results else [out])
    return out


DeviceArray.process = _process  # type: ignore[method-assign]


def evaluate_by_xla(primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
    """What `primitive.evaluate(*values, **params)` is, computed by XLA: NumPy values in and out."""
    out = apply_primitive(primitive, [concrete(v) for v in values], params, ON_HOST)
    return [o._value for o in out] if primitive.multiple_results else out._value


def or_by_xla(primitive: Primitive, evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """`evaluate`, a function of one operand, which leaves large ones to XLA."""
    least = min(primitive.xla_from.values())

    def chosen(x: Any, **params: Any) -> Any:
        if x.size < least or not is_for_xla(primitive, x.size, x.dtype):
            return evaluate(x, **params)
        return evaluate_by_xla(primitive, (x,), params)

    chosen.of_type = lambda aval: evaluate if aval.size < least else chosen  # type: ignore[attr-defined]
    return chosen
