"""Functions of trees as functions of float64 vectors, with their derivatives: what solvers on the
host calculate with.

`Space` is the correspondence of a tree with a vector, `OnVectors` a function of such trees. Complex
numbers are pairs of real ones, first all real parts of a leaf, then its imaginary parts: functions
need not be holomorphic. Whatever the session's default is, 64 bits are on while these functions
run. A function is compiled once for a structure of trees, and found again as long as it lives:
`jit` keeps what is made for a static argument with that argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, as_array, concrete
from pullback.core.config import enable_x64
from pullback.core.errors import ConcretizationTypeError, user_line
from pullback.core.tree import keystr, tree_flatten, tree_flatten_with_path
from pullback.lax.functions import complex as complex_of
from pullback.lax.shape import convert, reshape
from pullback.scipy.sparse.vectors import vector_of
from pullback.transforms.derivatives import grad, hessian, jacfwd, jacrev, value_and_grad
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.linearize import vjp

DOUBLE = np.dtype(np.float64)


class Space(NamedTuple):
    """Trees of one structure as float64 vectors; `dtypes` are those that the user's leaves have.

    >>> space = space_of({"a": np.ones(2), "z": 1j}, "x0")
    >>> space.size, space.vector({"a": np.ones(2), "z": 3 + 2j})
    (4, array([1., 1., 3., 2.]))
    >>> space.tree_of(np.arange(4.0))
    {'a': Array([0., 1.], dtype=float32), 'z': Array(2.+3.j, dtype=complex64)}
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]

    @property
    def sizes(self) -> list[int]:
        """How many numbers of the vector each leaf has."""
        return [
            int(np.prod(shape, dtype=np.int64)) * (2 if dtypes.is_complex(t) else 1)
            for shape, t in zip(self.shapes, self.dtypes)
        ]

    @property
    def size(self) -> int:
        """The length of the vectors."""
        return sum(self.sizes)

    def vector(self, tree: Any) -> Any:
        """The vector of a tree of concrete numbers."""
        parts = []
        for x, t in zip(tree_flatten(tree)[0], self.dtypes):
            x = np.asarray(x)
            parts += [x.real.ravel(), x.imag.ravel()] if dtypes.is_complex(t) else [x.ravel()]
        return np.concatenate([p.astype(DOUBLE) for p in parts]) if parts else np.zeros(0)

    def wide_tree_of(self, vector: Any) -> Any:
        """The tree of a vector that may be traced, its leaves in double precision."""
        leaves, start = [], 0
        for shape, t, n in zip(self.shapes, self.dtypes, self.sizes):
            part = vector[start : start + n]
            start += n
            if dtypes.is_complex(t):
                leaves.append(complex_of(reshape(part[: n // 2], shape), reshape(part[n // 2 :], shape)))
            else:
                leaves.append(reshape(part, shape))
        return self.structure.unflatten(leaves)

    def tree_of(self, vector: Any, first: tuple[int, ...] = (), last: tuple[int, ...] = ()) -> Any:
        """The tree of a NumPy vector, its leaves as the user's; or of many, whose axes become the
        first or last ones of the leaves: `vector` has the axes (*first, elements, *last)."""
        leaves, start, axis = [], 0, len(first)
        vector = np.asarray(vector)
        for shape, t, n in zip(self.shapes, self.dtypes, self.sizes):
            part = vector[(slice(None),) * axis + (slice(start, start + n),)]
            start += n
            if dtypes.is_complex(t):
                real, imag = np.split(part, 2, axis)
                part = real + 1j * imag
            leaves.append(concrete(part.reshape((*first, *shape, *last)).astype(t)))
        return self.structure.unflatten(leaves)


def space_of(tree: Any, what: str, given: bool = True) -> Space:
    """The space of a tree of concrete numbers. Integers are the default float there.

    `given`: the user gives the tree, and it may not be empty, traced, or of what is no number.
    """
    paths, structure = tree_flatten_with_path(tree)
    shapes, types = [], []
    for path, leaf in paths:
        array = as_array(leaf)
        if not isinstance(array, ConcreteArray):
            raise ConcretizationTypeError(
                array,
                f"{what}{keystr(path)} is traced: SciPy's solvers run on the host, outside of transformations. "
                "pullback.argmin, pullback.root and pullback.experimental.ode.odeint are solvers that can be compiled, "
                "mapped and differentiated.",
            )
        if given and (dtypes.is_key(array.dtype) or array.dtype == bool):
            raise TypeError(
                f"{what}{keystr(path)} has the dtype {dtypes.name(array.dtype)}, at {user_line()}: solvers vary "
                "floating-point or complex numbers; what is none belongs in args="
            )
        shapes.append(tuple(array.shape))
        types.append(dtypes.to_inexact(array.dtype))
    space = Space(structure, tuple(shapes), tuple(types))
    if given and not space.size:
        raise ValueError(f"{what} has no numbers, at {user_line()}: there is nothing to solve for")
    return space


# ---- what is compiled ----------------------------------------------------------------------------
# A `Call` is static; `before`, `v` and `args` are traced.


class Call(NamedTuple):
    """`f(*before, x, *args)` for the tree x of a vector; with `spread`, x's children are
    arguments of their own."""

    f: Callable[..., Any]
    space: Space
    spread: bool

    def __call__(self, before: Any, v: Any, args: Any) -> Any:
        x = self.space.wide_tree_of(v)
        return self.f(*before, *(x if self.spread else (x,)), *args)


def _named(f: Any) -> str:
    """The function and where it is: it is SciPy that calls it."""
    code = getattr(f, "__code__", None)
    name = getattr(f, "__qualname__", repr(f)).rpartition("<locals>.")[2]
    return f"the function {name}" + (f" of {code.co_filename}:{code.co_firstlineno}" if code else "")


def _scalar(call: Call, before: Any, v: Any, args: Any) -> Any:
    out = call(before, v, args)
    leaves = tree_flatten(out)[0]
    array = as_array(leaves[0]) if len(leaves) == 1 else None
    if array is None or array.size != 1 or dtypes.is_complex(array.dtype):
        found = [as_array(x).aval.str_short() for x in leaves]
        raise TypeError(f"{_named(call.f)} must return one real number, and returned {', '.join(found) or 'none'}")
    return convert(reshape(array, ()), DOUBLE)


def _vector(call: Call, before: Any, v: Any, args: Any) -> Any:
    return convert(vector_of(call(before, v, args), as_real=True)[0], DOUBLE)


def _tree(call: Call, before: Any, v: Any, args: Any) -> Any:
    return call(before, v, args)


def _value_and_gradient(call: Call, before: Any, v: Any, args: Any) -> Any:
    return value_and_grad(lambda v: _scalar(call, before, v, args))(v)


def _hessian(call: Call, before: Any, v: Any, args: Any) -> Any:
    return hessian(lambda v: _scalar(call, before, v, args))(v)


def _hessian_product(call: Call, before: Any, v: Any, args: Any, p: Any) -> Any:
    return jvp(grad(lambda v: _scalar(call, before, v, args)), (v,), (p,))[1]


def _jacobian_forward(call: Call, before: Any, v: Any, args: Any) -> Any:
    return jacfwd(lambda v: _vector(call, before, v, args))(v)


def _jacobian_reverse(call: Call, before: Any, v: Any, args: Any) -> Any:
    return jacrev(lambda v: _vector(call, before, v, args))(v)


def _weighted_hessian(call: Call, before: Any, v: Any, args: Any, weights: Any) -> Any:
    return hessian(lambda v: (weights * _vector(call, before, v, args)).sum())(v)


def _push(call: Call, before: Any, v: Any, args: Any, t: Any) -> Any:
    return jvp(lambda v: _vector(call, before, v, args), (v,), (t,))[1]


def _pull(call: Call, before: Any, v: Any, args: Any, ct: Any) -> Any:
    return vjp(lambda v: _vector(call, before, v, args), v)[1](ct)[0]


_COMPILED: dict[Any, Any] = {
    fun: jit(fun, static_argnums=0)
    for fun in (
        _scalar,
        _tree,
        _value_and_gradient,
        _hessian,
        _hessian_product,
        _jacobian_forward,
        _jacobian_reverse,
        _weighted_hessian,
        _push,
        _pull,
    )
}


class OnVectors:
    """A function of trees, `f(*before, x, *args)`, as functions of NumPy's float64 vectors, for
    SciPy to call.

    >>> square = OnVectors(lambda x: x["a"] ** 2, space_of({"a": 3.0}, "x0"))
    >>> square.value_and_gradient(np.array([3.0]))
    (9.0, array([6.]))
    """

    def __init__(
        self,
        f: Callable[..., Any],
        space: Space,
        args: Any = (),
        compiled: bool = True,
        spread: bool = False,
        before: Any = (),
    ) -> None:
        if not callable(f):
            raise TypeError(f"a function is needed, got {f!r}, at {user_line()}")
        self.call, self.args, self.before = Call(f, space, spread), tuple(args), before
        self.compiled = compiled
        self.out: Space | None = None  # known once the function has been evaluated

    def _of(self, fun: Callable[..., Any], v: Any, *more: Any) -> Any:
        if self.compiled:
            fun = _COMPILED[fun]
        more = tuple([np.asarray(x, DOUBLE) for x in more])
        with enable_x64(True):
            return fun(self.call, self.before, as_array(np.asarray(v, DOUBLE)), self.args, *more)

    def scalar(self, v: Any) -> float:
        """The value, which must be one real number."""
        return float(self._of(_scalar, v))

    def value_and_gradient(self, v: Any) -> tuple[float, Any]:
        """The value and its gradient."""
        value, gradient = self._of(_value_and_gradient, v)
        return float(value), np.array(gradient)

    def hessian(self, v: Any) -> Any:
        """The matrix of second derivatives."""
        return np.array(self._of(_hessian, v))

    def hessian_product(self, v: Any, p: Any) -> Any:
        """The Hessian's product with a vector: forward over reverse."""
        return np.array(self._of(_hessian_product, v, p))

    def vector(self, v: Any) -> Any:
        """The values as a vector."""
        tree = self._of(_tree, v)
        if self.out is None:
            with enable_x64(True):
                self.out = space_of(tree, "the function's value", given=False)
        return self.out.vector(tree)

    def jacobian(self, v: Any) -> Any:
        """The matrix of first derivatives, in the mode with fewer passes."""
        if self.out is None:
            self.vector(v)
        assert self.out is not None
        forward = self.call.space.size <= self.out.size
        return np.array(self._of(_jacobian_forward if forward else _jacobian_reverse, v))

    def weighted_hessian(self, v: Any, weights: Any) -> Any:
        """The sum of the values' Hessians times weights."""
        return np.array(self._of(_weighted_hessian, v, weights))

    def operator(self, v: Any) -> Any:
        """The Jacobian as a `scipy.sparse.linalg.LinearOperator`, which never has its matrix."""
        from scipy.sparse.linalg import LinearOperator

        if self.out is None:
            self.vector(v)
        assert self.out is not None
        v = np.array(v, DOUBLE)
        return LinearOperator(
            (self.out.size, self.call.space.size),
            matvec=lambda t: np.array(self._of(_push, v, np.reshape(t, -1))),
            rmatvec=lambda ct: np.array(self._of(_pull, v, np.reshape(ct, -1))),
            dtype=DOUBLE,
        )


__all__ = ["OnVectors", "Space", "space_of"]
