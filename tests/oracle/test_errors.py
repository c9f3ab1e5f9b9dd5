"""Misuses raise errors of the same type in both systems."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differences import table
from tests.oracle.systems import namespace, require_oracle

require_oracle()

MISUSES = [
    "jnp.add(x, jnp.zeros(5))",
    "jnp.add([1.0], x)",
    "jnp.sin('a')",
    "jnp.sin([1.0, 2.0])",
    "jnp.dot(x, x)",
    "jnp.matmul(x, 2.0)",
    "jnp.reshape(x, (5, 5))",
    "jnp.sum(x, axis=2)",
    "jnp.sum(x, axis=(0, 0))",
    "jnp.concatenate([])",
    "jnp.concatenate([x, v])",
    "jnp.stack([x, v])",
    "jnp.transpose(x, (0, 0))",
    "jnp.squeeze(x, 0)",
    "jnp.expand_dims(x, 5)",
    "jnp.argmax(e, axis=0)",
    "jnp.max(e, axis=0)",
    "jnp.broadcast_to(x, (2, 4))",
    "jnp.array('a')",
    "jnp.array([[1, 2], [3]])",
    "jnp.zeros(-1)",
    "jnp.split(x, 3, axis=1)",
    "jnp.einsum('ij,jk->ik', x, x)",
    "jnp.linalg.inv(x)",
    "x[0, 0, 0]",
    "x[1.0]",
    "x['a']",
    "x[None, ..., ...]",
    "x[jnp.array([True, False])]",
    "x.at[0].set(jnp.zeros(3))",
    "x.__setitem__(0, 1.0)",
    "bool(x)",
    "float(x)",
    "int(v)",
    "hash(x)",
    "len(s)",
    "iter(s)",
    "range(s)",
    "[1, 2, 3][x[0, 0]]",
    "x & y",
    "~x",
    "lax.add(x, i)",
    "lax.add(x, v)",
    "lax.sin(i)",
    "lax.select(t, x, i)",
    "lax.select(x, x, y)",
    "lax.concatenate([x, v], 0)",
    "lax.broadcast_in_dim(v, (3, 5), (1,))",
    "lax.dot_general(x, y, (((0,), (1,)), ((), ())))",
    "lax.slice(x, (0, 0), (4, 4))",
    "lax.psum(x, 'i')",
    "jax.grad(lambda a: a)(x)",
    "jax.grad(lambda a: a)(1)",
    "jax.grad(lambda a: 1j * a)(1.0)",
    "jax.grad(lambda a: 'text')(1.0)",
    "jax.grad(lambda a: a, argnums=1)(1.0)",
    "jax.grad(3)",
    "jax.grad(lambda a: a, holomorphic=True)(1.0)",
    "jax.grad(lambda a: a, has_aux=True)(1.0)",
    "jax.grad(lambda a: a)('text')",
    "jax.jvp(jnp.sin, (1.0,), (1,))",
    "jax.jvp(jnp.sin, (x,), (v,))",
    "jax.jvp(jnp.sin, (x,), ())",
    "jax.jvp(jnp.sin, x, x)",
    "jax.vjp(jnp.sin, x)[1](v)",
    "jax.vjp(jnp.sin, x)[1]((x, x))",
    "jax.linearize(jnp.sin, x)[1](v)",
    "jax.vmap(jnp.add)(x, v)",
    "jax.vmap(jnp.sin)(s)",
    "jax.vmap(jnp.sin, in_axes=3)(x)",
    "jax.vmap(jnp.add, in_axes=(0,))(x, y)",
    "jax.vmap(jnp.sin, in_axes=None)(x)",
    "jax.vmap(jnp.sin, in_axes='a')(x)",
    "jax.vmap(lambda a: a, out_axes=None)(x)",
    "jax.vmap(lambda a: 'text')(x)",
    "jax.vmap(lambda a: a if a > 0 else -a)(v)",
    "jax.vmap(lambda a: float(a))(v)",
    "jax.vmap(lambda a: np.asarray(a))(v)",
    "jax.vmap(lambda a: [1, 2][a])(i[0])",
    "jax.vmap(lambda a: v[v > a])(v)",
    "jax.make_jaxpr(lambda a: a if a > 0 else -a)(1.0)",
    "jax.make_jaxpr(lambda a: int(a))(1.0)",
    "jax.make_jaxpr(lambda a: np.sin(a))(x)",
    "jax.make_jaxpr(lambda a: jnp.zeros(a))(1)",
    "jax.make_jaxpr(lambda a: 'text')(1.0)",
    "jax.jacfwd(lambda a: a)(1)",
    "jax.jacrev(lambda a: 1j * a)(1.0)",
    "jax.hessian(lambda a: a)(1)",
    "jax.eval_shape(jnp.dot, x, x)",
    "jax.tree.map(lambda a, b: a, [1, 2], [1])",
    "jax.tree.unflatten(jax.tree.structure([1, 2]), [1])",
    "jax.linear_transpose(jnp.sin, 1.0)(1.0)",
    "random.normal(1.0)",
    "random.PRNGKey(1.5)",
    "random.uniform(random.PRNGKey(0), (2,), jnp.int32)",
    "nn.one_hot(x, 'a')",
]


#: Where the type of the error differs on purpose, ours and the reason.
DELIBERATE = {call: (ours, why) for call, ours, why in table("errors")}


def outcome(expression: str, system: str) -> Any:
    """The class names of the error, up to those of Python itself: JAX's own errors are to be ours by name."""
    names = namespace(system)
    try:
        eval(expression, names)
    except Exception as error:
        return next(c.__name__ for c in type(error).__mro__ if not c.__name__.startswith("_"))
    return "no error"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", MISUSES)
def test_error_type(expression: str) -> None:
    expected = outcome(expression, "jax")
    ours, reason = DELIBERATE.get(expression, (expected, ""))
    assert ours != expected or not reason, "the types agree: no reason is needed"
    assert outcome(expression, "pullback") == ours
