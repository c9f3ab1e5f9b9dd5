"""Lifting: what a transformation makes of programs, whatever it is that calls them.

A transformation makes a `Bundle` of a value: arrays, its leaves, of some *kind*. Forward mode makes
a primal with or without a tangent, `vmap` an array with or without a batch axis. A value that the
transformation has no business with is of kind None, and its own only leaf. What a transformation
finds out on the way (the first error, a number of multiplications) is its *account*: a tree of
arrays, None for most transformations.

A `Lifting` says how functions are run on bundles, how two kinds join, and how a bundle is widened
to a kind. That is all that calls, loops and branches need of a transformation: each of them has one
rule, `lifted`, for all transformations, and what a transformation makes of a call is again a call
of the same operation, on lifted programs. So a new transformation touches no call, and a new call
touches no transformation. A rule of another sort for some call (a derivative of its own) goes into
the transformation's table `rules`.

    class Doubled(Lifting):                       # a transformation that doubles everything that is computed
        key = "doubled"

        def run(self, fun, operands):
            outs = fun(*(x for b in operands for x in b.leaves))
            return None, [plain(2 * y) for y in outs]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current
from pullback.core.tree import tree_flatten, tree_unflatten
from pullback.core.types import ShapedArray

if TYPE_CHECKING:
    from pullback.core.names import Function, Value
    from pullback.core.primitive import Primitive
    from pullback.transforms.call import CallPrimitive

    #: What a transformation finds out on the way: a tree of arrays, None for most of them.
    Account = Any
    #: A `LiftedProgram`, or what a call makes of several: with `kinds` and `account`.
    Lifted = Any
    from pullback.core.tree import PyTreeDef

#: What tells bundles of different structure apart: None for values that are left alone, or
#: something hashable.
Kind = Any


class Bundle(NamedTuple):
    """What a transformation makes of one value: `leaves`, as many as values of the `kind` have.

    >>> Bundle(None, (2.0,))  # a value that the transformation leaves alone
    Bundle(kind=None, leaves=(2.0,))
    """

    kind: Kind
    leaves: Sequence[Any]


#: Account and results of something that was lifted.
Outcome = tuple[Any, list[Bundle]]


def plain(x: Value) -> Bundle:
    """A value that a transformation leaves alone."""
    return Bundle(None, (x,))


def kinds_of(bundles: Iterable[Bundle]) -> tuple[Kind, ...]:
    """The kind of each."""
    return tuple([b.kind for b in bundles])


def leaves_of(bundles: Iterable[Bundle]) -> list[Value]:
    """The leaves of all, in their order."""
    return [x for b in bundles for x in b.leaves]


class Rules(dict[Any, Callable[..., Any]]):
    """Rules by operation, or by class of operations: that of the nearest class counts.
    `@rules.of(some_class)` adds one.

    >>> rules = Rules()
    >>> @rules.of(object)
    ... def rule(x): return "some object"
    >>> rules.find(1.5)(1.5)
    'some object'
    """

    def __init__(self) -> None:
        self._of_classes: dict[type, Callable[..., Any] | None] = {}  # what was found

    def of(self, *operations: object) -> Callable[[Function], Function]:
        """Makes the decorated function the rule of these operations or classes."""

        def add(rule: Function) -> Function:
            self.update(dict.fromkeys(operations, rule))
            self._of_classes.clear()
            return rule

        return add

    def find(self, operation: Primitive) -> Function | None:
        """The rule of an operation; None if neither it nor a class of it has one."""
        if operation in self:
            return self[operation]
        kind = type(operation)
        try:
            return self._of_classes[kind]
        except KeyError:
            found = self._of_classes[kind] = next((self[c] for c in kind.__mro__ if c in self), None)
            return found


class Lifting:
    """A transformation, as calls see it. Subclasses define `key` and `run`, and what of the rest is
    not as simple as it is here.

    Example: `Forward`, `Batch` and `Check`; the module's text has another.
    """

    #: What distinguishes it from others of which there are derived programs: hashable.
    #: Example: "jvp" of forward mode.
    key: Kind
    #: What the names of programs that it makes begin with.
    #: Example: "jvp".
    name = ""
    #: What it makes of calls that it does not lift: `rule(lifting, call, operands, params)` →
    #: account, results.
    #: Example: `Batch.rules` has one of `CustomVJPCall`.
    rules: ClassVar[Rules]

    # ---- values

    def run(self, fun: Callable[..., Sequence[Value]], operands: Sequence[Bundle]) -> Outcome:
        """Account and results, settled, of a function of flat arrays, under the current trace."""
        raise NotImplementedError(f"{type(self).__name__} must define run")

    def count(self, kind: Kind) -> int:
        """How many leaves values of a kind have."""
        return 1

    def types(self, kind: Kind, t: ShapedArray) -> list[ShapedArray]:
        """The types of the leaves of a value of type `t`."""
        return [t]

    def join(self, a: Kind, b: Kind) -> Kind:
        """The least kind that values of both kinds can be widened to."""
        return a if b is None else b

    def widen(self, x: Bundle, kind: Kind) -> Bundle:
        """A bundle as one of a kind that its own joins to."""
        return x

    def wider(self, bundles: Iterable[Bundle], kinds: Iterable[Kind]) -> list[Bundle]:
        """Bundles, widened to these kinds."""
        return [x if x.kind == k else self.widen(x, k) for x, k in zip(bundles, kinds)]

    def settled(self, x: Bundle) -> Bundle:
        """A bundle in the form that results have (a batch axis in front)."""
        return x

    def stacked(self, x: Bundle) -> Bundle:
        """A bundle whose axis 0 a loop takes apart, in a form in which the loop can."""
        return self.settled(x)

    def of_step(self, kind: Kind) -> Kind:
        """The kind that one step of a loop sees of something `stacked`."""
        return kind

    def of_loop(self, kind: Kind) -> Kind:
        """The kind of what a loop has stacked of its steps' results of a kind."""
        return kind

    # ---- accounts

    def nothing(self, structure: PyTreeDef | None) -> Account:
        """An account of that structure of something in which nothing happened."""
        return None

    def then(self, before: Account, later: Account) -> Account:
        """The account of two things, one after the other; None is that of nothing."""
        return None

    # ---- programs and calls

    def program(self, closed: ClosedJaxpr, kinds: tuple[Kind, ...]) -> LiftedProgram:
        """A program for operands of these kinds, derived once."""
        found: LiftedProgram = closed.derived(("lifted", self.key, kinds), LiftedProgram, self, kinds)
        return found

    def run_program(self, closed: ClosedJaxpr, operands: Sequence[Bundle]) -> Outcome:
        """`run` of a program."""
        return self.run(partial(run, closed), operands)

    def bundles(self, kinds: Iterable[Kind], leaves: Iterable[Value]) -> list[Bundle]:
        """Bundles of these kinds, of leaves one after the other."""
        rest = iter(leaves)
        return [Bundle(k, tuple(islice(rest, self.count(k)))) for k in kinds]

    def over_bundles(
        self, fun: Callable[..., Sequence[Value]], *groups: tuple[Sequence[Kind], Sequence[ShapedArray]]
    ) -> ClosedJaxpr:
        """The program of a function from lists of bundles to leaves; each group says of which
        kinds, and of values of which types."""
        types = [t for kinds, of in groups for kind, x in zip(kinds, of) for t in self.types(kind, x)]

        def flat(*xs: Value) -> Sequence[Value]:
            rest = iter(xs)
            return fun(*[self.bundles(kinds, rest) for kinds, _ in groups])

        return stage_flat(flat, types, current())

    def outcome(self, found: Lifted, leaves: Iterable[Value]) -> Outcome:
        """Account and results, of leaves in this order: of an account of structure `found.account`,
        and of results of `found.kinds`."""
        rest = iter(leaves)
        structure = found.account
        account = None if structure is None else tree_unflatten(structure, list(islice(rest, structure.num_leaves)))
        return account, self.bundles(found.kinds, rest)

    def apply(self, lifted: LiftedProgram, operands: Iterable[Bundle]) -> Outcome:
        """Account and results of a lifted program."""
        return self.outcome(lifted, run(lifted.program, *leaves_of(operands)))

    def call(self, call: CallPrimitive, operands: Sequence[Bundle], params: Params) -> Outcome:
        """What the transformation makes of a call: what its table of rules says, or else what
        `lifted` does."""
        rule = self.rules.find(call)
        outcome: Outcome = call.lifted(self, operands, params) if rule is None else rule(self, call, operands, params)
        return outcome


class LiftedProgram:
    """A program over bundles: it takes their leaves, one operand after the other, and gives those
    of the account and of the results.

    `account` is the account's structure, None where there is none, and `kinds` are the results'.

    Example: of sin in forward mode: (x, t) → (sin(x), cos(x) t).
    """

    __slots__ = ("program", "account", "kinds")

    def __init__(self, closed: ClosedJaxpr, how: Lifting, kinds: tuple[Kind, ...]) -> None:
        def lifted(*groups: list[Bundle]) -> list[Value]:
            account, outs = how.run_program(closed, groups[0])
            leaves, structure = tree_flatten(account)
            self.account, self.kinds = structure if leaves else None, kinds_of(outs)
            return [*leaves, *leaves_of(outs)]

        self.program = how.over_bundles(lifted, (kinds, closed.in_avals))

    @property
    def account_types(self) -> list[ShapedArray]:
        """The types of the account's leaves."""
        return [] if self.account is None else self.program.out_avals[: self.account.num_leaves]


def fixed_point(
    kinds: Sequence[Kind], after: Callable[[tuple[Kind, ...]], Sequence[Kind]], join: Callable[[Kind, Kind], Kind]
) -> tuple[Kind, ...]:
    """The least kinds, from those given on, that a step keeps; `after` says which kinds a step
    makes of some.

    >>> fixed_point((1, 2, 3), lambda kinds: (kinds[-1], *kinds[:-1]), max)
    (3, 3, 3)
    """
    kinds = tuple(kinds)
    while True:
        wider = tuple(map(join, kinds, after(kinds)))
        if wider == kinds:
            return kinds
        kinds = wider


__all__ = [
    "Bundle", "Kind", "LiftedProgram", "Lifting", "Outcome", "Rules", "fixed_point", "kinds_of", "leaves_of", "plain",
]  # fmt: skip
