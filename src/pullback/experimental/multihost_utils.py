"""What processes of one program do together. There is one process, which has nobody to wait for: the
functions give what JAX's give with one.

>>> process_allgather(np.arange(3))
array([[0, 1, 2]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.tree import tree_flatten, tree_map
from pullback.lax.placing import with_sharding_constraint
from pullback.transfers import device_get, device_put
from pullback.xla.meshes import Mesh, NamedSharding


def process_allgather(in_tree: Any, tiled: bool = False) -> Any:
    """The arrays that each process has of the tree, as NumPy arrays: stacked along a new first axis,
    or one after the other along the first with `tiled`.

    >>> process_allgather({"loss": np.float32(2)}, tiled=False)
    {'loss': array([2.], dtype=float32)}
    """
    arrays = tree_map(np.asarray, device_get(in_tree))
    return arrays if tiled else tree_map(lambda x: x[None], arrays)


def broadcast_one_to_all(in_tree: Any, is_source: bool | None = None) -> Any:
    """The tree that the source has (process 0, if none says `is_source`), as NumPy arrays.

    >>> broadcast_one_to_all([1.0, np.arange(2)])
    [array(1.), array([0, 1])]
    """
    del is_source
    return tree_map(np.asarray, device_get(in_tree))


def sync_global_devices(name: str) -> None:
    """Wait until every process has come to the barrier `name`: with one process, not at all.

    >>> sync_global_devices("checkpoint")
    """


def assert_equal(in_tree: Any, fail_message: str = "") -> None:
    """Raises AssertionError, with `fail_message`, unless every process has the same tree: with one
    process, never.

    >>> assert_equal({"step": 3}, "processes are at different steps")
    """


def reached_preemption_sync_point(step_id: int) -> bool:
    """Whether the machine is about to be taken away, and `step_id` is the step at which to save: never
    here, because nobody says so.

    >>> reached_preemption_sync_point(3)
    False
    """
    return False


def host_local_array_to_global_array(local_inputs: Any, global_mesh: Mesh, pspecs: Any) -> Any:
    """The arrays of the tree that each process has a part of, laid out over the mesh as `pspecs` say
    (one, or a tree that is a prefix of the arrays').

    Raises NotImplementedError for meshes of several devices, ValueError for specifications that do
    not fit.

    >>> import pullback as pb
    >>> host_local_array_to_global_array(np.ones(2), pb.make_mesh((1,), ("x",)), pb.P("x"))
    Array([1., 1.], dtype=float32)
    """
    return device_put(local_inputs, _shardings(global_mesh, pspecs))


def global_array_to_host_local_array(global_inputs: Any, global_mesh: Mesh, pspecs: Any) -> Any:
    """This process's part of arrays that are laid out over a mesh: all of them. Arguments and errors
    are those of `host_local_array_to_global_array`.

    >>> import pullback as pb
    >>> global_array_to_host_local_array(pb.numpy.ones(2), pb.make_mesh((1,), ("x",)), pb.P("x"))
    Array([1., 1.], dtype=float32)
    """
    return with_sharding_constraint(global_inputs, _shardings(global_mesh, pspecs))


def _shardings(mesh: Mesh, pspecs: Any) -> Any:
    specs, tree = tree_flatten(pspecs)
    return tree.unflatten([NamedSharding(mesh, spec) for spec in specs])


__all__ = [
    "assert_equal",
    "broadcast_one_to_all",
    "global_array_to_host_local_array",
    "host_local_array_to_global_array",
    "process_allgather",
    "reached_preemption_sync_point",
    "sync_global_devices",
]
