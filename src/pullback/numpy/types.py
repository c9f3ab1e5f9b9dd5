"""Data types as `pullback.numpy` names them: scalar types that make arrays, abstract kinds, limits,
promotion, constants.

`float32` and its kin are classes that work wherever NumPy takes a dtype (`numpy.dtype(float32)`,
`x.dtype == float32`); called, they make an Array: `float32(3)` is a strongly typed scalar. The
abstract kinds (`floating`, `integer`, ...) are NumPy's.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import ml_dtypes
import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array
from pullback.core.dtypes import promote_pair
from pullback.lax.public import examples
from pullback.numpy.conversion import array
from pullback.numpy.promotion import here

# ---- scalar types --------------------------------------------------------------------------------


class ScalarType(type):
    """Class of the scalar types. Equal (and hashing alike) to NumPy's scalar type of the same name,
    and to its dtype."""

    dtype: np.dtype[Any]

    def __call__(cls, x: Any) -> Array:
        """`x`, a scalar or a nested list, as an Array of this dtype (64-bit types need
        `enable_x64`)."""
        return array(x, dtype=cls.dtype)

    def __hash__(cls) -> int:
        return hash(cls.dtype.type)

    def __eq__(cls, other: object) -> builtins.bool:
        return cls is other or other is cls.dtype.type or (isinstance(other, np.dtype) and other == cls.dtype)

    def __ne__(cls, other: object) -> builtins.bool:
        return not cls == other

    def __reduce__(cls) -> str:
        return cls.__name__


def _scalar_type(dtype: Any, what: str, given: str, gives: str) -> Any:
    """The scalar type of a dtype: a sentence that says what it is, and an example of what it makes of what is `given`."""
    dtype = np.dtype(dtype)
    name = dtype.name
    maker = f"A dtype wherever one is taken, and a maker of Arrays: `{name}(x)`, of a scalar or a nested list whose\nshape the result has."
    shows = f"jnp.{name}({given}) -> Array({gives}, dtype={name})"
    if dtype.itemsize == (16 if dtype.kind == "c" else 8):
        half = name.replace("128", "64") if dtype.kind == "c" else name.replace("64", "32")
        maker += f"\nWithout the option `enable_x64` arrays are of the type `{half}`."
        shows = f"with pb.enable_x64(True): {shows}"
        shows += "\n" + f"jnp.{name}({given}).dtype -> dtype('{half}')"
    errors = "" if dtype.kind in "bc" else ", and for complex numbers"
    errors += "; OverflowError for integers out of range" if dtype.kind in "iu" else ""
    doc = f"{what}\n\n{maker}\nTypeError for what is no number{errors}.\n\n{examples(shows)}"
    return ScalarType(name, (), {"dtype": dtype, "__module__": "pullback.numpy", "__doc__": doc})


def _nameless(dtype: Any, what: str) -> Any:
    """The scalar type of a dtype of which there are no arrays."""
    name = np.dtype(dtype).name
    rules = f"Programs may name it; there are no arrays of it: `{name}(x)` raises TypeError."
    doc = f"{what}\n\n{rules}\n\n{examples(f'jnp.{name}.dtype -> dtype({name})')}"
    return ScalarType(name, (), {"dtype": np.dtype(dtype), "__module__": "pullback.numpy", "__doc__": doc})


# fmt: off
bool_      = _scalar_type(np.bool_,      "Truth values, of 8 bits; what is not 0 is true.", "[0, 0.5]", "[False,  True]")
int8       = _scalar_type(np.int8,       "Integers of 8 bits, from -128 to 127; arithmetic wraps around.", "[1, -128]", "[   1, -128]")
int16      = _scalar_type(np.int16,      "Integers of 16 bits, from -32768 to 32767; arithmetic wraps around.", "[1, -32768]",
                          "[     1, -32768]")
int32      = _scalar_type(np.int32,      "Integers of 32 bits, from -2147483648 to 2147483647, which integers are by default.", "[1, 2.9]",
                          "[1, 2]")
int64      = _scalar_type(np.int64,      "Integers of 64 bits, from -2⁶³ to 2⁶³ - 1.", "[1, -2]", "[ 1, -2]")
uint8      = _scalar_type(np.uint8,      "Integers of 8 bits, from 0 to 255; arithmetic wraps around.", "[1, 255]", "[  1, 255]")
uint16     = _scalar_type(np.uint16,     "Integers of 16 bits, from 0 to 65535; arithmetic wraps around.", "[1, 65535]", "[    1, 65535]")
uint32     = _scalar_type(np.uint32,     "Integers of 32 bits, from 0 to 4294967295; arithmetic wraps around.", "[1, 4294967295]",
                          "[         1, 4294967295]")
uint64     = _scalar_type(np.uint64,     "Integers of 64 bits, from 0 to 2⁶⁴ - 1.", "[1, 2]", "[1, 2]")
float16    = _scalar_type(np.float16,    "Floats of 16 bits: 11 of precision, to 65504. Source: IEEE 754-2019, binary16.", "[0.1, 1e5]",
                          "[0.1, inf]")
float32    = _scalar_type(np.float32,    "Floats of 32 bits: 24 of precision, to 3.4e38. Source: IEEE 754-2019, binary32.", "[0.1, 1e39]",
                          "[0.1, inf]")
float64    = _scalar_type(np.float64,    "Floats of 64 bits: 53 of precision, to 1.8e308. Source: IEEE 754-2019, binary64.", "[0.1, 1e30]",
                          "[1.e-01, 1.e+30]")
complex64  = _scalar_type(np.complex64,  "Complex numbers whose two parts are of type `float32`.", "[1, 2j]", "[1.+0.j, 0.+2.j]")
complex128 = _scalar_type(np.complex128, "Complex numbers whose two parts are of type `float64`.", "[1, 2j]", "[1.+0.j, 0.+2.j]")
bfloat16   = _scalar_type(ml_dtypes.bfloat16, "Floats of 16 bits with the range of `float32`: 8 bits of precision, to 3.4e38.",
                          "[0.1, 1e30]", "[0.100098, 1.00026e+30]")

int1  = _nameless(ml_dtypes.int1, "Integers of 1 bit, -1 and 0.")
int2  = _scalar_type(ml_dtypes.int2, "Integers of 2 bits, from -2 to 1, each in a byte of its own.", "[1, -2]", "[1, -2]")
int4  = _scalar_type(ml_dtypes.int4, "Integers of 4 bits, from -8 to 7, each in a byte of its own.", "[7, -8]", "[7, -8]")
uint1 = _nameless(ml_dtypes.uint1, "Integers of 1 bit, 0 and 1.")
uint2 = _scalar_type(ml_dtypes.uint2, "Integers of 2 bits, from 0 to 3, each in a byte of its own.", "[1, 3]", "[1, 3]")
uint4 = _scalar_type(ml_dtypes.uint4, "Integers of 4 bits, from 0 to 15, each in a byte of its own.", "[1, 15]", "[1, 15]")

# Their names say how many bits exponent and mantissa have; fn: finite, but for NaN; uz: no negative zero; b11: the exponent's bias.
_OFP8 = "Source: Open Compute Project, 8-bit Floating Point Specification (OFP8), 2023."
_MX = "Source: Open Compute Project, Microscaling Formats (MX) Specification, 2023."
_UZ = "NaN takes the place of -0.\nSource: B. Noune et al., \"8-bit Numerical Formats for Deep Neural Networks\", 2022."
float4_e2m1fn = _scalar_type(ml_dtypes.float4_e2m1fn, f"Floats of 4 bits, to 6, each in a byte of its own, without infinities and NaN.\n{_MX}",
                             "[0.7, -2.4, 100]", "[0.5, -2, 6]")
float6_e2m3fn = _scalar_type(ml_dtypes.float6_e2m3fn, f"Floats of 6 bits, to 7.5, each in a byte of its own, without infinities and NaN.\n{_MX}",
                             "[0.7, -2.4, 100]", "[0.75, -2.5, 7.5]")
float6_e3m2fn = _scalar_type(ml_dtypes.float6_e3m2fn, f"Floats of 6 bits, to 28, each in a byte of its own, without infinities and NaN.\n{_MX}",
                             "[0.7, -2.4, 100]", "[0.75, -2.5, 28]")
float8_e3m4 = _scalar_type(ml_dtypes.float8_e3m4, "Floats of 8 bits: 3 of exponent, to 15.5, in the manner of IEEE 754.",
                           "[0.1, -2.4, 100]", "[0.09375, -2.375, inf]")
float8_e4m3 = _scalar_type(ml_dtypes.float8_e4m3, "Floats of 8 bits: 4 of exponent, to 240, in the manner of IEEE 754.",
                           "[0.1, -2.4, 1000]", "[0.101562, -2.5, inf]")
float8_e4m3fn = _scalar_type(ml_dtypes.float8_e4m3fn, f"Floats of 8 bits: 4 of exponent, to 448, with NaN, but no infinities.\n{_OFP8}",
                             "[0.1, -2.4, 1000]", "[0.101562, -2.5, nan]")
float8_e4m3fnuz = _scalar_type(ml_dtypes.float8_e4m3fnuz, f"Floats of 8 bits: 4 of exponent, to 240, without infinities; {_UZ}",
                               "[0.1, -2.4, 1000]", "[0.101562, -2.5, nan]")
float8_e4m3b11fnuz = _scalar_type(ml_dtypes.float8_e4m3b11fnuz, "Floats of 8 bits: 4 of exponent, of bias 11, to 30, without infinities; NaN is -0.",
                                  "[0.1, -2.4, 1000]", "[0.101562, -2.5, nan]")
float8_e5m2 = _scalar_type(ml_dtypes.float8_e5m2, f"Floats of 8 bits: 5 of exponent, to 57344, with infinities and NaN.\n{_OFP8}",
                           "[0.1, -2.4, 1e5]", "[0.09375, -2.5, inf]")
float8_e5m2fnuz = _scalar_type(ml_dtypes.float8_e5m2fnuz, f"Floats of 8 bits: 5 of exponent, to 57344, without infinities; {_UZ}",
                               "[0.1, -2.4, 1e5]", "[0.09375, -2.5, nan]")
float8_e8m0fnu = _scalar_type(ml_dtypes.float8_e8m0fnu, f"Powers of two in 8 bits, from 2⁻¹²⁷ to 2¹²⁷, and NaN; no 0, no sign.\n{_MX}",
                              "[0.3, 100, -1]", "[0.25, 128, nan]")
# fmt: on

bool = bool_
int_, uint = int64, uint64
float_ = double = float64
single = float32
complex_ = cdouble = complex128
csingle = complex64

generic, number, integer, inexact, floating = np.generic, np.number, np.integer, np.inexact, np.floating
signedinteger, unsignedinteger, complexfloating = np.signedinteger, np.unsignedinteger, np.complexfloating
character, flexible, object_ = np.character, np.flexible, np.object_
dtype = np.dtype
ndarray = Array
ComplexWarning = np.exceptions.ComplexWarning

# ---- constants -----------------------------------------------------------------------------------

pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
euler_gamma = 0.5772156649015329
newaxis = None

# ---- questions about types -----------------------------------------------------------------------


def _dtype_of(x: Any) -> np.dtype[Any]:
    found = getattr(x, "dtype", None)
    if isinstance(found, (np.dtype, dtypes.KeyType)):
        return found
    return np.dtype(type(x) if isinstance(x, dtypes.PYTHON_SCALARS) else x)


def finfo(dtype: Any) -> Any:
    """Limits of a floating or complex type (or of an array's type): `eps`, `max`, `tiny`, `bits`,
    ... See `numpy.finfo`.

    Raises ValueError for other types.

    >>> import pullback.numpy as jnp
    >>> jnp.finfo(jnp.bfloat16).bits, float(jnp.finfo(jnp.float16).max)
    (16, 65504.0)
    """
    return dtypes.finfo(_dtype_of(dtype))


def iinfo(int_type: Any) -> Any:
    """Limits of an integer type (or of an array's type): `min`, `max`, `bits`. See `numpy.iinfo`.

    Raises ValueError for other types.

    >>> import pullback.numpy as jnp
    >>> jnp.iinfo(jnp.int4).max, jnp.iinfo(jnp.int16).min
    (7, -32768)
    """
    return dtypes.iinfo(_dtype_of(int_type))


def _typing(x: Any) -> tuple[np.dtype[Any], builtins.bool]:
    """dtype (not shrunk to 32 bits) and weakness of a type."""
    if isinstance(x, type) and x in dtypes._DEFAULTS:
        return dtypes._DEFAULTS[x][1], x is not builtins.bool
    return np.dtype(x), False


def promote_types(a: Any, b: Any) -> np.dtype[Any]:
    """The dtype in which values of types `a` and `b` are combined; Python's scalar types are weak.

    Raises TypePromotionError for types that only combine explicitly, such as int4 and int8;
    TypeError for what is no type.

    >>> import pullback.numpy as jnp
    >>> jnp.promote_types(jnp.int32, jnp.float16), jnp.promote_types(jnp.uint8, jnp.int8)
    (dtype('float16'), dtype('int16'))
    >>> jnp.promote_types(float, jnp.bfloat16) == jnp.bfloat16
    True
    """
    # The types as they are named, 64-bit ones too; but narrower ones do not widen to 64 bits by
    # being combined.
    with config.enable_x64(True):
        (dtype_a, weak_a), (dtype_b, weak_b) = _typing(a), _typing(b)
        dtype = promote_pair(dtype_a, weak_a, dtype_b, weak_b)[0]
    return dtype if max(dtype_a.itemsize, dtype_b.itemsize) >= 8 else dtypes.canonicalize(dtype)


def result_type(*args: Any) -> np.dtype[Any]:
    """The dtype of the result of an operation on `args`: arrays, scalars (weakly typed), dtypes.

    Without `enable_x64` it has 32 bits at most. Raises ValueError without arguments, TypeError for
    what has no type.

    >>> import pullback.numpy as jnp
    >>> jnp.result_type(jnp.int8, 2), jnp.result_type(1, 2.0)
    (dtype('int8'), dtype('float32'))
    """
    return dtypes.result_type(*args)


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> builtins.bool:
    """Whether a cast between the types can be done under NumPy's rule `casting`; arrays stand for
    their dtypes.

    Raises TypeError for Python numbers, which have no dtype of their own, and for None; ValueError
    for other rules than NumPy's.

    >>> import pullback.numpy as jnp
    >>> jnp.can_cast(jnp.int16, jnp.float32), jnp.can_cast(jnp.int32, jnp.int16)
    (True, False)
    >>> jnp.can_cast(jnp.int32, jnp.int16, "same_kind")
    True
    """
    if isinstance(from_, (int, float, complex)) and not isinstance(from_, np.generic):
        raise here(
            TypeError,
            f"can_cast takes arrays and dtypes, got the Python number {from_!r}: its type depends on what it meets",
        )
    if from_ is None or to is None:
        raise here(TypeError, "can_cast takes dtypes, got None")
    return builtins.bool(np.can_cast(_dtype_of(from_), np.dtype(to), casting))


def issubdtype(arg1: Any, arg2: Any) -> builtins.bool:
    """Whether the type `arg1` is `arg2` or of the kind `arg2`, as `floating`; bfloat16, float8 and
    int4 are of theirs.

    Raises TypeError for what is no type.

    >>> import pullback.numpy as jnp
    >>> jnp.issubdtype(jnp.bfloat16, jnp.floating), jnp.issubdtype(jnp.int8, jnp.unsignedinteger)
    (True, False)
    """
    return dtypes.issubdtype(arg1, arg2)


_KINDS_BY_NAME = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}  # fmt: skip

#: NumPy's types of scalars that are no dtypes.
_ABSTRACT = (
    np.generic, np.number, np.integer, np.signedinteger, np.unsignedinteger, np.inexact, np.floating, np.complexfloating, np.flexible,
    np.character,
)  # fmt: skip


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether `dtype` is of a kind named as in the array API standard, or one of a tuple of kinds
    and dtypes.

    Kinds are "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex
    floating" and "numeric". Raises ValueError for an unknown name, TypeError for abstract types.

    >>> import pullback.numpy as jnp
    >>> jnp.isdtype(jnp.bfloat16, "real floating"), jnp.isdtype(jnp.int8, ("bool", jnp.int8))
    (True, True)
    """
    dtype = np.dtype(dtype)
    options = kind if isinstance(kind, tuple) else (kind,)
    found = False
    for option in options:
        if isinstance(option, str) and option in _KINDS_BY_NAME:
            found = found or dtypes._KINDS.get(dtype, "") in tuple(_KINDS_BY_NAME[option])
            continue
        try:
            # NumPy before 2.4 takes these for one of the types that they stand for.
            if any(option is t for t in _ABSTRACT):
                raise TypeError
            other = np.dtype(option)
        except TypeError:
            error = ValueError if isinstance(option, str) else TypeError
            raise error(
                f"unrecognized kind {option!r}: expected a dtype or one of {', '.join(map(repr, _KINDS_BY_NAME))}"
            ) from None
        found = found or other == dtype
    return found


def iscomplexobj(x: Any) -> builtins.bool:
    """Whether the type of `x` (an array, scalar or nested list) is complex, whatever its values.

    >>> import pullback.numpy as jnp
    >>> jnp.iscomplexobj(jnp.array([1 + 0j])), jnp.iscomplexobj([1.0])
    (True, False)
    """
    found = getattr(x, "dtype", None)
    return dtypes.is_complex(found if isinstance(found, np.dtype) else np.asarray(x).dtype)


def isrealobj(x: Any) -> builtins.bool:
    """Whether the type of `x` (an array, scalar or nested list) is not complex, whatever its
    values.

    >>> import pullback.numpy as jnp
    >>> jnp.isrealobj(jnp.array([1.0])), jnp.isrealobj(jnp.array([1 + 0j]))
    (True, False)
    """
    return not iscomplexobj(x)


# ---- text ----------------------------------------------------------------------------------------


def set_printoptions(*args: Any, **kwargs: Any) -> None:
    """Set how arrays are printed: `numpy.set_printoptions`, which Arrays share with NumPy's.
    `printoptions` does so for a block.

    Raises TypeError and ValueError as NumPy's does.

    >>> import pullback.numpy as jnp
    >>> before = jnp.get_printoptions()
    >>> jnp.set_printoptions(precision=2)
    >>> jnp.array([jnp.pi])
    Array([3.14], dtype=float32)
    >>> jnp.set_printoptions(**before)
    """
    np.set_printoptions(*args, **kwargs)


def get_printoptions() -> dict[str, Any]:
    """The options that `set_printoptions` sets, by name: a new dictionary.

    >>> import pullback.numpy as jnp
    >>> with jnp.printoptions(precision=3):
    ...     jnp.get_printoptions()["precision"]
    3
    """
    return dict(np.get_printoptions())


def printoptions(*args: Any, **kwargs: Any) -> Any:
    """A context manager that sets print options for a block: `numpy.printoptions`. They are
    `set_printoptions`'s.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1 / 3, 1e-9])
    >>> with jnp.printoptions(precision=3, suppress=True):
    ...     x
    Array([0.333, 0.   ], dtype=float32)
    """
    return np.printoptions(*args, **kwargs)


def _options(max_line_width: Any, precision: Any, suppress_small: Any) -> dict[str, Any]:
    options = {"linewidth": max_line_width, "precision": precision, "suppress": suppress_small}
    return {name: value for name, value in options.items() if value is not None}


def array_repr(arr: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None) -> str:
    """`repr(arr)` with print options given: `max_line_width`, `precision`, and whether to
    `suppress_small` numbers.

    >>> import pullback.numpy as jnp
    >>> jnp.array_repr(jnp.array([1 / 3, 2 / 3]), precision=2)
    'Array([0.33, 0.67], dtype=float32)'
    """
    with np.printoptions(**_options(max_line_width, precision, suppress_small)):
        return repr(arr if isinstance(arr, Array) else array(arr))


def array_str(a: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None) -> str:
    """`str(a)` with print options given: `max_line_width`, `precision`, and whether to
    `suppress_small` numbers.

    >>> import pullback.numpy as jnp
    >>> jnp.array_str(jnp.array([1 / 3, 2 / 3]), precision=2)
    '[0.33 0.67]'
    """
    with np.printoptions(**_options(max_line_width, precision, suppress_small)):
        return str(a if isinstance(a, Array) else array(a))


__all__ = ["ComplexWarning", "array_repr", "array_str", "bfloat16", "bool", "bool_", "can_cast", "cdouble"]
__all__ += ["character", "complex128", "complex64", "complex_", "complexfloating", "csingle", "double", "dtype"]
__all__ += ["e", "euler_gamma", "finfo", "flexible", "float16", "float32", "float4_e2m1fn", "float64"]
__all__ += ["float6_e2m3fn", "float6_e3m2fn", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"]
__all__ += ["float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float_", "floating", "generic"]
__all__ += ["get_printoptions", "iinfo", "inexact", "inf", "int1", "int16", "int2", "int32", "int4", "int64"]
__all__ += ["int8", "int_", "integer", "iscomplexobj", "isdtype", "isrealobj", "issubdtype", "nan", "ndarray"]
__all__ += ["newaxis", "number", "object_", "pi", "printoptions", "promote_types", "result_type"]
__all__ += ["set_printoptions", "signedinteger", "single", "uint", "uint1", "uint16", "uint2", "uint32", "uint4"]
__all__ += ["uint64", "uint8", "unsignedinteger"]
