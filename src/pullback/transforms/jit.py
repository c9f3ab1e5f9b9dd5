"""jit: the boundary at which a program will be compiled.

Until the compiler back end is there, a jitted function evaluates as it is, under the same rules for its arguments: static ones hashable,
the others arrays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import filter_traceback
from pullback.core.tree import leaf_error, tree_flatten

_Argnums = int | Sequence[int] | None


class JitFunction:
    """A function to be compiled; call it like the original."""

    def __init__(
        self,
        fun: Callable[..., Any],
        static_argnums: tuple[int, ...],
        static_argnames: frozenset[str],
        has_signature: bool,
    ) -> None:
        self.__wrapped__ = fun
        self.__name__ = getattr(fun, "__name__", type(fun).__name__)
        self.__qualname__ = getattr(fun, "__qualname__", self.__name__)
        self.__doc__ = fun.__doc__
        self.__module__ = getattr(fun, "__module__", __name__)
        self._static_argnums, self._static_argnames, self._has_signature = (
            static_argnums,
            static_argnames,
            has_signature,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.__wrapped__(*self._arguments(args), **self._keywords(kwargs))
        except Exception as error:
            filter_traceback(error)
            raise

    def _arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self._static_argnums and all(isinstance(a, Array) for a in args):
            return args
        static = {p % len(args) for p in self._static_argnums if -len(args) <= p < len(args)}
        return tuple(
            _hashable(a, f"argument {i}", self.__name__) if i in static else _arrays(a, f"argument {i}", self.__name__)
            for i, a in enumerate(args)
        )

    def _keywords(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {
            k: _hashable(v, f"argument {k!r}", self.__name__)
            if k in self._static_argnames
            else _arrays(v, f"argument {k!r}", self.__name__)
            for k, v in kwargs.items()
        }

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        import functools

        return functools.partial(self, instance)

    def clear_cache(self) -> None:
        """Forget what was compiled."""

    def __repr__(self) -> str:
        return f"<jitted {self.__wrapped__!r}>"


def _hashable(x: Any, which: str, name: str) -> Any:
    try:
        hash(x)
    except TypeError:
        raise ValueError(
            f"Non-hashable static arguments are not supported: {which} of {name} has type {type(x).__name__}, value {x!r:.100}"
        ) from None
    return x


def _arrays(x: Any, which: str, name: str) -> Any:
    if isinstance(x, Array):
        return x
    leaves, tree = tree_flatten(x)
    out = []
    for leaf in leaves:
        if isinstance(leaf, Array):
            out.append(leaf)
        elif isinstance(leaf, (np.ndarray, np.generic, *dtypes.PYTHON_SCALARS)) or hasattr(leaf, "__jax_array__"):
            out.append(as_array(leaf))
        else:
            raise leaf_error(
                x, leaf, f"{which} of jitted {name} (mark it static with static_argnums or static_argnames)"
            )
    return tree.unflatten(out)


def jit(
    fun: Any = None,
    /,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: _Argnums = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: _Argnums = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    compiler_options: dict[str, Any] | None = None,
) -> Any:
    """`fun`, to be compiled. Works as a decorator, with or without arguments.

    Arguments in `static_argnums` / `static_argnames` must be hashable and are passed as they are; every other argument is a tree of arrays.
    Raises ValueError for static arguments that are not hashable, TypeError for others that are no arrays.

    >>> float(jit(lambda x: x + 1)(2.0))
    3.0
    """
    del (
        in_shardings,
        out_shardings,
        donate_argnums,
        donate_argnames,
        keep_unused,
        device,
        backend,
        inline,
        compiler_options,
    )
    if fun is None:
        return lambda f: jit(f, static_argnums=static_argnums, static_argnames=static_argnames)
    if not callable(fun):
        raise TypeError(f"Expected a callable value, got {fun!r}")
    if inspect.isgeneratorfunction(fun):
        raise TypeError(f"Expected a function, got a generator function: {fun}")
    nums = (
        ()
        if static_argnums is None
        else (static_argnums,)
        if isinstance(static_argnums, int)
        else tuple(static_argnums)
    )
    names = frozenset(
        ()
        if static_argnames is None
        else (static_argnames,)
        if isinstance(static_argnames, str)
        else tuple(static_argnames)
    )
    has_signature = True
    if nums or names:
        try:
            parameters = list(inspect.signature(fun).parameters.values())
        except (TypeError, ValueError):  # builtins without a signature: positions and names stay as given
            has_signature = False
        else:
            positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
            var_positional = any(p.kind is p.VAR_POSITIONAL for p in parameters)
            for n in nums:
                if not var_positional and not -len(positional) <= n < len(positional):
                    raise ValueError(
                        f"jitted function has static_argnums={nums} but only {len(positional)} positional arguments"
                    )
            unknown = names - {p.name for p in parameters}
            if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
                raise ValueError(
                    f"jitted function has invalid argname {sorted(unknown)} in static_argnames; its arguments: {positional}"
                )
            nums = (*nums, *(positional.index(n) for n in names if n in positional))
            names = names | {positional[n] for n in nums if -len(positional) <= n < len(positional)}
    return JitFunction(fun, tuple(sorted(set(nums))), names, has_signature)


def clear_caches() -> None:
    """Forget every compiled program."""
