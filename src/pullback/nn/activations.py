"""Activation functions, elementwise. At corners their derivatives are one-sided: that of relu is 0
at 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.types import canonical_axis
from pullback.lax.arrangement import slice_in_dim
from pullback.lax.elementwise import logistic_p
from pullback.lax.selection import select
from pullback.lax.shape import convert
from pullback.lax.special import erfc
from pullback.numpy import ufuncs as u
from pullback.numpy.arithmetic import logaddexp
from pullback.numpy.promotion import array_like, here, inexact, promote, promote_inexact, scalar_like


def _constant(value: Any, x: Array) -> ConcreteArray:
    return concrete(np.array(value, x.dtype), x.weak_type)


def identity(x: Any) -> Array:
    """`x` itself, as an Array. Raises TypeError for what is no array.

    >>> identity(np.array([1.5, -2.0], "float32"))
    Array([ 1.5, -2. ], dtype=float32)
    """
    return array_like(x, "identity")


def relu(x: Any) -> Array:
    """max(x, 0), with derivative 0 at 0.

    >>> import pullback as pb
    >>> x = np.array([-1.0, 0.0, 2.0], "float32")
    >>> relu(x).tolist(), pb.vmap(pb.grad(relu))(x).tolist()
    ([0.0, 0.0, 2.0], [0.0, 0.0, 1.0])
    """
    zero = scalar_like(0, x) if isinstance(x, Array) else None
    if zero is None:
        x, zero = promote("relu", x, 0)
    return select(u.less_equal(x, zero), zero, x)


def relu6(x: Any) -> Array:
    """min(max(x, 0), 6), with derivative 0 at both corners (Krizhevsky 2010).

    >>> relu6(np.array([-1.0, 3.0, 8.0])).tolist()
    [0.0, 3.0, 6.0]
    """
    x, six = promote("relu6", x, 6.0)
    zero = _constant(0, x)
    return select(u.greater_equal(x, six), six, select(u.less_equal(x, zero), zero, x))


def leaky_relu(x: Any, negative_slope: Any = 1e-2) -> Array:
    """x where it is not negative, elsewhere negative_slope·x (Maas et al. 2013).

    >>> leaky_relu(np.array([-2.0, 3.0]), 0.5).tolist()
    [-1.0, 3.0]
    """
    x, negative_slope = promote("leaky_relu", x, negative_slope)
    return select(u.greater_equal(x, 0), x, u.multiply(negative_slope, x))


def hard_tanh(x: Any) -> Array:
    """`x` limited to [-1, 1], with derivative 1 at both corners.

    >>> hard_tanh(np.array([-3.0, 0.5, 3.0])).tolist()
    [-1.0, 0.5, 1.0]
    """
    x = promote("hard_tanh", x, 1)[0]
    one = _constant(1, x)
    return select(u.greater(x, one), one, select(u.less(x, -1), u.negative(one), x))


def hard_sigmoid(x: Any) -> Array:
    """relu6(x + 3) / 6, a piecewise linear sigmoid: 0 up to -3, 1 from 3 on. Integers become floats.

    >>> hard_sigmoid(np.array([-4.0, 0.0, 1.5, 4.0])).tolist()
    [0.0, 0.5, 0.75, 1.0]
    """
    return u.divide(relu6(u.add(x, 3.0)), 6.0)


def hard_silu(x: Any) -> Array:
    """x·hard_sigmoid(x), a piecewise quadratic silu (Howard et al. 2019, "hard swish").

    >>> hard_silu(np.array([-1.5, 1.5, 4.0])).tolist()
    [-0.375, 1.125, 4.0]
    """
    x = array_like(x, "hard_silu")
    return u.multiply(x, hard_sigmoid(x))


hard_swish = hard_silu


def sigmoid(x: Any) -> Array:
    """1 / (1 + exp(-x)). TypeError for integers.

    >>> sigmoid(np.array([-np.inf, 0.0, np.log(3.0)])).tolist()
    [0.0, 0.5, 0.75]
    """
    x = array_like(x, "sigmoid")
    if not dtypes.is_inexact(x.dtype):
        raise here(TypeError, f"sigmoid does not accept dtype {dtypes.name(x.dtype)}", ": convert to float first")
    return logistic_p.bind(x)


def silu(x: Any) -> Array:
    """x·sigmoid(x) (Hendrycks and Gimpel 2016; Ramachandran et al. 2017, "swish"). TypeError for
    integers.

    >>> silu(np.array([-10.0, 0.0, 10.0])).round(4)
    Array([-5.0000e-04,  0.0000e+00,  9.9995e+00], dtype=float32)
    """
    return u.multiply(x, sigmoid(x))


swish = silu


def log_sigmoid(x: Any) -> Array:
    """log(sigmoid(x)), without underflow. Integers become floats.

    >>> log_sigmoid(np.array([-1000.0, 1000.0])).tolist()
    [-1000.0, -0.0]
    """
    return u.negative(softplus(u.negative(inexact(x, "log_sigmoid"))))


def softplus(x: Any) -> Array:
    """log(1 + exp(x)), a smooth relu, without overflow. Integers become floats.

    >>> softplus(np.array([-1000.0, 0.0, 20.0])).round(4)
    Array([ 0.    ,  0.6931, 20.    ], dtype=float32)
    """
    x = promote_inexact("softplus", *promote("softplus", x, 0))[0]
    if dtypes.is_complex(x.dtype):
        return logaddexp(x, 0)
    # On either side of 0 a formula that is right everywhere: no derivative sees that there are two.
    positive = u.greater(x, 0)
    return u.add(select(positive, x, _constant(0, x)), u.log1p(u.exp(select(positive, u.negative(x), x))))


def sparse_plus(x: Any) -> Array:
    """A relu smoothed by a parabola: 0 up to -1, (x + 1)²/4 up to 1, then x.

    >>> sparse_plus(np.array([-2.0, 0.0, 1.0, 3.0])).tolist()
    [0.0, 0.25, 1.0, 3.0]
    """
    x = promote("sparse_plus", x, 1.0)[0]
    middle = u.divide(u.square(u.add(x, 1)), 4)
    return select(u.less_equal(x, -1), _constant(0, x), select(u.greater_equal(x, 1), x, middle))


def sparse_sigmoid(x: Any) -> Array:
    """The derivative of `sparse_plus`: (x + 1)/2 limited to [0, 1].

    >>> sparse_sigmoid(np.array([-2.0, 0.0, 0.5, 3.0])).tolist()
    [0.0, 0.5, 0.75, 1.0]
    """
    return u.multiply(u.clip(u.add(x, 1.0), 0.0, 2.0), 0.5)


def soft_sign(x: Any) -> Array:
    """x / (|x| + 1), a sigmoid in (-1, 1) whose tails are those of 1/x.

    >>> soft_sign(np.array([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """
    x = array_like(x, "soft_sign")
    return u.divide(x, u.add(u.absolute(x), 1))


def _with_float(name: str, x: Any, y: Any) -> list[Array]:
    """`x` and `y` as if a Python float took part, which makes integers weakly typed floats."""
    return promote(name, x, y, 0.0)[:2]


def elu(x: Any, alpha: Any = 1.0) -> Array:
    """x where positive, elsewhere alpha·(exp(x) - 1) (Clevert et al. 2015). Integers become floats.

    >>> elu(np.array([-np.inf, -np.log(2.0), 3.0]), alpha=2.0).tolist()
    [-2.0, -1.0, 3.0]
    """
    x, alpha = _with_float("elu", x, alpha)
    positive = u.greater(x, 0)
    safe = select(positive, _constant(0, x), x)
    return select(positive, x, u.multiply(alpha, u.expm1(safe)))


def selu(x: Any) -> Array:
    """scale·elu(x, alpha) with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017).

    >>> from pullback import random
    >>> y = selu(random.normal(random.key(0), (100_000,)))
    >>> abs(round(float(y.mean()), 1)), round(float(y.var()), 1)
    (0.0, 1.0)
    """
    return u.multiply(1.0507009873554804934193349852946, elu(x, 1.6732632423543772848170429916717))


def celu(x: Any, alpha: Any = 1.0) -> Array:
    """max(x, 0) + min(alpha·(exp(x/alpha) - 1), 0) (Barron 2017): elu with a continuous derivative
    for every alpha.

    >>> import pullback as pb
    >>> slopes = [[float(pb.grad(f)(x, 3.0)) for x in (-1e-6, 1e-6)] for f in (celu, elu)]
    >>> [[round(s, 3) for s in pair] for pair in slopes]
    [[1.0, 1.0], [3.0, 1.0]]
    """
    x, alpha = _with_float("celu", x, alpha)
    positive = u.greater(x, 0)
    safe = select(positive, _constant(0, x), x)
    return select(positive, x, u.multiply(alpha, u.expm1(u.divide(safe, alpha))))


def gelu(x: Any, approximate: bool = True) -> Array:
    """x·Φ(x), with the normal distribution function Φ (Hendrycks and Gimpel 2016), or its
    approximation by tanh. Integers become floats.

    >>> [round(float(gelu(1.0, approximate=a)), 4) for a in (False, True)]
    [0.8413, 0.8412]
    """
    x = inexact(x, "gelu")
    x = convert(x, x.dtype)
    if approximate:
        # √(2/π) (x + 0.044715 x³), by Horner's rule.
        inner = u.multiply(u.multiply(x, math.sqrt(2 / math.pi)), u.add(1.0, u.multiply(0.044715, u.square(x))))
        return u.multiply(x, u.multiply(0.5, u.add(1.0, u.tanh(inner))))
    return u.multiply(u.multiply(x, 0.5), erfc(u.multiply(x, -math.sqrt(0.5))))


def glu(x: Any, axis: int = -1) -> Array:
    """The first half of `x` along `axis`, gated by the sigmoid of the second half (Dauphin et al.
    2017).

    Raises ValueError if the axis has odd length, TypeError for integers.

    >>> glu(np.array([4.0, 6.0, 0.0, np.log(3.0)])).round(4).tolist()
    [2.0, 4.5]
    """
    x = array_like(x, "glu")
    axis = canonical_axis(axis, len(x.shape))
    size = x.shape[axis]
    if size % 2:
        raise here(ValueError, f"glu: axis size must be divisible by 2, got axis {axis} of shape {x.shape}")
    values, gates = slice_in_dim(x, 0, size // 2, axis=axis), slice_in_dim(x, size // 2, size, axis=axis)
    return u.multiply(values, sigmoid(gates))


def squareplus(x: Any, b: Any = 4) -> Array:
    """(x + √(x² + b))/2, a smooth relu without exponentials (Barron 2021). Integers become floats.

    >>> squareplus(np.array([-1.5, 0.0, 1.5])).tolist()
    [0.5, 1.0, 2.0]
    """
    x = array_like(x, "squareplus")
    x, b = promote_inexact("squareplus", convert(x, dtypes.int32) if x.dtype == dtypes.bool_ else x, b)
    return u.multiply(u.add(x, u.sqrt(u.add(u.square(x), b))), 0.5)


def mish(x: Any) -> Array:
    """x·tanh(softplus(x)) (Misra 2019).

    >>> mish(np.array([-10.0, 0.0, 10.0])).round(4)
    Array([-5.e-04,  0.e+00,  1.e+01], dtype=float32)
    """
    x = array_like(x, "mish")
    return u.multiply(x, u.tanh(softplus(x)))


def log1mexp(x: Any) -> Array:
    """log(1 - exp(-x)) for x >= 0, accurate for small and large x (Mächler 2012); -inf at 0, NaN
    below. Integers become floats.

    >>> log1mexp(np.array([1e-10, 50.0], "float32"))        # log(1e-10) and -exp(-50)
    Array([-2.3025850e+01, -1.9287499e-22], dtype=float32)
    """
    x = inexact(x, "log1mexp")
    small = u.less(x, math.log(2))
    half = _constant(math.log(2), x)
    near, far = select(small, x, half), select(small, half, x)
    return select(small, u.log(u.negative(u.expm1(u.negative(near)))), u.log1p(u.negative(u.exp(u.negative(far)))))


__all__ = ["celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "identity"]
__all__ += ["leaky_relu", "log1mexp", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu"]
__all__ += ["soft_sign", "softplus", "sparse_plus", "sparse_sigmoid", "squareplus", "swish"]
