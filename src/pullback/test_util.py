"""Checks of derivatives against numerical differentiation.

`check_grads` is what tests call; `check_jvp` and `check_vjp` check a pushforward or a pullback that
is given. Derivatives are compared along one random direction, so a check costs a few evaluations
whatever the sizes: the central difference

    (f(x + ε/2 · t) − f(x − ε/2 · t)) / ε  =  ∂f(x)·t + O(ε²)

must equal the pushforward of t, and its pairing Re Σ ct·(…) with a random cotangent that of the
pulled-back cotangent with t. Directions are complex for complex inputs, so functions that are not
holomorphic are checked as well. Higher orders are the same check of the pushforward and the
pullback themselves, as functions of the point and of the tangent or cotangent.

Two errors limit a difference: truncation, about ε², and rounding in `f`, about u/ε for machine
precision u. They balance at ε = ∛u, the default step. The third error, that x ± ε/2 · t rounds, is
avoided altogether: t is taken to be what the rounded points differ by.

Arguments and results of classes with a tangent space of their own are moved by its retraction, and
differences of results are projected on it (see `transforms.spaces`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.tree import keystr, tree_flatten, tree_flatten_with_path, tree_leaves, tree_map
from pullback.transforms.jvp import jvp
from pullback.transforms.linearize import vjp
from pullback.transforms.spaces import SPACES, flatten, is_point, with_float0, zero_tangent

#: Default tolerances, relative and absolute, by the least precise type that takes part.
TOLERANCES: dict[DType, float] = {
    dtypes.float64: 1e-5,
    dtypes.float32: 2e-3,
    dtypes.float16: 5e-2,
    dtypes.bfloat16: 2e-1,
}
MODES = ("fwd", "rev")


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = MODES,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check the derivatives of `f` at `f(*args)` up to `order` against numerical differentiation.

    `args` is a tuple of arrays or pytrees, complex ones too; integer leaves are constants, and
    classes with a tangent space of their own (`derivatives.register_differentiable`) are moved along
    it, which checks that it is one. `modes`
    says which derivatives are checked: "fwd" (`jvp`), "rev" (`vjp`) or both; with both, orders
    above the first check every combination. `atol` and `rtol` are the tolerances and `eps` the
    step; by default they follow the least precise dtype (float64: 1e-5, float32: 2e-3, float16:
    0.05, bfloat16: 0.2). Directions are random and reproducible. Raises AssertionError with the
    numbers where derivatives differ.

    >>> import pullback.numpy as jnp
    >>> check_grads(jnp.sin, (0.5,), order=2)
    """
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [m for m in modes if m not in MODES]
    if unknown or not modes:
        raise ValueError(f"check_grads: modes must be some of {MODES}, got {modes}")
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"check_grads: args must be a tuple of the arguments of f, got {type(args).__name__}; write (x,) for one"
        )
    _check_order(f, tuple(args), order, modes, _Settings(atol, rtol, eps, np.random.default_rng(0)), "f")


class _Settings(NamedTuple):
    """What stays the same through all orders of a check."""

    atol: float | None
    rtol: float | None
    eps: float | None
    rng: np.random.Generator


def _check_order(
    f: Callable[..., Any], args: tuple[Any, ...], order: int, modes: tuple[str, ...], settings: _Settings, name: str
) -> None:
    if order < 1:
        return
    args = _arrays(args)
    if "fwd" in modes:
        _check_jvp(f, partial(jvp, f), args, settings, f"JVP of {name}")
    if "rev" in modes:
        _check_vjp(f, partial(vjp, f), args, settings, f"VJP of {name}")
    if order < 2:
        return
    if "fwd" in modes:

        def pushforward(primals: tuple[Any, ...], tangents: list[Any]) -> list[Any]:
            return _free(jvp(f, primals, _tangent(primals, tangents))[1])

        tangents = [_random_like(x, settings.rng) for x in _free(zero_tangent(args))]
        _check_order(pushforward, (args, tangents), order - 1, modes, settings, f"JVP of {name}")
    if "rev" in modes:

        def pullback(primals: tuple[Any, ...], cotangents: list[Any]) -> list[Any]:
            y, f_vjp = vjp(f, *primals)
            return _free(f_vjp(_tangent(y, cotangents)))

        cotangents = [_random_like(y, settings.rng) for y in _free(zero_tangent(f(*args)))]
        _check_order(pullback, (args, cotangents), order - 1, modes, settings, f"VJP of {name}")


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = 1e-4,
    err_msg: str = "",
) -> None:
    """Check `f_jvp(args, tangents)`, typically `partial(jvp, f)`, against differences of `f`, in
    one random direction.

    Both the value and the tangent it gives are checked. `eps` is the step (None: suited to the
    dtypes; a float32 computation loses half its digits to 1e-4), tolerances are as in
    `check_grads`. Raises AssertionError, with `err_msg`.

    >>> import pullback.numpy as jnp
    >>> check_jvp(jnp.sin, partial(jvp, jnp.sin), (0.5,))
    """
    settings = _Settings(atol, rtol, eps, np.random.default_rng(0))
    _check_jvp(f, f_jvp, _arrays(tuple(args)), settings, err_msg or "JVP")


def _check_jvp(
    f: Callable[..., Any], f_jvp: Callable[..., Any], args: tuple[Any, ...], settings: _Settings, what: str
) -> None:
    y, plus, tangents, minus, eps, atol, rtol = _steps(f, args, settings, what)
    out, t_out = f_jvp(args, tangents)
    _compare_trees(out, y, atol, rtol, f"{what}: its value", "f(*args)")
    numerical = iter(_differences(y, f(*plus), f(*minus), eps))
    expected = tree_map(lambda z: None if z.dtype == dtypes.float0 else next(numerical), zero_tangent(y))
    _compare_trees(t_out, expected, atol, rtol, f"{what}: its tangent", "numerical")


def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = 1e-4,
    err_msg: str = "",
) -> None:
    """Check `f_vjp(*args)`, typically `partial(vjp, f)`, against differences of `f`, in one random
    direction.

    The value it gives is checked, and that Re Σ ct·∂f·t is the same numerically and by the
    pulled-back cotangents; these must have the structure, shapes and dtypes of `args`. Otherwise as
    `check_jvp`.

    >>> import pullback.numpy as jnp
    >>> check_vjp(jnp.sin, partial(vjp, jnp.sin), (0.5,))
    """
    settings = _Settings(atol, rtol, eps, np.random.default_rng(0))
    _check_vjp(f, f_vjp, _arrays(tuple(args)), settings, err_msg or "VJP")


def _check_vjp(
    f: Callable[..., Any], f_vjp: Callable[..., Any], args: tuple[Any, ...], settings: _Settings, what: str
) -> None:
    y, plus, tangents, minus, eps, atol, rtol = _steps(f, args, settings, what)
    out, pullback = f_vjp(*args)
    _compare_trees(out, y, atol, rtol, f"{what}: its value", "f(*args)")
    cotangents = [_random_like(x, settings.rng) for x in _free(zero_tangent(y))]
    pulled = tuple(pullback(_tangent(y, cotangents)))
    _check_cotangent_types(pulled, args, what)
    differences = _differences(y, f(*plus), f(*minus), eps)
    _compare(
        np.asarray(_pairing(_free(pulled), _free(tangents))),
        np.asarray(_pairing(cotangents, differences)),
        atol, rtol, f"{what}: its cotangents paired with the direction", "numerical",
    )  # fmt: skip


# ---- steps and numbers ---------------------------------------------------------------------------


def _random_numbers(x: Array, rng: np.random.Generator) -> Any:
    """Random numbers of the shape of `x`, complex if it is, in the widest type.

    Their parts are of either sign and between 1 and 2 in size: a direction that hardly moves some
    element would hardly see its derivative.
    """
    shape = (2, *x.shape) if dtypes.is_complex(x.dtype) else x.shape
    numbers = rng.choice([-1.0, 1.0], shape) * rng.uniform(1.0, 2.0, shape)
    return numbers[0] + 1j * numbers[1] if dtypes.is_complex(x.dtype) else numbers


def _random_like(x: Array, rng: np.random.Generator) -> ConcreteArray:
    """A random tangent or cotangent of `x`."""
    return concrete(np.asarray(_random_numbers(x, rng)).astype(x.dtype), x.weak_type)


class _Step:
    """Two points around `x` and the direction `tangent`, such that `plus − minus` is `eps ·
    tangent`, as exactly as can be."""

    __slots__ = ("minus", "plus", "tangent")

    def __init__(self, x: Array, eps: float, rng: np.random.Generator) -> None:
        move = eps / 2 * _random_numbers(x, rng)
        plus, minus = (np.asarray(_wide(x) + s * move).astype(x.dtype) for s in (1, -1))
        tangent = np.asarray((_wide(plus) - _wide(minus)) / eps).astype(x.dtype)
        self.plus, self.tangent, self.minus = (concrete(v, x.weak_type) for v in (plus, tangent, minus))


class _PointStep:
    """The same around a point with a tangent space of its own. Raises AssertionError where this is
    none: where its retraction does not begin at the point, or its projection is of something else."""

    __slots__ = ("minus", "plus", "tangent")

    def __init__(self, x: Any, eps: float, rng: np.random.Generator, tolerance: float, what: str) -> None:
        space, name = SPACES[x.__class__], type(x).__name__
        zero = space.zero(x)
        compare = partial(_compare_trees, atol=tolerance, rtol=tolerance)
        compare(space.retract(x, zero), x, what=f"{what}: `retract(x, 0)` of {name}", reference="given")
        self.tangent = _tangent(x, [_random_like(z, rng) for z in _free(zero)])
        velocity = space.embed(x, tree_leaves(self.tangent))
        projected = [z if t is None else t for z, t in zip(tree_leaves(zero), space.project(x, velocity))]
        compare(
            space.embed(x, projected), velocity,
            what=f"{what}: the velocity along `project` of {name}, of a velocity", reference="given",
        )  # fmt: skip
        self.plus, self.minus = (space.retract(x, _scaled(self.tangent, s * eps / 2)) for s in (1, -1))


def _scaled(tangent: Any, factor: float) -> Any:
    return tree_map(lambda t: t if t.dtype == dtypes.float0 else as_array((_wide(t) * factor).astype(t.dtype)), tangent)


def _steps(
    f: Any, args: tuple[Any, ...], settings: _Settings, what: str
) -> tuple[Any, Any, Any, Any, float, float, float]:
    """f(*args), the arguments moved forwards, the direction, the arguments moved backwards, the
    step, atol and rtol."""
    leaves, tree = flatten(args)
    free = _free(zero_tangent(args))
    if not free:
        types = ", ".join(type(x).__name__ if is_point(x) else str(x.aval) for x in leaves)
        raise TypeError(
            f"{what}: there is nothing to differentiate by at {user_line()}: arguments of types ({types}) are not floating"
        )
    y = _arrays(f(*args))
    inexact = [x.dtype for x in (*free, *_free(zero_tangent(y)))]
    coarsest = max(map(dtypes.to_real, inexact), key=lambda t: float(dtypes.finfo(t).eps))
    atol, rtol, eps, rng = settings
    if eps is None:
        # A power of two, so that multiplying by it and dividing by it are exact.
        eps = 2.0 ** round(math.log2(float(dtypes.finfo(coarsest).eps)) / 3)
    tolerance = TOLERANCES.get(coarsest, 0.5)
    steps: list[Any] = [
        _PointStep(x, eps, rng, tolerance, what) if is_point(x)
        else _Step(x, eps, rng) if dtypes.is_inexact(x.dtype)
        else None
        for x in leaves
    ]  # fmt: skip
    plus = tree.unflatten([x if s is None else s.plus for x, s in zip(leaves, steps)])
    minus = tree.unflatten([x if s is None else s.minus for x, s in zip(leaves, steps)])
    tangents = tree.unflatten([_float0(x) if s is None else s.tangent for x, s in zip(leaves, steps)])
    return y, plus, tangents, minus, eps, tolerance if atol is None else atol, tolerance if rtol is None else rtol


def _wide(x: Any) -> Any:
    """The numbers of `x` in the widest type, in which differences of narrower ones are exact."""
    x = np.asarray(x)
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def _pairing(cts: Sequence[Any], ts: Sequence[Any]) -> float:
    """Re Σ ct·t: how cotangents act on tangents."""
    return float(sum(np.sum(_wide(ct) * _wide(t)).real for ct, t in zip(cts, ts, strict=True)))


def _float0(x: Any) -> np.ndarray[Any, Any]:
    return np.zeros(x.shape, dtypes.float0)


def _arrays(tree: Any) -> Any:
    """A tree with its leaves as arrays; those of points are left."""
    leaves, structure = flatten(tree)
    return structure.unflatten([x if is_point(x) else as_array(x) for x in leaves])


def _free(tangent: Any) -> list[Any]:
    """The leaves of a tangent or cotangent that are not of float0."""
    return [x for x in map(_typed, tree_leaves(tangent)) if dtypes.is_inexact(x.dtype)]


def _typed(x: Any) -> Any:
    """A leaf as something with a dtype; `float0` zeros are NumPy arrays and stay."""
    return x if getattr(x, "dtype", None) == dtypes.float0 else as_array(x)


def _tangent(tree: Any, free: Sequence[Any]) -> Any:
    """The tangent or cotangent of `tree` that has these leaves, and float0 elsewhere."""
    zeros_of, structure = tree_flatten(zero_tangent(tree))
    return structure.unflatten(with_float0(free, zeros_of))


def _differences(y: Any, plus: Any, minus: Any, eps: float) -> list[Any]:
    """(plus − minus) / eps as a tangent of `y`: its leaves that are not of float0."""
    found: list[Any] = []
    for x, p, m in zip(*(flatten(tree)[0] for tree in (y, plus, minus)), strict=True):
        if not is_point(x):
            if dtypes.is_inexact(x.dtype):
                found.append((_wide(p) - _wide(m)) / eps)
            continue
        velocity: list[Any] = []
        for leaf, a, b in zip(tree_leaves(x), tree_leaves(p), tree_leaves(m), strict=True):
            is_free = dtypes.is_inexact(getattr(leaf, "dtype", np.dtype(bool)))
            velocity.append(as_array(((_wide(a) - _wide(b)) / eps).astype(leaf.dtype)) if is_free else None)
        space = SPACES[x.__class__]
        projected = zip(tree_leaves(space.zero(x)), space.project(x, velocity))
        found.extend([z if t is None else t for z, t in projected if z.dtype != dtypes.float0])
    return found


# ---- comparison ----------------------------------------------------------------------------------


def _check_cotangent_types(pulled: tuple[Any, ...], args: tuple[Any, ...], what: str) -> None:
    (got, tree), (wanted, args_tree) = tree_flatten_with_path(pulled), tree_flatten_with_path(zero_tangent(args))
    if tree != args_tree:
        raise AssertionError(f"{what}: the cotangents have structure {tree}, the arguments {args_tree}")
    for (path, ct), (_, x) in zip(got, wanted):
        ct, dtype = _typed(ct), dtypes.tangent_dtype(x.dtype)
        if ct.shape != x.shape or ct.dtype != dtype:
            raise AssertionError(
                f"{what}: the cotangent of args{keystr(path)} must have shape {x.shape} and dtype {dtypes.name(dtype)}, "
                f"got {ct.shape} and {dtypes.name(ct.dtype)}"
            )


def _compare_trees(got: Any, wanted: Any, atol: float, rtol: float, what: str, reference: str) -> None:
    """Compare leaf by leaf; a leaf None of `wanted` is not compared."""
    (got_leaves, got_tree), (wanted_leaves, wanted_tree) = (
        tree_flatten_with_path(t, is_leaf=lambda x: x is None) for t in (got, wanted)
    )
    if got_tree != wanted_tree:
        raise AssertionError(f"{what}: it has structure {got_tree}, expected {wanted_tree}")
    for (path, x), (_, y) in zip(got_leaves, wanted_leaves):
        if y is not None:
            _compare(
                np.asarray(x), np.asarray(y), atol, rtol, f"{what}{' at ' + keystr(path) if path else ''}", reference
            )


def _compare(got: Any, wanted: Any, atol: float, rtol: float, what: str, reference: str) -> None:
    """Raise AssertionError unless |got − wanted| ≤ atol + rtol·|wanted|, elementwise; NaN equals
    NaN."""
    if got.shape != wanted.shape:
        raise AssertionError(f"{what} has shape {got.shape}, expected {wanted.shape}")
    if not dtypes.is_inexact(got.dtype):  # integers, booleans and random keys
        if (got != wanted).any():
            raise AssertionError(f"{what} is {got}, expected {wanted}")
        return
    a, b = _wide(got), _wide(wanted)
    close = np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return
    with np.errstate(invalid="ignore"):
        gap = np.where(close, 0.0, np.abs(a - b))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(gap), np.inf, gap)), gap.shape)
    index = f" at index {tuple(map(int, worst))}" if worst else ""
    raise AssertionError(
        f"{what} differs from the {reference} one in {np.size(close) - np.count_nonzero(close)} of {close.size} elements "
        f"(shape {got.shape}, dtype {dtypes.name(got.dtype)}); most{index}: {a[worst]:.8g} against {b[worst]:.8g}, "
        f"a difference of {gap[worst]:.3g} where {atol + rtol * abs(b[worst]):.3g} is allowed (atol={atol:g}, rtol={rtol:g})\n"
        f"  automatic: {np.array2string(a, threshold=20, prefix='  automatic: ')}\n"
        f"  {reference}: {np.array2string(b, threshold=20, prefix=f'  {reference}: ')}"
    )


__all__ = ["check_grads", "check_jvp", "check_vjp"]
