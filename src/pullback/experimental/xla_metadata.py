"""Names and texts attached to operations of a compiled program, for compilers, debuggers and
profilers: they are `frontend_attributes` in its text, and change no value.

    with set_xla_metadata(stage="encoder"):       # everything that is traced in the block
        y = jnp.sin(x)
    y = set_xla_metadata(y, breakpoint=True)      # the operation that gives y

    @set_xla_metadata(stage="decoder")            # everything in a function
    def decode(x): ...
"""

from __future__ import annotations

from typing import Any

from pullback.core.array import as_array
from pullback.core.config import Option, unnamed_option
from pullback.core.errors import user_line
from pullback.core.staging import Attributes, stack_entry
from pullback.core.tree import leaf_error, tree_flatten
from pullback.lax.creation import Copy
from pullback.xla.attached import attach


class _Attach(Copy):
    """The operand, to whose operation `attributes` are attached. Derivatives are as without."""

    name = "xla_metadata_value"
    mergeable = False

    def lower(self, emit: Any, x: Any, *, xla_metadata_kvs: Any) -> Any:
        attach(emit.lines, x.name, dict(_texts(xla_metadata_kvs)))
        return x

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        return self.bind(*primals, **params), tangents[0]

    def linearize(self, primals: Any, nodes: Any, params: Any) -> Any:
        return self.bind(*primals, **params), nodes[0]


xla_metadata_value_p = _Attach()


def _texts(pairs: Any) -> Attributes:
    """Values as they are written: True is `true`."""
    return Attributes((k, str(v).lower() if isinstance(v, bool) else str(v)) for k, v in sorted(pairs))


class _Metadata(stack_entry):
    """Attaches names and texts to what is traced in a block. Programs that were traced elsewhere
    are traced anew, because those of other metadata are others."""

    def __init__(self, attributes: Attributes) -> None:
        super().__init__(attributes)
        self._settings = [_option(k)(v) for k, v in attributes]

    def __enter__(self) -> None:
        for setting in self._settings:
            setting.__enter__()
        super().__enter__()

    def leave(self, depth: int) -> None:
        super().leave(depth)
        for setting in self._settings:
            setting.leave(depth)

    def __repr__(self) -> str:
        return f"set_xla_metadata({', '.join(f'{k}={v!r}' for k, v in self.entry)})"


_options: dict[str, Option] = {}


def _option(name: str) -> Option:
    """What is attached under a name, as an option on which traced programs depend."""
    found = _options.get(name)
    return _options.setdefault(name, unnamed_option(f"xla_metadata {name}")) if found is None else found


def set_xla_metadata(x: Any = None, **kwargs: Any) -> Any:
    """Attach names and texts (`kwargs`; numbers and booleans are written as texts) to operations.

    Without `x`: a context manager and decorator, for everything that is traced within; contexts
    nest, and inner ones override. With `x`, a tree of arrays: `x`, to whose operations they are
    attached. Derivatives of the latter have no metadata. Raises TypeError for trees with other
    leaves, and for values that are no text, number or boolean.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def f(x):
    ...     return set_xla_metadata(jnp.sin(x), breakpoint=True)
    >>> 'mhlo.frontend_attributes = {breakpoint = "true"}' in pb.jit(f).lower(1.0).as_text()
    True
    """
    for name, value in kwargs.items():
        if not isinstance(value, (str, bool, int, float)):
            raise TypeError(
                f"set_xla_metadata: {name} must be a text, a number or a boolean, got {value!r:.100} of type {type(value).__name__!r}, at "
                f"{user_line()}"
            )
    if x is None:
        return _Metadata(_texts(kwargs.items()))
    leaves, tree = tree_flatten(x)
    pairs = tuple(sorted(kwargs.items()))
    found = []
    for leaf in leaves:
        try:
            array = as_array(leaf)
        except TypeError:
            raise leaf_error(x, leaf, "set_xla_metadata") from None
        found.append(xla_metadata_value_p.bind(array, xla_metadata_kvs=pairs) if pairs else array)
    return tree.unflatten(found)


__all__ = ["set_xla_metadata"]
