"""Rematerialization: `checkpoint`, and names for its policies."""

from pullback.transforms.checkpoint import checkpoint as checkpoint
from pullback.transforms.checkpoint import checkpoint as remat
from pullback.transforms.checkpoint import checkpoint_name as checkpoint_name
from pullback.transforms.checkpoint import name_p as name_p

__all__ = ["checkpoint", "checkpoint_name", "name_p", "remat"]
