"""Pullback functions in PyTorch programs, and PyTorch functions in Pullback's, with derivatives of
any order. PyTorch is no dependency of Pullback: this module needs it to be installed.

    to_torch(f)      a function of tensors, which torch.autograd differentiates by Pullback's rules
    from_torch(g)    a function of arrays, which Pullback differentiates by torch.autograd's

    to_tensor(x), to_array(t)    trees of arrays as trees of tensors, and back

Values are copied between the two, so that neither sees what the other writes. Tensors have to be on
CPUs. Reference for the border: https://docs.pytorch.org/docs/stable/notes/extending.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.control.linear_calls import linear_call
from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.config import config, enable_x64
from pullback.core.errors import user_line
from pullback.core.tree import tree_flatten, tree_map, tree_structure
from pullback.core.types import ShapeDtypeStruct
from pullback.lax.callbacks import pure_callback
from pullback.transforms.custom_vjp import custom_vjp
from pullback.transforms.jit import jit as jit_
from pullback.transforms.linearize import vjp

if TYPE_CHECKING:
    import torch

#: dtypes that NumPy does not have travel as integers of their width.
_AS_INTEGERS = {"bfloat16": "int16"}


@cache
def _torch() -> Any:
    """PyTorch, which is imported when it is first needed: the module can be looked at without it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "pullback.interop.torch needs PyTorch, which is not installed: see https://pytorch.org/get-started"
        ) from error
    return torch


def _name(t: torch.Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")


def _array(t: torch.Tensor) -> Array:
    if t.device.type != "cpu":
        raise ValueError(f"a tensor is on the device {t.device}: move it to the CPU first (`t.cpu()`)")
    t = t.detach().resolve_conj().resolve_neg()
    name = _name(t)
    if name in _AS_INTEGERS:
        integers = t.contiguous().view(getattr(_torch(), _AS_INTEGERS[name]))
        return as_array(integers.numpy().view(dtypes.canonicalize_dtype(name)))
    return as_array(t.numpy())


def _tensor(x: Any) -> torch.Tensor:
    torch, value = _torch(), np.array(x)
    name = dtypes.name(value.dtype)
    if name in _AS_INTEGERS:
        return torch.from_numpy(value.view(_AS_INTEGERS[name])).view(getattr(torch, name))
    return torch.from_numpy(value)


def to_array(tree: Any) -> Any:
    """A tree of tensors as one of Arrays, copied. 64-bit numbers are narrowed unless 64 bits are on.

    Raises ValueError if a tensor is not on a CPU.

    >>> import torch
    >>> to_array({"a": torch.tensor([1.0, 2.0])})
    {'a': Array([1., 2.], dtype=float32)}
    """
    torch = _torch()
    return tree_map(lambda t: _array(t) if isinstance(t, torch.Tensor) else as_array(t), tree)


def to_tensor(tree: Any) -> Any:
    """A tree of concrete arrays as one of tensors, copied.

    >>> to_tensor([np.float32(1.5)])
    [tensor(1.5000)]
    """
    return tree_map(_tensor, tree)


# ---- Pullback's functions for PyTorch ------------------------------------------------------------
# What is compiled is a function of flat arrays; what it is made of is static.

_TENSOR = None  # where an argument is a tensor


class _Flat(NamedTuple):
    """`f` of the arguments of one structure, as a function of those that are tensors."""

    f: Callable[..., Any]
    structure: Any
    others: tuple[Any, ...]

    def __call__(self, *arrays: Any) -> Any:
        rest = iter(arrays)
        args, kwargs = self.structure.unflatten([next(rest) if is_tensor else x for is_tensor, x in self.others])
        return self.f(*args, **kwargs)


class _Pulled(NamedTuple):
    """The cotangents of a flat function's arguments numbered `wanted`, as a flat function of its
    arguments and of the cotangents of its inexact results."""

    flat: Any
    wanted: tuple[int, ...]
    size: int

    def __call__(self, *arrays: Any) -> Any:
        xs, cts = arrays[: self.size], arrays[self.size :]
        return _with_pullback(self.flat, self.wanted, xs)[1](list(cts))


def _run(flat: Any, arrays: Any) -> Any:
    return flat(*arrays)


def _with_pullback(flat: Any, wanted: tuple[int, ...], arrays: Any) -> Any:
    """All results, and the linear map from cotangents of the inexact ones to those of the
    arguments `wanted`."""

    def of_wanted(*some: Any) -> Any:
        given = list(arrays)
        for i, x in zip(wanted, some):
            given[i] = x
        tree = flat(*given)
        inexact = [x for x in map(as_array, tree_flatten(tree)[0]) if dtypes.is_inexact(x.dtype)]
        return inexact, tree

    _, pull, tree = vjp(of_wanted, *[arrays[i] for i in wanted], has_aux=True)
    return tree, pull


_COMPILED: dict[Any, Any] = {
    _run: jit_(_run, static_argnums=0),
    _with_pullback: jit_(_with_pullback, static_argnums=(0, 1)),
}


@cache
def _operation() -> Any:
    """A flat function as an operation of torch.autograd: `apply(flat, compiled, found, *tensors)`,
    where `found` is a list, to which the structure of the result is appended."""
    torch = _torch()

    class Apply(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, flat: Any, compiled: bool, found: list[Any], *tensors: torch.Tensor) -> Any:
            run, with_pullback = (_COMPILED[_run], _COMPILED[_with_pullback]) if compiled else (_run, _with_pullback)
            wanted = tuple([i for i, x in enumerate(ctx.needs_input_grad[3:]) if x])
            ctx.wide = config.enable_x64 or any([t.dtype in (torch.float64, torch.complex128) for t in tensors])
            with enable_x64(ctx.wide):
                arrays = [_array(t) for t in tensors]
                if wanted:
                    tree, ctx.pull = with_pullback(flat, wanted, arrays)
                else:
                    tree = run(flat, arrays)
            leaves, structure = tree_flatten(tree)
            found.append(structure)
            outs = [_tensor(x) for x in leaves]
            ctx.flat, ctx.compiled, ctx.wanted = flat, compiled, wanted
            ctx.save_for_backward(*tensors)
            ctx.inexact = [o.is_floating_point() or o.is_complex() for o in outs]
            ctx.mark_non_differentiable(*[o for o, inexact in zip(outs, ctx.inexact) if not inexact])
            return tuple(outs)

        @staticmethod
        def backward(ctx: Any, *cts: torch.Tensor) -> Any:
            # Pullback pairs by Re(ct · t), PyTorch by Re(conj(ct) · t).
            cts = tuple([ct.conj() for ct, inexact in zip(cts, ctx.inexact) if inexact])
            tensors = ctx.saved_tensors
            if torch.is_grad_enabled():  # `create_graph`: the derivative is differentiated in its turn
                pulled = _Pulled(ctx.flat, ctx.wanted, len(tensors))
                grads = Apply.apply(pulled, ctx.compiled, [], *tensors, *cts)
            else:
                with enable_x64(ctx.wide):
                    grads = [_tensor(x) for x in ctx.pull([_array(ct) for ct in cts])]
            out: list[Any] = [None] * (3 + len(tensors))
            for i, g in zip(ctx.wanted, grads):
                out[3 + i] = g.conj()
            return tuple(out)

    return Apply


def to_torch(f: Callable[..., Any], *, jit: bool = True) -> Callable[..., Any]:
    """`f` as a function of trees of tensors, differentiable by torch.autograd to any order.

    Arguments that are no tensors are given to `f` as they are (they must be hashable, and are part
    of the program, like what `f` closes over). `f` is compiled once for a structure and types of its
    arguments, unless `jit` is False. A float64 or complex128 tensor switches 64 bits on; otherwise
    64-bit integers are narrowed as the session has it.

    In `backward` the residuals of the forward pass are used; with `create_graph=True` the forward
    pass is computed again.

    Raises ValueError if a tensor is not on a CPU.

    >>> import pullback.numpy as jnp
    >>> import torch
    >>> f = to_torch(lambda x: jnp.sum(jnp.sin(x) ** 2))
    >>> x = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> y = f(x)
    >>> y.backward()
    >>> x.grad
    tensor([0.0000, 0.9093])
    """
    if not callable(f):
        raise TypeError(f"to_torch takes a function, got {f!r}, at {user_line()}")

    torch, operation = _torch(), _operation()

    @wraps(f)
    def on_tensors(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree_flatten((args, kwargs))
        are_tensors = [isinstance(x, torch.Tensor) for x in leaves]
        others = tuple([(is_tensor, _TENSOR if is_tensor else x) for is_tensor, x in zip(are_tensors, leaves)])
        found: list[Any] = []
        tensors = [x for x, is_tensor in zip(leaves, are_tensors) if is_tensor]
        outs = operation.apply(_Flat(f, structure, others), jit, found, *tensors)
        return found[0].unflatten(list(outs))

    return on_tensors


# ---- PyTorch's functions for Pullback ------------------------------------------------------------


def _inexact(t: Any) -> bool:
    return dtypes.is_inexact(t.dtype)


def _leaf_tensors(xs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors as what a graph can begin with."""
    return [
        x if x.requires_grad or not (x.is_floating_point() or x.is_complex()) else x.detach().requires_grad_()
        for x in xs
    ]


def _pull_through(flat: Callable[..., Any], size: int) -> Callable[..., Any]:
    """The torch function from arguments and cotangents to the arguments' cotangents, differentiable
    itself."""
    torch = _torch()

    def pull(*tensors: torch.Tensor) -> list[torch.Tensor]:
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            xs = _leaf_tensors(tensors[:size])
            outs = [o for o in flat(*xs) if o.is_floating_point() or o.is_complex()]
            wanted = [x for x in xs if x.requires_grad]
            return _gradients(outs, wanted, [ct.conj() for ct in tensors[size:]], graph)

    return pull


def _push_through(flat: Callable[..., Any], size: int) -> Callable[..., Any]:
    """The torch function from arguments and tangents to the results' tangents: the transpose of the
    pullback, which is linear in the cotangents (J. Townsend, "A new trick for calculating
    Jacobian-vector products", 2017)."""
    torch = _torch()

    def push(*tensors: torch.Tensor) -> list[torch.Tensor]:
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            xs = _leaf_tensors(tensors[:size])
            outs = [o for o in flat(*xs) if o.is_floating_point() or o.is_complex()]
            wanted = [x for x in xs if x.requires_grad]
            cts = [torch.zeros_like(o, requires_grad=True) for o in outs]
            pulled = _gradients(outs, wanted, cts, True)
            return [t.conj().resolve_conj() for t in _gradients(pulled, cts, [t.conj() for t in tensors[size:]], graph)]

    return push


def _gradients(outs: Any, xs: Any, cts: Any, graph: bool) -> list[torch.Tensor]:
    """Cotangents by Pullback's convention of tensors by PyTorch's. What does not depend is zero."""
    torch = _torch()
    pairs = [(o, ct) for o, ct in zip(outs, cts) if o.requires_grad]
    if not pairs or not xs:
        return [torch.zeros_like(x) for x in xs]
    grads = torch.autograd.grad(
        [o for o, _ in pairs],
        xs,
        [ct for _, ct in pairs],
        create_graph=graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return [g.conj() for g in grads]


def _function(flat: Callable[..., Any], results: Sequence[Any], arguments: Sequence[Any]) -> Callable[..., Any]:
    """A torch function of flat tensors as a Pullback function of flat arrays; derivatives are made
    in the same way of the torch functions that pull and push."""
    torch = _torch()

    def on_host(*arrays: Any) -> list[Any]:
        with torch.no_grad():
            outs = flat(*[_tensor(x) for x in arrays])
        return [np.asarray(_array(o)).astype(t.dtype, copy=False) for o, t in zip(outs, results)]

    @custom_vjp
    def f(*arrays: Any) -> Any:
        return pure_callback(on_host, list(results), *arrays, vmap_method="sequential")

    def forward(*arrays: Any) -> Any:
        return f(*arrays), arrays

    size = len(arguments)
    wanted, given = [t for t in arguments if _inexact(t)], [t for t in results if _inexact(t)]

    def backward(arrays: Any, cts: Any) -> Any:
        pull = _function(_pull_through(flat, size), wanted, [*arguments, *given])
        push = _function(_push_through(flat, size), given, [*arguments, *wanted])
        inexact = [ct for ct, t in zip(cts, results) if _inexact(t)]
        pulled = iter(
            linear_call(lambda xs, cts: pull(*xs, *cts), lambda xs, ts: push(*xs, *ts), list(arrays), inexact)
        )
        return tuple([next(pulled) if _inexact(t) else None for t in arguments])

    f.defvjp(forward, backward)
    return f


def _result_of(g: Callable[..., Any], structure: Any, types: Sequence[Any]) -> Any:
    """The tree of types that `g` gives, found out with tensors that have no data."""
    torch = _torch()
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        tensors = [torch.empty(t.shape, dtype=_tensor(np.zeros((), t.dtype)).dtype) for t in types]
        out = g(*structure.unflatten(tensors))
        return tree_map(lambda t: ShapeDtypeStruct(tuple(t.shape), dtypes.canonicalize_dtype(_name(t))), out)


def from_torch(g: Callable[..., Any], result: Any = None) -> Callable[..., Any]:
    """A function of trees of tensors as a Pullback function of trees of arrays, with derivatives by
    torch.autograd: in both modes, of any order that PyTorch has, eagerly, under `jit` and under
    `vmap` (one call for each element).

    `g` must have no side effects, and is called on the host. Parameters of a module are constants;
    to differentiate in them pass them as arguments, with `torch.func.functional_call`. `result` is
    the tree of `ShapeDtypeStruct` that `g` gives; None finds it out by calling `g` on tensors
    without data, which some functions do not allow (data-dependent shapes, foreign code).

    The pullback calls `g` again: no graph of PyTorch's is kept between two calls.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> import torch
    >>> f = from_torch(lambda x: (torch.sin(x) ** 2).sum())
    >>> pb.grad(f)(jnp.array([0.0, 1.0])).round(4)
    Array([0.    , 0.9093], dtype=float32)
    """
    if not callable(g):
        raise TypeError(f"from_torch takes a function, got {g!r}, at {user_line()}")
    _torch()
    known: dict[Any, Any] = {}

    def on_arrays(*args: Any) -> Any:
        leaves, structure = tree_flatten(args)
        arrays = [as_array(x) for x in leaves]
        types = [ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
        key = (structure, tuple([(t.shape, t.dtype) for t in types]), config.enable_x64)
        if key not in known:
            tree = _result_of(g, structure, types) if result is None else result
            results, out = tree_flatten(tree)

            def flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
                value = g(*structure.unflatten(list(tensors)))
                if tree_structure(value) != out:
                    raise TypeError(f"the torch function gave {tree_structure(value)}, {out} was announced")
                return tree_flatten(value)[0]

            known[key] = _function(flat, results, types), out
        f, out = known[key]
        return out.unflatten([as_array(x) for x in f(*arrays)])

    return wraps(g)(on_arrays) if hasattr(g, "__name__") else on_arrays


__all__ = ["from_torch", "to_array", "to_tensor", "to_torch"]
