"""`sparsify`: functions of dense arrays as functions of sparse ones.

It is a lifting (`transforms.lifting`): a value is either an array, or sparse, and then its leaves
are its data and positions. A table has what each operation makes of sparse operands; what
programs show expanded is taken for that. Loops, branches and calls are lifted like those of every
transformation: their programs become programs of data and positions. Where branches or steps give
different layouts, the results are dense.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import user_api, user_line
from pullback.core.trace import Params, Trace, Tracer, current, set_current, under
from pullback.core.tree import tree_flatten, tree_map
from pullback.core.types import ShapedArray
from pullback.experimental.sparse.base import JAXSparse
from pullback.experimental.sparse.bcoo import BCOO, full_batch
from pullback.experimental.sparse.bcsr import BCSR
from pullback.lax.mover import Mover
from pullback.transforms.custom_rules import CustomCall
from pullback.transforms.lifting import Bundle, Kind, Lifting, Outcome, Rules, leaves_of, plain

#: What an operation makes of operands of which some are BCOO or BCSR: `rule(operation, operands,
#: params)` gives its result, by operation or class.
sparse_rules = Rules()


class Layout(NamedTuple):
    """What is static of a sparse value, but for its batch axes' lengths: the kind of its bundle."""

    format: type
    n_batch: int
    n_sparse: int
    nse: int
    static: Any
    index_dtypes: tuple[Any, ...]


def bundle_of(x: Any) -> Bundle:
    """An array, or a sparse array, as a bundle."""
    if not isinstance(x, JAXSparse):
        return plain(x)
    parts = full_batch(x) if isinstance(x, BCOO) else x._full()
    dtypes = tuple(p.dtype for p in parts[1:])
    static = type(x)(
        parts, shape=x.shape, indices_sorted=x.indices_sorted, unique_indices=x.unique_indices
    ).tree_flatten()[1]
    return Bundle(Layout(type(x), x.n_batch, x.n_sparse, x.nse, static, dtypes), tuple(parts))


def value_of(bundle: Bundle) -> Any:
    """The array, or sparse array, that a bundle stands for."""
    kind: Layout | None = bundle.kind
    return bundle.leaves[0] if kind is None else kind.format.tree_unflatten(kind.static, bundle.leaves)


class SparseTracer(Tracer):
    """A sparse value, as a sparsified function sees it: an array of its shape. `spvalue` is the BCOO
    or BCSR.

    >>> from pullback.experimental.sparse import sparsify
    >>> def f(x):
    ...     print(x)
    ...     return 2 * x
    >>> sparsify(f)(BCOO.fromdense([[0.0, 2.0], [3.0, 0.0]]))
    SparseTracer<float32[2,2]>
    BCOO(float32[2, 2], nse=2)
    """

    __slots__ = ("spvalue",)
    spvalue: Any

    def __init__(self, trace: SparseTrace, *, spvalue: Any) -> None:
        self._trace, self.spvalue = trace, spvalue

    shape = property(lambda self: self.spvalue.shape)
    dtype = property(lambda self: self.spvalue.dtype)
    weak_type = property(lambda self: self.spvalue.data.weak_type)

    def __repr__(self) -> str:
        return f"SparseTracer<{self.aval.str_short()}>"


class SparseTrace(Trace):
    """Applies the rules of `sparse_rules`."""

    __slots__ = ()

    def __init__(self, parent: Trace) -> None:
        self.parent = parent

    def wrap(self, x: Any) -> Any:
        return SparseTracer(self, spvalue=x) if isinstance(x, JAXSparse) else x

    def unwrap(self, x: Any) -> Any:
        """The value, on the parent, of a value of this trace."""
        if x.__class__ is SparseTracer and x._trace is self:
            return x.spvalue
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return x

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        values = [a.spvalue if a.__class__ is SparseTracer and a._trace is self else as_array(a) for a in args]
        if not any([isinstance(v, JAXSparse) for v in values]):
            try:
                set_current(self.parent)
                return self.parent.process(primitive, args, params)
            finally:
                set_current(self)
        rule = sparse_rules.find(primitive)
        if rule is None:
            if primitive.staged_expanded:
                return primitive.expand(*args, **params)
            raise no_rule(primitive)
        try:
            set_current(self.parent)
            out = rule(primitive, values, params)
        finally:
            set_current(self)
        return [self.wrap(o) for o in out] if primitive.multiple_results else self.wrap(out)

    def process_call(self, call: Any, args: Sequence[Any], params: Params) -> Any:
        values = [bundle_of(self.unwrap(a)) for a in args]
        try:
            set_current(self.parent)
            if call.is_closed and all([v.kind is None for v in values]):
                return self.parent.process_call(call, leaves_of(values), params)
            _, outs = Sparsify().call(call, values, params)
        finally:
            set_current(self)
        return [self.wrap(value_of(o)) for o in outs]


def no_rule(primitive: Any, why: str = "") -> NotImplementedError:
    """The error of an operation that does nothing with sparse operands."""
    return NotImplementedError(
        f"sparse rule for {primitive.name} is not implemented{why} (at {user_line()}). If a dense result is your intent, use "
        "sparse.todense() to convert the operands to dense arrays"
    )


class Sparsify(Lifting):
    """Sparse values as a lifting: of kind None are arrays, of a `Layout` sparse ones."""

    key = name = "sparsify"
    rules = Rules()

    def run(self, fun: Callable[..., Any], operands: Sequence[Bundle]) -> Outcome:
        trace = SparseTrace(current())
        outs = under(trace, fun, *[trace.wrap(value_of(x)) for x in operands])
        return None, [bundle_of(trace.unwrap(as_array(o))) for o in outs]

    def count(self, kind: Kind) -> int:
        return 1 if kind is None else 1 + len(kind.index_dtypes)

    def types(self, kind: Kind, t: ShapedArray) -> list[ShapedArray]:
        if kind is None:
            return [t]
        batch, n_sparse = t.shape[: kind.n_batch], kind.n_sparse
        first = (*batch, kind.nse)
        data = t.update(shape=(*first, *t.shape[kind.n_batch + n_sparse :]))
        if kind.format is BCOO:
            return [data, ShapedArray((*first, n_sparse), kind.index_dtypes[0])]
        rows = t.shape[kind.n_batch] + 1
        return [data, ShapedArray(first, kind.index_dtypes[0]), ShapedArray((*batch, rows), kind.index_dtypes[1])]

    def join(self, a: Kind, b: Kind) -> Kind:
        # Arrays are what all values can become; layouts that differ in promises join without these.
        if a == b:
            return a
        if a is None or b is None or a._replace(static=a.static[:1]) != b._replace(static=b.static[:1]):
            return None
        return a._replace(static=(a.static[0], *(x and y for x, y in zip(a.static[1:], b.static[1:]))))

    def widen(self, x: Bundle, kind: Kind) -> Bundle:
        return plain(value_of(x).todense()) if kind is None else Bundle(kind, x.leaves)

    def stacked(self, x: Bundle) -> Bundle:
        # A loop takes batches apart; other sparse values become dense.
        return x if x.kind is None or x.kind.n_batch else self.widen(x, None)

    def of_step(self, kind: Kind) -> Kind:
        return None if kind is None else kind._replace(n_batch=kind.n_batch - 1)

    def of_loop(self, kind: Kind) -> Kind:
        return None if kind is None else kind._replace(n_batch=kind.n_batch + 1)


@Sparsify.rules.of(CustomCall)
def _custom_call(how: Sparsify, call: CustomCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    # As what it computes: what is made of it is differentiated as it is.
    if "fun" in params:
        return how.run(params["fun"], operands)
    return call.lifted(how, operands, params)


# ---- todense -------------------------------------------------------------------------------------


class ToDense(Mover):
    """The array itself; in a sparsified function, the dense array of a sparse one."""

    name = "todense"

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return x

    def evaluate(self, x: Any) -> Any:
        return x

    def lower(self, emit: Any, x: Any) -> Any:
        return x

    def transpose(self, ct: Any, x: Any) -> Sequence[Any]:
        return [ct]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]


todense_p = ToDense()


@sparse_rules.of(todense_p)
def _todense(primitive: Any, args: Sequence[Any], params: Params) -> Any:
    return args[0].todense()


def is_sparse(x: Any) -> bool:
    """Whether `x` is a sparse array."""
    return isinstance(x, JAXSparse)


def todense(arr: Any) -> Any:
    """Sparse arrays as dense ones, in a tree of arrays; others as they are. In a sparsified function,
    it makes the sparse values dense that look like arrays there.

    >>> import pullback.numpy as jnp
    >>> sparsify(lambda m: jnp.exp(todense(m)))(BCOO.fromdense(jnp.array([0.0, jnp.log(2.0)]))).round(4)
    Array([1., 2.], dtype=float32)
    """
    one = lambda x: x.todense() if is_sparse(x) else todense_p.bind(as_array(x))
    return one(arr) if isinstance(arr, (Array, JAXSparse)) else tree_map(one, arr, is_leaf=is_sparse)


# ---- sparsify ------------------------------------------------------------------------------------


def _takes_part(x: Any) -> bool:
    return isinstance(x, (BCOO, BCSR))


def sparsify(f: Callable[..., Any], use_tracer: bool = False) -> Callable[..., Any]:
    """`f`, a function of arrays, as a function of which some arguments may be BCOO or BCSR, and whose
    results are sparse where that is what sparse arguments give.

    In `f`, sparse arguments look like arrays of their shape. Operations that keep zeros zero, move
    elements, sum or multiply have sparse results; one whose result would be dense raises
    NotImplementedError, and `todense` says that this is meant. `use_tracer` makes no difference:
    `f` is called once, with tracers. Raises TypeError if `f` is no function.

    >>> import pullback.numpy as jnp
    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> sparsify(lambda m: jnp.sqrt(2 * m.T))(m)
    BCOO(float32[2, 2], nse=2)
    >>> sparsify(lambda m, x: m**2 @ x)(m, jnp.array([1.0, 10.0]))
    Array([40.,  9.], dtype=float32)
    """
    del use_tracer
    if not callable(f):
        raise TypeError(f"sparsify takes a function, got {f!r}, at {user_line()}")

    @user_api
    @wraps(f)
    def sparsified(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = tree_flatten((args, kwargs), is_leaf=_takes_part)
        trace = SparseTrace(current())
        args, kwargs = tree.unflatten([trace.wrap(x) for x in leaves])
        out = under(trace, f, *args, **kwargs)
        outs, out_tree = tree_flatten(out, is_leaf=_takes_part)
        return out_tree.unflatten([x if _takes_part(x) else trace.unwrap(as_array(x)) for x in outs])

    return sparsified


__all__ = [
    "Layout",
    "SparseTrace",
    "SparseTracer",
    "Sparsify",
    "is_sparse",
    "no_rule",
    "sparse_rules",
    "sparsify",
    "todense",
    "todense_p",
]
