"""XLA and PJRT as `jaxlib` has them: the one file that imports it.

Buffers here are jaxlib's arrays of one device; everything above sees them as opaque handles, and
makes `Array`s of them.

What Pullback needs of a jaxlib is looked for when this file is imported (`_NEEDED`) and when the
first client is there (`_prove`). What differs between the jaxlibs that work is found out here, by
what is there and not by versions. Raises ImportError where something is missing.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pullback.core.config import num_cpu_devices
from pullback.core.dtypes import is_numpys
from pullback.core.locks import new_lock
from pullback.core.types import ShapedArray
from pullback.xla import forks
from pullback.xla.capabilities import capabilities_of
from pullback.xla.kernels import has_kernels
from pullback.xla.text import physical_dtype

# XLA's C++ side logs to stderr from the moment it is loaded.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

#: The jaxlibs that are known to work: the bounds in `pyproject.toml`.
REQUIREMENT = "jaxlib>=0.10,<0.13"


def _unusable(what: str) -> ImportError:
    """The error for a jaxlib that does not have what is needed."""
    import sys
    from importlib import metadata

    try:
        installed = f"jaxlib {metadata.version('jaxlib')}"
    except metadata.PackageNotFoundError:
        installed = "no jaxlib"
    return ImportError(
        f"Pullback cannot compile with what is installed ({installed}): {what}. Versions that work: {REQUIREMENT}. "
        f"To install one: {sys.executable} -m pip install '{REQUIREMENT}'",
        name="jaxlib",
    )


try:
    from jaxlib import _jax, version, xla_client
except ImportError as error:
    raise _unusable(str(error)) from error

#: What is used of jaxlib without being asked for by name first. `_prove` sees whether the functions
#: take what they are given.
_NEEDED = (
    (_jax, """ArrayImpl.block_until_ready ArrayImpl.delete ArrayImpl.is_deleted ArrayImpl.is_ready ArrayImpl.unsafe_buffer_pointer
        Client.compile_and_load Client.deserialize_executable Client.local_devices CompileOptions DeviceList
        ExecuteResults.consume_with_handlers HostBufferSemantics.IMMUTABLE_ONLY_DURING_CALL HostBufferSemantics.ZERO_COPY
        JaxRuntimeError LoadedExecutable.execute_sharded LoadedExecutable.serialize SingleDeviceSharding array_result_handler
        batched_block_until_ready batched_device_put mlir.mlir_module_to_xla_computation set_tracebacks_enabled"""),
    (xla_client, "DeviceAssignment.create HloSharding.replicate make_cpu_client register_custom_call_target"),
)  # fmt: skip


def _missing(module: Any, path: str) -> bool:
    holder = module
    for name in path.split("."):
        holder = getattr(holder, name, None)
    return holder is None


@contextmanager
def _as_expected() -> Iterator[None]:
    """What is done in the context uses jaxlib in a way that not all versions of it allow: its
    refusal becomes the error for that."""
    try:
        yield
    except (AttributeError, ImportError, TypeError) as error:
        raise _unusable(f"it is used differently ({str(error).splitlines()[0]})") from error


_lacking = [f"{m.__name__}.{path}" for m, paths in _NEEDED for path in paths.split() if _missing(m, path)]
if _lacking:
    raise _unusable(f"it has no {', '.join(_lacking)}")

XlaRuntimeError = _jax.JaxRuntimeError
VERSION: str = version.__version__

_jax.set_tracebacks_enabled(False)


class OnDevice(_jax.SingleDeviceSharding):
    """Where a buffer lives: one device. The methods are those that jaxlib's C++ side calls."""

    is_fully_addressable = True
    is_fully_replicated = True
    memory_kind = None
    device_set = property(lambda self: {self._device})
    addressable_devices = device_set
    _device_assignment = property(lambda self: (self._device,))

    def shard_shape(self, shape: Any) -> Any:
        return shape

    def _to_xla_hlo_sharding(self, ndim: int) -> Any:
        return xla_client.HloSharding.replicate()

    def devices_indices_map(self, shape: Any) -> Any:
        return {self._device: (slice(None),) * len(shape)}


class Platform:
    """One PJRT client with its devices."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.version: str = client.platform_version
        #: One for each device.
        self.targets = [Target(self, [d]) for d in client.local_devices()]


class Target:
    """Where buffers are put and programs run: devices of one platform, of which the programs are
    partitions; today, one. It is what `placement.Placement` is to the runtime."""

    __slots__ = ("platform", "devices", "sharding", "device_list", "ids")

    def __init__(self, platform: Platform, devices: list[Any]) -> None:
        self.platform, self.devices = platform, devices
        self.ids = [d.id for d in devices]
        (device,) = devices
        self.sharding = OnDevice(device)
        self.device_list = _jax.DeviceList(tuple(devices))


_lock = new_lock(1, globals(), "_lock")
_cpu: Platform | None = None


def cpu() -> Platform:
    """The CPU's client, made on first use; the option `num_cpu_devices`, or
    `XLA_FLAGS=--xla_force_host_platform_device_count=n`, gives it several devices. Raises
    RuntimeError in a process that was forked from one that has it."""
    global _cpu
    if _cpu is None:
        with _lock:
            forks.check()
            if _cpu is None:
                count = num_cpu_devices.value
                options = {"num_devices": count} if count > 0 else {}
                platform = Platform(xla_client.make_cpu_client(asynchronous=True, **options))
                forks.running.append(platform)
                _prove(platform.targets[0])
                _cpu = platform
    return _cpu


def _prove(target: Target) -> None:
    """Raise ImportError unless jaxlib takes what it is given here: arguments and methods change
    between versions of it."""
    value = np.zeros((), np.float32)
    with _as_expected():
        buffer = put(value, target)
        wait([buffer])
        to_numpy(buffer, value.dtype)
        result_handler(ShapedArray((), value.dtype), target)
        compile_options(target, ())


@forks.in_child
def _forget() -> Platform | None:
    global _cpu
    left, _cpu = _cpu, None
    return left


def plugin(name: str, library: Path) -> Platform:
    """The client of a PJRT plugin. Raises XlaRuntimeError where it finds no device it can use."""
    forks.check()
    if not xla_client.pjrt_plugin_loaded(name):
        xla_client.load_pjrt_plugin_dynamically(name, str(library))
    if not xla_client.pjrt_plugin_initialized(name):
        xla_client.initialize_pjrt_plugin(name)
    options = xla_client.generate_pjrt_gpu_plugin_options() if name in ("cuda", "rocm") else {}
    platform = Platform(xla_client.make_c_api_client(name, options, None))
    forks.running.append(platform)
    return platform


def profiler() -> Any:
    """jaxlib's profiler: sessions, annotations, servers."""
    with _as_expected():
        from jaxlib import _profiler

        return _profiler


def profile_data() -> Any:
    """jaxlib's readers of what the profiler has recorded."""
    with _as_expected():
        from jaxlib import _profile_data

    # jaxlib makes types when it gives parts of a profile and there are none yet. Python 3.13 warns of
    # how it does, and where warnings are errors the process would end: so they are made here, and kept.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        data = _profile_data.ProfileData.from_text_proto(_SMALL_PROFILE)
        for plane in data.planes:
            for line in plane.lines:
                for event in line.events:
                    parts = data.planes, plane.lines, plane.stats, line.events, event.stats
                    _types_of_profiles.update(map(type, parts))
    return _profile_data


_types_of_profiles: set[type] = set()
_SMALL_PROFILE = """planes { id: 1 event_metadata { key: 1 value { id: 1 name: "event" } }
    lines { id: 1 events { metadata_id: 1 duration_ps: 1 } } }"""


# ---- buffers -------------------------------------------------------------------------------------


def put(value: Any, target: Target) -> Any:
    """A buffer with the contents of a NumPy value that nobody writes to; it shares memory if
    alignment permits."""
    dtype = value.dtype
    if not is_numpys(dtype):
        value = np.ascontiguousarray(value).view(physical_dtype(dtype))
    elif value.__class__ is not np.ndarray:
        value = np.asarray(value)
    return _put(_Type(value.shape, value.dtype), target.sharding, [value], target.devices, True, False, _SHARE, True)


def put_copy(value: Any, target: Target) -> Any:
    """A buffer with a copy of the contents of a NumPy array of plain type, made before this
    returns."""
    return _put(_Type(value.shape, value.dtype), target.sharding, [value], target.devices, True, False, _COPY, True)


class _Type:
    """As little of a type as jaxlib asks for."""

    __slots__ = ("shape", "dtype")
    weak_type = False

    def __init__(self, shape: Any, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype


_put = _jax.batched_device_put
# With the last argument True, 64-bit arrays stay 64-bit arrays, whatever another user of jaxlib in
# this process has set.
_SHARE = _jax.HostBufferSemantics.ZERO_COPY
_COPY = _jax.HostBufferSemantics.IMMUTABLE_ONLY_DURING_CALL


def to_numpy(buffer: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """The contents as a NumPy array nobody may write to: a view of the same memory on the CPU.
    Waits until they are there."""
    buffer.block_until_ready()  # raises if it could not be computed; the buffer protocol would end the process
    # By the buffer protocol: jaxlib's own methods for this look for the `jax` package each time.
    value = np.asarray(buffer)
    if value.dtype.kind == "O":  # NumPy hides the protocol's error: another thread has donated the buffer in between
        raise XlaRuntimeError("INVALID_ARGUMENT: buffer has been deleted or donated")
    return value if is_numpys(dtype) else value.view(dtype)


#: Wait until the contents of all of some buffers are there.
wait: Callable[[Sequence[Any]], None] = _jax.batched_block_until_ready


# ---- executables ---------------------------------------------------------------------------------


class Executable:
    """A compiled program for a target.

    `loaded.execute_sharded(buffers).consume_with_handlers(handlers)` runs it: buffers in, buffers
    out, which may not be there yet.
    """

    __slots__ = ("loaded", "target", "handlers")

    def __init__(self, loaded: Any, target: Target, out_types: Sequence[ShapedArray]) -> None:
        self.loaded, self.target = loaded, target
        self.handlers = [result_handler(t, target) for t in out_types]


#: jaxlib up to 0.10 checks by methods of JAX's arrays, which ours have not, how results are put
#: together unless it is told not to.
_UNCHECKED = {"_skip_checks": True} if "_skip_checks" in (_jax.array_result_handler.__doc__ or "") else {}


def result_handler(t: ShapedArray, target: Target) -> Any:
    """What makes a buffer of a result of type `t`."""
    return _jax.array_result_handler(_Type(t.shape, physical_dtype(t.dtype)), target.sharding, True, **_UNCHECKED)


def compile_options(target: Target, options: tuple[tuple[str, Any], ...]) -> Any:
    """XLA's options: one replica, of which `target`'s devices have a partition each, and debug
    options by name."""
    compiled = _jax.CompileOptions()
    build = compiled.executable_build_options
    build.num_replicas, build.num_partitions = 1, len(target.ids)
    build.device_assignment = xla_client.DeviceAssignment.create(np.array([target.ids]))
    build.debug_options.xla_cpu_enable_fast_math = False
    overrides = []
    for name, value in options:
        holder = next((o for o in (build.debug_options, build) if hasattr(o, name)), None)
        try:
            setattr(holder, name, value)
        except (AttributeError, TypeError):  # by texts XLA sets options of any name and type, or says what is wrong
            overrides.append((name, value))
    if overrides:
        compiled.env_option_overrides = overrides
    return compiled


def settings(target: Target) -> bytes:
    """All of XLA's options as they are in this process, whatever has set them: flags in the
    environment or in files, which XLA reads once."""
    serialized: bytes = compile_options(target, ()).SerializeAsString()
    return serialized


#: XLA's passes for CPUs that know no optimization barriers: one takes them out before operations
#: are fused and equal ones merged, so that what is to be kept (`xla.fusion`) would be computed
#: again, and what is to be computed again (`checkpoint`) would be kept; one puts small loops into
#: kernels of a kind that cannot have them. Nor can those kernels have others in them: where we make
#: some (`xla.kernels`), XLA is not to.
_AGAINST_BARRIERS, _SMALL_LOOPS = "cse_barrier_expander", "small-while-loop-hoisting"


def _has_barrier_in_loop(text: str) -> bool:
    """Whether an optimization barrier stands in a loop, or may stand in a function that a loop
    calls."""
    if re.search(r"func\.func private @(module|composite)", text):
        return True
    in_loop = [False]  # for each region around the line
    for line in text.splitlines():
        if line.startswith("})"):
            in_loop.pop()
        elif line.endswith("({"):
            in_loop.append(in_loop[-1] or '"stablehlo.while"' in line)
        elif in_loop[-1] and '"stablehlo.optimization_barrier"' in line:
            return True
    return False


def compile_text(
    text: str, target: Target, out_types: Sequence[ShapedArray], options: tuple[tuple[str, Any], ...] = (),
    callbacks: Sequence[Callable[..., Any]] = (),
) -> Executable:  # fmt: skip
    """Compile a StableHLO module. XLA releases the interpreter lock while it works."""
    client = target.platform.client
    if any(name in text for name in _LAPACK_NAMES):
        register_lapack()
    against = []
    if "optimization_barrier" in text and capabilities_of(client.platform).keeps_barriers:
        against.append(_AGAINST_BARRIERS)
    if has_kernels(text) or (against and _has_barrier_in_loop(text)):
        against.append(_SMALL_LOOPS)
    if against:
        options = (("xla_disable_hlo_passes", ",".join(against)), *options)
    settings = compile_options(target, options)
    with _as_expected():
        if callbacks:
            loaded = client.compile_and_load(parse(text), target.device_list, settings, list(callbacks))
        else:
            loaded = client.compile_and_load(text, target.device_list, settings)
    return Executable(loaded, target, out_types)


@lru_cache(maxsize=1)
def mlir() -> SimpleNamespace:
    """What builds MLIR: the module `ir`, those of the dialects (`func`, `stablehlo`, `chlo`, `mhlo`), and
    `new_context`, which gives a context that knows them."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import chlo, func, mhlo, stablehlo

    return SimpleNamespace(ir=ir, func=func, chlo=chlo, mhlo=mhlo, stablehlo=stablehlo, new_context=_new_context)


def _new_context() -> Any:
    from jaxlib.mlir import ir
    from jaxlib.mlir._mlir_libs import _jax_mlir_ext
    from jaxlib.mlir.dialects import chlo, mhlo, stablehlo

    context = ir.Context()
    registry = ir.DialectRegistry()
    _jax_mlir_ext.register_dialects(registry)
    context.append_dialect_registry(registry)
    context.load_all_available_dialects()
    mhlo.register_mhlo_dialect(context)
    chlo.register_dialect(context)
    stablehlo.register_dialect(context)
    return context


def parse(text: str) -> Any:
    """A module as an object, which is what programs with callbacks are taken in."""
    return mlir().ir.Module.parse(text, _new_context())


def main_types(text: str) -> list[str]:
    """The types of the arguments and then of the results of a module's function `main`. Raises
    ValueError for what is no module."""
    from jaxlib.mlir import ir

    try:
        module = parse(text)
    except ir.MLIRError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    for operation in module.body.operations:
        if operation.operation.name == "func.func" and ir.StringAttr(operation.attributes["sym_name"]).value == "main":
            kind = ir.FunctionType(ir.TypeAttr(operation.attributes["function_type"]).value)
            return [str(t) for t in (*kind.inputs, *kind.results)]
    raise ValueError("there is no function main")


def hlo(text: str) -> Any:
    """A StableHLO module's text as XLA's computation, before XLA's passes."""
    return _jax.mlir.mlir_module_to_xla_computation(text)


def deserialize(
    data: bytes, target: Target, out_types: Sequence[ShapedArray], options: tuple[tuple[str, Any], ...] = ()
) -> Executable:
    """The executable that `serialize` wrote. Only for data that this user's own process wrote."""
    if any(name.encode() in data for name in _LAPACK_NAMES):
        register_lapack()
    with _as_expected():
        loaded = target.platform.client.deserialize_executable(
            data, target.device_list, compile_options(target, options)
        )
    return Executable(loaded, target, out_types)


def register_target(name: str, function: Any, platform: str, api_version: int, **options: Any) -> None:
    """Make a function known to XLA by name: a capsule with a pointer, or a dict of such by stages."""
    xla_client.register_custom_call_target(name, function, platform=platform, api_version=api_version, **options)


def register_type(name: str, registration: Any, platform: str) -> None:
    """Make a type that foreign functions keep between their stages known to XLA by name."""
    xla_client.register_custom_type(name, registration, platform=platform)


def include_directory() -> str:
    """The folder of the headers with which foreign functions are compiled."""
    return str(Path(xla_client.__file__).parent / "include")


#: What the names of the kernels that `register_lapack` registers have in them.
_LAPACK_NAMES = ("lapack_", "tridiagonal_solve_perturbed", "cpu_csr_sparse_dense_ffi")


@lru_cache(maxsize=1)
def register_lapack() -> None:
    """Make the LAPACK kernels known to XLA by name, which call SciPy's LAPACK, and the product of a
    sparse matrix with a dense one."""
    with _as_expected():
        from jaxlib import cpu_sparse, lapack

        for name, function, api_version in (*lapack.registrations()["cpu"], *cpu_sparse.registrations()["cpu"]):
            xla_client.register_custom_call_target(name, function, platform="cpu", api_version=api_version)
        lapack._lapack.initialize()
