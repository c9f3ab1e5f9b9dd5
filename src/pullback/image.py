"""Images resampled: `resize`, and `scale_and_translate` by factors that are differentiable, too.

A pixel i of an axis covers [i, i + 1), and its value is that at its centre i + 1/2. Along each axis
the result is a weighted mean of pixels, out[i] = Σ_j w[j, i] x[j], with the weights

    w[j, i] = k((s - j) / r) / Σ_j k((s - j) / r),   s = (i + 1/2 - translation) / scale - 1/2,

of a kernel k, and r = 1, or with `antialias` 1 / scale where the image shrinks, so that every pixel
counts. Where s is outside of the image the result is 0, but for PyTorch's cubic without
antialiasing, which sees two more pixels like the last one on each side. An image of several axes takes one matrix
product an axis.

The kernels: a triangle (linear interpolation); the cubic of Keys, "Cubic convolution interpolation
for digital image processing" (IEEE Trans. ASSP 29, 1981), with a = -1/2, of PyTorch without
antialiasing a = -3/4; windowed sines (Lanczos; Duchon, "Lanczos filtering in one and two
dimensions", J. Appl. Meteorol. 18, 1979); and the overlap with the pixel of the result ("area").
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.dimensions import is_symbolic, max_dim
from pullback.core.errors import user_api
from pullback.core.types import Shape, canonical_axis, integers
from pullback.lax.creation import positions
from pullback.lax.family import size_as
from pullback.lax.precision import Precision, check_precision
from pullback.numpy.promotion import array_like, here, inexact


class ResizeMethod(enum.Enum):
    """How images are resampled. Functions take the members, or names of them (`from_string`); the
    formulas stand at the head of the module.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([0.0, 1.0])
    >>> [resize(x, (4,), m).round(2).tolist()[1] for m in (ResizeMethod.NEAREST, ResizeMethod.LINEAR)]
    [0.0, 0.25]
    """

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4
    CUBIC_PYTORCH = 5
    AREA = 6

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """The method of a name. Raises ValueError.

        >>> ResizeMethod.from_string("bicubic")
        <ResizeMethod.CUBIC: 4>
        """
        found = _NAMES.get(s)
        if found is None:
            raise here(ValueError, f'Unknown resize method "{s}"', f": there are {', '.join(_NAMES)}")
        return found


_NAMES = {
    "nearest": ResizeMethod.NEAREST,
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), ResizeMethod.CUBIC),
    **dict.fromkeys(("cubic-pytorch", "bicubic-pytorch"), ResizeMethod.CUBIC_PYTORCH),
    "area": ResizeMethod.AREA,
}


# ---- kernels: functions of NumPy's or of our arrays of distances, not negative -------------------


def _triangle(np: Any, x: Any) -> Any:
    return np.maximum(0, 1 - x)


def _cubic(a: float) -> Callable[[Any, Any], Any]:
    def kernel(np: Any, x: Any) -> Any:
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return kernel


def _lanczos(radius: int) -> Callable[[Any, Any], Any]:
    def kernel(np: Any, x: Any) -> Any:
        return np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)

    return kernel


_KERNELS: dict[ResizeMethod, Callable[[Any, Any], Any]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _cubic(-0.5),
    ResizeMethod.CUBIC_PYTORCH: _cubic(-0.5),
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
}


def _weights(xp: Any, n: int, m: int, scale: Any, translation: Any, method: ResizeMethod, antialias: bool) -> Any:
    """The weights of `n` pixels in each of `m`, of shape (n, m). `xp` is NumPy, or our functions."""
    dtype = np.dtype(np.float64) if xp is np else scale.dtype
    count = positions if is_symbolic((n, m)) else np.arange
    j, i = count(n, dtype=dtype)[:, None], count(m, dtype=dtype)
    s = (i + 0.5 - translation) / scale - 0.5
    continued = method is ResizeMethod.CUBIC_PYTORCH and not antialias
    if method is ResizeMethod.AREA:
        one, other = (i - translation) / scale, (i + 1 - translation) / scale
        w = xp.maximum(0, xp.minimum(xp.maximum(one, other), j + 1) - xp.maximum(xp.minimum(one, other), j))
    elif continued:
        # Two more pixels on each side have the value of the last one: their weights are that one's.
        wide = count(n + 4, dtype=dtype)[:, None] - 2
        w = _cubic(-0.75)(xp, abs(s - wide))
        first, last = xp.sum(w[:3], 0, keepdims=True), xp.sum(w[n + 1 :], 0, keepdims=True)
        w = xp.concatenate([first, w[3 : n + 1], last]) if n > 1 else xp.sum(w, 0, keepdims=True)
    else:
        r = xp.maximum(1 / scale, 1) if antialias else 1
        w = _KERNELS[method](xp, abs(s - j) / r)
    total = xp.sum(w, 0, keepdims=True)
    counts = abs(total) > 1000 * float(np.finfo(np.float32).eps)
    w = xp.where(counts, w / xp.where(counts, total, 1), 0)
    return w if continued else xp.where((s >= -0.5) & (s <= n - 0.5), w, 0)


# ---- the public functions ------------------------------------------------------------------------


def _shape(name: str, image: Array, shape: Any) -> Shape:
    new = integers(shape, f"{name}: shape")
    if len(new) != len(image.shape):
        raise here(
            ValueError, f"{name}: shape must have one length for each axis of the image, got {new} for {image.shape}"
        )
    if any([n < 0 for n in new]):
        raise here(ValueError, f"{name}: shape must not be negative, got {new}")
    return new


def _method(method: Any) -> ResizeMethod:
    return method if isinstance(method, ResizeMethod) else ResizeMethod.from_string(method)


def _product(x: Array, axis: int, w: Any, precision: Any) -> Array:
    out = jnp.tensordot(x, w, ((axis,), (0,)), precision=precision)
    return jnp.moveaxis(out, -1, axis)


@user_api
def resize(
    image: Any, shape: Sequence[int], method: Any, antialias: bool = True, precision: Any = Precision.HIGHEST
) -> Array:
    """`image` resampled to `shape`, which gives every axis its length, those of batches and
    channels too.

    `method` is a `ResizeMethod` or a name: "nearest", "linear" (or "bilinear", "trilinear",
    "triangle"), "cubic" ("bicubic", "tricubic"), "cubic-pytorch", "lanczos3", "lanczos5", "area".
    `antialias` makes kernels wider where an axis gets shorter. "nearest" keeps the dtype; others
    make integers floats. Linear in the image, and differentiable. Raises ValueError for other
    methods, a shape of another number of axes or with negative lengths, and if something is to be
    made of nothing.

    >>> import pullback.numpy as jnp
    >>> resize(jnp.array([0.0, 1.0]), (4,), "linear")
    Array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """
    method, image = _method(method), array_like(image, "resize")
    new = _shape("resize", image, shape)
    check_precision("resize", precision)
    axes = [axis for axis, (n, m) in enumerate(zip(image.shape, new)) if n != m]
    if any(not image.shape[axis] for axis in axes):
        raise here(ValueError, f"resize: nothing, an image of shape {image.shape}, cannot become {new}")
    if method is ResizeMethod.NEAREST:
        for axis in axes:
            n, m = image.shape[axis], new[axis]
            i = positions(m, dtypes.int32) if is_symbolic((n, m)) else np.arange(m)
            image = jnp.take(image, (2 * i + 1) * n // max_dim(2 * m, 1), axis, mode="clip")
        return image
    image = inexact(image, "resize", weak=False)
    for axis in axes:
        n, m = image.shape[axis], new[axis]
        real = dtypes.to_real(image.dtype)
        if is_symbolic((n, m)):
            work = real if real.itemsize >= 4 else dtypes.float32
            w = _weights(jnp, n, m, size_as(work, m) / size_as(work, n), 0.0, method, antialias)
        else:
            w = _weights(np, n, m, m / n if m else 1.0, 0.0, method, antialias)
        image = _product(image, axis, w.astype(real), precision)
    return image


@user_api
def scale_and_translate(
    image: Any, shape: Sequence[int], spatial_dims: Sequence[int], scale: Any, translation: Any, method: Any,
    antialias: bool = True, precision: Any = Precision.HIGHEST,
) -> Array:  # fmt: skip
    """An image of `shape` that has at x · scale + translation what `image` has at x; 0 outside.

    `spatial_dims` are the axes that this is for; `scale` and `translation` have a number for each.
    The other axes keep their length. Positions are continuous: pixel i covers [i, i + 1). Methods
    are those of `resize`, but for "nearest"; the result is differentiable in image, scale and
    translation. Raises ValueError for "nearest", and if lengths do not fit.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1.0, 2.0, 4.0])
    >>> scale_and_translate(x, (3,), (0,), jnp.array([1.0]), jnp.array([0.5]), "linear")
    Array([1. , 1.5, 3. ], dtype=float32)
    """
    method, image = _method(method), inexact(image, "scale_and_translate", weak=False)
    new = _shape("scale_and_translate", image, shape)
    check_precision("scale_and_translate", precision)
    axes = [canonical_axis(a, len(new)) for a in integers(spatial_dims, "scale_and_translate: spatial_dims")]
    if method is ResizeMethod.NEAREST:
        raise here(ValueError, "scale_and_translate has no method nearest", ": it is for `resize`")
    if len(set(axes)) != len(axes):
        raise here(ValueError, f"scale_and_translate: spatial_dims must be distinct, got {spatial_dims}")
    real = dtypes.to_real(image.dtype)
    work = real if real.itemsize >= 4 else dtypes.float32
    scale, translation = (jnp.asarray(v, work) for v in (scale, translation))
    for name, v in (("scale", scale), ("translation", translation)):
        if v.shape != (len(axes),):
            raise here(
                ValueError,
                f"scale_and_translate: {name} must have shape ({len(axes)},), one number an axis, got {v.shape}",
            )
    for axis in range(len(new)):
        if axis not in axes and new[axis] != image.shape[axis]:
            raise here(
                ValueError,
                f"scale_and_translate: axis {axis} is not in spatial_dims {tuple(axes)}, and cannot change from "
                f"{image.shape[axis]} to {new[axis]}",
            )
    for k, axis in enumerate(axes):
        w = _weights(jnp, image.shape[axis], new[axis], scale[k], translation[k], method, antialias)
        image = _product(image, axis, w.astype(real), precision)
    return image


__all__ = ["ResizeMethod", "resize", "scale_and_translate"]
