"""Elimination: every order against `jacrev`, counts of multiplications, orders that are given, and `preaccumulate`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from itertools import permutations, product
from random import Random
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.nn
import pullback.numpy as jnp
from pullback import lax
from pullback.core import dtypes
from pullback.core.jaxpr import Var, run
from pullback.core.passes import inline_calls
from pullback.core.staging import stage_flat
from pullback.core.trace import current
from pullback.derivatives.elimination import (
    elimination_jacobian,
    elimination_plan,
    jacobian_program,
    preaccumulate,
)
from pullback.derivatives.elimination.blocks import Agreement, Empty, Place, Unrelated, dense
from pullback.derivatives.elimination.graph import Algebra, State
from pullback.derivatives.elimination.jacobians import Linearized, plan_of
from pullback.derivatives.elimination.orders import ORDERS, Annealing, greedy, plan
from pullback.derivatives.manifolds import UnitQuaternion
from pullback.transforms.residuals import saved_residuals
from tests.conformance.table import Row, all_rows

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
#: Seconds of a search, of which a hundredth finds what there is to find in small programs.
SHORT = 0.02

Fun = Callable[..., Any]


def eliminated(f: Fun, order: Any = "markowitz", **options: Any) -> Fun:
    return elimination_jacobian(f, order=order, search_seconds=SHORT, **options)


def assert_same(found: Any, expected: Any, tol: float = 1e-5) -> None:
    """Structure, shapes, dtypes, weak types and values."""
    ours, tree = pb.tree.flatten(found)
    others, expected_tree = pb.tree.flatten(expected)
    assert tree == expected_tree
    for a, b in zip(ours, others):
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)
        if a.dtype != dtypes.float0:
            wide = complex if dtypes.is_complex(a.dtype) else float
            np.testing.assert_allclose(np.asarray(a).astype(wide), np.asarray(b).astype(wide), rtol=tol, atol=tol)


def normal(*shape: int, seed: int = 0) -> Any:
    return jnp.asarray(np.random.RandomState(seed).randn(*shape).astype(np.float32))


# ---- against jacrev --------------------------------------------------------------------------------------------

W, WIDE, BATCHES, KERNEL = normal(3, 4), 0.3 * normal(24, 24), normal(2, 3, 4), normal(2, 2, 2, 2)
CASES: dict[str, tuple[Fun, Any]] = {
    "elementwise": (lambda x: jnp.sin(x) * x, normal(3)),
    "number": (lambda x: x * jnp.sin(x), jnp.float32(2.0)),
    "identity": (lambda x: x, normal(3)),
    "constant": (lambda x: (jnp.ones(2), x * 0 + 1, x), normal(3)),
    "no elements": (lambda x: (x[:0], x.sum()), normal(3)),
    "axes of length 1": (lambda x: x.reshape(1, 3, 1) * x[None, :, None] + x[0], normal(3)),
    "matrix and vector": (lambda x: jnp.tanh(W @ x), normal(4)),
    "matrices": (lambda x: jnp.tanh(x @ W.T) @ x.T[:3, :2], normal(3, 4)),
    "square": (lambda x: x @ x.T, normal(3, 4)),
    "batches": (lambda x: jnp.einsum("bij,bj->bi", BATCHES, x) * jnp.sum(x), normal(2, 4)),
    "layers": (lambda x: jnp.tanh(jnp.tanh(x @ WIDE) @ WIDE), normal(3, 24)),
    "outer": (lambda x: x[:, None] * x[None, :] + jnp.outer(jnp.sin(x), x), normal(3)),
    "normalized": (
        lambda x: (x - x.mean(0)) / jnp.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-3),
        normal(4, 3),
    ),
    "softmax": (lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True), normal(2, 3)),
    "logsumexp": (lambda x: pb.nn.logsumexp(x * x), normal(3)),
    "activations": (lambda x: pb.nn.relu(W @ x) + pb.nn.gelu(W @ x), normal(4)),
    "differences": (lambda x: x[1:] * x[:-1] + x[::2][:1], normal(6)),
    "reversed": (lambda x: x[::-1] * x, normal(5)),
    "reshaped": (lambda x: jnp.sin(x.reshape(6, 2)).T.reshape(3, 4) * x.reshape(3, 4), normal(12)),
    "reshaped otherwise": (lambda x: (x.reshape(3, 2) * 2).reshape(2, 3), normal(2, 3)),
    "digits": (lambda x: x.reshape(2, 2, 3)[:, ::-1, 1:].reshape(4, 2) * 3, normal(4, 3)),
    "joined": (lambda x: jnp.concatenate([x, jnp.sin(x) * x, x[:1]]) ** 2, normal(3)),
    "stacked": (lambda x: jnp.stack([jnp.sin(x), x * x, x[::-1]], 1), normal(3)),
    "padded": (lambda x: lax.pad(x, 0.0, ((1, -1, 1), (-1, 2, 0))) * 2, normal(3, 4)),
    "split": (lambda x: jnp.split(x, 3)[1] * jnp.split(x, 3)[0], normal(6)),
    "repeated": (lambda x: jnp.tile(x, 2) * jnp.repeat(x, 2), normal(3)),
    "diagonals": (lambda x: jnp.diag(x) @ x * jnp.trace(jnp.outer(x, x)), normal(3)),
    "triangle": (lambda x: jnp.triu(x) @ x, normal(3, 3)),
    "windows": (lambda x: jnp.stack([x[i : i + 3] * x[i] for i in range(3)]), normal(5)),
    "written": (lambda x: x.at[1].set(x[0] * x[2]).at[2:].set(3.0) * x, normal(4)),
    "added at": (lambda x: x.at[1].add(x[0] * x[2]) * x, normal(4)),
    "gathered": (lambda x: x[jnp.array([0, 2, 2])] * x[:3], normal(4)),
    "selected": (lambda x: jnp.where(x > 0, jnp.sin(x), x**2) * x, normal(5)),
    "extrema": (lambda x: jnp.maximum(x, 0) * jnp.max(x), normal(5)),
    "sorted": (lambda x: jnp.sort(x) * x, normal(5)),
    "cumulative": (lambda x: jnp.cumsum(jnp.sin(x)) * x, normal(4)),
    "product": (lambda x: jnp.prod(x) * x, normal(4)),
    "convolution": (
        lambda x: lax.conv_general_dilated(jnp.sin(x), KERNEL, (1, 1), "SAME").sum((0, 1)),
        normal(1, 2, 3, 3),
    ),
    "pooled": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2,), (1,), "VALID") * 2, normal(5)),
    "solved": (lambda x: jnp.linalg.solve(x @ x.T + 3 * jnp.eye(3), x[:, 0]), normal(3, 3)),
    "eigenvalues": (lambda x: jnp.linalg.eigh(x + x.T)[0] * x[0], normal(3, 3)),
    "scan": (
        lambda x: lax.scan(lambda c, a: ((c[0] * a, c[1] + c[0]), c[1] * a), (x[0], jnp.sin(x[:2])), x[1:]),
        normal(4),
    ),
    "loop": (lambda x: lax.fori_loop(0, 3, lambda i, v: jnp.sin(v) * x, x), normal(3)),
    "branch": (
        lambda x: lax.cond(x[0] > 0, lambda v: jnp.sin(v) * v, lambda v: v * v[0], x * x),
        normal(3),
    ),
    "compiled": (lambda x: pb.jit(lambda v: jnp.sin(v) * v[0])(x) + x, normal(3)),
    "checkpointed": (lambda x: pb.checkpoint(lambda v: jnp.sin(jnp.sin(v)))(x) * x, normal(3)),
    "through complex numbers": (
        lambda x: jnp.abs(jnp.conj(1j * x + x[::-1]) * (x + 1j).sum()) + jnp.imag((1j * x) ** 2),
        normal(3),
    ),
    "spectrum": (lambda x: jnp.abs(jnp.fft.fft(x)) ** 2, normal(4)),
    "trees": (
        lambda p: {"a": p["u"] * p["v"].sum(), "b": (p["v"] @ p["v"], 3 * p["u"])},
        {"u": normal(2), "v": normal(3)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_order_gives_what_jacrev_gives(name: str) -> None:
    f, x = CASES[name]
    expected = pb.jacrev(f)(x)
    for order in ORDERS:
        assert_same(eliminated(f, order)(x), expected, 1e-4)
    assert_same(pb.jit(eliminated(f, "search"))(x), expected, 1e-4)


def rows_of_functions() -> list[Row]:
    rows = [r for r in all_rows() if r.order >= 1 and r.primitive != "kernel_call"]
    return rows if FULL else rows[::3]


@pytest.mark.filterwarnings("ignore")
def test_operations_have_the_derivatives_that_they_have_elsewhere() -> None:
    compared = 0
    with pb.enable_x64(True):
        for row in rows_of_functions():
            chosen = tuple([i for i, x in enumerate(row.args) if dtypes.is_inexact(np.asarray(x).dtype)])
            inexact = lambda *xs, row=row: [y for y in pb.tree.leaves(row.fun(*xs)) if dtypes.is_inexact(y.dtype)]
            complex_ = all(dtypes.is_complex(y.dtype) for y in inexact(*row.args))
            if not chosen or (complex_ and not all(dtypes.is_complex(row.args[i].dtype) for i in chosen)):
                continue
            if not complex_ and any(dtypes.is_complex(y.dtype) for y in inexact(*row.args)):
                continue
            options = {"argnums": chosen, "holomorphic": complex_}
            expected = pb.jacrev(inexact, **options)(*row.args)
            found = elimination_jacobian(inexact, **options)(*row.args)
            try:
                small = min([np.asarray(row.args[i]).dtype.itemsize for i in chosen])
                assert_same(found, expected, 5e-2 if small < 4 else 1e-3 if small < 8 else 1e-6)
            except AssertionError as error:
                raise AssertionError(f"{row}: {error}") from error
            compared += 1
    assert compared > 250


def random_movement(random: Random, x: Any) -> Any:
    """An array, rearranged, repeated, cut, scaled or summed in one of many ways."""
    axis = random.randrange(max(1, x.ndim))
    kind = random.choice(
        ["reshape", "transpose", "slice", "rev", "pad", "join", "repeat", "sum", "scale", "sin", "index"]
    )
    if x.ndim == 0:
        kind = random.choice(["repeat", "sin"])
    n = x.shape[axis] if x.ndim else 1
    if kind == "reshape":
        size, shape = x.size, []
        while size > 1:
            shape.append(random.choice([d for d in range(1, size + 1) if size % d == 0]))
            size //= shape[-1]
        return x.reshape(shape[:4] + ([x.size // int(np.prod(shape[:4]))] if len(shape) > 4 else []))
    if kind == "transpose":
        return x.transpose(random.sample(range(x.ndim), x.ndim))
    if kind == "slice":
        start, step = random.randrange(n), random.choice([1, 1, 2, -1])
        return x[(slice(None),) * axis + (slice(start, None, step),)]
    if kind == "index":
        return x[(slice(None),) * axis + (random.randrange(n),)]
    if kind == "rev":
        return jnp.flip(x, axis)
    if kind == "pad":
        pads = [(0, 0, 0)] * x.ndim
        pads[axis] = (random.randint(-1, 1), random.randint(0, 2), random.randint(0, 1))
        return lax.pad(x, 0.0, pads) if x.size <= 24 else x
    if kind == "join":
        return jnp.concatenate([x, jnp.flip(x, axis) * 2], axis) if x.size <= 24 else x
    if kind == "repeat":
        return jnp.broadcast_to(x, (2, *x.shape)) if x.size <= 24 else x
    if kind == "sum":
        return x.sum(axis)
    return jnp.sin(x) if kind == "sin" else x * normal(*x.shape, seed=random.randrange(99))


@pytest.mark.parametrize("seed", range(120 if FULL else 40))
def test_random_rearrangements(seed: int) -> None:
    def f(x: Any) -> Any:
        random = Random(seed)
        kept = [x]
        for _ in range(8):
            y = random_movement(random, random.choice(kept[-2:]))
            kept.append(y if y.size else kept[-1])
        total = kept[-1]
        return total * jnp.sum(kept[3]) + jnp.sum(kept[5] ** 2)

    shape = [(12,), (3, 4), (2, 3, 2), (2, 2, 3)][seed % 4]
    x = normal(*shape, seed=seed)
    expected = pb.jacrev(f)(x)
    numbers = list(range(len(elimination_plan(f, x).vertices)))
    Random(seed).shuffle(numbers)
    for order in ("forward", "reverse", "markowitz", numbers):
        assert_same(elimination_jacobian(f, order=order)(x), expected, 1e-3)


# ---- scalar programs, counted as in the literature -------------------------------------------------------------


def random_graph(seed: int, inputs: int = 3, vertices: int = 8) -> list[list[int]]:
    """The predecessors of each vertex after the inputs: one or two."""
    random = Random(seed)
    graph: list[list[int]] = [[] for _ in range(inputs)]
    graph += [random.sample(range(v), random.choice([1, 2, 2])) for v in range(inputs, inputs + vertices)]
    return graph


def function_of(graph: list[list[int]]) -> Fun:
    """A function of which no local derivative is known: sines and products; results are what nothing uses."""
    used = {u for preds in graph for u in preds}

    def f(x: Any) -> Any:
        values: list[Any] = []
        for v, preds in enumerate(graph):
            operands = [values[u] for u in preds]
            values.append(x[v] if not preds else jnp.sin(operands[0]) if len(preds) == 1 else operands[0] * operands[1])
        return jnp.stack([y for v, y in enumerate(values) if v not in used])

    return f


def intermediate(graph: list[list[int]]) -> list[int]:
    used = {u for preds in graph for u in preds}
    return [v for v, preds in enumerate(graph) if preds and v in used]


def classical(graph: list[list[int]], order: list[int]) -> int:
    """Σ (edges in) × (edges out), by the definition."""
    into = [set(preds) for preds in graph]
    count = 0
    for v in order:
        after = [w for w in range(len(graph)) if v in into[w]]
        count += len(into[v]) * len(after)
        for w in after:
            into[w] = (into[w] - {v}) | into[v]
        into[v] = set()
    return count


@pytest.mark.parametrize("seed", range(20))
def test_multiplications_of_scalar_programs_are_the_classical_ones(seed: int) -> None:
    graph = random_graph(seed)
    f, x, middle = function_of(graph), normal(3, seed=seed), intermediate(graph)
    expected = pb.jacrev(f)(x)
    random = Random(seed)
    for _ in range(4):
        order = random.sample(range(len(middle)), len(middle))
        found = elimination_plan(f, x, order=order)
        assert found.order == tuple(order)
        assert found.multiplications == classical(graph, [middle[i] for i in order])
        assert_same(elimination_jacobian(f, order=order)(x), expected)
    assert elimination_plan(f, x, order="forward").multiplications == classical(graph, middle)
    assert elimination_plan(f, x, order="reverse").multiplications == classical(graph, middle[::-1])


@pytest.mark.parametrize("seed", range(6))
def test_search_finds_the_best_order_of_small_programs(seed: int) -> None:
    graph = random_graph(seed, vertices=8)
    middle = intermediate(graph)[:6]
    if len(middle) < len(intermediate(graph)):
        graph = random_graph(seed + 100, vertices=7)
        middle = intermediate(graph)
    best = min(classical(graph, list(order)) for order in permutations(middle))
    assert elimination_plan(function_of(graph), normal(3), order="search", search_seconds=0.1).multiplications == best


def test_a_bottleneck() -> None:
    def f(x: Any) -> Any:
        q = x[0] * x[1] * x[2]
        return jnp.stack([jnp.sin(q), jnp.cos(q), jnp.exp(q)])

    count = {order: elimination_plan(f, normal(3), order=order).multiplications for order in ORDERS}
    # Forward: 2 · 1 and 3 · 3; reverse: 2 · 3 twice.
    assert (count["forward"], count["reverse"]) == (11, 12)
    assert count["markowitz"] == count["search"] == 11


def test_chains_of_diagonals_and_matrices() -> None:
    x = jnp.ones(5)
    diagonals = lambda x: jnp.sin(jnp.sin(jnp.sin(x)))
    assert elimination_plan(diagonals, x).multiplications == 2 * 5
    assert jacobian_program(diagonals, x).out_avals[0].shape == (5, 5)
    # Matrices of shapes (7, 5), (6, 7), (1, 6) multiplied from the left, or from the right; tanh scales rows.
    a, b, c = normal(7, 5), normal(6, 7), normal(1, 6)
    chain = lambda x: c @ (b @ (a @ x))
    count = {o: elimination_plan(chain, x, order=o).multiplications for o in ("forward", "reverse", "markowitz")}
    assert count == {
        "forward": 6 * 7 * 5 + 6 * 5,
        "reverse": 1 * 6 * 7 + 1 * 7 * 5,
        "markowitz": 1 * 6 * 7 + 1 * 7 * 5,
    }


def test_what_only_moves_or_adds_is_free() -> None:
    moves = lambda x: jnp.concatenate([x[::-1].reshape(2, 3).T.reshape(-1), x - x.sum(), -x + 1])
    found = elimination_plan(moves, normal(6))
    assert (found.multiplications, found.order) == (0, ())


#: Human heart dipole (MINPACK-2, 2.3) and propane combustion (2.5): forward, reverse and AlphaGrad in Lohoff and Neftci,
#: "Optimizing automatic differentiation with deep reinforcement learning" (2024), table 1, where every edge counts.
LITERATURE = {"heart": (240, 172, 149), "propane": (151, 90, 88)}


def heart(x1: Any, x2: Any, x3: Any, x4: Any, x5: Any, x6: Any, x7: Any, x8: Any) -> Any:
    a, b = x5**2 - x7**2, x6**2 - x8**2
    c, d = x5 * (x5**2 - 3 * x7**2), x7 * (x7**2 - 3 * x5**2)
    e, g = x6 * (x6**2 - 3 * x8**2), x8 * (x8**2 - 3 * x6**2)
    return (
        x1 + x2 - 1.0,
        x3 + x4 - 1.0,
        x5 * x1 + x6 * x2 - x7 * x3 - x8 * x4 - 1.0,
        x7 * x1 + x8 * x2 + x5 * x3 + x6 * x4 - 1.0,
        x1 * a - 2 * x3 * x5 * x7 + x2 * b - 2 * x4 * x6 * x8 - 1.0,
        x3 * a - 2 * x1 * x5 * x7 + x4 * b - 2 * x2 * x6 * x8 - 1.0,
        x1 * c + x3 * d + x2 * e + x4 * g - 1.0,
        x3 * c - x1 * d + x4 * e - x2 * g - 1.0,
    )


def propane(*x: Any) -> Any:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = x
    root = jnp.sqrt(40.0 / x11)
    return (
        x1 + x4 - 3.0,
        2 * x1 + x2 + x4 + x7 + x8 + x9 + 2 * x10 - 10.0,
        2 * x2 + 2 * x5 + x6 + x7 - 8.0,
        2 * x3 + x9 - 40.0,
        x2 * x4 - x1 * x5,
        jnp.sqrt(x2 * x4) - jnp.sqrt(x1) * root * x6,
        jnp.sqrt(x1 * x2) - jnp.sqrt(x4) * x7 * root,
        x1 - x4 * x8 * 40.0 / x11,
        x1 * jnp.sqrt(x3) - x4 * x9 * root,
        x1**2 - x4**2 * x10 * 40.0 / x11,
        x11 - x1 - x2 - x3 - x4 - x5 - x6 - x7 - x8 - x9 - x10,
    )


@pytest.mark.parametrize(("name", "f", "n"), [("heart", heart, 8), ("propane", propane, 11)])
def test_counts_of_the_literature(name: str, f: Fun, n: int) -> None:
    program = inline_calls(pb.make_jaxpr(f)(*[0.5 + 0.1 * i for i in range(n)])).jaxpr
    number = {v: i for i, v in enumerate([*program.invars, *[e.outvars[0] for e in program.eqns]])}
    algebra = Algebra()
    edge = algebra.number((dense((), ()),))
    state = State(algebra, [{} for _ in number], [{} for _ in number])
    for e in program.eqns:
        for x in e.invars:
            if isinstance(x, Var):
                u, v = number[x], number[e.outvars[0]]
                state.into[v][u] = state.out[u][v] = edge
    outputs = {number[v] for v in program.outvars}
    middle = [number[e.outvars[0]] for e in program.eqns if number[e.outvars[0]] not in outputs]

    def cost(order: Any) -> int:
        end = state.copy()
        return sum(end.eliminate(v) for v in order)

    forward, reverse, alphagrad = LITERATURE[name]
    assert (cost(middle), cost(middle[::-1])) == (forward, reverse)
    markowitz = greedy(state.copy(), middle, lambda s, v: s.cost(v))
    order, found = Annealing(state, middle, Random(0)).search([markowitz, middle], 2000, cost)
    assert found == cost(order) <= cost(markowitz) <= alphagrad


# ---- what is counted is what is done ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "elementwise", "matrix and vector", "matrices", "square", "batches", "layers", "outer", "normalized", "softmax",
    "differences", "digits", "joined", "stacked", "windows", "selected", "trees",
])  # fmt: skip
@pytest.mark.parametrize("order", ["forward", "reverse", "markowitz"])
def test_multiplications_are_those_that_are_done(name: str, order: str) -> None:
    f, x = CASES[name]
    leaves, tree = pb.tree.flatten(x)
    counted: list[int] = []

    def eliminate(*xs: Any) -> list[Any]:
        trace: Any = current()
        found = Linearized(lambda *ys: f(tree.unflatten(ys)), xs)
        before = len(trace.eqns)
        made = plan_of(found.graph, order, 0.0, 0)
        found.jacobian(made)
        done = 0
        for e in trace.eqns[before:]:
            if e.primitive.name == "mul":
                done += e.outvars[0].aval.size
            if e.primitive.name == "dot_general":
                ((contracted, _), _) = e.params["dimension_numbers"]
                done += e.outvars[0].aval.size * int(np.prod([e.invars[0].aval.shape[i] for i in contracted]))
        counted.extend([done, made.multiplications])
        return []

    stage_flat(eliminate, [v.aval for v in leaves])
    done, planned = counted
    assert done == planned or (name == "normalized" and done <= planned)  # which has numbers to apply at the end


def random_place(random: Random, labels: list[int], sizes: list[int]) -> Place:
    """Digits of a number, perhaps with gaps, some of them counted backwards."""
    chosen, stride, parts = random.sample(labels, random.randint(0, len(labels))), random.choice([1, 1, 2]), []
    for k in chosen:
        parts.append((k, stride * random.choice([1, 1, -1])))
        stride *= sizes[k] + random.choice([0, 0, 1])
    return random.randint(-3, 6), tuple(reversed(parts))


def value_of(place: Place, labels: Any) -> int:
    return place[0] + sum(stride * labels[k] for k, stride in place[1])


def test_labels_agree_exactly_where_places_are_equal() -> None:
    random, solved = Random(0), 0
    for _ in range(600):
        sizes = [random.choice([2, 2, 3, 4, 6]) for _ in range(4)]
        a, b = random_place(random, [0, 1], sizes), random_place(random, [2, 3], sizes)
        equal = {t for t in product(*map(range, sizes)) if value_of(a, t) == value_of(b, t)}
        labels = Agreement(sizes)
        try:
            labels.agree(a, b)
        except Empty:
            assert not equal
            continue
        except Unrelated:
            continue
        free = [k for k in range(len(labels.sizes)) if k not in labels.bound]
        found = set()
        for values in product(*[range(labels.sizes[k]) for k in free]):
            known = dict(zip(free, values))
            found.add(tuple(value_of(labels.resolve((0, ((k, 1),))), known) for k in range(4)))
        assert found == equal, (sizes, a, b)
        solved += 1
    assert solved > 100


# ---- orders that are given, and searched for -------------------------------------------------------------------


def two_angles(x: Any) -> Any:
    return jnp.stack([jnp.sin(x[0] * x[1]) * x[0], jnp.cos(x[0] * x[1]) * x[1]])


def test_orders_that_are_given() -> None:
    x = normal(2)
    shown = elimination_plan(two_angles, x)
    assert len(shown.vertices) == 4
    assert shown.vertices[0].startswith("mul f32[] at ")
    assert "sin f32[]" in str(shown)
    for order in permutations(range(4)):
        assert_same(elimination_jacobian(two_angles, order=order)(x), pb.jacrev(two_angles)(x))


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 1, 2], r"missing: 3 \(cos|missing: 3 \(mul|missing: 3 \("),
        ([0, 1, 2, 2], r"twice: 2; missing: 3 \("),
        ([0, 1, 2, 7], r"there is no vertex 7; missing: 3"),
        ("fastest", r"order must be one of 'forward', .*, got 'fastest'"),
    ],
)
def test_orders_that_are_none(order: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        elimination_jacobian(two_angles, order=order)(normal(2))
    with pytest.raises(ValueError, match=message):
        elimination_plan(two_angles, normal(2), order=order)


@pytest.mark.parametrize("seed", range(4))
def test_search_is_as_good_as_all_others_and_the_same_again(seed: int) -> None:
    graph = random_graph(seed, inputs=5, vertices=30)
    f, x = function_of(graph), normal(5)
    found = elimination_plan(f, x, order="search", search_seconds=0.1)
    assert found.multiplications == found.costs["search"] == min(found.costs.values())
    assert found.multiplications == classical(graph, [intermediate(graph)[i] for i in found.order])
    linearized = Linearized(f, [x])
    again, other = (plan(linearized.graph, "search", 0.1, s) for s in (0, 7))
    assert again.order == found.order
    assert other.multiplications <= min(other.costs[o] for o in ORDERS if o != "search")


# ---- with everything else --------------------------------------------------------------------------------------


def cubic(x: Any) -> Any:
    return jnp.stack([x[0] * jnp.sin(x[1]), x[1] ** 3 * x[0] * x[2], x.sum() ** 2])


def test_nested_transformations() -> None:
    x, xs = normal(3), normal(4, 3)
    ours, theirs = eliminated(cubic, "search"), pb.jacrev(cubic)
    second = pb.jacrev(theirs)(x)
    assert_same(eliminated(ours)(x), second, 1e-4)
    assert_same(pb.jit(eliminated(ours))(x), second, 1e-4)
    assert_same(pb.jacfwd(ours)(x), pb.jacfwd(theirs)(x), 1e-4)
    assert_same(pb.vmap(ours)(xs), pb.vmap(theirs)(xs), 1e-4)
    assert_same(pb.jit(pb.vmap(ours))(xs), pb.vmap(theirs)(xs), 1e-4)
    loss = lambda jacobian: lambda x: (jacobian(x) ** 2).sum()
    assert_same(pb.grad(loss(ours))(x), pb.grad(loss(theirs))(x), 1e-3)
    assert_same(pb.jit(pb.grad(loss(ours)))(x), pb.grad(loss(theirs))(x), 1e-3)
    assert_same(pb.jit(pb.hessian(loss(ours)))(x), pb.hessian(loss(theirs))(x), 1e-2)
    steps = lambda jacobian: lambda x: lax.scan(lambda c, _: (c - 0.01 * (jacobian(c) @ c), None), x, None, length=5)[0]
    assert_same(pb.jit(pb.jacrev(steps(ours)))(x), pb.jacrev(steps(theirs))(x), 1e-4)


def test_closing_over_what_is_traced() -> None:
    x = normal(3)
    scaled = lambda make: lambda c: make(lambda x: c * jnp.sin(c * x) * x)(x).sum()
    assert_same(pb.jit(pb.grad(scaled(eliminated)))(0.5), pb.grad(scaled(pb.jacrev))(0.5))
    assert_same(pb.vmap(scaled(eliminated))(normal(3)), pb.vmap(scaled(pb.jacrev))(normal(3)), 1e-4)


def test_what_jacrev_takes() -> None:
    x, y = normal(3), normal(2, 3)
    f = lambda x, y, *, scale: {"sum": scale * x * y, "first": (y @ x)[0]}
    for argnums in (0, 1, (1, 0), (0,), -1):
        args = (f, argnums)
        assert_same(elimination_jacobian(*args)(x, y, scale=2.0), pb.jacrev(*args)(x, y, scale=2.0))
    with_aux = lambda x: (cubic(x), {"kept": 2 * x, "name": "f"})
    found, aux = eliminated(with_aux, has_aux=True)(x)
    assert_same(found, pb.jacrev(cubic)(x), 1e-4)
    assert aux["name"] == "f" and (aux["kept"] == 2 * x).all()
    found, aux = pb.jit(eliminated(lambda x: (cubic(x), 2 * x), has_aux=True))(x)
    assert (aux == 2 * x).all()
    product_ = lambda x, n: x * n
    integers = {"argnums": (0, 1), "allow_int": True}
    assert_same(
        elimination_jacobian(product_, **integers)(x, jnp.arange(3)), pb.jacrev(product_, **integers)(x, jnp.arange(3))
    )
    branching = lambda x: jnp.sin(x) if x[0] > 0 else jnp.cos(x)  # on a known number, in eager code
    assert_same(eliminated(branching)(x), pb.jacrev(branching)(x))


def test_complex_numbers() -> None:
    z = normal(3) + 1j * normal(3, seed=1)
    matrix = normal(3, 3) + 1j
    for f in (lambda z: jnp.exp(z) * z[::-1], lambda z: jnp.conj(z) * (matrix @ z), lambda z: z / jnp.abs(z)):
        assert_same(eliminated(f, holomorphic=True)(z), pb.jacrev(f, holomorphic=True)(z), 1e-4)
    real = lambda z: jnp.abs(z) * jnp.real(z[0] * z)
    assert_same(eliminated(real)(z), pb.jacrev(real)(z), 1e-4)
    assert_same(pb.jit(eliminated(real))(z), pb.jacrev(real)(z), 1e-4)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_dtypes(dtype: str) -> None:
    with pb.enable_x64(True):
        x = jnp.asarray([0.3, -0.7, 1.1], dtype)
        f = lambda x: jnp.sin(x) * x.sum() + (jnp.ones((3, 3), x.dtype) @ x)
        assert_same(
            eliminated(f)(x), pb.jacrev(f)(x), 1e-12 if dtype == "float64" else 1e-6 if dtype == "float32" else 5e-2
        )
        mixed = lambda x: jnp.sin(x.astype("float32")).astype("float64") * x
        assert_same(eliminated(mixed)(x), pb.jacrev(mixed)(x), 1e-6 if dtype in ("float32", "float64") else 5e-2)


def test_infinities_stay_where_they_are() -> None:
    x = jnp.array([0.0, 1.0, 4.0])
    found = np.asarray(eliminated(lambda x: jnp.sqrt(x) * 2)(x))
    assert np.isinf(found[0, 0])
    assert np.isfinite(np.delete(found.ravel(), 0)).all()
    # Of what is not chosen nothing is seen, not even that its derivative is infinite.
    chosen = lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)
    np.testing.assert_allclose(eliminated(chosen)(x), np.diag([0, 0.5, 0.25]))
    nan = eliminated(lambda x: jnp.log(x - 1) * x)(jnp.array([0.0, 3.0]))
    assert np.isnan(np.asarray(nan)[0, 0])
    assert np.isfinite(np.asarray(nan)[1, 1])


def test_what_is_no_jacobian() -> None:
    with pytest.raises(TypeError, match="jacobian requires real-valued inputs"):
        eliminated(cubic)(jnp.arange(3))
    with pytest.raises(TypeError, match="requires real-valued outputs"):
        eliminated(lambda x: x > 0)(normal(3))
    with pytest.raises(TypeError, match="expected a callable"):
        eliminated(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="requires at least 3 positional arguments"):
        elimination_jacobian(cubic, argnums=2)(normal(3))
    with pytest.raises(TypeError, match="holomorphic=True requires inputs with complex dtype"):
        eliminated(cubic, holomorphic=True)(normal(3))
    turn = UnitQuaternion(jnp.array([1.0, 0.0, 0.0, 0.0]))
    with pytest.raises(TypeError, match="a UnitQuaternion has a tangent space of its own"):
        eliminated(lambda q: q @ jnp.ones(3))(turn)
    with pytest.raises(TypeError, match="a UnitQuaternion has a tangent space of its own"):
        eliminated(lambda x: UnitQuaternion(x))(jnp.ones(4))
    shape = pb.ShapeDtypeStruct(pb.export.symbolic_shape("n"), np.float32)
    with pytest.raises(NotImplementedError, match="needs the sizes of all arrays"):
        pb.export.export(pb.jit(eliminated(lambda x: x * x.sum())))(shape)


def test_the_result_is_a_program() -> None:
    x = normal(3)
    program = jacobian_program(cubic, x, order="search", search_seconds=SHORT)
    assert [t.shape for t in program.out_avals] == [(3, 3)]
    (found,) = run(program, x)
    np.testing.assert_allclose(found, pb.jacrev(cubic)(x), rtol=1e-4)
    named = elimination_plan(
        lambda x, n, y: n * jnp.sin(x) * y,
        pb.ShapeDtypeStruct((3,), np.float32),
        2,
        pb.ShapeDtypeStruct((), np.float32),
    )
    assert [v.split()[0] for v in named.vertices] == ["sin", "mul"]
    shapes = jacobian_program(cubic, pb.ShapeDtypeStruct((3,), np.float32))
    assert [t.shape for t in shapes.out_avals] == [(3, 3)]


def test_programs_of_few_numbers_are_one_kernel() -> None:
    def f(x: Any) -> Any:
        for _ in range(4):
            x = jnp.stack([jnp.sin(x[1]) * x[0], jnp.cos(x[0]) * x[1]])
        return x

    x, xs = normal(2), normal(300, 2)
    kernel = "xla_cpu_small_call"
    jacobian = pb.jit(eliminated(f))
    assert kernel in jacobian.lower(x).as_text()
    assert kernel in pb.jit(pb.vmap(eliminated(f))).lower(xs[:4]).as_text()
    assert kernel not in pb.jit(pb.vmap(eliminated(f))).lower(xs).as_text()
    assert_same(jacobian(x), pb.jacrev(f)(x), 1e-4)
    assert_same(pb.jit(pb.vmap(eliminated(f)))(xs), pb.vmap(pb.jacrev(f))(xs), 1e-4)
    summed = lambda jacobian: pb.grad(lambda x: jacobian(x).sum())
    assert_same(pb.jit(summed(eliminated(f)))(x), summed(pb.jacrev(f))(x), 1e-4)


def test_large_jacobians_stay_structured_until_the_end() -> None:
    """A thousand elements, five operations deep: no product of matrices."""
    x = jnp.linspace(0.0, 1.0, 1000)

    def f(x: Any) -> Any:
        for _ in range(5):
            x = jnp.sin(x) + 0.1 * x[::-1] * x
        return x

    assert elimination_plan(f, x).multiplications < 100 * 1000
    v = jnp.cos(x)
    np.testing.assert_allclose(pb.jit(eliminated(f))(x) @ v, pb.jvp(f, (x,), (v,))[1], rtol=1e-4, atol=1e-5)


# ---- preaccumulate ---------------------------------------------------------------------------------------------


def step(state: Any, force: Any) -> Any:
    x, v = state["x"], state["v"]
    for _ in range(3):
        v = v + 0.1 * (force - jnp.sin(x) * jnp.exp(-(v**2)))
        x = x + 0.1 * v * jnp.cos(v)
    return {"x": x, "v": v}, x * v


STATE = {"x": jnp.float32(1.0), "v": jnp.float32(0.5)}
FORCES = jnp.linspace(0.0, 1.0, 5)


def final(step: Fun) -> Fun:
    def f(state: Any, forces: Any) -> Any:
        last, products = lax.scan(step, state, forces)
        return last["x"] + products.sum()

    return f


def test_preaccumulated_steps_in_loops() -> None:
    ours, theirs = final(preaccumulate(step)), final(step)
    both = {"argnums": (0, 1)}
    assert_same(pb.grad(ours, **both)(STATE, FORCES), pb.grad(theirs, **both)(STATE, FORCES))
    assert_same(pb.jit(pb.grad(ours, **both))(STATE, FORCES), pb.grad(theirs, **both)(STATE, FORCES))
    assert_same(pb.hessian(ours, **both)(STATE, FORCES), pb.hessian(theirs, **both)(STATE, FORCES), 1e-4)
    assert_same(pb.jit(pb.hessian(ours, argnums=1))(STATE, FORCES), pb.hessian(theirs, argnums=1)(STATE, FORCES), 1e-4)
    tangents = (STATE, FORCES), (STATE, FORCES)
    assert_same(pb.jvp(ours, *tangents), pb.jvp(theirs, *tangents))
    batch = pb.tree.map(lambda x: jnp.stack([x, x + 0.1]), STATE)
    assert_same(
        pb.vmap(pb.grad(ours), in_axes=(0, None))(batch, FORCES),
        pb.vmap(pb.grad(theirs), in_axes=(0, None))(batch, FORCES),
    )


def test_third_derivatives_of_preaccumulated_functions() -> None:
    f = lambda x: jnp.sin(x) * jnp.exp(x * x)
    third = lambda f: pb.grad(pb.grad(pb.grad(f)))
    assert_same(third(preaccumulate(f))(0.3), third(f)(0.3), 1e-4)
    assert_same(pb.jit(third(preaccumulate(f)))(0.3), third(f)(0.3), 1e-4)
    mixed = lambda f: pb.jacfwd(pb.grad(pb.jacfwd(f)))
    assert_same(mixed(preaccumulate(f))(0.3), mixed(f)(0.3), 1e-4)


def test_preaccumulated_functions_store_their_jacobian_alone() -> None:
    stored = lambda f, *args: sum(r.nbytes for r in saved_residuals(f, *args))
    accumulated = preaccumulate(step)
    assert stored(lambda s, f: step(s, f), STATE, 0.3) > 80
    assert stored(lambda s, f: accumulated(s, f), STATE, 0.3) == 3 * 3 * 4
    wave = lambda x: jnp.tanh(x) * jnp.exp(-x * x) + jnp.sin(x)
    x = jnp.ones(100)
    assert stored(wave, x) == 6 * 400
    assert stored(lambda x: preaccumulate(wave)(x), x) == 400  # the diagonal
    several = preaccumulate(lambda x, n: (x * n, n + 1, jnp.ones(2)))
    assert stored(lambda x: several(x, 3)[0], 2.0) <= 4


def test_preaccumulated_functions_of_everything() -> None:
    z = normal(3) + 1j * normal(3, seed=1)
    square = lambda z: jnp.abs(z) ** 2 * z
    accumulated = preaccumulate(square)
    real = lambda f: lambda z: jnp.real(f(z)).sum()
    assert_same(pb.grad(real(accumulated))(z), pb.grad(real(square))(z), 1e-4)
    assert_same(pb.jvp(accumulated, (z,), (2j * z,)), pb.jvp(square, (z,), (2j * z,)), 1e-4)
    several = lambda x, n: (x * n, n + 1, jnp.ones(2), {"sum": x.sum()})
    tangent = lambda f: pb.jvp(lambda x: f(x, 3), (normal(2),), (normal(2),))[1]
    for ours, theirs in zip(pb.tree.leaves(tangent(preaccumulate(several))), pb.tree.leaves(tangent(several))):
        assert ours.dtype == theirs.dtype
        if ours.dtype != dtypes.float0:
            np.testing.assert_allclose(ours, theirs)
    looping = lambda x: lax.fori_loop(0, 3, lambda i, v: jnp.sin(v) * x, x)
    for f in (looping, lambda x: jnp.linalg.solve(jnp.diag(x) + 2, x), lambda x: W.T @ jnp.tanh(W @ x)):
        x = normal(4) if f(normal(4)).shape == (4,) else normal(3)
        cotangent = lambda f: pb.vjp(f, x)[1](jnp.cos(x))[0]
        assert_same(cotangent(preaccumulate(f)), cotangent(f), 1e-4)

    @preaccumulate(order="reverse")
    def named(x: Any, times: int, *, scale: float = 2.0, how: str = "twice") -> Any:
        """Scaled."""
        for _ in range(times):  # a number of Python's, as it is given
            x = scale * x
        return x * x if how == "twice" else x

    assert (named.__name__, named.__doc__) == ("named", "Scaled.")
    assert float(pb.grad(lambda x: named(x, 1, scale=3.0))(2.0)) == 36.0
    assert float(pb.grad(lambda s: named(2.0, 1, scale=s, how="once"))(3.0)) == 2.0
    with pytest.raises(TypeError, match="expected a callable"):
        preaccumulate(3)  # type: ignore[arg-type]


def test_that_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pb.jit(eliminated(cubic, "search"))(normal(3))


def test_functions_are_called_again_as_they_were() -> None:
    def repeated(wrap: Any) -> Any:
        def g(x: Any) -> Any:
            for k in (2.0, 3.0):
                w = x * k
                x = wrap(lambda q: jnp.sin(q) * k + w)(x)
            return x

        return g

    x = jnp.array([0.3, 0.7])
    plain = repeated(lambda f: f)
    expected = pb.jvp(plain, (x,), (jnp.ones(2),))
    gradient = pb.grad(lambda x: plain(x).sum())(x)
    for wrap in (pb.preaccumulate, pb.jvp_from_vjp, pb.vjp_from_jvp):
        g = repeated(wrap)
        for found in (
            pb.jvp(pb.jit(g), (x,), (jnp.ones(2),)),
            pb.jit(lambda x, g=g: pb.jvp(g, (x,), (jnp.ones(2),)))(x),
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        for total in (pb.jit(g), pb.checkpoint(g), g):
            np.testing.assert_allclose(pb.grad(lambda x, t=total: t(x).sum())(x), gradient, rtol=1e-5)
