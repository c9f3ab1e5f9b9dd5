"""Compiled functions as artifacts that other processes load and call (see
`pullback.transforms.export`)."""

from typing import Any as _Any

from pullback.transforms.artifact import register_namedtuple_serialization as register_namedtuple_serialization
from pullback.transforms.artifact import register_pytree_node_serialization as register_pytree_node_serialization
from pullback.transforms.export import DisabledSafetyCheck as DisabledSafetyCheck
from pullback.transforms.export import Exported as Exported
from pullback.transforms.export import default_export_platform as default_export_platform
from pullback.transforms.export import deserialize as deserialize
from pullback.transforms.export import export as export

#: Versions of the calling convention (see `pullback.transforms.artifact`) that `deserialize` reads.
minimum_supported_calling_convention_version = 1
maximum_supported_calling_convention_version = Exported.calling_convention_version


def _no_symbols(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"export.{name}: dimensions of exported functions are numbers; export the function once for each shape that is needed"
    )


class SymbolicScope:
    """A scope of symbolic dimensions. There are none: raises NotImplementedError."""

    def __init__(self, constraints_str: _Any = ()) -> None:
        raise _no_symbols("SymbolicScope")


def symbolic_shape(shape_spec: _Any, *, constraints: _Any = (), scope: _Any = None, like: _Any = None) -> _Any:
    """A shape with symbolic dimensions. There are none: raises NotImplementedError."""
    raise _no_symbols("symbolic_shape")


def symbolic_args_specs(args: _Any, shapes_specs: _Any, constraints: _Any = (), scope: _Any = None) -> _Any:
    """Arguments with symbolic shapes. There are none: raises NotImplementedError."""
    raise _no_symbols("symbolic_args_specs")


def is_symbolic_dim(p: _Any) -> bool:
    """Whether a dimension is symbolic: no dimension is."""
    return False
