"""Public functions over elementwise primitives: checks of their operands, and the functions that
are primitives one to one.

Operands are Arrays, NumPy values and Python scalars of one dtype, which is never promoted, and of
one shape, up to scalars and axes of length 1 (of equal rank). What does not fit raises TypeError.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import see, user_line
from pullback.core.trace import current
from pullback.core.types import broadcast_shapes

_KIND_NAMES = {"b": "bool", "i": "signed integer", "u": "unsigned integer", "f": "floating", "c": "complex", "k": "key"}


def accepted(name: str, kinds: str, x: Any) -> Array:
    """`x` as an Array. Raises TypeError unless its dtype is of one of `kinds` (see `lax.family`).

    >>> accepted("floor", "f", 2)
    Traceback (most recent call last):
      ...
    TypeError: lax.floor does not accept dtype int32, at ... It accepts floating dtypes
    """
    if not isinstance(x, Array):
        x = as_array(x)
    if dtypes.kind(x.dtype) not in kinds:
        raise TypeError(
            f"lax.{name} does not accept dtype {dtypes.name(x.dtype)}, at {user_line()}. It accepts "
            f"{', '.join(_KIND_NAMES[k] for k in kinds)} dtypes"
        )
    return x


def of_one_dtype(name: str, kinds: str, *operands: Any) -> tuple[Array, ...]:
    """Operands as Arrays. Raises TypeError unless they are of one dtype, of one of `kinds`.

    >>> of_one_dtype("add", "iufc", 1, 2.0)
    Traceback (most recent call last):
      ...
    TypeError: lax.add requires arguments to have the same dtypes, got int32, float32 ...
    """
    arrays = tuple([as_array(x) for x in operands])
    if any([x.dtype != arrays[0].dtype for x in arrays]):
        raise TypeError(
            f"lax.{name} requires arguments to have the same dtypes, got {', '.join(dtypes.name(x.dtype) for x in arrays)} at "
            f"{user_line()} (pullback.numpy promotes; pullback.lax does not)"
        )
    accepted(name, kinds, arrays[0])
    return arrays


def check_shapes(name: str, *arrays: Array) -> None:
    """Raise TypeError unless the shapes are equal up to scalars and axes of length 1.

    >>> check_shapes("add", as_array(1.0), as_array(2.0))
    """
    shapes = [a.shape for a in arrays if a.shape]
    if len({len(s) for s in shapes}) <= 1:
        try:
            broadcast_shapes(*shapes)
            return
        except ValueError:
            reason = "equal shapes up to axes of length 1"
    else:
        reason = "the same number of dimensions"
    raise TypeError(
        f"lax.{name}: arrays must have {reason}, or be scalars; got shapes {', '.join(str(a.shape) for a in arrays)} at "
        f"{user_line()} (pullback.numpy broadcasts){see('shapes')}"
    )


def apply(primitive: Any, *operands: Any, name: str = "") -> Array:
    """Apply to operands, of the kinds of dtypes that the primitive takes, that have been checked;
    errors speak of `lax.NAME`.

    >>> from pullback.lax.elementwise import nextafter_p
    >>> apply(nextafter_p, 0.0, 1.0)
    Array(1.e-45, dtype=float32, weak_type=True)
    """
    arrays = of_one_dtype(name or primitive.name, primitive.kinds, *operands)
    check_shapes(name or primitive.name, *arrays)
    return current().process(primitive, arrays, {})


def unary(primitive: Any, doc: str, shows: str = "", *, kinds: str = "", name: str = "") -> Callable[[Any], Array]:
    """The public function of a primitive of one operand, of the kinds of dtypes that the primitive
    takes unless `kinds` says fewer. Its docstring is made of `doc` and `shows`: see `described`.

    >>> from pullback.lax.elementwise import floor_p
    >>> floor = unary(floor_p, "The largest integer not above x, as a float.", "lax.floor(-0.5) -> -1.0")
    >>> floor(2.5)
    Array(2., dtype=float32, weak_type=True)
    """
    kinds, name = kinds or primitive.kinds, name or primitive.name

    def function(x: Any) -> Array:
        if not isinstance(x, Array) or dtypes.kind(x.dtype) not in kinds:
            x = accepted(name, kinds, x)
        return current().process(primitive, (x,), {})

    return named(function, name, described(primitive, kinds, 1, doc, shows))


def binary(
    primitive: Any, doc: str, shows: str = "", *, kinds: str = "", name: str = ""
) -> Callable[[Any, Any], Array]:
    """The public function of a primitive of two operands, as `unary`.

    >>> from pullback.lax.elementwise import div_p
    >>> binary(div_p, "x / y")(3.0, 2.0)
    Array(1.5, dtype=float32, weak_type=True)
    """
    kinds, name = kinds or primitive.kinds, name or primitive.name

    def function(x: Any, y: Any) -> Array:
        if not isinstance(x, Array):
            x = as_array(x)
        if not isinstance(y, Array):
            y = as_array(y)
        dtype = x.dtype
        if dtype is not y.dtype or dtypes.kind(dtype) not in kinds:
            x, y = of_one_dtype(name, kinds, x, y)
        if x.shape != y.shape and x.shape and y.shape:
            check_shapes(name, x, y)
        return current().process(primitive, (x, y), {})

    return named(function, name, described(primitive, kinds, 2, doc, shows))


def described(primitive: Any, kinds: str, operands: int, doc: str, shows: str, also: str = "") -> str:
    """The docstring of a primitive's public function: the sentence `doc`; what the operands are, what the
    result is, what raises errors, as all of them have it; `also`; and examples (see `examples`).

    >>> from pullback.lax.elementwise import lt_p
    >>> for line in described(lt_p, "iuf", 2, "Whether x < y.", "lax.lt(1, 2) -> True").splitlines():
    ...     print("|", line)
    | Whether x < y.
    |
    | `x` and `y` are of one dtype, integer or floating, and of one shape up to scalars and axes of length 1.
    | The result has that shape and dtype bool. TypeError for other operands.
    |
    | >>> from pullback import lax
    | >>> lax.lt(1, 2)
    | True
    """
    names = [word for kind, word in _ADJECTIVES.items() if kind in kinds and not (kind == "i" and "iu" in kinds)]
    which = " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
    result = primitive.result
    if operands == 1:
        given, shape, wrong = f"`x` is of {which} dtype and any shape.", "its shape", "dtypes"
    else:
        given = f"`x` and `y` are of one dtype, {which}, and of one shape up to scalars and axes of length 1."
        shape, wrong = "that shape", "operands"
    if primitive.weakness == "never":
        dtype = " and dtype bool"
    elif result is None:
        dtype = " and dtype"
    else:
        dtype = " and the dtype of its parts" if kinds == "c" else " and dtype, or for complex dtypes that of the parts"
    hlo = getattr(primitive, "hlo", None)
    source = f" Source: StableHLO, `{hlo}`." if isinstance(hlo, str) and "." not in hlo else ""
    rules = f"{given}\nThe result has {shape}{dtype}. TypeError for other {wrong}.{also}{source}"
    return f"{doc}\n\n{rules}\n\n{examples(shows)}"


_ADJECTIVES = {
    "iu": "integer", "i": "signed integer", "f": "floating", "c": "complex", "b": "boolean", "k": "key",
}  # fmt: skip


def examples(shows: str) -> str:
    """Lines `expression -> result` as doctests, after imports of `pb`, `lax` and `jnp` if they name them.

    >>> examples("lax.neg(1.0) -> -1.0").splitlines()
    ['>>> from pullback import lax', '>>> lax.neg(1.0)', '-1.0']
    """
    imports = [f">>> {text}\n" for name, text in _IMPORTS.items() if name in shows]
    shown = [f">>> {line}\n".replace(" -> ", "\n") for line in shows.splitlines()]
    return "".join([*imports, *shown])


_IMPORTS = {"pb.": "import pullback as pb", "lax.": "from pullback import lax", "jnp.": "import pullback.numpy as jnp"}


def named(function: Any, name: str, doc: str) -> Any:
    """A made function with the name and docstring that it has in the module that makes it: there
    `help` and pickles find it."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = sys._getframe(2).f_globals["__name__"]
    function.__doc__ = doc
    return function
