"""What local Jacobians look like, without their values: blocks, their products and their sums.

A Jacobian ∂out/∂into of arrays is a sum of *blocks*. A block is given by *labels*, each with a size, by two
lists of *places*, and by values. A place says where along a dimension of `out`, or of `into`, labels point:
offset + Σ stride × label. The element of the Jacobian at the indices that the places of some labels give is
factor × value[those of the labels that the value depends on]; all other elements are zero:

    elementwise    out (a, b)    into (a, b)    values over a, b       a diagonal
    copy, reshape  out (3a + b)  into (a, b)    no values              each element is the factor
    transpose      out (b, a)    into (a, b)    no values
    broadcast      out (a, b)    into (b)       no values
    sum            out (b)       into (a, b)    no values
    x[2:5], x[1]   out (a)       into (a + 2)   no values              into (1), of one element
    x @ w          out (i, k)    into (i, j)    values over j, k

The product of two blocks finds the labels with which the places of both in the dimensions between them agree
(`product`), and so says which elements have to be multiplied: structure is never filled in, unless places are
related in a way that other blocks cannot express. The numbers of multiplications that all this counts are
those of the values, not of what is known to be one or zero. Everything here is computed once for each pair of
blocks, and known for types alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from pullback.core.types import Shape

#: Where labels point along a dimension: an offset, and (label, stride) for each label, the largest stride first.
#: Example: (2, ((0, 1),)) for the slice that begins at 2.
Place = tuple[int, tuple[tuple[int, int], ...]]

ORIGIN: Place = (0, ())


class Block(NamedTuple):
    """The structure of a block; see the module's text.

    `values` are the labels that are the axes of its value, in ascending order; None if it has none, and is
    `factor` everywhere. With `mask`, the value is of booleans, and keeps or drops what it is multiplied by.

    >>> diagonal((3,))
    Block(out=((0, ((0, 1),)),), into=((0, ((0, 1),)),), sizes=(3,), values=(0,), factor=1, mask=False, out_shape=(3,), into_shape=(3,))
    """

    out: tuple[Place, ...]
    into: tuple[Place, ...]
    sizes: Shape
    values: tuple[int, ...] | None
    factor: float
    mask: bool
    out_shape: Shape
    into_shape: Shape

    @property
    def pattern(self) -> tuple[object, ...]:
        """Where it may have other elements than zero: what blocks have in common that can be added."""
        return self.out, self.into, self.sizes

    @property
    def nonzeros(self) -> int:
        """How many elements may be other than zero."""
        return prod(self.sizes)

    @property
    def is_copy(self) -> bool:
        """Whether multiplying by it takes no multiplication: it moves, repeats or adds elements, or
        changes their sign."""
        return self.values is None and abs(self.factor) == 1

    @property
    def has_array(self) -> bool:
        return self.values is not None


class Operator(NamedTuple):
    """The structure of a linear operation that is known by what it does, not by its elements: a loop, a
    convolution, a solution of equations. `number` tells operators apart; `push` and `pull` are the
    multiplications of applying it, and its transpose, to one vector.

    >>> Operator(0, (3,), (2,), 10, 12).into_shape
    (2,)
    """

    number: int
    out_shape: Shape
    into_shape: Shape
    push: int
    pull: int

    @property
    def is_copy(self) -> bool:
        return False

    @property
    def nonzeros(self) -> int:
        return prod(self.out_shape) * prod(self.into_shape)


Piece = Block | Operator


# ---- making blocks -------------------------------------------------------------------------------


def block(
    out: Sequence[Place],
    into: Sequence[Place],
    sizes: Sequence[int],
    values: Iterable[int] | None,
    out_shape: Shape,
    into_shape: Shape,
    factor: float = 1,
    mask: bool = False,
) -> tuple[Block, tuple[int, ...]]:
    """The block with its labels numbered in the order in which places mention them, and what the
    labels in `values` are now called. Labels of size 1 are dropped."""
    number: dict[int, int] = {}
    for _, parts in (*out, *into):
        for label, _ in parts:
            if sizes[label] != 1:
                number.setdefault(label, len(number))

    def place(p: Place) -> Place:
        return p[0], tuple([(number[k], stride) for k, stride in p[1] if sizes[k] != 1])

    kept = None if values is None else tuple([number[k] for k in values if sizes[k] != 1])
    new = Block(
        tuple(map(place, out)), tuple(map(place, into)), tuple([sizes[k] for k in number]),
        None if kept is None else tuple(sorted(kept)), factor, mask, out_shape, into_shape,
    )  # fmt: skip
    return new, kept or ()


def full(label: int, size: int) -> Place:
    """The place of a label that runs over a whole dimension."""
    return (0, ((label, 1),)) if size != 1 else ORIGIN


def diagonal(shape: Shape, valued: bool = True, factor: float = 1, mask: bool = False) -> Block:
    """The identity on arrays of a shape, times the factor or elementwise values.

    >>> diagonal((2,), valued=False, factor=-1).is_copy
    True
    """
    places = [full(i, n) for i, n in enumerate(shape)]
    values = range(len(shape)) if valued else None
    return block(places, places, shape, values, shape, shape, factor, mask)[0]


def column(shape: Shape) -> Block:
    """An array of a shape, as a Jacobian with one column."""
    return dense(shape, ())


@lru_cache(maxsize=1 << 14)
def dense(out_shape: Shape, into_shape: Shape) -> Block:
    """All elements, each with a value of its own.

    >>> dense((2,), (3,)).nonzeros
    6
    """
    shape = (*out_shape, *into_shape)
    places = [full(i, n) for i, n in enumerate(shape)]
    n = len(out_shape)
    return block(places[:n], places[n:], shape, range(len(shape)), out_shape, into_shape)[0]


def transposed(b: Block) -> Block:
    """The transpose. The labels keep their names, so that values stay as they are; so it is no block to
    compare with others."""
    return b._replace(out=b.into, into=b.out, out_shape=b.into_shape, into_shape=b.out_shape)


@lru_cache(maxsize=1 << 14)
def reshaped(out_shape: Shape, into_shape: Shape) -> Block | None:
    """The block of a reshape; None if the elements' places in one shape are not Σ stride × label
    when they are so in the other ((2, 3) to (3, 2)).

    >>> reshaped((6,), (2, 3)).out, reshaped((3, 2), (2, 3))
    (((0, ((0, 3), (1, 1))),), None)
    """
    out, into = list(out_shape), list(into_shape)
    sizes: list[int] = []
    places: tuple[list[Place], list[Place]] = ([], [])
    open_: list[list[int]] = [
        [1, 1],
        [1, 1],
    ]  # of each side: the size of the dimension that is open, what is left of it
    parts: list[list[tuple[int, int]]] = [[], []]

    def take(side: int) -> None:
        places[side].append((0, tuple(reversed(parts[side]))))
        parts[side] = []

    dims = (out, into)
    while True:
        for side in (0, 1):
            while open_[side][1] == 1 and dims[side]:
                if open_[side][0] != 1 or parts[side]:
                    take(side)
                n = dims[side].pop()
                open_[side] = [n, n]
                if n == 1:
                    places[side].append(ORIGIN)
                    open_[side] = [1, 1]
        left, right = open_[0][1], open_[1][1]
        if left == right == 1:
            break
        n = min(left, right)
        if left % n or right % n:
            return None
        for side in (0, 1):
            size, rest = open_[side]
            parts[side].append((len(sizes), size // rest))
            open_[side][1] = rest // n
        sizes.append(n)
    for side in (0, 1):
        if parts[side]:
            take(side)
    return block(places[0][::-1], places[1][::-1], sizes, None, out_shape, into_shape)[0]


# ---- labels that agree ---------------------------------------------------------------------------


class Unrelated(Exception):
    """Two places agree for labels that no places can express: one of the blocks must be filled in.

    Example: every third element of a dimension, and every second one.
    """


class Empty(Exception):
    """Two places never agree: the product is zero.

    Example: x[:2] and x[2:].
    """


class Agreement:
    """Labels that are being made to agree: `bound` says what those are that no longer are free.

    >>> labels = Agreement([3, 5])
    >>> labels.agree((0, ((0, 1),)), (-2, ((1, 1),)))           # label 0 = label 1 - 2
    >>> labels.resolve((0, ((0, 1),))), labels.resolve((0, ((1, 1),)))
    ((0, ((0, 1),)), (2, ((0, 1),)))
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = list(sizes)
        self.bound: dict[int, Place] = {}

    def fresh(self, size: int) -> Place:
        """The place of a new label."""
        self.sizes.append(size)
        return full(len(self.sizes) - 1, size)

    def resolve(self, place: Place) -> Place:
        """The place in terms of labels that are free."""
        offset, parts = place
        if self.bound.keys().isdisjoint([k for k, _ in parts]):
            return place
        strides: dict[int, int] = {}
        for label, stride in parts:
            if label in self.bound:
                more, inner = self.resolve(self.bound[label])
                offset += stride * more
                for k, s in inner:
                    strides[k] = strides.get(k, 0) + stride * s
            else:
                strides[label] = strides.get(label, 0) + stride
        return offset, tuple(sorted(strides.items(), key=lambda part: -abs(part[1])))

    def agree(self, a: Place, b: Place) -> None:
        """Bind labels such that both places are one."""
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return
        (at, ours), (to, others) = a, b
        if not ours or not others:
            self._fix(ours or others, at - to if others else to - at)
        elif self._covers(a, b) or self._covers(b, a):
            pass
        elif len(ours) == len(others) == 1:
            self._overlap(a, b)
        else:
            self._match(a, b)

    def _fix(self, parts: tuple[tuple[int, int], ...], rest: int) -> None:
        """Labels of which Σ stride × label = rest."""
        parts = tuple([(k, s) for k, s in parts if s])
        # What the labels of negative strides can take away, first.
        rest -= sum([s * (self.sizes[k] - 1) for k, s in parts if s < 0])
        least = 1
        for label, stride in reversed(parts):
            if abs(stride) < least:  # there may be several solutions
                raise Unrelated
            least = abs(stride) * self.sizes[label]
        for label, stride in parts:
            n, s = self.sizes[label], abs(stride)
            digit = min(rest // s, n - 1)
            if digit < 0:
                raise Empty
            rest -= digit * s
            self.bound[label] = (digit if stride > 0 else n - 1 - digit, ())
        if rest:
            raise Empty

    def _covers(self, a: Place, b: Place) -> bool:
        """Whether `a` is one label that takes all values that `b` asks for; then it is bound."""
        (at, parts), (to, others) = a, b
        if len(parts) != 1:
            return False
        ((label, stride),) = parts
        if label in [k for k, _ in others]:
            return False
        ends = [to + sum([min(0, s * (self.sizes[k] - 1)) for k, s in others])]
        ends.append(to + sum([max(0, s * (self.sizes[k] - 1)) for k, s in others]))
        if any([s % stride for _, s in others]) or (to - at) % stride:
            return False
        if not all([0 <= (e - at) // stride < self.sizes[label] for e in ends]):
            return False
        self.bound[label] = ((to - at) // stride, tuple([(k, s // stride) for k, s in others]))
        return True

    def _overlap(self, a: Place, b: Place) -> None:
        """One label each: where they overlap, if their strides are equal, or opposite."""
        (at, ((mine, stride),)), (to, ((other, step),)) = a, b
        if abs(stride) != abs(step) or mine == other:
            raise Unrelated
        if (to - at) % stride:
            raise Empty
        shift, sign = (to - at) // stride, step // stride  # mine = shift + sign × other
        n, m = self.sizes[mine], self.sizes[other]
        low, high = (-shift, n - shift) if sign > 0 else (shift - n + 1, shift + 1)
        low, high = max(low, 0), min(high, m)
        if low >= high:
            raise Empty
        new = self.fresh(high - low)
        self.bound[other] = (low + new[0], new[1])
        self.bound[mine] = (shift + sign * low, tuple([(k, sign) for k, _ in new[1]]))

    def _match(self, a: Place, b: Place) -> None:
        """Several labels each: digits of one number, the last ones first."""
        (at, ours), (to, others) = a, b
        if at != to:
            raise Unrelated
        mine, theirs = list(ours), list(others)
        while mine and theirs:
            (label, stride), (other, step) = mine.pop(), theirs.pop()
            known = label in self.bound or other in self.bound  # by a digit before this one
            if known or label == other or stride != step or stride <= 0:
                raise Unrelated
            n, m = self.sizes[label], self.sizes[other]
            # The next digit begins where this one ends, or later.
            if any([rest and rest[-1][1] < stride * size for rest, size in ((mine, n), (theirs, m))]):
                raise Unrelated
            if n == m:
                self.bound[label] = full(other, m)
            elif n % m == 0:
                mine.append(self._split(label, other, stride))
            elif m % n == 0:
                theirs.append(self._split(other, label, stride))
            else:
                raise Unrelated
        for label, stride in (*mine, *theirs):
            if stride <= 0 or label in self.bound:
                raise Unrelated
            self.bound[label] = ORIGIN

    def _split(self, label: int, last: int, stride: int) -> tuple[int, int]:
        """Makes a label one of which the label `last` is the last digit; the other digit, and its
        stride."""
        n = self.sizes[last]
        ((first, _),) = self.fresh(self.sizes[label] // n)[1]
        self.bound[label] = (0, ((first, n), (last, 1)))
        return first, stride * n


# ---- products ------------------------------------------------------------------------------------


class Product(NamedTuple):
    """How two blocks are multiplied: the block that results, what that costs, and what is done with the
    values of both.

    `left` and `right` say, for each axis of the values, where in it labels point, `sizes` how large these labels are;
    `summed` are those that are summed over. `filled` says which block has to be filled in before: its number, 0
    or 1, or None. The result's value has the axes `order`, before they are renumbered.
    """

    block: Block
    multiplications: int
    left: tuple[Place, ...]
    right: tuple[Place, ...]
    sizes: Shape
    summed: frozenset[int]
    order: tuple[int, ...]
    filled: int | None = None


@lru_cache(maxsize=1 << 14)
def product(left: Block, right: Block) -> Product | None:
    """∂z/∂y times ∂y/∂x: how `left` is multiplied by `right`; None if that is zero."""
    try:
        return _product(left, right, None)
    except Empty:
        return None
    except Unrelated:
        pass
    # The one that has fewer elements then.
    filled = (
        1 if prod(right.out_shape) * prod(into_sizes(right)) <= prod(left.into_shape) * prod(out_sizes(left)) else 0
    )
    try:
        if filled:
            return _product(left, spread_out(right), 1)
        return _product(transposed(spread_out(transposed(left))), right, 0)
    except Empty:
        return None


def _product(left: Block, right: Block, filled: int | None) -> Product:
    shift = len(left.sizes)
    labels = Agreement((*left.sizes, *right.sizes))

    def moved(place: Place) -> Place:
        return place[0], tuple([(k + shift, s) for k, s in place[1]])

    for ours, others in zip(left.into, right.out):
        labels.agree(ours, moved(others))
    out = [labels.resolve(p) for p in left.out]
    into = [labels.resolve(moved(p)) for p in right.into]
    remaining = {k for _, parts in (*out, *into) for k, _ in parts}
    free = {k for k in range(len(labels.sizes)) if k not in labels.bound and labels.sizes[k] != 1}
    gone = free - remaining
    axes = [
        tuple([labels.resolve(full(k + move, b.sizes[k])) for k in b.values or ()])
        for b, move in ((left, 0), (right, shift))
    ]
    used = [{k for _, parts in places for k, _ in parts} for places in axes]
    both = gone & used[0] & used[1]
    neither = gone - used[0] - used[1]
    factor = left.factor * right.factor * prod([labels.sizes[k] for k in neither])
    multiplied = left.has_array and right.has_array
    cost = 0
    if multiplied and not (left.mask or right.mask):
        cost = prod([labels.sizes[k] for k in (used[0] | used[1]) - (gone - both)])
    kept = tuple(sorted((used[0] | used[1]) - gone))
    valued = left.has_array or right.has_array
    # What masks add up to is no mask.
    mask = (left.mask or not left.has_array) and (right.mask or not right.has_array) and not gone & (used[0] | used[1])
    result, named = block(
        out, into, labels.sizes, kept if valued else None, left.out_shape, right.into_shape, factor, mask and valued
    )
    order = tuple([k for _, k in sorted(zip(named, kept))])
    return Product(result, cost, axes[0], axes[1], tuple(labels.sizes), frozenset(gone), order, filled)


def spread_out(b: Block) -> Block:
    """The block with a label for each whole dimension of `out`, all of which its values depend on, and the
    labels that `into` mentions."""
    return of_all(b.out_shape, *kept_places(b), b.into_shape, b.factor)[0]


def kept_places(b: Block) -> tuple[list[Place], list[int]]:
    """What `into` says if the labels that it mentions are numbered 0, 1, ..., and their sizes."""
    kept = kept_labels(b)
    number = {k: i for i, k in enumerate(kept)}
    into = [(at, tuple([(number[k], s) for k, s in parts])) for at, parts in b.into]
    return into, [b.sizes[k] for k in kept]


def kept_labels(b: Block) -> list[int]:
    """The labels that `into` mentions, in ascending order."""
    return sorted({k for _, parts in b.into for k, _ in parts})


def of_all(
    out_shape: Shape, into: Sequence[Place], sizes: Sequence[int], into_shape: Shape, factor: float = 1
) -> tuple[Block, tuple[int, ...]]:
    """The block with values for all elements of `out`, and for labels of these sizes, of which `into` speaks;
    and what the axes of its value that are longer than 1 are now called."""
    n = len(out_shape)
    out = [full(i, size) for i, size in enumerate(out_shape)]
    places = [(at, tuple([(n + k, s) for k, s in parts])) for at, parts in into]
    every = (*out_shape, *sizes)
    return block(out, places, every, range(len(every)), out_shape, into_shape, factor)


def unlabelled(b: Block) -> Block:
    """The block with its labels numbered as blocks that are compared have them."""
    return block(b.out, b.into, b.sizes, b.values, b.out_shape, b.into_shape, b.factor, b.mask)[0]


def composed(last: Operator, first: Operator) -> tuple[int, int]:
    """The multiplications of pushing, and of pulling, all basis vectors through two operators."""
    pushed, pulled = prod(first.into_shape), prod(last.out_shape)
    return pushed * (first.push + last.push), pulled * (first.pull + last.pull)


def into_sizes(b: Block) -> list[int]:
    """The sizes of the labels that `into` mentions."""
    return [b.sizes[k] for k in sorted({k for _, parts in b.into for k, _ in parts})]


def out_sizes(b: Block) -> list[int]:
    """The sizes of the labels that `out` mentions."""
    return [b.sizes[k] for k in sorted({k for _, parts in b.out for k, _ in parts})]


__all__ = [
    "Agreement", "Block", "Empty", "Operator", "Piece", "Place", "Product", "Unrelated", "block", "column", "composed", "dense", "diagonal", "full",
    "into_sizes", "kept_labels", "kept_places", "of_all", "out_sizes", "product", "reshaped", "spread_out", "transposed", "unlabelled",
]  # fmt: skip
