"""Devices: arrays that live elsewhere than on the host, and the platforms there are. The tests' CPU has three devices (conftest.py)."""

from __future__ import annotations

import ast
import copy
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.experimental import checkify
from pullback.xla import placement as module

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def there() -> Any:
    return pb.devices("cpu")[1]


@pytest.fixture
def x(there: Any) -> Any:
    return pb.device_put(X, there)


def test_devices() -> None:
    assert [repr(d) for d in pb.devices("cpu")] == ["CpuDevice(id=0)", "CpuDevice(id=1)", "CpuDevice(id=2)"]
    assert pb.devices("cpu")[0] is jnp.ones(2).device and pb.device_count("cpu") == pb.local_device_count("cpu") == 3
    assert (
        pb.local_devices(backend="cpu") == pb.devices("cpu") and pb.process_count() == 1 and pb.process_indices() == [0]
    )
    d = pb.devices("cpu")[1]
    assert (d.platform, d.device_kind, d.id, d.process_index, str(d), d.memory_stats()) == (
        "cpu",
        "cpu",
        1,
        0,
        "cpu:1",
        None,
    )
    assert isinstance(d, pb.Device)


FUNCTIONS = [
    lambda x: x + 1, lambda x: np.float32(2) * x, lambda x: x @ x.T, lambda x: x[0], lambda x: x[:, 1:], lambda x: x[jnp.array([1, 0])],
    lambda x: x.at[0].set(1), jnp.sort, jnp.sum, lambda x: jnp.where(x > 2, x, 0), jnp.linalg.norm, lambda x: x.astype(int),
    lambda x: jnp.concatenate([x, x]), lambda x: jnp.stack([x, X]), lambda x: x.T.reshape(6), jnp.argmax, lambda x: x > 2,
    pb.grad(lambda x: jnp.tanh(x).sum()), pb.vmap(jnp.cumsum), pb.hessian(lambda x: (x**3).sum()), jnp.linalg.svd,
    lambda x: pb.jvp(jnp.sin, (x,), (x,)), pb.jacfwd(jnp.exp), lambda x: pb.vjp(jnp.exp, x)[1](x), pb.jit(lambda x: {"a": x, "b": x * 2}),
    pb.grad(pb.jit(lambda x: (x * jnp.cos(x)).sum())), lambda x: pb.checkpoint(jnp.sin)(x), lambda x: x * pb.jit(jnp.sin)(X),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_operations_run_where_the_array_is(number: int, x: Any, there: Any) -> None:
    got, expected = FUNCTIONS[number](x), FUNCTIONS[number](jnp.asarray(X))
    for a, b in zip(pb.tree.leaves(got), pb.tree.leaves(expected)):
        assert a.device is there and a.committed and (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_host_copies_what_it_needs(x: Any) -> None:
    np.testing.assert_array_equal(x, X)
    assert x.tolist() == X.tolist() and float(x.sum()) == 15 and bool(x[0, 1] == 1) and repr(x) == repr(jnp.asarray(X))
    assert [r.tolist() for r in x] == X.tolist() and len(x) == 2 and f"{x[0, 1]:.1f}" == "1.0" and int(x[1, 0]) == 3
    assert copy.deepcopy(x).device is x.device and pickle.loads(pickle.dumps(x)).tolist() == X.tolist()
    assert isinstance(pb.device_get({"a": x})["a"], np.ndarray) and list(range(5))[x[0, 1].astype(int)] == 1
    assert jnp.bincount(x[0].astype(int)).tolist() == [1, 1, 1] and jnp.unique(x).shape == (6,)


def test_where_compiled_programs_run(x: Any, there: Any) -> None:
    host, _, third = pb.devices("cpu")
    f = pb.jit(lambda a, b: a * b)
    assert f(X, X).device is host and f(x, X).device is there and f(2.0, x).device is there
    with pb.default_device(third):
        assert f(X, X).device is third and not f(X, X).committed and f(x, X).device is there
        assert f(f(X, X), x).device is there  # what was only computed there moves
    assert f(X, X).device is host
    assert pb.jit(lambda a: a + 1, device=third)(x).device is third
    assert pb.jit(lambda a: a + 1, backend="cpu")(X).device is host


def test_committed_arrays_do_not_move_by_themselves(x: Any) -> None:
    y = pb.device_put(X, pb.devices("cpu")[2])
    for f in (pb.jit(jnp.add), jnp.add):
        with pytest.raises(
            ValueError, match=r"incompatible devices.*float32\[2,3\] on device cpu:1.*on device cpu:2.*test_devices.py"
        ):
            f(x, y)
    np.testing.assert_array_equal(x + pb.device_put(y, x.device), X + X)


def test_device_put(x: Any, there: Any) -> None:
    host = pb.devices("cpu")[0]
    tree = pb.device_put({"a": X, "b": (x, 1.0)}, {"a": there, "b": host})
    assert tree["a"].device is there and tree["b"][0].device is host and tree["b"][1].device is host
    assert pb.device_put(x).device is there and pb.device_put(x, there).committed and x.to_device(host).device is host
    assert (
        pb.jit(lambda a: pb.device_put(a, there) * 2)(X).tolist() == (X * 2).tolist()
    )  # traced values stay where the program runs
    for wrong in ("gpu", [there, 3]):
        with pytest.raises(ValueError, match="is not a device"):
            pb.device_put([X, X], wrong)
    with pytest.raises(ValueError, match="default_device must be a device"):
        pb.default_device(3)


def test_deletion_and_donation(x: Any) -> None:
    kept = x.copy()
    y = pb.jit(lambda a: a + 1, donate_argnums=0)(x)
    assert kept.device is y.device and kept.tolist() == X.tolist()
    assert x.is_deleted() and y.tolist() == (X + 1).tolist()
    y.delete()
    for use in (lambda: y + 1, lambda: np.asarray(y), lambda: pb.jit(jnp.sin)(y)):
        with pytest.raises(RuntimeError, match="deleted"):
            use()


def test_live_arrays(x: Any) -> None:
    assert any(a is x for a in pb.live_arrays("cpu"))
    x.delete()
    assert not any(a is x for a in pb.live_arrays())


def test_waiting(x: Any) -> None:
    assert x.block_until_ready() is x and x.is_ready() and pb.block_until_ready([x, X])[0] is x
    assert pb.copy_to_host_async([x])[0] is x
    with pytest.raises(pb.errors.ConcretizationTypeError, match="block_until_ready"):
        pb.jit(lambda a: a.block_until_ready())(X)
    with pytest.raises(pb.errors.ConcretizationTypeError, match="on no device"):
        pb.jit(lambda a: a.device)(X)


# ---- platforms ----------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """No platform but the CPU has been looked for; what is found here is forgotten."""
    monkeypatch.setattr(module, "_started", {"cpu": pb.devices("cpu")})
    module.plugins.cache_clear(), module._first_that_starts.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    module.plugins.cache_clear(), module._first_that_starts.cache_clear()


def test_plugins_are_found_by_their_entry_points(fresh: Any, tmp_path: Path) -> None:
    package = tmp_path / "jax_plugins" / "xla_abacus9"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    (package / "xla_abacus_plugin.so").write_bytes(b"")
    info = tmp_path / "abacus-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[jax_plugins]\nxla_abacus9 = jax_plugins.xla_abacus9\nxla_gone = jax_plugins.gone\n"
    )
    (info / "METADATA").write_text("Name: abacus\nVersion: 1\n")
    fresh.syspath_prepend(str(tmp_path))
    fresh.setenv("PJRT_NAMES_AND_LIBRARY_PATHS", "slide:/nowhere/rule.so")
    assert module.plugins()["abacus"] == package / "xla_abacus_plugin.so"
    assert module.plugins()["slide"] == Path("/nowhere/rule.so") and "gone" not in module.plugins()
    assert "jax_plugins.xla_abacus9" not in sys.modules


@pytest.mark.parametrize("variable", ["PULLBACK_PLATFORMS", "JAX_PLATFORMS"])
def test_platforms_that_do_not_start_fall_back_to_the_cpu_in_one_line(
    variable: str, fresh: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.setenv("PJRT_NAMES_AND_LIBRARY_PATHS", "abacus:/nowhere/plugin.so")
    if variable == "JAX_PLATFORMS":
        fresh.setenv(variable, "abacus,gpu")
    else:  # read when the package is imported
        fresh.setattr(pb.config.option("platforms"), "_global", "abacus,gpu")
    with caplog.at_level(logging.WARNING, "pullback"):
        assert pb.default_backend() == "cpu" and pb.default_backend() == "cpu"
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 2 and all(line.endswith("using the CPU instead") and "\n" not in line for line in lines)
    assert "abacus" in lines[0] and "no plugin for cuda or rocm" in lines[1]


def test_platforms_that_are_not_there() -> None:
    for ask in (
        pb.devices,
        pb.live_arrays,
        lambda name: pb.jit(jnp.sin, backend=name),
        lambda name: pb.local_devices(backend=name),
    ):
        with pytest.raises(RuntimeError, match="Unknown backend 'abacus'.*'cpu'"):
            ask("abacus")
    with pytest.raises(ValueError, match="process_index"):
        pb.local_devices(process_index=7)
    with pytest.raises(ValueError, match="both a device and a backend"):
        pb.jit(jnp.sin, device=pb.devices()[0], backend="cpu")
    with pytest.raises(ValueError, match="is not a device"):
        pb.jit(jnp.sin, device="cpu:0")


@pytest.mark.parametrize("option, value", [(pb.debug_nans, np.nan), (pb.debug_infs, np.inf)])
def test_eager_results_on_devices_are_checked(there: Any, option: Any, value: float) -> None:
    x = pb.device_put(np.float32([1, value]), there)
    with option(True):
        with pytest.raises(FloatingPointError, match="encountered in mul at .*test_devices.py"):
            x * 2
        assert (pb.device_put(np.float32([1, 2]), there) * 2).sum() == 6
    assert (x * 2)[0] == 2


def test_a_default_device_that_is_none() -> None:
    for name in ("nope", 3):
        with pytest.raises(ValueError, match="default_device"), pb.default_device(name):
            pass
    with pb.default_device("cpu"):
        assert jnp.ones(2).sum() == 2


MADE = {
    "zeros": lambda **on: jnp.zeros(3, **on),
    "ones": lambda **on: jnp.ones(3, **on),
    "empty": lambda **on: jnp.empty(3, **on),
    "full": lambda **on: jnp.full((2,), 1.0, **on),
    "full of an array": lambda **on: jnp.full((2, 3), X[0], **on),
    "zeros_like": lambda **on: jnp.zeros_like(X, **on),
    "ones_like": lambda **on: jnp.ones_like(X, **on),
    "full_like": lambda **on: jnp.full_like(X, 2, **on),
    "empty_like": lambda **on: jnp.empty_like(X, **on),
    "array of a list": lambda **on: jnp.array([1.0, 2.0], **on),
    "array of a scalar": lambda **on: jnp.array(1.0, **on),
    "asarray": lambda **on: jnp.asarray(X, **on),
    "arange": lambda **on: jnp.arange(3, **on),
    "arange of floats": lambda **on: jnp.arange(0, 1, 0.25, **on),
    "linspace": lambda **on: jnp.linspace(0, 1, 3, **on),
    "eye": lambda **on: jnp.eye(2, **on),
    "fftfreq": lambda **on: jnp.fft.fftfreq(3, **on),
    "from_dlpack": lambda **on: jnp.from_dlpack(X, **on),
}
OF_ARRAYS = {
    "asarray": lambda x, **on: jnp.asarray(x, **on),
    "array": lambda x, **on: jnp.array(x, **on),
    "astype": lambda x, **on: x.astype("float32", **on),
    "convert": lambda x, **on: jnp.astype(x, "int32", **on),
    "from_dlpack": lambda x, **on: jnp.from_dlpack(x, **on),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_arrays_are_made_on_the_device_asked_for(made: Any, there: Any) -> None:
    on = made(device=there)
    assert on.device is there
    assert on.committed
    assert made(device=pb.devices("cpu")[0]).device is made().device is pb.devices("cpu")[0]
    np.testing.assert_array_equal(on, made())
    with pb.default_device(there):
        assert made().device is there
        assert not made().committed
        assert made(device=pb.devices("cpu")[2]).device is pb.devices("cpu")[2]
    assert made().device is pb.devices("cpu")[0]
    np.testing.assert_array_equal(pb.jit(lambda: made(device=there))(), made())  # where the program runs
    for wrong in ("cpu", 3, [there]):
        with pytest.raises(ValueError, match="is not a device"):
            made(device=wrong)


@pytest.mark.parametrize("made", OF_ARRAYS.values(), ids=OF_ARRAYS)
def test_arrays_are_moved_to_the_device_asked_for(made: Any, there: Any) -> None:
    for x in (jnp.ones(3), pb.device_put(np.ones(3, "float32"), pb.devices("cpu")[2])):
        assert made(x, device=there).device is there
        assert made(x).device is x.device
        assert made(x).tolist() == made(x, device=there).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "like", [jnp.zeros_like, jnp.ones_like, jnp.empty_like, lambda x, **k: jnp.full_like(x, 2, **k), lambda x, **k: lax.full_like(x, 2, **k)]
)  # fmt: skip
def test_arrays_in_the_likeness_of_others_are_where_these_were_put(like: Any, there: Any) -> None:
    x = pb.device_put(np.ones(3, "float32"), there)
    for made in (like(x), like(x, dtype="int32"), like(x, shape=(2,))):
        assert made.device is there
        assert made.committed
    assert like(jnp.ones(3)).device is pb.devices("cpu")[0]
    with pb.default_device(pb.devices("cpu")[2]):
        assert like(x).device is there
    assert pb.jit(like)(x).tolist() == like(x).tolist()
    assert pb.vmap(like)(x).shape == (3,)


def test_what_else_a_default_device_is_for(there: Any) -> None:
    with pb.default_device(there):
        for made in (
            pb.random.key(0), pb.random.normal(pb.random.PRNGKey(0), (3,)), jnp.logspace(0, 1, 3), jnp.tri(3), jnp.identity(2),
            pb.lax.full((2,), 1.0), pb.lax.iota(int, 3), jnp.frombuffer(b"12345678", "int32"), jnp.zeros(3) + X[0],
        ):  # fmt: skip
            assert made.device is there


def test_traced_values_are_put_on_devices(there: Any) -> None:
    x = jnp.arange(3.0)
    assert pb.vmap(lambda v: pb.device_put(v, there))(x).device is there
    assert pb.jvp(lambda v: pb.device_put(v, there) * 2, (x,), (x,))[1].device is there
    assert pb.grad(lambda v: (pb.device_put(v, there) ** 2).sum())(x).tolist() == [0, 2, 4]
    assert pb.jit(pb.vmap(pb.grad(lambda v: pb.device_put(v, there) ** 2)))(x).tolist() == [0, 2, 4]


def test_arrays_committed_to_the_host() -> None:
    host, there, _ = pb.devices("cpu")
    a, b, free = pb.device_put(X, host), pb.device_put(X, there), jnp.asarray(X)
    assert a.committed
    assert not free.committed
    assert (a * b.to_device(host)).device is (a * free).device is host
    for x in (
        a,
        a.copy(),
        copy.deepcopy(a),
        jnp.array(a),
        pb.jit(lambda x: x * 2)(a),
        pb.device_put(a),
        pb.device_put(b, host),
    ):
        for f in (
            jnp.add,
            pb.jit(jnp.add),
            lambda x, y: jnp.where(x > 0, y, x),
            lambda x, y: pb.grad(lambda x: (x * y).sum())(x),
        ):
            for operands in ((x, b), (b, x)):
                with pytest.raises(ValueError, match="incompatible devices"):
                    f(*operands)
    with pb.default_device(there):
        elsewhere = jnp.zeros((2, 3))
        assert pb.jit(jnp.add)(a, elsewhere).device is host
        assert jnp.add(a, elsewhere).device is host
    assert pb.jit(lambda x: x + 1)(a).tolist() == (X + 1).tolist()
    assert pb.device_put(a, there).device is there


def test_programs_that_close_over_arrays_on_devices(x: Any) -> None:
    scalar = pb.device_put(2.0, x.device)
    for f in (lambda a: a * x * scalar, pb.grad(lambda a: (a * x * scalar).sum())):
        np.testing.assert_array_equal(pb.jit(f)(X), f(X))


CONSTANT = {
    "gradient of a sum": lambda x: pb.grad(jnp.sum)(x),
    "gradient of a constant": lambda x: pb.grad(lambda x: 1.0)(x),
    "gradient of a tree": lambda x: pb.grad(lambda t: t["a"].sum())({"a": x, "b": x}),
    "gradients of integers": lambda x: pb.grad(lambda x, i: 2 * x.sum(), argnums=(0, 1), allow_int=True)(x, x.astype(int))[0],
    "jvp": lambda x: pb.jvp(jnp.floor, (x,), (x,)),
    "linearize": lambda x: pb.linearize(jnp.floor, x)[1](x),
    "vjp": lambda x: pb.vjp(lambda x, y: jnp.floor(x) + y, x, x)[1](x),
    "jacfwd": lambda x: pb.jacfwd(lambda x: 2 * x)(x),
    "jacrev": lambda x: pb.jacrev(lambda x: {"a": 2 * x, "b": x[0]})(x),
    "to_matrix": lambda x: pb.linearize(jnp.square, x)[1].to_matrix(),
}  # fmt: skip


@pytest.mark.parametrize("derivative", CONSTANT.values(), ids=CONSTANT)
def test_constant_derivatives_are_where_the_argument_is(derivative: Any, x: Any, there: Any) -> None:
    for out, host in zip(pb.tree.leaves(derivative(x)), pb.tree.leaves(derivative(jnp.asarray(X))), strict=True):
        assert out.device is there
        assert out.committed
        assert host.device is pb.devices("cpu")[0]
        np.testing.assert_array_equal(out, host)
    free = pb.jit(lambda: jnp.asarray(X), device=there)()
    assert not free.committed
    assert not pb.grad(jnp.sum)(free).committed


def test_python_control_flow_on_values_of_a_device(x: Any, there: Any) -> None:
    def f(x: Any) -> Any:
        return x * float(pb.lax.stop_gradient(x)) * int(x) if x > 0 and f"{x:.1f}" == "2.0" else x

    for value in (pb.grad(f)(x[0, 2]), pb.jvp(f, (x[0, 2],), (x[0, 1],))[1]):
        assert value == 4
        assert value.device is there


def test_checks_of_values_on_a_device(x: Any) -> None:
    check = checkify.check
    check(x[0, 0] == 0, "not {}", x)
    check_all = pb.vmap(lambda row: check(row[0] < 2, "{} is too much", row[0]))
    for fail in (
        lambda x: check(x[0, 1] > 1, "{} is too much", x[0, 0] + 3),
        check_all,
        pb.grad(lambda x: (check_all(x), x.sum())[1]),
    ):
        with pytest.raises(checkify.JaxRuntimeError, match="3.* is too much"):
            fail(x)


def test_no_device_and_no_sharding_is_ignored() -> None:
    """Every function that has such a parameter uses it."""
    ignored = []
    for path in sorted(Path(module.__file__).parents[1].rglob("*.py")):
        for f in ast.walk(ast.parse(path.read_text())):
            if not isinstance(f, ast.FunctionDef):
                continue
            given = {a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)}
            names = [n for part in f.body for n in ast.walk(part) if isinstance(n, ast.Name)]
            used = {n.id for n in names if isinstance(n.ctx, ast.Load)} - {
                n.id for n in names if isinstance(n.ctx, ast.Del)
            }
            missing = given & {"device", "devices", "sharding", "out_sharding", "in_shardings", "out_shardings"} - used
            # Rules of `device_put`, a protocol, and a type of JAX's, whose sharding is not part of ours.
            rules = {"type_of", "evaluate", "lower", "transpose", "__call__", "make"}
            if missing and f.name not in rules:
                ignored.append(f"{path.name}:{f.lineno} {f.name}: {sorted(missing)}")
    assert not ignored
    key = pb.random.key(0)
    for f in (
        lambda s: pb.random.normal(key, (2,), out_sharding=s), lambda s: jnp.dot(X, X.T, out_sharding=s),
        lambda s: pb.lax.full((2,), 1.0, sharding=s), lambda s: jnp.ones(2).at[0].get(out_sharding=s), lambda s: jnp.zeros(2, out_sharding=s),
        lambda s: pb.nn.initializers.normal()(key, (2,), out_sharding=s), lambda s: jnp.ones(2).reshape(2, 1, out_sharding=s),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="there are no shardings yet"):
            f(pb.devices("cpu")[1])
    with pytest.raises(ValueError, match="sharding"):
        pb.ShapeDtypeStruct((), "float32", sharding=object())


# What moves, by direction: whether it is explicit, and what does it.
TRANSFERS = {
    "host_to_device": (
        (False, lambda here, there: there + here),
        (False, lambda here, there: there * 2.0),
        (False, lambda here, there: pb.jit(lambda x, y: x * y)(here, there)),
        (False, lambda here, there: pb.jit(lambda x, y: x * y)(X, there)),
        (True, lambda here, there: pb.device_put(X, there.device)),
        (True, lambda here, there: pb.device_put(here, there.device)),
    ),
    "device_to_device": ((True, lambda here, there: pb.device_put(there, pb.devices("cpu")[2])),),
    "device_to_host": (
        (False, lambda here, there: str(there)),
        (False, lambda here, there: np.asarray(there)),
        (False, lambda here, there: there[0, 0].item()),
        (False, lambda here, there: bool(there.any())),
        (True, lambda here, there: pb.device_get([there])),
        (True, lambda here, there: pb.copy_to_host_async(there)),
        (True, lambda here, there: pb.device_put(there, pb.devices("cpu")[0])),
    ),
}  # fmt: skip
NO_TRANSFERS = (
    lambda here, there: there[0, 0] if there.shape else there,
    lambda here, there: pb.jit(jnp.sin)(there),
    lambda here, there: pb.device_put(there, there.device),
    lambda here, there: jnp.zeros(3, device=there.device),
    lambda here, there: jnp.zeros_like(there),
    lambda here, there: float((here * 2)[0, 0]) + pb.jit(jnp.sum)(X),
)


def test_transfers_are_guarded(x: Any, caplog: Any) -> None:
    here = jnp.asarray(X)
    for direction, calls in TRANSFERS.items():
        guard = getattr(pb, f"transfer_guard_{direction}")
        way = direction.replace("_", "-")
        for number, (explicit, call) in enumerate(calls):
            call(here, x)  # compiles what there is to compile
            for level in ("allow", "log", "disallow", "log_explicit", "disallow_explicit"):
                acts = level != "allow" and (not explicit or level.endswith("explicit"))
                caplog.clear()
                with guard(level), caplog.at_level(logging.WARNING, "pullback.transfers"):
                    if acts and level.startswith("disallow"):
                        with pytest.raises(
                            pb.errors.JaxRuntimeError, match=f"Disallowed {way} transfer of .* at .*test_devices"
                        ):
                            call(here, x)
                    else:
                        call(here, x)
                logged = [r.message for r in caplog.records if r.name == "pullback.transfers"]
                expected = acts and level.startswith("log")
                assert [m.partition(" ")[0] for m in logged] == [way] * len(logged), (direction, number, level)
                assert bool(logged) == expected, (direction, number, level, logged)
    with pb.transfer_guard("disallow_explicit"):
        for call in NO_TRANSFERS[1:]:
            call(here, x)


def test_memory_spaces(x: Any) -> None:
    from pullback.memory import Space

    assert pb.device_put(x, Space.Device).device is x.device
    assert pb.device_put({"a": X}, Space.Host)["a"].device is pb.devices("cpu")[0]
    assert pb.jit(lambda v: pb.device_put(v, Space.Device) + 1)(X).tolist() == (X + 1).tolist()
    with pytest.raises(NotImplementedError, match="the host's memory of cpu:1"):
        pb.device_put(x, Space.Host)
    with pytest.raises(ValueError, match="Any does not say"):
        pb.device_put(x, Space.Any)


def test_former_names_and_the_environment(capsys: Any) -> None:
    for former, now in (
        ("host_id", pb.process_index),
        ("host_count", pb.process_count),
        ("host_ids", pb.process_indices),
    ):
        with pytest.warns(DeprecationWarning, match=f"{former} is now called {now.__name__}"):
            assert getattr(pb, former)() == now()
    text = pb.print_environment_info(return_string=True)
    assert text is not None
    assert pb.print_environment_info() is None and capsys.readouterr().out == text + "\n"
    for part in ("pullback: 0.", "jaxlib: ", "devices: 3 of platform cpu", "process_count: 1"):
        assert part in text


def test_one_process() -> None:
    from pullback import distributed

    assert not distributed.is_initialized()
    distributed.initialize("localhost:1", 1, 0)
    try:
        assert distributed.is_initialized()
        with pytest.raises(RuntimeError, match="takes effect once"):
            distributed.initialize(num_processes=1)
    finally:
        distributed.shutdown()
    assert not distributed.is_initialized()
    for kwargs, error in (
        ({}, ValueError),
        ({"num_processes": 2}, NotImplementedError),
        ({"num_processes": 1, "process_id": 1}, ValueError),
    ):
        with pytest.raises(error, match=r"distributed\.initialize"):
            distributed.initialize(**kwargs)


def test_what_processes_do_together() -> None:
    from pullback.experimental import multihost_utils as together
    from pullback.experimental.pjit import pjit

    tree = {"a": np.arange(3), "b": jnp.float32(2)}
    stacked, joined = together.process_allgather(tree), together.process_allgather(tree, tiled=True)
    assert stacked["a"].tolist() == [[0, 1, 2]] and joined["a"].tolist() == [0, 1, 2]
    assert type(stacked["b"]) is np.ndarray and stacked["b"].tolist() == [2] and joined["b"].shape == ()
    assert together.broadcast_one_to_all(tree)["b"] == 2
    together.sync_global_devices("here")
    together.assert_equal(tree, "different")
    mesh = pb.make_mesh((1,), ("x",))
    whole = together.host_local_array_to_global_array(tree, mesh, {"a": pb.P("x"), "b": pb.P()})
    assert together.global_array_to_host_local_array(whole, mesh, pb.P())["a"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="P\\('x'"):
        together.host_local_array_to_global_array(np.float32(1), mesh, pb.P("x"))
    assert pjit(lambda x, n: x * n, static_argnums=1)(jnp.ones(2), 3).tolist() == [3, 3]
    with pytest.raises(NotImplementedError, match="several devices"):
        pjit(lambda x: x, pb.P("x"))
