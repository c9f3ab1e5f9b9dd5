"""Rematerialization: `checkpoint`, names and decisions for its policies, and what derivatives
store."""

from pullback import checkpoint_policies as checkpoint_policies
from pullback.transforms.checkpoint import checkpoint as checkpoint
from pullback.transforms.checkpoint import checkpoint as remat
from pullback.transforms.checkpoint import checkpoint_name as checkpoint_name
from pullback.transforms.checkpoint import name_p as name_p
from pullback.transforms.policies import Offloadable as Offloadable
from pullback.transforms.policies import Recompute as Recompute
from pullback.transforms.policies import Saveable as Saveable
from pullback.transforms.residuals import Residual as Residual
from pullback.transforms.residuals import print_saved_residuals as print_saved_residuals
from pullback.transforms.residuals import saved_residuals as saved_residuals

__all__ = [
    "Offloadable", "Recompute", "Residual", "Saveable", "checkpoint", "checkpoint_name", "checkpoint_policies", "name_p",
    "print_saved_residuals", "remat", "saved_residuals",
]  # fmt: skip
