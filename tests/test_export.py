"""Exported functions: artifacts that another process loads, calls and differentiates."""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import json
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import pullback
import pullback.numpy as jnp
from pullback import export as ex
from pullback import grad, jit, value_and_grad, vmap
from pullback.export import artifact
from pullback.xla.placement import Device


def model(params: Any, x: Any, *, scale: Any) -> Any:
    return {"y": jnp.tanh(x @ params["w"] + params["b"]) * scale, "n": jnp.arange(3)}


PARAMS = {"w": np.linspace(-1, 1, 6).reshape(2, 3).astype(np.float32), "b": np.ones(3, np.float32)}
X = np.linspace(0, 1, 8).reshape(4, 2).astype(np.float32)


@pytest.fixture(scope="module")
def exported() -> ex.Exported:
    return ex.export(jit(model))(PARAMS, X, scale=2.0)


def loss(f: Any) -> Any:
    return lambda params, x: (f(params, x, scale=2.0)["y"] ** 2).sum()


def assert_trees_equal(a: Any, b: Any) -> None:
    pullback.tree.map(np.testing.assert_array_equal, a, b)


def test_call_gives_what_the_function_gives(exported: ex.Exported) -> None:
    assert_trees_equal(exported.call(PARAMS, X, scale=2.0), jit(model)(PARAMS, X, scale=2.0))
    assert_trees_equal(jit(lambda p, x: exported.call(p, x, scale=2.0))(PARAMS, X), jit(model)(PARAMS, X, scale=2.0))


def test_signature(exported: ex.Exported) -> None:
    assert exported.fun_name == "model"
    assert [t.str_short() for t in exported.in_avals] == ["float32[3]", "float32[2,3]", "float32[4,2]", "float32[]"]
    assert [t.str_short() for t in exported.out_avals] == ["int32[3]", "float32[4,3]"]
    assert exported.platforms == ("cpu",) and exported.nr_devices == 1
    assert "stablehlo.tanh" in exported.mlir_module()
    assert exported.mlir_module_serialized == exported.mlir_module().encode()


def test_arguments_without_use_are_not_kept() -> None:
    e = ex.export(jit(lambda x, unused, y: x + y))(1.0, 2.0, 3.0)
    assert e.module_kept_var_idx == (0, 2)
    assert e.call(1.0, np.nan, 3.0) == 4.0


@pytest.mark.parametrize("order", [0, 1, 2])
def test_derivatives_as_far_as_they_were_serialized(order: int) -> None:
    f = lambda x: jnp.sin(x) * x
    loaded = ex.deserialize(ex.export(jit(f))(np.float32(0.3)).serialize(vjp_order=order))
    got, expected = loaded.call, f
    for _ in range(order):
        got, expected = grad(got), grad(expected)
    np.testing.assert_allclose(got(np.float32(0.3)), expected(np.float32(0.3)), rtol=1e-6)
    with pytest.raises(ValueError, match="No VJP is available.*vjp_order"):
        grad(got)(np.float32(0.3))


def test_gradient_with_respect_to_trees_with_integers(exported: ex.Exported) -> None:
    loaded = ex.deserialize(exported.serialize(vjp_order=1))
    got = value_and_grad(loss(loaded.call), argnums=(0, 1))(PARAMS, X)
    expected = value_and_grad(loss(model), argnums=(0, 1))(PARAMS, X)
    pullback.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)


def test_second_derivative_of_a_function_that_is_still_here() -> None:
    e = ex.export(jit(lambda x: jnp.sum(x**3)))(X)
    np.testing.assert_allclose(grad(lambda x: grad(e.call)(x).sum())(X), 6 * X, rtol=1e-6)


def test_random_keys_and_complex_and_narrow_types_cross() -> None:
    key = pullback.random.key(3)
    draw = lambda k, z, h: (pullback.random.normal(k, (3,)), jnp.exp(z), h * 2, pullback.random.split(k))
    args = (key, np.complex64(1 + 2j), jnp.ones(3, jnp.bfloat16))
    blob = ex.export(jit(draw))(*args).serialize()
    *got, keys = ex.deserialize(blob).call(*args)
    *expected, expected_keys = jit(draw)(*args)
    assert_trees_equal(got, expected)
    assert_trees_equal(pullback.random.key_data(keys), pullback.random.key_data(expected_keys))


def test_large_constants_are_in_the_artifact() -> None:
    table = np.arange(1000.0, dtype=np.float32)
    loaded = ex.deserialize(ex.export(jit(lambda i: jnp.asarray(table)[i]))(np.int32(0)).serialize())
    assert loaded.call(np.int32(7)) == 7.0


def test_linear_algebra_is_exported_for_cpus() -> None:
    a = np.array([[2.0, 1.0], [1.0, 3.0]], np.float32)
    loaded = ex.deserialize(ex.export(jit(jnp.linalg.cholesky))(a).serialize(1))
    np.testing.assert_allclose(loaded.call(a), np.linalg.cholesky(a), rtol=1e-6)
    np.testing.assert_allclose(
        grad(lambda m: loaded.call(m).sum())(a), grad(lambda m: jnp.linalg.cholesky(m).sum())(a), rtol=1e-5
    )
    with pytest.raises(NotImplementedError, match="LAPACK.*'cpu' only"):
        ex.export(jit(jnp.linalg.cholesky), platforms=["tpu"])(a)


def test_static_arguments_are_part_of_the_function() -> None:
    e = ex.export(jit(lambda x, n: x**n, static_argnums=1))(2.0, 3)
    assert e.call(2.0) == 8.0


def test_shape_dtype_structs_stand_for_arguments() -> None:
    e = ex.export(jit(jnp.cos))(pullback.ShapeDtypeStruct((2,), np.float32))
    np.testing.assert_allclose(e.call(np.zeros(2, np.float32)), 1.0)


# ---- another process ----------------------------------------------------------------------------------------------


def test_another_process_loads_calls_and_differentiates(exported: ex.Exported, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(exported.serialize(vjp_order=1))
    np.savez(tmp_path / "data.npz", X, *PARAMS.values())
    program = """
import sys, numpy as np, pullback
data = np.load(sys.argv[2]); x, w, b = (data[k] for k in data)
f = pullback.export.deserialize(open(sys.argv[1], "rb").read())
loss = lambda p, x: (f.call(p, x, scale=2.0)["y"] ** 2).sum()
value, gradient = pullback.value_and_grad(loss)({"w": w, "b": b}, x)
np.savez(sys.argv[3], value, gradient["w"], gradient["b"])
"""
    paths = [str(tmp_path / name) for name in ("model.bin", "data.npz", "out.npz")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True)
    expected, gradient = value_and_grad(loss(model))(PARAMS, X)
    for got, want in zip(np.load(paths[2]).values(), [expected, gradient["w"], gradient["b"]]):
        np.testing.assert_allclose(got, want, rtol=1e-5)


class Pair(NamedTuple):
    a: Any
    b: Any


@pytest.fixture
def registrations() -> Any:
    from pullback.export import artifact

    before = dict(artifact._by_type), dict(artifact._by_name)
    yield
    for table, saved in zip((artifact._by_type, artifact._by_name), before):
        table.clear()
        table.update(saved)


def test_named_tuples_are_known_by_a_name(registrations: Any) -> None:
    e = ex.export(jit(lambda p: Pair(p.b, p.a)))(Pair(1.0, 2.0))
    with pytest.raises(ValueError, match="register_namedtuple_serialization"):
        e.serialize()
    ex.register_namedtuple_serialization(Pair, serialized_name="test.Pair")
    with pytest.raises(ValueError, match="Duplicate"):
        ex.register_namedtuple_serialization(Pair, serialized_name="other")
    assert ex.deserialize(e.serialize()).call(Pair(1.0, 2.0)) == Pair(2.0, 1.0)


def test_registered_containers_are_known_by_a_name(registrations: Any) -> None:
    class Box:
        def __init__(self, content: Any, tag: str) -> None:
            self.content, self.tag = content, tag

    pullback.tree_util.register_pytree_node(Box, lambda b: ((b.content,), b.tag), lambda tag, xs: Box(xs[0], tag))
    ex.register_pytree_node_serialization(
        Box, serialized_name="test.Box", serialize_auxdata=str.encode, deserialize_auxdata=lambda b: bytes(b).decode()
    )
    blob = ex.export(jit(lambda b: Box(b.content + 1, b.tag + "!")))(Box(1.0, "x")).serialize()
    result = ex.deserialize(blob).call(Box(1.0, "x"))
    assert result.content == 2.0 and result.tag == "x!"
    with pytest.raises(ValueError, match="same pytree structure"):
        ex.deserialize(blob).call(Box(1.0, "y"))


def test_ordered_dicts_keep_their_order() -> None:
    args = collections.OrderedDict([("z", 1.0), ("a", 2.0)])
    loaded = ex.deserialize(ex.export(jit(lambda d: d))(args).serialize())
    assert list(loaded.call(args)) == ["z", "a"]


# ---- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ((PARAMS, X[:3]), {"scale": 2.0}, r"Shape mismatch for args\[1\].*float32\[4,2\].*float32\[3,2\]"),
        ((PARAMS, X.astype(int)), {"scale": 2.0}, r"Dtype mismatch for args\[1\].*float32\[4,2\].*int"),
        (({**PARAMS, "w": X}, X), {"scale": 2.0}, r"Shape mismatch for args\[0\]\['w'\]"),
        ((PARAMS, X), {"scale": np.ones(2, np.float32)}, r"Shape mismatch for kwargs\['scale'\]"),
        ((PARAMS,), {"scale": 2.0}, "same pytree structure"),
    ],
)
def test_wrong_arguments_are_named(exported: ex.Exported, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exported.call(*args, **kwargs)


def test_functions_that_are_not_jitted_are_refused() -> None:
    with pytest.raises(ValueError, match="must be the result of `jit`"):
        ex.export(lambda x: x)
    with pytest.raises(ValueError, match="must be the result of `jit`"):
        ex.export(np.sin)
    with pytest.raises(ValueError, match="platforms must be among"):
        ex.export(jit(jnp.sin), platforms=["abacus"])


def test_python_callbacks_are_refused() -> None:
    def f(x: Any) -> Any:
        return pullback.pure_callback(np.sin, pullback.ShapeDtypeStruct((), np.float32), x)

    with pytest.raises(NotImplementedError, match="Python functions of this process"):
        ex.export(jit(f))(np.float32(1))


def test_other_platforms_are_refused_unless_the_check_is_off() -> None:
    with pytest.raises(ValueError, match="exported for platforms.*'tpu'.*used on 'cpu'"):
        ex.export(jit(jnp.sin), platforms=["tpu"])(1.0).call(1.0)
    check = ex.DisabledSafetyCheck.platform()
    assert ex.export(jit(jnp.cos), platforms=["tpu"], disabled_checks=[check])(0.0).call(0.0) == 1.0


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda b: b[:-10], "damaged or cut short"),
        (lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:], "damaged or cut short"),
        (lambda b: b[:20], "damaged|version"),
        (lambda b: b"", "no exported function"),
        (lambda b: b"pickle" + b, "no exported function"),
        (lambda b: b.replace(b"exported 2\n", b"exported 9\n"), "version of the format"),
    ],
)
def test_damaged_artifacts_are_refused(exported: ex.Exported, damage: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ex.deserialize(damage(bytes(exported.serialize())))


def test_what_is_not_bytes_is_refused() -> None:
    with pytest.raises(TypeError):
        ex.deserialize("text")  # type: ignore[arg-type]


def test_dict_keys_that_are_not_strings_are_refused() -> None:
    with pytest.raises(TypeError, match="string keys"):
        ex.export(jit(lambda d: d))({1: 1.0}).serialize()


@pytest.mark.parametrize("order", [-1, 1.5])
def test_order_of_vjps_is_a_natural_number(exported: ex.Exported, order: Any) -> None:
    with pytest.raises(ValueError, match="vjp_order"):
        exported.serialize(vjp_order=order)


def test_forward_mode_says_what_to_do() -> None:
    e = ex.export(jit(jnp.sin))(np.float32(0))
    with pytest.raises(TypeError):
        pullback.jvp(e.call, (np.float32(0),), (np.float32(1),))


def test_vmap_calls_for_one_element_after_the_other() -> None:
    table = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    e = ex.export(jit(lambda x, y: (jnp.outer(x, y).sum(0), x[0])))(table[0], table[1])
    for axes in ((0, 0), (None, 0), (0, None)):
        xs = [table if axis == 0 else table[0] for axis in axes]
        for got, wanted in zip(vmap(e.call, axes)(*xs), vmap(lambda x, y: (jnp.outer(x, y).sum(0), x[0]), axes)(*xs)):
            np.testing.assert_allclose(got, wanted, rtol=1e-6)
    slopes = vmap(grad(lambda x: e.call(x, table[1])[0].sum()))(table)
    np.testing.assert_allclose(slopes, np.full((3, 4), table[1].sum()), rtol=1e-6)


def test_the_default_platform_is_that_of_the_default_device() -> None:
    assert ex.default_export_platform() == "cpu"
    with pullback.default_device(Device("cuda", 0)):
        assert ex.default_export_platform() == "cuda"
        assert ex.export(jit(jnp.sin))(1.0).platforms == ("cuda",)


ROW = np.linspace(0.1, 1, 3, dtype=np.float32)
READY_MADE = {
    "jnp": (jnp.sin, lambda: (ROW,), {}),
    "lax": (pullback.lax.sin, lambda: (ROW,), {}),
    "two operands": (jnp.add, lambda: (ROW, ROW), {}),
    "custom rules": (pullback.nn.relu, lambda: (ROW,), {}),
    "keywords": (jnp.sum, lambda: (ROW,), {"axis": 0, "keepdims": True}),
    "texts": (jnp.einsum, lambda: ("i,i", ROW, ROW), {}),
    "linear algebra": (jnp.linalg.inv, lambda: (np.eye(3, dtype=np.float32),), {}),
}


class Model:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @functools.partial(jit, static_argnums=0)
    def method(self, x: Any) -> Any:
        return x * self.scale

    @staticmethod
    @jit
    def static(x: Any) -> Any:
        return x + 1


@pytest.mark.parametrize("case", READY_MADE.values(), ids=READY_MADE)
def test_ready_made_functions(case: Any) -> None:
    f, args, keywords = case
    arrays = [a for a in args() if not isinstance(a, str)]
    exported = ex.deserialize(ex.export(f)(*args(), **keywords).serialize(vjp_order=1))
    np.testing.assert_allclose(exported.call(*arrays), f(*args(), **keywords), rtol=1e-6)
    assert exported.has_vjp()


def test_jitted_methods() -> None:
    assert ex.export(Model(3.0).method)(ROW).call(ROW).tolist() == (3 * ROW).tolist()
    assert ex.export(Model(3.0).static)(ROW).call(ROW).tolist() == (1 + ROW).tolist()
    assert "stablehlo.multiply" in Model(2.0).method.lower(ROW).as_text()
    assert Model(2.0).method.eval_shape(ROW).shape == (3,)
    assert str(Model(2.0).method.trace(ROW).jaxpr.out_avals[0]) == "float32[3]"


# ---- damage -----------------------------------------------------------------------------------------------------


def signed(body: bytes) -> bytes:
    """An artifact whose checksum is right, whatever is in it."""
    return artifact._MAGIC + artifact._VERSION + hashlib.sha256(body).digest() + body


@pytest.fixture(scope="module")
def blob() -> bytes:
    return bytes(ex.export(jit(lambda x: jnp.sin(x) * 2))(ROW).serialize(vjp_order=1))


def described(blob: bytes) -> tuple[list[dict[str, Any]], bytes]:
    body = blob[artifact._HEADER :]
    start = 8 + int.from_bytes(body[:8], "little")
    return json.loads(body[8:start]), body[start:]


def rebuilt(description: Any, modules: bytes) -> bytes:
    text = json.dumps(description).encode()
    return signed(len(text).to_bytes(8, "little") + text + modules)


def test_every_damaged_byte_and_every_cut_is_a_value_error(blob: bytes) -> None:
    for k in range(len(blob)):
        damaged = bytearray(blob)
        damaged[k] ^= 0x5A
        for bad in (bytes(damaged), blob[:k]):
            with pytest.raises(ValueError, match=r"export\.deserialize"):
                ex.deserialize(bad)
    for bad in (blob + b"x", b"", b"x", blob[1:], blob * 2):
        with pytest.raises(ValueError, match=r"export\.deserialize"):
            ex.deserialize(bad)
    for wrong in (None, 3, "text", [1], {}, 1.5):
        with pytest.raises(TypeError):
            ex.deserialize(wrong)


def test_damage_under_a_right_checksum_is_a_value_error(blob: bytes) -> None:
    """Bytes of which somebody has made a new checksum: an artifact that says what it holds, or a ValueError."""
    body, rng = blob[artifact._HEADER :], np.random.default_rng(0)
    for k in range(len(body)):
        damaged = bytearray(body)
        damaged[k] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(ValueError):
            exported = ex.deserialize(signed(bytes(damaged)))
            assert exported.in_avals[0].shape == (3,)
        with pytest.raises(ValueError, match=r"export\.deserialize"):
            ex.deserialize(signed(body[:k]))
    for length in (1 << 62, (1 << 64) - 1, len(body), 0):
        with pytest.raises(ValueError, match=r"export\.deserialize"):
            ex.deserialize(signed(length.to_bytes(8, "little") + body[8:]))
    deep = b"[" * 100_000
    with pytest.raises(ValueError, match=r"export\.deserialize"):
        ex.deserialize(signed(len(deep).to_bytes(8, "little") + deep))


WRONG: list[Any] = [None, -1, 1.5, [], [[]], [None], 10**30, {"node": "x"}, {"node": "tuple"}, "y"]


@pytest.mark.parametrize("field", [*artifact.Signature.FIELDS, "constraints", "modules"])
def test_wrong_fields_are_value_errors(blob: bytes, field: str) -> None:
    description, modules = described(blob)
    for value in WRONG:
        changed = json.loads(json.dumps(description))
        changed[0][field] = value
        with contextlib.suppress(ValueError):
            ex.deserialize(rebuilt(changed, modules)).call(ROW)
        del changed[0][field]
        with pytest.raises(ValueError, match=r"export\.deserialize"):
            ex.deserialize(rebuilt(changed, modules))


@pytest.mark.parametrize(
    "module",
    [
        b"junk", b"", b"module {}", b"\xff\xfe",
        b'module { func.func public @main(%a: tensor<4xf32>) -> (tensor<4xf32>) { "func.return"(%a) : (tensor<4xf32>) -> () } }',
    ],
)  # fmt: skip
def test_modules_that_do_not_fit_are_value_errors(blob: bytes, module: bytes) -> None:
    description, _ = described(blob)
    short = zlib.compress(module)
    with pytest.raises(ValueError, match=r"export\.deserialize"):
        ex.deserialize(rebuilt([{**description[0], "modules": [[["cpu"], len(short)]]}], short))


def test_short_artifacts_do_not_fill_the_memory(blob: bytes) -> None:
    description, _ = described(blob)
    bomb = zlib.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"export\.deserialize"):
            ex.deserialize(rebuilt([{**description[0], "modules": [[["cpu"], len(bomb)]]}], bomb))
        assert tracemalloc.get_traced_memory()[1] < 300 * len(bomb)
    finally:
        tracemalloc.stop()
    even = np.tile(np.float32([0.0, 0.0, 1.0]), 200_000)  # what is really that even is written otherwise
    exported = ex.deserialize(ex.export(jit(lambda x: x + even))(even).serialize())
    np.testing.assert_array_equal(exported.call(even), 2 * even)
