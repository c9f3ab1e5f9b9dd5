"""What derivatives cost: counts against closed forms, the choice, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import Rotation, choose_mode, derivative_cost
from pullback.explaining.operations import account


def ones(*shape: int) -> Any:
    return jnp.ones(shape, jnp.float32)


W = jnp.linspace(-1.0, 1.0, 40 * 30, dtype=jnp.float32).reshape(40, 30)


def test_products_are_counted_as_often_as_there_are() -> None:
    n, m = 30, 40
    found = derivative_cost(lambda x: W @ x, ones(n))
    once = 2 * n * m
    assert found.shape == (m, n)
    assert found.function.flops == once
    assert found["forward"] == ("forward", n, once + n * once, found["forward"].bytes)
    assert found["reverse"].products == m
    assert found["reverse"].flops == once + m * once
    # The matrix is there: no arithmetic but the function's, whose value nobody needs but the program.
    assert found["elimination"].flops == once
    assert found["elimination"].products == 0


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda x: jnp.sin(x) * x[::-1], (ones(12),)),
        (lambda x: jnp.tanh(W @ jnp.tanh(x)), (ones(30),)),
        (lambda x, y: (x * y.sum(), y**3), (ones(3), ones(2))),
    ],
)
def test_counts_are_those_of_the_programs(f: Any, args: tuple[Any, ...]) -> None:
    found = derivative_cost(f, *args, argnums=tuple(range(len(args))))
    for name, transformed in (("forward", pb.jacfwd), ("reverse", pb.jacrev)):
        program = pb.make_jaxpr(transformed(f, tuple(range(len(args)))))(*args)
        counted = account(program).flops
        # What does not depend on the tangent is computed once, and no operation on the basis that it starts from.
        assert 0.6 * counted <= found[name].flops <= 1.5 * counted + 100, name


def test_sparse_products() -> None:
    found = derivative_cost(jnp.diff, pb.ShapeDtypeStruct((1000,), np.float32))
    assert found.shape == (999, 1000)
    assert found["sparse"].products == 2
    assert found["sparse"].flops < found["forward"].flops / 100
    assert found.chosen == "sparse"
    assert found["sparse"].bytes < found["forward"].bytes


def test_hessians() -> None:
    def rosenbrock(x: Any) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    found = derivative_cost(rosenbrock, ones(50), of="hessian", orders=["markowitz"])
    assert found.what == "Hessian"
    assert found.shape == (50, 50)
    assert [w.name for w in found.ways] == ["forward", "reverse", "sparse", "elimination"]
    assert found["sparse"].products <= 3 < found["forward"].products == 50
    gradient = derivative_cost(pb.grad(rosenbrock), ones(50))
    assert found["forward"].flops == gradient["forward"].flops


def test_loops() -> None:
    f = lambda x: lax.scan(lambda c, a: (jnp.sin(c) * a, None), x, jnp.arange(20.0))[0]
    found = derivative_cost(f, ones(4))
    assert not found.open_loops
    assert found.function.flops == 20 * 4 * 2
    open_ = derivative_cost(lambda x: lax.while_loop(lambda c: c.sum() < 10, lambda c: c * 2, x), ones(4))
    assert open_.open_loops
    assert "loops whose steps are not known" in str(open_)


def test_what_is_shown() -> None:
    found = derivative_cost(lambda x: jnp.sum(x**2), ones(10))
    lines = str(found).splitlines()
    assert lines[0] == "Jacobian, 1 × 10"
    assert lines[1].split() == ["way", "products", "flops", "memory"]
    assert [line.split()[0] for line in lines[2:6]] == ["function", "forward", "reverse", "sparse"]
    (chosen,) = [line for line in lines if line.endswith("chosen")]
    assert chosen.split()[0].rstrip(",") == found.chosen
    assert repr(found) == str(found)
    assert found._repr_html_().count("<tr>") == len(lines) - 1
    with pytest.raises(KeyError, match="backward: the ways are forward, reverse"):
        found["backward"]


def test_trees_static_arguments_and_integers() -> None:
    f = lambda p, n, scale: {"a": p["u"] * n * scale, "b": p["v"].sum() + n * jnp.ones(())}
    params = {"u": ones(3), "v": ones(4)}
    found = derivative_cost(f, params, 3, ones())
    assert found.shape == (4, 7)
    both = derivative_cost(f, params, 3, ones(), argnums=(0, 2))
    assert both.shape == (4, 8)


@pytest.mark.parametrize(
    ("f", "x", "mode"),
    [
        (lambda x: jnp.sum(x), ones(10), "reverse"),
        (lambda t: lax.scan(lambda c, a: (jnp.sin(c) * a, c), t, jnp.arange(9.0))[1], jnp.float32(2.0), "forward"),
        (lambda x: jnp.sin(jnp.cos(x)), ones(10), "elimination"),
        (lambda x: jnp.tanh(x[1:]) - x[:-1] ** 2, ones(2000), "sparse"),
        (lambda x: (W[:30] @ x) ** 2 * jnp.sin(x), ones(30), "elimination"),
    ],
)
def test_the_choice(f: Any, x: Any, mode: str) -> None:
    assert choose_mode(f, x) == mode
    assert derivative_cost(f, x, orders=["markowitz"]).chosen == mode
    assert choose_mode(pb.jit(f), x) == mode


@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
def test_the_choice_computes_the_same(argnums: Any) -> None:
    f = lambda x, y: {"a": jnp.sin(x) * y, "b": (x @ y)[None]}
    x, y = jnp.linspace(0.0, 1.0, 4), jnp.linspace(1.0, 3.0, 4)
    expected = pb.tree.leaves(pb.jacrev(f, argnums)(x, y))
    found = pb.jacobian(f, argnums, mode="auto")
    for jacobian in (found, pb.jit(found)):
        for a, b in zip(pb.tree.leaves(jacobian(x, y)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_choice_within_transformations() -> None:
    f = lambda x: jnp.sin(x) * x[::-1]
    x = jnp.linspace(0.0, 1.0, 6)
    summed = lambda jacobian: lambda x: (jacobian(x) ** 2).sum()
    found, expected = summed(pb.jacobian(f, mode="auto")), summed(pb.jacrev(f))
    np.testing.assert_allclose(pb.jit(pb.grad(found))(x), pb.grad(expected)(x), rtol=1e-5)
    xs = jnp.stack([x, x + 1])
    np.testing.assert_allclose(pb.vmap(found)(xs), pb.vmap(expected)(xs), rtol=1e-5)
    scaled = lambda c: pb.jacobian(lambda x: c * jnp.sin(c * x), mode="auto")(x).sum()
    other = lambda c: pb.jacrev(lambda x: c * jnp.sin(c * x))(x).sum()
    np.testing.assert_allclose(pb.grad(scaled)(0.5), pb.grad(other)(0.5), rtol=1e-5)


def test_large_problems_are_not_eliminated_from() -> None:
    found = derivative_cost(lambda x: jnp.sin(x), pb.ShapeDtypeStruct((100_000,), np.float32))
    assert "elimination" not in [w.name for w in found.ways]
    assert found["sparse"].products == 1
    assert found["forward"].bytes > 100_000**2 * 4
    assert found["reverse"].flops > 100_000**2


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="expected a callable"):
        derivative_cost(3, ones(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="there is nothing to differentiate in argnums=0"):
        derivative_cost(lambda x: x, jnp.arange(3))
    with pytest.raises(TypeError, match="results must be real or complex numbers, got int32"):
        derivative_cost(lambda x: (x, jnp.arange(2)), ones(2))
    assert choose_mode(lambda x: (x, jnp.arange(2)), ones(2)) == "reverse"
    with pytest.raises(ValueError, match="`of` must be 'jacobian' or 'hessian', got 'gradient'"):
        derivative_cost(lambda x: x, ones(2), of="gradient")
    with pytest.raises(TypeError, match="scalar"):
        derivative_cost(lambda x: x, ones(2), of="hessian")
    with pytest.raises(ValueError, match="requires at least 2 positional arguments"):
        derivative_cost(lambda x: x, ones(2), argnums=1)
    with pytest.raises(ValueError, match="order must be one of"):
        derivative_cost(lambda x: jnp.sin(x), ones(2), orders=["best"])


def test_points_take_the_modes_that_know_them() -> None:
    r = Rotation.exp(jnp.array([0.1, 0.2, 0.3]))
    v = jnp.ones(3)
    np.testing.assert_allclose(pb.jacobian(lambda r: r @ v, mode="auto")(r), pb.jacrev(lambda r: r @ v)(r))
    assert pb.jacobian(Rotation.exp, mode="auto")(jnp.ones(3)).shape == (3, 3)
    for options in ({"mode": "sparse"}, {"sparse": "auto"}):
        with pytest.raises(TypeError, match="tangent space of its own"):
            pb.jacobian(lambda r: r @ v, **options)(r)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tangent space of its own"):
        pb.sparsity(lambda r: r @ v, r)


def test_dense_jacobians_have_no_sparse_way() -> None:
    assert choose_mode(lambda x: jnp.sin(x) * jnp.cumsum(x), jnp.ones(20_000)) == "reverse"
    cost = derivative_cost(jnp.cumsum, jnp.ones(3000), orders=["markowitz"])
    assert "sparse" not in repr(cost)
