"""Arguments that are none: every public function gives a result or a documented error, and never one from its inside."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

from tests.arguments import EXPRESSIONS, VALUES, outcome
from tests.oracle.systems import namespace

#: What Python says of a mistake in the code that it is in.
INSIDE = re.compile(
    r"has no attribute|not subscriptable|unpack|missing \d+ required|takes \d+ positional argument|tuple index out of range|list index out of range|"
    r"list assignment|operation '|StableHLO|INVALID_ARGUMENT|XLA could not compile|NoneType' object is not iterable"
)
DOCUMENTED = (TypeError, ValueError, IndexError, OverflowError, NotImplementedError)
#: Errors that Python's own operations, or the user's functions, raise for these arguments.
PYTHONS_OWN = re.compile(r"tree_map|jax\.linear_transpose|jax\.eval_shape|named_scope|apply_along_axis|apply_over_axes")


@pytest.fixture(scope="module")
def names() -> Any:
    names = namespace("pullback")
    return {**names, "key": names["random"].key(0)}


@pytest.mark.parametrize("first", range(0, len(EXPRESSIONS), 40))
def test_what_is_no_argument_is_refused_in_so_many_words(first: int, names: Any) -> None:
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for expression in EXPRESSIONS[first : first + 40]:
            for value in VALUES:
                error = outcome(expression, value, names)
                if not isinstance(error, Exception):
                    continue
                text = f"{type(error).__name__}: {error}"
                if "Unrecognized padding type" in text:  # a RuntimeError in JAX
                    continue
                if "unbound axis name: '" in text:  # a text where names of axes may be
                    continue
                if not isinstance(error, DOCUMENTED) or (INSIDE.search(text) and not PYTHONS_OWN.search(expression)):
                    wrong.append(f"{expression}  with  {value}:  {text.splitlines()[0][:150]}")
    assert not wrong, "\n".join(wrong)
