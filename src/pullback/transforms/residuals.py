"""What a function's derivative stores for the backward pass: how large it is, and where it comes
from."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_api
from pullback.core.jaxpr import JaxprEqn, Literal, Var
from pullback.core.passes import inline_calls
from pullback.core.staging import stage_flat
from pullback.core.tree import keystr, leaf_error, tree_flatten_with_path
from pullback.core.types import ShapedArray
from pullback.transforms.flat_function import FlatFunction
from pullback.transforms.program import Linearization

if TYPE_CHECKING:
    from pullback.core.names import Function, Leaf, Tree
    from pullback.core.tree import KeyPath


class Residual(NamedTuple):
    """An array that is kept for the backward pass: its type `aval`, how large it is, `nbytes`, and its
    `source`: an argument, a constant, or an operation, with the line of the user's code.

    >>> import pullback.numpy as jnp
    >>> (found,) = saved_residuals(lambda x: x @ x, jnp.ones(4))
    >>> found.aval, found.nbytes, found.source
    (ShapedArray(float32[4]), 16, 'from the argument x')
    """

    #: Its type.
    aval: ShapedArray
    #: How large it is.
    nbytes: int
    #: Where it comes from: an argument, a constant, or an operation, with the line of the user's
    #: code.
    source: str

    def __str__(self) -> str:
        return f"{self.aval.str_short(True)} {self.source} ({self.nbytes:,} bytes)"


@user_api
def saved_residuals(f: Function, *args: Tree, **kwargs: Tree) -> list[Residual]:
    """The arrays that differentiating `f(*args, **kwargs)` keeps from the forward pass to the
    backward pass, each once.

    Arguments among them are there anyway, if somebody else holds them. Arguments may be arrays or
    `ShapeDtypeStruct`s; nothing is computed.

    >>> import pullback.numpy as jnp
    >>> from pullback.transforms.checkpoint import checkpoint
    >>> f = lambda x: jnp.sin(jnp.sin(x))
    >>> [r.nbytes for r in saved_residuals(f, jnp.ones(3))]
    [12, 12]
    >>> [str(r) for r in saved_residuals(checkpoint(f), jnp.ones(3))]
    ['f32[3] from the argument x (12 bytes)']
    """
    return _saved_residuals(f, args, kwargs)


def print_saved_residuals(f: Function, *args: Tree, **kwargs: Tree) -> None:
    """Print `saved_residuals(f, *args, **kwargs)`, one a line, and how large they are together.

    >>> import pullback.numpy as jnp
    >>> print_saved_residuals(lambda x, y: x * y, jnp.ones(3), jnp.ones(3))
    f32[3] from the argument y (12 bytes)
    f32[3] from the argument x (12 bytes)
    24 bytes in 2 arrays
    """
    found = saved_residuals(f, *args, **kwargs)
    lines = [*map(str, found), f"{sum(r.nbytes for r in found):,} bytes in {len(found)} arrays"]
    print("\n".join(lines))  # noqa: T201


def _saved_residuals(f: Function, args: tuple[Tree, ...], kwargs: dict[str, Tree]) -> list[Residual]:
    if not callable(f):
        raise TypeError(f"saved_residuals takes a function, got {f!r:.100}")
    flat = FlatFunction(f, args, kwargs, "the function given to saved_residuals")
    types = [_type_of(x, (args, kwargs)) for x in flat.leaves]
    names = [argument_name(f, path) for path, _ in tree_flatten_with_path((args, kwargs))[0]]
    active = tuple(dtypes.is_inexact(t.dtype) for t in types)
    found = Linearization(stage_flat(flat, types), active)
    forward = inline_calls(found.forward)
    origin = {v: e for e in forward.eqns for v in e.outvars}
    inputs = dict(zip(forward.jaxpr.invars, names))
    out: dict[Any, Residual] = {}
    for r in found.passed:
        atom = forward.jaxpr.invars[r] if r < len(types) else forward.jaxpr.outvars[r - len(types)]
        if not isinstance(atom, Literal):
            out.setdefault(atom, _residual(atom.aval, _source(atom, origin, inputs)))
    for x in found.constants:
        if x.shape:  # scalars are part of the program
            out.setdefault(id(x), _residual(x.aval, "from a constant"))
    return list(out.values())


def _type_of(x: Leaf, tree: Tree) -> ShapedArray:
    if hasattr(x, "shape") and hasattr(x, "dtype") and not hasattr(x, "__array__"):  # a ShapeDtypeStruct
        return ShapedArray(tuple(x.shape), dtypes.canonicalize_dtype(x.dtype))
    try:
        return as_array(x).aval
    except TypeError:
        raise leaf_error(tree, x, "saved_residuals") from None


def _residual(aval: ShapedArray, source: str) -> Residual:
    return Residual(aval, aval.nbytes, source)


def _source(v: Var, origin: dict[Var, JaxprEqn], inputs: dict[Var, str]) -> str:
    if v in inputs:
        return f"from the argument {inputs[v]}"
    e = origin.get(v)
    if e is None:
        return "from a constant"
    if e.primitive.name == "name":
        return f"named {e.params['label']!r} from {e.source}"
    return f"output of {e.primitive.name} from {e.source}"


def argument_name(f: Function, path: KeyPath) -> str:
    """What the function calls the leaf at a path of (args, kwargs)."""
    kind, key, *rest = path
    if kind.idx == 1:
        return f"{key.key}{keystr(tuple(rest))}"
    try:
        names = list(signature(f).parameters)
    except (TypeError, ValueError):
        names = []
    name = names[key.idx] if key.idx < len(names) else f"args[{key.idx}]"
    return f"{name}{keystr(tuple(rest))}"


__all__ = ["Residual", "print_saved_residuals", "saved_residuals"]
