"""Rows of `lax/elementwise.py`, and of the arithmetic in `lax/family.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import elementwise as table
from pullback.lax import functions as lax
from pullback.lax.family import add_p, mul_p
from tests.conformance.table import Row, sample

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-8, 800.0, -800.0, np.inf, -np.inf, np.nan])
COMPLEX_SPECIAL = np.array([0, 1, -1, 1j, -2 + 0j, 1e-9 + 1e-9j, 90 + 3j, complex(np.inf, 0), complex(np.nan, 1)])
# Every pair of special values.
LEFT, RIGHT = (v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
INTEGERS = np.array([0, 1, -1, 2, 3, -7, 31, 32, 33, 100, 127, -128])
NATURALS = np.array([0, 1, 2, 3, 7, 8, 31, 32, 33, 100, 127, 255])
INT4 = np.arange(-8, 8).astype(ml_dtypes.int4)
FLAGS = np.array([True, True, False, False])
ROWS: list[Row] = []


def pairs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of elements."""
    a, b = np.meshgrid(x, x)
    return a.ravel(), b.ravel()


# ---- functions of one operand -----------------------------------------------------------------------------------
# (name, low, high, whether complex operands are taken)

for name, low, high, of_complex in (
    ("exp", -2, 2, True), ("exp2", -2, 2, True), ("expm1", -2, 2, True), ("log", 0.3, 3, True), ("log2", 0.3, 3, True), ("log1p", -0.7, 3, True),
    ("logistic", -3, 3, True), ("sqrt", 0.3, 3, True), ("rsqrt", 0.3, 3, True), ("cbrt", 0.3, 3, False),
    ("sin", -3, 3, True), ("cos", -3, 3, True), ("tan", -1.2, 1.2, True), ("asin", -0.8, 0.8, True),
    ("acos", -0.8, 0.8, True), ("atan", -2, 2, True), ("sinh", -2, 2, True), ("cosh", -2, 2, True), ("tanh", -2, 2, True),
    ("asinh", -2, 2, True), ("acosh", 1.4, 3, True), ("atanh", -0.7, 0.7, True), ("neg", -2, 2, True),
    ("square", -2, 2, True), ("one_minus_square", -2, 2, True), ("abs", 0.5, 2, True), ("sign", 0.5, 2, True), ("floor", 0.1, 0.9, False),
    ("ceil", 0.1, 0.9, False),
):  # fmt: skip
    function = getattr(lax, name)
    x = sample((2, 3), low=low, high=high)
    ROWS += [
        Row(name, "float64", function, (x,)),
        Row(name, "scalar", function, (np.asarray(x[0, 0]),)),
        Row(name, "float32", function, (x.astype(np.float32),), tol=1e-2, order=1),
        Row(name, "float16", function, (x.astype(np.float16),), order=0),
        Row(name, "bfloat16", function, (x.astype(ml_dtypes.bfloat16),), order=0),
        Row(name, "float8", function, (x.astype(ml_dtypes.float8_e4m3fn),), order=0),
        Row(name, "special", function, (SPECIAL,), order=0),
        Row(name, "empty", function, (np.zeros((0, 2)),), order=1),
    ]
    if of_complex:
        ROWS += [
            Row(name, "complex", function, (sample((2, 3), np.complex128, low=0.3, high=1.2),), tol=1e-4),
            Row(name, "complex64", function, (sample((2, 3), np.complex64, low=0.3, high=1.2),), order=0),
            Row(name, "complex-special", function, (COMPLEX_SPECIAL,), order=0, vmap=False, note="scaling moves zeros"),
        ]
for name in ("neg", "square", "abs", "sign"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "int8", function, (INTEGERS.astype(np.int8),), order=0),
        Row(name, "int4", function, (INT4,), order=0),
    ]
    if name != "abs":
        ROWS.append(Row(name, "uint8", function, (NATURALS.astype(np.uint8),), order=0))

ROWS += [
    Row("abs", "negative", lax.abs, (np.array([-0.5, -3.0, 2.0]),)),
    Row("acosh", "complex-left", lax.acosh, (np.array([-2 + 1j, -0.5 - 2j, 0.3 + 0.1j]),)),
    Row("log1p", "complex-small", lax.log1p, (np.array([1e-9 + 1e-9j, 1e-3j, -0.3 + 0.1j]),)),
    Row("expm1", "complex-small", lax.expm1, (np.array([1e-9 + 1e-9j, 1e-3j, -0.3 + 0.1j]),)),
    Row("is_finite", "float64", lax.is_finite, (SPECIAL,), order=0),
    Row("is_finite", "bfloat16", lax.is_finite, (SPECIAL.astype(ml_dtypes.bfloat16),), order=0),
    Row("round", "away", lambda x: lax.round(x), (np.array([0.4, 0.6, -1.2]),), order=1),
    Row(
        "round",
        "even",
        lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
        (np.array([0.4, 0.6, -1.2]),),
        order=1,
    ),
    Row("round", "away-special", lambda x: lax.round(x), (SPECIAL,), order=0),
    Row("round", "even-special", lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), (SPECIAL,), order=0),
    Row("round", "float16", lambda x: lax.round(x), (SPECIAL.astype(np.float16),), order=0),
]

for y in (0, 1, 2, 3, 4, 7, -1, -2, -3):
    function = lambda x, y=y: lax.integer_pow(x, y)
    ROWS += [
        Row("integer_pow", f"{y}", function, (np.array([0.5, -1.5, 2.0]),)),
        Row("integer_pow", f"{y}-complex", function, (sample((3,), np.complex128, low=0.5, high=1.2),), tol=1e-4),
        Row("integer_pow", f"{y}-special", function, (SPECIAL,), order=0),
        Row("integer_pow", f"{y}-bfloat16", function, (SPECIAL.astype(ml_dtypes.bfloat16),), order=0),
    ]
    if y >= 0:
        ROWS.append(Row("integer_pow", f"{y}-int8", function, (INTEGERS.astype(np.int8),), order=0))

# ---- functions of two operands ----------------------------------------------------------------------------------

X, Y = sample((2, 3), low=0.4, high=1.9), sample((2, 3), low=0.4, high=1.9, seed=7)
ZX, ZY = sample((2, 3), np.complex128, low=0.4, high=1.2), sample((2, 3), np.complex128, low=0.4, high=1.2, seed=7)

for name, of_complex, of_integers in (
    ("add", True, True), ("sub", True, True), ("mul", True, True), ("div", True, True), ("rem", False, True),
    ("pow", True, False), ("max", True, True), ("min", True, True), ("atan2", True, False), ("nextafter", False, False),
):  # fmt: skip
    function = getattr(lax, name)
    ROWS += [
        Row(name, "float64", function, (X, Y)),
        Row(name, "scalar-left", function, (np.asarray(0.7), Y)),
        Row(name, "scalar-right", function, (X, np.asarray(0.7))),
        Row(name, "stretched", function, (X[:, :1], Y)),
        Row(name, "float32", function, (X.astype(np.float32), Y.astype(np.float32)), tol=1e-2, order=1),
        Row(name, "float16", function, (X.astype(np.float16), Y.astype(np.float16)), order=0),
        Row(name, "bfloat16", function, (X.astype(ml_dtypes.bfloat16), Y.astype(ml_dtypes.bfloat16)), order=0),
        Row(name, "special", function, (LEFT, RIGHT), order=0),
        Row(name, "empty", function, (np.zeros((0, 2)), np.zeros((0, 2))), order=1 if name in ("add", "sub") else 0),
    ]
    if of_complex:
        ROWS.append(Row(name, "complex", function, (ZX, ZY), tol=1e-4))
        ROWS.append(
            Row(
                name,
                "complex-special",
                function,
                pairs(COMPLEX_SPECIAL),
                order=0,
                vmap=False,
                compiled=name != "pow",
                note="scaling moves zeros; complex powers of and to 0 and infinity have no one value",
            )
        )
    if of_integers:
        ROWS += [
            Row(name, "int8", function, pairs(INTEGERS.astype(np.int8)), order=0),
            Row(name, "uint8", function, pairs(NATURALS.astype(np.uint8)), order=0),
            Row(name, "int64", function, pairs(np.array([0, 1, -1, 2, 7, -(2**63), 2**63 - 1])), order=0),
            Row(name, "int4", function, pairs(INT4), order=0),
        ]

ROWS += [
    Row("add", "bool", lambda x, y: add_p.bind(x, y), (FLAGS, FLAGS[[0, 2, 1, 3]]), order=0),
    Row("mul", "bool", lambda x, y: mul_p.bind(x, y), (FLAGS, FLAGS[[0, 2, 1, 3]]), order=0),
    Row("max", "bool", lax.max, (FLAGS, FLAGS[[0, 2, 1, 3]]), order=0),
    Row("rem", "negative", lax.rem, (np.array([5.3, -5.3, 5.3]), np.array([2.0, 2.0, -2.0]))),
    Row("atan2", "quadrants", lax.atan2, (np.array([1.0, 1.0, -1.0, -2.0]), np.array([0.5, -0.5, -0.5, 0.5]))),
    Row(
        "pow",
        "integer-exponents",
        lax.pow,
        (np.array([-2.0, 0.5, -1.5, 2.0, 3.0]), np.array([3, 2, 1, -2, 0], np.int32)),
    ),
    Row("pow", "unsigned-exponents", lax.pow, (np.array([-2.0, 0.5, 3.0]), np.array([3, 1, 0], np.uint8))),
    Row("pow", "complex-integer-exponents", lax.pow, (ZX, np.array([[3, 2, 1], [-2, 0, 4]])), tol=1e-4),
    Row(
        "pow",
        "integer-special",
        lax.pow,
        (np.repeat(SPECIAL, 5), np.tile([0, 1, -1, 3, 2], len(SPECIAL)).astype(np.int32)),
        order=0,
    ),
    Row(
        "pow", "float32-integers", lax.pow, (X.astype(np.float32), np.array([[3, 2, 1], [-2, 0, 4]], np.int8)), order=0
    ),
    Row("pow", "of-integers", lambda x, y: table.pow_p.bind(x, y), pairs(INTEGERS.astype(np.int8)), order=0),
]

LOW, HIGH = np.array([-1.0, 0.3, 0.5]), np.array([1.0, 0.8, 0.6])
ROWS += [
    Row("clamp", "between", lax.clamp, (LOW, np.array([0.2, 0.1, 0.9]), HIGH)),
    Row("clamp", "scalars", lax.clamp, (np.asarray(-0.5), X - 1, np.asarray(0.5))),
    Row("clamp", "special", lax.clamp, (LEFT, RIGHT, RIGHT[::-1].copy()), order=0),
    Row(
        "clamp",
        "int8",
        lax.clamp,
        (np.int8(-3).reshape(()), INTEGERS.astype(np.int8), np.int8(40).reshape(())),
        order=0,
    ),
    Row("clamp", "int4", lax.clamp, (np.full(16, -3, ml_dtypes.int4), INT4, np.full(16, 2, ml_dtypes.int4)), order=0),
    Row("clamp", "bool", lax.clamp, (FLAGS, FLAGS[[0, 2, 1, 3]], FLAGS[[1, 0, 2, 3]]), order=0),
]

# ---- comparison -------------------------------------------------------------------------------------------------

for name in ("eq", "ne", "lt", "le", "gt", "ge"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "special", function, (LEFT, RIGHT), order=0),
        Row(name, "bfloat16", function, (LEFT.astype(ml_dtypes.bfloat16), RIGHT.astype(ml_dtypes.bfloat16)), order=0),
        Row(name, "int8", function, pairs(INTEGERS.astype(np.int8)), order=0),
        Row(name, "int4", function, pairs(INT4), order=0),
        Row(name, "bool", function, (FLAGS, FLAGS[[0, 2, 1, 3]]), order=0),
    ]
ROWS.append(Row("eq", "complex", lax.eq, pairs(COMPLEX_SPECIAL), order=0))

# ---- bits -------------------------------------------------------------------------------------------------------

for name in ("and", "or", "xor"):
    function = getattr(lax, f"bitwise_{name}")
    ROWS += [
        Row(name, "int8", function, pairs(INTEGERS.astype(np.int8)), order=0),
        Row(name, "int4", function, pairs(INT4), order=0),
        Row(name, "bool", function, (FLAGS, FLAGS[[0, 2, 1, 3]]), order=0),
    ]
ROWS += [
    Row("not", "int8", lax.bitwise_not, (INTEGERS.astype(np.int8),), order=0),
    Row("not", "uint4", lax.bitwise_not, (np.arange(16).astype(ml_dtypes.uint4),), order=0),
    Row("not", "bool", lax.bitwise_not, (FLAGS,), order=0),
]
for name in ("shift_left", "shift_right_logical", "shift_right_arithmetic", "mulhi"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "int32", function, pairs(np.append(INTEGERS, [2**31 - 1, -(2**31)]).astype(np.int32)), order=0),
        Row(name, "int8", function, pairs(INTEGERS.astype(np.int8)), order=0),
        Row(name, "uint8", function, pairs(NATURALS.astype(np.uint8)), order=0),
        Row(name, "uint64", function, pairs(np.array([0, 1, 63, 64, 2**64 - 1], np.uint64)), order=0),
        Row(name, "int64", function, pairs(np.array([0, 1, 63, 64, -1, -(2**63)])), order=0),
        Row(name, "int4", function, pairs(INT4), order=0),
    ]
for name in ("population_count", "clz"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "int32", function, (np.append(INTEGERS, [2**31 - 1, -(2**31)]).astype(np.int32),), order=0),
        Row(name, "uint64", function, (np.array([0, 1, 2**63, 2**64 - 1], np.uint64),), order=0),
        Row(name, "int8", function, (INTEGERS.astype(np.int8),), order=0),
        Row(name, "uint4", function, (np.arange(16).astype(ml_dtypes.uint4),), order=0),
    ]

# ---- complex parts ----------------------------------------------------------------------------------------------

for name in ("real", "imag", "conj"):
    function = getattr(lax, name)
    ROWS += [
        Row(name, "complex128", function, (ZX,)),
        Row(name, "complex64", function, (ZX.astype(np.complex64),), tol=1e-2),
        Row(name, "special", function, (COMPLEX_SPECIAL,), order=0),
    ]
ROWS += [
    Row("complex", "float64", lax.complex, (X, Y)),
    Row("complex", "scalar", lax.complex, (np.asarray(0.5), Y)),
    Row("complex", "float32", lax.complex, (X.astype(np.float32), Y.astype(np.float32)), tol=1e-2),
    Row("complex", "special", lax.complex, (LEFT, RIGHT), order=0),
]
