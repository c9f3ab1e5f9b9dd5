"""Calls with arguments of the wrong kind: where JAX has an error there is one here, and where it has a result there is one."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

from tests.arguments import EXPRESSIONS, VALUES, outcome
from tests.oracle.systems import namespace, require_oracle

require_oracle()

FLOATS = {"1.5", "2.0", "np.float32(1)", "float('nan')", "1j"}
TEXTS_AND_SETS = {"'a'", "''", "('a',)", "{}", "{0}", "range(2)", "np.array([1, 0])"}
NUMBERS = {"True", "-1", "-9", "9", "np.int64(1)", "jnp.int32(1)"}

#: JAX takes a while for each: of the values that are alike, one.
SOME = [
    v for v in VALUES if v not in {"2.0", "''", "('a',)", "-9", "{0}", "float('nan')", "np.array([1, 0])", "object()"}
]

#: What is meant to differ, by what the expression is about; `docs/differences.md` has the larger differences.
DELIBERATE = [
    (r"fftfreq", NUMBERS | FLOATS, "a negative number of samples has no frequencies; a complex distance has"),
    (r"unravel_index|\.take\(|repeat|delete|mask_indices|cumsum|cummax|cumlogsumexp", {"True", "[1.5]", "TRACED"}, "True is no position"),
    (r"swapaxes|trapezoid\(x, axis|packbits|cross", {"(0,)", "True"}, "an axis is one integer"),
    (r"jnp\.tri|jnp\.trace|linalg\.trace|orthogonal\(", {"True", "TRACED"}, "True is 1; a traced diagonal has no static shape of indices"),
    (r"histogram\(v, bins|fill_diagonal|matrix_rank", TEXTS_AND_SETS | {"(0,)", "[0]", "(0, 0)", "()"}, "lists are taken, as in NumPy"),
    (r"nan_to_num|trapezoid\(x, dx|vector_norm", {"(0,)", "[0]"}, "numbers are not given as lists"),
    (r"median|quantile|percentile|logsumexp|linalg\.norm", {"range(2)"}, "several axes may come in any sequence"),
    (r"gradient", {"(0, 0)"}, "an axis is given once"),
    (r"tensordot", {"-1", "-9"}, "a negative number of axes is none"),
    (r"jnp\.roll", {"[1.5]"}, "shifts are integers"),
    (r"std\(x, ddof|fft\.fft\(x, axis|nondiff_argnums|total_repeat_length", {"None"}, "None says nothing here"),
    (r"argmax|vmap|ShapeDtypeStruct", NUMBERS | {"TRACED"}, "integers of NumPy, and Arrays, are integers"),
    (r"lax\.reshape", {"-1"}, "the length that is missing, as in numpy.reshape"),
    (r"lax\.slice", {"(0,)", "[0]"}, "one limit for each axis"),
    (r"full_like|linear_transpose|vjp|linearize", NUMBERS | FLOATS | {"TRACED"}, "weakly typed numbers take the type that is asked for"),
    (r"checkpoint", {"[0]"}, "a list of positions"),
    (r"lax\.fft", {"()"}, "a transform of no axes is the identity"),
    (r"initializers", {"(0, 0)", "range(2)"}, "an axis is given once; what is empty has no scale"),
    (r"random\.choice", {"jnp.int32(1)"}, "one integer for a shape of one axis"),
    (r"categorical", {"True"}, "True is 1"),
    (r"eval_shape", {"TRACED"}, "a program returns arrays, not their types"),
]  # fmt: skip


def is_deliberate(expression: str, value: str, theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, Exception) and not isinstance(ours, Exception):
        # What JAX hashes, or iterates over before it looks at it.
        if re.search(r"hashable|to hash|not iterable|has no len|0-d array|unsized", str(theirs)):
            return True
    elif value in FLOATS | TEXTS_AND_SETS:  # which JAX takes for integers and sequences of integers, here and there
        return True
    return any(re.search(pattern, expression) and value in values for pattern, values, _ in DELIBERATE)


@pytest.mark.parametrize("first", range(0, len(EXPRESSIONS), 20))
def test_errors_are_where_jax_has_them(first: int) -> None:
    systems = []
    for system in ("jax", "pullback"):
        names = namespace(system)
        systems.append({**names, "key": names["random"].key(0)})
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for expression in EXPRESSIONS[first : first + 20]:
            for value in SOME:
                theirs, ours = (outcome(expression, value, names) for names in systems)
                if isinstance(theirs, Exception) != isinstance(ours, Exception):
                    if not is_deliberate(expression, value, theirs, ours):
                        wrong.append(f"{expression}  with  {value}:  JAX {str(theirs)[:80]!r}, here {str(ours)[:80]!r}")
    assert not wrong, "\n".join(wrong)
