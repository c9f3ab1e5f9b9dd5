"""Sparse Jacobians and Hessians by plans: `jacobian_plan(f, x)` and `hessian_plan(f, x)`.

A plan is made once, of the types of the arguments: where the matrix is not zero (`detection`), which columns or
rows can be computed together (`coloring`), and where in the products with sums of unit vectors each
element of the matrix is found. Then

    plan = jacobian_plan(f, x)
    plan.values(x)             # the elements that are not zero: jits, vmaps, differentiates
    plan.matrix(x)             # a scipy.sparse matrix
    plan.bcoo(x)               # an array of pullback.experimental.sparse

costs one linearization of f and `plan.num_products` products, however many columns there are.

Sources: Curtis, Powell & Reid 1974; Coleman & Moré 1983; Gebremedhin, Manne & Pothen, "What color is your Jacobian?"
(SIAM Review 47, 2005); Gebremedhin et al. 2009 for Hessians.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import filter_traceback, see, user_line
from pullback.core.trace import Tracer
from pullback.core.tree import tree_flatten
from pullback.core.types import Shape, ShapedArray
from pullback.derivatives import coloring as graph
from pullback.derivatives.sparsity_patterns.detection import Blocks, Structure, is_variable, pattern_of_blocks
from pullback.derivatives.sparsity_patterns.pattern import SparsityPattern
from pullback.lax.creation import optimization_barrier
from pullback.transforms.derivatives import grad
from pullback.transforms.jit import jit
from pullback.transforms.linear_maps import LinearMap
from pullback.transforms.linearize import linearize
from pullback.transforms.map_matrices import check_linear
from pullback.transforms.vmap import vmap

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree, Value
    from pullback.transforms.derivatives import Argnums

    NumPyArray = np.ndarray[Any, Any]
    #: A `numpy.random.Generator`'s seed.
    Seed = int

Coloring = Literal["auto", "columns", "rows", "bidirectional"]
HessianColoring = Literal["auto", "star", "acyclic", "columns"]
_FORMATS = ("csr", "csc", "coo")
#: What a product with a row costs, in products with columns: about as measured for compiled programs.
_ROW_COST = 1.2


class Recovery:
    """Which element of the products is which element of the matrix, in the order of the pattern.

    The products with the columns' sums come first, one after the other, then those with the rows'. `index`
    numbers the elements of all; with `rounds` sums of them are made first, by substitution (acyclic
    colourings): see `coloring.acyclic_recovery`.

    Example: of a matrix of one column: `index` [0, 1, 2, ...].
    """

    __slots__ = ("index", "sign", "rounds", "entry")

    def __init__(self, index: NumPyArray, sign: Any = None, rounds: Sequence[Any] = (), entry: Any = None) -> None:
        self.index, self.sign, self.rounds, self.entry = index, sign, tuple(rounds), entry

    def __call__(self, products: Value) -> Value:
        from pullback import numpy as jnp

        def get(x: Value, i: NumPyArray) -> Value:
            return x.at[jnp.asarray(i.astype(np.int32) if x.size < 2**31 else i)].get(mode="promise_in_bounds")

        # Else XLA would compute the products again, element by element, in the gather's loop.
        found = get(optimization_barrier(products), self.index)
        if self.entry is None:
            return found
        sign = jnp.asarray(self.sign).astype(found.dtype)
        sums = sign * found
        for source, target in self.rounds:
            sums = sums.at[jnp.asarray(target)].add(get(sums, source))
        return get(sign * sums, self.entry)


class Plan:
    """Base of `JacobianPlan` and `HessianPlan`: a function, a pattern, colours. Abstract.

    Example: `jacobian_plan(jnp.diff, jnp.ones(3))`.
    """

    __slots__ = (
        "fun", "argnums", "pattern", "holomorphic", "row_colors", "column_colors", "coloring", "shapes", "static", "_recovery", "_compiled",
    )  # fmt: skip
    _what = "plan"

    def __init__(
        self, fun: Function | None, argnums: Argnums, pattern: SparsityPattern, coloring: str, holomorphic: bool,
        row_colors: NumPyArray | None, column_colors: NumPyArray | None, shapes: list[list[Shape]], static: list[Any] | None,
    ) -> None:  # fmt: skip
        self.fun, self.argnums = fun, argnums
        # What the plan is for: shapes of arguments that are differentiated, and of others; and what is no array (None: of a
        # plan from a file nobody knows).
        self.shapes, self.static = shapes, static
        #: Where the whole matrix may be not zero.
        self.pattern = pattern
        self.coloring, self.holomorphic = coloring, holomorphic
        #: The colour of each row that is multiplied from the left, -1 of the others; None if no row is.
        self.row_colors = row_colors
        #: The colour of each column, in the same way.
        self.column_colors = column_colors
        self._recovery: Recovery | None = None
        self._compiled: dict[Any, Any] = {}

    # ---- numbers

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix: elements of results and of arguments.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.diff, jnp.ones(5)).shape
        (4, 5)
        """
        return self.pattern.shape

    @property
    def num_forward(self) -> int:
        """How many products with columns' sums (Jacobian-vector products) there are.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.diff, jnp.ones(5)).num_forward
        2
        """
        return _number(self.column_colors)

    @property
    def num_reverse(self) -> int:
        """How many products with rows' sums (vector-Jacobian products) there are.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.sum, jnp.ones(5)).num_reverse
        1
        """
        return _number(self.row_colors)

    @property
    def num_products(self) -> int:
        """How many products there are in all.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.sin, jnp.ones(1000)).num_products
        1
        """
        return self.num_forward + self.num_reverse

    # ---- results

    def values(self, *args: Tree) -> Array:
        """The elements of the matrix at the places of `pattern`, row by row: shape (pattern.nnz,).

        A function like others: it jits, vmaps and differentiates. Raises ValueError for arguments of other
        sizes than the plan is for.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.square, jnp.ones(3)).values(jnp.array([1.0, 2.0, 3.0]))
        Array([2., 4., 6.], dtype=float32)
        """
        try:
            return self._values(args)[0]
        except Exception as error:
            filter_traceback(error)
            raise

    def matrix(self, *args: Tree, format: str = "csr") -> Any:
        """The matrix at these arguments: a `scipy.sparse.csr_array`, or "csc" or "coo" by `format`. Trees of
        arguments and results give trees of blocks, as `jacobian` does.

        The values are computed by a compiled program; explicit zeros are kept, so that matrices of one plan
        have one structure. Those of floats of 16 bits and less, which SciPy lacks, are float32. Raises TypeError for
        traced arguments: `values`, `bcoo` and `bcsr` are for these.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.square, jnp.ones(3)).matrix(jnp.array([1.0, 2.0, 3.0])).toarray()
        array([[2., 0., 0.],
               [0., 4., 0.],
               [0., 0., 6.]], dtype=float32)
        """
        try:
            if format not in _FORMATS:
                raise ValueError(f"format must be one of {', '.join(_FORMATS)}, got {format!r}, at {user_line()}")
            values, structure = self._values_compiled(args)
            return structure.tree_of(_scipy_matrix(self.pattern, np.array(values)), lambda m, _: m.asformat(format))
        except Exception as error:
            filter_traceback(error)
            raise

    def bcoo(self, *args: Tree) -> Tree:
        """The matrix as a `BCOO` of `pullback.experimental.sparse`, also under `jit`, `vmap` and derivatives.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.square, jnp.ones(2)).bcoo(jnp.array([1.0, 2.0])).todense()
        Array([[2., 0.],
               [0., 4.]], dtype=float32)
        """
        from pullback import numpy as jnp
        from pullback.experimental.sparse import BCOO

        def block(data: Value, p: SparsityPattern, _: Shape) -> Any:
            indices = jnp.asarray(np.stack([p.rows, p.columns], 1).astype(np.int32))
            return BCOO((data, indices), shape=p.shape, indices_sorted=True, unique_indices=True)

        return self._blocks(args, block)

    def bcsr(self, *args: Tree) -> Tree:
        """The same as a `BCSR`.

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.square, jnp.ones(2)).bcsr(jnp.array([1.0, 2.0])).data
        Array([2., 4.], dtype=float32)
        """
        from pullback import numpy as jnp
        from pullback.experimental.sparse import BCSR

        def block(data: Value, p: SparsityPattern, _: Shape) -> Any:
            columns, bounds = (jnp.asarray(a.astype(np.int32)) for a in (p.columns, p.indptr))
            return BCSR((data, columns, bounds), shape=p.shape, indices_sorted=True, unique_indices=True)

        return self._blocks(args, block)

    def dense(self, *args: Tree) -> Tree:
        """The matrix as an array, zeros and all, as `jacobian` gives it: of shape (*result's shape, *argument's shape).

        >>> import pullback.numpy as jnp
        >>> jacobian_plan(jnp.square, jnp.ones(2)).dense(jnp.array([1.0, 2.0]))
        Array([[2., 0.],
               [0., 4.]], dtype=float32)
        """
        from pullback import numpy as jnp

        def block(data: Value, p: SparsityPattern, shape: Shape) -> Any:
            zero = jnp.zeros(p.shape, data.dtype)
            return zero.at[jnp.asarray(p.rows), jnp.asarray(p.columns)].set(data, unique_indices=True).reshape(shape)

        return self._blocks(args, block)

    # ---- checks

    def check(self, *args: Tree, samples: int = 3, seed: Seed = 0, rtol: float | None = None) -> None:
        """Compare the matrix at these arguments with true derivatives along random directions.

        An element that the pattern lacks, or that a colouring mixes with others, changes the product
        with a random vector with probability 1 (of floating-point numbers: nearly). Raises
        ValueError that names the rows in which the products differ. `samples` directions are drawn, from
        `seed`; `rtol` is the tolerance relative to the product of magnitudes, by default 100
        roundings' and the square root of the dimension.

        >>> import pullback.numpy as jnp
        >>> plan = jacobian_plan(jnp.diff, jnp.ones(4), pattern=np.eye(3, 4))
        >>> plan.check(jnp.arange(4.0))
        Traceback (most recent call last):
            ...
        ValueError: the pattern of this plan is wrong: its product with a random vector differs from the derivative in rows 0, 1, 2 ...
        """
        try:
            blocks = self._blocks_of(args)
            outs, f_lin = self._linearized(blocks)
            values = np.asarray(self._recovered(blocks, outs, f_lin))
            matrix = _scipy_matrix(self.pattern, values)
            rng = np.random.default_rng(seed)
            for _ in range(samples):
                directions = [_random(rng, x) for x in blocks.leaves]
                true, v = (
                    _for_scipy(np.concatenate([np.asarray(t).reshape(-1) for t in ts]))
                    for ts in (tree_flatten(f_lin(*directions))[0], directions)
                )
                found, size = matrix @ v, abs(matrix) @ abs(v) + abs(true)
                precision = float(dtypes.finfo(dtypes.to_real(values.dtype)).eps)
                bound = (100 * precision * max(1.0, v.size**0.5) if rtol is None else rtol) * size
                wrong = np.flatnonzero(~np.isclose(found, true, 0.0, bound, equal_nan=True))
                if wrong.size:
                    rows = ("rows " if wrong.size > 1 else "row ") + ", ".join(map(str, wrong[:5].tolist()))
                    raise ValueError(
                        "the pattern of this plan is wrong: its product with a random vector differs from the derivative in "
                        f"{rows}{', ...' if wrong.size > 5 else ''} ({wrong.size:,} of {self.shape[0]:,}), at {user_line()}. The first is "
                        f"{found[wrong[0]]:.6g} instead of {true[wrong[0]]:.6g}. Places are missing there; `sparsity` finds them"
                        + see("sparsity")
                    )
        except Exception as error:
            filter_traceback(error)
            raise

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan (not its function) to a file, which `load_plan(path, f)` reads.

        >>> import pullback.numpy as jnp, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     jacobian_plan(jnp.diff, jnp.ones(4)).save(folder + "/plan.npz")
        ...     load_plan(folder + "/plan.npz", jnp.diff).num_products
        2
        """
        content = io.BytesIO()
        np.savez_compressed(content, **self._state())
        # Whole or not at all: a file that is read while it is written, or after an interrupt, is the one before.
        temporary = f"{os.fspath(path)}.{os.getpid()}.partial"
        try:
            with open(temporary, "wb") as file:
                file.write(content.getvalue())
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def _state(self) -> dict[str, Any]:
        p, absent = self.pattern, np.zeros(0, np.int32)
        singular = isinstance(self.argnums, (int, np.integer))
        return {
            "kind": self._what, "version": 1, "shape": p.shape, "indptr": p.indptr, "columns": p.columns,
            "coloring": self.coloring, "holomorphic": self.holomorphic,
            "argnums": self.argnums if singular else list(self.argnums),  # type: ignore[arg-type]
            "row_colors": absent if self.row_colors is None else self.row_colors,
            "column_colors": absent if self.column_colors is None else self.column_colors,
            "sides": [self.row_colors is not None, self.column_colors is not None],
            "shapes": json.dumps(self.shapes),
        }  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._state(), self.fun, self.static)

    # ---- pictures

    def _head(self) -> str:
        (m, n), p = self.shape, self.pattern
        by = [
            f"{k} {'row' if rows else 'column'} color{'s' if k > 1 else ''}"
            for k, rows in ((self.num_reverse, True), (self.num_forward, False))
            if k
        ]
        products = f"{self.num_products} product{'' if self.num_products == 1 else 's'}"
        return f"{type(self).__name__}({m:,} × {n:,}, {p.nnz:,} places, {self.coloring}: {' and '.join(by) or 'no colors'}, {products})"

    def __repr__(self) -> str:
        picture = self.pattern.picture()
        return self._head() + (f"\n{picture}" if picture else "")

    def _repr_html_(self) -> str:
        from html import escape

        return f"<div><code>{escape(self._head())}</code></div>{self.pattern._repr_html_()}"

    # ---- how

    def _blocks_of(self, args: tuple[Tree, ...]) -> Blocks:
        if self.fun is None:
            raise ValueError(f"this plan was read without its function, at {user_line()}: use load_plan(path, f)")
        blocks = Blocks(self.fun, args, self.argnums, self._what, self.holomorphic)
        if blocks.shapes != self.shapes:
            raise ValueError(
                f"this plan is for arguments of shapes {self._text(self.shapes)}, got {self._text(blocks.shapes)}, at {user_line()}. Make "
                f"one for arguments of these shapes{see('sparsity')}"
            )
        if self.static is not None and not _are_equal(blocks.static, self.static):
            raise ValueError(
                f"this plan was made with {_listed(self.static)} among the arguments that are no arrays, got {_listed(blocks.static)}, at "
                f"{user_line()}: the pattern may be another one. Make a plan for each, or pass an array{see('sparsity')}"
            )
        return blocks

    @staticmethod
    def _text(shapes: list[list[Shape]]) -> str:
        own, others = (", ".join(map(str, s)) for s in shapes)
        return own + (f" (and others of {others})" if others else "")

    def _function(self, blocks: Blocks) -> Callable[..., list[Value]]:
        raise NotImplementedError(f"{type(self).__name__} must define _function")

    def _structure(self, blocks: Blocks) -> Structure:
        return blocks.structure

    def _linearized(self, blocks: Blocks) -> tuple[list[Value], LinearMap]:
        outs, f_lin = linearize(self._function(blocks), *blocks.leaves)
        if sum([o.size for o in outs]) != self.shape[0]:
            raise ValueError(
                f"this plan is for results of {self.shape[0]:,} elements, got {sum([o.size for o in outs]):,}, at {user_line()}. Make one "
                "for arguments of these shapes"
            )
        return outs, f_lin

    def _values(self, args: tuple[Tree, ...]) -> tuple[Array, Structure]:
        blocks = self._blocks_of(args)
        return self._recovered(blocks, *self._linearized(blocks)), self._structure(blocks)

    def _recovered(self, blocks: Blocks, outs: list[Value], f_lin: LinearMap) -> Array:
        """The elements, by products with the linearization."""
        from pullback import numpy as jnp

        parts: list[Any] = []
        if self.num_forward:
            assert self.column_colors is not None
            products = vmap(f_lin)(*_sums(self.column_colors, self.num_forward, blocks.leaves))
            parts.append(_side_by_side(products, self.num_forward))
        if self.num_reverse:
            assert self.row_colors is not None
            products = vmap(lambda *cts: f_lin.T(list(cts)))(*_sums(self.row_colors, self.num_reverse, outs))
            parts.append(_side_by_side(products, self.num_reverse))
        if not parts:
            return jnp.zeros(0, jnp.result_type(*outs, *blocks.leaves))
        return self.recovery(jnp.concatenate(parts) if len(parts) > 1 else parts[0])

    def _values_compiled(self, args: tuple[Tree, ...]) -> tuple[Array, Structure]:
        """The same by a compiled program, kept with the plan. What is no array or floating-point number is
        static in it."""
        leaves, tree = tree_flatten(args)
        if any([isinstance(x, Tracer) for x in leaves]):
            raise TypeError(
                f"matrix makes SciPy matrices of known values, but these are traced, at {user_line()}. Use values, bcoo or bcsr "
                "in functions that are transformed"
            )
        dynamic = [is_variable(x) for x in leaves]
        key: Any = (tree, tuple(dynamic), tuple([(type(x), x) for x, d in zip(leaves, dynamic) if not d]))
        try:
            found = self._compiled.get(key)
        except TypeError:  # something static that is not hashable
            return self._values(args)
        if found is None:
            structure: Any = None
            static = [None if d else x for x, d in zip(leaves, dynamic)]  # not the arrays of this call

            def flat(xs: list[Value]) -> Array:
                nonlocal structure
                rest = iter(xs)
                given: Any = tree.unflatten([next(rest) if d else x for x, d in zip(static, dynamic)])
                values, structure = self._values(given)
                return values

            found = self._compiled[key] = jit(flat), lambda: structure
        values = found[0]([x for x, d in zip(leaves, dynamic) if d])
        return values, found[1]()

    def _blocks(self, args: tuple[Tree, ...], make: Callable[[Value, SparsityPattern, Shape], Any]) -> Tree:
        from pullback import numpy as jnp

        try:
            data, structure = self._values(args)
            if structure.is_single:
                return structure.tree_of(None, lambda _, shape: make(data, self.pattern, shape))
            numbers = _scipy_matrix(self.pattern, np.arange(1, self.pattern.nnz + 1))
            return structure.tree_of(
                numbers, lambda m, shape: make(data[jnp.asarray(m.data - 1)], SparsityPattern(m), shape)
            )
        except Exception as error:
            filter_traceback(error)
            raise

    @property
    def recovery(self) -> Recovery:
        """Where in the products the elements are."""
        if self._recovery is None:
            self._recovery = self._make_recovery()
        return self._recovery

    def _make_recovery(self) -> Recovery:
        raise NotImplementedError(f"{type(self).__name__} must define _make_recovery")


def _are_equal(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all([x is y or (type(x) is type(y) and bool(x == y)) for x, y in zip(a, b)])


def _listed(static: list[Any]) -> str:
    return ", ".join([f"{x!r:.40}" for x in static]) or "none"


def _number(colors: NumPyArray | None) -> int:
    return 0 if colors is None else int(colors.max(initial=-1)) + 1


def _sums(colors: NumPyArray, count: int, like: Sequence[Array]) -> list[Value]:
    """For each array, one vector a colour along a new axis 0: 1 in the elements of this colour, and 0 in others."""
    from pullback import numpy as jnp

    # In eight bits where that will do: they are compared as they are used, and take a quarter of the memory.
    small = colors.astype(np.int8 if count < 128 else np.int32)
    numbers = jnp.asarray(np.arange(count, dtype=small.dtype))
    found, start = [], 0
    for x in like:
        own = jnp.asarray(small[start : start + x.size].reshape(x.shape))
        found.append((own == numbers.reshape(-1, *(1,) * x.ndim)).astype(x.dtype))
        start += x.size
    return found


def _side_by_side(products: Sequence[Value], count: int) -> Value:
    """The elements of one product after the other, of arrays with the products along axis 0."""
    from pullback import numpy as jnp

    rows = [p.reshape(count, -1) for p in products]
    return (rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=1)).reshape(-1)


def _for_scipy(values: NumPyArray) -> NumPyArray:
    """Floats that SciPy has matrices of: those of 32 bits and more."""
    is_short = values.dtype.itemsize < 4 and dtypes.is_inexact(values.dtype)
    return values.astype(np.float32) if is_short else values


def _scipy_matrix(pattern: SparsityPattern, values: NumPyArray) -> Any:
    from scipy.sparse import csr_array

    return csr_array((_for_scipy(values), pattern.columns.copy(), pattern.indptr.copy()), shape=pattern.shape)


def _random(rng: np.random.Generator, x: Array) -> NumPyArray:
    v = rng.normal(size=x.shape)
    if dtypes.is_complex(x.dtype):
        v = v + 1j * rng.normal(size=x.shape)
    return np.asarray(v, x.dtype)


# ---- Jacobians -----------------------------------------------------------------------------------


class JacobianPlan(Plan):
    """How a sparse Jacobian is computed, by products with sums of its columns or rows; `jacobian_plan` makes one, for arguments
    of some types, and each method takes such arguments:

    - `values(*args)`: the elements, in the order of `pattern`: a function to compile, map and differentiate;
    - `matrix(*args, format="csr")`: a SciPy matrix, computed by a compiled program;
    - `bcoo(*args)`, `bcsr(*args)`, `dense(*args)`: arrays, also of traced arguments;
    - `check(*args)`: compares with derivatives along random directions, and raises ValueError if the pattern is wrong.

    `pattern`, `row_colors` and `column_colors` are what it consists of, `shape` is that of the matrix, and `num_products` says how
    many products there are. `save(path)` writes it to a file, which `load_plan` reads; plans can be pickled, and print themselves.

    >>> import pullback.numpy as jnp
    >>> plan = jacobian_plan(lambda x: x[1:] * x[:-1], jnp.ones(4))
    >>> plan.num_products, plan.values(jnp.arange(4.0))
    (2, Array([1., 0., 2., 1., 3., 2.], dtype=float32))
    >>> plan.matrix(jnp.arange(4.0)).toarray()
    array([[1., 0., 0., 0.],
           [0., 2., 1., 0.],
           [0., 0., 3., 2.]], dtype=float32)
    """

    __slots__ = ()
    _what = "jacobian_plan"

    def _function(self, blocks: Blocks) -> Callable[..., list[Value]]:
        return blocks.flat

    def _make_recovery(self) -> Recovery:
        p, (m, n) = self.pattern.to_scipy(), self.shape
        rows, columns = self.row_colors, self.column_colors
        if rows is None:
            color, row = graph.column_recovery(p, columns)
            return Recovery(color * m + row)
        if columns is None:
            color, column = graph.row_recovery(p, rows)
            return Recovery(color * n + column)
        found = graph.bidirectional_recovery(p, rows, columns)
        from_row = self.num_forward * m + found.color * n + found.element
        return Recovery(np.where(found.from_row, from_row, found.color * m + found.element))


def jacobian_plan(
    fun: Function, *args: Tree, argnums: Argnums = 0, pattern: Any = None, coloring: Coloring = "auto", order: str = "best",
    local: bool = False, holomorphic: bool = False,
) -> JacobianPlan:  # fmt: skip
    """A plan for the Jacobian of `fun` at arguments of the types of `args`: see `JacobianPlan` for what it gives.

    `pattern` says where the Jacobian may be not zero, if `sparsity` is not to find it: anything that a
    `SparsityPattern` is made of, for the matrix of all elements of results by all elements of the
    arguments `argnums`. `coloring` chooses products with columns (forward mode), with rows (reverse
    mode), with both, or what costs least ("auto"). `order` is the order of the greedy colouring (see `column_coloring`).
    With `local` the plan is for this point alone (`sparsity`).

    Raises TypeError for arguments or results that are no floating-point arrays, and for complex arguments without
    `holomorphic`; ValueError for a pattern of another shape.

    >>> import pullback.numpy as jnp
    >>> def reaction(u):
    ...     return u * (1 - u) + jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1)
    >>> plan = jacobian_plan(reaction, jnp.ones(9))
    >>> plan
    JacobianPlan(9 × 9, 27 places, columns: 3 column colors, 3 products)
    ⠻⣦⡀⠀⠁
    ⠀⠈⠻⣦⡀
    ⠁⠀⠀⠈⠁
    >>> plan.matrix(jnp.zeros(9)).toarray()[0]
    array([-1.,  1.,  0.,  0.,  0.,  0.,  0.,  0.,  1.], dtype=float32)
    """
    try:
        if coloring not in ("auto", "columns", "rows", "bidirectional"):
            raise ValueError(
                f"coloring must be 'auto', 'columns', 'rows' or 'bidirectional', got {coloring!r}, at {user_line()}"
            )
        blocks = Blocks(fun, args, argnums, "jacobian_plan", holomorphic)
        found = _pattern(blocks, pattern, local)
        forward_only = not holomorphic and any([dtypes.is_complex(t.dtype) for t in blocks.out_types])
        if forward_only and coloring in ("rows", "bidirectional"):
            raise TypeError(
                f"jacobian_plan: complex results of real arguments have products with columns only, at {user_line()}. Use "
                "coloring='columns', or holomorphic=True with complex arguments"
            )
        chosen, rows, columns = _colored(found, blocks, "columns" if forward_only else coloring, order)
        return JacobianPlan(fun, argnums, found, chosen, holomorphic, rows, columns, blocks.shapes, blocks.static)
    except Exception as error:
        filter_traceback(error)
        raise


def _pattern(blocks: Blocks, given: Any, local: bool) -> SparsityPattern:
    if given is None:
        return SparsityPattern(pattern_of_blocks(blocks, local))
    blocks.evaluate_types()
    shape = (sum(blocks.rows), sum(blocks.columns))
    return given if isinstance(given, SparsityPattern) and given.shape == shape else SparsityPattern(given, shape)


def _colored(p: SparsityPattern, blocks: Blocks, coloring: str, order: str) -> tuple[str, Any, Any]:
    """The colouring that is asked for, or the best: its name, the rows' colours and the columns'."""
    csr, shape, row_shape = p.to_scipy(), blocks.in_shapes, blocks.out_shapes
    if coloring == "columns":
        return coloring, None, graph.column_coloring(csr, shape=shape, order=order)
    if coloring == "rows":
        return coloring, graph.row_coloring(csr, shape=row_shape, order=order), None
    cost = _ROW_COST if coloring == "auto" else 1.0
    rows, columns = graph.bidirectional_coloring(csr, shape=shape, row_shape=row_shape, row_cost=cost, order=order)
    if coloring == "auto" and not _number(rows):
        return "columns", None, columns
    if coloring == "auto" and not _number(columns):
        return "rows", rows, None
    return "bidirectional", rows, columns


# ---- Hessians ------------------------------------------------------------------------------------


class HessianPlan(Plan):
    """How a sparse Hessian is computed, by Hessian-vector products; `hessian_plan` makes one. It has what a `JacobianPlan` has.

    >>> import pullback.numpy as jnp
    >>> plan = hessian_plan(lambda x: jnp.sum(x**3), jnp.ones(3))
    >>> plan.coloring, plan.num_products, plan.values(jnp.array([1.0, 2.0, 3.0]))
    ('star', 1, Array([ 6., 12., 18.], dtype=float32))
    """

    __slots__ = ()
    _what = "hessian_plan"

    def _function(self, blocks: Blocks) -> Callable[..., list[Value]]:
        return _gradient(blocks.flat, len(blocks.leaves), self.holomorphic)

    def _structure(self, blocks: Blocks) -> Structure:
        return blocks.square_structure

    def _make_recovery(self) -> Recovery:
        p, (n, _) = self.pattern.to_scipy(), self.shape
        colors = self.column_colors
        if self.coloring == "acyclic":
            color, row, sign, rounds, entry = graph.acyclic_recovery(p, colors)
            return Recovery(color * n + row, sign, rounds, entry)
        recovery = graph.star_recovery if self.coloring == "star" else graph.column_recovery
        color, row = recovery(p, colors)
        return Recovery(color * n + row)


def _gradient(flat: Function, count: int, holomorphic: bool) -> Callable[..., list[Value]]:
    """The gradient of a function of so many flat arrays."""

    def scalar(*xs: Value) -> Value:
        outs = flat(*xs)
        if len(outs) != 1 or outs[0].shape:
            shapes = ", ".join([str(o.shape) for o in outs])
            raise TypeError(
                f"hessian_plan takes a function with one scalar as its result, got results of shapes {shapes}, at {user_line()}. The "
                "Hessians of several results are those of their sum, or of each by itself" + see("sparsity")
            )
        return outs[0]

    gradient = grad(scalar, tuple(range(count)), holomorphic=holomorphic)
    return lambda *xs: list(gradient(*xs))


def hessian_plan(
    fun: Function, *args: Tree, argnums: Argnums = 0, pattern: Any = None, coloring: HessianColoring = "auto", order: str = "best",
    local: bool = False, holomorphic: bool = False,
) -> HessianPlan:  # fmt: skip
    """A plan for the Hessian of `fun`, whose result is a scalar, at arguments of the types of `args`: see
    `HessianPlan` for what it gives.

    The Hessian is symmetric, and half of it suffices: `coloring` is "star" (elements are read), "acyclic" (fewer
    products, elements follow by substitution, which rounds a little more), "columns" (no use of
    symmetry) or "auto", which is "star". Other arguments as in `jacobian_plan`.

    Raises TypeError if the result is no scalar, ValueError for a pattern that is not symmetric.

    >>> import pullback.numpy as jnp
    >>> def rosenbrock(x):
    ...     return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    >>> plan = hessian_plan(rosenbrock, jnp.ones(1000))
    >>> plan.num_products
    3
    >>> plan.matrix(jnp.ones(1000))[0, :2].toarray()
    array([ 802., -400.], dtype=float32)
    """
    try:
        if coloring not in ("auto", "star", "acyclic", "columns"):
            raise ValueError(
                f"coloring must be 'auto', 'star', 'acyclic' or 'columns', got {coloring!r}, at {user_line()}"
            )
        blocks = Blocks(fun, args, argnums, "hessian_plan", holomorphic)
        if pattern is None:
            matrix = pattern_of_blocks(blocks, local, lambda flat: _gradient(flat, len(blocks.leaves), holomorphic))
            # It is symmetric: what either half lacks is zero in both. (Rules of the user's own may give one that is not.)
            found = SparsityPattern(matrix if coloring == "columns" else matrix.multiply(matrix.T).tocsr())
        else:
            n = sum(blocks.columns)
            found = SparsityPattern(pattern, (n, n))
            if coloring != "columns" and not found.is_symmetric():
                raise ValueError(
                    f"the pattern of a Hessian is symmetric, but the given one is not, at {user_line()}. Add its transpose to it{see('sparsity')}"
                )
        csr, shapes = found.to_scipy(), blocks.in_shapes
        chosen = "star" if coloring == "auto" else coloring
        color = {"star": graph.star_coloring, "acyclic": graph.acyclic_coloring, "columns": graph.column_coloring}[
            chosen
        ]
        columns = color(csr, shape=shapes, order=order)
        return HessianPlan(fun, argnums, found, chosen, holomorphic, None, columns, blocks.shapes, blocks.static)
    except Exception as error:
        filter_traceback(error)
        raise


# ---- plans from files ----------------------------------------------------------------------------


def load_plan(path: str | os.PathLike[str], fun: Function) -> JacobianPlan | HessianPlan:
    """The plan that `Plan.save` wrote to a file, for the function `fun`. Raises ValueError for files of another kind.

    >>> import pullback.numpy as jnp, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     jacobian_plan(jnp.diff, jnp.ones(4)).save(folder + "/plan.npz")
    ...     load_plan(folder + "/plan.npz", jnp.diff).values(jnp.ones(4))
    Array([-1.,  1., -1.,  1., -1.,  1.], dtype=float32)
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
        if str(state["kind"]) not in _KINDS or int(state["version"]) != 1:
            raise ValueError("of another kind or version")
        return _restored(state, fun, None)
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, IndexError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{os.fspath(path)!r} is no file that a plan was saved to, at {user_line()}") from error


def _restored(state: dict[str, Any], fun: Function | None, static: list[Any] | None) -> JacobianPlan | HessianPlan:
    from scipy.sparse import csr_array

    indptr, columns = np.asarray(state["indptr"]), np.asarray(state["columns"])
    matrix = csr_array((np.ones(len(columns), bool), columns, indptr), shape=tuple(np.asarray(state["shape"]).tolist()))
    argnums = np.asarray(state["argnums"]).tolist()
    by_rows, by_columns = np.asarray(state["sides"]).tolist()
    plan: JacobianPlan | HessianPlan = _KINDS[str(state["kind"])](
        fun, argnums if isinstance(argnums, int) else tuple(argnums), SparsityPattern(matrix), str(state["coloring"]),
        bool(state["holomorphic"]), np.asarray(state["row_colors"]) if by_rows else None,
        np.asarray(state["column_colors"]) if by_columns else None,
        [[tuple(s) for s in shapes] for shapes in json.loads(str(state["shapes"]))], static,
    )  # fmt: skip
    return plan


_KINDS: dict[str, Any] = {"jacobian_plan": JacobianPlan, "hessian_plan": HessianPlan}


# ---- matrices of linear maps ---------------------------------------------------------------------


def sparse_matrix_of_map(m: LinearMap, format: str = "csr") -> Any:
    """The matrix of a linear map as a `scipy.sparse` array (see `LinearMap.to_sparse`)."""
    check_linear(m, "to_sparse")
    if any([isinstance(x, Tracer) for x in tree_flatten(m)[0]]):
        raise TypeError(
            f"to_sparse makes a SciPy matrix of a map whose residuals are known, but these are traced, at {user_line()}"
        )
    types, tree = tree_flatten(m.in_type, is_leaf=lambda x: isinstance(x, ShapedArray))
    point = tree.unflatten([np.zeros(t.shape, t.dtype) for t in types])
    plan = jacobian_plan(lambda args: m(*args), point, holomorphic=any([dtypes.is_complex(t.dtype) for t in types]))
    values = plan.values(point)
    return _scipy_matrix(plan.pattern, np.asarray(values)).asformat(format)


__all__ = [
    "HessianPlan", "JacobianPlan", "hessian_plan", "jacobian_plan", "load_plan",
]  # fmt: skip
