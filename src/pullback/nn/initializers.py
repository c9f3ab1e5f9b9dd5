"""Initializers: functions `(key, shape, dtype=...) -> Array` that make the parameters of a network,
and makers of such functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pullback import random
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.dimensions import is_symbolic
from pullback.core.dtypes import DType
from pullback.core.types import canonical_axes, canonical_axis, integers
from pullback.numpy import creation, linalg
from pullback.numpy import ufuncs as u
from pullback.numpy.conversion import array
from pullback.numpy.manipulation import moveaxis
from pullback.numpy.promotion import here
from pullback.xla.devices import no_sharding


class Initializer(Protocol):
    """What the makers below return: a function `(key, shape, dtype=None)` that gives an Array of
    `shape`, in `dtype`, or the maker's, or the default float. Those that draw raise ValueError for
    dtypes that are neither floats nor complex.

    >>> import pullback as pb
    >>> def positive(init: Initializer) -> Initializer:
    ...     return lambda key, shape, dtype=None, out_sharding=None: abs(init(key, shape, dtype))
    >>> bool((positive(he_normal())(random.key(0), (3, 4)) > 0).all())
    True
    """

    def __call__(self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Array:
        """Parameters of `shape` and `dtype` (by default the maker's, or float), drawn with `key`."""
        raise NotImplementedError("Initializer is the type of initializers: what is one defines `__call__`")


def _dtype(name: str, dtype: Any, default: Any) -> DType:
    chosen = dtype if dtype is not None else default if default is not None else float
    result = dtypes.canonicalize_dtype(chosen)
    if not dtypes.is_inexact(result):
        raise here(ValueError, f"{name}: the dtype must be a float or complex dtype, got {dtypes.name(result)}")
    return result


def zeros(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Array:
    """All zeros, of the default float or `dtype`; `key` is not used.

    >>> zeros(random.key(0), (2,), "bfloat16")
    Array([0, 0], dtype=bfloat16)
    """
    del key
    no_sharding("zeros", out_sharding)
    return creation.zeros(shape, float if dtype is None else dtype)


def ones(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Array:
    """All ones, of the default float or `dtype`; `key` is not used.

    >>> ones(random.key(0), (2, 2))
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    del key
    no_sharding("ones", out_sharding)
    return creation.ones(shape, float if dtype is None else dtype)


def _initializer(name: str, default: Any, draw: Callable[[Any, Any, DType], Array]) -> Initializer:
    """The initializer `draw(key, shape, dtype)`, for the dtype that is given, or `default`."""

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Array:
        no_sharding(name, out_sharding)
        return draw(key, shape, _dtype(name, dtype, default))

    return init


def constant(value: Any, dtype: Any = None) -> Initializer:
    """An initializer that gives `value`, which broadcasts to the shape, everywhere. `key` is not used.

    >>> constant(array([0.5, 2.0]))(random.key(0), (3, 2))
    Array([[0.5, 2. ],
           [0.5, 2. ],
           [0.5, 2. ]], dtype=float32)
    """
    default = dtype

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Array:
        del key
        no_sharding("constant", out_sharding)
        chosen = dtype if dtype is not None else default if default is not None else float
        return creation.full(shape, value, chosen)

    return init


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """An initializer that draws uniformly from [0, scale).

    >>> w = uniform(3.0)(random.key(0), (100, 100))
    >>> bool((0 <= w).all() and (w < 3).all()), round(float(w.mean()), 1)
    (True, 1.5)
    """
    draw = lambda key, shape, dtype: u.multiply(random.uniform(key, shape, dtype), array(scale, dtype))
    return _initializer("uniform", dtype, draw)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """An initializer that draws from the normal distribution with standard deviation `stddev`.

    >>> w = normal(0.5)(random.key(0), (100, 100))
    >>> round(float(w.std()), 1)
    0.5
    """
    draw = lambda key, shape, dtype: u.multiply(random.normal(key, shape, dtype), array(stddev, dtype))
    return _initializer("normal", dtype, draw)


def truncated_normal(stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """An initializer that draws from the standard normal distribution restricted to [lower, upper],
    times `stddev`. (Its deviation is thus less than `stddev`.)

    >>> w = truncated_normal(0.5)(random.key(0), (100, 100))
    >>> bool((abs(w) <= 1).all()), round(float(w.std()), 2)
    (True, 0.44)
    """
    sample = lambda key, shape, dtype: random.truncated_normal(key, lower, upper, shape, dtype)
    draw = lambda key, shape, dtype: u.multiply(sample(key, shape, dtype), array(stddev, dtype))
    return _initializer("truncated_normal", dtype, draw)


# ---- scaled by the sizes of the layer ------------------------------------------------------------

# Standard deviations of the standard normal distributions restricted to |x| <= 2, on the line and
# in the complex plane.
_TRUNCATED_DEVIATION = 0.87962566103423978
_COMPLEX_TRUNCATED_DEVIATION = 0.95311164380491208


def _fans(shape: Sequence[int], in_axis: Any, out_axis: Any, batch_axis: Any) -> tuple[float, float]:
    """Sizes of input and output, both times the size of the receptive field, of weights of `shape`."""
    if len(shape) <= 1:
        raise here(
            ValueError,
            f"Can't compute input and output sizes of a {len(shape)}-dimensional weights tensor. Must be at least 2D",
        )

    def size(axes: Any) -> int:
        return math.prod(
            shape[i] for i in canonical_axes(integers(axes, "in_axis, out_axis and batch_axis"), len(shape))
        )

    if not all(shape):
        return 0.0, 0.0
    inputs, outputs, batch = size(in_axis), size(out_axis), size(batch_axis)
    field = math.prod(shape) / inputs / outputs / batch
    return inputs * field, outputs * field


def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: Any = None,
) -> Initializer:
    """An initializer with mean 0 and variance scale/n (Glorot and Bengio 2010; He et al. 2015).

    n is the number of inputs ("fan_in"), outputs ("fan_out"), their mean ("fan_avg") or geometric
    mean ("fan_geo_avg"), by the axes of the weights. `distribution` is "truncated_normal", "normal"
    or "uniform". Raises ValueError for other names, and for weights of fewer than two axes.

    >>> w = variance_scaling(2.0, "fan_in", "uniform")(random.key(0), (50, 200))
    >>> round(float(w.var()), 3)
    0.041
    """

    def draw(key: Any, shape: Any, chosen: DType) -> Array:
        shape = creation.canonical_shape(shape)
        fan_in, fan_out = _fans(shape, in_axis, out_axis, batch_axis)
        means = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        if mode not in means and mode != "fan_geo_avg":
            raise ValueError(f"invalid mode for variance scaling initializer: {mode}")
        n = (
            means[mode]
            if mode in means
            else u.sqrt(fan_in * fan_out)
            if is_symbolic(shape)
            else math.sqrt(fan_in * fan_out)
        )
        none = not is_symbolic(shape) and not n  # weights that have no elements
        variance = array(0 if none else scale / n, dtypes.to_real(chosen))
        deviation = u.sqrt(variance).astype(chosen)
        is_complex = dtypes.is_complex(chosen)
        if distribution == "normal":
            return u.multiply(random.normal(key, shape, chosen), deviation)
        if distribution == "truncated_normal":
            if is_complex:
                sample = _complex_truncated_normal(key, 2.0, shape, chosen)
                return u.multiply(sample, u.divide(deviation, array(_COMPLEX_TRUNCATED_DEVIATION, chosen)))
            sample = random.truncated_normal(key, -2, 2, shape, chosen)
            return u.multiply(sample, u.divide(deviation, array(_TRUNCATED_DEVIATION, chosen)))
        if distribution == "uniform":
            if is_complex:
                # The mean of |z|² on the unit disk is 1/2.
                return u.multiply(_complex_uniform(key, shape, chosen), u.multiply(deviation, math.sqrt(2)))
            width = u.sqrt(u.multiply(variance, 3))
            return u.multiply(random.uniform(key, shape, chosen, -1), width)
        raise ValueError(f"invalid distribution for variance scaling initializer: {distribution}")

    return _initializer("variance_scaling", dtype, draw)


def _on_circles(key: Any, radius_of: Any, shape: Any, dtype: DType) -> Array:
    """Complex numbers of uniform phase whose sizes are `radius_of(uniform numbers)`."""
    key_radius, key_phase = random.split(key)
    real_dtype = dtypes.to_real(dtype)
    radius = radius_of(random.uniform(key_radius, shape, real_dtype))
    phase = u.multiply(random.uniform(key_phase, shape, real_dtype), 2 * math.pi)
    return u.multiply(radius.astype(dtype), u.exp(u.multiply(phase.astype(dtype), 1j)))


def _complex_uniform(key: Any, shape: Any, dtype: DType) -> Array:
    """Uniform on the unit disk: the square of the size is uniform."""
    return _on_circles(key, u.sqrt, shape, dtype)


def _complex_truncated_normal(key: Any, upper: float, shape: Any, dtype: DType) -> Array:
    """The standard complex normal distribution restricted to sizes up to `upper`."""
    # |z|² is exponentially distributed: P(|z| <= r) = 1 - exp(-r²), here divided by its value at `upper`.
    mass = 1 - math.exp(-(upper**2))
    return _on_circles(key, lambda p: u.sqrt(u.negative(u.log(u.subtract(1, u.multiply(mass, p))))), shape, dtype)


_DRAWN = {
    "uniform": "draws uniformly",
    "truncated_normal": "draws from the normal distribution restricted to two deviations",
}


def _scaled(name: str, scale: float, mode: str, distribution: str, variance: str, source: str) -> Any:
    def make(in_axis: Any = -2, out_axis: Any = -1, batch_axis: Any = (), dtype: Any = None) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"An initializer that {_DRAWN[distribution]}, with mean 0 and variance {variance} ({source}): that of `variance_scaling` "
        f"for scale {scale}, mode {mode!r} and distribution {distribution!r}. The other arguments are as there, and so "
        "are the errors.\n\n"
        f">>> inputs, outputs = 200, 50\n>>> w = {name}()(random.key(0), (inputs, outputs))\n"
        f">>> round(float(w.var()) / ({variance}), 1)\n1.0\n"
    )
    return make


# fmt: off
_GLOROT, _LECUN, _HE = "Glorot and Bengio 2010", "LeCun et al. 1998", "He et al. 2015"
glorot_uniform = _scaled("glorot_uniform", 1.0, "fan_avg", "uniform",          "2/(inputs + outputs)", _GLOROT)
glorot_normal  = _scaled("glorot_normal",  1.0, "fan_avg", "truncated_normal", "2/(inputs + outputs)", _GLOROT)
lecun_uniform  = _scaled("lecun_uniform",  1.0, "fan_in",  "uniform",          "1/inputs",             _LECUN)
lecun_normal   = _scaled("lecun_normal",   1.0, "fan_in",  "truncated_normal", "1/inputs",             _LECUN)
he_uniform     = _scaled("he_uniform",     2.0, "fan_in",  "uniform",          "2/inputs",             _HE)
he_normal      = _scaled("he_normal",      2.0, "fan_in",  "truncated_normal", "2/inputs",             _HE)
# fmt: on
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


# ---- orthogonal ----------------------------------------------------------------------------------


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initializer of uniformly distributed (semi-)orthogonal matrices, times `scale` (Saxe et
    al. 2013).

    Weights of more axes are matrices with the rows `column_axis` and all other axes as columns.

    Raises ValueError for shapes of fewer than two axes.

    >>> w = orthogonal()(random.key(0), (5, 3))
    >>> (w.T @ w).round(3) + 0.0
    Array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """

    def draw(key: Any, shape: Any, chosen: DType) -> Array:
        shape = creation.canonical_shape(shape)
        if len(shape) < 2:
            raise ValueError(f"orthogonal initializer requires at least a 2D shape, got {shape}")
        rows = shape[canonical_axis(column_axis, len(shape), "column_axis")]
        columns = math.prod(shape) // rows
        tall = (rows, columns) if rows > columns else (columns, rows)
        q, r = linalg.qr(random.normal(key, tall, chosen))
        # Q is unique, and then uniformly distributed, if the diagonal of R is positive (Mezzadri
        # 2007).
        diagonal = u.sign(creation.diagonal(r))
        q = u.multiply(q, diagonal[None, :])
        if rows <= columns:  # square ones, too: JAX's draws of a key are transposed
            q = q.T
        rest = list(shape)
        del rest[column_axis]
        q = moveaxis(q.reshape((rows, *rest)), 0, column_axis)
        return u.multiply(array(scale, chosen), q)

    return _initializer("orthogonal", dtype, draw)


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initializer of convolution kernels that are zero but for an orthogonal matrix at their
    center (Xiao et al. 2018).

    Shapes are (spatial axes, inputs, outputs), with one to three spatial axes and no more inputs
    than outputs; ValueError otherwise.

    >>> w = delta_orthogonal()(random.key(0), (3, 2, 2))
    >>> (w != 0).any((1, 2)), (w[1].T @ w[1]).round(3) + 0.0
    (Array([False,  True, False], dtype=bool), Array([[1., 0.],
           [0., 1.]], dtype=float32))
    """
    default = dtype

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Array:
        shape = creation.canonical_shape(shape)
        chosen = _dtype("delta_orthogonal", dtype, default)
        if len(shape) not in (3, 4, 5):
            raise ValueError(f"Delta orthogonal initializer requires a 3D, 4D or 5D shape, got {shape}.")
        if shape[-1] < shape[-2]:
            raise ValueError(f"`fan_in` must be less or equal than `fan_out`, got shape {shape}.")
        matrix = orthogonal(scale, column_axis)(key, shape[-2:], chosen, out_sharding)
        center = tuple((n - 1) // 2 for n in shape[:-2])
        return creation.zeros(shape, chosen).at[center].set(matrix)

    return init


__all__ = ["Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal"]
__all__ += ["he_uniform", "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones"]
__all__ += ["orthogonal", "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform"]
__all__ += ["zeros"]
