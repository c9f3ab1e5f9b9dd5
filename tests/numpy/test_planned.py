"""What comes again is computed from its plan: to the same bits, types and errors."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.numpy import planned


@pytest.fixture(autouse=True)
def planned_soon(monkeypatch):
    """Plans from the second call on."""
    monkeypatch.setattr(planned, "_OFTEN", 2)


MATRIX = np.array([[1.5, -2.0, np.nan], [0.0, -0.0, np.inf], [3.25, 7.0, -np.inf]], np.float32)
VECTOR = np.array([3.0, -1.0, 2.0], np.float32)
COUNTS = np.array([[3, 1, 2], [0, 5, 4]], np.int32)

CALLS = [
    ("linspace", lambda f, a, v, n: f(0.0, 1.0, 8)),
    ("linspace", lambda f, a, v, n: f(v, 4.0, 5, endpoint=False)),
    ("linspace", lambda f, a, v, n: f(0, 9, 4, retstep=True)),
    ("einsum", lambda f, a, v, n: f("ij,j->i", a, v)),
    ("tensordot", lambda f, a, v, n: f(a, a, 1)),
    ("outer", lambda f, a, v, n: f(v, n)),
    ("kron", lambda f, a, v, n: f(v, n)),
    ("trace", lambda f, a, v, n: f(a)),
    ("pad", lambda f, a, v, n: f(n, 1)),
    ("pad", lambda f, a, v, n: f(v, (1, 2), mode="edge")),
    ("quantile", lambda f, a, v, n: f(v, 0.25)),
    ("median", lambda f, a, v, n: f(n, axis=1)),
    ("var", lambda f, a, v, n: f(n, axis=0, ddof=1)),
    ("std", lambda f, a, v, n: f(a)),
    ("prod", lambda f, a, v, n: f(n, axis=-1, keepdims=True)),
    ("allclose", lambda f, a, v, n: f(a, a, equal_nan=True)),
    ("argmax", lambda f, a, v, n: f(a, 0)),
    ("argmin", lambda f, a, v, n: f(n)),
    ("average", lambda f, a, v, n: f(n, returned=True)),
    ("nanmean", lambda f, a, v, n: f(a, 1)),
    ("cumsum", lambda f, a, v, n: f(n)),
    ("sort", lambda f, a, v, n: f(a, descending=True)),
    ("argsort", lambda f, a, v, n: f(v)),
    ("searchsorted", lambda f, a, v, n: f(v, v)),
    ("interp", lambda f, a, v, n: f(v, n[0], v)),
    ("cov", lambda f, a, v, n: f(n)),
    ("clip", lambda f, a, v, n: f(a, -1, 1.5)),
    ("nan_to_num", lambda f, a, v, n: f(a)),
    ("tril", lambda f, a, v, n: f(a, -1)),
    ("gradient", lambda f, a, v, n: f(n)),
    ("convolve", lambda f, a, v, n: f(v, v, "same")),
    ("roll", lambda f, a, v, n: f(a, (1, 2), (0, 1))),
    ("roll", lambda f, a, v, n: f(n, 1, axis=1)),
    ("tile", lambda f, a, v, n: f(n, (2, 1, 2))),
    ("repeat", lambda f, a, v, n: f(n, 2, axis=0)),
    ("diag", lambda f, a, v, n: f(v, 1)),
    ("diag", lambda f, a, v, n: f(n, -1)),
    ("flip", lambda f, a, v, n: f(a, (0, 1))),
    ("moveaxis", lambda f, a, v, n: f(n, 0, -1)),
    ("squeeze", lambda f, a, v, n: f(n[None], 0)),
    ("split", lambda f, a, v, n: f(n, [1], 1)),
    ("array_split", lambda f, a, v, n: f(v, 2)),
    ("stack", lambda f, a, v, n: f([v, v], axis=-1)),
    ("concatenate", lambda f, a, v, n: f((a, a), 1)),
    ("vstack", lambda f, a, v, n: f([v, v])),
    ("hstack", lambda f, a, v, n: f([n, n])),
    ("dstack", lambda f, a, v, n: f([n, n])),
    ("where", lambda f, a, v, n: f(a > 0, a, 1.0)),
    ("where", lambda f, a, v, n: f(v > 0, a, v)),
    ("dot", lambda f, a, v, n: f(n, a)),
    ("dot", lambda f, a, v, n: f(v, v)),
    ("matmul", lambda f, a, v, n: f(a, v)),
    ("matmul", lambda f, a, v, n: f(n, n.T)),
    ("mean", lambda f, a, v, n: f(n, axis=(0, 1), keepdims=True)),
    ("mean", lambda f, a, v, n: f(a, 0)),
    ("all", lambda f, a, v, n: f(a > 0, axis=1)),
    ("any", lambda f, a, v, n: f(n)),
    ("max", lambda f, a, v, n: f(a, -1)),
    ("min", lambda f, a, v, n: f(n, initial=2, where=n > 1)),
    ("full", lambda f, a, v, n: f((2, 3), 7)),
    ("full", lambda f, a, v, n: f((2, 3), v)),
    ("arange", lambda f, a, v, n: f(2, 9, 3)),
    ("arange", lambda f, a, v, n: f(0.0, 1.0, 0.25, dtype=jnp.bfloat16)),
    ("reshape", lambda f, a, v, n: f(n, (-1, 2), "F")),
    ("reshape", lambda f, a, v, n: f(a.T, 9)),
    ("swapaxes", lambda f, a, v, n: f(a[None], 0, -1)),
    ("broadcast_to", lambda f, a, v, n: f(v, (2, 2, 3))),
]  # fmt: skip


def _described(out):
    leaves = pb.tree.leaves(out)
    return [(np.asarray(x).tobytes(), x.shape, x.dtype, x.weak_type) for x in leaves], pb.tree.structure(out)


@pytest.mark.parametrize("name, call", CALLS, ids=[name for name, _ in CALLS])
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_to_the_same_bits(name, call, dtype):
    function = getattr(jnp, name)
    arrays = [jnp.asarray(x) if dtype is None else jnp.asarray(x).astype(dtype) for x in (MATRIX, VECTOR, COUNTS)]
    wanted = _described(call(function.__wrapped__, *arrays))
    for _ in range(4):
        assert _described(call(function, *arrays)) == wanted
    others = [(x * 3).astype(x.dtype) for x in arrays]
    assert _described(call(function, *others)) == _described(call(function.__wrapped__, *others))


def _outcome(function, *args):
    try:
        return _described(function(*args))
    except (TypeError, ValueError, IndexError, NotImplementedError) as error:
        return type(error)


MOVERS = "diag split array_split expand_dims squeeze moveaxis flip fliplr flipud rot90 tile repeat roll"
SMALL = [
    jnp.float32(1.5) * jnp.ones(()),
    jnp.arange(3.0),
    jnp.arange(6).reshape(2, 3),
    jnp.zeros((2, 0)),
    jnp.ones((1, 3, 1)),
]
ODD = [0, 1, -1, 2, 5, None, (), (0,), (0, 1), (1, 0), (2, -1), ((0, 1), (1, 0))]


@pytest.mark.parametrize("name", MOVERS.split())
def test_what_is_refused_is_refused_again(name):
    """Where NumPy's function of the name takes what ours refuses, too."""
    function = getattr(jnp, name)
    for x, first in itertools.product(SMALL, ODD):
        for args in ((x, first), (x, first, 0), (x, first, -1)):
            wanted = _outcome(function.__wrapped__, *args)
            for _ in range(3):
                assert _outcome(function, *args) == wanted, args


@pytest.mark.parametrize("name", ["concatenate", "stack", "vstack", "hstack", "dstack"])
def test_what_is_not_joined_is_not_joined_again(name):
    function = getattr(jnp, name)
    for arrays in [(), *((x, y) for x in SMALL for y in SMALL)]:
        for container in (list, tuple):
            for axis in ((), (1,), (-1,)) if name in ("concatenate", "stack") else ((),):
                wanted = _outcome(function.__wrapped__, container(arrays), *axis)
                for _ in range(3):
                    assert _outcome(function, container(arrays), *axis) == wanted, (arrays, axis)


def test_most_have_a_plan():
    planned._plans.clear()
    arrays = [jnp.asarray(x) for x in (MATRIX, VECTOR, COUNTS)]
    for name, call in CALLS:
        for _ in range(2):
            call(getattr(jnp, name), *arrays)
    kinds = list(planned._plans.values())
    assert sum(callable(p) for p in kinds) > 0.8 * len(kinds)


def test_the_types_options_and_values_of_arguments_tell_calls_apart():
    x = jnp.array([1.0, 2.0, 4.0])
    for _ in range(3):
        assert jnp.var(x, ddof=0) != jnp.var(x, ddof=1)
        assert jnp.clip(x, 0, 2).max() == 2
        assert jnp.clip(x, 0, 3).max() == 3
        assert jnp.clip(x, -0.0, 3.0).dtype == jnp.float32
        assert jnp.prod(x, dtype=jnp.float16).dtype == jnp.float16
        assert jnp.prod(x, dtype=jnp.bfloat16).dtype == jnp.bfloat16
        with pb.enable_x64(True):
            assert jnp.argmax(x).dtype == np.int64
        assert jnp.argmax(x).dtype == np.int32
        assert jnp.cumsum(jnp.array([True, True]))[1] == 2


def test_errors_are_the_functions_own():
    x = jnp.arange(6.0)
    for _ in range(4):
        with pytest.raises(ValueError, match="split"):
            jnp.split(x, 4)
        with pytest.raises((ValueError, TypeError)):
            jnp.stack([x, x[:2]])
        with pytest.raises(ValueError, match="einsum"):
            jnp.einsum("ij->i", x)
        with pytest.raises(ValueError, match="two-dimensional|matrices|dimension"):
            jnp.tril(x)
        with pytest.raises(TypeError):
            jnp.roll(x, 1.5)
        with pytest.raises((ValueError, TypeError)):
            jnp.concatenate([])


def test_nobody_is_given_the_memory_of_a_plan_or_of_another():
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    outs = [jnp.cov(x) for _ in range(4)]
    for out in outs[:3]:
        out.delete()
    assert np.isfinite(np.asarray(outs[3])).all()
    points = [jnp.linspace(0.0, 1.0, 4) for _ in range(4)]
    points[2].delete()
    assert points[3][-1] == 1 == jnp.linspace(0.0, 1.0, 4)[-1]
    rows = [jnp.split(x, 2) for _ in range(3)]
    rows[0][0].delete()
    assert rows[1][0].tolist() == [[1.0, 2.0]]


def test_what_is_said_each_time_is_said_each_time():
    x, y = jnp.array([1.0, 2.0]), jnp.ones((2, 2))
    for _ in range(4):
        with pb.numpy_rank_promotion("warn"), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            jnp.allclose(x, y)
        assert said
        with pb.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank"):
            jnp.allclose(x, y)


def test_looking_for_nans_goes_on():
    x = jnp.array([1.0, -1.0])
    for _ in range(3):
        jnp.std(jnp.log(x))
    with pb.debug_nans(True), pytest.raises(FloatingPointError):
        jnp.nanmean(jnp.array([jnp.inf]) - jnp.array([jnp.inf]))


def test_under_a_transformation_nothing_is_planned():
    x = jnp.array([1.0, 2.0, 4.0])
    for _ in range(3):
        jnp.var(x)
    wanted = [-8 / 9, -2 / 9, 10 / 9]
    np.testing.assert_allclose(pb.grad(jnp.var)(x), wanted, rtol=1e-6)
    np.testing.assert_allclose(pb.jit(pb.grad(jnp.var))(x), wanted, rtol=1e-6)
    np.testing.assert_allclose(pb.jacfwd(lambda x: jnp.roll(x, 1))(x), np.roll(np.eye(3), 1, 0))


def test_a_result_has_the_type_of_its_value():
    """A plan fills it in, so that nobody has to look."""
    x, y = jnp.arange(6.0).reshape(2, 3), jnp.ones(())
    for weak in (x, x * 1.0, 2.0 * y):
        for call in (
            jnp.max,
            jnp.mean,
            jnp.var,
            jnp.ravel,
            lambda x: jnp.stack([x, x]),
            lambda x: jnp.where(x > 0, x, 0),
        ):
            for _ in range(4):
                out = call(weak)
                assert (out._type.shape, out._type.dtype) == (out._value.shape, out._value.dtype)
                assert out._type.weak_type is out.weak_type


def test_kinds_that_come_once_do_not_drive_out_plans(monkeypatch):
    monkeypatch.setattr(planned, "_MANY", 50)
    x = jnp.arange(6.0)
    for _ in range(3):
        jnp.max(x)
    kinds = {place for place, plan in planned._plans.items() if plan is not None}
    for n in range(120):
        jnp.arange(n)
    assert kinds and kinds <= set(planned._plans)
    assert len(planned._seen) <= 51


def test_numbers_and_containers_of_arguments_tell_calls_apart():
    x, y = jnp.arange(4.0), jnp.ones((2, 2))
    for _ in range(3):
        assert jnp.reshape(x, (2, 2)).shape == (2, 2)
        assert jnp.reshape(x, (4, 1)).shape == jnp.reshape(x, [4, 1]).shape == (4, 1)
        assert jnp.full((2, 1), 1).dtype == np.int32
        assert jnp.full((2, 1), 1.0).dtype == np.float32
        assert jnp.full((2, 1), True).dtype == np.bool_
        assert jnp.stack([y, y]).shape == (2, 2, 2)
        assert jnp.stack(y).shape == (2, 2)
        assert jnp.concatenate([y, y]).shape == (4, 2)
        assert jnp.max(y, 0).shape == jnp.max(y, axis=(0,)).shape == (2,)
        assert jnp.max(y, (0, 1)).shape == ()
