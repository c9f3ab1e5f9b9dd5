"""Keys: seeds, splitting, both kinds of keys, and the mistakes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import pullback
import pullback.numpy as jnp
from pullback import device_get, lax, random
from pullback.core import config, dtypes

BOTH = pytest.mark.parametrize("make_key", [random.PRNGKey, random.key])


def words(key: Any) -> list[Any]:
    return np.asarray(random.key_data(key)).tolist()


@pytest.mark.parametrize("seed, narrow, wide", [
    (0, [0, 0], [0, 0]),
    (-1, [0, 2**32 - 1], [2**32 - 1, 2**32 - 1]),
    (2**31, [0, 2**31], [0, 2**31]),
    (2**33 + 5, [0, 5], [2, 5]),
    (-(2**40), [0, 0], [2**32 - 2**8, 0]),
    (2**63 - 1, [0, 2**32 - 1], [2**31 - 1, 2**32 - 1]),
    (np.int8(-3), [0, 2**32 - 3], [0, 2**32 - 3]),
    (np.uint32(7), [0, 7], [0, 7]),
    (np.int64(-5), [0, 2**32 - 5], [2**32 - 1, 2**32 - 5]),
    (np.uint64(2**63 + 1), [0, 1], [2**31, 1]),
    (True, [0, 1], [0, 1]),
])  # fmt: skip
@BOTH
def test_seeds(make_key: Any, seed: Any, narrow: list[int], wide: list[int]) -> None:
    assert words(make_key(seed)) == narrow
    with pullback.enable_x64(True):
        assert words(make_key(seed)) == wide


@BOTH
def test_mistaken_seeds(make_key: Any) -> None:
    with pytest.raises(OverflowError):
        make_key(2**63)
    with pytest.raises(TypeError, match="must be an integer; got .*float32"):
        make_key(1.5)
    with pytest.raises(TypeError, match=r"scalar seed, but was given an array of shape \(3,\).*vmap"):
        make_key(np.arange(3))
    with pytest.raises(TypeError, match="was given a PRNG key"):
        make_key(random.key(0))
    with pytest.raises(ValueError, match="'rbg'.*threefry2x32"):
        make_key(0, impl="rbg")


def test_typed_keys_have_their_own_dtype() -> None:
    key = random.key(0)
    assert key.shape == () and key.dtype == random.key_dtype() == random.key_dtype("threefry2x32")
    assert dtypes.issubdtype(key.dtype, dtypes.prng_key)
    assert not dtypes.issubdtype(random.PRNGKey(0).dtype, dtypes.prng_key)
    assert repr(key) == "Array((), dtype=key<fry>) overlaying:\n[0 0]"
    assert random.key_impl(key) == random.key_impl(random.PRNGKey(0)) == "threefry2x32"


def test_raw_keys_are_words() -> None:
    key = random.PRNGKey(3)
    assert key.shape == (2,) and key.dtype == np.uint32 and not key.weak_type


def test_wrapping_and_unwrapping() -> None:
    raw = random.split(random.PRNGKey(1), (2, 3))
    typed = random.wrap_key_data(raw)
    assert typed.shape == (2, 3)
    np.testing.assert_array_equal(random.key_data(typed), raw)
    np.testing.assert_array_equal(random.key_data(raw), raw)
    np.testing.assert_array_equal(random.key_data(random.clone(typed)), raw)
    with pytest.raises(TypeError, match=r"\(\.\.\., 2\).*\[3\]"):
        random.wrap_key_data(jnp.zeros(3, jnp.uint32))
    with pytest.raises(TypeError, match="uint32.*int32"):
        random.wrap_key_data(jnp.zeros(2, jnp.int32))


@BOTH
def test_split_gives_the_kind_it_took(make_key: Any) -> None:
    key = make_key(5)
    for num, shape in ((2, (2,)), (0, (0,)), (np.int64(3), (3,)), ((2, 3), (2, 3)), ((), ())):
        new = random.split(key, num)
        assert new.dtype == key.dtype and new.shape == shape + key.shape
    first, second = random.split(key)
    assert words(first) != words(second)
    assert random.fold_in(key, 3).shape == key.shape


@BOTH
def test_fold_in(make_key: Any) -> None:
    key = make_key(0)
    assert words(random.fold_in(key, 3)) == words(random.fold_in(key, np.uint8(3))) == [2467461003, 3840466878]
    with pytest.raises(OverflowError, match="-1 out of bounds for uint32"):
        random.fold_in(key, -1)
    with pytest.raises(TypeError, match="fold_in accepts a scalar.*vmap"):
        random.fold_in(key, np.arange(2))


MISTAKES: list[tuple[Any, type[Exception], str]] = [
    (lambda: jnp.zeros(3, jnp.uint32), TypeError, r"shape \(3,\).*length 2"),
    (lambda: jnp.zeros(2, jnp.int32), TypeError, "dtype int32"),
    (lambda: jnp.zeros(()), TypeError, "dtype float32"),
    (lambda: [0, 0], TypeError, "type list.*pullback.random.key"),
    (lambda: 3, TypeError, "invalid random key 3"),
    (lambda: random.split(random.key(0), 3), ValueError, r"single key.*shape \(3,\).*vmap"),
    (lambda: random.split(random.PRNGKey(0), 3), ValueError, r"single key.*shape \(3, 2\).*vmap"),
]


@pytest.mark.parametrize(
    "function",
    [random.split, random.normal, random.uniform, lambda k: random.gamma(k, 1.0), lambda k: random.permutation(k, 3)],
)
@pytest.mark.parametrize("key, error, message", MISTAKES)
def test_mistaken_keys(function: Any, key: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        function(key())


@pytest.mark.parametrize(
    "function",
    [
        bool, lax.sort, jnp.argsort, jnp.sum, jnp.where, jnp.nonzero, jnp.logical_not, jnp.any, lambda k: jnp.where(k, 1, 2),
        lambda k: jnp.select([k], [1], 2), lambda k: jnp.piecewise(1.0, [k], [1, 2]), lambda k: jnp.compress(k, jnp.ones(1)),
        lambda k: jnp.dot(k, k), lambda k: lax.top_k(k, 1), lambda k: lax.sort((k, jnp.ones(1))),
        lambda k: lax.conv(k[None, None], k[None, None], (1,), "SAME"),
    ],
)  # fmt: skip
def test_nothing_is_computed_with_keys(function: Any) -> None:
    """Neither do they have an order, nor are they true or false."""
    keys = random.split(random.key(0), 1)
    for f in (function, pullback.jit(function)):
        with pytest.raises(TypeError):
            f(keys)
    for f in (jnp.signbit, pullback.jit(jnp.signbit)):
        with pytest.raises(ValueError, match="no sign"):
            f(keys)
    assert (lax.sort((jnp.array([1.0]), keys))[1] == keys).all()  # keys move along


def test_numpy_keys_are_taken() -> None:
    assert words(random.split(np.zeros(2, np.uint32), 1)) == words(random.split(random.PRNGKey(0), 1))


def test_raw_keys_can_be_discouraged() -> None:
    with config.legacy_prng_key("warn"), pytest.warns(UserWarning, match="raw uint32 key"):
        random.normal(random.PRNGKey(0))
    with config.legacy_prng_key("error"):
        with pytest.raises(ValueError, match="raw uint32 key"):
            random.normal(random.PRNGKey(0))
        random.normal(random.key(0))


@BOTH
@pytest.mark.parametrize("sampler", [
    lambda k: random.normal(k, (2, 3)),
    lambda k: random.bits(k, (3,), "uint8"),
    lambda k: random.randint(k, (3,), 0, 7),
    lambda k: random.permutation(k, 5),
    lambda k: random.gamma(k, jnp.array([0.3, 3.0])),
    lambda k: random.poisson(k, jnp.array([3.0, 30.0])),
    lambda k: random.binomial(k, 50, jnp.array([0.1, 0.5])),
    lambda k: random.key_data(random.split(k, 3)),
    lambda k: random.key_data(random.fold_in(k, 7)),
    lambda k: random.choice(k, 5, (3,), p=jnp.array([0.1, 0.2, 0.3, 0.2, 0.2])),
])  # fmt: skip
def test_vmap_over_keys_is_a_loop(make_key: Any, sampler: Any) -> None:
    keys = random.split(make_key(9), 4)
    together = pullback.vmap(sampler)(keys)
    one_by_one = [sampler(keys[i]) for i in range(4)]
    np.testing.assert_array_equal(together, np.stack([np.asarray(x) for x in one_by_one]))


def test_vmap_over_seeds_and_data() -> None:
    keys = pullback.vmap(random.key)(jnp.arange(3))
    assert keys.shape == (3,) and words(keys) == [[0, 0], [0, 1], [0, 2]]
    folded = pullback.vmap(random.fold_in, in_axes=(None, 0))(random.key(0), jnp.arange(3))
    assert words(folded) == [words(random.fold_in(random.key(0), i)) for i in range(3)]
    both = pullback.vmap(random.fold_in)(keys, jnp.arange(3))
    assert words(both) == [words(random.fold_in(random.key(i), i)) for i in range(3)]


def test_keys_are_arrays() -> None:
    keys = random.split(random.key(0), 6)
    table = keys.reshape(2, 3)
    assert table.shape == (2, 3) and words(table[1, 2]) == words(keys[5]) and words(table.T[2, 1]) == words(keys[5])
    assert words(jnp.concatenate([keys[:1], keys[5:]])) == [words(keys[0]), words(keys[5])]
    assert len(list(keys)) == 6
    with pytest.raises((TypeError, ValueError), match="fry"):
        keys + 1


def test_keys_pass_through_staging_and_differentiation() -> None:
    key = random.key(1)
    program = pullback.make_jaxpr(lambda k: random.normal(random.split(k)[0], (3,)))(key)
    assert "key<fry>[]" in str(program) and "random_normal" in str(program)
    value, slope = pullback.value_and_grad(lambda s: (s * random.normal(random.fold_in(key, 2), (3,))).sum())(2.0)
    np.testing.assert_allclose(value, 2 * slope, rtol=1e-6)


NO_NUMPY = {
    "asarray": np.asarray, "array": lambda k: np.array([k]), "tolist": lambda k: k.tolist(), "item": lambda k: k.item(), "int": int,
    "save": lambda k: jnp.save(io.BytesIO(), k), "dtype": lambda k: np.asarray(k, np.uint32),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_NUMPY)
def test_typed_keys_are_no_arrays_of_numpy(name):
    with pytest.raises(TypeError, match="key"):
        NO_NUMPY[name](random.key(0))


def test_typed_keys_that_are_fetched_stay_keys():
    for fetched in (device_get(random.key(3)), device_get({"k": random.key(3)})["k"]):
        assert fetched.dtype == random.key(0).dtype and words(fetched) == words(random.key(3))


@pytest.mark.parametrize(
    ("impl", "error"), [("rbg", ValueError), ("foo", ValueError), (3, TypeError), (1.5, TypeError)]
)
def test_other_generators_are_refused(impl, error):
    for make in (
        lambda: random.key(0, impl=impl),
        lambda: random.PRNGKey(0, impl=impl),
        lambda: random.key_dtype(impl),
    ):
        with pytest.raises(error, match="threefry2x32"):
            make()
