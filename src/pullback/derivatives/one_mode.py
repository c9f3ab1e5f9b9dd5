"""Both modes of differentiation from one: of functions that come with a pushforward or a pullback only,
written with `pullback.numpy` or computed by Python on the host.

    f = jvp_from_vjp(f, vjp)                     # vjp(primals, ct): a cotangent for each argument
    f = vjp_from_jvp(f, jvp)                     # jvp(primals, tangents): the tangent of the result
    y = differentiable_callback(g, types, x, vjp=g_vjp)         # all three by Python: NumPy, a simulator

A pushforward is linear in its tangents, and a pullback in its cotangents: each is the transpose of the
other (J. Townsend, "A new method of automatic differentiation: forward mode from reverse mode", 2017,
has the transpose of a pullback by a second pullback). What is written with `pullback.numpy` is
transposed operation by operation, at the cost of one evaluation. What Python computes is opaque: its
transpose is found from its images of the basis, at the cost of one call for each element of the result
(the missing pushforward), or of the argument (the missing pullback). Give both where that is too much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from pullback.control.linear_calls import linear_call
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import see, user_api, user_line
from pullback.core.linear import zeros
from pullback.core.trace import EVAL, current
from pullback.core.tree import arrays_of, tree_flatten, tree_leaves, tree_map
from pullback.core.types import ShapedArray
from pullback.derivatives.snapshots import snapshot
from pullback.lax.callbacks import METHODS, flattened, linear_callback_p, pure_callback_p, transposed_by_basis
from pullback.transforms.custom_jvp import custom_jvp
from pullback.transforms.custom_rules import SymbolicZero
from pullback.transforms.custom_vjp import custom_vjp
from pullback.transforms.jvp import jvp as push_forward
from pullback.transforms.linearize import transpose_flat
from pullback.transforms.linearize import vjp as pull_back


def _is_float0(x: Any) -> bool:
    return getattr(x, "dtype", None) == dtypes.float0


def _is_zero(tangent: Any) -> bool:
    """Whether a tree of tangents, of which some are `SymbolicZero`, is zero."""
    return all([isinstance(t, SymbolicZero) or _is_float0(t) for t in tree_leaves(tangent)])


def _dense(tangent: Any) -> Any:
    """The same with arrays of zeros."""

    def array(t: Any) -> Any:
        if not isinstance(t, SymbolicZero):
            return t
        return np.zeros(t.shape, t.dtype) if _is_float0(t) else zeros(t.shape, t.dtype)

    return tree_map(array, tangent)


def _transposed(linear: Callable[[Any, list[Any]], list[Any]], types: Sequence[ShapedArray]) -> Callable[..., Any]:
    """The transpose of `linear(values, free)`, a function of lists that is linear in `free`, arrays of
    `types`: a function of values and cotangents. Its derivative in the values is the transpose of that
    of `linear`, so that it has the orders that `linear` has."""

    def pulled(values: Any, cts: Any) -> list[Any]:
        found = transpose_flat(lambda *free: linear(values, list(free)), types, cts)
        return [zeros(t.shape, t.dtype) if c is None else c for c, t in zip(found, types)]

    def derivative(primals: Any, tangents: Any) -> Any:
        (values, cts), (values_dot, cts_dot) = primals, tangents
        terms = [] if _is_zero(cts_dot) else [function(values, _dense(cts_dot))]
        if not _is_zero(values_dot):
            moving = [i for i, t in enumerate(values_dot) if not _is_float0(t)]

            def along(both: Any, free: list[Any]) -> list[Any]:
                xs, ts = both

                def of_moving(*some: Any) -> list[Any]:
                    given = list(xs)
                    for i, x in zip(moving, some):
                        given[i] = x
                    return linear(given, free)

                return push_forward(of_moving, [xs[i] for i in moving], ts)[1]

            ts = _dense([values_dot[i] for i in moving])
            terms.append(_transposed(along, types)([values, ts], cts))
        out = function(values, cts)
        return out, [sum(ts[1:], ts[0]) for ts in zip(*terms)] if terms else _dense(list(cts_dot))

    function = custom_jvp(pulled)
    function.defjvp(derivative, symbolic_zeros=True)
    return function


class _Applied:
    """`rule(primals, given)` for arguments of known types: the two functions that `linear_call` takes,
    and what it takes to make the rule's result of theirs.

    Example: `rule` multiplies a cotangent by the cosine of the primal.
    """

    def __init__(self, rule: Callable[[Any, Any], Any], primals_tree: Any, given_tree: Any, given: list[Any]) -> None:
        self.rule, self.primals_tree, self.given_tree = rule, primals_tree, given_tree
        self.given_types = [x if _is_float0(x) else x.aval for x in given]
        types = [t.update(weak_type=False) for t in self.given_types if not _is_float0(t)]
        self.backward = _transposed(self.forward, types)
        self.out_tree: Any = None
        self.out_types: list[Any] = []

    def forward(self, values: Any, free: Any) -> list[Any]:
        """The floating leaves of the result."""
        rest = iter(free)
        given = [t if _is_float0(t) else next(rest) for t in self.given_types]
        out = self.rule(self.primals_tree.unflatten(list(values)), self.given_tree.unflatten(given))
        leaves, self.out_tree = tree_flatten(out)
        leaves = [x if _is_float0(x) else as_array(x) for x in leaves]
        self.out_types = [ShapedArray(x.shape, x.dtype) for x in leaves]
        return [x for x in leaves if dtypes.is_inexact(x.dtype)]

    def result(self, outs: Sequence[Any]) -> Any:
        return self.out_tree.unflatten(_with_float0(outs, self.out_types))


def _linear_in_second(rule: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`rule(primals, given)`, linear in the tangents or cotangents `given`, as an operation that says
    so: its derivative in these is itself, and its transpose is there, to any order."""
    known: dict[Any, _Applied] = {}

    def apply(primals: Any, given: Any) -> Any:
        values, primals_tree = arrays_of(primals, "the arguments of a derivative")
        leaves, given_tree = tree_flatten(given)
        leaves = [x if _is_float0(x) else as_array(x) for x in leaves]
        types = [*(x.aval for x in values), *(ShapedArray(x.shape, x.dtype) for x in leaves)]
        key = (primals_tree, given_tree, tuple(types))
        applied = known.get(key) or known.setdefault(key, _Applied(rule, primals_tree, given_tree, leaves))
        return applied.result(
            linear_call(applied.forward, applied.backward, values, [x for x in leaves if not _is_float0(x)])
        )

    return apply


def _as_called(make: Callable[..., Any], fun: Callable[..., Any], rule: Any) -> Callable[..., Any]:
    """`make(fun, rule)`, a function with a rule; where something is made of it, which may call both later, of what they
    close over at the call."""
    made = make(fun, rule)

    @wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        if current() is not EVAL:
            now = snapshot(fun), snapshot(rule)
            if now != (fun, rule):
                return make(*now)(*args, **kwargs)
        return made(*args, **kwargs)

    return call


def _check_callable(name: str, **functions: Any) -> None:
    for what, f in functions.items():
        if f is not None and not callable(f):
            raise TypeError(f"{name}: {what} must be a function, got {f!r:.100}, at {user_line()}")


@user_api
def jvp_from_vjp(fun: Callable[..., Any], vjp: Callable[[Any, Any], Any] | None = None) -> Callable[..., Any]:
    """`fun` with the derivative that a pullback gives, in both modes and of any order.

    `vjp(primals, ct)` takes the tuple of arguments and a cotangent of the result, and gives a tuple
    with a cotangent for each argument (None for zero, and of integers). It must be linear in `ct` and,
    like `fun`, made of Pullback's functions, `pure_callback` among them; of what is in Python, see
    `differentiable_callback`. Forward mode transposes it, at the cost of one pullback; callbacks in it
    are called for each element of the result. Higher orders differentiate `vjp` in its primals.

    Without `vjp` it is that of `fun`: for functions of which forward mode is missing or worse.

    Raises TypeError and ValueError, where it is differentiated, for cotangents that do not fit.

    Reference: J. Townsend, "A new trick for calculating Jacobian vector products", 2017.

    >>> import pullback as pb
    >>> f = jvp_from_vjp(lambda x: x**3, lambda primals, ct: (3 * primals[0] ** 2 * ct,))
    >>> pb.jvp(f, (2.0,), (1.0,))
    (Array(8., dtype=float32, weak_type=True), Array(12., dtype=float32, weak_type=True))
    """
    _check_callable("jvp_from_vjp", fun=fun, vjp=vjp)
    return _as_called(_with_pullback, fun, vjp)


def _with_pullback(fun: Callable[..., Any], vjp: Callable[[Any, Any], Any] | None) -> Callable[..., Any]:
    def rule(primals: Any, ct: Any) -> Any:
        found = pull_back(fun, *primals)[1](ct) if vjp is None else vjp(tuple(primals), ct)
        if not isinstance(found, (tuple, list)) or len(found) != len(primals):
            raise TypeError(
                f"jvp_from_vjp: vjp(primals, ct) must give a tuple with a cotangent for each of the {len(primals)} arguments, got "
                f"{found!r:.100}, at {user_line()}{see('custom-rules')}"
            )
        return tree_map(lambda c: None if _is_float0(c) else c, found)

    function = custom_vjp(fun)
    function.defvjp(lambda *args: (function(*args), args), _linear_in_second(rule))
    return function


@user_api
def vjp_from_jvp(fun: Callable[..., Any], jvp: Callable[[Any, Any], Any] | None = None) -> Callable[..., Any]:
    """`fun` with the derivative that a pushforward gives, in both modes and of any order.

    `jvp(primals, tangents)` takes the tuples of the arguments and of their tangents (of dtype float0
    for integers), and gives the tangent of the result. It must be linear in the tangents and, like
    `fun`, made of Pullback's functions, `pure_callback` among them; of what is in Python, see
    `differentiable_callback`. Reverse mode transposes it, at the cost of one pushforward; callbacks in
    it are called for each element of the arguments. Higher orders differentiate `jvp` in its primals.

    Without `jvp` it is that of `fun`.

    Raises TypeError, where it is differentiated, for tangents that do not fit.

    >>> import pullback as pb
    >>> f = vjp_from_jvp(lambda x: x**3, lambda primals, tangents: 3 * primals[0] ** 2 * tangents[0])
    >>> pb.value_and_grad(f)(2.0)
    (Array(8., dtype=float32, weak_type=True), Array(12., dtype=float32, weak_type=True))
    """
    _check_callable("vjp_from_jvp", fun=fun, jvp=jvp)
    return _as_called(_with_pushforward, fun, jvp)


def _with_pushforward(fun: Callable[..., Any], jvp: Callable[[Any, Any], Any] | None) -> Callable[..., Any]:
    def rule(primals: Any, tangents: Any) -> Any:
        if jvp is None:
            return push_forward(fun, tuple(primals), tuple(tangents))[1]
        return jvp(tuple(primals), tuple(tangents))

    derivative, function = _linear_in_second(rule), custom_jvp(fun)
    function.defjvp(lambda primals, tangents: (function(*primals), derivative(primals, tangents)))
    return function


# ---- functions of Python -------------------------------------------------------------------------


class _Host:
    """The derivatives of a callback, as functions of flat arrays: its arguments, and then tangents of
    those that are floating, or cotangents of the results that are. They may have axes of a batch in
    front.

    Example: of `differentiable_callback(np.sin, x, x, jvp=lambda xs, ts: np.cos(xs[0]) * ts[0])`.
    """

    def __init__(
        self, in_tree: Any, out_tree: Any, in_types: Sequence[ShapedArray], out_types: Sequence[ShapedArray]
    ) -> None:
        self.in_tree, self.out_tree = in_tree, out_tree
        self.in_types, self.out_types = in_types, out_types
        self.free_in = [t.to_tangent_aval() for t in in_types if dtypes.is_inexact(t.dtype)]
        self.free_out = [t.to_tangent_aval() for t in out_types if dtypes.is_inexact(t.dtype)]

    def push(self, jvp: Callable[[Any, Any], Any]) -> Callable[..., list[Any]]:
        """The pushforward, of flat arrays."""

        def flat(*xs: Any) -> list[Any]:
            primals, ts = xs[: len(self.in_types)], xs[len(self.in_types) :]
            out = jvp(self.in_tree.unflatten(list(primals)), self.in_tree.unflatten(_with_float0(ts, self.in_types)))
            found, tree = tree_flatten(out)
            if tree != self.out_tree:
                raise TypeError(
                    f"differentiable_callback: jvp must give a tangent of the structure of the result, {self.out_tree}; it gave {tree}"
                )
            return [t for t, of in zip(found, self.out_types) if dtypes.is_inexact(of.dtype)]

        return flat

    def pull(self, vjp: Callable[[Any, Any], Any]) -> Callable[..., list[Any]]:
        """The pullback, of flat arrays."""

        def flat(*xs: Any) -> list[Any]:
            primals, cts = xs[: len(self.in_types)], xs[len(self.in_types) :]
            lead = cts[0].shape[: cts[0].ndim - self.free_out[0].ndim]
            found = vjp(
                self.in_tree.unflatten(list(primals)), self.out_tree.unflatten(_with_float0(cts, self.out_types))
            )
            structures = self.in_tree.children()
            if not isinstance(found, (tuple, list)) or len(found) != len(structures):
                raise TypeError(
                    f"differentiable_callback: vjp must give a tuple with a cotangent for each of the {len(structures)} arguments; it "
                    f"gave {found!r:.100}"
                )
            leaves: list[Any] = []
            for i, (ct, structure) in enumerate(zip(found, structures)):
                if ct is None:
                    leaves += [None] * structure.num_leaves
                    continue
                parts, tree = tree_flatten(ct, is_leaf=lambda c: c is None)
                if tree != structure:
                    raise TypeError(
                        f"differentiable_callback: vjp must give cotangents of the structures of the arguments; for argument {i} "
                        f"expected {structure}, got {tree}"
                    )
                leaves += parts
            free = [(c, t) for c, t in zip(leaves, self.in_types) if dtypes.is_inexact(t.dtype)]
            return [np.zeros((*lead, *t.shape), t.dtype) if c is None else c for c, t in free]

        return flat


def _with_float0(free: Sequence[Any], types: Sequence[ShapedArray]) -> list[Any]:
    """Tangents or cotangents of arrays of these types, given those of the floating ones."""
    rest = iter(free)
    return [next(rest) if dtypes.is_inexact(t.dtype) else np.zeros(t.shape, dtypes.float0) for t in types]


@user_api
def differentiable_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    jvp: Callable[[Any, Any], Any] | None = None,
    vjp: Callable[[Any, Any], Any] | None = None,
    vmap_method: str | None = "sequential",
) -> Any:
    """`callback(*args)`, computed by Python whenever the program runs, with a derivative that Python
    computes, too: a `pure_callback` that can be differentiated, in both modes.

    `jvp(primals, tangents)` gives the tangent of the result, `vjp(primals, ct)` a tuple with a cotangent
    for each argument; `primals` and `tangents` are tuples like `args`, integers have tangents and
    cotangents of dtype float0 (what `vjp` gives for them is not looked at, and None is zero). Like
    `callback`, they get Arrays and are to give arrays, of the shapes and dtypes that derivatives have.
    One of them will do: the other mode calls it for each basis vector, once for each element of the
    arguments (reverse mode by `jvp`) or of the result (forward mode by `vjp`). With `vmap_method`
    "expand_dims" or "broadcast_all", all three take arguments with axes of a batch in front, and basis
    vectors come 128 at a time.

    Derivatives of higher order need rules that can be differentiated: give these by `jvp_from_vjp` and
    `vjp_from_jvp`, written with `pullback.numpy` or made of callbacks with derivatives of their own.

    Raises TypeError without `jvp` and `vjp`, and where it is differentiated and they give something
    else; ValueError where the derivative is differentiated in its turn, and for another `vmap_method`.

    >>> import numpy as np
    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def cubes(x):                                          # by NumPy, in a compiled program
    ...     pull = lambda primals, ct: (3 * np.square(primals[0]) * ct,)
    ...     return differentiable_callback(lambda x: np.power(x, 3), x, x, vjp=pull)
    >>> x = jnp.array([1.0, 2.0])
    >>> pb.jit(pb.grad(lambda x: cubes(x).sum()))(x), pb.jvp(cubes, (x,), (jnp.array([1.0, 0.0]),))[1]
    (Array([ 3., 12.], dtype=float32), Array([3., 0.], dtype=float32))
    """
    _check_callable("differentiable_callback", jvp=jvp, vjp=vjp)
    if jvp is None and vjp is None:
        raise TypeError(
            f"differentiable_callback needs jvp=, vjp= or both, at {user_line()}; pure_callback is for what has no derivative"
        )
    if vmap_method is not None and vmap_method not in METHODS:
        raise ValueError(f"vmap_method must be one of {METHODS}, got {vmap_method!r}")
    in_tree = tree_flatten(args)[1]
    flat, arrays, result_types, out_tree = flattened(callback, result_shape_dtypes, args, {})
    n = len(arrays)
    host = _Host(in_tree, out_tree, [x.aval for x in arrays], result_types)
    push = None if jvp is None else host.push(jvp)
    pull = None if vjp is None else host.pull(vjp)
    if push is None:
        push = transposed_by_basis(pull, n, host.free_out, host.free_in, vmap_method)
    if pull is None:
        pull = transposed_by_basis(push, n, host.free_in, host.free_out, vmap_method)

    @custom_jvp
    def call(*xs: Any) -> list[Any]:
        return pure_callback_p.bind(*xs, callback=flat, result_types=result_types, vmap_method=vmap_method)

    @call.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        free = [as_array(t) for t in tangents if not _is_float0(t)]
        if not host.free_out:
            return call(*primals), _with_float0([], result_types)
        pushed = linear_callback_p.bind(
            *primals, *free,
            callback=push, transposed=pull, count=n, result_types=host.free_out, vmap_method=vmap_method,
        )  # fmt: skip
        return call(*primals), _with_float0(pushed, result_types)

    call.__name__ = getattr(callback, "__name__", type(callback).__name__)
    return out_tree.unflatten(call(*arrays))


__all__ = ["differentiable_callback", "jvp_from_vjp", "vjp_from_jvp"]
