"""Type promotion is the join of a lattice: over all types, weak ones included."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.dtypes import DType, promote_pair
from pullback.core.errors import TypePromotionError

Typed = tuple[DType, bool]

STANDARD: list[Typed] = [
    (dtypes.bool_, False),
    *(
        (d, False)
        for d in (
            dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64,
            dtypes.bfloat16, dtypes.float16, dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128,
        )
    ),
    (dtypes.int64, True), (dtypes.float64, True), (dtypes.complex128, True),
]  # fmt: skip
#: Types above which there is none: they join with what is below them only.
NARROW: list[Typed] = [(d, False) for d in (*dtypes.FLOAT8, dtypes.int2, dtypes.int4, dtypes.uint2, dtypes.uint4)]


def join(a: Typed, b: Typed) -> Typed:
    return promote_pair(*a, *b)


def join_or_none(a: Typed, b: Typed) -> Typed | None:
    try:
        return join(a, b)
    except TypePromotionError:
        return None


@pytest.fixture(autouse=True)
def in_64_bits() -> object:
    with pb.enable_x64(True):
        yield


def test_join_is_idempotent() -> None:
    for a in STANDARD + NARROW:
        assert join(a, a) == a


def test_join_is_commutative() -> None:
    for a, b in itertools.combinations(STANDARD + NARROW, 2):
        assert join_or_none(a, b) == join_or_none(b, a), (a, b)


def test_join_is_associative() -> None:
    for a, b, c in itertools.product(STANDARD, repeat=3):
        assert join(join(a, b), c) == join(a, join(b, c)), (a, b, c)


def test_join_absorbs_and_so_is_the_least_upper_bound() -> None:
    for a, b in itertools.product(STANDARD, repeat=2):
        above = join(a, b)
        assert join(a, above) == above == join(above, b)
        for c in STANDARD:
            if join(a, c) == c == join(b, c):
                assert join(above, c) == c, f"{c} is above {a} and {b}, but not above {above}"


def test_narrow_types_absorb_what_is_below_them_and_join_with_nothing_else() -> None:
    for a, b in itertools.product(NARROW, STANDARD):
        kind, weak = dtypes.kind(b[0]), b[1]
        if dtypes.kind(a[0]) == "f":
            below = kind in "biu" or (kind == "f" and weak)
        else:
            below = kind == "b" or (kind == "i" and weak)
        assert join_or_none(a, b) == (a if below else None), (a, b)


def test_two_weak_types_stay_weak() -> None:
    weak = [t for t in STANDARD if t[1]]
    for a, b in itertools.product(weak, repeat=2):
        assert join(a, b)[1]


typed_values = st.sampled_from(STANDARD)


def value_of(t: Typed) -> object:
    """A value of the type: a Python scalar if it is weak."""
    dtype, weak = t
    if weak:
        return {"i": 1, "f": 1.0, "c": 1j}[dtypes.kind(dtype)]
    return jnp.ones((2,), dtype)


@given(typed_values, typed_values)
def test_operators_follow_the_lattice(a: Typed, b: Typed) -> None:
    if a[1] and b[1]:
        return  # Python adds two Python scalars itself
    with pb.enable_x64(True):
        out = value_of(a) + value_of(b)  # type: ignore[operator]
        assert (out.dtype, out.weak_type) == join(a, b)


@given(st.lists(typed_values, min_size=1, max_size=5))
def test_result_type_does_not_depend_on_the_order(types: list[Typed]) -> None:
    with pb.enable_x64(True):
        values = [value_of(t) for t in types]
        found = {jnp.result_type(*order) for order in itertools.islice(itertools.permutations(values), 24)}
    assert len(found) == 1


def test_without_64_bits_results_have_32() -> None:
    with pb.enable_x64(False):
        for a, b in itertools.product(STANDARD, repeat=2):
            assert join(a, b)[0] not in (dtypes.int64, dtypes.uint64, dtypes.float64, dtypes.complex128), (a, b)


def test_values_survive_promotion() -> None:
    """What fits both types exactly is exact in their join."""
    for a, b in itertools.product([t for t in STANDARD if not t[1]], repeat=2):
        dtype = join(a, b)[0]
        for t in (a, b):
            assert np.ones((), t[0]).astype(dtype) == 1
