"""Optimizers by gradients: steps that are functions of a state, for parameters in any pytree.

An optimizer is a triple of functions, `Optimizer(init_fn, update_fn, params_fn)`:

- `init_fn(params)` gives the first state,
- `update_fn(i, grads, state)` the next one, from the gradients at step number `i` (0 is the first),
- `params_fn(state)` the parameters.

Step sizes are numbers or schedules, functions of the step number. All of it can be jitted, mapped
and differentiated, in hyperparameters too.

>>> import pullback as pb
>>> import pullback.numpy as jnp
>>> init, update, params = adam(0.1)
>>> state = init({"w": jnp.array([1.0, -2.0])})
>>> step = pb.jit(lambda i, s: update(i, pb.grad(lambda p: jnp.sum(p["w"] ** 2))(params(s)), s))
>>> for i in range(200):
...     state = step(i, state)
>>> bool(jnp.all(abs(params(state)["w"]) < 1e-3))
True
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.core.tree import PyTreeDef, register_pytree_node, tree_flatten, tree_leaves, tree_map

Schedule = Callable[[Any], Any]


class Optimizer(NamedTuple):
    """The three functions of an optimizer: `init_fn(params)`, `update_fn(i, grads, state)` and
    `params_fn(state)`. See the module's text.

    >>> init, update, params = sgd(0.1)
    >>> params(update(0, {"w": 10.0}, init({"w": 5.0})))
    {'w': 4.0}
    """

    init_fn: Callable[[Any], Any]
    update_fn: Callable[[Any, Any, Any], Any]
    params_fn: Callable[[Any], Any]


# ---- states --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OptimizerState:
    """The state of an optimizer: for each leaf of the parameters the leaves of its state.

    It is a pytree whose leaves are these; the structures of the parameters and of each state are
    static. Parameters are there as `params_fn(state)`, and the rest as `unpack_optimizer_state`
    shows it. Its fields can be unpacked like those of a tuple.

    >>> from pullback.tree import leaves
    >>> leaves(momentum(0.1, 0.9).init_fn([1.0, 2.0]))  # a parameter and its velocity, twice
    [1.0, Array(0., dtype=float32, weak_type=True), 2.0, Array(0., dtype=float32, weak_type=True)]
    """

    packed_state: Any
    tree_def: PyTreeDef
    subtree_defs: tuple[PyTreeDef, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.packed_state, self.tree_def, self.subtree_defs))


register_pytree_node(
    OptimizerState,
    lambda s: ((s.packed_state,), (s.tree_def, s.subtree_defs)),
    lambda structures, children: OptimizerState(*children, *structures),
)


class JoinPoint:
    """The state of one leaf of the parameters, as a leaf itself: `subtree` is what it holds.

    >>> JoinPoint((1, 2))
    JoinPoint((1, 2))
    """

    def __init__(self, subtree: Any) -> None:
        self.subtree = subtree

    def __iter__(self) -> Iterator[Any]:
        """The subtree, alone: for trees of trees that are flattened by iteration."""
        yield self.subtree

    def __repr__(self) -> str:
        return f"JoinPoint({self.subtree!r})"


def _state(name: str, value: Any) -> OptimizerState:
    if not isinstance(value, OptimizerState):
        raise TypeError(f"{name} takes a state of an optimizer, got {value!r:.100} of type {type(value).__name__!r}")
    return value


def unpack_optimizer_state(opt_state: OptimizerState) -> Any:
    """A state as a tree like the parameters, whose leaves are `JoinPoint`s with what the optimizer
    keeps of each: what to write to disk, say. Raises TypeError for what is no state.

    >>> unpack_optimizer_state(momentum(0.1, 0.9).init_fn({"w": 1.0}))
    {'w': JoinPoint((1.0, Array(0., dtype=float32, weak_type=True)))}
    """
    leaves, tree, subtrees = _state("unpack_optimizer_state", opt_state)
    return tree.unflatten([JoinPoint(t.unflatten(x)) for t, x in zip(subtrees, leaves)])


def pack_optimizer_state(marked_pytree: Any) -> OptimizerState:
    """The state that `unpack_optimizer_state` has shown as `marked_pytree`. Raises TypeError for
    leaves that are no `JoinPoint`s.

    >>> state = sgd(0.1).init_fn([1.0, 2.0])
    >>> pack_optimizer_state(unpack_optimizer_state(state)) == state
    True
    """
    points, tree = tree_flatten(marked_pytree)
    wrong = next((p for p in points if not isinstance(p, JoinPoint)), None)
    if wrong is not None:
        raise TypeError(f"pack_optimizer_state takes a tree whose leaves are JoinPoints, got the leaf {wrong!r:.100}")
    return _packed([p.subtree for p in points], tree)


def _packed(states: list[Any], tree: PyTreeDef) -> OptimizerState:
    flat = [tree_flatten(s) for s in states]
    return OptimizerState(tuple([x for x, _ in flat]), tree, tuple([t for _, t in flat]))


def optimizer(opt_maker: Callable[..., Any]) -> Callable[..., Optimizer]:
    """Makes an optimizer of arrays one of trees of them.

    `opt_maker(...)` gives a triple of functions `init(x)`, `update(i, g, state)` and `params(state)`
    for a single array and its gradient; the state may be any tree, and keeps its structure. The
    decorated function gives an `Optimizer` for any tree of arrays. Its `update_fn` raises TypeError
    for gradients in another structure than the parameters', and for updates that change the
    structure of a state.

    >>> @optimizer
    ... def sign_descent(step):
    ...     return (lambda x: x), (lambda i, g, x: x - step * jnp.sign(g)), (lambda x: x)
    >>> init, update, params = sign_descent(0.5)
    >>> params(update(0, {"w": -3.0}, init({"w": 1.0})))
    {'w': Array(1.5, dtype=float32, weak_type=True)}
    """

    @functools.wraps(opt_maker)
    def made(*args: Any, **kwargs: Any) -> Optimizer:
        init, update, params = opt_maker(*args, **kwargs)

        def init_tree(x0_tree: Any) -> OptimizerState:
            leaves, tree = tree_flatten(x0_tree)
            return _packed([init(x) for x in leaves], tree)

        def update_tree(i: Any, grad_tree: Any, opt_state: OptimizerState) -> OptimizerState:
            flat, tree, subtrees = _state("the update of an optimizer", opt_state)
            gradients, gradients_tree = tree_flatten(grad_tree)
            if gradients_tree != tree:
                raise TypeError(
                    f"gradients have another structure than the parameters with which the optimizer began: {gradients_tree} "
                    f"instead of {tree}"
                )
            states = [t.unflatten(x) for t, x in zip(subtrees, flat)]
            new = _packed([update(i, g, s) for g, s in zip(gradients, states)], tree)
            for before, after in zip(subtrees, new.subtree_defs):
                if before != after:
                    raise TypeError(
                        f"the update of an optimizer changed the structure of a state: {before} became {after}"
                    )
            return new

        def params_tree(opt_state: OptimizerState) -> Any:
            flat, tree, subtrees = _state("the parameters of an optimizer", opt_state)
            return tree.unflatten([params(t.unflatten(x)) for t, x in zip(subtrees, flat)])

        return Optimizer(init_tree, update_tree, params_tree)

    return made


# ---- optimizers ----------------------------------------------------------------------------------


@optimizer
def sgd(step_size: Any) -> Any:
    """Gradient descent: x ← x − α g. `step_size` is a number or a schedule.

    >>> init, update, params = sgd(0.1)
    >>> params(update(0, jnp.array([1.0, 20.0]), init(jnp.zeros(2))))
    Array([-0.1, -2. ], dtype=float32)
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, x: Any) -> Any:
        return x - step(i) * g

    return _same, update, _same


@optimizer
def momentum(step_size: Any, mass: Any) -> Any:
    """Gradient descent with momentum (Polyak, USSR Comput. Math. Math. Phys. 4(5), 1964): v ← mass · v
    + g, x ← x − α v.

    Steps grow while the gradient stays the same:

    >>> init, update, params = momentum(1.0, mass=0.5)
    >>> states = [init(0.0)]
    >>> for i in range(3):
    ...     states.append(update(i, 1.0, states[-1]))
    >>> [float(params(s)) for s in states]
    [0.0, -1.0, -2.5, -4.25]
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, velocity = state
        velocity = mass * velocity + g
        return x - step(i) * velocity, velocity

    return _with_zeros(1), update, _first


@optimizer
def nesterov(step_size: Any, mass: Any) -> Any:
    """Nesterov's accelerated gradient (Soviet Math. Dokl. 27, 1983), in the form that takes the
    gradient at the parameters (Sutskever et al., ICML 2013): v ← mass · v + g, x ← x − α (mass · v
    + g).

    >>> init, update, params = nesterov(1.0, mass=0.5)
    >>> states = [init(0.0)]
    >>> for i in range(3):
    ...     states.append(update(i, 1.0, states[-1]))
    >>> [float(params(s)) for s in states]
    [0.0, -1.5, -3.25, -5.125]
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, velocity = state
        velocity = mass * velocity + g
        return x - step(i) * (mass * velocity + g), velocity

    return _with_zeros(1), update, _first


@optimizer
def adagrad(step_size: Any, momentum: Any = 0.9) -> Any:
    """Adagrad (Duchi, Hazan and Singer, JMLR 12, 2011), whose steps are averaged: s ← s + g², m ← (1 −
    momentum) g/√s + momentum · m, x ← x − α m.

    An element that has had no gradient but 0 does not move, and the size of the first gradient does
    not matter:

    >>> init, update, params = adagrad(0.5, momentum=0.0)
    >>> params(update(0, jnp.array([0.0, 1.0, 20.0]), init(jnp.zeros(3))))
    Array([ 0. , -0.5, -0.5], dtype=float32)
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, squares, mean = state
        squares = squares + jnp.square(g)
        mean = (1.0 - momentum) * (g * _inverse_root(squares)) + momentum * mean
        return x - step(i) * mean, squares, mean

    return _with_zeros(2), update, _first


@optimizer
def rmsprop(step_size: Any, gamma: Any = 0.9, eps: Any = 1e-8) -> Any:
    """RMSProp (Tieleman and Hinton, Coursera lecture 6.5, 2012): s ← γ s + (1 − γ) g², x ← x − α g/√(s
    + ε).

    >>> init, update, params = rmsprop(0.25, gamma=0.75)
    >>> params(update(0, jnp.array([1.0, 20.0]), init(jnp.zeros(2)))).round(4)  # α / √(1 − γ), whatever g is
    Array([-0.5, -0.5], dtype=float32)
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, squares = state
        squares = gamma * squares + (1.0 - gamma) * jnp.square(g)
        return x - step(i) * g / jnp.sqrt(squares + eps), squares

    return _with_zeros(1), update, _first


@optimizer
def rmsprop_momentum(step_size: Any, gamma: Any = 0.9, eps: Any = 1e-8, momentum: Any = 0.9) -> Any:
    """RMSProp whose steps have momentum: s ← γ s + (1 − γ) g², v ← momentum · v + α g/√(s + ε), x ← x
    − v.

    >>> init, update, params = rmsprop_momentum(0.25, gamma=0.75, momentum=0.5)
    >>> state = update(0, jnp.array([1.0, 20.0]), init(jnp.zeros(2)))
    >>> params(update(1, jnp.zeros(2), state)).round(4)  # half of the first step once more
    Array([-0.75, -0.75], dtype=float32)
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, squares, velocity = state
        squares = gamma * squares + (1.0 - gamma) * jnp.square(g)
        velocity = momentum * velocity + step(i) * g / jnp.sqrt(squares + eps)
        return x - velocity, squares, velocity

    return _with_zeros(2), update, _first


@optimizer
def adam(step_size: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Any:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1), for step t = i + 1: m ← b₁ m + (1 − b₁) g, v ← b₂
    v + (1 − b₂) g², x ← x − α m̂/(√v̂ + ε), with m̂ = m/(1 − b₁ᵗ) and v̂ = v/(1 − b₂ᵗ).

    The corrections 1 − bᵗ are computed without cancellation, so that parameters of 16 bits move,
    too. The first step has the size α, whatever the gradients are:

    >>> init, update, params = adam(0.25)
    >>> params(update(0, jnp.array([1.0, -20.0]), init(jnp.zeros(2)))).round(4)
    Array([-0.25,  0.25], dtype=float32)
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean, squares = state
        mean = (1 - b1) * g + b1 * mean
        squares = (1 - b2) * jnp.square(g) + b2 * squares
        corrected, scale = mean / _weight(b1, i, mean), squares / _weight(b2, i, squares)
        return x - step(i) * corrected / (jnp.sqrt(scale) + eps), mean, squares

    return _with_zeros(2), update, _first


@optimizer
def adamax(step_size: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Any:
    """AdaMax (Kingma and Ba, ICLR 2015, algorithm 2), for step t = i + 1: m ← b₁ m + (1 − b₁) g, u ←
    max(b₂ u, |g|), x ← x − α/(1 − b₁ᵗ) · m/(u + ε).

    >>> init, update, params = adamax(0.25)
    >>> params(update(0, jnp.array([1.0, -20.0]), init(jnp.zeros(2)))).round(4)
    Array([-0.25,  0.25], dtype=float32)
    """
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean, largest = state
        mean = (1 - b1) * g + b1 * mean
        largest = jnp.maximum(b2 * largest, abs(g))
        return x - step(i) / _weight(b1, i, mean) * mean / (largest + eps), mean, largest

    return _with_zeros(2), update, _first


@optimizer
def sm3(step_size: Any, momentum: Any = 0.9) -> Any:
    """SM3 (Anil, Gupta, Koren and Singer, NeurIPS 2019, algorithm SM3-II, whose covers are the slices
    along each axis), whose steps are averaged: memory for squares that grows with the sum of the
    sizes of the axes, not with their product.

    s = min over axes k of μₖ + g², m ← (1 − momentum) g/√s + momentum · m, x ← x − α m, and μₖ is
    the maximum of s over the other axes.

    >>> from pullback.tree import leaves
    >>> init, update, params = sm3(0.1)
    >>> [x.shape for x in leaves(init(jnp.zeros((300, 400))))]  # parameters, averages, and a vector for each axis
    [(300, 400), (300, 400), (300,), (400,)]
    """
    step = make_schedule(step_size)

    def init(x: Any) -> Any:
        x = jnp.asarray(x)
        return x, jnp.zeros_like(x), [jnp.zeros(n, x.dtype) for n in x.shape or (1,)]

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean, covers = state
        axes = range(x.ndim)
        if x.ndim == 0:
            bound = covers[0][0]
        else:
            along = [jnp.expand_dims(c, tuple(a for a in axes if a != k)) for k, c in enumerate(covers)]
            bound = functools.reduce(jnp.minimum, along)
        squares = bound + jnp.square(g)
        mean = (1.0 - momentum) * (g * _inverse_root(squares)) + momentum * mean
        if x.ndim == 0:
            covers = [squares[None]]
        else:
            covers = [squares.max(tuple(a for a in axes if a != k), initial=0) for k in axes]
        return x - step(i) * mean, mean, covers

    return init, update, _first


def _same(x: Any) -> Any:
    return x


def _first(state: Any) -> Any:
    return state[0]


def _with_zeros(n: int) -> Callable[[Any], Any]:
    """A first state: the parameters, and `n` times zeros like them."""
    return lambda x: (x, *[jnp.zeros_like(x) for _ in range(n)])


def _inverse_root(squares: Any) -> Any:
    """1/√s, and 0 where s is."""
    is_positive = squares > 0
    return jnp.where(is_positive, 1 / jnp.sqrt(jnp.where(is_positive, squares, 1)), 0)


def _weight(decay: Any, i: Any, like: Any) -> Any:
    """1 − decay^(i+1), the sum of the weights of a mean over i + 1 steps, in the dtype of `like`.

    Its digits are those of −expm1((i+1) log decay); those of a difference of float32 numbers would
    be three at the beginning.
    """
    if isinstance(decay, (int, float)) and decay > 0:
        rate = math.log(decay)  # in 64 bits: `decay` itself, near 1, has lost the digits in 32
    else:
        rate = jnp.log(decay)
    return (-jnp.expm1((i + 1) * rate)).astype(like.dtype)


# ---- schedules -----------------------------------------------------------------------------------


def constant(step_size: Any) -> Schedule:
    """The schedule that always gives `step_size`.

    >>> [constant(0.5)(i) for i in (0, 10, 1000)]
    [0.5, 0.5, 0.5]
    """
    return lambda i: step_size


def exponential_decay(step_size: Any, decay_steps: Any, decay_rate: Any) -> Schedule:
    """The schedule step_size · decay_rate^(i / decay_steps).

    >>> [exponential_decay(1.0, 10, 0.25)(i) for i in (0, 5, 10, 20)]
    [1.0, 0.5, 0.25, 0.0625]
    """
    return lambda i: step_size * decay_rate ** (i / decay_steps)


def inverse_time_decay(step_size: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False) -> Schedule:
    """The schedule step_size / (1 + decay_rate · i / decay_steps); in a `staircase`, i / decay_steps
    is rounded down.

    >>> [float(inverse_time_decay(1.0, 10, 1.0)(i)) for i in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    >>> [float(inverse_time_decay(1.0, 10, 1.0, staircase=True)(i)) for i in (9, 10, 19)]
    [1.0, 0.5, 0.5]
    """

    def schedule(i: Any) -> Any:
        periods = jnp.floor(i / decay_steps) if staircase else i / decay_steps
        return step_size / (1 + decay_rate * periods)

    return schedule


def polynomial_decay(step_size: Any, decay_steps: Any, final_step_size: Any, power: Any = 1.0) -> Schedule:
    """The schedule from `step_size` to `final_step_size` in `decay_steps` steps, and there from then
    on: (step_size − final_step_size) · (1 − i / decay_steps)^power + final_step_size.

    >>> [float(polynomial_decay(1.0, 10, 0.0)(i)) for i in (0, 5, 10, 15)]
    [1.0, 0.5, 0.0, 0.0]
    """

    def schedule(i: Any) -> Any:
        # This difference is exact at the end; 1 minus a quotient may be less than 0 in compiled code.
        left = (decay_steps - jnp.minimum(i, decay_steps)) / decay_steps
        return (step_size - final_step_size) * left**power + final_step_size

    return schedule


def piecewise_constant(boundaries: Any, values: Any) -> Schedule:
    """`values[k]`, k being how many of the `boundaries` a step number is beyond.

    Raises ValueError unless both are sequences, with one value more than boundaries.

    >>> [float(piecewise_constant([10, 20], [1.0, 0.5, 0.25])(i)) for i in (0, 10, 11, 21)]
    [1.0, 1.0, 0.5, 0.25]
    """
    bounds, steps = jnp.array(boundaries), jnp.array(values)
    if not bounds.ndim == steps.ndim == 1:
        raise ValueError(
            f"piecewise_constant: boundaries and values must be sequences, got arrays of shapes {bounds.shape} and {steps.shape}"
        )
    if len(bounds) + 1 != len(steps):
        raise ValueError(
            f"piecewise_constant: there must be one value more than boundaries, got {len(steps)} values and {len(bounds)} boundaries"
        )
    return lambda i: steps[jnp.sum(i > bounds)]


def make_schedule(scalar_or_schedule: Any) -> Schedule:
    """A schedule as it is, and the constant one for a number. Raises TypeError for anything else.

    >>> make_schedule(0.1)(7), make_schedule(lambda i: i / 2)(7)
    (0.1, 3.5)
    """
    if callable(scalar_or_schedule):
        return scalar_or_schedule  # type: ignore[no-any-return]
    if isinstance(scalar_or_schedule, (int, float, Array)) or hasattr(scalar_or_schedule, "dtype"):
        if not jnp.ndim(scalar_or_schedule):
            return constant(scalar_or_schedule)
    raise TypeError(
        f"a step size is a number or a function of the step number, got {scalar_or_schedule!r:.100} of type "
        f"{type(scalar_or_schedule).__name__!r}"
    )


# ---- gradients -----------------------------------------------------------------------------------


def l2_norm(tree: Any) -> Array:
    """The Euclidean norm of all elements of a tree of arrays, as a real 0-d array.

    >>> l2_norm({"w": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])})
    Array(5., dtype=float32)
    """
    return jnp.sqrt(sum([jnp.sum(jnp.square(abs(jnp.asarray(x)))) for x in tree_leaves(tree)]))


def clip_grads(grad_tree: Any, max_norm: Any) -> Any:
    """A tree of gradients, scaled so that its `l2_norm` is at most `max_norm`.

    >>> clip_grads([jnp.array([3.0, 4.0])], 1.0)
    [Array([0.6, 0.8], dtype=float32)]
    """
    norm = l2_norm(grad_tree)
    return tree_map(lambda g: jnp.where(norm < max_norm, g, g * (max_norm / norm)), grad_tree)


__all__ = [
    "JoinPoint",
    "Optimizer",
    "OptimizerState",
    "Schedule",
    "adagrad",
    "adam",
    "adamax",
    "clip_grads",
    "constant",
    "exponential_decay",
    "inverse_time_decay",
    "l2_norm",
    "make_schedule",
    "momentum",
    "nesterov",
    "optimizer",
    "pack_optimizer_state",
    "piecewise_constant",
    "polynomial_decay",
    "rmsprop",
    "rmsprop_momentum",
    "sgd",
    "sm3",
    "unpack_optimizer_state",
]
