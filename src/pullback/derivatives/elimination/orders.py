"""Orders in which vertices are eliminated: what they are, what they cost, and the search for better ones.

The *Markowitz degree* of a vertex is the number of multiplications that eliminating it takes at the moment (for
scalars: the edges that enter it times those that leave it); its *relative* Markowitz degree is that number less
the one there would be if it were eliminated last (Griewank and Reese, "On the calculation of Jacobian matrices by
the Markowitz rule", 1991; Griewank and Walther, *Evaluating Derivatives*, 2nd edition, section 10.2). Finding the
best order is NP-hard (Naumann, "Optimal Jacobian accumulation is NP-complete", 2008), so it is searched for by
simulated annealing (Naumann and Gottschling, 2003).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log, prod
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from pullback.core.errors import user_line
from pullback.core.types import integers
from pullback.derivatives.elimination.blocks import Block, Operator
from pullback.derivatives.elimination.graph import Algebra, Graph, State, scaling

if TYPE_CHECKING:
    from pullback.core.names import Argument, Key

#: The orders that have a name.
ORDERS = ("forward", "reverse", "markowitz", "relative", "search")

#: How many eliminations a search tries in what counts as a second, on every machine.
_TRIES_PER_SECOND = 150_000
#: Graphs of more vertices are not searched: what is known of them would take too much memory.
_LARGEST_SEARCH = 1500


class Plan(NamedTuple):
    """An order for a graph: `places` are the vertices that it orders, `wires` those that are eliminated before, because
    it costs nothing; `order` has numbers in `places`. `costs` are the multiplications of the orders that were
    compared, `algebra` knows how the edges are multiplied.

    Example: of `sin(x) * x`: both vertices, and no wires but the way to the output.
    """

    places: tuple[int, ...]
    wires: tuple[int, ...]
    order: tuple[int, ...]
    costs: dict[str, int]
    multiplications: int
    algebra: Algebra

    @property
    def sequence(self) -> list[int]:
        """The vertices of the graph in the order in which they are eliminated."""
        return [*self.wires, *[self.places[i] for i in self.order]]


@dataclass(frozen=True)
class EliminationPlan:
    """In which order the vertices of a linearized program are eliminated, and what that costs.

    `vertices` says what they are, operation and line, in the order in which they are evaluated; `order` numbers them
    in the order in which they are eliminated. What only moves, repeats or adds elements on its way to one other
    vertex is none. `multiplications` are those of all eliminations, and `costs` those of the orders that were
    compared. Printing one shows all of it.

    >>> import pullback.numpy as jnp
    >>> from pullback.derivatives.elimination import elimination_plan
    >>> found = elimination_plan(lambda x: jnp.sin(jnp.exp(x) * 2), jnp.ones(3), order="reverse")
    >>> found.order, found.multiplications
    ((1, 0), 6)
    """

    vertices: tuple[str, ...]
    order: tuple[int, ...]
    multiplications: int
    costs: dict[str, int]

    def __str__(self) -> str:
        width = max(map(len, self.costs))
        lines = [f"{len(self.order)} vertices, {self.multiplications:,} multiplications"]
        lines += [f"  {name.ljust(width)} {cost:14,}" for name, cost in self.costs.items()]
        lines += [f"  {i}: {self.vertices[i]}" for i in self.order]
        return "\n".join(lines)


def shown(found: Plan, graph: Graph) -> EliminationPlan:
    """A plan, with what the vertices of a graph are."""
    return EliminationPlan(
        tuple([graph.describe(v) for v in found.places]), found.order, found.multiplications, dict(found.costs)
    )


def plan(graph: Graph, order: Argument, search_seconds: float, seed: int) -> Plan:
    """The plan of a graph by an order: one of `ORDERS`, or vertices by number."""
    algebra = Algebra()
    state, _ = graph.numbered(algebra)
    wires, before = _eliminate_wires(state, graph.middle)
    taken = set(wires)
    places = tuple([v for v in graph.middle if v not in taken])

    def cost_of(order: Sequence[int]) -> int:
        """All multiplications, up to the dense Jacobian."""
        end = state.copy()
        return before + sum([end.eliminate(v) for v in order]) + _finishing(end)

    if not isinstance(order, str):
        chosen = [places[i] for i in _checked(order, [graph.describe(v) for v in places])]
        costs = {"given": cost_of(chosen)}
    elif order not in ORDERS:
        raise ValueError(
            f"order must be one of {', '.join(map(repr, ORDERS))} or a sequence of vertices, got {order!r}, at {user_line()}"
        )
    else:
        makers: dict[str, Callable[[], list[int]]] = {
            "forward": lambda: list(places),
            "reverse": lambda: list(reversed(places)),
            "markowitz": lambda: greedy(state.copy(), places, lambda s, v: s.cost(v)),
            "relative": lambda: greedy(state.copy(), places, Relative(state, graph, places)),
        }
        found = {name: makers[name]() for name in (makers if order == "search" else [order])}
        costs = {name: cost_of(o) for name, o in found.items()}
        if order == "search":
            starts = [found[name] for name in sorted(found, key=lambda name: costs[name])]
            tries = int(search_seconds * _TRIES_PER_SECOND)
            found["search"], costs["search"] = Annealing(state, places, Random(seed)).search(starts, tries, cost_of)
        chosen = found[order]
    number = {v: i for i, v in enumerate(places)}
    cost = costs[order if isinstance(order, str) else "given"]
    return Plan(places, tuple(wires), tuple([number[v] for v in chosen]), costs, cost, algebra)


def _checked(order: Argument, names: Sequence[str]) -> tuple[int, ...]:
    """An order that was given. Raises ValueError if it does not have each vertex once."""
    numbers = integers(order, "order")
    n = len(names)
    wrong = [i for i in numbers if not 0 <= i < n]
    twice = sorted({i for i in numbers if numbers.count(i) > 1})
    missing = [i for i in range(n) if i not in numbers]
    if wrong or twice or missing:
        problems = [
            f"{what} {', '.join(map(str, found))}"
            for what, found in (("there is no vertex", wrong), ("twice:", twice))
            if found
        ]
        if missing:
            problems.append("missing: " + ", ".join([f"{i} ({names[i]})" for i in missing]))
        raise ValueError(
            f"order must have each of the {n} vertices of the linearized program once; {'; '.join(problems)}, at {user_line()}. "
            "`elimination_plan` lists them"
        )
    return numbers


def _eliminate_wires(state: State, middle: Iterable[int]) -> tuple[list[int], int]:
    """Eliminate what only moves, repeats or adds elements: these vertices, and the multiplications (by numbers of
    elements, if any)."""
    wires: list[int] = []
    cost = 0
    remaining = list(middle)
    while True:
        found = [v for v in remaining if state.is_wire(v)]
        if not found:
            return wires, cost
        for v in found:
            if state.is_wire(v):
                cost += state.eliminate(v)
                wires.append(v)
        taken = set(wires)
        remaining = [v for v in remaining if v not in taken]


def _finishing(state: State) -> int:
    """The multiplications that are left when only inputs and outputs are: of operators with all basis vectors."""
    total = 0
    for entering in state.into:
        for number in entering.values():
            for p in state.algebra.edges[number]:
                if isinstance(p, Operator):
                    total += min(prod(p.into_shape) * p.push, prod(p.out_shape) * p.pull)
                else:
                    assert isinstance(p, Block)
                    total += scaling(p)
    return total


# ---- by degree -----------------------------------------------------------------------------------


def greedy(state: State, vertices: Sequence[int], degree: Callable[[State, int], int]) -> list[int]:
    """The vertex of the lowest degree first; of several, the one that is evaluated last."""
    degrees = {v: degree(state, v) for v in vertices}
    order = []
    while degrees:
        v = min(degrees, key=lambda v: (degrees[v], -v))
        around = {*state.into[v], *state.out[v]}
        state.eliminate(v)
        del degrees[v]
        order.append(v)
        for u in around:
            if u in degrees:
                degrees[u] = degree(state, u)
    return order


class Relative:
    """The relative Markowitz degree: multiplications now, less those if the vertex were eliminated last.

    Example: a vertex between one input and one output, both ends of long chains, has a relative degree of 0.
    """

    def __init__(self, state: State, graph: Graph, vertices: Sequence[int]) -> None:
        times, plus = state.algebra.times, state.algebra.plus
        outputs = [v for v in graph.outputs if v is not None]

        def swept(
            starts: Iterable[int], order: Iterable[int], edges: list[dict[int, int]], forward: bool
        ) -> dict[int, dict[int, int]]:
            """For each vertex, the Jacobians between it and the ends on one side."""
            found: dict[int, dict[int, int]] = {}
            ends = set(starts)
            for v in order:
                total: dict[int, int | None] = {}
                for u, edge in edges[v].items():
                    steps = {u: edge} if u in ends else {
                        end: product
                        for end, far in found[u].items()
                        if (product := (times(edge, far) if forward else times(far, edge))[0]) is not None
                    }  # fmt: skip
                    for end, step in steps.items():
                        old = total.get(end)
                        total[end] = step if old is None else plus(old, step)[0]
                found[v] = {end: e for end, e in total.items() if e is not None}
            return found

        into = swept(graph.inputs, vertices, state.into, True)
        out = swept(outputs, reversed(vertices), state.out, False)
        self.last = {
            v: sum([times(left, right)[1] for left in out[v].values() for right in into[v].values()]) for v in vertices
        }

    def __call__(self, state: State, v: int) -> int:
        return state.cost(v) - self.last[v]


# ---- by search -----------------------------------------------------------------------------------


class Annealing:
    """A search for cheap orders: vertices are moved in the order, and worse orders are accepted as long as the
    temperature is high.

    What eliminating a vertex costs depends on which of the vertices around it are gone, not on their order: on
    those gone from which it can be reached through others that are gone, and on those that it reaches so. For each
    such pair of sets the cost is computed once. Moving a vertex changes nothing but the costs between its two places,
    so a try is a few operations on sets, which are bits of numbers.

    Example: `Annealing(state, vertices, Random(0)).search([order], 1000, cost_of)`.
    """

    def __init__(self, state: State, vertices: Sequence[int], random: Random) -> None:
        self.base, self.vertices, self.random = state, vertices, random
        self.number = {v: i for i, v in enumerate(vertices)}
        n = len(vertices)
        self.near = [
            [self._bits([u for u in edges[v] if u in self.number]) for v in vertices]
            for edges in (state.into, state.out)
        ]
        self.start = ([0] * n, [0] * n, *self.near)
        self._costs: dict[tuple[int, int, int], int] = {}
        #: How many eliminations have been tried.
        self.steps = 0

    def _bits(self, vertices: Iterable[int]) -> int:
        return sum([1 << self.number[v] for v in vertices])

    def search(
        self, starts: Sequence[list[int]], tries: int, cost_of: Callable[[Sequence[int]], int]
    ) -> tuple[list[int], int]:
        """The best order found, from the given ones on (the best one first), after so many eliminations have been
        tried; and its multiplications."""
        best, best_cost = starts[0], cost_of(starts[0])
        if not 2 < len(self.vertices) <= _LARGEST_SEARCH:
            return best, best_cost
        rounds = [starts[0], starts[min(1, len(starts) - 1)], None, None]  # None: the best one then
        for start in rounds:
            found = self._anneal([self.number[v] for v in (best if start is None else start)], tries // len(rounds))
            order = [self.vertices[i] for i in found]
            cost = cost_of(order)
            if cost < best_cost:
                best, best_cost = order, cost
        return best, best_cost

    def _anneal(self, order: list[int], tries: int) -> list[int]:
        n, random = len(order), self.random
        states = [self._copy(self.start)]
        costs = []
        for v in order:
            after = self._copy(states[-1])
            costs.append(self._eliminate(after, v))
            states.append(after)
        total = best_total = sum(costs)
        best = list(order)
        hot, cold = max(1.0, 0.03 * total), 0.2
        begin, done = self.steps, 0.0
        while done < 1:
            temperature = hot * (cold / hot) ** done
            i = random.randrange(n)
            width = max(1, int(n * (0.1 + 0.4 * random.random() * (1 - done))))
            j = min(n - 1, max(0, i + random.randint(-width, width)))
            self.steps += 1
            done = (self.steps - begin) / max(1, tries)
            if i == j:
                continue
            low, high = min(i, j), max(i, j)
            moved = order[low : high + 1]
            moved.insert(j - low, moved.pop(i - low))
            current = self._copy(states[low])
            limit = sum(costs[low : high + 1]) - temperature * _log(random)
            new_costs, new_states, spent = [], [], 0
            for v in moved:
                c = self._eliminate(current, v)
                spent += c
                if spent > limit:
                    break
                new_costs.append(c)
                new_states.append(self._copy(current))
            if len(new_costs) < len(moved):
                continue
            total += spent - sum(costs[low : high + 1])
            order[low : high + 1], costs[low : high + 1] = moved, new_costs
            states[low + 1 : high + 2] = new_states
            if total < best_total:
                best, best_total = list(order), total
        return best

    def _copy(self, state: Any) -> Any:
        return tuple([list(part) for part in state])

    def _eliminate(self, state: Any, v: int) -> int:
        """Eliminate a vertex from what is known of the sets; its multiplications."""
        behind, ahead, into, out = state
        key = (v, behind[v], ahead[v])
        cost = self._costs.get(key)
        self.steps += 1
        if cost is None:
            self.steps += behind[v].bit_count() + ahead[v].bit_count()
            cost = self._costs[key] = self._cost(*key)
        bit = 1 << v
        entering, leaving, before, after = into[v], out[v], behind[v] | bit, ahead[v] | bit
        rest = leaving
        while rest:
            low = rest & -rest
            w = low.bit_length() - 1
            behind[w] |= before
            into[w] = (into[w] & ~bit) | entering
            rest ^= low
        rest = entering
        while rest:
            low = rest & -rest
            u = low.bit_length() - 1
            ahead[u] |= after
            out[u] = (out[u] & ~bit) | leaving
            rest ^= low
        return cost

    def _cost(self, v: int, behind: int, ahead: int) -> int:
        """The multiplications of eliminating a vertex when these others are gone."""
        times, plus = self.base.algebra.times, self.base.algebra.plus
        vertices = self.vertices

        def gathered(edges: list[dict[int, int]], gone: list[int], forward: bool) -> list[int]:
            found = dict(edges[vertices[v]])
            for w in gone:
                edge = found.pop(vertices[w], None)
                if edge is None:
                    continue
                for u, further in edges[vertices[w]].items():
                    product = (times(further, edge) if forward else times(edge, further))[0]
                    if product is None:
                        continue
                    total = product if u not in found else plus(found[u], product)[0]
                    if total is None:
                        del found[u]
                    else:
                        found[u] = total
            return list(found.values())

        members = [i for i in range(len(vertices)) if behind >> i & 1]
        right = gathered(self.base.into, members[::-1], False)
        left = gathered(self.base.out, [i for i in range(len(vertices)) if ahead >> i & 1], True)
        return sum([times(a, b)[1] for a in left for b in right])


def _log(random: Random) -> float:
    """The logarithm of a number between 0 and 1."""
    return log(1 - random.random())


def key_of(order: Argument, search_seconds: float, seed: int) -> Key:
    """What plans of one graph are told apart by."""
    if order == "search":
        return (order, search_seconds, seed)
    return order if isinstance(order, str) else tuple(integers(order, "order"))


__all__ = ["ORDERS", "EliminationPlan", "Plan", "key_of", "plan", "shown"]
