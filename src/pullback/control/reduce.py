"""`reduce` and `reduce_window`: reductions by any associative function of several arrays.

A reduction has operands (values that the function closes over, arrays, initial values: one for each
array) and a program (values, elements, elements) → elements, which is associative and need not be
commutative: elements are combined in their order. Sums, products, extrema, and bits are recognized,
and left to the primitives that there are for them.

Compiled, a reduction is the compiler's own if the program consists of operations on scalars.
Forward mode reduces pairs of elements and their tangents, which is an associative function again.
In reverse mode, and wherever the compiler's own does not apply, neighbours are combined, all pairs
at once, until one is left: log n applications of the program to whole arrays, with the derivatives
that these have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.base import ControlPrimitive, pruned, simplified
from pullback.core import dtypes
from pullback.core.array import ConcreteArray
from pullback.core.errors import filter_traceback, user_api, user_line
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.trace import Params
from pullback.core.tree import arrays_of, keystr, tree_flatten_with_path, tree_structure, tree_unflatten
from pullback.core.types import Shape, ShapedArray, integers, pairs
from pullback.lax.arrangement import concatenate_p, slice_p
from pullback.lax.convolution import padtype_to_pads
from pullback.lax.elementwise import and_p, max_p, min_p, or_p, xor_p
from pullback.lax.family import ANY, BITS, NUMERIC, Elementwise, add_p, mul_p
from pullback.lax.reductions import reduce_and_p, reduce_max_p, reduce_min_p, reduce_or_p, reduce_prod_p, reduce_xor_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import (
    batch_first,
    broadcast_in_dim_p,
    convert,
    convert_element_type_p,
    reduce_sum_p,
    reshape_p,
    strong,
    transpose_p,
)
from pullback.lax.summation import highest, lowest
from pullback.lax.windows import (
    Pads,
    check_windows,
    dilated,
    reduce_window_max_p,
    reduce_window_min_p,
    reduce_window_sum_p,
    window_shape,
    windows,
)
from pullback.transforms.bodies import Body, stage
from pullback.transforms.lifting import (
    Bundle,
    Kind,
    LiftedProgram,
    Lifting,
    Outcome,
    fixed_point,
    kinds_of,
    leaves_of,
    plain,
)
from pullback.transforms.vmap import Batch, batch_flat, mapped
from pullback.xla.devices import no_sharding
from pullback.xla.fusion import plan

if TYPE_CHECKING:
    from pullback.core.names import Argument, Emitted, Function, Key, Param, Tree, Value
    from pullback.core.primitive import Primitive
    from pullback.core.tree import PyTreeDef
    from pullback.xla.stablehlo import Emitter, Region


class ProgramReduction(ControlPrimitive):
    """Base of the two. The parameter `jaxpr` is the program, `num_consts` the number of values that
    it closes over.

    Example: `Reduce` and `ReduceWindow`.
    """

    def split(
        self, operands: Sequence[Value], num_consts: int
    ) -> tuple[Sequence[Value], Sequence[Value], Sequence[Value]]:
        """(values, arrays, initial values)."""
        count = (len(operands) - num_consts) // 2
        return operands[:num_consts], operands[num_consts : num_consts + count], operands[num_consts + count :]

    # ---- compilation -----------------------------------------------------------------------------

    def lower(self, emit: Emitter, *operands: Emitted, **params: Param) -> list[Emitted]:
        consts, xs, initial = self.split(operands, params["num_consts"])
        body = simplified(params["jaxpr"])
        # Regions see nothing from outside, and the compiler ends the process where one has a barrier.
        if consts or not _is_scalar(body) or (emit.plans_fusion and plan(body.jaxpr)):
            return list(emit.expand(self, operands, params))
        scalars = [ShapedArray((), x.dtype) for x in xs]
        types = list(emit.types)
        region = emit.region([*scalars, *scalars], lambda *values: emit.program(body, values))
        return list(self.write(emit, xs, initial, types, region, params))

    def write(
        self,
        emit: Emitter,
        xs: Sequence[Emitted],
        initial: Sequence[Emitted],
        types: Sequence[ShapedArray],
        region: Region,
        params: Params,
    ) -> Sequence[Emitted]:
        """The compiler's operation."""
        raise self.missing("write", "compilation")

    # ---- transformations -------------------------------------------------------------------------

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        consts, xs, initial = self.split(operands, params["num_consts"])
        of_elements = tuple(map(how.join, kinds_of(xs), kinds_of(initial)))
        kinds = (kinds_of(consts), of_elements)
        found: LiftedPair = params["jaxpr"].derived(("reduce", how.key, kinds), LiftedPair, how, *kinds)
        if found.account is not None:  # of each pair that is combined
            return how.run(partial(self.expand, **params), operands)
        given = leaves_of(consts)
        elements = [x for part in (xs, initial) for x in leaves_of(how.wider(part, found.kinds))]
        return how.outcome(
            found, self.bind(*given, *elements, **params | {"jaxpr": found.program, "num_consts": len(given)})
        )

    def with_batch_axis(self, params: Params) -> Params:
        """The parameters, for arrays with a batch axis in front."""
        raise self.missing("with_batch_axis", "vmap")


@Batch.rules.of(ProgramReduction)
def _over_batch(how: Batch, call: ProgramReduction, operands: Sequence[Bundle], params: Params) -> Outcome:
    """One reduction of all elements: what it combines are scalars, still."""
    consts, xs, initial = call.split(operands, params["num_consts"])
    if any([x.kind is not None for x in (*consts, *initial)]):
        return how.run(partial(call.expand, **params), operands)
    if all([x.kind is None for x in xs]):
        return None, list(map(plain, call.bind(*leaves_of(operands), **params)))
    rows = leaves_of(how.wider(map(how.settled, xs), [0] * len(xs)))
    outs = call.bind(*leaves_of(consts), *rows, *leaves_of(initial), **call.with_batch_axis(params))
    return None, [mapped(o, 0) for o in outs]


#: Operations on scalars besides elementwise ones that regions may have.
_IN_REGIONS = {convert_element_type_p, select_n_p, broadcast_in_dim_p, reshape_p}


def _is_scalar(body: ClosedJaxpr) -> bool:
    """Whether a program consists of operations on scalars that the compiler has."""
    return all(
        (p in _IN_REGIONS or (isinstance(p, Elementwise) and (p.hlo is not None or p.expands)))
        and not any(v.aval.shape for v in (*e.invars, *e.outvars))
        for e in body.eqns
        for p in (e.primitive,)
    )


class LiftedPair:
    """The program that combines two elements, lifted: (values, elements, elements) → elements of
    `kinds`.

    Example: under `vmap`, elements that are batches.
    """

    __slots__ = ("kinds", "account", "program")

    def __init__(self, closed: ClosedJaxpr, how: Lifting, of_consts: Sequence[Kind], kinds: Sequence[Kind]) -> None:
        def pair(kinds: Sequence[Kind]) -> LiftedProgram:
            return how.program(closed, (*of_consts, *kinds, *kinds))

        self.kinds = kinds = fixed_point(kinds, lambda kinds: pair(kinds).kinds, how.join)
        found = pair(kinds)
        self.program, self.account = pruned(found.program), found.account
        if found.kinds != kinds:
            combine = lambda operands: leaves_of(how.wider(how.apply(found, operands)[1], kinds))
            self.program = pruned(how.over_bundles(combine, ((*of_consts, *kinds, *kinds), closed.in_avals)))


# ---- reduce --------------------------------------------------------------------------------------


class Reduce(ProgramReduction):
    """The elements along `axes` combined, in their order, after the initial values.

    Example: `reduce(x, 0.0, lambda a, b: a + b * b, (0,))` binds it.
    """

    name = "reduce"

    def type_of(self, *types: ShapedArray, jaxpr: ClosedJaxpr, num_consts: int, axes: Shape) -> list[ShapedArray]:
        _, xs, _ = self.split(types, num_consts)
        return [ShapedArray(tuple(n for i, n in enumerate(x.shape) if i not in axes), x.dtype) for x in xs]

    def write(
        self,
        emit: Emitter,
        xs: Sequence[Emitted],
        initial: Sequence[Emitted],
        types: Sequence[ShapedArray],
        region: Region,
        params: Params,
    ) -> Sequence[Emitted]:
        out: Sequence[Any] = emit("reduce", *xs, *initial, out=types, dimensions=params["axes"], regions=[region])
        return out

    def expand(self, *operands: Value, jaxpr: ClosedJaxpr, num_consts: int, axes: Shape) -> list[Value]:
        consts, xs, initial = self.split(operands, num_consts)
        shape = xs[0].shape
        kept = tuple(i for i in range(len(shape)) if i not in axes)
        length, rest = prod(shape[i] for i in axes), tuple(shape[i] for i in kept)
        count = prod(rest)

        def combine(first: Sequence[Value], then: Sequence[Value]) -> list[Value]:
            """The elements of arrays (n, count) combined with the corresponding ones of others."""
            n = first[0].shape[0] * count
            flat = [reshape_p.bind(x, new_sizes=(n,)) for x in (*first, *then)]
            outs, mapped = batch_flat(partial(run, jaxpr, *consts), n, flat, [0] * len(flat))
            outs = [batch_first(y, b, n) for y, b in zip(outs, mapped)]
            return [reshape_p.bind(y, new_sizes=x.shape) for y, x in zip(outs, first)]

        def rows(x: Value, start: int, stop: int, step: int) -> Value:
            return slice_p.bind(x, start_indices=(start, 0), limit_indices=(stop, count), strides=(step, 1))

        def broadcast(x: Value, shape: Shape) -> Value:
            return broadcast_in_dim_p.bind(x, shape=shape, broadcast_dimensions=())

        if not length or not count:
            return [broadcast(x, rest) for x in initial]
        xs = [transpose_p.bind(x, permutation=(*axes, *kept)) for x in xs]
        xs = [reshape_p.bind(x, new_sizes=(length, count)) for x in xs]
        while length > 1:
            even = length - length % 2
            pairs = combine([rows(x, 0, even, 2) for x in xs], [rows(x, 1, even, 2) for x in xs])
            if length % 2:
                pairs = [concatenate_p.bind(y, rows(x, even, length, 1), dimension=0) for y, x in zip(pairs, xs)]
            xs, length = pairs, (length + 1) // 2
        return [reshape_p.bind(y, new_sizes=rest) for y in combine([broadcast(x, (1, count)) for x in initial], xs)]

    def with_batch_axis(self, params: Params) -> Params:
        return params | {"axes": tuple(a + 1 for a in params["axes"])}


reduce_p = Reduce()


# ---- reduce_window -------------------------------------------------------------------------------


class ReduceWindow(ProgramReduction):
    """The elements of each window combined, in their order, after the initial values, which padding
    consists of, too.

    Example: `reduce_window(x, 0.0, lambda a, b: a + b * b, (2,))` binds it.
    """

    name = "reduce_window"

    def type_of(self, *types: ShapedArray, jaxpr: ClosedJaxpr, num_consts: int, **params: Param) -> list[ShapedArray]:
        _, xs, _ = self.split(types, num_consts)
        check_windows(self.name, xs[0], params)
        return [ShapedArray(window_shape(x.shape, **params), x.dtype) for x in xs]

    def write(
        self,
        emit: Emitter,
        xs: Sequence[Emitted],
        initial: Sequence[Emitted],
        types: Sequence[ShapedArray],
        region: Region,
        params: Params,
    ) -> Sequence[Emitted]:
        padding = params["padding"]
        out: Sequence[Any] = emit(
            "reduce_window", *xs, *initial, out=types, window_dimensions=params["window_dimensions"],
            window_strides=params["window_strides"], base_dilations=params["base_dilation"],
            window_dilations=params["window_dilation"],
            padding=emit.pads(padding), regions=[region],
        )  # fmt: skip
        return out

    def expand(self, *operands: Value, jaxpr: ClosedJaxpr, num_consts: int, **params: Param) -> list[Value]:
        consts, xs, initial = self.split(operands, num_consts)
        stacked = [windows(x, start, **params) for x, start in zip(xs, initial)]
        outs: list[Any] = reduce_p.bind(*consts, *stacked, *initial, jaxpr=jaxpr, num_consts=num_consts, axes=(0,))
        return outs

    def with_batch_axis(self, params: Params) -> Params:
        of_windows = {k: v for k, v in params.items() if k not in ("jaxpr", "num_consts")}
        return params | {k: ((0, 0) if k == "padding" else 1, *v) for k, v in of_windows.items()}


reduce_window_p = ReduceWindow()


# ---- the functions -------------------------------------------------------------------------------


#: Operations with reductions of their own: the reduction, what is neutral, and the kinds of numbers
#: that it takes.
_REDUCTIONS: dict[Any, tuple[Any, Callable[[Any], Any], str]] = {
    add_p: (reduce_sum_p, lambda dtype: np.zeros((), dtype), NUMERIC),
    mul_p: (reduce_prod_p, reduce_prod_p.identity, NUMERIC),
    max_p: (reduce_max_p, lowest, ANY),
    min_p: (reduce_min_p, highest, ANY),
    and_p: (reduce_and_p, reduce_and_p.identity, BITS),
    or_p: (reduce_or_p, reduce_or_p.identity, BITS),
    xor_p: (reduce_xor_p, reduce_xor_p.identity, BITS),
}
_WINDOWS: dict[Any, tuple[Any, Callable[[Any], Any], str]] = {
    add_p: (reduce_window_sum_p, reduce_window_sum_p.neutral, NUMERIC),
    max_p: (reduce_window_max_p, lowest, ANY),
    min_p: (reduce_window_min_p, highest, ANY),
}


def reduce(
    operands: Tree, init_values: Tree, computation: Callable[[Tree, Tree], Tree], dimensions: Sequence[int], out_sharding: Argument = None
) -> Tree:  # fmt: skip
    """The elements of `operands` along `dimensions` combined by `computation`, starting from
    `init_values`.

    `operands` is an array, or a tree of arrays of one shape, `init_values` a scalar or a tree of
    scalars alike, converted to the operands' dtypes. `computation` takes two elements (trees of
    scalars), gives one, and is associative with `init_values` as its neutral element. It may close
    over arrays, and has the derivatives of what it is made of. Raises ValueError for dimensions out
    of bounds or repeated, for trees that differ, for initial values that are no scalars and a
    computation that changes types.

    >>> import pullback.numpy as jnp
    >>> import pullback.lax as lax
    >>> reduce(jnp.array([[1.0, 2.0], [3.0, 4.0]]), 0.0, lax.add, (0,))
    Array([4., 6.], dtype=float32)
    >>> reduce(jnp.array([3.0, 4.0]), 0.0, lambda a, b: jnp.hypot(a, b), (0,))
    Array(5., dtype=float32)
    """
    if out_sharding is not None:
        no_sharding("reduce", out_sharding)
    try:
        arrays, initial, body, tree = _prepared("reduce", operands, init_values, computation)
        axes = _axes(dimensions, arrays[0])
        return tree_unflatten(tree, _reduced(arrays, initial, body, axes))
    except Exception as error:
        filter_traceback(error)
        raise


def _reduced(arrays: list[Value], initial: list[Value], body: Body, axes: Shape) -> Sequence[Value]:
    known = _known(body, arrays, _REDUCTIONS)
    if known is not None:
        primitive, combine, neutral = known
        return [_after(initial[0], primitive.bind(arrays[0], axes=axes), combine, neutral)]
    outs: Sequence[Any] = reduce_p.bind(
        *body.captured, *arrays, *map(strong, initial), jaxpr=body.program, num_consts=len(body.captured), axes=axes
    )
    return outs


@user_api
def reduce_window(
    operand: Tree, init_value: Tree, computation: Function, window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None, padding: Argument = "VALID", base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Tree:  # fmt: skip
    """The elements of each window of `operand` combined by `computation`, starting from
    `init_value`.

    `operand` and `init_value` are arrays and scalars, or trees of them alike, as for `reduce`; so
    is `computation`. `padding` is "VALID", "SAME", or (low, high) for each axis. Sums, maxima and
    minima, by `lax.add`, `lax.max` and `lax.min`, have quicker derivatives than other computations,
    which are differentiated through the windows themselves. Raises TypeError for windows that do
    not fit the axes.

    >>> import pullback.numpy as jnp
    >>> import pullback.lax as lax
    >>> reduce_window(jnp.array([1.0, 3.0, 2.0]), -jnp.inf, lax.max, (2,))
    Array([3., 3.], dtype=float32)
    """
    arrays, initial, body, tree = _prepared("reduce_window", operand, init_value, computation)
    shape = arrays[0].shape
    params = _window_params(shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
    check_windows("reduce_window", arrays[0], params)
    known = _known(body, arrays, _WINDOWS)
    if known is not None:
        primitive, combine, neutral = known
        out = _after(initial[0], primitive.bind(arrays[0], **params), combine, neutral)
        return tree_unflatten(tree, [out])
    count = len(body.captured)
    outs = reduce_window_p.bind(
        *body.captured, *arrays, *map(strong, initial), jaxpr=body.program, num_consts=count, **params
    )
    return tree_unflatten(tree, outs)


def _prepared(
    name: str, operands: Tree, init_values: Tree, computation: Function
) -> tuple[list[Value], list[Value], Body, PyTreeDef]:
    """Arrays, initial values, the computation's body and the structure of the result."""
    if not callable(computation):
        raise TypeError(f"{name} takes a function, got {computation!r:.100} as computation, at {user_line()}")
    arrays, tree = arrays_of(operands, f"the operands of {name}")
    initial, initial_tree = arrays_of(init_values, f"the initial values of {name}")
    if tree != initial_tree:
        raise ValueError(f"{name}: operands have structure {tree}, initial values {initial_tree}, at {user_line()}")
    if not arrays:
        raise ValueError(f"{name} needs at least one operand, got {operands!r:.100}, at {user_line()}")
    if len({x.shape for x in arrays}) > 1:
        shapes = ", ".join(f"operands{keystr(p)}: {np.shape(x)}" for p, x in tree_flatten_with_path(operands)[0])
        raise ValueError(f"{name}: operands must have one shape, got {shapes}, at {user_line()}")
    for x in initial:
        if x.shape:
            raise ValueError(f"{name}: initial values must be scalars, got shape {x.shape}, at {user_line()}")
    for x, start in zip(arrays, initial):
        if dtypes.is_complex(start.dtype) and not dtypes.is_complex(x.dtype):
            raise TypeError(
                f"{name}: the initial value is complex, and the operand is not: {start.aval} for {x.aval}, at {user_line()}"
            )
    scalars = [ShapedArray((), x.dtype) for x in arrays]
    elements = tree_unflatten(tree, scalars)
    what = f"the computation of {name}"
    body = stage(computation, tree_structure((elements, elements)), [*scalars, *scalars], what)
    if body.out_tree != tree:
        raise ValueError(
            f"{what} must give what it combines, of structure {tree}; it gave {body.out_tree}, at {user_line()}"
        )
    for (path, _), t, out in zip(tree_flatten_with_path(elements)[0], scalars, body.out_types):
        if (out.shape, out.dtype) != (t.shape, t.dtype):
            raise ValueError(
                f"{what} must keep types; at out{keystr(path)} it gave {out.str_short()} for {t.str_short()}, at {user_line()}"
            )
    return arrays, [convert(v, x.dtype, v.weak_type) for v, x in zip(initial, arrays)], body, tree


def _axes(dimensions: Argument, x: Value) -> Shape:
    axes = integers(dimensions, "reduce: dimensions")
    for a in axes:
        if not 0 <= a < x.ndim:
            raise ValueError(
                f"reduce: dimensions {axes} contain one out of bounds for operands of shape {x.shape}; give them from 0, at {user_line()}"
            )
    if len(set(axes)) < len(axes):
        raise ValueError(f"reduce: dimensions {axes} contain one twice, at {user_line()}")
    return tuple(sorted(axes))


def _window_params(
    shape: Shape,
    window_dimensions: Argument,
    window_strides: Argument,
    padding: Argument,
    base_dilation: Argument,
    window_dilation: Argument,
) -> Params:
    ones = (1,) * len(shape)
    given = {"strides": window_strides, "base_dilation": base_dilation, "window_dilation": window_dilation}
    window = integers(window_dimensions, "reduce_window: window_dimensions")
    strides, base, dilation = (
        ones if x is None else integers(x, f"reduce_window: {name}") for name, x in given.items()
    )
    if not len(window) == len(strides) == len(base) == len(dilation) == len(shape):
        raise TypeError(
            f"reduce_window: windows, strides and dilations must have one entry for each axis of shape {shape}; got {window}, {strides}, {base} and "
            f"{dilation}, at {user_line()}"
        )
    if isinstance(padding, str):
        # "SAME" is about the operand as it is, before `base_dilation`.
        padding = padtype_to_pads(shape, [dilated(k, d) for k, d in zip(window, dilation)], strides, padding)
    pads: Pads = pairs(padding, "reduce_window: padding")
    return {
        "window_dimensions": window, "window_strides": strides, "padding": pads, "base_dilation": base, "window_dilation": dilation,
    }  # fmt: skip


def _known(
    body: Body, arrays: Sequence[Value], table: dict[Key, tuple[Primitive, Function, str]]
) -> tuple[Primitive, Primitive, Value] | None:
    """The reduction, the operation and its neutral element, if a computation is one operation that
    has a reduction of its own."""
    program = simplified(body.program)
    if body.captured or len(arrays) != 1 or len(program.eqns) != 1:
        return None
    (e,), dtype = program.eqns, arrays[0].dtype
    if e.primitive not in table or e.outvars != program.jaxpr.outvars or set(e.invars) != set(program.jaxpr.invars):
        return None
    primitive, neutral, kinds = table[e.primitive]
    return (primitive, e.primitive, neutral(dtype)) if dtypes.kind(dtype) in kinds else None


def _after(start: Value, out: Value, combine: Primitive, neutral: Value) -> Value:
    """What was reduced, combined with an initial value that may not be neutral."""
    if start.__class__ is ConcreteArray and bool(start._value == neutral):
        return convert(out, out.dtype, out.weak_type and start.weak_type)
    return combine.bind(start, out)


__all__ = ["reduce", "reduce_p", "reduce_window", "reduce_window_p"]
