"""Partial applications and dataclasses as trees."""

import copy
import dataclasses
import functools
import operator
import pickle

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.tree_util import Partial, register_dataclass, tree_leaves, tree_map, tree_structure

COPIES = [copy.copy, copy.deepcopy, *(lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in (2, 5))]


@pb.jit
def jitted(x, y):
    return x * y


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize(
    "partial",
    [
        Partial(np.hypot, 3.0),
        Partial(np.hypot, np.float32(3)),
        Partial(np.hypot, jnp.float32(3)),
        Partial(Partial(operator.add, 1.0)),
        Partial(functools.partial(np.hypot, 3.0)),
        Partial(jnp.take, axis=None, indices=0),
        Partial(np.clip, a_min=0.0, a_max=2.0),
        Partial(jitted, 3.0),
    ],
)
def test_partial_applications_are_copied(copied, partial):
    twin = copied(partial)
    assert type(twin) is Partial
    assert isinstance(twin, functools.partial)
    assert float(twin(np.float32(4))) == float(partial(np.float32(4)))
    assert len(tree_leaves(twin)) == len(tree_leaves(partial))
    assert (len(twin.args), list(twin.keywords)) == (len(partial.args), list(partial.keywords))


def test_what_is_structure_and_what_is_children():
    assert tree_leaves(Partial(Partial(np.hypot, 1.0), 2.0)) == [1.0, 2.0]
    assert tree_leaves(Partial(functools.partial(np.hypot, 1.0), 2.0)) == [2.0]
    assert tree_structure(Partial(np.hypot, 1.0)) == tree_structure(Partial(np.hypot, 2.0))
    assert repr(Partial(np.hypot, 1.0, where=True)) == "Partial(<ufunc 'hypot'>, 1.0, where=True)"
    assert float(pb.grad(lambda p: p(2.0))(Partial(operator.mul, 3.0)).args[0]) == 2
    assert float(tree_map(lambda x: x + 1, Partial(functools.partial(np.hypot, 3.0), 3.0))()) == 5
    with pytest.raises(TypeError, match="callable"):
        Partial(3.0)
    with pytest.raises(TypeError):
        Partial()


STATIC = {"static": True}


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"slots": True}, {"kw_only": True}, {"eq": False}])
def test_dataclasses_with_defaults(options):
    @register_dataclass
    @dataclasses.dataclass(**options)
    class Layer:
        x: float
        n: int = dataclasses.field(default=3, metadata=STATIC)
        y: float = 2.0
        names: tuple = dataclasses.field(default_factory=lambda: ("a",), metadata=STATIC)

    assert tree_leaves(Layer(x=1.0)) == [1.0, 2.0]
    made = tree_map(lambda v: v + 1, Layer(x=1.0, n=7))
    assert (made.x, made.n, made.y, made.names) == (2, 7, 3, ("a",))
    assert float(pb.jit(pb.grad(lambda a: a.x * a.y * a.n))(Layer(x=1.0)).x) == 6
    assert pb.vmap(lambda a: a)(Layer(x=np.ones(2), y=np.ones(2))).n == 3


def test_inherited_fields():
    @register_dataclass
    @dataclasses.dataclass
    class Base:
        x: float
        n: int = dataclasses.field(default=1, metadata=STATIC)

    @dataclasses.dataclass
    class Unregistered(Base):
        z: float = 1.0

    @register_dataclass
    @dataclasses.dataclass
    class Derived(Base):
        z: float = 1.0

    assert tree_leaves(Derived(2.0)) == [2.0, 1.0]
    assert len(tree_leaves(Unregistered(2.0))) == 1


def test_fields_that_do_not_fit():
    def register(**lists):
        @dataclasses.dataclass
        class Some:
            x: float
            n: int = 2
            z: float = 5.0
            kept: float = dataclasses.field(default=0.0, init=False)

        register_dataclass(Some, **lists)
        return Some

    dropped = register(data_fields=["x"], meta_fields=["n"], drop_fields=["z"])
    assert tree_map(lambda v: v + 1, dropped(1.0, 7, 8.0)) == dropped(2.0, 7, 5.0)
    for data, meta in [(["x"], []), (["x", "n", "z", "w"], []), (["x", "n"], ["n", "z"])]:
        with pytest.raises(ValueError, match=r"register_dataclass\(Some\)"):
            register(data_fields=data, meta_fields=meta)
    with pytest.raises(ValueError, match="kept"):
        register()
    assert len(tree_leaves(register(drop_fields=["kept"])(1.0))) == 3
    for lists in [{"data_fields": ["x"]}, {"meta_fields": ["x"]}]:
        with pytest.raises(TypeError, match="both"):
            register(**lists)


def test_fields_of_the_structure():
    @pb.tree_util.register_dataclass
    @dataclasses.dataclass
    class Layer:
        weight: float
        name: str = pb.tree.static(default="w", metadata={"unit": "m"})

    leaves, structure = pb.tree.flatten(Layer(2.0))
    assert leaves == [2.0] and pb.tree.unflatten(structure, [3.0]) == Layer(3.0)
    assert dict(dataclasses.fields(Layer)[1].metadata) == {"unit": "m", "static": True}
    with pytest.raises(TypeError):
        pb.tree.static(3)


def test_the_registry_has_the_functions_of_containers():
    registry = pb.tree_util.default_registry

    class Pair:
        def __init__(self, *parts: object) -> None:
            self.parts = parts

    assert not registry.is_node(Pair) and registry.flatten_one_level(Pair()) is None
    registry.register_node(Pair, lambda p: (p.parts, None), lambda _, parts: Pair(*parts))
    assert (
        registry.is_node(Pair)
        and registry.flatten(Pair(1, [2]))[0] == [1, 2]
        and list(registry.flatten_one_level(Pair(1, 2))[0]) == [1, 2]
    )
    assert registry.flatten_with_path({"a": (1,)})[0] == pb.tree.flatten_with_path({"a": (1,)})[0]
    assert registry.flatten({"a": (1,)}, lambda x: isinstance(x, tuple))[0] == [(1,)]
    assert list(registry.flatten_one_level_with_keys({"a": 1})[0]) == [(pb.tree_util.DictKey("a"), 1)]
    assert pickle.loads(pickle.dumps(registry)) is registry
