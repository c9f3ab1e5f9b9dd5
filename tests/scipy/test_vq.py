"""Vector quantization against SciPy's; derivatives, compiled, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.cluster.vq

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy.cluster.vq import vq
from pullback.test_util import check_grads


def test_vq() -> None:
    rng = np.random.default_rng(0)
    with pb.enable_x64(True):
        obs, book = rng.normal(size=(20, 3)), rng.normal(size=(6, 3))
        for a, b in ((obs, book), (obs[:, 0], book[:, 0])):
            want = scipy.cluster.vq.vq(a, b)
            for got in (vq(a, b), pb.jit(vq)(a, b), pb.vmap(lambda a: vq(a[None], b))(a) if a.ndim == 2 else vq(a, b)):
                np.testing.assert_array_equal(got[0].ravel(), want[0])
                np.testing.assert_allclose(got[1].ravel(), want[1], rtol=1e-14)
        check_grads(lambda o, b: vq(o, b)[1], (obs, book), 2, atol=1e-6, rtol=1e-6)
    assert vq(jnp.ones((2, 1), "bfloat16"), jnp.ones((1, 1), "bfloat16"))[1].dtype == jnp.bfloat16
    assert vq(np.ones((2, 1), int), np.ones((1, 1), int))[1].dtype == jnp.float32
    one: Any = np.ones((3, 2))
    for says, call in [
        ("same rank", lambda: vq(one, one[0])), ("one length", lambda: vq(one, one[:, :1])), ("empty", lambda: vq(one, one[:0])),
        ("one length", lambda: vq(one[None], one[None])),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=says):
            call()
