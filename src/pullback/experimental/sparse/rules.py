"""What operations make of sparse operands, and the operators and methods of sparse arrays, which
are sparsified functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.trace import Params, known_value, without_floating_point_errors
from pullback.experimental.sparse import bcoo_shapes as shapes
from pullback.experimental.sparse.base import JAXSparse, dense
from pullback.experimental.sparse.bcoo import BCOO, bcoo_transpose, bcoo_update_layout, full_batch, with_data
from pullback.experimental.sparse.bcoo_products import at_positions, bcoo_dot_general, bcoo_multiply_sparse
from pullback.experimental.sparse.bcsr import BCSR, bcsr_dot_general
from pullback.experimental.sparse.products import columns_of, product
from pullback.experimental.sparse.sparsification import no_rule, sparse_rules, sparsify
from pullback.lax.arrangement import concatenate_p, pad_p, rev_p, slice_p, split_p
from pullback.lax.blocks import dynamic_slice_p
from pullback.lax.contraction import dot_general_p
from pullback.lax.convolution import conv_general_dilated_p
from pullback.lax.creation import copy_p, optimization_barrier_p
from pullback.lax.elementwise import conj_p, div_p, imag_p, real_p
from pullback.lax.family import Elementwise, add_p, mul_p, neg_p, sub_p
from pullback.lax.gradient import stop_gradient_p
from pullback.lax.indexing import gather_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_in_dim_p, convert_element_type_p, reduce_sum_p, reshape_p, transpose_p
from pullback.numpy.conversion import astype


def _bcoo(x: Any) -> Any:
    return x.to_bcoo() if isinstance(x, BCSR) else x


def _of_data(x: Any, data: Any) -> Any:
    """A sparse array at the same positions with other data."""
    if isinstance(x, BCOO):
        return with_data(x, data)
    parts = (data, x.indices, x.indptr)
    return BCSR(parts, shape=x.shape, indices_sorted=x.indices_sorted, unique_indices=x.unique_indices)


def _each_once(x: Any) -> Any:
    if x.unique_indices:
        return x
    # BCSR's own promise is rarely made: as many elements are kept as there are.
    return x.sum_duplicates(nse=x.nse)


def _finished(x: Any) -> Any:
    """A result without axes is a number."""
    return x.todense() if isinstance(x, JAXSparse) and not x.shape else x


# ---- elementwise ---------------------------------------------------------------------------------

_LINEAR = (neg_p, real_p, imag_p, conj_p, copy_p, stop_gradient_p)


@sparse_rules.of(*_LINEAR)
def _linear(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    (x,) = args
    return _of_data(x, primitive.bind(x.data, **params))


@sparse_rules.of(convert_element_type_p)
def _convert(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    (x,) = args
    if not dtypes.is_inexact(params["new_dtype"]):
        x = _each_once(x)
    return _of_data(x, primitive.bind(x.data, **params))


@sparse_rules.of(optimization_barrier_p)
def _barrier(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    outs = primitive.bind(*[x.data if isinstance(x, JAXSparse) else x for x in args], **params)
    return [_of_data(x, o) if isinstance(x, JAXSparse) else o for x, o in zip(args, outs)]


@sparse_rules.of(Elementwise)
def _elementwise(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    """Functions that are zero where their sparse operand is, the others being known numbers."""
    sparse = [x for x in args if isinstance(x, JAXSparse)]
    others = [None if isinstance(x, JAXSparse) else known_value(x) for x in args]
    known = all(isinstance(x, JAXSparse) or (o is not None and o.size == 1) for x, o in zip(args, others))
    if len(sparse) != 1 or not known:
        raise no_rule(primitive)
    (x,) = sparse
    zeros = [np.zeros((), x.dtype) if o is None else np.asarray(o).reshape(()) for o in others]
    at_zero = without_floating_point_errors(lambda: np.asarray(primitive.evaluate(*zeros, **params)))
    if not np.all(at_zero == 0):
        raise no_rule(primitive, " because it would result in dense output")
    x = _each_once(x)
    numbers = [x.data if o is None else a.reshape(()) for a, o in zip(args, others)]
    return _finished(_of_data(x, primitive.bind(*numbers, **params)))


def _same_positions(x: Any, y: Any) -> bool:
    return type(x) is type(y) and x.shape == y.shape and all(a is b for a, b in zip(x._bufs[1:], y._bufs[1:]))


@sparse_rules.of(mul_p)
def _mul(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    x, y = args
    if isinstance(x, JAXSparse) and isinstance(y, JAXSparse):
        if _same_positions(x, y) and x.unique_indices:
            return _of_data(x, mul_p.bind(x.data, y.data))
        return bcoo_multiply_sparse(_bcoo(x), _bcoo(y))
    x, y = (x, y) if isinstance(x, JAXSparse) else (y, x)
    return _times_dense(mul_p, x, y)


@sparse_rules.of(div_p)
def _div(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    x, y = args
    if isinstance(y, JAXSparse):
        raise no_rule(primitive, " for division by a sparse array because it would result in dense output")
    return _times_dense(div_p, x, y)


def _times_dense(primitive: Any, x: Any, y: Any) -> Any:
    if math.prod(y.shape) == 1 and len(y.shape) <= x.ndim:
        return _of_data(x, primitive.bind(x.data, y.reshape(())))
    if len(y.shape) > x.ndim or any(a not in (1, n) for a, n in zip(y.shape[::-1], x.shape[::-1])):
        shape = jnp.broadcast_shapes(x.shape, y.shape)
        x = shapes.bcoo_broadcast_in_dim(
            _bcoo(x), shape=shape, broadcast_dimensions=range(len(shape) - x.ndim, len(shape))
        )
    mat = _bcoo(x)
    return _of_data(x, primitive.bind(full_batch(mat)[0], at_positions(mat, y)))


@sparse_rules.of(add_p, sub_p)
def _add(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    x, y = args
    if not (isinstance(x, JAXSparse) and isinstance(y, JAXSparse)):
        is_first = isinstance(x, JAXSparse)
        mat, other = (x, y) if is_first else (y, x)
        if jnp.broadcast_shapes(mat.shape, other.shape) != other.shape:
            raise NotImplementedError(
                f"{primitive.name} of a sparse array of shape {mat.shape} and a dense array of shape {other.shape}, at {user_line()}, is "
                "not implemented where the result has more elements than the dense one, to prevent silent densification. Use "
                "sparse.todense() if that is your intent"
            )
        dense_mat = mat.todense()
        return primitive.bind(*((dense_mat, other) if is_first else (other, dense_mat)))
    if x.shape != y.shape:
        raise NotImplementedError(
            f"{primitive.name} of sparse arrays of different shapes {x.shape} and {y.shape}, at {user_line()}"
        )
    if _same_positions(x, y):
        return _of_data(x, primitive.bind(x.data, y.data))
    a, b = _bcoo(x), _bcoo(y)
    if primitive is sub_p:
        b = with_data(b, neg_p.bind(b.data))
    nb, nd = min(a.n_batch, b.n_batch), min(a.n_dense, b.n_dense)
    a, b = (bcoo_update_layout(m, n_batch=nb, n_dense=nd) for m in (a, b))
    (data, indices), (data_b, indices_b) = full_batch(a), full_batch(b)
    index = jnp.result_type(indices, indices_b)
    parts = jnp.concatenate([data, data_b], nb), jnp.concatenate([indices.astype(index), indices_b.astype(index)], nb)
    out = BCOO(parts, shape=a.shape)
    return BCSR.from_bcoo(out) if isinstance(x, BCSR) and isinstance(y, BCSR) else out


@sparse_rules.of(select_n_p)
def _select(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    """A choice by a number that is known or traced, between arrays at the same positions."""
    which, *cases = args
    if isinstance(which, JAXSparse) or which.ndim or not all(_same_positions(cases[0], c) for c in cases[1:]):
        raise no_rule(primitive)
    return _of_data(cases[0], primitive.bind(which, *[c.data for c in cases], **params))


# ---- those that move elements, contract and sum --------------------------------------------------


def _rule(primitive: Primitive, function: Callable[..., Any]) -> None:
    """The rule of an operation on one sparse array, then dense ones."""

    def rule(_: Any, args: Sequence[Any], params: Params) -> Any:
        x, *rest = args
        if not isinstance(x, JAXSparse) or any(isinstance(r, JAXSparse) for r in rest):
            raise no_rule(primitive, " for these operands")
        return function(_bcoo(x), *rest, params)

    sparse_rules.of(primitive)(rule)


def _reduce_sum(x: BCOO, params: Params) -> Any:
    return _finished(shapes.bcoo_reduce_sum(x, axes=params["axes"]))


def _split(x: BCOO, params: Params) -> list[Any]:
    axis, start, outs = params["axis"], 0, []
    for n in params["sizes"]:
        first, last = [0] * x.ndim, list(x.shape)
        first[axis], last[axis] = start, start + n
        outs.append(shapes.bcoo_slice(x, start_indices=first, limit_indices=last))
        start += n
    return outs


_rule(transpose_p, lambda x, p: _transposed(x, p["permutation"]))
_rule(reshape_p, lambda x, p: _reshaped(x, p["new_sizes"]))
_rule(
    broadcast_in_dim_p,
    lambda x, p: shapes.bcoo_broadcast_in_dim(x, shape=p["shape"], broadcast_dimensions=p["broadcast_dimensions"]),
)
_rule(reduce_sum_p, _reduce_sum)
_rule(
    slice_p,
    lambda x, p: shapes.bcoo_slice(
        x, start_indices=p["start_indices"], limit_indices=p["limit_indices"], strides=p["strides"]
    ),
)
_rule(pad_p, lambda x, value, p: _padded(x, value, p["padding_config"]))
_rule(rev_p, lambda x, p: shapes.bcoo_rev(x, p["dimensions"]))
_rule(split_p, _split)
_rule(
    dynamic_slice_p, lambda x, *rest: shapes.bcoo_dynamic_slice(x, _starts(rest[:-1], x.ndim), rest[-1]["slice_sizes"])
)
_rule(
    gather_p,
    lambda x, starts, p: shapes.bcoo_gather(x, starts, p["dimension_numbers"], p["slice_sizes"], mode=p["mode"]),
)


def _reshaped(x: BCOO, new: tuple[int, ...]) -> BCOO:
    more = len(new) - x.ndim
    if more > 0 and new == (*(1,) * more, *x.shape):  # new axes in front are batch axes
        return shapes.bcoo_broadcast_in_dim(x, shape=new, broadcast_dimensions=range(more, len(new)))
    return shapes.bcoo_reshape(x, new_sizes=new)


def _padded(x: BCOO, value: Any, config: Sequence[tuple[int, int, int]]) -> BCOO:
    known = known_value(value)
    if known is None or known != 0:
        raise no_rule(pad_p, " for padding that is not zero")
    return shapes.bcoo_pad(x, config)


def _starts(starts: Sequence[Any], ndim: int) -> Sequence[Any]:
    return [starts[0][i] for i in range(ndim)] if len(starts) == 1 != ndim or (starts and starts[0].ndim) else starts


def _transposed(x: BCOO, permutation: Sequence[int]) -> BCOO:
    """The transpose, by fewer batch and dense axes if it mixes them with others."""
    nb, ns, n = x.n_batch, x.n_sparse, x.ndim
    first = nb if sorted(permutation[:nb]) == list(range(nb)) else 0
    last = x.n_dense if sorted(permutation[nb + ns :]) == list(range(nb + ns, n)) else 0
    return bcoo_transpose(bcoo_update_layout(x, n_batch=first, n_dense=last), permutation=permutation)


@sparse_rules.of(concatenate_p)
def _concatenate(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    if not all(isinstance(x, JAXSparse) for x in args):
        raise no_rule(primitive, " for sparse and dense operands together")
    return shapes.bcoo_concatenate([_bcoo(x) for x in args], dimension=params["dimension"])


@sparse_rules.of(dot_general_p)
def _dot_general(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    x, y = args
    options = {k: params[k] for k in ("dimension_numbers", "preferred_element_type")}
    if isinstance(x, BCSR) and not isinstance(y, JAXSparse):
        return bcsr_dot_general(x, y, **options)
    return _finished(bcoo_dot_general(_bcoo(x), _bcoo(y), **options))


@sparse_rules.of(conv_general_dilated_p)
def _convolve(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    known = (
        "window_strides",
        "padding",
        "lhs_dilation",
        "rhs_dilation",
        "dimension_numbers",
        "feature_group_count",
        "batch_group_count",
    )
    return shapes.bcoo_conv_general_dilated(*map(_bcoo, args), **{k: params[k] for k in known if k in params})


# ---- operators -----------------------------------------------------------------------------------


def _matmul(self: Any, other: Any) -> Any:
    """The matrix product with a dense or sparse array."""
    y = other if isinstance(other, (Array, JAXSparse)) else dense(other)
    if y.__class__ is ConcreteArray and self.ndim == 2 and 1 <= y.ndim <= 2:  # the common case, without a trace
        if self.__class__ is BCSR and not self.n_dense and not self.n_batch:
            return product(self.data, self.indptr, self.indices, y, self.shape, compressed=True)
        if self.__class__ is BCOO and self.indices.shape[1:] == (2,):
            rows, columns = columns_of(self.indices)
            return product(self.data, rows, columns, y, self.shape)
    return _matrix_product(self, y)


_matrix_product = sparsify(jnp.matmul)


def _sparsified(function: Callable[..., Any], reflected: bool = False) -> Any:
    run = sparsify(function)
    if reflected:
        return lambda self, other: run(_operand(other), self)
    return lambda self, *args: run(self, *map(_operand, args))


def _operand(x: Any) -> Any:
    return x if isinstance(x, (Array, JAXSparse, int, float, complex)) else dense(x)


def _getitem(self: Any, item: Any) -> Any:
    return sparsify(lambda x: x[item])(self)


def _iterate(self: Any) -> Any:
    if not self.shape:
        raise TypeError("iteration over a 0-d array")
    return iter([self[i] for i in range(self.shape[0])])


def _sum(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The sums along axes, a BCOO or BCSR. See `pullback.numpy.sum`, whose arguments it takes.

    >>> BCOO.fromdense(jnp.array([[1, 0], [2, 3]])).sum(0).todense()
    Array([3, 3], dtype=int32)
    """
    return sparsify(lambda x: x.sum(*args, **kwargs))(self)


def _reshape(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The array in another shape. See `pullback.numpy.reshape`.

    >>> BCOO.fromdense(jnp.eye(2)).reshape(4).todense()
    Array([1., 0., 0., 1.], dtype=float32)
    """
    return sparsify(lambda x: x.reshape(*args, **kwargs))(self)


def _astype(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The array in another dtype. See `pullback.numpy.astype`.

    >>> BCOO.fromdense(jnp.eye(2)).astype("int8")
    BCOO(int8[2, 2], nse=2)
    """
    return sparsify(lambda x: astype(x, *args, **kwargs))(self)


_OPERATORS = {
    "matmul": jnp.matmul,
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "truediv": jnp.true_divide,
    "pow": jnp.power,
}
_COMPARISONS = {
    "eq": jnp.equal,
    "ne": jnp.not_equal,
    "lt": jnp.less,
    "le": jnp.less_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
}


def install() -> None:
    """Give BCOO and BCSR their operators and methods."""
    methods: dict[str, Any] = {
        "__getitem__": _getitem,
        "__iter__": _iterate,
        "sum": _sum,
        "reshape": _reshape,
        "astype": _astype,
        "__neg__": _sparsified(jnp.negative),
        "__pos__": _sparsified(jnp.positive),
        "__abs__": _sparsified(jnp.abs),
    }
    for name, function in _OPERATORS.items():
        methods[f"__{name}__"] = _sparsified(function)
        methods[f"__r{name}__"] = _sparsified(function, reflected=True)
    methods["__matmul__"] = _matmul
    for name, function in _COMPARISONS.items():
        methods[f"__{name}__"] = _sparsified(function)
    for name, method in methods.items():
        setattr(BCOO, name, method)
        setattr(BCSR, name, method)


__all__ = ["install"]
