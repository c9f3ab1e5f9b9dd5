"""Staging: run a function on abstract values and write down what it does, as a jaxpr.

Every operation under the trace is staged, those on constants included; arrays from outside become constants of the program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import UnexpectedTracerError, filter_traceback, user_frame
from pullback.core.jaxpr import Atom, ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var, check_jaxpr
from pullback.core.trace import EVAL, Params, Trace, Tracer, current, reset_current, set_current
from pullback.core.tree import leaf_error, tree_flatten
from pullback.core.types import ShapedArray, ShapeDtypeStruct, typeof

_name_stack: ContextVar[tuple[str, ...]] = ContextVar("name_stack", default=())


class named_scope:
    """`with named_scope("encoder"): ...` names the operations staged inside, for reading programs and profiles."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"named_scope takes a string, got {name!r}")
        self.name = name

    def __enter__(self) -> None:
        self._token = _name_stack.set((*_name_stack.get(), self.name))

    def __exit__(self, *exc: object) -> None:
        _name_stack.reset(self._token)


class StagedTracer(Tracer):
    """A value of which only the type is known; `var` stands for it in the program."""

    __slots__ = ("_aval", "var")

    def __init__(self, trace: Trace, var: Var) -> None:
        self.trace, self.var, self._aval = trace, var, var.aval

    aval = property(lambda self: self._aval)
    shape = property(lambda self: self._aval.shape)
    dtype = property(lambda self: self._aval.dtype)
    weak_type = property(lambda self: self._aval.weak_type)

    def __repr__(self) -> str:
        return f"Traced<{self._aval.str_short()}>with<JaxprTrace>"


class JaxprTrace(Trace):
    """Collects equations."""

    __slots__ = ("eqns", "consts", "invars")

    def __init__(self, parent: Trace) -> None:
        self.parent = parent
        self.eqns: list[JaxprEqn] = []
        self.consts: dict[int, tuple[Var, Any]] = {}  # by identity; the value is kept alive with its id
        self.invars: list[Var] = []

    def new_input(self, aval: ShapedArray) -> StagedTracer:
        var = Var(aval)
        self.invars.append(var)
        return StagedTracer(self, var)

    def atom(self, x: Any) -> Atom:
        """The variable or literal that stands for `x`: one of our tracers, or a constant."""
        if x.__class__ is StagedTracer and x.trace is self:
            return x.var
        if not isinstance(x, Array):
            x = as_array(x)
        if x.__class__ is ConcreteArray and x.ndim == 0 and not dtypes.is_key(x.dtype):
            return Literal(x, x.aval)
        found = self.consts.get(id(x))
        if found is None:
            found = self.consts[id(x)] = (Var(x.aval), x)
        return found[0]

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        expand = getattr(primitive, "expand", None)
        if expand is not None:  # shown as the standard operations that it is made of
            return expand(*(a if isinstance(a, Array) else as_array(a) for a in args), **params)
        canonical = getattr(primitive, "canonical_operands", None)
        if canonical is not None and len(args) > 1:
            args = canonical([a if isinstance(a, Array) else as_array(a) for a in args])
        atoms = [self.atom(a) for a in args]
        out = primitive.type_of(*(a.aval for a in atoms), **params)
        return self.emit(
            primitive, atoms, params, out if primitive.multiple_results else [out], primitive.multiple_results
        )

    def emit(
        self, primitive: Any, atoms: Sequence[Atom], params: Params, out_types: Sequence[ShapedArray], several: bool
    ) -> Any:
        """Append an equation; its results as tracers."""
        outvars = [Var(t) for t in out_types]
        self.eqns.append(JaxprEqn(primitive, atoms, outvars, params, _source(), _name_stack.get()))
        results = [StagedTracer(self, v) for v in outvars]
        return results if several else results[0]

    def process_call(self, call: Any, args: tuple[Any, ...], params: Params) -> Any:
        return call.stage_call(self, args, params)

    def finish(self, outs: Sequence[Any]) -> ClosedJaxpr:
        """The program whose results are `outs`."""
        outvars = [self.atom(o) for o in outs]
        used = {v for e in self.eqns for v in e.invars if isinstance(v, Var)} | {
            v for v in outvars if isinstance(v, Var)
        }
        for e in self.eqns:
            if len(e.outvars) > 1:
                e.outvars = [v if v in used else DropVar(v.aval) for v in e.outvars]
        consts = list(self.consts.values())
        jaxpr = Jaxpr([v for v, _ in consts], self.invars, outvars, self.eqns)
        if config.enable_checks.value:
            check_jaxpr(jaxpr)
        return ClosedJaxpr(jaxpr, [x for _, x in consts])


def _source() -> str:
    frame = user_frame() or sys._getframe(0)
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"


def stage_flat(fun: Callable[..., Any], in_types: Sequence[ShapedArray]) -> ClosedJaxpr:
    """The program of `fun`, which takes and gives flat sequences of arrays."""
    trace = JaxprTrace(current())
    token = set_current(trace)
    try:
        outs = fun(*map(trace.new_input, in_types))
        return trace.finish([as_array(o) for o in outs])
    finally:
        reset_current(token)


def _static_positions(static_argnums: Any, count: int) -> set[int]:
    positions = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    return {p % count if count else p for p in positions}


def _trace(
    fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], static_argnums: Any, what: str
) -> tuple[ClosedJaxpr, Any, Any]:
    static = _static_positions(static_argnums, len(args))
    dynamic = tuple(a for i, a in enumerate(args) if i not in static)
    leaves, in_tree = tree_flatten((dynamic, kwargs))
    types = []
    for x in leaves:
        try:
            types.append(typeof(x))
        except TypeError:
            raise leaf_error((dynamic, kwargs), x, what) from None
    out_tree: Any = None

    def flat(*xs: Any) -> Any:
        nonlocal out_tree
        new, new_kwargs = in_tree.unflatten(list(xs))
        rest = iter(new)
        out = fun(*(a if i in static else next(rest) for i, a in enumerate(args)), **new_kwargs)
        out_leaves, out_tree = tree_flatten(out)
        for x in out_leaves:
            if not isinstance(x, (Array, np.ndarray, np.generic, *dtypes.PYTHON_SCALARS)):
                raise leaf_error(out, x, f"the output of the function given to {what}")
        return out_leaves

    closed = stage_flat(flat, types)
    return closed, in_tree, out_tree


def make_jaxpr(
    fun: Callable[..., Any], static_argnums: Any = (), axis_env: Any = None, return_shape: bool = False
) -> Callable[..., Any]:
    """A function giving the jaxpr of `fun` for arguments of given types (values do not matter).

    With `return_shape` it returns (jaxpr, output shapes as `ShapeDtypeStruct`s). `axis_env` is a sequence of (axis name, size) that
    collectives inside may refer to.

    >>> import pullback.numpy as jnp
    >>> make_jaxpr(jnp.sin)(1.0)
    { lambda ; a:f32[]. let b:f32[] = sin a in (b,) }
    """
    if not callable(fun):
        raise TypeError(f"make_jaxpr takes a function, got {fun!r}")

    def jaxpr_maker(*args: Any, **kwargs: Any) -> Any:
        from pullback.transforms.vmap import BatchTrace

        tokens = []
        try:
            for name, size in axis_env or ():
                tokens.append(set_current(BatchTrace(current(), size, name)))
            closed, _, out_tree = _trace(fun, args, kwargs, static_argnums, "make_jaxpr")
        except Exception as error:
            filter_traceback(error)
            raise
        finally:
            for token in reversed(tokens):
                reset_current(token)
        if return_shape:
            return closed, out_tree.unflatten([_struct(t) for t in closed.out_avals])
        return closed

    jaxpr_maker.__name__ = f"make_jaxpr({getattr(fun, '__name__', type(fun).__name__)})"
    return jaxpr_maker


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of `fun(*args, **kwargs)` as a tree of `ShapeDtypeStruct`, without computing anything.

    >>> eval_shape(lambda x: x @ x.T, ShapeDtypeStruct((3, 2), "float32"))
    ShapeDtypeStruct(shape=(3, 3), dtype=float32)
    """
    try:
        closed, _, out_tree = _trace(fun, args, kwargs, (), "eval_shape")
    except Exception as error:
        filter_traceback(error)
        raise
    return out_tree.unflatten([_struct(t) for t in closed.out_avals])


def _struct(t: ShapedArray) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type)


def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """`fun` with the traced values it closes over made arguments: (converted, consts), called `converted(*args, *consts)`.

    Needed where a function passes through a custom rule and must be differentiated with respect to what it captured. The function is
    traced once, for arguments of the types of `example_args`.

    >>> converted, consts = closure_convert(lambda x: 2 * x, 1.0)
    >>> float(converted(3.0, *consts))
    6.0
    """
    closed, in_tree, out_tree = _trace(fun, example_args, {}, (), "closure_convert")
    hoisted = [i for i, c in enumerate(closed.consts) if isinstance(c, Tracer) and dtypes.is_inexact(c.dtype)]
    consts = [closed.consts[i] for i in hoisted]

    def converted(*args_and_consts: Any) -> Any:
        from pullback.core.jaxpr import eval_jaxpr

        count = len(args_and_consts) - len(consts)
        args, values = args_and_consts[:count], args_and_consts[count:]
        leaves, tree = tree_flatten((args, {}))
        if tree != in_tree:
            raise TypeError(f"the converted function takes arguments of structure {in_tree}, got {tree}")
        all_consts = list(closed.consts)
        for i, v in zip(hoisted, values):
            all_consts[i] = v
        return out_tree.unflatten(eval_jaxpr(closed.jaxpr, all_consts, *map(as_array, leaves)))

    return converted, consts


def named_call(fun: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """`fun`, its operations staged under the name scope `name` (its own name, if not given)."""
    scope = name or str(getattr(fun, "__name__", type(fun).__name__))

    def named(*args: Any, **kwargs: Any) -> Any:
        with named_scope(scope):
            return fun(*args, **kwargs)

    named.__name__, named.__doc__ = scope, fun.__doc__
    return named


class ensure_compile_time_eval:
    """`with ensure_compile_time_eval(): ...` evaluates at once what involves no traced value, even while staging."""

    def __enter__(self) -> None:
        self._token = set_current(EVAL)

    def __exit__(self, *exc: object) -> None:
        reset_current(self._token)


__all__ = [
    "JaxprTrace", "StagedTracer", "UnexpectedTracerError", "closure_convert", "eval_shape", "make_jaxpr", "named_scope", "stage_flat",
]  # fmt: skip
