"""`explain_gradient`: why a gradient is NaN, infinite or zero, with the lines of the user's code.

The function is run once, operation by operation (`observation`), and cotangents are pulled through it, one
operation after the other (`flow`). Here stands what is asked of that, and the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.config import debug_infs, debug_key_reuse, debug_nans
from pullback.core.errors import see, user_api, user_line
from pullback.core.trace import EVAL, Tracer, under
from pullback.core.tree import arrays_of, as_arrays, keystr, tree_flatten, tree_flatten_with_path
from pullback.derivatives.diagnosis.flow import (
    Backward,
    Block,
    Forward,
    Origin,
    has_nan,
    is_flawed,
    magnitude,
    numbers,
    opened_backward,
    opened_forward,
)
from pullback.derivatives.diagnosis.observation import Observation, Observed, Step, Turn, primal
from pullback.derivatives.diagnosis.report import (
    Dead,
    Dependency,
    GradientReport,
    InputGradient,
    LoopGradient,
    NonFinite,
    Reason,
)
from pullback.transforms.call import CallPrimitive
from pullback.transforms.derivatives import canonical_argnums, check_callable, check_index
from pullback.transforms.residuals import argument_name

if TYPE_CHECKING:
    from pullback.core.names import Argument, Cotangent, Function, Tree, Value

#: From so many results on it is not asked for each result alone whether its derivative is zero.
_MOST_RESULTS = 16
#: Reasons given for one argument.
_MOST_REASONS = 5


@user_api
def explain_gradient(
    f: Function, *args: Tree, argnums: Argument = 0, cotangent: Tree = None, has_aux: bool = False, detail: int = 20_000,
    **kwargs: Tree,
) -> GradientReport:  # fmt: skip
    """What becomes of the derivative of `f(*args, **kwargs)` in the arguments `argnums`, and why: a report to print.

    It says which results depend on which arguments, leaf by leaf; which gradients are *dead* (zero as a whole) and
    for what reason: a `stop_gradient`, an integer or a comparison on the way, a branch that is not taken, a unit
    that is saturated, an argument that is not used; and where a NaN or an infinity first appears, in the forward
    pass or in the backward pass, with the operation, the numbers, the step of the loop, and the line of the user's
    code. `report.problems` are sentences, `report.ok` says that there are none; `dependencies`, `dead`,
    `first_nonfinite_forward` and `first_nonfinite_backward` are for programs to read.

    `f` may return any tree of arrays, and takes other keywords than those of this function. The cotangent is 1 for one
    scalar, and for other results fixed numbers between 1 and 2 (of ones, the gradient of a softmax would be zero), or
    `cotangent`, a tree like the result. With `has_aux`, `f` returns (result, anything else).

    `f` is run once, as eager code with Python's control flow and effects, and evaluated by NumPy operation by
    operation, in jitted functions, branches and loops, too; what compiled code rounds differently is not seen. Each
    operation takes some 0.1 ms, and everything that it gives is kept. When `detail` operations have been looked at,
    each further step of a loop is looked at as a whole (compiled), and in detail only if a NaN appears in it. Calls
    with derivatives of their own (custom rules, solvers, `odeint`) are one operation; rules are looked into if they
    give a NaN.

    Raises TypeError for what cannot be called, where none of the arguments is of floating-point or complex numbers,
    for a cotangent that does not fit, and under transformations: it needs the values.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> def loss(x, scale):
    ...     return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0)) * jnp.round(scale)
    >>> report = explain_gradient(loss, jnp.array([4.0, -1.0]), 2.0, argnums=(0, 1))
    >>> report.ok, report.first_nonfinite_forward
    (False, None)
    >>> found = report.first_nonfinite_backward
    >>> found.value, found.operation, found.line.endswith(":2 (loss)"), found.index, found.operands
    ('nan', 'sqrt', True, (1,), ('-1.0',))
    >>> [(dead.input, dead.reasons[0].kind, dead.reasons[0].operation) for dead in report.dead]
    [('scale', 'flat', 'round')]
    """
    check_callable(f)
    chosen = canonical_argnums(argnums)
    several: Sequence[int] = (chosen,) if isinstance(chosen, int) else chosen
    check_index(chosen, args, TypeError)
    places = {i % len(args) for i in several}
    leaves, tree = arrays_of(args, "an argument of explain_gradient")
    if any(isinstance(x, Tracer) for x in leaves):
        raise TypeError(
            f"explain_gradient looks at values, and a traced value has none, at {user_line()}: call it outside of jit, grad and vmap"
            f"{see('tracers')}"
        )
    paths = [path for path, _ in tree_flatten_with_path((args, kwargs))[0]][: len(leaves)]
    wanted = [path[1].idx in places for path in paths]
    if not any(w and dtypes.is_inexact(x.dtype) for w, x in zip(wanted, leaves)):
        raise TypeError(
            f"explain_gradient: argnums={argnums} has no argument of floating-point or complex numbers, at {user_line()}{see('grad-inputs')}"
        )
    seen = Observation(detail)
    inputs = [seen.new_input(x, wanted[:i].count(True)) for i, x in enumerate(leaves) if wanted[i]]
    rest = iter(inputs)
    full = [next(rest) if w else x for w, x in zip(wanted, leaves)]

    def result() -> tuple[Tree, list[Value]]:
        out = f(*tree.unflatten(full), **kwargs)
        if has_aux:
            if not isinstance(out, (tuple, list)) or len(out) != 2:
                raise TypeError(
                    f"explain_gradient with has_aux=True: the function must return a pair (result, auxiliary data), got {out!r:.100}"
                )
            out = out[0]
        return out, as_arrays(tree_flatten(out)[0], out, "the output of the function given to explain_gradient")

    def diagnose() -> GradientReport:
        out, outs = under(seen, result)
        names = [argument_name(f, path) for path, w in zip(paths, wanted) if w]
        found = Diagnosis(seen, inputs, names, out, outs, cotangent, detail)
        return found.report(getattr(f, "__name__", type(f).__name__))

    # What is to be explained must not be an error.
    with debug_nans(False), debug_infs(False), debug_key_reuse(False):
        return under(EVAL, diagnose)


class Diagnosis:
    """What is asked of an observation: the inputs with their names, and the function's result.

    Example: `Diagnosis(seen, [x], ["x"], y, [y], None, 1000).report("f")`.
    """

    def __init__(
        self, seen: Observation, inputs: list[Observed], names: list[str], out: Tree, outs: list[Value],
        cotangent: Tree, detail: int,
    ) -> None:  # fmt: skip
        self.seen, self.inputs, self.names, self.detail = seen, inputs, names, detail
        self.outs = outs
        self.out_names = [f"result{keystr(path)}" for path, _ in tree_flatten_with_path(out)[0]]
        self.cts = _cotangents(self.outs, out, cotangent)
        self.forward = Forward(seen, inputs)
        self.seeds = [
            (x, ct) for x, ct in zip(self.outs, self.cts) if isinstance(x, Observed) and x.active and ct is not None
        ]
        self.backward = Backward(seen, self.seeds)
        #: The numbers of the values of which some result is made.
        self.reaching = {x.number for x in self.outs if isinstance(x, Observed)}
        for step in reversed(seen.steps):
            if not self.reaching.isdisjoint(step.numbers):
                self.reaching.update(x.number for x in step.operands if isinstance(x, Observed))

    def report(self, name: str) -> GradientReport:
        first = self.forward.of(self.outs)
        last = self.backward.origin_of(self.inputs)
        return GradientReport(
            name,
            tuple(self._input(i, x) for i, x in enumerate(self.inputs)),
            tuple(self._dependencies()),
            tuple(self._dead()),
            None if first is None else self._nonfinite("forward", opened_forward(first, self.detail)),
            None if last is None else self._nonfinite("backward", opened_backward(last, self.detail)),
            tuple(map(_of_loop, self.backward.courses.values())),
            *(None if step is None else (size, step.name, step.line) for size, step in (self.backward.largest, self.backward.smallest)),
        )  # fmt: skip

    # ---- arguments

    def _gradient(self, x: Observed) -> Cotangent:
        return self.backward.cotangents.get(x.number)

    def _input(self, i: int, x: Observed) -> InputGradient:
        ct = self._gradient(x) if dtypes.is_inexact(x.dtype) else None
        size = int(np.prod(x.shape))
        zeros = size if ct is None else size - int(np.count_nonzero(numbers(ct)))
        flawed = 0 if ct is None else size - int(np.count_nonzero(np.isfinite(numbers(ct))))
        reasons: tuple[Reason, ...] = ()
        if 0 < zeros < size:
            blocks = [b for b in self.backward.blocks.values() if b.active >> i & 1 and b.killed]
            reasons = tuple(map(_of_block, sorted(blocks, key=lambda b: -b.killed)[:_MOST_REASONS]))
        largest = 0.0 if ct is None else magnitude(ct)
        return InputGradient(self.names[i], x.aval.str_short(True), size, zeros, flawed, largest, reasons, ct)

    def _dependencies(self) -> list[Dependency]:
        """Every result's in every argument."""
        found = []
        alone = 1 < len(self.seeds) <= _MOST_RESULTS
        for name, out in zip(self.out_names, self.outs):
            seeds = [seed for seed in self.seeds if seed[0] is out]
            pulled = Backward(self.seen, seeds, watch=False) if alone and seeds else self.backward
            for i, x in enumerate(self.inputs):
                value = isinstance(out, Observed) and bool(out.reach >> i & 1)
                derivative = isinstance(out, Observed) and bool(out.active >> i & 1)
                zero = None
                if derivative and seeds and len(self.seeds) <= _MOST_RESULTS:
                    zero = _is_zero(pulled.cotangents.get(x.number))
                found.append(Dependency(name, self.names[i], value, derivative, zero))
        return found

    # ---- dead gradients

    def _dead(self) -> list[Dead]:
        found = []
        for i, x in enumerate(self.inputs):
            if not dtypes.is_inexact(x.dtype):
                what = "random keys have" if dtypes.is_key(x.dtype) else f"{dtypes.name(x.dtype)} has"
                found.append(Dead(self.names[i], (Reason("integer", "", "", f"{what} no derivative"),)))
            elif x.size and _is_zero(self._gradient(x)):
                found.append(Dead(self.names[i], tuple(self._reasons(i, x)[:_MOST_REASONS])))
        return found

    def _reasons(self, i: int, x: Observed) -> list[Reason]:
        """Why the gradient in argument `i` is zero."""
        if any(isinstance(o, Observed) and o.active >> i & 1 for o in self.outs):
            if not any(np.any(numbers(ct)) for o, ct in self.seeds if o.active >> i & 1):
                return [Reason("cotangent", "", "", "the cotangent of what depends on it is zero")]
            blocks = [b for b in self.backward.blocks.values() if b.active >> i & 1]
            # Of what stops only some elements, each may have stopped others.
            return list(dict.fromkeys(map(_of_block, [b for b in blocks if b.entire] or blocks)))
        cuts = []
        for step in self.seen.steps:
            if self.reaching.isdisjoint(step.numbers):
                continue
            for x_in, has_link in zip(step.operands, step.has_link):
                if isinstance(x_in, Observed) and x_in.active >> i & 1 and not has_link:
                    cuts.append(_of_cut(step))
        left = [
            Reason("read", d.how, d.line, _LEFT.get(d.how, "a number of Python's has no derivative"))
            for d in self.seen.departures
            if d.reach >> i & 1
        ]
        untaken = [
            Reason("branch", "cond", u.line, "only a branch that is not taken uses it")
            for u in self.seen.untaken
            if u.reach >> i & 1
        ]
        found = list(dict.fromkeys([*cuts, *untaken, *left]))
        if found:
            return found
        readers = [s for s in self.seen.steps if any(isinstance(o, Observed) and o.reach >> i & 1 for o in s.operands)]
        if readers:
            last = readers[-1]
            return [
                Reason("unused", last.name, last.line, "no result depends on what is computed of it; this comes last")
            ]
        return [Reason("unused", "", "", "no operation uses it")]

    # ---- NaNs and infinities

    def _nonfinite(self, phase: str, origin: Origin) -> NonFinite:
        """An origin, with the numbers at the first flawed element."""
        flawed = numbers(origin.value)
        bad = ~np.isfinite(flawed)
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        value = "nan" if np.isnan(flawed[index]) else "inf"
        count = int(np.count_nonzero(bad))
        step = origin.step
        if step is None:
            what = "the cotangent that is given" if phase == "backward" else f"the argument {self.names[origin.place]}"
            return NonFinite(phase, value, what, "", (), index, count, flawed.size, (), "")
        turns = tuple(map(str, step.turns))
        operands = tuple(_at(primal(x), index, flawed.shape) for x in step.operands)
        cotangent = ""
        if phase == "backward" and not origin.within:
            operands = () if origin.added else operands
            cotangent = " + ".join(_at(ct, index, flawed.shape) for ct in origin.cts if ct is not None)
        operation = f"the sum of cotangents of an operand of {step.name}" if origin.added else step.name
        because = self.forward.of(step.operands) if phase == "backward" and step in self.seen.steps else None
        return NonFinite(
            phase, value, operation, step.line, (*turns, *origin.within), index, count, flawed.size, operands, cotangent,
            None if because is None else self._nonfinite("forward", opened_forward(because, self.detail)),
        )  # fmt: skip


def _cotangents(outs: Sequence[Value], out: Tree, cotangent: Tree) -> list[Cotangent]:
    """One for each result; None for those of integers."""
    inexact = [dtypes.is_inexact(x.dtype) for x in outs]
    if cotangent is None:
        draw = np.random.default_rng(0)
        one = sum(inexact) == 1 and not any(x.shape for x, i in zip(outs, inexact) if i)
        return [
            None if not i else concrete(np.asarray(1.0 if one else draw.uniform(1, 2, x.shape)).astype(x.dtype))
            for x, i in zip(outs, inexact)
        ]
    cts, tree = tree_flatten(cotangent)
    if tree != tree_flatten(out)[1]:
        raise TypeError(
            f"explain_gradient: the cotangent has the structure {tree}, the result {tree_flatten(out)[1]}, at {user_line()}"
        )
    found: list[Any] = []
    for x, ct, i in zip(outs, cts, inexact):
        if i and np.shape(ct) != x.shape:
            raise TypeError(
                f"explain_gradient: a cotangent of shape {np.shape(ct)} is given for a result {x.aval.str_short()}, at {user_line()}"
            )
        found.append(concrete(np.asarray(ct).astype(x.dtype)) if i else None)
    return found


def _of_loop(course: dict[Turn, float]) -> LoopGradient:
    first, last = min(course, key=lambda t: t.step), max(course, key=lambda t: t.step)
    return LoopGradient(first.loop, last.step - first.step + 1, course[first], course[last])


def _is_zero(ct: Cotangent) -> bool:
    return ct is None or not np.any(numbers(ct))


def _at(x: Value, index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """An operand at an element of what it has become: its number there, or what is known of it."""
    values = numbers(x) if not dtypes.is_key(x.dtype) else None
    if values is None or not values.size:
        return x.aval.str_short(True)
    if values.shape == shape:
        return str(values[index])
    if not values.shape:
        return str(values[()])
    text = x.aval.str_short(True)
    if dtypes.is_inexact(x.dtype) and is_flawed(x):
        return f"{text} with {'NaN' if has_nan(x) else 'infinities'}"
    if dtypes.is_complex(x.dtype) or x.dtype == dtypes.bool_:
        return text
    return f"{text} between {values.min()} and {values.max()}"


# ---- reasons -------------------------------------------------------------------------------------


def _of_cut(step: Step) -> Reason:
    """Why a step has no derivative in an operand."""
    operation, result = step.operation, step.results[0]
    if operation.name == "stop_gradient":
        return Reason("stop_gradient", step.name, step.line, "that is its purpose")
    if not step.differentiates:
        return Reason("control", step.name, step.line, "it only decides what runs, or how often")
    if isinstance(operation, CallPrimitive):
        return Reason("rule", step.name, step.line, "its rule gives no derivative")
    if operation.name in ("convert_element_type", "bitcast_convert_type"):
        return Reason("conversion", step.name, step.line, f"{dtypes.name(result.dtype)} has no derivative")
    if operation.no_derivative is not None:
        return Reason("discrete", step.name, step.line, operation.no_derivative)
    if not dtypes.is_inexact(result.dtype):
        return Reason("discrete", step.name, step.line, f"{dtypes.name(result.dtype)} has no derivative")
    return Reason("flat", step.name, step.line, "its derivative is zero wherever it has one")


#: How values become something that has no derivative.
_LEFT = {
    "bool(x)": "Python only asks whether it is true",
    "numpy.asarray(x)": "an array of NumPy's has no derivative, and under `grad` that is an error",
    "float(x)": "a number of Python's has no derivative, and under `grad` that is an error",
}

#: What it means that the derivative of an operation is zero.
_ZERO = {
    "select_n": "the other case is chosen",
    "max": "the other operand is larger",
    "min": "the other operand is smaller",
    "clamp": "it is outside of the bounds",
    "mul": "it is multiplied by zero",
    "dot_general": "it is multiplied by zeros",
    "div": "its coefficient is zero",
}


def _of_block(block: Block) -> Reason:
    step = block.step
    if block.kind == "cancel":
        text = "what comes from here and from elsewhere cancels"
    elif block.kind == "underflow":
        text = "the derivative is so small that it becomes zero (underflow)"
    else:
        text = _ZERO.get(step.operation.name, "its derivative is zero here")
        if not block.entire:
            text += f", in {block.killed} of {block.total} elements"
    if block.times > 1:
        text += f" ({block.times} times)"
    return Reason(block.kind, step.name, step.line, text)


__all__ = ["explain_gradient"]
