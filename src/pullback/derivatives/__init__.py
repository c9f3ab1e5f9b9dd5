"""Derivatives beyond `grad`: linear maps, sparse Jacobians, elimination orders, Taylor mode, and their kin.

    from pullback import derivatives

    plan = derivatives.jacobian_plan(f, x)     # where the Jacobian is not zero, and how few products give it
    jacobian = plan.matrix(x)                  # a scipy.sparse matrix
    series = derivatives.taylor_coefficients(f, x, v, order=8)

This page is the namespace, name by name; each name's module is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

#: The module of each public name.
_MODULES = {
    name: module
    for module, names in {
        "maps": ["fisher_map", "gauss_newton_map", "hessian_map", "jacobian_map"],
        "products": ["fisher_product", "gauss_newton_product", "hessian_diagonal", "hvp", "vhp"],
        "trace_estimates": ["TraceEstimate", "divergence", "hessian_trace", "jacobian_trace", "trace_estimate"],
        "laplacians": ["LocalDerivatives", "laplacian", "value_grad_and_laplacian"],
        "taylor": ["directional_derivatives", "jet", "taylor_coefficients"],
        "sparsity_patterns.pattern": ["SparsityPattern"],
        "sparsity_patterns.detection": ["sparsity"],
        "coloring": [
            "acyclic_coloring", "bidirectional_coloring", "column_coloring", "row_coloring", "star_coloring",
        ],
        "plans": ["HessianPlan", "JacobianPlan", "hessian_plan", "jacobian_plan", "load_plan"],
        "elimination": ["EliminationPlan", "elimination_jacobian", "elimination_plan", "jacobian_program", "preaccumulate"],
        "costs": ["choose_mode", "derivative_cost"],
        "spaces": ["register_differentiable", "retract", "zero_tangent"],
        "manifolds": ["PositiveDefinite", "RigidMotion", "Rotation", "UnitQuaternion", "UnitVector"],
        "one_mode": ["differentiable_callback", "jvp_from_vjp", "vjp_from_jvp"],
        "safety": ["nan_safe_where"],
        "diagnosis": ["explain_gradient"],
        "diagnosis.report": ["GradientReport"],
    }.items()
    for name in names
}  # fmt: skip

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        found = globals()[name] = getattr(importlib.import_module(f"pullback.derivatives.{_MODULES[name]}"), name)
        return found
    raise AttributeError(f"module 'pullback.derivatives' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
