"""Layers of neural networks as pairs of functions, `(init, apply)`.

- `init(rng, input_shape)` gives the shape of the output and the layer's parameters,
- `apply(params, inputs, **kwargs)` the output; `rng=` is a key for layers that draw numbers.

`serial` and `parallel` make layers of layers. A size in `input_shape` that nothing depends on may be
-1: that of the batch, mostly.

>>> import pullback as pb
>>> import pullback.numpy as jnp
>>> init, apply = serial(Dense(8), Relu, Dense(2), LogSoftmax)
>>> shape, params = init(pb.random.key(0), (-1, 3))
>>> shape, apply(params, jnp.ones((5, 3))).shape
((-1, 2), (5, 2))
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback import lax, nn, random
from pullback.nn import elu, gelu, leaky_relu, log_softmax, relu, selu, sigmoid, softmax, softplus, standardize
from pullback.nn.initializers import glorot_normal, normal, ones, zeros

Layer = tuple[Callable[..., Any], Callable[..., Any]]
_GLOROT, _SMALL, _TINY = glorot_normal(), normal(), normal(1e-6)

# ---- layers with parameters ----------------------------------------------------------------------


def Dense(out_dim: int, W_init: Any = _GLOROT, b_init: Any = _SMALL) -> Layer:
    """x @ W + b, with `out_dim` outputs; W is (inputs, outputs), by `W_init(key, shape)`.

    >>> init, apply = Dense(4)
    >>> shape, (W, b) = init(random.key(0), (-1, 3))
    >>> shape, W.shape, b.shape, apply((W, b), jnp.ones((2, 3))).shape
    ((-1, 4), (3, 4), (4,), (2, 4))
    """

    def init(rng: Any, input_shape: Any) -> Any:
        k1, k2 = random.split(rng)
        return (*input_shape[:-1], out_dim), (W_init(k1, (input_shape[-1], out_dim)), b_init(k2, (out_dim,)))

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        W, b = params
        return jnp.dot(inputs, W) + b

    return init, apply


def _convolution(
    transposed: bool,
    dimension_numbers: Any,
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Any,
    padding: Any,
    W_init: Any,
    b_init: Any,
) -> Layer:
    lhs, rhs, out = dimension_numbers
    strides = tuple(strides or (1,) * len(filter_shape))
    W_init = W_init or glorot_normal(rhs.index("I"), rhs.index("O"))
    output_shape = lax.conv_transpose_shape_tuple if transposed else lax.conv_general_shape_tuple

    def init(rng: Any, input_shape: Any) -> Any:
        spatial = iter(filter_shape)
        channels = {"O": out_chan, "I": input_shape[lhs.index("C")]}
        kernel = tuple(channels[c] if c in channels else next(spatial) for c in rhs)
        # The size of the batch may be -1, which is no size to compute with.
        known = tuple(1 if c == "N" else n for c, n in zip(lhs, input_shape))
        sizes = output_shape(known, kernel, strides, padding, dimension_numbers)
        shape = tuple(input_shape[lhs.index("N")] if c == "N" else int(n) for c, n in zip(out, sizes))
        k1, k2 = random.split(rng)
        return shape, (W_init(k1, kernel), b_init(k2, tuple(out_chan if c == "C" else 1 for c in out)))

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        W, b = params
        if transposed:
            return lax.conv_transpose(inputs, W, strides, padding, dimension_numbers=dimension_numbers) + b
        return lax.conv_general_dilated(inputs, W, strides, padding, dimension_numbers=dimension_numbers) + b

    return init, apply


def GeneralConv(
    dimension_numbers: Any,
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Any = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _TINY,
) -> Layer:
    """A convolution and a bias for each of `out_chan` channels.

    `dimension_numbers` are those of `lax.conv_general_dilated` as texts of letters, such as
    ("NHWC", "HWIO", "NHWC"); `filter_shape` and `strides` (1 by default) have a number for each
    spatial axis, in the kernel's order.

    >>> GeneralConv(("NCH", "OIH", "NCH"), 4, (3,))[0](random.key(0), (-1, 2, 9))[0]
    (-1, 4, 7)
    """
    return _convolution(False, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init)


def GeneralConvTranspose(
    dimension_numbers: Any,
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Any = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _TINY,
) -> Layer:
    """A transposed convolution (`lax.conv_transpose`) and a bias for each of `out_chan` channels;
    arguments are those of `GeneralConv`.

    >>> GeneralConvTranspose(("NCH", "OIH", "NCH"), 4, (3,))[0](random.key(0), (-1, 2, 9))[0]
    (-1, 4, 11)
    """
    return _convolution(True, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init)


Conv = functools.partial(GeneralConv, ("NHWC", "HWIO", "NHWC"))
Conv.__doc__ = """A convolution of images, channels last: `GeneralConv` of ("NHWC", "HWIO", "NHWC").

>>> init, apply = Conv(8, (3, 3), padding="SAME")
>>> shape, params = init(random.key(0), (-1, 28, 28, 1))
>>> shape, apply(params, jnp.ones((5, 28, 28, 1))).shape
((-1, 28, 28, 8), (5, 28, 28, 8))
"""
Conv1DTranspose = functools.partial(GeneralConvTranspose, ("NHC", "HIO", "NHC"))
Conv1DTranspose.__doc__ = """A transposed convolution of sequences, channels last: `GeneralConvTranspose` of ("NHC", "HIO",
"NHC").

>>> Conv1DTranspose(8, (4,), strides=(2,), padding="SAME")[0](random.key(0), (-1, 50, 1))[0]
(-1, 100, 8)
"""
ConvTranspose = functools.partial(GeneralConvTranspose, ("NHWC", "HWIO", "NHWC"))
ConvTranspose.__doc__ = """A transposed convolution of images, channels last: `GeneralConvTranspose` of ("NHWC", "HWIO",
"NHWC").

>>> ConvTranspose(1, (3, 3), strides=(2, 2), padding="SAME")[0](random.key(0), (-1, 14, 14, 8))[0]
(-1, 28, 28, 1)
"""


def BatchNorm(
    axis: Any = (0, 1, 2),
    epsilon: float = 1e-5,
    center: bool = True,
    scale: bool = True,
    beta_init: Any = zeros,
    gamma_init: Any = ones,
) -> Layer:
    """Batch normalization (Ioffe and Szegedy, ICML 2015) by the statistics of the batch: zero mean
    and unit variance along `axis`, then `gamma` times that (with `scale`) plus `beta` (with
    `center`).

    The parameters are (beta, gamma), of the shape of the other axes; one that is left out is ().

    >>> BatchNorm(axis=0)[0](random.key(0), (-1, 3))[1]
    (Array([0., 0., 0.], dtype=float32), Array([1., 1., 1.], dtype=float32))
    """
    chosen = axis if isinstance(axis, (tuple, list)) else (axis,)

    def others(ndim: int) -> list[int]:
        along = {a % ndim for a in chosen}
        return [a for a in range(ndim) if a not in along]

    def init(rng: Any, input_shape: Any) -> Any:
        shape = tuple(input_shape[a] for a in others(len(input_shape)))
        k1, k2 = random.split(rng)
        return input_shape, (beta_init(k1, shape) if center else (), gamma_init(k2, shape) if scale else ())

    def apply(params: Any, x: Any, **kwargs: Any) -> Any:
        beta, gamma = params
        kept = others(x.ndim)
        spread = tuple(a for a in range(x.ndim) if a not in kept)
        out = standardize(x, spread, epsilon=epsilon)
        if scale:
            out = jnp.expand_dims(gamma, spread) * out
        return out + jnp.expand_dims(beta, spread) if center else out

    return init, apply


# ---- layers without ------------------------------------------------------------------------------


def elementwise(fun: Callable[..., Any], **fun_kwargs: Any) -> Layer:
    """The layer `fun(x, **fun_kwargs)`, for functions that keep the shape.

    >>> elementwise(jnp.clip, max=1.0)[1]((), jnp.array([0.5, 2.0]))
    Array([0.5, 1. ], dtype=float32)
    """
    return (lambda rng, input_shape: (input_shape, ())), (lambda params, inputs, **kwargs: fun(inputs, **fun_kwargs))


Tanh = elementwise(jnp.tanh)
Relu = elementwise(relu)
Exp = elementwise(jnp.exp)
LogSoftmax = elementwise(log_softmax, axis=-1)
Softmax = elementwise(softmax, axis=-1)
Softplus = elementwise(softplus)
Sigmoid = elementwise(sigmoid)
Elu = elementwise(elu)
LeakyRelu = elementwise(leaky_relu)
Selu = elementwise(selu)
Gelu = elementwise(gelu)
#: Gives its inputs back.
Identity = elementwise(nn.identity)


def _pooling(
    reducer: Any, start: Any, finish: Any, window_shape: Sequence[int], strides: Any, padding: Any, spec: str | None
) -> Layer:
    strides = tuple(strides or (1,) * len(window_shape))
    if spec is None:
        spec = "N" + "x" * len(window_shape) + "C"
    spatial = [i for i, letter in enumerate(spec) if letter not in "NC"]
    if len(spatial) != len(window_shape) or len(strides) != len(window_shape):
        raise ValueError(
            f"pooling: window_shape {tuple(window_shape)} and strides {strides} must have a number for each spatial axis of {spec!r}"
        )

    def everywhere(sizes: Sequence[int]) -> tuple[int, ...]:
        whole = [1] * len(spec)
        for axis, n in zip(spatial, sizes):
            whole[axis] = n
        return tuple(whole)

    windows, steps = everywhere(window_shape), everywhere(strides)

    def pads(shape: Sequence[int]) -> Any:
        if isinstance(padding, str):
            return lax.padtype_to_pads(shape, windows, steps, padding)
        return padding if len(padding) == len(spec) else [*everywhere_pads(padding)]

    def everywhere_pads(given: Any) -> list[Any]:
        whole: list[Any] = [(0, 0)] * len(spec)
        for axis, p in zip(spatial, given):
            whole[axis] = p
        return whole

    def init(rng: Any, input_shape: Any) -> Any:
        known = tuple(n if i in spatial else 1 for i, n in enumerate(input_shape))
        sizes = lax.reduce_window_shape_tuple(known, windows, steps, pads(known))
        return tuple(int(sizes[i]) if i in spatial else n for i, n in enumerate(input_shape)), ()

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        reduce = lambda x: lax.reduce_window(x, start(x.dtype), reducer, windows, steps, pads(x.shape))
        return finish(reduce, inputs)

    return init, apply


def _zero(dtype: Any) -> Any:
    return np.zeros((), dtype)[()]


def _least(dtype: Any) -> Any:
    """What is no larger than any number of a dtype."""
    if jnp.issubdtype(dtype, jnp.floating):
        return np.array(-np.inf, dtype)[()]
    return np.array(False if dtype == np.bool_ else jnp.iinfo(dtype).min, dtype)[()]


def MaxPool(window_shape: Sequence[int], strides: Any = None, padding: Any = "VALID", spec: str | None = None) -> Layer:
    """The maximum of each window.

    `window_shape` and `strides` (1 by default) have a number for each spatial axis. `spec` names
    the axes, such as "NHWC", the default for two; `padding` is "VALID", "SAME", or pairs, for the
    spatial axes or all. Raises ValueError for other numbers of axes.

    >>> init, apply = MaxPool((2, 2), strides=(2, 2))
    >>> init(random.key(0), (-1, 28, 28, 3))[0]
    (-1, 14, 14, 3)
    >>> apply((), jnp.arange(16).reshape(1, 4, 4, 1)).reshape(2, 2)
    Array([[ 5,  7],
           [13, 15]], dtype=int32)
    """
    return _pooling(lax.max, _least, lambda reduce, x: reduce(x), window_shape, strides, padding, spec)


def SumPool(window_shape: Sequence[int], strides: Any = None, padding: Any = "VALID", spec: str | None = None) -> Layer:
    """The sum of each window; arguments are those of `MaxPool`.

    >>> SumPool((2,), spec="NWC")[1]((), jnp.arange(3.0).reshape(1, 3, 1)).ravel()
    Array([1., 3.], dtype=float32)
    """
    return _pooling(lax.add, _zero, lambda reduce, x: reduce(x), window_shape, strides, padding, spec)


def AvgPool(window_shape: Sequence[int], strides: Any = None, padding: Any = "VALID", spec: str | None = None) -> Layer:
    """The mean of each window, of what is there without the padding; arguments are those of
    `MaxPool`.

    >>> AvgPool((2,), padding="SAME", spec="NWC")[1]((), jnp.arange(3.0).reshape(1, 3, 1)).ravel()
    Array([0.5, 1.5, 2. ], dtype=float32)
    """
    mean = lambda reduce, x: reduce(x) / reduce(jnp.ones(x.shape, x.dtype))
    return _pooling(lax.add, _zero, mean, window_shape, strides, padding, spec)


#: All axes but the first as one.
Flatten: Layer = (
    lambda rng, input_shape: ((input_shape[0], math.prod(input_shape[1:])), ()),
    lambda params, inputs, **kwargs: jnp.reshape(
        inputs, (inputs.shape[0], -1 if inputs.size else math.prod(inputs.shape[1:]))
    ),
)


def FanOut(num: int) -> Layer:
    """The input, `num` times: the beginning of branches.

    >>> FanOut(2)[0](random.key(0), (-1, 3))[0]
    [(-1, 3), (-1, 3)]
    """
    return (lambda rng, input_shape: ([input_shape] * num, ())), (lambda params, inputs, **kwargs: [inputs] * num)


#: The sum of several inputs: the end of branches.
FanInSum: Layer = (
    lambda rng, input_shape: (input_shape[0], ()),
    lambda params, inputs, **kwargs: sum(inputs[1:], start=inputs[0]),
)


def FanInConcat(axis: int = -1) -> Layer:
    """Several inputs, one after the other along `axis`.

    >>> FanInConcat()[0](random.key(0), [(-1, 3), (-1, 4)])[0]
    (-1, 7)
    """

    def init(rng: Any, input_shape: Any) -> Any:
        first, along = list(input_shape[0]), axis % len(input_shape[0])
        first[along] = sum(shape[along] for shape in input_shape)
        return tuple(first), ()

    return init, lambda params, inputs, **kwargs: jnp.concatenate(inputs, axis)


def Dropout(rate: Any, mode: str = "train") -> Layer:
    """Dropout (Srivastava et al., JMLR 15, 2014): in mode "train" an element is kept with
    probability `rate` and divided by it, and is 0 otherwise; in mode "test" nothing is done.

    Note that `rate` is the share that is *kept*. In mode "train" `apply` needs a key: ValueError
    without `rng=`.

    >>> sorted(set(Dropout(0.5)[1]((), jnp.ones(20), rng=random.key(0)).tolist()))
    [0.0, 2.0]
    """
    if mode not in ("train", "test"):
        raise ValueError(f"Dropout: mode must be 'train' or 'test', got {mode!r}")

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        if mode == "test":
            return inputs
        key = kwargs.get("rng")
        if key is None:
            raise ValueError(
                "Dropout draws numbers: its apply function needs a key, as in apply(params, inputs, rng=random.key(0))"
            )
        return jnp.where(random.bernoulli(key, rate, inputs.shape), inputs / rate, 0)

    return (lambda rng, input_shape: (input_shape, ())), apply


# ---- layers of layers ----------------------------------------------------------------------------


def _keys(kwargs: dict[str, Any], n: int) -> list[Any]:
    rng = kwargs.pop("rng", None)
    return [None] * n if rng is None else list(random.split(rng, n))


def serial(*layers: Layer) -> Layer:
    """One layer after the other; the parameters are a list of theirs.

    >>> serial(Dense(4), Relu, Dense(2))[0](random.key(0), (-1, 3))[0]
    (-1, 2)
    """

    def init(rng: Any, input_shape: Any) -> Any:
        params = []
        for init_layer, _ in layers:
            rng, key = random.split(rng)
            input_shape, found = init_layer(key, input_shape)
            params.append(found)
        return input_shape, params

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        for (_, apply_layer), own, key in zip(layers, params, _keys(kwargs, len(layers))):
            inputs = apply_layer(own, inputs, rng=key, **kwargs)
        return inputs

    return init, apply


def parallel(*layers: Layer) -> Layer:
    """Layers side by side: a sequence of inputs, one for each, and a list of outputs. `FanOut` makes
    such inputs, `FanInSum` and `FanInConcat` end them.

    >>> serial(FanOut(2), parallel(Dense(3), Identity), FanInSum)[0](random.key(0), (-1, 3))[0]
    (-1, 3)
    """

    def init(rng: Any, input_shape: Any) -> Any:
        found = [
            init_layer(key, shape)
            for (init_layer, _), key, shape in zip(layers, random.split(rng, len(layers)), input_shape)
        ]
        return [shape for shape, _ in found], [params for _, params in found]

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return [
            apply_layer(own, x, rng=key, **kwargs)
            for (_, apply_layer), own, x, key in zip(layers, params, inputs, _keys(kwargs, len(layers)))
        ]

    return init, apply


def shape_dependent(make_layer: Callable[[Any], Layer]) -> Layer:
    """The layer `make_layer(input_shape)`, made when the shape of the input is known.

    >>> shape_dependent(lambda shape: Dense(2 * shape[-1]))[0](random.key(0), (-1, 3))[0]
    (-1, 6)
    """

    def init(rng: Any, input_shape: Any) -> Any:
        return make_layer(input_shape)[0](rng, input_shape)

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return make_layer(inputs.shape)[1](params, inputs, **kwargs)

    return init, apply


__all__ = [
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Conv1DTranspose",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Elu",
    "Exp",
    "FanInConcat",
    "FanInSum",
    "FanOut",
    "Flatten",
    "Gelu",
    "GeneralConv",
    "GeneralConvTranspose",
    "Identity",
    "Layer",
    "LeakyRelu",
    "LogSoftmax",
    "MaxPool",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SumPool",
    "Tanh",
    "elementwise",
    "elu",
    "gelu",
    "glorot_normal",
    "leaky_relu",
    "log_softmax",
    "normal",
    "ones",
    "parallel",
    "relu",
    "selu",
    "serial",
    "shape_dependent",
    "sigmoid",
    "softmax",
    "softplus",
    "standardize",
    "zeros",
]
