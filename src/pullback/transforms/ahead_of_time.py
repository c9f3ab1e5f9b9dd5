"""Ahead of time: the steps of `jit` one by one, each an object to look at.

    traced = jit(f).trace(x)         the program: traced.jaxpr
    lowered = traced.lower()         StableHLO: lowered.as_text()
    compiled = lowered.compile()     the executable: compiled.cost_analysis(), compiled(x)

Arguments may be `ShapeDtypeStruct`s: only types matter until `compiled` is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pullback.core.array import ConcreteArray, as_array
from pullback.core.errors import filter_traceback
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.tree import keystr, tree_flatten, tree_flatten_with_path, tree_unflatten
from pullback.core.types import ShapedArray, ShapeDtypeStruct, typeof
from pullback.transforms.entries import Entry, compiler_settings
from pullback.xla.devices import DeviceArray, put
from pullback.xla.placement import Placement, default_placement

if TYPE_CHECKING:
    from pullback.core.names import Argument, Attribute, Leaf, Tree, TypeTree
    from pullback.core.tree import PyTreeDef
    from pullback.xla.dispatch import Compiled as Executable
    from pullback.xla.lowering import Module


@runtime_checkable
class Wrapped(Protocol):
    """What `jit` returns: callable, and traced, lowered and compiled step by step.

    >>> import pullback as pb
    >>> isinstance(pb.jit(lambda x: x), Wrapped), isinstance(abs, Wrapped)
    (True, False)
    """

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree: ...

    def trace(self, *args: Tree, **kwargs: Tree) -> Traced:
        """The program for arguments like these, which may be `ShapeDtypeStruct`s. Raises what the function
        raises.

        >>> import pullback as pb
        >>> pb.jit(lambda x: 2 * x).trace(1.0).jaxpr
        { lambda ; a:f32[]. let b:f32[] = mul 2.0:f32[] a in (b,) }
        """
        ...

    def lower(self, *args: Tree, **kwargs: Tree) -> Lowered:
        """The program for arguments like these as a module: `trace(...).lower()`.

        >>> import pullback as pb
        >>> pb.jit(lambda x: 2 * x).lower(pb.ShapeDtypeStruct((3,), "float32")).out_info
        ShapeDtypeStruct(shape=(3,), dtype=float32)
        """
        ...


class ArgInfo:
    """What is known of one array among the arguments: its `shape`, `dtype`, and whether it is `donated`.

    >>> import pullback as pb
    >>> (x, y), _ = pb.jit(lambda x, y: x + y, donate_argnums=0).lower(1.0, 2.0).args_info
    >>> x
    ArgInfo(shape=(), dtype=float32, donated=True)
    """

    __slots__ = ("shape", "dtype", "donated")

    def __init__(self, aval: ShapedArray, donated: bool) -> None:
        self.shape, self.dtype, self.donated = aval.shape, aval.dtype, donated

    def __repr__(self) -> str:
        return f"ArgInfo(shape={self.shape}, dtype={self.dtype}, donated={self.donated})"


@dataclass(eq=False, repr=False)
class _Stage:
    """The arguments and results of a call, by structure and type.

    Example: `lowered.in_tree` is the structure of `((x,), {})`.
    """

    _entry: Entry
    in_tree: PyTreeDef
    _in_types: Sequence[ShapedArray]
    out_tree: PyTreeDef

    @property
    def _call(self) -> tuple[Entry, PyTreeDef, Sequence[ShapedArray], PyTreeDef]:
        """What all stages have."""
        return self._entry, self.in_tree, self._in_types, self.out_tree

    @property
    def args_info(self) -> TypeTree:
        """The tree (args, kwargs) of the traced arguments, an `ArgInfo` for each array."""
        donated = self._entry.options.donate if self._entry.options is not None else ()
        return tree_unflatten(self.in_tree, [ArgInfo(t, i in donated) for i, t in enumerate(self._in_types)])

    @property
    def in_avals(self) -> TypeTree:
        """The tree (args, kwargs) of the types of the traced arguments."""
        return tree_unflatten(self.in_tree, self._in_types)

    @property
    def out_info(self) -> TypeTree:
        """The tree of the results, a `ShapeDtypeStruct` for each array."""
        structs = [ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type) for t in self._entry.program.out_avals]
        return structs[0] if self._entry.build is None else self._entry.build(structs)


def _placement(entry: Entry) -> Placement:
    """Where a program made ahead of time runs: on the device it was jitted for, or the default one."""
    return (entry.options.placement if entry.options is not None else None) or default_placement()


class Traced(_Stage):
    """A program that has been traced. `jaxpr` is the program, `fun_name` the name of the function.

    >>> import pullback as pb
    >>> pb.jit(pb.numpy.sin).trace(1.0).fun_name
    'sin'
    """

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The program.

        >>> import pullback as pb
        >>> pb.jit(pb.numpy.sin).trace(1.0).jaxpr
        { lambda ; a:f32[]. let b:f32[] = sin a in (b,) }
        """
        return self._entry.program

    @property
    def fun_name(self) -> str:
        """The name of the function.

        >>> import pullback as pb
        >>> pb.jit(pb.numpy.tanh).trace(1.0).fun_name
        'tanh'
        """
        return self._entry.name

    def lower(self, *, lowering_platforms: Sequence[str] | None = None) -> Lowered:
        """The program as a StableHLO module for one platform: that of the device it is to run on,
        if none is named.

        Raises NotImplementedError for several platforms, and for operations that are not there on
        the platform.

        >>> import pullback as pb
        >>> "stablehlo.sine" in pb.jit(pb.numpy.sin).trace(1.0).lower(lowering_platforms=("tpu",)).as_text()
        True
        """
        from pullback.xla.lowering import lower

        device = _placement(self._entry).device
        platforms = (device.platform,) if lowering_platforms is None else tuple(lowering_platforms)
        if len(platforms) != 1:
            raise NotImplementedError(f"lowering for platforms {platforms}: a module is for one platform")
        options = self._entry.options
        donate, keep = (options.donate, options.keep_unused) if options is not None else ((), False)
        module = lower(self._entry.program, self._entry.name, donate, keep, platform=platforms[0], device=device)
        return Lowered(*self._call, module, platforms[0])


@dataclass(eq=False, repr=False)
class Lowered(_Stage):
    """A program as a StableHLO module, to be read or compiled.

    >>> import pullback as pb
    >>> "stablehlo.sine" in pb.jit(pb.numpy.sin).lower(1.0).as_text()
    True
    """

    _module: Module
    _platform: str

    def as_text(self, dialect: str | None = None, *, debug_info: bool = False) -> str:
        """The module's text, with the places in the user's code if `debug_info`. `dialect` is
        "stablehlo" or "hlo"; ValueError for others.

        >>> import pullback as pb
        >>> lowered = pb.jit(pb.numpy.sin).lower(1.0)
        >>> "stablehlo.sine" in lowered.as_text(), "sine(" in lowered.as_text("hlo")
        (True, True)
        """
        if dialect == "hlo":
            return str(self.compiler_ir("hlo").as_hlo_text())
        _check_dialect(dialect)
        return self._module.text if debug_info else self._module.text_without_locations()

    def compiler_ir(self, dialect: str | None = None) -> Attribute:
        """The module as the compiler's object: an MLIR module, or for the dialect "hlo" an XLA
        computation (see its `as_hlo_text()`).

        Raises ValueError for other dialects than "stablehlo" and "hlo".

        >>> import pullback as pb
        >>> "sine(" in pb.jit(pb.numpy.sin).lower(1.0).compiler_ir("hlo").as_hlo_text()
        True
        """
        from pullback.xla import pjrt

        if dialect == "hlo":
            return pjrt.hlo(self._module.text)
        _check_dialect(dialect)
        return pjrt.parse(self._module.text)

    def compile(self, compiler_options: dict[str, Argument] | None = None) -> Compiled:
        """The executable. `compiler_options` are XLA's debug options by name.

        Raises ValueError if the module is for another platform than that of the device it is to run
        on.

        >>> import pullback as pb
        >>> compiled = pb.jit(lambda x: 2 * x).lower(pb.ShapeDtypeStruct((3,), "float32")).compile()
        >>> compiled(pb.numpy.ones(3))
        Array([2., 2., 2.], dtype=float32)
        """
        from pullback.xla.dispatch import compile_module

        options, placement = self._entry.options, _placement(self._entry)
        if placement.platform != self._platform:
            raise ValueError(
                f"jit({self._entry.name}) was lowered for platform {self._platform!r}, and is to run on device {placement}: lower it for "
                f"{placement.platform!r}"
            )
        settings = dict(options.compiler if options is not None else ())
        settings.update(compiler_settings(compiler_options))
        executable = compile_module(self._module, placement, tuple(sorted(settings.items())))
        return Compiled(*self._call, executable)

    def cost_analysis(self) -> dict[str, float]:
        """XLA's estimates ("flops", "bytes accessed", ...), of the compiled program.

        >>> import pullback as pb
        >>> x = pb.ShapeDtypeStruct((10, 10), "float32")
        >>> pb.jit(lambda x: x @ x).lower(x).cost_analysis()["flops"]
        2000.0
        """
        return self.compile().cost_analysis()


def _check_dialect(dialect: Argument) -> None:
    if dialect not in (None, "stablehlo"):
        raise ValueError(f"unknown dialect {dialect!r}: 'stablehlo' and 'hlo' are there")


@dataclass(eq=False, repr=False)
class Compiled(_Stage):
    """An executable. Call it with the traced arguments (without the static ones), of exactly the
    types it was compiled for.

    >>> import pullback as pb
    >>> float(pb.jit(lambda x: x + 1).lower(1.0).compile()(1.0))
    2.0
    """

    _executable: Executable

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        try:
            leaves, tree = tree_flatten((args, kwargs))
            if tree != self.in_tree:
                raise TypeError(
                    f"Function compiled with input pytree does not match the input pytree it was called with: {self._entry.name} was compiled "
                    f"for (args, kwargs) of structure {self.in_tree}, called with {tree}"
                )
            try:
                arrays = [as_array(x) for x in leaves]
            except TypeError:
                raise TypeError(self._no_array(args, kwargs, leaves)) from None
            if not all(isinstance(x, ConcreteArray) for x in arrays):
                raise TypeError(
                    f"the compiled function {self._entry.name} cannot be transformed: it takes arrays, not traced values. Apply the "
                    "transformation to the function, and compile the result"
                )
            wrong = [
                i for i, (x, t) in enumerate(zip(arrays, self._in_types)) if x.shape != t.shape or x.dtype != t.dtype
            ]
            if wrong:
                raise TypeError(self._mismatch(args, kwargs, wrong))
            outs = self._executable.run([self._there(x) for x in arrays])  # type: ignore[arg-type]
            return outs[0] if self._entry.build is None else self._entry.build(outs)
        except Exception as error:
            filter_traceback(error)
            raise

    def _there(self, x: ConcreteArray) -> ConcreteArray:
        """The argument, from where it is free to go to the executable's device."""
        if x.__class__ is ConcreteArray:
            return x
        placement = self._executable.placement
        if not isinstance(x, DeviceArray) or x.on is placement:
            return x
        if x.committed:
            raise ValueError(
                f"the compiled function {self._entry.name} runs on device {placement}, and was called with an argument of type "
                f"{x.aval.str_short()} on device {x.on}: move it with device_put"
            )
        return put(x, placement.device)

    def _mismatch(self, args: Tree, kwargs: Tree, wrong: Sequence[int]) -> str:
        leaves = tree_flatten((args, kwargs))[0]
        lines = [f"  {self._expected(args, kwargs, i)}, called with {typeof(leaves[i]).str_short()}" for i in wrong]
        return "Argument types differ from the types for which this computation was compiled:\n" + "\n".join(lines)

    def _no_array(self, args: Tree, kwargs: Tree, leaves: Sequence[Leaf]) -> str:
        for i, x in enumerate(leaves):
            try:
                as_array(x)
            except TypeError as error:
                return f"{self._expected(args, kwargs, i)}, called with {error}"
        raise AssertionError("every argument is an array")

    def _expected(self, args: Tree, kwargs: Tree, i: int) -> str:
        path, _ = tree_flatten_with_path((args, kwargs))[0][i]
        return f"{'args' if path[0].idx == 0 else 'kwargs'}{keystr(path[1:])}: compiled for {self._in_types[i].str_short()}"

    def as_text(self) -> str:
        """The optimized HLO.

        >>> import pullback as pb
        >>> pb.jit(pb.numpy.sin).lower(1.0).compile().as_text().startswith("HloModule")
        True
        """
        return "\n\n".join(m.to_string() for m in self._executable.executable.loaded.hlo_modules())

    def cost_analysis(self) -> dict[str, float]:
        """XLA's estimates: "flops", "bytes accessed", ...

        >>> import pullback as pb
        >>> pb.jit(lambda x: x + 1).lower(pb.numpy.ones(8)).compile().cost_analysis()["flops"]
        8.0
        """
        return dict(self._executable.executable.loaded.cost_analysis())

    def memory_analysis(self) -> Attribute:
        """XLA's account of memory, in bytes: `argument_size_in_bytes`, `output_size_in_bytes`,
        `temp_size_in_bytes`, ...

        >>> import pullback as pb
        >>> pb.jit(lambda x: x + 1).lower(pb.numpy.ones(8)).compile().memory_analysis().output_size_in_bytes
        32
        """
        return self._executable.executable.loaded.get_compiled_memory_stats()

    def runtime_executable(self) -> Attribute:
        """The runtime's own object.

        >>> import pullback as pb
        >>> len(pb.jit(lambda x: x + 1).lower(1.0).compile().runtime_executable().hlo_modules())
        1
        """
        return self._executable.executable.loaded


__all__ = ["ArgInfo", "Compiled", "Lowered", "Traced", "Wrapped"]
