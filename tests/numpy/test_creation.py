"""`numpy/creation.py`: values and types of new arrays, diagonals and triangles under transformations, and the errors."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback
import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.core.config import enable_x64

M = np.arange(12, dtype=np.float32).reshape(3, 4)


def typing(x: Array) -> tuple[str, bool]:
    return x.dtype.name, x.weak_type


# ---- from values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, expected, dtype, weak",
    [
        (1.0, 1.0, "float32", True), (1, 1, "int32", True), (True, True, "bool", False), (1j, 1j, "complex64", True),
        ([1, 2.0], [1.0, 2.0], "float32", False), ([True, 2], [1, 2], "int32", False), ([1 + 2j, 3], [1 + 2j, 3], "complex64", False),
        ([], [], "float32", False), ([[], []], [[], []], "float32", False), ((1, 2), [1, 2], "int32", False),
        (range(3), [0, 1, 2], "int32", False),
        ([(1, 2), [3, 4]], [[1, 2], [3, 4]], "int32", False), (np.float64(1), 1.0, "float32", False),
        (np.array([1, 2], ">i4"), [1, 2], "int32", False),
        ([np.float16(1), 2.5], [1.0, 2.5], "float16", False), ([np.float16(1), np.float32(2)], [1, 2], "float32", False),
        ([np.array([1, 2]), [3, 4]], [[1, 2], [3, 4]], "int32", False), (bytearray(b"ab"), [97, 98], "uint8", False),
        ([1e300, -1e300], [np.inf, -np.inf], "float32", False), (-0.0, -0.0, "float32", True), ([np.nan], [np.nan], "float32", False),
    ],
    ids=repr,
)  # fmt: skip
def test_array_of(value: Any, expected: Any, dtype: str, weak: bool) -> None:
    for make in (jnp.array, jnp.asarray):
        x = make(value)
        assert typing(x) == (dtype, weak)
        np.testing.assert_array_equal(x, np.array(expected, dtype))


def test_array_of_arrays_and_tracers() -> None:
    weak, strong = jnp.array(1.0), jnp.float32(1)
    assert typing(jnp.array(weak)) == ("float32", True) and jnp.asarray(strong) is strong
    assert typing(jnp.array([weak, 2])) == ("float32", False)
    assert typing(jnp.array([jnp.ones(2), jnp.arange(2)])) == ("float32", False)
    assert jnp.array([jnp.ones((0,))]).shape == (1, 0)
    assert jnp.array((strong,)).shape == (1,) and jnp.array([(strong,)]).shape == (1, 1)

    def f(x: Any) -> Any:
        return jnp.array([[x, 2.0], [x * x, jnp.float32(3)]])

    np.testing.assert_array_equal(f(4.0), [[4, 2], [16, 3]])
    np.testing.assert_array_equal(pullback.jacfwd(f)(4.0), [[1, 0], [8, 0]])
    np.testing.assert_array_equal(pullback.jacrev(f)(4.0), [[1, 0], [8, 0]])
    np.testing.assert_array_equal(pullback.vmap(f)(jnp.array([4.0, 5.0]))[1], [[5, 2], [25, 3]])
    assert pullback.vmap(lambda x: jnp.array([x]))(jnp.ones((2, 3))).shape == (2, 1, 3)


def test_array_of_a_given_dtype() -> None:
    assert typing(jnp.array(1.0, dtype=float)) == ("float32", False)
    assert jnp.array([1.7, -2.2], dtype="int8").tolist() == [1, -2]
    assert jnp.array([0.0, 0.5], dtype=bool).tolist() == [False, True]
    assert int(jnp.array(2**31, dtype="uint32")) == 2**31
    assert typing(jnp.array(jnp.array(1.0), dtype="float32")) == ("float32", False)
    assert jnp.array([1, 2], ndmin=3).shape == (1, 1, 2)
    assert float(jnp.array(2**70, dtype=float)) == 2.0**70
    with enable_x64(True):
        assert typing(jnp.array([2**40])) == ("int64", False)


def test_numpy_arrays_are_copied() -> None:
    source = np.ones(3, np.float32)
    for make in (jnp.array, jnp.asarray, jnp.copy, lambda a: jnp.array([a])[0], lambda a: jnp.asarray(a, "float32")):
        x = make(source)
        source[0] = 7
        assert x.tolist() == [1.0, 1.0, 1.0]
        source[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(x)[0] = 5


def test_objects_that_convert_themselves() -> None:
    class Wrapped:
        def __init__(self, protocol: str, value: Any) -> None:
            setattr(type(self), protocol, lambda self, *args, **kwargs: value)

    assert jnp.array(Wrapped("__jax_array__", jnp.arange(2))).tolist() == [0, 1]
    assert jnp.array(type("A", (), {"__array__": lambda self, dtype=None, copy=None: np.arange(2)})()).tolist() == [
        0,
        1,
    ]
    assert jnp.from_dlpack(np.arange(3, dtype=np.float32)).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value, error",
    [
        (None, ValueError), ([None], ValueError), ("a", TypeError), (b"a", TypeError), ({"a": 1}, TypeError), (object(), TypeError),
        ({1}, TypeError),
        ([[1, 2], [3]], ValueError), ([1, [2]], ValueError), ([2**31], OverflowError), (2**31, OverflowError),
        (-(2**31) - 1, OverflowError),
        (np.array(["a"]), TypeError), (np.array([1, None]), TypeError), (np.datetime64("2020-01-01"), TypeError),
    ],
    ids=lambda v: re.sub(r" at 0x\w+", "", repr(v)),
)  # fmt: skip
def test_what_is_no_array(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        jnp.array(value)


def test_memory_order_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="order"):
        jnp.array([1], order="F")
    with pytest.raises(NotImplementedError, match="order"):
        jnp.asarray(jnp.ones(1), order="F")


def test_buffers_texts_and_files(tmp_path: Path) -> None:
    assert jnp.frombuffer(b"\x01\x00\x02\x00", "int16").tolist() == [1, 2]
    assert jnp.fromstring("1 2 3", dtype=int, sep=" ").tolist() == [1, 2, 3]
    for x in (jnp.arange(3), jnp.ones(2, "bfloat16")):
        jnp.save(tmp_path / "x.npy", x)
        back = jnp.load(tmp_path / "x.npy")
        assert back.dtype == x.dtype and back.tolist() == x.tolist()
    buffer = io.BytesIO()
    jnp.savez(buffer, jnp.ones(1), b=jnp.zeros(2))
    buffer.seek(0)
    assert jnp.load(buffer)["b"].tolist() == [0, 0]
    for unsafe in (jnp.fromfile, jnp.fromiter):
        with pytest.raises(NotImplementedError):
            unsafe("x")


# ---- filled -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, expected, dtype, weak",
    [
        (lambda: jnp.zeros(2), [0, 0], "float32", False), (lambda: jnp.ones((1, 2), int), [[1, 1]], "int32", False),
        (lambda: jnp.empty(()), 0, "float32", False), (lambda: jnp.full(2, 1.0), [1, 1], "float32", True),
        (lambda: jnp.full(2, 1), [1, 1], "int32", True),
        (lambda: jnp.full(2, True), [True, True], "bool", False), (lambda: jnp.full((2,), 1.5, int), [1, 1], "int32", False),
        (lambda: jnp.full((2, 2), jnp.array([1.0, 2.0])), [[1, 2], [1, 2]], "float32", False),
        (lambda: jnp.zeros_like(1.0), 0, "float32", True),
        (lambda: jnp.zeros_like(1.0, dtype=float), 0, "float32", False),
        (lambda: jnp.ones_like(jnp.array(1), shape=(2,)), [1, 1], "int32", True),
        (lambda: jnp.full_like(1, 2.5), 2, "int32", True),
        (lambda: jnp.full_like(jnp.arange(2), jnp.array([1.5, 2.5])), [1, 2], "int32", False),
        (lambda: jnp.ones(2, "bfloat16"), [1, 1], "bfloat16", False),
        (lambda: jnp.zeros(np.int8(2), "bool"), [False, False], "bool", False),
        (lambda: jnp.ones((jnp.array(1), np.int64(2))), [[1, 1]], "float32", False),
        (lambda: jnp.empty_like(np.ones(2)), [0, 0], "float32", False),
    ],
)  # fmt: skip
def test_filled(make: Callable[[], Array], expected: Any, dtype: str, weak: bool) -> None:
    x = make()
    assert typing(x) == (dtype, weak)
    np.testing.assert_array_equal(np.asarray(x.astype("float32")), np.array(expected, "float32"))
    traced = pullback.vmap(lambda _: make())(jnp.ones(3))
    assert typing(traced) == (dtype, weak)
    np.testing.assert_array_equal(np.asarray(traced[2]), np.asarray(x))


def test_full_is_differentiable_in_its_value() -> None:
    assert float(pullback.grad(lambda v: jnp.full((3,), v).sum())(2.0)) == 3.0
    assert float(pullback.grad(lambda v: jnp.full_like(jnp.ones(4), v).sum())(2.0)) == 4.0


# ---- ranges -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, expected, dtype",
    [
        ((3,), [0, 1, 2], "int32"), ((3.0,), [0, 1, 2], "float32"), ((0, 1, 0.25), [0, 0.25, 0.5, 0.75], "float32"),
        ((5, 0, -2), [5, 3, 1], "int32"),
        ((0,), [], "int32"), ((-3,), [], "int32"), ((np.int8(3),), [0, 1, 2], "int8"), ((1.5, 4), [1.5, 2.5, 3.5], "float32"),
        ((1, 3, None, "float16"), [1, 2], "float16"),
        ((1.5, 4, None, int), [1, 2, 3], "int32"), ((0, 3, 1, "bfloat16"), [0, 1, 2], "bfloat16"), ((0, 3, 1, "int4"), [0, 1, 2], "int4"),
        ((3, None, 2), [0, 2], "int32"),
    ],
)  # fmt: skip
def test_arange(args: tuple[Any, ...], expected: list[float], dtype: str) -> None:
    x = jnp.arange(*args)
    assert typing(x) == (dtype, False)
    np.testing.assert_array_equal(np.asarray(x.astype("float32")), expected)
    np.testing.assert_array_equal(np.asarray(pullback.vmap(lambda _: jnp.arange(*args))(jnp.ones(2))[1]), np.asarray(x))


def test_arange_multiplies_and_does_not_add_up() -> None:
    i = np.arange(1000, dtype=np.float32)
    np.testing.assert_array_equal(jnp.arange(0, 100, 0.1), i * np.float32(0.1))
    np.testing.assert_array_equal(jnp.arange(1, 3, 0.01), np.arange(200, dtype=np.float32) * np.float32(0.01) + 1)


@pytest.mark.parametrize(
    "args, error",
    [
        ((True,), TypeError), ((2, None, None, bool), TypeError), ((1j,), ValueError), ((np.arange(2),), ValueError),
        ((0, 5, 0), ZeroDivisionError), ((None,), TypeError),
    ],
)  # fmt: skip
def test_arange_errors(args: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        jnp.arange(*args)


@pytest.mark.parametrize("num", [0, 1, 2, 7])
@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("start, stop", [(0.0, 1.0), (3.0, -2.0), (np.array([1.0, 2.0]), 8.0)])
def test_spaces_are_numpys(start: Any, stop: Any, endpoint: bool, num: int) -> None:
    expected, step = np.linspace(start, stop, num, endpoint=endpoint, retstep=True)
    ours, our_step = jnp.linspace(start, stop, num, endpoint=endpoint, retstep=True)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)
    if num > 1:
        np.testing.assert_allclose(our_step, step, rtol=1e-6)
        assert endpoint is False or (np.asarray(ours)[-1] == stop).all()
    np.testing.assert_allclose(
        jnp.logspace(start, stop, num, endpoint, 2.0), np.logspace(start, stop, num, endpoint, 2.0), rtol=1e-5
    )
    if not np.any(np.asarray(start) * stop <= 0):
        np.testing.assert_allclose(
            jnp.geomspace(start, stop, num, endpoint), np.geomspace(start, stop, num, endpoint), rtol=1e-5
        )


def test_spaces_of_other_types() -> None:
    assert jnp.linspace(0, 10, 5, dtype=int).tolist() == [0, 2, 5, 7, 10]
    assert jnp.linspace(-1, 1, 4, dtype=int).tolist() == [-1, -1, 0, 1]
    assert typing(jnp.linspace(np.float16(0), 1, 3)) == ("float16", False)
    assert jnp.linspace(0, 1j, 3).tolist() == [0, 0.5j, 1j]
    assert jnp.geomspace(1, 256, 9, dtype=int).tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    np.testing.assert_allclose(jnp.geomspace(-1, -1000, 4), [-1, -10, -100, -1000], rtol=1e-5)
    np.testing.assert_allclose(jnp.geomspace(1, -1, 3, dtype=complex), [1, 1j, -1], atol=1e-6)
    assert np.isnan(np.asarray(jnp.geomspace(1, -1, 3))).all()
    assert jnp.linspace(jnp.zeros(2), 1.0, 3, axis=-1).shape == (2, 3)
    with pytest.raises(ValueError, match="negative"):
        jnp.linspace(0, 1, -1)


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize(
    "ends", [(1.0, np.inf), (-2.0, -np.inf), (np.nan, 1.0), (1.0, np.nan), (3.0, 0.0), (1.0, -0.0)]
)
def test_ends_of_ranges_that_are_not_finite(ends: tuple[float, float], endpoint: bool) -> None:
    for num in (1, 2, 3, 5):
        with np.errstate(invalid="ignore"):
            expected = np.linspace(*ends, num, endpoint=endpoint)
        if num == 1:
            expected = np.array([ends[0]])  # NumPy multiplies a step by 0
        for linspace in (jnp.linspace, pullback.jit(jnp.linspace, static_argnums=(2, 3))):
            np.testing.assert_allclose(linspace(*ends, num, endpoint), expected, rtol=1e-6, atol=1e-6)
    both = jnp.linspace(jnp.array([0.0, 1.0]), jnp.array([np.inf, 3.0]), 3)
    np.testing.assert_array_equal(both, [[np.nan, 1], [np.inf, 2], [np.inf, 3]])
    assert jnp.linspace(-np.inf, 1.0, 3).tolist() == [-np.inf, -np.inf, 1.0]  # as JAX; NumPy has NaN
    slopes = pullback.jit(pullback.jacrev(lambda a: jnp.linspace(a, 1.0, 3)))(0.0)
    np.testing.assert_allclose(slopes, [1, 0.5, 0])


def test_a_geometric_range_of_one_is_its_start() -> None:
    for endpoint in (True, False):
        assert jnp.geomspace(-1.5, 1.0, 1, endpoint).tolist() == [-1.5]


def test_linspace_is_differentiable() -> None:
    np.testing.assert_allclose(
        pullback.jacfwd(lambda a: jnp.linspace(a, 1.0, 5))(0.0), [1, 0.75, 0.5, 0.25, 0], atol=1e-6
    )
    np.testing.assert_allclose(
        pullback.jacrev(lambda b: jnp.linspace(0.0, b, 5))(1.0), [0, 0.25, 0.5, 0.75, 1], atol=1e-6
    )


# ---- grids ------------------------------------------------------------------------------------------------------


GRIDS: dict[str, Callable[[Any], Any]] = {
    "meshgrid": lambda xp: xp.meshgrid(xp.arange(2), xp.arange(3), xp.arange(4)),
    "meshgrid_ij": lambda xp: xp.meshgrid(xp.arange(2), xp.arange(3), indexing="ij", sparse=True),
    "meshgrid_one": lambda xp: xp.meshgrid(xp.arange(2)),
    "indices": lambda xp: xp.indices((2, 3)),
    "indices_sparse": lambda xp: xp.indices((2, 3), sparse=True),
    "mgrid": lambda xp: xp.mgrid[0:3],
    "mgrid_2": lambda xp: xp.mgrid[0:2, 1:3],
    "mgrid_points": lambda xp: xp.mgrid[0:1:5j, 0:2],
    "ogrid": lambda xp: xp.ogrid[0:2, 0:3],
    "r_": lambda xp: xp.r_[1, 2, 3:5, xp.arange(2)],
    "r_points": lambda xp: xp.r_[0:1:5j],
    "r_columns": lambda xp: xp.r_["0,2,0", xp.arange(2), xp.arange(3)],
    "r_rows": lambda xp: xp.r_["0,2", xp.arange(2), xp.arange(2)],
    "r_trans": lambda xp: xp.r_["1,3,0", xp.arange(2), xp.arange(2)],
    "r_matrix": lambda xp: xp.r_["-1", xp.ones((2, 1)), xp.zeros((2, 2))],
    "c_": lambda xp: xp.c_[xp.arange(2), xp.ones((2, 2))],
    "c_ranges": lambda xp: xp.c_[1:3, 3:5],
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_grids_are_numpys(grid: Callable[[Any], Any]) -> None:
    ours, numpys = grid(jnp), grid(np)
    if isinstance(numpys, np.ndarray):
        ours, numpys = [ours], [numpys]
    assert len(ours) == len(numpys)
    for a, b in zip(ours, numpys):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b)


def test_fromfunction() -> None:
    assert jnp.fromfunction(lambda i, j: 10 * i + j, (2, 3), dtype=int).tolist() == [[0, 1, 2], [10, 11, 12]]
    assert jnp.fromfunction(lambda i: 1, (2,)).tolist() == [1, 1]


# ---- triangles and diagonals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [-5, -1, 0, 1, 2, 7])
def test_triangles_and_diagonals_are_numpys(k: int) -> None:
    x = jnp.asarray(M)
    for name in ("tril", "triu", "diag", "diagonal"):
        np.testing.assert_array_equal(np.asarray(getattr(jnp, name)(x, k)), getattr(np, name)(M, k))
    np.testing.assert_array_equal(jnp.diag(x[0], k), np.diag(M[0], k))
    np.testing.assert_array_equal(jnp.diagflat(x, k), np.diagflat(M, k))
    np.testing.assert_array_equal(jnp.eye(3, 4, k), np.eye(3, 4, k))
    np.testing.assert_array_equal(jnp.tri(3, 4, k), np.tri(3, 4, k))
    np.testing.assert_array_equal(
        pullback.vmap(lambda _: jnp.eye(3, 4, k) + jnp.tri(3, 4, k))(jnp.ones(2))[0], np.eye(3, 4, k) + np.tri(3, 4, k)
    )
    cube = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(np.asarray(jnp.diagonal(jnp.asarray(cube), k, -1, 0)), np.diagonal(cube, k, -1, 0))
    np.testing.assert_array_equal(jnp.tril(jnp.asarray(cube), k), np.tril(cube, k))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.tril(x, 1), lambda x: jnp.triu(x), lambda x: jnp.diag(x),
        lambda x: jnp.diag(x[0], -1), lambda x: jnp.diagonal(x, 1, 1, 0), lambda x: jnp.diagflat(x, 1),
    ],
)  # fmt: skip
def test_triangles_and_diagonals_are_linear(f: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(0)
    x, t = (jnp.asarray(rng.normal(size=(3, 4))) for _ in range(2))
    y, f_t = pullback.jvp(f, (x,), (t,))
    np.testing.assert_array_equal(f_t, f(t))
    ct = jnp.asarray(rng.normal(size=y.shape))
    np.testing.assert_allclose((ct * f_t).sum(), (pullback.vjp(f, x)[1](ct)[0] * t).sum(), rtol=1e-5)
    np.testing.assert_array_equal(pullback.vmap(f, in_axes=1)(jnp.stack([x, t], 1)), jnp.stack([f(x), f(t)]))


def test_triangles_keep_nan_out() -> None:
    x = jnp.array([[1.0, jnp.nan], [jnp.inf, 2.0]])
    np.testing.assert_array_equal(jnp.tril(x), [[1, 0], [np.inf, 2]])
    assert jnp.tril(jnp.ones((2, 2), bool)).dtype == bool and jnp.eye(2, dtype=bool).tolist() == [
        [True, False],
        [False, True],
    ]


def test_shapes_come_in_any_sequence() -> None:
    for shape in (range(1, 3), [1, 2], np.array([1, 2]), jnp.array([1, 2]), deque([1, 2])):
        assert jnp.zeros(shape).shape == jnp.full(shape, 1).shape == jnp.broadcast_to(1, shape).shape == (1, 2)
        assert (
            jnp.reshape(jnp.ones(2), shape).shape
            == jnp.ones(2).reshape(shape).shape
            == jnp.tile(1, shape).shape
            == (1, 2)
        )
        assert [int(i) for i in jnp.unravel_index(1, shape)] == [0, 1]
    for wrong in ("12", b"12", {1, 2}, {1: 2}):
        with pytest.raises(TypeError, match="sequence of concrete integers"):
            jnp.zeros(wrong)


def test_looks() -> None:
    assert jnp.shape([[1, 2]]) == (1, 2) and jnp.ndim(1) == 0 and jnp.size(jnp.ones((2, 3)), (0, -1)) == 6
    assert jnp.isscalar(jnp.array(1)) and jnp.isscalar("a") and not jnp.isscalar([1]) and not jnp.isscalar(jnp.ones(1))
    assert jnp.iterable(jnp.ones(1)) and not jnp.iterable(jnp.array(1))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: jnp.zeros((2, -1)), TypeError, "negative"), (lambda: jnp.zeros(2.0), TypeError, "integers"),
        (lambda: jnp.full(3, jnp.ones(2)), ValueError, r"\(2,\)"),
        (lambda: jnp.zeros_like([1]), TypeError, "zeros_like requires"), (lambda: jnp.eye(-1), ValueError, "negative"),
        (lambda: jnp.eye(2.0), TypeError, "integers"),
        (lambda: jnp.tril(jnp.ones(2)), ValueError, "matrices"), (lambda: jnp.triu([[1]]), TypeError, "triu requires"),
        (lambda: jnp.diag(1), ValueError, "vector or a matrix"),
        (lambda: jnp.diagonal(jnp.ones(2)), ValueError, "two dimensions"),
        (lambda: jnp.diagonal(jnp.ones((2, 2)), 0, 0, 0), ValueError, "differ"),
        (lambda: jnp.meshgrid(1, 2), ValueError, "one-dimensional"), (lambda: jnp.meshgrid(jnp.ones(1), indexing="zz"), ValueError, "zz"),
        (lambda: jnp.r_["a,b", 1], ValueError, "directive"),
        (lambda: jnp.copy([1]), TypeError, "copy requires"),
        (lambda: jnp.tri(3, k=jnp.float32(1)), TypeError, "k must be an integer"), (lambda: jnp.eye(3, k=jnp.ones(1, int)), TypeError, "k must be"),
        (lambda: jnp.triu(jnp.ones((2, 2)), jnp.float32(1)), TypeError, "k must be"),
        (lambda: pullback.jit(lambda: jnp.eye(3, k=1.5))(), TypeError, "integer"),
        (lambda: jnp.zeros(2, dtype=jnp.ones(2)), ValueError, r"array of shape \(2,\) was given as a dtype"),
        (lambda: jnp.array(1, dtype=jnp.float32(1)), ValueError, "given as a dtype"),
        (lambda: pullback.jit(lambda x: jnp.zeros(2, dtype=x))(1.0), ValueError, "given as a dtype"),
        (lambda: jnp.stack(np.ma.array([1.0, 2.0])), ValueError, "masked"),
        (lambda: jnp.zeros_like(np.array(["a"])), TypeError, "not a valid array type"),
        (lambda: jnp.ones_like(np.array([None])), TypeError, "not a valid array type"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("f", [jnp.linspace, jnp.logspace, jnp.geomspace])
@pytest.mark.parametrize("narrow", ["bfloat16", "float16"])
def test_spaced_numbers_are_computed_in_the_type_asked_for(f, narrow):
    want = getattr(np, f.__name__)(1.0, 3.0, 7)
    for g in (f, pullback.jit(f, static_argnums=(2,), static_argnames="dtype")):
        out = g(jnp.ones((), narrow), jnp.full((), 3, narrow), 7, dtype="float32")
        assert out.dtype == "float32"
        np.testing.assert_allclose(out, want, rtol=2e-6)
        assert g(jnp.ones((), narrow), 3, 7).dtype == narrow


def test_options_of_array_by_position():
    with pytest.warns(DeprecationWarning, match="by name"):
        assert jnp.array([1, 2], None, True, "K", 2).shape == (1, 2)
    with pytest.raises(TypeError, match="multiple values for argument 'copy'"):
        jnp.array([1], None, True, copy=False)
    with pytest.raises(TypeError, match="at most 5 positional arguments but 6 were given"):
        jnp.array([1], None, True, "K", 2, 3)
