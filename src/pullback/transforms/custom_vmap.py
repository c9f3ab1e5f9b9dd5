"""custom_vmap: functions that say themselves what they are under `vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.trace import Params, current
from pullback.core.tree import tree_flatten
from pullback.core.types import ShapedArray
from pullback.lax.shape import move_axis
from pullback.transforms.closures import Closure, Replay, batched
from pullback.transforms.custom_rules import Arguments, CustomCall, as_promised, running
from pullback.transforms.jvp import jvp_flat
from pullback.transforms.lifting import Bundle, Outcome, kinds_of, leaves_of
from pullback.transforms.vmap import Batch, mapped

if TYPE_CHECKING:
    from pullback.core.names import Function, Tangent, Tree, Value, WithTangents


class CustomVmapCall(CustomCall):
    """`fun` with `rule(size, mapped, *args) -> (outs, out_mapped)`: what it is where the arguments
    that `mapped` marks have an axis of length `size` in front.

    Derivatives are those of the function, and under `vmap` of its derivative nothing but that is
    mapped; the derivative of a function that has been mapped already is that of the rule.

    Example: `f(x)`, where f is a `custom_vmap` function with `f.def_vmap(rule)`.
    """

    name = "custom_vmap_call"

    def replayed(self, params: Params, closure: Closure, captured: Sequence[Value]) -> Params:
        return {**params, "rule": running(lambda: Replay(current(), closure, captured), params["rule"])}

    def promising(self, params: Params, types: Sequence[ShapedArray]) -> Params:
        rule = params["rule"]

        def promised(size: int, mapped: Sequence[bool], *args: Value) -> tuple[list[Value], list[bool]]:
            outs, marks = rule(size, mapped, *args)
            of_batch = [t.update(shape=(size, *t.shape)) if m else t for t, m in zip(types, marks)]
            return as_promised(outs, of_batch, f"custom_vmap rule for function {params['name']}"), marks

        return {**params, "rule": promised}

    def forward_mode(self, primals: Sequence[Value], tangents: Sequence[Tangent], params: Params) -> WithTangents:
        return jvp_flat(params["fun"], primals, tangents)


@Batch.rules.of(CustomVmapCall)
def _batched_custom_vmap(how: Batch, call: CustomVmapCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    values, axes, trace = leaves_of(operands), kinds_of(operands), how.within
    if all([b is None for b in axes]):  # mapped in what the function closes over, at most
        inner = {**params, "fun": batched(params["fun"], trace, axes)}
        return None, [mapped(o, 0) for o in inner["fun"](*values)]
    in_front = [x if b is None else move_axis(x, b, 0) for x, b in zip(values, axes)]
    outs, marks = params["rule"](how.size, [b is not None for b in axes], *in_front)
    return None, [mapped(o, 0 if m else None) for o, m in zip(outs, marks)]


custom_vmap_call_p = CustomVmapCall()


class custom_vmap:
    """A function with a rule of its own for `vmap`.

    The rule, registered with `def_vmap`, takes the length of the axis, a list that has for each
    argument a tree like it that says which of its arrays are mapped (True or False), and the
    arguments, with the axis in front where they are mapped. It returns the result and a tree like
    it that says where that has the axis. Everything else is done with the function itself:
    derivatives in both modes, too.

    >>> import pullback as pb
    >>> @custom_vmap
    ... def f(x, y):
    ...     return x + y
    >>> @f.def_vmap
    ... def rule(axis_size, in_batched, x, y):
    ...     return x + y, True
    >>> pb.vmap(f, (0, None))(pb.numpy.arange(3), 1)
    Array([1, 2, 3], dtype=int32)
    """

    def __init__(self, fun: Callable[..., Any]) -> None:
        update_wrapper(self, fun)
        self._arguments = Arguments(fun, (), ())
        self.fun = fun
        self.vmap_rule: Function | None = None

    def def_vmap(self, vmap_rule: Function) -> Function:
        """Register the rule; works as a decorator."""
        self.vmap_rule = vmap_rule
        return vmap_rule

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        arguments, rule = self._arguments, self.vmap_rule
        if rule is None:
            raise AttributeError(f"No batching rule defined for custom_vmap function {arguments.name} using def_vmap.")
        args = arguments.positional(args, kwargs)
        leaves, in_tree = tree_flatten(args)
        leaves = arguments.arrays(args, leaves)
        out_tree: Any = None

        def flat_fun(*xs: Value) -> list[Value]:
            nonlocal out_tree
            out = arguments.fun(*in_tree.unflatten(list(xs)))
            flat, out_tree = tree_flatten(out)
            return arguments.arrays(out, flat)

        def flat_rule(size: int, mapped: Sequence[bool], *xs: Value) -> tuple[list[Array], list[bool]]:
            nonlocal out_tree
            marks = list(in_tree.unflatten(list(mapped)))
            result = rule(size, marks, *in_tree.unflatten(list(xs)))
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise TypeError(
                    f"the custom_vmap rule for function {arguments.name} must return a pair of the result and of which of its arrays are "
                    f"mapped, got {result!r:.200}, at {user_line()}"
                )
            flat, out_tree = tree_flatten(result[0])
            out_marks, mark_tree = tree_flatten(result[1])
            if mark_tree != out_tree:
                raise ValueError(
                    f"structure of output value and output batching specification returned by the custom_vmap rule for function "
                    f"{arguments.name} do not match: {out_tree} and {mark_tree}, at {user_line()}"
                )
            outs = arguments.arrays(result[0], flat)
            for out, mark in zip(outs, out_marks):
                if mark and out.shape[:1] != (size,):
                    raise ValueError(
                        f"the custom_vmap rule for function {arguments.name} says that its result of shape {out.shape} is mapped: it must have "
                        f"length {size} along axis 0, at {user_line()}"
                    )
            return outs, list(map(bool, out_marks))

        outs = custom_vmap_call_p.call(flat_fun, *leaves, rule=flat_rule, name=arguments.name)
        return out_tree.unflatten(outs)


__all__ = ["custom_vmap", "custom_vmap_call_p"]
