"""Devices: arrays that live elsewhere than on the host, and the platforms there are. The tests' CPU has three devices (conftest.py)."""

from __future__ import annotations

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
from pullback.xla import devices as module

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
