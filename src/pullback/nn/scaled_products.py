"""Products of matrices whose elements are floats of 8 or 4 bits with a scale a block.

`scaled_matmul` multiplies what is in such a format already, `scaled_dot_general` brings its
operands into one. The formats are MXFP8 (OCP Microscaling Formats Specification, version 1.0) with
scales that are rounded up, so that nothing overflows (Mishra et al., "Recipes for pre-training LLMs
with MXFP8", 2025), and NVFP4 (NVIDIA, "Pretraining large language models with NVFP4", 2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from pullback.control.linear_calls import linear_call
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.lax.arrangement import slice_in_dim
from pullback.lax.bits import bitcast_convert_type
from pullback.lax.contraction import contracted_axes, dot_general, free_axes
from pullback.lax.gradient import stop_gradient
from pullback.lax.scaled import dequantized
from pullback.lax.selection import select
from pullback.lax.shape import convert, reshape_p, transpose_p
from pullback.numpy import ufuncs as u
from pullback.numpy.joining import concatenate
from pullback.numpy.promotion import array_like, here
from pullback.numpy.reductions import max as largest
from pullback.transforms.custom_vjp import custom_vjp

_E4M3, _E8M0, _E2M1 = (
    np.dtype(t) for t in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e8m0fnu, ml_dtypes.float4_e2m1fn)
)
#: Products of matrices in the last two axes of which the last ones are contracted.
_ROWS_WITH_ROWS = (((2,), (2,)), ((0,), (0,)))


def scaled_matmul(
    lhs: Any, rhs: Any, lhs_scales: Any, rhs_scales: Any, preferred_element_type: Any = np.float32
) -> Array:
    """Products of the rows of `lhs` with the rows of `rhs`, each element times the scale of its
    block: einsum("bmk,bnk->bmn", lhs * scales, rhs * scales).

    `lhs` has shape (b, m, k), `rhs` (b, n, k); their scales have shapes (b, m, k / block) and (b, n,
    k / block), which say how long the blocks are. Operands are multiplied by their scales and summed
    in float32, or in float64 if that is the dtype asked for. It is differentiable in all operands.
    Raises ValueError for shapes that do not fit, TypeError for complex numbers.

    >>> import pullback.numpy as jnp
    >>> a, b = jnp.array([[[1.0, 2.0, 3.0]]]), jnp.array([[[4.0, 5.0, 6.0]]])
    >>> scaled_matmul(a, b, jnp.full((1, 1, 1), 0.5), jnp.full((1, 1, 1), 0.5))
    Array([[[8.]]], dtype=float32)
    """
    a, b, a_scales, b_scales = (_real(v, "scaled_matmul") for v in (lhs, rhs, lhs_scales, rhs_scales))
    shapes = f"got shapes {a.shape} and {b.shape}, with scales of shapes {a_scales.shape} and {b_scales.shape}"
    if any(v.ndim != 3 for v in (a, b, a_scales, b_scales)):
        raise here(ValueError, f"scaled_matmul: operands and scales must have three axes, {shapes}")
    if (a.shape[0], a.shape[2]) != (b.shape[0], b.shape[2]):
        raise here(ValueError, f"scaled_matmul: the first and the last axes of both operands must be alike, {shapes}")
    for v, scales in ((a, a_scales), (b, b_scales)):
        if v.shape[:2] != scales.shape[:2] or (v.shape[2] % scales.shape[2] if scales.shape[2] else v.shape[2]):
            raise here(
                ValueError, f"scaled_matmul: scales must be those of rows, and of blocks of one length, {shapes}"
            )
    out_dtype = dtypes.canonicalize_dtype(preferred_element_type)
    dtype = dtypes.float64 if out_dtype == dtypes.float64 else dtypes.float32
    factors = dequantized(a, a_scales, dtype), dequantized(b, b_scales, dtype)
    return dot_general(*factors, _ROWS_WITH_ROWS, preferred_element_type=out_dtype)


def _real(x: Any, name: str) -> Array:
    x = array_like(x, name)
    if dtypes.is_complex(x.dtype):
        raise here(TypeError, f"{name}: operands and scales are real numbers, got {dtypes.name(x.dtype)}")
    return x


@dataclass(frozen=True, eq=False)
class BlockScaleConfig:
    """A format of blocks: `block_size` elements of the dtype `data_type` with a scale of the dtype
    `scale_type`, and for all of them the factor `global_scale`, if there is one.

    >>> get_scaled_dot_general_config("mxfp8").block_size
    32
    """

    mode: str
    block_size: int
    data_type: Any
    scale_type: Any
    global_scale: Any = None

    def quantized(self, x: Array) -> tuple[Array, Array]:
        """Elements and scales for `x`, in float32, along its last axis, of whole blocks."""
        blocks = reshape_p.bind(x, new_sizes=(*x.shape[:-1], x.shape[-1] // self.block_size, self.block_size))
        if self.global_scale is not None:
            blocks = u.divide(blocks, convert(self.global_scale, dtypes.float32))
        top = float(dtypes.finfo(self.data_type).max)
        share = u.divide(largest(u.absolute(blocks), axis=-1, keepdims=True), top)
        # What is not finite makes NaNs of its block.
        scales = _power_above(share) if self.mode == "mxfp8" else u.minimum(share, 448.0)
        scales = convert(select(u.isfinite(share), scales, u.multiply(share, np.nan)), self.scale_type)
        factor = convert(scales, dtypes.float32)
        # A block of nothing has the scale 0 in NVFP4.
        safe = select(u.equal(factor, 0), u.add(u.multiply(factor, 0), 1), factor)
        data = convert(u.clip(u.divide(blocks, safe), -top, top), self.data_type)
        return reshape_p.bind(data, new_sizes=tuple(x.shape)), reshape_p.bind(
            scales, new_sizes=tuple(blocks.shape[:-1])
        )


def _power_above(x: Array) -> Array:
    """The smallest power of two that is not below `x`, a finite float32 of at least 0, and not below
    the smallest normal number."""
    bits = bitcast_convert_type(u.maximum(x, float(np.finfo(np.float32).tiny)), dtypes.int32)
    return bitcast_convert_type(u.bitwise_and(u.add(bits, 0x7FFFFF), 0x7F800000), dtypes.float32)


def get_scaled_dot_general_config(mode: str, global_scale: Any = None) -> BlockScaleConfig:
    """The format "mxfp8" (blocks of 32 floats of 8 bits with 4 of exponent; scales are powers of
    two) or "nvfp4" (blocks of 16 floats of 4 bits; scales are floats of 8 bits), for
    `scaled_dot_general`.

    `global_scale`, an array of one number, is a factor of everything in the format "nvfp4", by
    default 1; what is larger than 2688 times that factor is cut, and no derivative goes through it.
    "mxfp8" has none. Raises ValueError for other formats.

    >>> get_scaled_dot_general_config("nvfp4").scale_type
    dtype(float8_e4m3fn)
    """
    if mode == "mxfp8":
        return BlockScaleConfig(mode, 32, _E4M3, _E8M0)
    if mode == "nvfp4":
        factor = np.ones(1, np.float32) if global_scale is None else global_scale
        # What an operand stands for does not depend on it.
        factor = stop_gradient(_real(factor, "get_scaled_dot_general_config"))
        if factor.size != 1:
            raise here(ValueError, f"global_scale must be one number, got an array of shape {factor.shape}")
        return BlockScaleConfig(mode, 16, _E2M1, _E4M3, factor)
    raise here(ValueError, f"get_scaled_dot_general_config: mode must be 'mxfp8' or 'nvfp4', got {mode!r}")


def scaled_dot_general(
    lhs: Any, rhs: Any, dimension_numbers: Any, preferred_element_type: Any = np.float32, configs: Any = None,
    implementation: Any = None,
) -> Array:  # fmt: skip
    """`lax.dot_general` of operands that are brought into a format of few bits first: `configs[0]`
    for `lhs`, `configs[1]` for `rhs` and `configs[2]` for the cotangent, as
    `get_scaled_dot_general_config` makes them.

    Blocks are along the contracted axes, which count as one axis, filled up with zeros to whole
    blocks. The derivative is that of the product, with rounding as the identity; in the format
    "mxfp8" the products that it consists of are computed in the format, too, with blocks along the
    axes that are contracted there. Sums are taken in float32. Without `configs` it is
    `lax.dot_general`. `implementation` has no effect. Raises TypeError for complex numbers,
    axes that do not fit, and other results than float32, bfloat16 and float16, ValueError unless there are three formats.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, 2.0, 100.0]])
    >>> configs = [get_scaled_dot_general_config("nvfp4")] * 3
    >>> scaled_dot_general(x, x, (((1,), (1,)), ((), ())), configs=configs).tolist()
    [[9216.0]]
    """
    del implementation
    x, y = (_real(v, "scaled_dot_general") for v in (lhs, rhs))
    numbers = contracted_axes("scaled_dot_general", x, y, dimension_numbers)
    out_dtype = dtypes.canonicalize_dtype(preferred_element_type)
    if configs is None:
        return dot_general(x, y, numbers, preferred_element_type=out_dtype)
    if out_dtype not in (dtypes.float32, dtypes.bfloat16, dtypes.float16):
        raise here(
            TypeError,
            f"scaled_dot_general: results are of float32, bfloat16 or float16, not of {dtypes.name(out_dtype)}",
        )
    if not isinstance(configs, (list, tuple)) or len(configs) != 3:
        raise here(ValueError, f"scaled_dot_general: configs must be three formats, got {configs!r:.200}")
    (xc, yc), (xb, yb) = numbers
    x_free, y_free = free_axes(x.ndim, xc, xb), free_axes(y.ndim, yc, yb)
    rows = _rows(x, xb, x_free, xc)
    columns = _rows(y, yb, y_free, yc)
    out = convert(_product(tuple(configs), rows, columns), out_dtype)
    shape = [*[x.shape[i] for i in (*xb, *x_free)], *[y.shape[i] for i in y_free]]
    return reshape_p.bind(out, new_sizes=tuple(shape))


def _rows(x: Array, batch: Any, free: Any, contracted: Any) -> Array:
    """`x` in float32 with three axes: batch, free and contracted ones."""
    x = transpose_p.bind(convert(x, dtypes.float32), permutation=(*batch, *free, *contracted))
    sizes = [
        prod(x.shape[i:j])
        for i, j in ((0, len(batch)), (len(batch), len(batch) + len(free)), (-len(contracted) or x.ndim, None))
    ]
    return reshape_p.bind(x, new_sizes=tuple(sizes))


def _product(configs: tuple[BlockScaleConfig, ...], x: Array, y: Array) -> Array:
    """The products of rows with rows, with the derivative that `scaled_dot_general` describes."""
    of_x, of_y, of_ct = configs

    def transposed(v: Array) -> Array:
        return transpose_p.bind(v, permutation=(0, 2, 1))

    def contracted(a: Array, b: Array, a_config: BlockScaleConfig, b_config: BlockScaleConfig) -> Array:
        return dot_general(_rounded(a, a_config), _rounded(b, b_config), _ROWS_WITH_ROWS)

    @custom_vjp
    def product(x: Array, y: Array) -> Array:
        return contracted(x, y, of_x, of_y)

    def forward(x: Array, y: Array) -> Any:
        return product(x, y), (x, y)

    def backward(operands: Any, ct: Array) -> Any:
        x, y = operands
        return _back(ct, transposed(y), of_ct, of_y), _back(transposed(ct), transposed(x), of_ct, of_x)

    def _back(ct: Array, other: Array, config: BlockScaleConfig, other_config: BlockScaleConfig) -> Array:
        if config.mode == "mxfp8":
            # Rounding counts as linear, so that there is a forward mode, too.
            ct = linear_call(lambda _, v: _rounded(v, config), lambda _, v: _rounded(v, config), (), ct)
        if other_config.mode == "mxfp8":
            other = _rounded(other, other_config)
        return dot_general(ct, other, _ROWS_WITH_ROWS)

    product.defvjp(forward, backward)
    return product(x, y)


def _rounded(x: Array, config: BlockScaleConfig) -> Array:
    """`x` as it is in a format, in float32; its derivative is that of `x`."""
    count = x.shape[-1]
    missing = -count % config.block_size
    padded = concatenate([x, np.zeros((*x.shape[:-1], missing), np.float32)], axis=-1) if missing else x
    data, scales = config.quantized(padded)
    out = dequantized(data, scales, dtypes.float32)
    if config.global_scale is not None:
        out = u.multiply(out, convert(config.global_scale, dtypes.float32))
    return slice_in_dim(out, 0, count, axis=-1) if missing else out


__all__ = ["get_scaled_dot_general_config", "scaled_dot_general", "scaled_matmul"]
