"""Primitives: what a declaration gives, and what the error says where a rule is absent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.primitive import LinearPrimitive, Primitive, registry
from pullback.core.types import ShapedArray


@pytest.fixture(autouse=True)
def primitives_of_this_file_leave_the_registry() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


class Doubled(Primitive):
    """With evaluation and type only."""

    name = "test_doubled"

    def evaluate(self, x: Any) -> Any:
        return x + x

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return x


def test_what_is_not_asked_for_need_not_be_there() -> None:
    doubled = Doubled()
    assert float(doubled.bind(jnp.float32(2))) == 4
    assert "test_doubled" in str(pb.make_jaxpr(doubled.bind)(1.0))


@pytest.mark.parametrize(
    "use, rule",
    [
        (lambda p: pb.jvp(p.bind, (1.0,), (1.0,)), "jvp"),
        (lambda p: pb.grad(p.bind)(1.0), "jvp"),
        (lambda p: pb.vmap(p.bind)(jnp.ones(2)), "batch"),
    ],
    ids=["jvp", "grad", "vmap"],
)
def test_missing_rule_is_an_instruction(use: Any, rule: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"'test_doubled' .*test_primitive.py.* define `Doubled.{rule}`"):
        use(Doubled())


def test_missing_transpose_is_an_instruction() -> None:
    class Linear(LinearPrimitive, Doubled):
        name = "test_linear"

    linear = Linear()
    assert float(pb.jvp(linear.bind, (1.0,), (3.0,))[1]) == 6.0
    with pytest.raises(NotImplementedError, match="define `Linear.transpose`"):
        pb.grad(linear.bind)(1.0)


def test_result_without_derivative_is_a_constant() -> None:
    class Step(Doubled):
        name, no_derivative = "test_step", "its values are discrete"

    step = Step()
    assert float(pb.grad(lambda x: x * step.bind(x))(3.0)) == 6.0
    assert float(pb.jvp(step.bind, (1.0,), (1.0,))[1]) == 0.0


class SumAndDifference(LinearPrimitive):
    """Two results."""

    name, multiple_results = "test_sum_and_difference", True

    def evaluate(self, x: Any, y: Any) -> Any:
        return [x + y, x - y]

    def type_of(self, x: ShapedArray, y: ShapedArray) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype), ShapedArray(x.shape, x.dtype)]

    def transpose(self, ct: Any, x: Any, y: Any) -> Any:
        zero = jnp.zeros(x.shape, x.dtype)
        a, b = (zero if c is None else c for c in ct)
        return [a + b, a - b]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        from pullback.lax.shape import batch_first

        return self.bind(*(batch_first(x, b, size) for x, b in zip(args, axes))), [0, 0]


def test_several_results() -> None:
    primitive = SumAndDifference()

    def product(x: Any, y: Any) -> Any:
        a, b = primitive.bind(x, y)
        return a * b  # x² - y²

    x, y = jnp.float32(3), jnp.float32(2)
    assert [float(g) for g in pb.grad(product, (0, 1))(x, y)] == [6.0, -4.0]
    assert float(pb.grad(lambda x: primitive.bind(x, y)[1])(x)) == 1.0
    assert [float(t) for t in pb.jvp(lambda x: primitive.bind(x, y), (x,), (y,))[1]] == [2.0, 2.0]
    assert np.array_equal(pb.vmap(product, (0, None))(jnp.arange(3.0), y), np.arange(3.0) ** 2 - 4)
    assert np.allclose(pb.hessian(product, (0, 1))(x, y), [[2, 0], [0, -2]])
    assert str(pb.make_jaxpr(product)(x, y)).count("test_sum_and_difference") == 1


def test_errors_of_evaluation_name_the_operation_and_the_types() -> None:
    class Broken(Doubled):
        name = "test_broken"

        def evaluate(self, x: Any) -> Any:
            raise ValueError("cannot be computed")

    with pytest.raises(ValueError, match=r"test_broken\(.*float32\[2\].*\): cannot be computed .*test_primitive.py"):
        Broken().bind(jnp.ones(2))


def test_names_are_taken_once() -> None:
    from pullback.core.primitive import registry
    from pullback.lax.elementwise import sin_p

    class Sine(Doubled):
        name = "sin"

    with pytest.raises(ValueError, match=r"primitive .sin. already, of pullback.*test_primitive.py.*mypackage"):
        Sine()
    assert registry["sin"] is sin_p
