"""Public functions stay on the device of their operands, and honour or refuse to be given one.

Those that have a parameter for it are found by their signatures; CALLS says how each is called.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import types
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.array import ConcreteArray
from pullback.experimental import sparse
from tests.types.calls import SHAPES, Call, array, expressions, namespace

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
HOST, THERE, THIRD = pb.devices("cpu")

# ---- parameters that name a place -------------------------------------------------------------------------------

PLACES = ("device", "sharding", "out_sharding", "in_shardings", "out_shardings")
ROOTS = {
    "pb": "pullback", "jnp": "pullback.numpy", "lax": "pullback.lax", "random": "pullback.random", "nn": "pullback.nn",
    "scipy": "pullback.scipy", "experimental": "pullback.experimental", "debug": "pullback.debug", "export": "pullback.export",
}  # fmt: skip

#: Arguments of the functions that are called with them; `X` is an array of shape (2, 3).
CALLS = {
    "3": "jnp.zeros jnp.ones jnp.empty jnp.eye jnp.arange jnp.fft.fftfreq jnp.fft.rfftfreq",
    "(2,), 'int32'": "lax.empty",
    "'int32', (2,), 0": "lax.broadcasted_iota",
    "(2,), 1.0": "jnp.full lax.full",
    "0, 1, 3": "jnp.linspace",
    "X": "jnp.array jnp.asarray jnp.zeros_like jnp.ones_like jnp.empty_like jnp.from_dlpack jnp.ravel Array.flatten pb.device_put",
    "jnp.asarray(X)": "Array.to_device",
    "X, 2.0": "jnp.full_like lax.full_like",
    "X, 2": "jnp.repeat",
    "X, 50": "jnp.percentile",
    "X, 'int32'": "jnp.astype Array.astype",
    "X, (3, 2)": "jnp.reshape Array.reshape lax.reshape",
    "X, X.T": "jnp.dot jnp.matmul lax.dot",
    "X, X": "jnp.tensordot",
    "X, X, (((1,), (1,)), ((), ()))": "lax.dot_general",
    "X, np.ones((1, 3, 2), 'float32'), np.array([2], 'int32')": "lax.ragged_dot",
    "X, np.ones((1, 3, 2), 'float32'), np.array([2], 'int32'), RAGGED": "lax.ragged_dot_general",
    "'ij->', X": "jnp.einsum",
    "X, (5, 2, 3)": "jnp.broadcast_to",
    "X, (5,)": "lax.broadcast",
    "X, (5, 2, 3), (1, 2)": "lax.broadcast_in_dim",
    "X[None], X[None, :, :2], (1,), 'VALID'": "lax.conv_general_dilated",
    "X, (0,)": "lax.reduce_sum",
    "S, shape=(5, 2, 3), broadcast_dimensions=(1, 2)": "experimental.sparse.bcoo_broadcast_in_dim",
    "R, shape=(5, 2, 3), broadcast_dimensions=(1, 2)": "experimental.sparse.bcsr_broadcast_in_dim",
    "S, new_sizes=(3, 2)": "experimental.sparse.bcoo_reshape",
    "S, X, dimension_numbers=(((1,), (1,)), ((), ()))": "experimental.sparse.bcoo_dot_general",
    "R, X, dimension_numbers=(((1,), (1,)), ((), ()))": "experimental.sparse.bcsr_dot_general",
    "sparse.BCOO.fromdense(X[None, :1]), X[None, :1, :2], window_strides=(1,), padding='VALID'":
        "experimental.sparse.bcoo_conv_general_dilated",
    "X, np.float32(0), lax.add, (0,)": "lax.reduce",
    "X[0].astype(int)": "jnp.bincount",
    "jnp.zeros(4, 'uint32'), (2,)": "lax.rng_bit_generator",
    "np.sin, pb.ShapeDtypeStruct((2, 3), 'float32'), X": "pb.pure_callback experimental.io_callback",
    "key": """random.bernoulli random.bits random.cauchy random.exponential random.gumbel random.laplace random.logistic
        random.lognormal random.maxwell random.normal random.rademacher random.uniform""",
    "key, 2": "random.ball random.orthogonal random.permutation",
    "key, 2.0": """random.chisquare random.gamma random.generalized_normal random.loggamma random.pareto random.poisson
        random.rayleigh random.t random.wald""",
    "key, 0.5": "random.geometric",
    "key, 2.0, 3.0": "random.beta random.f",
    "key, X": "random.categorical",
    "key, X[0] + 1": "random.dirichlet",
    "key, X[0], np.eye(3)": "random.multivariate_normal",
    "key, (2,), 0, 9": "random.randint",
    "key, 0.0, 0.5, 1.0": "random.triangular",
    "key, 0.0, 1.0": "random.truncated_normal",
    "key, (2, 2)": """nn.initializers.ones nn.initializers.zeros nn.initializers.normal() nn.initializers.uniform()
        nn.initializers.constant(1.0) nn.initializers.glorot_normal() nn.initializers.glorot_uniform() nn.initializers.he_normal()
        nn.initializers.he_uniform() nn.initializers.lecun_normal() nn.initializers.lecun_uniform() nn.initializers.orthogonal()
        nn.initializers.truncated_normal() nn.initializers.variance_scaling(1.0,'fan_in','normal')""",
    "key, (3, 2, 2)": "nn.initializers.delta_orthogonal()",
    "": "at.get",
    "0": "at.set at.add at.subtract at.mul at.div at.power at.min at.max",
    "jnp.sin": "at.apply",
}  # fmt: skip
ARGUMENTS = {name: arguments for arguments, names in CALLS.items() for name in names.split()}
#: Called by tests of their own.
OTHERS = {"pb.ShapeDtypeStruct", "pb.jit", "pb.reshard", "debug.visualize_sharding"}

NAMES = {
    "pb": pb, "jnp": jnp, "lax": pb.lax, "random": pb.random, "nn": pb.nn, "experimental": importlib.import_module("pullback.experimental"),
    "np": np, "key": pb.random.key(0), "X": np.arange(6, dtype=np.float32).reshape(2, 3), "Array": ConcreteArray, "at": jnp.ones(2).at[0],
}  # fmt: skip
NAMES["RAGGED"] = pb.lax.RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), [0], [0])
NAMES |= {"sparse": sparse, "S": sparse.BCOO.fromdense(NAMES["X"]), "R": sparse.BCSR.fromdense(NAMES["X"])}


def places(function: Any) -> list[str]:
    """The parameters of a function that name a place."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a class of Python's, or what NumPy has compiled
        return []
    return [p for p in PLACES if p in parameters]


def functions(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The functions of a public module, and then of those in it."""
    within = []
    for name in sorted(getattr(module, "__all__", None) or (n for n in dir(module) if not n.startswith("_"))):
        value = getattr(module, name)
        if not isinstance(value, types.ModuleType):
            yield f"{path}.{name}", value
        elif path != "pb" and value.__name__.startswith(f"{module.__name__}."):
            within.append((value, f"{path}.{name}"))
    for value, name in within:  # whose helpers, which they import from elsewhere, are not public
        for n, f in functions(value, name):
            if str(getattr(f, "__module__", None)).startswith(module.__name__):
                yield n, f


def found() -> dict[str, list[str]]:
    """By public name, the parameters for places that functions have, and what initializers take."""
    everything = [pair for path, name in ROOTS.items() for pair in functions(importlib.import_module(name), path)]
    for path, owner in (("Array", ConcreteArray), ("at", type(NAMES["at"]))):
        everything += [(f"{path}.{n}", getattr(owner, n)) for n in dir(owner) if not n.startswith("_")]
    names: dict[str, list[str]] = {}
    seen: list[Any] = []
    for name, function in everything:
        if name.startswith("experimental.pjit."):  # which is `jit`
            continue
        given = places(function)
        if not given and inspect.isfunction(function):
            if name.startswith("nn.initializers."):
                name, given = next((n for n in ARGUMENTS if n.startswith(f"{name}(")), f"{name}()"), ["out_sharding"]
            elif name.startswith("at."):  # it is one of their **options
                given = ["out_sharding"]
        if given and not any(function is s for s in seen):
            names[name] = given
            seen.append(function)
    return names


FOUND = found()
CASES = [(name, place) for name, given in FOUND.items() for place in given if name not in OTHERS]


def test_every_function_with_a_place_is_called() -> None:
    assert sorted(FOUND) == sorted({*ARGUMENTS, *OTHERS}), "say in CALLS how these are called"
    assert len(FOUND) > 100


@pytest.mark.parametrize("name, place", CASES, ids=[f"{n}-{p}" for n, p in CASES])
def test_places_are_honoured_or_refused(name: str, place: str) -> None:
    def call(where: Any) -> Any:
        return eval(f"{name}({ARGUMENTS[name]}{', ' * bool(ARGUMENTS[name])}{place}=where)", NAMES, {"where": where})

    if place != "device":
        with pytest.raises((TypeError, ValueError), match="there are no shardings yet"):
            call(THERE)
        call(None)
        return
    out = call(THERE)
    assert out.device is THERE
    assert out.committed
    np.testing.assert_array_equal(pb.jit(lambda: call(THERE))(), out)
    with pb.default_device(THIRD):
        assert call(THERE).device is THERE
    if name != "Array.to_device":  # where it is None
        assert call(None).device is HOST
    for wrong in ("cpu", 3):
        with pytest.raises(ValueError, match="is not a device"):
            call(wrong)


def test_places_of_jit() -> None:
    out = pb.jit(lambda x: x + 1, device=THERE)(NAMES["X"])
    assert out.device is THERE
    for refused in ("in_shardings", "out_shardings"):
        with pytest.raises(NotImplementedError, match="several devices in one program"):
            pb.jit(lambda x: x, **{refused: THERE})


# ---- results stay where operands are ----------------------------------------------------------------------------

#: Calls whose results depend on no operand, or on its type or shape only: they are free.
FREE = """
jnp.imag(a); v.imag; jnp.iscomplex(a); jnp.isreal(a); jnp.diag_indices_from(m); jnp.tril_indices_from(m); jnp.triu_indices_from(m)
jnp.histogram(x, range=(0, 2), bins=3, weights=w); lax.scan(lambda c, _: (c, 2.0), a, None, length=2); nn.initializers.zeros(key, (2,))
jax.vmap(lambda p: lax.psum(2, 'q'), axis_name='q')(v); jax.vmap(lambda p: lax.psum(2.0, 'q'), axis_name='q')(v)
jax.vmap(lambda p: lax.axis_index('q'), axis_name='q')(v); nn.initializers.ones(key, (2,), 'float16')
"""
_FREE = {part.strip() for line in FREE.strip().splitlines() for part in line.split("; ")}
_FIXED = ("x", "i", "t", "k", "key")


def _operands(expression: str) -> set[str]:
    """The names in an expression that stand for fixed arrays."""
    return set(re.findall(rf"(?<![\w.'])({'|'.join(_FIXED)})(?![\w(='])", expression))


def _sampled(expression: str) -> bool:
    return FULL or zlib.crc32(expression.encode()) % 5 == 0


WITH_OPERANDS = [e for e in expressions() if (Call(e).slots or _operands(e)) and e not in _FREE and _sampled(e)]
MADE = [e for e in expressions() if not Call(e).slots and not _operands(e)]


def _outcome(call: Call, dtype: str, there: bool) -> Any:
    names = namespace("pullback")
    args = [array(jnp, dtype, SHAPES[slot]) for slot in call.slots]
    if there:
        names |= {n: pb.device_put(names[n], THERE) for n in _FIXED}
        args = [pb.device_put(x, THERE) for x in args]
    try:
        return pb.tree.leaves(call.function(names)(*args))
    except Exception as error:
        return type(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", WITH_OPERANDS)
def test_public_functions_stay_on_the_device_of_their_operands(expression: str) -> None:
    call = Call(expression)
    for dtype in ("float32", "int32", "bool"):
        here, there = _outcome(call, dtype, False), _outcome(call, dtype, True)
        if isinstance(here, type):
            assert there is here
            continue
        for x, y in zip(here, there, strict=True):
            if isinstance(x, pb.Array):
                assert y.device is THERE
                assert y.committed
                assert (x.dtype, x.weak_type, x.shape) == (y.dtype, y.weak_type, y.shape)
                if x.dtype.kind in "biufc":
                    tol = 1e-4 if x.dtype.itemsize > 2 else 1e-2
                    np.testing.assert_allclose(y, x, rtol=tol, atol=tol)
            else:
                assert str(x) == str(y)
        return


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", MADE)
def test_what_has_no_operands_is_made_on_the_default_device(expression: str) -> None:
    function = Call(expression).function(namespace("pullback"))
    with pb.default_device(THERE):
        try:
            made = pb.tree.leaves(function())
        except NotImplementedError:
            return
    for x in made:
        assert not isinstance(x, pb.Array) or (x.device is THERE and not x.committed)
