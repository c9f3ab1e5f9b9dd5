"""Colourings: how few products with a sparse Jacobian or Hessian give all of its entries.

    pattern = scipy.sparse.csr_array(...)          # where the matrix is not zero
    colors = column_coloring(pattern)              # columns of one colour are added up
    color, row = column_recovery(pattern, colors)
    values = products[color, row]                  # products[c]: the matrix times the sum of the columns' unit vectors

| function | for | what may have one colour |
|---|---|---|
| `column_coloring` | Jacobians, by JVPs | columns that have no row in common |
| `row_coloring` | Jacobians, by VJPs | rows that have no column in common |
| `bidirectional_coloring` | Jacobians, by both | as above, for the entries that are read from a column's, or a row's, product |
| `star_coloring` | Hessians, read directly | columns, such that an entry or its mirror image can be read |
| `acyclic_coloring` | Hessians, by substitution | columns, such that entries between two colours form no cycle |

Colours are 0, 1, ..., as an integer array; −1 is for columns (rows) that need no product. Each function has its `..._recovery`, which
says where the entries are, and an `is_valid_...` in `recovery`.

Sources: Gebremedhin, Manne & Pothen, "What color is your Jacobian?" (SIAM Review 47, 2005); for two directions Coleman & Verma, "The
efficient computation of sparse Jacobian matrices using automatic differentiation" (SIAM J. Sci. Comput. 19, 1998).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pullback.core.errors import user_api
from pullback.derivatives.coloring.choice import acyclic_colors, bidirectional_colors, column_colors, star_colors
from pullback.derivatives.coloring.recovery import (
    AcyclicRecovery,
    BidirectionalRecovery,
    Entries,
    acyclic_recovery,
    bidirectional_recovery,
    column_recovery,
    is_valid_acyclic_coloring,
    is_valid_bidirectional_coloring,
    is_valid_column_coloring,
    is_valid_row_coloring,
    is_valid_star_coloring,
    row_recovery,
    star_recovery,
)

if TYPE_CHECKING:
    from pullback.core.names import NumPyArray
    from pullback.derivatives.coloring.lattices import Shapes
    from pullback.derivatives.coloring.vertex_orders import Order
    from pullback.derivatives.coloring.recovery import PatternLike

__all__ = [
    "column_coloring", "row_coloring", "bidirectional_coloring", "star_coloring", "acyclic_coloring",
    "column_recovery", "row_recovery", "bidirectional_recovery", "star_recovery", "acyclic_recovery",
    "BidirectionalRecovery", "AcyclicRecovery",
    "is_valid_column_coloring", "is_valid_row_coloring", "is_valid_bidirectional_coloring", "is_valid_star_coloring",
    "is_valid_acyclic_coloring",
]  # fmt: skip


@user_api
def column_coloring(pattern: PatternLike, *, order: Order = "best", shape: Shapes = None) -> NumPyArray:
    """A colour for each column: columns of one colour have no row in common.

    Args:
      pattern: where the matrix is not zero: a matrix of `scipy.sparse` (whose stored zeros count), a `SparsityPattern`, or a dense one.
      order: in which the columns are coloured, each with the first colour that is free: "natural", "largest_first", "smallest_last",
        "incidence_degree", or a permutation. "best" keeps the fewest colours of several orders and of lattices (see below).
      shape: of the array whose elements the columns are, or a list of the shapes of several; it helps "best" to see structure.

    Lattices are colourings such as j mod 3 for a tridiagonal matrix, or (i + 2j) mod 5 for a five-point stencil. They are found for
    bands, grids, blocks and convolutions, where they need no more colours than the fullest row has entries.

    Returns: an integer array with the colours 0, 1, ..., and −1 for columns without entries.

    >>> import numpy as np
    >>> tridiagonal = np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-1)
    >>> column_coloring(tridiagonal)
    array([0, 1, 2, 0, 1, 2])
    """
    return column_colors(Entries(pattern), order, shape)


@user_api
def row_coloring(pattern: PatternLike, *, order: Order = "best", shape: Shapes = None) -> NumPyArray:
    """A colour for each row: rows of one colour have no column in common. It is `column_coloring` of the transpose.

    Args:
      pattern, order: as for `column_coloring`.
      shape: of the array whose elements the rows are, or a list of the shapes of several.

    >>> import numpy as np
    >>> row_coloring(np.ones((1, 5)))
    array([0])
    """
    return column_colors(Entries(pattern).transpose(), order, shape)


@user_api
def bidirectional_coloring(
    pattern: PatternLike,
    *,
    order: Order = "best",
    shape: Shapes = None,
    row_shape: Shapes = None,
    row_cost: float = 1.0,
) -> tuple[NumPyArray, NumPyArray]:
    """Colours for rows and for columns, together as few as possible, such that each entry can be read from one product or another.

    An entry (i, j) can be read from the product with the columns of j's colour if no other column of that colour has an entry in row
    i, and from the product with the rows of i's colour if no other row of that colour has an entry in column j. Matrices with some
    full rows and some full columns need few products in two directions, and many in either alone.

    Args:
      pattern: as for `column_coloring`.
      order: the order of columns and of rows: a name. "best" compares several, and also colourings of columns alone and of rows alone.
      shape, row_shape: of the arrays whose elements the columns and the rows are, as for `column_coloring`.
      row_cost: what a product with rows (a VJP) costs, where one with columns (a JVP) costs 1.

    Returns: (colours of rows, colours of columns); −1 for those of which no product is needed.

    >>> import numpy as np
    >>> arrow = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    >>> bidirectional_coloring(arrow)
    (array([ 0, -1, -1, -1]), array([0, 1, 1, 1]))
    """
    return bidirectional_colors(Entries(pattern), order, shape, row_shape, row_cost)


@user_api
def star_coloring(pattern: PatternLike, *, order: Order = "best", shape: Shapes = None) -> NumPyArray:
    """A colour for each column of a symmetric matrix, such that each entry or its mirror image can be read from a product.

    Neighbours differ, and each path of four vertices has at least three colours, in the graph in which i and j are neighbours if
    (i, j) is an entry (Coleman & Moré 1984); the same of `is_valid_star_coloring` says when entries can be read. ValueError if the
    pattern is not symmetric.

    Args:
      pattern, order, shape: as for `column_coloring`; the graph whose degrees make the orders is that of the matrix.

    Returns: an integer array with the colours 0, 1, ..., and −1 for columns of which no product is needed.

    >>> import numpy as np
    >>> arrow = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    >>> star_coloring(arrow)
    array([0, 1, 1, 1])
    """
    return star_colors(Entries(pattern), order, shape)


@user_api
def acyclic_coloring(pattern: PatternLike, *, order: Order = "best", shape: Shapes = None) -> NumPyArray:
    """A colour for each column of a symmetric matrix, such that its entries follow from products by substitution.

    Neighbours differ, and the entries between two colours form no cycle (Coleman & Cai 1986). There are at most as many colours as in
    a star colouring, and a band of width 2b + 1 needs b + 1; but entries are alternating sums along trees, with the rounding errors of
    such sums. ValueError if the pattern is not symmetric.

    Args:
      pattern, order, shape: as for `star_coloring`.

    Returns: an integer array with the colours 0, 1, ..., and −1 for columns without entries.

    >>> import numpy as np
    >>> acyclic_coloring(np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-1))
    array([0, 1, 0, 1, 0, 1])
    """
    return acyclic_colors(Entries(pattern), order, shape)
