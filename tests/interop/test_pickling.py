"""What is public can be pickled, copied and shown."""

from __future__ import annotations

import copy
import importlib
import pickle
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import sharding

MODULES = [
    "pullback", "pullback.numpy", "pullback.numpy.linalg", "pullback.numpy.fft", "pullback.lax", "pullback.lax.linalg", "pullback.nn",
    "pullback.random", "pullback.tree", "pullback.tree_util", "pullback.debug", "pullback.export", "pullback.ops", "pullback.image",
    "pullback.implicit", "pullback.dtypes", "pullback.scipy.linalg", "pullback.scipy.special", "pullback.interop.scipy",
    "pullback.interop.torch",
]  # fmt: skip


def public() -> Iterator[tuple[str, Any]]:
    for module in map(importlib.import_module, MODULES):  # submodules have entries of their own
        for name in sorted(set(getattr(module, "__all__", dir(module))) - getattr(module, "_SUBMODULES", set())):
            value = getattr(module, name)
            if not name.startswith("_") and not isinstance(value, types.ModuleType):
                yield f"{module.__name__}.{name}", value


def test_everything_public_is_pickled_copied_and_shown() -> None:
    wrong = []
    for name, value in public():
        if isinstance(value, (types.UnionType, types.GenericAlias)) or "typing" in f"{type(value)} {value}":
            continue  # names for types
        try:
            again = pickle.loads(pickle.dumps(value))
            shown = repr(value)
            copied = [copy.copy(value), copy.deepcopy(value)]
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if callable(value) and (again is not value or copied != [value, value]):
            wrong.append(f"{name}: another function after pickling or copying")
        if not shown:
            wrong.append(f"{name}: no text")
    assert not wrong, "\n".join(wrong)


def _values() -> dict[str, Any]:
    return {
        "array": jnp.arange(3.0),
        "bfloat16": jnp.ones(2, "bfloat16"),
        "key": pb.random.key(0),
        "type": pb.ShapeDtypeStruct((2,), "float32"),
        "structure": pb.tree.structure({"a": (1, None)}),
        "partial": pb.tree_util.Partial(jnp.add, 1.0),
        "jitted": pb.jit(jnp.sin),
        "device": pb.devices()[0],
        "mesh": sharding.Mesh(np.array(pb.devices()), ("x",)),
        "sharding": sharding.NamedSharding(sharding.Mesh(np.array(pb.devices()), ("x",)), sharding.PartitionSpec("x")),
    }


@pytest.mark.parametrize("name", sorted(_values()))
def test_values_are_pickled_copied_and_shown(name: str) -> None:
    value = _values()[name]
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert type(again) is type(value)
        if name in ("type", "structure", "device", "mesh", "sharding"):
            assert again == value
        for a, b in zip(pb.tree.leaves(again), pb.tree.leaves(value), strict=True):
            if isinstance(a, pb.Array):
                assert (a.dtype, a.weak_type) == (b.dtype, b.weak_type)
                np.testing.assert_array_equal(
                    *(pb.random.key_data(v) if name == "key" else np.asarray(v) for v in (a, b))
                )
    assert repr(value)
