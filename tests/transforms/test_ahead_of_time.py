"""The steps of jit ahead of time: trace, lower, compile."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import stages
from pullback.xla.placement import Device

STRUCT = pb.ShapeDtypeStruct((3,), "float32")


def test_the_steps():
    f = pb.jit(lambda p, n, scale=1.0: {"y": jnp.sin(p["x"]) * n * scale}, static_argnums=1)
    assert isinstance(f, stages.Wrapped)
    traced = f.trace({"x": STRUCT}, 2)
    assert [e.primitive.name for e in traced.jaxpr.eqns] == ["sin", "mul", "mul"]
    assert traced.out_info == {"y": STRUCT}
    lowered = traced.lower()
    text = lowered.as_text()
    assert "stablehlo.sine" in text and "loc(" not in text
    assert "test_ahead_of_time.py" in lowered.as_text(debug_info=True)
    assert "HloModule" in lowered.as_text("hlo")
    assert "stablehlo.sine" in str(lowered.compiler_ir())
    assert "func.func" in str(lowered.compiler_ir("stablehlo"))
    computation = lowered.compiler_ir("hlo")
    assert "HloModule" in computation.as_hlo_text()
    assert computation.as_serialized_hlo_module_proto()
    for wrong in ("mhlo", "", 3):
        for text in (lowered.as_text, lowered.compiler_ir):
            with pytest.raises(ValueError, match="unknown dialect"):
                text(wrong)
    compiled = lowered.compile()
    assert np.allclose(compiled({"x": jnp.ones(3)})["y"], 2 * np.sin(1.0))
    assert compiled.cost_analysis()["flops"] > 0
    assert compiled.memory_analysis().output_size_in_bytes >= 12
    assert "HloModule" in compiled.as_text()
    info = lowered.args_info[0][0]["x"]
    assert info.shape == (3,) and not info.donated


def test_what_it_was_not_compiled_for_is_refused():
    compiled = pb.jit(lambda p, y: p["w"] * y).lower({"w": STRUCT}, STRUCT).compile()
    with pytest.raises(TypeError, match=r"args\[0\]\['w'\]: compiled for float32\[3\], called with float32\[4\]"):
        compiled({"w": jnp.ones(4)}, jnp.ones(3))
    with pytest.raises(TypeError, match=r"args\[1\].*int32\[3\]"):
        compiled({"w": jnp.ones(3)}, jnp.ones(3, jnp.int32))
    with pytest.raises(TypeError, match="structure"):
        compiled(jnp.ones(3), jnp.ones(3))
    with pytest.raises(TypeError, match="cannot be transformed"):
        pb.grad(lambda x: jnp.sum(compiled({"w": x}, x)))(jnp.ones(3))
    with pytest.raises(ValueError, match="dialect"):
        pb.jit(jnp.sin).lower(1.0).as_text("french")


def test_donation_and_options():
    lowered = pb.jit(lambda x: x + 1, donate_argnums=0).lower(STRUCT)
    assert "jax.buffer_donor = true" in lowered.as_text()
    assert lowered.args_info[0][0].donated
    x = jnp.ones(3)
    assert np.all(np.asarray(lowered.compile({"xla_cpu_enable_fast_math": False})(x)) == 2)
    assert x.is_deleted()


def test_no_array_is_needed_to_know_the_results_type():
    f = pb.jit(lambda x: (x @ x.T, x.astype(int)))
    assert f.eval_shape(pb.ShapeDtypeStruct((2, 3), "float32")) == (
        pb.ShapeDtypeStruct((2, 2), "float32"), pb.ShapeDtypeStruct((2, 3), "int32"),
    )  # fmt: skip


def test_a_failure_of_the_compiler_names_operation_and_line(impossible):
    from pullback.core.trace import current

    with pytest.raises(pb.errors.JaxRuntimeError, match=r"operation impossible.*test_ahead_of_time\.py:\d+"):
        pb.jit(lambda x: current().process(impossible, (x,), {}))(1.0)


def test_memory_that_is_not_there():
    with pytest.raises(pb.errors.JaxRuntimeError, match=r"RESOURCE_EXHAUSTED|[Oo]ut of memory|allocat"):
        pb.block_until_ready(pb.jit(lambda x: jnp.zeros((1 << 24, 1 << 22)) + x)(1.0))


# ---- devices and platforms ----------------------------------------------------------------------------------------


def test_executables_take_arrays_of_devices():
    there, elsewhere = pb.devices("cpu")[1:]
    x = np.float32([1, 2])
    compiled = pb.jit(lambda x: x + 1, device=there).lower(x).compile()
    assert compiled(pb.device_put(x, there)).device is there and compiled(x).device is there
    on_host = pb.jit(lambda x: x + 1).lower(x).compile()
    for run, where in ((compiled, elsewhere), (on_host, there)):
        with pytest.raises(ValueError, match="runs on device cpu:.*on device cpu:.*device_put"):
            run(pb.device_put(x, where))
    with pb.default_device(there):
        free = pb.jit(jnp.sin)(x)  # computed there, not put there
    np.testing.assert_array_equal(on_host(free), compiled(free))


def test_modules_are_for_the_platform_of_their_device():
    cuda = Device("cuda", 0)
    a = np.eye(2, dtype=np.float32)
    lowered = pb.jit(jnp.linalg.cholesky).trace(a).lower()
    assert "lapack_spotrf" in lowered.as_text()
    with pb.default_device(cuda), pytest.raises(NotImplementedError, match="'cholesky' .*'cuda'.*LAPACK.*'cpu' only"):
        pb.jit(jnp.linalg.cholesky).trace(a).lower()
    with pytest.raises(NotImplementedError, match="'cholesky' .*'cuda'.*LAPACK"):
        pb.jit(jnp.linalg.cholesky, device=cuda).lower(a)
    with pytest.raises(NotImplementedError, match="'cpu', 'cuda'.*one platform"):
        pb.jit(jnp.sin).trace(a).lower(lowering_platforms=("cpu", "cuda"))
    with pytest.raises(ValueError, match="lowered for platform 'cuda'.*cpu:0"):
        pb.jit(jnp.sin).trace(a).lower(lowering_platforms=("cuda",)).compile()


@pytest.mark.parametrize(
    "function, operation",
    [
        (lambda x: pb.pure_callback(np.sin, x, x), "pure_callback"),
        (lambda x: pb.debug.print("{}", x), "debug_callback"),
        (lambda x: jnp.linalg.qr(x)[0], "qr"),
    ],
)
def test_what_only_cpus_have_is_refused_when_lowering_for_others(function, operation):
    with pytest.raises(NotImplementedError, match=f"'{operation}' cannot be compiled for platform 'tpu'"):
        pb.jit(function).trace(jnp.eye(2)).lower(lowering_platforms=("tpu",))
