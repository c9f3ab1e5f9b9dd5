"""Operands as NumPy users write them, made into what primitives take: arrays of one dtype.

`binary`, `unary` and their inexact variants turn a primitive into a function of `pullback.numpy`.
The common case, two Arrays of one dtype, must cost nothing but the look: it skips promotion
altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete, from_scalar
from pullback.core.dtypes import DType
from pullback.core.errors import ConcretizationTypeError, see, user_line
from pullback.core.staging import StagedTracer
from pullback.core.trace import current, known_value, without_floating_point_errors
from pullback.core.types import broadcast_shapes, canonical_axis, refuse_keys
from pullback.lax.elementwise import ne_p
from pullback.lax.family import like
from pullback.lax.public import examples
from pullback.lax.shape import convert, reshape_p


def here(error: type[Exception], message: str, advice: str = "") -> Exception:
    """An `error` that says at which line of the user's it came up, and then gives the advice.

    >>> str(here(ValueError, "no axes", "; give one")).startswith("no axes, at ")
    True
    """
    return error(f"{message}, at {user_line()}{advice}")


def array_like(x: Any, name: str) -> Array:
    """`x` as an Array. Lists and tuples are refused, as they hide a slow conversion: TypeError
    naming the function."""
    if isinstance(x, Array):
        if x.__class__ is StagedTracer and x._trace.finished:
            x._check_alive()
        return x
    try:
        return as_array(x)
    except TypeError:
        raise TypeError(
            f"{name} requires ndarray or scalar arguments, got {type(x)} at {user_line()}. Convert lists and tuples with "
            f"pullback.numpy.array first.{see('arrays')}"
        ) from None


def value_of(x: Array, why: str) -> Any:
    """The value of `x` as NumPy has it. Raises ConcretizationTypeError, which says `why`, if
    traced."""
    value = known_value(x)
    if value is None:
        raise ConcretizationTypeError(x, why)
    return value


def raised_to(x: Array, ndim: int) -> Array:
    """`x` with new axes of length 1 in front, if it has fewer than `ndim`."""
    new = ndim - len(x.shape)
    return x if new <= 0 else reshape_p.bind(x, new_sizes=(1,) * new + tuple(x.shape))


def along(x: Array, axis: Any) -> tuple[Array, int]:
    """`x` and the number of its axis `axis`; flattened, where that is None. Raises AxisError."""
    if axis is None:
        x, axis = x if len(x.shape) == 1 else reshape_p.bind(x, new_sizes=(x.size,)), 0
    return x, canonical_axis(axis, len(x.shape))


def truth(x: Any, name: str) -> Array:
    """Which elements of `x` are true: those that are not zero. Raises TypeError for keys, which are
    neither."""
    x = array_like(x, name)
    if x.dtype == dtypes.bool_:
        return x
    refuse_keys(name, x)
    return ne_p.bind(x, like(0, x))


def scalar_like(x: Any, y: Array) -> Array | None:
    """A Python scalar as a 0-d Array of the dtype of `y`, if it takes that dtype when combined with
    `y`; else None."""
    # 0-d arrays, not NumPy scalars: making and using one in a ufunc takes 0.37 µs, against 0.51 µs.
    dtype, cls = y.dtype, x.__class__
    if (cls is float or cls is int) and (dtype is dtypes.float32 or dtype is dtypes.float64) and -3e38 < x < 3e38:
        return concrete(np.array(x, dtype), y.weak_type)
    if cls is float:
        if not dtypes.is_inexact(dtype):
            return None
    elif cls is int:
        kind = dtypes.kind(dtype)
        if kind in "iu":
            try:
                return concrete(np.array(x, dtype), y.weak_type)
            except OverflowError:
                return convert(from_scalar(x), dtype, y.weak_type)
        if kind not in "fc":
            return None
    elif cls is not complex or not dtypes.is_complex(dtype):
        return None
    return concrete(without_floating_point_errors(np.array, x, dtype), y.weak_type)


def promote(name: str, *args: Any) -> list[Array]:
    """Arrays of the common dtype of `args`, which may be Arrays, NumPy values and Python scalars."""
    arrays = [array_like(a, name) for a in args]
    dtype, weak = _common(arrays)
    return [convert(a, dtype, weak) for a in arrays]


def promote_inexact(name: str, *args: Any, weak: bool | Literal["scalars"] = True) -> list[Array]:
    """As `promote`, with integers and booleans made floating. `weak=False` makes the type a strong
    one, whatever the operands are; "scalars" does so unless all are scalars: what functions do
    whose constants are arrays."""
    arrays = [array_like(a, name) for a in args]
    dtype, is_weak = _common(arrays)
    if not dtypes.is_inexact(dtype):
        # Straight from the operands' types: going through the common integer type would wrap
        # negative numbers.
        dtype, is_weak = dtypes.to_inexact(dtype), is_weak and dtype != dtypes.bool_
    if weak == "scalars":
        weak = not any(a.shape for a in arrays)
    return [convert(a, dtype, weak and is_weak) for a in arrays]


def inexact(x: Any, name: str, weak: bool | Literal["scalars"] = True) -> Array:
    """`x` as an Array of floats or complex numbers: integers and booleans become floating. `weak`
    is as for `promote_inexact`."""
    if isinstance(x, Array) and x.dtype.kind in "fc" and (weak is True or not x.weak_type):
        return x
    return promote_inexact(name, x, weak=weak)[0]


def _common(arrays: Sequence[Array]) -> tuple[DType, bool]:
    dtype, weak = arrays[0].dtype, arrays[0].weak_type
    for a in arrays[1:]:
        dtype, weak = dtypes.promote_pair(dtype, weak, a.dtype, a.weak_type)
    return dtype, weak


def check_ranks(name: str, *arrays: Array) -> None:
    """Check that the shapes broadcast, under the option `numpy_rank_promotion`."""
    shapes = [a.shape for a in arrays]
    mode = config.numpy_rank_promotion.value
    if len(shapes) == 2 and mode == "allow":
        a, b = shapes
        if a[len(a) - len(b) :] == b or b[len(b) - len(a) :] == a:
            return  # the trailing axes agree: the common case of broadcasting, and not worth the general check
    try:
        broadcast_shapes(*shapes)
    except ValueError:
        # Shapes of one rank are refused as operands, those of different ranks as NumPy refuses to
        # broadcast.
        error = TypeError if len({len(s) for s in shapes}) == 1 else ValueError
        raise here(
            error, f"{name} got incompatible shapes for broadcasting: {', '.join(map(str, shapes))}", see("shapes")
        ) from None
    if mode != "allow" and len({len(s) for s in shapes if s}) > 1:
        message = (
            f"Operands could not be broadcast together in {name} on shapes {', '.join(map(str, shapes))} and with the option "
            f"numpy_rank_promotion={mode!r}, at {user_line()}"
        )
        if mode == "raise":
            raise ValueError(message)
        import warnings

        warnings.warn(message, stacklevel=4)


def broadcast_checked(
    name: str, *args: Any, inexact: bool = False, weak: bool | Literal["scalars"] = True
) -> list[Array]:
    """Operands of one dtype whose shapes are known to broadcast: what a function of several
    operands starts from."""
    arrays = promote_inexact(name, *args, weak=weak) if inexact else promote(name, *args)
    check_ranks(name, *arrays)
    return arrays


def binary(
    name: str, primitive: Any, doc: str, shows: str = "", *, inexact: bool = False
) -> Callable[[Any, Any], Array]:
    """The `pullback.numpy` function of a binary elementwise primitive. Its docstring is made of `doc` and `shows`: see
    `described`."""
    promote_operands = promote_inexact if inexact else promote

    def function(x: Any, y: Any, /) -> Array:
        if x.__class__ is ConcreteArray and y.__class__ is ConcreteArray:
            a, b = x._value, y._value
            if (
                a.dtype is b.dtype
                and a.shape == b.shape
                and x.weak_type is y.weak_type
                and (not inexact or a.dtype.kind in "fc")
            ):
                return current().process(primitive, (x, y), {})
        if isinstance(x, Array):
            if not isinstance(y, Array) and (not inexact or x.dtype.kind in "fc"):
                y = y if (scalar := scalar_like(y, x)) is None else scalar
        elif isinstance(y, Array) and (not inexact or y.dtype.kind in "fc"):
            x = x if (scalar := scalar_like(x, y)) is None else scalar
        if not (
            isinstance(x, Array) and isinstance(y, Array) and x.dtype is y.dtype and x.weak_type is y.weak_type
            and (not inexact or x.dtype.kind in "fc")
        ):  # fmt: skip
            x, y = promote_operands(name, x, y)
        shape_x, shape_y = x.shape, y.shape
        if shape_x != shape_y and shape_x and shape_y:
            check_ranks(name, x, y)
        return current().process(primitive, (x, y), {})

    return named(function, name, described(name, primitive, 2, inexact, doc, shows))


def unary(name: str, primitive: Any, doc: str, shows: str = "", *, inexact: bool = False) -> Callable[[Any], Array]:
    """The `pullback.numpy` function of a unary elementwise primitive, as `binary`."""

    def function(x: Any, /) -> Array:
        if x.__class__ is ConcreteArray:  # whose attribute `dtype` is a call
            if not inexact or x._value.dtype.kind in "fc":
                return current().process(primitive, (x,), {})
        elif not isinstance(x, Array):
            x = array_like(x, name)
        if inexact and x.dtype.kind not in "fc":
            (x,) = promote_inexact(name, x)
        return current().process(primitive, (x,), {})

    return named(function, name, described(name, primitive, 1, inexact, doc, shows))


def described(name: str, primitive: Any, operands: int, inexact: bool, doc: str, shows: str) -> str:
    """The docstring of a primitive's function: the sentence `doc`; operands, result and errors, as all of them have
    them; and examples (see `lax.public.examples`).

    >>> from pullback.lax.elementwise import exp_p
    >>> for line in described("exp", exp_p, 1, True, "e to the x, elementwise.", "jnp.exp(0) -> 1.0").splitlines():
    ...     print("|", line)
    | e to the x, elementwise.
    |
    | `x` is an Array, a NumPy value or a scalar of any shape, which the result has, and its dtype; of integers and
    | booleans it is floating. TypeError for lists. Source: `numpy.exp`.
    |
    | >>> import pullback.numpy as jnp
    | >>> jnp.exp(0)
    | 1.0
    """
    refused = [kind for k, kind in _REFUSED[inexact].items() if k not in primitive.kinds]
    if operands == 1:
        shape = "`x` is an Array, a NumPy value or a scalar of any shape, which the result has, and its dtype"
        dtype = "; of integers and\nbooleans it is floating." if inexact else "."
    else:
        shape = "Operands are Arrays, NumPy values or scalars; their shapes broadcast"
        refused.append("shapes that do not broadcast (ValueError, if they differ in rank)")
        if primitive.weakness == "never":
            dtype = ", their dtypes are promoted to one, and\nthe result is boolean."
        elif inexact:
            kinds = "floating or complex" if "c" in primitive.kinds else "floating"
            dtype = f", and their dtypes are promoted to a\n{kinds} one, which the result has."
        else:
            dtype = ", and their dtypes are promoted to one,\nwhich the result has."
    errors = ", ".join(["lists", *refused[:-1]]) + (f" and {refused[-1]}" if refused else "")
    end = " " if operands == 1 else "\n"
    rules = f"{shape}{dtype}{end}TypeError for {errors}. Source: `numpy.{name}`."
    return f"{doc}\n\n{rules}\n\n{examples(shows)}"


#: What a function refuses, by the kind of dtypes that its primitive does not take: without, and with promotion to floats.
_REFUSED = (
    {"b": "booleans", "f": "floats", "c": "complex numbers"},
    {"c": "complex numbers"},
)


def named(function: Any, name: str, doc: str) -> Any:
    """Set the name and docstring of a made function."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = "pullback.numpy"
    function.__doc__ = doc
    return function
