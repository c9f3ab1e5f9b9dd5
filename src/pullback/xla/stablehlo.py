"""Writing StableHLO: what the lowering rules of primitives write their operations with.

`Emitter` is what a primitive's rule `lower(emit, *operands, **params)` writes with:

    emit("sine", x)                                     an operation whose result has the type of its first operand
    emit("transpose", x, out=emit.type, permutation=p)  of another type; `emit.type` is that of the primitive's result
    emit("reduce", x, zero, out=t, dimensions=axes, regions=[emit.region([s, s], body)])

Attributes are given as Python values: bool, int (i64), float, str (text as it is), tuples of ints
(dense i64 arrays), `Enum`. Operations of other dialects are written with a dot (`"chlo.erf"`). The
names are those of the StableHLO specification (https://openxla.org/stablehlo/spec). What the
platform can do, a rule asks `emit.capabilities`, never the platform's name.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dimensions import Dim, at_least, is_symbolic, slice_length
from pullback.core.dtypes import DType
from pullback.core.errors import Location
from pullback.core.jaxpr import ClosedJaxpr
from pullback.core.staging import stage_flat
from pullback.core.trace import without_floating_point_errors
from pullback.core.types import Shape, ShapedArray
from pullback.xla.attached import said
from pullback.xla.capabilities import CPU, Capabilities, known
from pullback.xla.kernels import Loop, fits, loop_of
from pullback.xla.meaning import MEANT
from pullback.xla.text import (
    Enum,
    Token,
    Value,
    attribute,
    dense,
    is_splat,
    layout_text,
    memory,
    physical_dtype,
    quoted,
    size_text,
    tensor_type,
    type_text,
    value_of,
)

#: Elements: larger arrays of one scalar are not constants to the compiler, which would make them to
#: fold what follows from them.
_FOLDED = 1 << 25


class Region:
    """A block of operations that belongs to one: the body of a reduction, of a loop, ...; `token`
    is the last one of its ordered effects, or of those before it."""

    __slots__ = ("arguments", "lines", "token")

    def __init__(self, arguments: str, lines: list[str], token: Token | None) -> None:
        self.arguments, self.lines, self.token = arguments, lines, token


#: Where a function's name stands in a module's text, in its definition, in calls and in composites.
_FUNCTION = re.compile(r"(func\.func private |func\.call |decomposition = )@")

#: Exceptions of Python functions that running programs have called, until the failure of the
#: program is reported.
callback_failures: deque[BaseException] = deque(maxlen=8)


class Emitter:
    """Writes one module. See the module's text."""

    def __init__(
        self, inline: Callable[[Emitter, ClosedJaxpr, Sequence[Value]], list[Value]], capabilities: Capabilities = CPU,
        portable: bool = False,
    ) -> None:  # fmt: skip
        self._inline = inline
        #: What the platform that the module is for can do.
        self.capabilities = capabilities
        #: The device that the program will run on; None where that is not known.
        self.device: Any = None
        self.lines: list[str] = []
        self._count = 0
        self._constants: dict[Any, Value] = {}
        self._scalars: dict[str, Any] = {}
        #: Names of constants that have no element 0.
        self.without_zeros: set[str] = set()
        #: Scalars that repeated fill arrays so large that the compiler must not take them for
        #: constants, by their bits: name and value. They become arguments of the program. None
        #: where it cannot have any.
        self.scalar_arguments: dict[Any, tuple[str, Any]] | None = None if portable else {}
        #: Names of the arrays of one scalar that are larger than this machine's memory.
        self.beyond_memory: set[str] = set()
        #: The types of the results of the equation that is being lowered.
        self.types: Sequence[ShapedArray] = ()
        #: The place in the user's code of the equation that is being lowered, as text to append to
        #: its operations.
        self.location = ""
        #: What is attached to its operations for compilers and tools, as text.
        self.attached = ""
        #: The name of the equation's primitive.
        self.operation = ""
        self._locations: dict[Any, tuple[str, str]] = {}
        #: Whether a plan of ours says what is kept (see `xla.fusion`), and the names of the values
        #: that it keeps.
        self.plans_fusion = False
        self.kept: set[str] = set()
        #: Whether what is to be kept may be told to the compiler, which is not known of whatever
        #: compiles portable modules.
        self.keeps = capabilities.keeps_barriers and not portable
        #: In how many regions of operations what is written now stands.
        self.depth = 0
        #: How many operations of regions are none of small loops (see `xla.kernels`), and what
        #: operations of regions take, by name.
        self.unfit = 0
        self._taken: dict[str, Any] = {}
        #: Whether small loops are kernels.
        self.makes_kernels = capabilities.makes_kernels and not portable
        #: Whether the program may call functions of this process.
        self.calls_host = capabilities.calls_host and not portable
        #: Functions that the program calls on the host, by index.
        self.callbacks: list[Callable[..., Any]] = []
        #: The last token of the ordered side effects so far.
        self.token: Token | None = None
        #: Private functions of the module, as text, by the text of the module they come from.
        self.functions: dict[str, tuple[str, str]] = {}

    @property
    def type(self) -> ShapedArray:
        """The type of the first result of the equation that is being lowered."""
        return self.types[0]

    def new_name(self) -> str:
        self._count += 1
        return f"%{self._count}"

    def __call__(
        self, op: str, *operands: Any, out: Any = None, regions: Sequence[Region] = (), **attributes: Any
    ) -> Any:
        """Write one operation. `out` is the type of the result, or a list of types; the result is a
        value or a list."""
        if op in MEANT and (meant := MEANT[op](self, op, *operands)) is not None:
            return meant
        if "." not in op:
            op = "stablehlo." + op
        several = out.__class__ is list or out.__class__ is tuple
        self._count += 1
        name = f"%{self._count}"
        if not several:
            t = operands[0] if out is None else out
            result: Any = Value(name, t.shape, t.dtype)
            head, out_types = f"{name} = ", result.type_text
        elif len(out) == 1:
            result = [value_of(name, out[0])]
            head, out_types = f"{name} = ", result[0].type_text
        else:
            result = [value_of(f"{name}#{i}", t) for i, t in enumerate(out)]
            head = f"{name}:{len(out)} = " if out else ""
            out_types = f"({', '.join([r.type_text for r in result])})"
        if len(operands) == 2:  # as most are
            x, y = operands
            ins, in_types = f"{x.name}, {y.name}", f"{x.type_text}, {y.type_text}"
        else:
            ins, in_types = ", ".join([x.name for x in operands]), ", ".join([x.type_text for x in operands])
        if self.depth and self.makes_kernels:
            self._note(op, operands, result if several else (result,))
        text = f'{head}"{op}"({ins})'
        if attributes:
            text += f" <{{{', '.join([f'{k} = {attribute(v)}' for k, v in attributes.items()])}}}>"
        if regions:
            self.lines.append(text + " ({")
            for i, region in enumerate(regions):
                if i:
                    self.lines.append("}, {")
                self.lines.append(region.arguments)
                self.lines += region.lines
            text = "})"
        self.lines.append(f"{text}{self.attached} : ({in_types}) -> {out_types}{self.location}")
        return result

    def _note(self, op: str, operands: Sequence[Any], results: Sequence[Any]) -> None:
        """Note of an operation what small loops ask of theirs (see `xla.kernels`)."""
        self._taken.update([(x.name, x) for x in operands])
        if not fits(op, operands, results):
            self.unfit += 1

    def region(self, types: Sequence[Any], body: Callable[..., Any]) -> Region:
        """The block that `body(*arguments)` writes, for arguments of the given types; `body`
        returns a value or a list."""
        outer = self.lines, self._constants, self.types, self.token
        self.lines, self._constants = [], {}
        self.depth += 1
        arguments = [value_of(self.new_name(), t) for t in types]
        try:
            results = body(*arguments)
            results = list(results) if isinstance(results, (list, tuple)) else [results]
            self._taken.update([(r.name, r) for r in results])
            names, kinds = ", ".join([r.name for r in results]), ", ".join([type_text(r) for r in results])
            self.lines.append(f'"stablehlo.return"({names}) : ({kinds}) -> (){self.location}')
            head = ", ".join([f"{a.name}: {type_text(a)}" for a in arguments])
            return Region(f"^bb0({head}):" if arguments else "^bb0:", self.lines, self.token)
        finally:
            self.lines, self._constants, self.types, self.token = outer
            self.depth -= 1

    def argument(self, name: str, t: ShapedArray) -> Value:
        """The program's argument called `name`, of which the caller hands over the physical
        representation."""
        return self._inside(Value(name, t.shape, physical_dtype(t.dtype)), t)

    def _inside(self, outside: Value, t: ShapedArray) -> Value:
        if outside.dtype == t.dtype or t.dtype == dtypes.KEY:
            return Value(outside.name, t.shape, t.dtype)
        if dtypes.is_integer(t.dtype):
            return self.convert(outside, t.dtype)
        if dtypes.itemsize_bits(t.dtype) < 8:
            outside = self.convert(outside, dtypes.uint4)
        return self("bitcast_convert", outside, out=t)

    def result(self, x: Value) -> Value:
        """The physical representation of a result, as the program returns it."""
        outside = ShapedArray(x.shape, physical_dtype(x.dtype))
        if outside.dtype == x.dtype or x.dtype == dtypes.KEY:
            return x
        if dtypes.is_integer(x.dtype):
            return self.convert(x, outside.dtype)
        if dtypes.itemsize_bits(x.dtype) < 8:
            return self.convert(self("bitcast_convert", x, out=ShapedArray(x.shape, dtypes.uint4)), outside.dtype)
        return self("bitcast_convert", x, out=outside)

    def keep(self, x: Value) -> Value:
        """`x`, which the compiler computes once, and does not compute again in the loops of its
        consumers."""
        unfit = self.unfit
        kept: Value = self("optimization_barrier", x, out=x)
        self.unfit = unfit  # of small loops it is taken out
        self.kept.add(kept.name)
        return kept

    # ---- what most rules need --------------------------------------------------------------------

    def constant(self, value: Any, dtype: DType | None = None, shape: Shape | None = None) -> Value:
        """A constant; with `shape`, a scalar repeated. The same constant is written once a block."""
        if value.__class__ is Dim:
            size = self.size(value, dtype or dtypes.default_dtype(int))
            return size if shape is None else self.broadcast(size, shape)
        array: Any = value if value.__class__ is np.ndarray else np.asarray(value)
        if dtype is not None and array.dtype != dtype:
            array = array.astype(dtype)
        if shape is None:
            shape = array.shape
        elif self.scalar_arguments is not None and math.prod(shape) > _FOLDED:
            found = self.broadcast(self._scalar_argument(array.reshape(())), shape)
            if math.prod(shape) * array.itemsize > memory():
                self.beyond_memory.add(found.name)
            return found
        dtype = array.dtype
        key = (array.tobytes(), dtype, shape) if array.size <= 8 else None
        found = self._constants.get(key) if key is not None else None
        if found is None:
            text = dense(array) if 0 not in shape else "dense<>"
            found = Value(self.new_name(), shape, dtype)
            self.lines.append(f"{found.name} = stablehlo.constant {text} : {tensor_type(shape, dtype)}")
            if key is not None:
                self._constants[key] = found
            if not shape:
                self._scalars[found.name] = array
            if key is not None and array.all() and 0 not in shape:
                self.without_zeros.add(found.name)
        return found

    def _scalar_argument(self, value: Any) -> Value:
        # Where the compiler does not know the scalar, it does not compute what follows from an
        # array of it.
        dtype = value.dtype
        key = (value.tobytes(), dtype)
        found = self.scalar_arguments.get(key)
        if found is None:
            found = self.scalar_arguments[key] = (f"%scalar{len(self.scalar_arguments)}", value)
        return self.argument(found[0], ShapedArray((), dtype))

    def size(self, n: Any, dtype: DType) -> Value:
        """A size of an axis, symbolic or not, as a value."""
        if n.__class__ is not Dim:
            return self.constant(n, dtype)
        integer = dtype if dtypes.is_integer(dtype) else dtypes.int64
        found = Value(self.new_name(), (), integer)
        self.lines.append(f"{found.name} = stablehlo.constant dense<{size_text(n)}> : {tensor_type((), integer)}")
        return self.convert(found, dtype)

    def constant_array(self, value: Any) -> Value:
        """An array constant; as a repeated scalar, if it is one."""
        value = np.asarray(value)
        if value.size and is_splat(value):
            return self.constant(value[(0,) * value.ndim], value.dtype, value.shape)
        return self.constant(value)

    def like(self, value: Any, x: Any) -> Value:
        """A constant of the shape and dtype of `x`, all elements `value`."""
        return self.constant(value, x.dtype, x.shape)

    def clamped(self, starts: Sequence[Value], bounds: Sequence[int]) -> list[Value]:
        """Scalar starts of blocks, clamped between 0 and `bounds`.

        StableHLO's operations clamp them, too; but XLA combines blocks of blocks by adding their
        starts, which it does not clamp before.
        """
        found = []
        for start, bound in zip(starts, bounds):
            known = self._scalars.get(start.name)
            if bound.__class__ is int and not bound:
                start = self.like(0, start)
            elif known is None or not (known >= 0 and at_least(bound - int(known), 0)):
                last = bound if bound.__class__ is Dim else min(bound, int(dtypes.iinfo(start.dtype).max))
                start = self("clamp", self.like(0, start), start, self.like(last, start), out=start)
            found.append(start)
        return found

    def broadcast(self, x: Value, shape: Shape, dimensions: Shape | None = None) -> Value:
        """`x` with axis `i` placed at axis `dimensions[i]` (aligned at the end, if not given),
        repeated along the others."""
        if x.shape == shape and (dimensions is None or dimensions == tuple(range(len(shape)))):
            return x
        scalar = self._scalars.get(x.name)
        if scalar is not None:
            return self.constant(scalar, x.dtype, shape)
        if dimensions is None:
            dimensions = tuple(range(len(shape) - len(x.shape), len(shape)))
        return self("broadcast_in_dim", x, out=ShapedArray(shape, x.dtype), broadcast_dimensions=dimensions)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The elements of `x` in another shape."""
        return x if x.shape == shape else self("reshape", x, out=ShapedArray(shape, x.dtype))

    def convert(self, x: Value, dtype: DType) -> Value:
        """StableHLO's conversion."""
        return x if x.dtype == dtype else self("convert", x, out=ShapedArray(x.shape, dtype))

    def whole_bytes(self, x: Value) -> Value:
        """Integers of 2 bits as ones of 8, others as they are: XLA's CPU backend sorts the former as
        if each were a byte, which gives other numbers, and cannot reduce them together with positions."""
        return self.convert(x, {dtypes.int2: dtypes.int8, dtypes.uint2: dtypes.uint8}.get(x.dtype, x.dtype))

    def compare(self, direction: str, x: Value, y: Value) -> Value:
        """`x` compared with `y` (EQ, NE, LT, LE, GT, GE)."""
        kind = dtypes.kind(x.dtype)
        if kind == "c" and direction not in ("EQ", "NE"):
            return self._compare_complex(direction, x, y)
        compare_type = {"f": "FLOAT", "c": "FLOAT", "i": "SIGNED", "u": "UNSIGNED", "b": "UNSIGNED"}.get(
            kind, "UNSIGNED"
        )
        return self(
            "compare", x, y, out=ShapedArray(x.shape, dtypes.bool_),
            comparison_direction=Enum("comparison_direction", direction), compare_type=Enum("comparison_type", compare_type),
        )  # fmt: skip

    def _compare_complex(self, direction: str, x: Value, y: Value) -> Value:
        # By real, then by imaginary parts, as NumPy does; nothing is smaller or larger than what
        # has a NaN.
        (a, b), (c, d) = self.parts(x), self.parts(y)
        strict = direction[0] + "T"
        ordered = self("and", self.compare("EQ", b, b), self.compare("EQ", d, d))
        by_real = self("and", self.compare(strict, a, c), ordered)
        return self("or", by_real, self("and", self.compare("EQ", a, c), self.compare(direction, b, d)))

    def parts(self, x: Value) -> tuple[Value, Value]:
        """Real and imaginary part of a complex value."""
        real = ShapedArray(x.shape, dtypes.to_real(x.dtype))
        return self("real", x, out=real), self("imag", x, out=real)

    def compare_total(self, x: Value, y: Value, direction: str = "LT") -> Value:
        """`x` compared with `y`; floats by IEEE 754's totalOrder (-NaN < -inf < -0.0 < 0.0 < inf <
        NaN)."""
        if dtypes.kind(x.dtype) != "f":
            return self.compare(direction, x, y)
        return self(
            "compare", x, y, out=ShapedArray(x.shape, dtypes.bool_),
            comparison_direction=Enum("comparison_direction", direction), compare_type=Enum("comparison_type", "TOTALORDER"),
        )  # fmt: skip

    def select(self, predicate: Value, on_true: Value, on_false: Value) -> Value:
        """Elements of `on_true` where the predicate holds, of `on_false` elsewhere."""
        return self("select", predicate, on_true, on_false, out=on_true)

    def iota(self, shape: Shape, dtype: DType, dimension: int) -> Value:
        """The index along an axis."""
        return self("iota", out=ShapedArray(shape, dtype), iota_dimension=dimension)

    def slice(self, x: Value, starts: Shape, limits: Shape, strides: Shape | None = None) -> Value:
        """Elements from `starts` to `limits`."""
        strides = strides or (1,) * len(starts)
        if not is_symbolic((*starts, *limits)):  # XLA adds strides to positions
            strides = tuple([min(s, max(1, b - a)) for a, b, s in zip(starts, limits, strides)])
        shape = tuple([slice_length(a, b, s) for a, b, s in zip(starts, limits, strides)])
        return self(
            "slice", x, out=ShapedArray(shape, x.dtype), start_indices=starts, limit_indices=limits, strides=strides
        )

    def transpose(self, x: Value, permutation: Shape) -> Value:
        """Axes reordered."""
        if permutation == tuple(range(len(permutation))):
            return x
        shape = tuple([x.shape[p] for p in permutation])
        return self("transpose", x, out=ShapedArray(shape, x.dtype), permutation=permutation)

    def concatenate(self, xs: Sequence[Value], dimension: int) -> Value:
        """Values joined along an axis."""
        if len(xs) == 1:
            return xs[0]
        shape = list(xs[0].shape)
        shape[dimension] = sum(x.shape[dimension] for x in xs)
        return self("concatenate", *xs, out=ShapedArray(tuple(shape), xs[0].dtype), dimension=dimension)

    def reduce(self, x: Value, initial: Any, op: str | Callable[..., Value], axes: Shape) -> Value:
        """A reduction over `axes` by the operation `op`, from the scalar `initial`."""
        start = self.constant(initial, x.dtype) if not isinstance(initial, Value) else initial
        shape = tuple([n for i, n in enumerate(x.shape) if i not in axes])
        if isinstance(op, str) and dtypes.kind(x.dtype) in "bc" and op in MEANT:
            op = partial(self, op)
        if isinstance(op, str):
            result = Value(self.new_name(), shape, x.dtype)
            if self.depth and self.makes_kernels:
                self._note("stablehlo.reduce", (x, start), (result,))
            self.lines.append(
                f"{result.name} = stablehlo.reduce({x.name} init: {start.name}) applies stablehlo.{op} across dimensions = {sorted(axes)}"
                f" : ({x.type_text}, {start.type_text}) -> {result.type_text}{self.location}"
            )
            return result
        scalar = ShapedArray((), x.dtype)
        return self(
            "reduce", x, start, out=ShapedArray(shape, x.dtype), dimensions=tuple(sorted(axes)),
            regions=[self.region([scalar, scalar], op)],
        )  # fmt: skip

    def any(self, flags: Value) -> Value:
        """Whether an element of `flags` is true, a scalar."""
        return self.reduce(flags, False, "or", tuple(range(flags.ndim)))

    def reduce_window(
        self, x: Value, initial: Any, op: str | Callable[..., Value], window: Shape, padding: Sequence[tuple[int, int]],
        **strides_and_dilations: Shape,
    ) -> Value:  # fmt: skip
        """A reduction by `op`, from the scalar `initial`, of the windows of `x` (`self.type` is
        that of the result)."""
        start = self.constant(initial, x.dtype) if not isinstance(initial, Value) else initial
        scalar = ShapedArray((), x.dtype)
        body = op if callable(op) else lambda a, b: self(op, a, b)
        pads = self.pads(padding)
        return self(
            "reduce_window", x, start, out=ShapedArray(self.type.shape, x.dtype), window_dimensions=window, padding=pads,
            regions=[self.region([scalar, scalar], body)], **strides_and_dilations,
        )  # fmt: skip

    def pads(self, padding: Sequence[tuple[int, int]]) -> str:
        """(low, high) for each axis, as the operations on windows take it."""
        attribute(tuple([n for pair in padding for n in pair]))  # raises for numbers that cannot be written
        rows = ", ".join([f"[{size_text(low)}, {size_text(high)}]" for low, high in padding])
        return f"dense<{f'[{rows}]' if rows else ''}> : tensor<{len(padding)}x2xi64>"

    def while_loop(
        self, condition: Callable[..., Value], body: Callable[..., Sequence[Value]], initial: Sequence[Value]
    ) -> list[Value]:
        """The values after `body` has been applied as long as `condition` holds. Both may use
        values from outside."""
        types: list[Any] = [x.aval for x in initial]

        def goes_on(token: Token, *state: Value) -> Value:
            self.token = token
            return condition(*state)

        def advance(token: Token, *state: Value) -> list[Any]:
            self.token = token
            return self._and_token(body(*state))

        count, unfit, before, self._taken = self._count, self.unfit, self._taken, {}
        regions = self._unordered(lambda: [self.region(types, condition), self.region(types, body)])
        taken, self._taken = self._taken, {**before, **self._taken}
        if regions is not None:
            start = len(self.lines)
            results: list[Value] = self("while", *initial, out=types, regions=regions)
            if self.makes_kernels and unfit == self.unfit and types:
                # Values are numbered in the order in which they are written: others are from inside.
                outside = {x.name: x for x in initial}
                outside.update({name: x for name, x in taken.items() if _number(name) <= count})
                name = f"loop{results[0].name[1:].partition('#')[0]}"
                loop = loop_of(self.lines[start:], name, list(outside.values()), results, self.kept)
                if loop is not None:
                    self.lines[start:] = [loop]
            return results
        types = [self._last_token(), *types]
        regions = [self.region(types, goes_on), self.region(types, advance)]
        self.token, *state = self("while", self.token, *initial, out=types, regions=regions)
        return state

    def if_any(self, flags: Value, change: Callable[..., Sequence[Value]], state: Sequence[Value]) -> list[Value]:
        """`change(*state)` if an element of `flags` is true, else `state`: a loop that is run once or never, for
        what takes long and few arguments need. `change` may use values from outside, but those of `state`, which
        would be copied for it."""
        changed = lambda _, *state: [self.constant(False, dtypes.bool_), *change(*state)]
        return self.while_loop(lambda going, *_: going, changed, [self.any(flags), *state])[1:]

    def case(
        self, index: Value, branches: Sequence[Callable[[], Sequence[Value]]], out: Sequence[ShapedArray]
    ) -> list[Value]:
        """What `branches[index]()` gives. The branches may use values from outside."""
        regions = self._unordered(lambda: [self.region([], b) for b in branches])
        if regions is not None:
            return list(self("case", index, out=list(out), regions=regions))
        token = self._last_token()
        regions = [self.region([], lambda b=b: self._and_token(b())) for b in branches]
        self.token, *results = self("case", index, out=[token, *out], regions=regions)
        return results

    # Ordered effects in a region: their token goes in and out of it beside the values. Whether
    # there are any is known when it is written.

    def _unordered(self, write: Callable[[], list[Region]]) -> list[Region] | None:
        """The regions that `write` writes, if there are no ordered effects in them; else nothing
        has been written."""
        count = len(self.callbacks)
        regions = write()
        if all(r.token is self.token for r in regions):
            return regions
        del self.callbacks[count:]
        return None

    def _and_token(self, results: Sequence[Value]) -> list[Any]:
        return [self.token, *results]

    def _last_token(self) -> Token:
        self.unfit += 1
        if self.token is None:
            self.token = Token(self.new_name())
            self.lines.append(f'{self.token.name} = "stablehlo.create_token"() : () -> !stablehlo.token')
        return self.token

    def custom_call(
        self, target: str, *operands: Value, out: Any, backend_config: str | None = None, api_version: int = 4,
        layouts: tuple[Sequence[str], Sequence[str]] | None = None, aliases: Sequence[tuple[int, int]] = (),
        has_side_effect: bool = False,
    ) -> Any:  # fmt: skip
        """A call of a function that XLA knows by name. `aliases` are (result, operand) pairs that
        share memory."""
        attributes: dict[str, Any] = {"call_target_name": quoted(target), "api_version": f"{api_version} : i32"}
        if backend_config is not None:
            attributes["backend_config"] = backend_config
        if has_side_effect:
            attributes["has_side_effect"] = True
        if layouts is not None:
            attributes["operand_layouts"] = f"[{', '.join(layouts[0])}]"
            attributes["result_layouts"] = f"[{', '.join(layouts[1])}]"
        if aliases:
            count = len(out) if isinstance(out, (list, tuple)) else 1
            entries = [
                "#stablehlo.output_operand_alias<output_tuple_indices = "
                f"[{result if count > 1 else ''}], operand_index = {operand}, operand_tuple_indices = []>"
                for result, operand in aliases
            ]
            attributes["output_operand_aliases"] = f"[{', '.join(entries)}]"
        return self("custom_call", *operands, out=out, **attributes)

    def callback(
        self, function: Callable[..., Sequence[Any]], operands: Sequence[Value], out: Sequence[ShapedArray],
        has_side_effect: bool = False, ordered: bool = False,
    ) -> list[Value]:  # fmt: skip
        """The results of a Python function on the host, called with NumPy arrays whenever the
        program runs.

        Calls that are `ordered` happen one after the other, in the order in which they are written.
        Raises NotImplementedError for platforms that cannot.
        """
        self.need("calls_host", "it calls a Python function of this process")
        in_dtypes = [x.dtype for x in operands]

        def on_host(*values: Any) -> tuple[Any, ...]:
            values = values[ordered:]  # the token
            given = [np.asarray(v) if dtypes.is_numpys(d) else np.asarray(v).view(d) for v, d in zip(values, in_dtypes)]
            try:
                results = [np.asarray(r) for r in function(*given)]
            except BaseException as error:
                callback_failures.append(error)  # XLA passes on its text only
                raise
            outs = tuple(r if dtypes.is_numpys(r.dtype) else r.view(physical_dtype(r.dtype)) for r in results)
            return (None, *outs) if ordered else outs

        index = len(self.callbacks)
        self.callbacks.append(on_host)
        physical: list[Any] = [ShapedArray(t.shape, physical_dtype(t.dtype)) for t in out]
        ins: list[Any] = [self.result(x) for x in operands]
        if ordered:
            token = self._last_token()
            ins, physical = [token, *ins], [token, *physical]

        def row_major(x: Any) -> str:
            return layout_text(() if x.__class__ is Token else range(len(x.shape))[::-1])

        results = self(
            "custom_call", *ins, out=physical, call_target_name='"xla_ffi_python_cpu_callback"', api_version="4 : i32",
            backend_config=f"{{index = {index} : ui64}}", has_side_effect=has_side_effect,
            operand_layouts=f"[{', '.join(map(row_major, ins))}]", result_layouts=f"[{', '.join(map(row_major, physical))}]",
        )  # fmt: skip
        if ordered:
            self.token, *results = results
        return [self._inside(r, t) for r, t in zip(results, out)]

    def need(self, capability: str, why: str) -> None:
        """Raise NotImplementedError for the operation that is being lowered, unless the platform
        has a capability."""
        if not getattr(self.capabilities, capability):
            there = ", ".join([repr(c.platform) for c in known() if getattr(c, capability)])
            raise NotImplementedError(
                f"{self.operation!r} cannot be compiled for platform {self.capabilities.platform!r}: {why}, which is there on {there} "
                "only. Run it on a CPU: device_put its operands to devices('cpu')[0], outside of the jitted function"
            )

    def evaluate_on_host(self, primitive: Any, operands: Sequence[Value], params: dict[str, Any]) -> Any:
        """The primitive, evaluated by NumPy in a callback."""

        def evaluate(*values: Any) -> Sequence[Any]:
            out = without_floating_point_errors(partial(primitive.evaluate, **params), *values)
            return out if primitive.multiple_results else [out]

        results = self.callback(evaluate, operands, self.types)
        return results if primitive.multiple_results else results[0]

    def expand(self, primitive: Any, operands: Sequence[Value], params: dict[str, Any]) -> Any:
        """What the primitive's `expand` does, inlined."""

        def flat(*xs: Any) -> Any:
            out = primitive.expand(*xs, **params)
            return out if primitive.multiple_results else [out]

        results = self.staged(flat, *operands)
        return results if primitive.multiple_results else results[0]

    def staged(self, fun: Callable[..., Sequence[Any]], *operands: Value) -> list[Value]:
        """What `fun`, written with operations, makes of `operands`: its program, inlined."""
        return self.program(stage_flat(fun, [x.aval for x in operands]), operands)

    def program(self, closed: ClosedJaxpr, operands: Sequence[Value]) -> list[Value]:
        """The results of a program on `operands`, inlined."""
        outer = self.types, self.location, self.attached, self.operation
        try:
            return self._inline(self, closed, operands)
        finally:
            self.types, self.location, self.attached, self.operation = outer

    def call_module(self, text: str, operands: Sequence[Value], out: Sequence[ShapedArray]) -> list[Value]:
        """The results of the function `main` of another module, which becomes a private function of
        this one."""
        self.unfit += 1
        found = self.functions.get(text)
        if found is None:
            prefix = f"module{len(self.functions)}_"
            body = (
                text[text.index("{") + 1 : text.rindex("}")]
                .strip()
                .replace("func.func public @", "func.func private @")
            )
            body = _FUNCTION.sub(rf"\1@{prefix}", body)
            found = self.functions[text] = (f"{prefix}main", body)
        ins, outs = (", ".join(map(type_text, types)) for types in (operands, out))
        name = self.new_name()
        head = f"{name}:{len(out)} = " if out else ""
        self.lines.append(
            f"{head}func.call @{found[0]}({', '.join([x.name for x in operands])}) : ({ins}) -> ({outs}){self.location}"
        )
        return [Value(f"{name}#{i}", t.shape, t.dtype) for i, t in enumerate(out)]

    def text(self) -> tuple[str, str]:
        """What has been written, and the functions that it calls."""
        functions = [function for _, function in self.functions.values()]
        functions += [line.function for line in self.lines if line.__class__ is Loop]
        body = "\n".join([line.call if line.__class__ is Loop else line for line in self.lines])
        return body, "".join([f"{function}\n" for function in functions])

    def composite(
        self, closed: ClosedJaxpr, operands: Sequence[Value], name: str, version: int, attributes: str
    ) -> list[Value]:  # fmt: skip
        """The results of an operation called `name`, which compilers that do not know it take as the
        program that it is."""
        # Arguments of the module, such as scalars that fill large arrays, are not known in the
        # function.
        scalars, self.scalar_arguments = self.scalar_arguments, None
        try:
            body = self.region([x.aval for x in operands], lambda *xs: self.program(closed, xs))
        finally:
            self.scalar_arguments = scalars
        function = f"composite{len(self.functions)}"
        ins = body.arguments[body.arguments.index("(") : -1] if operands else "()"
        lines = [*body.lines[:-1], body.lines[-1].replace('"stablehlo.return"', '"func.return"', 1)]
        outs = f"({', '.join(map(type_text, closed.out_avals))})"
        text = "\n".join([f"func.func private @{function}{ins} -> {outs} {{", *lines, "}"])
        self.functions[text] = (function, text)
        return list(
            self(
                "composite", *operands, out=list(closed.out_avals), name=quoted(name), composite_attributes=attributes,
                decomposition=f"@{function}", version=f"{version} : i32",
            )
        )  # fmt: skip

    def at(self, location: Location | None, name: str, scopes: Sequence[str] = ()) -> None:
        """Say that the operations to come belong to the operation called `name`, at a place in the
        user's code, in `scopes`."""
        # By identity: code objects hash by all that is in them.
        key = (id(location[0]), location[1], name, scopes) if location is not None else (name, scopes)
        found = self._locations.get(key)
        if found is None:
            found = self._locations[key] = said(location, name, scopes)
        (self.location, self.attached), self.operation = found, name


def _number(name: str) -> int:
    """In which place a value was written; arguments of the program come before all."""
    digits = name[1:].partition("#")[0]
    return int(digits) if digits.isdigit() else 0
