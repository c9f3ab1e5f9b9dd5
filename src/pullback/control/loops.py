"""`scan`, `map`, `fori_loop` and `while_loop`: loops in programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.scan import scan_p
from pullback.control.while_loop import while_p
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.config import disable_jit
from pullback.core.errors import ConcretizationTypeError, UnexpectedTracerError, filter_traceback, see, user_line
from pullback.core.trace import known_value
from pullback.core.tree import (
    PyTreeDef,
    arrays_of,
    keystr,
    tree_flatten,
    tree_flatten_with_path,
    tree_leaves,
    tree_structure,
    tree_unflatten,
)
from pullback.core.types import ShapedArray, integer
from pullback.lax.arrangement import concatenate
from pullback.lax.blocks import dynamic_index_in_dim
from pullback.lax.shape import convert, expand_dims, move_axis, reshape_p
from pullback.transforms.bodies import (
    Body,
    Call,
    Wrapped,
    prepared,
    stage,
    unchanged_carries,
    with_carries_constant,
)

if TYPE_CHECKING:
    from pullback.core.dtypes import DType
    from pullback.core.names import Argument, Axis, Function, Operand, Tree, Value

# ---- carries -------------------------------------------------------------------------------------


def stage_with_carry(
    fun: Function, types: list[ShapedArray], in_tree: PyTreeDef, others: Sequence[ShapedArray], what: str,
    carry_of: Callable[[Tree], Tree], carry_tree: PyTreeDef,
) -> tuple[Body, list[tuple[int, DType]]]:  # fmt: skip
    """The body of a loop whose initial carry has `types`, and the dtypes that some of the initial
    carry must be converted to.

    A weakly typed carry takes the type that the body returns. Raises TypeError if the carry that
    the body returns differs in structure, shape or dtype.
    """
    converted: dict[int, Any] = {}
    what, part = (fun.what, fun.part) if isinstance(fun, Wrapped) else (what, 0)
    while True:
        body = stage(fun, in_tree, [*types, *others], what)
        carry = carry_of(tree_unflatten(body.out_tree, body.out_types))
        out_tree, out_types = tree_structure(carry), tree_leaves(carry)
        if out_tree == carry_tree:
            weak = [
                i for i, (t, o) in enumerate(zip(types, out_types))
                if t.weak_type and not (o.weak_type and o.dtype == t.dtype) and t.shape == o.shape and _promotes(t, o)
            ]  # fmt: skip
            if weak:
                converted.update((i, out_types[i].dtype) for i in weak)
                types = [
                    t.update(dtype=converted[i], weak_type=False) if i in converted else t for i, t in enumerate(types)
                ]
                continue
        _check_carry(what, part, tree_unflatten(carry_tree, types), carry, carry_tree, out_tree)
        return body, list(converted.items())


def _promotes(weak: ShapedArray, other: ShapedArray) -> bool:
    return dtypes.promote_pair(weak.dtype, True, other.dtype, other.weak_type)[0] == other.dtype


def _check_carry(what: str, part: int, given: Tree, returned: Tree, in_tree: PyTreeDef, out_tree: PyTreeDef) -> None:
    if part:  # the user's is the last in a state of so many
        given, returned = given[-1], returned[-1]
        in_tree, out_tree = tree_structure(given), tree_structure(returned)
    if in_tree != out_tree:
        raise TypeError(
            f"{what}: the carry that the body returns must have the structure of the carry that it takes, at {user_line()}: it takes "
            f"{in_tree} and returns {out_tree}"
        )
    wrong = []
    pairs = zip(tree_flatten_with_path(given)[0], tree_leaves(returned))
    for (path, t), o in pairs:
        if t.shape == o.shape and t.dtype == o.dtype:
            continue
        cause = ""
        if t.shape == o.shape and t.weak_type:
            cause = f" (the initial value is a Python number, of weak type, whose dtype became {dtypes.name(t.dtype)}: give it a dtype)"
        wrong.append(f"  carry{keystr(path)} has type {t.str_short()} and becomes {o.str_short()}{cause}")
    if wrong:
        raise TypeError(
            f"{what}: the carry that the body returns must have the types of the carry that it takes, at {user_line()}:\n"
            + "\n".join(wrong)
            + see("types-in-control-flow")
        )


# ---- scan ----------------------------------------------------------------------------------------


def scan(
    f: Callable[[Tree, Tree], tuple[Tree, Tree]],
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    *,
    checkpoints: int | str | None = None,
) -> tuple[Tree, Tree]:
    """Loop over the leading axis of `xs`, carrying a state: `carry, y = f(carry, x)` for each x.
    Gives the last carry and the stacked ys.

    `carry`, `x` and `y` are trees of arrays; the carry keeps its types. Without `xs`, `f` gets
    None, `length` times. With `reverse` the loop runs from the end (the ys stay in place). `unroll`
    is the number of steps written out in each pass of the compiled loop (all of them, if True).
    Reverse mode keeps what each step needs; with `checkpoints=n` it keeps n states and computes the
    others again (`"sqrt"`, `"binomial"`: see `pullback.control.schedule`). Raises ValueError for
    lengths that differ or are missing, TypeError for a carry that changes its type.

    >>> import pullback.numpy as jnp
    >>> scan(lambda total, x: (total + x, total * x), 0.0, jnp.array([1.0, 2.0, 3.0]))
    (Array(6., dtype=float32), Array([0., 2., 9.], dtype=float32))
    """
    del _split_transpose
    try:
        return _scan(f, init, xs, length, bool(reverse), unroll, checkpoints)
    except Exception as error:
        filter_traceback(error)
        raise


def _scan(
    f: Function, init: Tree, xs: Tree, length: int | None, reverse: bool, unroll: int | bool, checkpoints: Argument
) -> tuple[Tree, Tree]:
    carry, carry_tree = arrays_of(init, "the initial carry of scan")
    inputs, xs_tree = arrays_of(xs, "the inputs of scan")
    if disable_jit.value:
        return _scan_in_python(f, tree_unflatten(carry_tree, carry), inputs, xs_tree, _length(xs, length), reverse)

    def prepare() -> tuple[Call, Sequence[Tree]]:
        if not callable(f):
            raise TypeError(f"scan takes a function, got {f!r}")
        steps = _length(xs, length)
        each = [x.aval.update(shape=x.shape[1:]) for x in inputs]
        in_tree = tree_structure((tree_unflatten(carry_tree, carry), tree_unflatten(xs_tree, inputs)))
        body, targets = stage_with_carry(f, [x.aval for x in carry], in_tree, each, "scan", _first_of_pair, carry_tree)
        slots = checkpoints
        if slots is not None:
            slots = check_slots(slots, steps)
        program, num_consts, order = body.program, len(body.captured), None
        unchanged = unchanged_carries(body, len(carry))
        if unchanged:
            changing = [i for i in range(len(body.out_types)) if i not in unchanged]
            program, used = with_carries_constant(program, num_consts, unchanged, changing)
            others = [i for i in range(len(carry) + len(inputs)) if i not in unchanged]
            order = [*range(num_consts), *(num_consts + i for i in (*used, *others))]
            num_consts += len(used)
        params = {
            "jaxpr": program, "num_consts": num_consts, "num_carry": len(carry) - len(unchanged), "length": steps, "reverse": reverse,
            "unroll": _unroll(unroll, steps), "checkpoints": slots,
        }  # fmt: skip
        return Call(scan_p, params, body.captured, targets, body.out_tree, unchanged, order), body.captured

    key = ("scan", carry_tree, xs_tree, length, reverse, unroll, unroll.__class__, checkpoints, checkpoints.__class__)
    final, ys = prepared((f,), key, [*carry, *inputs], prepare)([*carry, *inputs])
    return final, ys


def _scan_in_python(
    f: Function, carry: Tree, inputs: Sequence[Value], xs_tree: PyTreeDef, length: int, reverse: bool
) -> Tree:
    """What `scan` does, step by step: for `disable_jit`."""
    if not length:
        raise ValueError(
            "scan of length 0 needs the types of its outputs, which it does not have while `disable_jit` is on"
        )
    rows: list[Any] = [None] * length
    for i in reversed(range(length)) if reverse else range(length):
        carry, y = f(carry, tree_unflatten(xs_tree, [dynamic_index_in_dim(x, i, 0, keepdims=False) for x in inputs]))
        rows[i], out_tree = tree_flatten(y)
    stack: Callable[[Any], Any] = lambda ys: concatenate([expand_dims(as_array(y), (0,)) for y in ys], 0)
    return carry, tree_unflatten(out_tree, [stack(ys) for ys in zip(*rows)])


def _first_of_pair(result: Tree) -> Tree:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(
            f"scan: the body must return a pair (carry, y), at {user_line()}; it returned {tree_structure(result)}"
        )
    return result[0]


def _unroll(unroll: Argument, length: int) -> int:
    if unroll is True:
        return max(1, length)
    if unroll is False:
        return 1
    times = integer(unroll, "unroll")
    if times < 0:
        raise ValueError(f"unroll must not be negative, got {times}")
    return max(1, times)


def _length(xs: Tree, length: Argument) -> int:
    lengths = {}
    for path, x in tree_flatten_with_path(xs)[0]:
        shape = np.shape(x)
        if not shape:
            raise ValueError(
                f"scan takes inputs with a leading axis, but xs{keystr(path)} is a scalar, at {user_line()}"
            )
        lengths[f"xs{keystr(path)}"] = shape[0]
    if length is not None:
        length = integer(length, "scan: length")
        if length < 0:
            raise ValueError(f"scan: length must not be negative, got {length}")
        lengths["length"] = length
    if not lengths:
        raise ValueError("scan needs inputs `xs` or a `length`, at " + user_line())
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise ValueError(f"scan got inputs of different leading axis sizes, at {user_line()}: {found}")
    return next(iter(lengths.values()))


def map(f: Callable[[Tree], Tree], xs: Tree, *, batch_size: int | None = None) -> Tree:
    """`f` on each element of `xs` along axis 0, one after the other, results stacked: like `vmap`,
    in the memory of one element.

    With `batch_size`, that many elements at a time are mapped by `vmap`. Raises ValueError for a
    batch size that is not positive.

    >>> import pullback.numpy as jnp
    >>> map(lambda x: x**2, jnp.arange(3.0))
    Array([0., 1., 4.], dtype=float32)
    """

    if batch_size is None:
        return scan(_Mapped(f), (), xs)[1]
    batch_size = integer(batch_size, "map: batch_size")
    if batch_size < 1:
        raise ValueError(f"map: batch_size must be a positive number, got {batch_size!r}")
    inputs, tree = arrays_of(xs, "the inputs of map")
    count = _length(xs, None)
    batches, rest = divmod(count, batch_size)
    parts: list[list[Any]] = []
    start = 0
    for steps, size in ((batches, batch_size), (1, rest)):
        if not steps * size and (parts or steps == 0):
            continue
        stop = start + steps * size
        cut = [reshape_p.bind(x[start:stop], new_sizes=(steps, size, *x.shape[1:])) for x in inputs]
        _, ys = scan(_MappedInBatches(f), (), tree_unflatten(tree, cut))
        leaves, out_tree = tree_flatten(ys)
        parts.append([reshape_p.bind(y, new_sizes=(steps * size, *y.shape[2:])) for y in leaves])
        start = stop
    return tree_unflatten(out_tree, [ys[0] if len(ys) == 1 else concatenate(list(ys), 0) for ys in zip(*parts)])


def call_in_loop(call: Callable[..., Tree], args: Sequence[Value], axes: Sequence[Axis]) -> Tree:
    """`call` of each element of a batch, one after the other: what `vmap` makes of a function that
    takes no batches. `axes` are those along which the elements of `args` lie; None where an argument
    is the same for all. The elements of results lie along axis 0.
    """

    def of_one(elements: list[Value]) -> Tree:
        following = iter(elements)
        return call(*[x if b is None else next(following) for x, b in zip(args, axes)])

    return map(of_one, [move_axis(x, b, 0) for x, b in zip(args, axes) if b is not None])


# ---- while ---------------------------------------------------------------------------------------


def while_loop(
    cond_fun: Callable[[Tree], Tree],
    body_fun: Callable[[Tree], Tree],
    init_val: Tree,
    *,
    checkpoints: int | None = None,
) -> Tree:
    """`while cond_fun(val): val = body_fun(val)`, from `init_val`: the last `val`, a tree of arrays
    that keeps its types.

    Reverse mode works for any number of iterations, in bounded memory: it keeps `checkpoints`
    states (by default a number that suits most loops) and computes the others again. Raises
    TypeError for a condition that is no boolean scalar and for a state that changes its type.

    >>> while_loop(lambda x: x < 10.0, lambda x: 2 * x, 1.0)
    Array(16., dtype=float32, weak_type=True)
    """
    try:
        if not callable(cond_fun) or not callable(body_fun):
            raise TypeError(f"while_loop takes functions, got cond_fun={cond_fun!r:.100}, body_fun={body_fun!r:.100}")
        init, tree = arrays_of(init_val, "the initial value of while_loop")
        if disable_jit.value:
            try:
                return _while_in_python(cond_fun, body_fun, tree_unflatten(tree, init))
            except ConcretizationTypeError:  # a transformation traces the condition: it needs the loop in one piece
                pass

        def prepare() -> tuple[Call, Sequence[Tree]]:
            in_tree = tree_structure((tree_unflatten(tree, init),))
            types = [x.aval for x in init]
            body, targets = stage_with_carry(body_fun, types, in_tree, (), "while_loop", _itself, tree)
            for i, dtype in targets:
                types[i] = types[i].update(dtype=dtype, weak_type=False)
            condition = stage(cond_fun, in_tree, types, "the condition of while_loop")
            _check_condition(condition)
            slots = checkpoints
            if slots is not None:
                slots = check_slots(slots, None)
            captured = [*condition.captured, *body.captured]
            of_cond, of_body, order = condition.program, body.program, None
            n, m = len(condition.captured), len(body.captured)
            unchanged = unchanged_carries(body, len(init))
            if unchanged:
                changing = [i for i in range(len(init)) if i not in unchanged]
                of_cond, by_cond = with_carries_constant(of_cond, n, unchanged, [0])
                of_body, by_body = with_carries_constant(of_body, m, unchanged, changing)
                states = range(n + m, n + m + len(init))
                order = [
                    *range(n), *(states[i] for i in by_cond),
                    *range(n, n + m), *(states[i] for i in by_body), *(states[i] for i in changing),
                ]  # fmt: skip
                n, m = n + len(by_cond), m + len(by_body)
            params = {
                "cond_jaxpr": of_cond, "body_jaxpr": of_body, "cond_nconsts": n, "body_nconsts": m, "checkpoints": slots,
            }  # fmt: skip
            return Call(while_p, params, captured, targets, tree, unchanged, order), captured

        key = ("while", tree, checkpoints, checkpoints.__class__)
        return prepared((body_fun, cond_fun), key, init, prepare)(init)
    except Exception as error:
        filter_traceback(error)
        raise


def _while_in_python(cond_fun: Function, body_fun: Function, val: Tree) -> Tree:
    """What `while_loop` does, step by step: for `disable_jit`."""
    while cond_fun(val):
        val = body_fun(val)
    return val


def _itself(result: Tree) -> Tree:
    return result


def _check_condition(condition: Body) -> None:
    types = condition.out_types
    if not condition.out_tree.is_leaf():
        raise TypeError(
            f"while_loop: cond_fun must return a boolean scalar, at {user_line()}; it returned {condition.out_tree}"
        )
    if types[0].shape or types[0].dtype != dtypes.bool_:
        raise TypeError(
            f"while_loop: cond_fun must return a boolean scalar, at {user_line()}; it returned {types[0].str_short()}"
        )


def fori_loop(
    lower: Operand, upper: Operand, body_fun: Callable[[Tree, Tree], Tree], init_val: Tree, *, unroll: int | bool | None = None,
    checkpoints: int | str | None = None,
) -> Tree:  # fmt: skip
    """`for i in range(lower, upper): val = body_fun(i, val)`, from `init_val`.

    The bounds may be traced: the loop is then a `while_loop`, and `unroll` is refused (ValueError).
    With known bounds it is a `scan`. Both are differentiable in both modes; `checkpoints` is
    theirs. The bounds are integers, or floats, both of one dtype: i is `lower`, `lower + 1`, ...
    while it is less than `upper`.

    >>> fori_loop(0, 5, lambda i, total: total + i, 0)
    Array(10, dtype=int32, weak_type=True)
    """
    try:
        if not callable(body_fun):
            raise TypeError(f"fori_loop takes a function, got {body_fun!r:.100}")
        start, stop = (_bound(b, name) for b, name in ((lower, "lower"), (upper, "upper")))
        if start.dtype != stop.dtype or start.weak_type != stop.weak_type:
            common = dtypes.promotion(start, stop)
            mixed = start.dtype != stop.dtype and not (start.weak_type or stop.weak_type)
            if mixed or dtypes.is_integer(start.dtype) != dtypes.is_integer(stop.dtype):
                raise TypeError(
                    f"fori_loop: lower and upper must have equal types, got {start.aval.str_short()} and {stop.aval.str_short()}, at "
                    f"{user_line()}"
                )
            start, stop = convert(start, *common), convert(stop, *common)
        length = _count(known_value(start), known_value(stop))
        if length is not None:
            unroll = 1 if unroll is None else unroll
            body = _Numbered(body_fun)
            (_, val), _ = scan(body, (start, init_val), None, length, unroll=unroll, checkpoints=checkpoints)
            return val
        if unroll is not None:
            raise ValueError("fori_loop: `unroll` needs bounds that are known when the loop is traced")
        if isinstance(checkpoints, str):
            raise ValueError(
                f"fori_loop: checkpoints={checkpoints!r} needs bounds that are known when the loop is traced; give a number"
            )
        _, _, val = while_loop(_below, _Counting(body_fun), (start, stop, init_val), checkpoints=checkpoints)
        return val
    except Exception as error:
        filter_traceback(error)
        raise


def _bound(x: Operand, name: str) -> Value:
    try:
        bound = as_array(x)
    except UnexpectedTracerError:
        raise
    except TypeError:
        raise TypeError(f"fori_loop: {name} must be an integer scalar, got {x!r:.100}") from None
    if bound.shape or not (dtypes.is_integer(bound.dtype) or dtypes.is_float(bound.dtype)):
        raise TypeError(
            f"fori_loop: {name} must be an integer or a float, a scalar; got {bound.aval.str_short()}, at {user_line()}"
        )
    return bound


def _count(start: Operand, stop: Operand) -> int | None:
    """How many steps a loop between known bounds has; None where that depends on how its counter is
    rounded."""
    if start is None or stop is None:
        return None
    if not dtypes.is_integer(start.dtype):
        exact = 2.0 ** dtypes.finfo(start.dtype).nmant
        if not all(abs(float(b)) <= exact and float(b).is_integer() for b in (start, stop)):
            return None
    return max(0, int(stop) - int(start))


def _below(state: tuple[Value, ...]) -> Value:
    i, stop, _ = state
    return i < stop


class _Mapped(Wrapped):
    """The body of a scan that carries nothing.

    Example: `lax.map(f, xs)` scans it.
    """

    __slots__ = ()
    what = "map"

    def __call__(self, carry: Tree, x: Tree) -> Tree:
        return carry, self.f(x)


class _MappedInBatches(Wrapped):
    """The same, of which each step maps several elements by `vmap`.

    Example: `lax.map(f, xs, batch_size=8)` scans it.
    """

    __slots__ = ()
    what = "map"

    def __call__(self, carry: Tree, xs: Tree) -> Tree:
        from pullback.transforms.vmap import vmap

        return carry, vmap(self.f)(xs)


class _Numbered(Wrapped):
    """The body of a scan that counts.

    Example: `fori_loop(0, 10, f, x)` scans it.
    """

    __slots__ = ()
    what, part = "fori_loop", 2

    def __call__(self, state: Tree, _: object) -> Tree:
        i, val = state
        return (i + 1, self.f(i, val)), None


class _Counting(Wrapped):
    """The body of a while that counts to a bound.

    Example: `fori_loop(0, n, f, x)`, where n is traced, loops over it.
    """

    __slots__ = ()
    what, part = "fori_loop", 3

    def __call__(self, state: tuple[Value, ...]) -> Tree:
        i, stop, val = state
        return i + 1, stop, self.f(i, val)


def check_slots(checkpoints: Argument, length: int | None) -> int:
    """The number of slots that `checkpoints` asks for. Raises ValueError for what is neither a
    positive number nor a known name."""
    if isinstance(checkpoints, str):
        if checkpoints == "sqrt" and length is not None:
            return max(1, math.isqrt(max(0, length - 1)) + 1)
        if checkpoints == "binomial" and length is not None:
            return max(1, length.bit_length())
        known = "a positive number, 'sqrt' or 'binomial'" if length is not None else "a positive number"
        raise ValueError(f"checkpoints must be {known}, got {checkpoints!r}")
    if isinstance(checkpoints, bool) or not isinstance(checkpoints, (int, np.integer)) or checkpoints < 1:
        raise ValueError(f"checkpoints must be a positive number, got {checkpoints!r}")
    return int(checkpoints) if length is None else min(int(checkpoints), max(1, length))


__all__ = ["fori_loop", "map", "scan", "scan_p", "while_loop", "while_p"]
