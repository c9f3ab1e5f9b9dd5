"""Checkify: run-time checks as values. A function with checks becomes one that also gives the first
error that occurred.

`checkify(f)` stages `f` and interprets its program with an `Error` threaded through: whether
something has failed, which of the known failures it was, and the values its message shows. These
are arrays, so errors pass through `jit`, `vmap` and derivatives like any other result. A rule for
each primitive says what can fail in its equations. Calls, loops and branches are lifted (`Check`):
their programs become programs that give their error, too. Without `checkify`, a `check` that fails
raises at once in eager code, and compiling one is an error.

A loop goes on after an error as it would without checks: results are those of the function, and
what `checkify` gives beside them is the error of the first step that had one. Where nothing can
fail, an operation stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.errors import (
    user_api,
)
from pullback.core.jaxpr import ClosedJaxpr, JaxprEqn, Literal, bind_equation, eval_jaxpr, run, subjaxprs
from pullback.core.linear import zeros
from pullback.core.passes import with_programs
from pullback.core.primitive import Primitive
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, Through, current, under
from pullback.core.tree import PyTreeDef, tree_map, tree_structure
from pullback.core.types import Shape
from pullback.lax.arrangement import concatenate_p
from pullback.lax.blocks import dynamic_slice_p, dynamic_update_slice_p
from pullback.lax.elementwise import div_p, eq_p, gt_p, lt_p, ne_p, or_p
from pullback.lax.family import like
from pullback.lax.indexing import (
    gather_p,
    scatter_add_p,
    scatter_max_p,
    scatter_min_p,
    scatter_mul_p,
    scatter_p,
    scatter_sub_p,
)
from pullback.lax.positions import wide_index, window_sizes
from pullback.lax.reductions import reduce_or_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import reshape_p
from pullback.transforms.call import CallPrimitive
from pullback.transforms.custom_jvp import custom_jvp_call_p
from pullback.transforms.custom_vjp import custom_vjp_call_p
from pullback.transforms.failures import (
    FIRST,
    Categories,
    DivisionByZeroError,
    Error,
    ErrorCategory,
    Failure,
    NaNError,
    OOBError,
    check_p,
    element,
    first_true,
    init_error,
    rebuilt,
    user_checks,
)
from pullback.transforms.flat_function import FlatFunction
from pullback.transforms.lifting import Bundle, Kind, LiftedProgram, Lifting, Outcome, Rules, leaves_of, plain

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Operand, Residual, Result, Tangent, Tree, Value, WithTangents
    from pullback.transforms.custom_rules import CustomCall

    #: Starts, axes and sizes of the blocks that an access reads; None if it cannot leave the array.
    Starts = tuple[Any, tuple[int, ...], Shape] | None

# ---- checked programs ----------------------------------------------------------------------------

#: A rule: the error so far, the categories looked for, an equation and its operands → the error
#: after it, and its results.
Rule = Callable[[Error, Categories, JaxprEqn, Sequence[Any]], tuple[Error, Sequence[Any]]]

_rules: dict[Primitive, Rule] = {}


def register_checkify_rule(primitive: Primitive, rule: Rule) -> None:
    """Make `rule` what `checkify` does with the equations of a primitive. Others are applied, and
    their results checked for NaNs."""
    _rules[primitive] = rule


def run_checked(closed: ClosedJaxpr, categories: Categories, args: Sequence[Value]) -> tuple[Error, list[Value]]:
    """The first error of a program, and its results, under the current trace."""
    error = init_error

    def apply(eqn: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
        nonlocal error
        rule = _rules.get(eqn.primitive, _call if isinstance(eqn.primitive, CallPrimitive) else _operation)
        error, results = rule(error, categories, eqn, values)
        return results

    outs = eval_jaxpr(closed.jaxpr, closed.consts, *args, apply=apply)
    return error, outs


class Check(Lifting):
    """Checks as a lifting: values stay what they are, and the account is the first `Error`, None
    where nothing can fail.

    Example: the account of `log(-1.0)` with `nan_checks` is a `NaNError`.
    """

    rules = Rules()

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self.key = "checkify", categories

    def run(self, fun: Function, operands: Sequence[Bundle]) -> Outcome:
        values = leaves_of(operands)
        return self.run_program(stage_flat(fun, [x.aval for x in values]), operands)

    def run_program(self, closed: ClosedJaxpr, operands: Sequence[Bundle]) -> Outcome:
        error, outs = run_checked(closed, self.categories, leaves_of(operands))
        return error if error._metadata else None, list(map(plain, outs))

    def program(self, closed: ClosedJaxpr, kinds: tuple[Kind, ...]) -> LiftedProgram:
        found = super().program(closed, kinds)
        if found.account is None and not _has_check(closed):
            found.program = closed  # called as it is: it may have been compiled already
        return found

    def nothing(self, structure: PyTreeDef | None) -> Error | None:
        if structure is None:
            return None
        # Leaf by leaf of the types that the failures say.
        error = rebuilt(structure, [None] * structure.num_leaves)
        payload = {kind: [zeros(*t) for t in kind] for kind in error._payload}
        return Error(concrete(np.False_), FIRST, error._metadata, payload)

    def then(self, before: Error | None, later: Error | None) -> Error | None:
        if before is None or later is None:
            return later if before is None else before
        if tree_structure(before) != tree_structure(later):
            return before.then(later)
        found: Error = tree_map(lambda mine, other: select_n_p.bind(before._pred, other, mine), before, later)
        return found


def _has_check(closed: ClosedJaxpr) -> bool:
    return any(e.primitive is check_p or any(map(_has_check, subjaxprs(e.params))) for e in closed.eqns)


# ---- rules ---------------------------------------------------------------------------------------


def _operation(
    error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Value]
) -> tuple[Error, Sequence[Value]]:
    """Apply an operation and look for NaNs in its results."""
    results = bind_equation(eqn, args)
    if NaNError in categories and eqn.primitive.makes_nan:
        for x in results:
            if dtypes.is_inexact(x.dtype) and x.size:
                error = error.then(Error.of(_any(ne_p.bind(x, x)), NaNError(eqn.location, eqn.primitive.name)))
    return error, results


def _any(flags: Value) -> Value:
    return reduce_or_p.bind(flags, axes=tuple(range(len(flags.shape)))) if flags.shape else flags


def _division(
    error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Value]
) -> tuple[Error, Sequence[Value]]:
    divisor = args[1]
    is_nonzero = isinstance(eqn.invars[1], Literal) and bool(divisor._value != 0)
    if DivisionByZeroError in categories and not is_nonzero and divisor.size and eqn.outvars[0].aval.size:
        zero = eq_p.bind(divisor, like(0, divisor))
        error = error.then(Error.of(_any(zero), DivisionByZeroError(eqn.location)))
    return _operation(error, categories, eqn, args)


def _access(
    starts: Callable[[JaxprEqn, Sequence[Value]], Starts],
) -> Rule:
    """The rule of an operation on windows of its first operand. `starts` gives where they start,
    along the last axis for each of some axes of the operand; these axes; and the windows' shape; or
    None if all are known to be in bounds."""

    def rule(
        error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Value]
    ) -> tuple[Error, Sequence[Value]]:
        found = starts(eqn, args) if OOBError in categories else None
        if found is not None and found[0].size:
            indices, axes, sizes = found
            shape = args[0].shape
            indices = wide_index(indices)
            limit = dtypes.iinfo(indices.dtype).max
            last = np.array([min(shape[a] - sizes[a], limit) for a in axes], indices.dtype)
            outside = gt_p.bind(indices, concrete(last))
            if dtypes.kind(indices.dtype) == "i":
                outside = or_p.bind(outside, lt_p.bind(indices, like(0, indices)))
            flat = (indices.size,) if indices.size > 1 else ()
            indices, outside = (reshape_p.bind(x, new_sizes=flat) for x in (indices, outside))
            first = first_true(outside) if flat else concrete(np.int32(0))
            values = [element(indices, first) if flat else indices, first]
            error = error.then(Error.of(_any(outside), OOBError(eqn.location, shape, axes), values))
        return _operation(error, categories, eqn, args)

    return rule


def _starts_of_gather(eqn: JaxprEqn, args: Sequence[Value]) -> Starts:
    return args[1], tuple(eqn.params["dimension_numbers"].start_index_map), eqn.params["slice_sizes"]


def _starts_of_scatter(eqn: JaxprEqn, args: Sequence[Value]) -> Starts:
    numbers = eqn.params["dimension_numbers"]
    sizes = window_sizes(args[0].shape, args[2].shape, numbers)
    return args[1], tuple(numbers.scatter_dims_to_operand_dims), sizes


def _starts_of_block(eqn: JaxprEqn, args: Sequence[Value]) -> Starts:
    count = len(args) - len(args[0].shape)
    sizes = eqn.params["slice_sizes"] if count == 1 else args[1].shape
    axes = []
    for axis, (atom, n, m) in enumerate(zip(eqn.invars[count:], args[0].shape, sizes)):
        if not (isinstance(atom, Literal) and 0 <= int(atom.val._value) <= n - m):
            axes.append(axis)
    if not axes:
        return None
    columns = [reshape_p.bind(args[count + axis], new_sizes=(1,)) for axis in axes]
    return columns[0] if len(axes) == 1 else concatenate_p.bind(*columns, dimension=0), tuple(axes), sizes


def _check(error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Value]) -> tuple[Error, Sequence[Value]]:
    return error.then(rebuilt(eqn.params["error"], args).only(categories)), []


def _call(error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Value]) -> tuple[Error, Sequence[Value]]:
    """The same call of checked programs."""
    found, outs = Check(categories).call(cast("CallPrimitive", eqn.primitive), list(map(plain, args)), eqn.params)
    return error if found is None else error.then(found), leaves_of(outs)


# ---- calls with derivatives of their own ---------------------------------------------------------
# The error is that of the function. Its rules run as they are, but for the checks that they make:
# what those would find in values that the function has too is found there, and a linear rule could
# not check a tangent.


class _WithoutChecks(Through):
    """Leaves out every check, and is otherwise its parent.

    Example: a derivative rule within `checkify`, whose checks are not asked for again.
    """

    __slots__ = ()

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        return [] if primitive is check_p else super().process(primitive, args, params)

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        if call.is_closed:
            params = with_programs(
                params, lambda closed: _NO_CHECKS.program(closed, (None,) * len(closed.in_avals)).program
            )
        else:
            params = {k: _without_checks(v) if k in ("fun", "rule", "fwd", "bwd") else v for k, v in params.items()}
        return super().process_call(call, args, params)


#: Leaves out what checks are in a program.
_NO_CHECKS = Check(frozenset())


def _without_checks(fun: Function) -> Function:
    def unchecked(*args: Value) -> Value:
        return under(_WithoutChecks(current()), fun, *args)

    return unchecked


def _custom_call(
    error: Error, categories: Categories, eqn: JaxprEqn, args: Sequence[Value]
) -> tuple[Error, Sequence[Value]]:
    closed, how = eqn.params["call_jaxpr"], Check(categories)
    checked = how.program(closed, (None,) * len(closed.in_avals))
    count = len(checked.account_types)
    captured = args[: len(eqn.params["closure"] or ())]
    call = cast("CustomCall", eqn.primitive)
    args, params = call.opened(args, eqn.params)
    del params["fun"]

    def fun(*xs: Value) -> list[Value]:
        return run(checked.program, *captured, *xs)

    def errors(primals: Sequence[Value]) -> list[Value]:
        return fun(*primals)[:count]

    if eqn.primitive is custom_jvp_call_p:
        rule = _without_checks(params["rule"])

        def checked_rule(primals: Sequence[Value], tangents: Sequence[Tangent]) -> WithTangents:
            outs, t_outs = rule(primals, tangents)
            return [*errors(primals), *outs], [*[None] * count, *t_outs]

        params["rule"] = checked_rule
    else:
        fwd, bwd = _without_checks(params["fwd"]), _without_checks(params["bwd"])

        def checked_fwd(primals: Sequence[Value], perturbed: Sequence[bool]) -> tuple[Sequence[Value], Residual]:
            outs, residual = fwd(primals, perturbed)
            return [*errors(primals), *outs], residual

        params["fwd"], params["bwd"] = checked_fwd, lambda residual, cts: bwd(residual, cts[count:])
    found, outs = how.outcome(checked, call.call(fun, *args, **params))
    return error if found is None else error.then(found), leaves_of(outs)


_RULES: dict[Primitive, Rule] = {
    check_p: _check, div_p: _division, gather_p: _access(_starts_of_gather),
    **dict.fromkeys(
        (scatter_p, scatter_add_p, scatter_sub_p, scatter_mul_p, scatter_min_p, scatter_max_p), _access(_starts_of_scatter)
    ),
    **dict.fromkeys((dynamic_slice_p, dynamic_update_slice_p), _access(_starts_of_block)),
    **dict.fromkeys((custom_jvp_call_p, custom_vjp_call_p), _custom_call),
}  # fmt: skip
for _primitive, _rule in _RULES.items():
    register_checkify_rule(_primitive, _rule)


# ---- checkify ------------------------------------------------------------------------------------


def checkify(f: Function, errors: Collection[ErrorCategory] = user_checks) -> Function:
    """`f` as a function that returns (error, output): the first failure among its checks, as an
    `Error`, beside what `f` returns.

    `errors` is the set of categories to look for: `user_checks` (calls of `check`), `nan_checks`,
    `div_checks`, `index_checks`, or unions of these (`float_checks`, `automatic_checks`,
    `all_checks`). The checkified function is pure: it can be jitted, mapped and differentiated
    (with `has_aux`), and so can `f` before. Raises TypeError if `f` is no function or `errors` no
    set of categories.

    >>> import pullback.numpy as jnp
    >>> from pullback.transforms.failures import nan_checks
    >>> error, y = checkify(jnp.log, errors=nan_checks)(-1.0)
    >>> error.get().split(" [")[0]
    'nan generated by primitive: log.'
    """
    if not callable(f):
        raise TypeError(f"checkify takes a function, got {f!r}")
    categories = _categories(errors)
    name = getattr(f, "__name__", type(f).__name__)

    @user_api
    def checkified(*args: Tree, **kwargs: Tree) -> Tree:
        flat = FlatFunction(f, args, kwargs, f"checkified {name}")
        arrays = flat.arrays(f"argument of checkified {name}")
        program = stage_flat(flat, [x.aval for x in arrays])
        error, outs = run_checked(program, categories, arrays)
        # Gradients of integers are NumPy arrays of nothing, not Arrays.
        outs = [np.asarray(x) if x.dtype == dtypes.float0 else x for x in outs]
        return error, flat.out_tree.unflatten(outs)

    checkified.__name__ = f"checkify({name})"
    checkified.__doc__ = f.__doc__
    checkified.__wrapped__ = f  # type: ignore[attr-defined]
    return checkified


def _categories(errors: Argument) -> Categories:
    members = list(errors) if isinstance(errors, Collection) and not isinstance(errors, str) else [errors]
    for e in members:
        if not (isinstance(e, type) and issubclass(e, Failure)):
            raise TypeError(
                f"checkify takes a set of error categories (user_checks, nan_checks | div_checks, ...), got {errors!r:.200}"
            )
    return frozenset(members)
