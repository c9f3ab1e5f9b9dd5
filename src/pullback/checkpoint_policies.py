"""What a checkpointed function stores all the same (see `pullback.transforms.policies`)."""

from pullback.transforms.policies import dots_saveable as checkpoint_dots
from pullback.transforms.policies import dots_saveable as dots_saveable
from pullback.transforms.policies import dots_with_no_batch_dims_saveable as checkpoint_dots_with_no_batch_dims
from pullback.transforms.policies import dots_with_no_batch_dims_saveable as dots_with_no_batch_dims_saveable
from pullback.transforms.policies import everything_saveable as everything_saveable
from pullback.transforms.policies import nothing_saveable as nothing_saveable
from pullback.transforms.policies import offload_dot_with_no_batch_dims as offload_dot_with_no_batch_dims
from pullback.transforms.policies import save_and_offload_only_these_names as save_and_offload_only_these_names
from pullback.transforms.policies import save_any_names_but_these as save_any_names_but_these
from pullback.transforms.policies import save_anything_except_these_names as save_anything_except_these_names
from pullback.transforms.policies import save_from_both_policies as save_from_both_policies
from pullback.transforms.policies import save_only_these_names as save_only_these_names

__all__ = [
    "checkpoint_dots", "checkpoint_dots_with_no_batch_dims", "dots_saveable", "dots_with_no_batch_dims_saveable", "everything_saveable",
    "nothing_saveable", "offload_dot_with_no_batch_dims", "save_and_offload_only_these_names", "save_any_names_but_these",
    "save_anything_except_these_names", "save_from_both_policies", "save_only_these_names",
]  # fmt: skip
