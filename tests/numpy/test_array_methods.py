"""`numpy/array_methods.py`: operators, methods and properties of arrays and tracers."""

from __future__ import annotations

import doctest
import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback
import pullback.numpy as jnp
from pullback.core.array import Array
from pullback.numpy import array_methods

F = np.array([[1.5, -2.0, 3.0], [0.5, 4.0, -1.0]], np.float32)
G = np.array([[2.0, 1.0, -0.5], [3.0, -2.0, 1.0]], np.float32)
I = np.array([7, -7, 3], np.int32)
J = np.array([2, 3, -2], np.int32)

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, divmod, operator.eq, operator.ne,
    operator.lt,
    operator.le, operator.gt, operator.ge,
]  # fmt: skip
BITWISE = [operator.and_, operator.or_, operator.xor]


def check(ours: Any, numpys: Any, dtype: Any = None) -> None:
    for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (ours, numpys))):
        assert isinstance(a, Array)
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert dtype is None or a.dtype == dtype


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("x, y", [(F, G), (F, G[0]), (F[0], G), (I, J), (F, I), (I, F[0])])
def test_binary_operators(op: Callable[[Any, Any], Any], x: Any, y: Any) -> None:
    expected = op(x, y)
    check(op(jnp.asarray(x), jnp.asarray(y)), expected)
    check(op(jnp.asarray(x), y), expected)
    check(op(x, jnp.asarray(y)), expected)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("scalar", [2, 2.5, -3, np.float32(1.5), np.int32(4)])
def test_operators_with_scalars_on_either_side(op: Callable[[Any, Any], Any], scalar: Any) -> None:
    for x in (F, I):
        a = jnp.asarray(x)
        check(op(a, scalar), op(x, scalar))
        check(op(scalar, a), op(scalar, x))


@pytest.mark.parametrize("op", [*BITWISE, operator.lshift, operator.rshift])
def test_bitwise_operators(op: Callable[[Any, Any], Any]) -> None:
    n = np.array([1, 0, 3], np.int32)
    check(op(jnp.asarray(I), jnp.asarray(n)), op(I, n), np.int32)
    check(op(jnp.asarray(I), 2), op(I, np.int32(2)), np.int32)
    check(op(5, jnp.asarray(n)), op(np.int32(5), n), np.int32)
    if op in BITWISE:
        check(op(jnp.asarray(F > 0), True), op(F > 0, True), np.bool_)


def test_unary_operators() -> None:
    check(-jnp.asarray(F), -F)
    check(+jnp.asarray(F), F)
    check(abs(jnp.asarray(I)), abs(I), np.int32)
    check(~jnp.asarray(I), ~I, np.int32)
    check(~jnp.asarray(F > 0), ~(F > 0))
    check(abs(jnp.array([3 + 4j])), [5.0], np.float32)
    check(-jnp.array([1, 2], "uint8"), [255, 254], np.uint8)
    check(round(jnp.array([1.26, 2.5])), [1, 2], np.int32)
    check(round(jnp.array([1.26]), 1), [1.3], np.float32)
    with pytest.raises(TypeError):
        -jnp.array(True)
    with pytest.raises(TypeError):
        ~jnp.array(1.0)


def test_powers() -> None:
    x = jnp.asarray(np.abs(F))
    for exponent in (0, 1, 2, 3, -1, -2, 0.5, 2.0):
        check(x**exponent, np.abs(F) ** exponent, np.float32)
    check(jnp.asarray(I) ** 2, I**2, np.int32)
    check(2 ** jnp.array([1, 3]), [2, 8], np.int32)
    check(jnp.array([1 + 1j]) ** 2, [2j])
    check(jnp.array([True, False]) ** 2, [1, 0], np.int32)
    with pytest.raises(TypeError, match="negative powers"):
        jnp.asarray(I) ** -1
    with pytest.raises(TypeError):
        pow(jnp.array([2]), 3, 5)
    grad = pullback.grad(lambda v: v**2)
    assert (
        float(grad(3.0)) == 6.0
        and float(pullback.grad(grad)(3.0)) == 2.0
        and float(pullback.grad(lambda v: v**0)(0.0)) == 0.0
    )


def test_matrix_products() -> None:
    m, v = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    for a, b in ((jnp.asarray(m), jnp.asarray(v)), (m, jnp.asarray(v)), (jnp.asarray(m), v)):
        check(a @ b, m @ v)
    with pytest.raises(ValueError, match="at least one dimension"):
        jnp.asarray(v) @ 2
    with pytest.raises(TypeError, match="@"):
        jnp.asarray(v) @ [1, 2, 3]


@pytest.mark.parametrize(
    "result, dtype, weak",
    [
        (lambda: jnp.array([1, 2], "uint8") + 1, "uint8", False), (lambda: jnp.array([1], "int8") * 1.5, "float32", True),
        (lambda: jnp.array(1.0) * jnp.array([1], "int8"), "float32", True),
        (lambda: jnp.array([1], "float16") + np.float32(1), "float32", False),
        (lambda: jnp.array([1.0]) + 1j, "complex64", False), (lambda: jnp.array([1]) + 1j, "complex64", True),
        (lambda: jnp.array([1]) / 2, "float32", False),
        (lambda: jnp.array([1.0], "bfloat16") * 2, "bfloat16", False), (lambda: 2.0 - jnp.array([1.0], "bfloat16"), "bfloat16", False),
        (lambda: jnp.array(True) + True, "bool", False), (lambda: jnp.array([1]) < 2.5, "bool", False),
        (lambda: jnp.array(1.0) + 1, "float32", True),
        (lambda: jnp.float32(1) + jnp.array(1.0), "float32", False), (lambda: np.float32(2) * jnp.ones(1, "bfloat16"), "float32", False),
        (lambda: jnp.array(2) ** 2, "int32", True), (lambda: jnp.array([True]) | jnp.array([1]), "int32", False),
    ],
)  # fmt: skip
def test_types_of_results(result: Callable[[], Any], dtype: str, weak: bool) -> None:
    out = result()
    assert (out.dtype.name, out.weak_type) == (dtype, weak)


def test_unknown_operands_are_left_to_their_class() -> None:
    class Other:
        def __radd__(self, x: Any) -> str:
            return "radd"

        def __add__(self, x: Any) -> str:
            return "add"

        def __rmatmul__(self, x: Any) -> str:
            return "rmatmul"

        def __eq__(self, x: Any) -> Any:
            return "eq"

        __hash__ = None

    x = jnp.ones(2)
    assert x + Other() == "radd" and Other() + x == "add" and x @ Other() == "rmatmul" and (x == Other()) == "eq"
    assert (x == None) is False and (x != None) is True and (x == "a") is False  # noqa: E711
    for op in (operator.add, operator.lt, operator.pow, operator.matmul):
        for bad in ("a", None):
            with pytest.raises(TypeError):
                op(x, bad)


def test_lists_are_refused_on_either_side() -> None:
    x = jnp.array(2)
    for call in (
        lambda: x + [1], lambda: [1] + x, lambda: x * [1, 2], lambda: [1, 2] * x, lambda: x == [1], lambda: (1,) - x, lambda: x ** [1],
        lambda: x & (1,),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="unsupported operand"):
            call()


def test_shapes_that_do_not_fit_are_type_errors() -> None:
    for op in (operator.add, operator.lt, operator.mod):
        with pytest.raises(TypeError, match=r"incompatible shapes.*\(2,\), \(3,\)"):
            op(jnp.ones(2), jnp.ones(3))


@pytest.mark.parametrize("transform", ["jvp", "vjp", "vmap"])
def test_operators_and_methods_work_on_tracers(transform: str) -> None:
    def f(x: Any) -> Any:
        y = (2.0 * x + x * x - x / 4 + x**3) @ x.T
        return (abs(-y).sum(axis=0) + x.reshape(-1)[:2].astype("float32") + x.mean() + x.T[0].dot(x[:, 0])).max()

    x = jnp.asarray(F)
    if transform == "vmap":
        np.testing.assert_allclose(pullback.vmap(f)(jnp.stack([x, 2 * x])), [f(x), f(2 * x)], rtol=1e-5)
        return
    t = jnp.asarray(G)
    h = 1e-3
    expected = (float(f(x + h * t)) - float(f(x - h * t))) / (2 * h)
    got = pullback.jvp(f, (x,), (t,))[1] if transform == "jvp" else (pullback.grad(f)(x) * t).sum()
    np.testing.assert_allclose(got, expected, rtol=2e-2)


# ---- methods and properties -------------------------------------------------------------------------------------

AS_NUMPY: dict[str, Callable[[Any], Any]] = {
    "T": lambda x: x.T, "mT": lambda x: x.mT, "real": lambda x: x.real, "imag": lambda x: x.imag,
    "all": lambda x: x.all(), "any": lambda x: x.any(axis=0), "argmax": lambda x: x.argmax(axis=1), "argmin": lambda x: x.argmin(),
    "argsort": lambda x: x.argsort(), "astype": lambda x: x.astype(np.int32), "clip": lambda x: x.clip(-1, 2),
    "clip_max": lambda x: x.clip(max=2),
    "compress": lambda x: x.compress(np.array([False, True]), axis=0), "conj": lambda x: x.conj(), "conjugate": lambda x: x.conjugate(),
    "copy": lambda x: x.copy(),
    "cumprod": lambda x: x.cumprod(), "cumsum": lambda x: x.cumsum(axis=1), "diagonal": lambda x: x.diagonal(1),
    "dot": lambda x: x.dot(x.T),
    "flatten": lambda x: x.flatten(), "flatten_F": lambda x: x.flatten("F"), "max": lambda x: x.max(axis=-1, keepdims=True),
    "mean": lambda x: x.mean(),
    "min": lambda x: x.min(0), "nonzero": lambda x: x.nonzero(), "prod": lambda x: x.prod(), "ravel": lambda x: x.ravel(),
    "repeat": lambda x: x.repeat(2, axis=0),
    "reshape": lambda x: x.reshape(3, 2), "reshape_tuple": lambda x: x.reshape((3, -1)), "reshape_F": lambda x: x.reshape(3, 2, order="F"),
    "round": lambda x: x.round(), "round_decimals": lambda x: x.round(1),
    "sort": lambda x: np.sort(x) if isinstance(x, np.ndarray) else x.sort(),
    "squeeze": lambda x: x[:1].squeeze(0), "std": lambda x: x.std(), "sum": lambda x: x.sum(axis=1), "swapaxes": lambda x: x.swapaxes(0, 1),
    "take": lambda x: x.take(np.array([0, 2]), axis=1), "trace": lambda x: x.trace(), "transpose": lambda x: x.transpose(),
    "transpose_axes": lambda x: x.transpose(1, 0),
    "transpose_tuple": lambda x: x.transpose((1, 0)), "var": lambda x: x.var(axis=0), "tolist": lambda x: np.array(x.tolist()),
    "item": lambda x: np.array(x[0, 0].item()),
    "ptp": lambda x: np.ptp(x) if isinstance(x, np.ndarray) else x.ptp(), "iter": lambda x: tuple(x), "len": lambda x: np.array(len(x)),
}  # fmt: skip


@pytest.mark.parametrize("method", AS_NUMPY.values(), ids=AS_NUMPY)
def test_methods_are_numpys(method: Callable[[Any], Any]) -> None:
    ours, numpys = method(jnp.asarray(F)), method(F)
    for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (ours, numpys))):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_other_methods() -> None:
    x = jnp.array([3.0, 1.0, 2.0])
    assert x.sort().searchsorted(2.5).tolist() == 2
    assert jnp.array([1, 0]).choose([jnp.array([1, 2]), jnp.array([3, 4])]).tolist() == [3, 2]
    assert x.at[1].set(5.0).tolist() == [3, 5, 2] and x.tolist() == [3, 1, 2]
    assert x.argpartition(0)[0] == 1
    with pytest.raises(NotImplementedError):
        x.flat
    with pytest.raises(TypeError, match=r"x.at\[idx\].set"):
        x[0] = 1.0
    with pytest.raises(TypeError):
        hash(x)


@pytest.mark.parametrize(
    "source, dtype",
    [
        ([1.0], "int32"), ([1.0], "uint8"), ([1.0, 2.0], "complex64"), ([1 + 2j], "float32"), ([1 + 2j, 3j], "int32"),
        ([True, False], "uint8"),
        (np.array([[1, 2, 3, 4]], np.uint8), "int16"), (np.array([1, 0], np.uint8), "bool"), (1.0, "int32"),
        (np.arange(4, dtype=np.int16), "float16"),
        (np.arange(8, dtype=np.uint8), "complex64"), (np.arange(2, dtype=np.float32), "float32"),
    ],
    ids=str,
)  # fmt: skip
def test_view_is_numpys(source: Any, dtype: str) -> None:
    x = jnp.asarray(source)
    expected = np.asarray(x).view(dtype)
    out = x.view(dtype)
    assert out.dtype == expected.dtype and out.shape == expected.shape
    assert out.tobytes() == expected.tobytes()


def test_view_errors_and_byteswap() -> None:
    with pytest.raises(ValueError, match="last axis"):
        jnp.array(1.0).view("uint8")
    with pytest.raises(ValueError, match="last axis"):
        jnp.ones(3).view("complex64")
    for value in (
        np.array([1, 256], np.int16),
        np.array([1.5, -2.0], np.float32),
        np.array([1, 2], np.uint8),
        np.array([1 + 2j], np.complex64),
    ):
        assert jnp.asarray(value).byteswap().tobytes() == value.byteswap().tobytes()


def test_where_an_array_lives() -> None:
    x = jnp.ones(2)
    assert (
        repr(x.device) == "CpuDevice(id=0)" and x.devices() == {x.device} and x.platform() == "cpu" and not x.committed
    )
    assert (
        x.is_ready()
        and x.block_until_ready() is x
        and x.to_device(x.device).tolist() == [1, 1]
        and x.clone().tolist() == [1, 1]
    )
    assert (
        x.is_fully_addressable
        and x.is_fully_replicated
        and x.on_device_size_in_bytes() == x.nbytes == 8
        and x.copy_to_host_async() is None
    )
    (shard,) = x.addressable_shards
    assert shard.data is x.addressable_data(0) is x and shard.index == (slice(None),) and "replica_id=0" in repr(shard)
    assert x.unsafe_buffer_pointer() > 0
    assert x.__array_namespace__() is jnp
    with pytest.raises(ValueError, match="2020"):
        x.__array_namespace__(api_version="2020")


def test_deleted_arrays() -> None:
    x = jnp.ones(2)
    assert not x.is_deleted()
    x.delete()
    assert x.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        x + 1
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(x)


def test_tracers_hide_no_method_of_arrays() -> None:
    from pullback.core.array import Array
    from pullback.core.trace import Tracer

    def subclasses(cls: type) -> list[type]:
        return [cls, *(s for sub in cls.__subclasses__() for s in subclasses(sub))]

    for cls in subclasses(Tracer):
        own = {n for k in cls.__mro__[: cls.__mro__.index(Array)] for n in vars(k) if not n.startswith("_")}
        assert own & set(vars(Array)) <= {"aval", "shape", "dtype", "weak_type", "ndim", "size"}, cls
    x = jnp.arange(9.0).reshape(3, 3)
    for name in ("trace", "var", "std", "mean", "ravel", "argmax", "cumsum", "conj", "flatten", "min"):
        method = lambda a, name=name: getattr(a, name)()
        np.testing.assert_allclose(pullback.jit(method)(x), method(x), rtol=1e-6)
        np.testing.assert_allclose(pullback.vmap(method)(jnp.stack([x, x]))[1], method(x), rtol=1e-6)


def test_methods_and_properties_say_what_they_do() -> None:
    """Each has a docstring, and an example, unless it is a function of the namespace, too."""
    for name, member in vars(jnp.ndarray).items():
        if name.startswith("_") or not (callable(member) or isinstance(member, property)):
            continue
        doc = inspect.getdoc(member)
        assert doc and (">>> " in doc or hasattr(jnp, name)), name


@pytest.mark.parametrize("name", [name for name, (_, *described) in array_methods._PROPERTIES.items() if described])
def test_examples_of_properties_that_a_table_describes(name: str) -> None:
    """pytest finds examples in the modules' own functions and classes only."""
    text = inspect.getdoc(vars(Array)[name]) or ""
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(test, out=said.append)
    assert test.examples and not said, "".join(said)
