"""Configuration: named options with a global value, and a value per context while a `with` block is
active.

    config.update("jax_enable_x64", True)      # globally
    with pullback.enable_x64(True): ...        # here and in nothing else
    @pullback.enable_x64(True)                 # while this function runs
    def f(): ...

Option names may carry the prefix `jax_`. Reading an option costs one attribute or one
context-variable look-up; nothing on the hot path of an operation reads any.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pullback.core.errors import see
from pullback.core.locks import new_lock
from pullback.core.scopes import Entered, Scope

if TYPE_CHECKING:
    from pullback.core.names import Argument

    #: What an option can be: a bool, a number, a string or None.
    OptionValue = Any


class Option:
    """One option. Call it with a value to get a context manager and decorator that holds for the
    current context.

    Example: `with enable_x64(True): ...`, and `enable_x64.value` there is True.
    """

    def __init__(
        self,
        name: str,
        default: OptionValue,
        doc: str,
        choices: tuple[OptionValue, ...] | None = None,
        in_programs: bool = False,
    ) -> None:
        self.name, self.__doc__, self.choices, self.in_programs = name, doc, choices, in_programs
        self.default = self._global = default
        self.on_change: Callable[[], None] | None = None
        #: Options that are set with this one.
        self.group: tuple[Option, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        return _option, (self.name,)  # there is one of each: copies and pickles are that one

    @property
    def value(self) -> OptionValue:
        here = _read_here()
        return here.values.get(self, self._global) if here else self._global

    def set_global(self, value: OptionValue) -> None:
        value = self.check(value)
        with _lock:
            # No call between these, so that no signal comes between.
            self._global = value
            for other in self.group:
                other._global = value
            if self.in_programs:
                _program_state.version += 1
                _program_state.shared = _program_state.number = None
        if self.on_change is not None:
            self.on_change()

    def check(self, value: OptionValue) -> OptionValue:
        if isinstance(self.default, bool):
            if not isinstance(value, bool) and value not in (0, 1):
                raise TypeError(f"option {self.name!r} takes a bool, got {value!r}")
            return bool(value)
        if self.choices is not None:
            if value not in self.choices:
                raise ValueError(
                    f"option {self.name!r} must be one of {', '.join(map(repr, self.choices))}; got {value!r}"
                )
        elif isinstance(self.default, int):
            if not isinstance(value, int) or isinstance(value, bool) or value < -1:
                raise ValueError(f"option {self.name!r} takes a whole number, or -1 for no limit; got {value!r}")
        elif value is not None and not isinstance(value, str):
            raise ValueError(f"option {self.name!r} takes a text or None, got {value!r}")
        return value

    def __call__(self, new_val: OptionValue = True) -> Setting:
        return Setting(self, self.check(new_val))


class _DisablingOption(Option):
    """An option that is named after what it switches off.

    Example: `with disable_jit(disable=False): ...`.
    """

    def __call__(self, disable: OptionValue = True) -> Setting:
        return super().__call__(disable)


class _Here(Entered):
    """The settings in a context, and the values of their options.

    Example: inside `with config.enable_x64(True)`, what `enable_x64` is here.
    """

    def __init__(self, settings: Iterable[Setting] = ()) -> None:
        self.values = {o: s.new_value for s in self for o in s.options}
        #: The version for which the program state was made, and that state.
        self.state: tuple[int, tuple[Any, ...]] = (-1, ())


_NOTHING = _Here()
_here: ContextVar[_Here] = ContextVar("settings", default=_NOTHING)
_read_here = _here.get
#: The settings that hold in this context: false if there are none.
settings_here = _read_here


class Setting(Scope):
    """Gives an option a value until the block ends, however it ends.

    Example: `with enable_x64(True): ...`.
    """

    variable = _here

    def __init__(self, option: Option, value: OptionValue) -> None:
        self.option, self.new_value, self.entry = option, value, self
        self.options = (option, *option.group)

    def __enter__(self) -> None:
        super().__enter__()
        if self.option.on_change is not None:
            self.option.on_change()

    def __repr__(self) -> str:
        return f"{self.option.name}({self.new_value!r})"


class _ProgramState:
    """The values of the options on which traced programs depend, as one tuple that is made only
    when one changes.

    Example: a program traced with `enable_x64` set is not found without it.
    """

    def __init__(self) -> None:
        self.options: list[Option] = []
        self.version = 0
        self.shared: tuple[Any, ...] | None = None
        #: The identity of `shared`, or None. Where no setting holds (`settings_here()` is empty),
        #: this is `id(program_state())` without the calls.
        self.number: int | None = None

    def read(self) -> tuple[OptionValue, ...]:
        here = _read_here()
        if not here:
            found = self.shared
            if found is None:
                with _lock:
                    found = self.shared = _same(tuple([o._global for o in self.options]))
                    self.number = id(found)
            return found
        version, state = here.state
        if version != self.version:
            with _lock:
                state = _same(tuple([here.values.get(o, o._global) for o in self.options]))
                here.state = self.version, state
        return state


#: Held while `_ProgramState.shared` is made, and while what it is made of changes.
_lock = new_lock(4, globals(), "_lock")
_states: dict[tuple[Any, ...], tuple[Any, ...]] = {}


def _same(state: tuple[OptionValue, ...]) -> tuple[OptionValue, ...]:
    """The one object for equal states, so that states are compared by identity."""
    return _states.setdefault(state, state)


_program_state = shared_program_state = _ProgramState()
#: The values of the options on which traced programs depend: equal states are identical, and never
#: die.
program_state = _program_state.read


def program_options() -> list[str]:
    """The names of the options whose values `program_state` gives."""
    return [o.name for o in _program_state.options]


def _add_to_programs(option: Option) -> None:
    _program_state.options.append(option)
    _program_state.version += 1
    _program_state.shared = _program_state.number = None


def unnamed_option(name: str) -> Option:
    """An option on which traced programs depend, a text or None, that only contexts set: `config` does
    not have it, and `name` is for messages."""
    option = Option(name, None, "", in_programs=True)
    _add_to_programs(option)
    return option


#: What options of JAX that mean nothing here have been set to.
_foreign_values: dict[str, Any] = {}


class Config:
    """`pullback.config`: attributes read and set options, `update` sets one by name; for every
    thread. Names may begin with `jax_`.

    Options are read from the environment when the package is imported, as from `PULLBACK_ENABLE_X64=1`.
    Raises AttributeError for names that are unknown,
    TypeError or ValueError for values that an option does not take.

    >>> import pullback as pb
    >>> pb.config.update("jax_numpy_rank_promotion", "warn")
    >>> pb.config.numpy_rank_promotion
    'warn'
    >>> pb.config.numpy_rank_promotion = "allow"
    """

    _options: dict[str, Option]

    def __init__(self) -> None:
        object.__setattr__(self, "_options", {})

    def __reduce__(self) -> str:
        return "config"  # the only one

    def define(
        self,
        name: str,
        default: OptionValue,
        doc: str,
        choices: tuple[OptionValue, ...] | None = None,
        in_programs: bool = False,
        kind: type[Option] = Option,
    ) -> Option:
        """A new option; `in_programs` if what a function does when it is traced may depend on it."""
        option = self._options[name] = kind(name, default, doc, choices, in_programs)
        if in_programs:
            _add_to_programs(option)
        text = os.environ.get("PULLBACK_" + name.upper())
        if text is not None:
            option.set_global(parse(option, text))
        return option

    def option(self, name: str) -> Option:
        found = self._options.get(name.removeprefix("jax_")) if isinstance(name, str) else None
        if found is None:
            raise AttributeError(f"unknown option {name!r}{self._nearest(name)}{see('options')}")
        return found

    def _nearest(self, name: Argument) -> str:
        from difflib import get_close_matches

        from pullback.core.foreign_options import REASONS

        plain = str(name).removeprefix("jax_")
        near = get_close_matches(plain, self._options, 1) or get_close_matches(plain, REASONS, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        return f"{meant} Known: {', '.join(sorted(self._options))}"

    def update(self, name: str, value: OptionValue) -> None:
        """Set option `name` (with or without the prefix `jax_`) for every thread.

        Options of JAX that mean nothing here are accepted, with a warning the first time. Raises
        AttributeError for names that are unknown.

        >>> config.update("jax_debug_nans", False)
        """
        if name == "jax_platform_name":  # the older name
            name, value = "platforms", value or None
        if not self._is_foreign(name):
            self.option(name).set_global(value)
            return
        from pullback.core.foreign_options import REASONS

        plain = name.removeprefix("jax_")
        first = plain not in _foreign_values
        _foreign_values[plain] = value
        if first:
            warnings.warn(f"the option {name!r} means nothing here: {REASONS[plain]}", stacklevel=2)

    def read(self, name: str) -> OptionValue:
        """The value of option `name`; for options of JAX that mean nothing here, the one that was
        set, or JAX's default."""
        if self._is_foreign(name):
            from pullback.core.foreign_options import FOREIGN, REASONS

            plain = name.removeprefix("jax_")
            return _foreign_values.get(plain, FOREIGN[REASONS[plain]][plain])
        return self.option(name).value

    def _is_foreign(self, name: Argument) -> bool:
        if not isinstance(name, str) or name.removeprefix("jax_") in self._options:
            return False
        from pullback.core.foreign_options import REASONS

        return name.removeprefix("jax_") in REASONS

    @property
    def x64_enabled(self) -> bool:
        """Whether `enable_x64` is set."""
        return bool(self.option("enable_x64").value)

    def parse_flags_with_absl(self) -> None:
        """Set options by the arguments of the program: `--jax_NAME=VALUE`, and for truth values
        `--jax_NAME` and `--nojax_NAME`. Others are left to the program. (absl is not needed.)

        Raises what `update` raises, ValueError for values that an option does not take.
        """
        import sys

        for argument in sys.argv[1:]:
            name, given, text = argument.lstrip("-").partition("=")
            off = name.startswith("nojax_")
            if not argument.startswith("-") or not name.startswith(("jax_", "nojax_")):
                continue
            name = name.removeprefix("no")
            value: OptionValue = text if given else not off
            if given and not self._is_foreign(name):
                value = parse(self.option(name), text)
            self.update(name, value)

    @property
    def values(self) -> dict[str, OptionValue]:
        return {"jax_" + name: option.value for name, option in self._options.items()}

    def __getattr__(self, name: str) -> OptionValue:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.read(name)

    def __setattr__(self, name: str, value: OptionValue) -> None:
        self.update(name, value)


def parse(option: Option, text: str) -> OptionValue:
    """The value that an environment variable's text means for `option`."""
    if isinstance(option.default, bool):
        lowered = text.lower()
        if lowered in ("1", "true", "on", "yes", "y", "t"):
            return True
        if lowered in ("0", "false", "off", "no", "n", "f", ""):
            return False
        raise ValueError(f"environment variable for option {option.name!r}: {text!r} is not a truth value")
    if isinstance(option.default, int):
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"environment variable for option {option.name!r}: {text!r} is not a number") from None
        return option.check(number)
    return option.check(text)


config = Config()


def _option(name: str) -> Option:
    return config._options[name]


enable_x64 = config.define(
    "enable_x64",
    False,
    """64-bit default types, and no truncation of 64-bit inputs.

    >>> import pullback as pb
    >>> with pb.enable_x64():
    ...     pb.numpy.array([0.1]).dtype
    dtype('float64')
    >>> pb.numpy.array([0.1]).dtype
    dtype('float32')
    """,
    in_programs=True,
)
threefry_partitionable = config.define(
    "threefry_partitionable",
    False,
    """Random streams of JAX 0.5 and later, instead of those before: each number depends on its place
    alone, not on how many there are.

    >>> import pullback as pb
    >>> draw = lambda n: pb.random.bits(pb.random.key(0), (n,))[:2].tolist()
    >>> with pb.threefry_partitionable():
    ...     draw(2) == draw(9)
    True
    >>> draw(2) == draw(9)
    False
    """,
    in_programs=True,
)
debug_nans = config.define(
    "debug_nans",
    False,
    """Raise FloatingPointError at the operation that produces a NaN, in eager code and in programs.

    >>> import pullback as pb
    >>> with pb.debug_nans():
    ...     pb.numpy.sqrt(-1.0)
    Traceback (most recent call last):
        ...
    FloatingPointError: invalid value (nan) encountered in sqrt at ...
    """,
    in_programs=True,
)
debug_infs = config.define(
    "debug_infs",
    False,
    """Raise FloatingPointError at the operation that produces an infinity, in eager code and in programs.

    >>> import pullback as pb
    >>> with pb.debug_infs():
    ...     pb.numpy.exp(1000.0)
    Traceback (most recent call last):
        ...
    FloatingPointError: invalid value (inf) encountered in exp at ...
    """,
    in_programs=True,
)
disable_jit = config.define(
    "disable_jit", False, "`jit` calls the Python function directly.", in_programs=True, kind=_DisablingOption
)


def disabled_jit(disable: bool = True) -> Setting:
    """`disable_jit`, as a context manager and decorator whose argument has the name that JAX gives
    it: `jit` calls the Python function, and loops and branches run step by step, with values to look
    at.

    >>> import pullback as pb
    >>> with pb.disable_jit():
    ...     pb.jit(lambda x: print("x is", x))(2.0)
    x is 2.0
    """
    return disable_jit(disable)


numpy_dtype_promotion = config.define(
    "numpy_dtype_promotion",
    "standard",
    """Whether operands of different types are promoted: "standard", or with "strict" a TypePromotionError,
    but for weak types (Python's numbers).

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> with pb.numpy_dtype_promotion("strict"):
    ...     x = jnp.arange(2) * 2                              # a number is of any type
    ...     y = x * jnp.ones(2)
    Traceback (most recent call last):
        ...
    pullback.errors.TypePromotionError: dtypes int32 and float32 have no implicit promotion in strict mode ...
    """,
    ("standard", "strict"),
    in_programs=True,
)
numpy_rank_promotion = config.define(
    "numpy_rank_promotion",
    "allow",
    """Whether operands of different ranks broadcast: "allow", "warn", or "raise" a ValueError.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> with pb.numpy_rank_promotion("raise"):
    ...     jnp.ones((3, 2)) + jnp.ones(2)
    Traceback (most recent call last):
        ...
    ValueError: Operands could not be broadcast together in add on shapes (3, 2), (2,) and with the option ...
    """,
    ("allow", "warn", "raise"),
    in_programs=True,
)
# fmt: off
_PRECISIONS = (
    "default", "high", "highest", "bfloat16", "tensorfloat32", "float32", "ANY_F8_ANY_F8_F32", "ANY_F8_ANY_F8_F32_FAST_ACCUM",
    "ANY_F8_ANY_F8_ANY", "ANY_F8_ANY_F8_ANY_FAST_ACCUM", "F16_F16_F16", "F16_F16_F32", "BF16_BF16_BF16", "BF16_BF16_F32", "BF16_BF16_F32_X3",
    "BF16_BF16_F32_X6", "BF16_BF16_F32_X9", "TF32_TF32_F32", "TF32_TF32_F32_X3", "F32_F32_F32", "F64_F64_F64",
)
# fmt: on
default_matmul_precision = config.define(
    "default_matmul_precision",
    None,
    """Precision of contractions that are given none: CPUs ignore it, and so do programs for other
    platforms yet (`precision=` is heeded). Names are those of `lax.Precision` and of
    `lax.DotAlgorithmPreset`; ValueError for others.

    >>> import pullback as pb
    >>> with pb.default_matmul_precision("highest"):
    ...     pb.numpy.ones((2, 3)) @ pb.numpy.ones(3)
    Array([3., 3.], dtype=float32)
    """,
    (None, *_PRECISIONS),
    in_programs=True,
)
default_prng_impl = config.define(
    "default_prng_impl",
    "threefry2x32",
    """The generator behind `random.key`; "threefry2x32" is the only one.

    >>> import pullback as pb
    >>> with pb.default_prng_impl("threefry2x32"):
    ...     pb.random.key_impl(pb.random.key(0))
    'threefry2x32'
    """,
    ("threefry2x32",),
    in_programs=True,
)
legacy_prng_key = config.define(
    "legacy_prng_key",
    "allow",
    """Use of raw uint32 keys: "allow", "warn", or "error", a ValueError.

    >>> import pullback as pb
    >>> with pb.legacy_prng_key("error"):
    ...     pb.random.normal(pb.random.PRNGKey(0))
    Traceback (most recent call last):
        ...
    ValueError: normal was given a raw uint32 key, and the option legacy_prng_key is 'error': ...
    """,
    ("allow", "warn", "error"),
)
check_tracer_leaks = config.define(
    "check_tracer_leaks",
    False,
    """Accepted, without effect yet: where a transformation returns, nobody looks for tracers that are
    kept. They raise UnexpectedTracerError where they are used:

    >>> import pullback as pb
    >>> kept = []
    >>> pb.jit(lambda x: kept.append(2 * x))(1.0)
    >>> 1 + kept[0]
    Traceback (most recent call last):
        ...
    pullback.errors.UnexpectedTracerError: the traced value ... was used at ...
    """,
)
enable_checks = config.define(
    "enable_checks",
    False,
    """Check internal invariants: every jaxpr is type-checked when it is made.

    >>> import pullback as pb
    >>> with pb.enable_checks():
    ...     pb.make_jaxpr(pb.numpy.tanh)(1.0)
    { lambda ; a:f32[]. let b:f32[] = tanh a in (b,) }
    """,
    in_programs=True,
)
explain_cache_misses = config.define(
    "explain_cache_misses",
    False,
    """Log why a jitted function is traced, to the logger `pullback.jit`: what differs from the calls before.

    >>> import logging
    >>> import pullback as pb
    >>> messages, handler = [], logging.Handler()
    >>> handler.emit = lambda record: messages.append(record.getMessage())
    >>> logging.getLogger("pullback.jit").addHandler(handler)
    >>> f = pb.jit(lambda x: x * 2)
    >>> with pb.explain_cache_misses():
    ...     x, y = f(pb.numpy.ones(2)), f(pb.numpy.ones(3))
    >>> logging.getLogger("pullback.jit").removeHandler(handler)
    >>> messages[1].partition("): ")[2]
    "argument 0 ('x') has type float32[3], had float32[2] (shape changed)"
    """,
)


def checking_leaks() -> Setting:
    """`check_tracer_leaks(True)`.

    >>> import pullback as pb
    >>> with pb.checking_leaks():
    ...     pb.config.check_tracer_leaks
    True
    """
    return check_tracer_leaks(True)


_LEVELS = (None, "allow", "log", "disallow", "log_explicit", "disallow_explicit")
transfer_guard_host_to_device, transfer_guard_device_to_device, transfer_guard_device_to_host = (
    config.define(
        f"transfer_guard_{direction}",
        None,
        f"""What is done about transfers from {text}: see `transfer_guard`, which sets this one, too.

        >>> import pullback as pb
        >>> with pb.transfer_guard("disallow"), pb.transfer_guard_{direction}("log"):
        ...     pb.config.transfer_guard_{direction}
        'log'
        """,
        _LEVELS,
    )
    for direction, text in (
        ("host_to_device", "the host to another device"),
        ("device_to_device", "one such device to another"),
        ("device_to_host", "a device to the host"),
    )
)
transfer_guard = config.define(
    "transfer_guard",
    None,
    """What is done about arrays that move between the host, whose arrays are NumPy's, and other devices.

    Explicit transfers are those by `device_put`, `device_get` and `copy_to_host_async`; all others are
    implicit: arguments of programs and operands of operations that run elsewhere, `print`, `float`,
    `numpy.asarray`. Arrays that are made on a device do not move, and the host's own first device is
    the host: there are no transfers to it. "allow" (or None) lets them pass; "log" logs the implicit
    ones, "disallow" makes them a JaxRuntimeError; "log_explicit" and "disallow_explicit" do so to all.

    >>> import pullback as pb
    >>> with pb.transfer_guard("disallow"):
    ...     x = pb.device_put(pb.numpy.arange(3.0))            # explicit: it may move
    ...     y = pb.jit(lambda x: 2 * x)(x)
    >>> y
    Array([0., 2., 4.], dtype=float32)
    """,
    _LEVELS,
)
transfer_guard.group = (transfer_guard_host_to_device, transfer_guard_device_to_device, transfer_guard_device_to_host)
log_compiles = config.define(
    "log_compiles",
    False,
    """Log each compilation, and whether the program was in the cache on disk.

    >>> import logging
    >>> import pullback as pb
    >>> messages, handler = [], logging.Handler()
    >>> handler.emit = lambda record: messages.append(record.getMessage())
    >>> logging.getLogger("pullback").addHandler(handler)
    >>> def double(x):
    ...     return x * 2
    >>> with pb.log_compiles():
    ...     y = pb.jit(double)(1.0)
    >>> logging.getLogger("pullback").removeHandler(handler)
    >>> "jit(double)" in messages[0]                           # compiled, or a hit in the cache
    True
    """,
)
debug_key_reuse = config.define(
    "debug_key_reuse",
    False,
    """Raise KeyReuseError where a random key is used twice; `random.clone` says that it is meant.

    >>> import pullback as pb
    >>> with pb.debug_key_reuse():
    ...     key = pb.random.key(0)
    ...     x = pb.random.normal(key)
    ...     y = pb.random.uniform(key)
    Traceback (most recent call last):
        ...
    pullback.errors.KeyReuseError: A random key is used at ... that was used up at ...
    """,
    in_programs=True,
)
enable_custom_prng = config.define(
    "enable_custom_prng",
    False,
    """Accepted, without effect: keys of `random.key` are always typed, and there is one generator.

    >>> import pullback as pb
    >>> with pb.enable_custom_prng():
    ...     pb.random.key(0).dtype
    key<fry>
    """,
)
platforms = config.define(
    "platforms", None, "Comma-separated platforms to use, in order of preference.", in_programs=True
)
default_device = config.define(
    "default_device",
    None,
    """The device (or name of a platform) on which programs run by default, and arrays are made.

    >>> import pullback as pb
    >>> with pb.default_device(pb.devices("cpu")[0]):
    ...     pb.numpy.ones(2).device
    CpuDevice(id=0)
    """,
    in_programs=True,
)
num_cpu_devices = config.define(
    "num_cpu_devices",
    -1,
    "How many devices to make of the CPU; it must be set before the first is used. -1: XLA decides.",
)
cpu_fusion = config.define(
    "cpu_fusion", "auto", "Which values programs for CPUs keep instead of computing them again: a plan of ours, or XLA's.",
    ("auto", "xla"), in_programs=True,
)  # fmt: skip


compilation_cache_dir = config.define(
    "compilation_cache_dir",
    None,
    "Directory of compiled programs; None is a directory of Pullback's in the user's cache directory.",
)
enable_compilation_cache = config.define(
    "enable_compilation_cache", True, "Keep compiled programs on disk for later processes."
)
compilation_cache_max_size = config.define(
    "compilation_cache_max_size",
    1 << 30,
    "Bytes that the compilation cache may take; the least recently used entries go first. -1: no limit.",
)
