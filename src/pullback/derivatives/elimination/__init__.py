"""Jacobians by cross-country elimination: vertices of the linearized program, in any order.

Forward and reverse mode are two of the orders in which the chain rule can be applied. The linearized program is a
graph of arrays (`graph`) whose edges are local Jacobians (`local`), sums of structured blocks (`blocks`) with values
(`values`); eliminating a vertex multiplies the edges around it. `orders` chooses the order; `jacobians` has what users
call.
"""

from pullback.derivatives.elimination.jacobians import (
    elimination_jacobian,
    elimination_plan,
    jacobian_program,
    preaccumulate,
)
from pullback.derivatives.elimination.orders import EliminationPlan

__all__ = ["EliminationPlan", "elimination_jacobian", "elimination_plan", "jacobian_program", "preaccumulate"]
