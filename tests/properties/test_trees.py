"""Pytrees: taking apart and putting together, and passing through transformations unchanged in structure."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
import pullback.numpy as jnp
from pullback import tree_util

Point = collections.namedtuple("Point", ["x", "y"])


@tree_util.register_pytree_node_class
class Pair:
    """A node with data beside its children."""

    def __init__(self, first: Any, second: Any, tag: str) -> None:
        self.first, self.second, self.tag = first, second, tag

    def tree_flatten(self) -> Any:
        return (self.first, self.second), self.tag

    @classmethod
    def tree_unflatten(cls, tag: Any, children: Any) -> Pair:
        return cls(*children, tag)


@tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    """A dataclass with a static field."""

    weight: Any
    bias: Any
    activation: str = dataclasses.field(metadata={"static": True}, default="tanh")


arrays = st.tuples(st.integers(0, 99), st.sampled_from([(), (2,), (2, 3), (0,)])).map(
    lambda s: np.random.default_rng(s[0]).normal(size=s[1]).astype(np.float32)
)
trees = st.recursive(
    st.one_of(arrays, st.none()),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abcd"), children, max_size=3),
        st.dictionaries(st.sampled_from("abcd"), children, max_size=3).map(collections.OrderedDict),
        st.tuples(children, children).map(lambda c: Point(*c)),
        st.tuples(children, children, st.sampled_from("uv")).map(lambda c: Pair(*c)),
        st.tuples(children, children).map(lambda c: Layer(*c)),
    ),
    max_leaves=6,
)


def same(a: Any, b: Any) -> bool:
    """Equal structures and bitwise equal leaves."""
    (a_leaves, a_def), (b_leaves, b_def) = tree_util.tree_flatten(a), tree_util.tree_flatten(b)
    return a_def == b_def and all(np.array_equal(x, y) for x, y in zip(a_leaves, b_leaves, strict=True))


@given(trees)
def test_unflatten_inverts_flatten(tree: Any) -> None:
    leaves, treedef = tree_util.tree_flatten(tree)
    again = treedef.unflatten(leaves)
    assert type(again) is type(tree)
    assert same(again, tree)
    assert treedef.num_leaves == len(leaves) == len(tree_util.tree_leaves(tree))
    assert tree_util.tree_structure(tree) == treedef
    assert hash(tree_util.tree_structure(again)) == hash(treedef)


@given(trees)
def test_map_keeps_structure_and_composes(tree: Any) -> None:
    double = tree_util.tree_map(lambda x: 2 * x, tree)
    assert tree_util.tree_structure(double) == tree_util.tree_structure(tree)
    assert same(tree_util.tree_map(lambda x: x + 1, double), tree_util.tree_map(lambda x: 2 * x + 1, tree))
    assert same(tree_util.tree_map(lambda x, y: x - y, double, tree), tree)


@given(trees)
def test_paths_are_distinct_and_in_the_order_of_leaves(tree: Any) -> None:
    with_path, treedef = tree_util.tree_flatten_with_path(tree)
    leaves = tree_util.tree_leaves(tree)
    assert len({tree_util.keystr(path) for path, _ in with_path}) == len(with_path) == len(leaves)
    assert all(a is b for (_, a), b in zip(with_path, leaves))
    assert treedef == tree_util.tree_structure(tree)


@given(trees)
def test_transpose_of_trees_is_an_involution(tree: Any) -> None:
    outer, inner = tree_util.tree_structure(tree), tree_util.tree_structure((0, [0]))
    nested = tree_util.tree_map(lambda x: (x, [x + 1]), tree)
    if not tree_util.tree_leaves(tree):
        return  # nothing to transpose: the inner structure is nowhere
    turned = tree_util.tree_transpose(outer, inner, nested)
    assert same(turned[0], tree)
    assert same(tree_util.tree_transpose(inner, outer, turned), nested)


def sum_of_squares(tree: Any) -> Any:
    return sum((jnp.sum(x * x) for x in tree_util.tree_leaves(tree)), start=jnp.float32(0))


@given(trees)
def test_gradient_has_the_structure_of_its_argument(tree: Any) -> None:
    gradient = pb.grad(sum_of_squares)(tree)
    assert tree_util.tree_structure(gradient) == tree_util.tree_structure(tree)
    assert same(gradient, tree_util.tree_map(lambda x: 2 * x, tree))


@given(trees)
def test_jvp_and_vjp_of_tree_functions(tree: Any) -> None:
    def function(t: Any) -> Any:
        return {"sines": tree_util.tree_map(jnp.sin, t), "total": sum_of_squares(t)}

    tangent = tree_util.tree_map(np.cos, tree)
    out, t_out = pb.jvp(function, (tree,), (tangent,))
    assert tree_util.tree_structure(t_out) == tree_util.tree_structure(out)
    _, pull = pb.vjp(function, tree)
    (ct,) = pull(t_out)
    assert tree_util.tree_structure(ct) == tree_util.tree_structure(tree)
    forward = sum(float(jnp.sum(a * a)) for a in tree_util.tree_leaves(t_out))
    backward = sum(float(jnp.sum(a * b)) for a, b in zip(tree_util.tree_leaves(ct), tree_util.tree_leaves(tangent)))
    assert np.isclose(forward, backward, rtol=1e-4, atol=1e-4)


@given(trees)
def test_vmap_over_a_tree_is_a_loop(tree: Any) -> None:
    if not tree_util.tree_leaves(tree):
        return  # vmap has nothing to take the size from
    batch = tree_util.tree_map(lambda x: np.stack([x, 2 * x, -x]), tree)
    got = pb.vmap(lambda t: tree_util.tree_map(lambda x: jnp.sin(x) + 1, t))(batch)
    assert tree_util.tree_structure(got) == tree_util.tree_structure(tree)
    for i, scale in enumerate((1, 2, -1)):
        expected = tree_util.tree_map(lambda x, s=scale: np.sin(s * x) + 1, tree)
        element = tree_util.tree_map(lambda x, i=i: np.asarray(x)[i], got)
        assert all(
            np.allclose(a, b, atol=1e-6)
            for a, b in zip(tree_util.tree_leaves(element), tree_util.tree_leaves(expected), strict=True)
        )


@given(trees)
def test_linear_maps_are_trees(tree: Any) -> None:
    _, f_lin = pb.linearize(lambda t: tree_util.tree_map(jnp.sin, t), tree)
    leaves, treedef = tree_util.tree_flatten(f_lin)
    again = tree_util.tree_unflatten(treedef, leaves)
    tangent = tree_util.tree_map(np.cos, tree)
    assert same(again(tangent), f_lin(tangent))
