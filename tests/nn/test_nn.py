"""`pullback.nn`: values of activations by their definitions, edges, derivatives, attention by a plain loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.special

import pullback as pb
import pullback.numpy as jnp
from pullback import nn

INF, NAN = math.inf, math.nan
X = np.array([-300.0, -3.0, -1.0, -0.2, 0.0, 0.2, 1.0, 2.5, 3.0, 6.0, 300.0], np.float32)
D = X.astype(np.float64)


def _expm1(x: Any) -> Any:
    return np.expm1(np.minimum(x, 0))


DEFINITIONS = {
    "relu": np.maximum(D, 0),
    "relu6": np.clip(D, 0, 6),
    "sigmoid": scipy.special.expit(D),
    "soft_sign": D / (1 + abs(D)),
    "softplus": np.logaddexp(D, 0),
    "silu": D * scipy.special.expit(D),
    "swish": D * scipy.special.expit(D),
    "log_sigmoid": -np.logaddexp(-D, 0),
    "leaky_relu": np.where(D < 0, 0.01 * D, D),
    "hard_sigmoid": np.clip(D + 3, 0, 6) / 6,
    "hard_silu": D * np.clip(D + 3, 0, 6) / 6,
    "hard_swish": D * np.clip(D + 3, 0, 6) / 6,
    "hard_tanh": np.clip(D, -1, 1),
    "elu": np.where(D > 0, D, _expm1(D)),
    "selu": 1.0507009873554805 * np.where(D > 0, D, 1.6732632423543772 * _expm1(D)),
    "celu": np.where(D > 0, D, _expm1(D)),
    "squareplus": (D + np.sqrt(D**2 + 4)) / 2,
    "mish": D * np.tanh(np.logaddexp(D, 0)),
    "sparse_plus": np.where(D <= -1, 0, np.where(D >= 1, D, (D + 1) ** 2 / 4)),
    "sparse_sigmoid": np.clip((D + 1) / 2, 0, 1),
    "gelu": D / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (D + 0.044715 * D**3))),
    "tanh": np.tanh(D),
    "identity": D,
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_activations_are_as_defined(name: str) -> None:
    out = getattr(nn, name)(jnp.array(X))
    assert out.dtype == np.float32
    # squareplus cancels far below zero, as its definition does.
    atol = 1e-2 if name == "squareplus" else 1e-6
    np.testing.assert_allclose(np.asarray(out), DEFINITIONS[name], rtol=3e-5, atol=atol)


@pytest.mark.parametrize("name", sorted(set(DEFINITIONS) - {"identity"}))
def test_derivatives_are_finite_and_right(name: str) -> None:
    function = getattr(nn, name)
    slopes = np.asarray(pb.vmap(pb.grad(function))(jnp.array(X)))
    assert np.isfinite(slopes).all()
    assert np.isfinite(np.asarray(pb.vmap(pb.grad(pb.grad(function)))(jnp.array(X)))).all()
    inner = np.array([-2.2, -0.6, 0.3, 0.7, 1.7])
    with pb.enable_x64(True):
        exact = np.asarray(pb.vmap(pb.grad(function))(jnp.array(inner)))
        step = 1e-6
        difference = (np.asarray(function(jnp.array(inner + step))) - np.asarray(function(jnp.array(inner - step)))) / (
            2 * step
        )
    np.testing.assert_allclose(exact, difference, rtol=1e-6, atol=1e-8)


def test_derivatives_at_corners() -> None:
    assert float(pb.grad(nn.relu)(0.0)) == 0.0
    assert [float(pb.grad(nn.relu6)(x)) for x in (0.0, 6.0)] == [0.0, 0.0]
    assert [float(pb.grad(nn.hard_tanh)(x)) for x in (-1.0, 1.0)] == [1.0, 1.0]
    assert float(pb.grad(nn.leaky_relu)(0.0)) == 1.0
    assert math.isnan(float(nn.relu(NAN)))


def test_result_types() -> None:
    assert nn.relu(3).dtype == np.int32 and nn.relu(jnp.array([1], jnp.int8)).dtype == np.int8
    assert nn.softplus(2).dtype == np.float32 and nn.gelu(jnp.ones(2, jnp.bfloat16)).dtype == jnp.bfloat16
    assert nn.relu(True).dtype == np.int32
    with pytest.raises(TypeError, match="int32"):
        nn.sigmoid(1)
    for function in (nn.relu, nn.identity, nn.softmax, nn.logsumexp):
        with pytest.raises(TypeError, match="list"):
            function([1.0])


def test_exact_gelu_glu_and_log1mexp() -> None:
    np.testing.assert_allclose(
        np.asarray(nn.gelu(X, approximate=False)), D * scipy.special.ndtr(D), rtol=1e-4, atol=1e-7
    )
    pair = np.array([[1.0, 2.0, 0.5, -1.0]], np.float32)
    np.testing.assert_allclose(np.asarray(nn.glu(pair)), pair[:, :2] * scipy.special.expit(pair[:, 2:]), rtol=1e-6)
    with pytest.raises(ValueError, match="divisible"):
        nn.glu(pair, axis=0)
    x = np.array([1e-3, 0.5, 1.0, 50.0])
    np.testing.assert_allclose(np.asarray(nn.log1mexp(x)), np.log1p(-np.exp(-x)), rtol=1e-4)
    assert float(nn.log1mexp(0.0)) == -INF and math.isnan(float(nn.log1mexp(-1.0)))


# ---- softmax and its kin ----------------------------------------------------------------------------------------

R = np.random.default_rng(4).normal(size=(2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), None])
def test_softmax_logsumexp_and_log_softmax(axis: Any) -> None:
    np.testing.assert_allclose(np.asarray(nn.softmax(R, axis)), scipy.special.softmax(R, axis), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(nn.log_softmax(R, axis)), scipy.special.log_softmax(R, axis), rtol=1e-5)
    np.testing.assert_allclose(
        np.asarray(nn.logsumexp(R, axis, b=R + 2)), scipy.special.logsumexp(R, axis, b=R + 2), rtol=1e-5
    )
    ours = nn.logsumexp(R, axis, b=R, return_sign=True, keepdims=True)
    for a, b in zip(ours, scipy.special.logsumexp(R, axis, b=R, return_sign=True, keepdims=True)):
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(nn.logmeanexp(R, axis)), np.log(np.mean(np.exp(R), axis)), rtol=1e-5, atol=1e-6
    )


def test_infinite_and_masked_elements() -> None:
    x = jnp.array([1.0, -INF, 3.0])
    assert nn.softmax(x).tolist() == pytest.approx([0.1192029, 0.0, 0.8807971])
    assert (
        np.isfinite(np.asarray(pb.jacrev(nn.softmax)(x))).all()
        and np.isfinite(np.asarray(pb.jacfwd(nn.softmax)(x))).all()
    )
    assert float(nn.logsumexp(jnp.array([INF, 1.0]))) == INF and float(nn.logsumexp(jnp.array([-INF, -INF]))) == -INF
    assert float(nn.logsumexp(jnp.zeros(0))) == -INF
    assert math.isnan(float(nn.logsumexp(jnp.array([1.0, 2.0]), b=jnp.array([1.0, -1.0]))))
    assert pb.grad(nn.logsumexp)(x).tolist() == pytest.approx([0.1192029, 0.0, 0.8807971])
    mask = jnp.array([True, False, True])
    y = jnp.array([1.0, INF, 3.0])
    assert nn.softmax(y, where=mask).tolist() == pytest.approx([0.1192029, 0.0, 0.8807971])
    assert nn.log_softmax(y, where=mask).tolist()[1] == -INF
    assert np.isfinite(np.asarray(pb.grad(lambda y: nn.softmax(y, where=mask)[0])(y))).all()
    assert nn.softmax(y, where=jnp.zeros(3, bool)).tolist() == [0.0, 0.0, 0.0]
    assert float(nn.logsumexp(y, where=mask)) == pytest.approx(math.log(math.e + math.e**3))
    assert float(nn.logmeanexp(y, where=mask)) == pytest.approx(math.log((math.e + math.e**3) / 2))


@pytest.mark.parametrize("axis", [None, -1, 0, 1])
def test_masks_may_have_more_axes(axis: Any) -> None:
    """Elements and mask broadcast, and the axes are those of what they broadcast to."""
    x, mask = jnp.array([1.0, 2.0, 3.0]), jnp.array([[True, False, True], [True, True, True]])
    whole = jnp.broadcast_to(x, mask.shape)
    for f in (nn.softmax, nn.log_softmax, nn.logsumexp, nn.logmeanexp):
        assert jnp.array_equal(f(x, axis, where=mask), f(whole, axis, where=mask))
    assert float(nn.logsumexp(2.0, where=mask)) == pytest.approx(2 + math.log(5))
    for f in (nn.softmax, nn.log_softmax, nn.logsumexp):
        with pytest.raises(ValueError, match="must be boolean"):
            f(x, where=jnp.ones(3))


def test_derivatives_of_softmax() -> None:
    x = jnp.array([1.0, 2.0, 3.0])
    p = np.asarray(nn.softmax(x))
    np.testing.assert_allclose(np.asarray(pb.jacrev(nn.softmax)(x)), np.diag(p) - np.outer(p, p), atol=1e-6)
    np.testing.assert_allclose(np.asarray(pb.hessian(nn.logsumexp)(x)), np.diag(p) - np.outer(p, p), atol=1e-6)


def test_complex_logsumexp() -> None:
    z = np.array([1j, 2, 1 - 3j], np.complex64)
    assert complex(nn.logsumexp(z)) == pytest.approx(complex(scipy.special.logsumexp(z)), rel=1e-5)
    size, sign = nn.logsumexp(z, return_sign=True)
    assert size.dtype == np.float32 and complex(jnp.exp(size) * sign) == pytest.approx(np.exp(z).sum(), rel=1e-5)


def test_standardize_and_one_hot() -> None:
    for algorithm in ("fast", "stable"):
        out = np.asarray(nn.standardize(R, 1, algorithm=algorithm))
        np.testing.assert_allclose(out.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(out.std(1), 1, rtol=1e-2)
    with pytest.raises(ValueError, match="algorithm"):
        nn.standardize(R, algorithm="slow")
    np.testing.assert_array_equal(np.asarray(nn.one_hot([0, 5, -1], 3)), [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert (
        nn.one_hot(np.array([[0, 2]]), 3, axis=1).shape == (1, 3, 2) and nn.one_hot(1, 3, dtype=bool).dtype == np.bool_
    )
    with pytest.raises(ValueError, match="axis"):
        nn.one_hot(np.array([0]), 3, axis=5)


# ---- attention --------------------------------------------------------------------------------------------------


def attention(q: Any, k: Any, v: Any, visible: Any, bias: Any = 0.0) -> Any:
    """By its definition, head by head."""
    out = np.zeros(q.shape)
    group = q.shape[2] // k.shape[2]
    for b in range(q.shape[0]):
        for h in range(q.shape[2]):
            logits = q[b, :, h] @ k[b, :, h // group].T / math.sqrt(q.shape[-1]) + bias
            weights = scipy.special.softmax(np.where(visible, logits, -1e30), -1)
            out[b, :, h] = weights @ v[b, :, h // group]
    return out


Q = np.random.default_rng(5).normal(size=(2, 3, 4, 5)).astype(np.float32)
K, VALUES = np.random.default_rng(6).normal(size=(2, 2, 6, 2, 5)).astype(np.float32)
ROWS, COLUMNS = np.arange(3)[:, None], np.arange(6)[None, :]


@pytest.mark.parametrize(
    "options, visible",
    [
        ({}, COLUMNS >= 0),
        ({"is_causal": True}, COLUMNS <= ROWS),
        ({"local_window_size": (1, 0)}, (COLUMNS >= ROWS - 1) & (COLUMNS <= ROWS)),
        ({"local_window_size": 1}, abs(COLUMNS - ROWS) <= 1),
        ({"mask": COLUMNS[None, None] % 2 == 0}, COLUMNS % 2 == 0),
        ({"key_value_seq_lengths": np.array([2, 2])}, COLUMNS < 2),
    ],
)
def test_attention_is_as_defined(options: Any, visible: Any) -> None:
    np.testing.assert_allclose(
        np.asarray(nn.dot_product_attention(Q, K, VALUES, **options)), attention(Q, K, VALUES, visible), atol=1e-5
    )


def test_attention_options_and_errors() -> None:
    bias = np.random.default_rng(7).normal(size=(3, 6)).astype(np.float32)
    out, residual = nn.dot_product_attention(Q, K, VALUES, bias, return_residual=True)
    np.testing.assert_allclose(np.asarray(out), attention(Q, K, VALUES, True, bias), atol=1e-5)
    assert residual.shape == (2, 3, 4)
    one = nn.dot_product_attention(Q[0], K[0], VALUES[0])
    np.testing.assert_allclose(np.asarray(one), attention(Q, K, VALUES, True)[0], atol=1e-5)
    cut = nn.dot_product_attention(Q, K, VALUES, query_seq_lengths=np.array([1, 3]))
    assert not np.asarray(cut)[0, 1:].any() and np.asarray(cut)[1, 2].any()
    with pytest.raises(ValueError, match="multiple"):
        nn.dot_product_attention(Q[:, :, :3], K, VALUES)
    with pytest.raises(ValueError, match="shape"):
        nn.dot_product_attention(Q, K[:, :2], VALUES)
    with pytest.raises(ValueError, match="bool"):
        nn.dot_product_attention(Q, K, VALUES, mask=bias)
    with pytest.raises(ValueError, match="implementation"):
        nn.dot_product_attention(Q, K, VALUES, implementation="fast")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 100.0, 3e3])
def test_weights_of_attention_add_up_to_one(dtype: str, scale: float) -> None:
    """Whatever the logits and whatever is visible: values that are all 1 stay so, and their gradients add up to one a row."""
    rng = np.random.default_rng(0)
    q, k = (jnp.asarray(rng.normal(size=(2, 5, 4, 3)) * scale, dtype) for _ in range(2))
    v = jnp.ones((2, 5, 2, 3), dtype)
    mask = rng.random((2, 4, 5, 5)) > 0.5
    mask[:, :, 2] = False
    for options in (
        {}, {"mask": mask}, {"is_causal": True}, {"local_window_size": (-3, 4)}, {"local_window_size": 1},
        {"key_value_seq_lengths": np.array([3, 0])}, {"mask": np.zeros((1, 1, 1, 5), bool), "is_causal": True},
        {"bias": np.full((1, 1, 5, 5), scale, np.float32), "mask": mask},
    ):  # fmt: skip
        attend = lambda q, k, v: pb.nn.dot_product_attention(q, k[:, :, :2], v, **options)
        for f in (attend, pb.jit(attend)):
            np.testing.assert_allclose(np.asarray(f(q, k, v), np.float32), 1, rtol=2e-2 if dtype != "float32" else 1e-5)
        ct = pb.grad(lambda v: attend(q, k, v)[:, :, :, 0].astype("float32").sum())(v)
        np.testing.assert_allclose(np.asarray(ct, np.float32)[..., 0].sum(), 2 * 5 * 4, rtol=2e-2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("epsilon", ["bfloat16", "float16", "float32", "int32"])
def test_standardized_data_has_the_type_of_data_and_epsilon(dtype: str, epsilon: str) -> None:
    x, small = jnp.arange(3, dtype=dtype), jnp.ones((), epsilon)
    for f in (pb.nn.standardize, pb.jit(pb.nn.standardize)):
        assert f(x, epsilon=small).dtype == jnp.promote_types(dtype, epsilon)
        assert f(x, epsilon=np.ones(1, small.dtype)).dtype == jnp.promote_types(dtype, epsilon)
        assert f(x, epsilon=1.0).dtype == dtype


@pytest.mark.parametrize("algorithm", ["fast", "stable"])
@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
def test_standardized_data_keeps_its_digits(algorithm: str, offset: float) -> None:
    x = np.float32(np.random.default_rng(0).normal(size=(8, 64)) + offset)
    wide = x.astype(np.float64)
    want = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    f = lambda x: pb.nn.standardize(x, algorithm=algorithm)
    for g in (f, pb.jit(f)):
        np.testing.assert_allclose(g(x), want, atol=5e-6 * (1 + offset))
    given = wide.mean(-1, keepdims=True).astype(np.float32)
    stable = pb.nn.standardize(x, mean=given, algorithm="stable")
    np.testing.assert_allclose(stable, want, atol=5e-6 * (1 + offset))
    constant = jnp.full((2, 7), offset + 0.1)
    assert (np.abs(f(constant)) < 1).all()
    assert np.isfinite(pb.grad(lambda x: (f(x) ** 2).sum())(constant)).all()
    assert np.isfinite(pb.nn.standardize(constant, mean=offset * 3, algorithm=algorithm)).all()


@pytest.mark.parametrize(
    "dtype", ["int4", "uint2", "int8", "uint8", "bool", "uint32", "uint64", "float32", "complex64"]
)
def test_one_hot_of_any_dtype(dtype: str):
    with pb.enable_x64(dtype == "uint64"):
        x = jnp.array([1, 0, 3]).astype(dtype)
        for out in (nn.one_hot(x, 300), pb.jit(lambda x: nn.one_hot(x, 300))(x)):
            np.testing.assert_array_equal(out, np.eye(300)[np.asarray(x).real.astype(int)])


def test_positions_out_of_range_have_no_class():
    for x, places in (
        (np.int8([127, -128, -1]), [127]),
        (np.uint8([127, 255]), [127, 255]),
        (np.uint32([2**32 - 1, 0]), [0]),
    ):
        assert np.flatnonzero(nn.one_hot(x, 300).sum(0)).tolist() == places
    assert not nn.one_hot(jnp.array([0.5, jnp.nan, 3.0]), 3).any()
    assert nn.one_hot(jnp.zeros((2, 3), int), 4, axis=-2, dtype=jnp.bfloat16).shape == (2, 4, 3)


def test_one_hot_over_a_mapped_axis():
    out = pb.vmap(lambda i, x: nn.one_hot(x, 4, axis="i"), in_axes=(0, None), axis_name="i")(
        jnp.arange(4), jnp.array([2, 0, 7])
    )
    np.testing.assert_array_equal(out, np.eye(8)[:4, [2, 0, 7]])
    with pytest.raises(ValueError, match="axis 'i' must have length num_classes=5, got 4"):
        pb.vmap(lambda x: nn.one_hot(x, 5, axis="i"), axis_name="i")(jnp.arange(4))
    with pytest.raises(NameError, match="unbound axis name"):
        nn.one_hot(0, 3, axis="j")
