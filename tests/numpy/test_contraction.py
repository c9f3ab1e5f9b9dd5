"""`numpy/contraction.py`: values against NumPy, types, derivatives, vmap and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback
import pullback.numpy as jnp

RNG = np.random.default_rng(0)


def sample(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    x = RNG.integers(-4, 5, size=shape)
    return (x + 1j * RNG.integers(-4, 5, size=shape)).astype(dtype) if np.dtype(dtype).kind == "c" else x.astype(dtype)


# (function, operands, keyword arguments): exact in small integers, whatever the order of summation.
CASES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("dot", [(2, 3), (3, 4)], {}), ("dot", [(2, 3), (3,)], {}), ("dot", [(3,), (3, 2)], {}), ("dot", [(3,), (3,)], {}),
    ("dot", [(), (3,)], {}),
    ("dot", [(2, 3, 4), (5, 4, 6)], {}), ("dot", [(0,), (0,)], {}), ("dot", [(2, 0), (0, 3)], {}),
    ("matmul", [(2, 3), (3, 4)], {}), ("matmul", [(3,), (3, 4)], {}), ("matmul", [(2, 3), (3,)], {}), ("matmul", [(3,), (3,)], {}),
    ("matmul", [(4, 1, 2, 3), (5, 3, 2)], {}), ("matmul", [(4, 2, 3), (3,)], {}), ("matmul", [(3,), (4, 3, 2)], {}),
    ("matmul", [(2, 3), (4, 3, 2)], {}), ("matmul", [(4, 2, 3), (3, 2)], {}), ("matmul", [(1, 2, 3), (4, 3, 2)], {}),
    ("matmul", [(0, 2, 3), (1, 3, 2)], {}),
    ("vdot", [(2, 3), (3, 2)], {}), ("inner", [(2, 3), (4, 3)], {}), ("inner", [(), (4, 3)], {}), ("inner", [(1, 2, 3), (3,)], {}),
    ("outer", [(2,), (3,)], {}), ("outer", [(2, 2), ()], {}),
    ("tensordot", [(2, 3, 4), (3, 4, 5)], {}), ("tensordot", [(2, 3), (3, 4)], {"axes": 1}), ("tensordot", [(2, 3), (3, 4)], {"axes": 0}),
    ("tensordot", [(2, 3), (4, 2)], {"axes": (0, 1)}), ("tensordot", [(2, 3, 4), (4, 2, 5)], {"axes": ((0, -1), (1, 0))}),
    ("vecdot", [(2, 3), (3,)], {}), ("vecdot", [(3, 2), (3, 1)], {"axis": 0}), ("vecmat", [(4, 2), (2, 3)], {}),
    ("matvec", [(2, 3), (4, 3)], {}),
    ("matvec", [(5, 1, 2, 3), (4, 3)], {}),
    ("kron", [(2,), (3,)], {}), ("kron", [(2, 2), (1, 3)], {}), ("kron", [(2,), (2, 2)], {}), ("kron", [(), (2,)], {}),
    ("cross", [(3,), (3,)], {}), ("cross", [(5, 3), (3,)], {}), ("cross", [(3, 4), (3, 4)], {"axis": 0}),
    ("cross", [(3, 4), (4, 3)], {"axisa": 0, "axisb": 1, "axisc": 0}),
    ("trace", [(3, 3)], {}), ("trace", [(2, 3, 4)], {"offset": 1, "axis1": 1, "axis2": -1}), ("trace", [(2, 3)], {"offset": 5}),
]  # fmt: skip

#: Functions that NumPy 2.1 does not have.
SINCE_2_2: dict[str, Any] = {
    "matvec": lambda a, x: np.einsum("...ij,...j->...i", a, x),
    "vecmat": lambda x, a: np.einsum("...i,...ij->...j", np.conj(x), a),
}


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.int32])
@pytest.mark.parametrize("name, shapes, options", CASES, ids=str)
def test_values_are_numpys(name: str, shapes: list[tuple[int, ...]], options: dict[str, Any], dtype: Any) -> None:
    operands = [sample(*s, dtype=dtype) for s in shapes]
    ours = getattr(jnp, name)(*map(jnp.asarray, operands), **options)
    assert ours.dtype == dtype
    expected = getattr(np, name, SINCE_2_2.get(name))(*operands, **options)
    assert ours.shape == np.shape(expected)
    np.testing.assert_array_equal(np.asarray(ours), expected)


EINSUMS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]), ("ba", [(2, 3)]), ("ii", [(3, 3)]), ("ii->i", [(3, 3)]), ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("iji->j", [(2, 3, 2)]), ("iii->i", [(2, 2, 2)]), ("i,i->i", [(3,), (3,)]), ("i,j", [(2,), (3,)]), ("ij,ij->j", [(2, 3), (2, 3)]),
    ("iij,jkk->ik", [(2, 2, 3), (3, 4, 4)]), ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]), ("...i->...", [(2, 3)]), ("i...->...", [(2, 3)]),
    ("ij...,jk...->ik...", [(2, 3, 5), (3, 4, 5)]), ("...,...", [(2, 3), (3,)]), ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("i,i,i->", [(3,), (3,), (3,)]), ("a,b,c", [(2,), (3,), (2,)]), ("bij,bjk,bk->bi", [(2, 3, 3), (2, 3, 2), (2, 2)]), (",", [(), ()]),
    ("ij , jk -> ik", [(2, 3), (3, 4)]), ("ij,ij->j", [(2, 3), (1, 3)]), ("ij,kj->ik", [(0, 3), (2, 3)]),
    ("i,ij,j,k->k", [(2,), (2, 3), (3,), (2,)]),
]  # fmt: skip


@pytest.mark.parametrize("subscripts, shapes", EINSUMS, ids=str)
def test_einsum_is_numpys(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    operands = [sample(*s) for s in shapes]
    expected = np.einsum(subscripts, *operands)
    for optimize in ("auto", False):
        ours = jnp.einsum(subscripts, *map(jnp.asarray, operands), optimize=optimize)
        assert ours.shape == expected.shape and ours.dtype == np.float32
        np.testing.assert_array_equal(np.asarray(ours), expected)


@pytest.mark.parametrize("subscripts, shapes", EINSUMS, ids=str)
def test_einsum_is_linear_in_each_operand(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    operands = [jnp.asarray(sample(*s, dtype=np.complex64)) for s in shapes]
    for i, x in enumerate(operands):

        def f(v: Any, i: int = i) -> Any:
            return jnp.einsum(subscripts, *operands[:i], v, *operands[i + 1 :])

        t = jnp.asarray(sample(*x.shape, dtype=np.complex64))
        y, f_t = pullback.jvp(f, (x,), (t,))
        np.testing.assert_allclose(f_t, f(t), rtol=1e-5)
        ct = jnp.asarray(sample(*y.shape, dtype=np.complex64))
        (back,) = pullback.vjp(f, x)[1](ct)
        np.testing.assert_allclose((ct * f_t).sum(), (back * t).sum(), rtol=1e-4, atol=1e-4)


def test_einsum_takes_operands_and_labels_in_turn() -> None:
    x, y = jnp.asarray(sample(2, 3)), jnp.asarray(sample(3, 4))
    np.testing.assert_array_equal(jnp.einsum(x, [0, 1], y, [1, 2], [2, 0]), (x @ y).T)
    np.testing.assert_array_equal(jnp.einsum(x, [..., 1], y, [1, 2]), x @ y)
    path, info = jnp.einsum_path("ij,jk,kl->il", x, y, jnp.ones((4, 5)))
    assert len(path) == 2 and "Complete contraction" in str(info)


@pytest.mark.parametrize("name", ["dot", "matmul", "vecdot", "inner", "vdot"])
@pytest.mark.parametrize(
    "dtype, preferred, expected",
    [
        ("bfloat16", None, "bfloat16"), ("bfloat16", "float32", "float32"), ("int8", "int32", "int32"),
        ("float32", "int32", "int32"), ("bool", None, "bool"), ("float16", None, "float16"),
    ],
)  # fmt: skip
def test_types_of_products(name: str, dtype: str, preferred: str | None, expected: str) -> None:
    x = jnp.ones(200, dtype)
    out = getattr(jnp, name)(x, x, preferred_element_type=preferred)
    assert out.dtype.name == expected
    assert float(out.astype("float32")) == (1.0 if expected == "bool" else 200.0)
    assert jnp.einsum("i,i", x, x, preferred_element_type=preferred).dtype.name == expected


def test_types_are_promoted() -> None:
    assert jnp.dot(2, 3.5).weak_type
    assert jnp.dot(jnp.ones(2), jnp.arange(2)).dtype == jnp.float32
    assert jnp.einsum("i->", jnp.ones(3, "int8")).dtype == jnp.int8
    assert jnp.trace(jnp.ones((2, 2), "int8")).dtype == jnp.int32
    assert jnp.trace(jnp.ones((2, 2), bool)).dtype == jnp.int32
    assert jnp.vdot(jnp.array([1j]), jnp.array([1j])) == 1


@pytest.mark.parametrize("name, shapes, options", CASES, ids=str)
def test_bilinear_functions_obey_the_laws(name: str, shapes: list[tuple[int, ...]], options: dict[str, Any]) -> None:
    def f(*xs: Any) -> Any:
        return getattr(jnp, name)(*xs, **options)

    operands = tuple(jnp.asarray(sample(*s)) for s in shapes)
    ts = tuple(jnp.asarray(sample(*s)) for s in shapes)
    y, f_t = pullback.jvp(f, operands, ts)
    expected = sum(f(*operands[:i], t, *operands[i + 1 :]) for i, t in enumerate(ts))
    np.testing.assert_allclose(f_t, expected, rtol=1e-5)
    ct = jnp.asarray(sample(*y.shape))
    backs = pullback.vjp(f, *operands)[1](ct)
    np.testing.assert_allclose((ct * f_t).sum(), sum((b * t).sum() for b, t in zip(backs, ts)), rtol=1e-5)
    stacked = tuple(jnp.stack([x, t], axis=-1) for x, t in zip(operands, ts))
    mapped = pullback.vmap(f, in_axes=-1)(*stacked)
    np.testing.assert_allclose(mapped, jnp.stack([f(*operands), f(*ts)]), rtol=1e-5)
    shared = pullback.vmap(f, in_axes=(-1, *(None,) * (len(operands) - 1)))(stacked[0], *operands[1:])
    np.testing.assert_allclose(shared, jnp.stack([f(*operands), f(ts[0], *operands[1:])]), rtol=1e-5)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: jnp.dot(jnp.ones((2, 3)), jnp.ones(2)), TypeError, r"\(2, 3\) and \(2,\)"),
        (lambda: jnp.dot([1], [2]), TypeError, "dot requires"),
        (lambda: jnp.dot(jnp.ones(2), jnp.ones(2), precision="bogus"), ValueError, "bogus"),
        (lambda: jnp.matmul(2, jnp.ones(3)), ValueError, "operand 0"),
        (lambda: jnp.matmul(jnp.ones((2, 3)), jnp.ones((2, 3))), TypeError, "contracting"),
        (lambda: jnp.matmul(jnp.ones((2, 3, 3)), jnp.ones((4, 3, 3))), ValueError, "broadcast"),
        (lambda: jnp.tensordot(jnp.ones((2, 3)), jnp.ones((4, 2)), 3), TypeError, "too many"),
        (lambda: jnp.tensordot(jnp.ones((2, 3)), jnp.ones((4, 2)), ((0, 1), (1,))), TypeError, "one length"),
        (lambda: jnp.tensordot(jnp.ones((2, 3)), jnp.ones((4, 2)), "a"), TypeError, "axes must be"),
        (lambda: jnp.einsum("ij,jk", jnp.ones((2, 3)), jnp.ones((2, 4))), ValueError, "label 'j'"),
        (lambda: jnp.einsum("ij", jnp.ones((2, 3, 4))), ValueError, "3 dimension"),
        (lambda: jnp.einsum("ij->k", jnp.ones((2, 3))), ValueError, "'k'.*no input"),
        (lambda: jnp.einsum("i->ii", jnp.ones(2)), ValueError, "more than once"),
        (lambda: jnp.einsum("i", jnp.ones(2), jnp.ones(2)), ValueError, "1 operand"),
        (lambda: jnp.einsum("i,j", jnp.ones(2), [1]), TypeError, "einsum requires"),
        (lambda: jnp.einsum("i->"), ValueError, "got none"),
        (lambda: jnp.tensordot(jnp.ones((2, 2)), jnp.ones((2, 2)), ((0, 0), (0, 1))), TypeError, "distinct"),
        (lambda: pullback.lax.dot_general(jnp.ones((2, 2)), jnp.ones((2, 2)), (((0,), (0,)), ((0,), (1,)))), TypeError, "distinct"),
        (lambda: pullback.lax.dot_general(jnp.ones((2, 2)), jnp.ones((2, 2)), (((), ()), ((0, 1), (0, 0)))), TypeError, "distinct"),
        (lambda: pullback.lax.dot_general(jnp.ones((2, 2)), jnp.ones((2, 2)), (((0.5,), (0,)), ((), ()))), TypeError, "integers"),
        (lambda: jnp.cross(jnp.ones(4), jnp.ones(4)), ValueError, "2 or 3"),
        (lambda: jnp.vecdot(jnp.ones((3, 2)), jnp.ones((2, 2)), axis=0), ValueError, "one length"),
        (lambda: jnp.matvec(jnp.ones((2, 3)), jnp.ones(2)), ValueError, "3 and 2"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
