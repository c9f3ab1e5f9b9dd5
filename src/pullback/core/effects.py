"""What programs do besides giving results. A program has a set of effects, that of all of its
equations, calls included."""

from __future__ import annotations

from enum import Enum


class Effect(Enum):
    """A kind of effect. What has one is not dropped, merged with its like, or done again.

    `lax.cond(x > 0, lambda: debug.print("positive"), lambda: None)` has `Effect.SHOWS`, inherited
    from its branch.

    Example: `debug.print` in a function gives its program one.
    """

    #: Something is done in the world, and its answer may be used: `io_callback`.
    ACTS = "acts"
    #: Something is shown, and gives nothing: `debug.print`, a warning.
    SHOWS = "shows"
    #: Something may fail: `checkify.check`.
    CHECKS = "checks"


Effects = frozenset[Effect]
NO_EFFECTS: Effects = frozenset()

__all__ = ["NO_EFFECTS", "Effect", "Effects"]
