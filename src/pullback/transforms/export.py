"""Export: compiled functions as artifacts, which other processes load and call without the source.

    exported = export(jit(f))(x)               f for arguments of these types (arrays, or `ShapeDtypeStruct`s)
    blob = exported.serialize(vjp_order=1)     bytes (see `transforms.artifact`), with what `grad` needs
    deserialize(blob).call(x)                  f(x), in any process

The function of an artifact is a StableHLO module, for arguments of these types and no others. A
call of it is the operation `call_exported`, which puts the module into the program that calls; its
derivative is that of the artifact's VJP, an exported function like it.

An artifact is a program: load those of people whose programs you would run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_api, user_line
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.kept import carriers
from pullback.core.primitive import Primitive
from pullback.core.staging import stage_flat
from pullback.core.trace import EVAL
from pullback.core.tree import keystr, tree_flatten, tree_flatten_with_path, tree_leaves, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray, typeof
from pullback.transforms.ahead_of_time import Wrapped
from pullback.transforms.artifact import Signature, pack, unpack
from pullback.transforms.custom_vjp import custom_vjp
from pullback.transforms.jit import jit
from pullback.transforms.linearize import vjp
from pullback.xla.eager import evaluate_by_xla

if TYPE_CHECKING:
    from pullback.core.names import (
        Cotangent,
        Emitted,
        Function,
        Leaf,
        NumPyArray,
        NumPyValue,
        Param,
        Tangent,
        Tree,
        Value,
        WithAxis,
        WithTangent,
    )
    from pullback.core.tree import PyTreeDef
    from pullback.xla.stablehlo import Emitter

#: Platforms that functions are exported for.
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_VERSION = 1


class DisabledSafetyCheck:
    """A check that `export` and `Exported.call` leave out: that of the platform, or that of the
    calls of one custom function.

    Example: `DisabledSafetyCheck.platform()`.
    """

    __slots__ = ("_text",)

    def __init__(self, _impl: str) -> None:
        self._text = _impl

    @classmethod
    def platform(cls) -> DisabledSafetyCheck:
        """That the function was exported for the platform on which it is called."""
        return cls("platform")

    @classmethod
    def custom_call(cls, target_name: str) -> DisabledSafetyCheck:
        """That the custom call `target_name` means the same in other versions of the compiler."""
        return cls(f"custom_call:{target_name}")

    def is_custom_call(self) -> str | None:
        """The custom call that is not checked, if this is about one."""
        return self._text.removeprefix("custom_call:") if self._text.startswith("custom_call:") else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DisabledSafetyCheck) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return self._text


def default_export_platform() -> str:
    """The platform for which functions are exported if none is named: that of the default device."""
    from pullback.xla.placement import default_placement

    return default_placement().platform


class CallExported(Primitive):
    """Call an exported function on arrays, those of dtype float0 left out.

    Example: `deserialize(data).call(x)` binds it.
    """

    name = "call_exported"
    multiple_results = True
    weakness = "never"

    def type_of(self, *types: ShapedArray, **params: Param) -> list[ShapedArray]:
        exported: Exported = params["exported"]
        return [exported.out_avals[i] for i in exported._given]

    def evaluate(self, *values: NumPyValue, **params: Param) -> list[NumPyValue]:
        return evaluate_by_xla(self, values, params)

    def lower(self, emit: Emitter, *operands: Emitted, **params: Param) -> list[Emitted]:
        exported: Exported = params["exported"]
        by_number = dict(zip(exported._taken, operands))
        return emit.call_module(
            exported.mlir_module(), [by_number[i] for i in exported.module_kept_var_idx], emit.types
        )

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent], **params: Param) -> WithTangent:
        raise TypeError(f"{params['exported']} is differentiated in reverse mode only, by `Exported.call`")

    def batch(self, size: int, args: Sequence[Value], axes: Sequence[int | None], **params: Param) -> WithAxis:
        raise NotImplementedError(
            f"vmap of {params['exported']} (at {user_line()}): its module is for arguments of these shapes; export the vmapped function, "
            "or call it in a loop"
        )


call_exported_p = CallExported()


class Exported:
    """A function as a StableHLO module, with its calling convention; `export` and `deserialize`
    make them.

    `fun_name` is its name; `in_tree` the structure of (args, kwargs), `in_avals` the types of the
    arrays among them; `out_tree` and `out_avals` those of its results; `platforms` what it was
    exported for; `disabled_safety_checks` what is not checked. The module takes those arguments
    whose numbers are in `module_kept_var_idx`; the others do not matter.

    Example: `export(jit(f))(x).serialize()`.
    """

    nr_devices = 1
    ordered_effects: tuple[Any, ...] = ()
    unordered_effects: tuple[Any, ...] = ()
    calling_convention_version = _VERSION

    def __init__(self, signature: Signature, program: ClosedJaxpr | None = None, vjp: Exported | None = None) -> None:
        self._signature, self._program, self._vjp = signature, program, vjp
        self.fun_name: str = signature.fun_name
        self.in_tree, self.in_avals = signature.in_tree, signature.in_avals
        self.out_tree, self.out_avals = signature.out_tree, signature.out_avals
        self.platforms, self.module_kept_var_idx = signature.platforms, signature.kept
        self.disabled_safety_checks = tuple(map(DisabledSafetyCheck, signature.disabled_checks))
        #: Numbers of the arguments and results that there is data for.
        self._taken = [i for i, t in enumerate(self.in_avals) if t.dtype != dtypes.float0]
        self._given = [i for i, t in enumerate(self.out_avals) if t.dtype != dtypes.float0]

    def mlir_module(self) -> str:
        """The module's text."""
        return self._signature.text

    @property
    def mlir_module_serialized(self) -> bytes:
        """The module as bytes: its text."""
        return self._signature.text.encode()

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """The artifact; `deserialize` reads it. The function it gives can be differentiated
        `vjp_order` times.

        Raises ValueError for structures with unregistered containers and if there is no VJP of that
        order, TypeError for dicts whose keys are not strings.
        """
        if not isinstance(vjp_order, int) or vjp_order < 0:
            raise ValueError(f"Exported.serialize: vjp_order must be an integer of at least 0, got {vjp_order!r}")
        levels = [self]
        for _ in range(vjp_order):
            levels.append(levels[-1].vjp())
        return pack([level._signature for level in levels])

    @user_api
    def call(self, *args: Tree, **kwargs: Tree) -> Tree:
        """The function's result. Arguments have the structure and types of those it was exported
        for (static ones left out).

        It may be called in other jitted functions, and in differentiated ones as often as it has a
        VJP. Raises ValueError naming the argument for a wrong structure, shape or dtype, for
        another platform and where there is no VJP; NotImplementedError under `vmap`.
        """
        leaves, tree = tree_flatten((args, kwargs))
        if tree != self.in_tree:
            raise ValueError(
                "The invocation args and kwargs must have the same pytree structure as when the function "
                f"{self.fun_name!r} was exported, which is {self.in_tree} for (args, kwargs); called with {tree}"
            )
        arrays = list(map(as_array, leaves))
        for i, (x, t) in enumerate(zip(arrays, self.in_avals)):
            if x.shape != t.shape or x.dtype != t.dtype:
                raise self._mismatch(args, kwargs, i)
        self._check_platform()
        results = iter(self._apply(*[arrays[i] for i in self._taken]))
        outs = [next(results) if t.dtype != dtypes.float0 else _zeros0(t) for t in self.out_avals]
        return tree_unflatten(self.out_tree, outs)

    def _mismatch(self, args: Tree, kwargs: Tree, i: int) -> ValueError:
        (top, *path), leaf = tree_flatten_with_path((args, kwargs))[0][i]
        name = ("args" if top.idx == 0 else "kwargs") + keystr(tuple(path))
        expected, got = self.in_avals[i], typeof(leaf)
        what = "Shape" if expected.shape != got.shape else "Dtype"
        return ValueError(
            f"{what} mismatch for {name} of the exported function {self.fun_name!r}: expected {expected.str_short()} and called with "
            f"{got.str_short()}"
        )

    def _check_platform(self) -> None:
        here = default_export_platform()
        if here not in self.platforms and DisabledSafetyCheck.platform() not in self.disabled_safety_checks:
            raise ValueError(
                f"Function {self.fun_name!r} was exported for platforms {self.platforms} but it is used on {here!r}: export it with "
                f"platforms=[..., {here!r}]"
            )

    @cached_property
    def _apply(self) -> Callable[..., Sequence[Value]]:
        """The function of flat arrays, those of dtype float0 left out of arguments and results."""

        def function(*xs: Value) -> tuple[Value, ...]:
            return tuple(call_exported_p.bind(*xs, exported=self))

        def forward(*xs: Value) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
            return differentiable(*xs), xs  # of which second derivatives take derivatives

        def backward(xs: tuple[Value, ...], cts: tuple[Cotangent, ...]) -> tuple[Cotangent, ...]:
            pulled = iter(self.vjp()._apply(*xs, *[ct for ct in cts if ct.dtype != dtypes.float0]))
            return tuple(next(pulled) if dtypes.is_inexact(x.dtype) else None for x in xs)

        function.__name__ = self.fun_name
        differentiable = custom_vjp(function)
        differentiable.defvjp(forward, backward)
        return jit(differentiable)

    def has_vjp(self) -> bool:
        """Whether there is a VJP, so that the function can be differentiated."""
        return self._vjp is not None or self._program is not None

    def vjp(self) -> Exported:
        """The exported VJP: it takes the arguments' arrays and cotangents of the results' arrays,
        and gives cotangents of the arguments' arrays.

        Cotangents of integers are of dtype float0. Raises ValueError if the artifact was made
        without it.
        """
        if self._vjp is None:
            if self._program is None:
                raise ValueError(
                    f"No VJP is available for {self}: serialize it with a higher `vjp_order` to differentiate it once more"
                )
            self._vjp = _export_vjp(self, self._program)
        return self._vjp

    def __repr__(self) -> str:
        ins, outs = (", ".join([str(t) for t in types]) for types in (self.in_avals, self.out_avals))
        return f"Exported({self.fun_name}: ({ins}) -> ({outs}))"


carriers[Exported] = "__dict__"


def _zeros0(t: ShapedArray) -> NumPyArray:
    return np.zeros(t.shape, dtypes.float0)


def export(
    fun_jit: Leaf, *, platforms: Sequence[str] | None = None, disabled_checks: Sequence[DisabledSafetyCheck] = ()
) -> Callable[..., Exported]:
    """A function that takes the arguments of `fun_jit` (arrays, or `ShapeDtypeStruct`s) and gives
    it as `Exported` for these types.

    `fun_jit` is what `jit` returns, or a public function of this package, whose texts, and keyword
    arguments without arrays, are static. Donation is not part of it. Raises ValueError for other
    functions, for unknown platforms and for custom calls without a stable meaning;
    NotImplementedError for functions that call Python on the host, and for LAPACK on other
    platforms than CPUs.

    >>> import pullback.numpy as jnp
    >>> blob = export(jit(jnp.sin))(1.0).serialize(vjp_order=1)
    >>> sine = deserialize(blob)
    >>> sine
    Exported(sin: (~float32[]) -> (~float32[]))
    >>> from pullback.transforms.derivatives import grad
    >>> float(sine.call(0.0)), float(grad(sine.call)(0.0))
    (0.0, 1.0)
    """
    ready_made = not isinstance(fun_jit, Wrapped) and _is_ready_made(fun_jit)
    if not (isinstance(fun_jit, Wrapped) or ready_made):
        raise ValueError(f"Function to be exported must be the result of `jit` but is: {fun_jit!r}")
    chosen = (default_export_platform(),) if platforms is None else tuple(platforms)
    unknown = [p for p in chosen if p not in _PLATFORMS]
    if unknown or not chosen:
        raise ValueError(f"export: platforms must be among {', '.join(_PLATFORMS)}; got {chosen}")
    checks = tuple(map(repr, disabled_checks))

    def exporter(*args: Tree, **kwargs: Tree) -> Exported:
        traced = (_jitted(fun_jit, args, kwargs) if ready_made else fun_jit).trace(*args, **kwargs)
        in_avals = tree_leaves(traced.in_avals)
        out_avals = [typeof(x) for x in tree_leaves(traced.out_info)]
        return _exported(
            traced.jaxpr, traced.fun_name, traced.in_tree, in_avals, traced.out_tree, out_avals, chosen, checks
        )

    return exporter


def _is_ready_made(fun: Function) -> bool:
    """Whether `fun` is a function of this package, found under its name."""
    module, name = getattr(fun, "__module__", None) or "", getattr(fun, "__qualname__", "")
    return callable(fun) and module.startswith("pullback.") and getattr(sys.modules.get(module), name, None) is fun


def _jitted(fun: Function, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> Leaf:
    static = [n for n, x in kwargs.items() if not any(hasattr(leaf, "dtype") for leaf in tree_leaves(x))]
    return jit(fun, static_argnums=[i for i, x in enumerate(args) if isinstance(x, str)], static_argnames=static)


def _exported(
    program: ClosedJaxpr, name: str, in_tree: PyTreeDef, in_avals: Sequence[ShapedArray], out_tree: PyTreeDef,
    out_avals: Sequence[ShapedArray], platforms: Sequence[str], checks: Sequence[str],
) -> Exported:  # fmt: skip
    """The exported function of a program, which takes and gives the arrays of dtypes other than
    float0."""
    from pullback.xla.lowering import lower

    module = lower(program, name, portable=True, platform=platforms[0] if len(platforms) == 1 else "cpu")
    text = module.text_without_locations()
    if module.callbacks:
        operations = sorted(set(re.findall(r'xla_ffi_python_cpu_callback.* loc\("([^"]*)"', module.text)))
        raise NotImplementedError(
            f"export of {name!r}: it calls Python functions of this process ({', '.join(operations)}), which an artifact cannot hold"
        )
    targets = sorted(set(re.findall(r'call_target_name = "([^"]*)"', text)))
    lapack = [t for t in targets if t.startswith("lapack_")]
    if lapack and set(platforms) != {"cpu"}:
        raise NotImplementedError(
            f"export of {name!r} for platforms {tuple(platforms)}: it calls LAPACK ({', '.join(lapack)}), which is there on 'cpu' only"
        )
    unstable = [t for t in targets if t not in lapack and f"custom_call:{t}" not in checks]
    if unstable:
        raise ValueError(
            f"export of {name!r}: Cannot serialize code with custom calls whose targets have no compatibility guarantees: "
            f"{', '.join(unstable)}. Pass disabled_checks=[DisabledSafetyCheck.custom_call(name), ...] to do so all the same"
        )
    taken = [i for i, t in enumerate(in_avals) if t.dtype != dtypes.float0]
    kept = [taken[i] for i in module.kept]
    return Exported(Signature(name, in_tree, in_avals, out_tree, out_avals, kept, platforms, checks, text), program)


def _export_vjp(exported: Exported, program: ClosedJaxpr) -> Exported:
    """The exported VJP of a function, given its program."""
    types, results = program.in_avals, program.out_avals

    def tangents(avals: Sequence[ShapedArray]) -> list[ShapedArray]:
        return [ShapedArray(t.shape, dtypes.tangent_dtype(t.dtype)) for t in avals]

    def function(*xs: Value) -> list[Value]:
        _, pullback = vjp(lambda *primals: run(program, *primals), *xs[: len(types)])
        given = iter(xs[len(types) :])
        cts = pullback([next(given) if dtypes.is_inexact(t.dtype) else _zeros0(t) for t in results])
        return [ct for ct, t in zip(cts, types) if dtypes.is_inexact(t.dtype)]

    closed = stage_flat(function, [*types, *tangents([t for t in results if dtypes.is_inexact(t.dtype)])], EVAL)
    in_avals = [*exported.in_avals, *tangents(exported.out_avals)]
    out_avals = tangents(exported.in_avals)
    in_tree = tree_structure(((0,) * len(in_avals), {}))
    out_tree = tree_structure((0,) * len(out_avals))
    signature = exported._signature
    return _exported(
        closed, f"{exported.fun_name}_vjp", in_tree, in_avals, out_tree, out_avals, signature.platforms, signature.disabled_checks
    )  # fmt: skip


def _check_module(signature: Signature) -> None:
    """Raises ValueError unless the module can be read, and its function `main` takes and gives
    arrays of the types that it should."""
    from pullback.xla import pjrt
    from pullback.xla.text import tensor_type

    try:
        found = pjrt.main_types(signature.text)
    except ValueError as error:
        raise ValueError(f"export.deserialize: the module of {signature.fun_name!r} is damaged: {error}") from None
    given = [t for t in signature.out_avals if t.dtype != dtypes.float0]
    if any(t.size * t.dtype.itemsize >= 2**60 for t in (*signature.in_avals, *given)):
        raise ValueError(f"export.deserialize: {signature.fun_name!r} is for arrays larger than any memory")
    wanted = [tensor_type(t.shape, t.dtype) for t in (*(signature.in_avals[i] for i in signature.kept), *given)]
    if found != wanted:
        raise ValueError(
            f"export.deserialize: the module of {signature.fun_name!r} is for other types than the artifact says: {', '.join(found)} instead of "
            f"{', '.join(wanted)}"
        )


@user_api
def deserialize(blob: bytes | bytearray) -> Exported:
    """The exported function that `Exported.serialize` wrote.

    Raises TypeError for what is not bytes; ValueError for bytes that are no artifact, are damaged
    or of another version of the format, and for containers that are not registered in this process.
    """
    exported: Exported | None = None
    for signature in reversed(unpack(blob)):
        _check_module(signature)
        exported = Exported(signature, vjp=exported)
    assert exported is not None
    return exported


__all__ = [
    "CallExported",
    "DisabledSafetyCheck",
    "Exported",
    "call_exported_p",
    "default_export_platform",
    "deserialize",
    "export",
]
