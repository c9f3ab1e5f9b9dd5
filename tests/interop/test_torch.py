"""Functions across the border to PyTorch, in both directions: values, dtypes, derivatives of two orders, complex numbers, errors."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from pullback.interop.torch import from_torch, to_array, to_tensor, to_torch

X = np.array([[0.3, -1.2, 0.7], [1.1, 0.2, -0.4]])


def test_trees_cross_with_their_dtypes() -> None:
    for name in ("float16", "bfloat16", "float32", "int32", "int8", "uint8", "bool", "complex64"):
        tensor = to_tensor(jnp.array([0, 1, 1], dtype=name))
        assert str(tensor.dtype) == f"torch.{name}"
        assert (to_array(tensor).dtype, to_array(tensor).tolist()) == (jnp.dtype(name), [0, 1, 1])
    there = torch.tensor([1.0, 2.0])
    here = to_array({"a": there, "b": 2.0})
    there += 1
    assert here["a"].tolist() == [1, 2]
    assert to_array(torch.tensor([1 + 2j]).conj()).tolist() == [1 - 2j]


@pytest.mark.parametrize("jit", [True, False])
def test_pullback_functions_in_torch(jit: bool) -> None:
    def f(p: Any, *, power: int) -> Any:
        y = jnp.tanh(p["w"] @ p["x"]) ** power
        return {"sum": (jnp.exp(y) * p["x"][0]).sum(), "at": jnp.argmax(y), "y": y}

    def g(p: Any) -> Any:
        y = torch.tanh(p["w"] @ p["x"]) ** 3
        return (torch.exp(y) * p["x"][0]).sum() + y.sum()

    ours = to_torch(f, jit=jit)
    point = lambda: {k: torch.tensor(v, requires_grad=True) for k, v in {"w": X, "x": X.T[:, 0].copy()}.items()}
    p, q = point(), point()
    out = ours(p, power=3)
    assert (out["at"].requires_grad, out["sum"].dtype) == (False, torch.float64)
    value, expected = out["sum"] + out["y"].sum(), g(q)
    torch.testing.assert_close(value, expected)
    for create_graph in (False, True):
        grads = torch.autograd.grad(value, list(p.values()), retain_graph=True, create_graph=create_graph)
        others = torch.autograd.grad(expected, list(q.values()), create_graph=True)
        torch.testing.assert_close(list(grads), list(others))
    seconds = torch.autograd.grad(sum((g**2).sum() for g in grads), list(p.values()))
    torch.testing.assert_close(
        list(seconds), list(torch.autograd.grad(sum((g**2).sum() for g in others), list(q.values())))
    )
    assert jnp.zeros(()).dtype == np.float32


def test_gradcheck_of_pullback_functions() -> None:
    x = torch.tensor(X[0], requires_grad=True)
    z = torch.tensor(X[0] + 1j * X[1], requires_grad=True)
    f = to_torch(lambda x, z: (jnp.sin(x) * z**2, jnp.abs(z).sum()))
    assert torch.autograd.gradcheck(f, (x, z))
    assert torch.autograd.gradgradcheck(to_torch(lambda x, z: jnp.sin(x) * z**2), (x, z))
    half = torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    to_torch(lambda x: (x * x).sum())(half).backward()
    assert (half.grad.dtype, half.grad.tolist()) == (torch.bfloat16, [2, 4])


def test_torch_functions_in_pullback() -> None:
    def g(p: Any, n: Any) -> Any:
        return {"s": (torch.sin(p["x"]) * p["w"]).sum() * n, "n": n + 1}

    def same(p: Any, n: Any) -> Any:
        return {"s": (jnp.sin(p["x"]) * p["w"]).sum() * n, "n": n + 1}

    f = from_torch(g)
    with pb.enable_x64(True):
        p = {"x": jnp.array(X[0]), "w": jnp.array(X[1])}
        loss = lambda h: lambda p: h(p, 3)["s"]
        for of in (
            lambda h: h(p, 3),
            lambda h: pb.jit(h)(p, 3),
            lambda h: pb.grad(loss(h))(p),
            lambda h: pb.jit(pb.hessian(loss(h)))(p),
            lambda h: pb.jacrev(pb.grad(loss(h)))(p),
            lambda h: pb.jvp(loss(h), (p,), (p,)),
            lambda h: pb.vmap(pb.grad(lambda x: loss(h)({**p, "x": x})))(jnp.array(X)),
        ):
            ours, expected = (pb.tree.leaves(pb.tree.map(jnp.asarray, of(h))) for h in (f, same))
            assert [x.dtype for x in ours] == [x.dtype for x in expected]
            for a, b in zip(ours, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
        z = jnp.array(X[0] + 1j * X[1])
        for mine, theirs in ((lambda z: torch.sin(z).abs().sum(), lambda z: jnp.abs(jnp.sin(z)).sum()),):
            np.testing.assert_allclose(pb.grad(from_torch(mine))(z), pb.grad(theirs)(z), rtol=1e-12)
            np.testing.assert_allclose(
                pb.jvp(from_torch(mine), (z,), (z,))[1], pb.jvp(theirs, (z,), (z,))[1], rtol=1e-12
            )
    bfloat = from_torch(lambda x: x * 2)(jnp.array([1.5], "bfloat16"))
    assert (bfloat.dtype, bfloat.tolist()) == (jnp.bfloat16, [3])


def test_modules_with_their_parameters() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    x = torch.tensor(X, dtype=torch.float32)
    parameters = {k: jnp.array(v.detach().numpy()) for k, v in module.named_parameters()}
    f = from_torch(lambda p, x: torch.func.functional_call(module, p, (x,)).sum())
    grads = pb.jit(pb.grad(f))(parameters, jnp.array(X))
    module(x).sum().backward()
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(grads[name], parameter.grad, rtol=1e-5)


def test_round_trips_and_errors() -> None:
    f = from_torch(to_torch(jnp.sin), pb.ShapeDtypeStruct((), "float32"))
    np.testing.assert_allclose(pb.grad(pb.grad(f))(0.5), -np.sin(0.5), rtol=1e-6)
    with pytest.raises(TypeError, match="takes a function, got 3, at .*test_torch"):
        to_torch(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="was announced"):
        from_torch(lambda x: (x, x), pb.ShapeDtypeStruct((), "float32"))(1.0)
    with pytest.raises(ValueError, match="on the device meta"):
        to_torch(jnp.sin)(torch.ones(2, device="meta"))


def test_torch_is_imported_when_it_is_asked_for() -> None:
    assert "pullback.interop.torch" in sys.modules
    assert "torch" in dir(pb.interop)
