"""Calls from traced programs back to Python: pure_callback, io_callback, and those of
`pullback.debug`.

The functions get Arrays. They run when the program runs: at once in eager code, on the host when a
compiled program comes to them. A pure one may be called any number of times, or never; the others
are called once for each run of the program, and once for each element under vmap. `ordered` ones
keep their order within a program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array, concrete
from pullback.core.effects import Effect
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray, typeof
from pullback.lax.shape import batch_first, expand_dims
from pullback.xla.devices import no_sharding

#: What `vmap_method` may be.
METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all")


class Callback(Primitive):
    """Results of a Python function, which is called with Arrays and gives those that `result_types`
    announces.

    >>> io_callback_p.bind(1.0, callback=lambda x: [x], result_types=[ShapedArray((), np.dtype("float32"))], ordered=False)
    [Array(1., dtype=float32)]
    """

    multiple_results = True
    weakness = "never"

    def type_of(self, *types: ShapedArray, result_types: Any, **_: Any) -> list[ShapedArray]:
        return list(result_types)

    def evaluate(self, *values: Any, callback: Any, result_types: Any, **_: Any) -> Any:
        outs = [np.asarray(o) for o in callback(*map(concrete, values))]
        if len(outs) != len(result_types):
            raise ValueError(
                f"the callback returned {len(outs)} arrays, result_shape_dtypes announces {len(result_types)}"
            )
        for o, t in zip(outs, result_types):
            if o.shape != t.shape:
                raise ValueError(
                    f"the callback returned an array of shape {o.shape}, result_shape_dtypes announces {t.shape}"
                )
            # Python's and NumPy's numbers have 64 bits, whatever is announced; another kind or
            # width is a mistake that loses values.
            if o.dtype != t.dtype and dtypes.narrow(o.dtype) != dtypes.narrow(t.dtype):
                raise ValueError(
                    f"the callback returned an array of dtype {dtypes.name(o.dtype)}, result_shape_dtypes announces {dtypes.name(t.dtype)}"
                )
        return [o.astype(t.dtype) for o, t in zip(outs, result_types)]

    def lower(self, emit: Any, *operands: Any, **params: Any) -> Any:
        call = lambda *values: self.evaluate(*map(np.array, values), **params)
        effect, ordered = bool(self.effects_of(params)), params.get("ordered", False)
        return emit.callback(call, operands, params["result_types"], has_side_effect=effect, ordered=ordered)

    def one_by_one(
        self,
        size: int,
        args: Sequence[Any],
        axes: Sequence[int | None],
        callback: Any,
        result_types: Any,
        **params: Any,
    ) -> Any:
        """The rule `batch` that calls the function for each element."""

        def each(*xs: Any) -> list[Any]:
            rows = [
                callback(*(x if b is None else concrete(x._value[i]) for x, b in zip(xs, axes))) for i in range(size)
            ]
            return [
                np.stack([np.asarray(r[j]) for r in rows]) if rows else np.zeros(t.shape, t.dtype)
                for j, t in enumerate(mapped)
            ]

        mapped = _mapped(result_types, size)
        moved = [a if b is None else batch_first(a, b, size) for a, b in zip(args, axes)]
        outs = self.bind(*moved, callback=each, result_types=mapped, **params)
        return outs, [0] * len(outs)


def _mapped(types: Sequence[ShapedArray], size: int) -> list[ShapedArray]:
    return [t.update(shape=(size, *t.shape)) for t in types]


class PureCallback(Callback):
    """Results of a Python function without side effects."""

    name = "pure_callback"
    is_partial = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        raise ValueError(
            f"Pure callbacks do not support JVP, at {user_line()}. Please use `custom_jvp` to use callbacks while taking gradients."
        )

    def batch(
        self, size: int, args: Any, axes: Sequence[int | None], *, callback: Any, result_types: Any, vmap_method: Any
    ) -> Any:
        if vmap_method is None:
            raise NotImplementedError(
                f"vmap is only supported for pure_callback with vmap_method, at {user_line()}: pass vmap_method= one of {METHODS}"
            )
        if vmap_method.startswith("sequential"):
            return self.one_by_one(size, args, axes, callback, result_types, vmap_method=vmap_method)
        whole = vmap_method == "broadcast_all"
        moved = [
            expand_dims(a, (0,)) if b is None and not whole else batch_first(a, b, size) for a, b in zip(args, axes)
        ]
        mapped = _mapped(result_types, size)
        outs = self.bind(*moved, callback=callback, result_types=mapped, vmap_method=vmap_method)
        return outs, [0] * len(outs)


class EffectfulCallback(Callback):
    """A Python function called for what it does: `io_callback`, whose results are used, and
    `debug_callback`, which has none."""

    def __init__(self, name: str, differentiable: bool) -> None:
        self.name, self.differentiable = name, differentiable
        self.effects = frozenset({Effect.SHOWS if differentiable else Effect.ACTS})
        super().__init__()

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        if not self.differentiable:
            raise ValueError(f"IO callbacks do not support JVP, at {user_line()}. Please use `custom_jvp`.")
        return self.bind(*primals, **params), []  # what is printed of a derivative is its primal

    def batch(self, size: int, args: Any, axes: Any, *, callback: Any, result_types: Any, ordered: bool) -> Any:
        if ordered:
            raise ValueError(
                f"Cannot `vmap` ordered {'IO' if not self.differentiable else 'debug'} callback, at {user_line()}."
            )
        return self.one_by_one(size, args, axes, callback, result_types, ordered=ordered)


pure_callback_p = PureCallback()
io_callback_p = EffectfulCallback("io_callback", False)
debug_callback_p = EffectfulCallback("debug_callback", True)


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """`callback(*args, **kwargs)`, computed by Python whenever the program runs.

    The callback gets Arrays and must return arrays of the tree, shapes and dtypes of
    `result_shape_dtypes`. It must have no side effects: it may be called any number of times, or
    never. `vmap_method` says how it is vectorized: "sequential" (called for each slice),
    "expand_dims" or "broadcast_all" (called once with a leading axis on its arguments).

    Raises ValueError if it is differentiated (`custom_jvp` gives it a derivative), NotImplementedError
    under vmap without a `vmap_method`; where the callback raises, or returns something else, eager
    code raises that error, or ValueError, and a compiled program JaxRuntimeError.

    >>> import pullback as pb
    >>> from pullback.core.types import ShapeDtypeStruct
    >>> def median(x):                                         # by NumPy, in a compiled program
    ...     return pure_callback(np.median, ShapeDtypeStruct((), x.dtype), x, vmap_method="sequential")
    >>> pb.jit(pb.vmap(median))(pb.numpy.array([[3.0, 1.0, 2.0], [6.0, 4.0, 5.0]]))
    Array([2., 5.], dtype=float32)
    """
    if sharding is not None:
        no_sharding("pure_callback", sharding)
    if vmap_method is not None and vmap_method not in METHODS:
        raise ValueError(f"vmap_method must be one of {METHODS}, got {vmap_method!r}")
    flat, arrays, result_types, out_tree = _flattened(callback, result_shape_dtypes, args, kwargs)
    outs = pure_callback_p.bind(*arrays, callback=flat, result_types=result_types, vmap_method=vmap_method)
    return out_tree.unflatten(outs)


def _flattened(
    callback: Callable[..., Any], result_shape_dtypes: Any, args: Any, kwargs: Any
) -> tuple[Any, list[Any], list[ShapedArray], Any]:
    """`callback` as a function of flat arrays, its arguments, the types of its results, and their
    structure."""
    if not callable(callback):
        raise TypeError(f"the callback must be callable, got {callback!r}")
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

    return flat, [as_array(x) for x in leaves], result_types, out_tree


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """`callback(*args, **kwargs)`, called for its side effects (and its results) once for each run of
    the program.

    The callback gets Arrays and must return arrays of the tree, shapes and dtypes of
    `result_shape_dtypes` (None, if there are none). `ordered` calls happen in program order. Under
    `vmap` it is called for each element. Raises TypeError if it cannot be called; ValueError for
    results that are not what was announced, for derivatives, which `custom_jvp` gives, and for
    `vmap` of ordered calls.

    >>> from pullback import jit
    >>> seen = []
    >>> f = jit(lambda x: (io_callback(lambda x: seen.append(float(x)), None, x, ordered=True), 2 * x)[1])
    >>> f(1.0) + f(2.0), seen
    (Array(6., dtype=float32, weak_type=True), [1.0, 2.0])
    """
    if sharding is not None:
        no_sharding("io_callback", sharding)
    flat, arrays, result_types, out_tree = _flattened(callback, result_shape_dtypes, args, kwargs)
    outs = io_callback_p.bind(*arrays, callback=flat, result_types=result_types, ordered=bool(ordered))
    return out_tree.unflatten(outs)


def debug_callback(callback: Callable[..., Any], args: Any, kwargs: Any, ordered: bool) -> None:
    """Call `callback(*args, **kwargs)` whenever the program runs; what it returns is not looked at."""

    def silent(*xs: Any, **named: Any) -> None:
        callback(*xs, **named)

    flat, arrays, _, _ = _flattened(silent, None, args, kwargs)
    debug_callback_p.bind(*arrays, callback=flat, result_types=[], ordered=bool(ordered))


__all__ = ["debug_callback_p", "io_callback_p", "pure_callback", "pure_callback_p"]
