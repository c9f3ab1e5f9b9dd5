"""`jacobian` and `hessian`: dense as everywhere, and with options sparse, or in the mode that costs least.

Without options they are `jacrev` and forward over reverse. What the options need is loaded with the first call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pullback.core.array import as_array
from pullback.core.errors import filter_traceback, user_line
from pullback.core.trace import Tracer
from pullback.core.tree import tree_flatten
from pullback.transforms import derivatives as dense
from pullback.transforms.derivatives import jacfwd, jacrev

if TYPE_CHECKING:
    from pullback.core.names import Function, Tree
    from pullback.transforms.derivatives import Argnums

_SPARSE = ("auto", "csr", "csc", "coo", "bcoo", "bcsr")
_MODES = ("forward", "reverse", "elimination", "sparse", "auto")


def jacobian(
    fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False, allow_int: bool = False, *,
    sparse: str | None = None, mode: str | None = None, order: Any = None, pattern: Any = None, coloring: str | None = None,
) -> Function:  # fmt: skip
    """A function returning the Jacobian of `fun`: without options in reverse mode, as `jacrev`.

    `sparse` asks for sparse matrices, of shape (elements of the result, elements of the argument): "auto" for a
    `scipy.sparse.csr_array` of known arguments and a `BCOO` of traced ones, or a format by name ("csr",
    "csc", "coo"; "bcoo" and "bcsr" of `pullback.experimental.sparse`). A plan (`jacobian_plan`) is made
    at the first call with arguments of some types and kept; `pattern` and `coloring` are its options.

    `mode` says how a dense Jacobian is computed: "forward" (`jacfwd`), "reverse" (`jacrev`), "sparse" (by a
    plan), "elimination" (vertices of the program are eliminated one by one; `order` says in which order:
    "forward", "reverse", "markowitz", "relative", "search" or a sequence), or "auto", the one
    that `derivative_cost` finds cheapest for the arguments.

    Raises what `jacrev` and `jacobian_plan` raise, and ValueError for options that do not go together.

    >>> import pullback.numpy as jnp
    >>> jacobian(jnp.square)(jnp.array([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], dtype=float32)
    >>> print(jacobian(jnp.diff, sparse="auto")(jnp.ones(4)).toarray())
    [[-1.  1.  0.  0.]
     [ 0. -1.  1.  0.]
     [ 0.  0. -1.  1.]]
    """
    _check_options("jacobian", sparse, mode, order, pattern, coloring)
    if sparse is not None:
        return _sparse("jacobian", fun, argnums, has_aux, holomorphic, sparse, pattern, coloring)
    if mode is None or mode == "reverse":
        return jacrev(fun, argnums, has_aux, holomorphic, allow_int)
    if mode == "forward":
        return jacfwd(fun, argnums, has_aux, holomorphic)
    if mode == "sparse":
        return _dense_by_plan(fun, argnums, has_aux, holomorphic, pattern, coloring)
    if mode == "elimination":
        from pullback.derivatives.elimination import elimination_jacobian

        return elimination_jacobian(
            fun, argnums, has_aux=has_aux, holomorphic=holomorphic, order="markowitz" if order is None else order
        )
    return _cheapest(fun, argnums, has_aux, holomorphic, allow_int)


def hessian(
    fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False, *, sparse: str | None = None,
    pattern: Any = None, coloring: str | None = None,
) -> Function:  # fmt: skip
    """A function returning the Hessian of `fun`: without options dense, forward over reverse.

    Leaves have shape (*output shape, *input shape, *input shape). With `has_aux` it returns (hessian,
    aux). With `sparse` it returns sparse matrices, as `jacobian` does, of a function whose result is a scalar;
    `pattern` and `coloring` are options of `hessian_plan`. Raises TypeError for arguments that are not real (or,
    with `holomorphic`, not complex), and with `sparse` for results that are no scalars.

    >>> import pullback.numpy as jnp
    >>> hessian(lambda x: x[0] ** 2 * x[1])(jnp.array([1.0, 3.0]))
    Array([[6., 2.],
           [2., 0.]], dtype=float32)
    >>> hessian(lambda x: jnp.sum(x**3), sparse="auto")(jnp.array([1.0, 2.0])).toarray()
    array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    _check_options("hessian", sparse, None, None, pattern, coloring)
    if sparse is None:
        return dense.hessian(fun, argnums, has_aux, holomorphic)
    return _sparse("hessian", fun, argnums, has_aux, holomorphic, sparse, pattern, coloring)


def _check_options(what: str, sparse: Any, mode: Any, order: Any, pattern: Any, coloring: Any) -> None:
    if sparse is not None and sparse not in _SPARSE:
        raise ValueError(
            f"{what}: sparse must be None or one of {', '.join(map(repr, _SPARSE))}, got {sparse!r}, at {user_line()}"
        )
    if mode is not None and mode not in _MODES:
        raise ValueError(
            f"{what}: mode must be None or one of {', '.join(map(repr, _MODES))}, got {mode!r}, at {user_line()}"
        )
    if sparse is not None and mode is not None:
        raise ValueError(
            f"{what} takes sparse={sparse!r}, which gives sparse matrices, or mode={mode!r}, which gives dense ones, at {user_line()}"
        )
    if order is not None and mode != "elimination":
        raise ValueError(f"{what}: order is an option of mode='elimination', at {user_line()}")
    if (pattern is not None or coloring is not None) and sparse is None and mode != "sparse":
        raise ValueError(
            f"{what}: pattern and coloring are options of sparse matrices, at {user_line()}: give sparse='auto', too"
        )


class _Plans:
    """Plans by the types of arguments: each is made once.

    Example: of `jacobian(f, sparse="auto")`, that for x of 3 elements.
    """

    def __init__(self, fun: Function, make: Callable[..., Any], options: dict[str, Any]) -> None:
        self._fun, self._make, self._options = fun, make, options
        self._found: dict[Any, Any] = {}

    def of(self, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> tuple[Any, tuple[Tree, ...]]:
        """The plan for arguments like these, and the arguments that it takes: keywords, if any, are its last one."""
        from pullback.derivatives.sparsity_patterns.detection import is_variable

        if kwargs:
            args = (*args, kwargs)
        leaves, tree = tree_flatten(args)
        kinds: list[Any] = []
        for x in leaves:
            t = as_array(x).aval if is_variable(x) else None
            kinds.append((type(x), x) if t is None else (t.shape, t.dtype))
        fun = (lambda *xs: self._fun(*xs[:-1], **xs[-1])) if kwargs else self._fun
        try:
            key = (tree, bool(kwargs), *kinds)
            found = self._found.get(key)
        except TypeError:  # an argument that is not hashable
            return self._make(fun, *args, **self._options), args
        if found is None:
            found = self._found[key] = self._make(fun, *args, **self._options)
        return found, args


def _first_of(fun: Function) -> Function:
    return lambda *args, **kwargs: fun(*args, **kwargs)[0]


def _plans(
    what: str, fun: Function, argnums: Argnums, has_aux: bool, holomorphic: bool, pattern: Any, coloring: Any
) -> _Plans:
    def make(f: Function, *args: Tree, **options: Any) -> Any:
        from pullback.derivatives import plans

        return (plans.jacobian_plan if what == "jacobian" else plans.hessian_plan)(f, *args, **options)

    options = {"argnums": argnums, "pattern": pattern, "coloring": coloring or "auto", "holomorphic": holomorphic}
    return _Plans(_first_of(fun) if has_aux else fun, make, options)


def _sparse(
    what: str, fun: Function, argnums: Argnums, has_aux: bool, holomorphic: bool, sparse: str, pattern: Any, coloring: Any
) -> Function:  # fmt: skip
    dense.check_callable(fun)
    plans = _plans(what, fun, argnums, has_aux, holomorphic, pattern, coloring)

    def sparse_fun(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            plan, given = plans.of(args, kwargs)
            form = sparse
            if form == "auto":
                form = "bcoo" if any([isinstance(x, Tracer) for x in tree_flatten(given)[0]]) else "csr"
            matrix = getattr(plan, form)(*given) if form in ("bcoo", "bcsr") else plan.matrix(*given, format=form)
            return (matrix, fun(*args, **kwargs)[1]) if has_aux else matrix
        except Exception as error:
            filter_traceback(error)
            raise

    return dense.named_after(sparse_fun, fun, what, what.capitalize())


def _dense_by_plan(
    fun: Function, argnums: Argnums, has_aux: bool, holomorphic: bool, pattern: Any, coloring: Any
) -> Function:
    dense.check_callable(fun)
    plans = _plans("jacobian", fun, argnums, has_aux, holomorphic, pattern, coloring)

    def jacobian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            plan, given = plans.of(args, kwargs)
            found = plan.dense(*given)
            return (found, fun(*args, **kwargs)[1]) if has_aux else found
        except Exception as error:
            filter_traceback(error)
            raise

    return dense.named_after(jacobian_fun, fun, "jacobian", "Jacobian")


def _cheapest(fun: Function, argnums: Argnums, has_aux: bool, holomorphic: bool, allow_int: bool) -> Function:
    dense.check_callable(fun)
    main = _first_of(fun) if has_aux else fun
    made: dict[str, Function] = {}

    def jacobian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        from pullback.derivatives.costs import choose_mode

        try:
            mode = choose_mode(
                (lambda *xs: main(*xs, **kwargs)) if kwargs else main, *args, argnums=argnums, holomorphic=holomorphic
            )
            if mode not in made:
                made[mode] = jacobian(fun, argnums, has_aux, holomorphic, allow_int, mode=mode)
            return made[mode](*args, **kwargs)
        except Exception as error:
            filter_traceback(error)
            raise

    return dense.named_after(jacobian_fun, fun, "jacobian", "Jacobian")


__all__ = ["hessian", "jacobian"]
