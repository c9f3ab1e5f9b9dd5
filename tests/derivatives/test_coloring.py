"""Colourings: valid for any pattern, entries that come back from products exactly, as few colours as are known to be enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.derivatives import SparsityPattern
from pullback.derivatives import coloring as c
from pullback.derivatives.coloring.recovery import Entries
from pullback.derivatives.coloring.vertex_orders import ORDERS, Graph, column_graph, entry_graph

ALL_ORDERS = (*ORDERS, "best")


def count(colors: Any) -> int:
    return int(colors.max(initial=-1)) + 1


def seeds(colors: Any) -> Any:
    """A row for each colour: the sum of the unit vectors of that colour."""
    return (colors == np.arange(count(colors))[:, None]).astype(float)


def band(n: int, b: int) -> Any:
    return sp.csr_array(np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= b)


def grid(m: int, n: int, periodic: bool = False) -> Any:
    def line(k: int) -> Any:
        a = band(k, 1).toarray()
        a[0, -1] = a[-1, 0] = a[0, -1] or periodic
        return a

    return sp.csr_array(sp.kron(line(m), np.eye(n)) + sp.kron(np.eye(m), line(n)))


def arrow(n: int) -> Any:
    a = np.eye(n, dtype=bool)
    a[0] = a[:, 0] = True
    return sp.csr_array(a)


def with_values(pattern: Any, seed: int = 0) -> Any:
    """Integers at the entries, so that sums and differences are exact."""
    csr = sp.csr_array(pattern)
    return sp.csr_array(
        (np.random.default_rng(seed).integers(1, 1000, csr.nnz).astype(float), csr.indices, csr.indptr), csr.shape
    )


def symmetric(pattern: Any) -> Any:
    matrix = with_values(pattern).toarray()
    return sp.csr_array(matrix + matrix.T)


def is_permutation_of_colors(colors: Any) -> bool:
    """Whether the colours are 0, 1, ..., each of them used."""
    return np.array_equal(np.unique(colors[colors >= 0]), np.arange(count(colors)))


@st.composite
def patterns(draw: Any, square: bool = False) -> Any:
    m = draw(st.integers(0, 14))
    n = m if square else draw(st.integers(0, 14))
    density = draw(st.sampled_from([0.02, 0.1, 0.2, 0.4, 0.9]))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    dense = rng.uniform(size=(m, n)) < density
    if m and n and draw(st.booleans()):
        dense[rng.integers(m)] = True
    if m and n and draw(st.booleans()):
        dense[:, rng.integers(n)] = True
    return dense


@st.composite
def symmetric_patterns(draw: Any) -> Any:
    dense = draw(patterns(square=True))
    dense = dense | dense.T
    if draw(st.booleans()):
        np.fill_diagonal(dense, True)
    return dense


# Laws that hold of every pattern


def check_columns(dense: Any, colors: Any) -> None:
    matrix = with_values(dense)
    assert c.is_valid_column_coloring(dense, colors) and is_permutation_of_colors(colors)
    assert ((colors >= 0) == np.asarray(dense).any(0)).all()
    color, row = c.column_recovery(dense, colors)
    products = seeds(colors) @ matrix.toarray().T
    np.testing.assert_array_equal(products[color, row], matrix.data)


def check_stars(dense: Any, colors: Any) -> None:
    matrix = symmetric(dense)
    assert c.is_valid_star_coloring(dense, colors) and is_permutation_of_colors(colors)
    color, row = c.star_recovery(dense, colors)
    products = seeds(colors) @ matrix.toarray()
    np.testing.assert_array_equal(products[color, row], matrix.data)


def substituted(recovery: c.AcyclicRecovery, products: Any) -> Any:
    sums = recovery.sign * products[recovery.color, recovery.row]
    for source, target in recovery.rounds:
        np.add.at(sums, target, sums[source])
    return (recovery.sign * sums)[recovery.entry]


def check_acyclic(dense: Any, colors: Any) -> None:
    matrix = symmetric(dense)
    assert c.is_valid_acyclic_coloring(dense, colors) and is_permutation_of_colors(colors)
    products = seeds(colors) @ matrix.toarray()
    np.testing.assert_array_equal(substituted(c.acyclic_recovery(dense, colors), products), matrix.data)


def check_both(dense: Any, rows: Any, columns: Any) -> None:
    matrix = with_values(dense)
    assert c.is_valid_bidirectional_coloring(dense, rows, columns)
    assert is_permutation_of_colors(rows) and is_permutation_of_colors(columns)
    from_row, color, element = c.bidirectional_recovery(dense, rows, columns)
    by_rows, by_columns = seeds(rows) @ matrix.toarray(), seeds(columns) @ matrix.toarray().T
    values = np.zeros(matrix.nnz)
    values[from_row] = by_rows[color[from_row], element[from_row]]
    values[~from_row] = by_columns[color[~from_row], element[~from_row]]
    np.testing.assert_array_equal(values, matrix.data)


@given(patterns(), st.sampled_from(ALL_ORDERS))
@settings(max_examples=150, deadline=None)
def test_columns_of_any_pattern(dense: Any, order: str) -> None:
    colors = c.column_coloring(dense, order=order)
    check_columns(dense, colors)
    assert count(colors) >= dense.sum(1).max(initial=0)
    by_rows = c.row_coloring(dense.T, order=order)
    np.testing.assert_array_equal(by_rows, colors)
    assert c.is_valid_row_coloring(dense.T, by_rows)
    color, column = c.row_recovery(dense.T, by_rows)
    matrix = with_values(dense.T)
    np.testing.assert_array_equal((seeds(by_rows) @ matrix.toarray())[color, column], matrix.data)


@given(patterns(), st.sampled_from(ALL_ORDERS))
@settings(max_examples=120, deadline=None)
def test_both_directions_of_any_pattern(dense: Any, order: str) -> None:
    rows, columns = c.bidirectional_coloring(dense, order=order)
    check_both(dense, rows, columns)
    if order == "best":
        one_sided = min(count(c.column_coloring(dense)), count(c.row_coloring(dense)))
        assert count(rows) + count(columns) <= one_sided


@given(symmetric_patterns(), st.sampled_from(ALL_ORDERS))
@settings(max_examples=150, deadline=None)
def test_stars_of_any_pattern(dense: Any, order: str) -> None:
    colors = c.star_coloring(dense, order=order)
    check_stars(dense, colors)
    if order == "best":
        assert count(colors) <= count(c.column_coloring(dense))


@given(symmetric_patterns(), st.sampled_from(ALL_ORDERS))
@settings(max_examples=150, deadline=None)
def test_acyclic_colorings_of_any_pattern(dense: Any, order: str) -> None:
    colors = c.acyclic_coloring(dense, order=order)
    check_acyclic(dense, colors)
    assert ((colors >= 0) == dense.any(0)).all()


@given(symmetric_patterns(), st.integers(0, 2**31), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_colorings_at_random_are_refused_or_give_all_entries(dense: Any, seed: int, k: int) -> None:
    n = len(dense)
    colors = np.random.default_rng(seed).integers(-1, k, n)
    products = seeds(colors) @ symmetric(dense).toarray()
    for valid, recovery in (
        (c.is_valid_star_coloring(dense, colors), c.star_recovery),
        (c.is_valid_acyclic_coloring(dense, colors), c.acyclic_recovery),
    ):
        if not valid:
            with pytest.raises(ValueError, match="colour"):
                recovery(dense, colors)
        elif recovery is c.star_recovery:
            color, row = c.star_recovery(dense, colors)
            np.testing.assert_array_equal(products[color, row], symmetric(dense).data)
        else:
            np.testing.assert_array_equal(
                substituted(c.acyclic_recovery(dense, colors), products), symmetric(dense).data
            )


@given(symmetric_patterns(), st.integers(0, 2**31), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_stars_by_the_definition(dense: Any, seed: int, k: int) -> None:
    """With a full diagonal: neighbours differ, and no path of four vertices has two colours."""
    np.fill_diagonal(dense, True)
    n = len(dense)
    colors = np.random.default_rng(seed).integers(0, k, n)
    near = [[j for j in range(n) if dense[i, j] and j != i] for i in range(n)]
    by_hand = all(colors[i] != colors[j] for i in range(n) for j in near[i]) and not any(
        colors[i] == colors[q] and colors[j] == colors[p]
        for i in range(n) for j in near[i] for q in near[j] if q != i for p in near[q] if p not in (i, j)
    )  # fmt: skip
    assert c.is_valid_star_coloring(dense, colors) == by_hand


# Numbers of colours that are known to be enough


@pytest.mark.parametrize("n", [1, 2, 3, 4, 30, 1001])
def test_a_tridiagonal_matrix_needs_three(n: int) -> None:
    a = band(n, 1)
    assert count(c.column_coloring(a)) == count(c.row_coloring(a)) == min(n, 3)
    assert count(c.star_coloring(a)) == (min(n, 3) if n > 3 else min(n, 2))  # a path of three vertices is a star
    assert count(c.acyclic_coloring(a)) == min(n, 2)


@pytest.mark.parametrize("b", [1, 2, 5, 10])
def test_bands(b: int) -> None:
    a = band(200, b)
    assert count(c.column_coloring(a)) == 2 * b + 1
    assert count(c.star_coloring(a)) <= 2 * b + 1
    assert count(c.acyclic_coloring(a)) == b + 1


def test_an_arrow_needs_three_in_two_directions_and_two_as_a_hessian() -> None:
    a = arrow(50)
    rows, columns = c.bidirectional_coloring(a)
    check_both(a, rows, columns)
    assert count(rows) + count(columns) == 3
    assert count(c.column_coloring(a)) == count(c.row_coloring(a)) == 50
    assert count(c.star_coloring(a)) == count(c.acyclic_coloring(a)) == 2


def test_several_full_rows_and_columns() -> None:
    a = np.eye(60, dtype=bool)
    a[:3] = a[:, 40:44] = True
    rows, columns = c.bidirectional_coloring(a)
    check_both(a, rows, columns)
    assert count(rows) + count(columns) <= 3 + 4 + 1


def test_products_with_rows_may_cost_more() -> None:
    a = np.eye(60, dtype=bool)
    a[:3] = True
    wide = np.ones((2, 3))
    for cost, rows, columns in ((1.5, 3, 1), (15, 3, 1), (25, 0, 60)):
        found = c.bidirectional_coloring(a, row_cost=cost)
        check_both(a, *found)
        assert (count(found[0]), count(found[1])) == (rows, columns)
    assert [count(x) for x in c.bidirectional_coloring(wide)] == [2, 0]
    assert [count(x) for x in c.bidirectional_coloring(wide, row_cost=2)] == [0, 3]


@pytest.mark.parametrize("shape", [(7, 9), (10, 10), (1, 12), (31, 4)])
@pytest.mark.parametrize("told", [True, False])
def test_the_five_point_stencil_needs_five(shape: tuple[int, int], told: bool) -> None:
    a = grid(*shape)
    colors = c.column_coloring(a, shape=shape if told else None)
    assert count(colors) == np.diff(a.indptr).max()
    check_columns(a.toarray(), colors)


@pytest.mark.parametrize("told", [True, False])
def test_a_periodic_stencil(told: bool) -> None:
    shape = (10, 15)
    colors = c.column_coloring(grid(*shape, periodic=True), shape=shape if told else None)
    assert count(colors) == 5
    # Where the period does not fit, there are a few more at the seam, as a greedy colouring has everywhere.
    odd = grid(11, 13, periodic=True)
    assert 5 <= count(c.column_coloring(odd, shape=(11, 13))) <= count(c.column_coloring(odd, order="natural"))


def test_other_stencils_need_as_many_colors_as_points() -> None:
    line = band(9, 1)
    nine, twenty_seven = sp.kron(line, line), sp.kron(line, sp.kron(line, line))
    seven = sp.kron(grid(6, 7), np.eye(5)) + sp.kron(np.eye(42), band(5, 1).toarray())
    assert count(c.column_coloring(nine)) == 9
    assert count(c.column_coloring(twenty_seven)) == 27
    assert count(c.column_coloring(seven)) == 7
    # Several fields on one grid that depend on one another at the same place, in one array and in two.
    two = sp.block_array([[grid(12, 12, True), np.eye(144)], [np.eye(144), grid(12, 12, True)]])
    for shape in (None, (2, 12, 12), [(12, 12), (12, 12)]):
        assert count(c.column_coloring(two, shape=shape)) == 6


def test_a_convolution_with_channels() -> None:
    height, width, channels = 6, 7, 3
    near = sp.kron(band(height, 1), sp.kron(band(width, 1), np.ones((2, channels))))
    colors = c.column_coloring(near, shape=(height, width, channels))
    assert count(colors) == 9 * channels
    check_columns(near.toarray() != 0, colors)


@pytest.mark.parametrize("b", [1, 2, 5])
def test_blocks_on_the_diagonal_need_as_many_as_a_block_has_columns(b: int) -> None:
    a = sp.csr_array(sp.kron(np.eye(8), np.ones((b, b))))
    assert count(c.column_coloring(a)) == count(c.star_coloring(a)) == count(c.acyclic_coloring(a)) == b


def test_full_and_triangular_matrices_need_all() -> None:
    assert c.column_coloring(np.ones((4, 7))).tolist() == list(range(7))
    assert c.row_coloring(np.ones((1, 7))).tolist() == [0]
    assert count(c.column_coloring(np.tril(np.ones((9, 9))))) == 9
    assert count(c.star_coloring(np.ones((6, 6)))) == count(c.acyclic_coloring(np.ones((6, 6)))) == 6


def test_a_bilinear_form_needs_one() -> None:
    """There is nothing on the diagonal, and neighbours may have one colour; or the columns on one side may go without."""
    a = np.kron([[0, 1], [1, 0]], np.eye(5))
    assert count(c.star_coloring(a)) == count(c.acyclic_coloring(a)) == 1
    full = np.kron([[0, 1], [1, 0]], np.ones((5, 5)))
    full[:2, 5:] = full[5:, :2] = 0
    assert count(c.star_coloring(full)) == 3


def test_a_long_path_needs_few_rounds_of_substitution() -> None:
    n = 5000
    recovery = c.acyclic_recovery(band(n, 1), np.arange(n) % 2)
    assert len(recovery.rounds) == 13
    check_acyclic(band(n, 1), np.arange(n) % 2)


def test_the_best_order_is_never_worse() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        a = rng.uniform(size=(40, 40)) < 0.08
        s = a | a.T | np.eye(40, dtype=bool)
        for coloring, pattern in (
            (c.column_coloring, a),
            (c.row_coloring, a),
            (c.star_coloring, s),
            (c.acyclic_coloring, s),
        ):
            assert count(coloring(pattern)) <= min(count(coloring(pattern, order=order)) for order in ORDERS)


# Orders


def test_orders_visit_every_vertex_once() -> None:
    s = np.random.default_rng(2).uniform(size=(30, 30)) < 0.1
    entries = Entries(s | s.T)
    for make in (entry_graph, column_graph):
        graph = Graph(entries, make)
        assert all(sorted(graph.order(order)) == list(range(30)) for order in ORDERS)


def test_what_the_orders_are() -> None:
    near = (np.random.default_rng(3).uniform(size=(25, 25)) < 0.2) & ~np.eye(25, dtype=bool)
    near |= near.T
    graph = Graph(Entries(near), entry_graph)
    degrees = near.sum(1)
    assert (np.diff(degrees[graph.order("largest_first")]) <= 0).all()
    last = graph.order("smallest_last")
    for k in range(25):
        left = last[: k + 1]
        inside = near[np.ix_(left, left)].sum(1)
        assert inside[-1] == inside.min()
    incidence = graph.order("incidence_degree")
    assert degrees[incidence[0]] == degrees.max()
    for k in range(1, 25):
        before = near[incidence[k:]][:, incidence[:k]].sum(1)
        assert before[0] == before.max()


def test_an_order_by_hand() -> None:
    a = band(6, 1)
    np.testing.assert_array_equal(c.column_coloring(a, order=[5, 4, 3, 2, 1, 0]), [2, 1, 0, 2, 1, 0])
    check_stars(a.toarray(), c.star_coloring(a, order=[5, 4, 3, 2, 1, 0]))


# Patterns of every kind, and what is refused


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (4, 2)])
def test_no_entries(shape: tuple[int, int]) -> None:
    a = np.zeros(shape, bool)
    for order in ALL_ORDERS:
        assert c.column_coloring(a, order=order).tolist() == [-1] * shape[1]
        assert c.row_coloring(a, order=order).tolist() == [-1] * shape[0]
        rows, columns = c.bidirectional_coloring(a, order=order)
        assert rows.tolist() == [-1] * shape[0] and columns.tolist() == [-1] * shape[1]
        if shape[0] == shape[1]:
            assert (
                c.star_coloring(a, order=order).tolist()
                == c.acyclic_coloring(a, order=order).tolist()
                == [-1] * shape[0]
            )
    assert [len(x) for x in c.column_recovery(a, [-1] * shape[1])] == [0, 0]


def test_one_column_one_row_and_one_entry() -> None:
    assert c.column_coloring(np.ones((5, 1))).tolist() == [0]
    assert c.column_coloring(np.ones((1, 3))).tolist() == [0, 1, 2]
    rows, columns = c.bidirectional_coloring(np.ones((1, 3)))
    assert rows.tolist() == [0] and columns.tolist() == [-1, -1, -1]
    for coloring in (c.star_coloring, c.acyclic_coloring):
        assert coloring([[1]]).tolist() == [0]
        assert coloring([[0, 0], [0, 1]]).tolist() == [-1, 0]


def test_forms_of_a_pattern_agree() -> None:
    dense = np.random.default_rng(4).uniform(size=(20, 20)) < 0.15
    wanted = c.column_coloring(dense)
    for form in (sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.lil_array, sp.bsr_array):
        np.testing.assert_array_equal(c.column_coloring(form(dense)), wanted)
    shuffled = sp.csr_array(dense)
    for i in range(20):
        part = slice(shuffled.indptr[i], shuffled.indptr[i + 1])
        shuffled.indices[part] = shuffled.indices[part][::-1].copy()
    shuffled.has_sorted_indices = False
    np.testing.assert_array_equal(c.column_coloring(shuffled), wanted)

    np.testing.assert_array_equal(c.column_coloring(SparsityPattern(dense)), wanted)
    # An entry that is stored counts, even if it is zero.
    assert count(c.column_coloring(sp.csr_array((np.zeros(2), ([0, 0], [0, 1])), shape=(1, 2)))) == 2


def test_the_first_entry_without_its_mirror_image_is_named() -> None:
    a = np.eye(4)
    a[1, 3] = a[2, 0] = 1
    for function in (c.star_coloring, c.acyclic_coloring):
        with pytest.raises(ValueError, match=r"has the entry \(1, 3\) and not \(3, 1\), at .*test_coloring"):
            function(a)
        with pytest.raises(ValueError, match=r"symmetric pattern, got one of shape \(2, 3\)"):
            function(np.ones((2, 3)))
    for check in (c.star_recovery, c.acyclic_recovery, c.is_valid_star_coloring, c.is_valid_acyclic_coloring):
        with pytest.raises(ValueError, match=r"\(1, 3\) and not \(3, 1\)"):
            check(a, [0, 1, 2, 3])


def test_colorings_that_do_not_fit_are_refused() -> None:
    full = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"the first is \(0, 0\): its column has no colour, or another"):
        c.column_recovery(full, [0, 0])
    with pytest.raises(ValueError, match=r"1 entries .* the first is \(0, 1\)"):
        c.column_recovery([[1, 1]], [0, -1])
    with pytest.raises(ValueError, match="another row of the same colour"):
        c.row_recovery(full, [0, 0])
    with pytest.raises(ValueError, match="cannot be recovered"):
        c.bidirectional_recovery(full, [-1, -1], [0, 0])
    with pytest.raises(ValueError, match="cycle"):
        c.acyclic_recovery(grid(2, 2), [0, 1, 1, 0])
    with pytest.raises(ValueError, match=r"colours of columns: 2 are needed, got an array of shape \(3,\)"):
        c.column_recovery(full, [0, 1, 2])
    with pytest.raises(TypeError, match="integers, got dtype float64"):
        c.is_valid_column_coloring(full, [0.0, 1.0])
    with pytest.raises(ValueError, match="at least -1"):
        c.star_recovery(full, [-2, 0])


def test_other_bad_inputs() -> None:
    a = np.eye(4)
    for function in (c.column_coloring, c.row_coloring, c.star_coloring, c.acyclic_coloring, c.bidirectional_coloring):
        with pytest.raises(ValueError, match="natural, largest_first, smallest_last, incidence_degree, best"):
            function(a, order="fewest")
    with pytest.raises(ValueError, match="a permutation of the 4 vertices"):
        c.column_coloring(a, order=[0, 1, 2, 2])
    for pattern in (np.ones(3), "pattern", None, np.ones((2, 2, 2))):
        with pytest.raises(TypeError, match="a pattern is made of"):
            c.column_coloring(pattern)
    with pytest.raises(ValueError, match="an array of 4 elements"):
        c.column_coloring(band(4, 1), shape=(3, 2))
