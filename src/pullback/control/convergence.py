"""Warnings of iterations that did not converge, from eager and from compiled code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pullback.core import dtypes
from pullback.core.effects import Effect
from pullback.core.errors import see, user_line
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray
from pullback.lax.reductions import reduce_and_p

if TYPE_CHECKING:
    from pullback.core.names import Emitted, NumPyValue, Value, WithAxis
    from pullback.xla.stablehlo import Emitter


class ConvergenceWarning(RuntimeWarning):
    """An iteration ended before it had converged: what it gave, or a derivative that it was needed
    for, is inaccurate.

    Example: a `fixed_point` that did not settle within `maxiter` steps.
    """


class WarnUnless(Primitive):
    """A `ConvergenceWarning` with the text `message`, if a boolean scalar is false.

    Of a batch there is one warning for all elements. Programs on devices other than CPUs, and
    exported ones, do not warn.

    Example: `warn_unless(error < tol, "did not converge")`.
    """

    name = "warn_unless"
    multiple_results = True
    no_derivative = "it gives nothing"
    effects = frozenset({Effect.SHOWS})

    def type_of(self, holds: ShapedArray, *, message: str) -> list[ShapedArray]:
        if holds.shape or holds.dtype != dtypes.bool_:
            raise TypeError(f"warn_unless takes a boolean scalar, got {holds.str_short()}")
        return []

    def evaluate(self, holds: NumPyValue, *, message: str) -> list[NumPyValue]:
        if not holds:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        return []

    def lower(self, emit: Emitter, holds: Emitted, *, message: str) -> list[Emitted]:
        if emit.calls_host:

            def warn() -> list[NumPyValue]:
                emit.callback(lambda: self.evaluate(False, message=message), [], [], has_side_effect=True)
                return []

            failed = emit("convert", emit("not", holds), out=ShapedArray((), dtypes.int32))
            emit("case", failed, out=[], regions=[emit.region([], list), emit.region([], warn)])
        return []

    def batch(self, size: int, args: Sequence[Value], axes: Sequence[int | None], *, message: str) -> WithAxis:
        return self.bind(reduce_and_p.bind(args[0], axes=(axes[0],)), message=message), []


warn_unless_p = WarnUnless()


def warn_unless(holds: Value, message: str) -> None:
    """Give the message, with the user's line, as a `ConvergenceWarning` when the program runs,
    unless the boolean scalar is true."""
    warn_unless_p.bind(holds, message=f"{message}, at {user_line()}{see('convergence')}")


__all__ = ["ConvergenceWarning", "warn_unless", "warn_unless_p"]
