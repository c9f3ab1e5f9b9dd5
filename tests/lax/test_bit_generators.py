"""XLA's generators of random bits beyond the conformance table: known streams, continuation, errors, what is not reproducible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback.numpy as jnp
from pullback import lax
from pullback.core.array import as_array
from pullback.core.config import enable_x64
from pullback.lax.bit_generators import philox
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.vmap import vmap

KEY = np.array([1, 2, 3, 4], np.uint32)


def test_philox_gives_the_published_numbers() -> None:
    # The known answer for all ones (Random123, kat_vectors): philox4x32 10, counter and key ffffffff.
    ones = np.uint64(2**64 - 1)
    words = philox(ones, ones, 4, wide=False)[1]
    assert [f"{int(w):08x}" for w in words] == ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]
    words = philox(np.uint64(0), np.uint64(0), 4, wide=False)[1]
    assert [f"{int(w):08x}" for w in words] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_streams_of_the_platform() -> None:
    def bits(algorithm: lax.RandomAlgorithm) -> list[int]:
        return np.asarray(lax.rng_bit_generator(KEY, (4,), algorithm=algorithm)[1]).tolist()

    philox_words = [512747620, 1298009047, 1267190206, 761827841]
    assert bits(lax.RandomAlgorithm.RNG_PHILOX) == bits(lax.RandomAlgorithm.RNG_DEFAULT) == philox_words
    assert bits(lax.RandomAlgorithm.RNG_THREE_FRY) == [1576285164, 2249660814, 740599976, 2425682526]


@pytest.mark.parametrize("algorithm", list(lax.RandomAlgorithm))
def test_the_new_key_continues_the_stream(algorithm: lax.RandomAlgorithm) -> None:
    whole = np.asarray(lax.rng_bit_generator(KEY, (16,), algorithm=algorithm)[1])
    key: Any = KEY
    parts = []
    for _ in range(2):
        key, part = lax.rng_bit_generator(key, (8,), algorithm=algorithm)
        parts.append(np.asarray(part))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_keys_of_either_type_are_the_same_words() -> None:
    with enable_x64(True):
        new, bits = lax.rng_bit_generator(KEY.view(np.uint64), (3,))
        assert new.dtype == np.uint64
        words, same = lax.rng_bit_generator(KEY, (3,))
        np.testing.assert_array_equal(np.asarray(new).view(np.uint32), words)
        np.testing.assert_array_equal(bits, same)


def test_narrow_bits_are_the_low_ones_and_sizes_may_be_a_number() -> None:
    words = np.asarray(lax.rng_bit_generator(KEY, 5)[1])
    np.testing.assert_array_equal(lax.rng_bit_generator(KEY, (5,), np.uint8)[1], words.astype(np.uint8))
    np.testing.assert_array_equal(lax.rng_bit_generator(KEY, (5,), np.uint16)[1], words.astype(np.uint16))


def test_vmap_draws_from_the_stream_of_the_first_key() -> None:
    keys = np.stack([KEY, KEY + 1])
    new, bits = vmap(lambda k: lax.rng_bit_generator(k, (3,)), in_axes=1)(keys.T.copy())
    first, expected = lax.rng_bit_generator(KEY, (2, 3))
    np.testing.assert_array_equal(bits, expected)
    np.testing.assert_array_equal(new, np.stack([np.asarray(first), KEY + 1]))


def test_bits_are_constants_to_differentiation() -> None:
    out, t = jvp(lambda x: x * lax.rng_bit_generator(KEY, (2,))[1].astype(jnp.float32), (2.0,), (1.0,))
    np.testing.assert_allclose(np.asarray(out), 2 * np.asarray(t))


@pytest.mark.parametrize("key", [KEY[:2], KEY.astype(np.int32), KEY.reshape(2, 2), np.float32(1)])
def test_other_keys_are_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="rng_bit_generator takes a key of 4 words"):
        lax.rng_bit_generator(key, (3,))


def test_other_arguments_are_refused() -> None:
    for dtype in (np.int32, np.float32, np.bool_):
        with pytest.raises(TypeError, match="unsupported dtype"):
            lax.rng_bit_generator(KEY, (3,), dtype)
    with pytest.raises(ValueError, match="negative"):
        lax.rng_bit_generator(KEY, (-1,))
    with pytest.raises(ValueError, match="RandomAlgorithm"):
        lax.rng_bit_generator(KEY, (3,), algorithm=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="there are no shardings yet"):
        lax.rng_bit_generator(KEY, (3,), out_sharding="x")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32", "uint32"])
def test_uniform_numbers_lie_between_their_bounds(dtype: str) -> None:
    x = lax.rng_uniform(jnp.asarray(10, dtype), jnp.asarray(20, dtype), (100,))
    assert x.dtype == jnp.dtype(dtype)
    values = np.asarray(x).astype(np.float64)
    assert values.min() >= 10 and values.max() <= 20 and values.std() > 1


def test_uniform_numbers_are_other_ones_each_time() -> None:
    two = jit(lambda a: (lax.rng_uniform(a, 1.0, (4,)), lax.rng_uniform(a, 1.0, (4,))))
    drawn = [*two(0.0), *two(0.0), lax.rng_uniform(0.0, 1.0, (4,)), lax.rng_uniform(0.0, 1.0, (4,))]
    assert len({np.asarray(x).tobytes() for x in drawn}) == len(drawn)


def test_uniform_numbers_have_errors_that_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="identical dtypes"):
        lax.rng_uniform(0.0, 1, (2,))
    with pytest.raises(ValueError, match="must be scalars"):
        lax.rng_uniform(jnp.zeros(2), jnp.ones(2), (2,))
    for dtype in ("int8", "uint16", "bool", "complex64"):
        with pytest.raises(TypeError, match="does not make numbers"):
            lax.rng_uniform(jnp.zeros((), dtype), jnp.ones((), dtype), (2,))
    with pytest.raises(NotImplementedError, match="random.uniform"):
        vmap(lambda a: lax.rng_uniform(a, 1.0, (2,)))(as_array(np.zeros(3, np.float32)))
    with pytest.raises(NotImplementedError, match="random.uniform"):
        jvp(lambda a: lax.rng_uniform(a, 1.0, (2,)), (0.0,), (1.0,))
