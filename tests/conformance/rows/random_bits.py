"""Rows of the random primitives. Keys come as raw uint32 words, so that the suite can batch them, and leave as such."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.lax import random_bits as r
from pullback.random import rejection
from tests.conformance.table import Row, sample

KEY = np.array([3, 5], np.uint32)
KEYS = np.arange(6, dtype=np.uint32).reshape(3, 2)
WORDS = sample((4,), np.uint32, 0, 1000)
LAYOUTS = (False, True)


def typed(words: Any) -> Any:
    return r.random_wrap_p.bind(words)


def raw(keys: Any) -> Any:
    return r.random_unwrap_p.bind(keys)


def _layouts(
    primitive: Any, key: np.ndarray, label: str, *args: np.ndarray, note: str = "", **params: Any
) -> list[Row]:
    """A row for each layout of the streams; keys among the results are unwrapped."""

    def row(partitionable: bool) -> Row:
        def fun(words: Any, *rest: Any) -> Any:
            out = primitive.bind(typed(words), *rest, partitionable=partitionable, **params)
            return raw(out) if out.dtype == dtypes.KEY else out

        return Row(
            primitive.name,
            f"{label}-{'partitionable' if partitionable else 'original'}",
            fun,
            (key, *args),
            order=0,
            note=note,
        )

    return [row(p) for p in LAYOUTS]


IMPLICIT = "the derivative is that of the quantile function, not of the rejection loop: see tests/random/test_gammas.py"

ROWS = [
    Row("random_seed", "int32", lambda s: raw(r.random_seed_p.bind(s)), (np.array(-7, np.int32),), order=0),
    Row("random_seed", "int64-vector", lambda s: raw(r.random_seed_p.bind(s)), (np.array([-1, 2**40, 0]),), order=0),
    Row("random_seed", "bool-empty", lambda s: raw(r.random_seed_p.bind(s)), (np.zeros((0, 2), bool),), order=0),
    Row("random_wrap", "one", lambda k: raw(typed(k)), (KEY,), order=0),
    Row("random_unwrap", "several", lambda k: raw(typed(k)), (KEYS,), order=0),
    *_layouts(r.random_split_p, KEY, "one", shape=(3,)),
    *_layouts(r.random_split_p, KEYS, "several", shape=(2, 2)),
    *_layouts(r.random_split_p, KEYS, "none", shape=(0,)),
    Row(
        "random_fold_in",
        "one",
        lambda k, d: raw(r.random_fold_in_p.bind(typed(k), d)),
        (KEY, np.array(9, np.uint32)),
        order=0,
    ),
    Row(
        "random_fold_in", "several", lambda k, d: raw(r.random_fold_in_p.bind(typed(k), d)), (KEYS, WORDS[:3]), order=0
    ),
    Row("threefry2x32", "scalar-key", r.threefry2x32_p.bind, (KEY[0], KEY[1], WORDS, WORDS[::-1].copy()), order=0),
    Row("threefry2x32", "keys", r.threefry2x32_p.bind, (WORDS, WORDS, WORDS, np.zeros(4, np.uint32)), order=0),
    *(
        row
        for width in (8, 16, 32, 64)
        for row in _layouts(r.random_bits_p, KEY, f"{width}-odd", bit_width=width, shape=(5,))
    ),
    *_layouts(r.random_bits_p, KEYS, "several", bit_width=32, shape=(2, 3)),
    *_layouts(r.random_bits_p, KEYS, "scalars", bit_width=16, shape=()),
    *_layouts(r.random_bits_p, KEY, "empty", bit_width=32, shape=(0, 2)),
    *(
        row
        for p in (r.random_uniform_p, r.random_normal_p)
        for t in (dtypes.bfloat16, dtypes.float16, dtypes.float32, dtypes.float64)
        for row in _layouts(p, KEY, t.name, dtype=t, shape=(5,))
    ),
    *_layouts(r.random_normal_p, KEYS, "several", dtype=dtypes.float32, shape=(2, 2)),
    *_layouts(rejection.random_gamma_p, KEY, "one", sample((3,), low=0.1), log_space=False, note=IMPLICIT),
    *_layouts(rejection.random_gamma_p, KEYS, "several", sample((3, 2), low=0.1), log_space=True, note=IMPLICIT),
    *_layouts(rejection.random_poisson_p, KEY, "both-methods", np.array([0.0, 3.0, 40.0, np.nan]), dtype=dtypes.int32),
    *_layouts(rejection.random_poisson_p, KEYS, "several", sample((3, 2), np.float32, 1, 30), dtype=dtypes.uint8),
    *_layouts(
        rejection.random_binomial_p,
        KEY,
        "both-methods",
        np.array([5.0, 100.0, 0.0, np.nan]),
        np.array([0.9, 0.4, 0.5, 0.5]),
    ),
    *_layouts(rejection.random_binomial_p, KEYS, "several", np.full((3, 2), 50.0), sample((3, 2), low=0, high=1)),
]
