"""Primitives of other people's, declared as JAX's are: a name, and rules that are added to it one
by one.

    multiply_add_p = Primitive("multiply_add")
    multiply_add_p.def_impl(lambda x, y, z: np.add(np.multiply(x, y), z))
    multiply_add_p.def_abstract_eval(lambda x, y, z: x)
    ad.primitive_jvps[multiply_add_p] = ...

To the core it is a primitive like others: the methods that are rules translate between what the
core says and what the rules were written for. What differs is, in short:

- zero tangents and cotangents are `Zero`s for them, None in the core;
- operands of a transpose rule that it is linear in are `UndefinedPrimal`s for them, nodes in the
  core;
- the rule for batches gets all operands and all axes, and not the size;
- eager evaluation is a function of Arrays for them, of NumPy values in the core; without one, what
  the lowering rule says is compiled;
- a lowering rule is a function to be traced (`lower_fun`), or one that builds operations of MLIR.

Rules may come at any time, in any order; one that is missing says so by name when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.core import primitive as base
from pullback.core.array import Array, as_array
from pullback.core.dtypes import canonicalize_dtype
from pullback.core.effects import NO_EFFECTS, Effect, Effects
from pullback.core.errors import user_line
from pullback.core.linear import Node
from pullback.core.trace import Params, evaluable
from pullback.core.types import ShapedArray
from pullback.extend.tangents import UndefinedPrimal, from_rule, to_rule
from pullback.xla.eager import apply_primitive


class StandsFor(type):
    """The class of a class that stands for another one, `stands_for`, and its subclasses: instances
    of that are instances of it.

    >>> from pullback.lax import sin_p
    >>> isinstance(sin_p, Primitive)
    True
    """

    def __instancecheck__(cls, x: object) -> bool:
        own = cls.__dict__.get("stands_for")
        return super().__instancecheck__(x) or (own is not None and isinstance(x, own))

    def __subclasscheck__(cls, other: type) -> bool:
        own = cls.__dict__.get("stands_for")
        return super().__subclasscheck__(other) or (own is not None and issubclass(other, own))


class Primitive(base.Primitive, metaclass=StandsFor):
    """An operation whose rules are added one by one: `def_impl` says what it computes in eager code,
    `def_abstract_eval` of which type results are, and the tables and functions of
    `pullback.interpreters` have its derivative, its transpose, what it is on batches and in
    compiled programs. docs/extending.md has them all. A rule that is missing says so when it is
    asked for (NotImplementedError).

    Set `multiple_results` if it gives a list. Names need not be unique: two primitives of one name
    are two. Raises TypeError for a name that is no string.

    >>> import pullback as pb
    >>> double_p = Primitive("double")
    >>> _ = double_p.def_impl(lambda x: 2 * x)
    >>> _ = double_p.def_abstract_eval(lambda x: x)
    >>> double_p.bind(3.0), pb.make_jaxpr(double_p.bind)(3.0)
    (Array(6., dtype=float32, weak_type=True), { lambda ; a:f32[]. let b:f32[] = double a in (b,) })
    """

    stands_for = base.Primitive
    takes_arrays = True
    plain = False

    def __init__(self, name: str) -> None:  # not that of the base, which registers names
        if not isinstance(name, str):
            raise TypeError(f"Primitive takes a name, got {name!r:.100}, at {user_line()}")
        self.name = name
        self.declared_at = user_line()
        #: The rules that have been added, by what they are for.
        self.rules: dict[str, Callable[..., Any]] = {}
        #: The rules for single platforms, by their names.
        self.lowerings: dict[str, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return self.name

    def __copy__(self) -> Primitive:
        return self

    def __deepcopy__(self, memo: object) -> Primitive:
        return self

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError(
            f"the primitive {self.name!r}, declared at {self.declared_at}, cannot be pickled: other processes have no such object. Pickle "
            "the function that binds it"
        )

    def rule(self, kind: str, how: str) -> Callable[..., Any]:
        """The rule of a kind. Raises NotImplementedError, which says `how` one is added, if there is
        none.

        >>> Primitive("bare").rule("batching", "by defvectorized")
        Traceback (most recent call last):
          ...
        NotImplementedError: batching of 'bare' is not implemented, a primitive that was declared... and is ...
        """
        found = self.rules.get(kind)
        if found is None:
            raise NotImplementedError(
                f"{kind} of {self.name!r} is not implemented, a primitive that was declared at {self.declared_at} and is applied at "
                f"{user_line()}: {how}"
            )
        return found

    # ---- adding rules ----------------------------------------------------------------------------

    def def_impl(self, impl: Callable[..., Any]) -> Callable[..., Any]:
        """Make `impl(*arrays, **params)` what it computes in eager code. Gives `impl` back, so that it
        decorates.

        >>> p = Primitive("scaled")
        >>> @p.def_impl
        ... def scaled(x, *, by):
        ...     return by * x
        >>> p.bind(2.0, by=3)
        Array(6., dtype=float32, weak_type=True)
        """
        self.rules["evaluation"] = impl
        return impl

    def def_abstract_eval(self, abstract_eval: Callable[..., Any]) -> Callable[..., Any]:
        """Make `abstract_eval(*types, **params)` what gives the type of the result, or a list of
        types. Gives it back, so that it decorates.

        >>> import pullback as pb
        >>> p = Primitive("row_sums")
        >>> @p.def_abstract_eval
        ... def row_sums(x):
        ...     return x.update(shape=x.shape[:1])
        >>> pb.eval_shape(p.bind, pb.numpy.ones((2, 3)))
        ShapeDtypeStruct(shape=(2,), dtype=float32)
        """
        self.rules["typing"] = lambda *types, **params: (abstract_eval(*types, **params), NO_EFFECTS)
        return abstract_eval

    def def_effectful_abstract_eval(self, abstract_eval: Callable[..., Any]) -> Callable[..., Any]:
        """Make `abstract_eval(*types, **params)` what gives the results' types, and a set of effects.
        Gives it back.

        What has had effects once is neither dropped, nor merged with its like, nor done again.

        >>> import pullback as pb
        >>> from pullback.extend.core import Effect
        >>> class Sends(Effect): ...
        >>> p = Primitive("send")
        >>> _ = p.def_effectful_abstract_eval(lambda x: (x, {Sends()}))
        >>> len(pb.make_jaxpr(lambda x: (p.bind(x), 0)[1])(1.0).eqns)  # kept, though nobody uses the result
        1
        """
        self.rules["typing"] = abstract_eval
        return abstract_eval

    def_effectful_abstract_eval2 = def_effectful_abstract_eval

    # ---- the rules of the core -------------------------------------------------------------------
    # What is not a parameter is by position alone: parameters may have any name.

    def results(self, out: Any, rule: str, count: int | None = None) -> list[Any]:
        """What a rule gives, as a list of results. Raises TypeError if it is none, or of another
        length."""
        if not self.multiple_results:
            if isinstance(out, (list, tuple)):
                raise TypeError(
                    f"the {rule} rule of {self.name!r} gives {type(out).__name__} of {len(out)}, and the primitive has one result, at "
                    f"{user_line()}: set `{self.name}.multiple_results = True` if it has several"
                )
            return [out]
        if not isinstance(out, (list, tuple)):
            raise TypeError(
                f"the {rule} rule of {self.name!r} gives {out!r:.100}, and must give a sequence of results, at {user_line()}"
            )
        if count is not None and len(out) != count:
            raise TypeError(
                f"the {rule} rule of {self.name!r} gives {len(out)} results, and there are {count}, at {user_line()}"
            )
        return list(out)

    def impl(self, *args: Any, **params: Any) -> Any:
        return self.rule("evaluation", "add it by def_impl")(*args, **params)

    def apply(self, args: Sequence[Any], params: Params) -> Any:
        operands = [evaluable(a) for a in args]
        if "evaluation" not in self.rules and (self.lowerings or "lowering" in self.rules):
            return apply_primitive(self, operands, params)
        impl = self.rule("evaluation", "add it by def_impl")
        outs = [self._array(x) for x in self.results(impl(*operands, **params), "evaluation")]
        return outs if self.multiple_results else outs[0]

    def _array(self, x: Any) -> Array:
        try:
            return as_array(x)
        except TypeError:
            raise TypeError(
                f"the evaluation rule of {self.name!r} gives {x!r:.100}, at {user_line()}, which is no array"
            ) from None

    def evaluate(self, *values: Any, **params: Any) -> Any:
        raise AttributeError(self.name)  # `apply` does, which the evaluating trace then calls

    def type_of(self, *types: ShapedArray, **params: Any) -> Any:
        out, effects = self.rule("typing", "add it by def_abstract_eval")(*types, **params)
        if effects:
            self.effects = self.effects | {Effect.ACTS, *effects}
        found = [self._type(t) for t in self.results(out, "typing")]
        return found if self.multiple_results else found[0]

    def _type(self, t: Any) -> ShapedArray:
        if t.__class__ is ShapedArray and not hasattr(t.dtype, "type"):
            t = ShapedArray(t.shape, canonicalize_dtype(t.dtype), t.weak_type)
        if isinstance(t, ShapedArray):
            return t
        if not hasattr(t, "shape") or not hasattr(t, "dtype"):
            raise TypeError(
                f"the typing rule of {self.name!r} gives {t!r:.100}, at {user_line()}: it must give a ShapedArray for each result"
            )
        return ShapedArray(tuple(t.shape), canonicalize_dtype(t.dtype), bool(getattr(t, "weak_type", False)))

    def abstract_eval(self, *types: ShapedArray, **params: Any) -> tuple[Any, Effects]:
        return self.type_of(*types, **params), self.effects_of(params)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], /, **params: Any) -> Any:
        rule = self.rule(
            "differentiation", "add its rule to interpreters.ad.primitive_jvps, or by ad.defjvp or ad.deflinear2"
        )
        name = f"the differentiation rule of {self.name!r}"
        given = rule(list(primals), list(map(to_rule, tangents, primals)), **params)
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise TypeError(f"{name} gives {given!r:.100}, and must give results and tangents, at {user_line()}")
        outs = [as_array(x) for x in self.results(given[0], "differentiation")]
        ts = self.results(given[1], "differentiation", len(outs))
        ts = [from_rule(t, o, name) for t, o in zip(ts, outs)]
        return (outs, ts) if self.multiple_results else (outs[0], ts[0])

    def is_linear(self, active: Sequence[bool]) -> bool:
        linear = self.rules.get("linearity")
        return linear is not None and linear(active)

    def is_recorded(self, active: Sequence[bool]) -> bool:
        return True  # a rule that applies it to tangents says that it is linear in them

    def transpose(self, ct: Any, /, *operands: Any, **params: Any) -> Sequence[Any]:
        rule = self.rule("transposition", "add its rule to interpreters.ad.primitive_transposes, or by ad.deflinear2")
        return transposed(self, rule, ct, operands, params)

    @property
    def is_collective(self) -> bool:  # type: ignore[override]
        return "batching with the axis" in self.rules

    def concerns(self, axis_name: Any, params: Params) -> bool:
        return True

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], /, **params: Any) -> Any:
        rule = self.rule(
            "batching", "add its rule to interpreters.batching.primitive_batchers, or by batching.defvectorized"
        )
        return self._batched(rule(tuple(args), tuple(axes), **params))

    def batch_collective(self, trace: Any, values: Sequence[Any], axes: Sequence[int | None], /, **params: Any) -> Any:
        if all(b is None for b in axes):
            out = self.bind(*values, **params)
            return out, ([None] * len(out) if self.multiple_results else None)
        rule = self.rules["batching with the axis"]
        return self._batched(rule(trace.size, trace.axis_name, None, tuple(values), tuple(axes), **params))

    def _batched(self, given: Any) -> Any:
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise TypeError(
                f"the batching rule of {self.name!r} gives {given!r:.100}, and must give results and axes, at {user_line()}"
            )
        outs = [as_array(x) for x in self.results(given[0], "batching")]
        if self.multiple_results and not isinstance(given[1], (list, tuple)):
            axes = [given[1]] * len(outs)  # the same for all
        else:
            axes = self.results(given[1], "batching", len(outs))
        axes = [b + x.ndim if b is not None and b < 0 else b for b, x in zip(axes, outs)]
        return (outs, axes) if self.multiple_results else (outs[0], axes[0])

    def lower(self, emit: Any, /, *operands: Any, **params: Any) -> Any:
        rule = self.lowerings.get(emit.capabilities.platform) or self.rule(
            "lowering",
            f"add its rule by interpreters.mlir.register_lowering({self.name}_p, mlir.lower_fun(f, multiple_results="
            f"{self.multiple_results})), where f computes it with functions of pullback",
        )
        from pullback.extend.lowering import lowered

        return lowered(self, rule, emit, operands, params)

    @property
    def expands(self) -> bool:
        return False


def transposed(
    primitive: base.Primitive, rule: Callable[..., Any], ct: Any, operands: Sequence[Any], params: Params
) -> Sequence[Any]:
    """The cotangents of those operands of a primitive that are nodes, by a transposition rule of
    somebody else's."""
    name = f"the transposition rule of {primitive.name!r}"
    if primitive.multiple_results:
        types = primitive.type_of(*map(_type_of, operands), **params)
        ct = [to_rule(c, t) for c, t in zip(ct, types)]
    given = rule(ct, *[UndefinedPrimal(_type_of(x)) if base.is_node(x) else x for x in operands], **params)
    if not isinstance(given, (list, tuple)) or len(given) != len(operands):
        raise TypeError(
            f"{name} gives {given!r:.100}, and must give a cotangent for each of its {len(operands)} operands, at {user_line()}"
        )
    return [from_rule(c, _type_of(x), name) if base.is_node(x) else None for c, x in zip(given, operands)]


def add_transposition(primitive: base.Primitive, rule: Callable[..., Any]) -> None:
    """Give a primitive of Pullback's that has no transpose one of somebody else's."""

    def transpose(ct: Any, /, *operands: Any, **params: Any) -> Sequence[Any]:
        return transposed(primitive, rule, ct, operands, params)

    primitive.added_transposition = rule  # type: ignore[attr-defined]
    primitive.transpose = transpose  # type: ignore[method-assign]
    primitive.is_recorded = lambda active: True  # type: ignore[method-assign]


def _type_of(x: Node | Array) -> ShapedArray:
    """The type of an operand of a transpose rule, without weakness for one that is asked for."""
    return ShapedArray(x.shape, x.dtype) if isinstance(x, Node) else x.aval


__all__ = ["Primitive", "StandsFor", "add_transposition", "transposed"]
