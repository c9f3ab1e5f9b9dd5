"""Data types: which exist, how they promote, and how 64-bit ones shrink while `enable_x64` is off.

A *dtype* is always a `numpy.dtype` here. The bfloat16, float8 and sub-byte integer types are those
of `ml_dtypes`; random keys have the structured type `KEY` (8 opaque bytes an element), so that
every operation that only moves elements works on them unchanged. *Weak* types are those of Python
scalars: they give way to the other operand's type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from pullback.core import config
from pullback.core.dimensions import Dim
from pullback.core.errors import TypePromotionError, user_line

if TYPE_CHECKING:
    from pullback.core.names import Argument, Attribute, Operand

    #: A node of the lattice of promotion: a dtype, or the name of a weak kind (`"f*"`).
    LatticeNode = Any

DType = np.dtype[Any]

bool_ = np.dtype(np.bool_)
int8, int16, int32, int64 = map(np.dtype, (np.int8, np.int16, np.int32, np.int64))
uint8, uint16, uint32, uint64 = map(np.dtype, (np.uint8, np.uint16, np.uint32, np.uint64))
float16, float32, float64 = map(np.dtype, (np.float16, np.float32, np.float64))
complex64, complex128 = map(np.dtype, (np.complex64, np.complex128))
bfloat16: DType = np.dtype(ml_dtypes.bfloat16)
int2, int4, uint2, uint4 = (np.dtype(getattr(ml_dtypes, n)) for n in ("int2", "int4", "uint2", "uint4"))
FLOAT8: tuple[DType, ...] = tuple(
    np.dtype(getattr(ml_dtypes, name))
    for name in (
        "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz",
        "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn",
    )
)  # fmt: skip

#: The tangent type of integers and booleans: there is one tangent, zero, and it takes no room.
float0: DType = np.dtype([("float0", np.void, 0)])


class extended(np.generic):
    """Scalar kind of types that are opaque to arithmetic.

    >>> import pullback as pb
    >>> issubdtype(pb.random.key(0).dtype, extended), issubdtype("float32", extended)
    (True, False)
    """


class prng_key(extended):
    """Scalar kind of typed random keys: `issubdtype(key.dtype, prng_key)` is true.

    >>> import pullback as pb
    >>> issubdtype(pb.random.key(0).dtype, prng_key), issubdtype(pb.random.PRNGKey(0).dtype, prng_key)
    (True, False)
    """


class ExtendedDType:
    """Base of element types that NumPy does not have: those of typed random keys.

    >>> import pullback as pb
    >>> isinstance(pb.random.key(0).dtype, ExtendedDType), isinstance(pb.numpy.ones(2).dtype, ExtendedDType)
    (True, False)
    """

    __slots__ = ()


class KeyType(ExtendedDType):
    """The element type of typed random keys. To NumPy it is the structured type in which keys are
    stored, which it equals.

    Example: `random.key(0).dtype` is one, printed `key<fry>`.
    """

    __slots__ = ("__numpy_dtype__", "name")
    type = prng_key

    def __init__(self, name: str, storage: DType) -> None:
        self.name, self.__numpy_dtype__ = name, storage

    @property
    def dtype(self) -> DType:
        """What NumPy before 2.4 takes it for."""
        return self.__numpy_dtype__

    def __getattr__(self, name: str) -> Attribute:
        return getattr(self.__numpy_dtype__, name)

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, np.dtype) and other == self.__numpy_dtype__)

    def __hash__(self) -> int:
        return hash(self.__numpy_dtype__)

    def __reduce__(self) -> str:
        return "KEY"

    def __repr__(self) -> str:
        return self.name


#: Of two words of Threefry-2x32 key data.
KEY: Any = KeyType("key<fry>", np.dtype([("fry", np.uint32, (2,))]))
#: The class of the types in which NumPy stores keys, and `float0`; of no other array's type.
STRUCTURED: Any = type(KEY.dtype)


SIGNED = (int8, int16, int32, int64, int2, int4)
UNSIGNED = (uint8, uint16, uint32, uint64, uint2, uint4)
FLOATS = (float16, bfloat16, float32, float64, *FLOAT8)
COMPLEXES = (complex64, complex128)
_KINDS: dict[DType, str] = {
    bool_: "b", **dict.fromkeys(SIGNED, "i"), **dict.fromkeys(UNSIGNED, "u"),
    **dict.fromkeys(FLOATS, "f"), **dict.fromkeys(COMPLEXES, "c"), KEY: "k", float0: "0",
}  # fmt: skip

_NARROW: dict[DType, DType] = {float64: float32, int64: int32, uint64: uint32, complex128: complex64}
_DEFAULTS: dict[type, tuple[DType, DType]] = {
    bool: (bool_, bool_), int: (int32, int64), float: (float32, float64), complex: (complex64, complex128),
}  # fmt: skip
PYTHON_SCALARS = (bool, int, float, complex)


def kind(dtype: DType) -> str:
    """`b`ool, `i`nteger, `u`nsigned, `f`loat, `c`omplex, `k`ey or float`0`. Raises TypeError for
    any other type."""
    try:
        return _KINDS[dtype]
    except KeyError:
        raise TypeError(f"dtype {dtype} is not a valid array type: only numeric and boolean types are") from None


_NUMPYS = frozenset(np.dtype(t).num for t in "?bBhHiIlLqQefdgFDG")


def is_numpys(dtype: DType) -> bool:
    """Whether NumPy itself has the type: the others are ml_dtypes', which `dtype.kind` does not
    tell apart (float8_e5m2 has the letter of floats, the other 8-bit floats, bfloat16 and the
    narrow integers that of void types), and `KEY` and `float0`."""
    # By number: `dtype.isbuiltin` is 0 for equal copies of a type, such as the type of a structured
    # type's field.
    return dtype.num in _NUMPYS


def is_inexact(dtype: DType) -> bool:
    return _KINDS.get(dtype, "") in ("f", "c")


def is_float(dtype: DType) -> bool:
    return _KINDS.get(dtype) == "f"


def is_complex(dtype: DType) -> bool:
    return _KINDS.get(dtype) == "c"


def is_integer(dtype: DType) -> bool:
    return _KINDS.get(dtype, "") in ("i", "u")


def is_key(dtype: Argument) -> bool:
    return bool(dtype == KEY)


def canonicalize(dtype: DType) -> DType:
    """`dtype`, or its 32-bit counterpart while `enable_x64` is off."""
    return dtype if config.enable_x64.value else narrow(dtype)


def narrow(dtype: DType) -> DType:
    """`dtype`, or its 32-bit counterpart."""
    return _NARROW.get(dtype, dtype)


def canonicalize_dtype(dtype: Argument, allow_extended_dtype: bool = False) -> DType:
    """The dtype an array gets when `dtype` is asked for: any spelling NumPy knows, or a Python
    scalar type; that of random keys, too, whatever `allow_extended_dtype` says. Types of 64 bits are those
    of 32 without `enable_x64`. Raises TypeError for what is no dtype, ValueError for an array.

    >>> canonicalize_dtype(float), canonicalize_dtype("complex128")
    (dtype('float32'), dtype('complex64'))
    """
    del allow_extended_dtype
    try:
        if dtype in _DEFAULTS:
            return default_dtype(dtype)
    except TypeError:  # unhashable
        if hasattr(dtype, "aval"):
            raise ValueError(
                f"an array of shape {dtype.shape} was given as a dtype, at {user_line()}: give its dtype, array.dtype"
            ) from None
    found = np.dtype(dtype)
    if found.__class__ is STRUCTURED and found == KEY:
        return KEY
    if found not in _KINDS:
        kind(found.newbyteorder("="))
        found = found.newbyteorder("=")
    return canonicalize(found)


def default_dtype(scalar_type: type) -> DType:
    """The type of a Python scalar: bool, int32/int64, float32/float64 or complex64/complex128."""
    return _DEFAULTS[scalar_type][config.enable_x64.value]


def to_inexact(dtype: DType) -> DType:
    """The floating type in which functions of an integer or boolean are computed: float64 for 64
    bits; inexact types stay."""
    if is_inexact(dtype):
        return dtype
    return float64 if dtype.itemsize == 8 else float32


_COMPLEX_OF = {float64: complex128, complex64: complex64, complex128: complex128}
_REAL_OF = {complex64: float32, complex128: float64}


def to_complex(dtype: DType) -> DType:
    """The complex type with parts of `dtype` (complex64 for everything narrower than float64)."""
    return _COMPLEX_OF.get(dtype, complex64)


def to_real(dtype: DType) -> DType:
    """The type of the parts of a complex `dtype`; real types are their own."""
    return _REAL_OF.get(dtype, dtype)


def tangent_dtype(dtype: DType) -> DType:
    """The type of tangents of values of `dtype`: itself if inexact, else `float0`."""
    return dtype if is_inexact(dtype) else float0


# ---- promotion: the least upper bound in a lattice of types --------------------------------------

_WEAK_INT, _WEAK_FLOAT, _WEAK_COMPLEX = "i*", "f*", "c*"
_UP: dict[Any, tuple[Any, ...]] = {
    bool_: (_WEAK_INT,),
    _WEAK_INT: (uint8, int8, int4, uint4, int2, uint2),
    uint8: (uint16, int16), uint16: (uint32, int32), uint32: (uint64, int64), uint64: (_WEAK_FLOAT,),
    int8: (int16,), int16: (int32,), int32: (int64,), int64: (_WEAK_FLOAT,),
    int2: (), uint2: (), int4: (), uint4: (),
    _WEAK_FLOAT: (bfloat16, float16, _WEAK_COMPLEX, *FLOAT8),
    bfloat16: (float32,), float16: (float32,), float32: (float64, complex64), float64: (complex128,),
    _WEAK_COMPLEX: (complex64,), complex64: (complex128,), complex128: (),
    **dict.fromkeys(FLOAT8, ()),
}  # fmt: skip


def _upper_bounds() -> dict[LatticeNode, frozenset[LatticeNode]]:
    bounds: dict[Any, frozenset[Any]] = {}

    def above(node: LatticeNode) -> frozenset[LatticeNode]:
        if node not in bounds:
            bounds[node] = frozenset([node]).union(*(above(n) for n in _UP[node]))
        return bounds[node]

    for node in _UP:
        above(node)
    return bounds


_BOUNDS = _upper_bounds()
_LATTICE_CACHE: dict[tuple[DType, bool, DType, bool], tuple[DType, bool]] = {}


def promote_pair(a: DType, weak_a: bool, b: DType, weak_b: bool) -> tuple[DType, bool]:
    """The (dtype, weak) of an operation on operands of two (dtype, weak) pairs. Raises
    TypePromotionError."""
    key = (a, weak_a, b, weak_b)
    found = _LATTICE_CACHE.get(key)
    if found is None:
        found = _LATTICE_CACHE[key] = _promote(*key)
    if a != b and config.numpy_dtype_promotion.value == "strict" and not _strictly(found[0], a, weak_a, b, weak_b):
        named = [f"{'weakly typed ' * weak}{name(t)}" for t, weak in ((a, weak_a), (b, weak_b))]
        raise TypePromotionError(
            f"dtypes {named[0]} and {named[1]} have no implicit promotion in strict mode (numpy_dtype_promotion='strict'), at "
            f"{user_line()}; convert one of them with .astype"
        )
    return (canonicalize(found[0]), found[1]) if found[0] in _NARROW else found


def _strictly(result: DType, a: DType, weak_a: bool, b: DType, weak_b: bool) -> bool:
    """Whether strict promotion allows `result`: only Python scalars give way, to types of their
    kind or a wider one."""
    strong = [t for t, weak in ((a, weak_a), (b, weak_b)) if not weak or t == bool_]
    return not strong or strong == [result]


def _promote(a: DType, weak_a: bool, b: DType, weak_b: bool) -> tuple[DType, bool]:
    if a == b and weak_a == weak_b:
        return a, weak_a
    node_a, node_b = _node(a, weak_a), _node(b, weak_b)
    if node_a not in _BOUNDS or node_b not in _BOUNDS:
        why = (
            "typed keys are opaque (see random.key_data)" if KEY in (a, b) else "only numbers and booleans are combined"
        )
        raise TypeError(f"arithmetic with dtypes {name(a)} and {name(b)} is not possible: {why}")
    common = _BOUNDS[node_a] & _BOUNDS[node_b]
    least = [n for n in common if common <= _BOUNDS[n]]
    if len(least) != 1:
        raise TypePromotionError(
            f"dtypes {a.name} and {b.name} have no implicit promotion: convert one of them with .astype"
        )
    node = least[0]
    if node == _WEAK_INT:
        return int64, True
    if node == _WEAK_FLOAT:
        return float64, True  # narrowed by whoever asked, as their `enable_x64` says
    if node == _WEAK_COMPLEX:
        return complex128, True
    return node, False


_WEAK_NODES = {"i": _WEAK_INT, "u": _WEAK_INT, "f": _WEAK_FLOAT, "c": _WEAK_COMPLEX}


def _node(dtype: DType, weak: bool) -> LatticeNode:
    return _WEAK_NODES[kind(dtype)] if weak and dtype != bool_ else dtype


def typing_of(x: Operand) -> tuple[DType, bool]:
    """(dtype, weak) of an array, a NumPy value, a Python scalar or anything that has `dtype`.
    Raises TypeError."""
    scalar = type(x)
    if scalar in _DEFAULTS:
        return default_dtype(scalar), scalar is not bool
    dtype: Any = getattr(x, "dtype", None)
    if dtype.__class__ is KeyType:
        return KEY, False
    if isinstance(dtype, np.dtype):
        if dtype not in _KINDS:
            kind(dtype)
        return canonicalize(dtype), bool(getattr(x, "weak_type", False))
    if isinstance(x, PYTHON_SCALARS):
        base = next(t for t in PYTHON_SCALARS if isinstance(x, t))
        return default_dtype(base), base is not bool
    if scalar is Dim:
        return default_dtype(int), True
    raise TypeError(f"value of type {scalar.__name__!r} is not a valid array type: {x!r:.100}")


def promotion(*values: Operand) -> tuple[DType, bool]:
    """The common (dtype, weak) of values, dtypes and Python scalar types."""
    if not values:
        raise ValueError("at least one array or dtype is required")
    found: tuple[DType, bool] | None = None
    for value in values:
        if value in _DEFAULTS if isinstance(value, type) else False:
            pair = default_dtype(value), value is not bool
        elif isinstance(value, (np.dtype, str, type)):
            pair = canonicalize_dtype(value), False
        else:
            pair = typing_of(value)
        found = pair if found is None else promote_pair(*found, *pair)
    assert found is not None
    return found


def result_type(*args: Argument, return_weak_type_flag: bool = False) -> DType | tuple[DType, bool]:
    """The dtype of an operation on `args` (arrays, scalars, dtypes), by JAX's promotion lattice; with
    `return_weak_type_flag` also whether it is weak. Raises TypePromotionError for types without a
    common one, ValueError without arguments.

    >>> result_type(np.int32(1), 2.0), result_type("bfloat16", "float16"), result_type(np.float16(1), 2.0)
    (dtype('float32'), dtype('float32'), dtype('float16'))
    """
    dtype, weak = promotion(*args)
    return (dtype, weak) if return_weak_type_flag else dtype


def issubdtype(a: Argument, b: Argument) -> bool:
    """`numpy.issubdtype`, extended to bfloat16, float8, int4 and typed keys. An array stands for
    its dtype.

    >>> issubdtype(bfloat16, np.floating), issubdtype(int4, np.signedinteger), issubdtype("uint8", np.floating)
    (True, True, False)
    """
    if hasattr(a, "aval"):
        a = a.dtype
    if b is extended or b is prng_key:
        return (isinstance(a, (np.dtype, KeyType)) and a == KEY) or a is prng_key or a is b
    if isinstance(a, (np.dtype, KeyType)) and a == KEY:
        return False
    if not (isinstance(a, type) and issubclass(a, np.generic) and a not in (t.type for t in _KINDS)):
        dtype = np.dtype(a) if a not in _DEFAULTS else _DEFAULTS[a][1]
        if dtype in _KINDS and isinstance(b, type) and issubclass(b, np.generic) and b in _ABSTRACT:
            return _KINDS[dtype] in _ABSTRACT[b]
        a = dtype
    return bool(np.issubdtype(a, b))


_ABSTRACT: dict[type, str] = {
    np.generic: "biufc", np.number: "iufc", np.integer: "iu", np.signedinteger: "i", np.unsignedinteger: "u",
    np.inexact: "fc", np.floating: "f", np.complexfloating: "c",
}  # fmt: skip

_ML_TYPES = frozenset((bfloat16, *FLOAT8, int2, int4, uint2, uint4))


def finfo(dtype: Argument) -> ml_dtypes.finfo:
    """Machine limits of a floating type, ml_dtypes' included: `eps`, `max`, `tiny`, `nmant`, ... Raises
    ValueError for other types.

    >>> float(finfo("float32").eps) == 2**-23, float(finfo("bfloat16").eps) == 2**-7
    (True, True)
    """
    dtype = np.dtype(dtype)
    return ml_dtypes.finfo(dtype) if dtype in _ML_TYPES else np.finfo(dtype)


def iinfo(int_type: Argument) -> ml_dtypes.iinfo:
    """Machine limits of an integer type, int4 and kin included. Raises ValueError for other types.

    >>> int(iinfo("int8").max), int(iinfo("uint4").max)
    (127, 15)
    """
    dtype = np.dtype(int_type)
    return ml_dtypes.iinfo(dtype) if dtype in _ML_TYPES else np.iinfo(dtype)


def itemsize_bits(dtype: Argument) -> int:
    """Width of one element in bits (4 for int4, though NumPy stores it in a byte).

    >>> itemsize_bits("float32"), itemsize_bits("bool"), itemsize_bits("int4")
    (32, 8, 4)
    """
    dtype = np.dtype(dtype)
    if dtype in (int4, uint4, FLOAT8[8]):
        return 4
    if dtype in (int2, uint2):
        return 2
    return dtype.itemsize * 8


def scalar_type_of(x: Argument) -> type:
    """The Python scalar type (bool, int, float, complex) that a value or dtype corresponds to. Raises
    TypeError for typed keys, and for what is neither value nor dtype.

    >>> scalar_type_of(np.ones(3, np.uint8)), scalar_type_of("bfloat16"), scalar_type_of(2j)
    (<class 'int'>, <class 'float'>, <class 'complex'>)
    """
    dtype, _ = promotion(x)
    if dtype == KEY:
        raise TypeError(f"no Python scalar corresponds to typed keys, {KEY.name}, at {user_line()}")
    return {"b": bool, "i": int, "u": int, "f": float, "c": complex}[kind(dtype)]


def name(dtype: DType) -> str:
    """`float32`, `bfloat16`, ..., `key<fry>`."""
    return KEY.name if dtype == KEY else "float0" if dtype == float0 else dtype.name


_SHORT = {"b": "bool", "i": "i", "u": "u", "f": "f", "c": "c"}


def short_name(dtype: DType) -> str:
    """As in printed jaxprs: `f32`, `i8`, `bf16`, `c64`, `bool`, `key<fry>`."""
    if dtype == bool_:
        return "bool"
    if dtype == bfloat16:
        return "bf16"
    if dtype in (KEY, float0):
        return name(dtype)
    if dtype in FLOAT8:
        return dtype.name.replace("float", "f")
    return f"{_SHORT[kind(dtype)]}{itemsize_bits(dtype)}"
