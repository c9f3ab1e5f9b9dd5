"""Arrays: immutable, and sharing nothing with the user's own."""

from __future__ import annotations

import contextlib
import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.array import ConcreteArray, as_array


def test_contents_are_copied_on_the_way_in() -> None:
    x = np.ones(3, np.float32)
    a, b = jnp.array(x), jnp.asarray(x)
    y = jnp.sin(x)
    x[:] = 7
    assert a.tolist() == [1, 1, 1] and b.tolist() == [1, 1, 1]
    assert np.allclose(y, np.sin(1.0))


def written(view: np.ndarray) -> None:
    """Write to a NumPy array by all means that NumPy offers."""
    while isinstance(view, np.ndarray):
        with contextlib.suppress(ValueError):
            view.flags.writeable = True
        with contextlib.suppress(ValueError):
            view[...] = 7
        with contextlib.suppress(ValueError):
            np.frombuffer(view, np.uint8)[...] = 7
        view = view.base  # type: ignore[assignment]


OUT = {
    "asarray": np.asarray,
    "asarray without a copy": lambda x: np.asarray(x, copy=False),
    "array": np.array,
    "__array__": lambda x: x.__array__(),
    "__array__ with a copy": lambda x: x.__array__(copy=True),
    "__array__ of another type": lambda x: x.__array__(np.float64),
    "device_get": pb.device_get,
    "dlpack": np.from_dlpack,
    "dlpack with a copy": lambda x: np.from_dlpack(x, copy=True),
    "dlpack without a copy": lambda x: np.from_dlpack(x, copy=False),
    "dlpack of old": lambda x: np.from_dlpack(OfOld(x)),
    "reduced": lambda x: x.__reduce__()[1][0],
    "unpickled": lambda x: np.asarray(pickle.loads(pickle.dumps(x))),
    "copied": lambda x: np.asarray(copy.copy(x)),
    "part": lambda x: np.asarray(x[1:]),
    "reshaped": lambda x: np.asarray(x.reshape(-1, 1)),
    "iterated": lambda x: np.asarray(next(iter(x.reshape(1, -1)))),
    "ascontiguousarray": np.ascontiguousarray,
    "bytes": lambda x: np.frombuffer(x.tobytes(), np.uint8),
}


class OfOld:
    """Exports as arrays did before DLPack 1.0."""

    def __init__(self, x: object) -> None:
        self.x = x

    def __dlpack__(self, stream: object = None, **_: object) -> object:
        return self.x.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> object:
        return self.x.__dlpack_device__()


MAKERS = {
    "eager": lambda n: jnp.arange(n, dtype="float32"),
    "compiled": lambda n: pb.jit(lambda x: x + 0)(jnp.arange(n, dtype="float32")),
    "handed over": lambda n: (lambda x: (pb.jit(jnp.sin)(x), x)[1])(jnp.arange(n, dtype="float32")),
    "a view": lambda n: jnp.arange(2 * n, dtype="float32")[:n],
    "in steps": lambda n: jnp.arange(2 * n, dtype="float32").reshape(n, 2).T[0] // 2,
}


@pytest.mark.parametrize("made", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("out", OUT.values(), ids=OUT)
def test_memory_is_not_written_to_from_outside(made, out) -> None:
    for n in (3, 5000):
        x = made(n)
        view = out(x)
        written(view)
        np.testing.assert_array_equal(x, np.arange(n))
        written(view)  # after XLA has it
        np.testing.assert_array_equal(pb.jit(lambda x: x * 1)(x), np.arange(n))


@pytest.mark.parametrize("dtype", ["bfloat16", "int4", "float8_e4m3fn", "complex64", "bool"])
def test_memory_of_other_types_is_not_written_to(dtype) -> None:
    for n in (3, 10000):
        x = jnp.ones(n, dtype)
        for view in (np.asarray(x), x.__array__(copy=False), x.__reduce__()[1][0]):
            assert view.dtype == x.dtype
            assert view.shape == x.shape
            written(view)
        assert bool((x == jnp.ones(n, dtype)).all())
    keys = pb.random.split(pb.random.key(0), 1000)
    written(np.asarray(pb.random.key_data(keys)))
    written(keys.__reduce__()[1][0])
    assert (
        pb.random.key_data(keys)[0].tolist() == pb.random.key_data(pb.random.split(pb.random.key(0), 1000))[0].tolist()
    )


def test_buffers_that_are_pickled_apart() -> None:
    x, buffers = jnp.arange(5000.0), []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    for b in buffers:
        with pytest.raises(ValueError, match="read-only"):
            np.frombuffer(b, np.uint8)[...] = 7
    theirs = [bytearray(b.raw()) for b in buffers]
    y = pickle.loads(data, buffers=theirs)
    for b in theirs:
        b[:] = bytes(len(b))
    np.testing.assert_array_equal(x, np.arange(5000))
    np.testing.assert_array_equal(y, np.arange(5000))


def test_what_dlpack_cannot_share() -> None:
    with pytest.raises(BufferError, match=r"DLPack 1\.0"):
        jnp.ones(3).__dlpack__(copy=False)
    assert not np.from_dlpack(jnp.ones(3), copy=False).flags.writeable


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit])
@pytest.mark.parametrize("n", [3, 5000])
def test_callbacks_do_not_write_to_their_arguments(wrap, n) -> None:
    results = []

    def host(v):
        written(np.asarray(v))
        results.append(np.zeros(n, np.float32))
        return results[-1]

    x, want = jnp.arange(n, dtype="float32"), np.arange(n)
    struct = pb.ShapeDtypeStruct((n,), "float32")
    pure = wrap(lambda x: (pb.pure_callback(host, struct, x), x * 1))
    effect = wrap(lambda x: (pb.experimental.io_callback(host, struct, x), x * 1))
    one = lambda v: pb.pure_callback(lambda v: (written(np.asarray(v)), v)[1], struct, v, vmap_method="sequential")
    mapped = wrap(lambda x: pb.vmap(one)(x[None]))
    for f in (pure, effect):
        out, same = f(x)
        results[-1][...] = 9  # what a callback returned is copied
        np.testing.assert_array_equal(out, np.zeros(n))
        np.testing.assert_array_equal(same, want)
    mapped(x)
    wrap(lambda x: pb.debug.callback(lambda v: written(np.asarray(v)), x))(x)
    np.testing.assert_array_equal(x, want)


def test_what_goes_out_cannot_be_written_to() -> None:
    a = jnp.ones((2, 2))
    for view in (np.asarray(a), a.__array__(), np.asarray(a.T), np.asarray(a[0])):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
    assert np.array(a).flags.writeable, "a copy is the user's own"


def test_item_assignment_says_what_to_do_instead() -> None:
    with pytest.raises(TypeError, match=r"x = x\.at\[idx\]\.set\(y\)"):
        jnp.ones(3)[0] = 2.0


def test_isinstance_holds_for_arrays_and_tracers() -> None:
    seen = []
    pb.grad(lambda x: seen.append(isinstance(x, pb.Array)) or x)(1.0)
    pb.vmap(lambda x: seen.append(isinstance(x, pb.Array)) or x)(jnp.ones(2))
    pb.make_jaxpr(lambda x: seen.append(isinstance(x, pb.Array)) or x)(1.0)
    assert seen == [True, True, True] and isinstance(jnp.ones(2), pb.Array)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.int8, np.bool_, np.complex64, ml_dtypes.bfloat16], ids=lambda d: d.__name__
)
def test_copies_and_pickles_are_equal(dtype: type) -> None:
    a = jnp.asarray(np.array([0, 1, 1]).astype(dtype))
    for b in (copy.copy(a), copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert b.dtype == a.dtype and b.weak_type == a.weak_type and np.array_equal(b, a)


def test_pickling_keeps_weakness() -> None:
    a = jnp.asarray(1.5)
    assert a.weak_type == pickle.loads(pickle.dumps(a)).weak_type
    weak = as_array(1.5)
    assert weak.weak_type and pickle.loads(pickle.dumps(weak)).weak_type


def test_scalars_convert() -> None:
    assert (float(jnp.float32(1.5)), int(jnp.int32(3)), complex(jnp.complex64(1j)), bool(jnp.array(True))) == (
        1.5,
        3,
        1j,
        True,
    )
    assert [10, 20, 30][jnp.int32(1)] == 20
    assert list(range(jnp.int32(2))) == [0, 1]
    assert f"{jnp.float32(1.25):.1f}" == "1.2"


def test_truth_of_many_elements_is_ambiguous() -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        bool(jnp.ones(2))
    with pytest.raises(ValueError, match="empty"):
        bool(jnp.ones(0))


def test_arrays_do_not_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(jnp.ones(2))


@pytest.mark.parametrize(
    "value, text",
    [
        (lambda: jnp.array([1.0, 2.0]), "Array([1., 2.], dtype=float32)"),
        (lambda: jnp.array(3), "Array(3, dtype=int32, weak_type=True)"),
        (lambda: jnp.zeros((0, 2)), "Array([], shape=(0, 2), dtype=float32)"),
        (lambda: jnp.zeros(0, jnp.int32), "Array([], shape=(0,), dtype=int32)"),
        (lambda: jnp.ones((), jnp.bfloat16), "Array(1, dtype=bfloat16)"),
    ],
)
def test_repr(value: object, text: str) -> None:
    assert repr(value()) == text  # type: ignore[operator]


def test_dlpack_gives_a_copy_that_is_ones_own() -> None:
    a = jnp.arange(3.0)
    b = np.from_dlpack(a)
    assert np.array_equal(a, b)


def test_big_endian_and_subclasses_come_in_native() -> None:
    a = jnp.asarray(np.arange(3, dtype=">f4"))
    assert a.dtype == np.float32 and a.dtype.isnative and a.tolist() == [0, 1, 2]

    class Subclass(np.ndarray):
        pass

    assert type(np.asarray(jnp.asarray(np.ones(2).view(Subclass)))) is np.ndarray


def test_objects_and_strings_are_refused() -> None:
    for value in (np.array(["a"]), np.array([None]), object(), "a"):
        with pytest.raises(TypeError, match="not a valid"):
            as_array(value)


def test_sixty_four_bits_are_narrowed_unless_enabled() -> None:
    x = np.arange(3.0)
    assert jnp.asarray(x).dtype == np.float32
    with pb.enable_x64(True):
        assert jnp.asarray(x).dtype == np.float64
    assert as_array(np.float64(1)).dtype == np.float32


def test_python_integers_out_of_range_are_refused() -> None:
    with pytest.raises(OverflowError, match="int32"):
        as_array(2**40)


def test_numpy_leaves_mixed_operators_to_arrays() -> None:
    out = np.ones(3, np.float32) + jnp.ones(3)
    assert isinstance(out, ConcreteArray)
    out = np.float32(2) * jnp.ones(3)
    assert isinstance(out, ConcreteArray) and out.dtype == np.float32


MASKED = [
    np.ma.array([1.0, 2.0, 100.0], mask=[0, 0, 1]), np.ma.array([1.0, 2.0, 3.0]), np.ma.masked, np.ma.array(3.0, mask=False),
]  # fmt: skip


@pytest.mark.parametrize("m", MASKED)
@pytest.mark.parametrize(
    "use",
    [
        jnp.sum, jnp.asarray, jnp.array, jnp.isnan, pb.lax.neg, pb.device_put,
        lambda m: jnp.ones(3) + m, lambda m: m + jnp.ones(3), lambda m: jnp.ones(3) == m, lambda m: jnp.zeros(3).at[:].set(m),
        lambda m: jnp.where(m, 1, 2), lambda m: jnp.stack([m, m]), lambda m: jnp.array([m, m]), lambda m: jnp.full(3, m),
        lambda m: pb.jit(lambda x: x)(m), lambda m: pb.jit(lambda d: d)({"a": [m]}), lambda m: pb.jit(lambda: jnp.sin(m))(),
        lambda m: pb.jit(lambda: m)(), lambda m: pb.grad(lambda x: (x * 2).sum())(m), lambda m: pb.jvp(jnp.sin, (m,), (m,)),
        lambda m: pb.linearize(jnp.sin, m), lambda m: pb.vjp(jnp.sin, m), lambda m: pb.checkpoint(jnp.sin)(m),
        lambda m: pb.vmap(lambda x: x)(np.ma.atleast_1d(m)), lambda m: pb.lax.scan(lambda c, x: (c, x), 0, np.ma.atleast_1d(m)),
        lambda m: pb.lax.fori_loop(0, 1, lambda i, c: c, m), lambda m: pb.lax.cond(True, lambda x: x, lambda x: x, m),
        lambda m: pb.eval_shape(lambda x: x, m), lambda m: pb.make_jaxpr(lambda x: x)(m), lambda m: pb.jit(lambda x: x).lower(m),
    ],
)  # fmt: skip
def test_masked_arrays_are_refused(use, m):
    with pytest.raises((ValueError, TypeError)):
        use(m)


@pytest.mark.parametrize(
    "m", [np.ma.array([0, 1, 2], mask=[0, 0, 1]), np.ma.array([True, False, True]), np.ma.array(1)]
)
@pytest.mark.parametrize(
    "use",
    [
        lambda x, m: x[m], lambda x, m: x[m, ...], lambda x, m: x[None, m],
        lambda x, m: x.at[m].set(1.0), lambda x, m: x.at[m].add(1.0), lambda x, m: jnp.pad(x, 1, constant_values=m),
    ],
)  # fmt: skip
def test_masked_arrays_are_no_indices(use, m):
    f = lambda x: use(x, m)
    for g in (f, pb.jit(f), pb.grad(lambda x: f(x).sum())):
        with pytest.raises(ValueError, match="masked"):
            g(jnp.ones(3))
