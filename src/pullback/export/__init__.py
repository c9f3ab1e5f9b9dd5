"""Compiled functions as artifacts that other processes load and call (see `pullback.export.exported`),
for arrays of given shapes, or of all shapes with symbolic dimensions (see `pullback.core.dimensions`)."""

from pullback.core.symbolic_shapes import SymbolicScope as SymbolicScope
from pullback.core.dimensions import dim_bounds as symbolic_dim_bounds
from pullback.core.symbolic_shapes import symbolic_shape as symbolic_shape
from pullback.export.artifact import register_namedtuple_serialization as register_namedtuple_serialization
from pullback.export.artifact import register_pytree_node_serialization as register_pytree_node_serialization
from pullback.export.exported import DisabledSafetyCheck as DisabledSafetyCheck
from pullback.export.exported import Exported as Exported
from pullback.export.exported import default_export_platform as default_export_platform
from pullback.export.exported import deserialize as deserialize
from pullback.export.exported import export as export
from pullback.export.specifications import is_symbolic_dim as is_symbolic_dim
from pullback.export.specifications import symbolic_args_specs as symbolic_args_specs

#: Versions of the calling convention (see `pullback.export.artifact`) that `deserialize` reads.
minimum_supported_calling_convention_version = 1
maximum_supported_calling_convention_version = Exported.calling_convention_version
