"""Modules with symbolic dimensions: texts in which these stand as `${2*a + 1}`, where their values go
(`xla.text.size_text` writes them)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pullback.core.dimensions import evaluate, names_of
from pullback.core.symbolic_shapes import SymbolicScope, parse_size
from pullback.xla.text import size_text

_SIZE = re.compile(r"\$\{([^}]*)\}")


def names_in(text: str, scope: SymbolicScope) -> set[str]:
    """The names in the symbolic dimensions of a module."""
    return set().union(*[names_of(parse_size(dim, scope)) for dim in set(_SIZE.findall(text))])


def with_sizes(text: str, sizes: Mapping[str, Any], scope: SymbolicScope) -> str:
    """A module for arrays whose named dimensions, of `scope`, have `sizes`: numbers, or dimensions
    of another module's."""
    found: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        dim = match[1]
        known = found.get(dim)
        if known is None:
            size = evaluate(parse_size(dim, scope), sizes)
            if size.__class__ is int and size < 0:
                raise ValueError(
                    f"the dimension {dim} would be {size}, where {', '.join([f'{k} = {v}' for k, v in sizes.items()])}"
                )
            known = found[dim] = size_text(size)
        return known

    return _SIZE.sub(number, text)


__all__ = ["names_in", "with_sizes"]
