"""Calls from traced programs back to Python: pure_callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.array import ConcreteArray, as_array
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray, typeof
from pullback.lax.shape import batch_first

_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all")


class PureCallback(Primitive):
    """Results of a Python function without side effects; it is called with Arrays."""

    name = "pure_callback"
    multiple_results = True

    def type_of(self, *types: ShapedArray, callback: Any, result_types: Any, vmap_method: Any) -> list[ShapedArray]:
        return list(result_types)

    def evaluate(self, *values: Any, callback: Any, result_types: Any, vmap_method: Any) -> Any:
        outs = [np.asarray(o) for o in callback(*map(ConcreteArray, values))]
        if len(outs) != len(result_types):
            raise ValueError(
                f"the callback returned {len(outs)} arrays, result_shape_dtypes announces {len(result_types)}"
            )
        for o, t in zip(outs, result_types):
            if o.shape != t.shape:
                raise ValueError(
                    f"the callback returned an array of shape {o.shape}, result_shape_dtypes announces {t.shape}"
                )
        return [o.astype(t.dtype) for o, t in zip(outs, result_types)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        raise ValueError(
            f"Pure callbacks do not support JVP, at {user_line()}. Please use `custom_jvp` to use callbacks while taking gradients."
        )

    def batch(
        self,
        size: int,
        args: Sequence[Any],
        axes: Sequence[int | None],
        *,
        callback: Any,
        result_types: Any,
        vmap_method: Any,
    ) -> Any:
        mapped = [t.update(shape=(size, *t.shape)) for t in result_types]
        if vmap_method is None:
            raise NotImplementedError(
                f"vmap is only supported for pure_callback with vmap_method, at {user_line()}: pass vmap_method= one of {_METHODS}"
            )
        if vmap_method.startswith("sequential"):

            def one_by_one(*xs: Any) -> list[Any]:
                rows = [
                    callback(*(x if b is None else ConcreteArray(x._value[i]) for x, b in zip(xs, axes)))
                    for i in range(size)
                ]
                return [
                    np.stack([np.asarray(r[j]) for r in rows]) if rows else np.zeros(t.shape, t.dtype)
                    for j, t in enumerate(mapped)
                ]

            moved = [a if b is None else batch_first(a, b, size) for a, b in zip(args, axes)]
            outs = self.bind(*moved, callback=one_by_one, result_types=mapped, vmap_method=vmap_method)
            return outs, [0] * len(outs)
        from pullback.lax.shape import expand_dims

        if vmap_method == "broadcast_all":
            moved = [batch_first(a, b, size) for a, b in zip(args, axes)]
        else:
            moved = [expand_dims(a, (0,)) if b is None else batch_first(a, b, size) for a, b in zip(args, axes)]
        outs = self.bind(*moved, callback=callback, result_types=mapped, vmap_method=vmap_method)
        return outs, [0] * len(outs)


pure_callback_p = PureCallback()


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """`callback(*args, **kwargs)`, computed by Python whenever the program runs.

    The callback gets Arrays and must return arrays of the tree, shapes and dtypes of `result_shape_dtypes`. It must have no side
    effects: it may be called any number of times, or never. `vmap_method` says how it is vectorized: "sequential" (called for each
    slice), "expand_dims" or "broadcast_all" (called once with a leading axis on its arguments).

    >>> from pullback.core.types import ShapeDtypeStruct
    >>> pure_callback(np.sin, ShapeDtypeStruct((), "float32"), 0.0)
    Array(0., dtype=float32)
    """
    del sharding
    if vmap_method is not None and vmap_method not in _METHODS:
        raise ValueError(f"vmap_method must be one of {_METHODS}, got {vmap_method!r}")
    leaves, in_tree = tree_flatten((args, kwargs))
    types, out_tree = tree_flatten(result_shape_dtypes)
    result_types = [ShapedArray(t.shape, t.dtype) for t in map(typeof, types)]

    def flat(*xs: Any) -> list[Any]:
        new_args, new_kwargs = in_tree.unflatten(list(xs))
        out = callback(*new_args, **new_kwargs)
        flat_out, tree = tree_flatten(out)
        if tree != out_tree:
            raise ValueError(f"the callback returned structure {tree}, result_shape_dtypes announces {out_tree}")
        return flat_out

    outs = pure_callback_p.bind(
        *map(as_array, leaves), callback=flat, result_types=result_types, vmap_method=vmap_method
    )
    return out_tree.unflatten(outs)


__all__ = ["pure_callback", "pure_callback_p"]
