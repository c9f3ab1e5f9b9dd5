"""Differentiation for custom data types: a class declares its tangent space.

    register_differentiable(Mesh)                                  # its floating fields; None for the others
    register_differentiable(Rotation, tangent_type=Array,          # three numbers
                            zero=lambda r: jnp.zeros(3),
                            retract=lambda r, t: r @ Rotation.exp(t))

Afterwards `grad`, `jvp`, `vjp`, `linearize`, the Jacobians and `check_grads` give and take tangents of
the declared type wherever an instance of the class stands, in a tree of any depth. The derivative at x
along t is that along the curve s ↦ retract(x, s t) at s = 0; `grad` gives the derivatives in the
components of t. So one step of gradient descent on anything is

    params = retract(params, tree_map(lambda g: -0.1 * g, grad(loss)(params)))

The idea is that of Absil, Mahony and Sepulchre, Optimization Algorithms on Matrix Manifolds (2008),
chapters 3 and 4; `manifolds` has classes that are ready.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_api, user_line
from pullback.core.linear import zeros
from pullback.core.tree import is_tree_node, tree_flatten, tree_leaves, tree_map, tree_structure
from pullback.lax.shape import convert
from pullback.transforms import spaces
from pullback.transforms.derivatives import standard_basis
from pullback.transforms.jvp import jvp_flat
from pullback.transforms.vmap import vmap

C = TypeVar("C", bound=type)
#: Containers of Python's own, whose tangents are containers like them.
BUILTIN = (tuple, list, dict, OrderedDict, defaultdict, deque, type(None))


class Manifold(spaces.Space):
    """The tangents that a user declares by a retraction.

    Example: what `register_differentiable(Rotation, Array, zero=..., retract=...)` puts in the table.
    """

    def __init__(
        self,
        cls: type,
        tangent_type: type,
        zero: Callable[[Any], Any],
        retract: Callable[[Any, Any], Any],
        project: Callable[[Any, Any], Any] | None,
    ) -> None:
        self.name = cls.__name__
        self.cls, self.tangent_type = cls, tangent_type
        self._zero, self._retract, self._project = zero, retract, project

    def zero(self, x: Any) -> Any:
        found = tree_map(as_array, self._zero(x))
        if not isinstance(found, self.tangent_type):
            raise TypeError(
                f"register_differentiable({self.name}): `zero` must give a tangent of the declared type "
                f"{self.tangent_type.__name__}, it gave {type(found).__name__}"
            )
        for leaf in tree_leaves(found):
            if not dtypes.is_inexact(leaf.dtype):
                raise TypeError(
                    f"register_differentiable({self.name}): tangents are made of floating numbers, `zero` gave an array of "
                    f"{dtypes.name(leaf.dtype)}"
                )
        return found

    def retract(self, x: Any, tangent: Any) -> Any:
        moved = self._retract(x, tangent)
        expected, found = tree_structure(x), tree_structure(moved)
        if found != expected:
            raise TypeError(
                f"register_differentiable({self.name}): `retract` must give a {self.name} of the structure of its argument, "
                f"{expected}; it gave {found}, at {user_line()}"
            )
        for old, new in zip(map(as_array, tree_leaves(x)), map(as_array, tree_leaves(moved))):
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                raise TypeError(
                    f"register_differentiable({self.name}): `retract` must give arrays like those of its argument; for one of "
                    f"type {old.aval.str_short()} it gave {new.aval.str_short()}, at {user_line()}"
                )
        return moved

    def embed(self, x: Any, tangent: Sequence[Any]) -> list[Any]:
        start, tree = tree_flatten(self.zero(x))

        def moved(*ts: Any) -> list[Any]:
            return [as_array(v) for v in tree_leaves(self.retract(x, tree.unflatten(list(ts))))]

        return jvp_flat(moved, start, tangent)[1]

    def project(self, x: Any, tangents: Sequence[Any]) -> list[Any]:
        zero, tree = tree_flatten(self.zero(x))
        if all([t is None for t in tangents]):
            return [None] * len(zero)
        leaves, own = tree_flatten(x)
        leaves = [as_array(v) for v in leaves]
        velocity = [
            zeros(v.shape, v.dtype) if t is None and dtypes.is_inexact(v.dtype) else t for v, t in zip(leaves, tangents)
        ]
        if self._project is None:
            return self._least_squares(x, zero, leaves, velocity)
        found, found_tree = tree_flatten(self._project(x, own.unflatten(velocity)))
        found = [as_array(f) for f in found]
        if found_tree != tree or any([f.shape != z.shape or f.dtype != z.dtype for f, z in zip(found, zero)]):
            types = [[v.aval.str_short() for v in side] for side in (zero, found)]
            raise TypeError(
                f"register_differentiable({self.name}): `project` must give tangents of the structure and types that `zero` has, "
                f"{tree} of {types[0]}; it gave {found_tree} of {types[1]}"
            )
        return found

    def _least_squares(self, x: Any, zero: list[Any], leaves: list[Any], velocity: list[Any]) -> list[Any]:
        """The tangent that moves the leaves by `velocity` as nearly as any does: the normal equations
        of the derivative of the retraction, of which a row is made for each number of a tangent."""
        moving = [i for i, v in enumerate(leaves) if dtypes.is_inexact(v.dtype)]
        dtype: Any = dtypes.result_type(*[z.dtype for z in zero], *[leaves[i].dtype for i in moving])

        def flat(ts: Sequence[Any]) -> Any:
            parts = [zeros(v.shape, v.dtype) if t is None else t for t, v in ((ts[i], leaves[i]) for i in moving)]
            return jnp.concatenate([convert(as_array(t), dtype).reshape(-1) for t in parts])

        rows = vmap(lambda *ts: flat(self.embed(x, ts)))(*standard_basis(zero))
        found = jnp.linalg.solve(rows.conj() @ rows.T, rows.conj() @ flat(velocity))
        ends = [sum([z.size for z in zero[: i + 1]]) for i in range(len(zero))]
        return [convert(found[end - z.size : end].reshape(z.shape), z.dtype) for z, end in zip(zero, ends)]


@user_api
def register_differentiable(
    cls: C,
    tangent_type: type | None = None,
    *,
    zero: Callable[[Any], Any] | None = None,
    retract: Callable[[Any, Any], Any] | None = None,
    project: Callable[[Any, Any], Any] | None = None,
    discrete: str | None = None,
) -> C:
    """Declare the tangent space of a class, which must be a pytree (`register_dataclass`,
    `register_pytree_node`). Gives `cls`: it is a decorator, too.

    Without more, tangents are instances of `cls`: its floating leaves are the components, each free;
    integers, booleans, texts and functions among its leaves are constants, at which tangents have None,
    or with `discrete="float0"` arrays of dtype float0; static fields are as they are. Instances of
    other registered classes within it have the tangents of these.

    With a `tangent_type`, the class of the tangents (`Array`, or a pytree of floating arrays):

    - `zero(x)` is the zero tangent at x: its structure, shapes and dtypes are those of all tangents;
    - `retract(x, t)` is an instance like x, moved along t: retract(x, 0) = x, and the derivative at
      x along t is that of s ↦ f(retract(x, s t)) at s = 0;
    - `project(y, v)`, where results of a function are of the class, is the tangent t at y for which
      the leaves of y move with the velocities v (an instance of `cls`, None where it has no floating
      numbers): the inverse of the derivative of retract(y, ·), linear in v. By default it is solved
      for by least squares, at the cost of a derivative of `retract` for each component.

    All three are written with `pullback.numpy`, so that they are compiled and differentiated; under
    `vmap` they see one element. Derivatives of higher order: the gradient is a field of tangents, whose
    components are differentiated in their turn, along the same kind of curves (left-invariant fields,
    on a group); `hessian` is the symmetric matrix of the second derivatives of t ↦ f(retract(x, t)).
    Custom rules see the leaves, with ordinary tangents.

    Raises TypeError for what is no class or no pytree, for Python's own containers, and for arguments
    that do not go together; ValueError for a class that has been registered.

    Reference: P.-A. Absil, R. Mahony, R. Sepulchre, Optimization Algorithms on Matrix Manifolds, 2008.

    >>> import dataclasses
    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> @register_differentiable
    ... @pb.tree_util.register_dataclass
    ... @dataclasses.dataclass
    ... class Mesh:
    ...     nodes: pb.Array
    ...     edges: pb.Array
    >>> def length(mesh):
    ...     return jnp.sum(jnp.abs(jnp.diff(mesh.nodes[mesh.edges], axis=1)))
    >>> pb.grad(length)(Mesh(jnp.array([0.0, 1.0, 3.0]), jnp.array([[0, 1], [1, 2]])))
    Mesh(nodes=Array([-1.,  0.,  1.], dtype=float32), edges=None)

    An angle, kept as a point of the circle:

    >>> @pb.tree_util.register_dataclass
    ... @dataclasses.dataclass
    ... class Direction:
    ...     xy: pb.Array
    >>> def turned(d, t):
    ...     c, s = jnp.cos(t), jnp.sin(t)
    ...     return Direction(jnp.array([[c, -s], [s, c]]) @ d.xy)
    >>> _ = register_differentiable(Direction, pb.Array, zero=lambda d: jnp.zeros(()), retract=turned)
    >>> pb.grad(lambda d: d.xy[1])(Direction(jnp.array([1.0, 0.0])))
    Array(1., dtype=float32)
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_differentiable takes a class, got {cls!r:.100}, at {user_line()}")
    if cls in BUILTIN or issubclass(cls, Array):
        raise TypeError(
            f"register_differentiable: the tangents of a {cls.__name__} are {cls.__name__}s; declare those of a class of yours, "
            f"at {user_line()}"
        )
    if not is_tree_node(cls):
        raise TypeError(
            f"register_differentiable: {cls.__name__} is no pytree; make it one first, by `tree_util.register_dataclass` or "
            f"`tree_util.register_pytree_node`, at {user_line()}"
        )
    if cls in spaces.SPACES:
        raise ValueError(f"register_differentiable: {cls.__name__} has been registered already, at {user_line()}")
    if discrete not in (None, "float0"):
        raise TypeError(f"register_differentiable: discrete must be None or 'float0', got {discrete!r}")
    given = {"zero": zero, "retract": retract, "project": project}
    if tangent_type is None or (tangent_type is cls and zero is None and retract is None):
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise TypeError(
                f"register_differentiable({cls.__name__}): {unused} belong to a tangent_type of their own; give it, at {user_line()}"
            )
        spaces.SPACES[cls] = spaces.Struct(float0=discrete == "float0")
        return cls
    if not isinstance(tangent_type, type):
        raise TypeError(
            f"register_differentiable({cls.__name__}): tangent_type must be a class, got {tangent_type!r:.100}; shapes and dtypes "
            f"are those of what `zero` gives, at {user_line()}"
        )
    if zero is None or retract is None or discrete is not None:
        raise TypeError(
            f"register_differentiable({cls.__name__}): a tangent_type needs `zero` and `retract`, and has no `discrete`, at {user_line()}"
        )
    spaces.SPACES[cls] = Manifold(cls, tangent_type, zero, retract, project)
    return cls


@user_api
def zero_tangent(tree: Any) -> Any:
    """The zero tangent at a tree of arrays and instances of registered classes: what `jvp` takes and
    `grad` gives. At integers, it has zeros of dtype float0.

    >>> import pullback.numpy as jnp
    >>> zero_tangent({"w": jnp.array([1.0, 2.0])})
    {'w': Array([0., 0.], dtype=float32)}
    """
    return spaces.zero_tangent(tree)


@user_api
def retract(tree: Any, tangent: Any) -> Any:
    """A tree of arrays and instances of registered classes, moved along a tangent: arrays are added,
    and what has no derivative stays as it is. Raises TypeError for a tangent that does not fit.

    >>> import pullback.numpy as jnp
    >>> retract({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, 0.0])})
    {'w': Array([1.5, 2. ], dtype=float32)}
    """
    expected, found = tree_structure(spaces.zero_tangent(tree)), tree_structure(tangent)
    if found != expected:
        raise TypeError(f"retract: the tangent must have structure {expected}, got {found}, at {user_line()}")
    leaves, structure = spaces.flatten(tree)
    parts = structure.flatten_up_to(tangent)
    return structure.unflatten([spaces.retracted(x, t) for x, t in zip(leaves, parts)])


__all__ = ["register_differentiable", "retract", "zero_tangent"]
