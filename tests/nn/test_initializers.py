"""`pullback.nn.initializers`: moments, shapes and types, orthogonality, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback.numpy as jnp
from pullback import random
from pullback.core.config import threefry_partitionable
from pullback.nn import initializers

KEY = random.key(0)


def test_constants() -> None:
    assert initializers.zeros(KEY, (2, 3), jnp.int32).tolist() == [[0, 0, 0]] * 2
    assert initializers.ones(KEY, (2,)).dtype == np.float32
    assert initializers.constant(3)(KEY, (2,)).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize(
    "name, variance",
    [
        ("glorot_normal", 2 / 90), ("glorot_uniform", 2 / 90), ("xavier_normal", 2 / 90), ("xavier_uniform", 2 / 90),
        ("he_normal", 2 / 60), ("he_uniform", 2 / 60), ("kaiming_normal", 2 / 60), ("kaiming_uniform", 2 / 60),
        ("lecun_normal", 1 / 60), ("lecun_uniform", 1 / 60),
    ],
)  # fmt: skip
def test_variance_follows_the_sizes_of_the_layer(name: str, variance: float, dtype: Any) -> None:
    w = np.asarray(getattr(initializers, name)(dtype=dtype)(KEY, (60, 30)))
    assert w.dtype == dtype
    assert np.mean(abs(w) ** 2) == pytest.approx(variance, rel=0.1)
    assert abs(w.mean()) < 4 * np.sqrt(variance / w.size)


@pytest.mark.parametrize(
    "mode, n", [("fan_in", 6 * 4), ("fan_out", 6 * 5), ("fan_avg", 6 * 4.5), ("fan_geo_avg", 6 * np.sqrt(20))]
)
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_receptive_fields_count(mode: str, n: float, distribution: str) -> None:
    init = initializers.variance_scaling(1.0, mode, distribution)
    w = np.concatenate([np.asarray(init(k, (2, 3, 4, 5))).ravel() for k in random.split(KEY, 20)])
    assert np.mean(w**2) == pytest.approx(1 / n, rel=0.15)


def test_batch_axes_do_not_count() -> None:
    w = np.asarray(initializers.lecun_normal(in_axis=(0, 1), batch_axis=2)(KEY, (10, 10, 20, 3)))
    assert np.mean(w**2) == pytest.approx(1 / 100, rel=0.1)


def test_simple_distributions() -> None:
    assert (
        0
        <= float(jnp.min(initializers.uniform(0.1)(KEY, (50,))))
        <= float(jnp.max(initializers.uniform(0.1)(KEY, (50,))))
        < 0.1
    )
    assert np.std(np.asarray(initializers.normal(3.0)(KEY, (2000,)))) == pytest.approx(3.0, rel=0.1)
    assert float(jnp.max(jnp.abs(initializers.truncated_normal(0.5)(KEY, (500,))))) <= 1.0
    assert initializers.truncated_normal(0.1)(KEY, (3,), jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 3, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = np.asarray(initializers.orthogonal(2.0)(KEY, shape)).reshape(-1, shape[-1])
    small = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, 4 * np.eye(min(w.shape)), atol=1e-5)


def test_delta_orthogonal() -> None:
    w = np.array(initializers.delta_orthogonal()(KEY, (3, 4, 2, 3)))
    np.testing.assert_allclose(w[1, 1] @ w[1, 1].T, np.eye(2), atol=1e-6)
    w[1, 1] = 0
    assert not w.any()


def test_errors() -> None:
    for make, shape, message in [
        (initializers.glorot_normal(), (3,), "2D"),
        (initializers.variance_scaling(1.0, "fan", "normal"), (3, 3), "mode"),
        (initializers.variance_scaling(1.0, "fan_in", "cauchy"), (3, 3), "distribution"),
        (initializers.orthogonal(), (3,), "2D"),
        (initializers.delta_orthogonal(), (3, 3), "3D"),
        (initializers.delta_orthogonal(), (3, 3, 2), "fan_in"),
        (initializers.normal(dtype=jnp.int32), (3,), "float"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(KEY, shape)


def test_orthogonal_matrices_are_those_of_the_key() -> None:
    want = [[-0.349730, 0.321728, -0.879875], [-0.692503, 0.543768, 0.474084], [-0.630974, -0.775117, -0.032626]]
    with threefry_partitionable(False):
        np.testing.assert_allclose(initializers.orthogonal()(random.key(0), (3, 3)), want, rtol=1e-3)
