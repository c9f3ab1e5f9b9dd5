"""Linear maps as values, and what is made of them: products, sums, multiples, conjugates and powers,
symmetric maps, and the maps that need no recording: identities and diagonal ones.

`LinearMap` is the base: a function of pytrees, a pytree itself, and an element of a vector space. What is
made of maps applies its parts one after the other, has its transpose in terms of theirs, and is a pytree
of them. Maps that were recorded are in `linear_maps`; what maps are to vectors, matrices and SciPy is in
`map_matrices`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.staging import stage_flat
from pullback.core.tree import register_pytree_node, tree_flatten, tree_leaves, tree_map
from pullback.core.types import ShapedArray, integer, typeof
from pullback.lax.elementwise import conj_p
from pullback.lax.family import mul_p
from pullback.lax.shape import convert
from pullback.transforms.jvp import as_weak_as
from pullback.transforms.map_matrices import applied, columns_of, matrix_of, scipy_operator
from pullback.transforms.map_spaces import bare, checked, difference, flattened, space, types_in, zero_of

if TYPE_CHECKING:
    from pullback.core.names import Auxiliary, Function, Operand, Tree, TypeTree, Value
    from pullback.core.tree import PyTreeDef
    from pullback.transforms.map_matrices import Mode

    #: A `scipy.sparse.linalg.LinearOperator`.
    ScipyOperator = Any
    #: An array of `scipy.sparse`.
    ScipyMatrix = Any


class LinearMap:
    """A linear function between spaces of pytrees, recorded once and applied many times.

    Call it with one argument for each input. `.T` is the transpose (plain, not conjugated) and `.H`
    the conjugate transpose; `@` composes maps and applies them to vectors and to batches of vectors;
    maps of the same spaces are added and subtracted, multiplied by scalars, and of one space also
    raised to powers. `.in_type` and `.out_type` are trees of `ShapedArray`, `.shape` is that of the
    matrix, `.program()` is the linear program, which printing shows, `.to_matrix()` the dense matrix,
    `.to_sparse()` a sparse one and `.to_scipy()` a `scipy.sparse.linalg.LinearOperator`. It is a pytree
    whose leaves are the residual arrays, and so passes through `jit`, `vmap` and loops.

    >>> from pullback.transforms.linearize import linearize
    >>> y, f_lin = linearize(lambda x: x**2, 3.0)
    >>> float(f_lin(1.0)), float(f_lin.T(1.0)[0])
    (6.0, 6.0)
    >>> float((2 * f_lin - f_lin)(1.0))
    6.0
    >>> f_lin
    LinearMap((~float32[]) → (~float32[]))
    { lambda ; a:f32[]. let b:f32[] = mul 6.0:f32[] a in (b,) }
    """

    __slots__ = ()
    #: NumPy's arrays and scalars leave operators to this class.
    __array_ufunc__ = None

    #: The types of the arguments: a tuple of trees of `ShapedArray`, and of the result: one tree.
    #: Example: `(ShapedArray(float32[3]),)`.
    in_type: Any
    out_type: Any

    @staticmethod
    def identity(like: Tree) -> LinearMap:
        """The identity of a space of trees like `like`: arrays, or types with `shape` and `dtype`.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> x = jnp.array([3.0, 4.0])
        >>> hessian = pb.derivatives.hessian_map(lambda x: jnp.sum(x**3), x)
        >>> (hessian + 0.5 * LinearMap.identity(x)) @ x                        # damped
        Array([55.5, 98. ], dtype=float32)
        """
        return identity_map(like)

    @staticmethod
    def diagonal(values: Tree) -> LinearMap:
        """The map that multiplies each element of a tree by that of `values` in its place.

        >>> import pullback.numpy as jnp
        >>> LinearMap.diagonal(jnp.array([1.0, 2.0])).to_matrix()
        Array([[1., 0.],
               [0., 2.]], dtype=float32)
        """
        return diagonal_map(values)

    def __call__(self, *args: Tree) -> Tree:
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    @property
    def T(self) -> LinearMap:
        """The transpose. Of a map of several arguments it returns their cotangents in a tuple, and so of
        one argument in a tuple of one (`@` gives it alone); a map that is its own transpose returns what
        it always does.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> _, f_lin = pb.linearize(lambda x, y: x @ y, jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]))
        >>> f_lin.T(1.0)
        (Array([3., 4.], dtype=float32), Array([1., 2.], dtype=float32))
        """
        raise NotImplementedError(f"{type(self).__name__} must define T")

    @property
    def H(self) -> LinearMap:
        """The conjugate transpose, which is the transpose of a real map.

        >>> import pullback as pb
        >>> _, f_lin = pb.linearize(lambda z: 1j * z, 1.0 + 0j)
        >>> complex(f_lin.T(1.0 + 0j)[0]), complex(f_lin.H(1.0 + 0j)[0])
        (1j, -1j)
        """
        return Conjugate(self.T) if any([dtypes.is_complex(t.dtype) for t in self._types()]) else self.T

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix: the sizes of the output and of the input, of which arrays of dtype
        float0 are no part.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> pb.linearize(jnp.diff, jnp.ones(3))[1].shape
        (2, 3)
        """
        rows, columns = (
            sum([t.size for t in types_in(side) if t.dtype != dtypes.float0]) for side in (self.out_type, self.in_type)
        )
        return rows, columns

    def _types(self) -> list[ShapedArray]:
        return types_in((self.in_type, self.out_type))

    # ---- algebra

    def __matmul__(self, other: Tree) -> Tree:
        """The product with a map, or what the map makes of a vector: a tree like the map's argument (like
        the tuple of them, if there are several), or a batch of such trees, whose arrays have one axis
        more, the last. A map of one array takes an array, and one on vectors the columns of a matrix.

        Spaces of tuples of one are those of what is in them: `J.T @ w` is no tuple, where `J.T(w)` is.
        Raises TypeError for other structures, ValueError for other shapes.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> J = pb.linearize(lambda x: x[1:] * x[:-1], jnp.array([1.0, 2.0, 3.0]))[1]
        >>> J @ jnp.array([1.0, 0.0, 0.0]), J.T @ J @ jnp.ones(3)
        (Array([2., 0.], dtype=float32), Array([ 6., 18., 10.], dtype=float32))
        >>> J @ jnp.eye(3)
        Array([[2., 1., 0.],
               [0., 3., 2.]], dtype=float32)
        """
        return product(self, other) if isinstance(other, LinearMap) else applied(self, other, -1)

    def __rmatmul__(self, other: Tree) -> Tree:
        """`w @ m`, that is `m.T @ w`; batches have their axis in front, like the rows of a matrix.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> jnp.eye(2) @ pb.linearize(jnp.diff, jnp.ones(3))[1]
        Array([[-1.,  1.,  0.],
               [ 0., -1.,  1.]], dtype=float32)
        """
        return applied(self.T, other, 0)

    def __add__(self, other: LinearMap) -> LinearMap:
        return total(self, other) if isinstance(other, LinearMap) else NotImplemented

    def __neg__(self) -> LinearMap:
        return self * -1

    def __sub__(self, other: LinearMap) -> LinearMap:
        return self + -other if isinstance(other, LinearMap) else NotImplemented

    def __mul__(self, scalar: Operand) -> LinearMap:
        try:
            factor = as_array(scalar)
        except TypeError:
            return NotImplemented
        types = types_in(self.out_type)
        if factor.shape or (dtypes.is_complex(factor.dtype) and not all([dtypes.is_complex(t.dtype) for t in types])):
            raise TypeError(
                f"a linear map is multiplied by scalars of its outputs' kind, not by {factor.aval.str_short()}, at {user_line()}"
            )
        return Multiple(factor, self)

    __rmul__ = __mul__

    def __truediv__(self, scalar: Operand) -> LinearMap:
        reciprocal: Any = as_array(scalar)
        return self * (1 / reciprocal)

    def __pow__(self, exponent: int) -> LinearMap:
        """The map applied `exponent` times, of a map of one space. Raises ValueError for other maps, and
        for negative exponents.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> double = pb.linearize(lambda x: 2 * x, jnp.ones(2))[1]
        >>> double**3 @ jnp.array([1.0, 10.0])
        Array([ 8., 80.], dtype=float32)
        """
        return power(self, exponent)

    # ---- other forms

    def program(self) -> ClosedJaxpr:
        """The linear program, of the leaves of the arguments (but those of dtype float0, which are
        zero).

        >>> import pullback as pb
        >>> pb.linearize(lambda x: x**3, 2.0)[1].program()
        { lambda ; a:f32[]. let b:f32[] = mul 12.0:f32[] a in (b,) }
        """
        leaves, tree = flattened(self.in_type)

        def flat(*xs: Value) -> list[Value]:
            rest = iter(xs)
            args: Any = tree.unflatten([zero_of(t) if t.dtype == dtypes.float0 else next(rest) for t in leaves])
            return [x for x in tree_leaves(self(*args)) if x.dtype != dtypes.float0]

        return stage_flat(flat, [t for t in leaves if t.dtype != dtypes.float0])

    def to_matrix(self, mode: Mode = "auto", batch_size: int | None = None) -> Array:
        """The dense matrix, shape (total output size, total input size): columns are images of the
        basis vectors. Arrays of dtype float0 are no part of it; the dtype is that of the outputs.

        `mode` says whether the map is applied to the basis of the inputs ("forward") or its transpose
        to that of the outputs ("reverse"); "auto" takes the smaller. With `batch_size`, only so many
        basis vectors are mapped at a time. Raises ValueError for other modes and for a `batch_size` that
        is not positive, TypeError for maps that have no matrix: of complex inputs, if an output is real,
        or if it is linear over the reals alone (it conjugates, say; which is seen unless the map is
        traced).

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> pb.linearize(jnp.diff, jnp.ones(3))[1].to_matrix()
        Array([[-1.,  1.,  0.],
               [ 0., -1.,  1.]], dtype=float32)
        """
        return matrix_of(self, mode, batch_size)

    def to_scipy(self, transform: Function | None = None) -> ScipyOperator:
        """A `scipy.sparse.linalg.LinearOperator` that applies the map (and, as `rmatvec`, its
        adjoint) to flat vectors, and to the columns of matrices at once.

        `transform` is applied to the functions that do so: `to_scipy(pullback.jit)` compiles them, which
        pays where many products are made. TypeError as for `to_matrix`.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> operator = pb.linearize(jnp.cumsum, jnp.ones(3))[1].to_scipy()
        >>> operator.shape, operator.matvec([1.0, 1.0, 1.0]).tolist()
        ((3, 3), [1.0, 2.0, 3.0])
        """
        return scipy_operator(self, transform)

    def to_sparse(self, format: str = "csr") -> ScipyMatrix:
        """The matrix as a `scipy.sparse` array of this format: "csr", "csc" or "coo". Its pattern is found
        in the linear program, and its values by few products (see `derivatives.jacobian_plan`).

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> sparse = pb.linearize(jnp.diff, jnp.ones(1000))[1].to_sparse()
        >>> sparse.shape, sparse.nnz
        ((999, 1000), 1998)
        """
        # Sparse matrices are what stands far above this module.
        return import_module("pullback.derivatives.plans").sparse_matrix_of_map(self, format)

    @property
    def is_stacked(self) -> bool:
        """Whether these are several maps in one, as `vmap` and loops give them.

        >>> import pullback as pb
        >>> pb.linearize(pb.numpy.sin, 1.0)[1].is_stacked
        False
        """
        parts = tree_leaves(self, is_leaf=lambda x: x is not self and isinstance(x, LinearMap))
        return any([x.is_stacked for x in parts if isinstance(x, LinearMap)])

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, types_in(t))) for t in (self.in_type, self.out_type))
        head = f"LinearMap(({inputs}) → ({outputs}))"
        return f"several {head} in one" if self.is_stacked else f"{head}\n{self.program()}"

    def _repr_html_(self) -> str:
        """The spaces, where the matrix is not zero if it is of a size to be made, and the program."""
        from html import escape

        from pullback.core.html import pattern_svg

        if self.is_stacked:
            return f"<div><code>{escape(repr(self))}</code></div>"
        rows, columns = self.shape
        is_small = 0 < rows * columns <= 1 << 18 and len({t.dtype for t in self._types()}) == 1
        plot = f"<div>{pattern_svg(np.asarray(columns_of(self)))}</div>" if is_small else ""
        head = escape(repr(self).partition("\n")[0])
        return f"<div><code>{head}</code></div>{plot}{self.program()._repr_html_()}"


# ---- parts, applied one after the other ----------------------------------------------------------


class _Made(LinearMap):
    """Base of what is made of maps, a pytree of its slots.

    Example: `Product`, whose children are its factors.
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        names: tuple[str, ...] = cls.__slots__
        flatten = lambda m: (tuple([getattr(m, n) for n in names]), None)
        register_pytree_node(cls, flatten, lambda _, children: cls(*children))


class Product(_Made):
    """A product of maps: the last is applied first. `a @ b`.

    >>> import pullback as pb
    >>> _, f_lin = pb.linearize(lambda x: 3 * x, 1.0)
    >>> float((f_lin @ f_lin)(1.0))
    9.0
    """

    __slots__ = ("factors",)

    def __init__(self, factors: Sequence[LinearMap]) -> None:
        self.factors = tuple(factors)

    def __call__(self, *args: Tree) -> Tree:
        *rest, first = self.factors
        out = first(*args)
        for factor in reversed(rest):
            # The same arrays, as the arguments of the next factor: transposes give tuples.
            given: Any = flattened(factor.in_type)[1].unflatten(tree_leaves(out))
            out = factor(*given)
        return out

    T = property(lambda self: Product([f.T for f in reversed(self.factors)]))
    in_type = property(lambda self: self.factors[-1].in_type)
    out_type = property(lambda self: self.factors[0].out_type)


def product(left: LinearMap, right: LinearMap) -> LinearMap:
    """`left @ right`. Raises TypeError if the space between them is not one."""
    if space(left.in_type) != space(right.out_type):
        raise TypeError(
            f"linear maps cannot be composed: the input of the first and the output of the second are "
            f"{difference(left.in_type, right.out_type)}, at {user_line()}"
        )
    return Product((*_factors(left), *_factors(right)))


def power(m: LinearMap, exponent: int) -> LinearMap:
    """`m ** exponent` (see `LinearMap.__pow__`)."""
    n = integer(exponent, "the exponent of a linear map")
    if n < 0:
        raise ValueError(f"a linear map has no power {n}, at {user_line()}: solve linear systems, or invert its matrix")
    if space(m.in_type) != space(m.out_type):
        raise ValueError(
            f"only linear maps of one space have powers: input and output are {difference(m.in_type, m.out_type)}, at {user_line()}"
        )
    return Product(_factors(m) * n) if n else Identity(*flattened(bare(m.in_type)))


class Sum(_Made):
    """A sum of maps of the same spaces. `a + b`.

    >>> import pullback as pb
    >>> _, f_lin = pb.linearize(lambda x: 3 * x, 1.0)
    >>> float((f_lin + f_lin)(1.0))
    6.0
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Sequence[LinearMap]) -> None:
        self.terms = tuple(terms)

    def __call__(self, *args: Tree) -> Tree:
        first, *rest = self.terms
        results = [first(*args)]
        for term in rest:
            given: Any = flattened(term.in_type)[1].unflatten(tree_leaves(args))
            results.append(term(*given))
        if not self._is_uniform():
            results = list(map(bare, results))
        total, *others = results
        for other in others:
            total = tree_map(lambda a, b: a if a.dtype == dtypes.float0 else a + b, total, other)
        return total

    def _is_uniform(self) -> bool:
        """Whether all terms give the same tree: if some give it in a tuple of one, the sum does not."""
        return len({flattened(t.out_type)[1] for t in self.terms}) == 1

    T = property(lambda self: Sum([t.T for t in self.terms]))
    in_type = property(lambda self: self.terms[0].in_type)

    @property
    def out_type(self) -> TypeTree:
        types = self.terms[0].out_type
        return types if self._is_uniform() else bare(types)


def total(left: LinearMap, right: LinearMap) -> LinearMap:
    """`left + right`. Raises TypeError for maps of different spaces."""
    for mine, others, what in ((left.in_type, right.in_type, "inputs"), (left.out_type, right.out_type, "outputs")):
        if space(mine) != space(others):
            raise TypeError(
                f"linear maps of different spaces cannot be added: {what} are {difference(mine, others)}, at {user_line()}"
            )
    return Sum((*_terms(left), *_terms(right)))


class Multiple(_Made):
    """A map times a scalar. `2 * a`.

    >>> import pullback as pb
    >>> _, f_lin = pb.linearize(lambda x: 3 * x, 1.0)
    >>> float((2 * f_lin)(1.0))
    6.0
    """

    __slots__ = ("factor", "map")

    def __init__(self, factor: Value, map: LinearMap) -> None:
        self.factor, self.map = factor, map

    def __call__(self, *args: Tree) -> Tree:
        times = lambda x: x if x.dtype == dtypes.float0 else x * convert(self.factor, x.dtype)
        return tree_map(times, self.map(*args))

    T = property(lambda self: Multiple(self.factor, self.map.T))
    in_type = property(lambda self: self.map.in_type)
    out_type = property(lambda self: self.map.out_type)


class Conjugate(_Made):
    """The map x ↦ conj(a(conj(x))). `a.T.H`.

    Example: of the map x ↦ i x, x ↦ -i x.
    """

    __slots__ = ("map",)

    def __init__(self, map: LinearMap) -> None:
        self.map = map

    def __call__(self, *args: Tree) -> Tree:
        return tree_map(_conjugate, self.map(*tree_map(_conjugate, args)))

    T = property(lambda self: Conjugate(self.map.T))
    H = property(lambda self: self.map.T)
    in_type = property(lambda self: self.map.in_type)
    out_type = property(lambda self: self.map.out_type)


def _conjugate(x: Tree) -> Tree:
    x = x if getattr(x, "dtype", None) == dtypes.float0 else as_array(x)
    return conj_p.bind(x) if dtypes.is_complex(x.dtype) else x


class Symmetric(_Made):
    """A map that is its own transpose, in which whoever makes it knows it to be: a Hessian. It gives what
    `map` gives, but not in a tuple of one.

    >>> import pullback as pb
    >>> H = Symmetric(pb.linearize(pb.grad(lambda x: x**3), 2.0)[1])
    >>> H.T is H, float(H(1.0))
    (True, 12.0)
    """

    __slots__ = ("map",)

    def __init__(self, map: LinearMap) -> None:
        self.map = map

    def __call__(self, *args: Tree) -> Tree:
        out = self.map(*args)
        return out[0] if self._is_wrapped() else out

    def _is_wrapped(self) -> bool:
        types = self.map.out_type
        return type(types) is tuple and len(types) == 1

    @property
    def T(self) -> LinearMap:
        return self

    in_type = property(lambda self: self.map.in_type)

    @property
    def out_type(self) -> TypeTree:
        return self.map.out_type[0] if self._is_wrapped() else self.map.out_type


def _factors(m: LinearMap) -> tuple[LinearMap, ...]:
    return m.factors if isinstance(m, Product) else (m,)


def _terms(m: LinearMap) -> tuple[LinearMap, ...]:
    return m.terms if isinstance(m, Sum) else (m,)


# ---- without recording ---------------------------------------------------------------------------


class Identity(LinearMap):
    """The identity of a space of trees, a pytree without leaves. `LinearMap.identity`.

    Example: `LinearMap.identity({"w": w, "b": b})`.
    """

    __slots__ = ("types", "tree")

    def __init__(self, types: Sequence[ShapedArray], tree: PyTreeDef) -> None:
        self.types, self.tree = tuple(types), tree

    def __call__(self, *args: Tree) -> Tree:
        return self.tree.unflatten(_elements(self.types, self.tree, args, "identity"))

    @property
    def T(self) -> LinearMap:
        return self

    @property
    def H(self) -> LinearMap:
        return self

    in_type = property(lambda self: (self.tree.unflatten(list(self.types)),))
    out_type = property(lambda self: self.tree.unflatten(list(self.types)))


def _identity_of(structure: Auxiliary, _: object) -> Identity:
    types, tree = structure
    return Identity(types, tree)


register_pytree_node(Identity, lambda m: ((), (m.types, m.tree)), _identity_of)


class Diagonal(_Made):
    """The map that multiplies by `values`, element by element. `LinearMap.diagonal`.

    Example: `LinearMap.diagonal(jnp.array([1.0, 2.0]))`.
    """

    __slots__ = ("values",)

    def __init__(self, values: Tree) -> None:
        self.values = values

    def __call__(self, *args: Tree) -> Tree:
        values, tree = tree_flatten(self.values)
        types = types_in(self.out_type)
        elements = _elements(types, tree, args, "diagonal map")
        times = lambda v, x, t: x if t.dtype == dtypes.float0 else as_weak_as(mul_p.bind(v, x), t.weak_type)
        return tree.unflatten(list(map(times, values, elements, types)))

    @property
    def T(self) -> LinearMap:
        return self

    in_type = property(lambda self: (self.out_type,))
    out_type = property(lambda self: tree_map(lambda v: typeof(v).to_tangent_aval(), self.values))


def identity_map(like: Tree) -> LinearMap:
    """See `LinearMap.identity`."""
    leaves, tree = tree_flatten(like, is_leaf=lambda x: isinstance(x, ShapedArray))
    return Identity([typeof(x).to_tangent_aval() for x in leaves], tree)


def diagonal_map(values: Tree) -> LinearMap:
    """See `LinearMap.diagonal`."""
    return Diagonal(tree_map(as_array, values))


def _elements(types: Sequence[ShapedArray], tree: PyTreeDef, args: tuple[Tree, ...], what: str) -> list[Value]:
    """The arrays of one argument of a map, checked."""
    leaves, structure = tree_flatten(args[0] if len(args) == 1 else args)
    if len(args) != 1 or structure != tree:
        raise TypeError(f"{what}: the argument has tree structure {structure}, expected {tree}, at {user_line()}")
    found: list[Value] = []
    for x, t in zip(leaves, types):
        if t.dtype == dtypes.float0:
            found.append(zero_of(t))
        else:
            x = checked(x, t.shape, t.dtype, "argument", what)
            found.append(as_weak_as(x, t.weak_type) if isinstance(x, Array) else x)
    return found


__all__ = [
    "Conjugate", "Diagonal", "Identity", "LinearMap", "Multiple", "Product", "Sum", "Symmetric",
]  # fmt: skip
