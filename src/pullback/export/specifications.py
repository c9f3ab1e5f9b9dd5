"""What the arguments of exported functions are to be: types with symbolic dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullback.core.dimensions import Dim
from pullback.core.symbolic_shapes import SymbolicScope, symbolic_shape
from pullback.core.tree import broadcast_prefix, tree_flatten, tree_unflatten
from pullback.core.types import ShapeDtypeStruct, typeof


def is_symbolic_dim(p: Any) -> bool:
    """Whether a dimension is symbolic, and not a number.

    >>> (a,) = symbolic_shape("a")
    >>> is_symbolic_dim(a), is_symbolic_dim(a - a), is_symbolic_dim(3)
    (True, False, False)
    """
    return p.__class__ is Dim


def symbolic_args_specs(
    args: Any, shapes_specs: Any, constraints: Sequence[str] = (), scope: SymbolicScope | None = None
) -> Any:
    """The tree `args`, with a `ShapeDtypeStruct` of symbolic dimensions for each array.

    `shapes_specs` says the shapes, as for `symbolic_shape`: one text for all arrays, None for those
    that stay as they are, or a prefix of the tree `args` with texts and None as leaves. "_" and
    "..." stand for the sizes of the array. All dimensions are of one scope: `scope`, or a new one
    with `constraints`. Raises ValueError for texts that are no shapes and trees that do not fit.

    >>> import numpy as np
    >>> symbolic_args_specs((np.ones((3, 4)), {"bias": np.ones(4)}), ("batch, ...", None))
    (ShapeDtypeStruct(shape=(batch, 4), dtype=float32), {'bias': ShapeDtypeStruct(shape=(4,), dtype=float32)})
    """
    if scope is not None and constraints:
        raise ValueError("symbolic_args_specs: a scope has its own constraints; give either `scope` or `constraints`")
    scope = SymbolicScope(constraints) if scope is None else scope
    leaves, tree = tree_flatten(args)
    try:
        specs = broadcast_prefix(shapes_specs, args, is_leaf=lambda x: x is None)
    except ValueError as error:
        raise ValueError(f"symbolic_args_specs: shapes_specs must be a prefix of the tree of args: {error}") from None
    types = [typeof(x) for x in leaves]
    structs = [
        ShapeDtypeStruct(symbolic_shape(spec, scope=scope, like=t.shape), t.dtype, weak_type=t.weak_type)
        for t, spec in zip(types, specs, strict=True)
    ]
    return tree_unflatten(tree, structs)


__all__ = ["is_symbolic_dim", "symbolic_args_specs"]
