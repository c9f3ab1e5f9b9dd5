"""How exact products of matrices are: `Precision`, and algorithms that say more.

On a CPU products are of the full precision of their operands, whatever `Precision` says. An
algorithm says what happens to them on every platform: which dtypes the operands are rounded to, and
which one their products are summed in. Where a platform has no such algorithm, that is a ValueError
when a program is compiled for it, or evaluated on it.
"""

from __future__ import annotations

import enum
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.core.errors import user_line


class Precision(enum.Enum):
    """How much precision compiled matrix products may give up for speed: DEFAULT, HIGH or HIGHEST.
    Evaluation by NumPy is always in full precision.

    Strings name them too: `Precision("highest")`, `Precision("bfloat16_3x")`,
    `Precision("tensorfloat32")`, ...; ValueError for strings that do not.

    >>> Precision("float32"), Precision("fastest")
    (Precision.HIGHEST, Precision.DEFAULT)
    """

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2

    @classmethod
    def _missing_(cls, value: object) -> Precision | None:
        return _PRECISION_NAMES.get(value) if isinstance(value, str) else None

    def __repr__(self) -> str:
        return f"Precision.{self.name}"

    __str__ = enum.Enum.__str__


_PRECISION_NAMES = {
    "default": Precision.DEFAULT, "fastest": Precision.DEFAULT, "bfloat16": Precision.DEFAULT,
    "high": Precision.HIGH, "bfloat16_3x": Precision.HIGH, "tensorfloat32": Precision.HIGH,
    "highest": Precision.HIGHEST, "float32": Precision.HIGHEST,
}  # fmt: skip


class DotAlgorithm(NamedTuple):
    """How a product of matrices is computed: the `precision=` of `lax.dot_general` and all that are
    made of it (StableHLO's specification, `dot_general`, has the terms).

    The operands are rounded to `lhs_precision_type` and `rhs_precision_type`, and products are
    summed in `accumulation_type`, or a wider type; the result is then converted to the dtype that
    it has without an algorithm (`preferred_element_type`, or that of the operands). With more than
    one component, operands are sums of so many numbers of the precision type, of which
    `num_primitive_operations` products are taken: that is how hardware comes near to a wider type,
    and CPUs compute in that type. `allow_imprecise_accumulation` has no effect on CPUs.

    CPUs have the algorithms of float16, bfloat16, float32 and float64. ValueError for others, for
    complex operands, and for numbers of components below 1.

    >>> import pullback.numpy as jnp
    >>> from pullback import lax
    >>> x = jnp.array([1.0, 1.001])
    >>> float(lax.dot(x, x, precision=DotAlgorithm(dtypes.bfloat16, dtypes.bfloat16, np.float32)))
    2.0
    """

    lhs_precision_type: Any
    rhs_precision_type: Any
    accumulation_type: Any
    lhs_component_count: int = 1
    rhs_component_count: int = 1
    num_primitive_operations: int = 1
    allow_imprecise_accumulation: bool = False


class DotAlgorithmPreset(enum.Enum):
    """Algorithms by name: the types of the operands and the type of sums; X3, X6 and X9 say how many
    products of components are taken. `precision=` takes their names, too.

    CPUs have none of those of 8-bit floats and of TF32 (19 bits), which are ValueErrors there. See
    `DotAlgorithm`.

    >>> DotAlgorithmPreset.F16_F16_F32.accumulation_type
    dtype('float32')
    """

    DEFAULT = 1
    ANY_F8_ANY_F8_F32 = 2
    ANY_F8_ANY_F8_F32_FAST_ACCUM = 3
    ANY_F8_ANY_F8_ANY = 4
    ANY_F8_ANY_F8_ANY_FAST_ACCUM = 5
    F16_F16_F16 = 6
    F16_F16_F32 = 7
    BF16_BF16_BF16 = 8
    BF16_BF16_F32 = 9
    BF16_BF16_F32_X3 = 10
    BF16_BF16_F32_X6 = 11
    BF16_BF16_F32_X9 = 12
    TF32_TF32_F32 = 13
    TF32_TF32_F32_X3 = 14
    F32_F32_F32 = 15
    F64_F64_F64 = 16

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"DotAlgorithmPreset.{self.name}"

    @property
    def accumulation_type(self) -> DType | None:
        """The dtype that products are summed in; None if that is left open.

        >>> DotAlgorithmPreset.BF16_BF16_F32.accumulation_type
        dtype('float32')
        """
        return None if self is DotAlgorithmPreset.DEFAULT else _of_preset(self).accumulation_type

    @property
    def supported_lhs_types(self) -> tuple[DType, ...] | None:
        """The dtypes that the left operand may have where the algorithm is the hardware's: others are
        converted to the first. None: any.

        >>> [d.name for d in DotAlgorithmPreset.BF16_BF16_F32.supported_lhs_types]
        ['bfloat16', 'float32']
        """
        return None if self is DotAlgorithmPreset.DEFAULT else _of_preset(self).stored

    @property
    def supported_rhs_types(self) -> tuple[DType, ...] | None:
        """The same of the right operand.

        >>> [d.name for d in DotAlgorithmPreset.TF32_TF32_F32.supported_rhs_types]
        ['float32']
        """
        return self.supported_lhs_types


def check_precision(name: str, precision: Any) -> None:
    """Raises ValueError for what says nothing of the precision of a matrix product."""
    if isinstance(precision, (DotAlgorithm, DotAlgorithmPreset)) or _preset(precision) is not None:
        return
    for p in precision if isinstance(precision, (tuple, list)) and len(precision) == 2 else (precision,):
        if not (p is None or isinstance(p, Precision) or (isinstance(p, str) and p.lower() in _PRECISION_NAMES)):
            raise ValueError(
                f"{name}: precision must be None, a lax.Precision, one of {sorted(_PRECISION_NAMES)} or a pair of these; a "
                f"lax.DotAlgorithm, a lax.DotAlgorithmPreset or the name of one; got {precision!r:.100}, at {user_line()}"
            )


def precision_config(precision: Any) -> str:
    """A `Precision`, its name or a pair of these, as StableHLO has it."""
    pair = precision if isinstance(precision, (tuple, list)) else (precision, precision)
    named = [Precision.DEFAULT if p is None else Precision(p.lower()) if isinstance(p, str) else p for p in pair]
    return f"[{', '.join([f'#stablehlo<precision {p.name}>' for p in named])}]"


# ---- algorithms ----------------------------------------------------------------------------------


class Algorithm(NamedTuple):
    """An algorithm in StableHLO's words: names of types, of the operands (None: their own) and of
    the sums; numbers of components and of products of these; and the dtypes that operands are stored
    in, if not in any."""

    lhs: str | None
    rhs: str | None
    sums: str | None
    components: tuple[int, int] = (1, 1)
    products: int = 1
    imprecise: bool = False
    stored: tuple[DType, ...] | None = None

    @property
    def accumulation_type(self) -> DType | None:
        """The dtype of the sums; None if that is left open."""
        return None if self.sums is None else _DTYPES[self.sums]

    def text(self, x: DType, y: DType) -> str:
        """The attribute `algorithm` of a product of operands that are stored in these dtypes."""
        from pullback.xla.text import element_type  # which comes with the compiler

        return (
            f"#stablehlo.dot_algorithm<lhs_precision_type = {self.lhs or element_type(x)}, rhs_precision_type = "
            f"{self.rhs or element_type(y)}, accumulation_type = {self.sums or 'f32'}, lhs_component_count = {self.components[0]}, "
            f"rhs_component_count = {self.components[1]}, num_primitive_operations = {self.products}, allow_imprecise_accumulation = "
            f"{str(self.imprecise).lower()}>"
        )


class Rounding(NamedTuple):
    """What a CPU does for an algorithm: the dtypes that the operands are rounded to, the one that
    they are multiplied and summed in, and the one of the sums."""

    lhs: DType
    rhs: DType
    wide: DType
    sums: DType


_DTYPES = {"f16": dtypes.float16, "bf16": dtypes.bfloat16, "f32": dtypes.float32, "f64": dtypes.float64}


def _preset(precision: Any) -> DotAlgorithmPreset | None:
    return DotAlgorithmPreset.__members__.get(precision) if isinstance(precision, str) else None


@cache
def _of_preset(preset: DotAlgorithmPreset) -> Algorithm:
    name = preset.name
    if name.startswith("ANY"):
        return Algorithm(None, None, "f32" if "F32" in name else None, imprecise=name == "ANY_F8_ANY_F8_F32_FAST_ACCUM")
    operands, _, sums, *products = name.lower().split("_")
    count = int(products[0][1:]) if products else 1
    stored: tuple[DType, ...] = (_DTYPES.get(operands, dtypes.float32),)
    if operands == "bf16":
        stored = (dtypes.bfloat16, dtypes.float32) if count == 1 else (dtypes.float32,)
    return Algorithm(operands, operands, sums, products=count, stored=stored)


def algorithm_of(precision: Any, x: DType, y: DType) -> Algorithm | None:
    """The algorithm that `precision` names, for operands of these dtypes; None if it names none.
    Raises ValueError if there is none for such operands.

    >>> algorithm_of("TF32_TF32_F32_X3", dtypes.float32, dtypes.float32).products
    3
    """
    precision = _preset(precision) or precision
    if precision is DotAlgorithmPreset.DEFAULT or not isinstance(precision, (DotAlgorithm, DotAlgorithmPreset)):
        return None
    operands = f"got {dtypes.name(x)} and {dtypes.name(y)}, at {user_line()}"
    if dtypes.is_complex(x) or dtypes.is_complex(y):
        raise ValueError(f"the precision {str(precision)!r} is for products of real numbers, {operands}")
    if isinstance(precision, DotAlgorithmPreset):
        found = _of_preset(precision)
        if found.lhs is None and not (_is_float8(x) and _is_float8(y)):
            raise ValueError(f"the precision {str(precision)!r} is for products of 8-bit floats, {operands}")
        return found
    lhs, rhs, sums = [_type_name(t, precision) for t in precision[:3]]
    if sums not in _DTYPES:
        raise ValueError(
            f"{precision}: sums are of one of {', '.join(map(dtypes.name, _DTYPES.values()))}, at {user_line()}"
        )
    if min(precision[3:6]) < 1:
        raise ValueError(
            f"the numbers of components and operations of {precision} must be at least 1, at {user_line()}"
        )
    return Algorithm(lhs, rhs, sums, precision[3:5], precision[5], bool(precision[6]))


def _is_float8(dtype: DType) -> bool:
    return dtypes.is_float(dtype) and dtypes.itemsize_bits(dtype) == 8


def _type_name(t: Any, precision: DotAlgorithm) -> str:
    from pullback.xla.text import element_type

    try:
        return element_type(np.dtype(t))
    except (TypeError, KeyError):
        raise ValueError(f"{precision}: {t!r} is no dtype, at {user_line()}") from None


def rounding_of(precision: Any, x: DType, y: DType) -> Rounding | None:
    """What a CPU does for the algorithm that `precision` names; None if it names none. Raises
    ValueError for those that CPUs do not have.

    >>> rounding_of("BF16_BF16_F32", dtypes.float32, dtypes.float32).lhs
    dtype(bfloat16)
    """
    found = algorithm_of(precision, x, y)
    if found is None:
        return None
    types = [_DTYPES.get(str(t)) for t in found[:3]]
    if any(t is None for t in types):
        raise ValueError(
            f"the precision {str(precision)!r} is not supported by dot_general on CPU, at {user_line()}: there are F16_F16_F16, "
            "F16_F16_F32, BF16_BF16_BF16, BF16_BF16_F32 (also _X3, _X6, _X9), F32_F32_F32, F64_F64_F64, and algorithms of these types"
        )
    lhs, rhs, sums = types
    # Products of 16-bit floats are exact in float32, and are summed there.
    wide = dtypes.float64 if sums == dtypes.float64 else dtypes.float32
    if max(*found.components, found.products) > 1:  # which come near to this
        lhs = rhs = wide
    return Rounding(lhs, rhs, wide, sums)  # type: ignore[arg-type]


__all__ = ["DotAlgorithm", "DotAlgorithmPreset", "Precision"]
