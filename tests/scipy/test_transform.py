"""Rotations: against SciPy's in all representations, derivatives at the identity, compiled, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.spatial.transform as theirs

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy.spatial.transform import Rotation, Slerp
from pullback.test_util import check_grads

QUATS = np.concatenate(
    [
        np.random.default_rng(0).normal(size=(20, 4)),
        [[0, 0, 0, 1], [0, 0, 0, -1], [1, 0, 0, 0], [0, 1, 0, 0], [1e-9, 0, 2e-9, 1], [1, 1, 0, 1e-9]],
    ]
)


def test_representations_are_scipys() -> None:
    other = QUATS[::-1]

    def every(q: Any, p: Any) -> Any:
        r, s = Rotation.from_quat(q), Rotation.from_quat(p)
        t = r * s
        return {
            "matrix": r.as_matrix(),
            "from_matrix": Rotation.from_matrix(r.as_matrix()).as_matrix(),
            "magnitude": r.magnitude(),
            "rotvec": Rotation.from_rotvec(r.as_rotvec()).as_matrix(),
            "degrees": Rotation.from_rotvec(r.as_rotvec(True), True).as_matrix(),
            "mrp": Rotation.from_mrp(r.as_mrp()).as_matrix(),
            "product": t.as_matrix(),
            "apply": s.apply(r.as_mrp()),
            "back": s.apply(s.apply(r.as_mrp()), inverse=True),
            "mean": r[:20].mean().as_matrix(),
            "canonical": r.as_quat(True, True),
            "inverse": (r * r.inv()).as_matrix(),
        }

    with pb.enable_x64(True):
        r, s = theirs.Rotation.from_quat(QUATS), theirs.Rotation.from_quat(other)
        matrix = r.as_matrix()
        expected = dict.fromkeys(("matrix", "from_matrix", "rotvec", "degrees", "mrp"), matrix)
        expected |= {"magnitude": r.magnitude(), "product": (r * s).as_matrix(), "mean": r[:20].mean().as_matrix()}
        expected |= {"apply": s.apply(r.as_mrp()), "back": r.as_mrp(), "canonical": r.as_quat(True, scalar_first=True)}
        expected["inverse"] = np.broadcast_to(np.eye(3), matrix.shape)
        for out in (every(QUATS, other), pb.jit(every)(QUATS, other)):
            for name, value in expected.items():
                np.testing.assert_allclose(out[name], value, atol=1e-14, err_msg=name)
        np.testing.assert_allclose(Rotation.from_quat(QUATS[:20]).as_rotvec(), r[:20].as_rotvec(), atol=1e-14)


def test_euler_angles_are_scipys() -> None:
    rng = np.random.default_rng(1)
    with pb.enable_x64(True):
        angles = rng.uniform(-180, 180, (5, 3))
        for extrinsic in map("".join, itertools.product("xyz", repeat=3)):
            if extrinsic[0] == extrinsic[1] or extrinsic[1] == extrinsic[2]:
                continue
            for seq in (extrinsic, extrinsic.upper()):
                theirs_ = theirs.Rotation.from_euler(seq, angles, degrees=True)
                ours = Rotation.from_euler(seq, angles, degrees=True)
                np.testing.assert_allclose(ours.as_matrix(), theirs_.as_matrix(), atol=1e-14, err_msg=seq)
                np.testing.assert_allclose(ours.as_euler(seq, True), theirs_.as_euler(seq, True), atol=1e-11)
                for middle in (0.0, 90.0, -90.0, 180.0):
                    locked = Rotation.from_euler(seq, jnp.array([30.0, middle, 50.0]), degrees=True)
                    again = Rotation.from_euler(seq, locked.as_euler(seq))
                    np.testing.assert_allclose(again.as_matrix(), locked.as_matrix(), atol=1e-7, err_msg=seq)
    assert Rotation.from_euler("x", 0.5).single and not Rotation.from_euler("x", 0.5).quat.weak_type
    small = np.float32([[0, 0, 0], [0.3, 1e-6, -0.2], [0.3, -2e-4, 0.1]])
    for seq in ("xyz", "ZYX", "yxz"):  # no digits of a small middle angle are lost
        np.testing.assert_allclose(
            Rotation.from_euler(seq, small).as_euler(seq)[:, 1], small[:, 1], rtol=1e-3, atol=1e-8
        )


def test_derivatives_also_at_the_identity() -> None:
    with pb.enable_x64(True):
        v = jnp.array([[0.0, 0, 0], [1e-3, 2e-3, 0], [1.0, -0.5, 2.0]])
        check_grads(lambda v: Rotation.from_rotvec(v).as_matrix(), (v,), 2, atol=1e-6, rtol=1e-6)
        check_grads(lambda v: Rotation.from_rotvec(v).as_rotvec(), (v,), 2, atol=1e-6, rtol=1e-6)
        jacobian = pb.jacfwd(lambda v: Rotation.from_matrix(Rotation.from_rotvec(v).as_matrix()).as_rotvec())
        for one in v:
            np.testing.assert_allclose(jacobian(one), np.eye(3), atol=1e-10)


def test_slerp_is_scipys_and_both_are_pytrees() -> None:
    times, at = np.array([0.0, 1, 3]), np.array([0, 0.25, 1, 2.5, 3])
    expected = theirs.Slerp(times, theirs.Rotation.from_quat(QUATS[:3]))(at).as_matrix()
    with pb.enable_x64(True):
        slerp = Slerp.init(times, Rotation.from_quat(QUATS[:3]))
        np.testing.assert_allclose(slerp(at).as_matrix(), expected, atol=1e-14)
        np.testing.assert_allclose(pb.jit(lambda s, t: s(t))(slerp, at).as_matrix(), expected, atol=1e-14)
        assert slerp(0.5).single
        assert len(pb.tree.leaves(slerp)) == 4
        rows = pb.vmap(lambda r: r.as_matrix())(Rotation.from_quat(QUATS))
        np.testing.assert_allclose(rows, theirs.Rotation.from_quat(QUATS).as_matrix(), atol=1e-14)


def test_stacks_and_refusals() -> None:
    r, stack = Rotation.identity(), Rotation.identity(3, "float16")
    assert stack.quat.dtype == jnp.float16 and len(stack) == 3 and stack[0].single and len(list(stack)) == 3
    assert Rotation.concatenate([r, r]).quat.shape == (2, 4)
    assert Rotation.random(pb.random.key(0), 3).quat.shape == (3, 4)
    refusals: list[Any] = [
        (TypeError, lambda: len(r)),
        (TypeError, lambda: r[0]),
        (ValueError, lambda: Rotation.from_quat(np.ones(3))),
        (ValueError, lambda: Rotation.from_matrix(np.ones((2, 3)))),
        (ValueError, lambda: Rotation.from_euler("xyy", np.ones(3))),
        (ValueError, lambda: Rotation.from_euler("XYz", np.ones(3))),
        (ValueError, lambda: Rotation.from_euler("xyz", np.ones(2))),
        (ValueError, lambda: r.as_euler("xy")),
        (ValueError, lambda: stack * Rotation.identity(2)),
        (ValueError, lambda: stack.apply(np.ones((2, 3)))),
        (ValueError, lambda: stack.mean(np.ones(2))),
        (ValueError, lambda: Slerp.init(np.ones(1), r)),
        (ValueError, lambda: Slerp.init(np.ones(2), stack)),
    ]
    for error, call in refusals:
        with pytest.raises(error):
            call()
