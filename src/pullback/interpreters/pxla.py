"""Programs on several devices: what libraries look for here is in `pullback.sharding`.

`thread_resources.env.physical_mesh` is the mesh of the program, an empty one if none is set.
"""

from __future__ import annotations

from typing import Any

from pullback.xla.meshes import Mesh, get_mesh

#: For annotations: names of axes of meshes.
MeshAxisName = Any


class _Environment:
    """What the program is on. See the module's text."""

    @property
    def physical_mesh(self) -> Mesh:
        """The mesh of the program."""
        return get_mesh()

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return get_mesh().empty


class _Resources:
    """Holds `env`."""

    env = _Environment()


thread_resources = _Resources()

__all__ = ["MeshAxisName", "thread_resources"]
