"""Calls with one argument left open, and what is put there: numbers of the wrong kind, texts, sequences, values out of range, traced values.

`tests/core/test_arguments.py` has every combination give a result or a documented error; `tests/oracle/test_arguments.py` compares with JAX.
"""

from __future__ import annotations

import re
from typing import Any

#: Expressions in the names of `tests.oracle.systems.namespace`, and `key`; `_` is the place of the argument.
CALLS = """
jnp.sum(x, axis=_); jnp.mean(x, axis=_); jnp.max(x, axis=_); jnp.argmax(x, axis=_); jnp.any(t, axis=_); jnp.prod(i, axis=_)
jnp.var(x, axis=_); jnp.var(x, ddof=_); jnp.std(x, ddof=_); jnp.median(x, axis=_); jnp.quantile(x, .3, axis=_)
jnp.percentile(x, 30, axis=_); jnp.cumsum(x, axis=_); jnp.cumprod(x, axis=_); jnp.cumulative_sum(x, axis=_); jnp.nansum(x, axis=_)
jnp.nanargmax(x, axis=_); jnp.ptp(x, axis=_); jnp.average(x, axis=_); jnp.count_nonzero(x, axis=_); nn.logsumexp(x, axis=_)
jnp.sort(x, axis=_); jnp.argsort(x, axis=_); jnp.partition(x, _); jnp.partition(x, 1, axis=_); jnp.argpartition(x, _)
jnp.lexsort((x, y), axis=_); jnp.flip(x, axis=_); jnp.roll(x, _); jnp.roll(x, 1, axis=_); jnp.rot90(x, k=_); jnp.rot90(x, axes=_)
jnp.squeeze(x[:1], axis=_); jnp.expand_dims(x, axis=_); jnp.moveaxis(x, _, 0); jnp.moveaxis(x, 0, _); jnp.swapaxes(x, _, 0)
jnp.rollaxis(x, _); jnp.rollaxis(x, 1, _); jnp.transpose(x, _); jnp.permute_dims(x, _); jnp.concatenate([x, y], axis=_)
jnp.stack([x, y], axis=_); jnp.unstack(x, axis=_); jnp.split(x, _); jnp.split(x, 2, axis=_); jnp.array_split(x, _)
jnp.array_split(x, 2, axis=_); jnp.vsplit(x, _); jnp.hsplit(x, _); jnp.append(x, y, axis=_); jnp.delete(x, _); jnp.delete(x, 0, axis=_)
jnp.insert(x, _, 1.); jnp.insert(x, 0, 1., axis=_); jnp.tile(v, _); jnp.repeat(v, _); jnp.repeat(x, 2, axis=_)
jnp.repeat(v, 2, total_repeat_length=_); jnp.pad(v, _); jnp.pad(x, _); jnp.reshape(x, _); x.reshape(_); x.reshape(_, 4); x.reshape(4, _)
jnp.resize(x, _); jnp.ravel(x, order=_); jnp.broadcast_to(v, _); jnp.atleast_1d(_); jnp.broadcast_shapes(_, (4,)); jnp.diff(x, n=_)
jnp.diff(x, axis=_); jnp.gradient(x, axis=_); jnp.trapezoid(x, axis=_); jnp.trapezoid(x, dx=_); jnp.take(x, _); jnp.take(x, j, axis=_)
jnp.take_along_axis(x, j, axis=_); jnp.put_along_axis(x, j, 1., axis=_, inplace=False); jnp.compress(t[0], x, axis=_)
jnp.choose(j % 2, [x, y], mode=_); jnp.select([t], [x], default=_); jnp.searchsorted(v, _); jnp.digitize(v, _)
jnp.bincount(k[0] % 5, minlength=_); jnp.bincount(k[0] % 5, length=_); jnp.histogram(v, bins=_); jnp.histogram(v, range=_)
jnp.nonzero(x, size=_); jnp.flatnonzero(x, size=_); jnp.argwhere(x, size=_); jnp.where(t, size=_); jnp.unique(i, size=_)
jnp.unique(i, axis=_); jnp.union1d(i, j, size=_); jnp.intersect1d(i, j, size=_); jnp.setdiff1d(i, j, size=_); jnp.isin(i, _); jnp.zeros(_)
jnp.ones(_); jnp.full(_, 1.); jnp.empty(_); jnp.zeros_like(x, shape=_); jnp.full((2,), _); jnp.arange(_); jnp.arange(0, _)
jnp.arange(0, 5, _); jnp.linspace(0, 1, _); jnp.linspace(0, 1, 5, axis=_); jnp.linspace(0, _, 3); jnp.logspace(0, 1, _)
jnp.geomspace(1, 2, _); jnp.eye(_); jnp.eye(3, _); jnp.eye(3, k=_); jnp.identity(_); jnp.tri(_); jnp.tri(3, _); jnp.tri(3, k=_)
jnp.tril(m, _); jnp.triu(m, _); jnp.diag(v, _); jnp.diag(m, _); jnp.diagflat(v, _); jnp.diagonal(m, _); jnp.diagonal(x, axis1=_)
jnp.trace(m, _); jnp.trace(m, axis1=_); jnp.indices(_); jnp.tril_indices(_); jnp.triu_indices(3, _); jnp.diag_indices(_)
jnp.diag_indices(3, _); jnp.mask_indices(_, jnp.triu); jnp.vander(v, _); jnp.hanning(_); jnp.hamming(_); jnp.blackman(_); jnp.bartlett(_)
jnp.kaiser(_, 2.); jnp.kaiser(5, _); jnp.unravel_index(_, (3, 4)); jnp.unravel_index(3, _); jnp.ravel_multi_index((1, 2), _)
jnp.fill_diagonal(m, _, inplace=False); jnp.packbits(t, axis=_); jnp.unpackbits(k, axis=_); jnp.unpackbits(k, count=_); jnp.round(x, _)
x.round(_); jnp.around(x, decimals=_); jnp.ldexp(x, _); jnp.left_shift(i, _); jnp.power(x, _); jnp.clip(x, _, 1.); jnp.clip(x, max=_)
jnp.nan_to_num(x, nan=_); jnp.unwrap(v, axis=_); jnp.cross(m, m, axis=_); jnp.tensordot(x, y, axes=_); jnp.apply_along_axis(jnp.sum, _, x)
jnp.apply_over_axes(jnp.sum, x, _); jnp.cov(x, ddof=_); jnp.corrcoef(_); jnp.polyder(v, _); jnp.polyint(v, _); jnp.polyfit(v, v, _)
jnp.convolve(v, v, mode=_); jnp.correlate(v, v, mode=_); jnp.interp(_, v, v); jnp.array(x, ndmin=_); jnp.array(1., dtype=_); x.astype(_)
jnp.asarray(x, order=_); x.squeeze(_); x.sum(_); x.argsort(_); x.repeat(_); x.take(_); x.transpose(_); x.swapaxes(_, 0); x.item(_)
x.flatten(_); x.ravel(_); x.diagonal(_); x.min(_); x.cumsum(_); x.clip(_); v.searchsorted(_); x.view(_); x[_]; x.at[_].get()
x.at[_].set(1.); x.at[0].get(mode=_); x.at[0].set(_); jnp.linalg.norm(x, ord=_); jnp.linalg.norm(x, axis=_)
jnp.linalg.vector_norm(x, axis=_); jnp.linalg.vector_norm(x, ord=_); jnp.linalg.matrix_norm(x, ord=_); jnp.linalg.matrix_power(m, _)
jnp.linalg.tensorinv(jnp.ones((2, 3, 6)), ind=_); jnp.linalg.tensorsolve(m, w, axes=_); jnp.linalg.cond(m, p=_); jnp.linalg.qr(m, mode=_)
jnp.linalg.diagonal(m, offset=_); jnp.linalg.trace(m, offset=_); jnp.linalg.vecdot(x, y, axis=_); jnp.linalg.cross(m, m, axis=_)
jnp.linalg.eigh(m, UPLO=_); jnp.linalg.multi_dot(_); jnp.linalg.lstsq(m, w, _); jnp.linalg.pinv(m, _); jnp.linalg.matrix_rank(m, _)
jnp.linalg.solve(m, _); jnp.fft.fft(x, n=_); jnp.fft.fft(x, axis=_); jnp.fft.fft(x, norm=_); jnp.fft.ifft(x, n=_); jnp.fft.rfft(x, n=_)
jnp.fft.irfft(x, n=_); jnp.fft.hfft(x, n=_); jnp.fft.fft2(x, s=_); jnp.fft.fft2(x, axes=_); jnp.fft.fftn(x, s=_); jnp.fft.fftn(x, axes=_)
jnp.fft.rfftn(x, axes=_); jnp.fft.irfftn(x, s=_); jnp.fft.fftshift(x, axes=_); jnp.fft.fftfreq(_); jnp.fft.rfftfreq(_)
jnp.fft.fftfreq(4, _); lax.reduce_sum(x, _); lax.reduce_max(x, _); lax.argmax(x, _, jnp.int32); lax.argmax(x, 0, _); lax.cumsum(x, _)
lax.cummax(x, _); lax.cumlogsumexp(x, _); lax.sort(x, _); lax.sort((x, y), num_keys=_); lax.top_k(x, _); lax.top_k(x, 1, axis=_)
lax.broadcast(x, _); lax.broadcast_in_dim(v, _, (1,)); lax.broadcast_in_dim(v, (3, 4), _); lax.reshape(x, _); lax.reshape(x, (4, 3), _)
lax.transpose(x, _); lax.rev(x, _); lax.squeeze(x[:1], _); lax.expand_dims(x, _); lax.concatenate([x, y], _); lax.pad(x, 0., _)
lax.slice(x, _, (1, 1)); lax.slice(x, (0, 0), _); lax.slice(x, (0, 0), (1, 1), _); lax.slice_in_dim(x, _, 2); lax.slice_in_dim(x, 0, _)
lax.slice_in_dim(x, 0, 2, _); lax.slice_in_dim(x, 0, 2, axis=_); lax.index_in_dim(x, _); lax.index_in_dim(x, 0, axis=_)
lax.dynamic_slice(x, _, (1, 1)); lax.dynamic_slice(x, (0, 0), _); lax.dynamic_slice_in_dim(x, _, 1); lax.dynamic_slice_in_dim(x, 0, _)
lax.dynamic_slice_in_dim(x, 0, 1, _); lax.dynamic_index_in_dim(x, _); lax.dynamic_update_slice(x, y[:1, :1], _)
lax.dynamic_update_slice_in_dim(x, y[:1], _, 0); lax.dynamic_update_slice_in_dim(x, y[:1], 0, _)
lax.dynamic_update_index_in_dim(x, y[0], 0, _); lax.split(x, _); lax.split(x, (1, 2), _); lax.tile(x, _); lax.iota(jnp.int32, _)
lax.iota(_, 3); lax.broadcasted_iota(jnp.int32, _, 0); lax.broadcasted_iota(jnp.int32, (2, 3), _); lax.full(_, 1.); lax.full((2,), _)
lax.full_like(x, _); lax.collapse(x, _); lax.collapse(x, 0, _); lax.integer_pow(x, _); lax.reduce_precision(x, _, 4)
lax.reduce_precision(x, 5, _); lax.convert_element_type(x, _); lax.bitcast_convert_type(x, _); lax.expand_dims(x, [_])
lax.select_n(_, x, y); lax.clamp(_, x, 1.); lax.round(x, _); lax.reduce(x, 0., lax.add, _)
lax.reduce_window(x, 0., lax.add, _, (1, 1), 'VALID'); lax.reduce_window(x, 0., lax.add, (1, 1), _, 'VALID')
lax.reduce_window(x, 0., lax.add, (1, 1), (1, 1), _); lax.scan(lambda c, a: (c, a), 0., x, length=_)
lax.scan(lambda c, a: (c, a), 0., x, unroll=_); lax.fori_loop(_, 3, lambda q, c: c, 0.); lax.fori_loop(0, _, lambda q, c: c, 0.)
lax.map(jnp.sin, x, batch_size=_); lax.associative_scan(jnp.add, x, axis=_); lax.switch(_, [lambda: 1., lambda: 2.])
lax.cond(_, lambda: 1., lambda: 2.); lax.dot_general(x, y, _); lax.dot(x, y.T, precision=_)
lax.conv(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 2)), _, 'VALID'); lax.conv(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 2)), (1,), _)
lax.conv_general_dilated(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 2)), (1,), 'SAME', feature_group_count=_); lax.fft(c, 'fft', _)
lax.approx_max_k(x, _); nn.one_hot(j, _); nn.one_hot(j, 3, axis=_); nn.softmax(x, axis=_); nn.log_softmax(x, axis=_)
nn.standardize(x, axis=_); nn.glu(x, axis=_); nn.gelu(x, approximate=_); nn.elu(x, _); nn.leaky_relu(x, _); nn.celu(x, _)
nn.initializers.normal()(key, _); nn.initializers.glorot_normal()(key, _); nn.initializers.glorot_normal(in_axis=_)(key, (3, 4))
nn.initializers.variance_scaling(_, 'fan_in', 'normal')(key, (3, 4)); nn.initializers.variance_scaling(1., _, 'normal')(key, (3, 4))
nn.initializers.orthogonal(column_axis=_)(key, (3, 4)); nn.initializers.constant(_)(key, (2,)); nn.initializers.zeros(key, _)
random.key(_); random.PRNGKey(_); random.split(key, _); random.fold_in(key, _); random.normal(key, _); random.uniform(key, _)
random.uniform(key, (2,), minval=_); random.randint(key, _, 0, 5); random.randint(key, (2,), 0, _); random.bits(key, _)
random.bernoulli(key, _); random.bernoulli(key, .5, _); random.permutation(key, _); random.permutation(key, x, axis=_)
random.choice(key, _); random.choice(key, 5, _); random.choice(key, x, axis=_); random.categorical(key, x, axis=_)
random.categorical(key, x, shape=_); random.gamma(key, 1., _); random.poisson(key, 2., _); random.exponential(key, _)
random.truncated_normal(key, -1., 1., _); random.multivariate_normal(key, v[:2], jnp.eye(2), _); random.orthogonal(key, _)
random.orthogonal(key, 2, _); random.ball(key, _); random.ball(key, 2, shape=_); random.dirichlet(key, v * v + .1, _)
random.cauchy(key, _); random.rademacher(key, _); random.t(key, 2., _); random.loggamma(key, 1., _); random.beta(key, 1., 2., _)
random.binomial(key, 3., .5, _); random.laplace(key, _); random.gumbel(key, _); random.logistic(key, _); random.pareto(key, 1., _)
random.weibull_min(key, 1., 1., _); random.triangular(key, 0., .5, 1., _); random.geometric(key, .5, _); random.rayleigh(key, 1., _)
random.wald(key, 1., _); random.maxwell(key, _); random.chisquare(key, 2., _); random.f(key, 2., 3., _)
random.generalized_normal(key, 2., _); random.lognormal(key, 1., _); jax.grad(lambda a: a * a, argnums=_)(1.)
jax.value_and_grad(lambda a: a * a, argnums=_)(1.); jax.jacfwd(lambda a: a * a, argnums=_)(1.); jax.jacrev(lambda a: a * a, argnums=_)(1.)
jax.hessian(lambda a: a * a, argnums=_)(1.); jax.jit(lambda a: a, static_argnums=_)(1.); jax.jit(lambda a: a, donate_argnums=_)(1.)
jax.jit(lambda a: a, static_argnames=_)(1.); jax.vmap(lambda a: a, in_axes=_)(x); jax.vmap(lambda a: a, out_axes=_)(x)
jax.vmap(lambda a: a, axis_size=_)(x); jax.vmap(lambda a: a, axis_name=_)(x); jax.checkpoint(lambda a: a * a, static_argnums=_)(1.)
jax.make_jaxpr(lambda a: a, static_argnums=_)(1.).jaxpr; jax.custom_jvp(lambda a: a, nondiff_argnums=_)
jax.ShapeDtypeStruct(_, 'float32').shape; jax.ShapeDtypeStruct((2,), _).shape; jax.eval_shape(lambda a: a, _)
jax.linear_transpose(lambda a: 2 * a, _)(1.); jax.jvp(jnp.sin, (1.,), (_,)); jax.jvp(jnp.sin, _, (1.,)); jax.vjp(jnp.sin, 1.)[1](_)
jax.linearize(jnp.sin, 1.)[1](_); jax.tree_util.tree_map(_, [1.]); jax.tree_util.tree_unflatten(jax.tree_util.tree_structure([1]), _)
jax.tree_util.tree_leaves(_, is_leaf=3); jax.device_put(1., _); jax.named_scope(_)
"""
EXPRESSIONS = [e.strip() for line in CALLS.strip().splitlines() for e in line.split("; ")]
VALUES = [
    "1.5", "2.0", "'a'", "''", "(0,)", "[0]", "(0, 0)", "('a',)", "{}", "None", "True", "()", "-1", "-9", "9", "np.float32(1)", "np.int64(1)",
    "np.array([1, 0])", "jnp.int32(1)", "object()", "1j", "float('nan')", "{0}", "range(2)", "TRACED",
]  # fmt: skip


def outcome(expression: str, value: str, names: dict[str, Any]) -> Any:
    """What the expression gives with the value in its place: its result, or the error."""
    code = re.sub(r"(?<!\w)_(?!\w)", value, expression)
    try:
        if value == "TRACED":
            names["jax"].make_jaxpr(lambda traced: eval(code, {**names, "TRACED": traced}))(1)
            return None
        return eval(code, dict(names))
    except Exception as error:
        return error
