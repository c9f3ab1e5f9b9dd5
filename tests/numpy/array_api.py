"""The Python array API standard, version 2024.12, as tables: its names with their signatures.

Source: the standard's text, https://data-apis.org/array-api/2024.12/.
"""

from __future__ import annotations

ELEMENTWISE_1 = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_invert", "ceil", "conj", "cos", "cosh", "exp",
    "expm1", "floor", "imag", "isfinite", "isinf", "isnan", "log", "log1p", "log2", "log10", "logical_not", "negative",
    "positive", "real", "reciprocal", "round", "sign", "signbit", "sin", "sinh", "square", "sqrt", "tan", "tanh",
    "trunc",
]  # fmt: skip

ELEMENTWISE_2 = [
    "add", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "copysign",
    "divide", "equal", "floor_divide", "greater", "greater_equal", "hypot", "less", "less_equal", "logaddexp",
    "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "nextafter", "not_equal", "pow",
    "remainder", "subtract",
]  # fmt: skip

#: The functions of the namespace, by their signatures.
SIGNATURES = [
    *[f"{name}(x, /)" for name in ELEMENTWISE_1],
    *[f"{name}(x1, x2, /)" for name in ELEMENTWISE_2],
    "clip(x, /, min=None, max=None)",
    # creation
    "arange(start, /, stop=None, step=1, *, dtype=None, device=None)",
    "asarray(obj, /, *, dtype=None, device=None, copy=None)",
    "empty(shape, *, dtype=None, device=None)",
    "empty_like(x, /, *, dtype=None, device=None)",
    "eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)",
    "from_dlpack(x, /, *, device=None, copy=None)",
    "full(shape, fill_value, *, dtype=None, device=None)",
    "full_like(x, /, fill_value, *, dtype=None, device=None)",
    "linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)",
    "meshgrid(*arrays, indexing='xy')",
    "ones(shape, *, dtype=None, device=None)",
    "ones_like(x, /, *, dtype=None, device=None)",
    "tril(x, /, *, k=0)",
    "triu(x, /, *, k=0)",
    "zeros(shape, *, dtype=None, device=None)",
    "zeros_like(x, /, *, dtype=None, device=None)",
    # data types
    "astype(x, dtype, /, *, copy=True, device=None)",
    "broadcast_arrays(*arrays)",
    "broadcast_to(x, /, shape)",
    "can_cast(from_, to, /)",
    "finfo(type, /)",
    "iinfo(type, /)",
    "isdtype(dtype, kind)",
    "result_type(*arrays_and_dtypes)",
    # indexing, searching, sorting, sets
    "take(x, indices, /, *, axis=None)",
    "take_along_axis(x, indices, /, *, axis=-1)",
    "argmax(x, /, *, axis=None, keepdims=False)",
    "argmin(x, /, *, axis=None, keepdims=False)",
    "count_nonzero(x, /, *, axis=None, keepdims=False)",
    "nonzero(x, /)",
    "searchsorted(x1, x2, /, *, side='left', sorter=None)",
    "where(condition, x1, x2, /)",
    "argsort(x, /, *, axis=-1, descending=False, stable=True)",
    "sort(x, /, *, axis=-1, descending=False, stable=True)",
    "unique_all(x, /)",
    "unique_counts(x, /)",
    "unique_inverse(x, /)",
    "unique_values(x, /)",
    # linear algebra
    "matmul(x1, x2, /)",
    "matrix_transpose(x, /)",
    "tensordot(x1, x2, /, *, axes=2)",
    "vecdot(x1, x2, /, *, axis=-1)",
    "linalg.cholesky(x, /, *, upper=False)",
    "linalg.cross(x1, x2, /, *, axis=-1)",
    "linalg.det(x, /)",
    "linalg.diagonal(x, /, *, offset=0)",
    "linalg.eigh(x, /)",
    "linalg.eigvalsh(x, /)",
    "linalg.inv(x, /)",
    "linalg.matmul(x1, x2, /)",
    "linalg.matrix_norm(x, /, *, keepdims=False, ord='fro')",
    "linalg.matrix_power(x, n, /)",
    "linalg.matrix_rank(x, /, *, rtol=None)",
    "linalg.matrix_transpose(x, /)",
    "linalg.outer(x1, x2, /)",
    "linalg.pinv(x, /, *, rtol=None)",
    "linalg.qr(x, /, *, mode='reduced')",
    "linalg.slogdet(x, /)",
    "linalg.solve(x1, x2, /)",
    "linalg.svd(x, /, *, full_matrices=True)",
    "linalg.svdvals(x, /)",
    "linalg.tensordot(x1, x2, /, *, axes=2)",
    "linalg.trace(x, /, *, offset=0, dtype=None)",
    "linalg.vecdot(x1, x2, /, *, axis=-1)",
    "linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)",
    # manipulation
    "concat(arrays, /, *, axis=0)",
    "expand_dims(x, /, *, axis=0)",
    "flip(x, /, *, axis=None)",
    "moveaxis(x, source, destination, /)",
    "permute_dims(x, /, axes)",
    "repeat(x, repeats, /, *, axis=None)",
    "reshape(x, /, shape, *, copy=None)",
    "roll(x, /, shift, *, axis=None)",
    "squeeze(x, /, axis)",
    "stack(arrays, /, *, axis=0)",
    "tile(x, repetitions, /)",
    "unstack(x, /, *, axis=0)",
    # statistics and others
    "all(x, /, *, axis=None, keepdims=False)",
    "any(x, /, *, axis=None, keepdims=False)",
    "cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)",
    "cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)",
    "diff(x, /, *, axis=-1, n=1, prepend=None, append=None)",
    "max(x, /, *, axis=None, keepdims=False)",
    "mean(x, /, *, axis=None, keepdims=False)",
    "min(x, /, *, axis=None, keepdims=False)",
    "prod(x, /, *, axis=None, dtype=None, keepdims=False)",
    "std(x, /, *, axis=None, correction=0.0, keepdims=False)",
    "sum(x, /, *, axis=None, dtype=None, keepdims=False)",
    "var(x, /, *, axis=None, correction=0.0, keepdims=False)",
    # Fourier transforms
    *[
        f"fft.{name}(x, /, *, n=None, axis=-1, norm='backward')"
        for name in ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
    ],
    *[f"fft.{name}(x, /, *, s=None, axes=None, norm='backward')" for name in ["fftn", "ifftn", "rfftn", "irfftn"]],
    "fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)",
    "fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)",
    "fft.fftshift(x, /, *, axes=None)",
    "fft.ifftshift(x, /, *, axes=None)",
    # inspection
    "__array_namespace_info__()",
    "__array_namespace_info__().capabilities()",
    "__array_namespace_info__().default_device()",
    "__array_namespace_info__().default_dtypes(*, device=None)",
    "__array_namespace_info__().devices()",
    "__array_namespace_info__().dtypes(*, device=None, kind=None)",
]

#: Methods of arrays.
METHODS = [
    *[
        f"__{name}__(self, /)"
        for name in ["abs", "bool", "complex", "float", "index", "int", "invert", "neg", "pos", "dlpack_device"]
    ],
    *[f"__{name}__(self, other, /)" for name in ["eq", "ge", "gt", "le", "lt", "ne"]],
    *[
        f"__{r}{name}__(self, other, /)"
        for name in [
            "add",
            "and",
            "floordiv",
            "lshift",
            "matmul",
            "mod",
            "mul",
            "or",
            "pow",
            "rshift",
            "sub",
            "truediv",
            "xor",
        ]
        for r in ("", "r")
    ],
    "__array_namespace__(self, /, *, api_version=None)",
    "__dlpack__(self, /, *, stream=None, max_version=None, dl_device=None, copy=None)",
    "__getitem__(self, key, /)",
    "__setitem__(self, key, value, /)",
    "to_device(self, device, /, *, stream=None)",
]
ATTRIBUTES = ["dtype", "device", "mT", "ndim", "shape", "size", "T"]
CONSTANTS = {"e": 2.718281828459045, "pi": 3.141592653589793, "inf": float("inf"), "nan": float("nan"), "newaxis": None}
DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
    "complex128",
]  # fmt: skip

# ---- special cases -------------------------------------------------------------------------------

#: Of functions of one real number: "x>f(x)".
SPECIAL_1 = """
abs: nan>nan -0>0 0>0 -inf>inf inf>inf
acos: nan>nan 1.5>nan -1.5>nan inf>nan 1>0
acosh: nan>nan 0.5>nan -inf>nan 1>0 inf>inf
asin: nan>nan 1.5>nan -1.5>nan 0>0 -0>-0
asinh: nan>nan 0>0 -0>-0 inf>inf -inf>-inf
atan: nan>nan 0>0 -0>-0 inf>1.5707963267948966 -inf>-1.5707963267948966
atanh: nan>nan 1.5>nan -1.5>nan -1>-inf 1>inf 0>0 -0>-0
ceil: 3>3 nan>nan inf>inf -inf>-inf 0>0 -0>-0 -0.5>-0
cos: nan>nan 0>1 -0>1 inf>nan -inf>nan
cosh: nan>nan 0>1 -0>1 inf>inf -inf>inf
exp: nan>nan 0>1 -0>1 inf>inf -inf>0
expm1: nan>nan 0>0 -0>-0 inf>inf -inf>-1
floor: 3>3 nan>nan inf>inf -inf>-inf 0>0 -0>-0 -0.5>-1
log: nan>nan -1>nan -inf>nan 0>-inf -0>-inf 1>0 inf>inf
log1p: nan>nan -2>nan -1>-inf 0>0 -0>-0 inf>inf
log2: nan>nan -1>nan -inf>nan 0>-inf -0>-inf 1>0 inf>inf
log10: nan>nan -1>nan -inf>nan 0>-inf -0>-inf 1>0 inf>inf
negative: nan>nan 0>-0 -0>0 inf>-inf
positive: nan>nan 0>0 -0>-0 -inf>-inf
reciprocal: nan>nan 0>inf -0>-inf inf>0 -inf>-0
round: 3>3 nan>nan inf>inf -inf>-inf 0>0 -0>-0 0.5>0 1.5>2 2.5>2 -0.5>-0 -2.5>-2
sign: nan>nan -3>-1 3>1 0>0 -0>0 inf>1 -inf>-1
sin: nan>nan 0>0 -0>-0 inf>nan -inf>nan
sinh: nan>nan 0>0 -0>-0 inf>inf -inf>-inf
sqrt: nan>nan -1>nan -inf>nan 0>0 -0>-0 inf>inf
square: nan>nan -inf>inf -0>0
tan: nan>nan 0>0 -0>-0 inf>nan -inf>nan
tanh: nan>nan 0>0 -0>-0 inf>1 -inf>-1
trunc: 3>3 nan>nan inf>inf -inf>-inf 0>0 -0>-0 0.5>0 -0.5>-0
isfinite: nan>0 inf>0 -inf>0 3>1
isinf: nan>0 inf>1 -inf>1 3>0
isnan: nan>1 inf>0 3>0
signbit: 0>0 -0>1 3>0 -3>1 inf>0 -inf>1
logical_not: 0>1 -0>1 nan>0 inf>0
"""

#: Of functions of two: "x,y>f(x,y)".
SPECIAL_2 = """
add: nan,1>nan 1,nan>nan inf,-inf>nan -inf,inf>nan inf,inf>inf -inf,-inf>-inf inf,1>inf 1,-inf>-inf
add: -0,-0>-0 -0,0>0 0,-0>0 0,0>0 0,1>1 1,-0>1 1,-1>0
subtract: inf,inf>nan -0,0>-0 0,0>0 -0,-0>0 1,1>0
atan2: nan,1>nan 1,nan>nan 1,0>1.5707963267948966 1,-0>1.5707963267948966 0,1>0 0,0>0 0,-0>3.141592653589793 0,-1>3.141592653589793
atan2: -0,1>-0 -0,0>-0 -0,-0>-3.141592653589793 -0,-1>-3.141592653589793 -1,0>-1.5707963267948966 -1,-0>-1.5707963267948966
atan2: 1,inf>0 1,-inf>3.141592653589793 -1,inf>-0 -1,-inf>-3.141592653589793 inf,1>1.5707963267948966 -inf,1>-1.5707963267948966
atan2: inf,inf>0.7853981633974483 inf,-inf>2.356194490192345 -inf,inf>-0.7853981633974483 -inf,-inf>-2.356194490192345
copysign: 3,-0>-3 3,0>3 -3,0>3 0,-1>-0 nan,-1>nan inf,-3>-inf
divide: nan,1>nan inf,inf>nan inf,-inf>nan 0,0>nan 0,-0>nan 0,1>0 -0,1>-0 0,-1>-0 -0,-1>0 1,0>inf 1,-0>-inf -1,0>-inf -1,-0>inf
divide: inf,2>inf inf,-2>-inf -inf,2>-inf -inf,-2>inf 2,inf>0 2,-inf>-0 -2,inf>-0 -2,-inf>0 6,-2>-3
floor_divide: nan,1>nan 1,nan>nan inf,inf>nan -inf,inf>nan 0,0>nan -0,0>nan 0,1>0 -0,1>-0 0,-1>-0 -0,-1>0
floor_divide: 1,0>inf 1,-0>-inf -1,0>-inf -1,-0>inf 1,inf>0 1,-inf>-1 -1,inf>-1 -1,-inf>0 7,2>3 -7,2>-4 1,3>0 -1,-3>0
remainder: nan,1>nan 1,nan>nan inf,2>nan -inf,inf>nan 0,0>nan 1,0>nan -1,-0>nan 0,1>0 -0,1>0 0,-1>-0 -0,-1>-0
remainder: 1,inf>1 1,-inf>-inf -1,inf>inf -1,-inf>-1 6,3>0 -6,3>0 6,-3>-0 -6,-3>-0 7,-3>-2 -7,3>2
hypot: inf,1>inf inf,nan>inf nan,-inf>inf nan,1>nan 0,-0>0 -3,0>3 0,4>4
logaddexp: nan,1>nan 1,nan>nan inf,1>inf -inf,inf>inf
maximum: nan,1>nan 1,nan>nan inf,1>inf
minimum: nan,1>nan 1,nan>nan -inf,1>-inf
multiply: nan,1>nan inf,0>nan -0,inf>nan inf,inf>inf inf,-inf>-inf inf,-2>-inf -2,-inf>inf 0,-1>-0 -0,-1>0
nextafter: nan,1>nan 1,nan>nan 1,1>1 0,-0>-0 -0,0>0
pow: 2,nan>nan 1,nan>1 nan,0>1 nan,-0>1 nan,1>nan 2,inf>inf 2,-inf>0 -2,inf>inf 1,inf>1 -1,inf>1 -1,-inf>1 0.5,inf>0 0.5,-inf>inf
pow: inf,2>inf inf,-2>0 -inf,3>-inf -inf,2>inf -inf,-3>-0 -inf,-2>0 0,2>0 0,-2>inf -0,3>-0 -0,2>0 -0,-3>-inf -0,-2>inf -2,0.5>nan
less: nan,1>0 -0,0>0 -inf,inf>1
equal: nan,nan>0 -0,0>1 inf,inf>1
not_equal: nan,nan>1 -0,0>0
greater_equal: nan,nan>0 0,-0>1
logical_xor: nan,0>1 nan,nan>0 -0,0>0
"""

#: Of functions of a complex number: "real,imaginary>real,imaginary"; `*` where the standard says nothing of the sign.
SPECIAL_COMPLEX = """
abs: inf,nan>inf,0 nan,-inf>inf,0 nan,1>nan,0
acosh: 0,0>0,1.5707963267948966 1,inf>inf,1.5707963267948966 -inf,1>inf,3.141592653589793 inf,1>inf,0 -inf,inf>inf,2.356194490192345
acosh: inf,nan>inf,nan nan,1>nan,nan nan,inf>inf,nan nan,nan>nan,nan
asinh: 0,0>0,0 1,inf>inf,1.5707963267948966 inf,1>inf,0 inf,inf>inf,0.7853981633974483 inf,nan>inf,nan nan,0>nan,0 nan,inf>*inf,nan
atanh: 0,0>0,0 0,nan>0,nan 1,0>inf,0 1,inf>0,1.5707963267948966 1,nan>nan,nan inf,1>0,1.5707963267948966 inf,nan>0,nan nan,1>nan,nan
atanh: nan,inf>*0,1.5707963267948966 nan,nan>nan,nan
cosh: 0,0>1,0 0,inf>nan,*0 0,nan>nan,*0 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 inf,1>inf,inf inf,inf>*inf,nan inf,nan>inf,nan nan,0>nan,*0
exp: 0,0>1,0 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 -inf,1>0,0 inf,1>inf,inf -inf,inf>*0,*0 inf,inf>*inf,nan -inf,nan>*0,*0 inf,nan>*inf,nan
exp: nan,0>nan,0 nan,1>nan,nan nan,nan>nan,nan
expm1: 0,0>0,0 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 -inf,1>-1,0 inf,1>inf,inf -inf,inf>-1,*0 inf,inf>*inf,nan -inf,nan>-1,*0
expm1: inf,nan>*inf,nan nan,0>nan,0 nan,1>nan,nan nan,nan>nan,nan
log: -0,0>-inf,3.141592653589793 0,0>-inf,0 1,inf>inf,1.5707963267948966 1,nan>nan,nan -inf,1>inf,3.141592653589793 inf,1>inf,0
log: -inf,inf>inf,2.356194490192345 inf,inf>inf,0.7853981633974483 inf,nan>inf,nan nan,1>nan,nan nan,inf>inf,nan nan,nan>nan,nan
log1p: -1,0>-inf,0 1,inf>inf,1.5707963267948966 1,nan>nan,nan -inf,1>inf,3.141592653589793 inf,1>inf,0 -inf,inf>inf,2.356194490192345
log1p: inf,inf>inf,0.7853981633974483 inf,nan>inf,nan nan,1>nan,nan nan,inf>inf,nan nan,nan>nan,nan
log2: 0,0>-inf,0 inf,1>inf,0 nan,inf>inf,nan
log10: 0,0>-inf,0 inf,1>inf,0 nan,inf>inf,nan
sinh: 0,0>0,0 0,inf>*0,nan 0,nan>*0,nan 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 inf,1>inf,inf inf,inf>*inf,nan inf,nan>*inf,nan nan,0>nan,0
sqrt: 0,0>0,0 1,inf>inf,inf nan,inf>inf,inf 1,nan>nan,nan -inf,1>0,inf inf,1>inf,0 -inf,nan>nan,*inf inf,nan>inf,nan nan,nan>nan,nan
tanh: 0,0>0,0 1,inf>nan,nan 0,inf>0,nan 1,nan>nan,nan 0,nan>0,nan inf,1>1,0 inf,inf>1,*0 inf,nan>1,*0 nan,0>nan,0 nan,1>nan,nan nan,nan>nan,nan
"""


def special_cases(table: str) -> dict[str, tuple[list[str], list[str]]]:
    """By function: arguments and results, as texts."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for line in table.strip().splitlines():
        name, _, cases = line.partition(": ")
        for case in cases.split():
            argument, _, result = case.partition(">")
            for part, text in zip(found.setdefault(name, ([], [])), (argument, result)):
                part.append(text)
    return found
