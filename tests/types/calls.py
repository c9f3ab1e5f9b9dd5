"""Calls of every public function whose results have types, and the operands that they are called with.

An expression has *slots*, names that range over operands: `a` and `b` over arrays, 0-d arrays and scalars; `v` and `w` over arrays of shape
(3,); `m` and `n` over matrices of shape (2, 2). Other one-letter names are fixed. The table knows no system: `namespace(package)` has the names.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

# ---- calls ------------------------------------------------------------------------------------------------------------------------

#: Functions of one operand, and of two, by module; keyword functions and those with other arguments are in CALLS.
UNARY = {
    "jnp": """
    abs absolute acos acosh all amax amin angle any arccos arccosh arcsin arcsinh arctan arctanh argmax argmin argsort argwhere
    around array array_repr asarray asin asinh atan atanh atleast_1d atleast_2d atleast_3d average bitwise_count bitwise_invert
    bitwise_not cbrt ceil conj conjugate copy corrcoef cos cosh count_nonzero cov cumprod cumsum cumulative_prod cumulative_sum
    deg2rad degrees diag diagflat diff ediff1d empty_like exp exp2 expm1 fabs flatnonzero flip floor frexp gradient hstack vstack
    dstack column_stack i0 imag invert iscomplex iscomplexobj isfinite isinf isnan isneginf isposinf isreal isrealobj isscalar
    log log10 log1p log2 logical_not max mean median min modf nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean
    nanmedian nanmin nanprod nanstd nansum nanvar ndim negative nonzero ones_like permute_dims poly polyder polyint positive prod
    ptp rad2deg radians ravel real reciprocal rint roots round shape sign signbit sin sinc sinh size sort sort_complex spacing
    sqrt square squeeze std sum tan tanh trapezoid transpose trim_zeros trunc unique unstack unwrap vander var zeros_like
    iterable result_type block
    """,
    "lax": """
    abs acos acosh asin asinh atan atanh bessel_i0e bessel_i1e bitwise_not cbrt ceil clz conj cos cosh digamma erf erf_inv erfc
    exp exp2 expm1 floor imag is_finite lgamma log log1p logistic neg population_count real reciprocal round rsqrt
    sign sin sinh sqrt square stop_gradient tan tanh optimization_barrier dtype
    """,
    "nn": """
    celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu log1mexp log_sigmoid log_softmax
    logmeanexp logsumexp mish relu relu6 selu sigmoid silu soft_sign softmax softplus sparse_plus sparse_sigmoid squareplus standardize
    swish tanh
    """,
    "jnp.fft": "fft ifft ihfft rfft fftshift ifftshift",
}
BINARY = {
    "jnp": """
    add allclose arctan2 array_equal array_equiv atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
    copysign divide divmod equal float_power floor_divide fmax fmin fmod gcd greater greater_equal heaviside hypot isclose
    lcm ldexp left_shift less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum mod multiply
    nextafter not_equal pow power remainder right_shift subtract true_divide dot inner outer kron vdot matmul result_type
    """,
    "lax": """
    add atan2 bitwise_and bitwise_or bitwise_xor complex div eq ge gt igamma igammac igamma_grad_a le lt max min mul mulhi ne nextafter
    polygamma pow random_gamma_grad rem shift_left shift_right_arithmetic shift_right_logical sub zeta
    """,
}

CALLS = """
-a; ~a; abs(a); +a; a + b; a - b; a * b; a / b; a // b; a % b; a ** b; a @ b; a & b; a | b; a ^ b; a << b; a >> b; a == b; a != b; a < b; a <= b
a > b; a >= b; divmod(a, b); round(v); v.T; v.real; v.imag; a ** 2; a ** 3.0; a ** -1; a ** 0.5; 2 ** a; 2.0 ** a; v.all(); v.any(); v.argmax()
v.argmin(); v.argsort(); v.astype(int); v.astype(float); v.astype('float16'); v.clip(0, 1); v.conj(); v.copy(); v.cumprod(); v.cumsum()
m.diagonal(); v.dot(w); v.flatten(); v.max(); v.mean(); v.min(); v.nonzero(); v.prod(); v.ptp(); v.ravel(); v.repeat(2); v.reshape(3, 1)
v.round(1); v.searchsorted(w); v.sort(); v.squeeze(); v.std(); v.sum(); m.swapaxes(0, 1); v.take(i); m.trace(); m.transpose(); v.var()
v.view('int8'); v.item(); v[0]; v[:2]; v[i]; v[None]; v[::-1]; v[t]; v[v]; v.mT if v.ndim > 1 else v; v.at[0].set(b); v.at[:].set(b)
v.at[...].set(b); v.at[i].set(b); v.at[t].set(b); v.at[1:].add(b); v.at[i].multiply(b); v.at[0].divide(b); v.at[:].divide(b); v.at[0].power(b)
v.at[:].min(b); v.at[i].max(b); v.at[0].get(); v.at[i].get(mode='fill', fill_value=b); v.at[:].set(b, mode='drop'); v.at[()].set(b)
v.at[::2].set(b); v.at[:].add(b); v.at[0].subtract(b); v.at[0].apply(jnp.sin); list(v)[0]; bool(a); len(v); jnp.append(a, b)
jnp.apply_along_axis(jnp.sum, 0, v); jnp.apply_over_axes(jnp.sum, m, 0); jnp.arange(a); jnp.arange(a, b); jnp.arange(0, a, b)
jnp.argpartition(v, 1); jnp.array(a, dtype='bfloat16'); jnp.array([a, b]); jnp.asarray([a]); jnp.array((v, w)); jnp.array_split(v, 3)
jnp.array_str(v); jnp.astype(v, int); jnp.average(v, weights=w); jnp.bartlett(3); jnp.bincount(v, length=3); jnp.bincount(i, weights=v, length=3)
jnp.blackman(3); jnp.block([v, w]); jnp.broadcast_arrays(v, w); jnp.broadcast_to(a, (2, 3)); jnp.broadcast_shapes((3,), (1,))
jnp.can_cast(v.dtype, w.dtype); jnp.choose(i, [v, w, v]); jnp.clip(a, b); jnp.clip(a, b, b); jnp.clip(a, 0, 1); jnp.clip(a, 0.0, 1.0)
jnp.clip(x, a, b); jnp.column_stack([v, w]); jnp.compress(t, v, size=2); jnp.concat([v, w]); jnp.concatenate([v, w])
jnp.concatenate([v, w], dtype='float16'); jnp.convolve(v, w); jnp.correlate(v, w); jnp.corrcoef(v, w); jnp.cov(v, w); jnp.cov(v, aweights=i)
jnp.cross(v, w); jnp.delete(v, 0); jnp.diag_indices(3); jnp.diag_indices_from(m); jnp.diagonal(m); jnp.diff(v, prepend=b); jnp.diff(v, append=b)
jnp.digitize(v, w); jnp.dsplit(v[None, None], 3); jnp.dstack([v, w]); jnp.ediff1d(v, to_end=w); jnp.einsum('i,i->', v, w)
jnp.einsum('ij,jk', m, n); jnp.einsum('i->', v); jnp.empty(3); jnp.expand_dims(a, 0); jnp.einsum('i,i->', v, w, preferred_element_type='float32')
jnp.dot(v, w, preferred_element_type='float32'); jnp.matmul(m, n, preferred_element_type='float32'); jnp.extract(t, v, size=2); jnp.eye(3)
jnp.eye(3, dtype=int); jnp.fill_diagonal(m, b, inplace=False); jnp.fliplr(m); jnp.flipud(m); jnp.fromfunction(lambda p: p, (3,)); jnp.full(3, a)
jnp.full((), a); jnp.full(3, a, dtype='float16'); jnp.full_like(v, b); jnp.full_like(v, b, dtype='float16'); jnp.full_like(a, 2)
jnp.geomspace(a, b, 3); jnp.hamming(3); jnp.hanning(3); jnp.histogram(v); jnp.histogram(v, weights=w); jnp.histogram(v, bins=w)
jnp.histogram(x, range=(0, 2), bins=3, weights=w); jnp.histogram2d(v, w); jnp.histogram_bin_edges(v); jnp.histogram_bin_edges(v, weights=w)
jnp.histogramdd(m); jnp.histogramdd(m, weights=v[:2]); jnp.hsplit(v, 3); jnp.hstack([v, w]); jnp.identity(3); jnp.indices((2, 2))
jnp.insert(v, 0, b); jnp.insert(v, i, w); jnp.interp(v, w, w); jnp.interp(v, w, x); jnp.interp(x, v, w); jnp.interp(v, w, w, left=0.0)
jnp.interp(v, w, w, period=3.0); jnp.interp(x, x, v); jnp.interp(a, x, x); jnp.interp(a, i, i); jnp.intersect1d(v, w, size=3)
jnp.isdtype(v.dtype, 'numeric'); jnp.isin(v, w); jnp.issubdtype(v.dtype, jnp.floating); jnp.ix_(i, i); jnp.kaiser(3, a); jnp.lexsort((v, w))
jnp.linspace(a, b, 3); jnp.linspace(a, b, 3, dtype='float16'); jnp.linspace(a, b, 3, dtype=int); jnp.linspace(a, b, 3, retstep=True)
jnp.linspace(0, a, 3); jnp.logspace(a, b, 3); jnp.logspace(0, 1, 3, base=a); jnp.logspace(a, b, 3, dtype='float16')
jnp.geomspace(a, b, 3, dtype='float16'); jnp.mask_indices(3, jnp.triu); jnp.matrix_transpose(m); jnp.matvec(m, v[:2])
jnp.max(v, initial=0.0, where=t); jnp.min(v, initial=0, where=t); jnp.mean(v, where=t); jnp.meshgrid(v, w); jnp.moveaxis(m, 0, 1)
jnp.mean(v, dtype='float16'); jnp.mean(v, dtype='complex64'); jnp.nan_to_num(a, nan=b); jnp.nan_to_num(v, posinf=b)
jnp.nanmean(v, dtype='float16'); jnp.nanpercentile(v, 50); jnp.nanquantile(v, 0.5); jnp.nanquantile(v, w); jnp.nanstd(v, dtype='float16')
jnp.nanvar(v, dtype='complex64'); jnp.nansum(v, dtype='float16'); jnp.ones(3); jnp.ones(3, int); jnp.ones_like(a, dtype='float16')
jnp.packbits(k); jnp.pad(v, 1); jnp.pad(v, 1, constant_values=b); jnp.pad(v, 1, mode='mean'); jnp.pad(v, 1, mode='linear_ramp')
jnp.partition(v, 1); jnp.pad(v, 1, mode='reflect'); jnp.pad(v, 1, mode='median'); jnp.pad(v, 1, mode='linear_ramp', end_values=b)
jnp.percentile(v, 50); jnp.percentile(v, w); jnp.piecewise(v, [t], [1, 2]); jnp.piecewise(v, [t], [jnp.sin, 0])
jnp.piecewise(a, [a > 0], [2.0, b]); jnp.place(v, t, w, inplace=False); jnp.polyadd(v, w); jnp.polydiv(v, w); jnp.polyfit(v, w, 1)
jnp.polymul(v, w); jnp.polysub(v, w); jnp.polyval(v, b); jnp.polyint(v, k=b); jnp.prod(v, dtype='float16'); jnp.promote_types(v.dtype, w.dtype)
jnp.put(v, i, w, inplace=False); jnp.put_along_axis(v, i, b, 0, inplace=False); jnp.quantile(v, 0.5); jnp.quantile(v, w)
jnp.quantile(v, 0.5, method='nearest'); jnp.ravel_multi_index((i, i), (4, 4)); jnp.repeat(v, 2); jnp.repeat(a, 2); jnp.reshape(a, (-1, 1))
jnp.resize(v, (2, 3)); jnp.roll(v, 1); jnp.rollaxis(m, 1); jnp.rot90(m); jnp.round(a, 1); jnp.searchsorted(v, b); jnp.select([t], [v], b)
jnp.select([t, t], [v, w]); jnp.select([t], [a], b); jnp.setdiff1d(v, w, size=3); jnp.setxor1d(v, w, size=3); jnp.split(v, 3); jnp.stack([v, w])
jnp.std(v, dtype='complex64'); jnp.std(v, dtype='float16'); jnp.sum(v, dtype='float16'); jnp.sum(v, initial=b); jnp.prod(v, initial=b)
jnp.sum(v, where=t); jnp.cumsum(v, dtype='float16'); jnp.cumulative_sum(v, include_initial=True); jnp.swapaxes(m, 0, 1); jnp.take(v, i)
jnp.take(v, 0); jnp.take(a, 0); jnp.take(v, i, mode='fill', fill_value=b); jnp.take_along_axis(v, i, 0); jnp.tensordot(m, n); jnp.tile(a, 2)
jnp.trace(m); jnp.trace(m, dtype='float16'); jnp.trapezoid(v, w); jnp.trapezoid(v, dx=b); jnp.tri(3); jnp.tril(m); jnp.triu(m)
jnp.tril_indices(3); jnp.tril_indices_from(m); jnp.triu_indices(3); jnp.triu_indices_from(m); jnp.union1d(v, w, size=3); jnp.unique(v, size=3)
jnp.unique(v, size=3, return_inverse=True, return_counts=True, return_index=True); jnp.unique_all(v, size=3); jnp.unique_counts(v, size=3)
jnp.unique_inverse(v, size=3); jnp.unique_values(v, size=3); jnp.unpackbits(k); jnp.unravel_index(i, (2, 2)); jnp.nonzero(v, size=2)
jnp.flatnonzero(v, size=2); jnp.argwhere(v, size=2); jnp.where(v, size=2); jnp.vander(v, 2); jnp.var(v, dtype='complex64')
jnp.var(v, dtype='float16'); jnp.vecdot(v, w); jnp.vecmat(v[:2], m); jnp.vectorize(jnp.add)(v, w); jnp.vsplit(m, 2); jnp.vstack([v, w])
jnp.where(t, a, b); jnp.where(a, b, 1); jnp.where(a, b, 2.0); jnp.where(True, a, b); jnp.zeros(3); jnp.zeros(3, int)
jnp.zeros_like(v, dtype='float16'); jnp.frombuffer(b'1234'); jnp.fromiter((1.0, 2.0), dtype='float32', count=2); jnp.fromstring('1 2', sep=' ')
jnp.square(v); jnp.r_[v, w]; jnp.c_[v, w]; jnp.r_[v, b]; jnp.mgrid[0:3]; jnp.ogrid[0:1:3j]; jnp.float32(a); jnp.int8(a); jnp.bfloat16(a)
jnp.bool_(a); jnp.complex64(a); jnp.arange(3); jnp.arange(3.0); jnp.arange(3, dtype='float16'); jnp.trim_zeros(x); jnp.linalg.cholesky(m)
jnp.linalg.cond(m); jnp.linalg.cond(m, 1); jnp.linalg.cross(v, w); jnp.linalg.det(m); jnp.linalg.diagonal(m); jnp.linalg.eig(m)
jnp.linalg.eigh(m); jnp.linalg.eigvals(m); jnp.linalg.eigvalsh(m); jnp.linalg.inv(m); jnp.linalg.lstsq(m, n); jnp.linalg.lstsq(m, v[:2])
jnp.linalg.matmul(m, n); jnp.linalg.matrix_norm(m); jnp.linalg.matrix_norm(m, ord='nuc'); jnp.linalg.matrix_power(m, 2)
jnp.linalg.matrix_power(m, -1); jnp.linalg.matrix_rank(m); jnp.linalg.matrix_transpose(m); jnp.linalg.multi_dot([m, n, m]); jnp.linalg.norm(v)
jnp.linalg.norm(m); jnp.linalg.norm(v, 1); jnp.linalg.norm(v, 0); jnp.linalg.norm(v, 3); jnp.linalg.norm(v, jnp.inf); jnp.linalg.norm(m, 2)
jnp.linalg.outer(v, w); jnp.linalg.pinv(m); jnp.linalg.qr(m); jnp.linalg.slogdet(m); jnp.linalg.solve(m, n); jnp.linalg.svd(m)
jnp.linalg.svdvals(m); jnp.linalg.tensordot(m, n); jnp.linalg.tensorinv(m, ind=1); jnp.linalg.tensorsolve(m, v[:2]); jnp.linalg.trace(m)
jnp.linalg.vecdot(v, w); jnp.linalg.vector_norm(v); jnp.linalg.vector_norm(v, ord=1); jnp.linalg.vector_norm(v, ord=3); jnp.fft.fft2(m)
jnp.fft.fftn(m); jnp.fft.ifft2(m); jnp.fft.ifftn(m); jnp.fft.rfft2(m); jnp.fft.rfftn(m); jnp.fft.irfft(v); jnp.fft.irfft2(m); jnp.fft.irfftn(m)
jnp.fft.hfft(v); jnp.fft.fftfreq(4, d=a); jnp.fft.rfftfreq(4, d=a); jnp.fft.fftfreq(4); jnp.fft.fftfreq(4, dtype='float16'); jnp.fft.rfftfreq(4)
lax.approx_max_k(v, 1); lax.approx_min_k(v, 1); lax.argmax(v, 0, jnp.int32); lax.argmin(v, 0, jnp.int32); lax.associative_scan(jnp.add, v)
lax.batch_matmul(m[None], n[None]); lax.betainc(a, b, b); lax.betainc(a, b, x); lax.bitcast_convert_type(v, jnp.int32); lax.broadcast(a, (2,))
lax.broadcast_in_dim(a, (3, 3), (0,)[:getattr(a, 'ndim', 0)]); lax.broadcasted_iota(jnp.int32, (2, 2), 0); lax.clamp(a, x, b)
lax.clamp(0.0, a, 1.0); lax.clamp(0, a, 1); lax.clamp(b, a, b); lax.collapse(m, 0); lax.concatenate([v, w], 0)
lax.cond(True, lambda p: p, lambda p: p, a); lax.cond(x[0] > 0, lambda p: p, lambda p: p, a); lax.cond(x[0] > 0, lambda: v, lambda: w)
lax.switch(i[0], [lambda p: p, lambda p: p * 2], a); lax.select(t, v, w); lax.select_n(t, v, w); lax.select(t, a, b)
lax.conv(v[None, None], w[None, None], (1,), 'SAME'); lax.conv_general_dilated(v[None, None], w[None, None], (1,), 'SAME')
lax.conv_transpose(v[None, :, None], w[:, None, None], (1,), 'SAME')
lax.conv_with_general_padding(v[None, None], w[None, None], (1,), [(0, 0)], None, None)
lax.conv_general_dilated_patches(v[None, None], (2,), (1,), 'SAME')
lax.conv_general_dilated_local(v[None, None], w[None, :, None] * jnp.ones((1, 1, 3), w.dtype), (1,), 'SAME', (1,))
lax.convert_element_type(a, 'float16'); lax.convert_element_type(a, float); lax.convert_element_type(a, int); lax.convert_element_type(a, complex)
lax.convert_element_type(a, bool); lax.convert_element_type(a, 'float32'); lax.cumlogsumexp(v); lax.cummax(v); lax.cummin(v); lax.cumprod(v)
lax.cumsum(v); lax.dot(v, w); lax.dot(m, n, preferred_element_type=jnp.float32); lax.dot_general(m, n, (((1,), (0,)), ((), ())))
lax.dynamic_index_in_dim(v, 1); lax.dynamic_slice(v, (1,), (2,)); lax.dynamic_slice_in_dim(v, 1, 2); lax.dynamic_update_index_in_dim(v, b, 0, 0)
lax.dynamic_update_slice(v, w, (0,)); lax.dynamic_update_slice_in_dim(v, w, 0, 0); lax.eq(v, w); lax.expand_dims(a, (0,))
lax.empty((2,), 'float32'); lax.fft(v, 'fft', (3,)); lax.fft(v, 'rfft', (3,)); lax.fori_loop(0, 2, lambda _, c: c, a); lax.full((2,), a)
lax.full((2,), a, 'float16'); lax.fori_loop(0, 2, lambda _, c: c * 1, a); lax.fori_loop(0, 2, lambda q, c: c + q, a); lax.full_like(v, b)
lax.full_like(a, 1); lax.full_like(v, 1, dtype='float16'); lax.index_in_dim(v, 0); lax.index_take(v, (i,), (0,)); lax.integer_pow(a, 2)
lax.integer_pow(a, -1); lax.integer_pow(a, 0); lax.iota('float32', 3); lax.map(lambda p: p * 2, v); lax.mul(a, b, out_dtype='float32')
lax.pad(v, b, [(1, 1, 0)]); lax.polygamma(a, a); lax.reduce(v, b, lax.add, (0,)); lax.reduce(v, 0.0, lax.add, (0,))
lax.reduce(v, 0, lax.max, (0,)); lax.reduce_and(v, axes=(0,)); lax.reduce_max(v, axes=(0,)); lax.reduce_min(v, axes=(0,))
lax.reduce_or(v, axes=(0,)); lax.reduce_precision(a, 5, 4); lax.reduce_prod(v, axes=(0,)); lax.reduce_sum(v, axes=(0,))
lax.reduce_window(v, 0.0, lax.add, (2,), (1,), 'SAME'); lax.reduce_window(v, -jnp.inf, lax.max, (2,), (1,), 'SAME')
lax.reduce_window(v, b, lax.add, (2,), (1,), 'SAME'); lax.reduce_xor(v, axes=(0,)); lax.reshape(a, (getattr(a, 'size', 1), 1)); lax.rev(v, (0,))
lax.rng_uniform(a, b, (2,)); lax.scan(lambda c, e: (c, e), a, v); lax.scan(lambda c, e: (c + e, c), a, v)
lax.scan(lambda c, e: (c * 1, e * 2), a, x); lax.scan(lambda c, _: (c, 2.0), a, None, length=2); lax.slice(v, (0,), (2,))
lax.slice_in_dim(v, 0, 2); lax.sort(v); lax.sort((v, w), num_keys=1); lax.sort_key_val(v, w); lax.split(v, (1, 2)); lax.squeeze(v[None], (0,))
lax.stack([v, w]) if hasattr(lax, 'stack') else None; lax.tile(v, (2,)); lax.top_k(v, 1); lax.transpose(m, (1, 0)); lax.unstack(v)
lax.while_loop(lambda c: False, lambda c: c, a); lax.while_loop(lambda c: False, lambda c: c * 2, a)
lax.scatter_add(v, i[:1, None], w[:1], lax.ScatterDimensionNumbers((), (0,), (0,)))
lax.scatter(v, i[:1, None], w[:1], lax.ScatterDimensionNumbers((), (0,), (0,)))
lax.scatter_max(v, i[:1, None], w[:1], lax.ScatterDimensionNumbers((), (0,), (0,)))
lax.scatter_min(v, i[:1, None], w[:1], lax.ScatterDimensionNumbers((), (0,), (0,)))
lax.scatter_mul(v, i[:1, None], w[:1], lax.ScatterDimensionNumbers((), (0,), (0,)))
lax.scatter_sub(v, i[:1, None], w[:1], lax.ScatterDimensionNumbers((), (0,), (0,)))
lax.scatter_apply(v, i[:1, None], jnp.sin, lax.ScatterDimensionNumbers((), (0,), (0,)), update_shape=(1,))
lax.gather(v, i[:1, None], lax.GatherDimensionNumbers((), (0,), (0,)), (1,))
lax.custom_linear_solve(lambda p: p * 2, a, lambda _, p: p / 2, symmetric=True)
lax.custom_root(lambda p: p - v, v, lambda f, p: p, lambda f, p: p); lax.rng_bit_generator(jnp.zeros(4, 'uint32'), (2,))
lax.broadcast_to_rank(v, 2); lax.broadcast_like(a, m) if hasattr(lax, 'broadcast_like') else None
jax.vmap(lambda p: lax.psum(p, 'q'), axis_name='q')(v); jax.vmap(lambda p: lax.pmean(p, 'q'), axis_name='q')(v)
jax.vmap(lambda p: lax.pmax(p, 'q'), axis_name='q')(v); jax.vmap(lambda p: lax.pmin(p, 'q'), axis_name='q')(v)
jax.vmap(lambda p: lax.psum(2, 'q'), axis_name='q')(v); jax.vmap(lambda p: lax.psum(2.0, 'q'), axis_name='q')(v)
jax.vmap(lambda p: lax.all_gather(p, 'q'), axis_name='q')(v); jax.vmap(lambda p: lax.ppermute(p, 'q', [(0, 1)]), axis_name='q')(v)
jax.vmap(lambda p: lax.axis_index('q'), axis_name='q')(v); jax.vmap(lambda p: lax.all_to_all(p, 'q', 0, 0), axis_name='q')(m)
jax.vmap(lambda p: lax.psum_scatter(p, 'q'), axis_name='q')(m); jax.vmap(lambda p: lax.pswapaxes(p, 'q', 0), axis_name='q')(m)
jax.vmap(lambda p: lax.pshuffle(p, 'q', [1, 0, 2]), axis_name='q')(v); jax.vmap(lambda p: p + b)(v); lax.linalg.cholesky(m)
lax.linalg.cholesky_update(m, v[:2]); lax.linalg.eig(m); lax.linalg.eigh(m); lax.linalg.hessenberg(m); lax.linalg.householder_product(m, v[:2])
lax.linalg.lu(m); lax.linalg.lu_pivots_to_permutation(i[:2], 4); lax.linalg.qdwh(m); lax.linalg.qr(m); lax.linalg.schur(m); lax.linalg.svd(m)
lax.linalg.symmetric_product(m, n); lax.linalg.triangular_solve(m, n); lax.linalg.tridiagonal(m)
lax.linalg.tridiagonal_solve(v, v, v, w[:, None]); lax.linalg.ormqr(m, v[:2], n); nn.celu(a, b); nn.elu(a, b); nn.gelu(a, approximate=False)
nn.leaky_relu(a, b); nn.log_softmax(v, where=t); nn.logsumexp(v, b=w); nn.logsumexp(v, return_sign=True); nn.logsumexp(v, where=t)
nn.one_hot(i, 3); nn.one_hot(i, 3, dtype='float16'); nn.one_hot(v, 3); nn.softmax(v, where=t); nn.squareplus(a, b); nn.standardize(v, epsilon=b)
nn.standardize(v, mean=w, variance=w); nn.dot_product_attention(v[None, :, None, None], v[None, :, None, None], v[None, :, None, None])
nn.dot_product_attention(v[None, :, None, None], v[None, :, None, None], v[None, :, None, None], bias=w)
nn.dot_product_attention(v[None, :, None, None], v[None, :, None, None], w[None, :, None, None])
nn.dot_product_attention(v[None, :, None, None], v[None, :, None, None], v[None, :, None, None], return_residual=True); nn.logmeanexp(v, where=t)
nn.glu(v[:2]); nn.initializers.zeros(key, (2,)); nn.initializers.ones(key, (2,), 'float16'); nn.initializers.constant(a)(key, (2,))
nn.initializers.constant(a, 'float16')(key, (2,)); nn.initializers.normal()(key, (2,)); nn.initializers.normal(dtype='bfloat16')(key, (2,))
nn.initializers.uniform()(key, (2,)); nn.initializers.orthogonal()(key, (2, 2)); nn.initializers.glorot_normal()(key, (2, 2))
nn.initializers.glorot_uniform()(key, (2, 2)); nn.initializers.he_normal()(key, (2, 2)); nn.initializers.he_uniform()(key, (2, 2), 'float16')
nn.initializers.lecun_normal()(key, (2, 2)); nn.initializers.lecun_uniform()(key, (2, 2)); nn.initializers.truncated_normal()(key, (2, 2))
nn.initializers.delta_orthogonal()(key, (1, 2, 2)); nn.initializers.variance_scaling(1.0, 'fan_in', 'normal')(key, (2, 2))
nn.initializers.normal(a)(key, (2,)); nn.initializers.uniform(a)(key, (2,)); random.ball(key, 2); random.bernoulli(key, a); random.beta(key, a, b)
random.binomial(key, a, b); random.bits(key); random.bits(key, dtype='uint8'); random.categorical(key, v); random.cauchy(key)
random.chisquare(key, a); random.choice(key, v); random.choice(key, 3, p=v); random.dirichlet(key, v)
random.double_sided_maxwell(key, a, b, (3,)); random.exponential(key); random.exponential(key, dtype='float16'); random.f(key, a, b)
random.gamma(key, a); random.generalized_normal(key, a); random.geometric(key, a); random.gumbel(key); random.laplace(key)
random.loggamma(key, a); random.logistic(key); random.lognormal(key, a); random.maxwell(key); random.multinomial(key, a, v)
random.multivariate_normal(key, v[:2], n); random.normal(key); random.normal(key, dtype='complex64'); random.normal(key, dtype='bfloat16')
random.orthogonal(key, 2); random.pareto(key, a); random.permutation(key, v); random.permutation(key, 3); random.poisson(key, a)
random.rademacher(key); random.randint(key, (2,), a, b); random.randint(key, (2,), a, b, 'uint8'); random.rayleigh(key, a); random.t(key, a)
random.triangular(key, a, b, b); random.truncated_normal(key, a, b); random.uniform(key, (3,), minval=a, maxval=b)
random.uniform(key, dtype='float16'); random.wald(key, a); random.weibull_min(key, a, b); random.split(key); random.fold_in(key, a)
random.key_data(key); random.clone(key); random.gamma(key, a, dtype='float16'); random.PRNGKey(0)
random.key_data(random.wrap_key_data(jnp.zeros(2, 'uint32')))
"""

#: Public names that are not called here, and why.
LEFT_OUT = {
    "types, and what tells about them": """
    jnp.ComplexWarning jnp.bfloat16 jnp.bool jnp.cdouble jnp.character jnp.complex128 jnp.complex_ jnp.complexfloating jnp.csingle
    jnp.double jnp.dtype jnp.finfo jnp.flexible jnp.float16 jnp.float4_e2m1fn jnp.float64 jnp.float6_e2m3fn jnp.float6_e3m2fn
    jnp.float8_e3m4 jnp.float8_e4m3 jnp.float8_e4m3b11fnuz jnp.float8_e4m3fn jnp.float8_e4m3fnuz jnp.float8_e5m2 jnp.float8_e5m2fnuz
    jnp.float8_e8m0fnu jnp.float_ jnp.floating jnp.generic jnp.iinfo jnp.inexact jnp.int1 jnp.int16 jnp.int2 jnp.int32 jnp.int4
    jnp.int64 jnp.int_ jnp.integer jnp.ndarray jnp.number jnp.object_ jnp.signedinteger jnp.single jnp.uint jnp.uint1 jnp.uint16
    jnp.uint2 jnp.uint32 jnp.uint4 jnp.uint64 jnp.uint8 jnp.unsignedinteger lax.AccuracyMode lax.ConvDimensionNumbers lax.FftType
    lax.GatherScatterMode lax.Precision lax.RandomAlgorithm lax.RoundingMethod lax.Tolerance jnp.ufunc lax.linalg.EigImplementation
    lax.linalg.EighImplementation lax.linalg.SvdAlgorithm random.key nn.initializers.Initializer random.key_dtype random.key_impl
    lax.DotAlgorithmPreset lax.RaggedDotDimensionNumbers random.Key""",
    "no arrays come out": """
    jnp.einsum_path jnp.frompyfunc jnp.get_printoptions jnp.printoptions jnp.save jnp.savez jnp.set_printoptions lax.axis_size lax.broadcast_shapes
    lax.conv_dimension_numbers lax.conv_general_permutations lax.conv_general_shape_tuple lax.conv_shape_tuple
    lax.conv_transpose_shape_tuple lax.padtype_to_pads lax.reduce_window_shape_tuple jnp.broadcast_shapes""",
    "the contents of files and of other libraries' arrays": "jnp.from_dlpack jnp.fromfile jnp.load",
    "the caller gives the types": "lax.pure_callback",
    "the oracle does not have them, or not for arrays that are on a CPU": """
    jnp.minmax jnp.top_k lax.log2 lax.one_minus_square lax.polynomial lax.shape_as_value lax.pcast lax.scaled_dot nn.scaled_dot_general
    nn.scaled_matmul nn.get_scaled_dot_general_config""",
    "functions and numbers of rows are among their arguments": """
    lax.composite lax.platform_dependent lax.ragged_dot lax.ragged_dot_general""",
    "they need a sharding": "lax.with_sharding_constraint",
    "another name for one that is called": """lax.pbroadcast nn.initializers.kaiming_normal
    nn.initializers.kaiming_uniform nn.initializers.xavier_normal nn.initializers.xavier_uniform""",
}  # fmt: skip


def expressions() -> list[str]:
    """Every expression of the table."""
    found = [f"{module}.{name}(a)" for module, names in UNARY.items() for name in names.split()]
    found += [f"{module}.{name}(a, b)" for module, names in BINARY.items() for name in names.split()]
    found += [part.strip() for line in CALLS.strip().splitlines() for part in line.split("; ")]
    return list(dict.fromkeys(found))


# ---- operands ---------------------------------------------------------------------------------------------------------------------

#: Types of arrays, `*` for weak ones.
ARRAYS = [
    "bool",
    "int8",
    "uint8",
    "int32",
    "uint32",
    "bfloat16",
    "float16",
    "float32",
    "complex64",
    "int*",
    "float*",
    "complex*",
]
MORE_ARRAYS = ["int16", "uint16", "int4", "float8_e4m3fn", "float8_e5m2"]  # for functions of one operand
ARRAYS_64 = ["int32", "int64", "uint64", "bfloat16", "float32", "float64", "complex128", "int*", "float*", "complex*"]
SCALARS: dict[str, Any] = {
    "True": True, "2": 2, "2.0": 2.0, "2j": 2j, "numpy.int8": np.int8(2), "numpy.int64": np.int64(2), "numpy.float32": np.float32(2),
    "numpy.float64": np.float64(2),
}  # fmt: skip
MORE_SCALARS: dict[str, Any] = {
    "numpy.bool": np.bool_(True), "numpy.uint8": np.uint8(2), "numpy.float16": np.float16(2), "numpy.complex64": np.complex64(2),
}  # fmt: skip
SHAPES: dict[str, tuple[int, ...]] = {"a": (3,), "b": (3,), "v": (3,), "w": (3,), "m": (2, 2), "n": (2, 2)}
_WEAK = {"int*": 2, "float*": 2.0, "complex*": 2j}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def array(jnp: Any, name: str, shape: tuple[int, ...]) -> Any:
    """An array of the type `name`, `*` for a weak one."""
    if name in _WEAK:
        return jnp.broadcast_to(_WEAK[name], shape)
    values = np.array([[3, 1], [1, 2]]) if shape == (2, 2) else np.full(shape, 2)
    return jnp.asarray(values.astype(dtype_of(name)))


def operands(jnp: Any, slot: str, alone: bool, x64: bool) -> dict[str, Any]:
    """The operands that a slot ranges over, by name."""
    shape = SHAPES[slot]
    names = ARRAYS_64 if x64 else ARRAYS + MORE_ARRAYS * alone
    found = {name: array(jnp, name, shape) for name in names}
    if slot in "ab":
        zero_d = ("bfloat16", "uint32", "float*", "int*") if not x64 else ("float32", "float*")
        found |= {f"0-d {name}": array(jnp, name, ()) for name in zero_d}
        found |= SCALARS | (MORE_SCALARS | {"numpy array": np.full(3, 2.0)} if alone else {})
    return found


def namespace(package: str) -> dict[str, Any]:
    """The names that expressions use, of `jax` or `pullback`."""
    jax = importlib.import_module(package)
    sub = {
        n: importlib.import_module(f"{package}.{p}")
        for n, p in {"jnp": "numpy", "lax": "lax", "nn": "nn", "random": "random"}.items()
    }
    importlib.import_module(f"{package}.nn.initializers"), importlib.import_module(f"{package}.lax.linalg")
    jnp = sub["jnp"]
    return sub | {
        "jax": jax, "x": jnp.ones(3, "float32"), "i": jnp.array([0, 1, 1], "int32"), "t": jnp.array([True, False, True]),
        "k": jnp.ones(3, "uint8"), "key": sub["random"].key(0),
    }  # fmt: skip


# ---- outcomes ---------------------------------------------------------------------------------------------------------------------


class Call:
    """An expression and its slots; `arguments` gives the combinations of operands."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        names = re.sub(r"\b\w+=|'[^']*'", "", expression)
        self.slots = sorted(set(re.findall(r"(?<![\w.])([abvwmn])(?![\w(])", names)))
        self._code = compile(f"lambda {', '.join(self.slots)}: ({expression})", expression, "eval")

    def function(self, names: dict[str, Any]) -> Callable[..., Any]:
        made: Callable[..., Any] = eval(self._code, names)
        return made

    def arguments(self, jnp: Any, x64: bool) -> Iterator[tuple[str, tuple[Any, ...]]]:
        alone = len(self.slots) == 1
        choices = [operands(jnp, slot, alone, x64).items() for slot in self.slots]
        for combination in itertools.product(*choices):
            yield ", ".join(name for name, _ in combination), tuple(value for _, value in combination)


_SHORT = {"bfloat": "bf", "float": "f", "complex": "c", "uint": "u", "int": "i"}


def short(dtype: Any) -> str:
    """`f32` for float32 and so on, `key<fry>` for typed keys however they print."""
    if "fry" in str(dtype):
        return "key<fry>"
    return re.sub(r"^(bfloat|float|complex|uint|int)(?=\d)", lambda m: _SHORT[m.group(1)], str(dtype))


def described(value: Any) -> str:
    """Types in a result: `f32`, `i32*` (weak), `[...]` and `(...)` for lists and tuples, the class for anything else."""
    if isinstance(value, list):
        return f"[{','.join(map(described, value))}]"
    if isinstance(value, tuple):
        return f"({','.join(map(described, value))})"
    if hasattr(value, "dtype") and not isinstance(value, (np.generic, np.ndarray)):
        # The weakness of booleans means nothing: there is no weak boolean type.
        return short(value.dtype) + "*" * (bool(getattr(value, "weak_type", False)) and str(value.dtype) != "bool")
    return type(value).__name__


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """What comes out: types, or `!` for an error."""
    try:
        return described(function(*arguments))
    except Exception:
        return "!"


def staged_outcome(jax: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """What comes out of a program in which the arguments are known: the types of eager code, without its cost."""
    box: list[str] = []
    try:
        jax.eval_shape(lambda: box.append(described(function(*arguments))))
    except Exception:
        return "!"
    return box[0]
