"""cond and switch: one of several programs, chosen when the program runs.

The operation `cond` has operands (number of the branch, operands of the branches) and branches of
one type. Where the number is known, the branch is simply run, under whatever transformation; rules
are needed only where it is traced. Derivatives are conditionals on the branches' derivatives, with
the residuals of each branch in slots that branches share by type. Over a batch of numbers, all
branches are computed and selected from; one that is expensive is left out when no element takes it.
Elements that take another branch reach neither values nor derivatives (`control.elements`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial, reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.base import ControlPrimitive, instantiate, pruned, refuse_effects, simplified
from pullback.control.elements import communicates, some_elements, surroundings
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.config import disable_jit
from pullback.core.errors import UnexpectedTracerError, filter_traceback, see, user_line
from pullback.core.jaxpr import ClosedJaxpr, Jaxpr, Var, run
from pullback.core.linear import Node
from pullback.core.primitive import Fusion
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current, known_value
from pullback.core.tree import arrays_of, keystr, tree_flatten_with_path, tree_leaves, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray
from pullback.lax.creation import copy_p
from pullback.lax.elementwise import clamp_p, eq_p, ne_p
from pullback.lax.family import like
from pullback.lax.reductions import reduce_or_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import batch_first, broadcast_in_dim_p, convert, reshape_p, strong
from pullback.transforms.bodies import Body, Wrapped, prepared, stage
from pullback.transforms.call import LinearStep, Mask, results_of
from pullback.transforms.lifting import Bundle, Kind, LiftedProgram, Lifting, Outcome, kinds_of, leaves_of
from pullback.transforms.program import Linearization, spread
from pullback.transforms.vmap import vmap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pullback.control.elements import Batching
    from pullback.core.names import Cotangent, Emitted, Function, Operand, Param, Tangent, Tree, Value, WithNodes
    from pullback.core.tree import PyTreeDef
    from pullback.xla.stablehlo import Emitter


class Cond(ControlPrimitive):
    """See the module's text. What chooses the branch in another way has other parameters beside
    `branches`, and other rules `apply` and `lower`.

    Example: `b = cond[branches=...] i a`, of `cond(pred, f, g, x)`.
    """

    name = "cond"

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        return params["branches"][0].out_avals

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        chosen = known_value(args[0])
        if chosen is None:
            return super().apply(args, params)
        return run(params["branches"][int(chosen)], *map(as_array, args[1:]))

    def lower(
        self, emit: Emitter, index: Emitted, *operands: Emitted, branches: Sequence[ClosedJaxpr]
    ) -> list[Emitted]:
        if not branches[0].out_avals and not any(b.effects for b in branches):
            return []
        written = [lambda b=b: list(emit.program(simplified(b), operands)) for b in branches]
        results: list[Any] = emit.case(index, written, emit.types)
        return results

    # ---- transformations -------------------------------------------------------------------------

    def lifted(self, how: Lifting, operands: Sequence[Bundle], params: Params) -> Outcome:
        index, *operands = map(how.settled, operands)
        branches: Sequence[ClosedJaxpr] = params["branches"]
        if index.kind is not None:
            found = CondOverElements.of(how, branches, kinds_of(operands))
            return found(how, index, operands)
        kinds = kinds_of(operands)
        key = ("cond", tuple(branches), how.key, kinds)
        branch: LiftedBranches = branches[0].derived(key, LiftedBranches, branches, how, kinds)
        outs = self.bind(*index.leaves, *leaves_of(operands), **params | {"branches": branch.programs})
        return how.outcome(branch, outs)

    def linearized(self, primals: Sequence[Value], nodes: Sequence[Node | None], params: Params) -> WithNodes:
        index, *operands = primals
        active = tuple(n is not None for n in nodes[1:])
        branches: Sequence[ClosedJaxpr] = params["branches"]
        key = ("cond linearization", tuple(branches), active)
        found: CondLinearization = branches[0].derived(key, CondLinearization, branches, active)
        results = self.bind(index, *operands, **params | {"branches": found.forward})
        outs, slots = results[: found.num_results], results[found.num_results :]
        values = [index, *(operands[i] for i in found.used_operands), *(outs[i] for i in found.used_results), *slots]
        others = {k: v for k, v in params.items() if k != "branches"}
        push, pull = (partial(linear, partial(self.bind, **others)) for linear in (found.push, found.pull))
        node = LinearStep(self.name, values, nodes, push, pull, (found, tuple(others.items())))
        return outs, results_of(node, outs, found.has_tangent)


class LiftedBranches:
    """Branches, lifted such that all give results of the same `kinds`, and an account of things
    that may happen in any.

    Example: under `jvp`, a branch that gives a constant also gives a zero tangent.
    """

    __slots__ = ("programs", "kinds", "account")

    def __init__(self, _: ClosedJaxpr, branches: Sequence[ClosedJaxpr], how: Lifting, kinds: tuple[Kind, ...]) -> None:
        parts = [how.program(b, kinds) for b in branches]
        self.kinds = tuple([reduce(how.join, each) for each in zip(*[p.kinds for p in parts])])
        # Of all branches, one after the other; of equal ones, once.
        accounts = list(dict.fromkeys([p.account for p in parts if p.account is not None]))
        self.account = None
        if accounts:
            self.account = tree_structure(reduce(how.then, map(how.nothing, accounts)))

        def branch(part: LiftedProgram) -> ClosedJaxpr:
            if part.kinds == self.kinds and not accounts:
                return part.program

            def widened(operands: list[Bundle]) -> list[Value]:
                own, outs = how.apply(part, operands)
                of_each = [own if a == part.account else how.nothing(a) for a in accounts]
                return [*tree_leaves(reduce(how.then, of_each, None)), *leaves_of(how.wider(outs, self.kinds))]

            return how.over_bundles(widened, (kinds, branches[0].in_avals))

        self.programs = tuple(map(branch, parts))


class CondOverElements:
    """Branches over a batch whose elements take different ones.

    Example: `vmap(lambda p, x: cond(p, f, g, x))(ps, xs)`.
    """

    __slots__ = ("size", "parts", "whole", "types")

    @staticmethod
    def of(how: Batching, branches: Sequence[ClosedJaxpr], kinds: tuple[Kind, ...]) -> CondOverElements:
        """That for operands of these kinds."""
        key = ("cond over elements", tuple(branches), how.key, kinds, *surroundings())
        found: CondOverElements = branches[0].derived(key, CondOverElements, branches, how, kinds)
        return found

    def __init__(self, _: ClosedJaxpr, branches: Sequence[ClosedJaxpr], how: Batching, kinds: tuple[Kind, ...]) -> None:
        for b in branches:
            refuse_effects(b, "cond")
        cheap = [_is_cheap(b) for b in branches]
        self.size, self.types = how.size, branches[0].out_avals
        self.parts = [(some_elements(how, b, kinds, not c), c) for b, c in zip(branches, cheap)]
        #: The branches if all elements take them; None if elements of others take part.
        self.whole: list[LiftedProgram] | None = None
        if not any(communicates(b, how.axis_name) for b in branches):
            self.whole = [how.program(b, kinds) for b in branches]

    def __call__(self, how: Batching, index: Bundle, operands: Sequence[Bundle]) -> Outcome:
        (number,) = index.leaves
        known = None if self.whole is None else known_value(number)
        results: list[Any] = []
        for i in range(len(self.parts)):
            if known is not None and self.whole is not None:
                count = np.count_nonzero(known == i)
                if count == self.size:
                    return how.apply(self.whole[i], operands)
                if not count:
                    results.append(None)
                    continue
            results.append(self._where_taken(i, number, operands))
        if None in results:
            nothing = [_zeros(t.update(shape=(self.size, *t.shape))) for t in self.types]
            results = [nothing if r is None else r for r in results]
        return None, [Bundle(0, (_choose(number, cases),)) for cases in zip(*results)]

    def _where_taken(self, i: int, index: Value, operands: Sequence[Bundle]) -> list[Value]:
        """The results of branch number `i` for all elements; of an expensive one anything, if no
        element takes it."""
        found, cheap = self.parts[i]
        if cheap and not found.guarded and not found.substituted:
            outs = run(found.program, *leaves_of(operands))
        else:
            taken = eq_p.bind(index, like(i, index))
            values = found.operands(taken, operands)
            if cheap:
                outs = run(found.program, *values)
            else:
                anyone = convert(reduce_or_p.bind(taken, axes=(0,)), dtypes.int32)
                nothing = found.program.derived("nothing", _nothing)
                outs = cond_p.bind(anyone, *values, branches=(nothing, found.program))
        return [batch_first(x, kind, self.size) for x, kind in zip(outs, found.kinds)]


cond_p = Cond()


def _any_of(masks: Iterable[Mask]) -> Mask:
    return tuple(map(any, zip(*masks)))


def _choose(index: Value, cases: Sequence[Value]) -> Value:
    shape = cases[0].shape
    which = broadcast_in_dim_p.bind(index, shape=shape, broadcast_dimensions=(0,))
    if len(cases) == 2:
        which = convert(which, dtypes.bool_)
    return select_n_p.bind(which, *cases)


_CHEAP = (Fusion.ELEMENTWISE, Fusion.REPEATING, Fusion.MOVING)


def _is_cheap(program: ClosedJaxpr) -> bool:
    """Whether computing the results for nothing costs less than asking whether they are needed."""
    eqns = simplified(program).eqns
    return len(eqns) <= 64 and all(e.primitive.fusion in _CHEAP for e in eqns)


def _nothing(program: ClosedJaxpr) -> ClosedJaxpr:
    """A program that takes and gives what `program` does, and gives zeros."""
    return stage_flat(lambda *_: list(map(_zeros, program.out_avals)), program.in_avals, current())


def _zeros(t: ShapedArray) -> Value:
    """Zeros that are written into a program as one number."""
    return broadcast_in_dim_p.bind(as_array(np.zeros((), t.dtype)), shape=t.shape, broadcast_dimensions=())


class CondLinearization:
    """The derivative of a conditional in the operands marked in `active`.

    `forward` are branches that give the results and then residuals in `slots`, which branches share
    by type; the linear programs take the number of the branch, the operands and results that are
    residuals of some branch, and the slots.

    Example: the residuals are those of the branch taken, and zeros for the others'.
    """

    __slots__ = (
        "forward",
        "num_results",
        "has_tangent",
        "used_operands",
        "used_results",
        "_parts",
        "_places",
        "_active",
        "_derived",
        "_types",
    )

    def __init__(self, _: ClosedJaxpr, branches: Sequence[ClosedJaxpr], active: Mask) -> None:
        parts: list[Linearization] = [b.derived(("linearize", active), Linearization, active) for b in branches]
        self._parts, self._active = parts, active
        self._derived: dict[Any, Any] = {}
        self.has_tangent = _any_of(p.has_tangent for p in parts)
        self.num_results = count = len(self.has_tangent)
        inputs = len(active)
        self._types = (branches[0].in_avals, branches[0].out_avals)
        slots: list[ShapedArray] = []
        chosen: list[
            dict[int, int]
        ] = []  # for each branch: which slot a residual beyond operands and results goes into
        for p in parts:
            taken: dict[int, int] = {}
            free = list(range(len(slots)))
            for r, t in zip(p.passed, p.residual_types):
                if r < inputs + count:
                    continue
                t = t.update(weak_type=False)
                slot = next((i for i in free if slots[i] == t), None)
                if slot is None:
                    slot = len(slots)
                    slots.append(t)
                else:
                    free.remove(slot)
                taken[r] = slot
            chosen.append(taken)
        self.used_operands = sorted({r for p in parts for r in p.passed if r < inputs})
        self.used_results = sorted({r - inputs for p in parts for r in p.passed if inputs <= r < inputs + count})
        # Where each residual of a branch is found among (operands, results, slots).
        before_slots = [*self.used_operands, *(inputs + r for r in self.used_results)]
        places: dict[int, int] = {r: i for i, r in enumerate(before_slots)}
        offset = len(before_slots)
        self._places = [
            [places[r] if r in places else offset + taken[r] for r in p.passed] for p, taken in zip(parts, chosen)
        ]
        self.forward = tuple(_forward_branch(p, count, inputs, slots, taken) for p, taken in zip(parts, chosen))

    def push(self, bind: Function, values: Sequence[Value], tangents: Sequence[Tangent]) -> list[Tangent]:
        """Tangents of the results, given the operands' (None is zero); `bind` is the conditional's."""
        given = tuple(t is not None and a for t, a in zip(tangents[1:], self._active))
        ts = [t for t, g in zip(tangents[1:], given) if g]
        branches, has = self._linear("push", given, values[1:], ts, self._types[1])
        return spread(bind(*values, *ts, branches=branches), has)

    def pull(self, bind: Function, values: Sequence[Value], cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        """Cotangents of the operands, given the results' (None is zero)."""
        given = tuple(c is not None and h for c, h in zip(cotangents, self.has_tangent))
        cts = [c for c, g in zip(cotangents, given) if g]
        branches, has = self._linear("pull", given, values[1:], cts, self._types[0])
        return [None, *spread(bind(*values, *cts, branches=branches), has)]

    def _linear(
        self, kind: str, given: Mask, values: Sequence[Value], linear: Sequence[Value], out_types: Sequence[ShapedArray]
    ) -> Value:
        """Branches (values, linear operands) → linear results, and which of these there are."""
        found = self._derived.get((kind, given))
        if found is None:
            programs = []
            for p in self._parts:
                mask = given if kind == "push" else tuple(g and h for g, h in zip(given, p.has_tangent))
                programs.append((mask, *(p.pushforward(mask) if kind == "push" else p.pullback(mask))))
            has = _any_of(h for _, _, h in programs)
            types = [x.aval.update(weak_type=False) if hasattr(x, "aval") else x for x in (*values, *linear)]
            count = len(values)
            branches = []
            for places, (mask, program, own) in zip(self._places, programs):

                def branch(
                    *xs: Value,
                    places: Sequence[int] = places,
                    mask: Mask = mask,
                    program: ClosedJaxpr = program,
                    own: Mask = own,
                ) -> list[Value]:
                    every = iter(xs[count:])
                    of_all = [next(every) if g else None for g in given]
                    taken = [x for x, m in zip(of_all, mask) if m]
                    results = spread(run(program, *[xs[i] for i in places], *taken), own)
                    return [instantiate(r, t) for r, t, h in zip(results, out_types, has) if h]

                branches.append(pruned(stage_flat(branch, types, current())))
            found = self._derived[kind, given] = (tuple(branches), has)
        return found


def _forward_branch(
    part: Linearization, count: int, inputs: int, slots: Sequence[ShapedArray], taken: dict[int, int]
) -> ClosedJaxpr:
    def branch(*xs: Value) -> list[Value]:
        results = run(part.forward, *xs)
        filled: list[Any] = [None] * len(slots)
        for r, slot in taken.items():
            x = results[r - inputs]
            filled[slot] = strong(x)
        return [*results[:count], *(_zeros(t) if x is None else x for x, t in zip(filled, slots))]

    return pruned(stage_flat(branch, part.forward.in_avals, current()))


# ---- the functions -------------------------------------------------------------------------------

_NO_OPERAND: Any = object()


def switch(index: Operand, branches: Sequence[Function], *operands: Tree, operand: Tree = _NO_OPERAND) -> Tree:
    """`branches[index](*operands)`, with the index clamped to those there are. Only that branch
    runs.

    The branches give trees of one structure and type. Raises TypeError if they do not, or if the
    index is no integer scalar.

    >>> import pullback.numpy as jnp
    >>> switch(1, [jnp.sin, jnp.exp], 0.0)
    Array(1., dtype=float32, weak_type=True)
    """
    try:
        branches = tuple(branches)
        if not all(map(callable, branches)):
            raise TypeError(f"switch takes functions as branches, got {branches!r:.200}")
        if not branches:
            raise ValueError("switch needs at least one branch")
        if operand is not _NO_OPERAND:
            if operands:
                raise TypeError("if `operand` keyword is passed then no positional operands can be passed")
            operands = (operand,)
        try:
            index = as_array(index)
        except UnexpectedTracerError:
            raise
        except TypeError:
            raise TypeError(f"switch: the index must be an integer scalar, got {index!r:.100}") from None
        if index.shape or not dtypes.is_integer(index.dtype):
            raise TypeError(
                f"switch: the index must be an integer scalar, got {index.aval.str_short()}, at {user_line()}"
            )
        last = len(branches) - 1
        known = known_value(index) if last else 0
        if known is not None:
            index = min(max(int(known), 0), last)
        else:
            limit = min(last, dtypes.iinfo(index.dtype).max)
            index = convert(clamp_p.bind(like(0, index), index, like(limit, index)), dtypes.int32)
        return _branch("switch", index, branches, operands)
    except Exception as error:
        filter_traceback(error)
        raise


def cond(
    pred: Operand,
    true_fun: Function,
    false_fun: Function,
    *operands: Tree,
    operand: Tree = _NO_OPERAND,
) -> Tree:
    """`true_fun(*operands)` if the scalar `pred` is true, else `false_fun(*operands)`. Only that
    function runs.

    `pred` is a boolean, or a number that is compared with 0. The functions give trees of one
    structure and type. Raises TypeError if they do not, or if `pred` is no scalar. The older form
    `cond(pred, true_operand, true_fun, false_operand, false_fun)`, in which each function has an
    operand of its own, is taken too: where the second and fourth of these are callable and the
    first is not, or the third.

    >>> cond(True, lambda x: x + 1, lambda x: x - 1, 1.0)
    Array(2., dtype=float32, weak_type=True)
    >>> cond(False, 1.0, lambda x: x + 1, 2.0, lambda x: x - 1)
    Array(1., dtype=float32, weak_type=True)
    """
    try:
        if (
            len(operands) == 2 and operand is _NO_OPERAND and callable(false_fun) and callable(operands[1])
            and not (callable(true_fun) and callable(operands[0]))
        ):  # fmt: skip
            true_operand, false_operand = true_fun, operands[0]
            true_fun, false_fun = _OfFirst(false_fun), _OfSecond(operands[1])
            operands = (true_operand, false_operand)
        for f in (true_fun, false_fun):
            if not callable(f):
                raise TypeError(f"cond: true_fun and false_fun arguments should be callable, got {f!r:.100}")
        if operand is not _NO_OPERAND:
            if operands:
                raise TypeError("if `operand` keyword is passed then no positional operands can be passed")
            operands = (operand,)
        if pred is None:
            raise TypeError("cond predicate is None")
        try:
            pred = as_array(pred)
        except UnexpectedTracerError:
            raise
        except TypeError:
            raise TypeError(f"Pred type must be either boolean or number, got {pred!r:.100}.") from None
        if pred.shape:
            raise TypeError(f"Pred must be a scalar, got an array of type {pred.aval.str_short()}, at {user_line()}")
        if dtypes.kind(pred.dtype) not in "biuf":
            raise TypeError(
                f"Pred type must be either boolean or number, got {dtypes.name(pred.dtype)}, at {user_line()}"
            )
        known = known_value(pred)
        if known is not None:
            index: Any = int(bool(known))
        elif pred.dtype == dtypes.bool_:
            index = convert(pred, dtypes.int32)
        else:
            index = convert(ne_p.bind(pred, like(0, pred)), dtypes.int32)
        return _branch("cond", index, (false_fun, true_fun), operands)
    except Exception as error:
        filter_traceback(error)
        raise


class _OfFirst(Wrapped):
    """A branch that takes the first of two operands.

    Example: of the functions f and g of two groups of operands, it gives f those of the first.
    """

    __slots__ = ()
    what = "cond"

    def __call__(self, x: Value, _: object) -> Value:
        return self.f(x)


class _OfSecond(Wrapped):
    """A branch that takes the second of two operands.

    Example: the same of g.
    """

    __slots__ = ()
    what = "cond"

    def __call__(self, _: object, x: Value) -> Value:
        return self.f(x)


class _OfArgumentsType(Wrapped):
    """A function of a scalar, as a branch that gives what has the scalar's type.

    Example: a branch that gives the Python number 0 gives one of x's type.
    """

    __slots__ = ()
    what = "piecewise"

    def __call__(self, x: Value) -> Value:
        return convert(as_array(self.f(x)), x.dtype)


def _zero(x: Value) -> Value:
    return strong(like(0, x))


def elementwise_switch(case: Value, functions: Sequence[Callable[[Value], Value] | None], x: Value) -> Value:
    """For each element of `x` the value of the function whose number stands in `case`, an array of
    the same shape, in the type of `x`. None is zero."""
    branches = [_zero if f is None else _OfArgumentsType(f) for f in functions]
    if not x.shape:
        return switch(case, branches, x)
    flat = {"new_sizes": (prod(x.shape),)}
    each = vmap(lambda i, v: switch(i, branches, v))(reshape_p.bind(case, **flat), reshape_p.bind(x, **flat))
    return reshape_p.bind(each, new_sizes=x.shape)


class Branches:
    """The branches of a conditional, traced for operands of known types.

    Example: of `cond(True, f, g, x)` in eager code, f is taken.
    """

    __slots__ = ("bodies", "programs", "captured", "out_tree", "__dict__")

    def __init__(
        self, what: str, functions: Sequence[Function], in_tree: PyTreeDef, types: Sequence[ShapedArray]
    ) -> None:
        self.bodies = [stage(f, in_tree, types, f"a branch of {what}") for f in functions]
        self.programs = _of_one_type(what, functions, self.bodies)
        self.out_tree = self.bodies[0].out_tree
        self.captured = [x for b in self.bodies for x in b.captured]

    def take(self, i: int, operands: Sequence[Tree]) -> Tree:
        """The result of branch `i`."""
        captured = self.bodies[i].captured
        outs = run(self.programs[i], *captured, *operands)
        if captured:  # whoever gets a result may delete it, and the branch is to find what it closes over again
            outs = [copy_p.bind(x) if any([x is c for c in captured]) else x for x in outs]
        return tree_unflatten(self.out_tree, outs)

    @cached_property
    def joined(self) -> tuple[ClosedJaxpr, ...]:
        """The programs as branches of one operation: each takes what all close over."""
        branches, before = [], 0
        for body, program in zip(self.bodies, self.programs):
            n = len(body.captured)
            others = tuple([x.aval for x in (*self.captured[:before], *self.captured[before + n :])])
            branches.append(program.derived(("branch", before, others), _with_others_captured, n, before, others))
            before += n
        return tuple(branches)

    def choose(self, index: Value, operands: Sequence[Tree]) -> Tree:
        """The result of the branch of a traced number."""
        return tree_unflatten(self.out_tree, cond_p.bind(index, *self.captured, *operands, branches=self.joined))


def _branch(what: str, index: Operand, functions: tuple[Function, ...], operands: tuple[Tree, ...]) -> Tree:
    """The result of function number `index`: an int where that is known, else a traced array."""
    leaves, in_tree = arrays_of(operands, f"the operands of {what}")
    is_known = index.__class__ is int
    if is_known and disable_jit.value:
        return functions[index](*operands)

    def prepare() -> tuple[Branches, Sequence[Tree]]:
        branches = Branches(what, functions, in_tree, [x.aval for x in leaves])
        return branches, branches.captured

    branches = prepared(functions, (what, in_tree), leaves, prepare)
    return branches.take(index, leaves) if is_known else branches.choose(index, leaves)


def _with_others_captured(program: ClosedJaxpr, own: int, before: int, others: Sequence[ShapedArray]) -> ClosedJaxpr:
    """The program with arguments for what the other branches close over, `before` of them in front
    of its own."""
    body = program.jaxpr
    unused = [Var(t) for t in others]
    invars = [*unused[:before], *body.invars[:own], *unused[before:], *body.invars[own:]]
    return ClosedJaxpr(Jaxpr(body.constvars, invars, body.outvars, body.eqns), program.consts)


def _of_one_type(what: str, functions: Sequence[Function], bodies: Sequence[Body]) -> list[ClosedJaxpr]:
    """The branches' programs, giving one type: where the result of one is strongly typed, those of
    the others become so."""
    first = bodies[0]
    for f, body in zip(functions, bodies):
        if body.out_tree != first.out_tree:
            raise TypeError(
                f"{what}: branches must return the same structure, at {user_line()}: {_name(functions[0])} returns {first.out_tree}, "
                f"{_name(f)} returns {body.out_tree}"
            )
    targets = []
    wrong = []
    for i, (path, _) in enumerate(
        tree_flatten_with_path(tree_unflatten(first.out_tree, range(len(first.out_types))))[0]
    ):
        types = [b.out_types[i] for b in bodies]
        target = next((t for t in types if not t.weak_type), types[0])
        targets.append(target)
        for f, t in zip(functions, types):
            if t.shape != target.shape or t.dtype != target.dtype:
                wrong.append(f"  result{keystr(path)}: {target.str_short()} and, of {_name(f)}, {t.str_short()}")
    if wrong:
        raise TypeError(
            f"{what}: branches must return the same types, at {user_line()}:\n"
            + "\n".join(wrong)
            + see("types-in-control-flow")
        )
    return [
        b.program
        if b.out_types == targets and [t.weak_type for t in b.out_types] == [t.weak_type for t in targets]
        else b.program.derived(("of types", tuple(targets), tuple(t.weak_type for t in targets)), _converted, targets)
        for b in bodies
    ]


def _converted(program: ClosedJaxpr, targets: Sequence[ShapedArray]) -> ClosedJaxpr:
    def fun(*xs: Value) -> list[Value]:
        outs = run(program, *xs)
        return [x if x.weak_type == t.weak_type else convert(x, t.dtype) for x, t in zip(outs, targets)]

    return stage_flat(fun, program.in_avals, current())


def _name(f: Function) -> str:
    f = f.f if isinstance(f, Wrapped) else f
    return str(getattr(f, "__name__", type(f).__name__))


__all__ = ["cond", "cond_p", "switch"]
