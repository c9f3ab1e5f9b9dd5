"""Vectorization: evaluate a function on every slice of its arguments at once.

A `BatchTracer` is a value of the parent trace with one axis more than the function sees. Each
primitive's batching rule says how to do many of it at once; values without the batch axis are
shared by all slices and stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.errors import filter_traceback, see, user_line
from pullback.core.trace import Params, Trace, Tracer, current, entered, reset_current, set_current, under
from pullback.core.tree import flatten_up_to, keystr, leaf_error, tree_flatten, tree_flatten_with_path
from pullback.core.types import ShapedArray, canonical_axis
from pullback.lax.shape import add_batch_axis, batch_first, broadcast_in_dim_p, move_axis
from pullback.transforms.lifting import Bundle, Kind, Lifting, Outcome, Rules

if TYPE_CHECKING:
    from pullback.core.names import Argument, AxisName, Function, Key, Operand, Result, Tree, Value
    from pullback.core.primitive import Primitive
    from pullback.core.types import Shape
    from pullback.transforms.call import CallPrimitive

F = TypeVar("F", bound=Callable[..., Any])


class BatchTracer(Tracer):
    """One slice of `value`, which has the batch axis `axis`.

    Example: `x` in f, under `vmap(f)(xs)`.
    """

    __slots__ = ("value", "axis")
    value: Any
    axis: int

    @property
    def shape(self) -> Shape:
        shape, axis = self.value.shape, self.axis
        return shape[:axis] + shape[axis + 1 :]

    dtype = property(lambda self: self.value.dtype)
    weak_type = property(lambda self: self.value.weak_type)

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<BatchTrace> value={self.value!r} axis={self.axis}"


class BatchTrace(Trace):
    """Applies batching rules. `size` is the length of the mapped axis, `axis_name` its name, if
    any.

    Example: `x @ y` under it is one batched product.
    """

    __slots__ = ("size", "axis_name", "axes")

    def __init__(self, parent: Trace, size: int, axis_name: AxisName = None) -> None:
        self.parent, self.size, self.axis_name = parent, size, axis_name
        self.axes = {} if axis_name is None else {axis_name: size}

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        values: list[Any] = []
        axes: list[int | None] = []
        active = False
        for a in args:
            if a.__class__ is BatchTracer and a._trace is self:
                active = True
                values.append(a.value)
                axes.append(a.axis)
            else:
                values.append(a if a.__class__ is ConcreteArray or isinstance(a, Array) else as_array(a))
                axes.append(None)
        collective = primitive.is_collective and primitive.concerns(self.axis_name, params)
        parent = self.parent
        try:
            set_current(parent)
            if collective:
                out, out_axis = primitive.batch_collective(self, values, axes, **params)
            elif not active:
                return parent.process(primitive, args, params)
            elif not self.size:
                return self._of_nothing(primitive, args, params)
            else:
                out, out_axis = primitive.batch(self.size, values, axes, **params)
        finally:
            set_current(self)
        if primitive.multiple_results:
            return [self.wrap(o, b) for o, b in zip(out, out_axis)]
        return self.wrap(out, out_axis)

    def _of_nothing(self, primitive: Primitive, args: Sequence[Operand], params: Params) -> Result:
        """An operation on no elements at all: there is nothing to compute, and only the types of
        its results to be known. Rules that merge the batch axis with others could not tell these
        apart again."""
        types = primitive.type_of(*[a.aval for a in args], **params)

        def empty(t: ShapedArray) -> BatchTracer:
            zero = concrete(np.zeros((), t.dtype), t.weak_type)
            return self.wrap(broadcast_in_dim_p.bind(zero, shape=(0, *t.shape), broadcast_dimensions=()), 0)

        return [empty(t) for t in types] if primitive.multiple_results else empty(types)

    def wrap(self, value: Value, axis: int | None) -> Result:
        if axis is None:
            return value
        tracer = BatchTracer()  # without an __init__, which would double its time
        tracer._trace, tracer.value, tracer.axis = self, value, axis
        return tracer

    def unwrap(self, x: Value) -> tuple[Value, int | None]:
        """Value and batch axis (None where all slices share it) of a value of this trace."""
        if x.__class__ is BatchTracer and x._trace is self:
            return x.value, x.axis
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return x, None

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        pairs = [self.unwrap(a) for a in args]
        parent = self.parent
        try:
            set_current(parent)
            if call.is_closed and self.axis_name is None and all([b is None for _, b in pairs]):
                return parent.process_call(call, [v for v, _ in pairs], params)
            _, outs = Batch(self.size, self.axis_name, self).call(call, [mapped(*p) for p in pairs], params)
        finally:
            set_current(self)
        return [self.wrap(o.leaves[0], o.kind) for o in outs]


# ---- as a lifting --------------------------------------------------------------------------------


def mapped(value: Value, axis: int | None) -> Bundle:
    """An array with the batch axis `axis`, or None, which is its kind."""
    return Bundle(axis, (value,))


class Batch(Lifting):
    """Vectorization: values are arrays, of the kind that says where they have the batch axis.
    `trace` is given where one transforms a call.

    Example: makes a `scan` of batches of a `scan`.
    """

    rules = Rules()

    def __init__(self, size: int, axis_name: AxisName, trace: BatchTrace | None = None) -> None:
        self.size, self.axis_name, self._trace = size, axis_name, trace
        self.key = "batch", size, axis_name

    @property
    def within(self) -> BatchTrace:
        """The trace in which the call is made that is being transformed: custom rules close over
        values of it."""
        assert self._trace is not None, "calls of Python functions are made under a trace"
        return self._trace

    def run(self, fun: Function, operands: Sequence[Bundle]) -> Outcome:
        values, axes = [x.leaves[0] for x in operands], [x.kind for x in operands]
        outs, out_axes = batch_flat(fun, self.size, values, axes, self.axis_name)
        return None, [self.settled(mapped(as_array(o), b)) for o, b in zip(outs, out_axes)]

    def types(self, kind: Key, t: ShapedArray) -> list[ShapedArray]:
        return [with_axis(t, kind, self.size)]

    def widen(self, x: Bundle, kind: Kind) -> Bundle:
        return mapped(batch_first(x.leaves[0], x.kind, self.size), 0)

    def settled(self, x: Bundle) -> Bundle:
        return x if not x.kind else self.widen(x, 0)

    def stacked(self, x: Bundle) -> Bundle:
        return x if x.kind is None else mapped(move_axis(x.leaves[0], x.kind, 1), 1)

    def of_step(self, kind: Kind) -> Kind:
        return None if kind is None else 0

    def of_loop(self, kind: Kind) -> Kind:
        return None if kind is None else 1


def with_axis(t: ShapedArray, axis: int | None, size: int) -> ShapedArray:
    """The type of a batch of so many `t`, along `axis`; `t` itself, if that is None."""
    return t if axis is None else t.update(shape=(*t.shape[:axis], size, *t.shape[axis:]))


def batch_flat(
    fun: Function, size: int, args: Sequence[Value], axes: Sequence[int | None], axis_name: AxisName = None
) -> tuple[list[Value], list[int | None]]:
    """Outputs and their batch axes (None where shared) of `fun`, which takes and gives flat
    sequences."""
    trace = BatchTrace(current(), size, axis_name)
    outs = under(trace, fun, *map(trace.wrap, args, axes))
    pairs = [trace.unwrap(o) for o in outs]
    return [v for v, _ in pairs], [b for _, b in pairs]


def vmap(
    fun: F,
    in_axes: Argument = 0,
    out_axes: Argument = 0,
    axis_name: AxisName = None,
    axis_size: int | None = None,
    spmd_axis_name: Argument = None,
    sum_match: bool = False,
) -> F:
    """`fun` over a new axis of its arguments: maps slices along `in_axes` to slices along
    `out_axes`.

    `in_axes` is an axis for all positional arguments, or a sequence with one entry an argument; an
    entry is an axis, None (not mapped) or a tree of these that is a prefix of the argument. Keyword
    arguments are mapped along axis 0. `out_axes` likewise is a prefix of the output. `axis_name`
    names the axis for collectives (`lax.psum`, ...); `axis_size` is its length where no argument is
    mapped. Raises ValueError if mapped lengths differ, naming the arguments, for axes that arguments
    do not have, if nothing is mapped, and for an output that depends on what is mapped and has None
    in `out_axes`; TypeError for entries that are no axes.

    >>> import pullback.numpy as jnp
    >>> from pullback import lax
    >>> rows = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> vmap(jnp.dot, in_axes=(0, None))(rows, jnp.array([1.0, -1.0]))
    Array([-1., -1., -1.], dtype=float32)
    >>> vmap(lambda x: x - lax.pmean(x, "batch"), axis_name="batch")(rows)[:, 0]
    Array([-2.,  0.,  2.], dtype=float32)
    """
    del spmd_axis_name, sum_match
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if not callable(fun):
        raise TypeError(f"vmap takes a function, got {fun!r}")
    if not isinstance(in_axes, (int, tuple, type(None))) and not hasattr(in_axes, "__index__"):
        raise TypeError(
            f"vmap in_axes must be an int, None, or a tuple of entries for the positional arguments; got {in_axes!r}"
        )
    _check_axes(in_axes, "in_axes")
    _check_axes(out_axes, "out_axes")

    def vmapped(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            return _vmapped(fun, args, kwargs, in_axes, out_axes, axis_name, axis_size)
        except Exception as error:
            filter_traceback(error)
            raise

    name = getattr(fun, "__name__", type(fun).__name__)
    vmapped.__name__ = f"vmap({name})"
    vmapped.__doc__ = f"Vectorized version of {name}.\n\n{fun.__doc__}"
    vmapped.__wrapped__ = fun  # type: ignore[attr-defined]
    return vmapped  # type: ignore[return-value]


def _check_axes(axes: Argument, name: str) -> None:
    for leaf in () if axes.__class__ is int else tree_flatten(axes)[0]:
        if not hasattr(leaf, "__index__"):
            raise TypeError(f"vmap {name} must be ints, None or trees of them; got {leaf!r} in {axes!r}")


def _vmapped(
    fun: Function,
    args: tuple[Tree, ...],
    kwargs: dict[str, Tree],
    in_axes: Argument,
    out_axes: Argument,
    axis_name: AxisName,
    axis_size: int | None,
) -> Tree:
    if (
        not kwargs
        and len(args) == 1
        and isinstance(args[0], Array)
        and (in_axes == 0 or in_axes == (0,))
        and args[0].ndim
    ):
        # One bare array along axis 0: nothing to flatten or compare.
        (x,) = args
        size = x.shape[0]
        if axis_size is not None and axis_size != size:
            raise ValueError(
                f"vmap axis_size is {axis_size}, but the argument of shape {x.shape} has length {size} along axis 0"
            )
        trace = BatchTrace(current(), size, axis_name)
        inputs: Any = (trace.wrap(x, 0),)
        in_kwargs: Any = kwargs
    else:
        flat, treedef = tree_flatten((args, kwargs))
        axes = _flat_axes(in_axes, args, kwargs)
        arrays: list[Any] = []
        for x, b in zip(flat, axes):
            if b is None and not isinstance(
                x, Array
            ):  # what is not mapped may be anything: a function, a text, an axis
                arrays.append(x)
                continue
            try:
                arrays.append(as_array(x))
            except TypeError:
                raise leaf_error((args, kwargs) if kwargs else args, x, "vmap") from None
        normal = [None if b is None else _in_axis(b, x, i, args, kwargs) for i, (b, x) in enumerate(zip(axes, arrays))]
        size = _axis_size(arrays, normal, axis_size, args, kwargs)
        trace = BatchTrace(current(), size, axis_name)
        inputs, in_kwargs = treedef.unflatten([trace.wrap(x, b) for x, b in zip(arrays, normal)])
    token = entered[trace]
    try:
        out = fun(*inputs, **in_kwargs)
    finally:
        reset_current(token)
    if isinstance(out, Array) and isinstance(out_axes, int):
        return _out(trace, out, out_axes)
    out_flat, out_tree = tree_flatten(out)
    is_none = lambda x: x is None
    try:
        if out_axes is None or isinstance(out_axes, int):
            targets: list[Any] = [out_axes] * len(out_flat)
        else:
            targets = _broadcast_axes(out_axes, out, is_none)
    except ValueError as error:
        raise ValueError(
            f"vmap out_axes {out_axes!r} is not a tree prefix of the output, of structure {out_tree}: {error}"
        ) from None
    results = []
    for x, b in zip(out_flat, targets):
        try:
            results.append(_out(trace, as_array(x), b))
        except TypeError:
            raise leaf_error(out, x, "the function given to vmap must return arrays") from None
    return out_tree.unflatten(results)


def _broadcast_axes(axes: Argument, tree: Tree, is_none: Callable[[object], bool]) -> list[int | None]:
    leaves, treedef = tree_flatten(axes, is_leaf=is_none)
    subtrees = flatten_up_to(treedef, tree)
    return [leaf for leaf, t in zip(leaves, subtrees) for _ in range(len(tree_flatten(t)[0]))]


def _flat_axes(in_axes: Argument, args: tuple[Value, ...], kwargs: dict[str, Tree]) -> list[int | None]:
    """The axis of each leaf of (args, kwargs)."""
    if not isinstance(in_axes, tuple):
        out = [in_axes] * len(tree_flatten(args)[0])
    else:
        if len(in_axes) != len(args):
            raise ValueError(
                f"vmap in_axes must have one entry for each positional argument: got {len(in_axes)} entries {in_axes!r} for "
                f"{len(args)} arguments"
            )
        try:
            out = _broadcast_axes(in_axes, args, lambda x: x is None)
        except ValueError as error:
            raise ValueError(f"vmap in_axes {in_axes!r} is not a tree prefix of the arguments: {error}") from None
    return out + [0] * len(tree_flatten(kwargs)[0])


def _path(i: int, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> str:
    path, _ = tree_flatten_with_path((args, kwargs))[0][i]
    return ("args" if path[0].idx == 0 else "kwargs") + keystr(path[1:])


def _in_axis(axis: Argument, x: Array, i: int, args: Tree, kwargs: Tree) -> int:
    if not x.ndim:
        raise ValueError(
            f"vmap was requested to map its argument {_path(i, args, kwargs)} along axis {axis}, but its rank is 0: its shape is ()"
            + see("batch-sizes")
        )
    try:
        return canonical_axis(axis, x.ndim)
    except ValueError:
        raise ValueError(
            f"vmap was requested to map its argument {_path(i, args, kwargs)} along axis {axis}, which is out of bounds for its shape "
            f"{x.shape}{see('batch-sizes')}"
        ) from None


def _axis_size(arrays: list[Value], axes: list[int | None], axis_size: int | None, args: Tree, kwargs: Tree) -> int:
    sizes = {i: x.shape[b] for i, (x, b) in enumerate(zip(arrays, axes)) if b is not None}
    found = set(sizes.values())
    if axis_size is not None:
        found.add(axis_size)
    if not found:
        raise ValueError("vmap must have at least one mapped argument (a non-None entry of in_axes), or axis_size")
    if len(found) > 1:
        lines = [
            f"  {_path(i, args, kwargs)} of shape {arrays[i].shape} has size {n} along axis {axes[i]}"
            for i, n in sizes.items()
        ]
        if axis_size is not None:
            lines.append(f"  axis_size is {axis_size}")
        raise ValueError(
            f"vmap got inconsistent sizes for array axes to be mapped, at {user_line()}:\n"
            + "\n".join(lines)
            + see("batch-sizes")
        )
    return found.pop()


def _out(trace: BatchTrace, x: Value, target: int | None) -> Value:
    value, axis = trace.unwrap(x)
    if target is None:
        if axis is not None:
            raise ValueError(
                f"vmap has mapped output but out_axes is None: an output of shape {x.shape} depends on the mapped arguments"
            )
        return value
    target = canonical_axis(target, len(x.shape) + 1, "vmap out_axes entry")
    if axis is None:
        value, axis = add_batch_axis(value, trace.size), 0
    return move_axis(value, axis, target)


__all__ = ["BatchTrace", "BatchTracer", "batch_flat", "vmap"]
