"""Foreign functions: kernels that were compiled elsewhere, in C++ or Rust, as operations.

    g++ -std=c++17 -shared -fPIC -I$(python -c "from pullback import ffi; print(ffi.include_dir())") norm.cc -o norm.so

    library = ctypes.cdll.LoadLibrary("./norm.so")
    ffi.register_ffi_target("rms_norm", ffi.pycapsule(library.RmsNorm))
    y = ffi.ffi_call("rms_norm", ShapeDtypeStruct(x.shape, x.dtype))(x, eps=np.float32(1e-5))

A kernel is written with the headers of XLA's foreign function interface
(https://openxla.org/xla/custom_call), which come with jaxlib. Programs call it without Python between
them; eager code compiles a program of the one call. Derivatives are the kernel's author's: see
`custom_vjp` and `custom_jvp`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pullback.control.loops import call_in_loop
from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.effects import Effect
from pullback.core.errors import user_api, user_line
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray, typeof
from pullback.lax.shape import batch_first, expand_dims
from pullback.xla.eager import evaluate_by_xla
from pullback.xla.text import dictionary, element_text, element_type, layout_text, quoted

_METHODS = ("sequential", "expand_dims", "broadcast_all", "legacy_vectorized")


# ---- attributes ----------------------------------------------------------------------------------


def _frozen(name: str, value: Any) -> Any:
    """An attribute as something hashable: its text in a program."""
    if isinstance(value, Mapping):
        return dictionary({str(k): _frozen(f"{name}.{k}", v) for k, v in value.items()})
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value} : i64"
    if isinstance(value, float):
        value = np.float64(value)
    if isinstance(value, np.generic):
        return f"{element_text(value, value.dtype)} : {_attribute_type(name, value.dtype)}"
    if isinstance(value, np.ndarray) and value.ndim == 1:
        elements = ", ".join([element_text(x, value.dtype) for x in value])
        kind = _attribute_type(name, value.dtype)
        return f"array<{kind}: {elements}>" if elements else f"array<{kind}>"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join([_frozen(name, x) for x in value])}]"
    raise TypeError(
        f"ffi_call: the attribute {name!r} must be static: a text, a number, a NumPy array of one axis, or a list, tuple or dict of such; "
        f"got {value!r:.100} of type {type(value).__name__!r}, at {user_line()}"
    )


def _attribute_type(name: str, dtype: Any) -> str:
    if dtypes.kind(dtype) not in "biuf":
        raise TypeError(f"ffi_call: the attribute {name!r} has dtype {dtypes.name(dtype)}; there are real ones only")
    return element_type(dtype)


# ---- the operation -------------------------------------------------------------------------------


class FfiCall(Primitive):
    """The results of a foreign function, of the types that `result_types` announces.

    Example: `ffi_call("lapack_spotrf_ffi", types)(a, uplo=np.uint8(76))` binds it.
    """

    name = "ffi_call"
    multiple_results = True
    weakness = "never"

    def effects_of(self, params: Any) -> frozenset[Effect]:
        return frozenset({Effect.ACTS}) if params["has_side_effect"] else frozenset()

    def type_of(self, *types: ShapedArray, result_types: Any, **_: Any) -> list[ShapedArray]:
        return list(result_types)

    def evaluate(self, *values: Any, **params: Any) -> Any:
        return evaluate_by_xla(self, values, params)

    def lower(
        self, emit: Any, *operands: Any, target: str, result_types: Any, attributes: str, has_side_effect: bool, vmap_method: Any,
        layouts: Any, aliases: Any, api_version: int,
    ) -> Any:  # fmt: skip
        ins, outs = (
            [_layout(order, x.shape) for order, x in zip(orders, values)]
            for orders, values in zip(layouts, (operands, result_types))
        )
        return emit.custom_call(
            target, *operands, out=list(result_types), backend_config=attributes, api_version=api_version, layouts=(ins, outs),
            aliases=[(result, operand) for operand, result in aliases], has_side_effect=has_side_effect,
        )  # fmt: skip

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        raise ValueError(
            f"the foreign function {params['target']!r} has no derivative, at {user_line()}: give one to a function that calls it, by "
            "`custom_jvp` or `custom_vjp`"
        )

    def batch(self, size: int, args: Any, axes: Sequence[int | None], **params: Any) -> Any:
        method, result_types = params["vmap_method"], params["result_types"]
        if method is None:
            raise NotImplementedError(
                f"vmap of the foreign function {params['target']!r}, at {user_line()}: pass `vmap_method` to `ffi_call`, one of {_METHODS}"
            )
        if method == "sequential":
            outs = call_in_loop(partial(self.bind, **params), args, axes)
            return outs, [0] * len(outs)
        if method == "legacy_vectorized" and None in axes:
            raise NotImplementedError(
                f'vmap of the foreign function {params["target"]!r} with vmap_method="legacy_vectorized", at {user_line()}: all arguments '
                'must be mapped; use "expand_dims" or "broadcast_all"'
            )
        whole = method == "broadcast_all"
        moved = [
            expand_dims(x, (0,)) if b is None and not whole else batch_first(x, b, size) for x, b in zip(args, axes)
        ]
        in_layouts, out_layouts = ([_with_leading_axis(order) for order in orders] for orders in params["layouts"])
        params |= {
            "result_types": tuple([t.update(shape=(size, *t.shape)) for t in result_types]),
            "layouts": (tuple(in_layouts), tuple(out_layouts)),
        }
        outs = self.bind(*moved, **params)
        return outs, [0] * len(outs)


ffi_call_p = FfiCall()


def _layout(order: Any, shape: Any) -> str:
    """An order of axes, the slowest first, as XLA has it: the fastest first."""
    return layout_text((range(len(shape)) if order is None else order)[::-1])


def _with_leading_axis(order: Any) -> Any:
    return None if order is None else (0, *[axis + 1 for axis in order])


@user_api
def ffi_call(
    target_name: str, result_shape_dtypes: Any, *, has_side_effect: bool = False, vmap_method: str | None = None,
    input_layouts: Sequence[Sequence[int] | None] | None = None, output_layouts: Any = None,
    input_output_aliases: Mapping[int, int] | None = None, custom_call_api_version: int = 4, legacy_backend_config: str | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The foreign function registered as `target_name`, as a function of arrays, and of attributes as
    keyword arguments.

    `result_shape_dtypes` is the type of the result, or a list of them: `ShapeDtypeStruct`s, arrays, or
    what else has `shape` and `dtype`. Attributes are static: texts, booleans, numbers (Python's have
    64 bits; NumPy's scalars have their type), NumPy arrays of one axis, and lists and dicts of such.
    `has_side_effect`: it is called whether or not results are used. `vmap_method` says what `vmap` does,
    as for `pure_callback`: "sequential" calls it for one element after the other, "expand_dims" and
    "broadcast_all" call it once, with a leading axis that is 1 for arguments that are not mapped, or
    repeated. `input_layouts` and `output_layouts` are orders of axes, the slowest first, for each
    array (None: row-major). `input_output_aliases` are operands whose memory a result takes: {operand:
    result}. `custom_call_api_version` below 4 is XLA's earlier interface, with `legacy_backend_config`.

    Raises ValueError for other methods, layouts and aliases, and for derivatives; TypeError for
    attributes that are not static; JaxRuntimeError for targets that are not registered and for errors
    that the function reports. Source: XLA's documentation of custom calls,
    https://openxla.org/xla/custom_call.

    >>> from pullback.xla import pjrt
    >>> pjrt.register_lapack()
    >>> a = np.float32([[4, 2], [2, 5]])
    >>> factor = ffi_call("lapack_spotrf_ffi", [typeof(a), ShapedArray((), np.dtype("int32"))])
    >>> factor(a, uplo=np.uint8(ord("U")))[1]
    Array(0, dtype=int32)
    """
    several = isinstance(result_shape_dtypes, (list, tuple))
    types = tuple([_result_type(t) for t in (result_shape_dtypes if several else [result_shape_dtypes])])
    if vmap_method is not None and vmap_method not in _METHODS:
        raise ValueError(f"ffi_call: vmap_method must be one of {_METHODS}, got {vmap_method!r}")
    if (custom_call_api_version >= 4) and legacy_backend_config is not None:
        raise ValueError(
            "ffi_call: legacy_backend_config is for custom_call_api_version below 4; attributes are keyword arguments"
        )
    out_orders = _orders(
        "output_layouts", output_layouts if several else None if output_layouts is None else [output_layouts], types
    )
    aliases = tuple((input_output_aliases or {}).items())

    def call(*args: Any, **attributes: Any) -> Any:
        arrays = [as_array(x) for x in args]
        in_types = [x.aval for x in arrays]
        for operand, result in aliases:
            fits = 0 <= operand < len(arrays) and 0 <= result < len(types)
            if not (
                fits
                and (in_types[operand].shape, in_types[operand].dtype) == (types[result].shape, types[result].dtype)
            ):
                raise ValueError(
                    f"ffi_call: input_output_aliases has {operand}: {result}, which are no operand and result of one type, of "
                    f"({', '.join(map(str, in_types))}) and ({', '.join(map(str, types))})"
                )
        if custom_call_api_version < 4:
            if attributes:
                raise ValueError(
                    "ffi_call: attributes are for custom_call_api_version 4; earlier ones have legacy_backend_config"
                )
            config = quoted(legacy_backend_config or "")
        else:
            config = dictionary({name: _frozen(name, value) for name, value in attributes.items()})
        outs = ffi_call_p.bind(
            *arrays, target=target_name, result_types=types, attributes=config, has_side_effect=has_side_effect,
            vmap_method=vmap_method, layouts=(_orders("input_layouts", input_layouts, in_types), out_orders), aliases=aliases,
            api_version=custom_call_api_version,
        )  # fmt: skip
        return list(outs) if several else outs[0]

    return call


def _result_type(t: Any) -> ShapedArray:
    found = typeof(t)
    return ShapedArray(found.shape, found.dtype)


def _orders(name: str, layouts: Any, types: Sequence[ShapedArray]) -> tuple[Any, ...]:
    if layouts is None:
        return (None,) * len(types)
    orders = tuple([None if order is None else tuple(order) for order in layouts])
    if len(orders) != len(types) or any(
        o is not None and sorted(o) != list(range(t.ndim)) for o, t in zip(orders, types)
    ):
        raise ValueError(
            f"ffi_call: {name} must have an order of all axes (or None) for each of ({', '.join(map(str, types))}), got {layouts}"
        )
    return orders


# ---- what is registered --------------------------------------------------------------------------


def register_ffi_target(name: str, fn: Any, platform: str = "cpu", api_version: int = 1, **kwargs: Any) -> None:
    """Make a foreign function known under a name, for `ffi_call`.

    `fn` is a capsule with a pointer to its handler (see `pycapsule`), or a dict of such by the
    stages "instantiate", "prepare", "initialize" and "execute". `api_version` is 1 for XLA's typed
    interface, 0 for the earlier one; other keyword arguments go to the runtime as they are. Raises
    TypeError for what is no capsule. A name is registered once: another function under it is an
    error of the runtime.

    >>> register_ffi_target("rms_norm", "./norm.so")  # the function of the library, by `pycapsule`
    Traceback (most recent call last):
      ...
    TypeError: register_ffi_target: 'rms_norm' must be a PyCapsule (see `ffi.pycapsule`) or a dict of such, got ...
    """
    stages = fn.values() if isinstance(fn, Mapping) else [fn]
    if not all(type(f).__name__ == "PyCapsule" for f in stages):
        raise TypeError(
            f"register_ffi_target: {name!r} must be a PyCapsule (see `ffi.pycapsule`) or a dict of such, got {fn!r:.100}"
        )
    from pullback.xla import pjrt

    pjrt.register_target(name, fn, platform, api_version, **kwargs)


def register_ffi_type(name: str, type_registration: Any, platform: str = "cpu") -> None:
    """Make a type known that foreign functions keep between their stages.

    `type_registration` is a dict with the capsules "type_id", of a pointer to the library's
    `XLA_FFI_TypeId`, and optionally "type_info", of one to its `XLA_FFI_TypeInfo`; what they point to
    must live as long as the process. The type gets its number when the platform starts. Raises
    TypeError for what is no such dict. A name is registered once. See
    https://openxla.org/xla/custom_call, "Stateful FFI handlers".

    >>> register_ffi_type("my_library.State", {"type_id": 7})
    Traceback (most recent call last):
      ...
    TypeError: register_ffi_type: 'my_library.State' must be a dict of PyCapsules ... "type_id" ...
    """
    # Now: the runtime looks at it when the platform starts, in the middle of something else.
    given = type_registration if isinstance(type_registration, Mapping) else {}
    if "type_id" not in given or not all(type(x).__name__ == "PyCapsule" for x in given.values()):
        raise TypeError(
            f'register_ffi_type: {name!r} must be a dict of PyCapsules (see `ffi.pycapsule`), "type_id" and optionally "type_info"; '
            f"got {type_registration!r:.100}, at {user_line()}"
        )
    from pullback.xla import pjrt

    pjrt.register_type(name, type_registration, platform)


def pycapsule(funcptr: Any) -> Any:
    """A function of a library that `ctypes` has loaded, as the capsule that `register_ffi_target`
    takes.

    >>> import ctypes
    >>> type(pycapsule(ctypes.pythonapi.Py_GetVersion)).__name__
    'PyCapsule'
    """
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return make(ctypes.cast(funcptr, ctypes.c_void_p), b"xla._CUSTOM_CALL_TARGET", None)


def include_dir() -> str:
    """The folder of XLA's headers for foreign functions, which come with jaxlib: `xla/ffi/api/ffi.h`
    and others.

    >>> import os
    >>> os.path.exists(os.path.join(include_dir(), "xla", "ffi", "api", "ffi.h"))
    True
    """
    from pullback.xla import pjrt

    return pjrt.include_directory()


__all__ = ["ffi_call", "include_dir", "pycapsule", "register_ffi_target", "register_ffi_type"]
