"""Why a jitted function is traced again: `config.explain_cache_misses`.

A miss is compared with the call most like it that was traced before, and what differs is logged: an
argument's type, the tree structure, a static value, an option. A function that was made anew (a
lambda in a loop) is recognized by its code.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pullback.core.config import program_options
from pullback.core.errors import user_line
from pullback.core.tree import keystr, tree_flatten_with_path
from pullback.core.types import ShapedArray

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Static, Tree
    from pullback.core.tree import PyTreeDef

logger = logging.getLogger("pullback.jit")
_seen_code: WeakSet[Any] = WeakSet()


class Signature:
    """What a call looked like to the cache: options, structure, static values, and the types of the
    leaves by path.

    Example: of `f(x, n=3)`: x is float32[4], and n, static, is 3.
    """

    __slots__ = ("options", "structure", "static", "types")

    def __init__(
        self,
        options: tuple[Argument, ...],
        structure: PyTreeDef,
        static: tuple[Static, ...],
        types: dict[str, ShapedArray],
    ) -> None:
        self.options, self.structure, self.static, self.types = options, structure, static, types

    def differences(self, earlier: Signature) -> list[str]:
        """What is not as it was in the earlier call, a sentence each."""
        found = []
        for name, new, old in zip(program_options(), self.options, earlier.options):
            if new != old:
                found.append(f"option {name} is {new!r}, was {old!r}")
        old_static = {where: value for where, _, value in earlier.static}
        for where, _, value in self.static:
            which = f"argument {where!r}" if isinstance(where, str) else f"argument {where}"
            if where not in old_static:
                found.append(f"static {which} is given, was not")
            elif old_static[where] != value or old_static[where].__class__ is not value.__class__:
                found.append(f"static {which} is {value!r:.60}, was {old_static[where]!r:.60}")
        if list(self.types) != list(earlier.types):
            found.append(f"the arguments have the structure {self.structure}, had {earlier.structure}")
            return found
        for path, new in self.types.items():
            old = earlier.types[path]
            if new is old:
                continue
            what = [
                part
                for part, a, b in (
                    ("shape", new.shape, old.shape),
                    ("dtype", new.dtype, old.dtype),
                    ("weak type", new.weak_type, old.weak_type),
                )
                if a != b
            ]
            found.append(f"{path} has type {new}, had {old} ({' and '.join(what)} changed{_hint(what)})")
        return found


def _hint(what: Sequence[str]) -> str:
    if what == ["weak type"]:
        return "; pass an array of a definite dtype instead of a Python scalar, or the other way round, always"
    return ""


def signature(
    fun: Function, options: tuple[Argument, ...], static: tuple[Static, ...], args: tuple[Tree, ...], kwargs: dict[str, Tree],
    positions: Sequence[int], types: Sequence[ShapedArray],
) -> Signature:  # fmt: skip
    """The signature of a call whose traced arguments are `args` (at `positions`) and `kwargs`, with
    leaves of `types`."""
    paths, structure = leaf_names(fun, args, kwargs, positions)
    return Signature(options, structure, static, dict(zip(paths, types)))


def leaf_names(
    fun: Function, args: tuple[Tree, ...], kwargs: dict[str, Tree], positions: Sequence[int]
) -> tuple[list[str], PyTreeDef]:
    """What messages call the leaves of `args` (which `fun` has at `positions`) and `kwargs`, and
    the structure of these."""
    flat, structure = tree_flatten_with_path((args, kwargs))
    names = _parameter_names(fun)
    paths = []
    for path, _ in flat:
        top, *rest = path[1:]
        if path[0].idx == 0:
            i = positions[top.idx]
            name = f"argument {i}" + (f" ({names[i]!r})" if i < len(names) else "")
        else:
            name = f"argument {top.key!r}"
        paths.append(name + (f", leaf {keystr(tuple(rest))}," if rest else ""))
    return paths, structure


def _parameter_names(fun: Function) -> list[str]:
    try:
        return list(inspect.signature(fun).parameters)
    except (TypeError, ValueError):
        return []


def explain(fun: Function, name: str, new: Signature, earlier: Sequence[Signature]) -> None:
    """Log why `fun` is traced for `new`, given the signatures of what was traced before."""
    code = getattr(fun, "__code__", None)
    where = f"jit({name}) is traced at {user_line()}: "
    if not earlier:
        if code is not None and code in _seen_code:
            logger.warning(
                "%sa function with this code (%s:%d) was traced before, but this is another function object; define it once, outside of "
                "the loop or function that calls it, to keep what was compiled",
                where,
                code.co_filename,
                code.co_firstlineno,
            )
        else:
            logger.warning("%snever traced before", where)
    else:
        closest = min((new.differences(e) for e in earlier), key=len)
        logger.warning("%s%s", where, "; ".join(closest) or "the mapped axes around it differ")
    if code is not None:
        _seen_code.add(code)
