"""Optimizers against the formulas of their papers, written in NumPy; states as trees; bad input."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.example_libraries import optimizers as o

GRADIENTS = np.random.default_rng(0).normal(size=(5, 2, 3))
START = np.arange(6.0).reshape(2, 3)


def by_hand(name: str) -> np.ndarray:
    """The parameters after a step of size 0.1 / t for each gradient, in 64 bits."""
    x, m, s = START.copy(), np.zeros((2, 3)), np.zeros((2, 3))
    for t, g in enumerate(GRADIENTS, 1):
        step = 0.1 / t
        if name == "momentum":
            m = 0.5 * m + g
            x -= step * m
        elif name == "nesterov":
            m = 0.5 * m + g
            x -= step * (g + 0.5 * m)
        elif name in ("adagrad", "sm3"):
            if name == "sm3":  # covers: rows and columns
                s = np.minimum(s.max(1, keepdims=True), s.max(0, keepdims=True))
            s = s + g * g
            m = 0.9 * m + 0.1 * g / np.sqrt(s)
            x -= step * m
        elif name.startswith("rmsprop"):
            s = 0.9 * s + 0.1 * g * g
            m = (0.9 * m if name.endswith("momentum") else 0) + step * g / np.sqrt(s + 1e-8)
            x -= m
        elif name == "adam":
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            x -= step * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        elif name == "adamax":
            m, s = 0.9 * m + 0.1 * g, np.maximum(0.999 * s, abs(g))
            x -= step / (1 - 0.9**t) * m / (s + 1e-8)
        else:
            x -= step * g
    return x


@pytest.mark.parametrize(
    "name", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop_momentum", "adam", "adamax", "sm3"]
)
def test_steps_are_those_of_the_papers(name: str) -> None:
    arguments = [lambda i: 0.1 / (i + 1), *([0.5] if name in ("momentum", "nesterov") else [])]
    init, update, params = getattr(o, name)(*arguments)

    def steps(x: Any, gradients: Any) -> Any:
        state = init({"w": x})
        for i in range(len(GRADIENTS)):
            state = update(i, {"w": gradients[i]}, state)
        return params(state)["w"]

    with pb.enable_x64():
        np.testing.assert_allclose(steps(START, GRADIENTS), by_hand(name), rtol=1e-12)
    x, gradients = jnp.asarray(START, "float32"), jnp.asarray(GRADIENTS, "float32")
    found = steps(x, gradients)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, by_hand(name), rtol=3e-6)
    half = steps(x.astype("bfloat16"), gradients)
    assert jnp.any(half != x)


def test_in_programs() -> None:
    init, update, params = o.adam(o.exponential_decay(0.3, 20, 0.5))
    grad = pb.grad(lambda p: jnp.sum(p["w"] ** 2) + jnp.cosh(p["b"]))

    def train(p: Any) -> Any:
        return params(pb.lax.fori_loop(0, 60, lambda i, s: update(i, grad(params(s)), s), init(p)))

    found = pb.jit(train)({"w": jnp.array([1.0, -2.0]), "b": jnp.float32(0.5)})
    assert abs(found["w"]).max() < 0.05 and abs(found["b"]) < 0.05

    # Derivatives in hyperparameters are those of differences.
    def last(step: Any, b2: Any) -> Any:
        init, update, params = o.adam(step, b2=b2)
        state = init(jnp.array(START))
        for i, g in enumerate(GRADIENTS[:3]):
            state = update(i, jnp.array(g), state)
        return jnp.sum(jnp.sin(params(state)))

    with pb.enable_x64():
        pb.test_util.check_grads(last, (0.1, 0.9), 1, rtol=1e-5)


def test_states_are_trees() -> None:
    tree = {"a": jnp.arange(3.0), "b": (jnp.ones((2, 2)), jnp.array(4.0))}
    init, update, params = o.momentum(0.1, 0.9)
    state = update(0, tree, init(tree))
    packed, structure, subtrees = state
    assert (len(packed), structure) == (len(subtrees), pb.tree.structure(tree)) and len(pb.tree.leaves(state)) == 6
    marked = o.unpack_optimizer_state(state)
    assert pb.tree.structure(marked) == pb.tree.structure(tree)
    x, velocity = next(iter(marked["b"][1]))
    assert (float(x), float(velocity)) == (3.5999999046325684, 4.0)
    # What is written to disk and read again is the same state.
    again = o.pack_optimizer_state(pickle.loads(pickle.dumps(marked)))
    assert pb.tree.structure(again) == pb.tree.structure(state)
    pb.tree.map(np.testing.assert_array_equal, params(update(1, tree, again)), params(update(1, tree, state)))
    assert "JoinPoint" in repr(marked) and o.adam(0.1).init_fn({}).packed_state == ()


def test_edges() -> None:
    for name in ("adagrad", "adam", "adamax", "rmsprop", "sm3"):
        init, update, params = getattr(o, name)(0.1)
        for shape in ((), (0, 3), (1, 4, 1), (3,)):
            x = jnp.ones(shape)
            state = update(0, x * 0, init(x))  # a gradient of zero moves nothing
            np.testing.assert_array_equal(params(state), x)
            assert params(update(1, x, state)).shape == shape
    assert o.clip_grads({"w": jnp.zeros(2)}, 1.0)["w"].tolist() == [0.0, 0.0]
    assert float(o.l2_norm({})) == 0
    assert o.l2_norm([jnp.array([3j, 4])]).dtype == jnp.float32
    assert jnp.isnan(o.clip_grads([jnp.array([jnp.nan, 1.0])], 1.0)[0]).all()
    assert o.piecewise_constant([], [2.0])(5) == 2.0
    assert pb.jit(o.polynomial_decay(1.0, 10, 0.25, power=0.5))(100) == 0.25


def test_bad_input() -> None:
    init, update, params = o.sgd(0.1)
    state = init({"w": jnp.ones(2)})
    with pytest.raises(TypeError, match="another structure than the parameters"):
        update(0, {"v": jnp.ones(2)}, state)
    for call in (lambda: params({"w": 1.0}), lambda: update(0, 1.0, 2.0), lambda: o.unpack_optimizer_state(3)):
        with pytest.raises(TypeError, match="state of an optimizer"):
            call()
    with pytest.raises(TypeError, match="JoinPoint"):
        o.pack_optimizer_state({"w": 1.0})
    changing = o.optimizer(lambda: ((lambda x: (x,)), (lambda i, g, s: (g, g)), (lambda s: s[0])))()
    with pytest.raises(TypeError, match="changed the structure"):
        changing.update_fn(0, 1.0, changing.init_fn(1.0))
    for step in ("0.1", None, jnp.ones(2)):
        with pytest.raises(TypeError, match="a step size is a number or a function"):
            o.adam(step)
    with pytest.raises(ValueError, match="got 2 values and 2 boundaries"):
        o.piecewise_constant([10, 20], [1.0, 0.5])
    with pytest.raises(ValueError, match="must be sequences"):
        o.piecewise_constant([[10]], [1.0, 0.5])
