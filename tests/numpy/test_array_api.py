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
from tests.numpy import array_api as standard
from tests.numpy.array_api import special_cases


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
    for name, (arguments, expected) in special_cases(standard.SPECIAL_COMPLEX).items():
        for argument, result in zip(arguments, expected):
            real, imaginary = map(float, argument.split(","))
            out = complex(getattr(jnp, name)(jnp.asarray(complex(real, imaginary))))
            for part, text in zip((out.real, out.imag), result.split(",")):
                value = np.array(float(text.strip("*")))
                if not matches(abs(part) if text.startswith("*") else part, value):
                    wrong.append((name, argument, out, result))
            conjugate = complex(getattr(jnp, name)(jnp.asarray(complex(real, -imaginary))))
            if not np.isnan(out) and name != "abs" and "*" not in result and conjugate != out.conjugate():
                wrong.append((name, "conjugate", argument, conjugate, result))
    assert not wrong
