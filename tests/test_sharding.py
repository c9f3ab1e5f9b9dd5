"""`pullback.sharding`: meshes and shardings say what they will say of many devices, and put arrays on one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.sharding import (
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
    get_abstract_mesh,
    get_mesh,
    make_mesh,
    reshard,
    set_mesh,
    use_abstract_mesh,
)
from pullback.xla.placement import Device

P = pb.P
#: Devices for descriptions: that there are four is all that is asked of them.
FOUR = [Device("cpu", i) for i in range(4)]
MESH = Mesh(np.array(FOUR).reshape(2, 2), ("a", "b"))
HERE = pb.devices("cpu")[0]
ONE = make_mesh((1,), ("a",), devices=[HERE])


def test_partition_specs() -> None:
    assert P is PartitionSpec
    assert P("a") != P("a", None)
    assert P(("a",)) == P("a")
    assert hash(P(("a",))) == hash(P("a"))
    assert P("a") != ("a",)
    assert repr(P("a", None)) == "P('a', None)"
    assert repr(P("a")) == "P('a',)"
    assert repr(P(("a", "b"), P.UNCONSTRAINED)) == "P(('a', 'b'), UNCONSTRAINED)"
    assert repr(P()) == "P()"
    assert P("a") + P("b") == P("a", "b") == P("a") + ("b",)
    assert tuple(P("a", None)) == ("a", None)
    assert P("a", "b").index("b") == 1
    assert P("a", unreduced={"b"}).update(partitions=("c",)) == P("c", unreduced={"b"})
    with pytest.raises(ValueError, match="unreduced"):
        P("a", unreduced={"a"})


def test_meshes() -> None:
    assert (MESH.size, MESH.axis_names, MESH.axis_sizes, dict(MESH.shape)) == (4, ("a", "b"), (2, 2), {"a": 2, "b": 2})
    assert MESH.device_ids.tolist() == [[0, 1], [2, 3]]
    assert MESH.axis_types == (AxisType.Auto, AxisType.Auto)
    assert Mesh(np.array(FOUR).reshape(2, 2), ("a", "b")) == MESH
    assert MESH.abstract_mesh == AbstractMesh((2, 2), ("a", "b"))
    assert AbstractMesh((2, 2), ("a", "b")).update_axis_types({"a": AxisType.Manual}).manual_axes == ("a",)
    assert ONE.axis_types == (AxisType.Explicit,)
    assert make_mesh((2, 2), ("a", "b"), MESH.axis_types, devices=FOUR) == MESH
    for wrong, error in (
        (lambda: Mesh(np.array(FOUR), ("a", "b")), "a name for each axis"),
        (lambda: Mesh(np.array(FOUR).reshape(2, 2), ("a", "a")), "must differ"),
        (lambda: make_mesh((8,), ("a",), devices=FOUR), "takes 8 devices, and there are 4"),
        (lambda: AbstractMesh((2,), ("a", "b")), "a name for each axis"),
    ):
        with pytest.raises(ValueError, match=error):
            wrong()
    with pytest.raises(TypeError, match="not a device"):
        Mesh(np.array([1]), ("a",))


def test_the_mesh_of_the_program() -> None:
    assert get_mesh().empty
    assert get_abstract_mesh().empty
    with set_mesh(ONE):
        assert get_mesh() is ONE
        assert get_abstract_mesh().axis_names == ("a",)
        with MESH:
            assert get_mesh() is MESH
        with use_abstract_mesh(MESH.abstract_mesh):
            assert get_abstract_mesh().size == 4
        assert pb.device_put(np.ones(2), P("a")).device is HERE
        assert pb.lax.with_sharding_constraint(jnp.ones(2), P("a")).device is HERE
    assert get_mesh().empty
    set_mesh(ONE)
    assert get_mesh() is ONE
    set_mesh(None)
    assert get_mesh().empty


def test_which_part_a_device_has() -> None:
    over = NamedSharding(MESH, P("a", None))
    assert over.shard_shape((4, 3)) == (2, 3)
    everything = slice(None)
    assert (
        list(over.devices_indices_map((4, 3)).values())
        == [(slice(0, 2), everything)] * 2 + [(slice(2, 4), everything)] * 2
    )
    both = NamedSharding(MESH, P(("b", "a")))
    parts = [index[0].start for index in both.devices_indices_map((4,)).values()]
    assert parts == [0, 2, 1, 3]
    assert over.is_equivalent_to(NamedSharding(MESH, P("a")), 2)
    assert not over.is_equivalent_to(both, 2)
    assert over != NamedSharding(MESH, P("a"))
    assert over.device_set == set(FOUR)
    assert not over.is_fully_replicated
    assert NamedSharding(MESH, P()).is_fully_replicated
    assert over.replicated_axes == {"b"}
    assert SingleDeviceSharding(HERE).is_equivalent_to(NamedSharding(ONE, P("a")), 1)
    assert isinstance(over, Sharding)
    with pytest.raises(ValueError, match="no multiple"):
        over.shard_shape((3, 3))
    with pytest.raises(ValueError, match="not among the axes"):
        NamedSharding(MESH, P("c"))
    with pytest.raises(ValueError, match="divides two axes"):
        NamedSharding(MESH, P("a", "a"))
    with pytest.raises(TypeError, match="must be a PartitionSpec"):
        NamedSharding(MESH, ("a",))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a device"):
        SingleDeviceSharding(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="memory_kind"):
        SingleDeviceSharding(HERE).with_memory_kind("pinned_host")


def test_arrays_are_put_on_the_one_device() -> None:
    x = jnp.ones((4, 3))
    named = NamedSharding(ONE, P("a", None))
    assert x.sharding == SingleDeviceSharding(HERE)
    for sharding in (named, SingleDeviceSharding(HERE)):
        y = pb.device_put(x, sharding)
        assert y.sharding.is_equivalent_to(sharding, 2)
        assert jnp.zeros((4, 3), device=sharding).sharding == SingleDeviceSharding(HERE)
    tree = pb.device_put({"u": x, "v": [1.0, x]}, {"u": named, "v": None})
    assert tree["u"].shape == (4, 3)
    assert reshard([x], named)[0].tolist() == x.tolist()
    assert pb.ShapeDtypeStruct.like(x).sharding == x.sharding
    assert pb.ShapeDtypeStruct.like(2.0).weak_type
    with pytest.raises(NotImplementedError, match="has 4"):
        pb.device_put(x, NamedSharding(MESH, P("a")))
    with pytest.raises(ValueError, match="no multiple"):
        pb.device_put(x[:3], NamedSharding(MESH, P("a")))
    with pytest.raises(ValueError, match="entries for 3 axes"):
        pb.device_put(x, NamedSharding(ONE, P(None, None, "a")))
    with pytest.raises(ValueError, match="none is set"):
        pb.device_put(x, P("a"))
    with pytest.raises(ValueError, match="no sharding"):
        pb.device_put(x, "cpu")
    with pytest.raises(TypeError, match="NamedSharding or a PartitionSpec"):
        reshard(x, 3)


def test_constraints_in_programs() -> None:
    named = NamedSharding(ONE, P("a"))

    def f(x: Any) -> Any:
        y = pb.lax.with_sharding_constraint({"y": x * x, "z": x}, {"y": named, "z": None})
        return jnp.sum(y["y"] * y["z"])

    x = jnp.arange(3.0)
    for g in (pb.grad(f), pb.jit(pb.grad(f)), pb.jacfwd(f)):
        assert g(x).tolist() == [0.0, 3.0, 12.0]
    assert pb.vmap(f)(jnp.stack([x, x])).tolist() == [9.0, 9.0]
    with pytest.raises(RuntimeError, match="none is set"):
        pb.lax.with_sharding_constraint(x, P("a"))
    with pytest.raises(TypeError, match="is no sharding"):
        pb.lax.with_sharding_constraint(x, 3)
    with pytest.raises(AttributeError, match="no sharding"):
        pb.jit(lambda x: x.sharding)(x)
