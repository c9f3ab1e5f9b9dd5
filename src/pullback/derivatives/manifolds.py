"""Points with curved tangent spaces, ready to be differentiated: rotations, unit quaternions, rigid
motions, unit vectors, positive definite matrices.

    from pullback.derivatives import Rotation, retract

    rotation = Rotation.identity(3)
    for _ in range(100):
        rotation = retract(rotation, -0.1 * pb.grad(loss)(rotation))

Each is a pytree with a tangent space (`register_differentiable`): gradients are arrays of as many
numbers as it has degrees of freedom, and a step along one stays on the manifold. Of groups, these are
the coordinates of the Lie algebra, and a tangent t moves x to x · Exp(t). They are components in an
orthonormal frame (of rigid motions, of the one in which angles and lengths count alike), so the
gradient is the steepest ascent.

References: J. Solà, J. Deray, D. Atchuthan, "A micro Lie theory for state estimation in robotics",
arXiv:1812.01537 (2018), appendices A, B and D; X. Pennec, P. Fillard, N. Ayache, "A Riemannian
framework for tensor computing", IJCV 66 (2006), for positive definite matrices.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.tree import register_dataclass
from pullback.derivatives.spaces import register_differentiable
from pullback.lax.linalg import cholesky, triangular_solve
from pullback.scipy.linalg import expm

# ---- functions of the square of an angle ---------------------------------------------------------


def _series(s: Any, first: int) -> Any:
    """Σ (−s)ᵏ / (2k + first)!, which at s = θ² is cos θ, sin θ / θ, (1 − cos θ) / θ² or
    (θ − sin θ) / θ³ for `first` 0, 1, 2, 3: smooth at θ = 0, and so are the derivatives."""
    small = s < 1
    theta = jnp.sqrt(jnp.where(small, 1, s))
    terms = [(-1) ** k / math.factorial(2 * k + first) for k in range(12)]
    near = jnp.zeros_like(s)
    for c in reversed(terms):
        near = near * s + c
    far = (
        jnp.cos(theta),
        jnp.sin(theta) / theta,
        (1 - jnp.cos(theta)) / theta**2,
        (theta - jnp.sin(theta)) / theta**3,
    )[first]
    return jnp.where(small, near, far)


# ---- rotations -----------------------------------------------------------------------------------


def _hat(t: Any, n: int) -> Any:
    """The antisymmetric matrix of a tangent: for n = 3, the one that gives the product t × v."""
    if n == 3:
        x, y, z = t
        zero = jnp.zeros_like(x)
        return jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    rows, columns = jnp.triu_indices(n, 1)
    upper = jnp.zeros((n, n), t.dtype).at[rows, columns].set(t)
    return upper.T - upper


def _vee(a: Any) -> Any:
    """The tangent whose `_hat` is the antisymmetric part of a matrix."""
    n = a.shape[0]
    a = (a - a.T) / 2
    if n == 3:
        return jnp.stack([a[2, 1], a[0, 2], a[1, 0]])
    rows, columns = jnp.triu_indices(n, 1)
    return a.T[rows, columns]


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Rotation:
    """A rotation of n dimensions: its `matrix`, orthogonal with determinant 1.

    `r @ s` is the rotation by s, then by r; `r @ v` rotates a vector, or the columns of a matrix.
    Tangents are arrays of n (n - 1) / 2 numbers: for n = 3 the rotation vector (its direction is the
    axis, its length the angle), otherwise the entries below the diagonal of the antisymmetric matrix,
    by columns. A tangent t moves r to r @ Rotation.exp(t).

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> r = Rotation.exp(jnp.array([0.0, 0.0, jnp.pi / 2]))
    >>> (r @ jnp.array([1.0, 0.0, 0.0])).round(3) + 0.0
    Array([0., 1., 0.], dtype=float32)
    >>> pb.grad(lambda r: (r @ jnp.array([1.0, 0.0, 0.0]))[0])(r).round(3) + 0.0
    Array([ 0.,  0., -1.], dtype=float32)
    """

    matrix: Any

    @classmethod
    def identity(cls, n: int = 3, dtype: Any = None) -> Rotation:
        """The rotation that leaves everything in its place.

        >>> Rotation.identity(2).matrix
        Array([[1., 0.],
               [0., 1.]], dtype=float32)
        """
        return cls(jnp.eye(n, dtype=dtype))

    @classmethod
    def exp(cls, t: Any) -> Rotation:
        """The rotation to which a tangent t moves the identity: for three numbers, that by the angle
        |t| about t. Raises ValueError unless there are n (n - 1) / 2 of them.

        >>> import pullback.numpy as jnp
        >>> Rotation.exp(jnp.array([jnp.pi])).matrix.round(3)
        Array([[-1.,  0.],
               [-0., -1.]], dtype=float32)
        """
        t = jnp.asarray(t)
        count = t.shape[0] if t.ndim == 1 else 0
        n = (1 + math.isqrt(1 + 8 * count)) // 2
        if t.ndim != 1 or n * (n - 1) // 2 != count or not count:
            raise ValueError(
                f"Rotation.exp takes n (n - 1) / 2 numbers, as many as a rotation of n dimensions has degrees of freedom; got an array "
                f"of shape {t.shape}, at {user_line()}"
            )
        a = _hat(t, n)
        if n > 3:
            return cls(expm(a))
        # Exp of the plane is Rodrigues' formula, too: a² is -t² times the identity.
        s = jnp.sum(t * t)
        return cls(jnp.eye(n, dtype=t.dtype) + _series(s, 1) * a + _series(s, 2) * (a @ a))

    def inverse(self) -> Rotation:
        """The rotation back.

        >>> import pullback.numpy as jnp
        >>> r = Rotation.exp(jnp.array([0.1, 0.2, 0.3]))
        >>> bool(jnp.allclose((r @ r.inverse()).matrix, jnp.eye(3), atol=1e-6))
        True
        """
        return Rotation(self.matrix.T)

    def normalized(self) -> Rotation:
        """The rotation nearest to it, for matrices that have become a little wrong by rounding: one step
        of Newton's iteration, R (3 - Rᵀ R) / 2, which squares the error.

        >>> import pullback.numpy as jnp
        >>> bool(jnp.allclose(Rotation(1.001 * jnp.eye(3)).normalized().matrix, jnp.eye(3), atol=1e-5))
        True
        """
        m = self.matrix
        return Rotation((3 * m - m @ (m.T @ m)) / 2)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, RigidMotion):
            return NotImplemented
        return Rotation(self.matrix @ other.matrix) if isinstance(other, Rotation) else self.matrix @ other


register_differentiable(
    Rotation,
    Array,
    zero=lambda r: jnp.zeros(r.matrix.shape[0] * (r.matrix.shape[0] - 1) // 2, r.matrix.dtype),
    retract=lambda r, t: r @ Rotation.exp(t),
    project=lambda r, v: _vee(r.matrix.T @ v.matrix),
)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class UnitQuaternion:
    """A rotation of three dimensions: the quaternion w + x i + y j + z k of length 1, as the array
    `wxyz`.

    `p * q` is the product, the rotation by q, then by p; `q @ v` rotates a vector. Tangents are arrays
    of three numbers, rotation vectors: t moves q to q * UnitQuaternion.exp(t).

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> q = UnitQuaternion.exp(jnp.array([0.0, 0.0, jnp.pi / 2]))
    >>> (q @ jnp.array([1.0, 0.0, 0.0])).round(3) + 0.0
    Array([0., 1., 0.], dtype=float32)
    >>> pb.grad(lambda q: (q @ jnp.array([1.0, 0.0, 0.0]))[0])(q).round(3) + 0.0
    Array([ 0.,  0., -1.], dtype=float32)
    """

    wxyz: Any

    @classmethod
    def identity(cls, dtype: Any = None) -> UnitQuaternion:
        """The quaternion 1.

        >>> UnitQuaternion.identity().wxyz
        Array([1., 0., 0., 0.], dtype=float32)
        """
        return cls(jnp.eye(1, 4, dtype=dtype)[0])

    @classmethod
    def exp(cls, t: Any) -> UnitQuaternion:
        """The rotation by the angle |t| about t. Raises ValueError unless t has three numbers.

        >>> import pullback.numpy as jnp
        >>> UnitQuaternion.exp(jnp.array([jnp.pi, 0.0, 0.0])).wxyz.round(3) + 0.0
        Array([0., 1., 0., 0.], dtype=float32)
        """
        t = jnp.asarray(t)
        if t.shape != (3,):
            raise ValueError(
                f"UnitQuaternion.exp takes three numbers, got an array of shape {t.shape}, at {user_line()}"
            )
        s = jnp.sum(t * t) / 4
        return cls(jnp.concatenate([_series(s, 0)[None], _series(s, 1) * t / 2]))

    def log(self) -> Any:
        """The rotation vector, of length at most π, whose `exp` is the same rotation.

        >>> import pullback.numpy as jnp
        >>> UnitQuaternion.exp(jnp.array([0.1, 0.2, 0.3])).log().round(4)
        Array([0.1, 0.2, 0.3], dtype=float32)
        """
        q = jnp.where(self.wxyz[0] < 0, -self.wxyz, self.wxyz)  # the same rotation, by the smaller angle
        w, v = q[0], q[1:]
        s = jnp.sum(v * v)
        small = s < 0.01
        size, ratio = jnp.sqrt(jnp.where(small, 1, s)), s / jnp.where(small, w, 1) ** 2
        near = jnp.zeros_like(s)  # atan(u) / u is Σ (−u²)ᵏ / (2k + 1)
        for k in reversed(range(10)):
            near = near * -ratio + 1 / (2 * k + 1)
        half = jnp.where(small, near / jnp.where(small, w, 1), jnp.arctan2(size, w) / size)
        return 2 * half * v

    def inverse(self) -> UnitQuaternion:
        """The rotation back: the conjugate.

        >>> import pullback.numpy as jnp
        >>> UnitQuaternion(jnp.array([0.6, 0.8, 0.0, 0.0])).inverse().wxyz
        Array([ 0.6, -0.8, -0. , -0. ], dtype=float32)
        """
        return UnitQuaternion(jnp.concatenate([self.wxyz[:1], -self.wxyz[1:]]))

    def normalized(self) -> UnitQuaternion:
        """Divided by its length, which rounding may have changed.

        >>> import pullback.numpy as jnp
        >>> UnitQuaternion(jnp.array([2.0, 0.0, 0.0, 0.0])).normalized().wxyz
        Array([1., 0., 0., 0.], dtype=float32)
        """
        return UnitQuaternion(self.wxyz / jnp.sqrt(jnp.sum(self.wxyz**2)))

    def rotation(self) -> Rotation:
        """The same rotation as a matrix.

        >>> import pullback.numpy as jnp
        >>> UnitQuaternion(jnp.array([0.0, 1.0, 0.0, 0.0])).rotation().matrix + 0.0
        Array([[ 1.,  0.,  0.],
               [ 0., -1.,  0.],
               [ 0.,  0., -1.]], dtype=float32)
        """
        w, v = self.wxyz[0], self.wxyz[1:]
        a = _hat(v, 3)
        return Rotation(jnp.eye(3, dtype=v.dtype) + 2 * w * a + 2 * (a @ a))

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, UnitQuaternion):
            return NotImplemented
        return UnitQuaternion(_product(self.wxyz, other.wxyz))

    def __matmul__(self, v: Any) -> Any:
        w, u = self.wxyz[0], self.wxyz[1:]
        twice = 2 * jnp.cross(u, v)
        return v + w * twice + jnp.cross(u, twice)


def _product(p: Any, q: Any) -> Any:
    """The quaternion product of arrays (w, x, y, z)."""
    scalar = p[0] * q[0] - jnp.sum(p[1:] * q[1:])
    return jnp.concatenate([scalar[None], p[0] * q[1:] + q[0] * p[1:] + jnp.cross(p[1:], q[1:])])


register_differentiable(
    UnitQuaternion,
    Array,
    zero=lambda q: jnp.zeros(3, q.wxyz.dtype),
    retract=lambda q, t: q * UnitQuaternion.exp(t),
    project=lambda q, v: 2 * _product(q.inverse().wxyz, v.wxyz)[1:],
)


# ---- rigid motions -------------------------------------------------------------------------------


@register_dataclass
@dataclasses.dataclass(frozen=True)
class RigidMotion:
    """A rotation of three dimensions, and then a translation: `m @ p` is `rotation @ p + translation`,
    and `m @ n` the motion n, then m.

    Tangents are arrays of six numbers, (velocity, rotation vector), in the frame that is moved: t moves
    m to m @ RigidMotion.exp(t).

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> m = RigidMotion(Rotation.identity(), jnp.array([1.0, 0.0, 0.0]))
    >>> pb.grad(lambda m: (m @ jnp.array([0.0, 2.0, 0.0]))[0])(m)
    Array([ 1.,  0.,  0.,  0.,  0., -2.], dtype=float32)
    """

    rotation: Rotation
    translation: Any

    @classmethod
    def identity(cls, dtype: Any = None) -> RigidMotion:
        """The motion that leaves everything in its place.

        >>> RigidMotion.identity().translation
        Array([0., 0., 0.], dtype=float32)
        """
        return cls(Rotation.identity(3, dtype), jnp.zeros(3, dtype))

    @classmethod
    def exp(cls, t: Any) -> RigidMotion:
        """The screw that a constant velocity and angular velocity make in the time 1. Raises ValueError
        unless t has six numbers.

        >>> import pullback.numpy as jnp
        >>> RigidMotion.exp(jnp.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])).translation
        Array([1., 0., 0.], dtype=float32)
        """
        t = jnp.asarray(t)
        if t.shape != (6,):
            raise ValueError(f"RigidMotion.exp takes six numbers, got an array of shape {t.shape}, at {user_line()}")
        velocity, vector = t[:3], t[3:]
        s, a = jnp.sum(vector * vector), _hat(vector, 3)
        along = jnp.eye(3, dtype=t.dtype) + _series(s, 2) * a + _series(s, 3) * (a @ a)
        return cls(Rotation.exp(vector), along @ velocity)

    def inverse(self) -> RigidMotion:
        """The motion back.

        >>> import pullback.numpy as jnp
        >>> m = RigidMotion.exp(jnp.array([1.0, 2.0, 3.0, 0.1, 0.2, 0.3]))
        >>> bool(jnp.allclose((m @ m.inverse()).translation, 0, atol=1e-6))
        True
        """
        back = self.rotation.inverse()
        return RigidMotion(back, -(back @ self.translation))

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, RigidMotion):
            return RigidMotion(self.rotation @ other.rotation, self @ other.translation)
        moved = self.rotation @ other
        return moved + (self.translation if moved.ndim == 1 else self.translation[:, None])


register_differentiable(
    RigidMotion,
    Array,
    zero=lambda m: jnp.zeros(6, m.translation.dtype),
    retract=lambda m, t: m @ RigidMotion.exp(t),
    project=lambda m, v: jnp.concatenate(
        [m.rotation.matrix.T @ v.translation, _vee(m.rotation.matrix.T @ v.rotation.matrix)]
    ),
)


# ---- spheres and cones ---------------------------------------------------------------------------


@register_dataclass
@dataclasses.dataclass(frozen=True)
class UnitVector:
    """A point of a sphere: the array `vector` of n numbers, of length 1.

    Tangents are arrays of n numbers, of which the part along the vector does nothing; gradients have no
    such part. A tangent t moves x to (x + t) / |x + t|, with that part left out.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> pb.grad(lambda x: jnp.sum(x.vector))(UnitVector(jnp.array([0.0, 1.0])))
    Array([1., 0.], dtype=float32)
    """

    vector: Any


def _across(x: Any, v: Any) -> Any:
    """The part of v that is orthogonal to x."""
    return v - x * jnp.sum(x * v)


def _along_sphere(x: UnitVector, t: Any) -> UnitVector:
    moved = x.vector + _across(x.vector, t)
    return UnitVector(moved / jnp.sqrt(jnp.sum(moved * moved)))


register_differentiable(
    UnitVector,
    Array,
    zero=lambda x: jnp.zeros_like(x.vector),
    retract=_along_sphere,
    project=lambda x, v: _across(x.vector, v.vector),
)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class PositiveDefinite:
    """A symmetric positive definite matrix of n rows, `matrix`.

    Tangents are arrays of n (n + 1) / 2 numbers: a symmetric matrix T, its diagonal and then, times √2,
    what is above it, by rows. With L the Cholesky factor, it moves L Lᵀ to L exp(T) Lᵀ, along a
    geodesic of the metric that no change of coordinates changes: steps of any length stay positive
    definite.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> pb.grad(lambda p: jnp.log(jnp.linalg.det(p.matrix)))(PositiveDefinite(jnp.eye(2)))
    Array([1., 1., 0.], dtype=float32)
    """

    matrix: Any


def _symmetric(t: Any, n: int) -> Any:
    rows, columns = jnp.triu_indices(n, 1)
    upper = jnp.zeros((n, n), t.dtype).at[rows, columns].set(t[n:] / math.sqrt(2))
    return jnp.diag(t[:n]) + upper + upper.T


def _along_cone(p: PositiveDefinite, t: Any) -> PositiveDefinite:
    factor = cholesky(p.matrix)
    moved = factor @ expm(_symmetric(t, p.matrix.shape[0])) @ factor.T
    return PositiveDefinite((moved + moved.T) / 2)


def _tangent_of_cone(p: PositiveDefinite, v: PositiveDefinite) -> Any:
    factor, n = cholesky(p.matrix), p.matrix.shape[0]
    half = triangular_solve(factor, (v.matrix + v.matrix.T) / 2, left_side=True, lower=True)
    whole = triangular_solve(factor, half, left_side=False, lower=True, transpose_a=True)
    rows, columns = jnp.triu_indices(n, 1)
    return jnp.concatenate([jnp.diagonal(whole), whole[rows, columns] * math.sqrt(2)])


register_differentiable(
    PositiveDefinite,
    Array,
    zero=lambda p: jnp.zeros(p.matrix.shape[0] * (p.matrix.shape[0] + 1) // 2, p.matrix.dtype),
    retract=_along_cone,
    project=_tangent_of_cone,
)


__all__ = ["PositiveDefinite", "RigidMotion", "Rotation", "UnitQuaternion", "UnitVector"]
