"""Convolutions over any number of spatial axes, with strides, dilations, padding, groups of
features and groups of batches.

With the axes in the order (batch, feature, spatial...) and (out feature, in feature, spatial...),

    out[b, o, y] = Σ_i Σ_k lhs[b, i, s y + r k - low] rhs[o, i, k],

where s are the window strides, r the dilation of `rhs`, low the padding before, and `lhs` has l - 1
zeros between neighbours (l its dilation). With `feature_group_count` G, output features of group g
see the input features of group g only; with `batch_group_count` G, output features of group g see
the g-th part of the batch, and the batch shrinks to one part.

A convolution is linear in each operand. Both its transposes are convolutions, in which strides and
dilations have changed places; grouped features transpose to grouped batches.

Small eager convolutions, and those of two sequences, are NumPy's (`lax.convolution_by_numpy`);
larger ones are compiled, one executable a shape. Floats of 32 bits and fewer are added in float64
by NumPy, as they are in compiled convolutions of single features, which are loops on CPUs: quicker
so than by the library that XLA calls for float32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dimensions import max_dim
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.primitive import BilinearPrimitive, is_node
from pullback.core.types import Shape, ShapedArray, integer, integers, pairs, refuse_keys
from pullback.lax.arrangement import rev_p
from pullback.lax.contraction import dot_general
from pullback.lax.convolution_by_numpy import Evaluation, accumulated, evaluation
from pullback.lax.shape import convert, move_axis, reshape_p, transpose_p
from pullback.lax.summation import wider
from pullback.lax.windows import Pads, Window, dilated, pads_back, window_shape
from pullback.xla.devices import no_sharding
from pullback.xla.eager import evaluate_by_xla


class ConvDimensionNumbers(NamedTuple):
    """Where the axes are: of `lhs` (batch, feature, spatial...), `rhs` (out feature, in feature,
    spatial...), and the result, as `lhs`. `conv_dimension_numbers` makes one from strings.

    >>> ConvDimensionNumbers((0, 2, 1), (2, 1, 0), (0, 2, 1)) == conv_dimension_numbers((8, 9, 3), (5, 3, 4), ("NHC", "HIO", "NHC"))
    True
    """

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


class ConvGeneralDilated(BilinearPrimitive):
    """See the module's text."""

    name = "conv_general_dilated"
    contracts = True

    def type_of(
        self, lhs: ShapedArray, rhs: ShapedArray, *, window_strides: Shape, padding: Pads, lhs_dilation: Shape, rhs_dilation: Shape,
        dimension_numbers: ConvDimensionNumbers, feature_group_count: int, batch_group_count: int, precision: Any,
        preferred_element_type: DType | None,
    ) -> ShapedArray:  # fmt: skip
        n = dimension_numbers
        spatial = len(window_strides)
        what = f"conv_general_dilated of {lhs} and {rhs}"
        refuse_keys(self.name, lhs, rhs)
        if lhs.dtype != rhs.dtype:
            raise TypeError(f"{what}: the operands must have the same dtypes, at {user_line()}")
        if lhs.ndim != spatial + 2 or rhs.ndim != spatial + 2:
            raise ValueError(
                f"{what}: {spatial} window strides are for operands with {spatial + 2} axes, at {user_line()}"
            )
        if len(padding) != spatial:
            raise TypeError(f"{what}: padding {padding} must have {spatial} entries, at {user_line()}")
        if not len(lhs_dilation) == len(rhs_dilation) == spatial:
            raise ValueError(
                f"{what}: dilations {lhs_dilation} and {rhs_dilation} must have {spatial} entries, at {user_line()}"
            )
        if any(s < 1 for s in window_strides):
            raise ValueError(f"{what}: strides must be positive, got {window_strides}")
        if any(d < 1 for d in (*lhs_dilation, *rhs_dilation)):
            raise TypeError(f"{what}: dilations must be positive, got {lhs_dilation} and {rhs_dilation}")
        if feature_group_count < 1 or batch_group_count < 1 or not (feature_group_count == 1 or batch_group_count == 1):
            raise ValueError(
                f"{what}: group counts must be positive, and at most one greater than 1; got feature_group_count={feature_group_count} "
                f"and batch_group_count={batch_group_count}"
            )
        batch, features = (lhs.shape[i] for i in n.lhs_spec[:2])
        out_features, in_features = (rhs.shape[i] for i in n.rhs_spec[:2])
        if features != in_features * feature_group_count:
            raise ValueError(
                f"{what}: lhs has {features} features, which must be feature_group_count ({feature_group_count}) times the "
                f"{in_features} input features of rhs, at {user_line()}"
            )
        groups = max_dim(feature_group_count, batch_group_count)
        if out_features % groups or batch % batch_group_count:
            raise ValueError(
                f"{what}: {groups} groups must divide the {out_features} output features of rhs, and batch groups the batch of {batch}"
            )
        shape = [0] * lhs.ndim
        shape[n.out_spec[0]], shape[n.out_spec[1]] = batch // batch_group_count, out_features
        sizes, w = _windows(lhs, rhs, n, window_strides, padding, lhs_dilation, rhs_dilation)
        for i, m in zip(n.out_spec[2:], window_shape(sizes, **w._asdict())):
            shape[i] = m
        if preferred_element_type and dtypes.is_complex(lhs.dtype) and not dtypes.is_complex(preferred_element_type):
            raise TypeError(
                f"{self.name}: preferred_element_type {dtypes.name(preferred_element_type)} would drop the imaginary parts of {lhs} and {rhs}, "
                f"at {user_line()}"
            )
        return ShapedArray(tuple(shape), preferred_element_type or lhs.dtype, lhs.weak_type and rhs.weak_type)

    def evaluate(self, lhs: Any, rhs: Any, *, precision: Any, **params: Any) -> Any:
        by_numpy = _evaluation(lhs.shape, lhs.dtype, rhs.shape, rhs.dtype, tuple(params.items()))
        out = None if by_numpy is None else by_numpy(lhs, rhs)
        return evaluate_by_xla(self, (lhs, rhs), params | {"precision": precision}) if out is None else out

    def spell(self, speller: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
        a, b = lhs.aval, rhs.aval
        types = {name: x for name, x in params.items() if name != "precision"}
        by_numpy = _evaluation(a.shape, a.dtype, b.shape, b.dtype, tuple(types.items()))
        by_xla = super().spell(speller, lhs, rhs, **params)
        if by_numpy is None:
            return by_xla
        found = speller.let(speller.call(by_numpy, lhs, rhs), a)
        return f"{by_xla} if {found} is None else {found}"

    def lower(self, emit: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
        out = emit.type
        if not out.size or not lhs.size or not rhs.size:
            return emit.constant(0, out.dtype, out.shape)
        dtype = accumulated(lhs.dtype, out.dtype)
        n = params["dimension_numbers"]
        if emit.capabilities.convolves_by_loops and lhs.shape[n.lhs_spec[1]] == rhs.shape[n.rhs_spec[0]] == 1:
            dtype = wider(dtype)
        strides, padding, counts = (
            params["window_strides"],
            params["padding"],
            ("feature_group_count", "batch_group_count"),
        )
        result = emit(
            "convolution", emit.convert(lhs, dtype), emit.convert(rhs, dtype), out=out.update(dtype=dtype),
            window_strides=strides, padding=emit.pads(padding), lhs_dilation=params["lhs_dilation"],
            rhs_dilation=params["rhs_dilation"], window_reversal=(False,) * len(strides) if strides else "array<i1>",
            dimension_numbers=_numbers_text(n), **{k: params[k] for k in counts},
        )  # fmt: skip
        if out.dtype == dtypes.bool_:
            return emit.compare("NE", result, emit.like(0, result))
        return emit.convert(result, out.dtype)

    def transpose(
        self, ct: Any, lhs: Any, rhs: Any, *, window_strides: Shape, padding: Pads, lhs_dilation: Shape, rhs_dilation: Shape,
        dimension_numbers: ConvDimensionNumbers, feature_group_count: int, batch_group_count: int, precision: Any,
        preferred_element_type: DType | None,
    ) -> Sequence[Any]:  # fmt: skip
        n = dimension_numbers
        known = rhs if is_node(lhs) else lhs
        ct = convert(ct, known.dtype)
        sizes, w = _windows(lhs, rhs, n, window_strides, padding, lhs_dilation, rhs_dilation)
        outs = tuple(ct.shape[i] for i in n.out_spec[2:])
        common = {"precision": precision, "preferred_element_type": None}
        if is_node(lhs):
            # lhs̄[x] = Σ_k ct[y] rhs[k] over s y = l x + low - r k. With k' = K - 1 - k that is a
            # convolution of ct, dilated by s, with the reversed rhs, of stride l and padding r (K -
            # 1) - low before.
            groups = max_dim(feature_group_count, batch_group_count)
            kernel = rev_p.bind(rhs, dimensions=tuple(n.rhs_spec[2:])) if sizes else rhs
            out_axis, in_axis = n.rhs_spec[:2]
            kernel = _split_axis(kernel, out_axis, groups, in_axis)  # the groups go over to what is the output now
            numbers = ConvDimensionNumbers(n.out_spec, (in_axis, out_axis, *n.rhs_spec[2:]), n.lhs_spec)
            out = self.bind(
                ct, kernel, window_strides=tuple(lhs_dilation), padding=pads_back(sizes, outs, w),
                lhs_dilation=tuple(window_strides), rhs_dilation=tuple(rhs_dilation), dimension_numbers=numbers,
                feature_group_count=groups, batch_group_count=1, **common,
            )  # fmt: skip
            if batch_group_count > 1:
                out = _split_axis(out, n.lhs_spec[1], batch_group_count, n.lhs_spec[0])
            return [out, None]
        # rhs̄[k] = Σ_y ct[y] lhs[s y + r k - low]: a convolution of lhs with ct, over the batch.
        pads = [
            (low, dilated(k, r) - 1 + dilated(m, s) - dilated(n_x, d) - low)
            for n_x, m, k, s, (low, _), d, r in zip(sizes, outs, *w)
        ]
        swap = lambda spec: (spec[1], spec[0], *spec[2:])
        numbers = ConvDimensionNumbers(swap(n.lhs_spec), swap(n.out_spec), swap(n.rhs_spec))
        out = self.bind(
            lhs, ct, window_strides=tuple(rhs_dilation), padding=tuple(pads), lhs_dilation=tuple(lhs_dilation),
            rhs_dilation=tuple(window_strides), dimension_numbers=numbers, feature_group_count=batch_group_count,
            batch_group_count=feature_group_count, **common,
        )  # fmt: skip
        return [None, out]

    def batch(self, size: int, args: Any, axes: Any, *, dimension_numbers: Any, **params: Any) -> Any:
        (lhs, rhs), (b_lhs, b_rhs), n = args, axes, dimension_numbers
        out_axis, count = n.out_spec[1], 1
        if b_lhs is not None and b_rhs is not None:
            # Each element of the batch is a group of its own.
            kind, axis = ("batch_group_count", 0) if params["batch_group_count"] > 1 else ("feature_group_count", 1)
            params[kind] *= size
            lhs = _merge_axis(lhs, b_lhs, n.lhs_spec[axis], 1)
            rhs = _merge_axis(rhs, b_rhs, n.rhs_spec[0], 1)
        elif b_lhs is not None:
            lhs, out_axis = _merge_axis(lhs, b_lhs, n.lhs_spec[0], params["batch_group_count"]), n.out_spec[0]
        else:
            count = max(params["feature_group_count"], params["batch_group_count"])
            rhs = _merge_axis(rhs, b_rhs, n.rhs_spec[0], count)
        return _unmerge_axis(self.bind(lhs, rhs, dimension_numbers=n, **params), out_axis, size, count)


conv_general_dilated_p = ConvGeneralDilated()


def _windows(
    lhs: Any, rhs: Any, n: ConvDimensionNumbers, strides: Shape, padding: Pads, lhs_dilation: Shape, rhs_dilation: Shape
) -> tuple[Shape, Window]:
    """The lengths of the spatial axes of `lhs`, and the windows that `rhs` is laid over."""
    sizes, windows = (tuple([x.shape[i] for i in spec[2:]]) for x, spec in ((lhs, n.lhs_spec), (rhs, n.rhs_spec)))
    return sizes, Window(windows, strides, padding, lhs_dilation, rhs_dilation)


def _split_axis(x: Any, source: int, groups: int, target: int) -> Any:
    """`x` with axis `source`, of `groups` parts, divided by `groups`, and the parts put in front of
    axis `target`."""
    if groups == 1:
        return x
    shape = x.shape
    x = reshape_p.bind(x, new_sizes=(*shape[:source], groups, shape[source] // groups, *shape[source + 1 :]))
    x = move_axis(x, source, target)  # now the groups stand right before what was axis `target`
    sizes = list(shape)
    sizes[source] //= groups
    sizes[target] *= groups
    return reshape_p.bind(x, new_sizes=tuple(sizes))


def _merge_axis(x: Any, batch_axis: int, axis: int, groups: int) -> Any:
    """`x` with its batch axis merged into what is axis `axis` without it, which has `groups` parts,
    after these."""
    x = move_axis(x, batch_axis, axis)
    size, n = x.shape[axis], x.shape[axis + 1]
    if groups > 1:
        x = reshape_p.bind(x, new_sizes=(*x.shape[: axis + 1], groups, n // groups, *x.shape[axis + 2 :]))
        order = list(range(x.ndim))
        order[axis], order[axis + 1] = axis + 1, axis
        x = transpose_p.bind(x, permutation=tuple(order))
        return reshape_p.bind(x, new_sizes=(*x.shape[:axis], size * n, *x.shape[axis + 3 :]))
    return reshape_p.bind(x, new_sizes=(*x.shape[:axis], size * n, *x.shape[axis + 2 :]))


def _unmerge_axis(x: Any, axis: int, size: int, groups: int) -> tuple[Any, int]:
    """The inverse: `x` with a batch axis taken out of axis `axis`, and where it is."""
    n = x.shape[axis] // size if size else 0
    if groups == 1:
        return reshape_p.bind(x, new_sizes=(*x.shape[:axis], size, n, *x.shape[axis + 1 :])), axis
    split = reshape_p.bind(x, new_sizes=(*x.shape[:axis], groups, size, n // groups, *x.shape[axis + 1 :]))
    moved = move_axis(split, axis + 1, 0)
    return reshape_p.bind(moved, new_sizes=(size, *x.shape[:axis], n, *x.shape[axis + 1 :])), 0


@functools.lru_cache(4096)
def _evaluation(
    lhs: Shape, lhs_dtype: DType, rhs: Shape, rhs_dtype: DType, params: tuple[tuple[str, Any], ...]
) -> Evaluation | None:
    types, by_name = (ShapedArray(lhs, lhs_dtype), ShapedArray(rhs, rhs_dtype)), dict(params)
    return evaluation(*types, conv_general_dilated_p.type_of(*types, precision=None, **by_name), **by_name)


def _numbers_text(n: ConvDimensionNumbers) -> str:
    def axes(spec: Sequence[int], first: str, second: str) -> str:
        names: dict[int, Any] = {spec[0]: first, spec[1]: second, **{axis: i for i, axis in enumerate(spec[2:])}}
        return f"[{', '.join(str(names[i]) for i in range(len(spec)))}]"

    return f"#stablehlo.conv<{axes(n.lhs_spec, 'b', 'f')}x{axes(n.rhs_spec, 'o', 'i')}->{axes(n.out_spec, 'b', 'f')}>"


# ---- public functions ----------------------------------------------------------------------------


def conv_dimension_numbers(lhs_shape: Any, rhs_shape: Any, dimension_numbers: Any) -> ConvDimensionNumbers:
    """Where the axes of a convolution are, from three strings such as ("NHWC", "HWIO", "NHWC"), or
    None for ("NCHW", "OIHW", "NCHW").

    N is the batch, C the features, O and I those of the result and of the operand; each further
    letter is a spatial axis, in the order in which `rhs` has them. A `ConvDimensionNumbers` is
    returned as it is. Raises TypeError for shapes of different rank and different spatial axes,
    ValueError for strings that do not name each axis of the shapes once.

    >>> conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 16), ("NHWC", "HWIO", "NHWC"))
    ConvDimensionNumbers(lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1), out_spec=(0, 3, 1, 2))
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    rank = len(lhs_shape)
    if len(rhs_shape) != rank:
        raise TypeError(
            f"convolution requires lhs and rhs ndim to be equal, got {rank} and {len(rhs_shape)} (shapes {tuple(lhs_shape)} and "
            f"{tuple(rhs_shape)})"
        )
    if dimension_numbers is None:
        axes = tuple(range(rank))
        return ConvDimensionNumbers(axes, axes, axes)
    if not isinstance(dimension_numbers, (list, tuple)) or len(dimension_numbers) != 3:
        raise TypeError(f"convolution dimension_numbers must be None or three strings, got {dimension_numbers!r}")
    for which, spec, letters in zip(("lhs", "rhs", "out"), dimension_numbers, ("NC", "OI", "NC")):
        if not isinstance(spec, str) or len(spec) != rank or len(set(spec)) != rank or not set(letters) <= set(spec):
            raise ValueError(
                f"convolution dimension_numbers[{which}] must name the {rank} axes once, {letters[0]!r} and {letters[1]!r} among "
                f"them; got {spec!r}"
            )
    lhs, rhs, out = dimension_numbers
    spatial = [c for c in rhs if c not in "OI"]
    if set(spatial) != set(lhs) - set("NC") or set(spatial) != set(out) - set("NC"):
        raise TypeError(f"convolution dimension_numbers {dimension_numbers} must have the same spatial axes")
    index = lambda spec, first: tuple(spec.index(c) for c in (*first, *spatial))
    return ConvDimensionNumbers(index(lhs, "NC"), index(rhs, "OI"), index(out, "NC"))


def conv_general_permutations(dimension_numbers: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The permutations of `lhs`, `rhs` and the result of a convolution, given by three strings, to the
    orders (N, C, ...), (O, I, ...) and (N, C, ...). Raises as `conv_dimension_numbers`.

    >>> conv_general_permutations(("NHWC", "HWIO", "NHWC"))
    ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    """
    lhs, rhs, out = dimension_numbers
    n = conv_dimension_numbers((0,) * len(lhs), (0,) * len(rhs), dimension_numbers)
    return tuple(n.lhs_spec), tuple(n.rhs_spec), tuple(n.out_spec)


def padtype_to_pads(in_shape: Any, window_shape: Any, window_strides: Any, padding: Any) -> list[tuple[int, int]]:
    """The padding (low, high) of each axis for "SAME" (as many outputs as strides fit, odd padding
    after), "SAME_LOWER" (odd padding before) or "VALID" (none).

    Raises RuntimeError for other strings, TypeError for what is no string, ValueError for strides
    that are not positive.

    >>> padtype_to_pads((10, 10), (3, 4), (1, 2), "SAME")
    [(1, 1), (1, 1)]
    """
    if isinstance(padding, str):
        name = padding.upper()
        if name == "VALID":
            return [(0, 0)] * len(tuple(in_shape))
        if name in ("SAME", "SAME_LOWER"):
            if any(s < 1 for s in window_strides):
                raise ValueError(f"window strides must be positive, got {tuple(window_strides)}, at {user_line()}")
            pads = []
            for n, k, s in zip(in_shape, window_shape, window_strides):
                n, k, s = integers((n, k, s), "padtype_to_pads: sizes")
                total = max_dim(0, (-(-n // s) - 1) * s + k - n)
                less, more = total // 2, total - total // 2
                pads.append((less, more) if name == "SAME" else (more, less))
            return pads
        raise RuntimeError(f"Unrecognized padding type: expected 'VALID', 'SAME' or 'SAME_LOWER', got {padding!r}.")
    raise TypeError(f"Unknown padding type: {padding!r}.")


def _pads(padding: Any, sizes: Shape, windows: Shape, strides: Shape) -> Pads:
    if isinstance(padding, str):
        return tuple(padtype_to_pads(sizes, windows, strides, padding))
    return pairs(padding, "conv: padding")


def conv_general_dilated(
    lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None, feature_group_count: int = 1,
    batch_group_count: int = 1, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """The convolution of `lhs` with `rhs` over any number of spatial axes, of their dtype or
    `preferred_element_type`. With the axes in the order (batch, feature, spatial...) and (out
    feature, in feature, spatial...), as they are by default,

        out[b, o, y] = Σ_i Σ_k lhs[b, i, s y + r k - low] rhs[o, i, k],

    where s are `window_strides`, r `rhs_dilation`, and low the padding before; `lhs_dilation` l
    first puts l - 1 zeros between neighbours in `lhs`. As in networks, `rhs` is not reversed.

    `padding` is "SAME", "SAME_LOWER", "VALID", or (low, high) for each spatial axis, which may be
    negative. `dimension_numbers` says where the axes are: three strings such as ("NHWC", "HWIO",
    "NHWC"), a `ConvDimensionNumbers`, or None for ("NCHW", "OIHW", "NCHW"). With
    `feature_group_count` g, each of g groups of output features sees its group of input features
    only (`lhs` has g times the features of `rhs`); `batch_group_count` does so for parts of the
    batch. Raises TypeError for operands of different dtypes, ValueError for shapes and counts that
    do not fit.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]]])  # two features
    >>> kernel = jnp.array([[[-1.0, 1.0]], [[2.0, 2.0]]])
    >>> conv_general_dilated(x, kernel, (1,), "VALID", feature_group_count=2)  # one kernel for each
    Array([[[1., 1., 1.],
            [4., 4., 4.]]], dtype=float32)
    """
    no_sharding("conv_general_dilated", out_sharding)
    if precision is not None:
        from pullback.lax.precision import check_precision

        check_precision("conv_general_dilated", precision)
    lhs, rhs = as_array(lhs), as_array(rhs)
    n = conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    n = ConvDimensionNumbers(*(tuple(spec) for spec in n))
    spatial = len(lhs.shape) - 2
    strides = integers(window_strides, "conv: window_strides")
    ones = (1,) * spatial
    lhs_dilation = ones if lhs_dilation is None else integers(lhs_dilation, "conv: lhs_dilation")
    rhs_dilation = ones if rhs_dilation is None else integers(rhs_dilation, "conv: rhs_dilation")
    if isinstance(padding, str) and any(d != 1 for d in lhs_dilation):
        raise ValueError(
            "String padding is not implemented for transposed convolution using this op. Please either exactly specify the required "
            "padding or use conv_transpose."
        )
    sizes = tuple(lhs.shape[i] for i in n.lhs_spec[2:])
    windows = tuple(dilated(rhs.shape[i], d) for i, d in zip(n.rhs_spec[2:], rhs_dilation))
    params = {
        "window_strides": strides, "padding": _pads(padding, sizes, windows, strides), "lhs_dilation": lhs_dilation,
        "rhs_dilation": rhs_dilation, "dimension_numbers": n, "feature_group_count": integer(feature_group_count, "conv: feature_group_count"),
        "batch_group_count": integer(batch_group_count, "conv: batch_group_count"), "precision": precision,
        "preferred_element_type": None if preferred_element_type is None else dtypes.canonicalize_dtype(preferred_element_type),
    }  # fmt: skip
    conv_general_dilated_p.type_of(lhs.aval, rhs.aval, **params)
    for size, factor, pads in zip(sizes, lhs_dilation, params["padding"]):
        if dilated(size, factor) + sum(pads) < 0:
            raise ValueError(
                f"conv_general_dilated: the padding {tuple(pads)} takes away more than the {dilated(size, factor)} elements of a spatial "
                f"axis, at {user_line()}"
            )
    return conv_general_dilated_p.bind(lhs, rhs, **params)


def conv_with_general_padding(
    lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None, precision: Any = None, preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """`conv_general_dilated` with the axes in the order (N, C, ...), (O, I, ...), and without groups.
    Raises as that does.

    >>> import pullback.numpy as jnp
    >>> x, ones = jnp.array([[[1.0, 2.0, 3.0, 4.0]]]), jnp.ones((1, 1, 2))
    >>> conv_with_general_padding(x, ones, (1,), [(1, 0)], None, (2,))  # neighbours that are 2 apart
    Array([[[2., 4., 6.]]], dtype=float32)
    """
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, None, 1, 1, precision, preferred_element_type
    )


def conv(
    lhs: Any, rhs: Any, window_strides: Sequence[int], padding: str, precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """The convolution of `lhs`, of shape (N, I, ...), with `rhs`, of shape (O, I, ...): an array (N,
    O, ...) of their dtype, or of `preferred_element_type`.

    `padding` is "SAME", "SAME_LOWER" or "VALID". As in networks, `rhs` is not reversed.
    `conv_general_dilated` has dilations, groups and other orders of axes, and raises what this
    does.

    >>> import pullback.numpy as jnp
    >>> image = jnp.array([[[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]]])
    >>> conv(image, jnp.array([[[[-1.0, 1.0]]]]), (1, 1), "VALID")  # where an edge is
    Array([[[[0., 1., 0.],
             [0., 1., 0.]]]], dtype=float32)
    """
    return conv_with_general_padding(lhs, rhs, window_strides, padding, None, None, precision, preferred_element_type)


def conv_transpose(
    lhs: Any, rhs: Any, strides: Sequence[int], padding: Any, rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None, transpose_kernel: bool = False, precision: Any = None, preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Array:  # fmt: skip
    """The transposed ("fractionally strided") convolution: `lhs` dilated by `strides`, convolved with
    `rhs`, so that a stride makes an axis longer.

    "SAME" gives `strides` times the size, "VALID" what a "VALID" convolution of that size came
    from; pairs (low, high) pad the dilated operand, or, with `use_consistent_padding`, are those of
    the convolution that this transposes. With `transpose_kernel` it is the transpose of the
    convolution with `rhs`: spatial axes reversed, input and output features exchanged. Axes are in
    the order (N, ..., C), (..., I, O) by default. Raises ValueError if there is no default (more
    than 3 spatial axes), else as `conv_general_dilated`. See V. Dumoulin, F. Visin, "A guide to
    convolution arithmetic for deep learning", 2016.

    >>> import pullback.numpy as jnp
    >>> x, kernel = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1), jnp.array([1.0, 0.5]).reshape(2, 1, 1)
    >>> conv_transpose(x, kernel, (2,), "VALID").ravel()
    Array([0.5, 1. , 1. , 2. , 1.5, 3. ], dtype=float32)
    """
    lhs, rhs = as_array(lhs), as_array(rhs)
    rank = len(lhs.shape)
    if dimension_numbers is None:
        letters = "DHW"[5 - rank :] if rank <= 5 else ""
        if rank > 5:
            raise ValueError("conv_transpose has no default dimension_numbers for more than 3 spatial axes; give them")
        dimension_numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    n = conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    dilation = (1,) * (rank - 2) if rhs_dilation is None else tuple(rhs_dilation)
    windows = [dilated(rhs.shape[i], d) for i, d in zip(n.rhs_spec[2:], dilation)]
    if isinstance(padding, str):
        padding = [_transposed_pads(k, s, padding.upper()) for k, s in zip(windows, strides)]
    elif use_consistent_padding:
        padding = [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(windows, padding)]
    if transpose_kernel:
        rhs = rev_p.bind(rhs, dimensions=tuple(n.rhs_spec[2:]))
        n = n._replace(rhs_spec=(n.rhs_spec[1], n.rhs_spec[0], *n.rhs_spec[2:]))
    return conv_general_dilated(
        lhs, rhs, (1,) * (rank - 2), padding, strides, rhs_dilation, n, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def _transposed_pads(k: int, s: int, padding: str) -> tuple[int, int]:
    if padding == "SAME":
        total = k + s - 2
        before = k - 1 if s > k - 1 else -(-total // 2)
    elif padding == "VALID":
        total = k + s - 2 + max(k - s, 0)
        before = k - 1
    else:
        raise ValueError("Padding mode must be `SAME` or `VALID`.")
    return before, total - before


def conv_general_dilated_patches(
    lhs: Any, filter_shape: Sequence[int], window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None, precision: Any = None, preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """The windows that a convolution sees, as features: the element at position k (row-major) of the
    window of input feature c is feature c · K + k of the result, where K is the number of elements
    of a window of shape `filter_shape`.

    Other arguments, and what is raised, are those of `conv_general_dilated`; the order of axes of
    `rhs` tells nothing but which spatial axis is which.

    >>> import pullback.numpy as jnp
    >>> conv_general_dilated_patches(jnp.array([[[1.0, 2.0, 3.0, 4.0]]]), (2,), (1,), "VALID")
    Array([[[1., 2., 3.],
            [2., 3., 4.]]], dtype=float32)
    """
    lhs = as_array(lhs)
    filter_shape = tuple(filter_shape)
    n = conv_dimension_numbers(lhs.shape, (1, 1, *filter_shape), dimension_numbers)
    count = int(np.prod(filter_shape))
    features = lhs.shape[n.lhs_spec[1]]
    identity = np.tile(np.eye(count).reshape(count, 1, *filter_shape), (features, *(1,) * (1 + len(filter_shape))))
    order = np.argsort(n.rhs_spec)
    rhs = as_array(identity.transpose(tuple(order)).astype(lhs.dtype))
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, n, feature_group_count=features, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def conv_general_dilated_local(
    lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None,
    precision: Any = None,
) -> Array:  # fmt: skip
    """A convolution whose filter differs from place to place ("locally connected"): `rhs` has the
    result's spatial axes, and C · K input features, for the C features of `lhs` and the K elements
    of a window of shape `filter_shape`.

    Other arguments, and what is raised, are those of `conv_general_dilated`, without groups.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[[1.0, 2.0, 3.0]]])  # (N, C, H)
    >>> filters = jnp.array([[[1.0, 0.0], [0.0, 1.0]]])  # (O, C · K, H): the left of a pair, then the right
    >>> conv_general_dilated_local(x, filters, (1,), "VALID", (2,))
    Array([[[1., 3.]]], dtype=float32)
    """
    lhs, rhs = as_array(lhs), as_array(rhs)
    n = conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    patches = conv_general_dilated_patches(
        lhs, filter_shape, window_strides, padding, lhs_dilation, rhs_dilation, n, precision
    )
    spatial_out, spatial_rhs = tuple(n.out_spec[2:]), tuple(n.rhs_spec[2:])
    numbers = (((n.out_spec[1],), (n.rhs_spec[1],)), (spatial_out, spatial_rhs))
    out = dot_general(patches, rhs, numbers, precision=precision)  # (spatial..., N, O)
    spatial = len(spatial_out)
    target = [0] * out.ndim
    target[n.out_spec[0]], target[n.out_spec[1]] = spatial, spatial + 1
    for i, axis in enumerate(spatial_out):
        target[axis] = i
    return transpose_p.bind(out, permutation=tuple(target))


def conv_shape_tuple(lhs_shape: Any, rhs_shape: Any, strides: Any, pads: Any, batch_group_count: int = 1) -> Shape:
    """The shape of a convolution's result, with the axes in the order (N, C, ...), (O, I, ...). `pads`
    is as `conv_general_dilated`'s `padding`.

    >>> conv_shape_tuple((8, 3, 32, 32), (16, 3, 5, 5), (2, 2), "SAME")
    (8, 16, 16, 16)
    """
    sizes = tuple(lhs_shape[2:])
    pads = _pads(pads, sizes, tuple(rhs_shape[2:]), tuple(strides))
    ones = (1,) * len(sizes)
    w = Window(rhs_shape[2:], strides, pads, ones, ones)
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *window_shape(sizes, **w._asdict()))


def conv_general_shape_tuple(
    lhs_shape: Any, rhs_shape: Any, window_strides: Any, padding: Any, dimension_numbers: Any
) -> Shape:
    """The shape of a convolution's result, with the axes as the strings `dimension_numbers` say.
    Raises as `conv_dimension_numbers`.

    >>> conv_general_shape_tuple((8, 32, 32, 3), (5, 5, 3, 16), (1, 1), "VALID", ("NHWC", "HWIO", "NHWC"))
    (8, 28, 28, 16)
    """
    n = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    shape = conv_shape_tuple(
        [lhs_shape[i] for i in n.lhs_spec], [rhs_shape[i] for i in n.rhs_spec], window_strides, padding
    )
    return tuple(int(shape[i]) for i in np.argsort(n.out_spec))


def conv_transpose_shape_tuple(
    lhs_shape: Any, rhs_shape: Any, window_strides: Any, padding: Any, dimension_numbers: Any
) -> Shape:
    """The shape of a transposed convolution's result, with the axes as the strings `dimension_numbers`
    say. Raises as `conv_dimension_numbers`.

    >>> conv_transpose_shape_tuple((8, 16, 16, 3), (5, 5, 3, 16), (2, 2), "SAME", ("NHWC", "HWIO", "NHWC"))
    (8, 32, 32, 16)
    """
    n = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    sizes, windows = (
        [shape[i] for i in spec[2:]] for shape, spec in ((lhs_shape, n.lhs_spec), (rhs_shape, n.rhs_spec))
    )
    if isinstance(padding, str):
        padding = [_transposed_pads(k, s, padding.upper()) for k, s in zip(windows, window_strides)]
    spatial = [
        dilated(m, s) + low + high - k + 1 for m, k, s, (low, high) in zip(sizes, windows, window_strides, padding)
    ]
    shape = (lhs_shape[n.lhs_spec[0]], rhs_shape[n.rhs_spec[0]], *spatial)
    return tuple(int(shape[i]) for i in np.argsort(n.out_spec))


__all__ = [
    "ConvDimensionNumbers", "conv", "conv_dimension_numbers", "conv_general_dilated", "conv_general_dilated_local",
    "conv_general_dilated_p", "conv_general_dilated_patches", "conv_general_permutations", "conv_general_shape_tuple", "conv_shape_tuple",
    "conv_transpose", "conv_transpose_shape_tuple", "conv_with_general_padding", "padtype_to_pads",
]  # fmt: skip
