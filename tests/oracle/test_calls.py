"""The same calls in both systems: values, shapes, dtypes, weak types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.differences import table
from tests.oracle.systems import assert_equal, kind, leaves, namespace, require_oracle

require_oracle()

CALLS = """
x + y; x - 1; 2 * x; x / 3; x // 0.7; x % 0.7; divmod(x, 0.7); x ** 2; x ** 2.5; p ** y; 2 ** x; -x; abs(x); x @ y.T
x == y; x < 0; ~i; i & j; i + 1; i / j; i // j; i % j; i ** 2; i << 1; i >> 1; i8 + 1; i8 * i8; k - 200; k + i8; i + x
i + h; h + x; h * 2.5; f16 + h; t + t; t + 1; t & t; c * x; c + 1j; abs(c); c ** 2; 1 + 2.0 * s; s + 1
np.float32(2) + x; np.float64(2) + x; x + np.ones((3, 4), np.int64); jnp.sin(x); jnp.sin(i); jnp.exp(h); jnp.log(p)
jnp.sqrt(special); jnp.log1p(u); jnp.expm1(x); jnp.arctan2(x, y); jnp.arcsin(u); jnp.tanh(c); jnp.sin(special)
jnp.exp(special); jnp.log(special); jnp.tanh(special); jnp.sign(special); jnp.floor(special); jnp.round(special)
jnp.arccosh(p + 1); jnp.sinc(x); jnp.hypot(x, y); jnp.logaddexp(x, y); jnp.cbrt(x); jnp.rint(x); jnp.trunc(x)
jnp.sign(i); jnp.sign(c); jnp.maximum(special, 0); jnp.minimum(special, special[::-1]); jnp.fmax(special, 0)
jnp.where(t, x, 0); jnp.where(t, 1, 2.0); jnp.where(t, i, x); jnp.clip(x, -1, 1); jnp.clip(i, -1, 1)
jnp.nan_to_num(special); jnp.isnan(special); jnp.isfinite(special); jnp.signbit(special); jnp.sum(x); jnp.sum(i8)
jnp.sum(t); jnp.sum(h, axis=0); jnp.sum(x, axis=(0, 1), keepdims=True); jnp.prod(i); jnp.mean(i); jnp.mean(h)
jnp.var(x); jnp.std(x, axis=1, ddof=1); jnp.max(x, axis=0); jnp.min(i); jnp.argmax(x); jnp.argmin(x, axis=1)
jnp.any(t); jnp.all(t, axis=0); jnp.median(x, axis=1); jnp.cumsum(x, axis=1); jnp.cumsum(t); jnp.cumprod(i, axis=0)
jnp.logaddexp(special, 0); jnp.ptp(x); jnp.average(x, axis=0); jnp.nansum(special); jnp.max(special)
jnp.argmax(special); jnp.sort(special); jnp.argsort(special); jnp.sum(e); jnp.sum(e, axis=0); jnp.prod(e)
jnp.quantile(x, 0.3, axis=1); jnp.zeros(3); jnp.ones((2, 2), int); jnp.full((2,), 3); jnp.full((2,), 3.0)
jnp.arange(5); jnp.arange(0, 1, 0.25); jnp.arange(5.0); jnp.eye(3); jnp.linspace(0, 1, 5); jnp.array([1, 2])
jnp.array(1.0); jnp.array([1, 2.5]); jnp.array([True]); jnp.array(1j); jnp.asarray(2); jnp.float32(2); jnp.int8(3)
jnp.zeros_like(i); jnp.ones_like(x, dtype=int); jnp.full_like(i, 2.7); jnp.tri(3); jnp.tril(m); jnp.diag(v)
jnp.identity(2); jnp.logspace(0, 1, 3); jnp.reshape(x, (4, 3)); x.T; x.ravel(); jnp.transpose(x)
jnp.moveaxis(x, 0, 1); jnp.concatenate([x, y]); jnp.stack([x, i]); jnp.hstack([v, 1.0 * v]); jnp.expand_dims(x, 0)
jnp.squeeze(x[:1]); jnp.flip(x, 1); jnp.roll(x, 2); jnp.tile(v, 2); jnp.repeat(v, 3); jnp.pad(x, 1)
jnp.split(x, 2, axis=1); jnp.broadcast_to(v, (3, 4)); x[0]; x[:, 1]; x[::-1, ::2]; x[i[0, 0]]; x[jnp.array([0, 2])]
x[..., None]; x[10]; x.at[0].set(1); x.at[:, 1].add(2); x.at[5].set(1.0); x.at[jnp.array([0, 0])].add(1.0)
jnp.take(x, jnp.array([1, 9]), axis=1); jnp.take_along_axis(x, j, axis=1); jnp.unique(i)
jnp.searchsorted(jnp.sort(v), v); jnp.bincount(k[0] % 5); jnp.nonzero(t); jnp.diff(x); jnp.flatnonzero(t)
jnp.digitize(v, jnp.array([0.0, 1.0])); jnp.dot(x, v); jnp.dot(i, j.T); jnp.matmul(x, y.T); jnp.vdot(c, c)
jnp.outer(v, v); jnp.einsum('ij,kj->ik', x, y); jnp.tensordot(x, y, 2); jnp.inner(x, y); jnp.kron(m, v)
jnp.cross(m, x[:, 1:]); jnp.trace(m); jnp.dot(h, h.T); jnp.linalg.norm(x); jnp.linalg.det(m); jnp.linalg.inv(m)
jnp.linalg.solve(m, w); jnp.astype(special, int); special.astype(jnp.int8); special.astype(jnp.uint8); x.astype(bool)
x.astype(jnp.bfloat16); c.real; c.imag; jnp.conj(c); jnp.angle(c); lax.add(x, y); lax.mul(x, 2.0); lax.rsqrt(p)
lax.erf(x); lax.lgamma(p); lax.digamma(p); lax.integer_pow(x, 3); lax.pow(p, 2.0); lax.select(t, x, y)
lax.dot_general(x, y, (((1,), (1,)), ((), ()))); lax.reduce_max(x, axes=(0,)); lax.iota(jnp.int32, 4)
lax.convert_element_type(x, jnp.float16); lax.clamp(-1.0, x, 1.0); lax.shift_left(i, j); lax.population_count(k)
lax.clz(i); lax.cumsum(x, 1, True); lax.cummax(x, 0); lax.rem(i, j); lax.div(i, j); lax.div(i, i * 0)
lax.rem(i, i * 0); lax.sort(v); lax.top_k(x, 2); lax.pad(x, 0.0, ((1, 0, 1), (0, -1, 0)))
lax.dynamic_slice(x, (2, 3), (2, 2)); lax.slice(x, (0, 1), (3, 4), (2, 1)); lax.rev(x, (0,))
lax.concatenate([x, y], 1); lax.broadcast_in_dim(v, (3, 4), (1,)); lax.argmax(x, 0, jnp.int32)
lax.dynamic_update_slice(x, y[:2, :2], (2, 3)); lax.reduce_precision(x, 5, 4); lax.bitcast_convert_type(x, jnp.int32)
lax.nextafter(x, y); lax.round(special); nn.relu(x); nn.sigmoid(x); nn.softmax(x); nn.log_softmax(x, axis=0)
nn.gelu(x); nn.silu(h); nn.softplus(special); nn.elu(x); nn.one_hot(j, 4); nn.logsumexp(x)
jax.grad(lambda a: jnp.sum(jnp.tanh(a) ** 2))(x); jax.value_and_grad(lambda a: a ** 2)(3.0)
jax.jvp(jnp.sin, (1.0,), (1.0,)); jax.jacfwd(jnp.cumsum)(v); jax.hessian(lambda a: jnp.prod(a))(v)
jax.vmap(jnp.dot)(x, y); jax.vmap(lambda a, b: a * b, (1, None))(x, 2.0); jax.jacrev(lambda a: a[:2] * a[2:])(v)
jax.grad(lambda a: abs(a) ** 2)(1 + 2j); jax.grad(jnp.sin, holomorphic=True)(1 + 2j)
jax.grad(lambda a: jnp.max(a))(jnp.ones(4)); jax.grad(jnp.sqrt)(0.0)
jax.grad(lambda a: jnp.where(a > 0, jnp.log(a), 0.0))(1.0); jax.vjp(jnp.dot, x, v)[1](w)
jax.linearize(jnp.sin, v)[1](v); jax.grad(lambda a: jnp.sort(a)[1])(v); random.normal(random.PRNGKey(0), (3,))
random.uniform(random.PRNGKey(1), (2, 2)); random.split(random.PRNGKey(2))
random.randint(random.PRNGKey(3), (4,), 0, 9); random.permutation(random.PRNGKey(4), 5)
random.bernoulli(random.PRNGKey(5), 0.3, (4,)); random.fold_in(random.PRNGKey(6), 7)
"""


def split(line: str) -> list[str]:
    """The expressions of a line, which `;` separates."""
    return [part.strip() for part in line.split(";") if part.strip()]


EXPRESSIONS = [e for line in CALLS.strip().splitlines() for e in split(line)]


def outcome(expression: str, system: str) -> list[Any] | str:
    """The arrays in the result, or the type of the error."""
    names = namespace(system)
    try:
        return leaves(eval(expression, names))
    except Exception as error:
        if system == "pullback":
            return f"{type(error).__name__}: {error}"
        return type(error).__name__


#: Calls that differ on purpose, and why.
DELIBERATE = dict(table("values"))


@pytest.mark.filterwarnings("ignore")  # both systems warn about types that 32-bit mode narrows
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_call(expression: str, x64: bool) -> None:
    results, expected_results = outcome(expression, "pullback"), outcome(expression, "jax")
    if expression in DELIBERATE:
        assert not isinstance(results, str), DELIBERATE[expression]
        return
    if isinstance(results, str) or isinstance(expected_results, str):
        assert str(results).partition(":")[0] == expected_results, results
        return
    for got, expected in zip(results, expected_results, strict=True):
        assert kind(got) == kind(expected)
        assert_equal(np.asarray(got), np.asarray(expected))
