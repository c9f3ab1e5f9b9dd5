"""Callbacks that write into buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.experimental.buffer_callback import ExecutionStage, buffer_callback

F = jnp.arange(3.0)


def test_results_are_what_is_written() -> None:
    kept: list[Any] = []

    def both(ctx: Any, out: Any, x: Any, y: Any) -> None:
        kept.append(out["sum"])
        assert ctx.stage is ExecutionStage.EXECUTE and not x["a"].writeable and out["sum"].writeable
        np.asarray(out["sum"])[...] = np.asarray(x["a"]) + np.asarray(y)
        np.from_dlpack(out["count"])[...] += 7

    types = {"sum": pb.ShapeDtypeStruct((3,), "float32"), "count": pb.ShapeDtypeStruct((), "int32")}
    f = buffer_callback(both, types)
    for wrap in (lambda f: f, pb.jit):
        out = wrap(f)({"a": F}, y=2 * F)
        assert (out["sum"].tolist(), int(out["count"])) == ([0.0, 3.0, 6.0], 7)
        np.asarray(kept[-1])[...] = -1  # too late
        assert out["sum"].tolist() == [0.0, 3.0, 6.0]
    assert (repr(kept[0]), kept[0].ndim, kept[0].shape, kept[0].dtype) == (
        "Buffer(float32[3], writeable)",
        1,
        (3,),
        np.float32,
    )
    for dtype in ("bfloat16", "complex64", "bool", "int4"):
        copied = buffer_callback(
            lambda ctx, out, x: np.copyto(np.asarray(out), np.asarray(x)), pb.ShapeDtypeStruct((2,), dtype)
        )
        assert pb.jit(copied)(jnp.ones(2, dtype)).tolist() == jnp.ones(2, dtype).tolist()


def test_aliases_begin_with_the_argument() -> None:
    def add(ctx: Any, out: Any, x: Any, y: Any) -> None:
        np.asarray(out)[...] += np.asarray(y)

    f = buffer_callback(
        add, pb.ShapeDtypeStruct((3,), "float32"), input_output_aliases={0: 0}, vmap_method="broadcast_all"
    )
    assert pb.jit(f)(F, F).tolist() == [0.0, 2.0, 4.0] and F.tolist() == [0.0, 1.0, 2.0]
    assert pb.vmap(f, in_axes=(None, 0))(F, jnp.ones((2, 3))).tolist() == [[1.0, 2.0, 3.0]] * 2
    with pytest.raises(ValueError, match="cannot become result 0"):
        f(F.astype(int), F)
    with pytest.raises(ValueError, match="there are 2 arguments and 1 results"):
        buffer_callback(add, F, input_output_aliases={2: 0})(F, F)


def test_mapped() -> None:
    shapes: list[Any] = []

    def double(ctx: Any, out: Any, x: Any, y: Any) -> None:
        shapes.append((out.shape, x.shape, y.shape))
        np.asarray(out)[...] = np.asarray(x) * np.asarray(y)

    x = jnp.arange(6.0).reshape(2, 3)
    for method, seen in (
        ("sequential", [((3,), (3,), ())] * 2),
        ("expand_dims", [((2, 3), (2, 3), (1,))]),
        ("broadcast_all", [((2, 3), (2, 3), (2,))]),
    ):

        def whole(ctx: Any, out: Any, x: Any, y: Any) -> None:
            shapes.append((out.shape, x.shape, y.shape))
            np.asarray(out)[...] = np.asarray(x) * np.asarray(y)[..., None]

        f = buffer_callback(
            whole if method != "sequential" else double, pb.ShapeDtypeStruct((3,), "float32"), vmap_method=method
        )
        for wrap in (pb.vmap, lambda f, **how: pb.jit(pb.vmap(f, **how))):
            shapes.clear()
            np.testing.assert_array_equal(wrap(f, in_axes=(0, None))(x, jnp.float32(2)), 2 * x)
            assert shapes == seen, method
    f = buffer_callback(double, pb.ShapeDtypeStruct((3,), "float32"))
    with pytest.raises(NotImplementedError, match="vmap_method"):
        pb.vmap(f, in_axes=(0, None))(x, 2.0)


def test_side_effects_happen_once() -> None:
    calls: list[float] = []

    def log(ctx: Any, out: Any, x: Any) -> None:
        calls.append(float(np.asarray(x)))

    f = buffer_callback(log, (), has_side_effect=True)
    pb.jit(lambda x: (f(x), f(x), x)[2])(1.0)
    pb.vmap(f)(F)
    assert calls == [1.0, 1.0, 0.0, 1.0, 2.0]
    g = buffer_callback(log, ())
    pb.jit(lambda x: (g(x), x)[1])(1.0)
    assert len(calls) == 5  # it has no effect that anybody has been told of


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="must be callable"):
        buffer_callback(3, F)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vmap_method must be one of"):
        buffer_callback(print, F, vmap_method="quickly")
    returning = buffer_callback(lambda ctx, out, x: x, F)
    with pytest.raises(ValueError, match="returns None"):
        returning(F)
    with pytest.raises(pb.errors.JaxRuntimeError, match="returns None"):
        pb.block_until_ready(pb.jit(returning)(F))
    writing = buffer_callback(lambda ctx, out, x: np.asarray(x).fill(0), F)
    with pytest.raises(ValueError, match="read-only"):
        writing(F)
    streaming = buffer_callback(lambda ctx, out, x: ctx.stream, F)
    with pytest.raises(RuntimeError, match="no stream"):
        streaming(F)
    with pytest.raises(ValueError, match="JVP"):
        pb.grad(lambda x: buffer_callback(lambda ctx, out, x: None, F)(x).sum())(F)
