"""Rows of `lax/bit_generators.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback import lax
from tests.conformance.table import Row

KEY = np.array([1, 2, 3, 4], np.uint32)
WIDE_KEY = np.array([2**40 + 7, 5], np.uint64)
LAST_COUNTER = np.array([9, 2**64 - 1], np.uint64)
FIRST_KEY = "under vmap all bits come from the stream of the first key"


def bits(
    shape: tuple[int, ...], dtype: Any = np.uint32, algorithm: lax.RandomAlgorithm = lax.RandomAlgorithm.RNG_DEFAULT
) -> Any:
    return lambda key: lax.rng_bit_generator(key, shape, dtype, algorithm)


# fmt: off
ROWS = [
    *(Row("rng_bit_generator", f"{algorithm.stablehlo.lower()}-{label}", bits(shape, dtype, algorithm), (key,), order=0, vmap=False,
          note=FIRST_KEY)
      for algorithm in lax.RandomAlgorithm
      for label, shape, dtype, key in (
        ("words", (7,), np.uint32, KEY), ("wide key", (5,), np.uint32, WIDE_KEY), ("8 bits", (9,), np.uint8, KEY),
        ("16 bits", (3, 3), np.uint16, KEY), ("64 bits", (3, 5), np.uint64, KEY), ("matrix", (3, 5), np.uint32, KEY),
        ("even", (2, 3, 4), np.uint32, KEY), ("scalar", (), np.uint32, KEY), ("scalar of 64 bits", (), np.uint64, KEY),
        ("empty", (0, 3), np.uint32, KEY),
        ("last counter", (9,), np.uint32, LAST_COUNTER),
        ("odd", (3, 3, 5), np.uint32, KEY), ("even last", (3, 4), np.uint8, KEY), ("many", (257, 3), np.uint32, KEY))),
    # Numbers that cannot be reproduced: between equal bounds there is one. See tests/lax/test_bit_generators.py.
    *(Row("rng_uniform", np.dtype(t).name, lambda a: lax.rng_uniform(a, a, (3,)), (np.array(9, t),), order=0, vmap=False,
          note="vmap raises: the bounds are scalars") for t in (np.float32, np.float64, np.float16)),
]
# fmt: on
