"""What libraries that wrap functions need: functions of trees as functions of flat arguments, and
what is known of a function for messages.

    flat_fun, out_tree = flatten_fun_nokwargs(wrap_init(f), in_tree)
    out = out_tree().unflatten(flat_fun.call_wrapped(*leaves))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pullback.core.errors import user_line
from pullback.core.tree import flatten_up_to, tree_flatten, tree_structure
from pullback.core.types import ShapedArray, integers, typeof
from pullback.extend.linear_util import Store, WrappedFun, transformation_with_aux2
from pullback.extend.program_parts import DebugInfo


def safe_map(f: Callable[..., Any], *args: Any) -> list[Any]:
    """`list(map(f, *args))`, for sequences of one length. Raises ValueError for others.

    >>> safe_map(max, [1, 5], [2, 3])
    [2, 5]
    """
    sequences = list(map(list, args))
    if len({len(s) for s in sequences}) > 1:
        raise ValueError(f"safe_map: sequences of lengths {list(map(len, sequences))}, at {user_line()}")
    return list(map(f, *sequences))


def _flat(fun: Callable[..., Any], store: Store, in_tree: Any, flat: tuple[Any, ...], keywords: bool) -> list[Any]:
    given = in_tree.unflatten(flat)
    args, kwargs = given if keywords else (given, {})
    leaves, tree = tree_flatten(fun(*args, **kwargs))
    store.store(tree)
    return leaves


@transformation_with_aux2
def flatten_fun(fun: Callable[..., Any], store: Store, in_tree: Any, *args_flat: Any) -> list[Any]:
    """`fun`, wrapped, as a function of the leaves of `(args, kwargs)`, of structure `in_tree`, to
    the leaves of its result; and a function that gives the structure of these once it has been
    called.

    >>> from pullback.extend.linear_util import wrap_init
    >>> flat, out_tree = flatten_fun(wrap_init(lambda x, y: {"sum": x + y}), tree_structure(((1, 2), {})))
    >>> flat.call_wrapped(1, 2), out_tree().num_leaves
    ([3], 1)
    """
    return _flat(fun, store, in_tree, args_flat, True)


@transformation_with_aux2
def flatten_fun_nokwargs(fun: Callable[..., Any], store: Store, in_tree: Any, *args_flat: Any) -> list[Any]:
    """As `flatten_fun`, for functions without keywords: `in_tree` is the structure of `args`.

    >>> from pullback.extend.linear_util import wrap_init
    >>> flat, out_tree = flatten_fun_nokwargs(wrap_init(lambda p: {"sum": p["x"] + p["y"]}), tree_structure(({"x": 1, "y": 2},)))
    >>> flat.call_wrapped(1, 2), out_tree().unflatten([3])
    ([3], {'sum': 3})
    """
    return _flat(fun, store, in_tree, args_flat, False)


class _Static:
    """A static argument, compared by value and class, or by identity if that cannot be."""

    __slots__ = ("val",)

    def __init__(self, val: Any) -> None:
        self.val = val

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and type(self.val) is type(other.val) and self.val == other.val

    def __hash__(self) -> int:
        return hash(self.val)


def argnums_partial(
    f: WrappedFun, dyn_argnums: int | Sequence[int], args: Sequence[Any], require_static_args_hashable: bool = True
) -> tuple[WrappedFun, tuple[Any, ...]]:
    """`f`, wrapped, as a function of those positional arguments that `dyn_argnums` number, the
    others fixed as they are in `args`; and these arguments. Raises ValueError for numbers of no
    argument and for fixed arguments that are not hashable.

    >>> from pullback.extend.linear_util import wrap_init
    >>> g, args = argnums_partial(wrap_init(lambda x, y: x - y), 1, (5, 7))
    >>> g.call_wrapped(*args), args
    (-2, (7,))
    """
    count = len(args)
    numbers = integers(dyn_argnums, "dyn_argnums")
    if not all(-count <= i < count for i in numbers):
        raise ValueError(f"argnums_partial: {numbers} must number some of the {count} arguments, at {user_line()}")
    dynamic = [i % count for i in numbers]
    fixed = []
    for i, x in enumerate(args):
        if i not in dynamic:
            if require_static_args_hashable:
                try:
                    hash(x)
                except TypeError:
                    raise ValueError(
                        f"argnums_partial: the static argument {i}, {x!r:.100} of type {type(x).__name__!r}, must be hashable, at {user_line()}"
                    ) from None
            fixed.append((i, _Static(x)))
    return f.wrap(_with_fixed, (tuple(dynamic), tuple(fixed)), None), tuple(args[i] for i in dynamic)


def _with_fixed(fun: Callable[..., Any], dynamic: Sequence[int], fixed: Any, *args: Any, **kwargs: Any) -> Any:
    by_number = {i: x.val for i, x in fixed} | dict(zip(dynamic, args))
    return fun(*[by_number[i] for i in sorted(by_number)], **kwargs)


def flatten_axes(name: str, treedef: Any, axis_tree: Any, *, kws: bool = False, tupled_args: bool = False) -> list[Any]:
    """What `axis_tree`, a prefix of trees of structure `treedef`, says of each leaf; None is a leaf
    of it. Raises ValueError, with `name`, if it is no prefix.

    >>> flatten_axes("in_axes", tree_structure({"a": 1, "b": (2, 3)}), {"a": 0, "b": None})
    [0, None, None]
    """
    del tupled_args
    proxy = treedef.unflatten(list(range(treedef.num_leaves)))
    if kws:  # (args, kwargs), of which the axes say nothing of the second
        args, kwargs = proxy
        return [*flatten_axes(name, tree_structure(args), axis_tree), *[0] * tree_structure(kwargs).num_leaves]
    leaves, axes = tree_flatten(axis_tree, is_leaf=lambda x: x is None)
    try:
        parts = flatten_up_to(axes, proxy)
    except ValueError as error:
        raise ValueError(f"{name} {axis_tree!r} is not a tree prefix of {treedef}, at {user_line()}: {error}") from None
    return [leaf for leaf, part in zip(leaves, parts) for _ in tree_flatten(part)[0]]


def shaped_abstractify(x: Any) -> ShapedArray:
    """The type of an array, or of anything that has a shape and a dtype. Raises TypeError for what
    is no array.

    >>> shaped_abstractify(2.0)
    ShapedArray(float32[], weak_type=True)
    """
    return typeof(x)


def debug_info(
    traced_for: str,
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    static_argnums: Sequence[int] = (),
    static_argnames: Sequence[str] = (),
    result_paths_thunk: Callable[[], tuple[str, ...]] | None = None,
    sourceinfo: str | None = None,
    signature: inspect.Signature | None = None,
) -> DebugInfo:
    """What is known of `fun`, called with `args` and `kwargs`, for messages and programs.

    >>> debug_info("jit", lambda x, scale: x, (1.0,), {"scale": (2, 3)}).arg_names
    ('x', 'scale[0]', 'scale[1]')
    """
    from pullback.core.tree import keystr, tree_flatten_with_path

    if signature is None:
        try:
            signature = inspect.signature(fun)
        except (TypeError, ValueError):  # builtins without one
            signature = None
    names: tuple[str, ...] | None = None
    try:
        bound = signature.bind(*args, **kwargs).arguments if signature is not None else {}
    except TypeError:
        bound = {}
    if bound or not (args or kwargs):
        found: list[str] = []
        for i, (name, value) in enumerate(bound.items()):
            if i not in static_argnums and name not in static_argnames:
                found += [name + keystr(path) for path, _ in tree_flatten_with_path(value)[0]]
        names = tuple(found)
    if sourceinfo is None:
        code = getattr(inspect.unwrap(fun), "__code__", None)
        where = f" at {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
        sourceinfo = f"{getattr(fun, '__name__', type(fun).__name__)}{where}"
    return DebugInfo(traced_for, sourceinfo, names, result_paths_thunk)


def donation_vector(donate_argnums: Any, donate_argnames: Any, in_tree: Any, kws: bool = True) -> tuple[bool, ...]:
    """For each leaf of `(args, kwargs)`, of structure `in_tree`, whether it is donated.

    >>> donation_vector((0,), ("y",), tree_structure(((1, 2), {"y": (3, 4)})))
    (True, False, True, True)
    """
    args, kwargs = (
        in_tree.unflatten([0] * in_tree.num_leaves) if kws else (in_tree.unflatten([0] * in_tree.num_leaves), {})
    )
    found: list[bool] = []
    for i, part in enumerate(args):
        found += [i in donate_argnums] * tree_structure(part).num_leaves
    for name in sorted(kwargs):
        found += [name in donate_argnames] * tree_structure(kwargs[name]).num_leaves
    return tuple(found)


def rebase_donate_argnums(donate_argnums: Sequence[int], static_argnums: Sequence[int]) -> tuple[int, ...]:
    """The numbers that donated arguments have among those that are not static.

    >>> rebase_donate_argnums((1, 2), (0,))
    (0, 1)
    """
    return tuple(sorted(i - sum(s < i for s in static_argnums) for i in set(donate_argnums) - set(static_argnums)))


__all__ = [
    "argnums_partial",
    "debug_info",
    "donation_vector",
    "flatten_axes",
    "flatten_fun",
    "flatten_fun_nokwargs",
    "rebase_donate_argnums",
    "safe_map",
    "shaped_abstractify",
]
