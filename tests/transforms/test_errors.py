"""Misuse: the documented error type, and a message that names what, where (this file) and what to do."""

import math
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import errors

X = jnp.arange(3.0)
HERE = "test_errors.py"


def leak():
    box = []
    pb.grad(lambda x: (box.append(x), x * x)[1])(1.0)
    return box[0] + 1


def staged_leak():
    box = []
    pb.make_jaxpr(lambda x: box.append(x + 1))(1.0)
    return box[0] * 2


def assign():
    X[0] = 1.0


MISUSES = {
    "grad of a vector": (lambda: pb.grad(lambda x: x)(X), TypeError, ["scalar-output", r"\(3,\)", HERE]),
    "grad of an integer": (lambda: pb.grad(lambda x: x * 1.0)(1), TypeError, ["int32", "allow_int", HERE]),
    "grad of a complex function": (lambda: pb.grad(lambda x: x * 1j)(1.0), TypeError, ["complex64", "holomorphic", HERE]),
    "grad with wrong argnums": (lambda: pb.grad(lambda x: x, 2)(1.0), TypeError, ["argnums=2", "only 1", HERE]),
    "grad of text": (lambda: pb.grad(lambda x: x)("a"), TypeError, ["str"]),
    "grad of a function returning text": (lambda: pb.grad(lambda x: "a")(1.0), TypeError, ["str"]),
    "grad of no function": (lambda: pb.grad(3), TypeError, ["3"]),
    "a leaf that is no array": (lambda: pb.grad(lambda d: d["a"])({"a": 1.0, "b": ["text"]}), TypeError, [r"\['b'\]\[0\]", "str"]),
    "tangents of another shape": (lambda: pb.jvp(jnp.sin, (X,), (X[:2],)), ValueError, [r"\(3,\)", r"\(2,\)"]),
    "tangents of another dtype": (lambda: pb.jvp(jnp.sin, (X,), (jnp.arange(3),)), TypeError, ["float32", "int32"]),
    "tangents of another structure": (lambda: pb.jvp(jnp.sin, (X,), (X, X)), TypeError, ["tree structure"]),
    "tangents that are no tuple": (lambda: pb.jvp(jnp.sin, X, X), TypeError, ["tuples or lists"]),
    "cotangents of another shape": (lambda: pb.vjp(jnp.sin, X)[1](X[:2]), ValueError, [r"\(2,\)", r"\(3,\)", HERE]),
    "cotangents of another dtype": (lambda: pb.vjp(jnp.sin, X)[1](jnp.arange(3)), ValueError, ["int32", "float32", HERE]),
    "cotangents of another structure": (lambda: pb.vjp(lambda x: (x, x), X)[1](X), ValueError, ["tree structure"]),
    "several cotangents": (lambda: pb.vjp(jnp.sin, X)[1](X, X), TypeError, ["one cotangent"]),
    "a leaked tracer": (leak, errors.UnexpectedTracerError, ["leaked", HERE]),
    "a leaked staged tracer": (staged_leak, errors.UnexpectedTracerError, ["leaked", HERE]),
    "item assignment": (assign, TypeError, [r"\.at\[idx\]\.set"]),
    "static arguments without a hash": (lambda: pb.jit(lambda x: x, static_argnums=0)([1]), ValueError, ["Non-hashable", "list"]),
    "shapes that do not broadcast": (lambda: jnp.ones(3) + jnp.ones(2), TypeError, [r"\(3,\)", r"\(2,\)", HERE]),
    "an axis out of range": (lambda: jnp.sum(X, axis=3), ValueError, ["axis 3", "dimension 1"]),
    "a contraction of different lengths": (lambda: jnp.ones(3) @ jnp.ones(4), TypeError, [r"\(3,\)", r"\(4,\)", HERE]),
    "truth of a vector": (lambda: bool(X), ValueError, ["ambiguous"]),
    "truth of a staged value": (
        lambda: pb.make_jaxpr(lambda x: 1 if x > 0 else 2)(1.0), errors.TracerBoolConversionError, ["where", HERE],
    ),
    "a staged value as a range": (
        lambda: pb.make_jaxpr(lambda n: [0 for _ in range(n)])(3), errors.TracerIntegerConversionError, ["static", HERE],
    ),
    "a staged value in NumPy": (lambda: pb.make_jaxpr(lambda x: np.asarray(x))(1.0), errors.TracerArrayConversionError, ["pullback.numpy", HERE]),
    "an invalid key": (lambda: pb.random.normal(jnp.zeros(3, jnp.uint32)), TypeError, [r"\(3,\)"]),
    "a list as an operand": (lambda: jnp.add([1.0], 2.0), TypeError, ["list", HERE]),
    "has_aux without a pair": (lambda: pb.grad(lambda x: x, has_aux=True)(1.0), TypeError, ["pair"]),
    "an unknown option": (lambda: pb.config.update("jax_no_such", 1), AttributeError, ["jax_no_such"]),
    "an unknown name": (lambda: pb.no_such_name, AttributeError, ["no_such_name"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSES)
def test_misuse(name):
    call, kind, parts = MISUSES[name]
    with pytest.raises(kind) as caught:
        call()
    import re

    for part in parts:
        assert re.search(part, str(caught.value)), f"{part!r} is not in the message: {caught.value}"


def test_tracebacks_show_the_users_frames_only():
    import traceback

    with pytest.raises(TypeError) as caught:
        pb.grad(lambda x: jnp.ones(3) @ jnp.ones(4) * x)(1.0)
    names = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert not any("/pullback/transforms/" in n for n in names)


def test_debug_nans_names_operation_and_line():
    with pb.debug_nans(True):
        with pytest.raises(FloatingPointError, match=r"nan.*log.*test_errors"):
            jnp.log(jnp.array(-1.0))
        with pytest.raises(FloatingPointError, match="nan"):
            pb.grad(lambda x: jnp.sqrt(x) * 0.0)(-1.0)
    assert np.isnan(jnp.log(jnp.array(-1.0)))


LOSING = {
    "math": lambda x: math.sin(x) * x,
    "float": lambda x: float(x) ** 2,
    "complex": lambda x: abs(complex(x)) ** 2,
    "tolist": lambda x: x.tolist() * x,
    "min": lambda x: math.fsum([x, x]),
}
KEEPING = {
    "a comparison": (lambda x: x if x > 1 else 3 * x, 3.0),
    "an integer": (lambda x: x * int(x + 2), 2.0),
    "a constant": (lambda x: x * float(pb.lax.stop_gradient(x)), 0.5),
    "a text": (lambda x: x * len(f"{x:.1f}"), 3.0),
    "a value that does not depend on it": (lambda x: x * float(jnp.sin(jnp.zeros(()))), 0.0),
}


@pytest.mark.parametrize(
    "transform",
    [
        pb.grad,
        lambda f: lambda x: pb.jvp(f, (x,), (1.0,)),
        lambda f: lambda x: pb.vjp(f, x),
        lambda f: lambda x: pb.linearize(f, x),
        pb.hessian,
    ],
)
@pytest.mark.parametrize("f", LOSING)
def test_numbers_without_their_derivative_are_refused(f: Any, transform: Any) -> None:
    """JAX refuses them, too: the derivative would be wrong, and nothing would say so."""
    with pytest.raises(pb.errors.ConcretizationTypeError, match=r"is being differentiated.*stop_gradient"):
        transform(LOSING[f])(0.5)
    LOSING[f](jnp.array(0.5))  # without differentiation a number is a number


@pytest.mark.parametrize("f", KEEPING)
def test_what_has_no_derivative_may_be_asked_for(f: Any) -> None:
    function, slope = KEEPING[f]
    assert pb.grad(function)(0.5) == slope
    assert pb.jvp(function, (0.5,), (1.0,))[1] == slope
