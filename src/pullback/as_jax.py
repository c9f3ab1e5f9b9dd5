"""Run JAX programs on Pullback: inside the process, the name `jax` means Pullback.

    python -m pullback.as_jax script.py [args]      as `python script.py [args]`
    python -m pullback.as_jax -m module [args]      as `python -m module [args]`
    python -m pullback.as_jax -c code [args]        as `python -c code [args]`

or, in a program of your own, before anything imports jax:

    from pullback import as_jax
    as_jax.install()

`import jax.X` then imports `pullback.X` and gives an alias of it: a module named `jax.X` whose
names are looked up in `pullback.X`. What Pullback lacks is missing under its JAX name
(`AttributeError: module 'jax.numpy' has no attribute 'foo'`), and Pullback's internal packages do
not show. An installed `jax` is hidden until `uninstall()`; one that is already imported is an
error.

Environment variables with JAX's names, such as JAX_ENABLE_X64, JAX_THREEFRY_PARTITIONABLE,
JAX_DEBUG_NANS and JAX_DISABLE_JIT, set the options of those names on installation, unless the
option's own variable, PULLBACK_..., is set too.

Child processes that `multiprocessing` starts by spawning are new processes: they need `install()`
of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import linecache
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple

from pullback.core import config

#: The release of JAX whose public API Pullback follows: what `jax.__version__` says.
JAX_VERSION = "0.10.2"
#: The modules of that API that Pullback has, below `jax`. Others are no modules of the alias,
#: whatever else there is in the package.
MODULES = frozenset([
    "ad_checkpoint", "api_util", "checkpoint_policies", "core", "custom_batching", "custom_derivatives", "debug", "distributed", "dlpack",
    "dtypes", "errors", "example_libraries", "example_libraries.optimizers", "example_libraries.stax", "experimental",
    "experimental.buffer_callback", "experimental.checkify", "experimental.layout", "experimental.multihost_utils", "experimental.ode",
    "experimental.pjit", "experimental.random", "experimental.sparse", "experimental.sparse.linalg", "experimental.xla_metadata", "export",
    "extend", "extend.backend", "extend.core", "extend.core.primitives", "extend.linear_util", "extend.random", "extend.source_info_util",
    "ffi", "flatten_util", "image", "interpreters", "interpreters.ad", "interpreters.batching", "interpreters.mlir",
    "interpreters.partial_eval", "interpreters.pxla", "interpreters.xla", "lax", "lax.linalg", "memory", "nn", "nn.initializers", "numpy",
    "numpy.fft", "numpy.linalg", "ops", "profiler", "random", "scipy", "scipy.cluster", "scipy.cluster.vq", "scipy.fft", "scipy.integrate",
    "scipy.interpolate", "scipy.linalg", "scipy.ndimage", "scipy.optimize", "scipy.signal", "scipy.sparse", "scipy.sparse.linalg",
    "scipy.spatial", "scipy.spatial.transform", "scipy.special", "scipy.stats", "scipy.stats.bernoulli", "scipy.stats.beta",
    "scipy.stats.betabinom", "scipy.stats.binom", "scipy.stats.cauchy", "scipy.stats.chi2", "scipy.stats.dirichlet", "scipy.stats.expon",
    "scipy.stats.gamma", "scipy.stats.gennorm", "scipy.stats.geom", "scipy.stats.gumbel_l", "scipy.stats.gumbel_r", "scipy.stats.laplace",
    "scipy.stats.logistic", "scipy.stats.multinomial", "scipy.stats.multivariate_normal", "scipy.stats.nbinom", "scipy.stats.norm",
    "scipy.stats.pareto", "scipy.stats.poisson", "scipy.stats.t", "scipy.stats.truncnorm", "scipy.stats.uniform", "scipy.stats.vonmises",
    "scipy.stats.wrapcauchy", "sharding", "stages", "test_util", "tree", "tree_util", "typing",
])  # fmt: skip
#: Modules whose names are in another one than that of the same name, which has Pullback's internals.
ELSEWHERE = {"core": "extend.public_core"}
#: The names of `jax` itself, but for its modules. Those of a module are in its `__all__`, or are
#: all that it has.
NAMES = frozenset([
    "Array", "Device", "NamedSharding", "P", "ShapeDtypeStruct", "block_until_ready", "check_tracer_leaks", "checking_leaks", "checkpoint",
    "clear_caches", "closure_convert", "config", "copy_to_host_async", "custom_gradient", "custom_jvp", "custom_vjp", "debug_infs",
    "debug_key_reuse", "debug_nans", "default_backend", "default_device", "default_matmul_precision", "default_prng_impl", "device_count",
    "device_get", "device_put", "devices", "disable_jit", "ds", "effects_barrier", "enable_checks", "enable_custom_prng", "enable_x64",
    "ensure_compile_time_eval", "eval_shape", "explain_cache_misses", "float0", "fwd_and_bwd", "grad", "hessian", "host_count", "host_id",
    "host_ids", "jacfwd", "jacobian", "jacrev", "jit", "jvp", "legacy_prng_key", "linear_transpose", "linearize", "live_arrays",
    "local_device_count", "local_devices", "log_compiles", "make_jaxpr", "make_mesh", "named_call", "named_scope", "numpy_dtype_promotion",
    "numpy_rank_promotion", "print_environment_info", "process_count", "process_index", "process_indices", "pure_callback", "remat",
    "reshard", "set_mesh", "threefry_partitionable", "transfer_guard", "transfer_guard_device_to_device", "transfer_guard_device_to_host",
    "transfer_guard_host_to_device", "typeof", "value_and_grad", "vjp", "vmap",
])  # fmt: skip
_MISSING: Any = object()

# ---- the alias -----------------------------------------------------------------------------------


class AliasModule(ModuleType):
    """The module `jax...`, whose names are those of Pullback's module `target`.

    What has been looked up is kept; what is assigned to the alias stays in the alias.
    """

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self._target = target
        self.__path__: list[str] = []  # every alias is a package, whose sub-modules only the finder below finds
        self.__file__ = getattr(target, "__file__", None)
        if name == "jax":
            self.__version__ = JAX_VERSION
            self.__version_info__ = tuple(map(int, JAX_VERSION.split(".")))

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return [n for n in dir(self) if not n.startswith("_")]
        value = getattr(self._target, name, _MISSING) if is_public(self._target, name) else _MISSING
        if value is _MISSING or (isinstance(value, ModuleType) and value.__name__.partition(".")[0] == "pullback"):
            full = f"{self.__name__}.{name}" if value is _MISSING else "jax" + value.__name__.removeprefix("pullback")
            if name.startswith("__") or target_of(full) is None:
                raise AttributeError(
                    f"module {self.__name__!r} has no attribute {name!r} ({self.__name__} is {self._target.__name__} here, which "
                    f"has none)",
                    name=name,
                    obj=self,
                )
            value = importlib.import_module(full)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        inside = self.__name__.partition(".")[2]
        modules = {m.rpartition(".")[2] for m in MODULES if m.rpartition(".")[0] == inside}
        return sorted(modules | {n for n in dir(self._target) if is_public(self._target, n)})

    def __repr__(self) -> str:
        return f"<module {self.__name__!r}, alias of {self._target.__name__!r}>"


def is_public(module: ModuleType, name: str) -> bool:
    """Whether Pullback's `module` shows `name`, which is no module, under the alias."""
    if name.startswith("__") and name.endswith("__"):
        return True
    if module.__name__ == "pullback":
        return name in NAMES
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return name in listed
    return not name.startswith("_") and not isinstance(getattr(module, name, None), (ModuleType, type(annotations)))


def target_of(name: str) -> ModuleType | None:
    """Pullback's module for the JAX module `name` ("jax" or "jax.X.Y"), imported; None if there is
    no such module."""
    _, _, inside = name.partition(".")
    if inside and inside not in MODULES:
        return None
    own = f"pullback.{ELSEWHERE.get(inside, inside)}" if inside else "pullback"
    try:
        return importlib.import_module(own)
    except ModuleNotFoundError as error:
        if error.name is not None and (own + ".").startswith(error.name + "."):
            return None
        raise  # something that our module needs is missing


class _AliasFinder(MetaPathFinder, Loader):
    """Finds `jax` and its sub-modules among Pullback's."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        del path, target
        if not _is_jax(fullname) or target_of(fullname) is None:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        target = target_of(spec.name)
        assert target is not None, spec.name
        return AliasModule(spec.name, target)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to execute: the names are the target's."""


_finder = _AliasFinder()


def _is_jax(name: str) -> bool:
    return name == "jax" or name.startswith("jax.")


def install() -> None:
    """Make `jax` mean Pullback for every import from now on, in this process. Calling it again
    changes nothing.

    Options named in the environment (JAX_ENABLE_X64, ...) are set. Raises RuntimeError if the real
    jax is already imported.

    >>> install()
    >>> import jax.numpy
    >>> jax.numpy
    <module 'jax.numpy', alias of 'pullback.numpy'>
    >>> uninstall()
    """
    for name, module in list(sys.modules.items()):
        if _is_jax(name) and not isinstance(module, AliasModule):
            raise RuntimeError(
                f"as_jax.install: {name!r} is already imported, from {getattr(module, '__file__', None) or 'an unknown place'}. Names bound "
                "to it would not change: install before anything imports jax."
            )
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _options_from_environment()


def uninstall() -> None:
    """Undo `install`: forget the alias modules, so that `import jax` finds what is installed.
    Options keep their values."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [n for n, module in sys.modules.items() if isinstance(module, AliasModule)]:
        del sys.modules[name]


def _options_from_environment() -> None:
    for name in config.config.values:
        option = config.config.option(name)
        text = os.environ.get(name.upper())
        if text is not None and "PULLBACK_" + option.name.upper() not in os.environ:
            option.set_global(config.parse(option, text))


# ---- the command ---------------------------------------------------------------------------------


class _Program(NamedTuple):
    """What to execute as `__main__`, and where its imports start."""

    code: CodeType
    argv0: str
    path0: str
    file: str | None = None
    spec: ModuleSpec | None = None


def main(arguments: Sequence[str]) -> None:
    """`python -m pullback.as_jax arguments`: install the alias and run a script, a module (-m) or
    code (-c) as Python does."""
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(f"{__doc__}")
        sys.exit(0 if arguments else 2)
    install()
    first, *rest = arguments
    if first in ("-m", "-c"):
        if not rest:
            sys.exit(_refusal(f"argument expected for the {first} option", 2))
        what, *rest = rest
        load = {"-m": _module, "-c": _code}[first]
    else:
        what, load = first, _script
    sys.argv[:] = [what, *rest]
    sys.excepthook = _excepthook
    program = load(what)
    sys.argv[0] = program.argv0
    if not sys.flags.safe_path:
        sys.path[0] = program.path0  # where `-m pullback.as_jax` put the current directory
    module, spec = ModuleType("__main__"), program.spec
    names = vars(module)
    names.update(__builtins__=__builtins__, __spec__=spec, __loader__=spec.loader if spec else None)
    names["__package__"] = spec.parent if spec else None
    if program.file is not None:
        names.update(__file__=program.file, __cached__=spec.cached if spec else None)
    sys.modules["__main__"] = module
    exec(program.code, names)


def _code(source: str) -> _Program:
    if sys.version_info >= (3, 13):  # from then on tracebacks show the lines of a command
        linecache.cache["<string>"] = (len(source), None, source.splitlines(keepends=True), "<string>")
    return _Program(compile(source, "<string>", "exec"), "-c", "")


def _script(path: str) -> _Program:
    if path == "-":
        return _Program(compile(sys.stdin.read(), "<stdin>", "exec"), "-", "")
    file = os.path.abspath(path)
    inside = PathFinder.find_spec("__main__", [file])
    if inside is not None:  # a directory or a zip file with a `__main__.py`
        return _Program(_code_of(inside), path, file, inside.origin, inside)
    try:
        with io.open_code(file) as script:
            source = script.read()
    except OSError as error:
        sys.exit(_refusal(f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}", 2))
    return _Program(compile(source, file, "exec"), path, os.path.dirname(os.path.realpath(file)), file)


def _module(name: str) -> _Program:
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    spec = _spec_of(name)
    if spec is not None and spec.submodule_search_locations is not None:
        package, name = name, name + ".__main__"
        spec = _spec_of(name)
        name += "" if spec is not None else f"; {package!r} is a package and cannot be directly executed"
    if spec is None or spec.loader is None:
        sys.exit(_refusal(f"No module named {name}", 1))
    return _Program(_code_of(spec), spec.origin or name, sys.path[0], spec.origin, spec)


def _spec_of(name: str) -> ModuleSpec | None:
    """Where the module `name` is, its packages imported; None if it or one of them does not exist."""
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name + ".").startswith(error.name + "."):
            return None
        raise


def _code_of(spec: ModuleSpec) -> CodeType:
    code: CodeType | None = spec.loader.get_code(spec.name)  # type: ignore[union-attr]
    if code is None:
        sys.exit(_refusal(f"No code object available for {spec.name}", 1))
    return code


def _refusal(message: str, status: int) -> int:
    sys.stderr.write(f"{sys.executable}: {message}\n")
    return status


def _excepthook(kind: type[BaseException], error: BaseException, tb: TracebackType | None) -> None:
    """Python's own report of an uncaught error, starting at the program instead of at the frames
    that started it."""
    here = main.__code__.co_filename
    while tb is not None and (
        tb.tb_frame.f_code.co_filename == here or tb.tb_frame.f_globals.get("__name__") == "runpy"
    ):
        tb = tb.tb_next
    sys.__excepthook__(kind, error.with_traceback(tb), tb)


if __name__ == "__main__":
    # As `pullback.as_jax`, not as `__main__`: that name is the program's.
    from pullback.as_jax import main as run

    run(sys.argv[1:])

__all__ = ["install", "uninstall"]
