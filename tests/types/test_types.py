"""dtype and weakness of every public function's results are JAX's, and do not depend on the mode.

JAX's answers are in `answers.json` (`tests.types.answers`), so that this needs no JAX. Where JAX refuses operands, nothing is compared: what
XLA does not have on some type may be computed here.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

import pullback as pb
import pullback.numpy as jnp
from tests.conftest import FULL
from tests.differences import table
from tests.types.answers import read
from tests.types.calls import LEFT_OUT, Call, described, expressions, namespace, outcome, staged_outcome

#: Where the types differ on purpose: the calls, their arguments and the outcomes, and why.
DELIBERATE = table("types of results")
#: Rows of that table that some call needed.
used: set[str] = set()


def is_meant(expression: str, difference: str) -> bool:
    found = [call for call, pattern, _ in DELIBERATE if re.search(call, expression) and re.search(pattern, difference)]
    used.update(found)
    return bool(found)


@cache
def answers() -> dict[str, dict[str, list[str]]]:
    return read()[1]


def comparable(outcome: str, x64: bool) -> str:
    """The outcome with Python scalars, which JAX sometimes passes through, as the arrays that they stand for."""
    width = {
        "int": "i64*" if x64 else "i32*",
        "float": "f64*" if x64 else "f32*",
        "complex": "c128*" if x64 else "c64*",
    }
    return re.sub(r"\b(int|float|complex)\b", lambda m: width[m.group()], outcome)


def differences() -> Iterator[str]:
    """Calls whose outcomes are not JAX's. Of two operands every third pair is tried, beginning with another one for each call."""
    for x64 in (False, True):
        with pb.enable_x64(x64):
            names = namespace("pullback")
            for number, (expression, expected) in enumerate(answers()["64" if x64 else "32"].items()):
                call = Call(expression)
                function, every = call.function(names), 1 if FULL or len(call.slots) < 2 else 3
                for i, ((arguments, values), theirs) in enumerate(
                    zip(call.arguments(jnp, x64), expected, strict=True), number
                ):
                    if theirs == "!" or i % every:
                        continue
                    ours = staged_outcome(pb, function, values)
                    difference = f"{arguments}: {theirs} -> {ours}"
                    if comparable(theirs, x64) != comparable(ours, x64) and not is_meant(expression, difference):
                        yield f"{'64' if x64 else '32'} {expression}  {difference}"


@pytest.mark.filterwarnings("ignore")
def test_types_are_those_of_jax() -> None:
    wrong = list(differences())
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:40])
    if FULL:
        assert not [row for row in DELIBERATE if row[0] not in used], "these are no differences"


def test_every_expression_has_an_answer() -> None:
    for bits in ("32", "64"):
        assert list(answers()[bits]) == expressions(), "run `python -m tests.types` where JAX is installed"


MODULES = {
    "jnp": "numpy", "jnp.linalg": "numpy.linalg", "jnp.fft": "numpy.fft", "lax": "lax", "lax.linalg": "lax.linalg", "nn": "nn",
    "nn.initializers": "nn.initializers", "random": "random",
}  # fmt: skip


def test_every_function_is_called() -> None:
    called = set(re.findall(r"\b[\w.]+", " ".join(expressions())))
    left_out = {name for names in LEFT_OUT.values() for name in names.split()}
    missing = []
    for short, path in MODULES.items():
        module = importlib.import_module(f"pullback.{path}")
        public = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
        for name in public:
            value = getattr(module, name)
            if not callable(value) or isinstance(value, types.ModuleType) or name.endswith("_p"):
                continue
            if inspect.isclass(value) and issubclass(value, tuple):
                continue
            if f"{short}.{name}" not in called | left_out:
                missing.append(f"{short}.{name}")
    assert not missing, f"neither called nor left out in tests/types/calls.py: {missing}"


# ---- the law ----------------------------------------------------------------------------------------------------------------------


def _described_inside(
    transform: Callable[..., Any], function: Callable[..., Any], values: Any, take: Any
) -> str | None:
    """What comes out of `function` in `transform(f, *arrays)`, with the arguments that it takes traced by it; None if there are none."""
    traced = [take(v) for v in values]
    if not any(traced):
        return None
    box: list[str] = []

    def run(*arrays: Any) -> Any:
        rest = iter(arrays)
        box.append(described(function(*(next(rest) if t else v for v, t in zip(values, traced)))))
        return 0.0

    try:
        transform(run, *(v for v, t in zip(values, traced) if t))
    except Exception:
        return None  # some need known values
    return box[0]


def _is_array(x: Any) -> bool:
    return isinstance(x, pb.Array)


def _has_tangent(x: Any) -> bool:
    return isinstance(x, pb.Array) and bool(jnp.issubdtype(x.dtype, jnp.inexact))


MODES: dict[str, tuple[Callable[..., Any], Callable[[Any], bool]]] = {
    "jit": (pb.eval_shape, _is_array),
    "vmap": (lambda f, *xs: pb.vmap(f)(*(jnp.stack([x, x]) for x in xs)), _is_array),
    "grad": (pb.linearize, _has_tangent),
    "jvp": (lambda f, *xs: pb.jvp(f, xs, xs), _has_tangent),
    "vmap of grad": (lambda f, *xs: pb.vmap(lambda *ys: pb.linearize(f, *ys)[0])(*(jnp.stack([x, x]) for x in xs)), _has_tangent),
    "scan": (lambda f, *xs: pb.eval_shape(lambda *ys: pb.lax.scan(lambda c, _: (c, f(*ys)), 0, None, length=2), *xs), _is_array),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_types_do_not_depend_on_the_mode() -> None:
    names, wrong = namespace("pullback"), []
    count = 0
    for expression in expressions():
        call = Call(expression)
        function = call.function(names)
        for arguments, values in call.arguments(jnp, False):
            count += 1
            # A sample, the same in every run, of every call with every type.
            if not FULL and count % (7 if len(call.slots) == 1 else 211):
                continue
            if "**" in expression or "pow" in expression:
                # A known integer exponent counts multiplications and has no say in the type; one that is traced has.
                if not isinstance(values[-1], pb.Array) or not values[-1].shape:
                    continue
            eager = outcome(function, values)
            if eager == "!":
                continue
            found = {"staged": staged_outcome(pb, function, values)}
            found |= {mode: _described_inside(*how[:1], function, values, how[1]) for mode, how in MODES.items()}
            other = {mode: o for mode, o in found.items() if o not in (None, "!", eager)}
            if other:
                wrong.append(f"{expression}  {arguments}: {eager}, but {other}")
    assert not wrong, "\n".join(wrong[:40])


def test_known_exponents_have_no_say_in_the_type() -> None:
    for base in ("uint8", "int16", "bfloat16", "complex64", "bool"):
        x = jnp.ones(3, base)
        for exponent in (2, True, jnp.int8(2), jnp.uint32(2), jnp.asarray(2)):
            expected = "int32" if base == "bool" else base
            assert (x**exponent).dtype == jnp.power(x, exponent).dtype == expected, (base, exponent)
            assert pb.jit(lambda y, n=exponent: y**n)(x).dtype == expected
