"""Tangent spaces of classes: structs, sparse matrices, rotations and other manifolds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse
import scipy.spatial.transform

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives.manifolds import PositiveDefinite, RigidMotion, Rotation, UnitQuaternion, UnitVector
from pullback.derivatives.spaces import register_differentiable, retract, zero_tangent
from pullback.experimental import sparse
from pullback.test_util import check_grads
from pullback.transforms.spaces import SPACES
from pullback.tree_util import register_dataclass

RNG = np.random.default_rng(0)
FLOAT0 = pb.dtypes.float0


@pytest.fixture(autouse=True)
def x64() -> Any:
    with pb.enable_x64(True):
        yield


def close(got: Any, expected: Any, rtol: float = 1e-9) -> None:
    assert pb.tree.structure(got) == pb.tree.structure(expected)
    pb.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10), got, expected)


# ---- classes of a user ---------------------------------------------------------------------------


@register_differentiable
@register_dataclass
@dataclasses.dataclass
class Mesh:
    """A struct: floating, integer and static fields."""

    nodes: Any
    edges: Any
    unit: str = dataclasses.field(default="m", metadata={"static": True})


@register_dataclass
@dataclasses.dataclass
class Tagged:
    """Fields that are no arrays at all, and another registered class."""

    weight: Any
    name: Any
    activation: Any
    mesh: Any = None
    pose: Any = None


register_differentiable(Tagged)


@register_dataclass
@dataclasses.dataclass
class Counter:
    value: Any
    count: Any


register_differentiable(Counter, discrete="float0")


@register_dataclass
@dataclasses.dataclass
class Values:
    """A sparse matrix by rows, as SciPy has it: its tangents are arrays of its values."""

    data: Any
    columns: Any
    pointers: Any
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, dense: Any) -> Values:
        m = scipy.sparse.csr_matrix(dense)
        return cls(jnp.array(m.data), jnp.array(m.indices), jnp.array(m.indptr), m.shape)

    def __matmul__(self, x: Any) -> Any:
        rows = jnp.searchsorted(self.pointers, jnp.arange(self.data.size), side="right") - 1
        return jnp.zeros(self.shape[0]).at[rows].add(self.data * x[self.columns])


register_differentiable(
    Values,
    pb.Array,
    zero=lambda m: jnp.zeros_like(m.data),
    retract=lambda m, t: dataclasses.replace(m, data=m.data + t),
    project=lambda m, v: v.data,
)


class Twist(NamedTuple):
    """A tangent with structure."""

    angle: Any
    stretch: Any


@register_dataclass
@dataclasses.dataclass
class Polar:
    """A complex number other than zero: turned and stretched, without `project`."""

    xy: Any


def turned(p: Polar, t: Twist) -> Polar:
    c, s = jnp.cos(t.angle), jnp.sin(t.angle)
    return Polar(jnp.exp(t.stretch[0]) * (jnp.array([[c, -s], [s, c]]) @ p.xy))


register_differentiable(Polar, Twist, zero=lambda p: Twist(jnp.zeros(()), jnp.zeros(1)), retract=turned)


# ---- points of manifolds -------------------------------------------------------------------------


def spd(n: int) -> Any:
    a = RNG.normal(size=(n, n))
    return PositiveDefinite(jnp.array(a @ a.T + np.eye(n)))


def normed(n: int) -> Any:
    v = RNG.normal(size=n)
    return jnp.array(v / np.linalg.norm(v))


POINTS: dict[str, Callable[[], Any]] = {
    "Rotation 2": lambda: Rotation.exp(jnp.array(RNG.normal(size=1))),
    "Rotation 3": lambda: Rotation.exp(jnp.array(RNG.normal(size=3))),
    "Rotation 4": lambda: Rotation.exp(jnp.array(RNG.normal(size=6))),
    "UnitQuaternion": lambda: UnitQuaternion(normed(4)),
    "RigidMotion": lambda: RigidMotion.exp(jnp.array(RNG.normal(size=6))),
    "UnitVector": lambda: UnitVector(normed(3)),
    "PositiveDefinite": lambda: spd(3),
    "Polar": lambda: Polar(jnp.array([0.6, -1.2])),
    "Mesh": lambda: Mesh(jnp.array(RNG.normal(size=4)), jnp.array([[0, 1], [1, 2], [2, 3]])),
    "Counter": lambda: Counter(jnp.array(RNG.normal(size=3)), jnp.array(3)),
    "Values": lambda: Values.of([[1.5, 0.0], [-2.0, 0.5]]),
    "BCOO": lambda: sparse.BCOO.fromdense(jnp.array([[1.5, 0.0, 2.0], [0.0, -2.0, 0.5]])),
}


def leaves_of(x: Any) -> Any:
    """All floating numbers of a point."""
    return jnp.concatenate([jnp.ravel(v) for v in pb.tree.leaves(x) if jnp.issubdtype(v.dtype, jnp.floating)])


def smooth(x: Any) -> Any:
    """Some function of a point, of two numbers."""
    v = leaves_of(x)
    w = jnp.sin(jnp.arange(1.0, 2 * v.size + 1)).reshape(2, -1)
    return jnp.sin(w @ v) + (w @ v) ** 2


def random_tangent(x: Any) -> Any:
    return pb.tree.map(lambda z: z if z.dtype == FLOAT0 else jnp.array(RNG.normal(size=z.shape)), zero_tangent(x))


def scaled(t: Any, s: Any) -> Any:
    return pb.tree.map(lambda v: v if v.dtype == FLOAT0 else s * v, t)


def free(t: Any) -> list[Any]:
    return [v for v in pb.tree.leaves(t) if v.dtype != FLOAT0]


def pairing(ct: Any, t: Any) -> float:
    return float(sum(np.vdot(c, v) for c, v in zip(free(ct), free(t), strict=True)))


points = pytest.mark.parametrize("name", POINTS)
curved = pytest.mark.parametrize("name", [n for n in POINTS if n not in {"Mesh", "Counter", "Values", "BCOO"}])


@points
def test_retraction_begins_at_the_point(name: str) -> None:
    x = POINTS[name]()
    close(retract(x, zero_tangent(x)), x, rtol=1e-14)


@points
def test_derivatives_are_those_along_the_retraction(name: str) -> None:
    x = POINTS[name]()
    t = random_tangent(x)
    along = lambda s: smooth(retract(x, scaled(t, s)))
    y, t_out = pb.jvp(smooth, (x,), (t,))
    np.testing.assert_array_equal(y, smooth(x))  # of x itself, not of retract(x, 0)
    np.testing.assert_allclose(t_out, pb.jvp(along, (0.0,), (1.0,))[1], rtol=1e-9)
    h = 1e-5
    np.testing.assert_allclose(t_out, (along(h) - along(-h)) / (2 * h), rtol=1e-6)
    y, f_vjp = pb.vjp(smooth, x)
    ct = jnp.array([0.7, -0.3])
    assert np.isclose(pairing(f_vjp(ct)[0], t), ct @ t_out)
    value, g = pb.value_and_grad(lambda x: smooth(x).sum())(x)
    assert value == smooth(x).sum() and pb.tree.structure(g) == pb.tree.structure(zero_tangent(x))
    assert np.isclose(pairing(g, t), t_out.sum())
    y, f_lin = pb.linearize(smooth, x)
    np.testing.assert_allclose(f_lin(t), t_out, rtol=1e-12)
    close(free(f_lin.T(ct)), free(f_vjp(ct)))


@points
def test_check_grads(name: str) -> None:
    x = POINTS[name]()
    check_grads(smooth, (x,), 2, rtol=1e-4)
    check_grads(lambda x, s: s * smooth(x)[0], (x, 0.3), 1)
    move = jnp.array(0.1)
    moved = lambda x, s: retract(x, pb.tree.map(lambda z: z if z.dtype == FLOAT0 else z + s * move, zero_tangent(x)))
    check_grads(moved, (x, 1.3), 2, rtol=1e-4)  # of a point to a point


@points
def test_jacobians_and_hessians(name: str) -> None:
    x = POINTS[name]()
    ts = [random_tangent(x) for _ in range(2)]
    forward, reverse = pb.jacfwd(smooth)(x), pb.jacrev(smooth)(x)
    close(free(forward), free(reverse))
    assert pb.tree.structure(forward) == pb.tree.structure(zero_tangent(x))
    applied = sum(j.reshape((2, -1)) @ t.ravel() for j, t in zip(free(forward), free(ts[0])))
    np.testing.assert_allclose(applied, pb.jvp(smooth, (x,), (ts[0],))[1], rtol=1e-9)
    hessian = pb.hessian(lambda x: smooth(x).sum())(x)
    parts, blocks = free(zero_tangent(x)), iter(free(hessian))
    whole = np.block([[next(blocks).reshape((z.size, w.size)) for w in parts] for z in parts])
    np.testing.assert_allclose(whole, whole.T, rtol=1e-8, atol=1e-9)
    t = np.concatenate([np.ravel(v) for v in free(ts[0])])
    second = pb.jvp(pb.grad(lambda s: smooth(retract(x, scaled(ts[0], s))).sum()), (0.0,), (1.0,))[1]
    np.testing.assert_allclose(t @ whole @ t, second, rtol=1e-8)


def test_jacobians_of_results_that_are_points() -> None:
    q = POINTS["Rotation 3"]()
    square = lambda r: r @ r
    # r exp(t) r exp(t) = r r exp(rᵀ t) exp(t), to first order in t.
    expected = np.asarray(q.matrix).T + np.eye(3)
    np.testing.assert_allclose(pb.jacfwd(square)(q), expected, rtol=1e-10)
    np.testing.assert_allclose(pb.jacrev(square)(q), expected, rtol=1e-10)
    np.testing.assert_allclose(pb.linearize(square, q)[1].to_matrix(), expected, rtol=1e-10)
    mesh = POINTS["Mesh"]()
    doubled = lambda m: Mesh(2 * m.nodes, m.edges)
    for jacobian in (pb.jacfwd(doubled)(mesh), pb.jacrev(doubled)(mesh)):
        assert jacobian.edges is None and jacobian.nodes.edges is None
        np.testing.assert_array_equal(jacobian.nodes.nodes, 2 * np.eye(4))
    counter = POINTS["Counter"]()
    doubled = lambda c: Counter(2 * c.value, c.count)
    for jacobian in (pb.jacfwd(doubled)(counter), pb.jacrev(doubled)(counter)):
        assert jacobian.value.count.shape == (3,) and jacobian.value.count.dtype == FLOAT0
        np.testing.assert_array_equal(jacobian.value.value, 2 * np.eye(3))
    assert pb.jacrev(doubled)(counter).count.value.dtype == FLOAT0


def test_the_derivative_of_a_gradient_is_along_fields_that_do_not_commute() -> None:
    q = POINTS["Rotation 3"]()
    f = lambda r: smooth(r)[0]
    g, nested, hessian = pb.grad(f)(q), pb.jacfwd(pb.grad(f))(q), pb.hessian(f)(q)
    np.testing.assert_allclose((nested + nested.T) / 2, hessian, rtol=1e-9)
    bracket = nested - nested.T  # component i along j: Eⱼ Eᵢ f - Eᵢ Eⱼ f = (eⱼ × eᵢ) · g
    np.testing.assert_allclose(
        bracket, [[np.cross(b, a) @ g for b in np.eye(3)] for a in np.eye(3)], rtol=1e-8, atol=1e-9
    )
    np.testing.assert_allclose(pb.jacrev(pb.grad(f))(q), nested, rtol=1e-9)
    norm = lambda r: jnp.sum(pb.grad(f)(r) ** 2)
    np.testing.assert_allclose(pb.grad(norm)(q), 2 * g @ nested, rtol=1e-9)
    check_grads(norm, (q,), 2, rtol=1e-4)


@curved
def test_projection_undoes_the_derivative_of_the_retraction(name: str) -> None:
    x = POINTS[name]()
    t = random_tangent(x)
    moved = pb.jvp(partial(retract, x), (zero_tangent(x),), (t,))[1]
    if name == "UnitVector":
        t = t - x.vector * (x.vector @ t)
    close(moved, t)
    space: Any = SPACES[type(x)]
    if space._project is not None and name != "UnitVector":  # the default is the same
        own, space._project = space._project, None
        try:
            close(pb.jvp(partial(retract, x), (zero_tangent(x),), (t,))[1], t)
            ct = random_tangent(x)
            close(pb.vjp(partial(retract, x), zero_tangent(x))[1](ct)[0], ct)
        finally:
            space._project = own


# ---- manifolds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.0, 1e-12, 1e-3, 0.99, 1.01, 3.0, 30.0])
def test_exponentials_at_every_length(length: float) -> None:
    v = np.asarray(normed(3)) * length
    expected = scipy.spatial.transform.Rotation.from_rotvec(v).as_matrix()
    r, q = Rotation.exp(jnp.array(v)), UnitQuaternion.exp(jnp.array(v))
    np.testing.assert_allclose(r.matrix, expected, atol=1e-14)
    np.testing.assert_allclose(q.rotation().matrix, expected, atol=1e-14)
    np.testing.assert_allclose(q.wxyz @ q.wxyz, 1, rtol=1e-14)
    np.testing.assert_allclose(UnitQuaternion.exp(q.log()).rotation().matrix, expected, atol=1e-14)
    if length < 3.1:
        np.testing.assert_allclose(q.log(), v, rtol=1e-12, atol=1e-15)
    twist = jnp.concatenate([jnp.array([1.0, -2.0, 0.5]), jnp.array(v)])
    m = RigidMotion.exp(twist)
    whole = np.zeros((4, 4))
    whole[:3, :3], whole[:3, 3] = np.cross(v, np.eye(3)).T, twist[:3]
    whole[:3, :3] = [[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]]
    expected = scipy.linalg.expm(whole)
    np.testing.assert_allclose(m.rotation.matrix, expected[:3, :3], atol=1e-12)
    np.testing.assert_allclose(m.translation, expected[:3, 3], atol=1e-12)
    # Derivatives of every order at every length, and at zero.
    check_grads(lambda t: Rotation.exp(t).matrix, (jnp.array(v),), 2, rtol=1e-4)
    check_grads(lambda t: RigidMotion.exp(t).translation, (twist,), 2, rtol=1e-4)
    check_grads(lambda t: UnitQuaternion.exp(t).wxyz, (jnp.array(v),), 2, rtol=1e-4)
    if 0 < length < 3.1:
        log = lambda t: UnitQuaternion.exp(t).log()
        np.testing.assert_allclose(pb.jacrev(log)(jnp.array(v)), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(pb.jacfwd(lambda t: UnitQuaternion.exp(t).log())(jnp.zeros(3)), np.eye(3), atol=1e-12)


def test_groups_compose_act_and_have_inverses() -> None:
    v = jnp.array(RNG.normal(size=3))
    p, q = UnitQuaternion(normed(4)), UnitQuaternion(normed(4))
    np.testing.assert_allclose((p * q) @ v, p.rotation() @ (q.rotation() @ v), rtol=1e-12)
    np.testing.assert_allclose((p * p.inverse()).wxyz, [1, 0, 0, 0], atol=1e-14)
    for name in ("Rotation 2", "Rotation 3", "Rotation 4"):
        r, s = POINTS[name](), POINTS[name]()
        n = r.matrix.shape[0]
        np.testing.assert_allclose((r @ s).matrix, r.matrix @ s.matrix)
        np.testing.assert_allclose((r @ r.inverse()).matrix, np.eye(n), atol=1e-14)
        assert np.isclose(np.linalg.det(r.matrix), 1)
        off = Rotation(r.matrix + 1e-6 * RNG.normal(size=(n, n)))
        m = off.normalized().matrix
        np.testing.assert_allclose(m @ m.T, np.eye(n), atol=1e-10)
    m, n = RigidMotion.exp(jnp.array(RNG.normal(size=6))), RigidMotion.exp(jnp.array(RNG.normal(size=6)))
    np.testing.assert_allclose((m @ n) @ v, m @ (n @ v), rtol=1e-12)
    np.testing.assert_allclose((m @ m.inverse()) @ v, v, rtol=1e-12)
    columns = jnp.stack([v, 2 * v], 1)
    np.testing.assert_allclose((m @ columns)[:, 1], m @ (2 * v), rtol=1e-12)
    np.testing.assert_allclose(RigidMotion.identity() @ v, v)
    np.testing.assert_allclose(UnitQuaternion(2 * p.wxyz).normalized().wxyz, p.wxyz, rtol=1e-14)


@pytest.mark.parametrize("name", ["Rotation 3", "Rotation 4", "UnitVector", "PositiveDefinite", "UnitQuaternion"])
def test_retractions_stay_on_the_manifold(name: str) -> None:
    x = POINTS[name]()
    for size in (0.1, 1.0, 5.0):
        y = retract(x, scaled(random_tangent(x), size))
        if name.startswith("Rotation"):
            np.testing.assert_allclose(y.matrix @ y.matrix.T, np.eye(len(y.matrix)), atol=1e-12)
        elif name == "PositiveDefinite":
            assert (np.linalg.eigvalsh(y.matrix) > 0).all() and (y.matrix == y.matrix.T).all()
        else:
            np.testing.assert_allclose(jnp.linalg.norm(*pb.tree.leaves(y)), 1, rtol=1e-12)


def test_gradients_by_hand() -> None:
    a = jnp.array(RNG.normal(size=(3, 3)))
    r = POINTS["Rotation 3"]()
    generators = [np.cross(np.eye(3), e).T * -1.0 for e in np.eye(3)]  # v ↦ e × v
    np.testing.assert_array_equal(generators[2] @ [1, 0, 0], [0, 1, 0])
    g = pb.grad(lambda r: jnp.sum(a * r.matrix))(r)
    np.testing.assert_allclose(g, [np.sum(a * (r.matrix @ e)) for e in generators], rtol=1e-12)
    x = POINTS["UnitVector"]()
    np.testing.assert_allclose(
        pb.grad(lambda x: x.vector @ a @ x.vector)(x),
        (np.eye(3) - np.outer(x.vector, x.vector)) @ (a + a.T) @ x.vector, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    p = POINTS["PositiveDefinite"]()
    np.testing.assert_allclose(pb.grad(lambda p: jnp.linalg.slogdet(p.matrix)[1])(p), [1, 1, 1, 0, 0, 0], atol=1e-12)


def test_descent_on_rotations_finds_the_solution_of_wahbas_problem() -> None:
    truth = POINTS["Rotation 3"]()
    v = jnp.array(RNG.normal(size=(3, 20)))
    w = truth @ v + 0.01 * RNG.normal(size=(3, 20))
    u, _, vt = np.linalg.svd(w @ v.T)
    best = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    loss = lambda r: jnp.mean((r @ v - w) ** 2)
    for start in (Rotation.identity(3), UnitQuaternion.identity()):
        of = loss if isinstance(start, Rotation) else lambda q: loss(q.rotation())
        step = lambda x, _, of=of: (retract(x, -0.5 * pb.grad(of)(x)), of(x))
        found, losses = lax.scan(step, start, None, length=200)
        matrix = found.matrix if isinstance(found, Rotation) else found.rotation().matrix
        np.testing.assert_allclose(matrix, best, atol=1e-8)
        assert losses[-1] < losses[0]


# ---- transformations around ----------------------------------------------------------------------


@points
def test_jit_and_vmap(name: str) -> None:
    x = POINTS[name]()
    f = lambda x: smooth(x).sum()
    close(free(pb.jit(pb.grad(f))(x)), free(pb.grad(f)(x)))
    close(free(pb.grad(pb.jit(f))(x)), free(pb.grad(f)(x)))
    close(free(pb.grad(pb.checkpoint(f))(x)), free(pb.grad(f)(x)))
    xs = pb.tree.map(lambda v: jnp.stack([v, v]), x)
    for row in range(2):
        close([v[row] for v in free(pb.vmap(pb.grad(f))(xs))], free(pb.grad(f)(x)))
    t = random_tangent(x)
    f_lin = pb.jit(lambda x: pb.linearize(smooth, x)[1])(x)  # a map of points leaves jit
    np.testing.assert_allclose(f_lin(t), pb.jvp(smooth, (x,), (t,))[1], rtol=1e-12)


@pytest.mark.parametrize("name", ["Rotation 3", "UnitQuaternion", "Mesh", "BCOO"])
def test_loops_and_branches(name: str) -> None:
    x = POINTS[name]()
    f = lambda x: smooth(x).sum()
    shrunk = lambda g: pb.tree.map(lambda v: v if v.dtype == FLOAT0 else -0.01 * v, g)
    step = lambda x: retract(x, shrunk(pb.grad(f)(x)))
    close(lax.scan(lambda c, _: (step(c), None), x, None, length=3)[0], step(step(step(x))))
    through = lambda x: f(lax.fori_loop(0, 2, lambda i, c: step(c), x))
    close(free(pb.grad(through)(x)), free(pb.grad(lambda x: f(step(step(x))))(x)), rtol=1e-7)
    by_cond = lambda x: lax.cond(f(x) > 1e9, lambda x: x, step, x)
    close(free(pb.grad(lambda x: f(by_cond(x)))(x)), free(pb.grad(lambda x: f(step(x)))(x)), rtol=1e-7)


def test_trees_of_points_and_arrays() -> None:
    params = {
        "pose": POINTS["RigidMotion"](),
        "w": jnp.array([1.0, 2.0]),
        "all": [POINTS["Mesh"](), (POINTS["Rotation 3"](),)],
    }

    def loss(params: Any, scale: Any = 1.0) -> Any:
        mesh, (r,) = params["all"]
        return scale * (smooth(params["pose"]) @ params["w"] + smooth(mesh).sum() * smooth(r)[0])

    g = pb.grad(loss)(params)
    assert pb.tree.structure(g) == pb.tree.structure(zero_tangent(params))
    assert (
        g["pose"].shape == (6,) and g["w"].shape == (2,) and g["all"][0].edges is None and g["all"][1][0].shape == (3,)
    )
    gs = pb.grad(loss, argnums=(1, 0))(params, 2.0)
    assert np.isclose(gs[0], loss(params)) and np.allclose(gs[1]["w"], 2 * g["w"])
    g, aux = pb.grad(lambda p: (loss(p), p), has_aux=True)(params)
    assert aux["pose"] is not None and isinstance(aux["pose"], RigidMotion)
    check_grads(loss, (params,), 2, rtol=1e-4)
    both = lambda p: {"m": p["pose"] @ p["pose"], "w": 2 * p["w"], "n": jnp.int32(3)}
    t = random_tangent(params)
    y, t_out = pb.jvp(both, (params,), (t,))
    assert isinstance(y["m"], RigidMotion) and t_out["m"].shape == (6,) and t_out["n"].dtype == FLOAT0
    y, f_vjp, aux = pb.vjp(lambda p: (both(p), p["w"]), params, has_aux=True)
    ct = {"m": jnp.ones(6), "w": jnp.ones(2), "n": np.zeros((), FLOAT0)}
    assert np.isclose(pairing(f_vjp(ct)[0], t), pairing(ct, t_out))
    y, f_lin = pb.linearize(both, params)
    close(f_lin(t)["m"], t_out["m"])
    close(free((2 * f_lin + f_lin)(t)), [3 * v for v in free(t_out)])
    close(free((f_lin.T @ f_lin)(t)), free(f_lin.T(f_lin(t))))
    fwd, bwd = pb.fwd_and_bwd(lambda p: both(p)["m"], argnums=0)
    y, residuals = fwd(params)
    assert bwd(residuals, jnp.ones(6))["pose"].shape == (6,)
    blocks = pb.hessian(loss)({**params, "all": params["all"]})
    np.testing.assert_allclose(blocks["pose"]["w"], blocks["w"]["pose"].T, rtol=1e-9)
    assert blocks["pose"]["all"][0].edges is None and blocks["all"][1][0]["pose"].shape == (3, 6)
    h, aux = pb.hessian(lambda p, s: (loss(p, s), "aux"), argnums=(0, 1), has_aux=True)(params, 2.0)
    np.testing.assert_allclose(h[1][0]["w"], g["w"], rtol=1e-9)
    assert aux == "aux" and h[1][1] == 0


def test_custom_rules_see_the_leaves() -> None:
    @pb.custom_jvp
    def f(r: Any) -> Any:
        return r.matrix[0, 1]

    f.defjvp(lambda primals, tangents: (f(*primals), 2 * tangents[0].matrix[0, 1]))
    r = POINTS["Rotation 3"]()
    np.testing.assert_allclose(pb.grad(f)(r), 2 * pb.grad(lambda r: r.matrix[0, 1])(r), rtol=1e-12)


# ---- structs -------------------------------------------------------------------------------------


def test_fields_without_derivative() -> None:
    tagged = Tagged(jnp.array([1.0, 2.0]), "tanh", jnp.tanh, POINTS["Mesh"](), POINTS["UnitQuaternion"]())
    f = lambda s: jnp.sum(s.activation(s.weight)) * smooth(s.mesh)[0] * smooth(s.pose)[1] * len(s.name)
    g = pb.grad(f)(tagged)
    assert isinstance(g, Tagged) and g.name is None and g.activation is None and g.pose.shape == (3,)
    assert isinstance(g.mesh, Mesh) and g.mesh.edges is None and g.mesh.unit == "m"
    t = random_tangent(tagged)
    assert np.isclose(pb.jvp(f, (tagged,), (t,))[1], pairing(g, t))
    check_grads(
        lambda x, q: f(dataclasses.replace(tagged, weight=x, pose=q)), (tagged.weight, tagged.pose), 2, rtol=1e-4
    )
    moved = retract(tagged, g)
    assert moved.name == "tanh" and moved.activation is jnp.tanh and moved.mesh.edges is tagged.mesh.edges
    counter = Counter(jnp.array(2.0), jnp.array([3, 4]))
    g = pb.grad(lambda c: c.value * c.count.sum())(counter)
    assert g.value == 7.0 and g.count.dtype == FLOAT0 and g.count.shape == (2,)
    y, t_out = pb.jvp(lambda c: Counter(c.value**2, c.count + 1), (counter,), (Counter(jnp.array(1.0), g.count),))
    assert t_out.value == 4.0 and t_out.count.dtype == FLOAT0 and y.count.tolist() == [4, 5]
    nothing = Counter(jnp.array(1), jnp.array(2))
    assert pb.grad(lambda c, x: x * c.value)(nothing, 1.0).value.dtype == FLOAT0
    with pytest.raises(TypeError, match="nothing to differentiate"):
        check_grads(lambda c: c.value * 1.0, (nothing,), 1)
    with pytest.raises(TypeError, match="nothing to differentiate"):
        pb.hessian(lambda c: c.value * 1.0)(nothing)


def test_integers_that_are_not_of_a_registered_class_are_refused_as_ever() -> None:
    mesh = POINTS["Mesh"]()
    f = lambda tree: smooth(tree["m"]).sum() * tree["n"]
    for transform in (pb.grad, pb.jacrev, pb.jacfwd, pb.hessian):
        with pytest.raises(TypeError, match="int"):
            transform(f)({"m": mesh, "n": 3})
    g = pb.grad(f, allow_int=True)({"m": mesh, "n": 3})
    assert g["n"].dtype == FLOAT0 and g["m"].edges is None
    with pytest.raises(TypeError, match="not a valid array type"):
        pb.grad(f)({"m": mesh, "n": "three"})
    with pytest.raises(TypeError, match="not a valid array type"):
        pb.grad(lambda tree: tree["n"] ** 2)({"n": 1.0, "name": "three"})


@pytest.mark.parametrize("cls", [sparse.BCOO, sparse.BCSR, sparse.COO, sparse.CSR, sparse.CSC])
def test_sparse_matrices(cls: Any) -> None:
    dense = np.array([[1.5, 0.0, 2.0], [0.0, -2.0, 0.5]])
    m, v = cls.fromdense(jnp.array(dense)), jnp.array([1.0, 2.0, 3.0])
    f = lambda m: jnp.sum(jnp.sin(m @ v))
    g = pb.grad(f)(m)
    expected = np.cos(dense @ v)[:, None] * v * (dense != 0)
    rebuilt = cls((g.data, *pb.tree.leaves(m)[1:]), shape=m.shape)
    np.testing.assert_allclose(rebuilt.todense(), expected, rtol=1e-12)
    np.testing.assert_allclose(g.data, sparse.grad(f)(m).data, rtol=1e-12)
    assert all(x.dtype == FLOAT0 for x in pb.tree.leaves(g)[1:])
    t = random_tangent(m)
    assert np.isclose(pb.jvp(f, (m,), (t,))[1], g.data @ t.data)
    y, f_vjp = pb.vjp(lambda m: m @ v, m)
    assert f_vjp(jnp.ones(2))[0].data.shape == m.data.shape
    y, f_lin = pb.linearize(lambda m: m @ v, m)
    np.testing.assert_allclose(f_lin(t), pb.jvp(lambda m: m @ v, (m,), (t,))[1], rtol=1e-12)
    assert pb.jacrev(lambda m: m @ v)(m).data.shape == pb.jacfwd(lambda m: m @ v)(m).data.shape == (2, m.data.size)
    check_grads(f, (m,), 2)
    check_grads(lambda m: retract(m, scaled(t, 0.1)), (m,), 1)
    of_data = lambda d: f(cls((d, *pb.tree.leaves(m)[1:]), shape=m.shape))
    np.testing.assert_allclose(pb.hessian(f)(m).data.data, pb.hessian(of_data)(m.data), rtol=1e-12)
    stepped = retract(m, pb.grad(f)(m))
    np.testing.assert_allclose(stepped.todense(), dense + expected, rtol=1e-12)
    with pytest.raises(TypeError, match="float0"):
        pb.jvp(f, (m,), (m,))
    complex_m = cls.fromdense(jnp.array(dense + 0j))
    square = lambda m: jnp.sum(m.data**2)
    np.testing.assert_allclose(pb.grad(square, holomorphic=True)(complex_m).data, 2 * complex_m.data)
    with pytest.raises(TypeError, match="holomorphic"):
        pb.grad(square, holomorphic=True)(m)


def test_tangents_of_other_types() -> None:
    m = POINTS["Values"]()
    g = pb.grad(lambda m: jnp.sum((m @ jnp.array([1.0, 2.0])) ** 2))(m)
    np.testing.assert_allclose(g, [3.0, -2.0, -4.0], rtol=1e-12)  # y = (1.5, -1), columns 0, 0, 1
    p = POINTS["Polar"]()
    g = pb.grad(lambda p: jnp.log(jnp.hypot(*p.xy)))(p)
    assert isinstance(g, Twist)
    close(g, Twist(jnp.zeros(()), jnp.ones(1)))
    h = pb.hessian(lambda p: p.xy[0])(p)
    assert isinstance(h, Twist) and isinstance(h.angle, Twist)
    np.testing.assert_allclose([h.angle.angle, h.angle.stretch[0], h.stretch.angle[0]], [-0.6, 1.2, 1.2], rtol=1e-12)


# ---- bad input -----------------------------------------------------------------------------------


def test_what_cannot_be_registered() -> None:
    class Plain:
        pass

    Pair = NamedTuple("Pair", [("x", Any), ("y", Any)])  # noqa: UP014
    zero, move = (lambda x: jnp.zeros(2)), (lambda x, t: x)
    for cls, text in [(3, "takes a class"), (list, "declare those of a class of yours"), (dict, "class of yours"),
                      (pb.Array, "class of yours"), (Plain, "no pytree.*register_dataclass")]:  # fmt: skip
        with pytest.raises(TypeError, match=text):
            register_differentiable(cls)
    with pytest.raises(ValueError, match="Mesh has been registered already"):
        register_differentiable(Mesh)
    with pytest.raises(TypeError, match="belong to a tangent_type"):
        register_differentiable(Pair, project=lambda x, v: v)
    with pytest.raises(TypeError, match="needs `zero` and `retract`"):
        register_differentiable(Pair, pb.Array, zero=zero)
    with pytest.raises(TypeError, match="no `discrete`"):
        register_differentiable(Pair, pb.Array, zero=zero, retract=move, discrete="float0")
    with pytest.raises(TypeError, match="discrete must be"):
        register_differentiable(Pair, discrete="zero")
    with pytest.raises(TypeError, match="tangent_type must be a class"):
        register_differentiable(Pair, jnp.zeros(3), zero=zero, retract=move)
    assert Pair not in SPACES
    assert register_differentiable(Pair) is Pair
    assert pb.grad(lambda p: p.x * p.y)(Pair(2.0, 3)) == Pair(3.0, None)


def declared(**functions: Any) -> Any:
    @register_dataclass
    @dataclasses.dataclass
    class Fresh:
        x: Any

    given: Any = {"zero": lambda p: jnp.zeros(2), "retract": lambda p, t: Fresh(p.x + t), **functions}
    register_differentiable(Fresh, pb.Array, **given)
    return Fresh(jnp.ones(2))


def test_functions_that_give_something_else() -> None:
    f = lambda p: jnp.sum(p.x)
    assert pb.grad(f)(declared()).tolist() == [1.0, 1.0]
    for functions, text in [
        ({"zero": lambda p: Twist(0.0, 0.0)}, "declared type Array, it gave Twist"),
        ({"zero": lambda p: jnp.zeros(2, int)}, "floating numbers, `zero` gave"),
        ({"retract": lambda p, t: p.x}, "`retract` must give a Fresh of the structure"),
        ({"retract": lambda p, t: dataclasses.replace(p, x=p.x[:1])}, "`retract` must give arrays like those"),
        (
            {"retract": lambda p, t: dataclasses.replace(p, x=jnp.float32(1) * jnp.ones(2, "float32"))},
            "float64.*float32",
        ),
    ]:
        for differentiated in (pb.grad(f), pb.jit(pb.grad(f)), lambda p: pb.jvp(f, (p,), (jnp.ones(2),))):
            with pytest.raises(TypeError, match=text):
                differentiated(declared(**functions))
    p = declared(project=lambda p, v: v.x[:1])
    with pytest.raises(TypeError, match=r"`project` must give tangents.*float64\[2\].*float64\[1\]"):
        pb.jvp(lambda p: p, (p,), (jnp.ones(2),))
    with pytest.raises(AssertionError, match="retract"):
        check_grads(f, (declared(retract=lambda p, t: dataclasses.replace(p, x=p.x + t + 0.1)),), 1)
    for project in (lambda p, v: 2 * v.x, lambda p, v: jnp.zeros(2)):
        with pytest.raises(AssertionError, match="`project` of Fresh"):
            check_grads(lambda p: p, (declared(project=project),), 1)


def test_tangents_of_the_wrong_type() -> None:
    r = POINTS["Rotation 3"]()
    f = lambda r: jnp.sum(r.matrix)
    for t, error, text in [
        (r, TypeError, "argument of type Rotation takes tangents of type Array .*, got Rotation"),
        ({"a": jnp.zeros(3)}, TypeError, "takes tangents of type Array .*, got dict"),
        ("text", TypeError, "not a valid array type"),
        (jnp.zeros(4), ValueError, "shapes"),
        (jnp.zeros(3, int), TypeError, "equal types"),
    ]:
        with pytest.raises(error, match=text):
            pb.jvp(f, (r,), (t,))
    with pytest.raises(TypeError, match="got Mesh"):
        pb.jvp(lambda p: p.xy[0], (POINTS["Polar"](),), (POINTS["Mesh"](),))
    with pytest.raises(TypeError, match="structure"):
        pb.jvp(lambda tree: f(tree["r"]), ({"r": r},), ([jnp.zeros(3)],))
    _, f_lin = pb.linearize(f, r)
    with pytest.raises(TypeError, match="structure"):
        f_lin(r)
    with pytest.raises(ValueError, match="shape"):
        f_lin(jnp.zeros(4))
    _, f_vjp = pb.vjp(lambda r: r @ r, r)
    with pytest.raises(ValueError, match="structure"):
        f_vjp(r)
    for bad in (lambda: retract(r, r), lambda: retract({"r": r}, jnp.zeros(3))):
        with pytest.raises(TypeError, match="must have structure"):
            bad()
    with pytest.raises(TypeError, match="scalar-output"):
        pb.grad(lambda r: r)(r)
    with pytest.raises(ValueError, match="as many as a rotation of n dimensions"):
        Rotation.exp(jnp.zeros(4))
    with pytest.raises(ValueError, match="three numbers"):
        UnitQuaternion.exp(jnp.zeros(4))
    with pytest.raises(ValueError, match="six numbers"):
        RigidMotion.exp(jnp.zeros(4))


def test_float32_is_the_default() -> None:
    with pb.enable_x64(False):
        q = UnitQuaternion.exp(jnp.array([0.1, 0.2, 0.3]))
        g = pb.grad(lambda q: smooth(q).sum())(q)
        assert g.dtype == np.float32 and retract(q, g).wxyz.dtype == np.float32
        check_grads(smooth, (q,), 1)
        assert Rotation.identity(3).matrix.dtype == np.float32


def test_nan_and_empty() -> None:
    q = UnitQuaternion(jnp.full(4, jnp.nan))
    assert np.isnan(pb.grad(lambda q: smooth(q).sum())(q)).all()
    mesh = Mesh(jnp.zeros(0), jnp.zeros((0, 2), int))
    g = pb.grad(lambda m: m.nodes.sum())(mesh)
    assert g.nodes.shape == (0,) and g.edges is None
    assert pb.vmap(pb.grad(lambda r: r.matrix.sum()))(Rotation(jnp.zeros((0, 3, 3)))).shape == (0, 3)


def test_gradients_of_sparse_matrices_say_what_they_are() -> None:
    m = sparse.BCOO.fromdense(jnp.eye(2))
    g = pb.grad(lambda m: (m @ jnp.ones(2)).sum())(m)
    with pytest.raises(TypeError, match=r"derivative in the elements of a BCOO.*BCOO\(\(g.data, m.indices\)"):
        g.todense()
    assert sparse.BCOO((g.data, m.indices), shape=m.shape).todense().tolist() == np.eye(2).tolist()
