"""composite: a function under a name that compilers may know, with a definition for those that do
not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import ConcreteArray
from pullback.core.errors import UnexpectedTracerError, filter_traceback, user_line
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.staging import is_staging, stage_flat
from pullback.core.trace import Params, Tracer
from pullback.core.tree import arrays_of, tree_unflatten
from pullback.core.types import integer
from pullback.transforms.program import ProgramCall
from pullback.xla.text import dense, dictionary, element_text, element_type, quoted, tensor_type

if TYPE_CHECKING:
    from pullback.core.names import Argument, Emitted, Function, Tree, Value
    from pullback.xla.stablehlo import Emitter

#: What a compiler takes for the name of an operation: that of a dialect, and one in it.
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_$]+)+")


class Composite(ProgramCall):
    """A call of a program that compiled modules show as one operation, with the program as its
    decomposition. Every transformation makes of it what it makes of the program.

    Example: `composite(f, "my.softmax")(x)` in a jitted function binds it.
    """

    name = "composite"
    inlined: str | None = None

    def apply(self, args: Sequence[Value], params: Params) -> list[Value]:
        return run(params["jaxpr"], *args)

    def bind_program(self, program: ClosedJaxpr, args: Sequence[Value], params: Params, prefix: str) -> list[Value]:
        return run(program, *args)

    def lower(
        self, emit: Emitter, *operands: Emitted, jaxpr: ClosedJaxpr, name: str, version: int, attributes: str
    ) -> list[Emitted]:
        if jaxpr.effects:  # happen in their order among others, which functions of a module know nothing of
            return emit.program(jaxpr, operands)
        return emit.composite(jaxpr, operands, name, version, attributes)


composite_p = Composite()


def composite(decomposition: Function, name: str, version: int = 0) -> Callable[..., Tree]:
    """`decomposition`, as an operation that is called `name`: in compiled modules it is
    `stablehlo.composite`, for compilers that have a kernel for it; the others compile what
    `decomposition` does.

    The result takes trees of arrays by position, and by name what belongs to the operation: numbers,
    texts, dtypes, NumPy arrays, and lists, tuples and dicts of these are attributes of it, and None
    is none. `version` is that of the operation's meaning. It is evaluated, differentiated and
    mapped as the function that it is; only in compiled programs it is one operation, if it has no
    effects. Raises TypeError if `decomposition` is not callable, and for other attributes; ValueError
    when it is compiled and `name` is not like "dialect.operation"; UnexpectedTracerError if
    `decomposition` closes over traced values, of which the operation would know nothing.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> tangent = composite(lambda x: jnp.sin(x) / jnp.cos(x), "my.tangent")
    >>> float(tangent(0.0)), float(pb.grad(tangent)(0.0))
    (0.0, 1.0)
    >>> "stablehlo.composite" in pb.jit(tangent).lower(0.0).as_text()
    True
    """
    if not callable(decomposition):
        raise TypeError(f"composite: the first argument must be callable, got {decomposition!r:.100}, at {user_line()}")

    def function(*args: Tree, **attributes: Argument) -> Tree:
        if not is_staging():
            return decomposition(*args, **attributes)
        try:
            if not (isinstance(name, str) and _NAME.fullmatch(name)):
                raise ValueError(f"composite: a name is like 'dialect.operation', got {name!r}, at {user_line()}")
            leaves, tree = arrays_of(args, f"the operands of {name}")
            out_tree: Any = None

            def flat(*xs: Value) -> list[Value]:
                nonlocal out_tree
                outs, out_tree = arrays_of(
                    decomposition(*tree_unflatten(tree, xs), **attributes), f"the results of {name}"
                )
                return outs

            closed = stage_flat(flat, [x.aval for x in leaves])
            for constant in closed.consts:
                if isinstance(constant, Tracer):
                    raise UnexpectedTracerError(
                        constant,
                        f"in the decomposition of {name!r}, which may not close over traced values: make it an argument.",
                    )
            texts = {k: attribute_text(v) for k, v in attributes.items() if v is not None}
            outs = composite_p.bind(
                *leaves,
                jaxpr=closed,
                name=name,
                version=integer(version, "composite: version"),
                attributes=dictionary(texts),
            )
            return tree_unflatten(out_tree, outs)
        except Exception as error:
            filter_traceback(error)
            raise

    function.__name__ = function.__qualname__ = getattr(decomposition, "__name__", str(name))
    function.__doc__ = decomposition.__doc__
    return function


def attribute_text(value: Argument) -> str:
    """A number, a text, a dtype, an array, or a collection of these as an attribute's text. Raises
    TypeError for anything else.

    >>> attribute_text([1, np.float32(0.5), True])
    '[1 : i64, 0.5 : f32, true]'
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(attribute_text, value))}]"
    if isinstance(value, dict):
        return dictionary({str(k): attribute_text(v) for k, v in value.items()})
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return element_type(np.dtype(value))
    if isinstance(value, (bool, int, float, np.generic)):
        array = np.asarray(value)
    elif isinstance(value, (np.ndarray, ConcreteArray)):
        array = np.asarray(value)
        return f"{dense(array) if array.size else 'dense<>'} : {tensor_type(array.shape, array.dtype)}"
    else:
        raise TypeError(f"composite: {value!r:.100} of type {type(value).__name__} is no attribute, at {user_line()}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"composite: {value!r:.100} of type {type(value).__name__} is no attribute, at {user_line()}")
    text = element_text(array[()], array.dtype)
    return text if array.dtype.kind == "b" else f"{text} : {element_type(array.dtype)}"


__all__ = ["composite"]
