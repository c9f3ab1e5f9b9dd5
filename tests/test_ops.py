"""Reductions by segment: against loops over the definition, over dtypes, modes and edges; derivatives; compiled."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import ops
from pullback.test_util import check_grads

FUNCTIONS = {
    ops.segment_sum: (np.add, lambda d: 0), ops.segment_prod: (np.multiply, lambda d: 1),
    ops.segment_min: (np.minimum, lambda d: np.inf if d.kind not in "iu" else np.iinfo(d).max),
    ops.segment_max: (np.maximum, lambda d: -np.inf if d.kind not in "iu" else np.iinfo(d).min),
}  # fmt: skip
IDS = np.array([3, 0, 0, -1, 3, 9, 0, 3])


def expected(f: Any, data: Any, ids: Any, n: int, clip: bool = False) -> Any:
    combine, identity = FUNCTIONS[f]
    out = np.full((n, *data.shape[1:]), identity(data.dtype), data.dtype)
    for i, row in zip(np.clip(ids, 0, n - 1) if clip else ids, data):
        if 0 <= i < n:
            out[i] = combine(out[i], row)
    return out


@pytest.mark.parametrize("f", FUNCTIONS)
def test_values(f: Any) -> None:
    rng = np.random.default_rng(0)
    with pb.enable_x64(True):
        for dtype in ("int8", "uint16", "int64", "float16", "bfloat16", "float32", "float64", "complex64"):
            kind = np.dtype(jnp.dtype(dtype))
            for shape in ((8,), (8, 2)):
                data = (rng.normal(size=shape) * 3).astype(kind)
                if kind.kind in "fc":
                    data[1] = [np.nan, np.inf, -0.0][shape[-1] % 3]
                if kind.kind == "c" and f in (ops.segment_min, ops.segment_max):
                    continue  # the order of complex numbers is the scatters', which have tests of their own
                want = expected(f, data, IDS, 5)
                got = f(data, IDS, 5)
                assert got.dtype == kind and not got.weak_type
                np.testing.assert_array_equal(np.asarray(got), want)
                np.testing.assert_array_equal(f(data, IDS, 5, mode="clip"), expected(f, data, IDS, 5, True))
                tol = {"float16": 1e-2, "bfloat16": 1e-1}.get(dtype, 1e-5)
                for size in (1, 3, 100):
                    bucketed = f(data, IDS, 5, bucket_size=size)
                    assert bucketed.dtype == kind
                    np.testing.assert_allclose(
                        np.asarray(bucketed, np.complex128), want.astype(np.complex128), rtol=tol, atol=tol
                    )
        np.testing.assert_array_equal(
            f(np.arange(4.0), np.array([0, 0, 1, 3])), expected(f, np.arange(4.0), [0, 0, 1, 3], 4)
        )
        assert f(np.zeros((0, 2)), np.zeros(0, int), 3).shape == (3, 2) and f(np.ones(2), np.array([-1, -2])).shape == (
            0,
        )
        assert f(np.ones(4), np.zeros(4, np.uint8), 0, bucket_size=2).shape == (0,)
        sorted_ids = np.sort(IDS)
        np.testing.assert_array_equal(
            f(np.arange(8.0), sorted_ids, 5, indices_are_sorted=True), expected(f, np.arange(8.0), sorted_ids, 5)
        )


def test_of_truth_values() -> None:
    data = np.array([True, False, True, True])
    assert ops.segment_min(data, np.array([0, 2, 2, 1]), 4).tolist() == [True, True, False, True]
    assert ops.segment_max(data, np.array([0, 2, 2, 1]), 4).tolist() == [True, True, True, False]


def test_derivatives_compiled_and_batched() -> None:
    x = np.array([[2.0, 0.5], [3.0, 0.0], [-1.0, 4.0], [0.0, 1.0], [0.0, 5.0], [7.0, 2.0], [1.5, 1.0], [-2.0, 3.0]])
    with pb.enable_x64(True):
        for f in (ops.segment_sum, ops.segment_prod):
            for options in ({}, {"mode": "clip"}, {"bucket_size": 3}):
                check_grads(lambda x: f(x, IDS, 5, **options), (x,), 2, atol=1e-6, rtol=1e-6)
        # Of the product by two factors of a segment of three: the third, zeros or not.
        hessian = pb.hessian(lambda v: ops.segment_prod(v, np.zeros(3, int), 1)[0])(np.array([0.0, 0.0, 5.0]))
        assert hessian.tolist() == [[0, 5, 0], [5, 0, 0], [0, 0, 0]]

        def everything(x: Any, ids: Any) -> Any:
            outs = [
                f(x, ids, 5, **options) for f in FUNCTIONS for options in ({}, {"mode": "clip"}, {"bucket_size": 3})
            ]
            grads = [
                pb.grad(lambda x: jnp.sum(f(x, ids, 3) ** 2, where=abs(f(x, ids, 3)) < 1e300))(x) for f in FUNCTIONS
            ]
            mapped = pb.vmap(lambda x, ids: ops.segment_prod(x, ids, 5))(
                jnp.stack([x, x + 1]), jnp.stack([ids, ids[::-1]])
            )
            return outs, grads, mapped

        eager, compiled = everything(x, IDS), pb.jit(everything)(x, IDS)
        for a, b in zip(pb.tree.leaves(eager), pb.tree.leaves(compiled)):
            np.testing.assert_allclose(a, b, rtol=1e-14)
        np.testing.assert_array_equal(
            eager[2][1], reduce(lambda _, f: f(x + 1, IDS[::-1], 5), [ops.segment_prod], None)
        )


def test_bad_input() -> None:
    x, ids = np.ones(4), np.array([0, 1, 1, 2])
    for error, says, call in [
        (TypeError, "must be integers", lambda: ops.segment_sum(x, x)),
        (TypeError, "must be integers", lambda: ops.segment_sum(x, ids > 0)),
        (TypeError, "bool", lambda: ops.segment_sum(ids > 0, ids)),
        (TypeError, "segment_max requires ndarray", lambda: ops.segment_max([1, 2], ids)),
        (TypeError, "num_segments must be an integer", lambda: ops.segment_sum(x, ids, 2.0)),
        (ValueError, "non-negative, got -1", lambda: ops.segment_sum(x, ids, -1)),
        (ValueError, r"\(4,\).*\(3,\)", lambda: ops.segment_sum(x, ids[:3])),
        (ValueError, "num_segments cannot be told", lambda: ops.segment_sum(x[:0], ids[:0])),
        (ValueError, "bucket_size must be positive", lambda: ops.segment_sum(x, ids, bucket_size=0)),
        (ValueError, "blah", lambda: ops.segment_sum(x, ids, mode="blah")),
        (TypeError, "sharding", lambda: ops.segment_sum(x, ids, out_sharding="x")),
        (pb.errors.ConcretizationTypeError, "needs num_segments", lambda: pb.jit(ops.segment_sum)(x, ids)),
    ]:  # fmt: skip
        with pytest.raises(error, match=says):
            call()
