"""Programs of few numbers as one kernel.

What elimination makes of a function of a few numbers is hundreds of operations on single numbers. XLA for CPUs
fuses them into some dozens of kernels, in each of which it computes much of the others again; the calls and the
repetition take most of the time. XLA writes small loops into one kernel (`xla.kernels`), so such a program is
compiled as a loop that is run once. Elsewhere it is what it computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pullback.core import dtypes
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.passes import simplify
from pullback.core.primitive import Fusion
from pullback.core.trace import Params
from pullback.transforms.program import ProgramCall

if TYPE_CHECKING:
    from pullback.core.names import Emitted, Param, Value
    from pullback.xla.stablehlo import Emitter

#: Elements of the largest array of a program that is one kernel: with more, a call costs little beside them.
_SMALL = 64
#: Operations of the shortest, and of the longest one.
_FEWEST, _MOST = 24, 2048
#: What XLA writes into a kernel together with other operations.
_FUSED = {Fusion.ELEMENTWISE, Fusion.REPEATING, Fusion.MOVING, Fusion.JOINING, Fusion.REDUCING}


def is_small(closed: ClosedJaxpr) -> bool:
    """Whether a program is worth a kernel of its own, and can be one.

    >>> import pullback as pb
    >>> is_small(pb.make_jaxpr(lambda x: x + 1)(1.0))
    False
    """
    found: bool = closed.derived("is small", _is_small)
    return found


def _is_small(closed: ClosedJaxpr) -> bool:
    program = closed.derived("simplified", simplify)
    if not _FEWEST <= len(program.eqns) <= _MOST or program.effects:
        return False
    variables = [*program.invars, *program.constvars, *[v for e in program.eqns for v in e.outvars]]
    if any([dtypes.is_key(v.aval.dtype) or not 0 < v.aval.size <= _SMALL for v in variables]):
        return False
    return all([e.primitive.fusion in _FUSED or e.primitive.name == "dot_general" for e in program.eqns])


def as_kernel(closed: ClosedJaxpr, args: Sequence[Value]) -> list[Value]:
    """The results of a program, by one kernel if it is small."""
    return kernel_call_p.bind(*args, jaxpr=closed) if is_small(closed) else run(closed, *args)


class KernelCall(ProgramCall):
    """A program, `jaxpr`, that is compiled as one kernel.

    Example: the Jacobian of a function of six numbers.
    """

    name = "kernel_call"
    inlined = None

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        return run(params["jaxpr"], *args)

    def bind_program(self, program: ClosedJaxpr, args: Sequence[Value], params: Params, prefix: str) -> list[Value]:
        return as_kernel(program, args)

    def lower(self, emit: Emitter, *operands: Emitted, jaxpr: ClosedJaxpr, **_: Param) -> list[Emitted]:
        program = jaxpr.derived("simplified", simplify)
        if not emit.makes_kernels or emit.depth:  # or it is a part of one
            return list(emit.program(program, operands))
        true, false = (emit.constant(flag, dtypes.bool_) for flag in (True, False))
        results = emit.while_loop(
            lambda going, *_: going,
            lambda going, *_: [false, *emit.program(program, operands)],
            [true, *[emit.constant(0, t.dtype, t.shape) for t in emit.types]],
        )
        return list(results[1:])


kernel_call_p = KernelCall()

__all__ = ["as_kernel", "is_small", "kernel_call_p"]
