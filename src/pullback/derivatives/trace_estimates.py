"""Traces of linear maps, Hessians and Jacobians: exact, or estimated from a few products.

The estimators need products with random vectors alone. "hutchinson" is the mean of vᵀ A v over vectors of
signs, whose error shrinks like 1/√m with the number m of products. "hutch++" projects A on a space that
random vectors span, takes the trace there exactly, and estimates the rest: errors like 1/m. "xtrace" does
so with all vectors but one, for each of them, and so uses every product for both; it is the one to take
where eigenvalues decay. Each says how much its result may be off by.

Sources: M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
smoothing splines", Comm. Stat. Simul. 19 (1990); R. Meyer, C. Musco, C. Musco, D. Woodruff, "Hutch++:
optimal stochastic trace estimation", SOSA (2021); E. Epperly, J. Tropp, R. Webber, "XTrace: making the
most of every sample in stochastic trace estimation", SIAM J. Matrix Anal. Appl. 45 (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import pullback.numpy as jnp
from pullback import random
from pullback.control.loops import map as map_loop
from pullback.core import dtypes
from pullback.core.errors import user_api, user_line
from pullback.derivatives.basis import over_basis, positive
from pullback.derivatives.maps import hessian_map, jacobian_map, real_scalar
from pullback.lax.linalg import triangular_solve
from pullback.transforms.derivatives import canonical_argnums as index_of
from pullback.transforms.derivatives import check_callable, named_after, of_arguments
from pullback.transforms.linear_maps import LinearMap
from pullback.transforms.map_matrices import check_linear, on_arrays
from pullback.transforms.map_spaces import Coordinates, space
from pullback.transforms.vmap import vmap

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value

    #: Products with the rows of a matrix.
    Products = Callable[[Value], Value]


class TraceEstimate(NamedTuple):
    """An estimate of a trace, and how far it may be off: the estimated standard deviation of the estimate
    (0 where the trace is exact, NaN where there is one sample alone).

    >>> estimate, standard_error = TraceEstimate(10.1, 0.2)
    >>> estimate
    10.1
    """

    estimate: Any
    standard_error: Any


@user_api
def trace_estimate(
    m: LinearMap, *, key: Any, num_samples: int, method: str = "hutchinson", batch_size: int | None = None
) -> TraceEstimate:
    """An estimate of the trace of a linear map of a space to itself, from `num_samples` products with it.

    `method` is "hutchinson", "hutch++" (at least 3 products) or "xtrace" (an even number is used, at least
    2); the module's text says which to take. The last two give the exact trace for as many products as
    there are coordinates, or more. `batch_size` products are made at a time, all by default. Raises
    ValueError for other methods and numbers, and for maps that are not of one space.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> A = pb.LinearMap.diagonal(1 / jnp.arange(1.0, 1001.0) ** 2)            # trace 1.6439
    >>> for method in ("hutchinson", "hutch++", "xtrace"):
    ...     estimate, error = trace_estimate(A, key=pb.random.key(0), num_samples=60, method=method)
    ...     print(f"{estimate:.3f}")
    1.644
    1.644
    1.644
    """
    samples = positive(num_samples, "num_samples")
    size = None if batch_size is None else positive(batch_size, "batch_size")
    if method not in _METHODS:
        names = ", ".join(map(repr, _METHODS))
        raise ValueError(f"the method of a trace estimate must be one of {names}; got {method!r}, at {user_line()}")
    least, estimate = _METHODS[method]
    if samples < least:
        raise ValueError(f"{method!r} needs num_samples of at least {least}, got {samples}, at {user_line()}")
    _check_square(m)
    spaces = Coordinates(m.in_type)
    n, dtype = spaces.size, spaces.dtype()
    if not n or (method != "hutchinson" and samples >= n):
        return TraceEstimate(_exact(m, size), jnp.zeros((), dtypes.to_real(dtype)))
    apply = on_arrays(m)

    def flat(v: Value) -> Value:
        parts, start = [], 0
        for t in spaces.types:
            parts.append(v[start : start + t.size].reshape(t.shape).astype(t.dtype))
            start += t.size
        found = [y.reshape(-1).astype(dtype) for y in apply(*parts)]
        return found[0] if len(found) == 1 else jnp.concatenate(found)

    rows = vmap(flat) if size is None else lambda vs: map_loop(flat, vs, batch_size=size)
    return TraceEstimate(*estimate(rows, key, samples, n, dtype))


def _check_square(m: LinearMap) -> None:
    if space(m.in_type) != space(m.out_type):
        raise ValueError(
            f"only linear maps of one space to itself have a trace; input and output are {m.in_type} and {m.out_type}, at {user_line()}"
        )
    check_linear(m, "trace")


def _exact(m: LinearMap, batch_size: int | None) -> Value:
    """The sum of the diagonal, by as many products as there are coordinates."""
    spaces = Coordinates(m.in_type)
    dtype = spaces.dtype()
    if not spaces.size:
        return jnp.zeros((), dtype)
    apply = on_arrays(m)

    def element(*vector: Value) -> Value:
        return sum([jnp.sum(v * y).astype(dtype) for v, y in zip(vector, apply(*vector))])

    return jnp.sum(over_basis(element, spaces.types, batch_size))


# ---- the estimators ------------------------------------------------------------------------------
#
# Each takes products with the rows of a matrix, and gives the estimate and its standard error. Vectors are
# rows here, columns in the papers.


def _hutchinson(products: Products, key: Any, samples: int, n: int, dtype: Any) -> tuple[Value, Value]:
    signs = _signs(key, samples, n, dtype)
    return _mean(jnp.sum(signs * products(signs), 1))


def _hutchpp(products: Products, key: Any, samples: int, n: int, dtype: Any) -> tuple[Value, Value]:
    # A third of the products spans a space, with projection P = Q Qᵀ; another third gives the trace of
    # P A P; the last one estimates that of (I − P) A (I − P).
    first, second = random.split(key)
    third = samples // 3
    q = jnp.linalg.qr(products(_signs(first, third, n, dtype)).T)[0]
    inside = jnp.sum(q.conj() * products(q.T).T)
    rest = _signs(second, samples - 2 * third, n, dtype)
    rest = rest - (rest @ q.conj()) @ q.T
    outside, error = _mean(jnp.sum(rest.conj() * products(rest), 1))
    return inside + outside, error


def _xtrace(products: Products, key: Any, samples: int, n: int, dtype: Any) -> tuple[Value, Value]:
    """With Ω the k = m/2 test vectors, A Ω = Q R, and sᵢ the unit vector of the span of Q that is
    orthogonal to all columns of A Ω but number i (proportional to column i of R⁻ᴴ), the projection on
    these others is Q (I − sᵢ sᵢᴴ) Qᴴ. Everything is then in terms of matrices with k rows:

    H = Qᴴ A Q, W = Qᴴ Ω, T = (A Q)ᴴ Ω, and uᵢ = wᵢ − sᵢ sᵢᴴ wᵢ, the projection of ωᵢ."""
    k = samples // 2
    omega = random.normal(key, (k, n), dtypes.to_real(dtype))
    # Of one length: what remains of ωᵢ is then scaled to the length that it has on the average.
    omega = (omega * (n**0.5 / jnp.linalg.norm(omega, axis=1, keepdims=True))).astype(dtype).T
    y = products(omega.T).T
    q, r = jnp.linalg.qr(y)
    z = products(q.T).T
    s = _left_out(r)
    h, w, t = q.conj().T @ z, q.conj().T @ omega, z.conj().T @ omega
    inner: Any = lambda a, b: jnp.sum(a.conj() * b, 0)
    u = w - s * inner(s, w)
    inside = jnp.trace(h) - inner(s, h @ s)
    outside = inner(w - u, r) - inner(t, u) + inner(u, h @ u)
    length = n - inner(u, u).real
    scale = jnp.where(length > 0, (n - k + 1) / jnp.where(length > 0, length, 1), 0)
    return _mean(inside + scale * outside)


def _left_out(r: Value) -> Value:
    """The unit columns of R⁻ᴴ. A diagonal element that is all but zero (a map of small rank) is replaced
    by one that is small: what the others span is then the same up to rounding."""
    diagonal = jnp.abs(jnp.diagonal(r))
    largest = jnp.max(diagonal)
    smallest = jnp.where(largest > 0, largest * dtypes.finfo(diagonal.dtype).eps, 1)
    lift = jnp.where(diagonal < smallest, smallest, 0).astype(r.dtype)
    k = r.shape[0]
    inverse = triangular_solve(
        r + jnp.diag(lift), jnp.eye(k, dtype=r.dtype), left_side=True, conjugate_a=True, transpose_a=True
    )
    return inverse / jnp.linalg.norm(inverse, axis=0, keepdims=True)


def _signs(key: Any, count: int, n: int, dtype: Any) -> Value:
    return random.rademacher(key, (count, n), dtypes.to_real(dtype)).astype(dtype)


def _mean(samples: Value) -> tuple[Value, Value]:
    """The mean, and its standard error."""
    count = samples.shape[0]
    mean = jnp.mean(samples)
    if count == 1:
        return mean, jnp.full((), np.nan, dtypes.to_real(samples.dtype))
    off = samples - mean
    return mean, jnp.sqrt(jnp.sum((off * off.conj()).real) / (count * (count - 1)))


#: The least number of products, and the estimator, by name.
_METHODS: dict[str, tuple[int, Callable[..., tuple[Any, Any]]]] = {
    "hutchinson": (1, _hutchinson), "hutch++": (3, _hutchpp), "xtrace": (2, _xtrace),
}  # fmt: skip


# ---- of functions --------------------------------------------------------------------------------


@user_api
def hessian_trace(
    f: Function, x: Tree, *, key: Any, num_samples: int, method: str = "hutchinson", batch_size: int | None = None
) -> TraceEstimate:
    """An estimate of the trace of the Hessian of the real scalar function `f` at `x`, from `num_samples`
    Hessian-vector products; the gradient is linearized once. `x` is a tree of real arrays.

    `laplacian` gives it exactly, at the cost of about as many tangents as there are coordinates. Raises
    TypeError for functions whose result is not a real scalar; the rest is as for `trace_estimate`.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> f = lambda x: jnp.sum(jnp.exp(x))                                      # a diagonal Hessian
    >>> hessian_trace(f, jnp.zeros(5), key=pb.random.key(0), num_samples=4)
    TraceEstimate(estimate=Array(5., dtype=float32), standard_error=Array(0., dtype=float32))
    """
    H = hessian_map(real_scalar(f, "hessian_trace"), x)
    if any([dtypes.is_complex(t.dtype) for t in Coordinates(H.in_type).types]):
        raise TypeError(f"hessian_trace takes real arguments, got {Coordinates(H.in_type).types}, at {user_line()}")
    return trace_estimate(H, key=key, num_samples=num_samples, method=method, batch_size=batch_size)


@user_api
def jacobian_trace(
    f: Function, x: Tree, *, key: Any = None, num_samples: int | None = None, method: str = "hutchinson",
    batch_size: int | None = None,
) -> Any:  # fmt: skip
    """The trace of the Jacobian of `f` at `x`, to whose space its result belongs: Σ ∂fᵢ/∂xᵢ.

    Exact, by a tangent for each coordinate (`batch_size` of them at a time); or, with `key` and
    `num_samples`, a `TraceEstimate` from so many products, by the methods of `trace_estimate`. Raises
    ValueError where results are not like arguments, and if only one of `key` and `num_samples` is given.

    >>> import pullback.numpy as jnp
    >>> jacobian_trace(lambda x: x**2, jnp.array([1.0, 2.0]))
    Array(6., dtype=float32)
    """
    return _trace_of(f, x, key, num_samples, method, batch_size)


def _trace_of(f: Function, x: Tree, key: Any, num_samples: int | None, method: str, batch_size: int | None) -> Any:
    if (key is None) != (num_samples is None):
        raise ValueError(
            f"an estimated trace takes both key and num_samples, an exact one neither; got only "
            f"{'num_samples' if key is None else 'key'}, at {user_line()}"
        )
    J = jacobian_map(f, x)
    _check_square(J)
    if num_samples is None:
        return _exact(J, None if batch_size is None else positive(batch_size, "batch_size"))
    return trace_estimate(J, key=key, num_samples=num_samples, method=method, batch_size=batch_size)


def divergence(
    f: Function, argnums: int | Sequence[int] = 0, *, num_samples: int | None = None, method: str = "hutchinson",
    batch_size: int | None = None,
) -> Function:  # fmt: skip
    """A function returning the divergence of the vector field `f`: the trace of its Jacobian by the
    argument `argnums`, of whose structure and shapes the field is.

    With `num_samples` it takes a keyword `key`, and returns a `TraceEstimate`. For several `argnums`, the
    field gives a tuple. Arguments and errors are those of `jacobian_trace`.

    >>> import pullback.numpy as jnp
    >>> field = lambda t, x: t * jnp.array([x[0] ** 2, x[0] * x[1]])
    >>> divergence(field, argnums=1)(2.0, jnp.array([1.0, 5.0]))               # 2 (2 x₀ + x₀)
    Array(6., dtype=float32)
    """
    check_callable(f)
    chosen = index_of(argnums)

    @user_api
    def divergence_fun(*args: Tree, key: Any = None, **kwargs: Tree) -> Any:
        of_chosen, values = of_arguments(f, chosen, args, kwargs)
        if isinstance(chosen, int):
            return _trace_of(of_chosen, values[0], key, num_samples, method, batch_size)
        return _trace_of(lambda point: of_chosen(*point), values, key, num_samples, method, batch_size)

    return named_after(divergence_fun, f, "divergence", "Divergence")


__all__ = ["TraceEstimate", "divergence", "hessian_trace", "jacobian_trace", "trace_estimate"]
