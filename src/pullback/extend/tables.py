"""The tables of rules that `interpreters` shows: views of the rules that primitives have.

For a primitive of `pullback.extend.core.Primitive` an entry is the rule that has been put there.
For one of Pullback's own it is derived from the primitive's class, and takes and gives what JAX's
entries do; those cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

from pullback.core import primitive as base
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.linear import Cotangents, Input, Node, record_linear
from pullback.extend.primitive import add_transposition
from pullback.extend.tangents import Zero, instantiate_zeros, is_undefined_primal, is_zero, to_rule
from pullback.transforms.call import CallPrimitive
from pullback.transforms.jvp import pushed
from pullback.transforms.vmap import Batch, mapped


class Table(MutableMapping[Any, Callable[..., Any]]):
    """Rules of one kind, by primitive.

    Example: `Table("differentiation", jvp_rule)`; `ad.primitive_jvps` is this one.
    """

    def __init__(self, kind: str, derive: Callable[[base.Primitive], Callable[..., Any] | None]) -> None:
        self.kind, self._derive = kind, derive

    def __getitem__(self, primitive: Any) -> Callable[..., Any]:
        found = None
        if "rules" in getattr(primitive, "__dict__", ()):
            found = primitive.rules.get(self.kind)
        elif isinstance(primitive, base.Primitive):
            found = self._derive(primitive)
        if found is None:
            raise KeyError(primitive)
        return found

    def __setitem__(self, primitive: Any, rule: Callable[..., Any]) -> None:
        if not isinstance(primitive, base.Primitive):
            raise TypeError(f"tables of rules are by primitive, got {primitive!r:.100}, at {user_line()}")
        if not callable(rule):
            raise TypeError(
                f"the {self.kind} rule of {primitive.name!r} must be a function, got {rule!r:.100}, at {user_line()}"
            )
        if "rules" in primitive.__dict__:
            primitive.rules[self.kind] = rule  # type: ignore[attr-defined]
        elif self is TRANSPOSITION and ("added_transposition" in primitive.__dict__ or self._derive(primitive) is None):
            add_transposition(primitive, rule)
        else:
            raise TypeError(
                f"the {self.kind} rule of Pullback's own primitive {primitive.name!r} cannot be replaced, at {user_line()}: other parts "
                "rely on it. Make a primitive of your own (pullback.extend.core.Primitive), or a custom_jvp function"
            )

    def __delitem__(self, primitive: Any) -> None:
        self[primitive]
        if "rules" not in primitive.__dict__:
            raise TypeError(f"the {self.kind} rule of Pullback's own primitive {primitive.name!r} cannot be taken away")
        del primitive.rules[self.kind]

    def __iter__(self) -> Iterator[Any]:
        """Pullback's own primitives that are loaded and have such a rule. Others keep theirs
        themselves, and are found when they are asked for."""
        return (p for p in list(base.registry.values()) if self._derive(p) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<rules of {self.kind}, by primitive>"


def _from_tangents(tangents: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
    return [None if is_zero(t) else as_array(t) for t in tangents]


def jvp_rule(primitive: base.Primitive) -> Callable[..., Any] | None:
    """The derivative rule of one of our primitives: `(primals, tangents, **params)` gives results
    and tangents, `Zero`s among both kinds of tangents."""
    if not isinstance(primitive, CallPrimitive) and primitive.no_derivative is None:
        if type(primitive).jvp is base.Primitive.jvp:
            return None

    def rule(primals: Sequence[Any], tangents: Sequence[Any], /, **params: Any) -> Any:
        primals = list(map(as_array, primals))
        ts = _from_tangents(tangents, primals)
        if isinstance(primitive, CallPrimitive):
            outs, out_ts = pushed(primitive, primals, ts, params)
        elif all(t is None for t in ts):
            outs = primitive.bind(*primals, **params)
            out_ts = [None] * len(outs) if primitive.multiple_results else None
        else:
            outs, out_ts = primitive.jvp(primals, ts, **params)
        if primitive.multiple_results:
            return list(outs), [to_rule(t, o) for t, o in zip(out_ts, outs)]
        return outs, to_rule(out_ts, outs)

    return rule


def transpose_rule(primitive: base.Primitive) -> Callable[..., Any] | None:
    """The transposition rule of one of our primitives: `(ct, *operands, **params)` gives the
    cotangents of the operands that are `UndefinedPrimal`s, None for the others."""
    if "added_transposition" in primitive.__dict__:
        return primitive.added_transposition  # type: ignore[attr-defined]
    own = type(primitive).is_linear is not base.Primitive.is_linear or "is_linear" in primitive.__dict__
    if not own and not isinstance(primitive, CallPrimitive):
        return None

    def rule(ct: Any, /, *operands: Any, **params: Any) -> list[Any]:
        inputs = [Input(x.aval.shape, x.aval.dtype) if is_undefined_primal(x) else None for x in operands]

        def linear(*ts: Any) -> Sequence[Any]:
            out = primitive.bind(*[x if t is None else t for x, t in zip(operands, ts)], **params)
            return out if primitive.multiple_results else [out]

        cotangents = Cotangents()
        cts = ct if primitive.multiple_results else [ct]
        for node, c in zip(record_linear(linear, inputs), cts):
            if isinstance(node, Node) and not is_zero(c):
                cotangents.add(node, as_array(c))
        cotangents.pull()
        found = [None if x is None else cotangents.get(x) for x in inputs]
        return [Zero(x.aval) if is_undefined_primal(x) and c is None else c for x, c in zip(operands, found)]

    return rule


def batching_rule(primitive: base.Primitive) -> Callable[..., Any] | None:
    """The rule of one of our primitives for batches: `(operands, axes, **params)` gives results and
    axes, None where there is no axis."""
    is_call = isinstance(primitive, CallPrimitive)
    if not is_call and type(primitive).batch is base.Primitive.batch:
        return None

    def rule(operands: Sequence[Any], axes: Sequence[Any], /, **params: Any) -> Any:
        arrays = list(map(as_array, operands))
        sizes = {x.shape[b] for x, b in zip(arrays, axes) if b is not None}
        if len(sizes) != 1:
            raise ValueError(
                f"the operands of {primitive.name!r} must have one length along their batch axes {tuple(axes)}, got "
                f"{sorted(sizes)}, at {user_line()}"
            )
        (size,) = sizes
        axes = [b if b is None or b >= 0 else b + x.ndim for x, b in zip(arrays, axes)]
        if not isinstance(primitive, CallPrimitive):
            return primitive.batch(size, arrays, axes, **params)
        _, outs = Batch(size, None).call(primitive, list(map(mapped, arrays, axes)), params)
        return [o.leaves[0] for o in outs], [o.kind for o in outs]

    return rule


# ---- rules made of simpler ones ------------------------------------------------------------------


def defjvp(primitive: Any, *jvprules: Callable[..., Any] | None) -> None:
    """Say the derivative of `primitive`, which has one result, operand by operand: `rule(tangent,
    *operands, **params)` is what the operand's tangent contributes; None for nothing.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("cubed")
    >>> _ = p.def_impl(lambda x: x**3)
    >>> defjvp(p, lambda t, x: 3 * x**2 * t)
    >>> pb.grad(p.bind)(2.0)
    Array(12., dtype=float32, weak_type=True)
    """
    defjvp2(primitive, *[rule and _without_result(rule) for rule in jvprules])


def _without_result(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda t, ans, /, *operands, **params: rule(t, *operands, **params)


def defjvp2(primitive: Any, *jvprules: Callable[..., Any] | None) -> None:
    """As `defjvp`, with rules that see the result: `rule(tangent, result, *operands, **params)`.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("exponential")
    >>> _ = p.def_impl(lambda x: pb.numpy.exp(x))
    >>> defjvp2(p, lambda t, out, x: out * t)
    >>> pb.grad(p.bind)(0.0)
    Array(1., dtype=float32, weak_type=True)
    """
    from pullback.extend.tangents import add_tangents

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], /, **params: Any) -> Any:
        if len(jvprules) != len(primals):
            raise TypeError(
                f"{primitive.name!r} has {len(primals)} operands and derivatives for {len(jvprules)}, at {user_line()}"
            )
        out = primitive.bind(*primals, **params)
        total: Any = to_rule(None, out)
        for rule, t in zip(jvprules, tangents):
            if rule is not None and not is_zero(t):
                total = add_tangents(total, rule(t, out, *primals, **params))
        return out, total

    DIFFERENTIATION[primitive] = jvp


def deflinear2(primitive: Any, transpose_rule: Callable[..., Any]) -> None:
    """Say that `primitive` is linear in all operands together, with the transpose
    `rule(ct, *operands, **params)`, which gives a cotangent for each of them.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("doubled")
    >>> _ = p.def_impl(lambda x: 2 * x), p.def_abstract_eval(lambda x: x)
    >>> deflinear2(p, lambda ct, x: [2 * ct])
    >>> pb.grad(p.bind)(1.0)
    Array(2., dtype=float32, weak_type=True)
    """

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], /, **params: Any) -> Any:
        out = primitive.bind(*primals, **params)
        if all(map(is_zero, tangents)):
            return out, [to_rule(None, o) for o in out] if primitive.multiple_results else to_rule(None, out)
        return out, primitive.bind(*map(instantiate_zeros, tangents), **params)

    def transpose(ct: Any, /, *operands: Any, **params: Any) -> Any:
        if is_zero(ct) or (primitive.multiple_results and all(map(is_zero, ct))):
            return [None] * len(operands)
        ct = list(map(instantiate_zeros, ct)) if primitive.multiple_results else ct
        return transpose_rule(ct, *operands, **params)

    DIFFERENTIATION[primitive] = jvp
    TRANSPOSITION[primitive] = transpose
    primitive.rules["linearity"] = lambda active: True


def deflinear(primitive: Any, transpose_rule: Callable[..., Any]) -> None:
    """As `deflinear2`, with a transpose that does not see the operands: `rule(ct, **params)`.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("scaled")
    >>> _ = p.def_impl(lambda x, *, by: by * x), p.def_abstract_eval(lambda x, *, by: x)
    >>> deflinear(p, lambda ct, *, by: [by * ct])
    >>> pb.grad(lambda x: p.bind(x, by=5))(1.0)
    Array(5., dtype=float32, weak_type=True)
    """
    deflinear2(primitive, lambda ct, /, *operands, **params: transpose_rule(ct, **params))


def defbilinear(primitive: Any, lhs_rule: Callable[..., Any], rhs_rule: Callable[..., Any]) -> None:
    """Say that `primitive` is linear in each of its two operands, with the transposes `lhs_rule(ct,
    x, y, **params)` and `rhs_rule(ct, x, y, **params)`, which give the cotangent of the operand
    that is undefined.

    >>> import pullback as pb
    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("times")
    >>> _ = p.def_impl(lambda x, y: x * y), p.def_abstract_eval(lambda x, y: x)
    >>> defbilinear(p, lambda ct, x, y: ct * y, lambda ct, x, y: x * ct)
    >>> [float(g) for g in pb.grad(p.bind, (0, 1))(2.0, 3.0)]
    [3.0, 2.0]
    """
    defjvp(
        primitive,
        lambda t, x, y, /, **params: primitive.bind(t, y, **params),
        lambda t, x, y, /, **params: primitive.bind(x, t, **params),
    )

    def transpose(ct: Any, x: Any, y: Any, /, **params: Any) -> list[Any]:
        if is_zero(ct):
            return [None, None]
        if is_undefined_primal(x):
            return [lhs_rule(ct, x, y, **params), None]
        return [None, rhs_rule(ct, x, y, **params)]

    TRANSPOSITION[primitive] = transpose
    primitive.rules["linearity"] = lambda active: sum(active) == 1


#: The tables: `ad.primitive_jvps`, `ad.primitive_transposes`, `batching.primitive_batchers`, and
#: `batching.axis_primitive_batchers`, whose rules also get length and name of the axis.
DIFFERENTIATION = Table("differentiation", jvp_rule)
TRANSPOSITION = Table("transposition", transpose_rule)
BATCHING = Table("batching", batching_rule)
BATCHING_WITH_AXIS = Table("batching with the axis", lambda primitive: None)
