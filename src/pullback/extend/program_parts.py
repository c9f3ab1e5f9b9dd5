"""Programs as data, for those who take them apart and put them together: the classes of
`core.jaxpr` and `core.types` with constructors that take what users have, and functions over
them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes, effects, jaxpr, types
from pullback.core.array import Array, as_array
from pullback.core.errors import ConcretizationTypeError, user_line
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Var, run
from pullback.core.primitive import Primitive
from pullback.core.trace import Tracer, known_value
from pullback.extend.primitive import StandsFor
from pullback.extend.source_info_util import SourceInfo


class AbstractValue(metaclass=StandsFor):
    """What is known of a value while it is traced. Of arrays it is a `ShapedArray`.

    >>> isinstance(ShapedArray((2,), "float32"), AbstractValue)
    True
    """

    stands_for = types.ShapedArray


class _Makes(StandsFor):
    """The class of a class whose calls make instances of another one, by `make`."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.make(*args, **kwargs)  # type: ignore[attr-defined]


class ShapedArray(AbstractValue, metaclass=_Makes):
    """The type of an array: `ShapedArray(shape, dtype, weak_type=False)`.

    >>> ShapedArray((2, 3), np.float32)
    ShapedArray(float32[2,3])
    """

    stands_for = types.ShapedArray

    @staticmethod
    def make(
        shape: Any,
        dtype: Any,
        weak_type: bool = False,
        *,
        sharding: Any = None,
        manual_axis_type: Any = None,
        memory_space: Any = None,
    ) -> types.ShapedArray:
        """The type. `sharding`, `manual_axis_type` and `memory_space` are not part of types, and say nothing.

        >>> ShapedArray.make((2,), "float32", weak_type=True)
        ShapedArray(float32[2], weak_type=True)
        """
        del sharding, manual_axis_type, memory_space
        return types.ShapedArray(
            types.integers(shape, "ShapedArray: shape"), dtypes.canonicalize_dtype(dtype), bool(weak_type)
        )


class Literal(metaclass=_Makes):
    """A scalar constant in a program: `Literal(val, aval)`.

    >>> Literal(2.0, ShapedArray((), "float32"))
    2.0:f32[]
    """

    stands_for = jaxpr.Literal

    @staticmethod
    def make(val: Any, aval: types.ShapedArray) -> jaxpr.Literal:
        """The constant, of the type that is given. Raises TypeError unless the value is a known
        scalar.

        >>> Literal.make(2, ShapedArray((), "float16"))
        2.0:f16[]
        """
        value = as_array(val)
        if value.ndim or isinstance(value, Tracer):
            raise TypeError(
                f"Literal: {val!r:.100} is no known scalar, at {user_line()}: make it a constant of the program"
            )
        from pullback.lax.shape import convert

        return jaxpr.Literal(convert(value, aval.dtype, aval.weak_type), aval)


class Effect(metaclass=StandsFor):
    """Base of effects: what a primitive's rule `def_effectful_abstract_eval` says that it does.

    >>> class Prints(Effect): ...
    >>> isinstance(Prints(), Effect)
    True
    """

    stands_for = effects.Effect


class DebugInfo(NamedTuple):
    """What is known of a function that is traced: what for, where it is defined, the names of its
    arguments and results.

    >>> info = DebugInfo("jit", "f at file.py:3", ("x", "y"), None)
    >>> info.func_name, info.safe_arg_names(2)
    ('f', ('x', 'y'))
    """

    traced_for: str
    func_src_info: str
    arg_names: tuple[str, ...] | None
    result_paths: Any = None

    @property
    def func_name(self) -> str:
        """The function's name.

        >>> DebugInfo("jit", "f at file.py:3", ("x",)).func_name
        'f'
        """
        return self.func_src_info.split(" ")[0]

    @property
    def func_filename(self) -> str | None:
        """The file that defines the function; None if nobody has said.

        >>> DebugInfo("jit", "f at file.py:3", ("x",)).func_filename
        'file.py'
        """
        return self.func_src_info.partition(" at ")[2].rpartition(":")[0] or None

    def safe_arg_names(self, expected_count: int) -> tuple[str, ...]:
        """The names of the arguments if there are so many, and empty ones if not.

        >>> DebugInfo("jit", "f at file.py:3", ("x",), None).safe_arg_names(2)
        ('', '')
        """
        names = self.arg_names or ()
        return names if len(names) == expected_count else ("",) * expected_count

    def safe_result_paths(self, expected_count: int) -> tuple[str, ...]:
        """The names of the results if there are so many, and empty ones if not.

        >>> DebugInfo("jit", "f at file.py:3", ("x",), ("out",)).safe_result_paths(1)
        ('out',)
        """
        paths = self.result_paths() if callable(self.result_paths) else self.result_paths or ()
        return tuple(paths) if len(paths) == expected_count else ("",) * expected_count


#: No effects: what functions that make equations take for those that have none.
no_effects: frozenset[Any] = frozenset()


def new_jaxpr_eqn(
    invars: Sequence[Any],
    outvars: Sequence[Any],
    primitive: Primitive,
    params: dict[str, Any],
    effects: Any,
    source_info: Any = None,
    ctx: Any = None,
) -> JaxprEqn:
    """An equation. Its effects are those of its primitive, whatever is given. `source_info` says
    where it comes from: that of another equation.

    >>> from pullback.lax import sin_p
    >>> a, b = Var(ShapedArray((), "float32")), Var(ShapedArray((), "float32"))
    >>> new_jaxpr_eqn([a], [b], sin_p, {}, no_effects)
    a:f32[] = sin b
    """
    del effects, ctx
    if not isinstance(primitive, Primitive):
        raise TypeError(f"new_jaxpr_eqn: {primitive!r:.100} is no primitive, at {user_line()}")
    for v in (*invars, *outvars):
        if not isinstance(v, (Var, jaxpr.Literal)):
            raise TypeError(f"new_jaxpr_eqn: {v!r:.100} is neither a Var nor a Literal, at {user_line()}")
    location = source_info.traceback if isinstance(source_info, SourceInfo) else None
    names = source_info.name_stack.stack if isinstance(source_info, SourceInfo) else ()
    return JaxprEqn(primitive, list(invars), list(outvars), dict(params), location, names)


def gensym() -> Callable[[types.ShapedArray], Var]:
    """A function that makes new variables, each of the type that it is given.

    >>> gensym()(ShapedArray((2,), "float32"))
    Var(float32[2])
    """
    return Var


def jaxpr_as_fun(closed_jaxpr: ClosedJaxpr, *args: Any) -> Any:
    """The results of a program on flat arguments, a list; without arguments, and if it takes some, the
    program as a function of them.

    >>> import pullback as pb
    >>> f = jaxpr_as_fun(pb.make_jaxpr(lambda x, y: (x + y, x * y))(1.0, 1.0))
    >>> [float(out) for out in f(3.0, 4.0)]
    [7.0, 12.0]
    """
    if args:
        return run(closed_jaxpr, *args)
    return partial(run, closed_jaxpr)


def jaxprs_in_params(params: dict[str, Any]) -> Iterator[Jaxpr]:
    """The programs among an equation's parameters, open, also those in tuples and lists.

    >>> import pullback as pb
    >>> [e] = pb.make_jaxpr(pb.jit(lambda x: x + 1))(1.0).eqns
    >>> list(jaxprs_in_params(e.params))
    [{ lambda ; a:f32[]. let b:f32[] = add a 1.0:f32[] in (b,) }]
    """
    for value in params.values():
        for x in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(x, ClosedJaxpr):
                yield x.jaxpr
            elif isinstance(x, Jaxpr):
                yield x


def subjaxprs(jaxpr: Jaxpr) -> Iterator[Jaxpr]:
    """The programs that the equations of a program have among their parameters: bodies of loops,
    branches, functions that are called.

    >>> import pullback as pb
    >>> [len(p.eqns) for p in subjaxprs(pb.make_jaxpr(pb.jit(lambda x: pb.numpy.sin(x) + 1))(1.0).jaxpr)]
    [2]
    """
    return chain.from_iterable(jaxprs_in_params(e.params) for e in jaxpr.eqns)


def check_jaxpr(jaxpr: Jaxpr) -> None:
    """Check that variables are defined before they are used, and types, also of the programs in it.
    Raises JaxprTypeError naming the equation.

    >>> import pullback as pb
    >>> program = pb.make_jaxpr(lambda x: pb.numpy.sin(2 * x))(1.0).jaxpr
    >>> check_jaxpr(program)
    >>> check_jaxpr(program.replace(eqns=program.eqns[1:]))
    Traceback (most recent call last):
      ...
    pullback.errors.JaxprTypeError: variable Var(~float32[]) is used in equation `a:f32[] = sin b` ... before it is defined ...
    """
    from pullback.core.jaxpr import check_jaxpr as check

    check(jaxpr)
    for inner in subjaxprs(jaxpr):
        check_jaxpr(inner)


def mapped_aval(size: int, axis: int | None, aval: types.ShapedArray) -> types.ShapedArray:
    """The type of one element of a batch of type `aval`, along `axis`; `aval` if that is None.
    Raises ValueError if the batch has not `size` elements.

    >>> mapped_aval(3, 0, ShapedArray((3, 2), "float32"))
    ShapedArray(float32[2])
    """
    if axis is None:
        return aval
    if aval.shape[axis] != size:
        raise ValueError(
            f"mapped_aval: {aval.str_short()} has {aval.shape[axis]} elements along axis {axis}, not {size}, at {user_line()}"
        )
    axis %= aval.ndim
    return aval.update(shape=(*aval.shape[:axis], *aval.shape[axis + 1 :]))


def unmapped_aval(
    size: int, axis: int | None, aval: types.ShapedArray, explicit_mesh_axis: Any = None
) -> types.ShapedArray:
    """The type of a batch of `size` values of type `aval`, along `axis`; `aval` if that is None.

    >>> unmapped_aval(3, 1, ShapedArray((2,), "float32"))
    ShapedArray(float32[2,3])
    """
    del explicit_mesh_axis
    if axis is None:
        return aval
    axis %= aval.ndim + 1
    return aval.update(shape=(*aval.shape[:axis], size, *aval.shape[axis:]))


#: The classes of what is an array to an operation, besides Python's numbers.
array_types: set[type] = {
    Array,
    np.ndarray,
    *(t for t in np.sctypeDict.values() if issubclass(t, (np.number, np.bool_))),
}


def valid_jaxtype(x: Any) -> bool:
    """Whether `x` can be an argument of an operation: an array or a number.

    >>> valid_jaxtype(1.0), valid_jaxtype("a text")
    (True, False)
    """
    try:
        types.typeof(x)
    except (TypeError, ValueError):
        return False
    return True


def primal_dtype_to_tangent_dtype(primal_dtype: Any) -> Any:
    """The dtype of tangents of values of a dtype: `float0` for integers and booleans.

    >>> [str(primal_dtype_to_tangent_dtype(d)) for d in ("bfloat16", "complex64", "int32")]
    ['bfloat16', 'complex64', "[('float0', 'V')]"]
    """
    return dtypes.tangent_dtype(dtypes.canonicalize_dtype(primal_dtype))


def concrete_or_error(force: Any, val: Any, context: str = "") -> Any:
    """`force(val)`, or `val` if `force` is None, for a value that is known. Raises
    ConcretizationTypeError, with `context`, for one that is not.

    >>> import pullback as pb
    >>> concrete_or_error(int, pb.numpy.arange(4)[3])
    3
    >>> pb.jit(lambda n: concrete_or_error(int, n, "It is a number of steps."))(3)
    Traceback (most recent call last):
      ...
    pullback.errors.ConcretizationTypeError: ... It is a number of steps. ...
    """
    force = (lambda x: x) if force is None else force
    if isinstance(val, Tracer):
        known = known_value(val)
        if known is None:
            raise ConcretizationTypeError(val, context)
        return force(known)
    return force(val)


__all__ = [
    "AbstractValue",
    "ClosedJaxpr",
    "DebugInfo",
    "Effect",
    "Jaxpr",
    "JaxprEqn",
    "Literal",
    "ShapedArray",
    "Var",
    "array_types",
    "check_jaxpr",
    "concrete_or_error",
    "gensym",
    "jaxpr_as_fun",
    "jaxprs_in_params",
    "mapped_aval",
    "new_jaxpr_eqn",
    "no_effects",
    "primal_dtype_to_tangent_dtype",
    "subjaxprs",
    "unmapped_aval",
    "valid_jaxtype",
]
