"""Callbacks from running programs: pure, with effects, for debugging; and what happens when they fail."""

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.debug
import pullback.numpy as jnp
from pullback import lax
from pullback.experimental import io_callback

STRUCT = pb.ShapeDtypeStruct((3,), "float32")


def test_pure_callbacks_in_compiled_code():
    f = lambda x: pb.pure_callback(lambda a: np.sin(a), STRUCT, x) * 2
    x = jnp.arange(3.0)
    assert np.allclose(pb.jit(f)(x), 2 * np.sin(np.arange(3.0)))
    g = lambda x: pb.pure_callback(np.sin, pb.ShapeDtypeStruct((), "float32"), x, vmap_method="sequential")
    assert np.allclose(pb.jit(pb.vmap(g))(x), np.sin(np.arange(3.0)))
    assert np.allclose(pb.vmap(pb.jit(g))(x), np.sin(np.arange(3.0)))


@pytest.mark.parametrize("dtype", ["bool", "bfloat16", "complex64", "int4", "uint8"])
def test_callbacks_take_and_give_every_dtype(dtype):
    x = jnp.array([0, 1, 1], dtype)
    seen = []

    def f(a):
        seen.append(a.dtype)
        return a

    got = pb.jit(lambda x: pb.pure_callback(f, pb.ShapeDtypeStruct((3,), dtype), x))(x)
    assert got.dtype == x.dtype == seen[0] and np.array_equal(np.asarray(got), np.asarray(x))


def test_an_exception_in_a_callback_reaches_the_caller():
    def fails(x):
        raise KeyError("the reason")

    with pytest.raises(pb.errors.JaxRuntimeError, match="the reason") as info:
        pb.block_until_ready(pb.jit(lambda x: pb.pure_callback(fails, STRUCT, x))(jnp.ones(3)))
    assert isinstance(info.value.__cause__, KeyError)
    with pytest.raises(pb.errors.JaxRuntimeError, match="announces"):
        pb.block_until_ready(pb.jit(lambda x: pb.pure_callback(lambda a: a[:2], STRUCT, x))(jnp.ones(3)))


@pytest.mark.parametrize("value", [1.5, True, 1j, np.int16(1)])
def test_what_a_callback_returns_is_not_cut_off_to_what_is_announced(value):
    call = lambda x: pb.pure_callback(lambda a: value, pb.ShapeDtypeStruct((), "int32"), x)
    with pytest.raises(ValueError, match="announces int32"):
        call(jnp.float32(1))
    with pytest.raises(pb.errors.JaxRuntimeError, match="announces int32"):
        pb.block_until_ready(pb.jit(call)(jnp.float32(1)))
    for same in (2, np.int64(2), np.int32(2), jnp.int32(2)):
        assert int(pb.jit(lambda x: pb.pure_callback(lambda a: same, pb.ShapeDtypeStruct((), "int32"), x))(1.0)) == 2


def test_effects_happen_once_a_run_and_in_order():
    seen = []

    @pb.jit
    def f(x):
        io_callback(lambda v: seen.append(("a", float(v))), None, x, ordered=True)
        io_callback(lambda v: seen.append(("b", float(v))), None, x + 1, ordered=True)
        y = io_callback(lambda v: np.float32(v + 10), pb.ShapeDtypeStruct((), "float32"), x)
        io_callback(lambda v: seen.append(("c", float(v))), None, x, ordered=True)
        return y

    assert f(1.0) == 11.0 and f(2.0) == 12.0
    assert seen == [("a", 1.0), ("b", 2.0), ("c", 1.0), ("a", 2.0), ("b", 3.0), ("c", 2.0)]


def test_a_function_of_effects_alone():
    seen = []
    pb.jit(lambda x: io_callback(lambda v: seen.append(float(v)), None, x))(3.0)
    assert seen == [3.0]


def test_effects_under_transformations():
    seen = []
    effect = lambda x: io_callback(lambda v: seen.append(float(v)), None, x)
    pb.jit(pb.vmap(effect))(jnp.arange(3.0))
    assert sorted(seen) == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="ordered"):
        pb.vmap(lambda x: io_callback(print, None, x, ordered=True))(jnp.arange(3.0))
    with pytest.raises(ValueError, match="JVP"):
        pb.grad(lambda x: io_callback(lambda v: v, pb.ShapeDtypeStruct((), "float32"), x))(1.0)


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit], ids=["eager", "jit"])
def test_print(wrap, capsys):
    def f(x):
        pullback.debug.print("x is {:.1f}, and twice {twice}", x, twice=2 * x)
        return jnp.sin(x)

    wrap(f)(1.5)
    assert capsys.readouterr().out == "x is 1.5, and twice 3.0\n"
    assert np.allclose(wrap(pb.grad(f))(1.5), np.cos(1.5))
    assert capsys.readouterr().out == "x is 1.5, and twice 3.0\n"
    wrap(pb.vmap(f))(jnp.array([1.0, 2.0]))
    assert sorted(capsys.readouterr().out.splitlines()) == ["x is 1.0, and twice 2.0", "x is 2.0, and twice 4.0"]


def test_print_checks_its_format():
    with pytest.raises(ValueError, match="does not use"):
        pullback.debug.print("no place", 1.0)
    with pytest.raises(IndexError):
        pullback.debug.print("{} {}", 1.0)
    with pytest.raises(KeyError):
        pullback.debug.print("{name}", other=1.0)


def test_debug_callback_sees_trees():
    seen = []
    pb.jit(lambda p: pullback.debug.callback(lambda q: seen.append(float(q["a"])), p))({"a": 2.0})
    assert seen == [2.0]


@pytest.mark.parametrize("option", ["debug_nans", "debug_infs"])
def test_what_makes_nan_or_infinity_in_a_compiled_program_is_named(option):
    @pb.jit
    def f(x):
        y = jnp.sin(x) - 1
        return jnp.log(y) if option == "debug_nans" else 1 / (y + 1)

    with pb.config.option(option)(True):
        with pytest.raises(FloatingPointError, match=r"(log|div).*test_debug\.py:\d+"):
            f(0.0)
        if option == "debug_infs":
            assert np.isfinite(f(1.0))
    f(0.0)


def test_io_callbacks_are_not_called_where_the_program_does_not_come():
    # Over a batch, all branches are computed, and loops run on until every element has stopped.
    calls = []
    io = lambda x: io_callback(lambda v: calls.append(float(v)) or np.float32(0), pb.ShapeDtypeStruct((), "float32"), x)
    branch = lambda x: pb.lax.cond(x > 0, pb.jit(io), lambda x: 0.0, x)
    loop = lambda x: pb.lax.while_loop(lambda c: c < 2, lambda c: io(c) + c + 1, x)
    for f, where in ((branch, "cond"), (loop, "while")):
        for wrap in (lambda f: f, pb.jit):
            with pytest.raises(NotImplementedError, match=rf"vmap-of-{where}.*test_debug\.py"):
                wrap(pb.vmap(f))(jnp.array([1.0, -1.0]))
    assert calls == []
    # Where all elements go one way, they are called.
    outs = pb.vmap(lambda x, way: pb.lax.cond(way > 0, io, lambda x: 0.0, x), (0, None))(jnp.arange(2.0), 1.0)
    assert calls == [0.0, 1.0] and outs.shape == (2,)


def test_breakpoints_stop_where_the_program_comes_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where it is traced: a branch that is not taken does not stop, and variables have values."""
    stops: list[tuple[int, dict[str, Any]]] = []
    monkeypatch.setattr("pdb.Pdb.set_trace", lambda self, frame: stops.append((frame.f_lineno, dict(frame.f_locals))))

    def f(x: Any) -> Any:
        y = {"double": x * 2}
        pb.debug.breakpoint()
        return y["double"]

    stop = pb.jit(lambda x: lax.cond(x > 5, f, lambda x: x, x))
    assert float(stop(1.0)) == 1 and not stops
    assert float(stop(6.0)) == 12
    ((line, variables),) = stops
    assert line == f.__code__.co_firstlineno + 2
    assert float(variables["x"]) == 6 and float(variables["y"]["double"]) == 12
    lax.switch(0, [lambda: 1.0, lambda: (pb.debug.breakpoint(), 2.0)[1]])
    assert len(stops) == 1
    lax.fori_loop(0, 3, lambda i, x: f(x), 1.0)
    assert [float(v["x"]) for _, v in stops[1:]] == [1, 2, 4]
    f(jnp.float32(1.0))
    assert len(stops) == 5


def test_print_callback_and_log_in_two_calls(capsys, caplog):
    def f(x):
        pullback.debug.print(ordered=True)("{x}, {ordered} and {partitioned}", x=x, ordered=2 * x, partitioned=3)
        pullback.debug.callback(ordered=True)(lambda ordered: seen.append(float(ordered)), ordered=x)
        pullback.debug.print("no arguments")
        pullback.debug.print(skip_format_check=True)("unused", x)
        pullback.debug.log("logged {x}", x=x)
        return x

    for wrap in (lambda f: f, pb.jit):
        seen = []
        with caplog.at_level("INFO", "pullback.debug"):
            wrap(f)(1.5)
        assert sorted(capsys.readouterr().out.splitlines()) == ["1.5, 3.0 and 3", "no arguments", "unused"]
        assert (seen, [r.message for r in caplog.records]) == ([1.5], ["logged 1.5"])
        caplog.clear()
    pullback.debug.log()("not shown at this level")
    assert not caplog.records and not capsys.readouterr().out
    with pytest.raises(ValueError, match="does not use argument"):  # in the second call it is an argument like others
        pullback.debug.print()("{x}", x=1.0, ordered=True)
    for call in (lambda: pullback.debug.print(x=1.0), lambda: pullback.debug.callback(x=1.0)):
        with pytest.raises(TypeError, match=r"was given arguments \(x\) and nothing to do"):
            call()
    with pytest.raises(TypeError, match="takes a format string first"):
        pullback.debug.print(1.0)


def test_where_arrays_are():
    found = []
    look = lambda x: (pullback.debug.inspect_array_sharding(x, callback=lambda s: found.extend(s.device_set)), x.sum())[
        1
    ]
    here, there = pb.devices("cpu")[:2]
    x, y = jnp.ones(3), pb.device_put(np.ones(3), there)
    for wrap in (lambda f: f, pb.grad, pb.vmap, pb.jit, lambda f: pb.jit(pb.grad(f))):
        found.clear()
        wrapped = wrap(look)
        wrapped(x)
        wrapped(y)
        assert found == [here, there], wrap
    wrapped(x)
    assert len(found) == 2  # programs tell it when they are compiled
    found.clear()
    pb.jit(look, device=there).lower(x)
    assert found == [there]
    pb.export.export(pb.jit(look))(x)
    assert found == [there]
    with pytest.raises(TypeError, match="inspect_array_sharding"):
        pullback.debug.inspect_array_sharding("x", callback=print)


def test_pictures_of_shardings(capsys):
    from pullback.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

    def picture(shape, sharding, **options):
        pullback.debug.visualize_sharding(shape, sharding, **options)
        return capsys.readouterr().out.splitlines()

    one, mesh = SingleDeviceSharding(pb.devices("cpu")[0]), Mesh([pb.devices("cpu")[:2]], ("x", "y"))
    assert picture((100, 10), one) == ["┌───────┐", *["│       │"] * 4, "│ CPU 0 │", *["│       │"] * 4, "└───────┘"]
    rows = picture((4, 6), NamedSharding(mesh, PartitionSpec("y")))
    assert rows[:6] == [
        f"┌{'─' * 35}┐",
        *[f"│{' ' * 35}│"],
        f"│{'CPU 0'.center(35)}│",
        *[f"│{' ' * 35}│"] * 2,
        f"├{'─' * 35}┤",
    ]
    assert picture((6,), NamedSharding(mesh, PartitionSpec("y")))[1] == "│ CPU 0 │ CPU 1 │"
    assert picture((6,), NamedSharding(mesh, PartitionSpec()), color_map=lambda x: (x, 0, 0))[1] == "│CPU 0,1│"
    assert max(map(len, picture((1, 10**6), NamedSharding(mesh, PartitionSpec(None, "y")), scale=2.0))) <= 80
    pb.jit(lambda x: pullback.debug.visualize_array_sharding(x))(jnp.ones(3))
    assert "│ CPU 0 │" in capsys.readouterr().out
    for shape in ((), (1, 1, 1), (0, 3)):
        with pytest.raises(ValueError, match="one or two axes that have elements"):
            picture(shape, one)
    with pytest.raises(TypeError, match="got 'x' of type 'str'"):
        picture((4, 4), "x")
