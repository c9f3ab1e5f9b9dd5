"""The array API standard, 2024.12, in a session of 64 bits: names, signatures, special cases, dtypes and results.

Where the standard contradicts NumPy, NumPy's value is ours; `docs/differences.md` lists what the standard asks and Pullback does otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core import dtypes
from tests.numpy import array_api as standard
from tests.numpy.array_api import special_cases

NAN = float("nan")


@pytest.fixture(autouse=True)
def in_64_bits() -> Iterator[None]:
    with pb.enable_x64(True):
        yield


# ---- names and signatures ------------------------------------------------------------------------

#: Defaults that mean the same: None is 1, False, 0 or "backward" there.
SAME_DEFAULTS = {("step", 1), ("keepdims", False), ("correction", 0.0), ("norm", "backward")}


def signature(text: str) -> tuple[str, inspect.Signature]:
    name, _, parameters = text.rpartition("(")
    made: dict[str, Any] = {}
    exec(f"def f({parameters}: ...", made)
    return name, inspect.signature(made["f"])


def problems(ours: inspect.Signature, theirs: inspect.Signature) -> Iterator[str]:
    """What calls that the standard has do not fit."""
    kind = inspect.Parameter
    own = ours.parameters
    places = [p for p in own.values() if p.kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)]
    several = any(p.kind is kind.VAR_POSITIONAL for p in own.values())
    for i, p in enumerate(theirs.parameters.values()):
        if p.kind is kind.VAR_POSITIONAL:
            if not several:
                yield f"*{p.name}"
            continue
        found: Any = None
        if p.kind is not kind.KEYWORD_ONLY and not several:
            if i >= len(places):
                yield f"{p.name} by position"
                continue
            found = places[i]
        if p.kind is not kind.POSITIONAL_ONLY:
            if found is not None and found.name != p.name:
                yield f"{p.name} is called {found.name}"
            found = own.get(p.name)
            if found is None or found.kind is kind.POSITIONAL_ONLY:
                yield f"{p.name} by name"
                continue
        if found is not None and p.default is not kind.empty:
            same = found.default == p.default or (found.default is None and (p.name, p.default) in SAME_DEFAULTS)
            if not same and (p.name, found.default) != ("copy", False):
                yield f"{p.name}={found.default!r}, not {p.default!r}"
    needed = [p.name for p in own.values() if p.default is kind.empty and p.kind.value < kind.VAR_POSITIONAL.value]
    if len(needed) > sum(p.default is kind.empty for p in theirs.parameters.values()):
        yield f"needs {needed}"


def test_every_function_has_the_standards_signature() -> None:
    wrong = []
    for text in standard.SIGNATURES:
        name, theirs = signature(text)
        function = eval(f"jnp.{name}", {"jnp": jnp})
        wrong += [f"{name}: {problem}" for problem in problems(inspect.signature(function), theirs)]
    for text in standard.METHODS:
        name, theirs = signature(text)
        wrong += [
            f"{name}: {problem}" for problem in problems(inspect.signature(getattr(type(jnp.ones(3)), name)), theirs)
        ]
    assert not wrong
    assert all(hasattr(jnp.ones((3, 3)), name) for name in standard.ATTRIBUTES)
    assert all(getattr(jnp, name) is value or getattr(jnp, name) == value or name == "nan" for name, value in standard.CONSTANTS.items())  # fmt: skip


def test_namespace() -> None:
    x = jnp.ones(3)
    assert jnp.__array_api_version__ == "2024.12"
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is jnp
    info = jnp.__array_namespace_info__()
    assert info.default_device() == x.device and x.device in info.devices()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_dtypes(device=x.device) == {
        "real floating": jnp.float64, "complex floating": jnp.complex128, "integral": jnp.int64, "indexing": jnp.int64,
    }  # fmt: skip
    assert list(info.dtypes()) == standard.DTYPES
    assert list(info.dtypes(kind=("unsigned integer", "bool"))) == ["bool", "uint8", "uint16", "uint32", "uint64"]
    with pb.enable_x64(False):
        assert list(info.dtypes(kind="real floating")) == ["float32"]
        assert info.default_dtypes()["integral"] == jnp.int32
    with pytest.raises(ValueError, match="unrecognized kind"):
        info.dtypes(kind="whole")
    with pytest.raises(ValueError, match="no device"):
        info.dtypes(device="here")
    for dtype, fields in (("float32", ("float32", 32)), ("complex128", ("float64", 64))):
        limits = jnp.finfo(dtype)
        assert (limits.dtype, limits.bits) == fields and limits.min == -limits.max
        assert 0 < float(limits.smallest_normal) < float(limits.eps)
    assert jnp.iinfo(jnp.uint8).max == 255 and jnp.iinfo("int16").dtype == np.int16
    assert int(jnp.sum(jnp.ones((1,) * 64, int))) == 1


# ---- special cases -------------------------------------------------------------------------------


def matches(ours: Any, theirs: np.ndarray) -> np.ndarray:
    """Which numbers are equal, zeros with their signs, NaNs whatever theirs."""
    ours = np.asarray(ours).astype(theirs.dtype)
    near = np.isclose(ours, theirs, rtol=1e-6, atol=0, equal_nan=True)
    return near & (np.isnan(theirs) | (np.signbit(ours) == np.signbit(theirs)))


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([[float(part) for part in text.split(",")] for text in texts]).T


@pytest.mark.filterwarnings("ignore")
def test_special_cases_of_real_functions() -> None:
    """In float32 and float64, in eager code and compiled."""
    tables = special_cases(standard.SPECIAL_1) | special_cases(standard.SPECIAL_2)
    assert {n for n in standard.ELEMENTWISE_1 if not n.startswith("bitwise")} - set(tables) == {"conj", "imag", "real"}

    def all_of_them(arguments: Any) -> Any:
        return {name: getattr(jnp, name)(*xs) for name, xs in arguments.items()}

    wrong = []
    for dtype in (np.float32, np.float64):
        arguments = {name: list(map(jnp.asarray, numbers(xs).astype(dtype))) for name, (xs, _) in tables.items()}
        for results in (all_of_them(arguments), pb.jit(all_of_them)(arguments)):
            for name, (xs, expected) in tables.items():
                assert results[name].dtype in (dtype, bool), name
                fits = matches(results[name], numbers(expected)[0])
                wrong += [(dtype.__name__, name, xs[i], float(results[name][i])) for i in np.flatnonzero(~fits)]
    assert not wrong


@pytest.mark.filterwarnings("ignore")
def test_special_cases_of_complex_functions() -> None:
    """In eager code: the compiler's own expansions of these functions have other values at some infinities."""
    wrong = []
    for name, (texts, expected) in special_cases(standard.SPECIAL_COMPLEX).items():
        points = numbers(texts)
        wanted = np.array([[float(part.strip("*")) for part in text.split(",")] for text in expected]).T
        unsigned = np.array([["*" in part for part in text.split(",")] for text in expected]).T
        symmetric = ~(np.isnan(wanted).any(0) | unsigned.any(0)) if name != "abs" else np.zeros(len(texts), bool)
        for dtype in (np.complex64, np.complex128):
            z = np.empty(len(texts), dtype)
            z.real, z.imag = points
            out = np.asarray(getattr(jnp, name)(jnp.asarray(z)))
            assert out.dtype == (dtype if name != "abs" else dtypes.to_real(z.dtype)), name
            for part, value, free in zip((out.real, out.imag), wanted, unsigned):
                fits = matches(np.where(free, np.abs(part), part), np.where(free, np.abs(value), value))
                wrong += [(name, texts[i], complex(out[i]), expected[i]) for i in np.flatnonzero(~fits)]
            conjugate = np.asarray(getattr(jnp, name)(jnp.asarray(z.conj())))
            wrong += [(name, "conj", texts[i]) for i in np.flatnonzero(symmetric & (conjugate != out.conj()))]
    assert not wrong


@pytest.mark.filterwarnings("ignore")
def test_special_cases_of_reductions() -> None:
    nothing, holes = jnp.zeros((0, 2)), jnp.asarray([1.0, np.nan, 3.0])
    results = {
        "sum": (jnp.sum(nothing, axis=0), [0, 0]), "prod": (jnp.prod(nothing, axis=0), [1, 1]), "mean": (jnp.mean(nothing, axis=0), [NAN, NAN]),
        "any": (jnp.any(nothing), False), "all": (jnp.all(nothing), True), "all of no axes": (jnp.all(holes, axis=()), [True, True, True]),
        "NaN": ([f(holes) for f in (jnp.sum, jnp.prod, jnp.mean, jnp.max, jnp.min, jnp.std, jnp.var)], [NAN] * 7),
        "corrected": ([f(holes[:1], correction=1) for f in (jnp.var, jnp.std)], [NAN, NAN]),
        "prefixes": (jnp.cumulative_sum(holes, include_initial=True), [0, 1, NAN, NAN]),
        "of infinities": (jnp.sum(jnp.asarray([np.inf, -np.inf])), NAN),
    }  # fmt: skip
    for name, (ours, theirs) in results.items():
        np.testing.assert_array_equal(np.asarray(ours), theirs, err_msg=name)
    for f in (jnp.max, jnp.min, jnp.argmax, jnp.argmin):
        assert f(nothing, axis=1).shape == (0,)
        with pytest.raises(ValueError, match=r"empty|zero-size"):
            f(nothing)


# ---- dtypes --------------------------------------------------------------------------------------

#: The standard's tables of type promotion, whose rows are columns, too; "-" is not defined there.
PROMOTION = {
    "int8 int16 int32 int64": "i1 i2 i4 i8/i2 i2 i4 i8/i4 i4 i4 i8/i8 i8 i8 i8",
    "uint8 uint16 uint32 uint64": "u1 u2 u4 u8/u2 u2 u4 u8/u4 u4 u4 u8/u8 u8 u8 u8",
    "float32 float64 complex64 complex128": "f4 f8 c8 c16/f8 f8 c16 c16/c8 c16 c8 c16/c16 c16 c16 c16",
    "int8 uint8 int16 uint16 int32 uint32 int64": (
        "i1 i2 i2 i4 i4 i8 i8/i2 u1 i2 u2 i4 u4 i8/i2 i2 i2 i4 i4 i8 i8/i4 u2 i4 u2 i4 u4 i8/i4 i4 i4 i4 i4 i8 i8/i8 u4 i8 u4 i8 u4 i8/"
        "i8 i8 i8 i8 i8 i8 i8"
    ),
    "bool": "?",
}


def test_promotion() -> None:
    for names, table in PROMOTION.items():
        types = names.split()
        for a, row in zip(types, table.split("/"), strict=True):
            for b, expected in zip(types, row.split(), strict=True):
                x, y = jnp.ones(2, a), jnp.ones((), b)
                assert jnp.result_type(a, b) == jnp.result_type(x, b) == np.dtype(expected), (a, b)
                if a != "bool":
                    assert (
                        (x + y).dtype
                        == jnp.where(True, x, y).dtype
                        == jnp.concat([x, y[None]]).dtype
                        == np.dtype(expected)
                    )
                assert jnp.maximum(x, y).dtype == np.dtype(expected)
    scalars = {"b": [True], "i": [True, 1], "u": [True, 1], "f": [True, 1, 1.0], "c": [True, 1, 1.0, 1j]}
    for name in standard.DTYPES:
        x = jnp.ones(2, name)
        for scalar in scalars[x.dtype.kind]:
            assert jnp.result_type(x, scalar) == x.dtype, (name, scalar)
            if name != "bool":
                assert (x * scalar).dtype == (scalar * x).dtype == jnp.add(scalar, x).dtype == x.dtype, (name, scalar)


def test_questions_about_dtypes() -> None:
    kinds = {
        "bool": "?", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f", "complex floating": "c",
        "numeric": "iufc",
    }  # fmt: skip
    for name in standard.DTYPES:
        dtype = jnp.dtype(name)
        for kind, characters in kinds.items():
            is_it = (dtype.kind if dtype.kind != "b" else "?") in characters
            assert jnp.isdtype(dtype, kind) is is_it and jnp.isdtype(dtype, (kind,)) is is_it, (name, kind)
        assert jnp.isdtype(dtype, getattr(jnp, name if name != "bool" else "bool_"))
        assert jnp.can_cast(jnp.ones(2, dtype), dtype) and jnp.can_cast(dtype, "complex128")
    assert not jnp.can_cast("float64", "float32") and not jnp.can_cast(jnp.int64, jnp.uint64)
    assert jnp.astype(jnp.ones(2), "int8").dtype == np.int8
    x = jnp.ones(2)
    assert jnp.astype(x, "float64", copy=False) is x and jnp.astype(x, "float32", device=x.device).dtype == np.float32


def test_dtypes_of_results() -> None:
    """Of reductions, prefixes and traces: at least the default integer, of the same signedness. Others keep the dtype."""
    for name in standard.DTYPES[1:]:
        x = jnp.ones((2, 2), name)
        wide = {"i": np.int64, "u": np.uint64}.get(x.dtype.kind, x.dtype)
        sums = [
            jnp.sum(x),
            jnp.prod(x),
            jnp.linalg.trace(x),
            jnp.cumulative_sum(x, axis=0),
            jnp.cumulative_prod(x, axis=0),
        ]
        assert {y.dtype for y in sums} == {np.dtype(wide)}, name
        assert jnp.sum(x, dtype="float32").dtype == jnp.cumulative_sum(x, axis=1, dtype="float32").dtype == np.float32
        kept = [
            jnp.clip(x, 0, 1) if x.dtype.kind != "c" else x,
            jnp.square(x),
            jnp.diff(x),
            jnp.negative(x),
            jnp.round(x),
            jnp.positive(x),
        ]
        assert {y.dtype for y in kept} == {x.dtype}, name
        if x.dtype.kind in "fc":
            real = dtypes.to_real(x.dtype)
            assert jnp.mean(x).dtype == jnp.linalg.det(x).dtype == jnp.exp(x).dtype == x.dtype
            assert {
                y.dtype
                for y in (jnp.abs(x), jnp.real(x), jnp.imag(x), jnp.linalg.vector_norm(x), jnp.linalg.svdvals(x))
            } == {real}
            forward = jnp.fft.fft(x) if x.dtype.kind == "c" else jnp.fft.rfft(x)
            assert forward.dtype == dtypes.to_complex(real) and jnp.fft.irfft(x).dtype == jnp.fft.hfft(x).dtype == real
    assert jnp.fft.fftfreq(5, d=0.5, dtype="float32").dtype == np.float32
    assert jnp.fft.rfftfreq(5, device=jnp.ones(1).device).tolist() == [0.0, 0.2, 0.4]
    assert {f(jnp.ones(3)).dtype for f in (jnp.argmax, jnp.argsort, jnp.count_nonzero)} == {np.dtype(np.int64)}


# ---- functions of whole arrays -------------------------------------------------------------------


def test_results() -> None:
    x = jnp.arange(6).reshape(2, 3)
    places = jnp.asarray([2, 0])
    results = {
        "arange": (jnp.arange(5, 1, -2), [5, 3]),
        "arange of nothing": (jnp.arange(5, 1), []),
        "linspace": (jnp.linspace(0, 1, 4, endpoint=False), [0, 0.25, 0.5, 0.75]),
        "linspace of one": (jnp.linspace(3, 4, num=1), [3]),
        "eye": (jnp.eye(2, 3, k=-1), [[0, 0, 0], [1, 0, 0]]),
        "tril": (jnp.tril(x, k=-1), [[0, 0, 0], [3, 0, 0]]),
        "expand_dims": (jnp.expand_dims(x), [[[0, 1, 2], [3, 4, 5]]]),
        "flip": (jnp.flip(x, axis=(0, 1)), [[5, 4, 3], [2, 1, 0]]),
        "roll": (jnp.roll(x, (1, -1), axis=(0, 1)), [[4, 5, 3], [1, 2, 0]]),
        "repeat": (jnp.repeat(x, jnp.asarray([1, 2]), axis=0), [[0, 1, 2], [3, 4, 5], [3, 4, 5]]),
        "tile": (jnp.tile(places, (2, 2)), [[2, 0, 2, 0]] * 2),
        "unstack": (jnp.unstack(x, axis=1)[1], [1, 4]),
        "concat": (jnp.concat([x, x[:1]], axis=None), [0, 1, 2, 3, 4, 5, 0, 1, 2]),
        "take": (jnp.take(x, places, axis=1), [[2, 0], [5, 3]]),
        "take_along_axis": (jnp.take_along_axis(x, jnp.asarray([[1], [-1]])), [[1], [5]]),
        "argsort": (jnp.argsort(jnp.asarray([1, 0, 1, 0]), descending=True, stable=True), [0, 2, 1, 3]),
        "sort": (jnp.sort(x, axis=0, descending=True), [[3, 4, 5], [0, 1, 2]]),
        "argmax": (jnp.argmax(x, axis=1, keepdims=True), [[2], [2]]),
        "count_nonzero": (jnp.count_nonzero(x, axis=1, keepdims=True), [[2], [3]]),
        "searchsorted": (jnp.searchsorted(jnp.asarray([3, 1, 2]), places, side="right", sorter=jnp.asarray([1, 2, 0])), [2, 0]),
        "where": (jnp.where(x > 2, x, -1), [[-1, -1, -1], [3, 4, 5]]),
        "nonzero": (jnp.nonzero(x > 3)[1], [1, 2]),
        "diff": (jnp.diff(places, n=2, prepend=places[:1], append=places), [-2, 4, -4]),
        "std": (jnp.std(jnp.asarray([1.0, 2.0, 3.0]), correction=1.0), 1.0),
        "matmul": (x @ x.T, [[5, 14], [14, 50]]),
        "vecdot": (jnp.vecdot(x + 1j, x, axis=-1), [5 - 3j, 50 - 12j]),
        "tensordot": (jnp.tensordot(x, x, axes=((1,), (1,))), [[5, 14], [14, 50]]),
        "mT": (x[None].mT, [[[0, 3], [1, 4], [2, 5]]]),
        "mask": (x[x > 3], [4, 5]),
        "index": (x[None, ..., ::-2], [[[2, 0], [5, 3]]]),
        "array index": (x[places - 1, jnp.asarray([0, 1])], [3, 4]),
    }  # fmt: skip
    for name, (ours, theirs) in results.items():
        np.testing.assert_array_equal(np.asarray(ours), theirs, err_msg=name)
    scalars = [bool(x[0, 1]), int(x[1, 0]), float(x[1, 1]), complex(x[1, 2]), x[0, 2].__index__()]
    assert scalars == [True, 3, 4.0, 5 + 0j, 2] and [type(s) for s in scalars] == [bool, int, float, complex, int]
    assert isinstance(jnp.meshgrid(x[0]), list) and isinstance(jnp.broadcast_arrays(x, x), list)
    assert jnp.from_dlpack(x, device=x.device, copy=True).tolist() == np.from_dlpack(x).tolist() == x.tolist()


def test_sets_know_each_nan() -> None:
    x = jnp.asarray([[3.0, np.nan], [1.0, np.nan], [3.0, -0.0]])
    found = jnp.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    np.testing.assert_array_equal(found.values, [-0.0, 1.0, 3.0, np.nan, np.nan])
    np.testing.assert_array_equal(found.counts, [1, 1, 2, 1, 1])
    np.testing.assert_array_equal(np.asarray(x).ravel()[np.asarray(found.indices)], found.values)
    assert found.inverse_indices.shape == x.shape
    np.testing.assert_array_equal(found.values[found.inverse_indices], x)
    counts, inverse = jnp.unique_counts(x), jnp.unique_inverse(x)
    assert counts._fields == ("values", "counts") and inverse._fields == ("values", "inverse_indices")
    np.testing.assert_array_equal(jnp.unique_values(x), found.values)


def test_linear_algebra() -> None:
    a = jnp.asarray([[[4.0, 1.0], [1.0, 3.0]], [[2.0, 0.0], [0.0, 1.0]]])
    eigh, qr, slogdet, svd = (getattr(jnp.linalg, name)(a) for name in ("eigh", "qr", "slogdet", "svd"))
    fields = [("eigenvalues", "eigenvectors"), ("Q", "R"), ("sign", "logabsdet"), ("U", "S", "Vh")]
    assert [result._fields for result in (eigh, qr, slogdet, svd)] == fields
    upper = jnp.linalg.cholesky(a, upper=True)
    products = [
        (eigh.eigenvectors * eigh.eigenvalues[:, None]) @ eigh.eigenvectors.mT, qr.Q @ qr.R, upper.mT @ upper, (svd.U * svd.S[:, None]) @ svd.Vh,
        jnp.linalg.solve(a, a @ a), jnp.linalg.inv(jnp.linalg.matrix_power(a, -1)), a @ jnp.linalg.pinv(a, rtol=1e-9) @ a,
    ]  # fmt: skip
    for i, product in enumerate(products):
        np.testing.assert_allclose(np.asarray(product), np.asarray(a), rtol=1e-13, err_msg=str(i))
    np.testing.assert_allclose(slogdet.sign * jnp.exp(slogdet.logabsdet), jnp.linalg.det(a), rtol=1e-14)
    assert (
        jnp.linalg.matrix_rank(jnp.ones((2, 3, 3))).tolist() == [1, 1]
        and int(jnp.linalg.matrix_rank(a[0], rtol=0.9)) == 1
    )
    ones = jnp.ones((2, 2, 3))
    for order, norm in {"fro": 6**0.5, "nuc": 6**0.5, 1: 2, -1: 2, 2: 6**0.5, -2: 0, np.inf: 3, -np.inf: 3}.items():
        found = jnp.linalg.matrix_norm(ones, ord=order, keepdims=True)
        assert found.shape == (2, 1, 1)
        np.testing.assert_allclose(found, norm, atol=1e-14)
    for order, norm in {np.inf: 1, -np.inf: 1, 0: 12, 1: 12, 2: 12**0.5, 3: 12 ** (1 / 3), -1: 1 / 12}.items():
        np.testing.assert_allclose(jnp.linalg.vector_norm(ones, ord=order), norm, rtol=1e-14)
    assert jnp.linalg.vector_norm(ones, axis=(0, 2), keepdims=True).shape == (1, 2, 1)
    np.testing.assert_array_equal(
        jnp.linalg.cross(a[:, :1, [0, 1, 0]], ones[:, :1]),
        np.cross(np.asarray(a)[:, :1, [0, 1, 0]], np.ones((2, 1, 3))),
    )


X = jnp.arange(6).reshape(2, 3)
REFUSED = [
    (lambda: jnp.expand_dims(X, axis=3), IndexError), (lambda: jnp.squeeze(X, axis=0), ValueError), (lambda: jnp.unstack(X[0, 0]), ValueError),
    (lambda: jnp.nonzero(X[0, 0]), ValueError), (lambda: jnp.matrix_transpose(X[0]), ValueError), (lambda: jnp.matmul(X, X[0, 0]), ValueError),
    (lambda: jnp.linalg.cross(X, X[:, :2]), ValueError), (lambda: jnp.broadcast_to(X, (2, 2)), ValueError),
    (lambda: jnp.concat([X, X[0]]), (ValueError, TypeError)), (lambda: X[0, 0, 0], IndexError), (lambda: int(X), TypeError),
    (lambda: (X / 2)[0, 0].__index__(), TypeError), (lambda: X.to_device("there"), ValueError), (lambda: jnp.isdtype("int8", "whole"), ValueError),
    (lambda: X.__array_namespace__(api_version="2020.01"), ValueError), (lambda: jnp.max(X, axis=2), ValueError),
    (lambda: X.to_device(X.device, stream=1), ValueError), (lambda: X.__setitem__(0, 1), TypeError), (lambda: jnp.cumulative_sum(X), ValueError),
]  # fmt: skip


def test_what_is_refused() -> None:
    for call, error in REFUSED:
        with pytest.raises(error):
            call()
