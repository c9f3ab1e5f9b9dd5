"""`custom_vmap` and `sequential_vmap`: the rule under `vmap`, the function under everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.custom_batching import custom_vmap, sequential_vmap

X = jnp.arange(3.0)


@custom_vmap
def add(x: Any, y: Any) -> Any:
    return x * x + y


@add.def_vmap
def add_rule(size: int, in_batched: Any, x: Any, y: Any) -> Any:
    assert in_batched[0] or in_batched[1]
    assert (x.shape[:1] == (size,) or not in_batched[0]) and (y.shape[:1] == (size,) or not in_batched[1])
    x, y = (a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip((x, y), in_batched))
    return add(x, y) + 100, True


def test_the_rule_is_what_vmap_does() -> None:
    assert float(add(2.0, 1.0)) == float(add(x=2.0, y=1.0)) == 5.0
    for f in (pb.vmap(add, (0, None)), pb.jit(pb.vmap(add, (0, None))), pb.vmap(pb.jit(add), (0, None))):
        assert f(X, 1.0).tolist() == [101.0, 102.0, 105.0]
    rows = jnp.arange(6.0).reshape(2, 3)
    expected = (np.asarray(rows) ** 2 + np.asarray(rows) + 100).tolist()
    assert pb.vmap(add, (1, 0), out_axes=1)(rows, rows.T).tolist() == expected
    # The inner rule's call is one of the outer vmap, whose rule is applied as well.
    nested = pb.vmap(pb.vmap(add))
    expected = (np.asarray(rows) ** 2 + 1 + 200).tolist()
    assert nested(rows, jnp.ones((2, 3))).tolist() == pb.jit(nested)(rows, jnp.ones((2, 3))).tolist() == expected
    assert "custom_vmap_call" in str(pb.make_jaxpr(add)(1.0, 2.0))
    closing = pb.vmap(lambda c: add(c, c) + custom_vmap_of(lambda x: x * c)(2.0))
    assert closing(X).tolist() == [100.0, 104.0, 110.0]


def custom_vmap_of(f: Any) -> Any:
    found = custom_vmap(f)
    found.def_vmap(lambda size, marks, x: (f(x), True))
    return found


def test_derivatives() -> None:
    assert float(pb.grad(add)(3.0, 1.0)) == float(pb.jit(pb.grad(add))(3.0, 1.0)) == 6.0
    assert float(pb.grad(pb.grad(add))(3.0, 1.0)) == 2.0
    assert [float(v) for v in pb.jvp(add, (3.0, 1.0), (1.0, 1.0))] == [10.0, 7.0]
    for mode in (lambda f: f, pb.jit):
        assert mode(pb.vmap(pb.grad(add), (0, None)))(X, 1.0).tolist() == [0.0, 2.0, 4.0]
        assert mode(pb.grad(lambda x: pb.vmap(add, (0, None))(x, 1.0).sum()))(X).tolist() == [0.0, 2.0, 4.0]
        assert mode(pb.jacfwd(lambda x: add(x, x)))(X).tolist() == (np.diag(2 * np.arange(3.0)) + np.eye(3)).tolist()


def test_trees() -> None:
    seen = []

    @custom_vmap
    def f(d: Any) -> Any:
        return {"s": d["x"] + 1, "t": d["y"]}

    @f.def_vmap
    def rule(size: int, in_batched: Any, d: Any) -> Any:
        seen.append(in_batched)
        return f(d), {"s": True, "t": False}

    out = pb.vmap(f, in_axes=({"x": 0, "y": None},))({"x": X, "y": 2.0})
    assert seen == [[{"x": True, "y": False}]]
    assert (out["s"].tolist(), out["t"].tolist()) == ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])


def test_errors() -> None:
    f = custom_vmap(lambda x: x + 1)
    with pytest.raises(AttributeError, match="No batching rule defined"):
        f(1.0)
    for wrong, error, text in (
        (lambda size, marks, x: x, TypeError, "must return a pair"),
        (lambda size, marks, x: (x, [True]), ValueError, "do not match"),
        (lambda size, marks, x: (x[0], True), ValueError, "must have length 3"),
    ):
        f.def_vmap(wrong)
        with pytest.raises(error, match=text):
            pb.vmap(f)(X)
    with pytest.raises(TypeError, match="argument of"):
        f("a")


def test_one_after_the_other() -> None:
    f = sequential_vmap(lambda x, y: x * x * y)
    mapped = pb.vmap(f, (0, None))
    assert mapped(X, 2.0).tolist() == pb.jit(mapped)(X, 2.0).tolist() == [0.0, 2.0, 8.0]
    assert "scan" in str(pb.make_jaxpr(mapped)(X, 2.0))
    assert pb.grad(lambda x: mapped(x, 2.0).sum())(X).tolist() == [0.0, 4.0, 8.0]
    assert pb.vmap(mapped, (0, 0))(jnp.stack([X, X]), jnp.array([1.0, 2.0])).tolist() == [[0, 1, 4], [0, 2, 8]]
