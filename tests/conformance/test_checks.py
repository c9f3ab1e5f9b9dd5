"""The checks object to what is wrong: each is given a primitive with one false rule, and a right one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pullback.core.array import ConcreteArray, concrete
from pullback.core.primitive import LinearPrimitive, Primitive, registry
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import cos_p, sin_p
from pullback.lax.family import FLOAT, ONE, Elementwise, like, mul_p, neg_p
from pullback.lax.mover import Mover
from pullback.lax.shape import move_axis, reduce_sum_p, transpose_p
from tests.conformance.suite import CHECKS, applies, run
from tests.conformance.table import Row, sample


@pytest.fixture(autouse=True)
def primitives_of_this_file_leave_the_registry() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def row(primitive: Primitive, fun: Any = None, shape: tuple[int, ...] = (2, 3)) -> Row:
    return Row(primitive.name, "f64", fun or primitive.bind, (sample(shape),))


def sine(**changes: Any) -> Elementwise:
    """A sine whose rules are right but for `changes`."""
    partial = changes.pop("partial", lambda x, out: cos_p.bind(x))
    primitive = Elementwise("test_sine", FLOAT, np.sin, partial)
    for rule, value in changes.items():
        setattr(primitive, rule, value)
    return primitive


class Rotated(Mover):
    """The transpose of a matrix, with all its rules."""

    name = "test_rotated"

    def evaluate(self, x: Any) -> Any:
        return np.transpose(x)

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return x.update(shape=x.shape[::-1])

    def transpose(self, ct: Any, x: Any) -> Any:
        return [self.bind(ct)]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return transpose_p.bind(move_axis(args[0], axes[0], 0), permutation=(0, 2, 1)), 0


def test_right_primitives_pass_every_check() -> None:
    for primitive in (sine(), Rotated()):
        for check in CHECKS:
            if applies(check, row(primitive)):
                run(check, row(primitive))


def wrong_type_rules() -> list[Any]:
    def shape(x: ShapedArray) -> ShapedArray:
        return x.update(shape=(*x.shape, 1))

    def dtype(x: ShapedArray) -> ShapedArray:
        return x.update(dtype=np.dtype(np.float32))

    def weakness(x: ShapedArray) -> ShapedArray:
        return x.update(weak_type=False)

    return [shape, dtype, weakness]


@pytest.mark.parametrize("rule", wrong_type_rules(), ids=lambda rule: rule.__name__)
def test_wrong_type_rule_is_caught(rule: Any) -> None:
    with pytest.raises(AssertionError, match="type"):
        run("types", row(sine(type_of=rule)))


def test_row_that_does_not_use_its_primitive_is_caught() -> None:
    with pytest.raises(AssertionError, match="does not use"):
        run("types", row(sine(), lambda x: neg_p.bind(x)))


def test_value_that_differs_when_staged_is_caught() -> None:
    primitive = sine()

    def fun(x: Any) -> Any:
        return primitive.bind(x) if isinstance(x, ConcreteArray) else neg_p.bind(primitive.bind(x))

    with pytest.raises(AssertionError, match="staged result 0: off by"):
        run("staged", row(primitive, fun))


def test_result_that_leaves_its_device_is_caught() -> None:
    primitive = sine()
    with pytest.raises(AssertionError, match="result 0 of the function on a device is on cpu:0"):
        run("elsewhere", row(primitive, lambda x: primitive.bind(np.asarray(x))))


def test_derivative_that_leaves_its_device_is_caught() -> None:
    class Wrong(Rotated):
        expand = staticmethod(lambda x: transpose_p.bind(x, permutation=(1, 0)))

        def transpose(self, ct: Any, x: Any) -> Any:
            return [concrete(np.transpose(ct))]

    with pytest.raises(AssertionError, match="result 0 of vjp on a device is on cpu:0"):
        run("elsewhere", row(Wrong()))


def test_value_that_differs_elsewhere_is_caught() -> None:
    with pytest.raises(AssertionError, match="result 0 of the function on a device: off by"):
        run("elsewhere", row(sine(hlo="cosine")))


def test_evaluation_that_writes_into_its_argument_is_caught() -> None:
    def evaluate(x: Any) -> Any:
        return np.sin(x, out=x)

    with pytest.raises(ValueError, match="read-only"):
        run("purity", row(sine(evaluate=evaluate)))


def test_slightly_wrong_derivative_is_caught() -> None:
    wrong = sine(partial=lambda x, out: mul_p.bind(like(1.001, x), cos_p.bind(x)))
    with pytest.raises(AssertionError, match=r"jvp by arguments \(0,\), result 0: off by"):
        run("jvp", row(wrong))


def test_slightly_wrong_second_derivative_is_caught() -> None:
    # A cosine whose own derivative is off: the first derivative of the sine is right, the second is not.
    almost_cosine = Elementwise("test_cosine", FLOAT, np.cos, lambda x, out: mul_p.bind(like(-1.001, x), sin_p.bind(x)))
    wrong = sine(partial=lambda x, out: almost_cosine.bind(x))
    run("jvp", row(wrong))
    run("vjp", row(wrong))
    with pytest.raises(AssertionError, match="Hessian-vector product"):
        run("second_order", row(wrong))


def test_wrong_transpose_is_caught() -> None:
    class Wrong(Rotated):
        def transpose(self, ct: Any, x: Any) -> Any:
            return [neg_p.bind(self.bind(ct))]

    primitive = Wrong()
    run("jvp", row(primitive))
    with pytest.raises(AssertionError, match="not the transpose of jvp"):
        run("vjp", row(primitive))


def test_cotangent_of_wrong_shape_is_caught() -> None:
    class Wrong(Rotated):
        def transpose(self, ct: Any, x: Any) -> Any:
            return [ct]

    with pytest.raises(ValueError, match="gave a cotangent of shape"):
        run("vjp", row(Wrong()))


def test_linearity_that_is_declared_but_not_recorded_is_caught() -> None:
    class Wrong(Rotated):
        def record(self, operands: Any, params: Any) -> Any:
            return neg_p.record([super().record(operands, params)], {})

    primitive = Wrong()
    run("vjp", row(primitive))
    with pytest.raises(AssertionError, match="linear_transpose"):
        run("linear_transpose", row(primitive))


def test_mover_that_computes_is_caught() -> None:
    class Wrong(Rotated):
        def evaluate(self, x: Any) -> Any:
            return np.transpose(-x)

    with pytest.raises(AssertionError, match="come from other places"):
        run("moves", row(Wrong()))


def test_mover_whose_derivative_moves_otherwise_is_caught() -> None:
    class Wrong(Rotated):
        def linearize(self, primals: Any, nodes: Any, params: Any) -> Any:
            return neg_p.linearize([self.bind(*primals)], [super().linearize(primals, nodes, params)[1]], {})

    with pytest.raises(AssertionError, match="tangents come from other places"):
        run("moves", row(Wrong()))


def test_batch_rule_that_loses_its_axis_is_caught() -> None:
    class Wrong(Rotated):
        def batch(self, size: int, args: Any, axes: Any) -> Any:
            return transpose_p.bind(args[0], permutation=(0, 2, 1)), 0  # right for axis 0 only

    with pytest.raises(AssertionError, match=r"vmap with in_axes=\([12],\)"):
        run("vmap", row(Wrong()))


def test_batch_rule_that_mixes_elements_is_caught() -> None:
    class Wrong(Primitive):
        name, no_derivative = "test_centered", "not needed here"

        def evaluate(self, x: Any) -> Any:
            return x - x.mean()

        def type_of(self, x: ShapedArray) -> ShapedArray:
            return x

        def batch(self, size: int, args: Any, axes: Any) -> Any:
            return self.bind(*args), axes[0]

    with pytest.raises(AssertionError, match="vmap with in_axes"):
        run("vmap", row(Wrong()))


def test_derivative_that_cannot_be_batched_is_caught() -> None:
    class AlmostCosine(Primitive):
        name, no_derivative = "test_cosine", "not needed here"

        def evaluate(self, x: Any) -> Any:
            return np.cos(x)

        def type_of(self, x: ShapedArray) -> ShapedArray:
            return x

        def batch(self, size: int, args: Any, axes: Any) -> Any:
            return neg_p.bind(self.bind(*args)), axes[0]

    almost_cosine = AlmostCosine()
    primitive = sine(partial=lambda x, out: almost_cosine.bind(x))
    run("vmap", row(primitive))
    with pytest.raises(AssertionError, match=r"vmap of grad|grad of vmap"):
        run("vmap_of_grad", row(primitive))


def test_trace_left_installed_is_caught() -> None:
    from pullback.core.trace import EVAL, current, set_current
    from pullback.transforms.jvp import JVPTrace

    primitive = sine()

    def leaky(x: Any) -> Any:
        set_current(JVPTrace(current()))
        return primitive.bind(x)

    try:
        with pytest.raises(AssertionError, match="left a trace installed"):
            run("staged", row(primitive, leaky))
    finally:
        set_current(EVAL)


def test_failure_says_how_to_reproduce_it() -> None:
    with pytest.raises(AssertionError) as info:
        run("jvp", row(sine(partial=ONE)))
    assert info.value.__notes__ == ["To reproduce: python -m tests.conformance jvp 'test_sine-f64'"]


def test_sums_are_checked_over_all_axes() -> None:
    class Wrong(LinearPrimitive):
        """A sum whose transpose forgets that each element contributes once."""

        name = "test_sum"

        def evaluate(self, x: Any) -> Any:
            return np.sum(x)

        def type_of(self, x: ShapedArray) -> ShapedArray:
            return x.update(shape=())

        def transpose(self, ct: Any, x: Any) -> Any:
            return [mul_p.bind(ct, concrete(np.ones(x.shape) / np.prod(x.shape)))]

        def batch(self, size: int, args: Any, axes: Any) -> Any:
            return reduce_sum_p.bind(move_axis(args[0], axes[0], 0), axes=(1, 2)), 0

    with pytest.raises(AssertionError, match="not the transpose of jvp"):
        run("vjp", row(Wrong()))
