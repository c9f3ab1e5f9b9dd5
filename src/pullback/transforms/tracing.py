"""Programs as users ask for them: make_jaxpr, eval_shape, closure_convert. The trace that stages
them is in `core.staging`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr, eval_jaxpr
from pullback.core.scopes import Replacement
from pullback.core.staging import JaxprTrace, named_scope, stage_flat
from pullback.core.trace import EVAL, Tracer, current, current_trace, suspended, under
from pullback.core.tree import leaf_error, tree_flatten
from pullback.core.types import ShapedArray, ShapeDtypeStruct, integers, typeof
from pullback.transforms.flat_function import FlatFunction

if TYPE_CHECKING:
    from pullback.core.array import Array
    from pullback.core.names import Argument, Function, Leaf, Tree, TypeTree


def _static_positions(static_argnums: Argument, count: int) -> set[int]:
    positions = () if static_argnums is None else integers(static_argnums, "static_argnums")
    if not all(-count <= p < count for p in positions):
        raise ValueError(
            f"static_argnums {positions} must number some of the {count} positional arguments, at {user_line()}"
        )
    return {p % count for p in positions}


def _trace(
    fun: Function, args: tuple[Tree, ...], kwargs: dict[str, Tree], static_argnums: Argument, what: str
) -> tuple[ClosedJaxpr, FlatFunction]:
    static = _static_positions(static_argnums, len(args))
    flat = FlatFunction(fun, args, kwargs, f"the function given to {what}", static)
    return stage_flat(flat, [_type_of(flat, x, what) for x in flat.leaves]), flat


def _type_of(flat: FlatFunction, x: Leaf, what: str) -> ShapedArray:
    try:
        return typeof(x)
    except TypeError:
        raise leaf_error(flat.dynamic, x, what) from None


def make_jaxpr(
    fun: Function, static_argnums: Argument = (), axis_env: Argument = None, return_shape: bool = False
) -> Function:
    """A function giving the jaxpr of `fun` for arguments of given types (values do not matter).

    With `return_shape` it returns (jaxpr, output shapes as `ShapeDtypeStruct`s). `axis_env` is a
    sequence of (axis name, size) that collectives inside may refer to. Raises TypeError for what is
    no function and arguments that are no arrays, ValueError for `static_argnums` that are not there,
    and what the function raises when it is traced.

    >>> import pullback.numpy as jnp
    >>> make_jaxpr(lambda x, n: jnp.sin(x) ** n, static_argnums=1)(1.0, 3)
    { lambda ; a:f32[]. let b:f32[] = sin a; c:f32[] = integer_pow[y=3] b in (c,) }
    """
    if not callable(fun):
        raise TypeError(f"make_jaxpr takes a function, got {fun!r}")

    def jaxpr_maker(*args: Tree, **kwargs: Tree) -> Tree:
        from pullback.transforms.vmap import BatchTrace

        trace = current()
        for name, size in axis_env or ():
            trace = BatchTrace(trace, size, name)
        try:
            closed, flat = under(trace, _trace, fun, args, kwargs, static_argnums, "make_jaxpr")
        except Exception as error:
            filter_traceback(error)
            raise
        if return_shape:
            return closed, flat.out_tree.unflatten([_struct(t) for t in closed.out_avals])
        return closed

    jaxpr_maker.__name__ = f"make_jaxpr({getattr(fun, '__name__', type(fun).__name__)})"
    return jaxpr_maker


def eval_shape(fun: Function, *args: Tree, **kwargs: Tree) -> TypeTree:
    """The shapes and dtypes of `fun(*args, **kwargs)` as a tree of `ShapeDtypeStruct`, without
    computing anything. Results that are `ShapeDtypeStruct`s themselves count as arrays of these types.

    >>> eval_shape(lambda x: x @ x.T, ShapeDtypeStruct((3, 2), "float32"))
    ShapeDtypeStruct(shape=(3, 3), dtype=float32)

    Raises TypeError for arguments that are no arrays, and what the function raises when it is traced.
    """
    try:
        closed, flat = _trace(_of_types(fun), args, kwargs, (), "eval_shape")
    except Exception as error:
        filter_traceback(error)
        raise
    return flat.out_tree.unflatten([_struct(t) for t in closed.out_avals])


def _of_types(fun: Function) -> Function:
    """`fun`, with something traced in the places of types among its results."""
    if not callable(fun):
        return fun  # which is refused

    def with_arrays(*args: Tree, **kwargs: Tree) -> Tree:
        out = fun(*args, **kwargs)
        leaves, tree = tree_flatten(out)
        if not any([x.__class__ is ShapeDtypeStruct for x in leaves]):
            return out
        trace = current()
        assert isinstance(trace, JaxprTrace), "the function is being staged"
        return tree.unflatten([trace.new_input(typeof(x)) if x.__class__ is ShapeDtypeStruct else x for x in leaves])

    return with_arrays


def _struct(t: ShapedArray) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type)


def closure_convert(fun: Function, *example_args: Tree) -> tuple[Function, list[Array]]:
    """`fun` with the traced values it closes over made arguments: (converted, consts), called
    `converted(*args, *consts)`.

    Needed where a function passes through a custom rule and must be differentiated with respect to
    what it captured. The function is traced once, for arguments of the types of `example_args`.
    Raises TypeError for arguments that are no arrays.

    >>> import pullback as pb
    >>> def f(a):
    ...     converted, consts = closure_convert(lambda x: a * x, 1.0)
    ...     assert len(consts) == 1                            # a, which is traced here
    ...     return converted(3.0, *consts)
    >>> pb.grad(f)(2.0)
    Array(3., dtype=float32, weak_type=True)
    """
    closed, flat = _trace(fun, example_args, {}, (), "closure_convert")
    hoisted = [i for i, c in enumerate(closed.consts) if isinstance(c, Tracer) and dtypes.is_inexact(c.dtype)]
    consts = [closed.consts[i] for i in hoisted]

    def converted(*args_and_consts: Tree) -> Tree:
        count = len(args_and_consts) - len(consts)
        args, values = args_and_consts[:count], args_and_consts[count:]
        leaves, tree = tree_flatten((args, {}))
        if tree != flat.in_tree:
            raise TypeError(f"the converted function takes arguments of structure {flat.in_tree}, got {tree}")
        all_consts = list(closed.consts)
        for i, v in zip(hoisted, values):
            all_consts[i] = v
        return flat.out_tree.unflatten(eval_jaxpr(closed.jaxpr, all_consts, *map(as_array, leaves)))

    return converted, consts


def named_call(fun: Function, *, name: str | None = None) -> Function:
    """`fun`, its operations staged under the name scope `name` (its own name, if not given).

    >>> import pullback as pb
    >>> encode = named_call(pb.numpy.tanh, name="encoder")
    >>> "encoder/tanh" in pb.jit(lambda x: encode(x)).lower(1.0).as_text(debug_info=True)
    True
    """
    scope = name or str(getattr(fun, "__name__", type(fun).__name__))

    def named(*args: Tree, **kwargs: Tree) -> Tree:
        with named_scope(scope):
            return fun(*args, **kwargs)

    named.__name__, named.__doc__ = scope, fun.__doc__
    return named


class ensure_compile_time_eval(Replacement):
    """`with ensure_compile_time_eval(): ...` evaluates at once what involves no traced value, even
    while staging. What involves one is traced.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def f(x):
    ...     with ensure_compile_time_eval():
    ...         table = jnp.cumsum(jnp.arange(4))               # known: its numbers can be asked for
    ...         n = int(table[-1])
    ...     return x * n
    >>> pb.jit(f)(2.0)
    Array(12., dtype=float32, weak_type=True)
    """

    variable, replaced, new = suspended, current_trace, EVAL


__all__ = ["closure_convert", "eval_shape", "make_jaxpr", "named_call", "named_scope"]
