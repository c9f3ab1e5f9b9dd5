"""Rotations in three dimensions, as unit quaternions (x, y, z, w).

Functions of an angle are power series in its square where that is small, so that they are smooth
at the identity. Sources: Shuster, "A survey of attitude representations" (J. Astronaut. Sci. 41,
1993); Shepperd, "Quaternion from rotation matrix" (J. Guidance 1, 1978); Markley et al.,
"Averaging quaternions" (J. Guidance 30, 2007); Bernardes and Viollet, "Quaternion to Euler angles
conversion" (PLoS ONE 17, 2022).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pullback.numpy as jnp
from pullback import random as _random
from pullback.core.array import Array
from pullback.core.errors import user_api
from pullback.core.tree import register_dataclass
from pullback.lax import optimization_barrier
from pullback.lax.shape import strong
from pullback.numpy.promotion import here, inexact, promote_inexact


@register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Rotation:
    """A rotation, or a stack of N: `quat` holds unit quaternions (x, y, z, w), shape (4,) or (N, 4).

    A pytree of one leaf. Make them by the methods `from_...`, which normalize; the class takes
    `quat` as it is. Integers become floats; the dtype is that of what it was made of. `p * q` is
    first q, then p. Raises ValueError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> r = Rotation.from_euler("z", 90.0, degrees=True)
    >>> r.apply(jnp.array([1.0, 0.0, 0.0])).round(4).tolist()
    [0.0, 1.0, 0.0]
    """

    quat: Array

    @classmethod
    @user_api
    def concatenate(cls, rotations: Sequence[Rotation]) -> Rotation:
        """All of `rotations` in one stack."""
        return cls(jnp.concatenate([r.quat.reshape(-1, 4) for r in rotations]))

    @classmethod
    @user_api
    def from_euler(cls, seq: str, angles: Any, degrees: bool = False) -> Rotation:
        """Rotations about the axes `seq` one after another: of the space ("xyz", extrinsic) or of
        the rotated body ("XYZ", intrinsic). `angles` has shape (len(seq),) or (N, len(seq)); of one
        axis, also ()."""
        axes = _axes("from_euler", seq)
        angles = strong(inexact(angles, "Rotation.from_euler"))
        if len(axes) == 1 and not angles.shape:
            angles = angles[None]
        if not angles.shape or angles.shape[-1] != len(axes):
            raise here(
                ValueError,
                f"Rotation.from_euler: angles must have shape (..., {len(axes)}) for {seq!r}, got {angles.shape}",
            )
        half = (jnp.deg2rad(angles) if degrees else angles) / 2
        # Each component of the result needs all of these: compiled, they are computed once.
        cosines, sines = optimization_barrier((jnp.cos(half), jnp.sin(half)))
        zero = jnp.zeros_like(half[..., 0])
        x, w = [zero, zero, zero], zero + 1
        for i, axis in enumerate(axes):
            # The product with a rotation about one axis, by components: those of the other two turn.
            c, s = cosines[..., i], sines[..., i]
            j, k = (axis + 1) % 3, (axis + 2) % 3
            turn = -s if seq.islower() else s
            x[axis], w = x[axis] * c + w * s, w * c - x[axis] * s
            x[j], x[k] = x[j] * c + x[k] * turn, x[k] * c - x[j] * turn
        norm = jnp.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + w * w)
        return cls(jnp.stack([*x, w], -1) / norm[..., None])

    @classmethod
    @user_api
    def from_matrix(cls, matrix: Any) -> Rotation:
        """Of orthogonal matrices with determinant 1, shape (3, 3) or (N, 3, 3) (not checked)."""
        m = _shaped("from_matrix", matrix, 3, 3)
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = [[m[..., i, j] for j in range(3)] for i in range(3)]
        trace = xx + yy + zz
        # Four multiples of the quaternion: the largest is the one with nothing cancelled.
        x, y, z = zy - yz, xz - zx, yx - xy
        rows = [
            [1 - trace + 2 * xx, yx + xy, zx + xz, x],
            [yx + xy, 1 - trace + 2 * yy, zy + yz, y],
            [zx + xz, zy + yz, 1 - trace + 2 * zz, z],
            [x, y, z, 1 + trace],
        ]
        every = jnp.stack([jnp.stack(row, -1) for row in rows], -2)
        best = jnp.argmax(jnp.stack([xx, yy, zz, trace], -1), -1)
        return cls(_normed(jnp.take_along_axis(every, best[..., None, None], -2)[..., 0, :]))

    @classmethod
    @user_api
    def from_mrp(cls, mrp: Any) -> Rotation:
        """Of modified Rodrigues parameters, axis · tan(angle / 4), shape (3,) or (N, 3)."""
        p = _shaped("from_mrp", mrp, 3)
        square = jnp.sum(p * p, -1, keepdims=True)
        return cls(jnp.concatenate([2 * p, 1 - square], -1) / (1 + square))

    @classmethod
    @user_api
    def from_quat(cls, quat: Any) -> Rotation:
        """Of quaternions (x, y, z, w), which are normalized (a zero gives NaN)."""
        return cls(_normed(_shaped("from_quat", quat, 4)))

    @classmethod
    @user_api
    def from_rotvec(cls, rotvec: Any, degrees: bool = False) -> Rotation:
        """Of vectors along the axis whose length is the angle, shape (3,) or (N, 3)."""
        v = _shaped("from_rotvec", rotvec, 3)
        v = jnp.deg2rad(v) if degrees else v
        t = jnp.sum(v * v, -1, keepdims=True)
        sine = _of_square(
            t, lambda t, u: jnp.sin(u / 2) / u, [(-1) ** k / (2 * 4**k * math.factorial(2 * k + 1)) for k in range(8)]
        )
        cosine = _of_square(
            t, lambda t, u: jnp.cos(u / 2), [(-1) ** k / (4**k * math.factorial(2 * k)) for k in range(8)]
        )
        return cls(jnp.concatenate([sine * v, cosine], -1))

    @classmethod
    @user_api
    def identity(cls, num: int | None = None, dtype: Any = float) -> Rotation:
        """The rotation that changes nothing, or a stack of `num` of them."""
        one = jnp.array([0, 0, 0, 1], dtype)
        return cls(one if num is None else jnp.tile(one, (num, 1)))

    @classmethod
    @user_api
    def random(cls, random_key: Any, num: int | None = None) -> Rotation:
        """Uniformly distributed rotations: one, or a stack of `num`."""
        return cls(_normed(_random.normal(random_key, (4,) if num is None else (num, 4))))

    @property
    def single(self) -> bool:
        """Whether it is one rotation, no stack."""
        return len(self.quat.shape) == 1

    def __len__(self) -> int:
        if self.single:
            raise here(TypeError, "Rotation: a single rotation has no len()")
        return self.quat.shape[0]

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, indexer: Any) -> Rotation:
        """The rotations that NumPy's indexing picks from the stack."""
        if self.single:
            raise here(TypeError, "Rotation: a single rotation cannot be indexed")
        return Rotation(self.quat[indexer])

    def __iter__(self) -> Iterator[Rotation]:
        return iter([self[i] for i in range(len(self))])

    def __mul__(self, other: Rotation) -> Rotation:
        """First `other`, then `self`; one of them may be single."""
        if not isinstance(other, Rotation):
            return NotImplemented
        p, q = promote_inexact("Rotation.__mul__", self.quat, other.quat)
        if len(p.shape) == len(q.shape) == 2 and p.shape[0] != q.shape[0] and 1 not in (p.shape[0], q.shape[0]):
            raise here(ValueError, f"Rotation: {p.shape[0]} rotations times {q.shape[0]}")
        return Rotation(_normed(_times(p, q)))

    @user_api
    def apply(self, vectors: Any, inverse: bool = False) -> Array:
        """`vectors`, shape (3,) or (N, 3), rotated (or rotated back)."""
        v = _shaped("apply", vectors, 3)
        if len(v.shape) == len(self.quat.shape) == 2 and len(v) != len(self) and 1 not in (len(v), len(self)):
            raise here(ValueError, f"Rotation.apply: {len(self)} rotations of {len(v)} vectors")
        return jnp.einsum("...ji,...j->...i" if inverse else "...ij,...j->...i", self.as_matrix(), v)

    @user_api
    def as_euler(self, seq: str, degrees: bool = False) -> Array:
        """The angles (a, b, c) for which `from_euler(seq, ...)` is this: a and c from -π to π; b from
        -π/2 to π/2, or 0 to π where the first axis is the last. In gimbal lock, c is 0."""
        axes = _axes("as_euler", seq)
        if len(axes) != 3:
            raise here(ValueError, f"Rotation.as_euler: seq must name three axes, got {seq!r}")
        extrinsic = seq.islower()
        i, j, k = axes if extrinsic else axes[::-1]
        symmetric = i == k
        k = 3 - i - j
        sign = (i - j) * (j - k) * (k - i) // 2
        w, x, y, z = self.quat[..., 3], self.quat[..., i], self.quat[..., j], sign * self.quat[..., k]
        a, b, c, d = (w, x, y, z) if symmetric else (w - y, x + z, y + w, z - x)
        rise, run = jnp.hypot(c, d), jnp.hypot(a, b)
        middle = 2 * jnp.arctan2(rise, run)
        # Less π/2, by its sine and cosine: the difference would have lost the digits of a small angle.
        between = middle if symmetric else jnp.arctan2(2 * (w * y - x * z), rise * run)
        half_sum, half_difference = jnp.arctan2(b, a), jnp.arctan2(d, c)
        first, third = half_sum - half_difference, half_sum + half_difference
        third = third if symmetric else sign * third
        if not extrinsic:
            first, third = third, first
        eps = 1e-7 if jnp.finfo(self.quat.dtype).bits == 64 else 1e-3
        at_zero, at_pi = middle < eps, middle > math.pi - eps
        # An intrinsic sequence is the extrinsic one backwards, with its first angle last.
        turn = 1 if symmetric or extrinsic else sign
        locked = jnp.where(at_zero, turn * 2 * half_sum, turn * (-2 if extrinsic else 2) * half_difference)
        first = jnp.where(at_zero | at_pi, locked, first)
        third = jnp.where(at_zero | at_pi, jnp.zeros_like(third), third)
        first, third = _wrapped(first), _wrapped(third)
        angles = jnp.stack([first, between, third], -1)
        return jnp.rad2deg(angles) if degrees else angles

    @user_api
    def as_matrix(self) -> Array:
        """The matrices, shape (3, 3) or (N, 3, 3)."""
        x, y, z, w = [self.quat[..., i] for i in range(4)]
        rows = [
            [x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), y * y - x * x - z * z + w * w, 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), z * z - x * x - y * y + w * w],
        ]
        return jnp.stack([jnp.stack(row, -1) for row in rows], -2)

    @user_api
    def as_mrp(self) -> Array:
        """Modified Rodrigues parameters, of length at most 1."""
        w = self.quat[..., 3:]
        sign = jnp.where(w < 0, -1, 1).astype(w.dtype)
        return sign * self.quat[..., :3] / (1 + abs(w))

    @user_api
    def as_rotvec(self, degrees: bool = False) -> Array:
        """Vectors along the axis whose length is the angle, at most π."""
        w = self.quat[..., 3:]
        v, w = jnp.where(w < 0, -self.quat[..., :3], self.quat[..., :3]), abs(w)
        s = jnp.sum(v * v, -1, keepdims=True)
        small = s < 0.01 * w * w
        ratio = jnp.where(small, s / jnp.where(small, w * w, 1), 0)
        series = _polynomial(ratio, [(-1) ** k / (2 * k + 1) for k in range(10)])
        sine = jnp.sqrt(jnp.where(small, 1, s))
        scale = 2 * jnp.where(small, series / jnp.where(small, w, 1), jnp.arctan2(sine, w) / sine)
        return jnp.rad2deg(scale * v) if degrees else scale * v

    @user_api
    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Array:
        """The quaternions (x, y, z, w), or (w, x, y, z) if `scalar_first`; `canonical` chooses of q
        and -q the one whose first component that is not 0, of w, x, y and z, is positive."""
        q = self.quat
        if canonical:
            x, y, z, w = [q[..., i : i + 1] for i in range(4)]
            lead = jnp.where(w != 0, w, jnp.where(x != 0, x, jnp.where(y != 0, y, z)))
            q = jnp.where(lead < 0, -q, q)
        return jnp.roll(q, 1, -1) if scalar_first else q

    @user_api
    def inv(self) -> Rotation:
        """The rotations back."""
        return Rotation(jnp.concatenate([-self.quat[..., :3], self.quat[..., 3:]], -1))

    @user_api
    def magnitude(self) -> Array:
        """The angles, from 0 to π."""
        s = jnp.sum(self.quat[..., :3] ** 2, -1)
        sine = jnp.where(s == 0, 0, jnp.sqrt(jnp.where(s == 0, 1, s)))
        return 2 * jnp.arctan2(sine, abs(self.quat[..., 3]))

    @user_api
    def mean(self, weights: Any = None) -> Rotation:
        """The mean of the stack: it has the least weighted sum of squared (chordal) distances."""
        q = self.quat.reshape(-1, 4)
        w = jnp.ones(q.shape[:1], q.dtype) if weights is None else inexact(weights, "Rotation.mean")
        if w.shape != q.shape[:1]:
            raise here(ValueError, f"Rotation.mean: weights of shape {w.shape} for {q.shape[0]} rotations")
        return Rotation(jnp.linalg.eigh((q.T * w) @ q)[1][:, -1])


@register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Slerp:
    """Rotations between rotations, each turned into the next with constant speed; see `init`.

    >>> import pullback.numpy as jnp
    >>> ends = Rotation.from_euler("x", jnp.array([[0.0], [90.0]]), degrees=True)
    >>> Slerp.init(jnp.array([0.0, 1.0]), ends)(0.5).magnitude().round(4)
    Array(0.7854, dtype=float32)
    """

    times: Array
    timedelta: Array
    rotations: Rotation
    rotvecs: Array

    @classmethod
    @user_api
    def init(cls, times: Any, rotations: Rotation) -> Slerp:
        """Interpolates `rotations`, a stack, at ascending `times`, shape (N,). Raises ValueError for
        fewer than two, or another number of times."""
        times = inexact(times, "Slerp.init")
        if not isinstance(rotations, Rotation) or rotations.single or len(rotations) < 2:
            raise here(ValueError, "Slerp.init: rotations must be a stack of at least two")
        if times.shape != (len(rotations),):
            raise here(ValueError, f"Slerp.init: times of shape {times.shape} for {len(rotations)} rotations")
        start = rotations[:-1]
        return cls(times, jnp.diff(times), start, (start.inv() * rotations[1:]).as_rotvec())

    @user_api
    def __call__(self, times: Any) -> Rotation:
        """The rotations at `times`, shape () or (N,); before the first and after the last, they turn
        on with the speed that they have there."""
        t = inexact(times, "Slerp")
        if len(t.shape) > 1:
            raise here(ValueError, f"Slerp: times must be a scalar or a vector, got shape {t.shape}")
        i = jnp.clip(jnp.searchsorted(self.times, t, side="right") - 1, 0, self.timedelta.shape[0] - 1)
        share = (t - self.times[i]) / self.timedelta[i]
        return self.rotations[i] * Rotation.from_rotvec(self.rotvecs[i] * share[..., None])


def _axes(name: str, seq: str) -> list[int]:
    known = isinstance(seq, str) and 1 <= len(seq) <= 3 and (set(seq) <= set("xyz") or set(seq) <= set("XYZ"))
    if not known:
        raise here(ValueError, f"Rotation.{name}: seq must be 1 to 3 of 'xyz' or of 'XYZ', got {seq!r:.100}")
    if any(a == b for a, b in zip(seq, seq[1:])):
        raise here(ValueError, f"Rotation.{name}: an axis must differ from the one before it, got {seq!r}")
    return ["xyz".index(a) for a in seq.lower()]


def _shaped(name: str, x: Any, *last: int) -> Array:
    x = inexact(x, f"Rotation.{name}")
    if x.shape[-len(last) :] != last or len(x.shape) > len(last) + 1:
        one = ", ".join(map(str, last))
        raise here(
            ValueError,
            f"Rotation.{name}: expected shape ({one}{',' if len(last) == 1 else ''}) or (N, {one}), got {x.shape}",
        )
    return x


def _normed(q: Array) -> Array:
    return q / jnp.linalg.norm(q, axis=-1, keepdims=True)


def _times(p: Array, q: Array) -> Array:
    """Hamilton's product of quaternions."""
    a, b, c, d = [p[..., i] for i in range(4)]
    x, y, z, w = [q[..., i] for i in range(4)]
    product = [
        d * x + a * w + b * z - c * y,
        d * y - a * z + b * w + c * x,
        d * z + a * y - b * x + c * w,
        d * w - a * x - b * y - c * z,
    ]
    return jnp.stack(product, -1)


def _wrapped(angle: Array) -> Array:
    turn = 2 * math.pi
    return jnp.where(angle > math.pi, angle - turn, jnp.where(angle < -math.pi, angle + turn, angle))


def _of_square(t: Array, f: Callable[[Array, Array], Array], series: Sequence[float]) -> Array:
    """A function of u = √t that is analytic in t, by its series there where t is small."""
    small = t < 0.1
    far = jnp.where(small, 1, t)
    return jnp.where(small, _polynomial(jnp.where(small, t, 0), series), f(far, jnp.sqrt(far)))


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    total: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


__all__ = ["Rotation", "Slerp"]
