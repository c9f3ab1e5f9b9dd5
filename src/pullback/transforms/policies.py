"""What a checkpointed function stores although it could compute it again.

A policy is a function `policy(primitive, *types, **params)` that is asked about each operation of
the function: True, `Saveable` or an `Offloadable` store its result, False and `Recompute` do not.
It is asked about the operations in jitted functions and in the bodies of scans, too (whose results
are then stored for each step). Other loops and branches are one operation each, about which nobody
asks: what they need is computed again.

Equal calls of the functions that make policies give the same policy: what is derived for one is
found again. It is pickled as the call that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pullback.core.errors import user_line

if TYPE_CHECKING:
    from pullback.core.names import Param
    from pullback.core.primitive import Primitive

Policy = Callable[..., Any]


class Decision:
    """What a policy says about a result; true if it is stored. `Saveable` and `Recompute` are the two
    that there are.

    >>> bool(Saveable), bool(Recompute), Saveable
    (True, False, Saveable)
    """

    __slots__ = ("name", "stores")

    def __init__(self, name: str, stores: bool) -> None:
        self.name, self.stores = name, stores

    def __bool__(self) -> bool:
        return self.stores

    def __repr__(self) -> str:
        return self.name


#: Store the result.
Saveable = Decision("Saveable", True)
#: Compute the result again.
Recompute = Decision("Recompute", False)


class Offloadable(NamedTuple):
    """Store the result in the memory called `dst`, until the backward pass brings it back to `src`.

    On the host there is one memory, and so on devices, as far as programs can choose: the result is
    stored where it is.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> away = Offloadable("device", "pinned_host")
    >>> policy = lambda prim, *types, **params: away if prim.name == "sin" else Recompute
    >>> f = pb.checkpoint(lambda x: jnp.exp(jnp.sin(x)), policy=policy)
    >>> [r.source.split(" from ")[0] for r in pb.ad_checkpoint.saved_residuals(f, 1.0)]
    ['from the argument x', 'output of sin']
    """

    src: str
    dst: str


class _Made:
    """The policy that `maker(*args)` makes, where `maker` is known by its name."""

    __slots__ = ("args", "maker", "policy")

    def __init__(self, maker: Callable[..., Policy], args: tuple[Any, ...], policy: Policy) -> None:
        self.maker, self.args, self.policy = maker, args, policy

    def __call__(self, prim: Primitive, *types: object, **params: Param) -> Decision | Offloadable | bool:
        return self.policy(prim, *types, **params)

    def __reduce__(self) -> tuple[Callable[..., Policy], tuple[object, ...]]:
        return self.maker, self.args

    def __repr__(self) -> str:
        return f"{self.maker.__name__}({', '.join(map(repr, self.args))})"


M = TypeVar("M", bound=Callable[..., Policy])


def _made(maker: M) -> M:
    """A function that makes policies, which are the same for equal arguments and can be pickled."""

    @cache
    def make(*args: object) -> Policy:
        return _Made(kept, args, maker(*args))

    @wraps(maker)
    def kept(*args: object, **named: object) -> Policy:
        return make(*(signature(maker).bind(*args, **named).args if named else args))

    return kept  # type: ignore[return-value]


def everything_saveable(*_: object, **__: Param) -> bool:
    """Store everything, as if there were no checkpoint: no recomputation.

    >>> import pullback as pb
    >>> f = lambda x: pb.numpy.sin(pb.numpy.sin(x))
    >>> kept = lambda f: len(pb.ad_checkpoint.saved_residuals(f, 1.0))
    >>> kept(pb.checkpoint(f, policy=everything_saveable)) == kept(f)
    True
    """
    return True


def nothing_saveable(*_: object, **__: Param) -> bool:
    """Store nothing but the inputs: what `checkpoint` does without a policy.

    >>> import pullback as pb
    >>> f = pb.checkpoint(lambda x: pb.numpy.sin(pb.numpy.sin(x)), policy=nothing_saveable)
    >>> [r.source for r in pb.ad_checkpoint.saved_residuals(f, 1.0)]
    ['from the argument x']
    """
    return False


def dots_saveable(prim: Primitive, *_: object, **params: Param) -> bool:
    """Store the results of contractions and convolutions, which cost the most to compute again.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> f = pb.checkpoint(lambda x, w: jnp.tanh(x @ w), policy=dots_saveable)
    >>> found = pb.ad_checkpoint.saved_residuals(f, jnp.ones((2, 3)), jnp.ones((3, 4)))
    >>> [r.source.split(" from ")[0] for r in found]
    ['from the argument x', 'from the argument w', 'output of dot_general']
    """
    return bool(prim.contracts)


def dots_with_no_batch_dims_saveable(prim: Primitive, *_: object, **params: Param) -> bool:
    """Store the results of contractions without batch axes: of weights with activations, not of
    activations with each other.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def scores(x, w):
    ...     h = jnp.sin(x @ w)                                  # (8, 4, 3) @ (3, 3)
    ...     return jnp.tanh(h @ h.mT)                           # batches: (8, 4, 3) @ (8, 3, 4)
    >>> f = pb.checkpoint(scores, policy=dots_with_no_batch_dims_saveable)
    >>> found = pb.ad_checkpoint.saved_residuals(f, jnp.ones((8, 4, 3)), jnp.ones((3, 3)))
    >>> [(r.source.split(" from ")[0], r.aval.shape) for r in found]
    [('from the argument x', (8, 4, 3)), ('from the argument w', (3, 3)), ('output of dot_general', (8, 4, 3))]
    """
    return bool(prim.name == "dot_general" and not params["dimension_numbers"][1][0])


@_made
def save_only_these_names(*names_which_can_be_saved: str) -> Policy:
    """Store the values marked by `checkpoint_name` with one of these names.

    >>> import pullback as pb
    >>> from pullback.ad_checkpoint import checkpoint_name, saved_residuals
    >>> f = lambda x: pb.numpy.sin(checkpoint_name(pb.numpy.sin(x), "hidden"))
    >>> policy = save_only_these_names("hidden")
    >>> [r.source.split(" from ")[0] for r in saved_residuals(pb.checkpoint(f, policy=policy), 1.0)]
    ['from the argument x', "named 'hidden'"]
    """
    names = frozenset(names_which_can_be_saved)

    def policy(prim: Primitive, *_: object, **params: Param) -> bool:
        return prim.name == "name" and params["label"] in names

    return policy


@_made
def save_any_names_but_these(*names_not_to_save: str) -> Policy:
    """Store the values marked by `checkpoint_name`, except with these names; nothing else.

    >>> import pullback as pb
    >>> from pullback.ad_checkpoint import checkpoint_name, saved_residuals
    >>> def f(x):
    ...     first = checkpoint_name(pb.numpy.sin(x), "first")
    ...     return pb.numpy.sin(checkpoint_name(pb.numpy.sin(first), "second"))
    >>> policy = save_any_names_but_these("first")
    >>> [r.source.split(" from ")[0] for r in saved_residuals(pb.checkpoint(f, policy=policy), 1.0)]
    ['from the argument x', "named 'second'"]
    """
    names = frozenset(names_not_to_save)

    def policy(prim: Primitive, *_: object, **params: Param) -> bool:
        return prim.name == "name" and params["label"] not in names

    return policy


@_made
def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
    """Store everything, except values marked by `checkpoint_name` with these names.

    >>> import pullback as pb
    >>> from pullback.ad_checkpoint import checkpoint_name, saved_residuals
    >>> f = lambda x: checkpoint_name(pb.numpy.exp(x), "large") ** 3
    >>> policy = save_anything_except_these_names("large")
    >>> [r.source.split(" from ")[0] for r in saved_residuals(pb.checkpoint(f, policy=policy), 1.0)]
    ['output of exp']
    """
    names = frozenset(names_not_to_save)

    def policy(prim: Primitive, *_: object, **params: Param) -> bool:
        return not (prim.name == "name" and params["label"] in names)

    return policy


@_made
def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Store what either policy stores; where one offloads, what it says.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> from pullback.ad_checkpoint import checkpoint_name, saved_residuals
    >>> f = lambda x, w: jnp.sin(checkpoint_name(jnp.sin(x @ w), "hidden"))
    >>> policy = save_from_both_policies(dots_saveable, save_only_these_names("hidden"))
    >>> found = saved_residuals(pb.checkpoint(f, policy=policy), jnp.ones((2, 3)), jnp.ones((3, 4)))
    >>> [r.source.split(" from ")[0] for r in found]
    ['from the argument x', 'from the argument w', 'output of dot_general', "named 'hidden'"]
    """

    def policy(prim: Primitive, *args: object, **params: Param) -> Decision | Offloadable | bool:
        first = policy_1(prim, *args, **params)
        return first if first else policy_2(prim, *args, **params)

    return policy


@_made
def offload_dot_with_no_batch_dims(offload_src: str, offload_dst: str) -> Policy:
    """Move the results of contractions without batch axes from the memory `offload_src` to
    `offload_dst` (see `Offloadable`).

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> policy = offload_dot_with_no_batch_dims("device", "pinned_host")
    >>> f = pb.checkpoint(lambda x, w: jnp.tanh(x @ w), policy=policy)
    >>> found = pb.ad_checkpoint.saved_residuals(f, jnp.ones((2, 3)), jnp.ones((3, 4)))
    >>> found[-1].source.split(" from ")[0]
    'output of dot_general'
    """

    def policy(prim: Primitive, *args: object, **params: Param) -> Decision | Offloadable | bool:
        saved = dots_with_no_batch_dims_saveable(prim, *args, **params)
        return Offloadable(offload_src, offload_dst) if saved else Recompute

    return policy


def save_and_offload_only_these_names(
    *, names_which_can_be_saved: Iterable[str], names_which_can_be_offloaded: Iterable[str], offload_src: str, offload_dst: str
) -> Policy:  # fmt: skip
    """Store the values marked by `checkpoint_name` with a name of the first kind, and move those of
    the second to another memory.

    See `Offloadable`. Raises ValueError for a name that is of both kinds.

    >>> import pullback as pb
    >>> from pullback.ad_checkpoint import checkpoint_name, saved_residuals
    >>> policy = save_and_offload_only_these_names(
    ...     names_which_can_be_saved=["first"], names_which_can_be_offloaded=["second"],
    ...     offload_src="device", offload_dst="pinned_host",
    ... )
    >>> def f(x):
    ...     first = checkpoint_name(pb.numpy.sin(x), "first")
    ...     return pb.numpy.sin(checkpoint_name(pb.numpy.sin(first), "second"))
    >>> [r.source.split(" from ")[0] for r in saved_residuals(pb.checkpoint(f, policy=policy), 1.0)]
    ['from the argument x', "named 'first'", "named 'second'"]
    """
    saved, offloaded = frozenset(names_which_can_be_saved), frozenset(names_which_can_be_offloaded)
    if saved & offloaded:
        raise ValueError(
            f"save_and_offload_only_these_names: names can be saved or offloaded, not both: {sorted(saved & offloaded)}, at {user_line()}"
        )
    return _by_names(saved, offloaded, Offloadable(offload_src, offload_dst))


@_made
def _by_names(saved: frozenset[str], offloaded: frozenset[str], offload: Offloadable) -> Policy:
    def policy(prim: Primitive, *_: object, **params: Param) -> Decision | Offloadable | bool:
        label = params["label"] if prim.name == "name" else None
        if label in saved:
            return Saveable
        return offload if label in offloaded else Recompute

    return policy


__all__ = [
    "Offloadable", "Policy", "Recompute", "Saveable", "dots_saveable", "dots_with_no_batch_dims_saveable", "everything_saveable",
    "nothing_saveable", "offload_dot_with_no_batch_dims", "save_and_offload_only_these_names", "save_any_names_but_these",
    "save_anything_except_these_names", "save_from_both_policies", "save_only_these_names",
]  # fmt: skip
