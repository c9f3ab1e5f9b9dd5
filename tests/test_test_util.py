"""`pullback.test_util`: right derivatives pass, and slightly wrong ones are refused at the order where they are wrong."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest

import pullback
import pullback.numpy as jnp
from pullback import custom_jvp, custom_vjp, jvp, vjp
from pullback.test_util import check_grads, check_jvp, check_vjp

MODES = ["fwd", "rev"]


def smooth(x, y):
    return jnp.sin(x) * jnp.exp(0.5 * y) + x


def tree_function(tree, count):
    """Containers, an integer argument and an integer result."""
    return {"a": tree["w"] * count, "b": [jnp.tanh(tree["v"]), count + 1]}


def not_holomorphic(z):
    return jnp.conjugate(z) * jnp.sin(z)


def real_of_complex(z):
    return jnp.real(z) ** 2 + jnp.imag(z) ** 3


# ---- what is right passes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_right_derivatives_pass_in_every_precision(dtype):
    with pullback.enable_x64(True):
        check_grads(smooth, (np.asarray([0.5, -1.0], dtype), np.asarray(0.25, dtype)), order=2)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("f", [jnp.sin, not_holomorphic, real_of_complex])
def test_complex_inputs(f, dtype):
    with pullback.enable_x64(True):
        check_grads(f, (np.asarray([0.5 + 0.25j, -1 + 1j], dtype),), order=2)


def test_real_input_and_complex_output():
    check_grads(lambda x: jnp.exp(1j * x), (0.5,), order=2)


def test_pytrees_and_integers():
    args = ({"w": np.float32([1.0, 2.0]), "v": 0.5}, np.int32(3))
    check_grads(tree_function, args, order=2)


def test_third_order():
    with pullback.enable_x64(True):
        check_grads(lambda x: x**4, (np.float64(0.75),), order=3)


def test_empty_arrays_and_python_scalars():
    check_grads(jnp.sin, (np.zeros((0, 3), np.float32),), order=2)
    check_grads(lambda x, y: x * y, (2.0, 3.0), order=2)


def test_large_arguments_are_stepped_exactly():
    """At 1000 a float32 step of 2⁻⁸ rounds to multiples of 2⁻¹⁴: the direction is what was really stepped."""
    check_grads(lambda x: 2.0 * x, (np.float32([1000.0, -3000.0]),), order=1)


def test_order_zero_checks_nothing():
    def fails(x):
        raise AssertionError

    check_grads(fails, (1.0,), order=0)


# ---- what is wrong is refused -----------------------------------------------------------------------------------


def wrong_jvp(error):
    """x², with the derivative (2 + error) x."""
    f = custom_jvp(lambda x: x * x)
    f.defjvp(lambda primals, tangents: (primals[0] * primals[0], (2 + error) * primals[0] * tangents[0]))
    return f


def wrong_vjp(error):
    f = custom_vjp(lambda x: x * x)
    f.defvjp(lambda x: (x * x, x), lambda x, ct: ((2 + error) * x * ct,))
    return f


def wrong_second_derivative(error):
    """x³/6, whose derivative x²/2 is right, with the second derivative (1 + error) x."""
    half_square = custom_jvp(lambda x: 0.5 * x * x)
    half_square.defjvp(
        lambda primals, tangents: (0.5 * primals[0] * primals[0], (1 + error) * primals[0] * tangents[0])
    )
    f = custom_jvp(lambda x: x * x * x / 6)
    f.defjvp(lambda primals, tangents: (primals[0] ** 3 / 6, half_square(primals[0]) * tangents[0]))
    return f


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype, error", [(np.float64, 1e-4), (np.float32, 2e-2)])
@pytest.mark.parametrize("wrong", [wrong_jvp, wrong_vjp])
def test_a_slightly_wrong_first_derivative_is_refused(wrong, dtype, error, mode):
    x = np.asarray([1.5, -2.0], dtype)
    with pullback.enable_x64(True):
        check_grads(wrong(0.0), (x,), order=2, modes=(mode,))
        with pytest.raises(AssertionError, match="differs from the numerical one"):
            check_grads(wrong(error), (x,), order=1, modes=(mode,))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype, error", [(np.float64, 1e-4), (np.float32, 2e-2)])
def test_a_slightly_wrong_second_derivative_is_refused_at_second_order(dtype, error, mode):
    x = np.asarray([1.5, -2.0], dtype)
    with pullback.enable_x64(True):
        check_grads(wrong_second_derivative(0.0), (x,), order=2, modes=(mode,))
        check_grads(wrong_second_derivative(error), (x,), order=1, modes=(mode,))
        name = "JVP" if mode == "fwd" else "VJP"
        with pytest.raises(AssertionError, match=f"{name} of {name} of f: .* differs from the numerical one"):
            check_grads(wrong_second_derivative(error), (x,), order=2, modes=(mode,))


def test_every_combination_of_modes_is_checked():
    """A derivative that is wrong only where a pushforward is pulled back: the rule's tangent is computed with a wrong VJP."""
    x = np.float32(1.5)
    cube = custom_jvp(lambda x: x * x * x / 3)
    cube.defjvp(lambda primals, tangents: (primals[0] ** 3 / 3, wrong_vjp(0.05)(primals[0]) * tangents[0]))
    check_grads(cube, (x,), order=1)
    with pytest.raises(AssertionError, match="of [JV]VP of f"):
        check_grads(cube, (x,), order=2)


def test_wrong_in_one_element_of_one_leaf():
    def broken_jvp(primals, tangents):
        y, t = jvp(tree_function, primals, tangents)
        return y, {**t, "a": t["a"] + np.float32([0.0, 0.125])}

    args = ({"w": np.float32([1.0, 2.0]), "v": np.float32(0.5)}, np.int32(3))
    check_jvp(tree_function, partial(jvp, tree_function), args, eps=None)
    with pytest.raises(
        AssertionError, match=r"my message: its tangent at \['a'\] differs .* in 1 of 2 elements.* at index \(1,\)"
    ):
        check_jvp(tree_function, broken_jvp, args, eps=None, err_msg="my message")


def test_wrong_values_types_and_structures():
    x = np.float32([1.0, 2.0])

    def with_pullback(change):
        def f_vjp(*args):
            y, pullback = vjp(jnp.sin, *args)
            return y, lambda ct: change(pullback(ct))

        return f_vjp

    check_vjp(jnp.sin, with_pullback(lambda cts: cts), (x,), eps=None)
    with pytest.raises(AssertionError, match="its value differs"):
        check_vjp(jnp.cos, with_pullback(lambda cts: cts), (x,), eps=None)
    with pytest.raises(AssertionError, match="structure"):
        check_vjp(jnp.sin, with_pullback(lambda cts: (*cts, *cts)), (x,), eps=None)
    with pytest.raises(
        AssertionError, match=r"args\[0\] must have shape \(2,\) and dtype float32, got \(1,\) and float32"
    ):
        check_vjp(jnp.sin, with_pullback(lambda cts: (cts[0][:1],)), (x,), eps=None)
    with pytest.raises(AssertionError, match="paired with the direction differs"):
        check_vjp(jnp.sin, with_pullback(lambda cts: (cts[0] * 1.01,)), (x,), eps=None)


def test_conjugated_cotangents_are_refused():
    """Cotangents pair with tangents by Re(ct·t), without conjugation."""

    def f_vjp(z):
        y, pullback = vjp(jnp.sin, z)
        return y, lambda ct: (jnp.conjugate(pullback(ct)[0]),)

    z = np.complex64(0.5 + 1j)
    check_vjp(jnp.sin, partial(vjp, jnp.sin), (z,), eps=None)
    with pytest.raises(AssertionError, match="paired with the direction differs"):
        check_vjp(jnp.sin, f_vjp, (z,), eps=None)


def test_a_nan_derivative_is_refused():
    f = custom_jvp(lambda x: x)
    f.defjvp(lambda primals, tangents: (primals[0], jnp.nan * tangents[0]))
    with pytest.raises(AssertionError, match="against"):
        check_grads(f, (np.float32(1.0),), order=1)


def test_tolerances_and_steps_are_the_callers():
    x = np.float32(1.5)
    check_grads(wrong_jvp(0.05), (x,), order=1, rtol=0.1)
    check_grads(wrong_jvp(0.05), (x,), order=1, atol=1.0)
    with pullback.enable_x64(True):
        y = np.float64(0.7)
        check_grads(jnp.sin, (y,), order=1, atol=1e-8, rtol=1e-8)
        with pytest.raises(AssertionError):  # the truncation error of so large a step, 1/24
            check_grads(jnp.sin, (y,), order=1, eps=1.0)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="modes"):
        check_grads(jnp.sin, (1.0,), order=1, modes=("forward",))
    with pytest.raises(ValueError, match="modes"):
        check_grads(jnp.sin, (1.0,), order=1, modes=())
    with pytest.raises(TypeError, match="tuple"):
        check_grads(jnp.sin, 1.0, order=1)
    with pytest.raises(TypeError, match="nothing to differentiate"):
        check_grads(jnp.negative, (3,), order=1)
    check_grads(jnp.sin, (1.0,), order=1, modes="rev")
