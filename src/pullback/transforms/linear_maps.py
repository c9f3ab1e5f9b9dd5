"""Linear maps as values: what `linearize`, `vjp` and `linear_transpose` give, and what can be made
of such maps.

A map that was recorded is a tape of nodes (`core.linear`), which are pushed forwards or pulled
back. Products, sums, multiples and conjugates of maps apply their parts one after the other. All
are functions of pytrees, pytrees themselves, and a vector space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.linear import Cotangents, Input, Node, push_nodes, reachable, zeros
from pullback.core.staging import stage_flat
from pullback.core.tree import (
    keystr,
    register_pytree_node,
    tree_flatten,
    tree_flatten_with_path,
    tree_leaves,
    tree_map,
    tree_unflatten,
)
from pullback.core.types import ShapedArray
from pullback.lax.shape import convert
from pullback.transforms.jvp import as_weak_as
from pullback.xla.devices import beside

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Auxiliary, Cotangent, NumPyArray, Operand, Tree, TypeTree, Value
    from pullback.core.types import Shape

    #: A `scipy.sparse.linalg.LinearOperator`.
    ScipyOperator = Any
    from pullback.core.tree import PyTreeDef


class LinearMap:
    """A linear function between spaces of pytrees, recorded once and applied many times.

    Call it with one argument for each input. `.T` is the transpose (plain, not conjugated) and `.H`
    the conjugate transpose; `@` composes maps; maps of the same spaces are added and subtracted,
    and multiplied by scalars. `.in_type` and `.out_type` are trees of `ShapedArray`, `.program()`
    is the linear program, which printing shows, `.to_matrix()` the dense matrix and `.to_scipy()` a
    `scipy.sparse.linalg.LinearOperator`. It is a pytree whose leaves are the residual arrays.

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

    #: The types of the arguments: a tuple of trees of `ShapedArray`, and of the result: one tree.
    #: Example: `(ShapedArray(float32[3]),)`.
    in_type: Any
    out_type: Any

    def __call__(self, *args: Tree) -> Tree:
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    @property
    def T(self) -> LinearMap:
        """The transpose. Of a map of several arguments it returns their cotangents in a tuple.

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
        types = _sizes((self.in_type, self.out_type))
        return Conjugate(self.T) if any([dtypes.is_complex(t.dtype) for t in types]) else self.T

    def __matmul__(self, other: LinearMap) -> LinearMap:
        return Product((*_factors(self), *_factors(other))) if isinstance(other, LinearMap) else NotImplemented

    def __add__(self, other: LinearMap) -> LinearMap:
        if not isinstance(other, LinearMap):
            return NotImplemented
        for mine, others, what in ((self.in_type, other.in_type, "inputs"), (self.out_type, other.out_type, "outputs")):
            if _space(mine) != _space(others):
                raise TypeError(
                    f"linear maps of different spaces cannot be added: {what} are {mine} and {others}, at {user_line()}"
                )
        return Sum((*_terms(self), *_terms(other)))

    def __neg__(self) -> LinearMap:
        return self * -1

    def __sub__(self, other: LinearMap) -> LinearMap:
        return self + -other if isinstance(other, LinearMap) else NotImplemented

    def __mul__(self, scalar: Operand) -> LinearMap:
        try:
            factor = as_array(scalar)
        except TypeError:
            return NotImplemented
        types = _sizes(self.out_type)
        if factor.shape or (dtypes.is_complex(factor.dtype) and not all([dtypes.is_complex(t.dtype) for t in types])):
            raise TypeError(
                f"a linear map is multiplied by scalars of its outputs' kind, not by {factor.aval.str_short()}, at {user_line()}"
            )
        return Multiple(factor, self)

    __rmul__ = __mul__

    def __truediv__(self, scalar: Operand) -> LinearMap:
        reciprocal: Any = as_array(scalar)
        return self * (1 / reciprocal)

    def program(self) -> ClosedJaxpr:
        """The linear program, of the leaves of the arguments (but those of dtype float0, which are
        zero).

        >>> import pullback as pb
        >>> pb.linearize(lambda x: x**3, 2.0)[1].program()
        { lambda ; a:f32[]. let b:f32[] = mul 12.0:f32[] a in (b,) }
        """
        leaves, tree = tree_flatten(self.in_type, is_leaf=_is_type)

        def flat(*xs: Value) -> list[Value]:
            rest = iter(xs)
            args: Any = tree.unflatten([_zero(t) if t.dtype == dtypes.float0 else next(rest) for t in leaves])
            return [x for x in tree_leaves(self(*args)) if x.dtype != dtypes.float0]

        return stage_flat(flat, [t for t in leaves if t.dtype != dtypes.float0])

    def to_matrix(self) -> Array:
        """The dense matrix, shape (total output size, total input size): columns are images of the
        basis vectors.

        Raises TypeError if inputs and outputs do not all have one dtype.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> pb.linearize(jnp.diff, jnp.ones(3))[1].to_matrix()
        Array([[-1.,  1.,  0.],
               [ 0., -1.,  1.]], dtype=float32)
        """
        return matrix_of(self)

    def to_scipy(self) -> ScipyOperator:
        """A `scipy.sparse.linalg.LinearOperator` that applies the map (and, as `rmatvec`, its
        adjoint) to flat vectors.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> operator = pb.linearize(jnp.cumsum, jnp.ones(3))[1].to_scipy()
        >>> operator.shape, operator.matvec([1.0, 1.0, 1.0]).tolist()
        ((3, 3), [1.0, 2.0, 3.0])
        """
        return scipy_operator(self)

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, _sizes(t))) for t in (self.in_type, self.out_type))
        return f"LinearMap(({inputs}) → ({outputs}))\n{self.program()}"

    def _repr_html_(self) -> str:
        """The spaces, where the matrix is not zero if it is of a size to be made, and the program."""
        from html import escape

        from pullback.core.html import pattern_svg

        types = _sizes((self.in_type, self.out_type))
        rows, columns = (sum([t.size for t in _sizes(side)]) for side in (self.out_type, self.in_type))
        is_small = 0 < rows * columns <= 1 << 18 and len({t.dtype for t in types}) == 1
        plot = f"<div>{pattern_svg(np.asarray(self.to_matrix()))}</div>" if is_small else ""
        head = escape(repr(self).partition("\n")[0])
        return f"<div><code>{head}</code></div>{plot}{self.program()._repr_html_()}"


# ---- recorded maps -------------------------------------------------------------------------------


class RecordedMap(LinearMap):
    """A map that was recorded: `nodes` are its steps (see `core.linear.Node`), for `f_lin` of
    `linearize(jnp.sin, x)` an input and its multiple.

    Example: `linearize(jnp.sin, 0.0)[1]`.
    """

    __slots__ = ("_order", "_inputs", "_outputs", "_in_tree", "_out_tree", "_out_types", "_transposed", "_what")

    def __init__(
        self,
        inputs: Sequence[Value],
        outputs: Sequence[Node | None],
        in_tree: PyTreeDef | None,
        out_tree: PyTreeDef | None,
        out_types: Sequence[ShapedArray],
        transposed: bool = False,
        what: str = "linear map",
    ) -> None:
        # `inputs`: an Input node each, or the ShapedArray of an input without tangents. A tree None
        # stands for one bare array: the tuple of one argument, or one output.
        self._inputs, self._outputs = inputs, outputs
        self._in_tree, self._out_tree, self._out_types = in_tree, out_tree, out_types
        self._transposed, self._what = transposed, what
        self._order: list[Node] | None = None

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in evaluation order (of the map that was recorded, if this is its transpose)."""
        if self._order is None:
            self._order = reachable(self._outputs)
        return self._order

    # ---- application -----------------------------------------------------------------------------

    def __call__(self, *args: Tree) -> Tree:
        try:
            return self._pull(*args) if self._transposed else self._push(*args)
        except Exception as error:
            filter_traceback(error)
            raise

    def _push(self, *args: Tree) -> Tree:
        flat, in_tree = tree_flatten(args)
        expected = tree_flatten((0,))[1] if self._in_tree is None else self._in_tree
        if in_tree != expected:
            raise TypeError(f"{self._what}: tangent arguments have tree structure {in_tree}, expected {expected}")
        tangents = {}
        for node, t in zip(self._inputs, flat):
            if isinstance(node, Node):
                tangents[node.id] = _checked(t, node.shape, node.dtype, "tangent", self._what)
            elif getattr(t, "dtype", None) != dtypes.float0:
                raise TypeError(f"{self._what}: an input of type {node} takes tangents of dtype float0, got {t!r:.60}")
        push_nodes(self.nodes, tangents)
        outs = []
        for node, t in zip(self._outputs, self._out_types):
            out = None if node is None else tangents.get(node.id)
            outs.append(_zero(t, flat) if out is None else as_weak_as(out, t.weak_type))
        return outs[0] if self._out_tree is None else self._out_tree.unflatten(outs)

    def _pull(self, *args: Tree) -> Tree:
        if len(args) != 1:
            raise TypeError(
                f"{self._what}: takes one cotangent, of the structure of the output; got {len(args)} arguments"
            )
        (ct,) = args
        cotangents = Cotangents()
        if self._out_tree is None:
            flat = [ct]
            if not isinstance(ct, Array):
                flat, tree = tree_flatten(ct)
                if len(flat) != 1 or flat[0] is not ct:
                    raise ValueError(
                        f"{self._what}: cotangent has tree structure {tree}, but the output is a single array"
                    )
        else:
            flat, tree = tree_flatten(ct)
            if tree != self._out_tree:
                raise ValueError(
                    f"{self._what}: cotangent has tree structure {tree}, expected {self._out_tree}, that of the output"
                )
        for i, (node, t, c) in enumerate(zip(self._outputs, self._out_types, flat)):
            c = _checked_cotangent(c, t, self._what, partial(self._out_path, i))
            if node is not None and c is not None:
                cotangents.add(node, c)
        cotangents.pull()
        outs = []
        for x in self._inputs:
            found = cotangents.get(x) if isinstance(x, Node) else None
            outs.append(_zero(x, flat) if found is None else as_weak_as(found, x.weak_type))
        return tuple(outs) if self._in_tree is None else self._in_tree.unflatten(outs)

    def _out_path(self, i: int) -> str:
        if self._out_tree is None:
            return ""
        tree = tree_unflatten(self._out_tree, list(range(len(self._outputs))))
        return next(keystr(path) for path, leaf in tree_flatten_with_path(tree)[0] if leaf == i)

    # ---- types

    @property
    def T(self) -> RecordedMap:
        return RecordedMap(
            self._inputs, self._outputs, self._in_tree, self._out_tree, self._out_types, not self._transposed, self._what
        )  # fmt: skip

    @property
    def in_type(self) -> TypeTree:
        return (self._out_tree_of(self._out_types),) if self._transposed else self._in_tree_of(self._in_types())

    @property
    def out_type(self) -> TypeTree:
        return self._in_tree_of(self._in_types()) if self._transposed else self._out_tree_of(self._out_types)

    def _in_types(self) -> list[ShapedArray]:
        return [ShapedArray(x.shape, x.dtype, x.weak_type) if isinstance(x, Input) else x for x in self._inputs]

    def _in_tree_of(self, leaves: Sequence[Value]) -> Tree:
        return tuple(leaves) if self._in_tree is None else self._in_tree.unflatten(list(leaves))

    def _out_tree_of(self, leaves: Sequence[Value]) -> Tree:
        return leaves[0] if self._out_tree is None else self._out_tree.unflatten(list(leaves))


class _Structure:
    """All of a RecordedMap but its residuals: comparable and hashable, as a pytree's auxiliary data
    must be.

    Example: two linearizations of one function at two points have equal ones.
    """

    __slots__ = ("map", "counts", "key")

    def __init__(self, m: RecordedMap) -> None:
        self.map = m
        nodes = m.nodes
        inputs = [x for x in m._inputs if isinstance(x, Node)]
        numbering = {n.id: i for i, n in enumerate(inputs)}
        for node in nodes:
            numbering.setdefault(node.id, len(numbering))
        self.counts = [len(n.residuals()) for n in nodes]
        self.key = (
            tuple(n.structure(numbering) for n in nodes),
            tuple(numbering[x.id] if isinstance(x, Node) else x for x in m._inputs),
            tuple(None if n is None else numbering[n.id] for n in m._outputs),
            m._in_tree, m._out_tree, tuple(m._out_types), m._transposed,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key[2:])


def _flatten_map(m: RecordedMap) -> tuple[list[Value], _Structure]:
    return [r for node in m.nodes for r in node.residuals()], _Structure(m)


def _unflatten_map(structure: Auxiliary, leaves: Value) -> RecordedMap:
    m, rest = structure.map, iter(leaves)
    built: dict[int, Node] = {}
    for x in m._inputs:
        if isinstance(x, Node):
            built[x.id] = x.rebuild((), built)
    for node, count in zip(m.nodes, structure.counts):
        residuals = [next(rest) for _ in range(count)]
        if node.id not in built:
            built[node.id] = node.rebuild(residuals, built)
    return RecordedMap(
        [built[x.id] if isinstance(x, Node) else x for x in m._inputs],
        [None if n is None else built[n.id] for n in m._outputs],
        m._in_tree, m._out_tree, m._out_types, m._transposed, m._what,
    )  # fmt: skip


register_pytree_node(RecordedMap, _flatten_map, _unflatten_map)


# ---- what is made of maps ------------------------------------------------------------------------


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
            out = factor(*out) if _takes_tuple(factor, out) else factor(out)
        return out

    T = property(lambda self: Product([f.T for f in reversed(self.factors)]))
    in_type = property(lambda self: self.factors[-1].in_type)
    out_type = property(lambda self: self.factors[0].out_type)


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
        total, *others = [term(*args) for term in self.terms]
        for other in others:
            total = tree_map(lambda a, b: a if a.dtype == dtypes.float0 else a + b, total, other)
        return total

    T = property(lambda self: Sum([t.T for t in self.terms]))
    in_type = property(lambda self: self.terms[0].in_type)
    out_type = property(lambda self: self.terms[0].out_type)


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
    from pullback.lax.elementwise import conj_p

    x = x if getattr(x, "dtype", None) == dtypes.float0 else as_array(x)
    return conj_p.bind(x) if dtypes.is_complex(x.dtype) else x


def _factors(m: LinearMap) -> tuple[LinearMap, ...]:
    return m.factors if isinstance(m, Product) else (m,)


def _terms(m: LinearMap) -> tuple[LinearMap, ...]:
    return m.terms if isinstance(m, Sum) else (m,)


def _is_type(x: object) -> bool:
    return isinstance(x, ShapedArray)


def _space(types: TypeTree) -> TypeTree:
    """What two types must have in common for their elements to be added."""
    leaves, tree = tree_flatten(types, is_leaf=_is_type)
    return tree, [(t.shape, t.dtype) for t in leaves]


def _takes_tuple(factor: Tree, out: Tree) -> bool:
    """Whether `out`, a tuple from a transposed map, is the argument list of `factor`."""
    return (
        isinstance(out, tuple)
        and len(factor.in_type) == len(out)
        and not (len(out) == 1 and isinstance(factor.in_type[0], tuple))
    )


# ---- matrices ------------------------------------------------------------------------------------


def _sizes(tree: TypeTree) -> list[ShapedArray]:
    return tree_leaves(tree, is_leaf=_is_type)


def matrix_of(m: LinearMap) -> Array:
    """The dense matrix of a linear map (see `LinearMap.to_matrix`)."""
    from pullback.transforms.vmap import vmap

    in_types, out_types = _sizes(m.in_type), _sizes(m.out_type)
    if len({t.dtype for t in (*in_types, *out_types)}) != 1:
        raise TypeError(f"to_matrix: inputs and outputs must have one dtype, got {in_types} and {out_types}")
    n = sum(t.size for t in in_types)
    tree = tree_flatten(m.in_type, is_leaf=_is_type)[1]

    def flat(v: Value) -> Value:
        out = tree_leaves(m(*tree.unflatten(_split(v, in_types))))
        return _concatenate([o.reshape(-1) for o in out])

    return vmap(flat, out_axes=1)(concrete(np.eye(n, dtype=in_types[0].dtype)))


def _split(v: Value, types: Sequence[ShapedArray]) -> list[Value]:
    parts, start = [], 0
    for t in types:
        parts.append(v[start : start + t.size].reshape(t.shape))
        start += t.size
    return parts


def _concatenate(parts: list[Value]) -> Value:
    if len(parts) == 1:
        return parts[0]
    from pullback.lax.arrangement import concatenate

    return concatenate(parts, 0)


def scipy_operator(m: LinearMap) -> ScipyOperator:
    """A `scipy.sparse.linalg.LinearOperator` of a linear map (see `LinearMap.to_scipy`)."""
    from scipy.sparse.linalg import LinearOperator

    in_types, out_types = _sizes(m.in_type), _sizes(m.out_type)

    def apply(f: LinearMap, types: list[ShapedArray], v: NumPyArray) -> NumPyArray:
        tree = tree_flatten(f.in_type, is_leaf=_is_type)[1]
        v = np.asarray(v).reshape(-1)
        parts, start = [], 0
        for t in types:
            parts.append(as_array(v[start : start + t.size].reshape(t.shape).astype(t.dtype)))
            start += t.size
        return np.concatenate([np.asarray(o).reshape(-1) for o in tree_leaves(f(*tree.unflatten(parts)))])

    def adjoint(v: NumPyArray) -> NumPyArray:
        # SciPy's rmatvec is the conjugate transpose.
        return np.conj(apply(m.T, out_types, np.conj(v)))

    shape = (sum(t.size for t in out_types), sum(t.size for t in in_types))
    dtype = np.result_type(*(t.dtype for t in (*in_types, *out_types)))
    return LinearOperator(shape, matvec=lambda v: apply(m, in_types, v), rmatvec=adjoint, dtype=dtype)


# ---- checks --------------------------------------------------------------------------------------


def _zero(t: ShapedArray | Input, given: Sequence[Value] = ()) -> Value:
    """A zero of a type, where the tangents or cotangents are that were given."""
    if t.dtype == dtypes.float0:
        return np.zeros(t.shape, dtypes.float0)
    return beside(zeros(t.shape, t.dtype, t.weak_type), *given)


def _checked(x: Value, shape: Shape, dtype: DType, role: str, what: str, path: Callable[[], str] = str) -> Value:
    """`x` as an array of exactly the given type; weakly typed scalars are converted."""
    x = as_array(x)
    if x.shape != shape:
        raise ValueError(f"{what}: {role}{path()} has shape {x.shape}, expected {shape}, at {user_line()}")
    if x.dtype != dtype:
        fits = dtypes.is_complex(dtype) or not dtypes.is_complex(x.dtype)
        if x.weak_type and fits and (dtypes.is_inexact(x.dtype) or dtypes.is_integer(x.dtype)):
            return convert(x, dtype)
        raise ValueError(
            f"{what}: {role}{path()} has dtype {dtypes.name(x.dtype)}, expected {dtypes.name(dtype)}, at {user_line()}"
        )
    return x


def _checked_cotangent(ct: Cotangent, t: ShapedArray, what: str, path: Callable[[], str]) -> Cotangent:
    if t.dtype == dtypes.float0:
        if getattr(ct, "dtype", None) != dtypes.float0:
            raise ValueError(
                f"{what}: the output{path()} is discrete, its cotangent must have dtype float0; got "
                f"{getattr(ct, 'dtype', type(ct).__name__)}"
            )
        return None
    if getattr(ct, "dtype", None) == dtypes.float0:
        raise ValueError(f"{what}: cotangent{path()} has dtype float0, expected {dtypes.name(t.dtype)}")
    return _checked(ct, t.shape, t.dtype, "cotangent", what, path)
