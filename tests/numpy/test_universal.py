"""ufuncs: NumPy's methods on the functions of the package, and on functions of the user's."""

from __future__ import annotations

import copy
import itertools
import operator
import os
import pickle

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.numpy import folds, universal
from pullback.test_util import check_grads

UFUNCS = {name: f for name in universal.__all__ if isinstance(f := getattr(jnp, name), jnp.ufunc)}
ARRAYS = {
    "floats": np.array([[2.5, -1.0, 3.0, 0.5], [1.0, 4.0, -2.0, 0.25], [3.0, np.inf, 2.0, -0.0]]),
    "integers": np.array([[6, 4, 3, 1], [2, 4, 1, 5], [3, 2, 1, 2]]),
    "booleans": np.array([[True, False, True, True], [False, False, True, False], [True, True, True, False]]),
    "unsigned": np.array([[6, 4, 3, 1], [2, 4, 1, 5], [3, 2, 1, 2]], np.uint8),
    "complex": np.array([[1 + 1j, 2, 3j], [0.5, 1j, -1]]),
}
WHERE = ARRAYS["booleans"]
BINARY = sorted({f.__name__ for f in UFUNCS.values() if f.nin == 2})
SAMPLE_IS_FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
STARTS = np.array([0, 3, 1, 1])


CALLS = {
    "reduce": lambda f, x: f.reduce(x),
    "reduce rows": lambda f, x: f.reduce(x, axis=-1, keepdims=True),
    "reduce from": lambda f, x: f.reduce(x, axis=1, initial=x.dtype.type(1)),
    "reduce where": lambda f, x: f.reduce(x, 0, initial=x.dtype.type(1), where=WHERE[: len(x), : x.shape[1]]),
    "accumulate": lambda f, x: f.accumulate(x, axis=1),
    "reduceat": lambda f, x: f.reduceat(x, STARTS % x.shape[1], axis=1),
    "outer": lambda f, x: f.outer(x, x[0]),
}
#: Functions that any function's loops compute, of which some are enough.
BY_LOOPS = set(BINARY) - set(folds._OWN) - {"subtract", "floor_divide", "nextafter"}


def test_methods_give_what_numpy_gives() -> None:
    """For every dtype that both take. Dtypes are JAX's: small integers are not widened in
    `accumulate` and `reduceat`."""
    programs, wanted = [], []
    for number, (name, (kind, x)) in enumerate(itertools.product(BINARY, ARRAYS.items())):
        for i, (what, call) in enumerate(CALLS.items()):
            if not SAMPLE_IS_FULL and ((name in BY_LOOPS and what != "outer") or (number + i) % 9):
                continue
            if name in ("power", "left_shift", "right_shift") and kind in ("integers", "unsigned"):
                x = x % 3  # powers of powers that fit
            if what != "outer" and (name == "arctan2" or (name, kind) == ("power", "floats")):
                continue  # NumPy's kernels overtake themselves where a result is the next operand
            try:
                with np.errstate(all="ignore"):
                    wanted.append(call(getattr(np, name), x))
            except (TypeError, ValueError):
                continue  # NumPy does not combine these
            programs.append((name, kind, what, call, x))

    found: list[pb.Array] = []
    with pb.enable_x64(True):
        for i in range(0, len(programs), 80):  # a compiler takes long over a program with hundreds of loops
            part = programs[i : i + 80]
            found += pb.jit(lambda part=part: [call(getattr(jnp, name), x) for name, _, _, call, x in part])()
    for (name, kind, what, _, _), ours, theirs in zip(programs, found, wanted, strict=True):
        case = f"{name}.{what} of {kind}"
        assert ours.shape == theirs.shape, case
        if ours.dtype != theirs.dtype:
            assert kind in ("booleans", "unsigned"), (case, ours.dtype, theirs.dtype)
        else:
            np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-12, atol=1e-15, err_msg=case)
    assert len(programs) > 40


# ---- any function --------------------------------------------------------------------------------


def weighted(a, b):
    return a * b - 2 * a


WEIGHTED = jnp.frompyfunc(weighted, 2, 1)


def prefixes(x: np.ndarray) -> np.ndarray:
    """Along axis 0, one element after the other."""
    out = [x[0]]
    for row in x[1:]:
        out.append(weighted(out[-1], row))
    return np.array(out)


def test_functions_of_the_users_are_applied_from_the_first_element_to_the_last() -> None:
    x = np.array([[3, 1, 4], [1, 5, 9], [2, 6, 5]])
    expected = prefixes(x)
    mask = x > 1
    results = {
        "reduce": (WEIGHTED.reduce(x), expected[-1]),
        "rows": (WEIGHTED.reduce(x, axis=1), prefixes(x.T)[-1]),
        "all": (WEIGHTED.reduce(x, axis=None), prefixes(x.reshape(-1))[-1]),
        "several axes": (WEIGHTED.reduce(x, axis=(1, 0), keepdims=True), prefixes(x.reshape(-1))[-1].reshape(1, 1)),
        "initial": (WEIGHTED.reduce(x, initial=7), prefixes(np.concatenate([np.full((1, 3), 7), x]))[-1]),
        "where": (
            WEIGHTED.reduce(x, axis=1, initial=7, where=mask),
            np.array([prefixes(np.array([7, *row[m]]))[-1] for row, m in zip(x, mask)]),
        ),
        "accumulate": (WEIGHTED.accumulate(x, axis=-1), prefixes(x.T).T),
        "reduceat": (
            WEIGHTED.reduceat(x, np.array([0, 2, 1, -1])),
            np.array([prefixes(x[:2])[-1], x[2], x[1], x[2]]),
        ),
        "outer": (WEIGHTED.outer(x, x[0]), weighted(x[..., None], x[0])),
        "call": (WEIGHTED(x, 2.5), weighted(x, 2.5)),
        "dtype": (WEIGHTED.reduce(x, dtype=np.float16), expected[-1].astype(np.float16)),
        "no steps": (WEIGHTED.accumulate(x[:0]), x[:0]),
    }
    for name, (ours, theirs) in results.items():
        np.testing.assert_array_equal(np.asarray(ours), theirs, err_msg=name)
    assert results["dtype"][0].dtype == np.float16 and results["call"][0].dtype == np.float32
    changes = jnp.frompyfunc(lambda a, b: (a + b) / 2, 2, 1)  # the dtype of what it combines
    assert changes.accumulate(x).dtype == changes.reduceat(x, np.array([0, 1])).dtype == np.float32
    scaled, few = jnp.frompyfunc(lambda a, b: a + 1.5 * b, 2, 1), x[0].astype(np.int32)
    assert scaled.reduce(few).dtype == np.float32
    with pb.enable_x64(True):  # in which the product with 1.5 is of another type
        assert scaled.reduce(few).dtype == np.float64
    sums = jnp.frompyfunc(operator.add, 2, 1, identity=0)
    after_ten = jnp.frompyfunc(operator.sub, 2, 1, identity=10)
    assert after_ten.reduce(x).tolist() == (10 - x.sum(0)).tolist()
    assert sums.reduce(x[:0]).tolist() == [0, 0, 0] and int(sums.reduce(x, None, where=x > 4)) == 25


def test_updates() -> None:
    x = jnp.array([1, 2, 3])
    twice = jnp.array([0, 0, 2])
    at = {
        "add": (jnp.add.at(x, twice, jnp.array([10, 20, 30]), inplace=False), [31, 2, 33]),
        "subtract": (jnp.subtract.at(x, 1, 5, inplace=False), [1, -3, 3]),
        "maximum": (jnp.maximum.at(x, twice, 2.5, inplace=False), [2.5, 2, 3]),
        "power": (jnp.power.at(x + 1.0, twice, 2, inplace=False), [16, 3, 16]),
        "once": (jnp.power.at(x + 1.0, jnp.array([2, -3]), 2, inplace=False), [4, 3, 16]),
        "dropped": (WEIGHTED.at(x, jnp.array([0, 7, -1]), 4, inplace=False), [2, 2, 6]),
        "mask": (WEIGHTED.at(x, x > 1, 4, inplace=False), [1, 4, 6]),
        "negative": (jnp.negative.at(x, twice, inplace=False), [1, 2, -3]),
        "logical": (jnp.logical_and.at(x, 0, 0, inplace=False), [False, True, True]),
        "booleans": (jnp.multiply.at(x > 0, 0, False, inplace=False), [False, True, True]),
    }
    for name, (ours, theirs) in at.items():
        assert ours.tolist() == theirs, name
    square = jnp.arange(6).reshape(2, 3)
    assert WEIGHTED.at(square, (slice(None), jnp.array([0, 0])), 4, inplace=False).tolist() == [[0, 1, 2], [12, 4, 5]]
    np.testing.assert_array_equal(WEIGHTED.at(square, jnp.array([1, 1]), x, inplace=False)[1], [3, 0, 5])
    with pytest.raises(NotImplementedError, match="inplace=False"):
        jnp.add.at(x, 0, 1)


def test_derivatives_programs_and_batches() -> None:
    x = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])
    starts, places = jnp.array([0, 2, 1]), jnp.array([0, 0, 2])

    def several(x):
        return [
            WEIGHTED.reduce(x, axis=1), WEIGHTED.accumulate(x, axis=1), WEIGHTED.reduceat(x, starts, axis=1),
            WEIGHTED.at(x[0], places, x[1], inplace=False), jnp.hypot.reduce(x, axis=1), jnp.multiply.reduceat(x, starts, axis=1),
            jnp.fmax.reduce(x),
        ]  # fmt: skip

    with pb.enable_x64(True):
        x = x.astype(float)
        check_grads(pb.jit(several), (x,), order=1, modes=("rev",), atol=1e-4, rtol=1e-4)
        check_grads(lambda x: WEIGHTED.reduce(x[0]), (x,), order=2, atol=1e-4, rtol=1e-4)
        eager, batched = several(x), pb.vmap(several)(x[None])
    for a, b in zip(eager, batched):
        np.testing.assert_allclose(a, b[0], rtol=1e-14)


def test_starts_of_parts_may_be_traced() -> None:
    x = jnp.arange(1, 7).reshape(2, 3)
    few = pb.jit(lambda i: jnp.subtract.reduceat(jnp.arange(300), i))(jnp.asarray([0, 200], jnp.uint8))
    assert few.tolist() == np.subtract.reduceat(np.arange(300), [0, 200]).tolist()
    for f in (jnp.subtract, jnp.logical_and):
        rows = np.array([[0, 2, 1], [1, 1, 5], [-1, 0, 2]])
        found = pb.jit(pb.vmap(lambda i, f=f: f.reduceat(x, i, axis=1)))(jnp.asarray(rows))
        for i, row in zip(rows, found):
            i = np.where(i < 0, i + 3, np.minimum(i, 2))  # those out of bounds are clamped
            np.testing.assert_array_equal(row, getattr(np, f.__name__).reduceat(x, i, axis=1))


# ---- what they are -------------------------------------------------------------------------------


def test_attributes_are_those_of_numpy() -> None:
    for name, f in UFUNCS.items():
        theirs = getattr(np, name)
        assert (f.nin, f.nout, f.identity) == (theirs.nin, theirs.nout, theirs.identity), name
        assert f.__name__ in (name, theirs.__name__, "mod") and f.__doc__, name
        assert pickle.loads(pickle.dumps(f)) is copy.deepcopy(f) is f, name
    assert int(jnp.gcd.reduce(np.array([-4]))) == 4 and float(jnp.hypot.reduce(np.array([-3.0]))) == 3.0
    assert repr(jnp.add) == "<jnp.ufunc 'add'>"

    class Layer:
        combine = jnp.maximum  # no method: called without the object

    assert Layer().combine(1, 2) == 2
    made = jnp.ufunc(weighted, 2, 1, name="w", nargs=3, identity=1, reduce=lambda a, **options: "mine")
    again = pickle.loads(pickle.dumps(jnp.frompyfunc(weighted, 2, 1, identity=1)))
    assert (made.__name__, made.nargs, made.identity, made.reduce(1)) == ("w", 3, 1, "mine")
    assert again(3, 4) == WEIGHTED(3, 4) and again.identity == 1 and again.__name__ == "weighted"
    halves = jnp.frompyfunc(lambda a: (a // 2, a % 2), 1, 2)
    assert [x.tolist() for x in halves(jnp.arange(4))] == [[0, 0, 1, 1], [0, 1, 0, 1]]


X = jnp.arange(6).reshape(2, 3)
ERRORS = [
    (lambda: jnp.negative.reduce(X), ValueError, "two operands"),
    (lambda: jnp.negative.outer(X, X), ValueError, "two operands"),
    (lambda: jnp.frompyfunc(lambda a, b: (a, b), 2, 2).reduce(X), ValueError, "single result"),
    (lambda: jnp.frompyfunc(lambda a, b: (a, b), 2, 2).at(X, 0, 1, inplace=False), ValueError, "one result"),
    (lambda: jnp.add.at(X, 0, inplace=False), TypeError, "a second operand"),
    (lambda: jnp.negative.at(X, 0, 1, inplace=False), TypeError, "no b"),
    (lambda: jnp.add.reduce(X, axis=2), ValueError, "out of bounds"),
    (lambda: jnp.subtract.reduce(X, axis=(0, 0)), ValueError, "duplicate"),
    (lambda: jnp.subtract.accumulate(X, axis=-3), ValueError, "out of bounds"),
    (lambda: jnp.subtract.accumulate(X, axis=None), ValueError, "one axis"),
    (lambda: jnp.subtract.reduceat(X, jnp.array([0]), axis=None), ValueError, "one axis"),
    (lambda: jnp.maximum.reduce(X[:0]), ValueError, "no identity"),
    (lambda: jnp.subtract.reduce(X[:0]), ValueError, "zero-size array to reduction operation subtract"),
    (lambda: jnp.fmax.reduce(X[:0]), ValueError, "zero-size array to reduction operation fmax"),
    (lambda: WEIGHTED.reduce(X, where=X > 1), ValueError, "needs an `initial`"),
    (lambda: WEIGHTED.reduce(X, initial=1, where=X), ValueError, "must be boolean"),
    (lambda: WEIGHTED.reduce(X, initial=1, where=jnp.ones((4, 3), bool)), ValueError, "does not broadcast"),
    (lambda: WEIGHTED.reduce(X, initial=X), ValueError, "must be a scalar"),
    (lambda: WEIGHTED.reduce([1, 2]), TypeError, "weighted.reduce requires ndarray or scalar"),
    (lambda: WEIGHTED([1], 2), TypeError, "weighted requires ndarray or scalar"),
    (lambda: WEIGHTED.outer([1], 2), TypeError, "weighted.outer requires"),
    (lambda: jnp.bitwise_or.reduce(X * 1.0), ValueError, "integers or booleans"),
    (lambda: jnp.bitwise_or.accumulate(X * 1.0), TypeError, "float32"),
    (lambda: jnp.add.reduceat(X, jnp.array([0, 2])), IndexError, "out of bounds for axis 0 of size 2"),
    (lambda: jnp.add.reduceat(X, jnp.array([0.0])), ValueError, "integers"),
    (lambda: jnp.add.reduceat(X, 0), ValueError, "one-dimensional"),
    (lambda: jnp.add.reduce(X, out=X), NotImplementedError, "out"),
    (lambda: jnp.frompyfunc(lambda a, b: None, 2, 1).reduce(X), TypeError, "one array"),
    (lambda: WEIGHTED.at(X, jnp.array([0, 0]), jnp.ones((4, 3)), inplace=False), ValueError, "does not broadcast"),
    (lambda: WEIGHTED.at(X, (0, jnp.array([0, 0])), jnp.ones(3), inplace=False), ValueError, "does not broadcast"),
    (lambda: jnp.frompyfunc(3, 1, 1), TypeError, "made of a function"),
    (lambda: jnp.frompyfunc(weighted, 2.0, 1), TypeError, "integer"),
]


def test_errors() -> None:
    for call, error, match in ERRORS:
        with pytest.raises(error, match=match):
            call()
