"""grad and the dense derivatives built on linearization: value_and_grad, jacfwd, jacrev, hessian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dimensions import is_symbolic
from pullback.core.errors import filter_traceback, see, user_line
from pullback.core.linear import Cotangents, is_unit, unit, zeros
from pullback.core.trace import current, entered, reset_current
from pullback.core.tree import leaf_error, tree_flatten, tree_leaves, tree_map
from pullback.core.types import integer, integers
from pullback.lax.creation import iota_p
from pullback.lax.elementwise import eq_p
from pullback.lax.family import add_p, size_as
from pullback.lax.shape import convert, reshape_p
from pullback.transforms.jit import jit
from pullback.transforms.jvp import as_weak_as, jvp, split_auxiliary
from pullback.transforms.linearize import LinearizeTrace, LinearizeTracer, linearize, vjp
from pullback.transforms.spaces import SPACES, Chart, flatten, has_points, is_point, with_float0, zero_of, zero_tangent
from pullback.transforms.vmap import vmap
from pullback.xla.devices import DeviceArray, beside

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Leaf, Size, Tree, Value
    from pullback.core.tree import PyTreeDef
    from pullback.core.types import ShapedArray

Argnums = int | Sequence[int]


def value_and_grad(
    fun: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Argument = (),
) -> Function:
    """A function returning (fun(...), gradient), or ((fun(...), aux), gradient) with `has_aux`.

    The gradient is with respect to the positional argument(s) `argnums`, and has their structure (a
    tuple for a sequence of argnums). `fun` must return a real scalar; with `holomorphic` a complex
    one, of complex arguments. For complex arguments of a real function, the gradient is ∂f/∂x − i
    ∂f/∂y. With `allow_int`, gradients of integer arguments are `float0` zeros.

    Raises TypeError for results that are no real scalars, arguments of integers (or, with
    `holomorphic`, of real numbers), and `argnums` that are not there.

    >>> import pullback.numpy as jnp
    >>> def loss(w, x, y):
    ...     prediction = x @ w
    ...     return jnp.sum((prediction - y) ** 2), prediction
    >>> x, y = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([5.0, 6.0])
    >>> (value, prediction), slope = value_and_grad(loss, has_aux=True)(jnp.array([1.0, 1.0]), x, y)
    >>> value, prediction, slope
    (Array(5., dtype=float32), Array([3., 7.], dtype=float32), Array([2., 0.], dtype=float32))
    """
    if reduce_axes:
        raise NotImplementedError("reduce_axes is no longer supported; sum over the axis inside the function")
    check_callable(fun)
    argnums = canonical_argnums(argnums)

    def value_and_gradient(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            return _value_and_grad(fun, argnums, has_aux, holomorphic, allow_int, args, kwargs)
        except Exception as error:
            filter_traceback(error)
            raise

    return named_after(value_and_gradient, fun, "value_and_grad", "Value and gradient")


def grad(
    fun: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Argument = (),
) -> Function:
    """A function returning the gradient of `fun`, or (gradient, aux) with `has_aux`: a tree like the
    argument, each leaf of its shape and dtype; of arguments with a tangent space of their own
    (`derivatives.register_differentiable`), a tangent. See `value_and_grad`, whose arguments and errors
    these are.

    >>> import pullback.numpy as jnp
    >>> loss = lambda params, x: (params["w"] @ x + params["b"]) ** 2
    >>> grad(loss)({"w": jnp.array([1.0, 2.0]), "b": 3.0}, jnp.array([1.0, -1.0]))
    {'b': Array(4., dtype=float32, weak_type=True), 'w': Array([ 4., -4.], dtype=float32)}
    """
    if reduce_axes:
        raise NotImplementedError("reduce_axes is no longer supported; sum over the axis inside the function")
    check_callable(fun)
    argnums = canonical_argnums(argnums)

    def gradient(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            value, g = _value_and_grad(fun, argnums, has_aux, holomorphic, allow_int, args, kwargs)
            return (g, value[1]) if has_aux else g
        except Exception as error:
            filter_traceback(error)
            raise

    return named_after(gradient, fun, "grad", "Gradient")


def fwd_and_bwd(
    fun: Function, argnums: Argument, has_aux: bool = False, jitted: bool = True
) -> tuple[Function, Function]:
    """The functions `fwd(*args)`, which gives (y, residuals), and `bwd(residuals, ct)`, which gives
    the cotangents of the arguments `argnums` (one of them for an integer, else a tuple).

    They are what `y, f_vjp = vjp(fun, *args)` and `f_vjp(ct)` compute, but the backward pass is a
    function that can be compiled: `jitted` ones are, once for each kind of arguments, however often
    they are called. With `has_aux`, `fun` gives (y, aux), and `fwd` (y, residuals, aux). Residuals
    are a pytree. Raises TypeError for what cannot be called, or for an argument named twice,
    ValueError for `argnums` that are not there.

    >>> fwd, bwd = fwd_and_bwd(lambda x, w: x * w, argnums=(0, 1))
    >>> y, residuals = fwd(2.0, 3.0)
    >>> float(y), [float(ct) for ct in bwd(residuals, 1.0)]
    (6.0, [3.0, 2.0])
    """
    check_callable(fun)
    chosen = canonical_argnums(argnums)
    numbers = (chosen,) if isinstance(chosen, int) else chosen

    def fwd(*args: Tree) -> Tree:
        check_index(chosen, args)
        places = [n % len(args) for n in numbers]

        def of_chosen(*values: Tree) -> Tree:
            whole = list(args)
            for i, value in zip(places, values):
                whole[i] = value
            return fun(*whole)

        return vjp(of_chosen, *[args[i] for i in places], has_aux=has_aux)

    def bwd(residuals: Tree, ct: Tree) -> Tree:
        cotangents = residuals(ct)
        return cotangents[0] if isinstance(chosen, int) else cotangents

    return (jit(fwd), jit(bwd)) if jitted else (fwd, bwd)


def check_callable(fun: Function) -> None:
    if not callable(fun):
        raise TypeError(f"expected a callable to differentiate, got {fun!r} of type {type(fun).__name__}")


def canonical_argnums(argnums: Argument) -> int | tuple[int, ...]:
    if argnums.__class__ is int:
        return int(argnums)
    if hasattr(type(argnums), "__index__"):
        return integer(argnums, "argnums")
    found = integers(argnums, "argnums")
    if not found:
        raise ValueError("argnums is empty: there is nothing to differentiate with respect to")
    return found


def check_index(argnums: Argument, args: Sequence[Tree], too_few: type[Exception] = ValueError) -> None:
    """Raises ValueError for numbers of arguments that are not there (`too_few` if there are too
    few), TypeError for one given twice."""
    n = len(args)
    if argnums.__class__ is int and 0 <= argnums < n:
        return
    several = (argnums,) if argnums.__class__ is int else argnums
    for i in several:
        if not -n <= i < n:
            needed = i + 1 if i >= 0 else -i
            raise (too_few if i >= 0 else ValueError)(
                f"differentiating with respect to argnums={argnums} requires at least {needed} positional arguments, but only {n} were "
                f"passed, at {user_line()}"
            )
    if len({i % n for i in several}) < len(several):
        raise TypeError(f"argnums={argnums} has an argument twice, of the {n} that were passed, at {user_line()}")


def named_after(wrapper: Leaf, fun: Leaf, transformation: str, noun: str) -> Leaf:
    name = getattr(fun, "__name__", None)
    if name is not None:
        wrapper.__name__ = f"{transformation}({name})" if name.startswith("<") else name
        wrapper.__doc__ = f"{noun} of {name}.\n\n{fun.__doc__ or ''}"
    wrapper.__wrapped__ = fun
    return wrapper


def _value_and_grad(
    fun: Leaf,
    argnums: Argument,
    has_aux: bool,
    holomorphic: bool,
    allow_int: bool,
    args: tuple[Tree, ...],
    kwargs: Tree,
) -> tuple[Tree, Tree]:
    trace = LinearizeTrace(current())
    single = argnums.__class__ is int
    inputs: list[Any] = []  # the flat differentiated arguments
    given: list[Any] = []
    trees: list[Any] = []
    new_args = list(args)
    check_index(argnums, args, TypeError)
    for i in (argnums,) if single else argnums:
        x = args[i]
        if isinstance(x, Array) or x.__class__ is float:
            tracer = _input(trace, x, holomorphic, allow_int)
            inputs.append(tracer)
            given.append(x)
            trees.append(None)
            new_args[i] = tracer
        else:
            leaves, tree = flatten(x)
            if has_points(leaves):
                return _value_and_grad_of_points(fun, argnums, has_aux, holomorphic, allow_int, args, kwargs)
            tracers = [_input(trace, array_leaf(x, leaf), holomorphic, allow_int) for leaf in leaves]
            inputs.extend(tracers)
            given.extend(leaves)
            trees.append((tree, len(leaves)))
            new_args[i] = tree.unflatten(tracers)
    token = entered[trace]
    try:
        out = fun(*new_args, **kwargs)
    finally:
        reset_current(token)
    del new_args
    aux: Any = None
    if has_aux:
        out, aux = split_auxiliary(trace, out, "value_and_grad")
    value, node = trace.unwrap(out)
    del out
    value = _check_output(value, holomorphic)
    cotangents = Cotangents()
    in_nodes = [trace.unwrap(x)[1] for x in inputs]
    del inputs
    if node is not None:
        cotangents.add(node, unit(value.dtype, value.weak_type))
        del node  # the pass frees each node when it has been used
        cotangents.pull()
    grads: list[Any] = []
    for x, n in zip(given, in_nodes):
        if n is None:
            grads.append(np.zeros(as_array(x).shape, dtypes.float0))
        else:
            g, weak = cotangents.get(n), n.weak_type  # type: ignore[attr-defined]
            if is_unit(g):  # which is the package's own, and the user may delete or donate what it gets
                g = concrete(g._value, weak)
            elif g is None:
                g = zeros(n.shape, n.dtype, weak)
            elif g.weak_type is not weak:
                g = as_weak_as(g, weak)
            grads.append(beside(g, x) if x.__class__ is DeviceArray else g)
    result: list[Any] = []
    start = 0
    for tree in trees:
        if tree is None:
            result.append(grads[start])
            start += 1
        else:
            result.append(tree[0].unflatten(grads[start : start + tree[1]]))
            start += tree[1]
    return ((value, aux) if has_aux else value), (result[0] if single else tuple(result))


def _value_and_grad_of_points(
    fun: Function, argnums: Argument, has_aux: bool, holomorphic: bool, allow_int: bool, args: tuple[Tree, ...],
    kwargs: Tree,
) -> tuple[Tree, Tree]:  # fmt: skip
    """The same, where the differentiated arguments have points among them (see `transforms.spaces`)."""
    of_chosen, chosen = of_arguments(fun, argnums, args, kwargs)
    trace = LinearizeTrace(current())
    leaves, tree = flatten(chosen)
    for x in leaves:
        if is_point(x):
            for z in tree_leaves(zero_of(x)) if holomorphic else ():
                if z.dtype != dtypes.float0:
                    _check_holomorphic(z.dtype)
        else:
            _input(trace, array_leaf(chosen, x), holomorphic, allow_int)
    value, pullback, *aux = vjp(of_chosen, *tree.unflatten(leaves), has_aux=has_aux)
    value = _check_output(value, holomorphic)
    gradient = pullback(concrete(np.ones((), value.dtype), value.weak_type))
    return ((value, *aux) if has_aux else value), gradient[0] if isinstance(argnums, int) else gradient


def _check_holomorphic(dtype: dtypes.DType) -> None:
    if not dtypes.is_complex(dtype):
        raise TypeError(
            f"grad with holomorphic=True requires inputs with complex dtype, but got {dtypes.name(dtype)}, at {user_line()}{see('grad-inputs')}"
        )


def _input(trace: LinearizeTrace, x: Leaf, holomorphic: bool, allow_int: bool) -> Value:
    tracer = trace.new_input(x)
    dtype = tracer.dtype
    if holomorphic:
        _check_holomorphic(dtype)
    if tracer.__class__ is not LinearizeTracer or tracer._trace is not trace:
        if not allow_int:
            raise TypeError(
                "grad requires real- or complex-valued inputs (input dtype that is a sub-dtype of np.inexact), but got "
                f"{dtypes.name(dtype)}, at {user_line()}. If you want integer-valued inputs, set allow_int=True, or convert them to "
                f"floats.{see('grad-inputs')}"
            )
    return tracer


def array_leaf(tree: Tree, x: Leaf) -> Array:
    try:
        return as_array(x)
    except TypeError:
        raise leaf_error(tree, x, "the argument to differentiate") from None


def _check_output(value: Leaf, holomorphic: bool) -> Value:
    if not isinstance(value, Array):
        try:
            value = as_array(value)
        except TypeError:
            raise TypeError(
                f"gradient only defined for scalar-output functions. Output was of type {type(value).__name__}: {value!r:.100}, "
                f"at {user_line()}{see('grad-outputs')}"
            ) from None
    if value.shape != ():
        raise TypeError(
            f"gradient only defined for scalar-output functions. Output had shape: {value.shape}, at {user_line()}{see('grad-outputs')}"
        )
    dtype = value.dtype
    if holomorphic:
        if not dtypes.is_complex(dtype):
            raise TypeError(
                f"grad with holomorphic=True requires outputs with complex dtype, but got {dtypes.name(dtype)}, at {user_line()}{see('grad-outputs')}"
            )
    elif not dtypes.is_float(dtype):
        if dtypes.is_complex(dtype):
            raise TypeError(
                f"grad requires real-valued outputs (output dtype that is a sub-dtype of np.floating), but got {dtypes.name(dtype)}, at "
                f"{user_line()}. For holomorphic differentiation, pass holomorphic=True. For differentiation of non-holomorphic "
                f"functions involving complex outputs, use vjp directly.{see('grad-outputs')}"
            )
        raise TypeError(
            f"grad requires real-valued outputs (output dtype that is a sub-dtype of np.floating), but got {dtypes.name(dtype)}, at "
            f"{user_line()}. For differentiation of functions with integer outputs, use vjp directly.{see('grad-outputs')}"
        )
    return value


# ---- dense Jacobians -----------------------------------------------------------------------------


def of_arguments(
    fun: Function, argnums: Argument, args: tuple[Tree, ...], kwargs: dict[str, Tree]
) -> tuple[Function, tuple[Tree, ...]]:
    """`fun` as a function of the arguments `argnums` alone, and their values."""
    check_index(argnums, args)
    positions = (argnums,) if isinstance(argnums, int) else argnums

    def of_chosen(*chosen: Tree) -> Tree:
        full = list(args)
        for i, x in zip(positions, chosen):
            full[i] = x
        return fun(*full, **kwargs)

    return of_chosen, tuple(args[i] for i in positions)


def check_jacobian_inputs(what: str, leaves: list[Value], holomorphic: bool, allow_int: bool = False) -> None:
    for x in leaves:
        dtype = x.dtype
        if holomorphic and not dtypes.is_complex(dtype):
            raise TypeError(
                f"{what} with holomorphic=True requires inputs with complex dtype, but got {dtypes.name(dtype)}"
            )
        if not dtypes.is_inexact(dtype) and not allow_int:
            raise TypeError(
                f"{what} requires real-valued inputs (input dtype that is a sub-dtype of np.floating), but got {dtypes.name(dtype)}, at "
                f"{user_line()}{see('grad-inputs')}"
            )
        if dtypes.is_complex(dtype) and not holomorphic and what == "jacfwd":
            raise TypeError(
                f"{what} requires real-valued inputs, but got {dtypes.name(dtype)}. For holomorphic differentiation, pass "
                "holomorphic=True. For differentiation of non-holomorphic functions involving complex inputs, use jvp directly."
            )


def _jacobian_inputs(
    what: str, chosen: tuple[Tree, ...], holomorphic: bool, allow_int: bool = False
) -> tuple[tuple[Tree, ...], list[Value], PyTreeDef]:
    """The differentiated arguments, checked, and the leaves and the structure of what is like their
    tangents: of themselves, but for points (see `transforms.spaces`)."""
    leaves, tree = flatten(chosen)
    leaves = [x if is_point(x) else array_leaf(chosen, x) for x in leaves]
    primals: Any = tree.unflatten(leaves)
    check_jacobian_inputs(what, [x for x in leaves if not is_point(x)], holomorphic, allow_int)
    if has_points(leaves):
        tangent_leaves, tree = tree_flatten(tree.unflatten([zero_of(x) if is_point(x) else x for x in leaves]))
        check_jacobian_inputs(what, [z for z in tangent_leaves if z.dtype != dtypes.float0], holomorphic, allow_int)
        return primals, tangent_leaves, tree
    return primals, leaves, tree


def standard_basis(types: Sequence[ShapedArray]) -> list[Value]:
    """For each array type but those of float0, the standard basis of the product space, one basis
    vector a row: shapes (n, *shape)."""
    types = [t for t in types if t.dtype != dtypes.float0]
    total = sum(t.size for t in types)
    if is_symbolic((total,)):
        return _symbolic_basis(types, total)
    if len(types) == 1:
        (t,) = types
        return [beside(concrete(np.eye(total, dtype=t.dtype).reshape(total, *t.shape), t.weak_type), t)]
    out, start = [], 0
    for t in types:
        block = np.zeros((total, t.size), t.dtype)
        block[np.arange(start, start + t.size), np.arange(t.size)] = 1
        out.append(beside(concrete(block.reshape(total, *t.shape), t.weak_type), t))
        start += t.size
    return out


def _symbolic_basis(types: Sequence[ShapedArray], total: Size) -> list[Value]:
    """The same for arrays of symbolic shapes: 1 where the number of the row is that of the element."""
    out, start = [], 0
    for t in types:
        rows, columns = (iota_p.bind(dtype=dtypes.int32, shape=(total, t.size), dimension=axis) for axis in (0, 1))
        block = convert(eq_p.bind(rows, add_p.bind(columns, size_as(dtypes.int32, start))), t.dtype, t.weak_type)
        out.append(reshape_p.bind(block, new_sizes=(total, *t.shape)))
        start += t.size
    return out


def jacfwd(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """A function returning the Jacobian of `fun`, column by column in forward mode: best for tall
    ones.

    The result has the structure of the output, each leaf replaced by the structure of the
    differentiated argument(s), with leaves of shape (*output shape, *input shape). With `has_aux`
    it returns (jacobian, aux). Raises TypeError for arguments that are not real (or, with
    `holomorphic`, not complex).

    >>> import pullback.numpy as jnp
    >>> to_plane = lambda r, angle: jnp.array([r * jnp.cos(angle), r * jnp.sin(angle)])
    >>> jacfwd(to_plane, argnums=(0, 1))(2.0, 0.0)
    (Array([1., 0.], dtype=float32), Array([0., 2.], dtype=float32))
    """
    check_callable(fun)
    argnums = canonical_argnums(argnums)

    def jacobian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            of_chosen, chosen = of_arguments(fun, argnums, args, kwargs)
            primals, leaves, tree = _jacobian_inputs("jacfwd", chosen, holomorphic)
            aux: Any = None
            aux_box: list[Any] = []

            def push(*ts: Tree) -> Value:
                out = jvp(of_chosen, primals, tree.unflatten(with_float0(ts, leaves)), has_aux=has_aux)
                aux_box[:] = out[2:]
                return out[1]

            columns = vmap(push, out_axes=-1)(*standard_basis(leaves))
            aux = _shared_aux(aux_box) if has_aux else ()
            out_flat, out_tree = tree_flatten(columns)
            for y in out_flat:
                if holomorphic and not dtypes.is_complex(y.dtype):
                    raise TypeError(
                        f"jacfwd with holomorphic=True requires outputs with complex dtype, but got {dtypes.name(y.dtype)}"
                    )
            jac = out_tree.unflatten([unravel_last(y, leaves, tree, argnums) for y in out_flat])
            return (jac, aux[0]) if has_aux else jac
        except Exception as error:
            filter_traceback(error)
            raise

    return named_after(jacobian_fun, fun, "jacfwd", "Jacobian")


def _shared_aux(box: list[Leaf]) -> list[Leaf]:
    """Auxiliary outputs computed inside a vmap over the basis, which they cannot depend on."""
    from pullback.transforms.vmap import BatchTracer

    def shared(x: Leaf) -> Leaf:
        return x.value[(slice(None),) * x.axis + (0,)] if isinstance(x, BatchTracer) else x

    out = []
    for aux in box:
        flat, tree = tree_flatten(aux)
        out.append(tree.unflatten([shared(x) for x in flat]))
    return out


def unravel_last(y: Value, leaves: list[Value], tree: PyTreeDef, argnums: Argument) -> Tree:
    """The last axis of `y`, over all inputs, as a tree of the inputs' structure."""
    parts, start = [], 0
    lead = tuple(y.shape[:-1])
    for x in leaves:
        if x.dtype == dtypes.float0:
            parts.append(np.zeros((*lead, *x.shape), dtypes.float0))
            continue
        part = y if len(leaves) == 1 else y[..., start : start + x.size]
        parts.append(part.reshape((*lead, *x.shape)))
        start += x.size
    out = tree.unflatten(parts)
    return out[0] if isinstance(argnums, int) else out


def jacrev(
    fun: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Function:
    """A function returning the Jacobian of `fun`, row by row in reverse mode: best for wide ones.
    Results and errors are those of `jacfwd`; with `allow_int`, of integers it gives `float0` zeros.

    >>> import pullback.numpy as jnp
    >>> jacrev(lambda x: {"sum": x.sum(), "cumulative": jnp.cumsum(x)})(jnp.array([1.0, 2.0]))
    {'cumulative': Array([[1., 0.],
           [1., 1.]], dtype=float32), 'sum': Array([1., 1.], dtype=float32)}
    """
    check_callable(fun)
    argnums = canonical_argnums(argnums)

    def jacobian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            of_chosen, chosen = of_arguments(fun, argnums, args, kwargs)
            primals, _, _ = _jacobian_inputs("jacrev", chosen, holomorphic, allow_int)
            y, pullback, *aux = vjp(of_chosen, *primals, has_aux=has_aux)
            y_flat, y_tree = flatten(y)
            for out in y_flat:
                if not is_point(out):
                    check_jacrev_output(out.dtype, holomorphic)
            if has_points(y_flat):
                y_flat, y_tree = tree_flatten(zero_tangent(y))
            rows = vmap(lambda *cts: pullback(y_tree.unflatten(with_float0(cts, y_flat))))(*standard_basis(y_flat))
            if isinstance(argnums, int):
                rows = rows[0]
            row_flat, row_tree = tree_flatten(rows)
            jac, start = [], 0
            for out in y_flat:
                if out.dtype == dtypes.float0:
                    jac.append(
                        row_tree.unflatten([np.zeros((*out.shape, *r.shape[1:]), dtypes.float0) for r in row_flat])
                    )
                    continue
                parts = [
                    (r if len(y_flat) == 1 else r[start : start + out.size]).reshape((*out.shape, *r.shape[1:]))
                    for r in row_flat
                ]
                jac.append(row_tree.unflatten(parts))
                start += out.size
            result = y_tree.unflatten(jac)
            return (result, aux[0]) if has_aux else result
        except Exception as error:
            filter_traceback(error)
            raise

    return named_after(jacobian_fun, fun, "jacrev", "Jacobian")


def check_jacrev_output(dtype: dtypes.DType, holomorphic: bool) -> None:
    if holomorphic and not dtypes.is_complex(dtype):
        raise TypeError(
            f"jacrev with holomorphic=True requires outputs with complex dtype, but got {dtypes.name(dtype)}"
        )
    if not holomorphic and not dtypes.is_float(dtype):
        raise TypeError(
            "jacrev requires real-valued outputs (output dtype that is a sub-dtype of np.floating), but got "
            f"{dtypes.name(dtype)}, at {user_line()}. For holomorphic differentiation, pass holomorphic=True."
        )


jacobian = jacrev


def hessian(fun: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """A function returning the Hessian of `fun`, forward over reverse.

    Leaves have shape (*output shape, *input shape, *input shape). With `has_aux` it returns
    (hessian, aux). Where arguments have a tangent space of their own, it is that of the function of
    the tangent t to which one comes along t, at t = 0: symmetric, while the derivative of the gradient,
    along fields of tangents that do not commute, is not. Raises TypeError for arguments that are not
    real (or, with `holomorphic`, not complex).

    >>> import pullback.numpy as jnp
    >>> hessian(lambda x: x[0] ** 2 * x[1])(jnp.array([1.0, 3.0]))
    Array([[6., 2.],
           [2., 0.]], dtype=float32)
    """
    nested = _nested(fun, argnums, has_aux, holomorphic)
    argnums = canonical_argnums(argnums)

    def hessian_fun(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            if SPACES:
                _, chosen = of_arguments(fun, argnums, args, kwargs)
                if has_points(flatten(chosen)[0]):
                    return _hessian_in_chart(fun, argnums, has_aux, holomorphic, args, kwargs)
            return nested(*args, **kwargs)
        except Exception as error:
            filter_traceback(error)
            raise

    for name in ("__name__", "__doc__", "__wrapped__"):
        if hasattr(nested, name):
            setattr(hessian_fun, name, getattr(nested, name))
    return hessian_fun


def _nested(fun: Function, argnums: Argnums, has_aux: bool, holomorphic: bool) -> Function:
    return jacfwd(
        jacrev(fun, argnums, has_aux=has_aux, holomorphic=holomorphic),
        argnums,
        has_aux=has_aux,
        holomorphic=holomorphic,
    )


def _hessian_in_chart(
    fun: Function, argnums: Argument, has_aux: bool, holomorphic: bool, args: tuple[Tree, ...], kwargs: Tree
) -> Tree:
    """The Hessian of `fun` as a function of a tangent, along which the differentiated arguments are
    moved. See `transforms.spaces`."""
    of_chosen, chosen = of_arguments(fun, argnums, args, kwargs)
    primals, _, _ = _jacobian_inputs("jacrev", chosen, holomorphic)
    chart = Chart(primals)
    origin = zeros((chart.size,), chart.dtype)
    found = _nested(lambda v: of_chosen(*chart.point(v)), 0, has_aux, holomorphic)(origin)
    hess, *aux = found if has_aux else (found,)
    index: Any = 0 if isinstance(argnums, int) else slice(None)
    result = tree_map(lambda h: chart.blocks(h, index), hess)
    return (result, *aux) if has_aux else result


__all__ = ["grad", "hessian", "jacfwd", "jacobian", "jacrev", "linearize", "value_and_grad"]
