"""scaled_dot: contractions of numbers in few bits that have a scale a block, as in the microscaling
formats (OCP Microscaling Formats Specification, version 1.0, 2023)."""

from __future__ import annotations

from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.lax.contraction import contracted_axes, dot_general
from pullback.lax.family import mul_p
from pullback.lax.shape import broadcast_in_dim_p, convert, reshape_p


def scaled_dot(
    lhs: Any, rhs: Any, *, lhs_scale: Any = None, rhs_scale: Any = None, dimension_numbers: Any = None,
    preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """The contraction of `lhs * lhs_scale` with `rhs * rhs_scale`, where a scale is for a block of
    elements along each contracted axis.

    Scales have as many axes as their operands, of the same lengths; but along contracted axes each
    stands for as many elements as there are more of these. Without a scale it is 1.
    `dimension_numbers` are those of `dot_general`, and of products of matrices in the last two axes
    if not given. The result is of the dtype `preferred_element_type`, bfloat16 by default; operands
    are multiplied by their scales in that dtype, or in float32 if it is neither bfloat16 nor wider,
    and products are summed in 32 bits at least. It is differentiable in all operands: as what it
    computes. Raises TypeError for complex operands, shapes that do not fit, and blocks of one element.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1.0, 2.0, 3.0, 4.0]], jnp.float8_e4m3fn)
    >>> scale = jnp.array([[2.0, 0.5]], jnp.float8_e8m0fnu)
    >>> scaled_dot(x, x.T, lhs_scale=scale).tolist()  # 2 (1 + 4) + (9 + 16) / 2
    [[22.5]]
    """
    x, y = as_array(lhs), as_array(rhs)
    if min(x.ndim, y.ndim) < 2:
        raise _fault(f"the operands need at least two axes, got shapes {x.shape} and {y.shape}")
    if x.ndim != y.ndim:
        raise _fault(f"the operands must have the same number of axes, got shapes {x.shape} and {y.shape}")
    if dimension_numbers is None:
        lead = tuple(range(x.ndim - 2))
        dimension_numbers = (((x.ndim - 1,), (y.ndim - 2,)), (lead, lead))
    if dtypes.is_complex(x.dtype) or dtypes.is_complex(y.dtype):
        raise _fault(f"the operands are real numbers, got {x.aval.str_short()} and {y.aval.str_short()}")
    numbers = contracted_axes("scaled_dot", x, y, dimension_numbers)
    out_dtype = dtypes.bfloat16 if preferred_element_type is None else dtypes.canonicalize_dtype(preferred_element_type)
    dtype = (
        out_dtype if out_dtype == dtypes.bfloat16 else dtypes.promote_pair(out_dtype, False, dtypes.float32, False)[0]
    )
    operands = []
    for name, v, scale, axes in (("lhs", x, lhs_scale, numbers[0][0]), ("rhs", y, rhs_scale, numbers[0][1])):
        scales = None if scale is None else as_array(scale)
        if scales is not None:
            _check_scales(name, v, scales, axes)
        operands.append(dequantized(v, scales, dtype))
    return dot_general(*operands, numbers, preferred_element_type=out_dtype)


def dequantized(x: Array, scales: Array | None, dtype: DType) -> Array:
    """The elements of `x` times their scales, in `dtype`. Along each axis, one scale is for as many
    elements as there are more of these.

    >>> import numpy as np
    >>> x, scales = np.float32([1, 2, 3, 4]), np.float32([10, 100])
    >>> dequantized(as_array(x), as_array(scales), dtypes.float32).tolist()
    [10.0, 20.0, 300.0, 400.0]
    """
    x = convert(x, dtype)
    if scales is None:
        return x
    scales = convert(scales, dtype)
    if scales.shape == x.shape:
        return mul_p.bind(x, scales)
    # Blocks along each axis: (number of scales, elements of one).
    blocks = tuple(part for n, m in zip(x.shape, scales.shape) for part in (m, n // m if m else 1))
    repeated = broadcast_in_dim_p.bind(scales, shape=blocks, broadcast_dimensions=tuple(range(0, len(blocks), 2)))
    return mul_p.bind(x, reshape_p.bind(repeated, new_sizes=tuple(x.shape)))


def _check_scales(name: str, x: Array, scales: Array, contracted: Any) -> None:
    if scales.ndim != x.ndim:
        raise _fault(
            f"{name} and its scales must have the same number of axes, got shapes {x.shape} and {scales.shape}"
        )
    for i, (n, m) in enumerate(zip(x.shape, scales.shape)):
        if i not in contracted:
            if n != m:
                raise _fault(f"axis {i} of {name} is not contracted, and has length {n}, but {m} scales")
        elif (n % m if m else n) or (m and n // m < 2):
            raise _fault(
                f"axis {i} of {name} is contracted, and has length {n}, which is no multiple of its {m} scales, by 2 or more"
            )


def _fault(text: str) -> TypeError:
    return TypeError(f"scaled_dot: {text}, at {user_line()}")


__all__ = ["scaled_dot"]
