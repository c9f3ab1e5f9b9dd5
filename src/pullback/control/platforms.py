"""platform_dependent: one of several programs, by the platform that a program is compiled for.

It is the conditional of `control.branches`, of which the compiler chooses the branch; the number of
the branch, which such a conditional has as its first operand, says nothing. So every transformation
makes of it what it makes of a conditional, and what is made of a branch is compiled for the
platforms of this branch only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pullback.control.base import ControlPrimitive, simplified
from pullback.control.branches import Branches, Cond
from pullback.core.array import ConcreteArray, concrete
from pullback.core.errors import filter_traceback, user_line
from pullback.core.jaxpr import run
from pullback.core.staging import is_staging
from pullback.core.trace import EVAL, Params, current
from pullback.core.tree import arrays_of, tree_unflatten
from pullback.transforms.bodies import prepared
from pullback.xla.devices import DeviceArray

if TYPE_CHECKING:
    from pullback.core.jaxpr import ClosedJaxpr
    from pullback.core.names import Emitted, Function, Tree, Value
    from pullback.xla.stablehlo import Emitter

#: Of each branch the name of its platform; None for that of all others.
Platforms = tuple[str | None, ...]


class PlatformDependent(Cond):
    """See the module's text.

    Example: `platform_dependent(x, cpu=f, default=g)` in a jitted function binds it.
    """

    name = "platform_dependent"

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        if current() is not EVAL:
            return ControlPrimitive.apply(self, args, params)
        return run(params["branches"][_number(params["platforms"], _platform_of(args))], *args[1:])

    def lower(
        self, emit: Emitter, index: Emitted, *operands: Emitted, branches: Sequence[ClosedJaxpr], platforms: Platforms
    ) -> list[Emitted]:
        del index
        chosen = branches[_number(platforms, emit.capabilities.platform)]
        return list(emit.program(simplified(chosen), operands))


platform_dependent_p = PlatformDependent()


def _platform_of(arrays: Sequence[Value]) -> str:
    """Where arrays are evaluated: the host, if none is on another device."""
    return next((x.device.platform for x in arrays if isinstance(x, DeviceArray)), "cpu")


def _number(platforms: Platforms, platform: str) -> int:
    if platform in platforms:
        return platforms.index(platform)
    if None in platforms:
        return platforms.index(None)
    raise NotImplementedError(
        f"platform_dependent has no function for platform {platform!r}, at {user_line()}: there are those for "
        f"{', '.join(map(repr, platforms)) or 'none'}. Give one, or a `default`"
    )


def platform_dependent(*args: Tree, default: Function | None = None, **per_platform: Function) -> Tree:
    """The result of the function for the platform on which the arguments are or, in a program, for
    the one that it is compiled for: `per_platform["cpu"](*args)` on a CPU. `default` is for all
    platforms that are not named.

    The names are those of platforms: "cpu", "cuda", "rocm", "tpu" or a plug-in's. In programs all
    functions are traced, and give trees of one structure and type; an artifact for several platforms
    (`export`) has for each what is meant for it, and only that needs to be there on a platform.
    Raises TypeError if the functions disagree or are none, ValueError for "gpu", which does not say
    which; NotImplementedError for a platform that has no function, where it is compiled or
    evaluated.

    >>> platform_dependent(1.0, cpu=lambda x: x + 1, default=lambda x: x)
    2.0
    """
    functions = [*per_platform.values(), *([] if default is None else [default])]
    platforms: Platforms = (*per_platform, *([] if default is None else [None]))
    for f in functions:
        if not callable(f):
            raise TypeError(f"platform_dependent takes functions, got {f!r:.100}, at {user_line()}")
    if "gpu" in platforms:
        raise ValueError(f"platform_dependent: 'gpu' is no platform, use 'cuda' or 'rocm', at {user_line()}")
    try:
        leaves, in_tree = arrays_of(args, "the operands of platform_dependent")
        if not functions or (not is_staging() and all(x.__class__ is ConcreteArray for x in leaves)):
            return functions[_number(platforms, "cpu")](*args)

        def prepare() -> tuple[Branches, Sequence[Tree]]:
            branches = Branches("platform_dependent", functions, in_tree, [x.aval for x in leaves])
            return branches, branches.captured

        branches = prepared(tuple(functions), ("platform_dependent", in_tree), leaves, prepare)
        outs = platform_dependent_p.bind(
            concrete(np.int32(0)), *branches.captured, *leaves, branches=branches.joined, platforms=platforms
        )
        return tree_unflatten(branches.out_tree, outs)
    except Exception as error:
        filter_traceback(error)
        raise


__all__ = ["platform_dependent"]
