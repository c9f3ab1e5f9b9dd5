"""Calls from traced programs back to Python: pure_callback, io_callback, and those of
`pullback.debug`.

The functions get Arrays. They run when the program runs: at once in eager code, on the host when a
compiled program comes to them. A pure one may be called any number of times, or never; the others
are called once for each run of the program, and once for each element under vmap. `ordered` ones
keep their order within a program.

A pure callback has no derivative. Where a rule gives one and applies a callback to tangents, or to
cotangents, it says that the callback is linear in these: it is recorded as a `LinearCallback`, which
has a transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array, concrete
from pullback.core.effects import Effect
from pullback.core.errors import user_line
from pullback.core.linear import Node, zeros
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
        _check_results(outs, result_types)
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

        mapped = _mapped(result_types, size)
        moved = [a if b is None else batch_first(a, b, size) for a, b in zip(args, axes)]
        each = _each(callback, size, [b is not None for b in axes], result_types)
        outs = self.bind(*moved, callback=each, result_types=mapped, **params)
        return outs, [0] * len(outs)


def _check_results(outs: Sequence[np.ndarray[Any, Any]], result_types: Sequence[ShapedArray]) -> None:
    if len(outs) != len(result_types):
        raise ValueError(f"the callback returned {len(outs)} arrays, result_shape_dtypes announces {len(result_types)}")
    for o, t in zip(outs, result_types):
        if o.shape != t.shape:
            raise ValueError(
                f"the callback returned an array of shape {o.shape}, result_shape_dtypes announces {t.shape}"
            )
        # Python's and NumPy's numbers have 64 bits, whatever is announced; another kind or width is a
        # mistake that loses values.
        if o.dtype != t.dtype and dtypes.narrow(o.dtype) != dtypes.narrow(t.dtype):
            raise ValueError(
                f"the callback returned an array of dtype {dtypes.name(o.dtype)}, result_shape_dtypes announces {dtypes.name(t.dtype)}"
            )


def _check_vmap_method(vmap_method: str | None) -> None:
    if vmap_method is None:
        raise NotImplementedError(
            f"vmap is only supported for pure_callback with vmap_method, at {user_line()}: pass vmap_method= one of {METHODS}"
        )


def _mapped(types: Sequence[ShapedArray], size: int) -> list[ShapedArray]:
    return [t.update(shape=(size, *t.shape)) for t in types]


class PureCallback(Callback):
    """Results of a Python function without side effects."""

    name = "pure_callback"
    is_partial = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        raise ValueError(
            f"Pure callbacks do not support JVP, at {user_line()}. Please use `custom_jvp` to use callbacks while taking gradients, or "
            "`derivatives.differentiable_callback`, which takes a derivative that is computed by Python, too."
        )

    def is_recorded(self, active: Sequence[bool]) -> bool:
        return True

    def record(self, operands: Sequence[Any], params: Any) -> Any:
        """As linear in the tangents among the operands."""
        return _recorded(operands, **params)

    def batch(
        self, size: int, args: Any, axes: Sequence[int | None], *, callback: Any, result_types: Any, vmap_method: Any
    ) -> Any:
        _check_vmap_method(vmap_method)
        if vmap_method.startswith("sequential"):
            return self.one_by_one(size, args, axes, callback, result_types, vmap_method=vmap_method)
        whole = vmap_method == "broadcast_all"
        moved = [
            expand_dims(a, (0,)) if b is None and not whole else batch_first(a, b, size) for a, b in zip(args, axes)
        ]
        mapped = _mapped(result_types, size)
        outs = self.bind(*moved, callback=callback, result_types=mapped, vmap_method=vmap_method)
        return outs, [0] * len(outs)


class LinearCallback(Callback):
    """A Python function that is linear in its operands but the first `count`, and another one,
    `transposed`, that is its transpose: of the first operands and cotangents.

    Example: the derivative of a `differentiable_callback`.
    """

    name = "linear_callback"
    is_partial = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        count = params["count"]
        if any(t is not None for t in tangents[:count]):
            raise ValueError(
                f"the derivative of a callback is differentiated in its turn, at {user_line()}, and is computed by a Python function "
                "that has no derivative. Write it with `pullback.numpy`, or make it of callbacks with derivatives of their own, by "
                "`derivatives.jvp_from_vjp` or `derivatives.vjp_from_jvp`."
            )
        linear = [zeros(x.shape, x.dtype) if t is None else t for x, t in zip(primals[count:], tangents[count:])]
        return self.bind(*primals, **params), self.bind(*primals[:count], *linear, **params)

    def is_recorded(self, active: Sequence[bool]) -> bool:
        return True

    def record(self, operands: Sequence[Any], params: Any) -> Any:
        if any(
            isinstance(x, Node) for x in operands[: params["count"]]
        ):  # another rule says that it is linear in these
            return _recorded(operands, params["callback"], params["result_types"], params["vmap_method"])
        return super().record(operands, params)

    def transpose(
        self, ct: Any, *operands: Any, callback: Any, transposed: Any, count: int, result_types: Any, vmap_method: Any
    ) -> Any:
        cts = [zeros(t.shape, t.dtype) if c is None else c for c, t in zip(ct, result_types)]
        types = [ShapedArray(x.shape, x.dtype) for x in operands[count:]]
        outs = self.bind(
            *operands[:count], *cts,
            callback=transposed, transposed=callback, count=count, result_types=types, vmap_method=vmap_method,
        )  # fmt: skip
        return [*[None] * count, *outs]

    def batch(
        self, size: int, args: Any, axes: Any, *, callback: Any, transposed: Any, count: int, result_types: Any,
        vmap_method: Any,
    ) -> Any:  # fmt: skip
        """Both functions over a batch; all of what they are linear in has its axis in front."""
        _check_vmap_method(vmap_method)
        mapped = _mapped(result_types, size)
        if vmap_method.startswith("sequential"):
            constants = [a if b is None else batch_first(a, b, size) for a, b in zip(args[:count], axes)]
            are_mapped = [b is not None for b in axes[:count]]
            types = [ShapedArray(x.shape, x.dtype) for x in args[count:]]
            linear_types = [t if b is None else _without(t, b) for t, b in zip(types, axes[count:])]
            callback = _each(callback, size, are_mapped, result_types)
            transposed = _each(transposed, size, are_mapped, linear_types)
        else:
            whole = vmap_method == "broadcast_all"
            constants = [
                expand_dims(a, (0,)) if b is None and not whole else batch_first(a, b, size)
                for a, b in zip(args[:count], axes)
            ]
        linear = [batch_first(a, b, size) for a, b in zip(args[count:], axes[count:])]
        outs = self.bind(
            *constants, *linear,
            callback=callback, transposed=transposed, count=count, result_types=mapped, vmap_method=vmap_method,
        )  # fmt: skip
        return outs, [0] * len(outs)


def _recorded(operands: Sequence[Any], callback: Any, result_types: Any, vmap_method: Any) -> Any:
    """The nodes of a callback that is linear in the tangents among its operands."""
    if not all(dtypes.is_inexact(t.dtype) for t in result_types):
        raise TypeError(
            "a function that must be linear in its tangents applies a callback to one whose results are no floating numbers, at "
            f"{user_line()}"
        )
    linear = [i for i, x in enumerate(operands) if isinstance(x, Node)]
    order = [*(i for i, x in enumerate(operands) if not isinstance(x, Node)), *linear]
    count, types = len(order) - len(linear), [ShapedArray(operands[i].shape, operands[i].dtype) for i in linear]

    def reordered(*xs: Any) -> Any:
        given = dict(zip(order, xs))
        return callback(*[given[i] for i in range(len(order))])

    transposed = transposed_by_basis(reordered, count, types, result_types, vmap_method)
    params = {
        "callback": reordered, "transposed": transposed, "count": count, "result_types": result_types,
        "vmap_method": vmap_method,
    }  # fmt: skip
    return linear_callback_p.record([operands[i] for i in order], params)


def _without(t: ShapedArray, axis: int) -> ShapedArray:
    return t.update(shape=(*t.shape[:axis], *t.shape[axis + 1 :]))


def _each(callback: Any, size: int, are_mapped: Sequence[bool], result_types: Sequence[ShapedArray]) -> Any:
    """A Python function that calls `callback` for each element of a batch. These lie along axis 0, but
    of the first arguments only where `are_mapped` says so."""

    def each(*xs: Any) -> list[Any]:
        mapped = [*are_mapped, *[True] * (len(xs) - len(are_mapped))]
        rows = [callback(*[concrete(x._value[i]) if m else x for x, m in zip(xs, mapped)]) for i in range(size)]
        return [
            np.stack([np.asarray(r[j]) for r in rows]) if rows else np.zeros((0, *t.shape), t.dtype)
            for j, t in enumerate(result_types)
        ]

    return each


#: How many basis vectors a callback that takes batches is given at once.
BASIS_BATCH = 128


def transposed_by_basis(
    callback: Any, count: int, types: Sequence[ShapedArray], result_types: Sequence[ShapedArray], vmap_method: Any
) -> Any:
    """The transpose of a Python function, linear in its arguments but the first `count`, that are of
    `types`: the pairing of its images of the basis with the cotangents.

    It calls the function once for each element of these arguments (twice for complex ones, as it need
    not be complex linear), or by batches where `vmap_method` says that it takes them.
    """
    takes_batches = vmap_method in ("expand_dims", "broadcast_all")

    def transposed(*xs: Any) -> list[Any]:
        constants, cts = [np.asarray(x) for x in xs[:count]], [np.asarray(x) for x in xs[count:]]
        # The axes of batches, in front.
        lead = cts[0].shape[: cts[0].ndim - len(result_types[0].shape)] if cts else ()
        return [of_one(j, constants, cts, lead) for j in range(len(types))]

    def of_one(j: int, constants: list[Any], cts: list[Any], lead: tuple[int, ...]) -> Any:
        t = types[j]
        step = BASIS_BATCH if takes_batches else 1
        units = (1, 1j) if dtypes.is_complex(t.dtype) else (1,)
        parts = [np.zeros((*lead, t.size)) for _ in units]
        for part, unit in zip(parts, units):
            for start in range(0, t.size, step):
                rows = np.arange(start, min(start + step, t.size))
                part[..., rows] = np.moveaxis(pairings(j, rows, unit, constants, cts, lead), 0, -1)
        # Re(ct · t), for t = 1 and t = i.
        found = parts[0] if len(parts) == 1 else parts[0] - 1j * parts[1]
        return found.reshape((*lead, *t.shape)).astype(t.dtype)

    def pairings(j: int, rows: Any, unit: complex, constants: list[Any], cts: list[Any], lead: tuple[int, ...]) -> Any:
        """Of the images of some basis vectors, times `unit`, of argument j: their first axis."""
        n = len(rows)
        of_rows, whole = (n,) if takes_batches else (), vmap_method == "broadcast_all"
        ahead = (*of_rows, *(lead if whole else (1,) * len(lead)))
        args = [np.broadcast_to(x, (n if whole else 1, *x.shape)) if takes_batches else x for x in constants]
        for i, t in enumerate(types):
            basis = np.zeros((*ahead, t.size), t.dtype)
            if i == j:
                flat = basis.reshape((n, -1, t.size))
                flat[np.arange(n), :, rows] = unit
            args.append(basis.reshape((*ahead, *t.shape)))
        images = [np.asarray(o) for o in callback(*map(concrete, args))]
        # An axis of a batch may have size 1 where all that it belongs to is the same.
        axes = [o.shape[: max(o.ndim - len(t.shape), 0)] for o, t in zip(images, result_types)]
        if any([len(a) != len(ahead) for a in axes]):
            axes = [ahead for _ in result_types]
        _check_results(images, [t.update(shape=(*a, *t.shape)) for a, t in zip(axes, result_types)])
        total = np.zeros((n, *lead))
        for image, ct, t in zip(images, cts, result_types):
            image = image if takes_batches else image[None]
            product = np.asarray(image * ct).real.astype(np.float64)
            total = total + product.sum(tuple(range(product.ndim - len(t.shape), product.ndim)))
        return total

    return transposed


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
linear_callback_p = LinearCallback()
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

    Raises ValueError if it is differentiated: `derivatives.differentiable_callback` takes a derivative
    that is computed by Python, too, and `custom_jvp` any. A rule that applies it to tangents says that
    it is linear in these; transposed, it is called for each basis vector. Raises NotImplementedError
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
    flat, arrays, result_types, out_tree = flattened(callback, result_shape_dtypes, args, kwargs)
    outs = pure_callback_p.bind(*arrays, callback=flat, result_types=result_types, vmap_method=vmap_method)
    return out_tree.unflatten(outs)


def flattened(
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
    flat, arrays, result_types, out_tree = flattened(callback, result_shape_dtypes, args, kwargs)
    outs = io_callback_p.bind(*arrays, callback=flat, result_types=result_types, ordered=bool(ordered))
    return out_tree.unflatten(outs)


def debug_callback(callback: Callable[..., Any], args: Any, kwargs: Any, ordered: bool) -> None:
    """Call `callback(*args, **kwargs)` whenever the program runs; what it returns is not looked at."""

    def silent(*xs: Any, **named: Any) -> None:
        callback(*xs, **named)

    flat, arrays, _, _ = flattened(silent, None, args, kwargs)
    debug_callback_p.bind(*arrays, callback=flat, result_types=[], ordered=bool(ordered))


__all__ = ["debug_callback_p", "io_callback_p", "linear_callback_p", "pure_callback", "pure_callback_p"]
