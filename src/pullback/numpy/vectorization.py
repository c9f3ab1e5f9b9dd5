"""Functions of rows applied to whole arrays: `vectorize`, `apply_along_axis`, `apply_over_axes`, by
vmap."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.types import Shape, canonical_axis
from pullback.core.types import broadcast_shapes as core_broadcast_shapes
from pullback.numpy.conversion import array
from pullback.numpy.manipulation import expand_dims, squeeze
from pullback.numpy.promotion import array_like
from pullback.transforms.vmap import vmap


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Array:
    """`func1d(row, *args, **kwargs)` for each row of `arr` along `axis`; the results' axes take the
    place of `axis`.

    `func1d` is applied to all rows at once, by `vmap`. Raises ValueError for an axis out of bounds.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[3, 1, 2], [6, 5, 4]])
    >>> jnp.apply_along_axis(lambda row: jnp.sort(row)[::-1], 1, x)
    Array([[3, 2, 1],
           [6, 5, 4]], dtype=int32)
    >>> jnp.apply_along_axis(jnp.outer, 1, x, jnp.ones(4)).shape
    (2, 3, 4)
    """
    x = array_like(arr, "apply_along_axis")
    i = canonical_axis(axis, x.ndim)
    mapped: Callable[..., Any] = lambda row: func1d(row, *args, **kwargs)
    for _ in range(x.ndim - i - 1):
        mapped = vmap(mapped, in_axes=1, out_axes=-1)
    for _ in range(i):
        mapped = vmap(mapped, in_axes=0, out_axes=0)
    return mapped(x)


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Array:
    """`func(func(a, axes[0]), axes[1])` and so on; axes that `func` drops are kept, with length 1.

    `func` takes an array and an axis. Raises ValueError if it gives more or fewer axes than that.

    >>> import pullback.numpy as jnp
    >>> jnp.apply_over_axes(jnp.sum, jnp.ones((2, 3, 4)), (0, 2))
    Array([[[8.],
            [8.],
            [8.]]], dtype=float32)
    """
    x = array_like(a, "apply_over_axes")
    for axis in axes if isinstance(axes, (tuple, list)) else [axes]:
        out = func(x, axis)
        if out.ndim == x.ndim - 1:
            out = expand_dims(out, axis)
        if out.ndim != x.ndim:
            raise ValueError(f"apply_over_axes: the function gave {out.ndim} dimensions for an array of {x.ndim}")
        x = out
    return x


_ARGUMENT = r"\(\s*([^()\s,]+\s*(?:,\s*[^()\s,]+\s*)*)?\)"
_SIGNATURE = re.compile(rf"^\s*({_ARGUMENT}\s*(?:,\s*{_ARGUMENT}\s*)*)?->\s*{_ARGUMENT}\s*(?:,\s*{_ARGUMENT}\s*)*$")


def _parse_signature(signature: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Names of the core dimensions of each input and output of a signature such as
    "(n,m),(m)->(n)"."""
    if not _SIGNATURE.match(signature):
        raise ValueError(f"vectorize: not a valid signature: {signature!r} (an example: '(n,m),(m)->(n)')")
    inputs, outputs = (
        [tuple(re.findall(r"[^()\s,]+", group)) for group in re.findall(r"\(([^()]*)\)", side)]
        for side in signature.split("->")
    )
    return inputs, outputs


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = frozenset(), signature: str | None = None
) -> Callable[..., Any]:
    """A function of arrays that applies `pyfunc` over leading axes, which broadcast, by `vmap`.

    `signature` gives the core dimensions that `pyfunc` sees, as in "(n,m),(m)->(n)"; scalars by
    default. Arguments whose number or name is `excluded` are passed on as they are. The result has
    the leading axes, then those of what `pyfunc` gives. Raises ValueError where a core dimension
    has two sizes, and for a malformed signature.

    >>> import pullback.numpy as jnp
    >>> distance = jnp.vectorize(lambda p, q: jnp.linalg.norm(p - q), signature="(n),(n)->()")
    >>> points = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    >>> distance(points[:, None], points)
    Array([[0., 5.],
           [5., 0.]], dtype=float32)
    """
    if any(not isinstance(x, (int, str)) for x in excluded):
        raise TypeError(f"vectorize: excluded must be argument numbers and names, got {set(excluded)!r}")
    if any(isinstance(x, int) and x < 0 for x in excluded):
        raise ValueError(f"vectorize: excluded argument numbers must not be negative, got {set(excluded)!r}")
    parsed = None if signature is None else _parse_signature(signature)

    def vectorized(*args: Any, **kwargs: Any) -> Any:
        return _vectorized(pyfunc, frozenset(excluded), parsed, signature, args, kwargs)

    vectorized.__name__ = getattr(pyfunc, "__name__", "vectorized")
    vectorized.__doc__ = f"Vectorized version of {vectorized.__name__}.\n\n{pyfunc.__doc__ or ''}"
    vectorized.__wrapped__ = pyfunc
    return vectorized


def _vectorized(
    pyfunc: Callable[..., Any], excluded: Any, parsed: Any, signature: str | None, args: tuple[Any, ...], kwargs: Any
) -> Any:
    where_ = f"in vectorize with signature {signature!r}, at {user_line()}"
    by_name = [name for name in kwargs if name not in excluded]
    fixed = {name: value for name, value in kwargs.items() if name in excluded}
    positions = [i for i in range(len(args)) if i not in excluded]
    given = [args[i] for i in positions] + [kwargs[name] for name in by_name]
    arrays = [array(x) if isinstance(x, (list, tuple)) else array_like(x, "vectorize") for x in given]
    inputs, outputs = parsed if parsed is not None else ([()] * len(arrays), None)
    if len(inputs) != len(arrays):
        raise TypeError(f"wrong number of arguments: expected {len(inputs)}, got {len(arrays)}, {where_}")

    sizes: dict[str, int] = {}
    leads: list[Shape] = []
    for x, core in zip(arrays, inputs):
        if x.ndim < len(core):
            raise ValueError(f"input of shape {x.shape} lacks axes for the core dimensions {core}, {where_}")
        lead = x.ndim - len(core)
        leads.append(tuple(x.shape[:lead]))
        _check_core(core, tuple(x.shape[lead:]), sizes, where_)
    lead_shape = core_broadcast_shapes(*leads) if leads else ()

    def core_function(*xs: Any) -> Any:
        full_args = list(args)
        for i, x in zip(positions, xs):
            full_args[i] = x
        out = pyfunc(*full_args, **fixed, **dict(zip(by_name, xs[len(positions) :])))
        if outputs is not None:
            _check_outputs(out, outputs, sizes, where_)
        return out

    # One vmap for each leading axis, innermost last; arguments without the axis are shared. Axes of
    # length 1 that broadcast are dropped.
    rank = len(lead_shape)
    squeezed, in_axes = [], []
    for x, lead in zip(arrays, leads):
        start = rank - len(lead)
        own = [lead[d - start] if d >= start else 1 for d in range(rank)]
        drop = tuple(d - start for d in range(start, rank) if own[d] == 1 and lead_shape[d] != 1)
        squeezed.append(squeeze(x, drop) if drop else x)
        in_axes.append([0 if d >= start and not (own[d] == 1 and lead_shape[d] != 1) else None for d in range(rank)])
    mapped: Callable[..., Any] = core_function
    for d in reversed(range(rank)):
        mapped = vmap(mapped, in_axes=tuple(axes[d] for axes in in_axes))
    return mapped(*squeezed)


def _check_core(core: tuple[str, ...], shape: Shape, sizes: dict[str, int], where_: str) -> None:
    if len(core) != len(shape):
        raise ValueError(f"output of shape {shape} does not match its core dimensions {core}, {where_}")
    for name, n in zip(core, shape):
        expected = int(name) if name.isdigit() else sizes.setdefault(name, n)
        if n != expected:
            raise ValueError(f"inconsistent size for core dimension {name!r}: {n} vs {expected}, {where_}")


def _check_outputs(out: Any, outputs: list[tuple[str, ...]], sizes: dict[str, int], where_: str) -> None:
    if len(outputs) == 1:
        results: Sequence[Any] = [out]
    elif not isinstance(out, tuple):
        raise TypeError(f"output must be a tuple when several are expected, got {type(out).__name__}, {where_}")
    else:
        results = out
    if len(results) != len(outputs):
        raise TypeError(f"wrong number of outputs: expected {len(outputs)}, got {len(results)}, {where_}")
    for result, core in zip(results, outputs):
        _check_core(core, tuple(np.shape(result) if not isinstance(result, Array) else result.shape), sizes, where_)


__all__ = ["apply_along_axis", "apply_over_axes", "vectorize"]
