"""Export: compiled functions as artifacts, which other processes load and call without the source.

    exported = export(jit(f))(x)               f for arguments of these types (arrays, or `ShapeDtypeStruct`s)
    blob = exported.serialize(vjp_order=1)     bytes (see `export.artifact`), with what `grad` needs
    deserialize(blob).call(x)                  f(x), in any process

The function of an artifact is a StableHLO module, for arguments of these types. Where they have
symbolic dimensions, the module does, and each call is one of the function *at* the sizes that the
arguments have (`Exported.at`), which is exported for these. A call is the operation
`call_exported`, which puts the module into the program that calls; its derivative is that of the
artifact's VJP, an exported function like it.

An artifact is a program: load those of people whose programs you would run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.loops import call_in_loop
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.dimensions import Dim, evaluate, is_symbolic, names_of
from pullback.core.errors import user_api, user_line
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.kept import carriers
from pullback.core.primitive import Primitive
from pullback.core.staging import stage_flat
from pullback.core.symbolic_shapes import SymbolicScope, check_sizes, solve
from pullback.core.trace import EVAL
from pullback.core.tree import keystr, tree_flatten, tree_flatten_with_path, tree_leaves, tree_structure, tree_unflatten
from pullback.core.types import ShapedArray, typeof
from pullback.export.artifact import Signature, pack, unpack
from pullback.export.templates import names_in, with_sizes
from pullback.transforms.ahead_of_time import Wrapped
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
    from pullback.core.tree import KeyPath, PyTreeDef
    from pullback.xla.stablehlo import Emitter

#: Platforms that functions are exported for.
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_VERSION = 1


class DisabledSafetyCheck:
    """A check that `export` and `Exported.call` leave out: that of the platform, or that of the
    calls of one custom function.

    >>> checks = [DisabledSafetyCheck.platform()]
    >>> exported = export(jit(lambda x: 2 * x), platforms=["tpu"], disabled_checks=checks)(1.0)
    >>> float(exported.call(3.0))                             # on whatever platform this is
    6.0
    """

    __slots__ = ("_text",)

    def __init__(self, _impl: str) -> None:
        self._text = _impl

    @classmethod
    def platform(cls) -> DisabledSafetyCheck:
        """That the function was exported for the platform on which it is called.

        >>> DisabledSafetyCheck.platform()
        platform
        """
        return cls("platform")

    @classmethod
    def custom_call(cls, target_name: str) -> DisabledSafetyCheck:
        """That the custom call `target_name` means the same in other versions of the compiler.

        >>> DisabledSafetyCheck.custom_call("my_kernel")
        custom_call:my_kernel
        """
        return cls(f"custom_call:{target_name}")

    def is_custom_call(self) -> str | None:
        """The custom call that is not checked, if this is about one.

        >>> DisabledSafetyCheck.custom_call("my_kernel").is_custom_call()
        'my_kernel'
        """
        return self._text.removeprefix("custom_call:") if self._text.startswith("custom_call:") else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DisabledSafetyCheck) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return self._text


def default_export_platform() -> str:
    """The platform for which functions are exported if none is named: that of the default device.

    >>> export(jit(lambda x: 2 * x))(1.0).platforms == (default_export_platform(),)
    True
    """
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
            exported._text(emit.capabilities.platform), [by_number[i] for i in exported.module_kept_var_idx], emit.types
        )

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Tangent], **params: Param) -> WithTangent:
        raise TypeError(f"{params['exported']} is differentiated in reverse mode only, by `Exported.call`")

    def batch(self, size: int, args: Sequence[Value], axes: Sequence[int | None], **params: Param) -> WithAxis:
        # A module is for arguments of these shapes.
        outs = call_in_loop(partial(self.bind, **params), args, axes)
        return outs, [0] * len(outs)


call_exported_p = CallExported()


class Exported:
    """A function as a StableHLO module, with its calling convention; `export` and `deserialize`
    make them.

    `fun_name` is its name; `in_tree` the structure of (args, kwargs), `in_avals` the types of the
    arrays among them, in which dimensions may be symbolic; `out_tree` and `out_avals` those of its
    results; `platforms` what it was exported for; `disabled_safety_checks` what is not checked. The
    module takes those arguments whose numbers are in `module_kept_var_idx`; the others do not
    matter.

    >>> exported = export(jit(lambda x, y, unused: x @ y))(np.ones((2, 3)), np.ones(3), 0.0)
    >>> exported.out_avals, exported.module_kept_var_idx
    ((ShapedArray(float32[2]),), (0, 1))
    """

    nr_devices = 1
    ordered_effects: tuple[Any, ...] = ()
    unordered_effects: tuple[Any, ...] = ()
    calling_convention_version = _VERSION

    def __init__(
        self,
        signature: Signature,
        program: ClosedJaxpr | None = None,
        vjp: Exported | None = None,
        general: tuple[Exported, dict[str, Any]] | None = None,
    ) -> None:
        self._signature, self._program, self._vjp = signature, program, vjp
        #: The function of which this is one at given sizes, and these.
        self._general = general
        self._at: dict[Any, Exported] = {}
        self.fun_name: str = signature.fun_name
        self.in_tree, self.in_avals = signature.in_tree, signature.in_avals
        self.out_tree, self.out_avals = signature.out_tree, signature.out_avals
        self.platforms, self.module_kept_var_idx = signature.platforms, signature.kept
        self.disabled_safety_checks = tuple(map(DisabledSafetyCheck, signature.disabled_checks))
        #: Numbers of the arguments and results that there is data for.
        self._taken = [i for i, t in enumerate(self.in_avals) if t.dtype != dtypes.float0]
        self._given = [i for i, t in enumerate(self.out_avals) if t.dtype != dtypes.float0]
        self._symbolic = any(is_symbolic(t.shape) for t in self.in_avals)

    def mlir_module(self) -> str:
        """The module's text, for the first of the platforms. Symbolic dimensions are in it as
        `${2*a + 1}`.

        >>> import pullback.numpy as jnp
        >>> "stablehlo.sine" in export(jit(jnp.sin))(1.0).mlir_module()
        True
        """
        return self._text(self.platforms[0])

    def _text(self, platform: str) -> str:
        texts = self._signature.texts
        return texts.get(platform) or texts[self.platforms[0]]

    @property
    def mlir_module_serialized(self) -> bytes:
        """The module as bytes: its text.

        >>> exported = export(jit(lambda x: 2 * x))(1.0)
        >>> exported.mlir_module_serialized.decode() == exported.mlir_module()
        True
        """
        return self.mlir_module().encode()

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """The artifact; `deserialize` reads it. The function it gives can be differentiated
        `vjp_order` times.

        Raises ValueError for structures with unregistered containers and if there is no VJP of that
        order, TypeError for dicts whose keys are not strings.

        >>> blob = export(jit(lambda x: x**3))(2.0).serialize(vjp_order=1)
        >>> loaded = deserialize(blob)
        >>> loaded.has_vjp(), loaded.vjp().has_vjp()
        (True, False)
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

        It may be called in other jitted functions, in differentiated ones as often as it has a VJP,
        and under `vmap`, one element after the other. Where dimensions are symbolic, all arguments
        must agree in the sizes that they stand for. Raises ValueError naming the argument for a
        wrong structure, shape or dtype, for sizes that contradict each other or the constraints,
        for another platform and where there is no VJP.

        >>> exported = export(jit(lambda x: x + 1))(np.ones(3, np.float32))
        >>> exported.call(np.arange(3, dtype=np.float32))
        Array([1., 2., 3.], dtype=float32)
        >>> exported.call(np.ones(4, np.float32))
        Traceback (most recent call last):
            ...
        ValueError: Shape mismatch for args[0] ...: expected float32[3] and called with float32[4]
        """
        leaves, tree = tree_flatten((args, kwargs))
        if tree != self.in_tree:
            raise ValueError(
                "The invocation args and kwargs must have the same pytree structure as when the function "
                f"{self.fun_name!r} was exported, which is {self.in_tree} for (args, kwargs); called with {tree}"
            )
        arrays = list(map(as_array, leaves))
        for i, (x, t) in enumerate(zip(arrays, self.in_avals)):
            if not _fits(x.shape, t.shape) or x.dtype != t.dtype:
                raise self._mismatch(args, kwargs, i)
        self._check_platform()
        found = self.at(self._sizes(args, kwargs)) if self._symbolic else self
        results = iter(found._apply(*[arrays[i] for i in self._taken]))
        outs = [next(results) if t.dtype != dtypes.float0 else _zeros0(t) for t in found.out_avals]
        return tree_unflatten(self.out_tree, outs)

    def _sizes(self, args: Tree, kwargs: Tree) -> dict[str, Any]:
        """The sizes of the symbolic dimensions that the shapes of arguments say."""
        shapes = [
            (f"{_name_of(path)}.shape[{axis}]", dim, size)
            for (path, x), t in zip(tree_flatten_with_path((args, kwargs))[0], self.in_avals)
            for axis, (dim, size) in enumerate(zip(t.shape, getattr(x, "shape", ())))
        ]
        try:
            sizes = solve(shapes)
            check_sizes(self._signature.scope, shapes, sizes)
        except ValueError as error:
            types = ", ".join([t.str_short() for t in self.in_avals])
            raise ValueError(
                f"the exported function {self.fun_name!r} of ({types}): {error}, at {user_line()}"
            ) from None
        return sizes

    def at(self, sizes: Mapping[str, Any]) -> Exported:
        """The function at given sizes of its symbolic dimensions, by their names: one that is
        exported for arguments of these sizes. Raises ValueError for modules that are damaged.

        >>> from pullback.core.symbolic_shapes import symbolic_shape
        >>> from pullback.core.types import ShapeDtypeStruct
        >>> exported = export(jit(lambda x: x.T))(ShapeDtypeStruct(symbolic_shape("a, 2*a"), np.float32))
        >>> exported.at({"a": 3})
        Exported(<lambda>: (float32[3,6]) -> (float32[6,3]))
        """
        key = tuple(sorted(sizes.items()))
        found = self._at.get(key)
        if found is None:
            s = self._signature
            ins, outs = (
                [ShapedArray(tuple([evaluate(n, sizes) for n in t.shape]), t.dtype, t.weak_type) for t in types]
                for types in (s.in_avals, s.out_avals)
            )
            texts = {platform: with_sizes(text, sizes, s.scope) for platform, text in s.texts.items()}
            scope = next((n.scope for n in sizes.values() if n.__class__ is Dim), SymbolicScope())
            signature = Signature(s.fun_name, s.in_tree, ins, s.out_tree, outs, s.kept, s.disabled_checks, scope, texts)
            if self._program is None and not is_symbolic(sizes.values()):
                _check_module(signature)
            found = self._at[key] = Exported(signature, general=(self, dict(sizes)))
        return found

    def _mismatch(self, args: Tree, kwargs: Tree, i: int) -> ValueError:
        path, leaf = tree_flatten_with_path((args, kwargs))[0][i]
        name = _name_of(path)
        expected, got = self.in_avals[i], typeof(leaf)
        what = "Dtype" if _fits(got.shape, expected.shape) else "Shape"
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
        """Whether there is a VJP, so that the function can be differentiated.

        >>> exported = export(jit(lambda x: 2 * x))(1.0)
        >>> exported.has_vjp(), deserialize(exported.serialize()).has_vjp()
        (True, False)
        """
        if self._general is not None:
            return self._general[0].has_vjp()
        return self._vjp is not None or self._program is not None

    def vjp(self) -> Exported:
        """The exported VJP: it takes the arguments' arrays and cotangents of the results' arrays,
        and gives cotangents of the arguments' arrays.

        Cotangents of integers are of dtype float0. Raises ValueError if the artifact was made
        without it.

        >>> exported = export(jit(lambda x, y: x * y))(2.0, 3.0)
        >>> exported.vjp()
        Exported(<lambda>_vjp: (~float32[], ~float32[], float32[]) -> (float32[], float32[]))
        >>> [float(ct) for ct in exported.vjp().call(2.0, 3.0, 1.0)]
        [3.0, 2.0]
        """
        if self._vjp is None:
            if self._general is not None:
                general, sizes = self._general
                return general.vjp().at(sizes)
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


def _fits(shape: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether an array of a shape may be given where one of another shape is expected, whose
    symbolic dimensions may be any."""
    return len(shape) == len(expected) and all([n.__class__ is Dim or n == m for m, n in zip(shape, expected)])


def _name_of(path: KeyPath) -> str:
    """What messages call an argument at a path of (args, kwargs)."""
    return ("args" if path[0].idx == 0 else "kwargs") + keystr(tuple(path[1:]))


def _zeros0(t: ShapedArray) -> NumPyArray:
    return np.zeros(t.shape, dtypes.float0)


def export(
    fun_jit: Leaf,
    *,
    platforms: Sequence[str] | None = None,
    disabled_checks: Sequence[DisabledSafetyCheck] = (),
    _override_lowering_rules: Sequence[Any] = (),
) -> Callable[..., Exported]:
    """A function that takes the arguments of `fun_jit` (arrays, or `ShapeDtypeStruct`s) and gives
    it as `Exported` for these types.

    `fun_jit` is what `jit` returns, or a public function of this package, whose texts, and keyword
    arguments without arrays, are static. Dimensions of `ShapeDtypeStruct`s may be symbolic
    (`symbolic_shape`, `symbolic_args_specs`): one artifact then serves all sizes. It has a module for
    each of `platforms` (that of the default device, if they are not given). Donation is not part of
    it. Raises ValueError for other functions, for unknown platforms, for custom calls without a
    stable meaning and for symbolic dimensions that the shapes of arguments do not determine;
    NotImplementedError for functions that call Python on the host, and for what cannot be compiled
    for a platform, as LAPACK for others than CPUs; InconclusiveDimensionOperation where the function
    asks what depends on the size of a symbolic dimension.

    >>> import pullback.numpy as jnp
    >>> blob = export(jit(jnp.sin))(1.0).serialize(vjp_order=1)
    >>> sine = deserialize(blob)
    >>> sine
    Exported(sin: (~float32[]) -> (~float32[]))
    >>> from pullback.transforms.derivatives import grad
    >>> float(sine.call(0.0)), float(grad(sine.call)(0.0))
    (0.0, 1.0)

    >>> from pullback.core.symbolic_shapes import symbolic_shape
    >>> from pullback.core.types import ShapeDtypeStruct
    >>> (batch,) = symbolic_shape("batch")
    >>> total = export(jit(lambda x: x.sum(1)))(ShapeDtypeStruct((batch, 3), np.float32))
    >>> total
    Exported(<lambda>: (float32[batch,3]) -> (float32[batch]))
    >>> total.call(np.ones((2, 3), np.float32)).shape, total.call(np.ones((5, 3), np.float32)).shape
    ((2,), (5,))
    """
    ready_made = not isinstance(fun_jit, Wrapped) and _is_ready_made(fun_jit)
    if not (isinstance(fun_jit, Wrapped) or ready_made):
        raise ValueError(f"Function to be exported must be the result of `jit` but is: {fun_jit!r}")
    chosen = (default_export_platform(),) if platforms is None else tuple(platforms)
    unknown = [p for p in chosen if p not in _PLATFORMS]
    if unknown or not chosen:
        raise ValueError(f"export: platforms must be among {', '.join(_PLATFORMS)}; got {chosen}")
    if _override_lowering_rules:
        raise NotImplementedError(
            "export: rules of lowering are registered (`lowering.register_lowering`), not passed in"
        )
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

    scope = _check_dimensions(name, in_avals)
    texts: dict[str, str] = {}
    for platform in platforms:
        module = lower(program, name, portable=True, platform=platform)
        texts[platform] = text = module.text_without_locations()
        if module.callbacks:
            operations = sorted(set(re.findall(r'xla_ffi_python_cpu_callback.* loc\("([^"]*)"', module.text)))
            raise NotImplementedError(
                f"export of {name!r}: it calls Python functions of this process ({', '.join(operations)}), which an artifact cannot hold"
            )
        _check_targets(name, text, checks)
        unknown = names_in(text, scope) - set().union(*[names_of(n) for t in in_avals for n in t.shape])
        if unknown:
            raise ValueError(
                f"export of {name!r}: the symbolic dimensions {', '.join(sorted(unknown))} are in no shape of an argument, so that calls do not "
                "say what they are"
            )
    taken = [i for i, t in enumerate(in_avals) if t.dtype != dtypes.float0]
    kept = [taken[i] for i in module.kept]
    return Exported(Signature(name, in_tree, in_avals, out_tree, out_avals, kept, checks, scope, texts), program)


def _check_dimensions(name: str, in_avals: Sequence[ShapedArray]) -> SymbolicScope:
    """The scope of the symbolic dimensions of arguments. Raises ValueError if they are of several, or not determined
    by the shapes of arguments."""
    dims = [(f"argument {i}", n, n) for i, t in enumerate(in_avals) for n in t.shape if n.__class__ is Dim]
    for what, n, _ in dims:
        if n.scope is not dims[0][1].scope:
            raise ValueError(
                f"export of {name!r}: symbolic dimensions of two scopes do not mix, {dims[0][1]} and {n} ({what}): make all with one "
                "`symbolic_shape`, or with the same `scope`"
            )
    try:
        solve(dims)
    except ValueError as error:
        raise ValueError(f"export of {name!r}: {error}") from None
    return dims[0][1].scope if dims else SymbolicScope()


def _check_targets(name: str, text: str, checks: Sequence[str]) -> None:
    """Raises ValueError for calls of functions that may mean something else in other versions of the compiler."""
    targets = sorted(set(re.findall(r'call_target_name = "([^"]*)"', text)))
    unstable = [t for t in targets if not t.startswith("lapack_") and f"custom_call:{t}" not in checks]
    if unstable:
        raise ValueError(
            f"export of {name!r}: Cannot serialize code with custom calls whose targets have no compatibility guarantees: "
            f"{', '.join(unstable)}. Pass disabled_checks=[DisabledSafetyCheck.custom_call(name), ...] to do so all the same"
        )


def _export_vjp(exported: Exported, program: ClosedJaxpr) -> Exported:
    """The exported VJP of a function, given its program."""
    types, results = program.in_avals, program.out_avals

    def tangents(avals: Sequence[ShapedArray]) -> list[ShapedArray]:
        return [ShapedArray(t.shape, dtypes.tangent_dtype(t.dtype)) for t in avals]

    def differentiable(*primals: Value) -> list[Value]:
        return [y for y, t in zip(run(program, *primals), results) if dtypes.is_inexact(t.dtype)]

    def function(*xs: Value) -> list[Value]:
        _, pullback = vjp(differentiable, *xs[: len(types)])
        cts = pullback(list(xs[len(types) :]))
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
    if any(is_symbolic(t.shape) for t in signature.in_avals):
        return  # it is looked at when the sizes are known
    for text in signature.texts.values():
        _check_text(signature, text)


def _check_text(signature: Signature, text: str) -> None:
    from pullback.xla import pjrt
    from pullback.xla.text import tensor_type

    try:
        found = pjrt.main_types(text)
    except ValueError as error:
        raise ValueError(f"export.deserialize: the module of {signature.fun_name!r} is damaged: {error}") from None
    given = [t for t in signature.out_avals if t.dtype != dtypes.float0]
    if any(t.nbytes >= 2**60 for t in (*signature.in_avals, *given)):
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

    >>> loaded = deserialize(export(jit(lambda x: x**2))(3.0).serialize())
    >>> float(loaded.call(4.0))
    16.0
    >>> deserialize(b"nothing")
    Traceback (most recent call last):
        ...
    ValueError: export.deserialize: these 7 bytes are no exported function
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
